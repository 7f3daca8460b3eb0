//! The vectors that an extraction leaves on disk, state by state.
//!
//! Base's vectors lie in the folder itself, those of another state in a folder of its name.

use super::{ExtractArgs, Format};
use crate::analysis::{Directions, Readings};
use crate::causal::Direction;
use crate::cli::Console;
use crate::directions::Estimator;
use crate::export::{erasers, file, gguf, npy, Vectors};
use crate::store::RootAttrs;
use anyhow::Result;
use std::collections::BTreeMap;

/// Where and how vectors are written.
pub struct Target<'a> {
    pub args: &'a ExtractArgs,
    /// Of the model.
    pub blocks: usize,
    pub attrs: &'a RootAttrs,
    pub out: &'a Console,
}

impl Target<'_> {
    /// Writes the vectors, nuisances and erasers of the state `s`; `prefix` is empty or ends in `/`.
    pub fn write(
        &self,
        found: &Directions,
        (readings, s): (&Readings, usize),
        prefix: &str,
    ) -> Result<Vec<String>> {
        let state = &found.states[s];
        let mut all = Vec::new();
        for (e, estimator) in found.estimators.iter().enumerate() {
            for (end, cleaned) in [("", false), ("-cleaned", true)] {
                let mut vectors = found.vectors(state, e, cleaned);
                vectors.about = found.about((readings, s), e, cleaned);
                if *estimator == Estimator::MeanDiff && !cleaned {
                    vectors.concepts.extend(self.permuted(found, readings, s));
                }
                all.push((format!("{estimator}{end}"), vectors));
            }
        }
        let mut nuisances = Vectors::default();
        nuisances.about.state.clone_from(&readings.states[s].id);
        nuisances.about.position = readings.positions[0].to_string();
        nuisances.about.norm = "unit".into();
        for (nuisance, by_layer) in found.nuisances.iter().zip(&state.nuisances) {
            let layers = found.layers.iter().zip(by_layer);
            let layers = layers.map(|(l, d)| (*l, d.unit.to_vec())).collect();
            nuisances.concepts.insert(nuisance.clone(), layers);
        }
        all.push(("nuisances".into(), nuisances));
        let (model_id, layer_convention) = (&self.attrs.model_id, &self.attrs.layer_convention);
        let mut files = Vec::new();
        for (stem, mut vectors) in all {
            vectors.model_id.clone_from(model_id);
            vectors.layer_convention.clone_from(layer_convention);
            vectors.blocks = Some(self.blocks);
            vectors.about.model_sha256.clone_from(&self.attrs.model_sha256);
            vectors.about.reading = self.args.reading.name().into();
            if !vectors.concepts.is_empty() {
                self.in_formats(&format!("{prefix}{stem}"), &vectors, &mut files)?;
            }
        }
        if !state.erasers.is_empty() {
            let by_layer = |of: &Vec<_>| found.layers.iter().copied().zip(of.clone()).collect();
            let each = found.concepts.iter().cloned();
            let all = erasers::Erasers {
                model_id: model_id.clone(),
                layer_convention: layer_convention.clone(),
                concepts: each.zip(state.erasers.iter().map(by_layer)).collect(),
            };
            let name = format!("{prefix}erasers.safetensors");
            erasers::write(&self.args.out.join(&name), &all)?;
            files.push(name);
        }
        Ok(files)
    }

    /// Directions of each concept's pairs with labels permuted, by name.
    fn permuted<'b>(
        &'b self,
        found: &'b Directions,
        readings: &'b Readings,
        s: usize,
    ) -> impl Iterator<Item = (String, BTreeMap<usize, Vec<f32>>)> + 'b {
        let (n, seed) = (self.args.permuted.into(), self.args.seed);
        let read = readings.concepts.iter().zip(&readings.acts[s].concepts);
        let wanted = read.filter(|(info, _)| found.concepts.contains(&info.name));
        let drawn = wanted.flat_map(move |(info, acts)| {
            let differences = acts.differences();
            Direction::permuted(&info.labelled(differences.view()), &found.layers, n, seed)
        });
        drawn.map(|d| (d.name, d.vectors))
    }

    /// Writes vectors in every requested format: one file, or a folder with a file a concept.
    fn in_formats(&self, stem: &str, vectors: &Vectors, files: &mut Vec<String>) -> Result<()> {
        let folder = &self.args.out;
        let hint = self.args.model_hint.as_deref().unwrap_or(gguf::HINT);
        for format in &self.args.format {
            let whole = match format {
                Format::Safetensors => Some("safetensors"),
                Format::Npz => Some("npz"),
                Format::Npy | Format::Gguf => None,
            };
            if let Some(ending) = whole {
                let name = format!("{stem}.{ending}");
                file::write(&folder.join(&name), vectors, "")?;
                files.push(name);
                continue;
            }
            for concept in vectors.concepts.keys() {
                let extension = if *format == Format::Npy { "npy" } else { "gguf" };
                let name = format!("{stem}/{concept}.{extension}");
                let path = folder.join(&name);
                if *format == Format::Npy {
                    // That an array carries no metadata is in the format's help line.
                    npy::write(&path, vectors, concept)?;
                } else if let Some(warning) = gguf::write(&path, vectors, concept, hint)? {
                    self.out.warn(&warning.to_string());
                }
                files.push(name);
            }
        }
        Ok(())
    }
}
