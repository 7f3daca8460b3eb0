//! What the analyses refuse of their input, each in one way.

use super::GeometryError;
use crate::stats::bootstrap::Clusters;

/// Refuses an array of another shape than fits.
pub(super) fn shape(what: &str, expected: &[usize], got: &[usize]) -> Result<(), GeometryError> {
    if expected == got {
        return Ok(());
    }
    Err(GeometryError::Shape {
        what: what.to_string(),
        expected: expected.to_vec(),
        got: got.to_vec(),
    })
}

/// Refuses NaN and infinities.
pub(super) fn finite<'a, T: Copy + Into<f64> + 'a>(
    what: &str,
    values: impl IntoIterator<Item = &'a T>,
) -> Result<(), GeometryError> {
    match values.into_iter().all(|&v| v.into().is_finite()) {
        true => Ok(()),
        false => Err(GeometryError::NotFinite { what: what.to_string() }),
    }
}

/// The clusters of `rows` rows, at least `least`; `what` they are and what they are `of`.
pub(super) fn clusters(
    (what, of): (&str, &str),
    names: &[usize],
    rows: usize,
    least: usize,
) -> Result<Clusters, GeometryError> {
    if names.len() != rows {
        return Err(GeometryError::Count {
            what: format!("{what} of {of}"),
            expected: rows,
            got: names.len(),
        });
    }
    let clusters = Clusters::new(names);
    match clusters.count() {
        got if got < least => Err(GeometryError::FewClusters { what: of.to_string(), got }),
        _ => Ok(clusters),
    }
}
