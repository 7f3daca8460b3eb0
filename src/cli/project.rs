//! `residuum project`: texts, or each of their tokens, on directions from any file of vectors.
//!
//! Texts and vectors -> [`Projected`] -> the table, and `results.h5` with `csv/` in `--out`.

use super::kept::{self, Origin};
use super::layers::{reported, Acting, Layers};
use super::reading::{self, Missing};
use super::readings::scale_texts;
use super::state::{self, ModelChoice};
use super::vectors::{self, split, Directions};
use super::{output::Outputs, Console};
use crate::analysis::records::{distinct, Results, WarningRow};
use crate::analysis::scale::layer_rows;
use crate::analysis::{layer_rms, projection::Projected, State};
use crate::behavior::Ruler;
use crate::capture::Position;
use crate::materials::{self, texts, TextRow};
use crate::model::{Model, Tokens};
use crate::store::{names::twice, Frame};
use anyhow::{bail, Context, Result};
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Rows of a table that are printed.
const SHOWN: usize = 200;

/// Project texts or tokens on vectors: where does the model stand on a direction as it reads?
///
/// The residual stream after a block, averaged over the tokens of a position (or with --tokens that of
/// every token), times the unit vector: in units of the stream, of the layer's RMS, and as a cosine.
/// Texts are JSON Lines as for `residuum capture`; vectors are of any format that is read. A text without
/// a token at a position has no row there, and is counted.
///
/// Example: residuum project --texts my.jsonl --vector runs/directions/mean-diff.safetensors:persona --layers third --out runs/projected
///
/// Example: residuum project --texts my.jsonl --vector v.gguf --layers 10 --tokens
#[derive(Args)]
#[command(about = "Project texts or tokens on vectors")]
pub struct ProjectArgs {
    #[command(flatten)]
    model: ModelChoice,
    /// PEFT adapter to merge
    #[arg(long, value_name = "DIR|org/name[@rev]")]
    adapter: Option<PathBuf>,
    /// System prompt for texts without one
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// Texts to read, JSON Lines
    #[arg(long, value_name = "FILE")]
    texts: PathBuf,
    /// Vectors to project on; without a concept all of the file; may be given again
    #[arg(long, required = true, value_name = "FILE[:CONCEPT]")]
    vector: Vec<String>,
    /// Positions, as of `residuum capture`
    #[arg(long, value_delimiter = ',', value_name = "POSITIONS", default_value = "response-mean")]
    #[arg(conflicts_with = "tokens")]
    positions: Vec<Position>,
    /// Every token of every text instead of positions
    #[arg(long)]
    tokens: bool,
    /// Layers: chosen (as the file says), all that it holds, third or numbers [default: chosen, where the
    /// file says one, else third]
    #[arg(long, value_name = "LAYERS")]
    layers: Option<Acting>,
    /// Folder for results.h5, csv/, figures, report.html and the record of the command
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub fn run(mut args: ProjectArgs, out: &Console) -> Result<()> {
    let files = distinct(args.vector.iter().map(|v| split(v).0.to_path_buf()));
    let mut places = Outputs::of(&args.model.model)
        .reads("--texts", &args.texts)
        .reads_all("--adapter", &args.adapter)
        .reads_all("--vector", &files);
    if let Some(folder) = &args.out {
        places = places.folder("--out", folder, &kept::FILES);
    }
    let _taken = places.take(out.force)?;
    let rows = texts::parse(&materials::read(&args.texts)?, &args.texts)?;
    let found = args.vector.iter().map(|v| {
        let (file, concept) = split(v);
        Ok((vectors::open(file, concept)?, concept.map(str::to_owned)))
    });
    let found: Vec<_> = found.collect::<Result<_>>()?;
    args.adapter = args.adapter.map(|a| state::adapter_folder(&a, out)).transpose()?;
    let model = args.model.open(out)?;
    let mut directions = Vec::new();
    for (found, concept) in found {
        directions.push((Directions::of(found, &model.decoder)?, concept));
    }
    distinct(directions.iter().filter_map(|(d, _)| d.doubt(&model)))
        .iter()
        .for_each(|doubt| out.warn(doubt));
    state::check(&model, args.adapter.as_deref(), out)?;
    let decoder = state::state(&model.decoder, args.adapter.as_deref())?;
    let rulers = rulers(&directions, args.layers.as_ref(), decoder.layers())?;
    let tokens = tokens(&args, &rows, &model)?;
    let positions = distinct(args.positions.iter().copied());
    let mut result = Results::default();
    if !args.tokens {
        let mut lacking = reading::Lacking::new(&args.texts, &positions);
        rows.iter().zip(&tokens).for_each(|(row, tokens)| lacking.see(row, tokens));
        let missing = lacking.missing("no row")?;
        let about = |m: Missing| WarningRow { about: m.position.to_string(), text: m.text };
        result.warnings = missing.into_iter().map(about).collect();
        out.doubts(&result.warnings);
    }
    let mut layers: Vec<usize> = distinct(rulers.iter().map(|r| r.layer));
    layers.sort_unstable();
    let scale = scale_texts(&model)?;
    let rms = layer_rms(&model.decoder, &scale, &layers)?;
    let name = args.adapter.as_deref().map(state::folder_name);
    let state = match (&name, &args.adapter) {
        (Some(name), Some(folder)) => state::trained(name, folder, |_| true),
        _ => State::base(),
    };
    let by_layer = layers.iter().copied().zip(rms.iter().copied()).collect();
    let label = |r: &TextRow| (r.id.clone(), r.label.clone().unwrap_or_default());
    let names: Vec<(String, String)> = rows.iter().map(label).collect();
    let projected = Projected {
        state: &state.id,
        model: &decoder,
        names: &names,
        texts: &tokens,
        rulers: &rulers,
        rms: &by_layer,
    };
    if args.tokens {
        let pieces = tokens.iter().map(|t| model.tokenizer.pieces(&t.ids));
        let pieces = pieces.collect::<Result<Vec<_>, _>>()?;
        result.token_projections = projected.by_token(&pieces)?;
    } else {
        result.projections = projected.pooled(&positions)?;
    }
    result.states = vec![state::row(&state)];
    result.layers = layer_rows(&layers, &rms, &reported(decoder.layers()), scale.len());
    let frame = match args.tokens {
        true => Frame::of(&result.token_projections),
        false => Frame::of(&result.projections),
    };
    let notes = distinct(directions.iter().map(|(d, _)| d.note()));
    let written = keep(&args, &directions, &model, (&result, &files))?;
    let json = json!({
        "projections": frame.json(), "layers": Frame::of(&result.layers).json(),
        "vectors": directions.iter().map(|(d, _)| d.record()).collect::<Vec<_>>(),
        "warnings": result.warnings, "out": args.out,
    });
    out.result(&json, || {
        let n = frame.len();
        let more = n.saturating_sub(SHOWN);
        let table = frame.only(|i| i < SHOWN).without(&["state"]).text();
        let more = match more {
            0 => String::new(),
            more => format!("and {more} rows more; --out and --json have all\n"),
        };
        format!(
            "{table}{more}\nestimate is the coordinate on the unit vector, in units of the stream; in_rms the same over the \
             layer's RMS.\n{}{written}",
            notes.join("\n")
        )
    })
}

/// Every vector at its layers, named by its concept; by its file too where two are of one name.
fn rulers(
    directions: &[(Directions, Option<String>)],
    layers: Option<&Acting>,
    depth: usize,
) -> Result<Vec<Ruler>> {
    let mut all: Vec<(String, &Path, &Directions)> = Vec::new();
    for (d, concept) in directions {
        let wanted = d.concepts.keys().filter(|c| concept.as_ref().is_none_or(|w| w == *c));
        all.extend(wanted.map(|c| (c.clone(), &*d.file, d)));
    }
    let names: Vec<&str> = all.iter().map(|(c, ..)| c.as_str()).collect();
    let several = twice(&names).is_some();
    let mut found = Vec::new();
    for (concept, file, d) in &all {
        let held = d.concept(concept)?;
        let chosen = d.about.chosen_layer(concept);
        let at = match (layers, chosen) {
            (Some(Acting::At(Layers::All)), _) => held.layers.keys().copied().collect(),
            (Some(Acting::At(layers)), _) => layers.of(depth)?,
            (_, Some(layer)) => vec![layer],
            (None, None) => reported(depth),
            (Some(Acting::Chosen), None) => bail!(
                "{} says no chosen layer of `{concept}`: name some with --layers",
                file.display()
            ),
        };
        for layer in at {
            let name = match several {
                true => format!("{}:{concept}", file.display()),
                false => concept.clone(),
            };
            found.push(Ruler { name, layer, direction: held.at(layer)?.to_vec() });
        }
    }
    let places: Vec<(&str, usize)> = found.iter().map(|r| (r.name.as_str(), r.layer)).collect();
    if let Some((name, _)) = twice(&places) {
        bail!("--vector names `{name}` twice; once is enough");
    }
    Ok(found)
}

/// The texts as the model is given them.
fn tokens(args: &ProjectArgs, rows: &[TextRow], model: &Model) -> Result<Vec<Tokens>> {
    let read = |r: &TextRow| {
        let read = reading::rendered(&model.tokenizer, &r.body, args.system.as_deref());
        Ok(read.with_context(|| reading::place(&args.texts, r))?.1)
    };
    rows.iter().map(read).collect()
}

/// Keeps the records where a folder was given; what was written, in words.
fn keep(
    args: &ProjectArgs,
    directions: &[(Directions, Option<String>)],
    model: &Model,
    (found, files): (&Results, &[PathBuf]),
) -> Result<String> {
    let Some(folder) = &args.out else { return Ok(String::new()) };
    kept::make_folder(folder)?;
    let positions: Vec<String> = args.positions.iter().map(Position::to_string).collect();
    let config = json!({
        "texts": args.texts, "adapter": args.adapter, "system": args.system,
        "vectors": directions.iter().map(|(d, _)| d.record()).collect::<Vec<_>>(),
        "positions": positions, "tokens": args.tokens,
    });
    let origin = Origin { model, config, seed: 0 };
    let written = kept::results(folder, &origin.attrs(), &[], |w| Ok(found.write(w)?))?;
    let weights = args.adapter.iter().map(|a| state::weights(a));
    let inputs: Vec<PathBuf> =
        [args.texts.clone()].into_iter().chain(files.to_vec()).chain(weights).collect();
    origin.record(folder, &inputs, &written)?;
    Ok(format!("\n{}", kept::written(&written, folder)))
}
