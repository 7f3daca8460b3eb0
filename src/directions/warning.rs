//! Doubts about a direction, as values.
//!
//! A warning does not stop a run: it goes with the result into the file, the
//! terminal and the report. Each says what was found and what to do about it.
//! The thresholds are named here and nowhere else.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Reliability under which a direction is called mostly noise.
pub const RELIABILITY_FLOOR: f64 = 0.5;
/// Prompt clusters under which bootstrap intervals are too narrow to trust.
pub const FEWEST_CLUSTERS: usize = 10;
/// |cosine| with a nuisance direction from which it is worth a warning.
pub const NUISANCE_COSINE: f64 = 0.3;

/// A doubt about a direction and what to do about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Warning {
    /// Split-half reliability is under [`RELIABILITY_FLOOR`] or undefined.
    BelowNoiseFloor {
        /// Split-half reliability, Spearman-Brown.
        reliability: f64,
    },
    /// The held-out area's interval reaches one half.
    NoSeparation {
        /// Lower end of the interval of the held-out AUROC.
        lo: f64,
    },
    /// Fewer pairs than dimensions.
    FewerPairsThanDimensions {
        /// Pairs.
        n: usize,
        /// Dimensions.
        d: usize,
    },
    /// Fewer prompt clusters than [`FEWEST_CLUSTERS`].
    FewClusters {
        /// Prompt clusters.
        n: usize,
    },
    /// All pairs share one template.
    SingleTemplate,
    /// Held-out folds could not be made.
    NoHeldOutFold,
    /// A layer or setting was chosen on the rows that are reported.
    ChosenOnReportedData {
        /// What was chosen.
        what: String,
    },
    /// The direction is close to a nuisance direction.
    NearNuisance {
        /// Nuisance concept.
        nuisance: String,
        /// Cosine with it.
        cosine: f64,
    },
    /// Nothing is left of the direction without the nuisances.
    AllNuisance,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::BelowNoiseFloor { reliability } => write!(
                f,
                "split-half reliability {reliability:.2} is below {RELIABILITY_FLOOR}: read cosines with this direction only relative to their ceiling, or add pairs"
            ),
            Warning::NoSeparation { lo } => write!(
                f,
                "held-out AUROC may be chance (interval starts at {lo:.2}): do not interpret this direction at this layer"
            ),
            Warning::FewerPairsThanDimensions { n, d } => write!(
                f,
                "{n} pairs in {d} dimensions: in-sample separation is meaningless, so use the held-out AUROC and the relative cosine"
            ),
            Warning::FewClusters { n } => write!(
                f,
                "only {n} prompt clusters: intervals are too narrow, so add prompts (at least {FEWEST_CLUSTERS})"
            ),
            Warning::SingleTemplate => write!(
                f,
                "all pairs share one template, so prompts were held out instead: add templates (at least 3) before generalising"
            ),
            Warning::NoHeldOutFold => write!(
                f,
                "no fold leaves pairs on both sides, so there is no held-out AUROC: add prompts and templates"
            ),
            Warning::ChosenOnReportedData { what } => write!(
                f,
                "{what} was chosen on the rows that are reported: choose it on the development split or fix it beforehand"
            ),
            Warning::NearNuisance { nuisance, cosine } => write!(
                f,
                "cosine {cosine:.2} with the nuisance direction {nuisance}: report the cleaned direction beside the raw one"
            ),
            Warning::AllNuisance => write!(
                f,
                "the direction lies in the span of the nuisance directions: there is no cleaned version, so do not interpret it"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_survives_json_and_names_its_kind() {
        let warning = Warning::FewerPairsThanDimensions { n: 60, d: 576 };
        let text = serde_json::to_string(&warning).unwrap();
        assert!(text.contains("fewer-pairs-than-dimensions"));
        assert_eq!(serde_json::from_str::<Warning>(&text).unwrap(), warning);
        assert!(warning.to_string().contains("60 pairs in 576"));
    }
}
