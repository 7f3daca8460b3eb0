//! The HDF5 schema `residuum/2`: files that begin alike and attributes.
//!
//! Every file begins with the same root attributes ([`RootAttrs`]): what made it, from
//! which model, under which layer convention. `new_file` writes them and [`open`] demands
//! them, so an open file is one of ours. Groups are made by the way, and names that
//! could leave their group are refused.
//!
//! [`open`] tells apart what is wrong with a file that cannot be read, in the order
//! missing, not HDF5, damaged, foreign, another schema. libhdf5's own report to
//! stderr is silenced; its cause is carried in [`StoreError`] instead.

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::path::Path;

use hdf5::dataset::Layout;
use hdf5::types::VarLenUnicode;
use hdf5::{File, Group, LinkType, Location};
use serde_json::Value;

use super::error::{from_hdf5, from_io, from_open, Result, StoreError};
use super::hardware::Hardware;
use super::time;
use super::values::{self, AttrValue};

/// Name and version of the layout.
pub const SCHEMA: &str = "residuum/2";

/// Index l is the output of block l, counted from 0; embeddings are separate.
pub const LAYER_CONVENTION: &str = "block_output_0based";

/// The attributes at the root of every file.
#[derive(Debug, Clone, PartialEq)]
pub struct RootAttrs {
    /// When the file was made, UTC.
    pub created: String,
    /// Version of the toolkit.
    pub version: String,
    /// Commit that the toolkit was built from, `-dirty` behind it where files differed; empty where
    /// that is not known.
    pub git: String,
    /// The command line, joined by spaces.
    pub command: String,
    /// The resolved configuration.
    pub config: Value,
    /// The run's master seed.
    pub seed: u64,
    /// The model, as the user named it.
    pub model_id: String,
    /// Digest of its weights.
    pub model_sha256: String,
    /// Which residual an index names; see [`LAYER_CONVENTION`].
    pub layer_convention: String,
    /// Digest of its chat template; empty where it has none.
    pub chat_template_sha256: String,
    /// Processor, cores, memory and system of the machine that wrote the file; empty in files that do not
    /// say it.
    pub hardware: String,
    /// What the model's files leave in doubt; the attribute is left out where there is nothing.
    pub warnings: Vec<String>,
}

/// An attribute that is a text.
type TextField = (&'static str, fn(&mut RootAttrs) -> &mut String);

/// The attributes that are texts, in the order in which they are written.
const TEXTS: [TextField; 8] = [
    ("created", |a| &mut a.created),
    ("version", |a| &mut a.version),
    ("git", |a| &mut a.git),
    ("command", |a| &mut a.command),
    ("model_id", |a| &mut a.model_id),
    ("model_sha256", |a| &mut a.model_sha256),
    ("layer_convention", |a| &mut a.layer_convention),
    ("chat_template_sha256", |a| &mut a.chat_template_sha256),
];

/// The text behind which the configuration is written.
const CONFIG: usize = 3;

impl RootAttrs {
    /// Attributes of a file made now by this version, of no model yet.
    pub fn new(command: &str, config: Value, seed: u64) -> Self {
        Self {
            created: time::utc_now(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            git: env!("RESIDUUM_COMMIT").to_owned(),
            command: command.to_owned(),
            config,
            seed,
            model_id: String::new(),
            model_sha256: String::new(),
            layer_convention: LAYER_CONVENTION.to_owned(),
            chat_template_sha256: String::new(),
            hardware: Hardware::probe().to_string(),
            warnings: Vec::new(),
        }
    }

    /// Writes the root attributes of a new file; errors name `path`.
    pub(crate) fn write(&self, file: &File, path: &Path) -> Result<()> {
        let mut own = self.clone();
        let put =
            |name: &str, text: &str| write_attr(file, path, "/", name, &AttrValue::from(text));
        put("schema", SCHEMA)?;
        for (i, (name, field)) in TEXTS.into_iter().enumerate() {
            put(name, field(&mut own))?;
            if i == CONFIG {
                put("config", &self.config.to_string())?;
            }
        }
        if !self.hardware.is_empty() {
            put("hardware", &self.hardware)?;
        }
        if !self.warnings.is_empty() {
            let texts = AttrValue::Texts(self.warnings.clone());
            write_attr(file, path, "/", "warnings", &texts)?;
        }
        file.new_attr::<u64>()
            .create("seed")
            .and_then(|a| a.write_scalar(&self.seed))
            .map_err(|e| from_hdf5(path, "/@seed", &e))
    }

    fn read(file: &File, path: &Path) -> Result<Self> {
        let text = |name: &str| read_text(file, path, "/", name);
        let config = text("config")?;
        let warnings = match read_attr(file, path, "/", "warnings") {
            Ok(AttrValue::Texts(texts)) => texts,
            Ok(_) | Err(StoreError::NoObject { .. }) => Vec::new(),
            Err(e) => return Err(e),
        };
        let config = serde_json::from_str(&config)
            .map_err(|source| StoreError::Json { path: path.to_path_buf(), source })?;
        let seed = file.attr("seed").and_then(|a| a.read_scalar());
        let seed = seed.map_err(|e| from_hdf5(path, "/@seed", &e))?;
        let hardware = match text("hardware") {
            Err(StoreError::NoObject { .. }) => String::new(),
            read => read?,
        };
        let mut attrs = Self { warnings, hardware, ..Self::new("", config, seed) };
        for (name, field) in TEXTS {
            *field(&mut attrs) = text(name)?;
        }
        Ok(attrs)
    }
}

/// Opens a file of this schema for reading, with its root attributes.
///
/// # Errors
/// `Missing`, `Io`, `NotHdf5`, `Busy`, `Damaged`, `Foreign` or `OtherSchema`.
pub fn open(path: &Path) -> Result<(File, RootAttrs)> {
    const SIGNATURE: [u8; 8] = *b"\x89HDF\r\n\x1a\n";
    let mut head = Vec::new();
    fs::File::open(path)
        .and_then(|f| f.take(8).read_to_end(&mut head))
        .map_err(|e| from_io(path, e))?;
    if head != SIGNATURE {
        return Err(StoreError::NotHdf5 { path: path.to_path_buf() });
    }
    hdf5::silence_errors(true);
    let file = File::open(path).map_err(|e| from_open(path, &e))?;
    match read_attr(&file, path, "/", "schema") {
        Ok(AttrValue::Text(found)) if found == SCHEMA => {}
        Ok(AttrValue::Text(found)) if found.starts_with("residuum/") => {
            let (path, expected) = (path.to_path_buf(), SCHEMA.to_owned());
            return Err(StoreError::OtherSchema { path, found, expected });
        }
        _ => return Err(StoreError::Foreign { path: path.to_path_buf() }),
    }
    bounded(&file, path)?;
    let attrs = RootAttrs::read(&file, path)?;
    Ok((file, attrs))
}

/// Refuses what nobody could read to its end: a group that is linked twice, and so may hold itself, and an
/// array of more numbers than its file can hold, packed as tightly as deflate can.
fn bounded(file: &File, path: &Path) -> Result<()> {
    const DEFLATE: u64 = 1032;
    let damaged = |detail| StoreError::Damaged { path: path.to_path_buf(), detail };
    let most = file.size().saturating_mul(DEFLATE);
    let root = file.group("/").map_err(|e| from_hdf5(path, "/", &e))?;
    let (mut seen, mut waiting) = (HashSet::new(), vec![root]);
    while let Some(group) = waiting.pop() {
        let at = group.name();
        let fail = |e: hdf5::Error| from_hdf5(path, &at, &e);
        let info = group.loc_info().map_err(fail)?;
        if !seen.insert(format!("{:?}", info.token)) {
            return Err(damaged(format!("the group `{at}` is linked twice and may hold itself")));
        }
        let links = group.links(Default::default(), Default::default()).map_err(fail)?;
        for (name, _) in links.into_iter().filter(|l| l.1.link_type == LinkType::Hard) {
            if let Ok(inner) = group.group(&name) {
                waiting.push(inner);
            } else if let Ok(dataset) = group.dataset(&name) {
                // A virtual array's numbers are in another file, which is held against this, too.
                let elsewhere = dataset.layout() == Layout::Virtual;
                let width = dataset.dtype().map_or(1, |t| t.size()) as u64;
                let each = dataset.shape().into_iter().map(|n| n as u64);
                let bytes = each.fold(width, u64::saturating_mul);
                if bytes > most && !elsewhere {
                    let object = dataset.name();
                    return Err(damaged(format!("`{object}` claims {bytes} bytes")));
                }
            }
        }
    }
    Ok(())
}

/// Writes an attribute of the object `object`, which is at `location`.
pub(crate) fn write_attr(
    location: &Location,
    path: &Path,
    object: &str,
    name: &str,
    value: &AttrValue,
) -> Result<()> {
    let full = format!("{object}@{name}");
    let text = |t: &str| {
        values::to_hdf5(t)
            .ok_or_else(|| StoreError::NulInText { path: path.to_path_buf(), object: full.clone() })
    };
    let written = match value {
        AttrValue::Text(t) => {
            let t = text(t)?;
            location.new_attr::<VarLenUnicode>().create(name).and_then(|a| a.write_scalar(&t))
        }
        AttrValue::Int(v) => {
            location.new_attr::<i64>().create(name).and_then(|a| a.write_scalar(v))
        }
        AttrValue::Real(v) => {
            location.new_attr::<f64>().create(name).and_then(|a| a.write_scalar(v))
        }
        AttrValue::Texts(list) => {
            let list = list.iter().map(|t| text(t)).collect::<Result<Vec<_>, _>>()?;
            let attr = location.new_attr::<VarLenUnicode>().shape(list.len()).create(name);
            attr.and_then(|a| a.write(&list))
        }
    };
    written.map_err(|e| from_hdf5(path, &full, &e))
}

/// Reads an attribute of the object `object`, which is at `location`.
pub(crate) fn read_attr(
    location: &Location,
    path: &Path,
    object: &str,
    name: &str,
) -> Result<AttrValue> {
    use hdf5::types::TypeDescriptor as Type;
    let full = format!("{object}@{name}");
    let fail = |e: hdf5::Error| from_hdf5(path, &full, &e);
    let present = location.attr_names().map_err(fail)?;
    if !present.iter().any(|n| n == name) {
        return Err(StoreError::no_object(path, full, &present));
    }
    let attr = location.attr(name).map_err(fail)?;
    let kind = attr.dtype().and_then(|t| t.to_descriptor()).map_err(fail)?;
    match (kind, attr.ndim()) {
        (Type::VarLenUnicode | Type::VarLenAscii, 0) => {
            attr.read_scalar::<VarLenUnicode>().map(|t| AttrValue::Text(values::from_hdf5(&t)))
        }
        (Type::VarLenUnicode | Type::VarLenAscii, 1) => attr
            .read_raw::<VarLenUnicode>()
            .map(|l| AttrValue::Texts(l.iter().map(values::from_hdf5).collect())),
        (Type::Integer(_) | Type::Unsigned(_), 0) => attr.read_scalar().map(AttrValue::Int),
        (Type::Float(_), 0) => attr.read_scalar().map(AttrValue::Real),
        (other, ndim) => {
            let found = format!("{other} of {ndim} dimensions");
            let expected = "a text, a number or a list of texts";
            return Err(StoreError::wrong_kind(path, full, expected, found));
        }
    }
    .map_err(fail)
}

/// Reads an attribute that is one text.
pub(crate) fn read_text(
    location: &Location,
    path: &Path,
    object: &str,
    name: &str,
) -> Result<String> {
    match read_attr(location, path, object, name)? {
        AttrValue::Text(text) => Ok(text),
        other => {
            let (full, found) = (format!("{object}@{name}"), format!("{other:?}"));
            Err(StoreError::wrong_kind(path, full, "a text", found))
        }
    }
}

/// The array, table or group `name`, if there is one; empty or `/` is the root.
pub(crate) fn located(file: &File, name: &str) -> Option<Location> {
    let name = name.trim_matches('/');
    if let Ok(dataset) = file.dataset(name) {
        return Some(Location::clone(&dataset));
    }
    let group = file.group(if name.is_empty() { "/" } else { name }).ok()?;
    Some(Location::clone(&group))
}

/// The group at `name` (parts separated by `/`) under the root, made where needed.
pub(crate) fn require_group(file: &File, path: &Path, name: &str) -> Result<Group> {
    let fail = |e: hdf5::Error| from_hdf5(path, name, &e);
    let mut group = file.group("/").map_err(fail)?;
    for part in name.split('/').filter(|p| !p.is_empty()) {
        check_name("a group", part)?;
        group = if group.link_exists(part) {
            group.group(part)
        } else {
            group.create_group_builder().obj_track_times(false).create(part)
        }
        .map_err(fail)?;
    }
    Ok(group)
}

/// Refuses names that would not be one level of a path.
pub(crate) fn check_name(what: &'static str, name: &str) -> Result<()> {
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0']) {
        return Err(StoreError::BadName { what, name: name.to_owned() });
    }
    Ok(())
}

/// Full name of `name` in `group`.
pub(crate) fn object(group: &Group, name: &str) -> String {
    format!("{}/{name}", group.name().trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::new_file::NewFile;

    #[test]
    fn files_that_cannot_be_read_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.h5");
        assert!(matches!(open(&path), Err(StoreError::Missing { .. })));
        for text in [&b""[..], b"\x89HDF", b"PK\x03\x04 and more than eight bytes"] {
            fs::write(&path, text).unwrap();
            assert!(matches!(open(&path), Err(StoreError::NotHdf5 { .. })));
        }
        drop(File::create(&path).unwrap());
        assert!(matches!(open(&path), Err(StoreError::Foreign { .. })));
        let file = File::create(&path).unwrap();
        write_attr(&file, &path, "/", "schema", &"residuum/99".into()).unwrap();
        drop(file);
        let error = open(&path).unwrap_err();
        assert!(matches!(error, StoreError::OtherSchema { .. }), "{error}");
        let file = File::create(&path).unwrap();
        write_attr(&file, &path, "/", "schema", &"residuum/1".into()).unwrap();
        drop(file);
        let error = open(&path).unwrap_err().to_string();
        assert!(error.contains("residuum 0.1"), "{error}");
    }

    #[test]
    fn a_file_cut_anywhere_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.h5");
        let attrs = RootAttrs::new("test", Value::Null, 0);
        let file = NewFile::create(&path, &attrs).unwrap();
        let data = ndarray::ArrayD::<f64>::zeros(vec![40, 40]);
        crate::store::datasets::write_array(&file, &path, "x", &data.view()).unwrap();
        file.finish(&path).unwrap();
        let whole = fs::read(&path).unwrap();
        for part in [9, 60, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..part]).unwrap();
            let error = open(&path).unwrap_err();
            assert!(matches!(error, StoreError::Damaged { .. }), "{part}: {error}");
        }
    }

    #[test]
    fn a_locked_file_is_told_from_a_damaged_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.h5");
        let attrs = RootAttrs::new("test", Value::Null, 0);
        NewFile::create(&path, &attrs).unwrap().finish(&path).unwrap();
        let other = fs::File::open(&path).unwrap();
        other.lock().unwrap();
        let error = open(&path).unwrap_err();
        assert!(matches!(error, StoreError::Busy { .. }), "{error}");
        other.unlock().unwrap();
        open(&path).unwrap();
    }

    #[test]
    fn root_attributes_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.h5");
        let mut attrs = RootAttrs::new("run é", serde_json::json!({"a": [1, "ü"]}), u64::MAX);
        attrs.model_id = "org/name".into();
        attrs.config["long"] = "x".repeat(200_000).into();
        attrs.warnings = vec!["w one".into(), "w two".into()];
        NewFile::create(&path, &attrs).unwrap().finish(&path).unwrap();
        assert_eq!(open(&path).unwrap().1, attrs);
    }
}
