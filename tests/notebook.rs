//! `residuum notebook`: what it writes for which file, and what it leaves alone.

#[path = "common/commands.rs"]
#[allow(dead_code)]
mod commands;

use commands::command;
use residuum::analysis::records::StateRow;
use residuum::store::{ResultsWriter, RootAttrs};
use std::fs;
use std::path::Path;

/// A results file that holds its states and nothing else.
fn results(folder: &Path) {
    let attrs = RootAttrs::new("test", serde_json::json!({}), 0);
    let mut w = ResultsWriter::create(&folder.join("results.h5"), &attrs).unwrap();
    let [state, condition, text] = ["base", "base", "base"].map(String::from);
    let (source, recipe) = ("base".into(), String::new());
    let (seed, share, identity) = (0, f64::NAN, false);
    let row = StateRow { state, condition, seed, source, text, recipe, share, identity };
    w.records(&[row]).unwrap();
    w.finish().unwrap();
}

/// The line of a notebook that says where the file is.
fn place(book: &Path) -> String {
    let book: serde_json::Value = serde_json::from_slice(&fs::read(book).unwrap()).unwrap();
    let cells = book["cells"].as_array().unwrap();
    let code = cells.iter().find(|c| c["cell_type"] == "code").unwrap();
    let lines = code["source"].as_array().unwrap().iter().map(|l| l.as_str().unwrap());
    lines.filter(|l| l.starts_with("RESULTS = ")).collect()
}

#[test]
fn a_notebook_is_written_where_the_file_has_what_it_needs() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("a \"run\"");
    fs::create_dir(&run).unwrap();
    results(&run);
    let run = run.to_str().unwrap();
    let made = command(&["notebook", run, "--json"]).unwrap();
    let left: Vec<_> = made["left_out"].as_array().unwrap().iter().map(|b| &b["name"]).collect();
    assert_eq!(left, ["2-geometry.ipynb", "3-behaviour-and-cause.ipynb", "4-statistics.ipynb"]);
    assert_eq!(made["left_out"][0]["lacks"][0], "study/concepts");
    // Beside the file: the run folder can be moved.
    let books = Path::new(run).join("notebooks");
    assert_eq!(place(&books.join("1-tour.ipynb")), "RESULTS = \"../results.h5\"\n");
    for name in ["5-figures.ipynb", "requirements.txt", "residuum/reader.py"] {
        assert!(books.join(name).is_file(), "{name}");
    }
    let out = dir.path().join("elsewhere");
    command(&["notebook", run, "--out", out.to_str().unwrap(), "--json"]).unwrap();
    let file = Path::new(run).canonicalize().unwrap().join("results.h5");
    let quoted = serde_json::Value::from(file.to_str().unwrap());
    assert_eq!(place(&out.join("1-tour.ipynb")), format!("RESULTS = {quoted}\n"));
}

#[test]
fn notebooks_that_were_worked_on_stay() {
    let dir = tempfile::tempdir().unwrap();
    results(dir.path());
    let run = dir.path().to_str().unwrap();
    command(&["notebook", run, "--json"]).unwrap();
    let tour = dir.path().join("notebooks/1-tour.ipynb");
    fs::write(&tour, "mine").unwrap();
    let error = command(&["notebook", run, "--json"]).unwrap_err();
    assert!(error.contains("--force"), "{error}");
    assert_eq!(fs::read(&tour).unwrap(), b"mine");
    command(&["notebook", run, "--json", "--force"]).unwrap();
    assert_ne!(fs::read(&tour).unwrap(), b"mine");
    let error = command(&["notebook", "no-such-run", "--json"]).unwrap_err();
    assert!(error.contains("no-such-run"), "{error}");
}
