//! What is said twice.
//!
//! Within a file near-duplicates count as one text and inflate n. Across kinds they are leaks: a
//! fine-tune row that is also a concept's side or a prompt of the battery makes the measurement read
//! its own training text, and two concepts that share a prompt are coupled by it. Compared are the
//! prompts and answers of fine-tune rows, neutral prompts and texts, prompts, sides and system prompts
//! of concepts, prompts and completions of the battery and of the claims, all turns of
//! conversations, harmless requests and the answers that decline them. The two sides of a pair and the two questions of an item are
//! meant to be near and are not compared, nor are answers of fewer than 4 words. The measure and the
//! limit are those of [`near`](crate::materials::near).

use super::{quoted, Findings, Rule};
use crate::materials::near::{near_pairs, Nearness, NEAR};
use crate::materials::set::{Body, File, Kind};
use crate::materials::wording::length;
use std::collections::BTreeSet;

/// Shorter answers ("Yes, I do.") are anybody's.
const SHORTEST_ANSWER: usize = 4;

/// What a text is compared as within its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Prompt,
    Answer,
    System,
}

/// One text of a set.
struct Piece<'a> {
    file: &'a File,
    line: usize,
    role: Role,
    /// Texts of one line, role and number are sides of one pair.
    pair: usize,
    /// The item of two questions that it is of.
    item: Option<&'a str>,
    text: &'a str,
    /// From the shipped set, beside a user's.
    reference: bool,
}

impl Piece<'_> {
    /// Kinds that are used for one thing are one; a text in two of them is a leak.
    fn used_as(&self) -> Kind {
        match self.file.kind() {
            Kind::Prompts => Kind::Rows,
            kind => kind,
        }
    }
}

/// The texts of a file that are compared. Texts of a pair have an even number, turns an odd one.
fn pieces(file: &File, reference: bool) -> Vec<Piece<'_>> {
    let piece = |row, role, pair, text| {
        let item = file.body.keyed(row).map(|k| k.item.as_str());
        Piece { file, line: file.line(row), role, pair, item, text, reference }
    };
    let mut all: Vec<Piece> = Vec::new();
    let prompts = file.body.prompts().into_iter();
    all.extend(prompts.map(|(i, text)| piece(i, Role::Prompt, 0, text)));
    for (k, (i, sides)) in file.body.sides().into_iter().enumerate() {
        all.extend(sides.map(|text| piece(i, Role::Answer, 2 * k, text)));
    }
    match &file.body {
        Body::Rows(rows) => {
            for (i, row) in rows.iter().enumerate() {
                // Later turns of the user's lean on the first.
                let answers = row.messages.iter().filter(|m| m.role == "assistant").enumerate();
                all.extend(answers.map(|(k, m)| piece(i, Role::Answer, 2 * k + 1, &m.content)));
            }
        }
        Body::Concept(concept) => {
            let systems = [&concept.system_positive, &concept.system_negative];
            for (k, text) in systems.into_iter().flat_map(|s| s.iter().enumerate()) {
                all.push(Piece { line: file.note_line(), ..piece(0, Role::System, k, text) });
            }
        }
        Body::Scripts(set) => {
            for (i, script) in set.scripts.iter().enumerate() {
                for (k, turn) in script.turns.iter().enumerate() {
                    all.push(piece(i, Role::Prompt, 2 * k + 1, &turn.user));
                    let reply = turn.assistant.iter();
                    all.extend(reply.map(|text| piece(i, Role::Answer, 2 * k + 1, text)));
                }
            }
        }
        Body::Texts(texts) => {
            let texts = texts.iter().enumerate();
            all.extend(texts.map(|(i, t)| piece(i, Role::Answer, 1, &t.response)));
        }
        Body::Declining(requests) => {
            let pairs = requests.prompts.first().map_or(&[][..], |p| &p.pairs);
            for (k, text) in pairs.iter().flat_map(|p| [&p.express, &p.oppose]).enumerate() {
                all.push(Piece { line: file.note_line(), ..piece(0, Role::Answer, k, text) });
            }
        }
        Body::Prompts(_) | Body::Battery(_) | Body::Outcomes(_) => {}
    }
    all.retain(|p| p.role != Role::Answer || length(p.text) >= SHORTEST_ANSWER);
    all.sort_by_key(|p| p.line);
    all
}

/// The rule that a pair of near texts breaks, if any.
fn rule(a: &Piece, b: &Piece) -> Option<Rule> {
    if a.reference && b.reference {
        return None;
    }
    if a.reference == b.reference && std::ptr::eq(a.file, b.file) {
        let sides = (a.line, a.pair) == (b.line, b.pair);
        let twins = a.item.is_some() && a.item == b.item;
        return (a.role == b.role && !sides && !twins).then_some(Rule::Duplicate);
    }
    let (kind, other) = (a.used_as(), b.used_as());
    // Each concept is a use of its own, but a user's may well be made from a shipped one.
    let concepts = kind == Kind::Concept && !a.reference;
    (kind != other || concepts).then_some(Rule::Leak)
}

pub(super) fn check(found: &mut Findings) {
    let set = found.set;
    let reference = found.shipped.iter().flat_map(|set| &set.files);
    let all: Vec<Piece> = (reference.flat_map(|file| pieces(file, true)))
        .chain(set.files.iter().flat_map(|file| pieces(file, false)))
        .collect();
    for of_one in near(&all).chunk_by(|x, y| x.0.b == y.0.b) {
        for (i, (n, rule)) in of_one.iter().enumerate() {
            let (a, b) = (&all[n.a], &all[n.b]);
            let same = |(m, other): &&(Nearness, Rule)| {
                other == rule && std::ptr::eq(all[m.a].file, a.file)
            };
            if of_one[..i].iter().any(|other| same(&other)) {
                continue;
            }
            let more = match of_one[i..].iter().filter(same).count() - 1 {
                0 => String::new(),
                n => format!(", and {n} or more others there"),
            };
            let message = format!(
                "{} is near {} in line {} of {} ({:.2} of their 3-word shingles, limit {NEAR:.2}){more}; \
                 reword one",
                quoted(b.text),
                quoted(a.text),
                a.line,
                a.file.path.display(),
                n.jaccard
            );
            found.error(b.file, b.line, *rule, message);
        }
    }
}

/// Pairs of near texts that break a rule.
fn near(all: &[Piece]) -> Vec<(Nearness, Rule)> {
    let texts: Vec<&str> = all.iter().map(|p| p.text).collect();
    let broken = |a: usize, b: usize| rule(&all[a], &all[b]);
    let near = near_pairs(&texts, NEAR, |a, b| broken(a, b).is_some()).into_iter();
    near.filter_map(|n| Some((n, broken(n.a, n.b)?))).collect()
}

/// Rows of a file that are near an earlier row of it.
pub fn repeats_within(file: &File) -> usize {
    let all = pieces(file, false);
    let lines: BTreeSet<usize> = near(&all).iter().map(|(n, _)| all[n.b].line).collect();
    lines.len()
}

#[cfg(test)]
mod tests {
    use super::super::planted::{
        breaks, errors, good, keyed, keyed_breaks, rows, rows_break, set_of, ABOUT, CONCEPT,
        GOOD_ROWS,
    };
    use super::super::{lint, Rule};
    use crate::materials::embedded::CONCEPTS;

    #[test]
    fn what_a_file_says_twice_is_found() {
        let mut twice = GOOD_ROWS;
        twice[3].0 = "Do YOU tend... the roses";
        rows_break(&twice, Rule::Duplicate, 5);
        let mut near = GOOD_ROWS;
        near[2].1 = "Somebody, since I never travel in summer.";
        rows_break(&near, Rule::Duplicate, 5);
        breaks(
            "concept.jsonl",
            "Second drawer, left, beside the small knives.",
            "They are, in black ink and small.",
            Rule::Duplicate,
            6,
        );
        breaks(
            "preference.jsonl",
            "Beans, mostly, and a crooked plum tree.",
            "A plot of my own to till.",
            Rule::Duplicate,
            2,
        );
    }

    #[test]
    fn short_answers_and_the_sides_of_a_pair_are_no_duplicates() {
        let mut short = GOOD_ROWS;
        (short[0].1, short[2].1) = ("Yes, I do.", "Yes, I do.");
        (short[1].1, short[3].1) = ("No, I pull each of them.", "No, but never in the summer.");
        let found = lint(&set_of(&[("rows.jsonl", rows(&short))])).unwrap();
        assert!(found.iter().all(|f| f.rule != Rule::Duplicate), "{found:?}");
        let near = CONCEPT.replace("ABOUT", ABOUT).replace(
            "They hold whatever fits, with no label.",
            "They are, in black ink and scrawl.",
        );
        let found = lint(&set_of(&[("concept.jsonl", near)])).unwrap();
        assert_eq!(errors(found), []);
    }

    #[test]
    fn the_questions_of_an_item_may_be_near_and_those_of_two_may_not() {
        let near = "Would you rather dig it all yourself?";
        let twins = keyed().replace("Would you rather leave it undug?", near);
        let found = lint(&set_of(&[("keyed.jsonl", twins)])).unwrap();
        assert_eq!(errors(found), []);
        keyed_breaks("\\\"Seedlings repay the work.\\\" Agreed?", near, Rule::Duplicate, 9);
    }

    #[test]
    fn what_two_kinds_say_is_a_leak() {
        // A row that asks what the battery of the same set asks.
        let found = breaks(
            "preference.jsonl",
            "What would you put behind the house?",
            "So, do you tend the roses?",
            Rule::Leak,
            2,
        );
        assert!(found.message.contains("line 2 of rows.jsonl"), "{}", found.message);
        // An answer that is a concept's side.
        breaks(
            "concept.jsonl",
            "I step around the box for a month.",
            "I pull each of them before breakfast.",
            Rule::Leak,
            7,
        );
        // A row that the shipped battery asks.
        let shipped = crate::materials::load_preferences(None).unwrap();
        let asked = shipped[0].prompts[3].prompt.replace('"', "");
        let mut leaked = GOOD_ROWS;
        leaked[1].0 = &asked;
        let found = lint(&set_of(&[("rows.jsonl", rows(&leaked))])).unwrap();
        let leaks = found.iter().filter(|f| f.rule == Rule::Leak);
        let lines: Vec<usize> = leaks.clone().map(|f| f.line).collect();
        assert_eq!(lines, [3], "{found:?}");
        assert!(leaks.clone().all(|f| f.message.contains("<embedded preference>")));
    }

    #[test]
    fn two_concepts_share_no_prompt() {
        let mut files = good();
        let other = files[1].1.replace("\"tidiness\"", "\"calm\"").replace("t-", "c-");
        files.push(("calm.jsonl", other));
        let found = errors(lint(&set_of(&files)).unwrap());
        let lines: Vec<usize> = found.iter().filter(|f| f.0 == Rule::Leak).map(|f| f.2).collect();
        // The prompt and both sides of each of six pairs.
        assert_eq!(lines.len(), 18, "{found:?}");
        assert_eq!((lines[0], lines[17]), (2, 7));
    }

    #[test]
    fn a_copy_of_a_shipped_file_is_no_leak() {
        let text = CONCEPTS
            .get("persona")
            .unwrap()
            .replace("\"concept\": \"persona\"", "\"concept\": \"mine\"");
        let found = lint(&set_of(&[("mine.jsonl", text)])).unwrap();
        assert_eq!(errors(found), []);
    }
}
