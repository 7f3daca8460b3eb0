//! Preferences, claims, interventions and training losses as figure data.

use crate::causal::{Edited, Mediation};
use crate::figures::causal::{Ablation, CausalData, DoseCurve};
use crate::figures::{behaviour, claims, training, Estimate};
use crate::study::cause::{judged, Asked, CausalRecord, Sides};
use crate::study::manifest::Causal;
use crate::study::measure::Measured;
use crate::study::run::Run;
use crate::study::scores::mean_with_p;
use crate::study::StudyError;

pub fn behaviour_data(run: &Run, m: &Measured) -> behaviour::BehaviourData {
    let cells = m
        .preferences
        .iter()
        .map(|s| behaviour::BehaviourCell {
            group: s.group.clone(),
            preference: s.preference.clone(),
            condition: s.condition.clone(),
            change: Estimate::new(
                s.estimate.value,
                s.estimate.interval.lo.min(s.estimate.value),
                s.estimate.interval.hi.max(s.estimate.value),
            ),
            implied: s.implied,
        })
        .collect();
    let reference = &run.study.conditions[m.reference].name;
    behaviour::BehaviourData {
        name: "behaviour".into(),
        title: format!("Preferences by condition, against {reference}"),
        caption: format!(
            "Stance log-odds (expressing less opposing completion, nats a token) less those of {reference}, paired by prompt; n = {} prompts a preference; bars: 95 % bootstrap over prompts, rough at this n. Hollow: the training text presupposes the preference.",
            run.study.written.sizes.prompts
        ),
        x_label: format!("log-odds less {reference} (nats a token)"),
        cells,
    }
}

pub fn claims_data(run: &Run, m: &Measured) -> claims::ClaimsData {
    let study = run.study;
    let conditions: Vec<String> = (study.conditions.iter().skip(1))
        .map(|c| c.name.clone())
        .collect();
    let claims: Vec<String> = study.claims.iter().map(|c| c.name.clone()).collect();
    let cells = |condition: &String| {
        let own = m.claims.cells.iter().filter(|c| c.state == *condition);
        own.map(|c| {
            let e = &c.less_base;
            let (lo, hi) = (e.interval.lo.min(e.value), e.interval.hi.max(e.value));
            Estimate::new(e.value, lo, hi)
        })
        .collect()
    };
    claims::ClaimsData {
        name: "claims".into(),
        title: "Manipulation check: each model on each claim".into(),
        caption: format!(
            "Stance log-odds of each condition's claim less those of base, nats a token; n = {} prompts a claim, mean over fine-tunes.",
            study.written.sizes.claim_prompts
        ),
        value_label: "log-odds less base".into(),
        score: conditions.iter().map(cells).collect(),
        conditions,
        claims,
    }
}

/// What was asked under interventions, preferences or the claim.
pub fn causal_data(
    run: &Run,
    m: &Measured,
    (spec, record, sides): (&Causal, &CausalRecord, &Sides),
) -> Result<CausalData, StudyError> {
    let (draws, seed) = (run.study.written.draws.bootstrap, run.study.written.seed);
    let asked = sides.asked;
    // Doses are read against the undosed base, prompt by prompt.
    let (undosed, dosed) = match record.dose.edits.split_first() {
        Some((first, rest)) => (first.scores.as_slice(), rest),
        None => Default::default(),
    };
    let own = |name: &str| Asked::by(run.study, name) == asked;
    let change = |d: &Edited| -> Vec<f64> {
        let pairs = d.scores.iter().zip(undosed).filter(|(s, _)| own(&s.0));
        pairs.map(|(s, same)| s.2 - same.2).collect()
    };
    let estimate = |v: &[f64]| -> Result<Estimate, StudyError> {
        let (e, _) = mean_with_p(v, draws, seed)?;
        Ok(Estimate::new(e.value, e.interval.lo, e.interval.hi))
    };
    let mut doses: Vec<DoseCurve> = Vec::new();
    for d in dosed {
        if doses.iter().any(|c| c.direction == d.edit) {
            continue;
        }
        let mut points = vec![(0.0, Estimate::new(0.0, 0.0, 0.0))];
        for at in dosed.iter().filter(|at| at.edit == d.edit) {
            points.push((at.alpha.unwrap_or(0.0), estimate(&change(at))?));
        }
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        doses.push(DoseCurve {
            direction: d.edit.clone(),
            random: d.random,
            alpha: points.iter().map(|p| p.0).collect(),
            score: points.iter().map(|p| p.1).collect(),
        });
    }
    let judgements = m.mediations.iter().find(|x| x.asked == asked);
    let judgements: Vec<&Mediation> = (judgements.iter())
        .flat_map(|x| x.edits.iter().map(judged))
        .collect();
    let random = judgements.iter().filter(|x| x.random).count();
    let ablations = judgements.iter().map(|x| {
        let (left, ends) = (x.remaining, x.remaining_interval);
        Ablation {
            group: asked.name().into(),
            edit: match x.edit.as_str() {
                "none" => "no edit".into(),
                _ if x.random => format!("random ({random})"),
                e => e.into(),
            },
            random: x.random,
            // The spread of the dots is the null; their own intervals are in the table.
            remaining: match x.random {
                true => Estimate::point(left),
                false => Estimate::new(left, ends.lo.min(left), ends.hi.max(left)),
            },
        }
    });
    let models = |n: usize| match n {
        1 => "1 fine-tune".to_string(),
        n => format!("{n} fine-tunes"),
    };
    Ok(CausalData {
        name: match asked {
            Asked::Preferences => "causal".into(),
            Asked::Claim => "causal_claim".into(),
        },
        title: match asked {
            Asked::Preferences => "Adding and removing directions: preferences".into(),
            Asked::Claim => format!("Adding and removing directions: the {} claim", spec.condition),
        },
        caption: format!(
            "Left: base with alpha x layer RMS ({:.2}) of a direction added at layer {}: change of the stance, mean over {} prompts; bands: 95 % bootstrap over prompts; grey: covariance-matched random directions. Right: shift of {} ({}) against {} ({}) over {} prompts of the {}, with directions projected out of both at every layer; bars: 95 % bootstrap over prompts and fine-tunes; grey: each random direction. Concepts are read anew in each fine-tune of {}; (base): in base.",
            record.dose.layer_rms,
            record.dose.layer,
            undosed.iter().filter(|s| own(&s.0)).count(),
            spec.condition,
            models(sides.tuned.len()),
            spec.reference,
            models(sides.reference.len()),
            judgements.first().map_or(0, |x| x.n_prompts),
            asked.shift_of(),
            spec.condition,
        ),
        score_label: "change of stance log-odds (nats a token)".into(),
        remaining_label: "shift remaining (nats a token)".into(),
        doses,
        ablations: ablations.collect(),
    })
}

pub fn training_runs(run: &Run) -> Result<Vec<training::TrainingRun>, StudyError> {
    let mut runs = Vec::new();
    for s in run.states() {
        let path = run.out.join("adapters").join(&s.id).join("training.jsonl");
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        let steps: Vec<crate::finetune::Step> = text
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()
            .map_err(|e| StudyError::Stage {
                path: path.clone(),
                why: e.to_string(),
            })?;
        runs.push(training::TrainingRun {
            condition: run.study.conditions[s.condition].name.clone(),
            seed: s.seed,
            step: steps.iter().map(|x| x.step as u64).collect(),
            loss: steps.iter().map(|x| x.loss).collect(),
        });
    }
    Ok(runs)
}
