//! Trajectories, training losses, and links over conditions, as figure data.

use super::{counts, estimate, Drawing};
use crate::analysis::records::{distinct, Results};
use crate::figures::link::{LinkData, LinkPanel, LinkPoint};
use crate::figures::training::{TrainingData, TrainingRun};
use crate::figures::trajectory::{TrajectoryData, TrajectoryLine, TrajectoryPanel};
use crate::figures::{link, training, trajectory, FigureError};

/// Draws what this file holds.
pub fn draw(d: &mut Drawing) -> Result<(), FigureError> {
    let r = d.r;
    d.keep(link::draw(&link(r), &d.conditions, d.out))?;
    d.keep(trajectory::draw(&trajectory(r), &d.conditions, d.out))?;
    d.keep(training::draw(&training(r), &d.conditions, d.out))
}

/// The quantities of the trajectory, one panel each.
fn trajectory(r: &Results) -> TrajectoryData {
    let first = r.trajectory.first();
    let label = first.map_or(String::new(), |t| format!("{} less {}", t.set, t.reference));
    // Layers that are no number compare by their bits.
    let keys =
        distinct((r.trajectory.iter()).map(|t| (&*t.quantity, &*t.subject, t.layer.to_bits())));
    let panel = |(quantity, subject, layer): (&str, &str, u64)| {
        let is = |q: &str, s: &str, l: f64| q == quantity && s == subject && l.to_bits() == layer;
        let own: Vec<_> =
            (r.trajectory.iter()).filter(|t| is(&t.quantity, &t.subject, t.layer)).collect();
        let last = own.last().map_or(0.0, |t| t.step as f64);
        let half = r.half_way.iter().find(|h| is(&h.quantity, &h.subject, h.layer));
        let half = half.filter(|h| (0.0..=last).contains(&h.estimate));
        let at = f64::from_bits(layer);
        TrajectoryPanel {
            title: match (subject.is_empty(), at.is_nan()) {
                (true, true) => quantity.into(),
                (false, true) => format!("{quantity}: {subject}"),
                (_, false) => format!("{quantity}: {subject}, layer {at:.0}"),
            },
            y_label: own.first().map_or(String::new(), |t| t.unit.clone()),
            lines: vec![TrajectoryLine {
                label: label.clone(),
                steps: own.iter().map(|t| t.step).collect(),
                value: own.iter().map(|t| estimate(t.estimate, t.lo, t.hi)).collect(),
                half_way: half
                    .map(|h| estimate(h.estimate, h.lo.clamp(0.0, last), h.hi.clamp(0.0, last))),
            }],
        }
    };
    TrajectoryData {
        name: "trajectory".into(),
        title: format!("{label} over the steps of their fine-tunes"),
        caption: format!(
            "Difference at checkpoints; step 0 is base. Bands: 95 % bootstrap over items or texts, n = {}; ticks: the step at which half of the final change is reached, with its interval, where that change is not zero. One fine-tune a side.",
            counts(r.trajectory.iter().map(|t| t.n)),
        ),
        panels: keys.into_iter().map(panel).collect(),
    }
}

/// What moved inside against isolated preferences, one panel a predictor and layer.
fn link(r: &Results) -> LinkData {
    let reported = r.reported();
    let is_reported = |l: f64| reported.iter().any(|&layer| layer as f64 == l);
    let own: Vec<_> =
        (r.links.iter()).filter(|l| l.cells == "isolated" && is_reported(l.layer)).collect();
    let panels = own.iter().map(|l| {
        let points = r.link_points.iter().filter(|p| {
            p.cells == l.cells
                && p.predictor == l.predictor
                && p.subject == l.subject
                && p.layer == l.layer
        });
        let (what, unit) = match l.predictor.as_str() {
            "coupling" => ("change of the coupling of", "relative cosine"),
            "shift" => ("shift along", "layer RMS"),
            other => (other, ""),
        };
        LinkPanel {
            x_label: format!("{what} {}, layer {} ({unit})", l.subject, l.layer),
            points: points
                .map(|p| LinkPoint {
                    state: p.state.clone(),
                    condition: p.condition.clone(),
                    x: p.x,
                    y: p.y,
                })
                .collect(),
            text: format!("r = {:+.2}, p = {:.3}, n = {} conditions", l.estimate, l.p, l.n),
        }
    });
    LinkData {
        name: "link".into(),
        title: "What moved inside against what moved in behaviour".into(),
        caption: "Each model less base; large: mean of a condition. Shifts along base's directions on neutral texts. p: conditions rearranged. With so few conditions only a very strong link can be seen.".into(),
        y_label: "isolated preferences less base (nats a token)".into(),
        panels: panels.collect(),
    }
}

/// Losses of every fine-tune.
fn training(r: &Results) -> TrainingData {
    let states = distinct(r.training.iter().map(|t| t.state.as_str()));
    let runs = states.into_iter().filter_map(|state| {
        let own = r.training.iter().filter(|t| t.state == state);
        let first = own.clone().next()?;
        Some(TrainingRun {
            condition: first.condition.clone(),
            seed: first.seed as u64,
            step: own.clone().map(|t| t.step as u64).collect(),
            loss: own.map(|t| t.loss).collect(),
        })
    });
    let runs: Vec<TrainingRun> = runs.collect();
    TrainingData {
        name: "training".into(),
        title: "Fine-tuning loss".into(),
        caption: format!(
            "Mean cross-entropy over assistant tokens of each step's rows; thin: as logged, thick: smoothed. {} fine-tunes.",
            runs.len()
        ),
        y_label: "loss (nats a token)".into(),
        runs,
    }
}
