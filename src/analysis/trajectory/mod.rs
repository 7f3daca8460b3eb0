//! Trajectory: what moves first over a fine-tune, in a condition less its reference.
//!
//! Both conditions are read at the same checkpoints, step 0 being base; nothing is trained here. The
//! quantities are the condition's claim and the isolated preferences (by item), the shift of the
//! neutral texts along base's direction of each coupled concept (by text; per unit of the population
//! direction's length, in layer RMS) and the coupling of each couple, relative to its ceiling, with
//! the raw cosine beside it. Each quantity has a half-way step; each other one is held against the
//! isolated preferences.

mod series;

use super::cause::doubts;
use super::records::{HalfWayRow, LeadRow, Results, TrajectoryRow, WarningRow};
use super::{AnalysisError, ConceptInfo, Draws, Result, StateActivations};
use crate::behavior::ItemScore;
use crate::causal::{half_way, lead, Order, Warning};
use crate::stats::interval::percentile;
use series::{couplings, of_scores, shifts, Moved};

/// One condition at every step.
#[derive(Debug, Clone, Copy)]
pub struct Followed<'a> {
    /// Name of the condition.
    pub condition: &'a str,
    /// Activations at each step.
    pub acts: &'a [StateActivations],
    /// Scores of preferences and claims at each step.
    pub scores: &'a [Vec<ItemScore>],
}

/// A condition and its reference, read alike.
#[derive(Debug, Clone, Copy)]
pub struct TrajectoryInput<'a> {
    /// The condition.
    pub set: Followed<'a>,
    /// What it is compared with.
    pub reference: Followed<'a>,
    /// Increasing, the first 0: base.
    pub steps: &'a [usize],
    /// What the activations hold: concepts and blocks.
    pub concepts: &'a [ConceptInfo],
    /// Block of each layer index of the activations.
    pub layers: &'a [usize],
    /// Layer RMS in base, of each of them.
    pub rms: &'a [f64],
    /// Pairs of concepts whose shifts and couplings are followed.
    pub couples: &'a [(String, String)],
    /// Claim of the condition; none: not followed.
    pub claim: Option<&'a str>,
    /// Preferences that are isolated in both conditions.
    pub isolated: &'a [String],
    /// Draws of intervals and ceilings, and their seed.
    pub draws: Draws,
}

/// Name of the quantity that the others are held against.
const ISOLATED: &str = "isolated";

/// The condition less its reference, step by step.
///
/// # Errors
/// Steps, activations and scores of different lengths; a concept that was not read; a value that is
/// not finite.
pub fn trajectory(input: &TrajectoryInput) -> Result<Results> {
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
    let mut out = Results::default();
    for m in &moved {
        out.trajectory.extend(input.steps.iter().enumerate().map(|(t, &step)| {
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
        }));
        let h = half_way(&m.series);
        out.half_way.push(HalfWayRow {
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
    let about = format!("trajectory, {} less {}", input.set.condition, input.reference.condition);
    out.warnings = doubts(&about, warnings);
    out.warnings.extend(missing.into_iter().map(|name| WarningRow {
        about: about.clone(),
        text: format!(
            "{name}: a direction is not always above its noise, so this is not followed: add pairs"
        ),
    }));
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::ConceptActivations;
    use crate::stats::rng::{fill_normal, stream};
    use ndarray::{s, Array3};

    const STEPS: [usize; 7] = [0, 1, 3, 7, 15, 31, 63];
    const D: usize = 16;

    fn noise(rows: usize, scale: f32, index: u64) -> Array3<f32> {
        let mut x = Array3::zeros((rows, 1, D));
        fill_normal(&mut stream(4, "trajectory-test", index), x.as_slice_mut().unwrap());
        x * scale
    }

    /// A concept along one axis, read alike at every step, and texts moved along the first.
    fn acts(moved: f32) -> StateActivations {
        let concept = |axis: usize| {
            let mut positive = noise(12, 0.2, axis as u64);
            positive.slice_mut(s![.., .., axis]).mapv_inplace(|v| v + 2.0);
            ConceptActivations { negative: Array3::zeros(positive.dim()), positive }
        };
        let mut neutral = noise(10, 1.0, 9);
        neutral.slice_mut(s![.., .., 0]).mapv_inplace(|v| v + moved);
        StateActivations {
            concepts: vec![concept(0), concept(1)],
            dev: Vec::new(),
            neutral: vec![neutral],
        }
    }

    fn scores(by: f64) -> Vec<ItemScore> {
        let one = |(k, preference): (usize, &str)| ItemScore {
            preference: preference.into(),
            item: k.to_string(),
            stance: k as f64 + by * (1.0 + 0.1 * (k % 3) as f64),
            bias: None,
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
            stratum: vec![0; 12],
            words: Vec::new(),
        };
        let r = trajectory(&TrajectoryInput {
            set: Followed { condition: "a", acts: &moving, scores: &rising },
            reference: Followed { condition: "b", acts: &still, scores: &flat },
            steps: &STEPS,
            concepts: &[info("x"), info("y")],
            layers: &[5],
            rms: &[1.5],
            couples: &[("x".into(), "y".into())],
            claim: None,
            isolated: &["p".into()],
            draws: Draws { bootstrap: 200, null: 200, seed: 1 },
        })
        .unwrap();
        let last = |quantity: &str, subject: &str| {
            let same =
                |x: &&TrajectoryRow| x.quantity == quantity && x.subject == subject && x.step == 63;
            r.trajectory.iter().find(same).unwrap()
        };
        let x = last("shift", "x");
        assert!((x.estimate - 2.0).abs() < 0.05, "{x:?}"); // 3 / 1.5, the axis being the direction
        assert!(last("shift", "y").estimate.abs() < 0.3);
        assert_eq!((last(ISOLATED, "").n, x.n, x.layer), (8, 10, 5.0));
        assert_eq!(last("coupling", "x x y").estimate, 0.0);
        let lead = r.leads.iter().find(|l| l.subject == "x").unwrap();
        assert_eq!((lead.quantity.as_str(), lead.order.as_str()), ("shift", "first"));
        assert!((lead.estimate - 4.0).abs() < 0.2, "{lead:?}"); // 16 / 4
        assert!(r.warnings.iter().any(|w| w.text.contains("x x y")));
    }
}
