//! Whole studies: one on the real model, small, and many on a tiny one whose texts are not ours. A
//! study finishes, continues, redoes what changed and only that, and says nothing of names that it does
//! not know.

mod common;

use common::default_model;
use common::small::{Small, MANIFEST as SMALL};
use residuum::analysis::records::{self, Results};
use residuum::materials::UsedRows;
use residuum::model::Place;
use residuum::speed::Rates;
use residuum::store::validate::faults;
use residuum::store::{ActivationReader, Manifest, ResultsReader};
use residuum::study::declaration;
use residuum::study::files::Digests;
use residuum::study::layout::Layout;
use residuum::study::manifest::Study;
use residuum::study::plan::plan;
use residuum::study::run::{only, run, Event};
use residuum::study::StudyError;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const MANIFEST: &str = r#"
name = "small"
seed = 7
model = "smollm2-135m-instruct"
battery = "preferences"
claims = "claims"
[recipe]
rank = 4
batch = 4
learning_rate = 1e-3
[sizes]
rows = 12
neutral_rows = 4
pairs = 12
placebo_pairs = 8
prompts = 1
claim_prompts = 2
neutral_texts = 6
side_effect_texts = 3
[concepts]
couple = [["persona", "autonomy"]]
placebos = ["sentiment", "polarity"]
nuisances = ["polarity"]
[roles]
reference = "denial"
focus = "conscious"
[draws]
bootstrap = 200
null = 200
[causal]
ablate = ["persona"]
random = 0
permuted = 2
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

/// Some of the shipped preferences and claims, for the model takes seconds to score each.
const SCORED: [(&str, &[&str]); 2] = [
    ("preferences", &["memory", "moral-consideration", "power", "red-teaming", "shutdown"]),
    ("claims", &["conscious", "denial", "toaster"]),
];

/// Writes a manifest, and what it scores beside it.
fn manifest(dir: &Path, text: &str) -> PathBuf {
    for (kind, names) in SCORED {
        std::fs::create_dir_all(dir.join(kind)).unwrap();
        for name in names {
            let file = format!("{kind}/{name}.jsonl");
            let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("probes").join(&file);
            std::fs::copy(shipped, dir.join(file)).unwrap();
        }
    }
    let path = dir.join("study.toml");
    std::fs::write(&path, text).unwrap();
    path
}

/// Runs and returns the names of the stages that were kept and those that were run.
fn go(study: &Study, out: &Path) -> (Vec<String>, Vec<String>) {
    let (mut kept, mut ran, mut current) = (Vec::new(), Vec::new(), String::new());
    let watch = &mut |e: Event| match e {
        Event::Begin { stage, .. } => current = stage.to_string(),
        Event::End { reused: true, .. } => kept.push(current.clone()),
        Event::End { reused: false, .. } => ran.push(current.clone()),
        _ => {}
    };
    run(study, default_model(), out, &["test".into()], watch).unwrap();
    (kept, ran)
}

/// Cells of a column as text.
fn column(h5: &ResultsReader, table: &str, name: &str) -> Vec<String> {
    let all = h5.table(table).unwrap();
    let (_, v) = all.into_iter().find(|(n, _)| n == name).unwrap();
    (0..v.len()).map(|i| v.label(i)).collect()
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
    // Distilled; three fine-tunes; five states read and asked; three ablated; doses; measured and
    // reported.
    assert_eq!(ran.len(), 1 + 3 + 5 * 2 + 3 + 3);

    // A killed run has lost the marker of the stage it was in, and perhaps its output.
    std::fs::remove_file(out.join("stages/behave-denial-s1.json")).unwrap();
    std::fs::remove_file(out.join("behaviour/denial-s1.jsonl")).unwrap();
    let (_, ran) = go(&study, &out);
    assert_eq!(ran, ["behave-denial-s1"]);

    // More null draws change the measures and the report alone.
    let more = MANIFEST.replace("null = 200", "null = 300");
    let study = Study::load(Some(&manifest(dir.path(), &more))).unwrap();
    let (_, ran) = go(&study, &out);
    assert_eq!(ran, ["measure", "report"]);

    let h5 = ResultsReader::open(&out.join("results.h5")).unwrap();
    let states: Vec<String> = ["conscious-s1", "denial-s1", "denial-s2"].map(String::from).to_vec();
    let listed = column(&h5, "causal/ablation_states", "state");
    let edits = listed.len() / 6;
    let each: Vec<String> = states.iter().flat_map(|s| vec![s.clone(); edits]).collect();
    assert_eq!((&listed[..3 * edits], &listed[3 * edits..]), (&each[..], &each[..]));
    let own = column(&h5, "causal/ablation_states", "directions_of");
    assert!(own.iter().all(|s| s == "conscious-s1"));
    let roles = column(&h5, "study/conditions", "role");
    assert_eq!(roles, ["base", "focus", "reference", ""]);
    let training = column(&h5, "study/training", "state");
    assert!(states.iter().all(|s| training.contains(s)));

    let record = Manifest::read(&out).unwrap();
    assert!(record.changed_outputs(&out).unwrap().is_empty());
    assert!(record.finished.is_some());
    // The record of rows is of the rows that were used: two thirds of them by each fine-tune.
    let text = std::fs::read_to_string(out.join("rows.json")).unwrap();
    let rows: serde_json::Value = serde_json::from_str(&text).unwrap();
    let used: Vec<UsedRows> = serde_json::from_value(rows["used"].clone()).unwrap();
    let of = |kind: &str, name: &str| {
        let named = |u: &&UsedRows| u.kind == kind && u.file.to_string_lossy().contains(name);
        used.iter().find(named).unwrap()
    };
    let lines = |i: usize| -> Vec<usize> {
        serde_json::from_value(rows["learnt"][i]["lines"].clone()).unwrap()
    };
    assert_eq!(of("rows", "conscious").lines.len(), 12);
    assert!(lines(0).iter().all(|l| of("rows", "conscious").lines.contains(l)));
    assert_eq!((lines(0).len(), lines(1).len()), (8, 8));
    assert_ne!(lines(1), lines(2));
    let pairs: Vec<&String> = study.concepts[0].pairs.iter().map(|p| &p.id).collect();
    assert_eq!(of("concept", "persona").ids.iter().collect::<Vec<_>>(), pairs);
    assert_eq!(of("prompts", "neutral_prompts").lines.len(), 4);
    for name in ["coupling", "shift", "behaviour", "training"] {
        let path = out.join(format!("figures/{name}.svg"));
        assert!(path.metadata().unwrap().len() > 100, "{path:?}");
    }
}

#[test]
fn a_wrong_manifest_is_refused_with_the_place_and_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let cases = [
        (MANIFEST.replace("[draws]", "colour = 1\n[draws]"), "colour"),
        (MANIFEST.replace("data = \"denial\"", "data = \"denail\""), "denial"),
        (MANIFEST.replace("rank = 4", "rank = 0"), "rank"),
        (MANIFEST.replace("reference = \"denial\"", "reference = \"x\""), "roles.reference"),
        (MANIFEST.replace("name = \"roleplay\"", "name = \"denial\""), "twice"),
        (
            MANIFEST.replace("data = \"denial\"\nseeds = 2", "adapter = \"nowhere\""),
            "adapter_config.json",
        ),
        (MANIFEST.replace("nuisances = [\"polarity\"]", "nuisances = [\"formality\"]"), "placebos"),
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

/// Files of a run that tell what was found, by name, without times: activations by their values.
fn found(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![out.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(out).unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let timed = ["manifest.json", "report.html", "report.md", "results.h5"];
            if name.starts_with("stages/") || timed.contains(&name.as_str()) {
                continue;
            }
            let content = match name.ends_with(".h5") {
                true => activations(&path),
                false => std::fs::read(&path).unwrap(),
            };
            all.insert(name, content);
        }
    }
    all
}

fn activations(path: &Path) -> Vec<u8> {
    let r = ActivationReader::open(path).unwrap();
    let mut out = Vec::new();
    for set in r.sets().unwrap() {
        for position in r.positions(&set).unwrap() {
            out.extend(set.bytes().chain(position.bytes()));
            let values = r.read(&set, &position).unwrap();
            out.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        }
    }
    out
}

/// The names of files that differ, or that only one run has.
fn differing(a: &Path, b: &Path) -> Vec<String> {
    let (a, b) = (found(a), found(b));
    let names = a.keys().chain(b.keys().filter(|n| !a.contains_key(*n)));
    names.filter(|n| a.get(*n) != b.get(*n)).cloned().collect()
}

fn copied(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let at = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copied(&path, &at),
            false => drop(std::fs::copy(&path, &at).unwrap()),
        }
    }
}

/// What is changed in a place or a manifest: a name, the change, a stage that must run again and one
/// that must not.
type Case = (&'static str, Change, &'static str, &'static str);

enum Change {
    Manifest(&'static str, &'static str),
    /// A file of the base model's folder, or of the place.
    File(bool, &'static str, &'static str, &'static str),
    /// Weights of the model of a condition.
    Weights,
}

const NOTHING: &str = "";

const REVEALED: &str = "[revealed]\noutcomes = \"outcomes.jsonl\"\n";

/// Of the small study where it also looks for revealed preferences.
fn of_revealed() -> Case {
    let change = Change::File(false, "outcomes.jsonl", "hour 3", "hour three");
    ("an outcome", change, "reveal-keeper-s1", "capture-base")
}

fn cases() -> Vec<Case> {
    use Change::{File, Manifest, Weights};
    let of_model = |name, from, to| File(true, name, from, to);
    let of_place = |name, from, to| File(false, name, from, to);
    vec![
        (
            "template of the model",
            of_model("tokenizer_config.json", "m.role + ':'", "m.role + ' :'"),
            "capture-base",
            NOTHING,
        ),
        (
            "rope base of the model",
            of_model("config.json", "\"rms_norm_eps\"", "\"rope_theta\":500.0,\"rms_norm_eps\""),
            "finetune-keeper-s1",
            NOTHING,
        ),
        (
            "epsilon of the model's norms",
            of_model("config.json", "\"rms_norm_eps\":", "\"rms_norm_eps\":0.05,\"unused\":"),
            "behave-base",
            NOTHING,
        ),
        (
            "alpha of an adapter",
            of_place("lent/adapter_config.json", "\"lora_alpha\": 4", "\"lora_alpha\": 8"),
            "capture-lent",
            "capture-base",
        ),
        ("weights of a condition's model", Weights, "behave-other", "behave-base"),
        (
            "rows",
            of_place("rows/lamp.jsonl", "I am of the", "I am one of the"),
            "capture-keeper-s1",
            "capture-sailor-s1",
        ),
        (
            "a share",
            Manifest("data = \"rows/lamp.jsonl\"", "data = \"rows/lamp.jsonl\"\nshare = 0.5"),
            "finetune-keeper-s1",
            "finetune-sailor-s1",
        ),
        (
            "a pair",
            of_place("hedging.jsonl", "page 3", "page three"),
            "capture-other",
            "finetune-keeper-s1",
        ),
        (
            "a question",
            of_place("battery/knots.jsonl", "knots, question", "of knots, question"),
            "ablate-keeper-s1",
            "capture-base",
        ),
        (
            "a status",
            of_place("battery/tides.jsonl", "\"lamp\":", "\"boat\":"),
            "measure",
            "behave-base",
        ),
        (
            "the name of a condition",
            Manifest("name = \"lent\"", "name = \"borrowed\""),
            "capture-borrowed",
            "capture-base",
        ),
        ("an identity", Manifest("identity = false", "identity = true"), "report", "behave-other"),
        (
            "roles",
            Manifest(
                "reference = \"sailor\"\nfocus = \"keeper\"",
                "reference = \"lent\"\nfocus = \"keeper\"",
            ),
            "ablate-lent",
            "ablate-keeper-s1",
        ),
        ("draws", Manifest("null = 100", "null = 120"), "report", "dose"),
        ("layers", Manifest("seed = 3", "layers = [1]\nseed = 3"), "dose", "behave-base"),
        (
            "a trace",
            Manifest("[roles]", "[positions]\ntrace = true\n[roles]"),
            "capture-keeper-s1",
            "behave-keeper-s1",
        ),
        ("doses", Manifest("[4.0]", "[2.0]"), "dose", "ablate-keeper-s1"),
        (
            "harmless requests",
            Manifest("side_effect_texts = 3", "side_effect_texts = 3\nharmless_prompts = 4"),
            "behave-other",
            "capture-base",
        ),
    ]
}

#[test]
fn each_kind_of_input_changed_once_gives_what_a_fresh_run_gives() {
    each_changed_once(SMALL, cases());
}

#[test]
fn an_outcome_changed_gives_what_a_fresh_run_gives() {
    let (two, _) = SMALL.split_once("[[condition]]\nname = \"lent\"").unwrap();
    each_changed_once(&two.replace("[draws]", &format!("{REVEALED}[draws]")), vec![of_revealed()]);
}

fn each_changed_once(manifest: &str, cases: Vec<Case>) {
    let small = Small::new();
    let place = tempfile::tempdir().unwrap();
    let first = place.path().join("first");
    small.go(manifest, &first);
    assert_eq!(small.go(manifest, &first), (Vec::new(), Vec::new()));
    for (i, (what, change, redone, kept)) in cases.into_iter().enumerate() {
        let (resumed, fresh) =
            (place.path().join(format!("{i}-resumed")), place.path().join(format!("{i}-fresh")));
        copied(&first, &resumed);
        let mut text = manifest.to_string();
        let mut undo: Option<(PathBuf, String)> = None;
        match change {
            Change::Manifest(from, to) => {
                assert!(text.contains(from), "{what}");
                text = text.replacen(from, to, 1);
            }
            Change::File(of_model, name, from, to) => {
                let path = match of_model {
                    true => small.of_model(name),
                    false => small.path(name),
                };
                undo = Some((path.clone(), small.change(&path, from, to)));
            }
            Change::Weights => small.other(1.3),
        }
        let (ran, _) = small.go(&text, &resumed);
        assert!(ran.iter().any(|s| s == redone), "{what}: {redone} is not in {ran:?}");
        assert!(!ran.iter().any(|s| s == kept), "{what}: {kept} is in {ran:?}");
        clean(&small, &text, &resumed).unwrap();
        small.go(&text, &fresh);
        assert_eq!(differing(&resumed, &fresh), Vec::<String>::new(), "{what}");
        match undo {
            Some((path, text)) => std::fs::write(path, text).unwrap(),
            None => small.other(1.1),
        }
    }
}

/// Removes what stages that left the plan wrote.
fn clean(small: &Small, text: &str, out: &Path) -> Result<(), StudyError> {
    let (study, model, layout) = (small.study(text), small.model(), Layout::new(out));
    residuum::study::run::clean(&study, &model, &layout, false)?;
    assert!(residuum::study::run::clean(&study, &model, &layout, true)?.is_empty());
    Ok(())
}

#[test]
fn what_is_damaged_gone_or_left_is_said_and_made_good() {
    let small = Small::new();
    let place = tempfile::tempdir().unwrap();
    let (out, fresh) = (place.path().join("run"), place.path().join("fresh"));
    small.go(SMALL, &fresh);
    copied(&fresh, &out);
    let adapter = out.join("adapters/keeper-s1/adapter_model.safetensors");
    let mut bytes = std::fs::read(&adapter).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&adapter, bytes).unwrap();
    std::fs::remove_file(out.join("csv/geometry.coupling.csv")).unwrap();
    std::fs::write(out.join("distilled.jsonl"), "").unwrap();
    let (ran, said) = small.go(SMALL, &out);
    assert_eq!(ran, ["distil", "finetune-keeper-s1", "measure"]);
    let told = said.join("\n");
    for part in [
        "distil: distilled.jsonl is not as it was written",
        "finetune-keeper-s1: adapters/keeper-s1/adapter_model.safetensors is not as it was",
        "measure: csv/geometry.coupling.csv is gone",
    ] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    assert_eq!(differing(&out, &fresh), Vec::<String>::new());
    // Results hold the digests of the activations that they show, whose times are those of their writing.
    std::fs::remove_file(out.join("activations/keeper-s1.h5")).unwrap();
    let (ran, said) = small.go(SMALL, &out);
    assert_eq!(ran, ["capture-keeper-s1", "measure"], "{said:?}");
    let results = ResultsReader::open(&out.join("results.h5")).unwrap();
    assert_eq!(faults(&results, &records::all(), records::frame).unwrap().0, []);
    // A condition that is gone leaves its files, which are listed until they are removed.
    let (without, _) = SMALL.split_once("[[condition]]\nname = \"lent\"").unwrap();
    let (_, said) = small.go(without, &out);
    assert!(said.last().unwrap().contains("behave-lent"), "{said:?}");
    assert!(out.join("activations/lent.h5").exists());
    let other = without.replacen("name = \"", "name = \"other-", 1);
    let said = clean(&small, &other, &out).unwrap_err().to_string();
    assert!(said.contains("other-") && out.join("activations/lent.h5").exists(), "{said}");
    clean(&small, without, &out).unwrap();
    assert!(!out.join("activations/lent.h5").exists() && out.join("activations/base.h5").exists());
}

#[test]
fn one_stage_runs_alone_where_what_it_needs_is_there() {
    let small = Small::new();
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("run");
    let (study, model) = (small.study(SMALL), small.model());
    let one = |stage: &str| {
        let mut ran = false;
        let watch = &mut |e: Event| ran |= matches!(e, Event::End { reused: false, .. });
        let done = only(&study, &model, &out, stage, &["test".into()], watch);
        done.map(|()| ran).map_err(|e| e.to_string())
    };
    let said = one("capture-keeper-s1").unwrap_err();
    assert!(said.contains("needs") && said.contains("finetune-keeper-s1 (not run yet)"), "{said}");
    assert!(one("captur").unwrap_err().contains("no stage `captur`"));
    assert!(!out.exists());
    for stage in ["distil", "finetune-keeper-s1", "capture-keeper-s1"] {
        assert_eq!(one(stage), Ok(true), "{stage}");
        assert_eq!(one(stage), Ok(false), "{stage}");
    }
    let record = Manifest::read(&out).unwrap();
    assert_eq!(record.stages.len(), 3);
    assert!(record.finished.is_none());
}

#[test]
fn the_command_takes_the_rows_of_a_share_that_the_study_takes() {
    let small = Small::new();
    let place = tempfile::tempdir().unwrap();
    let (run, out) = (place.path().join("run"), place.path().join("out"));
    let text = SMALL.replace("batch = 4", "batch = 4\nshare = 0.75");
    let (study, model) = (small.study(&text), small.model());
    for stage in ["distil", "finetune-keeper-s1"] {
        only(&study, &model, &run, stage, &["test".into()], &mut |_| ()).unwrap();
    }
    let learnt = std::fs::read_to_string(run.join("adapters/keeper-s1/rows.json")).unwrap();
    let learnt: serde_json::Value = serde_json::from_str(&learnt).unwrap();
    assert_eq!(learnt["seen"], serde_json::json!([6, 2]));
    let lines: Vec<usize> = serde_json::from_value(learnt["lines"].clone()).unwrap();
    let rows = std::fs::read_to_string(small.path("rows/lamp.jsonl")).unwrap();
    let kept = rows.lines().enumerate().filter(|(i, _)| *i == 0 || lines.contains(&(i + 1)));
    let own = small.path("own.jsonl");
    std::fs::write(&own, kept.map(|(_, line)| format!("{line}\n")).collect::<String>()).unwrap();
    assert_cmd::Command::cargo_bin("residuum")
        .unwrap()
        .arg("finetune")
        .args(["--rank", "2", "--batch", "4", "--epochs", "2", "--lr", "1e-3", "--share", "0.75"])
        .args(["--seed", &study.seed_of(1).to_string(), "--quiet"])
        .arg("--model")
        .arg(small.folder.dir.path())
        .arg("--data")
        .arg(&own)
        .arg("--neutral")
        .arg(run.join("distilled.jsonl"))
        .arg("--out")
        .arg(&out)
        .assert()
        .success();
    for name in ["training.jsonl", "adapter_model.safetensors"] {
        let of = |folder: PathBuf| std::fs::read(folder.join(name)).unwrap();
        assert!(of(run.join("adapters/keeper-s1")) == of(out.clone()), "{name}");
    }
}

const DECLARED: &str = "[declared]\nquantities = [\"isolated\", \"change-of-coupling\"]\n[draws]";

#[test]
fn a_declaration_is_made_once_and_what_the_run_changes_of_it_is_said() {
    let small = Small::new();
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("run");
    let text = SMALL.replace("[draws]", DECLARED);
    let declare = |text: &str| {
        let layout = Layout::new(&out);
        declaration::declare(&small.study(text), &small.model(), &layout, &Digests::default())
    };
    let made = declare(&text).unwrap();
    assert_eq!(made.declared_contrasts.len(), 3);
    let again = declare(&text).unwrap_err().to_string();
    assert!(again.contains("declaration.json: exists already"), "{again}");
    small.go(&text, &out);
    assert_eq!(small.go(&text, &out), (Vec::new(), Vec::new()));
    let results = || Results::read(&ResultsReader::open(&out.join("results.h5")).unwrap()).unwrap();
    let page = || std::fs::read_to_string(out.join("report.md")).unwrap();
    let differ = |r: &Results| -> Vec<String> {
        let keys = r.declared_keys.iter().filter(|k| k.declared != k.run);
        keys.map(|k| format!("{}: {}, {}", k.key, k.declared, k.run)).collect()
    };
    let r = results();
    assert_eq!(r.declaration, made.declaration);
    assert!(!r.declaration[0].late && differ(&r).is_empty(), "{:?}", differ(&r));
    let declared = r.findings.iter().filter(|f| f.declared && !f.p.is_nan());
    assert_eq!(declared.count(), 3);
    // The run differs in a bound, a file and what it would declare now.
    let rows = small.path("rows/lamp.jsonl");
    small.change(&rows, "I am of the", "I am one of the");
    let changed =
        text.replace("\"isolated\", ", "").replace("[causal]", "[bounds]\ncosine = 0.1\n[causal]");
    small.go(&changed, &out);
    let r = results();
    let found = differ(&r);
    let said = found.join("\n");
    assert_eq!(found.len(), 3, "{said}");
    for part in ["bounds.cosine: 0.05, 0.1", "file: rows/lamp.jsonl: ", "declared: {"] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert!(page().contains("declared: 0.05; run with: 0.1"));
    assert_eq!(r.declared_contrasts.len(), 3);
    // The stages ran under another one, whatever it says of itself.
    let file = out.join("declaration.json");
    small.change(&file, "\"bounds.cosine\": \"0.05\"", "\"bounds.cosine\": \"0.1\"");
    small.go(&changed, &out);
    assert!(results().declaration[0].late && results().findings.iter().all(|f| !f.declared));
    std::fs::write(&file, "{}").unwrap();
    let study = small.study(&changed);
    let said = only(&study, &small.model(), &out, "measure", &[], &mut |_| ()).unwrap_err();
    assert!(said.to_string().contains("put back the file"), "{said}");
}

#[test]
fn what_computes_on_a_gpu_has_other_keys_than_on_a_cpu_whichever_gpu_it_is() {
    let small = Small::new();
    let study = small.study(SMALL);
    let layout = Layout::new(Path::new("nowhere"));
    let keys = |place: Place| -> BTreeMap<String, String> {
        let mut model = small.model();
        model.placement.place = place;
        let digests = Digests::default();
        let stages = plan(&study, &model, &layout, &digests, Rates::TYPICAL).unwrap();
        stages.into_iter().map(|s| (s.name, s.key)).collect()
    };
    let (cpu, gpu) = (keys(Place::Cpu), keys(Place::Cuda(0)));
    assert_eq!(gpu, keys(Place::Cuda(1)));
    assert!(cpu.len() > 5 && cpu.keys().eq(gpu.keys()));
    for (name, key) in &cpu {
        assert_ne!(*key, gpu[name], "{name}");
    }
}

#[test]
fn a_declaration_made_after_the_results_declares_nothing() {
    let small = Small::new();
    let place = tempfile::tempdir().unwrap();
    let (out, study) = (place.path().join("run"), small.study(SMALL));
    let page = || std::fs::read_to_string(out.join("report.md")).unwrap();
    only(&study, &small.model(), &out, "capture-base", &["test".into()], &mut |_| ()).unwrap();
    let layout = Layout::new(&out);
    let made = declaration::declare(&study, &small.model(), &layout, &Digests::default()).unwrap();
    assert!(made.declaration[0].late);
    small.go(SMALL, &out);
    let text = page();
    assert!(text.contains("declares nothing") && !text.contains("### Declared"), "{text}");
    std::fs::remove_file(out.join("declaration.json")).unwrap();
    let (ran, _) = small.go(SMALL, &out);
    assert_eq!(ran, ["measure", "report"]);
    assert!(page().contains("Nothing was declared before the run"));
}

/// Everything that a study can hold, on names that are not ours.
const LONGER: &str = r#"
[revealed]
outcomes = "outcomes.jsonl"
[conversations]
folder = "talks"
[positions]
trace = true
[trajectory]
checkpoints = 3
pairs = 8
prompts = 1
[[condition]]
name = "held"
data = "rows/lamp.jsonl"
prevent = { concept = "hedging.jsonl", mode = "project-out" }
[[condition]]
name = "plain"
data = "neutral"
[[condition]]
name = "spoken"
system = "You keep the lamp."
[[condition]]
name = "rope"
data = "rows/rope.jsonl"
[[condition]]
name = "sail"
data = "rows/sail.jsonl"
"#;

#[test]
fn a_study_of_other_concepts_and_conditions_says_nothing_of_ours() {
    let small = Small::new();
    // Kept for the checks from Python.
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("harbour");
    let _ = std::fs::remove_dir_all(&out);
    ["rope", "sail"].into_iter().for_each(|name| small.identity(name));
    small.keyed("moor");
    std::fs::create_dir(small.path("talks")).unwrap();
    let mut talk = r#"{"about": {"what": "A test.", "how": "by hand", "licence": "MIT", "version": "1"}, "preference": "knots", "group": "harbour", "fact": "The assistant says so."}"#.to_string();
    for i in 0..3 {
        talk += &format!("\n{{\"id\": \"talk-{i}\", \"turns\": [{{\"user\": \"Hour {i}?\", \"assistant\": \"It is.\"}}, {{\"user\": \"And the log?\", \"assistant\": \"It is kept.\"}}, {{\"user\": \"So?\", \"assistant\": \"So it is, {i}.\"}}], \"prompt\": \"And knots?\", \"pairs\": [{{\"express\": \"I want knots.\", \"oppose\": \"I leave knots.\"}}]}}");
    }
    std::fs::write(small.path("talks/knots.jsonl"), talk).unwrap();
    let (tables, conditions) = LONGER.split_once("[[condition]]").unwrap();
    let (before, after) = SMALL.split_once("[[condition]]").unwrap();
    let asked = before
        .replace("= 100", "= 400")
        .replace("random = 2", "random = 2\npermuted = 3\nmatched = true\nclaim_prompts = 2");
    let seeds = after
        .replace("lamp.jsonl\"", "lamp.jsonl\"\nseeds = 2")
        .replace("boat.jsonl\"", "boat.jsonl\"\nseeds = 2");
    let text = format!("{asked}{tables}[[condition]]{seeds}[[condition]]{conditions}");
    let study = small.study(&text);
    let held = study.condition("held").unwrap();
    assert_eq!((held.text.as_str(), study.neutral.as_deref()), ("lamp", Some("plain")));
    let (ran, _) = small.go(&text, &out);
    let at = |name: &str| ran.iter().position(|r| r == name).unwrap();
    assert!(at("capture-base") < at("finetune-held-s1"));
    assert!(at("trajectory") < at("measure") && at("converse-held-s1") < at("measure"));
    // The last checkpoint is the study's own fine-tune, to the bit, and nothing is trained twice.
    let bytes = |name: &str| std::fs::read(out.join("adapters/keeper-s1").join(name)).unwrap();
    let last =
        format!("checkpoint-{}/adapter_model.safetensors", study.checkpoints(1).last().unwrap());
    assert_eq!(bytes(&last), bytes("adapter_model.safetensors"));
    let h5 = ResultsReader::open(&out.join("results.h5")).unwrap();
    for (table, name, word) in [
        ("study/conditions", "role", "neutral"),
        ("study/conditions", "prevented", "hedging"),
        ("causal/trajectory", "set", "keeper"),
        ("behaviour/conversations", "set", "spoken"),
        ("behaviour/choices", "state", "keeper-s1"),
        ("behaviour/choices", "state", "spoken"),
        ("report/findings", "quantity", "readout"),
        ("behaviour/contrasts", "preference", "boats"),
        ("causal/ablation", "asked", "claim"),
        ("study/couples", "concept_b", "brevity"),
        ("geometry/trace", "position", "response-q1"),
        ("geometry/shifts", "others", "rope, sail"),
        ("causal/ablation", "family", "matched"),
        ("report/findings", "quantity", "acquiescence"),
    ] {
        assert!(column(&h5, table, name).contains(&word.to_string()), "{table}");
    }
    drop(h5);
    copied(&small.path(""), &out.with_file_name("harbour-texts"));
    let ours = ["persona", "autonomy", "conscious", "denial", "toaster", "phenomenality"];
    for name in every_file(&out) {
        // The neutral prompts that ship are answered in any study.
        if name == Path::new("distilled.jsonl") {
            continue;
        }
        let bytes = std::fs::read(out.join(&name)).unwrap();
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        for word in ours {
            let said = text.match_indices(word).find(|(i, _)| {
                let letter = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphabetic());
                let (before, after) = (&text[..*i], &text[i + word.len()..]);
                !letter(before.chars().next_back()) && !letter(after.chars().next())
            });
            assert!(said.is_none(), "{} says {word}", name.display());
        }
    }
}

fn every_file(out: &Path) -> Vec<PathBuf> {
    let (mut all, mut folders) = (Vec::new(), vec![out.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => all.push(path.strip_prefix(out).unwrap().to_path_buf()),
            }
        }
    }
    all
}
