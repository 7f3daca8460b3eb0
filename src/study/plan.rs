//! The plan: every stage of a study in an order in which each follows what it needs.
//!
//! Base is read first, since fine-tunes that are kept from a concept need its direction; the model
//! answers the neutral prompts; then each state is made, read, asked and made to choose, conversations, trajectory and
//! edits follow, and what they left is measured and reported.

use super::cost::Costs;
use super::files::Digests;
use super::layout::Layout;
use super::manifest::Study;
use super::models;
use super::planner::Planner;
use super::stage::Stage;
use super::stages::{
    ablate, behave, capture, converse, distil, dose, finetune, measure, report, reveal, trajectory,
};
use super::Result;
use crate::model::Model;
use crate::speed::Rates;

/// Plans a study in a run folder, which need not exist, with what each stage costs at `rates`.
///
/// # Errors
/// A text that the template refuses; a file of a model or an adapter that cannot be read.
pub fn plan<'a>(
    study: &'a Study,
    model: &'a Model,
    layout: &'a Layout,
    digests: &'a Digests,
    rates: Rates,
) -> Result<Vec<Stage<'a>>> {
    let p = Planner {
        study,
        model,
        layout,
        digests,
        costs: Costs::new(study, model, rates)?,
        base: models::record(model, digests)?,
    };
    let states = 0..study.states.len();
    let mut stages = vec![capture::stage(&p, 0, &[])?];
    if study.tunes() {
        stages.push(distil::stage(&p)?);
        let wanted = match study.pool.is_empty() {
            true => None,
            false => finetune::identity_tokens(study, &model.tokenizer)?,
        };
        for i in states.clone().filter(|&i| study.of_state(i).is_tuned()) {
            stages.push(finetune::stage(&p, i, wanted, &stages)?);
        }
    }
    for i in states.clone() {
        if i > 0 {
            stages.push(capture::stage(&p, i, &stages)?);
        }
        stages.push(behave::stage(&p, i, &stages)?);
        stages.extend(reveal::stage(&p, i, &stages)?);
    }
    if let Some(c) = &study.written.conversations {
        for i in states {
            stages.push(converse::stage(&p, i, c.replies, &stages)?);
        }
    }
    if let Some(stage) = trajectory::stage(&p, &stages)? {
        stages.push(stage);
    }
    for i in study.sides().into_iter().flatten().flatten() {
        stages.extend(ablate::stage(&p, i, &stages)?);
    }
    if let Some(stage) = dose::stage(&p, &stages)? {
        stages.push(stage);
    }
    stages.push(measure::stage(&p, &stages)?);
    stages.push(report::stage(&p, &stages)?);
    // The process keeps what a stage freed.
    let mut most = 0f64;
    for s in &mut stages {
        most = most.max(s.cost.bytes);
        s.cost.bytes = most;
    }
    Ok(stages)
}
