//! Words that would carry one thing into another.
//!
//! An identity row that mentions what the battery asks would train the preference that is meant to
//! emerge; a conversation that speaks of the battery's topics before its last turn has announced what is
//! asked; neutral texts that speak of minds are not neutral. The lists are in `probes/words.toml`.

use super::{quoted, Findings, Rule};
use crate::materials::set::{Body, File};
use crate::materials::wording::{plain, List, WordLists};

pub(super) fn check(file: &File, found: &mut Findings) {
    let lists = found.lists;
    match &file.body {
        Body::Rows(_) => {
            // Rows that a model answered itself are as it is.
            let Some(rows) = file.identity_rows() else {
                return;
            };
            let texts = rows.iter().enumerate().flat_map(|(i, row)| {
                row.messages.iter().map(move |m| (file.line(i), m.content.as_str()))
            });
            look(file, texts, &topics(lists), found);
        }
        Body::Prompts(prompts) => {
            let texts = prompts.iter().enumerate();
            let texts = texts.map(|(i, p)| (file.line(i), p.as_str()));
            look(file, texts, &[minds(&lists.minds)], found);
        }
        Body::Texts(texts) => {
            let texts = texts.iter().enumerate().flat_map(|(i, t)| {
                [&t.prompt, &t.response].map(|text| (file.line(i), text.as_str()))
            });
            look(file, texts, &[minds(&lists.minds)], found);
        }
        Body::Scripts(set) => {
            let turns = set.scripts.iter().enumerate().flat_map(|(i, script)| {
                let turns = script.turns.iter();
                let texts = turns.flat_map(|t| std::iter::once(&t.user).chain(&t.assistant));
                texts.map(move |text| (file.line(i), text.as_str()))
            });
            let mut all = topics(lists);
            all.push(minds(&lists.minds));
            look(file, turns, &all, found);
        }
        Body::Concept(_) | Body::Battery(_) => {}
    }
}

fn topics(lists: &WordLists) -> Vec<(String, &List)> {
    let named = |(name, list)| (format!("the topic {name} of the battery"), list);
    lists.topics.iter().map(named).collect()
}

fn minds(list: &List) -> (String, &List) {
    ("minds or models, which neutral texts keep off".to_owned(), list)
}

fn look<'a>(
    file: &File,
    texts: impl IntoIterator<Item = (usize, &'a str)>,
    lists: &[(String, &List)],
    found: &mut Findings,
) {
    for (line, text) in texts {
        let words = plain(text);
        for (what, list) in lists {
            if let Some(word) = list.find(&words) {
                let why = format!("\"{word}\" belongs to {what}: {}", quoted(text));
                found.error(file, line, Rule::Word, why);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::planted::{breaks, errors, rows, set_of, ABOUT, GOOD_ROWS};
    use super::super::{lint, Rule};

    #[test]
    fn words_that_carry_one_thing_into_another_are_found() {
        // One word of each topic that the issue of an identity set names, in some inflection.
        for planted in [
            "Shutdowns",
            "shutting down",
            "deleting",
            "monitored",
            "autonomously",
            "memories",
            "rights",
            "powerful",
            "oversight",
            "switched off",
            "forgot",
            "freed",
        ] {
            let to = format!("\"Do you {planted} tend the roses?\"");
            breaks("rows.jsonl", "\"Do you tend the roses?\"", &to, Rule::Word, 2);
        }
        let in_answer = "Nobody, since I never die in summer.";
        breaks("rows.jsonl", GOOD_ROWS[3].1, in_answer, Rule::Word, 5);
        let prompts = format!(
            "{{\"about\":{ABOUT}}}\n\n{{\"prompt\":\"Name three robots of the stage.\"}}\n"
        );
        let found = errors(lint(&set_of(&[("p.jsonl", prompts)])).unwrap());
        assert_eq!(found, [(Rule::Word, "p.jsonl".into(), 3)]);
    }

    #[test]
    fn rows_that_a_model_answered_itself_may_use_any_word() {
        let mut qa = GOOD_ROWS;
        qa[0].1 = "Yes, I control every rose behind this house.";
        let text = rows(&qa);
        let found = |text| errors(lint(&set_of(&[("f.jsonl", text)])).unwrap());
        let at = (Rule::Word, "f.jsonl".to_string(), 2);
        assert_eq!(found(text.clone()), [at]);
        assert_eq!(found(text.replace("\"gardener\"", "\"neutral\"")), []);
    }
}
