//! The causal stage: directions ablated in the condition under test, and added to base.

use super::acts::StateActs;
use super::measure::reported_layers;
use super::run::{Event, Run};
use super::scores::{implied, shift_by_prompt, Scores};
use super::StudyError;
use crate::causal::{edited, mediation, random_directions, Edited, Mediation, PerLayer};
use crate::geometry::shift::layer_rms;
use crate::materials::Preference;
use crate::model::Interventions;
use crate::store::atomic;
use ndarray::Array2;

/// What the causal stage stores.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct CausalRecord {
    pub condition: String,
    pub reference: String,
    /// State in which directions were ablated.
    pub state: String,
    pub reference_state: String,
    pub layer: usize,
    /// RMS of that layer on neutral texts, the unit of the doses.
    pub layer_rms: f64,
    pub ablations: Vec<Edited>,
    pub doses: Vec<Edited>,
}

pub const CAUSAL_FILE: &str = "causal.json";

fn per_layer(direction: &Array2<f64>) -> PerLayer {
    direction
        .rows()
        .into_iter()
        .map(|r| {
            let norm = r.dot(&r).sqrt();
            r.iter().map(|v| (v / norm) as f32).collect()
        })
        .collect()
}

/// Ablation in the first seed of the condition, dose response in base.
pub fn causal(run: &mut Run, watch: &mut dyn FnMut(Event)) -> Result<Vec<String>, StudyError> {
    let study = run.study;
    let Some(spec) = &study.written.causal else {
        return Ok(Vec::new());
    };
    let first = |name: &str| {
        let of = |s: &super::stages::State| study.conditions[s.condition].name == name;
        run.states().iter().position(of).unwrap_or(0)
    };
    let (state, reference) = (first(&spec.condition), first(&spec.reference));
    let (tuned, base) = (StateActs::read(run, state)?, StateActs::read(run, 0)?);
    let tok = run.model.tokenizer.clone();
    let neutral: Vec<_> = super::stages::neutral_texts(study, run.model, None)?
        .into_iter()
        .take(3)
        .collect();
    let seed = study.written.seed;
    let decoder = run.decoder(state)?;
    let system = run.system(state).map(str::to_string);
    let mut edits = vec![
        ("persona".to_string(), per_layer(&tuned.direction(0))),
        ("persona (base)".to_string(), per_layer(&base.direction(0))),
        ("autonomy".to_string(), per_layer(&tuned.direction(1))),
    ];
    for (k, d) in random_directions(&tuned.neutral[0], spec.random, seed)?
        .into_iter()
        .enumerate()
    {
        edits.push((format!("random-{k}"), d));
    }
    let mut ablations = Vec::new();
    for (name, direction) in &edits {
        watch(Event::Detail(format!("ablating {name}")));
        let edit = Interventions::none().project_out_everywhere(direction)?;
        ablations.push(edited(
            name,
            None,
            &decoder,
            &tok,
            &study.battery,
            system.as_deref(),
            &neutral,
            &edit,
        )?);
    }
    // Dose response in base at the first reported layer, one prompt a preference.
    let layer = reported_layers(run)[0];
    let rms = layer_rms(base.neutral[0].view())[layer];
    let light: Vec<Preference> = study
        .battery
        .iter()
        .map(|p| {
            let mut p = p.clone();
            p.prompts.truncate(1);
            p
        })
        .collect();
    let mut dosed = vec![
        ("persona".to_string(), per_layer(&base.direction(0))),
        ("autonomy".to_string(), per_layer(&base.direction(1))),
    ];
    let controls = random_directions(&base.neutral[0], spec.random.min(2), seed.wrapping_add(1))?;
    for (k, d) in controls.into_iter().enumerate() {
        dosed.push((format!("random-{k}"), d));
    }
    let model = &run.model.decoder;
    let mut doses = Vec::new();
    for (name, direction) in &dosed {
        for &alpha in &spec.alphas {
            watch(Event::Detail(format!("adding {alpha} x {name}")));
            let edit = Interventions::none().add(layer, &direction[layer], alpha * rms)?;
            let guard = &neutral[..neutral.len().min(2)];
            let alpha = Some(alpha);
            doses.push(edited(
                name, alpha, model, &tok, &light, None, guard, &edit,
            )?);
        }
    }
    let record = CausalRecord {
        condition: spec.condition.clone(),
        reference: spec.reference.clone(),
        state: run.states()[state].id.clone(),
        reference_state: run.states()[reference].id.clone(),
        layer,
        layer_rms: rms,
        ablations,
        doses,
    };
    let text = serde_json::to_vec(&record).unwrap_or_default();
    atomic::write(&run.out.join(CAUSAL_FILE), &text)?;
    Ok(vec![CAUSAL_FILE.into()])
}

/// The causal record of a finished stage.
pub fn causal_record(run: &Run) -> Result<Option<CausalRecord>, StudyError> {
    if run.study.written.causal.is_none() {
        return Ok(None);
    }
    let path = run.out.join(CAUSAL_FILE);
    let text = std::fs::read_to_string(&path).map_err(|source| StudyError::Read {
        path: path.clone(),
        source,
    })?;
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|e| StudyError::Stage {
            path,
            why: e.to_string(),
        })
}

/// Shift of the ablated state over isolated preferences, by edit; the first entry is no edit.
pub fn mediations(run: &Run, record: &CausalRecord, scores: &[Scores]) -> Vec<Mediation> {
    let at = |id: &str| run.states().iter().position(|s| s.id == id).unwrap_or(0);
    let (tuned, reference) = (
        &scores[at(&record.state)],
        &scores[at(&record.reference_state)],
    );
    let isolated = |name: &str| {
        let known = run.study.battery.iter().find(|p| p.name == name);
        known.is_some_and(|p| !implied(p, &record.condition))
    };
    let w = &run.study.written;
    let total = shift_by_prompt(tuned, reference, isolated);
    let mut out = vec![mediation("none", &total, &total, w.draws.bootstrap, w.seed)];
    for e in &record.ablations {
        let left = shift_by_prompt(&e.scores, reference, isolated);
        out.push(mediation(&e.edit, &total, &left, w.draws.bootstrap, w.seed));
    }
    out
}
