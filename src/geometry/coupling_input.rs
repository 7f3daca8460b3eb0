//! What a coupling is computed from, and how: shapes and indices are checked here, once.

use super::check::{clusters, count, shape};
use super::{GeometryError, Result};
use ndarray::Array3;
use serde::{Deserialize, Serialize};

/// Activations that a coupling is computed from.
#[derive(Debug, Clone, Copy)]
pub struct CouplingInput<'a> {
    /// Positive less negative, `[state][concept]` -> `(n_pairs, n_layers, d)`.
    pub differences: &'a [Vec<Array3<f32>>],
    /// Prompt cluster of each pair, `[concept]` -> `n_pairs`.
    pub clusters: &'a [Vec<usize>],
    /// Stratum of each pair (template and polarity), within which labels are permuted, `[concept]` ->
    /// `n_pairs`; pairs of one cluster are in one.
    pub strata: &'a [Vec<usize>],
    /// Activations on neutral texts, `[state]` -> `(n_neutral, n_layers, d)`.
    pub background: &'a [Array3<f32>],
}

/// What to compute and how often to draw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CouplingOptions {
    /// Concepts whose mean differences are projected out in the cleaned form.
    pub nuisances: Vec<usize>,
    /// Unrelated concepts: the placebo distribution.
    pub placebos: Vec<usize>,
    /// The designated pairs, each once.
    pub pairs: Vec<(usize, usize)>,
    /// Bootstrap draws.
    pub draws: usize,
    /// Label flips.
    pub flips: usize,
    /// Random directions.
    pub random: usize,
    /// Coverage of intervals and null bands.
    pub level: f64,
    /// Seed of all draws.
    pub seed: u64,
}

impl CouplingOptions {
    /// 2,000 draws, flips and random directions, 95 %, no nuisance, no placebo.
    pub fn for_pair(first: usize, second: usize) -> Self {
        CouplingOptions {
            nuisances: Vec::new(),
            placebos: Vec::new(),
            pairs: vec![(first, second)],
            draws: 2000,
            flips: 2000,
            random: 2000,
            level: 0.95,
            seed: 0,
        }
    }

    /// Place of a pair, either way round, among the designated ones.
    pub(super) fn place(&self, a: usize, b: usize) -> Option<usize> {
        self.pairs.iter().position(|p| *p == (a, b) || *p == (b, a))
    }
}

impl CouplingInput<'_> {
    /// Checks shapes and indices; gives the number of layers and the width.
    pub(super) fn check(&self, options: &CouplingOptions) -> Result<(usize, usize)> {
        let concepts = self.clusters.len();
        count("strata", concepts, self.strata.len())?;
        count("background", self.differences.len().max(1), self.background.len())?;
        let (neutral, layers, width) = self.background[0].dim();
        let states = self.differences.iter().zip(self.background);
        for (s, (differences, background)) in states.enumerate() {
            count(&format!("differences of state {s}"), concepts, differences.len())?;
            let what = format!("background of state {s}");
            shape(&what, &[neutral, layers, width], background.shape())?;
            for (a, part) in differences.iter().enumerate() {
                let fits = [self.clusters[a].len(), layers, width];
                shape(&format!("differences of state {s}, concept {a}"), &fits, part.shape())?;
            }
        }
        for (a, names) in self.clusters.iter().enumerate() {
            let of = format!("concept {a}");
            clusters(("clusters", &of), names, names.len(), 3)?;
            count(&format!("strata of {of}"), names.len(), self.strata[a].len())?;
        }
        let named = options.nuisances.iter().chain(&options.placebos);
        let paired = options.pairs.iter().flat_map(|(a, b)| [a, b]);
        if let Some(&index) = named.chain(paired).find(|&&i| i >= concepts) {
            return Err(GeometryError::Index { what: "concept", index, count: concepts });
        }
        let other = |i: &usize| options.nuisances.contains(i) || options.placebos.contains(i);
        let wrong = |(a, b): &&(usize, usize)| a == b || other(a) || other(b);
        if let Some(&(a, b)) = options.pairs.iter().find(wrong) {
            return Err(GeometryError::Pair(a, b));
        }
        Ok((layers, width))
    }
}
