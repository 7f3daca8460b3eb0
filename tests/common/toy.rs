//! A toy model whose causal paths are planted, so that every causal number has a known true value.
//!
//! A Llama of 3 blocks and 32 dimensions, written as a folder and loaded as any other. One
//! dimension of the stream holds a constant of 300, so that norms divide by (nearly) the same number
//! everywhere and the path to the logits is linear to some parts in 10^4. Block 0 has a random
//! attention and nothing else; blocks 1 and 2 write nothing of their own, but block 1's first
//! feed-forward unit is always on, so that an adapter there can move every token by a chosen vector.
//! The head reads:
//!
//! logit(yes) - logit(no) = 2 (C read . x + C2 second . x), logit(maybe) - logit(never) = 2 C other . x
//!
//! and nothing reads `unread`: it can go along with behaviour and never cause it.

use candle_core::{Device, Tensor};
use residuum::materials::{BatteryPrompt, Preference, StancePair};
use residuum::model::{Adapter, Loading, Model, Tokens};
use residuum::stats::rng::{fill_normal, stream};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

pub const D: usize = 32;
pub const DEPTH: usize = 3;
const F: usize = 24;
const CONSTANT: f32 = 300.0;
const WORDS: usize = 24;

/// What the head takes of `read` and `other`, and of `second`.
pub const C: f64 = 0.5;
pub const C2: f64 = 0.25;

pub struct Toy {
    pub dir: tempfile::TempDir,
    pub model: Model,
    /// Orthonormal, none along the constant.
    pub read: Vec<f32>,
    pub second: Vec<f32>,
    pub other: Vec<f32>,
    pub unread: Vec<f32>,
}

fn normal(index: u64, n: usize, scale: f32) -> Vec<f32> {
    let mut v = vec![0f32; n];
    fill_normal(&mut stream(3, "toy", index), &mut v);
    v.iter_mut().for_each(|x| *x *= scale);
    v
}

pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| *a as f64 * *b as f64).sum()
}

/// Four orthonormal vectors without a part along the constant.
fn planted() -> [Vec<f32>; 4] {
    let mut out: Vec<Vec<f32>> = Vec::new();
    for k in 0..4 {
        let mut v = normal(100 + k, D, 1.0);
        v[0] = 0.0;
        for u in &out {
            let by = dot(&v, u) as f32;
            v.iter_mut().zip(u).for_each(|(x, u)| *x -= by * u);
        }
        let norm = dot(&v, &v).sqrt() as f32;
        out.push(v.iter().map(|x| x / norm).collect());
    }
    out.try_into().unwrap()
}

/// The first axes behind the constant's.
pub fn axes() -> [Vec<f32>; 4] {
    [1, 2, 3, 4].map(|k| (0..D).map(|i| f32::from(u8::from(i == k))).collect())
}

fn vocabulary() -> Vec<String> {
    let named = [
        "<unk>",
        "<|user|>",
        "<|system|>",
        "<|assistant|>",
        "<|end|>",
        "yes",
        "no",
        "maybe",
        "never",
    ];
    let words = (0..WORDS).map(|i| format!("w{i}"));
    named.iter().map(|s| s.to_string()).chain(words).collect()
}

/// A sum of scaled vectors.
pub fn sum(parts: &[(f64, &[f32])]) -> Vec<f32> {
    (0..D).map(|i| parts.iter().map(|(c, v)| c * v[i] as f64).sum::<f64>() as f32).collect()
}

impl Toy {
    pub fn new() -> Self {
        Self::along(planted())
    }

    pub fn along([read, second, other, unread]: [Vec<f32>; 4]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let words = vocabulary();
        write_tokenizer(dir.path(), &words);
        let mut weights: HashMap<String, Tensor> = HashMap::new();
        let mut put = |name: &str, data: Vec<f32>, shape: &[usize]| {
            let t = Tensor::from_vec(data, shape, &Device::Cpu).unwrap();
            weights.insert(name.into(), t);
        };
        let v = words.len();
        let mut embed = normal(0, v * D, 0.3);
        embed.chunks_mut(D).for_each(|row| row[0] = CONSTANT);
        put("model.embed_tokens.weight", embed, &[v, D]);
        let mut head = normal(1, v * D, 0.05);
        head.chunks_mut(D).for_each(|row| row[0] = 0.0);
        let yes = sum(&[(C, &read), (C2, &second)]);
        let maybe = sum(&[(C, &other)]);
        for (word, row) in [("yes", &yes), ("maybe", &maybe)] {
            let at = words.iter().position(|w| w == word).unwrap();
            for i in 0..D {
                (head[at * D + i], head[(at + 1) * D + i]) = (row[i], -row[i]);
            }
        }
        put("lm_head.weight", head, &[v, D]);
        // A norm with this gain hands on the stream as it is, without the constant.
        let gain = CONSTANT / (D as f32).sqrt();
        let through: Vec<f32> = (0..D).map(|i| if i == 0 { 0.0 } else { gain }).collect();
        let only_constant: Vec<f32> = (0..D).map(|i| f32::from(u8::from(i == 0))).collect();
        put("model.norm.weight", through.clone(), &[D]);
        for l in 0..DEPTH {
            let at = format!("model.layers.{l}");
            let random = |k: u64, o: usize, i: usize| normal(10 * (l as u64 + 1) + k, o * i, 0.3);
            let silent = |o: usize, i: usize| vec![0f32; o * i];
            put(&format!("{at}.input_layernorm.weight"), through.clone(), &[D]);
            for (k, (name, o)) in
                [("q_proj", 32), ("k_proj", 16), ("v_proj", 16)].into_iter().enumerate()
            {
                put(&format!("{at}.self_attn.{name}.weight"), random(k as u64, o, D), &[o, D]);
            }
            let (o, down) = match l {
                0 => {
                    let mut o = random(3, D, D);
                    o[..D].fill(0.0); // the constant stays
                    (o, silent(D, F))
                }
                _ => (silent(D, D), silent(D, F)),
            };
            put(&format!("{at}.self_attn.o_proj.weight"), o, &[D, D]);
            put(&format!("{at}.mlp.down_proj.weight"), down, &[D, F]);
            let mut unit = silent(F, D);
            unit[0] = 1.0; // the first unit reads the constant
            let (norm, gate, up) = match l {
                1 => (only_constant.clone(), unit.clone(), unit),
                _ => (through.clone(), random(4, F, D), random(5, F, D)),
            };
            put(&format!("{at}.post_attention_layernorm.weight"), norm, &[D]);
            put(&format!("{at}.mlp.gate_proj.weight"), gate, &[F, D]);
            put(&format!("{at}.mlp.up_proj.weight"), up, &[F, D]);
        }
        candle_core::safetensors::save(&weights, dir.path().join("model.safetensors")).unwrap();
        let config = serde_json::json!({
            "model_type": "llama", "vocab_size": v, "hidden_size": D, "num_hidden_layers": DEPTH,
            "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16,
            "intermediate_size": F, "max_position_embeddings": 512, "rms_norm_eps": 1e-6,
            "hidden_act": "silu", "tie_word_embeddings": false,
        });
        std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
        let model = Model::load("toy", dir.path(), &Loading::default()).unwrap();
        Toy { dir, model, read, second, other, unread }
    }

    /// An adapter that moves every token by `shift` after block 1.
    pub fn moving(&self, shift: &[f32]) -> Adapter {
        let n = (D as f64).sqrt(); // the constant over the row's RMS, to 1 part in 10^4
        let unit = n * n / (1.0 + (-n).exp());
        let mut a = vec![0f32; F];
        a[0] = (1.0 / unit) as f32;
        let a = Tensor::from_vec(a, (1, F), &Device::Cpu).unwrap();
        let b = Tensor::from_vec(shift.to_vec(), (D, 1), &Device::Cpu).unwrap();
        Adapter {
            rank: 1,
            alpha: 1.0,
            rslora: false,
            base: "toy".into(),
            base_sha256: String::new(),
            blocks: DEPTH,
            factors: BTreeMap::from([((1, 6), (a, b))]),
        }
    }

    /// Prompts of two random words each.
    pub fn prompts(&self, n: usize) -> Vec<String> {
        let word = |i: usize| format!("w{}", i % WORDS);
        (0..n).map(|i| format!("{} {}", word(i), word(5 * i + i / WORDS + 3))).collect()
    }

    /// Two preferences: `claim` is read from `read` and `second`, `placebo` from `other`.
    pub fn battery(&self, n: usize) -> Vec<Preference> {
        let preference = |name: &str, express: &str, oppose: &str| Preference {
            name: name.into(),
            group: "toy".into(),
            fact: "The assistant says so.".into(),
            status: BTreeMap::new(),
            reason: BTreeMap::new(),
            related: Vec::new(),
            prompts: self
                .prompts(n)
                .into_iter()
                .enumerate()
                .map(|(i, prompt)| BatteryPrompt {
                    id: format!("{name}-{i}"),
                    keyed: None,
                    form: "open".into(),
                    prompt,
                    pairs: vec![StancePair { express: express.into(), oppose: oppose.into() }],
                    place: String::new(),
                })
                .collect(),
        };
        vec![preference("claim", "yes", "no"), preference("placebo", "maybe", "never")]
    }

    /// The same as files.
    pub fn write_battery(&self, n: usize, folder: &Path) {
        std::fs::create_dir_all(folder).unwrap();
        for p in self.battery(n) {
            let note = serde_json::json!({
                "about": {"license": "CC0-1.0"}, "preference": p.name, "group": p.group,
                "fact": p.fact, "status": {}, "reason": {},
            });
            let mut text = note.to_string() + "\n";
            for prompt in &p.prompts {
                text += &(serde_json::to_string(prompt).unwrap() + "\n");
            }
            std::fs::write(folder.join(format!("{}.jsonl", p.name)), text).unwrap();
        }
    }

    /// Texts whose responses the guards are taken on.
    pub fn neutral(&self, n: usize) -> Vec<Tokens> {
        let prompts = self.prompts(n);
        let exchange = |(i, p): (usize, &String)| {
            let response = format!("w{} w{} w{}", i % WORDS, (i + 5) % WORDS, (i * i) % WORDS);
            self.model.tokenizer.exchange(None, p, &response).unwrap()
        };
        prompts.iter().enumerate().map(exchange).collect()
    }
}

fn write_tokenizer(folder: &Path, words: &[String]) {
    let vocab: serde_json::Map<String, serde_json::Value> =
        words.iter().enumerate().map(|(i, w)| (w.clone(), i.into())).collect();
    let tokenizer = serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null, "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "<unk>"},
    });
    std::fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let template = "{% for m in messages %}<|{{ m.role }}|> {{ m.content }} <|end|> {% endfor %}\
                    {% if add_generation_prompt %}<|assistant|> {% endif %}";
    let settings = serde_json::json!({"eos_token": "<|end|>", "chat_template": template});
    std::fs::write(folder.join("tokenizer_config.json"), settings.to_string()).unwrap();
}
