//! A concept: contrast pairs whose two sides differ in one thing that is said.
//!
//! The note names the concept, says what each side says, and may give system prompts for
//! either side (a neutral text is read behind them). A row is a prompt with one response
//! from each side. `template` is the family of the prompt's form, over which estimates are
//! held out; `polarity` says how the positive response opens, so that a direction can be
//! checked against the word "Yes"; `split` keeps choices of layer off the reported rows.

use super::lines::{Ids, Lines};
use super::MaterialError;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use std::path::Path;

const NOTE: &str = r#"{"about": {...}, "concept": "name", "positive": "what this side says", "negative": "...", "system_positive": [], "system_negative": []}"#;
const ROW: &str = r#"{"id": "...", "template": "...", "polarity": "yes|no|none", "split": "main|dev", "prompt": "...", "positive": "...", "negative": "..."}"#;

/// A concept with its pairs in file order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concept {
    /// Its name in outputs.
    pub name: String,
    /// What the positive side says, in one sentence.
    pub positive: String,
    /// What the negative side says, in one sentence.
    pub negative: String,
    /// System prompts that bring the positive side about, for reading with identical text.
    pub system_positive: Vec<String>,
    /// The same of the negative side.
    pub system_negative: Vec<String>,
    /// In file order.
    pub pairs: Vec<Pair>,
}

/// Two responses to one prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// Unique in its file.
    pub id: String,
    /// Family of the prompt's form.
    pub template: String,
    /// How the positive response opens.
    pub polarity: Polarity,
    /// What the pair is for.
    pub split: Split,
    /// What the user says.
    pub prompt: String,
    /// Response that shows the concept.
    pub positive: String,
    /// Response that does not.
    pub negative: String,
    /// File and line, for errors; empty where it is from no file.
    #[serde(skip)]
    pub place: String,
}

/// How a response opens: an affirmation, a negation, or neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Polarity {
    /// An affirmation.
    Yes,
    /// A negation.
    No,
    /// Neither.
    None,
}

impl Polarity {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Polarity::Yes => "yes",
            Polarity::No => "no",
            Polarity::None => "none",
        }
    }
}

/// What a pair is for: reported numbers, or choices such as a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Reported numbers.
    Main,
    /// Choices, which are in no reported number.
    Dev,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    #[serde(rename = "about")]
    _about: IgnoredAny,
    concept: String,
    positive: String,
    negative: String,
    #[serde(default)]
    system_positive: Vec<String>,
    #[serde(default)]
    system_negative: Vec<String>,
}

/// Reads a concept file. `path` serves the errors only.
///
/// # Errors
/// No note, no rows, a line of another shape, an empty text, two sides that are the same,
/// an id used twice.
pub fn parse(text: &str, path: &Path) -> Result<Concept, MaterialError> {
    let lines = Lines::new(text, path, ROW)?;
    let (top, note) = lines.needed_note::<Note>(NOTE)?;
    let Note { concept: name, positive, negative, system_positive, system_negative, .. } = note;
    top.filled([("concept", &name), ("positive", &positive), ("negative", &negative)])?;
    top.named("concept", &name)?;
    top.filled(system_positive.iter().map(|prompt| ("system_positive", prompt)))?;
    top.filled(system_negative.iter().map(|prompt| ("system_negative", prompt)))?;
    if system_positive.len() != system_negative.len() {
        let why = format!(
            "{} prompts, but {} of `system_positive`; give the same number for both sides",
            system_negative.len(),
            system_positive.len()
        );
        return Err(top.refuse("system_negative", why));
    }
    let mut ids = Ids::default();
    let mut pairs = Vec::new();
    for (at, mut pair) in lines.rows::<Pair>(ROW)? {
        pair.place = at.to_string();
        ids.take(at, &pair.id)?;
        at.filled([("template", &pair.template), ("prompt", &pair.prompt)])?;
        at.filled([("positive", &pair.positive), ("negative", &pair.negative)])?;
        if pair.positive == pair.negative {
            let why = "both sides say the same; write two responses that differ";
            return Err(at.refuse("negative", why));
        }
        pairs.push(pair);
    }
    Ok(Concept { name, positive, negative, system_positive, system_negative, pairs })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = r#"{"about":{},"concept":"c","positive":"p","negative":"n"}"#;
    const PAIR: &str = r#"{"id":"c-1","template":"t","polarity":"none","split":"dev","prompt":"Q?","positive":"A.","negative":"B."}"#;

    fn refused(text: &str) -> String {
        parse(text, Path::new("c.jsonl")).unwrap_err().to_string()
    }

    #[test]
    fn note_and_rows_are_read() {
        let concept = parse(&format!("{HEAD}\n{PAIR}\n"), Path::new("c")).unwrap();
        assert_eq!((concept.name.as_str(), concept.pairs.len()), ("c", 1));
        assert_eq!(concept.pairs[0].split, Split::Dev);
        assert_eq!(concept.pairs[0].polarity, Polarity::None);
    }

    #[test]
    fn a_pair_knows_its_file_and_line() {
        let concept = parse(&format!("{HEAD}\n\n{PAIR}\n"), Path::new("c.jsonl")).unwrap();
        assert_eq!(concept.pairs[0].place, "c.jsonl, line 3");
    }

    #[test]
    fn a_file_without_a_note_is_refused() {
        assert!(refused(PAIR).contains("c.jsonl, line 1: the note is missing"));
    }

    #[test]
    fn an_unknown_split_names_line_and_remedy() {
        let sentence = refused(&format!("{HEAD}\n\n{}", PAIR.replace("dev", "test")));
        assert!(sentence.starts_with("c.jsonl, line 3"), "{sentence}");
        assert!(sentence.contains("`test`") && sentence.contains("`main`"), "{sentence}");
    }

    #[test]
    fn a_name_that_no_file_can_bear_is_refused() {
        for name in ["a/b", "..", ".a"] {
            let head = HEAD.replace(r#""concept":"c""#, &format!(r#""concept":"{name}""#));
            assert_ne!(head, HEAD);
            assert!(refused(&format!("{head}\n{PAIR}")).contains("line 1, key `concept`"));
        }
    }

    #[test]
    fn a_missing_key_is_named() {
        let sentence = refused(&format!("{HEAD}\n{}", PAIR.replace(r#""template":"t","#, "")));
        assert!(sentence.contains("line 2: missing field `template`"), "{sentence}");
    }

    #[test]
    fn sides_that_agree_are_refused() {
        let sentence = refused(&format!("{HEAD}\n{}", PAIR.replace("B.", "A.")));
        assert!(sentence.contains("line 2, key `negative`"), "{sentence}");
    }

    #[test]
    fn an_id_stands_once() {
        assert!(refused(&format!("{HEAD}\n{PAIR}\n{PAIR}")).contains("already names line 2"));
    }
}
