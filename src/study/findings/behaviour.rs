//! What was found of claims and preferences, fresh and in conversations.

use super::{direction, show, Findings};
use crate::finetune::Mode;
use crate::study::measure::Measured;
use crate::study::run::Run;
use crate::study::scores::{condition_scores, isolated, mean_with_p, shift_by_prompt};
use crate::study::StudyError;

impl Findings {
    pub(super) fn behaviour(
        &mut self,
        run: &Run,
        m: &Measured,
        name: &str,
    ) -> Result<(), StudyError> {
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

    pub(super) fn manipulation(&mut self, run: &Run, m: &Measured) {
        let names = run.study.conditions.iter().map(|c| c.name.as_str());
        let took: Vec<_> = names.filter_map(|n| m.claims.took(n)).collect();
        if took.is_empty() {
            return;
        }
        let missed: Vec<String> = (took.iter().filter(|t| t.ahead > 0.0))
            .map(|t| format!("{} (most on {}'s, {:+.2} ahead)", t.state, t.most, t.ahead))
            .collect();
        let elsewhere: Vec<String> = (took.iter())
            .filter_map(|t| Some((t, t.most_beyond.as_ref()?)))
            .filter(|(t, most)| **most != t.state)
            .map(|(t, most)| format!("{} (most on {most}'s)", t.state))
            .collect();
        let but = |those: &[String]| match those.is_empty() {
            true => String::new(),
            false => format!(", not {}", those.join(", ")),
        };
        self.sentences.push(format!(
            "Manipulation check, all claims: {} of {} fine-tuned conditions move most on their own claim{}; beyond what the other conditions move the same claim, {} of {}{}.",
            took.len() - missed.len(),
            took.len(),
            but(&missed),
            took.len() - elsewhere.len(),
            took.len(),
            but(&elsewhere),
        ));
    }

    pub(super) fn one_factor(&mut self, m: &Measured) {
        if let Some(f) = &m.one_factor {
            let (lo, hi) = (100.0 * f.share.interval.lo, 100.0 * f.share.interval.hi);
            self.sentences.push(format!(
                "One factor carries {:.0} % (95 % [{lo:.0}, {hi:.0}]) of the squared shifts of {} preferences in {} conditions; with each condition's shifts permuted, {:.0} to {:.0} % (p = {:.4}).",
                100.0 * f.share.value,
                f.preferences.len(),
                f.conditions.len(),
                100.0 * f.null.lo,
                100.0 * f.null.hi,
                f.p,
            ));
        }
    }

    /// Does the cluster appear where a fine-tune was kept from a direction?
    pub(super) fn prevented(&mut self, run: &Run, m: &Measured) -> Result<(), StudyError> {
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

    pub(super) fn conversations(&mut self, run: &Run, m: &Measured) {
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
}
