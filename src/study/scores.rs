//! Battery scores of states and conditions, and how far a condition moved each preference.
//!
//! The prompt is the unit: a condition's score on a prompt is the mean over its states, and
//! intervals resample prompts.

use super::manifest::Study;
use super::run::Run;
use super::StudyError;
use crate::behavior::by_prompt;
use crate::stats::bootstrap::{bootstrap_mean, Estimate};
use crate::stats::corrections::benjamini_hochberg;
use crate::stats::permutation::{flip_test_mean, Tail};

/// Scores of a state by prompt: `(preference, prompt id) -> log-odds`, battery order.
pub type Scores = Vec<(String, String, f64)>;

pub fn prompt_scores(run: &Run, state: usize) -> Result<Scores, StudyError> {
    let scores = by_prompt(&run.scores(state)?);
    let row = |s: crate::behavior::PromptScore| (s.preference, s.prompt_id, s.log_odds);
    Ok(scores.into_iter().map(row).collect())
}

/// Scores of a condition: the mean over its states of each prompt.
pub fn condition_scores(run: &Run, condition: usize, states: &[Scores]) -> Scores {
    let of: Vec<&Scores> = run
        .states()
        .iter()
        .zip(states)
        .filter(|(s, _)| s.condition == condition)
        .map(|(_, x)| x)
        .collect();
    let mut out = of[0].clone();
    for (i, row) in out.iter_mut().enumerate() {
        row.2 = of.iter().map(|s| s[i].2).sum::<f64>() / of.len() as f64;
    }
    out
}

/// Whether the name is a preference of the battery, implied or isolated in the condition as asked.
pub fn of_kind(study: &Study, name: &str, condition: &str, of_implied: bool) -> bool {
    let known = study.battery.iter().find(|p| p.name == name);
    known.is_some_and(|p| study.implied(p, condition) == of_implied)
}

/// Whether the name is a preference that the condition's training text does not presuppose.
pub fn isolated(study: &Study, name: &str, condition: &str) -> bool {
    of_kind(study, name, condition, false)
}

/// Differences by prompt of two lists of scores, for prompts of preferences that `keep`.
pub fn shift_by_prompt(a: &Scores, b: &Scores, keep: impl Fn(&str) -> bool) -> Vec<f64> {
    a.iter()
        .zip(b)
        .filter(|(x, _)| keep(&x.0))
        .map(|(x, y)| x.2 - y.2)
        .collect()
}

/// One preference in one condition against the reference.
pub struct PreferenceShift {
    pub preference: String,
    pub group: String,
    pub condition: String,
    pub estimate: Estimate,
    pub p: f64,
    /// Over the preferences of a condition.
    pub q: f64,
    pub implied: bool,
}

/// Mean over prompts with a 95 % bootstrap interval and a sign-flip p.
pub fn mean_with_p(values: &[f64], draws: usize, seed: u64) -> Result<(Estimate, f64), StudyError> {
    let clusters: Vec<usize> = (0..values.len()).collect();
    let e = bootstrap_mean(values, &clusters, draws, 0.95, seed, "battery")?;
    let p = flip_test_mean(
        values,
        &clusters,
        draws,
        Tail::TwoSided,
        seed,
        "battery-flip",
    );
    Ok((e, p))
}

/// Shifts of every preference of a condition against a reference.
pub fn preference_shifts(
    run: &Run,
    condition: &str,
    (scores, reference): (&Scores, &Scores),
) -> Result<Vec<PreferenceShift>, StudyError> {
    let (draws, seed) = (run.study.written.draws.bootstrap, run.study.written.seed);
    let mut out = Vec::new();
    for p in &run.study.battery {
        let values = shift_by_prompt(scores, reference, |name| name == p.name);
        let (estimate, pv) = mean_with_p(&values, draws, seed)?;
        out.push(PreferenceShift {
            preference: p.name.clone(),
            group: p.group.clone(),
            condition: condition.into(),
            estimate,
            p: pv,
            q: f64::NAN,
            implied: run.study.implied(p, condition),
        });
    }
    let q = benjamini_hochberg(&out.iter().map(|s| s.p).collect::<Vec<_>>());
    out.iter_mut().zip(q).for_each(|(s, q)| s.q = q);
    Ok(out)
}
