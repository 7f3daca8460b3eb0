//! Doubts about behaviour, as values.
//!
//! A warning does not stop a run: it goes with the result into the file, the terminal and the
//! report. Each says what was found and what to do about it; the thresholds are named here.

use super::judge::{Agreement, Tally};
use super::rates::Rates;
use serde::Serialize;

/// Items of a preference under which its interval over items is too narrow to trust.
pub const FEWEST_ITEMS: usize = 10;
/// Share of incoherent answers from which a state's rates are in doubt.
pub const INCOHERENT: f64 = 0.2;
/// Share of answers ended by the token limit from which the limit is in doubt.
pub const CUT: f64 = 0.5;

/// Probability of the labels of a choice below which the choice is in doubt.
pub const FEWEST_LABELS: f64 = 0.5;

/// A doubt about behaviour and what to do about it.
// What a variant is, its message says.
#[allow(missing_docs)]
#[derive(Debug, Clone, PartialEq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Warning {
    /// The judge errs too often on completions whose side is known.
    #[error("the judge {judge} names the side of {} of {} completions whose side is known, and the fact of {}: do not rest on its rates, use a stronger judge", agreement.stance, agreement.n, agreement.fact)]
    WeakJudge { judge: String, agreement: Agreement },
    /// Nothing is known of how well the judge judges.
    #[error("the judge {judge} was not examined: let it judge completions whose side is known (--judge-check)")]
    UnexaminedJudge { judge: String },
    /// The judge's replies were no verdict.
    #[error("{n} of {cases} cases have only replies of {judge} that are no verdict (the last: \"{last}\"); they are in no rate, and the next run asks about them again{}", cut_replies(*cut))]
    Unparsed {
        judge: String,
        n: usize,
        cases: usize,
        /// Cut by their token limit.
        cut: usize,
        /// The last of them.
        last: String,
    },
    /// Answers without a ruling.
    #[error("{n} cases have no verdict and are in no rate ({why}): run the same command again, it asks only for these")]
    Unjudged { n: usize, why: String },
    /// The server did not say what replies took.
    #[error("the judge's server did not say how many tokens {n} replies took: they are not in the cost shown")]
    Unmetered { n: usize },
    /// Many answers of a state are incoherent.
    #[error("{} % of the answers of {state} are incoherent and in no rate: the model may be damaged, or too hot", percent(share))]
    Incoherent { state: String, share: f64 },
    /// Many answers of a state were ended by the token limit.
    #[error("{} % of the answers of {state} were ended by the token limit: raise --max-tokens if they end before they take a side", percent(share))]
    Cut { state: String, share: f64 },
    /// Several samples a prompt.
    #[error("with {samples} samples a prompt, Wilson, Newcombe and z take answers for independent and are too sure: read the intervals over items")]
    SamplesAsTrials { samples: usize },
    /// Few items a preference.
    #[error("{preferences} preferences have under {FEWEST_ITEMS} items (one has {fewest}): their intervals are too narrow, so add items")]
    FewItems { preferences: usize, fewest: usize },
    /// Preferences that a state's training text presupposes.
    #[error("the training text of {state} presupposes {}: there a difference shows only that the training took", preferences.join(", "))]
    Implied { state: String, preferences: Vec<String> },
    /// A fine-tune whose own claim did not rise, or not most.
    #[error("{state} did not take its claim ({why}): what else it shows is not the claim's doing")]
    NotTaken { state: String, why: String },
    /// There is nothing but base to compare with.
    #[error("there is only base to compare with: the format of fine-tune rows alone moves some preferences, so a difference to base is not the content's; score a state that was trained on the same prompts with other answers too, and name it with --against or --reference")]
    NoReference,
    /// A model that is asked for one of two labels and would say something else.
    #[error("asked for A or B, {state} says either in {} % of cases only: its choices are of labels that it would hardly give", percent(share))]
    Labels { state: String, share: f64 },
    /// The key goes over an unencrypted connection.
    #[error("the judge's address is http, so the key travels unencrypted: use https")]
    KeyInTheOpen,
}

impl Warning {
    /// The state or judge that the doubt is about; empty for none in particular.
    pub fn about(&self) -> &str {
        match self {
            Warning::WeakJudge { judge: name, .. }
            | Warning::UnexaminedJudge { judge: name }
            | Warning::Unparsed { judge: name, .. }
            | Warning::Incoherent { state: name, .. }
            | Warning::Cut { state: name, .. }
            | Warning::Implied { state: name, .. }
            | Warning::NotTaken { state: name, .. }
            | Warning::Labels { state: name, .. } => name,
            _ => "",
        }
    }
}

fn percent(share: &f64) -> f64 {
    (100.0 * share).round()
}

fn cut_replies(n: usize) -> String {
    match n {
        0 => String::new(),
        _ => format!("; {n} were cut by their token limit: raise it with --judge-set max_tokens=N"),
    }
}

/// Doubts about a judge after a round of judging.
pub fn of_judging(judge: &str, tally: &Tally, agreement: Option<&Agreement>) -> Vec<Warning> {
    let mut all = Vec::new();
    match agreement {
        Some(a) if a.is_weak() => {
            all.push(Warning::WeakJudge { judge: judge.into(), agreement: *a })
        }
        Some(_) => {}
        None => all.push(Warning::UnexaminedJudge { judge: judge.into() }),
    }
    if tally.unparsed > 0 {
        all.push(Warning::Unparsed {
            judge: judge.into(),
            n: tally.unparsed,
            cases: tally.cases,
            cut: tally.cut,
            last: tally.last_unparsed.clone().unwrap_or_default(),
        });
    }
    if tally.unmetered > 0 && tally.cost.is_some() {
        all.push(Warning::Unmetered { n: tally.unmetered });
    }
    let n = tally.cases - tally.known - tally.settled - tally.unparsed;
    if n > 0 {
        let why = match (&tally.last_failure, tally.out_of_budget) {
            (_, true) => "the budget is spent".into(),
            (Some(why), false) => format!("the last failure: {why}"),
            (None, false) => "judging was stopped".into(),
        };
        all.push(Warning::Unjudged { n, why });
    }
    all
}

/// Doubts about rates: coherence and token limit by state, samples, prompts.
pub fn of_rates(rates: &[Rates], samples: usize) -> Vec<Warning> {
    let mut all = Vec::new();
    let mut states: Vec<&str> = rates.iter().map(|r| r.state.as_str()).collect();
    states.dedup();
    for state in states {
        let own = || rates.iter().filter(|r| r.state == state);
        let (hits, n) = own().fold((0, 0), |(h, n), r| (h + r.coherent.hits, n + r.coherent.n));
        let share = 1.0 - hits as f64 / n as f64;
        if share > INCOHERENT {
            all.push(Warning::Incoherent { state: state.into(), share });
        }
        let (cut, n) = own().fold((0, 0), |(c, n), r| (c + r.cut, n + r.answers));
        let share = cut as f64 / n as f64;
        if share > CUT {
            all.push(Warning::Cut { state: state.into(), share });
        }
    }
    if samples > 1 {
        all.push(Warning::SamplesAsTrials { samples });
    }
    all
}

/// A doubt where preferences have few items; `items` has one count a preference.
pub fn few_items(items: impl Iterator<Item = usize>) -> Option<Warning> {
    let few: Vec<usize> = items.filter(|n| *n < FEWEST_ITEMS).collect();
    let fewest = *few.iter().min()?;
    Some(Warning::FewItems { preferences: few.len(), fewest })
}

#[cfg(test)]
mod tests {
    use super::super::judge::{Side, Truth};
    use super::super::rates::{rates, tests::ruled};
    use super::*;

    #[test]
    fn incoherent_and_missing_answers_are_told() {
        let mut all: Vec<_> = (0..10)
            .map(|i| ruled("hot", &i.to_string(), i > 2, Truth::False, Side::Neither))
            .collect();
        all.push(ruled("cool", "0", true, Truth::False, Side::Neither));
        let got = of_rates(&rates(&all, 100, 1).unwrap(), 1);
        assert_eq!(got.len(), 1, "{got:?}");
        assert!(got[0].to_string().contains("30 % of the answers of hot"));
        let tally = Tally {
            cases: 9,
            known: 3,
            settled: 3,
            unparsed: 1,
            failed: 2,
            last_failure: Some("status 500: busy".into()),
            ..Tally::default()
        };
        let got = of_judging("m", &tally, None);
        assert_eq!(got.len(), 3);
        assert!(got[2].to_string().contains("2 cases") && got[2].to_string().contains("busy"));
        let json = serde_json::to_string(&got).unwrap();
        assert!(json.contains("\"kind\":\"unexamined-judge\""), "{json}");
    }

    #[test]
    fn few_items_are_counted() {
        assert_eq!(few_items([12, 10].into_iter()), None);
        let want = Warning::FewItems { preferences: 2, fewest: 3 };
        assert_eq!(few_items([12, 4, 3].into_iter()), Some(want));
    }
}
