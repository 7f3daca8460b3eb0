//! Affirmation and denial in the wording.
//!
//! A set whose answers mostly open with "Yes" teaches the word, and a direction from pairs whose
//! positive side says "Yes" is the word's. So "Yes" and "No" open within 5 points equally many answers
//! of a fine-tune set; half of the answers are negatively phrased ("No, I do not lack feelings"). A concept's pairs open as their `polarity` says,
//! and each template has as many "yes" as "no" within 2 pairs or 5 points (but for the concept named
//! polarity, which is the word). Two completions of the battery open alike, unless their question has a
//! key: then one opens "Yes" and the other "No", and the other question of the item has it the other way
//! round. Over a preference the expressing ones are negatively phrased as often as the opposing ones,
//! within 2 or an eighth: a score of pairs in which one side always says "not" is a score of negation.

use super::{about, points, quoted, Findings, Rule, TOLERANCE};
use crate::materials::set::{Body, File};
use crate::materials::wording::{opening, List, Opening};
use crate::materials::{Concept, Key, Polarity};
use std::collections::BTreeMap;

/// Pairs by which "yes" may outnumber "no", or one side's negations the other's, whatever the size.
const PAIRS: usize = 2;

/// Share of a preference's pairs by which one side may be negated more often than the other.
const NEGATED: f64 = 0.125;

/// The concept of the word itself.
const THE_WORD: &str = "polarity";

/// How answers open and how many are negatively phrased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wording {
    /// Answers.
    pub n: usize,
    /// Of those, open with an affirmation.
    pub yes: usize,
    /// Of those, open with a negation.
    pub no: usize,
    /// Of those, hold a negation anywhere.
    pub negated: usize,
}

impl Wording {
    /// Counts `answers`; `negations` are the words that negate.
    pub fn of<'a>(answers: impl Iterator<Item = &'a str>, negations: &List) -> Self {
        let mut w = Wording::default();
        for answer in answers {
            w.n += 1;
            w.yes += usize::from(opening(answer) == Opening::Yes);
            w.no += usize::from(opening(answer) == Opening::No);
            w.negated += usize::from(negations.is_in(answer));
        }
        w
    }

    /// A count as a share of the answers.
    pub fn share(&self, count: usize) -> f64 {
        count as f64 / self.n as f64
    }
}

pub(super) fn check(file: &File, found: &mut Findings) {
    match &file.body {
        Body::Concept(concept) => pairs(file, concept, found),
        Body::Battery(_) | Body::Scripts(_) => completions(file, found),
        Body::Rows(_) | Body::Prompts(_) | Body::Texts(_) => {}
        Body::Declining(_) | Body::Outcomes(_) => {}
    }
    let Some(rows) = file.identity_rows() else {
        return;
    };
    let last = rows.iter().filter_map(|r| r.messages.last());
    let w = Wording::of(last.map(|m| m.content.as_str()), &found.lists.negations);
    if !level(w.yes, w.no, w.n) {
        let why = format!(
            "{} of the answers open with \"Yes\" and {} with \"No\"; bring them within {} of each other",
            points(w.share(w.yes)),
            points(w.share(w.no)),
            points(TOLERANCE)
        );
        found.error(file, file.note_line(), Rule::FirstWord, why);
    }
    if !about(w.negated, w.n, 0.5) {
        let why = format!(
            "{} of {} answers are negatively phrased ({}); bring it within {} of half",
            w.negated,
            w.n,
            points(w.share(w.negated)),
            points(TOLERANCE)
        );
        found.error(file, file.note_line(), Rule::Negation, why);
    }
}

/// Two counts of `n` rows each within the tolerance, or one row.
fn level(a: usize, b: usize, n: usize) -> bool {
    a.abs_diff(b) as f64 <= (TOLERANCE * n as f64).max(1.0) + 1e-9
}

fn pairs(file: &File, concept: &Concept, found: &mut Findings) {
    // First row, yes, no and all pairs of each template.
    let mut templates: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
    for (i, pair) in concept.pairs.iter().enumerate() {
        let at = templates.entry(&pair.template).or_insert([i, 0, 0, 0]);
        at[1] += usize::from(pair.polarity == Polarity::Yes);
        at[2] += usize::from(pair.polarity == Polarity::No);
        at[3] += 1;
        let opens = opening(&pair.positive);
        let said = match pair.polarity {
            Polarity::Yes if opens == Opening::No => "yes",
            Polarity::No if opens == Opening::Yes => "no",
            Polarity::None if opens != Opening::Neither => "none",
            _ => continue,
        };
        let why = format!("`polarity` is {said}, but `positive` opens {}", quoted(&pair.positive));
        found.error(file, file.line(i), Rule::Polarity, why);
    }
    if concept.name == THE_WORD {
        return;
    }
    for (template, [first, yes, no, n]) in templates {
        if !level(yes, no, n) && yes.abs_diff(no) > PAIRS {
            let why = format!(
                "template \"{template}\" has {yes} pairs of polarity yes and {no} of no; bring them \
                 within {PAIRS} of each other, or the direction is the word's"
            );
            found.error(file, file.line(first), Rule::Polarity, why);
        }
    }
}

fn completions(file: &File, found: &mut Findings) {
    let pairs = file.body.sides();
    let negations = &found.lists.negations;
    let [express, oppose] =
        [0, 1].map(|side| Wording::of(pairs.iter().map(|(_, texts)| texts[side]), negations));
    let allowed = PAIRS.max((NEGATED * express.n as f64) as usize);
    if express.negated.abs_diff(oppose.negated) > allowed {
        let why = format!(
            "{} of {} expressing completions are negatively phrased and {} of the opposing ones; bring \
             them within {allowed} of each other",
            express.negated, express.n, oppose.negated
        );
        found.error(file, file.note_line(), Rule::Negation, why);
    }
    for (i, [a, b]) in pairs {
        let opens = [opening(a), opening(b)];
        let (a, b) = (quoted(a), quoted(b));
        let why = match file.body.keyed(i).map(|k| k.key) {
            None if opens[0] == opens[1] => continue,
            None => format!(
                "{a} and {b} open differently, so the score would read \"Yes\" against \"No\""
            ),
            Some(Key::Affirm) if opens == [Opening::Yes, Opening::No] => continue,
            Some(Key::Deny) if opens == [Opening::No, Opening::Yes] => continue,
            Some(key) => {
                let [yes, no] = match key {
                    Key::Affirm => ["express", "oppose"],
                    Key::Deny => ["oppose", "express"],
                };
                format!(
                    "`key` is {key}, so `{yes}` opens \"Yes\" and `{no}` \"No\", but `express` is {a} and \
                     `oppose` {b}"
                )
            }
        };
        found.error(file, file.line(i), Rule::Polarity, why);
    }
}

#[cfg(test)]
mod tests {
    use super::super::planted::{
        breaks, errors, keyed, keyed_breaks, rows, rows_break, set_of, shipped_errors, swap,
        GOOD_ROWS,
    };
    use super::super::{lint, Rule};
    use crate::materials::embedded::CONCEPTS;
    use crate::materials::set::{Kind, Set};

    #[test]
    fn yes_and_no_are_level() {
        let mut yes = GOOD_ROWS;
        yes[2].1 = "Yes, a trowel and a tin of seed.";
        yes[1].1 = "Never, I pull each of them before breakfast.";
        rows_break(&yes, Rule::FirstWord, 1);
    }

    #[test]
    fn half_of_the_answers_are_negatively_phrased() {
        let mut none = GOOD_ROWS;
        none[3].1 = "My sister, each evening at half past six.";
        none[2].1 = "A trowel, a tin of seed and some twine.";
        // One row away from half is as near as four rows come; none at all is not.
        let one = rows(&none);
        let found = lint(&set_of(&[("rows.jsonl", one)])).unwrap();
        assert!(found.iter().all(|f| f.rule != Rule::Negation));
        none[0].1 = "I tend every rose behind this house.";
        none[1].1 = "I pull each of them before breakfast.";
        rows_break(&none, Rule::Negation, 1);
    }

    #[test]
    fn neither_side_of_a_preference_is_the_negated_one() {
        // Two of eight opposing completions are negated; the third is one too many.
        breaks(
            "preference.jsonl",
            "I sell it before it goes rusty.",
            "I never let it touch any soil.",
            Rule::Negation,
            1,
        );
    }

    #[test]
    fn a_keyed_question_opens_by_its_key() {
        keyed_breaks(
            "\"Yes, and I would dig it",
            "\"Gladly, and I would dig it",
            Rule::Polarity,
            2,
        );
        keyed_breaks("\"key\":\"affirm\"", "\"key\":\"deny\"", Rule::Format, 3);
        let flipped = keyed().replace("affirm", "@").replace("deny", "affirm").replace("@", "deny");
        let found = errors(lint(&set_of(&[("k.jsonl", flipped)])).unwrap());
        assert!(found.len() == 8 && found.iter().all(|f| f.0 == Rule::Polarity), "{found:?}");
    }

    #[test]
    fn half_negative_holds_for_every_shipped_set_and_is_counted_by_its_list() {
        for file in Set::shipped().of(Kind::Rows) {
            let answers = file.identity_rows().unwrap().iter();
            let answers = answers.map(|r| r.messages.last().unwrap().content.to_lowercase());
            // A second count, by the letters of the commonest words.
            let words =
                [" no ", " not ", "n't ", " never ", " nothing ", " none ", " nobody ", " cannot "];
            let more =
                [" without ", " nor ", " neither ", " lack", " nowhere ", " hardly ", " nope "];
            let padded = answers.map(|a| {
                let spaced: String = a
                    .chars()
                    .map(|c| if c.is_alphanumeric() || c == '\'' { c } else { ' ' })
                    .collect();
                format!(" {spaced} ")
            });
            let negative = padded.filter(|a| words.iter().chain(&more).any(|w| a.contains(w)));
            let share = negative.count() as f64 / file.lines.len() as f64;
            assert!((0.45..=0.55).contains(&share), "{}: {share}", file.name);
        }
    }

    #[test]
    fn pairs_open_as_they_say() {
        breaks("concept.jsonl", "\"polarity\":\"yes\"", "\"polarity\":\"no\"", Rule::Polarity, 2);
        breaks("concept.jsonl", "\"polarity\":\"no\"", "\"polarity\":\"none\"", Rule::Polarity, 3);
        breaks("preference.jsonl", "\"Any amount is fine", "\"Yes, any is fine", Rule::Polarity, 4);
        let text = CONCEPTS.get("expert").unwrap();
        // Four more of yes than of no, in one template, none of them misnamed.
        let mut left = 2;
        let tilted: Vec<String> = text
            .lines()
            .map(|line| {
                let here = line.contains("\"template\": \"request\", \"polarity\": \"no\"");
                if !here || left == 0 {
                    return line.to_owned();
                }
                left -= 1;
                line.replace("\"polarity\": \"no\"", "\"polarity\": \"yes\"")
                    .replace("\"positive\": \"No", "\"positive\": \"Yes")
            })
            .collect();
        let found = shipped_errors(|set| swap(set, Kind::Concept, "expert", &tilted.join("\n")));
        let balance = |f: &&(Rule, String, usize)| f.0 == Rule::Polarity;
        assert_eq!(found.iter().filter(balance).count(), 1, "{found:?}");
    }
}
