//! Decoders of any shape with random weights: for measuring speed and growth where no file of that
//! size is at hand. What they say means nothing.

use super::config::Config;
use super::decoder::{module_path, Decoder};
use super::error::Result;
use super::weights::Weights;
use crate::stats::rng::{fill_normal, stream};
use candle_core::{Device, Tensor};
use rayon::prelude::*;

impl Decoder {
    /// A decoder of this shape, each weight from N(0, 1 / inputs), norms 1; tied where the config
    /// says so. Same seed, same bits.
    ///
    /// # Errors
    /// Where the shape is none that a decoder can have.
    pub fn random(config: Config, seed: u64) -> Result<Decoder> {
        let c = &config;
        let d = c.hidden;
        let maps = c.maps().into_iter().flatten();
        let mut shapes = vec![("model.embed_tokens.weight".to_string(), vec![c.vocab, d])];
        let mut norms = vec![("model.norm.weight".to_string(), d)];
        if !c.tied {
            shapes.push(("lm_head.weight".into(), vec![c.vocab, d]));
        }
        for l in 0..c.layers {
            let at = format!("model.layers.{l}");
            for (i, (o, n)) in maps.clone().enumerate() {
                shapes.push((format!("{at}.{}.weight", module_path(i)), vec![o, n]));
            }
            let named = c.block_norms();
            norms.extend(named.all().map(|(name, n)| (format!("{at}.{name}.weight"), n)));
        }
        let drawn = shapes
            .into_par_iter()
            .map(|(name, shape)| {
                let mut values = vec![0f32; shape.iter().product()];
                fill_normal(&mut stream(seed, &format!("random/{name}"), 0), &mut values);
                let scale = 1.0 / (shape[1] as f32).sqrt();
                values.iter_mut().for_each(|v| *v *= scale);
                Ok((name, Tensor::from_vec(values, shape, &Device::Cpu)?))
            })
            .collect::<Result<Vec<_>>>()?;
        let one = |n| Tensor::ones(n, candle_core::DType::F32, &Device::Cpu);
        let ones = norms.into_iter().map(|(name, n): (_, usize)| Ok((name, one(n)?)));
        let all = drawn.into_iter().map(Ok).chain(ones);
        Decoder::new(config, Weights::given(all.collect::<Result<_>>()?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::{Norms, QkNorm};
    use super::*;

    #[test]
    fn every_shape_has_a_random_model_that_repeats_by_seed() {
        let base = Config {
            vocab: 11,
            hidden: 8,
            layers: 2,
            heads: 2,
            kv_heads: 1,
            head_dim: 4,
            intermediate: 6,
            context: 16,
            ..Config::llama()
        };
        for (tied, qk_norm, norms) in [
            (true, QkNorm::None, Norms::Before),
            (false, QkNorm::Heads, Norms::Around),
            (true, QkNorm::Whole, Norms::After),
        ] {
            let config = Config { tied, qk_norm, norms, ..base.clone() };
            let values = |seed| -> Vec<f32> {
                let d = Decoder::random(config.clone(), seed).unwrap();
                let w = &d.linear(1, 6).weight;
                w.tensor().unwrap().flatten_all().unwrap().to_vec1().unwrap()
            };
            assert_eq!(values(1), values(1));
            assert_ne!(values(1), values(2));
        }
    }
}
