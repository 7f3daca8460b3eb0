//! LEACE: the smallest affine change after which no linear probe finds a concept.
//!
//! From activations x and labels z the eraser is `r(x) = x - left right (x - mean)`
//! with `left right = W+ P W`, W the whitening of x and P the projection on the
//! columns of W cov(x, z) (Belrose et al. 2023, arXiv 2306.03819, theorem 4.3). On the
//! fitted rows the covariance with z is then zero, so every linear classifier is at
//! chance, and no other affine map that does this moves the rows less, in any norm.
//!
//! The rank k is at most that of z, 1 for two sides, so only the two factors are
//! kept. The covariance of x may be the sample's, as in the paper, or the shrinkage
//! estimate: with fewer rows than dimensions the sample's inverse fits noise, and
//! rows that were not fitted are moved at random. Either erases the fitted rows alike.

use super::error::{enough, labelled, same_width, Result};
use super::{DirectionError, Pairs};
use crate::stats::linalg::{thin_svd, Svd};
use crate::stats::shrinkage::ledoit_wolf;
use ndarray::{concatenate, s, Array1, Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

/// Singular values of the whitened covariance with z below this share of the first are taken for zero.
const RANK_TOLERANCE: f64 = 1e-6;

/// Which covariance of the activations an eraser whitens by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Covariance {
    /// The sample's, with a pseudo-inverse: the paper's estimator.
    Sample,
    /// Ledoit and Wolf's shrinkage estimate: for fewer rows than dimensions.
    Shrunk,
}

/// An affine eraser of rank k in d dimensions.
#[derive(Debug, Clone, PartialEq)]
pub struct Eraser {
    /// Mean of the fitted rows `(d)`, which the eraser leaves where it is.
    pub mean: Array1<f64>,
    /// What is taken away, `(d, k)`.
    pub left: Array2<f64>,
    /// How much of it, `(k, d)`; `right left` is the identity.
    pub right: Array2<f64>,
}

impl Eraser {
    /// Fits an eraser of `z (n, c)` (numbers, or one column a class) in `x (n, d)`.
    ///
    /// Errors on differing numbers of rows, below 3 rows, on values that are not
    /// finite, and when z or x does not vary.
    pub fn fit(x: ArrayView2<f32>, z: ArrayView2<f64>, covariance: Covariance) -> Result<Self> {
        let bad = z.rows().into_iter().position(|r| r.iter().any(|v| !v.is_finite()));
        labelled(("labels", "the label"), (z.nrows(), bad), x)?;
        if x.nrows() < 3 {
            enough("an eraser", 2, x.nrows() / 2)?;
        }
        let n = x.nrows() as f64;
        let wide = x.mapv(f64::from);
        let mean = wide.sum_axis(Axis(0)) / n;
        let centred = wide - &mean; // (n, d)
        let labels = &z - &(z.sum_axis(Axis(0)) / n); // (n, c)
        let constant = |what| DirectionError::Constant { what, n: x.nrows() };
        if labels.iter().all(|v| *v == 0.0) {
            return Err(constant("the label"));
        }
        let (left, right) = match covariance {
            Covariance::Sample => sample(&centred, &labels)?,
            Covariance::Shrunk => shrunk(x, &centred, &labels)?,
        };
        if left.ncols() == 0 {
            return Err(constant("the activation, as far as it goes with the label,"));
        }
        Ok(Eraser { mean, left, right })
    }

    /// Fits an eraser of which side a row is on: rank 1.
    ///
    /// Errors on inconsistent pairs and when the sides do not differ.
    pub fn of_pairs(pairs: &Pairs, covariance: Covariance) -> Result<Self> {
        pairs.check()?;
        let x = concatenate![Axis(0), pairs.positive, pairs.negative];
        let mut z = Array2::zeros((x.nrows(), 1));
        z.slice_mut(s![..pairs.len(), ..]).fill(1.0);
        Eraser::fit(x.view(), z.view(), covariance)
    }

    /// Number k of dimensions that are erased.
    pub fn rank(&self) -> usize {
        self.left.ncols()
    }

    /// Width d.
    pub fn width(&self) -> usize {
        self.mean.len()
    }

    /// The rows of `x (n, d)` with the concept erased.
    pub fn apply(&self, x: ArrayView2<f32>) -> Result<Array2<f32>> {
        same_width(self.width(), x.ncols())?;
        let wide = x.mapv(f64::from);
        let share = (&wide - &self.mean).dot(&self.right.t()); // (n, k)
        Ok((wide - share.dot(&self.left.t())).mapv(|v| v as f32))
    }

    /// Both sides of pairs with the concept erased.
    pub fn apply_to_pairs(&self, pairs: &Pairs) -> Result<Pairs> {
        Ok(Pairs {
            positive: self.apply(pairs.positive.view())?,
            negative: self.apply(pairs.negative.view())?,
            ..pairs.clone()
        })
    }

    /// The linear part as a full matrix `(d, d)`, `I - left right`.
    pub fn projection(&self) -> Array2<f64> {
        Array2::eye(self.width()) - self.left.dot(&self.right)
    }
}

/// Factors from the sample covariance: with `X = U S V'` the whitened covariance with
/// z is `V U'Z`, whose left singular vectors `V A` give `left = V S A`, `right = A' S+ V'`.
fn sample(centred: &Array2<f64>, labels: &Array2<f64>) -> Result<(Array2<f64>, Array2<f64>)> {
    let Svd { u, s: values, vt } = thin_svd(centred.view())?;
    // The threshold of a pseudo-inverse of the covariance, whose values are squares.
    let least = values[0] * (centred.ncols() as f64 * f64::EPSILON).sqrt();
    let r = values.iter().take_while(|v| **v > least).count();
    let (u, values, vt) = (u.slice(s![.., ..r]), values.slice(s![..r]), vt.slice(s![..r, ..]));
    let inner = thin_svd(u.t().dot(labels).view())?; // (r, c)
    let k = rank(&inner.s);
    let a = inner.u.slice(s![.., ..k]); // (r, k)
    let column = values.insert_axis(Axis(1)); // (r, 1)
    let left = vt.t().dot(&(&a * &column)); // (d, k)
    let right = (&a / &column).t().dot(&vt); // (k, d)
    Ok((left, right))
}

/// Factors from the shrinkage covariance: with C = X'Z and M = Sigma^-1 C the whitened
/// covariance has the squared singular values of `C'M = B T^2 B'`, and `left = C B / T`,
/// `right = (M B / T)'`.
fn shrunk(
    x: ArrayView2<f32>,
    centred: &Array2<f64>,
    labels: &Array2<f64>,
) -> Result<(Array2<f64>, Array2<f64>)> {
    let cross = centred.t().dot(labels); // (d, c)
    let covariance = ledoit_wolf(x)?;
    let mut solved = Array2::zeros(cross.dim()); // (d, c)
    for (mut out, column) in solved.columns_mut().into_iter().zip(cross.columns()) {
        out.assign(&covariance.solve(column));
    }
    let inner = thin_svd(cross.t().dot(&solved).view())?; // (c, c), symmetric
    let values = inner.s.mapv(f64::sqrt);
    let k = rank(&values);
    let basis = &inner.u.slice(s![.., ..k]) / &values.slice(s![..k]); // (c, k)
    Ok((cross.dot(&basis), solved.dot(&basis).t().to_owned()))
}

/// Number of singular values that are not zero to rounding.
fn rank(values: &Array1<f64>) -> usize {
    let first = values.first().copied().unwrap_or(0.0);
    values.iter().filter(|v| **v > RANK_TOLERANCE * first).count()
}

#[cfg(test)]
mod tests {
    use super::super::estimate::tests::planted;
    use super::super::logistic;
    use super::*;
    use crate::stats::linalg::orthonormal_rows;
    use proptest::prelude::*;

    const BOTH: [Covariance; 2] = [Covariance::Sample, Covariance::Shrunk];

    fn moved(pairs: &Pairs, erased: &Pairs) -> f64 {
        let gap = |a: &Array2<f32>, b: &Array2<f32>| (a - b).mapv(|v| f64::from(v * v)).sum();
        gap(&pairs.positive, &erased.positive) + gap(&pairs.negative, &erased.negative)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn after_erasure_no_linear_classifier_does_better_than_chance(
            seed in 0u64..1000, d in 8usize..60, shift in 0.5f64..8.0
        ) {
            // In fewer dimensions the erased one may keep nothing but rounding, which a classifier
            // that standardises would fit.
            let pairs = planted(20, d, shift, 1, seed);
            for covariance in BOTH {
                let eraser = Eraser::of_pairs(&pairs, covariance).unwrap();
                prop_assert_eq!(eraser.rank(), 1);
                let erased = eraser.apply_to_pairs(&pairs).unwrap();
                // Equal means: the optimum of any convex loss is the constant.
                let left = erased.mean_difference();
                prop_assert!(left.dot(&left).sqrt() < 1e-5 * shift.max(1.0), "{:?}", covariance);
                let fitted = logistic::fit(&erased, 0.01).unwrap();
                prop_assert!(fitted.weights.iter().all(|w| w.abs() < 1e-3));
            }
        }

        #[test]
        fn an_eraser_is_a_projection_and_keeps_the_mean(seed in 0u64..1000, d in 3usize..50) {
            let pairs = planted(20, d, 2.0, 1, seed);
            for covariance in BOTH {
                let eraser = Eraser::of_pairs(&pairs, covariance).unwrap();
                let p = eraser.projection();
                let twice = (&p.dot(&p) - &p).mapv(f64::abs).sum();
                prop_assert!(twice < 1e-6 * d as f64, "{}", twice);
                let centre = eraser.mean.mapv(|v| v as f32).insert_axis(Axis(0));
                let kept = eraser.apply(centre.view()).unwrap();
                prop_assert!((kept - centre).iter().all(|v| v.abs() < 1e-5));
            }
        }

        #[test]
        fn the_sample_eraser_moves_rows_less_than_projecting_out_the_mean_difference(
            seed in 0u64..1000, noise in 1.0f32..5.0
        ) {
            // Dimensions that vary together make the two differ.
            let mut pairs = planted(40, 6, 2.0, 1, seed);
            for side in [&mut pairs.positive, &mut pairs.negative] {
                let shared = side.column(2).to_owned() * noise;
                let mut other = side.column_mut(1);
                other += &shared;
            }
            let erased = Eraser::of_pairs(&pairs, Covariance::Sample)
                .unwrap()
                .apply_to_pairs(&pairs)
                .unwrap();
            let delta = pairs.mean_difference();
            let unit = (&delta / delta.dot(&delta).sqrt()).insert_axis(Axis(1));
            let orthogonal = Eraser {
                mean: Eraser::of_pairs(&pairs, Covariance::Sample).unwrap().mean,
                left: unit.clone(),
                right: unit.t().to_owned(),
            };
            let projected = orthogonal.apply_to_pairs(&pairs).unwrap();
            prop_assert!(moved(&pairs, &erased) <= moved(&pairs, &projected) * 1.0001);
        }

        #[test]
        fn a_rotation_of_the_space_rotates_what_is_erased(seed in 0u64..1000) {
            let pairs = planted(30, 7, 2.0, 1, seed);
            let basis = planted(7, 7, 0.0, 0, seed + 7).differences();
            let q = orthonormal_rows(basis.view()).mapv(|v| v as f32);
            let rotated = Pairs {
                positive: pairs.positive.dot(&q),
                negative: pairs.negative.dot(&q),
                ..pairs.clone()
            };
            for covariance in BOTH {
                let erase = |p: &Pairs| {
                    Eraser::of_pairs(p, covariance).unwrap().apply_to_pairs(p).unwrap()
                };
                let (one, two) = (erase(&pairs).positive.dot(&q), erase(&rotated).positive);
                prop_assert!((one - two).iter().all(|v| v.abs() < 1e-3), "{:?}", covariance);
            }
        }
    }

    #[test]
    fn a_numeric_label_is_left_uncorrelated_with_every_dimension() {
        let x = planted(50, 9, 0.0, 0, 4).positive;
        let z = Array2::from_shape_fn((50, 2), |(i, j)| {
            f64::from(x[[i, 3 + j]]) + f64::from(x[[i, 0]]) * 0.5
        });
        let erased = Eraser::fit(x.view(), z.view(), Covariance::Sample)
            .unwrap()
            .apply(x.view())
            .unwrap()
            .mapv(f64::from);
        let labels = &z - &(z.sum_axis(Axis(0)) / 50.0);
        assert!(erased.t().dot(&labels).iter().all(|v| v.abs() < 1e-3));
    }

    #[test]
    fn with_few_rows_the_shrunk_eraser_moves_new_rows_less() {
        let all = planted(120, 60, 4.0, 2, 6);
        let (seen, new): (Vec<usize>, Vec<usize>) = (0..120).partition(|i| i % 6 == 0);
        let (seen, new) = (all.select(&seen), all.select(&new));
        let by = |covariance| {
            let eraser = Eraser::of_pairs(&seen, covariance).unwrap();
            moved(&new, &eraser.apply_to_pairs(&new).unwrap())
        };
        let (sample, shrunk) = (by(Covariance::Sample), by(Covariance::Shrunk));
        assert!(shrunk < sample, "{shrunk} {sample}");
    }

    #[test]
    fn labels_that_do_not_vary_and_rows_of_another_width_are_refused() {
        let pairs = planted(10, 5, 2.0, 1, 2);
        let z = Array2::ones((10, 1));
        let error = Eraser::fit(pairs.positive.view(), z.view(), Covariance::Sample).unwrap_err();
        assert!(matches!(error, DirectionError::Constant { n: 10, .. }));
        let eraser = Eraser::of_pairs(&pairs, Covariance::Sample).unwrap();
        let narrow = Array2::<f32>::zeros((3, 4));
        assert_eq!(eraser.apply(narrow.view()), Err(DirectionError::Width { expected: 5, got: 4 }));
    }
}
