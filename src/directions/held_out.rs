//! Separation on rows that an estimate has not seen.
//!
//! A fold leaves out a template and its prompts; the direction comes from the
//! other rows and scores the fold's. The area under the curve is averaged over
//! folds, so that a template's own offset cannot help or hurt, and its interval
//! resamples the held-out scores by prompt (the directions stay as they are).
//! The direction may come from one reading of the pairs and the rows from another
//! ([`carried`]): base carried into a fine-tuned state, or one token position
//! scored at another. The same prompts stay held out.

use super::error::{same_width, Result};
use super::{
    estimate, Covariance, Direction, DirectionError, Eraser, Estimator, Pairs, QualityOptions,
};
use crate::stats::area::of_no_spread;
use crate::stats::bootstrap::{cluster_weights, Clusters};
use crate::stats::interval::{percentile, Interval};
use crate::stats::moments::{mean, squares};
use crate::stats::rank::SortedScores;
use ndarray::{Array1, Array2};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Sides this much closer than those of another reading differ by rounding alone, such as
/// at a token before the words that differ.
const ROUNDING: f64 = 1e-4;

/// Rows to test on and rows to train on.
pub(super) type Fold = (Vec<usize>, Vec<usize>);

/// Folds with the template left out, and the prompt too where prompts recur in
/// several templates (then each template is tested in two halves of prompts).
/// With one template, five folds of prompts.
pub(super) fn folds(prompt: &[usize], template: &[usize]) -> Vec<Fold> {
    let prompts = Clusters::new(prompt);
    let templates = Clusters::new(template);
    let n = prompt.len();
    let (parts, groups) = if templates.count() < 2 {
        (1, 5.min(prompts.count()))
    } else {
        let crossed: BTreeSet<(usize, usize)> =
            prompts.of.iter().copied().zip(templates.of.iter().copied()).collect();
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
            let out_of = |i: usize| held.contains(&prompts.of[i]) || by_template && in_template(i);
            let train: Vec<usize> = (0..n).filter(|&i| !out_of(i)).collect();
            if !test.is_empty() && train.len() >= 4 {
                out.push((test, train));
            }
        }
    }
    out
}

/// A fold's rows and the direction from the rest.
pub(super) struct Held {
    pub test: Vec<usize>,
    /// Unit vector `(d)`.
    pub unit: Array1<f64>,
}

/// The directions of all folds; one that its rows cannot give is left out.
pub(super) fn held(pairs: &Pairs, estimator: Estimator, seed: u64) -> Result<Vec<Held>> {
    let mut out = Vec::new();
    for (test, train) in folds(&pairs.prompt, &pairs.template) {
        match estimate(&pairs.select(&train), estimator, seed) {
            Ok(Direction { unit, .. }) => out.push(Held { test, unit: unit.mapv(f64::from) }),
            Err(DirectionError::Zero { .. } | DirectionError::TooFewPairs { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(out)
}

/// How well held-out rows are told apart.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Areas {
    /// Mean over folds; NaN without a fold.
    pub auroc: f64,
    pub folds: Vec<f64>,
    /// Of each bootstrap draw, the same prompts in the same draw whoever scores them.
    pub draws: Vec<f64>,
    /// Over prompts; undefined with no draws.
    pub interval: Interval,
    /// Distance between the sides' held-out means in their common deviation; it
    /// goes on growing where the area has reached 1.
    pub separation: f64,
}

/// Scores the rows of `pairs` with the folds' directions.
pub(super) fn areas(pairs: &Pairs, held: &[Held], options: QualityOptions) -> Areas {
    let mut scored = Vec::new();
    let (mut gap, mut spread, mut rows) = (0.0, 0.0, 0.0);
    for Held { test, unit } in held {
        let project = |side: &Array2<f32>| -> Vec<f64> {
            let along = |&i: &usize| side.row(i).mapv(f64::from).dot(unit);
            test.iter().map(along).collect()
        };
        let (positive, negative) = (project(&pairs.positive), project(&pairs.negative));
        let n = test.len() as f64;
        gap += n * (mean(&positive) - mean(&negative));
        spread += n * (variance(&positive) + variance(&negative)) / 2.0;
        rows += n;
        scored.push((test, SortedScores::new(&positive, &negative)));
    }
    let of = |weight: &dyn Fn(usize) -> f64| -> Vec<f64> {
        let area = |(test, scores): &(&Vec<usize>, SortedScores)| {
            let w: Vec<f64> = test.iter().map(|&i| weight(i)).collect();
            scores.weighted(&w, &w)
        };
        scored.iter().map(area).filter(|a| !a.is_nan()).collect()
    };
    let weights = cluster_weights(&pairs.prompt, options.draws, options.seed, "auroc"); // (draws, n)
    let draws: Vec<f64> =
        weights.rows().into_iter().map(|row| mean(&of(&|i| f64::from(row[i])))).collect();
    let folds = of(&|_| 1.0);
    let (auroc, drawn) = (mean(&folds), percentile(&mut draws.clone(), options.level));
    // Draws of rows that are all told apart are all 1, however few the prompts.
    let interval = match drawn.width() == 0.0 {
        true => of_no_spread(auroc, Clusters::new(&pairs.prompt).count(), options.level),
        false => drawn,
    };
    Areas { auroc, interval, draws, folds, separation: gap / (spread * rows).sqrt() }
}

/// A direction that was estimated on one reading and scores another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Carried {
    /// Cosine between the directions of the two readings.
    pub cosine: f64,
    /// Held-out AUROC on the second reading, mean over folds; NaN without a fold.
    pub auroc: f64,
    /// Its interval over prompts.
    pub interval: Interval,
}

/// Carries the direction of `from` to `to`, the same pairs read in another state or
/// at another position: its held-out AUROC there, and the cosine with the direction
/// that `to` gives by itself (NaN where it gives none, or one of mere rounding).
///
/// A fold's direction is estimated on the other templates' rows of `from` and scores
/// the fold's rows of `to`. Errors when the two do not hold the same pairs, and as
/// [`estimate`] does on `from`.
pub fn carried(
    from: &Pairs,
    to: &Pairs,
    estimator: Estimator,
    options: QualityOptions,
) -> Result<Carried> {
    to.check()?;
    same_width(from.width(), to.width())?;
    let same = [("prompt", from.prompt == to.prompt), ("template", from.template == to.template)];
    if let Some((field, _)) = same.into_iter().find(|(_, same)| !same) {
        return Err(DirectionError::NotTheSamePairs { field });
    }
    let one = estimate(from, estimator, options.seed)?;
    let length = |pairs: &Pairs| {
        let mean = pairs.mean_difference();
        mean.dot(&mean).sqrt()
    };
    let cosine = match estimate(to, estimator, options.seed) {
        Ok(_) if length(to) < ROUNDING * length(from) => f64::NAN,
        Ok(two) => one.cosine(&two),
        Err(DirectionError::Zero { .. } | DirectionError::Pca { .. }) => f64::NAN,
        Err(error) => return Err(error),
    };
    let areas = areas(to, &held(from, estimator, options.seed)?, options);
    Ok(Carried { cosine, auroc: areas.auroc, interval: areas.interval })
}

/// What an eraser leaves on rows that it has not seen: the held-out AUROC along the
/// difference in means, with its interval over prompts; one half where nothing is left.
///
/// A fold's eraser and direction come from the other templates' rows. Errors as
/// [`Eraser::of_pairs`] does.
pub fn left_by_eraser(
    pairs: &Pairs,
    covariance: Covariance,
    options: QualityOptions,
) -> Result<(f64, Interval)> {
    let mut erased = Vec::new();
    for (test, train) in folds(&pairs.prompt, &pairs.template) {
        let train = pairs.select(&train);
        let mean = train.mean_difference();
        let eraser = Eraser::of_pairs(&train, covariance)?;
        // Along u the erased row scores (u - right' left' u) x and a constant.
        let unit = &mean - &eraser.right.t().dot(&eraser.left.t().dot(&mean));
        erased.push(Held { test, unit });
    }
    let areas = areas(pairs, &erased, options);
    Ok((areas.auroc, areas.interval))
}

/// About the mean, divided by n.
fn variance(values: &[f64]) -> f64 {
    squares(values) / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::super::estimate::tests::planted;
    use super::*;

    fn quick() -> QualityOptions {
        QualityOptions { draws: 200, ..QualityOptions::default() }
    }

    #[test]
    fn no_fold_shares_a_prompt_or_a_template_with_its_training_rows() {
        let mut pairs = planted(36, 4, 1.0, 0, 5);
        pairs.prompt = (0..36).map(|i| i / 3).collect(); // each prompt in all three templates
        let folds = folds(&pairs.prompt, &pairs.template);
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
    fn separation_is_the_planted_distance_in_deviations() {
        let pairs = planted(400, 5, 3.0, 2, 8);
        let areas = areas(&pairs, &held(&pairs, Estimator::MeanDiff, 0).unwrap(), quick());
        assert!((areas.separation - 3.0).abs() < 0.2, "{}", areas.separation);
        assert!(areas.interval.lo < areas.auroc && areas.auroc < areas.interval.hi);
    }

    #[test]
    fn a_direction_is_carried_as_far_as_the_second_reading_keeps_it() {
        let from = planted(60, 10, 4.0, 3, 1);
        let same = carried(&from, &from, Estimator::MeanDiff, quick()).unwrap();
        assert!((same.cosine - 1.0).abs() < 1e-6 && same.auroc > 0.95);
        let turned = Pairs {
            positive: from.negative.clone(),
            negative: from.positive.clone(),
            ..from.clone()
        };
        let back = carried(&from, &turned, Estimator::MeanDiff, quick()).unwrap();
        assert!((back.cosine + 1.0).abs() < 1e-6);
        assert!((back.auroc + same.auroc - 1.0).abs() < 1e-12);
        let other = planted(60, 10, 4.0, 7, 2);
        let lost = carried(&from, &other, Estimator::MeanDiff, quick()).unwrap();
        assert!(lost.cosine.abs() < 0.4 && lost.interval.contains(0.5));
    }

    #[test]
    fn a_reading_without_a_difference_separates_exactly_at_chance() {
        let from = planted(30, 6, 3.0, 0, 4);
        let still = Pairs { negative: from.positive.clone(), ..from.clone() };
        let got = carried(&from, &still, Estimator::MeanDiff, quick()).unwrap();
        assert_eq!(got.auroc, 0.5);
        assert!(got.cosine.is_nan());
        let mut rounded = still.clone();
        rounded.negative.mapv_inplace(|v| v * (1.0 + 1e-6));
        let got = carried(&from, &rounded, Estimator::MeanDiff, quick()).unwrap();
        assert!(got.cosine.is_nan());
    }

    #[test]
    fn an_eraser_leaves_little_on_rows_that_it_has_not_seen() {
        let pairs = planted(90, 6, 3.0, 2, 5);
        let whole = carried(&pairs, &pairs, Estimator::MeanDiff, quick()).unwrap();
        assert!(whole.auroc > 0.95);
        for covariance in [Covariance::Sample, Covariance::Shrunk] {
            let (auroc, interval) = left_by_eraser(&pairs, covariance, quick()).unwrap();
            assert!(interval.contains(0.5), "{covariance:?}: {auroc} {interval:?}");
        }
    }

    #[test]
    fn readings_of_different_pairs_are_refused() {
        let from = planted(30, 6, 3.0, 0, 4);
        let mut other = from.clone();
        other.prompt.swap(0, 1);
        assert_eq!(
            carried(&from, &other, Estimator::MeanDiff, quick()),
            Err(DirectionError::NotTheSamePairs { field: "prompt" })
        );
    }
}
