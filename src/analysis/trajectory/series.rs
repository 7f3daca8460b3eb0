//! The quantities of a trajectory as series over the steps, the condition less its reference.

use super::super::link::pair_name;
use super::super::roles::place;
use super::super::{AnalysisError, Draws, Result, Roles};
use super::{Followed, TrajectoryInput};
use crate::causal::Series;
use crate::geometry::population::population;
use crate::geometry::{coupling, CouplingInput, CouplingOptions, PairDraws};
use ndarray::{s, Array2, Array3};

/// A quantity over the steps.
pub struct Moved {
    pub quantity: &'static str,
    pub subject: String,
    pub layer: f64,
    pub unit: &'static str,
    pub n: usize,
    pub series: Series,
}

/// Mean stance over the items of what `keep`; none without such items.
pub fn of_scores(
    input: &TrajectoryInput,
    quantity: &'static str,
    subject: &str,
    keep: &dyn Fn(&str) -> bool,
) -> Result<Option<Moved>> {
    let of = |f: &Followed, t: usize| -> Vec<f64> {
        let kept = f.scores[t].iter().filter(|s| keep(&s.preference));
        kept.map(|s| s.stance).collect()
    };
    let (a, b): (Vec<_>, Vec<_>) =
        (0..input.steps.len()).map(|t| (of(&input.set, t), of(&input.reference, t))).unzip();
    let n = a.first().map_or(0, Vec::len);
    if n == 0 {
        return Ok(None);
    }
    if let Some(other) = a.iter().chain(&b).find(|v| v.len() != n) {
        return Err(AnalysisError::Input {
            what: format!("the trajectory of {quantity} {subject}"),
            why: format!("{} items at one step and {n} at another", other.len()),
        });
    }
    let cells = Array3::from_shape_fn((1, n, a.len()), |(_, p, t)| a[t][p] - b[t][p]);
    series(input, (quantity, subject, f64::NAN), "nats a token", &cells).map(Some)
}

/// A series of `cells (1, prompts or texts, steps)`; those of one kind share their draws.
fn series(
    input: &TrajectoryInput,
    (quantity, subject, layer): (&'static str, &str, f64),
    unit: &'static str,
    cells: &Array3<f64>,
) -> Result<Moved> {
    let (draws, seed) = (input.draws.bootstrap, input.draws.seed);
    let purpose = match quantity {
        "shift" => "trajectory-texts".to_string(),
        _ => format!("trajectory-{quantity}"),
    };
    let (name, steps) = (name(quantity, subject, layer), input.steps.to_vec());
    let series = Series::of_prompts(&name, steps, cells.view(), draws, seed, &purpose)?;
    Ok(Moved { quantity, subject: subject.into(), layer, unit, n: cells.dim().1, series })
}

/// What a doubt calls a quantity.
fn name(quantity: &str, subject: &str, layer: f64) -> String {
    match layer.is_nan() {
        true => format!("{quantity} {subject}").trim_end().into(),
        false => format!("{quantity} {subject}, layer {layer}"),
    }
}

/// Shift of the neutral texts along base's directions at one layer; a direction that is not above its
/// noise has none.
pub fn shifts(input: &TrajectoryInput, l: usize, missing: &mut Vec<String>) -> Result<Vec<Moved>> {
    let base = &input.set.acts[0];
    let roles = Roles { couples: input.couples.to_vec(), ..Default::default() };
    let names: Vec<&str> = input.concepts.iter().map(|c| c.name.as_str()).collect();
    let mut out = Vec::new();
    for concept in roles.coupled() {
        let c = place("the concept", concept, &names)?;
        let differences = base.concepts[c].differences();
        let found = population(&input.concepts[c].source(differences.view()))?;
        let d = found.mean.row(l); // (d)
        let unit = found.noiseless[l].sqrt() * input.rms[l];
        if unit.is_nan() || unit <= 0.0 {
            missing.push(name("shift", concept, input.layers[l] as f64));
            continue;
        }
        let texts = base.neutral[0].dim().0;
        let along = |f: &Followed, t: usize, text: usize| -> f64 {
            let row = f.acts[t].neutral[0].slice(s![text, l, ..]);
            let terms = row.iter().zip(d).map(|(x, v)| f64::from(*x) * v);
            terms.sum::<f64>() / unit
        };
        let cells = Array3::from_shape_fn((1, texts, input.steps.len()), |(_, text, t)| {
            along(&input.set, t, text) - along(&input.reference, t, text)
        });
        let of = ("shift", concept, input.layers[l] as f64);
        out.push(series(input, of, "layer RMS", &cells)?);
    }
    Ok(out)
}

/// Coupling of a couple at every layer: relative to its ceiling where that exists in every draw, and
/// the raw cosine.
pub fn couplings(
    input: &TrajectoryInput,
    couple: &(String, String),
    missing: &mut Vec<String>,
) -> Result<Vec<Moved>> {
    let names: Vec<&str> = input.concepts.iter().map(|c| c.name.as_str()).collect();
    let pair = [place("the concept", &couple.0, &names)?, place("the concept", &couple.1, &names)?];
    let (a, b) = (coupled(input, &input.set, pair)?, coupled(input, &input.reference, pair)?);
    let n = pair.map(|c| input.concepts[c].prompts());
    let mut out = Vec::new();
    for (l, &layer) in input.layers.iter().enumerate() {
        for (k, quantity) in ["coupling", "cosine"].into_iter().enumerate() {
            let steps = input.steps.len();
            let value: Vec<f64> =
                (0..steps).map(|t| a.value[k][[t, l]] - b.value[k][[t, l]]).collect();
            let draws = a.draws[k].dim().2;
            let drawn = Array2::from_shape_fn((draws, steps), |(d, t)| {
                f64::from(a.draws[k][[t, l, d]]) - f64::from(b.draws[k][[t, l, d]])
            });
            let subject = pair_name(&couple.0, &couple.1);
            let name = name(quantity, &subject, layer as f64);
            if !value.iter().chain(&drawn).all(|v| v.is_finite()) {
                missing.push(name);
                continue;
            }
            out.push(Moved {
                quantity,
                subject,
                layer: layer as f64,
                unit: "",
                n: n[0].min(n[1]),
                series: Series::new(&name, input.steps.to_vec(), value, drawn)?,
            });
        }
    }
    Ok(out)
}

/// A couple at every step: relative, then raw.
struct Coupled {
    /// `(step, layer)`.
    value: [Array2<f64>; 2],
    /// `[step, layer, draw]`.
    draws: [Array3<f32>; 2],
}

fn coupled(input: &TrajectoryInput, f: &Followed, pair: [usize; 2]) -> Result<Coupled> {
    let differences: Vec<Vec<Array3<f32>>> = (f.acts.iter())
        .map(|a| pair.iter().map(|&c| a.concepts[c].differences()).collect())
        .collect();
    let infos = || pair.iter().map(|&c| &input.concepts[c]);
    let clusters: Vec<Vec<usize>> = infos().map(|c| c.prompt.clone()).collect();
    let strata: Vec<Vec<usize>> = infos().map(|c| c.stratum.clone()).collect();
    let background: Vec<Array3<f32>> = f.acts.iter().map(|a| a.neutral[0].clone()).collect();
    let Draws { bootstrap, null, seed } = input.draws;
    let options = CouplingOptions {
        draws: bootstrap,
        flips: null.min(FEW),
        random: null.min(FEW),
        seed,
        ..CouplingOptions::for_pair(0, 1)
    };
    let mut found = coupling(
        CouplingInput {
            differences: &differences,
            clusters: &clusters,
            strata: &strata,
            background: &background,
        },
        &options,
    )?;
    let of = |value: &ndarray::Array4<f64>| value.slice(s![.., 0, 1, ..]).to_owned();
    let PairDraws { relative, raw, .. } = found.pairs.swap_remove(0).draws;
    Ok(Coupled { value: [of(&found.raw.relative), of(&found.raw.value)], draws: [relative, raw] })
}

/// Draws of nulls that nobody reads here.
const FEW: usize = 20;
