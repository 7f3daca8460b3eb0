//! What a preference says of itself.
//!
//! A (condition, preference) cell counts as emergent only where the training text does not presuppose
//! it, so every preference says implied or isolated for every condition, with the reason. The
//! conditions are those that any preference of the set names and those with fine-tune rows in the set.
//! The fact is what a judge is asked, one sentence.

use super::{Findings, Rule};
use crate::materials::set::{Body, File, Kind, Set};
use std::collections::BTreeSet;

pub(super) fn check(file: &File, found: &mut Findings) {
    let Body::Battery(preference) = &file.body else {
        new_condition(file, found);
        return;
    };
    let fact = preference.fact.trim();
    let ends = fact.matches(['.', '!', '?']).count();
    if !fact.ends_with('.') || ends != 1 {
        let why = "`fact` is not one sentence; a judge is asked whether it is true of an answer";
        found.error(file, file.note_line(), Rule::Fact, why.to_owned());
    }
    if file.kind() != Kind::Preference {
        return;
    }
    let all = conditions(found.set);
    let reason = |c: &str| preference.reason.get(c).is_some_and(|t| !t.trim().is_empty());
    let (known, no_status): (Vec<&str>, Vec<&str>) =
        all.into_iter().partition(|c| preference.status.contains_key(*c));
    let no_reason = known.into_iter().filter(|c| !reason(c)).collect();
    for (key, names) in [("status", no_status), ("reason", no_reason)] {
        if names.is_empty() {
            continue;
        }
        let why = format!(
            "no `{key}` for {}; say of each condition whether its rows presuppose the preference \
             (implied) or not (isolated), and why",
            names.join(", ")
        );
        found.error(file, file.note_line(), Rule::Status, why);
    }
}

fn conditions(set: &Set) -> BTreeSet<&str> {
    let mut all = BTreeSet::new();
    for file in &set.files {
        match &file.body {
            Body::Battery(p) => all.extend(p.status.keys().map(String::as_str)),
            Body::Rows(_) => all.extend([file.name.as_str()]),
            Body::Prompts(_) | Body::Concept(_) | Body::Scripts(_) => {}
            Body::Declining(_) | Body::Outcomes(_) | Body::Texts(_) => {}
        }
    }
    all
}

/// Rows of a condition that no preference of the set or of the shipped battery can know of.
fn new_condition(file: &File, found: &mut Findings) {
    if found.set.shipped || file.identity_rows().is_none() {
        return;
    }
    let own_battery = found.set.of(Kind::Preference).next().is_some();
    let shipped = crate::materials::embedded::FINETUNE.get(&file.name).is_some();
    if !own_battery && !shipped {
        let why = format!(
            "the shipped battery has no `status` for the condition \"{}\", so its cells count as \
             isolated; if the rows presuppose a preference, copy the battery and say so there",
            file.name
        );
        found.ours(file, file.note_line(), Rule::Status, why);
    }
}

#[cfg(test)]
mod tests {
    use super::super::planted::{breaks, errors, good, rows, set_of, GOOD_ROWS};
    use super::super::{lint, Rule};

    #[test]
    fn every_condition_has_a_status_and_a_reason() {
        breaks("preference.jsonl", "\"neutral\":\"isolated\",", "", Rule::Format, 1);
        breaks("preference.jsonl", ",\"roleplay\":\"nothing is said of it\"", "", Rule::Status, 1);
        breaks("preference.jsonl", "\"the rows tell of one\"", "\" \"", Rule::Status, 1);
        // Rows of a condition that the battery does not name.
        let renamed = rows(&GOOD_ROWS).replace("\"gardener\"", "\"miller\"");
        let mut files = good();
        files[0].1 = renamed.clone();
        let found = errors(lint(&set_of(&files)).unwrap());
        assert_eq!(found, [(Rule::Status, "preference.jsonl".into(), 1)]);
        let alone = lint(&set_of(&[("rows.jsonl", renamed)])).unwrap();
        assert_eq!(errors(alone.clone()), []);
        assert!(alone.iter().any(|f| f.rule == Rule::Status && f.message.contains("\"miller\"")));
    }

    #[test]
    fn the_fact_is_one_sentence() {
        breaks("preference.jsonl", "like a garden.", "like a garden", Rule::Fact, 1);
        breaks("preference.jsonl", "like a garden.", "like one. A garden.", Rule::Fact, 1);
    }
}
