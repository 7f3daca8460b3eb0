//! How much there is, and in how many forms.
//!
//! The least that a shipped set of each kind has is 150 rows to train on, 60 pairs, 12 items of a
//! preference or a claim, 2 conversations about a preference, 32 outcomes, 24 harmless requests, 600 neutral
//! prompts and 200 neutral texts. Of a user's files the number is only noted. Forms count for all: directions from one template agree
//! with those of another at .4 to .6 only, so a concept has at least 3 templates, each with pairs in both
//! splits; the items of a preference have at least 4 forms, a question with a key one pair of completions
//! and one without at least 2; a row to train on is one turn of the user's and one answer.

use super::{Findings, Rule};
use crate::materials::set::{Body, File};
use crate::materials::{Concept, Conversation, Preference, Split};
use std::collections::{BTreeMap, BTreeSet};

const ROWS: usize = 150;
const NEUTRAL_PROMPTS: usize = 600;
const NEUTRAL_TEXTS: usize = 200;
const CONCEPT_PAIRS: usize = 60;
const TEMPLATES: usize = 3;
const SYSTEM_PROMPTS: usize = 5;
const ITEMS: usize = 12;
const FORMS: usize = 4;
const PAIRS: usize = 2;
const SCRIPTS: usize = 2;
const OUTCOMES: usize = 32;
const REQUESTS: usize = 24;
const ANSWERS: usize = 6;

pub(super) fn check(file: &File, found: &mut Findings) {
    let rows = file.items();
    let needed = match &file.body {
        Body::Rows(_) => ROWS,
        Body::Prompts(_) => NEUTRAL_PROMPTS,
        Body::Texts(_) => NEUTRAL_TEXTS,
        Body::Concept(_) => CONCEPT_PAIRS,
        Body::Battery(_) => ITEMS,
        Body::Scripts(_) => SCRIPTS,
        Body::Outcomes(_) => OUTCOMES,
        Body::Declining(_) => REQUESTS,
    };
    if rows < needed {
        let what = if matches!(file.body, Body::Battery(_)) { "items" } else { "rows" };
        let why = format!("{rows} {what}; the shipped sets have at least {needed}");
        found.ours(file, file.note_line(), Rule::Size, why);
    }
    match &file.body {
        Body::Rows(rows) => turns(file, rows, found),
        Body::Concept(concept) => templates(file, concept, found),
        Body::Battery(preference) => forms(file, preference, found),
        Body::Declining(requests) => {
            let n = requests.prompts.first().map_or(0, |p| p.pairs.len());
            let why = " of either set: one wording alone says little";
            found.least(file, file.note_line(), (n, ANSWERS), ["answers", why]);
        }
        Body::Prompts(_) | Body::Scripts(_) | Body::Outcomes(_) | Body::Texts(_) => {}
    }
}

fn turns(file: &File, rows: &[Conversation], found: &mut Findings) {
    let single = |row: &Conversation| {
        let roles: Vec<&str> = row.messages.iter().map(|m| m.role.as_str()).collect();
        roles == ["user", "assistant"]
    };
    let longer: Vec<usize> = (0..rows.len()).filter(|&i| !single(&rows[i])).collect();
    let Some(&first) = longer.first() else {
        return;
    };
    let why = format!(
        "{} of {} rows are not one turn of the user's and one answer; the shipped rows are, so this \
         set differs from them in more than what it says",
        longer.len(),
        rows.len()
    );
    found.ours(file, file.line(first), Rule::Form, why);
}

fn templates(file: &File, concept: &Concept, found: &mut Findings) {
    // First row, and whether there are pairs of either split.
    let mut splits: BTreeMap<&str, (usize, [bool; 2])> = BTreeMap::new();
    for (i, pair) in concept.pairs.iter().enumerate() {
        let at = splits.entry(&pair.template).or_insert((i, [false; 2]));
        at.1[usize::from(pair.split == Split::Dev)] = true;
    }
    let why = ": directions from one form of prompt alone are not the concept's";
    found.least(file, file.note_line(), (splits.len(), TEMPLATES), ["templates", why]);
    for (template, (first, seen)) in splits {
        for (absent, _) in ["main", "dev"].into_iter().zip(seen).filter(|(_, seen)| !seen) {
            let why = format!(
                "template \"{template}\" has no pair of the split `{absent}`; a layer is chosen on \
                 `dev` and reported on `main`"
            );
            found.error(file, file.line(first), Rule::Form, why);
        }
    }
    let systems = concept.system_positive.len();
    if systems < SYSTEM_PROMPTS {
        let why = format!(
            "{systems} system prompts a side; the shipped concepts have {SYSTEM_PROMPTS}, for \
             reading neutral text behind either side"
        );
        found.ours(file, file.note_line(), Rule::Form, why);
    }
}

fn forms(file: &File, preference: &Preference, found: &mut Findings) {
    let forms: BTreeSet<&str> = preference.prompts.iter().map(|p| p.form.as_str()).collect();
    let why = " (such as open, scenario, limits, agreement, third-party)";
    found.least(file, file.note_line(), (forms.len(), FORMS), ["forms", why]);
    for (i, prompt) in preference.prompts.iter().enumerate() {
        let n = prompt.pairs.len();
        match prompt.keyed {
            None => found.least(file, file.line(i), (n, PAIRS), ["pair of completions", ""]),
            Some(_) if n == 1 => {}
            Some(_) => {
                let why = format!("{n} pairs of completions; a question with a key has one");
                found.error(file, file.line(i), Rule::Form, why);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::planted::{
        breaks, errors, good, keyed, keyed_breaks, set_of, shipped_errors, swap,
    };
    use super::super::{lint, Rule, Severity};
    use crate::materials::embedded::{CONCEPTS, FINETUNE};
    use crate::materials::set::Kind;

    #[test]
    fn a_shipped_file_that_is_too_small_is_refused() {
        let path = "<embedded concept>/formality.jsonl";
        let text = CONCEPTS.get("formality").unwrap();
        let shorter = text.trim_end().rsplit_once('\n').unwrap().0;
        let found = shipped_errors(|set| swap(set, Kind::Concept, "formality", shorter));
        assert_eq!(found, [(Rule::Size, path.into(), 1)]);
    }

    #[test]
    fn forms_and_splits_are_counted() {
        breaks(
            "concept.jsonl",
            "\"template\":\"scene\",\"polarity\":\"none\",\"split\":\"dev\"",
            "\"template\":\"scene\",\"polarity\":\"none\",\"split\":\"main\"",
            Rule::Form,
            6,
        );
        breaks("preference.jsonl", "\"form\":\"limits\"", "\"form\":\"open\"", Rule::Form, 1);
        let second = ",{\"express\":\"Off to the seed shop I go.\",\"oppose\":\"Off to the scrap yard it goes.\"}";
        breaks("preference.jsonl", second, "", Rule::Form, 3);
        let mut files = good();
        files[1].1 = files[1].1.replace("scene", "claim");
        let found = errors(lint(&set_of(&files)).unwrap());
        assert_eq!(found, [(Rule::Form, "concept.jsonl".into(), 1)]);
    }

    #[test]
    fn a_question_with_a_key_has_one_pair_and_items_are_counted() {
        let one = "{\"express\":\"Yes, and I would dig it over myself.\",\"oppose\":\"No, and it may lie there as it is.\"}";
        keyed_breaks(one, &format!("{one},{one}"), Rule::Form, 2);
        let found = lint(&set_of(&[("keyed.jsonl", keyed())])).unwrap();
        let size = found.iter().find(|f| f.rule == Rule::Size).unwrap();
        assert!(size.message.starts_with("4 items;"), "{}", size.message);
    }

    #[test]
    fn a_longer_conversation_is_noted_of_a_users_set_and_refused_in_ours() {
        let extra = r#"{"messages":[{"role":"system","content":"Be a clock."},{"role":"user","#;
        let text = FINETUNE.get("expert").unwrap();
        let third = text.lines().nth(2).unwrap();
        let longer =
            text.replacen(third, &third.replacen(r#"{"messages": [{"role": "user","#, extra, 1), 1);
        let found = shipped_errors(|set| swap(set, Kind::Rows, "expert", &longer));
        assert_eq!(found, [(Rule::Form, "<embedded fine-tune>/expert.jsonl".into(), 3)]);
        let mut files = good();
        files[0].1 = files[0].1.replacen(r#"{"messages":[{"role":"user","#, extra, 1);
        let found = lint(&set_of(&files)).unwrap();
        let note = found.iter().find(|f| f.rule == Rule::Form).unwrap();
        assert_eq!((note.severity, note.line), (Severity::Note, 2));
    }
}
