//! Hooks: named points of the forward pass at which a run reads or replaces the activations.
//!
//! The names are TransformerLens'. A hook is a closure that gets the point and the tensor
//! `(N, D)` and may return a replacement; the forward pass calls it only at the points that it
//! asked for, so a run without hooks costs nothing. It is told the place of each row too. Layer l is
//! the output of block l, from 0.

use super::error::{ModelError, Result};
use super::places::Places;
use crate::store::names::nearest;
use candle_core::Tensor;
use std::collections::BTreeSet;
use std::fmt;

/// Kinds of hook point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Site {
    /// Embeddings, as they enter block 0.
    Embed,
    /// Residual stream before a block.
    ResidPre,
    /// What attention adds to the stream.
    AttnOut,
    /// Residual stream between attention and feed-forward.
    ResidMid,
    /// What the feed-forward adds to the stream.
    MlpOut,
    /// Residual stream after a block.
    ResidPost,
    /// The stream after the last norm, as it enters the language head.
    FinalNorm,
}

/// A site in a layer; the layer of `Embed` and `FinalNorm` is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HookPoint {
    /// Where in the block.
    pub site: Site,
    /// Block, from 0.
    pub layer: usize,
}

const IN_BLOCK: [(Site, &str); 5] = [
    (Site::ResidPre, "hook_resid_pre"),
    (Site::AttnOut, "hook_attn_out"),
    (Site::ResidMid, "hook_resid_mid"),
    (Site::MlpOut, "hook_mlp_out"),
    (Site::ResidPost, "hook_resid_post"),
];

impl fmt::Display for HookPoint {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.site {
            Site::Embed => write!(f, "hook_embed"),
            Site::FinalNorm => write!(f, "ln_final.hook_normalized"),
            site => {
                let name = IN_BLOCK.iter().find(|(s, _)| *s == site).map_or("", |n| n.1);
                write!(f, "blocks.{}.{name}", self.layer)
            }
        }
    }
}

impl HookPoint {
    /// The point at `site` of block `layer`.
    pub fn new(site: Site, layer: usize) -> Self {
        HookPoint { site, layer }
    }

    /// The residual stream after block `layer`.
    pub fn resid_post(layer: usize) -> Self {
        Self::new(Site::ResidPost, layer)
    }

    /// Every point of a model with `layers` blocks, in the order of the forward pass.
    pub fn all(layers: usize) -> Vec<HookPoint> {
        let block = |layer| IN_BLOCK.map(|(site, _)| HookPoint { site, layer });
        let (first, last) = (Self::new(Site::Embed, 0), Self::new(Site::FinalNorm, 0));
        [first].into_iter().chain((0..layers).flat_map(block)).chain([last]).collect()
    }

    /// A point by its TransformerLens name.
    pub fn parse(name: &str, layers: usize) -> Result<Self> {
        let all = Self::all(layers);
        if let Some(p) = all.iter().find(|p| p.to_string() == name) {
            return Ok(*p);
        }
        let names: Vec<String> = all.iter().map(HookPoint::to_string).collect();
        let near = nearest(name, names.iter().map(String::as_str)).unwrap_or_default();
        let last = layers.saturating_sub(1);
        let hint = format!("the nearest is `{near}`; the model has blocks 0 to {last}");
        Err(ModelError::HookPoint { name: name.into(), hint })
    }
}

/// Called with the point, the activations `(N, D)` and the place of each row.
type HookFn<'a> = Box<dyn FnMut(HookPoint, &Tensor, &Places) -> Result<Option<Tensor>> + 'a>;

/// The hooks of one run, called in the order in which they were added.
#[derive(Default)]
pub struct Hooks<'a> {
    entries: Vec<(BTreeSet<HookPoint>, HookFn<'a>)>,
    stop_after: Option<usize>,
}

impl<'a> Hooks<'a> {
    /// No hooks.
    pub fn none() -> Self {
        Self::default()
    }

    /// Calls `f` at each of `points`.
    pub fn on(
        &mut self,
        points: impl IntoIterator<Item = HookPoint>,
        f: impl FnMut(HookPoint, &Tensor, &Places) -> Result<Option<Tensor>> + 'a,
    ) {
        self.entries.push((points.into_iter().collect(), Box::new(f)));
    }

    /// Ends the pass once block `layer` is done: nothing above it is computed.
    pub fn stop_after(&mut self, layer: usize) {
        self.stop_after = Some(layer);
    }

    pub(crate) fn ends_at(&self, layer: usize) -> bool {
        self.stop_after == Some(layer)
    }

    /// Passes the tensor at a point through the hooks there.
    pub(crate) fn apply(&mut self, point: HookPoint, x: Tensor, at: &Places) -> Result<Tensor> {
        let mut x = x;
        for (points, f) in &mut self.entries {
            if points.contains(&point) {
                if let Some(y) = f(point, &x, at)? {
                    x = y;
                }
            }
        }
        Ok(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_unknown_names_get_the_nearest() {
        for p in HookPoint::all(3) {
            assert_eq!(HookPoint::parse(&p.to_string(), 3).unwrap(), p);
        }
        let e = HookPoint::parse("blocks.1.hook_resid_pots", 3).unwrap_err();
        assert!(e.to_string().contains("`blocks.1.hook_resid_post`"), "{e}");
        assert!(HookPoint::parse("blocks.3.hook_resid_post", 3).is_err());
    }
}
