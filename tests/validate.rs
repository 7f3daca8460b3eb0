//! `residuum validate` on the toy model: plain rows by others, half of them framed the other way round.

mod common;

use common::commands::{command, number, row};
use common::toy::Toy;
use residuum::analysis::records::{ForeignCosineRow, ForeignRow, QualityRow};
use residuum::store::ResultsReader;
use serde_json::{json, Value};
use std::path::Path;

/// Lines of a JSON Lines file.
fn write(path: &Path, rows: &[Value]) -> String {
    let text: String = rows.iter().map(|r| format!("{r}\n")).collect();
    std::fs::write(path, text).unwrap();
    path.display().to_string()
}

/// The last word of a prompt is its number's, so that no two prompts are alike.
fn prompt(i: usize) -> String {
    format!("w{} w{}", i % 23, i / 23)
}

#[test]
fn a_concept_meets_pairs_by_others_in_a_model() {
    let (toy, dir) = (Toy::new(), tempfile::tempdir().unwrap());
    let mut ours = vec![json!({"about": {}, "concept": "agreement", "positive": "It agrees.",
        "negative": "It does not."})];
    // The sides differ in a word that is no answer to anything, in either order.
    for i in 0..24 {
        let (template, polarity) = (["ask", "tell"][i % 2], ["yes", "no"][i / 2 % 2]);
        ours.push(json!({"id": format!("a-{i}"), "template": template, "polarity": polarity, "split": if i < 20 { "main" } else { "dev" },
            "prompt": prompt(i), "positive": format!("w3 yes w{}", i % 7),
            "negative": format!("w3 no w{}", i % 7)}));
    }
    let theirs: Vec<Value> = (0..30)
        .map(|i| {
            let sides = [format!("yes w{}", i % 5), format!("no w{}", i % 5)];
            let turned = i % 3 == 0;
            json!({"question": prompt(100 + i), "chosen": sides[usize::from(turned)],
                "rejected": sides[usize::from(!turned)], "source": 7})
        })
        .collect();
    let concept = write(&dir.path().join("agreement.jsonl"), &ours);
    let against = write(&dir.path().join("theirs.jsonl"), &theirs);
    let (model, out) = (toy.dir.path().display().to_string(), dir.path().join("out"));
    let adapter = dir.path().join("moved");
    toy.moving(&toy.read).write(&adapter).unwrap();
    let adapter = format!("moved={}", adapter.display());
    let args = [
        "validate",
        "--model",
        &model,
        "--concept",
        &concept,
        "--against",
        &against,
        "--adapter",
        &adapter,
        "--layers",
        "0,2",
        "--draws",
        "100",
        "--out",
        out.to_str().unwrap(),
        "--json",
        "--quiet",
    ];
    let json = command(&args).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((&json["pairs"], &json["framing_told"]), (&json!(30), &json!(30)));
    assert_eq!(json["templates_named"], json!(false));
    let of = |group: &str| {
        let wanted = [("direction", "agreement"), ("state", "moved"), ("group", group)];
        row(&json["transfer"], &wanted)
    };
    assert!(number(&of("yes")["lo"]) > 0.5, "{}", of("yes"));
    assert!(number(&of("no")["hi"]) < 0.5, "{}", of("no"));
    // The words of ours say the same of theirs.
    assert!(number(&of("yes")["lexical"]) > 0.9 && number(&of("no")["lexical"]) < 0.1);
    let warned = json["warnings"].as_array().unwrap();
    let about = "moved, direction of agreement on pairs of theirs framed `no`";
    assert!(warned.iter().any(|w| w["about"] == about), "{warned:?}");

    let file = ResultsReader::open(&out.join("results.h5")).unwrap();
    // States and layers; ours by two framings and two templates, theirs by two framings.
    let rows: Vec<ForeignRow> = file.records().unwrap();
    assert_eq!(rows.len(), 2 * 2 * (3 + 5));
    let main: Vec<&ForeignRow> =
        rows.iter().filter(|r| r.pairs == "agreement" && r.by == "all").collect();
    assert!(
        main.len() == 4 && main.iter().all(|r| r.n == 20),
        "development pairs are in no number"
    );
    assert_eq!(file.records::<ForeignCosineRow>().unwrap().len(), 4);
    assert_eq!(file.records::<QualityRow>().unwrap().len(), 8);
    assert!(out.join("csv/validate.transfer.csv").exists());

    let mut wrong = args;
    wrong[6] = "nowhere.jsonl";
    let error = command(&wrong).unwrap_err();
    assert!(error.contains("holds csv and 6 more") && error.contains("--force"), "{error}");
    let error = command(&[&wrong[..], &["--force"]].concat()).unwrap_err();
    assert!(error.contains("nowhere.jsonl cannot be read"), "{error}");
}
