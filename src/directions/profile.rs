//! A direction with all that it must carry.
//!
//! The direction is estimated and judged; its cosine with each nuisance direction
//! (polarity, sentiment, surprisal, ...) is given; and the same is done for its
//! cleaned version, from which the span of the nuisances is projected out. The
//! cleaned version is cleaned in every fold and half too, so that its AUROC and
//! reliability are those of a cleaned estimate. The nuisances themselves come from
//! other texts and stay as they are.

use super::algebra::stack;
use super::held_out::{areas, held, Areas, Held};
use super::reliability::reliabilities;
use super::warning::{FEWEST_CLUSTERS, RELIABILITY_FLOOR};
use super::{
    clean, estimate, nuisance_cosines, Beyond, Direction, DirectionError, Estimator, Lexical,
    Pairs, Quality, QualityOptions, Result, Warning,
};
use crate::stats::bootstrap::Clusters;
use crate::stats::interval::{percentile, Interval};
use crate::stats::linalg::orthonormal_rows;
use ndarray::Array2;

/// A direction at one layer, its quality, and the same without the nuisances.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// The direction from all pairs.
    pub direction: Direction,
    /// Its quality, closeness to a nuisance among the warnings.
    pub quality: Quality,
    /// Cosine with each nuisance, in the order given.
    pub nuisance_cosines: Vec<f64>,
    /// The cleaned version; none without nuisances, or when they take all of it.
    pub cleaned: Option<Cleaned>,
}

/// A direction without its part in the span of the nuisances.
#[derive(Debug, Clone, PartialEq)]
pub struct Cleaned {
    /// Its `raw_norm` is the length that was left.
    pub direction: Direction,
    /// Quality of the cleaned estimate.
    pub quality: Quality,
}

/// Estimates a direction from `pairs` and judges it, raw and cleaned of `nuisances`,
/// which come with their names.
///
/// `layer_rms` is the layer's root mean square activation in the units of the pairs,
/// `lexical` the baselines of the same pairs. Errors as [`estimate`] does, and when a
/// nuisance has another width.
pub fn profile(
    pairs: &Pairs,
    estimator: Estimator,
    nuisances: &[(&str, &Direction)],
    layer_rms: f64,
    lexical: Option<&[Lexical; 2]>,
    options: QualityOptions,
) -> Result<Profile> {
    let direction = estimate(pairs, estimator, options.seed)?;
    let (nuisance_cosines, close) = nuisance_cosines(&direction, nuisances)?;
    let all: Vec<Direction> = nuisances.iter().map(|(_, n)| (*n).clone()).collect();
    let span = || orthonormal_rows(stack(&all, pairs.width()).view()); // (k, d)
    let basis = (!all.is_empty()).then(span);
    let (raw, rest) =
        reliabilities(pairs, estimator, options.splits, options.seed, basis.as_ref())?;
    let folds = held(pairs, estimator, options.seed)?;
    let relative = |d: &Direction| d.raw_norm / layer_rms;
    let scored = areas(pairs, &folds, options);
    let against = |scored: &Areas| {
        [0, 1].map(|i| beyond(scored, lexical.map(|both| &both[i]), options.level))
    };
    let mut quality = judged(pairs, &scored, raw, relative(&direction), against(&scored));
    quality.warnings.extend(close);
    let mut cleaned = None;
    if let Some(basis) = basis {
        match clean(&direction, &all) {
            Ok(left) => {
                let scored = areas(pairs, &cleaned_folds(folds, &basis), options);
                let quality = judged(pairs, &scored, rest, relative(&left), against(&scored));
                cleaned = Some(Cleaned { quality, direction: left });
            }
            Err(DirectionError::Zero { .. }) => quality.warnings.push(Warning::AllNuisance),
            Err(error) => return Err(error),
        }
    }
    Ok(Profile { direction, quality, nuisance_cosines, cleaned })
}

/// The folds' directions without their part in the span of the rows of `basis (k, d)`.
fn cleaned_folds(folds: Vec<Held>, basis: &Array2<f64>) -> Vec<Held> {
    let clean = |Held { test, unit }| {
        let rest = &unit - &basis.t().dot(&basis.dot(&unit));
        let length = rest.dot(&rest).sqrt();
        Held { test, unit: rest / length }
    };
    folds.into_iter().map(clean).collect()
}

/// The area beyond that of a bag of words; none where a fold gave no direction.
fn beyond(scored: &Areas, lexical: Option<&Lexical>, level: f64) -> Beyond {
    let words = lexical.map_or(f64::NAN, |l| l.auroc);
    match lexical {
        Some(l) if l.folds == scored.folds.len() => {
            let each = scored.draws.iter().zip(&l.draws);
            let mut draws = each.map(|(direction, words)| direction - words).collect();
            let interval = percentile(&mut draws, level);
            Beyond { words, gain: scored.auroc - words, interval }
        }
        _ => Beyond { words, gain: f64::NAN, interval: Interval::UNDEFINED },
    }
}

/// Puts the numbers together and says what is doubtful about them.
fn judged(
    pairs: &Pairs,
    scored: &Areas,
    reliability: f64,
    relative_norm: f64,
    [lexical, lexical_bigram]: [Beyond; 2],
) -> Quality {
    let mut warnings = Vec::new();
    let n_prompts = Clusters::new(&pairs.prompt).count();
    let n_templates = Clusters::new(&pairs.template).count();
    if pairs.len() < pairs.width() {
        warnings.push(Warning::FewerPairsThanDimensions { n: pairs.len(), d: pairs.width() });
    }
    if n_prompts < FEWEST_CLUSTERS {
        warnings.push(Warning::FewClusters { n: n_prompts });
    }
    if n_templates < 2 {
        warnings.push(Warning::SingleTemplate);
    }
    if reliability.is_nan() || reliability < RELIABILITY_FLOOR {
        warnings.push(Warning::BelowNoiseFloor { reliability });
    }
    let interval = scored.interval;
    if scored.folds.is_empty() {
        warnings.push(Warning::NoHeldOutFold);
    } else if interval.lo <= 0.5 {
        warnings.push(Warning::NoSeparation { lo: interval.lo });
    }
    Quality {
        auroc: scored.auroc,
        auroc_interval: interval,
        auroc_folds: scored.folds.clone(),
        lexical,
        lexical_bigram,
        reliability,
        relative_norm,
        n_pairs: pairs.len(),
        n_prompts,
        n_templates,
        warnings,
    }
}

#[cfg(test)]
mod tests {
    use super::super::algebra::from_vector;
    use super::super::estimate::tests::planted;
    use super::*;
    use ndarray::Array1;

    fn quick() -> QualityOptions {
        QualityOptions { draws: 200, splits: 40, ..QualityOptions::default() }
    }

    fn axis(d: usize, i: usize) -> Direction {
        let mut v = Array1::zeros(d);
        v[i] = 1.0;
        from_vector(v, "test").unwrap()
    }

    #[test]
    fn a_direction_that_is_half_nuisance_keeps_its_other_half() {
        let mut pairs = planted(80, 12, 4.0, 2, 1);
        pairs.positive.column_mut(5).mapv_inplace(|v| v + 4.0);
        let nuisance = axis(12, 5);
        for estimator in [Estimator::MeanDiff, Estimator::Lda] {
            let got = profile(&pairs, estimator, &[("x", &nuisance)], 2.0, None, quick()).unwrap();
            assert!((got.nuisance_cosines[0] - 0.5f64.sqrt()).abs() < 0.15);
            let near = |w: &Warning| matches!(w, Warning::NearNuisance { .. });
            assert!(got.quality.warnings.iter().any(near));
            let cleaned = got.cleaned.unwrap();
            assert!(cleaned.direction.unit[5].abs() < 1e-6);
            assert!(cleaned.direction.unit[2] > 0.9, "{estimator}");
            assert!(cleaned.quality.auroc > 0.9 && cleaned.quality.reliability > 0.8);
            let share = cleaned.quality.relative_norm / got.quality.relative_norm;
            assert!((share - 0.5f64.sqrt()).abs() < 0.15, "{share}");
        }
    }

    #[test]
    fn a_direction_that_is_all_nuisance_does_not_separate_once_cleaned() {
        let pairs = planted(80, 12, 5.0, 2, 1);
        let nuisance = axis(12, 2);
        let got =
            profile(&pairs, Estimator::MeanDiff, &[("x", &nuisance)], 1.0, None, quick()).unwrap();
        assert!(got.quality.auroc > 0.95);
        assert!(got.cleaned.unwrap().quality.auroc_interval.contains(0.5));
        let exact = planted(20, 1, 5.0, 0, 1); // one dimension: nothing else is left
        let got = profile(&exact, Estimator::MeanDiff, &[("x", &axis(1, 0))], 1.0, None, quick())
            .unwrap();
        assert!(got.cleaned.is_none());
        assert!(got.quality.warnings.contains(&Warning::AllNuisance));
    }

    #[test]
    fn cleaning_by_what_is_orthogonal_changes_nothing() {
        let pairs = planted(60, 10, 4.0, 2, 7);
        let direction = estimate(&pairs, Estimator::MeanDiff, 0).unwrap();
        let other = clean(&axis(10, 4), std::slice::from_ref(&direction)).unwrap();
        let got =
            profile(&pairs, Estimator::MeanDiff, &[("x", &other)], 1.0, None, quick()).unwrap();
        let cleaned = got.cleaned.unwrap();
        assert!((cleaned.direction.raw_norm / direction.raw_norm - 1.0).abs() < 1e-5);
        assert!((cleaned.quality.auroc - got.quality.auroc).abs() < 0.02);
    }
}
