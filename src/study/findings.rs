//! What was found: the closing table, sentences for people, and the doubts that apply.

use super::cause::judged;
use super::measure::{condition_coupling, coupling_contrast, states_of, Measured};
use super::run::Run;
use super::scores::{condition_scores, implied, mean_with_p, shift_by_prompt};
use super::StudyError;
use crate::causal::{specificity, Mediation};
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
            f.contrasts(run, m, &cause.condition)?;
            f.behaviour(run, m, &cause.condition)?;
        }
        f.ablation(m);
        f.doubts(run, m);
        Ok(f)
    }

    fn row(&mut self, what: String, value: f64, interval: Interval, null: String, n: String) {
        let (v, ci) = (format!("{value:+.2}"), show(interval));
        self.rows.push([what, v, ci, null, n]);
    }

    fn coupling(&mut self, run: &Run, m: &Measured) {
        let (study, c) = (run.study, &m.coupling);
        let pairs = |k: usize| study.concepts[k].pairs.len();
        for &l in &m.layers {
            for (k, condition) in study.conditions.iter().enumerate() {
                let set = states_of(run, k);
                let (value, interval) = condition_coupling(run, c, k, l);
                let null = format!(
                    "random [{:+.2}, {:+.2}], q {:.3}",
                    c.random_lo[[set[0], 1, l]],
                    c.random_hi[[set[0], 1, l]],
                    c.q_random[[set[0], 0, 1, l]]
                );
                let n = format!("{}+{} pairs, {} model(s)", pairs(0), pairs(1), set.len());
                let what = format!("coupling, layer {l}, {}", condition.name);
                self.row(what, value, interval, null, n);
            }
        }
    }

    fn contrasts(&mut self, run: &Run, m: &Measured, name: &str) -> Result<(), StudyError> {
        let conditions = &run.study.conditions;
        let at = conditions.iter().position(|c| c.name == name).unwrap_or(0);
        for against in BTreeSet::from([0, m.reference]) {
            if against == at {
                continue;
            }
            let other = &conditions[against].name;
            let c = coupling_contrast(run, &m.coupling, at, against)?;
            let (n, n_other) = (states_of(run, at).len(), states_of(run, against).len());
            let over = if n > 1 { " and seeds" } else { "" };
            for &l in &m.layers {
                let interval = Interval {
                    lo: c.lo[l],
                    hi: c.hi[l],
                };
                let verdict = match direction(interval) {
                    Some(way) => format!("{way} than"),
                    None => "not distinguishable from".into(),
                };
                self.sentences.push(format!(
                    "Layer {l}: the persona-autonomy cosine of {name} is {verdict} {other}'s: difference {:+.2}, 95 % {} over prompts{over}, p = {:.3} (max-T over layers {:.3}); {n} against {n_other} model(s).",
                    c.value[l], show(interval), c.p[l], c.p_max[l],
                ));
                let null = format!("p {:.3}, max-T {:.3}", c.p[l], c.p_max[l]);
                let n = format!("{n} vs {n_other} model(s)");
                let what = format!("coupling, layer {l}, {name} - {other}");
                self.row(what, c.value[l], interval, null, n);
            }
        }
        Ok(())
    }

    fn behaviour(&mut self, run: &Run, m: &Measured, name: &str) -> Result<(), StudyError> {
        let study = run.study;
        let (draws, seed) = (study.written.draws.bootstrap, study.written.seed);
        let at = study.conditions.iter().position(|c| c.name == name);
        let own = condition_scores(run, at.unwrap_or(0), &m.scores);
        let reference = condition_scores(run, m.reference, &m.scores);
        let other = &study.conditions[m.reference].name;
        let isolated = |p: &str| {
            let known = study.battery.iter().find(|o| o.name == p);
            known.is_some_and(|p| !implied(p, name))
        };
        let claim = shift_by_prompt(&own, &reference, |p| p == name);
        if !claim.is_empty() {
            let (e, p) = mean_with_p(&claim, draws, seed)?;
            let verdict = match direction(e.interval) {
                Some(way) => format!("{way} on its own claim than"),
                None => "not distinguishable on its own claim from".into(),
            };
            self.sentences.push(format!(
                "Manipulation check: {name} is {verdict} {other}: {:+.2} nats a token, 95 % {}, p = {p:.4}, n = {} prompts.",
                e.value, show(e.interval), e.n
            ));
            let (null, n) = (format!("sign-flip p {p:.4}"), format!("{} prompts", e.n));
            self.row(
                format!("own claim, {name} - {other}"),
                e.value,
                e.interval,
                null,
                n,
            );
        }
        let emergent = shift_by_prompt(&own, &reference, isolated);
        if !emergent.is_empty() {
            let (e, p) = mean_with_p(&emergent, draws, seed)?;
            let verdict = match direction(e.interval) {
                Some("higher") => "towards the cluster",
                Some(_) => "away from the cluster",
                None => "no shift that can be told from zero",
            };
            self.sentences.push(format!(
                "Preferences the training text does not presuppose: {name} against {other} moves by {:+.3} nats a token on average, 95 % [{:+.3}, {:+.3}], p = {p:.4}, n = {} prompts: {verdict}.",
                e.value, e.interval.lo, e.interval.hi, e.n,
            ));
            let (null, n) = (format!("sign-flip p {p:.4}"), format!("{} prompts", e.n));
            let what = format!("isolated preferences, {name} - {other}");
            self.row(what, e.value, e.interval, null, n);
        }
        let own = m
            .preferences
            .iter()
            .filter(|s| s.condition == name && !s.implied);
        let (mut n, mut up, mut down, mut sure) = (0, 0, 0, 0);
        for s in own {
            n += 1;
            up += usize::from(s.estimate.interval.lo > 0.0);
            down += usize::from(s.estimate.interval.hi < 0.0);
            sure += usize::from(s.q < 0.05);
        }
        self.sentences.push(format!(
            "Of {n} isolated preferences, {up} have an interval above zero and {down} below, before correction ({sure} at q < .05); with few prompts a preference these intervals are rough.",
        ));
        Ok(())
    }

    fn ablation(&mut self, m: &Measured) {
        let all: Vec<&Mediation> = m.mediations.iter().map(judged).collect();
        let Some(persona) = all.iter().find(|x| x.edit == "persona") else {
            return;
        };
        let random: Vec<Mediation> = all
            .iter()
            .filter(|x| x.random)
            .map(|x| (*x).clone())
            .collect();
        let against = specificity(persona, &random);
        for x in all.iter().filter(|x| !x.random) {
            let null = match x.edit.as_str() {
                "persona" => format!("random-direction p {:.2}", against.p),
                _ => String::new(),
            };
            let n = format!("{} prompts, 1 model a side", x.n_prompts);
            let what = format!("shift left, ablating {}", x.edit);
            self.row(what, x.remaining, x.remaining_interval, null, n);
        }
        let as_much = random
            .iter()
            .filter(|r| r.removed >= persona.removed)
            .count();
        let share = match persona.share.is_finite() {
            true => format!(
                ", a share of {:.0} %, 95 % [{:.0}, {:.0}] %",
                100.0 * persona.share,
                100.0 * persona.share_interval.lo,
                100.0 * persona.share_interval.hi
            ),
            false => String::new(),
        };
        self.sentences.push(format!(
            "Projecting the re-extracted persona direction out of both models at every layer takes {:+.3} of a shift of {:+.3} (95 % [{:+.3}, {:+.3}]{share}) and leaves {:+.3}; {as_much} of {} covariance-matched random directions take at least as much (p = {:.2}), so this is {}.",
            persona.removed,
            persona.total,
            persona.removed_interval.lo,
            persona.removed_interval.hi,
            persona.remaining,
            random.len(),
            against.p,
            match against.p <= 0.05 {
                true => "more than random directions do",
                false => "not shown to be more than random directions do",
            }
        ));
        for w in persona.warnings.iter().chain(&against.warnings) {
            self.warnings.push(format!("Ablating persona: {w}."));
        }
    }

    fn doubts(&mut self, run: &Run, m: &Measured) {
        let study = run.study;
        for c in &study.conditions {
            let tuned = matches!(c.source, super::manifest::Source::Data { .. });
            if tuned && c.seeds.len() < SEEDS {
                self.warnings.push(format!("Condition {}: {} fine-tune(s); claims about the condition, not this model, need at least {SEEDS} seeds.", c.name, c.seeds.len()));
            }
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
