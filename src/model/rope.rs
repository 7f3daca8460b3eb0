//! The rotary embeddings of a decoder as data: base, rescaling, width, and which layers have which.
//!
//! Most models rotate all layers alike. Some give the layers with a window a base of their own, or
//! rescale the others only (Gemma 3, OLMo 3), and some leave out every fourth (SmolLM3). Rescaling
//! stretches a model's context beyond the one of its first training.

use crate::ops::rope::{Angles, Frequencies};
use std::f64::consts::TAU;
use std::sync::Arc;

/// Rescaling of rotary frequencies for long contexts.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum RopeScaling {
    /// As trained.
    #[default]
    None,
    /// All frequencies divided by the factor.
    Linear {
        /// Positions are read as position / factor.
        factor: f64,
    },
    /// Llama 3.1: low frequencies divided, high kept, a ramp between.
    Llama3 {
        /// Divisor of the low frequencies.
        factor: f64,
        /// Wavelengths beyond original_context / low are divided.
        low: f64,
        /// Wavelengths below original_context / high are kept.
        high: f64,
        /// Positions of the context before it was stretched.
        original_context: f64,
    },
    /// YaRN (Peng et al. 2023, arXiv 2309.00071): as before, with a ramp over the index of the pair.
    Yarn {
        /// Divisor of the low frequencies.
        factor: f64,
        /// Pairs that turn more often than this in the original context are kept.
        fast: f64,
        /// Pairs that turn less often than this in the original context are divided.
        slow: f64,
        /// Positions of the context before it was stretched.
        original_context: f64,
        /// Factor on rotated values.
        scale: f64,
    },
    /// Each frequency divided by a factor of its own (LongRoPE's short factors, `rope_freqs` of GGUF).
    Each {
        /// One a frequency.
        factors: Vec<f64>,
        /// Factor on rotated values.
        scale: f64,
    },
}

/// One rotary embedding.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// Base of the frequencies.
    pub theta: f64,
    /// Their rescaling.
    pub scaling: RopeScaling,
    /// Values of a head that are rotated, its first ones; none: all.
    pub width: Option<usize>,
}

impl Default for Rope {
    fn default() -> Self {
        Rope::plain(10_000.0)
    }
}

/// Number of a pair at which it turns `turns` times in a context.
fn pair_of(turns: f64, width: f64, theta: f64, context: f64) -> f64 {
    width * (context / (turns * TAU)).ln() / (2.0 * theta.ln())
}

impl Rope {
    /// Whole heads, as trained.
    pub fn plain(theta: f64) -> Self {
        Rope { theta, scaling: RopeScaling::None, width: None }
    }

    /// Frequencies of heads of this width.
    pub fn frequencies(&self, head: usize) -> Frequencies {
        let width = self.width.unwrap_or(head);
        let pairs = width / 2;
        let base = (0..pairs).map(|i| self.theta.powf(-2.0 * i as f64 / width as f64));
        let mut scale = 1.0;
        let radians = match &self.scaling {
            RopeScaling::None => base.collect(),
            RopeScaling::Linear { factor } => base.map(|f| f / factor).collect(),
            RopeScaling::Llama3 { factor, low, high, original_context } => base
                .map(|f| {
                    let turns = original_context * f / TAU;
                    let keep = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                    keep * f + (1.0 - keep) * f / factor
                })
                .collect(),
            RopeScaling::Yarn { factor, fast, slow, original_context, scale: by } => {
                scale = *by;
                let at = |turns| pair_of(turns, width as f64, self.theta, *original_context);
                let first = at(*fast).floor().max(0.0);
                let last = at(*slow).ceil().min(width as f64 - 1.0);
                let span = if first == last { 1e-3 } else { last - first };
                let divide = |i: usize| ((i as f64 - first) / span).clamp(0.0, 1.0);
                let of = |(i, f)| divide(i) * f / factor + (1.0 - divide(i)) * f;
                base.enumerate().map(of).collect()
            }
            RopeScaling::Each { factors, scale: by } => {
                scale = *by;
                base.zip(factors).map(|(f, factor)| f / factor).collect()
            }
        };
        Frequencies { radians, head, scale }
    }

    /// Its numbers by their Hugging Face keys, each with the least and the greatest that it can be.
    pub(super) fn numbers(&self) -> Vec<(&'static str, f64, f64, f64)> {
        let mut all = vec![("rope_theta", self.theta, 1.0, 1e15)];
        let original = "rope_scaling.original_max_position_embeddings";
        match &self.scaling {
            RopeScaling::None => (),
            RopeScaling::Linear { factor } => all.push(("rope_scaling.factor", *factor, 1e-3, 1e6)),
            RopeScaling::Llama3 { factor, low, high, original_context } => all.extend([
                ("rope_scaling.factor", *factor, 1e-3, 1e6),
                ("rope_scaling.low_freq_factor", *low, 1e-3, 1e6),
                // Above the low one, or the ramp between the two divides by zero.
                ("rope_scaling.high_freq_factor", *high, low * (1.0 + 1e-6), 1e6),
                (original, *original_context, 1.0, 1e12),
            ]),
            RopeScaling::Yarn { factor, fast, slow, original_context, scale } => all.extend([
                ("rope_scaling.factor", *factor, 1e-3, 1e6),
                ("rope_scaling.beta_slow", *slow, 1e-3, 1e6),
                ("rope_scaling.beta_fast", *fast, *slow, 1e6),
                (original, *original_context, 1.0, 1e12),
                ("rope_scaling.attention_factor", *scale, 1e-3, 1e3),
                // Its logarithm divides.
                ("rope_theta", self.theta, 1.001, 1e15),
            ]),
            RopeScaling::Each { factors, scale } => {
                all.push(("rope_scaling.attention_factor", *scale, 1e-3, 1e3));
                all.extend(factors.iter().map(|f| ("rope_scaling.short_factor", *f, 1e-3, 1e6)));
            }
        }
        all
    }

    /// What is wrong with its width in heads of width `head`, by the key.
    pub(super) fn misfit(&self, head: usize) -> Option<(&'static str, String)> {
        let width = self.width.unwrap_or(head);
        if width == 0 || width > head || !width.is_multiple_of(2) {
            let why = format!("gives {width} rotated values of {head}, no even part");
            return Some(("partial_rotary_factor", why));
        }
        match &self.scaling {
            RopeScaling::Each { factors, .. } if factors.len() != width / 2 => {
                let why = format!("has {} values where {} are rotated", factors.len(), width / 2);
                Some(("rope_scaling.short_factor", why))
            }
            _ => None,
        }
    }
}

/// The rotary embeddings of all layers.
#[derive(Debug)]
pub(crate) struct Ropes {
    kinds: Vec<Frequencies>,
    /// Index into the kinds by layer; none where nothing is rotated.
    layers: Vec<Option<usize>>,
}

impl Ropes {
    /// Embeddings of heads of this width, and by layer which of them it has.
    pub(crate) fn new(kinds: &[&Rope], head: usize, layers: Vec<Option<usize>>) -> Self {
        Ropes { kinds: kinds.iter().map(|r| r.frequencies(head)).collect(), layers }
    }

    /// Rotations of rows that stand at `positions`.
    pub(crate) fn at(self: &Arc<Self>, positions: &[u32]) -> Rotations {
        let angles = self.kinds.iter().map(|f| Arc::new(Angles::new(f, positions)));
        Rotations { angles: angles.collect(), ropes: self.clone() }
    }
}

/// Rotations of the rows of a batch.
#[derive(Debug)]
pub(crate) struct Rotations {
    angles: Vec<Arc<Angles>>,
    ropes: Arc<Ropes>,
}

impl Rotations {
    /// Those of a layer, if it has any.
    pub(crate) fn of(&self, layer: usize) -> Option<&Arc<Angles>> {
        self.angles.get((*self.ropes.layers.get(layer)?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama3_scaling_keeps_high_and_divides_low_frequencies() {
        let plain = Rope::plain(1e5);
        let scaling =
            RopeScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original_context: 8192.0 };
        let scaled = Rope { scaling, ..plain.clone() }.frequencies(64).radians;
        let plain = plain.frequencies(64).radians;
        assert_eq!(plain[0], scaled[0]);
        let last = plain.len() - 1;
        assert!((plain[last] / scaled[last] - 8.0).abs() < 1e-9);
        assert!(plain.iter().zip(&scaled).all(|(p, s)| s <= p));
    }
}
