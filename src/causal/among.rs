//! p of an edit among its controls, as they are and matched in impact.
//!
//! A control that damages a model more than the edit under test does is too strong in damage and too weak
//! as a null of meaning. So every family of controls is given twice: as it is, by the same dose or a full
//! projection; and matched, by one part of it in (0, 1] for every control and model, found by bisection,
//! at which the KL divergence on the side-effect texts is that of the edit under test. A control that
//! damages less even in full cannot be held against it: it counts as one that does as much. A conclusion
//! needs both families, and both kinds.

use super::bench::Edited;
use super::controls::Kind;
use super::matching::Matched;
use super::warning::{Warning, FEWEST_RANDOM};
use crate::stats::bootstrap::grouped;
use crate::store::values::distinct;

/// How strong controls are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// The same dose, or a full projection.
    AsIs,
    /// The part that damages as much as the edit under test.
    Matched,
}

impl Family {
    /// Its name in words: `as is` or `matched`.
    pub fn name(self) -> &'static str {
        match self {
            Family::AsIs => "as is",
            Family::Matched => "matched",
        }
    }
}

/// A value of one edit, with what it may be a control of.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a> {
    /// Kind of the edit.
    pub kind: Kind,
    /// Concept of its direction; empty for none and random.
    pub concept: &'a str,
    /// What it was matched to in impact; none for an edit as it is.
    pub matched: Option<&'a Matched>,
    /// What is compared, such as a slope or the amount removed.
    pub value: f64,
}

impl<'a> Value<'a> {
    /// That of an edit.
    pub fn of(edit: &'a Edited, value: f64) -> Self {
        let Edited { kind, concept, matched, .. } = edit;
        Value { kind: *kind, concept, matched: matched.as_ref(), value }
    }
}

/// What an edit under test does among its controls of one family.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Among {
    /// The family that the controls are of.
    pub family: Family,
    /// (1 + b) / (1 + K) among random directions; NaN without any.
    pub p: f64,
    /// Random directions compared with.
    pub random: usize,
    /// The same among label-permuted directions of the concept as the edited state reads it; NaN for a
    /// direction that is not read there.
    pub p_permuted: f64,
    /// Label-permuted directions compared with.
    pub permuted: usize,
    /// Controls of either kind that could not be matched in some model.
    pub unmatched: usize,
}

impl Among {
    /// Nothing is compared.
    pub const NONE: Among = Among {
        family: Family::AsIs,
        p: f64::NAN,
        random: 0,
        p_permuted: f64::NAN,
        permuted: 0,
        unmatched: 0,
    };

    /// That some controls could not be matched to this edit, where there are such.
    pub fn unmatched_warning(&self, edit: &str) -> Option<Warning> {
        let of = self.random + self.permuted;
        let doubt = |n| Warning::Unmatched { edit: edit.into(), n, of };
        Some(self.unmatched).filter(|n| *n > 0).map(doubt)
    }
}

/// Each family that there is of the edit `name` of `kind`, a direction of `concept`, among all values; a
/// control is none. `p` is that of the edit among values, `most` a value that no control exceeds. What a
/// placebo and a direction read in base are compared with are random directions as they are.
pub fn among<'a>(
    (name, kind, concept): (&str, Kind, &str),
    all: &[Value<'a>],
    most: f64,
    p: &dyn Fn(&[f64]) -> f64,
) -> Vec<Among> {
    if kind == Kind::None || kind.is_control() {
        return vec![Among::NONE];
    }
    let family = |family: Family| {
        let of = |control: Kind| -> (Vec<f64>, usize) {
            let own = all.iter().filter(|v| {
                v.kind == control
                    && match family {
                        Family::AsIs => v.matched.is_none(),
                        Family::Matched => v.matched.is_some_and(|m| m.to == name),
                    }
                    && (control == Kind::Random || kind == Kind::Own && v.concept == concept)
            });
            let lost = |v: &Value| v.matched.is_some_and(|m| !m.reached);
            let values = own.clone().map(|v| if lost(v) { most } else { v.value });
            (values.filter(|v| !v.is_nan()).collect(), own.filter(|v| lost(v)).count())
        };
        let (random, permuted) = (of(Kind::Random), of(Kind::Permuted));
        Among {
            family,
            p: p(&random.0),
            random: random.0.len(),
            p_permuted: p(&permuted.0),
            permuted: permuted.0.len(),
            unmatched: random.1 + permuted.1,
        }
    };
    let matched = Some(family(Family::Matched)).filter(|m| m.random + m.permuted > 0);
    std::iter::once(family(Family::AsIs)).chain(matched).collect()
}

/// Doubts about too few controls as they are, of each kind that was drawn; of none at all, about that.
pub fn few_controls(edits: &[Edited]) -> Vec<Warning> {
    let of = |kind: Kind| {
        let names = edits.iter().filter(|e| e.kind == kind && e.matched.is_none());
        let by_concept = grouped(names.map(|e| (e.concept.as_str(), e.edit.as_str())));
        let counts = by_concept.into_iter().map(|(_, names)| distinct(names).len());
        (kind, counts.min().unwrap_or(0))
    };
    let all = [of(Kind::Random), of(Kind::Permuted)];
    let few = |(kind, n): (Kind, usize)| Warning::FewControls { control: kind, n };
    match all {
        [(kind, 0), (_, 0)] => vec![few((kind, 0))],
        all => all.into_iter().filter(|a| (1..FEWEST_RANDOM).contains(&a.1)).map(few).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::permutation::{p_among, Tail};

    #[test]
    fn each_family_counts_its_own_controls_and_those_that_cannot_be_matched() {
        let to = |to: &str, reached| Matched { to: to.into(), part: 0.5, reached };
        let (near, far, other) = (to("c", true), to("c", false), to("else", true));
        let value = |kind, concept, matched, value| Value { kind, concept, matched, value };
        let all = [
            value(Kind::Own, "c", None, 9.0),
            value(Kind::Placebo, "d", None, 9.0),
            value(Kind::Random, "", None, 3.0),
            value(Kind::Random, "", None, 1.0),
            value(Kind::Random, "", Some(&near), 1.0),
            value(Kind::Random, "", Some(&far), 0.0),
            value(Kind::Random, "", Some(&other), 9.0),
            value(Kind::Permuted, "c", None, 1.0),
            value(Kind::Permuted, "d", None, 9.0),
            value(Kind::Permuted, "c", Some(&near), 0.5),
        ];
        let p = |null: &[f64]| p_among(2.0, null, Tail::Greater);
        let found = among(("c", Kind::Own, "c"), &all, f64::INFINITY, &p);
        let [as_is, matched] = found[..] else { panic!("{found:?}") };
        assert_eq!((as_is.family, as_is.p, as_is.random), (Family::AsIs, 2.0 / 3.0, 2));
        assert_eq!((as_is.p_permuted, as_is.permuted, as_is.unmatched), (0.5, 1, 0));
        // One is matched and does less; one cannot be matched, and counts.
        assert_eq!((matched.family, matched.p, matched.random), (Family::Matched, 2.0 / 3.0, 2));
        assert_eq!((matched.p_permuted, matched.permuted, matched.unmatched), (0.5, 1, 1));
        // Of what base reads, no permuted directions were read.
        let base = among(("c (base)", Kind::Base, "c"), &all, f64::INFINITY, &p);
        assert!(base.len() == 1 && base[0].p_permuted.is_nan() && base[0].random == 2);
        let control = among(("random-0", Kind::Random, ""), &all, f64::INFINITY, &p);
        assert!(control.len() == 1 && control[0].p.is_nan());
    }
}
