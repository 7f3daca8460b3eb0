//! Choosing a layer, on the development split and nowhere else.
//!
//! Each layer's direction is estimated and scored within the development pairs,
//! with templates left out. The layer with the largest separation wins: the
//! distance between the sides in units of their deviation, because at many layers
//! the area under the curve is already 1. Pairs of the reported split are not
//! looked at, so what is then reported on them is untouched by the choice.

use super::held_out::{areas, held};
use super::{DirectionError, Estimator, Pairs, QualityOptions, Result};
use crate::stats::bootstrap::Clusters;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Fewest development pairs from which a layer is chosen.
pub const FEWEST_PAIRS: usize = 8;

/// The chosen layer and what each layer had to offer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerChoice {
    /// Index into the layers that were given.
    pub chosen: usize,
    /// Held-out separation of each layer, in deviations; NaN where there is none.
    pub separation: Vec<f64>,
    /// Held-out AUROC of each layer.
    pub auroc: Vec<f64>,
    /// Development pairs.
    pub n_pairs: usize,
    /// Development prompts.
    pub n_prompts: usize,
}

/// Chooses among `layers`, the same pairs at each layer, by their development pairs.
///
/// Errors below [`FEWEST_PAIRS`] development pairs, when no layer separates them (the
/// first estimate that failed is told), and as [`super::estimate`] does.
pub fn choose_layer(layers: &[Pairs], estimator: Estimator, seed: u64) -> Result<LayerChoice> {
    let got = layers.iter().map(|p| p.is_dev.iter().filter(|&&dev| dev).count()).min().unwrap_or(0);
    if got < FEWEST_PAIRS {
        return Err(DirectionError::NoDevelopmentPairs { needed: FEWEST_PAIRS, got });
    }
    let options = QualityOptions { draws: 0, seed, ..QualityOptions::default() };
    let score = |pairs: &Pairs| {
        let dev = pairs.split(true);
        let scored = areas(&dev, &held(&dev, estimator, seed)?, options);
        Ok((scored.separation, scored.auroc))
    };
    let scored: Vec<(f64, f64)> = layers.par_iter().map(score).collect::<Result<_>>()?;
    // On a tie the earlier layer stays.
    let known = (0..scored.len()).rev().filter(|&l| !scored[l].0.is_nan());
    let best = known.max_by(|&a, &b| scored[a].0.total_cmp(&scored[b].0));
    let nothing = "every layer's difference on the development split";
    let chosen = best.ok_or_else(|| DirectionError::Zero { what: nothing.into() })?;
    let dev = layers[chosen].split(true);
    Ok(LayerChoice {
        chosen,
        separation: scored.iter().map(|s| s.0).collect(),
        auroc: scored.iter().map(|s| s.1).collect(),
        n_pairs: dev.len(),
        n_prompts: Clusters::new(&dev.prompt).count(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::estimate::tests::planted;
    use super::*;

    /// Layers whose development pairs differ by `shifts` and whose others by the reverse.
    fn layers(shifts: &[f64]) -> Vec<Pairs> {
        let most = shifts.iter().fold(0.0, |m: f64, s| m.max(*s));
        let of = |(l, &shift): (usize, &f64)| {
            let mut pairs = planted(60, 6, 0.0, 0, l as u64);
            pairs.is_dev = (0..60).map(|i| i % 2 == 0).collect();
            pairs.prompt = (0..60).collect();
            pairs.template = (0..60).map(|i| (i / 2) % 3).collect();
            for i in 0..60 {
                let by = if pairs.is_dev[i] { shift } else { most - shift };
                pairs.positive[[i, 3]] += by as f32;
            }
            pairs
        };
        shifts.iter().enumerate().map(of).collect()
    }

    #[test]
    fn the_layer_that_separates_the_development_pairs_best_is_chosen() {
        let got = choose_layer(&layers(&[0.0, 4.0, 9.0, 3.0]), Estimator::MeanDiff, 0).unwrap();
        assert_eq!(got.chosen, 2);
        assert_eq!((got.n_pairs, got.n_prompts), (30, 30));
        assert!(got.separation[1] > got.separation[3]);
        assert!((got.auroc[2] - 1.0).abs() < 1e-9 && got.auroc[0] < 0.8);
    }

    #[test]
    fn the_reported_pairs_have_no_part_in_the_choice() {
        let mut all = layers(&[0.0, 4.0, 9.0, 3.0]);
        let before = choose_layer(&all, Estimator::MeanDiff, 0).unwrap();
        for pairs in &mut all {
            for i in (0..60).filter(|&i| !pairs.is_dev[i]).collect::<Vec<_>>() {
                pairs.positive.row_mut(i).fill(1e6);
            }
        }
        assert_eq!(choose_layer(&all, Estimator::MeanDiff, 0).unwrap(), before);
    }

    #[test]
    fn without_development_pairs_no_layer_is_chosen() {
        let pairs = vec![planted(30, 4, 2.0, 0, 1)];
        assert_eq!(
            choose_layer(&pairs, Estimator::MeanDiff, 0),
            Err(DirectionError::NoDevelopmentPairs { needed: 8, got: 0 })
        );
    }
}
