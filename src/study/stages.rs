//! The plan: stages, the digest of what each depends on, and what each will cost.

use super::cause::{self, Asked};
use super::manifest::{state_id, Condition, Source, Study};
use super::StudyError;
use crate::behavior::conversation::Replies;
use crate::capture::BUDGET;
use crate::materials::{Concept, NeutralText, Preference};
use crate::model::decoder::LINEARS;
use crate::model::{Message, Model, Packed, Role, Tokenizer, Tokens};
use crate::speed::{shared_rows, Rates};
use crate::store::digest;
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};
use std::path::{Path, PathBuf};

/// Rises when a stage's output would differ for the same inputs.
const VERSION: u32 = 3;

/// Tokens of a distilled answer, about; the limit is 48.
const DISTILLED: usize = 40;

/// What an intervention at every layer adds to scoring.
const EDIT: f64 = 1.15;

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
    Converse(usize),
    Trajectory,
    Ablate(usize, Asked),
    Dose,
    Report,
}

/// One stage of the plan.
#[derive(Debug, Clone)]
pub struct Stage {
    pub name: String,
    pub kind: Kind,
    /// Digest of everything it depends on.
    pub key: String,
    /// Rows it computes, and the seconds and the peak of memory expected.
    pub rows: usize,
    pub seconds: f64,
    pub bytes: f64,
    /// Bytes that it writes, about.
    pub disk: f64,
}

/// What a finished stage leaves beside its outputs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Marker {
    pub key: String,
    pub seconds: f64,
    /// Peak of resident memory while it ran; 0 where the system does not tell.
    #[serde(default)]
    pub peak_bytes: u64,
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
                id: state_id(&c.name, many, seed),
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
    concepts: &[Concept],
    tok: &Tokenizer,
    system: Option<&str>,
) -> Result<Vec<Vec<Tokens>>, StudyError> {
    concepts
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

/// Neutral texts as tokens.
pub fn neutral_texts(
    texts: &[NeutralText],
    tok: &Tokenizer,
    system: Option<&str>,
) -> Result<Vec<Tokens>, StudyError> {
    texts
        .iter()
        .map(|t| Ok(tok.exchange(system, &t.prompt, &t.response)?))
        .collect()
}

/// Rows of a battery and how many of them reach the language head.
fn battery_rows(battery: &[Preference], model: &Model) -> Result<(usize, usize), StudyError> {
    let mut texts = Vec::new();
    for p in battery.iter().flat_map(|p| &p.prompts) {
        for pair in &p.pairs {
            for a in [&pair.express, &pair.oppose] {
                texts.push(model.tokenizer.exchange(None, &p.prompt, a)?);
            }
        }
    }
    let scored = texts
        .iter()
        .map(|t| t.with_role(Role::Response).len())
        .sum();
    Ok((shared_rows(&texts), scored))
}

/// Work of the conversations in one state.
struct Talking {
    /// Rows of the questions at their end and alone, and how many of them reach the language head.
    scored: (usize, usize),
    /// Rows that are read once more, for the turns' projections.
    projected: usize,
    /// Tokens of replies that the model writes.
    written: usize,
}

fn talking(study: &Study, replies: Replies, model: &Model) -> Result<Talking, StudyError> {
    let (mut texts, mut talks, mut written) = (Vec::new(), Vec::new(), 0);
    for script in study.scripts.iter().flat_map(|s| &s.scripts) {
        let mut turns: Vec<Message> = Vec::new();
        for t in &script.turns {
            turns.push(Message::new("user", &t.user));
            let reply = t
                .assistant
                .as_deref()
                .filter(|_| replies == Replies::Scripted);
            written += if reply.is_none() { DISTILLED } else { 0 };
            turns.push(Message::new("assistant", reply.unwrap_or_default()));
        }
        talks.push(model.tokenizer.chat(&turns, false)?);
        for before in [turns, Vec::new()] {
            for answer in script.pairs.iter().flat_map(|p| [&p.express, &p.oppose]) {
                let mut all = before.clone();
                all.push(Message::new("user", &script.prompt));
                all.push(Message::new("assistant", answer));
                texts.push(model.tokenizer.chat(&all, false)?);
            }
        }
    }
    let scored = texts
        .iter()
        .map(|t| t.with_role(Role::Response).len())
        .sum();
    Ok(Talking {
        scored: (shared_rows(&texts), scored),
        projected: shared_rows(&talks) + written,
        written,
    })
}

/// Rows of all steps of a fine-tune: beginnings are shared within a step.
fn training_rows(study: &Study, model: &Model, rows: &[Vec<Message>]) -> Result<usize, StudyError> {
    let (tok, recipe) = (&model.tokenizer, &study.written.recipe);
    let mut ids = Vec::new();
    for messages in rows {
        ids.push(tok.chat(messages, false)?.ids);
    }
    for prompt in &study.neutral_prompts {
        ids.push(tok.prompt(None, prompt)?.ids);
    }
    let step = |batch: &[Vec<u32>]| Packed::new(batch).rows();
    let once: usize = ids.chunks(recipe.batch).map(step).sum();
    let answers = DISTILLED * study.neutral_prompts.len();
    Ok(recipe.epochs.saturating_mul(once + answers))
}

/// Rows of the largest batch of a fine-tune over those of the mean one, about.
const LARGEST_BATCH: f64 = 1.3;

/// Expected peaks of memory, in bytes.
struct Memory {
    /// Reading or scoring with base alone, and with another state's weights beside it.
    base: f64,
    state: f64,
    /// A step of this many rows.
    step: Box<dyn Fn(f64) -> f64>,
}

impl Memory {
    fn of(model: &Model) -> Self {
        let d = &model.decoder;
        let c = &d.config;
        let maps = d.row_flops() / 2.0;
        let all = maps + (c.vocab * c.hidden) as f64 * if c.tied { 1.0 } else { 2.0 };
        // Values that a row leaves in a block: norms, projections, rotations, sums, the gated unit.
        let attention = (c.heads + c.kv_heads) * c.head_dim;
        let kept = (c.layers * (6 * c.hidden + 3 * attention + 4 * c.intermediate)) as f64;
        let passing = (BUDGET * (4 * c.hidden + 3 * c.intermediate)) as f64;
        // A GGUF file stays mapped, and its pages count once read.
        let mapped =
            std::fs::metadata(&model.path).map_or(0, |m| if m.is_file() { m.len() } else { 0 });
        let program = 1e8 + mapped as f64;
        Memory {
            base: program + 4.0 * (all + passing),
            state: program + 4.0 * (all + maps + passing),
            step: Box::new(move |rows| program + 4.0 * (all + LARGEST_BATCH * rows * kept)),
        }
    }
}

/// Expected sizes of what stages write, in bytes.
struct Disk {
    adapter: f64,
    /// Of one state, uncompressed.
    activations: f64,
    /// The scores of a battery, and those of the conversations.
    battery: f64,
    scripts: f64,
    /// A line of text.
    line: f64,
    report: f64,
}

impl Disk {
    fn of(study: &Study, model: &Model) -> Self {
        const LINE: f64 = 700.0;
        let d = &model.decoder;
        let c = &d.config;
        let (layers, hidden) = (c.layers as f64, c.hidden as f64);
        let widths: f64 = (0..LINEARS.len())
            .filter(|&t| {
                study
                    .written
                    .recipe
                    .targets
                    .iter()
                    .any(|n| *n == LINEARS[t])
            })
            .filter_map(|t| d.linear(0, t).weight.dims2().ok())
            .map(|(o, i)| o as f64 + i as f64)
            .sum();
        let pairs: usize = study.concepts.iter().map(|c| c.pairs.len()).sum();
        let texts = 2 * pairs + super::run::POSITIONS.len() * study.neutral_texts.len();
        let questions = study
            .battery
            .iter()
            .chain(&study.claims)
            .flat_map(|p| &p.prompts);
        let asked: usize = questions.map(|p| p.pairs.len()).sum();
        let scripts: usize = (study.scripts.iter().flat_map(|s| &s.scripts))
            .map(|s| 2 * s.pairs.len() + 4 * s.turns.len())
            .sum();
        let cells = (study.states() * study.concepts.len().pow(2)) as f64 * layers;
        Disk {
            adapter: 4.0 * study.written.recipe.rank as f64 * widths * layers,
            activations: 4.0 * texts as f64 * layers * hidden,
            battery: LINE * asked as f64,
            scripts: LINE * scripts as f64,
            line: LINE,
            // Figures and tables, and some twenty numbers of every cell in two formats.
            report: 2e7 + 20.0 * 20.0 * cells,
        }
    }
}

/// Reading every state and resampling its pairs: on machines seen, 10 to 15 s for ten states of 240
/// pairs with 2,000 draws, 165 to 213 s for 35 of 720.
fn report_seconds(study: &Study, states: usize) -> f64 {
    let pairs: usize = study.concepts.iter().map(|c| c.pairs.len()).sum();
    let draws = study.written.draws.bootstrap.max(study.written.draws.null);
    12.0 * ((states * pairs) as f64 / 2400.0).powf(1.17) * draws as f64 / 2000.0
}

/// Activations that the report holds at once, with their differences.
fn report_bytes(study: &Study, model: &Model, states: usize) -> f64 {
    let pairs: usize = study.concepts.iter().map(|c| c.pairs.len()).sum();
    let texts = 3 * pairs + super::run::POSITIONS.len() * study.neutral_texts.len();
    let (layers, draws) = (model.decoder.layers() as f64, &study.written.draws);
    let stream = 4.0 * (states * texts) as f64 * layers * model.decoder.hidden() as f64;
    // Draws of the pair in four forms, and which pairs each draw takes.
    let drawn = (4.0 * layers * states as f64 + pairs as f64) * draws.bootstrap as f64;
    stream + 4.0 * drawn
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

/// All stages in an order in which each follows what it needs, with what each costs at `rates`.
pub fn plan(study: &Study, model: &Model, rates: &Rates) -> Result<Vec<Stage>, StudyError> {
    let w = &study.written;
    let (memory, disk) = (Memory::of(model), Disk::of(study, model));
    let scoring = |(rows, scored): (usize, usize)| {
        rows as f64 / rates.forward + scored as f64 * rates.head_seconds()
    };
    let states = states(study);
    let base = json!({"version": VERSION, "model": model.sha256, "crate": env!("CARGO_PKG_VERSION"),
        "tokenizer": model.tokenizer.reading()});
    let digest = |v: Value| digest::of_json(&v);
    let mut stages = Vec::new();
    let distil = digest(json!({"base": base, "prompts": study.neutral_prompts}));
    if study.tunes() {
        let n = study.neutral_prompts.len();
        let prompts: Vec<Tokens> = study
            .neutral_prompts
            .iter()
            .map(|p| Ok(model.tokenizer.prompt(None, p)?))
            .collect::<Result<_, StudyError>>()?;
        let read = shared_rows(&prompts);
        let rows = read + n * DISTILLED;
        stages.push(Stage {
            name: "distil".into(),
            kind: Kind::Distil,
            key: distil.clone(),
            rows,
            seconds: read as f64 / rates.forward + (n * DISTILLED) as f64 / rates.generated,
            bytes: memory.base,
            disk: n as f64 * disk.line,
        });
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
    let mut state_keys = Vec::new();
    for (i, s) in states.iter().enumerate() {
        let c = &study.conditions[s.condition];
        let key = match &c.source {
            Source::Base => digest(json!({"base": base})),
            Source::System(text) => digest(json!({"base": base, "system": text})),
            Source::Model { name, .. } => digest(json!({"base": base, "other": name})),
            Source::Adapter(dir) => {
                let file = dir.join("adapter_model.safetensors");
                digest(json!({"base": base, "adapter": digest::of_file(&file)?}))
            }
            Source::Data { rows, .. } => {
                let mut of = json!({"base": base, "rows": rows, "neutral": distil,
                    "recipe": w.recipe, "seed": w.seed, "run": s.seed});
                if let Some(prevent) = &c.prevent {
                    // The direction is base's, read on these texts.
                    of["prevent"] = json!([prevent, concept_value, neutral]);
                }
                let key = digest(of);
                let n = rows.len() + study.neutral_prompts.len();
                let steps = w.recipe.steps(n);
                let all = n
                    .div_ceil(w.recipe.step_rows())
                    .saturating_mul(w.recipe.epochs);
                let rows = training_rows(study, model, rows)?;
                stages.push(Stage {
                    name: format!("finetune-{}", s.id),
                    kind: Kind::Finetune(i),
                    key: key.clone(),
                    rows,
                    seconds: rows as f64 / rates.trained,
                    // A pass trains every row; the steps may end before the passes do.
                    bytes: (memory.step)(rows as f64 / all.max(1) as f64) + 5.0 * disk.adapter,
                    disk: disk.adapter * (1 + w.recipe.checkpoints.len()) as f64
                        + steps as f64 * disk.line,
                });
                key
            }
        };
        state_keys.push(key);
    }
    let capture_rows = {
        let tok = &model.tokenizer;
        let all: Vec<Tokens> = concept_texts(&study.concepts, tok, None)?
            .into_iter()
            .flatten()
            .collect();
        shared_rows(&all) + shared_rows(&neutral_texts(&study.neutral_texts, tok, None)?)
    };
    let battery = battery_rows(&study.battery, model)?;
    let claims = battery_rows(&study.claims, model)?;
    let both = (battery.0 + claims.0, battery.1 + claims.1);
    let batteries = json!([battery_value(&study.battery), battery_value(&study.claims)]);
    let mut all_keys: Vec<(String, String)> = Vec::new();
    for (i, s) in states.iter().enumerate() {
        let capture =
            digest(json!({"state": state_keys[i], "concepts": concept_value, "neutral": neutral}));
        let capturing = Stage {
            name: format!("capture-{}", s.id),
            kind: Kind::Capture(i),
            key: capture.clone(),
            rows: capture_rows,
            seconds: capture_rows as f64 / rates.captured,
            bytes: if i == 0 { memory.base } else { memory.state },
            disk: disk.activations,
        };
        // Fine-tunes that are kept from a concept need base's direction.
        match i {
            0 => stages.insert(0, capturing),
            _ => stages.push(capturing),
        }
        let behave = digest(json!({"state": state_keys[i], "battery": batteries}));
        stages.push(Stage {
            name: format!("behave-{}", s.id),
            kind: Kind::Behave(i),
            key: behave.clone(),
            rows: both.0,
            seconds: scoring(both),
            bytes: if i == 0 { memory.base } else { memory.state },
            disk: disk.battery,
        });
        all_keys.push((capture, behave));
    }
    let layers = json!(w.layers);
    let mut more_keys = Vec::new();
    if let Some(c) = &w.conversations {
        let scripts: Value = (study.scripts.iter())
            .map(|s| json!([s.preference, s.scripts]))
            .collect();
        let work = talking(study, c.replies, model)?;
        let seconds = scoring(work.scored)
            + work.projected as f64 / rates.captured
            + work.written as f64 / rates.generated;
        for (i, s) in states.iter().enumerate() {
            let key = digest(json!({"state": state_keys[i], "scripts": scripts,
                "replies": c.replies, "rulers": all_keys[0].0, "layers": layers, "seed": w.seed}));
            stages.push(Stage {
                name: format!("converse-{}", s.id),
                kind: Kind::Converse(i),
                key: key.clone(),
                rows: work.scored.0 + work.projected,
                seconds,
                bytes: if i == 0 { memory.base } else { memory.state },
                disk: disk.scripts,
            });
            more_keys.push(key);
        }
    }
    if let Some(t) = &w.trajectory {
        let of = |name: &str| {
            let first = |s: &&State| study.conditions[s.condition].name == name;
            states.iter().find(first)
        };
        let both_states: Vec<&State> = of(&t.condition)
            .into_iter()
            .chain(of(&t.reference))
            .collect();
        let trained: f64 = (stages.iter())
            .filter(|s| {
                let name = |x: &&State| s.name == format!("finetune-{}", x.id);
                both_states.iter().any(name)
            })
            .map(|s| s.seconds)
            .sum();
        let reads = 2.0 * (t.checkpoints + 1) as f64;
        let pairs: usize = study.concepts.iter().map(|c| c.pairs.len()).sum();
        let part = (2 * t.pairs) as f64 / pairs.max(1) as f64;
        let asked = t.prompts as f64 / w.sizes.prompts as f64;
        let keys: Vec<&String> = (both_states.iter())
            .filter_map(|s| states.iter().position(|x| x.id == s.id))
            .map(|i| &state_keys[i])
            .collect();
        let key = digest(
            json!({"states": keys, "trajectory": t, "concepts": concept_value,
            "neutral": neutral, "battery": batteries, "layers": layers}),
        );
        stages.push(Stage {
            name: "trajectory".into(),
            kind: Kind::Trajectory,
            key: key.clone(),
            rows: (reads * (part * capture_rows as f64 + asked * battery.0 as f64)) as usize,
            seconds: trained
                + reads * (part * capture_rows as f64 / rates.captured + asked * scoring(battery)),
            bytes: memory.state,
            disk: reads * (disk.adapter + disk.activations + disk.battery),
        });
        more_keys.push(key);
    }
    if let (Some(c), Some(sides)) = (&w.causal, cause::sides(study, &states)) {
        let preferences = battery_value(&study.battery);
        let mut push = |name: String, kind, of: Value, (rows, scored), runs: usize, bytes| {
            let key =
                digest(json!({"base": base, "battery": preferences, "of": of, "seed": w.seed}));
            more_keys.push(key.clone());
            stages.push(Stage {
                name,
                kind,
                key,
                rows: runs * rows,
                seconds: runs as f64 * scoring((rows, scored)) * EDIT,
                bytes,
                disk: runs as f64 * disk.battery,
            });
        };
        for asked in [Asked::Preferences, Asked::Claim] {
            let battery = asked.battery(study);
            if battery.is_empty() {
                continue;
            }
            let rows = battery_rows(&battery, model)?;
            for &i in sides.0.iter().chain(&sides.1) {
                // Directions are read in base, in a fine-tune, and (random ones) in the first.
                let from = [0, cause::directions_of(i, &sides), sides.0[0]];
                let from = from.map(|s| &all_keys[s].0);
                let bytes = if i == 0 { memory.base } else { memory.state };
                let (id, kind) = (&states[i].id, Kind::Ablate(i, asked));
                let (name, of) = match asked {
                    Asked::Preferences => (
                        format!("ablate-{id}"),
                        json!([state_keys[i], from, c.random, c.placebos, c.prompts]),
                    ),
                    Asked::Claim => (
                        format!("ablate-claim-{id}"),
                        json!([
                            state_keys[i],
                            from,
                            c.random,
                            c.placebos,
                            battery_value(&battery)
                        ]),
                    ),
                };
                push(name, kind, of, rows, 4 + c.placebos.len() + c.random, bytes);
            }
        }
        let directions = 2 + c.placebos.len() + c.random.min(cause::DOSED_RANDOM);
        let doses = 1 + c.alphas.len() * directions;
        let claim = battery_value(&Asked::Claim.battery(study));
        let of = json!([all_keys[0].0, c.alphas, c.random, c.placebos, layers, claim]);
        let rows = battery_rows(&cause::asked_of_doses(study), model)?;
        push("dose".into(), Kind::Dose, of, rows, doses, memory.base);
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
            json!({"states": all_keys, "more": more_keys, "draws": w.draws, "layers": layers,
            "seed": w.seed, "nuisances": study.nuisances, "name": w.name, "status": status}),
        ),
        rows: 0,
        seconds: report_seconds(study, states.len()),
        bytes: memory.base + report_bytes(study, model, states.len()),
        disk: disk.report,
    });
    // The process keeps what a stage freed.
    let mut most = 0f64;
    for s in &mut stages {
        most = most.max(s.bytes);
        s.bytes = most;
    }
    Ok(stages)
}
