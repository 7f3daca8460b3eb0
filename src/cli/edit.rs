//! The edit that a user asks for, made into interventions on one model state.

use super::layers::{Acting, Layers};
use super::vectors::{Directions, Held};
use super::{layers, readings::scale_texts, state};
use crate::analysis::scale::rms_at;
use crate::causal::ceilings;
use crate::model::{unit, Decoder, HookPoint, Interventions, Model, Recording, Role, Tokens};
use crate::store::names::twice;
use anyhow::{bail, Result};
use clap::Args;
use serde_json::{json, Value};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is done, where, and on which tokens.
#[derive(Args, Debug, Clone)]
pub struct EditChoice {
    /// Directions, as `residuum extract` writes them: .safetensors, .npz, .npy, .gguf or
    /// the results.h5 of an extraction or a study; with
    /// --against one file for all adapters, or one for each in their order
    #[arg(long, value_name = "FILE", required = true)]
    pub vector: Vec<PathBuf>,
    /// Concept in that file; that of a single array is the file's name
    #[arg(long = "concept", alias = "name", value_name = "CONCEPT")]
    pub name: String,
    /// Blocks after which to act: numbers, all, third, or chosen (that of `residuum extract
    /// --choose-layer`, which the file says); several with --prompt and --prompts-from [default:
    /// chosen, where the file says one, else 1/3 of the depth; of --ablate and --cap every block, each
    /// with its own vector]
    #[arg(long, visible_alias = "layer", value_name = "LAYERS")]
    pub layers: Option<Acting>,
    /// The block of one edit, once the file is known.
    #[arg(skip)]
    pub layer: Option<usize>,
    /// Hook points to act at instead, such as blocks.10.hook_mlp_out
    #[arg(long, alias = "at", value_delimiter = ',', value_name = "HOOKS")]
    pub sites: Vec<String>,
    /// Act on tokens of these parts of the chat only [default: all but the first token]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "ROLES")]
    pub roles: Vec<Role>,
    /// Dose in units of the RMS of the stream where it is added; may be negative, and several with
    /// --prompt and --prompts-from, such as -2,2
    #[arg(long, value_name = "DOSES", value_delimiter = ',', value_parser = finite)]
    #[arg(allow_hyphen_values = true)]
    pub add: Vec<f64>,
    /// Project the direction out in every block
    #[arg(long, conflicts_with = "sites")]
    pub ablate: bool,
    /// Cap the coordinate in every block at this percentile of base on neutral texts
    #[arg(long, value_name = "PERCENT", conflicts_with = "sites")]
    pub cap: Option<f64>,
    /// Swap in the coordinate that `base` or an adapter has at the same tokens
    #[arg(long, value_name = "base|DIR")]
    pub swap_from: Option<String>,
    /// Swap the whole activation, not the coordinate alone
    #[arg(long, requires = "swap_from")]
    pub whole: bool,
    /// Doses to score one after the other, in units of the layer's RMS
    #[arg(long, value_name = "DOSES", value_delimiter = ',', value_parser = finite)]
    #[arg(allow_hyphen_values = true, conflicts_with = "sites")]
    pub sweep: Vec<f64>,
}

/// A temperature of sampling.
pub fn temperature(s: &str) -> Result<f64, String> {
    let t = s.parse().ok().filter(|t: &f64| t.is_finite() && *t >= 0.0);
    t.ok_or_else(|| "write 0 or a number above".into())
}

/// A dose.
fn finite(s: &str) -> Result<f64, String> {
    let dose = s.trim().parse().ok().filter(|d: &f64| d.is_finite());
    dose.ok_or_else(|| "write a number, such as 2 or -0.5".into())
}

/// The unit of doses at hook points, read once each.
#[derive(Default)]
pub struct Scale(Vec<(HookPoint, f64)>);

impl Scale {
    fn at(&mut self, model: &Model, points: &[HookPoint]) -> Result<Vec<f64>> {
        let new = |p: &&HookPoint| self.0.iter().all(|known| known.0 != **p);
        let new: Vec<HookPoint> = points.iter().filter(new).copied().collect();
        if !new.is_empty() {
            let rms = rms_at(&model.decoder, &scale_texts(model)?, &new)?;
            self.0.extend(new.into_iter().zip(rms));
        }
        let known = |p: &HookPoint| self.0.iter().find(|k| k.0 == *p).map(|k| k.1);
        Ok(points.iter().filter_map(known).collect())
    }
}

/// An edit ready to run: the interventions, what they are in words, and for the record.
pub struct Ready {
    pub interventions: Interventions,
    pub what: String,
    pub record: Value,
}

impl EditChoice {
    /// The roles that the edit is limited to.
    pub fn roles(&self) -> Option<Vec<Role>> {
        (!self.roles.is_empty()).then(|| self.roles.clone())
    }

    /// The blocks at which the edit acts, one after the other; none where it takes each block's own
    /// vector.
    ///
    /// # Errors
    /// A layer that the model lacks; `chosen` of a file that says none.
    pub fn acting(&self, directions: &Directions, depth: usize) -> Result<Vec<usize>> {
        let chosen = directions.about.chosen_layer(&self.name);
        match &self.layers {
            Some(Acting::At(layers)) => layers.of(depth),
            Some(Acting::Chosen) => match chosen {
                Some(layer) => Layers::List(vec![layer]).of(depth),
                None => bail!(
                    "{} says no chosen layer of `{}`: name one with --layers, or extract it with --choose-layer",
                    directions.file.display(),
                    self.name
                ),
            },
            None if self.ablate || self.cap.is_some() || !self.sites.is_empty() => Ok(Vec::new()),
            None => Layers::List(vec![chosen.unwrap_or(layers::reported(depth)[0])]).of(depth),
        }
    }

    /// The block after which a dose is added.
    pub fn block(&self, depth: usize) -> usize {
        self.layer.unwrap_or(layers::reported(depth)[0])
    }

    /// Refuses layers and hook points that a model of `depth` blocks lacks, and what is given twice.
    pub fn check(&self, depth: usize) -> Result<()> {
        if let Some(Acting::At(layers)) = &self.layers {
            layers.of(depth)?;
        }
        let points = self.points(depth)?;
        if let Some(point) = twice(&points) {
            bail!("--sites names {point} twice; once is enough");
        }
        for (option, doses) in [("--sweep", &self.sweep), ("--add", &self.add)] {
            if let Some(dose) = twice(doses) {
                bail!("{option} has the dose {dose} twice; once is enough");
            }
        }
        Ok(())
    }

    /// Where a single-point edit acts.
    fn points(&self, depth: usize) -> Result<Vec<HookPoint>> {
        if self.sites.is_empty() {
            return Ok(vec![HookPoint::resid_post(self.block(depth))]);
        }
        let parse = |name: &String| Ok(HookPoint::parse(name, depth)?);
        self.sites.iter().map(parse).collect()
    }

    /// Builds the edit for a state. `texts` are those that it will run on, which a swap records.
    ///
    /// # Errors
    /// A layer that the model or the file lacks; a percentile outside 0 to 100; the model's.
    pub fn build(
        &self,
        model: &Model,
        decoder: &Decoder,
        held: Held,
        texts: &[Tokens],
        scale: &mut Scale,
    ) -> Result<Ready> {
        self.check(decoder.layers())?;
        let mut ready = if let Some(&dose) = self.add.first() {
            self.adding(dose, (model, scale), decoder, held)?
        } else if let Some(percent) = self.cap {
            self.capping(percent, model, held)?
        } else if let Some(from) = &self.swap_from {
            self.swapping(from, model, decoder, held, texts)?
        } else {
            let each = held.per_block(self.layer, decoder.layers())?;
            Ready {
                interventions: Interventions::none().project_out_everywhere(&each)?,
                what: match self.layer {
                    Some(l) => format!("{} of layer {l} projected out in every block", self.name),
                    None => format!("{} projected out, each block's own vector", self.name),
                },
                record: json!({"ablate": true, "layer": self.layer}),
            }
        };
        if let Some(roles) = self.roles() {
            ready.interventions = ready.interventions.on(&roles);
            ready.what += &format!(", on tokens of {roles:?}").to_lowercase();
            ready.record["roles"] = json!(roles);
        }
        Ok(ready)
    }

    fn adding(
        &self,
        dose: f64,
        (model, scale): (&Model, &mut Scale),
        decoder: &Decoder,
        held: Held,
    ) -> Result<Ready> {
        let points = self.points(decoder.layers())?;
        let rms = scale.at(model, &points)?;
        let layers: Vec<usize> = points.iter().map(|p| self.layer.unwrap_or(p.layer)).collect();
        let mut interventions = Interventions::none();
        for ((&point, rms), &layer) in points.iter().zip(&rms).zip(&layers) {
            interventions = interventions.add_at(point, &unit(held.at(layer)?)?, dose * rms)?;
        }
        let doses = points.iter().zip(&rms).map(|(point, rms)| format!("{point} (RMS {rms:.2})"));
        let doses: Vec<String> = doses.collect();
        let layer = match layers[..] {
            [layer] => json!(layer),
            _ => json!(layers),
        };
        Ok(Ready {
            interventions,
            what: format!("{dose} x RMS x {} added at {}", self.name, doses.join(", ")),
            record: json!({"add": dose, "sites": self.sites, "layer": layer, "rms": rms}),
        })
    }

    fn capping(&self, percent: f64, model: &Model, held: Held) -> Result<Ready> {
        if !(0.0..=100.0).contains(&percent) {
            bail!("--cap {percent} is no percentile; give 0 to 100");
        }
        let base = &model.decoder;
        let each = held.per_block(self.layer, base.layers())?;
        let each = each.iter().map(|v| unit(v)).collect::<Result<Vec<_>, _>>()?;
        let roles = self.roles();
        let at = ceilings(base, &scale_texts(model)?, &each, roles.as_deref(), percent / 100.0)?;
        let name = &self.name;
        Ok(Ready {
            interventions: Interventions::none().cap_everywhere(&each, &at)?,
            what: format!("{name} capped in every block at the {percent} % point of base's tokens"),
            record: json!({"cap": percent, "layer": self.layer, "ceilings": at}),
        })
    }

    fn swapping(
        &self,
        from: &str,
        model: &Model,
        decoder: &Decoder,
        held: Held,
        texts: &[Tokens],
    ) -> Result<Ready> {
        let folder = (from != state::BASE).then(|| Path::new(from));
        let other = state::state(&model.decoder, folder)?;
        let points = self.points(decoder.layers())?;
        let mut interventions = Interventions::none();
        let recording = Arc::new(Recording::of(&other, texts, &points, &interventions)?);
        for &point in &points {
            let coordinate = (!self.whole).then(|| held.at(self.layer.unwrap_or(point.layer)));
            interventions =
                interventions.swap(point, recording.clone(), coordinate.transpose()?)?;
        }
        let what = if self.whole { "the activation" } else { &self.name };
        let places: Vec<String> = points.iter().map(HookPoint::to_string).collect();
        Ok(Ready {
            interventions,
            what: format!("{what} swapped in from {from} at {}", places.join(", ")),
            record: json!({"swap_from": from, "whole": self.whole, "sites": places}),
        })
    }
}
