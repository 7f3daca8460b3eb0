//! The values that the schema stores.
//!
//! HDF5 can hold almost anything; files of ours hold only what every reader knows:
//! UTF-8 text, 64-bit integers and floats (32-bit floats in arrays). No compound,
//! enum or boolean types. [`Values`] is a column or a coordinate, [`Number`] what
//! an n-dimensional array holds, [`AttrValue`] the value of an attribute.

use hdf5::types::VarLenUnicode;
use hdf5::H5Type;

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

    /// The entries at some places.
    pub(crate) fn at(&self, places: impl Iterator<Item = usize>) -> Self {
        match self {
            Self::Text(v) => Self::Text(places.map(|i| v[i].clone()).collect()),
            Self::Int(v) => Self::Int(places.map(|i| v[i]).collect()),
            Self::Real(v) => Self::Real(places.map(|i| v[i]).collect()),
        }
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

/// Conversions into the variants of an enum.
macro_rules! from {
    ($($of:ty => $to:ident::$variant:ident),+ $(,)?) => {
        $(impl From<$of> for $to {
            fn from(v: $of) -> Self {
                Self::$variant(v.into())
            }
        })+
    };
}

from! {
    Vec<String> => Values::Text,
    &[String] => Values::Text,
    Vec<i64> => Values::Int,
    Vec<f64> => Values::Real,
    &str => AttrValue::Text,
    String => AttrValue::Text,
    i64 => AttrValue::Int,
    f64 => AttrValue::Real,
    Vec<String> => AttrValue::Texts,
}

impl From<&[&str]> for Values {
    fn from(v: &[&str]) -> Self {
        Self::Text(v.iter().map(|t| (*t).to_owned()).collect())
    }
}

impl From<Vec<&str>> for Values {
    fn from(v: Vec<&str>) -> Self {
        v.as_slice().into()
    }
}

impl From<Vec<usize>> for Values {
    /// Indices and counts; one beyond `i64::MAX` is held at that.
    fn from(v: Vec<usize>) -> Self {
        let narrow = |x| i64::try_from(x).unwrap_or(i64::MAX);
        Self::Int(v.into_iter().map(narrow).collect())
    }
}

impl From<Vec<f32>> for Values {
    fn from(v: Vec<f32>) -> Self {
        Self::Real(v.into_iter().map(f64::from).collect())
    }
}

/// What an array of numbers holds.
pub trait Number: H5Type + Clone {}

impl Number for f64 {}
impl Number for f32 {}
impl Number for i64 {}

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

/// An HDF5 text, or `None` if `text` holds a NUL, at which HDF5 would end it.
pub(crate) fn to_hdf5(text: &str) -> Option<VarLenUnicode> {
    text.parse().ok()
}

/// The text of an HDF5 string; bytes that are not UTF-8 are replaced.
pub(crate) fn from_hdf5(text: &VarLenUnicode) -> String {
    String::from_utf8_lossy(text.as_bytes()).into_owned()
}
