//! Directions of every state as arrays, for readers that load vectors.

use crate::analysis::directions::write_arrays;
use crate::analysis::{AnalysisError, Readings, Result};
use crate::directions::{estimate, Estimator};
use crate::store::ResultsWriter;
use ndarray::{s, Array5};

/// Writes the mean differences that couplings and shifts are of as unit vectors, `directions/vectors/unit`,
/// `[state, concept, estimator, layer, hidden]`.
///
/// # Errors
/// `Direction` where a concept's sides do not differ; the store's.
pub fn write_units(w: &mut ResultsWriter, readings: &Readings) -> Result<()> {
    let estimator = Estimator::MeanDiff;
    let (states, concepts) = (readings.states.len(), readings.concepts.len());
    let (_, layers, d) = (readings.acts.first()).map_or((0, 0, 0), |a| a.neutral[0].dim());
    let mut units = Array5::<f32>::zeros((states, concepts, 1, layers, d));
    let mut rule = String::new();
    for (m, acts) in readings.acts.iter().enumerate() {
        for (c, info) in readings.concepts.iter().enumerate() {
            for l in 0..layers {
                let pairs = info.pairs(&acts.concepts[c], l);
                let found = estimate(&pairs, estimator, 0).map_err(|source| {
                    let (state, layer) = (&readings.states[m].id, readings.layers[l]);
                    let about = format!("`{}` in {state}, layer {layer}", info.name);
                    AnalysisError::Direction { about, source }
                })?;
                units.slice_mut(s![m, c, 0, l, ..]).assign(&found.unit);
                rule = found.sign_rule;
            }
        }
    }
    write_arrays(w, readings, &readings.names(), &[(estimator, &rule)], &[("unit", units)])
}
