//! Virtual arrays: a name in one file for the numbers of another.
//!
//! HDF5 reads a virtual dataset as its fill value where the source is missing, and takes a file of the same
//! name in the working directory or below `HDF5_VDS_PREFIX` for it, without a word. So the group of a model
//! state carries [`SOURCES`], lines as `sha256sum` writes them, and [`behind`] reads the source itself: the
//! file of that name beside the results file, if it still is the one that was there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use hdf5::dataset::Layout;
use hdf5::{Dataset, File, Group};

use super::digest;
use super::error::{from_hdf5, Result, StoreError};
use super::schema::{self, object};
use super::values::AttrValue;

/// Attribute of a group with virtual arrays: a line `<SHA-256>  <file>` for each source, the file relative to
/// the folder of the results file.
pub(crate) const SOURCES: &str = "sources";

/// A line of [`SOURCES`].
pub(crate) fn line(digest: &str, file: &str) -> String {
    format!("{digest}  {file}")
}

/// Makes the array `name` of `group`, f32 whatever the width of its source, stand for `of` in `file`, which is
/// relative to the folder of `path`; NaN where that file is not there.
pub(crate) fn create(
    group: &Group,
    path: &Path,
    name: &str,
    (file, of): (&str, &Dataset),
) -> Result<Dataset> {
    let shape = of.shape();
    group
        .new_dataset::<f32>()
        .obj_track_times(false)
        .no_chunk()
        .fill_value(f32::NAN)
        .virtual_map(file, of.name(), &shape, .., &shape, ..)
        .shape(&shape)
        .create(name)
        .map_err(|e| from_hdf5(path, &object(group, name), &e))
}

/// Where the numbers of a virtual array are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// As the file names it.
    pub file: String,
    /// Array in that file.
    pub object: String,
}

/// The source of an array; none where the array has its own numbers.
pub(crate) fn source(dataset: &Dataset, path: &Path) -> Result<Option<Source>> {
    let fail = |e: hdf5::Error| from_hdf5(path, &dataset.name(), &e);
    let plist = dataset.dcpl().map_err(fail)?;
    if plist.get_layout().map_err(fail)? != Layout::Virtual {
        return Ok(None);
    }
    let mut maps = plist.get_virtual_map().map_err(fail)?;
    match (maps.pop(), maps.is_empty()) {
        (Some(map), true) => Ok(Some(Source { file: map.src_filename, object: map.src_dataset })),
        (map, _) => {
            let found = format!("of {} sources", maps.len() + usize::from(map.is_some()));
            Err(StoreError::wrong_kind(path, dataset.name(), "an array of one source", found))
        }
    }
}

/// The digest that `file` had when `results` was written, from the groups around `name`.
pub(crate) fn recorded(
    results: &File,
    path: &Path,
    name: &str,
    file: &str,
) -> Result<Option<String>> {
    let mut around = name.trim_matches('/');
    while let Some((parent, _)) = around.rsplit_once('/') {
        around = parent;
        let Some(at) = schema::located(results, around).filter(|at| at.attr(SOURCES).is_ok())
        else {
            continue;
        };
        let lines = match schema::read_attr(&at, path, around, SOURCES)? {
            AttrValue::Texts(lines) => lines,
            _ => Vec::new(),
        };
        let of = |l: &String| {
            l.split_once("  ").filter(|(_, f)| *f == file).map(|(digest, _)| digest.to_owned())
        };
        return Ok(lines.iter().find_map(of));
    }
    Ok(None)
}

/// Files that are known to be those which a results file was written with.
pub(crate) type Checked = Mutex<BTreeSet<PathBuf>>;

/// The array behind the virtual array `dataset` of `results`, which is at `path`.
///
/// # Errors
/// `NoSource` where the file is not there, `OtherSource` where it is another; those of opening it.
pub(crate) fn behind(
    (results, path): (&File, &Path),
    dataset: &Dataset,
    source: &Source,
    checked: &Checked,
) -> Result<Dataset> {
    let at = path.parent().unwrap_or(Path::new("")).join(&source.file);
    let (object, file) = (dataset.name(), source.file.clone());
    if !at.is_file() {
        return Err(StoreError::NoSource { path: path.into(), object, file });
    }
    let known = checked.lock().map(|known| known.contains(&at)).unwrap_or(false);
    if !known {
        let found = digest::of_file(&at)?;
        let expected = recorded(results, path, &object, &file)?;
        let expected = expected.unwrap_or_else(|| "not recorded".into());
        if found != expected {
            let digests = format!("SHA-256 {found}, then {expected}");
            return Err(StoreError::OtherSource { path: path.into(), object, file, digests });
        }
        if let Ok(mut known) = checked.lock() {
            known.insert(at.clone());
        }
    }
    let (held, _) = schema::open(&at)?;
    let behind = held.dataset(&source.object).map_err(|e| from_hdf5(&at, &source.object, &e))?;
    match behind.shape() == dataset.shape() {
        true => Ok(behind),
        false => Err(StoreError::shape(path, object, &behind.shape(), &dataset.shape())),
    }
}
