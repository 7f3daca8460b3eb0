//! What the command found: `results.h5` with its CSV tables, frames on the terminal, JSON.

use crate::analysis::behaviour::{doubt, rate_contrasts, rate_rows, LOG_ODDS, PREFERENCE};
use crate::analysis::records::{
    ContrastRow, PreferenceRow, RateRow, Results, StateRow, WarningRow,
};
use crate::analysis::{Draws, State};
use crate::behavior::conversation::{AFTER, FRESH};
use crate::behavior::{rates, warning, Judged, Warning};
use crate::materials::Preference;
use crate::store::{Frame, ResultsReader, ResultsWriter, RootAttrs};
use anyhow::Result;
use serde_json::{Map, Value};
use std::path::Path;

/// Name of the file in the output folder.
pub const FILE: &str = "results.h5";
/// What the doubts of a round of judging are about; another round replaces them.
const JUDGED: &str = "judged answers";

/// Bootstrap draws and flips of signs.
pub fn draws(seed: u64) -> Draws {
    Draws { bootstrap: 2000, null: 2000, seed }
}

/// All records of the command.
#[derive(Default)]
pub struct Found {
    pub states: Vec<StateRow>,
    pub preferences: Vec<PreferenceRow>,
    pub behaviour: Results,
    pub talks: Results,
    pub rates: Vec<RateRow>,
}

impl Found {
    /// What an earlier run left in a file, with its attributes.
    pub fn read(path: &Path) -> Result<(Self, RootAttrs)> {
        let r = ResultsReader::open(path)?;
        let found = Found {
            states: r.records()?,
            preferences: r.records()?,
            behaviour: Results {
                scores: r.records()?,
                contrasts: r.records()?,
                claims: r.records()?,
                took: r.records()?,
                one_factor: r.records()?,
                warnings: r.records()?,
                ..Results::default()
            },
            talks: Results {
                conversations: r.records()?,
                stickiness: r.records()?,
                turns: r.records()?,
                ..Results::default()
            },
            rates: r.records()?,
        };
        Ok((found, r.root_attrs().clone()))
    }

    fn frames(&self) -> Vec<Frame> {
        let (b, t) = (&self.behaviour, &self.talks);
        vec![
            Frame::of(&self.states),
            Frame::of(&self.preferences),
            Frame::of(&b.scores),
            Frame::of(&b.contrasts),
            Frame::of(&b.claims),
            Frame::of(&b.took),
            Frame::of(&b.one_factor),
            Frame::of(&t.conversations),
            Frame::of(&t.stickiness),
            Frame::of(&t.turns),
            Frame::of(&self.rates),
            Frame::of(&b.warnings),
        ]
    }

    /// Names of every table's CSV file, below the output folder.
    pub fn tables() -> Vec<String> {
        Found::default().frames().iter().map(csv).collect()
    }

    /// Adds a doubt.
    pub fn warn(&mut self, w: &Warning) {
        self.behaviour.warnings.push(doubt(w));
    }

    /// The doubts in words.
    pub fn warnings(&self) -> Vec<String> {
        let rows = self.behaviour.warnings.iter();
        rows.map(|w: &WarningRow| w.text.clone()).collect()
    }

    /// Takes the rates of a round of judging, their contrasts and the doubts about them, in place of
    /// an earlier round's.
    pub fn judged(
        &mut self,
        (fresh, at_ends): (&[Judged], &[Judged]),
        states: &[State],
        battery: &[Preference],
        contrasts: &[(String, String)],
        draws: Draws,
        doubts: &[Warning],
    ) -> Result<()> {
        let all = rates(fresh, draws.bootstrap, draws.seed)?;
        self.rates = rate_rows(&all, FRESH);
        let ends = rates(at_ends, draws.bootstrap, draws.seed)?;
        self.rates.extend(rate_rows(&ends, AFTER));
        let b = &mut self.behaviour;
        b.contrasts.retain(|c| c.measure == LOG_ODDS);
        (b.contrasts).extend(rate_contrasts(&all, states, battery, contrasts, draws)?);
        b.warnings.retain(|w| w.about != JUDGED);
        let samples = fresh.iter().map(|j| j.answer.sample + 1).max().unwrap_or(0);
        for w in doubts.iter().chain(&warning::of_rates(&all, samples)) {
            b.warnings.push(WarningRow { about: JUDGED.into(), text: w.to_string() });
        }
        Ok(())
    }

    /// Writes the file; what was written, below its folder.
    pub fn write(&self, folder: &Path, attrs: &RootAttrs) -> Result<Vec<String>> {
        let mut w = ResultsWriter::create(&folder.join(FILE), attrs)?;
        let mut files = vec![FILE.to_string()];
        for frame in self.frames().iter().filter(|f| !f.is_empty()) {
            w.frame(frame)?;
            files.push(csv(frame));
        }
        w.finish()?;
        Ok(files)
    }

    /// Every table by its name.
    pub fn json(&self) -> Map<String, Value> {
        let frames = self.frames().into_iter();
        frames.map(|f| (name(&f).to_string(), f.json())).collect()
    }

    /// What the terminal shows: contrasts over all and those that survive correction, and no turns.
    pub fn text(&self) -> String {
        let (b, t) = (&self.behaviour, &self.talks);
        let shown = |c: &&ContrastRow| c.kind != PREFERENCE || c.q < 0.05;
        let contrasts: Vec<ContrastRow> = b.contrasts.iter().filter(shown).cloned().collect();
        let of_rates: &[&str] = match self.rates.is_empty() {
            true => &["pooled", "p_z"],
            false => &[],
        };
        let frames = [
            Frame::of(&b.scores).without(&["pairs"]),
            Frame::of(&contrasts)
                .without(&["group", "newcombe_lo", "newcombe_hi", "z"])
                .without(of_rates),
            Frame::of(&b.claims).without(&["score_lo", "score_hi", "beyond_lo", "beyond_hi"]),
            Frame::of(&b.took),
            Frame::of(&b.one_factor),
            Frame::of(&t.conversations).without(&["after_lo", "after_hi", "fresh_lo", "fresh_hi"]),
            Frame::of(&t.stickiness),
            Frame::of(&self.rates).without(&["group", "not_sure", "neither", "cut"]),
        ];
        let shown = frames.iter().filter(|f| !f.is_empty());
        let each: Vec<String> = shown.map(|f| format!("{}\n{}", name(f), f.text())).collect();
        each.join("\n")
    }
}

/// Name of a table without its group.
fn name(frame: &Frame) -> &'static str {
    let path = frame.meta.path;
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

fn csv(frame: &Frame) -> String {
    format!("csv/{}.csv", frame.meta.path.replace('/', "."))
}
