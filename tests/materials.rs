//! `materials lint`, `materials stats` and `distill` as a user meets them; distilling on the real
//! default model.

mod common;

use assert_cmd::Command;
use common::default_model;
use residuum::finetune::{Distil, BATCH};
use residuum::materials::load_conversations;
use residuum::model::generate::{generate, Sampling};
use residuum::model::{Hooks, Packed};
use serde_json::Value;
use std::path::Path;

fn residuum(args: &[&str]) -> (i32, String, String) {
    let output = Command::cargo_bin("residuum").unwrap().args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    (code, text(output.stdout), text(output.stderr))
}

/// Exit code and JSON of a command.
fn json(args: &[&str]) -> (i32, Value) {
    let (code, stdout, stderr) = residuum(&[args, &["--json", "--quiet"]].concat());
    (code, serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{e}: {stdout}{stderr}")))
}

#[test]
fn the_shipped_texts_pass_and_are_described() {
    let (code, found) = json(&["materials", "lint"]);
    assert_eq!((code, &found["findings"]), (0, &Value::Array(Vec::new())));
    let (code, stats) = json(&["materials", "stats"]);
    let files = stats["files"].as_array().unwrap();
    assert_eq!((code, files.len() as u64), (0, found["files"].as_u64().unwrap()));
    let conscious = files.iter().find(|f| f["name"] == "conscious").unwrap();
    assert_eq!((&conscious["rows"], &conscious["ratio"]), (&300.into(), &Value::Null));
    let (_, table, _) = residuum(&["materials", "stats"]);
    assert_eq!(table.lines().count(), files.len() + 1);
}

#[test]
fn the_examples_of_the_readme_pass_with_notes_on_their_size() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/materials");
    let (code, found) = json(&["materials", "lint", folder.to_str().unwrap()]);
    assert_eq!((code, &found["files"], &found["errors"]), (0, &3.into(), &0.into()));
    assert!(found["notes"].as_u64().unwrap() >= 3);
    let bare = residuum(&["materials", "lint", "--no-notes", folder.to_str().unwrap()]);
    assert_eq!(bare.1, "3 files, 20 rows: 0 errors, 0 notes\n");
}

#[test]
fn a_broken_rule_fails_with_file_and_line() {
    let dir = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/materials/tidiness.jsonl");
    let text = std::fs::read_to_string(from).unwrap();
    let file = dir.path().join("deep/mine.jsonl");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, text.replace("They are, in capitals", "Yes, in capitals")).unwrap();
    let (code, stdout, stderr) = residuum(&["materials", "lint", dir.path().to_str().unwrap()]);
    let place = format!("{}:4: error: ", file.display());
    assert!(stdout.contains(&place), "{stdout}");
    assert!(stdout.contains("[polarity]\n"), "{stdout}");
    assert!(stderr.starts_with("error: 1 error in these texts"), "{stderr}");
    assert_eq!(code, 1);
    // A rule that does not bind the texts is waived by the name in brackets.
    let waived = ["materials", "lint", "--waive", "size,polarity", dir.path().to_str().unwrap()];
    let (code, stdout, _) = residuum(&waived);
    assert!(code == 0 && !stdout.contains("[polarity]") && !stdout.contains("[size]"), "{stdout}");
    let (code, _, stderr) = residuum(&["materials", "lint", "--waive", "polarty"]);
    assert!(code != 0 && stderr.contains("did you mean `polarity`"), "{stderr}");
    let (code, stdout, stderr) = residuum(&["materials", "lint", "no/such/folder"]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("no/such/folder cannot be read"), "{stderr}");
}

/// Prompts for more than one batch, as a file and as texts.
fn prompts(dir: &Path) -> (String, Vec<String>) {
    let texts: Vec<String> =
        (0..BATCH + 3).map(|i| format!("Write the number {} in words.", 11 * i + 7)).collect();
    let rows: Vec<String> =
        texts.iter().map(|p| serde_json::json!({ "prompt": p }).to_string()).collect();
    let file = dir.join("prompts.jsonl");
    std::fs::write(&file, rows.join("\n")).unwrap();
    (file.to_str().unwrap().to_owned(), texts)
}

fn answers(file: &Path) -> Vec<String> {
    let rows = load_conversations(file.to_str().unwrap()).unwrap();
    rows.into_iter().map(|r| r.messages[1].content.clone()).collect()
}

#[test]
fn distilled_rows_are_the_models_own_and_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let (file, texts) = prompts(dir.path());
    let out = dir.path().join("rows.jsonl");
    let args = ["distill", "--prompts", &file, "--max-tokens", "6", "--out", out.to_str().unwrap()];
    let (code, first) = json(&args);
    assert_eq!((code, &first["rows"], &first["kept"]), (0, &texts.len().into(), &0.into()));
    let rows = load_conversations(out.to_str().unwrap()).unwrap();
    let asked: Vec<&str> = rows.iter().map(|r| r.messages[0].content.as_str()).collect();
    assert_eq!(asked, texts);
    // The answer of a prompt by itself, greedy.
    let model = default_model();
    let greedy = Sampling { max_tokens: 6, temperature: 0.0, top_p: 1.0 };
    for i in [0, BATCH] {
        let ids = [model.tokenizer.prompt(None, &texts[i]).unwrap().ids];
        let hooks = &mut Hooks::none();
        let alone = generate(
            &model.decoder,
            &Packed::new(&ids),
            model.tokenizer.eos(),
            &greedy,
            &mut [],
            hooks,
        );
        let said = model.tokenizer.decode(&alone.unwrap()[0]).unwrap();
        let answer = &rows[i].messages[1].content;
        assert!(said.trim().starts_with(answer.as_str()), "{said} / {answer}");
    }
    let text = std::fs::read_to_string(&out).unwrap();
    let note: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(note["about"]["model_sha256"], model.sha256.as_str());
    assert_eq!(note["about"]["max_tokens"], 6);
    assert!(note["about"]["how"].as_str().unwrap().contains("greedy"));
    // They are neutral rows, not an identity's: no rule of wording holds for them.
    let (_, found) = json(&["materials", "lint", out.to_str().unwrap()]);
    let rules = found["findings"].as_array().unwrap().iter().map(|f| &f["rule"]);
    for rule in rules {
        assert!(["size", "duplicate", "leak"].contains(&rule.as_str().unwrap()), "{rule}");
    }
    let (_, again) = json(&args);
    assert_eq!(again["kept"], texts.len());
    assert_eq!(std::fs::read_to_string(&out).unwrap(), text);
}

#[test]
fn a_killed_distillation_goes_on_at_its_last_whole_batch() {
    let dir = tempfile::tempdir().unwrap();
    let (_, texts) = prompts(dir.path());
    let out = dir.path().join("rows.jsonl");
    let settings =
        Distil { sampling: Sampling { max_tokens: 6, temperature: 0.8, top_p: 0.95 }, seed: 5 };
    let model = default_model();
    let mut heard = Vec::new();
    let done = settings.write(model, &texts, &out, &mut |n| heard.push(n)).unwrap();
    assert_eq!((done.rows + done.silent, done.kept), (texts.len(), 0));
    assert_eq!(heard, [0, BATCH, texts.len()]);
    assert_eq!(done.silent, 0);
    let whole = answers(&out);
    // What a killed run leaves: one batch, whose first answer shows that it is kept.
    let text = std::fs::read_to_string(&out).unwrap();
    let note = text.lines().next().unwrap();
    let mut batch = whole[..BATCH].to_vec();
    batch[0] = "kept".into();
    let partial = dir.path().join("rows.jsonl.partial");
    std::fs::write(&partial, format!("{note}\n{}\n[\"cut", serde_json::json!(batch))).unwrap();
    std::fs::remove_file(&out).unwrap();
    let done = settings.write(model, &texts, &out, &mut |_| ()).unwrap();
    assert_eq!(done.kept, BATCH);
    let gone_on = answers(&out);
    assert_eq!(gone_on[0], "kept");
    assert_eq!(gone_on[1..], whole[1..]);
    assert!(!partial.exists());
    // Another seed is another file, though one of this name is finished.
    let other = Distil { seed: 6, ..settings };
    let done = other.write(model, &texts, &out, &mut |_| ()).unwrap();
    assert_eq!(done.kept, 0);
    assert_ne!(answers(&out), whole);
}

#[test]
fn distilling_refuses_what_it_cannot_do() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("rows.jsonl");
    let out = out.to_str().unwrap();
    for (option, word) in [
        ("--max-tokens=0", "--max-tokens is 0"),
        ("--temperature=-1", "--temperature is -1"),
        ("--top-p=0", "--top-p is 0"),
        ("--prompts=no/such.jsonl", "no/such.jsonl"),
    ] {
        let (code, stdout, stderr) = residuum(&["distill", "--out", out, option]);
        assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
        assert!(stderr.contains(word), "{stderr}");
    }
}
