//! The decoder, tokenizer and template against transformers, by fixtures that
//! `tests/oracles/make_fixtures.py` wrote from the same file.

mod common;

use candle_core::{Device, Tensor};
use common::{default_model, fixtures, ids, json};
use residuum::model::decoder::LINEARS;
use residuum::model::generate::{generate, Sampling};
use residuum::model::{self, Adapter, Decoder, HookPoint, Hooks, Loading, Message, Model, Packed};
use residuum::stats::rng::stream;
use std::collections::HashMap;

/// `(layers, T, D)` residuals of one text.
fn residuals(model: &Decoder, text: &[u32]) -> Vec<Vec<Vec<f32>>> {
    let packed = Packed::new(&[text]);
    let mut got = Vec::new();
    let mut hooks = Hooks::none();
    let points: Vec<_> = (0..model.layers()).map(HookPoint::resid_post).collect();
    hooks.on(points, |_, x, _| {
        got.push(x.to_vec2::<f32>()?);
        Ok(None)
    });
    model.forward(&packed, &mut hooks).unwrap();
    drop(hooks);
    got
}

struct Oracle {
    ids: Vec<u32>,
    /// Positions whose residuals are stored.
    positions: Vec<u32>,
    resid: Tensor,
    rms: Vec<f64>,
}

fn oracles() -> Vec<Oracle> {
    (0..8)
        .map(|k| {
            let path = fixtures().join(format!("residuals-{k}.safetensors"));
            let mut t: HashMap<String, Tensor> =
                candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
            Oracle {
                ids: t.remove("ids").unwrap().to_vec1().unwrap(),
                positions: t.remove("positions").unwrap().to_vec1().unwrap(),
                resid: t.remove("resid_post").unwrap(),
                rms: t.remove("rms").unwrap().to_vec1().unwrap(),
            }
        })
        .collect()
}

/// Largest deviation from the f64 oracle at any layer, in units of the layer's RMS.
fn worst(model: &Decoder) -> f64 {
    let mut worst = 0f64;
    for o in oracles() {
        let want: Vec<Vec<Vec<f32>>> = o.resid.to_vec3().unwrap();
        let got = residuals(model, &o.ids);
        assert_eq!(got.len(), want.len());
        for (l, (g, w)) in got.iter().zip(&want).enumerate() {
            for (&at, w) in o.positions.iter().zip(w).filter(|(&at, _)| at > 0) {
                for (a, b) in g[at as usize].iter().zip(w) {
                    worst = worst.max((*a as f64 - *b as f64).abs() / o.rms[l]);
                }
            }
        }
    }
    worst
}

#[test]
fn residuals_are_within_1e4_of_layer_rms_of_f64_transformers() {
    let w = worst(&default_model().decoder);
    println!("largest deviation: {w:.2e} of the layer RMS");
    assert!(w < 1e-4, "{w}");
}

/// The default model as a folder of sharded safetensors, as transformers reads it.
fn folder_model() -> (tempfile::TempDir, Model) {
    let dir = tempfile::tempdir().unwrap();
    let files = model::folder::write(default_model(), dir.path(), 200_000_000).unwrap();
    let shards = files.iter().filter(|f| f.extension().unwrap() == "safetensors");
    assert!(shards.count() > 1, "the weights are in one file");
    let loaded = Model::load("folder", dir.path(), &Loading::default()).unwrap();
    (dir, loaded)
}

#[test]
fn a_folder_of_sharded_safetensors_is_the_model_it_was_written_from() {
    let (_dir, folder) = folder_model();
    let w = worst(&folder.decoder);
    assert!(w < 1e-4, "{w}");
    let (a, b) = (&folder.tokenizer, &default_model().tokenizer);
    for (k, o) in oracles().iter().enumerate() {
        assert_eq!(residuals(&folder.decoder, &o.ids), residuals(&default_model().decoder, &o.ids));
        let text = b.decode(&o.ids).unwrap();
        assert_eq!(a.encode(&text).unwrap(), b.encode(&text).unwrap(), "text {k}");
    }
    let (a_text, b_text) = (a.exchange(None, "Hi?", "Yes."), b.exchange(None, "Hi?", "Yes."));
    assert_eq!(a_text.unwrap().ids, b_text.unwrap().ids);
    assert_eq!(a.eos(), b.eos());
}

#[test]
fn token_ids_equal_transformers() {
    let t = json("tokens.json");
    for s in t["strings"].as_array().unwrap() {
        let text = s["text"].as_str().unwrap();
        let got = default_model().tokenizer.encode(text).unwrap();
        assert_eq!(got, ids(&s["ids"]), "{text:?}");
    }
}

#[test]
fn chat_strings_and_ids_equal_transformers() {
    let t = json("tokens.json");
    for c in t["chats"].as_array().unwrap() {
        let messages: Vec<Message> = serde_json::from_value(c["messages"].clone()).unwrap();
        let prompt = c["add_generation_prompt"].as_bool().unwrap();
        let tok = &default_model().tokenizer;
        assert_eq!(tok.render(&messages, prompt).unwrap(), c["text"].as_str().unwrap());
        assert_eq!(tok.chat(&messages, prompt).unwrap().ids, ids(&c["ids"]));
    }
}

#[test]
fn greedy_tokens_equal_transformers_alone_and_in_one_batch() {
    let g = json("greedy.json");
    let model = default_model();
    let prompts: Vec<Vec<u32>> =
        g["prompts"].as_array().unwrap().iter().map(|p| ids(&p["ids"])).collect();
    let want: Vec<Vec<u32>> =
        g["prompts"].as_array().unwrap().iter().map(|p| ids(&p["new_ids"])).collect();
    let end = default_model().tokenizer.eos().to_vec();
    let want: Vec<Vec<u32>> = want
        .into_iter()
        .map(|w| w.into_iter().take_while(|t| !end.contains(t)).collect())
        .collect();
    let greedy = Sampling { max_tokens: 32, temperature: 0.0, top_p: 1.0 };
    let run = |p: &[Vec<u32>]| {
        let hooks = &mut Hooks::none();
        generate(&model.decoder, &Packed::new(p), &end, &greedy, &mut [], hooks).unwrap()
    };
    assert_eq!(run(&prompts), want);
    assert_eq!(run(&prompts[..1]), want[..1]);
}

#[test]
fn batching_and_shared_prefixes_change_no_residual_beyond_1e5() {
    let model = &default_model().decoder;
    let os = oracles();
    let mut texts: Vec<Vec<u32>> = os.iter().map(|o| o.ids.clone()).collect();
    texts.extend(os.iter().map(|o| [&o.ids[..o.ids.len() - 3], &[11, 12]].concat()));
    let packed = Packed::new(&texts);
    assert!(packed.rows() < texts.iter().map(Vec::len).sum());
    let mut all = Vec::new();
    let mut hooks = Hooks::none();
    let points: Vec<_> = (0..model.layers()).map(HookPoint::resid_post).collect();
    hooks.on(points, |_, x, _| {
        all.push(x.to_vec2::<f32>()?);
        Ok(None)
    });
    model.forward(&packed, &mut hooks).unwrap();
    drop(hooks);
    for (i, o) in os.iter().enumerate() {
        let alone = residuals(model, &o.ids);
        for (l, layer) in all.iter().enumerate() {
            for (at, row) in packed.path(i).into_iter().enumerate().skip(1) {
                let alone = &alone[l][at];
                let gap = layer[row].iter().zip(alone).map(|(a, b)| (a - b).powi(2));
                let gap = gap.sum::<f32>().sqrt();
                let norm = alone.iter().map(|b| b * b).sum::<f32>().sqrt();
                assert!(gap <= 1e-5 * norm, "text {i} layer {l}: {:.1e}", gap / norm);
            }
        }
    }
}

/// A merged adapter that adds nothing has weights of its own, which nothing quantised stands for.
#[test]
fn few_rows_read_from_quantised_weights_give_the_same_logits_to_the_bit() {
    let plain = &default_model().decoder;
    let targets: Vec<usize> = (0..LINEARS.len()).collect();
    let rng = &mut stream(1, "nothing", 0);
    let nothing = Adapter::init(plain, "base", 1, 1.0, &targets, rng).unwrap();
    let unquantised = plain.merged(&nothing).unwrap();
    let stands = |d: &Decoder| {
        let maps = (0..d.layers()).flat_map(|l| (0..LINEARS.len()).map(move |k| (l, k)));
        maps.filter(|&(l, k)| d.linear(l, k).weight.stored().is_some()).count()
    };
    assert_eq!(stands(plain), 30 * 7);
    assert_eq!(stands(&unquantised), 0);
    for rows in [1, 7] {
        let text: Vec<u32> = (0..rows).map(|i| 300 + 41 * i).collect();
        let batch = Packed::new(&[&text]);
        let all: Vec<u32> = (0..rows).collect();
        let logits = |d: &Decoder| -> Vec<Vec<f32>> {
            let x = d.forward(&batch, &mut Hooks::none()).unwrap();
            let none = &mut Hooks::none();
            let z = d.logits(&x, &all, &batch.places, none).unwrap();
            z.to_vec2().unwrap()
        };
        assert!(logits(plain) == logits(&unquantised), "{rows} rows");
    }
}
