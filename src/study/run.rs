//! Running a plan: each stage once, its outputs whole or absent, its marker last.

use super::acts::{self, StateActs, Texts};
use super::findings::Findings;
use super::manifest::{Source, Study};
use super::price::Price;
use super::renders::Rendered;
use super::stages::{plan, states, system, Kind, Marker, Stage, State};
use super::{cause, converse, day, fit, outputs, trajectory, StudyError};
use crate::behavior::{stance, PairScore};
use crate::capture::Position;
use crate::finetune::{examples, train_under, Distil, Prevent, Recipe};
use crate::geometry::shift::layer_rms;
use crate::model::{warning, Adapter, Decoder, Interventions, Model};
use crate::speed::Rates;
use crate::stats::rng::stream;
use crate::store::hardware::{peak_memory_bytes, reset_peak_memory};
use crate::store::manifest::StageRecord;
use crate::store::{atomic, ActivationSpec, Manifest, Precision, RootAttrs};
use serde::{de::DeserializeOwned, Serialize};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What a run tells whoever watches it.
pub enum Event<'a> {
    /// The study fits the model and the machine; its texts, and what is left of it to do.
    Checked {
        rendered: Rendered,
        price: &'a Price,
    },
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

/// Holds a study against its model and the machine: its stages, its texts and its price.
///
/// # Errors
/// Whatever would end the study before it is finished, as far as it can be known.
pub fn check(
    study: &Study,
    model: &Model,
    out: &Path,
    rates: &Rates,
) -> Result<(Vec<Stage>, Rendered, Price), StudyError> {
    let rendered = fit::hold(study, model)?;
    let stages = plan(study, model, rates)?;
    let price = Price::of(&stages, out);
    price.hold(out)?;
    fit::hold_models(study, model)?;
    Ok((stages, rendered, price))
}

/// Refuses a folder that holds the run of a study of another name: files of both would stand side
/// by side.
fn another(study: &Study, out: &Path) -> Result<(), StudyError> {
    if !out.join("manifest.json").exists() {
        return Ok(());
    }
    let held = Manifest::read(out)?;
    match held.config.get("name").and_then(|n| n.as_str()) {
        Some(name) if name != study.written.name => Err(StudyError::Stage {
            path: out.into(),
            why: format!("holds the run of study `{name}`; give another folder (--out)"),
        }),
        _ => Ok(()),
    }
}

/// Runs what is not done yet, once all of it is checked. Returns what was found.
pub fn run(
    study: &Study,
    model: &Model,
    out: &Path,
    command: &[String],
    watch: &mut dyn FnMut(Event),
) -> Result<Findings, StudyError> {
    let (stages, rendered, price) = check(study, model, out, &Rates::TYPICAL)?;
    watch(Event::Checked {
        rendered,
        price: &price,
    });
    let make = |p: &Path| {
        std::fs::create_dir_all(p).map_err(|source| StudyError::Write {
            path: p.into(),
            source,
        })
    };
    make(out)?;
    another(study, out)?;
    day::keep(&study.written, out, model.tokenizer.date())?;
    for sub in [
        "stages",
        "adapters",
        "activations",
        "behaviour",
        "conversations",
        "trajectory",
        cause::FOLDER,
        "figures",
    ] {
        make(&out.join(sub))?;
        atomic::clean_leftovers(&out.join(sub))?;
    }
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
    manifest.warnings = warning::texts(&model.warnings);
    manifest.warnings.extend(findings.warnings.iter().cloned());
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
            Kind::Converse(i) => converse::converse(self, i),
            Kind::Trajectory => trajectory::follow(self, watch),
            Kind::Ablate(i, asked) => cause::ablate(self, i, asked, watch),
            Kind::Dose => cause::dose(self, watch),
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
        let mut config = serde_json::to_value(&self.study.written).unwrap_or_default();
        config["tokenizer"] = self.model.tokenizer.record();
        let mut a = RootAttrs::new(&self.command.join(" "), config, self.study.written.seed);
        a.model_id = self.model.id.clone();
        a.model_sha256 = self.model.sha256.clone();
        a.chat_template_sha256 = self.model.template_sha256().unwrap_or_default();
        a.warnings = warning::texts(&self.model.warnings);
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
            Source::Model { name, at } => {
                let path = crate::model::resolve::resolve(at, &mut |_| ())?;
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
        let id = self.states[state].id.clone();
        let dir = format!("adapters/{id}");
        self.train(state, &self.study.written.recipe, &dir, watch)?;
        let files = [
            "adapter_config.json",
            "adapter_model.safetensors",
            "training.jsonl",
        ];
        Ok(files.iter().map(|f| format!("{dir}/{f}")).collect())
    }

    /// Fine-tunes a state by a recipe into a folder below the run folder.
    pub fn train(
        &self,
        state: usize,
        recipe: &Recipe,
        dir: &str,
        watch: &mut dyn FnMut(Event),
    ) -> Result<(), StudyError> {
        let s = &self.states[state];
        let condition = &self.study.conditions[s.condition];
        let Source::Data { rows, .. } = &condition.source else {
            return Ok(());
        };
        let path = self.out.join("distilled.jsonl");
        let text = std::fs::read_to_string(&path).map_err(|source| StudyError::Read {
            path: path.clone(),
            source,
        })?;
        let neutral = crate::materials::parse_conversations(&text, &path)?;
        let mut all = rows.clone();
        all.extend(neutral.into_iter().map(|c| c.messages));
        let mut recipe = recipe.clone();
        let edits = match &condition.prevent {
            None => Interventions::none(),
            Some(prevent) => {
                recipe.prevent = Some(prevent.clone());
                self.prevention(prevent)?
            }
        };
        let decoder = &self.model.decoder;
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
        let begun = Instant::now();
        let mut on_step = |step: &crate::finetune::Step, total: usize| {
            let done = step.step + 1;
            let left = begun.elapsed().as_secs_f64() / done as f64 * (total - done) as f64;
            watch(Event::Detail(format!(
                "step {done}/{total}, loss {:.3}, {left:.0} s left",
                step.loss
            )));
        };
        let dir = self.out.join(dir);
        train_under(
            decoder,
            start,
            &examples,
            &recipe,
            &edits,
            seed,
            &dir,
            &mut on_step,
        )?;
        Ok(())
    }

    /// The edits of a fine-tune that is kept from a concept: base's direction of it.
    fn prevention(&self, prevent: &Prevent) -> Result<Interventions, StudyError> {
        let base = StateActs::read(self, 0)?;
        let direction = base.direction(self.study.prevented(prevent));
        let narrow = |row: ndarray::ArrayView1<f64>| row.iter().map(|v| *v as f32).collect();
        let vectors = (direction.rows().into_iter().enumerate())
            .map(|(l, row)| (l, narrow(row)))
            .collect();
        let rms = layer_rms(base.neutral[0].view()).into_iter().enumerate();
        Ok(prevent.interventions(&vectors, &rms.collect())?)
    }

    fn capture(&mut self, state: usize) -> Result<Vec<String>, StudyError> {
        let decoder = self.decoder(state)?;
        let s = &self.states[state];
        let name = self.activations(state);
        let spec = ActivationSpec {
            condition: self.study.conditions[s.condition].name.clone(),
            seed: s.seed,
            step: None,
            layers: (0..decoder.layers()).collect(),
            hidden: decoder.hidden(),
            positions: POSITIONS.iter().map(Position::to_string).collect(),
            precision: Precision::F32,
        };
        let texts = Texts {
            concepts: &self.study.concepts,
            neutral: &self.study.neutral_texts,
            system: self.system(state),
        };
        acts::write(self, &decoder, &texts, spec, &name)?;
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
        self.write_lines(&name, &all)?;
        Ok(vec![name])
    }

    /// Path of a state's battery log below the run folder.
    pub fn behaviour(&self, state: usize) -> String {
        format!("behaviour/{}.jsonl", self.states[state].id)
    }

    /// The scores of a state, battery and claims.
    pub fn scores(&self, state: usize) -> Result<Vec<PairScore>, StudyError> {
        self.lines(&self.behaviour(state))
    }

    /// Writes rows as JSON lines below the run folder.
    pub fn write_lines<T: Serialize>(&self, name: &str, rows: &[T]) -> Result<(), StudyError> {
        let mut lines = String::new();
        for row in rows {
            lines += &serde_json::to_string(row).unwrap_or_default();
            lines.push('\n');
        }
        Ok(atomic::write(&self.out.join(name), lines.as_bytes())?)
    }

    /// Reads JSON lines below the run folder.
    pub fn lines<T: DeserializeOwned>(&self, name: &str) -> Result<Vec<T>, StudyError> {
        let path = self.out.join(name);
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
