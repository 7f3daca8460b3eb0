//! Which adapters are taken, and that what is taken is all of the file and nothing but what it says.

mod common;

use common::toy::{Toy, D, DEPTH};
use residuum::model::Adapter;
use residuum::stats::rng::{fill_normal, stream};
use safetensors::tensor::{serialize, Dtype, TensorView};
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::path::Path;

const R: usize = 2;

/// Name -> shape and values.
type Keys = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Factors of q_proj and v_proj in every block.
fn keys() -> Keys {
    let mut keys = Keys::new();
    for l in 0..DEPTH {
        for (module, out) in [("q_proj", 32), ("v_proj", 16)] {
            for (half, shape) in [("A", vec![R, D]), ("B", vec![out, R])] {
                let mut values = vec![0f32; shape.iter().product()];
                fill_normal(&mut stream(1, "adapter", keys.len() as u64), &mut values);
                let at = format!("base_model.model.model.layers.{l}.self_attn.{module}");
                keys.insert(format!("{at}.lora_{half}.weight"), (shape, values));
            }
        }
    }
    keys
}

fn write(folder: &Path, keys: &Keys, change: Value) {
    let mut config = json!({
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": R, "lora_alpha": 4,
        "target_modules": ["q_proj", "v_proj"], "bias": "none", "init_lora_weights": true,
    });
    for (key, value) in change.as_object().unwrap() {
        config[key] = value.clone();
    }
    std::fs::write(folder.join("adapter_config.json"), config.to_string()).unwrap();
    let raw = |v: &[f32]| -> Vec<u8> { v.iter().flat_map(|x| x.to_le_bytes()).collect() };
    let raw: Vec<_> = keys.iter().map(|(k, (s, v))| (k, s.clone(), raw(v))).collect();
    let views =
        raw.iter().map(|(k, s, v)| (*k, TensorView::new(Dtype::F32, s.clone(), v).unwrap()));
    let bytes = serialize(views, None).unwrap();
    std::fs::write(folder.join("adapter_model.safetensors"), bytes).unwrap();
}

fn read(toy: &Toy, keys: &Keys, change: Value) -> Result<Adapter, String> {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), keys, change);
    Adapter::read(dir.path(), &toy.model.decoder).map_err(|e| e.to_string())
}

fn renamed(from: &str, to: &str) -> Keys {
    let keys = keys().into_iter();
    keys.map(|(k, v)| (k.replace(from, to), v)).collect()
}

/// Every factor's numbers.
fn numbers(a: &Adapter) -> Vec<Vec<f32>> {
    let both = a.factors.values().flat_map(|(a, b)| [a, b]);
    both.map(|t| t.flatten_all().unwrap().to_vec1().unwrap()).collect()
}

#[test]
fn keys_in_any_one_known_form_are_the_same_adapter() {
    let toy = Toy::new();
    let want = numbers(&read(&toy, &keys(), json!({})).unwrap());
    for (from, to) in [
        (".weight", ".default.weight"),
        (".weight", ".my_adapter.weight"),
        ("base_model.model.model.", ""),
        ("base_model.model.model.", "model."),
        ("base_model.model.", "base_model.model.base_model.model."),
        ("base_model.", "_orig_mod.base_model."),
    ] {
        let got = read(&toy, &renamed(from, to), json!({})).unwrap();
        assert_eq!(numbers(&got), want, "{from} {to}");
    }
}

#[test]
fn keys_in_two_forms_or_an_unknown_one_are_named() {
    let toy = Toy::new();
    for (from, to, part) in [
        (
            "layers.1.self_attn.q_proj.lora_A.weight",
            "layers.1.self_attn.q_proj.lora_A.default.weight",
            "otherwise",
        ),
        ("base_model.model.model.layers.2", "model.layers.2", "otherwise"),
        ("q_proj.lora_A", "q_prj.lora_A", "nearest"),
        ("lora_A", "lora_down", "nearest"),
        ("model.model.layers", "model.vision_tower.layers", "nearest"),
        ("layers.1.", "layers.01.", "nearest"),
        ("layers.2.", "layers.3.", "block 3"),
    ] {
        let e = read(&toy, &renamed(from, to), json!({})).unwrap_err();
        assert!(e.contains(part) && e.contains("adapter_model.safetensors"), "{to}: {e}");
    }
}

#[test]
fn what_is_declared_is_in_the_file_and_nothing_else() {
    let toy = Toy::new();
    let without = |part: &str| -> Keys {
        let all = keys().into_iter();
        all.filter(|(k, _)| !k.contains(part)).collect()
    };
    for (keys, change, parts) in [
        (without("v_proj"), json!({}), ["v_proj.lora_A", "3 of the 6"]),
        (without("layers.1."), json!({}), ["layers.1.", "2 of the 6"]),
        (without("layers.2.self_attn.v_proj.lora_B"), json!({}), ["v_proj.lora_B", "missing"]),
        (without("proj"), json!({}), ["layers.0", "6 of the 6"]),
        (keys(), json!({"target_modules": ["q_proj"]}), ["v_proj", "do not declare"]),
        (keys(), json!({"layers_to_transform": [0, 1]}), ["layers.2", "do not declare"]),
        (keys(), json!({"r": 400}), ["lora_A", "[400, 32]"]),
        (keys(), json!({"init_lora_weights": "pissa"}), ["pissa", "convert"]),
    ] {
        let e = read(&toy, &keys, change).unwrap_err();
        assert!(parts.iter().all(|p| e.contains(p)), "{parts:?}: {e}");
    }
    let two = without("layers.2.");
    let got = read(&toy, &two, json!({"layers_to_transform": [0, 1]})).unwrap();
    assert_eq!(got.factors.len(), 4);
    let got = read(&toy, &keys(), json!({"target_modules": r".*\.(q|v)_proj"})).unwrap();
    assert_eq!(got.factors.len(), 6);
}

#[test]
fn weights_beside_the_adapter_are_named_as_what_they_are() {
    let toy = Toy::new();
    for (key, what) in [
        ("base_model.model.model.embed_tokens.weight", "whole weight"),
        ("base_model.model.lm_head.weight", "whole weight"),
        ("base_model.model.lm_head.modules_to_save.weight", "whole weight"),
        ("base_model.model.model.embed_tokens.lora_embedding_A", "embedding"),
        ("base_model.model.lm_head.lora_A.weight", "output head"),
        ("base_model.model.model.layers.0.self_attn.q_proj.lora_B.bias", "bias"),
        ("base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector", "DoRA"),
    ] {
        let mut keys = keys();
        keys.insert(key.into(), (vec![2], vec![1.0, 2.0]));
        let e = read(&toy, &keys, json!({})).unwrap_err();
        assert!(e.contains(what) && e.contains(key), "{e}");
    }
}

#[test]
fn numbers_that_are_not_finite_never_reach_the_weights() {
    let toy = Toy::new();
    let name = "base_model.model.model.layers.1.self_attn.q_proj.lora_B.weight";
    for bad in [f32::NAN, f32::INFINITY] {
        let mut keys = keys();
        keys.get_mut(name).unwrap().1[3] = bad;
        let e = read(&toy, &keys, json!({})).unwrap_err();
        assert!(e.contains(name) && e.contains("finite"), "{e}");
    }
    let e = read(&toy, &keys(), json!({"lora_alpha": 1e39})).unwrap_err();
    assert!(e.contains("lora_alpha"), "{e}");
    let large = read(&toy, &keys(), json!({"lora_alpha": 3e38})).unwrap();
    let e = toy.model.decoder.merged(&large).unwrap_err().to_string();
    assert!(e.contains("_proj") && e.contains("finite"), "{e}");
}

#[test]
fn a_pickle_or_a_pointer_in_place_of_the_weights_is_told() {
    let toy = Toy::new();
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &keys(), json!({}));
    let file = dir.path().join("adapter_model.safetensors");
    let refused = || Adapter::read(dir.path(), &toy.model.decoder).unwrap_err().to_string();
    std::fs::write(&file, "version https://git-lfs.github.com/spec/v1\noid sha256:0\n").unwrap();
    assert!(refused().contains("Git-LFS"));
    std::fs::remove_file(&file).unwrap();
    assert!(refused().contains("adapter_model.safetensors"));
    std::fs::write(dir.path().join("adapter_model.bin"), "x").unwrap();
    let e = refused();
    assert!(e.contains("adapter_model.bin") && e.contains("save_file"), "{e}");
}

#[test]
fn an_adapter_of_some_maps_is_written_so_that_it_reads_back() {
    let toy = Toy::new();
    let dir = tempfile::tempdir().unwrap();
    let moving = toy.moving(&toy.read);
    moving.write(dir.path()).unwrap();
    let back = Adapter::read(dir.path(), &toy.model.decoder).unwrap();
    assert_eq!(numbers(&back), numbers(&moving));
    assert_eq!(back.factors.keys().collect::<Vec<_>>(), [&(1, 6)]);
}
