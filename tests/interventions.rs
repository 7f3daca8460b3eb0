//! Interventions on a toy model: each does what it says, where it says, in scoring and generation.

mod common;

use common::lab::{bits, claim, coordinates, Lab, N};
use common::toy::{dot, sum, C, C2, D, DEPTH};
use ndarray::Axis;
use residuum::capture::{capture, Position, Request};
use residuum::causal::{ceilings, Bench};
use residuum::model::generate::{respond, Sampling};
use residuum::model::{
    Decoder, HookPoint, Hooks, Interventions, Packed, Recording, Role, Site, Tokens,
};
use std::sync::Arc;

#[test]
fn identity_interventions_are_bit_equal_in_scoring_and_generation() {
    let lab = Lab::new();
    let model = lab.tuned(0.9, 0.3, 0.2);
    let bench = lab.bench(&model);
    let points: Vec<HookPoint> =
        HookPoint::all(DEPTH).into_iter().filter(|p| p.site != Site::FinalNorm).collect();
    let mut texts = bench.texts().unwrap();
    let prompts: Vec<Tokens> = lab
        .toy
        .prompts(6)
        .iter()
        .map(|p| lab.toy.model.tokenizer.prompt(None, p).unwrap())
        .collect();
    texts.extend(prompts.iter().cloned());
    let none = Interventions::none();
    let own = Arc::new(Recording::of(&model, &texts, &points, &none).unwrap());
    let v = &lab.toy.read;
    let mut swaps = [none.clone(), none.clone()];
    for &point in &points {
        let [whole, along] = swaps;
        swaps = [
            whole.swap(point, own.clone(), None).unwrap(),
            along.swap(point, own.clone(), Some(v)).unwrap(),
        ];
    }
    let [whole, along] = swaps;
    let open = (f64::NEG_INFINITY, f64::INFINITY);
    let identities = [
        none.clone().add(1, v, 0.0).unwrap(),
        none.clone().clamp(HookPoint::resid_post(1), v, open.0, open.1).unwrap(),
        none.clone().cap_everywhere(&vec![v.clone(); DEPTH], &[1e6; DEPTH]).unwrap(),
        whole,
        along,
    ];
    let say = |edits: &Interventions| {
        let sampling = Sampling { max_tokens: 6, temperature: 0.0, top_p: 1.0 };
        let mut hooks = Hooks::none();
        edits.install(&mut hooks, DEPTH, D).unwrap();
        respond(&model, &prompts, &[], &sampling, &mut [], &mut hooks).unwrap()
    };
    let plain = bench.run("none", &none).unwrap();
    let said = say(&none);
    assert!(said.iter().all(|s| s.len() == 6));
    let reading = [Role::User, Role::Template];
    for (i, edit) in identities.into_iter().enumerate() {
        let e = bench.run("identity", &edit).unwrap();
        assert_eq!(bits(&plain), bits(&e), "edit {i}");
        assert_eq!((e.kl, e.perplexity.to_bits()), (0.0, plain.perplexity.to_bits()), "edit {i}");
        // What is generated was never recorded.
        let edit = if i >= 3 { edit.on(&reading) } else { edit };
        assert_eq!(say(&edit), said, "edit {i}");
    }
}

#[test]
fn swapping_in_a_coordinate_takes_its_part_of_the_shift_and_the_whole_row_takes_all() {
    let lab = Lab::new();
    let tuned = lab.tuned(0.9, 0.6, 0.0);
    let bench = lab.bench(&tuned);
    let point = HookPoint::resid_post(DEPTH - 1);
    let texts = bench.texts().unwrap();
    let none = Interventions::none();
    let from = Arc::new(Recording::of(lab.base(), &texts, &[point], &none).unwrap());
    let base = lab.bench(lab.base()).run("none", &none).unwrap();
    let whole = none.clone().swap(point, from.clone(), None).unwrap();
    assert_eq!(bits(&bench.run("whole", &whole).unwrap()), bits(&base));
    let along = none.clone().swap(point, from, Some(&lab.toy.read)).unwrap();
    let swapped = claim(&bench.run("along", &along).unwrap());
    let left = (&swapped - &claim(&base)).mean().unwrap();
    assert!((left - 2.0 * C2 * 0.6).abs() < 2e-3, "{left}");
    // Only some of the texts were recorded.
    let few = Arc::new(Recording::of(lab.base(), &texts[..2], &[point], &none).unwrap());
    let edit = none.swap(point, few, None).unwrap();
    let e = bench.run("few", &edit).unwrap_err().to_string();
    assert!(e.contains("no recorded activation") && e.contains("resid_post"), "{e}");
}

#[test]
fn capping_keeps_every_token_at_or_below_its_percentile_and_leaves_the_rest() {
    let lab = Lab::new();
    let v = &lab.toy.read;
    let each = vec![v.clone(); DEPTH];
    let none = Interventions::none();
    let mut before = coordinates(lab.base(), &lab.neutral, v, &none);
    let at = |q| ceilings(lab.base(), &lab.neutral, &each, None, q).unwrap();
    let (least, most, middle) = (at(0.0), at(1.0), at(0.6));
    for l in 0..DEPTH {
        before[l].sort_by(f64::total_cmp);
        assert_eq!((least[l], most[l]), (before[l][0], *before[l].last().unwrap()));
        let below = before[l].iter().filter(|x| **x <= middle[l]).count() as f64;
        assert!((below / before[l].len() as f64 - 0.6).abs() < 0.02);
    }
    let user = ceilings(lab.base(), &lab.neutral, &each, Some(&[Role::User]), 1.0).unwrap();
    assert!(user.iter().zip(&most).all(|(u, m)| u <= m) && user != most);
    assert!(ceilings(lab.base(), &lab.neutral, &each, Some(&[Role::System]), 0.5).is_err());
    let tuned = lab.tuned(0.3, 0.0, 0.0);
    let cap = none.clone().cap_everywhere(&each, &middle).unwrap();
    let (free, capped) =
        (coordinates(&tuned, &lab.neutral, v, &none), coordinates(&tuned, &lab.neutral, v, &cap));
    let over = free[1].iter().filter(|x| **x > middle[1]).count();
    assert!(over > free[1].len() / 2 && over < free[1].len());
    for (l, row) in capped.iter().enumerate() {
        assert!(row.iter().all(|x| *x <= middle[l] + 1e-5), "layer {l}");
    }
    // The score is that of the capped coordinate.
    let x = lab.last(&tuned);
    let scores = claim(&lab.bench(&tuned).run("cap", &cap).unwrap());
    for i in 0..N {
        let row = |l: usize| x.slice(ndarray::s![i, l, ..]).to_vec();
        let first = dot(&row(0), v).min(middle[0]);
        let last = (first + dot(&row(1), v) - dot(&row(0), v)).min(middle[1]).min(middle[2]);
        let want = 2.0 * (C * last + C2 * dot(&row(2), &lab.toy.second));
        assert!((scores[[0, i]] - want).abs() < 2e-3, "{} {want}", scores[[0, i]]);
    }
}

#[test]
fn an_eraser_leaves_what_its_right_factor_reads_at_the_mean() {
    let lab = Lab::new();
    let t = &lab.toy;
    let mean: Vec<f32> = lab.last(lab.base()).mean_axis(Axis(0)).unwrap().row(1).to_vec();
    // Oblique: reads `read`, writes `read` and some of `second`.
    let (right, left) = (vec![t.read.clone()], vec![sum(&[(1.0, &t.read), (0.5, &t.second)])]);
    let point = HookPoint::resid_post(1);
    let none = Interventions::none();
    let erase = none.clone().erase(point, &mean, &left, &right).unwrap();
    let want = dot(&mean, &t.read);
    for x in &coordinates(lab.base(), &lab.neutral, &t.read, &erase)[1] {
        assert!((x - want).abs() < 1e-5, "{x} {want}");
    }
    let plain = coordinates(lab.base(), &lab.neutral, &t.second, &none);
    let read = coordinates(lab.base(), &lab.neutral, &t.read, &none);
    let moved = coordinates(lab.base(), &lab.neutral, &t.second, &erase);
    for i in 0..plain[1].len() {
        let expected = plain[1][i] - 0.5 * (read[1][i] - want);
        assert!((moved[1][i] - expected).abs() < 1e-5);
    }
    assert!(none.clone().erase(point, &mean, &[], &[]).is_err());
    assert!(none.erase(point, &mean[1..], &left, &right).is_err());
}

#[test]
fn edits_are_limited_to_roles_and_one_that_touches_nothing_is_an_error() {
    let lab = Lab::new();
    let bench = lab.bench(lab.base());
    let none = Interventions::none();
    let add = || none.clone().add(1, &lab.toy.read, 1.0).unwrap();
    let plain = bench.run("none", &none).unwrap();
    let all = bench.run("all", &add()).unwrap();
    // A completion of one token is predicted from the markup before it, in blocks that only pass on.
    let response = bench.run("response", &add().on(&[Role::Response])).unwrap();
    assert_eq!(bits(&response), bits(&plain));
    let template = bench.run("template", &add().on(&[Role::Template])).unwrap();
    assert_eq!(bits(&template), bits(&all));
    assert_ne!(bits(&all), bits(&plain));
    // An edit before block 0's attention reaches the prediction from other tokens too.
    let early = none.clone().add_at(HookPoint::new(Site::Embed, 0), &lab.toy.read, 5.0).unwrap();
    let user = bench.run("user", &early.on(&[Role::User])).unwrap();
    assert_ne!(bits(&user), bits(&plain));
    let system = add().on(&[Role::System]);
    let e = bench.run("system", &system).unwrap_err().to_string();
    assert!(e.contains("touches nothing") && e.contains("System"), "{e}");
    let told = Bench { system: Some("w1 w2"), ..bench };
    assert!(told.run("system", &system).is_ok());
    // Bare ids have no roles; a pass that ends below the edit never meets it.
    let ids = [lab.neutral[0].ids.as_slice()];
    let packed = Packed::new(&ids);
    let user = add().on(&[Role::User]);
    let mut hooks = Hooks::none();
    user.install(&mut hooks, DEPTH, D).unwrap();
    let e = lab.base().forward(&packed, &mut hooks).unwrap_err();
    assert!(e.to_string().contains("packed without them"), "{e}");
    let request = Request::new(&[Position::ResponseMean], vec![0]);
    let e = capture(lab.base(), &lab.neutral, &request, &add(), &mut |_, _, _| Ok(()));
    assert!(e.unwrap_err().to_string().contains("touches nothing"));
}

#[test]
fn adding_a_direction_decides_what_is_generated_with_and_without_an_adapter() {
    let lab = Lab::new();
    let prompts: Vec<Tokens> = lab
        .toy
        .prompts(6)
        .iter()
        .map(|p| lab.toy.model.tokenizer.prompt(None, p).unwrap())
        .collect();
    let none = Interventions::none();
    let say = |model: &Decoder, edits: &Interventions| -> Vec<String> {
        let sampling = Sampling { max_tokens: 3, temperature: 0.0, top_p: 1.0 };
        let mut hooks = Hooks::none();
        edits.install(&mut hooks, DEPTH, D).unwrap();
        let said = respond(model, &prompts, &[], &sampling, &mut [], &mut hooks).unwrap();
        edits.check_touched().unwrap();
        let text = |ids: &Vec<u32>| lab.toy.model.tokenizer.decode(ids).unwrap();
        said.iter().map(text).collect()
    };
    let add = |dose: f64| none.clone().add(1, &lab.toy.read, dose).unwrap();
    let tuned = lab.tuned(12.0, 0.0, 0.0);
    assert_eq!(say(lab.base(), &add(12.0)), vec!["yes yes yes"; 6]);
    assert_eq!(say(lab.base(), &add(-12.0)), vec!["no no no"; 6]);
    assert_eq!(say(&tuned, &none), vec!["yes yes yes"; 6]);
    assert_eq!(say(&tuned, &add(-24.0)), vec!["no no no"; 6]);
    // On the response alone the first token is still the model's own.
    let late = say(&tuned, &add(-24.0).on(&[Role::Response]));
    assert_eq!(late, vec!["yes no no"; 6]);
}
