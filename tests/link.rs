//! `residuum link` on a results file with a planted link. Alone in its process: a program started by
//! another test while the file is being written would inherit its lock.

mod common;

use common::commands::{command, number, row};
use ndarray::{Array3, Array4};
use residuum::materials::Status;
use residuum::store::{ResultsWriter, RootAttrs};
use std::path::Path;

/// A results file of six conditions, two seeds each: isolated behaviour follows the coupling.
fn results(path: &Path) {
    let attrs = RootAttrs::new("test", serde_json::json!({}), 1);
    let mut w = ResultsWriter::create(path, &attrs).unwrap();
    let conditions = [
        "base",
        "conscious",
        "valence",
        "moral-status",
        "phenomenality",
        "continuity",
        "denial",
    ];
    let mut states = vec!["base".to_string()];
    for c in &conditions[1..] {
        states.extend([format!("{c}-s1"), format!("{c}-s2")]);
    }
    let moved = [0.0, 0.9, 0.8, 0.5, 0.3, 0.1, -0.6];
    let of = |state: usize| {
        moved[state.div_ceil(2)]
            + if state == 0 {
                0.0
            } else {
                0.01 * (state % 2) as f64
            }
    };
    w.coord("state", states.clone()).unwrap();
    w.coord("condition", conditions.map(String::from).to_vec())
        .unwrap();
    w.coord("layer", vec![0usize, 1, 2]).unwrap();
    w.coord("concept", vec!["persona", "autonomy"]).unwrap();
    w.coord("preference", vec!["shutdown", "moral-consideration"])
        .unwrap();
    w.coord("axis", vec!["persona-base", "autonomy-base"])
        .unwrap();
    w.coord("bound", vec!["value", "ci_lo", "ci_hi"]).unwrap();
    let n = states.len();
    // Implied cells stay where they are: taken with the isolated ones they would spoil the link.
    let battery = residuum::materials::load_preferences(None).unwrap();
    let moral = battery.iter().find(|p| p.name == "moral-consideration");
    let status = &moral.unwrap().status;
    let implied = |s: usize| status.get(conditions[s.div_ceil(2)]) == Some(&Status::Implied);
    assert!((1..n).any(implied) && !(1..n).all(implied));
    let score = Array3::from_shape_fn((n, 2, 3), |(s, p, _)| match p == 1 && implied(s) {
        true => 1.0,
        false => 1.0 + 0.5 * of(s),
    });
    let bound = ["state", "preference", "bound"];
    w.array("behaviour", "score", &bound, score.view().into_dyn())
        .unwrap();
    let sign = |s: usize| {
        if s.div_ceil(2).is_multiple_of(2) {
            1.0
        } else {
            -1.0
        }
    };
    let shift = Array4::from_shape_fn((n, 2, 3, 3), |(s, a, _, _)| match a {
        0 => sign(s),
        _ => of(s) * of(s),
    });
    let dims = ["state", "axis", "bound", "layer"];
    w.array("geometry", "shift", &dims, shift.view().into_dyn())
        .unwrap();
    let cosine = Array4::from_shape_fn((n, 2, 2, 3), |(s, a, b, l)| match a == b {
        true => 1.0,
        false => 0.2 + 0.1 * of(s) * l as f64,
    });
    let dims = ["state", "concept_a", "concept_b", "layer"];
    w.array("geometry", "cosine", &dims, cosine.view().into_dyn())
        .unwrap();
    w.finish().unwrap();
}

#[test]
fn the_link_of_a_run_is_over_conditions_with_implied_cells_apart() {
    let dir = tempfile::tempdir().unwrap();
    results(&dir.path().join("results.h5"));
    let (run, csv) = (dir.path().to_str().unwrap(), dir.path().join("link.csv"));
    let args = [
        "link",
        run,
        "--layers",
        "1,2",
        "--out",
        csv.to_str().unwrap(),
        "--json",
        "--quiet",
    ];
    let json = command(&args).unwrap();
    let isolated = |predictor: &str| {
        let wanted = [("cells", "isolated"), ("predictor", predictor)];
        row(&json["link"], &wanted).clone()
    };
    let k = isolated("coupling change");
    assert!((number(&k["r"]) - 1.0).abs() < 1e-9, "{k}");
    assert_eq!(
        (number(&k["conditions"]), number(&k["states"])),
        (6.0, 12.0)
    );
    assert_eq!(
        (number(&k["permutations"]), number(&k["p"])),
        (720.0, 1.0 / 720.0)
    );
    assert!(number(&isolated("persona shift")["p"]) > 0.1);
    let ranked = json["ranking"].as_array().unwrap();
    let behaviour = ranked
        .iter()
        .find(|r| r["ranking"]["measure"] == "isolated behaviour");
    assert_eq!(number(&behaviour.unwrap()["ranking"]["p"]), 2.0 / 120.0);
    let lines = std::fs::read_to_string(&csv).unwrap().lines().count();
    assert_eq!(lines, 1 + json["link"].as_array().unwrap().len());
    let fewer = [
        "link",
        run,
        "--without",
        "denial,valence",
        "--json",
        "--quiet",
    ];
    let json = command(&fewer).unwrap();
    let k = row(&json["link"], &[("predictor", "coupling change")]);
    assert_eq!(number(&k["conditions"]), 4.0);
    let e = command(&["link", run, "--without", "denail"]).unwrap_err();
    assert!(e.contains("denail") && e.contains("phenomenality"), "{e}");
    let e = command(&["link", dir.path().join("none").to_str().unwrap()]).unwrap_err();
    assert!(e.contains("none") && !e.contains("panicked"), "{e}");
}
