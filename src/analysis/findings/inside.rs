//! What was found inside: coupling, its change, shifts, stickiness, quality of directions.

use super::of;
use crate::analysis::records::*;
use crate::analysis::verdict::{Test, LEVEL};
use crate::analysis::BASE;

/// The cosine of each pair in each condition, against each null of the condition's first state.
pub fn coupling(r: &Results, out: &mut Vec<FindingRow>) {
    let reported = r.reported();
    for (a, b) in r.pairs() {
        let own = r.condition_coupling.iter().filter(|c| reported.contains(&c.layer));
        let own = own.filter(|c| c.concept_a == a && c.concept_b == b);
        for c in own.filter(|c| c.form == "raw" || c.form == "relative") {
            let row = FindingRow {
                set: c.condition.clone(),
                subject: format!("{a} x {b}"),
                form: c.form.clone(),
                estimate: c.estimate,
                lo: c.lo,
                hi: c.hi,
                unit: "cosine".into(),
                note: format!("{} model(s)", c.states),
                ..of::<ConditionCouplingRow>("coupling").counted(c.n, "prompts").at(c.layer)
            };
            let nulls = against(r, c, &row);
            match nulls.is_empty() || c.form == "relative" {
                true => out.push(row),
                false => out.extend(nulls),
            }
        }
    }
}

/// The same cosine against random directions and against placebo concepts.
fn against(r: &Results, c: &ConditionCouplingRow, row: &FindingRow) -> Vec<FindingRow> {
    let states = r.states_of(&c.condition);
    let state = states.first().copied().unwrap_or(&c.condition);
    let own = (&*c.concept_a, &*c.concept_b);
    let of_null = |null: &str, called: &str| {
        let at = (state, null, c.layer);
        let mut found = r.pair_nulls.iter().filter(|n| (&*n.state, &*n.null, n.layer) == at);
        let found = found.find(|n| (&*n.concept_a, &*n.concept_b) == own)?;
        let mut q = r.nulls.iter().filter(|n| (&*n.state, &*n.null, n.layer) == at);
        let q = q.find(|n| same_pair((&n.concept_a, &n.concept_b), own));
        Some(FindingRow {
            null: called.into(),
            null_lo: found.null_lo,
            null_hi: found.null_hi,
            p: found.p,
            p_max: found.p_max,
            q: q.map_or(f64::NAN, |n| n.q),
            note: match c.states > 1 {
                true => format!("{}; null and p are of {state} alone", row.note),
                false => row.note.clone(),
            },
            ..row.clone()
        })
    };
    let random = of_null("random", "random directions of the layer's covariance");
    random.into_iter().chain(of_null("placebo", "placebo concepts")).collect()
}

/// Change of each pair's cosine, relative to its ceiling and as measured.
pub fn changes(r: &Results, out: &mut Vec<FindingRow>) {
    let reported = r.reported();
    for (a, b) in r.pairs() {
        for (set, reference) in r.compared() {
            let quantity = "change-of-coupling";
            let declared = |c: &ChangeRow| {
                c.form == "relative" && r.is_declared(quantity, (set, reference), c.layer as f64)
            };
            let is = |c: &&ChangeRow| {
                (&*c.set, &*c.reference) == (set, reference)
                    && (&*c.concept_a, &*c.concept_b) == (a, b)
                    && (c.form == "relative" || c.form == "raw")
                    && (reported.contains(&c.layer) || declared(c))
            };
            for c in r.changes.iter().filter(is) {
                let several = c.states + c.reference_states > 2;
                let units = if several { "prompts, and fine-tunes" } else { "prompts" };
                let only = if several { "" } else { "; of these fine-tunes only" };
                out.push(FindingRow {
                    subject: format!("{a} x {b}"),
                    form: c.form.clone(),
                    null: "no change".into(),
                    bound: r.bound("cosine"),
                    note: format!("{} against {} model(s){only}", c.states, c.reference_states),
                    declared: declared(c),
                    ..of::<ChangeRow>(quantity)
                        .between(set, reference)
                        .estimated(c.estimate, (c.lo, c.hi), "cosine")
                        .tested(c.p, Test { p: c.p_max, least: c.least_p })
                        .counted(c.n, units)
                        .at(c.layer)
                });
            }
        }
    }
}

/// Shifts of the same texts along base's direction of each coupled concept, whole and unshared.
pub fn shifts(r: &Results, out: &mut Vec<FindingRow>) {
    let (reported, coupled, position) = (r.reported(), r.coupled(), r.shift_position());
    let about = r.about();
    let states: Vec<&str> = match r.states.is_empty() {
        true => about,
        false => about.into_iter().flat_map(|c| r.states_of(c)).collect(),
    };
    let own = r.shifts.iter().filter(|s| {
        states.contains(&s.state.as_str())
            && s.position == position
            && s.source == "base"
            && s.beyond.is_empty()
            && (s.less == BASE || s.less == "others")
            && reported.contains(&s.layer)
            && coupled.contains(&s.concept.as_str())
    });
    for s in own {
        let mut row = FindingRow {
            subject: s.concept.clone(),
            null: "labels of pairs permuted".into(),
            note: if s.others.is_empty() { String::new() } else { format!("less {}", s.others) },
            ..of::<ShiftRow>("shift")
                .between(&s.state, &s.less)
                .estimated(s.estimate, (s.lo, s.hi), "layer RMS")
                .tested(s.p_permuted, Test { p: s.p_permuted_max, least: s.least_p })
                .counted(s.n, "texts")
                .at(s.layer)
        };
        // The same beyond the nuisances, where there are such.
        let cleaned = r.shifts.iter().find(|c| {
            (&c.state, &c.less, &c.position, &c.source, &c.concept, c.layer)
                == (&s.state, &s.less, &s.position, &s.source, &s.concept, s.layer)
                && !c.beyond.is_empty()
                && !coupled.contains(&&*c.beyond)
                && c.estimate.is_finite()
        });
        if let Some(c) = cleaned {
            row.noted(&format!(
                "with {} projected out {:+.3} [{:+.3}, {:+.3}]",
                c.beyond, c.estimate, c.lo, c.hi
            ));
        }
        out.push(row);
    }
}

/// Where on unrelated text each condition lies furthest from base along a coupled concept, of all
/// positions, layers and states.
pub fn trace(r: &Results, out: &mut Vec<FindingRow>) {
    for set in r.about() {
        let states = r.states_of(set);
        let own = || {
            let is = |t: &&TraceRow| states.contains(&t.state.as_str()) && t.estimate.is_finite();
            r.trace.iter().filter(is)
        };
        let Some(t) = own().max_by(|a, b| a.cosine.abs().total_cmp(&b.cosine.abs())) else {
            continue;
        };
        let shown = own().filter(|t| t.p_permuted_max <= LEVEL).map(|t| t.position.as_str());
        let shown = distinct(shown);
        let all = distinct(own().map(|t| &t.position)).len();
        let mut row = FindingRow {
            subject: t.concept.clone(),
            form: t.position.clone(),
            null: "labels of pairs permuted".into(),
            ..of::<TraceRow>("trace")
                .between(&t.state, BASE)
                .estimated(t.estimate, (t.lo, t.hi), "layer RMS")
                .tested(t.p_permuted, Test { p: t.p_permuted_max, least: t.least_p })
                .counted(t.n, "texts")
                .at(t.layer)
        };
        row.noted(&match shown.is_empty() {
            true => format!("shown at none of {all} positions"),
            false => format!("shown at {} of {all} positions: {}", shown.len(), shown.join(", ")),
        });
        if let Some(c) = r.condition(set).filter(|c| c.share.is_finite()) {
            row.noted(&format!("identity share of the training {:.2}", c.share));
        }
        out.push(row);
    }
}

/// Slopes over the identity share of the training, wherever three shares are there.
pub fn mixing(r: &Results, out: &mut Vec<FindingRow>) {
    let known = r.mixing.iter().filter(|m| m.estimate.is_finite());
    out.extend(known.map(|m| {
        let is_shift = m.outcome == "shift";
        let mut row = FindingRow {
            set: m.data.clone(),
            subject: if is_shift { m.subject.clone() } else { String::new() },
            outcome: match m.outcome.as_str() {
                "shift" => "the shift of neutral texts".into(),
                "claim" => "its own claim".into(),
                _ => format!("{} preferences", m.outcome),
            },
            form: format!("{} to {}", m.least, m.most),
            p: m.p,
            null: format!("signs of {} flipped", if is_shift { "texts" } else { "items" }),
            layer: m.layer,
            ..of::<MixingRow>("mixing").estimated(m.estimate, (m.lo, m.hi), &m.unit)
        };
        row = row.counted(m.n, if is_shift { "texts" } else { "items" });
        row.noted(&format!("{} shares, {} fine-tunes", m.shares, m.fine_tunes));
        if m.df == 0 {
            row.noted("of these fine-tunes only");
        }
        row.noted("exploratory");
        row
    }));
}

/// What is left of a deviation from one assistant turn to the next.
pub fn stickiness(r: &Results, out: &mut Vec<FindingRow>) {
    let (reported, coupled, about) = (r.reported(), r.coupled(), r.about());
    let own = r.stickiness.iter().filter(|s| {
        about.contains(&s.condition.as_str())
            && reported.contains(&s.layer)
            && (coupled.is_empty() || coupled.contains(&s.concept.as_str()))
    });
    for s in own {
        out.push(FindingRow {
            set: s.condition.clone(),
            subject: s.concept.clone(),
            note: format!("{} turns", s.turns),
            ..of::<StickinessRow>("stickiness")
                .estimated(s.estimate, (s.lo, s.hi), "share a turn")
                .counted(s.n, "conversations")
                .at(s.layer)
        });
    }
}

/// Held-out AUROC in base at the chosen layer, or at those reported where none was chosen, beside what
/// the higher of the two bags of words reaches.
pub fn quality(r: &Results, out: &mut Vec<FindingRow>) {
    let (estimator, reported, coupled) = (r.estimator(), r.reported(), r.coupled());
    let known = |c: &str| coupled.is_empty() || coupled.contains(&c);
    let rows: Vec<&QualityRow> = (r.quality.iter())
        .filter(|q| q.state == BASE && q.form == "raw" && q.estimator == estimator)
        .filter(|q| known(&q.concept))
        .collect();
    let chosen = |q: &QualityRow| rows.iter().any(|o| o.chosen && o.concept == q.concept);
    for q in &rows {
        if !(q.chosen || (!chosen(q) && reported.contains(&q.layer))) {
            continue;
        }
        let words = q.baseline();
        let row = FindingRow {
            set: q.state.clone(),
            subject: q.concept.clone(),
            form: q.estimator.clone(),
            unit: "AUROC".into(),
            null: format!("a bag of {} on the same folds", words.bag),
            note: format!("{} pairs, {} templates", q.pairs, q.templates),
            ..of::<QualityRow>("auroc").counted(q.n, "prompts").at(q.layer)
        };
        out.push(FindingRow {
            estimate: q.estimate,
            lo: q.lo,
            hi: q.hi,
            null_lo: words.area,
            null_hi: words.area,
            ..row.clone()
        });
        if words.gain.is_finite() {
            let ends = (words.interval.lo, words.interval.hi);
            out.push(FindingRow {
                quantity: "auroc-gain".into(),
                ..row.estimated(words.gain, ends, "AUROC")
            });
        }
    }
}
