//! Tables of the trajectory.

use super::{int, real, table, text};
use crate::stats::interval::percentile;
use crate::store::ResultsWriter;
use crate::study::measure::Measured;
use crate::study::StudyError;

/// Every series by step, its half-way step, and which of two comes first.
pub fn write(m: &Measured, h5: &mut ResultsWriter) -> Result<(), StudyError> {
    let Some(f) = &m.followed else { return Ok(()) };
    let mut rows = Vec::new();
    for s in &f.series {
        for (t, &step) in s.steps.iter().enumerate() {
            let ends = percentile(&mut s.draws.column(t).to_vec(), 0.95);
            rows.push((s.name.clone(), step, s.value[t], ends));
        }
    }
    table(
        h5,
        "causal",
        "trajectory",
        vec![
            ("quantity", text(&rows, |r| r.0.clone())),
            ("step", int(&rows, |r| r.1)),
            ("value", real(&rows, |r| r.2)),
            ("ci_lo", real(&rows, |r| r.3.lo)),
            ("ci_hi", real(&rows, |r| r.3.hi)),
        ],
    )?;
    let h = &f.half_ways;
    table(
        h5,
        "causal",
        "half_way",
        vec![
            ("quantity", text(h, |x| x.series.clone())),
            ("change", real(h, |x| x.change)),
            ("change_lo", real(h, |x| x.change_interval.lo)),
            ("change_hi", real(h, |x| x.change_interval.hi)),
            ("step", real(h, |x| x.step)),
            ("step_lo", real(h, |x| x.step_interval.lo)),
            ("step_hi", real(h, |x| x.step_interval.hi)),
        ],
    )?;
    let l = &f.leads;
    table(
        h5,
        "causal",
        "lead",
        vec![
            ("first", text(l, |x| x.first.clone())),
            ("second", text(l, |x| x.second.clone())),
            ("ratio", real(l, |x| x.ratio)),
            ("ci_lo", real(l, |x| x.interval.lo)),
            ("ci_hi", real(l, |x| x.interval.hi)),
            ("earlier", real(l, |x| x.earlier)),
        ],
    )
}
