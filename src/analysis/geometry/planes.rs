//! Conditions in a plane: how far the neutral texts of each lie from base along two directions.
//!
//! Of the directions of each couple in base, as measured, and of the first two principal components of
//! the conditions' mean shifts, base with its shift of 0 among them. Every condition has the region of its
//! mean over texts; its fine-tunes are points beside it. At the blocks of
//! [`super::GeometryOptions::at`], at the first position.

use super::shifts::InBase;
use super::{Asked, LEVEL};
use crate::analysis::records::*;
use crate::analysis::state::by_condition;
use crate::analysis::{Result, BASE};
use crate::geometry::plane::{components, region};
use crate::stats::interval::{percentile, Interval};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

/// A condition, or one of its several states, with the shift of each text from base.
struct Set {
    kind: &'static str,
    name: String,
    condition: String,
    states: usize,
    /// `(texts, d)`.
    shifts: Array2<f64>,
}

impl Set {
    /// Mean shift, `(d)`.
    fn mean(&self) -> Array1<f64> {
        self.shifts.sum_axis(Axis(0)) / self.shifts.nrows() as f64
    }
}

/// Two directions with their names.
struct Plane {
    kind: &'static str,
    names: [String; 2],
    /// Unit vectors `(d)`.
    axes: [Array1<f64>; 2],
    share: [f64; 2],
}

/// Every condition and state in every plane; none with base alone.
pub(super) fn planes(asked: &Asked, base: &InBase) -> Result<Vec<PlaneRow>> {
    let mut rows = Vec::new();
    for &l in &asked.at {
        let sets = sets(asked, l);
        let means: Vec<(&Set, Array1<f64>)> = sets.iter().map(|s| (s, s.mean())).collect();
        let mut planes = of_couples(asked, base, l);
        planes.extend(of_components(&means)?);
        let rms = asked.readings.rms[l];
        for plane in &planes {
            for (set, mean) in &means {
                let null = match plane.kind {
                    CONCEPTS => along_random(base, l, mean.view()),
                    _ => Interval::UNDEFINED,
                };
                let coordinates = Array2::from_shape_fn((set.shifts.nrows(), 2), |(i, axis)| {
                    set.shifts.row(i).dot(&plane.axes[axis]) / rms
                });
                let at = region(coordinates.view(), LEVEL)?;
                let [axis_x, axis_y] = plane.names.clone();
                rows.push(PlaneRow {
                    plane: plane.kind.into(),
                    axis_x,
                    axis_y,
                    layer: asked.layer(l),
                    kind: set.kind.into(),
                    set: set.name.clone(),
                    condition: set.condition.clone(),
                    x: at.at[0],
                    y: at.at[1],
                    major: at.half[0],
                    minor: at.half[1],
                    angle: at.angle,
                    cosine: plane.axes[0].dot(&plane.axes[1]),
                    share_x: plane.share[0],
                    share_y: plane.share[1],
                    null_lo: null.lo / rms,
                    null_hi: null.hi / rms,
                    states: set.states,
                    n: set.shifts.nrows(),
                });
            }
        }
    }
    Ok(rows)
}

const CONCEPTS: &str = "concepts";

/// Conditions other than base, then the states of those that have several.
fn sets(asked: &Asked, l: usize) -> Vec<Set> {
    let readings = asked.readings;
    let texts = |state: usize| -> ArrayView2<f32> {
        readings.acts[state].neutral[0].index_axis(Axis(1), l) // (texts, d)
    };
    let shift = |state: usize| texts(state).mapv(f64::from) - texts(0).mapv(f64::from);
    let (mut sets, mut single) = (Vec::new(), Vec::new());
    for (condition, states) in by_condition(&readings.states) {
        let tuned: Vec<usize> = states.into_iter().filter(|&s| s > 0).collect();
        if condition == BASE || tuned.is_empty() {
            continue;
        }
        let each: Vec<Array2<f64>> = tuned.iter().map(|&s| shift(s)).collect();
        let sum = each.iter().fold(Array2::zeros(each[0].dim()), |sum, one| sum + one);
        let set = |kind, name: &str, states, shifts| {
            let (name, condition) = (name.to_owned(), condition.to_owned());
            Set { kind, name, condition, states, shifts }
        };
        sets.push(set("condition", condition, tuned.len(), sum / tuned.len() as f64));
        if tuned.len() > 1 {
            let states = tuned.iter().zip(each);
            single.extend(states.map(|(&s, one)| set("state", &readings.states[s].id, 1, one)));
        }
    }
    sets.extend(single);
    sets
}

/// The planes of the couples' directions in base.
fn of_couples(asked: &Asked, base: &InBase, l: usize) -> Vec<Plane> {
    let unit = |concept: usize| {
        let own = base.along.iter().find(|a| a.concept == concept && a.is_plain())?;
        let v = own.direction.mean.row(l).to_owned(); // (d)
        let length = v.dot(&v).sqrt();
        (length > 0.0).then(|| v / length)
    };
    let plane = |&(a, b): &(usize, usize)| {
        Some(Plane {
            kind: CONCEPTS,
            names: [asked.concept(a), asked.concept(b)],
            axes: [unit(a)?, unit(b)?],
            share: [f64::NAN; 2],
        })
    };
    asked.couples.iter().filter_map(plane).collect()
}

/// The plane in which the conditions' means and base lie furthest apart, where there is one.
fn of_components(means: &[(&Set, Array1<f64>)]) -> Result<Option<Plane>> {
    let of: Vec<ArrayView1<f64>> =
        means.iter().filter(|(s, _)| s.kind == "condition").map(|(_, m)| m.view()).collect();
    let width = of.first().map_or(0, |m| m.len());
    // The last row is base.
    let mut points = Array2::zeros((of.len() + 1, width));
    for (mut row, mean) in points.outer_iter_mut().zip(of) {
        row.assign(&mean);
    }
    let found = components(points.view())?;
    Ok(found.map(|c| Plane {
        kind: "components",
        names: ["component 1", "component 2"].map(String::from),
        axes: c.axes,
        share: c.share,
    }))
}

/// Where random directions of the layer's covariance put a mean shift, in activation units.
fn along_random(base: &InBase, l: usize, mean: ArrayView1<f64>) -> Interval {
    let length = mean.dot(&mean).sqrt();
    let mut along: Vec<f64> =
        base.random[0].cosines(l, mean).into_iter().map(|c| c * length).collect();
    percentile(&mut along, LEVEL)
}
