//! What a model's files leave in doubt, though it can be used.
//!
//! A warning is said when the model is opened, and stands in every file that is written from it.

use std::path::PathBuf;

/// Names that a warning lists before it only counts.
const LISTED: usize = 8;

/// One doubt about a loaded model.
// What a variant is, its message says.
#[allow(missing_docs)]
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelWarning {
    #[error("{path}: {n} weight(s) that this model does not use: {names}", path = .path.display(), n = .names.len(), names = listed(.names))]
    UnusedWeights { path: PathBuf, names: Vec<String> },
    #[error("{path}: `tie_word_embeddings` is true, but `lm_head.weight` differs from the embeddings; the file's own head is used, as transformers 5 does", path = .path.display())]
    HeadDiffers { path: PathBuf },
    #[error("{path}: both model.safetensors and model.safetensors.index.json are there; model.safetensors is read, as transformers does", path = .path.display())]
    TwoWeightFiles { path: PathBuf },
    #[error("products in bf16: the residual stream's cosine with that in f32 is {cosine:.5} on average where it is least, below 0.999 ({texts} texts, {tokens} tokens; entries differ by up to {deviation:.3} of a layer's RMS); --dtype f32 decides")]
    Bf16 { cosine: f64, deviation: f64, texts: usize, tokens: usize },
    #[error("{path}: `add_bos_token` is {says}, but tokenizer.json {does} a beginning-of-text token; the latter is followed, as in transformers 5; --bos on or off decides", path = .path.display(), says = .says, does = if *.says { "does not add" } else { "adds" })]
    BosInDoubt { path: PathBuf, says: bool },
    #[error("{path}: the model thinks before it answers unless it is told not to; --thinking off, keep or strip decides", path = .path.display())]
    Thinks { path: PathBuf },
}

fn listed(names: &[String]) -> String {
    let shown = names.iter().take(LISTED).cloned().collect::<Vec<_>>();
    match names.len().saturating_sub(LISTED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Warnings in words.
pub fn texts(warnings: &[ModelWarning]) -> Vec<String> {
    warnings.iter().map(ModelWarning::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_of_names_is_shortened_and_counted() {
        let names = (0..20).map(|i| format!("t{i}")).collect();
        let path = PathBuf::from("m.gguf");
        let text = ModelWarning::UnusedWeights { path, names }.to_string();
        assert!(text.contains("m.gguf: 20 weight(s)"), "{text}");
        assert!(text.contains("t7 and 12 more"), "{text}");
    }
}
