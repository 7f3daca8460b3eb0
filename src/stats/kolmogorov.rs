//! Is a sample from a given distribution? The one-sample Kolmogorov-Smirnov test.
//!
//! It is how the calibration asks whether p-values under a null are uniform. The
//! p-value is exact for small samples (the matrix power of Marsaglia, Tsang and
//! Wang 2003, Journal of Statistical Software 8:18) and switches to their
//! three-term approximation, good to seven digits, where the exact one would be
//! slow. P-values of resampling live on a grid of 1 / (1 + n), which makes the
//! test a little too ready to reject; with 1,000 draws or more it is negligible.

use super::error::{enough, Result};
use super::StatsError;
use ndarray::Array2;

/// Distance from a distribution, with its p-value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ks {
    /// Largest distance between the empirical and the given distribution function.
    pub distance: f64,
    /// Chance of at least this distance if the sample is from it.
    pub p: f64,
    /// Values.
    pub n: usize,
}

/// Tests `values` against the continuous distribution function `cdf`, two-sided.
///
/// Errors when there are no values or one is NaN.
pub fn ks_test(values: &[f64], cdf: impl Fn(f64) -> f64) -> Result<Ks> {
    enough("a Kolmogorov-Smirnov test", 1, "values", values.len())?;
    let mut heights: Vec<f64> = values.iter().map(|&x| cdf(x)).collect();
    if let Some(row) = heights.iter().position(|h| h.is_nan()) {
        return Err(StatsError::NotFinite { what: "the sample of a Kolmogorov-Smirnov test", row });
    }
    heights.sort_by(f64::total_cmp);
    let n = heights.len();
    let step = 1.0 / n as f64;
    let off = |(i, h): (usize, &f64)| (h - i as f64 * step).max((i + 1) as f64 * step - h);
    let distance = heights.iter().enumerate().map(off).fold(0.0, f64::max);
    Ok(Ks { distance, p: survival(distance, n), n })
}

/// Tests `p` against the uniform distribution on 0..1.
pub fn ks_uniform(p: &[f64]) -> Result<Ks> {
    ks_test(p, |x| x.clamp(0.0, 1.0))
}

/// P(D >= d) for n values.
fn survival(d: f64, n: usize) -> f64 {
    let nf = n as f64;
    let s = d * d * nf;
    if s > 7.24 || (s > 3.76 && n > 99) {
        let slope = 2.000071 + 0.331 / nf.sqrt() + 1.409 / nf;
        return 2.0 * (-slope * s).exp();
    }
    let k = (nf * d).floor() as usize + 1;
    let m = 2 * k - 1;
    let h = k as f64 - nf * d;
    let mut matrix = Array2::from_shape_fn((m, m), |(i, j)| f64::from(u8::from(j <= i + 1)));
    for i in 0..m {
        matrix[[i, 0]] -= h.powi(i as i32 + 1);
        matrix[[m - 1, i]] -= h.powi((m - i) as i32);
    }
    matrix[[m - 1, 0]] += (2.0 * h - 1.0).max(0.0).powi(m as i32);
    for ((i, j), value) in matrix.indexed_iter_mut() {
        for g in 1..=(i + 1).saturating_sub(j) {
            *value /= g as f64;
        }
    }
    let (power, mut exponent) = power(&matrix, n);
    let mut value = power[[k - 1, k - 1]];
    for i in 1..=n {
        value *= i as f64 / nf;
        if value < 1e-140 {
            value *= 1e140;
            exponent -= 140;
        }
    }
    (1.0 - value * 10f64.powi(exponent)).clamp(0.0, 1.0)
}

/// `base^n` of a square matrix, and the power of ten that was taken out of it.
fn power(base: &Array2<f64>, n: usize) -> (Array2<f64>, i32) {
    if n == 1 {
        return (base.clone(), 0);
    }
    let (half, exponent) = power(base, n / 2);
    let mut out = multiply(&half, &half);
    let mut exponent = 2 * exponent;
    if n % 2 == 1 {
        out = multiply(&out, base);
    }
    let middle = base.nrows() / 2;
    if out[[middle, middle]] > 1e140 {
        out *= 1e-140;
        exponent += 140;
    }
    (out, exponent)
}

fn multiply(a: &Array2<f64>, b: &Array2<f64>) -> Array2<f64> {
    let mut out = Array2::zeros(a.dim());
    for ((i, k), &factor) in a.indexed_iter() {
        out.row_mut(i).scaled_add(factor, &b.row(k));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rng::stream;
    use approx::assert_abs_diff_eq;
    use rand::Rng;

    #[test]
    fn p_matches_the_published_example() {
        // Marsaglia, Tsang and Wang 2003, section 1: K(10, .274) = .6284796154565.
        assert_abs_diff_eq!(survival(0.274, 10), 1.0 - 0.6284796154565, epsilon = 1e-11);
    }

    #[test]
    fn exact_and_approximate_p_meet() {
        for (d, n) in [(0.19, 99), (0.3, 70)] {
            let s: f64 = d * d * n as f64;
            let nf = n as f64;
            let rough = 2.0 * (-(2.000071 + 0.331 / nf.sqrt() + 1.409 / nf) * s).exp();
            assert_abs_diff_eq!(survival(d, n), rough, epsilon = 1e-5);
        }
    }

    #[test]
    fn p_of_uniform_samples_is_itself_uniform_and_that_of_others_small() {
        let p: Vec<f64> = (0..300)
            .map(|i| {
                let mut rng = stream(5, "ks", i);
                let x: Vec<f64> = (0..40).map(|_| rng.random()).collect();
                ks_uniform(&x).unwrap().p
            })
            .collect();
        assert!(ks_uniform(&p).unwrap().p > 0.01);
        let mut rng = stream(5, "ks", 999);
        let squared: Vec<f64> = (0..100).map(|_| rng.random::<f64>().powi(2)).collect();
        assert!(ks_uniform(&squared).unwrap().p < 1e-3);
    }

    #[test]
    fn empty_and_undefined_samples_are_refused() {
        assert!(ks_uniform(&[]).is_err());
        assert!(ks_uniform(&[0.1, f64::NAN]).is_err());
    }
}
