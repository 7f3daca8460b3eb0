//! What was found: the closing table, sentences for people, and the doubts that apply.

mod behaviour;
mod cause;

use super::measure::{states_of, Measured};
use super::run::Run;
use super::StudyError;
use crate::stats::Interval;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashSet};
use std::path::Path;

/// What was found, for the terminal and the report.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Findings {
    /// Rows of the closing table: what, estimate, interval, null or p, n.
    pub rows: Vec<[String; 5]>,
    pub sentences: Vec<String>,
    pub warnings: Vec<String>,
}

/// File of the findings in a run folder.
pub const FILE: &str = "findings.json";

/// Fine-tunes that a claim about a condition needs.
const SEEDS: usize = 3;

impl Findings {
    /// The findings of a finished run.
    pub fn read(out: &Path) -> Result<Self, StudyError> {
        let path = out.join(FILE);
        let text = std::fs::read_to_string(&path).map_err(|source| StudyError::Read {
            path: path.clone(),
            source,
        })?;
        serde_json::from_str(&text).map_err(|e| StudyError::Stage {
            path,
            why: e.to_string(),
        })
    }

    /// States what was measured, whatever it is.
    pub fn new(run: &Run, m: &Measured) -> Result<Self, StudyError> {
        let mut f = Findings::default();
        f.coupling(run, m);
        if let Some(cause) = &run.study.written.causal {
            f.contrasts(run, m, &cause.condition);
            f.behaviour(run, m, &cause.condition)?;
        }
        f.manipulation(run, m);
        f.one_factor(m);
        f.quality(run, m);
        f.ablation(m);
        f.prevented(run, m)?;
        f.conversations(run, m);
        f.trajectory(run, m);
        f.links(m);
        f.doubts(run, m);
        Ok(f)
    }

    fn row(&mut self, what: String, value: f64, interval: Interval, null: String, n: String) {
        let (v, ci) = (format!("{value:+.2}"), show(interval));
        self.rows.push([what, v, ci, null, n]);
    }

    fn coupling(&mut self, run: &Run, m: &Measured) {
        let (study, c) = (run.study, &m.geometry.coupling);
        let pairs = |k: usize| study.concepts[k].pairs.len();
        for &l in &m.layers {
            for (k, condition) in study.conditions.iter().enumerate() {
                let set = states_of(run, k);
                let (value, interval) = m.geometry.cosine(run, k, l);
                let s = set[0];
                let null = format!(
                    "random [{:+.2}, {:+.2}], q {:.3}; placebos [{:+.2}, {:+.2}], p {:.2}",
                    c.random_lo[[s, 1, l]],
                    c.random_hi[[s, 1, l]],
                    c.q_random[[s, 0, 1, l]],
                    c.placebo_lo[[s, l]],
                    c.placebo_hi[[s, l]],
                    c.p_placebo[[s, l]],
                );
                let n = format!("{}+{} pairs, {} model(s)", pairs(0), pairs(1), set.len());
                let what = format!("coupling, layer {l}, {}", condition.name);
                self.row(what, value, interval, null, n);
            }
        }
    }

    fn contrasts(&mut self, run: &Run, m: &Measured, name: &str) {
        let conditions = &run.study.conditions;
        let at = conditions.iter().position(|c| c.name == name).unwrap_or(0);
        for against in BTreeSet::from([0, m.reference]) {
            if against == at {
                continue;
            }
            let other = &conditions[against].name;
            let g = &m.geometry;
            let (Some(relative), Some(plain)) = (
                g.change(at, against, "relative"),
                g.change(at, against, "plain"),
            ) else {
                continue;
            };
            let (n, n_other) = (states_of(run, at).len(), states_of(run, against).len());
            let over = if n > 1 { " and seeds" } else { "" };
            let (c, plain) = (&relative.contrast, &plain.contrast);
            for &l in &m.layers {
                let interval = Interval {
                    lo: c.lo[l],
                    hi: c.hi[l],
                };
                let verdict = match direction(interval) {
                    Some(way) => format!("{way} than"),
                    None => "not distinguishable from".into(),
                };
                let plainly = Interval {
                    lo: plain.lo[l],
                    hi: plain.hi[l],
                };
                self.sentences.push(format!(
                    "Layer {l}: the persona-autonomy cosine of {name}, relative to its noise ceiling, is {verdict} {other}'s: difference {:+.2}, 95 % {} over prompts{over}, p = {:.3} (max-T over layers {:.3}); as measured {:+.2} {}; {n} against {n_other} model(s).",
                    c.value[l], show(interval), c.p[l], c.p_max[l], plain.value[l], show(plainly),
                ));
                let null = format!("p {:.3}, max-T {:.3}", c.p[l], c.p_max[l]);
                let n = format!("{n} vs {n_other} model(s)");
                let what = format!("relative coupling, layer {l}, {name} - {other}");
                self.row(what, c.value[l], interval, null, n);
            }
        }
    }

    fn quality(&mut self, run: &Run, m: &Measured) {
        for chosen in &m.chosen {
            let q = &m.quality[0][chosen.concept][chosen.layer];
            let name = &run.study.concepts[chosen.concept].name;
            let what = format!("held-out AUROC of {name} in base, layer {}", chosen.layer);
            let null = format!("chance .50; layer chosen on {} other pairs", chosen.n_dev);
            let n = format!("{} pairs, {} templates", q.n_pairs, q.n_templates);
            self.row(what, q.auroc, q.auroc_interval, null, n);
        }
    }

    fn doubts(&mut self, run: &Run, m: &Measured) {
        let study = run.study;
        for c in &study.conditions {
            let tuned = matches!(c.source, crate::study::manifest::Source::Data { .. });
            if tuned && c.seeds.len() < SEEDS {
                self.warnings.push(format!("Condition {}: {} fine-tune(s); claims about the condition, not this model, need at least {SEEDS} seeds.", c.name, c.seeds.len()));
            }
        }
        let mut focus = vec![0];
        if let Some(cause) = &study.written.causal {
            let at = |c: &crate::study::manifest::Condition| c.name == cause.condition;
            focus.extend(
                study
                    .conditions
                    .iter()
                    .position(at)
                    .map(|c| states_of(run, c)[0]),
            );
        }
        for &l in &m.layers {
            for &state in &focus {
                for w in m.geometry.doubts(run, state, l) {
                    let id = &run.states()[state].id;
                    self.warnings
                        .push(format!("Coupling in {id}, layer {l}: {w}."));
                }
            }
        }
        let links = (m.linked.iter()).flat_map(|l| {
            let named = |k: &crate::causal::Link| (l.layer, k.warnings.clone());
            l.isolated.iter().map(named).collect::<Vec<_>>()
        });
        let mut said = HashSet::new();
        for (layer, w) in links.flat_map(|(l, all)| all.into_iter().map(move |w| (l, w))) {
            let text = format!("Link at layer {layer}: {w}.");
            if said.insert(text.clone()) {
                self.warnings.push(text);
            }
        }
        for w in m
            .followed
            .iter()
            .flat_map(|f| &f.half_ways)
            .flat_map(|h| &h.warnings)
        {
            self.warnings.push(format!("Trajectory: {w}."));
        }
        let mut seen = HashSet::new();
        for (k, concept) in study.concepts.iter().enumerate() {
            for &l in &m.layers {
                for w in &m.quality[0][k][l].warnings {
                    if seen.insert((k, std::mem::discriminant(w))) {
                        let text = format!("{} in base, layer {l}: {w}.", concept.name);
                        self.warnings.push(text);
                    }
                }
            }
        }
    }
}

/// `higher` or `lower` where the interval excludes zero.
fn direction(interval: Interval) -> Option<&'static str> {
    match interval {
        i if i.lo > 0.0 => Some("higher"),
        i if i.hi < 0.0 => Some("lower"),
        _ => None,
    }
}

fn show(interval: Interval) -> String {
    format!("[{:+.2}, {:+.2}]", interval.lo, interval.hi)
}
