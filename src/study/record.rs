//! `manifest.json` of a run: made of the markers that stand, so that it tells what was done whichever
//! process did it.

use super::files::Digests;
use super::layout::Layout;
use super::manifest::{Source, Study};
use super::marker::Marker;
use super::models;
use super::stage::Stage;
use super::{Result, StudyError};
use crate::model::{resolve, Model};
use crate::store::manifest::StageRecord;
use crate::store::{time, Manifest, StoreError};
use std::collections::BTreeMap;

/// The record of a run at its start.
///
/// # Errors
/// A file that cannot be read.
pub fn begun(
    study: &Study,
    model: &Model,
    command: &[String],
    digests: &Digests,
) -> Result<Manifest> {
    let config = serde_json::to_value(&study.written).map_err(|e| StudyError::Stage {
        path: crate::store::manifest::FILE_NAME.into(),
        why: e.to_string(),
    })?;
    let mut manifest = Manifest::new(command.to_vec(), config);
    manifest.seeds.insert("study".into(), study.written.seed);
    let inputs = &mut manifest.inputs;
    inputs.insert(model.id.clone(), model.sha256.clone());
    let mut add = |of: &str, files: BTreeMap<String, String>| {
        let named = files.into_iter().map(|(name, d)| (format!("{of}/{name}"), d));
        inputs.extend(named);
    };
    add(&model.id, models::all_files(&model.path, digests)?);
    for c in &study.conditions {
        match &c.source {
            Source::Adapter(folder) => {
                let files = super::layout::of_adapter(&folder.to_string_lossy());
                for file in files {
                    let digest = digests.of(file.as_ref())?;
                    add(&c.name, BTreeMap::from([(file, digest)]));
                }
            }
            Source::Model { at, .. } => {
                let path = resolve::resolve(at, &mut |_| ())?;
                add(&c.name, models::all_files(&path, digests)?);
            }
            _ => {}
        }
    }
    for u in &study.used {
        let file = u.file.to_string_lossy().into_owned();
        manifest.inputs.insert(file, u.sha256.clone());
    }
    manifest.warnings = model.doubts();
    Ok(manifest)
}

/// Writes the record as it stands after `done` of the stages; `reused` are those that were not run.
///
/// # Errors
/// The store's.
pub fn write(
    manifest: &mut Manifest,
    layout: &Layout,
    done: &[(&Stage, Marker)],
    reused: &[String],
    is_finished: bool,
) -> Result<(), StoreError> {
    manifest.outputs.clear();
    manifest.stages.clear();
    for (stage, marker) in done {
        manifest.outputs.extend(marker.outputs.clone());
        manifest.stages.push(StageRecord {
            name: stage.name.clone(),
            hash: stage.key.clone(),
            seconds: marker.seconds,
            reused: reused.contains(&stage.name),
        });
    }
    manifest.finished = is_finished.then(time::utc_now);
    manifest.write(layout.root())
}
