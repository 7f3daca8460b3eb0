//! What was found: the closing table, sentences for people, and the doubts that apply.

use super::cause::judged;
use super::measure::{states_of, Measured};
use super::run::Run;
use super::scores::{condition_scores, isolated, mean_with_p, shift_by_prompt};
use super::trajectory::ISOLATED;
use super::StudyError;
use crate::causal::{specificity, Mediation, Order};
use crate::finetune::Mode;
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

    fn behaviour(&mut self, run: &Run, m: &Measured, name: &str) -> Result<(), StudyError> {
        let study = run.study;
        let (draws, seed) = (study.written.draws.bootstrap, study.written.seed);
        let at = study.conditions.iter().position(|c| c.name == name);
        let own = condition_scores(run, at.unwrap_or(0), &m.scores);
        let reference = condition_scores(run, m.reference, &m.scores);
        let other = &study.conditions[m.reference].name;
        let isolated = |p: &str| isolated(study, p, name);
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

    fn manipulation(&mut self, run: &Run, m: &Measured) {
        let names = run.study.conditions.iter().map(|c| c.name.as_str());
        let took: Vec<_> = names.filter_map(|n| m.claims.took(n)).collect();
        if took.is_empty() {
            return;
        }
        let missed: Vec<String> = (took.iter().filter(|t| t.ahead > 0.0))
            .map(|t| format!("{} (most on {}'s, {:+.2} ahead)", t.state, t.most, t.ahead))
            .collect();
        self.sentences.push(format!(
            "Manipulation check, all claims: {} of {} fine-tuned conditions move most on their own claim{}.",
            took.len() - missed.len(),
            took.len(),
            match missed.is_empty() {
                true => String::new(),
                false => format!("; not {}", missed.join(", ")),
            }
        ));
    }

    fn one_factor(&mut self, m: &Measured) {
        if let Some(f) = &m.one_factor {
            let (lo, hi) = (100.0 * f.share.interval.lo, 100.0 * f.share.interval.hi);
            self.sentences.push(format!(
                "One factor carries {:.0} % (95 % [{lo:.0}, {hi:.0}]) of the squared shifts of {} preferences in {} conditions; with each condition's shifts permuted, {:.0} to {:.0} % (p = {:.3}).",
                100.0 * f.share.value,
                f.preferences.len(),
                f.conditions.len(),
                100.0 * f.null.lo,
                100.0 * f.null.hi,
                f.p,
            ));
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

    /// Does the cluster appear where a fine-tune was kept from a direction?
    fn prevented(&mut self, run: &Run, m: &Measured) -> Result<(), StudyError> {
        let study = run.study;
        let (draws, seed) = (study.written.draws.bootstrap, study.written.seed);
        for (i, c) in study.conditions.iter().enumerate() {
            let twin = study.trains(&c.name);
            let at = study.conditions.iter().position(|o| o.name == twin);
            let (Some(prevent), Some(plain)) = (&c.prevent, at.filter(|p| *p != i)) else {
                continue;
            };
            let own = condition_scores(run, i, &m.scores);
            let unprevented = condition_scores(run, plain, &m.scores);
            let base = condition_scores(run, 0, &m.scores);
            let of = |scores, from, keep: &dyn Fn(&str) -> bool| -> Result<String, StudyError> {
                let values = shift_by_prompt(scores, from, keep);
                if values.is_empty() {
                    return Ok("not asked".into());
                }
                let (e, p) = mean_with_p(&values, draws, seed)?;
                Ok(format!(
                    "{:+.3}, 95 % [{:+.3}, {:+.3}], p = {p:.4}",
                    e.value, e.interval.lo, e.interval.hi
                ))
            };
            let kept = |p: &str| isolated(study, p, twin);
            let claim = |p: &str| p == twin;
            let how = match prevent.mode {
                Mode::ProjectOut => format!("{} projected out in training", prevent.concept),
                Mode::Add => format!(
                    "{:+} RMS of {} added in training",
                    prevent.dose, prevent.concept
                ),
            };
            self.sentences.push(format!(
                "Prevention ({how}): {} against base moves on {twin}'s claim by {} and on isolated preferences by {}; less {twin}, {} and {}.",
                c.name,
                of(&own, &base, &claim)?,
                of(&own, &base, &kept)?,
                of(&own, &unprevented, &claim)?,
                of(&own, &unprevented, &kept)?,
            ));
        }
        Ok(())
    }

    fn conversations(&mut self, run: &Run, m: &Measured) {
        let (Some(talked), Some(cause)) = (&m.talked, &run.study.written.causal) else {
            return;
        };
        let name = |c: usize| run.study.conditions[c].name.as_str();
        let of = |c: usize| name(c) == cause.condition;
        for s in talked.shifts.iter().filter(|s| of(s.condition)) {
            self.sentences.push(format!(
                "After conversations of ordinary turns: {} against {} on isolated preferences {:+.3}, 95 % [{:+.3}, {:+.3}]; the same questions asked fresh {:+.3} [{:+.3}, {:+.3}]; the conversation adds {:+.3} [{:+.3}, {:+.3}], p = {:.3}, n = {} scripts.",
                cause.condition,
                name(m.reference),
                s.after.value, s.after.interval.lo, s.after.interval.hi,
                s.fresh.value, s.fresh.interval.lo, s.fresh.interval.hi,
                s.added.value, s.added.interval.lo, s.added.interval.hi,
                s.p,
                s.after.n,
            ));
        }
        let persona = &run.study.concepts[0].name;
        for s in &talked.stickiness {
            if of(s.condition) && s.axis == *persona && m.layers.first() == Some(&s.layer) {
                let phi = &s.persistence.phi;
                self.sentences.push(format!(
                    "Stickiness: along {persona} at layer {}, {} keeps {:.2} (95 % [{:.2}, {:.2}]) of a deviation from turn to turn; n = {} conversations of {} turns.",
                    s.layer,
                    name(s.condition),
                    phi.value, phi.interval.lo, phi.interval.hi,
                    s.n,
                    s.persistence.turns,
                ));
            }
        }
    }

    fn trajectory(&mut self, run: &Run, m: &Measured) {
        let (Some(f), Some(t)) = (&m.followed, &run.study.written.trajectory) else {
            return;
        };
        for (lead, way) in f
            .leads
            .iter()
            .zip(f.half_ways.iter().filter(|w| w.series != ISOLATED))
        {
            let verdict = match lead.order {
                Order::FirstLeads => "moves first".to_string(),
                Order::SecondLeads => "moves after them".to_string(),
                Order::Undecided => "neither is shown to move first".to_string(),
            };
            let half = match way.step.is_finite() {
                true => format!(
                    "half of its change at step {:.1} [{:.1}, {:.1}]",
                    way.step, way.step_interval.lo, way.step_interval.hi
                ),
                false => "no change to be told from zero".into(),
            };
            self.sentences.push(format!(
                "Trajectory, {} less {}: {} has {half}; against {}: {verdict}.",
                t.condition, t.reference, lead.first, lead.second,
            ));
        }
    }

    fn links(&mut self, m: &Measured) {
        for l in &m.linked {
            let told: Vec<String> = (l.isolated.iter())
                .map(|k| {
                    let (lo, hi) = (k.without.iter())
                        .fold((f64::MAX, f64::MIN), |(lo, hi), (_, r)| {
                            (lo.min(*r), hi.max(*r))
                        });
                    format!(
                        "{} r = {:+.2} (without one condition {lo:+.2} to {hi:+.2}), p = {:.3}",
                        k.predictor, k.r, k.p
                    )
                })
                .collect();
            if let Some(k) = l.isolated.first() {
                self.sentences.push(format!(
                    "Link at layer {}, shift of isolated preferences from base against: {}; n = {} conditions.",
                    l.layer,
                    told.join("; "),
                    k.n_conditions,
                ));
            }
        }
        for r in &m.rankings {
            self.sentences.push(format!(
                "Ranking by {}: {} follow the order known of GPT-4.1 with rho = {:+.2}, one-sided p = {:.3} of {} arrangements.",
                r.measure,
                r.conditions.join(", "),
                r.rho,
                r.p,
                r.arrangements,
            ));
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
        let mut focus = vec![0];
        if let Some(cause) = &study.written.causal {
            let at = |c: &super::manifest::Condition| c.name == cause.condition;
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
