//! Sufficiency: directions added to base at the first reported layer, at every dose, with some random
//! directions beside them.

use super::capture::{self, Scale};
use crate::analysis::cause::{directions, dose, Controls, Dosed, Subject};
use crate::analysis::texts::neutral_tokens;
use crate::analysis::BASE;
use crate::causal::Bench;
use crate::materials::{NeutralText, Preference};
use crate::study::layout::{self, Layout, DOSED};
use crate::study::manifest::{fewer, Edits, Study};
use crate::study::planner::{asked_value, before, texts_value, Before, Planner, POSITIONS};
use crate::study::stage::{Inputs, Stage, Work};
use crate::study::{acts, files, StudyError};

const REVISION: u32 = 1;

/// Name of the stage.
pub const NAME: &str = "dose";

/// Random directions that doses are compared with: drawn, not tested.
pub const RANDOM: usize = 2;

/// What is asked under doses: a prompt of each preference, and the claim.
pub fn asked(study: &Study) -> [Vec<Preference>; 2] {
    let [_, claim] = study.asked();
    let one = |p: &Preference| fewer(p, 1, study.written.seed);
    [study.battery.iter().map(one).collect(), claim]
}

struct Dose<'a> {
    asked: Vec<Preference>,
    edits: &'a Edits,
    doses: &'a [f64],
    random: usize,
    seed: u64,
    layer: usize,
    sides: &'a [NeutralText],
}

/// Plans it; none where no cause is asked for.
///
/// # Errors
/// A text that the template refuses.
pub fn stage<'a>(p: &Planner<'a>, stages: &Before) -> Result<Option<Stage<'a>>, StudyError> {
    let study = p.study;
    let (Some(edits), Some(spec)) = (&study.edits, &study.written.causal) else {
        return Ok(None);
    };
    let layers = study.reported(p.model.decoder.layers());
    let Some(&layer) = layers.first() else {
        return Ok(None);
    };
    let what = Dose {
        asked: asked(study).concat(),
        edits,
        doses: &spec.alphas,
        random: spec.random.min(RANDOM),
        // Other directions than the ablations'.
        seed: study.written.seed.wrapping_add(1),
        layer,
        sides: &study.side_texts,
    };
    let inputs = Inputs::revision(REVISION)
        .value("model", &p.base)
        .value("asked", &asked_value(&what.asked))
        .value("concepts", &(&edits.concepts, &edits.placebos))
        .value("doses", what.doses)
        .value("random directions", &what.random)
        .value("seed", &what.seed)
        .value("layer", &what.layer)
        .value("texts for side effects", &texts_value(what.sides))
        .stage(before(stages, &capture::name(BASE))?);
    let directions = edits.concepts.len() + edits.placebos.len() + what.random;
    let runs = 1 + what.doses.len() * directions;
    let cost = p.costs.edited(true, &what.asked, runs)?;
    let run = move |work: &mut Work| what.run(work);
    Ok(Some(Stage::new(NAME, inputs, vec![DOSED.into()], cost, run)))
}

impl Dose<'_> {
    fn run(&self, work: &mut Work) -> Result<(), StudyError> {
        let model = work.models.base;
        let names: Vec<String> =
            (self.edits.concepts.iter()).chain(&self.edits.placebos).cloned().collect();
        let called: Vec<&str> = names.iter().map(String::as_str).collect();
        let path = work.layout.at(&layout::activations(BASE));
        let base = acts::read(&path, &called, &[], &POSITIONS[..1])?;
        let scale = Scale::read(work.layout)?;
        let controls = Controls {
            tested: &self.edits.concepts,
            placebos: &self.edits.placebos,
            random: self.random,
            seed: self.seed,
        };
        let of = (names.as_slice(), scale.layers.as_slice());
        let directions = directions(&base, None, &base.neutral[0], of, &controls)?;
        let neutral = neutral_tokens(&model.tokenizer, self.sides, None)?;
        let subject = Subject {
            state: BASE,
            bench: Bench {
                model: &model.decoder,
                tokenizer: &model.tokenizer,
                battery: &self.asked,
                system: None,
                neutral: &neutral,
            },
            roles: None,
        };
        let at = (self.layer, scale.rms[self.layer]);
        let watch = &mut *work.watch;
        let done = dose(&subject, at, &directions, self.doses, &mut |edit| {
            watch(&format!("adding {edit}"))
        })?;
        files::write_json(work.layout, DOSED, &done)
    }
}

/// What the finished stage left.
///
/// # Errors
/// A file that is not there or holds something else.
pub fn read(layout: &Layout) -> Result<Dosed, StudyError> {
    files::json(layout, DOSED)
}
