//! How far a model that multiplies in bf16 is from itself in f32, on texts that it read.
//!
//! A decoder in bf16 on a CPU holds its twin in f32 and notes the first texts that are read in the run,
//! whichever state reads them. What is written from the run carries the measure: the residual stream of
//! base after every block, of both, over every token of those texts but the first of each.

use super::decoder::{Agreement, Decoder};
use super::error::Result;
use super::hooks::{HookPoint, Hooks};
use super::packed::Packed;
use crate::ops::with_values;
use std::sync::PoisonError;

/// Texts that are compared.
pub const TEXTS: usize = 8;

/// Tokens of a text at most.
const TOKENS: usize = 64;

/// Mean cosine below which results in bf16 carry a warning.
pub const LEAST_COSINE: f64 = 0.999;

impl Decoder {
    /// Notes the first texts of a run in bf16.
    pub(crate) fn note(&self, batch: &Packed) {
        let Some(reference) = &self.reference else { return };
        let mut read = reference.read.lock().unwrap_or_else(PoisonError::into_inner);
        for i in 0..batch.texts() {
            if read.texts.len() == TEXTS {
                return;
            }
            let path = batch.path(i).into_iter().take(TOKENS);
            let ids: Vec<u32> = path.map(|row| batch.tokens[row]).collect();
            if ids.len() > 1 && !read.texts.contains(&ids) {
                read.texts.push(ids);
                read.found = None;
            }
        }
    }

    /// How base in bf16 agrees with its twin in f32; none in f32, or where nothing was read yet.
    ///
    /// # Errors
    /// The forward pass's.
    pub fn agreement(&self) -> Result<Option<Agreement>> {
        let Some(reference) = &self.reference else { return Ok(None) };
        let mut read = reference.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.found.is_none() && !read.texts.is_empty() {
            read.found = Some(compared(&reference.halves, &reference.full, &read.texts)?);
        }
        Ok(read.found)
    }
}

fn compared(halves: &Decoder, full: &Decoder, texts: &[Vec<u32>]) -> Result<Agreement> {
    let batch = Packed::new(texts);
    let (near, exact) = (streams(halves, &batch)?, streams(full, &batch)?);
    let counted: Vec<usize> =
        (0..batch.rows()).filter(|&row| batch.places.positions[row] > 0).collect();
    let d = full.hidden();
    let mut out =
        Agreement { texts: texts.len(), tokens: counted.len(), cosine: 1.0, deviation: 0.0 };
    for (near, exact) in near.iter().zip(&exact) {
        let (mut cosines, mut squares, mut apart) = (0f64, 0f64, 0f64);
        for row in &counted {
            let span = row * d..(row + 1) * d;
            let (mut ab, mut aa, mut bb) = (0f64, 0f64, 0f64);
            for (a, b) in near[span.clone()].iter().zip(&exact[span]) {
                let (a, b) = (f64::from(*a), f64::from(*b));
                ab += a * b;
                aa += a * a;
                bb += b * b;
                apart = apart.max((a - b).abs());
            }
            cosines += ab / (aa * bb).sqrt();
            squares += bb;
        }
        let n = counted.len() as f64;
        out.cosine = out.cosine.min(cosines / n);
        out.deviation = out.deviation.max(apart / (squares / (n * d as f64)).sqrt());
    }
    Ok(out)
}

/// The stream of every row after each block.
fn streams(decoder: &Decoder, batch: &Packed) -> Result<Vec<Vec<f32>>> {
    let mut all = vec![Vec::new(); decoder.layers()];
    let mut hooks = Hooks::none();
    for (l, to) in all.iter_mut().enumerate() {
        hooks.on([HookPoint::resid_post(l)], move |_, x, _| {
            with_values(x, |x| {
                to.extend_from_slice(x);
                Ok(())
            })?;
            Ok(None)
        });
    }
    decoder.forward(batch, &mut hooks)?;
    drop(hooks);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::config::Config;
    use candle_core::{DType, Device};

    #[test]
    fn bf16_is_measured_on_what_was_read_first_and_f32_on_nothing() {
        let config = Config {
            vocab: 50,
            hidden: 32,
            layers: 2,
            heads: 4,
            kv_heads: 2,
            head_dim: 8,
            intermediate: 48,
            context: 64,
            ..Config::llama()
        };
        let full = Decoder::random(config, 1).unwrap();
        let halves = full.placed(&Device::Cpu, DType::BF16).unwrap();
        assert!(full.agreement().unwrap().is_none() && halves.agreement().unwrap().is_none());
        let texts: Vec<Vec<u32>> = (0..12).map(|i| (i..i + 9).collect()).collect();
        let near = halves.forward(&Packed::new(&texts), &mut Hooks::none()).unwrap();
        let found = halves.agreement().unwrap().unwrap();
        assert_eq!((found.texts, found.tokens), (TEXTS, 8 * TEXTS));
        assert!((LEAST_COSINE..1.0).contains(&found.cosine), "{found:?}");
        assert!(found.deviation > 1e-4 && found.deviation < 0.1, "{found:?}");
        // The stream itself stays in f32, and other weights in the same places are another measure.
        assert_eq!(near.dtype(), DType::F32);
        let far = compared(&Decoder::random((*full.config).clone(), 2).unwrap(), &full, &texts);
        assert!(far.unwrap().cosine < LEAST_COSINE);
    }
}
