//! Two results files against each other: what `residuum compare` writes.

use crate::record;

record! {
    /// A quantity in two results files, what B has less what A has. Paired are rows of one record whose
    /// texts and places (layer, step, dose, k) are the same; where a file has several rows of them, as of
    /// one coupling against two nulls, the first counts.
    #[table("compare/differences")]
    #[estimator("estimate of B less estimate of A")]
    #[interval("95 %, square-and-add: d - sqrt((b - b_lo)^2 + (a_hi - a)^2) to d + sqrt((b_hi - b)^2 + (a - a_lo)^2), which takes the two errors for independent; any_lo to any_hi, b_lo - a_hi to b_hi - a_lo, holds at least 95 % of normal errors whatever they share")]
    #[null("no difference: normal, from the reach towards 0 of lo to hi where the runs share nothing (compare/shared), else of any_lo to any_hi; p_max by Holm over the comparable rows of the record, of findings over those of the quantity")]
    #[source("Newcombe 1998; Zou and Donner 2008; Holm 1979")]
    pub struct DifferenceRow {
        /// Record that both files have it in.
        pub record: String,
        /// Its texts and places in that record.
        pub of: String,
        /// Its unit.
        pub unit: String,
        /// The difference; none where the two are not comparable.
        pub estimate: f64 from lo "Lower end." to hi "Upper end.",
        /// Lower end whatever the two runs share.
        pub any_lo: f64,
        /// Upper end whatever they share.
        pub any_hi: f64,
        /// p of no difference, alone.
        pub p: f64,
        /// The same adjusted: the verdict follows from it.
        pub p_max: f64,
        /// In A.
        pub a: f64 from a_lo "Lower end of it." to a_hi "Upper end of it.",
        /// In B.
        pub b: f64 from b_lo "Lower end of it." to b_hi "Upper end of it.",
        /// Units of replication in A.
        pub n_a: usize,
        /// Units of replication in B.
        pub n_b: usize,
        /// higher or lower (in B), equivalent (within the bounds that both files fix), none (neither shown nor
        /// excluded), identical (the same number with the same interval), not comparable; empty where nothing
        /// could be tested.
        pub verdict: String,
        /// Why they are not comparable: what of definition, unit, n, status and the like differs.
        pub why: String,
    }

    /// How many rows of each record of two files agree.
    #[table("compare/records")]
    pub struct ComparedRow {
        /// The record.
        pub record: String,
        /// Rows that both files have.
        pub n: usize,
        /// Of them, the same number with the same interval.
        pub identical: usize,
        /// Higher in B.
        pub higher: usize,
        /// Lower in B.
        pub lower: usize,
        /// Within the bounds of equivalence.
        pub equivalent: usize,
        /// Neither shown to differ nor excluded.
        pub none: usize,
        /// Without an interval in one of them.
        pub untested: usize,
        /// Not comparable.
        pub not_comparable: usize,
        /// Rows that only A has.
        pub only_a: usize,
        /// Rows that only B has.
        pub only_b: usize,
    }

    /// What two runs have in common, so that their errors are not independent. Digests that differ exclude
    /// that all is shared, not that some is.
    #[table("compare/shared")]
    pub struct SharedRow {
        /// base model, seed, rows (of the fine-tunes), concepts, battery, claims, neutral texts, or texts.
        pub what: String,
        /// yes, no, or not known.
        pub shared: String,
    }

    /// How the two runs were made, where they differ.
    #[table("compare/provenance")]
    pub struct ProvenanceRow {
        /// Attribute of the file, key of its configuration (config.recipe.rank), or what only one has of a list
        /// (states, conditions, concepts, preferences, layers).
        pub key: String,
        /// In A; empty where it has none.
        pub a: String,
        /// In B; empty where it has none.
        pub b: String,
    }
}
