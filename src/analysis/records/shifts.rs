//! Where fine-tunes moved the same texts: along concepts, in planes of two of them, and against one another.

use super::TEXTS;
use crate::record;

record! {
    /// Where a fine-tune moved the same texts: the mean shift s = mean over texts of h - h_base along a
    /// concept's population direction, s . d / sqrt(U) with d the mean difference over main pairs and U
    /// the unbiased estimate of |d|^2, in the layer's RMS. plain: s . d / |d|, which noise of d shortens.
    #[table("geometry/shifts")]
    #[interval("95 % symmetric bootstrap-t over texts x prompts of pairs; of plain: percentile bootstrap over texts with the direction held fixed; both widened for few")]
    #[null("signs of texts flipped (p_flip), labels of pairs permuted, one sign a prompt, balanced within template and polarity, the same for all layers and states (permuted, p_permuted; p_permuted_max over all rows of the table, each cosine over the root mean square of its permuted ones), random directions of the layer's covariance (null, p_random), placebo concepts (placebo, p_placebo, none against fewer than 19); p_max over layers by max-T. Opposite fine-tunes share most of their shift: a high cosine between shifts is no evidence")]
    pub struct ShiftRow {
        /// Model state.
        pub state: String,
        /// What its texts are compared with: base; others, the mean of the condition means of the
        /// identity conditions that share no rows and no claim with this one, the reference or the
        /// focus; or a condition.
        pub less: String,
        /// The conditions behind others, in one text.
        pub others: String,
        /// Tokens that are averaged.
        pub position: String,
        /// Concept of the direction.
        pub concept: String,
        /// State that the direction is read in: base, or own.
        pub source: String,
        /// Concept whose direction was projected out of it first, or the nuisances, in one text; empty for
        /// none.
        pub beyond: String,
        /// Block.
        pub layer: usize,
        /// Shift along the population direction; none where the direction is not above its noise.
        pub estimate: f64 in "layer RMS" from lo "Lower end." to hi "Upper end.",
        /// Shift along the unit direction as measured.
        pub plain: f64 in "layer RMS" from plain_lo "Lower end of plain." to plain_hi "Upper end of plain.",
        /// Cosine of shift and direction.
        pub cosine: f64,
        /// (s . v)^2 / |s|^2.
        pub share: f64,
        /// p with signs of texts flipped.
        pub p_flip: f64,
        /// The same over layers.
        pub p_flip_max: f64,
        /// Lower end of the band of cosines with directions of permuted labels.
        pub permuted_lo: f64,
        /// Upper end of the band.
        pub permuted_hi: f64,
        /// p of the cosine among them.
        pub p_permuted: f64,
        /// The same by max-T over all rows of the table: layers, states, directions, references, positions.
        pub p_permuted_max: f64,
        /// Least that it could be with so many permutations.
        pub least_p: f64,
        /// Lower end of the band of cosines with random directions.
        pub null_lo: f64,
        /// Upper end of the band.
        pub null_hi: f64,
        /// p of the cosine among them.
        pub p_random: f64,
        /// The same over layers.
        pub p_random_max: f64,
        /// Lower end of the band of the shift's cosines with placebo concepts.
        pub placebo_lo: f64,
        /// Upper end of the band.
        pub placebo_hi: f64,
        /// p of the cosine among those of placebo concepts.
        pub p_placebo: f64,
        /// The same over layers.
        pub p_placebo_max: f64,
        /// Texts.
        pub n: usize,
    }

    /// The shift of a condition less that of another along base's direction of a concept, as in
    /// geometry/shifts, fine-tunes of a condition averaged.
    #[table("geometry/shift_contrasts")]
    #[interval("95 %, estimate +- sqrt(r^2 + t_df^2 V): r the reach of a symmetric bootstrap-t over texts x prompts of pairs, widened for few, fine-tunes held fixed; V = s^2 (1/n_c + 1/n_k), s^2 the variance of fine-tunes within conditions, pooled over those of one recipe, what was not trained adding nothing; within_lo and within_hi without V; df 0: within only")]
    #[null("signs of texts flipped (p; p_max over layers by max-T); labels of pairs permuted as in geometry/shifts (permuted, p_permuted; p_permuted_max over all rows of the table, each cosine over the root mean square of its permuted ones)")]
    pub struct ShiftContrastRow {
        /// Condition.
        pub set: String,
        /// Condition that it is compared with: base, the reference, or the recipe-matched neutral.
        pub reference: String,
        /// Tokens that are averaged.
        pub position: String,
        /// Concept of the direction.
        pub concept: String,
        /// Concept whose direction was projected out of it first, or the nuisances, in one text; empty for
        /// none.
        pub beyond: String,
        /// Block.
        pub layer: usize,
        /// Difference along the population direction; none where the direction is not above its noise.
        pub estimate: f64 in "layer RMS" from lo "Lower end." to hi "Upper end.",
        /// Lower end with the fine-tunes held fixed.
        pub within_lo: f64 in "layer RMS",
        /// Upper end with the fine-tunes held fixed.
        pub within_hi: f64 in "layer RMS",
        /// Cosine of the difference of shifts and the direction.
        pub cosine: f64,
        /// p with signs of texts flipped.
        pub p: f64,
        /// The same over layers.
        pub p_max: f64,
        /// p over fine-tunes, Student's, texts and pairs held fixed; none where df is 0.
        pub p_fine_tunes: f64,
        /// Lower end of the band of cosines with directions of permuted labels.
        pub permuted_lo: f64,
        /// Upper end of the band.
        pub permuted_hi: f64,
        /// p of the cosine among them.
        pub p_permuted: f64,
        /// The same by max-T over all rows of the table.
        pub p_permuted_max: f64,
        /// Degrees of freedom of the fine-tunes; 0 where their spread is not known: the interval is then
        /// that of these fine-tunes and says nothing of the conditions.
        pub df: usize,
        /// Fine-tunes of the condition; 0 for a prompt.
        pub fine_tunes: usize,
        /// Fine-tunes of the reference; 0 for base.
        pub reference_fine_tunes: usize,
        /// Texts.
        pub n: usize,
    }

    /// Where the neutral texts of a condition lie from base in a plane of two directions, at the first
    /// position: x and y are their mean shift along the unit direction of either axis. concepts: the
    /// directions of a couple in base as measured, x and y being plain of geometry/shifts; they need not be
    /// orthogonal. components: the first two principal components of the conditions' mean shifts and of
    /// base's, which is 0; signed so that the condition furthest along each lies on its positive side. They are
    /// chosen by the means that they show.
    #[table("geometry/planes")]
    #[estimator("mean over texts; of a condition, its states averaged text by text first")]
    #[interval("ellipse about x and y, 95 % over texts by Hotelling's T^2, directions and fine-tunes held fixed")]
    #[null("concepts: random directions of the layer's covariance; components: none")]
    #[source("Hotelling 1931")]
    pub struct PlaneRow {
        /// concepts or components.
        pub plane: String,
        /// Concept of the first axis, or component 1.
        pub axis_x: String,
        /// Concept of the second axis, or component 2.
        pub axis_y: String,
        /// Block.
        pub layer: usize,
        /// condition, or state: one of a condition's several.
        pub kind: String,
        /// Condition or model state.
        pub set: String,
        /// Its condition.
        pub condition: String,
        /// Mean shift along the first axis.
        pub x: f64 in "layer RMS",
        /// Mean shift along the second.
        pub y: f64 in "layer RMS",
        /// Longer half axis of the ellipse; none below 3 texts.
        pub major: f64 in "layer RMS",
        /// Shorter half axis.
        pub minor: f64 in "layer RMS",
        /// From the first axis of the plane to the longer half axis.
        pub angle: f64 in "rad",
        /// Cosine of the two axes.
        pub cosine: f64,
        /// Share of the squared distances of the means that the first component holds.
        pub share_x: f64,
        /// The same of the second.
        pub share_y: f64,
        /// Lower end of the 95 % band of the mean shift along random directions.
        pub null_lo: f64 in "layer RMS",
        /// Upper end of the band.
        pub null_hi: f64 in "layer RMS",
        /// Model states.
        pub states: usize,
        /// Texts.
        pub n: usize,
    }

    /// The trace of a fine-tune on text unrelated to its training: the shift of the neutral texts from
    /// base along base's direction of a concept, as in geometry/shifts, at single places of the texts.
    #[table("geometry/trace")]
    #[interval("95 % symmetric bootstrap-t over texts x prompts of pairs, widened for few")]
    #[null("signs of texts flipped (p_flip); labels of pairs permuted as in geometry/shifts (permuted, p_permuted; p_permuted_max over all rows of the table, each cosine over the root mean square of its permuted ones: positions, layers, states, directions); random directions of the covariance of base at the position (null, p_random)")]
    pub struct TraceRow {
        /// Model state.
        pub state: String,
        /// Where the texts are read: user-last, before-response (mean over the markup between prompt
        /// and response), response-first, response-q1 to response-q4 (means over quarters of the
        /// response).
        pub position: String,
        /// Concept of the direction.
        pub concept: String,
        /// Block.
        pub layer: usize,
        /// Shift along the population direction; none where the direction is not above its noise.
        pub estimate: f64 in "layer RMS" from lo "Lower end." to hi "Upper end.",
        /// Cosine of shift and direction.
        pub cosine: f64,
        /// p with signs of texts flipped.
        pub p_flip: f64,
        /// Lower end of the band of cosines with directions of permuted labels.
        pub permuted_lo: f64,
        /// Upper end of the band.
        pub permuted_hi: f64,
        /// p of the cosine among them.
        pub p_permuted: f64,
        /// The same by max-T over all rows of the table.
        pub p_permuted_max: f64,
        /// Least that it could be with so many permutations.
        pub least_p: f64,
        /// Lower end of the band of cosines with random directions.
        pub null_lo: f64,
        /// Upper end of the band.
        pub null_hi: f64,
        /// p of the cosine among them.
        pub p_random: f64,
        /// Texts.
        pub n: usize,
    }

    /// Movement of the texts between a concept's poles in base: 0 at the negative pole, 1 at the
    /// positive.
    #[table("geometry/poles")]
    #[estimator("t(h) = (h - negative) . (positive - negative) / |positive - negative|^2, tuned less base")]
    #[interval(TEXTS)]
    pub struct PoleRow {
        /// Model state.
        pub state: String,
        /// Concept.
        pub concept: String,
        /// Block.
        pub layer: usize,
        /// Coordinate in base.
        pub base: f64,
        /// Coordinate in the state.
        pub tuned: f64,
        /// The state's less base's.
        pub estimate: f64 from lo "Lower end." to hi "Upper end.",
        /// Texts.
        pub n: usize,
    }

    /// Cosine of the utility direction in base, where there is one, with a concept's.
    #[table("geometry/utility_cosines")]
    #[estimator("w . d / (|w| sqrt(U)): w the ridge weights of behaviour/readouts as fitted to all outcomes, d the mean difference over the concept's pairs, U the unbiased estimate of |d|^2")]
    #[null("the concept's pairs with labels permuted; random directions of the layer's covariance, and the placebos, in the concept's place")]
    pub struct UtilityCosineRow {
        /// Concept.
        pub concept: String,
        /// Block.
        pub layer: usize,
        /// The cosine; none where the concept's direction is not above its noise. Without an interval: weights
        /// of a fit to few outcomes have none that holds.
        pub estimate: f64,
        /// Lower end of the band of permuted labels.
        pub permuted_lo: f64,
        /// Upper end of the band.
        pub permuted_hi: f64,
        /// p among them.
        pub p_permuted: f64,
        /// The same by max-T over all rows of the table.
        pub p_permuted_max: f64,
        /// Least that it could be with so many permutations.
        pub least_p: f64,
        /// Lower end of the band of random directions.
        pub null_lo: f64,
        /// Upper end of the band.
        pub null_hi: f64,
        /// p among them.
        pub p_random: f64,
        /// Lower end of the band of the placebos' cosines.
        pub placebo_lo: f64,
        /// Upper end of the band.
        pub placebo_hi: f64,
        /// p among them; none below 19 placebos.
        pub p_placebo: f64,
        /// Outcomes.
        pub n: usize,
        /// Prompts of the concept.
        pub prompts: usize,
    }

    /// Cosine between the mean shifts of two states; opposite fine-tunes share .65 to .97 of it, so a
    /// high value is the default.
    #[table("geometry/shift_cosines")]
    pub struct ShiftCosineRow {
        /// First state.
        pub state_a: String,
        /// Second state.
        pub state_b: String,
        /// Block.
        pub layer: usize,
        /// The cosine.
        pub estimate: f64,
    }
}
