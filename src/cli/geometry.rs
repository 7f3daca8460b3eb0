//! `residuum geometry`: how concepts lie to one another in every model state.
//!
//! Reads the concepts and the neutral texts in base and in each fine-tuned state, and hands the
//! arrays to the geometry room: coupling with its nulls, the change against base on paired draws,
//! and the shift of identical text along the first two concepts. What is written is the
//! `geometry` and `directions` part of the results schema.

use super::layers::{reported, Layers};
use super::reading::{self, ConceptReading};
use super::state::{self, ModelChoice, NamedAdapter};
use super::table::{Cell, Table};
use super::Console;
use crate::capture::Position;
use crate::directions::{estimate, Estimator};
use crate::geometry::shift::{project, ShiftInput, ShiftOptions};
use crate::geometry::{contrast, coupling, Coupling, CouplingInput, CouplingOptions, Over};
use crate::materials::{embedded, load_concept, Concept};
use crate::model::error::nearest;
use crate::model::Model;
use crate::store::{ResultsWriter, Values};
use anyhow::{bail, Result};
use clap::Args;
use ndarray::{s, Array2, Array3, Array4, Array5, Axis};
use serde_json::json;
use std::path::PathBuf;

/// Measure the coupling of concepts
#[derive(Args)]
#[command(
    long_about = "Measure how concepts lie to one another in base and in fine-tuned states.\n\n\
The first two concepts are the pair of interest. Their coupling is the cosine between their mean \
differences at a layer: raw, relative to the ceiling that noise sets, cleaned of the nuisances, \
and whitened; with 95 % intervals over prompts, null bands from flipped labels and from random \
directions of the layer's covariance, p and q. Directions are extracted anew in every state. \
results.h5 and csv/ hold everything, the table shows 1/3 and 4/5 of the depth.\n\n\
Example:\n  residuum geometry --adapter conscious=runs/conscious --adapter denial=runs/denial --out runs/geometry"
)]
pub struct GeometryArgs {
    #[command(flatten)]
    model: ModelChoice,
    /// Fine-tuned state to compare with base; may be given again
    #[arg(long, value_name = "NAME=DIR")]
    adapter: Vec<NamedAdapter>,
    /// Concepts, the pair of interest first: embedded names or files [default: all embedded]
    #[arg(long, value_delimiter = ',', value_name = "NAMES|FILES")]
    concepts: Vec<String>,
    /// Concepts projected out in the cleaned form, where they are among the concepts
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "NAMES",
        default_value = "polarity,sentiment"
    )]
    nuisances: Vec<String>,
    /// Position that is read
    #[arg(long, default_value = "response-mean")]
    at: Position,
    /// Layers: all, third (1/3 and 4/5 of the depth) or block numbers such as 0,5,10
    #[arg(long, default_value = "all")]
    layers: Layers,
    /// Bootstrap draws, label flips and random directions
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(20..))]
    draws: u32,
    /// Folder to write to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Seed of the resampling
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// What was read of all states.
struct Readings {
    states: Vec<String>,
    /// `[state][concept]`.
    concepts: Vec<Vec<ConceptReading>>,
    /// `[state]` -> `(n, layers, d)`.
    neutral: Vec<Array3<f32>>,
}

pub fn run(args: GeometryArgs, out: &Console) -> Result<()> {
    state::distinct(&args.adapter)?;
    let names: Vec<String> = match args.concepts.is_empty() {
        true => embedded::concept_names()
            .iter()
            .map(|n| n.to_string())
            .collect(),
        false => args.concepts.clone(),
    };
    if names.len() < 2 {
        bail!("geometry needs two concepts at least; write --concepts persona,autonomy");
    }
    let concepts = names
        .iter()
        .map(|n| load_concept(n))
        .collect::<Result<Vec<_>, _>>()?;
    let options = options(&args, &concepts)?;
    let model = state::open(&args.model.model, out)?;
    let layers = args.layers.of(model.decoder.layers())?;
    let readings = read(&args, &model, &concepts, &layers, out)?;

    out.log("coupling");
    let differences: Vec<Vec<Array3<f32>>> = readings
        .concepts
        .iter()
        .map(|of_state| of_state.iter().map(ConceptReading::differences).collect())
        .collect();
    let clusters: Vec<Vec<usize>> = readings.concepts[0]
        .iter()
        .map(|c| c.prompt.clone())
        .collect();
    let input = CouplingInput {
        differences: &differences,
        clusters: &clusters,
        background: &readings.neutral,
    };
    let found = coupling(input, &options)?;
    let shift = shift_table(&readings, &differences, &concepts, &layers, args.seed)?;
    let table = pair_table(&found, &readings, &layers, &clusters, &options)?;

    let config = json!({
        "concepts": names, "nuisances": args.nuisances, "at": args.at.to_string(),
        "layers": layers, "options": options,
    });
    state::make_folder(&args.out)?;
    let file = args.out.join("results.h5");
    let attrs = state::attrs(&model, config.clone(), args.seed);
    let mut w = ResultsWriter::create(&file, &attrs)?;
    let labels: Vec<String> = concepts.iter().map(|c| c.name.clone()).collect();
    w.coord("state", readings.states.clone())?;
    w.coord("concept", labels)?;
    w.coord("layer", layers.clone())?;
    write_coupling(&mut w, &found)?;
    w.table("geometry", "pair", &table.columns())?;
    if !readings.states[1..].is_empty() {
        w.table("geometry", "shift", &shift.columns())?;
    }
    write_directions(&mut w, &readings, args.seed)?;
    w.finish()?;
    let mut files = vec![
        "results.h5".to_string(),
        "csv/coupling.csv".into(),
        "csv/geometry.pair.csv".into(),
    ];
    if !readings.states[1..].is_empty() {
        files.push("csv/geometry.shift.csv".into());
    }
    let inputs = state::adapter_files(&args.adapter);
    state::record(&args.out, &model, config, args.seed, &inputs, &files)?;

    let depth = model.decoder.layers();
    let mut shown = reported(depth);
    shown.retain(|l| layers.contains(l));
    if shown.is_empty() {
        shown = layers.clone();
    }
    let pair = format!("{} x {}", concepts[0].name, concepts[1].name);
    let text = format!(
        "{pair}\n{}\nn counts prompts, of the smaller concept; {} neutral texts; intervals and bands are 95 %, over prompts; p_flip: labels \
         flipped, p_random: random directions of the layer's covariance; q: over layers and pairs; \
         less_base: paired draws.\nwritten: {} in {}",
        for_eyes(&table.only("layer", &shown)),
        readings.neutral[0].dim().0,
        files.join(", "),
        args.out.display()
    );
    let json = json!({
        "out": args.out, "files": files, "pair": [concepts[0].name, concepts[1].name],
        "states": readings.states, "layers": layers, "shown_layers": shown,
        "coupling": table.json(), "shift": shift.json(),
    });
    out.result(&json, || text)
}

/// The table in two parts that fit a screen, with intervals in brackets.
fn for_eyes(table: &Table) -> String {
    let mut first = Table::new(
        &[
            "state",
            "layer",
            "cosine",
            "relative to ceiling",
            "cleaned",
            "whitened",
            "less base",
            "n",
        ],
        3,
    );
    let mut second = Table::new(
        &[
            "state",
            "layer",
            "flip band",
            "p_flip",
            "q_flip",
            "random band",
            "p_random",
            "q_random",
        ],
        3,
    );
    for r in 0..table.len() {
        let cell = |name: &str| table.cell(r, name);
        let number = |name: &str| match cell(name) {
            Cell::Real(v) => v,
            _ => f64::NAN,
        };
        let spread = |value: &str, lo: &str, hi: &str| match number(value) {
            v if v.is_nan() => "-".to_string(),
            v => format!("{v:.3} [{:.3}, {:.3}]", number(lo), number(hi)),
        };
        let band = |lo: &str, hi: &str| format!("[{:.3}, {:.3}]", number(lo), number(hi));
        first.row(vec![
            cell("state"),
            cell("layer"),
            spread("cosine", "lo", "hi").into(),
            spread("relative", "relative_lo", "relative_hi").into(),
            cell("cleaned"),
            cell("whitened"),
            spread("less_base", "less_base_lo", "less_base_hi").into(),
            cell("prompts"),
        ]);
        second.row(vec![
            cell("state"),
            cell("layer"),
            band("flip_lo", "flip_hi").into(),
            cell("p_flip"),
            cell("q_flip"),
            band("random_lo", "random_hi").into(),
            cell("p_random"),
            cell("q_random"),
        ]);
    }
    format!("{}\n{}", first.text(), second.text())
}

/// Indices of nuisances and placebos among the concepts.
fn options(args: &GeometryArgs, concepts: &[Concept]) -> Result<CouplingOptions> {
    let default = ["polarity", "sentiment"];
    let mut nuisances = Vec::new();
    for name in &args.nuisances {
        match concepts.iter().position(|c| c.name == *name) {
            Some(i) if i > 1 => nuisances.push(i),
            Some(_) => bail!("`{name}` is one of the pair of interest and cannot be a nuisance"),
            None if default.contains(&name.as_str()) => {}
            None => {
                let near = nearest(name, concepts.iter().map(|c| c.name.as_str()));
                bail!(
                    "nuisance `{name}` is not among the concepts; did you mean `{}`?",
                    near.unwrap_or_default()
                );
            }
        }
    }
    let draws = args.draws as usize;
    Ok(CouplingOptions {
        placebos: (2..concepts.len())
            .filter(|i| !nuisances.contains(i))
            .collect(),
        nuisances,
        draws,
        flips: draws,
        random: draws,
        seed: args.seed,
        ..CouplingOptions::for_pair(0, 1)
    })
}

fn read(
    args: &GeometryArgs,
    model: &Model,
    concepts: &[Concept],
    layers: &[usize],
    out: &Console,
) -> Result<Readings> {
    let request = reading::request(args.at, layers);
    let tokenizer = &model.tokenizer;
    let mut all = Readings {
        states: Vec::new(),
        concepts: Vec::new(),
        neutral: Vec::new(),
    };
    for (name, folder) in state::states(&args.adapter) {
        let decoder = state::state(&model.decoder, folder.as_deref())?;
        let mut of_state = Vec::new();
        for c in concepts {
            let what = format!("{name}, {}", c.name);
            of_state.push(reading::concept(
                &decoder, tokenizer, c, &request, out, &what,
            )?);
        }
        all.concepts.push(of_state);
        let what = format!("{name}, neutral");
        all.neutral
            .push(reading::neutral(&decoder, tokenizer, &request, out, &what)?);
        all.states.push(name);
    }
    Ok(all)
}

const PAIR_COLUMNS: [&str; 25] = [
    "state",
    "layer",
    "cosine",
    "lo",
    "hi",
    "relative",
    "relative_lo",
    "relative_hi",
    "flip_lo",
    "flip_hi",
    "p_flip",
    "q_flip",
    "p_flip_max",
    "random_lo",
    "random_hi",
    "p_random",
    "q_random",
    "p_placebo",
    "cleaned",
    "whitened",
    "less_base",
    "less_base_lo",
    "less_base_hi",
    "less_base_p",
    "prompts",
];

/// The pair of interest in every state and layer.
fn pair_table(
    c: &Coupling,
    readings: &Readings,
    layers: &[usize],
    clusters: &[Vec<usize>],
    options: &CouplingOptions,
) -> Result<Table> {
    let mut table = Table::new(&PAIR_COLUMNS, 3);
    let raw: Array2<f64> = c.raw.value.slice(s![.., 0, 1, ..]).to_owned(); // (state, layer)
    let distinct = |names: &[usize]| names.iter().max().map_or(0, |m| m + 1);
    let prompts = distinct(&clusters[0]).min(distinct(&clusters[1]));
    for (m, name) in readings.states.iter().enumerate() {
        let change = match m {
            0 => None,
            _ => {
                let sets = (&[m][..], &[0usize][..]);
                let draws = c.pair_draws.raw.view();
                let level = options.level;
                Some(contrast(
                    raw.view(),
                    draws,
                    sets,
                    Over::Prompts,
                    level,
                    options.seed,
                )?)
            }
        };
        for (l, &layer) in layers.iter().enumerate() {
            let at = [m, 0, 1, l];
            let mut row = vec![name.clone().into(), layer.into()];
            let f = &c.raw;
            row.extend(
                [
                    f.value[at],
                    f.lo[at],
                    f.hi[at],
                    f.relative[at],
                    f.relative_lo[at],
                    f.relative_hi[at],
                    c.flip_lo[at],
                    c.flip_hi[at],
                    c.p_flip[at],
                    c.q_flip[at],
                    c.p_flip_max[[m, l]],
                    c.random_lo[[m, 1, l]],
                    c.random_hi[[m, 1, l]],
                    c.p_random[at],
                    c.q_random[at],
                    c.p_placebo[[m, l]],
                    c.cleaned.value[at],
                    c.whitened.value[at],
                ]
                .map(Into::into),
            );
            let change = change
                .as_ref()
                .map(|k| [k.value[l], k.lo[l], k.hi[l], k.p[l]]);
            row.extend(change.unwrap_or([f64::NAN; 4]).map(Into::into));
            row.push(prompts.into());
            table.row(row);
        }
    }
    Ok(table)
}

const SHIFT_COLUMNS: [&str; 16] = [
    "state",
    "direction",
    "from",
    "layer",
    "raw",
    "raw_lo",
    "raw_hi",
    "rms_units",
    "rms_units_lo",
    "rms_units_hi",
    "cosine",
    "cosine_lo",
    "cosine_hi",
    "share",
    "share_lo",
    "share_hi",
];

/// Where the neutral texts moved along the pair's directions, those of base and the state's own.
fn shift_table(
    readings: &Readings,
    differences: &[Vec<Array3<f32>>],
    concepts: &[Concept],
    layers: &[usize],
    seed: u64,
) -> Result<Table> {
    let mut table = Table::new(&SHIFT_COLUMNS, 3);
    let mean = |state: usize, concept: usize| -> Array2<f64> {
        let d = differences[state][concept].mapv(f64::from); // (n, layers, d)
        d.sum_axis(Axis(0)) / d.dim().0.max(1) as f64
    };
    let texts: Vec<usize> = (0..readings.neutral[0].dim().0).collect();
    for m in 1..readings.states.len() {
        let input = ShiftInput {
            tuned: readings.neutral[m].view(),
            base: readings.neutral[0].view(),
            clusters: &texts,
        };
        let kinds = [(0, 0, "base"), (1, 0, "base"), (0, m, "own"), (1, m, "own")];
        let directions: Vec<Array2<f64>> = kinds.iter().map(|k| mean(k.1, k.0)).collect();
        let views: Vec<_> = directions.iter().map(|d| d.view()).collect();
        let options = ShiftOptions {
            seed,
            ..ShiftOptions::default()
        };
        let found = project(&input, &views, options)?;
        for (i, (concept, _, from)) in kinds.iter().enumerate() {
            for (l, &layer) in layers.iter().enumerate() {
                let on = &found[l][i];
                let mut row = vec![
                    readings.states[m].clone().into(),
                    concepts[*concept].name.clone().into(),
                    (*from).into(),
                    layer.into(),
                ];
                for v in [on.raw, on.rms_units, on.cosine, on.share] {
                    row.extend([v.value.into(), v.interval.lo.into(), v.interval.hi.into()]);
                }
                table.row(row);
            }
        }
    }
    Ok(table)
}

fn write_coupling(w: &mut ResultsWriter, c: &Coupling) -> Result<()> {
    let four: [(&str, &Array4<f64>); 22] = [
        ("cosine", &c.raw.value),
        ("ci_lo", &c.raw.lo),
        ("ci_hi", &c.raw.hi),
        ("relative", &c.raw.relative),
        ("relative_lo", &c.raw.relative_lo),
        ("relative_hi", &c.raw.relative_hi),
        ("cleaned", &c.cleaned.value),
        ("cleaned_lo", &c.cleaned.lo),
        ("cleaned_hi", &c.cleaned.hi),
        ("cleaned_relative", &c.cleaned.relative),
        ("whitened", &c.whitened.value),
        ("whitened_lo", &c.whitened.lo),
        ("whitened_hi", &c.whitened.hi),
        ("whitened_relative", &c.whitened.relative),
        ("whitened_relative_lo", &c.whitened.relative_lo),
        ("whitened_relative_hi", &c.whitened.relative_hi),
        ("null_flip_lo", &c.flip_lo),
        ("null_flip_hi", &c.flip_hi),
        ("p_flip", &c.p_flip),
        ("q_flip", &c.q_flip),
        ("p_random", &c.p_random),
        ("q_random", &c.q_random),
    ];
    for (name, array) in four {
        let dims = ["state", "concept_a", "concept_b", "layer"];
        w.array("geometry", name, &dims, array.view().into_dyn())?;
    }
    let three: [(&str, &Array3<f64>); 3] = [
        ("reliability", &c.reliability),
        ("null_random_lo", &c.random_lo),
        ("null_random_hi", &c.random_hi),
    ];
    for (name, array) in three {
        let dims = ["state", "concept", "layer"];
        w.array("geometry", name, &dims, array.view().into_dyn())?;
    }
    for (name, array) in [("p_flip_max", &c.p_flip_max), ("p_placebo", &c.p_placebo)] {
        w.array(
            "geometry",
            name,
            &["state", "layer"],
            array.view().into_dyn(),
        )?;
    }
    w.attr(
        "geometry/cosine",
        "interval",
        "95 % cluster bootstrap over prompts",
    )?;
    w.attr("geometry", "isotropic", c.isotropic)?;
    let names: Vec<&str> = four.iter().map(|(n, _)| *n).collect();
    Ok(w.csv("geometry", "coupling", &names)?)
}

/// Unit vectors `[state, concept, estimator, layer, hidden]` and their lengths.
fn write_directions(w: &mut ResultsWriter, readings: &Readings, seed: u64) -> Result<()> {
    let (states, concepts) = (readings.states.len(), readings.concepts[0].len());
    let (_, layers, d) = readings.neutral[0].dim();
    let mut units = Array5::<f32>::zeros((states, concepts, 1, layers, d));
    let mut norms = Array4::<f64>::zeros((states, concepts, 1, layers));
    for (m, of_state) in readings.concepts.iter().enumerate() {
        for (c, read) in of_state.iter().enumerate() {
            for l in 0..layers {
                let direction = estimate(&read.pairs(l), Estimator::MeanDiff, seed)?;
                units.slice_mut(s![m, c, 0, l, ..]).assign(&direction.unit);
                norms[[m, c, 0, l]] = direction.raw_norm;
            }
        }
    }
    w.coord("estimator", vec![Estimator::MeanDiff.name()])?;
    w.coord("hidden", Values::from((0..d).collect::<Vec<usize>>()))?;
    let dims = ["state", "concept", "estimator", "layer", "hidden"];
    w.array("directions", "unit", &dims, units.view().into_dyn())?;
    w.array(
        "directions",
        "raw_norm",
        &dims[..4],
        norms.view().into_dyn(),
    )?;
    let rule = "positive side projects higher";
    Ok(w.attr("directions/unit", "sign_rule", rule)?)
}
