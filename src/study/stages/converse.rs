//! Conversations: one state holds every script, is asked at its end and, for comparison, with nothing
//! before the question; every turn is projected on base's directions of the coupled concepts.

use super::capture;
use crate::analysis::conversations::{converse, Held};
use crate::analysis::BASE;
use crate::behavior::conversation::Replies;
use crate::behavior::{Drawn, Ruler, Speaker};
use crate::model::Interventions;
use crate::study::layout::{self, Layout};
use crate::study::planner::{before, Before, Planner};
use crate::study::stage::{Inputs, Stage, Work};
use crate::study::{files, Result};
use serde_json::json;

const REVISION: u32 = 1;

/// Tokens of a reply that the model writes itself.
pub const REPLY: usize = 48;

/// Name of the stage of a state.
pub fn name(state: &str) -> String {
    format!("converse-{state}")
}

/// Plans it.
///
/// # Errors
/// A file of the state that cannot be read.
pub fn stage<'a>(
    p: &Planner<'a>,
    state: usize,
    replies: Replies,
    stages: &Before,
) -> Result<Stage<'a>> {
    let (study, s, seed) = (p.study, &p.study.states[state], p.study.written.seed);
    let (weights, system) = (p.weights(state)?, study.of_state(state).system());
    let (concepts, layers) = (study.roles.coupled(), study.reported(p.model.decoder.layers()));
    let scripts = study.scripts.iter().map(|s| json!([s.preference, s.group, s.scripts]));
    let inputs = p
        .of_state(Inputs::revision(REVISION), state, stages)?
        .value("scripts", &scripts.collect::<Vec<_>>())
        .value("replies", &replies)
        .value("concepts", &concepts)
        .value("layers", &layers)
        .value("seed", &seed)
        .stage(before(stages, &capture::name(BASE))?);
    let outputs = layout::conversations(&s.id).to_vec();
    let cost = p.costs.converse(s.is_base(), replies)?;
    Ok(Stage::new(name(&s.id), inputs, outputs, cost, move |work: &mut Work| {
        let decoder = work.models.decoder(&weights)?;
        let (none, model) = (Interventions::none(), work.models.base);
        let drawn = Drawn {
            model: model.id.clone(),
            model_sha256: model.sha256.clone(),
            adapter_sha256: None,
            edit: None,
            seed,
            temperature: 0.0,
            top_p: 1.0,
            max_tokens: REPLY,
        };
        let speaker = Speaker {
            state: &s.id,
            model: &decoder,
            tokenizer: &model.tokenizer,
            interventions: &none,
            drawn: &drawn,
        };
        let rulers = rulers(work.layout, &concepts, &layers)?;
        let held = converse(&speaker, &study.scripts, system, replies, &rulers)?;
        let [talks, scores, turns] = layout::conversations(&s.id);
        files::write_lines(work.layout, &talks, &held.talks)?;
        files::write_lines(work.layout, &scores, &held.scores)?;
        files::write_lines(work.layout, &turns, &held.turns)
    }))
}

/// Base's directions at the reported layers.
fn rulers(layout: &Layout, names: &[&str], layers: &[usize]) -> Result<Vec<Ruler>> {
    let base = capture::concepts(layout, BASE, names)?;
    let mut out = Vec::new();
    for (name, read) in names.iter().zip(&base.concepts) {
        let direction = read.direction();
        out.extend(layers.iter().map(|&layer| Ruler {
            name: name.to_string(),
            layer,
            direction: direction.row(layer).iter().map(|v| *v as f32).collect(),
        }));
    }
    Ok(out)
}

/// What a finished stage left of a state.
///
/// # Errors
/// A file that is not there or holds something else.
pub fn read(layout: &Layout, state: &str) -> Result<Held> {
    let [talks, scores, turns] = layout::conversations(state);
    Ok(Held {
        talks: files::lines(layout, &talks)?,
        scores: files::lines(layout, &scores)?,
        turns: files::lines(layout, &turns)?,
    })
}
