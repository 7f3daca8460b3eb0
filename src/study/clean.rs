//! What an earlier form of a study left in its run folder: stages that are no longer planned, and
//! files of stages that no longer write them. They are listed, never read, and removed when asked.

use super::files;
use super::layout::Layout;
use super::marker::{remove, Marker};
use super::stage::Stage;
use super::{Result, StudyError};
use serde::Serialize;
use std::collections::BTreeSet;
use std::io::ErrorKind;

/// Stages and files that the plan does not know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Left {
    /// Stages that left a marker.
    pub stages: Vec<String>,
    /// Names below the run folder.
    pub files: Vec<String>,
}

impl Left {
    /// What a run folder holds of stages that are not planned.
    ///
    /// # Errors
    /// The folder of markers cannot be read.
    pub fn of(layout: &Layout, stages: &[Stage]) -> Result<Self> {
        let mut out = Left::default();
        let mut files = BTreeSet::new();
        let written: BTreeSet<String> = (stages.iter())
            .filter_map(|s| Marker::read(layout, &s.name))
            .flat_map(|m| m.outputs.into_keys())
            .collect();
        let planned = |file: &String| {
            let mut all = stages.iter().flat_map(|s| &s.outputs);
            written.contains(file) || all.any(|o| o == file)
        };
        for name in marked(layout)? {
            if stages.iter().any(|s| s.name == name) {
                continue;
            }
            let marker = Marker::read(layout, &name);
            files.extend(marker.into_iter().flat_map(|m| m.outputs.into_keys()));
            out.stages.push(name);
        }
        let there = |file: &String| layout.at(file).is_file();
        out.files = files.into_iter().filter(|f| !planned(f) && there(f)).collect();
        Ok(out)
    }

    /// Whether there is nothing of them.
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// Removes the files, then the markers that name them, then folders that are empty by that.
    ///
    /// # Errors
    /// A file that cannot be removed.
    pub fn remove(&self, layout: &Layout) -> Result<()> {
        for file in &self.files {
            remove(&layout.at(file))?;
        }
        for stage in &self.stages {
            remove(&layout.marker(stage))?;
        }
        for file in &self.files {
            let path = layout.at(file);
            for folder in path.ancestors().skip(1).take_while(|f| *f != layout.root()) {
                // Refused where something is left in it, which is as it should be.
                if std::fs::remove_dir(folder).is_err() {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Names of the stages that left a marker.
pub(super) fn marked(layout: &Layout) -> Result<Vec<String>> {
    let of_stage = |(name, _): (String, _)| name.strip_suffix(".json").map(str::to_string);
    match files::listed(&layout.markers()) {
        Err(StudyError::Read { source, .. }) if source.kind() == ErrorKind::NotFound => {
            Ok(Vec::new())
        }
        all => Ok(all?.into_iter().filter_map(of_stage).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::files::Digests;
    use super::super::stage::{Cost, Inputs};
    use super::*;

    #[test]
    fn what_left_the_plan_is_listed_and_removed_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let stage = |name: &str, output: &str| {
            let outputs = vec![output.to_string()];
            Stage::new(name, Inputs::revision(1), outputs, Cost::default(), |_| Ok(()))
        };
        let all = [
            stage("kept", "adapters/a/w"),
            stage("gone", "adapters/b/w"),
            stage("shared", "adapters/a/w"),
        ];
        std::fs::create_dir_all(layout.markers()).unwrap();
        for s in &all {
            let path = layout.at(&s.outputs[0]);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
            let marker = Marker::of(&layout, s, &Digests::default(), (0.0, 0)).unwrap();
            marker.write(&layout, &s.name).unwrap();
        }
        assert!(Left::of(&layout, &all).unwrap().is_empty());
        let left = Left::of(&layout, &all[..1]).unwrap();
        assert_eq!(left.stages, ["gone", "shared"]);
        assert_eq!(left.files, ["adapters/b/w"]);
        left.remove(&layout).unwrap();
        assert!(!layout.at("adapters/b").exists() && layout.at("adapters/a/w").exists());
        assert!(Left::of(&layout, &all[..1]).unwrap().is_empty());
    }
}
