//! Damaged model files are read or refused; nothing panics, whatever byte is wrong.

use super::config::Config;
use super::gguf::decoder_of;
use super::load::{Loading, Model};
use super::tiny::*;
use crate::stats::rng::stream;
use candle_core::quantized::GgmlDType;
use rand::Rng;
use rayon::prelude::*;
use serde_json::json;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::Path;

/// Loads and runs what a damaged file gives; whatever comes, it comes as a value or an error.
fn survives(what: &str, run: impl Fn() -> super::Result<Vec<f32>>) -> bool {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(outcome) => outcome.is_ok(),
        Err(_) => panic!("{what}: it panics"),
    }
}

/// A copy of `bytes` with some changed near the beginning, or cut.
fn damaged(bytes: &[u8], head: usize, case: u64) -> Vec<u8> {
    let mut rng = stream(9, "damage", case);
    let mut out = bytes.to_vec();
    for _ in 0..rng.random_range(1..4) {
        let at = rng.random_range(0..head);
        out[at] = match rng.random_range(0..4) {
            0 => out[at] ^ (1 << rng.random_range(0..8)),
            1 => 0,
            2 => 0xff,
            _ => rng.random(),
        };
    }
    if case.is_multiple_of(7) {
        out.truncate(rng.random_range(0..bytes.len()));
    }
    out
}

/// Runs `each` on damaged copies of `bytes`; some must be refused and some be taken.
fn fuzz(bytes: &[u8], head: usize, cases: u64, each: impl Fn(&[u8], u64) -> bool + Sync) {
    let taken =
        (0..cases).into_par_iter().filter(|&case| each(&damaged(bytes, head, case), case)).count()
            as u64;
    assert!(taken > 0 && taken < cases, "{taken} of {cases} are taken");
}

#[test]
fn a_damaged_gguf_file_is_read_or_refused_and_never_panics() {
    let (dir, path) = as_gguf(&model(|i| i == 0), GgmlDType::Q4_0);
    let bytes = std::fs::read(&path).unwrap();
    let header = super::gguf_header::read(&bytes).unwrap();
    let head = header.tensors.values().map(|e| e.bytes.start).min().unwrap();
    fuzz(&bytes, head + 64, 1500, |damaged, case| {
        let path = dir.path().join(format!("{case}.gguf"));
        std::fs::write(&path, damaged).unwrap();
        let taken = survives(&format!("case {case}"), || numbers(&decoder_of(&path)?.0));
        std::fs::remove_file(&path).unwrap();
        taken
    });
}

#[test]
fn a_damaged_folder_is_read_or_refused_and_never_panics() {
    let from = as_folder(&model(|_| false), |_| ());
    let tokenizer = std::fs::read(from.path().join("tokenizer.json")).unwrap();
    let read = |name: &str| std::fs::read(from.path().join(name)).unwrap();
    let (config, weights) = (read("config.json"), read("model.safetensors"));
    let header = u64::from_le_bytes(weights[..8].try_into().unwrap()) as usize + 8;
    let run = |config: &[u8], weights: &[u8], case: u64| {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
        put("config.json", config);
        put("tokenizer.json", &tokenizer);
        put("model.safetensors", weights);
        survives(&format!("case {case}"), || {
            numbers(&Model::load("tiny", dir.path(), &Loading::default())?.decoder)
        })
    };
    fuzz(&config, config.len(), 800, |c, case| run(c, &weights, case));
    // Some changes fall on the values behind the header.
    fuzz(&weights, 2 * header, 500, |w, case| run(&config, w, case));
}

#[test]
fn a_tokenizer_that_grows_its_text_without_end_is_refused() {
    let dir = as_folder(&model(|_| false), |_| ());
    let path = dir.path().join("tokenizer.json");
    let whole: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let double = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"});
    let twice = json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true});
    // A table that claims 8 GB.
    let table = json!({"type": "Precompiled", "precompiled_charsmap": "/////w=="});
    for (key, part) in [
        ("normalizer", json!({"type": "Sequence", "normalizers": vec![double; 60]})),
        ("pre_tokenizer", json!({"type": "Sequence", "pretokenizers": vec![twice; 40]})),
        ("normalizer", table),
    ] {
        let mut damaged = whole.clone();
        damaged[key] = part;
        std::fs::write(&path, damaged.to_string()).unwrap();
        let e = Model::load("tiny", dir.path(), &Loading::default()).err().unwrap().to_string();
        assert!(e.contains("tokenizer.json") && e.contains("takes more than"), "{e}");
    }
}

#[test]
fn a_number_of_a_configuration_is_used_or_refused_whatever_it_is() {
    let weights = model(|_| false);
    let huge = [
        json!(0),
        json!(-1),
        json!(1),
        json!(3),
        json!(1_000_000_000u64),
        json!(1u64 << 32),
        json!(1u64 << 61),
        json!(u64::MAX),
        json!(1e300),
        json!(-0.0),
        json!(1e-300),
        json!("7"),
        json!([]),
        json!(null),
        json!(true),
    ];
    let keys: Vec<String> = config().as_object().unwrap().keys().cloned().collect();
    let more = ["head_dim", "rope_theta", "rope_scaling", "attention_bias"];
    for key in keys.iter().map(String::as_str).chain(more) {
        for value in &huge {
            let dir = as_folder(&weights, |c| c[key] = value.clone());
            let at = format!("{key} = {value}");
            let finite = || {
                let all = numbers(&Model::load("tiny", dir.path(), &Loading::default())?.decoder)?;
                assert!(all.iter().all(|v| v.is_finite()), "{at}");
                Ok(all)
            };
            survives(&at, finite);
        }
    }
    let parsed = Config::from_json(&config(), Path::new("config.json")).unwrap();
    assert_eq!(parsed.head_dim, D / HEADS);
}
