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
use super::lines::row_numbers;
use super::neutral::{self, NeutralText};
use super::script::{self, ScriptSet};
use super::MaterialError;
use crate::store::text::{self, Fault, TextError};
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

/// The lines of the prompts of [`load_neutral_prompts`].
///
/// # Errors
/// The file cannot be read.
pub fn neutral_prompt_lines(path: Option<&Path>) -> Result<Vec<usize>, MaterialError> {
    Ok(match path {
        Some(path) => row_numbers(&read(path)?),
        None => row_numbers(neutral_prompts()),
    })
}

/// What errors call an embedded file.
pub(super) fn label(kind: &str, name: &str) -> PathBuf {
    PathBuf::from(format!("<embedded {kind}>/{name}.jsonl"))
}

/// The text of a user's file.
///
/// # Errors
/// The file system's refusal, or bytes that are no text, with the line.
pub fn read(path: &Path) -> Result<String, MaterialError> {
    let path_buf = || path.to_owned();
    text::read(path).map_err(|error| match error {
        TextError::Io(source) => MaterialError::Unreadable {
            path: path_buf(),
            source,
        },
        TextError::NotText(Fault { line, why }) => MaterialError::NotText {
            path: path_buf(),
            line,
            why,
        },
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
    use super::super::embedded::{claim, concept as shipped, preference};
    use super::*;
    use proptest::prelude::*;

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
    fn a_folder_in_place_of_a_file_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let error = load_concept(path).unwrap_err().to_string();
        assert!(error.contains("it is a folder"), "{error}");
    }

    /// Every parser of rows, by what its errors say.
    fn refusals(path: &Path) -> Vec<String> {
        type Parse = fn(&str, &Path) -> Result<(), MaterialError>;
        let parsers: [Parse; 7] = [
            |t, p| super::super::texts::parse(t, p).map(drop),
            |t, p| parse_conversations(t, p).map(drop),
            |t, p| parse_prompts(t, p).map(drop),
            |t, p| concept::parse(t, p).map(drop),
            |t, p| battery::parse(t, p).map(drop),
            |t, p| script::parse(t, p).map(drop),
            |t, p| neutral::parse(t, p).map(drop),
        ];
        let each = parsers.iter().map(|parse| {
            let read = read(path).and_then(|text| parse(&text, path));
            read.err()
                .filter(|e| !matches!(e, MaterialError::Empty { .. }))
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
        std::fs::write(&path, shipped("formality").unwrap()).unwrap();
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
