//! `residuum link`: behaviour against what moved inside, across the states of a finished run.
//!
//! Everything is read from the run's `results.h5` and given to [`crate::analysis::link`], which the
//! study calls with the same records: shifts, couplings, scores with their status, states.

use super::layers::Layers;
use super::output::Outputs;
use super::Console;
use crate::analysis::link::{behaviours, links, LinkInput};
use crate::analysis::records::{CoupleRow, CouplingRow, LayerRow, ScoreRow, ShiftRow, StateRow};
use crate::analysis::State;
use crate::causal::KNOWN_ORDER;
use crate::store::{Frame, ResultsReader};
use anyhow::{bail, Result};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Relate behaviour to geometry across the states of a run
#[derive(Args)]
#[command(
    long_about = "Relate behaviour to geometry across the model states of a finished run.\n\n\
For each layer: the correlation, over conditions, of the behaviour shift with the shift along each \
coupled concept's direction and with the change of each couple's coupling; p by permutation over \
conditions, and the range when each condition is left out. Seeds of a condition are averaged first. \
Behaviour is over the preferences that no condition's training text presupposes; presupposed ones are \
given apart. Where the parts of the claim were fine-tuned on their own, they are ranked against the \
order known from GPT-4.1.\n\n\
Example:\n  residuum link runs/quick"
)]
pub struct LinkArgs {
    /// Run folder, or its results.h5
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Layers: all, third (those that the run reports) or numbers
    #[arg(long, value_name = "LAYERS", default_value = "third")]
    layers: Layers,
    /// Conditions to leave out
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    without: Vec<String>,
    /// CSV file for the table
    #[arg(long, value_name = "FILE.csv")]
    out: Option<PathBuf>,
    /// Seed of the permutations, where not all are made [default: the run's]
    #[arg(long)]
    seed: Option<u64>,
}

impl LinkArgs {
    /// The results file of the run.
    fn results(&self) -> PathBuf {
        match self.run.is_dir() {
            true => self.run.join("results.h5"),
            false => self.run.clone(),
        }
    }
}

/// A state as its record says.
fn state(row: StateRow) -> State {
    State { id: row.state, condition: row.condition, seed: row.seed as u64, text: row.text }
}

/// The layers asked for that the file holds.
fn layers(choice: &Layers, held: &[LayerRow]) -> Result<Vec<usize>> {
    let reported: Vec<usize> = held.iter().filter(|l| l.reported).map(|l| l.layer).collect();
    if *choice == Layers::Third && !reported.is_empty() {
        return Ok(reported);
    }
    let depth = held.iter().map(|l| l.layer + 1).max().unwrap_or(0);
    let asked = choice.of(depth)?;
    Ok((asked.into_iter()).filter(|l| held.iter().any(|h| h.layer == *l)).collect())
}

pub fn run(args: LinkArgs, out: &Console) -> Result<()> {
    let path = args.results();
    if let Some(table) = &args.out {
        let reads = Outputs::default().reads("RUN", &path);
        reads.file("--out", table).check()?;
    }
    let reader = ResultsReader::open(&path)?;
    let all: Vec<State> = (reader.records()?).into_iter().map(state).collect();
    let known = |name: &String| all.iter().any(|s| s.condition == *name);
    if let Some(c) = args.without.iter().find(|c| !known(c)) {
        let mut names: Vec<&str> = all.iter().map(|s| s.condition.as_str()).collect();
        names.dedup();
        bail!("the run has no condition `{c}`; it has {}", names.join(", "));
    }
    let kept = |s: &State| s.is_base() || !args.without.contains(&s.condition);
    let states: Vec<State> = all.iter().filter(|s| kept(s)).cloned().collect();
    let shifts: Vec<ShiftRow> = reader.records()?;
    let couplings: Vec<CouplingRow> = reader.records()?;
    let scores: Vec<ScoreRow> = reader.records()?;
    let couples: Vec<CoupleRow> = reader.records()?;
    let Some(position) = shifts.first().map(|s| s.position.clone()) else {
        bail!("{} holds no shifts to relate behaviour to", path.display());
    };
    let couples: Vec<(String, String)> =
        (couples.into_iter()).map(|c| (c.concept_a, c.concept_b)).collect();
    let behaviour = behaviours(&scores, &states);
    let r = links(&LinkInput {
        states: &states,
        behaviour: &behaviour,
        shifts: &shifts,
        couplings: &couplings,
        couples: &couples,
        position: &position,
        layers: &layers(&args.layers, &reader.records()?)?,
        order: &KNOWN_ORDER,
        seed: args.seed.unwrap_or(reader.root_attrs().seed),
    })?;
    if r.links.is_empty() {
        bail!(
            "{}: a link needs scores and shifts of at least 3 conditions beside base",
            path.display()
        );
    }
    for w in &r.warnings {
        out.warn(&w.text);
    }
    let table = Frame::of(&r.links);
    if let Some(path) = &args.out {
        table.write_csv(path)?;
    }
    let ranks = Frame::of(&r.rankings);
    let ranking_text = match ranks.is_empty() {
        true => "No ranking: the run lacks the conditions that train a part of the claim alone.".to_string(),
        false => format!(
            "Against the order known from GPT-4.1, lowest first; p one-sided over all arrangements.\n{}",
            ranks.text()
        ),
    };
    let text = format!(
        "{}\nBehaviour: mean stance log-odds less base's over preferences that no condition's training \
         text presupposes (isolated), or that the condition's own does (implied: a manipulation \
         check). estimate (Pearson's r), rho, slope and p over condition means, the condition being \
         the unit; p by rearranging conditions, q over the predictors of a layer; least and most r \
         without one condition; carried_by names a condition without which an r of at least .5 loses \
         half its size. r_states is over states and carries no p.\n{ranking_text}",
        table.text()
    );
    let json = json!({
        "run": args.run, "without": args.without, "link": table.json(),
        "points": Frame::of(&r.link_points).json(), "ranking": ranks.json(),
        "warnings": r.warnings, "out": args.out,
    });
    out.result(&json, || text)
}
