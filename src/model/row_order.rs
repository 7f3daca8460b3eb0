//! The order in which a GGUF file holds the rows of q and k, which it does not say.
//!
//! Files converted from Hugging Face hold them as interleaved pairs where the family has it so (`llama`
//! and its like); those converted from Mistral's own format do not. The wrong order leaves every shape as
//! it is and makes the model speak nonsense, so perplexity on plain texts tells which is right.

use super::decoder::Decoder;
use super::error::Result;
use super::hooks::Hooks;
use super::packed::Packed;
use super::tokenizer::Tokenizer;
use crate::ops::loss::log_probs;
use std::str::FromStr;

/// How the rows of q and k lie in a GGUF file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RowOrder {
    /// As in files that are converted from Hugging Face.
    #[default]
    Model,
    /// As interleaved pairs.
    Permuted,
    /// As in Hugging Face.
    Plain,
}

impl FromStr for RowOrder {
    type Err = String;

    /// `model`, `permuted` or `plain`.
    fn from_str(s: &str) -> std::result::Result<Self, String> {
        match s {
            "model" => Ok(RowOrder::Model),
            "permuted" => Ok(RowOrder::Permuted),
            "plain" => Ok(RowOrder::Plain),
            _ => Err("write permuted, plain or model".into()),
        }
    }
}

impl RowOrder {
    /// Whether rows are interleaved, in a file of a family that has them so or not.
    pub(super) fn interleaved(self, family: bool) -> bool {
        match self {
            RowOrder::Model => family,
            RowOrder::Permuted => true,
            RowOrder::Plain => false,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            RowOrder::Model => "model",
            RowOrder::Permuted => "permuted",
            RowOrder::Plain => "plain",
        }
    }
}

/// Perplexity of a model on raw texts, over all tokens but the first of each.
///
/// # Errors
/// A text that the tokenizer cannot encode or that is too long; the model's.
pub fn perplexity(model: &Decoder, tokenizer: &Tokenizer, texts: &[&str]) -> Result<f64> {
    let tokens = texts.iter().map(|t| Ok(tokenizer.text(t)?.ids));
    let tokens = tokens.collect::<Result<Vec<Vec<u32>>>>()?;
    let (mut sum, mut n) = (0.0, 0usize);
    for ids in &tokens {
        let packed = Packed::new(std::slice::from_ref(ids));
        let mut hooks = Hooks::none();
        let x = model.forward(&packed, &mut hooks)?;
        let rows: Vec<u32> = (0..ids.len().saturating_sub(1) as u32).collect();
        let hidden = model.normalized(&x, &rows, &packed.places, &mut hooks)?; // (T - 1, d)
        let found = log_probs(&hidden, &model.head, &ids[1.min(ids.len())..])?;
        sum += found.iter().map(|p| f64::from(*p)).sum::<f64>();
        n += found.len();
    }
    Ok((-sum / n as f64).exp())
}
