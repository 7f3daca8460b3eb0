//! How good a direction is.
//!
//! Three numbers. Separation: AUROC on rows whose template *and* prompt were
//! left out of the estimate (see `held_out`), beside what words alone reach
//! ([`Lexical`](super::Lexical)). Reliability: the cosine of
//! directions from random halves of the prompts, stepped up to full length (see
//! `reliability`). Length: relative to the layer's root mean square, because
//! scale grows over depth. [`profile`](super::profile()) gives the same numbers for a
//! direction and its cleaned version at once.

use super::profile::profile;
use super::{Estimator, Pairs, Result, Warning};
use crate::stats::interval::Interval;
use serde::{Deserialize, Serialize};

/// How much work [`quality`] does.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct QualityOptions {
    /// Bootstrap draws.
    pub draws: usize,
    /// Random prompt splits for the reliability; `mean-diff` is cheap, other
    /// estimators are fitted twice a split.
    pub splits: usize,
    /// Coverage of the interval.
    pub level: f64,
    /// Seed of every draw.
    pub seed: u64,
}

impl Default for QualityOptions {
    fn default() -> Self {
        QualityOptions { draws: 2000, splits: 100, level: 0.95, seed: 0 }
    }
}

/// What a lexical baseline reaches on the same folds, and a direction beyond it; NaN where none was given.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Beyond {
    /// Held-out AUROC of the baseline.
    pub words: f64,
    /// Held-out AUROC of the direction less that.
    pub gain: f64,
    /// Its interval, the same prompts drawn for both.
    pub interval: Interval,
}

/// Quality of a direction at one layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Held-out AUROC, mean over folds; NaN without a fold.
    pub auroc: f64,
    /// Its interval over prompts.
    pub auroc_interval: Interval,
    /// Held-out AUROC of each fold.
    pub auroc_folds: Vec<f64>,
    /// Beside a bag of words.
    pub lexical: Beyond,
    /// Beside a bag of words and pairs of neighbouring words.
    pub lexical_bigram: Beyond,
    /// Split-half reliability, Spearman-Brown.
    pub reliability: f64,
    /// Distance between the poles over the layer's RMS.
    pub relative_norm: f64,
    /// Pairs.
    pub n_pairs: usize,
    /// Prompts: the unit of replication.
    pub n_prompts: usize,
    /// Templates.
    pub n_templates: usize,
    /// Doubts.
    pub warnings: Vec<Warning>,
}

/// Quality of what `estimator` makes of `pairs`; `layer_rms` is the layer's
/// root mean square activation, in the same units as the pairs.
pub fn quality(
    pairs: &Pairs,
    estimator: Estimator,
    layer_rms: f64,
    options: QualityOptions,
) -> Result<Quality> {
    Ok(profile(pairs, estimator, &[], layer_rms, None, options)?.quality)
}

#[cfg(test)]
mod tests {
    use super::super::estimate::tests::planted;
    use super::*;
    use crate::stats::linalg::orthonormal_rows;
    use proptest::prelude::*;

    fn quick() -> QualityOptions {
        QualityOptions { draws: 200, ..QualityOptions::default() }
    }

    #[test]
    fn a_strong_direction_separates_held_out_rows_and_noise_does_not() {
        let strong = planted(60, 20, 4.0, 3, 1);
        let got = quality(&strong, Estimator::MeanDiff, 1.0, quick()).unwrap();
        assert!(got.auroc > 0.95 && got.auroc_interval.lo > 0.9);
        assert!(got.reliability > 0.9);
        assert!(got.warnings.is_empty(), "{:?}", got.warnings);
        let noise = planted(60, 80, 0.0, 3, 2);
        let got = quality(&noise, Estimator::MeanDiff, 1.0, quick()).unwrap();
        assert!((got.auroc - 0.5).abs() < 0.15);
        let kinds = &got.warnings;
        assert!(kinds.iter().any(|w| matches!(w, Warning::BelowNoiseFloor { .. })));
        assert!(kinds.iter().any(|w| matches!(w, Warning::NoSeparation { .. })));
        assert!(kinds.contains(&Warning::FewerPairsThanDimensions { n: 60, d: 80 }));
    }

    #[test]
    fn a_template_that_carries_the_signal_alone_is_found_out_when_held_out() {
        // Template 0 differs along axis 0 only, template 1 along axis 1 only.
        let mut pairs = planted(60, 10, 0.0, 0, 4);
        pairs.template = (0..60).map(|i| i % 2).collect();
        for i in 0..60 {
            pairs.positive[[i, i % 2]] += 8.0;
        }
        let got = quality(&pairs, Estimator::MeanDiff, 1.0, quick()).unwrap();
        assert!(got.auroc < 0.75, "{}", got.auroc);
    }

    #[test]
    fn the_interval_resamples_prompts_and_not_rows() {
        // Each prompt four times over, which adds rows but no prompts.
        let once = planted(24, 6, 1.0, 2, 3);
        let rows: Vec<usize> = (0..24).flat_map(|i| [i; 4]).collect();
        let of = |pairs: &Pairs| {
            let got = quality(pairs, Estimator::MeanDiff, 1.0, quick()).unwrap();
            assert_eq!(got.n_prompts, 24);
            got.auroc_interval.width()
        };
        let (one, four) = (of(&once), of(&once.select(&rows)));
        assert!((one - four).abs() < 0.02, "{one} {four}");
    }

    #[test]
    fn rows_that_are_all_told_apart_leave_an_interval_by_the_number_of_prompts() {
        let of = |n| {
            let got =
                quality(&planted(n, 6, 60.0, 2, 1), Estimator::MeanDiff, 1.0, quick()).unwrap();
            assert_eq!((got.auroc, got.auroc_interval.hi), (1.0, 1.0));
            got.auroc_interval.lo
        };
        let (few, many) = (of(9), of(90));
        assert!(0.75 < few && few < 0.9 && 0.95 < many && many < 1.0, "{few} {many}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn quality_does_not_depend_on_scale_rotation_order_or_the_choice_of_pole(
            seed in 0u64..1000, scale in 0.1f32..30.0
        ) {
            let pairs = planted(24, 6, 1.5, 1, seed);
            let basis = planted(6, 6, 0.0, 0, seed + 7).differences();
            let q = orthonormal_rows(basis.view()).mapv(|v| v as f32);
            let rotated = Pairs {
                positive: pairs.positive.dot(&q) * scale,
                negative: pairs.negative.dot(&q) * scale,
                ..pairs.clone()
            };
            let swapped = Pairs {
                positive: pairs.negative.clone(),
                negative: pairs.positive.clone(),
                ..pairs.clone()
            };
            let order: Vec<usize> = (0..24).rev().collect();
            let turned = pairs.select(&order);
            let of = |p: &Pairs, rms: f64| quality(p, Estimator::MeanDiff, rms, quick()).unwrap();
            let one = of(&pairs, 2.0);
            for (name, other) in [
                ("rotation", of(&rotated, 2.0 * f64::from(scale))),
                ("swap", of(&swapped, 2.0)),
                ("order", of(&turned, 2.0)),
            ] {
                // Scores that tie in f32 may change places, which moves an area by a step.
                prop_assert!((one.auroc - other.auroc).abs() < 0.01, "{} auroc", name);
                prop_assert!((one.reliability - other.reliability).abs() < 1e-4, "{} reliability", name);
                prop_assert!((one.relative_norm - other.relative_norm).abs() < 1e-4, "{} norm", name);
            }
        }
    }
}
