//! What an extraction leaves on disk: results.h5 with its CSV tables, and vectors by state.
//!
//! Base's vectors lie in the folder itself, those of another state in a folder of its name.

use super::Format;
use crate::analysis::directions::{write_units, StateDirections};
use crate::analysis::{Directions, Reading, Readings};
use crate::cli::Console;
use crate::export::{erasers, gguf, npy, safetensors, Vectors};
use crate::store::{Frame, ResultsWriter, RootAttrs};
use anyhow::Result;
use std::path::Path;

/// Where and how vectors are written.
pub struct Target<'a> {
    pub folder: &'a Path,
    pub formats: &'a [Format],
    pub model_hint: &'a str,
    /// Of the model.
    pub blocks: usize,
    pub attrs: &'a RootAttrs,
}

/// Writes `results.h5` with the frames and the unit vectors, and returns the names of its files.
pub fn results(
    target: &Target,
    frames: &[Frame],
    readings: &Readings,
    found: &Directions,
    reading: Reading,
) -> Result<Vec<String>> {
    let mut w = ResultsWriter::create(&target.folder.join("results.h5"), target.attrs)?;
    let mut files = vec!["results.h5".to_string()];
    for frame in frames.iter().filter(|f| !f.is_empty()) {
        w.frame(frame)?;
        files.push(format!("csv/{}.csv", frame.meta.path.replace('/', ".")));
    }
    write_units(&mut w, readings, found)?;
    w.attr("directions", "reading", reading.name())?;
    w.finish()?;
    Ok(files)
}

/// Writes one state's vectors, nuisances and erasers; `prefix` is empty or ends in `/`.
pub fn vectors(
    target: &Target,
    found: &Directions,
    state: &StateDirections,
    prefix: &str,
    out: &Console,
) -> Result<Vec<String>> {
    let attrs = target.attrs;
    let mut all = Vec::new();
    for (e, estimator) in found.estimators.iter().enumerate() {
        for (end, cleaned) in [("", false), ("-cleaned", true)] {
            let vectors = found.vectors(state, e, cleaned);
            all.push((format!("{prefix}{estimator}{end}"), vectors));
        }
    }
    let mut nuisances = Vectors::default();
    for (nuisance, by_layer) in found.nuisances.iter().zip(&state.nuisances) {
        let layers = found.layers.iter().zip(by_layer);
        let layers = layers.map(|(l, d)| (*l, d.unit.to_vec())).collect();
        nuisances.concepts.insert(nuisance.clone(), layers);
    }
    all.push((format!("{prefix}nuisances"), nuisances));
    let mut files = Vec::new();
    for (stem, vectors) in all {
        let vectors = Vectors {
            model_id: attrs.model_id.clone(),
            layer_convention: attrs.layer_convention.clone(),
            blocks: Some(target.blocks),
            ..vectors
        };
        if !vectors.concepts.is_empty() {
            files.extend(in_formats(target, &stem, &vectors, out)?);
        }
    }
    if !state.erasers.is_empty() {
        let by_layer = |of: &Vec<_>| found.layers.iter().copied().zip(of.clone()).collect();
        let each = found.concepts.iter().cloned();
        let all = erasers::Erasers {
            model_id: attrs.model_id.clone(),
            layer_convention: attrs.layer_convention.clone(),
            concepts: each.zip(state.erasers.iter().map(by_layer)).collect(),
        };
        let name = format!("{prefix}erasers.safetensors");
        erasers::write(&target.folder.join(&name), &all)?;
        files.push(name);
    }
    Ok(files)
}

/// Writes vectors in every format asked for: one file, or a folder with a file a concept.
fn in_formats(
    target: &Target,
    stem: &str,
    vectors: &Vectors,
    out: &Console,
) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for format in target.formats {
        if *format == Format::Safetensors {
            let name = format!("{stem}.safetensors");
            safetensors::write(&target.folder.join(&name), vectors)?;
            files.push(name);
            continue;
        }
        for concept in vectors.concepts.keys() {
            let extension = if *format == Format::Npy { "npy" } else { "gguf" };
            let name = format!("{stem}/{concept}.{extension}");
            let path = target.folder.join(&name);
            if *format == Format::Npy {
                // That an array carries no metadata is in the format's help line.
                npy::write(&path, vectors, concept)?;
            } else if let Some(warning) = gguf::write(&path, vectors, concept, target.model_hint)? {
                out.warn(&warning.to_string());
            }
            files.push(name);
        }
    }
    Ok(files)
}
