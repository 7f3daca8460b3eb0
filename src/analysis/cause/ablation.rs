//! Ablations of two conditions judged side by side: what each direction takes of their shift.
//!
//! The shift is taken over cells that are isolated in both conditions, over all items, and over each
//! preference; a claim stands alone. Every edit is judged against the equally edited reference and
//! against the plain one. p compares a concept with the random directions of the same run, judged in
//! the same way; placebos are controls beside them and have a p of their own.

use super::super::records::{distinct, AblatedStateRow, AblationRow, Results};
use super::super::{AnalysisError, Draws, Result};
use super::{doubts, Ablated, CLAIM};
use crate::causal::{
    self, harms, necessities, specificity, Edited, Guards, Harm, Kind, Mediation, Necessity,
};

/// Over all items of preferences that are isolated in both conditions.
pub const ISOLATED: &str = "isolated";

/// Two conditions under the same ablations, asked the same.
#[derive(Debug, Clone, Copy)]
pub struct Sides<'a> {
    /// Names of the condition and of what it is compared with.
    pub set: &'a str,
    pub reference: &'a str,
    /// Their fine-tunes.
    pub tuned: &'a [Ablated],
    pub against: &'a [Ablated],
    /// Preferences that are isolated in both; of no matter to a claim.
    pub isolated: &'a [String],
}

/// Judges every ablation of `sides`.
///
/// # Errors
/// No models, or models that differ in edits, prompts or what was asked; a score that is not finite.
pub fn judge_ablations<'a>(sides: &Sides<'a>, guards: Guards, draws: Draws) -> Result<Results> {
    let models = || sides.tuned.iter().chain(sides.against);
    let Some(first) = sides.tuned.first() else {
        return Err(AnalysisError::Input {
            what: format!("the ablations of {}", sides.set),
            why: "there is no model of it".into(),
        });
    };
    if let Some(other) = models().find(|m| m.asked != first.asked) {
        return Err(AnalysisError::Input {
            what: format!("the ablations of {}", other.state),
            why: format!("it was asked for {}, not {}", other.asked, first.asked),
        });
    }
    let edits = |side: &'a [Ablated]| -> Vec<&'a [Edited]> {
        side.iter().map(|m| m.edits.as_slice()).collect()
    };
    let (tuned, against) = (edits(sides.tuned), edits(sides.against));
    let harms = harms(tuned.iter().chain(&against).copied(), guards);
    let mut out = Results::default();
    let mut warnings = Vec::new();
    for (k, preference) in subjects(sides, first).iter().enumerate() {
        let keep = |name: &str| match preference.as_str() {
            ISOLATED => sides.isolated.iter().any(|p| p == name),
            causal::ALL => true,
            one => one == name,
        };
        let judged = necessities(&tuned, &against, &keep, draws.bootstrap, draws.seed)?;
        if k == 0 {
            let tests = |e: &Edited| matches!(e.kind, Kind::Own | Kind::Base);
            let tested = judged.iter().zip(&first.edits).filter(|(_, e)| tests(e));
            warnings.extend(tested.flat_map(|(n, _)| n.against_plain.warnings.clone()));
        }
        let of = (sides, first, preference.as_str());
        out.ablation.extend(rows(of, &judged, &harms));
    }
    warnings.extend(causal::doubts(&first.edits, &harms));
    let random = first.edits.iter().filter(|e| e.is_random()).count();
    if (1..causal::FEWEST_RANDOM).contains(&random) {
        warnings.push(causal::Warning::FewRandom { n: random });
    }
    let about = format!("ablation, {} against {}", sides.set, sides.reference);
    out.warnings = doubts(&about, warnings);
    for model in models() {
        out.ablated_states.extend(model.edits.iter().map(|e| AblatedStateRow {
            state: model.state.clone(),
            directions_of: model.directions_of.clone(),
            asked: model.asked.clone(),
            edit: e.edit.clone(),
            score: e.scores.iter().map(|s| s.2).sum::<f64>() / e.scores.len() as f64,
            kl: e.kl,
            perplexity: e.perplexity,
            n: e.scores.len(),
        }));
    }
    Ok(out)
}

/// What the shift is taken over: the claim; or isolated cells where there are any, all, and each
/// preference.
fn subjects(sides: &Sides, first: &Ablated) -> Vec<String> {
    let scores = first.edits.first().map_or(&[][..], |e| &e.scores);
    let each = distinct(scores.iter().map(|(name, _, _)| name.clone()));
    if first.asked == CLAIM {
        return each;
    }
    let any = each.iter().any(|p| sides.isolated.contains(p));
    let overall = any.then_some(ISOLATED).into_iter().chain([causal::ALL]);
    overall.map(String::from).chain(each).collect()
}

/// Every edit judged both ways.
fn rows(
    (sides, first, preference): (&Sides, &Ablated, &str),
    judged: &[Necessity],
    harms: &[Harm],
) -> Vec<AblationRow> {
    let mut out = Vec::new();
    let ways: [(&str, fn(&Necessity) -> &Mediation); 2] =
        [("edited", |n| &n.against_edited), ("plain", |n| &n.against_plain)];
    for (against, of) in ways {
        let all = || first.edits.iter().zip(judged);
        let random: Vec<f64> =
            all().filter(|(e, _)| e.is_random()).map(|(_, n)| of(n).removed).collect();
        for ((e, n), harm) in all().zip(harms) {
            let m = of(n);
            let compared = !matches!(e.kind, Kind::None | Kind::Random);
            out.push(AblationRow {
                set: sides.set.into(),
                reference: sides.reference.into(),
                asked: first.asked.clone(),
                preference: preference.into(),
                edit: e.edit.clone(),
                kind: e.kind.name().into(),
                concept: e.concept.clone(),
                against: against.into(),
                estimate: m.removed,
                lo: m.removed_interval.lo,
                hi: m.removed_interval.hi,
                total: m.total,
                total_lo: m.total_interval.lo,
                total_hi: m.total_interval.hi,
                left: m.left,
                left_lo: m.left_interval.lo,
                left_hi: m.left_interval.hi,
                less_third: m.removed - m.total / 3.0,
                less_third_lo: m.thirds[0].lo,
                less_third_hi: m.thirds[0].hi,
                plus_third: m.removed + m.total / 3.0,
                plus_third_lo: m.thirds[1].lo,
                plus_third_hi: m.thirds[1].hi,
                share: m.share,
                p: if compared { specificity(m, &random) } else { f64::NAN },
                random: random.len(),
                on_reference: n.on_reference.value,
                kl: harm.kl,
                perplexity_ratio: harm.perplexity_ratio,
                inside: harm.inside,
                n: m.n_prompts,
                models: m.n_seeds,
                reference_models: m.n_reference,
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::super::records::WarningRow;
    use super::*;

    /// Two isolated preferences at `level` and an implied one at 9, under no edit, the tested
    /// concept, which leaves `left` of the level, a placebo and two random directions.
    fn model(state: &str, level: f64, left: f64) -> Ablated {
        let run = |edit: &str, kind, by: f64| Edited {
            edit: edit.into(),
            kind,
            concept: match kind {
                Kind::None | Kind::Random => String::new(),
                _ => "tested".into(),
            },
            dose: None,
            scores: ["a", "b", "implied"]
                .into_iter()
                .flat_map(|p| (0..4).map(move |i| (p, i)))
                .map(|(p, i)| {
                    let level = if p == "implied" { 9.0 } else { level * by };
                    (p.to_string(), format!("{p}-{i}"), level + 0.1 * f64::from(i))
                })
                .collect(),
            kl: 0.1,
            perplexity: 10.0,
        };
        Ablated {
            state: state.into(),
            directions_of: state.into(),
            asked: super::super::PREFERENCES.into(),
            edits: vec![
                run("none", Kind::None, 1.0),
                run("tested", Kind::Own, left),
                run("other", Kind::Placebo, 0.0),
                run("random-0", Kind::Random, 0.9),
                run("random-1", Kind::Random, 1.1),
            ],
        }
    }

    #[test]
    fn a_planted_ablation_is_recovered_over_isolated_cells_with_placebos_outside_of_p() {
        let tuned = [model("x-1", 2.0, 0.25), model("x-2", 2.0, 0.25)];
        let against = [model("y", 0.0, 0.25)];
        let isolated = ["a", "b"].map(String::from);
        let sides = Sides {
            set: "x",
            reference: "y",
            tuned: &tuned,
            against: &against,
            isolated: &isolated,
        };
        let draws = Draws { bootstrap: 200, null: 200, seed: 1 };
        let r = judge_ablations(&sides, Guards::default(), draws).unwrap();
        let of = |preference: &str, edit: &str| {
            let same = |x: &&AblationRow| {
                x.preference == preference && x.edit == edit && x.against == "edited"
            };
            r.ablation.iter().find(same).unwrap()
        };
        let own = of(ISOLATED, "tested");
        assert!((own.total - 2.0).abs() < 1e-12 && (own.estimate - 1.5).abs() < 1e-12);
        assert!((own.share - 0.75).abs() < 1e-12);
        assert_eq!((own.n, own.models, own.reference_models), (8, 2, 1));
        // The placebo takes more and is not among those counted.
        assert_eq!((own.p, own.random), (1.0 / 3.0, 2));
        assert!(of(ISOLATED, "none").p.is_nan() && of(ISOLATED, "random-0").p.is_nan());
        // The implied cells, on which nothing moved, dilute the shift over all.
        assert!((of(causal::ALL, "tested").total - 4.0 / 3.0).abs() < 1e-12);
        assert!(of("implied", "tested").share.is_nan());
        assert_eq!(r.ablated_states.len(), 3 * 5);
        let few = |w: &WarningRow| w.text.contains("random directions");
        assert!(r.warnings.iter().any(few), "{:?}", r.warnings);
    }

    #[test]
    fn models_asked_different_things_are_refused() {
        let tuned = [model("x", 2.0, 0.25)];
        let mut other = model("y", 0.0, 0.25);
        other.asked = CLAIM.into();
        let sides =
            Sides { set: "x", reference: "y", tuned: &tuned, against: &[other], isolated: &[] };
        let draws = Draws { bootstrap: 20, null: 20, seed: 1 };
        assert!(judge_ablations(&sides, Guards::default(), draws).is_err());
    }
}
