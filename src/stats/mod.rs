//! Statistics that every other room stands on: seeded streams, resampling and the
//! jackknife, intervals, contrasts, tests and corrections, rank measures, mixtures, means over
//! seeds, utilities of choices, ridge regression and shrinkage covariance.
//!
//! This room imports nothing above it. It takes slices and ndarrays and gives
//! numbers; it opens no file and knows no model, concept or layer. Every random
//! number comes from [`rng::stream`], so a result depends on the seed, the
//! purpose and the index of a draw, never on the number of threads.
//! Undefined quantities (a correlation of a constant, an area with an empty
//! side) are NaN; a wrong shape is a [`StatsError`].

pub mod area;
pub mod autoregression;
pub mod bootstrap;
pub mod bradley_terry;
pub mod contrast;
pub mod corrections;
mod error;
pub mod interval;
pub mod jackknife;
pub mod kolmogorov;
pub mod linalg;
pub mod link;
pub mod mixture;
pub mod moments;
pub mod permutation;
pub mod rank;
pub mod replicates;
pub mod ridge;
pub mod rng;
pub mod shrinkage;

pub use bootstrap::Resampling;
use error::Result;
pub use error::StatsError;
pub use interval::Interval;
