//! `residuum extract`: concepts to directions with their quality, in every state asked for.
//!
//! This file holds the options and the order of the work: [`measure`] reads the states and calls
//! the directions room, [`files`] writes the results file and the vectors in other tools'
//! formats, [`tables`] holds the rows that are stored and given as JSON, [`eyes`] what is printed.

mod eyes;
mod files;
mod measure;
mod tables;

use super::layers::{reported, Layers};
use super::output::Outputs;
use super::reading::Reading;
use super::state::{self, ModelChoice, NamedAdapter};
use super::Console;
use crate::capture::Position;
use crate::directions::{Covariance, Estimator, QualityOptions};
use crate::materials::load_concept;
use anyhow::{bail, Result};
use clap::{Args, ValueEnum};
use measure::{Measured, Nuisance, Plan};
use serde_json::json;
use std::path::PathBuf;

/// Turn concepts into directions
#[derive(Args)]
#[command(long_about = "Turn concepts into directions.\n\n\
A concept is a set of prompts, each with a positive and a negative response. For every layer the \
direction between the two sides is estimated on the main split, with its length, its AUROC on \
prompts and templates that were left out (95 % interval over prompts), its split-half reliability, \
its cosine with each nuisance, and the same numbers once the nuisances are projected out. \
--reading identical reads the neutral exchanges behind the concept's system prompts instead, so \
that both sides have the same words; its templates are the pairs of system prompts. With --adapter \
everything is extracted anew in each state, and base's directions are scored there too.\n\n\
Unit vectors go to one file an estimator, cleaned ones and the nuisances beside them (a state's in a \
folder of its name); results.h5 and csv/ hold the numbers.\n\n\
Example:\n  residuum extract --concept persona,autonomy --estimator mean-diff,lda --choose-layer --out runs/directions")]
pub struct ExtractArgs {
    #[command(flatten)]
    model: ModelChoice,
    /// Fine-tuned state to extract in too; may be given again
    #[arg(long, value_name = "NAME=DIR|org/name[@rev]")]
    adapter: Vec<NamedAdapter>,
    /// Concepts: embedded names or files
    #[arg(
        long,
        value_delimiter = ',',
        required = true,
        value_name = "NAMES|FILES"
    )]
    concept: Vec<String>,
    /// Estimators: mean-diff, pca-pairs, pca-diff-centered, logistic, lda, random
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "NAMES",
        default_value = "mean-diff"
    )]
    estimator: Vec<Estimator>,
    /// How the two sides are read
    #[arg(long, value_enum, default_value_t = Reading::Response)]
    reading: Reading,
    /// Position that is read: response-mean, response-last, prompt-last, user-mean,
    /// template-mean, all-mean
    #[arg(long, visible_alias = "position", default_value = "response-mean")]
    at: Position,
    /// Further positions at which the directions are scored
    #[arg(long, value_delimiter = ',', value_name = "POSITIONS")]
    roles: Vec<Position>,
    /// What is projected out in the cleaned version: concepts, `surprisal`, or `none`
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "NAMES|FILES",
        default_value = "polarity,sentiment,surprisal"
    )]
    nuisances: Vec<String>,
    /// Layers: all, third (1/3 and 4/5 of the depth) or block numbers such as 0,5,10
    #[arg(long, default_value = "all")]
    layers: Layers,
    /// Choose one of the layers by the development split
    #[arg(long)]
    choose_layer: bool,
    /// Fit LEACE erasers of the concepts, by this covariance
    #[arg(long, value_enum, value_name = "COVARIANCE")]
    eraser: Option<EraserChoice>,
    /// Folder to write to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Formats of the vectors
    #[arg(long, value_enum, value_delimiter = ',', default_value = "safetensors")]
    format: Vec<Format>,
    /// Architecture that a .gguf names
    #[arg(long, value_name = "NAME", default_value = "llama")]
    model_hint: String,
    /// Bootstrap draws over prompts
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(20..))]
    draws: u32,
    /// Random splits of the prompts for the reliability
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    splits: u32,
    /// Seed of the resampling
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// <estimator>.safetensors, tensors named <concept>.<layer>
    Safetensors,
    /// <estimator>/<concept>.npy, [layer, hidden] with NaN where a layer was not asked for
    Npy,
    /// <estimator>/<concept>.gguf, a control vector
    Gguf,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EraserChoice {
    /// The sample covariance, as in the paper
    Sample,
    /// Shrinkage covariance, for fewer pairs than dimensions
    Shrunk,
}

/// Nuisance that is no concept.
const SURPRISAL: &str = "surprisal";

pub fn run(mut args: ExtractArgs, out: &Console) -> Result<()> {
    state::distinct(&args.adapter)?;
    Outputs::of(&args.model.model)
        .reads_all("--adapter", args.adapter.iter().map(|a| &a.folder))
        .texts("--concept", &args.concept)
        .texts("--nuisances", &args.nuisances)
        .folder("--out", &args.out, &["results.h5", "manifest.json"])
        .check()?;
    args.adapter = state::located(&args.adapter, out)?;
    let concepts = args
        .concept
        .iter()
        .map(|c| load_concept(c))
        .collect::<Result<Vec<_>, _>>()?;
    for (i, concept) in concepts.iter().enumerate() {
        if concepts[..i].iter().any(|c| c.name == concept.name) {
            bail!("concept `{}` is given twice; leave one out", concept.name);
        }
    }
    let nuisances = nuisances(&args.nuisances)?;
    let model = args.model.open(out)?;
    let layers = args.layers.of(model.decoder.layers())?;
    if args.choose_layer && layers.len() < 2 {
        bail!("there is one layer and nothing to choose from; ask for more with --layers");
    }
    let mut estimators: Vec<Estimator> = Vec::new();
    for e in &args.estimator {
        if !estimators.contains(e) {
            estimators.push(*e);
        }
    }
    let mut positions = vec![args.at];
    for p in &args.roles {
        if !positions.contains(p) {
            positions.push(*p);
        }
    }
    let plan = Plan {
        concepts,
        nuisances,
        estimators,
        layers,
        positions,
        reading: args.reading,
        choose: args.choose_layer,
        eraser: args.eraser.map(|e| match e {
            EraserChoice::Sample => Covariance::Sample,
            EraserChoice::Shrunk => Covariance::Shrunk,
        }),
        options: QualityOptions {
            draws: args.draws as usize,
            splits: args.splits as usize,
            seed: args.seed,
            ..QualityOptions::default()
        },
    };
    let measured = measure::run(&plan, &model, &args.adapter, out)?;
    let tables = tables::Tables::new(&plan, &measured);

    let names: Vec<&str> = plan.estimators.iter().map(|e| e.name()).collect();
    let roles: Vec<String> = plan.positions.iter().map(Position::to_string).collect();
    let config = json!({
        "concepts": args.concept, "nuisances": args.nuisances, "estimators": names,
        "reading": plan.reading.name(), "positions": roles, "layers": plan.layers,
        "options": plan.options,
    });
    state::make_folder(&args.out)?;
    let target = files::Target {
        folder: &args.out,
        formats: &args.format,
        model_hint: &args.model_hint,
        blocks: model.decoder.layers(),
    };
    let attrs = state::attrs(&model, config.clone(), args.seed);
    let files = files::write(&target, &plan, &measured, &tables, &attrs, out)?;
    let mut inputs: Vec<PathBuf> = args.concept.iter().map(PathBuf::from).collect();
    inputs.extend(state::adapter_files(&args.adapter));
    state::record(&args.out, &model, config, args.seed, &inputs, &files)?;

    let shown = shown(&plan, &measured, model.decoder.layers());
    let notes = eyes::notes(&plan, &measured, &shown);
    let mut text = eyes::text(&tables, &plan, &measured, &shown);
    for note in &notes {
        text += &format!("\nwarning: {note}");
    }
    let written: Vec<&str> = files.iter().map(String::as_str).collect();
    text += &format!(
        "\n\nAUROC is on prompts and templates left out; intervals are 95 % over prompts.\nwritten: {} in {}",
        written.join(", "),
        args.out.display()
    );
    let mut json = tables.json();
    if let Some(map) = json.as_object_mut() {
        map.insert("out".into(), json!(args.out));
        map.insert("files".into(), json!(files));
        map.insert("shown_layers".into(), json!(shown));
        map.insert("warnings".into(), json!(notes));
    }
    out.result(&json, || text)
}

/// The nuisances by name or file.
fn nuisances(names: &[String]) -> Result<Vec<Nuisance>> {
    if names.iter().any(|n| n == "none") {
        if names.len() > 1 {
            bail!("--nuisances none stands alone; leave the other names out");
        }
        return Ok(Vec::new());
    }
    let mut all: Vec<Nuisance> = Vec::new();
    for name in names {
        let nuisance = match name == SURPRISAL {
            true => Nuisance::Surprisal,
            false => Nuisance::Concept(load_concept(name)?),
        };
        if all.iter().any(|n| n.name() == nuisance.name()) {
            bail!("nuisance `{name}` is given twice; leave one out");
        }
        all.push(nuisance);
    }
    Ok(all)
}

/// Layers that are printed: the chosen ones, or those fixed beforehand, or all of a few.
fn shown(plan: &Plan, measured: &Measured, depth: usize) -> Vec<usize> {
    if plan.choose {
        let chosen = measured.choices.iter().flatten();
        let mut layers: Vec<usize> = chosen.map(|c| plan.layers[c.chosen]).collect();
        layers.sort_unstable();
        layers.dedup();
        return layers;
    }
    let mut fixed = reported(depth);
    fixed.retain(|l| plan.layers.contains(l));
    match fixed.is_empty() || plan.layers.len() <= 4 {
        true => plan.layers.clone(),
        false => fixed,
    }
}
