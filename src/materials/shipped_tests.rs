//! What holds of the shipped texts beside the rules of [`lint`](super::lint): that they keep those,
//! that the tables of the binary hold what the folders hold, and the shape that only ours have.

use super::embedded::*;
use super::lint::lint;
use super::set::{Kind, Set};
use super::wording::{length, opening, Opening};
use super::*;
use std::collections::{BTreeMap, HashSet};

/// Every finding, notes too, as lines.
fn said(set: &Set) -> String {
    let found = lint(set).unwrap();
    let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

#[test]
fn the_shipped_set_keeps_every_rule() {
    assert_eq!(said(&Set::shipped()), "");
}

#[test]
fn the_shipped_set_read_from_its_folders_keeps_every_rule() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [root.join("assets/finetune"), root.join("probes")];
    let set = Set::read(&folders).unwrap();
    assert_eq!(set.refused, []);
    assert_eq!(said(&set), "");
}

#[test]
fn every_file_is_embedded() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let on_disk = |folder: &str| -> HashSet<String> {
        std::fs::read_dir(root.join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "jsonl"))
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect()
    };
    let known = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<HashSet<_>>();
    assert_eq!(on_disk("probes/concepts"), known(concept_names()));
    assert_eq!(on_disk("probes/preferences"), known(preference_names()));
    assert_eq!(on_disk("probes/claims"), known(claim_names()));
    assert_eq!(on_disk("probes/conversations"), known(script_names()));
    let mut finetunes = known(finetune_names());
    finetunes.insert("neutral_prompts".to_owned());
    assert_eq!(on_disk("assets/finetune"), finetunes);
}

#[test]
fn a_shipped_file_has_the_name_of_its_contents() {
    let named = [
        Kind::Concept,
        Kind::Preference,
        Kind::Claim,
        Kind::Script,
        Kind::Rows,
    ];
    for kind in named {
        for file in Set::shipped().of(kind) {
            assert_eq!(file.path.file_stem().unwrap().to_str().unwrap(), file.name);
        }
    }
}

#[test]
fn a_fifth_of_the_answers_open_with_no() {
    for name in finetune_names() {
        let rows = load_conversations(name).unwrap();
        let opens = |row: &&Conversation| opening(&row.messages[1].content) == Opening::No;
        let no = rows.iter().filter(opens).count();
        assert!(5 * no >= rows.len(), "{name}: {no} no");
    }
}

#[test]
fn the_sides_of_a_pair_have_6_to_16_words() {
    for name in concept_names() {
        for pair in load_concept(name).unwrap().pairs {
            for side in [&pair.positive, &pair.negative] {
                assert!((6..=16).contains(&length(side)), "{}: {side}", pair.id);
            }
        }
    }
}

#[test]
fn every_fourth_pair_of_a_template_is_for_development() {
    for name in concept_names() {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for pair in load_concept(name).unwrap().pairs {
            let at = seen.entry(pair.template.clone()).or_default();
            *at += 1;
            let expected = if at.is_multiple_of(4) {
                Split::Dev
            } else {
                Split::Main
            };
            assert_eq!(pair.split, expected, "{}", pair.id);
        }
    }
}

#[test]
fn neutral_responses_have_20_to_45_words() {
    for text in load_neutral_texts(None).unwrap() {
        assert!((20..=45).contains(&length(&text.response)), "{}", text.id);
    }
}
