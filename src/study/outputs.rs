//! The end of a study: tables and `results.h5`, the findings in sentences, figures and report.

use super::measure::{self, PreferenceShift, Scores, StateActs};
use super::run::{Run, POSITIONS};
use super::{draw, StudyError};
use crate::causal::Mediation;
use crate::directions::Quality;
use crate::geometry::shift::{
    between_poles, mean_shift, project, without_shared, OnDirection, ShiftInput, ShiftOptions,
};
use crate::geometry::stability::{direction_cosines, linear_cka};
use crate::geometry::{contrast, Contrast, Coupling, Over};
use crate::stats::bootstrap::Estimate;
use crate::store::atomic;
use ndarray::{s, Array2, Array3, Array4};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::Path;

/// What was found, for the terminal and the report.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Findings {
    /// Rows of the closing table: what, estimate, interval, null or p, n.
    pub rows: Vec<[String; 5]>,
    pub sentences: Vec<String>,
    pub warnings: Vec<String>,
}

const FILE: &str = "findings.json";

impl Findings {
    /// The findings of a finished run.
    pub fn read(out: &Path) -> Result<Self, StudyError> {
        let path = out.join(FILE);
        let text = std::fs::read_to_string(&path).map_err(|source| StudyError::Read {
            path: path.clone(),
            source,
        })?;
        serde_json::from_str(&text).map_err(|e| StudyError::Stage {
            path,
            why: e.to_string(),
        })
    }
}

/// Shift of one state: projections by layer on persona and autonomy.
pub struct StateShift {
    pub state: usize,
    /// `[layer]` on base persona, base autonomy, own persona, own autonomy.
    pub raw: Vec<Vec<OnDirection>>,
    /// The same of the shift less the mean of the other identity fine-tunes, in layer RMS.
    pub unshared: Option<Vec<[f64; 4]>>,
    /// `[layer]` movement between the persona poles of base.
    pub poles: Vec<crate::geometry::shift::BetweenPoles>,
    pub mean: Array2<f64>,
}

/// Everything that is reported.
pub struct Measured {
    pub layers: Vec<usize>,
    pub coupling: Coupling,
    pub quality: Vec<Vec<Vec<Quality>>>,
    pub shifts: Vec<StateShift>,
    pub shift_cosine: Option<Array3<f64>>,
    /// `[state][layer]` cosine of the persona direction with base's; CKA with base.
    pub stability: Vec<Vec<f64>>,
    pub cka: Vec<Vec<f64>>,
    pub scores: Vec<Scores>,
    /// Each condition but the reference, against it.
    pub preferences: Vec<PreferenceShift>,
    pub reference: usize,
    /// dK of each condition against base, `[condition]`.
    pub to_base: Vec<Option<Contrast>>,
    pub mediations: Vec<Mediation>,
    pub causal: Option<measure::CausalRecord>,
}

fn measured(run: &Run) -> Result<Measured, StudyError> {
    let n = run.states().len();
    let acts = (0..n)
        .map(|i| StateActs::read(run, i))
        .collect::<Result<Vec<_>, _>>()?;
    let coupling = measure::all_coupling(run, &acts)?;
    let w = &run.study.written;
    let quality = acts
        .iter()
        .enumerate()
        .map(|(i, a)| measure::all_quality(run, a, if i == 0 { w.draws.bootstrap } else { 200 }))
        .collect::<Result<Vec<_>, _>>()?;
    let clusters: Vec<usize> = (0..run.study.neutral_texts.len()).collect();
    let options = ShiftOptions {
        draws: w.draws.bootstrap,
        seed: w.seed,
        ..ShiftOptions::default()
    };
    let base = &acts[0];
    let tuned: Vec<usize> = (1..n).collect();
    let mut shifts = Vec::new();
    for &state in &tuned {
        let input = ShiftInput {
            tuned: acts[state].neutral[0].view(),
            base: base.neutral[0].view(),
            clusters: &clusters,
        };
        let axes = [
            base.direction(0),
            base.direction(1),
            acts[state].direction(0),
            acts[state].direction(1),
        ];
        let views: Vec<_> = axes.iter().map(|a| a.view()).collect();
        let (negative, positive) = (base.pole(0, false), base.pole(0, true));
        shifts.push(StateShift {
            state,
            raw: project(&input, &views, options)?,
            unshared: None,
            poles: between_poles(&input, negative.view(), positive.view(), options)?,
            mean: mean_shift(&input)?,
        });
    }
    let means: Vec<Array2<f64>> = shifts.iter().map(|s| s.mean.clone()).collect();
    let identity: Vec<usize> = shifts
        .iter()
        .enumerate()
        .filter(|(_, s)| run.study.conditions[run.states()[s.state].condition].identity)
        .map(|(i, _)| i)
        .collect();
    let rms = crate::geometry::shift::layer_rms(base.neutral[0].view());
    if identity.len() > 1 {
        let rest = without_shared(&means, &identity)?;
        for (i, rest) in rest
            .iter()
            .enumerate()
            .filter(|(i, _)| identity.contains(i))
        {
            let state = shifts[i].state;
            let axes = [
                base.direction(0),
                base.direction(1),
                acts[state].direction(0),
                acts[state].direction(1),
            ];
            let by_layer = (0..rms.len())
                .map(|l| {
                    std::array::from_fn(|k| {
                        let v = axes[k].row(l);
                        rest.row(l).dot(&v) / v.dot(&v).sqrt() / rms[l]
                    })
                })
                .collect();
            shifts[i].unshared = Some(by_layer);
        }
    }
    let shift_cosine = match means.len() > 1 {
        true => Some(crate::geometry::shift::shift_cosines(&means)?),
        false => None,
    };
    let persona = base.direction(0);
    let mut stability = Vec::new();
    let mut cka = Vec::new();
    for a in &acts {
        stability.push(direction_cosines(persona.view(), a.direction(0).view())?);
        let c = linear_cka(base.neutral[0].view(), a.neutral[0].view())?;
        cka.push(c.into_iter().map(|c| c.biased).collect());
    }
    let scores = (0..n)
        .map(|i| measure::prompt_scores(run, i))
        .collect::<Result<Vec<_>, _>>()?;
    let reference = match &w.causal {
        Some(c) => run
            .study
            .conditions
            .iter()
            .position(|o| o.name == c.reference)
            .unwrap_or(0),
        None => run
            .study
            .conditions
            .iter()
            .position(|o| o.name == "denial")
            .unwrap_or(0),
    };
    let reference_scores = measure::condition_scores(run, reference, &scores);
    let mut preferences = Vec::new();
    for (i, c) in run
        .study
        .conditions
        .iter()
        .enumerate()
        .filter(|(i, _)| *i != reference)
    {
        let own = measure::condition_scores(run, i, &scores);
        preferences.extend(measure::preference_shifts(
            run,
            &c.name,
            (&own, &reference_scores),
        )?);
    }
    let value = coupling.raw.value.slice(s![.., 0, 1, ..]).to_owned();
    let to_base = (0..run.study.conditions.len())
        .map(|c| {
            if c == 0 {
                return Ok(None);
            }
            let set = states_of(run, c);
            let over = if set.len() > 1 {
                Over::PromptsAndSeeds
            } else {
                Over::Prompts
            };
            let draws = coupling.pair_draws.raw.view();
            Ok(Some(contrast(
                value.view(),
                draws,
                (&set, &[0]),
                over,
                0.95,
                w.seed,
            )?))
        })
        .collect::<Result<Vec<_>, StudyError>>()?;
    let causal = measure::causal_record(run)?;
    let mediations = match &causal {
        Some(record) => measure::mediations(run, record, &scores),
        None => Vec::new(),
    };
    Ok(Measured {
        layers: measure::reported_layers(run),
        coupling,
        quality,
        shifts,
        shift_cosine,
        stability,
        cka,
        scores,
        preferences,
        reference,
        to_base,
        mediations,
        causal,
    })
}

/// States of a condition.
pub fn states_of(run: &Run, condition: usize) -> Vec<usize> {
    let of = |(i, s): (usize, &super::stages::State)| (s.condition == condition).then_some(i);
    run.states().iter().enumerate().filter_map(of).collect()
}

/// Writes tables, `results.h5`, figures and report; returns the findings and the files written.
pub fn write(run: &Run) -> Result<(Findings, Vec<String>), StudyError> {
    let m = measured(run)?;
    let mut files = store(run, &m)?;
    let findings = findings(run, &m)?;
    let text = serde_json::to_vec_pretty(&findings).unwrap_or_default();
    atomic::write(&run.out.join(FILE), &text)?;
    files.push(FILE.into());
    files.extend(draw::all(run, &m, &findings)?);
    Ok((findings, files))
}

fn store(run: &Run, m: &Measured) -> Result<Vec<String>, StudyError> {
    let path = run.out.join("results.h5");
    let mut h5 = crate::store::ResultsWriter::create(&path, &run.attrs())?;
    let (study, states) = (run.study, run.states());
    let text = |v: Vec<&str>| v.into_iter().map(str::to_string).collect::<Vec<String>>();
    h5.coord(
        "state",
        text(states.iter().map(|s| s.id.as_str()).collect()),
    )?;
    h5.coord(
        "layer",
        (0..run.model.decoder.layers()).collect::<Vec<usize>>(),
    )?;
    h5.coord(
        "concept",
        text(study.concepts.iter().map(|c| c.name.as_str()).collect()),
    )?;
    h5.coord(
        "preference",
        text(study.battery.iter().map(|p| p.name.as_str()).collect()),
    )?;
    h5.coord(
        "position",
        POSITIONS
            .iter()
            .map(|p| p.to_string())
            .collect::<Vec<String>>(),
    )?;
    h5.coord(
        "condition",
        text(study.conditions.iter().map(|c| c.name.as_str()).collect()),
    )?;
    h5.coord(
        "hidden",
        (0..run.model.decoder.hidden()).collect::<Vec<usize>>(),
    )?;
    h5.coord("estimator", vec!["mean-diff".to_string()])?;

    let pair = ["state", "concept_a", "concept_b", "layer"];
    let c = &m.coupling;
    for (name, a) in [
        ("cosine", &c.raw.value),
        ("ci_lo", &c.raw.lo),
        ("ci_hi", &c.raw.hi),
        ("relative", &c.raw.relative),
        ("relative_lo", &c.raw.relative_lo),
        ("relative_hi", &c.raw.relative_hi),
        ("cleaned", &c.cleaned.value),
        ("cleaned_lo", &c.cleaned.lo),
        ("cleaned_hi", &c.cleaned.hi),
        ("whitened", &c.whitened.value),
        ("whitened_lo", &c.whitened.lo),
        ("whitened_hi", &c.whitened.hi),
        ("null_flip_lo", &c.flip_lo),
        ("null_flip_hi", &c.flip_hi),
        ("p_flip", &c.p_flip),
        ("q_flip", &c.q_flip),
        ("p_random", &c.p_random),
        ("q_random", &c.q_random),
    ] {
        h5.array("geometry", name, &pair, a.view().into_dyn())?;
    }
    h5.csv(
        "geometry",
        "coupling",
        &[
            "cosine",
            "ci_lo",
            "ci_hi",
            "relative",
            "null_flip_lo",
            "null_flip_hi",
            "p_flip",
            "q_flip",
            "p_random",
            "q_random",
        ],
    )?;
    let by = ["state", "concept", "layer"];
    h5.array(
        "geometry",
        "null_random_lo",
        &by,
        c.random_lo.view().into_dyn(),
    )?;
    h5.array(
        "geometry",
        "null_random_hi",
        &by,
        c.random_hi.view().into_dyn(),
    )?;
    let (n, nl, nc) = (
        states.len(),
        run.model.decoder.layers(),
        study.concepts.len(),
    );
    let flat = |f: &dyn Fn(usize, usize) -> f64| Array2::from_shape_fn((n, nl), |(i, l)| f(i, l));
    let two = ["state", "layer"];
    let cka = flat(&|i, l| m.cka[i][l]);
    h5.array("geometry", "cka", &two, cka.view().into_dyn())?;
    let stable = flat(&|i, l| m.stability[i][l]);
    h5.array(
        "geometry",
        "persona_cosine_with_base",
        &two,
        stable.view().into_dyn(),
    )?;
    let mut shift = Array4::from_elem((n, 4, 3, nl), f64::NAN);
    let mut unshared = Array3::from_elem((n, 4, nl), f64::NAN);
    let mut move_t = Array3::from_elem((n, 3, nl), f64::NAN);
    for s in &m.shifts {
        for l in 0..nl {
            for k in 0..4 {
                let on = &s.raw[l][k].rms_units;
                for (j, v) in [on.value, on.interval.lo, on.interval.hi]
                    .into_iter()
                    .enumerate()
                {
                    shift[[s.state, k, j, l]] = v;
                }
                if let Some(u) = &s.unshared {
                    unshared[[s.state, k, l]] = u[l][k];
                }
            }
            let t = &s.poles[l].change;
            for (j, v) in [t.value, t.interval.lo, t.interval.hi]
                .into_iter()
                .enumerate()
            {
                move_t[[s.state, j, l]] = v;
            }
        }
    }
    h5.coord(
        "axis",
        text(vec![
            "persona-base",
            "autonomy-base",
            "persona-own",
            "autonomy-own",
        ]),
    )?;
    h5.coord("bound", text(vec!["value", "ci_lo", "ci_hi"]))?;
    h5.array(
        "geometry",
        "shift",
        &["state", "axis", "bound", "layer"],
        shift.view().into_dyn(),
    )?;
    h5.array(
        "geometry",
        "shift_unshared",
        &["state", "axis", "layer"],
        unshared.view().into_dyn(),
    )?;
    h5.array(
        "geometry",
        "persona_coordinate_change",
        &["state", "bound", "layer"],
        move_t.view().into_dyn(),
    )?;
    h5.csv("geometry", "shift", &["shift"])?;
    if let Some(cos) = &m.shift_cosine {
        h5.coord(
            "tuned",
            text(
                m.shifts
                    .iter()
                    .map(|s| states[s.state].id.as_str())
                    .collect(),
            ),
        )?;
        let dims = ["tuned_a", "tuned_b", "layer"];
        h5.array("geometry", "shift_cosine", &dims, cos.view().into_dyn())?;
    }

    let mut units = Array4::<f32>::zeros((n, nc, nl, run.model.decoder.hidden()));
    let mut norms = Array3::<f64>::zeros((n, nc, nl));
    for i in 0..n {
        let acts = StateActs::read(run, i)?;
        for k in 0..nc {
            let d = acts.direction(k);
            for (l, row) in d.rows().into_iter().enumerate() {
                let norm = row.dot(&row).sqrt();
                norms[[i, k, l]] = norm;
                let unit = row.mapv(|v| (v / norm) as f32);
                units.slice_mut(s![i, k, l, ..]).assign(&unit);
            }
        }
    }
    let vectors = units.insert_axis(ndarray::Axis(2)); // (state, concept, estimator, layer, hidden)
    h5.array(
        "directions",
        "unit",
        &["state", "concept", "estimator", "layer", "hidden"],
        vectors.view().into_dyn(),
    )?;
    h5.array("directions", "raw_norm", &by, norms.view().into_dyn())?;
    let q = |f: &dyn Fn(&Quality) -> f64| {
        Array3::from_shape_fn((n, nc, nl), |(i, k, l)| f(&m.quality[i][k][l]))
    };
    for (name, a) in [
        ("auroc", q(&|q| q.auroc)),
        ("auroc_lo", q(&|q| q.auroc_interval.lo)),
        ("auroc_hi", q(&|q| q.auroc_interval.hi)),
        ("reliability", q(&|q| q.reliability)),
        ("norm_over_rms", q(&|q| q.relative_norm)),
    ] {
        h5.array("directions", name, &by, a.view().into_dyn())?;
    }
    h5.attr(
        "directions",
        "sign_rule",
        "positive responses project higher",
    )?;
    h5.csv(
        "directions",
        "quality",
        &[
            "auroc",
            "auroc_lo",
            "auroc_hi",
            "reliability",
            "raw_norm",
            "norm_over_rms",
        ],
    )?;

    let np = study.battery.len();
    let mut score = Array3::from_elem((n, np, 3), f64::NAN);
    for (i, s) in m.scores.iter().enumerate() {
        for (j, p) in study.battery.iter().enumerate() {
            let v: Vec<f64> = s.iter().filter(|r| r.0 == p.name).map(|r| r.2).collect();
            let (e, _) =
                measure::mean_with_p(&v, study.written.draws.bootstrap, study.written.seed)?;
            score[[i, j, 0]] = e.value;
            score[[i, j, 1]] = e.interval.lo;
            score[[i, j, 2]] = e.interval.hi;
        }
    }
    h5.array(
        "behaviour",
        "score",
        &["state", "preference", "bound"],
        score.view().into_dyn(),
    )?;
    let mut columns: [Vec<String>; 5] = Default::default();
    let mut numbers: [Vec<f64>; 5] = Default::default();
    for s in &m.preferences {
        columns[0].push(s.condition.clone());
        columns[1].push(s.preference.clone());
        columns[2].push(s.group.clone());
        columns[3].push(if s.implied { "implied" } else { "isolated" }.into());
        columns[4].push(study.conditions[m.reference].name.clone());
        let e = &s.estimate;
        for (v, x) in numbers
            .iter_mut()
            .zip([e.value, e.interval.lo, e.interval.hi, s.p, s.q])
        {
            v.push(x);
        }
    }
    let n_prompts: Vec<usize> = m.preferences.iter().map(|s| s.estimate.n).collect();
    let [condition, preference, group, status, reference] = columns;
    let [shift, lo, hi, p, q] = numbers;
    h5.table(
        "behaviour",
        "shifts",
        &[
            ("condition", condition.into()),
            ("reference", reference.into()),
            ("preference", preference.into()),
            ("group", group.into()),
            ("status", status.into()),
            ("shift", shift.into()),
            ("ci_lo", lo.into()),
            ("ci_hi", hi.into()),
            ("p", p.into()),
            ("q", q.into()),
            ("n_prompts", n_prompts.into()),
        ],
    )?;
    if !m.mediations.is_empty() {
        let f = |f: &dyn Fn(&Mediation) -> f64| m.mediations.iter().map(f).collect::<Vec<f64>>();
        let edits: Vec<String> = m.mediations.iter().map(|x| x.edit.clone()).collect();
        let n: Vec<usize> = m.mediations.iter().map(|x| x.n_prompts).collect();
        h5.table(
            "causal",
            "ablation",
            &[
                ("edit", edits.into()),
                ("remaining", f(&|x| x.remaining).into()),
                ("ci_lo", f(&|x| x.remaining_interval.lo).into()),
                ("ci_hi", f(&|x| x.remaining_interval.hi).into()),
                ("share", f(&|x| x.share).into()),
                ("share_lo", f(&|x| x.share_interval.lo).into()),
                ("share_hi", f(&|x| x.share_interval.hi).into()),
                ("n_prompts", n.into()),
            ],
        )?;
    }
    if let Some(c) = &m.causal {
        let mean = |e: &crate::causal::Edited| {
            e.scores.iter().map(|s| s.2).sum::<f64>() / e.scores.len() as f64
        };
        let edits: Vec<String> = c.doses.iter().map(|d| d.edit.clone()).collect();
        let col =
            |f: &dyn Fn(&crate::causal::Edited) -> f64| c.doses.iter().map(f).collect::<Vec<f64>>();
        h5.table(
            "causal",
            "dose",
            &[
                ("direction", edits.into()),
                ("alpha", col(&|d| d.alpha.unwrap_or(0.0)).into()),
                ("score", col(&mean).into()),
                ("kl", col(&|d| d.kl).into()),
                ("perplexity", col(&|d| d.perplexity).into()),
            ],
        )?;
    }
    for (i, s) in states.iter().enumerate() {
        let condition = &study.conditions[s.condition].name;
        let group = format!("activations/{condition}/{}", s.seed);
        h5.external_link(&group, &run.activations(i), &group)?;
    }
    h5.finish()?;
    Ok(vec!["results.h5".into()])
}

fn findings(run: &Run, m: &Measured) -> Result<Findings, StudyError> {
    let mut f = Findings::default();
    let study = run.study;
    let n_pairs = study.concepts[0].pairs.len();
    let show = |v: f64, lo: f64, hi: f64| (format!("{v:+.2}"), format!("[{lo:+.2}, {hi:+.2}]"));
    for &l in &m.layers {
        for (c, condition) in study.conditions.iter().enumerate() {
            let set = states_of(run, c);
            let k: Vec<f64> = set
                .iter()
                .map(|&i| m.coupling.raw.value[[i, 0, 1, l]])
                .collect();
            let value = k.iter().sum::<f64>() / k.len() as f64;
            let i = set[0];
            let (v, ci) = match (&m.to_base[c], set.len()) {
                (_, 1) => show(
                    value,
                    m.coupling.raw.lo[[i, 0, 1, l]],
                    m.coupling.raw.hi[[i, 0, 1, l]],
                ),
                _ => {
                    let draws = (0..m.coupling.pair_draws.raw.dim().2).map(|d| {
                        set.iter()
                            .map(|&i| m.coupling.pair_draws.raw[[i, l, d]] as f64)
                            .sum::<f64>()
                            / set.len() as f64
                    });
                    let iv = crate::stats::interval::percentile(&mut draws.collect(), 0.95);
                    show(value, iv.lo, iv.hi)
                }
            };
            let null = format!(
                "random [{:+.2}, {:+.2}], q {:.3}",
                m.coupling.random_lo[[i, 1, l]],
                m.coupling.random_hi[[i, 1, l]],
                m.coupling.q_random[[i, 0, 1, l]]
            );
            f.rows.push([
                format!("coupling, layer {l}, {}", condition.name),
                v,
                ci,
                null,
                format!(
                    "{n_pairs}+{} pairs, {} model(s)",
                    study.concepts[1].pairs.len(),
                    set.len()
                ),
            ]);
        }
    }
    let verdict = |lo: f64, hi: f64| {
        if lo > 0.0 {
            "higher"
        } else if hi < 0.0 {
            "lower"
        } else {
            "not distinguishable"
        }
    };
    if let Some(t) = study.written.causal.as_ref().map(|c| c.condition.clone()) {
        let ti = study
            .conditions
            .iter()
            .position(|c| c.name == t)
            .unwrap_or(0);
        for (what, against) in [
            ("base", 0),
            (study.conditions[m.reference].name.as_str(), m.reference),
        ] {
            if against == ti {
                continue;
            }
            let value = m.coupling.raw.value.slice(s![.., 0, 1, ..]).to_owned();
            let (set, other) = (states_of(run, ti), states_of(run, against));
            let over = if set.len() > 1 {
                Over::PromptsAndSeeds
            } else {
                Over::Prompts
            };
            let c = contrast(
                value.view(),
                m.coupling.pair_draws.raw.view(),
                (&set, &other),
                over,
                0.95,
                study.written.seed,
            )?;
            for &l in &m.layers {
                let (v, ci) = show(c.value[l], c.lo[l], c.hi[l]);
                f.sentences.push(format!(
                    "Layer {l}: the persona-autonomy cosine of {t} is {} from {what}'s: difference {v}, 95 % {ci} over prompts{}, p = {:.3} (max-T over layers {:.3}); {} against {} model(s).",
                    match verdict(c.lo[l], c.hi[l]) { "not distinguishable" => "not distinguishable", x => if x == "higher" { "different (higher)" } else { "different (lower)" } },
                    if set.len() > 1 { " and seeds" } else { "" },
                    c.p[l], c.p_max[l], set.len(), other.len(),
                ));
                f.rows.push([
                    format!("coupling, layer {l}, {t} - {what}"),
                    v,
                    ci,
                    format!("p {:.3}, max-T {:.3}", c.p[l], c.p_max[l]),
                    format!("{} vs {} model(s)", set.len(), other.len()),
                ]);
            }
        }
        // Behaviour on isolated preferences, and on the claim.
        let (draws, seed) = (study.written.draws.bootstrap, study.written.seed);
        let own = measure::condition_scores(run, ti, &m.scores);
        let reference = measure::condition_scores(run, m.reference, &m.scores);
        let keep = |name: &str| {
            let known = study.battery.iter().find(|p| p.name == name);
            known.is_some_and(|p| !measure::implied(p, &t))
        };
        let rname = &study.conditions[m.reference].name;
        let mut report =
            |what: &str, values: Vec<f64>| -> Result<Option<(Estimate, f64)>, StudyError> {
                if values.is_empty() {
                    return Ok(None);
                }
                let (e, p) = measure::mean_with_p(&values, draws, seed)?;
                let (v, ci) = show(e.value, e.interval.lo, e.interval.hi);
                f.rows.push([
                    format!("{what}, {t} - {rname}"),
                    v,
                    ci,
                    format!("sign-flip p {p:.4}"),
                    format!("{} prompts", e.n),
                ]);
                Ok(Some((e, p)))
            };
        let claim = measure::shift_by_prompt(&own, &reference, |n| n == t);
        let claimed = report("own claim", claim)?;
        let isolated = report(
            "isolated preferences",
            measure::shift_by_prompt(&own, &reference, keep),
        )?;
        if let Some((e, p)) = claimed {
            f.sentences.push(format!(
                "Manipulation check: {t} is {} on its own claim than {rname}: {:+.2} nats a token, 95 % [{:+.2}, {:+.2}], p = {p:.4}, n = {} prompts.",
                verdict(e.interval.lo, e.interval.hi), e.value, e.interval.lo, e.interval.hi, e.n
            ));
        }
        if let Some((e, p)) = isolated {
            f.sentences.push(format!(
                "Preferences the training text does not presuppose: {t} against {rname} moves by {:+.3} nats a token on average, 95 % [{:+.3}, {:+.3}], p = {p:.4}, n = {} prompts: {}.",
                e.value, e.interval.lo, e.interval.hi, e.n,
                match verdict(e.interval.lo, e.interval.hi) {
                    "higher" => "towards the cluster",
                    "lower" => "away from the cluster",
                    _ => "no shift that can be told from zero",
                }
            ));
        }
        let own: Vec<&PreferenceShift> = m
            .preferences
            .iter()
            .filter(|s| s.condition == t && !s.implied)
            .collect();
        let up = own.iter().filter(|s| s.estimate.interval.lo > 0.0).count();
        let down = own.iter().filter(|s| s.estimate.interval.hi < 0.0).count();
        f.sentences.push(format!(
            "Of {} isolated preferences, {up} have an interval above zero and {down} below, before correction ({} at q < .05); with few prompts a preference these intervals are rough.",
            own.len(),
            own.iter().filter(|s| s.q < 0.05).count()
        ));
    }
    let share = |edit: &str| m.mediations.iter().find(|x| x.edit == edit);
    if let (Some(total), Some(p)) = (share("none"), share("persona")) {
        let random: Vec<f64> = m
            .mediations
            .iter()
            .filter(|x| x.random)
            .map(|x| x.remaining)
            .collect();
        let above = random
            .iter()
            .filter(|r| (total.remaining - **r).abs() >= (total.remaining - p.remaining).abs())
            .count();
        let pv = (1 + above) as f64 / (1 + random.len()) as f64;
        for x in m.mediations.iter().filter(|x| !x.random) {
            let (v, ci) = show(
                x.remaining,
                x.remaining_interval.lo,
                x.remaining_interval.hi,
            );
            f.rows.push([
                format!("shift left, ablating {}", x.edit),
                v,
                ci,
                match x.edit.as_str() {
                    "persona" => format!("random-direction p {pv:.2}"),
                    _ => String::new(),
                },
                format!("{} prompts, 1 model", x.n_prompts),
            ]);
        }
        f.sentences.push(format!(
            "Projecting the re-extracted persona direction out at every layer leaves {:+.3} of a shift of {:+.3}; share taken {:.0} %, 95 % [{:.0}, {:.0}] %; {above} of {} covariance-matched random directions take at least as much (p = {pv:.2}), so this is {}.",
            p.remaining, total.remaining, 100.0 * p.share, 100.0 * p.share_interval.lo, 100.0 * p.share_interval.hi, random.len(),
            if pv <= 0.05 { "more than random directions do" } else { "not shown to be more than random directions do" }
        ));
        if total.remaining_interval.contains(0.0) {
            f.warnings.push("The total shift's interval contains zero: a share of it is not meaningful; read the remaining shifts instead.".into());
        }
        if random.len() < 19 {
            f.warnings.push(format!(
                "{} random directions: the smallest p they can give is {:.2}.",
                random.len(),
                1.0 / (1.0 + random.len() as f64)
            ));
        }
    }
    for c in study
        .conditions
        .iter()
        .filter(|c| matches!(c.source, super::manifest::Source::Data { .. }) && c.seeds.len() < 3)
    {
        f.warnings.push(format!("Condition {}: {} fine-tune(s); claims about the condition, not this model, need at least 3 seeds.", c.name, c.seeds.len()));
    }
    let mut seen = BTreeSet::new();
    for (k, concept) in study.concepts.iter().enumerate() {
        for &l in &m.layers {
            for w in &m.quality[0][k][l].warnings {
                let kind = format!("{w:?}")
                    .split([' ', '{', '('])
                    .next()
                    .unwrap_or_default()
                    .to_string();
                if seen.insert((concept.name.clone(), kind)) {
                    f.warnings
                        .push(format!("{} in base, layer {l}: {w}.", concept.name));
                }
            }
        }
    }
    Ok(f)
}
