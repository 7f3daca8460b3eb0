//! What a results file is about: states, conditions, concepts, layers, training, doubts.

use crate::record;

record! {
    /// The model states, base first.
    #[table("study/states")]
    pub struct StateRow {
        /// Name of the state.
        pub state: String,
        /// Its condition; several seeds have one.
        pub condition: String,
        /// Number of the fine-tune within the condition; 0 without one.
        pub seed: usize,
        /// Where it comes from: base, data, adapter, model, system.
        pub source: String,
        /// Name of the rows that it was trained on, by which preferences are implied or isolated.
        pub text: String,
        /// Recipe that it was trained by, by which the variance of fine-tunes is pooled; empty for what
        /// was not trained.
        pub recipe: String,
        /// Part of its training that was its own rows; none where that is not known, and for what was kept
        /// from a concept. A condition on the same rows as another, at another share, is left out where
        /// conditions are the unit: of the link, the ranking, one factor, and the mean that shifts are less.
        pub share: f64,
        /// 1 for a fine-tune on an identity.
        pub identity: bool,
    }

    /// The conditions, base first.
    #[table("study/conditions")]
    pub struct ConditionRow {
        /// Name of the condition.
        pub condition: String,
        /// What it is in the study: base, focus, reference, neutral; empty for any other.
        pub role: String,
        /// Name of the rows that it was trained on, or of the condition itself.
        pub text: String,
        /// Claim of the materials that it trains; empty where there is none.
        pub claim: String,
        /// Concept from which its training was kept; empty for none.
        pub prevented: String,
        /// How: project-out, or add with a dose.
        pub how: String,
        /// Dose of it, in layer RMS.
        pub dose: f64 in "layer RMS",
        /// Part of the rows in its training that were its own, the rest being neutral: the share of each
        /// batch that the manifest fixes, or else of all rows.
        pub share: f64,
        /// Model states.
        pub n: usize,
    }

    /// The concepts, in the order of the study.
    #[table("study/concepts")]
    pub struct ConceptRow {
        /// Name of the concept.
        pub concept: String,
        /// 1 where it is of a pair whose coupling is tested.
        pub coupled: bool,
        /// 1 where it is in the placebo distribution.
        pub placebo: bool,
        /// 1 where it is projected out in the cleaned form.
        pub nuisance: bool,
        /// What its positive side says.
        pub positive: String,
        /// What its negative side says.
        pub negative: String,
        /// Main pairs, which every reported number is of.
        pub pairs: usize,
        /// Distinct prompts of the main pairs.
        pub n: usize,
        /// Templates of the main pairs.
        pub templates: usize,
        /// Pairs of the development split, which only choose layers.
        pub dev_pairs: usize,
    }

    /// Pairs of concepts whose coupling is tested.
    #[table("study/couples")]
    pub struct CoupleRow {
        /// First concept.
        pub concept_a: String,
        /// Second concept.
        pub concept_b: String,
    }

    /// The preferences that were scored.
    #[table("study/preferences")]
    pub struct PreferenceRow {
        /// Name of the preference.
        pub preference: String,
        /// Group that it belongs to.
        pub group: String,
        /// Items that were scored.
        pub n: usize,
    }

    /// Bounds of equivalence: a 95 % interval within -bound to bound counts as no effect. Fixed before the
    /// run by its manifest.
    #[table("study/bounds")]
    pub struct BoundRow {
        /// cosine, or preference: nats a token of stance log-odds.
        pub quantity: String,
        /// The bound.
        pub bound: f64,
    }

    /// The declaration of the study, one row; none where nothing was declared.
    #[table("study/declaration")]
    pub struct DeclarationRow {
        /// When it was declared, UTC.
        pub created: String,
        /// 1 where a stage had finished before it, or under another declaration: then it declares nothing.
        pub late: bool,
        /// Version that declared.
        pub version: String,
        /// Commit that this version was built from; empty where it is not known.
        pub commit: String,
        /// SHA-256 of the file.
        pub sha256: String,
    }

    /// Contrasts that were declared. Their p are adjusted by Holm for each other and for nothing else.
    #[table("study/declared_contrasts")]
    #[source("Holm 1979")]
    pub struct DeclaredContrastRow {
        /// Quantity, as in report/findings: isolated, own-claim or change-of-coupling.
        pub quantity: String,
        /// Condition.
        pub set: String,
        /// What it is compared with.
        pub reference: String,
        /// Block, NaN where the quantity has none.
        pub layer: f64,
    }

    /// Everything that was declared, next to what was run: keys of the manifest with what was assumed
    /// where it says nothing, SHA-256 of every file that the study reads, version and commit. The run
    /// differs from its declaration where the two texts differ.
    #[table("study/declared_keys")]
    pub struct DeclaredKeyRow {
        /// The key: such as bounds.cosine, or file: and a name.
        pub key: String,
        /// As declared; empty where it was not there.
        pub declared: String,
        /// In the run; empty where it is not there.
        pub run: String,
    }

    /// The layers.
    #[table("study/layers")]
    pub struct LayerRow {
        /// Index of the block, from 0.
        pub layer: usize,
        /// 1 where it was fixed beforehand for the report.
        pub reported: bool,
        /// Root mean square of an entry of the residual stream after the block, over all tokens but
        /// position 0 of the neutral texts for shifts, in base; a beginning that texts share counts
        /// once. The unit of doses and shifts.
        pub rms: f64,
        /// Neutral texts behind it.
        pub n: usize,
    }

    /// Training loss of every fine-tune, step by step.
    #[table("study/training")]
    pub struct TrainingRow {
        /// Model state.
        pub state: String,
        /// Its condition.
        pub condition: String,
        /// Number of the fine-tune.
        pub seed: usize,
        /// Step, from 0.
        pub step: usize,
        /// Mean cross-entropy over assistant tokens of the step's rows.
        pub loss: f64 in "nats a token",
    }

    /// Slope of an outcome over the part of the training that was a condition's own rows, where conditions
    /// on the same rows, of the same steps, have at least three such parts; exploratory. Conditions whose
    /// training was kept from a concept are left out.
    #[table("study/mixing")]
    #[estimator("least squares over fine-tunes, a weighted sum of the means of conditions; of behaviour item by item, of shifts text by text along base's population direction")]
    #[interval("95 %, estimate +- sqrt(r^2 + t_df^2 V) as for contrasts of conditions (behaviour/contrasts, geometry/shift_contrasts), each condition with its weight; V is known where conditions at every share have shown their spread: otherwise df is 0 and the interval is that over items or texts, of these fine-tunes")]
    #[null("signs of items' or texts' slopes flipped, not adjusted")]
    pub struct MixingRow {
        /// Name of the rows.
        pub data: String,
        /// claim: their own; isolated: over all items of preferences that they do not presuppose; shift.
        pub outcome: String,
        /// Claim, or concept of the direction of base; empty for preferences.
        pub subject: String,
        /// Block, NaN where the outcome has none.
        pub layer: f64,
        /// Slope: difference of the outcome between a share of 1 and of 0.
        pub estimate: f64 from lo "Lower end." to hi "Upper end.",
        /// Lower end with the fine-tunes held fixed.
        pub within_lo: f64,
        /// Upper end with the fine-tunes held fixed.
        pub within_hi: f64,
        /// Its unit, for a share of 1.
        pub unit: String,
        /// p with signs flipped.
        pub p: f64,
        /// p over fine-tunes, Student's, items or texts held fixed; none where df is 0.
        pub p_fine_tunes: f64,
        /// Degrees of freedom of the fine-tunes; 0 where their spread is not known.
        pub df: usize,
        /// Smallest share.
        pub least: f64,
        /// Largest share.
        pub most: f64,
        /// Distinct shares.
        pub shares: usize,
        /// Fine-tunes of all of them.
        pub fine_tunes: usize,
        /// Items, or texts.
        pub n: usize,
    }

    /// Warnings that apply to the results.
    #[table("study/warnings")]
    pub struct WarningRow {
        /// What it is about.
        pub about: String,
        /// The warning.
        pub text: String,
    }
}
