//! The ways in which directions can be refused.
//!
//! One variant for each way the pairs or a name can be wrong; the sentence says
//! what to do. Weak directions are not errors: they come back with warnings.

use crate::stats::linalg::first_bad_row;
use crate::stats::StatsError;
use ndarray::ArrayView2;
use thiserror::Error;

/// What the room's functions give.
pub(crate) type Result<T, E = DirectionError> = std::result::Result<T, E>;

/// One variant for each way a direction cannot be made.
#[derive(Debug, Error, Clone, PartialEq)]
pub enum DirectionError {
    /// An array or label list does not fit the others.
    #[error("{field} has {got} rows but there are {expected} pairs: give one entry a pair, in the same order")]
    Rows {
        /// Field of [`super::Pairs`].
        field: &'static str,
        /// Pairs.
        expected: usize,
        /// Entries found.
        got: usize,
    },
    /// Two vectors or matrices differ in width.
    #[error("widths differ: {expected} and {got}; both must come from the same model and layer")]
    Width {
        /// Width of the first.
        expected: usize,
        /// Width of the second.
        got: usize,
    },
    /// Too few pairs for this estimator.
    #[error("{estimator} needs at least {needed} pairs and got {got}: add pairs or use mean-diff")]
    TooFewPairs {
        /// Estimator's name.
        estimator: &'static str,
        /// Least number.
        needed: usize,
        /// Number given.
        got: usize,
    },
    /// An activation is NaN or infinite.
    #[error("the {side} activation of pair {pair} is not finite: check the capture that wrote it")]
    NotFinite {
        /// `positive` or `negative`.
        side: &'static str,
        /// Row of the pair.
        pair: usize,
    },
    /// Both sides are the same, so that no direction exists.
    #[error("{what} has length zero: the two sides do not differ at this layer, or all of it was projected out")]
    Zero {
        /// What came out as zero.
        what: String,
    },
    /// No estimator has this name.
    #[error("unknown estimator '{name}'; did you mean '{nearest}'? known: {known}")]
    UnknownEstimator {
        /// Name as written.
        name: String,
        /// Known name with the least edit distance.
        nearest: String,
        /// All known names.
        known: String,
    },
    /// The logistic regression did not settle.
    #[error("the logistic regression did not converge at alpha {alpha} ({reason}): give a positive alpha, check the activations or use lda")]
    Logistic {
        /// Strength of the penalty.
        alpha: f64,
        /// What the solver said.
        reason: String,
    },
    /// Labels that do not vary, so that there is nothing to erase or to regress on.
    #[error("{what} is the same for all {n} rows: give rows that differ in it")]
    Constant {
        /// Which labels.
        what: &'static str,
        /// Rows.
        n: usize,
    },
    /// A label is NaN or infinite.
    #[error("{what} of row {row} is not finite: leave that row out")]
    BadLabel {
        /// Which labels.
        what: &'static str,
        /// First such row.
        row: usize,
    },
    /// No pair may be used for choosing.
    #[error("no layer can be chosen: {got} of the pairs are of the development split and {needed} are needed; mark some with \"split\": \"dev\" or fix the layer beforehand")]
    NoDevelopmentPairs {
        /// Least number.
        needed: usize,
        /// Number found.
        got: usize,
    },
    /// Two readings of the same pairs do not line up.
    #[error("the two readings do not hold the same pairs in the same order ({field} differs): read the same concept twice")]
    NotTheSamePairs {
        /// Field that differs.
        field: &'static str,
    },
    /// The principal component analysis failed.
    #[error("the principal component analysis failed ({reason}): check that the differences are not all zero")]
    Pca {
        /// What the solver said.
        reason: String,
    },
    /// A statistic was refused.
    #[error(transparent)]
    Stats(#[from] StatsError),
}

/// Refuses vectors or matrices of different widths.
pub(super) fn same_width(expected: usize, got: usize) -> Result<()> {
    (got == expected).then_some(()).ok_or(DirectionError::Width { expected, got })
}

/// Refuses fewer pairs than `needed`.
pub(super) fn enough(estimator: &'static str, needed: usize, got: usize) -> Result<()> {
    (got >= needed).then_some(()).ok_or(DirectionError::TooFewPairs { estimator, needed, got })
}

/// Refuses labels of another number than the rows `x (n, d)`, and values that are not finite; `field`
/// and `what` name the labels, `bad` is the first row with such a label.
pub(super) fn labelled(
    (field, what): (&'static str, &'static str),
    (labels, bad): (usize, Option<usize>),
    x: ArrayView2<f32>,
) -> Result<()> {
    if labels != x.nrows() {
        return Err(DirectionError::Rows { field, expected: x.nrows(), got: labels });
    }
    for (what, row) in [(what, bad), ("the activation", first_bad_row(x))] {
        if let Some(row) = row {
            return Err(DirectionError::BadLabel { what, row });
        }
    }
    Ok(())
}
