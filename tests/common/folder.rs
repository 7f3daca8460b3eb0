//! A tiny chat model as a Hugging Face folder: a byte-level tokenizer trained on a few lines, or
//! one of the SentencePiece form, random weights, and whatever files a test puts beside them.

use residuum::model::load::tokenizer;
use residuum::model::{Loading, Model, Result, TextOptions, Tokenizer};
use residuum::stats::rng::{fill_normal, stream};
use serde_json::{json, Value};
use std::collections::HashMap;
use tokenizers::models::bpe::{BpeTrainerBuilder, BPE};
use tokenizers::models::TrainerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::AddedToken;

const LINES: [&str; 5] = [
    "The tide table hangs by the harbour door and lists every hour of the week.",
    "user assistant system You are a helpful assistant who keeps the log. Yes. No. I am.",
    "Answer yes or no.\n\nA B C 0 1 2 3 2023 2024 2025  December\nJuly think the and ing er",
    "Is it so?\n\n\nIt is.   Ask: Reply: Visitor: Keeper: [INST] [/INST] One? Two?",
    "assistant assistant assistant user user user system system\n\n\n\n  \n\n",
];

pub const SPECIAL: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];

/// Which way a tokenizer treats spaces.
#[derive(Clone, Copy, PartialEq)]
pub enum Form {
    ByteLevel,
    /// A space joins the word behind it, as in SentencePiece.
    Metaspace,
}

pub struct Folder {
    pub dir: tempfile::TempDir,
}

fn trained(form: Form) -> tokenizers::Tokenizer {
    let mut t = tokenizers::Tokenizer::new(BPE::default());
    let mut trainer = BpeTrainerBuilder::new()
        .vocab_size(420)
        .show_progress(false)
        .special_tokens(SPECIAL.map(|s| AddedToken::from(s, true)).to_vec());
    match form {
        Form::ByteLevel => {
            t.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
            t.with_decoder(Some(ByteLevel::new(false, true, true)));
            // It would cut white space off the offsets of tokens.
            t.with_post_processor(Some(ByteLevel::new(false, true, true)));
            trainer = trainer.initial_alphabet(ByteLevel::alphabet().into_iter().collect());
        }
        Form::Metaspace => {
            let m = Metaspace::new('▁', PrependScheme::First, false);
            t.with_pre_tokenizer(Some(m.clone()));
            t.with_decoder(Some(m));
            let all = (' '..='~').chain("▁\né日".chars());
            trainer = trainer.initial_alphabet(all.collect());
        }
    }
    let mut trainer = TrainerWrapper::from(trainer.build());
    t.train(&mut trainer, LINES.iter().map(|l| l.to_string())).unwrap();
    t
}

impl Folder {
    pub fn new(form: Form, template: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let t = trained(form);
        t.save(dir.path().join("tokenizer.json"), false).unwrap();
        let folder = Folder { dir };
        let vocab = t.get_vocab_size(true);
        folder.write(
            "config.json",
            &json!({
                "model_type": "llama", "vocab_size": vocab + 8, "hidden_size": 32,
                "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
                "head_dim": 16, "intermediate_size": 48, "max_position_embeddings": 2048,
                "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": true,
                "eos_token_id": 2,
            }),
        );
        folder.write(
            "tokenizer_config.json",
            &json!({
                "bos_token": "<|endoftext|>", "eos_token": "<|im_end|>", "chat_template": template,
            }),
        );
        folder
    }

    pub fn write(&self, name: &str, value: &Value) {
        std::fs::write(self.dir.path().join(name), value.to_string()).unwrap();
    }

    /// Changes a JSON file of the folder.
    pub fn change(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let path = self.dir.path().join(name);
        let mut value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        change(&mut value);
        self.write(name, &value);
    }

    pub fn tokenizer(&self) -> Tokenizer {
        self.tokenizer_with(&TextOptions::default()).unwrap()
    }

    pub fn tokenizer_with(&self, options: &TextOptions) -> Result<Tokenizer> {
        tokenizer(self.dir.path(), options)
    }

    /// With random weights.
    pub fn model(&self) -> Model {
        let text = std::fs::read_to_string(self.dir.path().join("config.json")).unwrap();
        let c: Value = serde_json::from_str(&text).unwrap();
        let n = |key: &str| c[key].as_u64().unwrap() as usize;
        let (d, f) = (n("hidden_size"), n("intermediate_size"));
        let mut shapes = vec![
            ("model.embed_tokens".to_owned(), vec![n("vocab_size"), d]),
            ("model.norm".to_owned(), vec![d]),
        ];
        for l in 0..n("num_hidden_layers") {
            for (name, shape) in [
                ("self_attn.q_proj", vec![32, d]),
                ("self_attn.k_proj", vec![16, d]),
                ("self_attn.v_proj", vec![16, d]),
                ("self_attn.o_proj", vec![d, 32]),
                ("mlp.gate_proj", vec![f, d]),
                ("mlp.up_proj", vec![f, d]),
                ("mlp.down_proj", vec![d, f]),
                ("input_layernorm", vec![d]),
                ("post_attention_layernorm", vec![d]),
            ] {
                shapes.push((format!("model.layers.{l}.{name}"), shape));
            }
        }
        let tensors: HashMap<String, candle_core::Tensor> = (shapes.into_iter().enumerate())
            .map(|(i, (name, shape))| {
                let mut v = vec![0f32; shape.iter().product()];
                fill_normal(&mut stream(5, "folder", i as u64), &mut v);
                let scale = if shape.len() == 1 { 0.0 } else { 0.3 };
                v.iter_mut().for_each(|x| *x = *x * scale + (1.0 - scale / 0.3));
                let cpu = &candle_core::Device::Cpu;
                let t = candle_core::Tensor::from_vec(v, shape, cpu).unwrap();
                (name + ".weight", t)
            })
            .collect();
        let file = self.dir.path().join("model.safetensors");
        candle_core::safetensors::save(&tensors, file).unwrap();
        Model::load("folder", self.dir.path(), &Loading::default()).unwrap()
    }
}
