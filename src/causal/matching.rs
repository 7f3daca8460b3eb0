//! How much of a control's edit damages a model as much as the edit under test does.

use super::Result;
use serde::{Deserialize, Serialize};

/// How far the KL divergence of a matched control may be from that of the edit under test, relative to it.
pub const WITHIN: f64 = 0.1;

/// Models run in a search at most; three or four do where damage grows with the square of the edit.
const TRIES: usize = 24;

/// What a control was matched to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Matched {
    /// Name of the edit under test.
    pub to: String,
    /// Part of the control's edit that is made.
    pub part: f64,
    /// Whether the damage is that of the edit under test; not where the control in full does less.
    pub reached: bool,
}

/// The part of an edit whose KL divergence `kl` is within [`WITHIN`] of `target`, by bisection; none where
/// there is no such part in (0, 1]. `full` is the divergence of the whole edit.
///
/// # Errors
/// Those of `kl`.
pub fn matched_part(
    target: f64,
    full: f64,
    kl: &mut dyn FnMut(f64) -> Result<f64>,
) -> Result<Option<f64>> {
    let near = |kl: f64| (kl - target).abs() <= WITHIN * target;
    if near(full) {
        return Ok(Some(1.0));
    }
    if !(target > 0.0 && full > target) {
        return Ok(None);
    }
    let (mut lo, mut hi) = ((0.0, 0.0), (1.0, full));
    for k in 0..TRIES {
        // Damage is about quadratic, so its root is about straight; every other try is the middle, since
        // a straight line may creep.
        let along = match k % 2 {
            0 => (target.sqrt() - f64::sqrt(lo.1)) / (f64::sqrt(hi.1) - f64::sqrt(lo.1)),
            _ => 0.5,
        };
        let part = lo.0 + along * (hi.0 - lo.0);
        let found = kl(part)?.max(0.0); // below it by rounding
        match found {
            found if near(found) => return Ok(Some(part)),
            found if found < target => lo = (part, found),
            _ => hi = (part, found),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The part found, what it does, and the models that were run.
    fn search(target: f64, kl: impl Fn(f64) -> f64) -> (Option<f64>, f64, usize) {
        let mut runs = 0;
        let mut counted = |part: f64| {
            runs += 1;
            Ok(kl(part))
        };
        let part = matched_part(target, kl(1.0), &mut counted).unwrap();
        (part, part.map_or(f64::NAN, &kl), runs)
    }

    #[test]
    fn a_part_is_found_that_damages_as_much_whatever_the_curve() {
        let curves: [fn(f64) -> f64; 4] = [
            |s| 9.0 * s * s,
            |s| 9.0 * s,
            |s| 9.0 * s.powi(9),
            |s| if s < 0.7 { 0.05 * s } else { 9.0 * (s - 0.7) / 0.3 + 0.035 },
        ];
        for (k, kl) in curves.into_iter().enumerate() {
            for target in [8.5, 1.0, 0.2, 0.04] {
                let (part, found, runs) = search(target, kl);
                assert!((found / target - 1.0).abs() <= WITHIN, "{k}, {target}: {found}");
                assert!(part.is_some_and(|p| p > 0.0 && p <= 1.0) && runs <= TRIES);
            }
        }
        assert_eq!(search(1.0, |s| 9.0 * s * s), (Some(1.0 / 3.0), 1.0, 1));
    }

    #[test]
    fn a_control_that_damages_less_in_full_has_no_part() {
        assert_eq!(search(1.0, |s| 0.89 * s).0, None);
        assert_eq!(search(1.0, |s| 0.91 * s).0, Some(1.0));
        assert_eq!(search(0.0, |s| s).0, None);
        assert_eq!(search(1.0, |_| f64::NAN).0, None);
        // A jump over the target is no part either, and the search ends.
        assert_eq!(search(1.0, |s| if s < 0.5 { 0.1 } else { 5.0 }).0, None);
    }
}
