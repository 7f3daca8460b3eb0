//! The directions of one state, and the rows about them.

use super::{about, quality_options, Doubt, Nuisance, StateDirections, Work};
use crate::analysis::records::*;
use crate::analysis::{Result, BASE};
use crate::directions::{
    agreement, carried, estimate, left_by_eraser, profile, reliability, surprisal,
    surprisal_reliability, Carried, Direction, DirectionError, Eraser, Estimator, Pairs, Profile,
    Quality, QualityOptions,
};
use crate::stats::Interval;
use ndarray::Axis;
use rayon::prelude::*;

/// A direction and where else it was scored.
struct Found {
    profile: Profile,
    /// Base's direction scored in this state; none in base.
    from_base: Option<Carried>,
    /// The direction scored at each further position.
    further: Vec<Carried>,
}

type Tried<T> = std::result::Result<T, DirectionError>;

/// An eraser with what it leaves on held-out rows.
type Erased = (Eraser, f64, Interval);

impl Work<'_> {
    /// Directions of the state `s`.
    pub(super) fn state(
        &self,
        s: usize,
        records: &mut Results,
        doubts: &mut Vec<Doubt>,
    ) -> Result<StateDirections> {
        let nuisances = self.nuisances(s, records)?;
        let mut state = StateDirections { profiles: Vec::new(), nuisances, erasers: Vec::new() };
        for k in 0..self.concepts.len() {
            let layers: Vec<Vec<Found>> = (0..self.readings.layers.len())
                .into_par_iter()
                .map(|l| self.at_layer([s, k, l], &state.nuisances))
                .collect::<Result<_>>()?;
            self.rows(s, k, &layers, records, doubts)?;
            state.erasers.extend(self.erasers(s, k, records)?);
            let mut by_estimator = vec![Vec::new(); self.options.estimators.len()];
            for (e, found) in layers.into_iter().flat_map(|l| l.into_iter().enumerate()) {
                by_estimator[e].push(found.profile);
            }
            state.profiles.push(by_estimator);
        }
        Ok(state)
    }

    /// How the quality of a direction of a state is measured.
    fn quality(&self, s: usize) -> QualityOptions {
        let (base, tuned) = (self.options.draws.bootstrap, self.options.tuned_draws);
        quality_options(self.options, if s == 0 { base } else { tuned })
    }

    /// Name of the k-th concept whose directions are wanted.
    fn concept(&self, k: usize) -> &str {
        &self.readings.concepts[self.concepts[k]].name
    }

    /// The pairs of the k-th concept in a state.
    fn pairs(&self, s: usize, k: usize, l: usize) -> Pairs {
        let c = self.concepts[k];
        self.readings.concepts[c].pairs(&self.readings.acts[s].concepts[c], l)
    }

    fn subject(&self, s: usize, what: &str, l: usize) -> String {
        let state = &self.readings.states[s].id;
        format!("{state}, {what}, layer {}", self.readings.layers[l])
    }

    /// Directions of the nuisances, `[nuisance][layer]`.
    fn nuisances(&self, s: usize, records: &mut Results) -> Result<Vec<Vec<Direction>>> {
        let (splits, seed) = (self.options.splits, self.options.draws.seed);
        let readings = self.readings;
        let mut out = Vec::new();
        for (nuisance, name) in self.nuisances.iter().zip(&self.options.nuisances) {
            let one = |l: usize| -> Tried<(Direction, f64)> {
                match nuisance {
                    Nuisance::Concept(c) => {
                        let pairs = readings.concepts[*c].pairs(&readings.acts[s].concepts[*c], l);
                        let direction = estimate(&pairs, Estimator::MeanDiff, seed)?;
                        let stable = reliability(&pairs, Estimator::MeanDiff, splits, seed)?;
                        Ok((direction, stable))
                    }
                    Nuisance::Surprisal => {
                        let x = readings.acts[s].neutral[0].index_axis(Axis(1), l);
                        let y = &self.log_probs[s];
                        let stable = surprisal_reliability(x, y, splits, seed)?;
                        Ok((surprisal(x, y)?, stable))
                    }
                }
            };
            let layers: Vec<(Direction, f64)> = (0..readings.layers.len())
                .into_par_iter()
                .map(|l| one(l).map_err(about(self.subject(s, name, l))))
                .collect::<Result<_>>()?;
            for ((direction, stable), layer) in layers.iter().zip(&readings.layers) {
                records.nuisances.push(NuisanceRow {
                    state: readings.states[s].id.clone(),
                    nuisance: name.clone(),
                    layer: *layer,
                    norm: direction.raw_norm,
                    reliability: *stable,
                });
            }
            out.push(layers.into_iter().map(|(d, _)| d).collect());
        }
        Ok(out)
    }

    /// Nuisances of the k-th concept, which is none of its own, by name.
    fn others(&self, k: usize) -> Vec<(usize, &str)> {
        let names = self.options.nuisances.iter().map(String::as_str);
        names.enumerate().filter(|(_, n)| *n != self.concept(k)).collect()
    }

    /// Every estimator's direction of the k-th concept at one layer.
    fn at_layer(&self, [s, k, l]: [usize; 3], nuisances: &[Vec<Direction>]) -> Result<Vec<Found>> {
        let (c, options) = (self.concepts[k], self.quality(s));
        let pairs = self.pairs(s, k, l);
        let base = (s > 0).then(|| self.pairs(0, k, l));
        let further: Vec<Pairs> = (self.further.iter())
            .map(|f| self.readings.concepts[c].pairs(&f.acts[s][c], l))
            .collect();
        let others = self.others(k);
        let others: Vec<(&str, &Direction)> =
            (others.iter()).map(|(n, name)| (*name, &nuisances[*n][l])).collect();
        let (rms, lexical) = (self.readings.rms[l], &self.lexical[k]);
        let one = |e: Estimator| -> Tried<Found> {
            let carry = |from: &Pairs, to: &Pairs| carried(from, to, e, options);
            Ok(Found {
                profile: profile(&pairs, e, &others, rms, Some(lexical), options)?,
                from_base: base.as_ref().map(|b| carry(b, &pairs)).transpose()?,
                further: (further.iter()).map(|f| carry(&pairs, f)).collect::<Tried<_>>()?,
            })
        };
        let subject = |e: Estimator| self.subject(s, &format!("{}, {e}", self.concept(k)), l);
        let each = self.options.estimators.iter();
        each.map(|&e| one(e).map_err(about(subject(e)))).collect()
    }

    /// Erasers of the k-th concept by layer; none unless they were asked for.
    fn erasers(&self, s: usize, k: usize, records: &mut Results) -> Result<Option<Vec<Eraser>>> {
        let Some(covariance) = self.options.eraser else {
            return Ok(None);
        };
        let one = |l: usize| -> Tried<Erased> {
            let pairs = self.pairs(s, k, l);
            let eraser = Eraser::of_pairs(&pairs, covariance)?;
            let (auroc, interval) = left_by_eraser(&pairs, covariance, self.quality(s))?;
            Ok((eraser, auroc, interval))
        };
        let subject = |l: usize| self.subject(s, &format!("eraser of {}", self.concept(k)), l);
        let layers: Vec<Erased> = (0..self.readings.layers.len())
            .into_par_iter()
            .map(|l| one(l).map_err(about(subject(l))))
            .collect::<Result<_>>()?;
        for ((eraser, auroc, interval), layer) in layers.iter().zip(&self.readings.layers) {
            records.erasers.push(EraserRow {
                state: self.readings.states[s].id.clone(),
                concept: self.concept(k).into(),
                layer: *layer,
                rank: eraser.rank(),
                estimate: *auroc,
                lo: interval.lo,
                hi: interval.hi,
            });
        }
        Ok(Some(layers.into_iter().map(|(e, ..)| e).collect()))
    }

    /// Rows and doubts about the k-th concept in one state; `found[layer][estimator]`.
    fn rows(
        &self,
        s: usize,
        k: usize,
        found: &[Vec<Found>],
        records: &mut Results,
        doubts: &mut Vec<Doubt>,
    ) -> Result<()> {
        for (e, estimator) in self.options.estimators.iter().enumerate() {
            for (l, &layer) in self.readings.layers.iter().enumerate() {
                let found = &found[l][e];
                self.quality_rows([s, k, e, l], &found.profile, records);
                for warning in &found.profile.quality.warnings {
                    doubts.push(Doubt {
                        about: self.subject(s, &format!("{}, {estimator}", self.concept(k)), l),
                        layer: Some(layer),
                        text: warning.to_string(),
                    });
                }
                let cosines = &found.profile.nuisance_cosines;
                for ((_, nuisance), cosine) in self.others(k).iter().zip(cosines) {
                    records.nuisance_cosines.push(NuisanceCosineRow {
                        state: self.readings.states[s].id.clone(),
                        concept: self.concept(k).into(),
                        estimator: estimator.to_string(),
                        layer,
                        nuisance: nuisance.to_string(),
                        estimate: *cosine,
                    });
                }
                let state = &self.readings.states[s].id;
                let first = self.readings.positions[0];
                let from_base = found.from_base.iter().map(|c| (BASE, first, c));
                let further = self.further.iter().zip(&found.further);
                let further = further.map(|(f, c)| (state.as_str(), f.position, c));
                for (from, position, c) in from_base.chain(further) {
                    records.carried.push(CarriedRow {
                        state: state.clone(),
                        concept: self.concept(k).into(),
                        estimator: estimator.to_string(),
                        layer,
                        from_state: from.into(),
                        position: position.to_string(),
                        cosine: c.cosine,
                        estimate: c.auroc,
                        lo: c.interval.lo,
                        hi: c.interval.hi,
                    });
                }
            }
        }
        for (l, &layer) in self.readings.layers.iter().enumerate() {
            let each: Vec<_> = found[l].iter().map(|f| f.profile.direction.clone()).collect();
            let subject = self.subject(s, self.concept(k), l);
            let cosines = agreement(&each).map_err(about(subject))?;
            for (a, first) in self.options.estimators.iter().enumerate() {
                for (b, second) in self.options.estimators.iter().enumerate().skip(a + 1) {
                    records.agreement.push(AgreementRow {
                        state: self.readings.states[s].id.clone(),
                        concept: self.concept(k).into(),
                        layer,
                        estimator_a: first.to_string(),
                        estimator_b: second.to_string(),
                        estimate: cosines[[a, b]],
                    });
                }
            }
        }
        Ok(())
    }

    /// The direction as it is and, where there are nuisances, its cleaned version: numbers that do
    /// not exist where nothing is left of it.
    fn quality_rows(&self, [s, k, e, l]: [usize; 4], profile: &Profile, records: &mut Results) {
        let chosen = self.choices[k][e].as_ref().is_some_and(|c| c.chosen == l);
        let raw = &profile.quality;
        let row = |form: &str, found: Option<(&Direction, &Quality)>| {
            let number = |of: fn(&Quality) -> f64| found.map_or(f64::NAN, |(_, q)| of(q));
            let norm = found.map_or(f64::NAN, |(d, _)| d.raw_norm);
            QualityRow {
                state: self.readings.states[s].id.clone(),
                concept: self.concept(k).into(),
                estimator: self.options.estimators[e].to_string(),
                form: form.into(),
                layer: self.readings.layers[l],
                estimate: number(|q| q.auroc),
                lo: number(|q| q.auroc_interval.lo),
                hi: number(|q| q.auroc_interval.hi),
                lexical: raw.lexical.words,
                gain: number(|q| q.lexical.gain),
                gain_lo: number(|q| q.lexical.interval.lo),
                gain_hi: number(|q| q.lexical.interval.hi),
                lexical_bigram: raw.lexical_bigram.words,
                gain_bigram: number(|q| q.lexical_bigram.gain),
                gain_bigram_lo: number(|q| q.lexical_bigram.interval.lo),
                gain_bigram_hi: number(|q| q.lexical_bigram.interval.hi),
                reliability: number(|q| q.reliability),
                norm,
                relative_norm: number(|q| q.relative_norm),
                share: norm / profile.direction.raw_norm,
                chosen,
                n: raw.n_prompts,
                pairs: raw.n_pairs,
                templates: raw.n_templates,
            }
        };
        let first = row("raw", Some((&profile.direction, raw)));
        records.quality.push(first);
        if !self.options.nuisances.is_empty() {
            let left = profile.cleaned.as_ref();
            let left = left.map(|c| (&c.direction, &c.quality));
            records.quality.push(row("cleaned", left));
        }
    }

    /// How each layer was chosen.
    pub(super) fn choice_rows(&self) -> Vec<LayerChoiceRow> {
        let mut rows = Vec::new();
        for (k, of_concept) in self.choices.iter().enumerate() {
            for (choice, estimator) in of_concept.iter().zip(&self.options.estimators) {
                let Some(choice) = choice else { continue };
                for (l, &layer) in self.readings.layers.iter().enumerate() {
                    rows.push(LayerChoiceRow {
                        concept: self.concept(k).into(),
                        estimator: estimator.to_string(),
                        layer,
                        separation: choice.separation[l],
                        auroc: choice.auroc[l],
                        chosen: choice.chosen == l,
                        n: choice.n_prompts,
                        pairs: choice.n_pairs,
                    });
                }
            }
        }
        rows
    }
}
