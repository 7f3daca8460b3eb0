//! What an activation file holds: the state and shape of its rows, and one text's rows.

use super::values::AttrValue;
use ndarray::Array2;

/// Width of a stored activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Precision {
    /// As computed.
    F32,
    /// Half the size, relative error 5e-4, range 65504; a value beyond is an error.
    F16,
}

/// Which model state a file holds, and the shape of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivationSpec {
    /// Name of the condition; `base` for the unchanged model.
    pub condition: String,
    /// Seed of the fine-tune.
    pub seed: u64,
    /// Training step; absent for a finished fine-tune and for base.
    pub step: Option<u64>,
    /// Blocks whose output is kept, ascending.
    pub layers: Vec<usize>,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Names of the positions, such as `response-mean`, `prompt-last`.
    pub positions: Vec<String>,
    /// Width of a stored number.
    pub precision: Precision,
}

impl ActivationSpec {
    /// Path of the group of this model state, which a results file has too.
    pub fn group(&self) -> String {
        let base = format!("/activations/{}/{}", self.condition, self.seed);
        match self.step {
            Some(step) => format!("{base}/step-{step}"),
            None => base,
        }
    }

    /// Attributes of that group.
    pub(crate) fn attributes(&self) -> Vec<(&'static str, AttrValue)> {
        let number = |v: u64| AttrValue::Int(i64::try_from(v).unwrap_or(i64::MAX));
        let precision = match self.precision {
            Precision::F32 => "f32",
            Precision::F16 => "f16",
        };
        let mut known = vec![
            ("condition", AttrValue::from(self.condition.as_str())),
            ("seed", number(self.seed)),
            ("precision", AttrValue::from(precision)),
        ];
        known.extend(self.step.map(|step| ("step", number(step))));
        known
    }

    /// Bytes that `samples` samples take before compression.
    pub fn bytes(&self, samples: usize) -> usize {
        let element = match self.precision {
            Precision::F32 => 4,
            Precision::F16 => 2,
        };
        samples * self.positions.len() * self.layers.len() * self.hidden * element
    }
}

/// One text's activations and what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Set of texts, such as a concept's name or `neutral`.
    pub set: String,
    /// Name of the prompt.
    pub prompt_id: String,
    /// Such as `positive` or `negative`; may be empty.
    pub label: String,
    /// Role of the tokens read, such as `assistant`.
    pub role: String,
    /// Tokens that the pooled positions run over.
    pub n_tokens: u32,
    /// Index into [`ActivationSpec::positions`] and the activations there, (layer, hidden).
    pub rows: Vec<(usize, Array2<f32>)>,
}
