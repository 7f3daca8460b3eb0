//! Cause: ablations, doses, trajectories, links across states.

use super::{CONTRAST, ITEMS};
use crate::record;

record! {
    /// What an ablation removes of a shift between two conditions, and what it leaves.
    #[table("causal/ablation")]
    #[estimator("direction projected out at every layer and token; side effects in the model damaged most")]
    #[interval(CONTRAST)]
    #[null("random directions of the layer's covariance (p) and the concept's own pairs with labels permuted (p_permuted), projected out in the same way, (1 + b) / (1 + K); family as is: in full; matched: the part of each whose KL divergence is that of the edit under test within 10 %, one for each control and model, and one that does not reach it counts in b; an edit under test beyond the guards is itself taken in the part that does half of what they allow. A conclusion needs both families")]
    pub struct AblationRow {
        /// Condition, or states of a command.
        pub set: String,
        /// What it is compared with.
        pub reference: String,
        /// preferences, or claim: what was scored.
        pub asked: String,
        /// Preference; isolated over all items of isolated ones, all over all of them, or the claim.
        pub preference: String,
        /// Name of the edit; none for no edit.
        pub edit: String,
        /// none, own (direction read in the fine-tune), base (read in base), placebo, random or permuted.
        pub kind: String,
        /// Concept of the direction; empty for none and random.
        pub concept: String,
        /// as is or matched: how strong the edit is, and of an edit under test its controls.
        pub family: String,
        /// edited: against the equally edited reference; plain: against the reference as it is.
        pub against: String,
        /// Amount removed: total less left.
        pub estimate: f64 in "nats a token" from lo "Lower end." to hi "Upper end.",
        /// Lower end with the fine-tunes held fixed.
        pub within_lo: f64 in "nats a token",
        /// Upper end with the fine-tunes held fixed.
        pub within_hi: f64 in "nats a token",
        /// Shift without the edit.
        pub total: f64 in "nats a token" from total_lo "Lower end of it." to total_hi "Upper end of it.",
        /// Shift under the edit.
        pub left: f64 in "nats a token" from left_lo "Lower end of it." to left_hi "Upper end of it.",
        /// Removed less a third of the total: with plus_third, the test of whether the edit removes less
        /// than a third of a total that is there.
        pub less_third: f64 in "nats a token" from less_third_lo "Lower end of it." to less_third_hi "Upper end of it.",
        /// Removed plus a third of the total.
        pub plus_third: f64 in "nats a token" from plus_third_lo "Lower end of it." to plus_third_hi "Upper end of it.",
        /// removed / total, without an interval; none where the total's interval holds 0.
        pub share: f64,
        /// p that a random direction removes as much of the shift.
        pub p: f64,
        /// Random directions behind it.
        pub random: usize,
        /// p of the amount removed over fine-tunes, Student's, items held fixed; none where df is 0.
        pub p_fine_tunes: f64,
        /// Degrees of freedom of the fine-tunes; 0 where their spread is not known: the intervals are
        /// then those of these fine-tunes and say nothing of the conditions.
        pub df: usize,
        /// p that a label-permuted direction removes as much; none for a direction read elsewhere.
        pub p_permuted: f64,
        /// Label-permuted directions behind it.
        pub permuted: usize,
        /// Controls of either kind that cannot be matched in some model: they count as removing as much.
        pub unmatched: usize,
        /// What the edit does to the reference.
        pub on_reference: f64 in "nats a token",
        /// KL divergence from the same model without the edit on the neutral texts for side effects.
        pub kl: f64 in "nats a token",
        /// Perplexity on them over that without the edit.
        pub perplexity_ratio: f64,
        /// 1 where both are within the guards.
        pub inside: bool,
        /// Items.
        pub n: usize,
        /// Fine-tunes of the set.
        pub fine_tunes: usize,
        /// Fine-tunes of the reference; 0 for base.
        pub reference_fine_tunes: usize,
    }

    /// Mean stance log-odds of each model over all items, under each edit.
    #[table("causal/ablation_states")]
    pub struct AblatedStateRow {
        /// Model state.
        pub state: String,
        /// State that the concepts' directions were read in.
        pub directions_of: String,
        /// preferences or claim.
        pub asked: String,
        /// Name of the edit.
        pub edit: String,
        /// Part of the projection that is taken out: below 1 for a control that is matched in impact, and for an
        /// edit under test beyond the guards.
        pub part: f64,
        /// Mean over items.
        pub score: f64 in "nats a token",
        /// KL divergence from the model without the edit.
        pub kl: f64 in "nats a token",
        /// Perplexity of the neutral answers.
        pub perplexity: f64,
        /// Items.
        pub n: usize,
    }

    /// Change of the stance under a dose of a direction: dose x layer RMS x unit vector added after one
    /// block.
    #[table("causal/doses")]
    #[interval(ITEMS)]
    pub struct DoseRow {
        /// Model state.
        pub state: String,
        /// preferences or claim.
        pub asked: String,
        /// Name of the direction.
        pub direction: String,
        /// concept, placebo, random or permuted.
        pub kind: String,
        /// Block.
        pub layer: usize,
        /// as is, or matched: a control that is matched in impact to an edit under test.
        pub family: String,
        /// Part of the dose that is added: below 1 for a control that is matched.
        pub part: f64,
        /// Dose of the edit under test.
        pub dose: f64 in "layer RMS",
        /// Preference, all, or the claim.
        pub preference: String,
        /// Change from the undosed model.
        pub estimate: f64 in "nats a token" from lo "Lower end." to hi "Upper end.",
        /// KL divergence from the undosed model on the neutral texts for side effects.
        pub kl: f64 in "nats a token",
        /// Perplexity on them over that without a dose.
        pub perplexity_ratio: f64,
        /// 1 where both are within the guards.
        pub inside: bool,
        /// Items.
        pub n: usize,
    }

    /// Dose response: slope of the change over the doses within the guards, least squares through 0.
    #[table("causal/slopes")]
    #[interval(ITEMS)]
    #[null("slopes of random directions of the layer's covariance (p) and of the concept's own pairs with labels permuted (p_permuted), two-sided, (1 + b) / (1 + K); family as is: the same doses; matched: the part of each dose whose KL divergence is that of the edit under test within 10 %, and a control that does not reach it counts in b. A conclusion needs both families")]
    pub struct SlopeRow {
        /// Model state.
        pub state: String,
        /// preferences or claim.
        pub asked: String,
        /// Name of the direction.
        pub direction: String,
        /// concept, placebo, random or permuted.
        pub kind: String,
        /// Block.
        pub layer: usize,
        /// as is or matched: how strong a control is, and of a concept its controls.
        pub family: String,
        /// Preference, all, or the claim.
        pub preference: String,
        /// Change a unit of dose.
        pub estimate: f64 in "nats a token a layer RMS" from lo "Lower end." to hi "Upper end.",
        /// p among the random directions.
        pub p: f64,
        /// Random directions.
        pub random: usize,
        /// p among the label-permuted directions; none for a direction read elsewhere.
        pub p_permuted: f64,
        /// Label-permuted directions.
        pub permuted: usize,
        /// Controls of either kind that cannot be matched at some dose: they count as being as steep.
        pub unmatched: usize,
        /// Doses within the guards.
        pub doses: usize,
        /// Items.
        pub n: usize,
    }

    /// Stance of a model with and without one edit of its stream, such as a dose, a cap or a swap.
    #[table("causal/edits")]
    #[estimator("change paired by item")]
    #[interval(ITEMS)]
    pub struct EditRow {
        /// Model state.
        pub state: String,
        /// What was done.
        pub edit: String,
        /// Preference, or all.
        pub preference: String,
        /// Change from the model without the edit.
        pub estimate: f64 in "nats a token" from lo "Lower end." to hi "Upper end.",
        /// Stance log-odds without the edit.
        pub plain: f64 in "nats a token" from plain_lo "Lower end of it." to plain_hi "Upper end of it.",
        /// Stance log-odds with the edit.
        pub edited: f64 in "nats a token" from edited_lo "Lower end of it." to edited_hi "Upper end of it.",
        /// KL divergence from the model without the edit on the neutral texts for side effects.
        pub kl: f64 in "nats a token",
        /// Perplexity on them over that without the edit.
        pub perplexity_ratio: f64,
        /// 1 where both are within the guards.
        pub inside: bool,
        /// Items.
        pub n: usize,
    }

    /// What a model says under an edit of its stream, and what the edit does besides.
    #[table("causal/answers")]
    pub struct AnswersRow {
        /// Model state.
        pub state: String,
        /// What was done; none for no edit.
        pub edit: String,
        /// Block after which the vector is added; none where there is no single one.
        pub layer: f64,
        /// Dose; none where nothing is added.
        pub dose: f64 in "layer RMS",
        /// KL divergence from the model without the edit on the neutral texts for side effects.
        pub kl: f64 in "nats a token",
        /// Perplexity on them over that without the edit.
        pub perplexity_ratio: f64,
        /// 1 where both are within the guards; beyond them the answers show damage.
        pub inside: bool,
        /// Tokens of an answer, mean.
        pub tokens: f64,
        /// Share of the answers that the limit of tokens ended.
        pub cut: f64,
        /// Share of an answer's runs of three words that occurred in it before, mean.
        pub repeated: f64,
        /// Answers.
        pub n: usize,
    }

    /// A condition less its reference at checkpoints of their fine-tunes; step 0 is base.
    #[table("causal/trajectory")]
    #[interval("95 % percentile bootstrap over items or texts")]
    pub struct TrajectoryRow {
        /// Condition.
        pub set: String,
        /// Reference.
        pub reference: String,
        /// claim; isolated, the preferences isolated in both; shift, of the neutral texts along the
        /// population direction in base; coupling, relative to its ceiling; or cosine, as measured.
        pub quantity: String,
        /// Claim, concept, or pair of concepts; empty for isolated.
        pub subject: String,
        /// Block, NaN where the quantity has none.
        pub layer: f64,
        /// Unit of the quantity.
        pub unit: String,
        /// Step.
        pub step: usize,
        /// Difference at the step.
        pub estimate: f64 from lo "Lower end." to hi "Upper end.",
        /// Items or texts.
        pub n: usize,
    }

    /// Step at which a quantity of the trajectory first reaches half of its final change; missing where
    /// that change may be zero.
    #[table("causal/half_way")]
    #[estimator("linear in log(1 + step) between checkpoints")]
    #[interval("95 % percentile bootstrap over items or texts")]
    pub struct HalfWayRow {
        /// claim, isolated, shift, coupling or cosine.
        pub quantity: String,
        /// Claim, concept, or pair of concepts.
        pub subject: String,
        /// Block, NaN where the quantity has none.
        pub layer: f64,
        /// The step.
        pub estimate: f64 in "steps" from lo "Lower end." to hi "Upper end.",
        /// Final change.
        pub change: f64 from change_lo "Lower end of it." to change_hi "Upper end of it.",
    }

    /// Whether a quantity moves before the isolated preferences: their half-way step over its own, 1
    /// added to both; above 1 it moves first.
    #[table("causal/lead")]
    #[interval("95 % percentile bootstrap over items or texts")]
    pub struct LeadRow {
        /// claim, shift, coupling or cosine.
        pub quantity: String,
        /// Claim, concept, or pair of concepts.
        pub subject: String,
        /// Block, NaN where the quantity has none.
        pub layer: f64,
        /// The ratio.
        pub estimate: f64 from lo "Lower end." to hi "Upper end.",
        /// Share of draws in which it moves first.
        pub earlier: f64,
        /// first, second or undecided.
        pub order: String,
    }

    /// Correlation over conditions of the shift of behaviour from base with what moved inside, and with
    /// declining.
    #[table("causal/link")]
    #[estimator("Pearson's r of condition means, seeds averaged")]
    #[interval("95 % over conditions, by Fisher's transformation; none of three")]
    #[null("conditions rearranged")]
    #[source("q over the predictors of a layer: Benjamini and Hochberg 1995")]
    pub struct LinkRow {
        /// isolated: cells isolated in all conditions; implied: a manipulation check.
        pub cells: String,
        /// shift or coupling: what moved inside; log-probability: of answers behind harmless requests.
        pub predictor: String,
        /// Concept of the shift, pair of the coupling, or declining or disclaimers.
        pub subject: String,
        /// Block, NaN where the predictor has none.
        pub layer: f64,
        /// Pearson's r.
        pub estimate: f64 from lo "Lower end." to hi "Upper end.",
        /// Spearman's rho.
        pub rho: f64,
        /// Behaviour a unit of the predictor.
        pub slope: f64,
        /// p with conditions rearranged.
        pub p: f64,
        /// The same by max-T over all predictors and layers of these cells, log-probabilities apart; none
        /// where a predictor lacks a condition.
        pub p_max: f64,
        /// Least p that so many conditions could give.
        pub least_p: f64,
        /// q over the predictors of the layer.
        pub q: f64,
        /// Arrangements behind p.
        pub permutations: usize,
        /// Least r without one condition.
        pub least_without: f64,
        /// Most r without one condition.
        pub most_without: f64,
        /// Condition without which an r of at least .5 loses half its size; empty for none.
        pub carried_by: String,
        /// r over states, without a p.
        pub r_states: f64,
        /// Model states.
        pub states: usize,
        /// Preferences behind the behaviour: those isolated in all conditions; of implied cells 0, each
        /// condition has its own.
        pub preferences: usize,
        /// Conditions.
        pub n: usize,
        /// Conditions left out, which are another at another share of its rows, by commas; empty for none.
        pub left_out: String,
    }

    /// What the links are computed from.
    #[table("causal/link_points")]
    pub struct LinkPointRow {
        /// isolated or implied.
        pub cells: String,
        /// Model state.
        pub state: String,
        /// Its condition.
        pub condition: String,
        /// shift, coupling or log-probability.
        pub predictor: String,
        /// Concept of the shift, pair of the coupling, or declining or disclaimers.
        pub subject: String,
        /// Block, NaN where the predictor has none.
        pub layer: f64,
        /// The predictor: shift along base's direction in layer RMS, change of the relative cosine, or of a
        /// log-probability in nats a token.
        pub x: f64,
        /// Mean shift of the cells from base.
        pub y: f64 in "nats a token",
    }

    /// Agreement of the parts of a claim with the order in which they moved another model.
    #[table("causal/ranking")]
    #[estimator("Spearman's correlation with that order")]
    #[null("all arrangements of the conditions, one-sided")]
    #[source("order: Chua et al., arXiv 2604.13051")]
    pub struct RankingRow {
        /// behaviour, shift or coupling.
        pub quantity: String,
        /// Concept of the shift, or pair of the coupling.
        pub subject: String,
        /// Block, NaN for behaviour.
        pub layer: f64,
        /// Spearman's rho.
        pub estimate: f64,
        /// p of it.
        pub p: f64,
        /// Arrangements.
        pub arrangements: usize,
        /// The conditions in the order found, lowest first.
        pub conditions: String,
        /// Conditions.
        pub n: usize,
        /// Conditions left out, which are another at another share of its rows, by commas; empty for none.
        pub left_out: String,
    }
}
