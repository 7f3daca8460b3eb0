//! Directions of every state as arrays, for readers that load vectors.

use crate::analysis::Readings;
use crate::directions::Estimator;
use crate::store::{ResultsWriter, StoreError};
use ndarray::{s, Array4, Array5};

/// Writes mean differences as unit vectors, `[state, concept, estimator, layer, hidden]`, with their
/// lengths.
///
/// # Errors
/// The store's.
pub fn write_units(w: &mut ResultsWriter, readings: &Readings) -> Result<(), StoreError> {
    let (states, concepts) = (readings.states.len(), readings.concepts.len());
    let (layers, d) = readings
        .acts
        .first()
        .map_or((0, 0), |a| (a.neutral[0].dim().1, a.neutral[0].dim().2));
    let mut units = Array5::<f32>::zeros((states, concepts, 1, layers, d));
    let mut norms = Array4::<f64>::zeros((states, concepts, 1, layers));
    for (m, acts) in readings.acts.iter().enumerate() {
        for (c, concept) in acts.concepts.iter().enumerate() {
            for (l, row) in concept.direction().rows().into_iter().enumerate() {
                let length = row.dot(&row).sqrt();
                let unit = row.mapv(|v| (v / length) as f32);
                units.slice_mut(s![m, c, 0, l, ..]).assign(&unit);
                norms[[m, c, 0, l]] = length;
            }
        }
    }
    let ids: Vec<String> = readings.states.iter().map(|s| s.id.clone()).collect();
    w.coord("state", ids)?;
    w.coord("concept", readings.names())?;
    w.coord("layer", readings.layers.clone())?;
    w.coord("estimator", vec![Estimator::MeanDiff.name()])?;
    w.coord("hidden", (0..d).collect::<Vec<usize>>())?;
    let dims = ["state", "concept", "estimator", "layer", "hidden"];
    w.array("directions", "unit", &dims, units.view().into_dyn())?;
    w.array(
        "directions",
        "raw_norm",
        &dims[..4],
        norms.view().into_dyn(),
    )?;
    w.attr(
        "directions/unit",
        "sign_rule",
        "positive side projects higher",
    )
}
