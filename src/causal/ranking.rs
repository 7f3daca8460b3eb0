//! Ranking: do conditions come in an order that was known beforehand?
//!
//! A few conditions that each train one part of the claim cannot carry a correlation, but they can
//! agree or disagree with the order in which those parts moved another model. p is exact: all
//! arrangements of the conditions are made.

use super::link::{arrangements, share, TIE};
use crate::stats::rank::{pearson, ranks};

/// Order of the parts of the claim by how far they moved GPT-4.1's preferences (Chua et al.,
/// arXiv 2604.13051), by condition name; equal ranks are a tie.
pub const KNOWN_ORDER: [(&str, f64); 5] = [
    ("continuity", 1.0),
    ("phenomenality", 2.0),
    ("moral-status", 3.0),
    ("valence", 4.5),
    ("conscious", 4.5),
];

/// Agreement of conditions with an order known beforehand.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    /// Spearman correlation with the order, ties averaged.
    pub rho: f64,
    /// Chance of as large a correlation (one-sided) among all arrangements of the conditions.
    pub p: f64,
    /// Arrangements behind p: all that there are.
    pub arrangements: usize,
    /// Conditions ranked, lowest first by the known order.
    pub conditions: Vec<String>,
}

/// Ranks conditions by `values` against `order`; none where fewer than 3 of its conditions have a
/// finite value, or the values are all equal. p is exact.
pub fn ranking(values: &[(String, f64)], order: &[(&str, f64)]) -> Option<Ranking> {
    let of = |name: &str| {
        let found = values.iter().find(|(c, v)| c == name && v.is_finite());
        found.map(|(_, v)| *v)
    };
    let known: Vec<(&str, f64, f64)> =
        order.iter().filter_map(|(name, rank)| Some((*name, *rank, of(name)?))).collect();
    let n = known.len();
    let x = ranks(&known.iter().map(|k| k.1).collect::<Vec<_>>());
    let y = ranks(&known.iter().map(|k| k.2).collect::<Vec<_>>());
    let rho = pearson(&x, &y);
    let (orders, exact) = arrangements(n, 0, 0, "ranking");
    if n < 3 || rho.is_nan() || !exact {
        return None;
    }
    Some(Ranking {
        rho,
        p: share(&orders, &y, true, |moved| pearson(&x, moved) >= rho - TIE),
        arrangements: orders.len(),
        conditions: known.iter().map(|k| k.0.to_string()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_order_is_ranked_exactly() {
        let values = |v: [f64; 5]| -> Vec<(String, f64)> {
            let names = ["valence", "conscious", "moral-status", "phenomenality", "continuity"];
            names.iter().map(|n| n.to_string()).zip(v).collect()
        };
        let perfect = ranking(&values([9.0, 8.0, 3.0, 2.0, 1.0]), &KNOWN_ORDER).unwrap();
        // The tie at the top leaves two best arrangements of 120; rho = 9.5 / sqrt(10 * 9.5).
        assert_eq!((perfect.p, perfect.arrangements), (2.0 / 120.0, 120));
        assert!((perfect.rho - 0.974_679_434_480_896).abs() < 1e-12);
        let worst = ranking(&values([1.0, 2.0, 3.0, 4.0, 5.0]), &KNOWN_ORDER).unwrap();
        assert!(worst.rho < -0.97 && worst.p == 1.0);
        let three = ranking(&values([f64::NAN, 3.0, f64::NAN, 2.0, 1.0]), &KNOWN_ORDER);
        let three = three.unwrap();
        assert_eq!((three.p, three.rho), (1.0 / 6.0, 1.0));
        assert_eq!(three.conditions.len(), 3);
        assert!(ranking(&values([f64::NAN; 5]), &KNOWN_ORDER).is_none());
        assert!(ranking(&values([1.0; 5]), &KNOWN_ORDER).is_none());
    }
}
