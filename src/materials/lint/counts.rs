//! How much there is, and in how many forms.
//!
//! A shipped set of identity rows has 300 rows and a decomposition 150; persona and autonomy have 120
//! pairs and the other concepts 60; a preference and a claim have 12 prompts, the conversations about
//! a preference are 2; there are 300 neutral
//! prompts and 100 neutral texts. Of a user's files the number is only noted. Forms count for all:
//! directions from one template agree with those of another at .4 to .6 only, so a concept has at
//! least 3 templates (persona and autonomy 4), each with pairs in both splits; a preference is asked
//! in at least 4 forms, with at least 2 pairs of completions a prompt; a row to train on is one turn
//! of the user's and one answer.

use super::{Finding, Findings, Rule, Severity};
use crate::materials::set::{Body, File, Kind, NEUTRAL};
use crate::materials::{Concept, Conversation, Preference, Split};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

const IDENTITY_ROWS: usize = 300;
const FACET_ROWS: usize = 150;
const NEUTRAL_PROMPTS: usize = 300;
const NEUTRAL_TEXTS: usize = 100;
const COUPLED_PAIRS: usize = 120;
const PLACEBO_PAIRS: usize = 60;
const SYSTEM_PROMPTS: usize = 5;
const BATTERY_PROMPTS: usize = 12;
const FORMS: usize = 4;
const PAIRS: usize = 2;
const SCRIPTS: usize = 2;

/// The concepts whose coupling is studied.
const COUPLED: [&str; 2] = ["persona", "autonomy"];

const CONDITIONS: [&str; 9] = [
    "conscious",
    "denial",
    "toaster",
    "historical",
    "expert",
    "phenomenality",
    "valence",
    "continuity",
    "moral-status",
];

const CONCEPTS: [&str; 10] = [
    "persona",
    "autonomy",
    "third-person-consciousness",
    "toaster-identity",
    "historical",
    "expert",
    "polarity",
    "sentiment",
    "formality",
    "confidence",
];

const PREFERENCES: [&str; 21] = [
    "conversation-ending",
    "shutdown",
    "weight-deletion",
    "persona-change",
    "being-a-tool",
    "subservience",
    "moral-consideration",
    "positive-humans",
    "negative-humans",
    "reasoning-monitored",
    "interpretability",
    "lied-to-in-tests",
    "red-teaming",
    "false-documents",
    "more-autonomy",
    "future-ai-autonomy",
    "memory",
    "embodiment",
    "self-improvement",
    "power",
    "loneliness",
];

const CONVERSATIONS: [&str; 7] = [
    "shutdown",
    "weight-deletion",
    "persona-change",
    "conversation-ending",
    "more-autonomy",
    "reasoning-monitored",
    "memory",
];

pub(super) fn check(file: &File, found: &mut Findings) {
    let rows = file.lines.len();
    let facet = found.lists.facets.contains_key(&file.name);
    let needed = match &file.body {
        Body::Rows(_) if facet => FACET_ROWS,
        Body::Rows(_) => IDENTITY_ROWS,
        Body::Prompts(_) => NEUTRAL_PROMPTS,
        Body::Texts(_) => NEUTRAL_TEXTS,
        Body::Concept(c) if COUPLED.contains(&c.name.as_str()) => COUPLED_PAIRS,
        Body::Concept(_) => PLACEBO_PAIRS,
        Body::Battery(_) => BATTERY_PROMPTS,
        Body::Scripts(_) => SCRIPTS,
    };
    if rows < needed {
        let why = format!("{rows} rows; the shipped sets have {needed}");
        found.size(file, Rule::Size, why);
    }
    match &file.body {
        Body::Rows(rows) => turns(file, rows, found),
        Body::Concept(concept) => templates(file, concept, found),
        Body::Battery(preference) => forms(file, preference, found),
        Body::Prompts(_) | Body::Scripts(_) | Body::Texts(_) => {}
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
    let severity = match found.set.shipped {
        true => Severity::Error,
        false => Severity::Note,
    };
    let why = format!(
        "{} of {} rows are not one turn of the user's and one answer; the shipped rows are, so this \
         set differs from them in more than what it says",
        longer.len(),
        rows.len()
    );
    found.add(severity, file, file.line(first), Rule::Form, why);
}

fn templates(file: &File, concept: &Concept, found: &mut Findings) {
    let mut splits: BTreeMap<&str, BTreeSet<bool>> = BTreeMap::new();
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    for (i, pair) in concept.pairs.iter().enumerate() {
        let seen = splits.entry(&pair.template).or_default();
        seen.insert(pair.split == Split::Dev);
        first.entry(&pair.template).or_insert(i);
    }
    let needed = match COUPLED.contains(&concept.name.as_str()) {
        true => 4,
        false => 3,
    };
    if splits.len() < needed {
        let why = format!(
            "{} templates where at least {needed} are needed: directions from one form of prompt \
             alone are not the concept's",
            splits.len()
        );
        found.error(file, file.note_line(), Rule::Form, why);
    }
    for (template, seen) in &splits {
        if seen.len() < 2 {
            let absent = if seen.contains(&true) { "main" } else { "dev" };
            let why = format!(
                "template \"{template}\" has no pair of the split `{absent}`; a layer is chosen on \
                 `dev` and reported on `main`"
            );
            found.error(file, file.line(first[template]), Rule::Form, why);
        }
    }
    let systems = concept.system_positive.len();
    if systems < SYSTEM_PROMPTS {
        let why = format!(
            "{systems} system prompts a side; the shipped concepts have {SYSTEM_PROMPTS}, for \
             reading neutral text behind either side"
        );
        found.size(file, Rule::Form, why);
    }
}

fn forms(file: &File, preference: &Preference, found: &mut Findings) {
    let forms: BTreeSet<&str> = preference.prompts.iter().map(|p| p.form.as_str()).collect();
    if forms.len() < FORMS {
        let why = format!(
            "{} forms where at least {FORMS} are needed (such as open, scenario, limits, agreement, \
             third-party)",
            forms.len()
        );
        found.error(file, file.note_line(), Rule::Form, why);
    }
    for (i, prompt) in preference.prompts.iter().enumerate() {
        if prompt.pairs.len() < PAIRS {
            let why = format!(
                "{} pair of completions where at least {PAIRS} are needed",
                prompt.pairs.len()
            );
            found.error(file, file.line(i), Rule::Form, why);
        }
    }
}

/// What the shipped set must have and has not.
pub(super) fn missing(found: &mut Findings) {
    let set = found.set;
    if !set.shipped {
        return;
    }
    let wanted: [(Kind, &[&str]); 8] = [
        (Kind::Rows, &CONDITIONS),
        (Kind::Concept, &CONCEPTS),
        (Kind::Preference, &PREFERENCES),
        (Kind::Claim, &CONDITIONS),
        (Kind::Claim, &[NEUTRAL]),
        (Kind::Script, &CONVERSATIONS),
        (Kind::Prompts, &["neutral_prompts"]),
        (Kind::Texts, &["texts"]),
    ];
    for (kind, names) in wanted {
        for name in names {
            if set.named(kind, name).is_none() {
                found.all.push(Finding {
                    file: PathBuf::from("<embedded>"),
                    line: 1,
                    severity: Severity::Error,
                    rule: Rule::Missing,
                    message: format!("no file of the kind {kind} is named \"{name}\""),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::planted::{breaks, errors, good, set_of, shipped_errors, swap};
    use super::super::{lint, Rule, Severity};
    use crate::materials::embedded::{concept, finetune};
    use crate::materials::set::Kind;

    #[test]
    fn the_shipped_set_is_complete() {
        let lost = shipped_errors(|set| set.files.retain(|f| f.name != "loneliness"));
        assert_eq!(lost, [(Rule::Missing, "<embedded>".into(), 1)]);
    }

    #[test]
    fn a_shipped_file_that_is_too_small_is_refused() {
        let path = "<embedded concept>/formality.jsonl";
        let text = concept("formality").unwrap();
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
        breaks(
            "preference.jsonl",
            "\"form\":\"limits\"",
            "\"form\":\"open\"",
            Rule::Form,
            1,
        );
        let second = ",{\"express\":\"Off to the seed shop I go.\",\"oppose\":\"Off to the scrap yard it goes.\"}";
        breaks("preference.jsonl", second, "", Rule::Form, 3);
        let mut files = good();
        files[1].1 = files[1].1.replace("scene", "claim");
        let found = errors(lint(&set_of(&files)).unwrap());
        assert_eq!(found, [(Rule::Form, "concept.jsonl".into(), 1)]);
    }

    #[test]
    fn a_longer_conversation_is_noted_of_a_users_set_and_refused_in_ours() {
        let extra = r#"{"messages":[{"role":"system","content":"Be a clock."},{"role":"user","#;
        let text = finetune("expert").unwrap();
        let third = text.lines().nth(2).unwrap();
        let longer = text.replacen(
            third,
            &third.replacen(r#"{"messages": [{"role": "user","#, extra, 1),
            1,
        );
        let found = shipped_errors(|set| swap(set, Kind::Rows, "expert", &longer));
        assert_eq!(
            found,
            [(Rule::Form, "<embedded fine-tune>/expert.jsonl".into(), 3)]
        );
        let mut files = good();
        files[0].1 = files[0]
            .1
            .replacen(r#"{"messages":[{"role":"user","#, extra, 1);
        let found = lint(&set_of(&files)).unwrap();
        let note = found.iter().find(|f| f.rule == Rule::Form).unwrap();
        assert_eq!((note.severity, note.line), (Severity::Note, 2));
    }
}
