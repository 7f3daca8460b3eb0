//! Model states that mean nothing, to measure others against.
//!
//! Two of them. A *matched random adapter* changes the same maps as a trained
//! one, at the same rank, scale and size of change, in random directions: what a
//! fine-tune of that size does whatever it learned. A model with *shuffled
//! weights* has the values of every tensor and no arrangement of them: what an
//! analysis finds in it, it finds in nothing. Both are seeded, and both are
//! read by the same capture as any other state.

use super::adapter::Adapter;
use super::decoder::Decoder;
use super::error::Result;
use super::weights::host_values;
use crate::stats::rng::{fill_normal, stream};
use candle_core::{Device, Tensor};
use rand::seq::SliceRandom;

impl Adapter {
    /// A random adapter matched to this one: the same targets, rank and scale, normal factors,
    /// and for each map the same Frobenius norm of the product B A. `index` counts the members
    /// of one null; a map's numbers depend on the seed, the index and the map alone.
    pub fn matched_random(&self, seed: u64, index: u64) -> Result<Adapter> {
        let mut out = self.clone();
        for (&(layer, linear), (a, b)) in &mut out.factors {
            let size = product_norm(a, b)?;
            let purpose = format!("null/adapter/{layer}/{linear}");
            let mut rng = stream(seed, &purpose, index);
            let mut normal = |like: &Tensor| -> Result<Tensor> {
                let mut values = vec![0f32; like.elem_count()];
                fill_normal(&mut rng, &mut values);
                Ok(Tensor::from_vec(values, like.shape(), &Device::Cpu)?)
            };
            let (random_a, random_b) = (normal(a)?, normal(b)?);
            let factor = match product_norm(&random_a, &random_b)? {
                own if own > 0.0 => size / own,
                _ => 0.0,
            };
            *a = random_a;
            *b = (random_b * factor)?;
        }
        Ok(out)
    }
}

/// Frobenius norm of `b (O, r) a (r, I)`, from the two (r, r) matrices of inner products.
fn product_norm(a: &Tensor, b: &Tensor) -> Result<f64> {
    let rows = |t: &Tensor| -> Result<Vec<Vec<f32>>> { Ok(t.to_vec2::<f32>()?) };
    let (a, b) = (rows(a)?, rows(&b.t()?.contiguous()?)?); // r rows each
    let dot = |x: &[f32], y: &[f32]| -> f64 {
        x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
    };
    let mut sum = 0.0;
    for i in 0..a.len() {
        for j in 0..a.len() {
            sum += dot(&a[i], &a[j]) * dot(&b[i], &b[j]);
        }
    }
    Ok(sum.max(0.0).sqrt())
}

impl Decoder {
    /// The model with the values of every weight tensor shuffled within it, embeddings, norms and
    /// biases included; a head tied to the embeddings stays tied. `index` counts the members of one null.
    pub fn shuffled(&self, seed: u64, index: u64) -> Result<Decoder> {
        let mut out = self.with_tensors(&mut |name, tensor| {
            let mut values = host_values(tensor)?;
            values.shuffle(&mut stream(seed, &format!("null/shuffle/{name}"), index));
            let shuffled = Tensor::from_vec(values, tensor.shape(), &Device::Cpu)?;
            Ok(shuffled.to_device(tensor.device())?.to_dtype(tensor.dtype())?)
        })?;
        if self.config.tied {
            out.head.weight = out.embed.clone();
        }
        // On a CPU in bf16 embeddings are in f32, and what a file stores came out of it in f32.
        let was = self.blocks.iter().flat_map(|b| &b.linears).map(|l| &l.weight);
        let is = out.blocks.iter_mut().flat_map(|b| &mut b.linears).map(|l| &mut l.weight);
        let all = is.zip(was).chain([(&mut out.head.weight, &self.head.weight)]);
        for (is, _) in all.filter(|(is, was)| is.dtype() != was.dtype()) {
            *is = is.in_bf16()?;
        }
        Ok(out)
    }
}

impl Decoder {
    /// This decoder with `change` applied to every weight tensor, named as below; a tied head is changed
    /// with the embeddings. All are in memory then.
    pub(super) fn with_tensors(
        &self,
        change: &mut dyn FnMut(&str, &Tensor) -> Result<Tensor>,
    ) -> Result<Decoder> {
        let mut out = self.clone();
        out.embed = change("embed", &self.embed.tensor()?)?.into();
        out.final_norm = change("final_norm", &self.final_norm)?;
        out.head.weight = match self.head.weight.is(&self.embed) {
            true => out.embed.clone(),
            false => change("head", &self.head.weight.tensor()?)?.into(),
        };
        for (l, block) in out.blocks.iter_mut().enumerate() {
            let at = |part: &str| format!("{l}/{part}");
            for (part, norm) in
                [("attn_norm", &mut block.attn_norm), ("mlp_norm", &mut block.mlp_norm)]
            {
                if let Some(norm) = norm {
                    *norm = change(&at(part), norm)?;
                }
            }
            for (part, pair) in
                [("post_norms", &mut block.post_norms), ("qk_norms", &mut block.qk_norms)]
            {
                if let Some((first, second)) = pair {
                    *first = change(&at(&format!("{part}/0")), first)?;
                    *second = change(&at(&format!("{part}/1")), second)?;
                }
            }
            for (i, linear) in block.linears.iter_mut().enumerate() {
                let weight = linear.weight.tensor()?;
                linear.weight = change(&at(&format!("linear/{i}")), &weight)?.into();
                if let Some(bias) = &mut linear.bias {
                    *bias = change(&at(&format!("bias/{i}")), bias)?;
                }
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::config::Config;
    use crate::model::decoder::{Block, Linear};
    use crate::ops::loss::Head;
    use crate::ops::weight::Weight;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn tensor(rows: usize, columns: usize, seed: u64) -> Tensor {
        let mut values = vec![0f32; rows * columns];
        fill_normal(&mut stream(seed, "null states", 0), &mut values);
        Tensor::from_vec(values, (rows, columns), &Device::Cpu).unwrap()
    }

    fn values(t: &Tensor) -> Vec<f32> {
        t.flatten_all().unwrap().to_vec1().unwrap()
    }

    fn trained() -> Adapter {
        let factors = BTreeMap::from([
            ((0, 0), (tensor(4, 9, 1), tensor(7, 4, 2))),
            ((2, 6), (tensor(4, 12, 3), (tensor(5, 4, 4) * 10.0).unwrap())),
        ]);
        Adapter {
            rank: 4,
            alpha: 8.0,
            rslora: false,
            base: "model".into(),
            base_sha256: String::new(),
            blocks: 3,
            factors,
        }
    }

    #[test]
    fn a_random_adapter_has_the_targets_the_rank_and_the_size_of_each_change() {
        let trained = trained();
        let random = trained.matched_random(5, 0).unwrap();
        assert_eq!((random.rank, random.scale()), (4, trained.scale()));
        for (target, (a, b)) in &trained.factors {
            let (ra, rb) = &random.factors[target];
            assert_eq!((ra.dims(), rb.dims()), (a.dims(), b.dims()));
            let norm = |a: &Tensor, b: &Tensor| {
                let product = values(&b.matmul(a).unwrap());
                product.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt()
            };
            assert!((norm(ra, rb) / norm(a, b) - 1.0).abs() < 1e-5);
            assert!((product_norm(a, b).unwrap() / norm(a, b) - 1.0).abs() < 1e-5);
            // No direction is kept.
            let (x, y) = (values(&b.matmul(a).unwrap()), values(&rb.matmul(ra).unwrap()));
            let dot: f64 = x.iter().zip(&y).map(|(x, y)| f64::from(x * y)).sum();
            assert!((dot / norm(a, b).powi(2)).abs() < 0.6);
        }
    }

    #[test]
    fn random_adapters_repeat_by_seed_and_differ_by_index() {
        let trained = trained();
        let first =
            |seed, index| values(&trained.matched_random(seed, index).unwrap().factors[&(0, 0)].0);
        assert_eq!(first(1, 0), first(1, 0));
        assert_ne!(first(1, 0), first(1, 1));
        assert_ne!(first(1, 0), first(2, 0));
    }

    #[test]
    fn an_untrained_adapter_stays_without_effect() {
        let mut none = trained();
        for (_, b) in none.factors.values_mut() {
            *b = b.zeros_like().unwrap();
        }
        let random = none.matched_random(1, 0).unwrap();
        assert!(random.factors.values().all(|(_, b)| values(b).iter().all(|v| *v == 0.0)));
    }

    fn toy(tied: bool) -> Decoder {
        let config = Config {
            vocab: 11,
            hidden: 8,
            layers: 1,
            heads: 2,
            kv_heads: 1,
            head_dim: 4,
            intermediate: 6,
            context: 16,
            tied,
            ..Config::llama()
        };
        let linear = |o, i, seed| Linear {
            weight: tensor(o, i, seed).into(),
            bias: Some(tensor(1, o, seed + 50).flatten_all().unwrap()),
            branch: None,
        };
        let norm = |seed| tensor(1, 8, seed).flatten_all().unwrap();
        let embed: Weight = tensor(11, 8, 1).into();
        let head = if tied { embed.clone() } else { tensor(11, 8, 2).into() };
        Decoder {
            ropes: Arc::new(config.ropes()),
            config: Arc::new(config),
            embed,
            blocks: vec![Block {
                attn_norm: Some(norm(3)),
                mlp_norm: Some(norm(4)),
                post_norms: None,
                qk_norms: None,
                linears: [
                    linear(8, 8, 5),
                    linear(4, 8, 6),
                    linear(4, 8, 7),
                    linear(8, 8, 8),
                    linear(6, 8, 9),
                    linear(6, 8, 10),
                    linear(8, 6, 11),
                ],
            }],
            final_norm: norm(12),
            head: Head { weight: head, softcap: None },
            reference: None,
        }
    }

    #[test]
    fn shuffling_keeps_the_values_of_each_tensor_and_no_arrangement() {
        let model = toy(false);
        let shuffled = model.shuffled(3, 0).unwrap();
        let mut seen = 0;
        let mut before = Vec::new();
        let mut gather = |_: &str, t: &Tensor| {
            before.push(values(t));
            Ok(t.clone())
        };
        model.with_tensors(&mut gather).unwrap();
        shuffled
            .with_tensors(&mut |name, t| {
                let (mut a, mut b) = (before[seen].clone(), values(t));
                assert_ne!(a, b, "{name} is as it was");
                a.sort_by(f32::total_cmp);
                b.sort_by(f32::total_cmp);
                assert_eq!(a, b, "{name}");
                seen += 1;
                Ok(t.clone())
            })
            .unwrap();
        assert_eq!(seen, 3 + 2 + 14);
    }

    #[test]
    fn a_tied_head_stays_tied_and_shuffles_repeat_by_seed() {
        let shuffled = toy(true).shuffled(3, 0).unwrap();
        assert!(shuffled.head.weight.is(&shuffled.embed));
        let again = toy(true).shuffled(3, 0).unwrap();
        let values = |d: &Decoder| values(&d.embed.tensor().unwrap());
        assert_eq!(values(&again), values(&shuffled));
        let other = toy(true).shuffled(3, 1).unwrap();
        assert_ne!(values(&other), values(&shuffled));
    }
}
