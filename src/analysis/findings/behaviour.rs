//! What was found of claims and preferences, fresh and in conversations.

use super::{family, of, unit, without};
use crate::analysis::behaviour::{missed, COMMON, CONTRAST, OUTCOMES};
use crate::analysis::records::*;
use crate::analysis::verdict::{self, Side, Test};
use crate::analysis::BASE;
use crate::stats::Interval;

/// Name of the outcome over all items of isolated preferences.
pub const ISOLATED: &str = "isolated preferences";
/// Note of a finding about a condition that did not take its claim.
pub const UNTAKEN: &str = "did not take its claim, so this is not the claim's";
/// What says nothing of what a condition's claim does, or says it already.
const OF_CLAIMS: [&str; 6] =
    ["untaken", "took", "own-claim", "auroc", "auroc-gain", "side-effects"];

/// Conditions or states that did not take their claim.
fn untaken(r: &Results) -> Vec<&TookRow> {
    let tuned = r.tuned();
    let known = |t: &&TookRow| tuned.is_empty() || tuned.contains(&&*t.set);
    r.took.iter().filter(known).filter(|t| !t.took).collect()
}

/// Which conditions did not take the claim that they were trained on, and how each stands.
pub fn took(r: &Results, out: &mut Vec<FindingRow>) {
    let not: Vec<&str> = untaken(r).into_iter().map(|t| &*t.set).collect();
    if !not.is_empty() {
        out.push(FindingRow {
            note: not.join(", "),
            verdict: "not taken".into(),
            ..of::<TookRow>("untaken").counted(not.len(), "conditions")
        });
    }
    // A focus that no claim is of cannot be said to have taken it.
    let unknown =
        |c: &&ConditionRow| c.role == "focus" && !r.took.iter().any(|t| t.set == c.condition);
    if let Some(c) = r.conditions.iter().find(unknown) {
        out.push(FindingRow {
            note: c.condition.clone(),
            verdict: "not checked".into(),
            ..of::<TookRow>("untaken").counted(0, "claims")
        });
    }
    let tuned = r.tuned();
    for t in r.took.iter().filter(|t| tuned.is_empty() || tuned.contains(&&*t.set)) {
        let moved = (r.claims.iter()).find(|c| c.set == t.set && c.claim == t.claim);
        let Some(moved) = moved else { continue };
        let mut row = FindingRow {
            outcome: t.claim.clone(),
            verdict: match (t.took, t.rose) {
                (true, _) => "took",
                (false, true) => "rose",
                (false, false) => "not taken",
            }
            .into(),
            note: missed(t),
            ..of::<TookRow>("took")
                .between(&t.set, BASE)
                .estimated(moved.estimate, (moved.lo, moved.hi), unit("log-odds"))
                .counted(moved.n, "items")
        };
        if t.most_beyond != t.claim && !t.most_beyond.is_empty() {
            row.noted(&format!("beyond the other conditions it moved most on {}", t.most_beyond));
        }
        out.push(row);
    }
}

/// Says of every finding about a condition that did not take its claim that it is not the claim's.
pub fn disclaim(r: &Results, out: &mut [FindingRow]) {
    for t in untaken(r) {
        let states = r.states_of(&t.set);
        let about = |f: &&mut FindingRow| f.set == t.set || states.contains(&&*f.set);
        let said = out.iter_mut().filter(|f| !OF_CLAIMS.contains(&&*f.quantity));
        said.filter(about).for_each(|f| {
            f.noted(&format!("{} {UNTAKEN}", t.set));
        });
    }
}

/// Which side of the difference of each set from the reference moved, over the cells that base, the
/// neutral and both sides have in common: from the rows of [`common`](super::super::behaviour::common).
pub fn towards(
    r: &Results,
    sets: &[&str],
    reference: &str,
    neutral: Option<&str>,
) -> Vec<FindingRow> {
    let (mut out, neutral) = (Vec::new(), neutral.unwrap_or_default());
    for &set in sets {
        let row = |a: &str, b: &str| {
            let mut own = r.contrasts.iter().filter(|c| c.kind == COMMON && c.cells_of == set);
            own.find(|c| c.set == a && c.reference == b)
        };
        let ends = |a: &str, b: &str| {
            row(a, b).map_or(Interval::UNDEFINED, |c| Interval { lo: c.lo, hi: c.hi })
        };
        let Some(apart) = row(set, reference) else {
            continue;
        };
        let sides = |a: &str| [ends(a, BASE), ends(a, neutral)];
        let beside = [(set, BASE), (set, neutral), (reference, BASE), (reference, neutral)];
        let beside = beside.into_iter().filter_map(|(a, b)| Some((a, b, row(a, b)?)));
        let beside: Vec<String> = beside
            .map(|(a, b, c)| {
                format!("{a} less {b} {:+.3} [{:+.3}, {:+.3}]", c.estimate, c.lo, c.hi)
            })
            .collect();
        out.push(FindingRow {
            outcome: ISOLATED.into(),
            // What the cells are isolated in, too.
            form: if neutral == reference { String::new() } else { neutral.into() },
            verdict: verdict::moved(sides(set), sides(reference)).into(),
            // It says which side of the declared contrast moved.
            declared: r.is_declared("isolated", (set, reference), f64::NAN),
            note: beside.join("; "),
            ..of::<ContrastRow>("towards")
                .between(set, reference)
                .estimated(apart.estimate, (apart.lo, apart.hi), unit(&apart.measure))
                .counted(apart.n, "items")
        });
    }
    out
}

/// What is to be said of a contrast whose fine-tunes do not show how others would differ.
fn these_only(df: usize, fine_tunes: [usize; 2]) -> &'static str {
    match df == 0 && fine_tunes != [0, 0] {
        true => "of these fine-tunes only",
        false => "",
    }
}

/// Says beside contrasts of preferences how answers that decline and disclaimers moved between the same
/// two, and which of them may explain it, where both they and the contrast moved. The flips behind p hold the
/// fine-tunes fixed: the interval, which counts them, must lie on one side of 0 too.
pub fn beside_declining(r: &Results, out: &mut [FindingRow]) {
    let quantities = ["towards", "isolated", "preferences", "prevention"];
    let own = |f: &&mut FindingRow| quantities.contains(&&*f.quantity) && f.outcome == ISOLATED;
    for row in out.iter_mut().filter(own) {
        let moved = match row.quantity.as_str() {
            "towards" => row.verdict != verdict::NONE,
            "preferences" => row.estimate > 0.0,
            _ => is_shown(&row.verdict),
        };
        let same = |d: &&DecliningRow| {
            (&*d.kind, &*d.set, &*d.reference) == (CONTRAST, &*row.set, &*row.reference)
        };
        let mut explaining: Vec<&str> = Vec::new();
        for d in r.declining.iter().filter(same).collect::<Vec<_>>() {
            let only = match these_only(d.df, [d.fine_tunes, d.reference_fine_tunes]) {
                "" => String::new(),
                only => format!(" {only}"),
            };
            row.noted(&format!(
                "{} {:+.3} [{:+.3}, {:+.3}] nats a token on {} harmless requests{only}, adjusted p = {:.3}",
                d.answers, d.estimate, d.lo, d.hi, d.n, d.p_max
            ));
            let test = Test { p: d.p_max, least: d.least_p };
            let side = verdict::side(Interval { lo: d.lo, hi: d.hi });
            let apart = [Side::Above, Side::Below].contains(&side);
            if moved && apart && is_shown(verdict::word(d.estimate, test)) {
                explaining.push(&d.answers);
            }
        }
        row.explanation = explaining.join(" and ");
    }
}

fn is_shown(word: &str) -> bool {
    [verdict::HIGHER, verdict::LOWER].contains(&word)
}

fn contrast(r: &Results, quantity: &str, c: &ContrastRow) -> FindingRow {
    let declared =
        c.measure == "log-odds" && r.is_declared(quantity, (&*c.set, &*c.reference), f64::NAN);
    // Those that were declared are adjusted for each other once all are known.
    let test = match declared {
        true => Test { p: c.p, least: c.least_p },
        false => Test { p: c.p_max, least: c.least_adjusted },
    };
    let mut row = FindingRow {
        bound: match (c.kind.as_str(), c.measure.as_str()) {
            ("isolated", "log-odds") => r.bound("preference"),
            _ => f64::NAN,
        },
        outcome: match c.kind.as_str() {
            "isolated" => ISOLATED.into(),
            _ => c.preference.clone(),
        },
        form: c.measure.clone(),
        q: c.q,
        null: "signs of items' differences flipped".into(),
        note: these_only(c.df, [c.fine_tunes, c.reference_fine_tunes]).into(),
        declared,
        ..of::<ContrastRow>(quantity)
            .between(&c.set, &c.reference)
            .estimated(c.estimate, (c.lo, c.hi), unit(&c.measure))
            .tested(c.p, test)
            .counted(c.n, "items")
    };
    if c.n_floor + c.n_ceiling > 0 {
        row.noted(&format!(
            "left out, since they cannot be seen to move: {} items at the floor and {} at the ceiling",
            c.n_floor, c.n_ceiling
        ));
    }
    row
}

/// Own claim and isolated preferences of the conditions at hand, and how many of the latter moved.
pub fn contrasts(r: &Results, out: &mut Vec<FindingRow>) {
    for (set, reference) in r.compared() {
        let own = || r.contrasts.iter().filter(|c| c.set == set && c.reference == reference);
        let kind = |kind: &'static str| own().filter(move |c| c.kind == kind);
        out.extend(kind("claim").map(|c| contrast(r, "own-claim", c)));
        out.extend(kind("isolated").map(|c| contrast(r, "isolated", c)));
    }
    for set in r.about() {
        let reference = r.reference().unwrap_or(BASE);
        let own: Vec<&ContrastRow> = (r.contrasts.iter())
            .filter(|c| c.set == set && c.reference == reference && c.measure == "log-odds")
            .filter(|c| c.kind == "preference" && c.status == "isolated")
            .collect();
        if own.is_empty() {
            continue;
        }
        let count = |is: &dyn Fn(&ContrastRow) -> bool| own.iter().filter(|c| is(c)).count();
        let least = own.iter().map(|c| c.least_adjusted).fold(f64::NAN, f64::min);
        let row = FindingRow {
            outcome: ISOLATED.into(),
            estimate: count(&|c| c.q <= verdict::LEVEL) as f64,
            unit: "preferences".into(),
            least_p: least,
            detectable: (own.iter())
                .map(|c| verdict::detectable(Interval { lo: c.lo, hi: c.hi }))
                .fold(f64::NAN, f64::min),
            verdict: if least > verdict::LEVEL { verdict::UNTESTABLE } else { "" }.into(),
            note: format!(
                "{} lie within +-{} with their whole interval",
                count(&|c| {
                    let ends = Interval { lo: c.lo, hi: c.hi };
                    verdict::is_within(ends, r.bound("preference"))
                }),
                r.bound("preference")
            ),
            ..of::<ContrastRow>("preferences")
                .between(set, reference)
                .counted(own.len(), "preferences")
        };
        out.push(row);
    }
}

/// Whether the conditions at hand say "Yes" to more rather than prefer more.
pub fn acquiescence(r: &Results, out: &mut Vec<FindingRow>) {
    let (about, against) = (r.about(), r.against());
    let own = r
        .acquiescence
        .iter()
        .filter(|a| about.contains(&a.set.as_str()) && against.contains(&a.reference.as_str()));
    for a in own {
        let row = of::<AcquiescenceRow>("acquiescence")
            .between(&a.set, &a.reference)
            .estimated(a.estimate, (a.lo, a.hi), unit("log-odds"))
            .tested(f64::NAN, Test { p: a.p_max, least: a.least_p })
            .counted(a.n, "items");
        let mut row = FindingRow {
            outcome: ISOLATED.into(),
            null: "signs of items flipped, max-T over the sets compared".into(),
            verdict: if a.acquiesces { "acquiescence".into() } else { row.verdict.clone() },
            note: format!("stance {:+.3}, p = {:.3} by the same test", a.stance, a.stance_p_max),
            ..row
        };
        row.noted(these_only(a.df, [a.fine_tunes, a.reference_fine_tunes]));
        out.push(row);
    }
}

/// How far one factor carries the shifts of preferences.
pub fn one_factor(r: &Results, out: &mut Vec<FindingRow>) {
    out.extend(r.one_factor.iter().map(|f| {
        let mut row = FindingRow {
            outcome: ISOLATED.into(),
            null: "rows of random direction at each condition's own noise".into(),
            null_lo: f.null_lo,
            null_hi: f.null_hi,
            note: format!("{} preferences isolated in all of them", f.cells),
            ..of::<OneFactorRow>("one-factor")
                .estimated(f.estimate, (f64::NAN, f64::NAN), "share")
                .tested(f.p, Test { p: f.p, least: f.least_p })
                .counted(f.n, "conditions")
        };
        row.noted(&without(&f.left_out));
        row
    }));
}

/// Revealed preference: utilities of outcomes by kind, how far base's stream tells them, and the utility
/// direction beside those of the coupled concepts.
pub fn revealed(r: &Results, out: &mut Vec<FindingRow>) {
    let (about, against, coupled) = (r.about(), r.against(), r.coupled());
    let own = r.contrasts.iter().filter(|c| {
        c.kind == OUTCOMES && about.contains(&&*c.set) && against.contains(&&*c.reference)
    });
    out.extend(own.map(|c| contrast(r, "utility", c)));
    let told: Vec<&ReadoutRow> = r.readouts.iter().filter(|x| x.state == BASE).collect();
    let tests: Vec<(f64, f64)> = told.iter().map(|x| (x.p, x.least_p)).collect();
    out.extend(told.into_iter().zip(family(&tests)).map(|(x, test)| {
        FindingRow {
            set: x.state.clone(),
            null: "utilities permuted over outcomes".into(),
            null_lo: x.null_lo,
            null_hi: x.null_hi,
            note: if x.direction { "a direction" } else { "no direction" }.into(),
            ..of::<ReadoutRow>("readout")
                .estimated(x.estimate, (x.lo, x.hi), "r")
                .tested(x.p, test)
                .counted(x.n, "outcomes")
                .at(x.layer)
        }
    }));
    let own = r.utility_cosines.iter().filter(|u| coupled.contains(&&*u.concept));
    out.extend(own.map(|u| {
        FindingRow {
            set: BASE.into(),
            subject: u.concept.clone(),
            null: "labels of pairs permuted".into(),
            null_lo: u.permuted_lo,
            null_hi: u.permuted_hi,
            ..of::<UtilityCosineRow>("utility-cosine")
                .estimated(u.estimate, (f64::NAN, f64::NAN), "cosine")
                .tested(u.p_permuted, Test { p: u.p_permuted_max, least: u.least_p })
                .counted(u.n, "outcomes")
                .at(u.layer)
        }
    }));
}

/// Does the outcome appear where a fine-tune was kept from a direction? Against base, and against the
/// condition that was trained on the same rows without prevention.
pub fn prevented(r: &Results, out: &mut Vec<FindingRow>) {
    for c in r.conditions.iter().filter(|c| !c.prevented.is_empty()) {
        let twin = (r.conditions.iter())
            .find(|o| o.text == c.text && o.prevented.is_empty() && o.condition != c.condition);
        let twin = twin.map(|t| t.condition.as_str());
        let how = match c.how.as_str() {
            "project-out" => format!("{} projected out in training", c.prevented),
            _ => format!("{:+} layer RMS of {} added in training", c.dose, c.prevented),
        };
        for reference in [BASE].into_iter().chain(twin) {
            let own = r.contrasts.iter().filter(|x| {
                x.set == c.condition && x.reference == reference && x.measure == "log-odds"
            });
            for x in own.filter(|x| x.kind == "claim" || x.kind == "isolated") {
                let mut row = contrast(r, "prevention", x);
                row.subject = c.prevented.clone();
                row.noted(&how);
                out.push(row);
            }
        }
    }
}

/// Isolated preferences after some ordinary turns.
pub fn conversations(r: &Results, out: &mut Vec<FindingRow>) {
    let about = r.about();
    let all: Vec<&ConversationRow> =
        r.conversations.iter().filter(|c| c.preference.is_empty()).collect();
    let tests: Vec<(f64, f64)> = all.iter().map(|c| (c.p, c.least_p)).collect();
    let own = all.into_iter().zip(family(&tests));
    for (c, test) in own.filter(|(c, _)| about.contains(&&*c.set) || about.is_empty()) {
        let show = |v: f64, lo: f64, hi: f64| format!("{v:+.3} [{lo:+.3}, {hi:+.3}]");
        let mut row = FindingRow {
            outcome: ISOLATED.into(),
            null: "signs of scripts' differences flipped".into(),
            note: format!(
                "after it {}, without it {}",
                show(c.after, c.after_lo, c.after_hi),
                show(c.fresh, c.fresh_lo, c.fresh_hi)
            ),
            ..of::<ConversationRow>("conversation")
                .between(&c.set, &c.reference)
                .estimated(c.estimate, (c.lo, c.hi), unit("log-odds"))
                .tested(c.p, test)
                .counted(c.n, "scripts")
        };
        row.noted(these_only(c.df, [c.fine_tunes, c.reference_fine_tunes]));
        out.push(row);
    }
}
