//! `residuum h5` on a small run with activations: what it lists, prints, finds different and refuses.

use assert_cmd::Command;
use ndarray::Array2;
use residuum::analysis::records::LayerRow;
use residuum::store::{
    ActivationSpec, ActivationWriter, Precision, ResultsWriter, RootAttrs, Sample,
};
use std::fs;
use std::path::Path;

const ACTS: &str = "activations/base/0/persona/response-mean";
const FILE: &str = "activations/base.h5";

/// A run folder whose layers have these RMS and whose activations begin at `first`.
fn run_folder(folder: &Path, rms: &[f64], first: f32) {
    let attrs = RootAttrs::new("test", serde_json::json!({}), 0);
    let spec = ActivationSpec {
        condition: "base".into(),
        seed: 0,
        step: None,
        layers: vec![0, 1],
        hidden: 3,
        positions: vec!["response-mean".into()],
        precision: Precision::F32,
    };
    let mut w = ActivationWriter::create(&folder.join(FILE), &attrs, spec).unwrap();
    for i in 0..2 {
        let (set, label, role) = ("persona".into(), "positive".into(), "response".into());
        let rows = vec![(0, Array2::from_elem((2, 3), first + i as f32))];
        w.append(Sample { set, prompt_id: format!("p{i}"), label, role, n_tokens: 4, rows })
            .unwrap();
    }
    w.finish().unwrap();
    let row = |(layer, &rms): (usize, &f64)| LayerRow { layer, reported: true, rms, n: 8 };
    let rows: Vec<LayerRow> = rms.iter().enumerate().map(row).collect();
    let mut w = ResultsWriter::create(&folder.join("results.h5"), &attrs).unwrap();
    w.records(&rows).unwrap();
    w.activations(FILE).unwrap();
    w.finish().unwrap();
}

/// Exit status, stdout and stderr.
fn h5(args: &[&str]) -> (i32, String, String) {
    let output = Command::cargo_bin("residuum").unwrap().arg("h5").args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_file_is_listed_printed_and_held_against_the_schema() {
    let dir = tempfile::tempdir().unwrap();
    run_folder(dir.path(), &[1.5, 2.0], 0.0);
    let run = dir.path().to_str().unwrap();
    let (code, tree, _) = h5(&["tree", run]);
    assert_eq!(code, 0);
    for part in ["rms (row 2: numbers)", "sample 2, layer 2, hidden 3", "in activations/base.h5"] {
        assert!(tree.contains(part), "{part} is not in\n{tree}");
    }
    let (_, csv, _) = h5(&["get", run, "study/layers", "--where", "layer=1", "--csv"]);
    assert_eq!(csv, "layer,reported,rms,n\n1,1,2,8\n");
    let (_, json, _) =
        h5(&["get", run, ACTS, "--where", "sample=1", "--where", "layer=0", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["rows"][2]["response-mean"], 1.0);
    let (code, _, error) = h5(&["get", run, "study/layer"]);
    assert!(code == 1 && error.contains("layers"), "{error}");
    let (code, said, error) = h5(&["validate", run]);
    assert!(code == 0 && said.contains("fits the schema"), "{said}{error}");
}

#[test]
fn a_copy_without_its_activations_still_reports_and_does_not_validate() {
    let dir = tempfile::tempdir().unwrap();
    run_folder(dir.path(), &[1.5, 2.0], 0.0);
    let copy = dir.path().join("alone/results.h5");
    fs::create_dir(dir.path().join("alone")).unwrap();
    fs::copy(dir.path().join("results.h5"), &copy).unwrap();
    let copy = copy.to_str().unwrap();
    let out = dir.path().join("page");
    let mut report = Command::cargo_bin("residuum").unwrap();
    report.args(["report", copy, "--out", out.to_str().unwrap()]).assert().success();
    for args in [&["validate", copy][..], &["get", copy, ACTS]] {
        let (code, said, error) = h5(args);
        assert_eq!(code, 1, "{said}");
        assert!((said + &error).contains(FILE), "{error}");
    }
    // Another file in its place is no better.
    run_folder(&dir.path().join("other"), &[1.5], 9.0);
    fs::create_dir(dir.path().join("alone/activations")).unwrap();
    fs::copy(dir.path().join("other").join(FILE), dir.path().join("alone").join(FILE)).unwrap();
    let (code, said, _) = h5(&["validate", copy]);
    assert!(code == 1 && said.contains(ACTS) && said.contains("another file"), "{said}");
}

#[test]
fn the_difference_of_two_runs_is_told_by_its_exit_status_too() {
    let dir = tempfile::tempdir().unwrap();
    let [a, b] = ["a", "b"].map(|name| dir.path().join(name));
    run_folder(&a, &[1.5, 2.0], 0.0);
    run_folder(&b, &[1.5, 2.25], 0.5);
    let (a, b) = (a.to_str().unwrap(), b.to_str().unwrap());
    let (code, said, _) = h5(&["diff", a, a]);
    assert_eq!((code, said.trim()), (0, "no difference"));
    let (code, said, error) = h5(&["diff", a, b, "--json"]);
    let json: serde_json::Value = serde_json::from_str(&said).unwrap();
    let found: Vec<_> = (json["differences"].as_array().unwrap().iter())
        .map(|d| (d["path"].as_str().unwrap(), d["n"].as_u64(), d["largest"].as_f64()))
        .collect();
    let wanted = [(ACTS, Some(12), Some(0.5)), ("study/layers/rms", Some(1), Some(0.25))];
    assert_eq!((code, &found[..]), (1, &wanted[..]), "{error}");
    assert_eq!(h5(&["diff", a, b, "--tolerance", "0.5"]).0, 0);
}
