//! Directions against references: scikit-learn (principal components, logistic regression,
//! discriminant, covariance, AUROC) and concept-erasure (LEACE), as frozen by
//! tests/oracles/make_direction_fixtures.py on a tall and a wide set of pairs.
//!
//! Tolerances: a direction is held to |1 - cosine| < 1e-10, its unit vector being f32; solvers
//! that end at an optimum to 1e-6 of the largest weight; closed forms to 1e-9.

mod common;

use common::fixtures;
use ndarray::{Array1, Array2, ArrayD, Axis, IxDyn};
use residuum::directions::{estimate, logistic, Covariance, Eraser, Estimator, Pairs};
use residuum::stats::linalg::{cosine, thin_svd};
use residuum::stats::rank::{auroc, SortedScores};
use residuum::stats::shrinkage::ledoit_wolf;
use safetensors::{Dtype, SafeTensors};
use std::sync::OnceLock;

const SETS: [&str; 2] = ["tall", "wide"];

fn bytes() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| std::fs::read(fixtures().join("directions.safetensors")).unwrap())
}

/// A tensor of the fixtures as f64, whatever its type.
fn tensor(set: &str, name: &str) -> ArrayD<f64> {
    let file = SafeTensors::deserialize(bytes()).unwrap();
    let view = file.tensor(&format!("{set}.{name}")).unwrap();
    let data = view.data();
    let values: Vec<f64> = match view.dtype() {
        Dtype::F32 => data
            .chunks_exact(4)
            .map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap())))
            .collect(),
        Dtype::F64 => {
            data.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect()
        }
        Dtype::I64 => {
            data.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64).collect()
        }
        other => panic!("{name} is {other:?}"),
    };
    ArrayD::from_shape_vec(IxDyn(view.shape()), values).unwrap()
}

fn vector(set: &str, name: &str) -> Array1<f64> {
    tensor(set, name).into_dimensionality().unwrap()
}

fn matrix(set: &str, name: &str) -> Array2<f64> {
    tensor(set, name).into_dimensionality().unwrap()
}

fn number(set: &str, name: &str) -> f64 {
    vector(set, name)[0]
}

fn pairs(set: &str) -> Pairs {
    let prompt: Vec<usize> = vector(set, "prompt").iter().map(|&v| v as usize).collect();
    Pairs {
        positive: matrix(set, "positive").mapv(|v| v as f32),
        negative: matrix(set, "negative").mapv(|v| v as f32),
        template: prompt.iter().map(|p| p % 3).collect(),
        is_dev: vec![false; prompt.len()],
        prompt,
    }
}

fn both_sides(pairs: &Pairs) -> Array2<f32> {
    ndarray::concatenate![Axis(0), pairs.positive, pairs.negative]
}

fn ours(set: &str, estimator: Estimator) -> Array1<f64> {
    let direction = estimate(&pairs(set), estimator, 0).unwrap();
    direction.unit.mapv(f64::from)
}

/// Largest difference to the largest reference value.
fn gap<'a>(ours: impl IntoIterator<Item = &'a f64>, theirs: &ArrayD<f64>) -> f64 {
    let scale = theirs.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let pairs = ours.into_iter().zip(theirs);
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / scale
}

#[test]
fn difference_in_means_and_discriminant_are_the_references() {
    for set in SETS {
        for (estimator, name) in [(Estimator::MeanDiff, "mean_difference"), (Estimator::Lda, "lda")]
        {
            let cos = cosine(ours(set, estimator).view(), vector(set, name).view());
            assert!(1.0 - cos < 1e-10, "{set} {name}: {:e}", 1.0 - cos);
        }
    }
}

#[test]
fn shrinkage_is_the_reference() {
    for set in SETS {
        let pairs = pairs(set);
        let centre = |x: &Array2<f32>| x - &x.mean_axis(Axis(0)).unwrap();
        let within =
            ndarray::concatenate![Axis(0), centre(&pairs.positive), centre(&pairs.negative)];
        let lambda = ledoit_wolf(within.view()).unwrap().lambda;
        assert!((lambda - number(set, "shrinkage")).abs() < 1e-6, "{set}");
    }
}

#[test]
fn principal_components_are_the_references_up_to_sign() {
    for set in SETS {
        let first = matrix(set, "pca_diff_centered").row(0).to_owned();
        for (estimator, theirs) in
            [(Estimator::PcaPairs, vector(set, "pca_pairs")), (Estimator::PcaDiffCentered, first)]
        {
            // The iterative solver is accepted at a residual of 1e-4 of the largest eigenvalue.
            let cos = cosine(ours(set, estimator).view(), theirs.view()).abs();
            assert!(1.0 - cos < 1e-7, "{set} {estimator}: {:e}", 1.0 - cos);
        }
        let deltas = pairs(set).differences();
        let centred = &deltas - &deltas.mean_axis(Axis(0)).unwrap();
        let svd = thin_svd(centred.view()).unwrap();
        for (k, theirs) in matrix(set, "pca_diff_centered").rows().into_iter().enumerate() {
            let cos = cosine(svd.vt.row(k), theirs).abs();
            assert!(1.0 - cos < 1e-10, "{set} component {k}: {:e}", 1.0 - cos);
        }
    }
}

#[test]
fn logistic_weights_are_the_references_at_every_penalty() {
    for set in SETS {
        let pairs = pairs(set);
        let theirs = matrix(set, "logistic_coefficients");
        for (alpha, theirs) in vector(set, "logistic_alphas").iter().zip(theirs.rows()) {
            let fitted = logistic::fit(&pairs, *alpha).unwrap();
            let gap = gap(&fitted.weights, &theirs.to_owned().into_dyn());
            assert!(gap < 1e-6, "{set} alpha {alpha}: {gap:e}");
        }
    }
}

#[test]
fn the_penalty_is_chosen_as_the_reference_chooses_it() {
    for set in SETS {
        assert_eq!(vector(set, "logistic_alphas").to_vec(), logistic::ALPHAS);
        let fitted = logistic::fit_cross_validated(&pairs(set)).unwrap();
        assert!((fitted.alpha / number(set, "logistic_alpha") - 1.0).abs() < 1e-12);
        let gap = gap(&fitted.weights, &tensor(set, "logistic_chosen"));
        assert!(gap < 1e-6, "{set}: {gap:e}");
    }
}

#[test]
fn areas_are_the_references_with_ties_and_with_weights() {
    for set in SETS {
        let n = pairs(set).len();
        let scores = vector(set, "scores").to_vec();
        let (positive, negative) = scores.split_at(n);
        let distinct: std::collections::BTreeSet<i64> =
            scores.iter().map(|s| (s * 10.0).round() as i64).collect();
        assert!(distinct.len() < scores.len(), "the fixture has no ties");
        let area = auroc(positive, negative);
        assert!((area - number(set, "auroc")).abs() < 1e-12, "{set}");
        let weights = vector(set, "weights").to_vec();
        let weighted = SortedScores::new(positive, negative).weighted(&weights, &weights);
        assert!((weighted - number(set, "auroc_weighted")).abs() < 1e-12, "{set}");
    }
}

#[test]
fn erasers_are_the_references_for_two_sides_and_for_classes() {
    for set in SETS {
        let pairs = pairs(set);
        let x = both_sides(&pairs);
        let classes = Array2::from_shape_fn((x.nrows(), 3), |(i, j)| f64::from(i % 3 == j));
        let two = Eraser::of_pairs(&pairs, Covariance::Sample).unwrap();
        let three = Eraser::fit(x.view(), classes.view(), Covariance::Sample).unwrap();
        assert_eq!((two.rank(), three.rank()), (1, 2));
        for (eraser, name) in [(two, "binary"), (three, "classes")] {
            let linear =
                gap(&eraser.projection(), &tensor(set, &format!("leace_{name}_projection")));
            assert!(linear < 1e-9, "{set} {name}: {linear:e}");
            let erased = eraser.apply(x.view()).unwrap().mapv(f64::from);
            let theirs = tensor(set, &format!("leace_{name}_erased"));
            let rows = gap(&erased, &theirs);
            assert!(rows < 1e-6, "{set} {name}: {rows:e}"); // f32 rows
        }
    }
}

#[test]
fn no_orthogonal_projection_that_erases_moves_the_rows_less_than_the_reference_eraser() {
    // Least squares: the sum of squared moves of the eraser against that of projecting out
    // the mean difference, which erases too.
    for set in SETS {
        let pairs = pairs(set);
        let x = both_sides(&pairs).mapv(f64::from);
        let moved = |erased: &Array2<f64>| (&x - erased).mapv(|v| v * v).sum();
        let eraser = Eraser::of_pairs(&pairs, Covariance::Sample).unwrap();
        let ours = moved(&eraser.apply(both_sides(&pairs).view()).unwrap().mapv(f64::from));
        let theirs = moved(&matrix(set, "leace_binary_erased"));
        assert!((ours / theirs - 1.0).abs() < 1e-5, "{set}");
        let delta = pairs.mean_difference();
        let unit = &delta / delta.dot(&delta).sqrt();
        let centred = &x - &x.mean_axis(Axis(0)).unwrap();
        let along = centred.dot(&unit);
        assert!(ours < along.dot(&along), "{set}");
    }
}
