//! Directions for other tools: one file a format, each written and read back.
//!
//! All formats start from [`Vectors`]: one vector per concept and layer, in the layer
//! convention of this toolkit (index l is the output of block l). What a format
//! cannot hold is returned as an [`ExportWarning`], never dropped in silence. Files are
//! written through `store`'s atomic writer; readers check every length before they
//! trust it, since a file may come from anywhere.

pub mod erasers;
pub mod file;
pub mod gguf;
pub mod inspect;
pub mod npy;
pub mod safetensors;
pub mod vectors;

use std::path::PathBuf;

use crate::store::StoreError;

pub use vectors::Vectors;

/// One way in which an export or a file to read can be wrong.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The file could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing to write.
    #[error("no vector to write to {path}: choose at least one concept and layer", path = .path.display())]
    Empty { path: PathBuf },
    /// A concept that the vectors lack.
    #[error("no concept `{concept}` to write to {path}; there are: {present}", path = .path.display())]
    NoConcept {
        path: PathBuf,
        concept: String,
        present: String,
    },
    /// A concept name that cannot be a file's or a tensor's.
    #[error("the concept `{concept}` cannot be a name in {path}: it must not be empty, begin with a dot or hold `/`, `\\` or NUL", path = .path.display())]
    BadConcept { path: PathBuf, concept: String },
    /// Vectors of one concept that differ in width.
    #[error("`{concept}` layer {layer} has width {found} where the others have {expected}: all layers of one model share a width")]
    Width {
        concept: String,
        layer: usize,
        expected: usize,
        found: usize,
    },
    /// A file that is not of its format, or breaks its rules.
    #[error("{path} is not a readable {format} file ({detail}): export it again", path = .path.display())]
    Malformed {
        path: PathBuf,
        format: &'static str,
        detail: String,
    },
    /// A file name whose format is not known.
    #[error("{path} does not say its format: end the name in .safetensors, .npy or .gguf", path = .path.display())]
    UnknownFormat { path: PathBuf },
    /// Several concepts for a format that holds one.
    #[error("{path} can hold one concept and there are: {present}; write .safetensors or one file a concept", path = .path.display())]
    OneConcept { path: PathBuf, present: String },
    /// A tensor that is no direction.
    #[error("{path}: tensor `{tensor}` is {found}, not {expected}: give a file of directions", path = .path.display())]
    NotADirection {
        path: PathBuf,
        tensor: String,
        expected: &'static str,
        found: String,
    },
}

/// Something a format could not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportWarning {
    /// Control vectors are numbered from 1.
    #[error("a GGUF control vector has no place for block 0: `{concept}` was written without it")]
    BlockZeroDropped { concept: String },
    /// An array file has no metadata.
    #[error("{path} carries no model name or layer convention: row l is the output of block l, absent layers are NaN", path = .path.display())]
    NoMetadata { path: PathBuf },
}
