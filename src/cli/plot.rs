//! `residuum plot`: figures of a results file, chosen and sized for where they go.

use super::{kept::of_run, output::Outputs, Console};
use crate::figures::{Format, Output, Style, Width};
use crate::report::plot::Plot;
use anyhow::Result;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Draw the figures of a run from its results.h5 alone: those of the report, or some of them, for print
/// or for a talk, a column or a page wide, of some states and layers.
///
/// Text stays text in SVG and PDF. Titles and captions are printed here, for the page that shows the
/// figures, and are not part of the drawings. The numbers of every figure lie beside it as CSV.
///
/// Example: residuum plot runs/quick --figure coupling,behaviour --width single --format pdf --out paper
#[derive(Args)]
#[command(about = "Draw figures of a run from its results.h5, for a paper or a talk")]
pub struct PlotArgs {
    /// Run folder, or its results.h5
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Figures to draw, by name [default: all]; a wrong name lists what there is
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    figure: Vec<String>,
    /// paper, or talk: larger, for a slide
    #[arg(long, value_name = "STYLE", default_value_t = Style::Paper)]
    style: Style,
    /// single (89 mm, or half a slide) or double (183 mm, or a slide)
    #[arg(long, value_name = "WIDTH", default_value_t = Width::Double)]
    width: Width,
    /// Conditions, or single states of them, to draw besides base [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    states: Vec<String>,
    /// Layers to draw [default: all; one layer a panel: those fixed beforehand]
    #[arg(long, value_name = "LAYERS", value_delimiter = ',')]
    layers: Vec<usize>,
    /// svg, png (300 dpi) and pdf, one or more
    #[arg(long, value_name = "FORMATS", value_delimiter = ',', default_values_t = [Format::Svg, Format::Png])]
    format: Vec<Format>,
    /// Folder for the figures
    #[arg(long, value_name = "DIR", default_value = "plots")]
    out: PathBuf,
}

pub fn run(args: PlotArgs, out: &Console) -> Result<()> {
    let results = of_run(&args.run);
    let mut formats = args.format;
    formats.sort();
    formats.dedup();
    let mut plot = Plot::open(&results)?;
    if !args.states.is_empty() {
        plot = plot.states(&args.states)?;
    }
    if !args.layers.is_empty() {
        plot = plot.layers(&args.layers)?;
    }
    let figures = (!args.figure.is_empty()).then_some(args.figure);
    let to = Output { dir: args.out, style: args.style, width: args.width, formats, figures };
    let names = plot.names(&to)?;
    let endings = || to.formats.iter().map(|f| f.name()).chain(["csv"]);
    let files = names.iter().flat_map(|n| endings().map(move |e| format!("{n}.{e}")));
    let targets = files.map(|f| to.dir.join(f));
    let outputs = Outputs::default().reads("RUN", &results);
    targets.fold(outputs, |all, path| all.file("--out", path)).check(out.force)?;
    let made = plot.draw(&to)?;
    let each = |w: &crate::figures::Written| json!({ "name": w.name, "title": w.title, "caption": w.caption, "files": w.files });
    let json = json!({ "figures": made.iter().map(each).collect::<Vec<_>>() });
    out.result(&json, || match made.is_empty() {
        true => format!("{} holds nothing that a figure shows", results.display()),
        false => {
            let words = made.iter().map(|w| {
                let file = w.files.first().map(|f| f.display().to_string()).unwrap_or_default();
                format!("{file}\n  {}. {}", w.title, w.caption)
            });
            words.collect::<Vec<_>>().join("\n")
        }
    })
}
