//! Dimension scales: how an array's dimensions get their names and coordinates.
//!
//! The HDF5 convention (HDF5 Dimension Scale Specification, version 1) is a set of
//! attributes. A coordinate dataset carries CLASS and NAME; an array carries
//! DIMENSION_LIST, one list of references per dimension, and DIMENSION_LABELS; and
//! the coordinate's REFERENCE_LIST points back at every array and axis that uses it.
//! They are written here by hand, byte for byte as the H5DS functions would, because
//! those sit in a second library that a system HDF5 may lack.
//!
//! Coordinates live in `/coords`. xarray looks for a dimension only in an array's own
//! group and its parents, so [`Scales::attach`] also hard-links each coordinate into the
//! group of the array: one dataset, two names, no bytes. Back references are
//! collected and written at [`Scales::finish`], since an attribute cannot grow.

use std::collections::BTreeMap;
use std::path::Path;

use hdf5::types::{FixedAscii, VarLenArray, VarLenUnicode};
use hdf5::{Dataset, Datatype, File, Group, H5Type, ObjectReference, ObjectReference1};
use hdf5_sys::h5t::{H5T_str_t, H5Tset_strpad};

use super::datasets;
use super::error::{from_hdf5, Result, StoreError};
use super::schema::object;
use super::values::{self, Values};

/// Longest name of a coordinate, in bytes.
const NAME_BYTES: usize = 64;

/// One entry of REFERENCE_LIST; the field names are part of the convention.
#[derive(H5Type, Clone, Copy)]
#[repr(C)]
struct BackReference {
    dataset: ObjectReference1,
    dimension: i32,
}

/// The coordinates of one file and the arrays that use them.
#[derive(Debug, Default)]
pub(crate) struct Scales {
    /// Path of a coordinate -> (path of an array, axis).
    uses: BTreeMap<String, Vec<(String, i32)>>,
}

impl Scales {
    /// Writes the coordinate `name` of `group`.
    pub(crate) fn write(group: &Group, path: &Path, name: &str, labels: &Values) -> Result<()> {
        Self::mark(&datasets::write_values(group, path, name, labels)?, path, name)
    }

    /// Marks `dataset`, which is one-dimensional, as the coordinate `name`.
    pub(crate) fn mark(dataset: &Dataset, path: &Path, name: &str) -> Result<()> {
        let ascii = FixedAscii::<NAME_BYTES>::from_ascii(name);
        let name = ascii.map_err(|_| StoreError::BadName {
            what: "a coordinate (ASCII, at most 64 bytes)",
            name: name.to_owned(),
        })?;
        let class = FixedAscii::<16>::from_ascii("DIMENSION_SCALE");
        class
            .map_err(|e| hdf5::Error::from(e.to_string()))
            .and_then(|class| write_label(dataset, "CLASS", class, class.len() + 1))
            .and_then(|()| write_label(dataset, "NAME", name, name.len() + 1))
            .map_err(|e| from_hdf5(path, &dataset.name(), &e))
    }

    /// Names the dimensions of `dataset`, which is `name` in `group`: its axis i is
    /// `dims[i].0`, with the coordinate at the path `dims[i].1`.
    pub(crate) fn attach(
        &mut self,
        file: &File,
        path: &Path,
        group: &Group,
        name: &str,
        dims: &[(&str, String)],
    ) -> Result<()> {
        if dims.is_empty() {
            return Ok(());
        }
        let full = object(group, name);
        let fail = |e: hdf5::Error| from_hdf5(path, &full, &e);
        let mut lists = Vec::with_capacity(dims.len());
        let mut labels = Vec::with_capacity(dims.len());
        for (axis, (label, scale)) in (0i32..).zip(dims) {
            let reference = ObjectReference1::create(file, scale).map_err(fail)?;
            lists.push(VarLenArray::from_slice(&[reference]));
            let bad = || StoreError::BadName { what: "a dimension", name: (*label).into() };
            labels.push(values::to_hdf5(label).ok_or_else(bad)?);
            if !group.link_exists(label) {
                file.link_hard(scale, &object(group, label)).map_err(fail)?;
            }
            let uses = self.uses.entry(scale.clone()).or_default();
            uses.push((full.clone(), axis));
        }
        let dataset = group.dataset(name).map_err(fail)?;
        let list = dataset.new_attr::<VarLenArray<ObjectReference1>>().shape(lists.len());
        list.create("DIMENSION_LIST").and_then(|a| a.write(&lists)).map_err(fail)?;
        let label = dataset.new_attr::<VarLenUnicode>().shape(labels.len());
        label.create("DIMENSION_LABELS").and_then(|a| a.write(&labels)).map_err(fail)
    }

    /// Writes the back references of every coordinate in use.
    pub(crate) fn finish(self, file: &File, path: &Path) -> Result<()> {
        for (scale, uses) in self.uses {
            let write = || -> hdf5::Result<()> {
                let entry = |(array, dimension): &(String, i32)| {
                    let dataset = ObjectReference1::create(file, array)?;
                    Ok(BackReference { dataset, dimension: *dimension })
                };
                let entries = uses.iter().map(entry).collect::<hdf5::Result<Vec<_>>>()?;
                let list = file.dataset(&scale)?.new_attr::<BackReference>().shape(entries.len());
                list.create("REFERENCE_LIST")?.write(&entries)
            };
            write().map_err(|e| from_hdf5(path, &scale, &e))?;
        }
        Ok(())
    }
}

/// The dimension names of a dataset; an unnamed axis reads as an empty name.
pub(crate) fn dimensions(dataset: &Dataset, path: &Path) -> Result<Vec<String>> {
    let fail = |e: hdf5::Error| from_hdf5(path, &dataset.name(), &e);
    let attrs = dataset.attr_names().map_err(fail)?;
    if !attrs.iter().any(|n| n == "DIMENSION_LABELS") {
        // A coordinate is its own dimension.
        let name = dataset.name();
        let own = name.rsplit('/').next().unwrap_or_default();
        let is_scale = attrs.iter().any(|n| n == "CLASS");
        let label = if is_scale { own } else { "" };
        return Ok(vec![label.to_owned(); dataset.ndim()]);
    }
    let labels = dataset.attr("DIMENSION_LABELS").and_then(|a| a.read_raw()).map_err(fail)?;
    Ok(labels.iter().map(values::from_hdf5).collect())
}

/// Writes a fixed-length, NUL-terminated ASCII attribute of `size` bytes, the only
/// form in which H5DSis_scale and h5netcdf recognise CLASS.
fn write_label<const N: usize>(
    dataset: &Dataset,
    name: &str,
    text: FixedAscii<N>,
    size: usize,
) -> hdf5::Result<()> {
    let kind = hdf5::types::TypeDescriptor::FixedAscii(size);
    let kind = Datatype::from_descriptor(&kind)?;
    let status = {
        let _lock = hdf5_sys::LOCK.lock();
        // SAFETY: `kind` owns a live string type that no other handle shares, and the
        // lock of libhdf5 is held.
        unsafe { H5Tset_strpad(kind.id(), H5T_str_t::H5T_STR_NULLTERM) }
    };
    if status < 0 {
        return Err("cannot make a NUL-terminated string type".into());
    }
    dataset.new_attr_builder().empty_as(kind).create(name)?.write_scalar(&text)
}
