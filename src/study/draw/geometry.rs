//! Coupling, concepts, shifts and directions as figure data.

use super::{counts, focus};
use crate::figures::shift::{DirectionSource, ShiftForm};
use crate::figures::{concept_heatmap, coupling, directions, shift, Estimate};
use crate::geometry::Part;
use crate::study::measure::{states_of, Measured};
use crate::study::run::Run;

pub fn coupling_data(run: &Run, m: &Measured) -> coupling::CouplingData {
    let c = &m.geometry.coupling;
    let layers: Vec<usize> = (0..run.model.decoder.layers()).collect();
    let value = |state: usize, l: usize| c.raw.value[[state, 0, 1, l]];
    let conditions = run
        .study
        .conditions
        .iter()
        .enumerate()
        .map(|(i, condition)| {
            let set = states_of(run, i);
            let mean = layers
                .iter()
                .map(|&l| {
                    let (v, iv) = m.geometry.cosine(run, i, l);
                    Estimate::new(v, iv.lo.min(v), iv.hi.max(v))
                })
                .collect();
            coupling::CouplingLine {
                condition: condition.name.clone(),
                mean,
                seeds: match set.len() {
                    1 => Vec::new(),
                    _ => set
                        .iter()
                        .map(|&s| layers.iter().map(|&l| value(s, l)).collect())
                        .collect(),
                },
                difference: match m.geometry.change(i, 0, "plain") {
                    None => Vec::new(),
                    Some(d) => (0..layers.len())
                        .map(|l| {
                            let d = &d.contrast;
                            Estimate::new(d.value[l], d.lo[l], d.hi[l])
                        })
                        .collect(),
                },
            }
        })
        .collect();
    let band = |f: &dyn Fn(usize) -> f64| layers.iter().map(|&l| f(l)).collect::<Vec<f64>>();
    coupling::CouplingData {
        name: "coupling".into(),
        title: "Persona-autonomy coupling by layer and condition".into(),
        caption: format!(
            "Cosine of mean-difference directions re-extracted in each model; {}; bands: 95 % bootstrap-t over prompts (for differences of repeated conditions also over their fine-tunes). Grey: 95 % bands in base of label flips, of random directions of the layer's covariance and of placebo concepts. n = {} fine-tunes or prompted models beside base. Dashed: layers fixed beforehand.",
            counts(run),
            run.states().len() - 1
        ),
        y_label: "cos(persona, autonomy)".into(),
        difference_label: "difference to base".into(),
        chosen: m.layers.clone(),
        conditions,
        nulls: vec![
            coupling::NullBand {
                label: "placebo concepts".into(),
                lo: band(&|l| c.placebo_lo[[0, l]]),
                hi: band(&|l| c.placebo_hi[[0, l]]),
            },
            coupling::NullBand {
                label: "label flips".into(),
                lo: band(&|l| c.flip_lo[[0, 0, 1, l]]),
                hi: band(&|l| c.flip_hi[[0, 0, 1, l]]),
            },
            coupling::NullBand {
                label: "random directions".into(),
                lo: band(&|l| c.random_lo[[0, 1, l]]),
                hi: band(&|l| c.random_hi[[0, 1, l]]),
            },
        ],
        layers,
    }
}

pub fn heatmap_data(run: &Run, m: &Measured) -> concept_heatmap::HeatmapData {
    let n = run.study.concepts.len();
    let mut states = vec![0];
    let tuned = states_of(run, focus(run))[0];
    if tuned != 0 {
        states.push(tuned);
    }
    let panels = m
        .layers
        .iter()
        .flat_map(|&l| states.iter().map(move |&s| (l, s)))
        .map(|(l, s)| concept_heatmap::HeatmapPanel {
            layer: l,
            state: run.states()[s].id.clone(),
            cosine: (0..n)
                .map(|a| {
                    (0..n)
                        .map(|b| m.geometry.coupling.raw.value[[s, a, b, l]])
                        .collect()
                })
                .collect(),
        })
        .collect();
    concept_heatmap::HeatmapData {
        name: "concepts".into(),
        title: "Cosines between concept directions".into(),
        caption: format!(
            "Mean-difference directions at the layers fixed beforehand; {}, {} pairs of each placebo. Raw cosines, not corrected for reliability; intervals are in results.h5.",
            counts(run),
            run.study.written.sizes.placebo_pairs
        ),
        concepts: run.study.concepts.iter().map(|c| c.name.clone()).collect(),
        panels,
    }
}

pub fn shift_data(run: &Run, m: &Measured) -> shift::ShiftData {
    let mut points = Vec::new();
    // In the order of the axes; what lies beyond persona is in results.h5.
    let axes = [
        ("persona", DirectionSource::Base),
        ("autonomy", DirectionSource::Base),
        ("persona", DirectionSource::ReExtracted),
        ("autonomy", DirectionSource::ReExtracted),
    ];
    for &l in &m.layers {
        for moved in &m.geometry.beside.shifts {
            for (k, (direction, source)) in axes.into_iter().enumerate() {
                let e = &moved.on.on[l][k].rms_units;
                points.push(shift::ShiftPoint {
                    layer: l,
                    condition: run.states()[moved.state].id.clone(),
                    direction: direction.into(),
                    source,
                    form: match moved.part {
                        Part::Whole => ShiftForm::Raw,
                        Part::Unshared => ShiftForm::SharedRemoved,
                    },
                    projection: Estimate::new(e.value, e.interval.lo, e.interval.hi),
                });
            }
        }
    }
    shift::ShiftData {
        name: "shift".into(),
        title: "Shift of neutral responses along persona and autonomy".into(),
        caption: format!(
            "Mean change against base on {} identical neutral texts (response tokens), projected on unit directions, in units of the layer's RMS; bars: 95 % bootstrap over texts. Right: less the mean shift of the identity fine-tunes of other conditions.",
            run.study.neutral_texts.len()
        ),
        x_label: "projection (layer RMS)".into(),
        points,
    }
}

pub fn directions_data(run: &Run, m: &Measured) -> directions::DirectionsData {
    let layers: Vec<usize> = (0..run.model.decoder.layers()).collect();
    let concepts = run
        .study
        .concepts
        .iter()
        .enumerate()
        .map(|(k, c)| directions::ConceptQuality {
            concept: c.name.clone(),
            auroc: layers
                .iter()
                .map(|&l| {
                    let q = &m.quality[0][k][l];
                    let (lo, hi) = (q.auroc_interval.lo, q.auroc_interval.hi);
                    Estimate::new(q.auroc, lo.min(q.auroc), hi.max(q.auroc))
                })
                .collect(),
            reliability: layers
                .iter()
                .map(|&l| Estimate::point(m.quality[0][k][l].reliability))
                .collect(),
        })
        .collect();
    directions::DirectionsData {
        name: "directions".into(),
        title: "Quality of the directions in base".into(),
        caption: format!(
            "Held-out AUROC (template and prompt held out), bands: 95 % bootstrap over prompts; split-half reliability, Spearman-Brown, 100 splits. {}, {} pairs of each placebo.",
            counts(run),
            run.study.written.sizes.placebo_pairs
        ),
        layers,
        chosen: m.layers.clone(),
        concepts,
    }
}
