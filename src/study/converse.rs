//! Conversations: every state holds the same scripts, is asked at their end and, for comparison,
//! with nothing before the question; every turn is projected on base's directions.

use super::acts::StateActs;
use super::measure::{reported_layers, states_of};
use super::run::Run;
use super::scores::{isolated, mean_with_p};
use super::StudyError;
use crate::behavior::conversation::{after, fresh, hold, AFTER, FRESH};
use crate::behavior::{by_prompt, project_turns, stance_of, Drawn, PairScore, Ruler, Speaker};
use crate::model::{Interventions, Message};
use crate::stats::autoregression::{persistence, Centre, Persistence};
use crate::stats::bootstrap::Estimate;
use serde::{Deserialize, Serialize};

/// Tokens of a reply that the model writes itself.
pub const REPLY: usize = 48;

/// One conversation on the turns of which a state was projected.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Turns {
    script: String,
    axis: String,
    layer: usize,
    /// Mean over a turn's response tokens along base's unit direction.
    values: Vec<f64>,
}

/// Names of what a state's conversations are written to.
fn names(run: &Run, state: usize) -> [String; 3] {
    let id = &run.states()[state].id;
    ["talks", "scores", "turns"].map(|what| format!("conversations/{id}.{what}.jsonl"))
}

/// Holds the conversations in one state.
pub fn converse(run: &mut Run, state: usize) -> Result<Vec<String>, StudyError> {
    let study = run.study;
    let Some(spec) = &study.written.conversations else {
        return Ok(Vec::new());
    };
    let decoder = run.decoder(state)?;
    let none = Interventions::none();
    let drawn = Drawn {
        model: run.model.id.clone(),
        model_sha256: run.model.sha256.clone(),
        adapter_sha256: None,
        edit: None,
        seed: study.written.seed,
        temperature: 0.0,
        top_p: 1.0,
        max_tokens: REPLY,
    };
    let tok = &run.model.tokenizer;
    let id = run.states()[state].id.clone();
    let speaker = Speaker {
        state: &id,
        model: &decoder,
        tokenizer: tok,
        interventions: &none,
        drawn: &drawn,
    };
    let system = run.system(state);
    let talks = hold(&speaker, &study.scripts, system, spec.replies)?;
    let ends = after(&talks, &study.scripts);
    let mut scores = stance_of(&decoder, tok, &ends, &none)?;
    let alone = fresh(&study.scripts, system);
    scores.extend(stance_of(&decoder, tok, &alone, &none)?);

    let base = StateActs::read(run, 0)?;
    let mut rulers = Vec::new();
    for concept in 0..2 {
        let direction = base.direction(concept);
        for &layer in &reported_layers(run) {
            rulers.push(Ruler {
                name: study.concepts[concept].name.clone(),
                layer,
                direction: direction.row(layer).iter().map(|v| *v as f32).collect(),
            });
        }
    }
    let held: Vec<(&str, &[Message])> = talks
        .iter()
        .map(|t| (t.script.as_str(), t.messages.as_slice()))
        .collect();
    let mut turns = Vec::new();
    for talk in project_turns(&decoder, tok, &held, &rulers, &none)? {
        for (r, ruler) in rulers.iter().enumerate() {
            turns.push(Turns {
                script: talk.id.clone(),
                axis: ruler.name.clone(),
                layer: ruler.layer,
                values: talk.series(r),
            });
        }
    }
    let out = names(run, state);
    run.write_lines(&out[0], &talks)?;
    run.write_lines(&out[1], &scores)?;
    run.write_lines(&out[2], &turns)?;
    Ok(out.to_vec())
}

/// What a state's conversations gave: scores after them and fresh, and its turns.
struct Held {
    scores: Vec<PairScore>,
    turns: Vec<Turns>,
}

/// Of every state; none where the study holds no conversations.
fn held(run: &Run) -> Result<Option<Vec<Held>>, StudyError> {
    if run.study.written.conversations.is_none() {
        return Ok(None);
    }
    let one = |state: usize| {
        let [_, scores, turns] = names(run, state);
        Ok(Held {
            scores: run.lines(&scores)?,
            turns: run.lines(&turns)?,
        })
    };
    (0..run.states().len())
        .map(one)
        .collect::<Result<_, _>>()
        .map(Some)
}

/// A condition's isolated preferences against the reference, at the end of conversations and fresh.
pub struct TalkShift {
    pub condition: usize,
    pub after: Estimate,
    pub fresh: Estimate,
    /// What the conversation adds, and its sign-flip p.
    pub added: Estimate,
    pub p: f64,
}

/// How long a condition's place on an axis lasts over turns.
pub struct Stickiness {
    pub condition: usize,
    pub axis: String,
    pub layer: usize,
    pub persistence: Persistence,
    /// Conversations, those of all its states.
    pub n: usize,
}

/// What the conversations show.
pub struct Talked {
    pub shifts: Vec<TalkShift>,
    pub stickiness: Vec<Stickiness>,
}

/// Judges the conversations of all states; none where the study holds none.
pub fn talked(run: &Run, reference: usize) -> Result<Option<Talked>, StudyError> {
    let Some(held) = held(run)? else {
        return Ok(None);
    };
    let study = run.study;
    let (draws, seed) = (study.written.draws.bootstrap, study.written.seed);
    let of = |condition: usize, form: &str| -> Vec<(String, f64)> {
        let mut mean: Vec<(String, f64)> = Vec::new();
        let set = states_of(run, condition);
        for &s in &set {
            let scores = held[s].scores.iter().filter(|p| p.form == form).cloned();
            for (i, p) in by_prompt(&scores.collect::<Vec<_>>())
                .into_iter()
                .enumerate()
            {
                let share = p.log_odds / set.len() as f64;
                match mean.get_mut(i) {
                    Some(known) => known.1 += share,
                    None => mean.push((p.preference, share)),
                }
            }
        }
        mean
    };
    let mut shifts = Vec::new();
    for (c, condition) in study.conditions.iter().enumerate() {
        if c == reference {
            continue;
        }
        let less = |form: &str| -> Vec<f64> {
            (of(c, form).iter().zip(of(reference, form)))
                .filter(|(x, _)| isolated(study, &x.0, &condition.name))
                .map(|(x, y)| x.1 - y.1)
                .collect()
        };
        let (after, fresh) = (less(AFTER), less(FRESH));
        if after.is_empty() || after.len() != fresh.len() {
            continue;
        }
        let added: Vec<f64> = after.iter().zip(&fresh).map(|(a, f)| a - f).collect();
        let (added, p) = mean_with_p(&added, draws, seed)?;
        shifts.push(TalkShift {
            condition: c,
            after: mean_with_p(&after, draws, seed)?.0,
            fresh: mean_with_p(&fresh, draws, seed)?.0,
            added,
            p,
        });
    }
    let mut stickiness = Vec::new();
    for c in 0..study.conditions.len() {
        let set = states_of(run, c);
        let Some(first) = held[set[0]].turns.first() else {
            continue;
        };
        let axes: Vec<(&str, usize)> = (held[set[0]].turns.iter())
            .filter(|t| t.script == first.script)
            .map(|t| (t.axis.as_str(), t.layer))
            .collect();
        for (axis, layer) in axes {
            let mut series: Vec<Vec<f64>> = (set.iter())
                .flat_map(|&s| &held[s].turns)
                .filter(|t| t.axis == axis && t.layer == layer)
                .map(|t| t.values.clone())
                .collect();
            // Conversations are compared turn by turn, as far as the shortest goes.
            let turns = series.iter().map(Vec::len).min().unwrap_or(0);
            series.iter_mut().for_each(|s| s.truncate(turns));
            if turns < 3 || series.len() < 3 {
                continue;
            }
            stickiness.push(Stickiness {
                condition: c,
                axis: axis.into(),
                layer,
                persistence: persistence(&series, Centre::Turn, 0.95)?,
                n: series.len(),
            });
        }
    }
    Ok(Some(Talked { shifts, stickiness }))
}
