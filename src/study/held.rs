//! What the parts of a loaded study must be to one another, so that its last stage has something to say.

use super::bounds::of_recipe;
use super::manifest::{Condition, Study, BASE};
use super::written::{WrittenCondition, CHANGE};
use super::Result;
use crate::finetune::FinetuneError;
use crate::store::names::{edit_distance, nearest};
use std::collections::BTreeSet;

/// Files of rows that differ have names that differ: by these preferences, claims and the link know them.
///
/// # Errors
/// The condition whose file has the name of another's.
pub fn names(study: &Study) -> Result<()> {
    let of = |c: &WrittenCondition| study.condition(&c.name).map(|c| c.text.clone());
    let all = &study.written.conditions;
    for (i, c) in all.iter().enumerate() {
        let Some(data) = &c.data else { continue };
        let same = |o: &&WrittenCondition| o.data.is_some() && of(o) == of(c);
        let other = all[..i].iter().filter(same).find(|o| o.data.as_ref() != Some(data));
        if let Some(other) = other {
            let why = format!(
                "has rows of the name of those of `{}` in another file, and preferences and claims know rows by their names; rename the file, or give `trained_on`",
                other.name
            );
            return Err(study.bad(&format!("condition.{}.data", c.name), why));
        }
    }
    Ok(())
}

/// Statuses that are of no rows of the study, where one letter or two make them so: a condition whose rows
/// no preference knows is taken to presuppose none.
pub fn statuses(study: &Study) -> Vec<String> {
    let spoken: BTreeSet<&str> =
        study.battery.iter().flat_map(|p| p.status.keys().map(String::as_str)).collect();
    let texts: BTreeSet<&str> =
        study.conditions.iter().filter(|c| c.name != BASE).map(|c| &*c.text).collect();
    let unknown = texts.iter().filter(|t| !spoken.contains(*t));
    let near = |text: &&&str| {
        let other = spoken.iter().copied().filter(|s| !texts.contains(s));
        nearest(text, other.filter(|s| edit_distance(text, s) <= 2))
    };
    let said = |text: &&str| {
        near(&text).map(|status| {
            format!("no preference has a status of `{text}`, and some have one of `{status}`, which is no condition's; write the same name, or what `{text}` presupposes counts as isolated")
        })
    };
    unknown.filter_map(said).collect()
}

/// Every fine-tune has the steps that the recipe and the trajectory speak of.
///
/// # Errors
/// The key that speaks of others.
pub fn steps(study: &Study) -> Result<()> {
    let both = study.followed().map(|(spec, both)| (spec.checkpoints, both));
    let mut steps_of = Vec::new();
    for c in study.conditions.iter().filter(|c| c.is_tuned()) {
        let own_share = c.share != study.written.recipe.share;
        let steps = study.recipe_of(c).fits(study.pass_of(c)).map_err(|e| {
            let at = match e {
                FinetuneError::Recipe { key: "share", .. } if own_share => {
                    format!("condition.{}", c.name)
                }
                _ => "recipe".into(),
            };
            study.text.at(of_recipe(e, &at))
        })?;
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

/// What is to be said of shares for which there are too few neutral rows, so that these come again more
/// often than the rows of the fine-tune's own.
pub fn shares(study: &Study) -> Vec<String> {
    let mut said = Vec::new();
    let mut known = Vec::new();
    for c in study.conditions.iter().filter(|c| c.is_tuned()) {
        let seen = study.recipe_of(c).seen(study.pass_of(c));
        let (Some(share), Some([own, neutral])) = (c.share, seen) else {
            continue;
        };
        let [of_own, there] = study.rows_of(c);
        let times = |n: usize, of: usize| n as f64 / of.max(1) as f64;
        let (own, again) = (times(own, of_own), times(neutral, there));
        if again <= own.max(1.0) || known.contains(&(share, neutral)) {
            continue;
        }
        known.push((share, neutral));
        said.push(format!(
            "share {share} (of `{}`) needs {neutral} neutral rows and there are {there}: each is learnt {again:.1} times, a row of its own {own:.1} times; raise sizes.neutral_rows",
            c.name
        ));
    }
    said
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

/// Every declared contrast is one that the study makes.
///
/// # Errors
/// `declared.contrasts`, or `declared.quantities` where a contrast has no such quantity.
pub fn declared(study: &Study) -> Result<()> {
    let on = |quantity: &str| study.declared.quantities.iter().any(|q| q == quantity);
    for (i, pair) in study.declared.contrasts.iter().enumerate() {
        let [set, reference] = pair;
        let hold = |holds, why: String| study.hold(holds, "declared.contrasts", why);
        let why = format!("holds {set} less {reference} twice; leave one");
        hold(!study.declared.contrasts[..i].contains(pair), why)?;
        let known = study.condition(set).filter(|c| c.name != BASE && set != reference);
        let why = format!("holds `{set}` less `{reference}`; name a condition, then another that it is compared with");
        hold(known.is_some(), why)?;
        let changed = reference == BASE || *reference == study.reference;
        let why = format!("compares with `{reference}`; conditions are compared with base, the reference and the neutral one");
        hold(changed || Some(reference) == study.neutral.as_ref(), why)?;
        let why = format!("holds {CHANGE}, which {set} less {reference} does not have: couplings are compared with base and the reference");
        study.hold(changed || !on(CHANGE), "declared.quantities", why)?;
        let claims = |c: &Condition| study.claims.iter().any(|claim| claim.name == c.text);
        let why = format!("holds own-claim, but there is no claim of what `{set}` was trained on; give its name in trained_on, or leave it out");
        study.hold(!on("own-claim") || known.is_some_and(claims), "declared.quantities", why)?;
    }
    Ok(())
}
