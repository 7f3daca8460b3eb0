//! Measuring: readings to the geometry room, what comes back to `results.h5`, a table and JSON.

use super::readings::{self, Readings};
use super::{findings, null_states, pair, MeasureArgs};
use crate::cli::layers::reported;
use crate::cli::output::Outputs;
use crate::cli::table::Table;
use crate::cli::{state, Console};
use crate::directions::Estimator;
use crate::geometry::{coupling, CouplingInput, CouplingOptions};
use crate::geometry_tables::{self, write_rows, Names, Source};
use crate::materials::{embedded, load_concept, Concept};
use crate::model::error::nearest;
use crate::store::{ResultsWriter, Values};
use anyhow::{bail, Result};
use ndarray::{s, Array4, Array5};
use serde_json::json;

pub fn run(mut args: MeasureArgs, out: &Console) -> Result<()> {
    state::distinct(&args.adapter)?;
    args.adapter = state::located(&args.adapter, out)?;
    let Some(folder) = args.out.clone() else {
        bail!("write --out DIR");
    };
    Outputs::of(&args.model.model)
        .reads_all("--adapter", args.adapter.iter().map(|a| &a.folder))
        .texts("--concepts", &args.concepts)
        .folder("--out", &folder, &["results.h5", "manifest.json"])
        .check()?;
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
    let model = args.model.open(out)?;
    let layers = args.layers.of(model.decoder.layers())?;
    let readings = readings::read(&args, &model, &concepts, &layers, out)?;

    out.log("coupling");
    let input = CouplingInput {
        differences: &readings.differences,
        clusters: &readings.clusters,
        background: &readings.neutral,
    };
    let found = coupling(input, &options)?;
    let depth = model.decoder.layers();
    let mut shown = reported(depth);
    shown.retain(|l| layers.contains(l));
    if shown.is_empty() {
        shown = layers.clone();
    }
    out.log("shifts, subspaces, regions");
    let labels: Vec<String> = concepts.iter().map(|c| c.name.clone()).collect();
    let rest = findings::beside(&readings, &layers, &shown, &options)?;
    let nulls = null_states::of(&args, &model, &concepts, &layers, &readings, &found, out)?;
    let table = pair::table(&found, &readings, &layers, &options)?;

    let config = json!({
        "concepts": names, "nuisances": args.nuisances, "at": args.at.to_string(),
        "layers": layers, "options": options,
        "random_adapters": args.random_adapters, "shuffled": args.shuffled,
    });
    state::make_folder(&folder)?;
    let file = folder.join("results.h5");
    let attrs = state::attrs(&model, config.clone(), args.seed);
    let mut w = ResultsWriter::create(&file, &attrs)?;
    w.coord("state", readings.states.clone())?;
    w.coord("concept", labels.clone())?;
    w.coord("layer", layers.clone())?;
    let position = args.at.to_string();
    let source = Source {
        concepts: &labels,
        estimator: Estimator::MeanDiff.name(),
        position: &position,
        n_neutral: readings.neutral[0].dim().0,
    };
    geometry_tables::write_coupling(&mut w, &found, &options, &source)?;
    w.table(geometry_tables::GROUP, "pair", &table.columns())?;
    geometry_tables::annotate(&mut w, "geometry/pair")?;
    let mut files: Vec<String> = ["results.h5", "csv/coupling.csv", "csv/geometry.pair.csv"]
        .map(String::from)
        .to_vec();
    let names = Names {
        states: &readings.states,
        concepts: &labels,
        layers: &layers,
        position: &position,
    };
    let shift = Table::from(&geometry_tables::shifts(&rest.shifts, &names));
    let changes = findings::changes(&found, &readings, &layers, &options)?;
    let all = [("changes", changes), ("null_states", nulls)].into_iter();
    for (name, rows) in all.chain(geometry_tables::beside(&rest, &names)) {
        if rows.rows.is_empty() {
            continue;
        }
        files.push(format!("csv/geometry.{name}.csv"));
        write_rows(&mut w, name, rows)?;
    }
    write_directions(&mut w, &readings)?;
    w.finish()?;
    let inputs = state::adapter_files(&args.adapter);
    state::record(&folder, &model, config, args.seed, &inputs, &files)?;

    let text = format!(
        "{} x {}\n{}\nn counts prompts, of the smaller concept; {} neutral texts; intervals and bands are 95 %, over prompts; p_flip: labels \
         flipped, p_random: random directions of the layer's covariance; q: over layers and pairs; \
         less base: of the cosines relative to their ceilings, paired draws.\nwritten: {} in {}",
        labels[0],
        labels[1],
        pair::for_eyes(&table.only("layer", &shown)),
        readings.neutral[0].dim().0,
        files.join(", "),
        folder.display()
    );
    let json = json!({
        "out": folder, "files": files, "pair": [labels[0], labels[1]],
        "states": readings.states, "layers": layers, "shown_layers": shown,
        "coupling": table.json(), "shift": shift.json(),
    });
    out.result(&json, || text)
}

/// Indices of nuisances and placebos among the concepts.
fn options(args: &MeasureArgs, concepts: &[Concept]) -> Result<CouplingOptions> {
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

/// Unit vectors `[state, concept, estimator, layer, hidden]` and their lengths.
fn write_directions(w: &mut ResultsWriter, readings: &Readings) -> Result<()> {
    let (states, concepts) = (readings.states.len(), readings.concepts[0].len());
    let (_, layers, d) = readings.neutral[0].dim();
    let mut units = Array5::<f32>::zeros((states, concepts, 1, layers, d));
    let mut norms = Array4::<f64>::zeros((states, concepts, 1, layers));
    for m in 0..states {
        for c in 0..concepts {
            for (l, row) in readings.direction(m, c).rows().into_iter().enumerate() {
                let length = row.dot(&row).sqrt();
                let unit = row.mapv(|v| (v / length) as f32);
                units.slice_mut(s![m, c, 0, l, ..]).assign(&unit);
                norms[[m, c, 0, l]] = length;
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
