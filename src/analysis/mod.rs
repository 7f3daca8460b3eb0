//! Analysis: one function a quantity, called by commands and by the stages of a study alike.
//!
//! Models and texts, or activations, in; [`records`] out. What is read of the model states of one
//! question is [`Readings`]; what concepts and conditions are to one another is [`Roles`], by name.
//! The rooms below (directions, geometry, behaviour, causal) know no names and no models of more than
//! one state; the rooms above (report, study, commands) know no formula.

pub mod behaviour;
pub mod cause;
pub mod compare;
pub mod conversations;
pub mod directions;
mod error;
pub mod findings;
mod fine_tunes;
pub mod geometry;
pub mod link;
pub mod merge;
pub mod mixing;
pub mod power;
pub mod projection;
pub mod readings;
pub mod records;
pub mod roles;
pub mod scale;
pub mod state;
pub mod texts;
pub mod trajectory;
pub mod verdict;

pub use directions::{DirectionOptions, Directions};
pub use error::AnalysisError;
pub use fine_tunes::{over_fine_tunes, FineTunes};
pub use readings::{ConceptActivations, ConceptInfo, Readings, StateActivations};
pub use roles::{Draws, Roles};
pub use scale::layer_rms;
pub use state::{State, BASE};
pub use texts::{Contrast, Reading, StateTexts};

/// Result of an analysis.
pub type Result<T> = std::result::Result<T, AnalysisError>;
