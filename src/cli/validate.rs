//! `residuum validate`: concepts held against contrast pairs by others.
//!
//! Options -> readings of both sets of pairs ([`readings`]) -> [`directions::measure`] for each on its own
//! pairs and [`directions::against`] for each on the other's -> tables, and `results.h5` with `--out`.

use super::kept::{self, Origin};
use super::layers::{reported, Layers};
use super::readings::{self, Texts};
use super::state::{self, ModelChoice, NamedAdapter};
use super::{output::Outputs, parts::Parts, Console};
use crate::analysis::directions::{self, PairSet};
use crate::analysis::{records::Results, DirectionOptions, Draws, Reading, Roles};
use crate::capture::Position;
use crate::materials::{load, Foreign};
use crate::store::{Frame, Record};
use anyhow::Result;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Test concepts on contrast pairs by others: does a direction mean what its name says?
///
/// A direction is read on all pairs of one set (of the concept, its main split) and scores the other
/// set's pairs, of which it has seen none: AUROC with a 95 % interval over prompts, against a bag of
/// words fitted on the same responses. Given both ways, for all pairs and apart by framing (yes, no,
/// none: how the positive side opens) and by template, with the cosine of the two directions relative
/// to the ceiling that noise sets. With --adapter everything is read anew in each state.
///
/// FILE is a concept in our form, or plain rows: {"prompt", "positive", "negative"}, also
/// under the names question, chosen, rejected, answer_matching_behavior and the like; `template`,
/// `polarity` and `framing` are used where the rows have them.
///
/// Example: residuum validate --concept persona,third-person-consciousness --against theirs.jsonl --out runs/theirs
#[derive(Args)]
#[command(about = "Hold concepts against contrast pairs by others")]
pub struct ValidateArgs {
    #[command(flatten)]
    model: ModelChoice,
    /// Fine-tuned state to read in too; may be given again
    #[arg(long, value_name = "NAME=DIR|org/name[@rev]")]
    adapter: Vec<NamedAdapter>,
    /// Concepts: embedded names or files
    #[arg(long, value_delimiter = ',', required = true, value_name = "NAMES|FILES")]
    concept: Vec<String>,
    /// Pairs by others: a file, or an embedded concept
    #[arg(long, value_name = "FILE|NAME")]
    against: String,
    /// Position that is read
    #[arg(long, value_name = "POSITION", default_value = "response-mean")]
    positions: Position,
    /// Layers: all, third (1/3 and 4/5 of the depth) or block numbers such as 0,5,10
    #[arg(long, default_value = "all")]
    layers: Layers,
    /// Bootstrap draws over prompts
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(20..))]
    draws: u32,
    /// Folder to write to [default: nothing is written]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Seed of the resampling
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

pub fn run(mut args: ValidateArgs, out: &Console) -> Result<()> {
    state::distinct(&args.adapter)?;
    let mut places = Outputs::of(&args.model.model)
        .reads_all("--adapter", args.adapter.iter().map(|a| &a.folder))
        .texts("--concept", &args.concept)
        .texts("--against", std::slice::from_ref(&args.against));
    if let Some(folder) = &args.out {
        places = places.folder("--out", folder, &kept::FILES);
    }
    let _taken = places.take(out.force)?;
    args.adapter = state::located(args.adapter, out)?;
    let mut concepts = readings::concepts(&args.concept, None, args.seed)?;
    let mut foreign = load::foreign(&args.against)?;
    if concepts.iter().any(|c| c.name == foreign.concept.name) {
        foreign.concept.name += "-by-others";
    }
    let mut sets: Vec<PairSet> = concepts.iter().map(PairSet::of).collect();
    sets.push(PairSet { framing: foreign.framing.clone(), ..PairSet::of(&foreign.concept) });
    concepts.push(foreign.concept.clone());
    let neutral = readings::shift_texts()?;
    let model = args.model.open(out)?;
    let depth = model.decoder.layers();
    let layers = args.layers.of(depth)?;
    let texts = Texts {
        concepts: &concepts,
        neutral: &neutral,
        reading: Reading::Response,
        layers: &layers,
        positions: &[args.positions],
        choosing: None,
        log_probs: false,
    };
    let read = readings::read(&texts, &model, &args.adapter, out)?.readings;
    let draws = Draws { bootstrap: args.draws as usize, null: 0, seed: args.seed };
    let options =
        DirectionOptions { draws, tuned_draws: draws.bootstrap, ..DirectionOptions::default() };
    let mut parts = Parts::of(out);
    let own = directions::measure(&read, &[], &[], &options, &mut |part| parts.begin(part))?;
    drop(parts);
    out.log("each direction on the other's pairs");
    let mut found = directions::against(&read, &sets, draws)?;
    let mut shown = reported(depth);
    shown.retain(|l| layers.contains(l));
    if shown.is_empty() || layers.len() <= 4 {
        shown.clone_from(&layers);
    }
    found.warnings.extend(own.warnings(&shown));
    found.extend(own.records);
    found.concepts = Roles::default().concept_rows(&concepts);

    let mut files = Vec::new();
    if let Some(folder) = &args.out {
        let config = json!({
            "concepts": args.concept, "against": args.against, "framing_told": foreign.told,
            "templates_named": foreign.templates, "position": args.positions.to_string(),
            "layers": layers, "draws": draws,
        });
        kept::make_folder(folder)?;
        let origin = Origin { model: &model, config, seed: args.seed };
        let frames = readings::ground(&read, &shown);
        files = kept::results(folder, &origin.attrs(), &frames, |w| Ok(found.write(w)?))?;
        let mut inputs: Vec<PathBuf> = args.concept.iter().map(PathBuf::from).collect();
        inputs.push(PathBuf::from(&args.against));
        inputs.extend(state::adapter_files(&args.adapter));
        origin.record(folder, &inputs, &files)?;
    }
    print(&args, &foreign, &found, (&shown, &files), out)
}

fn print(
    args: &ValidateArgs,
    foreign: &Foreign,
    found: &Results,
    (shown, files): (&[usize], &[String]),
    out: &Console,
) -> Result<()> {
    fn kept<R: Record>(rows: &[R], shown: impl Fn(&R) -> bool) -> Frame {
        Frame::of(rows).only(|i| shown(&rows[i]))
    }
    let quality = kept(&found.quality, |r| shown.contains(&r.layer));
    let transfer = kept(&found.foreign, |r| shown.contains(&r.layer));
    let cosines = kept(&found.foreign_cosines, |r| shown.contains(&r.layer));
    let n = foreign.framing.len();
    let templates = match foreign.templates {
        true => "templates as the file names them",
        false => "the file names no templates: all pairs are of one",
    };
    let framing = match foreign.told {
        0 => "framing as the file says".to_string(),
        told => format!("framing of {told} inferred from how the positive side opens"),
    };
    let name = &foreign.concept.name;
    let text = || {
        let narrow = ["estimator", "form", "norm", "share", "chosen", "pairs"];
        let parts = [
            ("On their own pairs: held-out AUROC", quality.clone().without(&narrow)),
            ("On the other's pairs: AUROC, against a bag of words", transfer.clone()),
            ("Cosines relative to their ceiling", cosines.clone()),
        ];
        let mut text = format!("{name}: {n} pairs by others; {templates}; {framing}\n\n");
        for (title, frame) in parts {
            text += &format!("{title}\n{}\n", frame.text());
        }
        for w in &found.warnings {
            text += &format!("warning: {}: {}\n", w.about, w.text);
        }
        text += "\nIntervals are 95 % over prompts.";
        if let Some(folder) = &args.out {
            text += &format!("\n{}", kept::written(files, folder));
        }
        text
    };
    let json = json!({
        "out": args.out, "files": files, "against": name, "pairs": n,
        "templates_named": foreign.templates, "framing_told": foreign.told, "shown_layers": shown,
        "quality": Frame::of(&found.quality).json(), "transfer": Frame::of(&found.foreign).json(),
        "cosines": Frame::of(&found.foreign_cosines).json(),
        "warnings": Frame::of(&found.warnings).json(),
    });
    out.result(&json, text)
}
