//! Reading `results.h5` back: arrays with their dimensions, tables, attributes.
//!
//! Names are paths such as `geometry/cosine`, with or without a leading `/`. Numbers
//! are returned as f64 whatever width they are stored in. Activations are read
//! from their own file beside `results.h5`, and refused where that is missing or another
//! (see [`super::virtuals`]). An unknown name is answered with what there is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hdf5::{Dataset, File, Group, LinkType};
use ndarray::ArrayD;

use super::datasets;
use super::error::{from_hdf5, listed, Result, StoreError};
use super::results::COORDS;
use super::scales::dimensions;
use super::schema::{self, RootAttrs};
use super::values::{AttrValue, Values};
use super::virtuals::{self, Checked};

/// An array with its dimensions.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedArray<T> {
    /// Name of each axis.
    pub dims: Vec<String>,
    /// Labels along each axis.
    pub coords: Vec<Values>,
    /// The numbers.
    pub data: ArrayD<T>,
}

/// What an object of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It holds others.
    Group,
    /// The labels of a dimension.
    Coordinate,
    /// Numbers or texts; a column of a table is one too.
    Array,
    /// A way into another file, as versions before 0.3 wrote for activations.
    Link,
}

/// One object of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Path from the root, without a leading `/`.
    pub path: String,
    /// What it is.
    pub kind: Kind,
}

/// An open results file.
#[derive(Debug)]
pub struct ResultsReader {
    pub(super) file: File,
    pub(super) path: PathBuf,
    attrs: RootAttrs,
    checked: Checked,
}

impl ResultsReader {
    /// Opens `path`.
    ///
    /// # Errors
    /// As [`schema::open`].
    pub fn open(path: &Path) -> Result<Self> {
        let (file, attrs) = schema::open(path)?;
        Ok(Self { file, path: path.to_path_buf(), attrs, checked: Checked::default() })
    }

    /// The root attributes.
    pub fn root_attrs(&self) -> &RootAttrs {
        &self.attrs
    }

    /// All coordinates by name.
    ///
    /// # Errors
    /// `Hdf5`.
    pub fn coords(&self) -> Result<BTreeMap<String, Values>> {
        if !self.file.link_exists(COORDS) {
            return Ok(BTreeMap::new());
        }
        let names = self.members(&self.group(COORDS)?)?.into_iter();
        names.map(|name| self.coord(&name).map(|values| (name, values))).collect()
    }

    /// The labels of one coordinate.
    ///
    /// # Errors
    /// `NoObject` or `Hdf5`.
    pub fn coord(&self, name: &str) -> Result<Values> {
        let dataset = self.dataset(&format!("{COORDS}/{name}"))?;
        datasets::read_values(&dataset, &self.path)
    }

    /// An array of numbers.
    ///
    /// # Errors
    /// `NoObject`, `WrongKind` or `Hdf5`; `NoSource` and `OtherSource` for activations.
    pub fn array(&self, name: &str) -> Result<NamedArray<f64>> {
        let dataset = self.dataset(name)?;
        let behind = self.behind(&dataset)?;
        let data = datasets::read_numbers(behind.as_ref().unwrap_or(&dataset), &self.path)?;
        self.named(name, &dataset, data)
    }

    /// An array of texts.
    ///
    /// # Errors
    /// As [`ResultsReader::array`].
    pub fn texts(&self, name: &str) -> Result<NamedArray<String>> {
        let dataset = self.dataset(name)?;
        let data = datasets::read_texts(&dataset, &self.path)?;
        self.named(name, &dataset, data)
    }

    /// The columns of a table, in the order in which they were written.
    ///
    /// # Errors
    /// `NoObject`, `WrongKind` or `Hdf5`.
    pub fn table(&self, name: &str) -> Result<Vec<(String, Values)>> {
        let name = name.trim_matches('/');
        let read = |column: String| {
            let dataset = self.dataset(&format!("{name}/{column}"))?;
            Ok((column, datasets::read_values(&dataset, &self.path)?))
        };
        self.fields(name)?.into_iter().map(read).collect()
    }

    /// Names of a record's fields in order.
    pub(super) fn fields(&self, record: &str) -> Result<Vec<String>> {
        let group = self.group(record)?;
        match schema::read_attr(&group, &self.path, record, "columns")? {
            AttrValue::Texts(columns) => Ok(columns),
            other => {
                let (at, found) = (format!("{record}@columns"), format!("{other:?}"));
                Err(StoreError::wrong_kind(&self.path, at, "a list of texts", found))
            }
        }
    }

    /// An attribute of an array, a table or a group; `/` is the root.
    ///
    /// # Errors
    /// `NoObject` or `WrongKind`.
    pub fn attr(&self, name: &str, attr: &str) -> Result<AttrValue> {
        let trimmed = name.trim_matches('/');
        let at = schema::located(&self.file, name).ok_or_else(|| self.absent(trimmed))?;
        let object = if trimmed.is_empty() { "/" } else { trimmed };
        schema::read_attr(&at, &self.path, object, attr)
    }

    /// All that the file holds, groups before what is in them, by name within a group.
    ///
    /// # Errors
    /// `Hdf5`.
    pub fn objects(&self) -> Result<Vec<Object>> {
        let root = self.file.group("/").map_err(|e| from_hdf5(&self.path, "/", &e))?;
        let mut found = Vec::new();
        self.walk(&root, "", &mut found)?;
        Ok(found)
    }

    fn walk(&self, group: &Group, prefix: &str, found: &mut Vec<Object>) -> Result<()> {
        let mut links = group
            .links(Default::default(), Default::default())
            .map_err(|e| from_hdf5(&self.path, prefix, &e))?;
        links.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, info) in links {
            let path = format!("{prefix}{name}");
            let inner = group.group(&name).ok().filter(|_| info.link_type == LinkType::Hard);
            let kind = match (&inner, group.dataset(&name)) {
                _ if info.link_type != LinkType::Hard => Kind::Link,
                (Some(_), _) => Kind::Group,
                (None, Ok(dataset)) if dataset.attr("CLASS").is_ok() => Kind::Coordinate,
                (None, _) => Kind::Array,
            };
            found.push(Object { path: path.clone(), kind });
            if let Some(inner) = inner {
                self.walk(&inner, &format!("{path}/"), found)?;
            }
        }
        Ok(())
    }

    /// The array that holds the numbers of a virtual one; none where it has its own.
    pub(super) fn behind(&self, dataset: &Dataset) -> Result<Option<Dataset>> {
        let source = virtuals::source(dataset, &self.path)?;
        let of = |s| virtuals::behind((&self.file, &self.path), dataset, &s, &self.checked);
        source.map(of).transpose()
    }

    fn named<T>(&self, name: &str, dataset: &Dataset, data: ArrayD<T>) -> Result<NamedArray<T>> {
        let dims = dimensions(dataset, &self.path)?;
        let group = name.trim_matches('/').rsplit_once('/').map_or("", |(g, _)| g);
        let labels = |(dim, n): (&String, &usize)| {
            let path = format!("{group}/{dim}");
            if dim.is_empty() || !self.file.link_exists(path.trim_start_matches('/')) {
                return Ok(Values::from((0..*n).collect::<Vec<usize>>()));
            }
            datasets::read_values(&self.dataset(&path)?, &self.path)
        };
        let coords: Vec<Values> =
            dims.iter().zip(data.shape()).map(labels).collect::<Result<_, _>>()?;
        let lengths: Vec<usize> = coords.iter().map(Values::len).collect();
        if lengths != data.shape() {
            let (object, expected, found) = (name.into(), lengths, data.shape().to_vec());
            return Err(StoreError::Shape { path: self.path.clone(), object, expected, found });
        }
        Ok(NamedArray { dims, coords, data })
    }

    pub(super) fn dataset(&self, name: &str) -> Result<Dataset> {
        let name = name.trim_matches('/');
        self.file.dataset(name).map_err(|_| self.absent(name))
    }

    pub(super) fn group(&self, name: &str) -> Result<Group> {
        self.file.group(name).map_err(|_| self.absent(name))
    }

    /// An unknown name, answered with the members of the deepest group that exists.
    fn absent(&self, name: &str) -> StoreError {
        let mut parents = name.rmatch_indices('/').map(|(at, _)| &name[..at]);
        let known = parents.find(|at| self.file.group(at).is_ok()).unwrap_or("");
        let group = self.file.group(if known.is_empty() { "/" } else { known });
        let present = group.and_then(|group| group.member_names()).unwrap_or_default();
        let place = if known.is_empty() { String::new() } else { format!(" (in {known})") };
        let present = listed(&present) + &place;
        StoreError::NoObject { path: self.path.clone(), object: name.to_owned(), present }
    }

    fn members(&self, group: &Group) -> Result<Vec<String>> {
        group.member_names().map_err(|e| from_hdf5(&self.path, &group.name(), &e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ResultsWriter;
    use ndarray::{array, Array, Array1, IxDyn};
    use proptest::prelude::*;

    fn attrs() -> RootAttrs {
        RootAttrs::new("test", serde_json::json!({}), 7)
    }

    fn sample(path: &Path) {
        let mut w = ResultsWriter::create(path, &attrs()).unwrap();
        w.coord("layer", vec![0usize, 4]).unwrap();
        w.coord("concept", vec!["persona", "autonomie é"]).unwrap();
        w.coord("alpha", vec![-0.5, 0.0, 0.5]).unwrap();
        let cosine =
            Array::from_shape_fn(IxDyn(&[2, 2, 2]), |i| (i[0] * 4 + i[1] * 2 + i[2]) as f64);
        let dims = ["concept_a", "concept_b", "layer"];
        w.array("geometry", "cosine", &dims, cosine.view()).unwrap();
        let low = cosine.mapv(|x| x as f32 - 0.1);
        w.array("geometry", "ci_lo", &dims, low.view()).unwrap();
        let status = array![["implied".to_owned(), String::new()], ["a".into(), "ü".into()]];
        w.texts("behaviour", "status", &["concept", "layer"], status.view().into_dyn()).unwrap();
        let columns = [("id", vec!["a,b", "c\"d"].into()), ("n", vec![1i64, 2].into())];
        w.table("behaviour", "prompts", &columns).unwrap();
        w.attr("geometry/cosine", "interval", "95 % bootstrap").unwrap();
        w.finish().unwrap();
    }

    #[test]
    fn everything_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.h5");
        sample(&path);
        let r = ResultsReader::open(&path).unwrap();
        let cosine = r.array("/geometry/cosine").unwrap();
        assert_eq!(cosine.dims, ["concept_a", "concept_b", "layer"]);
        assert_eq!(cosine.coords[1], vec!["persona", "autonomie é"].into());
        assert_eq!(cosine.coords[2], vec![0usize, 4].into());
        assert_eq!(cosine.data[[1, 0, 1]], 5.0);
        assert_eq!(r.array("geometry/ci_lo").unwrap().data[[0, 0, 0]], f64::from(-0.1f32));
        assert_eq!(r.texts("behaviour/status").unwrap().data[[1, 1]], "ü");
        let table = r.table("behaviour/prompts").unwrap();
        assert_eq!(table[0], ("id".to_owned(), vec!["a,b", "c\"d"].into()));
        assert_eq!(table[1].1, vec![1i64, 2].into());
        assert_eq!(r.coord("alpha").unwrap(), vec![-0.5, 0.0, 0.5].into());
        assert_eq!(r.coords().unwrap().len(), 5);
        let interval = r.attr("geometry/cosine", "interval").unwrap();
        assert_eq!(interval, AttrValue::from("95 % bootstrap"));
        let arrays = r.objects().unwrap().into_iter().filter(|o| o.kind == Kind::Array);
        assert_eq!(
            arrays.map(|o| o.path).collect::<Vec<_>>(),
            [
                "behaviour/prompts/id",
                "behaviour/prompts/n",
                "behaviour/status",
                "geometry/ci_lo",
                "geometry/cosine"
            ]
        );
    }

    #[test]
    fn equal_content_gives_equal_files() {
        let dir = tempfile::tempdir().unwrap();
        let attrs = attrs();
        let write = |name: &str| {
            let path = dir.path().join(name);
            let mut w = ResultsWriter::create(&path, &attrs).unwrap();
            w.coord("layer", vec![0usize, 1]).unwrap();
            let data = Array1::from(vec![1.0, 2.0]).into_dyn();
            w.array("g", "x", &["layer"], data.view()).unwrap();
            w.finish().unwrap();
            std::fs::read(&path).unwrap()
        };
        let a = write("a.h5");
        // libhdf5 keeps times in seconds.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        assert!(a == write("b.h5"));
    }

    #[test]
    fn misuse_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.h5");
        let mut w = ResultsWriter::create(&path, &attrs()).unwrap();
        w.coord("layer", vec![0usize, 1]).unwrap();
        let data = Array1::from(vec![1.0, 2.0]).into_dyn();
        let square = array![[1.0, 2.0], [3.0, 4.0]].into_dyn();
        type E = StoreError;
        let e = w.array("g", "x", &["depth"], data.view()).unwrap_err();
        assert!(matches!(e, E::UnknownDimension { .. }), "{e}");
        let e = w.array("g", "x", &["layer", "layer"], square.view()).unwrap_err();
        assert!(matches!(e, E::RepeatedDimension { .. }), "{e}");
        let e = w.array("g", "x", &["layer"], square.view()).unwrap_err();
        assert!(matches!(e, E::Shape { .. }), "{e}");
        let e = w.array("g/..", "x", &["layer"], data.view()).unwrap_err();
        assert!(matches!(e, E::BadName { .. }), "{e}");
        w.array("g", "x", &["layer"], data.view()).unwrap();
        let e = w.array("g", "x", &["layer"], data.view()).unwrap_err();
        assert!(matches!(e, E::NameTaken { .. }), "{e}");
        let e = w.coord("layer", vec![0usize]).unwrap_err();
        assert!(matches!(e, E::NameTaken { .. }), "{e}");
        let columns = [("a", vec![1i64].into()), ("b", vec![1i64, 2].into())];
        let e = w.table("g", "t", &columns).unwrap_err();
        assert!(matches!(e, E::Shape { .. }), "{e}");
        drop(w);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_unknown_array_is_answered_with_what_there_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.h5");
        sample(&path);
        let r = ResultsReader::open(&path).unwrap();
        let error = r.array("geometry/cosin").unwrap_err().to_string();
        assert!(error.contains("cosine") && error.contains("(in geometry)"), "{error}");
        let error = r.array("behaviour/status").unwrap_err();
        assert!(matches!(error, StoreError::WrongKind { .. }), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn any_array_reads_back(shape in prop::collection::vec(0usize..7, 0..4), bits in any::<u64>()) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("r.h5");
            let mut w = ResultsWriter::create(&path, &attrs()).unwrap();
            let names: Vec<String> = (0..shape.len()).map(|i| format!("d{i}")).collect();
            for (name, n) in names.iter().zip(&shape) {
                w.coord(name, (0..*n).collect::<Vec<usize>>()).unwrap();
            }
            let mut next = bits;
            let data = Array::from_shape_simple_fn(IxDyn(&shape), || {
                next = next.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                f64::from_bits(next)
            });
            // A reversed view is not in standard layout.
            let mut view = data.view();
            if !shape.is_empty() {
                view.invert_axis(ndarray::Axis(0));
            }
            let dims: Vec<&str> = names.iter().map(String::as_str).collect();
            w.array("g", "x", &dims, view.clone()).unwrap();
            w.finish().unwrap();
            let back = ResultsReader::open(&path).unwrap().array("g/x").unwrap();
            prop_assert_eq!(&back.dims, &names);
            prop_assert_eq!(back.data.shape(), &shape[..]);
            prop_assert!(back.data.iter().zip(view.iter()).all(|(a, b)| a == b || (a.is_nan() && b.is_nan())));
        }
    }
}
