//! A tiny model as a folder, a GGUF file and its parts: which weights are read, and what is refused.

use super::decoder::Decoder;
use super::gguf::{decoder_held, decoder_of};
use super::tiny::*;
use super::{
    folder, Adapter, Held, Hooks, Interventions, Loading, Model, ModelError, ModelWarning, Packed,
};
use crate::finetune::{train, Example, Recipe};
use crate::stats::rng::stream;
use candle_core::quantized::gguf_file::{Content, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};
use candle_transformers::models::quantized_llama::ModelWeights;
use serde_json::json;
use std::path::Path;

#[test]
fn biases_of_a_gguf_file_are_used_as_those_of_a_folder() {
    let plain = numbers(&decoder_of(&as_gguf(&model(|_| false), GgmlDType::F32).1).unwrap().0);
    for (attention, mlp) in [(true, false), (false, true), (true, true)] {
        let weights = model(|i| if i < 4 { attention } else { mlp });
        let dir = as_folder(&weights, |c| {
            c["attention_bias"] = attention.into();
            c["mlp_bias"] = mlp.into();
        });
        let (_keep, path) = as_gguf(&weights, GgmlDType::F32);
        let (gguf, warnings) = decoder_of(&path).unwrap();
        assert!(warnings.is_empty());
        let (a, b) = (numbers(&loaded(dir.path()).decoder), numbers(&gguf));
        assert_eq!(a.as_ref().unwrap(), b.as_ref().unwrap());
        assert_ne!(a.unwrap(), *plain.as_ref().unwrap());
    }
}

#[test]
fn a_bias_on_a_value_moves_attention_out_by_its_image() {
    // Attention weights sum to 1, so with a bias b on v alone, o (mixed + b) = o mixed + o b.
    let with = model(|i| i == 2);
    let (_a, path) = as_gguf(&with, GgmlDType::F32);
    let biased = decoder_of(&path).unwrap().0;
    let (_b, path) = as_gguf(&model(|_| false), GgmlDType::F32);
    let plain = decoder_of(&path).unwrap().0;
    let stream = |d: &Decoder| -> Vec<Vec<f32>> {
        let mut out = Vec::new();
        let mut hooks = Hooks::none();
        hooks.on(vec![super::HookPoint::new(super::Site::AttnOut, 0)], |_, x, _| {
            out = x.to_vec2()?;
            Ok(None)
        });
        d.forward(&Packed::new(&[vec![1u32, 5, 3]]), &mut hooks).unwrap();
        drop(hooks);
        out
    };
    let bias: Vec<f32> = with["model.layers.0.self_attn.v_proj.bias"].to_vec1().unwrap();
    let o: Vec<Vec<f32>> = with["model.layers.0.self_attn.o_proj.weight"].to_vec2().unwrap();
    let (a, b) = (stream(&biased), stream(&plain));
    for (with, without) in a.iter().zip(&b) {
        for (i, row) in o.iter().enumerate() {
            // Query head j reads key-value head j / 2.
            let image: f64 =
                (0..D).map(|c| f64::from(row[c]) * f64::from(bias[c / 32 * 16 + c % 16])).sum();
            let off = f64::from(with[i]) - f64::from(without[i]) - image;
            assert!(off.abs() < 1e-5, "{off}");
        }
    }
}

#[test]
fn a_split_model_is_the_whole_one_whichever_part_is_given() {
    let weights = model(|i| i == 0);
    let (dir, whole) = as_gguf(&weights, GgmlDType::Q8_0);
    let want = numbers(&decoder_of(&whole).unwrap().0).unwrap();
    let mut tensors = gguf_tensors(&weights, GgmlDType::Q8_0);
    let total = tensors.len();
    let part = |i: usize| dir.path().join(format!("m-{:05}-of-00003.gguf", i + 1));
    for i in 0..3 {
        let mut keys = match i {
            0 => metadata(),
            _ => Vec::new(),
        };
        keys.push(("split.no".into(), Value::U16(i as u16)));
        keys.push(("split.count".into(), Value::U16(3)));
        keys.push(("split.tensors.count".into(), Value::I32(total as i32)));
        let take = if i < 2 { 7 } else { tensors.len() };
        let held: Vec<(String, QTensor)> = tensors.drain(..take).collect();
        write_gguf(&part(i), &keys, &held);
    }
    for i in 0..3 {
        let (decoder, warnings) = decoder_of(&part(i)).unwrap();
        assert_eq!(numbers(&decoder).unwrap(), want);
        assert!(warnings.is_empty());
    }
    let said = |path: &Path| decoder_of(path).unwrap_err().to_string();
    let aside = dir.path().join("aside.gguf");
    std::fs::rename(part(1), &aside).unwrap();
    assert!(said(&part(0)).contains("m-00002-of-00003.gguf"));
    assert!(said(&aside).contains("-00002-of-00003.gguf"), "{}", said(&aside));
    std::fs::copy(part(2), part(1)).unwrap();
    assert!(said(&part(0)).contains("not part 2"), "{}", said(&part(0)));
}

#[test]
fn a_head_of_its_own_is_used_with_a_warning_and_an_equal_one_is_the_embedding() {
    let tied = model(|_| false);
    let mut equal = tied.clone();
    equal.insert("lm_head.weight".into(), tied["model.embed_tokens.weight"].clone());
    let mut own = tied.clone();
    own.insert("lm_head.weight".into(), drawn("head", &[V, D], 0.3, 0.0));
    let open = |w: &Named, flag: bool| {
        let dir = as_folder(w, |c| c["tie_word_embeddings"] = flag.into());
        let m = loaded(dir.path());
        (numbers(&m.decoder).unwrap(), m.warnings)
    };
    let (plain, none) = open(&tied, true);
    assert!(none.is_empty());
    assert_eq!(open(&equal, true), (plain.clone(), Vec::new()));
    let (headed, warnings) = open(&own, true);
    assert!(matches!(warnings[..], [ModelWarning::HeadDiffers { .. }]));
    assert_ne!(headed, plain);
    assert_eq!(open(&own, false), (headed.clone(), Vec::new()));
    let (_keep, path) = as_gguf(&own, GgmlDType::F32);
    assert_eq!(numbers(&decoder_of(&path).unwrap().0).unwrap(), headed);
    let dir = as_folder(&tied, |c| c["tie_word_embeddings"] = false.into());
    assert!(refusal(dir.path()).contains("lm_head.weight"));
}

#[test]
fn weights_that_nothing_takes_are_listed_and_those_that_change_the_model_refused() {
    let mut extra = model(|_| false);
    extra.insert("score.weight".into(), drawn("s", &[2, D], 1.0, 0.0));
    extra.insert("model.layers.0.self_attn.rotary_emb.inv_freq".into(), drawn("f", &[8], 1.0, 0.0));
    let warned = loaded(as_folder(&extra, |_| ()).path()).warnings;
    let [ModelWarning::UnusedWeights { names, .. }] = &warned[..] else {
        panic!("{warned:?}");
    };
    assert_eq!(names, &["score.weight"]);
    extra.remove("model.layers.0.self_attn.rotary_emb.inv_freq");
    let (_keep, path) = as_gguf(&extra, GgmlDType::F32);
    let warned = decoder_of(&path).unwrap().1;
    assert!(warned[0].to_string().contains("score.weight"));

    let foreign = [
        "model.layers.1.self_attn.q_norm.weight",
        "model.layers.1.self_attn.o_proj.bias",
        "model.layers.2.mlp.up_proj.weight",
    ];
    for name in foreign {
        let mut w = model(|_| false);
        w.insert(name.into(), drawn("x", &[16], 1.0, 0.0));
        let said = refusal(as_folder(&w, |_| ()).path());
        assert!(said.contains(name), "{said}");
    }
    for name in ["blk.1.attn_q_norm.weight", "blk.2.ffn_up.weight", "blk.0.attn_norm.bias"] {
        let mut tensors = gguf_tensors(&model(|_| false), GgmlDType::F32);
        let x = drawn("x", &[16], 1.0, 0.0);
        tensors.push((name.into(), QTensor::quantize(&x, GgmlDType::F32).unwrap()));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.gguf");
        write_gguf(&path, &metadata(), &tensors);
        let e = decoder_of(&path).unwrap_err();
        assert!(matches!(e, ModelError::ForeignWeight { .. }), "{e}");
        assert!(e.to_string().contains(name), "{e}");
    }
}

#[test]
fn a_declared_bias_that_is_missing_is_named() {
    let dir = as_folder(&model(|i| i < 3), |c| c["attention_bias"] = true.into());
    assert!(refusal(dir.path()).contains("model.layers.0.self_attn.o_proj.bias"));
}

#[test]
fn a_weight_that_is_not_finite_is_named_from_any_source() {
    let name = "model.layers.1.mlp.up_proj.weight";
    for (value, dtype) in [
        (f64::NAN, DType::F32),
        (f64::INFINITY, DType::BF16),
        (f64::NEG_INFINITY, DType::F16),
        (1e300, DType::F64),
    ] {
        let mut w = model(|_| false);
        let mut values = vec![0.5f64; F * D];
        values[777] = value;
        let t = Tensor::from_vec(values, (F, D), &Device::Cpu).unwrap();
        w.insert(name.into(), t.to_dtype(dtype).unwrap());
        let said = refusal(as_folder(&w, |_| ()).path());
        assert!(said.contains(name) && said.contains("777"), "{said}");
    }
    // A block of 32 values whose scale is infinite.
    let weights = model(|_| false);
    let (_keep, path) = as_gguf(&weights, GgmlDType::Q8_0);
    let mut bytes = std::fs::read(&path).unwrap();
    let header = super::gguf_header::read(&bytes).unwrap();
    let at = header.tensors["blk.1.ffn_up.weight"].bytes.start;
    bytes[at..at + 2].copy_from_slice(&0x7c00u16.to_le_bytes());
    std::fs::write(&path, &bytes).unwrap();
    for held in [Held::F32, Held::Stored] {
        let said = decoder_held(&path, held).unwrap_err().to_string();
        assert!(said.contains("blk.1.ffn_up.weight"), "{said}");
    }
}

#[test]
fn shards_that_disagree_with_each_other_or_their_index_are_refused() {
    let weights = model(|_| false);
    let dir = as_folder(&weights, |_| ());
    let at = |name: &str| dir.path().join(name);
    std::fs::remove_file(at("model.safetensors")).unwrap();
    let half = |upper: bool| -> Named {
        let named = weights.iter().enumerate();
        let part = named.filter(|(i, _)| (*i > 9) == upper);
        part.map(|(_, (n, t))| (n.clone(), t.clone())).collect()
    };
    let index = |edit: &dyn Fn(&mut serde_json::Value)| {
        let mut map = json!({});
        for (file, upper) in [("a.safetensors", false), ("b.safetensors", true)] {
            half(upper).keys().for_each(|n| map[n] = file.into());
        }
        edit(&mut map);
        let text = json!({"weight_map": map}).to_string();
        std::fs::write(at("model.safetensors.index.json"), text).unwrap();
    };
    save(&half(false), &at("a.safetensors"));
    save(&half(true), &at("b.safetensors"));
    index(&|_| ());
    let whole = numbers(&loaded(as_folder(&weights, |_| ()).path()).decoder).unwrap();
    assert_eq!(numbers(&loaded(dir.path()).decoder).unwrap(), whole);
    let norm = "model.norm.weight";
    index(&|map| map[norm] = "a.safetensors".into());
    let said = refusal(dir.path());
    assert!(said.contains(norm) && said.contains("a.safetensors"), "{said}");
    index(&|map| map["model.ghost.weight"] = "b.safetensors".into());
    assert!(refusal(dir.path()).contains("model.ghost.weight"));
    index(&|map| map[norm] = "../b.safetensors".into());
    assert!(refusal(dir.path()).contains("../b.safetensors"));
    index(&|_| ());
    let mut twice = half(false);
    twice.insert(norm.into(), weights[norm].clone());
    save(&twice, &at("a.safetensors"));
    let said = refusal(dir.path());
    assert!(said.contains(norm) && said.contains("too"), "{said}");
}

#[test]
fn a_model_with_some_biases_is_exported_to_the_same_numbers() {
    let (_keep, path) = as_gguf(&model(|i| i == 0 || i == 5), GgmlDType::F32);
    let mut m = loaded(as_folder(&model(|_| false), |_| ()).path());
    m.decoder = decoder_of(&path).unwrap().0;
    let out = tempfile::tempdir().unwrap();
    folder::write(&m, out.path(), 1 << 30).unwrap();
    let back = loaded(out.path());
    assert!(back.warnings.is_empty());
    assert_eq!(numbers(&back.decoder).unwrap(), numbers(&m.decoder).unwrap());
}

#[test]
fn a_key_of_another_computation_is_refused_and_a_factor_without_a_type_is_linear() {
    let tensors = gguf_tensors(&model(|_| false), GgmlDType::F32);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.gguf");
    let open = |key: &str, value: Value| {
        let mut keys = metadata();
        keys.retain(|(k, _)| k != key);
        keys.push((key.into(), value));
        write_gguf(&path, &keys, &tensors);
        decoder_of(&path)
    };
    for (key, value) in [
        ("llama.rope.dimension_count", Value::U32(8)),
        ("llama.attention.value_length", Value::U32(8)),
        ("llama.expert_count", Value::U32(4)),
        ("llama.rope.scaling.type", Value::String("dynamic".into())),
        ("llama.rope.freq_base", Value::F32(0.0)),
        ("llama.rope.freq_base", Value::F32(f32::NAN)),
        ("llama.rope.freq_base", Value::String("1e4".into())),
        ("llama.rope.scaling.factor", Value::F32(0.0)),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(f32::NAN)),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(-1.0)),
        ("llama.block_count", Value::U64(1_000_000_000)),
        ("llama.block_count", Value::U64(u64::MAX)),
        ("llama.feed_forward_length", Value::U64((1 << 61) + F as u64)),
        ("llama.context_length", Value::U64(u64::MAX)),
        ("general.type", Value::String("adapter".into())),
    ] {
        let e = match open(key, value) {
            Ok(_) => panic!("{key} is taken"),
            Err(e) => e.to_string(),
        };
        let of_file = key.contains("count") && e.contains("blk.2.");
        let shape = key.contains("feed_forward") && e.contains("ffn_gate");
        assert!(e.contains(key) || of_file || shape, "{key}: {e}");
    }
    let plain = open("llama.rope.dimension_count", Value::U32(16)).unwrap().0;
    for key in ["llama.rope.scaling.factor", "llama.rope.scale_linear"] {
        let scaled = open(key, Value::F32(2.0)).unwrap().0;
        let [a, b] = [&scaled, &plain].map(|d| d.config.rope.frequencies(16).radians);
        assert!(a.iter().zip(&b).all(|(a, b)| *a == b / 2.0), "{key}");
    }
}

#[test]
fn a_granite_whose_heads_are_not_rotated_is_refused_by_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("g.gguf");
    let tensors = gguf_tensors(&model(|_| false), GgmlDType::F32);
    let open = |finetuned: Option<bool>| {
        let granite = |(key, value): (String, Value)| match value {
            Value::String(_) => (key, Value::String("granite".into())),
            _ => (key.replace("llama.", "granite."), value),
        };
        let mut keys: Vec<(String, Value)> = metadata().into_iter().map(granite).collect();
        let key = "granite.rope.scaling.finetuned";
        keys.extend(finetuned.map(|f| (key.into(), Value::Bool(f))));
        write_gguf(&path, &keys, &tensors);
        decoder_of(&path)
    };
    let said = open(Some(false)).unwrap_err().to_string();
    for part in ["g.gguf", "`granite.rope.scaling.finetuned`", "not rotated"] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    let rotated = numbers(&open(Some(true)).unwrap().0).unwrap();
    assert_eq!(rotated, numbers(&open(None).unwrap().0).unwrap());
}

/// Logits of a text of so many tokens.
fn logits(d: &Decoder, tokens: u32) -> Vec<f32> {
    let batch = Packed::new(&[(0..tokens).map(|i| i * 7 % V as u32).collect::<Vec<_>>()]);
    let x = d.forward(&batch, &mut Hooks::none()).unwrap();
    let rows: Vec<u32> = (0..tokens).collect();
    let z = d.logits(&x, &rows, &batch.places, &mut Hooks::none()).unwrap();
    z.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn weights_held_as_stored_give_the_bits_of_decoded_ones() {
    let same = |stored: &Decoder, decoded: &Decoder, what: &str| {
        assert!(stored.is_stored() && !decoded.is_stored());
        for tokens in [1, 7, 16, 17, 60] {
            assert!(logits(stored, tokens) == logits(decoded, tokens), "{what}, {tokens} tokens");
        }
    };
    let weights = model(|i| i == 0);
    for dtype in [
        GgmlDType::F32,
        GgmlDType::F16,
        GgmlDType::BF16,
        GgmlDType::Q4_0,
        GgmlDType::Q4_1,
        GgmlDType::Q5_0,
        GgmlDType::Q5_1,
        GgmlDType::Q8_0,
    ] {
        let (_keep, path) = as_gguf(&weights, dtype);
        let open = |held| decoder_held(&path, held).unwrap().0;
        same(&open(Held::Stored), &open(Held::F32), &format!("{dtype:?}"));
    }
    for dtype in [DType::F32, DType::F16, DType::BF16, DType::F64] {
        let plain = model(|_| false);
        let all = plain.iter().map(|(n, t)| (n.clone(), t.to_dtype(dtype).unwrap()));
        let dir = as_folder(&all.collect(), |_| ());
        let open = |held| {
            let mut loading = Loading::default();
            loading.placement.held = held;
            Model::load("tiny", dir.path(), &loading).unwrap().decoder
        };
        let stored = open(Held::Stored);
        same(&stored, &open(Held::F32), &format!("folder in {dtype:?}"));
        // Tied: the head is no second matrix.
        let held = stored.footprint();
        assert_eq!((held.memory, held.maps), (0, 0));
        let values = V * D + 2 * MAPS.iter().map(|(o, i)| o * i).sum::<usize>();
        assert_eq!(held.mapped as usize, values * dtype.size_in_bytes());
    }
}

#[test]
fn a_model_held_as_stored_learns_the_same_adapter_and_runs_with_it() {
    let (_keep, path) = as_gguf(&model(|_| false), GgmlDType::Q4_1);
    let open = |held| decoder_held(&path, held).unwrap().0;
    let (stored, decoded) = (open(Held::Stored), open(Held::F32));
    let rows: Vec<Example> = (0..6u32)
        .map(|i| Example {
            ids: (0..20 + i).map(|t| (t * t + i) % V as u32).collect(),
            learn: (8..20).collect(),
            mixed: false,
        })
        .collect();
    let recipe = Recipe { rank: 4, batch: 3, learning_rate: 1e-2, ..Recipe::default() };
    let learnt = |d: &Decoder| {
        let rng = &mut stream(1, "init", 0);
        let targets = recipe.target_indices().unwrap();
        let start = Adapter::init(d, "tiny", 4, 8.0, &targets, rng).unwrap();
        let (dir, mut losses) = (tempfile::tempdir().unwrap(), Vec::new());
        let none = &Interventions::none();
        let on_step = &mut |s: &crate::finetune::Step, _| losses.push(s.loss);
        let done = train(d, start, &rows, &recipe, none, 1, dir.path(), on_step).unwrap();
        (losses, done.adapter)
    };
    let ((a, adapter), (b, other)) = (learnt(&stored), learnt(&decoded));
    assert_eq!(a, b);
    for (x, y) in adapter.factors.values().zip(other.factors.values()) {
        assert_eq!(x.1.to_vec2::<f32>().unwrap(), y.1.to_vec2::<f32>().unwrap());
    }
    // The adapter stays beside stored weights, where it is trained on as well.
    let (beside, merged) = (stored.merged(&adapter).unwrap(), decoded.merged(&adapter).unwrap());
    assert!(beside.is_stored());
    let (x, y) = (logits(&beside, 40), logits(&merged, 40));
    let scale = y.iter().fold(0f32, |m, v| m.max(v.abs()));
    assert!(x.iter().zip(&y).all(|(x, y)| (x - y).abs() < 1e-4 * scale));
    assert!(x != logits(&stored, 40));
    let (again, more) = (learnt(&beside).0, learnt(&merged).0);
    assert!(again.iter().zip(&more).all(|(a, b)| (a - b).abs() < 1e-3 * a), "{again:?} {more:?}");
    assert!(again[0] < a[0]);
}

/// candle-transformers as the second implementation, reading the same file.
#[test]
fn logits_equal_those_of_candle_transformers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.gguf");
    let mut keys = metadata();
    let (width, epsilon) = ("llama.rope.dimension_count", "llama.attention.layer_norm_rms_epsilon");
    keys.push((width.into(), Value::U32((D / HEADS) as u32)));
    keys.push((epsilon.into(), Value::F32(1e-5)));
    write_gguf(&path, &keys, &gguf_tensors(&model(|_| false), GgmlDType::F32));

    let all = numbers(&decoder_of(&path).unwrap().0).unwrap();
    let ours = &all[5 * D..]; // (5, V) behind the stream
    let mut file = std::fs::File::open(&path).unwrap();
    let content = Content::read(&mut file).unwrap();
    let mut theirs = ModelWeights::from_gguf(content, &mut file, &Device::Cpu).unwrap();
    let text = [1u32, 5, 3, 7, 2];
    for (last, ours) in ours.chunks(V).enumerate() {
        // Its logits are of the last token only.
        let ids = Tensor::new(&text[..=last], &Device::Cpu).unwrap();
        let z = theirs.forward(&ids.unsqueeze(0).unwrap(), 0).unwrap();
        let z: Vec<f32> = z.flatten_all().unwrap().to_vec1().unwrap();
        let scale = z.iter().fold(0f32, |m, x| m.max(x.abs()));
        let gap = (z.iter().zip(ours)).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
        assert!(scale > 0.1 && gap < 1e-4 * scale, "token {last}: {gap} of {scale}");
    }
}
