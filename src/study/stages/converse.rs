//! Conversations: one state holds every script, is asked at its end and, for comparison, with nothing
//! before the question; every turn is projected on base's directions of the coupled concepts.

use super::capture;
use crate::analysis::conversations::{converse, Held};
use crate::analysis::BASE;
use crate::behavior::conversation::Replies;
use crate::behavior::{Drawn, Ruler, Speaker};
use crate::materials::ScriptSet;
use crate::model::Interventions;
use crate::study::layout::{self, Layout};
use crate::study::models::Weights;
use crate::study::planner::{before, Before, Planner, POSITIONS};
use crate::study::stage::{Inputs, Stage, Work};
use crate::study::{acts, files, StudyError};
use serde_json::json;

const REVISION: u32 = 1;

/// Tokens of a reply that the model writes itself.
pub const REPLY: usize = 48;

/// Name of the stage of a state.
pub fn name(state: &str) -> String {
    format!("converse-{state}")
}

struct Converse<'a> {
    id: &'a str,
    weights: Weights,
    system: Option<&'a str>,
    scripts: &'a [ScriptSet],
    replies: Replies,
    concepts: Vec<&'a str>,
    layers: Vec<usize>,
    seed: u64,
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
) -> Result<Stage<'a>, StudyError> {
    let study = p.study;
    let s = &study.states[state];
    let what = Converse {
        id: &s.id,
        weights: p.weights(state)?,
        system: study.of_state(state).system(),
        scripts: &study.scripts,
        replies,
        concepts: study.roles.coupled(),
        layers: study.reported(p.model.decoder.layers()),
        seed: study.written.seed,
    };
    let scripts = what.scripts.iter().map(|s| json!([s.preference, s.group, s.scripts]));
    let inputs = p
        .of_state(Inputs::revision(REVISION), state, stages)?
        .value("scripts", &scripts.collect::<Vec<_>>())
        .value("replies", &what.replies)
        .value("concepts", &what.concepts)
        .value("layers", &what.layers)
        .value("seed", &what.seed)
        .stage(before(stages, &capture::name(BASE))?);
    let outputs = layout::conversations(&s.id).to_vec();
    let cost = p.costs.converse(s.is_base(), replies)?;
    let run = move |work: &mut Work| what.run(work);
    Ok(Stage::new(name(&s.id), inputs, outputs, cost, run))
}

impl Converse<'_> {
    fn run(&self, work: &mut Work) -> Result<(), StudyError> {
        let decoder = work.models.decoder(&self.weights)?;
        let (none, model) = (Interventions::none(), work.models.base);
        let drawn = Drawn {
            model: model.id.clone(),
            model_sha256: model.sha256.clone(),
            adapter_sha256: None,
            edit: None,
            seed: self.seed,
            temperature: 0.0,
            top_p: 1.0,
            max_tokens: REPLY,
        };
        let speaker = Speaker {
            state: self.id,
            model: &decoder,
            tokenizer: &model.tokenizer,
            interventions: &none,
            drawn: &drawn,
        };
        let rulers = self.rulers(work.layout)?;
        let held = converse(&speaker, self.scripts, self.system, self.replies, &rulers)?;
        let [talks, scores, turns] = layout::conversations(self.id);
        files::write_lines(work.layout, &talks, &held.talks)?;
        files::write_lines(work.layout, &scores, &held.scores)?;
        files::write_lines(work.layout, &turns, &held.turns)
    }

    /// Base's directions at the reported layers.
    fn rulers(&self, layout: &Layout) -> Result<Vec<Ruler>, StudyError> {
        let path = layout.at(&layout::activations(BASE));
        let base = acts::read(&path, &self.concepts, &[], &POSITIONS[..1])?;
        let mut out = Vec::new();
        for (name, read) in self.concepts.iter().zip(&base.concepts) {
            let direction = read.direction();
            out.extend(self.layers.iter().map(|&layer| Ruler {
                name: name.to_string(),
                layer,
                direction: direction.row(layer).iter().map(|v| *v as f32).collect(),
            }));
        }
        Ok(out)
    }
}

/// What a finished stage left of a state.
///
/// # Errors
/// A file that is not there or holds something else.
pub fn read(layout: &Layout, state: &str) -> Result<Held, StudyError> {
    let [talks, scores, turns] = layout::conversations(state);
    Ok(Held {
        talks: files::lines(layout, &talks)?,
        scores: files::lines(layout, &scores)?,
        turns: files::lines(layout, &turns)?,
    })
}
