//! Geometry: directions and shifts to coupling, subspaces, stability, transfer.
//!
//! Pure: ndarrays in, numbers out; no model, no file. Indices stand for states,
//! concepts and layers, and the caller keeps the names. [`coupling`] is the
//! centre: cosines between concepts in every state and layer, with intervals
//! over prompts and several nulls. [`contrast`] compares states on paired draws,
//! [`shift`] says where a fine-tune moved the same texts, and [`subspace`],
//! [`stability`] and [`transfer`] ask the same questions in other ways.

mod cell;
pub mod contrast;
pub mod coupling;
mod error;
mod forms;
mod resample;
pub mod shift;
pub mod stability;
pub mod subspace;
pub mod transfer;

pub use contrast::{contrast, Contrast, Over};
pub use coupling::{coupling, Coupling, CouplingInput, CouplingOptions, PairDraws};
pub use error::GeometryError;
pub use forms::Form;
