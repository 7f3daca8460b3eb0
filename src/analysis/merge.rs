//! Many results of one model as one: the states and conditions of all runs, each under `RUN/NAME`.
//!
//! Only what is about a state or a condition is joined. A number keeps the run that it was made in: q and
//! p are those of its run, adjusted over its tests. Rows about a run as a whole are left out, and so are the
//! roles of conditions, which each run has its own of. Base is one where all runs read it alike to the
//! bit; otherwise the first run's is base and every other stands under the name of its run.

use super::records::{Results, WarningRow};
use super::BASE;
use crate::store::{Frame, Values};

/// Columns that hold names of states or conditions.
const NAMES: [&str; 9] = [
    "state",
    "condition",
    "set",
    "reference",
    "state_a",
    "state_b",
    "from_state",
    "directions_of",
    "condition_ahead",
];
/// Columns of which one says that a row is about base.
const ABOUT: [&str; 3] = ["state", "condition", "set"];

/// Results of one run.
#[derive(Debug, Clone)]
pub struct Part {
    /// Name of the run.
    pub name: String,
    /// Digest of its model.
    pub model_sha256: String,
    /// What it found.
    pub results: Results,
}

/// Joins runs, with the paths of records that are left out.
///
/// # Errors
/// A sentence: runs of two models, of other concepts, preferences, bounds or layers, or of one name.
pub fn merge(parts: &[Part]) -> Result<(Results, Vec<&'static str>), String> {
    let Some((first, others)) = parts.split_first() else {
        return Err("there are no runs to merge".into());
    };
    for (i, p) in parts.iter().enumerate() {
        if parts[..i].iter().any(|o| o.name == p.name) {
            return Err(format!("two runs are called `{}`; rename a folder", p.name));
        }
        alike(first, p)?;
    }
    let mut left_out = Vec::new();
    let mut all = Results::default();
    for (i, part) in parts.iter().enumerate() {
        let mut r = part.results.clone();
        for frame in r.frames().iter().filter(|f| !f.is_empty() && !is_joined(f)) {
            if !left_out.contains(&frame.meta.path) {
                left_out.push(frame.meta.path);
            }
        }
        r.retain(|meta| meta.fields.iter().any(|f| NAMES.contains(&f.name)));
        let is_base = |values: &Values, i: usize| values.label(i) == BASE;
        let shared = i == 0 || base(&r) == base(&first.results);
        if i > 0 && shared {
            ABOUT.iter().for_each(|column| r.keep(column, |v, i| !is_base(v, i)));
        }
        let known: Vec<String> = (part.results.states.iter().map(|s| s.state.clone()))
            .chain(part.results.conditions.iter().map(|c| c.condition.clone()))
            .collect();
        r.rename(&NAMES, |name| match known.iter().any(|k| k == name) {
            true if name != BASE || !shared => format!("{}/{name}", part.name),
            _ => name.to_owned(),
        });
        if part.results.declaration.iter().any(|d| d.late) {
            r.declared_contrasts.clear();
        }
        r.conditions.iter_mut().filter(|c| c.condition != BASE).for_each(|c| c.role.clear());
        r.warnings = warnings(part, &all.warnings);
        all.extend(r);
    }
    let one = first.results.clone();
    (all.concepts, all.couples) = (one.concepts, one.couples);
    (all.preferences, all.bounds) = (one.preferences, one.bounds);
    all.layers = one.layers;
    for (i, layer) in all.layers.iter_mut().enumerate() {
        // A size that is not the same in all runs is none of the file's.
        if others.iter().any(|o| o.results.layers[i].rms.to_bits() != layer.rms.to_bits()) {
            (layer.rms, layer.n) = (f64::NAN, 0);
        }
    }
    Ok((all, left_out))
}

/// Whether the rows of a frame go into the merged file, by its columns or as what all runs have alike.
fn is_joined(frame: &Frame) -> bool {
    let alike = ["concepts", "couples", "preferences", "bounds", "layers", "warnings"];
    let named = frame.meta.fields.iter().any(|f| NAMES.contains(&f.name));
    named || alike.contains(&frame.name()) && frame.meta.path.starts_with("study/")
}

/// All rows about base, as text: NaN is NaN.
fn base(r: &Results) -> String {
    let mut r = r.clone();
    r.retain(|meta| meta.fields.iter().any(|f| f.name == "state"));
    r.keep("state", |values, i| values.label(i) == BASE);
    format!("{:?}", r.frames())
}

/// Runs of which numbers can stand in one file.
fn alike(a: &Part, b: &Part) -> Result<(), String> {
    let layers = |p: &Part| -> Vec<(usize, bool)> {
        p.results.layers.iter().map(|l| (l.layer, l.reported)).collect()
    };
    let text = |what: &dyn Fn(&Results) -> String| what(&a.results) == what(&b.results);
    let differs = if a.model_sha256 != b.model_sha256 {
        "base models"
    } else if layers(a) != layers(b) {
        "layers"
    } else if !text(&|r| format!("{:?} {:?}", r.concepts, r.couples)) {
        "concepts"
    } else if !text(&|r| format!("{:?}", r.preferences)) {
        "preferences"
    } else if !text(&|r| format!("{:?}", r.bounds)) {
        "bounds"
    } else {
        return Ok(());
    };
    Err(format!(
        "the runs {} and {} have different {differs}, so that their numbers cannot stand in one file; merge those that agree, and `residuum compare` the merged files",
        a.name, b.name
    ))
}

/// Doubts of a run that are not there yet, with the run that they are of.
fn warnings(part: &Part, before: &[WarningRow]) -> Vec<WarningRow> {
    let of_run = |w: &WarningRow| {
        let about = match w.about.is_empty() {
            true => part.name.clone(),
            false => format!("{}/{}", part.name, w.about),
        };
        WarningRow { about, text: w.text.clone() }
    };
    part.results.warnings.iter().map(of_run).filter(|w| !before.contains(w)).collect()
}
