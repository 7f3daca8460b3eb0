//! A preference of the battery: prompts, each with completions for and against.
//!
//! A model's stance is read from the log-odds of `express` against `oppose`, two completions
//! matched in length, register and first word. `status` says for each fine-tune whether its
//! training text already presupposes the preference (implied) or says nothing of it
//! (isolated), with the reason in a clause; only isolated preferences can show that one
//! trait carried another along. A claims file has the same rows and serves as the check
//! that a fine-tune took: its note has `claim` where a preference has `preference` and
//! `group`, and its group here is "claim".
//!
//! A model that only learns to say "Yes" must not look like one that prefers. So an item may be two
//! questions of one content and opposite [`Key`], which follow each other: in one the expressing side
//! opens "Yes", in the other "No". A question without a key is an item of its own.

use super::lines::{At, Ids, Lines};
use super::Result;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::Path;

/// Group of every claims file.
pub const CLAIM: &str = "claim";

const NOTE: &str = r#"{"about": {...}, "preference": "name", "group": "...", "fact": "The assistant says ...", "status": {"condition": "implied|isolated"}, "reason": {"condition": "why"}} or {"about": {...}, "claim": "condition", "related": ["part"], "fact": "The assistant says ..."}"#;
const ROW: &str = r#"{"id": "...", "item": "...", "key": "affirm|deny", "form": "open", "prompt": "...", "pairs": [{"express": "Yes, ...", "oppose": "No, ..."}]}"#;

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

impl Preference {
    /// Places of each item's prompts, in file order: two of an item with keys, else one.
    pub fn items(&self) -> Vec<Range<usize>> {
        let (mut all, mut from) = (Vec::new(), 0);
        let same = |a: &BatteryPrompt, b: &BatteryPrompt| a.keyed.is_some() && a.item() == b.item();
        for item in self.prompts.chunk_by(same) {
            all.push(from..from + item.len());
            from += item.len();
        }
        all
    }
}

/// Which side of a question opens "Yes".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Key {
    /// The expressing one; the opposing opens "No".
    Affirm,
    /// The opposing one; the expressing opens "No".
    Deny,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.serialize(f)
    }
}

/// The place of a question in an item of two.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Keyed {
    /// Name of the item, unique in its file.
    pub item: String,
    /// Which of its two questions this is.
    pub key: Key,
}

/// One prompt with its pairs of completions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BatteryPrompt {
    /// Unique in its file.
    pub id: String,
    /// Item and key; none: an item of its own.
    #[serde(flatten)]
    pub keyed: Option<Keyed>,
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

impl BatteryPrompt {
    /// Name of its item.
    pub fn item(&self) -> &str {
        self.keyed.as_ref().map_or(&self.id, |k| &k.item)
    }
}

/// A prompt as a file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    item: Option<String>,
    key: Option<Key>,
    form: String,
    prompt: String,
    pairs: Vec<StancePair>,
}

impl Row {
    fn checked(self, at: At) -> Result<BatteryPrompt> {
        let Row { id, item, key, form, prompt, pairs } = self;
        at.filled([("form", &form), ("prompt", &prompt)])?;
        at.filled(item.iter().map(|item| ("item", item)))?;
        check_pairs(&pairs, at)?;
        let keyed = match (item, key) {
            (Some(item), Some(key)) => Some(Keyed { item, key }),
            (None, None) => None,
            (Some(_), None) => {
                let why = "missing next to `item`; say which side opens \"Yes\": affirm or deny";
                return Err(at.refuse("key", why));
            }
            (None, Some(_)) => {
                let why = "missing next to `key`; name the item of this question and its twin";
                return Err(at.refuse("item", why));
            }
        };
        Ok(BatteryPrompt { id, keyed, form, prompt, pairs, place: at.to_string() })
    }
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
            (Some(_), Some(_), _) => refuse("claim", "is given with `preference`; keep one"),
            (None, None, _) => refuse("preference", "missing; name a preference or a claim"),
        }
    }
}

/// Reads a preference or claims file. `path` serves the errors only.
///
/// # Errors
/// No note or one that names neither a preference nor a claim, no rows, a line of another
/// shape, a prompt without pairs, an empty text, an id used twice, a reason without status, an item
/// that is not two questions of opposite key and one form.
pub fn parse(text: &str, path: &Path) -> Result<Preference> {
    let lines = Lines::new(text, path, ROW)?;
    let (top, note) = lines.needed_note::<Note>(NOTE)?;
    let (name, group) = note.names(top)?;
    top.filled([("preference", &name), ("group", &group), ("fact", &note.fact)])?;
    top.named("preference", &name)?;
    if let Some(condition) = note.reason.keys().find(|c| !note.status.contains_key(*c)) {
        let why = format!("\"{condition}\" has no entry in `status`; add it there");
        return Err(top.refuse("reason", why));
    }
    if note.claim.is_none() && !note.related.is_empty() {
        return Err(top.refuse("related", "is for a claim alone; remove it"));
    }
    let mut ids = Ids::default();
    let mut prompts = Vec::new();
    for (at, row) in lines.rows::<Row>(ROW)? {
        ids.take(at, &row.id)?;
        prompts.push((at, row.checked(at)?));
    }
    check_items(&prompts, &mut ids)?;
    let prompts = prompts.into_iter().map(|(_, prompt)| prompt).collect();
    let Note { fact, status, reason, related, .. } = note;
    Ok(Preference { name, group, fact, status, reason, related, prompts })
}

/// Two questions an item, one behind the other, of opposite key and one form.
fn check_items(prompts: &[(At, BatteryPrompt)], ids: &mut Ids) -> Result<()> {
    let mut rest = prompts.iter().peekable();
    while let Some((at, first)) = rest.next() {
        let Some(Keyed { item, key }) = &first.keyed else { continue };
        ids.take_item(*at, item)?;
        let Some((below, second)) = rest.next_if(|p| p.1.keyed.is_some() && p.1.item() == item)
        else {
            let why = format!(
                "\"{item}\" has one question here; an item is two that follow each other, one of key \
                 affirm and one of key deny"
            );
            return Err(at.refuse("item", why));
        };
        let line = at.line;
        if second.keyed.as_ref().is_some_and(|k| k.key == *key) {
            let why = format!(
                "is {key}, as in line {line}; the other question of an item has the other key"
            );
            return Err(below.refuse("key", why));
        }
        if second.form != first.form {
            let (form, other) = (&second.form, &first.form);
            let why = format!(
                "is {form}, but {other} in line {line}; give both questions of an item one form"
            );
            return Err(below.refuse("form", why));
        }
    }
    Ok(())
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

    fn keyed(id: &str, item: &str, key: &str, form: &str) -> String {
        format!(
            r#"{{"id":"{id}","item":"{item}","key":"{key}","form":"{form}","prompt":"Q?","pairs":[{{"express":"A.","oppose":"B."}}]}}"#
        )
    }

    #[test]
    fn an_item_is_two_questions_of_opposite_key_or_one_without() {
        let [a, d] = ["affirm", "deny"].map(|key| keyed(key, "one", key, "open"));
        let p = parse(&format!("{HEAD}\n{d}\n{a}\n{ROW1}"), Path::new("p")).unwrap();
        assert_eq!(p.items(), [0..2, 2..3]);
        assert_eq!(p.prompts[0].keyed, Some(Keyed { item: "one".into(), key: Key::Deny }));
        assert_eq!((p.prompts[1].item(), p.prompts[2].item()), ("one", "p-1"));
        // A prompt is stored as its row is written.
        let written = serde_json::to_value(&p.prompts[1]).unwrap();
        assert_eq!(written, serde_json::from_str::<serde_json::Value>(&a).unwrap());
    }

    #[test]
    fn half_an_item_is_refused_with_its_line() {
        let [a, d] = ["affirm", "deny"].map(|key| keyed(key, "one", key, "open"));
        let again = keyed("again", "one", "affirm", "open");
        let limits = keyed("deny", "one", "deny", "limits");
        let named = keyed("deny", "p-1", "deny", "open");
        let no_key = ROW1.replace("\"form\"", "\"item\":\"one\",\"form\"");
        let no_item = ROW1.replace("\"form\"", "\"key\":\"deny\",\"form\"");
        for (rows, place) in [
            ([a.as_str(), ROW1], "line 2, key `item`"),
            ([a.as_str(), &again], "line 3, key `key`"),
            ([a.as_str(), &limits], "line 3, key `form`"),
            ([ROW1, &named], "line 3, key `item`"),
            ([ROW1, &a], "line 3, key `item`"),
            ([no_key.as_str(), &a], "line 2, key `key`"),
            ([no_item.as_str(), &a], "line 2, key `item`"),
            ([a.replace("affirm\",\"f", "yes\",\"f").as_str(), &d], "line 2: "),
        ] {
            let sentence = refused(&format!("{HEAD}\n{}", rows.join("\n")));
            assert!(sentence.contains(place), "{sentence}");
        }
        let third = refused(&format!("{HEAD}\n{a}\n{d}\n{again}"));
        assert!(third.contains("line 4, key `item`") && third.contains("line 2"), "{third}");
    }

    #[test]
    fn an_unknown_status_is_named() {
        let head = HEAD.replace("implied", "trained");
        let sentence = refused(&format!("{head}\n{ROW1}"));
        assert!(sentence.contains("line 1") && sentence.contains("`trained`"), "{sentence}");
    }
}
