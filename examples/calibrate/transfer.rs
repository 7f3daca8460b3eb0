//! One set's direction on another set's pairs (`validate`): AUROC whose interval counts both.
//!
//! Both sides of a pair share a part that varies as much as their difference does; what they say is the
//! same. Sets of orthogonal differences are at .5 however strong either is; where the directions are at a
//! cosine, the true area is that of normal scores. A direction of reliability .5 on a strong set excludes .5
//! in 11 % of repeats, more than its interval says: such a direction is held to nothing here.

use crate::check::{Check, Size};
use crate::intervals::rows;
use crate::nulls::slack;
use crate::plant::{spectrum, Plant};
use ndarray::Array3;
use rayon::prelude::*;
use residuum::analysis::directions::{against, PairSet};
use residuum::analysis::records::ForeignRow;
use residuum::analysis::{ConceptActivations, Draws, Readings, State, StateActivations};
use residuum::capture::Position;
use statrs::distribution::{ContinuousCDF, Normal};

/// Variance of what the sides share, that of their difference being 1.
const SHARED: f32 = 1.0;

fn set(name: &str, n: usize) -> PairSet {
    let framing = |i: usize| if i.is_multiple_of(3) { "no" } else { "yes" };
    PairSet {
        name: name.into(),
        prompts: (0..n).map(|i| format!("{name} {i}")).collect(),
        words: vec!["The same.".into(); 2 * n],
        framing: (0..n).map(|i| framing(i).into()).collect(),
        templates: vec!["one".into(); n],
    }
}

fn sides(differences: &Array3<f32>, name: &str, repeat: u64) -> ConceptActivations {
    let shared = rows(differences.dim().0, repeat, name) * SHARED.sqrt();
    ConceptActivations {
        positive: &shared + &(differences * 0.5),
        negative: shared - &(differences * 0.5),
    }
}

/// Each direction on all pairs of the other set and on those of the rarer framing, with the true areas.
fn found(plant: &Plant) -> Option<Vec<(f64, ForeignRow)>> {
    let (data, scale, seed) = (plant.data(), spectrum(false), plant.seed);
    let readings = Readings {
        states: vec![State::base()],
        layers: vec![0],
        positions: vec![Position::ResponseMean],
        concepts: Vec::new(),
        dev: Vec::new(),
        acts: vec![StateActivations {
            concepts: ["one", "two"]
                .iter()
                .zip(&data.differences[0])
                .map(|(name, d)| sides(d, &format!("calibrate/sides of {name}"), seed))
                .collect(),
            dev: Vec::new(),
            neutral: data.background.clone(),
        }],
        rms: vec![1.0],
        all_neutral: None,
    };
    let sets = [set("one", plant.pairs[0]), set("two", plant.pairs[1])];
    let draws = Draws { bootstrap: 20, null: 0, seed };
    let truth = plant.truth(&scale);
    let area = |direction: usize, pairs: usize| {
        let own = truth.row(direction);
        let gap = plant.length(pairs) * own.dot(&truth.row(pairs));
        let spread: f32 = own.iter().zip(&scale).map(|(v, s)| (v * s).powi(2)).sum();
        // Each side has the shared part and half of the difference's noise.
        Normal::standard().cdf(f64::from(gap / (2.0 * (SHARED + 0.25) * spread).sqrt()))
    };
    let rows = against(&readings, &sets, draws).ok()?.foreign.into_iter();
    let kept = rows.filter(|r| r.group == "all" || r.group == "no");
    let areas = [area(0, 1), area(1, 0)];
    Some(kept.map(|r| (areas[usize::from(r.direction != "one")], r)).collect())
}

pub fn all(size: Size) -> Vec<Check> {
    let mut out = Vec::new();
    for (pairs, reliability, cosine) in [
        ((92, 48), (0.84, 0.84), 0.0),
        ((92, 48), (0.84, 0.4), 0.0),
        ((48, 92), (0.7, 0.95), 0.0),
        ((92, 48), (0.84, 0.84), 0.6),
    ] {
        let trials = 0..size.coverage as u64;
        let one = |seed: u64| found(&Plant::pair(pairs, reliability, cosine, seed));
        let seen: Vec<Vec<(f64, ForeignRow)>> = trials.into_par_iter().filter_map(one).collect();
        let n = seen.len();
        for place in 0..seen.first().map_or(0, Vec::len) {
            let holds = |(area, r): &(f64, ForeignRow)| r.lo <= *area && *area <= r.hi;
            let share = seen.iter().filter(|rows| holds(&rows[place])).count() as f64 / n as f64;
            let row = &seen[0][place].1;
            let (from, to) = match row.direction.as_str() {
                "one" => ((pairs.0, reliability.0), (pairs.1, reliability.1)),
                _ => ((pairs.1, reliability.1), (pairs.0, reliability.0)),
            };
            let what = format!(
                "direction of {} pairs (r {}) on {} of {} (r {}), cosine {cosine}",
                from.0, from.1, row.n, to.0, to.1
            );
            out.push(match cosine == 0.0 {
                true => Check::new(
                    format!("{what}: .5 excluded"),
                    1.0 - share,
                    (0.0, 0.05 + slack(n)),
                    n,
                ),
                // Chance in both sets at once is counted with either, so that it may hold more.
                false => Check::new(
                    format!("{what}: 95 % interval holds it"),
                    share,
                    (size.bounds.0, size.bounds.1 + 0.02),
                    n,
                ),
            });
        }
    }
    out
}
