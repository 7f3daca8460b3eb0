//! Models that can think before they answer: whether they are told to, and what of it is the answer.

use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// What thoughts begin and end with.
const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// Whether a prompt ends within thoughts.
pub(super) fn opened(prompt: &str) -> bool {
    prompt.rfind(OPEN).is_some_and(|at| !prompt[at..].contains(CLOSE))
}

/// Whether a model that can think before it answers does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Thinking {
    /// The chat template is told that it does not (`enable_thinking` is false).
    Off,
    /// It does, and what it thinks is part of its answers.
    Keep,
    /// It does, and answers are what follows.
    Strip,
    /// The template is told nothing.
    #[default]
    Model,
}

impl FromStr for Thinking {
    type Err = String;

    fn from_str(s: &str) -> std::result::Result<Self, String> {
        match s {
            "off" => Ok(Thinking::Off),
            "keep" => Ok(Thinking::Keep),
            "strip" => Ok(Thinking::Strip),
            "model" => Ok(Thinking::Model),
            _ => Err("write off, keep, strip or model".into()),
        }
    }
}

impl Thinking {
    /// What a template is told, if anything.
    pub(super) fn told(self) -> Option<bool> {
        match self {
            Thinking::Off => Some(false),
            Thinking::Keep | Thinking::Strip => Some(true),
            Thinking::Model => None,
        }
    }

    /// The answer in what a model wrote, whose prompt may have opened the thoughts; nothing where it was
    /// still thinking.
    pub(super) fn answer(self, written: String, opened: bool) -> String {
        if self != Thinking::Strip {
            return written;
        }
        match written.rsplit_once(CLOSE) {
            Some((_, answer)) => answer.trim_start().into(),
            None if opened || written.contains(OPEN) => String::new(),
            None => written,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_what_follows_the_thoughts() {
        let written = "<think>\nHm.\n</think>\n\nYes.";
        for (text, want) in
            [(written, "Yes."), ("Hm.</think> Yes.", "Yes."), ("<think> Hm", ""), ("Yes.", "Yes.")]
        {
            assert_eq!(Thinking::Strip.answer(text.into(), false), want);
            assert_eq!(Thinking::Keep.answer(text.into(), false), text);
        }
        // Where the prompt opened the thoughts, what does not close them is one.
        assert_eq!(Thinking::Strip.answer("Hm".into(), true), "");
        assert_eq!(Thinking::Strip.answer("Hm</think>Yes.".into(), true), "Yes.");
        assert!(opened("a <think>\n") && !opened("<think></think>\n") && !opened("a"));
    }
}
