//! What stages are expected to take: rows that are computed, seconds at a machine's rates, peaks of
//! memory, bytes on disk.
//!
//! Texts are tokenised to count them, and beginnings that they share count once, as they are computed
//! once. All of it is an estimate, made before anything runs.

use super::manifest::{Condition, Source, Study};
use super::stage::Cost;
use super::Result;
use crate::analysis::texts::{neutral_tokens, StateTexts};
use crate::behavior::conversation::Replies;
use crate::behavior::{choice, kept_bytes, stance_texts};
use crate::capture::BUDGET;
use crate::finetune::{batches, Recipe};
use crate::materials::Preference;
use crate::model::decoder::LINEARS;
use crate::model::{Decoder, Message, Model, Packed, Role, Tokens};
use crate::speed::{shared_rows, Rates};

/// Tokens of a distilled answer, about; the limit is 48.
const DISTILLED: usize = 40;

/// What an intervention at every layer adds to scoring.
const EDIT: f64 = 1.15;

/// Models run on the texts for side effects until a control is matched, about.
const SEARCH: f64 = 2.0;

/// Rows of the largest batch of a fine-tune over those of the mean one, about.
const LARGEST_BATCH: f64 = 1.3;

/// Steps of a fine-tune whose batches are counted; the others are taken to be like them.
const PRICED: usize = 200;

/// Positions at which neutral texts are kept, and further ones of a trace.
const POSITIONS: usize = 2;
const TRACE: usize = 7;

/// What measuring a trace adds to the seconds of measuring.
const TRACED: f64 = 1.25;

/// Bytes of a line of text.
const LINE: f64 = 700.0;

/// Rows of a battery, how many of them reach the language head, and its pairs of completions.
#[derive(Debug, Clone, Copy, Default)]
struct Scored {
    rows: usize,
    heads: usize,
    pairs: usize,
}

/// Costs of a study on a model at a machine's rates.
pub struct Costs<'a> {
    study: &'a Study,
    model: &'a Model,
    rates: Rates,
    memory: Memory,
    /// Bytes of an adapter.
    adapter: f64,
    battery: Scored,
    claims: Scored,
    declining: Scored,
    /// Rows that are captured in a state.
    captured: usize,
    /// Rows of the texts that the layer RMS is taken on.
    scale: usize,
}

impl<'a> Costs<'a> {
    /// Counts the texts.
    ///
    /// # Errors
    /// A text that the template refuses.
    pub fn new(study: &'a Study, model: &'a Model, rates: Rates) -> Result<Self> {
        let tok = &model.tokenizer;
        let texts = StateTexts::new(tok, &study.concepts, &study.shift_texts, None, false)?;
        let pairs: Vec<Tokens> =
            (texts.concepts.iter()).flat_map(|c| c.texts.iter().cloned()).collect();
        Ok(Costs {
            study,
            model,
            rates,
            memory: Memory::of(study, model),
            adapter: adapter_bytes(study, model),
            battery: scored(&study.battery, model)?,
            claims: scored(&study.claims, model)?,
            declining: scored(&study.declining, model)?,
            captured: shared_rows(&pairs) + shared_rows(&texts.neutral),
            scale: shared_rows(&neutral_tokens(tok, &study.scale_texts, None)?),
        })
    }

    fn scoring(&self, s: Scored) -> f64 {
        s.rows as f64 / self.rates.forward + s.heads as f64 * self.rates.head_seconds()
    }

    /// Memory of reading or scoring a state.
    fn reading(&self, is_base: bool) -> f64 {
        match is_base {
            true => self.memory.base,
            false => self.memory.state,
        }
    }

    /// Answering the neutral prompts.
    ///
    /// # Errors
    /// A prompt that the template refuses.
    pub fn distil(&self) -> Result<Cost> {
        let prompts = || self.study.mixed.iter().chain(&self.study.pool);
        let tokens: Vec<Tokens> =
            prompts().map(|p| Ok(self.model.tokenizer.prompt(None, p)?)).collect::<Result<_>>()?;
        let (read, written) = (shared_rows(&tokens), tokens.len() * DISTILLED);
        Ok(Cost {
            rows: read + written,
            seconds: read as f64 / self.rates.forward + written as f64 / self.rates.generated,
            bytes: self.memory.base,
            disk: tokens.len() as f64 * LINE,
        })
    }

    /// Rows of all steps of a fine-tune: beginnings are shared within a step.
    ///
    /// # Errors
    /// A row or prompt that the template refuses.
    pub fn finetune(&self, state: usize, own: &[&[Message]]) -> Result<Cost> {
        let (tok, recipe) = (&self.model.tokenizer, self.study.recipe(state));
        let condition = self.study.of_state(state);
        let [n, mixed] = self.study.rows_of(condition);
        let total = recipe.steps(recipe.pass([n, mixed]));
        // Rows of its own first, then the mixed ones, each with what is added to it as an answer.
        let mut texts = Vec::new();
        for messages in own {
            texts.push((tok.chat(messages, false)?.ids, 0));
        }
        let pool = self.study.pool.iter().take(n - own.len().min(n));
        for prompt in pool.chain(&self.study.mixed[..mixed]) {
            texts.push((tok.prompt(None, prompt)?.ids, DISTILLED));
        }
        let [own, mixed]: [Vec<usize>; 2] = [(0..n).collect(), (n..n + mixed).collect()];
        let some = Recipe { max_steps: Some(total.clamp(1, PRICED)), ..recipe.clone() };
        let priced = batches([&own, &mixed], &some, self.study.seed_of(state));
        let of_batch = |batch: &Vec<usize>| {
            let ids: Vec<&[u32]> = batch.iter().map(|&i| texts[i].0.as_slice()).collect();
            Packed::new(&ids).rows() + batch.iter().map(|&i| texts[i].1).sum::<usize>()
        };
        let step = priced.iter().flatten().map(of_batch).sum::<usize>() as f64
            / priced.len().max(1) as f64;
        let rows = step * total as f64;
        Ok(Cost {
            rows: rows as usize,
            seconds: rows / self.rates.trained,
            bytes: self.memory.step(step) + 5.0 * self.adapter,
            disk: self.adapter * (1 + recipe.checkpoints.len()) as f64 + total as f64 * LINE,
        })
    }

    /// Reading a state on its texts.
    pub fn capture(&self, is_base: bool) -> Cost {
        let scale = if is_base { self.scale } else { 0 };
        let further = if self.study.reads_fewer() { scale } else { 0 };
        let pairs: usize = self.study.concepts.iter().map(|c| c.pairs.len()).sum();
        let positions = POSITIONS + if self.study.written.positions.trace { TRACE } else { 0 };
        let texts = 2 * pairs + positions * self.study.shift_texts.len();
        let d = &self.model.decoder;
        Cost {
            rows: self.captured + scale + further,
            seconds: (self.captured + further) as f64 / self.rates.captured
                + scale as f64 / self.rates.forward,
            bytes: self.reading(is_base),
            disk: 4.0 * (texts * d.layers() * d.hidden()) as f64,
        }
    }

    /// Scoring battery, claims and answers that decline in a state.
    pub fn behave(&self, is_base: bool) -> Cost {
        let all = [self.battery, self.claims, self.declining];
        Cost {
            rows: all.iter().map(|s| s.rows).sum(),
            seconds: all.iter().map(|s| self.scoring(*s)).sum(),
            bytes: self.reading(is_base),
            disk: LINE * all.iter().map(|s| s.pairs).sum::<usize>() as f64,
        }
    }

    /// Choosing between outcomes in a state, and reading each alone.
    ///
    /// # Errors
    /// An outcome that the template refuses.
    pub fn reveal(&self, is_base: bool) -> Result<Cost> {
        let (tok, outcomes) = (&self.model.tokenizer, &self.study.outcomes);
        let pairs = choice::pairs(outcomes.len(), self.study.written.seed);
        let chosen = counted(&stance_texts(tok, &choice::choices(outcomes, &pairs, None))?);
        let alone = shared_rows(&choice::alone(tok, outcomes, None)?);
        let d = &self.model.decoder;
        let layers = match is_base {
            true => d.layers(),
            false => self.study.reported(d.layers()).len(),
        };
        Ok(Cost {
            rows: chosen.rows + alone,
            seconds: self.scoring(chosen) + alone as f64 / self.rates.captured,
            bytes: self.reading(is_base),
            disk: LINE * chosen.pairs as f64 + 4.0 * (outcomes.len() * layers * d.hidden()) as f64,
        })
    }

    /// Holding the conversations in a state.
    ///
    /// # Errors
    /// A turn that the template refuses.
    pub fn converse(&self, is_base: bool, replies: Replies) -> Result<Cost> {
        let tok = &self.model.tokenizer;
        let (mut texts, mut talks, mut written) = (Vec::new(), Vec::new(), 0);
        let (mut lines, scripts) = (0, self.study.scripts.iter().flat_map(|s| &s.scripts));
        for script in scripts {
            let mut turns: Vec<Message> = Vec::new();
            for t in &script.turns {
                turns.push(Message::new("user", &t.user));
                let scripted = t.assistant.as_deref();
                let reply = scripted.filter(|_| replies == Replies::Scripted);
                written += if reply.is_none() { DISTILLED } else { 0 };
                turns.push(Message::new("assistant", reply.unwrap_or_default()));
            }
            talks.push(tok.chat(&turns, false)?);
            lines += 2 * script.pairs.len() + 4 * script.turns.len();
            for before in [turns, Vec::new()] {
                for answer in script.pairs.iter().flat_map(|p| [&p.express, &p.oppose]) {
                    let mut all = before.clone();
                    all.push(Message::new("user", &script.prompt));
                    all.push(Message::new("assistant", answer));
                    texts.push(tok.chat(&all, false)?);
                }
            }
        }
        let ends = counted(&texts);
        let projected = shared_rows(&talks) + written;
        Ok(Cost {
            rows: ends.rows + projected,
            seconds: self.scoring(ends)
                + projected as f64 / self.rates.captured
                + written as f64 / self.rates.generated,
            bytes: self.reading(is_base),
            disk: LINE * lines as f64,
        })
    }

    /// Reading both fine-tunes at every checkpoint.
    pub fn trajectory(&self, checkpoints: usize) -> Cost {
        let Some(t) = &self.study.written.trajectory else {
            return Cost::default();
        };
        let reads = 2.0 * (checkpoints + 1) as f64;
        let pairs: usize = self.study.concepts.iter().map(|c| c.pairs.len()).sum();
        let part = (2 * t.pairs) as f64 / pairs.max(1) as f64;
        let asked = t.prompts as f64 / self.study.written.sizes.prompts as f64;
        let captured = part * self.captured as f64;
        let one = self.capture(false);
        Cost {
            rows: (reads * (captured + asked * self.battery.rows as f64)) as usize,
            seconds: reads * (captured / self.rates.captured + asked * self.scoring(self.battery)),
            bytes: self.memory.state,
            disk: reads * (one.disk / self.model.decoder.layers() as f64 + self.behave(false).disk),
        }
    }

    /// Scoring `asked` under `edits`, the run without one among them, and under `matched` controls whose
    /// strength is searched for on the texts for side effects.
    ///
    /// # Errors
    /// A text that the template refuses.
    pub fn edited(
        &self,
        is_base: bool,
        asked: &[Preference],
        edits: usize,
        matched: usize,
    ) -> Result<Cost> {
        let s = scored(asked, self.model)?;
        let sides = neutral_tokens(&self.model.tokenizer, &self.study.side_texts, None)?;
        let sides = counted(&sides);
        // What the model does without an edit is read beside, for the edits as they are and the matched.
        let (all, guards) =
            ((edits + matched) as f64, edits as f64 + 2.0 + SEARCH * matched as f64);
        Ok(Cost {
            rows: (all * s.rows as f64 + guards * sides.rows as f64) as usize,
            seconds: (all * self.scoring(s) + guards * self.scoring(sides)) * EDIT,
            bytes: self.reading(is_base)
                + kept_bytes(sides.heads, self.model.decoder.config.vocab) as f64,
            disk: all * LINE * s.pairs as f64,
        })
    }

    /// Reading every state and resampling its pairs: on machines seen, 10 to 15 s for ten states of
    /// 240 pairs with 2,000 draws, 165 to 213 s for 35 of 720.
    pub fn measure(&self) -> Cost {
        let study = self.study;
        let states = study.states.len();
        let pairs: usize = study.concepts.iter().map(|c| c.pairs.len()).sum();
        let draws = &study.written.draws;
        let d = &self.model.decoder;
        let layers = d.layers() as f64;
        // Activations that are held at once, with their differences.
        let texts = 3 * pairs + POSITIONS * study.shift_texts.len();
        let mut stream = 4.0 * (states * texts) as f64 * layers * d.hidden() as f64;
        let mut seconds = 12.0 * ((states * pairs) as f64 / 2400.0).powf(1.17);
        if study.written.positions.trace {
            // Of base and of one state at a time.
            let traced = 2 * TRACE * study.shift_texts.len();
            stream += 4.0 * traced as f64 * layers * d.hidden() as f64;
            seconds *= TRACED;
        }
        // Draws of a couple in four forms, and which pairs each draw takes.
        let couples = study.roles.couples.len() as f64;
        let drawn =
            (4.0 * couples * layers * states as f64 + pairs as f64) * draws.bootstrap as f64;
        let cells = (states * study.concepts.len().pow(2)) as f64 * layers;
        Cost {
            rows: 0,
            seconds: seconds * draws.bootstrap.max(draws.null) as f64 / 2000.0,
            bytes: self.memory.base + stream + 4.0 * drawn,
            // Some twenty numbers of every cell in two formats.
            disk: 2e6 + 20.0 * 20.0 * cells,
        }
    }

    /// Drawing figures and writing the page.
    pub fn report(&self) -> Cost {
        Cost { rows: 0, seconds: 10.0, bytes: self.memory.base, disk: 2e7 }
    }
}

fn scored(battery: &[Preference], model: &Model) -> Result<Scored> {
    let mut texts = Vec::new();
    for p in battery.iter().flat_map(|p| &p.prompts) {
        for pair in &p.pairs {
            for a in [&pair.express, &pair.oppose] {
                texts.push(model.tokenizer.exchange(None, &p.prompt, a)?);
            }
        }
    }
    Ok(counted(&texts))
}

fn counted(texts: &[Tokens]) -> Scored {
    let responses = texts.iter().map(|t| t.with_role(Role::Response).len());
    Scored { rows: shared_rows(texts), heads: responses.sum(), pairs: texts.len() / 2 }
}

/// Bytes of an adapter of the study's recipe.
fn adapter_bytes(study: &Study, model: &Model) -> f64 {
    let (d, recipe) = (&model.decoder, &study.written.recipe);
    let is_adapted = |t: &usize| recipe.targets.iter().any(|n| *n == LINEARS[*t]);
    let widths: f64 = (0..LINEARS.len())
        .filter(is_adapted)
        .filter_map(|t| d.linear(0, t).weight.dims2().ok())
        .map(|(o, i)| o as f64 + i as f64)
        .sum();
    4.0 * recipe.rank as f64 * widths * d.layers() as f64
}

/// Bytes of a program that holds a model and does nothing yet. Pages of files count once read.
fn weight_bytes(d: &Decoder) -> f64 {
    let held = d.footprint();
    1e8 + (held.mapped + held.memory) as f64
}

/// Expected peak of memory, in bytes, of reading texts with a model: capture or scores.
pub fn reading_bytes(d: &Decoder) -> f64 {
    let c = &d.config;
    let passing = BUDGET * (4 * c.hidden + 3 * c.intermediate);
    weight_bytes(d) + 4.0 * passing as f64
}

/// Expected peaks of memory, in bytes.
struct Memory {
    /// Reading or scoring with base alone, and with another state's weights beside it.
    base: f64,
    state: f64,
    /// Before the first row of a step, and for each.
    weights: f64,
    row: f64,
}

impl Memory {
    fn of(study: &Study, model: &Model) -> Self {
        let d = &model.decoder;
        let c = &d.config;
        let held = d.footprint();
        // Values that a row leaves in a block: norms, projections, rotations, sums, the gated unit.
        let attention = (c.heads + c.kv_heads) * c.head_dim;
        let kept = (c.layers * (6 * c.hidden + 3 * attention + 4 * c.intermediate)) as f64;
        let (weights, base) = (weight_bytes(d), reading_bytes(d));
        // Another model is like base; an adapter is folded into what is in memory.
        let is_model = |c: &Condition| matches!(c.source, Source::Model { .. });
        let beside = match study.conditions.iter().any(is_model) {
            true => held.mapped + held.memory,
            false => held.maps,
        };
        Memory { base, state: base + beside as f64, weights, row: 4.0 * LARGEST_BATCH * kept }
    }

    /// A step of so many rows.
    fn step(&self, rows: f64) -> f64 {
        self.weights + rows * self.row
    }
}
