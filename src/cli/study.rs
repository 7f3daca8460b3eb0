//! `residuum study`: run, plan, check, clean, init.

use super::study_place::{load, load_model, Place};
use super::{console::Console, kept::of_run, output::Outputs, parts::Stages, study_jobs};
use crate::analysis::power::{power, PowerRow};
use crate::analysis::records::Results;
use crate::materials::lint::Severity;
use crate::report::sentences::{declared, said};
use crate::speed::{measure, Rates};
use crate::store::{frame::tidy, time::span, Frame, ResultsReader};
use crate::study::layout::{Layout, DECLARATION, RESULTS};
use crate::study::{
    clean::Left, declaration, files::Digests, fit, lints, manifest::Study, marker::Marker,
    marker::Why, plan::plan, price::Price, renders::Rendered, run, run::Event, stage::Stage,
    take::take, template,
};
use anyhow::{ensure, Context, Result};
use clap::{Args, Subcommand};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Arguments of `study`.
#[derive(Debug, Args)]
pub struct StudyArgs {
    #[command(subcommand)]
    command: StudyCommand,
}

#[derive(Debug, Subcommand)]
enum StudyCommand {
    /// Run a study, or continue one.
    ///
    /// Finished stages are kept as long as what they depend on and the files they wrote are the
    /// same: after a kill, the same command goes on where it was.
    ///
    /// Example: residuum study run --out runs/quick
    #[command(about = "Run a study, or continue one; without a manifest, the quick study")]
    Run {
        #[command(flatten)]
        place: Place,
        /// Run this one stage, if what it needs is there; nothing if it is done
        #[arg(long, value_name = "STAGE")]
        only: Option<String>,
        /// Take stages that this other run folder finished from the same inputs from there
        #[arg(long, value_name = "RUN")]
        from: Option<PathBuf>,
    },
    /// Print the stages of a study with their expected cost, and whether they are done or why not;
    /// with --json also what each depends on and writes. With --declare, write what will be run into
    /// the run folder before anything is: the report separates declared from exploratory findings.
    ///
    /// Example: residuum study plan my/study.toml --out runs/my --declare
    #[command(about = "Print the stages of a study with what they need, write and cost")]
    Plan {
        #[command(flatten)]
        place: Place,
        /// Write contrasts, bounds, sizes, seeds and digests of texts as declaration.json into the run
        /// folder; never written over
        #[arg(long)]
        declare: bool,
        /// Run folder, or its results.h5: print the smallest effect that the primary contrasts over
        /// isolated preferences show with a chance of .8, for more items and fine-tunes than it has
        #[arg(long, value_name = "RUN")]
        from: Option<PathBuf>,
        /// Seconds to measure this machine for; 0: take the rates of a 2-core machine
        #[arg(long, default_value_t = 10.0, value_name = "SECONDS")]
        seconds: f64,
    },
    /// Check a manifest, every file it names, its model and this machine, without running.
    ///
    /// Every text of every condition is rendered and tokenised, your own files are checked against
    /// the rules of materials, layers, adapters and models against the model, and memory and
    /// disk against what there is. A run begins with the same check.
    ///
    /// Example: residuum study check my/study.toml
    Check {
        #[command(flatten)]
        place: Place,
        /// Check the manifest and its files only, without fetching or loading a model
        #[arg(long)]
        no_model: bool,
    },
    /// Remove what stages that left the plan wrote into the run folder: those of conditions that
    /// the manifest no longer holds, say. `study plan` lists them.
    ///
    /// Example: residuum study clean my/study.toml --out runs/my
    #[command(about = "Remove what stages that left the plan wrote")]
    Clean {
        #[command(flatten)]
        place: Place,
        /// List them only
        #[arg(long)]
        dry_run: bool,
    },
    Export(study_jobs::ExportArgs),
    Sweep(study_jobs::SweepArgs),
    /// Write a commented manifest and example files to edit.
    ///
    /// Example: residuum study init my
    Init {
        /// Folder to write into
        folder: PathBuf,
    },
}

/// Runs the command.
pub fn run(args: StudyArgs, console: &Console) -> Result<()> {
    match args.command {
        StudyCommand::Run { place, only, from } => {
            run_study(&place, only.as_deref(), from.as_deref(), console)
        }
        StudyCommand::Export(args) => study_jobs::export(&args, console),
        StudyCommand::Sweep(args) => study_jobs::sweep(&args, console),
        StudyCommand::Plan { place, declare, from, seconds } => {
            show(&place, declare, from.as_deref(), seconds, console)
        }
        StudyCommand::Check { place, no_model } => check(&place, no_model, console),
        StudyCommand::Clean { place, dry_run } => clean(&place, dry_run, console),
        StudyCommand::Init { folder } => {
            let files = template::write(&folder)?;
            console.result(&json!({ "files": files }), || {
                let written = files.iter().map(|f| format!("{}\n", folder.join(f).display()));
                let manifest = folder.join("study.toml");
                let next = format!("Edit it, then: residuum study run {}", manifest.display());
                written.collect::<String>() + &next
            })
        }
    }
}

fn check(place: &Place, no_model: bool, console: &Console) -> Result<()> {
    let study = Study::load(place.manifest.as_deref())?;
    let found = lints::lints(&study)?;
    let mut held = None;
    if !no_model {
        let model = load_model(&study, &place.out, console).context(
            "the study cannot be checked against its model; --no-model checks the manifest and its files only",
        )?;
        held = Some(run::check(
            &study,
            &model,
            &Layout::new(&place.out),
            Rates::typical(&model.decoder),
        )?);
    }
    let conditions: Vec<&str> = study.conditions.iter().map(|c| c.name.as_str()).collect();
    let (rendered, price) = held.unzip();
    let json = json!({"ok": true, "conditions": conditions,
        "states": study.states.len(), "focus": study.focus, "reference": study.reference,
        "neutral": study.neutral, "declared": study.declared, "notes": study.notes, "lints": found,
        "rendered": rendered, "price": price});
    console.result(&json, || {
        let (n, states, names) = (conditions.len(), study.states.len(), conditions.join(", "));
        let (concepts, preferences) = (study.concepts.len(), study.battery.len());
        let (focus, reference) = (&study.focus, &study.reference);
        let contrasts = study.declared.contrasts.iter().map(|c| c.join(" less "));
        let contrasts = contrasts.collect::<Vec<_>>().join(", ");
        let quantities = study.declared.quantities.join(", ");
        let mut text = format!(
            "ok: {n} conditions ({names}), {states} model states, {concepts} concepts, {preferences} preferences\n{focus} against {reference}; to be declared: {quantities} of {contrasts}"
        );
        for note in &study.notes {
            text += &format!("\nnote: {note}");
        }
        for f in &found {
            let how = match f.severity {
                Severity::Error => "rule broken",
                Severity::Note => "note",
            };
            text += &format!("\n{}, line {}: {how}: {}", f.file.display(), f.line, f.message);
        }
        match rendered.zip(price) {
            Some((rendered, price)) => text += &format!("\n{}", summary(rendered, &price)),
            None => text += "\nmanifest and files only; the model was not looked at",
        }
        text
    })
}

/// What a checked study comes to.
fn summary(rendered: Rendered, price: &Price) -> String {
    let Rendered { texts, longest, context, .. } = rendered;
    let time = span(price.seconds);
    format!(
        "texts: {texts} rendered, the longest {longest} tokens of {context}\nto do: about {time} at the pace of a 2-core machine; {price}"
    )
}

fn clean(place: &Place, dry_run: bool, console: &Console) -> Result<()> {
    let (study, model) = load(place, console)?;
    let left = run::clean(&study, &model, &Layout::new(&place.out), dry_run)?;
    let json = json!({"stages": left.stages, "files": left.files, "removed": !dry_run});
    console.result(&json, || match left.is_empty() {
        true => "nothing is left of stages that are not in the plan".into(),
        false => format!("{}\n{}", left.stages.join("\n"), left.files.join("\n")),
    })
}

/// What the primary contrasts of a study could show, by the variances of an earlier run.
fn powers(study: &Study, from: &Path) -> Result<Vec<PowerRow>> {
    let file = of_run(from);
    let r = Results::read(&ResultsReader::open(&file)?)?;
    let all = study.declared.contrasts.iter().map(|[set, reference]| {
        let rows = power(&r, set, reference);
        ensure!(
            !rows.is_empty(),
            "{} has no contrast of {set} less {reference} over isolated preferences; give --from a run of these conditions",
            file.display()
        );
        Ok(rows)
    });
    Ok(all.collect::<Result<Vec<_>>>()?.concat())
}

fn show(
    place: &Place,
    declare: bool,
    from: Option<&Path>,
    seconds: f64,
    console: &Console,
) -> Result<()> {
    let (study, model) = load(place, console)?;
    let power = Frame::of(&from.map_or(Ok(Vec::new()), |from| powers(&study, from))?);
    let (mut rates, mut basis) =
        (Rates::typical(&model.decoder), "at the pace of a 2-core machine");
    if seconds > 0.0 {
        console.log("measuring this machine");
        rates = measure(&model.decoder, seconds)?;
        basis = "at the pace of this machine, measured now";
    }
    fit::hold(&study, &model)?;
    let (layout, digests) = (Layout::new(&place.out), Digests::default());
    let stages = plan(&study, &model, &layout, &digests, rates)?;
    let price = Price::of(&stages, &layout, &digests)?;
    let standing = stages.iter().map(|s| Marker::standing(&layout, s, &digests));
    let standing: Vec<Result<Marker, Why>> = standing.collect::<Result<_, _>>()?;
    let pairs = || stages.iter().zip(&standing);
    let row = |(s, m): (&Stage, &Result<Marker, Why>)| {
        let (took, why) = (m.as_ref().ok(), m.as_ref().err().map(ToString::to_string));
        json!({"stage": s.name, "needs": s.needs(), "inputs": s.inputs.digests(),
            "outputs": s.outputs, "rows": s.cost.rows, "seconds": s.cost.seconds,
            "bytes": s.cost.bytes, "disk": s.cost.disk, "done": took.is_some(), "why": why,
            "took_seconds": took.map(|m| m.seconds), "took_bytes": took.map(|m| m.peak_bytes)})
    };
    let rows: Vec<_> = pairs().map(row).collect();
    let left = Left::of(&layout, &stages)?;
    let peak = stages.iter().map(|s| s.cost.bytes).fold(0.0, f64::max);
    let held = price.hold(&place.out).and_then(|()| fit::hold_models(&study, &model));
    let made = match declare && held.is_ok() {
        true => declaration::declare(&study, &model, &layout, &digests)?,
        false => Results::default(),
    };
    let json = json!({"stages": rows, "seconds": price.seconds, "peak_bytes": peak,
        "rates": rates, "price": price, "left": left, "power": power.json(),
        "declaration": made.declaration, "declared_contrasts": made.declared_contrasts});
    console.result(&json, || {
        let [rows, seconds, gigabytes] = ["rows", "seconds", "GB"];
        let how = "took, or why not done";
        let mut text = format!("{:<28} {rows:>9} {seconds:>9} {gigabytes:>7}  {how}\n", "stage");
        for (s, m) in pairs() {
            let how = match m {
                Ok(m) => format!("{:.1} s, {:.2} GB", m.seconds, m.peak_bytes as f64 / 1e9),
                Err(why) => why.to_string(),
            };
            let (name, rows, seconds) = (&s.name, s.cost.rows, s.cost.seconds);
            let gigabytes = s.cost.bytes / 1e9;
            text += &format!("{name:<28} {rows:>9} {seconds:>9.1} {gigabytes:>7.2}  {how}\n");
        }
        if !left.is_empty() {
            text += &(said_left(&left) + "\n");
        }
        if !power.is_empty() {
            text += &format!("\n{}\n\n{}\n", tidy(power.meta.is), power.text());
        }
        text += &format!("to do: about {} {basis}; {price}", span(price.seconds));
        text + &declared(&made)
            .map_or(String::new(), |said| format!("\n{}: {said}", layout.at(DECLARATION).display()))
    })?;
    Ok(held?)
}

fn said_left(left: &Left) -> String {
    let (stages, n) = (left.stages.join(", "), left.files.len());
    format!("not in the plan, and read by nothing: {stages} ({n} files); `residuum study clean` removes them")
}

fn run_study(
    place: &Place,
    only: Option<&str>,
    from: Option<&Path>,
    console: &Console,
) -> Result<()> {
    let written = [RESULTS, "manifest.json", "report.html"];
    Outputs::default()
        .of_study()
        .reads_all("the manifest", place.manifest.iter().filter(|m| m.is_file()))
        .reads_all("--from", from)
        .folder("--out", &place.out, &written)
        .check(console.force)?;
    let (study, model) = load(place, console)?;
    if let Some(from) = from {
        for stage in take(&study, &model, &place.out, from, only)? {
            console.log(&format!("{stage}: taken from {}", from.display()));
        }
    }
    let command: Vec<String> = std::env::args().collect();
    let mut stages = Stages::of(console);
    let mut watch = |event: Event| match event {
        Event::Checked { rendered, price } => console.log(&summary(rendered, price)),
        Event::Begin { index, total, stage, seconds_left, seconds_after } => {
            stages.begin((index, total), stage, (seconds_left, seconds_after));
        }
        Event::Redo { why } => stages.note(&format!("again: {why}")),
        Event::Detail(text) => stages.detail(text),
        Event::End { seconds, reused } => stages.end(seconds, reused),
        Event::Left(left) => stages.warn(&said_left(left)),
    };
    let ran = match only {
        Some(stage) => run::only(&study, &model, &place.out, stage, &command, &mut watch),
        None => run::run(&study, &model, &place.out, &command, &mut watch),
    };
    drop(stages);
    ran?;
    if let Some(stage) = only {
        let json = json!({"out": place.out, "stage": stage});
        return console.result(&json, || format!("{stage}: done"));
    }
    let results = Results::read(&ResultsReader::open(&place.out.join(RESULTS))?)?;
    let report = place.out.join("report.html");
    let said = said(&results, &results.findings).into_iter();
    let sentences: Vec<String> = said.flat_map(|s| s.sentences).map(|s| s.text).collect();
    let json = json!({"out": place.out, "report": report, "sentences": sentences,
        "findings": results.findings, "warnings": results.warnings});
    console.result(&json, || {
        let mut text = sentences.join("\n");
        if !results.warnings.is_empty() {
            text += &format!("\n\n{} warnings; see the report.", results.warnings.len());
        }
        text + &format!("\nReport: {}", report.display())
    })
}
