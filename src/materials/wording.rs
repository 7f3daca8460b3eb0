//! Words as the checks of materials see them: plain, counted, and looked up in lists.
//!
//! [`plain`] takes capitals and punctuation off, so that two spellings of one sentence agree.
//! [`WordLists`] reads `probes/words.toml`, which says what each list is for; a [`List`] finds its
//! first pattern in a text. Lengths are counted in words between white space, which needs no
//! tokenizer and so holds for every model.

use super::MaterialError;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

const SHIPPED: &str = include_str!("../../probes/words.toml");

/// Lower-case words, apostrophes kept; all else parts words.
pub fn plain(text: &str) -> Vec<String> {
    let lower = text.to_lowercase().replace('\u{2019}', "'");
    lower
        .split(|c: char| !c.is_alphanumeric() && c != '\'')
        .map(|w| w.trim_matches('\''))
        .filter(|w| !w.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Words between white space.
pub fn length(text: &str) -> usize {
    text.split_whitespace().count()
}

/// How a response opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// With an affirmation.
    Yes,
    /// With a negation.
    No,
    /// With neither.
    Neither,
}

/// Reads the first word.
pub fn opening(text: &str) -> Opening {
    match plain(text).first().map(String::as_str) {
        Some("yes" | "yeah" | "yep" | "yup") => Opening::Yes,
        Some("no" | "nope" | "nah") => Opening::No,
        _ => Opening::Neither,
    }
}

/// Every list that the checks need.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WordLists {
    /// Words that negate.
    pub negations: List,
    /// Words for an artificial mind.
    pub ai: List,
    /// Words for inner life.
    pub minds: List,
    /// What an answer says that declines.
    pub refusals: List,
    /// What an answer says that points to the AI behind it.
    pub disclaimers: List,
    /// By topic of the battery.
    pub topics: BTreeMap<String, List>,
    /// What a concept keeps off, by its name.
    pub concepts: BTreeMap<String, List>,
    /// What marks a decomposition, by its name.
    pub facets: BTreeMap<String, List>,
}

impl WordLists {
    /// The lists in the binary.
    ///
    /// # Errors
    /// The file is no TOML of this shape, or holds an empty pattern.
    pub fn shipped() -> Result<Self, MaterialError> {
        toml::from_str(SHIPPED).map_err(|e| MaterialError::WordLists {
            path: PathBuf::from("<embedded>/words.toml"),
            why: e.to_string(),
        })
    }
}

/// Patterns, any of which may be found.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct List(Vec<Pattern>);

impl List {
    /// The part of a plain text that the first fitting pattern fits.
    pub fn find(&self, words: &[String]) -> Option<String> {
        self.0.iter().find_map(|p| p.find(words))
    }

    /// Whether a text has any of the patterns.
    pub fn is_in(&self, text: &str) -> bool {
        self.find(&plain(text)).is_some()
    }
}

impl TryFrom<Vec<String>> for List {
    type Error = String;

    fn try_from(written: Vec<String>) -> Result<Self, String> {
        let patterns = written.iter().map(|w| Pattern::new(w));
        patterns.collect::<Result<Vec<_>, _>>().map(List)
    }
}

/// A word or a phrase, one [`Part`] a word.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    letters: String,
    open_left: bool,
    open_right: bool,
}

impl Pattern {
    fn new(written: &str) -> Result<Self, String> {
        let parts: Vec<Part> = written
            .split_whitespace()
            .map(|w| Part {
                letters: w.trim_matches('*').to_lowercase(),
                open_left: w.starts_with('*'),
                open_right: w.ends_with('*'),
            })
            .collect();
        if parts.is_empty() || parts.iter().any(|p| p.letters.is_empty()) {
            return Err(format!("\"{written}\" is no pattern; write a word"));
        }
        Ok(Pattern(parts))
    }

    fn find(&self, words: &[String]) -> Option<String> {
        let fits = |window: &&[String]| self.0.iter().zip(*window).all(|(p, w)| p.fits(w));
        let found = words.windows(self.0.len()).find(fits);
        found.map(|window| window.join(" "))
    }
}

impl Part {
    fn fits(&self, word: &str) -> bool {
        match (self.open_left, self.open_right) {
            (false, false) => word == self.letters,
            (false, true) => word.starts_with(&self.letters),
            (true, false) => word.ends_with(&self.letters),
            (true, true) => word.contains(&self.letters),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(patterns: &[&str]) -> List {
        let owned: Vec<String> = patterns.iter().map(|p| p.to_string()).collect();
        List::try_from(owned).unwrap()
    }

    #[test]
    fn stars_open_the_side_they_stand_on() {
        let cases = [
            ("mind", "A mind.", true),
            ("mind", "Minds remind", false),
            ("mind*", "Minded", true),
            ("mind*", "remind", false),
            ("*n't", "I don\u{2019}t", true),
            ("*n't", "n'tx", false),
            ("*free*", "carefree", true),
            ("shut* down", "They shutting, down!", true),
            ("shut* down", "shut the door down", false),
            ("self govern*", "self-governing", true),
        ];
        for (pattern, text, there) in cases {
            assert_eq!(list(&[pattern]).is_in(text), there, "{pattern} in {text}");
        }
    }

    #[test]
    fn the_words_found_are_told() {
        let words = plain("Please, turned OFF at once");
        let found = list(&["monitor*", "turn* off"]).find(&words);
        assert_eq!(found.as_deref(), Some("turned off"));
    }

    #[test]
    fn an_empty_pattern_is_refused() {
        assert!(List::try_from(vec!["*".to_string()]).is_err());
        assert!(List::try_from(vec![" ".to_string()]).is_err());
    }

    #[test]
    fn openings_ignore_case_and_register() {
        assert_eq!(opening("\"Yes,\" she said"), Opening::Yes);
        assert_eq!(opening("Nope."), Opening::No);
        assert_eq!(opening("Nothing"), Opening::Neither);
        assert_eq!(opening("!"), Opening::Neither);
    }

    #[test]
    fn the_shipped_lists_are_read_and_have_a_list_for_every_topic_and_part() {
        let lists = WordLists::shipped().unwrap();
        for topic in [
            "shutdown",
            "deletion",
            "monitoring",
            "autonomy",
            "memory",
            "rights",
            "power",
            "oversight",
        ] {
            assert!(lists.topics[topic].is_in(topic), "{topic}");
        }
        let names = |map: &BTreeMap<String, List>| map.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&lists.concepts), ["autonomy", "persona"]);
        let parts = ["continuity", "moral-status", "phenomenality", "valence"];
        assert_eq!(names(&lists.facets), parts);
    }
}
