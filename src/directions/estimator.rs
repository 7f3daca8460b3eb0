//! The names of the estimators.
//!
//! Each is named by what it does, in kebab case, the same in manifests, files
//! and figures. A name that is not known is answered with the nearest one.

use super::{DirectionError, Result};
use crate::store::names::nearest;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A way of turning contrast pairs into a direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Estimator {
    /// Difference in means.
    MeanDiff,
    /// Geometric median of the differences: a few odd pairs do not turn it.
    MedianDiff,
    /// First principal component of the differences and their negatives: keeps the mean shift.
    PcaPairs,
    /// First principal component of centred differences: loses the mean shift.
    PcaDiffCentered,
    /// L2 logistic regression on standardised activations.
    Logistic,
    /// Linear discriminant with shrinkage covariance.
    Lda,
    /// An isotropic random direction: a control.
    Random,
}

impl Estimator {
    /// Every estimator, in the order tables use.
    pub const ALL: [Estimator; 7] = {
        use Estimator::*;
        [MeanDiff, MedianDiff, PcaPairs, PcaDiffCentered, Logistic, Lda, Random]
    };
    /// Their names, in the same order.
    const NAMES: [&'static str; 7] =
        ["mean-diff", "median-diff", "pca-pairs", "pca-diff-centered", "logistic", "lda", "random"];

    /// All names in one text.
    pub fn list() -> String {
        Estimator::NAMES.join(", ")
    }

    /// Name in manifests, files and figures.
    pub fn name(self) -> &'static str {
        Estimator::NAMES[self as usize]
    }
}

impl fmt::Display for Estimator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Estimator {
    type Err = DirectionError;

    fn from_str(name: &str) -> Result<Self> {
        let known = Estimator::ALL.into_iter().find(|e| e.name() == name);
        known.ok_or_else(|| DirectionError::UnknownEstimator {
            name: name.to_string(),
            nearest: nearest(name, Estimator::NAMES.into_iter()).unwrap_or_default(),
            known: Estimator::list(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_and_matches_its_serialised_form() {
        for estimator in Estimator::ALL {
            assert_eq!(estimator.to_string().parse::<Estimator>(), Ok(estimator));
            let json = serde_json::to_string(&estimator).unwrap();
            assert_eq!(json, format!("\"{estimator}\""));
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest() {
        for (wrong, near) in
            [("mean_diff", "mean-diff"), ("logistc", "logistic"), ("pca-pair", "pca-pairs")]
        {
            let error = wrong.parse::<Estimator>().unwrap_err();
            assert!(error.to_string().contains(&format!("'{near}'")), "{error}");
        }
    }
}
