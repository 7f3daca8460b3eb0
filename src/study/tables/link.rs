//! Tables of the link between behaviour and structure.

use super::{int, real, table, text};
use crate::causal::Link;
use crate::store::ResultsWriter;
use crate::study::link::PREDICTORS;
use crate::study::measure::Measured;
use crate::study::StudyError;

/// Behaviour against structure across states, and the rankings of conditions.
pub fn write(m: &Measured, h5: &mut ResultsWriter) -> Result<(), StudyError> {
    let mut rows: Vec<(usize, &str, &Link)> = Vec::new();
    let mut states = Vec::new();
    for l in &m.linked {
        rows.extend(l.isolated.iter().map(|k| (l.layer, "isolated", k)));
        rows.extend(l.implied.iter().map(|k| (l.layer, "implied", k)));
        states.extend(l.rows.iter().map(|r| (l.layer, r)));
    }
    let weakest = |l: &Link| {
        let kept = l.without.iter().map(|(_, r)| r * l.r.signum());
        kept.fold(f64::NAN, f64::min) * l.r.signum()
    };
    table(
        h5,
        "causal",
        "link",
        vec![
            ("layer", int(&rows, |r| r.0)),
            ("preferences", text(&rows, |r| r.1.into())),
            ("predictor", text(&rows, |r| r.2.predictor.clone())),
            ("r", real(&rows, |r| r.2.r)),
            ("rho", real(&rows, |r| r.2.rho)),
            ("slope", real(&rows, |r| r.2.slope)),
            ("p", real(&rows, |r| r.2.p)),
            ("q", real(&rows, |r| r.2.q)),
            ("r_without_strongest", real(&rows, |r| weakest(r.2))),
            ("r_states", real(&rows, |r| r.2.r_states)),
            ("n_conditions", int(&rows, |r| r.2.n_conditions)),
            ("n_states", int(&rows, |r| r.2.n_states)),
        ],
    )?;
    let mut columns = vec![
        ("layer", int(&states, |r| r.0)),
        ("state", text(&states, |r| r.1.state.clone())),
        ("condition", text(&states, |r| r.1.condition.clone())),
        ("isolated_preferences", real(&states, |r| r.1.behaviour)),
    ];
    for (k, name) in ["persona_shift", "autonomy_shift", "coupling_change"]
        .into_iter()
        .enumerate()
        .take(PREDICTORS.len())
    {
        columns.push((name, real(&states, |r| r.1.predictors[k])));
    }
    table(h5, "causal", "link_states", columns)?;
    let r = &m.rankings;
    table(
        h5,
        "causal",
        "ranking",
        vec![
            ("measure", text(r, |x| x.measure.clone())),
            ("rho", real(r, |x| x.rho)),
            ("p", real(r, |x| x.p)),
            ("arrangements", int(r, |x| x.arrangements)),
            ("n_conditions", int(r, |x| x.conditions.len())),
        ],
    )
}
