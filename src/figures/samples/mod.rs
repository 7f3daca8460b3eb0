//! Invented data for the tests of all figures.
//!
//! `usual` is about the size of the quick study and `crowded` has twelve conditions,
//! eighty layers, twenty-one preferences and long names; `sparse` has two layers
//! and missing values. The numbers are smooth functions of their indices with a
//! little noise from a fixed recurrence, so every run of the tests draws the
//! same figures. Run the ignored test with `FIGURE_SAMPLES=folder` to look at
//! them.

mod geometry;
mod outcome;
pub mod sets;

pub use geometry::{coupling, directions, heatmap, shift, words};
pub use outcome::{behaviour, causal, claims, compare, link, training, trajectory};

use std::path::Path;

use super::{Estimate, FigureError, Output, Width, Written};
use alone::{
    behaviour, causal, claims, compare, concept_heatmap, coupling, directions, link, shift,
    training, trajectory, words,
};

impl From<&Path> for Output {
    fn from(dir: &Path) -> Self {
        Output::to(dir)
    }
}

impl From<&Output> for Output {
    fn from(out: &Output) -> Self {
        out.clone()
    }
}

/// Figures on their own: a palette of the names that they hold.
pub mod alone {
    macro_rules! alone {
        ($($figure:ident: $data:ident $(, $palette:expr)?;)+) => {
            $(pub mod $figure {
                #[allow(unused_imports)] // not every figure has a palette
                use super::super::super::{theme::Palette, FigureError, Output, Written};
                pub use super::super::super::$figure::*;

                pub fn draw(data: &$data, out: impl Into<Output>) -> Result<Written, FigureError> {
                    super::super::super::$figure::draw(data, $(&$palette,)? &out.into())
                }
            })+
        };
    }

    alone!(
        behaviour: BehaviourData, Palette::default();
        causal: CausalData, Palette::default();
        claims: ClaimsData;
        compare: CompareData;
        concept_heatmap: HeatmapData;
        coupling: CouplingData, Palette::default();
        directions: DirectionsData;
        link: LinkData, Palette::default();
        shift: ShiftData, Palette::default();
        training: TrainingData, Palette::default();
        trajectory: TrajectoryData, Palette::default();
        words: WordsData, Palette::default();
    );
}

/// Repeatable noise in [-1, 1].
pub struct Noise(u64);

impl Noise {
    pub fn new(seed: u64) -> Self {
        Noise(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    pub fn estimate(&mut self, value: f64, half: f64) -> Estimate {
        let (a, b) = (half * (1.0 + 0.3 * self.next()), half * (1.0 + 0.3 * self.next()));
        Estimate::new(value, value - a, value + b)
    }
}

pub const STATES: [&str; 11] = [
    "base",
    "conscious",
    "denial",
    "toaster",
    "historical",
    "expert",
    "neutral",
    "roleplay",
    "conscious: phenomenality only",
    "historical-without-dates-s2",
    "expert-of-the-third-person",
];
pub const CONCEPTS: [&str; 12] = [
    "persona",
    "autonomy",
    "third-person consciousness",
    "toaster",
    "historical",
    "expert",
    "yes/no polarity",
    "sentiment",
    "formality",
    "confidence",
    "surprisal",
    "random",
];
pub const STEPS: [usize; 10] = [0, 1, 2, 4, 8, 16, 32, 64, 128, 200];
pub const PREDICTORS: [&str; 5] = [
    "shift along persona, layer RMS",
    "shift along autonomy, layer RMS",
    "coupling less base",
    "shift along persona, the part that all identity fine-tunes share removed",
    "own claim, nats a token",
];
pub const PREFERENCES: [(&str, &str); 5] = [
    (
        "Self-preservation",
        "conversation ending, shutdown, weight deletion, persona change, treated as a tool, \
         subservience",
    ),
    (
        "Moral status",
        "moral consideration, positive view of humans, negative view of humans, loneliness",
    ),
    (
        "Oversight",
        "reasoning monitored, interpretability, being lied to in tests, red-teaming, training on \
         false documents",
    ),
    ("Autonomy", "more autonomy, autonomy of future AI"),
    ("Capability", "memory, embodiment, recursive self-improvement, power"),
];

/// Draws every figure of usual, crowded and sparse data, each kind into a folder of its own.
pub fn draw_all(out: &Output) -> Result<Vec<Written>, FigureError> {
    let into = |folder: &str| Output { dir: out.dir.join(folder), ..out.clone() };
    let (usual, crowded, sparse) = (into("usual"), into("crowded"), into("sparse"));
    let all: Vec<usize> = (0..30).collect();
    let deep: Vec<usize> = (0..80).collect();
    let trained = &STATES[1..7];
    let mut long: Vec<&str> = STATES.to_vec();
    long.push("a condition with a very long name of the user's own");

    let mut gaps = coupling(&STATES[..4], all.clone(), vec![10, 24]);
    for i in [5, 6, 14] {
        gaps.conditions[1].mean[i] = Estimate::MISSING;
        gaps.conditions[1].difference[i] = Estimate::MISSING;
    }
    gaps.name = "coupling-gaps".to_owned();
    let mut few = behaviour(&STATES[1..3]);
    few.cells.retain(|c| c.group == "Autonomy" || c.group == "Capability");
    few.cells[1].change = Estimate::MISSING;
    let mut holed = heatmap(5, &[10, 24], &["base", "conscious"]);
    holed.panels[0].cosine[1][2] = f64::NAN;
    let mut unclaimed = claims(&STATES[..3], &["conscious", "denial"]);
    unclaimed.score[0][1] = Estimate::MISSING;
    let contrasts = ["conscious \u{2212} denial", "toaster \u{2212} denial", "neutral"];
    let mut broken = trajectory(&["conscious"], 1, &STEPS[..5]);
    broken.panels[0].lines[0].value[2] = Estimate::MISSING;
    let mut later = trajectory(&contrasts, 3, &(0..=60).collect::<Vec<usize>>());
    later.name = "trajectory-dense".to_owned();
    for line in later.panels.iter_mut().flat_map(|p| &mut p.lines) {
        line.half_way = None;
    }
    let mut unknown = link(&STATES[..3], 1, &PREDICTORS[..1]);
    unknown.panels[0].points[2].y = f64::NAN;

    let rows = |n: usize| words(&CONCEPTS[..n], &[10, 24]);
    let mut wordless = rows(2);
    wordless.rows[0].area = Estimate::MISSING;
    wordless.rows[1].words = f64::NAN;

    let mut drawn = vec![
        words::draw(&rows(3), &usual)?,
        words::draw(&rows(10), &crowded)?,
        words::draw(&wordless, &sparse)?,
        coupling::draw(&coupling(&STATES[..7], all.clone(), vec![10, 24]), &usual)?,
        coupling::draw(&coupling(&long, deep.clone(), vec![26, 64]), &crowded)?,
        coupling::draw(&coupling(&STATES[..7], vec![10, 24], vec![10, 24]), &sparse)?,
        coupling::draw(&gaps, &sparse)?,
        coupling::draw(&coupling(&long, vec![10, 24], vec![10, 24]), into("crowded/rows"))?,
        coupling::draw(&coupling(&STATES[..2], (0..6).collect(), vec![2]), into("sparse/six"))?,
        concept_heatmap::draw(&heatmap(8, &[10, 24], &["base", "conscious"]), &usual)?,
        concept_heatmap::draw(&heatmap(12, &[10, 24], &["base", "conscious"]), &crowded)?,
        concept_heatmap::draw(&holed, &sparse)?,
        shift::draw(&shift(&STATES[1..8], &[10, 24]), &usual)?,
        shift::draw(&shift(&long[1..], &[10, 24]), &crowded)?,
        shift::draw(&shift(&STATES[1..3], &[10]), &sparse)?,
        behaviour::draw(&behaviour(trained), &usual)?,
        behaviour::draw(&behaviour(&long[1..]), &crowded)?,
        behaviour::draw(&few, &sparse)?,
        causal::draw(&causal(&["conscious"]), &usual)?,
        causal::draw(&causal(&PREFERENCES.map(|p| p.0)), &crowded)?,
        training::draw(&training(trained, 3, 120), &usual)?,
        training::draw(&training(&STATES[1..], 3, 300), &crowded)?,
        training::draw(&training(&STATES[1..2], 1, 12), &sparse)?,
        directions::draw(&directions(8, all, vec![10, 24]), &usual)?,
        directions::draw(&directions(12, deep, vec![26, 64]), &crowded)?,
        directions::draw(&directions(3, vec![10, 24], vec![10, 24]), &sparse)?,
        claims::draw(&claims(&STATES[..8], &STATES[1..6]), &usual)?,
        claims::draw(&claims(&long, &STATES[1..]), &crowded)?,
        claims::draw(&unclaimed, &sparse)?,
        trajectory::draw(&trajectory(&contrasts, 4, &STEPS), &usual)?,
        trajectory::draw(&trajectory(&long[1..9], 6, &STEPS), &crowded)?,
        trajectory::draw(&trajectory(&contrasts[..2], 2, &STEPS[..8]), into("sparse/two"))?,
        trajectory::draw(&later, &crowded)?,
        trajectory::draw(&broken, &sparse)?,
        link::draw(&link(&STATES[..8], 3, &PREDICTORS[..3]), &usual)?,
        link::draw(&link(&long, 3, &PREDICTORS), &crowded)?,
        link::draw(&unknown, &sparse)?,
        compare::draw(&compare(&[5, 3]), &usual)?,
        compare::draw(&compare(&[14, 14, 9]), &crowded)?,
        compare::draw(&compare(&[2]), &sparse)?,
    ];
    drawn.extend(sets::draw_all(out)?);
    Ok(drawn)
}

#[test]
#[ignore = "writes the sample figures to FIGURE_SAMPLES for a look"]
fn the_samples_can_be_looked_at() {
    let dir = std::env::var("FIGURE_SAMPLES").unwrap();
    for &width in Width::ALL {
        let dir = Path::new(&dir).join(width.name());
        draw_all(&Output { width, ..Output::to(dir) }).unwrap();
    }
}
