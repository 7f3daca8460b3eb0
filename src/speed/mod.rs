//! How fast this machine runs a model: what `residuum bench` prints and a plan's estimates rest on.
//!
//! Every rate is taken on texts with nothing in common, so that no work is shared, and each kind of
//! work runs for a given time after one warm-up. Bare and captured passes alternate, so that a
//! change of the machine's pace falls on both.

use crate::behavior::{response_log_probs, BehaviorError};
use crate::capture::{capture, CaptureError, Position, Request, BUDGET};
use crate::finetune::{train, Example, FinetuneError, Recipe};
use crate::model::adapter::Adapter;
use crate::model::generate::{generate, Sampling};
use crate::model::packed::plan;
use crate::model::{Decoder, Hooks, Interventions, ModelError, Packed, Role, Tokens};
use crate::ops::matmul::sgemm_seconds;
use crate::stats::rng::stream;
use rand::Rng;
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// Ways in which a measurement can fail.
// What a variant is, its message says.
#[allow(missing_docs)]
#[derive(Debug, thiserror::Error)]
pub enum SpeedError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Capture(#[from] CaptureError),
    #[error(transparent)]
    Behavior(#[from] BehaviorError),
    #[error(transparent)]
    Finetune(#[from] FinetuneError),
    #[error(
        "the optimiser trial could not use {path} ({source}); set TMPDIR to a folder with space"
    )]
    Scratch { path: std::path::PathBuf, source: std::io::Error },
}

/// Rates of one model on one machine. A row is a token that is computed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Threads that computed.
    pub threads: usize,
    /// Floating-point operations a second of a plain matrix product of the model's shapes.
    pub sgemm: f64,
    /// Rows a second of a bare pass through all blocks, no head.
    pub forward: f64,
    /// Rows a second with every layer's response mean captured.
    pub captured: f64,
    /// Rows a second of a pass that scores its answers, about a fifth of the rows.
    pub scored: f64,
    /// Rows a second of LoRA training on all linear maps, rank 16, batches of 8.
    pub trained: f64,
    /// New tokens a second, greedy, 32 prompts at once.
    pub generated: f64,
    /// New tokens a second, greedy, one prompt alone.
    pub generated_alone: f64,
    /// Floating-point operations of a row in the linear maps of all blocks.
    pub flops: f64,
}

impl Rates {
    /// Rates of a 2-core machine on the default model, for estimates before anything is measured.
    pub const TYPICAL: Rates = Rates {
        threads: 2,
        sgemm: 2.0e11,
        forward: 850.0,
        captured: 850.0,
        scored: 800.0,
        trained: 350.0,
        generated: 300.0,
        generated_alone: 70.0,
        flops: 2.1e8,
    };

    /// [`Rates::TYPICAL`], of a model of any size: time goes with the operations of a row.
    pub fn typical(model: &Decoder) -> Rates {
        let r = Self::TYPICAL;
        let of = |rate: f64| rate * r.flops / model.row_flops();
        Rates {
            forward: of(r.forward),
            captured: of(r.captured),
            scored: of(r.scored),
            trained: of(r.trained),
            generated: of(r.generated),
            generated_alone: of(r.generated_alone),
            flops: model.row_flops(),
            ..r
        }
    }

    /// Seconds that one more row through the language head takes.
    pub fn head_seconds(&self) -> f64 {
        let text = TEXT as f64 * (1.0 / self.scored - 1.0 / self.forward);
        (text / ANSWER as f64).max(0.0)
    }

    /// Share of the plain matrix product's rate that the linear maps of a capture reach.
    pub fn share(&self) -> f64 {
        self.captured * self.flops / self.sgemm
    }

    /// What capturing adds to the bare pass, as a share of it.
    pub fn overhead(&self) -> f64 {
        self.forward / self.captured - 1.0
    }
}

/// Length of the texts that rates are taken on, in tokens: a prompt and its answer.
const TEXT: usize = 112;
const ANSWER: usize = 24;

/// `count` texts of random tokens that share no beginning.
fn texts(model: &Decoder, count: usize, length: usize) -> Vec<Tokens> {
    let vocab = model.config.vocab as u32;
    let mut rng = stream(0, "speed", 0);
    let one = |first: usize| {
        let mut ids = vec![first as u32 % vocab];
        ids.extend((1..length).map(|_| rng.random_range(0..vocab)));
        let mut roles = vec![Role::User; length];
        roles[length - ANSWER.min(length / 3)..].fill(Role::Response);
        Tokens::new(ids, roles)
    };
    (0..count).map(one).collect()
}

/// Seconds of one call of `work`, the mean over as many as fit into `budget` seconds.
fn mean_seconds<E>(budget: f64, mut work: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
    work()?;
    let begun = Instant::now();
    let mut calls = 0;
    while calls == 0 || begun.elapsed().as_secs_f64() < budget {
        work()?;
        calls += 1;
    }
    Ok(begun.elapsed().as_secs_f64() / calls as f64)
}

/// Takes every rate, each within about `seconds / 7`.
pub fn measure(model: &Decoder, seconds: f64) -> Result<Rates, SpeedError> {
    let part = seconds / 7.0;
    let c = &model.config;
    let sgemm = {
        let dims = (BUDGET / 2, c.intermediate, c.hidden);
        let flops = 2.0 * (dims.0 * dims.1 * dims.2) as f64;
        flops / sgemm_seconds(dims, part)
    };
    let read = texts(model, BUDGET / TEXT, TEXT);
    let ids: Vec<&[u32]> = read.iter().map(|t| t.ids.as_slice()).collect();
    let rows = (read.len() * TEXT) as f64;
    let packed = Packed::new(&ids);
    let layers: Vec<usize> = (0..model.layers()).collect();
    let request = Request::new(&[Position::ResponseMean], layers);
    let none = Interventions::none();
    let (mut bare, mut held) = (0.0, 0.0);
    let begun = Instant::now();
    let mut turns = 0;
    // The first turn warms up.
    while turns < 2 || begun.elapsed().as_secs_f64() < 2.0 * part {
        let at = Instant::now();
        model.forward(&packed, &mut Hooks::none())?;
        let forward = at.elapsed().as_secs_f64();
        let at = Instant::now();
        capture(model, &read, &request, &none, &mut |_, _, _| Ok(()))?;
        if turns > 0 {
            bare += forward;
            held += at.elapsed().as_secs_f64();
        }
        turns += 1;
    }
    let passes = (turns - 1) as f64;
    let scored = mean_seconds(part, || response_log_probs(model, &read, &none).map(|_| ()))?;
    let trained = training(model, part)?;
    Ok(Rates {
        threads: rayon::current_num_threads(),
        sgemm,
        forward: passes * rows / bare,
        captured: passes * rows / held,
        scored: rows / scored,
        trained,
        generated: generation(model, 32, part)?,
        generated_alone: generation(model, 1, part)?,
        flops: model.row_flops(),
    })
}

/// New tokens a second of so many prompts continued together.
fn generation(model: &Decoder, prompts: usize, budget: f64) -> Result<f64, SpeedError> {
    let texts = texts(model, prompts, 24).into_iter();
    let packed = Packed::new(&texts.map(|t| t.ids).collect::<Vec<_>>());
    let sampling = Sampling { max_tokens: 16, temperature: 0.0, top_p: 1.0 };
    let mut tokens = 0;
    let seconds = mean_seconds(budget, || {
        let hooks = &mut Hooks::none();
        let out = generate(model, &packed, &[], &sampling, &mut [], hooks)?;
        tokens = out.iter().map(Vec::len).sum();
        Ok::<(), ModelError>(())
    })?;
    Ok(tokens as f64 / seconds)
}

/// Rows a second of training, the first step left out.
fn training(model: &Decoder, budget: f64) -> Result<f64, SpeedError> {
    let rows: Vec<Example> = texts(model, 8, 40)
        .into_iter()
        .map(|t| Example { learn: t.with_role(Role::Response), ids: t.ids, mixed: false })
        .collect();
    let recipe = Recipe { batch: 8, epochs: 1_000, max_steps: Some(2), ..Recipe::default() };
    let rng = &mut stream(0, "speed-lora", 0);
    let targets = recipe.target_indices()?;
    let scratch = std::env::temp_dir().join(format!("residuum-speed-{}", std::process::id()));
    let (mut steps, mut seconds) = (0usize, 0.0);
    while steps == 0 || seconds < budget {
        let start = Adapter::init(model, "speed", recipe.rank, recipe.alpha, &targets, rng)?;
        let mut at = Instant::now();
        train(
            model,
            start,
            &rows,
            &recipe,
            &Interventions::none(),
            0,
            &scratch,
            &mut |step, _| {
                if step.step > 0 {
                    steps += 1;
                    seconds += at.elapsed().as_secs_f64();
                }
                at = Instant::now();
            },
        )?;
    }
    std::fs::remove_dir_all(&scratch)
        .map_err(|source| SpeedError::Scratch { path: scratch, source })?;
    let step_rows: usize = rows.iter().map(|r| r.ids.len()).sum();
    Ok((steps * step_rows) as f64 / seconds)
}

/// Rows that a capture or a battery over these texts computes, beginnings shared within batches.
pub fn shared_rows(texts: &[Tokens]) -> usize {
    let ids: Vec<&[u32]> = texts.iter().map(|t| t.ids.as_slice()).collect();
    let rows = |batch: &Vec<usize>| {
        let held: Vec<&[u32]> = batch.iter().map(|&i| ids[i]).collect();
        Packed::new(&held).rows()
    };
    plan(&ids, BUDGET).iter().map(rows).sum()
}
