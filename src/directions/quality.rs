//! How good a direction is.
//!
//! Three numbers. Separation: AUROC on rows whose template *and* prompt were
//! left out of the estimate, averaged over folds, with an interval that
//! resamples the held-out scores by prompt. Reliability: the cosine of
//! directions from random halves of the prompts, stepped up to full length by
//! Spearman-Brown; for the difference in means the halves are sums of cluster
//! sums, so a split costs one small product instead of an estimate. Length:
//! relative to the layer's root mean square, because scale grows over depth.

use super::warning::{FEWEST_CLUSTERS, RELIABILITY_FLOOR};
use super::{estimate, DirectionError, Estimator, Pairs, Warning};
use crate::stats::bootstrap::{cluster_weights, Clusters};
use crate::stats::interval::{percentile, Interval};
use crate::stats::linalg::cosine;
use crate::stats::rank::SortedScores;
use crate::stats::rng::stream;
use ndarray::Array2;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

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
        QualityOptions {
            draws: 2000,
            splits: 100,
            level: 0.95,
            seed: 0,
        }
    }
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
) -> Result<Quality, DirectionError> {
    let direction = estimate(pairs, estimator, options.seed)?;
    let mut warnings = Vec::new();
    let n_prompts = Clusters::new(&pairs.prompt).count();
    let n_templates = Clusters::new(&pairs.template).count();
    if pairs.len() < pairs.width() {
        warnings.push(Warning::FewerPairsThanDimensions {
            n: pairs.len(),
            d: pairs.width(),
        });
    }
    if n_prompts < FEWEST_CLUSTERS {
        warnings.push(Warning::FewClusters { n: n_prompts });
    }
    if n_templates < 2 {
        warnings.push(Warning::SingleTemplate);
    }

    let reliability = reliability(pairs, estimator, options.splits, options.seed)?;
    if reliability.is_nan() || reliability < RELIABILITY_FLOOR {
        warnings.push(Warning::BelowNoiseFloor { reliability });
    }
    let (auroc_folds, auroc_interval) = held_out(pairs, estimator, options)?;
    let auroc = mean(&auroc_folds);
    if auroc_folds.is_empty() {
        warnings.push(Warning::NoHeldOutFold);
    } else if auroc_interval.lo <= 0.5 {
        warnings.push(Warning::NoSeparation {
            lo: auroc_interval.lo,
        });
    }
    Ok(Quality {
        auroc,
        auroc_interval,
        auroc_folds,
        reliability,
        relative_norm: direction.raw_norm / layer_rms,
        n_pairs: pairs.len(),
        n_prompts,
        n_templates,
        warnings,
    })
}

/// Split-half reliability over `splits` random halves of the prompts.
///
/// The mean cosine r of the halves becomes 2 r / (1 + r) (Spearman 1910, Brown
/// 1910); a mean that is not positive is given as it is. NaN below 2 prompts or
/// when no split can be estimated.
pub fn reliability(
    pairs: &Pairs,
    estimator: Estimator,
    splits: usize,
    seed: u64,
) -> Result<f64, DirectionError> {
    pairs.check()?;
    let clusters = Clusters::new(&pairs.prompt);
    let m = clusters.count();
    if m < 2 {
        return Ok(f64::NAN);
    }
    let gram = if estimator == Estimator::MeanDiff {
        cluster_gram(pairs, &clusters)
    } else {
        Array2::zeros((0, 0))
    };
    let cosines: Vec<f64> = (0..splits)
        .filter_map(|split| {
            let mut order: Vec<usize> = (0..m).collect();
            order.shuffle(&mut stream(seed, "reliability", split as u64));
            let mut first = vec![false; m];
            for &cluster in &order[..m / 2] {
                first[cluster] = true;
            }
            if estimator == Estimator::MeanDiff {
                return Some(half_cosine(&gram, &first));
            }
            let half = |want: bool| {
                let rows: Vec<usize> = (0..pairs.len())
                    .filter(|&i| first[clusters.of[i]] == want)
                    .collect();
                estimate(&pairs.select(&rows), estimator, seed)
            };
            let (a, b) = (half(true).ok()?, half(false).ok()?);
            let (a, b) = (a.unit.mapv(f64::from), b.unit.mapv(f64::from));
            Some(cosine(a.view(), b.view()))
        })
        .filter(|c| !c.is_nan())
        .collect();
    let r = mean(&cosines);
    Ok(if r > 0.0 { 2.0 * r / (1.0 + r) } else { r })
}

/// Inner products `(m, m)` of the prompts' sums of differences.
fn cluster_gram(pairs: &Pairs, clusters: &Clusters) -> Array2<f64> {
    let mut sums = Array2::<f64>::zeros((clusters.count(), pairs.width())); // (m, d)
    for (row, &cluster) in pairs.differences().rows().into_iter().zip(&clusters.of) {
        let mut sum = sums.row_mut(cluster);
        sum += &row;
    }
    sums.dot(&sums.t())
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

/// Rows to test on and rows to train on.
type Fold = (Vec<usize>, Vec<usize>);

/// Folds with the template left out, and the prompt too where prompts recur in
/// several templates (then each template is tested in two halves of prompts).
/// With one template, five folds of prompts.
fn folds(pairs: &Pairs) -> Vec<Fold> {
    let prompts = Clusters::new(&pairs.prompt);
    let templates = Clusters::new(&pairs.template);
    let n = pairs.len();
    let (parts, groups) = if templates.count() < 2 {
        (1, 5.min(prompts.count()))
    } else {
        let crossed: BTreeSet<(usize, usize)> = prompts
            .of
            .iter()
            .copied()
            .zip(templates.of.iter().copied())
            .collect();
        let recur = crossed.len() > prompts.count();
        (templates.count(), if recur { 2 } else { 1 })
    };
    let by_template = parts > 1;
    let mut out = Vec::new();
    for part in 0..parts {
        for group in 0..groups {
            let in_template = |i: usize| templates.of[i] == part;
            let in_group = |i: usize| prompts.of[i] % groups == group;
            let test: Vec<usize> = (0..n).filter(|&i| in_template(i) && in_group(i)).collect();
            let held: BTreeSet<usize> = test.iter().map(|&i| prompts.of[i]).collect();
            let train: Vec<usize> = (0..n)
                .filter(|&i| !(held.contains(&prompts.of[i]) || by_template && in_template(i)))
                .collect();
            if !test.is_empty() && train.len() >= 4 {
                out.push((test, train));
            }
        }
    }
    out
}

/// Held-out area of each fold and the interval of their mean.
fn held_out(
    pairs: &Pairs,
    estimator: Estimator,
    options: QualityOptions,
) -> Result<(Vec<f64>, Interval), DirectionError> {
    let mut scored = Vec::new();
    for (test, train) in folds(pairs) {
        let unit = match estimate(&pairs.select(&train), estimator, options.seed) {
            Ok(direction) => direction.unit,
            Err(DirectionError::Zero { .. } | DirectionError::TooFewPairs { .. }) => continue,
            Err(error) => return Err(error),
        };
        let project = |side: &Array2<f32>| -> Vec<f64> {
            test.iter()
                .map(|&i| f64::from(side.row(i).dot(&unit)))
                .collect()
        };
        let scores = SortedScores::new(&project(&pairs.positive), &project(&pairs.negative));
        scored.push((test, scores));
    }
    let areas = |weight: &dyn Fn(usize) -> f64| -> Vec<f64> {
        scored
            .iter()
            .map(|(test, scores)| {
                let w: Vec<f64> = test.iter().map(|&i| weight(i)).collect();
                scores.weighted(&w, &w)
            })
            .filter(|a| !a.is_nan())
            .collect()
    };
    let weights = cluster_weights(&pairs.prompt, options.draws, options.seed, "auroc"); // (draws, n)
    let mut draws: Vec<f64> = weights
        .rows()
        .into_iter()
        .map(|row| mean(&areas(&|i| f64::from(row[i]))))
        .collect();
    Ok((areas(&|_| 1.0), percentile(&mut draws, options.level)))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64 // NaN when empty
}

#[cfg(test)]
mod tests {
    use super::super::estimate::tests::planted;
    use super::*;

    fn quick() -> QualityOptions {
        QualityOptions {
            draws: 200,
            ..QualityOptions::default()
        }
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
        assert!(kinds
            .iter()
            .any(|w| matches!(w, Warning::BelowNoiseFloor { .. })));
        assert!(kinds
            .iter()
            .any(|w| matches!(w, Warning::NoSeparation { .. })));
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
    fn no_fold_shares_a_prompt_or_a_template_with_its_training_rows() {
        let mut pairs = planted(36, 4, 1.0, 0, 5);
        pairs.prompt = (0..36).map(|i| i / 3).collect(); // each prompt in all three templates
        let folds = folds(&pairs);
        assert_eq!(folds.len(), 6);
        let mut tested: Vec<usize> = folds.iter().flat_map(|f| f.0.clone()).collect();
        tested.sort_unstable();
        assert_eq!(tested, (0..36).collect::<Vec<_>>());
        for (test, train) in folds {
            for &t in &test {
                assert!(train.iter().all(|&i| pairs.prompt[i] != pairs.prompt[t]
                    && pairs.template[i] != pairs.template[t]));
            }
        }
    }

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
                    let rows: Vec<usize> = (0..40)
                        .filter(|&i| part.contains(&clusters.of[i]))
                        .collect();
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
        assert!(
            (predicted - observed).abs() < 0.05,
            "{predicted} {observed}"
        );
    }
}
