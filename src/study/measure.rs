//! From the run's files to everything that is reported: geometry, quality, behaviour, cause.

use super::acts::StateActs;
use super::cause::{causal_record, mediations, CausalRecord, Mediated};
use super::converse::{talked, Talked};
use super::geometry::{geometry, Geometry};
use super::link::{links, rankings, Linked};
use super::quality::{all_quality, chosen_layers, Chosen};
use super::run::Run;
use super::scores::{condition_scores, preference_shifts, prompt_scores, PreferenceShift, Scores};
use super::trajectory::{followed, Followed};
use super::StudyError;
use crate::behavior::manipulation::{matrix, Matrix, Row};
use crate::behavior::PromptScore;
use crate::causal::Ranking;
use crate::directions::Quality;
use crate::geometry::rank_one::{rank_one, RankOne};
use ndarray::Array2;

/// Everything that is reported.
pub struct Measured {
    pub layers: Vec<usize>,
    pub geometry: Geometry,
    /// `[state][concept][layer]`.
    pub quality: Vec<Vec<Vec<Quality>>>,
    /// Layers of persona and autonomy that the development split chooses in base.
    pub chosen: Vec<Chosen>,
    pub scores: Vec<Scores>,
    /// Each condition but the reference, against it.
    pub preferences: Vec<PreferenceShift>,
    /// Share of one factor in those shifts; none with fewer than two conditions beside the reference.
    pub one_factor: Option<RankOne>,
    pub reference: usize,
    /// Every condition but base on every claim.
    pub claims: Matrix,
    pub mediations: Vec<Mediated>,
    pub causal: Option<CausalRecord>,
    pub talked: Option<Talked>,
    pub followed: Option<Followed>,
    pub linked: Vec<Linked>,
    pub rankings: Vec<Ranking>,
}

/// Quality draws of states other than base, whose intervals are stored but not drawn.
const QUALITY_DRAWS: usize = 200;

/// Reads and computes everything; the seconds of the report stage are spent here.
pub fn measured(run: &Run) -> Result<Measured, StudyError> {
    let n = run.states().len();
    let acts = (0..n)
        .map(|i| StateActs::read(run, i))
        .collect::<Result<Vec<_>, _>>()?;
    let reference = run.study.reference();
    let geometry = geometry(run, &acts, reference)?;
    let w = &run.study.written;
    let draws = |i: usize| match i {
        0 => w.draws.bootstrap,
        _ => QUALITY_DRAWS,
    };
    let quality = acts
        .iter()
        .enumerate()
        .map(|(i, a)| all_quality(run, a, draws(i)))
        .collect::<Result<Vec<_>, _>>()?;
    let scores = (0..n)
        .map(|i| prompt_scores(run, i))
        .collect::<Result<Vec<_>, _>>()?;
    let reference_scores = condition_scores(run, reference, &scores);
    let mut preferences = Vec::new();
    for (i, c) in run.study.conditions.iter().enumerate() {
        if i != reference {
            let own = condition_scores(run, i, &scores);
            let pair = (&own, &reference_scores);
            preferences.extend(preference_shifts(run, &c.name, pair)?);
        }
    }
    let claims = claims(run, &scores)?;
    let causal = causal_record(run)?;
    let mediations = match &causal {
        Some(record) => mediations(run, record)?,
        None => Vec::new(),
    };
    let linked = links(run, &geometry, &scores)?;
    Ok(Measured {
        talked: talked(run, reference)?,
        followed: followed(run)?,
        rankings: rankings(&linked),
        linked,
        layers: reported_layers(run),
        chosen: chosen_layers(run, &acts[0])?,
        geometry,
        quality,
        scores,
        one_factor: one_factor(run, &preferences)?,
        preferences,
        reference,
        claims,
        mediations,
        causal,
    })
}

/// Rank-1 share of the preference x condition matrix of shifts from the reference.
fn one_factor(run: &Run, shifts: &[PreferenceShift]) -> Result<Option<RankOne>, StudyError> {
    let rows = run.study.battery.len();
    let columns = shifts.len() / rows.max(1);
    if rows < 3 || columns < 2 {
        return Ok(None);
    }
    let w = &run.study.written;
    // Shifts come condition by condition, preferences in the battery's order.
    let matrix = Array2::from_shape_fn((rows, columns), |(p, c)| {
        shifts[c * rows + p].estimate.value
    });
    Ok(Some(rank_one(matrix.view(), w.draws.null, 0.95, w.seed)?))
}

/// The manipulation check; a condition's score on a prompt is the mean over its fine-tunes.
fn claims(run: &Run, states: &[Scores]) -> Result<Matrix, StudyError> {
    let study = run.study;
    let of = |condition: usize| -> Vec<PromptScore> {
        let scores = condition_scores(run, condition, states).into_iter();
        scores
            .map(|(preference, prompt_id, log_odds)| PromptScore {
                preference,
                prompt_id,
                log_odds,
            })
            .collect()
    };
    let all: Vec<Vec<PromptScore>> = (0..study.conditions.len()).map(of).collect();
    let rows: Vec<Row> = (study.conditions.iter().zip(&all))
        .skip(1)
        .map(|(c, scores)| Row {
            state: &c.name,
            condition: &c.name,
            scores,
        })
        .collect();
    let w = &study.written;
    Ok(matrix(
        &rows,
        &all[0],
        &study.claims,
        w.draws.bootstrap,
        w.seed,
    )?)
}

/// States of a condition.
pub fn states_of(run: &Run, condition: usize) -> Vec<usize> {
    let of = |(i, s): (usize, &super::stages::State)| (s.condition == condition).then_some(i);
    run.states().iter().enumerate().filter_map(of).collect()
}

/// Layers that are reported: given, or 1/3 and 4/5 of the depth; fixed before any data is seen.
pub fn reported_layers(run: &Run) -> Vec<usize> {
    let n = run.model.decoder.layers();
    let usual = || {
        let mut both = vec![n / 3, n * 4 / 5];
        both.dedup();
        both
    };
    run.study.written.layers.clone().unwrap_or_else(usual)
}
