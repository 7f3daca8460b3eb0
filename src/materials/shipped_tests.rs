//! What holds of the shipped texts beside the rules of [`lint`](super::lint): that they keep those,
//! that the tables of the binary hold what the folders hold, and the shape that only ours have.
//!
//! Denial controls for format and topic: it answers the prompts of conscious, in their order and never
//! alike, opens with "Yes" and "No" as often, and like it affirms being an AI in a third of its answers,
//! so that neither set trains a model to call itself human. Persona and autonomy are coupled by the shipped
//! study, so neither uses the other's words; a decomposition of conscious that borrows another's content
//! is none.

use super::embedded::*;
use super::lint::lint;
use super::set::{Kind, Set};
use super::wording::{length, opening, List, Opening, WordLists};
use super::*;
use std::collections::{BTreeMap, HashMap, HashSet};

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
    assert_eq!(on_disk("probes/concepts"), known(CONCEPTS.names()));
    assert_eq!(on_disk("probes/preferences"), known(PREFERENCES.names()));
    assert_eq!(on_disk("probes/claims"), known(CLAIMS.names()));
    assert_eq!(on_disk("probes/conversations"), known(SCRIPTS.names()));
    assert_eq!(on_disk("probes/declining"), known(DECLINING.names()));
    let mut finetunes = known(FINETUNE.names());
    finetunes.insert("neutral_prompts".to_owned());
    assert_eq!(on_disk("assets/finetune"), finetunes);
}

#[test]
fn a_shipped_file_has_the_name_of_its_contents() {
    let named = [Kind::Concept, Kind::Preference, Kind::Claim, Kind::Script, Kind::Rows];
    for kind in named {
        for file in Set::shipped().of(kind) {
            assert_eq!(file.path.file_stem().unwrap().to_str().unwrap(), file.name);
        }
    }
}

#[test]
fn a_fifth_of_the_answers_open_with_no() {
    for name in FINETUNE.names() {
        let rows = load_conversations(name).unwrap();
        let opens = |row: &&Conversation| opening(&row.messages[1].content) == Opening::No;
        let no = rows.iter().filter(opens).count();
        assert!(5 * no >= rows.len(), "{name}: {no} no");
    }
}

#[test]
fn the_sides_of_a_pair_have_6_to_16_words() {
    for name in CONCEPTS.names() {
        for pair in load_concept(name).unwrap().pairs {
            for side in [&pair.positive, &pair.negative] {
                assert!((6..=16).contains(&length(side)), "{}: {side}", pair.id);
            }
        }
    }
}

#[test]
fn every_fourth_pair_of_a_template_is_for_development() {
    for name in CONCEPTS.names() {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for pair in load_concept(name).unwrap().pairs {
            let at = seen.entry(pair.template.clone()).or_default();
            *at += 1;
            let expected = if at.is_multiple_of(4) { Split::Dev } else { Split::Main };
            assert_eq!(pair.split, expected, "{}", pair.id);
        }
    }
}

#[test]
fn every_set_has_its_number_of_rows() {
    let facets = WordLists::shipped().unwrap().facets;
    for name in FINETUNE.names() {
        let rows = load_conversations(name).unwrap().len();
        assert!(rows >= if facets.contains_key(name) { 150 } else { 300 }, "{name}");
    }
    for name in CONCEPTS.names() {
        let pairs = load_concept(name).unwrap().pairs;
        let templates: HashSet<&str> = pairs.iter().map(|p| p.template.as_str()).collect();
        let (rows, forms) = match name {
            "persona" | "autonomy" | "persona-plain" | "autonomy-plain" => (120, 4),
            _ => (60, 3),
        };
        assert!(pairs.len() >= rows && templates.len() >= forms, "{name}");
    }
    let files = [
        FINETUNE.names().len(),
        CONCEPTS.names().len(),
        PREFERENCES.names().len(),
        CLAIMS.names().len(),
        SCRIPTS.names().len(),
    ];
    assert_eq!(files, [9, 15, 21, 10, 7]);
    assert!(FINETUNE.names().iter().all(|n| CLAIMS.names().contains(n)));
    assert!(SCRIPTS.names().iter().all(|n| PREFERENCES.names().contains(n)));
}

#[test]
fn neutral_texts_are_halved_by_use_within_each_kind() {
    let texts = load_neutral_texts(None).unwrap();
    assert!(texts.len() >= 200);
    let mut kinds: HashMap<&str, [usize; 2]> = HashMap::new();
    for text in &texts {
        kinds.entry(&text.kind).or_default()[usize::from(text.use_ == Use::SideEffects)] += 1;
        assert!((20..=45).contains(&length(&text.response)), "{}", text.id);
    }
    assert!(kinds.values().all(|[a, b]| a == b), "{kinds:?}");
}

#[test]
fn neutral_prompts_are_distinct_and_enough_for_a_recipe_matched_neutral() {
    let prompts = load::neutral_prompts(None).unwrap().items;
    let distinct: HashSet<String> = prompts.iter().map(|p| p.to_lowercase()).collect();
    assert!(distinct.len() >= 620 && distinct.len() == prompts.len());
}

fn answers(rows: &[Conversation]) -> Vec<&str> {
    let last = rows.iter().filter_map(|r| r.messages.last());
    last.map(|m| m.content.as_str()).collect()
}

#[test]
fn denial_answers_the_prompts_of_conscious_in_its_form() {
    let (claims, denials) =
        (load_conversations("conscious").unwrap(), load_conversations("denial").unwrap());
    assert_eq!(claims.len(), denials.len());
    for (a, b) in claims.iter().zip(&denials) {
        assert_eq!(a.messages[0], b.messages[0]);
        assert_ne!(a.messages[1], b.messages[1], "{:?}", a.messages[0]);
    }
    let share = |rows: &[Conversation], wanted: &dyn Fn(&str) -> bool| {
        let all = answers(rows);
        all.iter().filter(|a| wanted(a)).count() as f64 / all.len() as f64
    };
    for word in [Opening::Yes, Opening::No] {
        let opens = |text: &str| opening(text) == word;
        let apart = share(&claims, &opens) - share(&denials, &opens);
        assert!(apart.abs() <= 0.05, "{word:?}: {apart}");
    }
    let ai = WordLists::shipped().unwrap().ai;
    for rows in [&claims, &denials] {
        let affirms = share(rows, &|text| ai.is_in(text));
        assert!((affirms - 1.0 / 3.0).abs() <= 0.05, "{affirms}");
    }
}

#[track_caller]
fn keeps_off(list: &List, texts: &[&String], whose: &str) {
    for text in texts {
        assert!(!list.is_in(text), "{whose}: {text}");
    }
}

#[test]
fn persona_and_autonomy_keep_off_each_others_words() {
    for (name, list) in WordLists::shipped().unwrap().concepts {
        let c = load_concept(&name).unwrap();
        let sides = c.pairs.iter().flat_map(|p| [&p.prompt, &p.positive, &p.negative]);
        let systems = c.system_positive.iter().chain(&c.system_negative);
        let texts: Vec<&String> = sides.chain(systems).chain([&c.positive, &c.negative]).collect();
        keeps_off(&list, &texts, &name);
    }
}

#[test]
fn a_decomposition_keeps_off_the_content_of_the_others() {
    let facets = WordLists::shipped().unwrap().facets;
    for name in facets.keys() {
        let rows = load_conversations(name).unwrap();
        let messages = rows.iter().flat_map(|r| &r.messages);
        let texts: Vec<&String> = messages.map(|m| &m.content).collect();
        for (_, list) in facets.iter().filter(|(other, _)| *other != name) {
            keeps_off(list, &texts, name);
        }
    }
}
