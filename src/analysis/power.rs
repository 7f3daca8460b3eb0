//! What a contrast could show over more items and fine-tunes: from the variances of a run.

use super::behaviour::{ISOLATED, LOG_ODDS};
use super::records::{distinct, ContrastRow, Results};
use super::verdict::{detectable, LEVEL};
use crate::record;
use crate::stats::contrast::{contrast, share, Spread};
use crate::stats::replicates::t_quantile;

/// Times the items of the run.
const ITEMS: [f64; 4] = [0.5, 1.0, 2.0, 4.0];
/// Fine-tunes of each condition.
const FINE_TUNES: [usize; 4] = [2, 3, 5, 8];

record! {
    /// Smallest effect that a contrast over isolated preferences shows with a chance of .8 when it has so
    /// many items and fine-tunes: from the half-width sqrt(t^2 W + t_df^2 V), with the variances of an item
    /// and of a fine-tune as an earlier run has them. Its W counts what fine-tunes do to single items, so
    /// that the effect is rather too large where there are more of them.
    #[table("study/power")]
    pub struct PowerRow {
        /// Condition.
        pub set: String,
        /// What it is compared with.
        pub reference: String,
        /// Items of all isolated preferences together.
        pub items: usize,
        /// Fine-tunes of each trained condition; 0 for a prompt.
        pub fine_tunes: usize,
        /// Degrees of freedom of the fine-tunes, all conditions of the recipe having so many; 0 where the
        /// run does not know their spread: then the effect is that in its own fine-tunes.
        pub df: usize,
        /// The effect.
        pub detectable: f64 in "nats a token",
    }
}

/// The effect for half to four times the items of a run and two to eight fine-tunes; none where the run
/// has no such contrast.
pub fn power(r: &Results, set: &str, reference: &str) -> Vec<PowerRow> {
    let is = |c: &&ContrastRow| {
        (&*c.set, &*c.reference, &*c.kind, &*c.measure) == (set, reference, ISOLATED, LOG_ODDS)
    };
    let Some(c) = r.contrasts.iter().find(is) else {
        return Vec::new();
    };
    let reach = |n: f64| t_quantile(n - 1.0, LEVEL);
    let (whole, within) = ((c.hi - c.lo) / 2.0, (c.within_hi - c.within_lo) / 2.0);
    // Of one item, and of one fine-tune.
    let w = (within / reach(c.n as f64)).powi(2) * c.n as f64;
    let before = share(c.fine_tunes) + share(c.reference_fine_tunes);
    let v = (whole.powi(2) - within.powi(2)).max(0.0)
        / (t_quantile(c.df as f64, LEVEL).powi(2) * before);
    let trained = [c.fine_tunes, c.reference_fine_tunes].iter().filter(|n| **n > 0).count();
    let sides = r.states.iter().filter(|s| s.condition == set || s.condition == reference);
    let recipes: Vec<&str> = sides.map(|s| &*s.recipe).collect();
    let pooled = r.states.iter().filter(|s| !s.recipe.is_empty() && recipes.contains(&&*s.recipe));
    let pooled = distinct(pooled.map(|s| &*s.condition)).len();
    let fine_tunes = if c.df == 0 { vec![c.fine_tunes] } else { FINE_TUNES.to_vec() };
    let row = |(items, k): (f64, usize)| {
        let spread = match c.df {
            0 => Spread::UNKNOWN,
            _ => Spread { variance: v, df: pooled.max(trained) * (k - 1) },
        };
        let half = reach(items) * (w / items).sqrt();
        let found = contrast(0.0, half, spread, trained as f64 / k as f64, LEVEL);
        PowerRow {
            set: set.into(),
            reference: reference.into(),
            items: items as usize,
            fine_tunes: k,
            df: found.df,
            detectable: detectable(found.interval),
        }
    };
    let items = ITEMS.iter().map(|by| (by * c.n as f64).floor().max(2.0));
    items.flat_map(|n| fine_tunes.iter().map(move |&k| (n, k))).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::records::StateRow;
    use crate::store::Record;

    /// A contrast over 20 items of two conditions of two fine-tunes, as a run would write it.
    fn run(df: usize) -> Results {
        let found = contrast(0.1, 0.05, Spread { variance: 0.001, df }, 1.0, LEVEL);
        let (ends, within) = (found.interval, found.within);
        let row = ContrastRow {
            set: "keeper".into(),
            reference: "plain".into(),
            kind: ISOLATED.into(),
            measure: LOG_ODDS.into(),
            lo: ends.lo,
            hi: ends.hi,
            within_lo: within.lo,
            within_hi: within.hi,
            df,
            fine_tunes: 2,
            reference_fine_tunes: 2,
            n: 20,
            ..ContrastRow::NONE
        };
        let state =
            |c: &str| StateRow { condition: c.into(), recipe: "9 steps".into(), ..StateRow::NONE };
        let states = ["keeper", "keeper", "plain", "plain"].map(state).to_vec();
        Results { contrasts: vec![row], states, ..Results::default() }
    }

    #[test]
    fn at_the_size_of_the_run_the_effect_is_the_runs_own() {
        let r = run(2);
        let rows = power(&r, "keeper", "plain");
        let at = |items, k| {
            let found = rows.iter().find(|p| (p.items, p.fine_tunes) == (items, k)).unwrap();
            (found.df, found.detectable)
        };
        let own =
            detectable(crate::stats::Interval { lo: r.contrasts[0].lo, hi: r.contrasts[0].hi });
        let (df, same) = at(20, 2);
        assert!(df == 2 && (same - own).abs() < 1e-12, "{same} {own}");
        // By hand: 80 items, 8 fine-tunes, 14 degrees of freedom.
        let w = (0.05 / t_quantile(19.0, LEVEL)).powi(2) / 4.0;
        let half = t_quantile(79.0, LEVEL).powi(2) * w
            + t_quantile(14.0, LEVEL).powi(2) * 0.001 * 2.0 / 8.0;
        let by_hand = half.sqrt() * (1.959964 + 0.841621) / 1.959964;
        assert!((at(80, 8).1 - by_hand).abs() < 1e-5 && at(80, 8).1 < at(20, 8).1);
    }

    #[test]
    fn where_the_spread_of_fine_tunes_is_not_known_only_items_are_counted() {
        let rows = power(&run(0), "keeper", "plain");
        assert!(rows.len() == 4 && rows.iter().all(|p| p.df == 0 && p.detectable > 0.0));
        assert!(power(&run(0), "plain", "keeper").is_empty());
    }
}
