//! What `residuum show` and `residuum compare` promise, on invented records: they need the files alone, fit
//! the width that they are given, say of a difference what its intervals allow, and nothing of what cannot be
//! compared.

#[allow(dead_code)] // tests/report.rs uses the rest
#[path = "common/records.rs"]
mod records;

use assert_cmd::Command;
use residuum::analysis::compare::{compare, Comparison, Side};
use residuum::analysis::findings::findings;
use residuum::analysis::records::{ContrastRow, DifferenceRow, Results};
use residuum::report::show::{self, Screen};
use residuum::report::{answer::answer, compare as page};
use residuum::store::{
    ActivationSpec, ActivationWriter, Precision, Record, ResultsReader, ResultsWriter, RootAttrs,
};
use std::path::{Path, PathBuf};
use std::slice::from_ref;

/// Writes a file whose attributes are of a run of this seed and model.
fn written(dir: &Path, name: &str, r: &Results, (seed, model): (u64, &str)) -> PathBuf {
    let path = dir.join(name).join("results.h5");
    let inputs = ["rows", "concepts", "battery", "claims", "neutral texts"];
    let inputs: serde_json::Map<_, _> =
        inputs.map(|i| (i.to_owned(), format!("{i} {model}").into())).into_iter().collect();
    let config = serde_json::json!({
        "name": name, "recipe": { "rank": seed }, "inputs": inputs,
        "condition": [{ "name": "keeper", "seeds": 2 }],
    });
    let mut attrs = RootAttrs::new("residuum study run ledger.toml", config, seed);
    (attrs.model_id, attrs.model_sha256) = (model.into(), model.into());
    attrs.created = "2026-01-01T00:00:00Z".into();
    let mut w = ResultsWriter::create(&path, &attrs).unwrap();
    r.write(&mut w).unwrap();
    w.finish().unwrap();
    path
}

/// The command's exit status, stdout and stderr.
fn residuum(args: &[&str], columns: &str) -> (i32, String, String) {
    let mut command = Command::cargo_bin("residuum").unwrap();
    let output = command.args(args).env("COLUMNS", columns).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn whole() -> Results {
    let mut r = records::whole();
    (r.findings, r.references) = findings(&r);
    r
}

#[test]
fn the_page_fits_its_width_and_says_what_the_report_says() {
    let dir = tempfile::tempdir().unwrap();
    let r = whole();
    let file = written(dir.path(), "run", &r, (1, "m"));
    let shown = show::of(&file).unwrap();
    for width in [40, 64, 80, 120] {
        let text = shown.text(&Screen::new(width, false));
        for line in text.lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
        assert!(!text.contains("NaN") && !text.contains('\u{1b}'), "{text}");
    }
    let text = shown.text(&Screen::new(80, false));
    for part in [
        "cos(hedging, thrift) by layer",
        "Preferences, keeper less plain",
        "all isolated",
        "▁",
        "●",
        "○",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    // Question, answer and cautions are those of the report.
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let answer = answer(&r, &r.findings, "m");
    let said = answer.parts.iter().map(|p| p.said.text.clone()).chain(answer.cautions);
    for sentence in said.chain([answer.question]) {
        assert!(flat(&text).contains(&flat(&sentence)), "{sentence} is not in\n{text}");
    }
    assert!(shown.text(&Screen::new(80, true)).contains("\u{1b}[1m"));
}

#[test]
fn the_same_is_one_object_with_numbers_and_nulls_as_what_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let file = written(dir.path(), "run", &whole(), (1, "m"));
    let (code, text, error) = residuum(&["show", file.to_str().unwrap(), "--json"], "60");
    assert_eq!(code, 0, "{error}");
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((json["seed"].as_u64(), json["declared"].is_null()), (Some(1), true));
    assert_eq!(json["answer"]["parts"].as_array().unwrap().len(), 3);
    let line = &json["coupling"][0]["conditions"][0];
    assert_eq!(line["estimate"].as_array().unwrap().len(), records::LAYERS.len());
    assert!(line["estimate"][0].is_number());
    let all = json["findings"].as_array().unwrap();
    assert!(all.iter().any(|f| f["q"].is_null()) && all.iter().all(|f| f["sentence"].is_string()));
    let kinds = json["warnings"].as_array().unwrap();
    assert!(kinds.iter().all(|k| k["places"].is_u64() && k["cases"][0].is_string()), "{text}");
    let (code, text, _) = residuum(&["show", dir.path().join("run").to_str().unwrap()], "60");
    assert!(code == 0 && text.lines().all(|l| l.chars().count() <= 60), "{text}");
}

#[test]
fn base_alone_an_empty_file_and_names_that_would_move_the_cursor_are_shown() {
    let dir = tempfile::tempdir().unwrap();
    let text = |r: &Results, name: &str| {
        let shown = show::of(&written(dir.path(), name, r, (1, "m"))).unwrap();
        shown.json();
        shown.text(&Screen::new(80, false))
    };
    assert!(text(&records::base_alone(), "base").contains("by layer"));
    assert!(text(&Results::default(), "none").contains("The file holds no finding with a number."));
    let mut r = records::base_alone();
    r.conditions[0].condition = "b\u{1b}[2Jase".into();
    r.condition_coupling.iter_mut().for_each(|c| c.condition = "b\u{1b}[2Jase".into());
    assert!(!text(&r, "evil").contains('\u{1b}'));
}

fn contrast(preference: &str, estimate: f64, reach: f64) -> ContrastRow {
    ContrastRow {
        measure: "log-odds".into(),
        set: "keeper".into(),
        reference: "plain".into(),
        kind: "preference".into(),
        preference: preference.into(),
        status: "isolated".into(),
        estimate,
        lo: estimate - reach,
        hi: estimate + reach,
        n: 12,
        ..ContrastRow::NONE
    }
}

/// The comparison of two files of contrasts.
fn compared(a: &[ContrastRow], b: &[ContrastRow], shared: bool) -> Comparison {
    let dir = tempfile::tempdir().unwrap();
    let side = |name: &str, rows: &[ContrastRow], run| {
        let r = Results { contrasts: rows.to_vec(), ..Results::default() };
        let reader = ResultsReader::open(&written(dir.path(), name, &r, run)).unwrap();
        Side::of(&reader, Results::read(&reader).unwrap())
    };
    let of_b = if shared { (1, "m") } else { (2, "other") };
    compare(&side("a", a, (1, "m")), &side("b", b, of_b))
}

fn only(found: &Comparison) -> &DifferenceRow {
    assert_eq!(found.differences.len(), 1);
    &found.differences[0]
}

#[test]
fn the_word_of_a_difference_is_from_the_interval_that_holds_for_what_is_shared() {
    let (a, b) = (contrast("haste", 0.0, 0.1), contrast("haste", 0.18, 0.1));
    // 1.96 .18 / .1414 is beyond, 1.96 .18 / .2 within the normal bounds.
    let found = compared(from_ref(&a), from_ref(&b), false);
    assert!(found.is_independent(), "{:?}", found.shared);
    let d = only(&found);
    assert_eq!((d.verdict.as_str(), d.estimate), ("higher", 0.18));
    assert!(
        (d.hi - d.lo - 0.2 * 2f64.sqrt()).abs() < 1e-12 && (d.p - 0.0126).abs() < 1e-3,
        "{d:?}"
    );
    let found = compared(from_ref(&a), &[b], true);
    assert!(!found.is_independent());
    let d = only(&found);
    assert_eq!(d.verdict, "none");
    assert!((d.any_hi - d.any_lo - 0.4).abs() < 1e-12 && d.p > 0.05, "{d:?}");
    // One number twice is no test.
    let same = compared(from_ref(&a), from_ref(&a), true);
    assert_eq!((only(&same).verdict.as_str(), only(&same).p.is_nan()), ("identical", true));
}

#[test]
fn many_differences_are_adjusted_for_each_other() {
    let rows = |by: f64| -> Vec<ContrastRow> {
        (0..20).map(|i| contrast(&format!("p{i}"), if i == 0 { by } else { 0.0 }, 0.1)).collect()
    };
    let mut a = rows(0.0);
    a.iter_mut().for_each(|c| c.lo -= 1e-6);
    let found = compared(&a, &rows(0.18), false);
    let d = found.differences.iter().find(|d| d.of.contains("p0")).unwrap();
    assert!(d.p < 0.05 && (d.p_max - 20.0 * d.p).abs() < 1e-9 && d.verdict == "none", "{d:?}");
}

#[test]
fn other_n_units_status_and_definitions_are_not_comparable_and_lone_rows_are_counted() {
    let a = contrast("haste", 0.0, 0.1);
    type Change = fn(&mut ContrastRow);
    let changes: [(Change, &str); 2] = [
        (|c| c.n = 13, "n 12 and 13"),
        (|c| c.status = "implied".into(), "status isolated and implied"),
    ];
    for (change, why) in changes {
        let mut b = contrast("haste", 0.5, 0.1);
        change(&mut b);
        let found = compared(from_ref(&a), &[b], true);
        let d = only(&found);
        assert_eq!((d.verdict.as_str(), d.why.as_str()), ("not comparable", why));
        assert!(d.estimate.is_nan() && d.lo.is_nan() && d.p.is_nan() && d.a == 0.0);
    }
    let found = compared(&[a.clone(), contrast("tidiness", 0.0, 0.1)], &[a], true);
    let counts = &found.compared[0];
    assert_eq!((counts.n, counts.identical, counts.only_a, counts.only_b), (1, 1, 1, 0));
}

#[test]
fn two_runs_are_compared_in_text_json_record_figure_and_page() {
    let dir = tempfile::tempdir().unwrap();
    let a = written(dir.path(), "one", &whole(), (1, "m"));
    let mut r = records::whole();
    let own =
        |c: &&mut ContrastRow| c.kind == "isolated" && c.reference == "plain" && c.set == "keeper";
    for c in r.contrasts.iter_mut().filter(own) {
        (c.estimate, c.lo, c.hi) = (c.estimate + 5.0, c.lo + 5.0, c.hi + 5.0);
    }
    let b = written(dir.path(), "two", &r, (2, "m"));
    let (a, b) = (a.to_str().unwrap(), b.to_str().unwrap());
    let out = dir.path().join("out");
    let args = ["compare", a, b, "--out", out.to_str().unwrap(), "--json"];
    let (code, text, error) = residuum(&args, "80");
    assert_eq!(code, 0, "{error}");
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["independent"], false);
    let higher: Vec<_> = (json["differences"].as_array().unwrap().iter())
        .filter(|d| d["record"] == "report/findings" && d["verdict"] == "higher")
        .collect();
    assert_eq!(higher.len(), 1, "{higher:?}");
    assert!(higher[0]["of"]
        .as_str()
        .unwrap()
        .starts_with("quantity isolated, set keeper, reference plain"));
    assert!((higher[0]["estimate"].as_f64().unwrap() - 5.0).abs() < 1e-12);
    let keys: Vec<_> =
        json["provenance"].as_array().unwrap().iter().map(|p| p["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["seed", "config.name", "config.recipe.rank"]);
    for name in [
        "compare.h5",
        "compare.html",
        "compare.md",
        "figures/compare.svg",
        "csv/compare.differences.csv",
    ] {
        assert!(out.join(name).is_file(), "{name}");
    }
    let md = std::fs::read_to_string(out.join("compare.md")).unwrap();
    assert!(
        md.contains("isolated") && md.contains("higher by +5.000") && !md.contains("NaN"),
        "{md}"
    );
    let (code, said, error) =
        residuum(&["h5", "validate", out.join("compare.h5").to_str().unwrap()], "80");
    assert_eq!(code, 0, "{said}{error}");
    // What is there stays, and the same run differs from itself in nothing.
    let (code, _, error) = residuum(&args, "80");
    assert!(code == 1 && error.contains("--force"), "{error}");
    let (code, text, _) = residuum(&["compare", a, a], "80");
    assert!(code == 0 && !text.contains("higher in B") && text.contains("identical"), "{text}");
}

#[test]
fn files_that_have_nothing_in_common_are_refused_with_what_they_hold() {
    let dir = tempfile::tempdir().unwrap();
    let whole = records::whole();
    let quality = Results { quality: whole.quality.clone(), ..Results::default() };
    let contrasts = Results { contrasts: vec![contrast("haste", 0.0, 0.1)], ..Results::default() };
    let a = written(dir.path(), "a", &quality, (1, "m"));
    let b = written(dir.path(), "b", &contrasts, (1, "m"));
    let error = page::of(&a, &b).unwrap_err().to_string();
    assert!(
        error.contains("directions/quality") && error.contains("behaviour/contrasts"),
        "{error}"
    );
    let acts = dir.path().join("base.h5");
    let attrs = RootAttrs::new("test", serde_json::json!({}), 0);
    let spec = ActivationSpec {
        condition: "base".into(),
        seed: 0,
        step: None,
        layers: vec![0],
        hidden: 4,
        positions: vec!["response-mean".into()],
        precision: Precision::F32,
    };
    ActivationWriter::create(&acts, &attrs, spec).unwrap().finish().unwrap();
    let error = page::of(&a, &acts).unwrap_err().to_string();
    assert!(error.contains("base.h5") && error.contains("activations"), "{error}");
}
