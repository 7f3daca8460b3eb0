//! Corrections for many tests.
//!
//! Three of them: Benjamini-Hochberg q-values, which bound the share of false
//! findings across layers and pairs; the single-step max-T, which bounds
//! the chance of any false finding and uses the dependence between layers by
//! taking the maximum of each null draw; and Holm's, which bounds it where tests
//! have no draws in common. NaN marks a test that was not made:
//! it stays NaN and is not counted.

use ndarray::{ArrayView1, ArrayView2};

/// Benjamini-Hochberg q-values, in the order of `p` (Benjamini and Hochberg 1995).
pub fn benjamini_hochberg(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).filter(|&i| !p[i].is_nan()).collect();
    order.sort_by(|&i, &j| p[i].total_cmp(&p[j]));
    let m = order.len() as f64;
    let mut q = vec![f64::NAN; p.len()];
    let mut least = 1.0f64;
    for (place, &i) in order.iter().enumerate().rev() {
        least = least.min(p[i] * m / (place + 1) as f64);
        q[i] = least;
    }
    q
}

/// p-values adjusted step by step, in the order of `p` (Holm 1979): the chance of any false finding,
/// however the tests depend on each other.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).filter(|&i| !p[i].is_nan()).collect();
    order.sort_by(|&i, &j| p[i].total_cmp(&p[j]));
    let mut adjusted = vec![f64::NAN; p.len()];
    let mut most = 0.0f64;
    for (place, &i) in order.iter().enumerate() {
        most = most.max((p[i] * (order.len() - place) as f64).min(1.0));
        adjusted[i] = most;
    }
    adjusted
}

/// Two-sided p-values adjusted over all tests by the maximum (Westfall and Young 1993).
///
/// `observed` has one statistic a test, `null` is `(draws, tests)` on the same
/// scale; statistics should be comparable across tests (studentised, or all
/// cosines). p_i = (1 + #draws with max_j |null_j| >= |observed_i|) / (1 + draws).
pub fn max_t(observed: &[f64], null: ArrayView2<f64>) -> Vec<f64> {
    let most = |row: ArrayView1<f64>| row.iter().map(|x| x.abs()).fold(0.0, f64::max);
    let mut maxima: Vec<f64> = null.rows().into_iter().map(most).collect();
    maxima.sort_by(f64::total_cmp);
    let n = maxima.len();
    let adjusted = |x: &f64| match x.is_nan() {
        true => f64::NAN,
        false => (1 + n - maxima.partition_point(|&m| m < x.abs())) as f64 / (1 + n) as f64,
    };
    observed.iter().map(adjusted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;
    use ndarray::array;
    use proptest::prelude::*;

    #[test]
    fn q_values_match_a_calculation_by_hand() {
        // p sorted .01 .02 .03 .04 .2, m = 5: .05 .05 .05 .05 .2
        let q = benjamini_hochberg(&[0.04, 0.01, f64::NAN, 0.2, 0.03, 0.02]);
        for (got, want) in q.iter().zip([0.05, 0.05, f64::NAN, 0.2, 0.05, 0.05]) {
            if want.is_nan() {
                assert!(got.is_nan());
            } else {
                assert_abs_diff_eq!(*got, want, epsilon = 1e-12);
            }
        }
        let q = benjamini_hochberg(&[0.001, 0.5, 0.02]);
        assert_abs_diff_eq!(q[0], 0.003, epsilon = 1e-12);
        assert_abs_diff_eq!(q[2], 0.03, epsilon = 1e-12);
        assert_abs_diff_eq!(q[1], 0.5, epsilon = 1e-12);
    }

    #[test]
    fn holm_matches_a_calculation_by_hand() {
        // p sorted .01 .02 .04 .9, m = 4: .04 .06 .08 .9
        let adjusted = holm(&[0.02, f64::NAN, 0.9, 0.01, 0.04]);
        for (got, want) in adjusted.iter().zip([0.06, f64::NAN, 0.9, 0.04, 0.08]) {
            assert!((got - want).abs() < 1e-12 || (got.is_nan() && want.is_nan()));
        }
        // Never less than that of a smaller p.
        assert_eq!(holm(&[0.04, 0.03]), [0.06, 0.06]);
    }

    #[test]
    fn max_t_counts_the_largest_statistic_of_each_draw() {
        let null = array![[0.1, -0.9], [0.5, 0.2], [-0.3, 0.3]];
        let p = max_t(&[0.4, -1.0, f64::NAN], null.view());
        assert_eq!(p[0], 3.0 / 4.0);
        assert_eq!(p[1], 1.0 / 4.0);
        assert!(p[2].is_nan());
    }

    proptest! {
        #[test]
        fn q_values_keep_the_order_of_p_and_are_never_smaller(
            p in prop::collection::vec(0.0f64..1.0, 1..60)
        ) {
            let q = benjamini_hochberg(&p);
            for i in 0..p.len() {
                prop_assert!(q[i] >= p[i] - 1e-15 && q[i] <= 1.0);
                for j in 0..p.len() {
                    prop_assert!(p[i] > p[j] || q[i] <= q[j]);
                }
            }
        }
    }
}
