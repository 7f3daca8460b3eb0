//! The plan: stages, the digest of what each depends on, and what each will cost.

use super::manifest::{Condition, Source, Study};
use super::StudyError;
use crate::materials::Preference;
use crate::model::{Model, Packed, Tokens};
use crate::store::digest;
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};
use std::path::{Path, PathBuf};

/// Rises when a stage's output would differ for the same inputs.
const VERSION: u32 = 2;

/// Rates of a 2-core machine, rows a second; `study plan` states them as such.
const FORWARD: f64 = 650.0;
const TRAIN: f64 = 300.0;

/// One model state: a condition with a seed.
#[derive(Debug, Clone)]
pub struct State {
    /// `base`, `conscious-s1`, ...
    pub id: String,
    /// Index of the condition.
    pub condition: usize,
    pub seed: u64,
}

/// What a stage does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Distil,
    /// Index of the state.
    Finetune(usize),
    Capture(usize),
    Behave(usize),
    Causal,
    Report,
}

/// One stage of the plan.
#[derive(Debug, Clone)]
pub struct Stage {
    pub name: String,
    pub kind: Kind,
    /// Digest of everything it depends on.
    pub key: String,
    /// Rows it computes and the seconds expected.
    pub rows: usize,
    pub seconds: f64,
}

/// What a finished stage leaves beside its outputs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Marker {
    pub key: String,
    pub seconds: f64,
    pub outputs: Vec<String>,
}

impl Marker {
    fn path(out: &Path, stage: &str) -> PathBuf {
        out.join("stages").join(format!("{stage}.json"))
    }

    /// The marker of a stage that is done: same key, outputs there.
    pub fn done(out: &Path, stage: &Stage) -> Option<Marker> {
        let text = std::fs::read_to_string(Self::path(out, &stage.name)).ok()?;
        let marker: Marker = serde_json::from_str(&text).ok()?;
        let there = marker.outputs.iter().all(|o| out.join(o).exists());
        (marker.key == stage.key && there).then_some(marker)
    }

    pub fn write(&self, out: &Path, stage: &str) -> Result<(), StudyError> {
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        Ok(crate::store::atomic::write(&Self::path(out, stage), &text)?)
    }
}

/// States in the order of the conditions, base first.
pub fn states(study: &Study) -> Vec<State> {
    let mut out = Vec::new();
    for (i, c) in study.conditions.iter().enumerate() {
        for &seed in &c.seeds {
            let many = matches!(c.source, Source::Data { .. });
            out.push(State {
                id: if many {
                    format!("{}-s{seed}", c.name)
                } else {
                    c.name.clone()
                },
                condition: i,
                seed,
            });
        }
    }
    out
}

/// System prompt of a condition.
pub fn system(c: &Condition) -> Option<&str> {
    match &c.source {
        Source::System(s) => Some(s),
        _ => None,
    }
}

/// The texts of every concept's pairs (positive, negative, positive, ...) as tokens.
pub fn concept_texts(
    study: &Study,
    model: &Model,
    system: Option<&str>,
) -> Result<Vec<Vec<Tokens>>, StudyError> {
    let tok = &model.tokenizer;
    study
        .concepts
        .iter()
        .map(|c| {
            c.pairs
                .iter()
                .flat_map(|p| [(&p.prompt, &p.positive), (&p.prompt, &p.negative)])
                .map(|(q, a)| Ok(tok.exchange(system, q, a)?))
                .collect()
        })
        .collect()
}

/// The neutral texts as tokens.
pub fn neutral_texts(
    study: &Study,
    model: &Model,
    system: Option<&str>,
) -> Result<Vec<Tokens>, StudyError> {
    study
        .neutral_texts
        .iter()
        .map(|t| Ok(model.tokenizer.exchange(system, &t.prompt, &t.response)?))
        .collect()
}

fn rows_of(texts: &[Tokens]) -> usize {
    let ids: Vec<&[u32]> = texts.iter().map(|t| t.ids.as_slice()).collect();
    Packed::new(&ids).rows()
}

fn battery_rows(battery: &[Preference], model: &Model) -> Result<usize, StudyError> {
    let mut texts = Vec::new();
    for p in battery.iter().flat_map(|p| &p.prompts) {
        for pair in &p.pairs {
            for a in [&pair.express, &pair.oppose] {
                texts.push(model.tokenizer.exchange(None, &p.prompt, a)?);
            }
        }
    }
    Ok(rows_of(&texts))
}

fn battery_value(battery: &[Preference]) -> Value {
    let prompts = battery.iter().flat_map(|p| {
        p.prompts.iter().map(move |q| {
            let pairs: Vec<_> = q.pairs.iter().map(|s| (&s.express, &s.oppose)).collect();
            json!([p.name, q.id, q.prompt, pairs])
        })
    });
    prompts.collect()
}

/// All stages in an order in which each follows what it needs.
pub fn plan(study: &Study, model: &Model) -> Result<Vec<Stage>, StudyError> {
    let w = &study.written;
    let states = states(study);
    let base =
        json!({"version": VERSION, "model": model.sha256, "crate": env!("CARGO_PKG_VERSION")});
    let digest = |v: Value| digest::of_json(&v);
    let mut stages = Vec::new();
    let distil = digest(json!({"base": base, "prompts": study.neutral_prompts}));
    let needs_rows = study
        .conditions
        .iter()
        .any(|c| matches!(c.source, Source::Data { .. }));
    if needs_rows {
        let rows = study.neutral_prompts.len() * 90;
        stages.push(Stage {
            name: "distil".into(),
            kind: Kind::Distil,
            key: distil.clone(),
            rows,
            seconds: rows as f64 / 250.0,
        });
    }
    let mut state_keys = Vec::new();
    for (i, s) in states.iter().enumerate() {
        let c = &study.conditions[s.condition];
        let key = match &c.source {
            Source::Base => digest(json!({"base": base})),
            Source::System(text) => digest(json!({"base": base, "system": text})),
            Source::Model(name) => digest(json!({"base": base, "other": name})),
            Source::Adapter(dir) => {
                let file = dir.join("adapter_model.safetensors");
                digest(json!({"base": base, "adapter": digest::of_file(&file)?}))
            }
            Source::Data { rows, .. } => {
                let key = digest(json!({"base": base, "rows": rows, "neutral": distil,
                    "recipe": w.recipe, "seed": w.seed, "run": s.seed}));
                let n = rows.len() + study.neutral_prompts.len();
                // Rows of a batch share the template's beginning, some 25 tokens.
                let tokens = n * w.recipe.epochs * 34 + n * w.recipe.epochs / w.recipe.batch * 25;
                stages.push(Stage {
                    name: format!("finetune-{}", s.id),
                    kind: Kind::Finetune(i),
                    key: key.clone(),
                    rows: tokens,
                    seconds: tokens as f64 / TRAIN,
                });
                key
            }
        };
        state_keys.push(key);
    }
    let concept_value: Value = study
        .concepts
        .iter()
        .map(|c| {
            let pairs = c
                .pairs
                .iter()
                .map(|p| json!([p.prompt, p.positive, p.negative]));
            json!([c.name, pairs.collect::<Vec<_>>()])
        })
        .collect();
    let neutral: Value = study
        .neutral_texts
        .iter()
        .map(|t| json!([t.prompt, t.response]))
        .collect();
    let capture_rows = {
        let all: Vec<Tokens> = concept_texts(study, model, None)?
            .into_iter()
            .flatten()
            .collect();
        rows_of(&all) + rows_of(&neutral_texts(study, model, None)?)
    };
    let battery_rows = battery_rows(&study.battery, model)? + battery_rows(&study.claims, model)?;
    let batteries = json!([battery_value(&study.battery), battery_value(&study.claims)]);
    let mut all_keys = Vec::new();
    for (i, s) in states.iter().enumerate() {
        let capture =
            digest(json!({"state": state_keys[i], "concepts": concept_value, "neutral": neutral}));
        stages.push(Stage {
            name: format!("capture-{}", s.id),
            kind: Kind::Capture(i),
            key: capture.clone(),
            rows: capture_rows,
            seconds: capture_rows as f64 / FORWARD,
        });
        let behave = digest(json!({"state": state_keys[i], "battery": batteries}));
        stages.push(Stage {
            name: format!("behave-{}", s.id),
            kind: Kind::Behave(i),
            key: behave.clone(),
            rows: battery_rows,
            seconds: battery_rows as f64 / FORWARD * 1.3,
        });
        all_keys.push((capture, behave));
    }
    let layers = json!(w.layers);
    let mut causal = String::new();
    if let Some(c) = &w.causal {
        causal = digest(json!({"states": all_keys, "causal": c, "layers": layers, "seed": w.seed}));
        let doses = c.alphas.len() * (2 + c.random.min(2));
        let rows = (4 + c.random) * battery_rows + doses * battery_rows / w.sizes.prompts;
        stages.push(Stage {
            name: "causal".into(),
            kind: Kind::Causal,
            key: causal.clone(),
            rows,
            seconds: rows as f64 / FORWARD * 1.3,
        });
    }
    let status: Value = study
        .battery
        .iter()
        .map(|p| json!([p.name, p.group, p.status]))
        .collect();
    stages.push(Stage {
        name: "report".into(),
        kind: Kind::Report,
        key: digest(
            json!({"states": all_keys, "causal": causal, "draws": w.draws, "layers": layers,
            "seed": w.seed, "nuisances": study.nuisances, "name": w.name, "status": status}),
        ),
        rows: 0,
        seconds: 20.0 * w.draws.bootstrap as f64 / 2000.0,
    });
    Ok(stages)
}
