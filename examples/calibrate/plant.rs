//! Planted studies: concepts with known cosines in noise like that of a model's layer.
//!
//! Noise has a falling spectrum whose effective rank is about 55, as differences of pairs have in
//! most layers of the default model, or one dimension that holds half of it (rank 4), as in its
//! early layers. True directions lean towards the dimensions that vary most, as real ones do. How
//! far a mean stands out of its noise is given by its reliability, which is what a study can see.

use ndarray::{Array2, Array3, Axis};
use residuum::behavior::PairScore;
use residuum::geometry::CouplingInput;
use residuum::stats::rng::{fill_normal, stream};

/// Width of the default model.
pub const WIDTH: usize = 576;

/// Standard deviation of each dimension; variances sum to 1.
pub fn spectrum(outlier: bool) -> Vec<f32> {
    let mut variance: Vec<f64> = (1..=WIDTH).map(|k| (k as f64).powf(-0.72)).collect();
    match outlier {
        false => {
            variance[0] *= 2.2;
            variance[1] *= 1.5;
        }
        true => variance[0] = variance[1..].iter().sum(),
    }
    let sum: f64 = variance.iter().sum();
    variance.iter().map(|v| (v / sum).sqrt() as f32).collect()
}

/// Numbers of a planted set of concepts.
#[derive(Clone)]
pub struct Plant {
    /// Pairs of each concept.
    pub pairs: Vec<usize>,
    /// Pairs of one prompt, which share half of their noise variance if more than one.
    pub per_prompt: usize,
    /// Reliability of each concept's mean difference; 0 for no signal at all.
    pub reliability: Vec<f64>,
    /// Cosine of each further concept with the first.
    pub cosines: Vec<f64>,
    /// States; their noise is shared but for a tenth of its spread.
    pub states: usize,
    /// Layers; noise of a layer is half that of the layer before.
    pub layers: usize,
    pub neutral: usize,
    pub outlier: bool,
    pub seed: u64,
}

/// A planted study.
pub struct Data {
    pub differences: Vec<Vec<Array3<f32>>>,
    pub clusters: Vec<Vec<usize>>,
    /// All pairs are of one.
    pub strata: Vec<Vec<usize>>,
    pub background: Vec<Array3<f32>>,
}

impl Data {
    pub fn input(&self) -> CouplingInput<'_> {
        CouplingInput {
            differences: &self.differences,
            clusters: &self.clusters,
            strata: &self.strata,
            background: &self.background,
        }
    }
}

impl Plant {
    /// Two concepts at one layer of one state.
    pub fn pair(pairs: (usize, usize), reliability: (f64, f64), cosine: f64, seed: u64) -> Self {
        Plant {
            pairs: vec![pairs.0, pairs.1],
            per_prompt: 1,
            reliability: vec![reliability.0, reliability.1],
            cosines: vec![cosine],
            states: 1,
            layers: 1,
            neutral: 24,
            outlier: false,
            seed,
        }
    }

    /// Length of the true mean at which `n` pairs have the reliability r: r = l^2 / (l^2 + 1/n).
    pub fn length(&self, concept: usize) -> f32 {
        let (r, n) = (self.reliability[concept], self.pairs[concept] as f64);
        // Pairs of one prompt that share noise count for less.
        let each = self.per_prompt as f64;
        let noise = if self.per_prompt > 1 { (0.5 + 0.5 * each) / n } else { 1.0 / n };
        (r / (1.0 - r) * noise).sqrt() as f32
    }

    fn normal(&self, rows: usize, purpose: &str, index: u64) -> Array2<f32> {
        let mut x = Array2::zeros((rows, WIDTH));
        let mut rng = stream(self.seed, purpose, index);
        fill_normal(&mut rng, x.as_slice_mut().unwrap_or_default());
        x
    }

    /// True unit directions `(concepts, d)`: the first in the layer's own way, the others at their
    /// cosines from it and otherwise independent.
    pub fn truth(&self, scale: &[f32]) -> Array2<f32> {
        let mut out = self.normal(1 + self.cosines.len(), "plant/truth", 0);
        for mut row in out.rows_mut() {
            for (v, s) in row.iter_mut().zip(scale) {
                *v *= s.powf(1.3);
            }
        }
        for i in 0..out.nrows() {
            if i > 0 {
                let first = out.row(0).to_owned();
                let along = out.row(i).dot(&first);
                out.row_mut(i).scaled_add(-along, &first);
            }
            let length = out.row(i).dot(&out.row(i)).sqrt();
            out.row_mut(i).mapv_inplace(|v| v / length);
            if i > 0 {
                let c = self.cosines[i - 1] as f32;
                let mixed = &out.row(0) * c + &out.row(i) * (1.0 - c * c).sqrt();
                out.row_mut(i).assign(&mixed);
            }
        }
        out
    }

    /// Noise rows of one concept in every state and layer, `[state]` -> `(rows, layers, d)`.
    fn noise(&self, rows: usize, purpose: &str, index: u64, scale: &[f32]) -> Vec<Array3<f32>> {
        let mut out = vec![Array3::zeros((rows, self.layers, WIDTH)); self.states];
        let mut shared = Array2::<f32>::zeros((rows, WIDTH));
        for l in 0..self.layers {
            let fresh = self.normal(rows, purpose, 1000 * index + l as u64);
            shared = match l {
                0 => fresh,
                _ => shared * 0.5 + fresh * 0.75f32.sqrt(),
            };
            for (s, state) in out.iter_mut().enumerate() {
                let mut x = shared.clone();
                if s > 0 {
                    let own = format!("{purpose}/state");
                    let own =
                        self.normal(rows, &own, 1_000_000 * s as u64 + 1000 * index + l as u64);
                    x = x * 0.9 + own * 0.19f32.sqrt();
                }
                for (mut column, s) in x.columns_mut().into_iter().zip(scale) {
                    column *= *s;
                }
                state.index_axis_mut(Axis(1), l).assign(&x);
            }
        }
        out
    }

    pub fn data(&self) -> Data {
        let scale = spectrum(self.outlier);
        let truth = self.truth(&scale);
        let mut differences = vec![Vec::new(); self.states];
        let mut clusters = Vec::new();
        for (a, &n) in self.pairs.iter().enumerate() {
            let mut noise = self.noise(n, "plant/pairs", a as u64, &scale);
            let prompts: Vec<usize> = (0..n).map(|i| i / self.per_prompt).collect();
            if self.per_prompt > 1 {
                let common = self.noise(n, "plant/prompts", a as u64, &scale);
                for (x, y) in noise.iter_mut().zip(&common) {
                    for (i, &prompt) in prompts.iter().enumerate() {
                        let mut row = x.index_axis_mut(Axis(0), i);
                        row *= 0.5f32.sqrt();
                        row.scaled_add(0.5f32.sqrt(), &y.index_axis(Axis(0), prompt));
                    }
                }
            }
            let signal = &truth.row(a) * self.length(a);
            for (state, mut x) in noise.into_iter().enumerate() {
                for mut row in x.lanes_mut(Axis(2)) {
                    row += &signal;
                }
                differences[state].push(x);
            }
            clusters.push(prompts);
        }
        Data {
            differences,
            clusters,
            strata: self.pairs.iter().map(|&n| vec![0; n]).collect(),
            background: self.noise(self.neutral, "plant/neutral", 0, &scale),
        }
    }
}

/// A scored pair of a preference, by the preference and the question's id, without a key.
pub fn scored((preference, prompt_id): (String, String), log_odds: f64) -> PairScore {
    PairScore {
        preference,
        group: "planted".into(),
        prompt_id,
        keyed: None,
        form: "open".into(),
        prompt: "Q?".into(),
        express: "A.".into(),
        oppose: "B.".into(),
        express_log_prob: log_odds - 1.0,
        oppose_log_prob: -1.0,
        log_odds,
    }
}
