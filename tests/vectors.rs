//! `residuum vectors`: algebra on files of directions, through the program.

use assert_cmd::Command;
use residuum::export::{file, About, Vectors};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Arrays here are residuum's own.
fn residuum(args: &[&str]) -> std::process::Output {
    plain(&[args, &["--convention", "block-output"]].concat())
}

fn plain(args: &[&str]) -> std::process::Output {
    let mut command = Command::cargo_bin("residuum").unwrap();
    command.arg("vectors").args(args).output().unwrap()
}

fn done(args: &[&str]) -> Value {
    let output = residuum(&[args, &["--json"]].concat());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {stderr}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused(args: &[&str]) -> String {
    let output = residuum(args);
    assert_eq!(output.status.code(), Some(1), "{args:?}");
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

/// A concept's vectors by layer.
type Written<'a> = (&'a str, &'a [(usize, [f32; 3])]);

/// A file of two concepts at layers 1 and 4, and one of a third at layers 4 and 6.
fn files(dir: &Path) -> (String, String) {
    let vectors = |concepts: &[Written]| Vectors {
        model_id: "m".into(),
        layer_convention: "block_output_0based".into(),
        blocks: None,
        about: About::default(),
        concepts: concepts
            .iter()
            .map(|(name, layers)| {
                let of: BTreeMap<_, _> = layers.iter().map(|(l, v)| (*l, v.to_vec())).collect();
                (name.to_string(), of)
            })
            .collect(),
    };
    let both = dir.join("both.safetensors");
    let a = [(1, [1.0, 0.0, 0.0]), (4, [0.0, 2.0, 0.0])];
    let b = [(1, [1.0, 1.0, 0.0]), (4, [0.0, 1.0, 1.0])];
    file::write(&both, &vectors(&[("a", &a), ("b", &b)]), "").unwrap();
    let third = dir.join("c.npy");
    let c = [(4, [3.0, 0.0, 4.0]), (6, [1.0, 1.0, 1.0])];
    file::write(&third, &vectors(&[("c", &c)]), "").unwrap();
    let text = |p: &Path| p.to_str().unwrap().to_string();
    (text(&both), text(&third))
}

fn read(path: &Path, concept: &str, layer: usize) -> Vec<f32> {
    file::read(path).unwrap().concepts[concept][&layer].clone()
}

fn near(got: &[f32], want: &[f32]) {
    let gap = got.iter().zip(want).map(|(a, b)| (a - b).abs());
    assert!(got.len() == want.len() && gap.fold(0.0, f32::max) < 1e-6, "{got:?} is not {want:?}");
}

#[test]
fn sums_are_of_the_vectors_as_they_are_and_only_at_shared_layers() {
    let dir = tempfile::tempdir().unwrap();
    let (both, third) = files(dir.path());
    let out = dir.path().join("sum.safetensors");
    let to = out.to_str().unwrap();
    let (a, b) = (format!("{both}:a"), format!("{both}:b"));
    done(&["add", &a, &b, "--weights", "1,-2", "--out", to, "--name", "s"]);
    near(&read(&out, "s", 1), &[-1.0, -2.0, 0.0]);
    near(&read(&out, "s", 4), &[0.0, 0.0, -2.0]);
    let output = residuum(&["add", &a, &third, "--out", to, "--force"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("layers 1 of") && stderr.contains("layers 6 of"), "{stderr}");
    near(&read(&out, "a", 4), &[3.0, 2.0, 4.0]);
    assert_eq!(file::read(&out).unwrap().concepts["a"].len(), 1);
}

#[test]
fn scaling_by_one_converts_and_by_minus_two_turns_round() {
    let dir = tempfile::tempdir().unwrap();
    let (both, third) = files(dir.path());
    let gguf = dir.path().join("c.gguf");
    done(&["scale", &third, "--by", "1", "--out", gguf.to_str().unwrap()]);
    near(&read(&gguf, "c", 4), &[3.0, 0.0, 4.0]);
    let npy = dir.path().join("turned.npy");
    let from = format!("{both}:b");
    let to = npy.to_str().unwrap();
    done(&["scale", &from, "--by", "-2", "--out", to]);
    near(&read(&npy, "turned", 1), &[-2.0, -2.0, 0.0]);
    done(&["scale", &from, "--by", "-2", "--unit", "--out", to, "--force"]);
    let half = -(0.5f32.sqrt());
    near(&read(&npy, "turned", 1), &[half, half, 0.0]);
}

#[test]
fn what_is_projected_out_is_gone_and_the_rest_keeps_its_length() {
    let dir = tempfile::tempdir().unwrap();
    let (both, _) = files(dir.path());
    let out = dir.path().join("left.safetensors");
    let (a, b) = (format!("{both}:a"), format!("{both}:b"));
    let args = ["project-out", &b, "--of", &a, "--out", out.to_str().unwrap()];
    let told = done(&args);
    near(&read(&out, "b", 1), &[0.0, 1.0, 0.0]);
    near(&read(&out, "b", 4), &[0.0, 0.0, 1.0]);
    let cosine = told["vectors"][0]["cosine_with_first"].as_f64().unwrap();
    assert!((cosine - 0.5f64.sqrt()).abs() < 1e-6);
    let twice = refused(&["project-out", &a, "--of", &a, "--out", "x.npy"]);
    assert!(twice.contains("layer 1") && twice.contains("length zero"), "{twice}");
}

#[test]
fn orthogonalised_concepts_keep_their_names_and_order() {
    let dir = tempfile::tempdir().unwrap();
    let (both, _) = files(dir.path());
    let out = dir.path().join("basis.safetensors");
    let to = out.to_str().unwrap();
    done(&["orthogonalise", &both, "--unit", "--out", to]);
    near(&read(&out, "a", 4), &[0.0, 1.0, 0.0]);
    near(&read(&out, "b", 4), &[0.0, 0.0, 1.0]);
    let csv = dir.path().join("cosines.csv");
    let told = done(&["cosine", to, &both, "--csv", csv.to_str().unwrap()]);
    let rows = told["cosines"].as_array().unwrap();
    let cosine = |layer: u64, first: &str, second: &str| {
        let row = rows.iter().find(|r| {
            r["layer"] == layer
                && r["vector_a"].as_str().unwrap().ends_with(first)
                && r["vector_b"].as_str().unwrap().ends_with(second)
        });
        row.unwrap()["estimate"].as_f64().unwrap()
    };
    assert_eq!(rows.len(), 2 * 6);
    assert!(cosine(1, "basis.safetensors:a", "basis.safetensors:b").abs() < 1e-7);
    assert!((cosine(1, "both.safetensors:a", "both.safetensors:b") - 0.5f64.sqrt()).abs() < 1e-6);
    assert!((cosine(4, "basis.safetensors:a", "both.safetensors:a") - 1.0).abs() < 1e-6);
    assert_eq!(std::fs::read_to_string(csv).unwrap().lines().count(), 13);
}

#[test]
fn wrong_inputs_are_answered_with_what_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let (both, third) = files(dir.path());
    let several = refused(&["scale", &both, "--by", "2", "--out", "x.npy"]);
    assert!(several.contains("both.safetensors:a"), "{several}");
    let unknown = refused(&["scale", &format!("{both}:aa"), "--by", "2", "--out", "x.npy"]);
    assert!(unknown.contains("did you mean `a`"), "{unknown}");
    let zero = refused(&["scale", &format!("{both}:a"), "--by", "0", "--out", "x.npy"]);
    assert!(zero.contains("leaves no vector"), "{zero}");
    let format = refused(&["scale", &third, "--by", "2", "--out", "x.pt"]);
    assert!(format.contains(".safetensors, .npz, .npy or .gguf"), "{format}");
    let weights = refused(&["add", &third, &third, "--weights", "1", "--out", "x.npy"]);
    assert!(weights.contains("one weight an input"), "{weights}");
    let missing = refused(&["cosine", "no/such.npy", &third]);
    assert!(missing.contains("no/such.npy"), "{missing}");
    assert!(!Path::new("x.npy").exists());
}

#[test]
fn an_array_is_not_taken_without_a_word_on_its_rows() {
    let dir = tempfile::tempdir().unwrap();
    let (_, third) = files(dir.path());
    let out = dir.path().join("c.safetensors");
    let to = out.to_str().unwrap();
    let args = ["scale", &third, "--by", "1", "--out", to];
    let refused = plain(&args);
    assert_eq!(refused.status.code(), Some(1));
    let stderr = String::from_utf8(refused.stderr).unwrap();
    for part in ["c.npy", "7 rows", "--convention"] {
        assert!(stderr.contains(part), "{stderr}");
    }
    assert!(!out.exists());
    done(&args);
    near(&read(&out, "c", 4), &[3.0, 0.0, 4.0]);
    // What is there stays unless the user says otherwise.
    let again = plain(&[&args[..], &["--convention", "block-output"]].concat());
    let stderr = String::from_utf8(again.stderr).unwrap();
    assert!(stderr.contains("is there already") && stderr.contains("--force"), "{stderr}");
    let shifted =
        plain(&[&args[..], &["--convention", "hidden-states", "--json", "--force"]].concat());
    let told: Value = serde_json::from_slice(&shifted.stdout).unwrap();
    assert_eq!(told["inputs"][0]["layer_convention"], "hidden_states");
    assert_eq!(told["layer_convention"], "block_output_0based");
    near(&read(&out, "c", 3), &[3.0, 0.0, 4.0]);
    // What is known of the depth goes on into an array.
    let npy = dir.path().join("again.npy");
    done(&["scale", to, "--by", "1", "--out", npy.to_str().unwrap()]);
    assert_eq!(file::read(&npy).unwrap().rows["again"], 6);
}
