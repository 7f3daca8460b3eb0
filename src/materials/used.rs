//! Which rows of which files a study used.
//!
//! Each function names its file as the loader beside it does and takes the same number of rows as
//! [`subset`] or the head of the file gives, so that the record is what was used: the file's digest,
//! the line of each row, and its id where the kind has ids.

use super::battery::CLAIM;
use super::embedded::{CLAIMS, CONCEPTS, FINETUNE, NEUTRAL_PROMPTS, NEUTRAL_TEXTS, PREFERENCES};
use super::lines::row_numbers;
use super::load::{battery_files, label, read, text_of};
use super::{battery, concept, conversations, neutral, subset, MaterialError};
use crate::store::digest;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The rows of one file that were used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedRows {
    /// `rows`, `prompts`, `concept`, `preference`, `claim` or `texts`.
    pub kind: String,
    /// Path, or `<embedded kind>/name.jsonl`.
    pub file: PathBuf,
    pub sha256: String,
    /// Rows in the file.
    pub of: usize,
    /// Line of each used row, in file order.
    pub lines: Vec<usize>,
    /// Ids of the used rows; empty for kinds without ids.
    pub ids: Vec<String>,
}

/// A record of the rows at `taken`, indices into the rows of `text`.
fn record(kind: &str, file: PathBuf, text: &str, taken: &[usize], ids: Vec<String>) -> UsedRows {
    let numbers = row_numbers(text);
    UsedRows {
        kind: kind.to_owned(),
        file,
        sha256: digest::of_bytes(text.as_bytes()),
        of: numbers.len(),
        lines: taken
            .iter()
            .filter_map(|&i| numbers.get(i).copied())
            .collect(),
        ids,
    }
}

/// The first `n` rows, or all if there are fewer.
fn head(len: usize, n: usize) -> Vec<usize> {
    (0..len.min(n)).collect()
}

/// Where each chosen id stands among all.
fn places<'a>(all: impl Iterator<Item = &'a str>, chosen: &[String]) -> Vec<usize> {
    all.enumerate()
        .filter(|(_, id)| chosen.iter().any(|c| c == id))
        .map(|(i, _)| i)
        .collect()
}

/// The first `n` fine-tune rows of [`load_conversations`](super::load_conversations).
///
/// # Errors
/// As the loader.
pub fn conversations(name_or_path: &str, n: usize) -> Result<UsedRows, MaterialError> {
    let (text, path) = text_of("fine-tune", FINETUNE, name_or_path)?;
    let rows = conversations::parse_conversations(&text, &path)?;
    Ok(record(
        "rows",
        path,
        &text,
        &head(rows.len(), n),
        Vec::new(),
    ))
}

/// The `n` pairs of [`load_concept`](super::load_concept) that [`subset::pairs`] takes.
///
/// # Errors
/// As the loader.
pub fn pairs(name_or_path: &str, n: usize) -> Result<UsedRows, MaterialError> {
    let (text, path) = text_of("concept", CONCEPTS, name_or_path)?;
    let concept = concept::parse(&text, &path)?;
    let ids: Vec<String> = subset::pairs(&concept, n)
        .iter()
        .map(|p| p.id.clone())
        .collect();
    let taken = places(concept.pairs.iter().map(|p| p.id.as_str()), &ids);
    Ok(record("concept", path, &text, &taken, ids))
}

/// For each file of [`load_preferences`](super::load_preferences), the `n` prompts that
/// [`subset::prompts`] takes.
///
/// # Errors
/// As the loader.
pub fn preferences(folder: Option<&Path>, n: usize) -> Result<Vec<UsedRows>, MaterialError> {
    prompts_of(battery_files("preference", PREFERENCES, folder)?, n)
}

/// For each file of [`load_claims`](super::load_claims), the `n` prompts that [`subset::prompts`]
/// takes.
///
/// # Errors
/// As the loader.
pub fn claims(folder: Option<&Path>, n: usize) -> Result<Vec<UsedRows>, MaterialError> {
    prompts_of(battery_files("claim", CLAIMS, folder)?, n)
}

fn prompts_of(files: Vec<(PathBuf, String)>, n: usize) -> Result<Vec<UsedRows>, MaterialError> {
    files
        .into_iter()
        .map(|(path, text)| {
            let preference = battery::parse(&text, &path)?;
            let chosen = subset::prompts(&preference, n);
            let ids: Vec<String> = chosen.iter().map(|p| p.id.clone()).collect();
            let taken = places(preference.prompts.iter().map(|p| p.id.as_str()), &ids);
            let kind = match preference.group.as_str() {
                CLAIM => "claim",
                _ => "preference",
            };
            Ok(record(kind, path, &text, &taken, ids))
        })
        .collect()
}

/// The first `n` neutral texts of [`load_neutral_texts`](super::load_neutral_texts).
///
/// # Errors
/// As the loader.
pub fn neutral_texts(path: Option<&Path>, n: usize) -> Result<UsedRows, MaterialError> {
    let (text, path) = match path {
        Some(path) => (read(path)?, path.to_owned()),
        None => (
            NEUTRAL_TEXTS[0].1.to_owned(),
            label("neutral", NEUTRAL_TEXTS[0].0),
        ),
    };
    let texts = neutral::parse(&text, &path)?;
    let ids = texts.iter().take(n).map(|t| t.id.clone()).collect();
    Ok(record("texts", path, &text, &head(texts.len(), n), ids))
}

/// The first `n` prompts of [`load_neutral_prompts`](super::load_neutral_prompts).
///
/// # Errors
/// As the loader.
pub fn neutral_prompts(path: Option<&Path>, n: usize) -> Result<UsedRows, MaterialError> {
    let (text, path) = match path {
        Some(path) => (read(path)?, path.to_owned()),
        None => (
            NEUTRAL_PROMPTS[0].1.to_owned(),
            label("fine-tune", NEUTRAL_PROMPTS[0].0),
        ),
    };
    let prompts = conversations::parse_prompts(&text, &path)?;
    Ok(record(
        "prompts",
        path,
        &text,
        &head(prompts.len(), n),
        Vec::new(),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::{load_concept, load_conversations, load_preferences};
    use super::*;

    /// The rows of a shipped file at the lines of a record.
    fn rows_at<'a>(used: &UsedRows, text: &'a str) -> Vec<&'a str> {
        let lines: Vec<&str> = text.lines().collect();
        used.lines.iter().map(|l| lines[l - 1]).collect()
    }

    #[test]
    fn the_lines_of_pairs_hold_the_pairs_that_the_subset_takes() {
        let used = pairs("persona", 12).unwrap();
        let concept = load_concept("persona").unwrap();
        let taken = subset::pairs(&concept, 12);
        let text = super::super::embedded::concept("persona").unwrap();
        for (row, pair) in rows_at(&used, text).iter().zip(&taken) {
            assert!(row.contains(&format!("\"id\": \"{}\"", pair.id)), "{row}");
        }
        assert_eq!((used.lines.len(), used.ids.len()), (12, 12));
        assert_eq!(used.of, concept.pairs.len());
        assert_eq!(used.sha256, digest::of_bytes(text.as_bytes()));
    }

    #[test]
    fn the_lines_of_rows_hold_the_first_rows() {
        let used = conversations("denial", 5).unwrap();
        let text = super::super::embedded::finetune("denial").unwrap();
        let rows = load_conversations("denial").unwrap();
        for (line, row) in rows_at(&used, text).iter().zip(&rows) {
            let prompt = serde_json::to_string(&row.messages[0].content).unwrap();
            assert!(line.contains(&prompt), "{line}");
        }
        assert_eq!(used.lines, [2, 3, 4, 5, 6]);
        assert_eq!(
            conversations("denial", 9999).unwrap().lines.len(),
            rows.len()
        );
    }

    #[test]
    fn every_file_of_the_battery_is_recorded() {
        let used = preferences(None, 3).unwrap();
        let battery = load_preferences(None).unwrap();
        assert_eq!(used.len(), battery.len());
        for (u, p) in used.iter().zip(&battery) {
            let ids: Vec<&str> = subset::prompts(p, 3)
                .iter()
                .map(|p| p.id.as_str())
                .collect();
            assert_eq!(
                (u.ids.clone(), u.kind.as_str()),
                (ids.into_iter().map(str::to_owned).collect(), "preference")
            );
        }
        assert!(claims(None, 4)
            .unwrap()
            .iter()
            .all(|u| u.kind == "claim" && u.ids.len() == 4));
    }

    #[test]
    fn neutral_materials_are_recorded_by_line() {
        assert_eq!(neutral_texts(None, 2).unwrap().lines, [2, 3]);
        assert_eq!(neutral_prompts(None, 3).unwrap().lines, [2, 3, 4]);
        assert_eq!(neutral_texts(None, 2).unwrap().ids.len(), 2);
    }

    #[test]
    fn a_file_of_the_users_is_recorded_by_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.jsonl");
        let text = "\n{\"prompt\": \"A?\"}\n\n{\"prompt\": \"B?\"}\n";
        std::fs::write(&path, text).unwrap();
        let used = neutral_prompts(Some(&path), 9).unwrap();
        assert_eq!((used.file, used.lines, used.of), (path, vec![2, 4], 2));
    }
}
