//! Running a plan: each stage once, its outputs whole or absent, its marker last.

use super::findings::Findings;
use super::manifest::{Source, Study};
use super::stages::{
    concept_texts, neutral_texts, plan, states, system, Kind, Marker, Stage, State,
};
use super::{cause, outputs, StudyError};
use crate::behavior::{stance, PairScore};
use crate::capture::{capture, CaptureError, Position, Request};
use crate::finetune::{examples, train, Distil};
use crate::model::{Adapter, Decoder, Interventions, Model, Tokens};
use crate::speed::Rates;
use crate::stats::rng::stream;
use crate::store::hardware::{peak_memory_bytes, reset_peak_memory};
use crate::store::manifest::StageRecord;
use crate::store::{
    atomic, ActivationSpec, ActivationWriter, Manifest, Precision, RootAttrs, Sample,
};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What a run tells whoever watches it.
pub enum Event<'a> {
    /// Stage `index` of `total` begins; `seconds_left` is the estimate for all that remain.
    Begin {
        index: usize,
        total: usize,
        stage: &'a Stage,
        seconds_left: f64,
    },
    /// A line about the stage under way.
    Detail(String),
    /// The stage ended.
    End { seconds: f64, reused: bool },
}

/// A study under way in its run folder.
pub struct Run<'a> {
    pub study: &'a Study,
    pub model: &'a Model,
    pub out: PathBuf,
    /// The command line, for the record.
    pub command: Vec<String>,
    states: Vec<State>,
    /// The decoder of the state last used, so that capture and battery load it once.
    held: Option<(usize, Decoder)>,
}

/// Positions that neutral texts are read at; concept pairs are read at the first only.
pub const POSITIONS: [Position; 2] = [Position::ResponseMean, Position::UserMean];

/// Runs what is not done yet. Returns what was found.
pub fn run(
    study: &Study,
    model: &Model,
    out: &Path,
    command: &[String],
    watch: &mut dyn FnMut(Event),
) -> Result<Findings, StudyError> {
    let make = |p: &Path| {
        std::fs::create_dir_all(p).map_err(|source| StudyError::Write {
            path: p.into(),
            source,
        })
    };
    make(out)?;
    for sub in ["stages", "adapters", "activations", "behaviour", "figures"] {
        make(&out.join(sub))?;
        atomic::clean_leftovers(&out.join(sub))?;
    }
    let stages = plan(study, model, &Rates::TYPICAL)?;
    let mut run = Run {
        study,
        model,
        out: out.into(),
        command: command.to_vec(),
        states: states(study),
        held: None,
    };
    let config = serde_json::to_value(&study.written).unwrap_or_default();
    let mut manifest = Manifest::new(command.to_vec(), config);
    manifest.seeds.insert("study".into(), study.written.seed);
    manifest
        .inputs
        .insert(model.id.clone(), model.sha256.clone());
    for u in &study.used {
        let file = u.file.to_string_lossy().into_owned();
        manifest.inputs.insert(file, u.sha256.clone());
    }
    // Seconds that finished stages took over what was expected of them: the machine's own pace.
    let pace = |out: &Path, upto: usize| -> f64 {
        let mut sums = (0.0, 0.0);
        for s in &stages[..upto] {
            if let Some(m) = Marker::done(out, s) {
                sums = (sums.0 + m.seconds, sums.1 + s.seconds);
            }
        }
        if sums.1 > 0.0 {
            sums.0 / sums.1
        } else {
            1.0
        }
    };
    let pending = |from: usize| -> f64 {
        let open = stages[from..]
            .iter()
            .filter(|s| Marker::done(out, s).is_none());
        pace(out, from) * open.map(|s| s.seconds).sum::<f64>()
    };
    let mut findings = None;
    for (index, stage) in stages.iter().enumerate() {
        watch(Event::Begin {
            index,
            total: stages.len(),
            stage,
            seconds_left: pending(index),
        });
        let start = Instant::now();
        let done = Marker::done(out, stage);
        let reused = done.is_some();
        let marker = match done {
            Some(marker) => marker,
            None => {
                reset_peak_memory();
                let outputs = run.stage(stage, watch, &mut findings).map_err(|source| {
                    StudyError::InStage {
                        stage: stage.name.clone(),
                        source: Box::new(source),
                    }
                })?;
                let marker = Marker {
                    key: stage.key.clone(),
                    seconds: start.elapsed().as_secs_f64(),
                    peak_bytes: peak_memory_bytes(),
                    outputs,
                };
                marker.write(out, &stage.name)?;
                marker
            }
        };
        for o in &marker.outputs {
            manifest.add_output(out, o)?;
        }
        manifest.stages.push(StageRecord {
            name: stage.name.clone(),
            hash: stage.key.clone(),
            seconds: marker.seconds,
            reused,
        });
        watch(Event::End {
            seconds: marker.seconds,
            reused,
        });
    }
    let findings = match findings {
        Some(f) => f,
        None => Findings::read(out)?,
    };
    manifest.warnings = findings.warnings.clone();
    manifest.finished = Some(crate::store::time::utc_now());
    manifest.write(out)?;
    Ok(findings)
}

impl Run<'_> {
    fn stage(
        &mut self,
        stage: &Stage,
        watch: &mut dyn FnMut(Event),
        findings: &mut Option<Findings>,
    ) -> Result<Vec<String>, StudyError> {
        match stage.kind {
            Kind::Distil => self.distil(),
            Kind::Finetune(i) => self.finetune(i, watch),
            Kind::Capture(i) => self.capture(i),
            Kind::Behave(i) => self.behave(i),
            Kind::Causal => cause::causal(self, watch),
            Kind::Report => {
                self.held = None;
                let (f, files) = outputs::write(self)?;
                *findings = Some(f);
                Ok(files)
            }
        }
    }

    pub fn states(&self) -> &[State] {
        &self.states
    }

    /// Attributes that every HDF5 file of the run carries.
    pub fn attrs(&self) -> RootAttrs {
        let config = serde_json::to_value(&self.study.written).unwrap_or_default();
        let mut a = RootAttrs::new(&self.command.join(" "), config, self.study.written.seed);
        a.model_id = self.model.id.clone();
        a.model_sha256 = self.model.sha256.clone();
        a.chat_template_sha256 = self.model.template_sha256().unwrap_or_default();
        a
    }

    /// The system prompt of a state.
    pub fn system(&self, state: usize) -> Option<&str> {
        system(&self.study.conditions[self.states[state].condition])
    }

    /// Path of a state's activations below the run folder.
    pub fn activations(&self, state: usize) -> String {
        format!("activations/{}.h5", self.states[state].id)
    }

    fn adapter_dir(&self, state: usize) -> PathBuf {
        self.out.join("adapters").join(&self.states[state].id)
    }

    /// The decoder of a state: base, merged adapter, or another model of the same shape.
    pub fn decoder(&mut self, state: usize) -> Result<Decoder, StudyError> {
        let base = &self.model.decoder;
        if let Some((held, d)) = &self.held {
            if *held == state {
                return Ok(d.clone());
            }
        }
        self.held = None;
        let merged = |dir: &Path| -> Result<Decoder, StudyError> {
            Ok(base.merged(&Adapter::read(dir, base)?)?)
        };
        let decoder = match &self.study.conditions[self.states[state].condition].source {
            Source::Base | Source::System(_) => base.clone(),
            Source::Adapter(dir) => merged(dir)?,
            Source::Data { .. } => merged(&self.adapter_dir(state))?,
            Source::Model(name) => {
                let path = crate::model::resolve::resolve(name, &mut |_| ())?;
                let other = Model::load(name, &path)?.decoder;
                let shape = |d: &Decoder| format!("{} x {}", d.layers(), d.hidden());
                if shape(&other) != shape(base) {
                    return Err(StudyError::OtherShape {
                        got: name.clone(),
                        got_shape: shape(&other),
                        want_shape: shape(base),
                    });
                }
                other
            }
        };
        self.held = Some((state, decoder.clone()));
        Ok(decoder)
    }

    /// The model's own greedy answers to the neutral prompts.
    fn distil(&mut self) -> Result<Vec<String>, StudyError> {
        let path = self.out.join("distilled.jsonl");
        let prompts = &self.study.neutral_prompts;
        Distil::default().write(self.model, prompts, &path, &mut |_| ())?;
        Ok(vec!["distilled.jsonl".into()])
    }

    fn finetune(
        &mut self,
        state: usize,
        watch: &mut dyn FnMut(Event),
    ) -> Result<Vec<String>, StudyError> {
        let s = self.states[state].clone();
        let Source::Data { rows, .. } = &self.study.conditions[s.condition].source else {
            return Ok(Vec::new());
        };
        let path = self.out.join("distilled.jsonl");
        let text = std::fs::read_to_string(&path).map_err(|source| StudyError::Read {
            path: path.clone(),
            source,
        })?;
        let neutral = crate::materials::parse_conversations(&text, &path)?;
        let mut all = rows.clone();
        all.extend(neutral.into_iter().map(|c| c.messages));
        let (recipe, decoder) = (&self.study.written.recipe, &self.model.decoder);
        let examples = examples(&self.model.tokenizer, &all, recipe.max_tokens)?;
        let seed = self
            .study
            .written
            .seed
            .wrapping_mul(1000)
            .wrapping_add(s.seed);
        let targets = recipe.target_indices()?;
        let rng = &mut stream(seed, "lora-init", 0);
        let start = Adapter::init(
            decoder,
            &self.model.id,
            recipe.rank,
            recipe.alpha,
            &targets,
            rng,
        )?;
        let dir = self.adapter_dir(state);
        let begun = Instant::now();
        train(
            decoder,
            start,
            &examples,
            recipe,
            seed,
            &dir,
            &mut |step, total| {
                let done = step.step + 1;
                let left = begun.elapsed().as_secs_f64() / done as f64 * (total - done) as f64;
                watch(Event::Detail(format!(
                    "step {done}/{total}, loss {:.3}, {left:.0} s left",
                    step.loss
                )));
            },
        )?;
        let files = [
            "adapter_config.json",
            "adapter_model.safetensors",
            "training.jsonl",
        ];
        Ok(files
            .iter()
            .map(|f| format!("adapters/{}/{f}", s.id))
            .collect())
    }

    fn capture(&mut self, state: usize) -> Result<Vec<String>, StudyError> {
        let decoder = self.decoder(state)?;
        let system = self.system(state).map(str::to_string);
        let concepts = concept_texts(self.study, self.model, system.as_deref())?;
        let neutral = neutral_texts(self.study, self.model, system.as_deref())?;
        let layers: Vec<usize> = (0..decoder.layers()).collect();
        let s = &self.states[state];
        let name = self.activations(state);
        let spec = ActivationSpec {
            condition: self.study.conditions[s.condition].name.clone(),
            seed: s.seed,
            step: None,
            layers: layers.clone(),
            hidden: decoder.hidden(),
            positions: POSITIONS.iter().map(Position::to_string).collect(),
            precision: Precision::F32,
        };
        let mut writer = ActivationWriter::create(&self.out.join(&name), &self.attrs(), spec)?;
        // Concepts are read at the response alone, in one batch plan: prefixes are shared.
        let flat: Vec<Tokens> = concepts.iter().flatten().cloned().collect();
        let mut got = vec![None; flat.len()];
        let request = Request::new(&POSITIONS[..1], layers.clone());
        let none = Interventions::none();
        capture(&decoder, &flat, &request, &none, &mut |i, _, values| {
            got[i] = Some(values);
            Ok(())
        })?;
        let mut next = 0;
        for concept in &self.study.concepts {
            for pair in &concept.pairs {
                for label in ["positive", "negative"] {
                    let Some(values) = got[next].take() else {
                        continue;
                    };
                    writer.append(Sample {
                        set: concept.name.clone(),
                        prompt_id: pair.id.clone(),
                        label: label.into(),
                        role: "response".into(),
                        n_tokens: flat[next].ids.len() as u32,
                        rows: vec![(0, values)],
                    })?;
                    next += 1;
                }
            }
        }
        let request = Request::new(&POSITIONS, layers);
        let mut rows: Vec<Vec<(usize, ndarray::Array2<f32>)>> = vec![Vec::new(); neutral.len()];
        capture(&decoder, &neutral, &request, &none, &mut |i, p, values| {
            rows[i].push((p, values));
            Ok::<(), CaptureError>(())
        })?;
        for ((t, tokens), rows) in self.study.neutral_texts.iter().zip(&neutral).zip(rows) {
            writer.append(Sample {
                set: "neutral".into(),
                prompt_id: t.id.clone(),
                label: t.kind.clone(),
                role: "response".into(),
                n_tokens: tokens.ids.len() as u32,
                rows,
            })?;
        }
        writer.finish()?;
        Ok(vec![name])
    }

    fn behave(&mut self, state: usize) -> Result<Vec<String>, StudyError> {
        let decoder = self.decoder(state)?;
        let none = Interventions::none();
        let system = self.system(state);
        let tok = &self.model.tokenizer;
        let mut all: Vec<PairScore> = stance(&decoder, tok, &self.study.battery, system, &none)?;
        if !self.study.claims.is_empty() {
            all.extend(stance(&decoder, tok, &self.study.claims, system, &none)?);
        }
        let name = self.behaviour(state);
        let mut lines = String::new();
        for s in &all {
            lines += &serde_json::to_string(s).unwrap_or_default();
            lines.push('\n');
        }
        atomic::write(&self.out.join(&name), lines.as_bytes())?;
        Ok(vec![name])
    }

    /// Path of a state's battery log below the run folder.
    pub fn behaviour(&self, state: usize) -> String {
        format!("behaviour/{}.jsonl", self.states[state].id)
    }

    /// The scores of a state, battery and claims.
    pub fn scores(&self, state: usize) -> Result<Vec<PairScore>, StudyError> {
        let path = self.out.join(self.behaviour(state));
        let text = std::fs::read_to_string(&path).map_err(|source| StudyError::Read {
            path: path.clone(),
            source,
        })?;
        text.lines()
            .map(|l| {
                serde_json::from_str(l).map_err(|e| StudyError::Stage {
                    path: path.clone(),
                    why: e.to_string(),
                })
            })
            .collect()
    }
}
