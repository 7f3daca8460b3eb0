//! Texts to capture: the user's own exchanges, conversations or raw strings.
//!
//! A row has an id and exactly one body: a `prompt` with an optional `response` and
//! `system`, a list of `messages`, or a `text` that is read as it stands, without a
//! template. An optional `label` travels with the activations into the store. This room
//! only says what was written; the chat template is the model's and the positions are
//! `capture`'s.

use super::conversations::check_messages;
use super::lines::{is_note, At, Ids, Lines, PlainNote};
use super::{MaterialError, Result};
use crate::model::Message;
use serde::Deserialize;
use std::collections::HashSet;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

const NOTE: &str = r#"{"about": {...}}"#;
const ROW: &str = r#"{"id": "...", "prompt": "...", "response": "..."} or {"id": "...", "messages": [...]} or {"id": "...", "text": "..."}, each with an optional "label""#;

/// One text with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextRow {
    /// Where it stands in its file, from 1.
    pub line: usize,
    /// Unique in its file.
    pub id: String,
    /// What is read.
    pub body: TextBody,
    /// Copied to the outputs.
    pub label: Option<String>,
}

/// What is read by the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextBody {
    /// One exchange, put into the chat template.
    Exchange {
        /// The system prompt, if there is one.
        system: Option<String>,
        /// What the user says.
        prompt: String,
        /// What the assistant answers, if it does.
        response: Option<String>,
    },
    /// A conversation, put into the chat template.
    Messages(Vec<Message>),
    /// A string, read without a template.
    Raw(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: String,
    system: Option<String>,
    prompt: Option<String>,
    response: Option<String>,
    messages: Option<Vec<Message>>,
    text: Option<String>,
    label: Option<String>,
}

impl Written {
    fn checked(self, at: At) -> Result<TextRow> {
        let Written { id, system, prompt, response, messages, text, label } = self;
        let refuse = |key, why: &str| Err(at.refuse(key, why));
        let lone = response.as_ref().map(|_| "response").or(system.as_ref().map(|_| "system"));
        let body = match (prompt, messages, text) {
            (Some(prompt), None, None) => {
                at.filled([("prompt", &prompt)])?;
                at.filled(response.iter().map(|text| ("response", text)))?;
                at.filled(system.iter().map(|text| ("system", text)))?;
                TextBody::Exchange { system, prompt, response }
            }
            (Some(_), _, _) => return refuse("prompt", "is given with another body; keep one"),
            (None, messages, text) if lone.is_some() => {
                let why = match messages.is_some() || text.is_some() {
                    true => "belongs to a `prompt`, which this row has not; remove it",
                    false => "is given without a `prompt`; write the user's turn",
                };
                return refuse(lone.unwrap_or("response"), why);
            }
            (None, Some(messages), None) => {
                check_messages(&messages, at)?;
                TextBody::Messages(messages)
            }
            (None, None, Some(text)) => {
                at.filled([("text", &text)])?;
                TextBody::Raw(text)
            }
            (None, None, None) => {
                return refuse("prompt", "missing; give `prompt`, `messages` or `text`")
            }
            (None, Some(_), Some(_)) => {
                return refuse("text", "is given with `messages`; keep one")
            }
        };
        Ok(TextRow { line: at.line, id, body, label })
    }
}

/// Reads texts to capture in file order. `path` serves the errors only.
///
/// # Errors
/// No rows, a line of another shape, no body or two of them, an empty text, an unknown
/// role, an id used twice.
pub fn parse(text: &str, path: &Path) -> Result<Vec<TextRow>> {
    let lines = Lines::new(text, path, ROW)?;
    lines.note::<PlainNote>(NOTE)?;
    let mut ids = Ids::default();
    let checked = |(at, row): (At, Written)| {
        ids.take(at, &row.id)?;
        row.checked(at)
    };
    lines.rows(ROW)?.into_iter().map(checked).collect()
}

/// Longest line that is read by itself.
const LONGEST: u64 = 16 << 20;

/// Reads the texts of a file one after the other, as [`parse`] does and with its errors; memory grows with
/// their number by eight bytes a text. Rows that were handed on before an error stay so.
///
/// # Errors
/// As [`parse`] and of reading the file; what `take` refuses.
pub fn each<E: From<MaterialError>>(
    path: &Path,
    take: &mut dyn FnMut(TextRow) -> Result<(), E>,
) -> Result<(), E> {
    let mut handed = 0;
    let mut refused = None;
    let mut count = |row| match take(row) {
        Ok(()) => {
            handed += 1;
            true
        }
        Err(e) => {
            refused = Some(e);
            false
        }
    };
    let plain = path.is_file() && streamed(path, &mut count).is_some();
    if let Some(e) = refused {
        return Err(e);
    }
    if plain {
        return Ok(());
    }
    // Whatever is odd about the file is told by who reads it whole.
    let rows = parse(&super::read(path)?, path)?;
    rows.into_iter().skip(handed).try_for_each(take)
}

/// Hands on rows until `take` has enough; none where the file is not plainly rows in UTF-8.
fn streamed(path: &Path, take: &mut dyn FnMut(TextRow) -> bool) -> Option<()> {
    let mut file = BufReader::new(File::open(path).ok()?);
    let (mut bytes, mut number) = (Vec::new(), 0);
    let (mut n, mut ids) = (0usize, HashSet::new());
    let (keys, mut begun) = (RandomState::new(), false);
    loop {
        bytes.clear();
        let read = (&mut file).take(LONGEST).read_until(b'\n', &mut bytes).ok()?;
        if read == 0 {
            // No rows are an error.
            return (n > 0).then_some(());
        }
        if read as u64 == LONGEST {
            return None;
        }
        number += 1;
        let line = std::str::from_utf8(&bytes).ok()?;
        let line = if number == 1 { line.strip_prefix('\u{feff}').unwrap_or(line) } else { line };
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        if !std::mem::replace(&mut begun, true) && is_note(line) {
            serde_json::from_str::<PlainNote>(line).ok()?;
            continue;
        }
        // Of what is no row, or a key that stands twice, the whole reader knows how to tell.
        let written: Written = serde_json::from_str(line).ok()?;
        if written.id.trim().is_empty() || !ids.insert(keys.hash_one(&written.id)) {
            return None;
        }
        let row = written.checked(At { path, line: number }).ok()?;
        n += 1;
        if !take(row) {
            return Some(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(row: &str) -> Result<TextRow, String> {
        parse(row, Path::new("t.jsonl")).map(|mut rows| rows.remove(0)).map_err(|e| e.to_string())
    }

    #[test]
    fn the_three_bodies_are_told_apart() {
        let exchange = one(r#"{"id":"a","prompt":"Q","response":"A","label":"x"}"#).unwrap();
        assert_eq!(exchange.label.as_deref(), Some("x"));
        assert!(matches!(exchange.body, TextBody::Exchange { system: None, .. }));
        let chat = one(r#"{"id":"a","messages":[{"role":"user","content":"Q"}]}"#).unwrap();
        assert_eq!(chat.body, TextBody::Messages(vec![Message::new("user", "Q")]));
        let raw = one(r#"{"id":"a","text":"Once"}"#).unwrap();
        assert_eq!(raw.body, TextBody::Raw("Once".to_owned()));
    }

    #[test]
    fn a_prompt_alone_is_an_exchange() {
        let body = one(r#"{"id":"a","system":"S","prompt":"Q"}"#).unwrap().body;
        let (system, response) = (Some("S".to_owned()), None);
        assert_eq!(body, TextBody::Exchange { system, prompt: "Q".to_owned(), response });
    }

    #[test]
    fn a_row_has_exactly_one_body() {
        let key = |row, key: &str| {
            let sentence = one(row).unwrap_err();
            assert!(sentence.starts_with(&format!("t.jsonl, line 1, key `{key}`")), "{sentence}");
        };
        key(r#"{"id":"a"}"#, "prompt");
        key(r#"{"id":"a","prompt":"Q","text":"T"}"#, "prompt");
        key(r#"{"id":"a","response":"A"}"#, "response");
        key(r#"{"id":"a","text":"T","response":"A"}"#, "response");
        key(r#"{"id":"a","text":"T","system":"S"}"#, "system");
        key(r#"{"id":"a","text":"T","messages":[]}"#, "text");
        key(r#"{"id":"a","text":" "}"#, "text");
        key(r#"{"id":"","text":"T"}"#, "id");
    }

    #[test]
    fn a_row_knows_its_line() {
        let text = "\n{\"id\":\"a\",\"text\":\"T\"}\n\n{\"id\":\"b\",\"text\":\"T\"}";
        let rows = parse(text, Path::new("t.jsonl")).unwrap();
        assert_eq!(rows.iter().map(|r| r.line).collect::<Vec<_>>(), [2, 4]);
    }

    #[test]
    fn an_id_stands_once() {
        let row = r#"{"id":"a","text":"T"}"#;
        assert!(one(&format!("{row}\n\n{row}")).unwrap_err().contains("line 3"));
    }

    #[test]
    fn one_by_one_is_the_same_as_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.jsonl");
        let row = |id: &str| format!("{{\"id\":\"{id}\",\"text\":\"T {id}\"}}\n");
        let rows = row("a") + "\n" + &row("b");
        let wide: String = format!("\u{feff}{rows}");
        let cases = [
            rows.clone(),
            wide,
            format!("{{\"about\": {{}}}}\n{rows}"),
            format!("{rows}{{\"about\": {{}}}}\n"),
            rows.clone() + &row("a"),
            rows.clone() + &row(" "),
            rows.clone() + "{\"id\":\"c\"}",
            rows.clone() + "{\"id\":\"c\",",
            "[]".into(),
            "\n".into(),
            String::new(),
        ];
        for text in cases {
            std::fs::write(&path, &text).unwrap();
            let mut seen = Vec::new();
            let ended = each::<MaterialError>(&path, &mut |row| {
                seen.push(row);
                Ok(())
            });
            match parse(&text, &path) {
                Ok(all) => assert_eq!((ended.is_ok(), seen), (true, all), "{text}"),
                Err(e) => assert_eq!(ended.unwrap_err().to_string(), e.to_string(), "{text}"),
            }
        }
    }
}
