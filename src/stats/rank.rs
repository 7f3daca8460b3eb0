//! Measures of separation and association: AUROC, Pearson, Spearman.
//!
//! Ties get average ranks, so an uninformative constant score has an area of
//! exactly one half. Undefined values (an empty class, no variance) are NaN.
//! [`SortedScores`] is the area in a form that can be computed again quickly
//! under new weights: sort once, then each bootstrap draw is one pass.

use super::moments::mean;

/// Area under the ROC curve: chance that a positive scores above a negative, ties half.
pub fn auroc(positive: &[f64], negative: &[f64]) -> f64 {
    let scores = SortedScores::new(positive, negative);
    scores.weighted(&vec![1.0; positive.len()], &vec![1.0; negative.len()])
}

/// Scores of two classes in ascending order, ready for weighted areas.
pub struct SortedScores {
    order: Vec<(f64, bool, usize)>,
}

impl SortedScores {
    /// Sorts the scores of both classes.
    pub fn new(positive: &[f64], negative: &[f64]) -> Self {
        let tag = |is_positive: bool| move |(i, &score): (usize, &f64)| (score, is_positive, i);
        let side = |scores: &[f64], is| scores.iter().enumerate().map(tag(is)).collect::<Vec<_>>();
        let mut order = [side(positive, true), side(negative, false)].concat();
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        SortedScores { order }
    }

    /// Area with a weight for each positive and each negative, in the order given to `new`.
    pub fn weighted(&self, positive: &[f64], negative: &[f64]) -> f64 {
        let (mut area, mut below) = (0.0, 0.0); // below: negative weight under the current score
        let (mut all_positive, mut i) = (0.0, 0);
        while i < self.order.len() {
            let score = self.order[i].0;
            let (mut up, mut down) = (0.0, 0.0);
            while i < self.order.len() && self.order[i].0 == score {
                let (_, is_positive, row) = self.order[i];
                match is_positive {
                    true => up += positive[row],
                    false => down += negative[row],
                }
                i += 1;
            }
            area += up * (below + 0.5 * down);
            below += down;
            all_positive += up;
            if score.is_nan() {
                return f64::NAN;
            }
        }
        area / (all_positive * below)
    }
}

/// Ranks from 1, ties averaged.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
    let mut out = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let mut end = start + 1;
        while end < order.len() && values[order[end]] == values[order[start]] {
            end += 1;
        }
        for &i in &order[start..end] {
            out[i] = (start + end + 1) as f64 / 2.0;
        }
        start = end;
    }
    out
}

/// Pearson correlation; NaN when a side is constant or the lengths differ.
pub fn pearson(x: &[f64], y: &[f64]) -> f64 {
    if x.len() != y.len() {
        return f64::NAN;
    }
    let (mx, my) = (mean(x), mean(y));
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (&a, &b) in x.iter().zip(y) {
        xx += (a - mx) * (a - mx);
        yy += (b - my) * (b - my);
        xy += (a - mx) * (b - my);
    }
    xy / (xx * yy).sqrt()
}

/// Spearman correlation: Pearson of the ranks.
pub fn spearman(x: &[f64], y: &[f64]) -> f64 {
    pearson(&ranks(x), &ranks(y))
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;
    use proptest::prelude::*;

    fn by_pairs(positive: &[f64], negative: &[f64]) -> f64 {
        let mut sum = 0.0;
        for p in positive {
            for n in negative {
                sum += if p > n {
                    1.0
                } else if p == n {
                    0.5
                } else {
                    0.0
                };
            }
        }
        sum / (positive.len() * negative.len()) as f64
    }

    #[test]
    fn correlations_match_known_values() {
        let x = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert_abs_diff_eq!(pearson(&x, &[2.0, 1.0, 4.0, 3.0, 5.0]), 0.8, epsilon = 1e-12);
        assert_abs_diff_eq!(spearman(&x, &[1.0, 8.0, 27.0, 64.0, 1e9]), 1.0, epsilon = 1e-12);
        assert!(pearson(&x, &[1.0; 5]).is_nan());
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), vec![3.5, 1.0, 3.5, 2.0]);
    }

    proptest! {
        #[test]
        fn area_equals_the_share_of_ordered_pairs(
            p in prop::collection::vec(0i32..8, 1..30), n in prop::collection::vec(0i32..8, 1..30)
        ) {
            let p: Vec<f64> = p.into_iter().map(f64::from).collect();
            let n: Vec<f64> = n.into_iter().map(f64::from).collect();
            prop_assert!((auroc(&p, &n) - by_pairs(&p, &n)).abs() < 1e-12);
            prop_assert!((auroc(&p, &n) + auroc(&n, &p) - 1.0).abs() < 1e-12);
        }

        #[test]
        fn a_weight_of_two_is_the_same_as_a_row_twice(
            p in prop::collection::vec(0i32..8, 2..20), n in prop::collection::vec(0i32..8, 2..20)
        ) {
            let p: Vec<f64> = p.into_iter().map(f64::from).collect();
            let n: Vec<f64> = n.into_iter().map(f64::from).collect();
            let mut twice = p.clone();
            twice.push(p[0]);
            let mut weights = vec![1.0; p.len()];
            weights[0] = 2.0;
            let got = SortedScores::new(&p, &n).weighted(&weights, &vec![1.0; n.len()]);
            prop_assert!((got - auroc(&twice, &n)).abs() < 1e-12);
        }
    }
}
