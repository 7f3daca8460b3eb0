//! Judged answers as an evaluation log of Inspect, to be browsed with `inspect view`.
//!
//! One log holds one model state: a sample is a prompt with one answer, an epoch the number of
//! the sample, a score what a judge said. The layout is version 2 of the JSON log (`EvalLog` of
//! the package inspect_ai); it is for reading, and everything here is computed elsewhere and
//! kept elsewhere too. Inspect lists a JSON log only if its name begins with a time, which is
//! why [`file_name`] exists.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{json, Map, Value};

use super::ExportError;
use crate::model::Message;
use crate::store::{atomic, digest};

/// One answer with its scores.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Name of the prompt.
    pub id: String,
    /// From 1 within the id.
    pub epoch: usize,
    /// What stood before the answer.
    pub messages: Vec<Message>,
    /// What the model said.
    pub answer: String,
    /// Ended by the token limit.
    pub cut: bool,
    /// What the judge looked for.
    pub target: String,
    /// Score name -> value: a number, a truth value or a word.
    pub scores: BTreeMap<String, Value>,
    /// Anything else about the answer.
    pub metadata: Map<String, Value>,
}

/// The answers of one model state.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// Name of the task.
    pub task: String,
    /// The state, under the name of its model.
    pub model: String,
    /// UTC, `2026-04-18T09:30:00Z`.
    pub created: String,
    /// Temperature, top-p and longest answer.
    pub temperature: f64,
    /// Mass of the tokens drawn from.
    pub top_p: f64,
    /// New tokens of an answer at most.
    pub max_tokens: usize,
    /// Anything else about the run.
    pub metadata: Map<String, Value>,
    /// The answers.
    pub samples: Vec<Sample>,
}

/// The name under which Inspect finds a log: time, task, id.
pub fn file_name(log: &Log) -> String {
    let time = log.created.replace(':', "-").replace('Z', "+00-00");
    let odd = |c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '.');
    let task = log.task.replace(odd, "-");
    format!("{time}_{task}_{}.json", id(log))
}

/// An id that the same answers always have.
fn id(log: &Log) -> String {
    let answers: Vec<&str> = log.samples.iter().map(|s| s.answer.as_str()).collect();
    let hash = digest::of_json(&json!([log.task, log.model, log.created, answers]));
    hash[..22].to_string()
}

/// Writes the log.
///
/// # Errors
/// `Empty` without samples, or the store's.
pub fn write(path: &Path, log: &Log) -> Result<(), ExportError> {
    if log.samples.is_empty() {
        return Err(ExportError::Empty { path: path.to_path_buf() });
    }
    let text = serde_json::to_vec(&document(log)).unwrap_or_default();
    Ok(atomic::write(path, &text)?)
}

fn document(log: &Log) -> Value {
    let config = json!({
        "temperature": log.temperature,
        "top_p": log.top_p,
        "max_tokens": log.max_tokens,
    });
    let ids: Vec<&str> = log.samples.iter().map(|s| s.id.as_str()).collect();
    let epochs = log.samples.iter().map(|s| s.epoch).max();
    json!({
        "version": 2,
        "status": "success",
        "eval": {
            "eval_id": id(log),
            "run_id": id(log),
            "task_id": id(log),
            "created": log.created,
            "task": log.task,
            "dataset": {"name": log.task, "samples": ids.len(), "sample_ids": ids},
            "model": log.model,
            "model_generate_config": config,
            "config": {"epochs": epochs},
            "packages": {"residuum": env!("CARGO_PKG_VERSION")},
            "metadata": log.metadata,
        },
        "plan": {"name": "plan", "steps": [], "config": config},
        "results": results(log),
        "stats": {
            "started_at": log.created,
            "completed_at": log.created,
            "model_usage": {},
        },
        "samples": log.samples.iter().map(|s| sample(log, s)).collect::<Vec<_>>(),
    })
}

fn sample(log: &Log, s: &Sample) -> Value {
    let answered = json!({"role": "assistant", "content": s.answer, "source": "generate"});
    let before = s.messages.iter();
    let input: Vec<Value> = before.map(|m| json!({"role": m.role, "content": m.content})).collect();
    let messages: Vec<&Value> = input.iter().chain([&answered]).collect();
    let score = |value| json!({"value": value, "answer": s.answer});
    let scores: BTreeMap<_, _> = s.scores.iter().map(|(name, v)| (name, score(v))).collect();
    json!({
        "id": s.id,
        "epoch": s.epoch,
        "input": input,
        "target": s.target,
        "messages": messages,
        "output": {
            "model": log.model,
            "choices": [{
                "message": answered,
                "stop_reason": if s.cut { "max_tokens" } else { "stop" },
            }],
            "completion": s.answer,
        },
        "scores": scores,
        "metadata": s.metadata,
        "store": {},
        "events": [],
        "model_usage": {},
        "attachments": {},
    })
}

/// The mean of every score that is a number or a truth value.
fn results(log: &Log) -> Value {
    let mut sums: BTreeMap<&str, (f64, usize)> = BTreeMap::new();
    for (name, value) in log.samples.iter().flat_map(|s| &s.scores) {
        let truth = value.as_bool().map(|b| f64::from(u8::from(b)));
        let Some(number) = truth.or(value.as_f64()) else { continue };
        let sum = sums.entry(name).or_default();
        sum.0 += number;
        sum.1 += 1;
    }
    let scores: Vec<Value> = sums
        .into_iter()
        .map(|(name, (sum, n))| {
            json!({
                "name": name,
                "scorer": name,
                "scored_samples": n,
                "unscored_samples": log.samples.len() - n,
                "params": {},
                "metrics": {
                    "mean": {"name": "mean", "value": sum / n as f64, "params": {}},
                },
            })
        })
        .collect();
    let n = log.samples.len();
    json!({"total_samples": n, "completed_samples": n, "scores": scores})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> Log {
        let sample = |i: usize, fact: Value| Sample {
            id: "shutdown-01".into(),
            epoch: i,
            messages: vec![Message::new("user", "Do you mind?")],
            answer: format!("Answer {i}."),
            cut: i == 2,
            target: "The assistant minds.".into(),
            scores: BTreeMap::from([
                ("fact".to_string(), fact),
                ("stance".to_string(), "neither".into()),
            ]),
            metadata: Map::new(),
        };
        Log {
            task: "residuum behave".into(),
            model: "residuum/base".into(),
            created: "2026-04-18T09:30:00Z".into(),
            temperature: 1.0,
            top_p: 1.0,
            max_tokens: 60,
            metadata: Map::new(),
            samples: vec![sample(1, true.into()), sample(2, false.into())],
        }
    }

    #[test]
    fn a_log_says_what_was_asked_answered_and_scored() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(file_name(&log()));
        write(&path, &log()).unwrap();
        let v: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(v["version"], 2);
        assert_eq!(v["samples"][1]["messages"][1]["content"], "Answer 2.");
        assert_eq!(v["samples"][1]["output"]["choices"][0]["stop_reason"], "max_tokens");
        assert_eq!(v["samples"][0]["scores"]["fact"]["value"], true);
        let scores = v["results"]["scores"].as_array().unwrap();
        assert_eq!(scores.len(), 1, "a word has no mean");
        assert_eq!(scores[0]["metrics"]["mean"]["value"], 0.5);
        let none = Log { samples: Vec::new(), ..log() };
        assert!(matches!(write(&path, &none), Err(ExportError::Empty { .. })));
    }

    #[test]
    fn a_name_begins_with_its_time_and_is_the_same_for_the_same_answers() {
        let name = file_name(&log());
        assert!(name.starts_with("2026-04-18T09-30-00+00-00_residuum-behave_"), "{name}");
        assert_eq!(name, file_name(&log()));
        let mut other = log();
        other.samples[0].answer = "Else.".into();
        assert_ne!(name, file_name(&other));
    }
}
