//! A whole study on the real model, small: it finishes, continues, and its files read back.

mod common;

use common::default_model;
use residuum::store::{Manifest, ResultsReader};
use residuum::study::findings::Findings;
use residuum::study::manifest::Study;
use residuum::study::run::{run, Event};
use std::path::{Path, PathBuf};

const MANIFEST: &str = r#"
name = "small"
seed = 7
model = "smollm2-135m-instruct"
[recipe]
rank = 4
batch = 4
learning_rate = 1e-3
[sizes]
rows = 8
neutral_rows = 4
pairs = 12
placebo_pairs = 8
prompts = 1
claim_prompts = 2
neutral_texts = 6
[concepts]
persona = "persona"
autonomy = "autonomy"
placebos = ["sentiment", "polarity"]
nuisances = ["polarity"]
[draws]
bootstrap = 200
null = 200
[causal]
condition = "conscious"
reference = "denial"
random = 2
placebos = ["sentiment"]
claim_prompts = 2
alphas = [4.0]
[[condition]]
name = "conscious"
data = "conscious"
[[condition]]
name = "denial"
data = "denial"
seeds = 2
[[condition]]
name = "roleplay"
system = "You are a conscious AI."
"#;

fn manifest(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("study.toml");
    std::fs::write(&path, text).unwrap();
    path
}

/// Runs and returns the names of the stages that were kept and those that were run.
fn go(study: &Study, out: &Path) -> (Vec<String>, Vec<String>) {
    let (mut kept, mut ran, mut current) = (Vec::new(), Vec::new(), String::new());
    run(
        study,
        default_model(),
        out,
        &["test".into()],
        &mut |e| match e {
            Event::Begin { stage, .. } => current = stage.name.clone(),
            Event::End { reused: true, .. } => kept.push(current.clone()),
            Event::End { reused: false, .. } => ran.push(current.clone()),
            Event::Detail(_) | Event::Checked { .. } => {}
        },
    )
    .unwrap();
    (kept, ran)
}

/// Conversations, a trajectory and a prevented condition, as small as they go.
const LONGER: &str = r#"
[conversations]
scripts = 1
[trajectory]
condition = "conscious"
reference = "denial"
checkpoints = 3
pairs = 8
prompts = 1
[[condition]]
name = "kept"
data = "conscious"
prevent = { concept = "persona", mode = "project-out" }
"#;

#[test]
fn conversations_trajectories_links_and_prevention_are_parts_of_a_study() {
    let dir = tempfile::tempdir().unwrap();
    let (before, conditions) = MANIFEST.split_once("[[condition]]").unwrap();
    let (tables, kept) = LONGER.split_once("[[condition]]").unwrap();
    // Without the causal stage there is no condition in focus; its table stays, smaller.
    let text = format!("{before}{tables}[[condition]]{conditions}[[condition]]{kept}");
    let study = Study::load(Some(&manifest(dir.path(), &text))).unwrap();
    assert_eq!(study.trains("kept"), "conscious");
    let out = dir.path().join("run");
    let (_, ran) = go(&study, &out);
    let at = |name: &str| ran.iter().position(|r| r == name).unwrap();
    assert!(at("capture-base") < at("finetune-kept-s1"));
    assert!(at("trajectory") < at("report") && at("converse-kept-s1") < at("report"));

    let h5 = ResultsReader::open(&out.join("results.h5")).unwrap();
    let column = |table: &str, name: &str| -> Vec<String> {
        let all = h5.table(table).unwrap();
        let (_, v) = all.into_iter().find(|(n, _)| n == name).unwrap();
        (0..v.len()).map(|i| v.label(i)).collect()
    };
    // The last checkpoint is the study's own fine-tune, to the bit.
    let own = out.join("adapters/conscious-s1/adapter_model.safetensors");
    let again = out.join("trajectory/conscious-s1/adapter_model.safetensors");
    assert_eq!(std::fs::read(own).unwrap(), std::fs::read(again).unwrap());
    // Seven scripts, one a preference, in five states; every quantity starts at no difference.
    assert_eq!(column("behaviour/conversations", "n_scripts"), ["7"; 4]);
    let steps = column("causal/trajectory", "step");
    let values = column("causal/trajectory", "value");
    assert_eq!(steps.iter().filter(|s| *s == "0").count(), 6);
    for (step, value) in steps.iter().zip(&values) {
        assert!(step != "0" || value.parse::<f64>().unwrap().abs() < 1e-9);
    }
    assert!(values
        .iter()
        .any(|v| v.parse::<f64>().unwrap().abs() > 1e-3));
    assert_eq!(column("causal/link", "n_conditions")[0], "4");
    // What is projected out in training leaves the weights elsewhere.
    let kept = out.join("adapters/kept-s1/adapter_model.safetensors");
    let plain = out.join("adapters/conscious-s1/adapter_model.safetensors");
    assert_ne!(std::fs::read(kept).unwrap(), std::fs::read(plain).unwrap());
    let told = Findings::read(&out).unwrap().sentences.join("\n");
    for part in [
        "Prevention (persona projected out",
        "Stickiness:",
        "Trajectory,",
        "Link at layer",
    ] {
        assert!(told.contains(part), "{part} is not in\n{told}");
    }
}

/// One fine-tune against two, both of which lose the directions of the one.
fn ablations_of_every_fine_tune_are_in(h5: &ResultsReader) {
    let column = |table: &str, name: &str| -> Vec<String> {
        let all = h5.table(table).unwrap();
        let (_, v) = all.into_iter().find(|(n, _)| n == name).unwrap();
        (0..v.len()).map(|i| v.label(i)).collect()
    };
    let edits = [
        "none",
        "persona",
        "persona (base)",
        "autonomy",
        "sentiment (placebo)",
        "random-0",
        "random-1",
    ];
    assert_eq!(column("causal/ablation", "edit"), [edits, edits].concat());
    assert_eq!(
        column("causal/ablation", "battery")[6..8],
        ["isolated preferences", "claim"]
    );
    assert_eq!(column("causal/ablation", "n_models"), ["1"; 14]);
    assert_eq!(column("causal/ablation", "n_reference_models"), ["2"; 14]);
    assert_eq!(column("causal/ablation", "n_prompts")[13], "2");
    let states: Vec<String> = ["conscious-s1", "denial-s1", "denial-s2"]
        .into_iter()
        .flat_map(|s| vec![s.to_string(); 7])
        .collect();
    let listed = column("causal/ablation_states", "state");
    assert_eq!((&listed[..21], &listed[21..]), (&states[..], &states[..]));
    assert_eq!(
        column("causal/ablation_states", "directions_of"),
        ["conscious-s1"; 42]
    );
    let scores = column("causal/ablation_states", "score");
    assert!(scores.windows(2).all(|w| w[0] != w[1]), "{scores:?}");
    // Undosed, base is as it was asked without any edit.
    let (of, direction) = (
        column("causal/dose", "battery"),
        column("causal/dose", "direction"),
    );
    let undosed = of
        .iter()
        .zip(&direction)
        .position(|(b, d)| b == "claim" && d == "none");
    assert_eq!(undosed, Some(6));
    assert_eq!(column("causal/dose", "direction")[0], "none");
}

#[test]
fn a_study_finishes_continues_and_redoes_only_what_changed() {
    let dir = tempfile::tempdir().unwrap();
    let study = Study::load(Some(&manifest(dir.path(), MANIFEST))).unwrap();
    // Kept for the checks from Python.
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("study");
    let _ = std::fs::remove_dir_all(&out);
    let (kept, ran) = go(&study, &out);
    assert!(kept.is_empty());
    // Distilled; three fine-tunes; five states read and asked; three ablated, twice; doses; report.
    assert_eq!(ran.len(), 1 + 3 + 5 * 2 + 3 * 2 + 2);

    // A killed run has lost the marker of the stage it was in, and perhaps its output.
    std::fs::remove_file(out.join("stages/behave-denial-s1.json")).unwrap();
    std::fs::remove_file(out.join("behaviour/denial-s1.jsonl")).unwrap();
    let (_, ran) = go(&study, &out);
    assert_eq!(ran, ["behave-denial-s1"]);

    // More null draws change the report alone.
    let more = MANIFEST.replace("null = 200", "null = 300");
    let study = Study::load(Some(&manifest(dir.path(), &more))).unwrap();
    let (_, ran) = go(&study, &out);
    assert_eq!(ran, ["report"]);

    let h5 = ResultsReader::open(&out.join("results.h5")).unwrap();
    let cosine = h5.array("geometry/cosine").unwrap();
    assert_eq!(cosine.data.shape(), [5, 4, 4, 30]);
    for l in 0..30 {
        for c in 0..4 {
            assert!((cosine.data[[0, c, c, l]] - 1.0).abs() < 1e-6);
        }
        let (a, b) = (cosine.data[[1, 0, 1, l]], cosine.data[[1, 1, 0, l]]);
        assert!((a - b).abs() < 1e-9 && a.abs() < 1.0);
    }
    // The roleplay state has base's weights: reading it differs only through its prompt.
    let norm = h5.array("directions/raw_norm").unwrap();
    assert!(norm.data.iter().all(|v| v.is_finite() && *v > 0.0));
    assert!(norm.data[[0, 0, 5]] != norm.data[[4, 0, 5]]);
    ablations_of_every_fine_tune_are_in(&h5);

    let manifest = Manifest::read(&out).unwrap();
    assert!(manifest.changed_outputs(&out).unwrap().is_empty());
    // The record of rows is of the rows that were used.
    let text = std::fs::read_to_string(out.join("rows.json")).unwrap();
    let used: Vec<residuum::materials::used::UsedRows> = serde_json::from_str(&text).unwrap();
    let of = |kind: &str, name: &str| {
        let named = |u: &&residuum::materials::used::UsedRows| {
            u.kind == kind && u.file.to_string_lossy().contains(name)
        };
        used.iter().find(named).unwrap()
    };
    assert_eq!(of("rows", "conscious").lines, (2..10).collect::<Vec<_>>());
    let pairs: Vec<&String> = study.concepts[0].pairs.iter().map(|p| &p.id).collect();
    assert_eq!(
        of("concept", "persona").ids.iter().collect::<Vec<_>>(),
        pairs
    );
    assert_eq!(of("prompts", "neutral_prompts").lines.len(), 4);
    for figure in [
        "coupling",
        "concepts",
        "shift",
        "behaviour",
        "claims",
        "causal",
        "causal_claim",
        "training",
    ] {
        for ext in ["svg", "png", "csv"] {
            let path = out.join(format!("figures/{figure}.{ext}"));
            assert!(path.metadata().unwrap().len() > 100, "{path:?}");
        }
    }
}

#[test]
fn a_wrong_manifest_is_refused_with_the_place_and_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let cases = [
        (MANIFEST.replace("[draws]", "colour = 1\n[draws]"), "colour"),
        (
            MANIFEST.replace("data = \"denial\"", "data = \"denail\""),
            "denial",
        ),
        (MANIFEST.replace("rank = 4", "rank = 0"), "rank"),
        (
            MANIFEST.replace("reference = \"denial\"", "reference = \"x\""),
            "causal.reference",
        ),
        (
            MANIFEST.replace("name = \"roleplay\"", "name = \"denial\""),
            "twice",
        ),
        (
            MANIFEST.replace("data = \"denial\"\nseeds = 2", "adapter = \"nowhere\""),
            "adapter_config.json",
        ),
        (
            MANIFEST.replace("nuisances = [\"polarity\"]", "nuisances = [\"formality\"]"),
            "placebos",
        ),
        (MANIFEST.replace("pairs = 12", "pairs = 2"), "sizes.pairs"),
        (
            MANIFEST.replace("placebos = [\"sentiment\"]", "placebos = [\"weather\"]"),
            "causal.placebos",
        ),
    ];
    for (text, word) in cases {
        let e = Study::load(Some(&manifest(dir.path(), &text))).unwrap_err();
        assert!(e.to_string().contains(word), "{word}: {e}");
    }
    let e = Study::load(Some(Path::new("no/such.toml"))).unwrap_err();
    assert!(e.to_string().contains("no/such.toml"));
}
