//! What a shift promises: planted moves, honest intervals, shared parts removed.

use super::*;
use crate::stats::rng::{fill_normal, stream};

/// Base noise, and a tuned state moved by `move_by` along axis 0, with noise of `sd`.
fn planted(n: usize, d: usize, move_by: f32, sd: f32, seed: u64) -> (Array3<f32>, Array3<f32>) {
    let mut base = Array3::<f32>::zeros((n, 2, d));
    let mut noise = base.clone();
    fill_normal(&mut stream(seed, "base", 0), base.as_slice_mut().unwrap());
    fill_normal(&mut stream(seed, "noise", 0), noise.as_slice_mut().unwrap());
    let mut tuned = &base + &(noise * sd);
    tuned.slice_mut(ndarray::s![.., .., 0]).mapv_inplace(|v| v + move_by);
    (tuned, base)
}

fn axis(d: usize, i: usize) -> Array2<f64> {
    Array2::from_shape_fn((2, d), |(_, j)| if i == j { 3.0 } else { 0.0 })
}

#[test]
fn a_planted_shift_is_found_along_its_axis_and_not_across_it() {
    let (tuned, base) = planted(30, 8, 2.0, 0.2, 1);
    let clusters: Vec<usize> = (0..30).collect();
    let input = ShiftInput { tuned: tuned.view(), base: base.view(), clusters: &clusters };
    let (along, across) = (axis(8, 0), axis(8, 3));
    let got = project(&input, &[along.view(), across.view()], Resampling::default()).unwrap();
    assert_eq!(got.len(), 2);
    for layer in &got {
        assert!(layer[0].raw.interval.contains(2.0));
        assert!(layer[0].share.value > 0.98 && layer[1].share.value < 0.02);
        assert!((layer[0].cosine.value.powi(2) - layer[0].share.value).abs() < 1e-12);
    }
    let s = mean_shift(&input).unwrap();
    assert!((s[[1, 0]] - got[1][0].raw.value).abs() < 1e-6);
    let (zero, pole) = (Array2::zeros((2, 8)), axis(8, 0));
    let t = between_poles(&input, zero.view(), pole.view(), Resampling::default()).unwrap();
    assert!((t[0].change.value - 2.0 / 3.0).abs() < 0.05);
    assert!((t[0].tuned - t[0].base - t[0].change.value).abs() < 1e-12);
}

#[test]
fn the_interval_of_a_noisy_cosine_holds_the_measured_one() {
    let (tuned, base) = planted(40, 200, 1.0, 1.0, 2);
    let clusters: Vec<usize> = (0..40).collect();
    let input = ShiftInput { tuned: tuned.view(), base: base.view(), clusters: &clusters };
    let direction = axis(200, 0);
    let got = project(&input, &[direction.view()], Resampling::default()).unwrap();
    assert!(got[0][0].cosine.interval.contains(got[0][0].cosine.value));
}

#[test]
fn what_identity_states_share_is_removed_and_what_one_has_alone_stays() {
    let own = |i: usize| axis(6, i) + axis(6, 5) * 4.0;
    let shifts = vec![own(0), own(1), own(2)];
    let before = shift_cosines(&shifts).unwrap();
    assert!(before[[0, 1, 0]] > 0.9);
    // The same three moves as activations of one text each: less the mean of the other two.
    let texts = |s: &Array2<f64>| s.mapv(|v| v as f32).insert_axis(Axis(0));
    let states: Vec<Array3<f32>> = shifts.iter().map(texts).collect();
    let views: Vec<ArrayView3<f32>> = states.iter().map(|s| s.view()).collect();
    for i in 0..3 {
        let others: Vec<Vec<usize>> = (0..3).filter(|&k| k != i).map(|k| vec![k]).collect();
        let after = &states[i] - &mean_of_others(&views, &others).unwrap();
        assert!(after[[0, 0, 5]].abs() < 1e-6);
        assert!((after[[0, 0, i]] - 3.0).abs() < 1e-6);
    }
    // A group weighs the same however many states it has.
    let one = mean_of_others(&views, &[vec![0, 0, 0], vec![1]]).unwrap();
    assert_eq!(one, mean_of_others(&views, &[vec![0], vec![1]]).unwrap());
    assert!(mean_of_others(&views, &[]).is_err());
    assert!(mean_of_others(&views, &[vec![]]).is_err());
    assert!(mean_of_others(&views, &[vec![7]]).is_err());
}
