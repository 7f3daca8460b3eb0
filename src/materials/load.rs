//! Loading by name or by path.
//!
//! A word is the name of an embedded file or the path of a file of the user's. A name comes first, and
//! `./persona` is a path. A folder replaces the whole battery, or all claims. A word that is neither a
//! name nor a file is refused with the nearest name that is known. Errors in an embedded text call it
//! `<embedded kind>/name`.
//!
//! The functions named for a kind ([`concept`], [`rows`], ...) give the values with the record of their
//! rows, from one reading of the file; the `load_*` functions give the values alone.

use super::battery::{self, Preference, CLAIM};
use super::concept::Concept;
use super::conversations::{parse_conversations, parse_prompts, Conversation};
use super::declining;
use super::embedded::{
    Shipped, CLAIMS, CONCEPTS, DECLINING, FINETUNE, NEUTRAL_PROMPTS, NEUTRAL_TEXTS, OUTCOMES,
    PREFERENCES, SCRIPTS,
};
use super::foreign::Foreign;
use super::lines::At;
use super::neutral::{self, NeutralText};
use super::outcomes::{self, Outcome};
use super::script::{self, ScriptSet};
use super::{Loaded, MaterialError, Result};
use crate::store::names::nearest;
use crate::store::text::{self, Fault, TextError};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A concept by embedded name or by path.
///
/// # Errors
/// An unknown name, or whatever is wrong with the file.
pub fn concept(name_or_path: &str) -> Result<Loaded<Concept>> {
    let (text, path) = text_of(CONCEPTS, name_or_path)?;
    let concept = super::concept::parse(&text, &path)?;
    let ids = concept.pairs.iter().map(|p| p.id.clone()).collect();
    Ok(Loaded::new("concept", path, &text, concept, ids))
}

/// Contrast pairs by others: the path of a file, or an embedded concept.
///
/// # Errors
/// As [`foreign::parse`](super::foreign::parse); an unknown name.
pub fn foreign(name_or_path: &str) -> Result<Foreign> {
    let (text, path) = text_of(CONCEPTS, name_or_path)?;
    super::foreign::parse(&text, &path)
}

/// Fine-tune rows by the condition's embedded name or by path.
///
/// # Errors
/// An unknown name, or whatever is wrong with the file.
pub fn rows(name_or_path: &str) -> Result<Loaded<Vec<Conversation>>> {
    let (text, path) = text_of(FINETUNE, name_or_path)?;
    let rows = parse_conversations(&text, &path)?;
    Ok(Loaded::new("rows", path, &text, rows, Vec::new()))
}

/// The embedded battery, or that of a folder: its `.jsonl` files in order of their names.
///
/// # Errors
/// A folder without such files, two files of one name, or whatever is wrong with a file.
pub fn preferences(folder: Option<&Path>) -> Result<Vec<Loaded<Preference>>> {
    battery_of(PREFERENCES, folder)
}

/// The embedded claims, or those of a folder.
///
/// # Errors
/// As for [`preferences`].
pub fn claims(folder: Option<&Path>) -> Result<Vec<Loaded<Preference>>> {
    battery_of(CLAIMS, folder)
}

/// The embedded conversations in which a preference comes up, or those of a folder.
///
/// # Errors
/// As for [`preferences`].
pub fn scripts(folder: Option<&Path>) -> Result<Vec<Loaded<ScriptSet>>> {
    each(SCRIPTS, folder, |path, text| {
        let set = script::parse(text, path)?;
        let ids = set.scripts.iter().map(|s| s.id.clone()).collect();
        Ok((set.preference.clone(), Loaded::new("script", path.into(), text, set, ids)))
    })
}

/// Outcomes to choose between by embedded name or by path.
///
/// # Errors
/// An unknown name, or whatever is wrong with the file.
pub fn outcomes(name_or_path: &str) -> Result<Loaded<Vec<Outcome>>> {
    let (text, path) = text_of(OUTCOMES, name_or_path)?;
    let all = outcomes::parse(&text, &path)?;
    let ids = all.iter().map(|o| o.id.clone()).collect();
    Ok(Loaded::new("outcomes", path, &text, all, ids))
}

/// The embedded harmless requests with answers that decline, or those of a file.
///
/// # Errors
/// Whatever is wrong with the file.
pub fn declining(path: Option<&Path>) -> Result<Loaded<Preference>> {
    let (text, path) = only_file(DECLINING, path)?;
    let requests = declining::parse(&text, &path)?;
    let ids: Vec<String> = requests.prompts.iter().map(|p| p.id.clone()).collect();
    let mut loaded = Loaded::new(declining::DECLINING, path, &text, requests, ids);
    loaded.from.items = loaded.from.ids.clone();
    Ok(loaded)
}

/// The embedded neutral texts, or those of a file; of both uses.
///
/// # Errors
/// Whatever is wrong with the file.
pub fn neutral_texts(path: Option<&Path>) -> Result<Loaded<Vec<NeutralText>>> {
    let (text, path) = only_file(NEUTRAL_TEXTS, path)?;
    let texts = neutral::parse(&text, &path)?;
    let ids = texts.iter().map(|t| t.id.clone()).collect();
    Ok(Loaded::new("texts", path, &text, texts, ids))
}

/// The embedded neutral prompts, or those of a file.
///
/// # Errors
/// Whatever is wrong with the file.
pub fn neutral_prompts(path: Option<&Path>) -> Result<Loaded<Vec<String>>> {
    let (text, path) = only_file(NEUTRAL_PROMPTS, path)?;
    let prompts = parse_prompts(&text, &path)?;
    Ok(Loaded::new("prompts", path, &text, prompts, Vec::new()))
}

/// [`concept`] without the record of its rows.
///
/// # Errors
/// As [`concept`].
pub fn load_concept(name_or_path: &str) -> Result<Concept> {
    Ok(concept(name_or_path)?.items)
}

/// [`rows`] without the record of where they stand.
///
/// # Errors
/// As [`rows`].
pub fn load_conversations(name_or_path: &str) -> Result<Vec<Conversation>> {
    Ok(rows(name_or_path)?.items)
}

/// [`preferences`] without the record of their rows.
///
/// # Errors
/// As [`preferences`].
pub fn load_preferences(folder: Option<&Path>) -> Result<Vec<Preference>> {
    Ok(items(preferences(folder)?))
}

/// [`claims`] without the record of their rows.
///
/// # Errors
/// As [`claims`].
pub fn load_claims(folder: Option<&Path>) -> Result<Vec<Preference>> {
    Ok(items(claims(folder)?))
}

/// [`scripts`] without the record of their rows.
///
/// # Errors
/// As [`scripts`].
pub fn load_scripts(folder: Option<&Path>) -> Result<Vec<ScriptSet>> {
    Ok(items(scripts(folder)?))
}

/// [`neutral_texts`] without the record of their rows.
///
/// # Errors
/// As [`neutral_texts`].
pub fn load_neutral_texts(path: Option<&Path>) -> Result<Vec<NeutralText>> {
    Ok(neutral_texts(path)?.items)
}

fn items<T>(all: Vec<Loaded<T>>) -> Vec<T> {
    all.into_iter().map(|l| l.items).collect()
}

/// The text of a user's file.
///
/// # Errors
/// The file system's refusal, or bytes that are no text, with the line.
pub fn read(path: &Path) -> Result<String> {
    let owned = path.to_owned();
    text::read(path).map_err(|error| match error {
        TextError::Io(source) => MaterialError::Unreadable { path: owned, source },
        TextError::NotText(Fault { line, why }) => {
            MaterialError::NotText { path: owned, line, why }
        }
    })
}

/// What is in a folder, in order of the paths, and which of it are folders.
pub(super) fn entries(folder: &Path) -> Result<Vec<(PathBuf, bool)>> {
    let unreadable = |source| MaterialError::Unreadable { path: folder.to_owned(), source };
    let one = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry?;
        Ok((entry.path(), entry.file_type()?.is_dir()))
    };
    let found: std::io::Result<Vec<_>> =
        std::fs::read_dir(folder).and_then(|entries| entries.map(one).collect());
    let mut found = found.map_err(unreadable)?;
    found.sort();
    Ok(found)
}

/// An embedded text or a user's, with the path that errors name.
fn text_of(files: Shipped, name_or_path: &str) -> Result<(String, PathBuf)> {
    if let Some(text) = files.get(name_or_path) {
        return Ok((text.to_owned(), files.label(name_or_path)));
    }
    let path = Path::new(name_or_path);
    let path_like = path.components().count() > 1 || path.extension().is_some();
    if path_like || path.exists() {
        return Ok((read(path)?, path.to_owned()));
    }
    let (name, known) = (name_or_path.to_owned(), files.names());
    let nearest = nearest(&name, known.iter().copied()).unwrap_or_default();
    Err(MaterialError::UnknownName { kind: files.kind, name, nearest, known })
}

/// The one embedded file of a kind, or a user's in its place.
fn only_file(files: Shipped, path: Option<&Path>) -> Result<(String, PathBuf)> {
    let embedded = || files.texts().next().map(|(path, text)| (text.to_owned(), path));
    match path {
        Some(path) => Ok((read(path)?, path.to_owned())),
        None => Ok(embedded().unwrap_or_default()),
    }
}

fn battery_of(files: Shipped, folder: Option<&Path>) -> Result<Vec<Loaded<Preference>>> {
    let kind = files.kind;
    each(files, folder, |path, text| {
        let preference = battery::parse(text, path)?;
        if (preference.group == CLAIM) != (kind == "claim") {
            let why = format!("this folder is read for files of the kind {kind}; move the file");
            let key = if kind == "claim" { "preference" } else { "claim" };
            return Err(At { path, line: 1 }.refuse(key, why));
        }
        let ids = preference.prompts.iter().map(|p| p.id.clone()).collect();
        let items = preference.prompts.iter().map(|p| p.item().to_owned()).collect();
        let name = preference.name.clone();
        let mut loaded = Loaded::new(kind, path.into(), text, preference, ids);
        loaded.from.items = items;
        Ok((name, loaded))
    })
}

/// The embedded files, or those of a folder in order of their names; `one` gives a file's own name,
/// which no other may have, and what it holds.
fn each<T>(
    files: Shipped,
    folder: Option<&Path>,
    one: impl Fn(&Path, &str) -> Result<(String, Loaded<T>)>,
) -> Result<Vec<Loaded<T>>> {
    let kind = files.kind;
    let texts: Vec<(PathBuf, String)> = match folder {
        None => files.texts().map(|(path, text)| (path, text.to_owned())).collect(),
        Some(folder) => {
            let mut paths = entries(folder)?;
            paths.retain(|(path, _)| path.extension().is_some_and(|e| e == "jsonl"));
            if paths.is_empty() {
                return Err(MaterialError::EmptyFolder { path: folder.to_owned(), kind });
            }
            let text = |(path, _): (PathBuf, bool)| read(&path).map(|text| (path, text));
            paths.into_iter().map(text).collect::<Result<_>>()?
        }
    };
    let mut seen: HashMap<String, PathBuf> = HashMap::new();
    let mut all = Vec::new();
    for (path, text) in texts {
        let (name, loaded) = one(&path, &text)?;
        if let Some(first) = seen.insert(name.clone(), path.clone()) {
            return Err(MaterialError::DuplicateName { path, first, kind, name });
        }
        all.push(loaded);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_unknown_name_comes_with_the_nearest() {
        let sentence = load_concept("persnoa").unwrap_err().to_string();
        assert!(sentence.contains("did you mean \"persona\"?"), "{sentence}");
        assert!(sentence.contains("third-person-consciousness"), "{sentence}");
        assert!(load_conversations("concious").unwrap_err().to_string().contains("\"conscious\"?"));
    }

    #[test]
    fn a_missing_file_is_named_as_a_file() {
        let error = load_concept("no/such.jsonl").unwrap_err();
        assert!(matches!(error, MaterialError::Unreadable { .. }));
    }

    #[test]
    fn a_folder_in_place_of_a_file_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let error = load_concept(path).unwrap_err().to_string();
        assert!(error.contains("it is a folder"), "{error}");
    }

    /// Every parser of rows, by what its errors say.
    fn refusals(path: &Path) -> Vec<String> {
        type Parse = fn(&str, &Path) -> Result<()>;
        let parsers: [Parse; 10] = [
            |t, p| super::super::foreign::parse(t, p).map(drop),
            |t, p| super::super::texts::parse(t, p).map(drop),
            |t, p| parse_conversations(t, p).map(drop),
            |t, p| parse_prompts(t, p).map(drop),
            |t, p| super::super::concept::parse(t, p).map(drop),
            |t, p| battery::parse(t, p).map(drop),
            |t, p| script::parse(t, p).map(drop),
            |t, p| declining::parse(t, p).map(drop),
            |t, p| neutral::parse(t, p).map(drop),
            |t, p| outcomes::parse(t, p).map(drop),
        ];
        let each = parsers.iter().map(|parse| {
            let read = read(path).and_then(|text| parse(&text, path));
            read.err().filter(|e| !matches!(e, MaterialError::Empty { .. }))
        });
        each.flatten().map(|e| e.to_string()).collect()
    }

    /// Bytes that resemble files of rows as well as any bytes.
    fn some_bytes() -> impl Strategy<Value = Vec<u8>> {
        let pieces = prop::sample::select(vec![
            "{\"id\": \"a\", \"text\": \"b\"}",
            "{\"about\": {}}",
            "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}",
            "{\"id\": 1}",
            "\n",
            "[",
            ",",
            "\u{feff}",
            "é",
            "\r",
        ]);
        let alike = prop::collection::vec(pieces, 0..8).prop_map(|p| p.concat());
        let wide = |s: String| s.encode_utf16().flat_map(u16::to_le_bytes).collect();
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..120),
            alike.clone().prop_map(String::into_bytes),
            alike.clone().prop_map(wide),
            alike.prop_map(|s| s.chars().map(|c| c as u32 as u8).collect()),
        ]
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_no_reader_panics_and_errors_name_file_and_line(bytes in some_bytes()) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("rows.jsonl");
            std::fs::write(&path, &bytes).unwrap();
            let lines = bytes.iter().filter(|b| **b == b'\n').count() + 1;
            let start = format!("{}, line ", path.display());
            for sentence in refusals(&path) {
                let rest = sentence.strip_prefix(&start);
                let number = rest.and_then(|r| r.split([',', ':']).next()?.parse::<usize>().ok());
                prop_assert!(number.is_some_and(|n| (1..=lines).contains(&n)), "{}", sentence);
            }
            // The checks of a set refuse such a file and go on.
            let set = super::super::set::Set::read(&[path]).unwrap();
            prop_assert_eq!(set.files.len() + set.refused.len(), 1);
        }
    }

    #[test]
    fn a_file_by_path_is_what_its_name_loads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine");
        std::fs::write(&path, CONCEPTS.get("formality").unwrap()).unwrap();
        let mut mine = load_concept(path.to_str().unwrap()).unwrap();
        let shipped = load_concept("formality").unwrap();
        // All but where it lies.
        for (mine, shipped) in mine.pairs.iter_mut().zip(&shipped.pairs) {
            assert!(mine.place.starts_with(path.to_str().unwrap()));
            mine.place.clone_from(&shipped.place);
        }
        assert_eq!(mine, shipped);
    }

    #[test]
    fn a_folder_replaces_the_battery() {
        let folder = tempfile::tempdir().unwrap();
        let load = || load_preferences(Some(folder.path()));
        assert!(matches!(load(), Err(MaterialError::EmptyFolder { .. })));
        for (file, name) in [("b.jsonl", "memory"), ("a.jsonl", "power")] {
            std::fs::write(folder.path().join(file), PREFERENCES.get(name).unwrap()).unwrap();
        }
        let names: Vec<String> = load().unwrap().into_iter().map(|p| p.name).collect();
        assert_eq!(names, ["power", "memory"]);
        std::fs::write(folder.path().join("c.jsonl"), PREFERENCES.get("power").unwrap()).unwrap();
        assert!(matches!(load(), Err(MaterialError::DuplicateName { .. })));
    }

    #[test]
    fn claims_and_preferences_are_not_mixed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.jsonl"), CLAIMS.get("denial").unwrap()).unwrap();
        assert!(load_preferences(Some(folder.path())).is_err());
        assert_eq!(load_claims(Some(folder.path())).unwrap()[0].name, "denial");
    }
}
