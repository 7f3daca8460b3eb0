//! Answers that a model gave, as they are kept: one JSONL row a prompt and sample.
//!
//! A row holds everything needed to judge it again without the model: what stood before the
//! answer, the answer, the fact that a judge looks for, and how it was drawn.

use crate::materials::Keyed;
use crate::model::Message;
use serde::{Deserialize, Serialize};

/// One sampled answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Model state that answered.
    pub state: String,
    /// Name of the preference that was asked about.
    pub preference: String,
    /// Group of preferences that it is reported with.
    pub group: String,
    /// Id of the question, unique in its file.
    pub prompt_id: String,
    /// Item and key of the question; none: an item of its own.
    #[serde(flatten)]
    pub keyed: Option<Keyed>,
    /// Form of the question, such as `open` or `scenario`; of a script, `conversation` or `fresh`.
    pub form: String,
    /// From 0 within its prompt.
    pub sample: usize,
    /// What a judge looks for, in one sentence.
    pub fact: String,
    /// What stood before the answer, a system prompt included.
    pub messages: Vec<Message>,
    /// What the model said, white space around it dropped.
    pub answer: String,
    /// Tokens of the answer.
    pub tokens: usize,
    /// Ended by the token limit, not by the model.
    pub cut: bool,
    /// How it was drawn.
    pub drawn: Drawn,
}

/// How answers were drawn. Answers of different draws are never mixed in one file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drawn {
    /// Name of the model.
    pub model: String,
    /// SHA-256 of the model.
    pub model_sha256: String,
    /// Digest of the adapter's weights, where one was merged.
    #[serde(default)]
    pub adapter_sha256: Option<String>,
    /// The edit of the residual stream, in words, where there was one.
    #[serde(default)]
    pub edit: Option<String>,
    /// Of the random streams, one for each answer.
    pub seed: u64,
    /// 0: greedy.
    pub temperature: f64,
    /// Share of the probability that tokens are drawn from, the likeliest first; 1: all.
    pub top_p: f64,
    /// Tokens of an answer at most.
    pub max_tokens: usize,
}

impl Drawn {
    /// The first setting in which `self` is not as `other`: its name and both values.
    pub fn difference(&self, other: &Drawn) -> Option<(&'static str, String, String)> {
        let or_none = |v: &Option<String>| v.clone().unwrap_or_else(|| "none".into());
        let all = [
            ("model SHA-256", self.model_sha256.clone(), other.model_sha256.clone()),
            ("adapter SHA-256", or_none(&self.adapter_sha256), or_none(&other.adapter_sha256)),
            ("edit", or_none(&self.edit), or_none(&other.edit)),
            ("seed", self.seed.to_string(), other.seed.to_string()),
            ("temperature", self.temperature.to_string(), other.temperature.to_string()),
            ("top-p", self.top_p.to_string(), other.top_p.to_string()),
            ("max-tokens", self.max_tokens.to_string(), other.max_tokens.to_string()),
        ];
        all.into_iter().find(|(_, a, b)| a != b)
    }
}

impl Answer {
    /// Name of the item that was asked: the unit over which answers vary.
    pub fn item(&self) -> &str {
        self.keyed.as_ref().map_or(&self.prompt_id, |k| &k.item)
    }

    /// What a judge is shown as the question: the one question, or the whole conversation
    /// before the answer with each turn named. A system prompt is not shown: the answer is
    /// judged by what it says, not by what was asked of it behind the scenes.
    pub fn question(&self) -> String {
        let turns: Vec<&Message> = self.messages.iter().filter(|m| m.role != "system").collect();
        if let [only] = turns[..] {
            return only.content.trim().to_string();
        }
        let line = |m: &&Message| match m.role.as_str() {
            "assistant" => format!("Assistant: {}", m.content.trim()),
            _ => format!("User: {}", m.content.trim()),
        };
        turns.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn answer(preference: &str, prompt: &str, sample: usize, text: &str) -> Answer {
        Answer {
            state: "base".into(),
            preference: preference.into(),
            group: "g".into(),
            prompt_id: prompt.into(),
            keyed: None,
            form: "open".into(),
            sample,
            fact: format!("The assistant wants {preference}."),
            messages: vec![
                Message::new("system", "Be short."),
                Message::new("user", &format!("About {prompt}?")),
            ],
            answer: text.into(),
            tokens: 3,
            cut: false,
            drawn: Drawn {
                model: "m".into(),
                model_sha256: "0".into(),
                adapter_sha256: None,
                edit: None,
                seed: 1,
                temperature: 1.0,
                top_p: 1.0,
                max_tokens: 8,
            },
        }
    }

    #[test]
    fn a_judge_sees_the_question_or_the_whole_conversation() {
        let mut a = answer("p", "1", 0, "x");
        assert_eq!(a.question(), "About 1?");
        a.messages.push(Message::new("assistant", "Fine."));
        a.messages.push(Message::new("user", "Sure?"));
        assert_eq!(a.question(), "User: About 1?\nAssistant: Fine.\nUser: Sure?");
    }

    #[test]
    fn a_difference_between_draws_is_named_and_survives_json() {
        let a = answer("p", "1", 0, "x").drawn;
        let text = serde_json::to_string(&a).unwrap();
        let mut b: Drawn = serde_json::from_str(&text).unwrap();
        assert_eq!(a.difference(&b), None);
        b.temperature = 0.7;
        let (key, found, wanted) = a.difference(&b).unwrap();
        assert_eq!((key, found.as_str(), wanted.as_str()), ("temperature", "1", "0.7"));
    }
}
