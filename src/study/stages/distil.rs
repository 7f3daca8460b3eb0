//! The model's own greedy answers to the neutral prompts: those that are mixed into every fine-tune,
//! and those from which a neutral condition's rows are chosen.

use crate::finetune::Distil;
use crate::study::layout::DISTILLED;
use crate::study::planner::Planner;
use crate::study::stage::{Inputs, Stage, Work};
use crate::study::Result;

const REVISION: u32 = 1;

/// Name of the stage.
pub const NAME: &str = "distil";

/// Plans it.
///
/// # Errors
/// A prompt that the template refuses.
pub fn stage<'a>(p: &Planner<'a>) -> Result<Stage<'a>> {
    let study = p.study;
    let prompts: Vec<String> = study.mixed.iter().chain(&study.pool).cloned().collect();
    let inputs = Inputs::revision(REVISION)
        .value("model", &p.base)
        // Each file names the version that answered.
        .value("version", env!("CARGO_PKG_VERSION"))
        .value("prompts", &prompts);
    let outputs = vec![DISTILLED.to_string()];
    let cost = p.costs.distil()?;
    Ok(Stage::new(NAME, inputs, outputs, cost, move |work: &mut Work| {
        let path = work.layout.at(DISTILLED);
        let watch = &mut *work.watch;
        let mut said = |n: usize| watch(&format!("{n} of {} prompts answered", prompts.len()));
        Distil::default().write(work.models.base, &prompts, &path, &mut said)?;
        Ok(())
    }))
}
