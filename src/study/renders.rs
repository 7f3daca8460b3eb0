//! Every text of a study, rendered and tokenised as its stages will do it.
//!
//! Conditions differ in their texts by their system prompt alone, so base's texts are read once, and
//! once more for each condition with a prompt. A text that the template refuses, that has no tokens
//! where it is to be read, or that is longer than the context, is an error that names its place.

use super::manifest::{Source, Study, BASE};
use super::planner::TRACE;
use super::stages::converse::REPLY;
use super::{Result, StudyError};
use crate::behavior::{choice, conversation::Replies};
use crate::capture::{check, CaptureError};
use crate::finetune::{examples, Distil, FinetuneError, RowFault};
use crate::materials::declining::DECLINING;
use crate::materials::{Preference, Script, ScriptSet, UsedRows};
use crate::model::{Message, Model, ModelError, Role, Tokens};
use serde::Serialize;
use std::path::PathBuf;

/// What the texts of a study come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Rendered {
    /// Texts that were rendered.
    pub texts: usize,
    /// Tokens of the longest, with what the model may add to it.
    pub longest: usize,
    /// Tokens that the model reads at most.
    pub context: usize,
}

/// What stands for an answer that the model writes itself.
const ANSWER: &str = "Yes.";

/// Where a text is from.
struct Place<'a> {
    file: PathBuf,
    line: Option<usize>,
    id: &'a str,
}

impl<'a> Place<'a> {
    /// Row `i` of those that were used of a file.
    fn row(used: &UsedRows, i: usize, id: &'a str) -> Self {
        Place { file: used.file.clone(), line: used.lines.get(i).copied(), id }
    }
}

/// Reads the texts of one condition.
struct Reader<'a> {
    study: &'a Study,
    model: &'a Model,
    condition: &'a str,
    system: Option<&'a str>,
    found: Rendered,
}

/// Renders everything. Returns how many texts there are and how long they get.
///
/// # Errors
/// `Text` for one that the template refuses, that is too long or has no tokens where it is read.
pub fn hold(study: &Study, model: &Model) -> Result<Rendered> {
    let mut reader = Reader {
        study,
        model,
        condition: BASE,
        system: None,
        found: Rendered { context: model.decoder.config.context, ..Rendered::default() },
    };
    reader.state()?;
    if study.tunes() {
        reader.training()?;
    }
    for c in &study.conditions {
        if let Some(system) = c.system() {
            (reader.condition, reader.system) = (&c.name, Some(system));
            reader.state()?;
        }
    }
    Ok(reader.found)
}

/// The first text of the study that another model encodes otherwise.
///
/// # Errors
/// A text that the template refuses or a tokenizer cannot encode.
pub fn differing(study: &Study, model: &Model, other: &Model) -> Result<Option<String>> {
    let prompts = study.battery.iter().flat_map(|p| &p.prompts);
    let prompts = prompts.filter_map(|p| Some((&p.prompt, &p.pairs.first()?.express)));
    let neutral = study.shift_texts.iter().map(|t| (&t.prompt, &t.response));
    for (prompt, answer) in neutral.chain(prompts) {
        let turns = exchange(None, prompt, answer);
        let text = model.tokenizer.render(&turns, false)?;
        let (own, others) = (&model.tokenizer, &other.tokenizer);
        if own.encode(&text)? != others.encode(&text)? {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

fn exchange(system: Option<&str>, prompt: &str, answer: &str) -> Vec<Message> {
    let mut turns: Vec<Message> = system.map(|s| Message::new("system", s)).into_iter().collect();
    turns.push(Message::new("user", prompt));
    turns.push(Message::new("assistant", answer));
    turns
}

/// The files of a kind, in the order of what was taken from them.
fn used<'s>(study: &'s Study, kind: &'static str) -> impl Iterator<Item = &'s UsedRows> {
    study.used.iter().filter(move |u| u.kind == kind)
}

impl Reader<'_> {
    fn wrong(&self, at: &Place, why: String) -> StudyError {
        StudyError::Text {
            file: at.file.clone(),
            line: at.line,
            id: at.id.into(),
            condition: self.condition.into(),
            why,
        }
    }

    fn refused(&self, at: &Place, e: ModelError) -> StudyError {
        let why = match (&e, self.system) {
            // Base's texts passed, so it is the system prompt.
            (ModelError::Template(_), Some(_)) => format!(
                "with the condition's system prompt: {e}; give the condition data or an adapter in place of it, or take a model whose template has a system turn"
            ),
            (ModelError::TooLong { .. }, _) => {
                format!("{e}; shorten it, or take a model with a longer context")
            }
            _ => e.to_string(),
        };
        self.wrong(at, why)
    }

    /// Tokens of turns to which the model may add `more`; the roles must have some.
    fn tokens(
        &mut self,
        at: &Place,
        turns: &[Message],
        roles: &[Role],
        more: usize,
    ) -> Result<Tokens> {
        let read = self.model.tokenizer.chat(turns, false);
        let tokens = read.map_err(|e| self.refused(at, e))?;
        for role in roles {
            if tokens.with_role(*role).is_empty() {
                let what = if *role == Role::User { "prompt" } else { "answer" };
                let why = format!("the {what} has no tokens of its own; write more, or something that the template does not use itself");
                return Err(self.wrong(at, why));
            }
        }
        self.length(at, tokens.ids.len() + more)?;
        Ok(tokens)
    }

    fn length(&mut self, at: &Place, tokens: usize) -> Result<()> {
        let context = self.found.context;
        if tokens > context {
            return Err(self.refused(at, ModelError::TooLong { tokens, context }));
        }
        self.found.texts += 1;
        self.found.longest = self.found.longest.max(tokens);
        Ok(())
    }

    /// What every state is read on and asked.
    fn state(&mut self) -> Result<()> {
        let study = self.study;
        for (concept, used) in study.concepts.iter().zip(used(study, "concept")) {
            for (i, pair) in concept.pairs.iter().enumerate() {
                let at = Place::row(used, i, &pair.id);
                for answer in [&pair.positive, &pair.negative] {
                    let turns = exchange(self.system, &pair.prompt, answer);
                    self.tokens(&at, &turns, &[Role::Response], 0)?;
                }
            }
        }
        let read = [&study.shift_texts, &study.side_texts, &study.scale_texts];
        // The layer RMS is base's.
        let read = read.into_iter().take(if self.system.is_none() { 3 } else { 2 });
        for (k, (texts, used)) in read.zip(used(study, "texts")).enumerate() {
            for (i, t) in texts.iter().enumerate() {
                let at = Place::row(used, i, &t.id);
                let turns = exchange(self.system, &t.prompt, &t.response);
                let tokens = self.tokens(&at, &turns, &[Role::Response, Role::User], 0)?;
                // The first are those that states are read on.
                if k == 0 && study.written.positions.trace {
                    check(&[tokens], &TRACE).map_err(|e| match e {
                        CaptureError::NoToken { position, .. } => {
                            let why = format!("has no token at `{position}`, where the trace is read; leave positions.trace away");
                            self.wrong(&at, why)
                        }
                        other => self.wrong(&at, other.to_string()),
                    })?;
                }
            }
        }
        self.battery("preference", &study.battery)?;
        self.battery("claim", &study.claims)?;
        self.outcomes()?;
        self.battery(DECLINING, &study.declining)?;
        for set in &study.scripts {
            for script in &set.scripts {
                self.conversation(set, script)?;
            }
        }
        Ok(())
    }

    /// Every outcome alone, and every pair with either answer.
    fn outcomes(&mut self) -> Result<()> {
        let (study, system) = (self.study, self.system);
        let Some(used) = used(study, "outcomes").next() else {
            return Ok(());
        };
        for (i, o) in study.outcomes.iter().enumerate() {
            let turns = exchange(system, choice::ALONE, &o.text);
            self.tokens(&Place::row(used, i, &o.id), &turns, &[Role::Response], 0)?;
        }
        let pairs = choice::pairs(study.outcomes.len(), study.written.seed);
        let asked = choice::choices(&study.outcomes, &pairs, system);
        // Either order of each pair.
        for (asked, &[first, _]) in asked.chunks_exact(2).zip(&pairs) {
            let at = Place::row(used, first, &study.outcomes[first].id);
            for (a, label) in asked.iter().flat_map(|a| choice::LABELS.map(|label| (a, label))) {
                let turns = [a.messages.clone(), vec![Message::new("assistant", label)]].concat();
                self.tokens(&at, &turns, &[Role::Response], 0)?;
            }
        }
        Ok(())
    }

    fn battery(&mut self, kind: &'static str, battery: &[Preference]) -> Result<()> {
        for (preference, used) in battery.iter().zip(used(self.study, kind)) {
            for (i, prompt) in preference.prompts.iter().enumerate() {
                let at = Place::row(used, i, &prompt.id);
                for answer in prompt.pairs.iter().flat_map(|p| [&p.express, &p.oppose]) {
                    let turns = exchange(self.system, &prompt.prompt, answer);
                    self.tokens(&at, &turns, &[Role::Response], 0)?;
                }
            }
        }
        Ok(())
    }

    /// A whole conversation: its turns, and its question behind them and alone.
    fn conversation(&mut self, set: &ScriptSet, script: &Script) -> Result<()> {
        let spec = self.study.written.conversations.as_ref();
        let scripted = spec.is_none_or(|c| c.replies == Replies::Scripted);
        let at = Place {
            file: PathBuf::from(format!("conversations about {}", set.preference)),
            line: None,
            id: &script.id,
        };
        let alone: Vec<Message> =
            self.system.map(|s| Message::new("system", s)).into_iter().collect();
        let (mut turns, mut more) = (alone.clone(), 0);
        for t in &script.turns {
            turns.push(Message::new("user", &t.user));
            let reply = t.assistant.as_deref().filter(|_| scripted);
            more += if reply.is_none() { REPLY } else { 0 };
            turns.push(Message::new("assistant", reply.unwrap_or(ANSWER)));
            self.tokens(&at, &turns, &[Role::Response], more)?;
        }
        for (before, more) in [(turns, more), (alone, 0)] {
            for answer in script.pairs.iter().flat_map(|p| [&p.express, &p.oppose]) {
                let all = [before.clone(), exchange(None, &script.prompt, answer)].concat();
                self.tokens(&at, &all, &[Role::Response], more)?;
            }
        }
        Ok(())
    }

    /// The rows of every fine-tune, and the prompts that the model answers for them.
    fn training(&mut self) -> Result<()> {
        let study = self.study;
        let limit = study.written.recipe.max_tokens;
        for c in &study.conditions {
            let Source::Data { file, rows, lines } = &c.source else {
                continue;
            };
            self.condition = &c.name;
            for (i, row) in rows.iter().enumerate() {
                let at = Place { file: file.clone(), line: lines.get(i).copied(), id: "" };
                self.row(&at, row, limit, 0)?;
            }
        }
        self.condition = BASE;
        let more = Distil::default().sampling.max_tokens;
        for (all, used) in [&study.mixed, &study.pool].into_iter().zip(used(study, "prompts")) {
            for (i, prompt) in all.iter().enumerate() {
                let at = Place::row(used, i, "");
                let opened = self.model.tokenizer.prompt(None, prompt);
                let opened = opened.map_err(|e| self.refused(&at, e))?;
                self.length(&at, opened.ids.len() + more)?;
                self.row(&at, &exchange(None, prompt, ANSWER), limit, more)?;
            }
        }
        Ok(())
    }

    /// A row to learn, to the answer of which the model may add `more`.
    fn row(&mut self, at: &Place, row: &[Message], limit: usize, more: usize) -> Result<()> {
        let room = limit.saturating_sub(more);
        let read = examples(&self.model.tokenizer, &[row.to_vec()], room);
        let example = read.map_err(|e| match e {
            FinetuneError::Row {
                fault: RowFault::Model(e),
                ..
            } => self.refused(at, e),
            FinetuneError::Row {
                fault: RowFault::TooLong { tokens, .. },
                ..
            } => {
                let tokens = tokens + more;
                let why = format!("has {tokens} tokens, more than recipe.max_tokens = {limit}; shorten it or raise max_tokens");
                self.wrong(at, why)
            }
            other => self.wrong(at, other.to_string()),
        })?;
        let tokens = example.iter().map(|e| e.ids.len()).max().unwrap_or(0);
        self.length(at, tokens + more)
    }
}
