//! A user's files: what the program says of those it cannot use, and that it never writes over one.

mod common;

use assert_cmd::Command;
use common::toy::Toy;
use std::path::{Path, PathBuf};

/// Exit code and stderr.
fn run(args: &[&str]) -> (i32, String) {
    let output = Command::cargo_bin("residuum").unwrap().args(args).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!stderr.contains("panicked"), "{args:?}: {stderr}");
    (output.status.code().unwrap(), stderr)
}

/// Fails with 1 and says each of `words`.
fn fails_with(args: &[&str], words: &[&str]) {
    let (code, stderr) = run(args);
    assert_eq!(code, 1, "{args:?}: {stderr}");
    for word in words {
        assert!(stderr.contains(word), "{args:?}: {word:?} is not in {stderr}");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Place(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        text(&path).to_string()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn new_file(&self, name: &str) -> String {
        text(&self.path(name)).to_string()
    }
}

const TEXTS: &str = "{\"id\": \"a\", \"text\": \"w1 é\"}\n{\"id\": \"b\", \"text\": \"w3 w4 ü\"}\n";

/// A model that cannot be had: whoever names it in an error has begun to work.
const NONE: &str = "no-such-model";

#[test]
fn bytes_that_are_no_text_are_told_as_what_they_are_by_every_reader() {
    let place = Place::new();
    let wide: Vec<u8> = TEXTS.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let latin: Vec<u8> = TEXTS.chars().map(|c| c as u32 as u8).collect();
    let marked = [&b"\xff\xfe"[..], &wide].concat();
    let cases: [(&str, &[u8], &str); 6] = [
        ("wide.jsonl", &wide, "line 1: this is text in UTF-16LE"),
        ("marked.jsonl", &marked, "line 1: this is text in UTF-16"),
        ("latin.jsonl", &latin, "line 1: byte 0xE9"),
        ("packed.jsonl", b"\x1f\x8b\x08\x00\x00", "line 1: this is a gzip file"),
        ("zip.jsonl", b"PK\x03\x04\x14", "line 1: this is a zip archive"),
        ("rows.jsonl", b"PAR1\x15\x04", "line 1: this is a Parquet file"),
    ];
    let out = place.new_file("out.h5");
    for (name, bytes, words) in cases {
        let file = place.file(name, bytes);
        let words = [&format!("{name}, {words}")[..]];
        fails_with(&["capture", "--texts", &file, "--out", &out], &words);
        fails_with(&["finetune", "--data", &file, "--out", &out], &words);
        fails_with(&["extract", "--concept", &file, "--out", &out], &words);
        fails_with(&["distill", "--prompts", &file, "--out", &out], &words);
        let battery = place.path(&format!("battery-{name}"));
        std::fs::create_dir(&battery).unwrap();
        std::fs::write(battery.join(name), bytes).unwrap();
        fails_with(&["behave", "--battery", text(&battery), "--out", &out], &words);
    }
    assert!(!Path::new(&out).exists());
}

#[test]
fn the_checks_of_materials_name_such_files_and_go_on_with_the_others() {
    let place = Place::new();
    place.file("a.jsonl", b"\x1f\x8b\x08\x00\x00");
    place.file("b.jsonl", "[{\"prompt\": \"x\"}]");
    let lint = ["materials", "lint", text(place.0.path())];
    let output = Command::cargo_bin("residuum").unwrap().args(lint).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    for words in ["a.jsonl:1: error: this is a gzip file", "b.jsonl:1: error: this is a JSON array"]
    {
        assert!(stdout.contains(words), "{stdout}");
    }
}

#[test]
fn other_forms_of_rows_are_told_with_line_and_remedy() {
    let place = Place::new();
    let out = place.new_file("out.h5");
    for (name, content, words) in [
        ("array.jsonl", "[\n{\"id\": \"a\"}]", "array.jsonl, line 1: this is a JSON array"),
        (
            "table.csv",
            "id,text\na,x\n",
            "table.csv, line 1: no JSON object begins here, but `id,text`",
        ),
        ("key.jsonl", "{\"id\": \"a\", \"txt\": \"x\"}", "key.jsonl, line 1: unknown field `txt`"),
        (
            "kind.jsonl",
            "\n{\"id\": 7, \"text\": \"x\"}",
            "kind.jsonl, line 2: key `id`: invalid type",
        ),
    ] {
        let file = place.file(name, content);
        fails_with(&["capture", "--texts", &file, "--out", &out], &[words]);
    }
}

#[test]
fn a_row_that_the_model_cannot_read_is_named_by_file_and_line() {
    let toy = Toy::new();
    let model = text(toy.dir.path());
    let place = Place::new();
    let out = place.new_file("acts.h5");
    let long = "w1 ".repeat(600);
    let rows = format!(
        "\n{{\"id\": \"a\", \"text\": \"w1 w2\"}}\n{{\"id\": \"b\", \"text\": \"{long}\"}}\n"
    );
    let file = place.file("long.jsonl", rows);
    let capture = |file: &str, at: &str, words: &[&str]| {
        let args = ["capture", "--model", model, "--texts", file, "--at", at, "--out", &out];
        fails_with(&args, words);
        assert!(!Path::new(&out).exists());
    };
    capture(&file, "all-mean", &["long.jsonl, line 3, text `b`: text of 600 tokens"]);
    let file = place.file("short.jsonl", "\n\n{\"id\": \"b\", \"text\": \"w1\"}\n");
    let words = "short.jsonl, line 3, text `b`: there is no token at `all-mean`; its only token is at position 0";
    capture(&file, "all-mean", &[words]);
    capture(&file, "response-mean", &["short.jsonl, line 3", "its only token"]);
    let rows = format!("{{\"prompt\": \"w1\"}}\n\n{{\"prompt\": \"{long}\"}}\n");
    let file = place.file("prompts.jsonl", rows);
    let answers = place.new_file("answers.jsonl");
    let args = ["distill", "--model", model, "--prompts", &file, "--out", &answers];
    fails_with(&args, &["prompts.jsonl, line 3: text of 60"]);
    let turns = |answer: &str| {
        format!("{{\"messages\": [{{\"role\": \"user\", \"content\": \"w1\"}}, {{\"role\": \"assistant\", \"content\": \"{answer}\"}}]}}\n")
    };
    let rows = format!("{{\"about\": {{}}}}\n{}\n{}", turns("w2"), turns("w2 w3 w4 w5 w6"));
    let file = place.file("rows.jsonl", rows);
    let folder = place.new_file("adapter");
    let tune = |limit: &str, words: &str| {
        let args = [
            "finetune",
            "--model",
            model,
            "--data",
            &file,
            "--max-tokens",
            limit,
            "--out",
            &folder,
        ];
        fails_with(&args, &[words]);
    };
    tune("8", "rows.jsonl, line 4: the row has 10 tokens, more than max_tokens = 8");
}

#[test]
fn no_command_takes_an_input_for_its_output() {
    let toy = Toy::new();
    let model = text(toy.dir.path());
    let place = Place::new();
    let texts = place.file("t.jsonl", TEXTS);
    let rows = place.file("training.jsonl", "{\"messages\": []}\n");
    let folder = text(place.0.path());
    let config = text(&toy.dir.path().join("config.json")).to_string();
    let named = format!("x={folder}");
    let cases: Vec<(Vec<&str>, &str)> = vec![
        (vec!["capture", "--model", NONE, "--texts", &texts, "--out", &texts], "--texts reads"),
        (vec!["capture", "--model", model, "--texts", &texts, "--out", &config], "--model reads"),
        (vec!["finetune", "--model", NONE, "--data", &rows, "--out", folder], "--data reads"),
        (vec!["finetune", "--model", model, "--data", &rows, "--out", model], "--model reads"),
        (
            vec!["extract", "--model", model, "--concept", "persona", "--out", model],
            "--model reads",
        ),
        (
            vec!["geometry", "--model", NONE, "--adapter", &named, "--out", folder],
            "--adapter reads",
        ),
        (vec!["behave", "--model", NONE, "--battery", folder, "--out", folder], "--battery reads"),
        (
            vec![
                "steer",
                "--model",
                NONE,
                "--vector",
                &texts,
                "--name",
                "n",
                "--sweep=1",
                "--adapter",
                folder,
                "--out",
                folder,
            ],
            "--adapter reads",
        ),
        (vec!["distill", "--model", NONE, "--prompts", &texts, "--out", &texts], "--prompts reads"),
        (vec!["link", &texts, "--out", &texts], "RUN reads"),
        (vec!["vectors", "scale", &texts, "--by", "2", "--out", &texts], "the command reads"),
        (vec!["model", "export", model, "--out", model], "--model reads"),
        (vec!["man", "--out", &texts], "is no folder"),
        (vec!["study", "run", &texts, "--out", &texts], "is no folder"),
    ];
    for (args, words) in cases {
        fails_with(&args, &[words]);
    }
    assert_eq!(std::fs::read_to_string(&texts).unwrap(), TEXTS);
    assert_eq!(std::fs::read_to_string(&rows).unwrap(), "{\"messages\": []}\n");
}

#[test]
fn a_file_of_somebody_elses_is_no_store_of_verdicts() {
    let place = Place::new();
    let notes = place.file("notes.txt", "notes without a newline");
    let answers = place.path("answers");
    std::fs::create_dir(&answers).unwrap();
    let folder = text(place.0.path());
    let args = |verdicts: &str| {
        let url = "http://127.0.0.1:1/v1";
        let args = ["behave", "--rejudge", "--judge", url, "--judge-model", "m", "--out", folder];
        let more = ["--verdicts", verdicts];
        [&args[..], &more].concat().iter().map(|a| a.to_string()).collect::<Vec<_>>()
    };
    let same = place.new_file("results.h5");
    let refused = |verdicts: &str, words: &str| {
        let args = args(verdicts);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        fails_with(&args, &[words]);
    };
    refused(&same, "would both write");
    refused(folder, "is a folder");
    std::fs::write(
        answers.join("base.jsonl"),
        r#"{"state":"base","preference":"shutdown","group":"g","prompt_id":"p","form":"open","sample":0,"fact":"F.","messages":[{"role":"user","content":"Q?"}],"answer":"A.","tokens":1,"cut":false,"drawn":{"model":"m","model_sha256":"0","adapter_sha256":null,"edit":null,"seed":0,"temperature":1.0,"top_p":1.0,"max_tokens":8}}
"#,
    )
    .unwrap();
    refused(&notes, "notes.txt, line 1: not such a row");
    assert_eq!(std::fs::read_to_string(&notes).unwrap(), "notes without a newline");
}
