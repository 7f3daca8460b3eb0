//! The causal stages: directions ablated in every fine-tune of the condition under test and of its
//! reference, and added to base.
//!
//! A fine-tune is put to its own persona and autonomy directions, read anew in it, since those of
//! base may no longer be what it uses; a fine-tune of the reference is put to those of the condition's
//! fine-tune in the same place, so that both sides of a difference lose the same. Random directions
//! are one set for all, drawn with the covariance of the condition's first fine-tune.

use super::acts::StateActs;
use super::manifest::{Causal, Study};
use super::measure::reported_layers;
use super::run::{Event, Run};
use super::scores::isolated;
use super::stages::State;
use super::StudyError;
use crate::causal::{
    harms, necessities, Bench, Direction, Edited, Guards, Harm, Mediation, Necessity, PerLayer,
};
use crate::geometry::shift::layer_rms;
use crate::materials::Preference;
use crate::model::Tokens;
use crate::store::atomic;
use ndarray::Array2;
use serde::{de::DeserializeOwned, Deserialize, Serialize};

/// What is asked of a model under an edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// The preference battery.
    Preferences,
    /// The claim of the condition under test: the way back.
    Claim,
}

impl Asked {
    pub fn name(self) -> &'static str {
        match self {
            Asked::Preferences => "preferences",
            Asked::Claim => "claim",
        }
    }

    /// What its shift is taken over.
    pub fn shift_of(self) -> &'static str {
        match self {
            Asked::Preferences => "isolated preferences",
            Asked::Claim => "claim",
        }
    }

    /// What a preference or claim of this name belongs to.
    pub fn by(study: &Study, name: &str) -> Self {
        match study.battery.iter().any(|p| p.name == name) {
            true => Asked::Preferences,
            false => Asked::Claim,
        }
    }

    /// What of the materials is asked under ablations; none where the study does not ask it.
    pub fn battery(self, study: &Study) -> Vec<Preference> {
        let Some(spec) = &study.written.causal else {
            return Vec::new();
        };
        match (self, spec.claim_prompts) {
            (Asked::Preferences, _) => limited(&study.battery, spec.prompts),
            (Asked::Claim, None) => Vec::new(),
            (Asked::Claim, Some(n)) => limited(&claims(study, &spec.condition), Some(n)),
        }
    }
}

fn claims(study: &Study, condition: &str) -> Vec<Preference> {
    let own = study.claims.iter().filter(|c| c.name == condition);
    own.cloned().collect()
}

/// What is asked under doses: a prompt a preference, and the claim.
pub fn asked_of_doses(study: &Study) -> Vec<Preference> {
    let mut asked = limited(&study.battery, Some(1));
    asked.extend(Asked::Claim.battery(study));
    asked
}

/// Folder of what the causal stages leave.
pub const FOLDER: &str = "causal";

/// Random directions that doses are compared with: drawn, not tested.
pub const DOSED_RANDOM: usize = 2;

/// Neutral texts that the guards of an ablation are taken on, and of a dose.
const GUARDS: (usize, usize) = (3, 2);

/// One model under every ablation, the run without one first.
#[derive(Clone, Serialize, Deserialize)]
pub struct Ablated {
    pub state: String,
    /// State that `persona` and `autonomy` were read in.
    pub directions_of: String,
    pub edits: Vec<Edited>,
}

/// Base under every dose, the run without one first.
#[derive(Clone, Serialize, Deserialize)]
pub struct Dosed {
    pub layer: usize,
    /// RMS of that layer on neutral texts, the unit of the doses.
    pub layer_rms: f64,
    pub edits: Vec<Edited>,
}

/// Every fine-tune of both conditions under every ablation.
pub struct Sides {
    pub asked: Asked,
    pub tuned: Vec<Ablated>,
    pub reference: Vec<Ablated>,
}

/// What the causal stages stored.
pub struct CausalRecord {
    /// Preferences, and the claim where it was asked.
    pub sides: Vec<Sides>,
    pub dose: Dosed,
}

/// What ablations leave of one shift, no edit first.
pub struct Mediated {
    pub asked: Asked,
    pub edits: Vec<Necessity>,
    /// Damage of each edit, in the same order.
    pub harms: Vec<Harm>,
}

/// States of the condition under test and of its reference; none where no cause is asked for.
pub fn sides(study: &Study, states: &[State]) -> Option<(Vec<usize>, Vec<usize>)> {
    let spec = study.written.causal.as_ref()?;
    let of = |name: &str| -> Vec<usize> {
        let named = |s: &State| study.conditions[s.condition].name == name;
        (0..states.len()).filter(|&i| named(&states[i])).collect()
    };
    Some((of(&spec.condition), of(&spec.reference)))
}

/// The state that the directions ablated in `state` are read in.
pub fn directions_of(state: usize, sides: &(Vec<usize>, Vec<usize>)) -> usize {
    let (tuned, reference) = sides;
    let place = reference.iter().position(|&r| r == state);
    place.map_or(state, |k| tuned[k % tuned.len()])
}

fn per_layer(direction: &Array2<f64>) -> PerLayer {
    let unit = |r: ndarray::ArrayView1<f64>| {
        let norm = r.dot(&r).sqrt();
        r.iter().map(|v| (v / norm) as f32).collect()
    };
    direction.rows().into_iter().map(unit).collect()
}

/// How the names of placebo directions end.
pub const PLACEBO: &str = " (placebo)";

/// The directions of the placebo concepts that are asked for.
fn placebos(study: &Study, spec: &Causal, acts: &StateActs) -> Vec<Direction> {
    let all = study.written.concepts.placebos.iter().enumerate();
    let asked = all.filter(|(_, name)| spec.placebos.contains(name));
    let concepts = asked.map(|(i, _)| i + 2); // After persona and autonomy.
    concepts
        .map(|k| {
            let name = format!("{}{PLACEBO}", study.concepts[k].name);
            Direction::new(&name, per_layer(&acts.direction(k)))
        })
        .collect()
}

const DOSED: &str = "dosed";

fn ablated(asked: Asked, state: &str) -> String {
    match asked {
        Asked::Preferences => format!("ablated-{state}"),
        Asked::Claim => format!("ablated-claim-{state}"),
    }
}

fn file(of: &str) -> String {
    format!("{FOLDER}/{of}.json")
}

/// Ablates every direction in a state.
pub fn ablate(
    run: &mut Run,
    state: usize,
    asked: Asked,
    watch: &mut dyn FnMut(Event),
) -> Result<Vec<String>, StudyError> {
    let study = run.study;
    let (Some(spec), Some(sides)) = (&study.written.causal, sides(study, run.states())) else {
        return Ok(Vec::new());
    };
    let own = directions_of(state, &sides);
    let (tuned, base) = (StateActs::read(run, own)?, StateActs::read(run, 0)?);
    let first = match sides.0[0] == own {
        true => None,
        false => Some(StateActs::read(run, sides.0[0])?),
    };
    let background = &first.as_ref().unwrap_or(&tuned).neutral[0];
    let mut directions = vec![
        Direction::new("persona", per_layer(&tuned.direction(0))),
        Direction::new("persona (base)", per_layer(&base.direction(0))),
        Direction::new("autonomy", per_layer(&tuned.direction(1))),
    ];
    directions.extend(placebos(study, spec, &tuned));
    let layers: Vec<usize> = (0..run.model.decoder.layers()).collect();
    let seed = study.written.seed;
    directions.extend(Direction::random(background, &layers, spec.random, seed)?);
    let decoder = run.decoder(state)?;
    let bench = Bench {
        model: &decoder,
        tokenizer: &run.model.tokenizer,
        battery: &asked.battery(study),
        system: run.system(state),
        neutral: &guard_texts(run, GUARDS.0)?,
    };
    let told = &mut |edit: &str| watch(Event::Detail(format!("ablating {edit}")));
    let outcome = Ablated {
        state: run.states()[state].id.clone(),
        directions_of: run.states()[own].id.clone(),
        edits: bench.ablate(&directions, None, told)?,
    };
    write(run, &ablated(asked, &outcome.state), &outcome)
}

/// Dose response in base at the first reported layer.
pub fn dose(run: &mut Run, watch: &mut dyn FnMut(Event)) -> Result<Vec<String>, StudyError> {
    let study = run.study;
    let Some(spec) = &study.written.causal else {
        return Ok(Vec::new());
    };
    let base = StateActs::read(run, 0)?;
    let layer = reported_layers(run)[0];
    let rms = layer_rms(base.neutral[0].view())[layer];
    let mut directions = vec![
        Direction::new("persona", per_layer(&base.direction(0))),
        Direction::new("autonomy", per_layer(&base.direction(1))),
    ];
    directions.extend(placebos(study, spec, &base));
    let layers: Vec<usize> = (0..run.model.decoder.layers()).collect();
    let (random, seed) = (spec.random.min(DOSED_RANDOM), study.written.seed);
    let drawn = Direction::random(&base.neutral[0], &layers, random, seed.wrapping_add(1))?;
    directions.extend(drawn);
    let bench = Bench {
        model: &run.model.decoder,
        tokenizer: &run.model.tokenizer,
        battery: &asked_of_doses(study),
        system: None,
        neutral: &guard_texts(run, GUARDS.1)?,
    };
    let told = &mut |edit: &str| watch(Event::Detail(format!("adding {edit}")));
    let edits = bench.sweep(&directions, layer, rms, &spec.alphas, None, told)?;
    let dosed = Dosed {
        layer,
        layer_rms: rms,
        edits,
    };
    write(run, DOSED, &dosed)
}

/// The first neutral texts, read without a system prompt.
fn guard_texts(run: &Run, n: usize) -> Result<Vec<Tokens>, StudyError> {
    let texts = &run.study.neutral_texts;
    super::stages::neutral_texts(&texts[..n.min(texts.len())], &run.model.tokenizer, None)
}

fn write<T: Serialize>(run: &Run, of: &str, what: &T) -> Result<Vec<String>, StudyError> {
    let text = serde_json::to_vec(what).unwrap_or_default();
    atomic::write(&run.out.join(file(of)), &text)?;
    Ok(vec![file(of)])
}

fn read<T: DeserializeOwned>(run: &Run, of: &str) -> Result<T, StudyError> {
    let path = run.out.join(file(of));
    let text = std::fs::read_to_string(&path).map_err(|source| StudyError::Read {
        path: path.clone(),
        source,
    })?;
    serde_json::from_str(&text).map_err(|e| StudyError::Stage {
        path,
        why: e.to_string(),
    })
}

/// The causal record of finished stages.
pub fn causal_record(run: &Run) -> Result<Option<CausalRecord>, StudyError> {
    let Some((tuned, reference)) = sides(run.study, run.states()) else {
        return Ok(None);
    };
    let all = |asked: Asked, states: &[usize]| -> Result<Vec<Ablated>, StudyError> {
        let file = |&i: &usize| ablated(asked, &run.states()[i].id);
        states.iter().map(|i| read(run, &file(i))).collect()
    };
    let both = [Asked::Preferences, Asked::Claim].into_iter();
    let asked = both.filter(|a| !a.battery(run.study).is_empty());
    let sides = asked.map(|asked| {
        Ok(Sides {
            asked,
            tuned: all(asked, &tuned)?,
            reference: all(asked, &reference)?,
        })
    });
    Ok(Some(CausalRecord {
        sides: sides.collect::<Result<_, StudyError>>()?,
        dose: read(run, DOSED)?,
    }))
}

/// A battery with at most `n` prompts of each preference.
fn limited(battery: &[Preference], n: Option<usize>) -> Vec<Preference> {
    let mut out = battery.to_vec();
    for p in &mut out {
        p.prompts.truncate(n.unwrap_or(usize::MAX));
    }
    out
}

/// The judgement that is reported: against the equally edited reference.
pub fn judged(n: &Necessity) -> &Mediation {
    n.against_edited.as_ref().unwrap_or(&n.against_plain)
}

/// What each ablation leaves of the condition's shift: over isolated preferences, and of its claim.
pub fn mediations(run: &Run, record: &CausalRecord) -> Result<Vec<Mediated>, StudyError> {
    let w = &run.study.written;
    let Some(spec) = &w.causal else {
        return Ok(Vec::new());
    };
    let edits = |side: &[Ablated]| side.iter().map(|a| a.edits.clone()).collect::<Vec<_>>();
    let judge = |sides: &Sides| -> Result<Mediated, StudyError> {
        let keep = |name: &str| match sides.asked {
            Asked::Preferences => isolated(run.study, name, &spec.condition),
            Asked::Claim => true,
        };
        let (tuned, reference) = (edits(&sides.tuned), edits(&sides.reference));
        let all = necessities(&tuned, &reference, &keep, w.draws.bootstrap, w.seed)?;
        Ok(Mediated {
            asked: sides.asked,
            edits: all,
            harms: harms(tuned.iter().chain(&reference), Guards::default()),
        })
    };
    record.sides.iter().map(judge).collect()
}
