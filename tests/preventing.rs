//! Training with the stream edited, on a toy model: gradients, and what need not be learned.

mod common;

use common::lab::coordinates;
use common::toy::{self, sum, Toy, D, DEPTH};
use residuum::causal::ceilings;
use residuum::model::{Decoder, HookPoint, Hooks, Interventions, Packed, Recording, Role, Tokens};
use std::sync::Arc;

use candle_core::{Tensor, Var};
use residuum::finetune::{examples, train, Example, Mode, Prevent, Recipe};
use residuum::model::{Adapter, Message};
use residuum::ops::loss::cross_entropy;
use residuum::stats::rng::stream;
use std::collections::BTreeMap;

fn rows(toy: &Toy) -> Vec<Example> {
    let chat = |p: String| vec![Message::new("user", &p), Message::new("assistant", "yes")];
    let all: Vec<Vec<Message>> = toy.prompts(32).into_iter().map(chat).collect();
    examples(&toy.model.tokenizer, &all, 64).unwrap()
}

fn loss(model: &Decoder, rows: &[Example], edits: &Interventions) -> Tensor {
    let texts: Vec<&[u32]> = rows.iter().map(|r| r.ids.as_slice()).collect();
    let packed = Packed::new(&texts);
    let (mut at, mut targets) = (Vec::new(), Vec::new());
    for (i, r) in rows.iter().enumerate() {
        for &t in &r.learn {
            at.push(packed.path(i)[t - 1] as u32);
            targets.push(r.ids[t]);
        }
    }
    let hooks = &mut Hooks::none();
    edits.install(hooks, DEPTH, D).unwrap();
    let x = model.forward(&packed, hooks).unwrap();
    let h = model.normalized(&x, &at, &packed.places, hooks).unwrap();
    cross_entropy(&h, model.head(), &targets).unwrap()
}

/// The change of the loss along the gradient is what the gradient says, through every edit.
#[test]
fn gradients_pass_through_every_edit_as_finite_differences_do() {
    let toy = Toy::new();
    let rows = &rows(&toy)[..8];
    let base = &toy.model.decoder;
    let none = Interventions::none();
    let texts: Vec<Tokens> = toy.neutral(8);
    let point = HookPoint::resid_post(0);
    let record = |t: &[Example]| {
        let as_tokens = |e: &Example| Tokens::new(e.ids.clone(), vec![Role::Text; e.ids.len()]);
        let all: Vec<Tokens> = t.iter().map(as_tokens).collect();
        Arc::new(Recording::of(base, &all, &[point], &none).unwrap())
    };
    let v = &toy.read;
    let cap = ceilings(base, &texts, &vec![v.clone(); DEPTH], None, 0.5).unwrap();
    let oblique = [sum(&[(1.0, v), (0.5, &toy.second)])];
    let mean = vec![0.1f32; D];
    let edits = [
        ("none", none.clone()),
        ("add", none.clone().add(0, v, 2.0).unwrap()),
        ("project out", none.clone().project_out(point, v).unwrap()),
        ("cap", none.clone().clamp(point, v, f64::NEG_INFINITY, cap[0]).unwrap()),
        ("erase", none.clone().erase(point, &mean, &oblique, std::slice::from_ref(v)).unwrap()),
        ("swap", none.clone().swap(point, record(rows), Some(v)).unwrap()),
    ];
    let rng = &mut stream(5, "toy-factors", 0);
    let mut start = Adapter::init(base, "toy", 2, 4.0, &[3, 6], rng).unwrap();
    for (i, (_, b)) in start.factors.values_mut().enumerate() {
        let (o, r) = b.dims2().unwrap();
        let mut data = vec![0f32; o * r];
        residuum::stats::rng::fill_normal(&mut stream(6, "toy-factors", i as u64), &mut data);
        data.iter_mut().for_each(|x| *x *= 0.05);
        *b = Tensor::from_vec(data, (o, r), b.device()).unwrap();
    }
    let mut seen: Vec<f64> = Vec::new();
    for (name, edit) in &edits {
        let vars: BTreeMap<_, _> = start
            .factors
            .iter()
            .map(|(t, (a, b))| (*t, (Var::from_tensor(a).unwrap(), Var::from_tensor(b).unwrap())))
            .collect();
        let at = |step: f64, grads: &BTreeMap<(usize, usize), (Tensor, Tensor)>| {
            let moved = vars.iter().map(|(t, (a, b))| {
                let by = |x: &Tensor, g: &Tensor| (x + (g * step).unwrap()).unwrap();
                let (ga, gb) = &grads[t];
                (*t, (by(a.as_tensor(), ga), by(b.as_tensor(), gb)))
            });
            let model = base.with_branches(&moved.collect(), start.scale());
            loss(&model, rows, edit).to_scalar::<f32>().unwrap() as f64
        };
        let live =
            vars.iter().map(|(t, (a, b))| (*t, (a.as_tensor().clone(), b.as_tensor().clone())));
        let model = base.with_branches(&live.collect(), start.scale());
        let store = loss(&model, rows, edit).backward().unwrap();
        let zero = |x: &Tensor| x.zeros_like().unwrap();
        // Block 0 alone: it is the one that the edit stands behind.
        let grads: BTreeMap<_, _> = vars
            .iter()
            .map(|(t, (a, b))| {
                let of = |v: &Var| match t.0 {
                    0 => store.get(v).cloned().unwrap_or_else(|| zero(v)),
                    _ => zero(v),
                };
                (*t, (of(a), of(b)))
            })
            .collect();
        let squared =
            |x: &Tensor| x.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap() as f64;
        let norm2: f64 = grads.values().map(|(a, b)| squared(a) + squared(b)).sum();
        assert!(norm2 > 1e-6, "{name}: no gradient");
        let e = 0.02 / norm2.sqrt();
        let change = (at(e, &grads) - at(-e, &grads)) / (2.0 * e);
        assert!((change / norm2 - 1.0).abs() < 0.01, "{name}: {change} {norm2}");
        assert!(!seen.contains(&norm2), "{name} changes nothing");
        seen.push(norm2);
    }
}

fn recipe(prevent: Option<Prevent>) -> Recipe {
    Recipe {
        rank: 2,
        alpha: 4.0,
        targets: vec!["down_proj".into()],
        learning_rate: 3e-3,
        epochs: 2,
        prevent,
        ..Recipe::default()
    }
}

/// Shift along each axis-aligned planted direction after training on "yes".
fn shifts(toy: &Toy, prevent: Option<Prevent>) -> [f64; 2] {
    let base = &toy.model.decoder;
    let recipe = recipe(prevent);
    let vectors: BTreeMap<usize, Vec<f32>> = (0..DEPTH).map(|l| (l, toy.read.clone())).collect();
    let rms = (0..DEPTH).map(|l| (l, 1.0)).collect();
    let edits = match &recipe.prevent {
        Some(p) => p.interventions(&vectors, &rms).unwrap(),
        None => Interventions::none(),
    };
    let rng = &mut stream(1, "lora-init", 0);
    let start = Adapter::init(base, "toy", 2, 4.0, &recipe.target_indices().unwrap(), rng).unwrap();
    let out = tempfile::tempdir().unwrap();
    let done =
        train(base, start, &rows(toy), &recipe, &edits, 1, out.path(), &mut |_, _| ()).unwrap();
    let tuned = base.merged(&done.adapter).unwrap();
    let none = Interventions::none();
    let texts = toy.neutral(8);
    [&toy.read, &toy.second].map(|v| {
        let mean = |m: &Decoder| {
            let x = coordinates(m, &texts, v, &none).pop().unwrap();
            x.iter().sum::<f64>() / x.len() as f64
        };
        mean(&tuned) - mean(base)
    })
}

#[test]
fn what_is_added_or_denied_in_training_need_not_or_cannot_be_learned() {
    let toy = Toy::along(toy::axes());
    let prevent = |mode, dose, layers: &[usize]| {
        Some(Prevent { concept: "read".into(), mode, dose, layers: layers.to_vec() })
    };
    let [plain, plain_second] = shifts(&toy, None);
    assert!(plain > 0.1 && plain_second > 0.05, "{plain} {plain_second}");
    let [added, _] = shifts(&toy, prevent(Mode::Add, 8.0, &[2]));
    assert!(added < 0.5 * plain, "{added} of {plain}");
    // Denied `read`, training still learns by `second`.
    let [denied, second] = shifts(&toy, prevent(Mode::ProjectOut, 0.0, &[]));
    assert!(denied.abs() < 1e-3, "{denied}");
    assert!(second > 0.5 * plain_second, "{second} of {plain_second}");
}

#[test]
fn a_recipe_and_the_edits_made_must_go_together() {
    let toy = Toy::new();
    let base = &toy.model.decoder;
    let rng = &mut stream(1, "lora-init", 0);
    let start = Adapter::init(base, "toy", 2, 4.0, &[6], rng).unwrap();
    let out = tempfile::tempdir().unwrap();
    let named = recipe(Some(Prevent {
        concept: "read".into(),
        mode: Mode::ProjectOut,
        dose: 0.0,
        layers: Vec::new(),
    }));
    let rows = rows(&toy);
    let none = Interventions::none();
    let e = train(base, start.clone(), &rows, &named, &none, 1, out.path(), &mut |_, _| ())
        .err()
        .unwrap();
    assert!(e.to_string().contains("`prevent`"), "{e}");
    let edits = Interventions::none().project_out(HookPoint::resid_post(1), &toy.read).unwrap();
    let plain = recipe(None);
    let e = train(base, start, &rows, &plain, &edits, 1, out.path(), &mut |_, _| ()).err().unwrap();
    assert!(e.to_string().contains("`prevent`"), "{e}");
}
