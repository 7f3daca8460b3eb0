//! Bootstrap over prompts and seeds together.
//!
//! Scores come as `(seeds, prompts)`. A draw takes prompts with replacement and, where there is
//! more than one, seeds with replacement; a mean is then a bilinear form of the two shares that each
//! took. The same shares serve every arm of a comparison, so that differences are paired. Shares lie
//! further from even ones than resampling puts them, by the factor for few clusters
//! ([`few_clusters_pooled`]): of two or three seeds, resampling alone loses much of their spread.

use crate::stats::bootstrap::cluster_counts;
use crate::stats::interval::few_clusters_pooled;
use ndarray::{Array2, ArrayView2};

/// Level of the intervals that the draws are for.
const LEVEL: f64 = 0.95;

/// Shares of `n` clusters; rows add up to 1.
fn shares(n: usize, free: usize, draws: usize, seed: u64, purpose: &str) -> Array2<f64> {
    let (even, wider) = (1.0 / n as f64, few_clusters_pooled(n, free, LEVEL));
    let counts = cluster_counts(n, draws, seed, purpose);
    counts.mapv(|c| even + wider * (f64::from(c) * even - even))
}

/// What share of a mean each of `prompts` prompts has, `(draws, prompts)`, from the stream `purpose`. Of
/// a single one they are NaN: it tells nothing of others.
pub fn prompt_shares(prompts: usize, draws: usize, seed: u64, purpose: &str) -> Array2<f64> {
    shares(prompts, prompts.saturating_sub(1), draws, seed, purpose)
}

/// What share of a mean each of `seeds` seeds has, `(draws, seeds)`; a single one is always taken.
/// `free`: degrees of freedom of the seeds of all conditions compared.
pub fn seed_shares(
    seeds: usize,
    free: usize,
    draws: usize,
    seed: u64,
    purpose: &str,
) -> Array2<f64> {
    match seeds {
        0 | 1 => Array2::ones((draws, seeds)),
        _ => shares(seeds, free, draws, seed, purpose),
    }
}

/// Mean of `cells (seeds, prompts)` in every draw.
pub fn means(prompts: &Array2<f64>, seeds: &Array2<f64>, cells: ArrayView2<f64>) -> Vec<f64> {
    let by_seed = prompts.dot(&cells.t()); // (draws, seeds)
    let each = by_seed.rows().into_iter().zip(seeds.rows());
    each.map(|(means, seeds)| means.dot(&seeds)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::interval::percentile;
    use crate::stats::rng::stream;
    use rand_distr::{Distribution, StandardNormal};

    /// Resampled by hand, deviations of prompts and of seeds widened each by its own factor.
    #[test]
    fn a_draw_is_the_mean_of_the_cells_it_took_with_widened_deviations() {
        let cells = Array2::from_shape_fn((3, 4), |(s, p)| (10 * s + p * p) as f64);
        let (prompts, seeds) = (prompt_shares(4, 50, 1, "p"), seed_shares(3, 4, 50, 1, "s"));
        let got = means(&prompts, &seeds, cells.view());
        let (taken_p, taken_s) = (
            cluster_counts(4, 50, 1, "p").mapv(f64::from),
            cluster_counts(3, 50, 1, "s").mapv(f64::from),
        );
        let (wide_p, wide_s) = (few_clusters_pooled(4, 3, 0.95), few_clusters_pooled(3, 4, 0.95));
        for (k, got) in got.iter().enumerate() {
            // Additive cells: no interaction, so the two deviations add up.
            let of_prompts: f64 = (0..4).map(|p| taken_p[[k, p]] * (p * p) as f64 / 4.0).sum();
            let of_seeds: f64 = (0..3).map(|s| taken_s[[k, s]] * (10 * s) as f64 / 3.0).sum();
            let want = 13.5 + wide_p * (of_prompts - 3.5) + wide_s * (of_seeds - 10.0);
            assert!((got - want).abs() < 1e-9, "{got} {want}");
        }
    }

    /// Two conditions of as few fine-tunes as studies have.
    #[test]
    fn the_interval_of_a_difference_covers_with_two_or_three_seeds_a_side() {
        for (seeds, low) in [(2, 0.92), (3, 0.92)] {
            let free = 2 * (seeds - 1);
            let covered = (0..400u64).filter(|&repeat| {
                let mut rng = stream(6, "few", repeat);
                let mut normal =
                    |sd: f64| sd * Distribution::<f64>::sample(&StandardNormal, &mut rng);
                let by_prompt: Vec<f64> = (0..20).map(|_| normal(0.1)).collect();
                let mut side = |own: f64| {
                    let by_seed: Vec<f64> = (0..seeds).map(|_| normal(0.1)).collect();
                    Array2::from_shape_fn((seeds, 20), |(s, p)| by_seed[s] + own * by_prompt[p])
                };
                let (a, b) = (side(1.0), side(0.0));
                let prompts = prompt_shares(20, 400, repeat, "p");
                let draws = |cells: &Array2<f64>, of: &str| {
                    let drawn = seed_shares(seeds, free, 400, repeat, of);
                    means(&prompts, &drawn, cells.view())
                };
                let (a, b) = (draws(&a, "a"), draws(&b, "b"));
                let mut less: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
                percentile(&mut less, LEVEL).contains(0.0)
            });
            let covered = covered.count() as f64 / 400.0;
            assert!(covered >= low, "{covered} of 400 with {seeds} seeds");
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
            let prompts = prompt_shares(30, 400, repeat, "p");
            let seeds = match with_seeds {
                true => seed_shares(12, 11, 400, repeat, "s"),
                false => Array2::from_elem((400, 12), 1.0 / 12.0),
            };
            let mut draws = means(&prompts, &seeds, cells.view());
            percentile(&mut draws, 0.95).contains(0.0)
        };
        let covered = |w| (0..300).filter(|&r| run(r, w)).count();
        let (with, without) = (covered(true), covered(false));
        assert!((270..=294).contains(&with), "{with} of 300");
        assert!(without < with - 10, "{without} of 300 without seeds");
    }
}
