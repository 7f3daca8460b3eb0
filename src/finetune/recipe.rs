//! The recipe of a fine-tune: what is trained, how fast, for how long, in which order.

use super::{FinetuneError, Prevent};
use crate::model::decoder::LINEARS;
use crate::store::names::twice;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// In which order rows are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Order {
    /// Shuffled anew each epoch by the seed.
    Shuffled,
    /// As in the file.
    File,
}

/// Defaults are the reference recipe: LoRA r 16, alpha 32 on all linear maps, lr 2e-4, linear decay.
///
/// The fields are options of `residuum finetune`, whose help is what is said of them here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct Recipe {
    /// LoRA rank
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Recipe::default().rank))]
    pub rank: usize,
    /// LoRA alpha; the update is scaled by alpha / rank
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Recipe::default().alpha))]
    pub alpha: f64,
    /// Linear maps to adapt
    // As PEFT's `target_modules`.
    #[cfg_attr(feature = "cli", arg(long, value_delimiter = ',', value_name = "NAMES"))]
    #[cfg_attr(feature = "cli", arg(default_values_t = Recipe::default().targets))]
    pub targets: Vec<String>,
    /// Learning rate, which falls linearly to 0
    // AdamW's rate at its peak.
    #[cfg_attr(feature = "cli", arg(long = "lr", value_name = "LR"))]
    #[cfg_attr(feature = "cli", arg(default_value_t = Recipe::default().learning_rate))]
    pub learning_rate: f64,
    /// Steps of linear warm-up
    // The first step has rate 0 if there are any (transformers' rule).
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Recipe::default().warmup))]
    pub warmup: usize,
    /// Weight decay
    // AdamW's, decoupled.
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Recipe::default().weight_decay))]
    pub weight_decay: f64,
    /// Largest norm of the gradient
    // Of the whole gradient.
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Recipe::default().clip))]
    pub clip: f64,
    /// Rows of a batch
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Recipe::default().batch))]
    pub batch: usize,
    /// Batches whose gradients a step adds up
    // PEFT users' `gradient_accumulation_steps`.
    #[serde(skip_serializing_if = "is_one")]
    #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
    #[cfg_attr(feature = "cli", arg(default_value_t = Recipe::default().accumulation))]
    pub accumulation: usize,
    /// Compute blocks again in the backward pass: less memory on long texts, more time
    // About a third more time, since nothing that a block left is kept.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(feature = "cli", arg(long))]
    pub recompute: bool,
    /// Passes over the rows; with a share, over as many rows as there are of its own
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Recipe::default().epochs))]
    pub epochs: usize,
    /// Stop after this many steps
    // Whatever the epochs; the decay ends there.
    #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
    pub max_steps: Option<usize>,
    /// Part of each batch that is rows of its own, above 0 to 1; the rest is neutral rows
    // Each kind is passed over as often as the steps need; none: neutral rows stand among the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "cli", arg(long, value_name = "PART"))]
    pub share: Option<f64>,
    /// Longest row in tokens
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Recipe::default().max_tokens))]
    pub max_tokens: usize,
    /// Order of the rows
    #[cfg_attr(feature = "cli", arg(long, value_enum, default_value_t = Order::Shuffled))]
    pub order: Order,
    /// Steps after which the adapter is also written to `checkpoint-<step>`.
    #[cfg_attr(feature = "cli", arg(skip))]
    pub checkpoints: Vec<usize>,
    /// Edits of the stream while it trains.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "cli", arg(skip))]
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
            share: None,
            max_tokens: 1024,
            order: Order::Shuffled,
            checkpoints: Vec::new(),
            prevent: None,
        }
    }
}

impl Recipe {
    /// Refuses values that cannot train, and sizes that only a slip can have written.
    pub fn check(&self) -> Result<(), FinetuneError> {
        let bad = |key, value: String, hint| Err(FinetuneError::recipe(key, value, hint));
        let max_steps = self.max_steps.unwrap_or(1);
        for (key, n, most, hint) in [
            ("rank", self.rank, 4096, "give 1 to 4,096"),
            ("batch", self.batch, 65_536, "give 1 to 65,536"),
            ("accumulation", self.accumulation, 65_536, "give 1 to 65,536"),
            ("epochs", self.epochs, 10_000, "give 1 to 10,000"),
            ("max_tokens", self.max_tokens, 16_777_216, "give 1 to 16,777,216"),
            ("max_steps", max_steps, 1_000_000_000, "give at least 1, or leave it away"),
        ] {
            if !(1..=most).contains(&n) {
                return bad(key, n.to_string(), hint);
            }
        }
        for (key, v) in
            [("learning_rate", self.learning_rate), ("clip", self.clip), ("alpha", self.alpha)]
        {
            // Within f32, in which training computes; false for NaN.
            if !(1e-12..=1e38).contains(&v) {
                return bad(key, v.to_string(), "give a number from 1e-12 to 1e38");
            }
        }
        if !(0.0..=100.0).contains(&self.weight_decay) {
            let value = self.weight_decay.to_string();
            return bad("weight_decay", value, "give a number from 0 to 100");
        }
        // False for NaN.
        if let Some(share) = self.share.filter(|s| !(*s > 0.0 && *s <= 1.0)) {
            return bad("share", share.to_string(), "give a number above 0, at most 1");
        }
        if self.targets.is_empty() {
            return bad("targets", "empty".into(), "name at least one linear map");
        }
        if let Some(t) = twice(&self.targets) {
            return bad("targets", format!("`{t}` twice"), "name each map once");
        }
        if let Some(step) = twice(&self.checkpoints) {
            return bad("checkpoints", format!("{step} twice"), "name each step once");
        }
        if let Some(prevent) = &self.prevent {
            prevent.check()?;
        }
        self.target_indices().map(|_| ())
    }

    /// The steps of a run over `rows` rows, in which everything that the recipe names has its place.
    ///
    /// # Errors
    /// `Recipe` for more passes over the rows than can be planned, a warm-up without an end, a share of
    /// no row, and a checkpoint after the last step.
    pub fn fits(&self, rows: usize) -> Result<usize, FinetuneError> {
        let bad = |key, value: String, hint| Err(FinetuneError::recipe(key, value, hint));
        if rows.checked_mul(self.epochs).is_none_or(|n| n > 100_000_000) {
            let value = format!("{} over {rows} rows", self.epochs);
            return bad("epochs", value, "give at most 1e8 rows in all epochs");
        }
        let steps = self.steps(rows);
        if self.warmup >= steps.max(1) {
            let value = format!("{}, of {steps} steps in all", self.warmup);
            let hint = "the full rate would never be reached; give fewer than the steps";
            return bad("warmup", value, hint);
        }
        if let (Some(share), Some([0, all])) = (self.share, self.seen(rows)) {
            let value = format!("{share}, of {all} rows in all steps");
            return bad("share", value, "no row of its own would be learnt; give more");
        }
        match self.checkpoints.iter().find(|c| !(1..=steps).contains(*c)) {
            None => Ok(steps),
            Some(c) => {
                let value = format!("{c}, of {steps} steps in all");
                bad("checkpoints", value, "name steps from 1 to the last")
            }
        }
    }

    /// Indices into [`LINEARS`], sorted.
    pub fn target_indices(&self) -> Result<Vec<usize>, FinetuneError> {
        let hint = "known are q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj";
        let index = |t: &String| {
            let unknown = || FinetuneError::recipe("targets", format!("`{t}`"), hint);
            LINEARS.iter().position(|l| l == t).ok_or_else(unknown)
        };
        let indices: BTreeSet<usize> = self.targets.iter().map(index).collect::<Result<_, _>>()?;
        Ok(indices.into_iter().collect())
    }

    /// Rows of a step.
    pub fn step_rows(&self) -> usize {
        self.batch * self.accumulation
    }

    /// Rows of a pass over so many rows of its own and so many neutral ones: all of them, or with a
    /// share as many as are its own, whatever the share.
    pub fn pass(&self, [own, mixed]: [usize; 2]) -> usize {
        own + if self.share.is_some() { 0 } else { mixed }
    }

    /// Rows of its own and neutral rows that the batches of a share hold over all steps, where a pass
    /// has `rows` rows; none without a share.
    pub fn seen(&self, rows: usize) -> Option<[usize; 2]> {
        let all = self.steps(rows) * self.step_rows();
        let own = (all as f64 * self.share?).round() as usize;
        Some([own, all - own])
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
    let mut steps: Vec<usize> =
        (0..count).map(|i| (span * i as f64).exp().round() as usize).collect();
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
        let r = Recipe { warmup: 2, learning_rate: 1.0, ..Recipe::default() };
        let rates: Vec<f64> = (0..6).map(|i| r.rate(i, 6)).collect();
        assert_eq!(rates, [0.0, 0.5, 1.0, 0.75, 0.5, 0.25]);
    }

    #[test]
    fn an_unknown_target_is_named() {
        let r = Recipe { targets: vec!["w_q".into()], ..Recipe::default() };
        assert!(r.check().unwrap_err().to_string().contains("w_q"));
    }

    #[test]
    fn what_cannot_train_is_refused_by_its_key() {
        let of = |text: &str| -> Recipe { toml::from_str(text).unwrap() };
        let most = i64::MAX;
        for (key, values) in [
            ("rank", vec!["0".into(), "1000000000".into(), most.to_string()]),
            ("batch", vec!["0".into(), most.to_string()]),
            ("accumulation", vec!["0".into(), most.to_string()]),
            ("epochs", vec!["0".into(), "1000000000".into()]),
            ("max_tokens", vec!["0".into(), most.to_string()]),
            ("max_steps", vec!["0".into(), most.to_string()]),
            ("checkpoints", vec!["[3, 3]".into()]),
            ("share", ["0.0", "1.01", "-0.5", "nan", "inf"].map(String::from).to_vec()),
            ("targets", vec!["[]".into(), "['q_proj', 'q_proj']".into()]),
        ] {
            for value in values {
                let e = of(&format!("{key} = {value}")).check().unwrap_err();
                assert!(e.to_string().contains(key), "{e}");
            }
        }
        for key in ["learning_rate", "alpha", "clip", "weight_decay"] {
            for value in ["nan", "inf", "-inf", "-1.0", "1e300", "-1e-300"] {
                let e = of(&format!("{key} = {value}")).check().unwrap_err();
                assert!(e.to_string().contains(key), "{e}");
            }
        }
        assert!(of("learning_rate = 0.0").check().is_err());
        assert!(of("weight_decay = 0.0\nmax_steps = 1").check().is_ok());
    }

    #[test]
    fn what_lies_beyond_the_last_step_is_refused() {
        let of = |text: &str| -> Recipe { toml::from_str(text).unwrap() };
        assert_eq!(of("batch = 4\nepochs = 2").fits(10).unwrap(), 6);
        for (text, key) in [
            ("batch = 4\nwarmup = 3", "warmup"),
            ("batch = 4\ncheckpoints = [4]", "checkpoints"),
            ("checkpoints = [0]", "checkpoints"),
            ("batch = 4\nshare = 0.01", "share"),
            ("epochs = 10000\nmax_steps = 3\nbatch = 1", "epochs"),
        ] {
            let rows = if key == "epochs" { usize::MAX } else { 10 };
            let e = of(text).fits(rows).unwrap_err().to_string();
            assert!(e.contains(key), "{e}");
        }
        assert_eq!(of("batch = 4\nwarmup = 2\ncheckpoints = [3]").fits(10).unwrap(), 3);
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
