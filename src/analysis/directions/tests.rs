use super::*;
use crate::analysis::records::QualityRow;
use crate::analysis::{ConceptInfo, State, StateActivations};
use crate::stats::rng::stream;
use crate::store::{ResultsReader, ResultsWriter, RootAttrs};
use ndarray::Array3;
use rand_distr::{Distribution, StandardNormal};

const D: usize = 8;

fn noise(n: usize, purpose: &str, index: u64) -> Array3<f32> {
    let mut rng = stream(3, purpose, index);
    Array3::from_shape_simple_fn((n, 2, D), || StandardNormal.sample(&mut rng))
}

/// `n` pairs whose sides differ along `axis`, by `shift[l]` at layer index l.
fn acts(n: usize, axis: usize, shift: [f32; 2], index: u64) -> ConceptActivations {
    let mut positive = noise(n, "test/positive", index);
    for (l, by) in shift.iter().enumerate() {
        for i in 0..n {
            positive[[i, l, axis]] += by;
        }
    }
    let negative = noise(n, "test/negative", index);
    ConceptActivations { positive, negative }
}

fn info(name: &str, n: usize) -> ConceptInfo {
    ConceptInfo {
        name: name.into(),
        prompt: (0..n).collect(),
        template: (0..n).map(|i| i % 3).collect(),
        stratum: (0..n).map(|i| i % 3).collect(),
        words: (0..2 * n).map(|i| format!("word{}", i / 4)).collect(),
    }
}

/// Two states, two concepts and two layers; the development pairs of both differ at layer `dev`.
fn readings(dev: usize) -> Readings {
    let mut shift = [0.0; 2];
    shift[dev] = 6.0;
    let state = |s: u64| StateActivations {
        concepts: vec![acts(36, 1, [3.0, 4.0], 10 * s), acts(36, 2, [4.0, 3.0], 10 * s + 1)],
        dev: match s {
            0 => vec![acts(12, 1, shift, 2), acts(12, 2, shift, 3)],
            _ => Vec::new(),
        },
        neutral: vec![noise(20, "test/neutral", s)],
    };
    Readings {
        states: ["base", "tuned-s1"].map(State::named).to_vec(),
        layers: vec![4, 9],
        positions: vec![Position::ResponseMean],
        concepts: vec![info("first", 36), info("second", 36)],
        dev: vec![info("first", 12), info("second", 12)],
        acts: vec![state(0), state(1)],
        rms: vec![2.0, 4.0],
        all_neutral: None,
    }
}

fn options() -> DirectionOptions {
    DirectionOptions {
        concepts: vec!["first".into()],
        nuisances: vec!["second".into()],
        splits: 10,
        draws: Draws { bootstrap: 100, null: 0, seed: 1 },
        tuned_draws: 50,
        choose_layer: true,
        ..DirectionOptions::default()
    }
}

fn found(readings: &Readings, options: &DirectionOptions) -> Result<Directions> {
    measure(readings, &[], &[], options, &mut |_| ())
}

#[test]
fn development_pairs_choose_the_layer_and_are_in_no_other_number() {
    let mut all: Vec<Vec<QualityRow>> = Vec::new();
    for (dev, layer) in [(0, 4), (1, 9)] {
        let found = found(&readings(dev), &options()).unwrap();
        let mut rows = found.records.quality;
        assert!(rows.iter().all(|r| r.chosen == (r.layer == layer)));
        rows.iter_mut().for_each(|r| r.chosen = false);
        all.push(rows);
    }
    assert_eq!(all[0], all[1]);
    let row = &all[0][0];
    assert!((row.relative_norm - row.norm / 2.0).abs() < 1e-12 && row.estimate > 0.9);
    assert!(row.lexical < 0.7 && row.gain > 0.2);
}

#[test]
fn rows_and_unit_vectors_of_every_state_come_back_from_the_file() {
    let readings = readings(0);
    let found = found(&readings, &options()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("results.h5");
    let attrs = RootAttrs::new("test", serde_json::json!({}), 0);
    let mut w = ResultsWriter::create(&path, &attrs).unwrap();
    found.records.write(&mut w).unwrap();
    write_units(&mut w, &readings, &found).unwrap();
    w.finish().unwrap();
    let file = ResultsReader::open(&path).unwrap();
    let rows: Vec<QualityRow> = file.records().unwrap();
    // States, forms and layers.
    assert_eq!(rows.len(), 8);
    assert!(rows.iter().all(|r| found.records.quality.contains(r)));
    let unit = file.array("directions/vectors/unit").unwrap();
    assert_eq!(unit.data.shape(), [2, 1, 1, 2, D]);
    let tuned = found.direction(1, "first", 1).unwrap();
    assert_eq!(unit.data[[1, 0, 0, 1, 1]], f64::from(tuned.direction.unit[1]));
    // Base's direction in the tuned state.
    let carried = &found.records.carried;
    assert_eq!((carried.len(), carried[0].from_state.as_str()), (2, "base"));
    assert!(carried.iter().all(|c| c.estimate > 0.9 && c.cosine > 0.8));
}

#[test]
fn what_was_not_read_is_refused_by_name() {
    let mut readings = readings(0);
    let mut wrong = options();
    wrong.nuisances = vec!["secnd".into()];
    let error = found(&readings, &wrong).unwrap_err().to_string();
    assert!(error.contains("did you mean `second`"), "{error}");
    wrong.nuisances = vec![SURPRISAL.into()];
    let error = found(&readings, &wrong).unwrap_err().to_string();
    assert!(error.contains("20 neutral answers in 2 states"), "{error}");
    // Too few development pairs: no layer, and a doubt that says so.
    readings.dev[0] = info("first", 4);
    readings.acts[0].dev[0] = acts(4, 1, [0.0; 2], 2);
    let found = found(&readings, &options()).unwrap();
    assert!(found.records.layer_choice.is_empty());
    let told = found.warnings(&[]);
    assert!(told[0].text.contains("no layer can be chosen"), "{told:?}");
}
