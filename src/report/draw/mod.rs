//! Figures of a results file: from records to the data of each figure.
//!
//! A figure is made where its records have rows with numbers, and left out otherwise. Titles and
//! captions name concepts and conditions by their roles in the file. One palette of conditions and one
//! of concepts serve all figures. Adding a figure: its file in `figures`, its function here, its stem
//! in [`STEMS`].

mod inside;
mod order;
mod outcome;

use crate::analysis::records::{distinct, Results};
use crate::figures::theme::Palette;
use crate::figures::{
    behaviour, causal, claims, concept_heatmap, coupling, directions, link, shift, training,
    trajectory, Estimate, FigureError, Written,
};
use crate::store::StoreError;
use std::path::Path;

/// Stems of the files that a report may draw; several of one kind have a number behind it.
const STEMS: [&str; 11] = [
    "coupling",
    "concepts",
    "shift",
    "behaviour",
    "claims",
    "causal",
    "causal_claim",
    "link",
    "trajectory",
    "directions",
    "training",
];

/// Draws every figure that the records allow into `dir` and removes those of an earlier report there
/// that are no longer made.
///
/// # Errors
/// Records that cannot be drawn, or a folder that cannot be written.
pub fn all(r: &Results, dir: &Path) -> Result<Vec<Written>, FigureError> {
    let conditions = Palette::new(match r.conditions.is_empty() {
        true => r.tuned(),
        false => r.conditions.iter().map(|c| &*c.condition).collect(),
    });
    let concepts = Palette::new(concepts(r));
    let mut written = Vec::new();
    let mut keep = |made: Result<Written, FigureError>| match made {
        Ok(w) => {
            written.push(w);
            Ok(())
        }
        Err(FigureError::Empty { .. }) => Ok(()),
        Err(e) => Err(e),
    };
    for (i, (a, b)) in r.pairs().into_iter().enumerate() {
        keep(coupling::draw(
            &inside::coupling(r, (a, b), i),
            &conditions,
            dir,
        ))?;
    }
    keep(concept_heatmap::draw(&inside::concepts(r), dir))?;
    keep(shift::draw(&inside::shift(r), &conditions, dir))?;
    keep(behaviour::draw(&outcome::behaviour(r), &conditions, dir))?;
    keep(claims::draw(&outcome::claims(r), dir))?;
    for asked in ["preferences", "claim"] {
        for (i, data) in outcome::causal(r, asked).iter().enumerate() {
            let name = numbered(&data.name, i);
            keep(causal::draw(
                &causal::CausalData {
                    name,
                    ..data.clone()
                },
                &concepts,
                dir,
            ))?;
        }
    }
    keep(link::draw(&order::link(r), &conditions, dir))?;
    keep(trajectory::draw(&order::trajectory(r), &conditions, dir))?;
    keep(directions::draw(&inside::directions(r), dir))?;
    keep(training::draw(&outcome::training(r), &conditions, dir))?;
    remove_others(dir, &written).map_err(|source| FigureError::File {
        figure: "of an earlier report".into(),
        source: StoreError::Io {
            path: dir.to_owned(),
            source,
        },
    })?;
    Ok(written)
}

/// Names of the concepts, in the order of the file.
fn concepts(r: &Results) -> Vec<&str> {
    match r.concepts.is_empty() {
        false => r.concepts.iter().map(|c| &*c.concept).collect(),
        true => distinct(
            (r.coupling
                .iter()
                .flat_map(|c| [&*c.concept_a, &*c.concept_b]))
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

/// Removes figures of ours that are not among those written.
fn remove_others(dir: &Path, written: &[Written]) -> std::io::Result<()> {
    if !dir.is_dir() {
        return Ok(());
    }
    let ours = |stem: &str| {
        let (front, number) = stem.rsplit_once('_').unwrap_or((stem, ""));
        let counted = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        STEMS.contains(&stem) || (counted && STEMS.contains(&front))
    };
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let stem = path
            .file_stem()
            .and_then(|s| s.to_str())
            .unwrap_or_default();
        let kind = path
            .extension()
            .and_then(|s| s.to_str())
            .unwrap_or_default();
        let made = written.iter().any(|w| w.name == stem);
        if ours(stem) && ["svg", "png", "csv"].contains(&kind) && !made {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
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
    let known = r
        .concepts
        .iter()
        .filter(|c| concepts.contains(&&*c.concept));
    let each: Vec<String> = known
        .map(|c| format!("{} {}", c.pairs, c.concept))
        .collect();
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
