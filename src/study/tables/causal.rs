//! Tables of interventions: ablations judged, every model under them, doses.

use super::{int, real, table, text};
use crate::causal::{Edited, Harm, Necessity};
use crate::store::ResultsWriter;
use crate::study::cause::{judged, Ablated, Asked};
use crate::study::measure::Measured;
use crate::study::run::Run;
use crate::study::StudyError;

pub fn write(run: &Run, m: &Measured, h5: &mut ResultsWriter) -> Result<(), StudyError> {
    ablations(m, h5)?;
    let Some(record) = &m.causal else {
        return Ok(());
    };
    let mut states: Vec<(Asked, &Ablated, &Edited)> = Vec::new();
    for sides in &record.sides {
        for model in sides.tuned.iter().chain(&sides.reference) {
            states.extend(model.edits.iter().map(|e| (sides.asked, model, e)));
        }
    }
    let columns = vec![
        ("battery", text(&states, |r| r.0.name().into())),
        ("state", text(&states, |r| r.1.state.clone())),
        ("edit", text(&states, |r| r.2.edit.clone())),
        (
            "directions_of",
            text(&states, |r| r.1.directions_of.clone()),
        ),
        ("score", real(&states, |r| mean(r.2, |_| true))),
        ("kl", real(&states, |r| r.2.kl)),
        ("perplexity", real(&states, |r| r.2.perplexity)),
    ];
    table(h5, "causal", "ablation_states", columns)?;
    let all = record.dose.edits.iter();
    let doses: Vec<(Asked, &Edited)> = (record.sides.iter())
        .flat_map(|s| all.clone().map(|d| (s.asked, d)))
        .collect();
    let score =
        |&(asked, d): &(Asked, &Edited)| mean(d, |name| Asked::by(run.study, name) == asked);
    let columns = vec![
        ("battery", text(&doses, |d| d.0.name().into())),
        ("direction", text(&doses, |d| d.1.edit.clone())),
        ("alpha", real(&doses, |d| d.1.alpha.unwrap_or(0.0))),
        ("score", real(&doses, score)),
        ("kl", real(&doses, |d| d.1.kl)),
        ("perplexity", real(&doses, |d| d.1.perplexity)),
    ];
    table(h5, "causal", "dose", columns)
}

/// Mean over the prompts of the preferences or claims that `keep`.
fn mean(e: &Edited, keep: impl Fn(&str) -> bool) -> f64 {
    let kept: Vec<f64> = (e.scores.iter())
        .filter(|s| keep(&s.0))
        .map(|s| s.2)
        .collect();
    kept.iter().sum::<f64>() / kept.len() as f64
}

/// What every edit leaves of the shift, against the equally edited reference.
fn ablations(m: &Measured, h5: &mut ResultsWriter) -> Result<(), StudyError> {
    let mut all: Vec<(Asked, &Necessity, &Harm)> = Vec::new();
    for x in &m.mediations {
        let edits = x.edits.iter().zip(&x.harms);
        all.extend(edits.map(|(n, h)| (x.asked, n, h)));
    }
    let own = |n: &Necessity, end: fn((f64, f64, f64)) -> f64| {
        let e = n.on_reference;
        e.map_or(f64::NAN, |e| end((e.value, e.interval.lo, e.interval.hi)))
    };
    let columns = vec![
        ("battery", text(&all, |r| r.0.shift_of().into())),
        ("edit", text(&all, |&(_, n, _)| judged(n).edit.clone())),
        ("remaining", real(&all, |&(_, n, _)| judged(n).remaining)),
        (
            "ci_lo",
            real(&all, |&(_, n, _)| judged(n).remaining_interval.lo),
        ),
        (
            "ci_hi",
            real(&all, |&(_, n, _)| judged(n).remaining_interval.hi),
        ),
        ("removed", real(&all, |&(_, n, _)| judged(n).removed)),
        (
            "removed_lo",
            real(&all, |&(_, n, _)| judged(n).removed_interval.lo),
        ),
        (
            "removed_hi",
            real(&all, |&(_, n, _)| judged(n).removed_interval.hi),
        ),
        (
            "remaining_plain",
            real(&all, |&(_, n, _)| n.against_plain.remaining),
        ),
        ("on_reference", real(&all, |&(_, n, _)| own(n, |e| e.0))),
        ("on_reference_lo", real(&all, |&(_, n, _)| own(n, |e| e.1))),
        ("on_reference_hi", real(&all, |&(_, n, _)| own(n, |e| e.2))),
        ("share", real(&all, |&(_, n, _)| judged(n).share)),
        (
            "share_lo",
            real(&all, |&(_, n, _)| judged(n).share_interval.lo),
        ),
        (
            "share_hi",
            real(&all, |&(_, n, _)| judged(n).share_interval.hi),
        ),
        ("n_prompts", int(&all, |&(_, n, _)| judged(n).n_prompts)),
        ("n_models", int(&all, |&(_, n, _)| judged(n).n_seeds)),
        (
            "n_reference_models",
            int(&all, |&(_, n, _)| judged(n).n_reference),
        ),
        ("kl", real(&all, |r| r.2.kl)),
        ("perplexity_ratio", real(&all, |r| r.2.perplexity_ratio)),
        (
            "inside_guards",
            text(&all, |r| if r.2.inside { "yes" } else { "no" }.into()),
        ),
    ];
    table(h5, "causal", "ablation", columns)
}
