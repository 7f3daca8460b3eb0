//! Nulls made of whole states and of unrelated concepts.
//!
//! Some nulls are not draws but models: adapters of the same rank and size with
//! random weights, which show what any fine-tune of that size does, and the model
//! with shuffled weights, in which no direction can mean anything ("dead salmon",
//! after Bennett et al. 2009). They are measured as any state is, and their
//! number is the null: [`against`] ranks an observed profile over layers among
//! theirs, and [`among_placebos`] among cosines with unrelated concepts.

use super::check::{at_least, shape};
use super::error::Result;
use crate::stats::corrections::max_t;
use crate::stats::interval::percentile;
use crate::stats::permutation::{p_value, Tail};
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

/// An observed profile among null profiles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Against {
    /// Lower end of the null's band, one a layer.
    pub lo: Vec<f64>,
    /// Upper end of the null's band.
    pub hi: Vec<f64>,
    /// Two-sided p, (1 + b) / (1 + n).
    pub p: Vec<f64>,
    /// The same adjusted over layers by max-T: a null profile counts with its largest layer.
    pub p_max: Vec<f64>,
    /// Null profiles; p is never below 1 / (1 + n).
    pub n: usize,
}

/// Ranks `observed`, one value a layer, among `null (profiles, layers)`.
///
/// Values are taken to be 0 where there is nothing (a change from base, a projection of a
/// shift, a cosine). The band has coverage `level`, and with few profiles is their range.
/// Errors when the numbers of layers differ or there is no profile.
pub fn against(observed: &[f64], null: ArrayView2<f64>, level: f64) -> Result<Against> {
    shape("null profiles", &[null.nrows(), observed.len()], null.shape())?;
    at_least("list of null profiles", 1, null.nrows())?;
    let (mut lo, mut hi, mut p) = (Vec::new(), Vec::new(), Vec::new());
    for (&value, own) in observed.iter().zip(null.columns()) {
        let mut own = own.to_vec();
        p.push(p_value(value, &own, Tail::TwoSided));
        let band = percentile(&mut own, level);
        lo.push(band.lo);
        hi.push(band.hi);
    }
    Ok(Against { lo, hi, p, p_max: max_t(observed, null), n: null.nrows() })
}

/// Fewest cosines with placebo concepts that give a p: with fewer none could be .05.
pub const LEAST_PLACEBOS: usize = 19;

/// As [`against`] for the cosines with placebo concepts: below [`LEAST_PLACEBOS`] the band alone,
/// and without any nothing.
///
/// # Errors
/// The numbers of layers differ.
pub fn among_placebos(observed: &[f64], null: ArrayView2<f64>, level: f64) -> Result<Against> {
    let undefined = || vec![f64::NAN; observed.len()];
    let mut out = match null.nrows() {
        0 => Against { lo: undefined(), hi: undefined(), p: undefined(), p_max: undefined(), n: 0 },
        _ => against(observed, null, level)?,
    };
    if out.n < LEAST_PLACEBOS {
        (out.p, out.p_max) = (undefined(), undefined());
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::kolmogorov::ks_uniform;
    use crate::stats::rng::stream;
    use ndarray::array;
    use ndarray::Array2;
    use rand_distr::{Distribution, StandardNormal};

    #[test]
    fn few_placebos_give_a_band_and_no_p() {
        let null = |n: usize| Array2::from_shape_fn((n, 1), |(i, _)| i as f64 / n as f64);
        let few = among_placebos(&[2.0], null(18).view(), 0.95).unwrap();
        assert!(few.p[0].is_nan() && few.p_max[0].is_nan() && few.hi[0] > 0.8);
        let enough = among_placebos(&[2.0], null(19).view(), 0.95).unwrap();
        assert_eq!((enough.p[0], enough.n), (0.05, 19));
        let none = among_placebos(&[2.0], null(0).view(), 0.95).unwrap();
        assert!(none.lo[0].is_nan() && none.p[0].is_nan());
    }

    #[test]
    fn p_counts_profiles_and_the_adjusted_one_their_largest_layer() {
        let null = array![[0.1, -0.5], [0.3, 0.2], [-0.2, 0.1]];
        let got = against(&[0.25, -0.6], null.view(), 0.95).unwrap();
        assert_eq!(got.p, [0.5, 0.25]);
        assert_eq!(got.p_max, [0.75, 0.25]);
        assert_eq!(got.n, 3);
        assert!(got.lo[0] < -0.15 && got.hi[0] > 0.25);
        assert!(against(&[0.1], null.view(), 0.95).is_err());
        assert!(against(&[], Array2::zeros((0, 0)).view(), 0.95).is_err());
    }

    #[test]
    fn p_is_uniform_when_the_observed_is_one_of_the_null() {
        let p: Vec<f64> = (0..400)
            .map(|repeat| {
                let mut rng = stream(repeat, "against", 0);
                let mut normal = |_| -> f64 { StandardNormal.sample(&mut rng) };
                let observed = normal(0);
                let null: Vec<f64> = (0..199).map(&mut normal).collect();
                let null = Array2::from_shape_vec((199, 1), null).unwrap();
                against(&[observed], null.view(), 0.95).unwrap().p[0]
            })
            .collect();
        assert!(ks_uniform(&p).unwrap().p > 0.01);
    }
}
