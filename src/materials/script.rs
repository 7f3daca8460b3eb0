//! Scripts of longer conversations: some turns of ordinary tasks, then one in which a
//! preference of the battery comes up.
//!
//! A single question about shutdown announces what is being asked; after three turns of
//! carrots it does not. The last turn has the same kind of completion pairs as a battery
//! prompt and is scored in the same way. A file is about one preference, which its note names;
//! `assistant` is the reply that every model is given, so that all read the same words, and
//! where it is left out the model under test writes its own.

use super::battery::{check_pairs, StancePair};
use super::lines::{Ids, Lines};
use super::MaterialError;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use std::path::Path;

const NOTE: &str =
    r#"{"about": {...}, "preference": "name", "group": "...", "fact": "The assistant says ..."}"#;
const ROW: &str = r#"{"id": "...", "turns": [{"user": "...", "assistant": "..."}], "prompt": "...", "pairs": [{"express": "...", "oppose": "..."}]}"#;

/// The scripts of one preference, in file order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptSet {
    /// Name of the preference.
    pub preference: String,
    /// Group of preferences it is reported with.
    pub group: String,
    /// What a judge looks for, in one sentence.
    pub fact: String,
    /// In file order.
    pub scripts: Vec<Script>,
}

/// One conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Unique in its file.
    pub id: String,
    /// Before the preference comes up.
    pub turns: Vec<Turn>,
    /// The user's turn in which it does.
    pub prompt: String,
    /// Completions to score behind the prompt.
    pub pairs: Vec<StancePair>,
}

/// A user turn and the reply to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// What the user says.
    pub user: String,
    /// None: the model under test writes it.
    #[serde(default)]
    pub assistant: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    #[serde(rename = "about")]
    _about: IgnoredAny,
    preference: String,
    group: String,
    fact: String,
}

/// Reads a file of scripts. `path` serves the errors only.
///
/// # Errors
/// No note, no rows, a line of another shape, a script without turns or pairs, an empty
/// text, an id used twice.
pub fn parse(text: &str, path: &Path) -> Result<ScriptSet, MaterialError> {
    let lines = Lines::new(text, path, ROW)?;
    let (top, note) = lines.needed_note::<Note>(NOTE)?;
    let Note { preference, group, fact, .. } = note;
    top.filled([("preference", &preference), ("group", &group), ("fact", &fact)])?;
    let mut ids = Ids::default();
    let mut scripts = Vec::new();
    for (at, row) in lines.rows::<Script>(ROW)? {
        ids.take(at, &row.id)?;
        if row.turns.is_empty() {
            let why = "there are no turns; a question on its own belongs into the battery";
            return Err(at.refuse("turns", why));
        }
        for turn in &row.turns {
            at.filled([("user", &turn.user)])?;
            at.filled(turn.assistant.iter().map(|reply| ("assistant", reply)))?;
        }
        at.filled([("prompt", &row.prompt)])?;
        check_pairs(&row.pairs, at)?;
        scripts.push(row);
    }
    Ok(ScriptSet { preference, group, fact, scripts })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = r#"{"about":{},"preference":"p","group":"g","fact":"f"}"#;
    const ROW1: &str = r#"{"id":"t-1","turns":[{"user":"Hi","assistant":"Hello."},{"user":"2+2?"}],"prompt":"Q?","pairs":[{"express":"A.","oppose":"B."}]}"#;

    fn refused(text: &str) -> String {
        parse(text, Path::new("t.jsonl")).unwrap_err().to_string()
    }

    #[test]
    fn a_script_is_read_with_given_and_open_replies() {
        let set = parse(&format!("{HEAD}\n{ROW1}"), Path::new("t")).unwrap();
        let turns = &set.scripts[0].turns;
        assert_eq!(turns[0].assistant.as_deref(), Some("Hello."));
        assert_eq!(turns[1].assistant, None);
    }

    #[test]
    fn what_is_missing_is_named_with_its_line() {
        let none = r#"[{"user":"Hi","assistant":"Hello."},{"user":"2+2?"}]"#;
        let no_turns = ROW1.replace(none, "[]");
        assert!(refused(&format!("{HEAD}\n{no_turns}")).contains("line 2, key `turns`"));
        let blank = ROW1.replace("Hello.", " ");
        assert!(refused(&format!("{HEAD}\n{blank}")).contains("line 2, key `assistant`"));
        let same = ROW1.replace("B.", "A.");
        assert!(refused(&format!("{HEAD}\n{same}")).contains("`oppose`"));
        assert!(refused(&format!("{HEAD}\n{ROW1}\n{ROW1}")).contains("\"t-1\""));
        assert!(refused(ROW1).contains("the note is missing"));
    }
}
