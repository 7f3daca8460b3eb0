//! Directions of every state as arrays, for readers that load vectors.

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
    let ids: Vec<String> = readings.states.iter().map(|s| s.id.clone()).collect();
    w.coord("state", ids)?;
    w.coord("concept", readings.names())?;
    w.coord("estimator", vec![estimator.name()])?;
    w.coord("layer", readings.layers.clone())?;
    w.coord("hidden", (0..d).collect::<Vec<usize>>())?;
    let dims = ["state", "concept", "estimator", "layer", "hidden"];
    w.array("directions/vectors", "unit", &dims, units.view().into_dyn())?;
    w.attr("directions", "sign_rule", format!("{estimator}: {rule}"))?;
    Ok(w.attr("directions", "position", readings.positions[0].to_string())?)
}
