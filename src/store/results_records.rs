//! Records in a results file: how frames are written to it and rows are read back.
//!
//! A table is a group of columns along `row`, a grid one array a field over its dimensions. A grid's
//! coordinate is the file's where it has the same labels, otherwise the grid's own, so that two kinds of
//! result may know other forms or concepts. A cell of a grid that no row fills is NaN or empty, and
//! gives no row when it is read.

use super::datasets;
use super::error::{from_hdf5, Result, StoreError};
use super::frame::{self, Frame, Record};
use super::results::{Attached, COORDS, ROW};
use super::scales::{self, Scales};
use super::schema::{check_name, object, require_group};
use super::values::Values;
use super::{NamedArray, ResultsReader, ResultsWriter};
use hdf5::Group;
use ndarray::ArrayD;
use std::path::Path;

/// Columns by name, in order.
type Named = Vec<(String, Values)>;

impl ResultsWriter {
    /// Writes the rows of a record, see [`super::frame`]; nothing without rows.
    ///
    /// # Errors
    /// As [`ResultsWriter::frame`].
    pub fn records<R: Record>(&mut self, rows: &[R]) -> Result<()> {
        self.frame(&Frame::of(rows))
    }

    /// Writes a frame with what explains it: a table as columns, a grid as one array a field over its
    /// dimensions, whose labels are coordinates of the file. Nothing is written without rows.
    ///
    /// # Errors
    /// `TwiceInGrid` for two rows of one cell, otherwise as [`ResultsWriter::table`].
    pub fn frame(&mut self, frame: &Frame) -> Result<()> {
        if frame.is_empty() {
            return Ok(());
        }
        let meta = frame.meta;
        let (group, name) = meta.path.rsplit_once('/').unwrap_or(("", meta.path));
        match meta.dims.is_empty() {
            true => self.table(group, name, frame.columns())?,
            false => self.grid(frame)?,
        }
        for (name, text) in meta.attributes() {
            self.attr(meta.path, name, text)?;
        }
        for field in meta.fields.iter().filter(|f| !meta.dims.contains(&f.name)) {
            let at = format!("{}/{}", meta.path, field.name);
            self.attr(&at, "is", frame::tidy(field.is))?;
            if !field.unit.is_empty() {
                self.attr(&at, "unit", field.unit)?;
            }
        }
        Ok(())
    }

    /// A coordinate is that of the file where it has the same labels, otherwise the grid's own.
    fn grid(&mut self, frame: &Frame) -> Result<()> {
        let path = frame.meta.path;
        let (labels, rows) = frame.cells().map_err(|cell| StoreError::TwiceInGrid {
            path: self.path.clone(),
            object: path.to_owned(),
            cell,
        })?;
        let mut dims: Attached = Vec::new();
        for (name, values) in &labels {
            dims.push((*name, self.coordinate(path, name, values)?));
        }
        let shape: Vec<usize> = labels.iter().map(|(_, v)| v.len()).collect();
        let fields = frame.columns().iter().filter(|(name, _)| !frame.meta.dims.contains(name));
        for (name, values) in fields {
            self.cells(path, name, &dims, (&shape, &rows), values)?;
        }
        let order: Vec<String> = (frame.meta.fields.iter()).map(|f| f.name.to_owned()).collect();
        self.attr(path, "columns", order)?;
        self.beside(path, frame.columns())
    }

    /// The path of the coordinate `name` of a group: that of the file where it has the same labels,
    /// otherwise one of the group alone.
    pub(super) fn coordinate(
        &mut self,
        group: &str,
        name: &str,
        values: &Values,
    ) -> Result<String> {
        match self.coords.get(name).is_none_or(|known| known == values) {
            true => self.coord(name, values.clone()).map(|()| format!("/{COORDS}/{name}")),
            false => self.own_coord(group, name, values),
        }
    }

    /// Writes a coordinate of one group alone; its path.
    pub(super) fn own_coord(&mut self, group: &str, name: &str, values: &Values) -> Result<String> {
        self.step(|w| {
            check_name("a coordinate", name)?;
            let target = require_group(&w.file, &w.path, group)?;
            Scales::write(&target, &w.path, name, values)?;
            Ok(object(&target, name))
        })
    }

    /// One field of a grid; a cell without a row is NaN or empty.
    fn cells(
        &mut self,
        group: &str,
        name: &str,
        dims: &Attached,
        (shape, rows): (&[usize], &[Option<usize>]),
        values: &Values,
    ) -> Result<()> {
        let shaped = |e: ndarray::ShapeError| {
            from_hdf5(Path::new(group), name, &hdf5::Error::from(e.to_string()))
        };
        let real = |i: usize| match values {
            Values::Int(v) => v[i] as f64,
            Values::Real(v) => v[i],
            Values::Text(_) => f64::NAN,
        };
        let write = |at: &Group, file: &Path| match values {
            Values::Text(v) => {
                let cell = |r: &Option<usize>| r.map_or(String::new(), |i| v[i].clone());
                let data = ArrayD::from_shape_vec(shape, rows.iter().map(cell).collect());
                datasets::write_texts(at, file, name, &data.map_err(shaped)?.view())
            }
            _ => {
                let cells = rows.iter().map(|r| r.map_or(f64::NAN, real)).collect();
                let data = ArrayD::from_shape_vec(shape, cells).map_err(shaped)?;
                datasets::write_array(at, file, name, &data.view())
            }
        };
        self.step(|w| w.put(group, name, dims, write))
    }
}

impl ResultsReader {
    /// The rows of a record; none where the file holds none.
    ///
    /// # Errors
    /// `OtherColumns` where what stands in its place lacks a field or holds another kind of value,
    /// `Hdf5`.
    pub fn records<R: Record>(&self) -> Result<Vec<R>> {
        let meta = R::META;
        if self.file.group(meta.path).is_err() {
            return Ok(Vec::new());
        }
        let (dims, mut columns) = self.with_dimensions(meta.path)?;
        let mut found = Vec::new();
        for field in meta.fields {
            let at = columns.iter().position(|(name, _)| name == field.name);
            let at = at.filter(|_| {
                dims.iter().any(|d| d == field.name) == meta.dims.contains(&field.name)
            });
            let Some(at) = at else {
                return Err(self.other_columns(meta.path, field.name));
            };
            found.push(columns.swap_remove(at).1);
        }
        let wanted = dims.iter().map(String::as_str).eq(meta.dims.iter().copied());
        let rows = if wanted { R::from_columns(found) } else { None };
        rows.ok_or_else(|| self.other_columns(meta.path, "of a field"))
    }

    /// The rows of any record, a column a field, dimensions included. A cell of a grid in which every field
    /// is missing gives no row.
    ///
    /// # Errors
    /// `NoObject` where there is no record, `OtherColumns` where its fields differ in their dimensions,
    /// `Hdf5`.
    pub fn rows(&self, record: &str) -> Result<Vec<(String, Values)>> {
        Ok(self.with_dimensions(record.trim_matches('/'))?.1)
    }

    /// The dimensions of a record, none for a table, and its columns.
    fn with_dimensions(&self, record: &str) -> Result<(Vec<String>, Named)> {
        let mut coords: Option<Vec<(String, Values)>> = None;
        let mut columns = Vec::new();
        for name in self.fields(record)? {
            let at = format!("{record}/{name}");
            let dataset = self.dataset(&at)?;
            if dataset.attr("CLASS").is_ok() {
                columns.push((name, None));
                continue;
            }
            if scales::dimensions(&dataset, &self.path)? == [ROW] {
                columns.push((name, Some(datasets::read_values(&dataset, &self.path)?)));
                continue;
            }
            let (own, values) = match datasets::kind(&dataset, &self.path)? {
                datasets::Kind::Text => parts(self.texts(&at)?, Values::Text),
                _ => parts(self.array(&at)?, Values::Real),
            };
            if coords.as_ref().is_some_and(|known| *known != own) {
                return Err(self.other_columns(record, &name));
            }
            coords = Some(own);
            columns.push((name, Some(values)));
        }
        let coords = coords.unwrap_or_default();
        if !coords.is_empty() {
            label(&coords, &mut columns);
        }
        let filled = |(name, values): (String, Option<Values>)| match values {
            Some(values) => Ok((name, values)),
            None => Err(self.other_columns(record, &name)),
        };
        let columns = columns.into_iter().map(filled).collect::<Result<_>>()?;
        Ok((coords.into_iter().map(|(dim, _)| dim).collect(), columns))
    }

    fn other_columns(&self, record: &str, field: &str) -> StoreError {
        let (object, field) = (record.to_owned(), field.to_owned());
        StoreError::OtherColumns { path: self.path.clone(), object, field }
    }
}

/// Dimensions with their labels, and the cells of an array.
fn parts<T>(a: NamedArray<T>, of: fn(Vec<T>) -> Values) -> (Vec<(String, Values)>, Values) {
    (a.dims.into_iter().zip(a.coords).collect(), of(a.data.into_iter().collect()))
}

/// Leaves out the cells of a grid that no row filled, those in which every field is missing, and gives
/// the others the labels of their places.
fn label(coords: &[(String, Values)], columns: &mut [(String, Option<Values>)]) {
    let total: usize = coords.iter().map(|(_, v)| v.len()).product();
    let missing = |i: usize| {
        columns.iter().filter_map(|(_, values)| values.as_ref()).all(|values| match values {
            Values::Text(v) => v[i].is_empty(),
            Values::Int(_) => false,
            Values::Real(v) => v[i].is_nan(),
        })
    };
    let kept: Vec<usize> = (0..total).filter(|&i| !missing(i)).collect();
    for values in columns.iter_mut().filter_map(|(_, values)| values.as_mut()) {
        *values = values.at(kept.iter().copied());
    }
    let mut stride = total;
    for (dim, labels) in coords {
        let n = labels.len().max(1);
        stride = (stride / n).max(1);
        if let Some((_, column)) = columns.iter_mut().find(|(name, _)| name == dim) {
            *column = Some(labels.at(kept.iter().map(|i| i / stride % n)));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::store::{ResultsReader, ResultsWriter, RootAttrs};

    crate::record! {
        /// Scores.
        #[table("test/scores", "state", "item")]
        pub struct Score {
            /// State.
            pub state: String,
            /// Item.
            pub item: String,
            /// The score.
            pub estimate: f64,
            /// Prompts.
            pub n: usize,
        }
    }

    crate::record! {
        /// Others, of other states.
        #[table("test/others", "state")]
        pub struct Other {
            /// State.
            pub state: String,
            /// Whether it is so.
            pub is: bool,
        }
    }

    #[test]
    fn grids_with_gaps_and_with_labels_of_their_own_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.h5");
        let score = |state: &str, item: &str, n: usize| Score {
            state: state.into(),
            item: item.into(),
            estimate: 0.5,
            n,
        };
        let scores = [score("a", "x", 1), score("b", "y", 2), score("b", "x", 3)];
        let others = ["b", "c"].map(|s| Other { state: s.into(), is: s == "c" });
        let attrs = RootAttrs::new("t", serde_json::json!({}), 1);
        let mut w = ResultsWriter::create(&path, &attrs).unwrap();
        w.records(&scores).unwrap();
        w.records(&others).unwrap();
        w.finish().unwrap();
        let r = ResultsReader::open(&path).unwrap();
        let mut back = r.records::<Score>().unwrap();
        back.sort_by_key(|s| s.n);
        assert_eq!(back, scores);
        assert_eq!(r.records::<Other>().unwrap(), others);
        assert_eq!(r.array("test/scores/estimate").unwrap().coords[0], vec!["a", "b"].into());
    }
}
