//! Couplings as records: every form, every null, precision, and the doubts.

use super::Asked;
use crate::analysis::link::pair_name;
use crate::analysis::records::*;
use crate::geometry::nulls::Against;
use crate::geometry::warning::{warnings, PairNumbers};
use crate::geometry::{Coupling, Form, Warning};

/// Ends of a null's band, p and p over layers, by layer index.
type AtLayer<'a> = &'a dyn Fn(usize) -> [f64; 4];

/// Cosines of all ordered pairs of concepts in all forms.
pub(super) fn couplings(asked: &Asked, c: &Coupling) -> Vec<CouplingRow> {
    let forms: [(&str, &Form, bool); 6] = [
        ("raw", &c.raw, false),
        ("relative", &c.raw, true),
        ("cleaned", &c.cleaned, false),
        ("cleaned-relative", &c.cleaned, true),
        ("whitened", &c.whitened, false),
        ("whitened-relative", &c.whitened, true),
    ];
    let mut rows = Vec::new();
    for (s, a, b) in ordered(asked) {
        for (name, form, relative) in forms {
            let [value, lo, hi] = match relative {
                true => [&form.relative, &form.relative_lo, &form.relative_hi],
                false => [&form.value, &form.lo, &form.hi],
            };
            rows.extend(asked.layers().map(|l| CouplingRow {
                state: asked.state(s),
                concept_a: asked.concept(a),
                concept_b: asked.concept(b),
                form: name.into(),
                layer: asked.layer(l),
                estimate: value[[s, a, b, l]],
                lo: lo[[s, a, b, l]],
                hi: hi[[s, a, b, l]],
            }));
        }
    }
    rows
}

/// Every state with every ordered pair of concepts, a concept with itself included, so that the grids
/// have one order of concepts along both dimensions.
fn ordered(asked: &Asked) -> impl Iterator<Item = (usize, usize, usize)> {
    let k = asked.readings.concepts.len();
    (asked.states())
        .flat_map(move |s| (0..k).map(move |a| (s, a)))
        .flat_map(move |(s, a)| (0..k).map(move |b| (s, a, b)))
}

/// What the raw cosine of every pair is compared with.
pub(super) fn nulls(asked: &Asked, c: &Coupling) -> Vec<NullRow> {
    let mut rows = Vec::new();
    for (s, a, b) in ordered(asked) {
        for null in ["flip", "flip-one", "random"] {
            for l in asked.layers() {
                let (pair, of_b) = ([s, a, b, l], [s, b, l]);
                let [null_lo, null_hi, p, q] = match null {
                    "flip" => [c.flip_lo[pair], c.flip_hi[pair], c.p_flip[pair], c.q_flip[pair]],
                    "random" => {
                        [c.random_lo[of_b], c.random_hi[of_b], c.p_random[pair], c.q_random[pair]]
                    }
                    _ => [f64::NAN, f64::NAN, c.p_flip_one[pair], f64::NAN],
                };
                rows.push(NullRow {
                    state: asked.state(s),
                    concept_a: asked.concept(a),
                    concept_b: asked.concept(b),
                    null: null.into(),
                    layer: asked.layer(l),
                    null_lo,
                    null_hi,
                    p,
                    q,
                });
            }
        }
    }
    rows
}

/// The nulls of the couples, adjusted over layers.
pub(super) fn pair_nulls(asked: &Asked, c: &Coupling) -> Vec<PairNullRow> {
    let mut rows = Vec::new();
    for (&(a, b), pair) in asked.couples.iter().zip(&c.pairs) {
        for s in asked.states() {
            let flip = |l: usize| {
                let at = [s, a, b, l];
                [c.flip_lo[at], c.flip_hi[at], c.p_flip[at], pair.p_flip_max[[s, l]]]
            };
            let random = |l: usize| {
                let (lo, hi) = (c.random_lo[[s, b, l]], c.random_hi[[s, b, l]]);
                [lo, hi, c.p_random[[s, a, b, l]], pair.p_random_max[[s, l]]]
            };
            let of =
                |found: &Against, l: usize| [found.lo[l], found.hi[l], found.p[l], found.p_max[l]];
            let (placebo, cleaned) = (&pair.placebo[s], &pair.placebo_cleaned[s]);
            let isotropic = |_| [-c.isotropic_hi, c.isotropic_hi, f64::NAN, f64::NAN];
            let all: [(&str, usize, AtLayer); 5] = [
                ("flip", asked.options.flips, &flip),
                ("random", asked.options.random, &random),
                ("placebo", placebo.n, &|l| of(placebo, l)),
                ("placebo-cleaned", cleaned.n, &|l| of(cleaned, l)),
                ("isotropic", 0, &isotropic),
            ];
            for (null, n, at) in all.into_iter().filter(|a| a.1 > 0 || a.0 == "isotropic") {
                rows.extend(asked.layers().map(|l| {
                    let [null_lo, null_hi, p, p_max] = at(l);
                    PairNullRow {
                        state: asked.state(s),
                        concept_a: asked.concept(a),
                        concept_b: asked.concept(b),
                        null: null.into(),
                        layer: asked.layer(l),
                        null_lo,
                        null_hi,
                        p,
                        p_max,
                        n,
                    }
                }));
            }
        }
    }
    rows
}

/// How precisely every direction is known.
pub(super) fn precision(asked: &Asked, c: &Coupling) -> Vec<PrecisionRow> {
    let mut rows = Vec::new();
    for s in asked.states() {
        for k in 0..asked.readings.concepts.len() {
            rows.extend(asked.layers().map(|l| PrecisionRow {
                state: asked.state(s),
                concept: asked.concept(k),
                layer: asked.layer(l),
                reliability: c.reliability[[s, k, l]],
                effective_rank: c.effective_rank[[s, k, l]],
                n: c.n_clusters[k],
                pairs: c.n_pairs[k],
            }));
        }
    }
    rows
}

/// Doubts about the couples' cosines.
pub(super) fn doubts(asked: &Asked, c: &Coupling) -> Vec<WarningRow> {
    let mut rows = Vec::new();
    let mut say =
        |about: String, doubt: Warning| rows.push(WarningRow { about, text: doubt.to_string() });
    for (&(a, b), pair) in asked.couples.iter().zip(&c.pairs) {
        let names = [a, b].map(|k| asked.concept(k));
        let pair_name = pair_name(&names[0], &names[1]);
        let placebos = pair.placebo.first().filter(|f| f.n > 0);
        if let Some(found) = placebos.filter(|f| f.p.iter().all(|p| p.is_nan())) {
            let doubt = Warning::FewPlacebos { n: found.n };
            say(format!("coupling, {pair_name}"), doubt);
        }
        for s in asked.states() {
            for &l in &asked.at {
                let at = [s, a, b, l];
                let numbers = PairNumbers {
                    concepts: [&names[0], &names[1]],
                    reliability: [a, b].map(|k| c.reliability[[s, k, l]]),
                    effective_rank: [a, b].map(|k| c.effective_rank[[s, k, l]]),
                    clusters: [a, b].map(|k| c.n_clusters[k]),
                    no_relative_interval: c.raw.relative[at].is_finite()
                        && !c.raw.relative_lo[at].is_finite(),
                    p: [c.p_random[at], c.p_flip[at]],
                };
                let (state, layer) = (asked.state(s), asked.layer(l));
                for doubt in warnings(&numbers) {
                    say(format!("coupling, {state}, layer {layer}, {pair_name}"), doubt);
                }
            }
        }
    }
    rows
}
