//! Mean and variance of a slice.

/// The mean; NaN of none.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The sum of squares about the mean.
pub fn squares(values: &[f64]) -> f64 {
    let centre = mean(values);
    values.iter().map(|v| (v - centre).powi(2)).sum()
}

/// Mean and variance with divisor n - 1.
pub fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    (mean(values), squares(values) / (n - 1.0))
}
