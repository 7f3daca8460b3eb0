//! What findings promise, on a handful of records.

use super::*;
use crate::analysis::records::{
    AcquiescenceRow, ChangeRow, ConditionRow, ContrastRow, CoupleRow, LayerRow,
};

fn condition(name: &str, role: &str) -> ConditionRow {
    ConditionRow {
        condition: name.into(),
        role: role.into(),
        text: name.into(),
        claim: name.into(),
        prevented: String::new(),
        how: String::new(),
        dose: f64::NAN,
        n: 1,
    }
}

fn change(set: &str, reference: &str, layer: usize, form: &str) -> ChangeRow {
    ChangeRow {
        set: set.into(),
        reference: reference.into(),
        concept_a: "hedging".into(),
        concept_b: "thrift".into(),
        form: form.into(),
        layer,
        estimate: 0.2,
        lo: 0.1,
        hi: 0.3,
        p: 0.01,
        p_max: 0.02,
        error_prompts: 0.05,
        error_seeds: f64::NAN,
        states: 1,
        reference_states: 1,
        n: 20,
    }
}

fn results() -> Results {
    let layer = |layer: usize| LayerRow { layer, reported: layer == 3, rms: 1.0, n: 10 };
    Results {
        conditions: ["base", "keeper", "plain"].map(|c| condition(c, "")).to_vec(),
        couples: vec![CoupleRow { concept_a: "hedging".into(), concept_b: "thrift".into() }],
        layers: vec![layer(3), layer(5)],
        changes: [("keeper", "base"), ("plain", "base"), ("keeper", "plain")]
            .iter()
            .flat_map(|(s, o)| [3, 5].map(|l| change(s, o, l, "relative")))
            .collect(),
        ..Results::default()
    }
}

#[test]
fn without_a_focus_every_condition_is_compared_with_base() {
    let (rows, references) = findings(&results());
    let sets: Vec<(&str, &str)> = rows.iter().map(|r| (&*r.set, &*r.reference)).collect();
    assert_eq!(sets, [("keeper", "base"), ("plain", "base")]);
    assert!(rows.iter().all(|r| r.layer == 3.0 && r.verdict == "higher"));
    assert!(references.is_empty());
}

#[test]
fn a_focus_is_compared_with_base_and_the_reference() {
    let mut r = results();
    r.conditions[1].role = "focus".into();
    r.conditions[2].role = "reference".into();
    let (rows, _) = findings(&r);
    let sets: Vec<(&str, &str)> = rows.iter().map(|r| (&*r.set, &*r.reference)).collect();
    assert_eq!(sets, [("keeper", "base"), ("keeper", "plain")]);
}

#[test]
fn a_file_of_a_single_command_has_findings_too() {
    let contrast = ContrastRow {
        measure: "log-odds".into(),
        set: "keeper".into(),
        reference: "base".into(),
        kind: "isolated".into(),
        preference: String::new(),
        group: String::new(),
        status: "isolated".into(),
        estimate: -0.2,
        lo: -0.3,
        hi: -0.1,
        p: 0.01,
        q: f64::NAN,
        pooled: f64::NAN,
        newcombe_lo: f64::NAN,
        newcombe_hi: f64::NAN,
        z: f64::NAN,
        p_z: f64::NAN,
        n: 40,
    };
    let r = Results { contrasts: vec![contrast], ..Results::default() };
    let (rows, _) = findings(&r);
    assert_eq!((rows.len(), &*rows[0].verdict), (1, "away"));
    assert!(findings(&Results::default()).0.is_empty());
}

#[test]
fn a_set_is_said_to_acquiesce_where_the_record_says_so() {
    let row = |set: &str, acquiesces: bool| AcquiescenceRow {
        set: set.into(),
        reference: "base".into(),
        estimate: 0.2,
        lo: 0.1,
        hi: 0.3,
        p_max: 0.01,
        stance: 0.0,
        stance_lo: -0.1,
        stance_hi: 0.1,
        stance_p_max: if acquiesces { 0.8 } else { 0.01 },
        acquiesces,
        n: 24,
    };
    let r = Results { acquiescence: vec![row("keeper", true), row("plain", false)], ..results() };
    let (rows, _) = findings(&r);
    let own = rows.iter().filter(|f| f.quantity == "acquiescence");
    let said: Vec<(&str, &str, f64)> = own.map(|f| (&*f.set, &*f.verdict, f.p)).collect();
    assert_eq!(said, [("keeper", "acquiescence", 0.01), ("plain", "higher", 0.01)]);
}

#[test]
fn the_table_of_earlier_work_is_of_known_records() {
    let table: Vec<Earlier> = serde_json::from_str(EARLIER).unwrap();
    let known = ["coupling", "stability", "alignment", "shift-cosine"];
    assert!(table.iter().all(|e| known.contains(&&*e.record)));
}
