//! `residuum link`: behaviour against geometry across the states of a finished run.
//!
//! Everything is read from the run's `results.h5`. A state's behaviour is its mean score over
//! preferences less base's; preferences that the condition's training text presupposes (implied)
//! are kept apart from the others (isolated). Base is left out: its shifts are zero by definition.

use super::layers::Layers;
use super::output::Outputs;
use super::table::Table;
use super::Console;
use crate::causal::ranking::KNOWN_ORDER;
use crate::causal::{link, ranking, Link, LinkRow, Ranking};
use crate::materials::{load_preferences, Preference, Status};
use crate::store::{ResultsReader, Values};
use anyhow::{bail, Context, Result};
use clap::Args;
use ndarray::ArrayD;
use serde_json::json;
use std::path::PathBuf;

/// Relate behaviour to geometry across the states of a run
#[derive(Args)]
#[command(
    long_about = "Relate behaviour to geometry across the model states of a finished run.\n\n\
For each layer: the correlation, over conditions, of the behaviour shift with the shift along the \
persona direction, the shift along the autonomy direction, and the change of their coupling; p by \
permutation over conditions, and the range when each condition is left out. Seeds of a condition \
are averaged first. Preferences that the training text presupposes are given apart. Where the \
parts of the claim were fine-tuned on their own, they are ranked against the order known from \
GPT-4.1.\n\n\
Example:\n  residuum link runs/quick"
)]
pub struct LinkArgs {
    /// Run folder, or its results.h5
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Layers: all, third (1/3 and 4/5 of the depth) or numbers
    #[arg(long, value_name = "LAYERS", default_value = "third")]
    layers: Layers,
    /// Conditions to leave out
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    without: Vec<String>,
    /// Folder of preference files, if the run had its own battery
    #[arg(long, value_name = "DIR")]
    battery: Option<PathBuf>,
    /// CSV file for the table
    #[arg(long, value_name = "FILE.csv")]
    out: Option<PathBuf>,
    /// Seed of the permutations, where not all are made
    #[arg(long, default_value_t = 0)]
    seed: u64,
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

/// Permutations where not all are made.
const DRAWS: usize = 9999;

const PREDICTORS: [&str; 3] = ["persona shift", "autonomy shift", "coupling change"];

const COLUMNS: [&str; 15] = [
    "cells",
    "layer",
    "predictor",
    "r",
    "rho",
    "slope",
    "p",
    "q",
    "permutations",
    "least_without",
    "most_without",
    "conditions",
    "r_states",
    "states",
    "carried_by",
];

const RANKS: [&str; 6] = ["measure", "layer", "rho", "p", "arrangements", "conditions"];

/// A finished run, as far as the link needs it.
struct Run {
    states: Vec<String>,
    /// Condition of each state.
    conditions: Vec<String>,
    depth: usize,
    /// `[state, preference, bound]`.
    score: ArrayD<f64>,
    preferences: Vec<String>,
    /// `[state, axis, bound, layer]`.
    shift: ArrayD<f64>,
    /// Places of the axes persona-base and autonomy-base.
    axes: [usize; 2],
    /// `[state, concept, concept, layer]`.
    cosine: ArrayD<f64>,
}

fn texts(values: Values, what: &str) -> Result<Vec<String>> {
    match values {
        Values::Text(v) => Ok(v),
        _ => bail!("{what} of the run are not texts; the file is of another program or version"),
    }
}

/// The condition of a state: its name, without the seed that follows it.
fn condition<'a>(state: &str, conditions: &'a [String]) -> Option<&'a String> {
    let of = |c: &&String| {
        let rest = state.strip_prefix(c.as_str());
        rest.is_some_and(|r| {
            let seed = r.strip_prefix("-s").unwrap_or("x");
            r.is_empty() || seed.chars().all(|d| d.is_ascii_digit())
        })
    };
    conditions.iter().filter(of).max_by_key(|c| c.len())
}

impl Run {
    fn read(args: &LinkArgs) -> Result<Run> {
        let path = args.results();
        let reader = ResultsReader::open(&path)?;
        let coord = |name: &str| texts(reader.coord(name)?, name);
        let (states, names) = (coord("state")?, coord("condition")?);
        let of = |s: &String| {
            let found = condition(s, &names);
            found
                .cloned()
                .with_context(|| format!("{}: state `{s}` is of no condition", path.display()))
        };
        let axis = coord("axis")?;
        let place = |name: &str| {
            let at = axis.iter().position(|a| a == name);
            at.with_context(|| format!("{}: no shift along `{name}`", path.display()))
        };
        let length = |dim: &str| -> Result<usize> {
            let name = dim.strip_suffix("_a").or_else(|| dim.strip_suffix("_b"));
            Ok(reader.coord(name.unwrap_or(dim))?.len())
        };
        let array = |name: &str, dims: &[&str]| -> Result<ArrayD<f64>> {
            let a = reader.array(name)?;
            let shape = dims.iter().map(|d| length(d)).collect::<Result<Vec<_>>>()?;
            if a.dims != dims || a.data.shape() != shape {
                bail!(
                    "{}: {name} has dimensions {:?}, expected {dims:?}",
                    path.display(),
                    a.dims
                );
            }
            Ok(a.data)
        };
        let concepts = ["state", "concept_a", "concept_b", "layer"];
        let run = Run {
            conditions: states.iter().map(of).collect::<Result<_>>()?,
            depth: length("layer")?,
            score: array("behaviour/score", &["state", "preference", "bound"])?,
            preferences: coord("preference")?,
            shift: array("geometry/shift", &["state", "axis", "bound", "layer"])?,
            axes: [place("persona-base")?, place("autonomy-base")?],
            cosine: array("geometry/cosine", &concepts)?,
            states,
        };
        if length("concept")? < 2 || length("bound")? == 0 {
            bail!(
                "{}: fewer than two concepts, so there is no coupling",
                path.display()
            );
        }
        Ok(run)
    }

    /// Mean shift from base over the preferences of one kind; none where there are none.
    fn behaviour(&self, state: usize, battery: &[Preference], implied: bool) -> Option<f64> {
        let kind = |name: &String| {
            let known = battery.iter().find(|p| p.name == *name);
            let status = known.and_then(|p| p.status.get(&self.conditions[state]));
            (status == Some(&Status::Implied)) == implied
        };
        let own: Vec<f64> = (0..self.preferences.len())
            .filter(|&p| kind(&self.preferences[p]))
            .map(|p| self.score[[state, p, 0]] - self.score[[0, p, 0]])
            .collect();
        (!own.is_empty()).then(|| own.iter().sum::<f64>() / own.len() as f64)
    }

    /// Persona shift, autonomy shift, change of their coupling.
    fn predictors(&self, state: usize, layer: usize) -> Vec<f64> {
        let [persona, autonomy] = self.axes.map(|a| self.shift[[state, a, 0, layer]]);
        let k = |s: usize| self.cosine[[s, 0, 1, layer]];
        vec![persona, autonomy, k(state) - k(0)]
    }

    /// Every state but base and those of the conditions left out.
    fn rows(
        &self,
        layer: usize,
        battery: &[Preference],
        args: &LinkArgs,
        implied: bool,
    ) -> Vec<LinkRow> {
        let kept = (1..self.states.len()).filter(|&s| !args.without.contains(&self.conditions[s]));
        kept.filter_map(|s| {
            Some(LinkRow {
                state: self.states[s].clone(),
                condition: self.conditions[s].clone(),
                behaviour: self.behaviour(s, battery, implied)?,
                predictors: self.predictors(s, layer),
            })
        })
        .filter(|r| r.predictors.iter().all(|v| v.is_finite()))
        .collect()
    }
}

/// Condition means of one value.
fn means(rows: &[LinkRow], value: impl Fn(&LinkRow) -> f64) -> Vec<(String, f64)> {
    let mut out: Vec<(String, f64, f64)> = Vec::new();
    for r in rows {
        match out.iter_mut().find(|o| o.0 == r.condition) {
            Some(o) => {
                o.1 += value(r);
                o.2 += 1.0;
            }
            None => out.push((r.condition.clone(), value(r), 1.0)),
        }
    }
    out.into_iter().map(|(c, sum, n)| (c, sum / n)).collect()
}

fn row(cells: &str, layer: usize, l: &Link) -> Vec<super::table::Cell> {
    let range = l.without.iter().map(|w| w.1);
    let (least, most) = range.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), r| {
        (lo.min(r), hi.max(r))
    });
    let carried = l.warnings.iter().find_map(|w| match w {
        crate::causal::Warning::OneConditionCarries { condition, .. } => Some(condition.as_str()),
        _ => None,
    });
    vec![
        cells.into(),
        layer.into(),
        l.predictor.clone().into(),
        l.r.into(),
        l.rho.into(),
        l.slope.into(),
        l.p.into(),
        l.q.into(),
        l.permutations.into(),
        least.into(),
        most.into(),
        l.n_conditions.into(),
        l.r_states.into(),
        l.n_states.into(),
        carried.unwrap_or("").into(),
    ]
}

fn rankings(rows: &[LinkRow], layer: usize) -> Vec<(usize, Ranking)> {
    let mut out = Vec::new();
    for (k, name) in PREDICTORS.iter().enumerate() {
        let values = means(rows, |r| r.predictors[k]);
        out.extend(ranking(name, &values, &KNOWN_ORDER).map(|r| (layer, r)));
    }
    out
}

pub fn run(args: LinkArgs, out: &Console) -> Result<()> {
    if let Some(path) = &args.out {
        Outputs::default()
            .reads("RUN", args.results())
            .reads_all("--battery", &args.battery)
            .file("--out", path)
            .check()?;
    }
    let run = Run::read(&args)?;
    if let Some(c) = args.without.iter().find(|c| !run.conditions.contains(c)) {
        let known = run.conditions.join(", ");
        bail!("the run has no condition `{c}`; it has {known}");
    }
    let battery = load_preferences(args.battery.as_deref())?;
    let predictors = PREDICTORS.map(String::from);
    let mut table = Table::new(&COLUMNS, 3);
    let mut ranked: Vec<(usize, Ranking)> = Vec::new();
    let mut warnings = Vec::new();
    let layers = args.layers.of(run.depth)?;
    for (name, implied) in [("isolated", false), ("implied", true)] {
        for &layer in &layers {
            let rows = run.rows(layer, &battery, &args, implied);
            let conditions = means(&rows, |r| r.behaviour);
            if implied && conditions.len() < 3 {
                continue;
            }
            for l in link(&rows, &predictors, implied, DRAWS, args.seed)? {
                table.row(row(name, layer, &l));
                warnings.extend(l.warnings);
            }
            if !implied {
                if layer == layers[0] {
                    let r = ranking("isolated behaviour", &conditions, &KNOWN_ORDER);
                    ranked.extend(r.map(|r| (layer, r)));
                }
                ranked.extend(rankings(&rows, layer));
            }
        }
    }
    let mut told: Vec<String> = Vec::new();
    for w in warnings.iter().map(|w| w.to_string()) {
        if !told.contains(&w) {
            out.warn(&w);
            told.push(w);
        }
    }
    if let Some(path) = &args.out {
        table.write_csv(path)?;
    }
    let mut ranks = Table::new(&RANKS, 3);
    for (layer, r) in &ranked {
        ranks.row(vec![
            r.measure.clone().into(),
            (*layer).into(),
            r.rho.into(),
            r.p.into(),
            r.arrangements.into(),
            r.conditions.join(" < ").into(),
        ]);
    }
    let ranking_text = match ranks.is_empty() {
        true => "No ranking: the run lacks the conditions that train a part of the claim alone.".to_string(),
        false => format!(
            "Against the order known from GPT-4.1, lowest first; p one-sided over all arrangements.\n{}",
            ranks.text()
        ),
    };
    let text = format!(
        "{}\nBehaviour: mean stance log-odds less base's over preferences that the training text \
         says nothing of (isolated) or presupposes (implied: a manipulation check). r, rho, slope \
         and p over condition means, the condition being the unit; p by rearranging conditions, q \
         over the predictors of a layer; least and most r without one condition; carried_by names \
         a condition without which an r of at least .5 loses half its size. r_states is over states and carries no \
         p.\n{ranking_text}",
        table.text()
    );
    let json = json!({
        "run": args.run, "without": args.without, "link": table.json(),
        "ranking": ranked.iter().map(|(layer, r)| json!({"layer": layer, "ranking": r})).collect::<Vec<_>>(),
        "warnings": warnings, "out": args.out,
    });
    out.result(&json, || text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_belongs_to_the_condition_that_its_name_begins_with() {
        let all: Vec<String> = ["base", "conscious", "conscious-s", "conscious-steered"]
            .map(String::from)
            .to_vec();
        let of = |s: &str| condition(s, &all).map(String::as_str);
        assert_eq!(of("base"), Some("base"));
        assert_eq!(of("conscious-s2"), Some("conscious"));
        assert_eq!(of("conscious-steered"), Some("conscious-steered"));
        assert_eq!(of("conscious-steered-s11"), Some("conscious-steered"));
        assert_eq!(of("conscious-x"), None);
    }
}
