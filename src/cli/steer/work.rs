//! What the forms of `residuum steer` share: the state at work, the directions and their controls, and
//! where the numbers go.

use super::super::edit::{scale_texts, side_effect_texts, EditChoice};
use super::super::vectors::Directions;
use super::super::{state, Console};
use super::Controls;
use crate::analysis::records::Results;
use crate::analysis::{readings, Draws, State};
use crate::capture::Position;
use crate::causal::{Bench, Direction, Guards, Kind};
use crate::materials::Preference;
use crate::model::unit;
use crate::model::{Decoder, Model, Tokens};
use crate::store::ResultsWriter;
use anyhow::Result;
use serde_json::{json, Value};
use std::path::{Path, PathBuf};

/// What a run of the command works on.
pub struct Work<'a> {
    pub model: &'a Model,
    /// The (first) state.
    pub decoder: &'a Decoder,
    /// Adapters of the condition; none: base.
    pub adapters: &'a [PathBuf],
    pub edit: &'a EditChoice,
    pub controls: &'a Controls,
    pub battery: &'a [Preference],
    pub system: Option<&'a str>,
    pub seed: u64,
    pub out: &'a Console,
    /// The files of directions, in order.
    pub directions: &'a [Directions],
    /// Files that the work depends on, for the record.
    pub inputs: Vec<PathBuf>,
}

/// Bootstrap draws.
const DRAWS: usize = 2000;

impl Work<'_> {
    /// The named direction and the placebos, as `file` has them, at the blocks `layers`.
    pub fn named(&self, file: &Directions, layers: &[usize]) -> Result<Vec<Direction>> {
        let placebos = self.controls.placebo.iter().map(|p| (p, Kind::Placebo));
        let named = std::iter::once((&self.edit.name, Kind::Own)).chain(placebos);
        let each = named.map(|(name, kind)| {
            let held = file.concept(name)?;
            let from = |l: usize| match self.edit.ablate {
                true => self.edit.layer.unwrap_or(l),
                false => l,
            };
            let vector = |&l: &usize| Ok((l, unit(held.at(from(l))?)?));
            let vectors = layers.iter().map(vector).collect::<Result<_>>()?;
            Ok(Direction::new(name, kind, vectors))
        });
        each.collect()
    }

    /// The random directions, drawn with the covariance of the first state's neutral texts.
    pub fn random(&self, layers: &[usize]) -> Result<Vec<Direction>> {
        if self.controls.random == 0 {
            return Ok(Vec::new());
        }
        let texts = scale_texts(self.model)?;
        let mut progress = self.out.bar("neutral texts", texts.len());
        let at = [Position::ResponseMean];
        let read = readings::read(self.decoder, &texts, layers, &at, &mut || progress.step(""))?;
        let n = self.controls.random;
        Ok(Direction::random(&read[0], layers, n, self.seed)?)
    }

    /// The neutral texts that guards are taken on.
    pub fn guard_texts(&self) -> Result<Vec<Tokens>> {
        side_effect_texts(self.model, self.system, (self.controls.guard_texts.into(), self.seed))
    }

    pub fn guards(&self) -> Guards {
        Guards { kl: self.controls.max_kl, perplexity_ratio: self.controls.max_perplexity }
    }

    pub fn draws(&self) -> Draws {
        Draws { bootstrap: DRAWS, null: DRAWS, seed: self.seed }
    }

    /// The battery of one state.
    pub fn bench<'a>(&'a self, decoder: &'a Decoder, neutral: &'a [Tokens]) -> Bench<'a> {
        Bench {
            model: decoder,
            tokenizer: &self.model.tokenizer,
            battery: self.battery,
            system: self.system,
            neutral,
        }
    }

    /// The (first) state by name.
    pub fn state(&self) -> State {
        named_state(self.adapters.first().map(PathBuf::as_path))
    }

    /// How the indices of each file were taken, in words.
    pub fn notes(&self) -> String {
        let notes: Vec<String> = self.directions.iter().map(Directions::note).collect();
        notes.join("\n")
    }

    /// What was done, for the record.
    pub fn config(&self, more: Value) -> Value {
        let vectors: Value = self.directions.iter().map(Directions::record).collect();
        let mut config = json!({
            "concept": self.edit.name, "placebos": self.controls.placebo,
            "random": self.controls.random, "vectors": vectors, "guards": self.guards(),
            "guard_texts": self.controls.guard_texts, "system": self.system,
            "roles": self.edit.roles(), "adapters": self.adapters,
        });
        if let (Some(config), Value::Object(more)) = (config.as_object_mut(), more) {
            config.extend(more);
        }
        config
    }

    /// Says the doubts, and keeps the records where a folder was given; what was written, in words.
    pub fn keep(&self, config: &Value, found: &Results, inputs: &[PathBuf]) -> Result<String> {
        for w in &found.warnings {
            self.out.warn(&format!("{}: {}", w.about, w.text));
        }
        let Some(folder) = &self.controls.out else {
            return Ok(String::new());
        };
        state::make_folder(folder)?;
        let attrs = state::attrs(self.model, config.clone(), self.seed);
        let mut w = ResultsWriter::create(&folder.join(RESULTS), &attrs)?;
        found.write(&mut w)?;
        w.finish()?;
        let (config, outputs) = (config.clone(), [RESULTS.to_string()]);
        state::record(folder, self.model, config, self.seed, inputs, &outputs)?;
        Ok(format!("\nwritten: {RESULTS}, csv in {}", folder.display()))
    }
}

pub const RESULTS: &str = "results.h5";

/// The state of an adapter folder, or base.
pub fn named_state(folder: Option<&Path>) -> State {
    folder.map_or_else(State::base, |f| State::named(&state::folder_name(f)))
}
