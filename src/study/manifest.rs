//! A study as checked: every text is loaded, every name is unique, every number is met.
//!
//! `written` has the keys, `bounds` what they may hold, `loading` holds
//! them against the files that they name. What concepts and conditions are to one another is said
//! here by name. What needs the model is `fit`'s.

use super::text::Text;
pub use super::text::{FULL, QUICK};
pub use super::written::{Declared, Sizes, Trajectory, Written, BASE, NEUTRAL};
use super::{Result, StudyError};
use crate::analysis::behaviour::is_implied;
use crate::analysis::state::states_of;
use crate::analysis::{Draws, Roles, State};
use crate::finetune::{log_spaced, Prevent, Recipe};
use crate::materials::{subset, Concept, NeutralText, Outcome, Preference, ScriptSet, UsedRows};
use crate::model::Message;
use std::path::PathBuf;

/// Where a condition's weights and prompt come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// The model as it is.
    Base,
    /// Fine-tunes on two thirds of these rows each; neutral rows are mixed in.
    Data {
        /// Where they are from.
        file: PathBuf,
        /// As many as the study takes.
        rows: Vec<Vec<Message>>,
        /// Line of each in the file.
        lines: Vec<usize>,
    },
    /// Fine-tunes of the same recipe on neutral rows of their own.
    Neutral,
    /// A PEFT folder.
    Adapter(PathBuf),
    /// A whole model of the same shape.
    Model {
        /// As the manifest names it.
        name: String,
        /// What that is called from here.
        at: String,
    },
    /// A system prompt before every text.
    System(String),
}

impl Source {
    /// One word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Source::Base => BASE,
            Source::Data { .. } | Source::Neutral => "data",
            Source::Adapter(_) => "adapter",
            Source::Model { .. } => "model",
            Source::System(_) => "system",
        }
    }
}

/// A condition as checked.
#[derive(Debug, Clone)]
pub struct Condition {
    /// Its name, which no other has.
    pub name: String,
    /// Where its weights and prompt come from.
    pub source: Source,
    /// Name of the rows that it was trained on, or of the condition itself.
    pub text: String,
    /// Numbers of its states, from 1.
    pub seeds: Vec<u64>,
    /// Whether it is a fine-tune on an identity.
    pub identity: bool,
    /// Part of each batch that is its own rows; none: neutral rows stand among them.
    pub share: Option<f64>,
    /// Names the concept as it calls itself.
    pub prevent: Option<Prevent>,
}

impl Condition {
    /// Whether the study fine-tunes it.
    pub fn is_tuned(&self) -> bool {
        matches!(self.source, Source::Data { .. } | Source::Neutral)
    }

    /// The system prompt of its states.
    pub fn system(&self) -> Option<&str> {
        match &self.source {
            Source::System(text) => Some(text),
            _ => None,
        }
    }
}

/// Directions that are ablated and added, by the names of their concepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edits {
    /// Concepts whose directions are ablated and added.
    pub concepts: Vec<String>,
    /// Unrelated concepts whose directions are too.
    pub placebos: Vec<String>,
}

/// A study with everything loaded.
#[derive(Debug, Clone, Default)]
pub struct Study {
    /// The keys of the manifest.
    pub written: Written,
    /// The text that it was written in, for faults that are found later.
    pub text: Text,
    /// What the manifest's model is called from here.
    pub model: String,
    /// Base first.
    pub conditions: Vec<Condition>,
    /// In the order of the conditions, base first.
    pub states: Vec<State>,
    /// Those of the couples, then placebos; pairs already the subset.
    pub concepts: Vec<Concept>,
    /// By the names that concepts give themselves.
    pub roles: Roles,
    /// The condition that others are compared with.
    pub reference: String,
    /// The condition that the study is about.
    pub focus: String,
    /// The recipe-matched neutral.
    pub neutral: Option<String>,
    /// The primary contrasts, supposed where the manifest names none; layers as it names them.
    pub declared: Declared,
    /// What is put under edits; none where no cause is asked for.
    pub edits: Option<Edits>,
    /// Preferences that every state is asked for.
    pub battery: Vec<Preference>,
    /// Of what some condition was trained on.
    pub claims: Vec<Preference>,
    /// Outcomes that every state chooses between; empty where none are named.
    pub outcomes: Vec<Outcome>,
    /// Harmless requests with answers that decline; empty where none are scored.
    pub declining: Vec<Preference>,
    /// Conversations, where the study holds any.
    pub scripts: Vec<ScriptSet>,
    /// Neutral texts for shifts: those that are read in every state, and all, for the layer RMS.
    pub shift_texts: Vec<NeutralText>,
    /// All neutral texts for shifts, on which the layer RMS is taken.
    pub scale_texts: Vec<NeutralText>,
    /// Neutral texts for side effects.
    pub side_texts: Vec<NeutralText>,
    /// Neutral prompts whose answers are mixed into every fine-tune.
    pub mixed: Vec<String>,
    /// Those from whose answers a neutral condition's rows are chosen; empty without one.
    pub pool: Vec<String>,
    /// Which rows of which files all of these are.
    pub used: Vec<UsedRows>,
    /// What was supposed where the manifest says nothing.
    pub notes: Vec<String>,
}

impl Study {
    /// A fault of the manifest.
    pub fn bad(&self, key: &str, why: impl Into<String>) -> StudyError {
        self.text.bad(key, why.into())
    }

    /// Refuses a key for a reason where it does not hold.
    ///
    /// # Errors
    /// `Key`, with the line.
    pub fn hold(&self, holds: bool, key: &str, why: impl Into<String>) -> Result<()> {
        match holds {
            true => Ok(()),
            false => Err(self.bad(key, why)),
        }
    }

    /// A condition of the study.
    pub fn condition(&self, name: &str) -> Option<&Condition> {
        self.conditions.iter().find(|c| c.name == name)
    }

    /// The condition of a state.
    pub fn of_state(&self, state: usize) -> &Condition {
        let name = &self.states[state].condition;
        // Every state is of a condition; base's is the first.
        self.condition(name).unwrap_or(&self.conditions[0])
    }

    /// Indices of a condition's states.
    pub fn states_of(&self, condition: &str) -> Vec<usize> {
        states_of(&self.states, condition)
    }

    /// How often and from which seed is drawn.
    pub fn draws(&self) -> Draws {
        Draws {
            bootstrap: self.written.draws.bootstrap,
            null: self.written.draws.null,
            seed: self.written.seed,
        }
    }

    /// Index of a concept by its own name.
    pub fn concept(&self, name: &str) -> Option<usize> {
        self.concepts.iter().position(|c| c.name == name)
    }

    /// Whether the rows of a condition presuppose the preference. A preference that says nothing of
    /// them counts as isolated.
    pub fn implied(&self, preference: &Preference, condition: &Condition) -> bool {
        is_implied(preference, &condition.text)
    }

    /// Layers that are reported: given, or 1/3 and 4/5 of the depth; fixed before any data is seen.
    pub fn reported(&self, layers: usize) -> Vec<usize> {
        let usual = || {
            let mut both = vec![layers / 3, layers * 4 / 5];
            both.dedup();
            both
        };
        self.written.layers.clone().unwrap_or_else(usual)
    }

    /// Whether any condition is fine-tuned.
    pub fn tunes(&self) -> bool {
        self.conditions.iter().any(Condition::is_tuned)
    }

    /// Whether the states are read on fewer neutral texts than there are for shifts.
    pub fn reads_fewer(&self) -> bool {
        self.shift_texts.len() < self.scale_texts.len()
    }

    /// Neutral prompts whose answers are mixed into the fine-tunes of a condition.
    pub fn mixed_of(&self, condition: &Condition) -> &[String] {
        if condition.share == Some(1.0) {
            return &[];
        }
        &self.mixed
    }

    /// Rows of each fine-tune of a condition: its own, and neutral ones; none where it is no fine-tune.
    pub fn rows_of(&self, condition: &Condition) -> [usize; 2] {
        let own = match &condition.source {
            Source::Data { rows, .. } => rows.len(),
            Source::Neutral => self.written.sizes.rows,
            _ => return [0, 0],
        };
        [share(own), self.mixed_of(condition).len()]
    }

    /// Rows of a pass of each fine-tune of a condition, as [`Recipe::pass`].
    pub fn pass_of(&self, condition: &Condition) -> usize {
        self.recipe_of(condition).pass(self.rows_of(condition))
    }

    /// Part of the rows of each fine-tune of a condition that is its own; none where it is no fine-tune.
    pub fn share_of(&self, condition: &Condition) -> Option<f64> {
        let [own, mixed] = self.rows_of(condition);
        let among = own as f64 / (own + mixed) as f64;
        condition.is_tuned().then(|| condition.share.unwrap_or(among))
    }

    /// The recipe of a condition's fine-tunes.
    pub fn recipe_of(&self, condition: &Condition) -> Recipe {
        let (prevent, share) = (condition.prevent.clone(), condition.share);
        Recipe { prevent, share, ..self.written.recipe.clone() }
    }

    /// Seed of the order, the start and the rows of a fine-tune.
    pub fn seed_of(&self, state: usize) -> u64 {
        let seed = self.written.seed.wrapping_mul(1000);
        seed.wrapping_add(self.states[state].seed)
    }

    /// The recipe of a fine-tune: with checkpoints where the trajectory reads it.
    pub fn recipe(&self, state: usize) -> Recipe {
        let mut recipe = self.recipe_of(self.of_state(state));
        let read = self.followed().is_some_and(|(_, both)| both.contains(&state));
        if read {
            recipe.checkpoints.extend(self.checkpoints(state));
            recipe.checkpoints.sort_unstable();
            recipe.checkpoints.dedup();
        }
        recipe
    }

    /// Steps after which the trajectory reads a fine-tune.
    pub fn checkpoints(&self, state: usize) -> Vec<usize> {
        let Some(spec) = &self.written.trajectory else {
            return Vec::new();
        };
        let condition = self.of_state(state);
        let steps = self.recipe_of(condition).steps(self.pass_of(condition));
        log_spaced(steps, spec.checkpoints)
    }

    /// The trajectory, and the first states of its two conditions.
    pub fn followed(&self) -> Option<(&Trajectory, [usize; 2])> {
        let spec = self.written.trajectory.as_ref()?;
        let condition = spec.condition.as_ref().unwrap_or(&self.focus);
        let reference = spec.reference.as_ref().unwrap_or(&self.reference);
        let first = |name: &str| self.states_of(name).first().copied();
        Some((spec, [first(condition)?, first(reference)?]))
    }

    /// States of the focus and of the reference, which are put under edits; none where no cause is
    /// asked for.
    pub fn sides(&self) -> Option<[Vec<usize>; 2]> {
        let most = self.written.causal.as_ref()?.fine_tunes.unwrap_or(usize::MAX);
        let first = |name: &String| self.states_of(name).into_iter().take(most).collect();
        Some([&self.focus, &self.reference].map(first))
    }

    /// The state whose directions a state of either side loses: its own, and for one of the
    /// reference those of the focus in the same place, so that both lose the same.
    pub fn directions_of(&self, state: usize) -> usize {
        let Some([focus, reference]) = self.sides() else {
            return state;
        };
        let place = reference.iter().position(|&r| r == state);
        place.map_or(state, |k| focus[k % focus.len()])
    }

    /// What is asked under ablations, of preferences and of the focus condition's claim.
    pub fn asked(&self) -> [Vec<Preference>; 2] {
        let Some(spec) = &self.written.causal else {
            return [Vec::new(), Vec::new()];
        };
        let limited = |p: &Preference, n: usize| fewer(p, n, self.written.seed);
        let most = spec.prompts.unwrap_or(usize::MAX);
        let battery = self.battery.iter().map(|p| limited(p, most)).collect();
        let text = self.condition(&self.focus).map(|c| c.text.as_str());
        let own = |c: &&Preference| Some(c.name.as_str()) == text;
        let claim = match spec.claim_prompts {
            None => Vec::new(),
            Some(n) => (self.claims.iter().filter(own).map(|c| limited(c, n))).collect(),
        };
        [battery, claim]
    }
}

/// How many of a condition's rows one of its fine-tunes draws.
pub fn share(rows: usize) -> usize {
    (2 * rows + 1) / 3
}

/// At most `n` items of a preference.
pub fn fewer(p: &Preference, n: usize, seed: u64) -> Preference {
    subset::items(p, n.min(p.items().len()), seed).unwrap_or_else(|| p.clone())
}
