//! LoRA training on the real model, against peft's own curve (frozen fixture).

mod common;

use common::{default_model, fixtures, ids, json};
use residuum::finetune::{examples, train, Order, Recipe};
use residuum::model::{Adapter, Interventions, Message};

fn rows() -> Vec<Vec<Message>> {
    let text = std::fs::read_to_string(fixtures().join("peft/rows.jsonl")).unwrap();
    text.lines()
        .map(|l| {
            let v: serde_json::Value = serde_json::from_str(l).unwrap();
            serde_json::from_value(v["messages"].clone()).unwrap()
        })
        .collect()
}

fn recipe() -> Recipe {
    Recipe { rank: 2, alpha: 4.0, warmup: 2, order: Order::File, ..Recipe::default() }
}

#[test]
fn twenty_steps_follow_pefts_loss_curve_within_1e3() {
    let model = default_model();
    let curve = json("peft/curve.json");
    let examples = examples(&model.tokenizer, &rows(), 1024).unwrap();
    for (b, batch) in curve["first_batches"].as_array().unwrap().iter().enumerate() {
        for (i, row) in batch.as_array().unwrap().iter().enumerate() {
            assert_eq!(examples[b * 4 + i].ids, ids(&row["ids"]));
        }
    }
    let start = Adapter::read(&fixtures().join("peft/init"), &model.decoder).unwrap();
    let out = tempfile::tempdir().unwrap();
    let got = train(
        &model.decoder,
        start,
        &examples,
        &recipe(),
        &Interventions::none(),
        0,
        out.path(),
        &mut |_, _| (),
    )
    .unwrap();
    let want = curve["steps"].as_array().unwrap();
    assert_eq!(got.steps.len(), want.len());
    let mut worst = 0f64;
    for (g, w) in got.steps.iter().zip(want) {
        let loss = w["loss"].as_f64().unwrap();
        worst = worst.max((g.loss / loss - 1.0).abs());
        let rate = w["learning_rate"].as_f64().unwrap();
        assert!((g.learning_rate - rate).abs() < 1e-15);
        let norm = w["grad_norm"].as_f64().unwrap();
        assert!((g.grad_norm / norm - 1.0).abs() < 1e-2);
    }
    println!("largest relative difference of the loss: {worst:.1e}");
    assert!(worst < 1e-3, "{worst}");
    // The adapter on disk is the one in memory.
    let back = Adapter::read(out.path(), &model.decoder).unwrap();
    for (t, (a, b)) in &got.adapter.factors {
        let (a2, b2) = &back.factors[t];
        let v = |t: &candle_core::Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!((v(a), v(b)), (v(a2), v(b2)));
    }
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    let model = default_model();
    let examples = examples(&model.tokenizer, &rows()[..8], 1024).unwrap();
    let recipe = Recipe { rank: 2, batch: 4, ..Recipe::default() };
    let run = |seed| {
        let rng = &mut residuum::stats::rng::stream(seed, "lora-init", 0);
        let targets = recipe.target_indices().unwrap();
        let start = Adapter::init(&model.decoder, "m", 2, 4.0, &targets, rng).unwrap();
        let out = tempfile::tempdir().unwrap();
        train(
            &model.decoder,
            start,
            &examples,
            &recipe,
            &Interventions::none(),
            seed,
            out.path(),
            &mut |_, _| (),
        )
        .unwrap();
        std::fs::read(out.path().join("adapter_model.safetensors")).unwrap()
    };
    assert!(run(1) == run(1), "two runs of one seed differ");
    assert!(run(1) != run(2), "two seeds agree");
}

#[test]
fn a_loss_that_is_not_finite_stops_with_its_step_and_keeps_what_was_reached() {
    let model = default_model();
    let examples = examples(&model.tokenizer, &rows()[..8], 1024).unwrap();
    let recipe = Recipe { learning_rate: 1e38, clip: 1e30, warmup: 0, ..recipe() };
    let start = Adapter::read(&fixtures().join("peft/init"), &model.decoder).unwrap();
    let out = tempfile::tempdir().unwrap();
    let run = train(
        &model.decoder,
        start,
        &examples,
        &recipe,
        &Interventions::none(),
        0,
        out.path(),
        &mut |_, _| (),
    );
    let error = run.err().expect("the loss stayed finite").to_string();
    assert!(error.contains("step 1"), "{error}");
    let log = std::fs::read_to_string(out.path().join("training.jsonl")).unwrap();
    assert_eq!(log.lines().count(), 1);
    // Kept is the adapter before the update that broke it, which is the one given.
    assert!(error.contains("checkpoint-0"), "{error}");
    let kept = Adapter::read(&out.path().join("checkpoint-0"), &model.decoder).unwrap();
    let given = Adapter::read(&fixtures().join("peft/init"), &model.decoder).unwrap();
    let flat = |t: &candle_core::Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    for (target, (a, b)) in &given.factors {
        let (a2, b2) = &kept.factors[target];
        assert_eq!((flat(a), flat(b)), (flat(a2), flat(b2)));
    }
}
