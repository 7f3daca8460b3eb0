//! Split-half reliability.
//!
//! The prompts are split at random in halves, a direction is estimated on each,
//! and the cosine between the two, averaged over splits, is stepped up to the
//! full number of prompts (Spearman 1910, Brown 1910): 2 r / (1 + r). For the
//! difference in means a half is a sum of prompts' sums, so a split costs one
//! pass over a small matrix of inner products instead of an estimate. The penalty
//! of the logistic regression is chosen once, on all pairs, and halved with the
//! rows, since it stands against a sum over rows.

use super::estimate::estimate_at;
use super::{logistic, Estimator, Pairs, Result};
use crate::stats::bootstrap::Clusters;
use crate::stats::linalg::cosine;
use crate::stats::moments::mean;
use crate::stats::rng::stream;
use ndarray::{Array1, Array2};
use rand::seq::SliceRandom;

/// Split-half reliability over `splits` random halves of the prompts.
///
/// A mean cosine that is not positive is given as it is. NaN below 2 prompts or
/// when no split can be estimated. `random` draws anew for each half, so that its
/// reliability is that of chance.
pub fn reliability(pairs: &Pairs, estimator: Estimator, splits: usize, seed: u64) -> Result<f64> {
    Ok(reliabilities(pairs, estimator, splits, seed, None)?.0)
}

/// Reliability of the direction, and of the direction without its part in the span
/// of the orthonormal rows of `nuisances (k, d)`; the splits are the same.
pub(super) fn reliabilities(
    pairs: &Pairs,
    estimator: Estimator,
    splits: usize,
    seed: u64,
    nuisances: Option<&Array2<f64>>,
) -> Result<(f64, f64)> {
    pairs.check()?;
    let clusters = Clusters::new(&pairs.prompt);
    let m = clusters.count();
    if m < 2 {
        return Ok((f64::NAN, f64::NAN));
    }
    let halves = (0..splits).map(|split| {
        let mut order: Vec<usize> = (0..m).collect();
        order.shuffle(&mut stream(seed, "reliability", split as u64));
        let mut first = vec![false; m];
        for &cluster in &order[..m / 2] {
            first[cluster] = true;
        }
        first
    });
    let clean = |v: &Array1<f64>| nuisances.map(|n| v - &n.t().dot(&n.dot(v)));
    let (mut raw, mut cleaned) = (Vec::new(), Vec::new());
    if estimator == Estimator::MeanDiff {
        let sums = clusters.sums(pairs.differences().view()); // (m, d)
        let gram = sums.dot(&sums.t());
        let cleaned_gram = nuisances.map(|n| {
            let rest = &sums - &sums.dot(&n.t()).dot(n);
            rest.dot(&rest.t())
        });
        for first in halves {
            raw.push(half_cosine(&gram, &first));
            cleaned.extend(cleaned_gram.as_ref().map(|g| half_cosine(g, &first)));
        }
    } else {
        let alpha = match estimator {
            Estimator::Logistic if pairs.len() >= 4 => {
                Some(logistic::fit_cross_validated(pairs)?.alpha / 2.0)
            }
            _ => None,
        };
        for (split, first) in halves.enumerate() {
            let half = |want: bool| {
                let rows: Vec<usize> =
                    (0..pairs.len()).filter(|&i| first[clusters.of[i]] == want).collect();
                let seed = match estimator {
                    Estimator::Random => seed.wrapping_add(1 + 2 * split as u64 + u64::from(want)),
                    _ => seed,
                };
                estimate_at(&pairs.select(&rows), estimator, seed, alpha)
            };
            let (Ok(a), Ok(b)) = (half(true), half(false)) else { continue };
            let (a, b) = (a.unit.mapv(f64::from), b.unit.mapv(f64::from));
            raw.push(cosine(a.view(), b.view()));
            if let (Some(a), Some(b)) = (clean(&a), clean(&b)) {
                cleaned.push(cosine(a.view(), b.view()));
            }
        }
    }
    Ok((stepped_up(raw), stepped_up(cleaned)))
}

/// Spearman-Brown from the cosines of halves.
pub(super) fn stepped_up(mut cosines: Vec<f64>) -> f64 {
    cosines.retain(|c| !c.is_nan());
    let r = mean(&cosines);
    if r > 0.0 {
        2.0 * r / (1.0 + r)
    } else {
        r
    }
}

/// Cosine between the sums of the two halves, from inner products alone.
fn half_cosine(gram: &Array2<f64>, first: &[bool]) -> f64 {
    let (mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0);
    for ((i, j), &value) in gram.indexed_iter() {
        match (first[i], first[j]) {
            (true, true) => aa += value,
            (false, false) => bb += value,
            (true, false) => ab += value,
            (false, true) => {}
        }
    }
    ab / (aa * bb).sqrt()
}

#[cfg(test)]
mod tests {
    use super::super::estimate::tests::planted;
    use super::*;

    #[test]
    fn closed_form_reliability_is_the_one_from_estimated_halves() {
        let mut pairs = planted(40, 15, 1.5, 2, 6);
        pairs.prompt = (0..40).map(|i| i / 2).collect();
        let quick = reliability(&pairs, Estimator::MeanDiff, 30, 3).unwrap();
        let clusters = Clusters::new(&pairs.prompt);
        let slow: Vec<f64> = (0..30)
            .map(|split| {
                let mut order: Vec<usize> = (0..20).collect();
                order.shuffle(&mut stream(3, "reliability", split));
                let half = |part: &[usize]| {
                    let rows: Vec<usize> =
                        (0..40).filter(|&i| part.contains(&clusters.of[i])).collect();
                    pairs.select(&rows).mean_difference()
                };
                cosine(half(&order[..10]).view(), half(&order[10..]).view())
            })
            .collect();
        let r = mean(&slow);
        assert!((quick - 2.0 * r / (1.0 + r)).abs() < 1e-9);
    }

    #[test]
    fn reliability_predicts_agreement_with_a_second_data_set() {
        // Spearman-Brown steps the halves up to the cosine of two full estimates.
        let mean_of = |f: &dyn Fn(u64) -> f64| (0..200).map(f).sum::<f64>() / 200.0;
        let predicted = mean_of(&|seed| {
            reliability(&planted(40, 50, 1.5, 0, seed), Estimator::MeanDiff, 100, 0).unwrap()
        });
        let observed = mean_of(&|seed| {
            let one = planted(40, 50, 1.5, 0, 2 * seed + 1000).mean_difference();
            let two = planted(40, 50, 1.5, 0, 2 * seed + 1001).mean_difference();
            cosine(one.view(), two.view())
        });
        assert!((predicted - observed).abs() < 0.05, "{predicted} {observed}");
    }

    #[test]
    fn a_clear_difference_is_reliable_by_every_estimator_that_keeps_it() {
        // Overlapping sides: where a plane separates them, logistic is free to tilt it.
        let pairs = planted(200, 6, 2.5, 2, 3);
        for estimator in
            [Estimator::MeanDiff, Estimator::PcaPairs, Estimator::Logistic, Estimator::Lda]
        {
            let r = reliability(&pairs, estimator, 20, 1).unwrap();
            assert!(r > 0.9, "{estimator}: {r}");
        }
        let chance = reliability(&pairs, Estimator::Random, 100, 1).unwrap();
        assert!(chance.abs() < 0.2, "{chance}");
    }

    #[test]
    fn what_is_cleaned_away_carries_no_reliability() {
        // All of the signal lies along axis 2, which is taken for a nuisance.
        let pairs = planted(60, 12, 6.0, 2, 3);
        let mut axis = Array2::zeros((1, 12));
        axis[[0, 2]] = 1.0;
        for estimator in [Estimator::MeanDiff, Estimator::Lda] {
            let (raw, cleaned) = reliabilities(&pairs, estimator, 50, 1, Some(&axis)).unwrap();
            assert!(raw > 0.9 && cleaned < 0.5, "{estimator}: {raw} {cleaned}");
        }
    }

    #[test]
    fn halves_step_up_and_a_negative_mean_is_left_alone() {
        assert!((stepped_up(vec![0.5, f64::NAN, 0.5]) - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(stepped_up(vec![-0.2]), -0.2);
        assert!(stepped_up(vec![]).is_nan());
    }
}
