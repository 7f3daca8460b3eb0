//! Activations kept by token, to be swapped into another state at the same tokens.
//!
//! A token is known by the digest of the text up to and including it, so a recording serves any
//! batch in which its texts occur, whatever stands beside them. Held in memory: a row of width D
//! at a point costs 4 D bytes.

use super::decoder::Decoder;
use super::error::{ModelError, Result};
use super::hooks::{HookPoint, Hooks, Site};
use super::intervention::Interventions;
use super::packed::{plan, Packed};
use super::tokenizer::Tokens;
use std::collections::{BTreeMap, HashMap};

/// Rows of a recording batch.
const BUDGET: usize = 1024;

/// Activations of one model state at some hook points.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    points: BTreeMap<HookPoint, HashMap<u64, Vec<f32>>>,
}

impl Recording {
    /// Runs the texts through `model`, itself under `interventions`, and keeps what it has at
    /// `points`. The final norm has no place here: it is taken of chosen rows only.
    pub fn of(
        model: &Decoder,
        texts: &[Tokens],
        points: &[HookPoint],
        interventions: &Interventions,
    ) -> Result<Self> {
        for p in points {
            HookPoint::parse(&p.to_string(), model.layers())?;
            if p.site == Site::FinalNorm {
                return Err(ModelError::HookPoint {
                    name: p.to_string(),
                    hint: "cannot be recorded; record the residual stream below it".into(),
                });
            }
        }
        let mut kept: BTreeMap<HookPoint, HashMap<u64, Vec<f32>>> = BTreeMap::new();
        let ids: Vec<&[u32]> = texts.iter().map(|t| t.ids.as_slice()).collect();
        for batch in plan(&ids, BUDGET) {
            let packed = Packed::of(&batch.iter().map(|&i| &texts[i]).collect::<Vec<_>>());
            let mut hooks = Hooks::none();
            interventions.install(&mut hooks, model.layers(), model.hidden())?;
            hooks.on(points.iter().copied(), |point, x, places| {
                let rows: Vec<Vec<f32>> = x.to_vec2()?;
                let entries = places.prefixes.iter().copied().zip(rows);
                kept.entry(point).or_default().extend(entries);
                Ok(None)
            });
            model.forward(&packed, &mut hooks)?;
        }
        interventions.check_touched()?;
        Ok(Recording { points: kept })
    }

    /// The points at which there are activations.
    pub fn points(&self) -> impl Iterator<Item = HookPoint> + '_ {
        self.points.keys().copied()
    }

    /// The activation `(D)` of the token that ends a text with this digest.
    pub fn get(&self, point: HookPoint, prefix: u64) -> Option<&[f32]> {
        let row = self.points.get(&point)?.get(&prefix);
        row.map(Vec::as_slice)
    }
}
