//! `residuum study export`, `residuum study sweep`: stages as jobs of an engine of the user's.

use super::study_place::{load, load_model, Place};
use super::{console::Console, output::Outputs};
use crate::model::{Date, Held, Model, Place as Device, Placement, RowOrder};
use crate::speed::{measure, Rates};
use crate::store::{atomic, time::span};
use crate::study::{
    export::Engine,
    files::Digests,
    fit,
    jobs::{Caller, Jobs, Run},
    layout::Layout,
    manifest::Study,
    plan::plan,
    sweep,
};
use anyhow::{Context, Result};
use candle_core::DType;
use clap::Args;
use serde_json::{json, Value};
use std::path::{absolute, Path, PathBuf};

/// Write the stages of a study as jobs of an engine: a Snakefile with a profile, or a script that
/// submits `sbatch` arrays, into the folder of that name in the run folder. Each job is `study run
/// --only`, with the options for device, numbers and threads that are given here; memory and time are
/// those of `study plan`, with some to spare.
///
/// Example: residuum study export snakemake my/study.toml --out runs/my --threads 8
#[derive(Debug, Args)]
#[command(about = "Write the stages of a study as jobs of Snakemake or SLURM")]
pub struct ExportArgs {
    /// What runs the jobs
    engine: Engine,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    pace: Pace,
}

/// Write a manifest for each of many studies, manifests x models x recipes x seeds, and the jobs of all
/// of them as one list, in which a stage of the same inputs is run once and copied to the others.
///
/// Example: residuum study sweep grid.toml --out runs/grid --engine snakemake
#[derive(Debug, Args)]
#[command(about = "Many studies from one file: models x recipes x seeds x manifests")]
pub struct SweepArgs {
    /// File of the sweep: `manifests`, and what to vary: `models`, `seeds`, `[[recipe]]`
    file: PathBuf,
    /// Folder for manifests/, and a run folder a study
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// What runs the jobs; `sh -e` runs those of sbatch one after the other
    #[arg(long, value_name = "ENGINE", default_value = "sbatch")]
    engine: Engine,
    #[command(flatten)]
    pace: Pace,
}

#[derive(Debug, Args)]
struct Pace {
    /// Seconds to measure this machine for; 0: take the rates of a 2-core machine
    #[arg(long, default_value_t = 0.0, value_name = "SECONDS")]
    seconds: f64,
}

impl Pace {
    fn rates(&self, model: &Model) -> Result<Rates> {
        match self.seconds > 0.0 {
            true => Ok(measure(&model.decoder, self.seconds)?),
            false => Ok(Rates::typical(&model.decoder)),
        }
    }
}

/// Writes the jobs of one study.
pub fn export(args: &ExportArgs, console: &Console) -> Result<()> {
    let folder = place_for(args.engine, &args.place.out, console)?;
    let (study, model) = load(&args.place, console)?;
    let manifest = args.place.manifest.as_deref().unwrap_or(Path::new("quick"));
    let manifest = if manifest.is_file() { absolute(manifest)? } else { manifest.into() };
    let run = Run { name: String::new(), manifest, out: absolute(&args.place.out)? };
    let mut jobs = Jobs::default();
    let rates = args.pace.rates(&model)?;
    add(&mut jobs, &study, &model, &run, rates, console)?;
    write(args.engine, &jobs, &folder, json!({}), console)
}

/// Writes the manifests and the jobs of many studies.
pub fn sweep(args: &SweepArgs, console: &Console) -> Result<()> {
    let folder = place_for(args.engine, &args.out, console)?;
    let points = sweep::read(&args.file, Date::today())?;
    let (root, mut jobs) = (absolute(&args.out)?, Jobs::default());
    let mut studies = Vec::new();
    let mut held: Option<(String, Rates, Model)> = None;
    for point in points {
        let run = Run {
            manifest: root.join("manifests").join(format!("{}.toml", point.name)),
            out: root.join(&point.name),
            name: point.name,
        };
        atomic::write(&run.manifest, point.manifest.as_bytes())?;
        let study = Study::load(Some(&run.manifest))?;
        let options = study.written.date.map(|day| study.text_options(day));
        let key = format!("{} {options:?}", study.model);
        let loaded = held.take().filter(|(of, ..)| *of == key);
        let (rates, model) = match loaded {
            Some((_, rates, model)) => (rates, model),
            None => {
                let model = load_model(&study, &run.out, console)?;
                (args.pace.rates(&model)?, model)
            }
        };
        add(&mut jobs, &study, &model, &run, rates, console)
            .with_context(|| format!("the study {} of the sweep", run.name))?;
        held = Some((key, rates, model));
        studies.push(json!({"name": run.name, "manifest": run.manifest, "out": run.out}));
    }
    write(args.engine, &jobs, &folder, json!({"studies": studies}), console)
}

/// The folder of an engine's files, which are replaced: they hold nothing but what is made here.
fn place_for(engine: Engine, out: &Path, console: &Console) -> Result<PathBuf> {
    let folder = absolute(out)?.join(engine.name());
    Outputs::default().of_study().folder("--out", &folder, engine.files()).check(console.force)?;
    Ok(folder)
}

fn add(
    jobs: &mut Jobs,
    study: &Study,
    model: &Model,
    run: &Run,
    rates: Rates,
    console: &Console,
) -> Result<()> {
    fit::hold(study, model)?;
    let (layout, digests) = (Layout::new(&run.out), Digests::default());
    let program = std::env::current_exe().context("the program does not know where it is")?;
    let by = Caller { program, options: options(console.placement) };
    jobs.add(run, &plan(study, model, &layout, &digests, rates)?, &by)?;
    Ok(())
}

/// The options that decide what numbers a stage computes in, as this command was given them.
fn options(placement: Placement) -> Vec<String> {
    let mut all = vec![format!("--threads={}", rayon::current_num_threads())];
    if let Device::Cuda(n) = placement.place {
        all.push(format!("--device=cuda:{n}"));
    }
    if placement.dtype == DType::BF16 {
        all.push("--dtype=bf16".into());
    }
    match placement.held {
        Held::F32 => all.push("--weights-as=f32".into()),
        Held::Stored if placement.place == Device::Cpu => all.push("--weights-as=stored".into()),
        _ => {}
    }
    if placement.order != RowOrder::Model {
        all.push(format!("--gguf-order={}", placement.order.name()));
    }
    all
}

fn write(
    engine: Engine,
    jobs: &Jobs,
    folder: &Path,
    mut json: Value,
    console: &Console,
) -> Result<()> {
    engine.write(&jobs.all, rayon::current_num_threads(), folder)?;
    let (kinds, n) = (jobs.kinds(), jobs.all.len());
    let seconds: f64 = jobs.all.iter().map(|j| j.seconds).sum();
    let files: Vec<PathBuf> = engine.files().iter().map(|f| folder.join(f)).collect();
    let counted: serde_json::Map<String, Value> =
        kinds.iter().map(|(kind, n)| (kind.to_string(), json!(n))).collect();
    json["files"] = json!(files);
    json["jobs"] = json!(jobs.all);
    json["kinds"] = Value::Object(counted);
    json["seconds"] = json!(seconds);
    console.result(&json, || {
        let kinds: Vec<String> = kinds.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
        let studies = json["studies"].as_array().map_or(String::new(), |s| {
            format!(
                "{} studies, their manifests in {}/manifests\n",
                s.len(),
                folder.parent().unwrap_or(folder).display()
            )
        });
        let dir = folder.display();
        let next = match engine {
            Engine::Snakemake => {
                format!("snakemake --snakefile {dir}/Snakefile --profile {dir}/profile --jobs 2")
            }
            Engine::Sbatch => format!("bash {dir}/submit.sh"),
        };
        format!(
            "{studies}{n} jobs ({}), about {} at the pace given\nNext: {next}",
            kinds.join(", "),
            span(seconds)
        )
    })
}
