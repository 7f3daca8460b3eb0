//! What a finished stage leaves of itself, and whether it still holds.
//!
//! A marker holds the stage's inputs and the digest of every file that it wrote. A stage is done as
//! long as its inputs are the same and its files are there with those digests; otherwise it is redone,
//! and why can be said.

use super::files::{self, Digests};
use super::layout::{Layout, DECLARATION};
use super::stage::Stage;
use super::{Result, StudyError};
use crate::store::{atomic, digest, time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// A finished stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Marker {
    /// The stage's key.
    pub key: String,
    /// When it ended, UTC.
    #[serde(default)]
    pub ended: String,
    /// How long it ran.
    pub seconds: f64,
    /// Peak of resident memory while it ran; 0 where the system does not tell.
    pub peak_bytes: u64,
    /// Digests of its inputs, by name.
    pub inputs: BTreeMap<String, String>,
    /// SHA-256 of each file that it wrote, by name below the run folder.
    pub outputs: BTreeMap<String, String>,
    /// SHA-256 of the declaration under which it ran; none where nothing was declared then.
    #[serde(default)]
    pub declaration: Option<String>,
    /// Digest of each file of another stage that the outputs quote.
    #[serde(default)]
    pub quoted: BTreeMap<String, String>,
}

/// Why a stage is to be run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// It never finished.
    #[error("not run yet")]
    New,
    /// Inputs that changed.
    #[error("changed: {}", .0.join(", "))]
    Inputs(Vec<String>),
    /// A file that is gone.
    #[error("{0} is gone")]
    Missing(String),
    /// A file that is not what the stage wrote.
    #[error("{0} is not as it was written")]
    Changed(String),
}

impl Marker {
    /// The marker of a stage, whatever its inputs were.
    pub fn read(layout: &Layout, stage: &str) -> Option<Self> {
        let text = std::fs::read_to_string(layout.marker(stage)).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// The marker of a stage that is done, or why it is not.
    ///
    /// # Errors
    /// An output that is there and cannot be read.
    pub fn standing(
        layout: &Layout,
        stage: &Stage,
        digests: &Digests,
    ) -> Result<Result<Self, Why>> {
        let Some(marker) = Self::read(layout, &stage.name) else {
            return Ok(Err(Why::New));
        };
        if marker.key != stage.key {
            return Ok(Err(Why::Inputs(stage.inputs.changed(&marker.inputs))));
        }
        for (name, then) in &marker.quoted {
            let path = layout.at(name);
            if !path.is_file() || digests.of(&path)? != *then {
                return Ok(Err(Why::Inputs(vec![name.clone()])));
            }
        }
        for (name, then) in &marker.outputs {
            let path = layout.at(name);
            if !path.is_file() {
                return Ok(Err(Why::Missing(name.clone())));
            }
            if digests.of(&path)? != *then {
                return Ok(Err(Why::Changed(name.clone())));
            }
        }
        Ok(Ok(marker))
    }

    /// The marker of a stage that has just run.
    ///
    /// # Errors
    /// An output that was not written.
    pub fn of(
        layout: &Layout,
        stage: &Stage,
        digests: &Digests,
        (seconds, peak_bytes): (f64, u64),
    ) -> Result<Self> {
        let mut outputs = BTreeMap::new();
        for name in &stage.outputs {
            let files = match name.ends_with('/') {
                true => {
                    let all = files::listed(&layout.at(name))?.into_iter().map(|f| f.0);
                    all.filter(|f| !f.starts_with('.')).map(|f| format!("{name}{f}")).collect()
                }
                false => vec![name.clone()],
            };
            for file in files {
                let digest = digests.of(&layout.at(&file))?;
                outputs.insert(file, digest);
            }
        }
        let quoted = stage.quoted.iter();
        let quoted = quoted.map(|name| Ok((name.clone(), digests.of(&layout.at(name))?)));
        let quoted = quoted.collect::<Result<_>>()?;
        Ok(Marker {
            key: stage.key.clone(),
            ended: time::utc_now(),
            seconds,
            peak_bytes,
            inputs: stage.inputs.digests().clone(),
            outputs,
            // Read again, since the digests that are kept may be older than the file.
            declaration: std::fs::read(layout.at(DECLARATION)).ok().map(|b| digest::of_bytes(&b)),
            quoted,
        })
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// The store's.
    pub fn write(&self, layout: &Layout, stage: &str) -> Result<()> {
        let path = layout.marker(stage);
        let text = serde_json::to_vec_pretty(self)
            .map_err(|e| StudyError::Stage { path: path.clone(), why: e.to_string() })?;
        Ok(atomic::write(&path, &text)?)
    }
}

/// Removes what a stage wrote before and may not write again: files in folders that are its own, and
/// files that it no longer names. What stands there after it runs is what it wrote then.
///
/// # Errors
/// A file that cannot be removed.
pub fn clear_before(layout: &Layout, stage: &Stage) -> Result<()> {
    let Some(before) = Marker::read(layout, &stage.name) else {
        return Ok(());
    };
    for name in before.outputs.keys().filter(|n| !stage.outputs.contains(n)) {
        remove(&layout.at(name))?;
    }
    Ok(())
}

/// Removes a file that may be gone already.
///
/// # Errors
/// `Write`.
pub fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(StudyError::Write { path: path.into(), source })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::stage::{Cost, Inputs};
    use super::*;

    #[test]
    fn a_stage_is_done_while_its_inputs_and_its_files_are_what_they_were() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let digests = Digests::default();
        std::fs::create_dir_all(layout.markers()).unwrap();
        std::fs::create_dir_all(layout.at("csv")).unwrap();
        let stage = |seed: u64| {
            let outputs = vec!["a.json".to_string(), "csv/".into()];
            let inputs = Inputs::revision(1).value("seed", &seed);
            Stage::new("s", inputs, outputs, Cost::default(), |_| Ok(()))
        };
        let standing = |seed| Marker::standing(&layout, &stage(seed), &digests).unwrap();
        assert_eq!(standing(1).unwrap_err(), Why::New);
        std::fs::write(layout.at("a.json"), "1").unwrap();
        assert!(Marker::of(&layout, &stage(1), &Digests::default(), (0.0, 0)).is_ok());
        std::fs::write(layout.at("csv/t.csv"), "x").unwrap();
        let marker = Marker::of(&layout, &stage(1), &digests, (1.0, 2)).unwrap();
        marker.write(&layout, "s").unwrap();
        assert_eq!(standing(1).unwrap(), marker);
        assert_eq!(standing(2).unwrap_err(), Why::Inputs(vec!["seed".into()]));
        std::fs::remove_file(layout.at("csv/t.csv")).unwrap();
        assert_eq!(standing(1).unwrap_err(), Why::Missing("csv/t.csv".into()));
        std::fs::write(layout.at("csv/t.csv"), "yy").unwrap();
        let why = standing(1).unwrap_err();
        assert_eq!(why.to_string(), "csv/t.csv is not as it was written");
        clear_before(&layout, &stage(1)).unwrap();
        assert!(!layout.at("csv/t.csv").exists() && layout.at("a.json").exists());
    }
}
