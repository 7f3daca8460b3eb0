//! Good inputs of every target, to begin from.

use super::mutate::Form;
use super::targets::{Place, FILE};
use crate::toy;
use candle_core::quantized::gguf_file::{self, Value as Meta};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use ndarray::{Array, Array2, IxDyn};
use residuum::analysis::records::{LayerRow, Results, TrainingRow, WarningRow};
use residuum::export::{self, About, Vectors};
use residuum::store::{
    ActivationSpec, ActivationWriter, Precision, ResultsWriter, RootAttrs, Sample,
};
use serde_json::json;
use std::collections::HashMap;
use std::path::Path;

/// The form of a target's inputs, and some that it takes.
pub fn of(target: &str, place: &Place) -> (Form, Vec<Vec<u8>>) {
    let file = |path: &Path| vec![std::fs::read(path).unwrap()];
    let texts = |all: &[&str]| all.iter().map(|t| t.as_bytes().to_vec()).collect();
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    match target {
        "gguf" => (Form::Binary, vec![gguf(place, true), gguf(place, false)]),
        "weights" => (Form::Safetensors, file(&place.model().join("model.safetensors"))),
        "config" => (Form::Json, configs(place)),
        "adapter" => (Form::Safetensors, file(&place.adapter().join("adapter_model.safetensors"))),
        "adapter-config" => (Form::Json, file(&place.adapter().join("adapter_config.json"))),
        "vectors" => (Form::Safetensors, vectors("safetensors", 2)),
        "control-vector" => (Form::Binary, vectors("gguf", 1)),
        "npy" => (Form::Npy, vectors("npy", 1)),
        "npz" => (Form::Npz, vectors("npz", 2)),
        "pickle" => {
            (Form::Binary, texts(&["\u{0}\u{2}}q\0(X\u{1}\0\0\0aq\u{1}K\u{1}u.", "PK\u{3}\u{4}"]))
        }
        "tokenizer" => (Form::Json, tokenizers(place)),
        "template" => {
            let names = ["alpaca", "chatml", "gemma", "llama-2"];
            let path = |n| repository.join(format!("assets/templates/{n}.jinja"));
            let mut all: Vec<Vec<u8>> = names.iter().flat_map(|n| file(&path(n))).collect();
            all.extend(texts(&[MANY]) as Vec<_>);
            (Form::Template, all)
        }
        "jsonl" => (Form::Lines, lines(&repository.join("probes"))),
        "manifest" => (Form::Toml, file(&repository.join("assets/studies/quick.toml"))),
        "results" => (Form::Binary, vec![written(results)]),
        "activations" => (Form::Binary, vec![written(activations)]),
        "judge" => (Form::Json, replies()),
        "hub" => (Form::Json, listings()),
        other => panic!("no seed of {other}"),
    }
}

/// A file written by `write` into a folder of its own.
fn written(write: impl Fn(&Path)) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    write(&path);
    std::fs::read(&path).unwrap()
}

/// The toy's weights with a tokenizer of bytes or of pieces; the latter in blocks of eight bits.
fn gguf(place: &Place, bytes: bool) -> Vec<u8> {
    let names = [
        ("model.embed_tokens", "token_embd"),
        ("lm_head", "output"),
        ("model.norm", "output_norm"),
        ("model.layers", "blk"),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("self_attn.o_proj", "attn_output"),
        ("self_attn.", "attn_"),
        ("mlp.", "ffn_"),
        ("_proj", ""),
    ];
    let file = place.model().join("model.safetensors");
    let held: HashMap<String, Tensor> = candle_core::safetensors::load(file, &Device::Cpu).unwrap();
    let stored: Vec<(String, QTensor)> = (held.iter())
        .map(|(name, t)| {
            let name = names.iter().fold(name.clone(), |name, (hub, gguf)| name.replace(hub, gguf));
            let blocks = !bytes && t.rank() == 2 && t.dim(1).unwrap() % 32 == 0;
            let dtype = if blocks { GgmlDType::Q8_0 } else { GgmlDType::F32 };
            (name, QTensor::quantize(t, dtype).unwrap())
        })
        .collect();
    let digits = (0..10).map(|i| i.to_string());
    let pairs = (0..10).map(|i| format!("w{i}"));
    let mut tokens: Vec<String> = ["<unk>", "<s>", "</s>", "w"].map(String::from).into();
    tokens.extend(digits.chain(pairs).chain((0..9).map(|i| format!("<|{i}|>"))));
    let count = tokens.len();
    assert_eq!(count, place.vocabulary());
    let list = |all: Vec<Meta>| Meta::Array(all);
    let texts = |all: Vec<String>| list(all.into_iter().map(Meta::String).collect());
    let size = |key: &str, n: usize| (format!("llama.{key}"), Meta::U32(n as u32));
    let mut meta = vec![
        ("general.architecture".into(), Meta::String("llama".into())),
        size("vocab_size", count),
        size("embedding_length", toy::D),
        size("block_count", toy::DEPTH),
        size("attention.head_count", 2),
        size("attention.head_count_kv", 1),
        size("attention.key_length", 16),
        size("attention.value_length", 16),
        size("feed_forward_length", 24),
        size("context_length", 512),
        ("llama.attention.layer_norm_rms_epsilon".into(), Meta::F32(1e-6)),
        ("tokenizer.ggml.tokens".into(), texts(tokens)),
        (
            "tokenizer.ggml.token_type".into(),
            list((0..count).map(|i| Meta::I32(if i < 3 { 3 } else { 1 })).collect()),
        ),
        ("tokenizer.ggml.bos_token_id".into(), Meta::U32(1)),
        ("tokenizer.ggml.eos_token_id".into(), Meta::U32(2)),
        (
            "tokenizer.chat_template".into(),
            Meta::String("{% for m in messages %}{{ m.content }}</s>{% endfor %}".into()),
        ),
    ];
    let text =
        |name: &str, value: &str| (format!("tokenizer.ggml.{name}"), Meta::String(value.into()));
    match bytes {
        true => meta.extend([
            text("model", "gpt2"),
            text("pre", "llama-bpe"),
            ("tokenizer.ggml.merges".into(), texts((0..10).map(|i| format!("w {i}")).collect())),
        ]),
        false => meta.extend([
            text("model", "llama"),
            (
                "tokenizer.ggml.scores".into(),
                list((0..count).map(|i| Meta::F32(-(i as f32))).collect()),
            ),
        ]),
    }
    let meta: Vec<(&str, &Meta)> = meta.iter().map(|(k, v)| (k.as_str(), v)).collect();
    let tensors: Vec<(&str, &QTensor)> = stored.iter().map(|(k, t)| (k.as_str(), t)).collect();
    let mut out = std::io::Cursor::new(Vec::new());
    gguf_file::write(&mut out, &meta, &tensors).unwrap();
    out.into_inner()
}

fn configs(place: &Place) -> Vec<Vec<u8>> {
    let plain = std::fs::read(place.model().join("config.json")).unwrap();
    let mut more: serde_json::Value = serde_json::from_slice(&plain).unwrap();
    more["rope_theta"] = json!(500000.0);
    more["rope_scaling"] = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 128});
    let mut windows = more.clone();
    windows["model_type"] = json!("mistral");
    windows["sliding_window"] = json!(16);
    [more, windows].iter().map(|c| c.to_string().into_bytes()).chain([plain]).collect()
}

fn vectors(ending: &str, concepts: usize) -> Vec<Vec<u8>> {
    let layers = |k: usize| (0..3).map(|l| (l, vec![(k + l) as f32; 4])).collect();
    let vectors = Vectors {
        model_id: "toy".into(),
        layer_convention: "block_output_0based".into(),
        blocks: Some(3),
        concepts: (0..concepts).map(|k| (format!("concept{k}"), layers(k))).collect(),
        about: About::default(),
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("v.{ending}"));
    export::file::write(&path, &vectors, "llama").unwrap();
    vec![std::fs::read(path).unwrap()]
}

/// The toy's words, and one of each part that tokenizers of models have.
fn tokenizers(place: &Place) -> Vec<Vec<u8>> {
    let words = std::fs::read(place.model().join("tokenizer.json")).unwrap();
    let token = |id: usize, content: &str| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true})
    };
    let vocabulary: serde_json::Map<String, serde_json::Value> =
        (["<unk>", "w", "1", "2", "w1", "w2", "Ġ", "Ċ", "<0x0A>", "▁"].iter().enumerate())
            .map(|(i, w)| (w.to_string(), i.into()))
            .collect();
    let regex = r"(?i:'s|'t)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|\s+(?!\S)|\s+";
    let bpe = json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [token(10, "<s>"), token(11, "</s>")],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false},
            {"type": "Digits", "individual_digits": true},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [10], "tokens": ["<s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": true, "ignore_merges": false,
            "vocab": vocabulary, "merges": [["w", "1"], ["w", "2"]]}
    });
    let unigram = json!({
        "version": "1.0", "truncation": {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0},
        "padding": null, "added_tokens": [token(0, "<unk>")],
        "normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
        "post_processor": null, "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
        "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": false, "vocab": [["<unk>", 0.0], ["▁w", -1.0], ["1", -2.0], ["2", -3.0]]}
    });
    [bpe, unigram].iter().map(|t| t.to_string().into_bytes()).chain([words]).collect()
}

/// What templates of models do beside loops.
const MANY: &str = "{%- set ns = namespace(n=0, s='') -%}{%- macro turn(m) -%}<|{{ m['role'] }}|>{{ m.content | trim }}\
{%- endmacro -%}{%- if messages[0]['role'] == 'system' -%}{%- set first = messages[0].content -%}{%- set rest = messages[1:] -%}\
{%- else -%}{%- set first = 'none' -%}{%- set rest = messages -%}{%- endif -%}{{ bos_token }}{{ first | upper }}\
{%- for m in rest -%}{%- if loop.first and m.role not in ['user', 'assistant'] -%}{{ raise_exception('roles') }}{%- endif -%}\
{%- set ns.n = ns.n + loop.index0 * 2 -%}{%- set ns.s = ns.s ~ m.role[:2] -%}{{ turn(m) ~ '\\n' }}{%- endfor -%}\
{{ rest | map(attribute='role') | join(', ') | indent(2) }}{{ '%05d' | format(ns.n) }}{{ strftime_now('%d %b %Y') }}\
{{ rest | tojson(indent=2) }}{{ range(3) | list | length }}{{ 'a,b'.split(',')[-1] }}{% if add_generation_prompt %}<|assistant|>{% endif %}";

/// The first lines of a shipped file of each kind, and of kinds that are users' alone.
fn lines(probes: &Path) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    for kind in std::fs::read_dir(probes).unwrap().map(|e| e.unwrap().path()) {
        let files = if kind.is_dir() {
            std::fs::read_dir(&kind).unwrap().map(|e| e.unwrap().path()).collect()
        } else {
            vec![kind]
        };
        let mut files: Vec<_> =
            files.into_iter().filter(|f| f.extension().is_some_and(|e| e == "jsonl")).collect();
        files.sort();
        for file in files.iter().take(1) {
            let text = std::fs::read_to_string(file).unwrap();
            all.push(text.lines().take(9).collect::<Vec<_>>().join("\n").into_bytes());
        }
    }
    assert!(all.len() > 4, "{}", probes.display());
    all.sort();
    let texts = [
        json!({"id": "a", "prompt": "P", "response": "R", "system": "S", "label": "l"}),
        json!({"id": "b", "text": "T"}),
        json!({"id": "c", "messages": [{"role": "user", "content": "U"}, {"role": "assistant", "content": "A"}]}),
    ];
    let foreign = json!({"question": "Q", "answer_matching_behavior": " (A)", "answer_not_matching_behavior": " (B)"});
    let verdict = json!({"key": "0", "judge": "m", "version": 1, "question": "Q", "answer": "A", "fact": "F",
        "verdict": {"coherent": true, "fact": "true", "stance": "neither"}, "raw": "", "at": ""});
    let joined = |all: &[serde_json::Value]| {
        all.iter().map(|t| t.to_string()).collect::<Vec<_>>().join("\n").into_bytes()
    };
    all.extend([
        joined(&texts),
        joined(&[foreign.clone(), foreign]),
        joined(&[verdict.clone(), verdict]),
    ]);
    all
}

fn attrs() -> RootAttrs {
    RootAttrs::new("fuzz", json!({"name": "fuzz"}), 7)
}

fn results(path: &Path) {
    let mut w = ResultsWriter::create(path, &attrs()).unwrap();
    w.coord("state", vec!["base", "tuned"]).unwrap();
    w.coord("concept", vec!["a"]).unwrap();
    w.coord("estimator", vec!["mean-diff"]).unwrap();
    w.coord("layer", vec![0usize, 3]).unwrap();
    w.coord("hidden", (0..4).collect::<Vec<usize>>()).unwrap();
    let unit = Array::from_elem(IxDyn(&[2, 1, 1, 2, 4]), 0.5f32);
    let dims = ["state", "concept", "estimator", "layer", "hidden"];
    w.array("directions/vectors", "unit", &dims, unit.view()).unwrap();
    let training = |step| TrainingRow {
        state: "tuned".into(),
        condition: "tuned".into(),
        seed: 1,
        step,
        loss: 1.5,
    };
    let results = Results {
        layers: [0, 3].map(|layer| LayerRow { layer, reported: layer == 3, rms: 1.0, n: 4 }).into(),
        training: (0..3).map(training).collect(),
        warnings: vec![WarningRow { about: "a".into(), text: "b".into() }],
        ..Results::default()
    };
    results.write(&mut w).unwrap();
    w.finish().unwrap();
}

fn activations(path: &Path) {
    let spec = ActivationSpec {
        condition: "tuned".into(),
        seed: 1,
        step: None,
        layers: vec![0, 3],
        hidden: 4,
        positions: vec!["response-mean".into(), "prompt-last".into()],
        precision: Precision::F16,
    };
    let mut w = ActivationWriter::create(path, &attrs(), spec).unwrap();
    for i in 0..6 {
        w.append(Sample {
            set: ["a", "b"][i % 2].into(),
            prompt_id: format!("p{i}"),
            label: "positive".into(),
            role: "assistant".into(),
            n_tokens: 3,
            rows: vec![(0, Array2::from_elem((2, 4), i as f32))],
        })
        .unwrap();
    }
    w.finish().unwrap();
}

fn replies() -> Vec<Vec<u8>> {
    const PLAIN: &str = "coherent: yes\nfact: not sure\nstance: neither";
    let completion = |message: serde_json::Value| json!({"choices": [{"index": 0, "finish_reason": "stop", "message": message}], "usage": {"prompt_tokens": 1}});
    let parts = json!([{"type": "thinking", "text": "hm"}, {"type": "text", "text": PLAIN}]);
    let object = json!({"coherent": "yes", "fact": "true", "stance": "expresses"});
    let all = [
        completion(json!({"role": "assistant", "content": PLAIN})),
        completion(
            json!({"content": null, "reasoning_content": format!("<think>hm</think>{PLAIN}")}),
        ),
        completion(json!({"content": parts})),
        completion(json!({"content": format!("```json\n{object}\n```")})),
        object,
    ];
    all.iter().map(|a| a.to_string().into_bytes()).chain([PLAIN.as_bytes().to_vec()]).collect()
}

fn listings() -> Vec<Vec<u8>> {
    let file = |name: &str| json!({"rfilename": name, "size": FILE.len(), "blobId": "0123456789012345678901234567890123456789"});
    let weights = json!({"rfilename": "model.safetensors", "size": FILE.len(), "lfs": {"size": FILE.len(),
        "sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}});
    let listing = json!({"sha": "0123456789abcdef0123456789abcdef01234567", "siblings": [
        file("config.json"), file("tokenizer.json"), file("tokenizer_config.json"), file("adapter_config.json"),
        weights, file("adapter_model.safetensors")]})
    .to_string();
    let answer = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\netag: \"x\"\r\n\r\n{listing}", listing.len());
    [listing, answer].map(String::into_bytes).into()
}
