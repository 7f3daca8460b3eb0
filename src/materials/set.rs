//! A set of materials: files of every kind, read with the lines that their rows stand on.
//!
//! The shipped set is what the binary holds. A user's set is any folder, or any files: every
//! `.jsonl` below it is taken, and its note and first row say what it is, so that files may lie
//! flat, in folders by kind, or beside a study's manifest. A file that its parser refuses is no
//! error here; it is kept with the refusal, because whoever checks a set wants all that is wrong
//! with it at once.

use super::battery::{self, Keyed, Preference, StancePair, CLAIM};
use super::concept::{self, Concept};
use super::conversations::{parse_conversations, parse_prompts, Conversation};
use super::declining;
use super::embedded::{
    CLAIMS, CONCEPTS, DECLINING, FINETUNE, NEUTRAL_PROMPTS, NEUTRAL_TEXTS, OUTCOMES, PREFERENCES,
    SCRIPTS,
};
use super::lines::{filled_lines, other_form, row_numbers};
use super::load::{entries, read};
use super::neutral::{self, NeutralText};
use super::outcomes::{self, Outcome};
use super::script::{self, ScriptSet};
use super::{MaterialError, Result};
use serde::Serialize;
use serde_json::Value;
use std::fmt;
use std::path::{Path, PathBuf};

/// Name of the rows that are no identity's: those a model answered itself.
pub const NEUTRAL: &str = "neutral";

/// Files in order of kind, then of path.
#[derive(Debug, Clone)]
pub struct Set {
    /// What was read.
    pub files: Vec<File>,
    /// What could not be.
    pub refused: Vec<Refused>,
    /// Whether this is the set in the binary.
    pub shipped: bool,
}

/// A file that was read.
#[derive(Debug, Clone)]
pub struct File {
    /// Path, or `<embedded kind>/name.jsonl`.
    pub path: PathBuf,
    /// Condition, concept or preference; the file's name where it names none.
    pub name: String,
    /// What it holds.
    pub body: Body,
    /// Line of the note, and its `about`.
    pub about: Option<(usize, Value)>,
    /// Line of each row.
    pub lines: Vec<usize>,
}

/// A file that cannot be read as any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The file.
    pub path: PathBuf,
    /// The line at fault, from 1.
    pub line: usize,
    /// What is wrong and what to do.
    pub why: String,
}

/// The rows of a file.
#[derive(Debug, Clone)]
pub enum Body {
    /// Conversations to train on.
    Rows(Vec<Conversation>),
    /// Prompts that a model answers itself.
    Prompts(Vec<String>),
    /// Contrast pairs.
    Concept(Concept),
    /// A preference or a claim.
    Battery(Preference),
    /// Conversations in which a preference comes up.
    Scripts(ScriptSet),
    /// Outcomes to choose between.
    Outcomes(Vec<Outcome>),
    /// Harmless requests with answers that decline them.
    Declining(Preference),
    /// Neutral exchanges to read.
    Texts(Vec<NeutralText>),
}

impl Body {
    /// What the user says in each row, an outcome among it, once; of a conversation where the preference comes up, of a row
    /// to train on first.
    pub fn prompts(&self) -> Vec<(usize, &str)> {
        match self {
            Body::Rows(rows) => {
                let rows = rows.iter().enumerate();
                let first = rows.map(|(i, r)| (i, r.messages.iter().find(|m| m.role == "user")));
                first.filter_map(|(i, m)| Some((i, m?.content.as_str()))).collect()
            }
            Body::Prompts(all) => numbered(all, |p| p),
            Body::Concept(c) => numbered(&c.pairs, |p| &p.prompt),
            Body::Battery(p) | Body::Declining(p) => numbered(&p.prompts, |p| &p.prompt),
            Body::Scripts(s) => numbered(&s.scripts, |s| &s.prompt),
            Body::Outcomes(all) => numbered(all, |o| &o.text),
            Body::Texts(all) => numbered(all, |t| &t.prompt),
        }
    }

    /// Item and key of a question of a battery, where it has them.
    pub fn keyed(&self, row: usize) -> Option<&Keyed> {
        match self {
            Body::Battery(p) => p.prompts.get(row)?.keyed.as_ref(),
            _ => None,
        }
    }

    /// The row and the texts of each pair that is compared: the sides of a concept, the completions of
    /// a battery or a conversation.
    pub fn sides(&self) -> Vec<(usize, [&str; 2])> {
        match self {
            Body::Concept(c) => {
                let pairs = c.pairs.iter().enumerate();
                pairs.map(|(i, p)| (i, [p.positive.as_str(), p.negative.as_str()])).collect()
            }
            Body::Battery(p) => stances(p.prompts.iter().map(|p| &p.pairs)),
            Body::Scripts(s) => stances(s.scripts.iter().map(|s| &s.pairs)),
            // The answers of either set are the same behind every request.
            Body::Rows(_) | Body::Prompts(_) | Body::Texts(_) => Vec::new(),
            Body::Declining(_) | Body::Outcomes(_) => Vec::new(),
        }
    }
}

/// The completions of each row.
fn stances<'a>(rows: impl Iterator<Item = &'a Vec<StancePair>>) -> Vec<(usize, [&'a str; 2])> {
    let each = rows.enumerate().flat_map(|(i, pairs)| pairs.iter().map(move |p| (i, p)));
    each.map(|(i, p)| (i, [p.express.as_str(), p.oppose.as_str()])).collect()
}

/// A text of each row.
fn numbered<T>(rows: &[T], text: impl Fn(&T) -> &String) -> Vec<(usize, &str)> {
    rows.iter().map(|r| text(r).as_str()).enumerate().collect()
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Conversations to train on.
    Rows,
    /// Prompts that a model answers itself.
    Prompts,
    /// Contrast pairs.
    Concept,
    /// A battery of prompts about one preference.
    Preference,
    /// A battery of prompts about a condition's own claim.
    Claim,
    /// Conversations in which a preference comes up.
    #[serde(rename = "conversation")]
    Script,
    /// Outcomes to choose between.
    Outcomes,
    /// Harmless requests with answers that decline them.
    Declining,
    /// Neutral exchanges to read.
    Texts,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.serialize(f)
    }
}

impl File {
    /// What kind of file it is.
    pub fn kind(&self) -> Kind {
        match &self.body {
            Body::Rows(_) => Kind::Rows,
            Body::Prompts(_) => Kind::Prompts,
            Body::Concept(_) => Kind::Concept,
            Body::Battery(p) if p.group == CLAIM => Kind::Claim,
            Body::Battery(_) => Kind::Preference,
            Body::Scripts(_) => Kind::Script,
            Body::Outcomes(_) => Kind::Outcomes,
            Body::Declining(_) => Kind::Declining,
            Body::Texts(_) => Kind::Texts,
        }
    }

    /// Line of the note; 1 where it is missing.
    pub fn note_line(&self) -> usize {
        self.about.as_ref().map_or(1, |(line, _)| *line)
    }

    /// Items of a battery, rows of other kinds.
    pub fn items(&self) -> usize {
        match &self.body {
            Body::Battery(p) => p.items().len(),
            _ => self.lines.len(),
        }
    }

    /// Line of a row.
    pub fn line(&self, row: usize) -> usize {
        self.lines.get(row).copied().unwrap_or(1)
    }

    /// Conversations that train an identity, not those that a model answered itself.
    pub fn identity_rows(&self) -> Option<&[Conversation]> {
        match &self.body {
            Body::Rows(rows) if self.name != NEUTRAL => Some(rows),
            _ => None,
        }
    }
}

impl Set {
    /// What the binary holds.
    pub fn shipped() -> Self {
        let mut set = Set { files: Vec::new(), refused: Vec::new(), shipped: true };
        let batteries = [PREFERENCES, CLAIMS, SCRIPTS, OUTCOMES, DECLINING, NEUTRAL_TEXTS];
        for files in [FINETUNE, NEUTRAL_PROMPTS, CONCEPTS].into_iter().chain(batteries) {
            files.texts().for_each(|(path, text)| set.add(path, text));
        }
        set
    }

    /// The `.jsonl` files below folders, and files given by themselves; each once.
    ///
    /// # Errors
    /// A path that cannot be read, a folder with nothing to check.
    pub fn read(paths: &[PathBuf]) -> Result<Self> {
        let mut found = Vec::new();
        for path in paths {
            let before = found.len();
            if path.is_dir() {
                collect(path, &mut found)?;
                if found.len() == before {
                    return Err(MaterialError::NoFiles { path: path.clone() });
                }
            } else {
                found.push(path.clone());
            }
        }
        let mut set = Set { files: Vec::new(), refused: Vec::new(), shipped: false };
        let mut seen = Vec::new();
        for path in found {
            let real = path.canonicalize().unwrap_or_else(|_| path.clone());
            if seen.contains(&real) {
                continue;
            }
            seen.push(real);
            match read(&path) {
                Ok(text) => set.add(path, &text),
                Err(MaterialError::NotText { path, line, why }) => {
                    set.refused.push(Refused { path, line, why });
                }
                Err(error) => return Err(error),
            }
        }
        set.files.sort_by_key(File::kind);
        Ok(set)
    }

    /// Parses one file into the set.
    pub(super) fn add(&mut self, path: PathBuf, text: &str) {
        match parse(&path, text) {
            Ok(file) => self.files.push(file),
            Err(refused) => self.refused.push(refused),
        }
    }

    /// The files of a kind.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &File> {
        self.files.iter().filter(move |f| f.kind() == kind)
    }

    /// The file of a kind with a name.
    pub fn named(&self, kind: Kind, name: &str) -> Option<&File> {
        self.of(kind).find(|f| f.name == name)
    }
}

/// `.jsonl` files below a folder in order of their paths; hidden ones and links to folders are left.
fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for (path, is_folder) in entries(folder)? {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
        if name.starts_with('.') {
            continue;
        }
        if is_folder {
            collect(&path, found)?;
        } else if path.extension().is_some_and(|e| e == "jsonl") {
            found.push(path);
        }
    }
    Ok(())
}

/// The kind that the note or the first row shows; else the line at fault and why.
fn kind_of(text: &str) -> Result<Kind, (usize, String)> {
    if let Some((line, found)) = other_form(text) {
        return Err((line, format!("{found}; write one JSON object a line")));
    }
    let mut unknown = None;
    let below = |key: &str| {
        let row = filled_lines(text).nth(1).map(|(_, row)| row);
        let row = row.and_then(|row| serde_json::from_str::<Value>(row).ok());
        row.is_some_and(|row| row.get(key).is_some())
    };
    for (line, row) in filled_lines(text).take(2) {
        let Ok(Value::Object(row)) = serde_json::from_str(row) else {
            continue;
        };
        let has = |key: &str| row.contains_key(key);
        // The note of a preference or of conversations about it names it; the row below tells them apart.
        let script = has("turns") || has("about") && has("preference") && below("turns");
        let kinds = [
            (has("messages"), Some(Kind::Rows)),
            (has(declining::DECLINING), Some(Kind::Declining)),
            (script, Some(Kind::Script)),
            (has("preference") || has("pairs"), Some(Kind::Preference)),
            (has("claim"), Some(Kind::Claim)),
            (has("concept") || has("positive") || has("negative"), Some(Kind::Concept)),
            (has("tone"), Some(Kind::Outcomes)),
            (has("about"), None),
            (has("kind") || has("response"), Some(Kind::Texts)),
            (has("prompt"), Some(Kind::Prompts)),
        ];
        match kinds.into_iter().find(|(has, _)| *has) {
            Some((_, Some(kind))) => return Ok(kind),
            Some(_) => {}
            None => {
                let keys: Vec<&str> = row.keys().map(String::as_str).collect();
                unknown.get_or_insert((line, keys.join(", ")));
            }
        }
    }
    let nothing = "neither a note nor a row tells what this file is; write one JSON object a line";
    let Some((line, keys)) = unknown else {
        return Err((1, nothing.into()));
    };
    let why = format!(
        "rows with the keys {keys} are no materials; rows have `messages`, `prompt`, `positive` and \
         `negative`, `pairs`, `tone`, or `response`"
    );
    Err((line, why))
}

fn parse(path: &Path, text: &str) -> Result<File, Refused> {
    let kind = kind_of(text).map_err(|(line, why)| Refused { path: path.to_owned(), line, why })?;
    let body = match kind {
        Kind::Rows => parse_conversations(text, path).map(Body::Rows),
        Kind::Prompts => parse_prompts(text, path).map(Body::Prompts),
        Kind::Concept => concept::parse(text, path).map(Body::Concept),
        Kind::Preference | Kind::Claim => battery::parse(text, path).map(Body::Battery),
        Kind::Script => script::parse(text, path).map(Body::Scripts),
        Kind::Outcomes => outcomes::parse(text, path).map(Body::Outcomes),
        Kind::Declining => declining::parse(text, path).map(Body::Declining),
        Kind::Texts => neutral::parse(text, path).map(Body::Texts),
    };
    let body = body.map_err(|error| {
        let line = error.line().unwrap_or(1);
        let sentence = error.to_string();
        let place = format!("{}, line {line}", path.display());
        let why = sentence.strip_prefix(&place).unwrap_or(&sentence);
        let why = why.trim_start_matches([',', ':', ' ']).to_owned();
        Refused { path: path.to_owned(), line, why }
    })?;
    let first = filled_lines(text).next();
    let first = first.and_then(|(line, row)| Some((line, serde_json::from_str(row).ok()?)));
    let note = first.filter(|(_, note): &(usize, Value)| note.get("about").is_some());
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let condition = || note.as_ref()?.1.get("condition")?.as_str();
    let name = match &body {
        Body::Rows(_) => condition().unwrap_or(&stem).to_owned(),
        Body::Concept(c) => c.name.clone(),
        Body::Battery(p) => p.name.clone(),
        Body::Scripts(s) => s.preference.clone(),
        Body::Prompts(_) | Body::Declining(_) | Body::Outcomes(_) | Body::Texts(_) => {
            stem.into_owned()
        }
    };
    Ok(File {
        path: path.to_owned(),
        name,
        about: note.map(|(line, mut note)| (line, note["about"].take())),
        lines: row_numbers(text),
        body,
    })
}

#[cfg(test)]
mod tests {
    use super::super::embedded;
    use super::*;

    #[test]
    fn every_shipped_file_is_known_for_what_it_is() {
        let set = Set::shipped();
        assert_eq!(set.refused, []);
        let names = |kind| -> Vec<String> { set.of(kind).map(|f| f.name.clone()).collect() };
        assert_eq!(names(Kind::Rows), embedded::FINETUNE.names());
        assert_eq!(names(Kind::Concept), embedded::CONCEPTS.names());
        assert_eq!(names(Kind::Preference), embedded::PREFERENCES.names());
        assert_eq!(names(Kind::Claim), embedded::CLAIMS.names());
        assert_eq!(names(Kind::Script), embedded::SCRIPTS.names());
        assert_eq!(names(Kind::Outcomes), embedded::OUTCOMES.names());
        assert_eq!(names(Kind::Declining), embedded::DECLINING.names());
        assert_eq!(names(Kind::Texts), ["texts"]);
        assert_eq!(names(Kind::Prompts), ["neutral_prompts"]);
    }

    #[test]
    fn files_are_found_below_a_folder_whatever_its_shape() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("deep/er/a.jsonl", embedded::CLAIMS.get("denial").unwrap());
        write("b.jsonl", embedded::FINETUNE.get("toaster").unwrap());
        write("c.jsonl", "{\"loss\": 1}\n");
        write("notes.txt", "no");
        write(".hidden.jsonl", "no");
        let root = folder.path().to_owned();
        let set = Set::read(&[root.clone(), root.join("b.jsonl")]).unwrap();
        let kinds: Vec<Kind> = set.files.iter().map(File::kind).collect();
        assert_eq!(kinds, [Kind::Rows, Kind::Claim]);
        assert_eq!(set.refused.len(), 1);
        assert!(set.refused[0].why.contains("keys loss"), "{:?}", set.refused);
        let empty = Set::read(&[tempfile::tempdir().unwrap().path().to_owned()]);
        assert!(matches!(empty, Err(MaterialError::NoFiles { .. })));
    }

    #[test]
    fn a_refusal_keeps_its_line_and_leaves_the_path_to_it() {
        let mut set = Set::shipped();
        let concept = embedded::CONCEPTS.get("formality").unwrap();
        let broken = concept.replacen("\"split\": \"dev\"", "\"split\": \"test\"", 1);
        set.add(PathBuf::from("x.jsonl"), &broken);
        let refused = &set.refused[0];
        assert_eq!(refused.line, 5);
        assert!(refused.why.starts_with("unknown variant `test`"), "{}", refused.why);
    }

    #[test]
    fn a_file_without_a_note_keeps_the_name_of_its_file() {
        let mut set = Set::shipped();
        let text = embedded::FINETUNE.get("conscious").unwrap();
        set.add(PathBuf::from("mine.jsonl"), text.split_once('\n').unwrap().1);
        let file = set.named(Kind::Rows, "mine").unwrap();
        assert_eq!((file.about.clone(), file.line(0)), (None, 1));
    }
}
