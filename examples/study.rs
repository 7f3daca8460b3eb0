//! A study from Rust: check a manifest, run what is not done, read what was found.
//!
//! cargo run --release --example study -- my/study.toml runs/my

use residuum::analysis::records::Results;
use residuum::model::{resolve, Model};
use residuum::store::ResultsReader;
use residuum::study::day;
use residuum::study::manifest::Study;
use residuum::study::run::{run, Event};
use residuum::Loading;
use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let command: Vec<String> = std::env::args().collect();
    let manifest = command.get(1).map(PathBuf::from);
    let out = PathBuf::from(command.get(2).map_or("runs/quick", String::as_str));
    let study = Study::load(manifest.as_deref())?;
    let path = resolve::resolve(&study.model, &mut |line| eprintln!("{line}"))?;
    let text = study.text_options(day::of_run(&study.written, &out)?);
    let loading = Loading { text, ..Loading::default() };
    let model = Model::load(&study.written.model, &path, &loading)?;
    run(&study, &model, &out, &command, &mut |event| match event {
        Event::Begin { stage, .. } => eprintln!("{stage}"),
        Event::Redo { why } => eprintln!("  again: {why}"),
        _ => {}
    })?;
    let found = Results::read(&ResultsReader::open(&out.join("results.h5"))?)?;
    for f in &found.findings {
        println!(
            "{} of {}: {:.3} [{:.3}, {:.3}], n = {}",
            f.quantity, f.set, f.estimate, f.lo, f.hi, f.n
        );
    }
    Ok(())
}
