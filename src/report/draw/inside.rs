//! Coupling, concepts, shifts and quality of directions as figure data.

use super::{counts, estimate, listed, numbered, pairs_of, Drawing};
use crate::analysis::records::{distinct, same_pair, CouplingRow, QualityRow, Results};
use crate::analysis::BASE;
use crate::figures::concept_heatmap::{HeatmapData, HeatmapPanel};
use crate::figures::coupling::{CouplingData, CouplingLine, NullBand};
use crate::figures::directions::{ConceptQuality, DirectionsData};
use crate::figures::shift::{DirectionSource, ShiftData, ShiftForm, ShiftPoint};
use crate::figures::words::{WordsData, WordsRow};
use crate::figures::{concept_heatmap, coupling, directions, shift, words, Estimate, FigureError};

/// Draws what this file holds.
pub fn draw(d: &mut Drawing) -> Result<(), FigureError> {
    let r = d.r;
    for (i, pair) in r.pairs().into_iter().enumerate() {
        d.keep(coupling::draw(&coupling(r, pair, i), &d.conditions, d.out))?;
    }
    d.keep(concept_heatmap::draw(&concepts(r), d.out))?;
    d.keep(shift::draw(&shift(r), &d.conditions, d.out))?;
    d.keep(directions::draw(&directions(r), d.out))?;
    d.keep(words::draw(&words(r), &d.concepts, d.out))
}

/// The cosine of one pair by layer and condition.
pub fn coupling(r: &Results, (a, b): (&str, &str), nth: usize) -> CouplingData {
    let own: Vec<_> = (r.condition_coupling.iter())
        .filter(|c| c.concept_a == a && c.concept_b == b && c.form == "raw")
        .collect();
    let mut layers = distinct(own.iter().map(|c| c.layer));
    layers.sort_unstable();
    let by_state: Vec<&CouplingRow> = (r.coupling.iter())
        .filter(|c| same_pair((&c.concept_a, &c.concept_b), (a, b)) && c.form == "raw")
        .collect();
    let seed = |state: &str| -> Vec<f64> {
        let at = |l: &usize| by_state.iter().find(|c| c.state == state && c.layer == *l);
        layers.iter().map(|l| at(l).map_or(f64::NAN, |c| c.estimate)).collect()
    };
    let changes: Vec<_> = (r.changes.iter())
        .filter(|c| c.concept_a == a && c.concept_b == b)
        .filter(|c| c.form == "raw" && c.reference == BASE)
        .collect();
    let conditions = distinct(own.iter().map(|c| c.condition.as_str())).into_iter().map(|name| {
        let mean = layers.iter().map(|l| {
            let row = own.iter().find(|c| c.condition == name && c.layer == *l);
            row.map_or(Estimate::MISSING, |c| estimate(c.estimate, c.lo, c.hi))
        });
        let difference = layers.iter().map(|l| {
            let row = changes.iter().find(|c| c.set == name && c.layer == *l);
            row.map_or(Estimate::MISSING, |c| estimate(c.estimate, c.lo, c.hi))
        });
        let states = r.states_of(name);
        CouplingLine {
            condition: name.into(),
            mean: mean.collect(),
            seeds: match states.len() {
                0 | 1 => Vec::new(),
                _ => states.into_iter().map(seed).collect(),
            },
            difference: match changes.iter().any(|c| c.set == name) {
                true => difference.collect(),
                false => Vec::new(),
            },
        }
    });
    let states = r.states.iter().filter(|s| s.state != BASE).count();
    CouplingData {
        name: numbered("coupling", nth),
        title: format!("Coupling of {a} and {b} by layer and condition"),
        caption: format!(
            "Cosine of mean-difference directions re-extracted in each model; {}; bands: 95 % intervals over prompts (for differences of repeated conditions also over their fine-tunes). Grey: 95 % bands in base of the nulls. n = {states} fine-tunes or prompted models besides base. Dashed: layers fixed beforehand.",
            pairs_of(r, &[a, b]),
        ),
        y_label: format!("cos({a}, {b})"),
        difference_label: "difference to base".into(),
        chosen: r.reported().into_iter().filter(|l| layers.contains(l)).collect(),
        conditions: conditions.collect(),
        nulls: nulls(r, (a, b), &layers),
        layers,
    }
}

/// Bands of base's nulls by layer.
fn nulls(r: &Results, (a, b): (&str, &str), layers: &[usize]) -> Vec<NullBand> {
    let called =
        [("placebo", "placebo concepts"), ("flip", "label flips"), ("random", "random directions")];
    let band = |(null, label): (&str, &str)| {
        let own: Vec<_> = (r.pair_nulls.iter())
            .filter(|n| n.state == BASE && n.concept_a == a && n.concept_b == b && n.null == null)
            .collect();
        let ends = |l: &usize| {
            let at = own.iter().find(|n| n.layer == *l);
            at.map_or((f64::NAN, f64::NAN), |n| (n.null_lo, n.null_hi))
        };
        let (lo, hi) = layers.iter().map(ends).unzip();
        (!own.is_empty()).then(|| NullBand { label: label.into(), lo, hi })
    };
    called.into_iter().filter_map(band).collect()
}

/// Cosines of every pair of concepts in base and in the focus, or in the first tuned condition.
fn concepts(r: &Results) -> HeatmapData {
    let concepts = super::concepts(r);
    let raw: Vec<&CouplingRow> = r.coupling.iter().filter(|c| c.form == "raw").collect();
    let focus = r.about().first().and_then(|c| r.states_of(c).first().copied());
    let known = distinct(raw.iter().map(|c| c.state.as_str()));
    let mut states = distinct([BASE].into_iter().chain(focus));
    states.retain(|s| known.contains(s));
    if states.len() < 2 {
        states = distinct(states.into_iter().chain(known)).into_iter().take(2).collect();
    }
    let mut panels = Vec::new();
    for layer in r.reported() {
        for state in &states {
            let own: Vec<_> =
                raw.iter().filter(|c| c.layer == layer && c.state == *state).collect();
            let cell = |a: &str, b: &str| {
                let pair = |c: &CouplingRow| same_pair((&c.concept_a, &c.concept_b), (a, b));
                match a == b {
                    true => 1.0,
                    false => own.iter().find(|c| pair(c)).map_or(f64::NAN, |c| c.estimate),
                }
            };
            if own.is_empty() {
                continue;
            }
            let row = |a: &&str| concepts.iter().map(|b| cell(a, b)).collect();
            panels.push(HeatmapPanel {
                layer,
                state: (*state).into(),
                cosine: concepts.iter().map(row).collect(),
            });
        }
    }
    let pairs = counts(r.concepts.iter().map(|c| c.pairs));
    HeatmapData {
        name: "concepts".into(),
        title: "Cosines between concept directions".into(),
        caption: format!("Mean-difference directions at the layers fixed beforehand; {pairs} pairs a concept. Raw cosines, not corrected for reliability; right: their difference to the first model. Intervals are in results.h5."),
        concepts: concepts.into_iter().map(str::to_owned).collect(),
        panels,
    }
}

/// Shifts of the neutral texts along the coupled concepts, whole and unshared.
fn shift(r: &Results) -> ShiftData {
    let (coupled, position) = (r.coupled(), r.shift_position());
    let reported = r.reported();
    let own = r.shifts.iter().filter(|s| {
        s.position == position && s.beyond.is_empty() && coupled.contains(&&*s.concept)
    });
    let drawn: Vec<_> = own.filter(|s| reported.contains(&s.layer)).collect();
    let points = drawn.iter().filter_map(|s| {
        Some(ShiftPoint {
            layer: s.layer,
            condition: s.state.clone(),
            direction: s.concept.clone(),
            source: match s.source.as_str() {
                "base" => DirectionSource::Base,
                "own" => DirectionSource::ReExtracted,
                _ => return None,
            },
            form: match s.less.as_str() {
                BASE => ShiftForm::Raw,
                "others" => ShiftForm::SharedRemoved,
                _ => return None,
            },
            projection: estimate(s.estimate, s.lo, s.hi),
        })
    });
    ShiftData {
        name: "shift".into(),
        title: format!("Shift of neutral texts along {}", listed(&coupled)),
        caption: format!(
            "Mean change against base on {} identical neutral texts ({position}), along the population direction, in units of the layer's RMS; bars: 95 % over texts and pairs. Right: less the mean shift of the identity fine-tunes of other conditions.",
            counts(drawn.iter().map(|s| s.n)),
        ),
        x_label: "shift along the direction (layer RMS)".into(),
        points: points.collect(),
    }
}

/// Quality of every concept's direction in base by layer.
fn directions(r: &Results) -> DirectionsData {
    let estimator = r.estimator();
    let rows: Vec<&QualityRow> = (r.quality.iter())
        .filter(|q| q.state == BASE && q.form == "raw" && q.estimator == estimator)
        .collect();
    let mut layers = distinct(rows.iter().map(|q| q.layer));
    layers.sort_unstable();
    let concepts = distinct(rows.iter().map(|q| q.concept.as_str())).into_iter().map(|concept| {
        let at = |l: &usize| rows.iter().find(|q| q.concept == concept && q.layer == *l);
        let auroc =
            |l: &usize| at(l).map_or(Estimate::MISSING, |q| estimate(q.estimate, q.lo, q.hi));
        let reliability = |l: &usize| Estimate::point(at(l).map_or(f64::NAN, |q| q.reliability));
        ConceptQuality {
            concept: concept.into(),
            auroc: layers.iter().map(auroc).collect(),
            reliability: layers.iter().map(reliability).collect(),
        }
    });
    DirectionsData {
        name: "directions".into(),
        title: "Quality of the directions in base".into(),
        caption: format!(
            "{estimator}: held-out AUROC (template and prompt held out), bands: 95 % bootstrap over prompts; split-half reliability, Spearman-Brown. {} pairs a concept.",
            counts(rows.iter().map(|q| q.pairs)),
        ),
        chosen: r.reported().into_iter().filter(|l| layers.contains(l)).collect(),
        concepts: concepts.collect(),
        layers,
    }
}

/// Quality in base at the reported layers beside what the higher of two bags of words reaches.
fn words(r: &Results) -> WordsData {
    let (estimator, layers) = (r.estimator(), r.reported());
    let rows = (r.quality.iter())
        .filter(|q| q.state == BASE && q.form == "raw" && q.estimator == estimator)
        .filter(|q| layers.contains(&q.layer) && q.baseline().area.is_finite());
    let mut kept: Vec<&QualityRow> = rows.collect();
    let concepts = distinct(kept.iter().map(|q| q.concept.as_str()));
    kept.sort_by_key(|q| (concepts.iter().position(|c| *c == q.concept), q.layer));
    let row = |q: &&QualityRow| WordsRow {
        concept: q.concept.clone(),
        layer: format!("layer {}", q.layer),
        area: estimate(q.estimate, q.lo, q.hi),
        words: q.baseline().area,
    };
    WordsData {
        name: "words".into(),
        title: "Directions in base against a bag of words".into(),
        caption: format!(
            "{estimator}: held-out AUROC (template and prompt held out), bars: 95 % bootstrap over prompts; bag of words: the higher of unigrams of the responses and of unigrams and bigrams, L2 logistic regression, same folds. {} pairs a concept.",
            counts(kept.iter().map(|q| q.pairs)),
        ),
        rows: kept.iter().map(row).collect(),
    }
}
