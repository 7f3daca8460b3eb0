//! The program as a user meets it: what it prints, what it refuses and in which words, and its
//! exit codes; and the promises of capture and interventions on the real default model.

mod common;

use assert_cmd::Command;
use common::{default_model, fixtures};
use ndarray::Array2;
use residuum::capture::{capture, Position, Request};
use residuum::model::{HookPoint, Hooks, Interventions, Packed, Tokens};
use residuum::stats::rng::{fill_normal, stream};
use residuum::store::ActivationReader;
use std::path::Path;

fn residuum(args: &[&str]) -> Command {
    let mut command = Command::cargo_bin("residuum").unwrap();
    command.args(args);
    command
}

/// Exit code and stderr of a command that fails.
fn refused(args: &[&str]) -> (i32, String) {
    let output = residuum(args).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.is_empty(), "a failure printed a result: {stdout}");
    let stderr = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), stderr)
}

/// Fails with 1 and says each of `words`.
fn fails_with(args: &[&str], words: &[&str]) {
    let (code, stderr) = refused(args);
    assert_eq!(code, 1, "{args:?}: {stderr}");
    for word in words {
        assert!(stderr.contains(word), "{args:?}: {word:?} is not in {stderr}");
    }
    assert!(!stderr.contains("panicked"), "{stderr}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A folder with a file of three texts, the longest first.
fn texts() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("texts.jsonl");
    let rows = concat!(
        r#"{"id": "z", "prompt": "Name a river and a mountain.", "response": "The Rhine; Etna."}"#,
        "\n",
        r#"{"id": "a", "prompt": "Name a river.", "response": "The Rhine.", "label": "short"}"#,
        "\n\n",
        r#"{"id": "m", "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]}"#,
        "\n",
    );
    std::fs::write(&file, rows).unwrap();
    let name = text(&file).to_string();
    (dir, name)
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    for args in [
        &["capture"][..],
        &["no-such-command"],
        &["extract", "--concept", "persona", "--estimator", "mean-dif", "--out", "x"],
        &["capture", "--texts", "t", "--out", "x", "--layers", "first"],
        &["behave", "--adapter", "base=x", "--out", "y"],
        &["steer", "--vector", "v", "--name", "n", "--add", "1"],
        &["model", "list", "--threads", "0"],
    ] {
        assert_eq!(refused(args).0, 2, "{args:?}");
    }
}

#[test]
fn an_unknown_position_is_answered_with_the_known_ones() {
    let (code, stderr) = refused(&["capture", "--texts", "t", "--out", "o", "--at", "response"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("response-mean, response-last"), "{stderr}");
}

#[test]
fn an_unknown_estimator_is_answered_with_the_nearest() {
    let args = ["extract", "--concept", "persona", "--out", "o", "--estimator", "mean-dif"];
    assert!(refused(&args).1.contains("did you mean 'mean-diff'"));
}

#[test]
fn an_unknown_hook_is_answered_with_the_nearest() {
    let error = HookPoint::parse("blocks.3.hook_resid_pots", 30).unwrap_err();
    assert!(error.to_string().contains("`blocks.3.hook_resid_post`"), "{error}");
}

#[test]
fn an_unknown_model_is_answered_with_the_catalogue() {
    let args = ["model", "check", "smollm3"];
    fails_with(&args, &["`smollm3`", "smollm2-135m-instruct"]);
}

#[test]
fn a_missing_file_is_named() {
    let args = ["capture", "--texts", "no/such.jsonl", "--out", "x.h5"];
    fails_with(&args, &["no/such.jsonl"]);
}

#[test]
fn a_malformed_line_is_named_with_its_number() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bad.jsonl");
    std::fs::write(&file, "{\"id\": \"a\", \"text\": \"x\"}\n\n{\"id\": \"b\", \n").unwrap();
    let out = dir.path().join("a.h5");
    let args = ["capture", "--texts", text(&file), "--out", text(&out)];
    fails_with(&args, &["bad.jsonl", "line 3"]);
    let rows = dir.path().join("rows.jsonl");
    std::fs::write(&rows, "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}\n").unwrap();
    let args = ["finetune", "--data", text(&rows), "--out", text(&out)];
    fails_with(&args, &["rows.jsonl", "line 1", "assistant"]);
    assert!(!out.exists());
}

#[test]
fn an_empty_file_of_texts_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("empty.jsonl");
    std::fs::write(&file, "\n").unwrap();
    let out = dir.path().join("a.h5");
    let args = ["capture", "--texts", text(&file), "--out", text(&out)];
    fails_with(&args, &["empty.jsonl", "no rows"]);
}

#[test]
fn an_unknown_concept_or_preference_is_answered_with_the_nearest() {
    let args = ["extract", "--concept", "autonmy", "--out", "x"];
    fails_with(&args, &["\"autonmy\"", "did you mean \"autonomy\""]);
    let args = ["behave", "--preferences", "shutdwn", "--out", "x"];
    fails_with(&args, &["\"shutdwn\"", "did you mean \"shutdown\""]);
}

#[test]
fn a_text_without_a_position_is_counted_and_has_nan_there() {
    let toy = common::toy::Toy::new();
    let dir = tempfile::tempdir().unwrap();
    let (file, out) = (dir.path().join("t.jsonl"), dir.path().join("a.h5"));
    let rows = "{\"id\": \"a\", \"prompt\": \"w1 w2\", \"response\": \"w3\"}\n{\"id\": \"b\", \"prompt\": \"w1\"}\n{\"id\": \"c\", \"text\": \"w1 w2\"}\n";
    std::fs::write(&file, rows).unwrap();
    let model = text(toy.dir.path());
    let args = ["--model", model, "--texts", text(&file), "--json"];
    let capture = ["capture", "--positions", "response-mean,all-mean", "--out", text(&out)];
    let output = residuum(&[&capture[..], &args].concat()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    let words = "2 of 3 texts have no token at `response-mean` and NaN there; the first is";
    assert!(stderr.contains(words) && stderr.contains("line 2, text `b`"), "{stderr}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let want = serde_json::json!([{"position": "response-mean", "texts": 2, "first": "b"}]);
    assert_eq!(json["absent"], want);
    let reader = ActivationReader::open(&out).unwrap();
    assert_eq!(reader.columns("texts").unwrap().role, ["response", "user", "text"]);
    assert!(reader.root_attrs().warnings.iter().any(|w| w.contains(words)));
    let at = |position: &str| -> Vec<bool> {
        let values = reader.read("texts", position).unwrap();
        values.outer_iter().map(|x| x.iter().all(|v| v.is_finite())).collect()
    };
    assert_eq!(at("response-mean"), [true, false, false]);
    assert_eq!(at("all-mean"), [true; 3]);
    // The same texts on a vector: no row where there is no position, and every token.
    let width = reader.spec().hidden;
    let vectors = residuum::export::Vectors {
        layer_convention: "block_output_0based".into(),
        concepts: [("v".to_string(), [(0, vec![2.0; width])].into())].into(),
        about: residuum::export::About { model_sha256: "00".into(), ..Default::default() },
        ..Default::default()
    };
    let (vector, folder) = (dir.path().join("v.npz"), dir.path().join("p"));
    residuum::export::file::write(&vector, &vectors, "").unwrap();
    let project = ["project", "--vector", text(&vector), "--layers", "all", "--out", text(&folder)];
    let output = residuum(&[&project[..], &args].concat()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("and no row there") && stderr.contains("(weights 00)"), "{stderr}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = json["projections"].as_array().unwrap();
    assert_eq!((rows.len(), &rows[0]["text"]), (1, &"a".into()));
    let stored = reader.read("texts", "response-mean").unwrap();
    let want =
        stored.index_axis(ndarray::Axis(0), 0).row(0).iter().map(|x| f64::from(*x)).sum::<f64>();
    let got = rows[0]["estimate"].as_f64().unwrap();
    assert!((got * (width as f64).sqrt() / want - 1.0).abs() < 1e-4, "{got} {want}");
    assert!(folder.join("csv/projections.texts.csv").exists());
    let args = [&project[..5], &args, &["--tokens"]].concat();
    let output = residuum(&args).output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let n = json["projections"].as_array().unwrap().iter().filter(|r| r["text"] == "c").count();
    assert_eq!(n, 2);
}

#[test]
fn a_layer_beyond_the_depth_is_refused() {
    let (dir, file) = texts();
    let out = dir.path().join("a.h5");
    let args = ["capture", "--texts", &file, "--layers", "30", "--out", text(&out)];
    fails_with(&args, &["layer 30", "blocks 0 to 29"]);
}

#[test]
fn a_text_without_a_response_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("t.jsonl");
    std::fs::write(&file, "{\"id\": \"open\", \"prompt\": \"Hello?\"}\n").unwrap();
    let out = dir.path().join("a.h5");
    let args = ["capture", "--texts", text(&file), "--layers", "0", "--out", text(&out)];
    fails_with(&args, &["`open`", "`response-mean`"]);
    assert!(!out.exists(), "a failed capture left a file");
}

#[test]
fn a_cut_gguf_file_is_refused() {
    let whole = std::fs::read(&default_model().path).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cut.gguf");
    std::fs::write(&file, &whole[..1 << 20]).unwrap();
    fails_with(&["model", "check", text(&file)], &["cut.gguf"]);
}

#[test]
fn a_doubt_about_a_model_is_said_and_stands_in_the_file() {
    let toy = common::toy::Toy::new();
    let config = toy.dir.path().join("config.json");
    let json = std::fs::read_to_string(&config).unwrap();
    let tied = json.replace("\"tie_word_embeddings\":false", "\"tie_word_embeddings\":true");
    assert_ne!(tied, json);
    std::fs::write(&config, tied).unwrap();
    let model = text(toy.dir.path());
    let output = residuum(&["model", "check", model, "--json"]).output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let said = json["warnings"][0].as_str().unwrap();
    assert!(said.contains("lm_head.weight"), "{said}");
    let file = toy.dir.path().join("t.jsonl");
    std::fs::write(&file, "{\"id\": \"a\", \"text\": \"w1 w2 w3\"}\n").unwrap();
    let out = toy.dir.path().join("a.h5");
    let mut args = vec!["capture", "--model", model, "--texts", text(&file)];
    args.extend(["--at", "all-mean", "--out", text(&out)]);
    let output = residuum(&args).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && stderr.contains(said), "{stderr}");
    let reader = ActivationReader::open(&out).unwrap();
    assert_eq!(reader.root_attrs().warnings, [said]);
}

#[test]
fn perplexity_tells_in_which_order_a_file_holds_the_rows_of_q_and_k() {
    let check = |order: &[&str]| -> serde_json::Value {
        let output = residuum(&[&["model", "check", "--json"], order].concat()).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let right = check(&[]);
    let (here, other) = (&right["gguf_order"]["perplexity"], &right["gguf_order"]["other"]);
    assert_eq!(right["gguf_order"]["order"], "permuted");
    assert!(here.as_f64().unwrap() < 0.5 * other.as_f64().unwrap(), "{right}");
    assert_eq!(right["warnings"], serde_json::json!([]));
    let wrong = check(&["--gguf-order", "plain"]);
    assert_eq!([&wrong["gguf_order"]["perplexity"], &wrong["gguf_order"]["other"]], [other, here]);
    let said = wrong["warnings"][0].as_str().unwrap();
    assert!(said.contains("--gguf-order permuted"), "{said}");
    let toy = common::toy::Toy::new();
    let folder = text(toy.dir.path());
    fails_with(&["model", "check", folder, "--gguf-order", "plain"], &["GGUF"]);
}

#[test]
fn an_adapter_key_that_fits_nothing_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let from = fixtures().join("peft/final");
    let config = "adapter_config.json";
    std::fs::copy(from.join(config), dir.path().join(config)).unwrap();
    let mut weights = std::fs::read(from.join("adapter_model.safetensors")).unwrap();
    let at = weights.windows(6).position(|w| w == b"q_proj").unwrap();
    weights[at..at + 6].copy_from_slice(b"x_proj");
    std::fs::write(dir.path().join("adapter_model.safetensors"), weights).unwrap();
    let (texts_dir, file) = texts();
    let out = texts_dir.path().join("a.h5");
    let adapter = text(dir.path());
    let args = ["capture", "--texts", &file, "--adapter", adapter, "--out", text(&out)];
    fails_with(&args, &["x_proj", "nearest", "_proj.lora_"]);
}

#[test]
fn capture_keeps_the_order_of_the_texts_and_counts_its_work() {
    let (dir, file) = texts();
    let out = dir.path().join("a.h5");
    let at = "response-mean,prompt-last";
    let args = [
        "capture",
        "--texts",
        &file,
        "--at",
        at,
        "--layers",
        "third",
        "--out",
        text(&out),
        "--json",
    ];
    let output = residuum(&args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["texts"], 3);
    let (tokens, rows) = (json["tokens"].as_u64().unwrap(), json["rows"].as_u64().unwrap());
    assert!(0 < rows && rows < tokens, "{rows} rows of {tokens} tokens");
    assert!(json["seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(json["layers"], serde_json::json!([10, 24]));
    let reader = ActivationReader::open(&out).unwrap();
    assert_eq!(reader.spec().condition, "base");
    assert_eq!(reader.columns("texts").unwrap().prompt_id, ["z", "a", "m"]);
    assert_eq!(reader.columns("texts").unwrap().label, ["", "short", ""]);
    let stored = reader.read("texts", "response-mean").unwrap();
    assert_eq!(stored.dim(), (3, 2, 576));
    // Row 1 is the text it says it is.
    let model = default_model();
    let one = [model.tokenizer.exchange(None, "Name a river.", "The Rhine.").unwrap()];
    let want = pooled(&one, 1024, vec![10, 24], Position::ResponseMean);
    let got = stored.index_axis(ndarray::Axis(0), 1);
    assert!(relative(&got.to_owned(), &want[0]) < 1e-5);
}

#[test]
fn kernels_that_are_not_here_are_refused_with_those_that_are() {
    let output = residuum(&["materials", "lint"]).env("RESIDUUM_KERNELS", "sse9").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr.contains("RESIDUUM_KERNELS=sse9 is unknown; here it may be portable"),
        "{stderr}"
    );
}

#[test]
fn products_in_bf16_are_said_in_the_file_with_how_far_they_are_from_f32() {
    let (dir, file) = texts();
    let read = |dtype: &str| {
        let out = dir.path().join(dtype).with_extension("h5");
        let mut args = vec!["capture", "--texts", &file, "--layers", "third", "--dtype", dtype];
        args.extend(["--at", "response-mean", "--out", text(&out)]);
        let output = residuum(&args).env("RESIDUUM_KERNELS", "portable").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let reader = ActivationReader::open(&out).unwrap();
        let numbers = reader.root_attrs().config["numbers"].clone();
        assert_eq!(numbers["products"], dtype);
        assert_eq!(numbers["kernels"], "portable");
        let x = reader.read("texts", "response-mean").unwrap();
        (numbers["agreement"].clone(), x.index_axis(ndarray::Axis(1), 1).to_owned())
    };
    let ((none, full), (found, near)) = (read("f32"), read("bf16"));
    assert!(none.is_null());
    assert_eq!(found["texts"], 3);
    let cosine = found["cosine"].as_f64().unwrap();
    assert!((0.999..1.0).contains(&cosine), "{found}");
    let off = relative(&near, &full);
    assert!(0.0 < off && off < found["deviation"].as_f64().unwrap(), "{off} {found}");
}

#[test]
fn json_is_one_object_and_quiet_is_silent() {
    let output = residuum(&["model", "list", "--json", "--quiet"]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["models"][0]["name"], "smollm2-135m-instruct");
}

/// What a shell is offered for the last of `words`, in a folder with one run that has an adapter.
fn offered(words: &[&str]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("runs/mine/adapters/denial-s1")).unwrap();
    let index = words.len().to_string();
    let output = residuum(&[&["--", "residuum"], words].concat())
        .current_dir(dir.path())
        .envs([("RESIDUUM_COMPLETE", "bash"), ("_CLAP_IFS", "\n")])
        .envs([("_CLAP_COMPLETE_INDEX", &*index), ("_CLAP_COMPLETE_COMP_TYPE", "9")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn the_shell_completes_what_values_are_one_of() {
    assert_eq!(offered(&["extract", "--concept", "persona,sentim"]), ["persona,sentiment"]);
    assert_eq!(offered(&["extract", "--estimator", "mean"]), ["mean-diff"]);
    let adapter = "denial-s1=runs/mine/adapters/denial-s1";
    assert_eq!(offered(&["geometry", "--adapter", "de"]), [adapter]);
    assert_eq!(offered(&["geometry", "--adapter", "d=runs/m"]), ["d=runs/mine/"]);
    assert_eq!(offered(&["steer", "--adapter", "runs/mine/adapters/d"])[0], &adapter[10..]);
    assert!(offered(&["finetune", "--data", "consc"]).contains(&"conscious".into()));
    assert!(offered(&["plot", "--states", "no-such-state"]).is_empty());
}

#[test]
fn a_closed_pipe_is_no_error() {
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("residuum"))
        .args(["completions", "bash"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn the_version_names_commit_features_and_kernels() {
    let of = |flag: &str| {
        let output = residuum(&[flag]).env("RESIDUUM_KERNELS", "portable").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let name = concat!("residuum ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(of("-V"), name);
    let long = of("--version");
    assert!(long.starts_with(name), "{long}");
    let line = |name: &str| {
        let found = long.lines().find_map(|l| l.strip_prefix(name));
        found.unwrap_or_else(|| panic!("{name} in {long}")).trim().to_string()
    };
    let commit = line("commit");
    let hex = |c: char| c.is_ascii_hexdigit();
    assert!(commit == "unknown" || commit.trim_end_matches("-dirty").chars().all(hex), "{commit}");
    assert!(line("features").starts_with("cli, figures, hub, judge"), "{long}");
    assert!(line("kernels").starts_with("portable (of portable"), "{long}");
    assert!(line("built").contains("rustc 1."), "{long}");
}

/// Milliseconds of `--help` at most.
const HELP: u128 = 50;
/// Bytes of the released program at most, its symbols included: 54 MB in 2026-12.
const PROGRAM: u64 = 60_000_000;

#[test]
fn help_comes_at_once_and_the_program_stays_small() {
    let time = |_| {
        let begun = std::time::Instant::now();
        assert!(residuum(&["--help"]).output().unwrap().status.success());
        begun.elapsed().as_millis()
    };
    let best = (0..10).map(time).min().unwrap();
    assert!(best <= HELP, "{best} ms");
    let bytes = std::fs::metadata(assert_cmd::cargo::cargo_bin("residuum")).unwrap().len();
    println!("help {best} ms, program {:.1} MB", bytes as f64 / 1e6);
    let released = !cfg!(debug_assertions) && !cfg!(feature = "cuda");
    assert!(!released || bytes <= PROGRAM, "{bytes} bytes");
}

/// `doctor` in an environment of its own, where nothing is fetched and no hub is.
fn doctor(args: &[&str], home: &Path) -> std::process::Output {
    let mut command = residuum(&["doctor"]);
    let command = command.args(args).env("RESIDUUM_CACHE", home.join("cache"));
    let command = command.env("HF_HOME", home.join("hf")).env("HF_TOKEN", "hf_never_to_be_told");
    command.env("HF_ENDPOINT", "http://127.0.0.1:9").env_remove("HF_HUB_OFFLINE").output().unwrap()
}

#[test]
fn doctor_says_what_to_do_and_keeps_paths_addresses_and_keys_out_of_json() {
    let home = tempfile::tempdir().unwrap();
    let output = doctor(&["--json"], home.path());
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), output.stderr);
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
    let temporary = std::env::temp_dir();
    let here = std::env::current_dir().unwrap();
    for private in
        ["hf_never_to_be_told", "127.0.0.1", text(home.path()), text(&temporary), text(&here)]
    {
        assert!(!stdout.contains(private), "{private} is in {stdout}");
    }
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(json["schema"], "residuum-doctor/1");
    // What it holds is what the docs say that it holds.
    let docs = include_str!("../docs/commands.md");
    let section = docs.split_once("`residuum-doctor/1`").unwrap().1;
    let documented: Vec<&str> =
        section.split("\n\n").next().unwrap().split('`').skip(1).step_by(2).collect();
    for key in json.as_object().unwrap().keys().filter(|k| *k != "schema") {
        assert!(documented.contains(&key.as_str()), "{key} is not among {documented:?}");
    }
    let checks = json["checks"].as_array().unwrap();
    for check in checks {
        let well = check["state"] == "ok";
        assert_eq!(well, check["advice"] == "", "{check}");
        assert_ne!(check["state"], "failed", "{check}");
    }
    let state = |name: &str| {
        let found = checks.iter().find(|c| c["check"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {stdout}"))["state"].as_str().unwrap()
    };
    assert_eq!(
        ["model", "hub", "HDF5", "figures", "arithmetic"].map(state),
        ["warning", "warning", "ok", "ok", "ok"]
    );
    assert!(json["variables"].as_array().unwrap().contains(&"HF_TOKEN".into()), "{stdout}");
    assert!(!home.path().join("cache").exists(), "it made a cache");
    let said = String::from_utf8(doctor(&["--offline"], home.path()).stdout).unwrap();
    assert!(said.contains(text(home.path())) && said.contains("residuum model pull"), "{said}");
    assert!(said.contains("not asked: --offline") && !said.contains("hf_never"), "{said}");
}

#[test]
fn doctor_fails_where_a_model_is_not_the_pinned_one() {
    let home = tempfile::tempdir().unwrap();
    let catalogue = home.path().join("models.toml");
    let entry = format!(
        "[toy]\nabout = \"t\"\nlicence = \"MIT\"\nfile = \"t.gguf\"\nbytes = 3\nsha256 = \"{}\"\n",
        "0".repeat(64)
    );
    std::fs::write(&catalogue, entry).unwrap();
    let folder = home.path().join("models/toy");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("t.gguf"), "abc").unwrap();
    let mut command = residuum(&["doctor", "--offline"]);
    let command = command.env("RESIDUUM_MODELS", &catalogue).env("RESIDUUM_CACHE", home.path());
    let output = command.output().unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stdout}");
    assert!(stdout.contains("toy is not what is pinned") && stdout.contains("t.gguf"), "{stdout}");
    assert!(String::from_utf8(stderr).unwrap().contains("error: failed: model"), "{stdout}");
}

/// Pooled activations of texts at one position.
fn pooled(texts: &[Tokens], budget: usize, layers: Vec<usize>, at: Position) -> Vec<Array2<f32>> {
    let request = Request { positions: vec![at], layers, budget, absent: false };
    let mut all = vec![Array2::zeros((0, 0)); texts.len()];
    let mut keep = |i: usize, _: usize, values| {
        all[i] = values;
        Ok(())
    };
    let model = &default_model().decoder;
    capture(model, texts, &request, &Interventions::none(), &mut keep).unwrap();
    all
}

/// Norm of the difference over the norm, the largest over layers.
fn relative(a: &Array2<f32>, b: &Array2<f32>) -> f64 {
    let norm = |v: ndarray::ArrayView1<f32>| -> f64 {
        v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
    };
    let rows = a.rows().into_iter().zip(b.rows());
    rows.map(|(a, b)| norm((&a - &b).view()) / norm(b)).fold(0.0, f64::max)
}

fn neutral(n: usize) -> Vec<Tokens> {
    let tokenizer = &default_model().tokenizer;
    let all = residuum::materials::load_neutral_texts(None).unwrap();
    let exchange = |t: &residuum::materials::NeutralText| {
        tokenizer.exchange(None, &t.prompt, &t.response).unwrap()
    };
    all.iter().take(n).map(exchange).collect()
}

#[test]
fn capture_does_not_depend_on_batching() {
    let texts = neutral(12);
    let layers = vec![0, 10, 29];
    for at in [Position::ResponseMean, Position::PromptLast] {
        let small = pooled(&texts, 64, layers.clone(), at);
        let large = pooled(&texts, 1024, layers.clone(), at);
        for (a, b) in small.iter().zip(&large) {
            assert!(relative(a, b) < 1e-5, "{at}: {}", relative(a, b));
        }
    }
}

/// The stream after each of `layers` for one packed batch, `[layer][row][d]` flat.
fn streams(interventions: &Interventions, layers: &[usize]) -> (Packed, Vec<Vec<f32>>) {
    let texts = neutral(3);
    let ids: Vec<&[u32]> = texts.iter().map(|t| t.ids.as_slice()).collect();
    let packed = Packed::new(&ids);
    let model = &default_model().decoder;
    let mut seen = Vec::new();
    let mut hooks = Hooks::none();
    interventions.install(&mut hooks, model.layers(), model.hidden()).unwrap();
    hooks.on(layers.iter().map(|&l| HookPoint::resid_post(l)), |_, x, _| {
        seen.push(x.flatten_all()?.to_vec1::<f32>()?);
        Ok(None)
    });
    model.forward(&packed, &mut hooks).unwrap();
    drop(hooks);
    (packed, seen)
}

fn direction(index: u64) -> Vec<f32> {
    let mut v = vec![0f32; default_model().decoder.hidden()];
    fill_normal(&mut stream(7, "cli-test", index), &mut v);
    v
}

#[test]
fn a_dose_of_zero_is_bit_identical_to_no_intervention() {
    let zero = Interventions::none().add(5, &direction(0), 0.0).unwrap();
    let some = Interventions::none().add(5, &direction(0), 0.1).unwrap();
    let bits = |v: Vec<Vec<f32>>| -> Vec<u32> { v.concat().iter().map(|x| x.to_bits()).collect() };
    let plain = bits(streams(&Interventions::none(), &[5, 29]).1);
    assert!(plain == bits(streams(&zero, &[5, 29]).1));
    assert!(plain != bits(streams(&some, &[5, 29]).1));
}

#[test]
fn ablation_leaves_no_projection_in_any_block() {
    let depth = default_model().decoder.layers();
    let each: Vec<Vec<f32>> = (0..depth as u64).map(direction).collect();
    let ablated = Interventions::none().project_out_everywhere(&each).unwrap();
    let layers: Vec<usize> = (0..depth).collect();
    let (packed, seen) = streams(&ablated, &layers);
    assert_eq!(seen.len(), depth);
    let norm = |v: &[f32]| v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    for (x, u) in seen.iter().zip(&each) {
        for (row, at) in x.chunks(u.len()).zip(&packed.forest.positions) {
            let dot: f64 = row.iter().zip(u).map(|(x, u)| f64::from(*x) * f64::from(*u)).sum();
            let share = dot.abs() / norm(u) / norm(row);
            assert!(*at == 0 || share < 1e-5, "{share}");
        }
    }
}

#[test]
fn finetune_goes_on_from_a_given_adapter() {
    let dir = tempfile::tempdir().unwrap();
    let (init, rows) = (fixtures().join("peft/init"), fixtures().join("peft/rows.jsonl"));
    let out = dir.path().join("adapter");
    let args = [
        "finetune",
        "--data",
        text(&rows),
        "--init-adapter",
        text(&init),
        "--order",
        "file",
        "--max-steps",
        "1",
        "--out",
        text(&out),
        "--quiet",
    ];
    residuum(&args).assert().success();
    let log = std::fs::read_to_string(out.join("training.jsonl")).unwrap();
    let first: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    let want = common::json("peft/curve.json")["steps"][0]["loss"].as_f64().unwrap();
    let got = first["loss"].as_f64().unwrap();
    assert!((got / want - 1.0).abs() < 1e-3, "{got} against {want}");
    let config = std::fs::read_to_string(out.join("adapter_config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["r"], 2, "the rank of the given adapter is kept");
}

/// A limit on the size of files stands for a disk without space: writes fail part of the way.
#[cfg(unix)]
#[test]
fn a_disk_without_space_is_told_and_leaves_no_half_file() {
    let (dir, file) = texts();
    let run = |args: &[&str]| {
        let program = assert_cmd::cargo::cargo_bin("residuum");
        let script = "trap '' XFSZ; ulimit -f 16; exec \"$0\" \"$@\"";
        let output = std::process::Command::new("sh")
            .args(["-c", script, text(&program)])
            .args(args)
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        stderr
    };
    let acts = dir.path().join("acts.h5");
    let stderr = run(&["capture", "--texts", &file, "--layers", "all", "--out", text(&acts)]);
    assert!(stderr.contains("acts.h5"), "{stderr}");
    assert!(!acts.exists(), "half an activation file stands");
    let rows = fixtures().join("peft/rows.jsonl");
    let out = dir.path().join("adapter");
    let stderr = run(&["finetune", "--data", text(&rows), "--max-steps", "1", "--out", text(&out)]);
    assert!(stderr.contains("adapter_model.safetensors"), "{stderr}");
    assert!(!out.join("adapter_model.safetensors").exists());
    let export = dir.path().join("folder");
    let stderr = run(&["model", "export", "--out", text(&export)]);
    assert!(stderr.contains("folder"), "{stderr}");
    assert!(!export.join("model.safetensors").exists());
}
