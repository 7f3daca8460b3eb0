//! Trajectory: what moves first over a fine-tune, in a condition less its reference.
//!
//! Both conditions are read at the same checkpoints, step 0 being base; nothing is trained here. The
//! quantities are the condition's claim and the isolated preferences (by prompt), the shift of the
//! neutral texts along base's direction of each coupled concept (by text; per unit of the population
//! direction's length, in layer RMS) and the coupling of each couple, relative to its ceiling, with
//! the raw cosine beside it. Each quantity has a half-way step; each other one is held against the
//! isolated preferences.

use super::cause::doubts;
use super::link::pair_name;
use super::records::{HalfWayRow, LeadRow, TrajectoryRow, WarningRow};
use super::roles::place;
use super::{AnalysisError, ConceptInfo, Draws, Result, Roles, StateActivations};
use crate::behavior::PromptScore;
use crate::causal::{half_way, lead, Order, Series, Warning};
use crate::geometry::{coupling, CouplingInput, CouplingOptions};
use crate::stats::bootstrap::Clusters;
use crate::stats::interval::percentile;
use crate::store::ResultsWriter;
use ndarray::{s, Array2, Array3, Axis};

/// One condition at every step.
#[derive(Debug, Clone, Copy)]
pub struct Followed<'a> {
    pub condition: &'a str,
    /// Activations at each step.
    pub acts: &'a [StateActivations],
    /// Scores of preferences and claims at each step.
    pub scores: &'a [Vec<PromptScore>],
}

/// A condition and its reference, read alike.
#[derive(Debug, Clone, Copy)]
pub struct TrajectoryInput<'a> {
    pub set: Followed<'a>,
    pub reference: Followed<'a>,
    /// Increasing, the first 0: base.
    pub steps: &'a [usize],
    /// What the activations hold: concepts and blocks.
    pub concepts: &'a [ConceptInfo],
    pub layers: &'a [usize],
    /// Layer RMS in base, of each of them.
    pub rms: &'a [f64],
    pub couples: &'a [(String, String)],
    /// Claim of the condition; none: not followed.
    pub claim: Option<&'a str>,
    /// Preferences that are isolated in both conditions.
    pub isolated: &'a [String],
    pub draws: Draws,
}

/// Series, half-way steps and leads.
#[derive(Debug, Clone, Default)]
pub struct TrajectoryRecords {
    pub steps: Vec<TrajectoryRow>,
    pub half_ways: Vec<HalfWayRow>,
    pub leads: Vec<LeadRow>,
    pub warnings: Vec<WarningRow>,
}

impl TrajectoryRecords {
    /// Writes all but the warnings, which have one place for all analyses of a file.
    ///
    /// # Errors
    /// As [`ResultsWriter::records`].
    pub fn write(&self, w: &mut ResultsWriter) -> Result<()> {
        w.records(&self.steps)?;
        w.records(&self.half_ways)?;
        Ok(w.records(&self.leads)?)
    }
}

/// Name of the quantity that the others are held against.
const ISOLATED: &str = "isolated";

/// A quantity over the steps.
struct Moved {
    quantity: &'static str,
    subject: String,
    layer: f64,
    unit: &'static str,
    n: usize,
    series: Series,
}

/// The condition less its reference, step by step.
///
/// # Errors
/// Steps, activations and scores of different lengths; a concept that was not read; a value that is
/// not finite.
pub fn trajectory(input: &TrajectoryInput) -> Result<TrajectoryRecords> {
    let n = input.steps.len();
    for f in [&input.set, &input.reference] {
        if f.acts.len() != n || f.scores.len() != n {
            return Err(AnalysisError::Input {
                what: format!("the trajectory of {}", f.condition),
                why: format!(
                    "{} steps, activations of {} and scores of {}",
                    n,
                    f.acts.len(),
                    f.scores.len()
                ),
            });
        }
    }
    let mut warnings: Vec<Warning> = Vec::new();
    let mut moved: Vec<Moved> = Vec::new();
    let mut missing: Vec<String> = Vec::new();
    if let Some(claim) = input.claim {
        moved.extend(of_scores(input, "claim", claim, &|p| p == claim)?);
    }
    let isolated = |p: &str| input.isolated.iter().any(|i| i == p);
    moved.extend(of_scores(input, ISOLATED, "", &isolated)?);
    for l in 0..input.layers.len() {
        moved.extend(shifts(input, l, &mut missing)?);
    }
    for couple in input.couples {
        moved.extend(couplings(input, couple, &mut missing)?);
    }
    let mut out = TrajectoryRecords::default();
    for m in &moved {
        out.steps.extend(step_rows(input, m));
        let h = half_way(&m.series);
        out.half_ways.push(HalfWayRow {
            quantity: m.quantity.into(),
            subject: m.subject.clone(),
            layer: m.layer,
            estimate: h.step,
            lo: h.step_interval.lo,
            hi: h.step_interval.hi,
            change: h.change,
            change_lo: h.change_interval.lo,
            change_hi: h.change_interval.hi,
        });
        warnings.extend(h.warnings);
    }
    if let Some(behaviour) = moved.iter().find(|m| m.quantity == ISOLATED) {
        for m in moved.iter().filter(|m| m.quantity != ISOLATED) {
            let l = lead(&m.series, &behaviour.series)?;
            out.leads.push(LeadRow {
                quantity: m.quantity.into(),
                subject: m.subject.clone(),
                layer: m.layer,
                estimate: l.ratio,
                lo: l.interval.lo,
                hi: l.interval.hi,
                earlier: l.earlier,
                order: match l.order {
                    Order::FirstLeads => "first",
                    Order::SecondLeads => "second",
                    Order::Undecided => "undecided",
                }
                .into(),
            });
        }
    }
    let about = format!(
        "trajectory, {} less {}",
        input.set.condition, input.reference.condition
    );
    out.warnings = doubts(&about, warnings);
    out.warnings
        .extend(missing.into_iter().map(|name| WarningRow {
            about: about.clone(),
            text: format!(
            "{name}: a direction is not always above its noise, so this is not followed: add pairs"
        ),
        }));
    Ok(out)
}

fn step_rows<'a>(
    input: &'a TrajectoryInput,
    m: &'a Moved,
) -> impl Iterator<Item = TrajectoryRow> + 'a {
    input.steps.iter().enumerate().map(move |(t, &step)| {
        let ends = percentile(&mut m.series.draws.column(t).to_vec(), 0.95);
        TrajectoryRow {
            set: input.set.condition.into(),
            reference: input.reference.condition.into(),
            quantity: m.quantity.into(),
            subject: m.subject.clone(),
            layer: m.layer,
            unit: m.unit.into(),
            step,
            estimate: m.series.value[t],
            lo: ends.lo,
            hi: ends.hi,
            n: m.n,
        }
    })
}

/// Mean over prompts of what `keep`; none without such prompts.
fn of_scores(
    input: &TrajectoryInput,
    quantity: &'static str,
    subject: &str,
    keep: &dyn Fn(&str) -> bool,
) -> Result<Option<Moved>> {
    let of = |f: &Followed, t: usize| -> Vec<f64> {
        let kept = f.scores[t].iter().filter(|s| keep(&s.preference));
        kept.map(|s| s.log_odds).collect()
    };
    let (a, b): (Vec<_>, Vec<_>) = (0..input.steps.len())
        .map(|t| (of(&input.set, t), of(&input.reference, t)))
        .unzip();
    let n = a.first().map_or(0, Vec::len);
    if n == 0 {
        return Ok(None);
    }
    if let Some(other) = a.iter().chain(&b).find(|v| v.len() != n) {
        return Err(AnalysisError::Input {
            what: format!("the trajectory of {quantity} {subject}"),
            why: format!("{} prompts at one step and {n} at another", other.len()),
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
    Ok(Moved {
        quantity,
        subject: subject.into(),
        layer,
        unit,
        n: cells.dim().1,
        series,
    })
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
fn shifts(input: &TrajectoryInput, l: usize, missing: &mut Vec<String>) -> Result<Vec<Moved>> {
    let base = &input.set.acts[0];
    let roles = Roles {
        couples: input.couples.to_vec(),
        ..Default::default()
    };
    let names: Vec<&str> = input.concepts.iter().map(|c| c.name.as_str()).collect();
    let mut out = Vec::new();
    for concept in roles.coupled() {
        let c = place("the concept", concept, &names)?;
        let differences = base.concepts[c].differences();
        let d = base.concepts[c].direction().row(l).to_owned(); // (d)
        let at = differences.index_axis(Axis(1), l).to_owned(); // (pairs, d)
        let length = population_length(&at, &input.concepts[c].prompt);
        if length.is_nan() {
            missing.push(name("shift", concept, input.layers[l] as f64));
            continue;
        }
        let unit = length * input.rms[l];
        let texts = base.neutral[0].dim().0;
        let along = |f: &Followed, t: usize, text: usize| -> f64 {
            let row = f.acts[t].neutral[0].slice(s![text, l, ..]);
            let terms = row.iter().zip(&d).map(|(x, v)| f64::from(*x) * v);
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

/// Length of the direction that infinitely many pairs would show: products within a prompt are left
/// out. NaN where the direction is not above its noise.
fn population_length(differences: &Array2<f32>, prompt: &[usize]) -> f64 {
    let clusters = Clusters::new(prompt);
    let mut sums = Array2::<f64>::zeros((clusters.count(), differences.ncols())); // (prompts, d)
    for (row, &c) in differences.rows().into_iter().zip(&clusters.of) {
        let mut sum = sums.row_mut(c);
        sum.zip_mut_with(&row, |s, x| *s += f64::from(*x));
    }
    let whole = sums.sum_axis(Axis(0));
    let own: f64 = sums.iter().map(|x| x * x).sum();
    let n = prompt.len() as f64;
    let same: f64 = clusters.sizes.iter().map(|k| (k * k) as f64).sum();
    ((whole.dot(&whole) - own) / (n * n - same)).sqrt()
}

/// Coupling of a couple at every layer: relative to its ceiling where that exists in every draw, and
/// the raw cosine.
fn couplings(
    input: &TrajectoryInput,
    couple: &(String, String),
    missing: &mut Vec<String>,
) -> Result<Vec<Moved>> {
    let names: Vec<&str> = input.concepts.iter().map(|c| c.name.as_str()).collect();
    let pair = [
        place("the concept", &couple.0, &names)?,
        place("the concept", &couple.1, &names)?,
    ];
    let (a, b) = (
        coupled(input, &input.set, pair)?,
        coupled(input, &input.reference, pair)?,
    );
    let n = pair.map(|c| input.concepts[c].prompts());
    let mut out = Vec::new();
    for (l, &layer) in input.layers.iter().enumerate() {
        for (k, quantity) in ["coupling", "cosine"].into_iter().enumerate() {
            let steps = input.steps.len();
            let value: Vec<f64> = (0..steps)
                .map(|t| a.value[k][[t, l]] - b.value[k][[t, l]])
                .collect();
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
    let clusters: Vec<Vec<usize>> = pair
        .iter()
        .map(|&c| input.concepts[c].prompt.clone())
        .collect();
    let background: Vec<Array3<f32>> = f.acts.iter().map(|a| a.neutral[0].clone()).collect();
    let Draws {
        bootstrap,
        null,
        seed,
    } = input.draws;
    let options = CouplingOptions {
        draws: bootstrap,
        flips: null.min(FEW),
        random: null.min(FEW),
        seed,
        ..CouplingOptions::for_pair(0, 1)
    };
    let found = coupling(
        CouplingInput {
            differences: &differences,
            clusters: &clusters,
            background: &background,
        },
        &options,
    )?;
    let of = |value: &ndarray::Array4<f64>| value.slice(s![.., 0, 1, ..]).to_owned();
    Ok(Coupled {
        value: [of(&found.raw.relative), of(&found.raw.value)],
        draws: [found.pair_draws.relative, found.pair_draws.raw],
    })
}

/// Draws of nulls that nobody reads here.
const FEW: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::ConceptActivations;
    use crate::stats::rng::{fill_normal, stream};

    const STEPS: [usize; 7] = [0, 1, 3, 7, 15, 31, 63];
    const D: usize = 16;

    fn noise(rows: usize, scale: f32, index: u64) -> Array3<f32> {
        let mut x = Array3::zeros((rows, 1, D));
        fill_normal(
            &mut stream(4, "trajectory-test", index),
            x.as_slice_mut().unwrap(),
        );
        x * scale
    }

    /// A concept along one axis, read alike at every step, and texts moved along the first.
    fn acts(moved: f32) -> StateActivations {
        let concept = |axis: usize| {
            let mut positive = noise(12, 0.2, axis as u64);
            positive
                .slice_mut(s![.., .., axis])
                .mapv_inplace(|v| v + 2.0);
            ConceptActivations {
                negative: Array3::zeros(positive.dim()),
                positive,
            }
        };
        let mut neutral = noise(10, 1.0, 9);
        neutral.slice_mut(s![.., .., 0]).mapv_inplace(|v| v + moved);
        StateActivations {
            concepts: vec![concept(0), concept(1)],
            dev: Vec::new(),
            neutral: vec![neutral],
        }
    }

    fn scores(by: f64) -> Vec<PromptScore> {
        let one = |(k, preference): (usize, &str)| PromptScore {
            preference: preference.into(),
            prompt_id: k.to_string(),
            log_odds: k as f64 + by * (1.0 + 0.1 * (k % 3) as f64),
        };
        let names = std::iter::repeat_n("p", 8).chain(["moot"]);
        names.enumerate().map(one).collect()
    }

    #[test]
    fn what_is_planted_first_leads_and_the_shift_has_its_planted_size() {
        // Half of the way of the texts is gone at step 3, of the preferences at step 15.
        let early = [0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0];
        let late = [0.0, 0.0, 0.0, 0.1, 0.5, 0.9, 1.0];
        let moving: Vec<StateActivations> = early.map(|m| acts(3.0 * m)).into();
        let still: Vec<StateActivations> = early.map(|_| acts(0.0)).into();
        let (rising, flat) = (late.map(scores), late.map(|_| scores(0.0)));
        let info = |name: &str| ConceptInfo {
            name: name.into(),
            prompt: (0..12).collect(),
            template: vec![0; 12],
            words: Vec::new(),
        };
        let r = trajectory(&TrajectoryInput {
            set: Followed {
                condition: "a",
                acts: &moving,
                scores: &rising,
            },
            reference: Followed {
                condition: "b",
                acts: &still,
                scores: &flat,
            },
            steps: &STEPS,
            concepts: &[info("x"), info("y")],
            layers: &[5],
            rms: &[1.5],
            couples: &[("x".into(), "y".into())],
            claim: None,
            isolated: &["p".into()],
            draws: Draws {
                bootstrap: 200,
                null: 200,
                seed: 1,
            },
        })
        .unwrap();
        let last = |quantity: &str, subject: &str| {
            let same =
                |x: &&TrajectoryRow| x.quantity == quantity && x.subject == subject && x.step == 63;
            r.steps.iter().find(same).unwrap()
        };
        let x = last("shift", "x");
        assert!((x.estimate - 2.0).abs() < 0.05, "{x:?}"); // 3 / 1.5, the axis being the direction
        assert!(last("shift", "y").estimate.abs() < 0.3);
        assert_eq!((last(ISOLATED, "").n, x.n, x.layer), (8, 10, 5.0));
        assert_eq!(last("coupling", "x x y").estimate, 0.0);
        let lead = r.leads.iter().find(|l| l.subject == "x").unwrap();
        assert_eq!(
            (lead.quantity.as_str(), lead.order.as_str()),
            ("shift", "first")
        );
        assert!((lead.estimate - 4.0).abs() < 0.2, "{lead:?}"); // 16 / 4
        assert!(r.warnings.iter().any(|w| w.text.contains("x x y")));
    }
}
