//! What the analyses refuse of their input, each in one way.

use super::{GeometryError, Result};
use crate::stats::bootstrap::Clusters;
use rayon::prelude::*;

/// What each of `n` layers or clusters gives, computed in parallel.
pub(super) fn each<T: Send>(
    n: usize,
    one: impl Fn(usize) -> Result<T> + Sync + Send,
) -> Result<Vec<T>> {
    (0..n).into_par_iter().map(one).collect()
}

/// Refuses an array of another shape than fits.
pub(super) fn shape(what: &str, expected: &[usize], got: &[usize]) -> Result<()> {
    let (fits, what, expected, got) = (expected == got, what.into(), expected.into(), got.into());
    fits.then_some(()).ok_or(GeometryError::Shape { what, expected, got })
}

/// Refuses a list of another length than fits.
pub(super) fn count(what: &str, expected: usize, got: usize) -> Result<()> {
    let what = what.into();
    (got == expected).then_some(()).ok_or(GeometryError::Count { what, expected, got })
}

/// Refuses a shorter list than `least`.
pub(super) fn at_least(what: &str, least: usize, got: usize) -> Result<()> {
    let what = what.into();
    (got >= least).then_some(()).ok_or(GeometryError::Count { what, expected: least, got })
}

/// Refuses an index that names nothing.
pub(super) fn index(what: &'static str, index: usize, count: usize) -> Result<()> {
    (index < count).then_some(()).ok_or(GeometryError::Index { what, index, count })
}

/// Refuses NaN and infinities.
pub(super) fn finite<'a, T: Copy + Into<f64> + 'a>(
    what: &str,
    values: impl IntoIterator<Item = &'a T>,
) -> Result<()> {
    let known = values.into_iter().all(|&v| v.into().is_finite());
    known.then_some(()).ok_or_else(|| GeometryError::NotFinite { what: what.into() })
}

/// The clusters of `rows` rows, at least `least`; `what` they are and what they are `of`.
pub(super) fn clusters(
    (what, of): (&str, &str),
    names: &[usize],
    rows: usize,
    least: usize,
) -> Result<Clusters> {
    count(&format!("{what} of {of}"), rows, names.len())?;
    let clusters = Clusters::new(names);
    match clusters.count() {
        got if got < least => Err(GeometryError::FewClusters { what: of.to_string(), got }),
        _ => Ok(clusters),
    }
}
