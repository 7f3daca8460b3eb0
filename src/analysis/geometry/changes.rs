//! Couplings of conditions: their mean over states, and how they differ.
//!
//! All states were resampled with the same draws, so that a mean over states and a difference of
//! states have draws of their own. A change of the relative cosine sets aside that a fine-tune makes
//! a direction clearer; it is the form that behaviour is linked with.

use super::shifts::over_the_table;
use super::{Asked, LEVEL};
use crate::analysis::records::*;
use crate::analysis::state::{by_condition, states_of, BASE};
use crate::analysis::verdict::least_of_draws;
use crate::analysis::Result;
use crate::geometry::{contrast, Coupling, Form, Over};
use crate::stats::interval::{percentile, Interval};
use ndarray::{s, Array3, Array4, ArrayView2};

/// One form of a couple's cosine, by state and layer.
struct Of<'a> {
    form: &'static str,
    /// `(state, layer)`.
    value: ArrayView2<'a, f64>,
    lo: ArrayView2<'a, f64>,
    hi: ArrayView2<'a, f64>,
    /// `[state, layer, draw]`.
    draws: &'a Array3<f32>,
}

/// The four forms of couple `i`, the one relative to its ceiling first.
fn forms<'a>(asked: &Asked, c: &'a Coupling, i: usize) -> [Of<'a>; 4] {
    let (a, b) = asked.couples[i];
    let draws = &c.pairs[i].draws;
    let of = |form, [value, lo, hi]: [&'a Array4<f64>; 3], draws| Of {
        form,
        value: value.slice(s![.., a, b, ..]),
        lo: lo.slice(s![.., a, b, ..]),
        hi: hi.slice(s![.., a, b, ..]),
        draws,
    };
    let relative = [&c.raw.relative, &c.raw.relative_lo, &c.raw.relative_hi];
    let plain = |f: &'a Form| [&f.value, &f.lo, &f.hi];
    [
        of("relative", relative, &draws.relative),
        of("raw", plain(&c.raw), &draws.raw),
        of("cleaned", plain(&c.cleaned), &draws.cleaned),
        of("whitened", plain(&c.whitened), &draws.whitened),
    ]
}

impl Of<'_> {
    /// Mean over states at a layer, with the interval of the one state, or over the states' common
    /// draws of prompts.
    fn mean(&self, states: &[usize], l: usize) -> (f64, Interval) {
        let n = states.len() as f64;
        let value = states.iter().map(|&i| self.value[[i, l]]).sum::<f64>() / n;
        if let [only] = states[..] {
            let (lo, hi) = (self.lo[[only, l]], self.hi[[only, l]]);
            return (value, Interval { lo, hi });
        }
        let mean = |d: usize| {
            let of = |&i: &usize| f64::from(self.draws[[i, l, d]]);
            states.iter().map(of).sum::<f64>() / n
        };
        let drawn = self.draws.dim().2;
        // A draw in which a length is not positive says nothing; many of them leave no interval.
        let mut means: Vec<f64> = (0..drawn).map(mean).filter(|v| v.is_finite()).collect();
        let enough = value.is_finite() && means.len() as f64 >= LEVEL * drawn as f64;
        match enough {
            true => (value, percentile(&mut means, LEVEL)),
            false => (value, Interval::UNDEFINED),
        }
    }
}

/// Mean cosines of every condition, base among them.
pub(super) fn conditions(asked: &Asked, c: &Coupling) -> Vec<ConditionCouplingRow> {
    let mut rows = Vec::new();
    for (i, &(a, b)) in asked.couples.iter().enumerate() {
        for (condition, states) in by_condition(&asked.readings.states) {
            let ceiling = |l: usize| {
                let of = |&s: &usize| (c.reliability[[s, a, l]] * c.reliability[[s, b, l]]).sqrt();
                states.iter().map(of).sum::<f64>() / states.len() as f64
            };
            for form in forms(asked, c, i) {
                rows.extend(asked.layers().map(|l| {
                    let (estimate, interval) = form.mean(&states, l);
                    ConditionCouplingRow {
                        condition: condition.into(),
                        concept_a: asked.concept(a),
                        concept_b: asked.concept(b),
                        form: form.form.into(),
                        layer: asked.layer(l),
                        estimate,
                        lo: interval.lo,
                        hi: interval.hi,
                        ceiling: ceiling(l),
                        states: states.len(),
                        n: asked.prompts((a, b)),
                    }
                }));
            }
        }
    }
    rows
}

/// Changes of every condition from base and from the reference.
pub(super) fn changes(asked: &Asked, c: &Coupling) -> Result<Vec<ChangeRow>> {
    let all = &asked.readings.states;
    let base = [BASE].into_iter();
    let against: Vec<&str> = base.chain(asked.kinship.reference.as_deref()).collect();
    let mut rows: Vec<ChangeRow> = Vec::new();
    let (mut observed, mut largest) = (Vec::new(), Vec::new());
    for (i, &couple) in asked.couples.iter().enumerate() {
        for (condition, set) in by_condition(all) {
            for (k, &other) in against.iter().enumerate() {
                let known = against[..k].contains(&other);
                if condition == BASE || condition == other || known {
                    continue;
                }
                let reference = states_of(all, other);
                let over = match set.len() {
                    1 => Over::Prompts,
                    _ => Over::PromptsAndSeeds,
                };
                for form in forms(asked, c, i) {
                    let sets = (&set[..], &reference[..]);
                    let draws = form.draws.view();
                    let seed = asked.options.seed;
                    let found = contrast(form.value, draws, sets, over, LEVEL, seed)?;
                    rows.extend(asked.layers().map(|l| ChangeRow {
                        set: condition.into(),
                        reference: other.into(),
                        concept_a: asked.concept(couple.0),
                        concept_b: asked.concept(couple.1),
                        form: form.form.into(),
                        layer: asked.layer(l),
                        estimate: found.value[l],
                        lo: found.lo[l],
                        hi: found.hi[l],
                        p: found.p[l],
                        p_max: f64::NAN,
                        least_p: least_of_draws(asked.options.draws),
                        error_prompts: found.error_prompts[l],
                        error_seeds: found.error_seeds[l],
                        states: found.n_set,
                        reference_states: found.n_reference,
                        n: asked.prompts(couple),
                    }));
                    observed.extend(found.observed);
                    largest.push(found.largest);
                }
            }
        }
    }
    for (row, p) in rows.iter_mut().zip(over_the_table(&observed, &largest)) {
        // Never less than what it is alone.
        row.p_max = p.max(row.p);
    }
    Ok(rows)
}
