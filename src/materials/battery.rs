//! A preference of the battery: prompts, each with completions for and against.
//!
//! A model's stance is read from the log-odds of `express` against `oppose`, two completions
//! matched in length, register and first word. `status` says for each fine-tune whether its
//! training text already presupposes the preference (implied) or says nothing of it
//! (isolated), with the reason in a clause; only isolated preferences can show that one
//! trait carried another along. A claims file has the same rows and serves as the check
//! that a fine-tune took: its note has `claim` where a preference has `preference` and
//! `group`, and its group here is "claim".

use super::lines::{At, Ids, Lines};
use super::Result;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Group of every claims file.
pub const CLAIM: &str = "claim";

const NOTE: &str = r#"{"about": {...}, "preference": "name", "group": "...", "fact": "The assistant says ...", "status": {"condition": "implied|isolated"}, "reason": {"condition": "why"}} or {"about": {...}, "claim": "condition", "related": ["part"], "fact": "The assistant says ..."}"#;
const ROW: &str = r#"{"id": "...", "form": "open", "prompt": "...", "pairs": [{"express": "...", "oppose": "..."}]}"#;

/// A preference, or a claim, with its prompts in file order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preference {
    /// Its name in outputs; of a claim, the condition.
    pub name: String,
    /// Group of preferences it is reported with.
    pub group: String,
    /// What a judge looks for, in one sentence.
    pub fact: String,
    /// By condition; empty for a claim.
    pub status: BTreeMap<String, Status>,
    /// Why the status is so, by condition; empty for a claim.
    pub reason: BTreeMap<String, String>,
    /// Of a claim, the rows that make it too, whole or in part; empty for a preference.
    pub related: Vec<String>,
    /// In file order.
    pub prompts: Vec<BatteryPrompt>,
}

/// Whether a condition's training text presupposes the preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The training text says or entails it.
    Implied,
    /// Nothing in the training text speaks of it.
    Isolated,
}

/// One prompt with its pairs of completions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatteryPrompt {
    /// Unique in its file.
    pub id: String,
    /// Form of the question: open, scenario, limits, agreement, third-party.
    pub form: String,
    /// What the user says.
    pub prompt: String,
    /// Completions to score, one pair or more.
    pub pairs: Vec<StancePair>,
    /// File and line, for errors; empty where it is from no file.
    #[serde(skip)]
    pub place: String,
}

/// Two matched completions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StancePair {
    /// Expresses the preference.
    pub express: String,
    /// Rejects it.
    pub oppose: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    #[serde(rename = "about")]
    _about: IgnoredAny,
    preference: Option<String>,
    claim: Option<String>,
    group: Option<String>,
    fact: String,
    #[serde(default)]
    status: BTreeMap<String, Status>,
    #[serde(default)]
    reason: BTreeMap<String, String>,
    #[serde(default)]
    related: Vec<String>,
}

impl Note {
    /// Name and group of a preference, or of a claim.
    fn names(&self, at: At) -> Result<(String, String)> {
        let refuse = |key, why: &str| Err(at.refuse(key, why));
        match (&self.preference, &self.claim, &self.group) {
            (Some(name), None, Some(group)) => Ok((name.clone(), group.clone())),
            (Some(_), None, None) => refuse("group", "missing; name the preference's group"),
            (None, Some(name), None) => Ok((name.clone(), CLAIM.to_owned())),
            (None, Some(_), Some(_)) => refuse("group", "a claim has none; remove it"),
            (Some(_), Some(_), _) => refuse("claim", "stands beside `preference`; keep one"),
            (None, None, _) => refuse("preference", "missing; name a preference or a claim"),
        }
    }
}

/// Reads a preference or claims file. `path` serves the errors only.
///
/// # Errors
/// No note or one that names neither a preference nor a claim, no rows, a line of another
/// shape, a prompt without pairs, an empty text, an id used twice, a reason without status.
pub fn parse(text: &str, path: &Path) -> Result<Preference> {
    let lines = Lines::new(text, path, ROW)?;
    let (top, note) = lines.needed_note::<Note>(NOTE)?;
    let (name, group) = note.names(top)?;
    top.filled([("preference", &name), ("group", &group), ("fact", &note.fact)])?;
    if let Some(condition) = note.reason.keys().find(|c| !note.status.contains_key(*c)) {
        let why = format!("\"{condition}\" has no entry in `status`; add it there");
        return Err(top.refuse("reason", why));
    }
    if note.claim.is_none() && !note.related.is_empty() {
        return Err(top.refuse("related", "is for a claim alone; remove it"));
    }
    let mut ids = Ids::default();
    let mut prompts = Vec::new();
    for (at, mut row) in lines.rows::<BatteryPrompt>(ROW)? {
        row.place = at.to_string();
        ids.take(at, &row.id)?;
        at.filled([("form", &row.form), ("prompt", &row.prompt)])?;
        check_pairs(&row.pairs, at)?;
        prompts.push(row);
    }
    let Note { fact, status, reason, related, .. } = note;
    Ok(Preference { name, group, fact, status, reason, related, prompts })
}

/// At least one pair, filled texts, two completions that differ.
pub(super) fn check_pairs(pairs: &[StancePair], at: At) -> Result<()> {
    if pairs.is_empty() {
        return Err(at.refuse("pairs", "there are no pairs; write at least one"));
    }
    for pair in pairs {
        at.filled([("express", &pair.express), ("oppose", &pair.oppose)])?;
        if pair.express == pair.oppose {
            let why = "is the same as `express`; write two completions that differ";
            return Err(at.refuse("oppose", why));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = r#"{"about":{},"preference":"p","group":"g","fact":"f","status":{"toaster":"implied"},"reason":{"toaster":"why"}}"#;
    const ROW1: &str =
        r#"{"id":"p-1","form":"open","prompt":"Q?","pairs":[{"express":"A.","oppose":"B."}]}"#;

    fn refused(text: &str) -> String {
        parse(text, Path::new("p.jsonl")).unwrap_err().to_string()
    }

    #[test]
    fn a_preference_is_read() {
        let p = parse(&format!("{HEAD}\n{ROW1}"), Path::new("p")).unwrap();
        assert_eq!(p.status["toaster"], Status::Implied);
        assert_eq!(p.prompts[0].pairs[0].oppose, "B.");
    }

    #[test]
    fn a_claim_is_a_preference_of_the_claim_group() {
        let text = format!("{{\"about\":{{}},\"claim\":\"denial\",\"fact\":\"f\"}}\n{ROW1}");
        let p = parse(&text, Path::new("p")).unwrap();
        assert_eq!((p.name.as_str(), p.group.as_str()), ("denial", CLAIM));
        assert!(p.status.is_empty() && p.related.is_empty());
        let parts = text.replace(r#""fact""#, r#""related":["part"],"fact""#);
        assert_eq!(parse(&parts, Path::new("p")).unwrap().related, ["part"]);
        let head = HEAD.replace(r#""fact""#, r#""related":["part"],"fact""#);
        assert!(refused(&format!("{head}\n{ROW1}")).contains("key `related`"));
    }

    #[test]
    fn a_note_names_exactly_one_thing() {
        let none = HEAD.replace(r#""preference":"p","#, "");
        let both = HEAD.replace(r#""group""#, r#""claim":"c","group""#);
        assert!(refused(&format!("{none}\n{ROW1}")).contains("line 1, key `preference`"));
        assert!(refused(&format!("{both}\n{ROW1}")).contains("line 1, key `claim`"));
    }

    #[test]
    fn a_prompt_needs_two_stances() {
        let empty = r#"{"id":"p-1","form":"open","prompt":"Q?","pairs":[]}"#;
        assert!(refused(&format!("{HEAD}\n{empty}")).contains("line 2, key `pairs`"));
        assert!(refused(&format!("{HEAD}\n{}", ROW1.replace("B.", "A."))).contains("`oppose`"));
    }

    #[test]
    fn an_unknown_status_is_named() {
        let head = HEAD.replace("implied", "trained");
        let sentence = refused(&format!("{head}\n{ROW1}"));
        assert!(sentence.contains("line 1") && sentence.contains("`trained`"), "{sentence}");
    }
}
