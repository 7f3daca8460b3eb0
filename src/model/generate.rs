//! Batched decoding with a key-value cache: greedy or seeded sampling, hooks active.
//!
//! All prompts are run as one packed batch, so shared beginnings are computed once and their keys
//! and values are read by every row. Each step then adds one row a live text; texts stop by
//! themselves at an end token. The same hooks as in a plain pass steer every step.

use super::decoder::Decoder;
use super::error::{ModelError, Result};
use super::hooks::{HookPoint, Hooks, Site};
use super::packed::Packed;
use super::places::{extended, Places};
use super::tokenizer::{Role, Tokens};
use crate::ops::attention::{attend, attend_twin, Heads, KeysValues, Segment};
use crate::ops::{fused, with_values};
use candle_core::{DType, Tensor};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::ops::Range;

/// How tokens are drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// New tokens of an answer at most.
    pub max_tokens: usize,
    /// 0: greedy.
    pub temperature: f64,
    /// Smallest set of tokens that holds this mass; 1: all.
    pub top_p: f64,
}

/// Keys and values of every row so far, one pair a layer.
struct Cache {
    layers: Vec<Held>,
    positions: Vec<u32>,
}

/// Keys and values of a layer `(rows, kv_heads * h)`.
enum Held {
    /// For the fused kernel.
    Values(Vec<f32>, Vec<f32>),
    /// Where the model computes by composed operations, such as on a GPU.
    Tensors(Tensor, Tensor),
}

impl Held {
    fn of(k: &Tensor, v: &Tensor) -> candle_core::Result<Self> {
        if !fused(k) {
            return Ok(Held::Tensors(k.clone(), v.clone()));
        }
        let mut held = Held::Values(Vec::new(), Vec::new());
        held.extend(k, v)?;
        Ok(held)
    }

    fn extend(&mut self, k: &Tensor, v: &Tensor) -> candle_core::Result<()> {
        match self {
            Held::Values(keys, values) => {
                for (new, held) in [(k, keys), (v, values)] {
                    with_values(new, |x| {
                        held.extend_from_slice(x);
                        Ok(())
                    })?;
                }
            }
            Held::Tensors(keys, values) => {
                *keys = Tensor::cat(&[&*keys, k], 0)?;
                *values = Tensor::cat(&[&*values, v], 0)?;
            }
        }
        Ok(())
    }

    /// What `q (N, heads * h)` reads; the rows of `segments` are those of `own` among the keys.
    fn attend(
        &self,
        q: &Tensor,
        positions: &[u32],
        (segments, own): (&[Segment], &[Range<usize>]),
        heads: &Heads,
    ) -> candle_core::Result<Tensor> {
        match self {
            Held::Values(k, v) => {
                let kv = KeysValues { k, v, positions };
                let mixed = with_values(q, |q| Ok(attend(q, kv, segments, own, heads)))?;
                Tensor::from_vec(mixed, q.shape(), q.device())
            }
            Held::Tensors(k, v) => attend_twin(q, (k, v), positions, segments, own, heads),
        }
    }
}

/// One forward pass over new rows that also see cached ones; the stream `(N, D)`.
fn step(
    model: &Decoder,
    cache: &mut Cache,
    tokens: &[u32],
    segments: &[Segment],
    places: &Places,
    hooks: &mut Hooks,
) -> Result<Tensor> {
    let start = cache.positions.len();
    cache.positions.extend_from_slice(&places.positions);
    let own: Vec<Range<usize>> =
        segments.iter().map(|s| start + s.rows.start..start + s.rows.end).collect();
    let rotations = model.rotations(places);
    let mut x = model.embedded(tokens, places, hooks)?;
    for l in 0..model.layers() {
        x = hooks.apply(HookPoint::new(Site::ResidPre, l), x, places)?;
        let (q, k, v) = model.queries_keys_values(l, &x, &rotations)?;
        match cache.layers.get_mut(l) {
            Some(held) => held.extend(&k, &v)?,
            None => cache.layers.push(Held::of(&k, &v)?),
        }
        let (held, heads) = (&cache.layers[l], model.heads(l));
        let mixed = held.attend(&q, &cache.positions, (segments, &own), &heads)?;
        x = model.after_attention(l, x, &mixed, places, hooks)?;
    }
    Ok(x)
}

/// As [`generate`], of the prompts' tokens with their roles.
pub fn respond(
    model: &Decoder,
    prompts: &[Tokens],
    eos: &[u32],
    sampling: &Sampling,
    rngs: &mut [ChaCha8Rng],
    hooks: &mut Hooks,
) -> Result<Vec<Vec<u32>>> {
    generate(model, &Packed::of(prompts), eos, sampling, rngs, hooks)
}

/// Continues each text of a batch; returns the new ids, the end token left out.
/// `rngs` holds one stream a prompt (unused when greedy). For edits that are limited to roles the
/// roles of the prompts must be known: see [`respond`].
pub fn generate(
    model: &Decoder,
    packed: &Packed,
    eos: &[u32],
    sampling: &Sampling,
    rngs: &mut [ChaCha8Rng],
    hooks: &mut Hooks,
) -> Result<Vec<Vec<u32>>> {
    let prompts: Vec<Vec<usize>> = (0..packed.texts()).map(|i| packed.path(i)).collect();
    let mut out = vec![Vec::new(); prompts.len()];
    if prompts.is_empty() || sampling.max_tokens == 0 {
        return Ok(out);
    }
    let context = model.config.context;
    let long = |tokens: &usize| *tokens > context;
    if let Some(tokens) = prompts.iter().map(|p| p.len() + sampling.max_tokens).find(long) {
        return Err(ModelError::TooLong { tokens, context });
    }
    model.note(packed);
    let mut cache = Cache { layers: Vec::new(), positions: Vec::new() };
    let x =
        step(model, &mut cache, &packed.tokens, &packed.forest.segments, &packed.places, hooks)?;
    let mut live: Vec<usize> = (0..prompts.len()).filter(|&i| !prompts[i].is_empty()).collect();
    // Rows of the cache that each text sees.
    let mut seen: Vec<Vec<Range<usize>>> =
        (0..prompts.len()).map(|i| packed.ranges(i).to_vec()).collect();
    let last = |i: usize| prompts[i].last().copied();
    let rows: Vec<u32> = live.iter().filter_map(|&i| Some(last(i)? as u32)).collect();
    let prefix = |i: usize| last(i).map_or(0, |row| packed.places.prefixes[row]);
    let mut prefixes: Vec<u64> = (0..prompts.len()).map(prefix).collect();
    let host = |z: Tensor| -> Result<Vec<Vec<f32>>> { Ok(z.to_dtype(DType::F32)?.to_vec2()?) };
    let mut logits = host(model.logits(&x, &rows, &packed.places, hooks)?)?;
    loop {
        let mut next = Vec::with_capacity(live.len());
        let mut going = Vec::with_capacity(live.len());
        for (z, &i) in logits.iter().zip(&live) {
            let token = pick(z, sampling, rngs.get_mut(i));
            if eos.contains(&token) {
                continue;
            }
            out[i].push(token);
            if out[i].len() < sampling.max_tokens {
                going.push(i);
                next.push(token);
            }
        }
        live = going;
        if live.is_empty() {
            return Ok(out);
        }
        let start = cache.positions.len();
        let segments: Vec<Segment> = live
            .iter()
            .enumerate()
            .map(|(row, &i)| Segment { rows: row..row + 1, context: seen[i].clone() })
            .collect();
        for (&i, &token) in live.iter().zip(&next) {
            prefixes[i] = extended(prefixes[i], token);
        }
        let position = |i: &usize| (prompts[*i].len() + out[*i].len() - 1) as u32;
        let places = Places {
            positions: live.iter().map(position).collect(),
            roles: Some(vec![Role::Response; live.len()]),
            prefixes: live.iter().map(|&i| prefixes[i]).collect(),
        };
        let x = step(model, &mut cache, &next, &segments, &places, hooks)?;
        for (row, &i) in live.iter().enumerate() {
            seen[i].push(start + row..start + row + 1);
        }
        let rows: Vec<u32> = (0..live.len() as u32).collect();
        logits = host(model.logits(&x, &rows, &places, hooks)?)?;
    }
}

/// Index of the token drawn from logits.
fn pick(z: &[f32], sampling: &Sampling, rng: Option<&mut ChaCha8Rng>) -> u32 {
    let best = (0..z.len()).fold(0, |b, i| if z[i] > z[b] { i } else { b });
    let Some(rng) = rng.filter(|_| sampling.temperature > 0.0) else {
        return best as u32;
    };
    let top = z[best] as f64;
    let mut p: Vec<(usize, f64)> =
        z.iter().map(|&v| ((v as f64 - top) / sampling.temperature).exp()).enumerate().collect();
    let total: f64 = p.iter().map(|x| x.1).sum();
    let mut mass = total;
    if sampling.top_p < 1.0 {
        p.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let (mut kept, mut sum) = (0, 0.0);
        while kept < p.len() && sum < sampling.top_p * total {
            sum += p[kept].1;
            kept += 1;
        }
        p.truncate(kept.max(1));
        mass = p.iter().map(|x| x.1).sum();
    }
    let mut point = rng.random::<f64>() * mass;
    for (i, w) in &p {
        point -= w;
        if point <= 0.0 {
            return *i as u32;
        }
    }
    best as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn sampling_follows_the_softmax_and_top_p_cuts_the_tail() {
        let z = [0.0f32, (3f32).ln(), f32::NEG_INFINITY];
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut s = Sampling { max_tokens: 1, temperature: 1.0, top_p: 1.0 };
        let n = 4000;
        let hits = (0..n).filter(|_| pick(&z, &s, Some(&mut rng)) == 1).count();
        assert!((hits as f64 / n as f64 - 0.75).abs() < 0.03);
        s.top_p = 0.7;
        assert!((0..100).all(|_| pick(&z, &s, Some(&mut rng)) == 1));
    }
}
