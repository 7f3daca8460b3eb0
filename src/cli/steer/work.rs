//! What the forms of `residuum steer` share: the state at work, the directions and their controls, and
//! where the numbers go.

use super::{Controls, EditChoice, SteerArgs};
use crate::analysis::{readings, records::Results, texts::neutral_tokens, Draws, State};
use crate::capture::Position;
use crate::causal::{Bench, Direction, Guards, Kind};
use crate::cli::kept::{self, Origin};
use crate::cli::{
    edit::{Ready, Scale},
    readings::scale_texts,
    state,
    vectors::Directions,
    Console,
};
use crate::materials::{for_side_effects, load_neutral_texts, subset, Preference, Use};
use crate::model::{unit, Decoder, Model, Tokens};
use crate::store::atomic;
use anyhow::{bail, Result};
use serde_json::{json, Value};
use std::path::{Path, PathBuf};

/// What a run of the command works on.
pub struct Work<'a> {
    pub args: &'a SteerArgs,
    pub edit: &'a EditChoice,
    pub controls: &'a Controls,
    pub model: &'a Model,
    /// The (first) state.
    pub decoder: Decoder,
    pub battery: Vec<Preference>,
    /// The files of directions, in order.
    pub directions: Vec<Directions>,
    pub out: &'a Console,
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
            let fixed = self.fixed();
            let vector = |&l: &usize| Ok((l, unit(held.at(fixed.unwrap_or(l))?)?));
            let vectors = layers.iter().map(vector).collect::<Result<_>>()?;
            Ok(Direction::new(name, kind, vectors))
        });
        each.collect()
    }

    /// The label-permuted directions of the concept that `file` holds, at the blocks `layers`.
    ///
    /// # Errors
    /// There are fewer than are asked for; how to make them is said.
    pub fn permuted(&self, file: &Directions, layers: &[usize]) -> Result<Vec<Direction>> {
        let (n, concept) = (self.controls.permuted, self.edit.name.as_str());
        let each = (0..n).map(|k| {
            let name = Direction::permuted_name(concept, k);
            if !file.concepts.contains_key(&name) {
                bail!("{} holds {k} label-permuted directions of `{concept}`, and --permuted is {n}: they are made of the concept's pairs, so have them written with it, by `residuum extract --concept {concept} --permuted {n}` with the options that the file was made with", file.file.display());
            }
            let (held, fixed) = (file.concept(&name)?, self.fixed());
            let vector = |&l: &usize| Ok((l, unit(held.at(fixed.unwrap_or(l))?)?));
            Ok(Direction {
                vectors: layers.iter().map(vector).collect::<Result<_>>()?,
                kind: Kind::Permuted,
                concept: concept.into(),
                name,
            })
        });
        each.collect()
    }

    /// The layer whose vector is taken in every block.
    fn fixed(&self) -> Option<usize> {
        self.edit.layer.filter(|_| self.edit.ablate)
    }

    /// Edits that are made beside those of `directions` as they are: of the controls, and the parts of
    /// the projections under test that these are matched to.
    pub fn more(&self, directions: &[Direction]) -> usize {
        let again = |d: &&Direction| d.kind.is_control() || self.edit.ablate && d.kind == Kind::Own;
        if self.controls.matched {
            directions.iter().filter(again).count()
        } else {
            0
        }
    }

    /// The edit asked for, of the first state; `texts` are those that it will run on.
    pub fn ready(&self, texts: &[Tokens]) -> Result<Ready> {
        let held = self.directions[0].concept(&self.edit.name)?;
        self.edit.build(self.model, &self.decoder, held, texts, &mut Scale::default())
    }

    /// The random directions, drawn with the covariance of the first state's neutral texts.
    pub fn random(&self, layers: &[usize]) -> Result<Vec<Direction>> {
        if self.controls.random == 0 {
            return Ok(Vec::new());
        }
        let texts = scale_texts(self.model)?;
        let mut progress = self.out.bar("neutral texts", texts.len());
        let at = [Position::ResponseMean];
        let read = readings::read(&self.decoder, &texts, layers, &at, &mut || progress.step(""))?;
        let n = self.controls.random;
        Ok(Direction::random(&read[0], layers, n, self.args.seed)?)
    }

    /// The neutral texts that guards are taken on.
    pub fn guard_texts(&self) -> Result<Vec<Tokens>> {
        let (all, n) = (load_neutral_texts(None)?, self.controls.guard_texts);
        let Some(texts) = subset::texts(&all, n.into(), self.args.seed, Use::SideEffects) else {
            let there = for_side_effects(&all).len();
            bail!("--guard-texts is {n}, but there are {there} neutral texts for side effects; give at most that");
        };
        Ok(neutral_tokens(&self.model.tokenizer, &texts, self.args.system.as_deref())?)
    }

    pub fn guards(&self) -> Guards {
        Guards { kl: self.controls.max_kl, perplexity_ratio: self.controls.max_perplexity }
    }

    pub fn draws(&self) -> Draws {
        Draws { bootstrap: DRAWS, null: DRAWS, seed: self.args.seed }
    }

    /// The battery of one state.
    pub fn bench<'a>(&'a self, decoder: &'a Decoder, neutral: &'a [Tokens]) -> Bench<'a> {
        Bench {
            model: decoder,
            tokenizer: &self.model.tokenizer,
            battery: &self.battery,
            system: self.args.system.as_deref(),
            neutral,
        }
    }

    /// The state of an adapter folder, or base.
    pub fn state_of(&self, folder: Option<&Path>) -> State {
        let known = |text: &str| self.battery.iter().any(|p| p.status.contains_key(text));
        folder.map_or_else(State::base, |f| state::trained(&state::folder_name(f), f, known))
    }

    /// The (first) state by name.
    pub fn state(&self) -> State {
        self.state_of(self.args.adapter.first().map(PathBuf::as_path))
    }

    /// How the indices of each file were taken, in words.
    pub fn notes(&self) -> String {
        let notes: Vec<String> = self.directions.iter().map(Directions::note).collect();
        notes.join("\n")
    }

    /// What was done, for the record, with what a form has to `add`.
    pub fn config(&self, add: Value) -> Value {
        let vectors: Value = self.directions.iter().map(Directions::record).collect();
        let mut config = json!({
            "concept": self.edit.name, "placebos": self.controls.placebo,
            "random": self.controls.random, "permuted": self.controls.permuted,
            "matched": self.controls.matched, "vectors": vectors, "guards": self.guards(),
            "guard_texts": self.controls.guard_texts, "system": self.args.system,
            "roles": self.edit.roles(), "adapters": self.args.adapter,
        });
        if let (Some(config), Value::Object(add)) = (config.as_object_mut(), add) {
            config.extend(add);
        }
        config
    }

    /// Says the doubts, and keeps the records where a folder was given; what was written, in words.
    /// Besides the files of the work it depends on `more`.
    pub fn keep(
        &self,
        config: &Value,
        found: &Results,
        more: impl Iterator<Item = PathBuf>,
    ) -> Result<String> {
        self.keep_with(config, found, more, None)
    }

    /// As [`Work::keep`], with a further file of this name and text.
    pub fn keep_with(
        &self,
        config: &Value,
        found: &Results,
        more: impl Iterator<Item = PathBuf>,
        file: Option<(&str, &str)>,
    ) -> Result<String> {
        self.out.doubts(&found.warnings);
        let Some(folder) = &self.controls.out else {
            return Ok(String::new());
        };
        kept::make_folder(folder)?;
        let weights = self.args.adapter.iter().map(|a| state::weights(a));
        let inputs: Vec<PathBuf> =
            self.edit.vector.iter().cloned().chain(weights).chain(more).collect();
        let origin = Origin { model: self.model, config: config.clone(), seed: self.args.seed };
        let mut files = kept::results(folder, &origin.attrs(), &[], |w| Ok(found.write(w)?))?;
        if let Some((name, text)) = file {
            atomic::write(&folder.join(name), text.as_bytes())?;
            files.push(name.into());
        }
        origin.record(folder, &inputs, &files)?;
        Ok(format!("\n{}", kept::written(&files, folder)))
    }
}
