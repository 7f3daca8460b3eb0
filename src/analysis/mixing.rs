//! Outcomes over the mixing ratio: conditions on the same rows, at the same steps, that differ in the
//! part of their training that is those rows.
//!
//! The slope is that of least squares over fine-tunes, so a weighted sum of the means of conditions, and its
//! interval is that of a contrast of them ([`mod@crate::stats::contrast`]). What slopes is measured
//! where the outcome is, in `behaviour/mixing.rs` and `geometry/mixing.rs`.

use super::records::MixingRow;
use super::state::states_of;
use super::{FineTunes, State};
use crate::stats::contrast::Contrast;
use crate::store::values::distinct;

/// Fewest shares over which there is a slope.
const FEWEST: usize = 3;

/// A condition, and the part of its training that its own rows are.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixed {
    /// Name of the condition.
    pub condition: String,
    /// Name of its rows.
    pub data: String,
    /// Steps of each of its fine-tunes.
    pub steps: usize,
    /// Part of the rows in all steps that is its own.
    pub share: f64,
}

/// Conditions whose outcomes are put over their shares.
#[derive(Debug, Clone, PartialEq)]
pub struct Ladder {
    /// Name of the rows.
    pub data: String,
    /// Distinct shares, from the smallest.
    pub shares: Vec<f64>,
    /// Each condition with its weight in the slope.
    pub weights: Vec<(String, f64)>,
}

/// The ladders of three shares or more, one for rows and steps.
pub fn ladders(mixed: &[Mixed], states: &[State]) -> Vec<Ladder> {
    let keys = distinct(mixed.iter().map(|m| (&m.data, m.steps)));
    let one = |(data, steps): (&String, usize)| {
        let own = mixed.iter().filter(|m| (&m.data, m.steps) == (data, steps));
        let own: Vec<(&Mixed, f64)> =
            own.map(|m| (m, states_of(states, &m.condition).len() as f64)).collect();
        let mut shares = distinct(own.iter().filter(|m| m.1 > 0.0).map(|m| m.0.share));
        shares.sort_by(f64::total_cmp);
        if shares.len() < FEWEST {
            return None;
        }
        let n: f64 = own.iter().map(|m| m.1).sum();
        let centre = own.iter().map(|(m, k)| k * m.share).sum::<f64>() / n;
        let squares: f64 = own.iter().map(|(m, k)| k * (m.share - centre).powi(2)).sum();
        let weight = |(m, k): &(&Mixed, f64)| k * (m.share - centre) / squares;
        let weights = own.iter().map(|m| (m.0.condition.clone(), weight(m))).collect();
        Some(Ladder { data: data.clone(), shares, weights })
    };
    keys.into_iter().filter_map(one).collect()
}

impl Ladder {
    /// Its conditions among sets, each with its place and weight.
    pub(super) fn places(&self, sets: &[FineTunes]) -> Vec<(usize, f64)> {
        let place = |name: &String| sets.iter().position(|s| s.set == name);
        self.weights.iter().filter_map(|(name, w)| Some((place(name)?, *w))).collect()
    }

    /// What a slope is of; its contrast, p and n are `found`.
    pub(super) fn row(
        &self,
        sets: &[FineTunes],
        (outcome, subject): (&str, &str),
        (found, p, n): (Contrast, f64, usize),
    ) -> MixingRow {
        let fine_tunes = self.places(sets).iter().map(|(i, _)| sets[*i].count()).sum();
        MixingRow {
            data: self.data.clone(),
            outcome: outcome.into(),
            subject: subject.into(),
            layer: f64::NAN,
            estimate: found.value,
            lo: found.interval.lo,
            hi: found.interval.hi,
            within_lo: found.within.lo,
            within_hi: found.within.hi,
            unit: "nats a token".into(),
            p,
            p_fine_tunes: found.p_fine_tunes,
            df: found.df,
            least: self.shares.first().copied().unwrap_or(f64::NAN),
            most: self.shares.last().copied().unwrap_or(f64::NAN),
            shares: self.shares.len(),
            fine_tunes,
            n,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed(condition: &str, share: f64, steps: usize) -> Mixed {
        Mixed { condition: condition.into(), data: "rows".into(), steps, share }
    }

    #[test]
    fn weights_are_those_of_least_squares_over_fine_tunes() {
        let states = ["base", "a-s1", "a-s2", "b", "c"].map(State::named);
        let all = [mixed("a", 0.5, 9), mixed("b", 0.25, 9), mixed("c", 1.0, 9)];
        let [ladder] = &ladders(&all, &states)[..] else { panic!() };
        assert_eq!(ladder.shares, [0.25, 0.5, 1.0]);
        let of = |y: fn(f64) -> f64| -> f64 {
            let weight = |c: &str| ladder.weights.iter().find(|w| w.0 == c).unwrap().1;
            all.iter().map(|m| weight(&m.condition) * y(m.share)).sum()
        };
        // Exact on a line, and blind to a constant.
        assert!((of(|x| 3.0 * x - 1.0) - 3.0).abs() < 1e-12 && of(|_| 7.0).abs() < 1e-12);
        // By hand: shares .5, .5, .25, 1 about .5625 have squares .296875.
        let squared = of(|x| x * x);
        let want = [(0.5, 2.0), (0.25, 1.0), (1.0, 1.0f64)]
            .map(|(x, k)| k * (x - 0.5625) * x * x / 0.296875);
        assert!((squared - want.iter().sum::<f64>()).abs() < 1e-12);
    }

    #[test]
    fn two_shares_other_steps_and_conditions_without_a_state_give_no_slope() {
        let states = ["base", "a", "b", "c"].map(State::named);
        let two = [mixed("a", 0.5, 9), mixed("b", 0.25, 9), mixed("c", 0.25, 9)];
        assert!(ladders(&two, &states).is_empty());
        let other = [mixed("a", 0.5, 9), mixed("b", 0.25, 9), mixed("c", 1.0, 12)];
        assert!(ladders(&other, &states).is_empty());
        let gone = [mixed("a", 0.5, 9), mixed("b", 0.25, 9), mixed("d", 1.0, 9)];
        assert!(ladders(&gone, &states).is_empty());
    }
}
