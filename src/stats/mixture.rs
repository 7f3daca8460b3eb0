//! One hump or two? A mixture of two Gaussians against one, by BIC.
//!
//! The mixture is fitted by linfa-clustering on standardised values: EM from
//! k-means and from several random starts, of which the likeliest end counts. Its
//! own draws have a fixed seed, so a start is made another by the order of the
//! values. The likelihoods are computed here. BIC = k ln n - 2 ln L with k = 2 for one Gaussian and 5 for two (Schwarz
//! 1978); positive evidence means that two describe the values better, and above
//! 10 it counts as very strong (Kass and Raftery 1995). A skewed single hump also
//! prefers two Gaussians, so Ashman's D, the distance of the two means in their
//! spread, is beside it: below 2 the humps are not apart (Ashman et al. 1994).

use super::error::{enough, finite, Result};
use super::moments::{mean, squares};
use super::rng::stream;
use super::StatsError;
use linfa::traits::Fit;
use linfa::DatasetBase;
use linfa_clustering::{GaussianMixtureModel, GmmInitMethod};
use ndarray::{Array1, Array2};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

/// Least variance of a component in units of the whole variance, against spikes on one value.
const LEAST_VARIANCE: f64 = 1e-3;
/// EM stops when the mean log-likelihood gains less.
const TOLERANCE: f64 = 1e-8;
/// EM steps at most.
const STEPS: u64 = 10_000;
/// Random starts beside k-means.
const STARTS: u64 = 6;

/// Comparison of two Gaussians with one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bimodality {
    /// BIC of one Gaussian.
    pub bic_one: f64,
    /// BIC of two; NaN where EM found no two components.
    pub bic_two: f64,
    /// `bic_one - bic_two`: evidence for two.
    pub evidence: f64,
    /// Ashman's D of the two components.
    pub distance: f64,
    /// Share of the smaller component.
    pub smaller: f64,
    /// Means of the components, ascending, in the units of the values.
    pub means: [f64; 2],
    /// Values.
    pub n: usize,
}

/// Fits one and two Gaussians to `values`.
///
/// Errors below 8 values, on values that are not finite and when all are equal.
pub fn bimodality(values: &[f64]) -> Result<Bimodality> {
    let n = values.len();
    enough("a mixture of two Gaussians", 8, "values", n)?;
    finite("the values of a mixture", values)?;
    let nf = n as f64;
    let (mean, variance) = (mean(values), squares(values) / nf);
    if variance <= 0.0 {
        return Err(StatsError::NotPositiveDefinite { size: 1, pivot: 0 });
    }
    let scale = variance.sqrt();
    let unit: Array1<f64> = values.iter().map(|v| (v - mean) / scale).collect();
    // Both likelihoods are of the standardised values, so that the difference has no units.
    let one = [Component { weight: 1.0, mean: 0.0, variance: 1.0 }];
    let bic = |k: f64, log_likelihood: f64| k * nf.ln() - 2.0 * log_likelihood;
    let shift = 2.0 * nf * scale.ln(); // back to the units of the values
    let bic_one = bic(2.0, log_likelihood(&unit, &one)) + shift;
    let nothing = Component { weight: f64::NAN, mean: f64::NAN, variance: f64::NAN };
    let two = fit_two(&unit).unwrap_or([nothing; 2]);
    let bic_two = bic(5.0, log_likelihood(&unit, &two)) + shift;
    let spread = ((two[0].variance + two[1].variance) / 2.0).sqrt();
    Ok(Bimodality {
        bic_one,
        bic_two,
        evidence: bic_one - bic_two,
        distance: (two[1].mean - two[0].mean) / spread,
        smaller: two[0].weight.min(two[1].weight),
        means: [mean + scale * two[0].mean, mean + scale * two[1].mean],
        n,
    })
}

#[derive(Clone, Copy)]
struct Component {
    weight: f64,
    mean: f64,
    variance: f64,
}

/// The likelier of several fits; components in order of their means.
fn fit_two(unit: &Array1<f64>) -> Option<[Component; 2]> {
    let mut order: Vec<f64> = unit.to_vec();
    let mut fits: Vec<_> = fit_from(&order, GmmInitMethod::KMeans).into_iter().collect();
    for start in 0..STARTS {
        order.shuffle(&mut stream(0, "mixture", start));
        fits.extend(fit_from(&order, GmmInitMethod::Random));
    }
    fits.into_iter().max_by(|a, b| log_likelihood(unit, a).total_cmp(&log_likelihood(unit, b)))
}

/// One EM run; none where it finds no two components.
fn fit_from(values: &[f64], start: GmmInitMethod) -> Option<[Component; 2]> {
    let rows = Array2::from_shape_fn((values.len(), 1), |(i, _)| values[i]);
    let fitted = GaussianMixtureModel::params(2)
        .init_method(start)
        .tolerance(TOLERANCE)
        .max_n_iterations(STEPS)
        .reg_covariance(LEAST_VARIANCE)
        .fit(&DatasetBase::from(rows))
        .ok()?;
    let part = |i: usize| Component {
        weight: fitted.weights()[i],
        mean: fitted.means()[[i, 0]],
        variance: fitted.covariances()[[i, 0, 0]],
    };
    let (a, b) = (part(0), part(1));
    Some(if a.mean <= b.mean { [a, b] } else { [b, a] })
}

fn log_likelihood(values: &Array1<f64>, components: &[Component]) -> f64 {
    let density = |x: f64, c: &Component| {
        c.weight.ln()
            - 0.5 * ((x - c.mean).powi(2) / c.variance + (std::f64::consts::TAU * c.variance).ln())
    };
    let of = |&x: &f64| {
        let logs: Vec<f64> = components.iter().map(|c| density(x, c)).collect();
        let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        top + logs.iter().map(|l| (l - top).exp()).sum::<f64>().ln()
    };
    values.iter().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_distr::{Distribution, StandardNormal};

    fn sample(n: usize, apart: f64, seed: u64) -> Vec<f64> {
        let mut rng = stream(seed, "mixture", 0);
        (0..n)
            .map(|i| {
                let z: f64 = StandardNormal.sample(&mut rng);
                z + if i % 3 == 0 { apart } else { 0.0 }
            })
            .collect()
    }

    #[test]
    fn two_humps_are_told_from_one() {
        let apart = bimodality(&sample(150, 6.0, 1)).unwrap();
        assert!(apart.evidence > 10.0 && apart.distance > 2.0);
        assert!((apart.smaller - 1.0 / 3.0).abs() < 0.03);
        assert!((apart.means[1] - 6.0).abs() < 0.5);
        let together =
            (0..40).filter(|&s| bimodality(&sample(60, 0.0, s)).unwrap().evidence > 0.0).count();
        assert!(together <= 4, "{together} of 40 single humps called two");
    }

    #[test]
    fn evidence_does_not_depend_on_units_or_direction() {
        let x = sample(80, 4.0, 2);
        let turned: Vec<f64> = x.iter().map(|v| 5.0 - 40.0 * v).collect();
        let (a, b) = (bimodality(&x).unwrap(), bimodality(&turned).unwrap());
        assert!((a.evidence - b.evidence).abs() < 1e-3, "{a:?} {b:?}");
        assert!((a.distance - b.distance).abs() < 1e-3);
    }

    #[test]
    fn few_equal_or_undefined_values_are_refused() {
        assert!(bimodality(&[1.0; 7]).is_err());
        assert!(bimodality(&[1.0; 20]).is_err());
        assert!(bimodality(&[f64::NAN; 20]).is_err());
    }
}
