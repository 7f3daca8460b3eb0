//! Options to readings, one call into the analysis, and what comes back to `results.h5`, the terminal
//! and JSON.

use super::MeasureArgs;
use crate::analysis::geometry::{
    geometry, null_states, write_units, GeometryOptions, Kin, Kinship, NullStates,
};
use crate::analysis::{records::Results, state::by_condition, Draws, Reading, Readings, Roles};
use crate::cli::kept::{self, written, Origin};
use crate::cli::readings::{self, Read, Texts};
use crate::cli::state::{self, NamedAdapter};
use crate::cli::{layers::reported, output::Outputs, parts::Parts, Console};
use crate::materials::embedded;
use crate::model::Adapter;
use crate::store::{Frame, Record};
use anyhow::{bail, Result};
use serde_json::json;
use std::path::Path;

pub fn run(mut args: MeasureArgs, out: &Console) -> Result<()> {
    state::distinct(&args.adapter)?;
    args.adapter = state::located(args.adapter, out)?;
    let Some(folder) = args.out.clone() else {
        bail!("write --out DIR");
    };
    let _taken = Outputs::of(&args.model.model)
        .reads_all("--adapter", args.adapter.iter().map(|a| &a.folder))
        .texts("--concept", &args.concepts)
        .folder("--out", &folder, &kept::FILES)
        .take(out.force)?;
    if args.random_adapters > 0 && args.adapter.is_empty() {
        bail!(
            "--random-adapters are matched to those of --adapter, and there is none: leave it out"
        );
    }
    if args.concepts.is_empty() {
        args.concepts = embedded::CONCEPTS.names().iter().map(|n| n.to_string()).collect();
    }
    if args.concepts.len() < 2 {
        bail!("geometry needs two concepts at least; write --concept persona,autonomy");
    }
    let concepts = readings::concepts(&args.concepts, args.pairs, args.seed)?;
    let names: Vec<String> = concepts.iter().map(|c| c.name.clone()).collect();
    let roles = roles(&args, &names);
    let model = args.model.open(out)?;
    let layers = args.layers.of(model.decoder.layers())?;
    let neutral = readings::shift_texts()?;
    let texts = Texts {
        concepts: &concepts,
        neutral: &neutral,
        reading: Reading::Response,
        layers: &layers,
        positions: &[args.positions],
        choosing: None,
        log_probs: false,
    };
    let Read { readings, texts, .. } = readings::read(&texts, &model, &args.adapter, out)?;
    let mut shown = reported(model.decoder.layers());
    shown.retain(|l| layers.contains(l));
    if shown.is_empty() {
        shown = layers.clone();
    }
    let options = GeometryOptions {
        roles,
        kinship: kinship(&args, &readings),
        draws: Draws { bootstrap: args.draws as usize, null: args.draws as usize, seed: args.seed },
        at: shown.clone(),
    };
    let mut parts = Parts::of(out);
    let mut found = geometry(&readings, &options, &mut |part| parts.begin(part))?;
    let (random_adapters, shuffled) = (args.random_adapters as usize, args.shuffled as usize);
    let wanted = args.adapter.iter().filter(|_| random_adapters > 0);
    let decoder = &model.decoder;
    let read = |a: &NamedAdapter| Ok((a.name.clone(), Adapter::read(&a.folder, decoder)?));
    let adapters = &wanted.map(read).collect::<Result<Vec<_>>>()?;
    let nulls = NullStates { decoder, texts: &texts, adapters, random_adapters, shuffled };
    found.null_states = null_states(&readings, &options, &nulls, &mut |what| parts.begin(what))?;
    drop(parts);
    out.doubts(&found.warnings);

    let config = json!({
        "concepts": names, "roles": options.roles, "draws": options.draws,
        "reference": args.reference, "focus": args.focus, "neutral": args.neutral,
        "pairs": args.pairs, "position": args.positions.to_string(), "layers": layers,
        "random_adapters": args.random_adapters, "shuffled": args.shuffled,
    });
    kept::make_folder(&folder)?;
    let origin = Origin { model: &model, config, seed: args.seed };
    found.concepts = options.roles.concept_rows(&concepts);
    found.couples = options.roles.couple_rows();
    let frames = readings::ground(&readings, &shown);
    let files = kept::results(&folder, &origin.attrs(), &frames, |w| {
        found.write(w)?;
        write_units(w, &readings)
    })?;
    origin.record(&folder, &state::adapter_files(&args.adapter), &files)?;
    print(&found, &options, &readings, &files, &folder, out)
}

/// What concepts are to one another: couples, nuisances that are there, and the rest as placebos.
fn roles(args: &MeasureArgs, names: &[String]) -> Roles {
    let mut couples = args.couple.clone();
    if couples.is_empty() {
        couples.push((names[0].clone(), names[1].clone()));
    }
    let coupled = |n: &String| couples.iter().any(|(a, b)| a == n || b == n);
    let default = ["polarity", "sentiment"];
    // A nuisance that nobody asked for by name gives way.
    let idle = |n: &String| default.contains(&n.as_str()) && (!names.contains(n) || coupled(n));
    let nuisances: Vec<String> = (args.nuisances.iter().filter(|n| !idle(n))).cloned().collect();
    let other = |n: &&String| !coupled(n) && !nuisances.contains(n);
    let mut placebos = args.placebos.clone();
    if placebos.is_empty() {
        placebos.extend(names.iter().filter(other).cloned());
    }
    Roles { couples, placebos, nuisances }
}

/// Every condition but base and the neutral one is an identity of its own.
fn kinship(args: &MeasureArgs, readings: &Readings) -> Kinship {
    let tuned: Vec<_> = readings.states.iter().filter(|s| !s.is_base()).cloned().collect();
    let conditions = by_condition(&tuned).into_iter().map(|(condition, of)| Kin {
        condition: condition.into(),
        rows: tuned[of[0]].text.clone(),
        claim: String::new(),
        related: Vec::new(),
        identity: args.neutral.as_deref() != Some(condition),
    });
    Kinship {
        conditions: conditions.collect(),
        reference: args.reference.clone(),
        focus: args.focus.clone(),
        neutral: args.neutral.clone(),
    }
}

/// The couples at the shown layers.
fn print(
    found: &Results,
    options: &GeometryOptions,
    readings: &Readings,
    files: &[String],
    folder: &Path,
    out: &Console,
) -> Result<()> {
    let couples = &options.roles.couples;
    let couple = |a: &String, b: &String| couples.iter().any(|(c, d)| c == a && d == b);
    let shown = |layer: usize| options.at.contains(&layer);
    fn kept<R: Record + Clone>(rows: &[R], keep: impl Fn(&R) -> bool) -> Frame {
        Frame::of(&rows.iter().filter(|r| keep(r)).cloned().collect::<Vec<R>>())
    }
    let coupling = kept(&found.coupling, |r| {
        let printed = ["raw", "relative", "cleaned", "whitened"];
        couple(&r.concept_a, &r.concept_b) && shown(r.layer) && printed.contains(&&*r.form)
    });
    let nulls = kept(&found.pair_nulls, |r| shown(r.layer));
    let changes = kept(&found.changes, |r| shown(r.layer) && r.form == "relative");
    let shifts =
        kept(&found.shifts, |r| shown(r.layer) && r.source == "base" && r.beyond.is_empty());
    let text = || {
        let narrow = changes.clone().without(&["form", "error_prompts", "error_seeds"]);
        let along = ["position", "source", "beyond", "plain_lo", "plain_hi", "share"];
        let maxima = ["p_flip_max", "p_random_max", "p_placebo_max", "others"];
        let placebos = ["placebo_lo", "placebo_hi", "p_placebo"];
        let shifts = shifts.clone().without(&along).without(&maxima).without(&placebos);
        let parts = [
            ("Cosines of the couples", coupling.text()),
            ("Their nulls", nulls.text()),
            ("Changes of the cosine relative to its ceiling", narrow.text()),
            ("Shifts of the neutral texts along base's directions, in layer RMS", shifts.text()),
        ];
        let parts = parts.iter().filter(|(_, t)| t.lines().count() > 1);
        let parts: Vec<String> = parts.map(|(title, t)| format!("{title}\n{t}")).collect();
        let (tables, n) = (parts.join("\n"), readings.texts());
        let (written, folder) = (written(files, folder), folder.display());
        format!(
            "{tables}\n{n} neutral texts; intervals and bands are 95 %; `residuum geometry explain {folder}` says what a \
             number is.\n{written}"
        )
    };
    let json = json!({
        "out": folder, "files": files, "couples": couples,
        "states": readings.states.iter().map(|s| &s.id).collect::<Vec<_>>(),
        "layers": readings.layers, "shown_layers": options.at,
        "coupling": coupling.json(), "nulls": nulls.json(), "changes": changes.json(),
        "shifts": shifts.json(), "warnings": Frame::of(&found.warnings).json(),
    });
    out.result(&json, text)
}
