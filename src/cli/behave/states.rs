//! Whose behaviour is measured: base, its adapters, and edits of the residual stream.
//!
//! An edit is written on the command line as the file of a direction with its concept, and makes
//! a state like any other. The dose is in units of the layer's RMS in base, as in
//! `residuum steer`. [`Plan`] opens one state at a time, and says what rows each was trained on.

use crate::analysis::{layer_rms, State};
use crate::cli::state::{self, NamedAdapter, BASE};
use crate::cli::vectors::{self, check_block, Directions};
use crate::cli::{layers::reported, readings::scale_texts};
use crate::model::{unit, Decoder, Hooks, Interventions, Model};
use crate::store::digest;
use crate::store::names::{nearest, twice};
use anyhow::{bail, Result};
use std::path::PathBuf;

/// A state that adds a direction, or without a dose projects it out.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    name: String,
    file: PathBuf,
    concept: String,
    dose: Option<f64>,
    /// Of the vector; none: 1/3 of the depth for a dose, else each block's own.
    layer: Option<usize>,
}

/// A direction added, as written on the command line.
pub fn added(s: &str) -> Result<Edit, String> {
    Edit::parse(s, true).ok_or_else(|| {
        "write NAME=FILE:CONCEPT:DOSE, with @LAYER behind it if not 1/3 of the depth".into()
    })
}

/// A direction projected out, as written on the command line.
pub fn projected_out(s: &str) -> Result<Edit, String> {
    Edit::parse(s, false).ok_or_else(|| {
        "write NAME=FILE:CONCEPT, with @LAYER behind it for one layer's vector everywhere".into()
    })
}

impl Edit {
    /// `NAME=FILE:CONCEPT[:DOSE][@LAYER]`, read from the right so that paths may hold colons.
    fn parse(s: &str, dosed: bool) -> Option<Self> {
        let (name, mut rest) = s.split_once('=')?;
        let (mut layer, mut dose) = (None, None);
        if let Some((front, at)) = rest.rsplit_once('@') {
            (rest, layer) = (front, Some(at.parse().ok()?));
        }
        if dosed {
            let (front, number) = rest.rsplit_once(':')?;
            (rest, dose) = (front, Some(number.parse().ok().filter(|d: &f64| d.is_finite())?));
        }
        let (file, concept) = rest.rsplit_once(':')?;
        let named = state::usable(name) && name != BASE && !file.is_empty() && !concept.is_empty();
        let (name, file, concept) = (name.into(), file.into(), concept.into());
        named.then_some(Edit { name, file, concept, dose, layer })
    }

    /// The file, held against a model.
    fn directions(&self, decoder: &Decoder) -> Result<Directions> {
        let found = vectors::open(&self.file, [self.concept.as_str()])?;
        Directions::of(found, decoder)
    }

    /// The edit of a model and what it is in words; `rms` gives the unit of a dose at a block.
    fn build(
        &self,
        directions: &Directions,
        depth: usize,
        rms: impl Fn(usize) -> Result<f64>,
    ) -> Result<(Interventions, String)> {
        let (concept, none) = (&self.concept, Interventions::none());
        let held = directions.concept(concept)?;
        let (edit, what) = match (self.dose, self.layer) {
            (Some(dose), layer) => {
                let layer = layer.unwrap_or(reported(depth)[0]);
                let edit = none.add(layer, &unit(held.at(layer)?)?, dose * rms(layer)?)?;
                (edit, format!("{dose} x RMS x {concept} after block {layer}"))
            }
            (None, layer) => {
                let edit = none.project_out_everywhere(&held.per_block(layer, depth)?)?;
                let what = match layer {
                    Some(l) => format!("{concept} of layer {l} projected out in every block"),
                    None => format!("{concept} projected out, each block's own"),
                };
                (edit, what)
            }
        };
        Ok((edit, format!("{what} (file {})", &digest::of_file(&self.file)?[..12])))
    }
}

/// All states of a command, base first.
pub struct Plan<'a> {
    pub adapters: &'a [NamedAdapter],
    pub edits: Vec<&'a Edit>,
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
        let base = std::iter::once(BASE);
        base.chain(self.adapters.iter().map(|a| &*a.name))
            .chain(self.edits.iter().map(|e| &*e.name))
            .map(String::from)
            .collect()
    }

    /// The states in order, adapters as [`state::trained`]; an edited state has the rows and the recipe of
    /// the state that is edited.
    pub fn states(&self, known: impl Fn(&str) -> bool) -> Vec<State> {
        let adapter = |a: &NamedAdapter| state::trained(&a.name, &a.folder, &known);
        let mut all = vec![State::base()];
        all.extend(self.adapters.iter().map(adapter));
        let on = all.iter().find(|s| s.id == self.on);
        let on = on.cloned().unwrap_or_else(State::base);
        let edited = |e: &&Edit| State {
            text: on.text.clone(),
            recipe: on.recipe.clone(),
            ..State::named(&e.name)
        };
        all.extend(self.edits.iter().map(edited));
        all
    }

    /// Refuses two states of one name, and edits in a state that is none.
    pub fn check(&self) -> Result<()> {
        let names = self.names();
        if let Some(name) = twice(&names) {
            bail!("two states are named `{name}`; give each a name of its own");
        }
        if self.on != BASE && self.adapters.iter().all(|a| a.name != self.on) {
            let near = nearest(self.on, names.iter().map(String::as_str)).unwrap_or_default();
            bail!("--edit-on `{}` is no adapter of this command; did you mean `{near}`?", self.on);
        }
        Ok(())
    }

    /// Reads the files of all edits, so that none is found wrong after work.
    pub fn check_files(&self) -> Result<()> {
        self.edits.iter().try_for_each(|e| vectors::open(&e.file, [&*e.concept]).map(|_| ()))
    }

    /// Builds every edit but its dose against the model; the files, each once.
    pub fn check_edits(&self, decoder: &Decoder) -> Result<Vec<Directions>> {
        let mut found: Vec<Directions> = Vec::new();
        for edit in &self.edits {
            check_block(edit.layer, decoder.layers())?;
            let directions = edit.directions(decoder)?;
            edit.build(&directions, decoder.layers(), |_| Ok(1.0))?;
            if found.iter().all(|d| d.file != edit.file) {
                found.push(directions);
            }
        }
        Ok(found)
    }

    /// Files of the adapters and directions, for the record.
    pub fn inputs(&self) -> Vec<PathBuf> {
        let mut all = state::adapter_files(self.adapters);
        all.extend(self.edits.iter().map(|e| e.file.clone()));
        all
    }

    /// Opens a state by name.
    pub fn open(&self, name: &str, model: &Model) -> Result<Open> {
        let edit = self.edits.iter().find(|e| e.name == name);
        let weights = if edit.is_some() { self.on } else { name };
        let adapter = self.adapters.iter().find(|a| a.name == weights);
        let decoder = state::state(&model.decoder, adapter.map(|a| &*a.folder))?;
        // RMS of the stream in base on the neutral texts for shifts.
        let rms = |l| Ok(layer_rms(&model.decoder, &scale_texts(model)?, &[l])?[0]);
        let (mut interventions, mut what) = (Interventions::none(), None);
        if let Some(edit) = edit {
            let built = edit.build(&edit.directions(&decoder)?, decoder.layers(), rms)?;
            (interventions, what) = (built.0, Some(built.1));
        }
        // A wrong width or layer is told before any work is done.
        interventions.install(&mut Hooks::none(), decoder.layers(), decoder.hidden())?;
        let digest = adapter.map(|a| digest::of_file(&state::weights(&a.folder)));
        Ok(Open { decoder, interventions, adapter_sha256: digest.transpose()?, edit: what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_read_from_the_right_so_that_paths_may_hold_colons() {
        let s = added("up=C:/runs/d.safetensors:persona:-2.5@10").unwrap();
        assert_eq!(s.file, PathBuf::from("C:/runs/d.safetensors"));
        assert_eq!((s.concept.as_str(), s.dose), ("persona", Some(-2.5)));
        assert_eq!((s.name.as_str(), s.layer), ("up", Some(10)));
        let a = projected_out("out=d.safetensors:persona").unwrap();
        assert_eq!((a.concept.as_str(), a.dose, a.layer), ("persona", None, None));
        for wrong in [
            "up=d.safetensors:persona",
            "d.safetensors:persona:2",
            "base=d.safetensors:persona:2",
            "up=d.safetensors:persona:2@x",
            "up=d.safetensors:persona:inf",
            "a/b=d.safetensors:persona:2",
        ] {
            assert!(added(wrong).is_err(), "{wrong}");
        }
        assert!(projected_out("out=persona").is_err());
    }

    #[test]
    fn names_are_distinct_and_edits_have_a_state() {
        let adapters: Vec<NamedAdapter> = vec!["denial=x".parse().unwrap()];
        let edit = added("denial=f:c:1").unwrap();
        let mut plan = Plan { adapters: &adapters, edits: vec![&edit], on: BASE };
        assert!(plan.check().unwrap_err().to_string().contains("`denial`"));
        plan.edits.clear();
        plan.on = "denail";
        let text = plan.check().unwrap_err().to_string();
        assert!(text.contains("did you mean `denial`"), "{text}");
        plan.on = "denial";
        plan.check().unwrap();
        assert_eq!(plan.names(), ["base", "denial"]);
    }
}
