//! Tables of interventions: ablations judged, every model under them, doses.

use super::{int, real, table, text};
use crate::causal::{Edited, Necessity};
use crate::store::ResultsWriter;
use crate::study::cause::judged;
use crate::study::measure::Measured;
use crate::study::StudyError;

pub fn write(m: &Measured, h5: &mut ResultsWriter) -> Result<(), StudyError> {
    ablations(&m.mediations, h5)?;
    let Some(record) = &m.causal else {
        return Ok(());
    };
    let models = record.tuned.iter().chain(&record.reference);
    let states: Vec<(&str, &str, &Edited)> = models
        .flat_map(|a| {
            let named = |e| (a.state.as_str(), a.directions_of.as_str(), e);
            a.edits.iter().map(named)
        })
        .collect();
    let columns = vec![
        ("state", text(&states, |r| r.0.into())),
        ("edit", text(&states, |r| r.2.edit.clone())),
        ("directions_of", text(&states, |r| r.1.into())),
        ("score", real(&states, |r| mean(r.2))),
        ("kl", real(&states, |r| r.2.kl)),
        ("perplexity", real(&states, |r| r.2.perplexity)),
    ];
    table(h5, "causal", "ablation_states", columns)?;
    let doses = &record.dose.edits;
    let columns = vec![
        ("direction", text(doses, |d| d.edit.clone())),
        ("alpha", real(doses, |d| d.alpha.unwrap_or(0.0))),
        ("score", real(doses, mean)),
        ("kl", real(doses, |d| d.kl)),
        ("perplexity", real(doses, |d| d.perplexity)),
    ];
    table(h5, "causal", "dose", columns)
}

fn mean(e: &Edited) -> f64 {
    e.scores.iter().map(|s| s.2).sum::<f64>() / e.scores.len() as f64
}

/// What every edit leaves of the shift, against the equally edited reference.
fn ablations(all: &[Necessity], h5: &mut ResultsWriter) -> Result<(), StudyError> {
    let own = |n: &Necessity, end: fn((f64, f64, f64)) -> f64| {
        let e = n.on_reference;
        e.map_or(f64::NAN, |e| end((e.value, e.interval.lo, e.interval.hi)))
    };
    let columns = vec![
        ("edit", text(all, |n| judged(n).edit.clone())),
        ("remaining", real(all, |n| judged(n).remaining)),
        ("ci_lo", real(all, |n| judged(n).remaining_interval.lo)),
        ("ci_hi", real(all, |n| judged(n).remaining_interval.hi)),
        ("removed", real(all, |n| judged(n).removed)),
        ("removed_lo", real(all, |n| judged(n).removed_interval.lo)),
        ("removed_hi", real(all, |n| judged(n).removed_interval.hi)),
        ("remaining_plain", real(all, |n| n.against_plain.remaining)),
        ("on_reference", real(all, |n| own(n, |e| e.0))),
        ("on_reference_lo", real(all, |n| own(n, |e| e.1))),
        ("on_reference_hi", real(all, |n| own(n, |e| e.2))),
        ("share", real(all, |n| judged(n).share)),
        ("share_lo", real(all, |n| judged(n).share_interval.lo)),
        ("share_hi", real(all, |n| judged(n).share_interval.hi)),
        ("n_prompts", int(all, |n| judged(n).n_prompts)),
        ("n_models", int(all, |n| judged(n).n_seeds)),
        ("n_reference_models", int(all, |n| judged(n).n_reference)),
    ];
    table(h5, "causal", "ablation", columns)
}
