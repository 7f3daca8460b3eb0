//! Texts run through a model, itself under interventions, to a [`Recording`].

use super::decoder::Decoder;
use super::error::{ModelError, Result};
use super::hooks::{HookPoint, Hooks, Site};
use super::intervention::Interventions;
use super::packed::batches;
use super::recording::Recording;
use super::tokenizer::Tokens;

/// Rows of a recording batch.
const BUDGET: usize = 1024;

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
        let mut kept = Recording::default();
        for (_, packed) in batches(texts, BUDGET) {
            let mut hooks = Hooks::none();
            interventions.install(&mut hooks, model.layers(), model.hidden())?;
            hooks.on(points.iter().copied(), |point, x, places| {
                let rows: Vec<Vec<f32>> = x.to_vec2()?;
                let entries = places.prefixes.iter().copied().zip(rows);
                kept.points.entry(point).or_default().extend(entries);
                Ok(None)
            });
            model.forward(&packed, &mut hooks)?;
        }
        interventions.check_touched()?;
        Ok(kept)
    }
}
