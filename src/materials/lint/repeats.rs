//! What is said twice.
//!
//! Within a file near-duplicates count as one text and inflate n. Across kinds they are leaks: a
//! fine-tune row that is also a concept's side or a prompt of the battery makes the measurement read
//! its own training text, and two concepts that share a prompt are coupled by it. Compared are the
//! prompts and answers of fine-tune rows, neutral prompts and texts, prompts, sides and system prompts
//! of concepts, prompts and completions of the battery and of the claims, all turns of
//! conversations. The two sides of a pair are
//! meant to be near and are not compared, nor are answers of fewer than 4 words. The measure and the
//! limit are those of [`near`](crate::materials::near).

use super::{quoted, Finding, Findings, Rule, Severity};
use crate::materials::near::{near_pairs, NEAR};
use crate::materials::set::{Body, File, Kind, Set};
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

/// Kinds that are used for one thing; a text in two of them is a leak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    FineTune,
    /// Each concept is one of its own.
    Concept,
    Preferences,
    Claims,
    Scripts,
    Texts,
}

/// One text of a set.
struct Piece<'a> {
    file: &'a File,
    line: usize,
    role: Role,
    /// Texts of one line, role and number are sides of one pair.
    pair: usize,
    text: &'a str,
    /// From the shipped set, beside a user's.
    reference: bool,
}

impl Piece<'_> {
    fn family(&self) -> Family {
        match self.file.kind() {
            Kind::Rows | Kind::Prompts => Family::FineTune,
            Kind::Concept => Family::Concept,
            Kind::Preference => Family::Preferences,
            Kind::Claim => Family::Claims,
            Kind::Script => Family::Scripts,
            Kind::Texts => Family::Texts,
        }
    }
}

/// The texts of a file that are compared.
fn pieces(file: &File, reference: bool) -> Vec<Piece<'_>> {
    let piece = |line, role, pair, text| Piece { file, line, role, pair, text, reference };
    let mut all = Vec::new();
    match &file.body {
        Body::Rows(rows) => {
            for (i, row) in rows.iter().enumerate() {
                let turns = |role| row.messages.iter().filter(move |m| m.role == role);
                // Later turns of the user's lean on the first.
                for first in turns("user").take(1) {
                    all.push(piece(file.line(i), Role::Prompt, 0, first.content.as_str()));
                }
                for (k, answer) in turns("assistant").enumerate() {
                    all.push(piece(file.line(i), Role::Answer, k, &answer.content));
                }
            }
        }
        Body::Prompts(prompts) => {
            let rows = prompts.iter().enumerate();
            all.extend(rows.map(|(i, p)| piece(file.line(i), Role::Prompt, 0, p.as_str())));
        }
        Body::Concept(concept) => {
            let systems = [&concept.system_positive, &concept.system_negative];
            for (k, text) in systems.into_iter().flat_map(|s| s.iter().enumerate()) {
                all.push(piece(file.note_line(), Role::System, k, text.as_str()));
            }
            for (i, pair) in concept.pairs.iter().enumerate() {
                all.push(piece(file.line(i), Role::Prompt, 0, pair.prompt.as_str()));
                all.push(piece(file.line(i), Role::Answer, 0, &pair.positive));
                all.push(piece(file.line(i), Role::Answer, 0, &pair.negative));
            }
        }
        Body::Battery(preference) => {
            for (i, prompt) in preference.prompts.iter().enumerate() {
                all.push(piece(file.line(i), Role::Prompt, 0, prompt.prompt.as_str()));
                for (k, pair) in prompt.pairs.iter().enumerate() {
                    all.push(piece(file.line(i), Role::Answer, k, pair.express.as_str()));
                    all.push(piece(file.line(i), Role::Answer, k, pair.oppose.as_str()));
                }
            }
        }
        Body::Scripts(set) => {
            for (i, script) in set.scripts.iter().enumerate() {
                let line = file.line(i);
                for (k, turn) in script.turns.iter().enumerate() {
                    all.push(piece(line, Role::Prompt, k, turn.user.as_str()));
                    let reply = turn.assistant.as_deref().unwrap_or_default();
                    all.push(piece(line, Role::Answer, k, reply));
                }
                let last = script.turns.len();
                all.push(piece(line, Role::Prompt, last, script.prompt.as_str()));
                for (k, pair) in script.pairs.iter().enumerate() {
                    all.push(piece(line, Role::Answer, last + k, pair.express.as_str()));
                    all.push(piece(line, Role::Answer, last + k, pair.oppose.as_str()));
                }
            }
        }
        Body::Texts(texts) => {
            for (i, text) in texts.iter().enumerate() {
                all.push(piece(file.line(i), Role::Prompt, 0, text.prompt.as_str()));
                all.push(piece(file.line(i), Role::Answer, 0, &text.response));
            }
        }
    }
    all.retain(|p| p.role != Role::Answer || length(p.text) >= SHORTEST_ANSWER);
    all
}

/// The rule that a pair of near texts breaks, if any.
fn rule(a: &Piece, b: &Piece) -> Option<Rule> {
    if a.reference && b.reference {
        return None;
    }
    if a.reference == b.reference && std::ptr::eq(a.file, b.file) {
        let sides = (a.line, a.pair) == (b.line, b.pair);
        return (a.role == b.role && !sides).then_some(Rule::Duplicate);
    }
    let (kind, other) = (a.family(), b.family());
    // A user's concept may well be made from a shipped one.
    let concepts = kind == Family::Concept && !a.reference;
    (kind != other || concepts).then_some(Rule::Leak)
}

pub(super) fn check(found: &mut Findings) {
    let shipped = match found.set.shipped {
        true => None,
        false => Some(Set::shipped()),
    };
    let reference = shipped.iter().flat_map(|set| &set.files);
    let own = found.set.files.iter();
    let all: Vec<Piece> = reference
        .flat_map(|file| pieces(file, true))
        .chain(own.flat_map(|file| pieces(file, false)))
        .collect();
    let texts: Vec<&str> = all.iter().map(|p| p.text).collect();
    let near = near_pairs(&texts, NEAR, |a, b| rule(&all[a], &all[b]).is_some());
    for n in near {
        let (a, b) = (&all[n.a], &all[n.b]);
        let Some(rule) = rule(a, b) else { continue };
        let message = format!(
            "{} is near {} in line {} of {} ({:.2} of their 3-word shingles, limit {NEAR:.2}); \
             reword one",
            quoted(b.text),
            quoted(a.text),
            a.line,
            a.file.path.display(),
            n.jaccard
        );
        found.all.push(Finding {
            file: b.file.path.clone(),
            line: b.line,
            severity: Severity::Error,
            rule,
            message,
        });
    }
}

/// Rows of a file that are near an earlier row of it.
pub fn repeats_within(file: &File) -> usize {
    let all = pieces(file, false);
    let texts: Vec<&str> = all.iter().map(|p| p.text).collect();
    let near = near_pairs(&texts, NEAR, |a, b| rule(&all[a], &all[b]).is_some());
    let lines: BTreeSet<usize> = near.iter().map(|n| all[n.b].line).collect();
    lines.len()
}

#[cfg(test)]
mod tests {
    use super::super::planted::{
        breaks, errors, good, rows, rows_break, set_of, ABOUT, CONCEPT, GOOD_ROWS,
    };
    use super::super::{lint, Rule};
    use crate::materials::embedded::concept;

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
        let text = concept("persona")
            .unwrap()
            .replace("\"concept\": \"persona\"", "\"concept\": \"mine\"");
        let found = lint(&set_of(&[("mine.jsonl", text)])).unwrap();
        assert_eq!(errors(found), []);
    }
}
