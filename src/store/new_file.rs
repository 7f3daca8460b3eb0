//! An HDF5 file being written, which appears whole or not at all.
//!
//! This joins a libhdf5 handle with the temporary file it writes to. A file that is
//! not finished is abandoned, not closed: after a failed write libhdf5 still holds
//! what it could not write, tries again on closing, and may abort the process when
//! that fails too, as it does on a full disk. The abandoned handle costs its caches until the
//! process ends; the temporary file is emptied, so its space is free at once.

use std::fs::OpenOptions;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::path::Path;

use hdf5::File;

use super::atomic::Pending;
use super::error::{from_hdf5, Result};
use super::schema::RootAttrs;

/// A file that its owner writes to and then finishes; dropping it abandons it.
#[derive(Debug)]
pub(crate) struct NewFile {
    file: ManuallyDrop<File>,
    pending: Option<Pending>,
}

impl NewFile {
    /// Begins a file with root attributes that will be at `path`.
    ///
    /// # Errors
    /// `Unwritable`, `DiskFull`, `NulInText` or `Hdf5`.
    pub(crate) fn create(path: &Path, attrs: &RootAttrs) -> Result<Self> {
        hdf5::silence_errors(true);
        let pending = Pending::new(path)?;
        // No lock: the file is under a name of its own until it is whole, and a process
        // started meanwhile would hold the lock for as long as it runs.
        // No times of objects: equal content is equal bytes, whenever it is written.
        let file = File::with_options()
            .with_fapl(|access| access.file_locking(false))
            .with_fcpl(|creation| creation.obj_track_times(false))
            .create(pending.path())
            .map_err(|e| from_hdf5(path, "/", &e))?;
        let new = Self { file: ManuallyDrop::new(file), pending: Some(pending) };
        attrs.write(&new, path)?;
        Ok(new)
    }

    /// Writes out what libhdf5 holds back, so that a full disk is met here.
    ///
    /// # Errors
    /// `DiskFull` or `Hdf5`.
    pub(crate) fn flush(&self, path: &Path) -> Result<()> {
        self.file.flush().map_err(|e| from_hdf5(path, "/", &e))
    }

    /// Closes the file and makes it appear at `path`. Datasets and groups of it must
    /// have been dropped.
    ///
    /// # Errors
    /// `DiskFull`, `Io` or `Hdf5`; nothing is then kept.
    pub(crate) fn finish(mut self, path: &Path) -> Result<()> {
        self.flush(path)?;
        let pending = self.pending.take();
        // SAFETY: `self.file` is not used again: `self` ends here, and neither its drop
        // nor that of its fields touches the handle.
        let file = unsafe { ManuallyDrop::take(&mut self.file) };
        file.close().map_err(|e| from_hdf5(path, "/", &e))?;
        pending.map_or(Ok(()), Pending::commit)
    }
}

impl Deref for NewFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        let open = |p: &Pending| OpenOptions::new().write(true).open(p.path()).ok();
        if let Some(file) = self.pending.as_ref().and_then(open) {
            let _ = file.set_len(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn a_file_being_written_is_not_locked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.h5");
        let attrs = RootAttrs::new("test", Value::Null, 0);
        let file = NewFile::create(&path, &attrs).unwrap();
        let pending = file.pending.as_ref().unwrap().path().to_path_buf();
        let other = std::fs::File::open(pending).unwrap();
        other.try_lock().unwrap();
        file.finish(&path).unwrap();
    }
}
