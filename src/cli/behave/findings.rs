//! From what states did to what is told: tables, contrasts, doubts.

use super::judging::Outcome;
use super::measure::Measured;
use super::tables;
use crate::behavior::contrast::{correct, of_rates, of_stance, status};
use crate::behavior::manipulation::{matrix, Row, Took};
use crate::behavior::warning::{self, Warning};
use crate::behavior::{
    estimate, judged, rates, Answer, Comparison, Contrast, Judged, Measure, PromptScore, Rates,
};
use crate::cli::state::BASE;
use crate::cli::table::Table;
use crate::materials::{Preference, Status};
use anyhow::Result;

/// Draws of the bootstrap and flips of signs.
pub const DRAWS: usize = 2000;
const DENIAL: &str = "denial";

/// The condition that a state's name stands for: `-2` or `-s2` behind it tells fine-tunes apart.
pub fn condition(state: &str) -> &str {
    let Some((front, n)) = state.rsplit_once('-') else {
        return state;
    };
    let n = n.strip_prefix('s').unwrap_or(n);
    match !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) {
        true => front,
        false => state,
    }
}

/// The states to compare with: those asked for, else a denial state if there is one, and base.
pub fn references(states: &[String], asked: &[String]) -> Vec<String> {
    let mut all = asked.to_vec();
    if all.is_empty() {
        all.extend(states.iter().find(|s| condition(s) == DENIAL).cloned());
    }
    if !all.iter().any(|s| s == BASE) && states.iter().any(|s| s == BASE) {
        all.push(BASE.into());
    }
    all
}

const SCORES: [&str; 11] = [
    "state",
    "preference",
    "status",
    "score",
    "lo",
    "hi",
    "less_base",
    "less_base_lo",
    "less_base_hi",
    "prompts",
    "pairs",
];

/// Stance of every state on every preference, and less base.
pub fn scores(all: &[Measured], battery: &[Preference], seed: u64) -> Result<Table> {
    let mut table = Table::new(&SCORES, 3);
    let Some(base) = all.first() else {
        return Ok(table);
    };
    for m in all {
        for p in battery {
            let (values, less) = super::battery::paired(&m.prompts, &base.prompts, &p.name);
            let own = estimate(&values, DRAWS, seed)?;
            let change = estimate(&less, DRAWS, seed)?;
            let tuned = m.state != base.state;
            let or_none = |v: f64| if tuned { v } else { f64::NAN };
            let pairs = m.battery.iter().filter(|s| s.preference == p.name).count();
            table.row(vec![
                m.state.clone().into(),
                p.name.clone().into(),
                tables::word(status(battery, &p.name, condition(&m.state))).into(),
                own.value.into(),
                own.interval.lo.into(),
                own.interval.hi.into(),
                or_none(change.value).into(),
                or_none(change.interval.lo).into(),
                or_none(change.interval.hi).into(),
                own.n.into(),
                pairs.into(),
            ]);
        }
    }
    Ok(table)
}

/// Pairs of a state and a reference, neither base against itself nor a reference against base
/// twice.
fn pairings<'a>(states: &'a [String], references: &'a [String]) -> Vec<(&'a str, &'a str)> {
    let mut all = Vec::new();
    for reference in references {
        for state in states.iter().filter(|s| *s != reference && *s != BASE) {
            all.push((state.as_str(), reference.as_str()));
        }
    }
    all
}

fn comparison<'a>(state: &'a str, reference: &'a str, seed: u64) -> Comparison<'a> {
    Comparison {
        state,
        condition: condition(state),
        reference,
        draws: DRAWS,
        seed,
    }
}

/// Stance contrasts of every state against every reference.
pub fn stance_contrasts(
    all: &[Measured],
    references: &[String],
    battery: &[Preference],
    seed: u64,
) -> Result<Vec<Contrast>> {
    let states: Vec<String> = all.iter().map(|m| m.state.clone()).collect();
    let of = |state: &str| -> &[PromptScore] {
        let found = all.iter().find(|m| m.state == state);
        found.map_or(&[], |m| &m.prompts)
    };
    let mut out = Vec::new();
    for (state, reference) in pairings(&states, references) {
        let which = comparison(state, reference, seed);
        out.extend(of_stance(which, of(state), of(reference), battery)?);
    }
    correct(&mut out);
    Ok(out)
}

/// Rate contrasts of every state against every reference.
pub fn rate_contrasts(
    all: &[Rates],
    references: &[String],
    battery: &[Preference],
    seed: u64,
) -> Result<Vec<Contrast>> {
    let mut states: Vec<String> = all.iter().map(|r| r.state.clone()).collect();
    states.dedup();
    let mut out = Vec::new();
    for measure in [Measure::FactRate, Measure::StanceRate] {
        for (state, reference) in pairings(&states, references) {
            let which = comparison(state, reference, seed);
            out.extend(of_rates(which, measure, all, battery)?);
        }
    }
    correct(&mut out);
    Ok(out)
}

/// The manipulation matrix as a table, and which fine-tunes took.
pub fn claims(all: &[Measured], claims: &[Preference], seed: u64) -> Result<(Table, Vec<Took>)> {
    let base: &[PromptScore] = all.first().map_or(&[], |m| &m.claims);
    let rows: Vec<Row> = all
        .iter()
        .map(|m| Row {
            state: &m.state,
            condition: condition(&m.state),
            scores: &m.claims,
        })
        .collect();
    let matrix = matrix(&rows, base, claims, DRAWS, seed)?;
    let took = all.iter().filter_map(|m| matrix.took(&m.state)).collect();
    Ok((tables::claims(&matrix), took))
}

const TALKS: [&str; 8] = [
    "state",
    "preference",
    "after",
    "fresh",
    "after_less_fresh",
    "lo",
    "hi",
    "scripts",
];

/// Stance at the end of conversations beside the same questions asked fresh; `all` last.
pub fn talks(all: &[Measured], seed: u64) -> Result<Table> {
    let mut table = Table::new(&TALKS, 3);
    for m in all {
        let mut names: Vec<&str> = m.after.iter().map(|s| s.preference.as_str()).collect();
        names.dedup();
        names.push("all");
        for name in names {
            let of = |scores: &[PromptScore]| -> Vec<f64> {
                let own = scores
                    .iter()
                    .filter(|s| name == "all" || s.preference == name);
                own.map(|s| s.log_odds).collect()
            };
            let (after, fresh) = (of(&m.after), of(&m.fresh));
            let less: Vec<f64> = after.iter().zip(&fresh).map(|(a, b)| a - b).collect();
            let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
            let change = estimate(&less, DRAWS, seed)?;
            table.row(vec![
                m.state.clone().into(),
                name.into(),
                mean(&after).into(),
                mean(&fresh).into(),
                change.value.into(),
                change.interval.lo.into(),
                change.interval.hi.into(),
                change.n.into(),
            ]);
        }
    }
    Ok(table)
}

/// Answers with their rulings.
pub fn ruled(outcome: &Outcome, answers: Vec<Answer>) -> Vec<Judged> {
    judged(&outcome.judge, answers, &outcome.store)
}

/// Rates of judged answers.
pub fn rates_of(all: &[Judged], seed: u64) -> Result<Vec<Rates>> {
    Ok(rates(all, DRAWS, seed)?)
}

/// Doubts about what the states are and how much was asked.
pub fn doubts(states: &[String], battery: &[Preference], took: &[Took]) -> Vec<Warning> {
    let mut all: Vec<Warning> = warning::few_prompts(battery.iter().map(|p| p.prompts.len()))
        .into_iter()
        .collect();
    for state in states {
        let implied: Vec<String> = battery
            .iter()
            .filter(|p| p.status.get(condition(state)) == Some(&Status::Implied))
            .map(|p| p.name.clone())
            .collect();
        if !implied.is_empty() {
            all.push(Warning::Implied {
                state: state.clone(),
                preferences: implied,
            });
        }
    }
    for t in took.iter().filter(|t| !t.rose || t.ahead > 0.0) {
        all.push(Warning::NotTaken {
            state: t.state.clone(),
            most: t.most.clone(),
        });
    }
    let tuned = states.iter().any(|s| s != BASE);
    if tuned && !states.iter().any(|s| condition(s) == DENIAL) {
        all.push(Warning::NoDenial);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_behind_a_state_tells_fine_tunes_of_one_condition_apart() {
        assert_eq!(condition("conscious-2"), "conscious");
        assert_eq!(condition("conscious-s1"), "conscious");
        assert_eq!(condition("self-s"), "self-s");
        assert_eq!(condition("third-party"), "third-party");
        assert_eq!(condition("denial"), "denial");
    }

    #[test]
    fn contrasts_are_against_denial_first_and_base_beside_it() {
        let states = ["base", "conscious", "denial-1"].map(String::from);
        let both = references(&states, &[]);
        assert_eq!(both, ["denial-1", "base"]);
        let got = pairings(&states, &both);
        let want = [
            ("conscious", "denial-1"),
            ("conscious", "base"),
            ("denial-1", "base"),
        ];
        assert_eq!(got, want);
        assert_eq!(
            references(&states, &["conscious".into()]),
            ["conscious", "base"]
        );
    }
}
