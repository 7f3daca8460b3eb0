//! Ways in which a model, a tokenizer, a template or an adapter can be wrong.

use std::path::{Path, PathBuf};

/// Errors of the `model` room; each names the file or name and the remedy.
// What a variant is, its message says.
#[allow(missing_docs)]
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("{path}: cannot be read ({source}); check that the file exists and is readable")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: cannot be written ({source}); check the folder and the free space")]
    Write { path: PathBuf, source: std::io::Error },
    #[error("{path}: not a usable GGUF file ({why}); a model is a .gguf file or a folder in the Hugging Face layout, and one that was cut or damaged must be fetched again")]
    Gguf { path: PathBuf, why: String },
    #[error("{path}: {why}")]
    File { path: PathBuf, why: String },
    #[error("{path}: key `{key}` {why}")]
    Key { path: PathBuf, key: String, why: String },
    #[error("{path}: weight `{name}` is missing{}", nearest_clause(.nearest))]
    MissingWeight { path: PathBuf, name: String, nearest: Option<String> },
    #[error("{path}: weight `{name}` has shape {got:?}, expected {want:?}")]
    WeightShape { path: PathBuf, name: String, got: Vec<usize>, want: Vec<usize> },
    #[error("{path}: weight `{name}` {why}; the numbers would be another model's")]
    ForeignWeight { path: PathBuf, name: String, why: String },
    #[error("{path}: weight `{name}` holds {value} (value {at}), so nothing can be computed with it; fetch or make the file again")]
    NotFinite { path: PathBuf, name: String, value: f32, at: usize },
    #[error("{path}: architecture `{name}` is not supported: {why}")]
    Architecture { path: PathBuf, name: String, why: String },
    #[error("hook point `{name}` does not exist; {hint}")]
    HookPoint { name: String, hint: String },
    #[error("chat template of the model: {0}")]
    Template(String),
    #[error(
        "turn {turn} ({role}), {content:?}: {why}; reword it, or give the whole as raw `text`"
    )]
    Turn { turn: usize, role: String, content: String, why: String },
    #[error("the model has no chat template, so chat messages cannot be rendered; give raw `text`, choose one with --template (chatml, llama-2, gemma, alpaca or a file), or use an instruction-tuned model")]
    NoTemplate,
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    #[error("text of {tokens} tokens is longer than the model's context of {context}")]
    TooLong { tokens: usize, context: usize },
    #[error("{path}: adapter option `{option}` is not supported; {hint}")]
    AdapterOption { path: PathBuf, option: String, hint: String },
    #[error("{path}: adapter key `{key}` does not fit this model{}", nearest_clause(.nearest))]
    AdapterKey { path: PathBuf, key: String, nearest: Option<String> },
    #[error("the adapter changes {0} by values that are not finite in float32; its factors or lora_alpha are too large")]
    AdapterNotFinite(String),
    #[error("model `{name}` is not in the catalogue, not a folder and not a file; known names: {known}; a hub model is written org/name")]
    Unknown { name: String, known: String },
    #[error("{path}: SHA-256 is {got}, expected {want}; the file is cut or not the pinned one: delete it and run `residuum model pull`")]
    Digest { path: PathBuf, got: String, want: String },
    #[error("model `{name}` could not be fetched from any source:\n{tried}\nPut {file} (SHA-256 {sha256}) at {place} and run again.")]
    NoSource { name: String, tried: String, file: String, sha256: String, place: PathBuf },
    #[error("`{name}` is no folder here, and as a hub repository: {why}")]
    Hub { name: String, why: String },
    #[error("{0}")]
    NoDevice(String),
    #[error("an intervention touches nothing: {0}")]
    NothingTouched(String),
    #[error("the swap at {point} has no recorded activation for the token at position {position} of a text; record these texts, or limit the swap to the roles of tokens that were recorded")]
    NotRecorded { point: String, position: u32 },
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    #[error("computation failed: {0}")]
    Compute(#[from] candle_core::Error),
}

impl ModelError {
    /// A file that holds or is something else than it should.
    pub(crate) fn file(path: &Path, why: impl Into<String>) -> Self {
        ModelError::File { path: path.into(), why: why.into() }
    }

    /// A key whose value cannot be.
    pub(crate) fn key(path: &Path, key: impl Into<String>, why: impl Into<String>) -> Self {
        ModelError::Key { path: path.into(), key: key.into(), why: why.into() }
    }

    /// An intervention that would do nothing.
    pub(crate) fn idle(why: impl Into<String>) -> Self {
        ModelError::NothingTouched(why.into())
    }

    /// A file that cannot be read, of what the system says.
    pub(crate) fn read(path: &Path) -> impl Fn(std::io::Error) -> Self + '_ {
        |source| ModelError::Read { path: path.into(), source }
    }
}

fn nearest_clause(nearest: &Option<String>) -> String {
    match nearest {
        Some(n) => format!("; the nearest name there is `{n}`"),
        None => String::new(),
    }
}

/// Result of the model room.
pub type Result<T> = std::result::Result<T, ModelError>;
