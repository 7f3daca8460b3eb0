//! Directions: from contrast pairs of activations to unit vectors with their quality.
//!
//! The room takes pairs at one layer ([`Pairs`]), estimates a direction in one
//! of several named ways ([`Estimator`], [`estimate`]), and says how good it is
//! ([`quality`]): held-out separation, split-half reliability, length against
//! the layer's scale. Doubts travel with the result as [`Warning`]s. It knows
//! no model and no file. Nothing here chooses a layer; a caller who does so on
//! reported rows owes the reader [`Warning::ChosenOnReportedData`].

pub mod algebra;
mod error;
mod estimate;
mod estimator;
mod logistic;
mod pairs;
mod quality;
pub mod warning;

pub use algebra::{agreement, clean, nuisance_cosines};
pub use error::DirectionError;
pub use estimate::{estimate, Direction};
pub use estimator::Estimator;
pub use pairs::Pairs;
pub use quality::{quality, reliability, Quality, QualityOptions};
pub use warning::Warning;
