//! Whose behaviour is measured: base, its adapters, and edits of the residual stream.
//!
//! An edit is written on the command line as the file of a direction with its concept, and makes
//! a state like any other. The dose is in units of the layer's RMS in base, as in
//! `residuum steer`. [`Plan`] opens one state at a time, and says what rows each was trained on.

use super::super::layers;
use super::super::state::{self, NamedAdapter, BASE};
use super::super::vectors::{self, check_block, Directions};
use crate::analysis::texts::neutral_tokens;
use crate::analysis::{layer_rms, State};
use crate::model::unit;
use crate::model::{Decoder, Hooks, Interventions, Model};
use crate::store::names::nearest;
use crate::store::{digest, Manifest};
use anyhow::{bail, Result};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where a direction lies: `FILE:CONCEPT`, `@LAYER` where one is meant.
#[derive(Debug, Clone, PartialEq)]
struct Place {
    name: String,
    file: PathBuf,
    concept: String,
    layer: Option<usize>,
}

impl Place {
    /// The file, held against a model.
    fn directions(&self, decoder: &Decoder) -> Result<Directions> {
        let found = vectors::open(&self.file, [self.concept.as_str()])?;
        Directions::of(found, decoder)
    }

    /// The block after which a dose is added.
    fn block(&self, depth: usize) -> usize {
        self.layer.unwrap_or(layers::reported(depth)[0])
    }
}

/// A state that adds a direction: `NAME=FILE:CONCEPT:DOSE[@LAYER]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Steered {
    place: Place,
    dose: f64,
}

/// A state that projects a direction out: `NAME=FILE:CONCEPT[@LAYER]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Ablated {
    place: Place,
}

/// Name, rest and layer of `NAME=REST[@LAYER]`.
fn split(s: &str) -> Option<(String, &str, Option<usize>)> {
    let (name, rest) = s.split_once('=')?;
    let plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\']);
    let (rest, layer) = match rest.rsplit_once('@') {
        Some((rest, layer)) => (rest, Some(layer.parse().ok()?)),
        None => (rest, None),
    };
    (plain && name != BASE).then(|| (name.to_string(), rest, layer))
}

impl FromStr for Steered {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let whole = || {
            let (name, rest, layer) = split(s)?;
            let (rest, dose) = rest.rsplit_once(':')?;
            let (file, concept) = rest.rsplit_once(':')?;
            let dose: f64 = dose.parse().ok().filter(|d: &f64| d.is_finite())?;
            let place = Place { name, file: file.into(), concept: concept.into(), layer };
            (!file.is_empty() && !concept.is_empty()).then_some(Steered { place, dose })
        };
        whole().ok_or_else(|| {
            "write NAME=FILE:CONCEPT:DOSE, with @LAYER behind it if not 1/3 of the depth".into()
        })
    }
}

impl FromStr for Ablated {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let whole = || {
            let (name, rest, layer) = split(s)?;
            let (file, concept) = rest.rsplit_once(':')?;
            let place = Place { name, file: file.into(), concept: concept.into(), layer };
            (!file.is_empty() && !concept.is_empty()).then_some(Ablated { place })
        };
        whole().ok_or_else(|| {
            "write NAME=FILE:CONCEPT, with @LAYER behind it for one layer's vector everywhere"
                .into()
        })
    }
}

/// All states of a command, base first.
pub struct Plan<'a> {
    pub adapters: &'a [NamedAdapter],
    pub steered: &'a [Steered],
    pub ablated: &'a [Ablated],
    /// State that the edits are made in.
    pub on: &'a str,
}

/// One state, ready to run.
pub struct Open {
    pub decoder: Decoder,
    pub interventions: Interventions,
    /// Digest of the adapter's weights.
    pub adapter_sha256: Option<String>,
    /// The edit in words, its file's digest included.
    pub edit: Option<String>,
}

impl Plan<'_> {
    /// Names of the states in order.
    pub fn names(&self) -> Vec<String> {
        let base = std::iter::once(BASE.to_string());
        base.chain(self.adapters.iter().map(|a| a.name.clone()))
            .chain(self.steered.iter().map(|s| s.place.name.clone()))
            .chain(self.ablated.iter().map(|a| a.place.name.clone()))
            .collect()
    }

    /// The states in order. The rows of an adapter are those that its folder records, where `known`
    /// knows them, else those that its name says; an edited state has the rows of the state that is
    /// edited.
    pub fn states(&self, known: impl Fn(&str) -> bool) -> Vec<State> {
        let adapter = |a: &NamedAdapter| {
            let named = State::named(&a.name);
            let text = rows_of(&a.folder).filter(|t| known(t));
            State { text: text.unwrap_or_else(|| named.text.clone()), ..named }
        };
        let mut all = vec![State::base()];
        all.extend(self.adapters.iter().map(adapter));
        let on = all.iter().find(|s| s.id == self.on);
        let text = on.map_or(BASE.to_string(), |s| s.text.clone());
        let edited = |place: &Place| State { text: text.clone(), ..State::named(&place.name) };
        let edits: Vec<State> = self.places().map(edited).collect();
        all.extend(edits);
        all
    }

    /// Refuses two states of one name, and edits in a state that is none.
    pub fn check(&self) -> Result<()> {
        let names = self.names();
        for (i, name) in names.iter().enumerate() {
            if names[..i].contains(name) {
                bail!("two states are named `{name}`; give each a name of its own");
            }
        }
        if self.on != BASE && self.adapters.iter().all(|a| a.name != self.on) {
            let near = nearest(self.on, names.iter().map(String::as_str)).unwrap_or_default();
            bail!("--edit-on `{}` is no adapter of this command; did you mean `{near}`?", self.on);
        }
        Ok(())
    }

    fn places(&self) -> impl Iterator<Item = &Place> {
        let steered = self.steered.iter().map(|s| &s.place);
        steered.chain(self.ablated.iter().map(|a| &a.place))
    }

    /// Reads the files of all edits, so that none is found wrong after work.
    pub fn check_files(&self) -> Result<()> {
        for place in self.places() {
            vectors::open(&place.file, [place.concept.as_str()])?;
        }
        Ok(())
    }

    /// Builds every edit but its dose against the model; the files, each once.
    pub fn check_edits(&self, model: &Model) -> Result<Vec<Directions>> {
        let (mut files, mut found): (Vec<&Path>, _) = (Vec::new(), Vec::new());
        let decoder = &model.decoder;
        for place in self.places() {
            check_block(place.layer, decoder.layers())?;
            let directions = place.directions(decoder)?;
            if !files.contains(&place.file.as_path()) {
                files.push(&place.file);
                found.push(directions);
            }
        }
        for s in self.steered {
            let directions = s.place.directions(decoder)?;
            let held = directions.concept(&s.place.concept)?;
            held.at(s.place.block(decoder.layers()))?;
        }
        for a in self.ablated {
            ablate(a, decoder)?;
        }
        Ok(found)
    }

    /// Files of the adapters and directions, for the record.
    pub fn inputs(&self) -> Vec<PathBuf> {
        let mut all = state::adapter_files(self.adapters);
        all.extend(self.steered.iter().map(|s| s.place.file.clone()));
        all.extend(self.ablated.iter().map(|a| a.place.file.clone()));
        all
    }

    /// Opens a state by name.
    pub fn open(&self, name: &str, model: &Model) -> Result<Open> {
        let steered = self.steered.iter().find(|s| s.place.name == name);
        let ablated = self.ablated.iter().find(|a| a.place.name == name);
        let weights = match steered.is_some() || ablated.is_some() {
            true => self.on,
            false => name,
        };
        let adapter = self.adapters.iter().find(|a| a.name == weights);
        let folder = adapter.map(|a| a.folder.as_path());
        let decoder = state::state(&model.decoder, folder)?;
        let (interventions, edit) = match (steered, ablated) {
            (Some(s), _) => steer(s, &decoder, model)?,
            (None, Some(a)) => ablate(a, &decoder)?,
            (None, None) => (Interventions::none(), None),
        };
        // A wrong width or layer is told before any work is done.
        interventions.install(&mut Hooks::none(), decoder.layers(), decoder.hidden())?;
        let adapter_sha256 = adapter
            .map(|a| digest::of_file(&a.folder.join("adapter_model.safetensors")))
            .transpose()?;
        Ok(Open { decoder, interventions, adapter_sha256, edit })
    }
}

fn steer(s: &Steered, decoder: &Decoder, model: &Model) -> Result<(Interventions, Option<String>)> {
    let layer = s.place.block(decoder.layers());
    let directions = s.place.directions(decoder)?;
    let unit = unit(directions.concept(&s.place.concept)?.at(layer)?)?;
    let rms = rms(model, layer)?;
    let what = format!("{} x RMS x {} after block {layer}", s.dose, s.place.concept);
    let edit = Interventions::none().add(layer, &unit, s.dose * rms)?;
    Ok((edit, Some(with_digest(what, &s.place.file)?)))
}

/// RMS of the stream after a block of base on the neutral texts for shifts.
fn rms(model: &Model, layer: usize) -> Result<f64> {
    let texts = neutral_tokens(&model.tokenizer, &crate::cli::readings::shift_texts()?, None)?;
    Ok(layer_rms(&model.decoder, &texts, &[layer])?[0])
}

/// Name of the rows that an adapter was trained on, as its folder records it.
fn rows_of(folder: &Path) -> Option<String> {
    let record = Manifest::read(folder).ok()?;
    let data = Path::new(record.config.get("data")?.as_str()?);
    Some(data.file_stem()?.to_string_lossy().into_owned())
}

fn ablate(a: &Ablated, decoder: &Decoder) -> Result<(Interventions, Option<String>)> {
    let directions = a.place.directions(decoder)?;
    let held = directions.concept(&a.place.concept)?;
    let per_block = held.per_block(a.place.layer, decoder.layers())?;
    let what = match a.place.layer {
        Some(l) => format!("{} of layer {l} projected out in every block", a.place.concept),
        None => format!("{} projected out, each block's own", a.place.concept),
    };
    let edit = Interventions::none().project_out_everywhere(&per_block)?;
    Ok((edit, Some(with_digest(what, &a.place.file)?)))
}

fn with_digest(what: String, file: &Path) -> Result<String> {
    Ok(format!("{what} (file {})", &digest::of_file(file)?[..12]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_read_from_the_right_so_that_paths_may_hold_colons() {
        let s: Steered = "up=C:/runs/d.safetensors:persona:-2.5@10".parse().unwrap();
        assert_eq!(s.place.file, PathBuf::from("C:/runs/d.safetensors"));
        assert_eq!((s.place.concept.as_str(), s.dose), ("persona", -2.5));
        assert_eq!((s.place.name.as_str(), s.place.layer), ("up", Some(10)));
        let a: Ablated = "out=d.safetensors:persona".parse().unwrap();
        assert_eq!((a.place.concept.as_str(), a.place.layer), ("persona", None));
        for wrong in [
            "up=d.safetensors:persona",
            "d.safetensors:persona:2",
            "base=d.safetensors:persona:2",
            "up=d.safetensors:persona:2@x",
            "up=d.safetensors:persona:inf",
            "a/b=d.safetensors:persona:2",
        ] {
            assert!(wrong.parse::<Steered>().is_err(), "{wrong}");
        }
        assert!("out=persona".parse::<Ablated>().is_err());
    }

    #[test]
    fn names_are_distinct_and_edits_have_a_state() {
        let adapters: Vec<NamedAdapter> = vec!["denial=x".parse().unwrap()];
        let steered: Vec<Steered> = vec!["denial=f:c:1".parse().unwrap()];
        let mut plan = Plan { adapters: &adapters, steered: &steered, ablated: &[], on: BASE };
        assert!(plan.check().unwrap_err().to_string().contains("`denial`"));
        plan.steered = &[];
        plan.on = "denail";
        let text = plan.check().unwrap_err().to_string();
        assert!(text.contains("did you mean `denial`"), "{text}");
        plan.on = "denial";
        plan.check().unwrap();
        assert_eq!(plan.names(), ["base", "denial"]);
    }
}
