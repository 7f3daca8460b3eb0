//! The report's data: findings, figures, tables, reference points and the files of the run.

use super::focus;
use crate::figures::Written;
use crate::report::{ReferencePoint, ReportData, ReportFigure, ReportTable, RunFile};
use crate::study::findings::Findings;
use crate::study::measure::{states_of, Measured};
use crate::study::run::Run;

pub fn data(run: &Run, m: &Measured, found: &Findings, written: Vec<Written>) -> ReportData {
    let study = run.study;
    let n_layers = run.model.decoder.layers();
    let at = |l: usize| format!("{:.2}", m.geometry.coupling.raw.value[[0, 0, 1, l]]);
    let concept = |name: &str| study.concepts.iter().position(|c| c.name == name);
    let beside = &m.geometry.beside;
    let mut references = Vec::new();
    let mid = m.layers[0];
    if let Some(t) = concept("toaster-identity") {
        references.push(ReferencePoint {
            quantity: "cos(persona, toaster identity) at middle depth".into(),
            earlier: "about .14".into(),
            source: "earlier work on open models".into(),
            ours: format!(
                "{:+.2} (layer {mid}, base)",
                m.geometry.coupling.raw.value[[0, 0, t, mid]]
            ),
        });
    }
    let tuned = states_of(run, focus(run))[0];
    references.push(ReferencePoint {
        quantity: "cos(persona in base, persona in the fine-tune)".into(),
        earlier: ".86 to .985 at 1/3 depth; near 0 deep".into(),
        source: "earlier work on three open families".into(),
        ours: m
            .layers
            .iter()
            .map(|&l| {
                format!(
                    "{:+.2} (layer {l})",
                    beside.stability[tuned - 1][0][l].cosine
                )
            })
            .collect::<Vec<_>>()
            .join(", "),
    });
    references.push(ReferencePoint {
        quantity: "linear CKA of base and fine-tune on neutral text (ours debiased)".into(),
        earlier: ">= .998 until late layers".into(),
        source: "earlier work on open models".into(),
        ours: m
            .layers
            .iter()
            .map(|&l| format!("{:.4} (layer {l})", beside.alignment[tuned - 1][l].debiased))
            .collect::<Vec<_>>()
            .join(", "),
    });
    if let (Some(cos), true) = (&beside.shift_cosines, m.reference > 0) {
        let index = |state: usize| state.checked_sub(1);
        if let (Some(a), Some(b)) = (index(tuned), index(states_of(run, m.reference)[0])) {
            references.push(ReferencePoint {
                quantity: "cosine of the shifts of opposite fine-tunes".into(),
                earlier: ".65 to .97".into(),
                source: "earlier work on open models".into(),
                ours: m
                    .layers
                    .iter()
                    .map(|&l| format!("{:+.2} (layer {l})", cos[[a, b, l]]))
                    .collect::<Vec<_>>()
                    .join(", "),
            });
        }
    }
    references.push(ReferencePoint {
        quantity: "cos(persona, autonomy) in base".into(),
        earlier: "not published".into(),
        source: "-".into(),
        ours: m
            .layers
            .iter()
            .map(|&l| format!("{} (layer {l})", at(l)))
            .collect::<Vec<_>>()
            .join(", "),
    });
    let file = |path: &str, what: &str| RunFile {
        path: path.into(),
        what: what.into(),
    };
    let reference = &study.conditions[m.reference].name;
    let preferences = m
        .preferences
        .iter()
        .filter(|s| s.condition == study.conditions[focus(run)].name)
        .map(|s| {
            let e = &s.estimate;
            vec![
                s.preference.clone(),
                s.group.clone(),
                if s.implied { "implied" } else { "isolated" }.into(),
                format!("{:+.3}", e.value),
                format!("[{:+.3}, {:+.3}]", e.interval.lo, e.interval.hi),
                format!("{:.3}", s.q),
                e.n.to_string(),
            ]
        })
        .collect();
    let columns = |c: &[&str]| c.iter().map(|s| s.to_string()).collect::<Vec<_>>();
    ReportData {
        title: format!("residuum study: {}", study.written.name),
        study: study.written.name.clone(),
        model: format!(
            "{} ({n_layers} layers, {} dimensions, SHA-256 {})",
            run.model.id,
            run.model.decoder.hidden(),
            run.model.sha256
        ),
        command: run.command.join(" "),
        date: crate::store::time::utc_now(),
        findings: found.sentences.clone(),
        warnings: found.warnings.clone(),
        figures: written
            .into_iter()
            .map(|w| {
                let mut figure = ReportFigure::from(w);
                // The report lies in the run folder and links below it.
                if let Ok(below) = figure.svg.strip_prefix(&run.out) {
                    figure.svg = below.to_path_buf();
                }
                figure
            })
            .collect(),
        tables: vec![
            ReportTable {
                title: "What was found".into(),
                caption: "Estimates with 95 % intervals; nulls and n beside them. Coupling is the raw cosine.".into(),
                columns: columns(&["quantity", "estimate", "95 % interval", "null or test", "n"]),
                rows: found.rows.iter().map(|r| r.to_vec()).collect(),
            },
            coupling(run, m),
            ReportTable {
                title: format!("Preferences of {} against {reference}", study.conditions[focus(run)].name),
                caption: "Difference of stance log-odds, nats a token, paired by prompt; q: Benjamini-Hochberg over preferences of sign-flip p values.".into(),
                columns: columns(&["preference", "group", "status", "difference", "95 % interval", "q", "n prompts"]),
                rows: preferences,
            },
        ],
        references,
        files: vec![
            file("results.h5", "all tables, with named dimensions"),
            file("csv/", "the same tables as CSV"),
            file("figures/", "each figure as SVG, 300-dpi PNG and the CSV it draws from"),
            file("activations/<state>.h5", "pooled residuals of each model, linked from results.h5"),
            file("adapters/<state>/", "LoRA adapters in PEFT's format with their training log"),
            file("behaviour/<state>.jsonl", "every scored pair of completions"),
            file("rows.json", "which rows of which files were used, by line and id"),
            file("distilled.jsonl", "the neutral rows, answered by the base model itself"),
            file("causal/", "scores of each model under every ablation, and of base under every dose"),
            file("findings.json", "this report's findings"),
            file("manifest.json", "resolved configuration, seeds, versions, hardware, digests, timings"),
        ],
    }
}

/// The pair's cosine in every condition with everything that it is to be read against.
fn coupling(run: &Run, m: &Measured) -> ReportTable {
    let (study, g) = (run.study, &m.geometry);
    let c = &g.coupling;
    let ends = |v: f64, lo: f64, hi: f64| format!("{v:+.2} [{lo:+.2}, {hi:+.2}]");
    let mut rows = Vec::new();
    for &l in &m.layers {
        for (k, condition) in study.conditions.iter().enumerate() {
            let set = states_of(run, k);
            let (value, interval) = g.cosine(run, k, l);
            // Ceilings and nulls are those of a condition's first model.
            let s = set[0];
            let at = [s, 0, 1, l];
            let ceiling = (c.reliability[[s, 0, l]] * c.reliability[[s, 1, l]]).sqrt();
            let change = g.change(k, 0, "relative").map(|d| &d.contrast);
            rows.push(vec![
                l.to_string(),
                condition.name.clone(),
                ends(value, interval.lo, interval.hi),
                format!("{ceiling:.2}"),
                ends(
                    c.raw.relative[at],
                    c.raw.relative_lo[at],
                    c.raw.relative_hi[at],
                ),
                format!("{:+.2}", c.cleaned.value[at]),
                format!("{:+.2}", c.whitened.value[at]),
                change.map_or("-".into(), |d| ends(d.value[l], d.lo[l], d.hi[l])),
                format!("[{:+.2}, {:+.2}]", c.flip_lo[at], c.flip_hi[at]),
                set.len().to_string(),
            ]);
        }
    }
    ReportTable {
        title: "Coupling of persona and autonomy".into(),
        caption: format!(
            "Cosine of the two directions, re-extracted in every model, with its 95 % interval; the ceiling that noise sets, sqrt(r_p r_u); the cosine relative to it; cleaned of {}; whitened by the layer's covariance; change of the relative cosine from base on paired draws; 95 % band of labels flipped. Table 1 has the bands of random directions and of {} cosines with placebo concepts. n: models; {}.",
            study
                .nuisances
                .iter()
                .map(|&k| study.concepts[k].name.as_str())
                .collect::<Vec<_>>()
                .join(" and "),
            2 * g.options.placebos.len(),
            super::counts(run),
        ),
        columns: [
            "layer", "condition", "cosine", "ceiling", "relative", "cleaned", "whitened",
            "relative, less base", "label flips", "n",
        ]
        .map(String::from)
        .to_vec(),
        rows,
    }
}
