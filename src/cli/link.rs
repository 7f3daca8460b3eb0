//! `residuum link`: behaviour against what moved inside, across the states of a finished run.
//!
//! Everything is read from the run's `results.h5` and given to [`crate::analysis::link`], which the
//! study calls with the same records: shifts, couplings, scores with their status, states.

use super::{kept::of_run, layers::Layers, output::Outputs, Console};
use crate::analysis::link::{behaviours, links, LinkInput};
use crate::analysis::records::{
    CoupleRow, CouplingRow, DecliningRow, LayerRow, ScoreRow, ShiftRow, StateRow,
};
use crate::analysis::State;
use crate::causal::KNOWN_ORDER;
use crate::store::{Frame, ResultsReader};
use anyhow::{bail, Result};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Relate behaviour to geometry across the model states of a finished run.
///
/// For each layer: the correlation, over conditions, of the behaviour shift with the shift along
/// each coupled concept's direction and with the change of each couple's coupling; and, of no layer, with
/// the change of the log-probability of answers that decline harmless requests; p by permutation
/// over conditions, and the range when each condition is left out. Seeds of a condition are
/// averaged first; one that is another at another share of its rows is left out. Behaviour is over
/// the preferences that no condition's training text presupposes; presupposed ones are given apart.
/// Where the parts of the claim were fine-tuned on their own, they are ranked against the order known
/// from GPT-4.1.
///
/// Example: residuum link runs/quick
#[derive(Args)]
#[command(about = "Relate behaviour to geometry across the states of a run")]
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
    let path = of_run(&args.run);
    if let Some(table) = &args.out {
        Outputs::default()
            .reads("RUN", &path)
            .file_of("--out", table, "CSV", &["csv"])
            .check(out.force)?;
    }
    let reader = ResultsReader::open(&path)?;
    let state = |StateRow { state, condition, seed, text, recipe, share, .. }: StateRow| State {
        id: state,
        condition,
        seed: seed as u64,
        text,
        recipe,
        share: Some(share).filter(|s| s.is_finite()),
    };
    let all: Vec<State> = reader.records()?.into_iter().map(state).collect();
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
    let declining: Vec<DecliningRow> = reader.records()?;
    let couples: Vec<CoupleRow> = reader.records()?;
    let file = path.display();
    let Some(position) = shifts.first().map(|s| s.position.clone()) else {
        bail!("{file} holds no shifts to relate behaviour to");
    };
    let couples: Vec<(String, String)> =
        (couples.into_iter()).map(|c| (c.concept_a, c.concept_b)).collect();
    let r = links(&LinkInput {
        states: &states,
        behaviour: &behaviours(&scores, &states),
        shifts: &shifts,
        couplings: &couplings,
        declining: &declining,
        couples: &couples,
        position: &position,
        layers: &layers(&args.layers, &reader.records()?)?,
        order: &KNOWN_ORDER,
        seed: args.seed.unwrap_or(reader.root_attrs().seed),
    })?;
    if r.links.is_empty() {
        bail!("{file}: a link needs scores and shifts of at least 3 conditions besides base; one that is another at another share of its rows does not count");
    }
    r.warnings.iter().for_each(|w| out.warn(&w.text));
    let table = Frame::of(&r.links);
    if let Some(path) = &args.out {
        table.write_csv(path)?;
    }
    let ranks = Frame::of(&r.rankings);
    let mut ranking =
        "No ranking: the run lacks the conditions that train a part of the claim alone."
            .to_string();
    if !ranks.is_empty() {
        ranking = "Against the order known from GPT-4.1, lowest first; p one-sided over all arrangements.\n".into();
        ranking += &ranks.text();
    }
    let links = table.text();
    let text = format!(
        "{links}\nBehaviour: mean stance log-odds less base's over preferences that no condition's training \
         text presupposes (isolated), or that the condition's own does (implied: a manipulation \
         check). estimate (Pearson's r), rho, slope and p over condition means, the condition being \
         the unit; p by rearranging conditions, q over the predictors of a layer; least and most r \
         without one condition; carried_by names a condition without which an r of at least .5 loses \
         half its size. left_out are conditions that are another at another share of its rows. r_states is over \
         states and carries no p.\n{ranking}"
    );
    let json = json!({
        "run": args.run, "without": args.without, "link": table.json(),
        "points": Frame::of(&r.link_points).json(), "ranking": ranks.json(),
        "warnings": r.warnings, "out": args.out,
    });
    out.result(&json, || text)
}
