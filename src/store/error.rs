//! The ways in which the disk can be wrong.
//!
//! Each variant of [`StoreError`] is one such way; its sentence names the file, the
//! object inside it and what to do. Two translations live here because they need
//! judgement: an `io::Error` and an HDF5 error stack are both read for a full disk
//! and for a folder that cannot be written, since libhdf5 reports either only as
//! "file write failed" with the cause several frames down.

use std::io;
use std::path::{Path, PathBuf};

/// What the room gives, or how the disk was wrong.
pub(crate) type Result<T, E = StoreError> = std::result::Result<T, E>;

/// One way in which a file, a folder or an object in a file can be wrong.
// What a variant is, its message says.
#[allow(missing_docs)]
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Two rows of a record stand in one cell.
    #[error("{path}: {object} has two rows for {cell}; a grid has one a cell")]
    TwiceInGrid { path: PathBuf, object: String, cell: String },
    /// What stands in the place of a record is of other columns.
    #[error("{path}: {object} lacks `{field}`, or it is of another kind; the file is of another version")]
    OtherColumns { path: PathBuf, object: String, field: String },
    /// A folder refuses new files.
    #[error("cannot write in {folder}: {source}; choose another output folder or change its permissions", folder = .folder.display())]
    Unwritable { folder: PathBuf, source: io::Error },
    /// The disk or the quota is full.
    #[error("the disk is full while writing {path}: nothing was kept; free space or choose another output folder", path = .path.display())]
    DiskFull { path: PathBuf },
    /// A file that should be there is not.
    #[error("{path} does not exist: check the path, or run the stage that writes it", path = .path.display())]
    Missing { path: PathBuf },
    /// Any other failure of the file system.
    #[error("{path}: {source}; check that the file is readable and try again", path = .path.display())]
    Io { path: PathBuf, source: io::Error },
    /// A line of a JSON Lines file that is no row of its kind.
    #[error("{path}, line {line}: not such a row ({detail}); give another file, or remove the line if it is damaged", path = .path.display())]
    BadLine { path: PathBuf, line: usize, detail: String },
    /// A file of rows that is no text.
    #[error("{path}, line {line}: {why}", path = .path.display())]
    NotText { path: PathBuf, line: usize, why: String },
    /// A file that is not what its run wrote.
    #[error("{path} is not as {record} says it was written, so it was changed or damaged since: write it again with the command that made it, or bring back a copy", path = .path.display(), record = .record.display())]
    Altered { path: PathBuf, record: PathBuf },
    /// A file that does not begin like HDF5.
    #[error("{path} is not an HDF5 file: give the results.h5 or the activation file of a run", path = .path.display())]
    NotHdf5 { path: PathBuf },
    /// A file that begins like HDF5 but cannot be opened.
    #[error("{path} is truncated or damaged ({detail}): write it again with the command or the stage that made it", path = .path.display())]
    Damaged { path: PathBuf, detail: String },
    /// An output that another process writes to.
    #[error("{path} is in use by {by}: wait until that ends, or give another place; where it surely no longer runs, delete {lock}", path = .path.display(), lock = .lock.display())]
    InUse { path: PathBuf, by: String, lock: PathBuf },
    /// An HDF5 file that another program has locked.
    #[error("{path} is open for writing in another program: close it there and try again", path = .path.display())]
    Busy { path: PathBuf },
    /// An HDF5 file of another program.
    #[error("{path} is an HDF5 file without the root attribute `schema`: it was not written by residuum", path = .path.display())]
    Foreign { path: PathBuf },
    /// A file of another schema version.
    #[error("{path} has schema `{found}` and this version reads `{expected}`: {}", reader(.found), path = .path.display())]
    OtherSchema { path: PathBuf, found: String, expected: String },
    /// An object that the file lacks.
    #[error("{path} has no `{object}`; it has: {present}", path = .path.display())]
    NoObject { path: PathBuf, object: String, present: String },
    /// A group that is no record.
    #[error("`{object}` in {path} is a group, not rows; it has: {present}", path = .path.display())]
    NoRows { path: PathBuf, object: String, present: String },
    /// An object that is there but is of another kind than asked for.
    #[error("`{object}` in {path} is {found}, not {expected}: read it with the method for its kind", path = .path.display())]
    WrongKind { path: PathBuf, object: String, expected: &'static str, found: String },
    /// An array that does not fit the coordinates or the layout it is written to.
    #[error("`{object}` for {path} has shape {found:?} where {expected:?} is needed: check the order of the dimensions", path = .path.display())]
    Shape { path: PathBuf, object: String, expected: Vec<usize>, found: Vec<usize> },
    /// A dimension without a coordinate.
    #[error("`{object}` for {path} uses the dimension `{dimension}` which has no coordinate: call coord(\"{dimension}\", ...) before", path = .path.display())]
    UnknownDimension { path: PathBuf, object: String, dimension: String },
    /// A dimension used twice by one array.
    #[error("`{object}` for {path} uses the dimension `{dimension}` twice: name the two apart, such as `{dimension}_a` and `{dimension}_b`", path = .path.display())]
    RepeatedDimension { path: PathBuf, object: String, dimension: String },
    /// A second object of the same name.
    #[error("`{object}` is already in {path}: write each object once", path = .path.display())]
    NameTaken { path: PathBuf, object: String },
    /// A name that cannot be an object's or a file's.
    #[error("`{name}` cannot be the name of {what}: it must not be empty, `.` or `..`, begin with a dot or hold `/`, `\\` or NUL")]
    BadName { what: &'static str, name: String },
    /// A text with a NUL character, which HDF5 strings end at.
    #[error("a text of `{object}` for {path} holds a NUL character: remove it from the input", path = .path.display())]
    NulInText { path: PathBuf, object: String },
    /// An activation that is NaN or infinite.
    #[error("{object} for {path} holds {value}: the model's numbers overflowed there; look at the text and at any edit of the model", path = .path.display())]
    NotFinite { path: PathBuf, object: String, value: f32 },
    /// A value beyond the range of f16.
    #[error("{object} for {path} holds {value}, beyond the f16 range of 65504: store f32 (--store f32)", path = .path.display())]
    F16Overflow { path: PathBuf, object: String, value: f32 },
    /// Activations whose file is not there.
    #[error("`{object}` of {path} is in {file}, which is not in the folder of that file: copy it there with its folder, or run again", path = .path.display())]
    NoSource { path: PathBuf, object: String, file: String },
    /// Activations whose file is not the one that was there.
    #[error("`{object}` of {path} is in {file}, which is another file than when that was written ({digests}): bring back that file, or run again", path = .path.display())]
    OtherSource { path: PathBuf, object: String, file: String, digests: String },
    /// Any other failure of libhdf5.
    #[error("`{object}` in {path}: {detail}; if the file is damaged, write it again with the command or the stage that made it", path = .path.display())]
    Hdf5 { path: PathBuf, object: String, detail: String },
    /// A JSON file that does not parse.
    #[error("{path} is not a valid run record: {source}; restore it from the run folder or run again", path = .path.display())]
    Json { path: PathBuf, source: serde_json::Error },
    /// A writer that had already failed.
    #[error("the writer of {path} stopped earlier: its first error says why; nothing was kept", path = .path.display())]
    WriterStopped { path: PathBuf },
}

impl StoreError {
    pub(crate) fn no_object(path: &Path, object: impl Into<String>, present: &[String]) -> Self {
        let present = listed(present);
        StoreError::NoObject { path: path.into(), object: object.into(), present }
    }

    pub(crate) fn wrong_kind(
        path: &Path,
        object: impl Into<String>,
        expected: &'static str,
        found: impl Into<String>,
    ) -> Self {
        let (object, found) = (object.into(), found.into());
        StoreError::WrongKind { path: path.into(), object, expected, found }
    }

    pub(crate) fn shape(path: &Path, object: String, expected: &[usize], found: &[usize]) -> Self {
        let (expected, found) = (expected.to_vec(), found.to_vec());
        StoreError::Shape { path: path.into(), object, expected, found }
    }
}

/// Names for a sentence: `a, b, c`, or `nothing`.
pub(crate) fn listed(names: &[String]) -> String {
    if names.is_empty() {
        "nothing".into()
    } else {
        names.join(", ")
    }
}

/// What reads a file of another schema.
fn reader(found: &str) -> &'static str {
    match found {
        "residuum/1" => "it was written by residuum 0.1 before the redesign; read it with that version, or run again",
        _ => "read it with the version that wrote it, or run again",
    }
}

/// Translates an `io::Error` at `path`, singling out a full disk, an unwritable
/// folder and a missing file.
pub(crate) fn from_io(path: &Path, source: io::Error) -> StoreError {
    let path = path.to_path_buf();
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::DiskFull { path },
        io::ErrorKind::NotFound => StoreError::Missing { path },
        _ => StoreError::Io { path, source },
    }
}

/// Translates an HDF5 error about `object` in the file at `path`.
pub(crate) fn from_hdf5(path: &Path, object: &str, error: &hdf5::Error) -> StoreError {
    let (path, detail) = (path.to_path_buf(), detail(error));
    match is_disk_full(&detail) {
        true => StoreError::DiskFull { path },
        false => StoreError::Hdf5 { path, object: object.into(), detail },
    }
}

/// Translates the refusal of libhdf5 to open the file at `path`, which begins like HDF5.
pub(crate) fn from_open(path: &Path, error: &hdf5::Error) -> StoreError {
    let (path, detail) = (path.to_path_buf(), detail(error));
    match detail.contains("unable to lock file") {
        true => StoreError::Busy { path },
        false => StoreError::Damaged { path, detail },
    }
}

/// The outermost and the innermost frame of an HDF5 error stack, as one phrase.
fn detail(error: &hdf5::Error) -> String {
    let expanded = match error {
        hdf5::Error::HDF5(stack) => stack.clone().expand().ok(),
        _ => None,
    };
    let Some(stack) = expanded else {
        return error.to_string();
    };
    let frames: Vec<&str> = stack.iter().map(|frame| frame.desc()).collect();
    match frames[..] {
        [outer, .., inner] => format!("{outer}: {inner}"),
        [only] => only.to_owned(),
        [] => "no detail from libhdf5".to_owned(),
    }
}

fn is_disk_full(detail: &str) -> bool {
    detail.contains("No space left on device") || detail.contains("Disk quota exceeded")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_other_failures() {
        let path = Path::new("results.h5");
        let full = from_io(path, io::Error::from_raw_os_error(28));
        assert!(matches!(full, StoreError::DiskFull { .. }), "{full}");
        let other = from_io(path, io::Error::from_raw_os_error(5));
        assert!(matches!(other, StoreError::Io { .. }), "{other}");
        assert!(is_disk_full(
            "file write failed: errno = 28, error message = 'No space left on device'"
        ));
    }

    #[test]
    fn every_sentence_names_its_file() {
        let path = PathBuf::from("run/results.h5");
        let object = "geometry/cosine".to_owned();
        let shown = [
            StoreError::Damaged { path: path.clone(), detail: "short".into() },
            StoreError::Foreign { path: path.clone() },
            StoreError::UnknownDimension { path: path.clone(), object, dimension: "layer".into() },
        ];
        for error in shown {
            assert!(error.to_string().contains("run/results.h5"), "{error}");
        }
    }
}
