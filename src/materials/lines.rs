//! A JSON Lines file as lines: what all kinds of materials have in common.
//!
//! [`Lines`] splits a text into an optional note and numbered rows. Blank lines are skipped
//! but counted, a byte-order mark is dropped, and a note is known by its key `about`. A text of
//! another form (a JSON array, CSV) is told as what it is. The parsers beside this file give the type of a row and an example of it, which errors
//! quote. An [`At`] is a line that is being checked and refuses what is wrong with it; [`Ids`] refuses
//! the second use of an id.

use super::{MaterialError, Result};
use crate::store::text::reason;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;

/// A note with nothing but its `about`, for kinds whose note carries no data.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlainNote {
    #[serde(rename = "about")]
    _about: IgnoredAny,
    #[serde(default, rename = "condition")]
    _condition: IgnoredAny,
}

/// The numbered lines of one file.
pub(super) struct Lines<'a> {
    path: &'a Path,
    note: Option<(usize, &'a str)>,
    rows: Vec<(usize, &'a str)>,
}

impl<'a> Lines<'a> {
    /// Splits `text`; `example` is a row for the error of an empty file.
    pub fn new(text: &'a str, path: &'a Path, example: &'static str) -> Result<Self> {
        if let Some((line, found)) = other_form(text) {
            return Err(MaterialError::NotRows { path: path.to_owned(), line, found, example });
        }
        let mut rows: Vec<(usize, &str)> = filled_lines(text).collect();
        let has_note = rows.first().is_some_and(|(_, line)| is_note(line));
        let note = has_note.then(|| rows.remove(0));
        if let Some((line, _)) = rows.iter().find(|(_, line)| is_note(line)) {
            return Err(MaterialError::LateNote { path: path.to_owned(), line: *line });
        }
        if rows.is_empty() {
            return Err(MaterialError::Empty { path: path.to_owned(), example });
        }
        Ok(Lines { path, note, rows })
    }

    /// The note, where the file has one.
    pub fn note<N: DeserializeOwned>(&self, example: &'static str) -> Result<Option<N>> {
        self.note.map(|(line, text)| read(text, line, self.path, example)).transpose()
    }

    /// The note of a kind that cannot do without, with its line.
    pub fn needed_note<N: DeserializeOwned>(&self, example: &'static str) -> Result<(At<'a>, N)> {
        let at = At { path: self.path, line: self.note.map_or(1, |(line, _)| line) };
        let missing = || MaterialError::Note { path: self.path.to_owned(), example };
        Ok((at, self.note(example)?.ok_or_else(missing)?))
    }

    /// Every row with its line.
    pub fn rows<R: DeserializeOwned>(&self, example: &'static str) -> Result<Vec<(At<'a>, R)>> {
        let row = |&(line, text): &(usize, &str)| {
            Ok((At { path: self.path, line }, read(text, line, self.path, example)?))
        };
        self.rows.iter().map(row).collect()
    }
}

/// A line of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'a> {
    pub path: &'a Path,
    pub line: usize,
}

impl At<'_> {
    /// The refusal of a value that is well formed but not usable.
    pub fn refuse(self, key: &'static str, why: impl Into<String>) -> MaterialError {
        let path = self.path.to_owned();
        MaterialError::Value { path, line: self.line, key, why: why.into() }
    }

    /// Refuses a name that files and HDF5 groups cannot bear.
    pub fn named(self, key: &'static str, name: &str) -> Result<()> {
        match name.starts_with('.') || name.contains(['/', '\\', '\0', '\n']) {
            false => Ok(()),
            true => {
                let why =
                    "is the name of files and groups: give one without `/`, `\\` and a first `.`";
                Err(self.refuse(key, why))
            }
        }
    }

    /// Refuses a text that holds nothing but white space.
    pub fn filled<'t>(
        self,
        texts: impl IntoIterator<Item = (&'static str, &'t String)>,
    ) -> Result<()> {
        match texts.into_iter().find(|(_, text)| text.trim().is_empty()) {
            None => Ok(()),
            Some((key, _)) => {
                Err(self.refuse(key, "the text is empty; write it or remove the row"))
            }
        }
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}, line {}", self.path.display(), self.line)
    }
}

/// Numbers of the rows of a text, in order: the lines that a parser's rows came from.
pub(super) fn row_numbers(text: &str) -> Vec<usize> {
    filled_lines(text).filter(|(_, line)| !is_note(line)).map(|(number, _)| number).collect()
}

/// Trimmed lines that are not blank, with their numbers.
pub(super) fn filled_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.strip_prefix('\u{feff}')
        .unwrap_or(text)
        .lines()
        .enumerate()
        .map(|(i, line)| (i + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty())
}

/// What a text is whose first line begins no JSON object, and the line.
pub(super) fn other_form(text: &str) -> Option<(usize, String)> {
    let (line, first) = filled_lines(text).next()?;
    let start: String = first.chars().take(30).collect();
    let columns = |mark: char| {
        let names: Vec<&str> = first.split(mark).map(|n| n.trim().trim_matches('"')).collect();
        let named = |n: &&str| !n.is_empty() && !n.contains(['{', '}', ':']);
        (names.len() > 1 && names.iter().all(named)).then_some(names)
    };
    let found = match first.chars().next()? {
        '{' => return None,
        '[' => "this is a JSON array, not JSON Lines; take the brackets and the commas between rows away, \
                for instance with `jq -c '.[]' FILE`"
            .into(),
        '<' => format!("this is HTML or XML (`{start}`), such as an error page in place of a download"),
        _ => match ['\t', ';', ','].into_iter().find_map(columns) {
            Some(names) => {
                let names: String = names.join(", ").chars().take(60).collect();
                format!("no JSON object begins here, but `{start}`, as in CSV with the columns {names}")
            }
            None => format!("no JSON object begins here, but `{start}`"),
        },
    };
    Some((line, found))
}

pub(super) fn is_note(line: &str) -> bool {
    #[derive(Deserialize)]
    struct HasAbout {
        #[serde(rename = "about")]
        _about: IgnoredAny,
    }
    serde_json::from_str::<HasAbout>(line).is_ok()
}

fn read<T: DeserializeOwned>(
    text: &str,
    line: usize,
    path: &Path,
    example: &'static str,
) -> Result<T> {
    // First as a value, so that every JSON fault is told from a fault of shape.
    let value: Value = serde_json::from_str(text).map_err(|e| MaterialError::Json {
        path: path.to_owned(),
        line,
        column: e.column(),
        why: reason(&e),
    })?;
    let refuse = |why| MaterialError::Row { path: path.to_owned(), line, why, example };
    let kind = match &value {
        Value::Object(_) => "",
        Value::Array(_) => "a list",
        Value::String(_) => "a text",
        Value::Number(_) => "a number",
        Value::Bool(_) | Value::Null => "a single word",
    };
    if !kind.is_empty() {
        return Err(refuse(format!("{kind} is where a JSON object belongs")));
    }
    // From the text, since a value has already lost a key that stands twice.
    serde_json::from_str(text).map_err(|e| {
        let why = reason(&e);
        refuse(match culprit::<T>(&value, &why) {
            Some(key) => format!("key `{key}`: {why}"),
            None => why,
        })
    })
}

/// The key at whose value serde takes offence, where its sentence does not name one: the first
/// without which it says something else.
fn culprit<T: DeserializeOwned>(row: &Value, why: &str) -> Option<String> {
    if !why.starts_with("invalid") {
        return None;
    }
    let keys = row.as_object()?.keys();
    let blamed = |key: &&String| {
        let mut rest = row.clone();
        if let Some(map) = rest.as_object_mut() {
            map.shift_remove(key.as_str());
        }
        serde_json::from_value::<T>(rest).map_or_else(|e| reason(&e) != why, |_| true)
    };
    keys.into_iter().find(blamed).cloned()
}

/// The ids of one file with the lines that use them.
#[derive(Default)]
pub(super) struct Ids(HashMap<String, usize>);

impl Ids {
    /// Takes the id of a line.
    pub fn take(&mut self, at: At, id: &String) -> Result<()> {
        at.filled([("id", id)])?;
        match self.0.insert(id.clone(), at.line) {
            None => Ok(()),
            Some(first) => {
                let (path, id) = (at.path.to_owned(), id.clone());
                Err(MaterialError::DuplicateId { path, line: at.line, id, first })
            }
        }
    }

    /// Takes the name of an item, which no id and no other item may have.
    pub fn take_item(&mut self, at: At, item: &String) -> Result<()> {
        match self.0.insert(item.clone(), at.line) {
            None => Ok(()),
            Some(first) => {
                let why = format!(
                    "\"{item}\" already names line {first}; an item is two questions that follow \
                     each other, and has a name of its own"
                );
                Err(at.refuse("item", why))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = r#"{"a": 1}"#;

    #[test]
    fn blank_lines_are_skipped_but_counted() {
        let lines = Lines::new("\u{feff}\n{\"a\": 1}\n\n  \n{\"a\": 2}\r\n", Path::new("f"), ROW);
        let rows = lines.unwrap().rows::<Value>(ROW).unwrap();
        assert_eq!(rows.iter().map(|r| r.0.line).collect::<Vec<_>>(), [2, 5]);
    }

    #[test]
    fn row_numbers_are_those_of_the_rows() {
        let text = "\u{feff}\n{\"about\": {}}\n\n{\"a\": 1}\r\n\n{\"a\": 2}";
        assert_eq!(row_numbers(text), [4, 6]);
        let lines = Lines::new(text, Path::new("f"), ROW).unwrap();
        let rows = lines.rows::<Value>(ROW).unwrap();
        let numbers: Vec<usize> = rows.iter().map(|r| r.0.line).collect();
        assert_eq!(numbers, row_numbers(text));
    }

    #[test]
    fn a_note_below_the_first_row_is_named() {
        let text = "{\"a\": 1}\n{\"about\": {}}";
        let error = Lines::new(text, Path::new("f.jsonl"), ROW).err().unwrap();
        assert!(error.to_string().starts_with("f.jsonl, line 2: a note"));
    }

    #[test]
    fn a_note_alone_is_an_empty_file() {
        let error = Lines::new("{\"about\": {}}\n", Path::new("f.jsonl"), ROW);
        assert!(matches!(error.err().unwrap(), MaterialError::Empty { .. }));
    }

    fn refusal(text: &str) -> String {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[allow(dead_code)]
        struct Row {
            a: u8,
            b: Option<String>,
        }
        let path = Path::new("f.jsonl");
        let rows = Lines::new(text, path, ROW).and_then(|l| l.rows::<Row>(ROW));
        rows.unwrap_err().to_string()
    }

    #[test]
    fn other_forms_are_told_as_what_they_are() {
        for (text, line, word) in [
            ("[{\"a\": 1},\n{\"a\": 2}]", 1, "a JSON array"),
            ("\n[\n{\"a\": 1}\n]", 2, "a JSON array"),
            ("a,b\n1,x", 1, "columns a, b"),
            ("\"a\"\t\"b\"\n1\tx", 1, "columns a, b"),
            ("<!DOCTYPE html>", 1, "HTML"),
            ("a: 1\nb: x", 1, "but `a: 1`"),
        ] {
            let sentence = refusal(text);
            let start = format!("f.jsonl, line {line}: ");
            assert!(sentence.starts_with(&start), "{sentence}");
            assert!(
                sentence.contains(word) && sentence.contains("one JSON object a line"),
                "{sentence}"
            );
        }
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_named_by_its_key() {
        for (row, word) in [
            ("{\"b\": \"x\", \"a\": \"1\"}", "key `a`: invalid type: string"),
            ("{\"a\": 1, \"b\": [2]}", "key `b`: invalid type: sequence"),
            ("{\"a\": 1, \"c\": 2}", "unknown field `c`"),
            ("{\"b\": \"x\"}", "missing field `a`"),
            ("{\"a\": 1, \"a\": 2}", "duplicate field `a`"),
            ("[1, null]", "a list is where"),
            ("7", "a number is where"),
        ] {
            let sentence = refusal(&format!("{{\"a\": 1}}\n{row}"));
            assert!(
                sentence.starts_with("f.jsonl, line 2: ") && sentence.contains(word),
                "{sentence}"
            );
        }
    }

    #[test]
    fn a_second_use_of_an_id_names_both_lines() {
        let mut ids = Ids::default();
        let at = |line| At { path: Path::new("f"), line };
        ids.take(at(2), &"x".to_owned()).unwrap();
        let sentence = ids.take(at(7), &"x".to_owned()).unwrap_err().to_string();
        assert!(sentence.contains("line 7") && sentence.contains("line 2"), "{sentence}");
    }
}
