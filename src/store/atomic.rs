//! Files that are whole or absent.
//!
//! A [`Pending`] file hands out a temporary path in the folder of its target; commit
//! flushes it to the disk and renames it, and dropping it without commit removes it. A target that
//! is a symbolic link stands for the file it leads to: that one is replaced and the link stays.
//! HDF5 files go the same way: libhdf5 writes to [`Pending::path`], the handle is
//! closed, then the guard commits. [`write()`] does all of it for bytes at hand.
//!
//! A killed process leaves its temporary file behind. Its name carries the system and the
//! process id (`.results.h5.0f3a9c21-4711-0.part`), so [`clean_leftovers`] can tell a dead writer's
//! file from that of a run at work beside this one, here or on another host. The same process id
//! seen again, as happens in containers, is settled by a list of the files that are ours.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::error::{from_io, Result, StoreError};
use super::host::{host, started};

const SUFFIX: &str = ".part";

static COUNTER: AtomicU64 = AtomicU64::new(0);
static OURS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn ours() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    OURS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file being written under a temporary name in the folder of its target.
#[derive(Debug)]
pub struct Pending {
    temporary: PathBuf,
    target: PathBuf,
}

impl Pending {
    /// Creates the folder of `target` where needed and an empty temporary file in it.
    ///
    /// # Errors
    /// `Unwritable` if the folder cannot be made or refuses a file, `DiskFull`,
    /// `BadName` if `target` has no file name, `Missing` if it is a link that leads nowhere.
    pub fn new(target: &Path) -> Result<Self> {
        let led = target.is_symlink().then(|| fs::canonicalize(target)).transpose();
        let led = led.map_err(|e| from_io(target, e))?;
        let target = led.as_deref().unwrap_or(target);
        let name = target
            .file_name()
            .and_then(|n| n.to_str())
            .ok_or(StoreError::BadName { what: "a file", name: target.display().to_string() })?;
        let folder = folder_of(target);
        fs::create_dir_all(&folder).map_err(|e| in_folder(&folder, e))?;
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let (tag, process) = (&host().tag, std::process::id());
        let temporary = folder.join(format!(".{name}.{tag}-{process}-{count}{SUFFIX}"));
        // An earlier process of the same id may have died with this very name.
        let pending = Self { temporary: temporary.clone(), target: target.to_path_buf() };
        ours().insert(temporary.clone());
        File::create(&temporary).map_err(|e| in_folder(&folder, e))?;
        Ok(pending)
    }

    /// The temporary path to write to.
    pub fn path(&self) -> &Path {
        &self.temporary
    }

    /// The path that the file will have.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Flushes the temporary file to the disk and renames it to its target.
    /// Whoever wrote it must have closed it.
    ///
    /// # Errors
    /// `DiskFull` or `Io`; the temporary file is then removed.
    pub fn commit(self) -> Result<()> {
        let fail = |e| from_io(&self.target, e);
        let written = OpenOptions::new().write(true).open(&self.temporary);
        written.and_then(|f| f.sync_all()).map_err(fail)?;
        fs::rename(&self.temporary, &self.target).map_err(fail)?;
        // The rename itself reaches the disk with the folder; not all file systems
        // can open a folder, and the file is already whole.
        if let Ok(folder) = File::open(folder_of(&self.target)) {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.temporary);
        ours().remove(&self.temporary);
    }
}

/// Writes `bytes` to `path` as a whole or not at all.
///
/// # Errors
/// As [`Pending::new`] and [`Pending::commit`].
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let pending = Pending::new(path)?;
    fs::write(pending.path(), bytes).map_err(|e| from_io(path, e))?;
    pending.commit()
}

/// Removes temporary files in `folder`, and in folders `depth` deep below it, whose writer was a
/// process of this system and is gone; returns how many. A folder that does not exist holds none.
///
/// # Errors
/// `Unwritable` if a leftover cannot be removed, `Io` if the folder cannot be read.
pub fn clean_leftovers(folder: &Path, depth: usize) -> Result<usize> {
    let mut removed = 0;
    for (path, is_folder) in listed(folder)? {
        if is_folder && depth > 0 {
            removed += clean_leftovers(&path, depth - 1)?;
        } else if written_by(&path).is_some_and(|(_, by)| by.is_gone(&path)) {
            removed += remove(folder, &path)?;
        }
    }
    Ok(removed)
}

/// Removes temporary files of `target`, whoever wrote them: only for who holds its lock.
///
/// # Errors
/// As [`clean_leftovers`].
pub(crate) fn clean_of(target: &Path) -> Result<usize> {
    let (folder, name) = (folder_of(target), target.file_name().and_then(|n| n.to_str()));
    let mut removed = 0;
    for (path, _) in listed(&folder)? {
        if written_by(&path).is_some_and(|(of, _)| Some(&*of) == name) {
            removed += remove(&folder, &path)?;
        }
    }
    Ok(removed)
}

/// What is in a folder, and whether it is one itself, links not followed.
fn listed(folder: &Path) -> Result<Vec<(PathBuf, bool)>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(from_io(folder, e)),
    };
    let each = entries.map(|e| e.and_then(|e| Ok((e.path(), e.file_type()?.is_dir()))));
    each.collect::<io::Result<_>>().map_err(|e| from_io(folder, e))
}

fn remove(folder: &Path, path: &Path) -> Result<usize> {
    match fs::remove_file(path) {
        Ok(()) => Ok(1),
        // Two runs may clean the same folder.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(e) => Err(in_folder(folder, e)),
    }
}

/// The process that wrote a temporary file.
struct Writer {
    /// Tag of its system; empty where the name does not say.
    system: String,
    process: u32,
}

impl Writer {
    fn is_gone(&self, path: &Path) -> bool {
        match self.process == std::process::id() {
            true => self.system == host().tag && !ours().contains(path),
            false => self.system == host().tag && host().tells && started(self.process).is_none(),
        }
    }
}

/// The name of the target and the writer, if the file is one of ours.
fn written_by(path: &Path) -> Option<(String, Writer)> {
    let name = path.file_name()?.to_str()?;
    let (target, by) = name.strip_prefix('.')?.strip_suffix(SUFFIX)?.rsplit_once('.')?;
    let (by, count) = by.rsplit_once('-')?;
    count.parse::<u64>().ok()?;
    let (system, process) = by.rsplit_once('-').unwrap_or(("", by));
    Some((target.into(), Writer { system: system.into(), process: process.parse().ok()? }))
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

fn in_folder(folder: &Path, source: io::Error) -> StoreError {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            StoreError::DiskFull { path: folder.to_path_buf() }
        }
        _ => StoreError::Unwritable { folder: folder.to_path_buf(), source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_target_appears_only_at_commit_and_nothing_else_stays() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("deep/results.h5");
        let pending = Pending::new(&target).unwrap();
        fs::write(pending.path(), b"half").unwrap();
        assert!(!target.exists());
        fs::write(pending.path(), b"whole").unwrap();
        pending.commit().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"whole");
        assert_eq!(names(target.parent().unwrap()), ["results.h5"]);
    }

    #[test]
    fn a_dropped_file_leaves_the_old_one_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.json");
        write(&target, b"old").unwrap();
        let pending = Pending::new(&target).unwrap();
        fs::write(pending.path(), b"new").unwrap();
        drop(pending);
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(names(dir.path()), ["a.json"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_and_its_file_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("a.json"), dir.path().join("link"));
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let error = write(&link, b"new").unwrap_err();
        assert!(matches!(error, StoreError::Missing { .. }), "{error}");
        write(&file, b"old").unwrap();
        write(&link, b"new").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert!(link.is_symlink());
    }

    #[test]
    fn leftovers_of_the_dead_go_and_those_at_work_stay() {
        let dir = tempfile::tempdir().unwrap();
        let live = Pending::new(&dir.path().join("live.h5")).unwrap();
        let (tag, own) = (&host().tag, std::process::id());
        fs::create_dir(dir.path().join("csv")).unwrap();
        let dead = ["a.h5.TAG-4294967294-0", "b.h5.TAG-OWN-999999", "csv/.c.csv.TAG-4294967294-1"];
        let other = ["hidden", "a.h5.00000000-4294967294-0", "a.h5.4294967294-0", "c.h5.1-x"];
        for name in dead.iter().chain(&other) {
            let name = name.replace("TAG", tag).replace("OWN", &own.to_string());
            let dot = if name.starts_with("csv") { "" } else { "." };
            fs::write(dir.path().join(format!("{dot}{name}.part")), b"x").unwrap();
        }
        assert_eq!(clean_leftovers(dir.path(), 0).unwrap(), if host().tells { 2 } else { 1 });
        assert!(live.path().exists());
        assert_eq!(clean_leftovers(dir.path(), 1).unwrap(), usize::from(host().tells));
        assert_eq!(clean_leftovers(&dir.path().join("absent"), 1).unwrap(), 0);
        // Who holds the lock of a file knows that nobody else writes it.
        assert_eq!(clean_of(&dir.path().join("a.h5")).unwrap(), 2);
        assert!(live.path().exists() && dir.path().join(".c.h5.1-x.part").exists());
    }

    #[test]
    fn an_unwritable_folder_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let blocker = dir.path().join("file");
        fs::write(&blocker, b"x").unwrap();
        let error = write(&blocker.join("sub/a.json"), b"x").unwrap_err();
        assert!(matches!(error, StoreError::Unwritable { .. }), "{error}");
        assert!(error.to_string().contains("file/sub"), "{error}");
    }
}
