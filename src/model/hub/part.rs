//! A file that is being fetched, shared by the processes that want it.
//!
//! The part lies beside its target under one name and is held by a lock, so that of two processes
//! one fetches and the other waits and then finds the target; when the first dies, the second goes
//! on from what it left. A part is emptied rather than deleted, for another may wait for its lock.

use crate::model::hub::Say;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

pub(crate) struct Part {
    pub file: File,
    path: PathBuf,
}

impl Part {
    /// The part of `target`, locked. Where the file system knows no locks, one of this process alone.
    pub fn of(target: &Path, say: Say) -> std::io::Result<Part> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let path = target.with_file_name(format!(".{name}.partial"));
        let file = open(&path)?;
        let locked = match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                say(&format!("waiting for another process that is fetching {name}"));
                file.lock()
            }
            Err(TryLockError::Error(e)) => Err(e),
            Ok(()) => Ok(()),
        };
        match locked {
            Ok(()) => Ok(Part { file, path }),
            Err(_) => {
                let own = format!(".{name}.{}.partial", std::process::id());
                let path = target.with_file_name(own);
                Ok(Part { file: open(&path)?, path })
            }
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    #[cfg(feature = "hub")]
    pub fn len(&self) -> std::io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    pub fn empty(&self) -> std::io::Result<()> {
        self.file.set_len(0)
    }

    /// Removes the empty part that was made where another's had just become the target.
    #[cfg(feature = "hub")]
    pub fn unneeded(self) {
        if self.path.metadata().is_ok_and(|m| m.len() == 0) {
            let _ = std::fs::remove_file(&self.path);
        }
    }

    /// The part becomes its target.
    pub fn finish(self, target: &Path) -> std::io::Result<()> {
        self.file.sync_all()?;
        std::fs::rename(&self.path, target)
    }
}

/// Written at its end, whatever its length is then.
fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn one_writes_and_the_other_waits_for_what_becomes_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("blob");
        let mut first = Part::of(&target, &mut |_| {}).unwrap();
        std::thread::scope(|scope| {
            let (told, waits) = std::sync::mpsc::channel();
            let target = &target;
            let other = scope.spawn(move || {
                let part = Part::of(target, &mut |line| told.send(line.to_string()).unwrap());
                part.map(|_| std::fs::read(target).unwrap())
            });
            assert!(waits.recv().unwrap().contains("waiting"));
            first.file.write_all(b"whole").unwrap();
            first.finish(target).unwrap();
            assert_eq!(other.join().unwrap().unwrap(), b"whole");
        });
    }
}
