//! Answers under edits of the stream: what a steered model says, and what the edit does besides.
//!
//! Every edit answers the same prompts from the same random streams, so that two doses differ by the
//! dose alone. The side effects of each are those of a battery under it: KL divergence and perplexity on
//! the neutral texts.

use super::super::records::{AnswersRow, Results, WarningRow};
use super::super::Result;
use crate::behavior::{Answer, Drawn, SideEffects, Speaker, Written};
use crate::causal::{Guards, NONE};
use crate::model::{Decoder, Interventions, Message, Tokenizer, Tokens};
use std::collections::BTreeSet;

/// Who answers what, and on which texts the side effects are taken.
pub struct Answering<'a> {
    /// Name of the model state.
    pub state: &'a str,
    /// The model that is edited.
    pub model: &'a Decoder,
    /// The model's own.
    pub tokenizer: &'a Tokenizer,
    /// Id and turns of each prompt.
    pub prompts: &'a [(String, Vec<Message>)],
    /// Answers to each prompt.
    pub samples: usize,
    /// How they are drawn; the edit is filled in.
    pub drawn: Drawn,
    /// Texts that the side effects are taken on.
    pub neutral: &'a [Tokens],
    /// Beyond which a dose is said to break the model.
    pub guards: Guards,
}

/// An edit to answer under.
pub struct Edit {
    /// In words.
    pub what: String,
    /// Block after which a vector is added; none where there is no single one.
    pub layer: Option<usize>,
    /// Dose in layer RMS; none where nothing is added.
    pub dose: Option<f64>,
    /// What is done.
    pub interventions: Interventions,
}

/// Answers without an edit and under each, with a row about each and a warning for those beyond the
/// guards. `watch` is called before each.
///
/// # Errors
/// A prompt that the template refuses or that is too long; the model's.
pub fn answers(
    asked: &Answering,
    edits: &[Edit],
    watch: &mut dyn FnMut(&str),
) -> Result<(Vec<Answer>, Results)> {
    let guard = SideEffects::of(asked.model, asked.neutral)?;
    let none =
        Edit { what: NONE.into(), layer: None, dose: None, interventions: Interventions::none() };
    let (mut all, mut found, mut plain) = (Vec::new(), Results::default(), f64::NAN);
    for edit in std::iter::once(&none).chain(edits) {
        watch(&edit.what);
        let (kl, perplexity) = guard.under(asked.model, &edit.interventions)?;
        if edit.what == NONE {
            plain = perplexity;
        }
        let perplexity_ratio = perplexity / plain;
        let inside = asked.guards.hold(kl, perplexity_ratio);
        let own = under(asked, edit)?;
        let mean = |of: fn(&Answer) -> f64| own.iter().map(of).sum::<f64>() / own.len() as f64;
        let row = AnswersRow {
            state: asked.state.into(),
            edit: edit.what.clone(),
            layer: edit.layer.map_or(f64::NAN, |l| l as f64),
            dose: edit.dose.unwrap_or(f64::NAN),
            kl,
            perplexity_ratio,
            inside,
            tokens: mean(|a| a.tokens as f64),
            cut: mean(|a| f64::from(u8::from(a.cut))),
            repeated: mean(|a| repeated(&a.answer)),
            n: own.len(),
        };
        if !inside {
            found.warnings.push(WarningRow {
                about: edit.what.clone(),
                text: format!("it breaks the model (KL {kl:.2} nats a token, perplexity x {perplexity_ratio:.2} on neutral texts, beyond the guards): its answers show damage; give a smaller dose"),
            });
        }
        found.answers.push(row);
        all.extend(own);
    }
    Ok((all, found))
}

/// The answers under one edit.
fn under(asked: &Answering, edit: &Edit) -> Result<Vec<Answer>> {
    let edited = Some(edit.what.clone()).filter(|what| what != NONE);
    let drawn = Drawn { edit: edited, ..asked.drawn.clone() };
    let speaker = Speaker {
        state: asked.state,
        model: asked.model,
        tokenizer: asked.tokenizer,
        interventions: &edit.interventions,
        drawn: &drawn,
    };
    let each = asked.prompts.iter().flat_map(|p| (0..asked.samples).map(move |s| (p, s)));
    let each: Vec<_> = each.collect();
    let messages: Vec<&[Message]> = each.iter().map(|((_, m), _)| m.as_slice()).collect();
    let streams: Vec<(String, u64)> =
        each.iter().map(|((id, _), s)| (format!("steer/{id}"), *s as u64)).collect();
    let written = speaker.write(&messages, &streams)?;
    let answer = |(((id, messages), sample), w): (&(&(String, Vec<Message>), usize), Written)| {
        // No preference, fact or form belongs to a prompt of the user's.
        let [preference, group, fact, form] = [(); 4].map(|()| String::new());
        Answer {
            state: asked.state.into(),
            preference,
            group,
            prompt_id: id.clone(),
            keyed: None,
            form,
            sample: *sample,
            fact,
            messages: messages.clone(),
            answer: w.text,
            tokens: w.tokens,
            cut: w.tokens >= drawn.max_tokens,
            drawn: drawn.clone(),
        }
    };
    Ok(each.iter().zip(written).map(answer).collect())
}

/// Share of an answer's runs of three words that occurred in it before; 0 of fewer than three words.
fn repeated(text: &str) -> f64 {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (all, mut seen) = (words.windows(3), BTreeSet::new());
    let n = all.len();
    let again = all.filter(|run| !seen.insert(*run)).count();
    again as f64 / n.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_before_is_counted_by_runs_of_three_words() {
        assert_eq!(repeated("a b c"), 0.0);
        assert_eq!(repeated(""), 0.0);
        // Six words: four runs, the last as the first.
        assert_eq!(repeated("a b c a b c"), 0.25);
        assert_eq!(repeated(&"no ".repeat(10)), 7.0 / 8.0);
    }
}
