//! What a direction's effect is compared with: random directions, and bounds for capping.
//!
//! Random directions are drawn from N(0, covariance of the layer's neutral activations), so they
//! point where activations really vary; isotropic ones would be too easy a null. One mixture of the
//! texts makes a direction of all layers, which then lasts over layers as a concept's does: drawn
//! anew at each, thirty directions are taken from the stream, and the model breaks. A ceiling is a
//! percentile of single tokens' coordinates, since single tokens are what capping acts on: means
//! over a response spread far less.

use super::{CausalError, Result};
use crate::model::packed::plan;
use crate::model::{Decoder, HookPoint, Hooks, Packed, Role, Tokens};
use crate::ops::edit::along;
use crate::stats::interval::quantile;
use crate::stats::shrinkage::{ledoit_wolf, mixtures};
use crate::stats::StatsError;
use ndarray::{Array2, Array3, ArrayView1, Axis};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A direction at every layer, `[layer][d]`, unit length.
pub type PerLayer = Vec<Vec<f32>>;

/// What an edit is to the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// No direction.
    None,
    /// The concept under test, as the edited state or its counterpart reads it.
    Own,
    /// The concept under test, as base reads it.
    Base,
    /// An unrelated concept.
    Placebo,
    /// Drawn with the covariance of the layer.
    Random,
}

impl Kind {
    pub fn name(self) -> &'static str {
        // In the order of the variants.
        ["none", "own", "base", "placebo", "random"][self as usize]
    }
}

/// A direction with its name and role, by block; unit length.
#[derive(Debug, Clone, PartialEq)]
pub struct Direction {
    /// Distinct among the directions of one question.
    pub name: String,
    pub kind: Kind,
    /// Empty for a random one.
    pub concept: String,
    pub vectors: BTreeMap<usize, Vec<f32>>,
}

impl Direction {
    /// A concept's direction, unit vectors by block; the name says where it is not the concept under
    /// test as its own state reads it.
    pub fn new(concept: &str, kind: Kind, vectors: BTreeMap<usize, Vec<f32>>) -> Self {
        Direction {
            name: match kind {
                Kind::Base | Kind::Placebo => format!("{concept} ({})", kind.name()),
                _ => concept.into(),
            },
            kind,
            concept: concept.into(),
            vectors,
        }
    }

    /// The same from a mean difference `(layers, d)` at the blocks `layers`.
    pub fn of_mean(concept: &str, kind: Kind, mean: &Array2<f64>, layers: &[usize]) -> Self {
        let unit = |r: ArrayView1<f64>| {
            let norm = r.dot(&r).sqrt();
            r.iter().map(|v| (v / norm) as f32).collect()
        };
        let rows = mean.rows().into_iter().map(unit);
        Direction::new(concept, kind, layers.iter().copied().zip(rows).collect())
    }

    /// Random directions, named `random-0`, `random-1`, ...; `background (n, layers, d)` holds the
    /// blocks `layers`.
    pub fn random(
        background: &Array3<f32>,
        layers: &[usize],
        count: usize,
        seed: u64,
    ) -> Result<Vec<Self>, StatsError> {
        let named = |(k, vectors): (usize, PerLayer)| Direction {
            name: format!("random-{k}"),
            kind: Kind::Random,
            concept: String::new(),
            vectors: layers.iter().copied().zip(vectors).collect(),
        };
        let drawn = random_directions(background, count, seed)?;
        Ok(drawn.into_iter().enumerate().map(named).collect())
    }

    /// One vector a block of a model of `depth` blocks.
    ///
    /// # Errors
    /// `Shape` where a block has none.
    pub fn per_layer(&self, depth: usize) -> Result<PerLayer> {
        (0..depth).map(|l| Ok(self.at(l)?.to_vec())).collect()
    }

    /// The vector of a block.
    ///
    /// # Errors
    /// `Shape` where there is none.
    pub fn at(&self, layer: usize) -> Result<&[f32]> {
        let v = self.vectors.get(&layer);
        v.map(Vec::as_slice).ok_or_else(|| CausalError::Shape {
            what: format!("direction `{}`", self.name),
            got: format!("vectors of the blocks {:?}", self.vectors.keys()),
            expected: format!("one of block {layer}"),
        })
    }
}

/// `count` random directions with the covariance of `background (n, layers, d)` at each layer, each
/// the same mixture of texts at all of them; unit length.
pub fn random_directions(
    background: &Array3<f32>,
    count: usize,
    seed: u64,
) -> Result<Vec<PerLayer>, StatsError> {
    let mut out = vec![Vec::new(); count];
    let texts = background.dim().0;
    let coefficients = mixtures(count, texts, seed, "random-direction"); // (count, n)
    for x in background.axis_iter(Axis(1)) {
        let drawn = ledoit_wolf(x)?.mixed(&coefficients); // (count, d)
        for (k, row) in drawn.rows().into_iter().enumerate() {
            let norm = row.iter().map(|v| v * v).sum::<f32>().sqrt();
            out[k].push(row.iter().map(|v| v / norm).collect());
        }
    }
    Ok(out)
}

/// Rows of a batch.
const BUDGET: usize = 1024;

/// The `q` quantile of tokens' coordinates along `directions[l]` (unit) after every block l, over
/// the tokens of texts but their first, those of `roles` where given. A beginning that several
/// texts share counts once a batch.
///
/// # Errors
/// `Empty` where no token has such a role; `Shape` where there is not one direction a block.
pub fn ceilings(
    model: &Decoder,
    texts: &[Tokens],
    directions: &[Vec<f32>],
    roles: Option<&[Role]>,
    q: f64,
) -> Result<Vec<f64>> {
    if directions.len() != model.layers() {
        let (got, expected) =
            (directions.len().to_string(), format!("one a block, {}", model.layers()));
        return Err(CausalError::shape("the list of directions", got, expected));
    }
    let mut seen: Vec<Vec<f64>> = vec![Vec::new(); directions.len()];
    let ids: Vec<&[u32]> = texts.iter().map(|t| t.ids.as_slice()).collect();
    for batch in plan(&ids, BUDGET) {
        let packed = Packed::of(&batch.iter().map(|&i| &texts[i]).collect::<Vec<_>>());
        let mut hooks = Hooks::none();
        let points = (0..model.layers()).map(HookPoint::resid_post);
        hooks.on(points, |point, x, places| {
            let at = along(x, &directions[point.layer])?;
            let wanted = |i: usize| match (roles, &places.roles) {
                (Some(wanted), Some(roles)) => wanted.contains(&roles[i]),
                _ => true,
            };
            let kept = (0..at.len()).filter(|&i| places.positions[i] > 0 && wanted(i));
            seen[point.layer].extend(kept.map(|i| at[i]));
            Ok(None)
        });
        model.forward(&packed, &mut hooks)?;
    }
    if seen.iter().any(Vec::is_empty) {
        return Err(CausalError::Empty(
            "no token of the texts has the roles asked for, so there is no percentile to cap at",
        ));
    }
    Ok(seen.iter_mut().map(|v| quantile(v, q)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rng::{fill_normal, stream};
    use ndarray::s;

    #[test]
    fn random_directions_follow_the_covariance_of_the_layer() {
        let mut x = Array3::<f32>::zeros((200, 1, 3));
        for i in 0..200 {
            x[[i, 0, 0]] = if i % 2 == 0 { 10.0 } else { -10.0 };
            x[[i, 0, 1]] = if i % 3 == 0 { 0.1 } else { -0.05 };
        }
        let drawn = random_directions(&x, 50, 3).unwrap();
        let along = drawn.iter().filter(|d| d[0][0].abs() > 0.9).count();
        assert!(along > 45, "{along}");
    }

    /// What varies alike in two layers is hit alike in both.
    #[test]
    fn a_random_direction_lasts_over_layers() {
        let mut x = Array3::<f32>::zeros((40, 3, 30));
        fill_normal(&mut stream(3, "texts", 0), x.as_slice_mut().unwrap());
        let first = x.slice(s![.., 0, ..]).to_owned();
        x.slice_mut(s![.., 1, ..]).assign(&(&first * 2.0));
        for d in random_directions(&x, 20, 3).unwrap() {
            let cosine = |a: usize, b: usize| -> f32 {
                let pairs = d[a].iter().zip(&d[b]);
                pairs.map(|(a, b)| a * b).sum()
            };
            assert!((cosine(0, 0) - 1.0).abs() < 1e-5);
            assert!(cosine(0, 1) > 0.999, "{}", cosine(0, 1));
            assert!(cosine(0, 2).abs() < 0.9);
        }
    }
}
