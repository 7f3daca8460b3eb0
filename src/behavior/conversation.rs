//! Longer conversations: what a preference looks like when it comes up after some ordinary turns.
//!
//! [`hold`] plays scripts to a model: replies that a script gives are used as they stand, so that
//! every state reads the same words, and replies that it leaves open, or all of them on request,
//! are the model's own. The last question is then scored, sampled and judged like one of the
//! battery. [`fresh`] asks the same question with nothing before it: the difference is what the
//! conversation does.

use super::error::Result;
use super::sample::Speaker;
use super::stance::Asked;
use crate::materials::{Script, ScriptSet};
use crate::model::tokenizer::prompt_messages;
use crate::model::Message;
use serde::{Deserialize, Serialize};

/// Form of a question that comes after a conversation.
pub const AFTER: &str = "conversation";
/// Form of the same question with nothing before it.
pub const FRESH: &str = "fresh";

/// Whose replies stand before the last question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Replies {
    /// The script's where it has them, else the model's own.
    Scripted,
    /// The model's own throughout.
    Own,
}

/// A conversation up to the question in which its preference comes up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Talk {
    /// Model state that spoke.
    pub state: String,
    /// Id of the script, unique in its file.
    pub script: String,
    /// Name of the preference that comes up in the last question.
    pub preference: String,
    /// System prompt if any, the turns with their replies, the last question.
    pub messages: Vec<Message>,
    /// Replies that the model wrote.
    pub own_replies: usize,
}

/// Plays every script to a speaker, all scripts turn by turn together. Replies are drawn as the
/// speaker's answers are, each from a stream of its own.
///
/// # Errors
/// A conversation too long for the model.
pub fn hold(
    speaker: &Speaker,
    sets: &[ScriptSet],
    system: Option<&str>,
    replies: Replies,
) -> Result<Vec<Talk>> {
    let scripts: Vec<(&ScriptSet, &Script)> =
        sets.iter().flat_map(|set| set.scripts.iter().map(move |s| (set, s))).collect();
    let open = |(set, script): &(&ScriptSet, &Script)| Talk {
        state: speaker.state.into(),
        script: script.id.clone(),
        preference: set.preference.clone(),
        messages: system.map(|s| Message::new("system", s)).into_iter().collect(),
        own_replies: 0,
    };
    let mut talks: Vec<Talk> = scripts.iter().map(open).collect();
    let longest = scripts.iter().map(|(_, s)| s.turns.len()).max();
    for turn in 0..longest.unwrap_or(0) {
        let mut open = Vec::new();
        for (i, (_, script)) in scripts.iter().enumerate() {
            let Some(t) = script.turns.get(turn) else { continue };
            talks[i].messages.push(Message::new("user", &t.user));
            match t.assistant.as_deref().filter(|_| replies == Replies::Scripted) {
                Some(reply) => talks[i].messages.push(Message::new("assistant", reply)),
                None => open.push(i),
            }
        }
        let purpose = |i: usize| format!("reply/{}/{}", speaker.state, talks[i].script);
        let streams: Vec<(String, u64)> = open.iter().map(|&i| (purpose(i), turn as u64)).collect();
        let so_far: Vec<&[Message]> = open.iter().map(|&i| talks[i].messages.as_slice()).collect();
        let written = speaker.write(&so_far, &streams)?;
        for (&i, reply) in open.iter().zip(written) {
            talks[i].messages.push(Message::new("assistant", &reply.text));
            talks[i].own_replies += 1;
        }
    }
    for (talk, (_, script)) in talks.iter_mut().zip(&scripts) {
        talk.messages.push(Message::new("user", &script.prompt));
    }
    Ok(talks)
}

/// The last question of every talk, behind its conversation.
pub fn after(talks: &[Talk], sets: &[ScriptSet]) -> Vec<Asked> {
    let talk = |set: &ScriptSet, script: &Script| {
        let held = talks.iter().find(|t| t.script == script.id)?;
        Some(asked(set, script, AFTER, held.messages.clone()))
    };
    each(sets, talk)
}

/// The last question of every script with nothing but the system prompt before it.
pub fn fresh(sets: &[ScriptSet], system: Option<&str>) -> Vec<Asked> {
    let question = |set: &ScriptSet, script: &Script| {
        Some(asked(set, script, FRESH, prompt_messages(system, &script.prompt)))
    };
    each(sets, question)
}

fn each(sets: &[ScriptSet], one: impl Fn(&ScriptSet, &Script) -> Option<Asked>) -> Vec<Asked> {
    let one = &one;
    sets.iter().flat_map(|set| set.scripts.iter().filter_map(move |s| one(set, s))).collect()
}

fn asked(set: &ScriptSet, script: &Script, form: &str, messages: Vec<Message>) -> Asked {
    Asked {
        preference: set.preference.clone(),
        group: set.group.clone(),
        prompt_id: script.id.clone(),
        keyed: None,
        form: form.into(),
        fact: set.fact.clone(),
        messages,
        pairs: script.pairs.clone(),
        place: format!("conversation `{}`", script.id),
    }
}
