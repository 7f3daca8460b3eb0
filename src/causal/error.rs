//! The ways in which a causal measurement can be refused.

use crate::behavior::BehaviorError;
use crate::model::ModelError;
use crate::stats::StatsError;

/// What the room's functions give.
pub(crate) type Result<T, E = CausalError> = std::result::Result<T, E>;

/// One variant a way in which the input can be wrong.
// What a variant is, its message says.
#[allow(missing_docs)]
#[derive(Debug, thiserror::Error)]
pub enum CausalError {
    #[error(transparent)]
    Behavior(#[from] BehaviorError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Stats(#[from] StatsError),
    #[error("edit `{edit}`: item `{item}` of `{preference}` has no unedited score; score both on one battery")]
    Unpaired { edit: String, preference: String, item: String },
    #[error("the RMS of the stream after block {layer} is {rms}, so that a dose in its units is none; choose another layer")]
    NoScale { layer: usize, rms: f64 },
    #[error("{what} has {got}, expected {expected}")]
    Shape { what: String, got: String, expected: String },
    #[error("{what} is not finite; check the run that wrote it")]
    NotFinite { what: String },
    #[error("{0}")]
    Empty(&'static str),
}

impl CausalError {
    /// What has another shape than fits.
    pub(super) fn shape(
        what: impl Into<String>,
        got: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        CausalError::Shape { what: what.into(), got: got.into(), expected: expected.into() }
    }
}
