//! Effects of edits among all of their controls, as they are and matched in impact.

use super::{counts, estimate, numbered, Drawing};
use crate::analysis::findings::cause::is_control;
use crate::analysis::records::{distinct, AblationRow, Results, SlopeRow};
use crate::figures::forest::{ForestData, ForestPanel, ForestRow};
use crate::figures::{forest, Estimate, FigureError};

/// Draws what this file holds.
pub fn draw(d: &mut Drawing) -> Result<(), FigureError> {
    let mut all = ablations(d.r);
    let names: Vec<String> = all.iter().map(|data| data.name.clone()).collect();
    for (i, data) in all.iter_mut().enumerate() {
        let before = names[..i].iter().filter(|name| **name == names[i]).count();
        data.name = numbered(&names[i], before);
        d.keep(forest::draw(data, &d.concepts, d.out))?;
    }
    d.keep(forest::draw(&slopes(d.r), &d.concepts, d.out))
}

const AS_IS: &str = "as is";

/// An edit under test, or a control of one.
struct Effect<'a> {
    edit: &'a str,
    kind: &'a str,
    concept: &'a str,
    family: &'a str,
    value: Estimate,
    inside: bool,
    /// Number of random and of permuted controls, and p among them.
    among: [(usize, f64); 2],
}

impl<'a> Effect<'a> {
    fn of_ablation(a: &'a AblationRow) -> Self {
        Effect {
            edit: &a.edit,
            kind: &a.kind,
            concept: &a.concept,
            family: &a.family,
            value: estimate(a.estimate, a.lo, a.hi),
            inside: a.inside,
            among: [(a.random, a.p), (a.permuted, a.p_permuted)],
        }
    }

    /// A record of slopes names the directions of permuted labels after those that they are controls of.
    fn of_slope(s: &'a SlopeRow) -> Self {
        Effect {
            edit: &s.direction,
            kind: &s.kind,
            concept: s.direction.split("-permuted-").next().unwrap_or(&s.direction),
            family: &s.family,
            value: estimate(s.estimate, s.lo, s.hi),
            inside: true,
            among: [(s.random, s.p), (s.permuted, s.p_permuted)],
        }
    }

    /// Whether `control`, of a kind and family, is one of those that this effect is counted among.
    fn counts(&self, control: &Effect, kind: &str, family: &str) -> bool {
        control.kind == kind
            && control.family == family
            && (kind == "random" || control.concept == self.concept)
            && (family == AS_IS || control.edit.ends_with(&format!("({} matched)", self.edit)))
    }
}

/// The rows of every effect under test: itself, then each kind of control of each family.
fn rows(effects: &[Effect], called: &str) -> Vec<ForestRow> {
    let mut out: Vec<ForestRow> = Vec::new();
    for e in effects.iter().filter(|e| !is_control(e.kind) && e.kind != "none") {
        let matched = e.family != AS_IS;
        let group = e.edit.to_owned();
        let row = |name: String, estimate: Estimate| ForestRow {
            group: group.clone(),
            name,
            of: String::new(),
            estimate,
            hollow: false,
            null: (f64::NAN, f64::NAN),
            controls: Vec::new(),
            text: String::new(),
        };
        let own = ForestRow {
            of: e.concept.to_owned(),
            hollow: !e.inside,
            ..row(if matched { format!("{called}, matched part") } else { called.into() }, e.value)
        };
        // The part that controls are matched to is the whole unless that is beyond the guards.
        let same = |r: &ForestRow| {
            r.group == own.group && r.estimate.value == own.estimate.value && r.of == own.of
        };
        if !out.iter().any(same) {
            out.push(own);
        }
        for ((kind, name), (n, p)) in
            [("random", "random"), ("permuted", "label-permuted")].into_iter().zip(e.among)
        {
            let controls: Vec<f64> = (effects.iter())
                .filter(|c| e.counts(c, kind, e.family))
                .map(|c| c.value.value)
                .filter(|v| !v.is_nan())
                .collect();
            if n == 0 || controls.is_empty() {
                continue;
            }
            let matched = if matched { ", matched" } else { "" };
            out.push(ForestRow {
                controls,
                text: if p.is_nan() { String::new() } else { format!("p = {p:.3}") },
                ..row(format!("{n} {name}{matched}"), Estimate::MISSING)
            });
        }
    }
    out
}

/// What each edit removes, a figure a comparison and question, against both kinds of reference.
fn ablations(r: &Results) -> Vec<ForestData> {
    let comparisons = distinct(r.ablation.iter().map(|a| (&*a.set, &*a.reference, &*a.asked)));
    comparisons.into_iter().map(|of| ablation(r, of)).collect()
}

fn ablation(r: &Results, (set, reference, asked): (&str, &str, &str)) -> ForestData {
    let all: Vec<&AblationRow> = (r.ablation.iter())
        .filter(|a| (&*a.set, &*a.reference, &*a.asked) == (set, reference, asked))
        .collect();
    let named = |name: &str| all.iter().any(|a| a.preference == name);
    let preference = match all.first() {
        Some(a) if asked == "claim" => a.preference.as_str(),
        _ if named("isolated") => "isolated",
        _ => "all",
    };
    let own: Vec<&&AblationRow> = all.iter().filter(|a| a.preference == preference).collect();
    let what = match (asked, preference) {
        ("claim", claim) => format!("the claim {claim}"),
        (_, which) => format!("{which} preferences"),
    };
    let panel = |(against, title): (&str, &str)| {
        let effects: Vec<Effect> =
            (own.iter().filter(|a| a.against == against)).map(|a| Effect::of_ablation(a)).collect();
        let (rows, bound) = (rows(&effects, "removed"), f64::NAN);
        let x_label = "shift removed (nats a token)".into();
        ForestPanel { title: title.into(), x_label, bound, rows }
    };
    let panels = [
        ("edited", "a  Against the equally edited reference"),
        ("plain", "b  Mediation: against the reference as it is"),
    ];
    let total = own.iter().find(|a| a.total.is_finite() && a.total_lo.is_finite());
    let total = total.map_or(String::new(), |a| {
        format!(
            " The shift without an edit is {:+.3} [{:+.3}, {:+.3}].",
            a.total, a.total_lo, a.total_hi
        )
    });
    ForestData {
        name: if asked == "claim" { "ablation_claim" } else { "ablation" }.into(),
        title: format!("What ablations remove of {what}, among all controls"),
        caption: format!(
            "Shift of {what} between {set} and {reference}, n = {} items and {} + {} fine-tunes, less what is left when a direction is projected out at every layer and token.{total} Bars: 95 % over items and fine-tunes. Grey: each control, random directions of the layer's covariance or the concept's pairs with labels permuted, projected out in full or, matched, in the part that damages as much; p: (1 + those that remove as much) / (1 + all).",
            counts(own.iter().map(|a| a.n)),
            counts(own.iter().map(|a| a.fine_tunes)),
            counts(own.iter().map(|a| a.reference_fine_tunes)),
        ),
        hollow: "beyond the guards of side effects".into(),
        null: String::new(),
        controls: "one control direction".into(),
        panels: panels.map(panel).into_iter().filter(|p| !p.rows.is_empty()).collect(),
    }
}

/// Slopes of the dose responses, a panel a state, layer and question.
fn slopes(r: &Results) -> ForestData {
    let own: Vec<&SlopeRow> =
        r.slopes.iter().filter(|s| s.asked == "claim" || s.preference == "all").collect();
    let keys = distinct(own.iter().map(|s| (&*s.state, s.layer, &*s.asked, &*s.preference)));
    let panels = keys.into_iter().map(|(state, layer, asked, preference)| {
        let effects: Vec<Effect> = (own.iter())
            .filter(|s| {
                (&*s.state, s.layer, &*s.asked, &*s.preference) == (state, layer, asked, preference)
            })
            .map(|s| Effect::of_slope(s))
            .collect();
        let what = if asked == "claim" { preference } else { "all preferences" };
        ForestPanel {
            title: format!("{state}, layer {layer}: {what}"),
            x_label: "slope (nats a token a layer RMS)".into(),
            bound: f64::NAN,
            rows: rows(&effects, "slope"),
        }
    });
    let panels = panels.filter(|p| !p.rows.is_empty()).collect();
    ForestData {
        name: "dose_response".into(),
        title: "Dose responses among all controls".into(),
        caption: format!(
            "Change of stance a unit of dose of a direction added after one block, least squares through 0 over {} doses within the guards; n = {} items. Bars: 95 % bootstrap over items. Grey: each control, random directions of the layer's covariance or the concept's pairs with labels permuted, at the same doses or, matched, at the part that damages as much; p: (1 + those that are as steep) / (1 + all).",
            counts(own.iter().map(|s| s.doses)),
            counts(own.iter().map(|s| s.n)),
        ),
        hollow: String::new(),
        null: String::new(),
        controls: "one control direction".into(),
        panels,
    }
}
