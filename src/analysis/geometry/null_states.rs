//! Null states: adapters with random weights for shifts, shuffled models for couplings.
//!
//! Each is read like any other state, on as little as its null needs: a random adapter on the
//! neutral texts, a shuffled model on the couples' prompts.

use super::{Asked, GeometryOptions, LEVEL};
use crate::analysis::readings::read;
use crate::analysis::records::NullStateRow;
use crate::analysis::roles::place;
use crate::analysis::{ConceptActivations, Readings, Result, StateTexts};
use crate::geometry::nulls::against;
use crate::geometry::population::{population, Population};
use crate::geometry::shift::{mean_shift, ShiftInput};
use crate::model::{Adapter, Decoder};
use crate::stats::linalg::cosine;
use ndarray::{Array1, Array2, Array3, ArrayView3};

type Rows = Result<Vec<NullStateRow>>;

/// Which null states are made, and of what.
pub struct NullStates<'a> {
    /// Base.
    pub decoder: &'a Decoder,
    /// What the states of the readings were read on.
    pub texts: &'a StateTexts,
    /// Adapters with the names of their states.
    pub adapters: &'a [(String, Adapter)],
    /// Random adapters matched to each adapter in targets, rank and size.
    pub random_adapters: usize,
    /// Models with shuffled weights.
    pub shuffled: usize,
}

/// Ranks shifts among those of random adapters, and base's couplings among those of shuffled models.
///
/// # Errors
/// `UnknownName` of a state or concept; the model's, the capture's and the geometry's.
pub fn null_states(
    readings: &Readings,
    options: &GeometryOptions,
    nulls: &NullStates,
    watch: &mut dyn FnMut(&str),
) -> Result<Vec<NullStateRow>> {
    if nulls.random_adapters + nulls.shuffled == 0 {
        return Ok(Vec::new());
    }
    let asked = Asked::new(readings, options)?;
    let mut rows = random_adapters(&asked, nulls, watch)?;
    rows.extend(shuffled(&asked, nulls, watch)?);
    Ok(rows)
}

/// One profile over layers among its null profiles; `of` is null, quantity and concepts.
fn ranked(
    asked: &Asked,
    state: &str,
    (null, quantity, concept_a, concept_b): (&str, &str, String, String),
    observed: &[f64],
    drawn: &Array2<f64>,
) -> Result<Vec<NullStateRow>> {
    let found = against(observed, drawn.view(), LEVEL)?;
    let row = |l: usize| NullStateRow {
        state: state.into(),
        null: null.into(),
        quantity: quantity.into(),
        concept_a: concept_a.clone(),
        concept_b: concept_b.clone(),
        layer: asked.layer(l),
        estimate: observed[l],
        null_lo: found.lo[l],
        null_hi: found.hi[l],
        p: found.p[l],
        p_max: found.p_max[l],
        n: found.n,
    };
    Ok(asked.layers().map(row).collect())
}

/// Shift of texts along a population direction of base, in layer RMS, by layer.
fn profile(asked: &Asked, tuned: ArrayView3<f32>, along: &Population) -> Result<Vec<f64>> {
    let clusters = asked.texts();
    let shift = mean_shift(&ShiftInput {
        tuned: tuned.reborrow(),
        base: asked.readings.acts[0].neutral[0].view(),
        clusters: &clusters,
    })?;
    let value = |l: usize| {
        let v = along.mean.row(l);
        shift.row(l).dot(&v) / v.dot(&v).sqrt() * along.scale(l) / asked.readings.rms[l]
    };
    Ok(asked.layers().map(value).collect())
}

/// Each adapter's shift along base's coupled concepts among those of its random matches.
fn random_adapters(asked: &Asked, nulls: &NullStates, watch: &mut dyn FnMut(&str)) -> Rows {
    let mut rows = Vec::new();
    if nulls.random_adapters == 0 {
        return Ok(rows);
    }
    let readings = asked.readings;
    let ids: Vec<&str> = readings.states.iter().map(|s| s.id.as_str()).collect();
    let axes = (asked.coupled.iter())
        .map(|&c| Ok(population(&asked.source(0, c))?))
        .collect::<Result<Vec<Population>>>()?;
    for (name, trained) in nulls.adapters {
        let m = place("state", name, &ids)?;
        let shape = (nulls.random_adapters, readings.layers.len());
        let mut drawn = vec![Array2::<f64>::zeros(shape); axes.len()];
        for i in 0..nulls.random_adapters {
            watch(&format!("{name}, random adapter {}", i + 1));
            let random = trained.matched_random(asked.options.seed, i as u64)?;
            let decoder = nulls.decoder.merged(&random)?;
            let neutral = first(asked, &decoder, &nulls.texts.neutral)?;
            for (null, along) in drawn.iter_mut().zip(&axes) {
                let values = profile(asked, neutral.view(), along)?;
                null.row_mut(i).assign(&Array1::from(values));
            }
        }
        for ((null, along), &c) in drawn.iter().zip(&axes).zip(&asked.coupled) {
            let observed = profile(asked, readings.acts[m].neutral[0].view(), along)?;
            let of = ("random-adapter", "shift", asked.concept(c), String::new());
            rows.extend(ranked(asked, name, of, &observed, null)?);
        }
    }
    Ok(rows)
}

/// Base's cosine of every couple among those of models with shuffled weights.
fn shuffled(asked: &Asked, nulls: &NullStates, watch: &mut dyn FnMut(&str)) -> Rows {
    let mut rows = Vec::new();
    if nulls.shuffled == 0 {
        return Ok(rows);
    }
    let cosines = |directions: &[Array2<f64>], (a, b): (usize, usize)| -> Vec<f64> {
        let of = |c: usize| {
            let i = asked.coupled.iter().position(|&k| k == c);
            &directions[i.unwrap_or_default()]
        };
        let at = |l: usize| cosine(of(a).row(l), of(b).row(l));
        asked.layers().map(at).collect()
    };
    let shape = (nulls.shuffled, asked.readings.layers.len());
    let mut drawn = vec![Array2::<f64>::zeros(shape); asked.couples.len()];
    for i in 0..nulls.shuffled {
        watch(&format!("shuffled model {}", i + 1));
        let decoder = nulls.decoder.shuffled(asked.options.seed, i as u64)?;
        let directions = (asked.coupled.iter())
            .map(|&c| {
                let both = first(asked, &decoder, &nulls.texts.concepts[c].texts)?;
                Ok(ConceptActivations::of_turns(&both).direction())
            })
            .collect::<Result<Vec<_>>>()?;
        for (null, &couple) in drawn.iter_mut().zip(&asked.couples) {
            let values = cosines(&directions, couple);
            null.row_mut(i).assign(&Array1::from(values));
        }
    }
    let base: Vec<Array2<f64>> =
        (asked.coupled.iter()).map(|&c| asked.readings.acts[0].concepts[c].direction()).collect();
    for (null, &(a, b)) in drawn.iter().zip(&asked.couples) {
        let of = ("shuffled-weights", "cosine", asked.concept(a), asked.concept(b));
        rows.extend(ranked(asked, &asked.state(0), of, &cosines(&base, (a, b)), null)?);
    }
    Ok(rows)
}

/// Activations of texts at the first position of the readings, `(texts, layers, d)`.
fn first(asked: &Asked, decoder: &Decoder, texts: &[crate::model::Tokens]) -> Result<Array3<f32>> {
    let (layers, positions) = (&asked.readings.layers, &asked.readings.positions[..1]);
    let mut all = read(decoder, texts, layers, positions, &mut || {})?;
    Ok(all.swap_remove(0))
}
