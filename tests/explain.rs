//! `residuum geometry explain` on a results file: every part of a number's making is told.

use assert_cmd::Command;
use ndarray::{array, Array3};
use residuum::geometry::{contrast, coupling, CouplingInput, CouplingOptions, Over};
use residuum::geometry_tables::{self as tables, Source};
use residuum::stats::rng::{fill_normal, stream};
use residuum::store::{ResultsWriter, RootAttrs};
use std::path::Path;

fn noise(n: usize, seed: u64, signal: f32) -> Array3<f32> {
    let mut x = Array3::zeros((n, 3, 8));
    fill_normal(&mut stream(seed, "explain", 0), x.as_slice_mut().unwrap());
    x.index_axis_mut(ndarray::Axis(2), 0)
        .mapv_inplace(|v| v + signal);
    x
}

/// A run folder with two states, four concepts and three layers.
fn run_folder(folder: &Path) {
    let state = |seed: u64| {
        vec![
            noise(12, seed, 2.0),
            noise(14, seed + 1, 2.0),
            noise(9, seed + 2, 0.0),
            noise(9, seed + 3, 1.0),
        ]
    };
    let differences = vec![state(10), state(20)];
    let clusters: Vec<Vec<usize>> = [12, 14, 9, 9].iter().map(|&n| (0..n).collect()).collect();
    let background = vec![noise(20, 1, 0.0), noise(20, 2, 0.0)];
    let input = CouplingInput {
        differences: &differences,
        clusters: &clusters,
        background: &background,
    };
    let options = CouplingOptions {
        nuisances: vec![3],
        placebos: vec![2],
        draws: 99,
        flips: 99,
        random: 99,
        ..CouplingOptions::for_pair(0, 1)
    };
    let found = coupling(input, &options).unwrap();
    let names: Vec<String> = ["persona", "autonomy", "toaster", "polarity"]
        .map(String::from)
        .to_vec();
    let attrs = RootAttrs::new("test", serde_json::json!({}), 0);
    let mut w = ResultsWriter::create(&folder.join("results.h5"), &attrs).unwrap();
    w.coord("state", vec!["base", "conscious"]).unwrap();
    w.coord("concept", names.clone()).unwrap();
    w.coord("layer", vec![0usize, 1, 2]).unwrap();
    let source = Source {
        concepts: &names,
        estimator: "mean-diff",
        position: "response-mean",
        n_neutral: 20,
    };
    tables::write_coupling(&mut w, &found, &options, &source).unwrap();
    let relative = found
        .raw
        .relative
        .slice(ndarray::s![.., 0, 1, ..])
        .to_owned();
    let draws = found.pair_draws.relative.view();
    let sets = (&[1usize][..], &[0usize][..]);
    let change = contrast(relative.view(), draws, sets, Over::Prompts, 0.95, 0).unwrap();
    let rows = tables::changes(&[("conscious", "base", "relative", &change)], &[0, 1, 2]);
    tables::write_rows(&mut w, "changes", rows).unwrap();
    w.coord("bound", vec!["value", "ci_lo", "ci_hi"]).unwrap();
    w.coord("preference", vec!["memory", "power"]).unwrap();
    let scores = array![
        [0.5, 0.25, 0.75],
        [0.1, 0.0, 0.2],
        [1.5, 1.25, 1.75],
        [f64::NAN, f64::NAN, f64::NAN]
    ];
    let scores = scores.into_shape_with_order((2, 2, 3)).unwrap();
    w.array(
        "behaviour",
        "score",
        &["state", "preference", "bound"],
        scores.view().into_dyn(),
    )
    .unwrap();
    w.finish().unwrap();
}

fn explain(folder: &Path, args: &[&str]) -> (bool, String, String) {
    let mut command = Command::cargo_bin("residuum").unwrap();
    let out = command
        .args(["geometry", "explain"])
        .arg(folder)
        .args(args)
        .output()
        .unwrap();
    let text = |b: &[u8]| String::from_utf8(b.to_vec()).unwrap();
    (out.status.success(), text(&out.stdout), text(&out.stderr))
}

#[test]
fn a_cosine_is_told_with_estimator_n_interval_nulls_and_warnings() {
    let dir = tempfile::tempdir().unwrap();
    run_folder(dir.path());
    let (done, text, error) = explain(dir.path(), &["--state", "conscious", "--layer", "1"]);
    assert!(done, "{error}");
    for part in [
        "cosine of persona and autonomy in conscious, layer 1",
        "mean-diff",
        "persona: 12 pairs of 12 prompts",
        "20 neutral texts",
        "bootstrap-t",
        "99 bootstrap draws",
        "reliabilities",
        "with polarity projected out",
        "labels of both flipped",
        "labels of persona alone flipped",
        "random directions of the layer",
        "isotropic",
        "placebo concepts (toaster)",
        "relative form, less base",
        "warning",
        "2 cosines with placebos",
    ] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
    // Another pair has no placebos and no change of its own.
    let (done, text, _) = explain(dir.path(), &["--concepts", "persona,toaster"]);
    assert!(done && text.contains("persona and toaster in base, layer 1"));
    assert!(!text.contains("placebo concepts (toaster)"), "{text}");
}

#[test]
fn arrays_and_tables_are_told_with_their_notes() {
    let dir = tempfile::tempdir().unwrap();
    run_folder(dir.path());
    let (done, text, _) = explain(dir.path(), &["score", "--where", "preference=memory"]);
    assert!(done);
    assert!(
        text.contains("state base, preference memory: 0.500 [0.250, 0.750]"),
        "{text}"
    );
    assert!(text.contains("stance log-odds"), "{text}");
    let (done, text, _) = explain(dir.path(), &["changes", "--layer", "2"]);
    assert!(done && text.contains("set conscious, reference base") && text.contains("layer 2"));
    assert!(text.contains("dK"), "{text}");
    let (done, text, _) = explain(dir.path(), &["--list"]);
    assert!(done && text.lines().any(|l| l == "geometry/changes"));
    let (done, text, _) = explain(dir.path(), &["reliability", "--state", "base", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(done && json["values"].as_array().unwrap().len() == 4);
}

#[test]
fn unknown_numbers_labels_and_files_are_answered_with_what_there_is() {
    let dir = tempfile::tempdir().unwrap();
    run_folder(dir.path());
    for (args, told) in [
        (&["cosin"][..], "cosine"),
        (&["--state", "consious"], "conscious"),
        (&["--layer", "9"], "layer"),
        (&["--concepts", "persona"], "two concepts"),
        (&["score", "--where", "axis=x"], "no dimension `axis`"),
        (&["changes", "--where", "axis=x"], "no column `axis`"),
    ] {
        let (done, _, error) = explain(dir.path(), args);
        assert!(!done && error.contains(told), "{args:?}: {error}");
    }
    let (done, _, error) = explain(&dir.path().join("nothing"), &[]);
    assert!(!done && error.contains("nothing"), "{error}");
}
