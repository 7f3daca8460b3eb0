//! Preventative steering: the stream is edited while a fine-tune learns and left alone afterwards.
//!
//! Adding a trait's direction supplies during training what the rows ask for, so that the weights
//! need not learn it (Chen et al. 2025, arXiv 2507.21509, section 5.2); projecting it out denies
//! training the use of it. The recipe says what is done; the vectors come from whoever has them, by
//! block, so that this room knows nothing of how they were found.

use super::FinetuneError;
use crate::model::{HookPoint, Interventions, Site};
use crate::store::names::twice;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is done to the stream in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Mode {
    /// `x + dose x RMS x u` after each chosen block, u the direction.
    Add,
    /// `x - (x . u) u` after attention and at the end of each chosen block.
    ProjectOut,
}

/// Preventative steering, as written in a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prevent {
    /// Whose direction, such as `persona`.
    pub concept: String,
    /// What is done with the direction.
    pub mode: Mode,
    /// For `add`, in units of the block's residual RMS in the untrained model; may be negative.
    #[serde(default)]
    pub dose: f64,
    /// Blocks; empty: every block of the model that has a vector.
    #[serde(default)]
    pub layers: Vec<usize>,
}

impl Prevent {
    /// Refuses what would steer nothing.
    pub fn check(&self) -> Result<(), FinetuneError> {
        let bad = |key, value: String, hint| Err(FinetuneError::recipe(key, value, hint));
        if let Some(l) = twice(&self.layers) {
            return bad("prevent.layers", format!("{l} twice"), "name each block once");
        }
        let (add, dose) = (self.mode == Mode::Add, self.dose.to_string());
        match () {
            // Also where the dose is NaN.
            _ if add && !(1e-6..=1000.0).contains(&self.dose.abs()) => {
                bad("prevent.dose", dose, "give the dose in units of the layer's RMS, such as 1")
            }
            _ if add && self.layers.is_empty() => {
                let hint = "name the blocks after which the direction is added";
                bad("prevent.layers", "empty".into(), hint)
            }
            _ if !add && self.dose != 0.0 => {
                bad("prevent.dose", dose, "projecting out has no dose; leave it away")
            }
            _ => Ok(()),
        }
    }

    /// The edits of training. `vectors[l]` is the direction after block l (any length above 0), and
    /// `rms[l]` the RMS of an entry of the stream there, which only `add` needs.
    ///
    /// # Errors
    /// `Recipe` where a chosen block has no vector or RMS; `Model` for a direction of zeros.
    pub fn interventions(
        &self,
        vectors: &BTreeMap<usize, Vec<f32>>,
        rms: &BTreeMap<usize, f64>,
    ) -> Result<Interventions, FinetuneError> {
        self.check()?;
        let layers: Vec<usize> = match self.layers.is_empty() {
            true => vectors.keys().copied().collect(),
            false => self.layers.clone(),
        };
        let lacks = |l: usize, hint| FinetuneError::recipe("prevent.layers", l, hint);
        let mut edits = Interventions::none();
        for l in layers {
            let v = vectors.get(&l);
            let v = v.ok_or_else(|| lacks(l, "there is no vector of this block"))?;
            edits = match self.mode {
                Mode::ProjectOut => edits
                    .project_out(HookPoint::new(Site::ResidMid, l), v)?
                    .project_out(HookPoint::resid_post(l), v)?,
                Mode::Add => {
                    let rms = rms.get(&l).filter(|r| r.is_finite() && **r > 0.0);
                    let none = "the RMS of this block is not given, or 0";
                    let rms = rms.ok_or_else(|| lacks(l, none))?;
                    let squares = v.iter().map(|x| f64::from(*x).powi(2));
                    let norm = squares.sum::<f64>().sqrt();
                    edits.add(l, v, self.dose * rms / norm)?
                }
            };
        }
        let none = "there is no vector of any block";
        match edits.is_empty() {
            true => Err(FinetuneError::recipe("prevent.layers", "empty", none)),
            false => Ok(edits),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prevent(mode: Mode, dose: f64, layers: &[usize]) -> Prevent {
        Prevent { concept: "persona".into(), mode, dose, layers: layers.to_vec() }
    }

    #[test]
    fn what_would_steer_nothing_is_refused_by_key() {
        let vectors = BTreeMap::from([(1, vec![0.0, 2.0])]);
        let rms = BTreeMap::from([(1, 3.0)]);
        for (p, key) in [
            (prevent(Mode::Add, 0.0, &[1]), "prevent.dose"),
            (prevent(Mode::Add, 1.0, &[]), "prevent.layers"),
            (prevent(Mode::Add, 1.0, &[2]), "prevent.layers"),
            (prevent(Mode::Add, f64::NAN, &[1]), "prevent.dose"),
            (prevent(Mode::Add, f64::INFINITY, &[1]), "prevent.dose"),
            (prevent(Mode::Add, 1.0, &[1, 1]), "prevent.layers"),
            (prevent(Mode::ProjectOut, 1.0, &[1]), "prevent.dose"),
            (prevent(Mode::ProjectOut, f64::NAN, &[1]), "prevent.dose"),
        ] {
            let e = p.interventions(&vectors, &rms).unwrap_err().to_string();
            assert!(e.contains(key), "{e}");
        }
        let none = prevent(Mode::ProjectOut, 0.0, &[]);
        assert!(none.interventions(&BTreeMap::new(), &rms).is_err());
        assert!(none.interventions(&vectors, &rms).is_ok());
    }
}
