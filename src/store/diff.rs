//! What two files differ in, cell by cell: the rows behind `residuum h5 diff`.
//!
//! Cells are compared by their labels, so that a state more or another order of concepts is told as that;
//! rows of a table by their place. When and by which command a file was written is not compared, nor the
//! digests of activation files, whose numbers are.

use std::collections::{BTreeMap, HashMap};

use ndarray::IxDyn;

use super::datasets;
use super::error::{Result, StoreError};
use super::results_reader::{Kind, NamedArray, ResultsReader};
use super::schema;
use super::values::{AttrValue, Values};
use super::virtuals::{self, SOURCES};

crate::record! {
    /// Differences of two files.
    #[table("h5/diff")]
    pub struct DiffRow {
        /// Path of the object, with `@` before an attribute.
        pub path: String,
        /// What differs: only in A, only in B, kind, dimensions, labels, cells, attribute, not compared.
        pub differs: String,
        /// Cells or labels that differ.
        pub n: usize,
        /// Cells that were compared.
        pub of: usize,
        /// Greatest absolute difference of two numbers; none where one of the two is missing or a text.
        pub largest: f64,
        /// Labels of the cell that differs most.
        pub at: String,
        /// What A has there.
        pub a: String,
        /// What B has there.
        pub b: String,
    }
}

/// How far two numbers may be apart and still count as equal: `absolute` + `relative` times the greater.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tolerance {
    /// In the unit of the numbers.
    pub absolute: f64,
    /// As a share of the greater of the two.
    pub relative: f64,
}

impl Tolerance {
    /// How far apart two numbers are; none where they are equal. Missing equals missing.
    fn apart(self, a: f64, b: f64) -> Option<f64> {
        if a == b || a.is_nan() && b.is_nan() {
            return None;
        }
        let far = (a - b).abs();
        let within = far <= self.absolute + self.relative * a.abs().max(b.abs());
        (!within).then_some(far)
    }
}

/// What is compared with nothing: it says how a file was made, or how HDF5 holds it.
const APART: [&str; 9] = [
    "created",
    "command",
    "hardware",
    SOURCES,
    "CLASS",
    "NAME",
    "REFERENCE_LIST",
    "DIMENSION_LIST",
    "DIMENSION_LABELS",
];

/// All differences, in the order of the files; none where they say the same.
///
/// # Errors
/// `Hdf5`, and objects that are of no kind that these files have.
pub fn diff(a: &ResultsReader, b: &ResultsReader, tolerance: Tolerance) -> Result<Vec<DiffRow>> {
    let objects = |r: &ResultsReader| -> Result<BTreeMap<String, Kind>> {
        let all = r.objects()?.into_iter().filter(|o| o.kind != Kind::Coordinate);
        Ok(all.map(|o| (o.path, o.kind)).collect())
    };
    let (in_a, in_b) = (objects(a)?, objects(b)?);
    let mut found = Vec::new();
    attributes(a, b, "", &mut found)?;
    let mut labels = Vec::new();
    let mut paths: Vec<&String> = in_a.keys().chain(in_b.keys()).collect();
    paths.sort();
    paths.dedup();
    let mut absent: Option<String> = None;
    for path in paths {
        // What is in a group that only one file has is not told again.
        if absent.as_ref().is_some_and(|group| path.starts_with(group)) {
            continue;
        }
        let (kind_a, kind_b) = (in_a.get(path), in_b.get(path));
        let only = match (kind_a, kind_b) {
            (Some(_), None) => "only in A",
            (None, Some(_)) => "only in B",
            (Some(a), Some(b)) if a != b => "kind",
            _ => "",
        };
        if !only.is_empty() {
            absent = Some(format!("{path}/"));
            found.push(DiffRow { n: 1, ..row(path, only) });
            continue;
        }
        attributes(a, b, path, &mut found)?;
        if kind_a == Some(&Kind::Array) {
            arrays((a, b), path, tolerance, &mut labels, &mut found)?;
        }
    }
    Ok(found)
}

fn row(path: &str, differs: &str) -> DiffRow {
    let none = <DiffRow as super::Record>::NONE;
    DiffRow { path: path.into(), differs: differs.into(), ..none }
}

fn attributes(
    a: &ResultsReader,
    b: &ResultsReader,
    path: &str,
    found: &mut Vec<DiffRow>,
) -> Result<()> {
    let of = |r: &ResultsReader| -> Result<BTreeMap<String, String>> {
        let Some(at) = schema::located(&r.file, path) else {
            return Ok(BTreeMap::new());
        };
        let names = at.attr_names().map_err(|e| super::error::from_hdf5(&r.path, path, &e))?;
        let names = names.into_iter().filter(|n| !APART.contains(&n.as_str()));
        let said = |name: String| match schema::read_attr(&at, &r.path, path, &name) {
            Ok(AttrValue::Text(t)) => Ok((name, t)),
            Ok(AttrValue::Int(v)) => Ok((name, v.to_string())),
            Ok(AttrValue::Real(v)) => Ok((name, v.to_string())),
            Ok(AttrValue::Texts(list)) => Ok((name, list.join(", "))),
            Err(StoreError::WrongKind { found, .. }) => Ok((name, found)),
            Err(e) => Err(e),
        };
        names.map(said).collect()
    };
    let (in_a, in_b) = (of(a)?, of(b)?);
    let mut names: Vec<&String> = in_a.keys().chain(in_b.keys()).collect();
    names.sort();
    names.dedup();
    for name in names.into_iter().filter(|n| in_a.get(*n) != in_b.get(*n)) {
        let text = |of: &BTreeMap<String, String>| of.get(name).cloned().unwrap_or_default();
        let (a, b) = (text(&in_a), text(&in_b));
        found.push(DiffRow { n: 1, of: 1, a, b, ..row(&format!("{path}@{name}"), "attribute") });
    }
    Ok(())
}

/// Dimensions whose labels differ, told once for all arrays that have them.
type Told = Vec<(String, Values, Values)>;

fn arrays(
    (a, b): (&ResultsReader, &ResultsReader),
    path: &str,
    tolerance: Tolerance,
    told: &mut Told,
    found: &mut Vec<DiffRow>,
) -> Result<()> {
    let (in_a, in_b) = (a.dataset(path)?, b.dataset(path)?);
    if same_source((a, &in_a), (b, &in_b))? {
        return Ok(());
    }
    let text = |r: &ResultsReader, d: &hdf5::Dataset| {
        Ok::<_, StoreError>(datasets::kind(d, &r.path)? == datasets::Kind::Text)
    };
    let compared = match (text(a, &in_a)?, text(b, &in_b)?) {
        (true, true) => {
            let apart = |x: &String, y: &String| (x != y).then_some(f64::NAN);
            compare((a.texts(path)?, b.texts(path)?), path, (apart, String::clone), told)
        }
        (false, false) => match (a.array(path), b.array(path)) {
            (Ok(in_a), Ok(in_b)) => {
                let apart = |x: &f64, y: &f64| tolerance.apart(*x, *y);
                let show = |x: &f64| if x.is_nan() { "missing".into() } else { x.to_string() };
                compare((in_a, in_b), path, (apart, show), told)
            }
            (Err(e), _) | (_, Err(e)) => {
                vec![DiffRow { n: 1, a: e.to_string(), ..row(path, "not compared") }]
            }
        },
        _ => vec![DiffRow { n: 1, ..row(path, "kind") }],
    };
    found.extend(compared);
    Ok(())
}

/// Whether both arrays are of files with one digest, and so the same without a look.
fn same_source(
    (a, in_a): (&ResultsReader, &hdf5::Dataset),
    (b, in_b): (&ResultsReader, &hdf5::Dataset),
) -> Result<bool> {
    let digest = |r: &ResultsReader, d: &hdf5::Dataset| -> Result<Option<(String, String)>> {
        let Some(source) = virtuals::source(d, &r.path)? else {
            return Ok(None);
        };
        let digest = virtuals::recorded(&r.file, &r.path, &d.name(), &source.file)?;
        Ok(digest.map(|digest| (digest, source.object)))
    };
    let known = digest(a, in_a)?;
    Ok(known.is_some() && known == digest(b, in_b)?)
}

fn compare<T>(
    (a, b): (NamedArray<T>, NamedArray<T>),
    path: &str,
    (apart, show): (impl Fn(&T, &T) -> Option<f64>, impl Fn(&T) -> String),
    told: &mut Told,
) -> Vec<DiffRow> {
    if a.dims != b.dims {
        let (a, b) = (a.dims.join(", "), b.dims.join(", "));
        return vec![DiffRow { n: 1, a, b, ..row(path, "dimensions") }];
    }
    let mut found = Vec::new();
    let mut shared: Vec<Vec<(usize, usize)>> = Vec::new();
    for ((dim, in_a), in_b) in a.dims.iter().zip(&a.coords).zip(&b.coords) {
        let known = told.iter().any(|(d, x, y)| d == dim && x == in_a && y == in_b);
        if in_a != in_b && !known {
            let (a, b) = (less(in_a, in_b), less(in_b, in_a));
            let n = a.len() + b.len();
            let at = format!("{dim}{}", if n == 0 { ", in another order" } else { "" });
            let (a, b) = (a.join(", "), b.join(", "));
            found.push(DiffRow { n, at, a, b, ..row(path, "labels") });
            if !(is_index(in_a) && is_index(in_b)) {
                told.push((dim.clone(), in_a.clone(), in_b.clone()));
            }
        }
        shared.push(both(in_a, in_b));
    }
    let shape: Vec<usize> = shared.iter().map(Vec::len).collect();
    let mut cells = DiffRow { of: shape.iter().product(), ..row(path, "cells") };
    for at in ndarray::indices(IxDyn(&shape)) {
        let pairs = shared.iter().enumerate().map(|(axis, of)| of[at[axis]]);
        let (i, j): (Vec<usize>, Vec<usize>) = pairs.unzip();
        let (x, y) = (&a.data[&i[..]], &b.data[&j[..]]);
        let Some(far) = apart(x, y) else {
            continue;
        };
        // One that is missing in one of the files differs most.
        let further = far > cells.largest || far.is_nan() && !cells.largest.is_nan();
        if cells.n == 0 || further {
            let labels = a.dims.iter().zip(&a.coords).zip(&i);
            let labels = labels.map(|((dim, coord), &i)| format!("{dim} {}", coord.label(i)));
            cells.at = labels.collect::<Vec<_>>().join(", ");
            (cells.largest, cells.a, cells.b) = (far, show(x), show(y));
        }
        cells.n += 1;
    }
    found.extend(Some(cells).filter(|c| c.n > 0));
    found
}

/// Whether labels are 0, 1, 2, ..., as those of rows and samples.
fn is_index(labels: &Values) -> bool {
    (0..labels.len()).all(|i| labels.label(i) == i.to_string())
}

/// Labels of `a` that `b` lacks.
fn less(a: &Values, b: &Values) -> Vec<String> {
    let known: std::collections::HashSet<String> = (0..b.len()).map(|i| b.label(i)).collect();
    (0..a.len()).map(|i| a.label(i)).filter(|l| !known.contains(l)).collect()
}

/// Places of the labels that both have.
fn both(a: &Values, b: &Values) -> Vec<(usize, usize)> {
    let of: HashMap<String, usize> = (0..b.len()).map(|j| (b.label(j), j)).collect();
    (0..a.len()).filter_map(|i| Some((i, *of.get(&a.label(i))?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{ResultsWriter, RootAttrs};
    use ndarray::{array, ArrayD};
    use std::path::Path;

    fn write(path: &Path, states: &[&str], data: ArrayD<f64>, texts: &[&str]) -> ResultsReader {
        let attrs = RootAttrs::new("test", serde_json::json!({}), 7);
        let mut w = ResultsWriter::create(path, &attrs).unwrap();
        w.coord("state", states).unwrap();
        w.coord("layer", vec![3usize, 9]).unwrap();
        w.array("g", "x", &["state", "layer"], data.view()).unwrap();
        w.attr("g/x", "unit", texts[0]).unwrap();
        w.table("g", "t", &[("name", texts.to_vec().into())]).unwrap();
        w.finish().unwrap();
        ResultsReader::open(path).unwrap()
    }

    #[test]
    fn what_differs_is_told_with_its_place_and_size_and_the_same_is_silent() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).join("r.h5");
        let one = array![[1.0, 2.0], [3.0, f64::NAN]].into_dyn();
        let a = write(&at("a"), &["base", "b"], one.clone(), &["u", "v"]);
        let same = write(&at("same"), &["base", "b"], one, &["u", "v"]);
        assert_eq!(diff(&a, &same, Tolerance::default()).unwrap(), []);
        // The states in another order, one more, and two numbers that differ.
        let two = array![[3.5, f64::NAN], [9.0, 9.0], [1.0, 2.25]].into_dyn();
        let b = write(&at("b"), &["b", "c", "base"], two, &["u", "w", "x"]);
        let found = diff(&a, &b, Tolerance::default()).unwrap();
        let told: Vec<_> = found.iter().map(|d| (&*d.path, &*d.differs, d.n, &*d.at)).collect();
        assert_eq!(
            told,
            [
                ("g/t/name", "labels", 1, "row"),
                ("g/t/name", "cells", 1, "row 1"),
                ("g/x", "labels", 1, "state"),
                ("g/x", "cells", 2, "state b, layer 3"),
            ]
        );
        let cells = &found[3];
        assert_eq!((cells.largest, cells.of, &*cells.a, &*cells.b), (0.5, 4, "3", "3.5"));
        let wide = Tolerance { absolute: 0.25, relative: 0.0 };
        assert_eq!(diff(&a, &b, wide).unwrap()[3].n, 1);
        let share = Tolerance { absolute: 0.0, relative: 0.2 };
        assert_eq!(diff(&a, &b, share).unwrap().len(), 3);
    }

    #[test]
    fn a_number_that_one_file_lacks_is_the_greatest_difference() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).join("r.h5");
        let states = &["base", "b"];
        let a = write(&at("a"), states, array![[1.0, 2.0], [3.0, 4.0]].into_dyn(), &["u"]);
        let gone = array![[1.0, f64::NAN], [8.0, 4.0]].into_dyn();
        let b = write(&at("b"), states, gone, &["v"]);
        let found = diff(&a, &b, Tolerance { absolute: 100.0, relative: 0.0 }).unwrap();
        let told: Vec<_> = found.iter().map(|d| (&*d.path, &*d.at, &*d.a, &*d.b)).collect();
        assert_eq!(
            told,
            [
                ("g/t/name", "row 0", "u", "v"),
                ("g/x@unit", "", "u", "v"),
                ("g/x", "state base, layer 9", "2", "missing"),
            ]
        );
    }
}
