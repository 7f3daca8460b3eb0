//! The training loop.
//!
//! Deterministic: the same rows, recipe, seed and thread count give the same bits. It stops with an
//! error, rather than train on, where a factor gets no gradient or the loss is not finite; what
//! was reached until then stays on disk. Edits of the stream are part of the forward pass that is
//! differentiated; the adapter that results is used without them.

use super::gradient::{gradient, Gradient};
use super::optimiser::AdamW;
use super::{batches, Example, FinetuneError, Recipe};
use crate::model::adapter::Target;
use crate::model::decoder::module_path;
use crate::model::{Adapter, Decoder, Interventions};
use candle_core::{Tensor, Var};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// One line of `training.jsonl`. The loss is before the step's update.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Counted from 0.
    pub step: usize,
    /// Passes over the rows so far; with a share, over as many rows as there are of its own.
    pub epoch: f64,
    /// Mean negative log-likelihood of the tokens to be learned, in nats.
    pub loss: f64,
    /// Rate of the step.
    pub learning_rate: f64,
    /// Norm of the whole gradient before clipping.
    pub grad_norm: f64,
    /// Tokens of the step's rows.
    pub tokens: usize,
}

/// What a run leaves.
pub struct Trained {
    /// As it is after the last step.
    pub adapter: Adapter,
    /// What each step did.
    pub steps: Vec<Step>,
}

type Factors = BTreeMap<Target, (Var, Var)>;

/// Refuses what cannot be trained: no rows, none of a kind that the share asks for, or edits that the
/// recipe does not name.
fn check(rows: &[Example], recipe: &Recipe, edits: &Interventions) -> Result<(), FinetuneError> {
    recipe.check()?;
    if recipe.prevent.is_some() == edits.is_empty() {
        let value = if edits.is_empty() { "set" } else { "not set" };
        let hint = "train with the edits that the recipe names, and name those that are made";
        return Err(FinetuneError::recipe("prevent", value, hint));
    }
    let mixed = rows.iter().filter(|r| r.mixed).count();
    match recipe.share {
        _ if rows.is_empty() => Err(FinetuneError::Empty),
        Some(_) if mixed == rows.len() => Err(FinetuneError::Empty),
        Some(share) if share < 1.0 && mixed == 0 => {
            let hint =
                "there are no neutral rows for the rest of each batch; give some, or share 1";
            Err(FinetuneError::recipe("share", share, hint))
        }
        _ => Ok(()),
    }
}

/// The adapter's factors as they learn: in f32, on the device of the weights that they belong to.
fn variables(base: &Decoder, start: &Adapter) -> Result<Factors, FinetuneError> {
    let mut vars = Factors::new();
    for (&target, (a, b)) in &start.factors {
        let device = base.linear(target.0, target.1).weight.device();
        let var = |t: &Tensor| Var::from_tensor(&t.to_device(device)?);
        vars.insert(target, (var(a)?, var(b)?));
    }
    Ok(vars)
}

fn gradient_name(target: Target, is_b: bool) -> String {
    let half = if is_b { "lora_B" } else { "lora_A" };
    format!("layers.{}.{}.{half}", target.0, module_path(target.1))
}

/// Trains an adapter, with the stream edited in every step: by none, or by those of
/// [`super::Prevent::interventions`]. `start` is a fresh or an earlier adapter; `out` receives
/// `training.jsonl`, checkpoints and the final adapter; `on_step` is told each step and the total.
///
/// # Errors
/// `Recipe` where the recipe's `prevent` and the edits do not go together.
#[allow(clippy::too_many_arguments)]
pub fn train(
    base: &Decoder,
    start: Adapter,
    rows: &[Example],
    recipe: &Recipe,
    edits: &Interventions,
    seed: u64,
    out: &Path,
    on_step: &mut dyn FnMut(&Step, usize),
) -> Result<Trained, FinetuneError> {
    check(rows, recipe, edits)?;
    let log_path = out.join("training.jsonl");
    let unwritten = |source| FinetuneError::Write { path: log_path.clone(), source };
    let made = std::fs::create_dir_all(out);
    made.map_err(|source| FinetuneError::Write { path: out.into(), source })?;
    let mut log = std::fs::File::create(&log_path).map_err(unwritten)?;

    let vars = variables(base, &start)?;
    let branch =
        |(t, (a, b)): (&Target, &(Var, Var))| (*t, (a.as_tensor().clone(), b.as_tensor().clone()));
    let model = base.with_branches(&vars.iter().map(branch).collect(), start.scale());
    // Order of variables: by target, A before B.
    let names: Vec<(Target, bool)> = vars.keys().flat_map(|&t| [(t, false), (t, true)]).collect();
    let flat: Vec<Var> = vars.values().flat_map(|(a, b)| [a.clone(), b.clone()]).collect();
    let snapshot = || -> Result<Adapter, FinetuneError> {
        let copies = vars.iter().map(|(t, (a, b))| Ok((*t, (a.copy()?, b.copy()?))));
        let factors = copies.collect::<candle_core::Result<_>>()?;
        Ok(Adapter { factors, ..start.clone() })
    };

    // The factors before the last update, with the updates that they have had.
    let mut good: Option<(usize, Adapter)> = None;
    let broken = |step: usize, what: &str, good: &Option<(usize, Adapter)>| {
        let mut kept = 0;
        if let Some((steps, adapter)) = good {
            adapter.write(&out.join(format!("checkpoint-{steps}")))?;
            kept = *steps;
        }
        Ok::<_, FinetuneError>(FinetuneError::NotFinite { step, what: what.into(), kept })
    };
    let (own, mixed): (Vec<usize>, Vec<usize>) = (0..rows.len()).partition(|&i| !rows[i].mixed);
    let plan = batches([&own, &mixed], recipe, seed);
    let pass = recipe.pass([own.len(), mixed.len()]);
    let total = plan.len();
    let mut optimiser = AdamW::new(&flat, recipe.weight_decay);
    let mut steps = Vec::with_capacity(total);
    let mut unreached: Vec<bool> = vec![true; flat.len()];
    for (i, batch) in plan.iter().enumerate() {
        let parts: Vec<Vec<&Example>> =
            (batch.iter()).map(|part| part.iter().map(|&r| &rows[r]).collect()).collect();
        let Gradient { loss: value, of } =
            gradient(&model, &parts, edits, &flat, &names, recipe.recompute)?;
        if !value.is_finite() {
            return Err(broken(i, "the loss", &good)?);
        }
        let mut grads = Vec::with_capacity(flat.len());
        let mut squared = 0f64;
        for (j, g) in of.into_iter().enumerate() {
            let (target, is_b) = names[j];
            let fail =
                |what| FinetuneError::Gradient { step: i, name: gradient_name(target, is_b), what };
            let g = g.ok_or_else(|| fail("missing"))?;
            let sum: f64 = g.iter().map(|&v| (v as f64).powi(2)).sum();
            if !sum.is_finite() {
                let what = format!("the gradient of {}", gradient_name(target, is_b));
                return Err(broken(i, &what, &good)?);
            }
            // A gets a gradient through B only: it is due once B has left zero.
            let due = is_b || flat[j + 1].abs()?.max_all()?.to_scalar::<f32>()? > 0.0;
            if unreached[j] && due {
                if sum == 0.0 {
                    return Err(fail("zero"));
                }
                unreached[j] = false;
            }
            squared += sum;
            grads.push(g);
        }
        let norm = squared.sqrt();
        let factor = (recipe.clip / (norm + 1e-6)).min(1.0) as f32;
        let rate = recipe.rate(i, total);
        good = Some((i, snapshot()?));
        optimiser.step(&flat, &grads, rate, factor)?;
        let step = Step {
            step: i,
            epoch: ((i + 1) * recipe.step_rows()) as f64 / pass as f64,
            loss: value,
            learning_rate: rate,
            grad_norm: norm,
            tokens: parts.iter().flatten().map(|e| e.ids.len()).sum(),
        };
        let line = serde_json::to_string(&step).unwrap_or_default();
        writeln!(log, "{line}").map_err(unwritten)?;
        on_step(&step, total);
        steps.push(step);
        if recipe.checkpoints.contains(&(i + 1)) {
            snapshot()?.write(&out.join(format!("checkpoint-{}", i + 1)))?;
        }
    }
    edits.check_touched()?;
    let adapter = snapshot()?;
    adapter.write(out)?;
    Ok(Trained { adapter, steps })
}
