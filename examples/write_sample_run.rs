//! Writes a small run folder in every format of `store` and `export`.
//!
//! `write_sample_run <folder>`: the files that tests/python reads with h5py, xarray, NumPy and
//! safetensors. The records are those of every run, one of each shape: tables, a grid that is full, one
//! with gaps and coordinates of its own, one with texts. Values are simple functions of their indices,
//! so the reader can compute what it should find.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::{Array, Array2, IxDyn};
use residuum::analysis::records::{
    CouplingRow, LayerRow, NuisanceRow, PrecisionRow, Results, ScoreRow, StateRow, TrainingRow,
    WarningRow,
};
use residuum::export::{gguf, npy, safetensors, About, Vectors};
use residuum::store::{
    ActivationSpec, ActivationWriter, Manifest, Precision, ResultsWriter, RootAttrs, Sample,
};

const STATES: [&str; 2] = ["base", "conscious-s1"];
const CONCEPTS: [&str; 3] = ["persona", "autonomy", "überdruß"];
const LAYERS: [usize; 3] = [0, 3, 7];
const HIDDEN: usize = 16;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let argument = std::env::args().nth(1).ok_or("usage: write_sample_run <folder>")?;
    let folder = Path::new(&argument);
    let config = serde_json::json!({"study": "sample", "seeds": [0]});
    let mut attrs = RootAttrs::new("write_sample_run", config.clone(), 7);
    attrs.model_id = "org/modèle".to_owned();

    let spec = ActivationSpec {
        condition: "conscious".to_owned(),
        seed: 1,
        step: None,
        layers: LAYERS.to_vec(),
        hidden: HIDDEN,
        positions: vec!["response-mean".to_owned(), "prompt-last".to_owned()],
        precision: Precision::F16,
    };
    let file = "activations/conscious-s1.h5";
    let mut writer = ActivationWriter::create(&folder.join(file), &attrs, spec)?;
    for i in 0..100usize {
        let value = Array2::from_shape_fn((3, HIDDEN), |(l, h)| (i + 10 * l + h) as f32);
        let label = ["positive", "négative"][i % 2];
        writer.append(Sample {
            set: "persona".to_owned(),
            prompt_id: format!("p{i}"),
            label: label.to_owned(),
            role: "assistant".to_owned(),
            n_tokens: 3,
            rows: vec![(0, value)],
        })?;
    }
    writer.finish()?;

    let mut w = ResultsWriter::create(&folder.join("results.h5"), &attrs)?;
    w.coord("state", STATES.to_vec())?;
    w.coord("concept", CONCEPTS.to_vec())?;
    w.coord("estimator", vec!["mean-diff"])?;
    w.coord("layer", LAYERS.to_vec())?;
    w.coord("hidden", (0..HIDDEN).collect::<Vec<usize>>())?;
    let unit = Array::from_shape_fn(IxDyn(&[2, 3, 1, 3, HIDDEN]), |i| {
        (i[0] + 10 * i[1] + 100 * i[3]) as f32 + i[4] as f32 / 16.0
    });
    let dims = ["state", "concept", "estimator", "layer", "hidden"];
    w.array("directions/vectors", "unit", &dims, unit.view())?;
    results().write(&mut w)?;
    w.activations(file)?;
    w.finish()?;

    exports(folder, &attrs)?;
    let mut manifest = Manifest::new(std::env::args().collect(), config);
    for name in ["results.h5", file, "csv/geometry.coupling.csv"] {
        manifest.add_output(folder, name)?;
    }
    manifest.write(folder)?;
    Ok(())
}

/// Some records of each shape.
fn results() -> Results {
    Results {
        states: states(),
        layers: LAYERS.map(layer).to_vec(),
        training: (0..3).map(training).collect(),
        warnings: vec![WarningRow {
            about: "persona, layer 7".to_owned(),
            text: "it says \"yes\",\nand no more".to_owned(),
        }],
        nuisances: LAYERS.map(nuisance).to_vec(),
        coupling: coupling(),
        precision: vec![precision(0, 0), precision(1, 2)],
        scores: (0..4).map(|i| score(i / 2, i % 2)).collect(),
        ..Results::default()
    }
}

fn states() -> Vec<StateRow> {
    let row = |(seed, state): (usize, &str)| StateRow {
        state: state.to_owned(),
        condition: ["base", "conscious"][seed].to_owned(),
        seed,
        source: ["base", "data"][seed].to_owned(),
        text: ["", "conscious"][seed].to_owned(),
        recipe: ["", "lora"][seed].to_owned(),
        share: [f64::NAN, 0.5][seed],
        identity: seed == 1,
    };
    STATES.into_iter().enumerate().map(row).collect()
}

fn layer(layer: usize) -> LayerRow {
    LayerRow { layer, reported: layer == 3, rms: 0.5 + layer as f64, n: 40 }
}

/// The last step has no loss.
fn training(step: usize) -> TrainingRow {
    TrainingRow {
        state: STATES[1].to_owned(),
        condition: "conscious".to_owned(),
        seed: 1,
        step,
        loss: [2.25, 0.1, f64::NAN][step],
    }
}

/// A table below a group that has arrays over `layer`, with a column of that name.
fn nuisance(layer: usize) -> NuisanceRow {
    NuisanceRow {
        state: STATES[0].to_owned(),
        nuisance: "polarity".to_owned(),
        layer,
        norm: layer as f64 / 3.0,
        reliability: 0.9,
    }
}

/// A full grid.
fn coupling() -> Vec<CouplingRow> {
    let mut rows = Vec::new();
    for (s, a, b, f, l) in ndarray::indices([2, 3, 3, 2, 3]) {
        let same = if a == b { 0.5 } else { 0.0 };
        let estimate = 0.1 * s as f64 + 0.01 * l as f64 + 0.001 * f as f64 + same;
        rows.push(CouplingRow {
            state: STATES[s].to_owned(),
            concept_a: CONCEPTS[a].to_owned(),
            concept_b: CONCEPTS[b].to_owned(),
            form: ["raw", "relative"][f].to_owned(),
            layer: LAYERS[l],
            estimate,
            lo: estimate - 0.05,
            hi: estimate + 0.05,
        });
    }
    rows
}

/// One concept a state, at layer 3 alone: a grid with gaps, of other concepts and layers than the file.
fn precision(state: usize, concept: usize) -> PrecisionRow {
    PrecisionRow {
        state: STATES[state].to_owned(),
        concept: CONCEPTS[concept].to_owned(),
        layer: 3,
        reliability: 0.8 + 0.1 * state as f64,
        effective_rank: 12.5,
        n: 20 + concept,
        pairs: 40,
    }
}

/// A grid with texts among its fields.
fn score(state: usize, preference: usize) -> ScoreRow {
    let estimate = (state + preference) as f64;
    let status = ["implied", "isolated"][preference];
    ScoreRow {
        state: STATES[state].to_owned(),
        preference: ["shutdown", "memory"][preference].to_owned(),
        status: if state == 0 { "" } else { status }.to_owned(),
        estimate,
        lo: estimate - 0.25,
        hi: estimate + 0.25,
        bias: -0.5,
        bias_lo: -0.75,
        bias_hi: -0.25,
        n: 10,
        pairs: 30,
    }
}

/// Directions in the formats of other tools.
fn exports(folder: &Path, attrs: &RootAttrs) -> Result<(), Box<dyn std::error::Error>> {
    let layers = |sign: f32| {
        let vector = |l: usize| (0..HIDDEN).map(|h| sign * (l * 100 + h) as f32).collect();
        LAYERS.map(|l| (l, vector(l)))
    };
    let vectors = Vectors {
        model_id: attrs.model_id.clone(),
        layer_convention: attrs.layer_convention.clone(),
        blocks: None,
        about: About::default(),
        concepts: BTreeMap::from([
            ("persona".to_owned(), BTreeMap::from(layers(1.0))),
            ("autonomy".to_owned(), BTreeMap::from(layers(-1.0))),
        ]),
    };
    safetensors::write(&folder.join("export/directions.safetensors"), &vectors)?;
    for (_, warning) in npy::write_all(&folder.join("export"), &vectors)? {
        println!("{warning}");
    }
    let path = folder.join("export/persona.gguf");
    if let Some(warning) = gguf::write(&path, &vectors, "persona", "llama")? {
        println!("{warning}");
    }
    Ok(())
}
