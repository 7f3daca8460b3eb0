//! `manifest.json`: the record that reproduces a run.
//!
//! It holds the resolved configuration, seeds, versions, the commit of the user's
//! repository if there is one, the machine, SHA-256 of every input and output, and
//! how long each stage took. It is rewritten as a whole after each stage, so a run
//! that was cut off still tells what it had done. Outputs are named relative to the
//! run folder, which so can be moved; [`Manifest::changed_outputs`] says which of them no
//! longer match.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::{from_io, Result, StoreError};
use super::hardware::Hardware;
use super::{atomic, digest, time};
use crate::ops::simd::Simd;

/// Name of the record in a run folder.
pub const FILE_NAME: &str = "manifest.json";

/// The record of one run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this record's layout.
    pub schema: String,
    /// When the run began, UTC.
    pub created: String,
    /// When its last stage ended, UTC; absent while it is at work or was cut off.
    pub finished: Option<String>,
    /// The command line.
    pub command: Vec<String>,
    /// The configuration with every default filled in.
    pub config: Value,
    /// Seeds by what they are for.
    pub seeds: BTreeMap<String, u64>,
    /// Versions of the toolkit and of what it was built with.
    pub versions: BTreeMap<String, String>,
    /// Commit of the repository that the run was started in.
    pub git: Option<String>,
    /// The machine.
    pub hardware: Hardware,
    /// SHA-256 of each file read, by the path it was given as.
    pub inputs: BTreeMap<String, String>,
    /// SHA-256 of each file written, by its path in the run folder.
    pub outputs: BTreeMap<String, String>,
    /// The stages in the order in which they ended.
    pub stages: Vec<StageRecord>,
    /// Doubts raised during the run, in words.
    pub warnings: Vec<String>,
}

/// One stage of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageRecord {
    /// Its name.
    pub name: String,
    /// Content hash of its configuration and inputs (see [`digest::of_json`]).
    pub hash: String,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Whether an earlier run's result was taken.
    pub reused: bool,
}

impl Manifest {
    /// A record that begins now, on this machine, in the current folder.
    pub fn new(command: Vec<String>, config: Value) -> Self {
        Self {
            schema: "residuum-run/1".to_owned(),
            created: time::utc_now(),
            command,
            config,
            versions: BTreeMap::from([
                ("residuum".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
                ("commit".to_owned(), env!("RESIDUUM_COMMIT").to_owned()),
                ("hdf5".to_owned(), hdf5_version()),
                ("kernels".to_owned(), Simd::here().name().to_owned()),
            ]),
            git: std::env::current_dir().ok().and_then(|d| git_commit(&d)),
            hardware: Hardware::probe(),
            ..Self::default()
        }
    }

    /// Hashes the file at `path` and records it as read.
    ///
    /// # Errors
    /// `Missing` or `Io`.
    pub fn add_input(&mut self, path: &Path) -> Result<()> {
        let hash = digest::of_file(path)?;
        self.inputs.insert(path.display().to_string(), hash);
        Ok(())
    }

    /// Hashes the file at `name` in the run folder and records it as written.
    ///
    /// # Errors
    /// `Missing` or `Io`.
    pub fn add_output(&mut self, folder: &Path, name: &str) -> Result<()> {
        let hash = digest::of_file(&folder.join(name))?;
        self.outputs.insert(name.to_owned(), hash);
        Ok(())
    }

    /// Writes `manifest.json` in the run folder, as a whole.
    ///
    /// # Errors
    /// As [`atomic::write`].
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE_NAME);
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|source| StoreError::Json { path: path.clone(), source })?;
        text.push('\n');
        atomic::write(&path, text.as_bytes())
    }

    /// Reads `manifest.json` of a run folder.
    ///
    /// # Errors
    /// `Missing`, `Io`, or `Json` with line and column.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE_NAME);
        let text = fs::read(&path).map_err(|e| from_io(&path, e))?;
        serde_json::from_slice(&text).map_err(|source| StoreError::Json { path, source })
    }

    /// The recorded outputs that are missing from `folder` or have other content.
    ///
    /// # Errors
    /// `Io` if an output is there but cannot be read.
    pub fn changed_outputs(&self, folder: &Path) -> Result<Vec<String>> {
        let mut changed = Vec::new();
        for (name, hash) in &self.outputs {
            match digest::of_file(&folder.join(name)) {
                Ok(now) if now == *hash => {}
                Ok(_) | Err(StoreError::Missing { .. }) => changed.push(name.clone()),
                Err(e) => return Err(e),
            }
        }
        Ok(changed)
    }
}

/// Refuses a file that a finished run wrote and that is not what it wrote: its digest is held against the
/// record in its folder, or in one of the two above. A file that no record names is taken as it is.
///
/// # Errors
/// `Altered`; `Io` where it cannot be read.
pub fn hold_to_record(path: &Path) -> Result<()> {
    let Ok(real) = fs::canonicalize(path) else { return Ok(()) };
    for folder in real.ancestors().skip(1).take(3) {
        let Ok(record) = Manifest::read(folder) else { continue };
        let name = real.strip_prefix(folder).unwrap_or(&real).to_string_lossy().into_owned();
        let Some(then) = record.outputs.get(&name) else { continue };
        // The record of a run at work is older than its files.
        if record.finished.is_some() && digest::of_file(&real)? != *then {
            let record = folder.join(FILE_NAME);
            return Err(StoreError::Altered { path: path.into(), record });
        }
        return Ok(());
    }
    Ok(())
}

/// Version of the libhdf5 in use.
pub fn hdf5_version() -> String {
    let (major, minor, patch) = hdf5::library_version();
    format!("{major}.{minor}.{patch}")
}

/// The commit checked out in the repository that holds `folder`, if there is one.
/// Reads the repository's own files; no git program is needed.
fn git_commit(folder: &Path) -> Option<String> {
    let git = folder
        .ancestors()
        .map(|f| f.join(".git"))
        .find(|g| g.exists())
        .and_then(|g| git_folder(&g))?;
    let head = read_line(&git.join("HEAD"))?;
    let Some(name) = head.strip_prefix("ref: ") else {
        return is_commit(&head).then_some(head);
    };
    // A linked work tree keeps its branches in the folder it shares.
    let shared = read_line(&git.join("commondir")).map_or_else(|| git.clone(), |c| git.join(c));
    let commit = read_line(&shared.join(name)).or_else(|| {
        let packed = fs::read_to_string(shared.join("packed-refs")).ok()?;
        packed.lines().find_map(|line| {
            let (commit, packed_name) = line.split_once(' ')?;
            (packed_name == name).then(|| commit.to_owned())
        })
    })?;
    is_commit(&commit).then_some(commit)
}

/// `.git` is a folder, or in a linked work tree a file that names one.
fn git_folder(git: &Path) -> Option<PathBuf> {
    if git.is_dir() {
        return Some(git.to_path_buf());
    }
    let line = read_line(git)?;
    Some(git.parent()?.join(line.strip_prefix("gitdir: ")?))
}

fn read_line(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|s| s.trim().to_owned())
}

fn is_commit(text: &str) -> bool {
    text.len() >= 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_finished_run_wrote_is_held_to_its_digest() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("deep/a.h5");
        fs::create_dir(dir.path().join("deep")).unwrap();
        fs::write(&file, "as it was").unwrap();
        let mut m = Manifest::new(vec![], json!({}));
        m.add_output(dir.path(), "deep/a.h5").unwrap();
        m.write(dir.path()).unwrap();
        fs::write(&file, "as it wos").unwrap();
        hold_to_record(&file).unwrap();
        m.finished = Some(time::utc_now());
        m.write(dir.path()).unwrap();
        let error = hold_to_record(&file).unwrap_err().to_string();
        assert!(error.contains("deep/a.h5") && error.contains("manifest.json"), "{error}");
        fs::write(&file, "as it was").unwrap();
        hold_to_record(&file).unwrap();
        hold_to_record(&dir.path().join("absent")).unwrap();
    }

    #[test]
    fn a_build_names_the_commit_that_it_comes_from() {
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        let here = own.join(".git").exists().then(|| git_commit(own)).flatten();
        assert!(env!("RESIDUUM_COMMIT").starts_with(&here.unwrap_or_default()));
    }

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("results.h5"), b"numbers").unwrap();
        let mut record = Manifest::new(vec!["residuum".into(), "run".into()], json!({"n": 3}));
        record.seeds.insert("bootstrap".into(), u64::MAX);
        record.add_output(dir.path(), "results.h5").unwrap();
        record.add_input(&dir.path().join("results.h5")).unwrap();
        record.stages.push(StageRecord {
            name: "capture".into(),
            hash: digest::of_json(&record.config),
            seconds: 1.25,
            reused: false,
        });
        record.write(dir.path()).unwrap();
        assert_eq!(Manifest::read(dir.path()).unwrap(), record);
    }

    #[test]
    fn a_changed_or_missing_output_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let mut record = Manifest::new(vec![], json!({}));
        for name in ["same", "changed", "missing"] {
            fs::write(dir.path().join(name), name).unwrap();
            record.add_output(dir.path(), name).unwrap();
        }
        assert!(record.changed_outputs(dir.path()).unwrap().is_empty());
        fs::write(dir.path().join("changed"), "other").unwrap();
        fs::remove_file(dir.path().join("missing")).unwrap();
        let changed = record.changed_outputs(dir.path()).unwrap();
        assert_eq!(changed, ["changed", "missing"]);
    }

    #[test]
    fn a_broken_record_is_refused_with_its_path() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE_NAME), b"{\"schema\": ").unwrap();
        let error = Manifest::read(dir.path()).unwrap_err();
        assert!(error.to_string().contains(FILE_NAME), "{error}");
    }

    #[test]
    fn the_commit_is_found_loose_packed_and_detached() {
        let dir = tempfile::tempdir().unwrap();
        let git = dir.path().join(".git");
        let inner = dir.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        assert_eq!(git_commit(&inner), None);
        fs::create_dir_all(git.join("refs/heads")).unwrap();
        let (one, two) = ("1".repeat(40), "2".repeat(40));
        fs::write(git.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        assert_eq!(git_commit(&inner), None);
        fs::write(git.join("packed-refs"), format!("# pack\n{one} refs/heads/main\n")).unwrap();
        assert_eq!(git_commit(&inner), Some(one.clone()));
        fs::write(git.join("refs/heads/main"), format!("{two}\n")).unwrap();
        assert_eq!(git_commit(&inner), Some(two));
        fs::write(git.join("HEAD"), format!("{one}\n")).unwrap();
        assert_eq!(git_commit(&inner), Some(one));
    }
}
