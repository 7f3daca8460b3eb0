//! What the parts of a loaded study must be to one another, so that its last stage has something to say.

use super::bounds::of_recipe;
use super::manifest::{Condition, Study, BASE};
use super::Result;

/// Every fine-tune has the steps that the recipe and the trajectory speak of.
///
/// # Errors
/// The key that speaks of others.
pub fn steps(study: &Study) -> Result<()> {
    let both = study.followed().map(|(spec, both)| (spec.checkpoints, both));
    let mut steps_of = Vec::new();
    for c in study.conditions.iter().filter(|c| c.is_tuned()) {
        let fits = study.written.recipe.fits(study.rows_of(c));
        let steps = fits.map_err(|e| study.text.at(of_recipe(e, "recipe")))?;
        let Some((checkpoints, both)) = both else {
            continue;
        };
        if !both.iter().any(|&s| study.states[s].condition == c.name) {
            continue;
        }
        let why = format!(
            "is {checkpoints}, but the fine-tune of `{}` has {steps} steps; give at most that",
            c.name
        );
        study.hold(checkpoints <= steps, "trajectory.checkpoints", why)?;
        steps_of.push(steps);
    }
    match steps_of[..] {
        [a, b] if a != b => {
            let why = format!("has {a} steps and its reference {b}, which cannot be compared step by step; give both the same number of rows");
            Err(study.bad("trajectory.condition", why))
        }
        _ => Ok(()),
    }
}

/// What is said of a condition is said of preferences that its rows do not presuppose.
///
/// # Errors
/// The key whose condition has no such preference.
pub fn isolated(study: &Study) -> Result<()> {
    let none = |c: &Condition| study.battery.iter().all(|p| study.implied(p, c));
    let followed = (study.followed()).map(|(_, both)| &study.states[both[0]].condition);
    let causal = study.edits.as_ref().map(|_| &study.focus);
    let spoken = [("roles.focus", causal), ("trajectory.condition", followed)];
    for (key, name) in spoken {
        let Some(c) = name.and_then(|n| study.condition(n)) else {
            continue;
        };
        let why = format!("is `{}`, whose rows presuppose every preference of the battery (status implied); add one that they do not", c.name);
        study.hold(!none(c), key, why)?;
    }
    let mut others = (study.conditions.iter())
        .filter(|c| c.name != BASE && c.name != study.reference)
        .peekable();
    let why = "holds only preferences that the conditions' rows presuppose (status implied), so that nothing would be tested; add one that they do not";
    study.hold(others.peek().is_none() || !others.all(none), "battery", why)
}
