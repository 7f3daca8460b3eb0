//! Which rows each step takes.
//!
//! Without a share, neutral rows stand among those of the fine-tune's own and are passed over with them.
//! With one, every batch holds that part of its own rows, rounded so that all batches together hold it
//! too; each kind is passed over again and again in an order of its own. So fine-tunes of every share
//! have the same steps, of the same number of rows.

use super::{Order, Recipe};
use crate::stats::rng::stream;
use rand::seq::SliceRandom;

/// Rows of every step, by index: the batches whose gradients it adds up. Given are the rows of the
/// fine-tune's own and the neutral ones that are mixed in. Without the rows that a share asks for, batches
/// are smaller.
pub fn batches([own, mixed]: [&[usize]; 2], recipe: &Recipe, seed: u64) -> Vec<Vec<Vec<usize>>> {
    let steps = recipe.steps(recipe.pass([own.len(), mixed.len()]));
    let ordered = |rows: &[usize], stream_of: &str, pass: u64| {
        let mut rows = rows.to_vec();
        if recipe.order == Order::Shuffled {
            rows.shuffle(&mut stream(seed, stream_of, pass));
        }
        rows
    };
    let Some(share) = recipe.share else {
        let all = [own, mixed].concat();
        let pass = |pass: u64| -> Vec<Vec<Vec<usize>>> {
            let rows = ordered(&all, "batch-order", pass);
            let step = |rows: &[usize]| rows.chunks(recipe.batch).map(<[usize]>::to_vec).collect();
            rows.chunks(recipe.step_rows()).map(step).collect()
        };
        return (0..recipe.epochs as u64).flat_map(pass).take(steps).collect();
    };
    let endless = |rows: &[usize], stream_of: &'static str| {
        let rows = rows.to_vec();
        let there = !rows.is_empty();
        (0..).take_while(move |_| there).flat_map(move |pass| ordered(&rows, stream_of, pass))
    };
    let (mut own, mut mixed) = (endless(own, "batch-order"), endless(mixed, "neutral-order"));
    let before = |batch: usize| ((batch * recipe.batch) as f64 * share).round() as usize;
    let mut batch = |i: usize| -> Vec<usize> {
        let n = before(i + 1) - before(i);
        let mut rows: Vec<usize> = own.by_ref().take(n).collect();
        rows.extend(mixed.by_ref().take(recipe.batch - n));
        rows
    };
    let parts = recipe.accumulation;
    (0..steps).map(|i| (i * parts..(i + 1) * parts).map(&mut batch).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: [usize; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
    const MIXED: [usize; 5] = [12, 13, 14, 15, 16];

    fn of(share: Option<f64>, batch: usize) -> Vec<Vec<usize>> {
        let recipe = Recipe { share, batch, accumulation: 2, epochs: 9, ..Recipe::default() };
        batches([&OWN, &MIXED], &recipe, 3).concat()
    }

    #[test]
    fn every_batch_holds_the_share_to_one_row_and_all_of_them_hold_it_too() {
        let mut steps = Vec::new();
        for share in [0.25, 1.0 / 3.0, 0.5, 0.77, 1.0] {
            for batch in [3, 4, 8] {
                let all = of(Some(share), batch);
                let own: Vec<usize> =
                    all.iter().map(|b| b.iter().filter(|r| **r < 12).count()).collect();
                let asked = share * batch as f64;
                assert!(all.iter().all(|b| b.len() == batch), "{share} of {batch}");
                assert!(own.iter().all(|n| (*n as f64 - asked).abs() < 1.0 + 1e-9), "{own:?}");
                let (sum, asked) = (own.iter().sum::<usize>() as f64, asked * all.len() as f64);
                assert!((sum - asked).abs() <= 0.5, "{sum} of {asked}");
                if asked.fract() == 0.0 && (share * batch as f64).fract() == 0.0 {
                    assert!(own.iter().all(|n| *n as f64 == share * batch as f64));
                }
                steps.push((batch, all.len()));
            }
        }
        // Whatever the share: as many batches as there are of its own rows alone.
        let want = |batch: usize| 2 * 9 * 12usize.div_ceil(2 * batch);
        assert!(steps.iter().all(|(batch, n)| *n == want(*batch)), "{steps:?}");
    }

    #[test]
    fn each_kind_is_passed_over_whole_before_a_row_of_it_comes_again() {
        let all = of(Some(0.5), 4).concat();
        for (kind, rows) in [(0..12, &OWN[..]), (12..17, &MIXED[..])] {
            let taken: Vec<usize> = all.iter().copied().filter(|r| kind.contains(r)).collect();
            let mut passes = taken.chunks_exact(rows.len());
            for pass in passes.by_ref() {
                let mut pass = pass.to_vec();
                pass.sort_unstable();
                assert_eq!(pass, rows);
            }
            assert!(taken.len() > 2 * rows.len() && passes.remainder().len() < rows.len());
        }
        // The own rows of a share of 1 are those of a fine-tune without neutral rows.
        let recipe = Recipe { epochs: 2, ..Recipe::default() };
        let whole = Recipe { share: Some(1.0), ..recipe.clone() };
        assert_eq!(batches([&OWN, &[]], &recipe, 3), batches([&OWN, &MIXED], &whole, 3));
    }

    #[test]
    fn without_a_share_all_rows_are_passed_over_together() {
        let recipe = Recipe { batch: 4, epochs: 2, ..Recipe::default() };
        let steps = batches([&OWN, &MIXED], &recipe, 3);
        let sizes: Vec<usize> = steps.concat().iter().map(Vec::len).collect();
        assert_eq!(sizes, [4, 4, 4, 4, 1, 4, 4, 4, 4, 1]);
        for pass in steps.chunks(5) {
            let mut rows = pass.concat().concat();
            rows.sort_unstable();
            assert_eq!(rows, (0..17).collect::<Vec<_>>());
        }
        let few = Recipe { max_steps: Some(6), ..recipe };
        assert_eq!(batches([&OWN, &MIXED], &few, 3), steps[..6]);
    }
}
