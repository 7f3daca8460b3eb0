//! Models that can think before they answer: whether they are told to, and what of it is the answer.

use serde::{Deserialize, Serialize};
use std::str::FromStr;

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

    /// The answer in what a model wrote; nothing where it was still thinking.
    pub(super) fn answer(self, written: String) -> String {
        if self != Thinking::Strip {
            return written;
        }
        match written.rsplit_once("</think>") {
            Some((_, answer)) => answer.trim_start().into(),
            None if written.contains("<think>") => String::new(),
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
            assert_eq!(Thinking::Strip.answer(text.into()), want);
            assert_eq!(Thinking::Keep.answer(text.into()), text);
        }
    }
}
