//! Necessity: how much of a shift goes when a direction is taken away.
//!
//! The shift is tuned less reference. Ablating changes any model, whether or not it was
//! fine-tuned, so an ablation is judged twice: the edited tuned model against the plain reference,
//! and against the equally edited reference. The two differ by what the edit does to the reference,
//! which is given too; where that is not small, only the second says what the direction mediates.
//! The amounts removed and left are contrasts of conditions ([`mod@crate::stats::contrast`]): over
//! prompts, and over fine-tunes where a side has several.
//! share = removed / total exists only where the total can be told
//! from zero, and is a point: a quotient of two noisy amounts has no interval worth printing.

use super::warning::{FEWEST_SEEDS, RESOLUTION};
use super::{CausalError, Result, Warning};
use crate::stats::contrast::{contrast, reach, share, Contrast, Spread};
use crate::stats::moments::mean;
use crate::stats::permutation::{p_among, Tail};
use crate::stats::Interval;
use ndarray::{Array2, ArrayView2, Axis};

/// Coverage of the intervals.
const LEVEL: f64 = 0.95;

/// Scores of one battery in four arms, `(models, prompts)`: every arm lists the same prompts in the
/// same order, and an edited arm the models of its plain one.
#[derive(Debug, Clone, Copy)]
pub struct Arms<'a> {
    /// The fine-tuned models without the edit.
    pub tuned: ArrayView2<'a, f64>,
    /// The models that they are compared with, without the edit.
    pub reference: ArrayView2<'a, f64>,
    /// The fine-tuned models under the edit.
    pub tuned_edited: ArrayView2<'a, f64>,
    /// The reference under the same edit.
    pub reference_edited: ArrayView2<'a, f64>,
    /// Recipes by which the models of the tuned and of the reference side were trained; empty for
    /// models that were not.
    pub recipes: [&'a str; 2],
}

/// What an edit leaves of a shift, and what it takes.
#[derive(Debug, Clone)]
pub struct Mediation {
    /// Name of the edit.
    pub edit: String,
    /// Mean shift without the edit.
    pub total: Contrast,
    /// Mean shift that is left under the edit.
    pub left: Contrast,
    /// total - left.
    pub removed: Contrast,
    /// Intervals of removed less and plus a third of the total.
    pub thirds: [Interval; 2],
    /// removed / total; NaN, with a warning, where the total's interval holds 0 or the total is
    /// within rounding of it.
    pub share: f64,
    /// Prompts that every arm holds.
    pub n_prompts: usize,
    /// Fine-tunes of the tuned condition, and of the reference.
    pub fine_tunes: [usize; 2],
    /// Doubts about the share and the claim.
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
    pub on_reference: Contrast,
}

/// Judges an edit.
///
/// # Errors
/// `Shape` where arms differ in prompts or models, `Empty` without prompts, `NotFinite`.
pub fn necessity(edit: &str, arms: &Arms) -> Result<Necessity> {
    check(edit, arms)?;
    let [tuned, reference] = arms.recipes;
    let of = |cells: Array2<f64>, recipe| Side { cells, recipe };
    let plain = of(arms.reference.to_owned(), reference);
    let edited = of(arms.tuned_edited.to_owned(), tuned);
    let reference_edited = of(arms.reference_edited.to_owned(), reference);
    let taken = of(&arms.tuned - &arms.tuned_edited, tuned);
    let taken_of_reference = of(&arms.reference - &arms.reference_edited, reference);
    let total = less(&of(arms.tuned.to_owned(), tuned), Some(&plain));
    let fine_tunes = [(tuned, &arms.tuned), (reference, &arms.reference)].map(|(recipe, cells)| {
        if recipe.is_empty() {
            0
        } else {
            cells.nrows()
        }
    });
    let judge = |left, removed, thirds| {
        judge(edit, [total, left, removed], thirds, arms.tuned.ncols(), fine_tunes)
    };
    // Removed less and plus a third of the total, as contrasts of their own.
    let thirds = |of_reference: Option<&Side>| {
        [-1.0 / 3.0, 1.0 / 3.0].map(|part| {
            let mut on_reference = &arms.reference * part;
            if let Some(taken) = of_reference {
                on_reference += &taken.cells;
            }
            let on_tuned = of(&taken.cells + &(&arms.tuned * part), tuned);
            less(&on_tuned, Some(&of(on_reference, reference))).interval
        })
    };
    let on_reference = less(&of(&arms.reference_edited - &arms.reference, reference), None);
    let mut out = Necessity {
        against_plain: judge(less(&edited, Some(&plain)), less(&taken, None), thirds(None)),
        against_edited: judge(
            less(&edited, Some(&reference_edited)),
            less(&taken, Some(&taken_of_reference)),
            thirds(Some(&taken_of_reference)),
        ),
        on_reference,
    };
    let Interval { lo, hi } = on_reference.interval;
    if !on_reference.interval.contains(0.0) {
        out.against_plain.warnings.push(Warning::MovesReference { edit: edit.into(), lo, hi });
    }
    Ok(out)
}

fn check(edit: &str, arms: &Arms) -> Result<()> {
    let ((s, p), (r, _)) = (arms.tuned.dim(), arms.reference.dim());
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

/// What the models of a side have on every prompt, `(models, prompts)`.
struct Side<'a> {
    cells: Array2<f64>,
    recipe: &'a str,
}

impl Side<'_> {
    /// Mean over models, one a prompt.
    fn prompts(&self) -> Vec<f64> {
        self.cells.mean_axis(Axis(0)).unwrap_or_default().to_vec()
    }

    /// Mean over prompts, one a fine-tune; none where nothing was trained.
    fn fine_tunes(&self) -> Vec<f64> {
        match self.recipe.is_empty() {
            true => Vec::new(),
            false => self.cells.mean_axis(Axis(1)).unwrap_or_default().to_vec(),
        }
    }
}

/// A side less another, or as it is where the other cannot differ from 0.
fn less(a: &Side, b: Option<&Side>) -> Contrast {
    let mut apart = a.prompts();
    let mut sides = vec![(a.recipe, a.fine_tunes())];
    if let Some(b) = b {
        apart.iter_mut().zip(b.prompts()).for_each(|(a, b)| *a -= b);
        sides.push((b.recipe, b.fine_tunes()));
    }
    sides.retain(|s| !s.1.is_empty());
    let recipes: Vec<&str> = sides.iter().map(|s| s.0).collect();
    let spread = Spread::pooled(&recipes, sides.iter().map(|s| (s.0, s.1.as_slice())));
    let parts = sides.iter().map(|s| share(s.1.len())).sum();
    contrast(mean(&apart), reach(&apart, LEVEL), spread, parts, LEVEL)
}

fn judge(
    edit: &str,
    [total, left, removed]: [Contrast; 3],
    thirds: [Interval; 2],
    n_prompts: usize,
    fine_tunes: [usize; 2],
) -> Mediation {
    let mut warnings = Vec::new();
    let Interval { lo, hi } = total.interval;
    let told = lo > 0.0 || hi < 0.0;
    let has_share = told && total.value.abs() >= RESOLUTION;
    if !has_share {
        warnings.push(Warning::TotalIncludesZero { lo, hi });
    }
    let fewest = fine_tunes.into_iter().filter(|n| *n > 0).min();
    if let Some(n) = fewest.filter(|n| *n < FEWEST_SEEDS) {
        warnings.push(Warning::FewSeeds { n });
    }
    Mediation {
        edit: edit.into(),
        total,
        left,
        removed,
        thirds,
        share: if has_share { removed.value / total.value } else { f64::NAN },
        n_prompts,
        fine_tunes,
        warnings,
    }
}

/// Chance that a random direction takes at least as much of the shift, (1 + b) / (1 + n), from what
/// random directions remove of the same shift; NaN without any.
pub fn specificity(edit: &Mediation, random: &[f64]) -> f64 {
    let towards = edit.total.value.signum();
    let null: Vec<f64> = random.iter().map(|r| r * towards).collect();
    p_among(edit.removed.value * towards, &null, Tail::Greater)
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
            recipes: ["lora", ""],
        };
        necessity("a", &arms).unwrap().against_edited
    }

    #[test]
    fn mediation_recovers_a_planted_amount_and_zero_without_one() {
        let total: Vec<f64> = (0..40).map(|i| 1.0 + 0.1 * ((i * 7 % 11) as f64 - 5.0)).collect();
        let left: Vec<f64> = total.iter().map(|t| 0.75 * t).collect();
        let m = judged(&total, &left);
        assert!((m.share - 0.25).abs() < 1e-12);
        assert!(m.removed.interval.contains(0.25 * m.total.value));
        // One fine-tune knows nothing of others.
        assert_eq!((m.total.df, m.total.interval, m.fine_tunes), (0, m.total.within, [1, 0]));
        // A quarter is less than a third, and its intervals say so; a half is not.
        assert!(m.thirds[0].hi < 0.0 && m.thirds[1].lo > 0.0);
        let half: Vec<f64> = total.iter().map(|t| 0.5 * t).collect();
        assert!(judged(&total, &half).thirds[0].lo > 0.0);
        let none = judged(&total, &total);
        assert_eq!((none.share, none.removed.value), (0.0, 0.0));
    }

    #[test]
    fn a_share_of_a_total_that_may_be_zero_is_a_warning_and_no_number() {
        let total: Vec<f64> = (0..20).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let m = judged(&total, &[0.0; 20]);
        assert!(m.share.is_nan());
        let zero = |w: &Warning| matches!(w, Warning::TotalIncludesZero { .. });
        assert!(m.warnings.iter().any(zero));
        assert!(m.left.value == 0.0 && m.removed.interval.lo.is_finite());
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
            recipes: ["lora", "lora"],
        };
        let n = necessity("a", &arms).unwrap();
        let own = n.on_reference;
        assert!((own.value + 0.5).abs() < 1e-9 && own.interval.width() < 1e-9);
        let edited = n.against_edited;
        assert!((edited.share - 0.6 / edited.total.value).abs() < 1e-12);
        assert!((edited.removed.value - 0.6).abs() < 1e-9);
        assert!((n.against_plain.removed.value - 1.1).abs() < 1e-9);
        // What is taken of the tuned models alone has nothing of the reference's fine-tunes.
        assert_eq!((edited.removed.df, n.against_plain.removed.df), (7, 4));
        let moves = |w: &Warning| matches!(w, Warning::MovesReference { .. });
        assert!(n.against_plain.warnings.iter().any(moves));
        let sum = edited.left.value + own.value;
        assert!((n.against_plain.left.value - sum).abs() < 1e-12);
        let short = reference.slice(ndarray::s![.., ..49]);
        let wrong = Arms { reference: short, ..arms };
        let e = necessity("a", &wrong).unwrap_err().to_string();
        assert!(e.contains("reference arm") && e.contains("4 seeds x 49 prompts"), "{e}");
    }

    /// Three fine-tunes a side whose level differs, and 40 prompts: the amount that an edit leaves.
    #[test]
    fn intervals_cover_what_other_fine_tunes_would_show() {
        let (mut whole, mut within) = (0, 0);
        for repeat in 0..500u64 {
            let mut rng = stream(9, "covers", repeat);
            let mut normal = |sd: f64| sd * Distribution::<f64>::sample(&StandardNormal, &mut rng);
            let by_prompt: Vec<f64> = (0..40).map(|_| normal(0.3)).collect();
            let mut side = |mean: f64, own: f64| {
                let levels: Vec<f64> = (0..3).map(|_| mean + normal(0.1)).collect();
                Array2::from_shape_fn((3, 40), |(s, p)| levels[s] + own * by_prompt[p])
            };
            let (tuned, tuned_edited) = (side(1.0, 1.0), side(0.4, 0.5));
            let (reference, reference_edited) = (side(0.0, 0.0), side(0.0, 0.0));
            let arms = Arms {
                tuned: tuned.view(),
                reference: reference.view(),
                tuned_edited: tuned_edited.view(),
                reference_edited: reference_edited.view(),
                recipes: ["lora", "lora"],
            };
            let left = necessity("a", &arms).unwrap().against_edited.left;
            whole += usize::from(left.interval.contains(0.4));
            within += usize::from(left.within.contains(0.4));
        }
        assert!((465..=494).contains(&whole), "{whole} of 500");
        assert!(within < 400, "{within} of 500 with the fine-tunes held fixed");
    }

    #[test]
    fn specificity_counts_random_directions_that_take_as_much() {
        let total = [-1.0; 10]; // a negative shift: taking it away is removing less than zero
        let m = judged(&total, &[-0.5; 10]);
        assert_eq!(specificity(&m, &[-0.1, -0.6, 0.9]), 2.0 / 4.0);
        assert!(specificity(&m, &[]).is_nan());
    }
}
