//! CSV beside HDF5: the long form of named arrays, and tables.
//!
//! The long form has one row per cell, a column per dimension holding its label and
//! a column per array, which is what data frames and plotting tools take. Numbers are
//! in their shortest exact form, single precision as such, missing ones `NaN`;
//! fields are quoted where they must be; lines end in a line feed.

use std::fs::File;
use std::path::Path;

use hdf5::Dataset;
use ndarray::ArrayD;

use super::datasets::{self, Kind};
use super::error::{from_hdf5, from_io, StoreError};

use super::values::Values;

/// An array to be written as a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    /// Numbers in 64 bits.
    Real(ArrayD<f64>),
    /// Numbers in 32 bits.
    Single(ArrayD<f32>),
    /// Texts.
    Text(ArrayD<String>),
}

impl Column {
    /// Reads a dataset in the precision it is stored in.
    pub(crate) fn read(dataset: &Dataset, path: &Path) -> Result<Self, StoreError> {
        let fail = |e: hdf5::Error| from_hdf5(path, &dataset.name(), &e);
        Ok(match datasets::kind(dataset, path)? {
            Kind::Text => Self::Text(datasets::read_texts(dataset, path)?),
            Kind::Real if dataset.dtype().map_err(fail)?.size() <= 4 => {
                Self::Single(dataset.read_dyn().map_err(fail)?)
            }
            Kind::Real | Kind::Int => Self::Real(datasets::read_numbers(dataset, path)?),
        })
    }

    fn shape(&self) -> &[usize] {
        match self {
            Self::Real(a) => a.shape(),
            Self::Single(a) => a.shape(),
            Self::Text(a) => a.shape(),
        }
    }

    /// All cells in row-major order, as text.
    fn cells(&self) -> Box<dyn Iterator<Item = String> + '_> {
        match self {
            Self::Real(a) => Box::new(a.iter().map(f64::to_string)),
            Self::Single(a) => Box::new(a.iter().map(f32::to_string)),
            Self::Text(a) => Box::new(a.iter().cloned()),
        }
    }
}

/// Writes arrays over the dimensions `dims` in long form to `path`; errors name
/// `target`, the file's name to be.
///
/// # Errors
/// `Shape` if an array does not fit the dimensions, `DiskFull` or `Io`.
pub fn write_long(
    path: &Path,
    target: &Path,
    dims: &[(&str, Values)],
    columns: &[(&str, Column)],
) -> Result<(), StoreError> {
    let shape: Vec<usize> = dims.iter().map(|(_, values)| values.len()).collect();
    for (name, column) in columns {
        if column.shape() != shape {
            return Err(StoreError::Shape {
                path: target.to_path_buf(),
                object: (*name).to_owned(),
                expected: shape,
                found: column.shape().to_vec(),
            });
        }
    }
    let mut out = Rows::create(path, target)?;
    let names = dims.iter().map(|(d, _)| *d);
    let header: Vec<&str> = names.chain(columns.iter().map(|(c, _)| *c)).collect();
    out.row(&header)?;
    let mut cells: Vec<_> = columns.iter().map(|(_, column)| column.cells()).collect();
    let count: usize = shape.iter().product();
    let mut row: Vec<String> = Vec::with_capacity(header.len());
    for flat in 0..count {
        row.clear();
        let mut stride = count;
        for (n, (_, values)) in shape.iter().zip(dims) {
            stride /= n;
            row.push(values.label(flat / stride % n));
        }
        row.extend(cells.iter_mut().filter_map(Iterator::next));
        out.row(&row)?;
    }
    out.finish()
}

/// Writes columns of equal length to `path`; errors name `target`.
///
/// # Errors
/// `DiskFull` or `Io`.
pub fn write_table(
    path: &Path,
    target: &Path,
    columns: &[(&str, Values)],
) -> Result<(), StoreError> {
    let mut out = Rows::create(path, target)?;
    let header: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    out.row(&header)?;
    let rows = columns.first().map_or(0, |(_, values)| values.len());
    for i in 0..rows {
        let row: Vec<String> = columns.iter().map(|(_, values)| values.label(i)).collect();
        out.row(&row)?;
    }
    out.finish()
}

struct Rows<'a> {
    writer: ::csv::Writer<File>,
    target: &'a Path,
}

impl<'a> Rows<'a> {
    fn create(path: &Path, target: &'a Path) -> Result<Self, StoreError> {
        let file = File::create(path).map_err(|e| from_io(target, e))?;
        Ok(Self { writer: ::csv::Writer::from_writer(file), target })
    }

    fn row<T: AsRef<[u8]>>(&mut self, fields: &[T]) -> Result<(), StoreError> {
        self.writer.write_record(fields).map_err(|e| from_io(self.target, e.into()))
    }

    fn finish(mut self) -> Result<(), StoreError> {
        self.writer.flush().map_err(|e| from_io(self.target, e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{ResultsWriter, RootAttrs};
    use ndarray::Array;

    #[test]
    fn each_cell_stands_beside_its_labels() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.csv");
        let dims = [
            ("x", vec!["p", "q"].into()),
            ("y", vec![0.5, 1.0, 2.0].into()),
            ("z", vec![7i64].into()),
        ];
        let data = Array::from_shape_fn(vec![2, 3, 1], |i| (10 * i[0] + i[1]) as f64);
        let single = data.mapv(|v| if v == 0.0 { f32::NAN } else { 0.1 });
        let columns = [("v", Column::Real(data)), ("s", Column::Single(single))];
        write_long(&path, &path, &dims, &columns).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            "x,y,z,v,s\np,0.5,7,0,NaN\np,1,7,1,0.1\np,2,7,2,0.1\n\
             q,0.5,7,10,0.1\nq,1,7,11,0.1\nq,2,7,12,0.1\n"
        );
    }

    #[test]
    fn an_array_that_does_not_fit_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.csv");
        let dims = [("x", vec!["p", "q"].into())];
        let columns = [("v", Column::Real(ArrayD::zeros(vec![3])))];
        let error = write_long(&path, &path, &dims, &columns).unwrap_err();
        assert!(matches!(error, StoreError::Shape { .. }), "{error}");
    }

    #[test]
    fn a_full_disk_is_reported() {
        let full = Path::new("/dev/full");
        if full.exists() {
            let error = write_table(full, full, &[("a", vec![1i64].into())]).unwrap_err();
            assert!(matches!(error, StoreError::DiskFull { .. }), "{error}");
        }
    }

    #[test]
    fn csv_files_stand_beside_with_one_row_a_cell() {
        let dir = tempfile::tempdir().unwrap();
        let attrs = RootAttrs::new("test", serde_json::json!({}), 7);
        let mut w = ResultsWriter::create(&dir.path().join("results.h5"), &attrs).unwrap();
        w.coord("layer", vec![0usize, 4]).unwrap();
        w.coord("concept", vec!["persona", "u"]).unwrap();
        let cosine = Array::from_shape_fn(vec![2, 2], |i| (i[0] * 2 + i[1]) as f64);
        let low = cosine.mapv(|x| x as f32 - 0.1);
        w.array("geometry", "cosine", &["concept", "layer"], cosine.view()).unwrap();
        w.array("geometry", "ci_lo", &["concept", "layer"], low.view()).unwrap();
        w.csv("geometry", "coupling", &["cosine", "ci_lo"]).unwrap();
        let columns = [("id", vec!["a,b", "c\"d"].into()), ("n", vec![1i64, 2].into())];
        w.table("behaviour", "prompts", &columns).unwrap();
        assert!(!dir.path().join("csv/coupling.csv").exists());
        w.finish().unwrap();
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        let long = read("csv/coupling.csv");
        assert_eq!(long.lines().next(), Some("concept,layer,cosine,ci_lo"));
        assert_eq!(long.lines().nth(2), Some("persona,4,1,0.9"));
        assert_eq!(long.lines().count(), 5);
        assert_eq!(read("csv/behaviour.prompts.csv"), "id,n\n\"a,b\",1\n\"c\"\"d\",2\n");
    }
}
