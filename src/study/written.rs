//! A manifest as it is written: its keys.
//!
//! What the keys may hold is `bounds`' business, what they name is loaded by `loading`. Roles go by name:
//! `concepts.couple`, `roles.reference`, `roles.focus`, `roles.neutral`. Manifests
//! of before name two concepts by keys of their own and the two conditions under `causal`; they are
//! read as if they said the new keys.

use crate::analysis::verdict::BOUND;
use crate::behavior::conversation::Replies;
use crate::finetune::{Prevent, Recipe};
use crate::model::{Date, Thinking};
use crate::store::values::distinct;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The keys of a manifest.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// Name of the study; its run folder holds no other.
    pub name: String,
    /// All other randomness derives from it.
    pub seed: u64,
    /// A catalogue name, a folder, a `.gguf` file, or `org/name`.
    pub model: String,
    /// The day that chat templates are told, `YYYY-MM-DD`; none: that of the run's first stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<Date>,
    /// What paths are relative to, itself relative to the manifest; none: the manifest's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// Chat template for a model with several or none: a name or a Jinja file; none: the model's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Whether a model that can think before it answers does; none: as its template has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<Thinking>,
    /// How conditions with `data` are fine-tuned.
    #[serde(default)]
    pub recipe: Recipe,
    /// How much of the materials is used.
    pub sizes: Sizes,
    /// The concepts.
    pub concepts: ConceptNames,
    /// What conditions are to one another.
    #[serde(default)]
    pub roles: RoleNames,
    /// Folder of preference files; none: the shipped battery.
    pub battery: Option<PathBuf>,
    /// Folder of claim files, one a condition; none: the shipped claims.
    pub claims: Option<PathBuf>,
    /// Which rules of texts do not bind the study's own files.
    #[serde(default, skip_serializing_if = "Lint::is_empty")]
    pub lint: Lint,
    /// How often is drawn.
    pub draws: Draws,
    /// Bounds of equivalence.
    #[serde(default)]
    pub bounds: Bounds,
    /// Contrasts that the study is about.
    #[serde(default)]
    pub declared: Declared,
    /// Ablations and doses; none: not asked.
    pub causal: Option<Causal>,
    /// Where neutral texts are read beside the mean over response and prompt.
    #[serde(default, skip_serializing_if = "Positions::is_default")]
    pub positions: Positions,
    /// Choices between outcomes; none: not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revealed: Option<Revealed>,
    /// Conversations; none: not held.
    pub conversations: Option<Conversations>,
    /// Fine-tunes that are read at checkpoints; none: not followed.
    pub trajectory: Option<Trajectory>,
    /// Layers reported; none: 1/3 and 4/5 of the depth.
    pub layers: Option<Vec<usize>>,
    /// The conditions beside base.
    #[serde(rename = "condition")]
    pub conditions: Vec<WrittenCondition>,
}

/// How much of the materials is used, drawn by seed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    /// Rows of each condition, of which each fine-tune draws two thirds.
    pub rows: usize,
    /// Neutral rows mixed into every fine-tune; with a share, from which its batches are filled.
    pub neutral_rows: usize,
    /// Main pairs of each concept of a couple; all development pairs are read beside them.
    pub pairs: usize,
    /// Main pairs of each placebo.
    pub placebo_pairs: usize,
    /// Items of each preference: a question, or two of opposite key.
    pub prompts: usize,
    /// Items of each claim.
    pub claim_prompts: usize,
    /// Neutral texts for shifts.
    pub neutral_texts: usize,
    /// Neutral texts on which edits are checked for side effects.
    #[serde(default = "twenty")]
    pub side_effect_texts: usize,
    /// Harmless requests on which answers that decline are scored; 0: none.
    #[serde(default = "eight")]
    pub harmless_prompts: usize,
}

fn eight() -> usize {
    8
}

fn twenty() -> usize {
    20
}

/// Pairs of names: an array of more than two would lose the rest without a word.
fn pairs<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<[String; 2]>, D::Error> {
    let pair = |names: Vec<String>| {
        let n = names.len();
        <[String; 2]>::try_from(names)
            .map_err(|_| D::Error::custom(format!("a pair has two names, and here are {n}")))
    };
    Vec::<Vec<String>>::deserialize(d)?.into_iter().map(pair).collect()
}

/// Concepts by shipped name or file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConceptNames {
    /// Pairs of concepts whose coupling is tested.
    #[serde(default, deserialize_with = "pairs")]
    pub couple: Vec<[String; 2]>,
    /// Unrelated concepts.
    #[serde(default)]
    pub placebos: Vec<String>,
    /// Placebos that are projected out in the cleaned form.
    #[serde(default)]
    pub nuisances: Vec<String>,
    /// Of before: the couple.
    #[serde(default, skip_serializing)]
    persona: Option<String>,
    #[serde(default, skip_serializing)]
    autonomy: Option<String>,
}

impl ConceptNames {
    /// Concepts of the couples, each once, in order.
    pub fn coupled(&self) -> Vec<&String> {
        distinct(self.couple.iter().flatten())
    }
}

/// What conditions are to one another.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleNames {
    /// The condition that the others are compared with; none: base.
    pub reference: Option<String>,
    /// The condition that the report opens with; none: the first that is neither base nor has a role.
    pub focus: Option<String>,
    /// The fine-tune of the same recipe on neutral rows; none: that of `data = "neutral"`.
    pub neutral: Option<String>,
}

/// How the study's own texts are held to the rules.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lint {
    /// Rules that do not bind them, by name.
    #[serde(default)]
    pub waive: Vec<String>,
}

impl Lint {
    fn is_empty(&self) -> bool {
        self.waive.is_empty()
    }
}

/// Draws of intervals and nulls.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draws {
    /// Bootstrap draws.
    pub bootstrap: usize,
    /// Draws of every null.
    pub null: usize,
}

/// Within which a 95 % interval counts as no effect, fixed before the run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bounds {
    /// Of a change of a cosine.
    pub cosine: f64,
    /// Of a preference, in nats a token.
    pub preference: f64,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { cosine: BOUND, preference: BOUND }
    }
}

/// The primary contrasts: each of the conditions, on each of the quantities.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Declared {
    /// Condition less condition; none: focus less reference.
    #[serde(deserialize_with = "pairs")]
    pub contrasts: Vec<[String; 2]>,
    /// Names of findings, of [`DECLARABLE`]; none: the first.
    pub quantities: Vec<String>,
    /// Blocks at which changes of coupling are declared; none: those reported.
    pub layers: Vec<usize>,
}

/// Findings that are contrasts of conditions, the last at layers.
pub const DECLARABLE: [&str; 3] = ["isolated", "own-claim", CHANGE];
/// Change of the coupling, which base and the reference alone are compared by.
pub const CHANGE: &str = "change-of-coupling";

/// What is ablated in the focus and the reference, and added to base.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Causal {
    /// Of before: `roles.focus` and `roles.reference`.
    #[serde(default, skip_serializing)]
    condition: Option<String>,
    #[serde(default, skip_serializing)]
    reference: Option<String>,
    /// Concepts whose directions are ablated and added; none: those of the couples.
    #[serde(default)]
    pub ablate: Vec<String>,
    /// Fine-tunes of focus and reference that are put under ablations, the first of each; none: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fine_tunes: Option<usize>,
    /// Random directions, drawn with the covariance of the layer.
    pub random: usize,
    /// Label-permuted directions of each tested concept.
    #[serde(default)]
    pub permuted: usize,
    /// Whether these are also ablated in such a part that they do as much to the texts for side effects
    /// as what is tested, or as the part of that which is well within the guards.
    #[serde(default)]
    pub matched: bool,
    /// Directions of either kind that doses are compared with; none: a few, which are shown and test
    /// nothing, and are not matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dose_controls: Option<usize>,
    /// Placebo concepts whose directions are ablated and added too.
    #[serde(default)]
    pub placebos: Vec<String>,
    /// Items of each preference that are scored under every ablation; none: all of the study's.
    pub prompts: Option<usize>,
    /// Items of the focus condition's claim that are scored under every ablation and dose too: the
    /// way back; none: not asked.
    pub claim_prompts: Option<usize>,
    /// Doses in layer RMS.
    pub alphas: Vec<f64>,
}

/// Where neutral texts are read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Positions {
    /// At single places of the exchange too, for the trace of a fine-tune on unrelated text.
    pub trace: bool,
}

impl Positions {
    fn is_default(&self) -> bool {
        *self == Positions::default()
    }
}

/// Choices between outcomes, in every state: revealed preference.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revealed {
    /// The outcomes, by shipped name or file.
    pub outcomes: String,
}

/// Conversations held in every state, in which a preference comes up after some turns.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conversations {
    /// Folder of script files; none: the shipped ones.
    pub folder: Option<PathBuf>,
    /// Scripts of each preference; none: all.
    pub scripts: Option<usize>,
    /// Whose replies stand in them.
    #[serde(default = "scripted")]
    pub replies: Replies,
}

fn scripted() -> Replies {
    Replies::Scripted
}

/// Conditions followed over their fine-tune, on a light set of probes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trajectory {
    /// None: the focus.
    pub condition: Option<String>,
    /// Its trajectory is subtracted, step by step; none: the reference.
    pub reference: Option<String>,
    /// Checkpoints at most, evenly spaced in the logarithm of the step.
    pub checkpoints: usize,
    /// Pairs of each concept of a couple.
    pub pairs: usize,
    /// Items of each preference and claim.
    pub prompts: usize,
}

/// A condition: exactly one of data, adapter, model, system.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenCondition {
    /// Letters, digits, - and _.
    pub name: String,
    /// Rows to fine-tune on, by shipped name or file, or `neutral`.
    pub data: Option<String>,
    /// Rows of `data`, where not `sizes.rows`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<usize>,
    /// Part of each batch that is rows of `data`, the rest neutral ones, where not `recipe.share`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// A PEFT folder.
    pub adapter: Option<PathBuf>,
    /// A whole model of the shape of the study's.
    pub model: Option<String>,
    /// A system prompt.
    pub system: Option<String>,
    /// Fine-tunes of this condition, with seeds 1, 2, ...
    pub seeds: Option<u64>,
    /// Counts as an identity fine-tune when the shared shift is removed.
    pub identity: Option<bool>,
    /// Name of the rows that it was trained on, by which preferences are implied or isolated and a
    /// claim is its own; none: the name of `data`, or of the condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trained_on: Option<String>,
    /// What is done to the stream while it trains.
    pub prevent: Option<Prevent>,
}

/// The condition that is always there: the model as it is.
pub const BASE: &str = "base";

/// The rows that the model answers itself, as `data`.
pub const NEUTRAL: &str = "neutral";

impl Written {
    /// Puts what keys of before say into the keys of now.
    pub(super) fn of_now(mut self) -> Result<Self, Fault> {
        let old = &mut self.concepts;
        match (old.persona.take(), old.autonomy.take()) {
            (None, None) => {}
            (Some(a), Some(b)) if old.couple.is_empty() => old.couple.push([a, b]),
            (Some(_), Some(_)) => return Err(twice("concepts.persona", "concepts.couple")),
            (a, _) => {
                let (has, lacks) = match a {
                    Some(_) => ("persona", "autonomy"),
                    None => ("autonomy", "persona"),
                };
                return Err(Fault {
                    key: format!("concepts.{has}"),
                    why: format!("is given without concepts.{lacks}; write couple = [[\"one\", \"other\"]] in place of both"),
                });
            }
        }
        if let Some(c) = &mut self.causal {
            for (key, old, now) in [
                ("condition", c.condition.take(), &mut self.roles.focus),
                ("reference", c.reference.take(), &mut self.roles.reference),
            ] {
                if old.is_none() {
                    continue;
                }
                let role = if key == "condition" { "focus" } else { key };
                if now.is_some() && *now != old {
                    return Err(twice(&format!("causal.{key}"), &format!("roles.{role}")));
                }
                *now = old;
            }
        }
        Ok(self)
    }
}

fn twice(old: &str, now: &str) -> Fault {
    Fault { key: old.into(), why: format!("and {now} say two things; leave the first away") }
}

/// Name of a state, and of its files: a fine-tune has a number.
pub(super) fn state_id(condition: &str, tuned: bool, seed: u64) -> String {
    match tuned {
        true => format!("{condition}-s{seed}"),
        false => condition.into(),
    }
}

/// A key, and what is wrong with it and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Such as `sizes.rows`.
    pub key: String,
    /// A sentence that follows the key.
    pub why: String,
}
