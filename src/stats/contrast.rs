//! A contrast of conditions: each known from a few fine-tunes, all asked the same clusters.
//!
//! estimate +- sqrt(r^2 + t_df^2 V). The reach r is that of the clusters (items, texts x pairs) with
//! the fine-tunes held fixed. V is what other fine-tunes of the same conditions would add:
//! s^2 (1/n_c + 1/n_k), s^2 the variance of fine-tunes about the mean of their condition, pooled over all
//! conditions of one recipe, with df = sum (n_j - 1) degrees of freedom. A side that was not trained
//! (base, a prompt) adds nothing. The two variances keep their own quantiles (Graybill and Wang 1980),
//! which holds a little more than it says where both count: about 97 % with 3 degrees of freedom.
//! Without a condition of two fine-tunes V cannot be known: df is 0, the interval is that within these
//! fine-tunes, and nothing is said of the conditions.
//!
//! Of a mean over clusters, r^2 = t^2 W: W is the variance of the mean over a bootstrap of the clusters,
//! times n / (n - 1), which needs no draws. t has n - 1 degrees of freedom: over the 12 items of a
//! preference a normal quantile would hold 92 %.

use super::bootstrap::Clusters;
use super::interval::Interval;
use super::moments::{mean, squares};
use super::replicates::{t_p_value, t_quantile};

/// Variance of fine-tunes of one recipe about the mean of their condition.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// NaN without degrees of freedom.
    pub variance: f64,
    /// Degrees of freedom: fine-tunes less conditions.
    pub df: usize,
}

impl Spread {
    /// Of nothing that can be known.
    pub const UNKNOWN: Spread = Spread { variance: f64::NAN, df: 0 };

    /// Pooled within the conditions of the recipes of a contrast's sides, every condition with its recipe
    /// and one value a fine-tune. Of sides by different recipes both must have shown their spread.
    pub fn pooled<'a>(
        recipes: &[&str],
        conditions: impl IntoIterator<Item = (&'a str, &'a [f64])>,
    ) -> Self {
        let (mut sum, mut df, mut seen) = (0.0, 0, vec![false; recipes.len()]);
        for (recipe, values) in conditions {
            if values.len() < 2 || !recipes.contains(&recipe) {
                continue;
            }
            sum += squares(values);
            df += values.len() - 1;
            recipes.iter().zip(&mut seen).for_each(|(r, s)| *s |= *r == recipe);
        }
        match df > 0 && seen.iter().all(|s| *s) {
            false => Spread::UNKNOWN,
            true => Spread { variance: sum / df as f64, df },
        }
    }
}

/// A contrast with both of its intervals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Contrast {
    /// The estimate.
    pub value: f64,
    /// Fine-tunes as they are.
    pub within: Interval,
    /// Of the conditions; the one within where [`Contrast::df`] is 0.
    pub interval: Interval,
    /// Degrees of freedom behind the variance of fine-tunes; 0 where it is not known or there are none.
    pub df: usize,
    /// Two-sided p from t = value / sqrt(V), clusters as they are; NaN where df is 0.
    pub p_fine_tunes: f64,
}

/// The contrast `value` that reaches `reach` either way over clusters.
///
/// `share` is the sum over sides of 1 / fine-tunes, without those that were not trained.
pub fn contrast(value: f64, reach: f64, spread: Spread, share: f64, level: f64) -> Contrast {
    let within = match reach.is_finite() {
        true => Interval::around(value, reach),
        false => Interval::UNDEFINED,
    };
    if spread.df == 0 || share <= 0.0 {
        return Contrast { value, within, interval: within, df: 0, p_fine_tunes: f64::NAN };
    }
    let (df, error) = (spread.df as f64, (spread.variance * share).sqrt());
    let whole = reach.hypot(t_quantile(df, level) * error);
    Contrast {
        value,
        within,
        interval: if whole.is_finite() { Interval::around(value, whole) } else { within },
        df: spread.df,
        p_fine_tunes: t_p_value(value / error, df),
    }
}

/// What a side of so many fine-tunes has in the share of [`contrast`]: 1 / fine-tunes, 0 without any.
pub fn share(fine_tunes: usize) -> f64 {
    if fine_tunes == 0 {
        return 0.0;
    }
    1.0 / fine_tunes as f64
}

/// How far the mean of differences, one a cluster, reaches either way; NaN below two clusters.
pub fn reach(differences: &[f64], level: f64) -> f64 {
    let own: Vec<usize> = (0..differences.len()).collect();
    reach_over(differences, &own, level)
}

/// As [`reach`] where a cluster may have several differences: the variance that leaving out a cluster
/// shows to first order, which for clusters of one size is W.
pub fn reach_over(differences: &[f64], clusters: &[usize], level: f64) -> f64 {
    let (grouped, centre) = (Clusters::new(clusters), mean(differences));
    let n = grouped.count() as f64;
    if n < 2.0 {
        return f64::NAN;
    }
    let off: Vec<f64> = differences.iter().map(|d| d - centre).collect();
    let squares: f64 = grouped.totals(&off).iter().map(|e| e * e).sum();
    let w = squares / (differences.len() as f64).powi(2) * n / (n - 1.0);
    t_quantile(n - 1.0, level) * w.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::bootstrap::cluster_counts;
    use crate::stats::moments::moments;
    use crate::stats::rng::stream;
    use approx::assert_abs_diff_eq;
    use rand_distr::{Distribution, StandardNormal};

    /// Standard deviations of what is planted.
    struct Noise {
        /// Fine-tunes of a condition.
        fine_tune: f64,
        /// Conditions' own effects on an item.
        item: f64,
        /// A fine-tune's own effect on an item.
        both: f64,
    }

    /// Share of 1,000 studies in which the first condition less the second, truly 0, lies within each
    /// interval: the whole one, and that within the fine-tunes.
    fn covered(fine_tunes: &[usize], items: usize, noise: &Noise) -> (f64, f64) {
        let (mut whole, mut within) = (0, 0);
        for repeat in 0..1000 {
            let mut rng = stream(repeat, "contrast", items as u64);
            let mut normal = |sd: f64| sd * Distribution::<f64>::sample(&StandardNormal, &mut rng);
            let conditions: Vec<Vec<Vec<f64>>> = (fine_tunes.iter())
                .map(|&n| {
                    let own: Vec<f64> = (0..items).map(|_| normal(noise.item)).collect();
                    let mut one = |_| {
                        let level = normal(noise.fine_tune);
                        own.iter().map(|o| o + level + normal(noise.both)).collect()
                    };
                    (0..n).map(&mut one).collect()
                })
                .collect();
            let at = |c: usize, i: usize| -> f64 {
                conditions[c].iter().map(|f| f[i]).sum::<f64>() / conditions[c].len() as f64
            };
            let less: Vec<f64> = (0..items).map(|i| at(0, i) - at(1, i)).collect();
            let means: Vec<Vec<f64>> =
                conditions.iter().map(|c| c.iter().map(|f| mean(f)).collect()).collect();
            let spread = Spread::pooled(&["lora"], means.iter().map(|m| ("lora", m.as_slice())));
            let parts = share(fine_tunes[0]) + share(fine_tunes[1]);
            let got = contrast(mean(&less), reach(&less, 0.95), spread, parts, 0.95);
            whole += usize::from(got.interval.contains(0.0));
            within += usize::from(got.within.contains(0.0));
        }
        (whole as f64 / 1000.0, within as f64 / 1000.0)
    }

    #[test]
    fn the_interval_covers_with_few_fine_tunes_and_the_one_within_does_not() {
        let noise = Noise { fine_tune: 0.1, item: 0.3, both: 0.1 };
        for fine_tunes in [&[2, 2, 2, 1][..], &[3, 3], &[2, 2, 2, 2, 1, 1], &[1, 3, 3]] {
            let (whole, within) = covered(fine_tunes, 60, &noise);
            assert!((0.93..=0.985).contains(&whole), "{fine_tunes:?}: {whole}");
            assert!(within < 0.85, "{fine_tunes:?}: {within}");
        }
    }

    #[test]
    fn within_only_covers_what_these_fine_tunes_would_show_on_other_items() {
        let alike = Noise { fine_tune: 0.0, item: 0.3, both: 0.2 };
        for items in [12, 60] {
            let (whole, within) = covered(&[1, 1, 1], items, &alike);
            assert_eq!(whole, within);
            assert!((0.93..=0.97).contains(&within), "{items}: {within}");
        }
    }

    #[test]
    fn the_reach_over_clusters_is_that_of_a_bootstrap_of_them() {
        let x = [0.3, -0.1, 0.4, 0.9, -0.2, 0.5, 0.1, 0.8];
        let counts = cluster_counts(8, 20_000, 1, "reach");
        let drawn: Vec<f64> = (counts.rows().into_iter())
            .map(|c| c.iter().zip(&x).map(|(&c, x)| f64::from(c) * x).sum::<f64>() / 8.0)
            .collect();
        let w = moments(&drawn).1 * 8.0 / 7.0;
        assert_abs_diff_eq!(reach(&x, 0.95), 2.3646 * w.sqrt(), epsilon = 0.01);
        // Two values of a cluster are those of one that is their mean.
        let (twice, of): (Vec<f64>, Vec<usize>) =
            x.iter().enumerate().flat_map(|(i, x)| [(x - 1.0, i), (x + 1.0, i)]).unzip();
        assert_abs_diff_eq!(reach_over(&twice, &of, 0.95), reach(&x, 0.95), epsilon = 1e-12);
        assert!(reach(&[1.0], 0.95).is_nan());
    }

    #[test]
    fn a_side_that_was_not_trained_adds_nothing_and_conditions_of_one_fine_tune_know_no_spread() {
        let pooled = |recipes: &[&str], third: &'static str| {
            let conditions = [&[1.0, 3.0][..], &[5.0], &[2.0, 2.0, 5.0]];
            Spread::pooled(recipes, ["a", "b", third].into_iter().zip(conditions))
        };
        let spread = pooled(&["a"], "a");
        // Squares 2 and 6 over 1 + 2 degrees of freedom.
        assert_eq!((spread.df, spread.variance), (3, 8.0 / 3.0));
        let of = |sides: [usize; 2], spread| {
            contrast(1.0, 0.3, spread, sides.iter().map(|&n| share(n)).sum(), 0.95)
        };
        let (alone, both) = (of([2, 0], spread), of([2, 2], spread));
        // t.975 with 3 degrees of freedom is 3.1824.
        let reach = 0.3f64.hypot(3.1824 * (4.0f64 / 3.0).sqrt());
        assert_abs_diff_eq!(alone.interval.hi, 1.0 + reach, epsilon = 1e-3);
        assert!(both.interval.width() > alone.interval.width() && both.within == alone.within);
        assert_abs_diff_eq!(alone.p_fine_tunes, t_p_value((0.75f64).sqrt(), 3.0), epsilon = 1e-12);
        // A recipe without two fine-tunes of a condition knows nothing of its own spread.
        assert_eq!(pooled(&["a"], "c").df, 1);
        let unknown = [pooled(&["a", "b"], "c"), pooled(&["b"], "a")];
        for none in [of([0, 0], spread), of([1, 1], unknown[0]), of([1, 1], unknown[1])] {
            assert_eq!((none.df, none.interval), (0, none.within));
            assert!(none.p_fine_tunes.is_nan());
        }
    }
}
