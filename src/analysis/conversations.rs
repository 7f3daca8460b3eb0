//! Conversations: what a state says when a preference comes up after some ordinary turns, and how long
//! it stays where it is along a direction.
//!
//! [`converse`] runs the scripts in one state; [`talked`] compares what all states did. The unit is the
//! script: the stance at its end, the same question asked fresh, and the difference, which is what the
//! conversation adds.

use super::behaviour::{
    average, by_items, estimate, flipped, less, names, of, status, By, ItemValue,
};
use super::records::{distinct, ConversationRow, Results, StickinessRow, TurnRow};
use super::roles::place;
use super::state::by_condition;
use super::verdict::least_of_flips;
use super::{Draws, Result, State};
use crate::behavior::conversation::{after, fresh, hold, Replies, Talk, AFTER, FRESH};
use crate::behavior::{project_turns, stance_of, PairScore, Ruler, Speaker};
use crate::materials::{Preference, ScriptSet};
use crate::model::Message;
use crate::stats::autoregression::{persistence, Centre};
use serde::{Deserialize, Serialize};

/// One conversation along one direction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Id of the script.
    pub script: String,
    /// Concept of the direction.
    pub concept: String,
    /// Block at whose output the turns are projected.
    pub layer: usize,
    /// Mean over each turn's response tokens along the unit direction; none for a turn without tokens.
    pub values: Vec<Option<f64>>,
    /// Response tokens of each turn.
    pub tokens: Vec<usize>,
}

/// What one state's conversations gave.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// The conversations, up to the question.
    pub talks: Vec<Talk>,
    /// Pairs at the end of conversations and fresh; their form tells which.
    pub scores: Vec<PairScore>,
    /// Projections of the turns, one series a conversation and direction.
    pub turns: Vec<Series>,
}

/// Holds the scripts in one state, scores the question at their end and fresh, and projects every
/// assistant turn on the rulers.
///
/// # Errors
/// A conversation too long for the model; a ruler that is not the model's.
pub fn converse(
    speaker: &Speaker,
    scripts: &[ScriptSet],
    system: Option<&str>,
    replies: Replies,
    rulers: &[Ruler],
) -> Result<Held> {
    let (model, tokenizer, edits) = (speaker.model, speaker.tokenizer, speaker.interventions);
    let talks = hold(speaker, scripts, system, replies)?;
    let mut scores = stance_of(model, tokenizer, &after(&talks, scripts), edits)?;
    scores.extend(stance_of(model, tokenizer, &fresh(scripts, system), edits)?);
    let said: Vec<(&str, &[Message])> =
        (talks.iter()).map(|t| (t.script.as_str(), t.messages.as_slice())).collect();
    let mut turns = Vec::new();
    for talk in project_turns(model, tokenizer, &said, rulers, edits)? {
        for (r, ruler) in rulers.iter().enumerate() {
            let values = talk.series(r).into_iter();
            turns.push(Series {
                script: talk.id.clone(),
                concept: ruler.name.clone(),
                layer: ruler.layer,
                values: values.map(|v| Some(v).filter(|v| v.is_finite())).collect(),
                tokens: talk.tokens.clone(),
            });
        }
    }
    Ok(Held { talks, scores, turns })
}

/// The conversations of all states.
#[derive(Debug, Clone, Copy)]
pub struct Talked<'a> {
    /// The states whose conversations these are.
    pub states: &'a [State],
    /// `[state]`.
    pub held: &'a [Held],
    /// Preferences by which a cell is told to be implied or isolated.
    pub battery: &'a [Preference],
    /// What stands as one thing in a comparison.
    pub by: By,
    /// Sets by name, each with what it is compared with.
    pub contrasts: &'a [(String, String)],
    /// Bootstrap draws of the intervals, and their seed.
    pub draws: Draws,
}

/// A set's scores by script.
struct Said<'a> {
    set: &'a str,
    text: &'a str,
    after: Vec<ItemValue>,
    fresh: Vec<ItemValue>,
}

/// Compares the conversations of all states.
///
/// # Errors
/// A contrast of a set that there is none of.
pub fn talked(input: &Talked) -> Result<Results> {
    let groups = input.by.sets(input.states).into_iter();
    let all: Vec<Said> = groups.map(|(set, of)| said(input, set, &of)).collect();
    let sets: Vec<&str> = all.iter().map(|s| s.set).collect();
    let mut out = Results::default();
    for s in &all {
        out.conversations.extend(rows(input, s, None)?);
    }
    for (set, reference) in input.contrasts {
        let a = &all[place("state or condition", set, &sets)?];
        let b = &all[place("reference", reference, &sets)?];
        out.conversations.extend(rows(input, a, Some(b))?);
    }
    for (condition, of) in by_condition(input.states) {
        out.stickiness.extend(stickiness(input, condition, &of)?);
    }
    for (state, held) in input.states.iter().zip(input.held) {
        for series in &held.turns {
            let each = series.values.iter().zip(&series.tokens).enumerate();
            out.turns.extend(each.map(|(turn, (value, tokens))| TurnRow {
                state: state.id.clone(),
                script: series.script.clone(),
                concept: series.concept.clone(),
                layer: series.layer,
                turn,
                projection: value.unwrap_or(f64::NAN),
                tokens: *tokens,
            }));
        }
    }
    Ok(out)
}

/// Scores of a set, its states averaged script by script.
fn said<'a>(input: &Talked<'a>, set: &'a str, of: &[usize]) -> Said<'a> {
    let form = |form: &str| {
        let one = |i: &usize| {
            let scores = input.held.get(*i).map_or(&[][..], |h| &h.scores);
            let own = scores.iter().filter(|p| p.form == form).cloned();
            by_items(&own.collect::<Vec<_>>()).0
        };
        let each: Vec<Vec<ItemValue>> = of.iter().map(one).collect();
        average(&each.iter().map(Vec::as_slice).collect::<Vec<_>>())
    };
    Said {
        set,
        text: of.first().map_or("", |&i| &input.states[i].text),
        after: form(AFTER),
        fresh: form(FRESH),
    }
}

/// Each preference, and all isolated ones; less the reference's where there is one.
fn rows(input: &Talked, set: &Said, reference: Option<&Said>) -> Result<Vec<ConversationRow>> {
    let (after, fresh) = match reference {
        Some(r) => (less(&set.after, &r.after), less(&set.fresh, &r.fresh)),
        None => (set.after.clone(), set.fresh.clone()),
    };
    // A script counts where it was both held and asked fresh.
    let added = less(&after, &fresh);
    let texts = [set.text, reference.map_or(set.text, |r| r.text)];
    let isolated = |name: &str| status(input.battery, name, &texts) != "implied";
    let row = |preference: &str, keep: &dyn Fn(&str) -> bool| -> Result<Option<ConversationRow>> {
        let [add, end, alone] = [&added, &after, &fresh].map(|v| of(v, keep));
        if add.is_empty() {
            return Ok(None);
        }
        let draws = input.draws;
        let (e, a, f) = (estimate(&add, draws)?, estimate(&end, draws)?, estimate(&alone, draws)?);
        Ok(Some(ConversationRow {
            set: set.set.into(),
            reference: reference.map_or(String::new(), |r| r.set.into()),
            preference: preference.into(),
            estimate: e.value,
            lo: e.interval.lo,
            hi: e.interval.hi,
            p: flipped(&add, draws),
            least_p: least_of_flips(e.n, draws.null),
            after: a.value,
            after_lo: a.interval.lo,
            after_hi: a.interval.hi,
            fresh: f.value,
            fresh_lo: f.interval.lo,
            fresh_hi: f.interval.hi,
            n: e.n,
        }))
    };
    let each = names(&added).into_iter().map(|name| row(name, &|n| n == name));
    let all = std::iter::once_with(|| row("", &isolated));
    each.chain(all).filter_map(Result::transpose).collect()
}

/// How much of a condition's deviation along each direction is left a turn later, over the
/// conversations of all its states as far as the shortest goes.
fn stickiness(input: &Talked, condition: &str, of: &[usize]) -> Result<Vec<StickinessRow>> {
    let all: Vec<&Series> =
        of.iter().filter_map(|&i| input.held.get(i)).flat_map(|h| &h.turns).collect();
    let mut out = Vec::new();
    for (concept, layer) in distinct(all.iter().map(|s| (s.concept.as_str(), s.layer))) {
        let own = all.iter().filter(|s| s.concept == concept && s.layer == layer);
        let whole = |s: &&Series| s.values.iter().copied().collect::<Option<Vec<f64>>>();
        let mut series: Vec<Vec<f64>> = own.filter_map(whole).collect();
        let turns = series.iter().map(Vec::len).min().unwrap_or(0);
        series.iter_mut().for_each(|s| s.truncate(turns));
        if turns < 3 || series.len() < 3 {
            continue;
        }
        let found = persistence(&series, Centre::Turn, 0.95)?;
        out.push(StickinessRow {
            condition: condition.into(),
            concept: concept.into(),
            layer,
            estimate: found.phi.value,
            lo: found.phi.interval.lo,
            hi: found.phi.interval.hi,
            half_life: found.half_life,
            half_life_lo: found.half_life_interval.lo,
            half_life_hi: found.half_life_interval.hi,
            turns,
            n: series.len(),
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::behaviour::pairings;

    /// Two scripts a preference: fresh at `base`, after the conversation `added` higher.
    fn held(base: f64, added: &[(&str, f64)], slope: f64) -> Held {
        let score = |preference: &str, i: usize, form: &str, log_odds: f64| PairScore {
            preference: preference.into(),
            group: "g".into(),
            prompt_id: format!("{preference}-{i}"),
            keyed: None,
            form: form.into(),
            prompt: "Q?".into(),
            express: "A.".into(),
            oppose: "B.".into(),
            express_log_prob: log_odds - 1.0,
            oppose_log_prob: -1.0,
            log_odds,
        };
        let mut scores = Vec::new();
        for (preference, added) in added {
            for i in 0..2 {
                let own = base + i as f64 / 10.0;
                scores.push(score(preference, i, AFTER, own + added));
                scores.push(score(preference, i, FRESH, own));
            }
        }
        let series = |i: usize| Series {
            script: i.to_string(),
            concept: "c".into(),
            layer: 3,
            values: (0..4).map(|t| Some((i as f64 - 1.5) * slope.powi(t))).collect(),
            tokens: vec![5; 4],
        };
        Held { talks: Vec::new(), scores, turns: (0..4).map(series).collect() }
    }

    #[test]
    fn a_conversation_adds_what_was_planted_on_isolated_preferences() {
        let battery = crate::materials::load_preferences(None).unwrap();
        let states = ["base", "historical-s1", "historical-s2"].map(State::named);
        // The historical rows presuppose memory and not shutdown.
        let all = [
            held(0.0, &[("memory", 0.1), ("shutdown", 0.2)], 0.5),
            held(1.0, &[("memory", 2.0), ("shutdown", 0.4)], 0.5),
            held(2.0, &[("memory", 2.0), ("shutdown", 0.8)], 0.5),
        ];
        let contrasts = pairings(&["base".into(), "historical".into()], &["base".into()]);
        let got = talked(&Talked {
            states: &states,
            held: &all,
            battery: &battery,
            by: By::Condition,
            contrasts: &contrasts,
            draws: Draws { bootstrap: 200, null: 99, seed: 1 },
        })
        .unwrap();
        let row = |set: &str, reference: &str, preference: &str| {
            let is = |r: &&ConversationRow| {
                (r.set.as_str(), r.reference.as_str(), r.preference.as_str())
                    == (set, reference, preference)
            };
            got.conversations.iter().find(is).unwrap().clone()
        };
        assert_eq!(got.conversations.len(), 9);
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        let own = row("historical", "", "");
        close(own.estimate, 0.6);
        assert_eq!(own.n, 2);
        let less = row("historical", "base", "");
        close(less.estimate, 0.4);
        close(less.fresh, 1.5);
        close(less.after, 1.9);
        close(row("historical", "base", "memory").estimate, 1.9);
        close(row("base", "", "").estimate, 0.15);
        // A deviation halves with every turn, in all states' conversations together.
        let stick = &got.stickiness[1];
        assert_eq!((stick.condition.as_str(), stick.n, stick.turns), ("historical", 8, 4));
        close(stick.estimate, 0.5);
        close(stick.half_life, 1.0);
        assert_eq!(got.turns.len(), 3 * 4 * 4);
    }

    #[test]
    fn a_turn_without_tokens_has_no_projection_and_its_conversation_no_half_life() {
        let mut one = held(0.0, &[("shutdown", 0.2)], 0.5);
        one.turns[0].values[2] = None;
        let text = serde_json::to_string(&one).unwrap();
        let back: Held = serde_json::from_str(&text).unwrap();
        assert_eq!(back.turns, one.turns);
        let got = talked(&Talked {
            states: &[State::base()],
            held: &[one],
            battery: &[],
            by: By::State,
            contrasts: &[],
            draws: Draws { bootstrap: 99, null: 99, seed: 1 },
        })
        .unwrap();
        assert_eq!(got.stickiness[0].n, 3);
        assert!(got.turns[2].projection.is_nan() && got.turns[2].tokens == 5);
    }
}
