//! From pairs to a direction.
//!
//! Every estimator ends in a unit vector, turned by one sign rule (the positive
//! side projects higher), and a length in activation units: how far apart the
//! poles' means lie along it. For the difference in means that length is its
//! norm. The principal components come from linfa, whose iterative solver is
//! exact enough for the first component but is checked here, with a full
//! decomposition as the fallback. The random control keeps its random sign.

use super::error::{enough, Result};
use super::logistic;
use super::{DirectionError, Estimator, Pairs};
use crate::stats::linalg::{cosine, thin_svd};
use crate::stats::rng::stream;
use crate::stats::shrinkage::ledoit_wolf;
use linfa::traits::Fit;
use linfa::DatasetBase;
use linfa_reduction::Pca;
use ndarray::{concatenate, Array1, Array2, Axis};
use rand_distr::{Distribution, StandardNormal};

/// The sign rule of every estimator but `random`.
pub const POSITIVE_HIGHER: &str = "positive side projects higher";
/// The sign rule of `random`.
pub const AS_DRAWN: &str = "as drawn";

/// A direction at one layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Direction {
    /// Unit vector `(d)`.
    pub unit: Array1<f32>,
    /// Distance between the poles' means along `unit`, in activation units.
    pub raw_norm: f64,
    /// How the sign was chosen.
    pub sign_rule: String,
}

impl Direction {
    /// Cosine of the angle to another one of the same width.
    pub fn cosine(&self, other: &Direction) -> f64 {
        cosine(self.unit.mapv(f64::from).view(), other.unit.mapv(f64::from).view())
    }
}

/// Estimates a direction from all of `pairs`; `seed` is used where the method draws.
///
/// - `mean-diff`: difference in means (Marks and Tegmark 2023).
/// - `median-diff`: geometric median of the deltas (Weiszfeld 1937, Vardi and Zhang 2000).
/// - `pca-pairs`: first component of +delta/2 and -delta/2 (Zou et al. 2023).
/// - `pca-diff-centered`: first component of the centred deltas.
/// - `logistic`: see the module of that name.
/// - `lda`: within-side shrinkage covariance inverse times the mean difference
///   (Fisher 1936, Ledoit and Wolf 2004).
/// - `random`: an isotropic direction.
///
/// Errors on inconsistent shapes, values that are not finite, too few pairs and
/// when the sides do not differ.
pub fn estimate(pairs: &Pairs, estimator: Estimator, seed: u64) -> Result<Direction> {
    estimate_at(pairs, estimator, seed, None)
}

/// As [`estimate`], with the penalty of `logistic` given or, without one, cross-validated.
pub(super) fn estimate_at(
    pairs: &Pairs,
    estimator: Estimator,
    seed: u64,
    alpha: Option<f64>,
) -> Result<Direction> {
    pairs.check()?;
    let needed = match estimator {
        Estimator::MeanDiff | Estimator::Random => 1,
        Estimator::MedianDiff | Estimator::PcaPairs | Estimator::Lda => 2,
        Estimator::PcaDiffCentered => 3,
        Estimator::Logistic => 4,
    };
    enough(estimator.name(), needed, pairs.len())?;
    let mean = pairs.mean_difference(); // (d)
    let vector = match estimator {
        Estimator::MeanDiff => mean.clone(),
        Estimator::MedianDiff => geometric_median(&pairs.differences(), &mean),
        Estimator::PcaPairs => {
            let half = pairs.differences() / 2.0;
            first_component(concatenate![Axis(0), half, -&half])?
        }
        Estimator::PcaDiffCentered => first_component(pairs.differences())?,
        Estimator::Logistic => match alpha {
            Some(alpha) => logistic::fit(pairs, alpha)?.weights,
            None => logistic::fit_cross_validated(pairs)?.weights,
        },
        Estimator::Lda => {
            let centre = |x: &Array2<f32>| x - &(x.sum_axis(Axis(0)) / x.nrows() as f32);
            let within = concatenate![Axis(0), centre(&pairs.positive), centre(&pairs.negative)];
            ledoit_wolf(within.view())?.solve(mean.view())
        }
        Estimator::Random => {
            let mut rng = stream(seed, "direction/random", 0);
            Array1::from_shape_simple_fn(pairs.width(), || StandardNormal.sample(&mut rng))
        }
    };
    let length = vector.dot(&vector).sqrt();
    if length.is_nan() || length <= 0.0 {
        return Err(DirectionError::Zero { what: format!("the {estimator} direction") });
    }
    let mut unit = vector / length;
    let mut along = unit.dot(&mean);
    let aligned = estimator != Estimator::Random;
    if aligned && along < 0.0 {
        unit = -unit;
        along = -along;
    }
    Ok(Direction {
        unit: unit.mapv(|v| v as f32),
        raw_norm: along.abs(),
        sign_rule: if aligned { POSITIVE_HIGHER } else { AS_DRAWN }.to_string(),
    })
}

/// The point with the least sum of distances to the rows of `x (n, d)`, from `start (d)` on; a row that
/// is the point itself pulls by at most 1.
fn geometric_median(x: &Array2<f64>, start: &Array1<f64>) -> Array1<f64> {
    let mut centre = start.clone();
    for _ in 0..500 {
        let (mut weights, mut here) = (0.0, 0.0);
        let mut sum = Array1::<f64>::zeros(centre.len());
        for row in x.rows() {
            let off = &row - &centre;
            let distance = off.dot(&off).sqrt();
            if distance > 0.0 {
                sum.scaled_add(1.0 / distance, &off);
                weights += 1.0 / distance;
            } else {
                here += 1.0;
            }
        }
        let pull = sum.dot(&sum).sqrt();
        let step = if pull > here { sum * ((1.0 - here / pull) / weights) } else { sum * 0.0 };
        centre += &step;
        if step.dot(&step) <= 1e-20 * centre.dot(&centre) {
            break;
        }
    }
    centre
}

/// First principal component `(d)` of the rows of `x (n, d)`, centred.
fn first_component(x: Array2<f64>) -> Result<Array1<f64>> {
    let mean = x.sum_axis(Axis(0)) / x.nrows() as f64;
    let centred = &x - &mean; // (n, d)
    let total = centred.iter().map(|v| v * v).sum::<f64>();
    if total <= 0.0 {
        return Err(DirectionError::Pca { reason: "the rows do not vary".to_string() });
    }
    // Unit mean square keeps the solver's absolute tolerances meaningful.
    let scaled = &centred / (total / x.nrows() as f64).sqrt();
    if let Ok(pca) = Pca::params(1).fit(&DatasetBase::from(scaled.clone())) {
        let v = pca.components().row(0).to_owned();
        let image = scaled.t().dot(&scaled.dot(&v)); // X'X v
        let value = v.dot(&image);
        let residual = &image - &(&v * value);
        if residual.dot(&residual).sqrt() <= 1e-4 * value {
            return Ok(v);
        }
    }
    let svd = thin_svd(scaled.view()).map_err(|e| DirectionError::Pca { reason: e.to_string() })?;
    Ok(svd.vt.row(0).to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `n` pairs in `d` dimensions whose sides differ by `shift` along `axis`, one prompt each.
    pub fn planted(n: usize, d: usize, shift: f64, axis: usize, seed: u64) -> Pairs {
        let mut rng = stream(seed, "planted", 0);
        let mut draw = || {
            Array2::from_shape_simple_fn((n, d), || {
                Distribution::<f32>::sample(&StandardNormal, &mut rng)
            })
        };
        let (mut positive, negative) = (draw(), draw());
        positive.column_mut(axis).mapv_inplace(|v| v + shift as f32);
        Pairs {
            positive,
            negative,
            prompt: (0..n).collect(),
            template: (0..n).map(|i| i % 3).collect(),
            is_dev: vec![false; n],
        }
    }

    fn cos(a: &Direction, b: &Direction) -> f64 {
        cosine(a.unit.mapv(f64::from).view(), b.unit.mapv(f64::from).view())
    }

    #[test]
    fn every_estimator_that_keeps_the_shift_finds_the_planted_axis() {
        let pairs = planted(80, 12, 6.0, 4, 1);
        for estimator in [
            Estimator::MeanDiff,
            Estimator::MedianDiff,
            Estimator::PcaPairs,
            Estimator::Logistic,
            Estimator::Lda,
        ] {
            let got = estimate(&pairs, estimator, 0).unwrap();
            assert!(got.unit[4] > 0.9, "{estimator}: {}", got.unit[4]);
            assert!((got.raw_norm - 6.0).abs() < 1.0, "{estimator}");
        }
        let lost = estimate(&pairs, Estimator::PcaDiffCentered, 0).unwrap();
        assert!(lost.unit[4].abs() < 0.9);
    }

    #[test]
    fn a_few_odd_pairs_turn_the_mean_and_not_the_median() {
        let mut pairs = planted(40, 8, 3.0, 2, 4);
        for i in 0..6 {
            pairs.positive[[i, 5]] += 60.0;
        }
        let mean = estimate(&pairs, Estimator::MeanDiff, 0).unwrap();
        let median = estimate(&pairs, Estimator::MedianDiff, 0).unwrap();
        assert!(mean.unit[2] < 0.4 && median.unit[2] > 0.9, "{} {}", mean.unit[2], median.unit[2]);
    }

    #[test]
    fn the_geometric_median_has_the_least_sum_of_distances() {
        // Of the corners of a triangle with an angle of 120 degrees or more, that corner.
        let x = ndarray::array![[0.0, 0.0], [4.0, 0.5], [-4.0, 0.5], [0.0, 0.0]];
        let got = geometric_median(&x, &x.mean_axis(Axis(0)).unwrap());
        assert!(got.dot(&got).sqrt() < 1e-6, "{got}");
        let x = planted(9, 5, 1.0, 0, 8).differences();
        let best = geometric_median(&x, &x.mean_axis(Axis(0)).unwrap());
        let sum = |at: &Array1<f64>| -> f64 {
            x.rows().into_iter().map(|r| (&r - at).dot(&(&r - at)).sqrt()).sum()
        };
        for i in 0..5 {
            for by in [-1e-3, 1e-3] {
                let mut other = best.clone();
                other[i] += by;
                assert!(sum(&other) > sum(&best));
            }
        }
    }

    #[test]
    fn lda_turns_away_from_a_noisy_dimension_that_misleads_the_mean() {
        let mut pairs = planted(200, 6, 2.0, 0, 5);
        for side in [&mut pairs.positive, &mut pairs.negative] {
            side.column_mut(1).mapv_inplace(|v| v * 20.0);
        }
        let mean = estimate(&pairs, Estimator::MeanDiff, 0).unwrap();
        let lda = estimate(&pairs, Estimator::Lda, 0).unwrap();
        assert!(lda.unit[1].abs() < 0.3 * mean.unit[1].abs());
    }

    #[test]
    fn random_is_the_same_for_a_seed_and_other_for_another() {
        let pairs = planted(5, 30, 1.0, 0, 2);
        let draw = |seed| estimate(&pairs, Estimator::Random, seed).unwrap();
        assert_eq!(draw(1), draw(1));
        assert!(cos(&draw(1), &draw(2)).abs() < 0.9);
    }

    #[test]
    fn equal_sides_and_bad_values_are_refused() {
        let mut pairs = planted(6, 4, 1.0, 0, 3);
        pairs.negative = pairs.positive.clone();
        assert!(matches!(
            estimate(&pairs, Estimator::MeanDiff, 0),
            Err(DirectionError::Zero { .. })
        ));
        pairs.negative[[2, 1]] = f32::NAN;
        assert_eq!(
            estimate(&pairs, Estimator::MeanDiff, 0),
            Err(DirectionError::NotFinite { side: "negative", pair: 2 })
        );
    }

    const DRAWS_NOTHING: [Estimator; 6] = [
        Estimator::MeanDiff,
        Estimator::MedianDiff,
        Estimator::PcaPairs,
        Estimator::PcaDiffCentered,
        Estimator::Logistic,
        Estimator::Lda,
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn the_first_component_is_the_one_of_the_full_decomposition(seed in 0u64..1000, d in 3usize..90) {
            let pairs = planted(20, d, 1.0, 0, seed);
            for x in [pairs.differences(), concatenate![Axis(0), pairs.differences(), -pairs.differences()]] {
                let centred = &x - &x.mean_axis(Axis(0)).unwrap();
                let svd = thin_svd(centred.view()).unwrap();
                let got = first_component(x).unwrap();
                let gap = 1.0 - svd.s[1] / svd.s[0];
                prop_assert!(cosine(got.view(), svd.vt.row(0)).abs() > 1.0 - 1e-5 / gap.max(1e-3));
            }
        }

        #[test]
        fn directions_do_not_depend_on_scale_or_on_the_order_of_pairs(seed in 0u64..1000, scale in 0.1f32..30.0) {
            let pairs = planted(30, 8, 2.0, 1, seed);
            let order: Vec<usize> = (0..30).rev().collect();
            let mut scaled = pairs.clone();
            scaled.positive *= scale;
            scaled.negative *= scale;
            for estimator in DRAWS_NOTHING {
                let one = estimate(&pairs, estimator, 0).unwrap();
                let turned = estimate(&pairs.select(&order), estimator, 0).unwrap();
                let grown = estimate(&scaled, estimator, 0).unwrap();
                prop_assert!(cos(&one, &grown) > 0.99999, "{} scale", estimator);
                prop_assert!(cos(&one, &turned) > 0.999999, "{} order", estimator);
                prop_assert!((grown.raw_norm / one.raw_norm / f64::from(scale) - 1.0).abs() < 0.01);
            }
        }

        #[test]
        fn swapping_the_labels_turns_the_direction_round(seed in 0u64..1000) {
            let pairs = planted(30, 8, 2.0, 1, seed);
            let mut swapped = pairs.clone();
            std::mem::swap(&mut swapped.positive, &mut swapped.negative);
            for estimator in DRAWS_NOTHING {
                let one = estimate(&pairs, estimator, 0).unwrap();
                let two = estimate(&swapped, estimator, 0).unwrap();
                prop_assert!(cos(&one, &two) < -0.999999, "{}", estimator);
            }
        }

        #[test]
        fn a_rotation_of_the_space_rotates_the_direction(seed in 0u64..1000) {
            let pairs = planted(30, 8, 2.0, 1, seed);
            let q = crate::stats::linalg::orthonormal_rows(planted(8, 8, 0.0, 0, seed + 7).differences().view())
                .mapv(|v| v as f32);
            let mut rotated = pairs.clone();
            rotated.positive = pairs.positive.dot(&q);
            rotated.negative = pairs.negative.dot(&q);
            for estimator in [Estimator::MeanDiff, Estimator::PcaPairs, Estimator::PcaDiffCentered, Estimator::Lda] {
                let mut one = estimate(&pairs, estimator, 0).unwrap();
                let two = estimate(&rotated, estimator, 0).unwrap();
                one.unit = one.unit.dot(&q);
                prop_assert!(cos(&one, &two) > 0.9999, "{}", estimator);
            }
        }
    }
}
