//! Activations kept by token, to be swapped into another state at the same tokens.
//!
//! A token is known by the digest of the text up to and including it, so a recording serves any
//! batch in which its texts occur, whatever stands beside them. Held in memory: a row of width D
//! at a point costs 4 D bytes.

use super::hooks::HookPoint;
use std::collections::{BTreeMap, HashMap};

/// Activations of one model state at some hook points.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    pub(super) points: BTreeMap<HookPoint, HashMap<u64, Vec<f32>>>,
}

impl Recording {
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
