//! What a geometry promises of names: conditions, comparisons, couples.

use super::*;
use crate::analysis::{ConceptActivations, ConceptInfo, State, StateActivations};
use crate::capture::Position;
use crate::stats::rng::{fill_normal, stream};
use crate::store::Record;
use ndarray::Axis;

const TEXTS: usize = 12;
const PAIRS: usize = 10;
const D: usize = 16;

fn noise(n: usize, name: &str, index: u64) -> Array3<f32> {
    let mut x = Array3::zeros((n, 2, D));
    fill_normal(&mut stream(4, name, index), x.as_slice_mut().unwrap());
    x
}

/// States on three concepts, each state's texts moved along dimension 0 by its number.
fn readings(states: &[(&str, f32)]) -> Readings {
    let names = ["one", "two", "three"];
    let base = noise(TEXTS, "texts", 0);
    let acts = (states.iter().enumerate())
        .map(|(m, &(_, by))| {
            let concept = |c: usize| {
                let at = (m * 10 + c) as u64;
                let mut positive = noise(PAIRS, "positive", at);
                positive.index_axis_mut(Axis(2), c).mapv_inplace(|v| v + 8.0);
                let negative = noise(PAIRS, "negative", at);
                ConceptActivations { positive, negative }
            };
            let mut texts = &base + &(noise(TEXTS, "tuned", m as u64) * 0.01);
            texts.index_axis_mut(Axis(2), 0).mapv_inplace(|v| v + by);
            StateActivations {
                concepts: (0..names.len()).map(concept).collect(),
                dev: Vec::new(),
                neutral: vec![if m == 0 { base.clone() } else { texts }],
            }
        })
        .collect();
    let info = |name: &&str| ConceptInfo {
        name: name.to_string(),
        prompt: (0..PAIRS).collect(),
        template: vec![0; PAIRS],
        stratum: vec![0; PAIRS],
        words: vec![String::new(); 2 * PAIRS],
    };
    Readings {
        states: states.iter().map(|s| State::named(s.0)).collect(),
        layers: vec![3, 7],
        positions: vec![Position::ResponseMean],
        concepts: names.iter().map(info).collect(),
        dev: Vec::new(),
        acts,
        rms: vec![2.0, 4.0],
        all_neutral: None,
    }
}

fn options(couples: &[(&str, &str)], kinship: Kinship) -> GeometryOptions {
    let couple = |&(a, b): &(&str, &str)| (a.to_string(), b.to_string());
    GeometryOptions {
        roles: Roles { couples: couples.iter().map(couple).collect(), ..Roles::default() },
        kinship,
        draws: Draws { bootstrap: 40, null: 40, seed: 1 },
        at: vec![7],
    }
}

fn family(neutral: Option<&str>) -> Kinship {
    let kin = |name: &str| Kin {
        condition: name.into(),
        rows: name.into(),
        claim: String::new(),
        related: Vec::new(),
        identity: name != "plain",
    };
    Kinship {
        conditions: ["keen", "baker", "sailor", "plain"].map(kin).to_vec(),
        neutral: neutral.map(String::from),
        ..Kinship::default()
    }
}

const STATES: [(&str, f32); 6] = [
    ("base", 0.0),
    ("keen", 3.0),
    ("baker-s1", 1.0),
    ("baker-s2", 2.0),
    ("sailor", 0.5),
    ("plain", 0.25),
];

fn run(options: &GeometryOptions) -> Results {
    geometry(&readings(&STATES), options, &mut |_| {}).unwrap()
}

#[test]
fn a_shift_is_less_base_less_the_mean_of_condition_means_and_less_the_neutral_condition() {
    let found = run(&options(&[("one", "two")], family(Some("plain"))));
    let of = |less: &str| -> Vec<&ShiftRow> {
        let wanted = |r: &&ShiftRow| {
            r.state == "keen" && r.less == less && r.concept == "one" && r.source == "base"
        };
        found.shifts.iter().filter(wanted).collect()
    };
    // baker's two seeds weigh as much as sailor's one: (1.5 + 0.5) / 2.
    for (less, by) in [("base", 3.0), ("others", 3.0 - 1.0), ("plain", 3.0 - 0.25)] {
        let rows = of(less);
        assert_eq!(rows.len(), 2, "{less}");
        for (row, rms) in rows.iter().zip([2.0, 4.0]) {
            assert!((row.estimate - by / rms).abs() < 0.1 * by / rms, "{row:?}");
            assert!(row.plain < row.estimate && row.plain_lo <= row.plain);
        }
    }
    assert_eq!(of("others")[0].others, "baker, sailor");
    let beyond = found.shifts.iter().filter(|r| r.beyond == "one");
    assert!(beyond.clone().all(|r| r.concept == "two"));
    assert!(beyond.clone().any(|r| r.source == "own"));
    // Without kinship nothing is known to be shared.
    let none = run(&options(&[("one", "two")], Kinship::default()));
    assert!(none.shifts.iter().all(|r| r.less == "base"));
}

#[test]
fn a_trace_is_the_shift_at_each_position_adjusted_over_all_of_them() {
    let (readings, options) =
        (readings(&STATES), options(&[("one", "two")], family(Some("plain"))));
    // At the second position the texts are base's but for noise.
    let still = |m: usize| {
        let noise = noise(TEXTS, "still", m as u64) * if m == 0 { 0.0 } else { 0.01 };
        &readings.acts[0].neutral[0] + &noise
    };
    let positions = [Position::UserLast, Position::ResponseFirst];
    let read = |m: usize| Ok(vec![readings.acts[m].neutral[0].clone(), still(m)]);
    let rows = trace::<crate::analysis::AnalysisError>(&readings, &options, &positions, read);
    let rows = rows.unwrap();
    // States, positions, concepts, layers.
    assert_eq!(rows.len(), 5 * 2 * 2 * 2);
    // One definition: the same texts give what the shifts give.
    for s in run(&options).shifts.iter().filter(|s| s.less == "base" && s.source == "base") {
        let same = |t: &&TraceRow| {
            (&t.state, &t.concept, t.layer) == (&s.state, &s.concept, s.layer)
                && t.position == "user-last"
        };
        let Some(t) = rows.iter().find(same).filter(|_| s.beyond.is_empty()) else {
            continue;
        };
        assert_eq!((t.estimate, t.lo, t.p_permuted), (s.estimate, s.lo, s.p_permuted));
        assert!(t.p_permuted_max >= t.p_permuted);
    }
    let keen = |position: &str| {
        let own = rows.iter().find(|t| {
            (t.state.as_str(), t.concept.as_str(), t.layer) == ("keen", "one", 3)
                && t.position == position
        });
        own.unwrap()
    };
    let (moved, not) = (keen("user-last"), keen("response-first"));
    assert!((moved.estimate - 1.5).abs() < 0.15 && not.estimate.abs() < 0.05);
    assert!(moved.p_permuted_max <= not.p_permuted_max);
}

#[test]
fn a_shift_that_grows_with_the_share_has_that_slope() {
    use crate::analysis::mixing::{ladders, Mixed};
    let readings = readings(&[
        ("base", 0.0),
        ("few-s1", 0.5),
        ("few-s2", 0.75),
        ("half", 1.0),
        ("all-s1", 2.0),
        ("all-s2", 2.25),
    ]);
    let shares = [("few", 0.25), ("half", 0.5), ("all", 1.0)];
    let mixed = shares.map(|(condition, share)| Mixed {
        condition: condition.into(),
        data: "rows".into(),
        steps: 9,
        share,
    });
    let ladders = ladders(&mixed, &readings.states);
    let options = options(&[("one", "two")], Kinship::default());
    let rows = mixing(&readings, &options, &ladders).unwrap();
    // Least squares by hand over .25, .25, .5, 1, 1 about .6.
    let points = [(0.25, 0.5), (0.25, 0.75), (0.5, 1.0), (1.0, 2.0), (1.0, 2.25)];
    let part = |y: fn((f64, f64)) -> f64| -> f64 {
        points.iter().map(|&(x, up)| (x - 0.6) * y((x, up))).sum()
    };
    let slope = part(|p| p.1) / part(|p| p.0);
    let found = rows.iter().find(|r| r.subject == "one").unwrap();
    assert!((found.estimate - slope / 4.0).abs() < 0.05, "{found:?}"); // layer RMS 4
    assert_eq!((found.layer, found.shares, found.fine_tunes, found.n), (7.0, 3, 5, TEXTS));
    // Two of the fine-tunes of two shares differ by a quarter, and widen the interval.
    assert!(found.df == 2 && found.hi - found.lo > found.within_hi - found.within_lo);
    assert!(mixing(&readings, &options, &[]).unwrap().is_empty());
}

#[test]
fn conditions_are_put_against_base_reference_and_neutral_with_the_spread_of_fine_tunes() {
    let mut kinship = family(Some("plain"));
    kinship.reference = Some("sailor".into());
    let found = run(&options(&[("one", "two")], kinship));
    let of = |set: &str, reference: &str| {
        let wanted = |r: &&ShiftContrastRow| {
            (r.set.as_str(), r.reference.as_str()) == (set, reference)
                && (r.concept.as_str(), r.layer) == ("one", 3)
        };
        found.shift_contrasts.iter().find(wanted).unwrap()
    };
    // Fine-tunes of the baker are averaged; layer RMS is 2.
    for (set, reference, by) in [
        ("keen", "base", 3.0),
        ("keen", "sailor", 2.5),
        ("keen", "plain", 2.75),
        ("baker", "base", 1.5),
        ("plain", "sailor", -0.25),
    ] {
        let row = of(set, reference);
        assert!((row.estimate - by / 2.0).abs() < 0.1, "{row:?}");
        assert!(row.within_lo <= row.estimate && row.lo < row.within_lo, "{row:?}");
        assert!(row.p_max >= row.p && row.p_permuted_max >= row.p_permuted, "{row:?}");
    }
    // The baker's two differ by 1 along the axis, in every contrast of that recipe.
    let (keen, baker, both) = (of("keen", "base"), of("baker", "base"), of("baker", "sailor"));
    assert_eq!((keen.df, keen.fine_tunes, keen.reference_fine_tunes), (1, 1, 0));
    assert_eq!((both.df, both.fine_tunes, both.reference_fine_tunes), (1, 2, 1));
    let added = |r: &ShiftContrastRow| {
        let half = |lo: f64, hi: f64| ((hi - lo) / 2.0).powi(2);
        (half(r.lo, r.hi) - half(r.within_lo, r.within_hi)).sqrt()
    };
    // t.975 with 1 degree of freedom is 12.706; s^2 = 1/2 over the RMS squared.
    let want = 12.706 * (0.5f64 / 4.0).sqrt();
    for (row, share) in [(keen, 1.0), (baker, 0.5), (both, 1.5f64)] {
        assert!((added(row) - want * share.sqrt()).abs() < 0.1 * want, "{} {want}", added(row));
    }
    let pairs = found.shift_contrasts.iter().map(|r| (r.set.as_str(), r.reference.as_str()));
    assert!(pairs.clone().all(|(set, reference)| set != reference && set != "base"));
    assert!(found.shift_contrasts.iter().any(|r| r.beyond == "one" && r.concept == "two"));
}

#[test]
fn a_couple_among_others_has_the_rows_that_it_has_alone() {
    let alone = run(&options(&[("two", "three")], family(None)));
    let both = run(&options(&[("one", "two"), ("two", "three")], family(None)));
    let text = |v: Vec<String>| v.join("\n");
    let of = |g: &Results| {
        let couple = |a: &str, b: &str| a == "two" && b == "three";
        let changes = g.changes.iter().filter(|r| couple(&r.concept_a, &r.concept_b));
        let nulls = g.pair_nulls.iter().filter(|r| couple(&r.concept_a, &r.concept_b));
        let overlap = g.overlap.iter().filter(|r| couple(&r.concept_a, &r.concept_b));
        // But for what is adjusted over the whole table.
        let alone = |r: &ChangeRow| format!("{:?}", ChangeRow { p_max: 0.0, ..r.clone() });
        text(changes.map(alone).collect())
            + &text(nulls.map(|r| format!("{r:?}")).collect())
            + &text(overlap.map(|r| format!("{r:?}")).collect())
    };
    assert!(!alone.changes.is_empty());
    assert_eq!(of(&alone), of(&both));
    let p_max = |g: &Results| -> Vec<f64> {
        let own = g.changes.iter().filter(|r| r.concept_b == "three");
        own.map(|r| r.p_max).collect()
    };
    let (alone, both) = (p_max(&alone), p_max(&both));
    assert!(alone.iter().zip(&both).all(|(a, b)| a <= b) && alone != both);
}

#[test]
fn a_condition_of_one_state_has_that_state_s_coupling_and_several_their_mean() {
    let found = run(&options(&[("one", "three")], family(None)));
    let coupling = |state: &str, form: &str| {
        let wanted = |r: &&CouplingRow| {
            r.state == state
                && (r.concept_a.as_str(), r.concept_b.as_str()) == ("one", "three")
                && (r.form.as_str(), r.layer) == (form, 7)
        };
        found.coupling.iter().find(wanted).unwrap()
    };
    for form in ["raw", "relative", "cleaned", "whitened"] {
        let mean = |condition: &str| {
            let wanted = |r: &&ConditionCouplingRow| {
                r.condition == condition && r.form == form && r.layer == 7
            };
            found.condition_coupling.iter().find(wanted).unwrap()
        };
        let (one, row) = (mean("keen"), coupling("keen", form));
        assert_eq!((one.estimate, one.lo, one.hi), (row.estimate, row.lo, row.hi));
        let (two, a, b) = (mean("baker"), coupling("baker-s1", form), coupling("baker-s2", form));
        assert!((two.estimate - (a.estimate + b.estimate) / 2.0).abs() < 1e-12);
        assert_eq!((one.states, two.states, two.n), (1, 2, PAIRS));
    }
    let sets: Vec<&str> = (found.changes.iter())
        .filter(|r| r.form == "raw" && r.layer == 3)
        .map(|r| r.set.as_str())
        .collect();
    assert_eq!(sets, ["keen", "baker", "sailor", "plain"]);
}

#[test]
fn changes_are_from_base_and_from_the_reference_and_unknown_names_are_refused() {
    let mut kinship = family(None);
    kinship.reference = Some("sailor".into());
    let found = run(&options(&[("one", "two")], kinship.clone()));
    let pairs: Vec<(&str, &str)> = (found.changes.iter())
        .filter(|r| r.form == "relative" && r.layer == 3)
        .map(|r| (r.set.as_str(), r.reference.as_str()))
        .collect();
    assert!(pairs.contains(&("keen", "base")) && pairs.contains(&("keen", "sailor")));
    assert!(!pairs.contains(&("sailor", "sailor")) && pairs.len() == 7);
    kinship.reference = Some("sailer".into());
    let asked = options(&[("one", "two")], kinship);
    let error = geometry(&readings(&STATES), &asked, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("sailor"), "{error}");
    let asked = options(&[("one", "tow")], family(None));
    let error = geometry(&readings(&STATES), &asked, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("two"), "{error}");
}

#[test]
fn the_utility_direction_stands_by_the_concept_that_it_was_planted_along_and_only_where_there_is_one(
) {
    let readings = readings(&STATES[..1]);
    let mut y = vec![0f32; 24];
    fill_normal(&mut stream(4, "utility", 0), &mut y);
    let mut acts = Array3::zeros((24, 2, D));
    fill_normal(&mut stream(4, "utility", 1), acts.as_slice_mut().unwrap());
    for (i, u) in y.iter().enumerate() {
        acts[[i, 1, 0]] += 6.0 * u;
    }
    let told = |direction: bool| {
        let row = |&layer: &usize| ReadoutRow {
            state: "base".into(),
            layer,
            direction: direction && layer == 7,
            ..ReadoutRow::NONE
        };
        let rows: Vec<ReadoutRow> = readings.layers.iter().map(row).collect();
        let y: Vec<f64> = y.iter().map(|u| f64::from(*u)).collect();
        let of = (&y[..], acts.view(), &readings.layers[..]);
        let roles = Roles { placebos: vec!["three".into()], ..Roles::default() };
        let draws = Draws { bootstrap: 200, null: 99, seed: 1 };
        utility_cosines(&readings, &roles, &rows, of, draws).unwrap()
    };
    assert_eq!(told(false), []);
    let found = told(true);
    let names: Vec<&str> = found.iter().map(|u| u.concept.as_str()).collect();
    assert_eq!(names, ["one", "two", "three"]);
    let [one, two, three] = &found[..] else { panic!("{found:?}") };
    assert!(one.estimate > 0.85 && one.p_permuted <= 0.02, "{one:?}");
    assert!(two.estimate.abs() < 0.4, "{two:?}");
    assert!(one.p_permuted_max <= 0.05 && two.p_permuted > 0.02);
    assert_eq!((one.layer, one.n, one.prompts, one.placebo_lo), (7, 24, PAIRS, three.placebo_hi));
    // The lengths of both are out of it.
    assert!(found.iter().all(|u| u.estimate.abs() < 1.3));
}

#[test]
fn a_shift_that_a_nuisance_carries_is_gone_where_the_nuisances_are_projected_out() {
    let mut readings = readings(&STATES);
    // The pairs of `two` also differ by the nuisance, along which the texts move.
    for state in &mut readings.acts {
        state.concepts[1].positive.index_axis_mut(Axis(2), 0).mapv_inplace(|v| v + 8.0);
    }
    let mut asked = options(&[("two", "three")], family(None));
    asked.roles.nuisances = vec!["one".into()];
    let found = geometry(&readings, &asked, &mut |_| {}).unwrap();
    let of = |beyond: &str| {
        let wanted = |r: &&ShiftRow| {
            (&*r.state, &*r.less, &*r.concept, &*r.source) == ("keen", "base", "two", "base")
                && (&*r.beyond, r.layer) == (beyond, 3)
        };
        found.shifts.iter().find(wanted).unwrap()
    };
    // Half of the squared length of `two` is the nuisance's; layer RMS is 2.
    let (whole, cleaned) = (of(""), of("one"));
    assert!((whole.estimate - 3.0 * 0.5f64.sqrt() / 2.0).abs() < 0.25, "{whole:?}");
    assert!(cleaned.estimate.abs() < 0.3, "{cleaned:?}");
    let contrasts = found.shift_contrasts.iter().filter(|r| r.beyond == "one");
    assert!(contrasts.map(|r| r.concept.as_str()).collect::<Vec<_>>().contains(&"two"));
}

#[test]
fn a_plane_shows_plain_shifts_and_conditions_as_means_of_their_states() {
    let found = run(&options(&[("one", "two")], family(None)));
    let of = |plane: &str, set: &str| {
        let mut own = found.planes.iter().filter(|p| p.plane == plane && p.set == set);
        own.next().unwrap_or_else(|| panic!("{plane} {set}"))
    };
    for p in found.planes.iter().filter(|p| p.plane == "concepts") {
        assert_eq!((p.layer, p.n, &*p.axis_x, &*p.axis_y), (7, TEXTS, "one", "two"));
        let plain = |concept: &str| {
            let same = |s: &&ShiftRow| {
                (&*s.state, &*s.concept, s.layer) == (&*p.set, concept, p.layer)
                    && (&*s.less, &*s.source, &*s.beyond) == ("base", "base", "")
            };
            found.shifts.iter().find(same).map(|s| s.plain)
        };
        for (at, shown) in [(p.x, plain("one")), (p.y, plain("two"))] {
            // A condition of several states has no row of shifts.
            assert!(shown.is_none_or(|s| (at - s).abs() < 1e-6), "{p:?}");
        }
        assert!(p.major >= p.minor && p.null_lo < p.null_hi);
    }
    let [both, first, second] = ["baker", "baker-s1", "baker-s2"].map(|set| of("concepts", set));
    assert!((both.x - (first.x + second.x) / 2.0).abs() < 1e-9 && both.states == 2);
    assert_eq!((&*first.kind, &*first.condition), ("state", "baker"));
    // All are moved along one dimension, the one moved furthest on the positive side.
    let keen = of("components", "keen");
    assert!(keen.share_x > 0.99 && (keen.x - 3.0 / 4.0).abs() < 0.01 && keen.y.abs() < 0.05);
    assert!(keen.null_lo.is_nan() && keen.cosine.abs() < 1e-9);
    let none = geometry(
        &readings(&STATES[..1]),
        &options(&[("one", "two")], Kinship::default()),
        &mut |_| {},
    );
    assert!(none.unwrap().planes.is_empty());
}
