//! `residuum study`: run, plan, check, init.

use super::console::Console;
use super::output::Outputs;
use crate::model::{resolve, Model, TextOptions};
use crate::speed::{measure, Rates};
use crate::study::manifest::Study;
use crate::study::price::Price;
use crate::study::renders::Rendered;
use crate::study::run::Event;
use crate::study::{day, fit, run, stages, template};
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use std::path::{Path, PathBuf};

/// Arguments of `study`.
#[derive(Debug, Args)]
pub struct StudyArgs {
    #[command(subcommand)]
    command: StudyCommand,
}

#[derive(Debug, Subcommand)]
enum StudyCommand {
    /// Run a study, or continue one; without a manifest, the quick study
    #[command(
        long_about = "Run a study, or continue one.\n\nFinished stages are kept: after a kill, the same command goes on where it was.\n\nExample: residuum study run --out runs/quick"
    )]
    Run {
        /// Manifest, or `full` for the embedded full study; none: the embedded quick study
        manifest: Option<PathBuf>,
        /// Run folder
        #[arg(long, default_value = "runs/quick")]
        out: PathBuf,
    },
    /// Print the stages of a study with their expected cost
    #[command(
        long_about = "Print the stages of a study with their expected cost.\n\nExample: residuum study plan my/study.toml"
    )]
    Plan {
        /// Manifest, or `full` for the embedded full study; none: the embedded quick study
        manifest: Option<PathBuf>,
        /// Run folder whose finished stages count as done
        #[arg(long, default_value = "runs/quick")]
        out: PathBuf,
        /// Seconds to measure this machine for; 0: take the rates of a 2-core machine
        #[arg(long, default_value_t = 10.0, value_name = "SECONDS")]
        seconds: f64,
    },
    /// Check a manifest, every file it names, its model and this machine, without running
    #[command(
        long_about = "Check a manifest, every file it names, its model and this machine, without running.\n\nEvery text of every condition is rendered and tokenised, layers, adapters and models are held against the model, and memory and disk against what there is. A run begins with the same check.\n\nExample: residuum study check my/study.toml"
    )]
    Check {
        /// Manifest, or `full` for the embedded full study; none: the embedded quick study
        manifest: Option<PathBuf>,
        /// Run folder whose finished stages count as done, and whose disk must have space
        #[arg(long, default_value = "runs/quick")]
        out: PathBuf,
        /// Check the manifest and its files only, without fetching or loading a model
        #[arg(long)]
        no_model: bool,
    },
    /// Write a commented manifest and example files to edit
    #[command(
        long_about = "Write a commented manifest and example files to edit.\n\nExample: residuum study init my"
    )]
    Init {
        /// Folder to write into
        folder: PathBuf,
    },
}

/// Runs the command.
pub fn run(args: StudyArgs, console: &Console) -> Result<()> {
    match args.command {
        StudyCommand::Run { manifest, out } => run_study(manifest.as_deref(), &out, console),
        StudyCommand::Plan {
            manifest,
            out,
            seconds,
        } => plan(manifest.as_deref(), &out, seconds, console),
        StudyCommand::Check {
            manifest,
            out,
            no_model,
        } => check(manifest.as_deref(), &out, no_model, console),
        StudyCommand::Init { folder } => {
            let files = template::write(&folder)?;
            console.result(&serde_json::json!({ "files": files }), || {
                let mut text = String::new();
                for f in &files {
                    text += &format!("{}\n", folder.join(f).display());
                }
                let manifest = folder.join("study.toml");
                text + &format!("Edit it, then: residuum study run {}", manifest.display())
            })
        }
    }
}

fn check(manifest: Option<&Path>, out: &Path, no_model: bool, console: &Console) -> Result<()> {
    let study = Study::load(manifest)?;
    let held = match no_model {
        true => None,
        false => {
            let model = load_model(&study, out, console).context(
                "the study cannot be held against its model; --no-model checks the manifest and its files only",
            )?;
            let (_, rendered, price) = run::check(&study, &model, out, &Rates::TYPICAL)?;
            Some((rendered, price))
        }
    };
    let conditions: Vec<&str> = study.conditions.iter().map(|c| c.name.as_str()).collect();
    let (rendered, price) = held.unzip();
    let json = serde_json::json!({"ok": true, "conditions": conditions, "states": study.states(),
        "rendered": rendered, "price": price});
    console.result(&json, || {
        let mut text = format!(
            "ok: {} conditions ({}), {} model states, {} concepts, {} preferences",
            conditions.len(),
            conditions.join(", "),
            study.states(),
            study.concepts.len(),
            study.battery.len()
        );
        match rendered.zip(price) {
            Some((rendered, price)) => text += &format!("\n{}", summary(rendered, &price)),
            None => text += "\nmanifest and files only; the model was not looked at",
        }
        text
    })
}

/// What a checked study comes to.
fn summary(rendered: Rendered, price: &Price) -> String {
    format!(
        "texts: {} rendered, the longest {} tokens of {}\nto do: about {:.0} min at the pace of a 2-core machine; {price}",
        rendered.texts,
        rendered.longest,
        rendered.context,
        (price.seconds / 60.0).ceil()
    )
}

fn load(manifest: Option<&Path>, out: &Path, console: &Console) -> Result<(Study, Model)> {
    let study = Study::load(manifest)?;
    let model = load_model(&study, out, console)?;
    Ok((study, model))
}

/// The study's model, its chat template dated by the day of the run.
fn load_model(study: &Study, out: &Path, console: &Console) -> Result<Model> {
    let options = TextOptions {
        date: Some(day::of_run(&study.written, out)?),
        ..TextOptions::default()
    };
    let path = resolve::resolve(&study.model, &mut |line| console.log(line))?;
    super::state::load_from(&study.written.model, &path, &options, console)
}

fn plan(manifest: Option<&Path>, out: &Path, seconds: f64, console: &Console) -> Result<()> {
    let (study, model) = load(manifest, out, console)?;
    let (rates, basis) = match seconds > 0.0 {
        true => {
            console.log("measuring this machine");
            (
                measure(&model.decoder, seconds)?,
                "at the pace of this machine, measured now",
            )
        }
        false => (Rates::TYPICAL, "at the pace of a 2-core machine"),
    };
    fit::hold(&study, &model)?;
    let stages = stages::plan(&study, &model, &rates)?;
    let price = Price::of(&stages, out);
    let done: Vec<_> = stages
        .iter()
        .map(|s| stages::Marker::done(out, s))
        .collect();
    let pairs = || stages.iter().zip(&done);
    let rows: Vec<_> = pairs()
        .map(|(s, m)| {
            serde_json::json!({"stage": s.name, "rows": s.rows, "seconds": s.seconds, "bytes": s.bytes, "disk": s.disk,
                "done": m.is_some(), "took_seconds": m.as_ref().map(|m| m.seconds),
                "took_bytes": m.as_ref().map(|m| m.peak_bytes)})
        })
        .collect();
    let open = pairs().filter(|(_, m)| m.is_none());
    // An empty sum is -0.
    let open = open.map(|(s, _)| s.seconds).sum::<f64>() + 0.0;
    let peak = stages.iter().map(|s| s.bytes).fold(0.0, f64::max);
    let json = serde_json::json!({"stages": rows, "seconds": open, "peak_bytes": peak, "rates": rates,
        "price": price});
    console.result(&json, || {
        let mut text = format!(
            "{:<28} {:>9} {:>9} {:>7}  {}\n",
            "stage", "rows", "seconds", "GB", "took"
        );
        for (s, m) in pairs() {
            let took = m.as_ref().map_or(String::new(), |m| {
                format!("{:.1} s, {:.2} GB", m.seconds, m.peak_bytes as f64 / 1e9)
            });
            text += &format!(
                "{:<28} {:>9} {:>9.1} {:>7.2}  {took}\n",
                s.name,
                s.rows,
                s.seconds,
                s.bytes / 1e9
            );
        }
        text + &format!("to do: about {:.0} min {basis}; {price}", open / 60.0)
    })?;
    price.hold(out)?;
    Ok(fit::hold_models(&study, &model)?)
}

fn run_study(manifest: Option<&Path>, out: &Path, console: &Console) -> Result<()> {
    let written = ["results.h5", "manifest.json", "report.html"];
    Outputs::default()
        .reads_all("the manifest", manifest)
        .folder("--out", out, &written)
        .check()?;
    let (study, model) = load(manifest, out, console)?;
    let command: Vec<String> = std::env::args().collect();
    let bar = match console.progress() {
        true => ProgressBar::new(0),
        false => ProgressBar::hidden(),
    };
    if let Ok(style) = ProgressStyle::with_template("[{pos}/{len}] {prefix:<24} {wide_msg}") {
        bar.set_style(style);
    }
    let mut current = String::new();
    let found = run::run(&study, &model, out, &command, &mut |event| match event {
        Event::Checked { rendered, price } => console.log(&summary(rendered, price)),
        Event::Begin {
            index,
            total,
            stage,
            seconds_left,
        } => {
            bar.set_length(total as u64);
            bar.set_position(index as u64);
            current.clone_from(&stage.name);
            bar.set_prefix(stage.name.clone());
            bar.set_message(format!(
                "about {:.0} min left",
                (seconds_left / 60.0).ceil()
            ));
        }
        Event::Detail(text) => bar.set_message(text),
        Event::End { seconds, reused } => {
            if bar.is_hidden() {
                let how = if reused { ", kept" } else { "" };
                console.log(&format!("{current}: {seconds:.1} s{how}"));
            }
        }
    });
    bar.finish_and_clear();
    let found = found?;
    let report = out.join("report.html");
    let json = serde_json::json!({"out": out, "report": report, "findings": found});
    console.result(&json, || {
        let mut text = format!(
            "{:<46} {:>8}  {:<16} {:<34} {}\n",
            "what", "estimate", "95 % interval", "null or test", "n"
        );
        for [what, value, interval, null, n] in &found.rows {
            text += &format!("{what:<46} {value:>8}  {interval:<16} {null:<34} {n}\n");
        }
        text.push('\n');
        for s in &found.sentences {
            text += &format!("{s}\n");
        }
        if !found.warnings.is_empty() {
            text += &format!("\n{} warnings; see the report.\n", found.warnings.len());
        }
        text + &format!("Report: {}", report.display())
    })
}
