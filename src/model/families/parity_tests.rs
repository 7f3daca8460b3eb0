//! Every family against transformers in f64, by fixtures that `tests/oracles/make_family_fixtures.py`
//! wrote: at least two tiny checkpoints each, whose weights are drawn here as they are there.

use super::super::decoder::{module_path, Decoder, LINEARS};
use super::super::generate::{generate, Sampling};
use super::super::gguf::decoder_of;
use super::super::load::{Loading, Model};
use super::super::{HookPoint, Hooks, Packed};
use crate::ops::loss::cross_entropy;
use candle_core::{Device, Tensor, Var};
use serde_json::{json, Value};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

pub(super) struct Fixture {
    pub name: String,
    pub json: Value,
    arrays: HashMap<String, Tensor>,
}

fn place() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/families")
}

pub(super) fn fixtures() -> Vec<Fixture> {
    let entries = std::fs::read_dir(place()).unwrap().map(|e| e.unwrap().path());
    let mut paths: Vec<PathBuf> = entries.filter(|p| p.extension().unwrap() == "json").collect();
    paths.sort();
    assert!(paths.len() >= 22);
    let read = |path: PathBuf| Fixture {
        name: path.file_stem().unwrap().to_string_lossy().into_owned(),
        json: serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap(),
        arrays: candle_core::safetensors::load(path.with_extension("safetensors"), &Device::Cpu)
            .unwrap(),
    };
    paths.into_iter().map(read).collect()
}

fn numbers(v: &Value) -> Vec<u32> {
    v.as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32).collect()
}

/// Whole numbers of -128 to 127 by SplitMix64 over the FNV-1a hash of the name, times 2^power.
fn draw(name: &str, shape: &[usize], power: i64) -> Tensor {
    let mix = |h: u64, b: u8| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01B3);
    let mut state = name.bytes().fold(0xCBF2_9CE4_8422_2325, mix);
    let next = |_: usize| {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (((z ^ (z >> 31)) >> 56) as f32 - 128.0) * (power as f32).exp2()
    };
    let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(next).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

impl Fixture {
    /// The checkpoint's weights by their names in transformers.
    pub fn tensors(&self) -> HashMap<String, Tensor> {
        let tensors = self.json["tensors"].as_object().unwrap().iter().map(|(name, t)| {
            let shape: Vec<usize> = numbers(&t["shape"]).into_iter().map(|n| n as usize).collect();
            let drawn = draw(name, &shape, t["power"].as_i64().unwrap());
            (name.clone(), (drawn + t["centre"].as_f64().unwrap()).unwrap())
        });
        tensors.collect()
    }

    /// The checkpoint as a Hugging Face folder, loaded.
    pub fn folder(&self) -> Decoder {
        let dir = tempfile::tempdir().unwrap();
        candle_core::safetensors::save(&self.tensors(), dir.path().join("model.safetensors"))
            .unwrap();
        let vocab: BTreeMap<String, usize> = (0..40).map(|i| (format!("w{i}"), i)).collect();
        let tokenizer = json!({"version": "1.0", "truncation": null, "padding": null,
            "added_tokens": [], "normalizer": null, "pre_tokenizer": {"type": "WhitespaceSplit"},
            "post_processor": null, "decoder": null,
            "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "w0"}});
        let put = |name: &str, v: &Value| std::fs::write(dir.path().join(name), v.to_string());
        put("config.json", &self.json["config"]).unwrap();
        put("tokenizer.json", &tokenizer).unwrap();
        let loaded = Model::load(&self.name, dir.path(), &Loading::default());
        let loaded = loaded.unwrap_or_else(|e| panic!("{}: {e}", self.name));
        assert!(loaded.warnings.is_empty(), "{}: {:?}", self.name, loaded.warnings);
        loaded.decoder
    }

    /// The checkpoint from its GGUF file, where there is one.
    fn gguf(&self) -> Option<Decoder> {
        let path = place().join(format!("{}.gguf", self.name));
        let (decoder, warnings) = path.exists().then(|| decoder_of(&path))?.unwrap();
        assert!(warnings.is_empty(), "{}: {warnings:?}", self.name);
        Some(decoder)
    }

    pub fn ids(&self) -> Vec<u32> {
        numbers(&self.json["ids"])
    }

    fn array(&self, name: &str) -> Vec<f32> {
        let t = self.arrays[name].to_dtype(candle_core::DType::F32).unwrap();
        t.flatten_all().unwrap().to_vec1().unwrap()
    }

    /// Largest deviations from the reference: of any layer in its RMS, and of the logits in theirs.
    fn deviations(&self, model: &Decoder) -> (f64, f64) {
        let ids = self.ids();
        let (layers, z) = run(model, &[ids]);
        let positions = numbers(&self.json["positions"]);
        let rms: Vec<f64> = self.arrays["rms"].to_vec1().unwrap();
        assert_eq!(layers.len(), rms.len(), "{}", self.name);
        let want = self.array("resid");
        let width = want.len() / rms.len() / positions.len();
        let mut rows = want.chunks(width);
        let mut worst = 0f64;
        for (layer, rms) in layers.iter().zip(&rms) {
            for &at in &positions {
                worst = worst.max(gap(&layer[at as usize], rows.next().unwrap()) / rms);
            }
        }
        let want = self.array("logits");
        let size = (want.iter().map(|v| f64::from(v * v)).sum::<f64>() / want.len() as f64).sqrt();
        let rows = want.chunks(want.len() / positions.len());
        let gaps = positions.iter().zip(rows).map(|(&at, want)| gap(&z[at as usize], want) / size);
        (worst, gaps.fold(0.0, f64::max))
    }

    fn greedy(&self, model: &Decoder) -> Vec<u32> {
        let sampling = Sampling { max_tokens: 8, temperature: 0.0, top_p: 1.0 };
        let batch = Packed::new(&[self.ids()]);
        let none = &mut Hooks::none();
        generate(model, &batch, &[], &sampling, &mut [], none).unwrap().remove(0)
    }

    fn holds(&self, source: &str, model: &Decoder) {
        let (layers, logits) = self.deviations(model);
        println!("{} {source}: {layers:.1e} of layer RMS, logits {logits:.1e}", self.name);
        assert!(layers < 1e-4 && logits < 1e-4, "{} {source}: {layers} {logits}", self.name);
        assert_eq!(self.greedy(model), numbers(&self.json["greedy"]), "{} {source}", self.name);
    }
}

pub(super) fn gap(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs()).fold(0.0, f64::max)
}

/// The stream behind every block and the logits, by rows of the batch.
pub(super) fn run(model: &Decoder, texts: &[Vec<u32>]) -> (Vec<Vec<Vec<f32>>>, Vec<Vec<f32>>) {
    let batch = Packed::new(texts);
    let mut layers = Vec::new();
    let mut hooks = Hooks::none();
    hooks.on((0..model.layers()).map(HookPoint::resid_post), |_, x, _| {
        layers.push(x.to_vec2::<f32>()?);
        Ok(None)
    });
    let x = model.forward(&batch, &mut hooks).unwrap();
    drop(hooks);
    let rows: Vec<u32> = (0..batch.rows() as u32).collect();
    let z = model.logits(&x, &rows, &batch.places, &mut Hooks::none()).unwrap();
    (layers, z.to_vec2().unwrap())
}

#[test]
fn every_layer_of_every_family_is_within_1e4_of_its_rms_of_f64_transformers() {
    for fixture in fixtures() {
        fixture.holds("folder", &fixture.folder());
    }
}

#[test]
fn a_gguf_file_of_every_family_gives_what_its_folder_gives() {
    let mut read = 0;
    for fixture in fixtures() {
        let Some(model) = fixture.gguf() else {
            continue;
        };
        fixture.holds("gguf", &model);
        read += 1;
    }
    assert_eq!(read, 11);
}

#[test]
fn texts_that_share_a_beginning_give_what_each_alone_gives_in_every_family() {
    for fixture in fixtures() {
        let model = fixture.folder();
        let ids = fixture.ids();
        let other = [&ids[..15], &[1, 2, 3, 4]].concat();
        let batch = Packed::new(&[ids.clone(), other.clone()]);
        assert!(batch.rows() < ids.len() + other.len());
        let both = run(&model, &[ids.clone(), other.clone()]).0;
        for (i, text) in [ids, other].into_iter().enumerate() {
            let alone = run(&model, &[text]).0;
            for (both, alone) in both.iter().zip(&alone) {
                for (row, alone) in batch.path(i).into_iter().zip(alone) {
                    let size = alone.iter().fold(0f32, |m, v| m.max(v.abs()));
                    let gap = gap(&both[row], alone);
                    assert!(gap < 1e-5 * f64::from(size), "{}: {gap}", fixture.name);
                }
            }
        }
    }
}

/// The maps of a block that a module is: its own, or the parts of a fused one.
fn maps_of(module: &str) -> Vec<usize> {
    match module {
        "self_attn.qkv_proj" => vec![0, 1, 2],
        "mlp.gate_up_proj" => vec![4, 5],
        module => vec![(0..LINEARS.len()).find(|&i| module_path(i) == module).unwrap()],
    }
}

/// The factors of a fused map are those of its parts: A each time, and B by its rows.
#[test]
fn lora_gradients_of_every_linear_map_equal_those_of_peft() {
    let kept = |f: &Fixture| f.json.get("lora").is_some();
    let fixtures: Vec<Fixture> = fixtures().into_iter().filter(kept).collect();
    assert_eq!(fixtures.len(), 11);
    for fixture in fixtures {
        let lora = &fixture.json["lora"];
        let scale = lora["alpha"].as_f64().unwrap() / lora["rank"].as_f64().unwrap();
        let plain = fixture.folder();
        let maps = plain.config.maps().unwrap();
        let mut vars: BTreeMap<(usize, usize), (Var, Var)> = BTreeMap::new();
        let modules: Vec<&str> = (lora["factors"].as_object().unwrap().keys())
            .filter_map(|key| key.strip_prefix("model.layers.")?.strip_suffix(".lora_A"))
            .collect();
        for at in &modules {
            let (layer, module) = at.split_once('.').unwrap();
            let factor = |half: &str| {
                let key = format!("model.layers.{at}.lora_{half}");
                let shape = numbers(&lora["factors"][&key]);
                let shape: Vec<usize> = shape.into_iter().map(|n| n as usize).collect();
                draw(&key, &shape, lora["power"].as_i64().unwrap())
            };
            let (a, b) = (factor("A"), factor("B"));
            let mut from = 0;
            for linear in maps_of(module) {
                let rows = b.narrow(0, from, maps[linear].0).unwrap().contiguous().unwrap();
                from += maps[linear].0;
                let pair = (Var::from_tensor(&a).unwrap(), Var::from_tensor(&rows).unwrap());
                vars.insert((layer.parse().unwrap(), linear), pair);
            }
        }
        assert_eq!(vars.len(), plain.layers() * 7, "{}", fixture.name);
        let tensors = |(a, b): &(Var, Var)| (a.as_tensor().clone(), b.as_tensor().clone());
        let branches = vars.iter().map(|(at, pair)| (*at, tensors(pair))).collect();
        let model = plain.with_branches(&branches, scale as f32);

        let ids = fixture.ids();
        let batch = Packed::new(std::slice::from_ref(&ids));
        let x = model.forward(&batch, &mut Hooks::none()).unwrap();
        let half = ids.len() / 2;
        let rows: Vec<u32> = (half as u32 - 1..ids.len() as u32 - 1).collect();
        let h = model.normalized(&x, &rows, &batch.places, &mut Hooks::none()).unwrap();
        let loss = cross_entropy(&h, model.head(), &ids[half..]).unwrap();
        let value = f64::from(loss.to_scalar::<f32>().unwrap());
        let want = lora["loss"].as_f64().unwrap();
        assert!((value - want).abs() < 1e-5 * want, "{}: {value} {want}", fixture.name);
        let grads = loss.backward().unwrap();
        for at in &modules {
            let (layer, module) = at.split_once('.').unwrap();
            let layer: usize = layer.parse().unwrap();
            let linears = maps_of(module);
            let of = |half: usize| {
                let grad = |linear: &usize| {
                    let (a, b) = &vars[&(layer, *linear)];
                    grads.get([a, b][half]).unwrap().clone()
                };
                linears.iter().map(grad).collect::<Vec<Tensor>>()
            };
            let a = of(0).into_iter().reduce(|a, b| (a + b).unwrap()).unwrap();
            let b = Tensor::cat(&of(1), 0).unwrap();
            for (half, got) in [("A", a), ("B", b)] {
                let want = fixture.array(&format!("grad/model.layers.{at}.lora_{half}"));
                let got: Vec<f32> = got.flatten_all().unwrap().to_vec1().unwrap();
                let size = want.iter().fold(0f32, |m, v| m.max(v.abs()));
                assert!(size > 0.0, "{} {at}", fixture.name);
                let gap = gap(&got, &want);
                let name = &fixture.name;
                assert!(gap < 1e-4 * f64::from(size), "{name} {at} {half}: {gap} of {size}");
            }
        }
    }
}

/// What is not read is refused by its name and the reason, from config.json alone.
#[test]
fn models_of_other_kinds_are_refused_with_the_reason() {
    use super::super::config::Config;
    let path = std::path::Path::new("config.json");
    for (config, reason) in [
        (json!({"model_type": "qwen3_moe", "num_experts": 128}), "mixture of experts"),
        (json!({"model_type": "mixtral", "num_local_experts": 8}), "mixture of experts"),
        (json!({"model_type": "llama", "num_local_experts": 8}), "mixture of experts"),
        (json!({"model_type": "gpt_oss"}), "mixture of experts"),
        (json!({"model_type": "qwen3_next", "num_experts": 512}), "mixture of experts"),
        (json!({"model_type": "qwen3_5_text", "linear_num_key_heads": 16}), "gated delta nets"),
        (json!({"model_type": "gemma3n_text", "hidden_size_per_layer_input": 256}), "per-layer"),
        (
            json!({"model_type": "gemma4", "text_config": {"model_type": "gemma4_text"}}),
            "per-layer",
        ),
        (json!({"model_type": "deepseek_v3", "kv_lora_rank": 512}), "latent attention"),
        (json!({"model_type": "mamba2", "state_size": 128}), "state-space"),
        (json!({"model_type": "t5", "is_encoder_decoder": true}), "encoder-decoder"),
        (json!({"model_type": "gpt_neox"}), "no reader"),
        (json!({}), "(none)"),
    ] {
        let e = Config::from_json(&config, path).unwrap_err().to_string();
        assert!(e.contains(reason) && e.contains("what is read: Llama"), "{config}: {e}");
    }
}
