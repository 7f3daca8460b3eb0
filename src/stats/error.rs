//! The ways in which a statistic can be refused.
//!
//! Each variant is one way the input can be wrong and says what to do. Numbers
//! that are merely undefined (zero variance, an empty class) are not errors:
//! they are NaN and travel on. Higher rooms wrap this enum in their own.

use thiserror::Error;

/// What the room's functions give.
pub(crate) type Result<T, E = StatsError> = std::result::Result<T, E>;

/// One variant for each way a statistic's input can be wrong.
#[derive(Debug, Error, Clone, PartialEq)]
pub enum StatsError {
    /// Too few items for the quantity asked for.
    #[error("{what} needs at least {needed} {unit} and got {got}: give more data or leave this quantity out")]
    TooFew {
        /// Quantity that was asked for.
        what: &'static str,
        /// Least count that works.
        needed: usize,
        /// What is counted.
        unit: &'static str,
        /// Count that was given.
        got: usize,
    },
    /// Two inputs that must agree in length do not.
    #[error("{what}: expected length {expected}, got {got}; both must list the same items in the same order")]
    Length {
        /// Which pair of inputs.
        what: &'static str,
        /// Length of the first.
        expected: usize,
        /// Length of the second.
        got: usize,
    },
    /// A value is NaN or infinite.
    #[error(
        "{what} holds a value that is not finite at row {row}: check the capture that wrote it"
    )]
    NotFinite {
        /// Which input.
        what: &'static str,
        /// First row with such a value.
        row: usize,
    },
    /// A decomposition did not converge.
    #[error("the singular value decomposition of a {rows} x {cols} matrix did not converge: check its scale and for constant rows")]
    Svd {
        /// Rows of the matrix.
        rows: usize,
        /// Columns of the matrix.
        cols: usize,
    },
    /// A solver did not reach the optimum.
    #[error("{what} did not settle in {steps} steps: check the scale of what it is of")]
    Unsettled {
        /// What was fitted.
        what: &'static str,
        /// Steps that were made.
        steps: usize,
    },
    /// A matrix that must be positive definite is not.
    #[error("a {size} x {size} matrix is not positive definite at pivot {pivot}: all rows may be equal, so give more varied data")]
    NotPositiveDefinite {
        /// Size of the matrix.
        size: usize,
        /// Pivot that failed.
        pivot: usize,
    },
}

/// Refuses fewer than `needed` of what is counted.
pub(super) fn enough(
    what: &'static str,
    needed: usize,
    unit: &'static str,
    got: usize,
) -> Result<()> {
    (got >= needed).then_some(()).ok_or(StatsError::TooFew { what, needed, unit, got })
}

/// Refuses two inputs of different lengths.
pub(super) fn same_length(what: &'static str, expected: usize, got: usize) -> Result<()> {
    (got == expected).then_some(()).ok_or(StatsError::Length { what, expected, got })
}

/// Refuses NaN and infinities.
pub(super) fn finite(what: &'static str, values: &[f64]) -> Result<()> {
    let bad = values.iter().position(|v| !v.is_finite());
    bad.map_or(Ok(()), |row| Err(StatsError::NotFinite { what, row }))
}
