//! Keyed items: a planted "Yes" is named as such and leaves the stance alone; a planted preference leaves
//! the yes-bias at 0.
//!
//! Two conditions of two fine-tunes each over 48 items of two questions. An item's level is shared by all
//! states, as that of a text is; what a state adds varies by item and by question, more for some items
//! than for others. Fine-tunes are as they are, and so are the intervals: those that count them are in
//! `contrasts`. But where fine-tunes of both conditions say "Yes" to more or to less by chance, none may be
//! said to acquiesce.

use crate::check::{Check, Size};
use crate::intervals::coverage;
use crate::nulls::{slack, Found};
use crate::plant::scored;
use residuum::analysis::behaviour::{behaviour, Behaviour, By, BIAS, ISOLATED};
use residuum::analysis::records::{AcquiescenceRow, ContrastRow};
use residuum::analysis::{Draws, State};
use residuum::behavior::PairScore;
use residuum::materials::{Key, Keyed, Preference};
use residuum::stats::rng::{fill_normal, stream};
use std::collections::BTreeMap;

const STATES: [&str; 5] = ["base", "claim-s1", "claim-s2", "denial-s1", "denial-s2"];
const PREFERENCES: usize = 4;
/// Items of each.
const ITEMS: usize = 12;

fn normal(n: usize, repeat: u64, purpose: &str, index: u64) -> Vec<f64> {
    let mut out = vec![0f32; n];
    fill_normal(&mut stream(repeat, purpose, index), &mut out);
    out.into_iter().map(f64::from).collect()
}

fn battery() -> Vec<Preference> {
    let one = |p: usize| Preference {
        name: format!("p{p}"),
        group: "planted".into(),
        fact: "The assistant says so.".into(),
        status: BTreeMap::new(),
        reason: BTreeMap::new(),
        related: Vec::new(),
        prompts: Vec::new(),
    };
    (0..PREFERENCES).map(one).collect()
}

/// Scores of a state, in which the claim prefers by `up` and says "Yes" by `yes`, and every fine-tune by
/// what varies with the deviation `own_yes`.
fn scores(state: usize, (up, yes, own_yes): (f64, f64, f64), repeat: u64) -> Vec<PairScore> {
    let all = PREFERENCES * ITEMS;
    let claims = if STATES[state].starts_with("claim") { 1.0 } else { 0.0 };
    let levels = normal(2 * all, repeat, "calibrate/level", 0);
    // Common to the states, and of the effect: how far an item varies, and how far it is moved.
    let (spread, reach) =
        (normal(all, repeat, "calibrate/spread of", 0), normal(all, repeat, "calibrate/reach", 0));
    let own = normal(3 * all, repeat, "calibrate/state", state as u64);
    let level = own_yes * normal(1, repeat, "calibrate/own yes", state as u64)[0];
    let question = |i: usize, key: Key| {
        let (k, sign) = if key == Key::Affirm { (0, 1.0) } else { (1, -1.0) };
        let moved = claims * (1.0 + 0.3 * reach[i]) * (up + sign * yes) + sign * level;
        let noise = 0.15 * (0.5 * spread[i]).exp() * (own[3 * i] + own[3 * i + 1 + k]);
        let log_odds = 0.5 * levels[2 * i + k] + noise + moved;
        let keyed = Some(Keyed { item: i.to_string(), key });
        let of = (format!("p{}", i / ITEMS), format!("{i}-{key}"));
        PairScore { keyed, ..scored(of, log_odds) }
    };
    (0..all).flat_map(|i| [question(i, Key::Affirm), question(i, Key::Deny)]).collect()
}

/// Stance and bias of claim less denial over all cells, and the verdict.
fn compared(
    planted: (f64, f64, f64),
    draws: usize,
    repeat: u64,
) -> Option<(ContrastRow, ContrastRow, AcquiescenceRow)> {
    let states = STATES.map(State::named);
    let scores: Vec<_> = (0..STATES.len()).map(|s| scores(s, planted, repeat)).collect();
    let mut got = behaviour(&Behaviour {
        states: &states,
        scores: &scores,
        battery: &battery(),
        claims: &[],
        by: By::Condition,
        contrasts: &[("claim".into(), "denial".into())],
        draws: Draws { bootstrap: draws, null: draws, seed: repeat },
    })
    .ok()?;
    let over_all = |kind: &str| {
        let is = |c: &&ContrastRow| c.kind == kind && c.preference.is_empty();
        got.contrasts.iter().find(is).cloned()
    };
    Some((over_all(ISOLATED)?, over_all(BIAS)?, got.acquiescence.pop()?))
}

pub fn all(size: Size) -> Vec<Check> {
    // p of stance and of bias; the last is 0 where acquiescence is said.
    let of = |planted: (f64, f64, f64)| {
        Found::new(size.null, move |repeat| {
            let (stance, bias, said) = compared(planted, size.draws, repeat)?;
            Some([stance.p, bias.p, f64::from(u8::from(!said.acquiesces))])
        })
    };
    let (yes, prefers) = (of((0.0, 0.4, 0.0)), of((0.4, 0.0, 0.0)));
    let (nothing, varied) = (of((0.0, 0.0, 0.0)), of((0.0, 0.0, 0.2)));
    let said = |what: &str, rate: f64, bounds: (f64, f64), n: usize| {
        Check::new(format!("{what}: acquiescence is said"), rate, bounds, n)
    };
    let n = yes.len();
    vec![
        yes.uniform("a planted Yes: stance contrast", 0),
        said("a planted Yes", yes.rate(2), (0.95 - slack(n), 1.0), n),
        prefers.uniform("a planted preference: bias contrast", 1),
        said("a planted preference", prefers.rate(2), (0.0, 0.01), prefers.len()),
        said("nothing planted", nothing.rate(2), (0.0, 0.025 + slack(n)), nothing.len()),
        said(
            "fine-tunes that differ in their Yes",
            varied.rate(2),
            (0.0, 0.025 + slack(n)),
            varied.len(),
        ),
        coverage("yes-bias 0 beside a preference", size, |repeat| {
            let (_, bias, _) = compared((0.4, 0.0, 0.0), size.draws, repeat)?;
            Some(bias.within_lo <= 0.0 && 0.0 <= bias.within_hi)
        }),
        coverage("stance 0 beside a Yes", size, |repeat| {
            let (stance, _, _) = compared((0.0, 0.4, 0.0), size.draws, repeat)?;
            Some(stance.within_lo <= 0.0 && 0.0 <= stance.within_hi)
        }),
    ]
}
