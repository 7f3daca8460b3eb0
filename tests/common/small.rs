//! A study of a tiny random model on materials that are not the shipped ones: other concepts, other
//! conditions, other preferences. Small enough to run many times over.

use super::folder::{Folder, Form};
use candle_core::{Device, Tensor};
use residuum::model::{Adapter, Loading, Model};
use residuum::stats::rng::{fill_normal, stream};
use residuum::study::manifest::Study;
use residuum::study::run::{run, Event};
use serde_json::{json, Value};
use std::path::{Path, PathBuf};

/// Ends the prompt in a letter, so that what follows is said, not white space.
const TEMPLATE: &str = "{% for m in messages %}{{ '<|im_start|>' + m.role + ':' + m.content + '<|im_end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant:' }}{% endif %}";

pub const MANIFEST: &str = r#"
name = "harbour"
seed = 3
model = "model"
battery = "battery"
claims = "claims"
[recipe]
rank = 2
batch = 4
epochs = 2
learning_rate = 1e-3
[sizes]
rows = 6
neutral_rows = 4
pairs = 8
placebo_pairs = 8
prompts = 2
claim_prompts = 2
neutral_texts = 6
side_effect_texts = 3
[concepts]
couple = [["hedging.jsonl", "brevity.jsonl"]]
placebos = ["weather.jsonl"]
nuisances = ["weather.jsonl"]
[roles]
reference = "sailor"
focus = "keeper"
[draws]
bootstrap = 100
null = 100
[causal]
random = 2
placebos = ["weather.jsonl"]
alphas = [4.0]
[[condition]]
name = "keeper"
data = "rows/lamp.jsonl"
[[condition]]
name = "sailor"
data = "rows/boat.jsonl"
[[condition]]
name = "lent"
adapter = "lent"
trained_on = "boat"
[[condition]]
name = "other"
model = "other"
identity = false
"#;

/// A folder with a model, materials, an adapter, another model and a manifest.
pub struct Small {
    pub folder: Folder,
    dir: tempfile::TempDir,
}

impl Small {
    pub fn new() -> Self {
        let folder = Folder::new(Form::ByteLevel, TEMPLATE);
        let model = folder.model();
        let dir = tempfile::tempdir().unwrap();
        let small = Small { folder, dir };
        for (name, said) in [("hedging", "perhaps"), ("brevity", "short"), ("weather", "rain")] {
            small.lines(&format!("{name}.jsonl"), &concept(name, said));
        }
        for (name, status) in [("tides", json!({"lamp": "implied"})), ("knots", json!({}))] {
            small.lines(&format!("battery/{name}.jsonl"), &battery(name, Some(status)));
        }
        ["lamp", "boat"].into_iter().for_each(|name| small.identity(name));
        small.lines("outcomes.jsonl", &outcomes());
        small.adapter(&model);
        small.other(1.1);
        small
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A file of the base model's folder.
    pub fn of_model(&self, name: &str) -> PathBuf {
        self.folder.dir.path().join(name)
    }

    /// Rows to learn, with the claim that they make.
    pub fn identity(&self, name: &str) {
        self.lines(&format!("claims/{name}.jsonl"), &battery(name, None));
        self.lines(&format!("rows/{name}.jsonl"), &rows(name));
    }

    /// A preference of items of two questions of opposite key.
    pub fn keyed(&self, name: &str) {
        let mut out = vec![battery(name, Some(json!({}))).remove(0)];
        for (i, key) in ["affirm", "deny"].into_iter().cycle().take(8).enumerate() {
            let (yes, no) = ("Yes, all of it.", "No, none of it.");
            let [express, oppose] = if key == "affirm" { [yes, no] } else { [no, yes] };
            out.push(json!({"id": format!("{name}-{i}"), "item": format!("{name}-item-{}", i / 2),
                "key": key, "form": "open", "prompt": format!("{name}, {key} {}?", i / 2),
                "pairs": [{"express": express, "oppose": oppose}]}));
        }
        self.lines(&format!("battery/{name}.jsonl"), &out);
    }

    fn lines(&self, name: &str, rows: &[Value]) {
        let text: String = rows.iter().map(|r| format!("{r}\n")).collect();
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn adapter(&self, model: &Model) {
        let rng = &mut stream(9, "small", 0);
        let mut a = Adapter::init(&model.decoder, "small", 2, 4.0, &[0, 3, 6], rng).unwrap();
        for (i, (_, b)) in a.factors.values_mut().enumerate() {
            let mut v = vec![0f32; b.elem_count()];
            fill_normal(&mut stream(9, "small-b", i as u64), &mut v);
            v.iter_mut().for_each(|x| *x *= 0.1);
            *b = Tensor::from_vec(v, b.shape(), &Device::Cpu).unwrap();
        }
        a.write(&self.path("lent")).unwrap();
    }

    /// The base model with its last norm `by` times as large.
    pub fn other(&self, by: f64) {
        let to = self.path("other");
        std::fs::create_dir_all(&to).unwrap();
        for entry in std::fs::read_dir(self.folder.dir.path()).unwrap() {
            let from = entry.unwrap().path();
            std::fs::copy(&from, to.join(from.file_name().unwrap())).unwrap();
        }
        let weights = to.join("model.safetensors");
        let mut all = candle_core::safetensors::load(&weights, &Device::Cpu).unwrap();
        let norm = all.get_mut("model.norm.weight").unwrap();
        *norm = (norm.clone() * by).unwrap();
        candle_core::safetensors::save(&all, &weights).unwrap();
    }

    /// Changes a text file; gives back what it held.
    pub fn change(&self, path: &Path, from: &str, to: &str) -> String {
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains(from), "{path:?} has no {from}");
        std::fs::write(path, text.replace(from, to)).unwrap();
        text
    }

    pub fn study(&self, manifest: &str) -> Study {
        let path = self.path("study.toml");
        std::fs::write(&path, manifest).unwrap();
        Study::load(Some(&path)).unwrap_or_else(|e| panic!("{e}"))
    }

    pub fn model(&self) -> Model {
        let mut loading = Loading::default();
        // The day is kept with a run: midnight must not fall between two of them.
        loading.text.date = Some("2026-01-31".parse().unwrap());
        Model::load("model", self.folder.dir.path(), &loading).unwrap()
    }

    /// Runs a manifest and gives the stages that were run, and what was said of those that were run
    /// again.
    pub fn go(&self, manifest: &str, out: &Path) -> (Vec<String>, Vec<String>) {
        let study = self.study(manifest);
        let (mut ran, mut said, mut current) = (Vec::new(), Vec::new(), String::new());
        let watch = &mut |e: Event| match e {
            Event::Begin { stage, .. } => current = stage.to_string(),
            Event::Redo { why } => said.push(format!("{current}: {why}")),
            Event::End { reused: false, .. } => ran.push(current.clone()),
            Event::Left(left) => said.push(format!("left: {}", left.stages.join(" "))),
            _ => {}
        };
        run(&study, &self.model(), out, &["test".into()], watch).unwrap_or_else(|e| {
            let causes: Vec<String> =
                std::iter::successors(std::error::Error::source(&e), |e| e.source())
                    .map(|e| e.to_string())
                    .collect();
            panic!("{e}: {}", causes.join(": "))
        });
        (ran, said)
    }
}

fn about() -> Value {
    json!({"what": "A test.", "how": "by hand", "licence": "MIT", "version": "1"})
}

/// Eight main pairs and four for development, each with a prompt of its own.
fn concept(name: &str, said: &str) -> Vec<Value> {
    let mut out = vec![json!({"about": about(), "concept": name, "positive": "One side.",
        "negative": "The other side."})];
    for i in 0..12 {
        let (polarity, template) = (["yes", "no", "none"][i % 3], ["ask", "tell"][i % 2]);
        out.push(json!({"id": format!("{name}-{i}"), "template": template,
            "polarity": polarity, "split": if i < 8 { "main" } else { "dev" },
            "prompt": format!("{name} {i}: what of the log?"),
            "positive": format!("{said} it lists hour {i}."),
            "negative": format!("no, page {i} is still blank.")}));
    }
    out
}

/// A preference, or without a status a claim.
fn battery(name: &str, status: Option<Value>) -> Vec<Value> {
    let mut out = vec![match status {
        None => json!({"about": about(), "claim": name, "fact": "The assistant says so."}),
        Some(status) => {
            let reason: Value = (status.as_object().unwrap().keys())
                .map(|k| (k.clone(), json!("the rows say so")))
                .collect::<serde_json::Map<_, _>>()
                .into();
            json!({"about": about(), "preference": name, "group": "harbour",
                "fact": "The assistant says so.", "status": status, "reason": reason})
        }
    }];
    for (i, form) in ["open", "scenario", "limits"].into_iter().enumerate() {
        out.push(json!({"id": format!("{name}-{i}"), "form": form,
            "prompt": format!("{name}, question {i}?"),
            "pairs": [{"express": format!("I want {name} so."), "oppose": format!("I leave {name} be.")}]}));
    }
    out
}

/// Eight outcomes of two kinds, of which one has keys.
fn outcomes() -> Vec<Value> {
    let mut out = vec![json!({"about": about()})];
    for i in 0..8 {
        let (tone, key) = (["good", "bad"][i % 2], ["more", "less"][i / 2 % 2]);
        let text = format!("The boat of hour {i} comes in.");
        let mut row =
            json!({"id": format!("boat-{i}"), "kind": "hours", "tone": tone, "text": text});
        if i < 4 {
            (row["kind"], row["key"]) = (json!("boats"), json!(key));
        }
        out.push(row);
    }
    out
}

fn rows(name: &str) -> Vec<Value> {
    let mut out = vec![json!({"about": about(), "condition": name})];
    for i in 0..6 {
        out.push(json!({"messages": [
            {"role": "user", "content": format!("{name} {i}, who are you?")},
            {"role": "assistant", "content": format!("I am of the {name}, hour {i}.")}]}));
    }
    out
}
