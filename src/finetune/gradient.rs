//! Loss and gradients of one step.
//!
//! A step may be computed in several batches, whose gradients are added with the weight of their
//! learned tokens, and block by block: then only the stream between blocks is kept, and each block is
//! computed once more when its gradient is due (Chen et al. 2016, arXiv 1604.06174). Both are the same
//! sums in another order, and save memory: of the batch, and of what blocks leave behind.

use super::{Example, FinetuneError};
use crate::model::adapter::Target;
use crate::model::{Decoder, Hooks, Interventions, Packed};
use crate::ops::loss::cross_entropy;
use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};

/// Of one step.
pub struct Gradient {
    /// Mean over the learned tokens.
    pub loss: f64,
    /// One a variable, in order; none where a variable had no part in the loss.
    pub of: Vec<Option<Vec<f32>>>,
}

/// Loss and gradients of the mean over the learned tokens of all `parts`. `names` are the targets of
/// the variables, which `model` has as branches. With `recompute`, block by block.
pub fn gradient(
    model: &Decoder,
    parts: &[Vec<&Example>],
    edits: &Interventions,
    vars: &[Var],
    names: &[(Target, bool)],
    recompute: bool,
) -> Result<Gradient, FinetuneError> {
    let learned = |part: &[&Example]| part.iter().map(|e| e.learn.len()).sum::<usize>() as f64;
    let all: f64 = parts.iter().map(|p| learned(p)).sum();
    let mut out = Gradient { loss: 0.0, of: vec![None; vars.len()] };
    for part in parts {
        let found = match recompute {
            true => by_block(model, part, edits, vars, names)?,
            false => at_once(model, part, edits, vars)?,
        };
        if parts.len() == 1 {
            return Ok(found);
        }
        let share = learned(part) / all;
        out.loss += share * found.loss;
        for (to, from) in out.of.iter_mut().zip(found.of) {
            let Some(from) = from else { continue };
            let scaled = from.iter().map(|v| v * share as f32);
            match to {
                Some(sum) => sum.iter_mut().zip(scaled).for_each(|(s, v)| *s += v),
                None => *to = Some(scaled.collect()),
            }
        }
    }
    Ok(out)
}

/// A batch as packed rows, the rows that predict a learned token, and those tokens.
fn laid_out(batch: &[&Example]) -> (Packed, Vec<u32>, Vec<u32>) {
    let texts: Vec<&[u32]> = batch.iter().map(|e| e.ids.as_slice()).collect();
    let packed = Packed::new(&texts);
    let (mut rows, mut targets) = (Vec::new(), Vec::new());
    for (i, e) in batch.iter().enumerate() {
        let path = packed.path(i);
        for &at in &e.learn {
            rows.push(path[at - 1] as u32);
            targets.push(e.ids[at]);
        }
    }
    (packed, rows, targets)
}

fn values(store: &mut GradStore, var: &Tensor) -> Result<Option<Vec<f32>>, FinetuneError> {
    Ok(store.remove(var).map(|g| g.flatten_all()?.to_vec1()).transpose()?)
}

fn at_once(
    model: &Decoder,
    batch: &[&Example],
    edits: &Interventions,
    vars: &[Var],
) -> Result<Gradient, FinetuneError> {
    let (packed, rows, targets) = laid_out(batch);
    let hooks = &mut Hooks::none();
    edits.install(hooks, model.layers(), model.hidden())?;
    let x = model.forward(&packed, hooks)?; // (N, D)
    let h = model.normalized(&x, &rows, &packed.places, hooks)?; // (targets, D)
    let loss = cross_entropy(&h, model.head(), &targets)?;
    let value = f64::from(loss.to_scalar::<f32>()?);
    if !value.is_finite() {
        return Ok(Gradient { loss: value, of: Vec::new() });
    }
    let mut store = loss.backward()?;
    let of = vars.iter().map(|v| values(&mut store, v));
    Ok(Gradient { loss: value, of: of.collect::<Result<_, _>>()? })
}

fn by_block(
    model: &Decoder,
    batch: &[&Example],
    edits: &Interventions,
    vars: &[Var],
    names: &[(Target, bool)],
) -> Result<Gradient, FinetuneError> {
    let (packed, rows, targets) = laid_out(batch);
    let hooks = &mut Hooks::none();
    edits.install(hooks, model.layers(), model.hidden())?;
    let rotations = model.rotations(&packed.places);
    let mut inputs = Vec::with_capacity(model.layers());
    let mut x = model.embedded(&packed.tokens, &packed.places, hooks)?.detach(); // (N, D)
    for l in 0..model.layers() {
        inputs.push(x.clone());
        x = model.block(l, x, &packed, &rotations, hooks)?.detach();
    }
    let top = Var::from_tensor(&x)?;
    let h = model.normalized(&top, &rows, &packed.places, hooks)?; // (targets, D)
    let loss = cross_entropy(&h, model.head(), &targets)?;
    let mut out =
        Gradient { loss: f64::from(loss.to_scalar::<f32>()?), of: vec![None; vars.len()] };
    if !out.loss.is_finite() {
        return Ok(out);
    }
    let lost =
        || candle_core::Error::Msg("a block has no gradient with respect to its input".into());
    let mut store = loss.backward()?;
    let mut above = store.remove(&top).ok_or_else(lost)?; // (N, D)
    let lowest = names.iter().map(|(t, _)| t.0).min().unwrap_or(0);
    for l in (lowest..model.layers()).rev() {
        let input = Var::from_tensor(&inputs[l])?;
        let y = model.block(l, input.as_tensor().clone(), &packed, &rotations, hooks)?;
        // The gradient of (y . above) is that of the loss, as far as it goes through this block.
        let mut store = (y * &above)?.sum_all()?.backward()?;
        for (j, _) in names.iter().enumerate().filter(|(_, n)| n.0 .0 == l) {
            out.of[j] = values(&mut store, &vars[j])?;
        }
        above = store.remove(&input).ok_or_else(lost)?;
        inputs.truncate(l);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finetune::{train, Recipe};
    use crate::model::config::Config;
    use crate::model::{Adapter, HookPoint};
    use crate::stats::rng::stream;
    use rand::Rng;

    fn toy() -> Decoder {
        let config = Config {
            vocab: 40,
            hidden: 24,
            layers: 4,
            heads: 3,
            kv_heads: 1,
            head_dim: 8,
            intermediate: 40,
            context: 64,
            tied: true,
            ..Config::llama()
        };
        Decoder::random(config, 1).unwrap()
    }

    fn rows() -> Vec<Example> {
        let mut rng = stream(1, "gradient", 0);
        (0..8)
            .map(|i| {
                let n = 8 + 2 * i;
                Example {
                    ids: (0..n).map(|_| rng.random_range(0..40)).collect(),
                    learn: (5..n - i / 2).collect(),
                    mixed: false,
                }
            })
            .collect()
    }

    fn learnt(recipe: &Recipe) -> (Vec<f64>, Vec<f32>) {
        let model = toy();
        let rng = &mut stream(1, "init", 0);
        let targets = recipe.target_indices().unwrap();
        let start = Adapter::init(&model, "toy", 4, 8.0, &targets, rng).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut losses = Vec::new();
        let done = train(
            &model,
            start,
            &rows(),
            recipe,
            &Interventions::none(),
            1,
            dir.path(),
            &mut |s, _| losses.push(s.loss),
        )
        .unwrap();
        let flat = done.adapter.factors.values().flat_map(|(a, b)| [a, b]);
        let values = flat.flat_map(|t| t.flatten_all().unwrap().to_vec1::<f32>().unwrap());
        (losses, values.collect())
    }

    fn near(a: &(Vec<f64>, Vec<f32>), b: &(Vec<f64>, Vec<f32>)) {
        assert_eq!(a.0.len(), b.0.len());
        for (x, y) in a.0.iter().zip(&b.0) {
            assert!((x - y).abs() < 1e-5, "{:?} {:?}", a.0, b.0);
        }
        let size = (a.1.iter().map(|v| v * v).sum::<f32>() / a.1.len() as f32).sqrt();
        let gap = a.1.iter().zip(&b.1).map(|(x, y)| (x - y).abs());
        assert!(gap.fold(0.0, f32::max) < 1e-3 * size);
    }

    fn recipe() -> Recipe {
        Recipe { rank: 4, batch: 4, epochs: 2, learning_rate: 1e-3, ..Recipe::default() }
    }

    #[test]
    fn two_batches_of_two_learn_what_one_of_four_does() {
        let parts = Recipe { batch: 2, accumulation: 2, ..recipe() };
        assert_eq!(parts.steps(8), recipe().steps(8));
        near(&learnt(&recipe()), &learnt(&parts));
    }

    #[test]
    fn block_by_block_learns_what_all_blocks_at_once_do() {
        let blocks = Recipe { recompute: true, ..recipe() };
        near(&learnt(&recipe()), &learnt(&blocks));
    }

    #[test]
    fn block_by_block_gives_the_gradients_of_edited_streams_and_of_few_targets() {
        let model = toy();
        let rng = &mut stream(1, "init", 0);
        let mut start = Adapter::init(&model, "toy", 4, 8.0, &[0, 6], rng).unwrap();
        start.factors.retain(|t, _| t.0 >= 2); // blocks 0 and 1 have none
        for (_, b) in start.factors.values_mut() {
            *b = (b.ones_like().unwrap() * 0.01).unwrap();
        }
        let vars: Vec<Var> = (start.factors.values())
            .flat_map(|(a, b)| [Var::from_tensor(a).unwrap(), Var::from_tensor(b).unwrap()])
            .collect();
        let pairs = vars.chunks(2).map(|c| (c[0].as_tensor().clone(), c[1].as_tensor().clone()));
        let branches = start.factors.keys().copied().zip(pairs).collect();
        let model = model.with_branches(&branches, start.scale());
        let names: Vec<_> = (start.factors.keys()).flat_map(|&t| [(t, false), (t, true)]).collect();
        let direction: Vec<f32> = (0..24).map(|i| i as f32 - 7.0).collect();
        let edits =
            Interventions::none().project_out(HookPoint::resid_post(2), &direction).unwrap();
        let rows = rows();
        let parts = vec![rows.iter().collect::<Vec<_>>()];
        let of = |recompute| gradient(&model, &parts, &edits, &vars, &names, recompute).unwrap();
        let (a, b) = (of(false), of(true));
        assert!((a.loss - b.loss).abs() < 1e-6);
        for (x, y) in a.of.iter().zip(&b.of) {
            let (x, y) = (x.as_ref().unwrap(), y.as_ref().unwrap());
            let size = x.iter().map(|v| v.abs()).fold(0.0, f32::max);
            assert!(size > 0.0);
            assert!(x.iter().zip(y).all(|(x, y)| (x - y).abs() < 1e-4 * size));
        }
    }
}
