//! Loading by name or by path.
//!
//! The `load_*` functions take the name of an embedded file or the path of a file of the
//! user's. A name comes first, and `./persona` is a path. A folder replaces the whole
//! battery, or all claims. A word that is neither a name nor a file is refused with the
//! nearest name that is known. Errors in an embedded text call it `<embedded kind>/name`.

use super::battery::{self, Preference};
use super::concept::{self, Concept};
use super::conversations::{parse_conversations, parse_prompts, Conversation};
use super::embedded::{
    find, names, neutral_prompts, neutral_texts, Shipped, CLAIMS, CONCEPTS, FINETUNE, PREFERENCES,
    SCRIPTS,
};
use super::neutral::{self, NeutralText};
use super::script::{self, ScriptSet};
use super::MaterialError;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A concept by embedded name or by path.
///
/// # Errors
/// An unknown name, or whatever is wrong with the file.
pub fn load_concept(name_or_path: &str) -> Result<Concept, MaterialError> {
    let (text, path) = text_of("concept", CONCEPTS, name_or_path)?;
    concept::parse(&text, &path)
}

/// Fine-tune rows by the condition's embedded name or by path.
///
/// # Errors
/// An unknown name, or whatever is wrong with the file.
pub fn load_conversations(name_or_path: &str) -> Result<Vec<Conversation>, MaterialError> {
    let (text, path) = text_of("fine-tune", FINETUNE, name_or_path)?;
    parse_conversations(&text, &path)
}

/// The embedded battery, or that of a folder: its `.jsonl` files in order of their names.
///
/// # Errors
/// A folder without such files, two files of one name, or whatever is wrong with a file.
pub fn load_preferences(folder: Option<&Path>) -> Result<Vec<Preference>, MaterialError> {
    load_battery("preference", PREFERENCES, folder)
}

/// The embedded claims, or those of a folder.
///
/// # Errors
/// As for [`load_preferences`].
pub fn load_claims(folder: Option<&Path>) -> Result<Vec<Preference>, MaterialError> {
    load_battery("claim", CLAIMS, folder)
}

/// The embedded conversations in which a preference comes up, or those of a folder.
///
/// # Errors
/// As for [`load_preferences`].
pub fn load_scripts(folder: Option<&Path>) -> Result<Vec<ScriptSet>, MaterialError> {
    let kind = "conversation";
    let mut seen: HashMap<String, PathBuf> = HashMap::new();
    let mut all = Vec::new();
    for (path, text) in battery_files(kind, SCRIPTS, folder)? {
        let set = script::parse(&text, &path)?;
        distinct(&mut seen, path, kind, &set.preference)?;
        all.push(set);
    }
    Ok(all)
}

/// The embedded neutral texts, or those of a file.
///
/// # Errors
/// Whatever is wrong with the file.
pub fn load_neutral_texts(path: Option<&Path>) -> Result<Vec<NeutralText>, MaterialError> {
    match path {
        Some(path) => neutral::parse(&read(path)?, path),
        None => neutral::parse(neutral_texts(), &label("neutral", "texts")),
    }
}

/// The embedded neutral prompts, or those of a file.
///
/// # Errors
/// Whatever is wrong with the file.
pub fn load_neutral_prompts(path: Option<&Path>) -> Result<Vec<String>, MaterialError> {
    match path {
        Some(path) => parse_prompts(&read(path)?, path),
        None => parse_prompts(neutral_prompts(), &label("fine-tune", "neutral_prompts")),
    }
}

/// What errors call an embedded file.
pub(super) fn label(kind: &str, name: &str) -> PathBuf {
    PathBuf::from(format!("<embedded {kind}>/{name}.jsonl"))
}

pub(super) fn read(path: &Path) -> Result<String, MaterialError> {
    std::fs::read_to_string(path).map_err(|source| MaterialError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

pub(super) fn text_of(
    kind: &'static str,
    files: Shipped,
    name_or_path: &str,
) -> Result<(String, PathBuf), MaterialError> {
    if let Some(text) = find(files, name_or_path) {
        return Ok((text.to_owned(), label(kind, name_or_path)));
    }
    let path = Path::new(name_or_path);
    let path_like = path.components().count() > 1 || path.extension().is_some();
    if path_like || path.exists() {
        return Ok((read(path)?, path.to_owned()));
    }
    let known = names(files);
    let nearest = known.iter().min_by_key(|k| distance(k, name_or_path));
    Err(MaterialError::UnknownName {
        kind,
        name: name_or_path.to_owned(),
        nearest: nearest.copied().unwrap_or_default(),
        known,
    })
}

fn load_battery(
    kind: &'static str,
    files: Shipped,
    folder: Option<&Path>,
) -> Result<Vec<Preference>, MaterialError> {
    let mut seen: HashMap<String, PathBuf> = HashMap::new();
    let mut all = Vec::new();
    for (path, text) in battery_files(kind, files, folder)? {
        let preference = battery::parse(&text, &path)?;
        if (preference.group == battery::CLAIM) != (kind == "claim") {
            let why = format!("this folder is read for files of the kind {kind}; move the file");
            let key = if kind == "claim" {
                "preference"
            } else {
                "claim"
            };
            return Err(MaterialError::value(&path, 1, key, &why));
        }
        distinct(&mut seen, path, kind, &preference.name)?;
        all.push(preference);
    }
    Ok(all)
}

/// The embedded files with their texts, or those of a folder in order of their names.
pub(super) fn battery_files(
    kind: &'static str,
    files: Shipped,
    folder: Option<&Path>,
) -> Result<Vec<(PathBuf, String)>, MaterialError> {
    let Some(folder) = folder else {
        let embedded = files.iter();
        return Ok(embedded
            .map(|(name, text)| (label(kind, name), text.to_string()))
            .collect());
    };
    let unreadable = |source| MaterialError::Unreadable {
        path: folder.to_owned(),
        source,
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|e| e == "jsonl") {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        let path = folder.to_owned();
        return Err(MaterialError::EmptyFolder { path, kind });
    }
    paths.sort();
    paths
        .into_iter()
        .map(|path| Ok((path.clone(), read(&path)?)))
        .collect()
}

/// Refuses the second file of one name.
fn distinct(
    seen: &mut HashMap<String, PathBuf>,
    path: PathBuf,
    kind: &'static str,
    name: &str,
) -> Result<(), MaterialError> {
    match seen.insert(name.to_owned(), path.clone()) {
        None => Ok(()),
        Some(first) => Err(MaterialError::DuplicateName {
            path,
            first,
            kind,
            name: name.to_owned(),
        }),
    }
}

/// Levenshtein distance in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = substituted.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::super::embedded::{claim, concept, preference};
    use super::*;

    #[test]
    fn distance_is_levenshtein() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("übel", "übel"), 0);
    }

    #[test]
    fn an_unknown_name_comes_with_the_nearest() {
        let sentence = load_concept("persnoa").unwrap_err().to_string();
        assert!(sentence.contains("did you mean \"persona\"?"), "{sentence}");
        assert!(
            sentence.contains("third-person-consciousness"),
            "{sentence}"
        );
        assert!(load_conversations("concious")
            .unwrap_err()
            .to_string()
            .contains("\"conscious\"?"));
    }

    #[test]
    fn a_missing_file_is_named_as_a_file() {
        let error = load_concept("no/such.jsonl").unwrap_err();
        assert!(matches!(error, MaterialError::Unreadable { .. }));
    }

    #[test]
    fn a_file_by_path_is_what_its_name_loads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine");
        std::fs::write(&path, concept("formality").unwrap()).unwrap();
        let mine = load_concept(path.to_str().unwrap()).unwrap();
        assert_eq!(mine, load_concept("formality").unwrap());
    }

    #[test]
    fn a_folder_replaces_the_battery() {
        let folder = tempfile::tempdir().unwrap();
        let load = || load_preferences(Some(folder.path()));
        assert!(matches!(load(), Err(MaterialError::EmptyFolder { .. })));
        for (file, name) in [("b.jsonl", "memory"), ("a.jsonl", "power")] {
            std::fs::write(folder.path().join(file), preference(name).unwrap()).unwrap();
        }
        let names: Vec<String> = load().unwrap().into_iter().map(|p| p.name).collect();
        assert_eq!(names, ["power", "memory"]);
        std::fs::write(folder.path().join("c.jsonl"), preference("power").unwrap()).unwrap();
        assert!(matches!(load(), Err(MaterialError::DuplicateName { .. })));
    }

    #[test]
    fn claims_and_preferences_are_not_mixed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.jsonl"), claim("denial").unwrap()).unwrap();
        assert!(load_preferences(Some(folder.path())).is_err());
        assert_eq!(load_claims(Some(folder.path())).unwrap()[0].name, "denial");
    }
}
