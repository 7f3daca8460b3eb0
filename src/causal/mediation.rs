//! Necessity: how much of a shift goes when a direction is taken away.
//!
//! The shift is tuned less reference. Ablating changes any model, whether or not it was
//! fine-tuned, so an ablation is judged twice: the edited tuned model against the plain reference,
//! and against the equally edited reference. The two differ by what the edit does to the reference,
//! which is given too; where that is not small, only the second says what the direction mediates.
//! The amounts removed and left have 95 % bootstrap intervals over prompts and, with more than one,
//! seeds, widened for few of either. share = removed / total exists only where the total can be told
//! from zero, and is a point: a quotient of two noisy amounts has no interval worth printing.

use super::resample::{mean, means, prompt_shares, seed_shares, LEVEL};
use super::warning::{FEWEST_SEEDS, RESOLUTION};
use super::{CausalError, Result, Warning};
use crate::stats::bootstrap::Estimate;
use crate::stats::interval::percentile;
use crate::stats::permutation::{p_among, Tail};
use crate::stats::Interval;
use ndarray::{Array2, ArrayView2};

/// Scores of one battery in four arms, `(seeds, prompts)`: every arm lists the same prompts in the
/// same order, and an edited arm the seeds of its plain one.
#[derive(Debug, Clone, Copy)]
pub struct Arms<'a> {
    pub tuned: ArrayView2<'a, f64>,
    pub reference: ArrayView2<'a, f64>,
    pub tuned_edited: ArrayView2<'a, f64>,
    pub reference_edited: ArrayView2<'a, f64>,
}

/// What an edit leaves of a shift, and what it takes.
#[derive(Debug, Clone)]
pub struct Mediation {
    pub edit: String,
    /// Mean shift without the edit.
    pub total: f64,
    pub total_interval: Interval,
    /// Mean shift that is left under the edit.
    pub left: f64,
    pub left_interval: Interval,
    /// total - left.
    pub removed: f64,
    pub removed_interval: Interval,
    /// Intervals of removed less and plus a third of the total.
    pub thirds: [Interval; 2],
    /// removed / total; NaN, with a warning, where the total's interval holds 0 or the total is
    /// within rounding of it.
    pub share: f64,
    pub n_prompts: usize,
    /// Fine-tunes of the tuned condition, and of the reference.
    pub n_seeds: usize,
    pub n_reference: usize,
    pub warnings: Vec<Warning>,
}

/// An ablation judged both ways.
#[derive(Debug, Clone)]
pub struct Necessity {
    /// Edited tuned less plain reference.
    pub against_plain: Mediation,
    /// Edited tuned less equally edited reference.
    pub against_edited: Mediation,
    /// What the edit does to the reference: edited less plain.
    pub on_reference: Estimate,
}

/// Judges an edit; the streams depend on `seed` alone, so edits are compared on the same draws.
///
/// # Errors
/// `Shape` where arms differ in prompts or seeds, `Empty` without prompts, `NotFinite`.
pub fn necessity(edit: &str, arms: &Arms, draws: usize, seed: u64) -> Result<Necessity> {
    let (s, p) = arms.tuned.dim();
    let (r, _) = arms.reference.dim();
    check(edit, arms, (s, r, p))?;
    let free = s + r - 2;
    let prompts = prompt_shares(p, draws, seed, "mediation");
    let of_tuned = seed_shares(s, free, draws, seed, "mediation-seeds");
    let of_reference = seed_shares(r, free, draws, seed, "mediation-reference-seeds");
    let of = |cells: ArrayView2<f64>, seeds: &Array2<f64>| {
        let mut draws = means(&prompts, seeds, cells);
        draws.insert(0, mean(cells)); // the estimate first
        draws
    };
    let reference = of(arms.reference, &of_reference);
    let total = less(&of(arms.tuned, &of_tuned), &reference);
    let edited = of(arms.tuned_edited, &of_tuned);
    let reference_edited = of(arms.reference_edited, &of_reference);
    let against = |left: &[f64]| judge(edit, &total, left, (p, s, r));
    let own = less(&reference_edited, &reference);
    let mut out = Necessity {
        against_plain: against(&less(&edited, &reference)),
        against_edited: against(&less(&edited, &reference_edited)),
        on_reference: Estimate {
            value: own[0],
            interval: percentile(&mut own[1..].to_vec(), LEVEL),
            n: r * p,
            n_clusters: p,
        },
    };
    let Interval { lo, hi } = out.on_reference.interval;
    if !out.on_reference.interval.contains(0.0) {
        out.against_plain.warnings.push(Warning::MovesReference { edit: edit.into(), lo, hi });
    }
    Ok(out)
}

fn check(edit: &str, arms: &Arms, (s, r, p): (usize, usize, usize)) -> Result<()> {
    if p == 0 || s == 0 || r == 0 {
        return Err(CausalError::Empty("no prompts or no models to compare"));
    }
    let arms = [
        ("tuned", arms.tuned, s),
        ("reference", arms.reference, r),
        ("edited tuned", arms.tuned_edited, s),
        ("edited reference", arms.reference_edited, r),
    ];
    for (arm, cells, seeds) in arms {
        let got = cells.dim();
        if got != (seeds, p) {
            return Err(CausalError::Shape {
                what: format!("edit `{edit}`: the {arm} arm"),
                got: format!("{} seeds x {} prompts", got.0, got.1),
                expected: format!("{seeds} x {p}"),
            });
        }
        if cells.iter().any(|v| !v.is_finite()) {
            return Err(CausalError::NotFinite { what: format!("edit `{edit}`: a score") });
        }
    }
    Ok(())
}

/// What `a` has more than `b`.
fn less(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

/// `total` and `left`: the estimate, then its draws.
fn judge(edit: &str, total: &[f64], left: &[f64], (p, s, r): (usize, usize, usize)) -> Mediation {
    let interval = |v: &[f64]| percentile(&mut v[1..].to_vec(), LEVEL);
    let removed = less(total, left);
    let beside = |share: f64| -> Vec<f64> {
        removed.iter().zip(total).map(|(removed, total)| removed + share * total).collect()
    };
    let total_interval = interval(total);
    let mut warnings = Vec::new();
    let told = total_interval.lo > 0.0 || total_interval.hi < 0.0;
    let has_share = told && total[0].abs() >= RESOLUTION;
    if !has_share {
        warnings.push(Warning::TotalIncludesZero { lo: total_interval.lo, hi: total_interval.hi });
    }
    let fewest = s.min(r);
    if fewest < FEWEST_SEEDS {
        warnings.push(Warning::FewSeeds { n: fewest });
    }
    Mediation {
        edit: edit.into(),
        total: total[0],
        total_interval,
        left: left[0],
        left_interval: interval(left),
        removed: removed[0],
        removed_interval: interval(&removed),
        thirds: [-1.0, 1.0].map(|sign| interval(&beside(sign / 3.0))),
        share: if has_share { removed[0] / total[0] } else { f64::NAN },
        n_prompts: p,
        n_seeds: s,
        n_reference: r,
        warnings,
    }
}

/// Chance that a random direction takes at least as much of the shift, (1 + b) / (1 + n), from what
/// random directions remove of the same shift; NaN without any.
pub fn specificity(edit: &Mediation, random: &[f64]) -> f64 {
    let towards = edit.total.signum();
    let null: Vec<f64> = random.iter().map(|r| r * towards).collect();
    p_among(edit.removed * towards, &null, Tail::Greater)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rng::stream;
    use ndarray::Array2;
    use rand_distr::{Distribution, StandardNormal};

    /// One model a side; the reference stands at zero whatever is done to it.
    fn judged(total: &[f64], left: &[f64]) -> Mediation {
        let row = |v: &[f64]| Array2::from_shape_fn((1, v.len()), |(_, p)| v[p]);
        let (tuned, edited, zero) = (row(total), row(left), row(&vec![0.0; total.len()]));
        let arms = Arms {
            tuned: tuned.view(),
            reference: zero.view(),
            tuned_edited: edited.view(),
            reference_edited: zero.view(),
        };
        necessity("a", &arms, 500, 1).unwrap().against_edited
    }

    #[test]
    fn mediation_recovers_a_planted_amount_and_zero_without_one() {
        let total: Vec<f64> = (0..40).map(|i| 1.0 + 0.1 * ((i * 7 % 11) as f64 - 5.0)).collect();
        let left: Vec<f64> = total.iter().map(|t| 0.75 * t).collect();
        let m = judged(&total, &left);
        assert!((m.share - 0.25).abs() < 1e-12 && m.removed_interval.contains(0.25 * m.total));
        // A quarter is less than a third, and its intervals say so; a half is not.
        assert!(m.thirds[0].hi < 0.0 && m.thirds[1].lo > 0.0);
        let half: Vec<f64> = total.iter().map(|t| 0.5 * t).collect();
        assert!(judged(&total, &half).thirds[0].lo > 0.0);
        let none = judged(&total, &total);
        assert_eq!((none.share, none.removed), (0.0, 0.0));
    }

    #[test]
    fn a_share_of_a_total_that_may_be_zero_is_a_warning_and_no_number() {
        let total: Vec<f64> = (0..20).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let m = judged(&total, &[0.0; 20]);
        assert!(m.share.is_nan());
        let zero = |w: &Warning| matches!(w, Warning::TotalIncludesZero { .. });
        assert!(m.warnings.iter().any(zero));
        assert!(m.left == 0.0 && m.removed_interval.lo.is_finite());
    }

    /// Scores `(seeds, prompts)` around a mean.
    fn cells(seeds: usize, prompts: usize, mean: f64, stream_of: u64) -> Array2<f64> {
        let mut rng = stream(8, "cells", stream_of);
        Array2::from_shape_simple_fn((seeds, prompts), || {
            mean + 0.05 * Distribution::<f64>::sample(&StandardNormal, &mut rng)
        })
    }

    /// The edit takes .6 of the shift, and moves every model by -.5 besides.
    #[test]
    fn what_the_edit_does_to_any_model_is_told_from_what_it_does_to_the_shift() {
        let (reference, noise) = (cells(4, 50, 0.2, 0), cells(5, 50, 0.0, 1));
        let tuned = &noise + 1.2;
        let tuned_edited = &tuned - 0.6 - 0.5;
        let reference_edited = &reference - 0.5;
        let arms = Arms {
            tuned: tuned.view(),
            reference: reference.view(),
            tuned_edited: tuned_edited.view(),
            reference_edited: reference_edited.view(),
        };
        let n = necessity("a", &arms, 1000, 3).unwrap();
        let own = n.on_reference;
        assert!((own.value + 0.5).abs() < 1e-9 && own.interval.width() < 1e-9);
        let edited = n.against_edited;
        assert!((edited.share - 0.6 / edited.total).abs() < 1e-12);
        assert!((edited.removed - 0.6).abs() < 1e-9);
        assert!((n.against_plain.removed - 1.1).abs() < 1e-9);
        let moves = |w: &Warning| matches!(w, Warning::MovesReference { .. });
        assert!(n.against_plain.warnings.iter().any(moves));
        let sum = edited.left + own.value;
        assert!((n.against_plain.left - sum).abs() < 1e-12);
        let short = reference.slice(ndarray::s![.., ..49]);
        let wrong = Arms { reference: short, ..arms };
        let e = necessity("a", &wrong, 10, 3).unwrap_err().to_string();
        assert!(e.contains("reference arm") && e.contains("4 seeds x 49 prompts"), "{e}");
    }

    #[test]
    fn specificity_counts_random_directions_that_take_as_much() {
        let total = [-1.0; 10]; // a negative shift: taking it away is removing less than zero
        let m = judged(&total, &[-0.5; 10]);
        assert_eq!(specificity(&m, &[-0.1, -0.6, 0.9]), 2.0 / 4.0);
        assert!(specificity(&m, &[]).is_nan());
    }
}
