//! Trajectory: the first fine-tunes of two conditions, read at their checkpoints on a light set of
//! probes. Nothing is trained here: the fine-tunes kept the checkpoints. Step 0 is base.

use super::about::isolated_in;
use super::{behave, finetune};
use crate::analysis::records::Results;
use crate::analysis::trajectory::{trajectory, Followed, TrajectoryInput};
use crate::analysis::{ConceptInfo, State, StateActivations, StateTexts, BASE};
use crate::behavior::{by_item, ItemScore, PairScore};
use crate::materials::{subset, Concept, NeutralText, Preference};
use crate::model::Tokenizer;
use crate::study::layout::{self, Layout};
use crate::study::manifest::{fewer, Study};
use crate::study::models::Weights;
use crate::study::planner::{asked_value, before, concepts_value, Before, Planner, POSITIONS};
use crate::study::stage::{Inputs, Stage, Work};
use crate::study::{acts, files, Result};

const REVISION: u32 = 1;

/// Name of the stage.
pub const NAME: &str = "trajectory";

/// One reading: a fine-tune after some steps, or base.
struct Point<'a> {
    state: &'a State,
    step: usize,
    weights: Weights,
}

/// What is read and asked at every step.
struct Light {
    concepts: Vec<Concept>,
    battery: Vec<Preference>,
    /// Claim of what the condition was trained on, or none.
    claims: Vec<Preference>,
}

impl Light {
    fn of(study: &Study) -> Option<Self> {
        let (spec, [set, _]) = study.followed()?;
        let seed = study.written.seed;
        let coupled = study.roles.coupled();
        let is_coupled = |c: &&Concept| coupled.contains(&c.name.as_str());
        let cut = |p: &Preference| fewer(p, spec.prompts, seed);
        let some = |c: &Concept| subset::pairs(c, spec.pairs, seed).unwrap_or_else(|| c.clone());
        let text = &study.states[set].text;
        Some(Light {
            concepts: (study.concepts.iter().filter(is_coupled)).map(some).collect(),
            battery: study.battery.iter().map(cut).collect(),
            claims: (study.claims.iter().filter(|c| c.name == *text)).map(cut).collect(),
        })
    }

    /// Reads and asks one point.
    fn read(
        &self,
        point: &Point,
        neutral: &[NeutralText],
        layers: &[usize],
        work: &mut Work,
    ) -> Result<()> {
        let decoder = work.models.decoder(&point.weights)?;
        let tok = &work.models.base.tokenizer;
        let [activations, lines] = layout::at_step(&point.state.id, point.step);
        let texts = StateTexts::new(tok, &self.concepts, neutral, None, false)?;
        let at = &POSITIONS[..1];
        let read = StateActivations::capture(&decoder, &texts, layers, at, &mut || ())?;
        let path = work.layout.at(&activations);
        let of = (point.state.condition.as_str(), point.state.seed, Some(point.step as u64));
        acts::write(&path, &work.attrs(None), of, layers, (&texts, neutral), &read)?;
        let all = behave::scores(&decoder, tok, (&self.battery, [&self.claims, &[]]), None)?;
        files::write_lines(work.layout, &lines, &all)
    }
}

/// Plans it; none where the study follows nothing.
///
/// # Errors
/// A stage that was not planned.
pub fn stage<'a>(p: &Planner<'a>, stages: &Before) -> Result<Option<Stage<'a>>> {
    let study = p.study;
    let (Some((spec, both)), Some(light)) = (study.followed(), Light::of(study)) else {
        return Ok(None);
    };
    let mut points = vec![Point { state: &study.states[0], step: 0, weights: Weights::Base }];
    let mut inputs = Inputs::revision(REVISION)
        .value("model", &p.base)
        .value("concepts", &concepts_value(&light.concepts))
        .value("battery", &asked_value(&light.battery))
        .value("claims", &asked_value(&light.claims))
        .value("neutral texts", &study.shift_texts);
    for state in both {
        let s = &study.states[state];
        inputs = inputs.stage(before(stages, &finetune::name(&s.id))?);
        points.extend(study.checkpoints(state).into_iter().map(|step| Point {
            state: s,
            step,
            weights: Weights::Adapter(p.layout.at(&layout::checkpoint(&s.id, step))),
        }));
    }
    let layers = study.reported(p.model.decoder.layers());
    let read = points.iter().map(|x| (&x.state.id, &x.state.condition, x.state.seed, x.step));
    let inputs = inputs.value("layers", &layers).value("steps", &read.collect::<Vec<_>>());
    let outputs = points.iter().flat_map(|x| layout::at_step(&x.state.id, x.step)).collect();
    let cost = p.costs.trajectory(spec.checkpoints);
    Ok(Some(Stage::new(NAME, inputs, outputs, cost, move |work: &mut Work| {
        for point in &points {
            (work.watch)(&format!("{}, step {}", point.state.id, point.step));
            light.read(point, &study.shift_texts, &layers, work)?;
        }
        Ok(())
    })))
}

/// One fine-tune at every step, base first.
fn path(
    layout: &Layout,
    state: &str,
    steps: &[usize],
    concepts: &[&str],
) -> Result<(Vec<StateActivations>, Vec<Vec<ItemScore>>)> {
    let (mut read, mut scores) = (Vec::new(), Vec::new());
    for &step in steps {
        let state = if step == 0 { BASE } else { state };
        let [activations, lines] = layout::at_step(state, step);
        read.push(acts::read(&layout.at(&activations), concepts, &[], &POSITIONS[..1])?);
        scores.push(by_item(&files::lines::<PairScore>(layout, &lines)?));
    }
    Ok((read, scores))
}

/// What the finished stage shows; `rms` is base's at every layer of the model.
///
/// # Errors
/// A file that is not there or holds something else; the analysis'.
pub fn measured(layout: &Layout, study: &Study, tok: &Tokenizer, rms: &[f64]) -> Result<Results> {
    let (Some((_, both)), Some(light)) = (study.followed(), Light::of(study)) else {
        return Ok(Results::default());
    };
    let names: Vec<&str> = light.concepts.iter().map(|c| c.name.as_str()).collect();
    let mut steps = vec![0];
    steps.extend(study.checkpoints(both[0]));
    let [a, b] = both.map(|s| path(layout, &study.states[s].id, &steps, &names));
    let (a, b) = (a?, b?);
    let texts = StateTexts::new(tok, &light.concepts, &[], None, false)?;
    let concepts: Vec<ConceptInfo> = texts.concepts.iter().map(ConceptInfo::of).collect();
    let layers = study.reported(rms.len());
    let [set, reference] = both.map(|s| study.states[s].condition.as_str());
    let isolated = isolated_in(study, [set, reference]);
    let input = TrajectoryInput {
        set: Followed { condition: set, acts: &a.0, scores: &a.1 },
        reference: Followed { condition: reference, acts: &b.0, scores: &b.1 },
        steps: &steps,
        concepts: &concepts,
        rms: &layers.iter().map(|&l| rms[l]).collect::<Vec<_>>(),
        layers: &layers,
        couples: &study.roles.couples,
        claim: light.claims.first().map(|c| c.name.as_str()),
        isolated: &isolated,
        draws: study.draws(),
    };
    Ok(trajectory(&input)?)
}
