//! A study as commands name it: its manifest, its run folder, its model.

use super::console::Console;
use super::state::load_from;
use crate::model::{resolve, Model};
use crate::study::{day, manifest::Study};
use anyhow::Result;
use clap::Args;
use std::path::{Path, PathBuf};

/// A study and its run folder.
#[derive(Debug, Args)]
pub struct Place {
    /// Manifest, or an embedded study: `quick` (without any, too) or `full`; `./full` is a path
    pub manifest: Option<PathBuf>,
    /// Run folder
    #[arg(long, default_value = "runs/quick")]
    pub out: PathBuf,
}

/// The study and its model.
pub fn load(place: &Place, console: &Console) -> Result<(Study, Model)> {
    let study = Study::load(place.manifest.as_deref())?;
    let model = load_model(&study, &place.out, console)?;
    Ok((study, model))
}

/// The study's model, its chat template dated by the day of the run.
pub fn load_model(study: &Study, out: &Path, console: &Console) -> Result<Model> {
    let options = study.text_options(day::of_run(&study.written, out)?);
    let path = resolve::resolve(&study.model, &mut |line| console.log(line))?;
    load_from(&study.written.model, &path, &options, console)
}
