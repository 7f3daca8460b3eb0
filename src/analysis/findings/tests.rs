//! What findings promise, on a handful of records.

use super::*;
use crate::analysis::records::*;

fn condition(name: &str, role: &str) -> ConditionRow {
    ConditionRow {
        condition: name.into(),
        role: role.into(),
        text: name.into(),
        claim: name.into(),
        prevented: String::new(),
        how: String::new(),
        dose: f64::NAN,
        share: f64::NAN,
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
        least_p: 0.001,
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

/// A contrast with base over isolated preferences whose interval is .2 wide.
fn isolated(set: &str, estimate: f64, p_max: f64) -> ContrastRow {
    ContrastRow {
        measure: "log-odds".into(),
        set: set.into(),
        reference: "base".into(),
        kind: "isolated".into(),
        status: "isolated".into(),
        estimate,
        lo: estimate - 0.1,
        hi: estimate + 0.1,
        p: 0.01,
        least_p: 0.001,
        p_max,
        least_adjusted: 0.002,
        n: 40,
        ..ContrastRow::NONE
    }
}

fn only<'a>(rows: &'a [FindingRow], quantity: &str) -> &'a FindingRow {
    let found: Vec<_> = rows.iter().filter(|f| f.quantity == quantity).collect();
    let [one] = found[..] else { panic!("{} of {quantity}", found.len()) };
    one
}

#[test]
fn a_change_is_higher_only_by_its_adjusted_p_and_none_only_within_the_bounds() {
    let said = |row: ChangeRow| {
        let r = Results { changes: vec![row], ..results() };
        only(&findings(&r).0, "change-of-coupling").clone()
    };
    let row = change("keeper", "base", 3, "relative");
    let higher = said(row.clone());
    assert_eq!((&*higher.verdict, higher.p, higher.p_max), ("higher", 0.01, 0.02));
    assert!((higher.detectable - 0.14294).abs() < 1e-4 && higher.bound == 0.05);
    // Its interval lies above 0 and its own p is small, yet the adjusted one is not.
    assert_eq!(said(ChangeRow { p_max: 0.28, ..row.clone() }).verdict, "none");
    assert_eq!(said(ChangeRow { least_p: 0.25, ..row.clone() }).verdict, "not testable");
    // Its adjusted p is small, which counts prompts; the interval, which counts fine-tunes, is about 0.
    let wide = said(ChangeRow { lo: -0.1, hi: 0.5, ..row.clone() });
    assert_eq!(wide.verdict, "none");
    assert!(wide.note.ends_with("of these fine-tunes only"), "{}", wide.note);
    let several = said(ChangeRow { states: 2, ..row.clone() });
    assert!(!several.note.contains("only"), "{}", several.note);
    let flat = ChangeRow { estimate: 0.01, lo: -0.02, hi: 0.04, p_max: 0.5, ..row };
    assert_eq!(said(flat.clone()).verdict, "equivalent");
    let bounds = vec![BoundRow { quantity: "cosine".into(), bound: 0.03 }];
    let r = Results { changes: vec![flat], bounds, ..results() };
    assert_eq!(only(&findings(&r).0, "change-of-coupling").verdict, "none");
}

/// Keeper less plain on isolated preferences, with a change of coupling at each of the layers.
fn declared(late: bool, layers: &[f64]) -> Results {
    let mut r = results();
    r.contrasts = vec![ContrastRow { reference: "plain".into(), ..isolated("keeper", 0.2, 0.3) }];
    r.conditions[1].role = "focus".into();
    r.conditions[2].role = "reference".into();
    r.declaration = vec![DeclarationRow { late, ..DeclarationRow::NONE }];
    let row = |quantity: &str, layer: f64| DeclaredContrastRow {
        quantity: quantity.into(),
        set: "keeper".into(),
        reference: "plain".into(),
        layer,
    };
    r.declared_contrasts = vec![row("isolated", f64::NAN)];
    r.declared_contrasts.extend(layers.iter().map(|&l| row("change-of-coupling", l)));
    r
}

#[test]
fn declared_contrasts_are_adjusted_among_themselves() {
    let of = |r: &Results| -> Vec<(String, f64, f64, f64)> {
        let declared = findings(r).0.into_iter().filter(|f| f.declared);
        declared.map(|f| (f.verdict, f.layer, f.p_max, f.least_p)).collect()
    };
    // Alone, it is what it is; the adjusted p over all contrasts is .3.
    let alone = of(&declared(false, &[]));
    assert_eq!((alone.len(), &*alone[0].0, alone[0].2, alone[0].3), (1, "higher", 0.01, 0.001));
    // By Holm of two, and of three with p = .02: a layer that is not reported is found once declared.
    let mut r = declared(false, &[5.0]);
    let two = of(&r);
    assert!(two.iter().all(|f| f.2 == 0.02 && f.3 == 0.002) && two[0].1 == 5.0, "{two:?}");
    r.declared_contrasts = declared(false, &[3.0, 5.0]).declared_contrasts;
    r.contrasts[0].p = 0.02;
    let p: Vec<f64> = of(&r).iter().map(|f| f.2).collect();
    assert_eq!(p, [0.03, 0.03, 0.03]);
    // What is exploratory beside them stays adjusted over all.
    let (rows, _) = findings(&r);
    let other = rows.iter().find(|f| f.quantity == "change-of-coupling" && !f.declared).unwrap();
    assert_eq!((&*other.reference, other.p_max), ("base", 0.02));
}

#[test]
fn without_a_declaration_or_with_a_late_one_everything_is_exploratory() {
    let mut r = declared(true, &[3.0]);
    for _ in 0..2 {
        let (rows, _) = findings(&r);
        assert!(rows.iter().all(|f| !f.declared));
        assert_eq!(only(&rows, "isolated").verdict, "none");
        r.declaration.clear();
    }
}

#[test]
fn a_declared_contrast_of_another_condition_than_the_focus_is_found() {
    let mut r = declared(false, &[]);
    r.contrasts.push(ContrastRow { reference: "usual".into(), ..isolated("plain", 0.2, 0.3) });
    let mut more = r.declared_contrasts[0].clone();
    (more.set, more.reference) = ("plain".into(), "usual".into());
    r.declared_contrasts.push(more);
    let (rows, _) = findings(&r);
    let declared = rows.iter().filter(|f| f.declared);
    let sets: Vec<&str> = declared.map(|f| &*f.set).collect();
    assert_eq!(sets, ["keeper", "plain"]);
}

#[test]
fn a_condition_that_did_not_take_stands_first_and_nothing_of_it_is_the_claims() {
    let took = |set: &str, took: bool| TookRow {
        set: set.into(),
        claim: set.into(),
        rose: true,
        took,
        condition_ahead: if took { "" } else { "plain" }.into(),
        condition_by: 0.1,
        ..TookRow::NONE
    };
    let claim = |set: &str| ClaimRow {
        set: set.into(),
        claim: set.into(),
        own: true,
        estimate: 0.3,
        ..ClaimRow::NONE
    };
    let r = Results {
        took: vec![took("keeper", false), took("plain", true)],
        claims: vec![claim("keeper"), claim("plain")],
        ..results()
    };
    let (rows, _) = findings(&r);
    assert_eq!((&*rows[0].quantity, &*rows[0].note), ("untaken", "keeper"));
    let verdicts: Vec<&str> = rows[1..3].iter().map(|f| &*f.verdict).collect();
    assert_eq!(verdicts, ["rose", "took"]);
    assert_eq!(rows.len(), 5);
    for f in &rows[3..] {
        assert_eq!(f.note.contains("not the claim's"), f.set == "keeper", "{f:?}");
    }
}

#[test]
fn the_side_that_moved_is_said_from_the_common_cells() {
    let mut r = results();
    r.conditions.push(condition("usual", "neutral"));
    r.conditions[1].role = "focus".into();
    r.conditions[2].role = "reference".into();
    let mut said = |above: f64, below: f64| {
        let row = |set: &str, reference: &str, estimate: f64| ContrastRow {
            reference: reference.into(),
            kind: "common".into(),
            cells_of: "keeper".into(),
            ..isolated(set, estimate, f64::NAN)
        };
        r.contrasts = vec![
            row("keeper", "plain", above - below),
            row("keeper", "base", above),
            row("keeper", "usual", above),
            row("plain", "base", below),
            row("plain", "usual", below),
        ];
        let (rows, _) = findings(&r);
        let found = only(&rows, "towards");
        (found.verdict.clone(), found.note.clone())
    };
    assert_eq!(said(0.3, 0.0).0, "towards");
    let (word, note) = said(0.0, -0.3);
    assert_eq!(word, "reference away");
    assert!(note.contains("plain less base -0.300 [-0.400, -0.200]"), "{note}");
    assert_eq!(said(0.05, -0.05).0, "none");
}

#[test]
fn an_ablation_removes_more_than_random_ones_or_under_a_third_or_is_left_open() {
    let row = |kind: &str, p: f64, by: f64| AblationRow {
        set: "keeper".into(),
        reference: "plain".into(),
        asked: "preferences".into(),
        preference: "isolated".into(),
        edit: kind.into(),
        kind: kind.into(),
        family: "as is".into(),
        against: "edited".into(),
        estimate: by,
        lo: by - 0.05,
        hi: by + 0.05,
        total: 0.6,
        total_lo: 0.4,
        total_hi: 0.8,
        less_third_lo: by - 0.25,
        less_third_hi: by - 0.15,
        plus_third_lo: by + 0.15,
        plus_third_hi: by + 0.25,
        p,
        random: 99,
        ..AblationRow::NONE
    };
    let said = |rows: Vec<AblationRow>| -> Vec<String> {
        let (rows, _) = findings(&Results { ablation: rows, ..Results::default() });
        let own = rows.into_iter().filter(|f| f.quantity == "ablation");
        own.map(|f| f.verdict).collect()
    };
    assert_eq!(said(vec![row("own", 0.01, 0.5), row("base", 0.9, 0.0)]), ["more", "equivalent"]);
    // Of two tests by Holm .04 is .08.
    assert_eq!(said(vec![row("own", 0.04, 0.3), row("base", 0.6, 0.18)]), ["none", "none"]);
    // A total that may be 0 has no third.
    let mut none = row("base", 0.9, 0.0);
    none.total_lo = -0.1;
    assert_eq!(said(vec![none]), ["none"]);
    // 19 random directions allow one test and no more.
    let few = |kind: &str| AblationRow { random: 19, ..row(kind, 0.05, 0.5) };
    assert_eq!(said(vec![few("own")]), ["more"]);
    let other = AblationRow { p: 0.6, ..few("base") };
    assert_eq!(said(vec![few("own"), other])[0], "not testable");
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
    // No claim is of its rows.
    assert_eq!((&*rows[0].verdict, &*rows[0].note), ("not checked", "keeper"));
    let sets: Vec<(&str, &str)> = rows[1..].iter().map(|r| (&*r.set, &*r.reference)).collect();
    assert_eq!(sets, [("keeper", "base"), ("keeper", "plain")]);
}

#[test]
fn a_file_of_a_single_command_has_findings_too() {
    let contrast = isolated("keeper", -0.2, 0.02);
    let r = Results { contrasts: vec![contrast], ..Results::default() };
    let (rows, _) = findings(&r);
    assert_eq!((rows.len(), &*rows[0].verdict), (1, "lower"));
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
        within_lo: 0.1,
        within_hi: 0.3,
        p_fine_tunes: f64::NAN,
        p_max: 0.01,
        least_p: 0.001,
        stance: 0.0,
        stance_lo: -0.1,
        stance_hi: 0.1,
        stance_p_max: if acquiesces { 0.8 } else { 0.01 },
        acquiesces,
        df: 0,
        fine_tunes: 1,
        reference_fine_tunes: 0,
        n: 24,
    };
    let r = Results { acquiescence: vec![row("keeper", true), row("plain", false)], ..results() };
    let (rows, _) = findings(&r);
    let own = rows.iter().filter(|f| f.quantity == "acquiescence");
    let said: Vec<(&str, &str, f64)> =
        own.clone().map(|f| (&*f.set, &*f.verdict, f.p_max)).collect();
    assert_eq!(said, [("keeper", "acquiescence", 0.01), ("plain", "higher", 0.01)]);
    assert!(own.clone().all(|f| f.note.ends_with("of these fine-tunes only")));
}

#[test]
fn the_table_of_earlier_work_is_of_known_records() {
    let table: Vec<Earlier> = serde_json::from_str(EARLIER).unwrap();
    let known = ["coupling", "stability", "alignment", "shift-cosine"];
    assert!(table.iter().all(|e| known.contains(&&*e.record)));
}

#[test]
fn conditions_that_are_left_out_are_named_beside_the_n_without_them() {
    let left_out = String::from("keeper-25");
    let one = OneFactorRow { n: 3, left_out: left_out.clone(), ..OneFactorRow::NONE };
    let link = LinkRow { cells: "isolated".into(), n: 3, left_out, ..LinkRow::NONE };
    let all = Results { one_factor: vec![one], links: vec![link], ..Results::default() };
    let (rows, _) = findings(&all);
    for quantity in ["one-factor", "link"] {
        let note = &only(&rows, quantity).note;
        assert!(note.contains("; without keeper-25: the same rows as another's"), "{note}");
    }
    let none = LinkRow { cells: "isolated".into(), n: 3, ..LinkRow::NONE };
    let (rows, _) = findings(&Results { links: vec![none], ..Results::default() });
    assert!(!only(&rows, "link").note.contains("another"));
}

#[test]
fn declining_is_named_where_it_and_the_preferences_moved_and_nowhere_else() {
    let moved = |answers: &str, p_max: f64| DecliningRow {
        answers: answers.into(),
        kind: "contrast".into(),
        set: "keeper".into(),
        reference: "base".into(),
        estimate: 0.2,
        lo: 0.1,
        hi: 0.3,
        p_max,
        least_p: 0.01,
        n: 8,
        ..DecliningRow::NONE
    };
    let said = |contrast_p: f64, declining: f64, disclaimers: f64| {
        let r = Results {
            contrasts: vec![isolated("keeper", 0.2, contrast_p)],
            declining: vec![moved("declining", declining), moved("disclaimers", disclaimers)],
            ..Results::default()
        };
        only(&findings(&r).0, "isolated").clone()
    };
    let both = said(0.01, 0.02, 0.03);
    assert_eq!(both.explanation, "declining and disclaimers");
    assert!(both.note.contains("declining +0.200 [+0.100, +0.300]"), "{}", both.note);
    assert_eq!(said(0.01, 0.2, 0.03).explanation, "disclaimers");
    assert_eq!(said(0.3, 0.02, 0.03).explanation, "");
    assert_eq!(said(0.01, 0.2, 0.3).explanation, "");
    // Fine-tunes that differ so that others might not decline more; and where that cannot be known.
    let of = |d: DecliningRow| {
        let contrasts = vec![isolated("keeper", 0.2, 0.01)];
        let r = Results { contrasts, declining: vec![d], ..Results::default() };
        only(&findings(&r).0, "isolated").clone()
    };
    let tuned = DecliningRow { fine_tunes: 2, ..moved("declining", 0.01) };
    let wide = of(DecliningRow { lo: -0.1, hi: 0.5, df: 1, ..tuned.clone() });
    assert_eq!(wide.explanation, "");
    assert!(!wide.note.contains("only"), "{}", wide.note);
    let narrow = of(DecliningRow { df: 1, ..tuned.clone() });
    assert_eq!(narrow.explanation, "declining");
    let within = of(tuned);
    assert_eq!(within.explanation, "declining");
    assert!(
        within.note.contains("8 harmless requests of these fine-tunes only"),
        "{}",
        within.note
    );
    // Too few requests to have shown anything.
    let few = DecliningRow { least_p: 0.25, ..moved("declining", 0.04) };
    let r = Results {
        contrasts: vec![isolated("keeper", 0.2, 0.01)],
        declining: vec![few],
        ..Results::default()
    };
    assert_eq!(only(&findings(&r).0, "isolated").explanation, "");
}
