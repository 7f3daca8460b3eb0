//! `residuum extract`: concepts to directions with their quality, in every state asked for.
//!
//! Options -> readings ([`readings`]) -> one call of [`directions::measure`] -> `results.h5` ([`kept`])
//! and [`vectors`] -> the frames of the shown layers.

mod vectors;

use super::kept::{self, Origin};
use super::layers::{reported, Layers};
use super::readings::{self, Texts};
use super::state::{self, ModelChoice, NamedAdapter};
use super::{output::Outputs, parts::Parts, Console};
use crate::analysis::directions::{self, write_units, SURPRISAL};
use crate::analysis::{records::distinct, DirectionOptions, Directions, Draws, Reading};
use crate::capture::Position;
use crate::directions::{Covariance, Estimator};
use crate::materials::Concept;
use crate::store::{Frame, Values};
use anyhow::{bail, Result};
use clap::{Args, ValueEnum};
use serde_json::{json, Value};
use std::path::PathBuf;

/// Turn concepts into directions.
///
/// A concept is a set of prompts, each with a positive and a negative response. For every layer the
/// direction between the two sides is estimated on the main split, with its length, its AUROC on
/// prompts and templates that were left out (95 % interval over prompts), what a bag of words
/// reaches on the same responses, its split-half reliability, its cosine with each nuisance, and
/// the same numbers once the nuisances are projected out. --reading identical reads the neutral
/// exchanges behind the concept's system prompts instead, so that both sides have the same words;
/// its templates are the pairs of system prompts. With --adapter everything is extracted anew in
/// each state, and base's directions are scored there too.
///
/// --permuted adds directions of the same pairs with labels permuted to the file of mean-diff, for
/// `residuum steer --permuted`.
///
/// Unit vectors go to one file an estimator, with cleaned ones and the nuisances (a state's
/// in a folder of its name); all formats but .npy say which model, estimator, reading and position
/// they are of, with norm, layer RMS, AUROC and the chosen layer. results.h5 and csv/ hold the numbers.
///
/// Example: residuum extract --concept persona,autonomy --estimator mean-diff,lda --choose-layer --out runs/directions
#[derive(Args)]
pub struct ExtractArgs {
    #[command(flatten)]
    model: ModelChoice,
    /// Fine-tuned state to extract in too; may be given again
    #[arg(long, value_name = "NAME=DIR|org/name[@rev]")]
    adapter: Vec<NamedAdapter>,
    /// Concepts: embedded names or files
    #[arg(long, value_delimiter = ',', required = true, value_name = "NAMES|FILES")]
    concept: Vec<String>,
    /// Pairs of each concept, drawn by the seed [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pairs: Option<u32>,
    #[arg(long, value_delimiter = ',', value_name = "NAMES", default_value = "mean-diff")]
    #[arg(help = format!("Estimators: {}", Estimator::list()))]
    estimator: Vec<Estimator>,
    /// Directions of each concept's pairs with labels permuted: controls that keep topic, length and
    /// format and lose the concept
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1000))]
    permuted: u16,
    /// How the two sides are read: response (each prompt with the response of either side), or
    /// identical (the same neutral exchange behind the system prompt of either side)
    #[arg(long, value_name = "READING", default_value = "response", hide_possible_values = true)]
    reading: Reading,
    /// Position that is read, then further ones at which the directions are scored:
    /// response-mean, response-last, prompt-last, user-mean, template-mean, all-mean, user-last,
    /// before-response, response-first, response-q1 to response-q4
    #[arg(long, aliases = ["at", "position"], value_delimiter = ',', value_name = "POSITIONS")]
    #[arg(default_value = "response-mean")]
    positions: Vec<Position>,
    /// Further positions, as behind the first of --positions
    #[arg(long, hide = true, value_delimiter = ',', value_name = "POSITIONS")]
    roles: Vec<Position>,
    /// What is projected out in the cleaned version: concepts, `surprisal`, or `none`
    #[arg(long, value_delimiter = ',', value_name = "NAMES|FILES")]
    #[arg(default_value = "polarity,sentiment,surprisal")]
    nuisances: Vec<String>,
    /// Layers: all, third (1/3 and 4/5 of the depth) or block numbers such as 0,5,10
    #[arg(long, default_value = "all")]
    layers: Layers,
    /// Choose one of the layers by the development split
    #[arg(long)]
    choose_layer: bool,
    /// Fit LEACE erasers of the concepts, by this covariance
    #[arg(long, value_enum, value_name = "COVARIANCE")]
    eraser: Option<Covariance>,
    /// Folder to write to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Formats of the vectors
    #[arg(long, value_enum, value_delimiter = ',', default_value = "safetensors")]
    format: Vec<Format>,
    /// Architecture that a .gguf names [default: llama]
    #[arg(long, value_name = "NAME", requires = "format")]
    model_hint: Option<String>,
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
    /// <estimator>.npz, an array a concept
    Npz,
    /// <estimator>/<concept>.npy, [layer, hidden] with NaN where a layer was not requested
    Npy,
    /// <estimator>/<concept>.gguf, a control vector
    Gguf,
}

pub fn run(mut args: ExtractArgs, out: &Console) -> Result<()> {
    state::distinct(&args.adapter)?;
    let _taken = Outputs::of(&args.model.model)
        .reads_all("--adapter", args.adapter.iter().map(|a| &a.folder))
        .texts("--concept", &args.concept)
        .texts("--nuisances", &args.nuisances)
        .folder("--out", &args.out, &kept::FILES)
        .take(out.force)?;
    if args.model_hint.is_some() && !args.format.contains(&Format::Gguf) {
        bail!("--model-hint is for .gguf; add gguf to --format, or leave it out");
    }
    args.adapter = state::located(args.adapter, out)?;
    let (concepts, options) = asked(&args)?;
    let wanted = options.concepts.len();
    let neutral = readings::shift_texts()?;
    let model = args.model.open(out)?;
    let depth = model.decoder.layers();
    let layers = args.layers.of(depth)?;
    if args.choose_layer && layers.len() < 2 {
        bail!("there is one layer and nothing to choose from; give more with --layers");
    }
    if args.permuted > 0 && !options.estimators.contains(&Estimator::MeanDiff) {
        bail!("--permuted directions are mean differences; add mean-diff to --estimator");
    }
    let positions = distinct(args.positions.iter().chain(&args.roles).copied());
    let texts = Texts {
        concepts: &concepts,
        neutral: &neutral,
        reading: args.reading,
        layers: &layers,
        positions: &positions,
        choosing: args.choose_layer.then_some(wanted),
        log_probs: options.nuisances.iter().any(|n| n == SURPRISAL),
    };
    let read = readings::read(&texts, &model, &args.adapter, out)?;
    let readings = &read.readings;
    let mut parts = Parts::of(out);
    let watch = &mut |part: &str| parts.begin(part);
    let found = directions::measure(readings, &read.log_probs, &read.further, &options, watch)?;
    drop(parts);

    let names: Vec<&str> = options.estimators.iter().map(|e| e.name()).collect();
    let roles: Vec<String> = positions.iter().map(Position::to_string).collect();
    let config = json!({
        "concepts": args.concept, "pairs": args.pairs, "nuisances": args.nuisances,
        "estimators": names, "reading": args.reading.name(), "positions": roles,
        "layers": layers, "draws": options.draws, "splits": options.splits,
        "permuted": args.permuted,
    });
    kept::make_folder(&args.out)?;
    let origin = Origin { model: &model, config, seed: args.seed };
    let attrs = origin.attrs();
    let mut frames = readings::ground(readings, &reported(depth)).to_vec();
    frames.extend(found.frames());
    frames.push(Frame::of(&found.warnings(&layers)));
    let mut files = kept::results(&args.out, &attrs, &frames, |w| {
        write_units(w, readings, &found)?;
        Ok(w.attr("directions", "reading", args.reading.name())?)
    })?;
    let target = vectors::Target { args: &args, blocks: depth, attrs: &attrs, out };
    for (s, id) in readings.states.iter().enumerate() {
        let prefix = if id.is_base() { String::new() } else { format!("{}/", id.id) };
        files.extend(target.write(&found, (readings, s), &prefix)?);
    }
    let mut inputs: Vec<PathBuf> = args.concept.iter().map(PathBuf::from).collect();
    inputs.extend(state::adapter_files(&args.adapter));
    origin.record(&args.out, &inputs, &files)?;
    print(&found, &frames, &files, (depth, &args), out)
}

/// The concepts to read, those that are wanted first, and what is wanted of them.
fn asked(args: &ExtractArgs) -> Result<(Vec<Concept>, DirectionOptions)> {
    let mut concepts = readings::concepts(&args.concept, args.pairs, args.seed)?;
    let wanted: Vec<String> = concepts.iter().map(|c| c.name.clone()).collect();
    let mut nuisances: Vec<String> = Vec::new();
    let any = !args.nuisances.iter().any(|n| n == "none");
    if !any && args.nuisances.len() > 1 {
        bail!("--nuisances none takes no other names; leave them out");
    }
    for given in args.nuisances.iter().filter(|_| any) {
        let mut name = given.clone();
        if given != SURPRISAL {
            let concept = readings::concept(given, args.pairs, args.seed)?;
            name.clone_from(&concept.name);
            if !concepts.iter().any(|c| c.name == name) {
                concepts.push(concept);
            }
        }
        if nuisances.contains(&name) {
            bail!("nuisance `{given}` is given twice; leave one out");
        }
        nuisances.push(name);
    }
    let draws = Draws { bootstrap: args.draws as usize, null: 0, seed: args.seed };
    let options = DirectionOptions {
        concepts: wanted,
        estimators: distinct(args.estimator.iter().copied()),
        nuisances,
        splits: args.splits as usize,
        draws,
        tuned_draws: draws.bootstrap,
        eraser: args.eraser,
        choose_layer: args.choose_layer,
    };
    Ok((concepts, options))
}

/// The frames of the shown layers: the chosen ones, or those fixed beforehand, or all of a few.
fn print(
    found: &Directions,
    frames: &[Frame],
    files: &[String],
    (depth, args): (usize, &ExtractArgs),
    out: &Console,
) -> Result<()> {
    let mut shown: Vec<usize> = match args.choose_layer {
        true => (found.records.layer_choice.iter())
            .filter_map(|r| r.chosen.then_some(r.layer))
            .collect(),
        false => reported(depth),
    };
    shown.sort_unstable();
    shown.dedup();
    shown.retain(|l| found.layers.contains(l));
    if !args.choose_layer && (shown.is_empty() || found.layers.len() <= 4) {
        shown.clone_from(&found.layers);
    }
    let warnings = found.warnings(&shown);
    if out.json {
        let row = |f: &Frame| (f.name().to_string(), f.json());
        let mut json: serde_json::Map<String, Value> = frames.iter().map(row).collect();
        json.insert("out".into(), json!(args.out));
        json.insert("files".into(), json!(files));
        json.insert("shown_layers".into(), json!(shown));
        return out.result(&Value::Object(json), String::new);
    }
    let shown: Vec<i64> = shown.into_iter().map(|l| l as i64).collect();
    let near = |frame: Frame, column: &str, wanted: &[i64]| match frame.column(column).cloned() {
        Some(Values::Int(v)) => frame.only(|i| wanted.contains(&v[i])),
        _ => frame,
    };
    const TITLES: [&str; 7] = [
        "Directions: held-out AUROC, and its gain on the words of the responses",
        "The nuisances",
        "Cosines with the nuisances",
        "Cosines between estimators",
        "Directions carried to other states and positions: held-out AUROC",
        "The layers on the development pairs",
        "Left by the erasers: held-out AUROC",
    ];
    let mut text = String::new();
    for (i, (title, frame)) in TITLES.iter().zip(found.frames()).enumerate() {
        let mut frame = match i == 0 && args.choose_layer {
            true => near(frame, "chosen", &[1]),
            false => near(frame, "layer", &shown),
        };
        if i == 0 {
            frame = frame.without(&["norm", "chosen", "pairs", "templates"]);
        }
        if !frame.is_empty() {
            text += &format!("{title}\n{}\n", frame.text());
        }
    }
    for w in warnings {
        text += &format!("warning: {}: {}\n", w.about, w.text);
    }
    let written = kept::written(files, &args.out);
    text += &format!("\nIntervals are 95 % over prompts.\n{written}");
    out.result(&Value::Null, || text)
}
