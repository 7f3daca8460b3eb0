//! Files that are whole or absent.
//!
//! A [`Pending`] file hands out a temporary path in the folder of its target; commit
//! flushes it to the disk and renames it, and dropping it without commit removes it. A target that
//! is a symbolic link stands for the file it leads to: that one is replaced and the link stays.
//! HDF5 files go the same way: libhdf5 writes to [`Pending::path`], the handle is
//! closed, then the guard commits. [`write()`] does all of it for bytes at hand.
//!
//! A killed process leaves its temporary file behind. Its name carries the process
//! id (`.results.h5.4711-0.part`), so [`clean_leftovers`] can tell a dead writer's
//! file from that of a run at work beside this one. The same process id seen again,
//! as happens in containers, is settled by a list of the files that are ours.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::error::{from_io, Result, StoreError};

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
        let temporary = folder.join(format!(".{name}.{}-{count}{SUFFIX}", std::process::id()));
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

/// Removes temporary files in `folder` whose writer is gone; returns how many.
/// A folder that does not exist holds none.
///
/// # Errors
/// `Unwritable` if a leftover cannot be removed, `Io` if the folder cannot be read.
pub fn clean_leftovers(folder: &Path) -> Result<usize> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(e) => return Err(from_io(folder, e)),
    };
    let mut removed = 0;
    for entry in entries {
        let path = entry.map_err(|e| from_io(folder, e))?.path();
        let Some(writer) = path.file_name().and_then(|n| n.to_str()).and_then(writer_of) else {
            continue;
        };
        if is_at_work(writer, &path) {
            continue;
        }
        match fs::remove_file(&path) {
            Ok(()) => removed += 1,
            // Two runs may clean the same folder.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(in_folder(folder, e)),
        }
    }
    Ok(removed)
}

/// The process id in the name of a temporary file, if it is one of ours.
fn writer_of(name: &str) -> Option<u32> {
    let stem = name.strip_prefix('.')?.strip_suffix(SUFFIX)?;
    let (pid, count) = stem.rsplit_once('.')?.1.split_once('-')?;
    count.parse::<u64>().ok()?;
    pid.parse().ok()
}

fn is_at_work(writer: u32, path: &Path) -> bool {
    if writer == std::process::id() {
        return ours().contains(path);
    }
    // Without /proc nothing is known of other processes: their files stay.
    !Path::new("/proc/self").exists() || Path::new(&format!("/proc/{writer}")).exists()
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
        let own = std::process::id();
        for dead in [".a.h5.4294967294-0.part".to_owned(), format!(".b.h5.{own}-999999.part")] {
            fs::write(dir.path().join(dead), b"x").unwrap();
        }
        for foreign in [".hidden.part", "notes.4294967294-0.part", ".c.h5.1-x.part"] {
            fs::write(dir.path().join(foreign), b"x").unwrap();
        }
        assert_eq!(clean_leftovers(dir.path()).unwrap(), 2);
        assert!(live.path().exists());
        assert_eq!(names(dir.path()).len(), 4);
        assert_eq!(clean_leftovers(&dir.path().join("absent")).unwrap(), 0);
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
