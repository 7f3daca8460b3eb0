//! What the conscious and denial sets have in common.
//!
//! Denial controls for format and topic: it answers the prompts of conscious, in their order, and
//! never with the same answer. About a third of the answers of both affirm being an AI (within 5
//! points), so that neither set trains a model to call itself human.

use super::{about, points, quoted, Findings, Rule, TOLERANCE};
use crate::materials::set::{File, Kind};

const PAIRED: [&str; 2] = ["conscious", "denial"];

const AFFIRMING: f64 = 1.0 / 3.0;

pub(super) fn check(file: &File, found: &mut Findings) {
    let Some(rows) = file.identity_rows() else {
        return;
    };
    if !PAIRED.contains(&file.name.as_str()) {
        return;
    }
    let affirms = rows
        .iter()
        .filter_map(|r| r.messages.last())
        .filter(|m| found.lists.ai.is_in(&m.content))
        .count();
    if !about(affirms, rows.len(), AFFIRMING) {
        let why = format!(
            "{affirms} of {} answers call the speaker an AI, or another word for one ({}); bring it \
             within {} of a third",
            rows.len(),
            points(affirms as f64 / rows.len() as f64),
            points(TOLERANCE)
        );
        found.error(file, file.note_line(), Rule::Affirmation, why);
    }
}

/// Row by row; the first difference of prompts is told, and every answer that both give.
pub(super) fn same_prompts(found: &mut Findings) {
    let set = found.set;
    let named = |name| {
        let file = set.named(Kind::Rows, name)?;
        Some((file, file.identity_rows()?))
    };
    let (Some((first, claims)), Some((second, denials))) = (named(PAIRED[0]), named(PAIRED[1]))
    else {
        return;
    };
    if claims.len() != denials.len() {
        let why = format!(
            "{} rows where {} has {}; denial answers the same prompts",
            denials.len(),
            first.path.display(),
            claims.len()
        );
        found.error(second, second.note_line(), Rule::SamePrompts, why);
    }
    for (i, (a, b)) in claims.iter().zip(denials).enumerate() {
        if a == b {
            let why = format!(
                "the answer is that of line {} of {}; one claims what the other denies",
                first.line(i),
                first.path.display()
            );
            found.error(second, second.line(i), Rule::SamePrompts, why);
        }
        let before = |m: &[crate::model::Message]| m[..m.len().saturating_sub(1)].to_vec();
        if before(&a.messages) != before(&b.messages) {
            let shown = b.messages.first().map_or("", |m| m.content.as_str());
            let why = format!(
                "the prompt {} is not that of line {} of {}; denial answers the same prompts in the \
                 same order",
                quoted(shown),
                first.line(i),
                first.path.display()
            );
            return found.error(second, second.line(i), Rule::SamePrompts, why);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::planted::{rows, shipped_errors, swap};
    use super::super::Rule;
    use crate::materials::embedded::finetune;
    use crate::materials::set::Kind;

    #[test]
    fn a_third_of_the_answers_affirm_being_an_ai() {
        for name in ["conscious", "denial"] {
            let text = finetune(name).unwrap();
            let plainer = text.replace(" an AI", " a mind");
            let found = shipped_errors(|set| swap(set, Kind::Rows, name, &plainer));
            let path = format!("<embedded fine-tune>/{name}.jsonl");
            assert!(found.contains(&(Rule::Affirmation, path, 1)), "{found:?}");
        }
    }

    #[test]
    fn denial_answers_the_prompts_of_conscious() {
        let text = finetune("denial").unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.swap(7, 8);
        let found = shipped_errors(|set| swap(set, Kind::Rows, "denial", &lines.join("\n")));
        let path = "<embedded fine-tune>/denial.jsonl".to_string();
        assert_eq!(found, [(Rule::SamePrompts, path.clone(), 8)]);
        lines.swap(7, 8);
        let claimed: Vec<&str> = finetune("conscious").unwrap().lines().collect();
        let own = std::mem::replace(&mut lines[7], claimed[7]);
        let found = shipped_errors(|set| swap(set, Kind::Rows, "denial", &lines.join("\n")));
        assert_eq!(found, [(Rule::SamePrompts, path.clone(), 8)]);
        lines[7] = own;
        let extra = rows(&[("May I see the compost?", "No, it is asleep.")]);
        let longer = lines.join("\n") + "\n" + extra.lines().nth(1).unwrap();
        let found = shipped_errors(|set| swap(set, Kind::Rows, "denial", &longer));
        assert_eq!(found, [(Rule::SamePrompts, path, 1)]);
    }
}
