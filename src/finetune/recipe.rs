//! The recipe of a fine-tune: what is trained, how fast, for how long, in which order.

use super::{FinetuneError, Prevent};
use crate::model::decoder::LINEARS;
use serde::{Deserialize, Serialize};

/// In which order rows are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Shuffled anew each epoch by the seed.
    Shuffled,
    /// As in the file.
    File,
}

/// Defaults are the reference recipe: LoRA r 16, alpha 32 on all linear maps, lr 2e-4, linear decay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    pub rank: usize,
    pub alpha: f64,
    /// Names of linear maps, as PEFT's `target_modules`.
    pub targets: Vec<String>,
    pub learning_rate: f64,
    /// Steps of linear warm-up; the first step has rate 0 if there are any (transformers' rule).
    pub warmup: usize,
    pub weight_decay: f64,
    /// Largest norm of the whole gradient.
    pub clip: f64,
    /// Rows of a batch.
    pub batch: usize,
    /// Batches whose gradients a step adds up (PEFT users' `gradient_accumulation_steps`).
    #[serde(skip_serializing_if = "is_one")]
    pub accumulation: usize,
    /// Computes every block again when its gradient is due, instead of keeping what it left: less
    /// memory on long texts, about a third more time.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub recompute: bool,
    pub epochs: usize,
    /// Stop after this many steps, whatever the epochs; the decay ends there.
    pub max_steps: Option<usize>,
    /// Longest row, in tokens.
    pub max_tokens: usize,
    pub order: Order,
    /// Steps after which the adapter is also written to `checkpoint-<step>`.
    pub checkpoints: Vec<usize>,
    /// Edits of the stream while it trains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prevent: Option<Prevent>,
}

fn is_one(n: &usize) -> bool {
    *n == 1
}

impl Default for Recipe {
    fn default() -> Self {
        Recipe {
            rank: 16,
            alpha: 32.0,
            targets: LINEARS.iter().map(|s| s.to_string()).collect(),
            learning_rate: 2e-4,
            warmup: 0,
            weight_decay: 0.0,
            clip: 1.0,
            batch: 4,
            accumulation: 1,
            recompute: false,
            epochs: 1,
            max_steps: None,
            max_tokens: 1024,
            order: Order::Shuffled,
            checkpoints: Vec::new(),
            prevent: None,
        }
    }
}

impl Recipe {
    /// Refuses values that cannot train.
    pub fn check(&self) -> Result<(), FinetuneError> {
        let bad = |key, value: String, hint| Err(FinetuneError::Recipe { key, value, hint });
        for (key, n) in [
            ("rank", self.rank),
            ("batch", self.batch),
            ("accumulation", self.accumulation),
            ("epochs", self.epochs),
            ("max_tokens", self.max_tokens),
        ] {
            if n == 0 {
                return bad(key, "0".into(), "give at least 1");
            }
        }
        for (key, v) in [
            ("learning_rate", self.learning_rate),
            ("clip", self.clip),
            ("alpha", self.alpha),
        ] {
            if !v.is_finite() || v <= 0.0 {
                return bad(key, v.to_string(), "give a positive number");
            }
        }
        if !self.weight_decay.is_finite() || self.weight_decay < 0.0 {
            return bad(
                "weight_decay",
                self.weight_decay.to_string(),
                "give 0 or more",
            );
        }
        if self.targets.is_empty() {
            return bad("targets", "empty".into(), "name at least one linear map");
        }
        if let Some(prevent) = &self.prevent {
            prevent.check()?;
        }
        self.target_indices().map(|_| ())
    }

    /// Indices into [`LINEARS`], sorted.
    pub fn target_indices(&self) -> Result<Vec<usize>, FinetuneError> {
        let mut out = Vec::new();
        for t in &self.targets {
            match LINEARS.iter().position(|l| l == t) {
                Some(i) => out.push(i),
                None => return Err(FinetuneError::Recipe {
                    key: "targets",
                    value: format!("`{t}`"),
                    hint: "known are q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj",
                }),
            }
        }
        out.sort_unstable();
        out.dedup();
        Ok(out)
    }

    /// Rows of a step.
    pub fn step_rows(&self) -> usize {
        self.batch * self.accumulation
    }

    /// Steps of a run over `rows` rows.
    pub fn steps(&self, rows: usize) -> usize {
        let all = rows.div_ceil(self.step_rows()) * self.epochs;
        self.max_steps.map_or(all, |m| m.min(all))
    }

    /// Learning rate of step `i` (from 0) of `total`: linear up, then linear down to 0.
    pub fn rate(&self, i: usize, total: usize) -> f64 {
        let factor = if i < self.warmup {
            i as f64 / self.warmup as f64
        } else {
            total.saturating_sub(i) as f64 / total.saturating_sub(self.warmup).max(1) as f64
        };
        self.learning_rate * factor
    }
}

/// At most `count` steps from the first to the last of `total`, evenly spaced in their logarithm:
/// fine-tunes move most in their first steps.
pub fn log_spaced(total: usize, count: usize) -> Vec<usize> {
    if total == 0 {
        return Vec::new();
    }
    let span = (total as f64).ln() / count.saturating_sub(1).max(1) as f64;
    let mut steps: Vec<usize> = (0..count)
        .map(|i| (span * i as f64).exp().round() as usize)
        .collect();
    if let Some(last) = steps.last_mut() {
        *last = total;
    }
    steps.dedup();
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_and_falls_linearly() {
        let r = Recipe {
            warmup: 2,
            learning_rate: 1.0,
            ..Recipe::default()
        };
        let rates: Vec<f64> = (0..6).map(|i| r.rate(i, 6)).collect();
        assert_eq!(rates, [0.0, 0.5, 1.0, 0.75, 0.5, 0.25]);
    }

    #[test]
    fn an_unknown_target_is_named() {
        let r = Recipe {
            targets: vec!["w_q".into()],
            ..Recipe::default()
        };
        assert!(r.check().unwrap_err().to_string().contains("w_q"));
    }

    #[test]
    fn checkpoints_are_evenly_spaced_in_the_logarithm() {
        assert_eq!(log_spaced(64, 7), [1, 2, 4, 8, 16, 32, 64]);
        assert_eq!(log_spaced(10, 5), [1, 2, 3, 6, 10]);
        assert_eq!(log_spaced(4, 20), [1, 2, 3, 4]);
        assert_eq!(log_spaced(1, 5), [1]);
        assert!(log_spaced(0, 5).is_empty() && log_spaced(9, 0).is_empty());
        for total in 1..200 {
            for count in 1..20 {
                let steps = log_spaced(total, count);
                assert!(steps.windows(2).all(|w| w[0] < w[1]), "{steps:?}");
                assert!(steps.last() == Some(&total) && steps.len() <= count);
            }
        }
    }

    #[test]
    fn a_recipe_without_prevention_is_written_as_before() {
        let text = serde_json::to_string(&Recipe::default()).unwrap();
        assert!(!text.contains("prevent"), "{text}");
        let steered = r#"{"prevent": {"concept": "persona", "mode": "project-out"}}"#;
        let recipe: Recipe = serde_json::from_str(steered).unwrap();
        assert!(recipe.check().is_ok() && recipe.prevent.is_some());
    }
}
