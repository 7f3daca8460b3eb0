//! Interventions: what is done to activations, at which points, on the tokens of which roles.
//!
//! Five edits: add a vector, project a direction out, keep a coordinate within bounds (capping),
//! erase a concept by an affine map of low rank (LEACE's form), and swap in what another state had
//! at the same tokens. None acts at position 0 (the attention sink, whose norm is hundreds of times
//! that of other tokens and is no site of content). A dose of 0 is no hook at all, so it is
//! bit-identical to a plain run, and a row that an edit would not change keeps its bits. Gradients
//! pass through, so the same interventions serve training. Nothing here knows where a vector came
//! from; an edit that touched no token of a run is an error of that run.

use super::error::{ModelError, Result};
use super::hooks::{HookPoint, Hooks, Site};
use super::places::Places;
use super::recording::Recording;
use super::tokenizer::Role;
use crate::ops::edit::{along, edit_rows, RowEdit};
use candle_core::Tensor;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

/// What is done to a row x of width D.
#[derive(Debug, Clone)]
enum Edit {
    /// `x + v`.
    Add(Arc<Vec<f32>>),
    /// `x - sum_k r_k . (x - mean) l_k`.
    Remove {
        left: Arc<Vec<Vec<f32>>>,
        right: Arc<Vec<Vec<f32>>>,
        /// `r_k . mean`.
        offsets: Vec<f64>,
    },
    /// The coordinate along u moved to the nearer bound where it lies outside both.
    Clamp { unit: Vec<f32>, lo: f64, hi: f64 },
    /// The row, or its part along a direction, as another state had it.
    Swap { from: Arc<Recording>, along: Option<Vec<f32>> },
}

/// An edit with the tokens it is for and a count of those it met.
#[derive(Debug, Clone)]
struct Placed {
    edit: Edit,
    roles: Option<Vec<Role>>,
    touched: Arc<AtomicUsize>,
}

/// Edits by hook point, in the order in which they were added. Clones share the counts of touched
/// tokens.
#[derive(Debug, Clone, Default)]
pub struct Interventions {
    edits: BTreeMap<HookPoint, Vec<Placed>>,
}

impl Interventions {
    /// No edits.
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether there are no edits.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    fn place(mut self, point: HookPoint, edit: Edit) -> Self {
        let placed = Placed { edit, roles: None, touched: Arc::default() };
        self.edits.entry(point).or_default().push(placed);
        self
    }

    /// Adds `dose` times the direction at the output of block `layer`; a dose of 0 adds no hook.
    pub fn add(self, layer: usize, direction: &[f32], dose: f64) -> Result<Self> {
        self.add_at(HookPoint::resid_post(layer), direction, dose)
    }

    /// Adds `dose` times the direction at a point; a dose of 0 adds no hook.
    pub fn add_at(self, point: HookPoint, direction: &[f32], dose: f64) -> Result<Self> {
        if dose == 0.0 {
            return Ok(self);
        }
        usable(direction)?;
        if !dose.is_finite() {
            return Err(ModelError::idle("the dose is not finite"));
        }
        let by = |x: &f32| (f64::from(*x) * dose) as f32;
        let v: Vec<f32> = direction.iter().map(by).collect();
        if usable(&v).is_err() {
            let why =
                format!("the dose {dose:e} makes a vector that is zero or not finite in float32");
            return Err(ModelError::idle(why));
        }
        Ok(self.place(point, Edit::Add(Arc::new(v))))
    }

    /// Projects a direction out at one hook point: `x - (x . u) u`.
    pub fn project_out(self, point: HookPoint, direction: &[f32]) -> Result<Self> {
        self.project_part_out(point, direction, 1.0)
    }

    /// Takes a part of the projection out: `x - part (x . u) u`.
    fn project_part_out(self, point: HookPoint, direction: &[f32], part: f64) -> Result<Self> {
        let right = unit(direction)?;
        let left = right.iter().map(|u| (f64::from(*u) * part) as f32).collect();
        let (left, right) = (Arc::new(vec![left]), Arc::new(vec![right]));
        Ok(self.place(point, Edit::Remove { left, right, offsets: vec![0.0] }))
    }

    /// Projects `directions[l]` out of the stream in every block l: after attention and at its end.
    pub fn project_out_everywhere(self, directions: &[Vec<f32>]) -> Result<Self> {
        self.project_part_out_everywhere(directions, 1.0)
    }

    /// Takes a part of the projection out at the same places.
    pub fn project_part_out_everywhere(
        mut self,
        directions: &[Vec<f32>],
        part: f64,
    ) -> Result<Self> {
        for (l, d) in directions.iter().enumerate() {
            for site in [Site::ResidMid, Site::ResidPost] {
                self = self.project_part_out(HookPoint::new(site, l), d, part)?;
            }
        }
        Ok(self)
    }

    /// Keeps the coordinate along a direction within `lo..=hi` (activation capping); an infinite
    /// bound is none. Rows within the bounds keep their bits.
    pub fn clamp(self, point: HookPoint, direction: &[f32], lo: f64, hi: f64) -> Result<Self> {
        let unit = unit(direction)?;
        if lo.is_nan() || hi.is_nan() || lo > hi {
            let why = format!("the bounds {lo} and {hi} hold no value between them");
            return Err(ModelError::idle(why));
        }
        Ok(self.place(point, Edit::Clamp { unit, lo, hi }))
    }

    /// Caps the coordinate along `directions[l]` at `ceilings[l]` at the end of every block l.
    pub fn cap_everywhere(mut self, directions: &[Vec<f32>], ceilings: &[f64]) -> Result<Self> {
        if directions.len() != ceilings.len() {
            let (n, m) = (directions.len(), ceilings.len());
            return Err(ModelError::idle(format!("{n} directions have {m} ceilings")));
        }
        for (l, (d, &hi)) in directions.iter().zip(ceilings).enumerate() {
            self = self.clamp(HookPoint::resid_post(l), d, f64::NEG_INFINITY, hi)?;
        }
        Ok(self)
    }

    /// Erases by `x - sum_k r_k . (x - mean) l_k`: LEACE (Belrose et al. 2023, arXiv 2306.03819)
    /// with its oblique projection given as factors `left (k, D)` and `right (k, D)`.
    pub fn erase(
        self,
        point: HookPoint,
        mean: &[f32],
        left: &[Vec<f32>],
        right: &[Vec<f32>],
    ) -> Result<Self> {
        let wide = |v: &Vec<f32>| v.len() == mean.len();
        let square = left.len() == right.len() && left.iter().chain(right).all(wide);
        if left.is_empty() || !square || mean.iter().any(|m| !m.is_finite()) {
            let why = "an eraser needs a finite mean (D) and two factors (k, D) of one rank k >= 1";
            return Err(ModelError::idle(why));
        }
        left.iter().chain(right).try_for_each(|v| usable(v))?;
        let dot = |r: &Vec<f32>| {
            let both = r.iter().zip(mean);
            both.map(|(r, m)| f64::from(*r) * f64::from(*m)).sum()
        };
        let edit = Edit::Remove {
            offsets: right.iter().map(dot).collect(),
            left: Arc::new(left.to_vec()),
            right: Arc::new(right.to_vec()),
        };
        Ok(self.place(point, edit))
    }

    /// Swaps in what `from` holds of the same tokens at the same point: the whole row, or its part
    /// along a direction. A token that was not recorded is an error of the run.
    pub fn swap(
        self,
        point: HookPoint,
        from: Arc<Recording>,
        along: Option<&[f32]>,
    ) -> Result<Self> {
        if from.points().all(|p| p != point) {
            let why = format!("nothing was recorded at {point}");
            return Err(ModelError::idle(why));
        }
        let along = along.map(unit).transpose()?;
        Ok(self.place(point, Edit::Swap { from, along }))
    }

    /// Limits every edit so far to tokens of these roles.
    pub fn on(mut self, roles: &[Role]) -> Self {
        for placed in self.edits.values_mut().flatten() {
            placed.roles = Some(roles.to_vec());
        }
        self
    }

    /// These edits, then the other's.
    pub fn and(mut self, other: Interventions) -> Self {
        for (point, placed) in other.edits {
            self.edits.entry(point).or_default().extend(placed);
        }
        self
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
            let other = |p: &Placed| p.edit.width().filter(|w| *w != hidden);
            if let Some(width) = edits.iter().find_map(other) {
                let why =
                    format!("the vector for {site} has {width} dimensions, the model {hidden}");
                return Err(ModelError::idle(why));
            }
        }
        if !self.edits.is_empty() {
            hooks.on(self.edits.keys().copied(), |point, x, places| {
                let mut x = x.clone();
                for placed in self.edits.get(&point).into_iter().flatten() {
                    x = placed.apply(point, x, places)?;
                }
                Ok(Some(x))
            });
        }
        Ok(())
    }

    /// Whether every edit has met a token since this was last asked; counts begin anew.
    ///
    /// # Errors
    /// `NothingTouched` names the first that met none: its roles do not occur, or its layer was
    /// never computed.
    pub fn check_touched(&self) -> Result<()> {
        let mut idle = None;
        for (point, placed) in &self.edits {
            for p in placed {
                if p.touched.swap(0, Ordering::Relaxed) == 0 {
                    idle = idle.or(Some((point, &p.roles)));
                }
            }
        }
        let Some((point, roles)) = idle else {
            return Ok(());
        };
        let of = roles.as_ref().map_or(String::new(), |r| format!(" with a role among {r:?}"));
        let why = format!("no token{of} behind the first of a text passed {point}");
        Err(ModelError::idle(why))
    }
}

impl Edit {
    /// Width of its vectors; none where it has none of its own.
    fn width(&self) -> Option<usize> {
        match self {
            Edit::Add(v) => Some(v.len()),
            Edit::Remove { left, .. } => left.first().map(Vec::len),
            Edit::Clamp { unit, .. } => Some(unit.len()),
            Edit::Swap { along, .. } => along.as_ref().map(Vec::len),
        }
    }
}

impl Placed {
    /// Rows that the edit is for.
    fn rows(&self, point: HookPoint, places: &Places) -> Result<Vec<bool>> {
        let mut rows: Vec<bool> = places.positions.iter().map(|&p| p > 0).collect();
        if let Some(wanted) = &self.roles {
            let Some(roles) = &places.roles else {
                let why = format!("the edit at {point} is limited to roles, but this batch was packed without them");
                return Err(ModelError::idle(why));
            };
            let within = rows.iter_mut().zip(roles);
            within.for_each(|(row, role)| *row &= wanted.contains(role));
        }
        Ok(rows)
    }

    /// `x (N, D)` edited.
    fn apply(&self, point: HookPoint, x: Tensor, places: &Places) -> Result<Tensor> {
        let mut rows = self.rows(point, places)?;
        let met = rows.iter().filter(|r| **r).count();
        if met == 0 {
            return Ok(x);
        }
        self.touched.fetch_add(met, Ordering::Relaxed);
        let edit = match &self.edit {
            Edit::Add(v) => RowEdit::Add(v.clone()),
            Edit::Remove { left, right, offsets } => RowEdit::Remove {
                left: left.clone(),
                right: right.clone(),
                offsets: offsets.repeat(rows.len()),
            },
            Edit::Clamp { unit, lo, hi } => {
                let at = along(&x, unit)?;
                let outside = at.iter().map(|a| a < lo || a > hi);
                rows.iter_mut().zip(outside).for_each(|(r, o)| *r &= o);
                let bounds = at.iter().map(|a| a.clamp(*lo, *hi)).collect();
                one_direction(unit, bounds)
            }
            Edit::Swap { from, along: u } => {
                let other = recorded(from, point, &rows, places, &x)?;
                match u {
                    None => RowEdit::Replace(Arc::new(super::weights::host_values(&other)?)),
                    Some(u) => one_direction(u, along(&other, u)?),
                }
            }
        };
        Ok(edit_rows(&x, &Arc::new(rows), edit)?)
    }
}

/// The edit that moves the coordinate along a unit vector to a value of each row's own.
fn one_direction(unit: &[f32], to: Vec<f64>) -> RowEdit {
    let u = Arc::new(vec![unit.to_vec()]);
    RowEdit::Remove { left: u.clone(), right: u, offsets: to }
}

/// What was recorded of each chosen row, `(N, D)`; zero in other rows.
fn recorded(
    from: &Recording,
    point: HookPoint,
    rows: &[bool],
    places: &Places,
    x: &Tensor,
) -> Result<Tensor> {
    let (n, d) = x.dims2()?;
    let mut other = vec![0f32; n * d];
    for (i, out) in other.chunks_mut(d).enumerate().filter(|(i, _)| rows[*i]) {
        match from.get(point, places.prefixes[i]) {
            Some(row) if row.len() == d => out.copy_from_slice(row),
            Some(row) => {
                let had = row.len();
                let why = format!("{had} dimensions were recorded at {point}, the model has {d}");
                return Err(ModelError::idle(why));
            }
            None => {
                return Err(ModelError::NotRecorded {
                    point: point.to_string(),
                    position: places.positions[i],
                })
            }
        }
    }
    Ok(Tensor::from_vec(other, (n, d), x.device())?)
}

fn usable(direction: &[f32]) -> Result<()> {
    match direction.iter().all(|x| x.is_finite()) && direction.iter().any(|x| *x != 0.0) {
        true => Ok(()),
        false => Err(ModelError::idle("the direction is zero or not finite")),
    }
}

/// The direction at length 1; one that is of length 1 to rounding is taken as it is, so that a vector
/// that went through a file keeps its bits.
///
/// # Errors
/// `NothingTouched` where it is zero or not finite.
pub fn unit(direction: &[f32]) -> Result<Vec<f32>> {
    usable(direction)?;
    let squares = direction.iter().map(|x| f64::from(*x).powi(2));
    let norm = squares.sum::<f64>().sqrt();
    if (norm - 1.0).abs() < 1e-6 {
        return Ok(direction.to_vec());
    }
    let scaled = direction.iter().map(|x| (f64::from(*x) / norm) as f32);
    Ok(scaled.collect())
}
