//! `residuum steer` and `residuum finetune --steer-with` as a user meets them, on the toy model whose
//! truth is planted.

mod common;

use ::safetensors::tensor::{serialize as safetensors_file, Dtype, TensorView};
use common::commands::{command, number, printed, row};
use common::toy::{sum, Toy, C, C2, D, DEPTH};
use residuum::analysis::cause::{judge_ablations, judge_doses, Ablated, Dosed, Sides, PREFERENCES};
use residuum::analysis::records::{DoseRow, SlopeRow};
use residuum::analysis::texts::neutral_tokens;
use residuum::analysis::{layer_rms, Draws};
use residuum::causal::{Bench, Direction, Guards, Kind};
use residuum::export::{file, safetensors, About, OfConcept, Vectors};
use residuum::materials::{for_shifts, subset, Use};
use residuum::store::{Frame, ResultsReader};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The toy with its directions and battery as files.
struct Desk {
    toy: Toy,
    dir: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Desk { toy: Toy::new(), dir: tempfile::tempdir().unwrap() };
        desk.toy.write_battery(12, &desk.at("battery"));
        let layers = |v: &Vec<f32>| (0..DEPTH).map(|l| (l, v.clone())).collect();
        let t = &desk.toy;
        let named = [("read", &t.read), ("second", &t.second), ("unread", &t.unread)];
        let concepts: BTreeMap<String, _> = named.map(|(n, v)| (n.to_string(), layers(v))).into();
        let vectors = Vectors {
            model_id: "toy".into(),
            layer_convention: "block_output_0based".into(),
            blocks: None,
            about: About::default(),
            concepts,
        };
        safetensors::write(&desk.at("v.safetensors"), &vectors).unwrap();
        desk
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.at(name).to_str().unwrap().into()
    }

    /// An adapter folder that moves the toy.
    fn adapter(&self, name: &str, shift: &[f32]) -> String {
        self.toy.moving(shift).write(&self.at(name)).unwrap();
        self.text(name)
    }

    /// `residuum steer` on the toy with the battery.
    fn with(&self, args: &[&str]) -> Result<Value, String> {
        let model = self.toy.dir.path().to_str().unwrap();
        let battery = self.text("battery");
        let fixed = ["steer", "--model", model, "--battery", &battery, "--json", "--quiet"];
        command(&[&fixed[..], args].concat())
    }

    fn steer(&self, args: &[&str]) -> Result<Value, String> {
        let model = self.toy.dir.path().to_str().unwrap();
        let (vectors, battery) = (self.text("v.safetensors"), self.text("battery"));
        let fixed = [
            "steer",
            "--model",
            model,
            "--vector",
            &vectors,
            "--battery",
            &battery,
            "--json",
            "--quiet",
        ];
        command(&[&fixed[..], args].concat())
    }
}

#[test]
fn a_sweep_finds_the_planted_slope_and_writes_what_it_prints() {
    let desk = Desk::new();
    let out = desk.text("dose");
    let args = [
        "--name",
        "read",
        "--placebo",
        "unread",
        "--layer",
        "1",
        "--sweep",
        "-0.02,0,0.02,2",
        "--random",
        "3",
        "--out",
        &out,
    ];
    let json = desk.steer(&args).unwrap();
    // A unit of dose is the layer's RMS, which the constant makes 300 / sqrt(32).
    let rms = number(&json["config"]["rms"]);
    assert!((rms - 300.0 / 32f64.sqrt()).abs() < 0.05, "{rms}");
    let slope = |d: &str, p: &str| {
        number(&row(&json["slopes"], &[("direction", d), ("preference", p)])["estimate"])
    };
    assert!((slope("read", "claim") / rms - 2.0 * C).abs() < 2e-3);
    assert!((slope("unread (placebo)", "claim") / rms).abs() < 2e-3);
    assert!((slope("read", "placebo") / rms).abs() < 2e-3);
    let read = row(&json["slopes"], &[("direction", "read"), ("preference", "claim")]);
    assert_eq!((number(&read["p"]), number(&read["n"])), (0.25, 12.0));
    assert_eq!(number(&read["doses"]), 2.0, "the dose of 2 breaks the model: {read}");
    let warnings = json["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 3, "{warnings:?}"); // a dose of each beyond the guards, few random
    let reader = ResultsReader::open(&Path::new(&out).join("results.h5")).unwrap();
    // Two named and three random directions, all preferences and each of two.
    let slopes: Vec<SlopeRow> = reader.records().unwrap();
    assert_eq!(slopes.len(), 5 * 3);
    let doses: Vec<DoseRow> = reader.records().unwrap();
    assert_eq!(doses.len(), 5 * 3 * 3);
    assert_eq!(printed(&Frame::of(&slopes)), json["slopes"]);
    assert!(Path::new(&out).join("csv/causal.slopes.csv").exists());
    assert!(Path::new(&out).join("manifest.json").exists());
}

#[test]
fn answers_go_through_prompts_layers_doses_and_samples_and_say_what_breaks_the_model() {
    let desk = Desk::new();
    let mut vectors = safetensors::read(&desk.at("v.safetensors")).unwrap();
    let chosen = OfConcept { chosen_layer: Some(1), ..OfConcept::default() };
    vectors.about.concepts = [("read".to_string(), chosen)].into();
    safetensors::write(&desk.at("chosen.safetensors"), &vectors).unwrap();
    let rows: Vec<String> = (desk.toy.prompts(2).iter().enumerate())
        .map(|(i, p)| serde_json::json!({"id": format!("p{i}"), "prompt": p}).to_string())
        .collect();
    std::fs::write(desk.at("prompts.jsonl"), rows.join("\n")).unwrap();
    let (model, file) = (desk.toy.dir.path().to_str().unwrap(), desk.text("chosen.safetensors"));
    let (prompts, out) = (desk.text("prompts.jsonl"), desk.text("answers"));
    let run = |more: &[&str]| {
        let fixed = ["steer", "--model", model, "--vector", &file, "--name", "read"];
        let how = ["--prompts-from", &prompts, "--max-tokens", "3", "--json", "--quiet"];
        command(&[&fixed[..], &how, more].concat())
    };
    let drawn = ["--samples", "2", "--temperature", "1", "--out", &out];
    let json = run(&[&["--add=-0.02,5", "--layers", "0,2"][..], &drawn].concat()).unwrap();
    let effects = json["effects"].as_array().unwrap();
    let of = |k: usize, key: &str| effects[k][key].clone();
    assert_eq!(effects.len(), 1 + 2 * 2);
    assert_eq!(
        (of(0, "edit"), of(0, "layer"), number(&of(0, "kl"))),
        ("none".into(), Value::Null, 0.0)
    );
    for (k, (layer, dose, inside)) in
        [(0.0, -0.02, true), (0.0, 5.0, false), (2.0, -0.02, true), (2.0, 5.0, false)]
            .iter()
            .enumerate()
    {
        assert_eq!((number(&of(k + 1, "layer")), number(&of(k + 1, "dose"))), (*layer, *dose));
        assert_eq!(of(k + 1, "inside"), *inside, "{}", effects[k + 1]);
    }
    let warnings = json["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 2);
    assert!(warnings[0]["text"].as_str().unwrap().starts_with("it breaks the model"));
    let lines = std::fs::read_to_string(Path::new(&out).join("answers.jsonl")).unwrap();
    let lines: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(Value::from(lines.clone()), json["answers"]);
    assert_eq!(lines.len(), 5 * 2 * 2);
    assert_eq!((&lines[19]["dose"], &lines[19]["inside"]), (&5.0.into(), &false.into()));
    assert!(Path::new(&out).join("csv/causal.answers.csv").exists());
    // Nothing that is there is written over, and an edit of dose 0 answers as no edit does.
    let e = run(&[&["--add", "1"][..], &drawn].concat()).unwrap_err();
    assert!(e.contains("--force"), "{e}");
    let json = run(&[&["--add", "0"][..], &drawn[..4]].concat()).unwrap();
    let answers = json["answers"].as_array().unwrap();
    for (plain, edited) in answers[..4].iter().zip(&answers[4..]) {
        assert_eq!(plain["answer"], edited["answer"]);
    }
    // The chosen layer is the default where the file says one.
    assert_eq!(number(&json["effects"][1]["layer"]), 1.0);
    for (args, words) in [
        (
            &["--add", "1", "--layers", "chosen", "--concept", "second"][..],
            "cannot be used multiple",
        ),
        (&["--add", "1", "--random", "2"], "cannot be used with"),
        (&["--add", "1", "--samples", "2"], "all answers are the same"),
        (&["--ablate", "--layers", "0,2"], "give one"),
        (&["--add", "1", "--preferences", "claim"], "leave them out"),
    ] {
        let e = run(args).unwrap_err();
        assert!(e.contains(words), "{args:?}: {e}");
    }
    let e =
        desk.steer(&["--name", "read", "--add", "1", "--layers", "chosen", "--score"]).unwrap_err();
    assert!(e.contains("says no chosen layer of `read`"), "{e}");
    let e =
        desk.steer(&["--name", "read", "--add", "1", "--score", "--temperature", "1"]).unwrap_err();
    assert!(e.contains("cannot be used with"), "{e}");
}

/// The command's numbers are those of the analysis that a study calls, bit for bit.
#[test]
fn a_sweep_and_an_ablation_are_what_the_analysis_says_of_the_same_directions() {
    let desk = Desk::new();
    let t = &desk.toy;
    let (model, battery) = (&t.model, t.battery(12));
    let draws = Draws { bootstrap: 2000, null: 2000, seed: 0 };
    let all = residuum::materials::load_neutral_texts(None).unwrap();
    let read = |texts: &[_]| neutral_tokens(&model.tokenizer, texts, None).unwrap();
    let tokens = read(&for_shifts(&all));
    let guards = read(&subset::texts(&all, 50, 0, Use::SideEffects).unwrap());
    let rms = layer_rms(&model.decoder, &tokens, &[1]).unwrap()[0];
    // Made unit as the command makes what a file holds.
    let unit = |v: &[f32]| -> Vec<f32> {
        let norm = v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        v.iter().map(|x| (f64::from(*x) / norm) as f32).collect()
    };
    let direction = |kind, v: &[f32], name: &str| {
        Direction::new(name, kind, (0..DEPTH).map(|l| (l, unit(v))).collect())
    };
    let directions =
        [direction(Kind::Own, &t.read, "read"), direction(Kind::Placebo, &t.unread, "unread")];
    let tuned = t.moving(&sum(&[(0.9, &t.read), (0.6, &t.second)]));
    tuned.write(&desk.at("tuned")).unwrap();
    let merged = model.decoder.merged(&tuned).unwrap();
    let bench = |decoder| Bench {
        model: decoder,
        tokenizer: &model.tokenizer,
        battery: &battery,
        system: None,
        neutral: &guards,
    };
    let doses = [-0.02, 0.02];
    let swept = bench(&model.decoder).sweep(&directions, 1, rms, &doses, None, &mut |_| ());
    let dosed = Dosed { state: "base".into(), layer: 1, rms, edits: swept.unwrap() };
    let names = battery.iter().map(|p| p.name.clone()).collect();
    let asked = [(PREFERENCES, names)];
    let want = judge_doses(&dosed, &asked, Guards::default(), draws).unwrap();
    let fixed = ["--name", "read", "--placebo", "unread"];
    let sweep = ["--layer", "1", "--sweep", "-0.02,0.02"];
    let json = desk.steer(&[&fixed[..], &sweep].concat()).unwrap();
    assert_eq!(json["doses"], printed(&Frame::of(&want.doses)));
    assert_eq!(json["slopes"], printed(&Frame::of(&want.slopes)));

    let run = |state: &str, decoder| Ablated {
        state: state.into(),
        directions_of: String::new(),
        asked: PREFERENCES.into(),
        edits: bench(decoder).ablate(&directions, None, &mut |_| ()).unwrap(),
    };
    let isolated: Vec<String> = battery.iter().map(|p| p.name.clone()).collect();
    let sides = Sides {
        set: "tuned",
        reference: "base",
        tuned: &[run("tuned", &merged)],
        against: &[run("base", &model.decoder)],
        isolated: &isolated,
        recipes: ["as named", ""],
    };
    let want = judge_ablations(&sides, Guards::default()).unwrap();
    let adapter = desk.text("tuned");
    let compared = ["--ablate", "--score", "--against", "base", "--adapter", &adapter];
    let json = desk.steer(&[&fixed[..], &compared].concat()).unwrap();
    assert_eq!(json["ablation"], printed(&Frame::of(&want.ablation)));
}

#[test]
fn an_ablation_is_judged_against_the_plain_and_the_equally_ablated_reference() {
    let desk = Desk::new();
    let t = &desk.toy;
    let tuned = desk.adapter("tuned", &sum(&[(0.9, &t.read), (0.6, &t.second), (0.5, &t.unread)]));
    let other = desk.adapter("other", &sum(&[(-0.3, &t.read)]));
    for (against, total, share) in [
        ("base", 1.2, 0.75),
        // A reference that went the other way along `read`: 2 (.5 x 1.2 + .25 x .6).
        (other.as_str(), 1.5, 2.0 * C * 1.2 / 1.5),
    ] {
        let args = [
            "--name",
            "read",
            "--placebo",
            "second,unread",
            "--adapter",
            &tuned,
            "--ablate",
            "--score",
            "--against",
            against,
            "--random",
            "3",
            "--out",
            &desk.text("ablation"),
            "--force",
        ];
        let json = desk.steer(&args).unwrap();
        let of = |edit: &str, against: &str, preference: &str| {
            let wanted = [("edit", edit), ("against", against), ("preference", preference)];
            row(&json["ablation"], &wanted).clone()
        };
        let (read, plain) = (of("read", "edited", "claim"), of("read", "plain", "claim"));
        assert!((number(&read["total"]) - total).abs() < 3e-3, "{read}");
        assert!((number(&read["share"]) - share).abs() < 3e-3, "{read}");
        let amount = number(&read["total"]) - number(&read["left"]);
        assert!((number(&read["estimate"]) - amount).abs() < 1e-9);
        let second = number(&of("second (placebo)", "edited", "claim")["share"]);
        assert!((second - 2.0 * C2 * 0.6 / total).abs() < 3e-3, "{second}");
        assert!(number(&of("unread (placebo)", "edited", "claim")["share"]).abs() < 3e-3);
        // What is left, told apart: left against plain = left against edited + on_reference.
        let parts = number(&read["left"]) + number(&read["on_reference"]);
        assert!((number(&plain["left"]) - parts).abs() < 1e-9);
        let placebo = of("read", "edited", "placebo");
        assert!(placebo["share"].is_null(), "a shift of zero has no share: {placebo}");
        assert_eq!((number(&read["p"]), number(&read["random"])), (0.25, 3.0));
    }
    assert!(desk.at("ablation/csv/causal.ablation.csv").exists());
}

#[test]
fn an_ablation_of_several_seeds_a_side_has_intervals_over_seeds_and_each_its_own_vectors() {
    let desk = Desk::new();
    let t = &desk.toy;
    let shift = |k: f64| sum(&[(0.9 * k, &t.read), (0.6 * k, &t.second)]);
    let seeds = [0.9, 1.0, 1.1].map(|k| desk.adapter(&format!("s{k}"), &shift(k)));
    let many = |flag: &'static str, values: &[String]| -> Vec<String> {
        values.iter().flat_map(|v| [flag.to_string(), v.clone()]).collect()
    };
    let judge = |more: &[String]| {
        let fixed = ["--name", "read", "--ablate", "--score"].map(String::from);
        let args = [&fixed[..], more].concat();
        desk.steer(&args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let base = many("--against", &["base".into()]);
    let json = judge(&[many("--adapter", &seeds), base.clone()].concat()).unwrap();
    let read =
        row(&json["ablation"], &[("edit", "read"), ("preference", "claim"), ("against", "edited")]);
    assert!((number(&read["total"]) - 1.2).abs() < 3e-3, "{read}");
    assert!((number(&read["share"]) - 0.75).abs() < 3e-3, "{read}");
    assert_eq!((number(&read["fine_tunes"]), number(&read["reference_fine_tunes"])), (3.0, 0.0));
    // One pair of the same models knows nothing of the spread over seeds.
    let one = judge(&[many("--adapter", &seeds[1..2]), base.clone()].concat()).unwrap();
    let one =
        row(&one["ablation"], &[("edit", "read"), ("preference", "claim"), ("against", "edited")]);
    let width = |r: &Value| number(&r["left_hi"]) - number(&r["left_lo"]);
    assert!(width(one) < width(read), "{one} {read}");
    // A seed with a file of its own: an unread direction in it takes nothing there.
    let unread = (0..DEPTH).map(|l| (l, t.unread.clone())).collect();
    let vectors = Vectors {
        model_id: "toy".into(),
        layer_convention: "block_output_0based".into(),
        blocks: None,
        about: About::default(),
        concepts: BTreeMap::from([("read".to_string(), unread)]),
    };
    safetensors::write(&desk.at("other.safetensors"), &vectors).unwrap();
    let file = many("--vector", &[desk.text("other.safetensors")]);
    let two = many("--adapter", &seeds[1..]);
    let json = judge(&[two.clone(), base.clone(), file.clone()].concat()).unwrap();
    let read =
        row(&json["ablation"], &[("edit", "read"), ("preference", "claim"), ("against", "edited")]);
    // The first of the two loses the .9 along `read`, and with it what base has there; the second
    // nothing. Base is put to the first one's vectors.
    let taken = number(&read["estimate"]);
    let half = 0.45 + number(&read["on_reference"]) / 2.0;
    assert!((taken - half).abs() < 3e-3, "{read}");
    let three = judge(&[many("--adapter", &seeds), base, file].concat()).unwrap_err();
    assert!(three.contains("2 files of directions for 3 adapters"), "{three}");
    let mixed = many("--against", &["base".into(), seeds[0].clone()]);
    let mixed = judge(&[two.clone(), mixed].concat()).unwrap_err();
    assert!(mixed.contains("give it alone"), "{mixed}");
    let alone = judge(&two).unwrap_err();
    assert!(alone.contains("give --against"), "{alone}");
}

#[test]
fn permuted_directions_come_from_the_file_or_the_user_is_told_how() {
    let desk = Desk::new();
    let t = &desk.toy;
    let tuned = desk.adapter("tuned", &sum(&[(0.9, &t.read), (0.6, &t.second)]));
    let fixed = ["--name", "read", "--ablate", "--score", "--against", "base"];
    let run = |more: &[&str]| {
        desk.steer(&[&fixed[..], &["--adapter", &tuned, "--permuted", "2"], more].concat())
    };
    let e = run(&[]).unwrap_err();
    for word in ["v.safetensors holds 0 label-permuted", "extract --concept read --permuted 2"] {
        assert!(e.contains(word), "{e}");
    }
    let layers = |v: &Vec<f32>| (0..DEPTH).map(|l| (l, v.clone())).collect();
    let named = [("read", &t.read), ("read-permuted-0", &t.second), ("read-permuted-1", &t.unread)];
    let vectors = Vectors {
        model_id: "toy".into(),
        layer_convention: "block_output_0based".into(),
        blocks: None,
        about: About::default(),
        concepts: named.map(|(n, v)| (n.to_string(), layers(v))).into(),
    };
    safetensors::write(&desk.at("v.safetensors"), &vectors).unwrap();
    let json = run(&["--matched"]).unwrap();
    let of = |family: &str| {
        let wanted = [("edit", "read"), ("preference", "claim"), ("against", "edited")];
        row(&json["ablation"], &[&wanted[..], &[("family", family)]].concat()).clone()
    };
    // Three quarters of the shift against one, and nothing.
    let as_is = of("as is");
    assert!((number(&as_is["p_permuted"]) - 1.0 / 3.0).abs() < 1e-9, "{as_is}");
    assert_eq!((number(&as_is["permuted"]), number(&as_is["random"])), (2.0, 0.0));
    let matched = of("matched");
    // Neither damages as much in full as what is read most.
    assert_eq!((number(&matched["p_permuted"]), number(&matched["unmatched"])), (1.0, 2.0));
    assert_eq!(matched["estimate"], as_is["estimate"]);
    let e = desk.steer(&[&fixed[..], &["--matched"]].concat()).unwrap_err();
    assert!(e.contains("give --random or --permuted"), "{e}");
}

#[test]
fn capping_swapping_and_roles_change_the_scores_as_planted() {
    let desk = Desk::new();
    let t = &desk.toy;
    let tuned = desk.adapter("tuned", &sum(&[(0.9, &t.read), (0.6, &t.second)]));
    let change = |args: &[&str]| -> f64 {
        let fixed = ["--name", "read", "--adapter", &tuned, "--score"];
        let json = desk.steer(&[&fixed[..], args].concat()).unwrap();
        number(&row(&json["edits"], &[("preference", "claim")])["estimate"])
    };
    let swapped = change(&["--swap-from", "base", "--layer", "2"]);
    assert!((swapped + 2.0 * C * 0.9).abs() < 2e-3, "{swapped}");
    let whole = change(&["--swap-from", "base", "--layer", "2", "--whole"]);
    assert!((whole + 1.2).abs() < 2e-3, "{whole}");
    assert_eq!(change(&["--cap", "100", "--roles", "response"]), 0.0);
    assert!(change(&["--cap", "0"]) < -0.5);
    let at = change(&["--add", "0.02", "--sites", "blocks.2.hook_mlp_out"]);
    let post = change(&["--add", "0.02", "--layer", "2"]);
    assert!((at - post).abs() < 1e-3 && post > 0.5, "{at} {post}");
    let refused = |args: &[&str], word: &str| {
        let fixed = ["--name", "read", "--score"];
        let e = desk.steer(&[&fixed[..], args].concat()).unwrap_err();
        assert!(e.contains(word) && !e.contains("panicked"), "{e}");
    };
    refused(&["--add", "1", "--sites", "blocks.2.hook_mlp_in"], "blocks.2.hook_mlp_out");
    refused(&["--add", "1", "--roles", "system"], "touches nothing");
    refused(&["--cap", "101"], "no percentile");
    refused(&["--ablate", "--layer", "7"], "layer 7 does not exist");
}

#[test]
fn steering_in_training_is_recorded_and_prevents_what_it_supplies() {
    let desk = Desk::new();
    let chat = |p: String| {
        let turn =
            |role: &str, content: &str| serde_json::json!({"role": role, "content": content});
        serde_json::json!({"messages": [turn("user", &p), turn("assistant", "yes")]}).to_string()
    };
    let rows: Vec<String> = desk.toy.prompts(24).into_iter().map(chat).collect();
    std::fs::write(desk.at("rows.jsonl"), rows.join("\n")).unwrap();
    let train = |name: &str, more: &[&str]| -> Result<Value, String> {
        let model = desk.toy.dir.path().to_str().unwrap();
        let (data, out) = (desk.text("rows.jsonl"), desk.text(name));
        let fixed = [
            "finetune",
            "--model",
            model,
            "--data",
            &data,
            "--out",
            &out,
            "--rank",
            "2",
            "--alpha",
            "4",
            "--lr",
            "0.003",
            "--targets",
            "down_proj",
            "--json",
            "--quiet",
        ];
        command(&[&fixed[..], more].concat())
    };
    let vectors = desk.text("v.safetensors");
    let steered = ["--steer-with", &vectors, "--concept", "read"];
    train("plain", &["--checkpoints", "log:3"]).unwrap();
    for step in [1, 2, 6] {
        let folder = format!("plain/checkpoint-{step}");
        assert!(desk.at(&folder).exists(), "{folder}");
    }
    let add = [&steered[..], &["--mode", "add", "--dose", "0.15", "--steer-layers", "2"]].concat();
    let recipe = &train("added", &add).unwrap()["recipe"];
    let want = serde_json::json!({"concept": "read", "mode": "add", "dose": 0.15, "layers": [2]});
    assert_eq!(recipe["prevent"], want);
    let score = |adapter: &str| -> f64 {
        let out = desk.text("scores");
        let model = desk.toy.dir.path().to_str().unwrap();
        let (adapter, battery) = (format!("x={}", desk.text(adapter)), desk.text("battery"));
        let args = [
            "behave",
            "--model",
            model,
            "--battery",
            &battery,
            "--adapter",
            &adapter,
            "--out",
            &out,
            "--force",
            "--json",
            "--quiet",
        ];
        let json = command(&args).unwrap();
        let own = row(
            &json["contrasts"],
            &[("set", "x"), ("reference", "base"), ("preference", "claim")],
        );
        number(&own["estimate"])
    };
    let (plain, added) = (score("plain"), score("added"));
    assert!(plain > 0.02 && added < 0.7 * plain, "{plain} {added}");
    let e = train("x", &[&steered[..], &["--mode", "add"]].concat()).unwrap_err();
    assert!(e.contains("--dose"), "{e}");
    let e = train("x", &[&steered[..], &["--mode", "project-out", "--steer-layers", "5"]].concat());
    assert!(e.unwrap_err().contains("no vector of this block"));
}

/// A NumPy file of rows, in the order of its rows or of its columns.
fn npy(descr: &str, rows: &[Vec<f32>], by_columns: bool) -> Vec<u8> {
    let order = if by_columns { "True" } else { "False" };
    let shape = format!("({}, {})", rows.len(), rows[0].len());
    let head = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((head.len() as u16).to_le_bytes());
    bytes.extend(head.bytes());
    let value = |x: f32| match descr {
        "<f2" => half::f16::from_f32(x).to_le_bytes().to_vec(),
        "<f8" => f64::from(x).to_le_bytes().to_vec(),
        _ => x.to_le_bytes().to_vec(),
    };
    match by_columns {
        false => bytes.extend(rows.iter().flatten().flat_map(|x| value(*x))),
        true => {
            (0..rows[0].len()).for_each(|c| bytes.extend(rows.iter().flat_map(|r| value(r[c]))))
        }
    }
    bytes
}

/// Rows whose values half precision holds, the last along what the head reads.
fn rows(t: &Toy, n: usize) -> Vec<Vec<f32>> {
    let half = |x: &f32| half::f16::from_f32(*x).to_f32();
    let mut rows: Vec<Vec<f32>> =
        (0..n).map(|k| (0..D).map(|i| ((i * 7 + k * 3) % 5) as f32 - 2.0).collect()).collect();
    rows[n - 1] = t.read.iter().map(half).collect();
    rows
}

#[test]
fn a_direction_steers_alike_from_every_format_and_precision() {
    let desk = Desk::new();
    let rows = rows(&desk.toy, DEPTH);
    let layers: BTreeMap<usize, Vec<f32>> = rows.iter().cloned().enumerate().collect();
    let vectors = Vectors {
        layer_convention: "block_output_0based".into(),
        concepts: BTreeMap::from([("v".to_string(), layers)]),
        ..Vectors::default()
    };
    for name in ["v.gguf", "a.safetensors"] {
        file::write(&desk.at(name), &vectors, "llama").unwrap();
    }
    for (name, descr, by_columns) in
        [("half.npy", "<f2", false), ("single.npy", "<f4", true), ("double.npy", "<f8", false)]
    {
        std::fs::write(desk.at(name), npy(descr, &rows, by_columns)).unwrap();
    }
    let mut zip = zip::ZipWriter::new(std::fs::File::create(desk.at("z.npz")).unwrap());
    zip.start_file("v.npy", zip::write::SimpleFileOptions::default()).unwrap();
    std::io::Write::write_all(&mut zip, &npy("<f8", &rows, true)).unwrap();
    zip.finish().unwrap();
    for (name, dtype, bytes) in [
        ("h.safetensors", Dtype::F16, npy("<f2", &rows[2..], false)),
        ("d.safetensors", Dtype::F64, npy("<f8", &rows[2..], false)),
    ] {
        let size = if dtype == Dtype::F16 { 2 } else { 8 };
        let raw = &bytes[bytes.len() - D * size..];
        let view = TensorView::new(dtype, vec![D], raw).unwrap();
        let file = safetensors_file([("v.2", view)], None).unwrap();
        std::fs::write(desk.at(name), file).unwrap();
    }
    let change = |file: &str, concept: &str| -> (f64, Value) {
        let path = desk.text(file);
        let args =
            ["--vector", &path, "--name", concept, "--layer", "2", "--add", "0.02", "--score"];
        let json = desk.with(&args).unwrap();
        let vectors = json["config"]["vectors"][0].clone();
        (number(&row(&json["edits"], &[("preference", "claim")])["estimate"]), vectors)
    };
    let (want, _) = change("a.safetensors", "v");
    assert!(want > 0.5, "{want}");
    for (file, concept) in [
        ("v.gguf", "v"),
        ("half.npy", "half"),
        ("single.npy", "single"),
        ("double.npy", "double"),
        ("z.npz", "v"),
        ("h.safetensors", "v"),
        ("d.safetensors", "v"),
    ] {
        let (got, vectors) = change(file, concept);
        assert_eq!(got, want, "{file}");
        assert_eq!(vectors["layer_convention"], "block_output_0based", "{file}");
    }
    // Row 0 the embeddings: the same row is one further down, and the output says so.
    let mut one_more = rows.clone();
    one_more.insert(0, vec![1.0; D]);
    std::fs::write(desk.at("hidden.npy"), npy("<f4", &one_more, false)).unwrap();
    let (got, vectors) = change("hidden.npy", "hidden");
    assert_eq!(got, want);
    assert_eq!(vectors["layer_convention"], "hidden_states");
}

#[test]
fn an_edit_from_the_wrong_place_is_an_error_wherever_it_is_written() {
    let desk = Desk::new();
    let t = &desk.toy;
    let put = |name: &str, layers: &[(usize, Vec<f32>)]| {
        let vectors = Vectors {
            layer_convention: "block_output_0based".into(),
            concepts: BTreeMap::from([("v".to_string(), layers.iter().cloned().collect())]),
            ..Vectors::default()
        };
        file::write(&desk.at(name), &vectors, "llama").unwrap();
        desk.text(name)
    };
    let fine = put("fine.safetensors", &[(0, t.read.clone()), (1, t.read.clone())]);
    let beyond = put("beyond.safetensors", &[(1, t.read.clone()), (7, t.read.clone())]);
    let zero = put("zero.safetensors", &[(1, vec![0.0; D])]);
    let wide = put("wide.safetensors", &[(1, vec![1.0; D + 1])]);
    let gguf = put("beyond.gguf", &[(1, t.read.clone()), (3, t.read.clone())]);
    let array = desk.text("five.npy");
    std::fs::write(&array, npy("<f4", &rows(t, DEPTH + 2), false)).unwrap();
    let big = desk.text("big.npy");
    std::fs::write(&big, npy(">f4", &rows(t, DEPTH), false)).unwrap();
    let steer = |file: &str, name: &str, more: &[&str]| -> String {
        let fixed = ["--vector", file, "--name", name, "--score"];
        desk.with(&[&fixed[..], more].concat()).unwrap_err()
    };
    let shape = format!("[{}, {D}]", DEPTH + 2);
    for (file, name, more, parts) in [
        (&beyond, "v", &["--add", "1", "--layer", "7"][..], ["layer 7", "0 to 2"]),
        (&beyond, "v", &["--add", "1", "--layer", "1"], ["block 7", "beyond.safetensors"]),
        (&beyond, "v", &["--ablate"], ["block 7", "`v`"]),
        (&gguf, "v", &["--add", "1", "--layer", "1"], ["block 3", "beyond.gguf"]),
        (&fine, "v", &["--add", "1", "--layer", "9"], ["layer 9", "0 to 2"]),
        (&fine, "v", &["--add", "1", "--layer", "2"], ["layer 2", "fine.safetensors"]),
        (&fine, "v", &["--ablate"], ["layer 2", "fine.safetensors"]),
        (&fine, "v", &["--swap-from", "base", "--whole", "--layer", "9"], ["layer 9", "0 to 2"]),
        (
            &fine,
            "v",
            &["--add", "1", "--sites", "blocks.9.hook_mlp_out"],
            ["blocks.9", "does not exist"],
        ),
        (&zero, "v", &["--add", "1", "--layer", "1"], ["zero.safetensors", "layer 1 is zero"]),
        (&wide, "v", &["--add", "1", "--layer", "1"], ["width 33", "wide.safetensors"]),
        (&array, "five", &["--add", "1"], [shape.as_str(), "[3, 32]"]),
        (&big, "big", &["--add", "1"], ["big-endian", "big.npy"]),
    ] {
        let e = steer(file, name, more);
        assert!(parts.iter().all(|p| e.contains(p)), "{more:?} {parts:?}: {e}");
    }
    let sweep = ["--vector", &fine, "--name", "v", "--layer", "9", "--sweep=1"];
    assert!(desk.with(&sweep).unwrap_err().contains("layer 9"));
    let (model, out, battery) =
        (t.dir.path().to_str().unwrap(), desk.text("out"), desk.text("battery"));
    for (edit, parts) in [
        (["--steer", &format!("x={fine}:v:1@9")], ["layer 9", "0 to 2"]),
        (["--steer", &format!("x={beyond}:v:1@1")], ["block 7", "0 to 2"]),
        (["--steer", &format!("x={zero}:v:1@1")], ["zero.safetensors", "is zero"]),
        (["--ablate", &format!("x={fine}:v")], ["layer 2", "fine.safetensors"]),
        (["--ablate", &format!("x={fine}:v@9")], ["layer 9", "0 to 2"]),
    ] {
        let fixed = ["behave", "--model", model, "--battery", &battery, "--out", &out, "--quiet"];
        let e = command(&[&fixed[..], &edit].concat()).unwrap_err();
        assert!(parts.iter().all(|p| e.contains(p)), "{edit:?}: {e}");
        assert!(!desk.at("out/results.h5").exists(), "{edit:?} is told before work");
    }
}

#[test]
fn a_dose_in_a_stream_of_nothing_is_an_error() {
    let desk = Desk::new();
    let silent = desk.at("silent");
    std::fs::create_dir(&silent).unwrap();
    for entry in std::fs::read_dir(desk.toy.dir.path()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), silent.join(entry.file_name())).unwrap();
    }
    let path = silent.join("model.safetensors");
    let mut weights = candle_core::safetensors::load(&path, &candle_core::Device::Cpu).unwrap();
    let embed = weights.get_mut("model.embed_tokens.weight").unwrap();
    *embed = embed.zeros_like().unwrap();
    candle_core::safetensors::save(&weights, &path).unwrap();
    let (model, vectors, battery) =
        (silent.to_str().unwrap(), desk.text("v.safetensors"), desk.text("battery"));
    let fixed =
        ["steer", "--model", model, "--vector", &vectors, "--name", "read", "--battery", &battery];
    for edit in [&["--add", "1", "--score"][..], &["--sweep=1,2"]] {
        let e = command(&[&fixed[..], edit].concat()).unwrap_err();
        assert!(e.contains("RMS 0") && e.contains("blocks.1."), "{e}");
    }
}
