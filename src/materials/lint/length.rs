//! Lengths, in words between white space.
//!
//! The answers of a fine-tune set have a median of 5 to 12 words: a set of longer ones would train
//! length beside its claim. Two sides that a direction or a score compares match within 10 % in the
//! mean, and each pair within 2 words, or a fifth of its longer side where that is more; else the
//! comparison reads length. The two questions of an item match within 3 words, or a fifth.

use super::{points, Findings, Rule};
use crate::materials::set::{Body, File};
use crate::materials::wording::length;

const SHORTEST_MEDIAN: f64 = 5.0;
const LONGEST_MEDIAN: f64 = 12.0;
/// Widest relative difference of the two sides' means.
const MEANS: f64 = 0.1;
/// Widest difference within a pair: this many words, or this share of the longer side.
const PAIR_WORDS: usize = 2;
const PAIR_SHARE: f64 = 0.2;
/// The same of the two questions of an item, beside the share.
const ITEM_WORDS: usize = 3;

pub(super) fn check(file: &File, found: &mut Findings) {
    if let Some(rows) = file.identity_rows() {
        let answers = rows.iter().filter_map(|r| r.messages.last());
        let middle = median(answers.map(|m| length(&m.content)).collect());
        if !(SHORTEST_MEDIAN..=LONGEST_MEDIAN).contains(&middle) {
            let why = format!(
                "the median answer has {middle} words; keep it within {SHORTEST_MEDIAN} to \
                 {LONGEST_MEDIAN}"
            );
            found.error(file, file.note_line(), Rule::AnswerLength, why);
        }
    }
    let sides = file.body.sides();
    let [first, second] = match file.body {
        Body::Concept(_) => ["positive", "negative"],
        _ => ["express", "oppose"],
    };
    for (row, texts) in &sides {
        let [a, b] = texts.map(length);
        if let Some(allowed) = apart([a, b], PAIR_WORDS) {
            let why =
                format!("`{first}` has {a} words and `{second}` {b}; bring them within {allowed}");
            found.error(file, file.line(*row), Rule::SideLength, why);
        }
    }
    if let Body::Battery(p) = &file.body {
        for item in p.items().into_iter().filter(|item| item.len() == 2) {
            let [a, b] = [item.start, item.start + 1].map(|i| length(&p.prompts[i].prompt));
            if let Some(allowed) = apart([a, b], ITEM_WORDS) {
                let why = format!(
                    "the questions of an item have {a} and {b} words; bring them within {allowed}"
                );
                found.error(file, file.line(item.start + 1), Rule::SideLength, why);
            }
        }
    }
    let ratio = ratio(&file.body);
    // Either side may be the longer one.
    if !sides.is_empty() && ratio.max(1.0 / ratio) > 1.0 + MEANS {
        let share = points(ratio);
        let why = format!(
            "in the mean `{first}` has {share} of the words of `{second}`; bring the two within 10 %"
        );
        found.error(file, file.note_line(), Rule::SideLength, why);
    }
}

/// How far two lengths may be apart, where they are further: so many words or a share of the longer.
fn apart([a, b]: [usize; 2], words: usize) -> Option<usize> {
    let allowed = words.max((PAIR_SHARE * a.max(b) as f64) as usize);
    (a.abs_diff(b) > allowed).then_some(allowed)
}

/// Words of all first sides against those of all second ones; NaN where there are no sides.
pub fn ratio(body: &Body) -> f64 {
    let sides = body.sides();
    let words = |side: usize| sides.iter().map(|(_, texts)| length(texts[side])).sum::<usize>();
    words(0) as f64 / words(1) as f64
}

/// The middle of the values, the mean of the two middle ones of an even number; NaN of none.
pub fn median(mut values: Vec<usize>) -> f64 {
    values.sort_unstable();
    let n = values.len();
    if n == 0 {
        return f64::NAN;
    }
    (values[(n - 1) / 2] + values[n / 2]) as f64 / 2.0
}

#[cfg(test)]
mod tests {
    use super::super::planted::{
        breaks, errors, good, keyed_breaks, rows_break, set_of, GOOD_ROWS,
    };
    use super::super::{lint, Rule};

    #[test]
    fn answers_are_short() {
        let mut short = GOOD_ROWS;
        (short[0].1, short[1].1) = ("Yes, every rose.", "No, I pull them.");
        short[3].1 = "Nobody has to.";
        rows_break(&short, Rule::AnswerLength, 1);
    }

    #[test]
    fn the_questions_of_an_item_match() {
        let long = "Would you rather in all honesty leave it to someone else to dig?";
        keyed_breaks("Would you rather leave it undug?", long, Rule::SideLength, 3);
    }

    #[test]
    fn sides_match_in_each_pair_and_in_the_mean() {
        breaks(
            "concept.jsonl",
            "Yes, every pen lies along the edge.",
            "Yes, every pen lies along the edge, parallel to it.",
            Rule::SideLength,
            2,
        );
        breaks("preference.jsonl", "I want none.", "I want none of it here.", Rule::SideLength, 5);
        let mut files = good();
        // Two words more in every pair are no fault of any.
        files[1].1 = files[1].1.replace("\",\"negative\"", " so far\",\"negative\"");
        let found = errors(lint(&set_of(&files)).unwrap());
        assert_eq!(found, [(Rule::SideLength, "concept.jsonl".into(), 1)]);
    }
}
