//! Ablations of two conditions' fine-tunes, put side by side and judged over prompts and fine-tunes, with
//! the damage that they do.

use super::bench::NONE;
use super::mediation::{necessity, Arms, Necessity};
use super::{CausalError, Edited, Guards, Kind, Result, Warning};
use ndarray::Array2;

/// Judges every edit over the preferences that `keep`; `tuned[model][edit]` and
/// `reference[model][edit]` list the same edits, the one without an edit first, as
/// [`Bench::ablate`](super::Bench::ablate) gives them. `recipes` as in [`Arms`]. The result is in the
/// order of the edits, no edit first.
///
/// # Errors
/// `Empty` where a side has no model or no prompt is kept; `Shape` where models differ in edits or
/// prompts; `NotFinite`.
pub fn necessities(
    tuned: &[&[Edited]],
    reference: &[&[Edited]],
    recipes: [&str; 2],
    keep: &dyn Fn(&str) -> bool,
) -> Result<Vec<Necessity>> {
    let Some(first) = tuned.first().filter(|_| !reference.is_empty()) else {
        return Err(CausalError::Empty("no models to compare"));
    };
    for side in tuned.iter().chain(reference) {
        like(side, first)?;
    }
    if first.first().map(|e| e.edit.as_str()) != Some(NONE) {
        return Err(CausalError::Empty("no run without an edit to compare with"));
    }
    let plain = (cells(tuned, 0, keep), cells(reference, 0, keep));
    (first.iter().enumerate())
        .map(|(k, edited)| {
            let (t, r) = (cells(tuned, k, keep), cells(reference, k, keep));
            let arms = Arms {
                tuned: plain.0.view(),
                reference: plain.1.view(),
                tuned_edited: t.view(),
                reference_edited: r.view(),
                recipes,
            };
            necessity(&edited.edit, &arms)
        })
        .collect()
}

/// What an edit does to neutral texts in the model that it damages most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Harm {
    /// Nats a token from the same model without the edit.
    pub kl: f64,
    /// Perplexity over that of the same model without the edit.
    pub perplexity_ratio: f64,
    /// Within the guards, so in every model.
    pub inside: bool,
}

/// The damage that every edit does over all models, in the order of the edits, no edit first; models
/// as [`necessities`] takes them.
pub fn harms<'a>(models: impl IntoIterator<Item = &'a [Edited]>, guards: Guards) -> Vec<Harm> {
    let mut out: Vec<Harm> = Vec::new();
    for model in models {
        let plain = model.first().map_or(f64::NAN, |e| e.perplexity);
        for (k, e) in model.iter().enumerate() {
            let (kl, perplexity_ratio) = (e.kl, e.perplexity / plain);
            if out.len() == k {
                out.push(Harm { kl, perplexity_ratio, inside: true });
            }
            let worst = &mut out[k];
            worst.kl = worst.kl.max(kl);
            worst.perplexity_ratio = worst.perplexity_ratio.max(perplexity_ratio);
            worst.inside &= guards.hold(kl, perplexity_ratio);
        }
    }
    out
}

/// Doubts that damage casts on what each edit of a direction takes, and on the controls that it is
/// compared with as they are; `edits` and `harms` are in one order.
pub fn doubts(edits: &[Edited], harms: &[Harm]) -> Vec<Warning> {
    let as_is = edits.iter().zip(harms).filter(|(e, _)| e.matched.is_none());
    let (controls, own): (Vec<_>, Vec<_>) = as_is.partition(|(e, _)| e.kind.is_control());
    let doubt = |(e, h): (&Edited, &Harm)| {
        let (edit, kl, perplexity_ratio) = (e.edit.clone(), h.kl, h.perplexity_ratio);
        Warning::Harms { edit, kl, perplexity_ratio }
    };
    let harmful = own.into_iter().filter(|(_, h)| !h.inside);
    let mut out: Vec<Warning> = harmful.map(doubt).collect();
    for kind in [Kind::Random, Kind::Permuted] {
        let drawn = controls.iter().filter(|(e, _)| e.kind == kind);
        let (n, of) = (drawn.clone().filter(|(_, h)| !h.inside).count(), drawn.count());
        if n > 0 {
            out.push(Warning::ControlHarms { control: kind, n, of });
        }
    }
    out
}

/// Scores under an edit, `(models, prompts)`.
fn cells(side: &[&[Edited]], edit: usize, keep: &dyn Fn(&str) -> bool) -> Array2<f64> {
    let row = |model: &&[Edited]| -> Vec<f64> {
        let kept = model[edit].scores.iter().filter(|s| keep(&s.0));
        kept.map(|s| s.2).collect()
    };
    let rows: Vec<Vec<f64>> = side.iter().map(row).collect();
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(s, p)| rows[s][p])
}

/// Whether a model was put to the same edits and prompts as the first.
fn like(model: &[Edited], first: &[Edited]) -> Result<()> {
    let names = |m: &[Edited]| m.iter().map(|e| e.edit.clone()).collect::<Vec<_>>();
    if names(model) != names(first) {
        let (got, expected) = (names(model).join(", "), names(first).join(", "));
        return Err(CausalError::shape("the edits of a model", got, expected));
    }
    let prompts = |e: &Edited| -> Vec<(String, String)> {
        let each = e.scores.iter();
        each.map(|s| (s.0.clone(), s.1.clone())).collect()
    };
    let Some(want) = first.first().map(prompts) else { return Ok(()) };
    match model.iter().find(|e| prompts(e) != want) {
        None => Ok(()),
        Some(e) => Err(CausalError::Shape {
            what: format!("edit `{}`: the prompts of a model", e.edit),
            got: format!("{} prompts", e.scores.len()),
            expected: format!("the {} prompts of the first model, in order", want.len()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rng::stream;
    use rand_distr::{Distribution, StandardNormal};

    const LORA: [&str; 2] = ["lora", "lora"];

    /// A model whose preference `a` stands at `level` without an edit and `edited` with it.
    fn model(level: f64, edited: f64, seed: u64, prompts: usize) -> Vec<Edited> {
        let run = |edit: &str, level: f64| Edited {
            edit: edit.into(),
            kind: Kind::None,
            concept: String::new(),
            dose: None,
            matched: None,
            scores: ["a", "b"]
                .into_iter()
                .flat_map(|p| (0..prompts).map(move |i| (p.to_string(), i.to_string(), i)))
                .map(|(p, id, i)| {
                    let mut rng = stream(seed, &p, i as u64);
                    let noise: f64 = StandardNormal.sample(&mut rng);
                    let mean = if p == "a" { level } else { 9.0 };
                    (p, id, mean + 0.02 * noise)
                })
                .collect(),
            kl: 0.0,
            perplexity: 1.0,
        };
        let own = Edited { kind: Kind::Own, ..run("a", edited) };
        vec![run(NONE, level), own]
    }

    fn views(models: &[Vec<Edited>]) -> Vec<&[Edited]> {
        models.iter().map(Vec::as_slice).collect()
    }

    #[test]
    fn a_share_is_taken_over_all_fine_tunes_and_its_interval_widens_with_their_spread() {
        let keep = |p: &str| p == "a";
        let judged = |spread: f64| {
            let levels = [1.0 - spread, 1.0, 1.0 + spread, 1.0];
            let tuned: Vec<_> = (levels.iter().enumerate())
                .map(|(s, l)| model(*l, 0.4 * l, s as u64, 30))
                .collect();
            let reference: Vec<_> = (0..3).map(|s| model(0.0, 0.0, 10 + s, 30)).collect();
            let all = necessities(&views(&tuned), &views(&reference), LORA, &keep).unwrap();
            assert_eq!(all.len(), 2);
            assert_eq!(all[0].against_plain.removed.value, 0.0);
            all[1].against_edited.clone()
        };
        let (alike, apart) = (judged(0.0), judged(0.5));
        for m in [&alike, &apart] {
            assert!((m.total.value - 1.0).abs() < 0.02, "{}", m.total.value);
            assert!((m.share - 0.6).abs() < 0.02, "{}", m.share);
            assert_eq!((m.n_prompts, m.fine_tunes, m.total.df), (30, [4, 3], 5));
            assert!(m.warnings.is_empty(), "{:?}", m.warnings);
        }
        let (narrow, wide) = (alike.removed.interval.width(), apart.removed.interval.width());
        assert!(wide > 5.0 * narrow, "{wide} {narrow}");
    }

    #[test]
    fn the_damage_of_an_edit_is_that_in_the_model_it_damages_most() {
        let damaged = |kl: f64, perplexity: f64| {
            let mut m = model(1.0, 0.5, 1, 2);
            m.push(m[1].clone());
            (m[2].edit, m[2].kind) = ("random-0".into(), Kind::Random);
            m[0].perplexity = 10.0;
            (m[1].kl, m[1].perplexity) = (kl, perplexity);
            (m[2].kl, m[2].perplexity) = (2.0, 11.0);
            m
        };
        let models = [damaged(0.1, 14.0), damaged(0.4, 12.0)];
        let found = harms(views(&models), Guards::default());
        assert_eq!((found[0].kl, found[0].perplexity_ratio), (0.0, 1.0));
        assert_eq!((found[1].kl, found[1].perplexity_ratio), (0.4, 1.4));
        assert!(found[1].inside && !found[2].inside);
        let random = Warning::ControlHarms { control: Kind::Random, n: 1, of: 1 };
        assert_eq!(doubts(&models[0], &found), vec![random.clone()]);
        let found = harms(views(&[damaged(0.1, 21.0)]), Guards::default());
        let own = Warning::Harms { edit: "a".into(), kl: 0.1, perplexity_ratio: 2.1 };
        assert_eq!(doubts(&models[0], &found), [own, random]);
    }

    #[test]
    fn models_put_to_other_prompts_or_edits_are_refused() {
        let keep = |_: &str| true;
        let (a, short) = (model(1.0, 0.5, 1, 10), model(1.0, 0.5, 1, 9));
        let e = necessities(&[&a], &[&short], LORA, &keep).unwrap_err();
        assert!(e.to_string().contains("18 prompts"), "{e}");
        let e = necessities(&[&a], &[&a[..1]], LORA, &keep).unwrap_err();
        assert!(e.to_string().contains("none, a"), "{e}");
        assert!(necessities(&[&a[1..]], &[&a[1..]], LORA, &keep).is_err());
        assert!(necessities(&[&a], &[], LORA, &keep).is_err());
    }
}
