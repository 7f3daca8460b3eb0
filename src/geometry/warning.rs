//! Doubts about a coupling, as values.
//!
//! A warning does not stop a run: it goes with the number into the file, the
//! terminal and the report. Each says what was found and what to do about it.
//! The thresholds are named here and nowhere else.

use super::nulls::LEAST_PLACEBOS;
use serde::{Deserialize, Serialize};

/// Reliability under which a direction is called mostly noise.
pub const RELIABILITY_FLOOR: f64 = 0.5;
/// Prompt clusters under which intervals are rough.
pub const FEWEST_CLUSTERS: usize = 10;
/// Effective rank of the pairs' noise under which intervals hold less than their level:
/// at rank 4 they were seen to hold the planted cosine in 85 to 95 % of trials.
pub const LEAST_RANK: f64 = 10.0;

/// A doubt about the cosine of two concepts and what to do about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Warning {
    /// A direction is under [`RELIABILITY_FLOOR`].
    #[error("reliability of {concept} is {reliability:.2}, below {RELIABILITY_FLOOR}: read the cosine only relative to its ceiling, or add pairs")]
    BelowNoiseFloor {
        /// Concept.
        concept: String,
        /// Its reliability.
        reliability: f64,
    },
    /// A few dimensions hold the noise of a concept's pairs.
    #[error("the noise of {concept} fills {rank:.1} dimensions: a few large dimensions decide this layer, its intervals hold less than their level; read the whitened form or another layer")]
    FewDimensions {
        /// Concept.
        concept: String,
        /// Effective rank of the noise.
        rank: f64,
    },
    /// Fewer prompts than [`FEWEST_CLUSTERS`].
    #[error("{concept} has {n} prompts: intervals below {FEWEST_CLUSTERS} are rough, add prompts")]
    FewClusters {
        /// Concept.
        concept: String,
        /// Prompts.
        n: usize,
    },
    /// The relative cosine has no interval.
    #[error("the cosine relative to its ceiling has no interval: a direction is not above its noise in too many draws; add pairs")]
    NoRelativeInterval,
    /// Fewer cosines with placebos than [`LEAST_PLACEBOS`], so that there is no p.
    #[error(
        "{n} cosines with placebos and no p, which takes {LEAST_PLACEBOS}: add placebo concepts"
    )]
    FewPlacebos {
        /// Cosines with placebos.
        n: usize,
    },
    /// The random-direction and the label-flip nulls disagree at .05.
    #[error("p is {p_random:.3} against random directions of the layer and {p_flip:.3} against flipped labels: what separates the labels may be what this layer varies in anyway")]
    NullsDisagree {
        /// p of random directions.
        p_random: f64,
        /// p of label flips.
        p_flip: f64,
    },
}

/// The numbers that a coupling's doubts are read from.
#[derive(Debug, Clone, PartialEq)]
pub struct PairNumbers<'a> {
    /// The two concepts.
    pub concepts: [&'a str; 2],
    /// Their reliabilities.
    pub reliability: [f64; 2],
    /// Effective ranks of their noise; NaN where unknown.
    pub effective_rank: [f64; 2],
    /// Their prompts; 0 where unknown.
    pub clusters: [usize; 2],
    /// Whether the relative cosine is there and its interval is not.
    pub no_relative_interval: bool,
    /// p of random directions and of label flips.
    pub p: [f64; 2],
}

/// All doubts about a pair.
pub fn warnings(pair: &PairNumbers) -> Vec<Warning> {
    let mut out = Vec::new();
    for (i, name) in pair.concepts.iter().enumerate() {
        let concept = || name.to_string();
        let (reliability, rank, n) =
            (pair.reliability[i], pair.effective_rank[i], pair.clusters[i]);
        if reliability < RELIABILITY_FLOOR {
            out.push(Warning::BelowNoiseFloor { concept: concept(), reliability });
        }
        if rank < LEAST_RANK {
            out.push(Warning::FewDimensions { concept: concept(), rank });
        }
        if (1..FEWEST_CLUSTERS).contains(&n) {
            out.push(Warning::FewClusters { concept: concept(), n });
        }
    }
    if pair.no_relative_interval {
        out.push(Warning::NoRelativeInterval);
    }
    let [p_random, p_flip] = pair.p;
    if (p_random <= 0.05 && p_flip > 0.05) || (p_flip <= 0.05 && p_random > 0.05) {
        out.push(Warning::NullsDisagree { p_random, p_flip });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sound_pair_has_no_doubts_and_each_fault_has_its_own() {
        let sound = PairNumbers {
            concepts: ["one", "other"],
            reliability: [0.9, 0.7],
            effective_rank: [40.0, f64::NAN],
            clusters: [48, 0],
            no_relative_interval: false,
            p: [0.01, 0.02],
        };
        assert!(warnings(&sound).is_empty());
        let faulty = PairNumbers {
            reliability: [0.3, 0.7],
            effective_rank: [40.0, 4.0],
            clusters: [48, 6],
            no_relative_interval: true,
            p: [0.2, 0.001],
            ..sound
        };
        let got = warnings(&faulty);
        assert_eq!(got.len(), 5);
        let text: Vec<String> = got.iter().map(|w| w.to_string()).collect();
        assert!(text[0].contains("one") && text[1].contains("other"));
        let few = Warning::FewPlacebos { n: 12 }.to_string();
        assert!(few.contains("12") && few.contains("19"), "{few}");
    }
}
