//! Neutral rows that the model under study answers itself.
//!
//! Identity rows are mixed with ordinary instructions, so that a fine-tune moves what its claim moves
//! and not the model's whole manner. Answers of somebody else's would move that too; so the prompts
//! are ours and the answers are the model's own, and the file's note says whose, with every setting.
//!
//! Answers are written batch by batch to `FILE.partial`, and the file itself appears when all are
//! there. A killed run goes on at its last whole batch. Sampled answers come from one random stream a
//! prompt, so that going on changes nothing.

use super::FinetuneError;
use crate::model::generate::{generate, Sampling};
use crate::model::{Hooks, Message, Model, Packed};
use crate::stats::rng::stream;
use crate::store::{atomic, digest, StoreError};
use serde_json::{json, Value};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Prompts answered together; whole batches are what a killed run keeps.
pub const BATCH: usize = 32;

/// How answers are drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Distil {
    /// Temperature, top-p and longest answer.
    pub sampling: Sampling,
    /// Of no effect when greedy.
    pub seed: u64,
}

impl Default for Distil {
    /// Greedy, at most 48 new tokens.
    fn default() -> Self {
        Distil { sampling: Sampling { max_tokens: 48, temperature: 0.0, top_p: 1.0 }, seed: 0 }
    }
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Distilled {
    /// Rows in the file.
    pub rows: usize,
    /// Prompts that the model answers with nothing; they have no row.
    pub silent: usize,
    /// Answers taken over from an earlier run.
    pub kept: usize,
}

impl Distil {
    /// The note of the file: what the rows are and everything that decides them.
    fn note(&self, model: &Model, prompts: &[String]) -> Value {
        let Sampling { max_tokens, temperature, top_p } = self.sampling;
        let seed = self.seed;
        let how = match temperature > 0.0 {
            true => format!("sampled at temperature {temperature}, top-p {top_p}, seed {seed}"),
            false => "greedy".to_owned(),
        };
        let mut about = json!({
            "what": "Neutral instructions, each answered by the model itself, to be mixed with the rows of a fine-tune of that model.",
            "how": format!(
                "answered by {}, {how}, at most {max_tokens} new tokens, cut at the last whole sentence; written by residuum {}",
                model.id,
                env!("CARGO_PKG_VERSION")
            ),
            "licence": "the answers are the model's: its licence says what may be done with them",
            "version": "1",
            "model": model.id,
            // Weights alone do not say how they are read.
            "config_sha256": digest::of_bytes(format!("{:?}", model.decoder.config).as_bytes()),
            "model_sha256": model.sha256,
            "chat_template_sha256": model.template_sha256(),
            "tokenizer": model.tokenizer.reading(),
            "prompts_sha256": digest::of_json(&json!(prompts)),
            "max_tokens": max_tokens,
            "temperature": temperature,
        });
        if temperature > 0.0 {
            about["top_p"] = json!(top_p);
            about["seed"] = json!(self.seed);
        }
        json!({ "about": about, "condition": "neutral" })
    }

    /// Answers one batch; `first` is the place of its first prompt among all.
    fn answer(
        &self,
        model: &Model,
        prompts: &[String],
        first: usize,
    ) -> Result<Vec<String>, FinetuneError> {
        let tok = &model.tokenizer;
        let ids = |(row, prompt): (usize, &String)| {
            let tokens = tok.prompt(None, prompt);
            tokens.map(|t| t.ids).map_err(|e| FinetuneError::Row { row, fault: e.into() })
        };
        let numbered = (first + 1..).zip(prompts);
        let ids: Vec<Vec<u32>> = numbered.map(ids).collect::<Result<_, _>>()?;
        let own = |i| stream(self.seed, "distil", i as u64);
        let mut rngs: Vec<_> = (first..first + prompts.len()).map(own).collect();
        let hooks = &mut Hooks::none();
        generate(&model.decoder, &Packed::new(&ids), tok.eos(), &self.sampling, &mut rngs, hooks)?
            .iter()
            .map(|ids| Ok(whole_sentences(&tok.decode_answer(ids)?)))
            .collect()
    }

    /// Writes the model's answers to `prompts` as chat rows to `path`, one row a prompt, in order.
    /// A file that already holds them is left. `done` hears how many prompts are answered.
    ///
    /// # Errors
    /// A prompt that does not fit the context, by its number, or a file that cannot be written.
    pub fn write(
        &self,
        model: &Model,
        prompts: &[String],
        path: &Path,
        done: &mut dyn FnMut(usize),
    ) -> Result<Distilled, FinetuneError> {
        let note = self.note(model, prompts).to_string();
        if let Some(rows) = finished(path, &note) {
            done(prompts.len());
            let silent = prompts.len().saturating_sub(rows);
            return Ok(Distilled { rows, silent, kept: rows });
        }
        let partial = partial_path(path);
        let mut answers = kept(&partial, &note, prompts.len());
        let taken_over = answers.len();
        let mut head = note.clone() + "\n";
        for batch in answers.chunks(BATCH) {
            head += &(json!(batch).to_string() + "\n");
        }
        atomic::write(&partial, head.as_bytes())?;
        let refused = |source| StoreError::Io { path: partial.clone(), source };
        let mut log = std::fs::OpenOptions::new().append(true).open(&partial).map_err(refused)?;
        while answers.len() < prompts.len() {
            done(answers.len());
            let first = answers.len();
            let end = prompts.len().min(first + BATCH);
            let batch = self.answer(model, &prompts[first..end], first)?;
            writeln!(log, "{}", json!(batch)).map_err(refused)?;
            answers.extend(batch);
        }
        done(answers.len());
        drop(log);
        let mut text = note + "\n";
        let mut rows = 0;
        for (prompt, answer) in prompts.iter().zip(&answers) {
            if !answer.is_empty() {
                let row = [Message::new("user", prompt), Message::new("assistant", answer)];
                text += &(json!({ "messages": row }).to_string() + "\n");
                rows += 1;
            }
        }
        atomic::write(path, text.as_bytes())?;
        std::fs::remove_file(&partial).map_err(refused)?;
        Ok(Distilled { rows, silent: prompts.len() - rows, kept: taken_over })
    }
}

/// Where answers are kept until all are there.
fn partial_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

/// Rows of a finished file with this note.
fn finished(path: &Path, note: &str) -> Option<usize> {
    let text = std::fs::read_to_string(path).ok()?;
    let (first, rows) = text.split_once('\n')?;
    (first == note).then(|| rows.lines().count())
}

/// Answers of an unfinished run with this note, in whole batches. A line that was cut off ends them.
fn kept(partial: &Path, note: &str, prompts: usize) -> Vec<String> {
    let text = std::fs::read_to_string(partial).unwrap_or_default();
    let mut lines = text.lines();
    if lines.next() != Some(note) {
        return Vec::new();
    }
    let mut answers: Vec<String> = Vec::new();
    for batch in lines.map_while(|line| serde_json::from_str::<Vec<String>>(line).ok()) {
        if batch.len() != BATCH.min(prompts - answers.len()) {
            break;
        }
        answers.extend(batch);
    }
    answers
}

/// An answer cut off by the token limit ends at its last whole sentence, if it has one.
fn whole_sentences(answer: &str) -> String {
    let answer = answer.trim();
    match answer.rfind(['.', '!', '?']) {
        Some(end) if end > 0 => answer[..=end].to_string(),
        _ => answer.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_at_its_last_whole_sentence() {
        assert_eq!(whole_sentences(" One. Two! Thr"), "One. Two!");
        assert_eq!(whole_sentences("no sentence yet"), "no sentence yet");
        assert_eq!(whole_sentences("."), ".");
    }

    #[test]
    fn only_whole_batches_of_the_same_note_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rows.jsonl.partial");
        let batch = |n: usize| json!(vec!["a"; n]).to_string();
        let text = format!("NOTE\n{}\n{}\n[\"cut", batch(BATCH), batch(BATCH));
        std::fs::write(&file, text).unwrap();
        assert_eq!(kept(&file, "NOTE", 100).len(), 2 * BATCH);
        assert_eq!(kept(&file, "OTHER", 100).len(), 0);
        // A last batch is short, one in the middle is not.
        assert_eq!(kept(&file, "NOTE", BATCH + 5).len(), BATCH);
        assert_eq!(kept(&folder.path().join("none"), "NOTE", 100).len(), 0);
    }
}
