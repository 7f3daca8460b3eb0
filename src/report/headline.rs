//! The answer in three findings: what was done outside, what moved inside, and what caused it.
//!
//! Of each question the most direct quantity that there is a finding of; of one quantity what was declared
//! before what was not. A file that answers none of them is told by its first findings.

use crate::analysis::records::FindingRow;

/// Quantities that answer a question, the most direct first.
const QUESTIONS: [&[&str]; 3] = [
    &["towards", "isolated", "preferences", "own-claim", "utility", "took"],
    &["change-of-coupling", "shift", "trace", "coupling", "auroc", "readout"],
    &["ablation", "dose-response", "link", "ranking"],
];

/// At most three findings, one a question.
pub fn headline(rows: &[FindingRow]) -> Vec<&FindingRow> {
    let has_number = |f: &&FindingRow| !f.estimate.is_nan();
    let of = |quantities: &&[&str]| {
        quantities.iter().find_map(|q| {
            let own = || rows.iter().filter(has_number).filter(move |f| f.quantity == *q);
            own().find(|f| f.declared).or_else(|| own().next())
        })
    };
    let found: Vec<&FindingRow> = QUESTIONS.iter().filter_map(of).collect();
    match found.is_empty() {
        true => rows.iter().filter(has_number).take(QUESTIONS.len()).collect(),
        false => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Record;

    fn finding(quantity: &str, declared: bool, estimate: f64) -> FindingRow {
        FindingRow { quantity: quantity.into(), declared, estimate, ..FindingRow::NONE }
    }

    #[test]
    fn each_question_has_its_most_direct_finding_and_what_was_declared_leads() {
        let rows = [
            finding("shift", false, 0.1),
            finding("change-of-coupling", false, 0.2),
            finding("change-of-coupling", true, 0.3),
            finding("isolated", true, 0.4),
            finding("towards", false, f64::NAN),
            finding("link", false, 0.5),
        ];
        let told: Vec<f64> = headline(&rows).iter().map(|f| f.estimate).collect();
        assert_eq!(told, [0.4, 0.3, 0.5]);
        let other = [finding("stickiness", false, 1.0)];
        assert_eq!(headline(&other).len(), 1);
        assert!(headline(&[]).is_empty());
    }
}
