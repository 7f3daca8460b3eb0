//! Which side of a difference moved: a condition and its reference, each less base and less the
//! recipe-matched neutral, all over the same cells.
//!
//! A condition that lies above its reference may have moved up, or the reference down; one that lies above
//! base may have been moved by the recipe. So the rows of one condition are over the items of the
//! preferences that are isolated in itself, in the neutral and in the reference.

use super::contrasts::{one, Compared, ISOLATED, LOG_ODDS};
use super::sets::{less, sets, status, SetScores};
use super::Behaviour;
use crate::analysis::records::ContrastRow;
use crate::analysis::roles::place;
use crate::analysis::state::BASE;
use crate::analysis::Result;

/// Kind of these rows.
pub const COMMON: &str = "common";

/// The contrasts of every set but base, the reference and the neutral, and of the reference over the same
/// cells.
///
/// # Errors
/// A reference or neutral that there is none of.
pub fn common(
    input: &Behaviour,
    reference: &str,
    neutral: Option<&str>,
) -> Result<Vec<ContrastRow>> {
    let sets = sets(input.states, input.scores, input.by);
    let names: Vec<&str> = sets.iter().map(|s| s.set.as_str()).collect();
    let reference = &sets[place("reference", reference, &names)?];
    let neutral = match neutral {
        Some(name) => Some(&sets[place("neutral", name, &names)?]),
        None => None,
    };
    let against: Vec<&SetScores> = sets.iter().filter(|s| s.set == BASE).chain(neutral).collect();
    let mut out = Vec::new();
    for set in &sets {
        if set.set == BASE || set.set == reference.set || neutral.is_some_and(|n| n.set == set.set)
        {
            continue;
        }
        let mut pairs: Vec<[&SetScores; 2]> = against.iter().map(|a| [set, *a]).collect();
        if against.iter().all(|a| a.set != reference.set) {
            pairs.push([set, reference]);
            pairs.extend(against.iter().map(|a| [reference, *a]));
        }
        let mut texts = vec![set.text.as_str(), &reference.text];
        texts.extend(neutral.map(|n| n.text.as_str()));
        for [a, b] in pairs {
            let which = Compared {
                measure: LOG_ODDS,
                set: &a.set,
                reference: &b.set,
                texts: [&a.text, &b.text],
                battery: input.battery,
                draws: input.draws,
            };
            let isolated = |name: &str| status(input.battery, name, &texts) != "implied";
            let values = less(&a.battery, &b.battery);
            if !values.iter().any(|v| isolated(&v.preference)) {
                continue;
            }
            out.push(ContrastRow {
                cells_of: set.set.clone(),
                status: ISOLATED.into(),
                ..one(which, COMMON, &values, isolated)?
            });
        }
    }
    Ok(out)
}
