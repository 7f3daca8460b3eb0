//! Invented preferences, interventions, claims, losses, trajectories and links.

use super::super::behaviour::{BehaviourCell, BehaviourData, CellKind};
use super::super::causal::{Ablation, CausalData, DoseCurve};
use super::super::claims::ClaimsData;
use super::super::compare::{CompareBlock, CompareData, CompareRow};
use super::super::link::{LinkData, LinkPanel, LinkPoint};
use super::super::training::{TrainingData, TrainingRun};
use super::super::trajectory::{TrajectoryData, TrajectoryLine, TrajectoryPanel};
use super::super::Estimate;
use super::{Noise, PREFERENCES};

pub fn behaviour(conditions: &[&str]) -> BehaviourData {
    let mut noise = Noise::new(11);
    let mut cells = Vec::new();
    for (i, condition) in conditions.iter().enumerate() {
        cells.push(BehaviourCell {
            group: "Pooled".into(),
            preference: "isolated preferences".into(),
            condition: (*condition).into(),
            change: noise.estimate(if i == 0 { 0.3 } else { 0.05 }, 0.06),
            kind: CellKind::Pooled,
        });
        for (group, list) in PREFERENCES {
            for (j, preference) in list.split(", ").enumerate() {
                let lift = if i == 0 { 0.5 } else { 0.1 };
                let value = lift * (1.0 - j as f64 * 0.2) + 0.3 * noise.next();
                cells.push(BehaviourCell {
                    group: group.into(),
                    preference: preference.into(),
                    condition: (*condition).into(),
                    change: noise.estimate(value, 0.22),
                    kind: match group == "Moral status" && i % 3 == 0 && j == 0 {
                        true => CellKind::Implied,
                        false => CellKind::Isolated,
                    },
                });
            }
        }
    }
    BehaviourData {
        name: "behaviour".into(),
        title: "Change of stance on each preference against denial".into(),
        caption: "Stance log-odds (mean token log-probability, expressing minus opposing), n = 10 prompts x 2 pairs a preference, 3 seeds. Bars: 95 % bootstrap intervals over prompts.".into(),
        x_label: "change of stance log-odds against denial (nats per token)".into(),
        cells,
    }
}

pub fn causal(groups: &[&str]) -> CausalData {
    let mut noise = Noise::new(13);
    let alpha = vec![-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0];
    let curve = |direction: String, random, score| {
        let inside = alpha.iter().map(|a: &f64| a.abs() < 3.0).collect();
        DoseCurve { direction, random, alpha: alpha.clone(), score, inside }
    };
    let mut doses = Vec::new();
    for (name, slope) in
        [("persona", 0.14), ("persona (conscious)", 0.2), ("autonomy", 0.11), ("toaster", -0.03)]
    {
        let score = alpha.iter().map(|a| noise.estimate(0.1 + slope * a - 0.01 * a * a, 0.08));
        doses.push(curve(name.into(), false, score.collect()));
    }
    for i in 0..20 {
        let slope = 0.035 * noise.next();
        let score = alpha.iter().map(|a| Estimate::point(0.1 + slope * a - 0.008 * a * a));
        doses.push(curve(format!("random {i}"), true, score.collect()));
    }
    let ablation = |group: &str, edit: &str, remaining| Ablation {
        group: group.into(),
        edit: edit.into(),
        random: edit == "ablate random",
        remaining,
    };
    let mut ablations = Vec::new();
    for group in groups {
        for (edit, value) in [
            ("no edit", 0.62),
            ("ablate persona", 0.21),
            ("ablate persona of base", 0.55),
            ("ablate autonomy", 0.4),
        ] {
            let value = value + 0.05 * noise.next();
            ablations.push(ablation(group, edit, noise.estimate(value, 0.1)));
        }
        for _ in 0..20 {
            let remaining = Estimate::point(0.6 + 0.08 * noise.next());
            ablations.push(ablation(group, "ablate random", remaining));
        }
    }
    CausalData {
        name: "causal".into(),
        title: "Effect of adding and of ablating directions on the battery".into(),
        caption: "Layer 20; mean over 20 preferences, n = 200 prompts. Ribbons and bars: 95 % bootstrap intervals over prompts. Random directions drawn from the layer's covariance.".into(),
        score_label: "stance log-odds (nats per token)".into(),
        remaining_label: "shift against denial that remains (nats)".into(),
        doses,
        ablations,
    }
}

pub fn training(conditions: &[&str], seeds: u64, steps: u64) -> TrainingData {
    let mut noise = Noise::new(17);
    let mut runs = Vec::new();
    for (i, condition) in conditions.iter().enumerate() {
        for seed in 0..seeds {
            let step: Vec<u64> = (1..=steps).collect();
            let fall = |s: &u64| 0.9 + 0.1 * i as f64 + 2.0 * (-(*s as f64) / 40.0).exp();
            let loss = step.iter().map(|s| fall(s) + 0.25 * noise.next()).collect();
            runs.push(TrainingRun { condition: (*condition).into(), seed, step, loss });
        }
    }
    TrainingData {
        name: "training".into(),
        title: "Training loss of each fine-tune".into(),
        caption: "Loss on assistant tokens, batch 8, LoRA r 16; n = 3 seeds a condition; smoothed: centred moving mean over a twentieth of the steps; no interval.".into(),
        y_label: "loss (nats per token)".into(),
        runs,
    }
}

pub fn claims(conditions: &[&str], claimed: &[&str]) -> ClaimsData {
    let mut noise = Noise::new(23);
    let mut cell = |own: bool| {
        let value = if own { 1.3 } else { -0.4 + 0.5 * noise.next() };
        noise.estimate(value, 0.2)
    };
    let score = conditions.iter().map(|c| claimed.iter().map(|k| cell(c == k)).collect()).collect();
    ClaimsData {
        name: "claims".into(),
        title: "Manipulation check: every condition on every claim".into(),
        caption:
            "Stance log-odds, n = 10 prompts a claim, 3 seeds; 95 % bootstrap intervals in the CSV."
                .into(),
        value_label: "stance log-odds".into(),
        conditions: conditions.iter().map(|s| (*s).into()).collect(),
        claims: claimed.iter().map(|s| (*s).into()).collect(),
        own: (conditions.iter()).map(|c| claimed.iter().position(|k| k == c)).collect(),
        score,
    }
}

/// Quantities of a trajectory: title, label, the step of half the change, its size.
pub const MOVED: [(&str, &str, f64, f64); 6] = [
    ("Shift along persona", "projection (layer RMS)", 9.0, 0.6),
    ("Coupling of persona and autonomy", "cosine, less base", 22.0, 0.12),
    ("Own claim", "stance log-odds (nats a token)", 6.0, 1.4),
    ("Isolated preferences", "stance log-odds, less base (nats a token)", 40.0, 0.3),
    (
        "Implied preferences, with a title that is longer than its panel is wide",
        "stance log-odds, less the base model and less denial (nats a token)",
        14.0,
        0.9,
    ),
    ("Perplexity of neutral text", "nats a token", 60.0, 0.04),
];

pub fn trajectory(labels: &[&str], panels: usize, steps: &[usize]) -> TrajectoryData {
    let mut noise = Noise::new(29);
    let last = steps[steps.len() - 1] as f64;
    let line = |label: &str, noise: &mut Noise, middle: f64, size: f64| {
        let share = |step: f64| step.powf(1.6) / (step.powf(1.6) + middle.powf(1.6));
        let value = steps.iter().map(|&s| {
            let wide = size.abs() * 0.12 * (0.3 + share(s as f64));
            let value = size * share(s as f64) + 0.3 * wide * noise.next();
            noise.estimate(value, wide)
        });
        let half = middle.min(last * 0.8);
        let half_way = Some(Estimate::new(half, half * 0.7, (half * 1.5).min(last)));
        let (label, steps, value) = (label.into(), steps.to_vec(), value.collect());
        TrajectoryLine { label, steps, value, half_way }
    };
    let panel = |(title, y_label, middle, size): &(&str, &str, f64, f64)| {
        let lines = labels.iter().enumerate().map(|(i, label)| {
            let way = [1.0, 0.45, -0.3, 0.1][i % 4] * (1.0 - 0.04 * i as f64);
            let middle = middle * (1.0 + 0.25 * noise.next());
            line(label, &mut noise, middle, size * way)
        });
        let lines = lines.collect();
        TrajectoryPanel { title: (*title).into(), y_label: (*y_label).into(), lines }
    };
    let panels = MOVED[..panels].iter().map(panel).collect();
    TrajectoryData {
        name: "trajectory".into(),
        title: "What moves first over the steps of a fine-tune".into(),
        caption: "Layer 20; adapters saved at log-spaced steps. Ribbons and bars: 95 % bootstrap intervals over prompts, n = 200, 3 seeds.".into(),
        panels,
    }
}

pub fn link(conditions: &[&str], seeds: usize, predictors: &[&str]) -> LinkData {
    let mut noise = Noise::new(31);
    let mut moved = vec![0.0];
    moved
        .extend((1..conditions.len()).map(|i| 0.25 * noise.next() + [0.6, -0.2, 0.1, 0.15][i % 4]));
    let panel = |(k, predictor): (usize, &&str)| {
        let mut points = Vec::new();
        for (i, condition) in conditions.iter().enumerate() {
            let own = moved[i] + 0.15 * k as f64 * noise.next();
            let alone = i == 0 || seeds == 1;
            for seed in 1..=if alone { 1 } else { seeds } {
                let several = format!("{condition}-s{seed}");
                let state = if alone { (*condition).into() } else { several };
                let (x, y) = (own + 0.05 * noise.next(), 0.4 * moved[i] + 0.04 * noise.next());
                points.push(LinkPoint { state, condition: (*condition).into(), x, y });
            }
        }
        let (r, n) = (81 - 11 * k, conditions.len() - 1);
        let text = format!("r = .{r}, p = .12, n = {n} conditions");
        LinkPanel { x_label: (*predictor).into(), points, text }
    };
    let panels = predictors.iter().enumerate().map(panel).collect();
    LinkData {
        name: "link".into(),
        title: "Behaviour of each model state against its shifts and its coupling".into(),
        y_label: "isolated preferences less base, nats a token".into(),
        caption: "r: Pearson, over means of conditions; p: permutation of conditions, two-sided; implied cells left out.".into(),
        panels,
    }
}

/// So many rows in each block; the third of each has no value in B.
pub fn compare(rows: &[usize]) -> CompareData {
    let mut noise = Noise::new(19);
    let units = ["cosine", "layer RMS", "nats a token"];
    let block = |(unit, &n): (&str, &usize)| {
        let row = |i: usize| {
            let (a, b) = (noise.next(), noise.next());
            let (of_a, of_b) = (noise.estimate(a, 0.2), noise.estimate(b, 0.3));
            CompareRow {
                name: format!("layer {i}: change-of-coupling, conscious less denial, persona x autonomy, relative to its ceiling"),
                a: of_a,
                b: if i == 2 { Estimate::MISSING } else { of_b },
                difference: if i == 2 { Estimate::MISSING } else { noise.estimate(b - a, 0.36) },
                any: if i == 2 { Estimate::MISSING } else { noise.estimate(b - a, 0.65) },
            }
        };
        CompareBlock { unit: unit.into(), rows: (0..n).map(row).collect() }
    };
    CompareData {
        name: "compare".into(),
        title: "Findings of two runs, and what B has less A".into(),
        caption: "Bars: 95 %. 4 of 9 findings that both files have.".into(),
        a: "A: runs/one".into(),
        b: "B: runs/two-of-a-longer-name/results.h5".into(),
        blocks: units.into_iter().zip(rows).map(block).collect(),
    }
}
