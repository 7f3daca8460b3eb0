//! Trajectories and links over conditions as figure data.

use super::counts;
use crate::figures::{link, trajectory, Estimate};
use crate::stats::interval::percentile;
use crate::study::link::{Linked, PREDICTORS};
use crate::study::manifest::Trajectory;
use crate::study::run::Run;
use crate::study::trajectory::Followed;

pub fn trajectory_data(
    run: &Run,
    spec: &Trajectory,
    followed: &Followed,
) -> trajectory::TrajectoryData {
    let label = format!("{} less {}", spec.condition, spec.reference);
    let panels = followed
        .series
        .iter()
        .zip(&followed.half_ways)
        .map(|(s, way)| {
            let estimate = |t: usize| {
                let ends = percentile(&mut s.draws.column(t).to_vec(), 0.95);
                let v = s.value[t];
                Estimate::new(v, ends.lo.min(v), ends.hi.max(v))
            };
            let half_way = way.step.is_finite().then(|| {
                let (lo, hi) = (way.step_interval.lo, way.step_interval.hi);
                Estimate::new(way.step, lo.min(way.step), hi.max(way.step))
            });
            trajectory::TrajectoryPanel {
                title: s.name.clone(),
                y_label: match s.name.as_str() {
                    n if n.starts_with("shift") => "layer RMS",
                    n if n.starts_with("coupling") => "cosine",
                    _ => "nats a token",
                }
                .into(),
                lines: vec![trajectory::TrajectoryLine {
                    label: label.clone(),
                    steps: s.steps.clone(),
                    value: (0..s.steps.len()).map(estimate).collect(),
                    half_way,
                }],
            }
        })
        .collect();
    trajectory::TrajectoryData {
        name: "trajectory".into(),
        title: format!("{label} over the steps of their fine-tunes"),
        caption: format!(
            "Difference at checkpoints; step 0 is base. Bands: 95 % bootstrap over prompts or texts; ticks: the step at which half of the final change is reached, with its interval, where that change is not zero. {} pairs a concept, {} prompts a preference, {} neutral texts, one fine-tune a side.",
            spec.pairs,
            spec.prompts,
            run.study.neutral_texts.len()
        ),
        panels,
    }
}

pub fn link_data(run: &Run, linked: &[Linked]) -> link::LinkData {
    let units = ["layer RMS", "layer RMS", "relative"];
    let mut panels = Vec::new();
    for l in linked {
        for (k, found) in l.isolated.iter().enumerate().take(PREDICTORS.len()) {
            panels.push(link::LinkPanel {
                x_label: format!("{}, layer {} ({})", found.predictor, l.layer, units[k]),
                y_label: "isolated preferences less base (nats a token)".into(),
                points: (l.rows.iter())
                    .map(|r| link::LinkPoint {
                        state: r.state.clone(),
                        condition: r.condition.clone(),
                        x: r.predictors[k],
                        y: r.behaviour,
                    })
                    .collect(),
                text: format!(
                    "r = {:+.2}, p = {:.3}, n = {} conditions",
                    found.r, found.p, found.n_conditions
                ),
            });
        }
    }
    link::LinkData {
        name: "link".into(),
        title: "What moved inside against what moved in behaviour".into(),
        caption: format!(
            "Each model less base; large: mean of a condition. Shifts along base's directions on {} neutral texts; {}. p: conditions rearranged. With so few conditions only a very strong link can be seen.",
            run.study.neutral_texts.len(),
            counts(run)
        ),
        panels,
    }
}
