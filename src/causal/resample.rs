//! Bootstrap over prompts and seeds together.
//!
//! Scores come as `(seeds, prompts)`. A draw takes prompts with replacement and, where there is
//! more than one, seeds with replacement; a mean is then a bilinear form of the two counts. The
//! same counts serve every arm of a comparison, so that differences are paired.

use crate::stats::bootstrap::cluster_counts;
use ndarray::{Array2, ArrayView2, Axis};

/// How often each prompt was drawn, `(draws, prompts)`.
pub struct PromptDraws {
    counts: Array2<f64>,
}

/// How often each seed was drawn, `(draws, seeds)`.
pub struct SeedDraws {
    counts: Array2<f64>,
}

impl PromptDraws {
    /// Draws of `prompts` prompts, from the stream `purpose`.
    pub fn new(prompts: usize, draws: usize, seed: u64, purpose: &str) -> Self {
        let counts = cluster_counts(prompts, draws, seed, purpose).mapv(f64::from);
        PromptDraws { counts }
    }

    /// Mean of `cells (seeds, prompts)` in every draw.
    pub fn means(&self, seeds: &SeedDraws, cells: ArrayView2<f64>) -> Vec<f64> {
        let by_seed = self.counts.dot(&cells.t()); // (draws, seeds)
        let each = by_seed.rows().into_iter().zip(self.counts.rows());
        each.zip(seeds.counts.rows())
            .map(|((sums, prompts), seeds)| sums.dot(&seeds) / (prompts.sum() * seeds.sum()))
            .collect()
    }
}

impl SeedDraws {
    /// Draws of `seeds` seeds; a single one is always taken.
    pub fn new(seeds: usize, draws: usize, seed: u64, purpose: &str) -> Self {
        let counts = match seeds {
            0 | 1 => Array2::ones((draws, seeds)),
            _ => cluster_counts(seeds, draws, seed, purpose).mapv(f64::from),
        };
        SeedDraws { counts }
    }
}

/// Mean of all cells.
pub fn mean(cells: ArrayView2<f64>) -> f64 {
    let by_seed = cells.mean_axis(Axis(1));
    by_seed.and_then(|m| m.mean()).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::interval::percentile;
    use crate::stats::rng::stream;
    use rand_distr::{Distribution, StandardNormal};

    #[test]
    fn a_draw_is_the_mean_of_the_cells_it_took() {
        let cells = Array2::from_shape_fn((3, 4), |(s, p)| (10 * s + p) as f64);
        let (prompts, seeds) = (
            PromptDraws::new(4, 50, 1, "p"),
            SeedDraws::new(3, 50, 1, "s"),
        );
        let got = prompts.means(&seeds, cells.view());
        for (k, got) in got.iter().enumerate() {
            let (mut sum, mut n) = (0.0, 0.0);
            for ((s, p), x) in cells.indexed_iter() {
                let times = seeds.counts[[k, s]] * prompts.counts[[k, p]];
                sum += times * x;
                n += times;
            }
            assert!((got - sum / n).abs() < 1e-12);
        }
    }

    /// With the seeds' spread left out the interval covers far less than it says.
    #[test]
    fn the_interval_covers_a_mean_over_seeds_and_prompts() {
        let run = |repeat: u64, with_seeds: bool| {
            let mut rng = stream(5, "two-way", repeat);
            let mut normal = |sd: f64| sd * Distribution::<f64>::sample(&StandardNormal, &mut rng);
            let by_seed: Vec<f64> = (0..12).map(|_| normal(0.5)).collect();
            let by_prompt: Vec<f64> = (0..30).map(|_| normal(1.0)).collect();
            let cells = Array2::from_shape_fn((12, 30), |(s, p)| by_seed[s] + by_prompt[p]);
            let prompts = PromptDraws::new(30, 400, repeat, "p");
            let seeds = match with_seeds {
                true => SeedDraws::new(12, 400, repeat, "s"),
                false => SeedDraws {
                    counts: Array2::ones((400, 12)),
                },
            };
            let mut draws = prompts.means(&seeds, cells.view());
            percentile(&mut draws, 0.95).contains(0.0)
        };
        let covered = |w| (0..300).filter(|&r| run(r, w)).count();
        let (with, without) = (covered(true), covered(false));
        assert!((270..=294).contains(&with), "{with} of 300");
        assert!(without < with - 10, "{without} of 300 without seeds");
    }
}
