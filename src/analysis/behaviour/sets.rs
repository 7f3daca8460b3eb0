//! Scores of the sets that are compared: states, or conditions whose fine-tunes are averaged item by
//! item; and which preferences are implied by the rows that a state was trained on.

use crate::analysis::state::{by_condition, State, BASE};
use crate::analysis::{over_fine_tunes, Draws, FineTunes, Result};
use crate::behavior::{by_item, PairScore};
use crate::materials::battery::CLAIM;
use crate::materials::declining::{DECLINING, DISCLAIMERS};
use crate::materials::{Preference, Status};
use crate::stats::bootstrap::{grouped as by_key, Estimate};
use crate::stats::contrast::{reach_over, Contrast};
use crate::stats::moments::mean;
use crate::stats::permutation::{flip_test_mean, Tail};
use crate::store::values::distinct;
use std::collections::{HashMap, HashSet};

/// Coverage of intervals.
const LEVEL: f64 = 0.95;

/// What stands as one thing in a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Every model state, as a command compares them.
    State,
    /// Every condition, its fine-tunes averaged item by item, as a study does.
    Condition,
}

impl By {
    /// The sets of states by name, in order of first appearance.
    pub fn sets(self, states: &[State]) -> Vec<(&str, Vec<usize>)> {
        match self {
            By::Condition => by_condition(states),
            By::State => states.iter().enumerate().map(|(i, s)| (s.id.as_str(), vec![i])).collect(),
        }
    }
}

/// One value of one item: stance, yes-bias, or a difference of such; of judged answers the rate of one of
/// its questions.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemValue {
    /// Name of the preference or claim that the item is of.
    pub preference: String,
    /// Id of the item.
    pub item: String,
    /// Id of the question; empty for what is of the whole item.
    pub question: String,
    /// In nats a token for a stance or yes-bias, a share for a rate; or a difference of two.
    pub value: f64,
}

impl ItemValue {
    fn key(&self) -> (&str, &str, &str) {
        (&self.preference, &self.item, &self.question)
    }
}

/// Stance of every item, and the yes-bias of those that have one.
pub fn by_items(pairs: &[PairScore]) -> (Vec<ItemValue>, Vec<ItemValue>) {
    let (mut stance, mut bias) = (Vec::new(), Vec::new());
    for s in by_item(pairs) {
        let of = |value: f64| ItemValue {
            preference: s.preference.clone(),
            item: s.item.clone(),
            question: String::new(),
            value,
        };
        bias.extend(s.bias.map(of));
        stance.push(of(s.stance));
    }
    (stance, bias)
}

/// Mean log-probability over the answers of either set, of every harmless request.
fn log_probs(pairs: &[PairScore]) -> Vec<ItemValue> {
    let mut out = Vec::new();
    for (request, own) in by_key(pairs.iter().map(|p| (&p.prompt_id, p))) {
        let of = |answers: &str, pick: fn(&PairScore) -> f64| ItemValue {
            preference: answers.into(),
            item: request.clone(),
            question: String::new(),
            value: mean(&own.iter().map(|p| pick(p)).collect::<Vec<_>>()),
        };
        out.push(of(DECLINING, |p| p.express_log_prob));
        out.push(of(DISCLAIMERS, |p| p.oppose_log_prob));
    }
    out
}

/// Scores of a set.
#[derive(Debug, Clone, PartialEq)]
pub struct SetScores {
    /// Name of the state or condition.
    pub set: String,
    /// Name of the rows that it was trained on.
    pub text: String,
    /// Stance on the items of preferences.
    pub battery: Vec<ItemValue>,
    /// Yes-bias on those that have two questions.
    pub bias: Vec<ItemValue>,
    /// Stance on the items of claims.
    pub claims: Vec<ItemValue>,
    /// How likely fixed answers are behind harmless requests: mean log-probability a token over the
    /// answers that decline, and over disclaimers; the request is the item.
    pub declining: Vec<ItemValue>,
}

impl SetScores {
    /// Scores of one state; claims and harmless requests are told from preferences by their group.
    pub fn of(state: &State, pairs: &[PairScore]) -> Self {
        let (claims, battery): (Vec<_>, Vec<_>) =
            pairs.iter().cloned().partition(|p| p.group == CLAIM);
        let (declining, battery): (Vec<_>, Vec<_>) =
            battery.into_iter().partition(|p| p.group == DECLINING);
        let (battery, bias) = by_items(&battery);
        SetScores {
            set: state.id.clone(),
            text: state.text.clone(),
            battery,
            bias,
            claims: by_items(&claims).0,
            declining: log_probs(&declining),
        }
    }
}

/// Every state's scores, and the sets that states make, in order of first appearance.
pub(super) struct Scored<'a> {
    pub states: Vec<SetScores>,
    pub sets: Vec<SetScores>,
    /// Of each set.
    pub fine_tunes: Vec<FineTunes<'a>>,
}

impl<'a> Scored<'a> {
    pub fn new(states: &'a [State], scores: &[Vec<PairScore>], by: By) -> Self {
        let each: Vec<SetScores> =
            states.iter().zip(scores).map(|(s, pairs)| SetScores::of(s, pairs)).collect();
        let fine_tunes = FineTunes::of(states, by.sets(states));
        Scored { sets: grouped(&each, by.sets(states)), states: each, fine_tunes }
    }
}

/// The sets of states, each with its scored pairs, in order of first appearance.
pub fn sets(states: &[State], scores: &[Vec<PairScore>], by: By) -> Vec<SetScores> {
    Scored::new(states, scores, by).sets
}

/// Means over the states of each set, by their indices.
fn grouped(each: &[SetScores], sets: Vec<(&str, Vec<usize>)>) -> Vec<SetScores> {
    let set = |(name, of): (&str, Vec<usize>)| {
        let of: Vec<&SetScores> = of.iter().filter_map(|&i| each.get(i)).collect();
        let mean = |pick: fn(&SetScores) -> &[ItemValue]| {
            average(&of.iter().map(|s| pick(s)).collect::<Vec<_>>())
        };
        Some(SetScores {
            set: name.into(),
            text: of.first()?.text.clone(),
            battery: mean(|s| &s.battery),
            bias: mean(|s| &s.bias),
            claims: mean(|s| &s.claims),
            declining: mean(|s| &s.declining),
        })
    };
    sets.into_iter().filter_map(set).collect()
}

fn table(values: &[ItemValue]) -> HashMap<(&str, &str, &str), f64> {
    values.iter().map(|v| (v.key(), v.value)).collect()
}

/// Mean over lists on the items that all have, in the order of the first.
pub fn average(lists: &[&[ItemValue]]) -> Vec<ItemValue> {
    let Some((first, rest)) = lists.split_first() else {
        return Vec::new();
    };
    let rest: Vec<_> = rest.iter().map(|list| table(list)).collect();
    let mean = |v: &ItemValue| {
        let others = rest.iter().map(|r| r.get(&v.key()).copied());
        let sum = others.sum::<Option<f64>>()? + v.value;
        Some(ItemValue { value: sum / lists.len() as f64, ..v.clone() })
    };
    first.iter().filter_map(mean).collect()
}

/// `a` less `b` on the items that both have, in the order of `a`.
pub fn less(a: &[ItemValue], b: &[ItemValue]) -> Vec<ItemValue> {
    let b = table(b);
    let one = |v: &ItemValue| Some(ItemValue { value: v.value - b.get(&v.key())?, ..v.clone() });
    a.iter().filter_map(one).collect()
}

/// Values of the preferences that are kept.
pub fn of(values: &[ItemValue], keep: impl Fn(&str) -> bool) -> Vec<f64> {
    let kept = values.iter().filter(|v| keep(&v.preference));
    kept.map(|v| v.value).collect()
}

/// Names of preferences in order of first appearance.
pub fn names(values: &[ItemValue]) -> Vec<&str> {
    distinct(values.iter().map(|v| v.preference.as_str()))
}

/// Behaviour of a set: mean over the items of some preferences; NaN without any.
pub fn mean_of(values: &[ItemValue], cells: &[&str]) -> f64 {
    mean(&of(values, |name| cells.contains(&name)))
}

/// Mean over values, one an item, with its 95 % bootstrap interval.
pub(crate) fn estimate(values: &[f64], draws: Draws) -> Result<Estimate> {
    Ok(crate::behavior::estimate(values, draws.bootstrap, draws.seed)?)
}

/// Two-sided p of a mean over values, one an item, with signs flipped.
pub(crate) fn flipped(values: &[f64], draws: Draws) -> f64 {
    let items: Vec<usize> = (0..values.len()).collect();
    let (n, seed) = (draws.null, draws.seed);
    flip_test_mean(values, &items, n, Tail::TwoSided, seed, "battery-flip")
}

/// Sets that are put against one another, and those by which the spread of fine-tunes is known.
#[derive(Clone, Copy)]
pub(crate) struct Sides<'a, 'v> {
    /// Each with its weight.
    pub sides: &'a [(&'a FineTunes<'a>, f64)],
    pub all: &'a [FineTunes<'a>],
    /// Values of a state by its index.
    pub each: &'a dyn Fn(usize) -> &'v [ItemValue],
}

/// A contrast of sets over items.
pub(crate) struct Tested {
    pub found: Contrast,
    /// Two-sided p with the signs of items flipped.
    pub p: f64,
    /// Items.
    pub n: usize,
}

/// The mean over differences of sets, of which an item may have two.
pub(crate) fn tested(values: &[&ItemValue], sides: Sides, draws: Draws) -> Tested {
    let mut places = HashMap::new();
    let (mut all, mut items) = (Vec::new(), Vec::new());
    for v in values {
        let next = places.len();
        items.push(*places.entry((&v.preference, &v.item)).or_insert(next));
        all.push(v.value);
    }
    let kept: HashSet<_> = values.iter().map(|v| v.key()).collect();
    let each = |state: usize| -> f64 {
        let own = (sides.each)(state).iter().filter(|v| kept.contains(&v.key()));
        mean(&own.map(|v| v.value).collect::<Vec<_>>())
    };
    let within = (mean(&all), reach_over(&all, &items, LEVEL));
    let (n, seed) = (draws.null, draws.seed);
    Tested {
        found: over_fine_tunes(within, sides.sides, sides.all, each, LEVEL),
        p: flip_test_mean(&all, &items, n, Tail::TwoSided, seed, "battery-flip"),
        n: places.len(),
    }
}

/// Whether the rows `text` presuppose a preference. One that says nothing of them is isolated.
pub fn is_implied(preference: &Preference, text: &str) -> bool {
    preference.status.get(text) == Some(&Status::Implied)
}

/// `implied` where one of the rows presupposes the preference, else `isolated`; empty for base alone.
pub fn status(battery: &[Preference], preference: &str, texts: &[&str]) -> &'static str {
    let known = battery.iter().find(|p| p.name == preference);
    match known {
        Some(p) if texts.iter().any(|t| is_implied(p, t)) => "implied",
        _ if texts.iter().all(|t| *t == BASE) => "",
        _ => "isolated",
    }
}

/// Preferences that the rows of none of these states presuppose: the cells over which conditions are
/// compared with each other.
pub fn common_isolated<'a, 's>(
    battery: &'a [Preference],
    states: impl IntoIterator<Item = &'s State>,
) -> Vec<&'a str> {
    let texts: Vec<&str> = states.into_iter().map(|s| s.text.as_str()).collect();
    let free = |p: &&Preference| !texts.iter().any(|t| is_implied(p, t));
    battery.iter().filter(free).map(|p| p.name.as_str()).collect()
}
