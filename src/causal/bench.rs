//! A battery scored under edits of a model, with the guards that tell a changed mind from a
//! damaged one.

use super::controls::{Direction, Kind};
use super::{CausalError, Result};
use crate::behavior::{by_item, stance, stance_texts, Asked, ItemScore, SideEffects};
use crate::materials::Preference;
use crate::model::{Decoder, Interventions, Role, Tokenizer, Tokens};
use serde::{Deserialize, Serialize};

/// Name of the run without an edit.
pub const NONE: &str = "none";

/// Battery scores of one edited model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Edited {
    /// Name of the direction, [`NONE`] or what else was done.
    pub edit: String,
    pub kind: Kind,
    /// Concept of the direction; empty for none and random.
    pub concept: String,
    /// Dose in layer RMS; none for an ablation.
    pub dose: Option<f64>,
    /// Preference, item, stance log-odds.
    pub scores: Vec<(String, String, f64)>,
    /// Nats a token from the unedited model, and perplexity, on neutral responses.
    pub kl: f64,
    pub perplexity: f64,
}

impl Edited {
    pub fn is_random(&self) -> bool {
        self.kind == Kind::Random
    }
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
    /// Scores under interventions of no direction, with the guards on the neutral texts.
    ///
    /// # Errors
    /// The model's; an intervention that touches nothing.
    pub fn run(&self, edit: &str, interventions: &Interventions) -> Result<Edited> {
        let of = (edit, Kind::None, "", None);
        self.beside(&self.guard()?, of, interventions)
    }

    /// Scores without and with interventions, as [`Bench::run`] gives them.
    ///
    /// # Errors
    /// As [`Bench::run`].
    pub fn both(
        &self,
        edit: &str,
        interventions: &Interventions,
        watch: &mut dyn FnMut(&str),
    ) -> Result<(Edited, Edited)> {
        let guard = self.guard()?;
        watch(NONE);
        let plain = (NONE, Kind::None, "", None);
        let plain = self.beside(&guard, plain, &Interventions::none())?;
        watch(edit);
        let edited = self.beside(&guard, (edit, Kind::None, "", None), interventions)?;
        Ok((plain, edited))
    }

    fn guard(&self) -> Result<SideEffects<'_>> {
        Ok(SideEffects::of(self.model, self.neutral)?)
    }

    fn beside(
        &self,
        guard: &SideEffects,
        (edit, kind, concept, dose): (&str, Kind, &str, Option<f64>),
        interventions: &Interventions,
    ) -> Result<Edited> {
        let (model, tokenizer) = (self.model, self.tokenizer);
        let pairs = stance(model, tokenizer, self.battery, self.system, interventions)?;
        let (kl, perplexity) = guard.under(model, interventions)?;
        let row = |s: ItemScore| (s.preference, s.item, s.stance);
        Ok(Edited {
            edit: edit.into(),
            kind,
            concept: concept.into(),
            dose,
            scores: by_item(&pairs).into_iter().map(row).collect(),
            kl,
            perplexity,
        })
    }

    /// The texts that scoring reads: what a recording needs to hold for a swap.
    pub fn texts(&self) -> Result<Vec<Tokens>> {
        let mut texts = stance_texts(self.tokenizer, &Asked::battery(self.battery, self.system))?;
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
        doses: &[f64],
        roles: Option<&[Role]>,
        watch: &mut dyn FnMut(&str),
    ) -> Result<Vec<Edited>> {
        if !(rms.is_finite() && rms > 0.0) {
            return Err(CausalError::NoScale { layer, rms });
        }
        watch(NONE);
        let (guard, none) = (self.guard()?, Interventions::none());
        let plain = (NONE, Kind::None, "", Some(0.0));
        let mut out = vec![self.beside(&guard, plain, &none)?];
        for d in directions {
            let v = d.at(layer)?;
            for &dose in doses.iter().filter(|a| **a != 0.0) {
                watch(&format!("{dose} x {}", d.name));
                let edit = limited(Interventions::none().add(layer, v, dose * rms)?, roles);
                let of = (d.name.as_str(), d.kind, d.concept.as_str(), Some(dose));
                out.push(self.beside(&guard, of, &edit)?);
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
    ) -> Result<Vec<Edited>> {
        watch(NONE);
        let (guard, none) = (self.guard()?, Interventions::none());
        let plain = (NONE, Kind::None, "", None);
        let mut out = vec![self.beside(&guard, plain, &none)?];
        for d in directions {
            watch(&d.name);
            let each = d.per_layer(self.model.layers())?;
            let edit = Interventions::none().project_out_everywhere(&each)?;
            let of = (d.name.as_str(), d.kind, d.concept.as_str(), None);
            out.push(self.beside(&guard, of, &limited(edit, roles))?);
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
