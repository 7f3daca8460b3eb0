//! Do states that moved further inside also behave further?

use super::geometry::Geometry;
use super::measure::reported_layers;
use super::run::Run;
use super::scores::{of_kind, Scores};
use super::StudyError;
use crate::causal::{link, ranking, Link, LinkRow, Ranking, KNOWN_ORDER};
use crate::geometry::Part;

/// The links of one layer.
pub struct Linked {
    pub layer: usize,
    pub rows: Vec<LinkRow>,
    /// On isolated preferences, one a predictor.
    pub isolated: Vec<Link>,
    /// On implied ones: a manipulation check.
    pub implied: Vec<Link>,
}

/// What behaviour is held against.
pub const PREDICTORS: [&str; 3] = [
    "shift along persona",
    "shift along autonomy",
    "change of coupling",
];

/// Links at the reported layers; none below three conditions beside base.
pub fn links(run: &Run, g: &Geometry, scores: &[Scores]) -> Result<Vec<Linked>, StudyError> {
    let study = run.study;
    let w = &study.written;
    let names: Vec<String> = PREDICTORS.map(String::from).to_vec();
    let mut out = Vec::new();
    if study.conditions.len() < 4 {
        return Ok(out);
    }
    for layer in reported_layers(run) {
        let k = |s: usize| g.coupling.raw.relative[[s, 0, 1, layer]];
        let of = |of_implied: bool| -> Vec<LinkRow> {
            let mut rows = Vec::new();
            for moved in g.beside.shifts.iter().filter(|m| m.part == Part::Whole) {
                let s = moved.state;
                let condition = &study.conditions[run.states()[s].condition].name;
                let kind = |name: &str| of_kind(study, name, condition, of_implied);
                let own: Vec<f64> = (scores[s].iter().zip(&scores[0]))
                    .filter(|(x, _)| kind(&x.0))
                    .map(|(x, base)| x.2 - base.2)
                    .collect();
                let on = &moved.on.on[layer];
                let predictors = vec![on[0].rms_units.value, on[1].rms_units.value, k(s) - k(0)];
                if own.is_empty() || predictors.iter().any(|v| !v.is_finite()) {
                    continue;
                }
                rows.push(LinkRow {
                    state: run.states()[s].id.clone(),
                    condition: condition.clone(),
                    behaviour: own.iter().sum::<f64>() / own.len() as f64,
                    predictors,
                });
            }
            rows
        };
        let of_rows = |rows: &[LinkRow], of_implied: bool| -> Result<Vec<Link>, StudyError> {
            let mut conditions: Vec<&str> = rows.iter().map(|r| r.condition.as_str()).collect();
            conditions.dedup();
            match conditions.len() {
                0..=2 => Ok(Vec::new()),
                _ => Ok(link(rows, &names, of_implied, w.draws.null, w.seed)?),
            }
        };
        let (rows, presupposed) = (of(false), of(true));
        out.push(Linked {
            layer,
            isolated: of_rows(&rows, false)?,
            implied: of_rows(&presupposed, true)?,
            rows,
        });
    }
    Ok(out)
}

/// The parts of the claim in the order in which they moved another model: by isolated preferences,
/// and by the shift along persona. Empty where the study lacks them.
pub fn rankings(linked: &[Linked]) -> Vec<Ranking> {
    let mut out = Vec::new();
    for (i, l) in linked.iter().enumerate() {
        let mean = |value: &dyn Fn(&LinkRow) -> f64| -> Vec<(String, f64)> {
            let mut names: Vec<&String> = l.rows.iter().map(|r| &r.condition).collect();
            names.dedup();
            let of = |name: &String| {
                let own: Vec<f64> = (l.rows.iter())
                    .filter(|r| r.condition == *name)
                    .map(value)
                    .collect();
                own.iter().sum::<f64>() / own.len() as f64
            };
            names.iter().map(|n| ((*n).clone(), of(n))).collect()
        };
        if i == 0 {
            let values = mean(&|r| r.behaviour);
            out.extend(ranking("isolated preferences", &values, &KNOWN_ORDER));
        }
        let measure = format!("shift along persona, layer {}", l.layer);
        let values = mean(&|r| r.predictors[0]);
        out.extend(ranking(&measure, &values, &KNOWN_ORDER));
    }
    out
}
