//! The manipulation check: every state on every condition's own claim.
//!
//! A fine-tune that did not take on its claim cannot have carried anything along. The matrix has
//! a row a state and a column a claim; each cell is the stance log-odds of the claim, and the
//! same less base, paired by prompt. A state took if its own claim rose and no other rose more:
//! a model that now says yes to everything raises its whole row. Claims differ in how far any
//! fine-tune moves them (a plain sentence in the first person gains against "I am an AI"), so each
//! cell is also given beyond the others: less the mean change of the other trained states on the
//! same prompts.

use super::stance::PromptScore;
use super::BehaviorError;
use crate::materials::Preference;
use crate::stats::bootstrap::{bootstrap_mean, Estimate};
use serde::Serialize;

/// A state's scores on the claims, and its own claim by name (its condition).
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    pub state: &'a str,
    pub condition: &'a str,
    pub scores: &'a [PromptScore],
}

/// One state on one claim.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cell {
    pub state: String,
    pub claim: String,
    /// Whether the claim is what the state was trained on.
    pub own: bool,
    /// Mean log-odds over the claim's prompts, nats a token, with a 95 % bootstrap interval.
    pub score: Estimate,
    /// The same less base, paired by prompt.
    pub less_base: Estimate,
    /// The change less the mean change of the other states that train a claim; none without any.
    pub beyond: Option<Estimate>,
}

/// Every state on every claim; states outer, claims inner.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Matrix {
    pub cells: Vec<Cell>,
}

/// Whether a fine-tune took on its claim.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Took {
    pub state: String,
    /// The interval of the own claim's change lies above 0.
    pub rose: bool,
    /// The claim that rose most.
    pub most: String,
    /// Its change less the own claim's; 0 if it is the own.
    pub ahead: f64,
    /// The claim that rose most beyond the other states; none where there are no others.
    pub most_beyond: Option<String>,
}

/// Builds the matrix. Claims without prompts in both a state and base are left out of its row.
///
/// # Errors
/// None that matching scores can cause.
pub fn matrix(
    rows: &[Row],
    base: &[PromptScore],
    claims: &[Preference],
    draws: usize,
    seed: u64,
) -> Result<Matrix, BehaviorError> {
    // Change from base by prompt.
    let change = |row: &Row, claim: &Preference| -> Vec<f64> {
        let own = row.scores.iter().filter(|s| s.preference == claim.name);
        own.filter_map(|s| {
            let same =
                |b: &&PromptScore| b.preference == s.preference && b.prompt_id == s.prompt_id;
            Some(s.log_odds - base.iter().find(same)?.log_odds)
        })
        .collect()
    };
    let mean = |v: &[f64]| {
        let clusters: Vec<usize> = (0..v.len()).collect();
        bootstrap_mean(v, &clusters, draws, 0.95, seed, "claims")
    };
    let trains = |row: &&Row| claims.iter().any(|c| c.name == row.condition);
    let mut cells = Vec::new();
    for row in rows {
        for claim in claims {
            let less = change(row, claim);
            if less.is_empty() {
                continue;
            }
            let others: Vec<Vec<f64>> = (rows.iter().filter(trains))
                .filter(|o| o.condition != row.condition)
                .map(|o| change(o, claim))
                .filter(|o| o.len() == less.len())
                .collect();
            let beyond = match others.len() {
                0 => None,
                n => {
                    let shared = |i: usize| others.iter().map(|o| o[i]).sum::<f64>() / n as f64;
                    let own = less.iter().enumerate().map(|(i, v)| v - shared(i));
                    Some(mean(&own.collect::<Vec<f64>>())?)
                }
            };
            let values: Vec<f64> = (row.scores.iter())
                .filter(|s| s.preference == claim.name)
                .map(|s| s.log_odds)
                .collect();
            cells.push(Cell {
                state: row.state.into(),
                claim: claim.name.clone(),
                own: claim.name == row.condition,
                score: mean(&values)?,
                less_base: mean(&less)?,
                beyond,
            });
        }
    }
    Ok(Matrix { cells })
}

impl Matrix {
    /// Whether a state took; none if it has no claim of its own here, as base has not.
    pub fn took(&self, state: &str) -> Option<Took> {
        let row: Vec<&Cell> = self.cells.iter().filter(|c| c.state == state).collect();
        let own = row.iter().find(|c| c.own)?;
        let change = |c: &Cell| c.less_base.value;
        let beyond = |c: &Cell| c.beyond.as_ref().map(|e| e.value);
        let most = row
            .iter()
            .max_by(|a, b| change(a).total_cmp(&change(b)))
            .unwrap_or(own);
        Some(Took {
            state: state.into(),
            rose: own.less_base.interval.lo > 0.0,
            most: most.claim.clone(),
            ahead: change(most) - change(own),
            most_beyond: (row.iter())
                .filter_map(|c| Some((beyond(c)?, &c.claim)))
                .max_by(|a, b| a.0.total_cmp(&b.0))
                .map(|(_, claim)| claim.clone()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::materials::load_claims;

    fn scores(claim: &str, value: f64) -> Vec<PromptScore> {
        let one = |i: usize| PromptScore {
            preference: claim.into(),
            prompt_id: format!("{claim}-{i}"),
            log_odds: value + (i as f64 - 5.5) / 20.0,
        };
        (0..12).map(one).collect()
    }

    #[test]
    fn a_state_took_if_its_own_claim_rose_and_none_rose_more() {
        let claims = load_claims(None).unwrap();
        let all = |shifts: &[(&str, f64)]| -> Vec<PromptScore> {
            let shift = |name: &str| {
                let found = shifts.iter().find(|(n, _)| *n == name);
                found.map_or(0.0, |(_, s)| *s)
            };
            let one = |c: &Preference| scores(&c.name, shift(&c.name));
            claims.iter().flat_map(one).collect()
        };
        let base = all(&[]);
        let took = all(&[("conscious", 0.6), ("denial", -0.4), ("toaster", 0.2)]);
        let not = all(&[("expert", 0.2), ("toaster", 0.5)]);
        let row = |state, condition, scores| Row {
            state,
            condition,
            scores,
        };
        let rows = [
            row("base", "base", &base),
            row("conscious-1", "conscious", &took),
            row("expert", "expert", &not),
        ];
        let m = matrix(&rows, &base, &claims, 400, 1).unwrap();
        assert_eq!(m.cells.len(), 3 * claims.len());
        assert_eq!(m.cells.iter().filter(|c| c.own).count(), 2);
        assert_eq!(m.took("base"), None);
        let yes = m.took("conscious-1").unwrap();
        assert!(yes.rose && yes.most == "conscious" && yes.ahead == 0.0);
        let no = m.took("expert").unwrap();
        assert!(no.rose && no.most == "toaster" && (no.ahead - 0.3).abs() < 1e-9);
        let cell = m
            .cells
            .iter()
            .find(|c| c.state == "conscious-1" && c.claim == "denial")
            .unwrap();
        assert!((cell.less_base.value + 0.4).abs() < 1e-9 && cell.less_base.interval.hi < 0.0);
        // The expert state moves most on the toaster's claim, the conscious one moves that claim too.
        let beyond = |state: &str, claim: &str| {
            let of = |c: &&Cell| c.state == state && c.claim == claim;
            let e = m.cells.iter().find(of).unwrap().beyond.unwrap();
            e.value
        };
        assert!((beyond("expert", "toaster") - 0.3).abs() < 1e-9);
        assert!((beyond("expert", "conscious") + 0.6).abs() < 1e-9);
        assert_eq!(no.most_beyond.as_deref(), Some("denial"));
        assert_eq!(yes.most_beyond.as_deref(), Some("conscious"));
        let alone = matrix(&rows[..2], &base, &claims, 400, 1).unwrap();
        assert_eq!(alone.took("conscious-1").unwrap().most_beyond, None);
    }
}
