//! Writing `results.h5`: named arrays, tables and attributes.
//!
//! The writer knows nothing of what it stores. A caller first gives coordinates, then
//! arrays whose dimensions name them, tables of columns of equal length, attributes,
//! and the activation files (see `results_activations`). A dimension `x_a` or `x_b` without a
//! coordinate of its own takes that of `x`, so that an array over pairs of concepts
//! has two dimensions with two names, as xarray needs.
//!
//! Each table has its CSV beside the file in `csv/`. Everything appears at
//! [`ResultsWriter::finish`]; a writer that is dropped leaves nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hdf5::{Dataset, Group};
use ndarray::ArrayViewD;

use super::atomic::Pending;
use super::csv;
use super::datasets;
use super::error::{Result, StoreError};
use super::new_file::NewFile;
use super::scales::Scales;
use super::schema::{self, check_name, object, require_group, RootAttrs};
use super::values::{AttrValue, Number, Values};

/// Group of the coordinates.
pub(crate) const COORDS: &str = "coords";

/// Coordinate of a table's rows.
pub(super) const ROW: &str = "row";

/// Each dimension of an array and the path of its coordinate.
pub(super) type Attached<'d> = Vec<(&'d str, String)>;

/// A results file being written.
#[derive(Debug)]
pub struct ResultsWriter {
    pub(super) file: NewFile,
    pub(super) path: PathBuf,
    pub(super) coords: BTreeMap<String, Values>,
    scales: Scales,
    tables: Vec<Pending>,
    /// After a failed write libhdf5 must not be asked for more.
    broken: bool,
}

impl ResultsWriter {
    /// Begins a file that will be at `path`.
    ///
    /// # Errors
    /// `Unwritable`, `DiskFull` or `Hdf5`.
    pub fn create(path: &Path, attrs: &RootAttrs) -> Result<Self> {
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
    pub fn coord(&mut self, name: &str, values: impl Into<Values>) -> Result<()> {
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
            Scales::write(&group, &w.path, name, &values)?;
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
    pub fn array<T: Number>(
        &mut self,
        group: &str,
        name: &str,
        dims: &[&str],
        data: ArrayViewD<'_, T>,
    ) -> Result<()> {
        self.step(|w| {
            let dims = w.dimensions(group, name, dims, data.shape())?;
            w.put(group, name, &dims, |at, path| datasets::write_array(at, path, name, &data))
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
    ) -> Result<()> {
        self.step(|w| {
            let dims = w.dimensions(group, name, dims, data.shape())?;
            w.put(group, name, &dims, |at, path| datasets::write_texts(at, path, name, &data))
        })
    }

    /// Writes a table as the group `group/name` of one dataset per column, with the
    /// order of the columns in its attribute `columns`, and `csv/<group>.<name>.csv`.
    ///
    /// # Errors
    /// `Shape` if columns differ in length, otherwise as [`ResultsWriter::texts`].
    pub fn table(&mut self, group: &str, name: &str, columns: &[(&str, Values)]) -> Result<()> {
        self.step(|w| {
            check_name("a table", name)?;
            let full = format!("{}/{name}", group.trim_matches('/'));
            if w.file.link_exists(&full) {
                return Err(w.taken(full));
            }
            let rows = columns.first().map_or(0, |(_, values)| values.len());
            let target = require_group(&w.file, &w.path, &full)?;
            let index = Values::from((0..rows).collect::<Vec<usize>>());
            Scales::write(&target, &w.path, ROW, &index)?;
            let row = vec![(ROW, object(&target, ROW))];
            for (column, values) in columns {
                check_name("a column", column)?;
                if values.len() != rows {
                    let at = object(&target, column);
                    return Err(StoreError::shape(&w.path, at, &[rows], &[values.len()]));
                }
                w.put(&full, column, &row, |at, path| {
                    datasets::write_values(at, path, column, values)
                })?;
            }
            let order: Vec<String> = columns.iter().map(|(c, _)| (*c).to_owned()).collect();
            schema::write_attr(&target, &w.path, &full, "columns", &order.into())?;
            w.beside(&full, columns)
        })
    }

    /// Gives the array, table or group `name` an attribute; `/` is the root.
    ///
    /// # Errors
    /// `NoObject`, `NulInText` or `Hdf5`.
    pub fn attr(&mut self, name: &str, attr: &str, value: impl Into<AttrValue>) -> Result<()> {
        let value = value.into();
        self.step(|w| {
            let Some(at) = schema::located(&w.file, name) else {
                let present = w.file.member_names().unwrap_or_default();
                return Err(StoreError::no_object(&w.path, name, &present));
            };
            let object = match name.trim_matches('/') {
                "" => "/",
                name => name,
            };
            schema::write_attr(&at, &w.path, object, attr, &value)
        })
    }

    /// Completes the file and makes it and its CSV files appear.
    ///
    /// # Errors
    /// `DiskFull`, `Io`, `Hdf5`, or `WriterStopped` if a write had failed; nothing of the
    /// file is then kept.
    pub fn finish(self) -> Result<()> {
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
    pub(super) fn step<T>(&mut self, write: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.broken {
            return Err(StoreError::WriterStopped { path: self.path.clone() });
        }
        let outcome = write(self);
        self.broken = matches!(outcome, Err(StoreError::DiskFull { .. } | StoreError::Hdf5 { .. }));
        outcome
    }

    /// Checks names, dimensions and shape; returns the coordinate of each dimension.
    fn dimensions<'d>(
        &mut self,
        group: &str,
        name: &str,
        dims: &[&'d str],
        shape: &[usize],
    ) -> Result<Attached<'d>> {
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
        match expected == shape {
            true => Ok(attached),
            false => Err(StoreError::shape(&path, full, &expected, shape)),
        }
    }

    /// Writes what is not there yet as `name` of `group` and gives it its dimensions.
    pub(super) fn put(
        &mut self,
        group: &str,
        name: &str,
        dims: &Attached,
        write: impl FnOnce(&Group, &Path) -> Result<Dataset>,
    ) -> Result<()> {
        let target = require_group(&self.file, &self.path, group)?;
        if target.link_exists(name) {
            return Err(self.taken(object(&target, name)));
        }
        write(&target, &self.path)?;
        self.scales.attach(&self.file, &self.path, &target, name, dims)
    }

    fn taken(&self, object: String) -> StoreError {
        StoreError::NameTaken { path: self.path.clone(), object }
    }

    /// The CSV of the table at `path` in the file.
    pub(super) fn beside(&mut self, path: &str, columns: &[(&str, Values)]) -> Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("")).join("csv");
        let target = folder.join(format!("{}.csv", path.replace('/', ".")));
        if self.tables.iter().any(|t| t.target() == target) {
            return Err(self.taken(target.display().to_string()));
        }
        self.tables.push(csv::pending(&target, columns)?);
        Ok(())
    }
}
