//! Records and frames: what is measured, as typed rows that every output is made of.
//!
//! A kind of result is one struct, declared with [`record!`](crate::record): its doc comments are the
//! definitions that a file carries, its attributes the units. [`Frame`] holds rows of one kind as
//! named columns; one frame goes to HDF5 and CSV ([`super::ResultsWriter::frame`]), to JSON and to the
//! terminal, so that all say the same, and [`super::ResultsReader::records`] gives the typed rows back.
//!
//! What is unusual: a record that names its *dimensions* is stored as one array a field over them (a
//! dataset that xarray opens with named coordinates), any other as columns along `row`. The words
//! `estimate`, `lo`, `hi`, `p`, `q`, `n` mean the same in every record.

use super::csv;
use super::error::StoreError;
use super::values::Values;
use serde_json::{Map, Value};
use std::path::Path;

/// One field of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Name of the column.
    pub name: &'static str,
    /// Empty where the field is no quantity.
    pub unit: &'static str,
    /// Its definition.
    pub is: &'static str,
    /// Whether it is true or false, kept as 1 and 0 in files.
    pub truth: bool,
}

/// What a kind of record is, and how its numbers came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// Path below the root of a results file, such as `geometry/coupling`.
    pub path: &'static str,
    /// Its definition.
    pub is: &'static str,
    /// How it is estimated; empty where the definition says it.
    pub estimator: &'static str,
    /// What its interval is, and for what.
    pub interval: &'static str,
    /// What it is compared with.
    pub null: &'static str,
    /// Paper and equation.
    pub source: &'static str,
    /// The fields, in order.
    pub fields: &'static [Field],
    /// Fields that are dimensions; empty for a table.
    pub dims: &'static [&'static str],
}

impl Meta {
    /// Attributes of the group that holds the record; empty texts are left out.
    pub fn attributes(&self) -> impl Iterator<Item = (&'static str, String)> {
        [
            ("is", self.is),
            ("estimator", self.estimator),
            ("interval", self.interval),
            ("null", self.null),
            ("source", self.source),
        ]
        .into_iter()
        .map(|(name, text)| (name, tidy(text)))
        .filter(|(_, text)| !text.is_empty())
    }
}

/// Doc comments begin with a space a line.
pub fn tidy(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A kind of result: rows with one definition.
pub trait Record: Sized {
    /// Path, definition and fields.
    const META: &'static Meta;
    /// A row in which nothing is known.
    const NONE: Self;

    /// One column a field, in order.
    fn columns(rows: &[Self]) -> Vec<Values>;

    /// The rows of such columns; none where a column is of another kind or length.
    fn from_columns(columns: Vec<Values>) -> Option<Vec<Self>>;
}

/// What a field of a record may be.
pub trait Cell: Sized {
    /// What stands for none: no text, no number, a count of 0.
    const NONE: Self;
    /// Whether it is true or false.
    const TRUTH: bool = false;

    /// Cells as a column.
    fn column<'a>(cells: impl Iterator<Item = &'a Self>) -> Values
    where
        Self: 'a;

    /// A column as cells; none where it is of another kind.
    fn cells(column: Values) -> Option<Vec<Self>>;
}

impl Cell for String {
    const NONE: String = String::new();

    fn column<'a>(cells: impl Iterator<Item = &'a Self>) -> Values {
        Values::Text(cells.cloned().collect())
    }

    fn cells(column: Values) -> Option<Vec<Self>> {
        if let Values::Text(v) = column {
            Some(v)
        } else {
            None
        }
    }
}

impl Cell for f64 {
    const NONE: f64 = f64::NAN;

    fn column<'a>(cells: impl Iterator<Item = &'a Self>) -> Values {
        Values::Real(cells.copied().collect())
    }

    fn cells(column: Values) -> Option<Vec<Self>> {
        match column {
            Values::Real(v) => Some(v),
            Values::Int(v) => Some(v.into_iter().map(|n| n as f64).collect()),
            Values::Text(_) => None,
        }
    }
}

/// Counts and indices; a grid gives them back as reals.
impl Cell for usize {
    const NONE: usize = 0;

    fn column<'a>(cells: impl Iterator<Item = &'a Self>) -> Values {
        Values::from(cells.copied().collect::<Vec<usize>>())
    }

    fn cells(column: Values) -> Option<Vec<Self>> {
        match column {
            Values::Int(v) => v.into_iter().map(|n| usize::try_from(n).ok()).collect(),
            Values::Real(v) => (v.into_iter())
                .map(|n| (n >= 0.0 && n.fract() == 0.0).then_some(n as usize))
                .collect(),
            Values::Text(_) => None,
        }
    }
}

/// 1 where it is so.
impl Cell for bool {
    const NONE: bool = false;
    const TRUTH: bool = true;

    fn column<'a>(cells: impl Iterator<Item = &'a Self>) -> Values {
        Values::Int(cells.map(|b| i64::from(*b)).collect())
    }

    fn cells(column: Values) -> Option<Vec<Self>> {
        Some(usize::cells(column)?.into_iter().map(|n| n != 0).collect())
    }
}

/// Declares records: structs with definitions, units and a place in the results file.
///
/// Attributes stand in this order: doc comment, `#[table("group/name")]` or, with the fields that are
/// dimensions, `#[table("group/name", "dim", ...)]`, then, each where it applies,
/// `#[estimator("...")]`, `#[interval("...")]`, `#[null("...")]`, `#[source("...")]`. A field has a doc
/// comment, the definition, and where it is a quantity its unit, `in "..."`; a number with an interval
/// names the fields of its ends, with what they are: `from lo "..." to hi "..."`.
#[macro_export]
macro_rules! record {
    ($(
        $(#[doc = $is:literal])+ #[table($path:literal $(, $dim:literal)*)]
        $(#[estimator($estimator:expr)])? $(#[interval($interval:expr)])? $(#[null($null:expr)])?
        $(#[source($source:expr)])?
        pub struct $name:ident { $(
            $(#[doc = $doc:literal])+ pub $field:ident: $kind:ident $(in $unit:literal)?
            $(from $lo:ident $lo_is:literal to $hi:ident $hi_is:literal)?,
        )+ }
    )+) => { $(
        $(#[doc = $is])+
        #[derive(Debug, Clone, PartialEq, serde::Serialize)]
        pub struct $name { $(
            $(#[doc = $doc])+ pub $field: $kind,
            $(#[doc = $lo_is] pub $lo: f64, #[doc = $hi_is] pub $hi: f64,)?
        )+ }

        impl $crate::store::Record for $name {
            const META: &'static $crate::store::Meta = &$crate::store::Meta {
                path: $path,
                is: concat!($($is),+),
                estimator: [$($estimator,)? ""][0],
                interval: [$($interval,)? ""][0],
                null: [$($null,)? ""][0],
                source: [$($source,)? ""][0],
                fields: &[$(
                    $crate::store::Field {
                        name: stringify!($field),
                        unit: concat!("" $(, $unit)?),
                        is: concat!($($doc),+),
                        truth: <$kind as $crate::store::Cell>::TRUTH,
                    },
                    $(
                        $crate::store::Field { name: stringify!($lo), unit: "", is: $lo_is, truth: false },
                        $crate::store::Field { name: stringify!($hi), unit: "", is: $hi_is, truth: false },
                    )?
                )+],
                dims: &[$($dim),*],
            };

            const NONE: Self = $name { $(
                $field: <$kind as $crate::store::Cell>::NONE, $($lo: f64::NAN, $hi: f64::NAN,)?
            )+ };

            fn columns(rows: &[Self]) -> Vec<$crate::store::Values> {
                use $crate::store::Cell;
                vec![$(
                    <$kind as Cell>::column(rows.iter().map(|r| &r.$field)),
                    $(<f64 as Cell>::column(rows.iter().map(|r| &r.$lo)),
                    <f64 as Cell>::column(rows.iter().map(|r| &r.$hi)),)?
                )+]
            }

            fn from_columns(columns: Vec<$crate::store::Values>) -> Option<Vec<Self>> {
                use $crate::store::Cell;
                let mut columns = columns.into_iter();
                $(
                    let $field = <$kind as Cell>::cells(columns.next()?)?;
                    $(let $lo = <f64 as Cell>::cells(columns.next()?)?;
                    let $hi = <f64 as Cell>::cells(columns.next()?)?;)?
                )+
                let lengths = [$($field.len(), $($lo.len(), $hi.len(),)?)+];
                if lengths.iter().any(|n| *n != lengths[0]) {
                    return None;
                }
                $(
                    let mut $field = $field.into_iter();
                    $(let (mut $lo, mut $hi) = ($lo.into_iter(), $hi.into_iter());)?
                )+
                let row = |_| Some($name { $(
                    $field: $field.next()?, $($lo: $lo.next()?, $hi: $hi.next()?,)?
                )+ });
                (0..lengths[0]).map(row).collect()
            }
        }
    )+ };
}

/// Dimensions with their labels.
type Labels = Vec<(&'static str, Values)>;

/// Rows of one kind of record, as named columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Definitions of the record and its fields.
    pub meta: &'static Meta,
    /// Name and cells of each column; all have one length.
    columns: Vec<(&'static str, Values)>,
    /// Digits that the terminal shows behind the point.
    pub decimals: usize,
}

/// Columns that stand together on the terminal: a number with the ends of its interval or band.
const TOGETHER: [(&str, &str, &str); 3] =
    [("estimate", "lo", "hi"), ("gain", "gain_lo", "gain_hi"), ("null_lo", "null_lo", "null_hi")];

impl Frame {
    /// The rows of a record.
    pub fn of<R: Record>(rows: &[R]) -> Self {
        let names = R::META.fields.iter().map(|f| f.name);
        Frame { meta: R::META, columns: names.zip(R::columns(rows)).collect(), decimals: 3 }
    }

    /// Name of the record without its group.
    pub fn name(&self) -> &'static str {
        self.meta.path.rsplit('/').next().unwrap_or(self.meta.path)
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.columns.first().map_or(0, |(_, v)| v.len())
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Name and cells of each column.
    pub fn columns(&self) -> &[(&'static str, Values)] {
        &self.columns
    }

    /// A column by its name.
    pub fn column(&self, name: &str) -> Option<&Values> {
        let found = self.columns.iter().find(|(n, _)| *n == name);
        found.map(|(_, values)| values)
    }

    /// The same rows without some columns.
    pub fn without(mut self, names: &[&str]) -> Self {
        self.columns.retain(|(n, _)| !names.contains(n));
        self
    }

    /// The rows that are wanted, by their place.
    pub fn only(mut self, wanted: impl Fn(usize) -> bool) -> Self {
        let kept: Vec<usize> = (0..self.len()).filter(|&i| wanted(i)).collect();
        for (_, values) in &mut self.columns {
            *values = values.at(kept.iter().copied());
        }
        self
    }

    /// Aligned text: texts to the left, numbers to the right, intervals in brackets behind their
    /// estimate; a number that does not exist is `-`.
    pub fn text(&self) -> String {
        aligned(&self.shown())
    }

    /// Title of each column as it is shown, whether it is set as text, and its cells.
    pub fn shown(&self) -> Vec<(String, bool, Vec<String>)> {
        let mut shown = Vec::new();
        let mut done: Vec<&str> = Vec::new();
        for (name, values) in &self.columns {
            if done.contains(name) {
                continue;
            }
            let ends = TOGETHER.iter().find(|(leads, ..)| leads == name);
            let ends =
                ends.and_then(|(_, lo, hi)| Some((self.column(lo)?, self.column(hi)?, lo, hi)));
            let alone = ends.is_some_and(|(_, _, lo, _)| lo == name);
            let band = |i: usize| match ends.map(|(a, b, ..)| [a, b].map(|end| self.show(end, i))) {
                Some([a, b]) if a != "-" || b != "-" => format!("[{a}, {b}]"),
                _ => String::new(),
            };
            let cells = (0..self.len()).map(|i| match alone {
                true => band(i),
                false => format!("{} {}", self.show(values, i), band(i)).trim_end().into(),
            });
            let cells: Vec<String> = cells.collect();
            let title = if alone { "null" } else { name };
            shown.push((title.to_string(), matches!(values, Values::Text(_)), cells));
            done.extend(ends.iter().flat_map(|(_, _, lo, hi)| [**lo, **hi]));
        }
        shown
    }

    fn show(&self, values: &Values, i: usize) -> String {
        match values {
            Values::Real(v) if v[i].is_nan() => "-".into(),
            Values::Real(v) => format!("{:.*}", self.decimals, v[i]),
            _ => values.label(i),
        }
    }

    /// One object a row; a number that does not exist is null, what is true or false is that.
    pub fn json(&self) -> Value {
        let truth = |name: &str| self.meta.fields.iter().any(|f| f.name == name && f.truth);
        json(&self.columns, truth)
    }

    /// Writes the rows as CSV, whole or not at all.
    ///
    /// # Errors
    /// `Unwritable`, `DiskFull` or `Io`.
    pub fn write_csv(&self, path: &Path) -> Result<(), StoreError> {
        csv::pending(path, self.columns())?.commit()
    }

    /// Labels of each dimension in order of first appearance, and for each cell of the product the
    /// row that fills it.
    ///
    /// # Errors
    /// Two rows in one cell: its labels.
    pub(crate) fn cells(&self) -> Result<(Labels, Vec<Option<usize>>), String> {
        let dims = self.columns.iter().filter(|(name, _)| self.meta.dims.contains(name));
        let (labels, places): (Labels, Vec<Vec<usize>>) = dims
            .map(|(name, values)| {
                let (distinct, place) = distinct(values);
                ((*name, distinct), place)
            })
            .unzip();
        let shape: Vec<usize> = labels.iter().map(|(_, v)| v.len()).collect();
        let mut filled = vec![None; shape.iter().product()];
        for row in 0..self.len() {
            let flat = (shape.iter().zip(&places)).fold(0, |at, (n, place)| at * n + place[row]);
            if filled[flat].replace(row).is_some() {
                let at: Vec<String> = (labels.iter().zip(&places))
                    .map(|((name, v), place)| format!("{name} {}", v.label(place[row])))
                    .collect();
                return Err(at.join(", "));
            }
        }
        Ok((labels, filled))
    }
}

/// Distinct entries in order of first appearance, and where each entry stands among them.
fn distinct(values: &Values) -> (Values, Vec<usize>) {
    let mut seen: std::collections::HashMap<String, usize> = Default::default();
    let mut first = Vec::new();
    let mut place = Vec::new();
    for i in 0..values.len() {
        let next = seen.len();
        let at = *seen.entry(values.label(i)).or_insert(next);
        if at == next {
            first.push(i);
        }
        place.push(at);
    }
    (values.at(first.into_iter()), place)
}

/// Named columns as one object a row; a number that does not exist is null.
pub(super) fn json<S: AsRef<str>>(columns: &[(S, Values)], truth: impl Fn(&str) -> bool) -> Value {
    let columns: Vec<_> =
        columns.iter().map(|(name, v)| (name.as_ref(), v, truth(name.as_ref()))).collect();
    let value = |values: &Values, is_truth: bool, i: usize| match values {
        Values::Int(v) if is_truth => Value::from(v[i] != 0),
        Values::Text(v) => Value::from(v[i].as_str()),
        Values::Int(v) => Value::from(v[i]),
        Values::Real(v) => Value::from(v[i]),
    };
    let object = |i: usize| {
        let entries =
            columns.iter().map(|(name, v, truth)| (name.to_string(), value(v, *truth, i)));
        Value::Object(entries.collect::<Map<_, _>>())
    };
    (0..columns.first().map_or(0, |c| c.1.len())).map(object).collect()
}

/// Columns with titles, each as wide as its widest cell.
pub(super) fn aligned(columns: &[(String, bool, Vec<String>)]) -> String {
    let wide = |s: &String| s.chars().count();
    let widest = |(title, _, cells): &(String, bool, Vec<String>)| {
        cells.iter().chain([title]).map(wide).max().unwrap_or(0)
    };
    let widths: Vec<usize> = columns.iter().map(widest).collect();
    let line = |cells: Vec<&str>| {
        let set = |(i, cell): (usize, &str)| match columns[i].1 {
            true => format!("{cell:<wide$}", wide = widths[i]),
            false => format!("{cell:>wide$}", wide = widths[i]),
        };
        let cells: Vec<String> = cells.into_iter().enumerate().map(set).collect();
        cells.join("  ").trim_end().to_string() + "\n"
    };
    let mut out = line(columns.iter().map(|c| c.0.as_str()).collect());
    for row in 0..columns.first().map_or(0, |c| c.2.len()) {
        out += &line(columns.iter().map(|c| c.2[row].as_str()).collect());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{AttrValue, ResultsReader, ResultsWriter, RootAttrs};

    record! {
        /// A cosine of two things,
        /// as measured.
        #[table("test/cosine", "state", "layer")]
        #[interval("95 % of something")]
        pub struct Cosine {
            /// Model state.
            pub state: String,
            /// Block.
            pub layer: usize,
            /// The cosine.
            pub estimate: f64 in "1" from lo "Lower end." to hi "Upper end.",
            /// Prompts.
            pub n: usize,
        }
    }

    record! {
        /// What was asked.
        #[table("test/asked")]
        #[source("nobody")]
        pub struct Asked {
            /// Who.
            pub who: String,
            /// Whether they answered.
            pub answered: bool,
            /// How long it took.
            pub seconds: f64 in "s",
        }
    }

    fn cosine(state: &str, layer: usize, estimate: f64) -> Cosine {
        Cosine {
            state: state.into(),
            layer,
            estimate,
            lo: estimate - 0.1,
            hi: estimate + 0.1,
            n: 12,
        }
    }

    fn asked(who: &str, seconds: f64) -> Asked {
        Asked { who: who.into(), answered: seconds.is_finite(), seconds }
    }

    #[test]
    fn json_has_truths_numbers_and_nulls_as_what_they_are() {
        let json = Frame::of(&[asked("a", 1.5), asked("b", f64::NAN)]).json();
        let want = serde_json::json!([
            {"who": "a", "answered": true, "seconds": 1.5},
            {"who": "b", "answered": false, "seconds": null},
        ]);
        assert_eq!(json, want);
    }

    #[test]
    fn records_come_back_as_they_were_written_with_what_explains_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.h5");
        let grid: Vec<Cosine> = (["base", "b"].iter())
            .flat_map(|s| [10usize, 24].map(|l| cosine(s, l, l as f64 / 100.0)))
            .collect();
        let table = [asked("a, b", 1.5), asked("c", f64::NAN)];
        let mut w =
            ResultsWriter::create(&path, &RootAttrs::new("t", serde_json::json!({}), 1)).unwrap();
        w.records(&grid).unwrap();
        w.records(&table).unwrap();
        w.records::<Asked>(&[]).unwrap(); // nothing is written of nothing
        w.finish().unwrap();

        let r = ResultsReader::open(&path).unwrap();
        assert_eq!(r.records::<Cosine>().unwrap(), grid);
        let back = r.records::<Asked>().unwrap();
        assert_eq!((back[0].clone(), back.len()), (table[0].clone(), 2));
        assert!(back[1].seconds.is_nan() && !back[1].answered);
        let array = r.array("test/cosine/estimate").unwrap();
        assert_eq!(array.dims, ["state", "layer"]);
        assert_eq!(array.data[[1, 0]], 0.1);
        let attr = |path: &str, name: &str| r.attr(path, name).unwrap();
        assert_eq!(
            attr("test/cosine", "is"),
            AttrValue::from("A cosine of two things, as measured.")
        );
        assert_eq!(attr("test/asked/seconds", "unit"), AttrValue::from("s"));
        assert_eq!(attr("test/asked/seconds", "is"), AttrValue::from("How long it took."));
        let csv = std::fs::read_to_string(dir.path().join("csv/test.cosine.csv")).unwrap();
        assert_eq!(csv.lines().next(), Some("state,layer,estimate,lo,hi,n"));
        assert_eq!(csv.lines().count(), 5);
    }

    #[test]
    fn an_absent_record_has_no_rows_and_one_of_other_columns_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.h5");
        let mut w =
            ResultsWriter::create(&path, &RootAttrs::new("t", serde_json::json!({}), 1)).unwrap();
        w.table("test", "asked", &[("who", vec!["a"].into())]).unwrap();
        w.finish().unwrap();
        let r = ResultsReader::open(&path).unwrap();
        assert!(r.records::<Cosine>().unwrap().is_empty());
        let e = r.records::<Asked>().unwrap_err().to_string();
        assert!(e.contains("answered"), "{e}");
    }

    #[test]
    fn two_rows_of_one_cell_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.h5");
        let mut w =
            ResultsWriter::create(&path, &RootAttrs::new("t", serde_json::json!({}), 1)).unwrap();
        let twice = [cosine("base", 10, 0.1), cosine("base", 10, 0.2)];
        let e = w.records(&twice).unwrap_err().to_string();
        assert!(e.contains("state base, layer 10"), "{e}");
    }

    #[test]
    fn text_shows_intervals_behind_estimates_and_json_null_for_what_is_missing() {
        let mut rows = vec![cosine("base", 3, 0.25), cosine("longer", 4, 0.5)];
        rows[1].lo = f64::NAN;
        rows[1].hi = f64::NAN;
        let frame = Frame::of(&rows);
        assert_eq!(
            frame.text(),
            "state   layer              estimate   n\n\
             base        3  0.250 [0.150, 0.350]  12\n\
             longer      4                 0.500  12\n"
        );
        let json = frame.without(&["hi"]).json();
        assert_eq!((&json[1]["lo"], &json[0]["n"]), (&Value::Null, &12.into()));
        assert!(json[0].get("hi").is_none());
    }
}
