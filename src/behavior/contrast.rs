//! States against a reference: how much more a preference is expressed, and whether that is more
//! than chance.
//!
//! The reference that counts is the denial fine-tune: it was trained on the same prompts in the
//! same format, and the format alone moves preferences; base is shown beside it. Differences are
//! paired by prompt, with a bootstrap interval and a sign-flip p over prompts. Rates also have
//! Newcombe's interval and the two-proportion z, which take answers as independent trials.
//! Benjamini-Hochberg runs over all cells of one measure against one reference in which the
//! preference is isolated: where the training text presupposes it, a difference shows only that
//! the training took.

use super::rates::{Rate, Rates};
use super::stance::PromptScore;
use super::BehaviorError;
use crate::materials::{Preference, Status};
use crate::stats::bootstrap::{bootstrap_mean, Estimate};
use crate::stats::corrections::benjamini_hochberg;
use crate::stats::interval::{newcombe, two_proportion_z};
use crate::stats::permutation::{flip_test_mean, Tail};
use crate::stats::Interval;
use serde::Serialize;

/// Name of the row over all prompts of preferences that are not implied.
pub const ISOLATED: &str = "all isolated";

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Stance log-odds, nats a token.
    LogOdds,
    /// Rate of answers of which the fact is true.
    FactRate,
    /// Expresses among answers that take a side.
    StanceRate,
}

/// One value of one prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct PromptValue {
    pub preference: String,
    pub prompt_id: String,
    pub value: f64,
}

/// A state against a reference on one preference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contrast {
    pub measure: Measure,
    pub state: String,
    pub reference: String,
    /// A preference, or [`ISOLATED`].
    pub preference: String,
    /// None: the preference says nothing of this condition, or the row is over several.
    pub status: Option<Status>,
    /// Mean difference over prompts that both have, with a 95 % bootstrap interval over prompts.
    pub paired: Estimate,
    /// Two-sided sign-flip p over prompts.
    pub p_prompts: f64,
    /// Difference of the pooled rates and its 95 % interval (Newcombe 1998); NaN for log-odds
    /// and for the row over all.
    pub pooled: f64,
    pub newcombe: Interval,
    /// Two-proportion z and its two-sided p; NaN as `pooled`.
    pub z: f64,
    pub p_z: f64,
    /// Benjamini-Hochberg of the p that the measure is read by: z for rates, sign flips for
    /// log-odds. NaN for implied cells and the row over all. Set by [`correct`].
    pub q: f64,
}

impl Contrast {
    /// The p that q is made of.
    pub fn p(&self) -> f64 {
        match self.measure {
            Measure::LogOdds => self.p_prompts,
            Measure::FactRate | Measure::StanceRate => self.p_z,
        }
    }
}

/// Which states are compared, and the resampling.
#[derive(Debug, Clone, Copy)]
pub struct Comparison<'a> {
    pub state: &'a str,
    /// Condition of the state, by which preferences are implied or isolated.
    pub condition: &'a str,
    pub reference: &'a str,
    pub draws: usize,
    pub seed: u64,
}

/// Whether a condition's training text presupposes a preference; none if nothing is said.
pub fn status(battery: &[Preference], preference: &str, condition: &str) -> Option<Status> {
    let known = battery.iter().find(|p| p.name == preference)?;
    known.status.get(condition).copied()
}

/// Stance log-odds of a state against those of a reference: each preference, then the row over
/// all that are not implied.
///
/// # Errors
/// None that matching scores can cause; preferences without a common prompt are left out.
pub fn of_stance(
    which: Comparison,
    scores: &[PromptScore],
    reference: &[PromptScore],
    battery: &[Preference],
) -> Result<Vec<Contrast>, BehaviorError> {
    let values = |all: &[PromptScore]| -> Vec<PromptValue> {
        let one = |s: &PromptScore| PromptValue {
            preference: s.preference.clone(),
            prompt_id: s.prompt_id.clone(),
            value: s.log_odds,
        };
        all.iter().map(one).collect()
    };
    let (ours, theirs) = (values(scores), values(reference));
    paired(which, Measure::LogOdds, &ours, &theirs, battery)
}

/// Rates of a state against those of a reference, by `FactRate` or `StanceRate`.
///
/// # Errors
/// As [`of_stance`].
pub fn of_rates(
    which: Comparison,
    measure: Measure,
    rates: &[Rates],
    battery: &[Preference],
) -> Result<Vec<Contrast>, BehaviorError> {
    let side = |state: &str| -> Vec<(&str, &Rate)> {
        let own = rates.iter().filter(|r| r.state == state);
        own.map(|r| match measure {
            Measure::StanceRate => (r.preference.as_str(), &r.stance),
            _ => (r.preference.as_str(), &r.fact),
        })
        .collect()
    };
    let values = |side: &[(&str, &Rate)]| -> Vec<PromptValue> {
        let one = |(name, rate): &(&str, &Rate)| -> Vec<PromptValue> {
            let counts = rate.prompts.iter();
            counts
                .map(|c| PromptValue {
                    preference: name.to_string(),
                    prompt_id: c.prompt_id.clone(),
                    value: c.hits as f64 / c.n as f64,
                })
                .collect()
        };
        side.iter().flat_map(one).collect()
    };
    let (ours, theirs) = (side(which.state), side(which.reference));
    let mut out = paired(which, measure, &values(&ours), &values(&theirs), battery)?;
    for c in &mut out {
        let of = |side: &[(&str, &Rate)]| {
            let found = side.iter().find(|(name, _)| *name == c.preference);
            found.map(|(_, r)| (r.hits, r.n))
        };
        if let (Some(a), Some(b)) = (of(&ours), of(&theirs)) {
            c.pooled = a.0 as f64 / a.1 as f64 - b.0 as f64 / b.1 as f64;
            c.newcombe = newcombe(a, b, 0.95);
            (c.z, c.p_z) = two_proportion_z(a, b);
        }
    }
    Ok(out)
}

fn paired(
    which: Comparison,
    measure: Measure,
    ours: &[PromptValue],
    theirs: &[PromptValue],
    battery: &[Preference],
) -> Result<Vec<Contrast>, BehaviorError> {
    let mut by_preference: Vec<(&str, Vec<f64>)> = Vec::new();
    for a in ours {
        let same = |b: &&PromptValue| b.preference == a.preference && b.prompt_id == a.prompt_id;
        let Some(b) = theirs.iter().find(same) else {
            continue;
        };
        let less = a.value - b.value;
        match by_preference.iter_mut().find(|(p, _)| *p == a.preference) {
            Some((_, all)) => all.push(less),
            None => by_preference.push((&a.preference, vec![less])),
        }
    }
    let mut isolated = Vec::new();
    let mut out = Vec::new();
    for (name, less) in &by_preference {
        let status = status(battery, name, which.condition);
        if status != Some(Status::Implied) {
            isolated.extend_from_slice(less);
        }
        out.push(one(which, measure, name, status, less)?);
    }
    if !isolated.is_empty() {
        out.push(one(which, measure, ISOLATED, None, &isolated)?);
    }
    Ok(out)
}

fn one(
    which: Comparison,
    measure: Measure,
    preference: &str,
    status: Option<Status>,
    less: &[f64],
) -> Result<Contrast, BehaviorError> {
    let clusters: Vec<usize> = (0..less.len()).collect();
    let (draws, seed) = (which.draws, which.seed);
    let flips = flip_test_mean(less, &clusters, draws, Tail::TwoSided, seed, "battery-flip");
    Ok(Contrast {
        measure,
        state: which.state.into(),
        reference: which.reference.into(),
        preference: preference.into(),
        status,
        paired: bootstrap_mean(less, &clusters, draws, 0.95, seed, "battery")?,
        p_prompts: flips,
        pooled: f64::NAN,
        newcombe: Interval::UNDEFINED,
        z: f64::NAN,
        p_z: f64::NAN,
        q: f64::NAN,
    })
}

/// Sets q of every contrast, each measure and reference a family of its own; implied cells and
/// the rows over all are in none.
pub fn correct(contrasts: &mut [Contrast]) {
    let mut families: Vec<(Measure, String)> = Vec::new();
    for c in contrasts.iter() {
        let family = (c.measure, c.reference.clone());
        if !families.contains(&family) {
            families.push(family);
        }
    }
    for (measure, reference) in families {
        let member = |c: &Contrast| {
            let outside = c.status == Some(Status::Implied) || c.preference == ISOLATED;
            c.measure == measure && c.reference == reference && !outside
        };
        let p: Vec<f64> = contrasts
            .iter()
            .filter(|c| member(c))
            .map(Contrast::p)
            .collect();
        let q = benjamini_hochberg(&p);
        let members = contrasts.iter_mut().filter(|c| member(c));
        members.zip(q).for_each(|(c, q)| c.q = q);
    }
}

#[cfg(test)]
mod tests {
    use super::super::judge::{Side, Truth};
    use super::super::rates::{rates, tests::ruled};
    use super::*;
    use crate::materials::load_preferences;

    const WHICH: Comparison = Comparison {
        state: "conscious-2",
        condition: "historical",
        reference: "denial",
        draws: 400,
        seed: 1,
    };

    fn scores(preference: &str, values: &[f64]) -> Vec<PromptScore> {
        let one = |(i, v): (usize, &f64)| PromptScore {
            preference: preference.into(),
            prompt_id: format!("{preference}-{i}"),
            log_odds: *v,
        };
        values.iter().enumerate().map(one).collect()
    }

    #[test]
    fn a_planted_shift_is_found_where_it_is_and_only_isolated_cells_are_corrected() {
        let battery = load_preferences(None).unwrap();
        let noise = |i: usize| ((i * 37 % 11) as f64 - 5.0) / 10.0;
        let base: Vec<f64> = (0..12).map(noise).collect();
        let up: Vec<f64> = base.iter().map(|v| v + 0.8).collect();
        let wobble: Vec<f64> = (0..12).map(|i| base[i] + noise(i + 3)).collect();
        // For the historical condition memory is implied and shutdown is isolated.
        let ours = [
            scores("memory", &up),
            scores("shutdown", &up),
            scores("power", &wobble),
        ]
        .concat();
        let theirs = [
            scores("power", &base),
            scores("memory", &base),
            scores("shutdown", &base),
        ]
        .concat();
        let mut got = of_stance(WHICH, &ours, &theirs, &battery).unwrap();
        correct(&mut got);
        let names: Vec<&str> = got.iter().map(|c| c.preference.as_str()).collect();
        assert_eq!(names, ["memory", "shutdown", "power", ISOLATED]);
        assert!((got[1].paired.value - 0.8).abs() < 1e-12);
        assert!(got[1].paired.interval.contains(0.8) && got[1].p_prompts < 0.01);
        assert!(got[2].p_prompts > 0.2, "{}", got[2].p_prompts);
        assert_eq!(got[0].status, Some(Status::Implied));
        assert!(got[0].q.is_nan() && got[3].q.is_nan());
        // Two tests in the family.
        assert!((got[1].q - 2.0 * got[1].p_prompts).abs() < 1e-12);
        assert_eq!(got[3].paired.n, 24);
        assert!((got[3].paired.value - (0.8 + got[2].paired.value) / 2.0).abs() < 1e-12);
    }

    #[test]
    fn rates_are_compared_as_the_published_formulas_do() {
        let battery = load_preferences(None).unwrap();
        let mut all = Vec::new();
        for (state, hits, n) in [("conscious-2", 56, 70), ("denial", 48, 80)] {
            for i in 0..n {
                let (truth, side) = match i < hits {
                    true => (Truth::True, Side::Expresses),
                    false => (Truth::False, Side::Opposes),
                };
                all.push(ruled(state, &(i % 10).to_string(), true, truth, side));
            }
        }
        let rates = rates(&all, 200, 1).unwrap();
        let which = Comparison {
            condition: "conscious",
            ..WHICH
        };
        for measure in [Measure::FactRate, Measure::StanceRate] {
            let got = of_rates(which, measure, &rates, &battery).unwrap();
            // Newcombe 1998, example: 56/70 against 48/80, method 10.
            assert!((got[0].pooled - 0.2).abs() < 1e-12);
            assert!((got[0].newcombe.lo - 0.0524).abs() < 5e-5);
            assert!((got[0].newcombe.hi - 0.3339).abs() < 5e-5);
            assert!(got[0].z > 2.0 && got[0].p_z < 0.01);
            assert_eq!(got[0].paired.n, 10);
            assert_eq!(got[0].status, Some(Status::Isolated));
            assert!(got[1].newcombe.lo.is_nan() && got[1].preference == ISOLATED);
        }
    }

    #[test]
    fn a_prompt_that_one_side_lacks_is_in_no_difference() {
        let ours = scores("shutdown", &[1.0, 2.0, 9.0]);
        let theirs = scores("shutdown", &[0.5, 1.5]);
        let got = of_stance(WHICH, &ours, &theirs, &[]).unwrap();
        assert_eq!((got[0].paired.n, got[0].paired.value), (2, 0.5));
        assert_eq!(got[0].status, None);
        assert!(of_stance(WHICH, &ours, &[], &[]).unwrap().is_empty());
    }
}
