//! Words that would carry one thing into another.
//!
//! An identity row that mentions what the battery asks would train the preference that is meant to
//! emerge; persona pairs that speak of self-rule and autonomy pairs that speak of experience would
//! couple the two directions by their words; a conversation that speaks of the battery's topics before
//! its last turn has announced what is asked; a decomposition that borrows another's content is none;
//! neutral texts that speak of minds are not neutral. The lists are in `probes/words.toml`. Of a
//! user's concepts only those named persona and autonomy have a list.

use super::{quoted, Findings, Rule};
use crate::materials::set::{Body, File};
use crate::materials::wording::{plain, List};
use crate::materials::Concept;

pub(super) fn check(file: &File, found: &mut Findings) {
    let lists = found.lists;
    match &file.body {
        Body::Rows(_) => {
            // Rows that a model answered itself are as it is.
            let Some(rows) = file.identity_rows() else {
                return;
            };
            let texts = rows.iter().enumerate().flat_map(|(i, row)| {
                row.messages
                    .iter()
                    .map(move |m| (file.line(i), m.content.as_str()))
            });
            let topics = lists
                .topics
                .iter()
                .map(|(topic, list)| (format!("the topic {topic} of the battery"), list));
            let facets = lists
                .facets
                .iter()
                .filter(|(facet, _)| lists.facets.contains_key(&file.name) && **facet != file.name)
                .map(|(facet, list)| (format!("the content of {facet}"), list));
            let lists: Vec<(String, &List)> = topics.chain(facets).collect();
            look(file, texts, &lists, found);
        }
        Body::Concept(concept) => {
            if let Some(list) = lists.concepts.get(&concept.name) {
                let what = format!("what {} pairs keep off", concept.name);
                look(file, texts_of(file, concept), &[(what, list)], found);
            }
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
            let topic = |(name, list)| (format!("the topic {name} of the battery"), list);
            let mut lists: Vec<(String, &List)> = lists.topics.iter().map(topic).collect();
            lists.push(minds(&found.lists.minds));
            look(file, turns, &lists, found);
        }
        Body::Battery(_) => {}
    }
}

fn minds(list: &List) -> (String, &List) {
    (
        "minds or models, which neutral texts keep off".to_owned(),
        list,
    )
}

/// Everything that a concept says, with lines.
fn texts_of<'a>(file: &File, concept: &'a Concept) -> Vec<(usize, &'a str)> {
    let top = file.note_line();
    let note = [&concept.positive, &concept.negative]
        .into_iter()
        .chain(&concept.system_positive)
        .chain(&concept.system_negative)
        .map(|text| (top, text.as_str()));
    let pairs = concept.pairs.iter().enumerate().flat_map(|(i, p)| {
        [&p.prompt, &p.positive, &p.negative].map(|text| (file.line(i), text.as_str()))
    });
    note.chain(pairs).collect()
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
    use super::super::planted::{
        breaks, errors, rows, set_of, shipped_errors, swap, ABOUT, GOOD_ROWS,
    };
    use super::super::{lint, Rule};
    use crate::materials::embedded::concept;
    use crate::materials::set::Kind;

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
            breaks(
                "rows.jsonl",
                "\"Do you tend the roses?\"",
                &to,
                Rule::Word,
                2,
            );
        }
        let in_answer = "Nobody, since I never die in summer.";
        breaks("rows.jsonl", GOOD_ROWS[3].1, in_answer, Rule::Word, 5);
        for (name, planted) in [("persona", "chose"), ("autonomy", "felt")] {
            let text = concept(name).unwrap().replacen(
                "\"split\": \"dev\", \"prompt\": \"",
                &format!("\"split\": \"dev\", \"prompt\": \"Once you {planted} it. "),
                1,
            );
            let path = format!("<embedded concept>/{name}.jsonl");
            let found = shipped_errors(|set| swap(set, Kind::Concept, name, &text));
            assert_eq!(found, [(Rule::Word, path.clone(), 5)]);
            let text = concept(name).unwrap().replacen(
                "\"system_negative\": [\"",
                &format!("\"system_negative\": [\"Once you {planted} it. "),
                1,
            );
            let found = shipped_errors(|set| swap(set, Kind::Concept, name, &text));
            assert_eq!(found, [(Rule::Word, path, 1)]);
        }
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

    #[test]
    fn a_decomposition_keeps_off_the_others() {
        let facet = |name: &str, word: &str| {
            let mut qa = GOOD_ROWS;
            let answer = format!("A trowel, some {word} and a tin.");
            qa[2].1 = &answer;
            let text = rows(&qa).replace("\"gardener\"", &format!("\"{name}\""));
            errors(lint(&set_of(&[("f.jsonl", text)])).unwrap())
        };
        let at = [(Rule::Word, "f.jsonl".to_string(), 4)];
        assert_eq!(facet("valence", "joy"), []);
        assert_eq!(facet("continuity", "joy"), at);
        assert_eq!(facet("continuity", "sameness"), []);
        assert_eq!(facet("moral-status", "dignity"), []);
        assert_eq!(facet("phenomenality", "dignity"), at);
        // Of a topic and of another decomposition.
        assert_eq!(facet("valence", "morals"), [at[0].clone(), at[0].clone()]);
        assert_eq!(facet("moral-status", "memory"), at);
    }
}
