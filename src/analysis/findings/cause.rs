//! What was found of ablations and doses, of order in time, and of links over conditions.

use super::behaviour::ISOLATED;
use super::{family, of, unit};
use crate::analysis::records::*;
use crate::analysis::verdict::{self, Test};
use crate::stats::Interval;

/// What a row of the causal part was asked of, in words.
fn outcome(asked: &str, preference: &str) -> String {
    match (asked, preference) {
        ("preferences", "isolated") => ISOLATED.into(),
        ("preferences", "all" | "") => "all preferences".into(),
        (_, name) => name.into(),
    }
}

/// Rows of an ablation over everything that was asked together: isolated preferences where there are
/// such, else all; or the claim.
fn together<'a>(rows: &[&'a AblationRow]) -> Vec<&'a AblationRow> {
    let of = |name: &str| -> Vec<&'a AblationRow> {
        rows.iter().copied().filter(|a| a.preference == name).collect()
    };
    match rows.first() {
        Some(a) if a.asked == "claim" => rows.to_vec(),
        _ => Some(of("isolated")).filter(|v| !v.is_empty()).unwrap_or_else(|| of("all")),
    }
}

/// The rows of one outcome under each edit, in the order of the record: what figures and findings of
/// an ablation are made from.
pub fn ablated<'a>(r: &'a Results, asked: &str) -> Vec<Vec<&'a AblationRow>> {
    let rows = || r.ablation.iter().filter(|a| a.asked == asked && a.against == "edited");
    let sets = distinct(rows().map(|a| (&*a.set, &*a.reference)));
    let of = |(set, reference): (&str, &str)| {
        let own: Vec<&AblationRow> =
            rows().filter(|a| a.set == set && a.reference == reference).collect();
        together(&own)
    };
    let all = sets.into_iter().map(of);
    all.filter(|v| !v.is_empty()).collect()
}

/// The shift without an edit, what each edit removes of it, and what the edit costs.
pub fn ablations(r: &Results, out: &mut Vec<FindingRow>) {
    for asked in ["preferences", "claim"] {
        for rows in ablated(r, asked) {
            let random: Vec<&&AblationRow> = rows.iter().filter(|a| a.kind == "random").collect();
            let range = |of: &dyn Fn(&AblationRow) -> f64| {
                let values = random.iter().map(|a| of(a)).filter(|v| !v.is_nan());
                let none = (f64::NAN, f64::NAN);
                values.fold(none, |(lo, hi), v| (v.min(lo), v.max(hi)))
            };
            let own: Vec<&&AblationRow> = rows.iter().filter(|a| a.kind != "random").collect();
            let tests = tests(own.iter().map(|a| (&*a.kind, a.p, a.random)));
            for (a, test) in own.into_iter().zip(tests) {
                let row = FindingRow {
                    subject: a.edit.clone(),
                    outcome: outcome(&a.asked, &a.preference),
                    form: a.kind.clone(),
                    unit: unit("log-odds").into(),
                    note: format!("{} + {} models", a.models, a.reference_models),
                    ..of::<AblationRow>("ablation")
                        .between(&a.set, &a.reference)
                        .counted(a.n, "items, and fine-tunes")
                };
                if a.kind == "none" {
                    out.push(FindingRow {
                        quantity: "ablation-total".into(),
                        subject: String::new(),
                        form: String::new(),
                        ..row.estimated(a.total, (a.total_lo, a.total_hi), unit("log-odds"))
                    });
                    continue;
                }
                let (null_lo, null_hi) = range(&|x| x.estimate);
                let banded = FindingRow { null_lo, null_hi, ..row.clone() };
                out.push(removed(a, &random, test, banded));
                if a.kl.is_finite() {
                    let (null_lo, null_hi) = range(&|x| x.kl);
                    out.push(FindingRow {
                        quantity: "side-effects".into(),
                        estimate: a.kl,
                        null: random_of(random.len()),
                        null_lo,
                        null_hi,
                        n: 0,
                        n_of: String::new(),
                        verdict: if a.inside { "inside" } else { "outside" }.into(),
                        note: format!("perplexity x {:.2}", a.perplexity_ratio),
                        ..row
                    });
                }
            }
        }
    }
}

/// Tests of edits, each its kind, p and number of random directions: those of concepts are one family, a
/// placebo stands alone.
fn tests<'a>(edits: impl Iterator<Item = (&'a str, f64, usize)>) -> Vec<Test> {
    let edits: Vec<_> = edits.map(|(k, p, n)| (k, p, verdict::least_of_draws(n))).collect();
    let of = |kind: &str| matches!(kind, "own" | "base" | "concept");
    let together: Vec<(f64, f64)> =
        edits.iter().filter(|e| of(e.0)).map(|&(_, p, least)| (p, least)).collect();
    let mut adjusted = family(&together).into_iter();
    let test = |(kind, p, least): (&str, f64, f64)| {
        let own = if of(kind) { adjusted.next() } else { None };
        own.unwrap_or(Test { p, least })
    };
    edits.into_iter().map(test).collect()
}

fn random_of(n: usize) -> String {
    match n {
        0 => String::new(),
        n => format!("{n} random directions of the layer's covariance"),
    }
}

/// What one edit removes of the shift: more than random directions do, shown to be under a third of it,
/// or neither.
fn removed(a: &AblationRow, random: &[&&AblationRow], test: Test, row: FindingRow) -> FindingRow {
    let towards = a.total.signum();
    let as_much = random.iter().filter(|x| x.estimate * towards >= a.estimate * towards).count();
    let mut notes = vec![format!(
        "of a shift of {:+.3} it leaves {:+.3} [{:+.3}, {:+.3}]",
        a.total, a.left, a.left_lo, a.left_hi
    )];
    if a.share.is_finite() {
        notes.push(format!("a share of {:.0} %", 100.0 * a.share));
    }
    if !random.is_empty() {
        notes.push(format!("{as_much} of the random directions remove at least as much"));
    }
    notes.push(row.note.clone());
    let total = Interval { lo: a.total_lo, hi: a.total_hi };
    let thirds = [(a.less_third_lo, a.less_third_hi), (a.plus_third_lo, a.plus_third_hi)];
    let little = verdict::carries_little(total, thirds.map(|(lo, hi)| Interval { lo, hi }));
    let row = row.estimated(a.estimate, (a.lo, a.hi), unit("log-odds")).tested(a.p, test);
    let verdict = match (&*row.verdict, little) {
        (verdict::HIGHER | verdict::LOWER, _) => "more",
        (_, true) => verdict::EQUIVALENT,
        (other, false) => other,
    };
    let (verdict, null, note) = (verdict.into(), random_of(random.len()), notes.join("; "));
    FindingRow { verdict, null, note, ..row }
}

/// Dose response of concepts and placebos.
pub fn slopes(r: &Results, out: &mut Vec<FindingRow>) {
    let together = |s: &&SlopeRow| {
        s.kind != "random"
            && (s.asked != "preferences" || matches!(&*s.preference, "all" | "isolated"))
    };
    let own: Vec<&SlopeRow> = r.slopes.iter().filter(together).collect();
    let tests = tests(own.iter().map(|s| (&*s.kind, s.p, s.random)));
    out.extend(own.into_iter().zip(tests).map(|(s, test)| {
        FindingRow {
            set: s.state.clone(),
            subject: s.direction.clone(),
            outcome: outcome(&s.asked, &s.preference),
            form: s.kind.clone(),
            null: random_of(s.random),
            note: format!("{} doses within the guards", s.doses),
            ..of::<SlopeRow>("dose-response")
                .estimated(s.estimate, (s.lo, s.hi), "nats a token a layer RMS")
                .tested(s.p, test)
                .counted(s.n, "items")
                .at(s.layer)
        }
    }));
}

/// When a quantity of the trajectory is half way, and whether it moves before the preferences.
pub fn trajectory(r: &Results, out: &mut Vec<FindingRow>) {
    let first = r.trajectory.first();
    let (set, reference) = first.map_or(("", ""), |t| (&*t.set, &*t.reference));
    out.extend(r.half_way.iter().map(|h| FindingRow {
        subject: h.subject.clone(),
        form: h.quantity.clone(),
        layer: h.layer,
        note: format!("final change {:+.3} [{:+.3}, {:+.3}]", h.change, h.change_lo, h.change_hi),
        ..of::<HalfWayRow>("half-way").between(set, reference).estimated(
            h.estimate,
            (h.lo, h.hi),
            "steps",
        )
    }));
    out.extend(r.leads.iter().map(|l| FindingRow {
        subject: l.subject.clone(),
        outcome: ISOLATED.into(),
        form: l.quantity.clone(),
        layer: l.layer,
        verdict: l.order.clone(),
        note: format!("first in {:.0} % of draws", 100.0 * l.earlier),
        ..of::<LeadRow>("lead").between(set, reference).estimated(
            l.estimate,
            (l.lo, l.hi),
            "ratio of steps",
        )
    }));
}

/// Correlations over conditions, and the order of the parts of a claim.
pub fn links(r: &Results, out: &mut Vec<FindingRow>) {
    let reported = r.reported();
    let own = r.links.iter().filter(|l| l.cells == "isolated" && reported.contains(&l.layer));
    out.extend(own.map(|l| {
        FindingRow {
            subject: l.subject.clone(),
            outcome: ISOLATED.into(),
            form: l.predictor.clone(),
            detectable: verdict::detectable_correlation(l.n),
            q: l.q,
            null: "conditions rearranged".into(),
            note: format!(
                "behaviour over {} preferences; without one condition {:+.2} to {:+.2}",
                l.preferences, l.least_without, l.most_without
            ) + &(Some(&l.carried_by).filter(|c| !c.is_empty()))
                .map_or(String::new(), |c| format!("; {c} carries it")),
            ..of::<LinkRow>("link")
                .estimated(l.estimate, (f64::NAN, f64::NAN), "Pearson's r")
                .tested(l.p, Test { p: l.p_max, least: l.least_p })
                .counted(l.n, "conditions")
                .at(l.layer)
        }
    }));
    let least = |k: &RankingRow| verdict::least_of_draws(k.arrangements.saturating_sub(1));
    let tests = family(&r.rankings.iter().map(|k| (k.p, least(k))).collect::<Vec<_>>());
    out.extend(r.rankings.iter().zip(tests).map(|(k, test)| {
        FindingRow {
            subject: k.subject.clone(),
            form: k.quantity.clone(),
            layer: k.layer,
            null: format!("{} arrangements of the conditions, one-sided", k.arrangements),
            note: k.conditions.clone(),
            ..of::<RankingRow>("ranking")
                .estimated(k.estimate, (f64::NAN, f64::NAN), "Spearman's rho")
                .tested(k.p, test)
                .counted(k.n, "conditions")
        }
    }));
}
