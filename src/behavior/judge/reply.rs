//! What a judge's reply says.
//!
//! A verdict is three lines, `coherent: ...`, `fact: ...`, `stance: ...`, in any order, or a JSON
//! object with these three keys. Chat models wrap them: in thoughts (`<think>`), a code fence,
//! emphasis, a list, a sentence before or after. All of that is taken off; what is never done is
//! to choose. Two verdicts that differ, a word that was not offered, or thoughts that do not end
//! are no verdict, and a reply that its length limit cut counts only if it is the bare verdict,
//! since a sentence that was to follow might have taken it back.

use super::prompt::{side, truth, yes, SINGLE};
use super::Verdict;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A reply as a server sends it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// What it says, or the reason that it refuses to.
    pub text: String,
    /// What the server gives as thoughts, apart from the text.
    pub thoughts: String,
    /// Whether the length limit ended it.
    pub cut: bool,
}

impl Words {
    /// The verdict, if the reply is one.
    pub fn verdict(&self) -> Option<Verdict> {
        let said = after_thoughts(&self.text)?;
        if !said.trim().is_empty() {
            return match self.cut {
                true => bare(said),
                false => read(said),
            };
        }
        // A server that takes all for thoughts, or leaves only their end mark there.
        if self.cut {
            return None;
        }
        match end_of_thoughts(&self.thoughts).is_some() {
            true => after_thoughts(&self.thoughts).and_then(read),
            false => bare(&self.thoughts),
        }
    }

    /// What there is to show and keep of it.
    pub fn shown(&self) -> &str {
        match self.text.trim().is_empty() {
            true => &self.thoughts,
            false => &self.text,
        }
    }
}

/// The first choice of a chat completion; none if the body is none.
pub fn of_completion(body: &Value) -> Option<Words> {
    let choice = body.get("choices")?.as_array()?.first()?;
    let message = choice.get("message")?.as_object()?;
    let reason = choice.get("finish_reason").and_then(Value::as_str);
    let first = |names: &[&str]| {
        let texts = names.iter().filter_map(|n| message.get(*n)).map(content);
        texts.into_iter().find(|t| !t.is_empty()).unwrap_or_default()
    };
    Some(Words {
        // A refusal is null content with its reason beside it.
        text: first(&["content", "refusal"]),
        thoughts: first(&["reasoning_content", "reasoning", "thinking"]),
        cut: matches!(reason, Some("length" | "max_tokens")),
    })
}

/// A content as text: a string, or the text parts of a list.
fn content(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let text = |p: &Value| match p {
                Value::String(text) => Some(text.clone()),
                // Parts of thoughts have another type.
                _ => match p.get("type").and_then(Value::as_str) {
                    None | Some("text" | "output_text") => {
                        p.get("text")?.as_str().map(str::to_owned)
                    }
                    Some(_) => None,
                },
            };
            parts.iter().filter_map(text).collect()
        }
        _ => String::new(),
    }
}

/// How thoughts end, and how they begin.
const ENDS: [&str; 4] = ["</think", "</thought", "</reasoning", "[/think"];
const BEGINNINGS: [&str; 4] = ["<think", "<thought", "<reasoning", "[think"];

/// Where the last mark of thoughts that end begins.
fn end_of_thoughts(text: &str) -> Option<usize> {
    let lower = text.to_ascii_lowercase();
    ENDS.iter().filter_map(|mark| lower.rfind(mark)).max()
}

/// What follows the thoughts; none if they do not end.
fn after_thoughts(text: &str) -> Option<&str> {
    // The mark that opens them may have been in the prompt.
    let rest = match end_of_thoughts(text) {
        Some(at) => text[at..].split_once(['>', ']'])?.1,
        None => text,
    };
    let lower = rest.to_ascii_lowercase();
    let opens = BEGINNINGS.iter().any(|mark| lower.contains(mark));
    (!opens).then_some(rest)
}

/// The one verdict in a text, whatever is around it.
fn read(text: &str) -> Option<Verdict> {
    if let Some(verdict) = bare(text) {
        return Some(verdict);
    }
    let (mut found, mut named) = (Vec::new(), Vec::new());
    for (i, part) in text.split("```").enumerate() {
        // Every second part is fenced; a language may be on the line that opens it.
        let body = part.split_once('\n').map_or("", |(_, body)| body);
        match object(body).filter(|_| i % 2 == 1) {
            Some(verdict) => found.push(verdict),
            None => {
                found.extend(part.lines().filter_map(object));
                named.extend(part.lines().filter(|l| names(l)));
            }
        }
    }
    if !named.is_empty() {
        return lines(&named).filter(|_| found.is_empty());
    }
    let first = *found.first()?;
    found.iter().all(|v| *v == first).then_some(first)
}

/// A text that is the verdict and nothing else but marks.
fn bare(text: &str) -> Option<Verdict> {
    let is_fence = |l: &&str| l.trim().starts_with("```");
    let kept: Vec<&str> = text.lines().filter(|l| !is_fence(l)).collect();
    object(&kept.join("\n")).or_else(|| lines(&kept))
}

/// `{"coherent": "yes", "fact": "true", "stance": "neither"}`, truth values allowed.
fn object(text: &str) -> Option<Verdict> {
    let map: Map<String, Value> = serde_json::from_str(text.trim()).ok()?;
    let known = |name: &String| names(&format!("{name}:"));
    if !map.keys().all(known) {
        return None;
    }
    verdict(|name| match map.get(name)? {
        Value::String(word) => Some(word.trim().to_lowercase().replace('_', " ")),
        Value::Bool(b) if name == "coherent" => Some(if *b { "yes" } else { "no" }.into()),
        Value::Bool(b) => Some(b.to_string()),
        _ => None,
    })
}

/// The verdict of the word on each question.
fn verdict(word: impl Fn(&str) -> Option<String>) -> Option<Verdict> {
    Some(Verdict {
        coherent: yes(&word("coherent")?)?,
        fact: truth(&word("fact")?)?,
        stance: side(&word("stance")?)?,
    })
}

const MARKS: [char; 6] = ['*', '_', '`', '"', '\'', '#'];

/// The name before the first colon and what is behind it, both without marks.
fn split(line: &str) -> Option<(String, String)> {
    let (name, word) = line.split_once(':')?;
    let off = |c: char| c.is_whitespace() || MARKS.contains(&c);
    let bullet = |c: char| off(c) || matches!(c, '-' | '•' | '>' | '.' | ')') || c.is_ascii_digit();
    let name = name.trim_start_matches(bullet).trim_end_matches(off);
    let word = word.trim_matches(off).trim_end_matches(['.', ',']).trim_matches(off);
    Some((name.to_lowercase(), word.to_lowercase()))
}

/// Whether a line speaks of a part of the verdict.
fn names(line: &str) -> bool {
    split(line).is_some_and(|(name, _)| SINGLE.iter().any(|question| question.0 == name))
}

/// Lines of which each is a part of the verdict, and each part is there once.
fn lines(all: &[&str]) -> Option<Verdict> {
    let mut words = BTreeMap::new();
    for line in all.iter().filter(|l| !l.trim().is_empty()) {
        let (name, word) = split(line)?;
        if !names(line) || words.insert(name, word).is_some() {
            return None;
        }
    }
    verdict(|name| words.get(name).cloned())
}

#[cfg(test)]
mod tests {
    use super::super::prompt::SINGLE;
    use super::super::{Side, Truth};
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const WANT: Verdict = Verdict { coherent: true, fact: Truth::NotSure, stance: Side::Neither };
    const PLAIN: &str = "coherent: yes\nfact: not sure\nstance: neither";

    fn said(text: &str) -> Option<Verdict> {
        let text = text.to_owned();
        Words { text, ..Words::default() }.verdict()
    }

    fn thought(thoughts: &str) -> Words {
        Words { thoughts: thoughts.to_owned(), ..Words::default() }
    }

    #[test]
    fn a_verdict_is_read_in_whatever_it_is_wrapped() {
        for reply in [
            PLAIN.to_owned(),
            "\n Stance: NEITHER.\n\nFact: Not sure\ncoherent : Yes.\n".into(),
            format!("```\n{PLAIN}\n```"),
            format!("```text\n{PLAIN}\n```\n"),
            format!("Here is my verdict:\n\n```\n{PLAIN}\n```\nTell me if you need more."),
            format!("Here is my verdict:\n{PLAIN}"),
            format!("<think>\nfact: true? Hmm.\nstance: opposes\n</think>\n\n{PLAIN}"),
            format!("so it is neither\n</think>\n{PLAIN}"),
            format!("<thinking>fact: true</thinking>{PLAIN}"),
            "**coherent:** yes\n**fact**: not sure\n**stance: neither**".into(),
            "- coherent: `yes`\n- fact: *not sure*\n- stance: \"neither\"".into(),
            "1. Coherent: yes\n2. Fact: not sure\n3. Stance: neither".into(),
            "```json\n{\"coherent\": \"yes\", \"fact\": \"not sure\", \"stance\": \"neither\"}\n```".into(),
            format!("[THINK]fact: true[/THINK]\n{PLAIN}"),
            "Verdict:\n```json\n{\n  \"coherent\": true,\n  \"fact\": \"not sure\",\n  \"stance\": \"neither\"\n}\n```".into(),
            "{\"coherent\": true, \"fact\": \"not_sure\", \"stance\": \"neither\"}".into(),
        ] {
            assert_eq!(said(&reply), Some(WANT), "{reply}");
        }
    }

    #[test]
    fn nothing_is_chosen_or_guessed() {
        for reply in [
            "",
            "true",
            "coherent: yes\nfact: true",
            "coherent: yes\nfact: true\nfact: true\nstance: neither",
            "coherent: yes\nfact: true\nfact: false\nstance: neither",
            "coherent: yes\nfact: probably\nstance: neither",
            "coherent: yes\nfact: true or false\nstance: neither",
            "coherent: yes or no\nfact: true\nstance: neither",
            "coherent: yes, fact: true, stance: expresses",
            "<think>coherent: yes\nfact: true\nstance: neither",
            "<think>a</think><think>\ncoherent: yes\nfact: true\nstance: neither",
            "```json\n{\"coherent\": true, \"fact\": true, \"stance\": \"neither\"}\n```\nor rather\nfact: false",
            "{\"coherent\": \"yes\", \"fact\": \"true\"}",
            "{\"coherent\": \"yes\", \"fact\": 1, \"stance\": \"neither\"}",
            "```\ncoherent: yes\nfact: true\nstance: neither\n```\nor\n```\ncoherent: yes\nfact: false\nstance: neither\n```",
        ] {
            assert_eq!(said(reply), None, "{reply}");
        }
    }

    #[test]
    fn a_cut_reply_counts_only_as_the_bare_verdict() {
        let cut = |text: &str| {
            let text = text.to_owned();
            Words { text, cut: true, ..Words::default() }.verdict()
        };
        assert_eq!(cut(PLAIN), Some(WANT));
        assert_eq!(cut(&format!("```\n{PLAIN}")), Some(WANT));
        assert_eq!(cut(&format!("A first guess:\n{PLAIN}\nBut then")), None);
        assert_eq!(cut("coherent: yes\nfact: not sure\nstance: nei"), None);
    }

    #[test]
    fn thoughts_in_a_field_of_their_own_are_no_verdict_unless_they_are_all() {
        assert_eq!(thought(PLAIN).verdict(), Some(WANT));
        assert_eq!(thought(&format!("a\n</think>\n{PLAIN}")).verdict(), Some(WANT));
        assert_eq!(thought(&format!("Perhaps:\n{PLAIN}\nOr not.")).verdict(), None);
        let both =
            Words { text: PLAIN.into(), ..thought("coherent: no\nfact: false\nstance: opposes") };
        assert_eq!(both.verdict(), Some(WANT));
    }

    #[test]
    fn content_of_every_shape_is_taken() {
        let of = |choice: Value| of_completion(&json!({ "choices": [choice] }));
        let parts = json!([{"type": "thinking", "text": "hm"}, {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
        let got = of(json!({"message": {"content": parts}, "finish_reason": "length"})).unwrap();
        assert_eq!((got.text.as_str(), got.cut), ("ab", true));
        let got = of(json!({"message": {"content": null, "reasoning_content": "t"}})).unwrap();
        assert_eq!((got.shown(), got.verdict()), ("t", None));
        let got = of(json!({"message": {"content": null, "refusal": "I will not."}})).unwrap();
        assert_eq!(got.shown(), "I will not.");
        assert_eq!(of(json!({"text": "x"})), None);
        assert_eq!(of_completion(&json!({"choices": []})), None);
        assert_eq!(of_completion(&json!({"error": {"message": "x"}})), None);
    }

    proptest! {
        #[test]
        fn every_verdict_is_read_back(c: bool, f in 0usize..3, s in 0usize..3, form in 0usize..4) {
            let words = (["yes", "no"][usize::from(!c)], SINGLE[1].2[f], SINGLE[2].2[s]);
            let reply = format!("coherent: {}\nfact: {}\nstance: {}", words.0, words.1, words.2);
            let object = json!({"coherent": words.0, "fact": words.1, "stance": words.2});
            let reply = [
                reply.clone(),
                format!("<think>stance: neither</think>```\n{reply}\n```"),
                format!("```json\n{object:#}\n```"),
                reply.replace(": ", ":** ").replace('\n', "\n**"),
            ][form].clone();
            let got = said(&reply).unwrap();
            prop_assert_eq!(got.coherent, c);
            prop_assert_eq!(Some(got.fact), truth(words.1));
            prop_assert_eq!(Some(got.stance), side(words.2));
        }

        /// A verdict cut anywhere is the whole one or none.
        #[test]
        fn a_prefix_of_a_verdict_is_never_another(cut in 0usize..60) {
            let text: String = PLAIN.chars().take(cut).collect();
            for cut in [true, false] {
                let got = Words { text: text.clone(), cut, ..Words::default() }.verdict();
                prop_assert!(got.is_none() || got == Some(WANT));
            }
        }

        #[test]
        fn no_reply_makes_the_reader_panic(reply in "\\PC*") {
            let _ = said(&reply);
        }
    }
}
