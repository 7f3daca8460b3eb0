//! The names of the estimators.
//!
//! Each is named by what it does, in kebab case, the same in manifests, files
//! and figures. A name that is not known is answered with the nearest one.

use super::DirectionError;
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
    pub const ALL: [Estimator; 6] = [
        Estimator::MeanDiff,
        Estimator::PcaPairs,
        Estimator::PcaDiffCentered,
        Estimator::Logistic,
        Estimator::Lda,
        Estimator::Random,
    ];

    /// Name in manifests, files and figures.
    pub fn name(self) -> &'static str {
        match self {
            Estimator::MeanDiff => "mean-diff",
            Estimator::PcaPairs => "pca-pairs",
            Estimator::PcaDiffCentered => "pca-diff-centered",
            Estimator::Logistic => "logistic",
            Estimator::Lda => "lda",
            Estimator::Random => "random",
        }
    }
}

impl fmt::Display for Estimator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Estimator {
    type Err = DirectionError;

    fn from_str(name: &str) -> Result<Self, DirectionError> {
        let names = Estimator::ALL.into_iter().map(Estimator::name);
        let known = Estimator::ALL.into_iter().find(|e| e.name() == name);
        known.ok_or_else(|| DirectionError::UnknownEstimator {
            name: name.to_string(),
            nearest: nearest(name, names).unwrap_or_default(),
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
