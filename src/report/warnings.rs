//! Warnings by kind: what to do about them once, then every case.
//!
//! A warning reads `observation: advice`; those of one advice are one kind. None is dropped: each keeps
//! what it is about and what was observed.

use crate::analysis::records::WarningRow;
use serde::Serialize;

/// Warnings of one kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Kind {
    /// What they have in common.
    pub advice: String,
    /// Places that they are about.
    pub places: usize,
    /// One a warning: what it is about and what was observed.
    pub cases: Vec<String>,
}

/// All warnings, kinds in the order of their first one.
pub fn kinds(rows: &[WarningRow]) -> Vec<Kind> {
    let mut kinds: Vec<(String, Kind)> = Vec::new();
    for w in rows {
        let (seen, advice) = w.text.split_once(": ").unwrap_or((&w.text, &w.text));
        // Numbers differ between cases of one kind.
        let key: String = advice.chars().filter(|c| !c.is_ascii_digit()).collect();
        let case = match w.about.is_empty() {
            true => seen.to_owned(),
            false => format!("{}: {seen}", w.about),
        };
        let i = kinds.iter().position(|(k, _)| *k == key).unwrap_or_else(|| {
            kinds.push((key, Kind { advice: capital(advice), ..Kind::default() }));
            kinds.len() - 1
        });
        if !kinds[i].1.cases.contains(&case) {
            kinds[i].1.places += places(&w.about);
            kinds[i].1.cases.push(case);
        }
    }
    kinds.into_iter().map(|(_, kind)| kind).collect()
}

/// Places that a warning names: `a; b; and 3 more` are five.
fn places(about: &str) -> usize {
    let more = |part: &str| part.strip_prefix("and ")?.strip_suffix(" more")?.parse().ok();
    about.split("; ").map(|part| more(part).unwrap_or(1)).sum()
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |c| c.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_of_one_advice_are_one_kind_and_no_case_is_lost() {
        let row = |about: &str, text: &str| WarningRow { about: about.into(), text: text.into() };
        let all = [
            row("a, layer 1; b, layer 1; and 3 more", "reliability 0.1 is low: add pairs"),
            row("", "no advice at all"),
            row("c", "reliability 0.2 is low: add pairs"),
            row("c", "reliability 0.2 is low: add pairs"),
            row("d", "2 texts: needs at least 3 seeds"),
            row("e", "1 text: needs at least 4 seeds"),
        ];
        let kinds = kinds(&all);
        assert_eq!(kinds.len(), 3);
        assert_eq!((&*kinds[0].advice, kinds[0].places), ("Add pairs", 6));
        let cases = [
            "a, layer 1; b, layer 1; and 3 more: reliability 0.1 is low",
            "c: reliability 0.2 is low",
        ];
        assert_eq!(kinds[0].cases, cases);
        assert_eq!((kinds[1].places, &*kinds[1].cases[0]), (1, "no advice at all"));
        assert_eq!(kinds[2].cases, ["d: 2 texts", "e: 1 text"]);
    }
}
