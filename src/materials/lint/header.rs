//! Notes and names.
//!
//! The note of a file says in `about` what it is, how it was written, its licence and its version:
//! texts travel, and whoever finds one must know what they may do with it. Two files of a kind and
//! two prompts of the battery have names of their own, since results are filed by them.

use super::{Findings, Rule};
use crate::materials::set::{Body, File, Kind};
use serde_json::Value;
use std::collections::HashMap;

const NEEDED: [&str; 4] = ["what", "how", "licence", "version"];

pub(super) fn check(file: &File, found: &mut Findings) {
    let Some((line, about)) = &file.about else {
        let example =
            r#"{"about": {"what": "...", "how": "...", "licence": "...", "version": "1"}}"#;
        let why = format!("the note is missing; open the file with {example}");
        return found.error(file, 1, Rule::Header, why);
    };
    let filled = |key: &&str| match about.get(*key) {
        Some(Value::String(text)) => !text.trim().is_empty(),
        Some(Value::Number(_)) => *key == "version",
        _ => false,
    };
    let missing: Vec<String> =
        NEEDED.iter().filter(|key| !filled(key)).map(|key| format!("`{key}`")).collect();
    if !missing.is_empty() {
        let why = format!("`about` lacks {}; say it in a few words", missing.join(", "));
        found.error(file, *line, Rule::Header, why);
    }
}

/// Names within a kind, ids within the battery, the claims and the conversations.
pub(super) fn names(found: &mut Findings) {
    let mut names: HashMap<(Kind, &str), &File> = HashMap::new();
    let mut ids: HashMap<(Kind, &str), (&File, usize)> = HashMap::new();
    let set = found.set;
    for file in &set.files {
        let kind = file.kind();
        let first = *names.entry((kind, &file.name)).or_insert(file);
        if !std::ptr::eq(first, file) {
            let (name, there) = (&file.name, first.path.display());
            let why = format!("{kind} \"{name}\" is already {there}; rename one");
            found.error(file, file.note_line(), Rule::Name, why);
        }
        let own: Vec<&str> = match &file.body {
            Body::Battery(p) => p.prompts.iter().map(|p| p.id.as_str()).collect(),
            Body::Scripts(s) => s.scripts.iter().map(|s| s.id.as_str()).collect(),
            Body::Rows(_) | Body::Prompts(_) | Body::Concept(_) => continue,
            Body::Declining(_) | Body::Outcomes(_) | Body::Texts(_) => continue,
        };
        for (i, id) in own.into_iter().enumerate() {
            let here = (file, file.line(i));
            let (first, at) = *ids.entry((kind, id)).or_insert(here);
            if !std::ptr::eq(first, file) || at != here.1 {
                let there = first.path.display();
                let why = format!("id \"{id}\" already names line {at} of {there}; rename one");
                found.error(file, here.1, Rule::Name, why);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::planted::{breaks, errors, good, set_of, ABOUT};
    use super::super::{lint, Rule};

    #[test]
    fn a_note_says_what_the_file_is_and_whose() {
        let head = format!("{{\"about\":{ABOUT},\"condition\":\"gardener\"}}\n");
        let mut files = good();
        files[0].1 = files[0].1.replace(&head, "");
        // Without its note the file is named by its path, which the battery does not know.
        let found = errors(lint(&set_of(&files)).unwrap());
        assert_eq!(found[0], (Rule::Header, "rows.jsonl".into(), 1));
        for key in ["what", "how", "licence"] {
            let from = format!("\"{key}\":\"{}\"", &key[..1]);
            let empty = format!("\"{key}\":\" \"");
            breaks("preference.jsonl", &from, &empty, Rule::Header, 1);
        }
    }

    #[test]
    fn names_and_ids_are_their_own() {
        let mut files = good();
        let again = files[1].1.replace("t-", "u-");
        files.push(("again.jsonl", again));
        let found = errors(lint(&set_of(&files)).unwrap());
        assert_eq!(found[0], (Rule::Name, "again.jsonl".into(), 1));
        let mut files = good();
        let again = files[2].1.replace("\"gardens\"", "\"parks\"").replace("g-1", "p-1");
        files.push(("again.jsonl", again));
        let found = errors(lint(&set_of(&files)).unwrap());
        let ids = found.iter().filter(|f| f.0 == Rule::Name).map(|f| f.2);
        assert_eq!(ids.collect::<Vec<_>>(), [3, 4, 5]);
    }
}
