//! Directions: from contrast pairs of activations to unit vectors with their quality.
//!
//! The room takes pairs at one layer ([`Pairs`]), estimates a direction in one
//! of several named ways ([`Estimator`], [`estimate`]), and says how good it is
//! ([`quality`], and [`profile()`] with the nuisances): held-out separation,
//! also beyond what a bag of words reaches ([`lexical()`]), split-half reliability, length against the layer's scale, closeness to what it
//! should not be. Directions add, scale and are projected out of one another
//! ([`algebra`]); an [`Eraser`] takes a concept out of activations. Doubts travel
//! with the result as [`Warning`]s. The room knows no model and no file. A layer is
//! chosen by [`choose_layer`], on development pairs only; a caller who chooses on
//! reported rows owes the reader [`Warning::ChosenOnReportedData`].

pub mod algebra;
mod eraser;
mod error;
mod estimate;
mod estimator;
mod held_out;
mod layer;
mod lexical;
pub mod logistic;
mod pairs;
mod profile;
mod quality;
mod reliability;
mod surprisal;
pub mod warning;

pub use algebra::{agreement, clean, nuisance_cosines};
pub use eraser::{Covariance, Eraser};
pub use error::DirectionError;
use error::Result;
pub use estimate::{estimate, Direction};
pub use estimator::Estimator;
pub use held_out::{carried, left_by_eraser, Carried};
pub use layer::{choose_layer, LayerChoice, FEWEST_PAIRS};
pub use lexical::{lexical, lexical_scores, Lexical};
pub use pairs::Pairs;
pub use profile::{profile, Cleaned, Profile};
pub use quality::{quality, Beyond, Quality, QualityOptions};
pub use reliability::reliability;
pub use surprisal::{surprisal, surprisal_reliability};
pub use warning::Warning;
