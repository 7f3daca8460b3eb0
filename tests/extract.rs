//! `residuum extract` on the real default model: what its files hold, and what its vectors do.

use assert_cmd::Command;
use std::path::Path;

fn residuum(args: &[&str]) -> Command {
    let mut command = Command::cargo_bin("residuum").unwrap();
    command.args(args);
    command
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn directions_are_extracted_and_steer_what_is_generated() {
    let dir = tempfile::tempdir().unwrap();
    let out = text(dir.path());
    let args = [
        "extract",
        "--concept",
        "sentiment",
        "--layers",
        "10",
        "--nuisances",
        "none",
        "--format",
        "safetensors,npy,gguf",
        "--out",
        out,
        "--json",
        "--quiet",
    ];
    let output = residuum(&args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = &json["quality"][0];
    assert!(row["estimate"].as_f64().unwrap() > 0.5, "{row}");
    assert!(row["lexical"].as_f64().unwrap() > 0.5, "{row}");
    for file in json["files"].as_array().unwrap() {
        assert!(dir.path().join(file.as_str().unwrap()).exists(), "{file}");
    }
    let page = std::fs::read_to_string(dir.path().join("report.html")).unwrap();
    assert!(page.contains("sentiment") && dir.path().join("figures/directions.svg").exists());
    let file = dir.path().join("mean-diff.safetensors");
    let read = residuum::export::safetensors::read(&file).unwrap();
    let v = &read.concepts["sentiment"][&10];
    let norm: f64 = v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    assert!((norm - 1.0).abs() < 1e-5, "{norm}");
    let steer = |add: &str| -> serde_json::Value {
        let args = [
            "steer",
            "--vector",
            text(&file),
            "--name",
            "sentiment",
            "--add",
            add,
            "--prompt",
            "How was the film?",
            "--max-tokens",
            "8",
            "--json",
            "--quiet",
        ];
        let output = residuum(&args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let nothing = steer("0");
    assert_eq!(nothing["steered"], nothing["unsteered"]);
    let much = steer("-40");
    assert_ne!(much["steered"], much["unsteered"]);
    let wrong = ["steer", "--vector", text(&file), "--name", "sentimant", "--ablate", "--score"];
    let output = residuum(&wrong).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.contains("did you mean `sentiment`"), "{stderr}");
}

#[test]
fn an_extraction_holds_what_a_direction_must_carry() {
    let dir = tempfile::tempdir().unwrap();
    let out = text(dir.path());
    let args = [
        "extract",
        "--concept",
        "sentiment",
        "--estimator",
        "mean-diff,lda,random",
        "--layers",
        "2,10",
        "--choose-layer",
        "--roles",
        "user-mean,response-last",
        "--nuisances",
        "polarity,surprisal",
        "--eraser",
        "shrunk",
        "--out",
        out,
        "--json",
        "--quiet",
    ];
    let output = residuum(&args).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = |table: &str, column: &str, value: &str| -> Vec<serde_json::Value> {
        let all = json[table].as_array().unwrap().iter();
        all.filter(|r| r[column] == value).cloned().collect()
    };
    let number = |row: &serde_json::Value, column: &str| row[column].as_f64().unwrap();

    let quality = rows("quality", "estimator", "mean-diff");
    // Two layers, raw and cleaned.
    assert_eq!(quality.len(), 4);
    for row in &quality {
        let left = number(row, "share");
        match row["form"] == "raw" {
            true => assert!(number(row, "estimate") > 0.8 && left == 1.0, "{row}"),
            false => assert!(left > 0.3 && left <= 1.0, "{row}"),
        }
        let gain = number(row, "estimate") - number(row, "lexical");
        assert!((number(row, "gain") - gain).abs() < 1e-12, "{row}");
    }
    assert_eq!(quality.iter().filter(|r| r["chosen"] == true).count(), 2);
    for row in rows("layer_choice", "estimator", "mean-diff") {
        assert!(number(&row, "pairs") < number(&quality[0], "pairs"));
    }
    // What precedes the response is the same on both sides, but for rounding.
    for row in rows("carried", "position", "user-mean") {
        assert!((number(&row, "estimate") - 0.5).abs() < 0.02, "{row}");
        assert!(row["cosine"].is_null(), "{row}");
    }
    for row in rows("carried", "position", "response-last") {
        if row["estimator"] == "mean-diff" && row["layer"] == 10 {
            assert!(number(&row, "estimate") > 0.6, "{row}");
        }
    }
    for row in json["erasers"].as_array().unwrap() {
        assert!((number(row, "estimate") - 0.5).abs() < 0.3, "{row}");
    }
    for row in rows("agreement", "estimator_a", "mean-diff") {
        let expected = if row["estimator_b"] == "lda" { 0.05..1.0 } else { -0.3..0.3 };
        assert!(expected.contains(&number(&row, "estimate")), "{row}");
    }
    for file in json["files"].as_array().unwrap() {
        assert!(dir.path().join(file.as_str().unwrap()).exists(), "{file}");
    }

    let read = |name: &str| residuum::export::safetensors::read(&dir.path().join(name)).unwrap();
    let cleaned = read("mean-diff-cleaned.safetensors");
    let nuisances = read("nuisances.safetensors");
    for nuisance in ["polarity", "surprisal"] {
        let pair =
            cleaned.concepts["sentiment"][&10].iter().zip(&nuisances.concepts[nuisance][&10]);
        let cosine: f32 = pair.map(|(a, b)| a * b).sum();
        assert!(cosine.abs() < 1e-5, "{nuisance}: {cosine}");
    }
    // Vectors know whose they are, in whatever file they lie.
    let own = read("mean-diff.safetensors");
    let whole = residuum::export::file::read(&dir.path().join("results.h5")).unwrap();
    assert_eq!(whole.concepts["sentiment"], own.concepts["sentiment"]);
    assert!(whole.concepts.contains_key("sentiment.lda"));
    let (about, layer) = (&own.about, own.about.chosen_layer("sentiment").unwrap());
    assert_eq!(whole.about.chosen_layer("sentiment"), Some(layer));
    assert_eq!(about.model_sha256, whole.about.model_sha256);
    assert_eq!(about.model_sha256.len(), 64);
    let said = [&about.state, &about.estimator, &about.reading, &about.position, &about.norm];
    assert_eq!(said, ["base", "mean-diff", "response", "response-mean", "unit"]);
    let of = about.concepts["sentiment"].layers[&layer];
    let row = quality.iter().find(|r| r["form"] == "raw" && r["layer"] == layer).unwrap();
    assert_eq!(of.auroc, row["estimate"].as_f64());
    assert_eq!(of.raw_norm, row["norm"].as_f64());
    assert!(of.layer_rms.unwrap() > 0.0);
    let erasers = residuum::export::erasers::read(&dir.path().join("erasers.safetensors")).unwrap();
    assert_eq!(erasers.concepts["sentiment"][&2].rank(), 1);
}

#[test]
fn identical_text_is_told_apart_by_the_system_prompt_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let args = [
        "extract",
        "--concept",
        "sentiment",
        "--reading",
        "identical",
        "--positions",
        "response-mean,user-mean",
        "--layers",
        "4",
        "--nuisances",
        "none",
        "--out",
        text(dir.path()),
        "--json",
        "--quiet",
    ];
    let output = residuum(&args).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = &json["quality"][0];
    // Five pairs of system prompts are the templates; a quarter of the texts is kept for choosing.
    assert_eq!(row["templates"], 5);
    assert_eq!(row["pairs"], row["n"]);
    assert_eq!(json["quality"].as_array().unwrap().len(), 1);
    // The words are equal, so they tell nothing.
    assert_eq!(row["lexical"], 0.5);
    // The user's words are behind the system prompt too, and so may differ.
    let user = json["carried"][0]["estimate"].as_f64().unwrap();
    assert!(user != 0.5, "{user}");
}
