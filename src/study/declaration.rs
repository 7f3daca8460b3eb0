//! What is declared before a run: its primary contrasts, and all that it will be.
//!
//! `declaration.json` in the run folder holds the keys of the manifest, with what is assumed where it
//! says nothing, the digest of every file that the study reads, version and commit. It is never written
//! over. What a run then is may differ: each difference becomes a record, and nothing of it is hidden. A
//! declaration declares nothing where a stage had finished before it, or under another one.

use super::clean::marked;
use super::files::Digests;
use super::layout::{Layout, DECLARATION, RESULTS};
use super::manifest::{Declared, Study};
use super::marker::Marker;
use super::record;
use super::written::CHANGE;
use super::{Result, StudyError};
use crate::analysis::records::{DeclarationRow, DeclaredContrastRow, DeclaredKeyRow, Results};
use crate::model::Model;
use crate::store::{atomic, digest, time};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Key of the primary contrasts.
const PRIMARY: &str = "declared";
const VERSION: &str = "version";
const COMMIT: &str = "commit";

/// A declaration as its file holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Declaration {
    /// When it was made, UTC.
    created: String,
    /// Whether the run folder held a finished stage or results then.
    late: bool,
    /// All that was declared, as text by key.
    study: BTreeMap<String, String>,
}

/// Declares a study in a run folder, which is made if it is not there; gives the declaration as records.
///
/// # Errors
/// `Exists` where a declaration is there already; a file that cannot be read or written.
pub fn declare(
    study: &Study,
    model: &Model,
    layout: &Layout,
    digests: &Digests,
) -> Result<Results> {
    let path = layout.at(DECLARATION);
    if path.exists() {
        return Err(StudyError::Exists { path });
    }
    let declaration = Declaration {
        created: time::utc_now(),
        late: layout.at(RESULTS).exists() || !marked(layout)?.is_empty(),
        study: described(study, model, digests)?,
    };
    std::fs::create_dir_all(layout.root())
        .map_err(|source| StudyError::Write { path: layout.root().into(), source })?;
    atomic::write(&path, format!("{:#}\n", json!(declaration)).as_bytes())?;
    records(study, model, layout, digests)
}

/// The declaration of a run folder as records; none where nothing was declared.
///
/// # Errors
/// `Declaration` for a file that holds something else; a file that cannot be read.
pub fn records(
    study: &Study,
    model: &Model,
    layout: &Layout,
    digests: &Digests,
) -> Result<Results> {
    let path = layout.at(DECLARATION);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Results::default()),
        Err(source) => return Err(StudyError::Read { path, source }),
    };
    let bad =
        |e: serde_json::Error| StudyError::Declaration { path: path.clone(), why: e.to_string() };
    let held: Declaration = serde_json::from_slice(&bytes).map_err(bad)?;
    let text = |key: &str| held.study.get(key).cloned().unwrap_or_default();
    let primary: Declared = serde_json::from_str(&text(PRIMARY)).map_err(bad)?;
    let sha256 = digest::of_bytes(&bytes);
    // Of a declaration that was put here, or edited, once a stage had finished.
    let older = |stage: &String| {
        Marker::read(layout, stage).is_some_and(|m| m.declaration.as_ref() != Some(&sha256))
    };
    Ok(Results {
        declaration: vec![DeclarationRow {
            late: held.late || marked(layout)?.iter().any(older),
            created: held.created.clone(),
            version: text(VERSION),
            commit: text(COMMIT),
            sha256,
        }],
        declared_contrasts: contrasts(&primary),
        declared_keys: compared(&held.study, &described(study, model, digests)?),
        ..Results::default()
    })
}

fn contrasts(primary: &Declared) -> Vec<DeclaredContrastRow> {
    let mut rows = Vec::new();
    for quantity in &primary.quantities {
        let layers: Vec<f64> = match quantity == CHANGE {
            true => primary.layers.iter().map(|&l| l as f64).collect(),
            false => vec![f64::NAN],
        };
        for [set, reference] in &primary.contrasts {
            rows.extend(layers.iter().map(|&layer| DeclaredContrastRow {
                quantity: quantity.clone(),
                set: set.clone(),
                reference: reference.clone(),
                layer,
            }));
        }
    }
    rows
}

fn compared(
    declared: &BTreeMap<String, String>,
    run: &BTreeMap<String, String>,
) -> Vec<DeclaredKeyRow> {
    let keys: BTreeSet<&String> = declared.keys().chain(run.keys()).collect();
    let text =
        |of: &BTreeMap<String, String>, key: &String| of.get(key).cloned().unwrap_or_default();
    let row = |key: &String| DeclaredKeyRow {
        key: key.clone(),
        declared: text(declared, key),
        run: text(run, key),
    };
    keys.into_iter().map(row).collect()
}

/// All that a study is, as text by key: as text, since numbers may come back from a file a bit off.
fn described(study: &Study, model: &Model, digests: &Digests) -> Result<BTreeMap<String, String>> {
    let record = record::begun(study, model, &[], digests)?;
    let reported = study.reported(model.decoder.layers());
    let mut primary = study.declared.clone();
    if primary.layers.is_empty() {
        primary.layers.clone_from(&reported);
    }
    let mut config = record.config;
    config["layers"] = json!(reported);
    config["roles"] = json!({"focus": study.focus, "reference": study.reference,
        "neutral": study.neutral});
    config[PRIMARY] = Value::Null;
    let mut out = BTreeMap::new();
    flatten("", &config, &mut out);
    out.insert(PRIMARY.into(), json!(primary).to_string());
    let of = |name: &str| record.versions.get(name).cloned().unwrap_or_default();
    out.extend([(VERSION.into(), of("residuum")), (COMMIT.into(), of("commit"))]);
    let near = |path: &str| {
        let folder = study.text.folder.as_path();
        match Path::new(path).strip_prefix(folder) {
            Ok(near) => near.display().to_string(),
            Err(_) => path.replace(&format!("/{}/", folder.display()), "/"),
        }
    };
    out.extend(record.inputs.iter().map(|(path, d)| (format!("file: {}", near(path)), d.clone())));
    Ok(out)
}

/// The values of a tree by their keys joined; tables in an array go by their name.
fn flatten(key: &str, value: &Value, out: &mut BTreeMap<String, String>) {
    let below = |name: &str| format!("{key}{}{name}", if key.is_empty() { "" } else { "." });
    match value {
        Value::Null => {}
        Value::Object(all) => all.iter().for_each(|(name, v)| flatten(&below(name), v, out)),
        Value::Array(all) if all.iter().any(Value::is_object) => {
            let name = |v: &Value| v["name"].as_str().unwrap_or_default().to_owned();
            all.iter().for_each(|v| flatten(&below(&name(v)), v, out));
        }
        other => {
            let text = other.as_str().map_or_else(|| other.to_string(), str::to_owned);
            out.insert(key.into(), text);
        }
    }
}
