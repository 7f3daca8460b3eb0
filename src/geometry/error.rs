//! The ways in which a geometry can be refused.
//!
//! Shapes that disagree, indices that name nothing, too few clusters. Weak or
//! undefined numbers are not errors: they are NaN with an interval of NaN.

use crate::stats::StatsError;
use thiserror::Error;

/// What the room's functions give.
pub(crate) type Result<T, E = GeometryError> = std::result::Result<T, E>;

/// One variant for each way the input can be wrong.
#[derive(Debug, Error, Clone, PartialEq)]
pub enum GeometryError {
    /// An array has another shape than its neighbours.
    #[error("{what} has shape {got:?}, expected {expected:?}: capture all states with the same layers and texts")]
    Shape {
        /// Which array.
        what: String,
        /// Shape that fits.
        expected: Vec<usize>,
        /// Shape found.
        got: Vec<usize>,
    },
    /// A list has another length than its neighbours.
    #[error("{what} has {got} entries, expected {expected}: give one for each")]
    Count {
        /// Which list.
        what: String,
        /// Length that fits.
        expected: usize,
        /// Length found.
        got: usize,
    },
    /// An index names nothing.
    #[error("{what} {index} does not exist, there are {count}: indices start at 0")]
    Index {
        /// What is indexed.
        what: &'static str,
        /// Index given.
        index: usize,
        /// Number of entries.
        count: usize,
    },
    /// A designated pair is the same concept twice, or holds a nuisance or a placebo.
    #[error("concepts {0} and {1} cannot be a designated pair: name two different concepts that are neither nuisances nor placebos")]
    Pair(usize, usize),
    /// A concept has too few clusters to resample.
    #[error("{what} has {got} clusters and needs at least 3: add prompts")]
    FewClusters {
        /// Which concept or set of texts.
        what: String,
        /// Clusters found.
        got: usize,
    },
    /// A value is NaN or infinite.
    #[error("{what} holds a value that is not finite: check the capture that wrote it")]
    NotFinite {
        /// Which array.
        what: String,
    },
    /// A statistic was refused.
    #[error(transparent)]
    Stats(#[from] StatsError),
}
