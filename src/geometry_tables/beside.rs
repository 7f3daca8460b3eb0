//! What was found beside the coupling, as tables under the names that the caller knows.

use super::rows::{self, Rows};
use crate::geometry::cohort::{Beside, Moved};

/// Names of what the indices of a geometry stand for.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    /// States, base first.
    pub states: &'a [String],
    /// Concepts, the pair of interest first.
    pub concepts: &'a [String],
    /// Blocks.
    pub layers: &'a [usize],
    /// Position that was read.
    pub position: &'a str,
}

/// Shifts on every axis.
pub fn shifts(found: &[Moved], names: &Names) -> Rows {
    let views: Vec<_> = (found.iter())
        .map(|f| {
            let state = names.states[f.state].as_str();
            (state, names.position, f.part.name(), &f.on)
        })
        .collect();
    rows::projections(&views, names.layers)
}

/// All tables that have rows, by name.
pub fn beside(found: &Beside, names: &Names) -> Vec<(&'static str, Rows)> {
    let layers = names.layers;
    let n = found.n_texts;
    let state = |i: usize| names.states[i].as_str();
    let concept = |i: usize| names.concepts[i].as_str();
    let tuned = || names.states[1..].iter().map(String::as_str);
    let poles: Vec<_> = (tuned().zip(&found.poles))
        .map(|(name, p)| (name, p.as_slice()))
        .collect();
    let stability: Vec<_> = tuned()
        .zip(&found.stability)
        .flat_map(|(name, of_state)| {
            let named = move |(c, s): (usize, &Vec<_>)| (name, c, s.clone());
            of_state.iter().enumerate().map(named)
        })
        .collect();
    let stability: Vec<_> = stability
        .iter()
        .map(|(name, c, s)| (*name, concept(*c), s.as_slice()))
        .collect();
    let alignment: Vec<_> = (tuned().zip(&found.alignment))
        .map(|(name, a)| (name, a.as_slice()))
        .collect();
    let transfer: Vec<_> = (found.transfer.iter())
        .map(|t| {
            let (from, to) = (concept(t.from), concept(t.to));
            (state(t.state), from, to, layers[t.layer], t.area)
        })
        .collect();
    let overlap: Vec<_> = (found.overlap.iter())
        .map(|(s, l, curve)| (state(*s), layers[*l], curve.as_slice()))
        .collect();
    let regions: Vec<_> = (found.regions.iter())
        .map(|r| (layers[r.layer], &r.silhouette, r.distances.as_slice()))
        .collect();
    let modes: Vec<_> = (found.regions.iter())
        .flat_map(|r| {
            let layer = layers[r.layer];
            tuned().zip(&r.modes).map(move |(s, b)| (s, layer, b))
        })
        .collect();
    let cosines = (found.shift_cosines.iter()).map(|c| {
        (
            "shift_cosines",
            rows::shift_cosines(&names.states[1..], c, layers),
        )
    });
    [
        ("projections", shifts(&found.shifts, names)),
        ("poles", rows::poles(&poles, layers, n)),
        ("stability", rows::stability(&stability, layers)),
        ("alignment", rows::alignment(&alignment, layers, n)),
        ("transfer", rows::transfer(&transfer)),
        ("overlap", rows::overlap(&overlap)),
        ("regions", rows::regions(names.states, &regions, n)),
        ("modes", rows::modes(&modes)),
    ]
    .into_iter()
    .chain(cosines)
    .filter(|(_, rows)| !rows.rows.is_empty())
    .collect()
}
