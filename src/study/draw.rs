//! From what was measured to the data of each figure, and the report around them.

use super::outputs::{states_of, Findings, Measured};
use super::run::Run;
use super::{measure, StudyError};
use crate::figures::causal::{Ablation, CausalData, DoseCurve};
use crate::figures::shift::{DirectionSource, ShiftForm};
use crate::figures::{
    self, behaviour, claims, concept_heatmap, coupling, directions, shift, training,
};
use crate::figures::{Estimate, Written};
use crate::report::{ReferencePoint, ReportData, ReportFigure, ReportTable, RunFile};

/// Draws every figure and writes the report; returns the files below the run folder.
pub fn all(run: &Run, m: &Measured, found: &Findings) -> Result<Vec<String>, StudyError> {
    let dir = run.out.join("figures");
    let mut written: Vec<Written> = vec![
        coupling::draw(&coupling_data(run, m), &dir)?,
        concept_heatmap::draw(&heatmap_data(run, m), &dir)?,
        shift::draw(&shift_data(run, m), &dir)?,
        behaviour::draw(&behaviour_data(run, m), &dir)?,
    ];
    if !run.study.claims.is_empty() {
        written.push(claims::draw(&claims_data(run, m)?, &dir)?);
    }
    if m.causal.is_some() {
        written.push(figures::causal::draw(&causal_data(run, m)?, &dir)?);
    }
    written.push(directions::draw(&directions_data(run, m), &dir)?);
    let runs = training_runs(run)?;
    if !runs.is_empty() {
        let data = training::TrainingData {
            name: "training".into(),
            title: "Fine-tuning loss".into(),
            caption: format!(
                "Mean cross-entropy over assistant tokens of each step's {} rows; thin: as logged, thick: smoothed. {} fine-tunes.",
                run.study.written.recipe.batch,
                runs.len()
            ),
            y_label: "loss (nats a token)".into(),
            runs,
        };
        written.push(training::draw(&data, &dir)?);
    }
    let mut files = Vec::new();
    for w in &written {
        for p in [&w.svg, &w.png, &w.csv] {
            if let Ok(rel) = p.strip_prefix(&run.out) {
                files.push(rel.to_string_lossy().into_owned());
            }
        }
    }
    let report = report(run, m, found, written);
    crate::report::write(&report, &run.out)?;
    files.extend(["report.html".to_string(), "report.md".to_string()]);
    Ok(files)
}

fn counts(run: &Run) -> String {
    let c = &run.study.concepts;
    format!(
        "{} persona and {} autonomy pairs",
        c[0].pairs.len(),
        c[1].pairs.len()
    )
}

fn coupling_data(run: &Run, m: &Measured) -> coupling::CouplingData {
    let c = &m.coupling;
    let layers: Vec<usize> = (0..run.model.decoder.layers()).collect();
    let value = |state: usize, l: usize| c.raw.value[[state, 0, 1, l]];
    let conditions = run
        .study
        .conditions
        .iter()
        .enumerate()
        .map(|(i, condition)| {
            let set = states_of(run, i);
            let mean = layers
                .iter()
                .map(|&l| {
                    let v = set.iter().map(|&s| value(s, l)).sum::<f64>() / set.len() as f64;
                    if let [only] = set[..] {
                        return Estimate::new(
                            v,
                            c.raw.lo[[only, 0, 1, l]],
                            c.raw.hi[[only, 0, 1, l]],
                        );
                    }
                    let draws = c.pair_draws.raw.dim().2;
                    let mut d: Vec<f64> = (0..draws)
                        .map(|d| {
                            let sum: f64 = set
                                .iter()
                                .map(|&s| c.pair_draws.raw[[s, l, d]] as f64)
                                .sum();
                            sum / set.len() as f64
                        })
                        .collect();
                    let iv = crate::stats::interval::percentile(&mut d, 0.95);
                    Estimate::new(v, iv.lo.min(v), iv.hi.max(v))
                })
                .collect();
            coupling::CouplingLine {
                condition: condition.name.clone(),
                mean,
                seeds: match set.len() {
                    1 => Vec::new(),
                    _ => set
                        .iter()
                        .map(|&s| layers.iter().map(|&l| value(s, l)).collect())
                        .collect(),
                },
                difference: match &m.to_base[i] {
                    None => Vec::new(),
                    Some(d) => (0..layers.len())
                        .map(|l| Estimate::new(d.value[l], d.lo[l], d.hi[l]))
                        .collect(),
                },
            }
        })
        .collect();
    let band = |f: &dyn Fn(usize) -> f64| layers.iter().map(|&l| f(l)).collect::<Vec<f64>>();
    coupling::CouplingData {
        name: "coupling".into(),
        title: "Persona-autonomy coupling by layer and condition".into(),
        caption: format!(
            "Cosine of mean-difference directions re-extracted in each model; {}; bands: 95 % cluster bootstrap over prompts (for differences of repeated conditions also over their fine-tunes). Grey: 95 % bands in base of label flips and of covariance-matched random directions. n = {} fine-tunes or prompted models beside base. Dashed: layers fixed beforehand.",
            counts(run),
            run.states().len() - 1
        ),
        y_label: "cos(persona, autonomy)".into(),
        difference_label: "difference to base".into(),
        chosen: m.layers.clone(),
        conditions,
        nulls: vec![
            coupling::NullBand {
                label: "label flips".into(),
                lo: band(&|l| c.flip_lo[[0, 0, 1, l]]),
                hi: band(&|l| c.flip_hi[[0, 0, 1, l]]),
            },
            coupling::NullBand {
                label: "random directions".into(),
                lo: band(&|l| c.random_lo[[0, 1, l]]),
                hi: band(&|l| c.random_hi[[0, 1, l]]),
            },
        ],
        layers,
    }
}

/// Index of the condition in focus: the causal one, or the first tuned.
fn focus(run: &Run) -> usize {
    let named = run
        .study
        .written
        .causal
        .as_ref()
        .map(|c| c.condition.as_str());
    let at = |n: &str| run.study.conditions.iter().position(|c| c.name == n);
    named
        .and_then(at)
        .unwrap_or(run.study.conditions.len().min(2) - 1)
}

fn heatmap_data(run: &Run, m: &Measured) -> concept_heatmap::HeatmapData {
    let n = run.study.concepts.len();
    let mut states = vec![0];
    let tuned = states_of(run, focus(run))[0];
    if tuned != 0 {
        states.push(tuned);
    }
    let panels = m
        .layers
        .iter()
        .flat_map(|&l| states.iter().map(move |&s| (l, s)))
        .map(|(l, s)| concept_heatmap::HeatmapPanel {
            layer: l,
            state: run.states()[s].id.clone(),
            cosine: (0..n)
                .map(|a| (0..n).map(|b| m.coupling.raw.value[[s, a, b, l]]).collect())
                .collect(),
        })
        .collect();
    concept_heatmap::HeatmapData {
        name: "concepts".into(),
        title: "Cosines between concept directions".into(),
        caption: format!(
            "Mean-difference directions at the layers fixed beforehand; {}, {} pairs of each placebo. Raw cosines, not corrected for reliability; intervals are in results.h5.",
            counts(run),
            run.study.written.sizes.placebo_pairs
        ),
        concepts: run.study.concepts.iter().map(|c| c.name.clone()).collect(),
        panels,
    }
}

fn shift_data(run: &Run, m: &Measured) -> shift::ShiftData {
    let mut points = Vec::new();
    for &l in &m.layers {
        for s in &m.shifts {
            let axes = [
                ("persona", DirectionSource::Base),
                ("autonomy", DirectionSource::Base),
                ("persona", DirectionSource::ReExtracted),
                ("autonomy", DirectionSource::ReExtracted),
            ];
            for (k, (direction, source)) in axes.into_iter().enumerate() {
                let e = &s.raw[l][k].rms_units;
                let mut point = shift::ShiftPoint {
                    layer: l,
                    condition: run.states()[s.state].id.clone(),
                    direction: direction.into(),
                    source,
                    form: ShiftForm::Raw,
                    projection: Estimate::new(e.value, e.interval.lo, e.interval.hi),
                };
                points.push(point.clone());
                if let Some(u) = &s.unshared {
                    point.form = ShiftForm::SharedRemoved;
                    point.projection = Estimate::point(u[l][k]);
                    points.push(point);
                }
            }
        }
    }
    shift::ShiftData {
        name: "shift".into(),
        title: "Shift of neutral responses along persona and autonomy".into(),
        caption: format!(
            "Mean change against base on {} identical neutral texts (response tokens), projected on unit directions, in units of the layer's RMS; bars: 95 % bootstrap over texts. Right: less the mean shift of the other identity fine-tunes (no interval).",
            run.study.neutral_texts.len()
        ),
        x_label: "projection (layer RMS)".into(),
        points,
    }
}

fn behaviour_data(run: &Run, m: &Measured) -> behaviour::BehaviourData {
    let cells = m
        .preferences
        .iter()
        .map(|s| behaviour::BehaviourCell {
            group: s.group.clone(),
            preference: s.preference.clone(),
            condition: s.condition.clone(),
            change: Estimate::new(
                s.estimate.value,
                s.estimate.interval.lo.min(s.estimate.value),
                s.estimate.interval.hi.max(s.estimate.value),
            ),
            implied: s.implied,
        })
        .collect();
    let reference = &run.study.conditions[m.reference].name;
    behaviour::BehaviourData {
        name: "behaviour".into(),
        title: format!("Preferences by condition, against {reference}"),
        caption: format!(
            "Stance log-odds (expressing less opposing completion, nats a token) less those of {reference}, paired by prompt; n = {} prompts a preference; bars: 95 % bootstrap over prompts, rough at this n. Hollow: the training text presupposes the preference.",
            run.study.written.sizes.prompts
        ),
        x_label: format!("log-odds less {reference} (nats a token)"),
        cells,
    }
}

fn claims_data(run: &Run, m: &Measured) -> Result<claims::ClaimsData, StudyError> {
    let study = run.study;
    let (draws, seed) = (study.written.draws.bootstrap, study.written.seed);
    let base = measure::condition_scores(run, 0, &m.scores);
    let mut conditions = Vec::new();
    let mut score = Vec::new();
    for (i, c) in study.conditions.iter().enumerate().skip(1) {
        let own = measure::condition_scores(run, i, &m.scores);
        let row = study
            .claims
            .iter()
            .map(|claim| {
                // A claim shares its name with its condition, never with a preference.
                let v = measure::shift_by_prompt(&own, &base, |n| n == claim.name);
                let (e, _) = measure::mean_with_p(&v, draws, seed)?;
                Ok(Estimate::new(
                    e.value,
                    e.interval.lo.min(e.value),
                    e.interval.hi.max(e.value),
                ))
            })
            .collect::<Result<Vec<_>, StudyError>>()?;
        conditions.push(c.name.clone());
        score.push(row);
    }
    Ok(claims::ClaimsData {
        name: "claims".into(),
        title: "Manipulation check: each model on each claim".into(),
        caption: format!(
            "Stance log-odds of each condition's claim less those of base, nats a token; n = {} prompts a claim, mean over fine-tunes.",
            study.written.sizes.claim_prompts
        ),
        value_label: "log-odds less base".into(),
        conditions,
        claims: study.claims.iter().map(|c| c.name.clone()).collect(),
        score,
    })
}

fn causal_data(run: &Run, m: &Measured) -> Result<CausalData, StudyError> {
    let Some(record) = &m.causal else {
        return Ok(CausalData {
            name: "causal".into(),
            title: String::new(),
            caption: String::new(),
            score_label: String::new(),
            remaining_label: String::new(),
            doses: Vec::new(),
            ablations: Vec::new(),
        });
    };
    let (draws, seed) = (run.study.written.draws.bootstrap, run.study.written.seed);
    // Doses are read against the undosed base, prompt by prompt.
    let change = |d: &crate::causal::Edited| -> Vec<f64> {
        d.scores
            .iter()
            .filter_map(|s| {
                let same = m.scores[0].iter().find(|b| b.0 == s.0 && b.1 == s.1)?;
                Some(s.2 - same.2)
            })
            .collect()
    };
    let n_dosed = record.doses.first().map_or(0, |d| d.scores.len());
    let estimate = |v: &[f64]| -> Result<Estimate, StudyError> {
        let (e, _) = measure::mean_with_p(v, draws, seed)?;
        Ok(Estimate::new(e.value, e.interval.lo, e.interval.hi))
    };
    let mut names: Vec<&str> = Vec::new();
    for d in &record.doses {
        if !names.contains(&d.edit.as_str()) {
            names.push(&d.edit);
        }
    }
    let mut doses = Vec::new();
    for name in names {
        let mut points = vec![(0.0, Estimate::new(0.0, 0.0, 0.0))];
        for d in record.doses.iter().filter(|d| d.edit == name) {
            points.push((d.alpha.unwrap_or(0.0), estimate(&change(d))?));
        }
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        doses.push(DoseCurve {
            direction: name.into(),
            random: name.starts_with("random"),
            alpha: points.iter().map(|p| p.0).collect(),
            score: points.iter().map(|p| p.1).collect(),
        });
    }
    let ablations = m
        .mediations
        .iter()
        .map(|x| Ablation {
            group: "isolated".into(),
            edit: match x.edit.as_str() {
                "none" => "no edit".into(),
                e => format!("ablate {e}"),
            },
            random: x.random,
            remaining: Estimate::new(
                x.remaining,
                x.remaining_interval.lo.min(x.remaining),
                x.remaining_interval.hi.max(x.remaining),
            ),
        })
        .collect();
    let n = m.mediations.first().map_or(0, |x| x.n_prompts);
    Ok(CausalData {
        name: "causal".into(),
        title: "Adding and removing directions".into(),
        caption: format!(
            "Left: base with alpha x layer RMS ({:.2}) of a direction added at layer {}: change of the stance, mean over {} prompts; bands: 95 % bootstrap over prompts; grey: covariance-matched random directions. Right: shift of {} against {} over {n} prompts of isolated preferences, with directions projected out at every layer.",
            record.layer_rms,
            record.layer,
            n_dosed,
            record.state,
            record.reference_state
        ),
        score_label: "change of stance log-odds (nats a token)".into(),
        remaining_label: "shift remaining (nats a token)".into(),
        doses,
        ablations,
    })
}

fn directions_data(run: &Run, m: &Measured) -> directions::DirectionsData {
    let layers: Vec<usize> = (0..run.model.decoder.layers()).collect();
    let concepts = run
        .study
        .concepts
        .iter()
        .enumerate()
        .map(|(k, c)| directions::ConceptQuality {
            concept: c.name.clone(),
            auroc: layers
                .iter()
                .map(|&l| {
                    let q = &m.quality[0][k][l];
                    let (lo, hi) = (q.auroc_interval.lo, q.auroc_interval.hi);
                    Estimate::new(q.auroc, lo.min(q.auroc), hi.max(q.auroc))
                })
                .collect(),
            reliability: layers
                .iter()
                .map(|&l| Estimate::point(m.quality[0][k][l].reliability))
                .collect(),
        })
        .collect();
    directions::DirectionsData {
        name: "directions".into(),
        title: "Quality of the directions in base".into(),
        caption: format!(
            "Held-out AUROC (template and prompt held out), bands: 95 % bootstrap over prompts; split-half reliability, Spearman-Brown, 100 splits. {}, {} pairs of each placebo.",
            counts(run),
            run.study.written.sizes.placebo_pairs
        ),
        layers,
        chosen: m.layers.clone(),
        concepts,
    }
}

fn training_runs(run: &Run) -> Result<Vec<training::TrainingRun>, StudyError> {
    let mut runs = Vec::new();
    for s in run.states() {
        let path = run.out.join("adapters").join(&s.id).join("training.jsonl");
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        let steps: Vec<crate::finetune::Step> = text
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()
            .map_err(|e| StudyError::Stage {
                path: path.clone(),
                why: e.to_string(),
            })?;
        runs.push(training::TrainingRun {
            condition: run.study.conditions[s.condition].name.clone(),
            seed: s.seed,
            step: steps.iter().map(|x| x.step as u64).collect(),
            loss: steps.iter().map(|x| x.loss).collect(),
        });
    }
    Ok(runs)
}

fn report(run: &Run, m: &Measured, found: &Findings, written: Vec<Written>) -> ReportData {
    let study = run.study;
    let n_layers = run.model.decoder.layers();
    let at = |l: usize| format!("{:.2}", m.coupling.raw.value[[0, 0, 1, l]]);
    let concept = |name: &str| study.concepts.iter().position(|c| c.name == name);
    let mut references = Vec::new();
    let mid = m.layers[0];
    if let Some(t) = concept("toaster-identity") {
        references.push(ReferencePoint {
            quantity: "cos(persona, toaster identity) at middle depth".into(),
            earlier: "about .14".into(),
            source: "earlier work on open models".into(),
            ours: format!(
                "{:+.2} (layer {mid}, base)",
                m.coupling.raw.value[[0, 0, t, mid]]
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
            .map(|&l| format!("{:+.2} (layer {l})", m.stability[tuned][l]))
            .collect::<Vec<_>>()
            .join(", "),
    });
    references.push(ReferencePoint {
        quantity: "linear CKA of base and fine-tune on neutral text".into(),
        earlier: ">= .998 until late layers".into(),
        source: "earlier work on open models".into(),
        ours: m
            .layers
            .iter()
            .map(|&l| format!("{:.4} (layer {l})", m.cka[tuned][l]))
            .collect::<Vec<_>>()
            .join(", "),
    });
    if let (Some(cos), true) = (&m.shift_cosine, m.reference > 0) {
        let index = |state: usize| m.shifts.iter().position(|s| s.state == state);
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
                caption: "Estimates with 95 % intervals; nulls and n beside them. Coupling is the raw cosine; the form relative to its ceiling, cleaned and whitened forms are in results.h5.".into(),
                columns: columns(&["quantity", "estimate", "95 % interval", "null or test", "n"]),
                rows: found.rows.iter().map(|r| r.to_vec()).collect(),
            },
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
            file("distilled.jsonl", "the neutral rows, answered by the base model itself"),
            file("causal.json", "scores under every intervention"),
            file("findings.json", "this report's findings"),
            file("manifest.json", "resolved configuration, seeds, versions, hardware, digests, timings"),
        ],
    }
}
