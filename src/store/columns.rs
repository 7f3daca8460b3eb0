//! Anything of a file as columns: the rows of a record, the cells of an array, an attribute.

use std::collections::HashSet;

use serde_json::Value;

use super::error::{Result, StoreError};
use super::frame::{aligned, json, Frame};
use super::results::ROW;
use super::results_reader::{Kind, NamedArray, ResultsReader};
use super::values::{AttrValue, Values};
use super::{csv, datasets};

/// Labels that an error lists at most.
const SOME: usize = 30;

/// Named columns of equal length.
#[derive(Debug, Clone, PartialEq)]
pub struct Columns(Vec<(String, Values)>);

impl Columns {
    /// What is at `name`: the rows of a record, one row a cell of an array with the labels of its place, or
    /// with `name@attribute` an attribute (`@attribute` of the file).
    ///
    /// # Errors
    /// `NoObject` for what is not there, `NoRows` for a group that is no record, and those of reading.
    pub fn of(reader: &ResultsReader, name: &str) -> Result<Self> {
        if let Some((at, attr)) = name.split_once('@') {
            let value = match reader.attr(at, attr)? {
                AttrValue::Text(t) => vec![t].into(),
                AttrValue::Int(v) => vec![v].into(),
                AttrValue::Real(v) => vec![v].into(),
                AttrValue::Texts(list) => list.into(),
            };
            return Ok(Self(vec![(attr.to_owned(), value)]));
        }
        let path = name.trim_matches('/');
        if reader.file.group(if path.is_empty() { "/" } else { path }).is_err() {
            return Self::cells(reader, path);
        }
        if reader.attr(path, "columns").is_ok() {
            return Ok(Self(reader.rows(path)?));
        }
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let inside = reader.objects()?.into_iter().filter(|o| o.kind != Kind::Coordinate);
        let inside = inside.filter_map(|o| Some(o.path.strip_prefix(&prefix)?.to_owned()));
        let inside: Vec<String> = inside.filter(|n| !n.contains('/')).collect();
        let (path, object) = (reader.path.clone(), name.to_owned());
        Err(StoreError::NoRows { path, object, present: super::error::listed(&inside) })
    }

    /// The cells of an array; those of a table's column, or a coordinate, are that alone.
    fn cells(reader: &ResultsReader, path: &str) -> Result<Self> {
        let dataset = reader.dataset(path)?;
        let own = path.rsplit('/').next().unwrap_or_default().to_owned();
        let text = datasets::kind(&dataset, &reader.path)? == datasets::Kind::Text;
        let (dims, values) = match (text, dataset.ndim()) {
            (_, 1) if reader.behind(&dataset)?.is_none() => {
                let array = datasets::read_values(&dataset, &reader.path)?;
                let dims = if text { at(&reader.texts(path)?) } else { at(&reader.array(path)?) };
                (dims, array)
            }
            (true, _) => {
                let array = reader.texts(path)?;
                (at(&array), Values::Text(array.data.into_iter().collect()))
            }
            (false, _) => {
                let array = reader.array(path)?;
                (at(&array), Values::Real(array.data.into_iter().collect()))
            }
        };
        let labels = dims.into_iter().filter(|(dim, _)| *dim != ROW && *dim != own);
        Ok(Self(labels.chain([(own.clone(), values)]).collect()))
    }

    /// The rows whose column `name` has the label `label`.
    ///
    /// # Errors
    /// The names or labels that there are.
    pub fn only(self, name: &str, label: &str) -> Result<Self, String> {
        let Some((_, column)) = self.0.iter().find(|(n, _)| n == name) else {
            let names: Vec<&str> = self.0.iter().map(|(n, _)| n.as_str()).collect();
            return Err(format!("there is no `{name}`; there are {}", names.join(", ")));
        };
        let kept: Vec<usize> = (0..column.len()).filter(|&i| column.label(i) == label).collect();
        if kept.is_empty() {
            let mut seen = HashSet::new();
            let all = (0..column.len()).map(|i| column.label(i));
            let some: Vec<_> = all.filter(|l| seen.insert(l.clone())).take(SOME).collect();
            let some = some.join(", ");
            return Err(format!("no row has {name}={label}; there are {some}"));
        }
        let at = |(name, values): (String, Values)| (name, values.at(kept.iter().copied()));
        Ok(Self(self.0.into_iter().map(at).collect()))
    }

    /// Name and cells of each column.
    pub fn columns(&self) -> &[(String, Values)] {
        &self.0
    }

    /// Aligned text, numbers in their shortest exact form; one that does not exist is `-`.
    pub fn text(&self) -> String {
        let shown = self.0.iter().map(|(name, values)| {
            let cells = (0..values.len()).map(|i| match values {
                Values::Real(v) if v[i].is_nan() => "-".into(),
                _ => values.label(i),
            });
            let cells = cells.collect();
            (name.clone(), matches!(values, Values::Text(_)), cells)
        });
        aligned(&shown.collect::<Vec<_>>())
    }

    /// One object a row; a number that does not exist is null.
    pub fn json(&self) -> Value {
        json(&self.0, |_| false)
    }

    /// CSV with the names in the first line.
    pub fn csv(&self) -> String {
        let mut bytes = Vec::new();
        // Writing to memory does not fail.
        let _ = csv::write(&mut bytes, &self.0);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl From<&Frame> for Columns {
    fn from(frame: &Frame) -> Self {
        let columns = frame.columns().iter();
        Self(columns.map(|(name, values)| (name.to_string(), values.clone())).collect())
    }
}

/// The labels of every cell's place, a column a dimension; an axis without a name is `axis <i>`.
fn at<T>(array: &NamedArray<T>) -> Vec<(String, Values)> {
    let shape = array.data.shape();
    let column = |axis: usize| {
        let dim = Some(array.dims[axis].clone()).filter(|d| !d.is_empty());
        let stride: usize = shape[axis + 1..].iter().product();
        let places = (0..array.data.len()).map(|i| i / stride % shape[axis]);
        (dim.unwrap_or_else(|| format!("axis {axis}")), array.coords[axis].at(places))
    };
    (0..shape.len()).map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{ResultsWriter, RootAttrs};
    use ndarray::array;

    #[test]
    fn records_arrays_and_attributes_are_columns() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.h5");
        let attrs = RootAttrs::new("test", serde_json::json!({"k": 1}), 7);
        let mut w = ResultsWriter::create(&path, &attrs).unwrap();
        w.coord("state", vec!["base", "b"]).unwrap();
        w.coord("layer", vec![3usize, 9]).unwrap();
        let data = array![[0.5, f64::NAN], [1e-9, 2.0]].into_dyn();
        w.array("g", "x", &["state", "layer"], data.view()).unwrap();
        let columns = [("id", vec!["a,b", "c"].into()), ("n", vec![1i64, 2].into())];
        w.table("g", "t", &columns).unwrap();
        w.finish().unwrap();
        let r = ResultsReader::open(&path).unwrap();
        let of = |name: &str| Columns::of(&r, name);
        let x = of("/g/x").unwrap();
        assert_eq!(x.csv(), "state,layer,x\nbase,3,0.5\nbase,9,NaN\nb,3,0.000000001\nb,9,2\n");
        let one = x.clone().only("state", "b").unwrap().only("layer", "9").unwrap();
        assert_eq!(one.json(), serde_json::json!([{"state": "b", "layer": 9, "x": 2.0}]));
        assert!(x.clone().only("state", "c").unwrap_err().contains("base, b"));
        assert!(x.only("stat", "b").unwrap_err().contains("state, layer, x"));
        assert_eq!(of("g/t").unwrap().csv(), "id,n\n\"a,b\",1\nc,2\n");
        assert_eq!(of("g/t/n").unwrap().text(), "n\n1\n2\n");
        assert_eq!(of("coords/state").unwrap().csv(), "state\nbase\nb\n");
        assert_eq!(of("@config").unwrap().json()[0]["config"], r#"{"k":1}"#);
        assert!(of("g").unwrap_err().to_string().contains("t, x"));
        assert!(of("g/y").unwrap_err().to_string().contains("(in g)"));
    }
}
