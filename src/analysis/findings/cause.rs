//! What was found of ablations and doses, of order in time, and of links over conditions.

use super::behaviour::ISOLATED;
use super::{family, of, unit, without};
use crate::analysis::records::*;
use crate::analysis::verdict::{self, Test};
use crate::stats::Interval;

const AS_IS: &str = "as is";

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

/// Whether an edit of this kind is a control that others are counted among.
pub fn is_control(kind: &str) -> bool {
    matches!(kind, "random" | "permuted")
}

/// The rows of one outcome under each edit as it is, in the order of the record: what figures and findings
/// of an ablation are made from.
pub fn ablated<'a>(r: &'a Results, asked: &str) -> Vec<Vec<&'a AblationRow>> {
    let own = |a: &&AblationRow| a.asked == asked && a.against == "edited" && a.family == AS_IS;
    let rows = || r.ablation.iter().filter(own);
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
            // Total and side effects once an edit.
            let controls: Vec<&&AblationRow> =
                rows.iter().filter(|a| is_control(&a.kind)).collect();
            let range = |of: &dyn Fn(&AblationRow) -> f64| {
                let values = controls.iter().map(|a| of(a)).filter(|v| !v.is_nan());
                let none = (f64::NAN, f64::NAN);
                values.fold(none, |(lo, hi), v| (v.min(lo), v.max(hi)))
            };
            let own: Vec<&&AblationRow> = rows.iter().filter(|a| !is_control(&a.kind)).collect();
            let compared: Vec<Compared> = own.iter().map(|a| Compared::ablation(r, a)).collect();
            let tests = tests(own.iter().map(|a| &*a.kind).zip(&compared));
            for ((a, compared), test) in own.into_iter().zip(&compared).zip(tests) {
                let row = FindingRow {
                    subject: a.edit.clone(),
                    outcome: outcome(&a.asked, &a.preference),
                    form: a.kind.clone(),
                    unit: unit("log-odds").into(),
                    note: format!("{} + {} fine-tunes", a.fine_tunes, a.reference_fine_tunes),
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
                out.push(removed(a, (compared, in_part(r, a)), test, banded));
                if a.kl.is_finite() {
                    let (null_lo, null_hi) = range(&|x| x.kl);
                    out.push(FindingRow {
                        quantity: "side-effects".into(),
                        estimate: a.kl,
                        null: Compared::of([ablation(a)]).null(),
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

/// Every p of one edit: a name of the controls, their number, and p among them.
struct Compared(Vec<(String, usize, f64)>);

/// A family of controls, with the number of random and of permuted directions and p among them.
type Among<'a> = (&'a str, [(usize, f64); 2]);

fn ablation(a: &AblationRow) -> Among<'_> {
    (&a.family, [(a.random, a.p), (a.permuted, a.p_permuted)])
}

/// What rows of one edit have in common in every family.
fn ablation_key(a: &AblationRow) -> [&str; 6] {
    [&a.set, &a.reference, &a.asked, &a.preference, &a.edit, &a.against]
}

fn slope(s: &SlopeRow) -> Among<'_> {
    (&s.family, [(s.random, s.p), (s.permuted, s.p_permuted)])
}

impl Compared {
    fn of<'a>(families: impl IntoIterator<Item = Among<'a>>) -> Self {
        let each = families.into_iter().flat_map(|(family, both)| {
            let matched = if family == AS_IS { "" } else { " matched in impact" };
            let kinds = ["random", "label-permuted"].into_iter().zip(both);
            kinds.map(move |(kind, (n, p))| (format!("{kind} directions{matched}"), n, p))
        });
        Compared(each.filter(|c| c.1 > 0 && !c.2.is_nan()).collect())
    }

    /// The controls in words.
    fn null(&self) -> String {
        let each: Vec<String> = self.0.iter().map(|(kind, n, _)| format!("{n} {kind}")).collect();
        each.join(", ")
    }

    /// One edit among its controls, in every family.
    fn ablation(r: &Results, a: &AblationRow) -> Self {
        let same = |x: &&AblationRow| ablation_key(x) == ablation_key(a);
        Compared::of(r.ablation.iter().filter(same).map(ablation))
    }

    /// One slope among those of its controls, in every family.
    fn slope(r: &Results, s: &SlopeRow) -> Self {
        let key = |x: &SlopeRow| {
            let names = [&x.state, &x.asked, &x.preference, &x.direction].map(String::clone);
            (names, x.layer)
        };
        Compared::of(r.slopes.iter().filter(|x| key(x) == key(s)).map(slope))
    }

    /// The largest least p of any: what all of them could give at best.
    fn least(&self) -> f64 {
        self.0.iter().map(|c| verdict::least_of_draws(c.1)).fold(f64::NAN, f64::max)
    }

    /// The largest: a conclusion needs every family and kind.
    fn p(&self) -> f64 {
        self.0.iter().map(|c| c.2).fold(f64::NAN, f64::max)
    }

    /// Each p, where there are several.
    fn note(&self) -> Option<String> {
        let each = self.0.iter().map(|(kind, _, p)| format!("{p:.3} among {kind}"));
        (self.0.len() > 1).then(|| format!("p {}", each.collect::<Vec<_>>().join(", ")))
    }
}

/// Tests of edits, each with its kind: those of concepts are one family, a placebo stands alone.
fn tests<'a>(edits: impl Iterator<Item = (&'a str, &'a Compared)>) -> Vec<Test> {
    let edits: Vec<_> = edits.map(|(kind, c)| (kind, c.p(), c.least())).collect();
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

/// The same edit in the part that its controls are matched to, where that is not the whole.
fn in_part<'a>(r: &'a Results, a: &AblationRow) -> Option<&'a AblationRow> {
    let part = |x: &&AblationRow| {
        ablation_key(x) == ablation_key(a) && x.family != a.family && x.kl != a.kl
    };
    r.ablation.iter().find(part)
}

/// What one edit removes of the shift: more than its controls do, shown to be under a third of it, or
/// neither.
fn removed(
    a: &AblationRow,
    (compared, part): (&Compared, Option<&AblationRow>),
    test: Test,
    row: FindingRow,
) -> FindingRow {
    let mut notes = vec![format!(
        "of a shift of {:+.3} it leaves {:+.3} [{:+.3}, {:+.3}]",
        a.total, a.left, a.left_lo, a.left_hi
    )];
    if a.share.is_finite() {
        notes.push(format!("a share of {:.0} %", 100.0 * a.share));
    }
    notes.extend(compared.note());
    notes.extend(part.map(|p| {
        format!(
            "the part of it that is matched costs {:.2} nats a token and removes {:+.3} [{:+.3}, {:+.3}]",
            p.kl, p.estimate, p.lo, p.hi
        )
    }));
    notes.push(row.note.clone());
    let total = Interval { lo: a.total_lo, hi: a.total_hi };
    let thirds = [(a.less_third_lo, a.less_third_hi), (a.plus_third_lo, a.plus_third_hi)];
    let little = verdict::carries_little(total, thirds.map(|(lo, hi)| Interval { lo, hi }));
    let row = row.estimated(a.estimate, (a.lo, a.hi), unit("log-odds")).tested(compared.p(), test);
    let verdict = match (&*row.verdict, little) {
        (verdict::HIGHER | verdict::LOWER, _) => "more",
        (_, true) => verdict::EQUIVALENT,
        (other, false) => other,
    };
    let (verdict, null, note) = (verdict.into(), compared.null(), notes.join("; "));
    FindingRow { verdict, null, note, ..row }
}

/// Dose response of concepts and placebos.
pub fn slopes(r: &Results, out: &mut Vec<FindingRow>) {
    let together = |s: &&SlopeRow| {
        !is_control(&s.kind)
            && s.family == AS_IS
            && (s.asked != "preferences" || matches!(&*s.preference, "all" | "isolated"))
    };
    let own: Vec<&SlopeRow> = r.slopes.iter().filter(together).collect();
    let compared: Vec<Compared> = own.iter().map(|s| Compared::slope(r, s)).collect();
    let tests = tests(own.iter().map(|s| &*s.kind).zip(&compared));
    out.extend(own.into_iter().zip(&compared).zip(tests).map(|((s, compared), test)| {
        let inside = format!("{} doses within the guards", s.doses);
        FindingRow {
            set: s.state.clone(),
            subject: s.direction.clone(),
            outcome: outcome(&s.asked, &s.preference),
            form: s.kind.clone(),
            null: compared.null(),
            note: compared.note().map_or(inside.clone(), |p| format!("{inside}; {p}")),
            ..of::<SlopeRow>("dose-response")
                .estimated(s.estimate, (s.lo, s.hi), "nats a token a layer RMS")
                .tested(compared.p(), test)
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
        note: match h.change_lo.is_nan() || h.change_hi.is_nan() {
            true => format!("final change {:+.3} (no interval)", h.change),
            false => {
                format!("final change {:+.3} [{:+.3}, {:+.3}]", h.change, h.change_lo, h.change_hi)
            }
        },
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
    let known =
        |l: &&LinkRow| l.layer.is_nan() || reported.iter().any(|&layer| layer as f64 == l.layer);
    let own = r.links.iter().filter(|l| l.cells == "isolated").filter(known);
    out.extend(own.map(|l| {
        let mut row = FindingRow {
            subject: l.subject.clone(),
            layer: l.layer,
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
                .estimated(l.estimate, (l.lo, l.hi), "Pearson's r")
                .tested(l.p, Test { p: l.p_max, least: l.least_p })
                .counted(l.n, "conditions")
        };
        row.noted(&without(&l.left_out));
        row
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
