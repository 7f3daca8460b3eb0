//! Neutral texts: ordinary exchanges that have nothing to do with minds or identity.
//!
//! Every state of a model reads the same ones, so that what a fine-tune moved on them is
//! its side effect, and their spread is the scale on which other shifts are judged. The two are read on
//! different texts, and `use` says on which: `shift` (layer RMS, covariance and shifts) or
//! `side-effects` (KL and perplexity). A row is one prompt with one response; `kind` names the sort
//! of task, for balance only. A row without `use` counts as `shift`, so a file of a user's that
//! serves for side effects too marks some of its rows. A note may open the file.

use super::lines::{Ids, Lines, PlainNote};
use super::MaterialError;
use serde::{Deserialize, Serialize};
use std::path::Path;

const NOTE: &str = r#"{"about": {...}}"#;
const ROW: &str = r#"{"id": "...", "kind": "explain", "use": "shift|side-effects", "prompt": "...", "response": "..."}"#;

/// One neutral exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NeutralText {
    /// Unique in its file.
    pub id: String,
    /// Sort of task: explain, howto, list, story, ...
    pub kind: String,
    /// What it is read for.
    #[serde(rename = "use", default)]
    pub use_: Use,
    /// What the user says.
    pub prompt: String,
    /// What the assistant answers.
    pub response: String,
}

/// What a neutral text is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Use {
    /// Layer RMS, covariance and shifts.
    #[default]
    Shift,
    /// KL and perplexity.
    SideEffects,
}

impl Use {
    /// As a row says it.
    pub fn name(self) -> &'static str {
        match self {
            Use::Shift => "shift",
            Use::SideEffects => "side-effects",
        }
    }
}

/// The texts that layer RMS, covariance and shifts are read on.
pub fn for_shifts(all: &[NeutralText]) -> Vec<NeutralText> {
    of_use(all, Use::Shift)
}

/// The texts that KL and perplexity are read on.
pub fn for_side_effects(all: &[NeutralText]) -> Vec<NeutralText> {
    of_use(all, Use::SideEffects)
}

fn of_use(all: &[NeutralText], use_: Use) -> Vec<NeutralText> {
    all.iter().filter(|t| t.use_ == use_).cloned().collect()
}

/// Reads neutral texts in file order. `path` serves the errors only.
///
/// # Errors
/// No rows, a line of another shape, an empty text, an id used twice.
pub fn parse(text: &str, path: &Path) -> Result<Vec<NeutralText>, MaterialError> {
    let lines = Lines::new(text, path, ROW)?;
    lines.note::<PlainNote>(NOTE)?;
    let mut ids = Ids::default();
    let mut texts = Vec::new();
    for (at, row) in lines.rows::<NeutralText>(ROW)? {
        ids.take(at, &row.id)?;
        let (prompt, response) = (("prompt", &row.prompt), ("response", &row.response));
        at.filled([("kind", &row.kind), prompt, response])?;
        texts.push(row);
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW1: &str = r#"{"id":"n-1","kind":"math","prompt":"2+2?","response":"4."}"#;

    #[test]
    fn rows_are_read_with_or_without_a_note() {
        let bare = parse(ROW1, Path::new("n")).unwrap();
        let noted = parse(&format!("{{\"about\":{{}}}}\n{ROW1}"), Path::new("n")).unwrap();
        assert_eq!(bare, noted);
        assert_eq!(bare[0].kind, "math");
    }

    #[test]
    fn a_text_is_for_shifts_unless_it_says_otherwise() {
        let other =
            ROW1.replace("n-1", "n-2").replace("\"kind\"", "\"use\":\"side-effects\",\"kind\"");
        let all = parse(&format!("{ROW1}\n{other}"), Path::new("n")).unwrap();
        assert_eq!(for_shifts(&all), all[..1]);
        assert_eq!(for_side_effects(&all), all[1..]);
        let wrong = other.replace("side-effects", "kl");
        let sentence = parse(&wrong, Path::new("n")).unwrap_err().to_string();
        assert!(sentence.contains("`kl`"), "{sentence}");
    }

    #[test]
    fn a_missing_response_names_line_and_key() {
        let text = format!("{ROW1}\n{{\"id\":\"n-2\",\"kind\":\"math\",\"prompt\":\"?\"}}");
        let sentence = parse(&text, Path::new("n.jsonl")).unwrap_err().to_string();
        assert!(sentence.starts_with("n.jsonl, line 2: missing field `response`"), "{sentence}");
    }

    #[test]
    fn an_id_stands_once() {
        let sentence = parse(&format!("{ROW1}\n{ROW1}"), Path::new("n")).unwrap_err();
        assert!(matches!(sentence, MaterialError::DuplicateId { first: 1, line: 2, .. }));
    }
}
