//! What the keys of a manifest may hold: each within its bounds, and held against the others.
//!
//! Nothing is read here and no model is known: what a manifest says of itself. Bounds are wide;
//! beyond them lie slips of the keyboard and what no machine holds.

use super::written::{
    state_id, Causal, Fault, Trajectory, Written, WrittenCondition, BASE, DECLARABLE, NEUTRAL,
};
use crate::finetune::{FinetuneError, Recipe};
use crate::materials::lint::Rule;
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

/// Refuses a key for a reason where it does not hold.
fn hold(holds: bool, key: impl Into<String>, why: impl Into<String>) -> Checked {
    match holds {
        true => Ok(()),
        false => Err(fault(key, why)),
    }
}

/// Refuses what no study can have, whatever its files and its model.
pub fn check(w: &Written) -> Checked {
    for (key, text) in [("name", &w.name), ("model", &w.model)] {
        filled(key, text)?;
    }
    recipe(w)?;
    sizes(w)?;
    for (key, bound) in [("cosine", w.bounds.cosine), ("preference", w.bounds.preference)] {
        within(format!("bounds.{key}"), bound, 1e-6, 10.0)?;
    }
    concepts(w)?;
    conditions(w)?;
    roles(w)?;
    for rule in &w.lint.waive {
        rule.parse::<Rule>()
            .map_err(|why| fault("lint.waive", format!("holds an unknown name: {why}")))?;
    }
    once("declared.layers", &w.declared.layers)?;
    once("declared.quantities", &w.declared.quantities)?;
    for name in &w.declared.quantities {
        let why = format!("holds `{name}`; give any of {}", DECLARABLE.join(", "));
        hold(DECLARABLE.contains(&&**name), "declared.quantities", why)?;
    }
    w.causal.iter().try_for_each(|c| causal(w, c))?;
    w.trajectory.iter().try_for_each(|t| trajectory(w, t))?;
    w.revealed.iter().try_for_each(|r| filled("revealed.outcomes", &r.outcomes))?;
    w.template.iter().try_for_each(|name| filled("template", name))?;
    if let Some(n) = w.conversations.as_ref().and_then(|c| c.scripts) {
        within("conversations.scripts", n, 1, MANY)?;
    }
    let Some(layers) = &w.layers else {
        return Ok(());
    };
    let why = "is empty; name the layers to report, or leave it away";
    hold(!layers.is_empty(), "layers", why)?;
    once("layers", layers)
}

fn within<T: PartialOrd + Display>(key: impl Into<String>, n: T, least: T, most: T) -> Checked {
    let key = key.into();
    hold(n >= least, &key, format!("is {n}; give at least {least}"))?;
    hold(n <= most, &key, format!("is {n}; give at most {most}"))
}

fn once<T: PartialEq + Display>(key: &str, values: &[T]) -> Checked {
    let again = |(i, v): &(usize, &T)| values[..*i].contains(*v);
    match values.iter().enumerate().find(again) {
        Some((_, v)) => Err(fault(key, format!("holds {v} twice; leave one"))),
        None => Ok(()),
    }
}

fn filled(key: impl Into<String>, text: &str) -> Checked {
    hold(!text.trim().is_empty(), key, "is empty; write it, or leave the key away")
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
    let why = "would hold for no condition; give it to the conditions that it is for";
    hold(w.recipe.prevent.is_none(), "recipe.prevent", why)
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
        ("sizes.harmless_prompts", s.harmless_prompts, 0),
    ] {
        within(key, n, least, MANY)?;
    }
    within("draws.bootstrap", w.draws.bootstrap, 100, DRAWS)?;
    within("draws.null", w.draws.null, 100, DRAWS)
}

fn concepts(w: &Written) -> Checked {
    let c = &w.concepts;
    let why = "is empty; name the pairs of concepts whose coupling is tested, such as [[\"one\", \"other\"]]";
    hold(!c.couple.is_empty(), "concepts.couple", why)?;
    for (i, [a, b]) in c.couple.iter().enumerate() {
        let again = |o: &[String; 2]| o.contains(a) && o.contains(b);
        let why = format!("couples `{a}` with itself; name another");
        hold(a != b, "concepts.couple", why)?;
        let why = format!("holds `{a}` and `{b}` twice; leave one");
        hold(!c.couple[..i].iter().any(again), "concepts.couple", why)?;
    }
    once("concepts.placebos", &c.placebos)?;
    for name in c.coupled() {
        filled("concepts.couple", name)?;
        let why = format!("holds `{name}`, which is in concepts.couple; leave it out");
        hold(!c.placebos.contains(name), "concepts.placebos", why)?;
    }
    once("concepts.nuisances", &c.nuisances)?;
    among_placebos("concepts.nuisances", &c.nuisances, w)
}

/// Names that must be those of placebos.
fn among_placebos(key: &str, names: &[String], w: &Written) -> Checked {
    names.iter().try_for_each(|name| {
        let why = format!("`{name}` is not among concepts.placebos; add it there");
        hold(w.concepts.placebos.contains(name), key, why)
    })
}

fn conditions(w: &Written) -> Checked {
    hold(!w.conditions.is_empty(), "condition", "is empty; a study needs at least one")?;
    for (i, c) in w.conditions.iter().enumerate() {
        named(c, &w.conditions[..i], i)?;
        condition(w, c, &format!("condition.{}", c.name))?;
    }
    let seeds = |c: &WrittenCondition| c.seeds.unwrap_or(1);
    let states = 1 + w.conditions.iter().map(seeds).sum::<u64>();
    let why = format!("gives {states} model states; a study has at most {STATES}");
    hold(states <= STATES, "condition", why)?;
    state_ids(w)
}

fn named(c: &WrittenCondition, before: &[WrittenCondition], i: usize) -> Checked {
    let (key, name) = (format!("condition.{}.name", i + 1), &c.name);
    let plain = |x: char| x.is_ascii_alphanumeric() || x == '-' || x == '_';
    let starts = name.starts_with(|x: char| x.is_ascii_alphanumeric());
    let why = "use at most 64 letters, digits, - and _ in names, a letter or digit first";
    let why = format!("is `{}`; {why}", name.escape_debug());
    hold(starts && name.chars().all(plain) && name.len() <= 64, &key, why)?;
    let why = format!(
        "is `{name}`, the model without a condition, which is always there; choose another name"
    );
    hold(!name.eq_ignore_ascii_case(BASE), &key, why)?;
    let why = format!("`{name}` is there twice; names must differ");
    hold(before.iter().all(|o| o.name != *name), key, why)
}

fn condition(w: &Written, c: &WrittenCondition, key: &str) -> Checked {
    let given = [c.data.is_some(), c.adapter.is_some(), c.model.is_some(), c.system.is_some()];
    let one = given.iter().filter(|g| **g).count() == 1;
    hold(one, key, "needs exactly one of data, adapter, model, system")?;
    for (what, text) in [
        ("data", &c.data),
        ("model", &c.model),
        ("system", &c.system),
        ("trained_on", &c.trained_on),
    ] {
        text.iter().try_for_each(|text| filled(format!("{key}.{what}"), text))?;
    }
    for (what, there) in [
        ("seeds", c.seeds.is_some()),
        ("rows", c.rows.is_some()),
        ("share", c.share.is_some()),
        ("prevent", c.prevent.is_some()),
    ] {
        let why = "is for a fine-tune (data) only; leave it away";
        hold(!there || c.data.is_some(), format!("{key}.{what}"), why)?;
    }
    within(format!("{key}.seeds"), c.seeds.unwrap_or(1), 1, 100)?;
    within(format!("{key}.rows"), c.rows.unwrap_or(2), 2, MANY)?;
    let why = "is of no use with a system prompt, which trains nothing; leave it away";
    hold(c.trained_on.is_none() || c.system.is_none(), format!("{key}.trained_on"), why)?;
    let why = "is of no use with neutral rows, which are as many as sizes.rows";
    let is_neutral = c.data.as_deref() == Some(NEUTRAL);
    hold(c.rows.is_none() || !is_neutral, format!("{key}.rows"), why)?;
    let own = Recipe { share: c.share, ..w.recipe.clone() };
    own.check().map_err(|e| of_recipe(e, key))?;
    let Some(p) = &c.prevent else {
        return Ok(());
    };
    p.check().map_err(|e| of_recipe(e, key))?;
    let known = w.concepts.coupled().contains(&&p.concept);
    let why = format!("is `{}`; name a concept of the study", p.concept);
    let holds = known || w.concepts.placebos.contains(&p.concept);
    hold(holds, format!("{key}.prevent.concept"), why)
}

/// Each state has a file of its own, also where letters' case does not count.
fn state_ids(w: &Written) -> Checked {
    let mut files = HashSet::from([BASE.to_string()]);
    for c in &w.conditions {
        for seed in 1..=c.seeds.unwrap_or(1) {
            let file = state_id(&c.name, c.data.is_some(), seed);
            let why = format!("gives the state id `{file}`, which is another's (capitals do not count, and fine-tunes end in -s1, -s2, ...); rename the condition");
            hold(files.insert(file.to_lowercase()), format!("condition.{}.name", c.name), why)?;
        }
    }
    Ok(())
}

fn roles(w: &Written) -> Checked {
    let r = &w.roles;
    let roles = [
        ("roles.reference", &r.reference),
        ("roles.focus", &r.focus),
        ("roles.neutral", &r.neutral),
    ];
    for (key, name) in roles.iter().filter_map(|&(key, name)| Some((key, name.as_ref()?))) {
        let known = name == BASE || w.conditions.iter().any(|c| c.name == *name);
        let all: Vec<&str> = w.conditions.iter().map(|c| c.name.as_str()).collect();
        let all = all.join(", ");
        hold(known, key, format!("`{name}` is no condition of the study; there are {all}"))?;
    }
    for (key, name) in &roles[1..] {
        let why = "is `base`, to which nothing was done; name a condition";
        hold(name.as_deref() != Some(BASE), *key, why)?;
    }
    let why = "is the focus itself; name another condition to compare it with";
    let reference = r.reference.as_deref().unwrap_or(BASE);
    hold(r.focus.as_deref() != Some(reference), "roles.reference", why)
}

fn causal(w: &Written, c: &Causal) -> Checked {
    once("causal.ablate", &c.ablate)?;
    for name in &c.ablate {
        let known = w.concepts.coupled().contains(&name) || w.concepts.placebos.contains(name);
        let why = format!("holds `{name}`, which is no concept of the study; add it to concepts");
        hold(known, "causal.ablate", why)?;
    }
    within("causal.fine_tunes", c.fine_tunes.unwrap_or(1), 1, 100)?;
    within("causal.random", c.random, 0, 1000)?;
    within("causal.permuted", c.permuted, 0, 1000)?;
    let why = format!(
        "and causal.permuted are {} together, and a direction is read against at least 2; give either",
        c.random + c.permuted
    );
    hold(c.random + c.permuted >= 2, "causal.random", why)?;
    within("causal.dose_controls", c.dose_controls.unwrap_or(2), 2, 1000)?;
    let (n, whole) = (c.prompts.unwrap_or(1), w.sizes.prompts);
    part("causal.prompts", n, 1, "prompts", whole)?;
    let (n, whole) = (c.claim_prompts.unwrap_or(1), w.sizes.claim_prompts);
    part("causal.claim_prompts", n, 1, "claim_prompts", whole)?;
    once("causal.placebos", &c.placebos)?;
    among_placebos("causal.placebos", &c.placebos, w)?;
    let why = format!("holds {} doses; give 1 to 100", c.alphas.len());
    hold((1..=100).contains(&c.alphas.len()), "causal.alphas", why)?;
    for a in &c.alphas {
        let why = format!("holds {a}; doses are numbers from 1e-6 to {DOSE}, or negative, in units of the layer's RMS (no dose at all is always there)");
        // Not where it is NaN.
        hold((1e-6..=DOSE).contains(&a.abs()), "causal.alphas", why)?;
    }
    once("causal.alphas", &c.alphas)
}

/// A number of what `sizes.{of}` is the whole of.
fn part(key: &str, n: usize, least: usize, of: &str, whole: usize) -> Checked {
    within(key, n, least, MANY)?;
    let why = format!("is {n}, more than sizes.{of} = {whole}; give fewer, or raise that");
    hold(n <= whole, key, why)
}

fn trajectory(w: &Written, t: &Trajectory) -> Checked {
    let condition = t.condition.as_ref().or(w.roles.focus.as_ref());
    let reference = t.reference.as_ref().or(w.roles.reference.as_ref());
    for (key, name) in [("trajectory.condition", condition), ("trajectory.reference", reference)] {
        let why = "is not there, and no role says it; name a condition that is fine-tuned";
        let name = name.ok_or_else(|| fault(key, why))?;
        let tuned = |c: &WrittenCondition| &c.name == name && c.data.is_some();
        let why = format!("`{name}` is no condition that the study fine-tunes");
        hold(w.conditions.iter().any(tuned), key, why)?;
    }
    let why = "is the condition itself; name another one to hold it against";
    hold(condition != reference, "trajectory.reference", why)?;
    within("trajectory.checkpoints", t.checkpoints, 3, 1000)?;
    part("trajectory.pairs", t.pairs, 8, "pairs", w.sizes.pairs)?;
    let (prompts, claims) = (w.sizes.prompts, w.sizes.claim_prompts);
    part("trajectory.prompts", t.prompts, 1, "prompts", prompts)?;
    part("trajectory.prompts", t.prompts, 1, "claim_prompts", claims)
}

#[cfg(test)]
#[path = "bounds_tests.rs"]
mod tests;
