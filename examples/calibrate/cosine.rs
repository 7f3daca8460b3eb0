//! Recovery and coverage of cosines, ceilings, contrasts and conditions.

use crate::check::{Check, Size};
use crate::plant::Plant;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use residuum::geometry::{contrast, coupling, CouplingOptions, Over};
use residuum::stats::rng::stream;

fn options(size: Size, seed: u64) -> CouplingOptions {
    CouplingOptions {
        draws: size.draws,
        flips: 1,
        random: 1,
        seed,
        ..CouplingOptions::for_pair(0, 1)
    }
}

/// Sample sizes and reliabilities as the shipped studies have them, at one layer.
struct Cell {
    name: &'static str,
    pairs: (usize, usize),
    reliability: (f64, f64),
    per_prompt: usize,
    outlier: bool,
}

const CELLS: [Cell; 5] = [
    Cell {
        name: "48 + 48 pairs",
        pairs: (48, 48),
        reliability: (0.84, 0.66),
        per_prompt: 1,
        outlier: false,
    },
    Cell {
        name: "24 + 24 pairs",
        pairs: (24, 24),
        reliability: (0.85, 0.85),
        per_prompt: 1,
        outlier: false,
    },
    Cell {
        name: "120 + 60 pairs",
        pairs: (120, 60),
        reliability: (0.93, 0.85),
        per_prompt: 1,
        outlier: false,
    },
    Cell {
        name: "24 + 24 prompts of 2",
        pairs: (48, 48),
        reliability: (0.84, 0.75),
        per_prompt: 2,
        outlier: false,
    },
    Cell {
        name: "48 + 48 pairs, outlier layer",
        pairs: (48, 48),
        reliability: (0.9, 0.9),
        per_prompt: 1,
        outlier: true,
    },
];

/// What one data set says.
struct Seen {
    plain: f64,
    relative: f64,
    holds_plain: bool,
    holds_relative: bool,
}

fn run(cell: &Cell, cosine: f64, size: Size) -> Vec<Seen> {
    let attenuated = cosine * (cell.reliability.0 * cell.reliability.1).sqrt();
    (0..size.coverage as u64)
        .into_par_iter()
        .filter_map(|repeat| {
            let plant = Plant {
                per_prompt: cell.per_prompt,
                outlier: cell.outlier,
                ..Plant::pair(cell.pairs, cell.reliability, cosine, repeat)
            };
            let got = coupling(plant.data().input(), &options(size, repeat)).ok()?;
            let at = [0, 0, 1, 0];
            let f = &got.raw;
            // An interval that says nothing excludes nothing.
            let undefined = f.relative_lo[at].is_nan();
            Some(Seen {
                plain: f.value[at],
                relative: f.relative[at],
                holds_plain: f.lo[at] <= attenuated && attenuated <= f.hi[at],
                holds_relative: undefined
                    || (f.relative_lo[at] <= cosine && cosine <= f.relative_hi[at]),
            })
        })
        .collect()
}

fn share(seen: &[Seen], holds: impl Fn(&Seen) -> bool) -> f64 {
    seen.iter().filter(|s| holds(s)).count() as f64 / seen.len() as f64
}

fn mean(seen: &[Seen], value: impl Fn(&Seen) -> f64) -> f64 {
    seen.iter().map(value).sum::<f64>() / seen.len() as f64
}

/// Planted cosines 0, .3, .8: means, and intervals of both forms.
pub fn planted(size: Size) -> Vec<Check> {
    let mut out = Vec::new();
    for cell in &CELLS {
        for cosine in [0.0, 0.3, 0.8] {
            let seen = run(cell, cosine, size);
            let n = seen.len();
            let what = |text: &str| format!("cosine {cosine}, {}: {text}", cell.name);
            let ceiling = (cell.reliability.0 * cell.reliability.1).sqrt();
            // A layer with one loud dimension is flagged, not promised.
            let bounds = match cell.outlier {
                true => (0.88, 0.98),
                false => size.bounds,
            };
            let near = if cell.outlier { 0.04 } else { 0.02 };
            let noise = 4.0 * 0.15 / (n as f64).sqrt(); // four standard errors at most
            let tolerance = if n < 1000 { near + noise } else { near };
            out.push(Check::new(
                what("relative to ceiling, mean less planted"),
                mean(&seen, |s| s.relative) - cosine,
                (-tolerance, tolerance),
                n,
            ));
            out.push(Check::new(
                what("plain, mean over what the ceiling leaves"),
                mean(&seen, |s| s.plain) - cosine * ceiling,
                (-tolerance, tolerance),
                n,
            ));
            out.push(Check::new(
                what("95 % interval of the relative holds it"),
                share(&seen, |s| s.holds_relative),
                bounds,
                n,
            ));
            out.push(Check::new(
                what("95 % interval of the plain holds it"),
                share(&seen, |s| s.holds_plain),
                bounds,
                n,
            ));
        }
    }
    out
}

/// Changes between two states that read the same texts.
pub fn changes(size: Size) -> Vec<Check> {
    let mut out = Vec::new();
    for (from, to) in
        [((0.3, 0.8), (0.3, 0.8)), ((0.3, 0.8), (0.6, 0.8)), ((0.3, 0.66), (0.3, 0.85))]
    {
        let seen: Vec<(bool, f64)> = (0..size.coverage as u64)
            .into_par_iter()
            .filter_map(|repeat| {
                let plant = |state: (f64, f64)| Plant {
                    states: 2,
                    ..Plant::pair((48, 48), (0.84, state.1), state.0, repeat)
                };
                let (mut data, other) = (plant(from).data(), plant(to).data());
                data.differences[1] = other.differences[1].clone();
                let got = coupling(data.input(), &options(size, repeat)).ok()?;
                let value = got.raw.relative.slice(ndarray::s![.., 0, 1, ..]).to_owned();
                let draws = got.pairs[0].draws.relative.view();
                let over = Over::Prompts;
                let k = contrast(value.view(), draws, (&[1], &[0]), over, 0.95, repeat).ok()?;
                let change = to.0 - from.0;
                Some((k.lo[0] <= change && change <= k.hi[0], k.value[0] - change))
            })
            .collect();
        let n = seen.len();
        let what = format!("cosine {} -> {}, reliability {} -> {}", from.0, to.0, from.1, to.1);
        out.push(Check::new(
            format!("{what}: 95 % interval of dK (relative) holds it"),
            seen.iter().filter(|s| s.0).count() as f64 / n as f64,
            size.bounds,
            n,
        ));
        let tolerance = 0.02 + 4.0 * 0.12 / (n as f64).sqrt();
        out.push(Check::new(
            format!("{what}: dK (relative), mean less planted"),
            seen.iter().map(|s| s.1).sum::<f64>() / n as f64,
            (-tolerance, tolerance),
            n,
        ));
    }
    out
}

/// Conditions of three seeds each, with seeds of their own cosine, against base.
pub fn conditions(size: Size) -> Vec<Check> {
    let holds: Vec<bool> = (0..size.coverage as u64)
        .into_par_iter()
        .filter_map(|repeat| {
            let mut rng = stream(repeat, "calibrate/seeds", 0);
            let plant = |cosine: f64| Plant {
                states: 4,
                ..Plant::pair((48, 48), (0.84, 0.8), cosine, repeat)
            };
            let mut data = plant(0.2).data();
            for state in 1..4 {
                let z: f64 = StandardNormal.sample(&mut rng);
                let other = plant((0.5 + 0.08 * z).clamp(-0.95, 0.95)).data();
                data.differences[state] = other.differences[state].clone();
            }
            let got = coupling(data.input(), &options(size, repeat)).ok()?;
            let value = got.raw.relative.slice(ndarray::s![.., 0, 1, ..]).to_owned();
            let draws = got.pairs[0].draws.relative.view();
            let sets = (&[1usize, 2, 3][..], &[0usize][..]);
            let over = Over::PromptsAndSeeds;
            let k = contrast(value.view(), draws, sets, over, 0.95, repeat).ok()?;
            Some(k.lo[0] <= 0.3 && 0.3 <= k.hi[0])
        })
        .collect();
    let n = holds.len();
    vec![Check::new(
        "condition of 3 seeds less base: 95 % interval over seeds holds it",
        holds.iter().filter(|h| **h).count() as f64 / n as f64,
        size.bounds,
        n,
    )]
}
