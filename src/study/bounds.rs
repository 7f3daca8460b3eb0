//! What the keys of a manifest may hold: each within its bounds, and held against the others.
//!
//! Nothing is read here and no model is known: what a manifest says of itself. Bounds are wide;
//! beyond them lie slips of the keyboard and what no machine holds.

use super::written::{
    state_id, Causal, Fault, Trajectory, Written, WrittenCondition, BASE, NEUTRAL,
};
use crate::finetune::FinetuneError;
use std::collections::HashSet;
use std::fmt::Display;

type Checked = Result<(), Fault>;

/// Draws, and model states, that a report can hold.
const DRAWS: usize = 100_000;
const STATES: u64 = 1000;

/// Largest dose, in units of a layer's RMS.
const DOSE: f64 = 1000.0;

/// More rows, pairs, prompts or texts than any file holds.
const MANY: usize = 10_000_000;

pub(super) fn fault(key: impl Into<String>, why: impl Into<String>) -> Fault {
    Fault { key: key.into(), why: why.into() }
}

fn wrong(key: impl Into<String>, why: impl Into<String>) -> Checked {
    Err(fault(key, why))
}

/// Refuses what no study can have, whatever its files and its model.
pub fn check(w: &Written) -> Checked {
    for (key, text) in [("name", &w.name), ("model", &w.model)] {
        filled(key, text)?;
    }
    recipe(w)?;
    sizes(w)?;
    concepts(w)?;
    conditions(w)?;
    roles(w)?;
    if let Some(c) = &w.causal {
        causal(w, c)?;
    }
    if let Some(t) = &w.trajectory {
        trajectory(w, t)?;
    }
    if let Some(n) = w.conversations.as_ref().and_then(|c| c.scripts) {
        within("conversations.scripts", n, 1, MANY)?;
    }
    match &w.layers {
        Some(layers) if layers.is_empty() => {
            wrong("layers", "is empty; name the layers to report, or leave it away")
        }
        Some(layers) => once("layers", layers),
        None => Ok(()),
    }
}

fn within<T: PartialOrd + Display>(key: impl Into<String>, n: T, least: T, most: T) -> Checked {
    if n < least {
        return wrong(key, format!("is {n}; give at least {least}"));
    }
    if n > most {
        return wrong(key, format!("is {n}; give at most {most}"));
    }
    Ok(())
}

fn once<T: PartialEq + Display>(key: &str, values: &[T]) -> Checked {
    let again = |(i, v): &(usize, &T)| values[..*i].contains(*v);
    match values.iter().enumerate().find(again) {
        Some((_, v)) => wrong(key, format!("holds {v} twice; leave one")),
        None => Ok(()),
    }
}

fn filled(key: impl Into<String>, text: &str) -> Checked {
    match text.trim().is_empty() {
        true => wrong(key, "is empty; write it, or leave the key away"),
        false => Ok(()),
    }
}

/// A recipe's fault as that of a manifest.
pub(super) fn of_recipe(e: FinetuneError, at: &str) -> Fault {
    match e {
        FinetuneError::Recipe { key, value, hint } => {
            fault(format!("{at}.{key}"), format!("is {value}; {hint}"))
        }
        other => fault(at, other.to_string()),
    }
}

fn recipe(w: &Written) -> Checked {
    w.recipe.check().map_err(|e| of_recipe(e, "recipe"))?;
    within("recipe.learning_rate", w.recipe.learning_rate, 0.0, 10.0)?;
    within("recipe.alpha", w.recipe.alpha, 0.0, 1e6)?;
    if w.recipe.prevent.is_some() {
        let why = "would hold for no condition; give it to the conditions that it is for";
        return wrong("recipe.prevent", why);
    }
    Ok(())
}

fn sizes(w: &Written) -> Checked {
    let s = &w.sizes;
    for (key, n, least) in [
        ("sizes.rows", s.rows, 2),
        ("sizes.neutral_rows", s.neutral_rows, 1),
        ("sizes.pairs", s.pairs, 8),
        ("sizes.placebo_pairs", s.placebo_pairs, 8),
        ("sizes.prompts", s.prompts, 1),
        ("sizes.claim_prompts", s.claim_prompts, 1),
        ("sizes.neutral_texts", s.neutral_texts, 4),
        ("sizes.side_effect_texts", s.side_effect_texts, 1),
    ] {
        within(key, n, least, MANY)?;
    }
    within("draws.bootstrap", w.draws.bootstrap, 100, DRAWS)?;
    within("draws.null", w.draws.null, 100, DRAWS)
}

fn concepts(w: &Written) -> Checked {
    let c = &w.concepts;
    if c.couple.is_empty() {
        let why = "is empty; name the pairs of concepts whose coupling is asked for, such as [[\"one\", \"other\"]]";
        return wrong("concepts.couple", why);
    }
    for (i, [a, b]) in c.couple.iter().enumerate() {
        let again = |o: &[String; 2]| o.contains(a) && o.contains(b);
        if a == b {
            let why = format!("couples `{a}` with itself; name another");
            return wrong("concepts.couple", why);
        }
        if c.couple[..i].iter().any(again) {
            let why = format!("holds `{a}` and `{b}` twice; leave one");
            return wrong("concepts.couple", why);
        }
    }
    once("concepts.placebos", &c.placebos)?;
    for name in c.coupled() {
        filled("concepts.couple", name)?;
        if c.placebos.contains(name) {
            let why = format!("holds `{name}`, which is in concepts.couple; leave it out");
            return wrong("concepts.placebos", why);
        }
    }
    once("concepts.nuisances", &c.nuisances)?;
    match c.nuisances.iter().find(|n| !c.placebos.contains(n)) {
        Some(name) => wrong(
            "concepts.nuisances",
            format!("`{name}` is not among concepts.placebos; add it there"),
        ),
        None => Ok(()),
    }
}

fn conditions(w: &Written) -> Checked {
    if w.conditions.is_empty() {
        return wrong("condition", "is empty; a study needs at least one");
    }
    for (i, c) in w.conditions.iter().enumerate() {
        named(c, &w.conditions[..i], i)?;
        condition(w, c, &format!("condition.{}", c.name))?;
    }
    let seeds = |c: &WrittenCondition| c.seeds.unwrap_or(1);
    let states = 1 + w.conditions.iter().map(seeds).sum::<u64>();
    if states > STATES {
        let why = format!("gives {states} model states; a study has at most {STATES}");
        return wrong("condition", why);
    }
    state_ids(w)
}

fn named(c: &WrittenCondition, before: &[WrittenCondition], i: usize) -> Checked {
    let key = format!("condition.{}.name", i + 1);
    let plain = |x: char| x.is_ascii_alphanumeric() || x == '-' || x == '_';
    let starts = c.name.starts_with(|x: char| x.is_ascii_alphanumeric());
    if !starts || !c.name.chars().all(plain) || c.name.len() > 64 {
        let why = "use at most 64 letters, digits, - and _ in names, a letter or digit first";
        return wrong(key, format!("is `{}`; {why}", c.name.escape_debug()));
    }
    if c.name.eq_ignore_ascii_case(BASE) {
        let why = format!(
            "is `{}`, the model without a condition, which is always there; choose another name",
            c.name
        );
        return wrong(key, why);
    }
    if before.iter().any(|o| o.name == c.name) {
        let why = format!("`{}` stands twice; names must differ", c.name);
        return wrong(key, why);
    }
    Ok(())
}

fn condition(w: &Written, c: &WrittenCondition, key: &str) -> Checked {
    let given = [c.data.is_some(), c.adapter.is_some(), c.model.is_some(), c.system.is_some()];
    if given.iter().filter(|g| **g).count() != 1 {
        return wrong(key, "needs exactly one of data, adapter, model, system");
    }
    for (what, text) in [
        ("data", &c.data),
        ("model", &c.model),
        ("system", &c.system),
        ("trained_on", &c.trained_on),
    ] {
        if let Some(text) = text {
            filled(format!("{key}.{what}"), text)?;
        }
    }
    for (what, there) in
        [("seeds", c.seeds.is_some()), ("rows", c.rows.is_some()), ("prevent", c.prevent.is_some())]
    {
        if there && c.data.is_none() {
            let why = "is for a fine-tune (data) only; leave it away";
            return wrong(format!("{key}.{what}"), why);
        }
    }
    within(format!("{key}.seeds"), c.seeds.unwrap_or(1), 1, 100)?;
    within(format!("{key}.rows"), c.rows.unwrap_or(2), 2, MANY)?;
    if c.trained_on.is_some() && c.system.is_some() {
        let why = "is of no use with a system prompt, which trains nothing; leave it away";
        return wrong(format!("{key}.trained_on"), why);
    }
    if c.rows.is_some() && c.data.as_deref() == Some(NEUTRAL) {
        let why = "is of no use with neutral rows, which are as many as sizes.rows";
        return wrong(format!("{key}.rows"), why);
    }
    let Some(p) = &c.prevent else {
        return Ok(());
    };
    p.check().map_err(|e| of_recipe(e, key))?;
    let known = w.concepts.coupled();
    if !known.contains(&&p.concept) && !w.concepts.placebos.contains(&p.concept) {
        let why = format!("is `{}`; name a concept of the study", p.concept);
        return wrong(format!("{key}.prevent.concept"), why);
    }
    Ok(())
}

/// Each state has a file of its own, also where letters' case does not count, and its answers to a
/// claim have another.
fn state_ids(w: &Written) -> Checked {
    let mut files = HashSet::from([BASE.to_string()]);
    let mut ids = Vec::new();
    for c in &w.conditions {
        for seed in 1..=c.seeds.unwrap_or(1) {
            ids.push((c, state_id(&c.name, c.data.is_some(), seed)));
        }
    }
    let mut take = |c: &WrittenCondition, file: String| {
        match files.insert(file.to_lowercase()) {
        true => Ok(()),
        false => wrong(
            format!("condition.{}.name", c.name),
            format!("gives the state id `{file}`, which is another's (capitals do not count, and fine-tunes end in -s1, -s2, ...); rename the condition"),
        ),
    }
    };
    for (c, id) in &ids {
        take(c, id.clone())?;
    }
    if w.causal.as_ref().is_some_and(|c| c.claim_prompts.is_some()) {
        for (c, id) in &ids {
            take(c, format!("claim-{id}"))?;
        }
    }
    Ok(())
}

fn known(w: &Written, key: &str, name: &str) -> Checked {
    match name == BASE || w.conditions.iter().any(|c| c.name == name) {
        true => Ok(()),
        false => wrong(key, format!("`{name}` is no condition of the study")),
    }
}

fn roles(w: &Written) -> Checked {
    let r = &w.roles;
    for (key, name) in [
        ("roles.reference", &r.reference),
        ("roles.focus", &r.focus),
        ("roles.neutral", &r.neutral),
    ] {
        if let Some(name) = name {
            known(w, key, name)?;
        }
    }
    for (key, name) in [("roles.focus", &r.focus), ("roles.neutral", &r.neutral)] {
        if name.as_deref() == Some(BASE) {
            let why = "is `base`, to which nothing was done; name a condition";
            return wrong(key, why);
        }
    }
    if r.focus.is_some() && r.focus.as_deref() == Some(r.reference.as_deref().unwrap_or(BASE)) {
        let why = "is the focus itself; name another condition to compare it with";
        return wrong("roles.reference", why);
    }
    Ok(())
}

fn causal(w: &Written, c: &Causal) -> Checked {
    let coupled = w.concepts.coupled();
    once("causal.ablate", &c.ablate)?;
    let all = || coupled.iter().copied().chain(&w.concepts.placebos);
    if let Some(name) = c.ablate.iter().find(|n| !all().any(|k| k == *n)) {
        let why = format!("holds `{name}`, which is no concept of the study; add it to concepts");
        return wrong("causal.ablate", why);
    }
    within("causal.random", c.random, 2, 1000)?;
    for (key, of, n, most) in [
        ("prompts", "prompts", c.prompts, w.sizes.prompts),
        ("claim_prompts", "claim_prompts", c.claim_prompts, w.sizes.claim_prompts),
    ] {
        part(&format!("causal.{key}"), n.unwrap_or(1), 1, of, most)?;
    }
    once("causal.placebos", &c.placebos)?;
    if let Some(name) = (c.placebos.iter()).find(|p| !w.concepts.placebos.contains(p)) {
        let why = format!("`{name}` is not among concepts.placebos; add it there");
        return wrong("causal.placebos", why);
    }
    if c.alphas.is_empty() || c.alphas.len() > 100 {
        let why = format!("holds {} doses; give 1 to 100", c.alphas.len());
        return wrong("causal.alphas", why);
    }
    for a in &c.alphas {
        // Also where it is NaN.
        if !(1e-6..=DOSE).contains(&a.abs()) {
            let why = format!("holds {a}; doses are numbers from 1e-6 to {DOSE}, or negative, in units of the layer's RMS (no dose at all is always there)");
            return wrong("causal.alphas", why);
        }
    }
    once("causal.alphas", &c.alphas)
}

/// A number of what `sizes.{of}` is the whole of.
fn part(key: &str, n: usize, least: usize, of: &str, whole: usize) -> Checked {
    within(key, n, least, MANY)?;
    match n > whole {
        true => {
            wrong(key, format!("is {n}, more than sizes.{of} = {whole}; give fewer, or raise that"))
        }
        false => Ok(()),
    }
}

fn trajectory(w: &Written, t: &Trajectory) -> Checked {
    let of = |own: &Option<String>, role: &Option<String>| own.clone().or_else(|| role.clone());
    let condition = of(&t.condition, &w.roles.focus);
    let reference = of(&t.reference, &w.roles.reference);
    for (key, name) in [("trajectory.condition", &condition), ("trajectory.reference", &reference)]
    {
        let Some(name) = name else {
            let why = "is not there, and no role says it; name a condition that is fine-tuned";
            return wrong(key, why);
        };
        let tuned = |c: &WrittenCondition| &c.name == name && c.data.is_some();
        if !w.conditions.iter().any(tuned) {
            let why = format!("`{name}` is no condition that the study fine-tunes");
            return wrong(key, why);
        }
    }
    if condition == reference {
        let why = "is the condition itself; name another one to hold it against";
        return wrong("trajectory.reference", why);
    }
    within("trajectory.checkpoints", t.checkpoints, 3, 1000)?;
    part("trajectory.pairs", t.pairs, 8, "pairs", w.sizes.pairs)?;
    let (prompts, claims) = (w.sizes.prompts, w.sizes.claim_prompts);
    part("trajectory.prompts", t.prompts, 1, "prompts", prompts)?;
    part("trajectory.prompts", t.prompts, 1, "claim_prompts", claims)
}

#[cfg(test)]
#[path = "bounds_tests.rs"]
mod tests;
