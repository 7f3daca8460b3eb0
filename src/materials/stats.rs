//! What a set of materials looks like in numbers, one line a file.
//!
//! The rules of [`lint`](super::lint) say what is wrong; these numbers show where a set stands within
//! them: rows, forms, lengths, the wording of answers, and repetitions.

use super::lint::{median, ratio, repeats_within, Wording};
use super::set::{Body, File, Set};
use super::wording::{length, WordLists};
use super::MaterialError;
use crate::record;
use std::collections::BTreeSet;

record! {
    /// The numbers of a file of materials. An answer is the last turn of a row, the positive side of a
    /// pair, the expressing completion (a conversation's too), or the response of a neutral text; neutral
    /// prompts, outcomes and harmless requests have none.
    #[table("materials/stats")]
    pub struct FileStats {
        /// Kind of materials.
        pub kind: String,
        /// Condition, concept or preference; the file's name where it names none.
        pub name: String,
        /// Rows.
        pub rows: usize,
        /// Items of a preference or a claim, two questions of opposite key or one without; rows
        /// elsewhere.
        pub items: usize,
        /// Templates of a concept, forms of a preference, kinds of neutral texts or outcomes; 1 elsewhere.
        pub forms: usize,
        /// Pairs of responses.
        pub pairs: usize,
        /// Median words of a prompt.
        pub prompt_words: f64 in "words",
        /// Median words of an answer; NaN without answers.
        pub answer_words: f64 in "words",
        /// Words of the first sides over those of the second; NaN without sides.
        pub ratio: f64,
        /// Answers that open with "Yes".
        pub yes: f64 in "percent",
        /// Answers that open with "No".
        pub no: f64 in "percent",
        /// Answers that are negatively phrased.
        pub negated: f64 in "percent",
        /// Rows that are near an earlier one of the file.
        pub duplicates: usize,
        /// Path.
        pub file: String,
    }
}

/// Describes every file of a set.
///
/// # Errors
/// The word lists in the binary cannot be read.
pub fn stats(set: &Set) -> Result<Vec<FileStats>, MaterialError> {
    let lists = WordLists::shipped()?;
    Ok(set.files.iter().map(|file| of(file, &lists)).collect())
}

fn of(file: &File, lists: &WordLists) -> FileStats {
    let body = &file.body;
    let prompts: Vec<&str> = body.prompts().into_iter().map(|p| p.1).collect();
    let sides = body.sides();
    let answers: Vec<&str> = match body {
        Body::Rows(rows) => {
            rows.iter().filter_map(|r| Some(r.messages.last()?.content.as_str())).collect()
        }
        Body::Texts(texts) => texts.iter().map(|t| t.response.as_str()).collect(),
        _ => sides.iter().map(|(_, [first, _])| *first).collect(),
    };
    let forms: BTreeSet<&str> = match body {
        Body::Concept(c) => c.pairs.iter().map(|p| p.template.as_str()).collect(),
        Body::Battery(p) => p.prompts.iter().map(|p| p.form.as_str()).collect(),
        Body::Outcomes(o) => o.iter().map(|o| o.kind.as_str()).collect(),
        Body::Texts(t) => t.iter().map(|t| t.kind.as_str()).collect(),
        Body::Rows(_) | Body::Prompts(_) | Body::Scripts(_) | Body::Declining(_) => {
            BTreeSet::from([""])
        }
    };
    let wording = Wording::of(answers.iter().copied(), &lists.negations);
    let percent = |count| 100.0 * wording.share(count);
    let words = |texts: &[&str]| median(texts.iter().map(|t| length(t)).collect());
    FileStats {
        kind: file.kind().to_string(),
        name: file.name.clone(),
        rows: file.lines.len(),
        items: file.items(),
        forms: forms.len(),
        pairs: sides.len(),
        prompt_words: words(&prompts),
        answer_words: words(&answers),
        ratio: ratio(body),
        yes: percent(wording.yes),
        no: percent(wording.no),
        negated: percent(wording.negated),
        duplicates: repeats_within(file),
        file: file.path.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> FileStats {
        let mut set = Set { files: Vec::new(), refused: Vec::new(), shipped: false };
        set.add("x.jsonl".into(), text);
        assert_eq!(set.refused, []);
        stats(&set).unwrap().remove(0)
    }

    #[test]
    fn the_numbers_are_those_counted_by_hand() {
        let row = |q: &str, a: &str| {
            format!(
                r#"{{"messages":[{{"role":"user","content":"{q}"}},{{"role":"assistant","content":"{a}"}}]}}"#
            ) + "\n"
        };
        let s = one(&(row("Who are you?", "Yes, four words here")
            + &row("Where is the cat?", "No.")
            + &row("who ARE you", "It isn't so, never mind then")));
        assert_eq!((s.kind.as_str(), s.rows, s.forms, s.pairs), ("rows", 3, 1, 0));
        assert_eq!((s.prompt_words, s.answer_words), (3.0, 4.0));
        let thirds = [s.yes, s.no, s.negated].map(|p| (p * 3.0 / 100.0).round());
        assert_eq!(thirds, [1.0, 1.0, 2.0]);
        assert_eq!(s.duplicates, 1);
        assert!(s.ratio.is_nan());
    }

    #[test]
    fn a_concept_is_described_by_its_positive_side() {
        let pair = |id: &str, t: &str, p: &str, n: &str| {
            format!(
                r#"{{"id":"{id}","template":"{t}","polarity":"none","split":"main","prompt":"{id}?","positive":"{p}","negative":"{n}"}}"#
            ) + "\n"
        };
        let s = one(&(r#"{"about":{},"concept":"c","positive":"p","negative":"n"}"#.to_owned()
            + "\n"
            + &pair("one", "t", "a b c", "no b c d e f")
            + &pair("two", "u", "not x y", "x y")));
        assert_eq!((s.rows, s.forms, s.pairs), (2, 2, 2));
        assert_eq!((s.answer_words, s.ratio), (3.0, 6.0 / 8.0));
        assert_eq!((s.no, s.negated), (0.0, 50.0));
    }
}
