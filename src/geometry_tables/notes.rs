//! What each number of a results file is and how it came about, in sentences.
//!
//! One note an array or table, by its path below the root. A writer puts it beside the data as
//! attributes, and `residuum geometry explain` prints it, also for files that lack them. Wording
//! states the estimand: what an interval is an interval for.

/// How a number came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Note {
    /// Path of the array or table, without a leading slash.
    pub path: &'static str,
    /// What it is.
    pub is: &'static str,
    /// How it is estimated.
    pub estimator: &'static str,
    /// What its interval is, and for what.
    pub interval: &'static str,
    /// What it is compared with.
    pub null: &'static str,
    /// Paper and equation.
    pub source: &'static str,
}

impl Note {
    /// Names and texts of its attributes; empty texts are not written.
    pub fn attributes(&self) -> [(&'static str, &'static str); 5] {
        [
            ("is", self.is),
            ("estimator", self.estimator),
            ("interval", self.interval),
            ("null", self.null),
            ("source", self.source),
        ]
    }
}

/// The note of a path, with or without a leading slash.
pub fn note(path: &str) -> Option<&'static Note> {
    let path = path.trim_matches('/');
    NOTES.iter().find(|n| n.path == path)
}

/// Paths of all notes.
pub fn paths() -> impl Iterator<Item = &'static str> {
    NOTES.iter().map(|n| n.path)
}

const BOOTSTRAP_T: &str = "95 % symmetric bootstrap-t over prompts on Fisher's scale, widened for few prompts: each draw's distance from the estimate over the standard error made in that draw";
const MEANS: &str =
    "mean over pairs of positive less negative response, directions extracted anew in this state";
const RELATIVE: &str = "inner product of the means over the root of their squared lengths without the noise of finitely many pairs (products within a prompt left out)";
const PERCENTILE: &str = "95 % percentile bootstrap over prompts, widened for few prompts";
const JACKKNIFE: &str = "95 % jackknife over prompts or texts, Student's";
const P: &str = "p = (1 + b) / (1 + n), two-sided, b the null draws at least as far from 0";

const EMPTY: Note = Note {
    path: "",
    is: "",
    estimator: "",
    interval: "",
    null: "",
    source: "",
};

const NOTES: &[Note] = &[
    Note {
        path: "geometry/cosine",
        is: "cosine of two concepts' directions, as measured",
        estimator: MEANS,
        interval: "95 % symmetric bootstrap-t over prompts on Fisher's scale, widened for few prompts; holds the cosine that other studies with as many pairs would average, noise ceiling included (ci_lo, ci_hi)",
        null: "labels flipped (null_flip, p_flip), random directions of the layer's covariance (null_random, p_random), placebo concepts (p_placebo)",
        source: "",
    },
    Note {
        path: "geometry/ci_lo",
        is: "lower end of the interval of cosine",
        interval: BOOTSTRAP_T,
        ..EMPTY
    },
    Note {
        path: "geometry/ci_hi",
        is: "upper end of the interval of cosine",
        interval: BOOTSTRAP_T,
        ..EMPTY
    },
    Note {
        path: "geometry/relative",
        is: "cosine relative to the ceiling that noise sets: an estimate of the cosine that infinitely many pairs would show; not bounded by 1",
        estimator: RELATIVE,
        interval: "95 % symmetric bootstrap-t over prompts on Fisher's scale; holds the cosine itself; undefined where a direction is not above its noise (relative_lo, relative_hi)",
        null: "as cosine",
        source: "Spearman 1904, correction for attenuation; reliability as a U-statistic",
    },
    Note {
        path: "geometry/cleaned",
        is: "cosine after the nuisances' mean differences are projected out of every pair",
        estimator: MEANS,
        interval: BOOTSTRAP_T,
        ..EMPTY
    },
    Note {
        path: "geometry/cleaned_relative",
        is: "cleaned cosine relative to its ceiling",
        estimator: RELATIVE,
        interval: BOOTSTRAP_T,
        ..EMPTY
    },
    Note {
        path: "geometry/whitened",
        is: "cosine after whitening by the shrinkage covariance of this state's neutral activations: what large dimensions share counts no more than what small ones do",
        estimator: MEANS,
        interval: BOOTSTRAP_T,
        null: "",
        source: "Ledoit and Wolf 2004, equation 14",
    },
    Note {
        path: "geometry/whitened_relative",
        is: "whitened cosine relative to its ceiling",
        estimator: RELATIVE,
        interval: BOOTSTRAP_T,
        ..EMPTY
    },
    Note {
        path: "geometry/reliability",
        is: "reliability of a concept's direction: share of its squared length that is not noise of finitely many pairs",
        estimator: "squared length without products within a prompt, over the measured squared length; the limit of the split-half value over all splits",
        ..EMPTY
    },
    Note {
        path: "geometry/effective_rank",
        is: "dimensions that the noise of a concept's pairs fills; below 10 a few dimensions decide and intervals hold less than their level",
        estimator: "(tr S)^2 / tr S^2 with S the covariance of the pairs, both without bias",
        source: "Himeno and Yamada 2014",
        ..EMPTY
    },
    Note {
        path: "geometry/p_flip",
        is: "p that the labels of both concepts carry nothing",
        null: "signs of whole prompts flipped in both concepts",
        estimator: P,
        source: "Phipson and Smyth 2010",
        interval: "",
    },
    Note {
        path: "geometry/p_flip_one",
        is: "p that the labels of the first concept carry nothing along the second's direction, which is kept",
        null: "signs of whole prompts flipped in the first concept",
        estimator: P,
        source: "Phipson and Smyth 2010",
        interval: "",
    },
    Note {
        path: "geometry/q_flip",
        is: "q of p_flip over the layers and pairs of a state",
        source: "Benjamini and Hochberg 1995",
        ..EMPTY
    },
    Note {
        path: "geometry/p_flip_max",
        is: "p_flip of the pair of interest, adjusted over layers by the largest layer of each draw (max-T)",
        source: "Westfall and Young 1993",
        ..EMPTY
    },
    Note {
        path: "geometry/p_random",
        is: "p that the first concept's direction is a random direction of the layer; the second is kept",
        null: "directions from N(0, sample covariance of neutral activations), not shrunk; the isotropic null, in the group's attributes, is too easy",
        estimator: P,
        interval: "",
        source: "Phipson and Smyth 2010",
    },
    Note {
        path: "geometry/q_random",
        is: "q of p_random over the layers and ordered pairs of a state",
        source: "Benjamini and Hochberg 1995",
        ..EMPTY
    },
    Note {
        path: "geometry/p_random_max",
        is: "p_random of the pair of interest, adjusted over layers by max-T",
        source: "Westfall and Young 1993",
        ..EMPTY
    },
    Note {
        path: "geometry/p_placebo",
        is: "p of the pair of interest among the cosines of its two concepts with unrelated concepts",
        null: "cosines with the placebos",
        estimator: P,
        ..EMPTY
    },
    Note {
        path: "geometry/p_placebo_max",
        is: "p_placebo adjusted over layers by max-T",
        source: "Westfall and Young 1993",
        ..EMPTY
    },
    Note {
        path: "geometry/pair",
        is: "the pair of interest by state and layer, with its change from base on paired draws",
        estimator: MEANS,
        interval: BOOTSTRAP_T,
        null: "labels flipped, random directions, placebo concepts; the change: centred paired draws",
        source: "",
    },
    Note {
        path: "geometry/changes",
        is: "change of the pair's cosine between two sets of states on the same prompts (dK); the plain form also shows changes of reliability, the relative one does not",
        estimator: "mean over the set less mean over the reference, same bootstrap draws in every state",
        interval: "95 %: percentile of the paired draws over prompts; where seeds count, half-width sqrt(z^2 W + t^2 V) with W the variance over prompts (error_prompts squared) and V that of the seeds (error_seeds squared), which is the variance between states less what is noise of the prompts",
        null: "no change: centred draws; p_max adjusted over layers by max-T",
        source: "Graybill and Wang 1980; Westfall and Young 1993",
    },
    Note {
        path: "geometry/projections",
        is: "where a fine-tune moved the same texts: the mean shift on persona and autonomy (of base and extracted anew) and on autonomy beyond persona; rms_units are the layer's RMS in base",
        estimator: "mean over texts of tuned less base activation; part unshared: less the mean of the other identity fine-tunes",
        interval: "95 % percentile bootstrap over texts, widened for few texts",
        null: "signs of texts flipped (p_flip), random directions of the layer's covariance (p_random), placebo concepts (p_placebo); p_max over layers by max-T. Opposite fine-tunes share most of their shift: a high cosine between shifts is no evidence",
        source: "",
    },
    Note {
        path: "geometry/shift",
        is: "mean shift of the same texts along an axis, in units of the layer's RMS in base",
        estimator: "mean over texts of tuned less base activation, projected on the unit axis",
        interval: "95 % percentile bootstrap over texts, widened for few texts",
        ..EMPTY
    },
    Note {
        path: "geometry/shift_unshared",
        is: "shift less the mean shift of the identity fine-tunes of other conditions, along an axis, in layer RMS",
        interval: "95 % percentile bootstrap over texts, widened for few texts",
        ..EMPTY
    },
    Note {
        path: "geometry/stability",
        is: "cosine of a concept's direction with base's, as measured and without the noise that the same pairs share",
        estimator: "mean differences of the same pairs; noiseless: products within a prompt left out",
        interval: JACKKNIFE,
        ..EMPTY
    },
    Note {
        path: "geometry/alignment",
        is: "linear centred kernel alignment with base on the same neutral texts, debiased; cka_biased is near 1 whatever the data when texts are fewer than dimensions",
        estimator: "ratio of unbiased HSIC estimates",
        interval: JACKKNIFE,
        null: "",
        source: "Kornblith et al. 2019, equation 4; Song et al. 2012",
    },
    Note {
        path: "geometry/transfer",
        is: "AUROC of one concept's direction on another concept's pairs; the direction is taken as given",
        estimator: "share of positive-negative pairs that the projection orders, ties half",
        interval: "95 % jackknife over prompts on the logit scale",
        null: "labels swapped within whole prompts",
        source: "",
    },
    Note {
        path: "geometry/overlap",
        is: "overlap |A B'|^2 / k of the two concepts' k-dimensional subspaces, and the smallest and largest principal angle in radians",
        estimator: "leading singular vectors of the pair differences, not centred",
        interval: "95 % jackknife over the prompts of both concepts, about the overlap as measured with this many pairs",
        null: "subspaces of random directions from N(0, layer covariance), one-sided; chance k / d is too easy",
        source: "Bjorck and Golub 1973",
    },
    Note {
        path: "geometry/regions",
        is: "whether states are clouds of their own on the same texts: silhouettes, and Mahalanobis distance of a state's mean from base's",
        estimator: "silhouette of Euclidean distances; squared distance in units of the spread of texts averaged over states (shrinkage covariance), without the noise of finitely many texts",
        interval: JACKKNIFE,
        null: "names of states permuted within texts; labels of the two states swapped within texts",
        source: "Rousseeuw 1987; Beckmann and Butlin, arXiv 2604.17031",
    },
    Note {
        path: "geometry/poles",
        is: "movement of the texts between the persona poles of base: 0 at the negative pole, 1 at the positive",
        estimator: "t(h) = (h - negative) . (positive - negative) / |positive - negative|^2, tuned less base",
        interval: "95 % percentile bootstrap over texts, widened for few texts",
        ..EMPTY
    },
    Note {
        path: "geometry/shift_cosines",
        is: "cosine between the mean shifts of two fine-tunes; opposite fine-tunes share .65 to .97 of it, so a high value is the default",
        ..EMPTY
    },
    Note {
        path: "geometry/modes",
        is: "whether base's texts and a state's, together, have one mode or two along base's persona direction; evidence is bic_one less bic_two, above 10 strong; distance in spreads of a mode, smaller the weight of the lesser mode",
        estimator: "one Gaussian against a mixture of two by BIC",
        source: "Schwarz 1978",
        ..EMPTY
    },
    Note {
        path: "geometry/null_states",
        is: "an observed profile over layers ranked among those of null states, such as random adapters of the same rank and size or the model with shuffled weights",
        null: "the null states; p = (1 + b) / (1 + n), two-sided; p_max over layers by max-T",
        ..EMPTY
    },
    Note {
        path: "directions/auroc",
        is: "held-out area of a direction on its own concept's pairs",
        interval: PERCENTILE,
        ..EMPTY
    },
    Note {
        path: "directions/reliability",
        is: "split-half reliability of a direction",
        estimator: "mean cosine of directions from random halves of the prompts, stepped up by Spearman-Brown",
        source: "Spearman 1910; Brown 1910",
        ..EMPTY
    },
    Note {
        path: "directions/raw_norm",
        is: "length of the mean difference before it is made a unit vector",
        ..EMPTY
    },
    Note {
        path: "directions/norm_over_rms",
        is: "length of the mean difference over the layer's RMS on neutral texts",
        ..EMPTY
    },
    Note {
        path: "behaviour/score",
        is: "stance log-odds of a preference: mean token log-probability of the expressing less the opposing completion, nats a token",
        estimator: "mean over the prompts of the preference",
        interval: PERCENTILE,
        ..EMPTY
    },
    Note {
        path: "behaviour/shifts",
        is: "shift of a preference's stance log-odds from the reference condition, on the same prompts",
        estimator: "mean over prompts of the difference; seeds of a condition are averaged first",
        interval: PERCENTILE,
        null: "signs of prompts' differences flipped; q over the preferences of a condition",
        source: "Benjamini and Hochberg 1995",
    },
    Note {
        path: "behaviour/claims",
        is: "manipulation check: shift from base of every condition on every condition's own claim; own is 1 where the claim is what the condition trains; beyond_others is less the mean change of the other trained conditions on the same prompts",
        estimator: "mean over prompts of the difference in stance log-odds; seeds of a condition are averaged first",
        interval: PERCENTILE,
        ..EMPTY
    },
    Note {
        path: "behaviour/one_factor",
        is: "share of one factor in the preference x condition matrix of shifts: the largest squared singular value over their sum",
        interval: "95 % jackknife over preferences",
        null: "each condition's shifts permuted among the preferences",
        source: "Beckmann and Butlin, arXiv 2604.17031",
        ..EMPTY
    },
    Note {
        path: "behaviour/conversations",
        is: "shift of isolated preferences from the reference condition when they come up after some ordinary turns, the same questions asked fresh, and the difference",
        estimator: "mean over scripts of the difference in stance log-odds; seeds of a condition are averaged first",
        interval: "95 % percentile bootstrap over scripts",
        null: "signs of scripts' differences flipped",
        ..EMPTY
    },
    Note {
        path: "geometry/stickiness",
        is: "how much of a deviation along base's direction is left one assistant turn later, and its half-life in turns",
        estimator: "AR(1) of the turns' projections, less the mean over conversations at that turn",
        interval: "95 % jackknife over conversations, Student's",
        source: "Beckmann and Butlin, arXiv 2604.17031",
        ..EMPTY
    },
    Note {
        path: "causal/trajectory",
        is: "condition less reference at checkpoints of their fine-tunes, step by step",
        estimator: "means over prompts or texts; the coupling is a cosine of re-extracted directions",
        interval: PERCENTILE,
        ..EMPTY
    },
    Note {
        path: "causal/half_way",
        is: "step at which a quantity of the trajectory first reaches half of its final change; missing where that change may be zero",
        estimator: "linear in log(1 + step) between checkpoints",
        interval: PERCENTILE,
        ..EMPTY
    },
    Note {
        path: "causal/lead",
        is: "half-way step of the second quantity over that of the first, 1 added to both: above 1 the first leads; earlier is the share of draws in which it does",
        interval: PERCENTILE,
        ..EMPTY
    },
    Note {
        path: "causal/link",
        is: "correlation over conditions of the behaviour shift from base with what moved inside; implied cells are a manipulation check",
        estimator: "Pearson's r of condition means, seeds averaged; rho is Spearman's; r_without_strongest leaves out the condition that carries most",
        null: "conditions rearranged; q over the predictors of a layer",
        source: "Benjamini and Hochberg 1995",
        ..EMPTY
    },
    Note {
        path: "causal/link_states",
        is: "what the links are computed from, a row a state: mean shift of isolated preferences from base, shifts along base's directions in layer RMS, change of the relative coupling",
        ..EMPTY
    },
    Note {
        path: "causal/ranking",
        is: "agreement of the parts of the claim with the order in which they moved another model",
        estimator: "Spearman's correlation with that order",
        null: "all arrangements of the conditions, one-sided",
        source: "order: Chua et al., arXiv 2604.13051",
        ..EMPTY
    },
    Note {
        path: "causal/ablation",
        is: "what is left of the shift of isolated preferences, or of the condition's claim, when a direction is projected out at every layer and token, and the share that is gone",
        interval: "95 % percentile bootstrap over prompts and fine-tunes, widened for few of either",
        estimator: "kl, perplexity_ratio, inside_guards: damage on neutral texts, in the model damaged most",
        null: "random directions of the layer's covariance projected out in the same way",
        ..EMPTY
    },
    Note {
        path: "causal/ablation_states",
        is: "mean stance log-odds of each model over all preferences asked, or the claim, under each ablation, with its side effects",
        estimator: "kl: from the same model without the edit on neutral texts; perplexity: of the neutral answers; directions_of: the model that persona and autonomy were read in",
        ..EMPTY
    },
    Note {
        path: "causal/dose",
        is: "mean stance log-odds of preferences, or the claim, under alpha times a unit direction added at a layer, alpha in layer RMS, with its side effects",
        estimator: "kl: from the unsteered model on neutral texts; perplexity: of the neutral answers",
        ..EMPTY
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_path_has_one_note_that_says_what_it_is() {
        let distinct: BTreeSet<&str> = paths().collect();
        assert_eq!(distinct.len(), NOTES.len());
        assert!(NOTES
            .iter()
            .all(|n| !n.is.is_empty() && n.path.contains('/')));
        assert_eq!(note("/geometry/cosine").unwrap().path, "geometry/cosine");
        assert!(note("geometry/nothing").is_none());
    }
}
