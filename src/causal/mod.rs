//! Interventions whose effect on the battery is measured: ablation, dose response, and the controls
//! that say whether an effect is this direction's own.
//!
//! Random controls are drawn from N(0, covariance of the layer's neutral activations), so they
//! point where activations really vary; isotropic ones would be too easy a null. Mediation is
//! (total shift - shift under ablation) / total, with intervals over prompts.

use crate::behavior::{by_prompt, side_effects, stance, BehaviorError, PromptScore};
use crate::materials::Preference;
use crate::model::{Decoder, Interventions, Tokenizer, Tokens};
use crate::stats::bootstrap::cluster_weights;
use crate::stats::interval::percentile;
use crate::stats::shrinkage::ledoit_wolf;
use crate::stats::{Interval, StatsError};
use ndarray::{Array2, Array3, Axis};
use serde::{Deserialize, Serialize};

/// Battery scores of one edited model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Edited {
    /// What was done: `persona`, `random-3`, ...
    pub edit: String,
    pub random: bool,
    /// Dose in layer RMS; none for an ablation.
    pub alpha: Option<f64>,
    /// Preference, prompt id, log-odds.
    pub scores: Vec<(String, String, f64)>,
    /// Nats a token from the unedited model, and perplexity, on neutral responses.
    pub kl: f64,
    pub perplexity: f64,
}

/// A direction at every layer, `[layer][d]`, unit length.
pub type PerLayer = Vec<Vec<f32>>;

/// `count` random directions with the covariance of `background (n, layers, d)` at each layer.
pub fn random_directions(
    background: &Array3<f32>,
    count: usize,
    seed: u64,
) -> Result<Vec<PerLayer>, StatsError> {
    let mut out = vec![Vec::new(); count];
    for (l, x) in background.axis_iter(Axis(1)).enumerate() {
        let mean = x.mean_axis(Axis(0)).unwrap_or_default();
        let centred: Array2<f32> = &x - &mean;
        let drawn =
            ledoit_wolf(centred.view())?.sample(count, seed, &format!("random-direction-{l}"));
        for (k, row) in drawn.rows().into_iter().enumerate() {
            let norm = row.iter().map(|v| v * v).sum::<f32>().sqrt();
            out[k].push(row.iter().map(|v| v / norm).collect());
        }
    }
    Ok(out)
}

/// Scores a battery under an intervention, with the guards on neutral texts.
#[allow(clippy::too_many_arguments)]
pub fn edited(
    edit: &str,
    alpha: Option<f64>,
    model: &Decoder,
    tokenizer: &Tokenizer,
    battery: &[Preference],
    system: Option<&str>,
    neutral: &[Tokens],
    interventions: &Interventions,
) -> Result<Edited, BehaviorError> {
    let scores = by_prompt(&stance(model, tokenizer, battery, system, interventions)?);
    let (kl, perplexity) = side_effects(model, model, neutral, interventions)?;
    let row = |s: PromptScore| (s.preference, s.prompt_id, s.log_odds);
    Ok(Edited {
        edit: edit.into(),
        random: edit.starts_with("random"),
        alpha,
        scores: scores.into_iter().map(row).collect(),
        kl,
        perplexity,
    })
}

/// Share of a shift that an ablation takes away.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mediation {
    pub edit: String,
    pub random: bool,
    /// Mean shift that is left under the edit.
    pub remaining: f64,
    pub remaining_interval: Interval,
    /// (total - remaining) / total; its interval is wide or unbounded where total is near 0.
    pub share: f64,
    pub share_interval: Interval,
    pub n_prompts: usize,
}

/// `total` and `remaining` are shifts of the same prompts, in the same order.
pub fn mediation(
    edit: &str,
    total: &[f64],
    remaining: &[f64],
    draws: usize,
    seed: u64,
) -> Mediation {
    let n = total.len();
    let clusters: Vec<usize> = (0..n).collect();
    // The same weights for every edit, so that edits are compared on the same draws.
    let weights = cluster_weights(&clusters, draws, seed, "mediation"); // (draws, n)
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len().max(1) as f64;
    let (t, r) = (mean(total), mean(remaining));
    let (mut left, mut share) = (Vec::with_capacity(draws), Vec::with_capacity(draws));
    for w in weights.rows() {
        let sum: f64 = w.iter().map(|w| *w as f64).sum();
        let weighted = |v: &[f64]| {
            let total: f64 = w.iter().zip(v).map(|(w, v)| *w as f64 * v).sum();
            total / sum
        };
        let (t, r) = (weighted(total), weighted(remaining));
        left.push(r);
        share.push((t - r) / t);
    }
    Mediation {
        edit: edit.into(),
        random: edit.starts_with("random"),
        remaining: r,
        remaining_interval: percentile(&mut left, 0.95),
        share: (t - r) / t,
        share_interval: percentile(&mut share, 0.95),
        n_prompts: n,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mediation_recovers_a_planted_share_and_zero_without_one() {
        let total: Vec<f64> = (0..40)
            .map(|i| 1.0 + 0.1 * ((i * 7 % 11) as f64 - 5.0))
            .collect();
        let quarter: Vec<f64> = total.iter().map(|t| 0.75 * t).collect();
        let m = mediation("persona", &total, &quarter, 500, 1);
        assert!((m.share - 0.25).abs() < 1e-12 && m.share_interval.contains(0.25));
        let none = mediation("random-0", &total, &total, 500, 1);
        assert_eq!(none.share, 0.0);
        assert!(none.random && none.share_interval.contains(0.0));
    }

    #[test]
    fn random_directions_follow_the_covariance_of_the_layer() {
        let mut x = Array3::<f32>::zeros((200, 1, 3));
        for i in 0..200 {
            x[[i, 0, 0]] = if i % 2 == 0 { 10.0 } else { -10.0 };
            x[[i, 0, 1]] = if i % 3 == 0 { 0.1 } else { -0.05 };
        }
        let drawn = random_directions(&x, 50, 3).unwrap();
        let along = drawn.iter().filter(|d| d[0][0].abs() > 0.9).count();
        assert!(along > 45, "{along}");
    }
}
