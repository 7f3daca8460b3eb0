//! Findings: what a report says, as rows; its sentences are made from them.

use crate::record;

record! {
    /// Everything that the report says: one row a number with its interval, its null and its n.
    #[table("report/findings")]
    pub struct FindingRow {
        /// What was measured: coupling, change-of-coupling, shift, auroc, auroc-gain, took, own-claim,
        /// isolated, preferences, acquiescence, prevention, one-factor, conversation, stickiness, ablation-total,
        /// ablation, side-effects, dose-response, half-way, lead, link or ranking.
        pub quantity: String,
        /// Condition or state that it is about.
        pub set: String,
        /// What it is compared with; empty for nothing.
        pub reference: String,
        /// Concept, pair of concepts (a x b) or edit; empty where the outcome says it.
        pub subject: String,
        /// Outcome that moved: isolated preferences, all preferences, a preference or a claim; empty
        /// for what is measured inside.
        pub outcome: String,
        /// Form of the quantity; empty where it has one.
        pub form: String,
        /// Block, NaN where the quantity has none.
        pub layer: f64,
        /// The number.
        pub estimate: f64 from lo "Lower end." to hi "Upper end.",
        /// Its unit.
        pub unit: String,
        /// p of it.
        pub p: f64,
        /// p adjusted over layers.
        pub p_max: f64,
        /// q of it.
        pub q: f64,
        /// Least p that the test could give.
        pub least_p: f64,
        /// Smallest effect that it could show at power .8.
        pub detectable: f64,
        /// What it is compared with.
        pub null: String,
        /// Lower end of the null's band.
        pub null_lo: f64,
        /// Upper end of the band.
        pub null_hi: f64,
        /// Units of replication.
        pub n: usize,
        /// What they are.
        pub n_of: String,
        /// higher, lower, moves, towards, away, none, ...: the word that the numbers allow.
        pub verdict: String,
        /// Further counts in words, such as seeds.
        pub note: String,
        /// Path and definition of the record that it is from.
        pub definition: String,
        /// 1 where it was declared before the run.
        pub declared: bool,
    }

    /// Numbers of earlier work beside ours: to read, never a target.
    #[table("report/references")]
    pub struct ReferencePointRow {
        /// What is compared.
        pub quantity: String,
        /// What earlier work found.
        pub earlier: String,
        /// Which work.
        pub source: String,
        /// State of ours.
        pub state: String,
        /// Block, NaN where the quantity has none.
        pub layer: f64,
        /// Ours.
        pub estimate: f64,
    }
}
