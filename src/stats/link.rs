//! The scale on which a cosine's error is even: Fisher's z, carried past its end.
//!
//! z = atanh(r) makes the spread of a correlation nearly the same whatever its
//! value, so intervals are symmetric there and lopsided on the scale of r, as
//! they should be. A cosine relative to its noise ceiling is an estimate that may
//! exceed 1, where atanh ends; beyond +-.9 the scale goes on along its tangent, and does not stretch without end
//! for values that may lie past 1.

/// Where the tangent begins.
const KNEE: f64 = 0.9;
/// Slope of the tangent, 1 / (1 - KNEE^2).
const STEEP: f64 = 1.0 / (1.0 - KNEE * KNEE);

/// Value on the even scale.
pub fn even(r: f64) -> f64 {
    let inner = r.clamp(-KNEE, KNEE);
    inner.atanh() + (r - inner) * STEEP
}

/// Back from the even scale.
pub fn back(z: f64) -> f64 {
    let end = KNEE.atanh();
    let inner = z.clamp(-end, end);
    inner.tanh() + (z - inner) / STEEP
}

/// Slope of [`even`] at `r`.
pub fn slope(r: f64) -> f64 {
    let inner = r.clamp(-KNEE, KNEE);
    1.0 / (1.0 - inner * inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn there_and_back_is_the_same_and_the_slope_is_the_derivative(r in -3.0f64..3.0) {
            prop_assert!((back(even(r)) - r).abs() < 1e-12);
            let step = 1e-6;
            let numeric = (even(r + step) - even(r - step)) / (2.0 * step);
            prop_assert!((slope(r) - numeric).abs() < 1e-3 * numeric);
            prop_assert!((even(-r) + even(r)).abs() < 1e-12);
        }
    }
}
