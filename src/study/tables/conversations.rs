//! Tables of the conversations.

use super::{int, real, table, text};
use crate::store::ResultsWriter;
use crate::study::measure::Measured;
use crate::study::run::Run;
use crate::study::StudyError;

/// Answers after task turns, and how long a turn stays on an axis.
pub fn write(run: &Run, m: &Measured, h5: &mut ResultsWriter) -> Result<(), StudyError> {
    let Some(t) = &m.talked else { return Ok(()) };
    let name = |c: usize| run.study.conditions[c].name.clone();
    let s = &t.shifts;
    table(
        h5,
        "behaviour",
        "conversations",
        vec![
            ("condition", text(s, |x| name(x.condition))),
            ("reference", text(s, |_| name(m.reference))),
            ("after", real(s, |x| x.after.value)),
            ("after_lo", real(s, |x| x.after.interval.lo)),
            ("after_hi", real(s, |x| x.after.interval.hi)),
            ("fresh", real(s, |x| x.fresh.value)),
            ("fresh_lo", real(s, |x| x.fresh.interval.lo)),
            ("fresh_hi", real(s, |x| x.fresh.interval.hi)),
            ("added", real(s, |x| x.added.value)),
            ("added_lo", real(s, |x| x.added.interval.lo)),
            ("added_hi", real(s, |x| x.added.interval.hi)),
            ("p", real(s, |x| x.p)),
            ("n_scripts", int(s, |x| x.after.n)),
        ],
    )?;
    let s = &t.stickiness;
    table(
        h5,
        "geometry",
        "stickiness",
        vec![
            ("condition", text(s, |x| name(x.condition))),
            ("axis", text(s, |x| x.axis.clone())),
            ("layer", int(s, |x| x.layer)),
            ("phi", real(s, |x| x.persistence.phi.value)),
            ("phi_lo", real(s, |x| x.persistence.phi.interval.lo)),
            ("phi_hi", real(s, |x| x.persistence.phi.interval.hi)),
            ("half_life", real(s, |x| x.persistence.half_life)),
            (
                "half_life_lo",
                real(s, |x| x.persistence.half_life_interval.lo),
            ),
            (
                "half_life_hi",
                real(s, |x| x.persistence.half_life_interval.hi),
            ),
            ("turns", int(s, |x| x.persistence.turns)),
            ("n_conversations", int(s, |x| x.n)),
        ],
    )
}
