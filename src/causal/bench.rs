//! A battery scored under edits of a model, with the guards that tell a changed mind from a
//! damaged one.

use super::controls::{is_random, Direction};
use super::CausalError;
use crate::behavior::{by_prompt, stance, PromptScore, SideEffects};
use crate::materials::Preference;
use crate::model::{Decoder, Interventions, Role, Tokenizer, Tokens};
use serde::{Deserialize, Serialize};

/// Name of the run without an edit.
pub const NONE: &str = "none";

/// Battery scores of one edited model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Edited {
    /// What was done: `none`, `persona`, `random-3`, ...
    pub edit: String,
    pub random: bool,
    /// Dose in layer RMS; none for an ablation.
    pub alpha: Option<f64>,
    /// Preference, prompt id, log-odds.
    pub scores: Vec<(String, String, f64)>,
    /// Nats a token from the unedited model, and perplexity, on neutral responses.
    pub kl: f64,
    pub perplexity: f64,
}

/// A model state with all that its edits are judged by.
#[derive(Clone, Copy)]
pub struct Bench<'a> {
    pub model: &'a Decoder,
    pub tokenizer: &'a Tokenizer,
    pub battery: &'a [Preference],
    /// System prompt put before each prompt.
    pub system: Option<&'a str>,
    /// Texts whose responses the guards are taken on.
    pub neutral: &'a [Tokens],
}

impl Bench<'_> {
    /// Scores under one intervention, with the guards on the neutral texts.
    pub fn run(
        &self,
        edit: &str,
        alpha: Option<f64>,
        interventions: &Interventions,
    ) -> Result<Edited, CausalError> {
        self.beside(&self.guard()?, edit, alpha, interventions)
    }

    fn guard(&self) -> Result<SideEffects<'_>, CausalError> {
        Ok(SideEffects::of(self.model, self.neutral)?)
    }

    fn beside(
        &self,
        guard: &SideEffects,
        edit: &str,
        alpha: Option<f64>,
        interventions: &Interventions,
    ) -> Result<Edited, CausalError> {
        let (model, tokenizer) = (self.model, self.tokenizer);
        let pairs = stance(model, tokenizer, self.battery, self.system, interventions)?;
        let (kl, perplexity) = guard.under(model, interventions)?;
        let row = |s: PromptScore| (s.preference, s.prompt_id, s.log_odds);
        Ok(Edited {
            edit: edit.into(),
            random: is_random(edit),
            alpha,
            scores: by_prompt(&pairs).into_iter().map(row).collect(),
            kl,
            perplexity,
        })
    }

    /// The texts that scoring reads: what a recording needs to hold for a swap.
    pub fn texts(&self) -> Result<Vec<Tokens>, CausalError> {
        let mut texts = Vec::new();
        for prompt in self.battery.iter().flat_map(|p| &p.prompts) {
            for pair in &prompt.pairs {
                for completion in [&pair.express, &pair.oppose] {
                    let text = self
                        .tokenizer
                        .exchange(self.system, &prompt.prompt, completion)?;
                    texts.push(text);
                }
            }
        }
        texts.extend(self.neutral.iter().cloned());
        Ok(texts)
    }

    /// Dose response: every direction added after block `layer` at every dose, in units of `rms`,
    /// on tokens of `roles` where given. The first result is that of no edit, and a dose of 0 is
    /// not run again. `watch` is told each edit before it runs.
    ///
    /// # Errors
    /// An RMS of 0 or not finite, in whose units every dose would be none.
    pub fn sweep(
        &self,
        directions: &[Direction],
        layer: usize,
        rms: f64,
        alphas: &[f64],
        roles: Option<&[Role]>,
        watch: &mut dyn FnMut(&str),
    ) -> Result<Vec<Edited>, CausalError> {
        if !(rms.is_finite() && rms > 0.0) {
            return Err(CausalError::NoScale { layer, rms });
        }
        watch(NONE);
        let (guard, none) = (self.guard()?, Interventions::none());
        let mut out = vec![self.beside(&guard, NONE, Some(0.0), &none)?];
        for d in directions {
            let v = d.at(layer)?;
            for &alpha in alphas.iter().filter(|a| **a != 0.0) {
                watch(&format!("{alpha} x {}", d.name));
                let edit = limited(Interventions::none().add(layer, v, alpha * rms)?, roles);
                out.push(self.beside(&guard, &d.name, Some(alpha), &edit)?);
            }
        }
        Ok(out)
    }

    /// Necessity: every direction projected out in every block. The first result is that of no
    /// edit.
    pub fn ablate(
        &self,
        directions: &[Direction],
        roles: Option<&[Role]>,
        watch: &mut dyn FnMut(&str),
    ) -> Result<Vec<Edited>, CausalError> {
        watch(NONE);
        let (guard, none) = (self.guard()?, Interventions::none());
        let mut out = vec![self.beside(&guard, NONE, None, &none)?];
        for d in directions {
            watch(&d.name);
            let each = d.per_layer(self.model.layers())?;
            let edit = Interventions::none().project_out_everywhere(&each)?;
            out.push(self.beside(&guard, &d.name, None, &limited(edit, roles))?);
        }
        Ok(out)
    }
}

fn limited(edits: Interventions, roles: Option<&[Role]>) -> Interventions {
    match roles {
        Some(roles) => edits.on(roles),
        None => edits,
    }
}
