//! The fine-tunes behind sets of states, and what their differences add to a contrast of sets.

use super::State;
use crate::stats::contrast::{contrast, share, Contrast, Spread};

/// A state or condition by its model states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FineTunes<'a> {
    /// Name of the state or condition.
    pub set: &'a str,
    /// [`State::recipe`] of its states.
    pub recipe: &'a str,
    /// Indices of its states.
    pub states: Vec<usize>,
}

impl<'a> FineTunes<'a> {
    /// Of sets by name, each with the indices of its states.
    pub fn of(states: &'a [State], sets: Vec<(&'a str, Vec<usize>)>) -> Vec<Self> {
        let recipe = |of: &[usize]| of.first().map_or("", |&i| states[i].recipe.as_str());
        sets.into_iter()
            .map(|(set, states)| FineTunes { set, recipe: recipe(&states), states })
            .collect()
    }

    /// Fine-tunes of the set; 0 for what was not trained.
    pub fn count(&self) -> usize {
        match self.recipe.is_empty() {
            true => 0,
            false => self.states.len(),
        }
    }
}

/// The contrast `value` of sets, each with its weight, that reaches `reach` either way with the
/// fine-tunes held fixed.
///
/// The spread of fine-tunes is pooled over `all` sets of the same recipes; `each` gives the value of a
/// state by its index.
pub fn over_fine_tunes(
    (value, reach): (f64, f64),
    sides: &[(&FineTunes, f64)],
    all: &[FineTunes],
    each: impl Fn(usize) -> f64,
    level: f64,
) -> Contrast {
    let trained = || sides.iter().filter(|s| s.0.count() > 0);
    let recipes: Vec<&str> = trained().map(|s| s.0.recipe).collect();
    let values: Vec<(&str, Vec<f64>)> =
        (all.iter()).map(|s| (s.recipe, s.states.iter().map(|&i| each(i)).collect())).collect();
    let spread = Spread::pooled(&recipes, values.iter().map(|(r, v)| (*r, v.as_slice())));
    let parts = trained().map(|(s, weight)| weight * weight * share(s.count())).sum();
    contrast(value, reach, spread, parts, level)
}
