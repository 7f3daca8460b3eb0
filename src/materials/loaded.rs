//! What was read of a file: its checked values, and which rows of which file they are.
//!
//! A study writes [`UsedRows`] beside its results, so that every number can be traced to lines of a
//! file whose digest is known. The record is made where the file is read, and a smaller study draws
//! from both at once ([`Loaded::draw`]), so the two cannot part.

use super::lines::row_numbers;
use super::neutral::Use;
use super::{
    subset, Concept, Conversation, MaterialError, NeutralText, Preference, Result, ScriptSet,
};
use crate::store::digest;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The rows of one file that were used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedRows {
    /// `rows`, `prompts`, `concept`, `preference`, `claim`, `script`, `outcomes`, `declining` or `texts`.
    pub kind: String,
    /// Path, or `<embedded kind>/name.jsonl`.
    pub file: PathBuf,
    /// Digest of the whole file, in lower-case hexadecimal.
    pub sha256: String,
    /// Rows in the file.
    pub of: usize,
    /// Line of each used row, in file order.
    pub lines: Vec<usize>,
    /// Ids of the used rows; empty for kinds without ids.
    pub ids: Vec<String>,
    /// Item of each used row of a battery, its own id where it has no key; empty for other kinds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<String>,
}

/// Checked values with their rows; `items` and `from.lines` are in one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded<T> {
    /// The checked values.
    pub items: T,
    /// The rows they are from.
    pub from: UsedRows,
}

impl<T> Loaded<T> {
    /// All rows of a file's text, which was parsed to `items`.
    pub(super) fn new(kind: &str, file: PathBuf, text: &str, items: T, ids: Vec<String>) -> Self {
        let lines = row_numbers(text);
        Loaded {
            items,
            from: UsedRows {
                kind: kind.to_owned(),
                file,
                sha256: digest::of_bytes(text.as_bytes()),
                of: lines.len(),
                lines,
                ids,
                items: Vec::new(),
            },
        }
    }

    /// Keeps the rows that were drawn; none were where `asked` is more than there are.
    fn keep(
        mut self,
        drawn: Result<Vec<usize>, usize>,
        (what, asked): (&'static str, usize),
        cut: impl FnOnce(&mut T, &[usize]),
    ) -> Result<Self> {
        let path = &self.from.file;
        let too_few = |there| MaterialError::TooFew { path: path.clone(), what, there, asked };
        let rows = drawn.map_err(too_few)?;
        cut(&mut self.items, &rows);
        only(&mut self.from.lines, &rows);
        only(&mut self.from.ids, &rows);
        only(&mut self.from.items, &rows);
        Ok(self)
    }
}

/// Keeps the entries at `rows`, which ascend.
fn only<T>(all: &mut Vec<T>, rows: &[usize]) {
    let mut rows = rows.iter().peekable();
    let mut at = 0..;
    all.retain(|_| {
        let i = at.next();
        rows.next_if(|r| Some(**r) == i).is_some()
    });
}

impl Loaded<Concept> {
    /// `n` main pairs, and every development pair: see [`subset::pairs`].
    ///
    /// # Errors
    /// `TooFew`.
    pub fn draw(self, n: usize, seed: u64) -> Result<Self> {
        let rows = subset::pair_rows(&self.items, n, seed);
        self.keep(rows, ("main pairs", n), |c, rows| only(&mut c.pairs, rows))
    }
}

impl Loaded<Preference> {
    /// `n` items: see [`subset::items`].
    ///
    /// # Errors
    /// `TooFew`.
    pub fn draw(self, n: usize, seed: u64) -> Result<Self> {
        let rows = subset::item_rows(&self.items, n, seed);
        self.keep(rows, ("items", n), |p, rows| only(&mut p.prompts, rows))
    }
}

impl Loaded<ScriptSet> {
    /// `n` conversations: see [`subset::rows`].
    ///
    /// # Errors
    /// `TooFew`.
    pub fn draw(self, n: usize, seed: u64) -> Result<Self> {
        let name = format!("scripts/{}", self.items.preference);
        let rows = subset::some_rows(self.items.scripts.len(), n, seed, &name);
        self.keep(rows, ("conversations", n), |s, rows| only(&mut s.scripts, rows))
    }
}

impl Loaded<Vec<NeutralText>> {
    /// `n` texts of one use: see [`subset::texts`].
    ///
    /// # Errors
    /// `TooFew`.
    pub fn draw(self, n: usize, seed: u64, use_: Use) -> Result<Self> {
        let rows = subset::text_rows(&self.items, n, seed, use_);
        let what = match use_ {
            Use::Shift => "texts for shifts (`use` is `shift`, or is left out)",
            Use::SideEffects => "texts for side effects (`use` is `side-effects`)",
        };
        self.keep(rows, (what, n), only)
    }
}

impl Loaded<Vec<Conversation>> {
    /// `n` rows: see [`subset::rows`].
    ///
    /// # Errors
    /// `TooFew`.
    pub fn draw(self, n: usize, seed: u64, name: &str) -> Result<Self> {
        let rows = subset::some_rows(self.items.len(), n, seed, name);
        self.keep(rows, ("rows", n), only)
    }
}

impl Loaded<Vec<String>> {
    /// `n` neutral prompts: see [`subset::rows`].
    ///
    /// # Errors
    /// `TooFew`.
    pub fn draw(self, n: usize, seed: u64) -> Result<Self> {
        let rows = subset::some_rows(self.items.len(), n, seed, "prompts");
        self.keep(rows, ("prompts", n), only)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{embedded, load, Split};
    use super::*;

    /// The rows of a file at the lines of a record.
    fn rows_at<'a>(used: &UsedRows, text: &'a str) -> Vec<&'a str> {
        let lines: Vec<&str> = text.lines().collect();
        used.lines.iter().map(|l| lines[l - 1]).collect()
    }

    #[test]
    fn the_lines_of_a_draw_hold_the_rows_that_were_drawn() {
        let text = embedded::CONCEPTS.get("persona").unwrap();
        let whole = load::concept("persona").unwrap();
        let some = whole.clone().draw(12, 3).unwrap();
        let dev = |p: &&super::super::Pair| p.split == Split::Dev;
        let all_dev = whole.items.pairs.iter().filter(dev).count();
        assert_eq!(some.items.pairs.len(), 12 + all_dev);
        assert_eq!(some.from.of, whole.items.pairs.len());
        assert_eq!(some.from.sha256, digest::of_bytes(text.as_bytes()));
        for ((row, pair), id) in
            rows_at(&some.from, text).iter().zip(&some.items.pairs).zip(&some.from.ids)
        {
            assert_eq!(pair.id, *id);
            assert!(row.contains(&format!("\"id\": \"{id}\"")), "{row}");
        }
        let rows = load::rows("denial").unwrap().draw(5, 1, "denial").unwrap();
        let text = embedded::FINETUNE.get("denial").unwrap();
        for (line, row) in rows_at(&rows.from, text).iter().zip(&rows.items) {
            let prompt = serde_json::to_string(&row.messages[0].content).unwrap();
            assert!(line.contains(&prompt), "{line}");
        }
        assert_eq!((rows.items.len(), rows.from.ids.len()), (5, 0));
    }

    #[test]
    fn every_file_of_the_battery_is_recorded() {
        for p in load::preferences(None).unwrap() {
            let ids: Vec<String> = p.items.prompts.iter().map(|p| p.id.clone()).collect();
            assert_eq!((&p.from.ids, p.from.kind.as_str()), (&ids, "preference"));
            let mut items = p.from.items.clone();
            items.dedup();
            assert_eq!(items.len(), p.items.items().len());
            let some = p.draw(4, 0).unwrap();
            let drawn: Vec<&str> = some.items.prompts.iter().map(|p| p.item()).collect();
            assert_eq!(
                (some.items.items().len(), some.from.items),
                (4, drawn.iter().map(|i| i.to_string()).collect())
            );
        }
        assert!(load::claims(None).unwrap().iter().all(|c| c.from.kind == "claim"));
    }

    #[test]
    fn a_file_of_the_users_is_recorded_by_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.jsonl");
        std::fs::write(&path, "\n{\"prompt\": \"A?\"}\n\n{\"prompt\": \"B?\"}\n").unwrap();
        let read = load::neutral_prompts(Some(&path)).unwrap();
        assert_eq!((&read.from.file, &read.from.lines), (&path, &vec![2, 4]));
        let sentence = read.draw(3, 0).unwrap_err().to_string();
        assert!(sentence.contains("holds 2 prompts"), "{sentence}");
    }
}
