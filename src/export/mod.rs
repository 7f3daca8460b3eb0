//! Directions for other tools: one file a format, each written and read back.
//!
//! All formats start from [`Vectors`]: one vector per concept and layer, in the layer
//! convention of this toolkit (index l is the output of block l). What a format
//! cannot hold is returned as an [`ExportWarning`], never dropped in silence. Files are
//! written through `store`'s atomic writer; readers check every length before they
//! trust it, since a file may come from anywhere.

pub mod about;
pub mod convention;
pub mod erasers;
pub mod file;
pub mod gguf;
pub mod inspect;
pub mod npy;
pub mod npz;
pub mod results;
pub mod safetensors;
pub mod vectors;

use std::path::{Path, PathBuf};

use crate::store::StoreError;

pub use about::{About, OfConcept, OfLayer};
pub use convention::{Convention, Found};
pub use vectors::Vectors;

type Result<T, E = ExportError> = std::result::Result<T, E>;

/// One way in which an export or a file to read can be wrong.
// What a variant is, its message says.
#[allow(missing_docs)]
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
    NoConcept { path: PathBuf, concept: String, present: String },
    /// A concept name that cannot be a file's or a tensor's.
    #[error("the concept `{concept}` cannot be a name in {path}: it must not be empty, begin with a dot or hold `/`, `\\` or NUL", path = .path.display())]
    BadConcept { path: PathBuf, concept: String },
    /// Vectors of one concept that differ in width.
    #[error("`{concept}` layer {layer} has width {found} where the others have {expected}: all layers of one model share a width")]
    Width { concept: String, layer: usize, expected: usize, found: usize },
    /// A file that is not of its format, or breaks its rules.
    #[error("{path} is not a readable {format} file ({detail}): export it again", path = .path.display())]
    Malformed { path: PathBuf, format: &'static str, detail: String },
    /// A file name whose format is not known.
    #[error("{path} does not say its format: end the name in {known}", path = .path.display())]
    UnknownFormat { path: PathBuf, known: &'static str },
    /// A pickle, which is a program.
    #[error("{path} is a pickle of PyTorch's, which is not read: save it as an array, in Python `numpy.save(\"{stem}.npy\", torch.load(\"{path}\", weights_only=True).float().numpy())`", path = .path.display())]
    Pickle { path: PathBuf, stem: String },
    /// A file without a vector.
    #[error("{path} holds no vector: give a file of directions", path = .path.display())]
    NoVectors { path: PathBuf },
    /// A convention that is not known.
    #[error("{path} counts layers by `{found}`, which is not known here: known are block_output_0based (index l is the output of block l) and hidden_states (index 0 is the embeddings)", path = .path.display())]
    UnknownConvention { path: PathBuf, found: String },
    /// An array, where there is no model to hold it against.
    #[error("{path} is an array of {rows} rows and does not say what they are: give --convention block-output (row l is the output of block l) or --convention hidden-states (row 0 is the embeddings)", path = .path.display())]
    Unsaid { path: PathBuf, rows: usize },
    /// An array that is not of this model.
    #[error("{path}: the array of `{concept}` is [{rows}, {width}], and a model of {blocks} blocks and width {hidden} needs [{blocks}, {hidden}] (row l the output of block l) or [{more}, {hidden}] (row 0 the embeddings)", path = .path.display(), more = .blocks + 1)]
    Shape {
        path: PathBuf,
        concept: String,
        rows: usize,
        width: usize,
        blocks: usize,
        hidden: usize,
    },
    /// A vector of another width than the model.
    #[error("{path}: the vector of `{concept}` at layer {layer} has width {found} and the model {hidden}: it is of another model", path = .path.display())]
    ModelWidth { path: PathBuf, concept: String, layer: usize, found: usize, hidden: usize },
    /// A vector of a block that the model does not have.
    #[error("{path}: there is a vector of `{concept}` at block {block}, which the model does not have (its blocks are 0 to {last}): it is of another model", path = .path.display(), last = .blocks.saturating_sub(1))]
    NoBlock { path: PathBuf, concept: String, block: usize, blocks: usize },
    /// A NaN or an infinity.
    #[error("{path}: the vector of `{concept}` at index {layer} holds a value that is not finite, or beyond float32: export it again", path = .path.display())]
    NotFinite { path: PathBuf, concept: String, layer: usize },
    /// Two tensors of one concept and layer.
    #[error("{path} holds two vectors of `{concept}` at layer {layer}: leave one away", path = .path.display())]
    Twice { path: PathBuf, concept: String, layer: usize },
    /// An index that is no layer's.
    #[error("{path}: `{concept}` has index {layer}, and no model has so many layers: export it again", path = .path.display())]
    TooDeep { path: PathBuf, concept: String, layer: usize },
    /// Several concepts for a format that holds one.
    #[error("{path} can hold one concept and there are: {present}; write .safetensors or one file a concept", path = .path.display())]
    OneConcept { path: PathBuf, present: String },
    /// A tensor that is no direction.
    #[error("{path}: tensor `{tensor}` is {found}, not {expected}: give a file of directions", path = .path.display())]
    NotADirection { path: PathBuf, tensor: String, expected: &'static str, found: String },
}

impl ExportError {
    pub(crate) fn malformed(path: &Path, format: &'static str, detail: impl ToString) -> Self {
        ExportError::Malformed { path: path.into(), format, detail: detail.to_string() }
    }

    pub(crate) fn not_a_direction(
        path: &Path,
        tensor: &str,
        expected: &'static str,
        found: impl Into<String>,
    ) -> Self {
        let (path, tensor, found) = (path.into(), tensor.into(), found.into());
        ExportError::NotADirection { path, tensor, expected, found }
    }
}

/// Something a format could not hold.
// What a variant is, its message says.
#[allow(missing_docs)]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportWarning {
    /// Control vectors are numbered from 1.
    #[error("a GGUF control vector has no place for block 0: `{concept}` was written without it")]
    BlockZeroDropped { concept: String },
    /// An array file has no metadata; `whole` where there is a row for every block of the model.
    #[error("{path} carries no model name or layer convention: its {rows} rows are the outputs of blocks 0 to {last}, absent layers NaN{}", short(.whole), path = .path.display(), last = .rows.saturating_sub(1))]
    NoMetadata { path: PathBuf, rows: usize, whole: bool },
}

fn short(whole: &bool) -> &'static str {
    match whole {
        true => "",
        false => "; the model's depth is not known here, and an array that has fewer rows than the model blocks is not read back for it",
    }
}
