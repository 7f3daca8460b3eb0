//! The causal stage: directions ablated in the condition under test, and added to base.

use super::acts::StateActs;
use super::measure::reported_layers;
use super::run::{Event, Run};
use super::scores::{isolated, Scores};
use super::StudyError;
use crate::causal::{
    necessity, random_directions, Arms, Bench, Edited, Mediation, Necessity, PerLayer,
};
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
    /// The same directions ablated in the reference: what an edit does to any model.
    pub reference_ablations: Vec<Edited>,
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
    let neutral: Vec<_> =
        super::stages::neutral_texts(&study.neutral_texts, &run.model.tokenizer, None)?
            .into_iter()
            .take(3)
            .collect();
    let seed = study.written.seed;
    let decoder = run.decoder(state)?;
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
    let asked = limited(&study.battery, spec.prompts);
    let other = run.decoder(reference)?;
    let (mut ablations, mut reference_ablations) = (Vec::new(), Vec::new());
    for (name, direction) in &edits {
        watch(Event::Detail(format!("ablating {name}")));
        let edit = Interventions::none().project_out_everywhere(direction)?;
        for (state, decoder, out) in [
            (state, &decoder, &mut ablations),
            (reference, &other, &mut reference_ablations),
        ] {
            let bench = Bench {
                model: decoder,
                tokenizer: &tok,
                battery: &asked,
                system: run.system(state),
                neutral: &neutral,
            };
            out.push(bench.run(name, None, &edit)?);
        }
    }
    // Dose response in base at the first reported layer, one prompt a preference.
    let layer = reported_layers(run)[0];
    let rms = layer_rms(base.neutral[0].view())[layer];
    let light = limited(&study.battery, Some(1));
    let mut dosed = vec![
        ("persona".to_string(), per_layer(&base.direction(0))),
        ("autonomy".to_string(), per_layer(&base.direction(1))),
    ];
    let controls = random_directions(&base.neutral[0], spec.random.min(2), seed.wrapping_add(1))?;
    for (k, d) in controls.into_iter().enumerate() {
        dosed.push((format!("random-{k}"), d));
    }
    let bench = Bench {
        model: &run.model.decoder,
        tokenizer: &tok,
        battery: &light,
        system: None,
        neutral: &neutral[..neutral.len().min(2)],
    };
    let mut doses = Vec::new();
    for (name, direction) in &dosed {
        for &alpha in &spec.alphas {
            watch(Event::Detail(format!("adding {alpha} x {name}")));
            let edit = Interventions::none().add(layer, &direction[layer], alpha * rms)?;
            doses.push(bench.run(name, Some(alpha), &edit)?);
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
        reference_ablations,
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

/// What each ablation leaves of the condition's shift over isolated preferences; the first entry is
/// no edit.
pub fn mediations(
    run: &Run,
    record: &CausalRecord,
    scores: &[Scores],
) -> Result<Vec<Necessity>, StudyError> {
    let at = |id: &str| run.states().iter().position(|s| s.id == id).unwrap_or(0);
    let isolated = |name: &str| isolated(run.study, name, &record.condition);
    let Some(first) = record.ablations.first() else {
        return Ok(Vec::new());
    };
    // The prompts that were scored under the edits, in their order.
    let kept: Vec<(&str, &str)> = first
        .scores
        .iter()
        .filter(|s| isolated(&s.0))
        .map(|s| (s.0.as_str(), s.1.as_str()))
        .collect();
    let row = |all: &Scores| {
        let of = |&(p, q): &(&str, &str)| {
            let found = all.iter().find(|s| s.0 == p && s.1 == q);
            found.map_or(f64::NAN, |s| s.2)
        };
        Array2::from_shape_fn((1, kept.len()), |(_, i)| of(&kept[i]))
    };
    let plain = (
        row(&scores[at(&record.state)]),
        row(&scores[at(&record.reference_state)]),
    );
    let w = &run.study.written;
    let judge = |edit: &str, tuned: &Array2<f64>, reference: &Array2<f64>| {
        let arms = Arms {
            tuned: plain.0.view(),
            reference: plain.1.view(),
            tuned_edited: tuned.view(),
            reference_edited: Some(reference.view()),
        };
        necessity(edit, &arms, w.draws.bootstrap, w.seed)
    };
    let mut out = vec![judge("none", &plain.0, &plain.1)?];
    for (tuned, reference) in record.ablations.iter().zip(&record.reference_ablations) {
        out.push(judge(
            &tuned.edit,
            &row(&tuned.scores),
            &row(&reference.scores),
        )?);
    }
    Ok(out)
}
