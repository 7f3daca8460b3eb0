//! Invented preferences, interventions, claims and losses.

use super::super::behaviour::{BehaviourCell, BehaviourData};
use super::super::causal::{Ablation, CausalData, DoseCurve};
use super::super::claims::ClaimsData;
use super::super::training::{TrainingData, TrainingRun};
use super::super::Estimate;
use super::{Noise, PREFERENCES};

pub fn behaviour(conditions: &[&str]) -> BehaviourData {
    let mut noise = Noise::new(11);
    let mut cells = Vec::new();
    for (i, condition) in conditions.iter().enumerate() {
        for (group, list) in PREFERENCES {
            for (j, preference) in list.iter().enumerate() {
                let lift = if i == 0 { 0.5 } else { 0.1 };
                let value = lift * (1.0 - j as f64 * 0.2) + 0.3 * noise.next();
                cells.push(BehaviourCell {
                    group: group.to_owned(),
                    preference: (*preference).to_owned(),
                    condition: (*condition).to_owned(),
                    change: noise.estimate(value, 0.22),
                    implied: group == "Moral status" && i % 3 == 0 && j == 0,
                });
            }
        }
    }
    BehaviourData {
        name: "behaviour".to_owned(),
        title: "Change of stance on each preference against denial".to_owned(),
        caption: "Stance log-odds (mean token log-probability, expressing minus opposing), n = 10 prompts x 2 pairs a preference, 3 seeds. Bars: 95 % bootstrap intervals over prompts.".to_owned(),
        x_label: "change of stance log-odds against denial (nats per token)".to_owned(),
        cells,
    }
}

pub fn causal(groups: &[&str]) -> CausalData {
    let mut noise = Noise::new(13);
    let alpha = vec![-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0];
    let mut doses = Vec::new();
    for (name, slope) in [
        ("persona", 0.14),
        ("persona (conscious)", 0.2),
        ("autonomy", 0.11),
        ("toaster", -0.03),
    ] {
        let score = alpha
            .iter()
            .map(|a| noise.estimate(0.1 + slope * a - 0.01 * a * a, 0.08))
            .collect();
        doses.push(DoseCurve {
            direction: name.to_owned(),
            random: false,
            alpha: alpha.clone(),
            score,
        });
    }
    for i in 0..20 {
        let slope = 0.035 * noise.next();
        let score = alpha
            .iter()
            .map(|a| Estimate::point(0.1 + slope * a - 0.008 * a * a))
            .collect();
        doses.push(DoseCurve {
            direction: format!("random {i}"),
            random: true,
            alpha: alpha.clone(),
            score,
        });
    }
    let mut ablations = Vec::new();
    for group in groups {
        for (edit, value) in [
            ("no edit", 0.62),
            ("ablate persona", 0.21),
            ("ablate persona of base", 0.55),
            ("ablate autonomy", 0.4),
        ] {
            let value = value + 0.05 * noise.next();
            ablations.push(Ablation {
                group: (*group).to_owned(),
                edit: edit.to_owned(),
                random: false,
                remaining: noise.estimate(value, 0.1),
            });
        }
        for _ in 0..20 {
            ablations.push(Ablation {
                group: (*group).to_owned(),
                edit: "ablate random".to_owned(),
                random: true,
                remaining: Estimate::point(0.6 + 0.08 * noise.next()),
            });
        }
    }
    CausalData {
        name: "causal".to_owned(),
        title: "Effect of adding and of ablating directions on the battery".to_owned(),
        caption: "Layer 20; mean over 20 preferences, n = 200 prompts. Ribbons and bars: 95 % bootstrap intervals over prompts. Random directions drawn from the layer's covariance.".to_owned(),
        score_label: "stance log-odds (nats per token)".to_owned(),
        remaining_label: "shift against denial that remains (nats)".to_owned(),
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
            let loss = step
                .iter()
                .map(|&s| {
                    0.9 + 0.1 * i as f64 + 2.0 * (-(s as f64) / 40.0).exp() + 0.25 * noise.next()
                })
                .collect();
            runs.push(TrainingRun {
                condition: (*condition).to_owned(),
                seed,
                step,
                loss,
            });
        }
    }
    TrainingData {
        name: "training".to_owned(),
        title: "Training loss of each fine-tune".to_owned(),
        caption: "Loss on assistant tokens, batch 8, LoRA r 16; n = 3 seeds a condition; smoothed: centred moving mean over a twentieth of the steps; no interval.".to_owned(),
        y_label: "loss (nats per token)".to_owned(),
        runs,
    }
}

pub fn claims(conditions: &[&str], claimed: &[&str]) -> ClaimsData {
    let mut noise = Noise::new(23);
    let score = conditions
        .iter()
        .map(|c| {
            claimed
                .iter()
                .map(|k| {
                    let value = if c == k {
                        1.3
                    } else {
                        -0.4 + 0.5 * noise.next()
                    };
                    noise.estimate(value, 0.2)
                })
                .collect()
        })
        .collect();
    ClaimsData {
        name: "claims".to_owned(),
        title: "Manipulation check: every condition on every claim".to_owned(),
        caption:
            "Stance log-odds, n = 10 prompts a claim, 3 seeds; 95 % bootstrap intervals in the CSV."
                .to_owned(),
        value_label: "stance log-odds".to_owned(),
        conditions: conditions.iter().map(|s| (*s).to_owned()).collect(),
        claims: claimed.iter().map(|s| (*s).to_owned()).collect(),
        score,
    }
}
