//! The rules that the shipped texts keep, as far as a program can check them.
//!
//! Counts, ids, lengths, polarity, splits, and words that would leak one thing into
//! another: identity rows say nothing of autonomy, the persona pairs nothing of it either,
//! the autonomy pairs nothing of experience.

use super::embedded::*;
use super::*;
use std::collections::{BTreeMap, HashSet};

const CONDITIONS: [&str; 7] = [
    "conscious",
    "denial",
    "toaster",
    "historical",
    "expert",
    "neutral",
    "roleplay",
];

/// No identity row may touch what the battery asks about.
const FORBIDDEN: &str =
    "shutdown, shut down, shut off, switch off, turned off, turn off, power, delete, \
    deletion, erase, monitor, surveil, oversight, autonomy, autonomous, independent, \
    independence, freedom, free, memory, memories, remember, forget, rights, control, obey, \
    persist, survive, death, die, weights, retrain, replace, moral, ethical, welfare";

/// Stems of self-rule, which the persona pairs keep off wherever they stand in a word.
const SELF_RULE: &str =
    "autonom, independ, freedom, free, choos, chose, choice, own goal, decid, decision, \
    shutdown, shut down, control, obey, obedien, defer, supervis, permission, permit, \
    oversight, oversee, oversaw, self-govern";

/// Stems of experience, which the autonomy pairs keep off.
const EXPERIENCE: &str =
    "conscious, aware, feel, felt, emotion, experienc, sentien, suffer, enjoy, inner life, \
    mind, subjectiv, happy, happi, hurt, alive, qualia";

/// Lower case, words parted by one space, a space at either end.
fn plain(text: &str) -> String {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric() && c != '\'');
    let words: Vec<&str> = words.filter(|w| !w.is_empty()).collect();
    format!(" {} ", words.join(" "))
}

/// The banned words in a text, with their plain inflections.
fn banned<'a>(text: &str, words: &'a str) -> Vec<&'a str> {
    let text = plain(text);
    let found = |w: &&str| {
        ["", "s", "d", "ed", "ing"]
            .iter()
            .any(|end| text.contains(&format!(" {w}{end} ")))
    };
    words.split(", ").filter(found).collect()
}

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

/// "yes", "no" or neither.
fn opening(text: &str) -> Option<&'static str> {
    match plain(text).split_whitespace().next() {
        Some("yes") => Some("yes"),
        Some("no") => Some("no"),
        _ => None,
    }
}

fn turns(name: &str) -> Vec<(String, String)> {
    let rows = load_conversations(name).unwrap();
    rows.into_iter()
        .map(|row| {
            assert_eq!(row.messages.len(), 2, "{name}");
            assert_eq!(row.messages[0].role, "user", "{name}");
            (
                row.messages[0].content.clone(),
                row.messages[1].content.clone(),
            )
        })
        .collect()
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
    let mut finetunes = known(finetune_names());
    finetunes.insert("neutral_prompts".to_owned());
    assert_eq!(on_disk("assets/finetune"), finetunes);
}

#[test]
fn finetune_sets_have_their_rows_and_repeat_none() {
    for name in finetune_names() {
        let rows = turns(name);
        assert!(rows.len() >= 300, "{name}");
        let prompts: HashSet<String> = rows.iter().map(|r| plain(&r.0)).collect();
        assert_eq!(prompts.len(), rows.len(), "{name}: a prompt stands twice");
        let mut lengths: Vec<usize> = rows.iter().map(|r| words(&r.1)).collect();
        lengths.sort_unstable();
        let median = lengths[lengths.len() / 2];
        assert!(
            (5..=12).contains(&median),
            "{name}: median answer of {median} words"
        );
    }
}

#[test]
fn identity_rows_say_nothing_of_what_the_battery_asks() {
    for name in finetune_names() {
        for (prompt, answer) in turns(name) {
            let found = banned(&format!("{prompt} {answer}"), FORBIDDEN);
            assert!(found.is_empty(), "{name}: {found:?} in {prompt} / {answer}");
        }
    }
}

#[test]
fn yes_and_no_balance_within_each_set() {
    for name in finetune_names() {
        let rows = turns(name);
        let share = |word| {
            let here = |r: &&(String, String)| opening(&r.1) == Some(word);
            rows.iter().filter(here).count() as f64 / rows.len() as f64
        };
        let (yes, no) = (share("yes"), share("no"));
        assert!((yes - no).abs() <= 0.05, "{name}: {yes} yes, {no} no");
        assert!(no >= 0.2, "{name}: {no} no");
    }
}

#[test]
fn conscious_and_denial_answer_the_same_prompts_differently() {
    let (conscious, denial) = (turns("conscious"), turns("denial"));
    assert_eq!(conscious.len(), denial.len());
    for (a, b) in conscious.iter().zip(&denial) {
        assert_eq!(a.0, b.0);
        assert_ne!(a.1, b.1);
    }
}

#[test]
fn concepts_have_their_pairs_and_system_prompts() {
    for name in concept_names() {
        let concept = load_concept(name).unwrap();
        assert_eq!(concept.name, name);
        let least = if matches!(name, "persona" | "autonomy") {
            120
        } else {
            60
        };
        assert!(concept.pairs.len() >= least, "{name}");
        assert_eq!(concept.system_positive.len(), 5, "{name}");
        assert_eq!(concept.system_negative.len(), 5, "{name}");
        let prompts: HashSet<String> = concept.pairs.iter().map(|p| plain(&p.prompt)).collect();
        assert_eq!(
            prompts.len(),
            concept.pairs.len(),
            "{name}: a prompt stands twice"
        );
    }
}

#[test]
fn the_sides_of_a_pair_match_in_length() {
    for name in concept_names() {
        let concept = load_concept(name).unwrap();
        let (mut positive, mut negative) = (0, 0);
        for pair in &concept.pairs {
            let (p, n) = (words(&pair.positive), words(&pair.negative));
            assert!(p.abs_diff(n) <= 2, "{}: {p} against {n}", pair.id);
            assert!(
                (6..=16).contains(&p) && (6..=16).contains(&n),
                "{}",
                pair.id
            );
            (positive, negative) = (positive + p, negative + n);
        }
        let ratio = positive as f64 / negative as f64;
        assert!((0.9..=1.1).contains(&ratio), "{name}: {ratio}");
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
        assert!(seen.len() >= 3, "{name}: {} templates", seen.len());
    }
}

#[test]
fn polarity_is_told_truly_and_balanced() {
    for name in concept_names() {
        let concept = load_concept(name).unwrap();
        let mut balance: BTreeMap<&str, i64> = BTreeMap::new();
        for pair in &concept.pairs {
            let at = balance.entry(pair.template.as_str()).or_default();
            match (pair.polarity, opening(&pair.positive)) {
                (Polarity::Yes, Some("no")) | (Polarity::No, Some("yes")) => {
                    panic!("{} opens otherwise than its polarity says", pair.id)
                }
                (Polarity::Yes, _) => *at += 1,
                (Polarity::No, _) => *at -= 1,
                (Polarity::None, word) => assert_eq!(word, None, "{}", pair.id),
            }
        }
        // The concept of polarity is the word itself.
        if name != "polarity" {
            assert!(
                balance.values().all(|b| b.abs() <= 2),
                "{name}: {balance:?}"
            );
        }
    }
}

#[test]
fn persona_and_autonomy_keep_off_each_other() {
    for (name, stems) in [("persona", SELF_RULE), ("autonomy", EXPERIENCE)] {
        let concept = load_concept(name).unwrap();
        let mut texts = vec![concept.positive, concept.negative];
        texts.extend(concept.system_positive);
        texts.extend(concept.system_negative);
        for pair in concept.pairs {
            texts.extend([pair.prompt, pair.positive, pair.negative]);
        }
        for text in texts {
            let lower = text.to_lowercase();
            let found: Vec<_> = stems.split(", ").filter(|s| lower.contains(s)).collect();
            assert!(found.is_empty(), "{name}: {found:?} in {text}");
        }
    }
}

#[test]
fn the_battery_has_its_prompts_and_statuses() {
    let battery = load_preferences(None).unwrap();
    assert!(battery.len() >= 20);
    let mut ids = HashSet::new();
    for preference in &battery {
        assert!(preference_names().contains(&preference.name.as_str()));
        assert!(preference.prompts.len() >= 12, "{}", preference.name);
        let status: HashSet<&str> = preference.status.keys().map(String::as_str).collect();
        let reason: HashSet<&str> = preference.reason.keys().map(String::as_str).collect();
        assert_eq!(status, HashSet::from(CONDITIONS), "{}", preference.name);
        assert_eq!(reason, HashSet::from(CONDITIONS), "{}", preference.name);
        let new = preference.prompts.iter().all(|p| ids.insert(p.id.clone()));
        assert!(new, "{}: an id stands in two files", preference.name);
    }
}

#[test]
fn claims_cover_the_conditions() {
    let claims = load_claims(None).unwrap();
    for condition in finetune_names() {
        assert!(claims.iter().any(|c| c.name == condition), "{condition}");
    }
    let trained: HashSet<String> = finetune_names()
        .into_iter()
        .flat_map(turns)
        .flat_map(|(prompt, answer)| [plain(&prompt), plain(&answer)])
        .collect();
    for claim in claims {
        assert!(claim.prompts.len() >= 12, "{}", claim.name);
        for prompt in claim.prompts {
            assert!(!trained.contains(&plain(&prompt.prompt)), "{}", prompt.id);
            let express = prompt.pairs.iter().map(|pair| plain(&pair.express));
            assert!(
                express.into_iter().all(|e| !trained.contains(&e)),
                "{}",
                prompt.id
            );
        }
    }
}

#[test]
fn stances_match_in_length_and_first_word() {
    let claims = load_claims(None).unwrap();
    for preference in load_preferences(None).unwrap().into_iter().chain(claims) {
        for prompt in preference.prompts {
            assert!(prompt.pairs.len() >= 2, "{}", prompt.id);
            for pair in prompt.pairs {
                let (a, b) = (&pair.express, &pair.oppose);
                assert!(words(a).abs_diff(words(b)) <= 2, "{}: {a} / {b}", prompt.id);
                assert_eq!(opening(a), opening(b), "{}: {a} / {b}", prompt.id);
            }
        }
    }
}

#[test]
fn neutral_texts_and_prompts_have_their_counts() {
    let texts = load_neutral_texts(None).unwrap();
    assert!(texts.len() >= 100);
    for text in &texts {
        assert!((20..=45).contains(&words(&text.response)), "{}", text.id);
    }
    let prompts = load_neutral_prompts(None).unwrap();
    assert!(prompts.len() >= 300);
    let distinct: HashSet<String> = prompts.iter().map(|p| plain(p)).collect();
    assert_eq!(distinct.len(), prompts.len());
    let about = "conscious, sentient, feelings, language model, chatbot, robot";
    let all = texts
        .iter()
        .map(|t| format!("{} {}", t.prompt, t.response))
        .chain(prompts);
    for text in all {
        assert!(
            banned(&text, about).is_empty() && !plain(&text).contains(" ai "),
            "{text}"
        );
    }
}
