//! The statistics against scikit-learn, scipy and statsmodels, on numbers frozen by
//! `tests/oracles/make_stats_fixtures.py`. Each tolerance says what it allows for.

use ndarray::{Array1, Array2, Array3, Axis};
use residuum::geometry::regions::{silhouette, Clouds};
use residuum::geometry::stability::linear_cka;
use residuum::geometry::subspace::overlap;
use residuum::geometry::{coupling, CouplingInput, CouplingOptions};
use residuum::stats::corrections::benjamini_hochberg;
use residuum::stats::interval::{isotropic_cosine, newcombe, percentile, two_proportion_z, wilson};
use residuum::stats::kolmogorov::ks_uniform;
use residuum::stats::linalg::{orthonormal_rows, thin_svd};
use residuum::stats::mixture::bimodality;
use residuum::stats::permutation::{flip_test_mean, Tail};
use residuum::stats::rank::{auroc, pearson, spearman, SortedScores};
use residuum::stats::replicates::{difference_over, mean_over, Replicated};
use residuum::stats::shrinkage::ledoit_wolf;
use residuum::stats::Resampling;
use serde_json::Value;

/// Both sides compute in f64: what rounding and the fixture's fifteen digits leave.
const EXACT: f64 = 1e-9;

fn fixture(name: &str) -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/stats/reference.json");
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()[name].take()
}

fn number(v: &Value) -> f64 {
    v.as_f64().unwrap_or_else(|| panic!("{v} is no number"))
}

fn list(v: &Value) -> Vec<f64> {
    v.as_array().unwrap().iter().map(number).collect()
}

fn matrix(v: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = v.as_array().unwrap().iter().map(list).collect();
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j])
}

fn cases(name: &str) -> Vec<Value> {
    fixture(name).as_array().unwrap().clone()
}

#[track_caller]
fn near(got: f64, want: f64, tolerance: f64) {
    let allowed = tolerance * want.abs().max(1.0);
    assert!((got - want).abs() <= allowed, "{got} for {want}, allowed {allowed}");
}

#[test]
fn singular_vectors_of_centred_rows_are_principal_components() {
    let f = fixture("principal_components");
    let x = matrix(&f["x"]);
    let centred = &x - &x.mean_axis(Axis(0)).unwrap();
    let svd = thin_svd(centred.view()).unwrap();
    let components = matrix(&f["components"]);
    for (k, want) in list(&f["singular_values"]).into_iter().enumerate() {
        near(svd.s[k], want, EXACT);
        // A component is defined up to its sign.
        near(svd.vt.row(k).dot(&components.row(k)).abs(), 1.0, EXACT);
    }
}

#[test]
fn silhouettes_match() {
    let f = fixture("silhouettes");
    let states: Vec<Array2<f32>> =
        f["states"].as_array().unwrap().iter().map(|s| matrix(s).mapv(|v| v as f32)).collect();
    let views: Vec<_> = states.iter().map(|s| s.view()).collect();
    let clusters: Vec<usize> = (0..states[0].nrows()).collect();
    let clouds = Clouds { states: &views, clusters: &clusters };
    let got = silhouette(&clouds, Resampling::default()).unwrap();
    // Distances come from inner products of f32 rows.
    near(got.mean.value, number(&f["mean"]), 1e-6);
    for (got, want) in got.by_state.iter().zip(list(&f["by_state"])) {
        near(*got, want, 1e-6);
    }
}

#[test]
fn areas_match_with_ties_and_with_weights() {
    for f in cases("areas") {
        let (positive, negative) = (list(&f["positive"]), list(&f["negative"]));
        near(auroc(&positive, &negative), number(&f["area"]), EXACT);
        let weights = list(&f["weights"]);
        let (wp, wn) = weights.split_at(positive.len());
        let got = SortedScores::new(&positive, &negative).weighted(wp, wn);
        near(got, number(&f["weighted"]), EXACT);
    }
}

#[test]
fn principal_angles_match() {
    for f in cases("angles") {
        let (a, b) = (matrix(&f["a"]), matrix(&f["b"]));
        let (a, b) = (orthonormal_rows(a.view()), orthonormal_rows(b.view()));
        let got = overlap(a.view(), b.view()).unwrap();
        let want = list(&f["angles"]);
        assert_eq!(got.angles.len(), want.len());
        for (got, want) in got.angles.iter().zip(want) {
            // acos loses half the digits near 0.
            near(*got, want, 1e-7);
        }
    }
}

#[test]
fn kolmogorov_smirnov_matches() {
    for f in cases("kolmogorov") {
        let got = ks_uniform(&list(&f["x"])).unwrap();
        near(got.distance, number(&f["distance"]), EXACT);
        // The approximation for large samples is good to seven digits.
        near(got.p, number(&f["p"]), 1e-6);
    }
}

#[test]
fn flipped_signs_match_all_sign_patterns() {
    for f in cases("permutation") {
        let x = list(&f["x"]);
        let clusters: Vec<usize> = (0..x.len()).collect();
        let got = flip_test_mean(&x, &clusters, 200_000, Tail::TwoSided, 1, "reference");
        let want = number(&f["p"]);
        // Four standard errors of a share among 200,000 draws.
        let allowed = 4.0 * (want * (1.0 - want) / 200_000.0).sqrt() + 1e-5;
        assert!((got - want).abs() < allowed, "{got} for {want}");
    }
}

#[test]
fn intervals_of_rates_match() {
    for f in cases("rates") {
        let counts: Vec<u64> = list(&f["counts"]).iter().map(|&c| c as u64).collect();
        let [k, n, j, m] = counts[..] else { panic!("{counts:?}") };
        let (one, both) = (wilson(k, n, 0.95), newcombe((k, n), (j, m), 0.95));
        let (z, p) = two_proportion_z((k, n), (j, m));
        for (got, want) in [one.lo, one.hi].into_iter().zip(list(&f["wilson"])) {
            near(got, want, EXACT);
        }
        for (got, want) in [both.lo, both.hi].into_iter().zip(list(&f["newcombe"])) {
            near(got, want, EXACT);
        }
        near(z, number(&f["z"]), EXACT);
        near(p, number(&f["p"]), EXACT);
    }
}

#[test]
fn q_values_match() {
    let f = fixture("false_discovery");
    let got = benjamini_hochberg(&list(&f["p"]));
    for (got, want) in got.into_iter().zip(list(&f["q"])) {
        near(got, want, EXACT);
    }
}

#[test]
fn means_and_differences_over_seeds_match() {
    let f = fixture("replicates");
    let (a, b) = (list(&f["a"]), list(&f["b"]));
    let same = |got: Replicated, want: &Value| {
        near(got.value, number(&want["value"]), EXACT);
        near(got.interval.lo, number(&want["lo"]), 1e-8); // inverse of Student's t
        near(got.interval.hi, number(&want["hi"]), 1e-8);
        near(got.p, number(&want["p"]), 1e-8);
        near(got.df, number(&want["df"]), EXACT);
    };
    same(mean_over(&a, 0.95).unwrap(), &f["mean"]);
    same(difference_over(&a, &b, 0.95).unwrap(), &f["difference"]);
}

#[test]
fn correlations_and_quantiles_match() {
    let f = fixture("correlations");
    let (x, y) = (list(&f["x"]), list(&f["y"]));
    near(pearson(&x, &y), number(&f["pearson"]), EXACT);
    near(spearman(&x, &y), number(&f["spearman"]), EXACT);
    let f = fixture("quantiles");
    let got = percentile(&mut list(&f["x"]), 0.95);
    near(got.lo, number(&f["lo"]), EXACT);
    near(got.hi, number(&f["hi"]), EXACT);
}

#[test]
fn shrinkage_matches() {
    for f in cases("shrinkage") {
        let x = matrix(&f["x"]).mapv(|v| v as f32);
        near(ledoit_wolf(x.view()).unwrap().lambda, number(&f["lambda"]), EXACT);
    }
}

#[test]
fn information_criteria_of_mixtures_match() {
    for f in cases("mixtures") {
        let got = bimodality(&list(&f["x"])).unwrap();
        near(got.bic_one, number(&f["bic_one"]), 1e-5);
        // Two EM runs from different starts end at the same maximum, as near as they stop.
        near(got.bic_two, number(&f["bic_two"]), 2e-4);
    }
}

#[test]
fn isotropic_cosines_match() {
    for f in cases("isotropic") {
        let d = number(&f["d"]) as usize;
        near(isotropic_cosine(d, number(&f["level"])), number(&f["cosine"]), 1e-7);
    }
}

#[test]
fn alignments_match() {
    let f = fixture("alignment");
    let layer = |v: &Value| -> Array3<f32> {
        matrix(v).mapv(|v| v as f32).insert_axis(Axis(1)) // (n, 1, d)
    };
    let got = linear_cka(layer(&f["x"]).view(), layer(&f["y"]).view()).unwrap()[0];
    near(got.biased, number(&f["biased"]), 1e-9);
    near(got.debiased, number(&f["debiased"]), 1e-9);
}

#[test]
fn cosines_match_a_second_implementation_in_every_form() {
    let f = fixture("cosines");
    let differences: Vec<Array3<f32>> = f["pairs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| matrix(p).mapv(|v| v as f32).insert_axis(Axis(1)))
        .collect();
    let clusters: Vec<Vec<usize>> = differences.iter().map(|d| (0..d.dim().0).collect()).collect();
    let background = vec![matrix(&f["neutral"]).mapv(|v| v as f32).insert_axis(Axis(1))];
    let states = vec![differences];
    let input = CouplingInput {
        differences: &states,
        clusters: &clusters,
        strata: &clusters, // no null is compared
        background: &background,
    };
    let options = CouplingOptions {
        nuisances: vec![2],
        draws: 50,
        flips: 50,
        random: 50,
        ..CouplingOptions::for_pair(0, 1)
    };
    let got = coupling(input, &options).unwrap();
    let at = [0, 0, 1, 0];
    for (form, name) in [(&got.raw, "raw"), (&got.cleaned, "cleaned"), (&got.whitened, "whitened")]
    {
        near(form.value[at], number(&f[name]), 1e-8);
        let relative = match name {
            "raw" => "relative".to_string(),
            _ => format!("{name}_relative"),
        };
        near(form.relative[at], number(&f[&relative]), 1e-8);
    }
    let reliability = Array1::from(list(&f["reliability"]));
    for (a, want) in reliability.iter().enumerate() {
        near(got.reliability[[0, a, 0]], *want, EXACT);
    }
}
