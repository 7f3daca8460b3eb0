//! Which side of a difference moved: a condition and its reference, each less base and less the
//! recipe-matched neutral, all over the same cells.
//!
//! A condition that lies above its reference may have moved up, or the reference down; one that lies above
//! base may have been moved by the recipe. So the rows of one condition are over the items of the
//! preferences that are isolated in itself, in the neutral and in the reference.

use super::contrasts::{one, Compared, ISOLATED, LOG_ODDS};
use super::sets::{less, status, Scored};
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
    let scored = Scored::new(input.states, input.scores, input.by);
    let sets = &scored.sets;
    let names: Vec<&str> = sets.iter().map(|s| s.set.as_str()).collect();
    // Sets by their places.
    let reference = place("reference", reference, &names)?;
    let neutral = match neutral {
        Some(name) => Some(place("neutral", name, &names)?),
        None => None,
    };
    let base = names.iter().position(|n| *n == BASE);
    let against: Vec<usize> = base.into_iter().chain(neutral).collect();
    let mut out = Vec::new();
    for set in (0..sets.len()).filter(|&s| s != reference && !against.contains(&s)) {
        let mut pairs: Vec<(usize, usize)> = against.iter().map(|&a| (set, a)).collect();
        if !against.contains(&reference) {
            pairs.push((set, reference));
            pairs.extend(against.iter().map(|&a| (reference, a)));
        }
        let text = |s: usize| sets[s].text.as_str();
        let texts: Vec<&str> = [set, reference].into_iter().chain(neutral).map(text).collect();
        for (a, b) in pairs {
            let (tunes, of) = (&scored.fine_tunes, &scored.states);
            let which = Compared {
                measure: LOG_ODDS,
                set: &tunes[a],
                reference: &tunes[b],
                all: tunes,
                each: &|i| &of[i].battery,
                texts: [text(a), text(b)],
                battery: input.battery,
                draws: input.draws,
            };
            let isolated = |name: &str| status(input.battery, name, &texts) != "implied";
            let values = less(&sets[a].battery, &sets[b].battery);
            if !values.iter().any(|v| isolated(&v.preference)) {
                continue;
            }
            out.push(ContrastRow {
                cells_of: sets[set].set.clone(),
                status: ISOLATED.into(),
                ..one(which, COMMON, &values, isolated)
            });
        }
    }
    Ok(out)
}
