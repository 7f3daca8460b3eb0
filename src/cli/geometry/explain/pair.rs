//! The cosine of two concepts, told with everything that belongs to it.

use super::results::{layer_place, place, Results};
use super::told::{with_ends, Told};
use super::ExplainArgs;
use crate::geometry::warning::{warnings, PairNumbers};
use crate::geometry_tables::GROUP;
use crate::store::{AttrValue, NamedArray, Values};
use anyhow::{bail, Result};
use serde_json::json;
use std::collections::BTreeMap;

/// The cosine of two concepts with all that belongs to it.
pub fn pair(results: &Results, args: &ExplainArgs) -> Result<Told> {
    let cosine = results.reader.array("geometry/cosine")?;
    let [states, concepts, _, layers] = &cosine.coords[..] else {
        bail!("geometry/cosine has other dimensions than state, concept, concept, layer");
    };
    let asked = |i: usize| args.concepts.get(i).map(String::as_str);
    if args.concepts.len() == 1 {
        bail!("a cosine has two concepts; write --concepts A,B");
    }
    let pair_of_interest: Option<Vec<String>> = match results.reader.attr(GROUP, "pair") {
        Ok(AttrValue::Texts(list)) => Some(list),
        _ => None,
    };
    let default = |i: usize| match &pair_of_interest {
        Some(list) => list.get(i).cloned().unwrap_or_default(),
        None => concepts.label(i),
    };
    let a = place("concept", concepts, Some(asked(0).unwrap_or(&default(0))))?;
    let b = place("concept", concepts, Some(asked(1).unwrap_or(&default(1))))?;
    let state = place("state", states, args.state.as_deref())?;
    let layer = layer_place(layers, args.layer)?;
    let names = [concepts.label(a), concepts.label(b)];
    let designated = names == [default(0), default(1)] || names == [default(1), default(0)];

    // Arrays by their dimensions; NaN where the file lacks one.
    let at = |name: &str, index: &[usize]| -> f64 {
        let array = results.geometry(name);
        let value = array.and_then(|x| x.data.get(index).copied());
        value.unwrap_or(f64::NAN)
    };
    let four = |name: &str| at(name, &[state, a, b, layer]);
    let two = |name: &str| at(name, &[state, layer]);
    let of = |name: &str, c: usize| at(name, &[state, c, layer]);
    let count = |name: &str, c: usize| -> Option<usize> {
        let n = at(name, &[c]);
        n.is_finite().then_some(n as usize)
    };
    let group = |name: &str| results.attr(GROUP, name);

    let mut told = Told::default();
    let (state_name, layer_name) = (states.label(state), layers.label(layer));
    let value = four("cosine");
    told.lines.push(format!(
        "cosine of {} and {} in {state_name}, layer {layer_name}: {}",
        names[0],
        names[1],
        with_ends(value, four("ci_lo"), four("ci_hi"))
    ));
    told.json.insert("number".into(), "geometry/cosine".into());
    told.json.insert("state".into(), state_name.into());
    told.json.insert("concepts".into(), json!(names));
    told.json.insert("layer".into(), layer_name.into());
    told.json.insert(
        "value".into(),
        json!({ "cosine": value, "lo": four("ci_lo"), "hi": four("ci_hi") }),
    );
    told.notes(results, "geometry/cosine");
    let how = [("estimator", "directions by"), ("position", "read at")]
        .into_iter()
        .filter_map(|(name, word)| Some(format!("{word} {}", group(name)?)));
    let how: Vec<String> = how.collect();
    if !how.is_empty() {
        told.say("read", how.join(", "));
    }
    let counted: Vec<String> = [a, b]
        .into_iter()
        .map(|c| match (count("n_pairs", c), count("n_prompts", c)) {
            (Some(pairs), Some(prompts)) => {
                format!("{}: {pairs} pairs of {prompts} prompts", concepts.label(c))
            }
            _ => format!("{}: number of pairs not recorded", concepts.label(c)),
        })
        .collect();
    let neutral = group("n_neutral").map_or(String::new(), |n| format!("; {n} neutral texts"));
    told.say(
        "n",
        format!(
            "{}{neutral}; the prompt is the unit, 1 model",
            counted.join("; ")
        ),
    );
    if let Some(draws) = group("draws") {
        told.say(
            "draws",
            format!("{draws} bootstrap draws, shared by all states and layers"),
        );
    }
    let (r, s) = (of("reliability", a), of("reliability", b));
    if r.is_finite() && s.is_finite() {
        told.say(
            "ceiling",
            format!(
                "reliabilities {r:.2} and {s:.2}: a cosine of 1 would be measured as {:.2}",
                (r * s).sqrt()
            ),
        );
    }
    told.say(
        "relative",
        format!(
            "{} to that ceiling: the cosine that infinitely many pairs would show",
            with_ends(four("relative"), four("relative_lo"), four("relative_hi"))
        ),
    );
    if four("cleaned").is_finite() {
        let nuisances = group("nuisances");
        let nuisances = nuisances.unwrap_or_else(|| "the nuisances".into());
        told.say(
            "cleaned",
            format!(
                "{} with {nuisances} projected out",
                with_ends(four("cleaned"), four("cleaned_lo"), four("cleaned_hi"))
            ),
        );
    }
    told.say(
        "whitened",
        format!(
            "{} by the layer's covariance on neutral texts",
            with_ends(four("whitened"), four("whitened_lo"), four("whitened_hi"))
        ),
    );
    let over_layers = |name: &str| match two(name) {
        p if designated && p.is_finite() => format!(", over layers {p:.4}"),
        _ => String::new(),
    };
    told.say(
        "null",
        format!(
            "labels of both flipped: band [{:.3}, {:.3}], p {:.4}, q {:.4}{}{}",
            four("null_flip_lo"),
            four("null_flip_hi"),
            four("p_flip"),
            four("q_flip"),
            over_layers("p_flip_max"),
            group("flips").map_or(String::new(), |n| format!(", {n} flips"))
        ),
    );
    let one = (four("p_flip_one"), at("p_flip_one", &[state, b, a, layer]));
    if one.0.is_finite() {
        told.say(
            "null",
            format!(
                "labels of {} alone flipped: p {:.4}; of {} alone: p {:.4}",
                names[0], one.0, names[1], one.1
            ),
        );
    }
    told.say(
        "null",
        format!(
            "random directions of the layer in the place of {}: band [{:.3}, {:.3}], p {:.4}, q {:.4}{}",
            names[0],
            of("null_random_lo", b),
            of("null_random_hi", b),
            four("p_random"),
            four("q_random"),
            over_layers("p_random_max")
        ),
    );
    if let Some(reach) = group("isotropic_hi").and_then(|v| v.parse::<f64>().ok()) {
        told.say(
            "null",
            format!("isotropic directions, too easy: |cosine| below {reach:.3}"),
        );
    }
    let placebos = group("placebos");
    let cosines = placebos.as_ref().map(|p| 2 * p.split(", ").count());
    if designated && two("p_placebo").is_finite() {
        told.say(
            "null",
            format!(
                "placebo concepts ({}): band [{:.3}, {:.3}], p {:.4}{}",
                placebos.unwrap_or_default(),
                two("null_placebo_lo"),
                two("null_placebo_hi"),
                two("p_placebo"),
                over_layers("p_placebo_max")
            ),
        );
    }
    change(results, &cosine, &mut told, &args.state, layer, designated);
    let pair = PairNumbers {
        concepts: [&names[0], &names[1]],
        reliability: [r, s],
        effective_rank: [of("effective_rank", a), of("effective_rank", b)],
        clusters: [a, b].map(|c| count("n_prompts", c).unwrap_or(0)),
        no_relative_interval: four("relative_lo").is_nan(),
        placebos: cosines.filter(|_| designated),
        p: [four("p_random"), four("p_flip")],
    };
    for doubt in warnings(&pair) {
        told.say("warning", doubt.to_string());
    }
    Ok(told)
}

/// The change of the pair of interest in this state, from the table of changes.
fn change(
    results: &Results,
    cosine: &NamedArray<f64>,
    told: &mut Told,
    state: &Option<String>,
    layer: usize,
    designated: bool,
) {
    let (Some(state), true) = (state, designated) else {
        return;
    };
    let Ok(columns) = results.reader.table("geometry/changes") else {
        return;
    };
    let columns: BTreeMap<String, Values> = columns.into_iter().collect();
    let layer = cosine.coords[3].label(layer);
    let text = |name: &str, row: usize| columns.get(name).map(|c| c.label(row)).unwrap_or_default();
    let number = |name: &str, row: usize| match columns.get(name) {
        Some(Values::Real(v)) => v.get(row).copied().unwrap_or(f64::NAN),
        _ => f64::NAN,
    };
    // A study compares conditions, whose states carry a seed.
    let condition = match state.rsplit_once("-s") {
        Some((name, seed)) if seed.parse::<u64>().is_ok() => name,
        _ => state,
    };
    for row in 0..columns.get("layer").map_or(0, Values::len) {
        let set = text("set", row);
        if (set == *state || set == condition) && text("layer", row) == layer {
            told.say(
                "change",
                format!(
                    "{} form, less {}: {}, p {:.4}, over layers {:.4}; {} and {} model(s)",
                    text("form", row),
                    text("reference", row),
                    with_ends(
                        number("change", row),
                        number("ci_lo", row),
                        number("ci_hi", row)
                    ),
                    number("p", row),
                    number("p_max", row),
                    text("n_set", row),
                    text("n_reference", row)
                ),
            );
        }
    }
}
