//! Conversations: what a state says when a preference comes up after some ordinary turns, and how long
//! it stays where it is along a direction.
//!
//! [`converse`] runs the scripts in one state; [`talked`] compares what all states did. The unit is the
//! script: the stance at its end, the same question asked fresh, and the difference, which is what the
//! conversation adds.

use super::behaviour::{
    average, by_items, estimate, flipped, less, names, of, status, tested, By, ItemValue, Sides,
    Tested,
};
use super::records::{distinct, ConversationRow, Results, StickinessRow, TurnRow};
use super::roles::place;
use super::state::by_condition;
use super::verdict::least_of_flips;
use super::{Draws, FineTunes, Result, State};
use crate::behavior::conversation::{after, fresh, hold, Replies, Talk, AFTER, FRESH};
use crate::behavior::{project_turns, stance_of, PairScore, Ruler, Speaker};
use crate::materials::{Preference, ScriptSet};
use crate::model::Message;
use crate::stats::autoregression::{persistence, Centre};
use crate::stats::contrast::Contrast;
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

/// Scores by script: what the conversation adds, at its end, and fresh.
type Said = [Vec<ItemValue>; 3];

/// Of the states, and of the sets that they make.
struct All<'a> {
    states: Vec<Said>,
    sets: Vec<Said>,
    /// Of each set.
    fine_tunes: Vec<FineTunes<'a>>,
}

/// Compares the conversations of all states.
///
/// # Errors
/// A contrast of a set that there is none of.
pub fn talked(input: &Talked) -> Result<Results> {
    let fine_tunes = FineTunes::of(input.states, input.by.sets(input.states));
    let scores = |i: usize| input.held.get(i).map_or(&[][..], |h| &h.scores);
    let states: Vec<Said> = (0..input.states.len()).map(|i| said(scores(i))).collect();
    let sets = fine_tunes.iter().map(|set| {
        let [_, after, fresh] = [0, 1, 2].map(|part| {
            average(&set.states.iter().map(|&i| &states[i][part][..]).collect::<Vec<_>>())
        });
        with_added(after, fresh)
    });
    let all = All { sets: sets.collect(), states, fine_tunes };
    let names: Vec<&str> = all.fine_tunes.iter().map(|s| s.set).collect();
    let mut out = Results::default();
    for set in 0..names.len() {
        out.conversations.extend(rows(input, &all, set, None)?);
    }
    for (set, reference) in input.contrasts {
        let set = place("state or condition", set, &names)?;
        let reference = place("reference", reference, &names)?;
        out.conversations.extend(rows(input, &all, set, Some(reference))?);
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

/// Scores of one state.
fn said(scores: &[PairScore]) -> Said {
    let [after, fresh] = [AFTER, FRESH].map(|form| {
        let own = scores.iter().filter(|p| p.form == form).cloned();
        by_items(&own.collect::<Vec<_>>()).0
    });
    with_added(after, fresh)
}

/// A script counts where it was both held and asked fresh.
fn with_added(after: Vec<ItemValue>, fresh: Vec<ItemValue>) -> Said {
    [less(&after, &fresh), after, fresh]
}

/// Each preference, and all isolated ones; less the reference's where there is one.
fn rows(
    input: &Talked,
    all: &All,
    set: usize,
    reference: Option<usize>,
) -> Result<Vec<ConversationRow>> {
    let own = &all.sets[set];
    let values = match reference.map(|r| &all.sets[r]) {
        Some(r) => with_added(less(&own[1], &r[1]), less(&own[2], &r[2])),
        None => own.clone(),
    };
    let text = |set: usize| {
        all.fine_tunes[set].states.first().map_or("", |&i| input.states[i].text.as_str())
    };
    let texts = [text(set), text(reference.unwrap_or(set))];
    let isolated = |name: &str| status(input.battery, name, &texts) != "implied";
    let sides: Vec<(&FineTunes, f64)> =
        [Some(set), reference].into_iter().flatten().map(|s| (&all.fine_tunes[s], 1.0)).collect();
    let row = |preference: &str, keep: &dyn Fn(&str) -> bool| -> Result<Option<ConversationRow>> {
        if of(&values[0], keep).is_empty() {
            return Ok(None);
        }
        let one = |part: usize| {
            let kept = || values[part].iter().filter(|v| keep(&v.preference));
            let each = |i: usize| &all.states[i][part][..];
            match reference {
                Some(_) => {
                    let sides = Sides { sides: &sides, all: &all.fine_tunes, each: &each };
                    Ok(tested(&kept().collect::<Vec<_>>(), sides, input.draws))
                }
                None => alone(&kept().map(|v| v.value).collect::<Vec<_>>(), input.draws),
            }
        };
        let [Tested { found: e, p, n }, after, fresh] = [one(0)?, one(1)?, one(2)?];
        let (a, f) = (after.found, fresh.found);
        Ok(Some(ConversationRow {
            set: all.fine_tunes[set].set.into(),
            reference: reference.map_or("", |r| all.fine_tunes[r].set).into(),
            preference: preference.into(),
            estimate: e.value,
            lo: e.interval.lo,
            hi: e.interval.hi,
            within_lo: e.within.lo,
            within_hi: e.within.hi,
            p,
            p_fine_tunes: e.p_fine_tunes,
            least_p: least_of_flips(n, input.draws.null),
            after: a.value,
            after_lo: a.interval.lo,
            after_hi: a.interval.hi,
            fresh: f.value,
            fresh_lo: f.interval.lo,
            fresh_hi: f.interval.hi,
            df: e.df,
            fine_tunes: all.fine_tunes[set].count(),
            reference_fine_tunes: reference.map_or(0, |r| all.fine_tunes[r].count()),
            n,
        }))
    };
    let each = names(&values[0]).into_iter().map(|name| row(name, &|n| n == name));
    let all = std::iter::once_with(|| row("", &isolated));
    each.chain(all).filter_map(Result::transpose).collect()
}

/// A set by itself: its fine-tunes as they are.
fn alone(values: &[f64], draws: Draws) -> Result<Tested> {
    let e = estimate(values, draws)?;
    let found = Contrast {
        value: e.value,
        within: e.interval,
        interval: e.interval,
        df: 0,
        p_fine_tunes: f64::NAN,
    };
    Ok(Tested { found, p: flipped(values, draws), n: e.n })
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
    use crate::stats::replicates::t_quantile;

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
        // Shutdown alone is isolated: .4 and .8 of two fine-tunes, in any of the scripts.
        assert_eq!((less.df, less.fine_tunes, less.reference_fine_tunes), (1, 2, 0));
        close(less.within_hi - less.within_lo, 0.0);
        close(less.hi - less.estimate, t_quantile(1.0, 0.95) * 0.2);
        assert_eq!((own.df, own.lo), (0, own.within_lo));
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
