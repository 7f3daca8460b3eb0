//! Running a plan: each stage once, its outputs whole or absent, its marker last.
//!
//! A stage that is done, by its inputs and by the digests of its files, is not run again; one whose
//! files are gone or damaged is, and says so. [`run`] runs them all; [`only`] runs one, for a cluster's
//! many processes on one folder.

use super::clean::Left;
use super::day;
use super::files::Digests;
use super::fit;
use super::layout::{Layout, FOLDERS};
use super::manifest::Study;
use super::marker::{clear_before, remove, Marker, Why};
use super::models::Models;
use super::plan::plan;
use super::price::Price;
use super::record;
use super::renders::Rendered;
use super::stage::{Stage, Work};
use super::{Result, StudyError};
use crate::analysis::texts::neutral_tokens;
use crate::model::agreement::TEXTS;
use crate::model::{Model, Packed};
use crate::speed::Rates;
use crate::store::hardware::{peak_memory_bytes, reset_peak_memory};
use crate::store::{atomic, Lock, Manifest};
use std::path::Path;
use std::time::Instant;

/// Seconds at the expected pace that count beside those that stages took.
const MINUTE: f64 = 60.0;

/// What a run tells whoever watches it.
pub enum Event<'a> {
    /// The study fits the model and the machine; its texts, and what is left of it to do.
    Checked {
        /// What its texts come to.
        rendered: Rendered,
        /// What is left to do takes.
        price: &'a Price,
    },
    /// Stage `index` of `total` begins; `seconds_left` is the estimate for all that remain.
    Begin {
        /// From 0.
        index: usize,
        /// Stages of the plan.
        total: usize,
        /// Its name.
        stage: &'a str,
        /// Expected of all that remain.
        seconds_left: f64,
        /// Expected of those that follow it.
        seconds_after: f64,
    },
    /// The stage was done once and is run again.
    Redo {
        /// What is not as it was.
        why: &'a Why,
    },
    /// A line about the stage under way.
    Detail(&'a str),
    /// The stage ended.
    End {
        /// That it took, now or before.
        seconds: f64,
        /// Whether it was done already.
        reused: bool,
    },
    /// Stages that the plan no longer holds left something behind.
    Left(&'a Left),
}

/// The marker of a stage that is done, or why it is not and the right to run it, at which processes
/// that run stages of one folder meet.
pub(super) fn taken(
    layout: &Layout,
    stage: &Stage,
    digests: &Digests,
) -> Result<(Option<Lock>, Result<Marker, Why>)> {
    if let Ok(marker) = Marker::standing(layout, stage, digests)? {
        return Ok((None, Ok(marker)));
    }
    let lock = Lock::file(&layout.marker(&stage.name))?;
    // Another process may have ended it between the look and the lock.
    Ok((Some(lock), Marker::standing(layout, stage, digests)?))
}

/// Holds a study against its model and the machine: its texts, its stages and their price.
///
/// # Errors
/// Whatever would end the study before it is finished, as far as it can be known.
pub fn check(
    study: &Study,
    model: &Model,
    layout: &Layout,
    rates: Rates,
) -> Result<(Rendered, Price)> {
    let digests = Digests::default();
    let rendered = fit::hold(study, model)?;
    fit::hold_models(study, model)?;
    let stages = plan(study, model, layout, &digests, rates)?;
    let price = Price::of(&stages, layout, &digests)?;
    price.hold(layout.root())?;
    Ok((rendered, price))
}

/// Refuses a folder that holds the run of a study of another name: files of both would be side by
/// side, and what one left would be removed as what the other left.
///
/// # Errors
/// `Another`; a manifest of the folder that cannot be read.
pub fn another(study: &Study, layout: &Layout) -> Result<()> {
    if !layout.at(crate::store::manifest::FILE_NAME).exists() {
        return Ok(());
    }
    let held = Manifest::read(layout.root())?;
    match held.config.get("name").and_then(|n| n.as_str()) {
        Some(name) if name != study.written.name => Err(StudyError::Another {
            path: layout.root().into(),
            name: name.into(),
            own: study.written.name.clone(),
        }),
        _ => Ok(()),
    }
}

/// What an earlier form of a study left in its run folder, removed but in a `dry_run`.
///
/// # Errors
/// As [`another`]; a stage that cannot be planned, a file that cannot be removed.
pub fn clean(study: &Study, model: &Model, layout: &Layout, dry_run: bool) -> Result<Left> {
    another(study, layout)?;
    let rates = Rates::typical(&model.decoder);
    let left = Left::of(layout, &plan(study, model, layout, &Digests::default(), rates)?)?;
    if !dry_run {
        let _lock = Lock::folder(layout.root())?;
        left.remove(layout)?;
    }
    Ok(left)
}

/// Refuses a model that reads texts otherwise than the manifest says.
fn as_written(study: &Study, model: &Model) -> Result<()> {
    let told = model.tokenizer.options();
    let asked = study.text_options(model.tokenizer.date());
    let why = "is not what the model was loaded with; load it with `Study::text_options`";
    study.hold(asked.template.is_none() || asked.template == told.template, "template", why)?;
    study.hold(asked.thinking == told.thinking, "thinking", why)
}

/// Makes the run folder and keeps its day.
fn prepare(study: &Study, model: &Model, layout: &Layout) -> Result<()> {
    let make = |p: &Path| {
        std::fs::create_dir_all(p).map_err(|source| StudyError::Write { path: p.into(), source })
    };
    make(layout.root())?;
    another(study, layout)?;
    day::keep(&study.written, layout.root(), model.tokenizer.date())?;
    as_written(study, model)?;
    for sub in FOLDERS {
        make(&layout.at(sub))?;
    }
    // What a model in bf16 is compared with f32 on, whichever stages run.
    let texts = &study.shift_texts[..study.shift_texts.len().min(TEXTS)];
    model.decoder.note(&Packed::of(&neutral_tokens(&model.tokenizer, texts, None)?));
    Ok(())
}

/// A study in its run folder.
struct Runner<'a> {
    study: &'a Study,
    layout: &'a Layout,
    digests: &'a Digests,
    models: Models<'a>,
    command: String,
}

impl Runner<'_> {
    /// Runs a stage and leaves its marker.
    fn stage(&mut self, stage: &Stage, why: &Why, watch: &mut dyn FnMut(Event)) -> Result<Marker> {
        let begun = Instant::now();
        reset_peak_memory();
        if let Why::Changed(file) = why {
            // What is damaged must not be taken for what a killed run left.
            remove(&self.layout.at(file))?;
        }
        // Until it ends well there is nothing that says it is done.
        let done = (|| {
            clear_before(self.layout, stage)?;
            remove(&self.layout.marker(&stage.name))?;
            stage.run(&mut Work {
                layout: self.layout,
                models: &mut self.models,
                command: &self.command,
                record: stage.record(&self.study.written.name),
                seed: self.study.written.seed,
                watch: &mut |line| watch(Event::Detail(line)),
            })?;
            let took = (begun.elapsed().as_secs_f64(), peak_memory_bytes());
            let marker = Marker::of(self.layout, stage, self.digests, took)?;
            marker.write(self.layout, &stage.name)?;
            Ok(marker)
        })();
        done.map_err(|source| StudyError::InStage {
            stage: stage.name.clone(),
            source: Box::new(source),
        })
    }
}

/// Runs what is not done yet, once all of it is checked.
///
/// # Errors
/// As [`check`]; what a stage does, with its name.
pub fn run(
    study: &Study,
    model: &Model,
    out: &Path,
    command: &[String],
    watch: &mut dyn FnMut(Event),
) -> Result<()> {
    let (layout, digests) = (Layout::new(out), Digests::default());
    let rendered = fit::hold(study, model)?;
    fit::hold_models(study, model)?;
    let stages = plan(study, model, &layout, &digests, Rates::typical(&model.decoder))?;
    let price = Price::of(&stages, &layout, &digests)?;
    price.hold(out)?;
    watch(Event::Checked { rendered, price: &price });
    let _lock = Lock::folder(out)?;
    prepare(study, model, &layout)?;
    // What killed processes left half written.
    for sub in FOLDERS {
        atomic::clean_leftovers(&layout.at(sub), 2)?;
    }
    let mut manifest = record::begun(study, model, command, &digests)?;
    let (mut done, mut reused): (Vec<(&Stage, Marker)>, Vec<String>) = (Vec::new(), Vec::new());
    record::write(&mut manifest, &layout, &done, &reused, false)?;
    let (models, line) = (Models::new(model), command.join(" "));
    let mut runner = Runner { study, layout: &layout, digests: &digests, models, command: line };
    // Seconds that finished stages took, and those expected of them: the machine's own pace. A minute at
    // the expected pace counts with them, so that a first stage of seconds does not make it jump.
    let (mut took, mut expected) = (0.0, 0.0);
    let open = |from: usize| -> Result<f64> {
        let mut seconds = 0.0;
        for s in &stages[from..] {
            if Marker::standing(&layout, s, &digests)?.is_err() {
                seconds += s.cost.seconds;
            }
        }
        Ok(seconds)
    };
    for (index, stage) in stages.iter().enumerate() {
        let pace = (took + MINUTE) / (expected + MINUTE);
        watch(Event::Begin {
            index,
            total: stages.len(),
            stage: &stage.name,
            seconds_left: pace * open(index)?,
            seconds_after: pace * open(index + 1)?,
        });
        let (_lock, standing) = taken(&layout, stage, &digests)?;
        let is_kept = standing.is_ok();
        let marker = match standing {
            Ok(marker) => {
                reused.push(stage.name.clone());
                marker
            }
            Err(why) => {
                if why != Why::New {
                    watch(Event::Redo { why: &why });
                }
                runner.stage(stage, &why, watch)?
            }
        };
        let seconds = marker.seconds;
        took += seconds;
        expected += stage.cost.seconds;
        done.push((stage, marker));
        let is_last = done.len() == stages.len();
        record::write(&mut manifest, &layout, &done, &reused, is_last)?;
        watch(Event::End { seconds, reused: is_kept });
    }
    let left = Left::of(&layout, &stages)?;
    if !left.is_empty() {
        watch(Event::Left(&left));
    }
    Ok(())
}

/// Runs one stage, if what it needs is there; nothing where it is done.
///
/// # Errors
/// `Unplanned`; `Needs` where a stage that it reads is not done; what the stage does.
pub fn only(
    study: &Study,
    model: &Model,
    out: &Path,
    name: &str,
    command: &[String],
    watch: &mut dyn FnMut(Event),
) -> Result<()> {
    let (layout, digests) = (Layout::new(out), Digests::default());
    let stages = plan(study, model, &layout, &digests, Rates::typical(&model.decoder))?;
    let (index, stage) = found(&stages, name)?;
    let (total, seconds_left) = (stages.len(), stage.cost.seconds);
    let begin = Event::Begin { index, total, stage: name, seconds_left, seconds_after: 0.0 };
    if let Ok(marker) = Marker::standing(&layout, stage, &digests)? {
        watch(begin);
        watch(Event::End { seconds: marker.seconds, reused: true });
        return Ok(());
    }
    let mut missing = Vec::new();
    for need in stage.needs() {
        let (_, of) = found(&stages, need)?;
        if let Err(why) = Marker::standing(&layout, of, &digests)? {
            missing.push(format!("{need} ({why})"));
        }
    }
    if !missing.is_empty() {
        return Err(StudyError::Needs { stage: name.into(), missing: missing.join(", ") });
    }
    fit::hold(study, model)?;
    prepare(study, model, &layout)?;
    watch(begin);
    let (_lock, standing) = taken(&layout, stage, &digests)?;
    let why = match standing {
        Ok(marker) => {
            watch(Event::End { seconds: marker.seconds, reused: true });
            return Ok(());
        }
        Err(why) => why,
    };
    if why != Why::New {
        watch(Event::Redo { why: &why });
    }
    let (models, line) = (Models::new(model), command.join(" "));
    let mut runner = Runner { study, layout: &layout, digests: &digests, models, command: line };
    let seconds = runner.stage(stage, &why, watch)?.seconds;
    let mut manifest = record::begun(study, model, command, &digests)?;
    let mut done = Vec::new();
    for s in &stages {
        if let Ok(marker) = Marker::standing(&layout, s, &digests)? {
            done.push((s, marker));
        }
    }
    let others = done.iter().map(|(s, _)| s.name.clone());
    let reused: Vec<String> = others.filter(|n| n != name).collect();
    record::write(&mut manifest, &layout, &done, &reused, done.len() == stages.len())?;
    watch(Event::End { seconds, reused: false });
    Ok(())
}

/// A stage of the plan by name.
fn found<'s, 'a>(stages: &'s [Stage<'a>], name: &str) -> Result<(usize, &'s Stage<'a>)> {
    let mut all = stages.iter().enumerate();
    all.find(|(_, s)| s.name == name).ok_or_else(|| StudyError::Unplanned { stage: name.into() })
}
