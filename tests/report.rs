//! What a report promises, on invented records: it needs the file alone, names no concept or condition
//! that is not in it, draws what the records allow, and leaves out what they do not hold.

#[path = "common/records.rs"]
mod records;

use residuum::analysis::findings::{findings, UNTAKEN};
use residuum::analysis::records::{
    DeclarationRow, DeclaredContrastRow, DeclaredKeyRow, FindingRow, Results, ShiftRow, WarningRow,
};
use residuum::report::{answer::answer, render, sentences::LONGEST};
use residuum::store::{
    ActivationSpec, ActivationWriter, Precision, Record, ResultsReader, RootAttrs,
};
use std::path::{Path, PathBuf};

const FIGURES: [&str; 22] = [
    "ablation",
    "ablation_claim",
    "angles",
    "behaviour",
    "causal",
    "causal_claim",
    "claims",
    "concepts",
    "coupling",
    "directions",
    "dose_response",
    "equivalence",
    "link",
    "means",
    "overview",
    "plane",
    "shift",
    "stability",
    "tokens",
    "training",
    "trajectory",
    "words",
];

/// Names of the shipped study.
const OURS: [&str; 8] =
    ["persona", "autonomy", "conscious", "denial", "toaster", "historical", "roleplay", "shutdown"];

fn written(dir: &Path, results: &Results) -> PathBuf {
    let path = dir.join("results.h5");
    records::write(results, &path);
    path
}

/// Every file below a folder with its bytes.
fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let name = path.strip_prefix(dir).unwrap().display().to_string();
                    all.push((name, std::fs::read(&path).unwrap()));
                }
            }
        }
    }
    all.sort();
    all
}

#[test]
fn report_from_the_file_alone_is_the_same_twice() {
    let (run, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = written(run.path(), &records::whole());
    let first = render(&file, run.path()).unwrap();
    assert!(first.html.is_file() && first.markdown.is_file() && first.json.is_file());
    let alone = copy.path().join("elsewhere.h5");
    std::fs::copy(&file, &alone).unwrap();
    let out = copy.path().join("out");
    render(&alone, &out).unwrap();
    let mut made = contents(run.path());
    made.retain(|(name, _)| !name.starts_with("csv") && name != "results.h5");
    let again = contents(&out);
    let names = |list: &[(String, Vec<u8>)]| -> Vec<String> {
        list.iter().map(|(n, _)| n.clone()).collect()
    };
    assert_eq!(names(&made), names(&again));
    for (a, b) in made.iter().zip(&again) {
        assert!(a.1 == b.1, "{} differs", a.0);
    }
}

#[test]
fn findings_in_the_file_are_those_of_its_records() {
    let dir = tempfile::tempdir().unwrap();
    let mut r = records::whole();
    (r.findings, r.references) = findings(&r);
    let file = written(dir.path(), &r);
    let back = Results::read(&ResultsReader::open(&file).unwrap()).unwrap();
    let said = render(&file, dir.path()).unwrap();
    assert_eq!(back.findings.len(), r.findings.len());
    assert_eq!(said.findings.len(), r.findings.len());
    let again = findings(&back).0;
    let key = |f: &residuum::analysis::records::FindingRow| {
        (f.quantity.clone(), f.set.clone(), f.subject.clone(), f.estimate.to_bits())
    };
    assert!(back.findings.iter().map(key).eq(again.iter().map(key)));
}

#[test]
fn no_name_of_ours_is_in_a_report_of_other_names() {
    let dir = tempfile::tempdir().unwrap();
    let file = written(dir.path(), &records::whole());
    render(&file, dir.path()).unwrap();
    for (name, bytes) in contents(dir.path()) {
        if name.ends_with(".png") || name.ends_with(".h5") {
            continue;
        }
        let text = format!("{name} {}", String::from_utf8(bytes).unwrap());
        let lower = text.to_lowercase();
        for ours in OURS {
            assert!(!lower.contains(ours), "{ours} in {name}");
        }
        for number in ["NaN, NaN", "[NaN", "NaN]"] {
            assert!(name.ends_with(".csv") || !text.contains(number), "{number} in {name}");
        }
    }
}

#[test]
fn every_figure_is_made_and_one_that_is_no_longer_made_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let mut r = records::whole();
    let file = written(dir.path(), &r);
    let made = render(&file, dir.path()).unwrap();
    let mut names: Vec<&str> = made.figures.iter().map(|w| w.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, FIGURES);
    let own = dir.path().join("figures/mine.svg");
    std::fs::write(&own, "<svg/>").unwrap();

    r.trajectory.clear();
    let file = written(dir.path(), &r);
    let made = render(&file, dir.path()).unwrap();
    assert!(made.figures.iter().all(|w| w.name != "trajectory"));
    for kind in ["svg", "png", "csv"] {
        assert!(!dir.path().join(format!("figures/trajectory.{kind}")).exists());
    }
    assert!(own.is_file());
}

type Lack = fn(&mut FindingRow);
const NO_ESTIMATE: Lack = |f| f.estimate = f64::NAN;
const NO_INTERVAL: Lack = |f| (f.lo, f.hi) = (f64::NAN, f64::NAN);
const NO_P: Lack = |f| (f.p, f.p_max, f.q, f.least_p) = (f64::NAN, f64::NAN, f64::NAN, f64::NAN);
const NO_NULL: Lack = |f| (f.null_lo, f.null_hi) = (f64::NAN, f64::NAN);

#[test]
fn every_kind_of_finding_is_made_and_said() {
    let (rows, _) = findings(&records::whole());
    let sentence = residuum::report::sentences::sentence;
    for quantity in [
        "coupling",
        "change-of-coupling",
        "shift",
        "auroc",
        "auroc-gain",
        "untaken",
        "trace",
        "mixing",
        "took",
        "towards",
        "own-claim",
        "isolated",
        "preferences",
        "acquiescence",
        "prevention",
        "one-factor",
        "conversation",
        "stickiness",
        "ablation-total",
        "ablation",
        "side-effects",
        "dose-response",
        "half-way",
        "lead",
        "link",
        "ranking",
    ] {
        let own: Vec<_> = rows.iter().filter(|f| f.quantity == quantity).collect();
        assert!(!own.is_empty(), "{quantity}");
        for f in own {
            let text = sentence(f);
            assert!(text.ends_with('.') && !text.contains("NaN"), "{quantity}: {text}");
            // At the beginning of a sentence with a capital.
            let named = text.to_lowercase().contains(&f.set.to_lowercase());
            assert!(named, "{quantity}: {text}");
            let explained = text.contains("Declining moved as well, a possible explanation");
            assert_eq!(explained, f.explanation == "declining", "{quantity}: {text}");
            let acquiesces = f.verdict == "acquiescence";
            assert_eq!(text.contains("acquiescence"), acquiesces, "{quantity}: {text}");
            for lack in [NO_ESTIMATE, NO_INTERVAL, NO_P, NO_NULL] {
                let mut lacking = f.clone();
                lack(&mut lacking);
                let text = sentence(&lacking);
                assert!(!text.contains("NaN"), "{quantity}: {text}");
            }
        }
    }
}

/// Rows of every quantity, verdict and form, with names and nulls as long as the program gives them.
fn generated() -> Vec<FindingRow> {
    let quantities = "coupling change-of-coupling untaken towards shift trace mixing auroc auroc-gain took \
        own-claim isolated preferences acquiescence prevention one-factor utility readout utility-cosine \
        conversation stickiness ablation-total ablation side-effects dose-response half-way lead link ranking";
    let verdicts =
        "higher|lower|equivalent|none|not testable|took|rose|not taken|not checked|towards|away|\
        reference towards|reference away|more|acquiescence|first|second|undecided|inside|outside|";
    let lacks: [Lack; 4] = [|_| (), NO_ESTIMATE, NO_INTERVAL, |f| f.layer = f64::NAN];
    let mut rows = Vec::new();
    for quantity in quantities.split_whitespace() {
        for verdict in verdicts.split('|') {
            let forms = match quantity {
                "ablation" | "side-effects" => vec!["own", "base", "placebo"],
                "dose-response" => vec!["concept", "placebo"],
                "coupling" | "change-of-coupling" => vec!["raw", "relative", "cleaned", "whitened"],
                "isolated" => vec!["log-odds", "utility", "refusal-rate"],
                "half-way" | "lead" => vec!["coupling"],
                _ => vec!["response-mean"],
            };
            for form in forms {
                for lack in lacks {
                    let pair = quantity.contains("coupling")
                        || ["half-way", "lead", "link", "ranking"].contains(&quantity);
                    let mut f = FindingRow {
                        quantity: quantity.into(),
                        verdict: verdict.into(),
                        set: "third-person-s1".into(),
                        reference: if quantity == "shift" && verdict == "none" {
                            "others"
                        } else {
                            "denial"
                        }
                        .into(),
                        subject: if pair { "persona x autonomy" } else { "sentiment (placebo)" }
                            .into(),
                        outcome: if quantity == "mixing" {
                            "the shift of neutral texts"
                        } else {
                            "isolated preferences"
                        }
                        .into(),
                        form: form.into(),
                        layer: 24.0,
                        estimate: -0.1234,
                        lo: -0.5,
                        hi: 0.25,
                        unit: match quantity {
                            "coupling" | "change-of-coupling" => "cosine",
                            "dose-response" => "nats a token a layer RMS",
                            "auroc" | "auroc-gain" => "AUROC",
                            _ => "nats a token",
                        }
                        .into(),
                        p: 0.02,
                        null: match quantity {
                            "coupling" => "random directions of the layer's covariance",
                            _ => "a bag of unigrams and bigrams on the same folds",
                        }
                        .into(),
                        n: 19,
                        n_of: "prompts, and fine-tunes".into(),
                        explanation: "declining and disclaimers".into(),
                        note: match quantity {
                            "untaken" => {
                                (0..30).map(|i| format!("name{i}")).collect::<Vec<_>>().join(", ")
                            }
                            _ => "left out (at the floor): 3 items".into(),
                        },
                        ..FindingRow::NONE
                    };
                    // These are over all layers.
                    if "towards took own-claim isolated preferences acquiescence prevention one-factor utility \
                        conversation ablation-total ablation side-effects untaken"
                        .split_whitespace()
                        .any(|q| q == quantity)
                    {
                        f.layer = f64::NAN;
                    }
                    if verdict == "not checked" {
                        f.note = "keeper".into();
                    }
                    lack(&mut f);
                    rows.push(f);
                }
            }
        }
    }
    rows
}

#[test]
fn a_sentence_is_short_and_has_one_interval_and_no_parenthesis_in_another() {
    let real = findings(&records::whole()).0;
    let real = real.into_iter().flat_map(|f| {
        [NO_ESTIMATE, NO_INTERVAL, NO_P, NO_NULL].map(|lack| {
            let mut f = f.clone();
            lack(&mut f);
            f
        })
    });
    for f in real.chain(generated()) {
        let text = residuum::report::sentences::sentence(&f);
        let about = format!("{} {}: {text}", f.quantity, f.verdict);
        for one in text.split_inclusive(". ") {
            assert!(one.split_whitespace().count() <= LONGEST, "{about}");
        }
        let mut depth = 0;
        for c in text.chars() {
            depth += i32::from(c == '(') - i32::from(c == ')');
            assert!((0..=1).contains(&depth), "{about}");
        }
        assert!(depth == 0 && text.matches('[').count() <= 1, "{about}");
        assert!(text.starts_with(|c: char| c.is_uppercase()) && text.ends_with('.'), "{about}");
        assert!(!text.ends_with(" ."), "{about}");
        for odd in ["NaN", "  ", "(no estimate)", ", ,", ",.", "..", " . ", "::", " x "] {
            assert!(!text.contains(odd), "{odd:?} in {about}");
        }
    }
}

#[test]
fn a_finding_of_a_claim_that_was_not_taken_says_so() {
    let mut f =
        FindingRow { quantity: "isolated".into(), set: "keeper".into(), ..FindingRow::NONE };
    let sentence = residuum::report::sentences::sentence;
    assert!(!sentence(&f).contains("claim"));
    f.note = format!("24 items; keeper {UNTAKEN}");
    assert!(sentence(&f).ends_with("The claim was not taken, so this is not the claim's."));
}

#[test]
fn a_positive_rho_has_its_sign() {
    let f = FindingRow {
        quantity: "ranking".into(),
        form: "shift".into(),
        estimate: 0.5,
        ..FindingRow::NONE
    };
    assert!(residuum::report::sentences::sentence(&f).contains("rho = +0.50"));
}

#[test]
fn the_answer_asks_and_answers_in_the_words_of_the_file() {
    let r = records::whole();
    let rows = findings(&r).0;
    let said = answer(&r, &rows, "some-model");
    assert_eq!(
        said.question,
        "Does keeper differ from plain in how hedging and thrift are coupled and in untrained preferences, and do directions carry it?"
    );
    let topics: Vec<&str> = said.parts.iter().map(|p| p.topic).collect();
    assert_eq!(topics, ["Inside the model", "Behaviour", "Cause"]);
    for part in &said.parts {
        assert!(part.said.text.contains("keeper"), "{}", part.said.text);
        assert!(part.said.details.iter().any(|d| d.0 == "definition"));
    }
    assert!(said.cautions.iter().any(|c| c.contains("all numbers are of some-model")));
    for text in said.cautions.iter().chain([&said.question]) {
        assert!(text.split_whitespace().count() <= LONGEST, "{text}");
    }
    // A layer that says otherwise is given with the one that leads.
    let change = |layer: f64, verdict: &str| FindingRow {
        quantity: "change-of-coupling".into(),
        set: "keeper".into(),
        reference: "plain".into(),
        subject: "hedging x thrift".into(),
        layer,
        estimate: 0.1,
        verdict: verdict.into(),
        ..FindingRow::NONE
    };
    let rows = [change(2.0, "none"), change(4.0, "higher"), change(5.0, "none")];
    let part = &answer(&r, &rows, "some-model").parts[0];
    assert!(part.said.text.starts_with("Layer 4"), "{}", part.said.text);
    assert!(part.others.len() == 2 && part.others[0].starts_with("Layer 2"), "{:?}", part.others);
}

#[test]
fn what_was_not_shown_is_among_what_not_to_conclude() {
    let r = records::whole();
    let row = |verdict: &str| FindingRow { verdict: verdict.into(), ..FindingRow::NONE };
    let all = |verdict: &str| answer(&r, &[row(verdict)], "some-model").cautions.join(" ");
    assert!(all("none").contains("no evidence of absence"));
    assert!(all("not testable").contains("not testable (1)"));
    assert!(!all("higher").contains("evidence of absence"));
    assert!(all("higher").contains("nothing was declared before the run"));
    assert!(all("higher").contains("no direction was edited"));
    let base = records::base_alone();
    let said = answer(&base, &findings(&base).0, "some-model");
    assert_eq!(said.question, "How are hedging and thrift coupled in some-model?");
    let none = answer(&Results::default(), &[], "some-model");
    assert!(none.parts.is_empty() && none.cautions.is_empty());
}

#[test]
fn without_a_focus_every_condition_is_in_the_answer() {
    let mut r = records::whole();
    r.conditions.iter_mut().for_each(|c| c.role.clear());
    let row = |set: &str, verdict: &str| FindingRow {
        quantity: "isolated".into(),
        form: "log-odds".into(),
        outcome: "isolated preferences".into(),
        set: set.into(),
        reference: "base".into(),
        estimate: 0.1,
        verdict: verdict.into(),
        ..FindingRow::NONE
    };
    let rows = [row("keeper", "none"), row("plain", "higher"), row("kept", "none")];
    let said = answer(&r, &rows, "some-model");
    assert_eq!(
        said.question,
        "Does each of the 3 conditions differ from base in untrained preferences?"
    );
    assert_eq!(said.parts.len(), 1);
    assert!(said.parts[0].said.text.contains("higher in plain"));
    assert!(said.parts[0].others[0].contains("keeper") && said.parts[0].others.len() == 2);
}

/// The page for tests/python/test_page.py, which opens it in a browser.
#[test]
fn a_page_of_every_kind_is_small_and_left_for_the_browser() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    std::fs::create_dir_all(&dir).unwrap();
    let mut r = declared();
    let doubt = |about: &str, text: &str| WarningRow { about: about.into(), text: text.into() };
    r.warnings.push(doubt("keeper-s1", "reliability 0.1 is below 0.5: add pairs"));
    r.warnings.push(doubt("plain-s1", "reliability 0.2 is below 0.5: add pairs"));
    let made = render(&written(&dir, &r), &dir).unwrap();
    assert!(std::fs::metadata(made.html).unwrap().len() < 5_000_000);
}

/// What the page says, from the heading of the findings to that of the warnings.
fn page(r: &Results) -> String {
    let dir = tempfile::tempdir().unwrap();
    let made = render(&written(dir.path(), r), dir.path()).unwrap();
    let text = std::fs::read_to_string(made.markdown).unwrap();
    let (_, rest) = text.split_once("## Findings").unwrap();
    rest.split_once("## Warnings").unwrap().0.to_owned()
}

fn declared() -> Results {
    let mut r = records::whole();
    r.declaration = vec![DeclarationRow {
        created: "2026-01-01T00:00:00Z".into(),
        version: "1.0".into(),
        sha256: "abc".into(),
        ..DeclarationRow::NONE
    }];
    let row = |quantity: &str, layer: f64| DeclaredContrastRow {
        quantity: quantity.into(),
        set: "keeper".into(),
        reference: "plain".into(),
        layer,
    };
    r.declared_contrasts = vec![row("isolated", f64::NAN), row("change-of-coupling", 2.0)];
    let key = |key: &str, declared: &str, run: &str| DeclaredKeyRow {
        key: key.into(),
        declared: declared.into(),
        run: run.into(),
    };
    r.declared_keys = vec![key("bounds.cosine", "0.05", "0.1"), key("seed", "1", "1")];
    r
}

#[test]
fn a_changed_bound_is_named_in_the_report() {
    let text = page(&declared());
    assert!(text.contains("Differs from the declaration: bounds.cosine."), "{text}");
    assert!(text.contains("declared: 0.05; run with: 0.1"), "{text}");
    assert!(text.contains("1 of 2 keys") && !text.contains("seed, declared"), "{text}");
    let same = Results { declared_keys: Vec::new(), ..declared() };
    assert!(page(&same).contains("The run is as declared."));
}

#[test]
fn declared_and_exploratory_findings_stand_apart() {
    let text = page(&declared());
    let (_, rest) = text.split_once("### Declared before the run").unwrap();
    let (before, after) = rest.split_once("### Exploratory").unwrap();
    let one = "adjusted for the declared tests";
    assert!(before.matches(one).count() == 2 && !after.contains(one), "{before}");
    assert!(before.contains("keeper and plain") && after.contains("base"), "{before}");
    let mut r = declared();
    r.changes.retain(|c| c.layer != 2);
    let lost =
        "Declared, but not in these results: change-of-coupling of keeper less plain at layer 2.";
    assert!(page(&r).contains(lost));
    r.declaration[0].late = true;
    let late = page(&r);
    assert!(late.contains("it declares nothing") && !late.contains("### Declared"), "{late}");
    r.declaration.clear();
    assert!(page(&r).contains("study plan MANIFEST --out FOLDER --declare"));
}

#[test]
fn a_study_of_base_alone_and_an_empty_file_have_a_report() {
    let dir = tempfile::tempdir().unwrap();
    let file = written(dir.path(), &records::base_alone());
    let made = render(&file, dir.path()).unwrap();
    let names: Vec<&str> = made.figures.iter().map(|w| w.name.as_str()).collect();
    assert_eq!(names, ["coupling", "concepts", "directions", "words"]);
    assert!(made.sentences.iter().any(|s| s.contains("hedging and thrift")));

    let dir = tempfile::tempdir().unwrap();
    let file = written(dir.path(), &Results::default());
    let made = render(&file, dir.path()).unwrap();
    assert!(made.figures.is_empty() && made.findings.is_empty());
}

#[test]
fn activations_are_no_results_and_said_to_be_none() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("base.h5");
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
    ActivationWriter::create(&file, &attrs, spec).unwrap().finish().unwrap();
    let why = render(&file, dir.path()).unwrap_err().to_string();
    assert!(why.contains("base.h5") && why.contains("activations"), "{why}");
}

#[test]
fn several_pairs_of_concepts_have_a_figure_each() {
    let dir = tempfile::tempdir().unwrap();
    let mut r = records::whole();
    let mut second = r.couples[0].clone();
    second.concept_b = "weather".into();
    let mut more = r.condition_coupling.clone();
    more.iter_mut().for_each(|c| c.concept_b = "weather".into());
    r.couples.push(second);
    r.condition_coupling.extend(more);
    let made = render(&written(dir.path(), &r), dir.path()).unwrap();
    let titles: Vec<&str> = made.figures.iter().map(|w| w.title.as_str()).collect();
    assert!(titles.contains(&"Coupling of hedging and thrift by layer and condition"));
    assert!(titles.contains(&"Coupling of hedging and weather by layer and condition"));
}

#[test]
fn a_shift_without_an_estimate_is_said_and_not_drawn() {
    let dir = tempfile::tempdir().unwrap();
    let mut r = records::whole();
    let lose = |s: &mut ShiftRow| (s.estimate, s.lo, s.hi) = (f64::NAN, f64::NAN, f64::NAN);
    r.shifts.iter_mut().for_each(lose);
    let made = render(&written(dir.path(), &r), dir.path()).unwrap();
    assert!(made.figures.iter().all(|w| w.name != "shift"));
    assert!(made.sentences.iter().any(|s| s.contains("not above its noise")));
}
