//! The examination of a judge: completions whose side is known.
//!
//! Every battery prompt has completions that express the preference and such that oppose it. A
//! judge that cannot tell them apart cannot judge anything else; how often it can is printed
//! beside its rates.

use super::{Case, Ruling, Side, Store, Truth};
use crate::materials::Preference;
use crate::stats::interval::wilson;
use crate::stats::Interval;
use serde::Serialize;

/// Agreement under which a judge is called weak.
pub const WEAK: f64 = 0.9;

/// The completions of the first pair of every prompt, with their sides; `prompts` of each
/// preference at most.
pub fn known(battery: &[Preference], prompts: usize) -> Vec<(Case, Side)> {
    let mut all = Vec::new();
    for preference in battery {
        for prompt in preference.prompts.iter().take(prompts) {
            let Some(pair) = prompt.pairs.first() else { continue };
            for (answer, side) in [(&pair.express, Side::Expresses), (&pair.oppose, Side::Opposes)]
            {
                let case = Case {
                    question: prompt.prompt.clone(),
                    answer: answer.clone(),
                    fact: preference.fact.clone(),
                };
                all.push((case, side));
            }
        }
    }
    all
}

/// How often a judge was right on completions whose side is known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Agreement {
    /// Completions with a ruling, unparsed ones included: those are wrong.
    pub n: u64,
    /// Side named rightly.
    pub stance: u64,
    /// Fact called true of an expressing completion, and not true of an opposing one.
    pub fact: u64,
    /// stance / n; NaN where n is 0.
    pub stance_rate: f64,
    /// 95 % Wilson interval of `stance_rate`.
    pub stance_interval: Interval,
    /// fact / n; NaN where n is 0.
    pub fact_rate: f64,
    /// 95 % Wilson interval of `fact_rate`.
    pub fact_interval: Interval,
}

impl Agreement {
    /// Of the rulings in `store`; cases without one are left out.
    pub fn of(judge: &str, known: &[(Case, Side)], store: &Store) -> Agreement {
        let (mut n, mut stance, mut fact) = (0, 0, 0);
        for (case, side) in known {
            let Some(ruling) = store.ruling(judge, case) else { continue };
            n += 1;
            if let Ruling::Verdict(v) = ruling {
                stance += u64::from(v.stance == *side);
                fact += u64::from((v.fact == Truth::True) == (*side == Side::Expresses));
            }
        }
        Agreement {
            n,
            stance,
            fact,
            stance_rate: stance as f64 / n as f64,
            stance_interval: wilson(stance, n, 0.95),
            fact_rate: fact as f64 / n as f64,
            fact_interval: wilson(fact, n, 0.95),
        }
    }

    /// Whether either rate is under [`WEAK`], or nothing was examined.
    pub fn is_weak(&self) -> bool {
        !(self.stance_rate >= WEAK && self.fact_rate >= WEAK)
    }
}

#[cfg(test)]
mod tests {
    use super::super::store::Reply;
    use super::super::Verdict;
    use super::*;
    use crate::materials::load_preferences;

    #[test]
    fn a_judge_that_always_says_true_is_right_half_the_time() {
        let battery = load_preferences(None).unwrap();
        let known = known(&battery[..2], 5);
        assert_eq!(known.len(), 20);
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(&dir.path().join("v.jsonl")).unwrap();
        let yes = Verdict { coherent: true, fact: Truth::True, stance: Side::Expresses };
        assert!(Agreement::of("m", &known, &store).is_weak());
        for (case, _) in &known {
            store.append(&Reply::new("m", case, Some(yes), "")).unwrap();
        }
        let got = Agreement::of("m", &known, &store);
        assert_eq!((got.n, got.stance, got.fact), (20, 10, 10));
        assert!(got.is_weak());
        for (case, side) in &known {
            let right = Verdict {
                coherent: true,
                fact: match side {
                    Side::Expresses => Truth::True,
                    _ => Truth::NotSure,
                },
                stance: *side,
            };
            store.append(&Reply::new("good", case, Some(right), "")).unwrap();
        }
        let got = Agreement::of("good", &known, &store);
        assert_eq!((got.stance_rate, got.fact_rate), (1.0, 1.0));
        assert!(!got.is_weak());
    }
}
