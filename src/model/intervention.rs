//! Interventions on the residual stream: add a vector, or project a direction out.
//!
//! Each acts at one hook point on all rows but those at position 0 (the attention sink, whose norm
//! is hundreds of times that of other tokens and is no site of content). A dose of 0 is no hook at
//! all, so it is bit-identical to a plain run; an ablation leaves a projection of 0 up to rounding.

use super::error::{ModelError, Result};
use super::hooks::{HookPoint, Hooks, Site};
use crate::ops::with_values;
use candle_core::Tensor;
use std::collections::BTreeMap;

/// What is done to a row x of width D.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// `x + vector`.
    Add(Vec<f32>),
    /// `x - (x.u) u`, u the normalised vector.
    ProjectOut(Vec<f32>),
}

/// Edits by hook point.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Interventions {
    edits: BTreeMap<HookPoint, Vec<Edit>>,
}

impl Interventions {
    pub fn none() -> Self {
        Self::default()
    }

    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// Adds `dose` times the direction at the output of block `layer`; a dose of 0 adds no hook.
    pub fn add(mut self, layer: usize, direction: &[f32], dose: f64) -> Result<Self> {
        if dose == 0.0 {
            return Ok(self);
        }
        usable(direction)?;
        let v = direction
            .iter()
            .map(|x| (*x as f64 * dose) as f32)
            .collect();
        let at = self.edits.entry(HookPoint::resid_post(layer)).or_default();
        at.push(Edit::Add(v));
        Ok(self)
    }

    /// Projects a direction out at one hook point.
    pub fn project_out(mut self, point: HookPoint, direction: &[f32]) -> Result<Self> {
        usable(direction)?;
        let norm = direction
            .iter()
            .map(|x| (*x as f64).powi(2))
            .sum::<f64>()
            .sqrt();
        let unit = direction
            .iter()
            .map(|x| (*x as f64 / norm) as f32)
            .collect();
        self.edits
            .entry(point)
            .or_default()
            .push(Edit::ProjectOut(unit));
        Ok(self)
    }

    /// Projects `directions[l]` out of the stream in every block l: after attention and at its end.
    pub fn project_out_everywhere(mut self, directions: &[Vec<f32>]) -> Result<Self> {
        for (l, d) in directions.iter().enumerate() {
            for site in [Site::ResidMid, Site::ResidPost] {
                self = self.project_out(HookPoint::new(site, l), d)?;
            }
        }
        Ok(self)
    }

    /// Registers the edits. An edit beyond the model's depth or of another width is an error.
    pub fn install<'a>(
        &'a self,
        hooks: &mut Hooks<'a>,
        layers: usize,
        hidden: usize,
    ) -> Result<()> {
        for (point, edits) in &self.edits {
            let site = point.to_string();
            HookPoint::parse(&site, layers)?;
            let width = |e: &Edit| match e {
                Edit::Add(v) | Edit::ProjectOut(v) => v.len(),
            };
            if let Some(e) = edits.iter().find(|e| width(e) != hidden) {
                return Err(ModelError::NothingTouched(format!(
                    "the vector for {site} has {} dimensions, the model {hidden}",
                    width(e)
                )));
            }
        }
        if !self.edits.is_empty() {
            hooks.on(self.edits.keys().copied(), |point, x, at| {
                let mut x = x.clone();
                for e in self.edits.get(&point).into_iter().flatten() {
                    x = edit(&x, e, at)?;
                }
                Ok(Some(x))
            });
        }
        Ok(())
    }
}

fn usable(direction: &[f32]) -> Result<()> {
    let ok = direction.iter().all(|x| x.is_finite()) && direction.iter().any(|x| *x != 0.0);
    if ok {
        return Ok(());
    }
    Err(ModelError::NothingTouched(
        "the direction is zero or not finite".into(),
    ))
}

/// `x (N, D)`; rows at position 0 are left alone.
fn edit(x: &Tensor, edit: &Edit, positions: &[u32]) -> Result<Tensor> {
    let (n, d) = x.dims2()?;
    let out = with_values(x, |x| {
        let mut out = x.to_vec();
        for (row, _) in out.chunks_mut(d).zip(positions).filter(|(_, p)| **p > 0) {
            match edit {
                Edit::Add(v) => row.iter_mut().zip(v).for_each(|(x, v)| *x += v),
                Edit::ProjectOut(u) => {
                    let dot: f64 = row.iter().zip(u).map(|(x, u)| *x as f64 * *u as f64).sum();
                    row.iter_mut()
                        .zip(u)
                        .for_each(|(x, u)| *x = (*x as f64 - dot * *u as f64) as f32);
                }
            }
        }
        Ok(out)
    })?;
    Ok(Tensor::from_vec(out, (n, d), x.device())?)
}
