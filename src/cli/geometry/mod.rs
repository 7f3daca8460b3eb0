//! `residuum geometry`: how concepts lie to one another in every model state, and how any number
//! of the results came about.
//!
//! Without a subcommand [`measure`] reads base and every adapter, calls the analysis and writes what
//! comes back. [`explain`] reads any results file, a study's too.

mod explain;
mod measure;

pub use explain::pick;

use super::state::{ModelChoice, NamedAdapter};
use super::{layers::Layers, Console};
use crate::capture::Position;
use anyhow::Result;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Measure how concepts lie to one another in base and in fine-tuned states.
///
/// The coupling of two concepts is the cosine between their mean differences at a layer: raw,
/// relative to the ceiling that noise sets, cleaned of the nuisances, and whitened; with 95 %
/// intervals over prompts, null bands from flipped labels, from random directions of the layer's
/// covariance and from placebo concepts, p and q. Directions are extracted anew in every state.
/// Also measured: changes from base, the shift of the same texts along every coupled concept,
/// stability and alignment with base, transfer, subspaces and regions. Adapters whose names differ
/// in a number only, such as a-s1 and a-s2, are fine-tunes of one condition. results.h5 and csv/
/// hold everything, the table shows 1/3 and 4/5 of the depth.
///
/// Example: residuum geometry --adapter conscious=runs/conscious --adapter denial=runs/denial --out runs/geometry
///
/// Example: residuum geometry explain runs/geometry --state conscious --layer 10
#[derive(Args)]
#[command(about = "Measure the coupling of concepts")]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct GeometryArgs {
    #[command(subcommand)]
    command: Option<GeometryCommand>,
    #[command(flatten)]
    measure: MeasureArgs,
}

#[derive(Subcommand)]
enum GeometryCommand {
    Explain(explain::ExplainArgs),
}

/// What to measure.
#[derive(Args)]
struct MeasureArgs {
    #[command(flatten)]
    model: ModelChoice,
    /// Fine-tuned state to compare with base; may be given again
    #[arg(long, value_name = "NAME=DIR|org/name[@rev]")]
    adapter: Vec<NamedAdapter>,
    /// Concepts: embedded names or files [default: all embedded]
    #[arg(long = "concept", alias = "concepts", value_delimiter = ',', value_name = "NAMES|FILES")]
    concepts: Vec<String>,
    /// Two concepts whose coupling is tested; may be given again [default: the first two]
    #[arg(long, value_name = "A,B", value_parser = couple)]
    couple: Vec<(String, String)>,
    /// Unrelated concepts that couplings are compared with [default: all that are neither coupled
    /// nor nuisances]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    placebos: Vec<String>,
    /// Concepts projected out in the cleaned form, where they are among the concepts
    #[arg(long, value_delimiter = ',', value_name = "NAMES", default_value = "polarity,sentiment")]
    nuisances: Vec<String>,
    /// Main pairs of each concept, drawn by the seed [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(4..))]
    pairs: Option<u32>,
    /// Position that is read
    #[arg(long, alias = "at", value_name = "POSITION", default_value = "response-mean")]
    positions: Position,
    /// Layers: all, third (1/3 and 4/5 of the depth) or block numbers such as 0,5,10
    #[arg(long, default_value = "all")]
    layers: Layers,
    /// Condition that changes are also measured from, besides base
    #[arg(long, value_name = "NAME")]
    reference: Option<String>,
    /// Condition that the question is about: what is trained on its rows is not taken for what other
    /// fine-tunes share
    #[arg(long, value_name = "NAME")]
    focus: Option<String>,
    /// Condition of the same recipe without an identity, which shifts are also compared with
    #[arg(long, value_name = "NAME")]
    neutral: Option<String>,
    /// Bootstrap draws, label flips and random directions
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(20..))]
    draws: u32,
    /// Random adapters matched to each adapter in targets, rank and size: the null of its shift
    #[arg(long, value_name = "N", default_value_t = 0)]
    random_adapters: u32,
    /// Models with shuffled weights: the null of base's couplings
    #[arg(long, value_name = "N", default_value_t = 0)]
    shuffled: u32,
    /// Folder to write to
    #[arg(long, value_name = "DIR", required = true)]
    out: Option<PathBuf>,
    /// Seed of the drawing of pairs and of the resampling
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn couple(text: &str) -> Result<(String, String), String> {
    match text.split_once(',') {
        Some((a, b)) if !a.is_empty() && !b.is_empty() && !b.contains(',') && a != b => {
            Ok((a.into(), b.into()))
        }
        _ => Err("write two concepts, such as persona,autonomy".into()),
    }
}

pub fn run(args: GeometryArgs, out: &Console) -> Result<()> {
    match args.command {
        Some(GeometryCommand::Explain(args)) => explain::run(args, out),
        None => measure::run(args.measure, out),
    }
}
