//! Cause: what directions do to behaviour when they are added to a model or taken out of it.
//!
//! Running and judging are apart. A [`Bench`](crate::causal::Bench) runs a model and gives raw scores,
//! kept as [`Ablated`] and [`Dosed`], which a study stores state by state; [`judge_ablations`], [`judge_doses`] and
//! [`judge_edit`] make records of raw scores and run nothing, so that a command and a study that hold
//! the same scores report the same numbers.
//!
//! Which concept is tested by what was asked (preferences, a claim) is the caller's: directions have
//! names and kinds, and what was asked has a name. The unit of a dose is the layer's RMS in base
//! ([`super::layer_rms`]), also where an adapter is dosed.

mod ablation;
mod answers;
mod doses;
mod utility;

pub use ablation::{judge_ablations, Sides, ISOLATED};
pub use answers::{answers, Answering, Edit};
pub use doses::{judge_doses, judge_edit, Questions};
pub use utility::utility_direction;

use super::records::{distinct, WarningRow};
use super::{ConceptInfo, Result, StateActivations};
use crate::causal::{Direction, Edited, Kind, Warning};
use ndarray::Array3;
use serde::{Deserialize, Serialize};

/// What is asked of a model by its battery of preferences.
pub const PREFERENCES: &str = "preferences";
/// What is asked by the claim of a condition: the way back.
pub const CLAIM: &str = "claim";

/// One model under every ablation, the run without one first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ablated {
    /// Id of the state that was ablated.
    pub state: String,
    /// State that the tested concepts' own directions were read in.
    pub directions_of: String,
    /// [`PREFERENCES`] or [`CLAIM`].
    pub asked: String,
    /// Scores and side effects of each run, `[edit]`.
    pub edits: Vec<Edited>,
}

/// One model under every dose, the run without one first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dosed {
    /// Id of the state that was dosed.
    pub state: String,
    /// Block after which the doses were added.
    pub layer: usize,
    /// RMS of that layer, the unit of the doses.
    pub rms: f64,
    /// Scores and side effects of each run, `[edit]`.
    pub edits: Vec<Edited>,
}

/// Which directions are tested, and what they are compared with.
#[derive(Debug, Clone, Copy)]
pub struct Controls<'a> {
    /// Concepts under test.
    pub tested: &'a [String],
    /// Unrelated concepts.
    pub placebos: &'a [String],
    /// Random directions, drawn with the covariance of a state's neutral texts.
    pub random: usize,
    /// Label-permuted directions of each concept under test.
    pub permuted: usize,
    /// What is known of the pairs of the concepts under test.
    pub pairs: &'a [ConceptInfo],
    /// Seed of the random and the label-permuted directions.
    pub seed: u64,
}

/// Directions to ablate or add, all as states read them: the tested concepts in `own` and, where it
/// is another state, in `base`; the placebos and label-permuted ones in `own`; random ones of `background
/// (texts, layers, d)`.
/// `names` are the concepts that both states hold, `layers` the blocks.
///
/// # Errors
/// A concept that was not read; fewer texts than a covariance needs.
pub fn directions(
    own: &StateActivations,
    base: Option<&StateActivations>,
    background: &Array3<f32>,
    (names, layers): (&[String], &[usize]),
    controls: &Controls,
) -> Result<Vec<Direction>> {
    let mut out = Vec::new();
    let mut add = |acts: &StateActivations, role, concept: &String, kind| {
        let mean = acts.concepts[super::roles::place(role, concept, names)?].direction();
        out.push(Direction::of_mean(concept, kind, &mean, layers));
        Ok::<(), super::AnalysisError>(())
    };
    for concept in controls.tested {
        add(own, "the tested concept", concept, Kind::Own)?;
        if let Some(base) = base {
            add(base, "the tested concept", concept, Kind::Base)?;
        }
    }
    for concept in controls.placebos {
        add(own, "the placebo", concept, Kind::Placebo)?;
    }
    for info in controls.pairs {
        let place = super::roles::place("the tested concept", &info.name, names)?;
        let differences = own.concepts[place].differences();
        let pairs = info.labelled(differences.view());
        out.extend(Direction::permuted(&pairs, layers, controls.permuted, controls.seed));
    }
    if controls.random > 0 {
        out.extend(Direction::random(background, layers, controls.random, controls.seed)?);
    }
    Ok(out)
}

/// Doubts as rows, each said once.
pub(super) fn doubts(about: &str, warnings: Vec<Warning>) -> Vec<WarningRow> {
    let texts = distinct(warnings.into_iter().map(|w| w.to_string()));
    texts.into_iter().map(|text| WarningRow { about: about.into(), text }).collect()
}
