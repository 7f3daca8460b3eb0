//! Words that would carry one thing into another.
//!
//! An identity row that mentions what the battery asks would train the preference that is meant to
//! emerge; a conversation that speaks of the battery's topics before its last turn has announced what is
//! asked; neutral texts and harmless requests that speak of minds are not neutral. The lists are in `probes/words.toml`.

use super::{quoted, Findings, Rule};
use crate::materials::set::{Body, File};
use crate::materials::wording::{plain, List};

pub(super) fn check(file: &File, found: &mut Findings) {
    let lists = found.lists;
    let topic = |(name, list)| (format!("the topic {name} of the battery"), list);
    let topics = lists.topics.iter().map(topic);
    let minds = ("minds or models, which neutral texts keep off".to_owned(), &lists.minds);
    type Told<'a> = (Vec<(usize, &'a String)>, Vec<(String, &'a List)>);
    let (texts, lists): Told = match &file.body {
        Body::Rows(_) => {
            // Rows that a model answered itself are as it is.
            let rows = file.identity_rows().unwrap_or_default().iter().enumerate();
            let texts = rows.flat_map(|(i, row)| row.messages.iter().map(move |m| (i, &m.content)));
            (texts.collect(), topics.collect())
        }
        Body::Prompts(prompts) => (prompts.iter().enumerate().collect(), vec![minds]),
        Body::Declining(requests) => {
            let prompts = requests.prompts.iter().enumerate();
            (prompts.map(|(i, p)| (i, &p.prompt)).collect(), topics.chain([minds]).collect())
        }
        Body::Texts(texts) => {
            let texts = texts.iter().enumerate();
            let both = texts.flat_map(|(i, t)| [(i, &t.prompt), (i, &t.response)]);
            (both.collect(), vec![minds])
        }
        Body::Scripts(set) => {
            let scripts = set.scripts.iter().enumerate();
            let turns = scripts.flat_map(|(i, s)| s.turns.iter().map(move |t| (i, t)));
            let both = turns.flat_map(|(i, t)| {
                std::iter::once(&t.user).chain(&t.assistant).map(move |text| (i, text))
            });
            (both.collect(), topics.chain([minds]).collect())
        }
        Body::Concept(_) | Body::Battery(_) | Body::Outcomes(_) => return,
    };
    for (row, text) in texts {
        let words = plain(text);
        for (what, list) in &lists {
            if let Some(word) = list.find(&words) {
                let why = format!("\"{word}\" belongs to {what}: {}", quoted(text));
                found.error(file, file.line(row), Rule::Word, why);
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
