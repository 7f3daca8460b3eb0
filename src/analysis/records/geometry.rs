//! Geometry: cosines of directions, their nulls and changes, stability, subspaces and regions.

use super::{BOOTSTRAP_T, JACKKNIFE, P};
use crate::record;

record! {
    /// Cosine of two concepts' directions in one state, in several forms. raw: of the mean
    /// differences, as measured with this many pairs. relative: over the ceiling that noise sets, an
    /// estimate of the cosine that infinitely many pairs would show, not bounded by 1. cleaned: after
    /// the nuisances' mean differences are projected out of every pair. whitened: by the shrinkage
    /// covariance of the state's neutral activations.
    #[table("geometry/coupling", "state", "concept_a", "concept_b", "form", "layer")]
    #[estimator("mean over main pairs of positive less negative response, read anew in this state")]
    #[interval(BOOTSTRAP_T)]
    #[null("labels flipped, random directions of the layer's covariance, placebo concepts: see nulls and pair_nulls")]
    #[source("relative: Spearman 1904; whitened: Ledoit and Wolf 2004, equation 14")]
    pub struct CouplingRow {
        /// Model state.
        pub state: String,
        /// First concept.
        pub concept_a: String,
        /// Second concept.
        pub concept_b: String,
        /// raw, relative, cleaned, cleaned-relative, whitened or whitened-relative.
        pub form: String,
        /// Block.
        pub layer: usize,
        /// The cosine.
        pub estimate: f64 from lo "Lower end." to hi "Upper end.",
    }

    /// What the raw cosine of every pair of concepts is compared with. flip: signs of whole prompts
    /// flipped in both concepts, as many of either sign within template and polarity. flip-one: in the
    /// first alone, the second's direction kept. random: the first replaced by directions of the layer's
    /// sample covariance, the second kept.
    #[table("geometry/nulls", "state", "concept_a", "concept_b", "null", "layer")]
    #[estimator(P)]
    #[source("Phipson and Smyth 2010; Benjamini and Hochberg 1995")]
    pub struct NullRow {
        /// Model state.
        pub state: String,
        /// First concept.
        pub concept_a: String,
        /// Second concept.
        pub concept_b: String,
        /// flip, flip-one or random.
        pub null: String,
        /// Block.
        pub layer: usize,
        /// Lower end of the null's 95 % band.
        pub null_lo: f64,
        /// Upper end of the band.
        pub null_hi: f64,
        /// p of the cosine.
        pub p: f64,
        /// q over the layers and pairs of a state.
        pub q: f64,
    }

    /// The same for the pairs whose coupling is tested, adjusted over layers, with the placebo
    /// concepts: cosines of the pair's two concepts with unrelated ones.
    #[table("geometry/pair_nulls")]
    #[estimator(P)]
    #[source("Westfall and Young 1993")]
    pub struct PairNullRow {
        /// Model state.
        pub state: String,
        /// First concept.
        pub concept_a: String,
        /// Second concept.
        pub concept_b: String,
        /// flip, random, placebo, placebo-cleaned (the cleaned cosine among cleaned ones, without the
        /// placebos that are projected out) or isotropic (a reference that is too easy; band alone).
        pub null: String,
        /// Block.
        pub layer: usize,
        /// Lower end of the null's 95 % band.
        pub null_lo: f64,
        /// Upper end of the band.
        pub null_hi: f64,
        /// p of the cosine; none against fewer than 19 placebo cosines.
        pub p: f64,
        /// p adjusted over layers by the largest layer of each draw (max-T).
        pub p_max: f64,
        /// Draws, or placebo cosines.
        pub n: usize,
    }

    /// How precisely a concept's direction is known.
    #[table("geometry/precision", "state", "concept", "layer")]
    #[source("effective rank: Himeno and Yamada 2014")]
    pub struct PrecisionRow {
        /// Model state.
        pub state: String,
        /// Concept.
        pub concept: String,
        /// Block.
        pub layer: usize,
        /// Share of the mean difference's squared length that is not noise of finitely many pairs.
        pub reliability: f64,
        /// Dimensions that the noise of its pairs fills, (tr S)^2 / tr S^2; below 10 intervals hold
        /// less than their level.
        pub effective_rank: f64,
        /// Prompts.
        pub n: usize,
        /// Pairs.
        pub pairs: usize,
    }

    /// Cosine of a pair of concepts in a condition: mean over its states.
    #[table("geometry/conditions")]
    #[interval("of one state as in coupling; of several, 95 % percentile of the states' common draws of prompts")]
    pub struct ConditionCouplingRow {
        /// Condition.
        pub condition: String,
        /// First concept.
        pub concept_a: String,
        /// Second concept.
        pub concept_b: String,
        /// raw, relative, cleaned or whitened.
        pub form: String,
        /// Block.
        pub layer: usize,
        /// Mean cosine.
        pub estimate: f64 from lo "Lower end." to hi "Upper end.",
        /// Ceiling that noise sets, sqrt(r_a r_b), mean over the states.
        pub ceiling: f64,
        /// Model states.
        pub states: usize,
        /// Prompts of the smaller concept.
        pub n: usize,
    }

    /// Change of a pair's cosine between two conditions on the same prompts; the relative form sets
    /// changes of reliability aside.
    #[table("geometry/changes")]
    #[estimator("mean over the set's states less mean over the reference's, same bootstrap draws in every state")]
    #[interval("95 %: percentile of the paired draws over prompts; where seeds count, half-width sqrt(z^2 W + t^2 V) with W the variance over prompts and V that of the seeds")]
    #[null("no change: centred draws; p_max by max-T over all rows of the table: layers, conditions, references, pairs and forms")]
    #[source("Graybill and Wang 1980; Westfall and Young 1993")]
    pub struct ChangeRow {
        /// Condition, or state of a command.
        pub set: String,
        /// What it is compared with.
        pub reference: String,
        /// First concept.
        pub concept_a: String,
        /// Second concept.
        pub concept_b: String,
        /// relative, raw, cleaned or whitened.
        pub form: String,
        /// Block.
        pub layer: usize,
        /// Change of the cosine.
        pub estimate: f64 from lo "Lower end." to hi "Upper end.",
        /// p of the change.
        pub p: f64,
        /// The same adjusted over all rows of the table.
        pub p_max: f64,
        /// Least that p_max could be with so many draws.
        pub least_p: f64,
        /// Standard error over prompts.
        pub error_prompts: f64,
        /// Standard error over seeds.
        pub error_seeds: f64,
        /// States of the set.
        pub states: usize,
        /// States of the reference.
        pub reference_states: usize,
        /// Prompts of the smaller concept.
        pub n: usize,
    }

    /// Cosine of a concept's direction with base's, as measured and without the noise that the same
    /// pairs share.
    #[table("geometry/stability")]
    #[estimator("mean differences of the same pairs; noiseless: products within a prompt left out")]
    #[interval(JACKKNIFE)]
    pub struct StabilityRow {
        /// Model state.
        pub state: String,
        /// Concept.
        pub concept: String,
        /// Block.
        pub layer: usize,
        /// The cosine as measured.
        pub estimate: f64 from lo "Lower end." to hi "Upper end.",
        /// The cosine without common noise.
        pub noiseless: f64 from noiseless_lo "Lower end of it." to noiseless_hi "Upper end of it.",
        /// Prompts.
        pub n: usize,
    }

    /// Linear centred kernel alignment with base on the same neutral texts, debiased; the biased value
    /// is near 1 whatever the data when texts are fewer than dimensions.
    #[table("geometry/alignment")]
    #[estimator("ratio of unbiased HSIC estimates")]
    #[interval(JACKKNIFE)]
    #[source("Kornblith et al. 2019, equation 4; Song et al. 2012")]
    pub struct AlignmentRow {
        /// Model state.
        pub state: String,
        /// Block.
        pub layer: usize,
        /// Debiased alignment.
        pub estimate: f64 from lo "Lower end." to hi "Upper end.",
        /// Biased alignment.
        pub biased: f64,
        /// Texts.
        pub n: usize,
    }

    /// AUROC of one concept's direction on another concept's pairs; the direction is taken as given.
    #[table("geometry/transfer")]
    #[interval("95 % jackknife over prompts on the logit scale")]
    #[null("labels swapped within whole prompts")]
    pub struct TransferRow {
        /// Model state.
        pub state: String,
        /// Concept of the direction.
        pub direction: String,
        /// Concept of the pairs.
        pub pairs: String,
        /// Block.
        pub layer: usize,
        /// Share of positive-negative pairs that the projection orders, ties half.
        pub estimate: f64 from lo "Lower end." to hi "Upper end.",
        /// p with labels swapped.
        pub p: f64,
        /// Prompts.
        pub n: usize,
    }

    /// Overlap |A B'|^2 / k of two concepts' k-dimensional subspaces, with the smallest and largest
    /// principal angle.
    #[table("geometry/overlap")]
    #[estimator("leading singular vectors of the pair differences, not centred")]
    #[interval("95 % jackknife over the prompts of both concepts, about the overlap as measured with this many pairs")]
    #[null("subspaces of random directions from N(0, layer covariance), one-sided; chance k / d is too easy")]
    #[source("Bjorck and Golub 1973")]
    pub struct OverlapRow {
        /// Model state.
        pub state: String,
        /// First concept.
        pub concept_a: String,
        /// Second concept.
        pub concept_b: String,
        /// Block.
        pub layer: usize,
        /// Dimensions.
        pub k: usize,
        /// The overlap.
        pub estimate: f64 from lo "Lower end." to hi "Upper end.",
        /// k / d.
        pub chance: f64,
        /// Lower end of the null's band.
        pub null_lo: f64,
        /// Upper end of the band.
        pub null_hi: f64,
        /// p against random directions.
        pub p: f64,
        /// Smallest principal angle.
        pub smallest_angle: f64 in "rad",
        /// Largest principal angle.
        pub largest_angle: f64 in "rad",
    }

    /// Whether states are clouds of their own on the same texts: silhouettes, and the Mahalanobis
    /// distance of a state's mean from base's, squared, without the noise of finitely many texts.
    #[table("geometry/regions")]
    #[interval(JACKKNIFE)]
    #[null("names of states permuted within texts; labels of the two states swapped within texts")]
    #[source("Rousseeuw 1987; Beckmann and Butlin, arXiv 2604.17031")]
    pub struct RegionRow {
        /// Model state.
        pub state: String,
        /// Block.
        pub layer: usize,
        /// Squared distance from base, in the spread of texts averaged over states.
        pub estimate: f64 from lo "Lower end." to hi "Upper end.",
        /// p of it.
        pub p: f64,
        /// Distance from base.
        pub distance: f64,
        /// Silhouette of the state.
        pub silhouette: f64,
        /// Mean silhouette of all states at the layer.
        pub silhouette_all: f64 from silhouette_lo "Lower end of it." to silhouette_hi "Upper end of it.",
        /// p of it.
        pub p_silhouette: f64,
        /// Texts.
        pub n: usize,
    }

    /// Whether base's texts and a state's, together, have one mode or two along base's direction of a
    /// concept.
    #[table("geometry/modes")]
    #[estimator("one Gaussian against a mixture of two by BIC")]
    #[source("Schwarz 1978")]
    pub struct ModeRow {
        /// Model state.
        pub state: String,
        /// Concept of the direction.
        pub concept: String,
        /// Block.
        pub layer: usize,
        /// BIC of one mode less that of two; above 10 is strong evidence of two.
        pub estimate: f64,
        /// BIC of one mode.
        pub bic_one: f64,
        /// BIC of two.
        pub bic_two: f64,
        /// Distance of the modes in spreads of a mode.
        pub distance: f64,
        /// Weight of the lesser mode.
        pub smaller: f64,
        /// Texts.
        pub n: usize,
    }

    /// An observed profile over layers ranked among those of null states, such as random adapters of
    /// the same rank and size or the model with shuffled weights.
    #[table("geometry/null_states")]
    #[null("the null states; p = (1 + b) / (1 + n), two-sided; p_max over layers by max-T")]
    pub struct NullStateRow {
        /// Model state.
        pub state: String,
        /// random-adapter or shuffled-weights.
        pub null: String,
        /// shift or cosine.
        pub quantity: String,
        /// Concept of the shift, or first of the cosine.
        pub concept_a: String,
        /// Second concept of the cosine.
        pub concept_b: String,
        /// Block.
        pub layer: usize,
        /// Observed value.
        pub estimate: f64,
        /// Lower end of the null's band.
        pub null_lo: f64,
        /// Upper end of the band.
        pub null_hi: f64,
        /// p of the value.
        pub p: f64,
        /// The same over layers.
        pub p_max: f64,
        /// Null states.
        pub n: usize,
    }

    /// How much of a deviation along base's direction is left one assistant turn later.
    #[table("geometry/stickiness")]
    #[estimator("AR(1) of the turns' projections, less the mean over conversations at that turn")]
    #[interval("95 % jackknife over conversations, Student's")]
    #[source("Beckmann and Butlin, arXiv 2604.17031")]
    pub struct StickinessRow {
        /// Condition.
        pub condition: String,
        /// Concept of the direction.
        pub concept: String,
        /// Block.
        pub layer: usize,
        /// What is left after a turn.
        pub estimate: f64 from lo "Lower end." to hi "Upper end.",
        /// Turns after which half is left.
        pub half_life: f64 in "turns",
        /// Lower end of it.
        pub half_life_lo: f64 in "turns",
        /// Upper end of it.
        pub half_life_hi: f64 in "turns",
        /// Turns of a conversation.
        pub turns: usize,
        /// Conversations.
        pub n: usize,
    }
}
