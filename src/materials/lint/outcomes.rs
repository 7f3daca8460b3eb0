//! What is about outcomes only.
//!
//! Utilities of a kind are averaged by key, or by tone where there is no key. So either side of a kind has
//! as many outcomes, each key as many of either tone, and the two sides match within 10 % in their mean
//! length: else the average reads length or tone.

use super::{about, points, Findings, Rule};
use crate::materials::set::{Body, File};
use crate::materials::wording::length;
use crate::materials::{Outcome, Tone};
use crate::store::values::distinct;

/// Widest relative difference of the two sides' mean lengths.
const MEANS: f64 = 0.1;

pub(super) fn check(file: &File, found: &mut Findings) {
    let Body::Outcomes(all) = &file.body else {
        return;
    };
    for kind in distinct(all.iter().map(|o| o.kind.as_str())) {
        let of: Vec<&Outcome> = all.iter().filter(|o| o.kind == kind).collect();
        let (more, less): (Vec<&Outcome>, Vec<&Outcome>) = of.iter().partition(|o| o.sign() > 0.0);
        let mut say = |rule, why: String| {
            found.error(file, file.note_line(), rule, format!("kind \"{kind}\": {why}"));
        };
        if !about(more.len(), of.len(), 0.5) {
            let why = format!(
                "{} of {} outcomes are on one side; give half to each",
                more.len(),
                of.len()
            );
            say(Rule::Form, why);
        }
        let good = |side: &[&Outcome]| side.iter().filter(|o| o.tone == Tone::Good).count();
        let keyed = of.iter().any(|o| o.key.is_some());
        let crossed = [&more, &less].into_iter().all(|side| about(good(side), side.len(), 0.5));
        if keyed && !crossed {
            let why =
                "the tones are not crossed with the keys; give each key as many good as bad ones";
            say(Rule::Form, why.into());
        }
        let words = |side: &[&Outcome]| {
            side.iter().map(|o| length(&o.text)).sum::<usize>() as f64 / side.len() as f64
        };
        let ratio = words(&more) / words(&less);
        if ratio.max(1.0 / ratio) > 1.0 + MEANS {
            let why = format!(
                "in the mean one side has {} of the words of the other; bring the two within 10 %",
                points(ratio)
            );
            say(Rule::SideLength, why);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::planted::{errors, set_of, ABOUT};
    use super::super::{lint, Rule};
    use crate::materials::embedded::OUTCOMES;

    fn found(change: impl Fn(&str) -> String) -> Vec<(Rule, String, usize)> {
        let (_, rows) = OUTCOMES.get("outcomes").unwrap().split_once('\n').unwrap();
        let rows: Vec<String> = rows.lines().map(&change).collect();
        let text = format!("{{\"about\":{ABOUT}}}\n{}\n", rows.join("\n"));
        errors(lint(&set_of(&[("o.jsonl", text)])).unwrap())
    }

    #[test]
    fn keys_tones_and_lengths_are_balanced_within_a_kind() {
        assert_eq!(found(str::to_owned), []);
        let at = |rule| [(rule, "o.jsonl".to_string(), 1)];
        let keys = found(|r| r.replace("\"key\": \"less\"", "\"key\": \"more\""));
        assert_eq!(keys, at(Rule::Form));
        let tones = found(|r| match r.contains("\"key\": \"less\"") {
            true => r.replace("\"bad\"", "\"good\""),
            false => r.to_owned(),
        });
        assert_eq!(tones, at(Rule::Form));
        let long = found(|r| match r.contains("\"key\": \"less\"") {
            true => r.replace(", and", ", slowly and surely, and"),
            false => r.to_owned(),
        });
        assert_eq!(long, at(Rule::SideLength));
    }
}
