//! The values that the schema stores.
//!
//! HDF5 can hold almost anything; files of ours hold only what every reader knows:
//! UTF-8 text, 64-bit integers and floats (32-bit floats in arrays). No compound,
//! enum or boolean types. [`Values`] is a column or a coordinate, [`Numbers`] an
//! n-dimensional array lent for writing, [`AttrValue`] the value of an attribute.

use hdf5::types::VarLenUnicode;
use ndarray::{ArrayViewD, IxDyn};

/// The distinct items in the order of their first appearance.
pub fn distinct<T: PartialEq>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut list = Vec::new();
    for item in items {
        if !list.contains(&item) {
            list.push(item);
        }
    }
    list
}

/// A column of a table or the labels of a coordinate.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Texts.
    Text(Vec<String>),
    /// Whole numbers.
    Int(Vec<i64>),
    /// Numbers.
    Real(Vec<f64>),
}

impl Values {
    /// Number of entries.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(v) => v.len(),
            Self::Int(v) => v.len(),
            Self::Real(v) => v.len(),
        }
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entry `i` as text, numbers in their shortest exact form; empty past the end.
    pub fn label(&self, i: usize) -> String {
        match self {
            Self::Text(v) => v.get(i).cloned(),
            Self::Int(v) => v.get(i).map(i64::to_string),
            Self::Real(v) => v.get(i).map(f64::to_string),
        }
        .unwrap_or_default()
    }
}

impl From<Vec<String>> for Values {
    fn from(v: Vec<String>) -> Self {
        Self::Text(v)
    }
}

impl From<&[String]> for Values {
    fn from(v: &[String]) -> Self {
        Self::Text(v.to_vec())
    }
}

impl From<Vec<&str>> for Values {
    fn from(v: Vec<&str>) -> Self {
        Self::Text(v.into_iter().map(str::to_owned).collect())
    }
}

impl From<&[&str]> for Values {
    fn from(v: &[&str]) -> Self {
        v.to_vec().into()
    }
}

impl From<Vec<i64>> for Values {
    fn from(v: Vec<i64>) -> Self {
        Self::Int(v)
    }
}

impl From<Vec<usize>> for Values {
    /// Indices and counts; one beyond `i64::MAX` is held at that.
    fn from(v: Vec<usize>) -> Self {
        let narrow = |x| i64::try_from(x).unwrap_or(i64::MAX);
        Self::Int(v.into_iter().map(narrow).collect())
    }
}

impl From<Vec<f64>> for Values {
    fn from(v: Vec<f64>) -> Self {
        Self::Real(v)
    }
}

impl From<Vec<f32>> for Values {
    fn from(v: Vec<f32>) -> Self {
        Self::Real(v.into_iter().map(f64::from).collect())
    }
}

/// An n-dimensional array of numbers, lent for writing.
#[derive(Debug, Clone)]
pub enum Numbers<'a> {
    /// In 64 bits.
    F64(ArrayViewD<'a, f64>),
    /// In 32 bits.
    F32(ArrayViewD<'a, f32>),
    /// Whole, in 64 bits.
    I64(ArrayViewD<'a, i64>),
}

impl Numbers<'_> {
    /// The array's shape.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::F64(a) => a.shape(),
            Self::F32(a) => a.shape(),
            Self::I64(a) => a.shape(),
        }
    }
}

impl<'a> From<ArrayViewD<'a, f64>> for Numbers<'a> {
    fn from(a: ndarray::ArrayView<'a, f64, IxDyn>) -> Self {
        Self::F64(a)
    }
}

impl<'a> From<ArrayViewD<'a, f32>> for Numbers<'a> {
    fn from(a: ndarray::ArrayView<'a, f32, IxDyn>) -> Self {
        Self::F32(a)
    }
}

impl<'a> From<ArrayViewD<'a, i64>> for Numbers<'a> {
    fn from(a: ndarray::ArrayView<'a, i64, IxDyn>) -> Self {
        Self::I64(a)
    }
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum AttrValue {
    /// One text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A number.
    Real(f64),
    /// A list of texts.
    Texts(Vec<String>),
}

impl From<&str> for AttrValue {
    fn from(v: &str) -> Self {
        Self::Text(v.to_owned())
    }
}

impl From<String> for AttrValue {
    fn from(v: String) -> Self {
        Self::Text(v)
    }
}

impl From<i64> for AttrValue {
    fn from(v: i64) -> Self {
        Self::Int(v)
    }
}

impl From<f64> for AttrValue {
    fn from(v: f64) -> Self {
        Self::Real(v)
    }
}

impl From<Vec<String>> for AttrValue {
    fn from(v: Vec<String>) -> Self {
        Self::Texts(v)
    }
}

/// An HDF5 text, or `None` if `text` holds a NUL, at which HDF5 would end it.
pub(crate) fn to_hdf5(text: &str) -> Option<VarLenUnicode> {
    text.parse().ok()
}

/// The text of an HDF5 string; bytes that are not UTF-8 are replaced.
pub(crate) fn from_hdf5(text: &VarLenUnicode) -> String {
    String::from_utf8_lossy(text.as_bytes()).into_owned()
}
