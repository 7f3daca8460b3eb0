//! Figures of a results file: from records to the data of each figure.
//!
//! A figure is made where its records have rows with numbers, and left out otherwise. Titles and
//! captions name concepts and conditions by their roles in the file. One palette of conditions and one
//! of concepts serve all figures. A figure is added in one of the files below, whose `draw` lists what
//! it makes.

mod controls;
mod inside;
mod outcome;
mod places;
mod reading;
mod steps;
mod summary;

pub(super) use inside::coupling;

use crate::analysis::records::{distinct, Results};
use crate::analysis::BASE;
use crate::figures::{Estimate, FigureError, Output, Palette, Written};

/// What figures are made from, and those made so far.
struct Drawing<'a> {
    r: &'a Results,
    out: &'a Output,
    conditions: Palette,
    concepts: Palette,
    written: Vec<Written>,
}

impl Drawing<'_> {
    /// Keeps a figure, if there was something to draw.
    fn keep(&mut self, made: Result<Written, FigureError>) -> Result<(), FigureError> {
        match made {
            Ok(written) => self.written.push(written),
            Err(FigureError::Empty { .. }) => {}
            Err(e) => return Err(e),
        }
        Ok(())
    }
}

/// The colours and shapes of a file's names.
#[derive(Debug, Clone)]
pub struct Palettes {
    conditions: Palette,
    concepts: Palette,
}

impl Palettes {
    /// In the order of the file; base comes first.
    pub fn of(r: &Results) -> Self {
        let conditions = match r.conditions.is_empty() {
            true => distinct([BASE].into_iter().chain(r.tuned())),
            false => r.conditions.iter().map(|c| &*c.condition).collect(),
        };
        Palettes { conditions: Palette::new(conditions), concepts: Palette::new(concepts(r)) }
    }
}

/// Draws every figure that the records allow, where it is wanted.
///
/// # Errors
/// Records that cannot be drawn, or a folder that cannot be written.
pub fn all(r: &Results, palettes: &Palettes, out: &Output) -> Result<Vec<Written>, FigureError> {
    let mut d = Drawing {
        r,
        out,
        conditions: palettes.conditions.clone(),
        concepts: palettes.concepts.clone(),
        written: Vec::new(),
    };
    summary::draw(&mut d)?;
    inside::draw(&mut d)?;
    places::draw(&mut d)?;
    outcome::draw(&mut d)?;
    controls::draw(&mut d)?;
    steps::draw(&mut d)?;
    reading::draw(&mut d)?;
    Ok(d.written)
}

/// Names of the concepts, in the order of the file.
fn concepts(r: &Results) -> Vec<&str> {
    match r.concepts.is_empty() {
        false => r.concepts.iter().map(|c| &*c.concept).collect(),
        true => distinct(
            (r.coupling.iter().flat_map(|c| [&*c.concept_a, &*c.concept_b]))
                .chain(r.quality.iter().map(|q| &*q.concept)),
        ),
    }
}

/// `name`, or `name_2` for the second of its kind.
fn numbered(name: &str, i: usize) -> String {
    match i {
        0 => name.into(),
        i => format!("{name}_{}", i + 1),
    }
}

/// A value with an interval that holds it.
fn estimate(value: f64, lo: f64, hi: f64) -> Estimate {
    match lo.is_nan() || hi.is_nan() {
        true => Estimate::point(value),
        false => Estimate::new(value, lo.min(value), hi.max(value)),
    }
}

/// `24 hedging and 20 thrift pairs`: main pairs of some concepts.
fn pairs_of(r: &Results, concepts: &[&str]) -> String {
    let known = r.concepts.iter().filter(|c| concepts.contains(&&*c.concept));
    let each: Vec<String> = known.map(|c| format!("{} {}", c.pairs, c.concept)).collect();
    match each.is_empty() {
        true => String::new(),
        false => format!("{} pairs", each.join(" and ")),
    }
}

/// Names as a list in a sentence.
fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).into(),
        [front @ .., last] => format!("{} and {last}", front.join(", ")),
    }
}

/// Smallest and largest of some counts, such as `10` or `8 to 10`.
fn counts(of: impl Iterator<Item = usize> + Clone) -> String {
    match (of.clone().min(), of.max()) {
        (Some(a), Some(b)) if a == b => a.to_string(),
        (Some(a), Some(b)) => format!("{a} to {b}"),
        _ => "0".into(),
    }
}
