//! `residuum extract`: concepts to unit directions with their quality, in other tools' formats.

use super::layers::Layers;
use super::reading;
use super::state::{self, ModelChoice};
use super::table::Table;
use super::Console;
use crate::capture::Position;
use crate::directions::{estimate, quality, Direction, Estimator, Quality, QualityOptions};
use crate::export::{gguf, npy, safetensors, Vectors};
use crate::geometry::shift::layer_rms;
use crate::materials::load_concept;
use crate::stats::linalg::cosine;
use crate::store::schema::LAYER_CONVENTION;
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use rayon::prelude::*;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Splits for estimators that are fitted anew for each half.
const FITTED_SPLITS: usize = 20;

/// Turn concepts into directions
#[derive(Args)]
#[command(long_about = "Turn concepts into directions.\n\n\
A concept is a set of prompts, each with a positive and a negative response. For every layer the \
direction between the two sides is estimated on the main split, with its length, its AUROC on \
prompts and templates that were left out (95 % interval over prompts), and its split-half \
reliability. Vectors are written as unit vectors, one file an estimator; quality.csv holds the \
numbers.\n\n\
Example:\n  residuum extract --concept persona,autonomy --estimator mean-diff --layers third --out runs/directions")]
pub struct ExtractArgs {
    #[command(flatten)]
    model: ModelChoice,
    /// PEFT adapter to merge
    #[arg(long, value_name = "DIR")]
    adapter: Option<PathBuf>,
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
    /// Position that is read
    #[arg(long, default_value = "response-mean")]
    at: Position,
    /// Layers: all, third (1/3 and 4/5 of the depth) or block numbers such as 0,5,10
    #[arg(long, default_value = "all")]
    layers: Layers,
    /// Folder to write to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Formats of the vectors
    #[arg(long, value_enum, value_delimiter = ',', default_value = "safetensors")]
    format: Vec<Format>,
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

const COLUMNS: [&str; 13] = [
    "concept",
    "estimator",
    "layer",
    "norm",
    "relative_norm",
    "auroc",
    "auroc_lo",
    "auroc_hi",
    "reliability",
    "pairs",
    "prompts",
    "templates",
    "warnings",
];

pub fn run(args: ExtractArgs, out: &Console) -> Result<()> {
    let concepts = args
        .concept
        .iter()
        .map(|c| load_concept(c))
        .collect::<Result<Vec<_>, _>>()?;
    let model = state::open(&args.model.model, out)?;
    let decoder = state::state(&model.decoder, args.adapter.as_deref())?;
    let layers = args.layers.of(decoder.layers())?;
    state::make_folder(&args.out)?;
    let request = reading::request(args.at, &layers);
    let tokenizer = &model.tokenizer;
    let background = reading::neutral(&decoder, tokenizer, &request, out, "neutral texts");
    let rms = layer_rms(background?.view());

    let mut table = Table::new(&COLUMNS, 3);
    let mut agreement = Table::new(&["concept", "layer", "first", "second", "cosine"], 3);
    let vectors = || Vectors {
        model_id: model.id.clone(),
        layer_convention: LAYER_CONVENTION.into(),
        ..Vectors::default()
    };
    let mut by_estimator: Vec<(Estimator, Vectors)> = Vec::new();
    for e in &args.estimator {
        if by_estimator.iter().all(|(known, _)| known != e) {
            by_estimator.push((*e, vectors()));
        }
    }
    let mut notes: Vec<String> = Vec::new();
    for concept in &concepts {
        let read = reading::concept(&decoder, tokenizer, concept, &request, out, &concept.name)?;
        let mut of_concept: Vec<Vec<Direction>> = Vec::new();
        for (estimator, vectors) in &mut by_estimator {
            let found: Vec<(Direction, Quality)> = (0..layers.len())
                .into_par_iter()
                .map(|l| one(&read, l, *estimator, rms[l], args.seed))
                .collect::<Result<_>>()
                .with_context(|| format!("concept `{}`, {estimator}", concept.name))?;
            for (&layer, (direction, q)) in layers.iter().zip(&found) {
                let entry = vectors.concepts.entry(concept.name.clone()).or_default();
                entry.insert(layer, direction.unit.to_vec());
                let warnings: Vec<String> = q.warnings.iter().map(|w| w.to_string()).collect();
                for w in &warnings {
                    let note = format!("{}, {estimator}: {w}", concept.name);
                    if !notes.contains(&note) {
                        notes.push(note);
                    }
                }
                table.row(vec![
                    concept.name.clone().into(),
                    estimator.name().into(),
                    layer.into(),
                    direction.raw_norm.into(),
                    q.relative_norm.into(),
                    q.auroc.into(),
                    q.auroc_interval.lo.into(),
                    q.auroc_interval.hi.into(),
                    q.reliability.into(),
                    q.n_pairs.into(),
                    q.n_prompts.into(),
                    q.n_templates.into(),
                    warnings.join("; ").into(),
                ]);
            }
            of_concept.push(found.into_iter().map(|(d, _)| d).collect());
        }
        for (a, (first, _)) in by_estimator.iter().enumerate() {
            for (b, (second, _)) in by_estimator.iter().enumerate().skip(a + 1) {
                for (l, layer) in layers.iter().enumerate() {
                    let wide = |i: usize| of_concept[i][l].unit.mapv(f64::from);
                    let value = cosine(wide(a).view(), wide(b).view());
                    agreement.row(vec![
                        concept.name.clone().into(),
                        (*layer).into(),
                        first.name().into(),
                        second.name().into(),
                        value.into(),
                    ]);
                }
            }
        }
    }
    let mut files = vec!["quality.csv".to_string()];
    table.write_csv(&args.out.join("quality.csv"))?;
    if by_estimator.len() > 1 {
        agreement.write_csv(&args.out.join("agreement.csv"))?;
        files.push("agreement.csv".into());
    }
    for (estimator, vectors) in &by_estimator {
        for format in &args.format {
            files.extend(write(&args.out, estimator.name(), vectors, *format, out)?);
        }
    }
    let names: Vec<&str> = args.estimator.iter().map(|e| e.name()).collect();
    let config = json!({
        "concepts": args.concept, "estimators": names, "at": args.at.to_string(),
        "layers": layers, "adapter": args.adapter,
    });
    let inputs: Vec<PathBuf> = args.concept.iter().map(PathBuf::from).collect();
    state::record(&args.out, &model, config, args.seed, &inputs, &files)?;
    // The warnings are long and recur: they are printed once, below.
    let mut text = table.without("warnings").text();
    if by_estimator.len() > 1 {
        text += &format!("\nCosines between estimators\n{}", agreement.text());
    }
    for note in &notes {
        text += &format!("\nwarning: {note}");
    }
    text += &format!("\n\nAUROC is on prompts and templates left out; intervals are 95 % over prompts.\nwritten: {}", files.join(", "));
    let json = json!({
        "out": args.out, "files": files, "directions": table.json(),
        "agreement": agreement.json(), "warnings": notes,
    });
    out.result(&json, || text)
}

fn one(
    read: &reading::ConceptReading,
    l: usize,
    estimator: Estimator,
    rms: f64,
    seed: u64,
) -> Result<(Direction, Quality)> {
    let pairs = read.pairs(l);
    let splits = match estimator {
        Estimator::MeanDiff => QualityOptions::default().splits,
        _ => FITTED_SPLITS,
    };
    let options = QualityOptions {
        seed,
        splits,
        ..QualityOptions::default()
    };
    let direction = estimate(&pairs, estimator, seed)?;
    Ok((direction, quality(&pairs, estimator, rms, options)?))
}

/// Writes one format and returns the names of its files in the folder.
fn write(
    folder: &Path,
    estimator: &str,
    vectors: &Vectors,
    format: Format,
    out: &Console,
) -> Result<Vec<String>> {
    let mut files = Vec::new();
    if format == Format::Safetensors {
        let name = format!("{estimator}.safetensors");
        safetensors::write(&folder.join(&name), vectors)?;
        files.push(name);
        return Ok(files);
    }
    for concept in vectors.concepts.keys() {
        let extension = if format == Format::Npy { "npy" } else { "gguf" };
        let name = format!("{estimator}/{concept}.{extension}");
        let path = folder.join(&name);
        if format == Format::Npy {
            // That an array carries no metadata is in the format's help line.
            npy::write(&path, vectors, concept)?;
        } else if let Some(warning) = gguf::write(&path, vectors, concept, "llama")? {
            out.warn(&warning.to_string());
        }
        files.push(name);
    }
    Ok(files)
}
