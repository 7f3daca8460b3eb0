//! Preferences, claims and interventions as figure data.

use super::{counts, estimate, numbered, Drawing};
use crate::analysis::findings::cause::{ablated, is_control};
use crate::analysis::records::{distinct, AblationRow, DoseRow, Results};
use crate::analysis::BASE;
use crate::figures::behaviour::{BehaviourCell, BehaviourData, CellKind};
use crate::figures::causal::{Ablation, CausalData, DoseCurve};
use crate::figures::claims::ClaimsData;
use crate::figures::{behaviour, causal, claims, Estimate, FigureError};

/// Draws what this file holds.
pub fn draw(d: &mut Drawing) -> Result<(), FigureError> {
    let r = d.r;
    d.keep(behaviour::draw(&behaviour(r), &d.conditions, d.out))?;
    d.keep(claims::draw(&claims(r), d.out))?;
    for asked in ["preferences", "claim"] {
        for (i, mut data) in causal(r, asked).into_iter().enumerate() {
            data.name = numbered(&data.name, i);
            d.keep(causal::draw(&data, &d.concepts, d.out))?;
        }
    }
    Ok(())
}

/// Every preference of every condition against the reference.
pub fn behaviour(r: &Results) -> BehaviourData {
    let tuned = r.tuned();
    let reference = r.reference().unwrap_or(BASE);
    let of = |kind: &'static str| {
        r.contrasts
            .iter()
            .filter(move |c| c.measure == "log-odds" && c.kind == kind && c.reference == reference)
    };
    let own = of("preference").filter(|c| tuned.contains(&&*c.set));
    let conditions = distinct(own.clone().map(|c| c.set.as_str()));
    let pooled = of("isolated").filter(|c| conditions.contains(&&*c.set)).map(|c| BehaviourCell {
        group: "pooled".into(),
        preference: "isolated preferences".into(),
        condition: c.set.clone(),
        change: estimate(c.estimate, c.lo, c.hi),
        kind: CellKind::Pooled,
    });
    let all = of("isolated").filter(|c| conditions.contains(&&*c.set)).map(|c| c.n);
    let pooled_of = match all.clone().next() {
        None => String::new(),
        Some(_) => format!(" Pooled: over the {} items of isolated preferences.", counts(all)),
    };
    let single = own.clone().map(|c| BehaviourCell {
        group: c.group.clone(),
        preference: c.preference.clone(),
        condition: c.set.clone(),
        change: estimate(c.estimate, c.lo, c.hi),
        kind: match c.status.as_str() {
            "implied" => CellKind::Implied,
            _ => CellKind::Isolated,
        },
    });
    BehaviourData {
        name: "behaviour".into(),
        title: format!("Preferences by condition, against {reference}"),
        caption: format!(
            "Stance log-odds (expressing less opposing completion, nats a token) less those of {reference}, paired by item; n = {} items a preference; bars: 95 % over items and fine-tunes, of these fine-tunes alone where no condition has two. Hollow: the training text presupposes the preference.{}",
            counts(own.clone().map(|c| c.n)),
            pooled_of,
        ),
        x_label: format!("log-odds less {reference} (nats a token)"),
        cells: pooled.chain(single).collect(),
    }
}

/// Every condition on every claim, less base.
fn claims(r: &Results) -> ClaimsData {
    let tuned = r.tuned();
    let rows: Vec<_> =
        (r.claims.iter()).filter(|c| tuned.is_empty() || tuned.contains(&&*c.set)).collect();
    let conditions = distinct(rows.iter().map(|c| c.set.as_str()));
    let claims = distinct(rows.iter().map(|c| c.claim.as_str()));
    let at = |set: &str, claim: &str| rows.iter().find(|c| c.set == set && c.claim == claim);
    let score = |set: &str| {
        let cell = |claim: &&str| {
            at(set, claim).map_or(Estimate::MISSING, |c| estimate(c.estimate, c.lo, c.hi))
        };
        claims.iter().map(cell).collect()
    };
    let own = |set: &&str| claims.iter().position(|c| at(set, c).is_some_and(|row| row.own));
    ClaimsData {
        name: "claims".into(),
        title: "Manipulation check: each condition on each claim".into(),
        caption: format!(
            "Stance log-odds of each condition's claim less those of base, nats a token; n = {} items a claim, mean over fine-tunes.",
            counts(rows.iter().map(|c| c.n)),
        ),
        value_label: "log-odds less base".into(),
        score: conditions.iter().map(|c| score(c)).collect(),
        own: conditions.iter().map(own).collect(),
        conditions: conditions.iter().map(|c| (*c).to_owned()).collect(),
        claims: claims.iter().map(|c| (*c).to_owned()).collect(),
    }
}

/// Doses and ablations of what was asked, `preferences` or `claim`: one figure a comparison.
fn causal(r: &Results, asked: &str) -> Vec<CausalData> {
    let doses: Vec<&DoseRow> = (r.doses.iter())
        .filter(|d| d.asked == asked && (asked == "claim" || d.preference == "all"))
        .filter(|d| d.family == "as is")
        .collect();
    let first = doses.first().map(|d| (d.state.as_str(), d.layer));
    let doses: Vec<&DoseRow> =
        (doses.into_iter()).filter(|d| Some((d.state.as_str(), d.layer)) == first).collect();
    let left = match first {
        None => String::new(),
        Some((state, layer)) => format!(
            "Left: {state} with a dose of a direction added at layer {layer}, in layer RMS: change of the stance, mean over {} items; bands: 95 % bootstrap over items; hollow: beyond the guards of side effects; grey: controls, random directions of the layer's covariance and the concept's pairs with labels permuted. ",
            counts(doses.iter().map(|d| d.n)),
        ),
    };
    let name = match asked {
        "claim" => "causal_claim",
        _ => "causal",
    };
    let mut comparisons = ablated(r, asked);
    if comparisons.is_empty() {
        comparisons.push(Vec::new());
    }
    let figure = |rows: &Vec<&AblationRow>| CausalData {
        name: name.into(),
        title: match (asked, rows.first()) {
            ("claim", Some(a)) => {
                format!("Adding and removing directions: the claim {}", a.preference)
            }
            ("claim", None) => "Adding directions: the claim".into(),
            (_, None) => "Adding directions: preferences".into(),
            _ => "Adding and removing directions: preferences".into(),
        },
        caption: left.clone() + &right(rows),
        score_label: "change of stance log-odds (nats a token)".into(),
        remaining_label: "shift remaining (nats a token)".into(),
        doses: curves(&doses),
        ablations: remaining(rows),
    };
    comparisons.iter().map(figure).collect()
}

/// What the right panel shows, in words.
fn right(rows: &[&AblationRow]) -> String {
    let Some(a) = rows.first() else {
        return String::new();
    };
    let of = match (a.asked.as_str(), a.preference.as_str()) {
        ("claim", name) => format!("the claim {name}"),
        (_, "isolated") => "isolated preferences".into(),
        _ => "all preferences".into(),
    };
    format!(
        "Right: shift of {} ({} fine-tunes) against {} ({}) over {} items of {of}, with directions projected out of both at every layer; bars: 95 % over items and fine-tunes; grey: each control, a random direction or the concept's pairs with labels permuted.",
        a.set, a.fine_tunes, a.reference, a.reference_fine_tunes, a.n,
    )
}

fn curves(doses: &[&DoseRow]) -> Vec<DoseCurve> {
    let names = distinct(doses.iter().map(|d| d.direction.as_str()));
    let curve = |name: &str| {
        let mut points: Vec<(f64, Estimate, bool)> = (doses.iter())
            .filter(|d| d.direction == name)
            .map(|d| (d.dose, estimate(d.estimate, d.lo, d.hi), d.inside))
            .collect();
        if points.iter().all(|p| p.0 != 0.0) {
            points.push((0.0, Estimate::new(0.0, 0.0, 0.0), true));
        }
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        DoseCurve {
            direction: name.into(),
            random: doses.iter().any(|d| d.direction == name && is_control(&d.kind)),
            alpha: points.iter().map(|p| p.0).collect(),
            score: points.iter().map(|p| p.1).collect(),
            inside: points.iter().map(|p| p.2).collect(),
        }
    };
    names.into_iter().map(curve).collect()
}

fn remaining(rows: &[&AblationRow]) -> Vec<Ablation> {
    let drawn = |kind: &str| rows.iter().filter(|a| a.kind == kind).count();
    let each = rows.iter().map(|a| Ablation {
        group: match a.asked.as_str() {
            "claim" => format!("claim {}", a.preference),
            asked => asked.into(),
        },
        edit: match a.kind.as_str() {
            "none" => "no edit".into(),
            control if is_control(control) => format!("{control} ({})", drawn(control)),
            _ => a.edit.clone(),
        },
        random: is_control(&a.kind),
        // The spread of the dots is the null; their own intervals are in the table.
        remaining: match a.kind.as_str() {
            control if is_control(control) => Estimate::point(a.left),
            _ => estimate(a.left, a.left_lo, a.left_hi),
        },
    });
    each.collect()
}
