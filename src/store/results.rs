//! Writing `results.h5`: named arrays, tables and links.
//!
//! The writer knows nothing of what it stores. A caller first gives coordinates, then
//! arrays whose dimensions name them, tables of columns of equal length, attributes,
//! and external links to the activation files. A dimension `x_a` or `x_b` without a
//! coordinate of its own takes that of `x`, so that an array over pairs of concepts
//! has two dimensions with two names, as xarray needs.
//!
//! Each table has its CSV beside the file in `csv/`, and [`ResultsWriter::csv`] writes arrays
//! of the same dimensions as one long table. Everything appears at
//! [`ResultsWriter::finish`]; a writer that is dropped leaves nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hdf5::Group;
use ndarray::ArrayViewD;

use super::atomic::Pending;
use super::csv::{self, Column};
use super::datasets;
use super::error::{from_hdf5, StoreError};
use super::new_file::NewFile;
use super::scales::{dimensions, Scales};
use super::schema::{self, check_name, listed, object, require_group, RootAttrs};
use super::values::{AttrValue, Numbers, Values};

/// Group of the coordinates.
pub(crate) const COORDS: &str = "coords";

/// Coordinate of a table's rows.
const ROW: &str = "row";

/// Each dimension of an array and the path of its coordinate.
pub(super) type Attached<'d> = Vec<(&'d str, String)>;

/// A results file being written.
#[derive(Debug)]
pub struct ResultsWriter {
    pub(super) file: NewFile,
    pub(super) path: PathBuf,
    pub(super) coords: BTreeMap<String, Values>,
    pub(super) scales: Scales,
    pub(super) tables: Vec<Pending>,
    /// After a failed write libhdf5 must not be asked for more.
    broken: bool,
}

impl ResultsWriter {
    /// Begins a file that will be at `path`.
    ///
    /// # Errors
    /// `Unwritable`, `DiskFull` or `Hdf5`.
    pub fn create(path: &Path, attrs: &RootAttrs) -> Result<Self, StoreError> {
        Ok(Self {
            file: NewFile::create(path, attrs)?,
            path: path.to_path_buf(),
            coords: BTreeMap::new(),
            scales: Scales::default(),
            tables: Vec::new(),
            broken: false,
        })
    }

    /// Gives the coordinate `name` its labels. The same labels may be given twice.
    ///
    /// # Errors
    /// `NameTaken` for other labels under the same name, `BadName`, `NulInText`.
    pub fn coord(&mut self, name: &str, values: impl Into<Values>) -> Result<(), StoreError> {
        let values = values.into();
        self.step(|w| {
            check_name("a coordinate", name)?;
            if let Some(present) = w.coords.get(name) {
                if *present == values {
                    return Ok(());
                }
                return Err(w.taken(format!("/{COORDS}/{name}")));
            }
            let group = require_group(&w.file, &w.path, COORDS)?;
            let dataset = datasets::write_values(&group, &w.path, name, &values)?;
            Scales::mark(&dataset, &w.path, name)?;
            w.coords.insert(name.to_owned(), values);
            Ok(())
        })
    }

    /// Writes the array `name` of `group`; axis i is the dimension `dims[i]`.
    /// Numbers are stored in the width they come in, NaN where there is none.
    ///
    /// # Errors
    /// `UnknownDimension`, `RepeatedDimension`, `Shape`, `NameTaken`, `BadName`,
    /// `DiskFull` or `Hdf5`.
    pub fn array<'a>(
        &mut self,
        group: &str,
        name: &str,
        dims: &[&str],
        data: impl Into<Numbers<'a>>,
    ) -> Result<(), StoreError> {
        let data = data.into();
        self.step(|w| {
            let (target, dims) = w.prepare(group, name, dims, data.shape())?;
            datasets::write_numbers(&target, &w.path, name, &data)?;
            w.scales.attach(&w.file, &w.path, &target, name, &dims)
        })
    }

    /// Writes an array of texts, as [`ResultsWriter::array`] does of numbers.
    ///
    /// # Errors
    /// As [`ResultsWriter::array`], and `NulInText`.
    pub fn texts(
        &mut self,
        group: &str,
        name: &str,
        dims: &[&str],
        data: ArrayViewD<'_, String>,
    ) -> Result<(), StoreError> {
        self.step(|w| {
            let (target, dims) = w.prepare(group, name, dims, data.shape())?;
            datasets::write_texts(&target, &w.path, name, &data)?;
            w.scales.attach(&w.file, &w.path, &target, name, &dims)
        })
    }

    /// Writes a table as the group `group/name` of one dataset per column, with the
    /// order of the columns in its attribute `columns`, and `csv/<group>.<name>.csv`.
    ///
    /// # Errors
    /// `Shape` if columns differ in length, otherwise as [`ResultsWriter::texts`].
    pub fn table(
        &mut self,
        group: &str,
        name: &str,
        columns: &[(&str, Values)],
    ) -> Result<(), StoreError> {
        self.step(|w| {
            check_name("a table", name)?;
            let full = format!("{}/{name}", group.trim_matches('/'));
            if w.file.link_exists(&full) {
                return Err(w.taken(full));
            }
            let rows = columns.first().map_or(0, |(_, values)| values.len());
            let target = require_group(&w.file, &w.path, &full)?;
            let index = datasets::write_values(&target, &w.path, ROW, &indices(rows))?;
            Scales::mark(&index, &w.path, ROW)?;
            let row = object(&target, ROW);
            for (column, values) in columns {
                check_name("a column", column)?;
                if target.link_exists(column) {
                    return Err(w.taken(object(&target, column)));
                }
                if values.len() != rows {
                    return Err(StoreError::Shape {
                        path: w.path.clone(),
                        object: object(&target, column),
                        expected: vec![rows],
                        found: vec![values.len()],
                    });
                }
                datasets::write_values(&target, &w.path, column, values)?;
                let dims = [(ROW, row.clone())];
                w.scales.attach(&w.file, &w.path, &target, column, &dims)?;
            }
            let order: Vec<String> = columns.iter().map(|(c, _)| (*c).to_owned()).collect();
            schema::write_attr(&target, &w.path, &full, "columns", &order.into())?;
            let table = w.new_csv(&full.replace('/', "."))?;
            csv::write_table(table.path(), table.target(), columns)?;
            w.tables.push(table);
            Ok(())
        })
    }

    /// Writes `csv/<stem>.csv`: one row per cell of the arrays `names` of `group`,
    /// which have the same dimensions, with a column per dimension and per array.
    ///
    /// # Errors
    /// `NoObject`, `Shape` if their dimensions differ, `BadName` or `DiskFull`.
    pub fn csv(&mut self, group: &str, stem: &str, names: &[&str]) -> Result<(), StoreError> {
        check_name("a CSV file", stem)?;
        let group = require_group(&self.file, &self.path, group)?;
        let mut columns = Vec::with_capacity(names.len());
        let mut shared: Option<(Vec<String>, Vec<usize>)> = None;
        for name in names {
            if !group.link_exists(name) {
                return Err(StoreError::NoObject {
                    path: self.path.clone(),
                    object: object(&group, name),
                    present: listed(&group.member_names().unwrap_or_default()),
                });
            }
            let dataset = group
                .dataset(name)
                .map_err(|e| from_hdf5(&self.path, &object(&group, name), &e))?;
            let dims = dimensions(&dataset, &self.path)?;
            let shape = dataset.shape();
            let (first, expected) = shared.get_or_insert_with(|| (dims.clone(), shape.clone()));
            if *first != dims {
                return Err(StoreError::Shape {
                    path: self.path.clone(),
                    object: object(&group, name),
                    expected: expected.clone(),
                    found: shape,
                });
            }
            columns.push((*name, Column::read(&dataset, &self.path)?));
        }
        let (dims, shape) = shared.unwrap_or_default();
        let labels: Vec<(&str, Values)> = dims
            .iter()
            .zip(shape)
            .map(|(d, n)| {
                let values = self.coords.get(d).cloned();
                (d.as_str(), values.unwrap_or_else(|| indices(n)))
            })
            .collect();
        let table = self.new_csv(stem)?;
        csv::write_long(table.path(), table.target(), &labels, &columns)?;
        self.tables.push(table);
        Ok(())
    }

    /// Makes `link` (such as `/activations/base/0`) stand for `target` in the file
    /// `file`, a path relative to the folder of this file.
    ///
    /// # Errors
    /// `NameTaken`, `BadName` or `Hdf5`.
    pub fn external_link(
        &mut self,
        link: &str,
        file: &str,
        target: &str,
    ) -> Result<(), StoreError> {
        self.step(|w| {
            let (group, name) = link.rsplit_once('/').unwrap_or(("", link));
            check_name("a link", name)?;
            let group = require_group(&w.file, &w.path, group)?;
            if group.link_exists(name) {
                return Err(w.taken(object(&group, name)));
            }
            group
                .link_external(file, target, name)
                .map_err(|e| from_hdf5(&w.path, &object(&group, name), &e))
        })
    }

    /// Gives the array, table or group `name` an attribute; `/` is the root.
    ///
    /// # Errors
    /// `NoObject`, `NulInText` or `Hdf5`.
    pub fn attr(
        &mut self,
        name: &str,
        attr: &str,
        value: impl Into<AttrValue>,
    ) -> Result<(), StoreError> {
        let value = value.into();
        self.step(|w| {
            let trimmed = name.trim_matches('/');
            if trimmed.is_empty() {
                return schema::write_attr(&w.file, &w.path, "/", attr, &value);
            }
            if let Ok(dataset) = w.file.dataset(trimmed) {
                return schema::write_attr(&dataset, &w.path, trimmed, attr, &value);
            }
            match w.file.group(trimmed) {
                Ok(group) => schema::write_attr(&group, &w.path, trimmed, attr, &value),
                Err(_) => Err(StoreError::NoObject {
                    path: w.path.clone(),
                    object: name.to_owned(),
                    present: listed(&w.file.member_names().unwrap_or_default()),
                }),
            }
        })
    }

    /// Completes the file and makes it and its CSV files appear.
    ///
    /// # Errors
    /// `DiskFull`, `Io`, `Hdf5`, or `WriterStopped` if a write had failed; nothing of the
    /// file is then kept.
    pub fn finish(self) -> Result<(), StoreError> {
        let Self { file, path, scales, tables, broken, .. } = self;
        if broken {
            return Err(StoreError::WriterStopped { path });
        }
        scales.finish(&file, &path)?;
        file.flush(&path)?;
        for table in tables {
            table.commit()?;
        }
        file.finish(&path)
    }

    /// One write; after one that libhdf5 failed at, every other is refused.
    pub(super) fn step(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if self.broken {
            return Err(StoreError::WriterStopped { path: self.path.clone() });
        }
        let outcome = write(self);
        self.broken = matches!(outcome, Err(StoreError::DiskFull { .. } | StoreError::Hdf5 { .. }));
        outcome
    }

    /// Checks names, dimensions and shape; returns the group and the coordinate of
    /// each dimension.
    fn prepare<'d>(
        &mut self,
        group: &str,
        name: &str,
        dims: &[&'d str],
        shape: &[usize],
    ) -> Result<(Group, Attached<'d>), StoreError> {
        check_name("an array", name)?;
        let full = format!("{}/{name}", group.trim_matches('/'));
        let path = self.path.clone();
        let mut expected = Vec::with_capacity(dims.len());
        let mut attached = Vec::with_capacity(dims.len());
        for (axis, dim) in dims.iter().enumerate() {
            let (object, dimension) = (full.clone(), (*dim).to_owned());
            if dims[..axis].contains(dim) {
                return Err(StoreError::RepeatedDimension { path, object, dimension });
            }
            if !self.coords.contains_key(*dim) {
                let base = dim.strip_suffix("_a").or_else(|| dim.strip_suffix("_b"));
                let Some(values) = base.and_then(|b| self.coords.get(b)).cloned() else {
                    return Err(StoreError::UnknownDimension { path, object, dimension });
                };
                self.coord(dim, values)?;
            }
            expected.push(self.coords.get(*dim).map_or(0, Values::len));
            attached.push((*dim, format!("/{COORDS}/{dim}")));
        }
        if expected != shape {
            return Err(StoreError::Shape { path, object: full, expected, found: shape.to_vec() });
        }
        let target = require_group(&self.file, &path, group)?;
        if target.link_exists(name) {
            return Err(self.taken(full));
        }
        Ok((target, attached))
    }

    pub(super) fn taken(&self, object: String) -> StoreError {
        StoreError::NameTaken { path: self.path.clone(), object }
    }

    pub(super) fn new_csv(&self, stem: &str) -> Result<Pending, StoreError> {
        let folder = self.path.parent().unwrap_or(Path::new("")).join("csv");
        let path = folder.join(format!("{stem}.csv"));
        if self.tables.iter().any(|t| t.target() == path) {
            return Err(self.taken(path.display().to_string()));
        }
        Pending::new(&path)
    }
}

fn indices(n: usize) -> Values {
    Values::from((0..n).collect::<Vec<usize>>())
}
