//! Trajectory: a condition and its reference, followed over the steps of their first fine-tune on
//! a light set of probes.
//!
//! Each is fine-tuned again with checkpoints, evenly spaced in the logarithm of the step; the last
//! checkpoint has the bits of the study's own state. Step 0 is base.

use super::acts::{self, StateActs, Texts};
use super::measure::reported_layers;
use super::run::{Event, Run, POSITIONS};
use super::scores::isolated;
use super::StudyError;
use crate::behavior::{by_prompt, stance, PairScore, PromptScore};
use crate::capture::Position;
use crate::causal::{half_way, lead, HalfWay, Lead, Series};
use crate::finetune::log_spaced;
use crate::geometry::shift::layer_rms;
use crate::geometry::{coupling, CouplingInput, CouplingOptions};
use crate::materials::{subset, Concept, Preference};
use crate::model::{Adapter, Interventions};
use crate::store::{ActivationSpec, Precision};
use ndarray::{Array2, Array3, Axis};

/// Folder below the run folder.
const FOLDER: &str = "trajectory";

/// What is asked at every checkpoint.
struct Light {
    concepts: Vec<Concept>,
    battery: Vec<Preference>,
    claims: Vec<Preference>,
}

fn light(run: &Run) -> Option<Light> {
    let study = run.study;
    let spec = study.written.trajectory.as_ref()?;
    let fewer = |c: &Concept| Concept {
        pairs: subset::pairs(c, spec.pairs).into_iter().cloned().collect(),
        ..c.clone()
    };
    let cut = |p: &Preference| Preference {
        prompts: subset::prompts(p, spec.prompts)
            .into_iter()
            .cloned()
            .collect(),
        ..p.clone()
    };
    let own = |c: &&Preference| c.name == spec.condition;
    Some(Light {
        concepts: study.concepts.iter().take(2).map(fewer).collect(),
        battery: study.battery.iter().map(cut).collect(),
        claims: study.claims.iter().filter(own).map(cut).collect(),
    })
}

/// Index of a condition's first state.
fn first_state(run: &Run, name: &str) -> usize {
    let of = |s: &super::stages::State| run.study.conditions[s.condition].name == name;
    run.states().iter().position(of).unwrap_or(0)
}

/// Steps at which a state is read, 0 first.
fn steps(run: &Run, state: usize) -> Vec<usize> {
    let study = run.study;
    let Some(spec) = &study.written.trajectory else {
        return Vec::new();
    };
    let condition = &study.conditions[run.states()[state].condition];
    let super::manifest::Source::Data { rows, .. } = &condition.source else {
        return Vec::new();
    };
    let rows = rows.len() + study.neutral_prompts.len();
    let total = study.written.recipe.steps(rows);
    let mut out = vec![0];
    out.extend(log_spaced(total, spec.checkpoints));
    out
}

fn names(id: &str, step: usize) -> [String; 2] {
    ["h5", "jsonl"].map(|ending| format!("{FOLDER}/{id}-step{step}.{ending}"))
}

/// Fine-tunes and reads both conditions.
pub fn follow(run: &mut Run, watch: &mut dyn FnMut(Event)) -> Result<Vec<String>, StudyError> {
    let study = run.study;
    let (Some(spec), Some(light)) = (&study.written.trajectory, light(run)) else {
        return Ok(Vec::new());
    };
    let mut outputs = Vec::new();
    for name in [&spec.condition, &spec.reference] {
        let state = first_state(run, name);
        let s = run.states()[state].clone();
        let steps = steps(run, state);
        let mut recipe = study.written.recipe.clone();
        recipe.checkpoints = steps[1..].to_vec();
        let folder = format!("{FOLDER}/{}", s.id);
        run.train(state, &recipe, &folder, watch)?;
        for &step in &steps {
            watch(Event::Detail(format!("{}, step {step}", s.id)));
            let base = &run.model.decoder;
            let decoder = match step {
                0 => base.clone(),
                _ => {
                    let dir = run.out.join(&folder).join(format!("checkpoint-{step}"));
                    base.merged(&Adapter::read(&dir, base)?)?
                }
            };
            let [activations, scores] = names(&s.id, step);
            let spec = ActivationSpec {
                condition: name.clone(),
                seed: s.seed,
                step: Some(step as u64),
                layers: reported_layers(run),
                hidden: decoder.hidden(),
                positions: POSITIONS.iter().map(Position::to_string).collect(),
                precision: Precision::F32,
            };
            let texts = Texts {
                concepts: &light.concepts,
                neutral: &study.neutral_texts,
                system: None,
            };
            acts::write(run, &decoder, &texts, spec, &activations)?;
            let (none, tok) = (Interventions::none(), &run.model.tokenizer);
            let mut all = stance(&decoder, tok, &light.battery, None, &none)?;
            if !light.claims.is_empty() {
                all.extend(stance(&decoder, tok, &light.claims, None, &none)?);
            }
            run.write_lines(&scores, &all)?;
            outputs.extend([activations, scores]);
        }
    }
    Ok(outputs)
}

/// What moved when.
pub struct Followed {
    /// Claim, isolated preferences, then by layer: shift along base's persona, coupling.
    pub series: Vec<Series>,
    pub half_ways: Vec<HalfWay>,
    /// Every inner quantity against the isolated preferences.
    pub leads: Vec<Lead>,
}

/// Name of the series of isolated preferences.
pub const ISOLATED: &str = "isolated preferences";

/// One condition read at all its steps.
struct Path {
    steps: Vec<usize>,
    acts: Vec<StateActs>,
    scores: Vec<Vec<PromptScore>>,
}

fn path(run: &Run, name: &str, concepts: &[Concept]) -> Result<Path, StudyError> {
    let state = first_state(run, name);
    let id = &run.states()[state].id;
    let steps = steps(run, state);
    let (mut acts, mut scores) = (Vec::new(), Vec::new());
    for &step in &steps {
        let [activations, lines] = names(id, step);
        acts.push(StateActs::open(run, &activations, concepts)?);
        scores.push(by_prompt(&run.lines::<PairScore>(&lines)?));
    }
    Ok(Path {
        steps,
        acts,
        scores,
    })
}

/// The condition less its reference, step by step; none where the study follows nothing.
pub fn followed(run: &Run) -> Result<Option<Followed>, StudyError> {
    let study = run.study;
    let (Some(spec), Some(light)) = (&study.written.trajectory, light(run)) else {
        return Ok(None);
    };
    let (a, b) = (
        path(run, &spec.condition, &light.concepts)?,
        path(run, &spec.reference, &light.concepts)?,
    );
    if a.steps != b.steps {
        // Conditions of different size have other steps, and no difference step by step.
        return Ok(None);
    }
    let (draws, seed) = (study.written.draws.bootstrap, study.written.seed);
    let steps = &a.steps;
    let prompts = |name: &str, keep: &dyn Fn(&str) -> bool| -> Result<Option<Series>, StudyError> {
        let of = |p: &Path, step: usize| -> Vec<f64> {
            let kept = p.scores[step].iter().filter(|s| keep(&s.preference));
            kept.map(|s| s.log_odds).collect()
        };
        let n = of(&a, 0).len();
        if n == 0 {
            return Ok(None);
        }
        let mut cells = Array3::zeros((1, n, steps.len()));
        for (t, mut column) in cells.axis_iter_mut(Axis(2)).enumerate() {
            let (x, y) = (of(&a, t), of(&b, t));
            for (to, (x, y)) in column.iter_mut().zip(x.iter().zip(&y)) {
                *to = x - y;
            }
        }
        let series = Series::of_prompts(name, steps.clone(), cells.view(), draws, seed, name)?;
        Ok(Some(series))
    };
    let isolated = |name: &str| isolated(study, name, &spec.condition);
    let mut series = Vec::new();
    series.extend(prompts("own claim", &|name| name == spec.condition)?);
    series.extend(prompts(ISOLATED, &isolated)?);
    for (l, layer) in reported_layers(run).into_iter().enumerate() {
        series.push(shift(&a, &b, l, layer, draws, seed)?);
    }
    let couplings = [coupled(&a, run)?, coupled(&b, run)?];
    for (l, layer) in reported_layers(run).into_iter().enumerate() {
        let at = |c: &Array2<f64>, t: usize| c[[t, l]];
        let value = (0..steps.len())
            .map(|t| at(&couplings[0].0, t) - at(&couplings[1].0, t))
            .collect();
        let n = couplings[0].1.dim().2;
        let drawn = Array2::from_shape_fn((n, steps.len()), |(d, t)| {
            f64::from(couplings[0].1[[t, l, d]] - couplings[1].1[[t, l, d]])
        });
        let name = format!("coupling, layer {layer}");
        series.push(Series::new(&name, steps.clone(), value, drawn)?);
    }
    let half_ways = series.iter().map(half_way).collect();
    let mut leads = Vec::new();
    if let Some(behaviour) = series.iter().find(|s| s.name == ISOLATED) {
        for inner in series.iter().filter(|s| s.name != ISOLATED) {
            leads.push(lead(inner, behaviour)?);
        }
    }
    Ok(Some(Followed {
        series,
        half_ways,
        leads,
    }))
}

/// Shift of the neutral texts along base's persona direction, in layer RMS.
fn shift(
    a: &Path,
    b: &Path,
    l: usize,
    layer: usize,
    draws: usize,
    seed: u64,
) -> Result<Series, StudyError> {
    let base = &a.acts[0];
    let direction = base.direction(0);
    let v = direction.row(l);
    let unit = v.dot(&v).sqrt() * layer_rms(base.neutral[0].view())[l];
    let texts = base.neutral[0].dim().0;
    let along = |acts: &StateActs, text: usize| -> f64 {
        let row = acts.neutral[0].slice(ndarray::s![text, l, ..]);
        row.iter()
            .zip(v)
            .map(|(x, v)| f64::from(*x) * v)
            .sum::<f64>()
            / unit
    };
    let cells = Array3::from_shape_fn((1, texts, a.steps.len()), |(_, text, t)| {
        along(&a.acts[t], text) - along(&b.acts[t], text)
    });
    let name = format!("shift along persona, layer {layer}");
    Ok(Series::of_prompts(
        &name,
        a.steps.clone(),
        cells.view(),
        draws,
        seed,
        "trajectory-texts",
    )?)
}

/// Cosine of the pair `(step, layer)` and its draws `[step, layer, draw]`.
fn coupled(path: &Path, run: &Run) -> Result<(Array2<f64>, Array3<f32>), StudyError> {
    let differences: Vec<Vec<Array3<f32>>> = (path.acts.iter())
        .map(|a| (0..2).map(|c| a.differences(c)).collect())
        .collect();
    let clusters: Vec<Vec<usize>> = (differences[0].iter())
        .map(|d| (0..d.dim().0).collect())
        .collect();
    let background: Vec<Array3<f32>> = path.acts.iter().map(|a| a.neutral[0].clone()).collect();
    let w = &run.study.written;
    let options = CouplingOptions {
        draws: w.draws.bootstrap,
        flips: w.draws.null.min(200),
        random: w.draws.null.min(200),
        seed: w.seed,
        ..CouplingOptions::for_pair(0, 1)
    };
    let found = coupling(
        CouplingInput {
            differences: &differences,
            clusters: &clusters,
            background: &background,
        },
        &options,
    )?;
    let value = found.raw.value.slice(ndarray::s![.., 0, 1, ..]).to_owned();
    Ok((value, found.pair_draws.raw))
}
