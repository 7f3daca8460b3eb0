//! What an extraction leaves on disk: results.h5 with its CSV tables, and vectors by state.
//!
//! Base's vectors lie in the folder itself, those of another state in a folder of its name.

use super::measure::{Found, Measured, Plan, StateFound};
use super::tables::{cosines, Tables};
use super::Format;
use crate::cli::Console;
use crate::directions::Direction;
use crate::export::{erasers, gguf, npy, safetensors, Vectors};
use crate::store::{ResultsWriter, RootAttrs};
use anyhow::Result;
use ndarray::{Array4, Array5};
use std::path::Path;

/// What an array of vectors takes from each direction found.
type Vector = fn(&Found) -> Option<&Direction>;
/// What an array of numbers takes from it.
type Number = fn(&Found) -> f64;

/// Where and how vectors are written.
pub struct Target<'a> {
    pub folder: &'a Path,
    pub formats: &'a [Format],
    pub model_hint: &'a str,
    /// Of the model.
    pub blocks: usize,
}

/// Writes everything and returns the names of the files below the folder.
pub fn write(
    target: &Target,
    plan: &Plan,
    measured: &Measured,
    tables: &Tables,
    attrs: &RootAttrs,
    out: &Console,
) -> Result<Vec<String>> {
    let mut files = results(target.folder, plan, measured, tables, attrs)?;
    for (s, state) in measured.states.iter().enumerate() {
        let prefix = match s {
            0 => String::new(),
            _ => format!("{}/", state.name),
        };
        files.extend(vectors(target, plan, state, &prefix, attrs, out)?);
    }
    Ok(files)
}

/// The `directions` part of the results schema.
fn results(
    folder: &Path,
    plan: &Plan,
    measured: &Measured,
    tables: &Tables,
    attrs: &RootAttrs,
) -> Result<Vec<String>> {
    let (states, layers) = (&measured.states, &plan.layers);
    let estimators: Vec<String> = plan.estimators.iter().map(|e| e.to_string()).collect();
    let by = ["state", "concept", "estimator", "layer"];
    let shape = (
        states.len(),
        plan.concepts.len(),
        estimators.len(),
        layers.len(),
    );
    let hidden = states[0].found[0][0][0].profile.direction.unit.len();
    let mut w = ResultsWriter::create(&folder.join("results.h5"), attrs)?;
    w.coord(
        "state",
        states.iter().map(|s| s.name.clone()).collect::<Vec<_>>(),
    )?;
    let names: Vec<String> = plan.concepts.iter().map(|c| c.name.clone()).collect();
    w.coord("concept", names)?;
    w.coord("estimator", estimators)?;
    w.coord("layer", layers.clone())?;
    w.coord("hidden", (0..hidden).collect::<Vec<usize>>())?;
    let found = |(s, c, e, l): (usize, usize, usize, usize)| &states[s].found[c][l][e];
    let group = "directions";
    let directions: [(&str, Vector); 2] = [
        ("unit", |f| Some(&f.profile.direction)),
        ("cleaned_unit", |f| {
            f.profile.cleaned.as_ref().map(|c| &c.direction)
        }),
    ];
    for (name, of) in directions {
        let (a, b, c, d) = shape;
        let mut all = Array5::from_elem((a, b, c, d, hidden), f32::NAN);
        for mut lane in all
            .lanes_mut(ndarray::Axis(4))
            .into_iter()
            .zip(indices(shape))
        {
            if let Some(direction) = of(found(lane.1)) {
                lane.0.assign(&direction.unit);
            }
        }
        let dims = ["state", "concept", "estimator", "layer", "hidden"];
        w.array(group, name, &dims, all.view().into_dyn())?;
    }
    let numbers: [(&str, Number); 6] = [
        ("raw_norm", |f| f.profile.direction.raw_norm),
        ("norm_over_rms", |f| f.profile.quality.relative_norm),
        ("auroc", |f| f.profile.quality.auroc),
        ("auroc_lo", |f| f.profile.quality.auroc_interval.lo),
        ("auroc_hi", |f| f.profile.quality.auroc_interval.hi),
        ("reliability", |f| f.profile.quality.reliability),
    ];
    for (name, of) in numbers {
        let all = Array4::from_shape_fn(shape, |at| of(found(at)));
        w.array(group, name, &by, all.view().into_dyn())?;
    }
    let n = plan.estimators.len();
    if n > 1 {
        let (a, b, _, d) = shape;
        let each: Vec<_> = indices((a, b, 1, d))
            .map(|(s, c, _, l)| cosines(&states[s].found[c][l]))
            .collect();
        let all = Array5::from_shape_fn((a, b, d, n, n), |(s, c, l, i, j)| {
            each[(s * b + c) * d + l][i][j]
        });
        let dims = ["state", "concept", "layer", "estimator_a", "estimator_b"];
        w.array(group, "estimator_cosine", &dims, all.view().into_dyn())?;
    }
    w.attr(
        group,
        "sign_rule",
        states[0].found[0][0][0]
            .profile
            .direction
            .sign_rule
            .as_str(),
    )?;
    w.attr(group, "reading", plan.reading.name())?;
    w.attr(group, "position", plan.positions[0].to_string())?;
    let mut files = vec!["results.h5".to_string()];
    for (name, table) in tables.filled() {
        w.table(group, name, &table.columns())?;
        files.push(format!("csv/{group}.{name}.csv"));
    }
    w.finish()?;
    Ok(files)
}

/// All indices of an array of four dimensions, last fastest.
fn indices(
    (a, b, c, d): (usize, usize, usize, usize),
) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    let each = move |i: usize| (i / (b * c * d), i / (c * d) % b, i / d % c, i % d);
    (0..a * b * c * d).map(each)
}

/// One state's vectors, nuisances and erasers; `prefix` is empty or ends in `/`.
fn vectors(
    target: &Target,
    plan: &Plan,
    state: &StateFound,
    prefix: &str,
    attrs: &RootAttrs,
    out: &Console,
) -> Result<Vec<String>> {
    let empty = || Vectors {
        model_id: attrs.model_id.clone(),
        layer_convention: attrs.layer_convention.clone(),
        blocks: Some(target.blocks),
        ..Vectors::default()
    };
    let add = |to: &mut Vectors, concept: &str, layer: usize, d: &Direction| {
        let layers = to.concepts.entry(concept.to_string()).or_default();
        layers.insert(layer, d.unit.to_vec());
    };
    let mut files = Vec::new();
    for (e, estimator) in plan.estimators.iter().enumerate() {
        let (mut raw, mut cleaned) = (empty(), empty());
        for (concept, by_layer) in plan.concepts.iter().zip(&state.found) {
            for (layer, found) in plan.layers.iter().zip(by_layer) {
                let profile = &found[e].profile;
                add(&mut raw, &concept.name, *layer, &profile.direction);
                if let Some(c) = &profile.cleaned {
                    add(&mut cleaned, &concept.name, *layer, &c.direction);
                }
            }
        }
        let stem = format!("{prefix}{estimator}");
        files.extend(in_formats(target, &stem, &raw, out)?);
        if !cleaned.concepts.is_empty() {
            let stem = format!("{stem}-cleaned");
            files.extend(in_formats(target, &stem, &cleaned, out)?);
        }
    }
    let mut nuisances = empty();
    for (nuisance, by_layer) in plan.nuisances.iter().zip(&state.nuisances) {
        for (layer, direction) in plan.layers.iter().zip(by_layer) {
            add(&mut nuisances, nuisance.name(), *layer, direction);
        }
    }
    if !nuisances.concepts.is_empty() {
        let stem = format!("{prefix}nuisances");
        files.extend(in_formats(target, &stem, &nuisances, out)?);
    }
    if !state.erasers.is_empty() {
        let mut all = erasers::Erasers {
            model_id: attrs.model_id.clone(),
            layer_convention: attrs.layer_convention.clone(),
            ..erasers::Erasers::default()
        };
        for (concept, by_layer) in plan.concepts.iter().zip(&state.erasers) {
            let layers = plan.layers.iter().zip(by_layer);
            let layers = layers.map(|(l, e)| (*l, e.eraser.clone())).collect();
            all.concepts.insert(concept.name.clone(), layers);
        }
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
            let extension = if *format == Format::Npy {
                "npy"
            } else {
                "gguf"
            };
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
