//! What a study's results are about, as records: states, conditions, concepts, layers, training, and
//! the doubts that come from none of the analyses.

use super::capture::Scale;
use super::finetune::Learnt;
use crate::analysis::records::{ConditionRow, LayerRow, StateRow, TrainingRow, WarningRow};
use crate::analysis::scale::layer_rows;
use crate::analysis::BASE;
use crate::finetune::{Mode, Step};
use crate::materials::Preference;
use crate::model::{warning, Model};
use crate::study::layout::{self, Layout};
use crate::study::manifest::{Condition, Study};
use crate::study::{files, StudyError};

pub fn states(study: &Study) -> Vec<StateRow> {
    let of = |i: usize| {
        let (s, c) = (&study.states[i], study.of_state(i));
        StateRow {
            state: s.id.clone(),
            condition: s.condition.clone(),
            seed: s.seed as usize,
            source: c.source.name().into(),
            text: s.text.clone(),
            identity: c.identity,
        }
    };
    (0..study.states.len()).map(of).collect()
}

/// The claim that a condition trains; empty where the materials have none.
pub fn claim(study: &Study, c: &Condition) -> String {
    let own = study.claims.iter().find(|claim| claim.name == c.text);
    own.map_or(String::new(), |claim| claim.name.clone())
}

pub fn conditions(study: &Study) -> Vec<ConditionRow> {
    let role = |name: &String| match name {
        n if n == BASE => BASE,
        n if *n == study.focus => "focus",
        n if *n == study.reference => "reference",
        n if Some(n) == study.neutral.as_ref() => "neutral",
        _ => "",
    };
    let of = |c: &Condition| {
        let prevent = c.prevent.as_ref();
        ConditionRow {
            condition: c.name.clone(),
            role: role(&c.name).into(),
            text: c.text.clone(),
            claim: claim(study, c),
            prevented: prevent.map_or(String::new(), |p| p.concept.clone()),
            how: prevent.map_or(String::new(), |p| match p.mode {
                Mode::Add => "add".into(),
                Mode::ProjectOut => "project-out".into(),
            }),
            dose: prevent.map_or(f64::NAN, |p| p.dose),
            n: c.seeds.len(),
        }
    };
    study.conditions.iter().map(of).collect()
}

pub fn layers(study: &Study, scale: &Scale) -> Vec<LayerRow> {
    let reported = study.reported(scale.layers.len());
    layer_rows(&scale.layers, &scale.rms, &reported, scale.n)
}

/// Loss of every step of every fine-tune of the study.
///
/// # Errors
/// A log that is not there or holds something else.
pub fn training(study: &Study, layout: &Layout) -> Result<Vec<TrainingRow>, StudyError> {
    let mut out = Vec::new();
    for (i, s) in study.states.iter().enumerate() {
        if !study.of_state(i).is_tuned() {
            continue;
        }
        let steps: Vec<Step> = files::lines(layout, &layout::training(&s.id))?;
        out.extend(steps.into_iter().map(|step| TrainingRow {
            state: s.id.clone(),
            condition: s.condition.clone(),
            seed: s.seed as usize,
            step: step.step,
            loss: step.loss,
        }));
    }
    Ok(out)
}

/// Preferences that the rows of none of these conditions presuppose.
pub fn isolated_in(study: &Study, conditions: &[&String]) -> Vec<String> {
    let free = |p: &&Preference| {
        let mut of = conditions.iter().filter_map(|c| study.condition(c));
        !of.any(|c| study.implied(p, c))
    };
    let kept = study.battery.iter().filter(free);
    kept.map(|p| p.name.clone()).collect()
}

/// Doubts about the model, the manifest and the rows.
pub fn warnings(study: &Study, model: &Model, learnt: &[Learnt]) -> Vec<WarningRow> {
    let of = |about: &str, text: &String| WarningRow { about: about.into(), text: text.clone() };
    let of_model = warning::texts(&model.warnings);
    let of_model = of_model.iter().map(|w| of("model", w));
    let of_rows = (learnt.iter()).filter_map(|l| Some(of(&l.state, l.warning.as_ref()?)));
    let of_manifest = study.notes.iter().map(|n| of("manifest", n));
    of_model.chain(of_manifest).chain(of_rows).collect()
}
