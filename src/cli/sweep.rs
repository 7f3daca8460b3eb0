//! `residuum steer --sweep`: dose response of the battery, with random and placebo directions.

use super::steer::Work;
use super::table::Table;
use super::{reading, state};
use crate::causal::dose::ALL;
use crate::causal::{dose_response, DoseResponse, Guards};
use anyhow::Result;
use serde_json::json;

const DRAWS: usize = 2000;

const DOSES: [&str; 10] = [
    "direction",
    "dose",
    "preference",
    "change",
    "lo",
    "hi",
    "prompts",
    "kl",
    "perplexity_ratio",
    "guards",
];

const SLOPES: [&str; 9] = [
    "direction",
    "preference",
    "slope",
    "lo",
    "hi",
    "p",
    "prompts",
    "random",
    "doses",
];

/// Doses of every direction and preference, or of all preferences together.
fn doses(r: &DoseResponse, keep: impl Fn(&str, bool) -> bool) -> Table {
    let mut table = Table::new(&DOSES, 3);
    for d in r.doses.iter().filter(|d| keep(&d.preference, d.random)) {
        table.row(vec![
            d.direction.clone().into(),
            d.alpha.into(),
            d.preference.clone().into(),
            d.change.value.into(),
            d.change.interval.lo.into(),
            d.change.interval.hi.into(),
            d.change.n_clusters.into(),
            d.kl.into(),
            d.perplexity_ratio.into(),
            if d.inside { "inside" } else { "outside" }.into(),
        ]);
    }
    table
}

fn slopes(r: &DoseResponse, keep: impl Fn(bool) -> bool) -> Table {
    let mut table = Table::new(&SLOPES, 3);
    for s in r.slopes.iter().filter(|s| keep(s.random)) {
        table.row(vec![
            s.direction.clone().into(),
            s.preference.clone().into(),
            s.slope.value.into(),
            s.slope.interval.lo.into(),
            s.slope.interval.hi.into(),
            s.p.into(),
            s.slope.n_clusters.into(),
            s.n_random.into(),
            s.alphas.len().into(),
        ]);
    }
    table
}

pub fn run(work: &Work) -> Result<()> {
    let (decoder, out, controls) = (work.decoder, work.out, work.controls);
    let layer = work.edit.block(decoder.layers());
    let directions = work.directions(&[layer])?;
    let rms = reading::rms(decoder, &work.model.tokenizer, layer)?;
    let neutral = work.guard_texts()?;
    let bench = work.bench(decoder, &neutral);
    let alphas = &work.edit.sweep;
    let active = alphas.iter().filter(|a| **a != 0.0).count();
    let mut progress = out.bar("doses", 1 + directions.len() * active);
    let roles = work.edit.roles();
    let edited = bench.sweep(
        &directions,
        layer,
        rms,
        alphas,
        roles.as_deref(),
        &mut |what| progress.step(what),
    )?;
    drop(progress);
    let guards = Guards {
        kl: controls.max_kl,
        perplexity_ratio: controls.max_perplexity,
    };
    let plain = &edited[0];
    let r = dose_response(plain, &edited[1..], guards, DRAWS, work.seed)?;
    for warning in &r.warnings {
        out.warn(&warning.to_string());
    }
    let everything = |_: &str, _: bool| true;
    let mut files: Vec<&str> = Vec::new();
    let config = json!({
        "concept": work.edit.name, "placebos": controls.placebo, "random": controls.random,
        "vectors": work.vectors(), "layer": layer, "rms": rms, "doses": alphas, "guards": guards,
        "guard_texts": neutral.len(), "system": work.system, "roles": roles,
    });
    if let Some(folder) = &controls.out {
        state::make_folder(folder)?;
        doses(&r, everything).write_csv(&folder.join("doses.csv"))?;
        slopes(&r, |_| true).write_csv(&folder.join("slopes.csv"))?;
        files = vec!["doses.csv", "slopes.csv"];
        let outputs: Vec<String> = files.iter().map(|f| f.to_string()).collect();
        let config = config.clone();
        state::record(
            folder,
            work.model,
            config,
            work.seed,
            &work.inputs,
            &outputs,
        )?;
    }
    let shown = doses(&r, |preference, random| preference == ALL && !random);
    let range = |alpha: f64| {
        let of =
            |d: &&crate::causal::dose::Dose| d.random && d.preference == ALL && d.alpha == alpha;
        let values = r.doses.iter().filter(of).map(|d| d.change.value);
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| {
            (v.min(lo), v.max(hi))
        })
    };
    let mut random = String::new();
    for &alpha in alphas.iter().filter(|a| **a != 0.0 && controls.random > 0) {
        let (lo, hi) = range(alpha);
        random += &format!("random directions at {alpha}: {lo:.3} to {hi:.3}\n");
    }
    let text = format!(
        "{}{random}\n{}\nChange of stance log-odds from the unsteered model in nats a token; doses \
         in units of the RMS of layer {layer} ({rms:.2}); 95 % bootstrap intervals over prompts; \
         slopes are per unit of dose over the doses inside the guards (KL at most {}, perplexity \
         at most {} times that without a dose, on {} neutral texts), p against {} random \
         directions.\n{}{}",
        shown.text(),
        slopes(&r, |random| !random).text(),
        guards.kl,
        guards.perplexity_ratio,
        neutral.len(),
        controls.random,
        work.notes(),
        match &controls.out {
            Some(folder) => format!("\nwritten: {} in {}", files.join(", "), folder.display()),
            None => String::new(),
        }
    );
    let json = json!({
        "config": config, "perplexity_unsteered": plain.perplexity,
        "doses": doses(&r, everything).json(), "slopes": slopes(&r, |_| true).json(),
        "warnings": r.warnings, "out": controls.out, "files": files,
    });
    out.result(&json, || text)
}
