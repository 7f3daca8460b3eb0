//! Everything beside the coupling, over a cohort: states that read the same pairs and texts.
//!
//! State 0 is base, concepts 0 and 1 are persona and autonomy. Shifts, stability and alignment are
//! measured at every layer; transfer, subspaces and regions, which cost more, at the layers asked
//! for. Each number has its own estimator, null and interval in its own file of this room.

use super::projections::{every_projection, mean_of_others, Projections, Ruler};
use super::regions::{
    along, mahalanobis, silhouette, Clouds, Mahalanobis, RegionOptions, Silhouette,
};
use super::shift::{between_poles, mean_shift, BetweenPoles, ShiftInput, ShiftOptions};
use super::stability::{direction_stability, linear_cka, Cka, Stability};
use super::subspace_curve::{subspace_curve, CurveOptions, Differences, OverlapAt};
use super::transfer::transfer_auroc;
use super::{contrast, Contrast, Coupling, CouplingOptions, Form, GeometryError, Over};
use crate::stats::area::Area;
use crate::stats::mixture::{bimodality, Bimodality};
use crate::stats::shrinkage::ledoit_wolf;
use ndarray::{s, Array2, Array3, ArrayView2, ArrayView3, Axis};

/// What was read in one state.
#[derive(Debug, Clone)]
pub struct Reading<'a> {
    /// Positive less negative of each concept, `[concept]` -> `(n_pairs, n_layers, d)`.
    pub differences: &'a [Array3<f32>],
    /// Positive and negative side of persona and of autonomy, `(n_pairs, n_layers, d)`.
    pub sides: [(ArrayView3<'a, f32>, ArrayView3<'a, f32>); 2],
    /// The neutral texts, `(n_texts, n_layers, d)`.
    pub neutral: ArrayView3<'a, f32>,
}

impl Reading<'_> {
    /// Mean difference of a concept, `(n_layers, d)`.
    pub fn direction(&self, concept: usize) -> Array2<f64> {
        mean(self.differences[concept].view())
    }
}

/// Mean over the first axis, `(n_layers, d)`.
fn mean(rows: ArrayView3<f32>) -> Array2<f64> {
    let n = rows.dim().0.max(1) as f64;
    rows.mapv(f64::from).sum_axis(Axis(0)) / n
}

/// States that read the same texts, base first.
#[derive(Debug, Clone)]
pub struct Cohort<'a> {
    /// `[state]`.
    pub states: Vec<Reading<'a>>,
    /// Prompt of each pair, `[concept][pair]`.
    pub clusters: &'a [Vec<usize>],
    /// `[state]`: the fine-tunes whose mean is taken for the part of this one's shift that
    /// fine-tunes share; without any there is no unshared part.
    pub others: Vec<Vec<usize>>,
    /// Nulls, placebos, draws, level and seed are those of the coupling.
    pub options: &'a CouplingOptions,
}

/// The whole of a shift, or what it does not share with other fine-tunes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Tuned less base.
    Whole,
    /// Tuned less the mean of other fine-tunes.
    Unshared,
}

impl Part {
    /// Name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Part::Whole => "whole",
            Part::Unshared => "unshared",
        }
    }
}

/// The shift of one state on every axis.
#[derive(Debug, Clone)]
pub struct Moved {
    /// State.
    pub state: usize,
    /// Which part of it.
    pub part: Part,
    /// On all axes, by layer.
    pub on: Projections,
}

/// Transfer of one concept's direction to the other's pairs.
#[derive(Debug, Clone)]
pub struct Transferred {
    /// State.
    pub state: usize,
    /// Concept of the direction.
    pub from: usize,
    /// Concept of the pairs.
    pub to: usize,
    /// Index of the layer.
    pub layer: usize,
    /// AUROC.
    pub area: Area,
}

/// States as clouds of activations at one layer.
#[derive(Debug, Clone)]
pub struct Region {
    /// Index of the layer.
    pub layer: usize,
    /// How far the states are clouds of their own.
    pub silhouette: Silhouette,
    /// Distance of each state from base.
    pub distances: Vec<Mahalanobis>,
    /// `[state - 1]`: one or two modes along base's persona direction, base's texts and the state's together.
    pub modes: Vec<Bimodality>,
}

/// Everything beside the coupling.
#[derive(Debug, Clone)]
pub struct Beside {
    /// Shifts of every tuned state.
    pub shifts: Vec<Moved>,
    /// `[state - 1][layer]`.
    pub poles: Vec<Vec<BetweenPoles>>,
    /// `(tuned, tuned, n_layers)`; none with fewer than two tuned states.
    pub shift_cosines: Option<Array3<f64>>,
    /// `[state - 1][concept][layer]`.
    pub stability: Vec<Vec<Vec<Stability>>>,
    /// `[state - 1][layer]`.
    pub alignment: Vec<Vec<Cka>>,
    /// At the layers asked for.
    pub transfer: Vec<Transferred>,
    /// `(state, layer, curve over k)`.
    pub overlap: Vec<(usize, usize, Vec<OverlapAt>)>,
    /// By layer.
    pub regions: Vec<Region>,
    /// Neutral texts.
    pub n_texts: usize,
}

impl Cohort<'_> {
    /// Measures everything; transfer, subspaces and regions at the indices `at` of layers.
    ///
    /// Errors as the parts.
    pub fn beside(&self, at: &[usize]) -> Result<Beside, GeometryError> {
        Ok(Beside {
            shifts: self.shifts()?,
            poles: self.poles()?,
            shift_cosines: match self.states.len() {
                0..=2 => None,
                _ => Some(self.shift_cosines()?),
            },
            stability: self.stability()?,
            alignment: self.alignment()?,
            transfer: self.transfer(at)?,
            overlap: self.overlap(at)?,
            regions: self.regions(at)?,
            n_texts: self.states[0].neutral.dim().0,
        })
    }

    /// States but base.
    pub fn tuned(&self) -> std::ops::Range<usize> {
        1..self.states.len()
    }

    fn shift_options(&self) -> ShiftOptions {
        ShiftOptions {
            draws: self.options.draws,
            level: self.options.level,
            seed: self.options.seed,
        }
    }

    /// Shifts of every state, whole and, where there are others, unshared.
    ///
    /// Errors as [`every_projection`].
    pub fn shifts(&self) -> Result<Vec<Moved>, GeometryError> {
        let base = &self.states[0];
        let clusters: Vec<usize> = (0..base.neutral.dim().0).collect();
        let placebos: Vec<Array2<f64>> = (self.options.placebos.iter())
            .map(|&c| base.direction(c))
            .collect();
        let (persona, autonomy) = (base.direction(0), base.direction(1));
        let neutral: Vec<ArrayView3<f32>> = self.states.iter().map(|s| s.neutral.view()).collect();
        let mut out = Vec::new();
        for m in self.tuned() {
            let own = (self.states[m].direction(0), self.states[m].direction(1));
            let placebos: Vec<ArrayView2<f64>> = placebos.iter().map(|p| p.view()).collect();
            let ruler = Ruler {
                persona_base: persona.view(),
                autonomy_base: autonomy.view(),
                persona_own: own.0.view(),
                autonomy_own: own.1.view(),
                placebos: &placebos,
                background: base.neutral.view(),
            };
            let shared = match self.others[m].is_empty() {
                true => None,
                false => Some(mean_of_others(&neutral, &self.others[m], m)?),
            };
            let bases = std::iter::once((Part::Whole, base.neutral.view()))
                .chain(shared.iter().map(|o| (Part::Unshared, o.view())));
            for (part, from) in bases {
                let input = ShiftInput {
                    tuned: neutral[m].view(),
                    base: from,
                    clusters: &clusters,
                };
                out.push(Moved {
                    state: m,
                    part,
                    on: every_projection(&input, &ruler, self.shift_options())?,
                });
            }
        }
        Ok(out)
    }

    /// Movement of every tuned state between base's persona poles, `[state - 1][layer]`.
    ///
    /// Errors as [`between_poles`].
    pub fn poles(&self) -> Result<Vec<Vec<BetweenPoles>>, GeometryError> {
        let base = &self.states[0];
        let clusters: Vec<usize> = (0..base.neutral.dim().0).collect();
        let (positive, negative) = (mean(base.sides[0].0.view()), mean(base.sides[0].1.view()));
        self.tuned()
            .map(|m| {
                let input = ShiftInput {
                    tuned: self.states[m].neutral.view(),
                    base: base.neutral.view(),
                    clusters: &clusters,
                };
                let options = self.shift_options();
                between_poles(&input, negative.view(), positive.view(), options)
            })
            .collect()
    }

    /// Cosines between the mean shifts of all tuned states, `(tuned, tuned, n_layers)`.
    ///
    /// Errors as [`super::shift::shift_cosines`].
    pub fn shift_cosines(&self) -> Result<Array3<f64>, GeometryError> {
        let base = &self.states[0];
        let clusters: Vec<usize> = (0..base.neutral.dim().0).collect();
        let means = self
            .tuned()
            .map(|m| {
                mean_shift(&ShiftInput {
                    tuned: self.states[m].neutral.view(),
                    base: base.neutral.view(),
                    clusters: &clusters,
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        super::shift::shift_cosines(&means)
    }

    /// Stability of every direction against base's, `[state - 1][concept][layer]`.
    ///
    /// Errors as [`direction_stability`].
    pub fn stability(&self) -> Result<Vec<Vec<Vec<Stability>>>, GeometryError> {
        let base = &self.states[0];
        self.tuned()
            .map(|m| {
                (0..base.differences.len())
                    .map(|c| {
                        direction_stability(
                            base.differences[c].view(),
                            self.states[m].differences[c].view(),
                            &self.clusters[c],
                            self.options.level,
                        )
                    })
                    .collect()
            })
            .collect()
    }

    /// CKA of every tuned state with base on the neutral texts, `[state - 1][layer]`.
    ///
    /// Errors as [`linear_cka`].
    pub fn alignment(&self) -> Result<Vec<Vec<Cka>>, GeometryError> {
        self.tuned()
            .map(|m| linear_cka(self.states[0].neutral.view(), self.states[m].neutral.view()))
            .collect()
    }

    /// Transfer of persona to autonomy pairs and the reverse at the layers `at`.
    ///
    /// Errors as [`transfer_auroc`].
    pub fn transfer(&self, at: &[usize]) -> Result<Vec<Transferred>, GeometryError> {
        let mut out = Vec::new();
        for (state, reading) in self.states.iter().enumerate() {
            for (from, to) in [(0, 1), (1, 0)] {
                let direction = reading.direction(from);
                let (positive, negative) = &reading.sides[to];
                for &layer in at {
                    let row = direction.row(layer);
                    let unit = row.mapv(|v| (v / row.dot(&row).sqrt()) as f32);
                    let area = transfer_auroc(
                        unit.view(),
                        positive.index_axis(Axis(1), layer),
                        negative.index_axis(Axis(1), layer),
                        &self.clusters[to],
                        self.options.flips,
                        self.options.level,
                        self.options.seed,
                    )?;
                    out.push(Transferred {
                        state,
                        from,
                        to,
                        layer,
                        area,
                    });
                }
            }
        }
        Ok(out)
    }

    /// Overlap of the persona and autonomy subspaces for growing k, `(state, layer, curve)`, at the layers `at`.
    ///
    /// Errors as [`subspace_curve`].
    pub fn overlap(
        &self,
        at: &[usize],
    ) -> Result<Vec<(usize, usize, Vec<OverlapAt>)>, GeometryError> {
        let mut out = Vec::new();
        for (state, reading) in self.states.iter().enumerate() {
            for &layer in at {
                let side = |c: usize| Differences {
                    rows: reading.differences[c].index_axis(Axis(1), layer),
                    clusters: &self.clusters[c],
                };
                let covariance = ledoit_wolf(reading.neutral.index_axis(Axis(1), layer))?;
                let options = CurveOptions {
                    level: self.options.level,
                    seed: self.options.seed,
                    ..CurveOptions::default()
                };
                let curve = subspace_curve(side(0), side(1), &covariance, options)?;
                out.push((state, layer, curve));
            }
        }
        Ok(out)
    }

    /// The states as regions of activation space at the layers `at`; none with base alone.
    ///
    /// Errors as [`silhouette`], [`mahalanobis`] and [`bimodality`].
    pub fn regions(&self, at: &[usize]) -> Result<Vec<Region>, GeometryError> {
        if self.states.len() < 2 {
            return Ok(Vec::new());
        }
        let clusters: Vec<usize> = (0..self.states[0].neutral.dim().0).collect();
        let persona = self.states[0].direction(0);
        let options = RegionOptions {
            level: self.options.level,
            seed: self.options.seed,
            ..RegionOptions::default()
        };
        at.iter()
            .map(|&layer| {
                let states: Vec<ArrayView2<f32>> = (self.states.iter())
                    .map(|s| s.neutral.index_axis(Axis(1), layer))
                    .collect();
                let clouds = Clouds {
                    states: &states,
                    clusters: &clusters,
                };
                let modes = self
                    .tuned()
                    .map(|m| {
                        let mut both = along(states[0].view(), persona.row(layer));
                        both.extend(along(states[m].view(), persona.row(layer)));
                        Ok(bimodality(&both)?)
                    })
                    .collect::<Result<Vec<_>, GeometryError>>()?;
                Ok(Region {
                    layer,
                    silhouette: silhouette(&clouds, options)?,
                    distances: mahalanobis(&clouds, 0, options)?,
                    modes,
                })
            })
            .collect()
    }
}

/// A change of the pair's cosine in one form.
#[derive(Debug, Clone)]
pub struct Change {
    /// `relative`, `plain`, `cleaned` or `whitened`.
    pub form: &'static str,
    /// By layer.
    pub contrast: Contrast,
}

/// Change of the designated pair's cosine from `reference` to `set` in all four forms, the one
/// relative to its ceiling first.
///
/// Errors as [`contrast`].
pub fn changes(
    coupling: &Coupling,
    sets: (&[usize], &[usize]),
    over: Over,
    options: &CouplingOptions,
) -> Result<Vec<Change>, GeometryError> {
    let (a, b) = options.pair;
    let of = |form: &Form, relative: bool| -> Array2<f64> {
        let whole = if relative {
            &form.relative
        } else {
            &form.value
        };
        whole.slice(s![.., a, b, ..]).to_owned() // (state, layer)
    };
    let draws = &coupling.pair_draws;
    [
        ("relative", of(&coupling.raw, true), &draws.relative),
        ("plain", of(&coupling.raw, false), &draws.raw),
        ("cleaned", of(&coupling.cleaned, false), &draws.cleaned),
        ("whitened", of(&coupling.whitened, false), &draws.whitened),
    ]
    .into_iter()
    .map(|(form, value, draws)| {
        let contrast = contrast(
            value.view(),
            draws.view(),
            sets,
            over,
            options.level,
            options.seed,
        )?;
        Ok(Change { form, contrast })
    })
    .collect()
}
