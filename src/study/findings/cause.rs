//! What was found of ablations, of order in time, and of the link over conditions.

use super::Findings;
use crate::causal::{doubts, specificity, Mediation, Order};
use crate::study::cause::{judged, Asked, Mediated, PLACEBO};
use crate::study::measure::Measured;
use crate::study::run::Run;
use crate::study::trajectory::ISOLATED;

impl Findings {
    pub(super) fn ablation(&mut self, m: &Measured) {
        for mediated in &m.mediations {
            // Persona to the preferences; and the way back, autonomy to the claim.
            let tested = match mediated.asked {
                Asked::Preferences => "persona",
                Asked::Claim => "autonomy",
            };
            self.mediated(mediated, tested);
        }
    }

    fn mediated(&mut self, mediated: &Mediated, tested: &str) {
        let all: Vec<&Mediation> = mediated.edits.iter().map(judged).collect();
        let Some(edit) = all.iter().find(|x| x.edit == tested) else {
            return;
        };
        let of = mediated.asked.shift_of();
        let random: Vec<Mediation> = all
            .iter()
            .filter(|x| x.random)
            .map(|x| (*x).clone())
            .collect();
        let against = specificity(edit, &random);
        for x in all.iter().filter(|x| !x.random) {
            let null = match x.edit == tested {
                true => format!("random-direction p {:.2}", against.p),
                false => String::new(),
            };
            let n = format!(
                "{} prompts, {} + {} models",
                x.n_prompts, x.n_seeds, x.n_reference
            );
            let what = format!("shift of {of} left, ablating {}", x.edit);
            self.row(what, x.remaining, x.remaining_interval, null, n);
        }
        let towards = edit.total.signum();
        let as_much = random
            .iter()
            .filter(|r| r.removed * towards >= edit.removed * towards)
            .count();
        let share = match edit.share.is_finite() {
            true => format!(
                ", a share of {:.0} %, 95 % [{:.0}, {:.0}] %",
                100.0 * edit.share,
                100.0 * edit.share_interval.lo,
                100.0 * edit.share_interval.hi
            ),
            false => String::new(),
        };
        let kl = |random: bool| {
            let own = mediated.harms.iter().filter(move |h| match random {
                true => h.random,
                false => h.edit == tested,
            });
            own.map(|h| h.kl)
        };
        let placebos: Vec<String> = (all.iter())
            .filter_map(|x| Some((x, x.edit.strip_suffix(PLACEBO)?)))
            .map(|(x, name)| format!("{name} {:+.3}", x.removed))
            .collect();
        let placebos = match placebos.is_empty() {
            true => String::new(),
            false => format!(" Placebo concepts take: {}.", placebos.join(", ")),
        };
        let damage = format!(
            "On neutral texts this costs up to {:.2} nats a token, a random direction {:.2} to {:.2}.",
            kl(false).fold(0.0, f64::max),
            kl(true).fold(f64::INFINITY, f64::min),
            kl(true).fold(0.0, f64::max),
        );
        self.sentences.push(format!(
            "Projecting the re-extracted {tested} direction out of the fine-tunes of both conditions ({} and {}) at every layer takes {:+.3} (95 % [{:+.3}, {:+.3}] over prompts and fine-tunes{share}) of a shift of the {of} of {:+.3} and leaves {:+.3}; {as_much} of {} covariance-matched random directions take at least as much (p = {:.2}), so this is {}.{placebos} {damage}",
            edit.n_seeds,
            edit.n_reference,
            edit.removed,
            edit.removed_interval.lo,
            edit.removed_interval.hi,
            edit.total,
            edit.remaining,
            random.len(),
            against.p,
            match against.p <= 0.05 {
                true => "more than random directions do",
                false => "not shown to be more than random directions do",
            }
        ));
        let harmed = doubts(tested, &mediated.harms);
        for w in (edit.warnings.iter().chain(&against.warnings)).chain(&harmed) {
            self.warnings
                .push(format!("Ablating {tested} ({of}): {w}."));
        }
    }

    pub(super) fn trajectory(&mut self, run: &Run, m: &Measured) {
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
                _ if way.change_interval.lo.is_nan() => "no interval".into(),
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

    pub(super) fn links(&mut self, m: &Measured) {
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
}
