//! Chat rows to a LoRA adapter: rows -> batches -> training -> PEFT folder.
//!
//! Training runs the same decoder as everything else, with its adapted maps carrying branches.
//! Rows of a batch that begin alike share their beginning, forward and backward; the loss is taken
//! at assistant tokens only, each turn's end token included. [`Distil`] writes the neutral rows that
//! are mixed in; [`Prevent`] edits the stream while it trains.

mod batches;
mod distil;
mod gradient;
mod optimiser;
mod prevent;
mod recipe;
mod rows;
mod train;

pub use batches::batches;
pub use distil::{Distil, Distilled, BATCH};
pub use prevent::{Mode, Prevent};
pub use recipe::{log_spaced, Order, Recipe};
pub use rows::{examples, Example};
pub use train::{train, Step, Trained};

use crate::model::ModelError;
use std::path::{Path, PathBuf};

/// Ways in which a row cannot be trained on.
// What a variant is, its message says.
#[allow(missing_docs)]
#[derive(Debug, thiserror::Error)]
pub enum RowFault {
    #[error("the row has {tokens} tokens, more than max_tokens = {limit}; shorten it or raise max_tokens")]
    TooLong { tokens: usize, limit: usize },
    #[error("no token of the row is the assistant's, so there is nothing to learn; write longer answers, or look at what the chat template makes of them")]
    NothingToLearn,
    /// The template or the tokenizer refuses.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// Ways in which fine-tuning can fail.
// What a variant is, its message says.
#[allow(missing_docs)]
#[derive(Debug, thiserror::Error)]
pub enum FinetuneError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    #[error("computation failed: {0}")]
    Compute(#[from] candle_core::Error),
    /// A row by its number, from 1.
    #[error("row {row}: {fault}")]
    Row { row: usize, fault: RowFault },
    /// A row by its place in a file.
    #[error("{}, line {line}: {fault}", path.display())]
    Line { path: PathBuf, line: usize, fault: RowFault },
    #[error("no rows to train on")]
    Empty,
    #[error("recipe key `{key}` is {value}; {hint}")]
    Recipe { key: &'static str, value: String, hint: &'static str },
    #[error("step {step}: the gradient of {name} is {what}; the forward pass does not reach it, so training it would do nothing")]
    Gradient { step: usize, name: String, what: &'static str },
    #[error("step {step}: {what} is not finite; lower learning_rate (checkpoint-{kept} holds the last adapter from which everything was)")]
    NotFinite { step: usize, what: String, kept: usize },
    #[error("{path}: cannot be written ({source}); check the folder and the free space")]
    Write { path: PathBuf, source: std::io::Error },
}

impl FinetuneError {
    /// A value of a recipe that cannot be.
    fn recipe(key: &'static str, value: impl ToString, hint: &'static str) -> Self {
        FinetuneError::Recipe { key, value: value.to_string(), hint }
    }

    /// The error with the file and line of a row in place of its number; `lines` has one a row.
    pub fn in_file(self, path: &Path, lines: &[usize]) -> Self {
        match self {
            FinetuneError::Row { row, fault } => match lines.get(row.saturating_sub(1)) {
                Some(&line) => FinetuneError::Line { path: path.to_owned(), line, fault },
                None => FinetuneError::Row { row, fault },
            },
            other => other,
        }
    }
}
