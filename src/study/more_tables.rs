//! Tables of conversations, trajectories and links.

use super::link::PREDICTORS;
use super::measure::Measured;
use super::run::Run;
use super::StudyError;
use crate::causal::Link;
use crate::geometry_tables::annotate;
use crate::stats::interval::percentile;
use crate::store::{ResultsWriter, Values};

/// Writes those that the study has.
pub fn write(run: &Run, m: &Measured, h5: &mut ResultsWriter) -> Result<(), StudyError> {
    talks(run, m, h5)?;
    trajectory(m, h5)?;
    links(m, h5)
}

/// A table with its note; nothing without rows.
fn table(
    h5: &mut ResultsWriter,
    group: &str,
    name: &str,
    columns: Vec<(&str, Values)>,
) -> Result<(), StudyError> {
    if columns.first().is_none_or(|c| c.1.is_empty()) {
        return Ok(());
    }
    h5.table(group, name, &columns)?;
    Ok(annotate(h5, &format!("{group}/{name}"))?)
}

fn text<T>(rows: &[T], f: impl Fn(&T) -> String) -> Values {
    rows.iter().map(f).collect::<Vec<String>>().into()
}

fn real<T>(rows: &[T], f: impl Fn(&T) -> f64) -> Values {
    rows.iter().map(f).collect::<Vec<f64>>().into()
}

fn int<T>(rows: &[T], f: impl Fn(&T) -> usize) -> Values {
    rows.iter().map(f).collect::<Vec<usize>>().into()
}

fn talks(run: &Run, m: &Measured, h5: &mut ResultsWriter) -> Result<(), StudyError> {
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

fn trajectory(m: &Measured, h5: &mut ResultsWriter) -> Result<(), StudyError> {
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

fn links(m: &Measured, h5: &mut ResultsWriter) -> Result<(), StudyError> {
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
