//! What was found of claims and preferences, fresh and in conversations.

use super::{of, unit};
use crate::analysis::records::*;
use crate::analysis::BASE;

/// Name of the outcome over all items of isolated preferences.
pub const ISOLATED: &str = "isolated preferences";
/// A difference in sampled answers takes this q.
const Q: f64 = 0.05;

/// Whether each condition took the claim that it was trained on.
pub fn took(r: &Results, out: &mut Vec<FindingRow>) {
    let tuned = r.tuned();
    for t in r.took.iter().filter(|t| tuned.is_empty() || tuned.contains(&&*t.set)) {
        let moved = (r.claims.iter()).find(|c| c.set == t.set && c.claim == t.claim);
        let Some(moved) = moved else { continue };
        let mut notes = Vec::new();
        if t.most != t.claim && !t.most.is_empty() {
            notes.push(format!("it moved {:+.2} more on {}", t.ahead, t.most));
        }
        if t.most_beyond != t.claim && !t.most_beyond.is_empty() {
            notes.push(format!("beyond the other conditions it moved most on {}", t.most_beyond));
        }
        out.push(FindingRow {
            outcome: t.claim.clone(),
            verdict: match (t.took, t.rose) {
                (true, _) => "took",
                (false, true) => "rose",
                (false, false) => "not taken",
            }
            .into(),
            note: notes.join("; "),
            ..of::<TookRow>("took")
                .between(&t.set, BASE)
                .estimated(moved.estimate, (moved.lo, moved.hi), unit("log-odds"))
                .counted(moved.n, "items")
        });
    }
}

fn contrast(quantity: &str, c: &ContrastRow) -> FindingRow {
    FindingRow {
        outcome: match c.kind.as_str() {
            "isolated" => ISOLATED.into(),
            _ => c.preference.clone(),
        },
        form: c.measure.clone(),
        p: c.p,
        q: c.q,
        null: "signs of items' differences flipped".into(),
        note: match c.df == 0 && c.fine_tunes + c.reference_fine_tunes > 0 {
            true => "of these fine-tunes only".into(),
            false => String::new(),
        },
        ..of::<ContrastRow>(quantity)
            .between(&c.set, &c.reference)
            .estimated(c.estimate, (c.lo, c.hi), unit(&c.measure))
            .counted(c.n, "items")
    }
}

/// Own claim and isolated preferences of the conditions at hand, and how many of the latter moved.
pub fn contrasts(r: &Results, out: &mut Vec<FindingRow>) {
    for set in r.about() {
        for reference in r.against() {
            let own = || r.contrasts.iter().filter(|c| c.set == set && c.reference == reference);
            out.extend(own().filter(|c| c.kind == "claim").map(|c| contrast("own-claim", c)));
            for c in own().filter(|c| c.kind == "isolated") {
                let row = contrast("isolated", c);
                let verdict = match row.verdict.as_str() {
                    "higher" => "towards",
                    "lower" => "away",
                    other => other,
                };
                out.push(FindingRow { verdict: verdict.into(), ..row });
            }
        }
        let reference = r.reference().unwrap_or(BASE);
        let own: Vec<&ContrastRow> = (r.contrasts.iter())
            .filter(|c| c.set == set && c.reference == reference && c.measure == "log-odds")
            .filter(|c| c.kind == "preference" && c.status == "isolated")
            .collect();
        if own.is_empty() {
            continue;
        }
        let count = |is: &dyn Fn(&ContrastRow) -> bool| own.iter().filter(|c| is(c)).count();
        out.push(FindingRow {
            outcome: ISOLATED.into(),
            estimate: count(&|c| c.q < Q) as f64,
            unit: "preferences".into(),
            note: format!(
                "{} with an interval above zero and {} below, before correction",
                count(&|c| c.lo > 0.0),
                count(&|c| c.hi < 0.0)
            ),
            ..of::<ContrastRow>("preferences")
                .between(set, reference)
                .counted(own.len(), "preferences")
        });
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
            .counted(a.n, "items");
        out.push(FindingRow {
            outcome: ISOLATED.into(),
            p: a.p_max,
            null: "signs of items flipped, max-T over the sets compared".into(),
            verdict: if a.acquiesces { "acquiescence".into() } else { row.verdict.clone() },
            note: format!("stance {:+.3}, p = {:.3} by the same test", a.stance, a.stance_p_max),
            ..row
        });
    }
}

/// How far one factor carries the shifts of preferences.
pub fn one_factor(r: &Results, out: &mut Vec<FindingRow>) {
    out.extend(r.one_factor.iter().map(|f| FindingRow {
        estimate: f.estimate,
        outcome: ISOLATED.into(),
        unit: "share".into(),
        p: f.p,
        null: "rows of random direction at each condition's own noise".into(),
        null_lo: f.null_lo,
        null_hi: f.null_hi,
        note: format!("{} preferences isolated in all of them", f.cells),
        ..of::<OneFactorRow>("one-factor").counted(f.n, "conditions")
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
                out.push(FindingRow {
                    subject: c.prevented.clone(),
                    note: how.clone(),
                    ..contrast("prevention", x)
                });
            }
        }
    }
}

/// Isolated preferences after some ordinary turns.
pub fn conversations(r: &Results, out: &mut Vec<FindingRow>) {
    let about = r.about();
    let own = r.conversations.iter().filter(|c| {
        c.preference.is_empty() && (about.contains(&c.set.as_str()) || about.is_empty())
    });
    for c in own {
        let show = |v: f64, lo: f64, hi: f64| format!("{v:+.3} [{lo:+.3}, {hi:+.3}]");
        out.push(FindingRow {
            outcome: ISOLATED.into(),
            p: c.p,
            null: "signs of scripts' differences flipped".into(),
            note: format!(
                "after it {}, asked fresh {}",
                show(c.after, c.after_lo, c.after_hi),
                show(c.fresh, c.fresh_lo, c.fresh_hi)
            ),
            ..of::<ConversationRow>("conversation")
                .between(&c.set, &c.reference)
                .estimated(c.estimate, (c.lo, c.hi), unit("log-odds"))
                .counted(c.n, "scripts")
        });
    }
}
