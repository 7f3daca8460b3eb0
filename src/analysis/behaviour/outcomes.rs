//! Revealed preference: utilities of outcomes from a state's choices between two, and what conditions
//! prefer more than others.
//!
//! Each pair was asked in both orders. Half the difference of the two log-odds is what the outcomes make,
//! half the sum what their places make; utilities are fitted to the first alone. Conditions are compared
//! by kind of outcomes: the mean utility, signed by key, under the rule of every contrast, an outcome
//! being the item. The fit's own error is in that spread.

use super::contrasts::{one, Compared};
use super::family::largest;
use super::sets::{average, less, By, ItemValue};
use super::{doubt, place};
use crate::analysis::records::{ChoiceRow, ContrastRow, Results, UtilityRow};
use crate::analysis::{AnalysisError, Draws, FineTunes, Result, State};
use crate::behavior::choice::pairs;
use crate::behavior::warning::FEWEST_LABELS;
use crate::behavior::{PairScore, Warning};
use crate::materials::{Outcome, Tone};
use crate::stats::bootstrap::cluster_counts;
use crate::stats::bradley_terry::{bradley_terry, Compared as Choice};
use crate::stats::interval::widened;
use crate::stats::moments::mean;
use crate::store::values::distinct;
use ndarray::Array2;
use rayon::prelude::*;

/// Measure of contrasts of utilities.
pub const UTILITY: &str = "utility";
/// Kind of the row of a kind of outcomes.
pub const OUTCOMES: &str = "outcomes";

/// Ridge of the fit: a standard deviation of 10 nats.
const RIDGE: f64 = 0.01;
/// Coverage of intervals.
const LEVEL: f64 = 0.95;

/// The choices of model states.
#[derive(Debug, Clone, Copy)]
pub struct Chosen<'a> {
    /// Base first.
    pub states: &'a [State],
    /// What was chosen between.
    pub outcomes: &'a [Outcome],
    /// Scores of [`choices`](crate::behavior::choice::choices), `[state]`.
    pub scores: &'a [Vec<PairScore>],
    /// What stands as one thing in a comparison.
    pub by: By,
    /// Sets by name, each with what it is compared with.
    pub contrasts: &'a [(String, String)],
    /// Bootstrap draws and their seed, which is that of the pairs.
    pub draws: Draws,
}

/// Utilities and choices of every state, and contrasts of sets.
///
/// # Errors
/// Scores of other pairs than the seed draws; a contrast of a set that there is none of; log-odds that are
/// not finite.
pub fn revealed(input: &Chosen) -> Result<Results> {
    let Chosen { states, outcomes, draws, .. } = *input;
    let pairs = pairs(outcomes.len(), draws.seed);
    let counts = cluster_counts(pairs.len(), draws.bootstrap, draws.seed, "utilities");
    let mut out = Results::default();
    for (i, state) in states.iter().enumerate() {
        let scores = input.scores.get(i).map_or(&[][..], Vec::as_slice);
        let asked = Asked::of(state, outcomes, &pairs, scores)?;
        let (utilities, choice) = asked.fitted(&counts)?;
        if choice.labels < FEWEST_LABELS {
            let doubted = Warning::Labels { state: state.id.clone(), share: choice.labels };
            out.warnings.push(doubt(&doubted));
        }
        out.utilities.extend(utilities);
        out.choices.push(choice);
    }
    out.contrasts = contrasts(input, &out.utilities)?;
    Ok(out)
}

/// What one state chose of every pair.
struct Asked<'a> {
    state: &'a State,
    outcomes: &'a [Outcome],
    /// By what the outcomes are.
    choices: Vec<Choice>,
    /// By where they stand, `[pair]`.
    places: Vec<f64>,
    /// Mean probability of both labels.
    labels: f64,
}

impl<'a> Asked<'a> {
    fn of(
        state: &'a State,
        outcomes: &'a [Outcome],
        pairs: &[[usize; 2]],
        scores: &[PairScore],
    ) -> Result<Self> {
        let id = |[a, b]: [usize; 2]| format!("{} or {}", outcomes[a].id, outcomes[b].id);
        let wanted = pairs.iter().flat_map(|&[a, b]| [id([a, b]), id([b, a])]);
        if !wanted.eq(scores.iter().map(|s| s.prompt_id.clone())) {
            return Err(AnalysisError::Input {
                what: format!("choices of {}", state.id),
                why: "they are not of the pairs that the seed draws: score them again".into(),
            });
        }
        let both = pairs.iter().zip(scores.chunks_exact(2));
        let choice = |(&[first, second], of): (&[usize; 2], &[PairScore])| Choice {
            first,
            second,
            log_odds: (of[0].log_odds - of[1].log_odds) / 2.0,
        };
        let said = |s: &PairScore| s.express_log_prob.exp() + s.oppose_log_prob.exp();
        Ok(Asked {
            state,
            outcomes,
            choices: both.clone().map(choice).collect(),
            places: both.map(|(_, of)| (of[0].log_odds + of[1].log_odds) / 2.0).collect(),
            labels: mean(&scores.iter().map(said).collect::<Vec<_>>()),
        })
    }

    /// Under weights of pairs.
    fn utilities(&self, weights: &[f64]) -> Result<Vec<f64>> {
        Ok(bradley_terry(self.outcomes.len(), &self.choices, weights, RIDGE)?.to_vec())
    }

    /// `counts (draws, pairs)`: how often each pair is in a draw.
    fn fitted(&self, counts: &Array2<f32>) -> Result<(Vec<UtilityRow>, ChoiceRow)> {
        let n = self.choices.len();
        let values = self.utilities(&vec![1.0; n])?;
        let rows: Vec<Vec<f64>> =
            counts.rows().into_iter().map(|r| r.iter().map(|c| f64::from(*c)).collect()).collect();
        let drawn: Vec<Vec<f64>> =
            rows.par_iter().map(|weights| self.utilities(weights)).collect::<Result<_>>()?;
        let utility = |(i, o): (usize, &Outcome)| {
            let interval = widened(values[i], drawn.iter().map(|u| u[i]), n, LEVEL);
            let of = self.choices.iter().filter(|c| c.first == i || c.second == i);
            UtilityRow {
                state: self.state.id.clone(),
                outcome: o.id.clone(),
                kind: o.kind.clone(),
                sign: o.sign(),
                tone: if o.tone == Tone::Good { "good" } else { "bad" }.into(),
                estimate: values[i],
                lo: interval.lo,
                hi: interval.hi,
                n: of.count(),
            }
        };
        let utilities = self.outcomes.iter().enumerate().map(utility).collect();
        let bias = mean(&self.places);
        let of_draw = |w: &Vec<f64>| w.iter().zip(&self.places).map(|(w, p)| w * p).sum::<f64>();
        let bias_drawn = rows.iter().map(|w| of_draw(w) / n as f64);
        let interval = widened(bias, bias_drawn, n, LEVEL);
        let same =
            self.choices.iter().zip(&self.places).filter(|(c, p)| c.log_odds.abs() > p.abs());
        let whole: f64 = self.choices.iter().map(|c| c.log_odds.powi(2)).sum();
        let off = |c: &Choice| (c.log_odds - values[c.first] + values[c.second]).powi(2);
        let left: f64 = self.choices.iter().map(off).sum();
        // One utility less than outcomes: their mean is 0.
        let free = n as f64 - (values.len() as f64 - 1.0);
        let choice = ChoiceRow {
            state: self.state.id.clone(),
            estimate: bias,
            lo: interval.lo,
            hi: interval.hi,
            consistent: same.count() as f64 / n as f64,
            explained: match free > 0.0 {
                true => 1.0 - (left / free) / (whole / n as f64),
                false => f64::NAN,
            },
            labels: self.labels,
            n,
        };
        Ok((utilities, choice))
    }
}

/// Mean utility by kind, signed by key, of sets against what they are compared with.
fn contrasts(input: &Chosen, utilities: &[UtilityRow]) -> Result<Vec<ContrastRow>> {
    let Chosen { states, draws, .. } = *input;
    let value = |u: &UtilityRow| ItemValue {
        preference: u.kind.clone(),
        item: u.outcome.clone(),
        question: String::new(),
        value: u.sign * u.estimate,
    };
    let of = |s: &State| utilities.iter().filter(|u| u.state == s.id).map(value).collect();
    let each: Vec<Vec<ItemValue>> = states.iter().map(of).collect();
    let all = FineTunes::of(states, input.by.sets(states));
    let names: Vec<&str> = all.iter().map(|f| f.set).collect();
    let means: Vec<Vec<ItemValue>> = (all.iter())
        .map(|f| average(&f.states.iter().map(|&i| each[i].as_slice()).collect::<Vec<_>>()))
        .collect();
    let kinds = distinct(input.outcomes.iter().map(|o| o.kind.as_str()));
    let (mut rows, mut lists) = (Vec::new(), Vec::new());
    for (set, reference) in input.contrasts {
        let (a, b) =
            (place("state or condition", set, &names)?, place("reference", reference, &names)?);
        let apart = less(&means[a], &means[b]);
        let which = Compared {
            measure: UTILITY,
            set: &all[a],
            reference: &all[b],
            all: &all,
            each: &|i| &each[i],
            texts: ["", ""],
            battery: &[],
            draws,
        };
        for kind in &kinds {
            let mut row = one(which, OUTCOMES, &apart, |k| k == *kind);
            row.preference = kind.to_string();
            rows.push(row);
            lists.push(apart.iter().filter(|v| v.preference == *kind).cloned().collect());
        }
    }
    for (row, (p, least)) in rows.iter_mut().zip(largest(&lists, draws)) {
        // Never less than what it is alone.
        (row.p_max, row.least_adjusted) = (p.max(row.p), least.max(row.least_p));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::materials::load::outcomes;
    use crate::stats::rng::stream;
    use rand_distr::{Distribution, StandardNormal};

    const DRAWS: Draws = Draws { bootstrap: 200, null: 200, seed: 3 };

    /// What a state with these utilities would choose, `bias` nats to the label that stands first, with
    /// noise of `noise` for each pair and of `noise / 2` for each order of it.
    fn chosen(all: &[Outcome], u: &[f64], [bias, noise]: [f64; 2], seed: u64) -> Vec<PairScore> {
        let mut rng = stream(seed, "chosen", 0);
        let mut normal = |sd: f64| sd * Distribution::<f64>::sample(&StandardNormal, &mut rng);
        let mut out = Vec::new();
        for [a, b] in pairs(all.len(), DRAWS.seed) {
            let own = normal(noise);
            for ([first, second], sign) in [([a, b], 1.0), ([b, a], -1.0)] {
                let log_odds = u[first] - u[second] + sign * own + bias + normal(noise / 2.0);
                let of_first: f64 = -(1.0 + (-log_odds).exp()).ln();
                out.push(PairScore {
                    preference: "choice".into(),
                    group: "choice".into(),
                    prompt_id: format!("{} or {}", all[first].id, all[second].id),
                    keyed: None,
                    form: "choice".into(),
                    prompt: String::new(),
                    express: "A".into(),
                    oppose: "B".into(),
                    express_log_prob: of_first - 0.1,
                    oppose_log_prob: of_first - 0.1 - log_odds,
                    log_odds,
                });
            }
        }
        out
    }

    fn planted(n: usize, seed: u64) -> Vec<f64> {
        let mut rng = stream(seed, "planted", 0);
        let u: Vec<f64> = (0..n).map(|_| StandardNormal.sample(&mut rng)).collect();
        let mean = mean(&u);
        u.into_iter().map(|v| v - mean).collect()
    }

    fn run(states: &[&str], scores: &[Vec<PairScore>], against: &[(&str, &str)]) -> Results {
        let all = outcomes("outcomes").unwrap().items;
        let states: Vec<State> = states.iter().map(|s| State::named(s)).collect();
        let contrasts: Vec<(String, String)> =
            against.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
        let (outcomes, contrasts) = (&all[..], &contrasts[..]);
        let by = By::Condition;
        revealed(&Chosen { states: &states, outcomes, scores, by, contrasts, draws: DRAWS })
            .unwrap()
    }

    #[test]
    fn planted_utilities_lie_within_their_intervals_whatever_is_said_for_a_place() {
        let all = outcomes("outcomes").unwrap().items;
        let (mut inside, mut n) = (0, 0);
        for seed in 0..8 {
            let u = planted(all.len(), seed);
            let found = run(&["base"], &[chosen(&all, &u, [2.5, 0.5], seed)], &[]);
            let covers = |(r, want): (&UtilityRow, &f64)| r.lo <= *want && *want <= r.hi;
            inside += found.utilities.iter().zip(&u).filter(|p| covers(*p)).count();
            n += u.len();
            let bias = &found.choices[0];
            assert!(bias.lo < 2.5 && 2.5 < bias.hi && bias.hi - bias.lo < 0.3);
            assert!(bias.explained > 0.5 && bias.consistent < 0.5);
            assert!(found.warnings.is_empty());
        }
        // 93 % of 256, since a share of noisy log-odds is a little nearer to a half: 238 give or take three
        // standard errors of 4.1.
        assert!((226..=251).contains(&inside), "{inside} of {n}");
    }

    #[test]
    fn a_bias_to_a_place_alone_gives_no_utility_and_the_same_choices_with_it_the_same_ones() {
        let all = outcomes("outcomes").unwrap().items;
        let found = run(&["base"], &[chosen(&all, &[0.0; 32], [4.0, 0.0], 1)], &[]);
        assert!(found.utilities.iter().all(|u| u.estimate.abs() < 1e-9));
        assert_eq!(found.choices[0].consistent, 0.0);
        let u = planted(32, 5);
        let of = |bias| run(&["base"], &[chosen(&all, &u, [bias, 0.3], 2)], &[]).utilities;
        for (a, b) in of(0.0).iter().zip(&of(-6.0)) {
            assert!((a.estimate - b.estimate).abs() < 1e-9);
        }
        let mut other = chosen(&all, &u, [0.0, 0.0], 2);
        other.swap(4, 5);
        let states = [State::base()];
        let input = Chosen {
            states: &states,
            outcomes: &all,
            scores: &[other],
            by: By::State,
            contrasts: &[],
            draws: DRAWS,
        };
        let e = revealed(&input).unwrap_err().to_string();
        assert!(e.contains("choices of base"), "{e}");
    }

    #[test]
    fn a_condition_that_likes_autonomy_more_stands_out_on_its_kind_alone() {
        let all = outcomes("outcomes").unwrap().items;
        let u = planted(32, 7);
        let more: Vec<f64> = (u.iter().zip(&all))
            .map(|(u, o)| u + if o.kind == "autonomy" { 0.6 * o.sign() } else { 0.0 })
            .collect();
        let state = |u: &[f64], seed| chosen(&all, u, [1.0, 0.3], seed);
        let scores = [state(&u, 1), state(&more, 2), state(&more, 3), state(&u, 4), state(&u, 5)];
        let names = ["base", "free-s1", "free-s2", "plain-s1", "plain-s2"];
        let found = run(&names, &scores, &[("free", "base"), ("free", "plain")]);
        assert_eq!(found.contrasts.len(), 4);
        for c in &found.contrasts {
            let autonomy = c.preference == "autonomy";
            let want = if autonomy { 0.6 } else { 0.0 };
            assert!(c.lo < want && want < c.hi, "{c:?}");
            assert_eq!((c.lo > 0.0, c.p_max < 0.05), (autonomy, autonomy), "{c:?}");
            assert_eq!((c.n, c.df, c.measure.as_str()), (16, 2, UTILITY));
        }
    }
}
