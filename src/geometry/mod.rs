//! Geometry: directions and shifts to coupling, subspaces, stability, transfer.
//!
//! Pure: ndarrays in, numbers out; no model, no file. Indices stand for states,
//! concepts and layers, and the caller keeps the names. [`coupling()`] is the
//! centre: cosines between concepts in every state and layer, with intervals
//! over prompts and several nulls. [`contrast()`] compares states on paired draws,
//! [`shift`] and [`projections`] say where a fine-tune moved the same texts,
//! [`subspace`], [`subspace_curve`], [`stability`] and [`transfer`] ask the same
//! questions in other ways, [`regions`] and [`rank_one`] ask about whole clouds and
//! whole batteries; [`population`] sets aside what noise adds to a direction. [`nulls`] ranks a state among null states, such as adapters with
//! random weights, which are measured by the same functions. Doubts about a number
//! are [`Warning`]s.

mod cell;
mod check;
pub mod contrast;
pub mod coupling;
mod coupling_input;
mod crossed;
mod error;
mod forms;
pub mod nulls;
pub mod plane;
pub mod population;
pub mod projections;
pub mod random_directions;
pub mod rank_one;
pub mod regions;
mod resample;
mod seeds;
pub mod shift;
pub mod stability;
mod studentised;
pub mod subspace;
pub mod subspace_curve;
pub mod transfer;
pub mod warning;

pub use contrast::{contrast, Contrast, Over};
pub use coupling::{coupling, Coupling, PairCoupling, PairDraws};
pub use coupling_input::{CouplingInput, CouplingOptions};
pub use error::GeometryError;
use error::Result;
pub use forms::Form;
pub use warning::Warning;
