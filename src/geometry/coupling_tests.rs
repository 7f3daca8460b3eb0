//! What a coupling promises: planted cosines, coverage, nulls, invariances.

use super::*;
use crate::stats::linalg::orthonormal_rows;
use crate::stats::rng::{fill_normal, stream};
use ndarray::Axis;
use proptest::prelude::*;

/// One planted study: concepts' true directions and anisotropic noise around them.
struct Plant {
    states: usize,
    layers: usize,
    n: usize,
    d: usize,
    /// Length of each true mean difference; noise has a mean variance near 1 a dimension.
    signal: f32,
    /// True directions `(concepts, d)`, unit rows.
    truth: Array2<f32>,
    seed: u64,
}

struct Data {
    differences: Vec<Vec<Array3<f32>>>,
    clusters: Vec<Vec<usize>>,
    strata: Vec<Vec<usize>>,
    background: Vec<Array3<f32>>,
}

impl Data {
    fn input(&self) -> CouplingInput<'_> {
        CouplingInput {
            differences: &self.differences,
            clusters: &self.clusters,
            strata: &self.strata,
            background: &self.background,
        }
    }
}

impl Plant {
    fn noise(&self, n: usize, name: &str, index: u64) -> Array3<f32> {
        let mut x = Array3::<f32>::zeros((n, self.layers, self.d));
        fill_normal(&mut stream(self.seed, name, index), x.as_slice_mut().unwrap());
        for (j, mut column) in x.axis_iter_mut(Axis(2)).enumerate() {
            column *= [0.4, 0.8, 1.0, 1.6][j % 4]; // anisotropic
        }
        x
    }

    fn data(&self) -> Data {
        let concepts = self.truth.nrows();
        let differences = (0..self.states)
            .map(|s| {
                (0..concepts)
                    .map(|a| {
                        let mut x = self.noise(self.n, "pairs", (s * 100 + a) as u64);
                        x += &(&self.truth.row(a) * self.signal);
                        x
                    })
                    .collect()
            })
            .collect();
        Data {
            differences,
            clusters: vec![(0..self.n).collect(); concepts],
            strata: vec![vec![0; self.n]; concepts],
            background: (0..self.states).map(|s| self.noise(20, "background", s as u64)).collect(),
        }
    }
}

/// Unit rows with the given cosine to the first of them, in a random orientation.
fn directions(cosines: &[f32], d: usize, seed: u64) -> Array2<f32> {
    let k = cosines.len() + 1;
    let mut x = Array2::<f32>::zeros((k, d));
    fill_normal(&mut stream(seed, "truth", 0), x.as_slice_mut().unwrap());
    let q = orthonormal_rows(x.mapv(f64::from).view()).mapv(|v| v as f32);
    let mut out = q.clone();
    for (i, &c) in cosines.iter().enumerate() {
        let row = &q.row(0) * c + &q.row(i + 1) * (1.0 - c * c).sqrt();
        out.row_mut(i + 1).assign(&row);
    }
    out
}

fn few(draws: usize) -> CouplingOptions {
    CouplingOptions { draws, flips: draws, random: draws, ..CouplingOptions::for_pair(0, 1) }
}

#[test]
fn planted_cosines_are_recovered_in_anisotropic_noise() {
    let plant = Plant {
        states: 1,
        layers: 4,
        n: 60,
        d: 96,
        signal: 4.0,
        truth: directions(&[0.0, 0.3, 0.8], 96, 1),
        seed: 1,
    };
    let got = coupling(plant.data().input(), &few(300)).unwrap();
    for (b, want) in [(1, 0.0), (2, 0.3), (3, 0.8)] {
        let mut mean = 0.0;
        for l in 0..4 {
            let value = got.raw.relative[[0, 0, b, l]];
            let width = got.raw.relative_hi[[0, 0, b, l]] - got.raw.relative_lo[[0, 0, b, l]];
            assert!((value - want).abs() < width, "{value} for {want}, interval {width}");
            assert!(width < 0.35);
            mean += value / 4.0;
        }
        assert!((mean - want).abs() < 0.05, "{mean} for {want}");
    }
    // Noise pulls the plain cosine below the relative one, by the reliability it reports.
    for l in 0..4 {
        let r = (got.reliability[[0, 0, l]] * got.reliability[[0, 3, l]]).sqrt();
        let (plain, relative) = (got.raw.value[[0, 0, 3, l]], got.raw.relative[[0, 0, 3, l]]);
        assert!(r < 0.95 && (plain / r - relative).abs() < 1e-9);
        assert!(got.raw.lo[[0, 0, 3, l]] < plain && plain < got.raw.hi[[0, 0, 3, l]]);
        assert!(got.p_flip[[0, 0, 3, l]] < 0.01 && got.p_random[[0, 0, 3, l]] < 0.01);
        assert!(got.q_flip[[0, 0, 3, l]] >= got.p_flip[[0, 0, 3, l]]);
    }
}

#[test]
fn intervals_cover_the_planted_cosine_at_their_level() {
    // Reliability about .93, then about .65, where plain resampling covers too much.
    for (n, d, signal) in [(40, 24, 3.0), (24, 60, 2.6)] {
        for (seed, want) in [(0u64, 0.0f32), (1, 0.3), (2, 0.8)] {
            let covered = (0..500)
                .filter(|repeat| {
                    let plant = Plant {
                        states: 1,
                        layers: 1,
                        n,
                        d,
                        signal,
                        truth: directions(&[want], d, 1000 * seed + repeat),
                        seed: 1000 * seed + repeat,
                    };
                    let got = coupling(plant.data().input(), &few(300)).unwrap();
                    let at = [0, 0, 1, 0];
                    let (lo, hi) = (got.raw.relative_lo[at], got.raw.relative_hi[at]);
                    (lo..=hi).contains(&f64::from(want))
                })
                .count();
            // 93 to 97 % of 500, give or take two standard errors of 1 %.
            assert!((455..=495).contains(&covered), "{want} in {d}: {covered} of 500");
        }
    }
}

#[test]
fn label_flip_p_values_are_uniform_without_any_signal() {
    let mut p: Vec<f64> = Vec::new();
    for seed in 0..10 {
        let plant = Plant {
            states: 1,
            layers: 12,
            n: 24,
            d: 16,
            signal: 0.0,
            truth: directions(&[0.0], 16, 3),
            seed,
        };
        let options = CouplingOptions { seed, ..few(199) };
        let got = coupling(plant.data().input(), &options).unwrap();
        p.extend((0..12).map(|l| got.p_flip[[0, 0, 1, l]]));
    }
    p.sort_by(f64::total_cmp);
    let n = p.len() as f64;
    let ks =
        p.iter().enumerate().map(|(i, &x)| (x - (i as f64 + 0.5) / n).abs()).fold(0.0, f64::max);
    assert!(ks < 1.63 / n.sqrt(), "KS distance {ks}");
}

#[test]
fn the_matched_null_is_wider_than_the_isotropic_one_where_a_few_dimensions_dominate() {
    let mut truth = Array2::<f32>::zeros((2, 64));
    truth.column_mut(0).fill(1.0);
    let plant = Plant { states: 1, layers: 1, n: 30, d: 64, signal: 9.0, truth, seed: 5 };
    let mut data = plant.data();
    data.background[0].index_axis_mut(Axis(2), 0).mapv_inplace(|v| v * 100.0);
    let got = coupling(data.input(), &few(400)).unwrap();
    assert!(got.raw.value[[0, 0, 1, 0]] > 0.9);
    assert!(got.random_hi[[0, 1, 0]] > 4.0 * got.isotropic);
    assert!(got.p_random[[0, 0, 1, 0]] > 0.05, "the dominant dimension alone explains it");
    assert!(got.p_flip[[0, 0, 1, 0]] < 0.01, "but both directions are real");
}

#[test]
fn cleaning_removes_a_shared_nuisance_and_whitening_a_shared_outlier_dimension() {
    // Concepts 0 and 1 share concept 2 and have nothing else in common.
    let q = directions(&[0.0, 0.0], 40, 4);
    let mut truth = q.clone();
    for a in 0..2 {
        truth.row_mut(a).assign(&((&q.row(a) + &q.row(2)) / 2f32.sqrt()));
    }
    let plant = Plant { states: 1, layers: 1, n: 60, d: 40, signal: 8.0, truth, seed: 6 };
    let mut data = plant.data();
    for row in data.background[0].axis_iter_mut(Axis(0)) {
        let mut row = row.into_shape_with_order(40).unwrap();
        let along = row[1] * 60.0; // the shared part is where this layer varies most
        row.scaled_add(along, &q.row(2));
    }
    let options = CouplingOptions { nuisances: vec![2], ..few(300) };
    let got = coupling(data.input(), &options).unwrap();
    assert!(got.raw.value[[0, 0, 1, 0]] > 0.4);
    assert!(got.cleaned.value[[0, 0, 1, 0]].abs() < 0.15);
    assert!(got.cleaned.lo[[0, 0, 1, 0]] < 0.0 && got.cleaned.hi[[0, 0, 1, 0]] > 0.0);
    assert!(got.cleaned.value[[0, 0, 2, 0]].is_nan());
    assert!(got.whitened.value[[0, 0, 1, 0]].abs() < 0.15);
}

#[test]
fn states_with_the_same_activations_have_the_same_draws() {
    let plant = Plant {
        states: 2,
        layers: 2,
        n: 12,
        d: 10,
        signal: 3.0,
        truth: directions(&[0.5], 10, 2),
        seed: 8,
    };
    let mut data = plant.data();
    data.differences[1] = data.differences[0].clone();
    let got = coupling(data.input(), &few(100)).unwrap();
    let draws = &got.pairs[0].draws.raw;
    assert_eq!(draws.index_axis(Axis(0), 0), draws.index_axis(Axis(0), 1));
    let value = got.raw.value.slice(s![.., 0, 1, ..]);
    let over = crate::geometry::Over::Prompts;
    let change = crate::geometry::contrast(value, draws.view(), (&[1], &[0]), over, 0.95, 0);
    assert!(change.unwrap().hi.iter().all(|v| v.abs() < 1e-12));
}

#[test]
fn placebos_and_layers_are_counted_in_the_p_values() {
    let plant = Plant {
        states: 1,
        layers: 3,
        n: 20,
        d: 30,
        signal: 5.0,
        truth: directions(&[0.8, 0.0, 0.0], 30, 9),
        seed: 9,
    };
    let options = CouplingOptions { placebos: vec![2, 3], ..few(199) };
    let got = coupling(plant.data().input(), &options).unwrap();
    let pair = &got.pairs[0];
    for l in 0..3 {
        let cosine = |a: usize, b: usize| got.raw.value[[0, a, b, l]];
        let placebo = &pair.placebo[0];
        let most = [cosine(0, 2), cosine(0, 3), cosine(1, 2), cosine(1, 3)];
        let most = most.into_iter().fold(f64::NEG_INFINITY, f64::max);
        assert!(placebo.n == 4 && placebo.p[l].is_nan());
        assert!(placebo.hi[l] <= most && placebo.hi[l] > most - 0.2);
        assert!(pair.p_flip_max[[0, l]] >= got.p_flip[[0, 0, 1, l]]);
    }
}

#[test]
fn a_pair_among_others_has_the_numbers_that_it_has_alone() {
    let plant = Plant {
        states: 2,
        layers: 2,
        n: 12,
        d: 20,
        signal: 3.0,
        truth: directions(&[0.6, 0.3, 0.0], 20, 5),
        seed: 5,
    };
    let data = plant.data();
    let of = |pairs: &[(usize, usize)]| {
        let options = CouplingOptions { pairs: pairs.to_vec(), placebos: vec![3], ..few(50) };
        coupling(data.input(), &options).unwrap()
    };
    let (both, first, second) = (of(&[(0, 1), (2, 1)]), of(&[(0, 1)]), of(&[(2, 1)]));
    for (i, alone) in [first, second].iter().enumerate() {
        assert_eq!(both.pairs[i].draws, alone.pairs[0].draws);
        assert_eq!(both.pairs[i].p_flip_max, alone.pairs[0].p_flip_max);
        assert_eq!(both.pairs[i].p_random_max, alone.pairs[0].p_random_max);
        assert_eq!(both.pairs[i].placebo[1].lo, alone.pairs[0].placebo[1].lo);
    }
    assert_eq!(both.pairs[1].draws.raw.dim(), (2, 2, 50));
}

#[test]
fn wrong_shapes_and_indices_are_refused_by_name() {
    let plant = Plant {
        states: 2,
        layers: 2,
        n: 5,
        d: 4,
        signal: 1.0,
        truth: directions(&[0.0], 4, 1),
        seed: 1,
    };
    let mut data = plant.data();
    let refuse = |data: &Data, options: &CouplingOptions| {
        coupling(data.input(), options).unwrap_err().to_string()
    };
    let wrong = CouplingOptions { placebos: vec![7], ..few(10) };
    assert!(refuse(&data, &wrong).contains("concept 7"));
    assert!(refuse(&data, &CouplingOptions { pairs: vec![(1, 1)], ..few(10) }).contains("pair"));
    data.differences[1][0] = Array3::zeros((5, 2, 3));
    assert!(refuse(&data, &few(10)).contains("state 1, concept 0"));
    data.differences[1][0] = Array3::from_elem((5, 2, 4), f32::NAN);
    assert!(refuse(&data, &few(10)).contains("not finite"));
    data.clusters[0] = vec![1; 5];
    assert!(refuse(&data, &few(10)).contains("1 clusters"));
}

proptest! {
    // An end of an interval is one of 60 draws: a seed whose neighbours tie would cross the bound.
    #![proptest_config(ProptestConfig {
        cases: 8,
        rng_seed: proptest::test_runner::RngSeed::Fixed(1),
        ..ProptestConfig::default()
    })]
    #[test]
    fn coupling_is_unchanged_by_rotation_scale_and_pair_order_and_turns_with_the_labels(
        seed in 0u64..500, scale in 0.1f32..20.0
    ) {
        let plant = Plant {
            states: 1,
            layers: 1,
            n: 12,
            d: 8,
            signal: 2.0,
            truth: directions(&[0.4], 8, seed),
            seed,
        };
        let data = plant.data();
        let at = [0, 0, 1, 0];
        let one = coupling(data.input(), &few(60)).unwrap();
        let apply = |f: &dyn Fn(&Array3<f32>) -> Array3<f32>, also_background: bool| {
            let mut other = plant.data();
            for x in &mut other.differences[0] {
                *x = f(x);
            }
            if also_background {
                other.background[0] = f(&other.background[0]);
            }
            coupling(other.input(), &few(60)).unwrap()
        };
        let mut noise = Array2::<f32>::zeros((8, 8));
        fill_normal(&mut stream(seed, "rotation", 0), noise.as_slice_mut().unwrap());
        let q = orthonormal_rows(noise.mapv(f64::from).view()).mapv(|v| v as f32);
        let rotate = |x: &Array3<f32>| {
            let flat = x.to_shape((x.dim().0, 8)).unwrap().dot(&q);
            flat.insert_axis(Axis(1)) * scale
        };
        let rotated = apply(&rotate, true);
        prop_assert!((rotated.raw.value[at] - one.raw.value[at]).abs() < 1e-4);
        prop_assert!((rotated.whitened.value[at] - one.whitened.value[at]).abs() < 1e-3);
        prop_assert!((rotated.raw.lo[at] - one.raw.lo[at]).abs() < 1e-3);
        prop_assert!((one.raw.value[[0, 0, 0, 0]] - 1.0).abs() < 1e-12);

        let reversed = apply(&|x| x.slice(s![..;-1, .., ..]).to_owned(), false);
        prop_assert!((reversed.raw.value[at] - one.raw.value[at]).abs() < 1e-5);

        let mut swapped = plant.data();
        swapped.differences[0][1].mapv_inplace(|v| -v);
        let swapped = coupling(swapped.input(), &few(60)).unwrap();
        prop_assert!((swapped.raw.value[at] + one.raw.value[at]).abs() < 1e-9);
        prop_assert!((swapped.raw.lo[at] + one.raw.hi[at]).abs() < 1e-4);
        prop_assert_eq!(swapped.p_flip[at], one.p_flip[at]);
    }
}
