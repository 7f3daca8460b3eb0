//! Statistics that every other room stands on: seeded streams, resampling,
//! intervals, corrections, rank measures and shrinkage covariance.
//!
//! This room imports nothing above it. It takes slices and ndarrays and gives
//! numbers; it opens no file and knows no model, concept or layer. Every random
//! number comes from [`rng::stream`], so a result depends on the seed, the
//! purpose and the index of a draw, never on the number of threads.
//! Undefined quantities (a correlation of a constant, an area with an empty
//! side) are NaN; a wrong shape is a [`StatsError`].

pub mod bootstrap;
pub mod corrections;
mod error;
pub mod interval;
pub mod linalg;
pub mod permutation;
pub mod rank;
pub mod rng;
pub mod shrinkage;

pub use error::StatsError;
pub use interval::Interval;
