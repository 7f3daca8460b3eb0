//! Directions: how good they are, and how they lie to one another.

use super::BOOTSTRAP_T;
use crate::record;
use crate::stats::Interval;

/// Of held-out scores.
const HELD_OUT: &str = "95 % percentile bootstrap over prompts of the held-out scores, mean over folds; the folds' directions stay as they are";

record! {
    /// Quality of a direction: held-out AUROC on its own concept's main pairs, template and prompt
    /// held out, with what a bag of words reaches on the same folds.
    #[table("directions/quality", "state", "concept", "estimator", "form", "layer")]
    #[interval(HELD_OUT)]
    pub struct QualityRow {
        /// Model state that the direction is read in.
        pub state: String,
        /// Concept.
        pub concept: String,
        /// Estimator of the direction.
        pub estimator: String,
        /// raw, or cleaned: without its part in the span of the nuisances.
        pub form: String,
        /// Block.
        pub layer: usize,
        /// Held-out AUROC, mean over folds.
        pub estimate: f64 from lo "Lower end." to hi "Upper end.",
        /// AUROC of the lexical baseline: unigram bag of words, L2 logistic regression, same folds.
        pub lexical: f64,
        /// Held-out AUROC less that of the lexical baseline.
        pub gain: f64 from gain_lo "Lower end of the gain, paired bootstrap over prompts." to gain_hi "Upper end of the gain.",
        /// AUROC of the lexical baseline of unigrams and bigrams, otherwise the same: sides in the same
        /// words may differ in which of them are neighbours.
        pub lexical_bigram: f64,
        /// Held-out AUROC less that.
        pub gain_bigram: f64 from gain_bigram_lo "Lower end of it, paired bootstrap over prompts." to gain_bigram_hi "Upper end of it.",
        /// Split-half reliability over random halves of the prompts, Spearman-Brown.
        pub reliability: f64,
        /// Length before it is made a unit vector.
        pub norm: f64,
        /// The same in units of the layer's RMS.
        pub relative_norm: f64 in "layer RMS",
        /// Length over that of the raw direction.
        pub share: f64,
        /// 1 where the development split chose the layer for this concept and estimator.
        pub chosen: bool,
        /// Prompts.
        pub n: usize,
        /// Pairs.
        pub pairs: usize,
        /// Templates.
        pub templates: usize,
    }

    /// Directions of the nuisances.
    #[table("directions/nuisances")]
    pub struct NuisanceRow {
        /// Model state.
        pub state: String,
        /// Nuisance: a concept, or surprisal.
        pub nuisance: String,
        /// Block.
        pub layer: usize,
        /// Length before it is made a unit vector.
        pub norm: f64,
        /// Split-half reliability.
        pub reliability: f64,
    }

    /// Cosine of a concept's direction with that of a nuisance.
    #[table("directions/nuisance_cosines")]
    pub struct NuisanceCosineRow {
        /// Model state.
        pub state: String,
        /// Concept.
        pub concept: String,
        /// Estimator.
        pub estimator: String,
        /// Block.
        pub layer: usize,
        /// Nuisance.
        pub nuisance: String,
        /// The cosine.
        pub estimate: f64,
    }

    /// Cosine of two estimators' directions of one concept.
    #[table("directions/agreement")]
    pub struct AgreementRow {
        /// Model state.
        pub state: String,
        /// Concept.
        pub concept: String,
        /// Block.
        pub layer: usize,
        /// First estimator.
        pub estimator_a: String,
        /// Second estimator.
        pub estimator_b: String,
        /// The cosine.
        pub estimate: f64,
    }

    /// A direction carried elsewhere: base's to another state, or a state's own to another position.
    #[table("directions/carried")]
    #[interval(HELD_OUT)]
    pub struct CarriedRow {
        /// Model state in which it is scored.
        pub state: String,
        /// Concept.
        pub concept: String,
        /// Estimator.
        pub estimator: String,
        /// Block.
        pub layer: usize,
        /// Model state that the direction was read in.
        pub from_state: String,
        /// Position at which it is scored.
        pub position: String,
        /// Cosine with the direction read in this state at this position.
        pub cosine: f64,
        /// Held-out AUROC.
        pub estimate: f64 from lo "Lower end." to hi "Upper end.",
    }

    /// A text on a direction: the mean residual over the tokens of a position, after a block, times the
    /// unit vector.
    #[table("projections/texts")]
    pub struct ProjectionRow {
        /// Model state that reads.
        pub state: String,
        /// Id of the text.
        pub text: String,
        /// Label of the text; may be empty.
        pub label: String,
        /// Position that is read.
        pub position: String,
        /// Name of the vector.
        pub vector: String,
        /// Block.
        pub layer: usize,
        /// Coordinate x . u, in the units of the residual stream.
        pub estimate: f64,
        /// The same over the RMS of an entry of the stream after the block, in base on the neutral texts.
        pub in_rms: f64 in "layer RMS",
        /// Cosine of the mean residual and the vector.
        pub cosine: f64,
        /// Tokens that are averaged.
        pub n: usize,
    }

    /// A token on a direction: its residual after a block times the unit vector.
    #[table("projections/tokens")]
    pub struct TokenProjectionRow {
        /// Model state that reads.
        pub state: String,
        /// Id of the text.
        pub text: String,
        /// Label of the text; may be empty.
        pub label: String,
        /// Place of the token, from 0; 0 is an attention sink.
        pub index: usize,
        /// Text of the token.
        pub token: String,
        /// Part of the chat that it belongs to.
        pub role: String,
        /// Name of the vector.
        pub vector: String,
        /// Block.
        pub layer: usize,
        /// Coordinate x . u, in the units of the residual stream.
        pub estimate: f64,
        /// The same over the RMS of an entry of the stream after the block, in base on the neutral texts.
        pub in_rms: f64 in "layer RMS",
        /// Cosine of the residual and the vector.
        pub cosine: f64,
    }

    /// How the layer of a concept was chosen in base: on development pairs alone, which are in no
    /// reported number.
    #[table("directions/layer_choice")]
    pub struct LayerChoiceRow {
        /// Concept.
        pub concept: String,
        /// Estimator.
        pub estimator: String,
        /// Block.
        pub layer: usize,
        /// Distance of the two sides in standard deviations of a side.
        pub separation: f64,
        /// Held-out AUROC on development pairs.
        pub auroc: f64,
        /// 1 for the chosen layer.
        pub chosen: bool,
        /// Development prompts.
        pub n: usize,
        /// Development pairs.
        pub pairs: usize,
    }

    /// What a LEACE eraser leaves of its concept on held-out rows.
    #[table("directions/erasers")]
    #[interval(HELD_OUT)]
    pub struct EraserRow {
        /// Model state.
        pub state: String,
        /// Concept.
        pub concept: String,
        /// Block.
        pub layer: usize,
        /// Dimensions that it takes.
        pub rank: usize,
        /// Held-out AUROC after erasure.
        pub estimate: f64 from lo "Lower end." to hi "Upper end.",
    }

    /// AUROC of the direction of one set of pairs on another set, by other authors or of ours, none of
    /// which it was read on. The interval is of the area that directions from so many prompts reach on
    /// average: it counts the prompts of both sets, and for sets whose differences are orthogonal leaves
    /// out .5 in no more than 5 % of studies. It is not adjusted for the number of layers and groups.
    #[table("validate/transfer")]
    #[estimator("difference in means of all main pairs of the direction's set")]
    #[interval("95 % jackknife on the logit scale, Student's: prompts of the scored pairs, and the direction read anew without each of 20 groups of prompts of its own")]
    pub struct ForeignRow {
        /// Model state.
        pub state: String,
        /// Set that the direction is read on.
        pub direction: String,
        /// Set whose pairs are scored.
        pub pairs: String,
        /// all, or those of one framing or one template.
        pub by: String,
        /// The framing (yes, no, none: how the positive side opens; or the file's own word) or template.
        pub group: String,
        /// Block.
        pub layer: usize,
        /// Share of positive-negative pairs of responses that the projection orders, ties half.
        pub estimate: f64 from lo "Lower end." to hi "Upper end.",
        /// The same of a bag of words fitted on the responses of the direction's set: L2 logistic
        /// regression on unigrams.
        pub lexical: f64,
        /// AUROC of the direction less that of the words.
        pub gain: f64 from gain_lo "Lower end of the gain, jackknife over both sets, words fitted anew too." to gain_hi "Upper end of the gain.",
        /// AUROC of unigrams and bigrams, otherwise the same.
        pub lexical_bigram: f64,
        /// AUROC of the direction less that.
        pub gain_bigram: f64 from gain_bigram_lo "Lower end of it." to gain_bigram_hi "Upper end of it.",
        /// Prompts that are scored.
        pub n: usize,
    }

    /// Cosine of a concept's direction with that of another set of pairs, over the ceiling that noise
    /// sets: what infinitely many pairs of either would show, not bounded by 1.
    #[table("validate/cosines")]
    #[estimator("mean over main pairs of positive less negative response")]
    #[interval(BOOTSTRAP_T)]
    pub struct ForeignCosineRow {
        /// Model state.
        pub state: String,
        /// Concept.
        pub concept: String,
        /// The other set of pairs.
        pub against: String,
        /// Block.
        pub layer: usize,
        /// Relative cosine.
        pub estimate: f64 from lo "Lower end." to hi "Upper end.",
        /// Cosine as measured with this many pairs.
        pub plain: f64 from plain_lo "Lower end of the cosine as measured." to plain_hi "Upper end of the cosine as measured.",
        /// Ceiling of the cosine as measured, sqrt(r_a r_b), r the reliability of each direction; none
        /// where one is not above its noise.
        pub ceiling: f64,
        /// Prompts of the smaller set.
        pub n: usize,
    }
}

/// A lexical baseline with what a direction reaches beyond it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Baseline {
    /// What its bag holds.
    pub bag: &'static str,
    /// Held-out AUROC.
    pub area: f64,
    /// AUROC of the direction less that.
    pub gain: f64,
    /// 95 % interval of the gain.
    pub interval: Interval,
}

impl QualityRow {
    /// The higher of the two lexical baselines.
    pub fn baseline(&self) -> Baseline {
        let interval = |lo, hi| Interval { lo, hi };
        match self.lexical_bigram > self.lexical {
            true => Baseline {
                bag: "unigrams and bigrams",
                area: self.lexical_bigram,
                gain: self.gain_bigram,
                interval: interval(self.gain_bigram_lo, self.gain_bigram_hi),
            },
            false => Baseline {
                bag: "unigrams",
                area: self.lexical,
                gain: self.gain,
                interval: interval(self.gain_lo, self.gain_hi),
            },
        }
    }
}
