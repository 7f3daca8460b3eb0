//! `results.h5` and its CSVs: every number of the report, with named dimensions.

use super::acts::StateActs;
use super::cause::judged;
use super::measure::Measured;
use super::run::{Run, POSITIONS};
use super::scores::mean_with_p;
use super::StudyError;
use crate::causal::{Edited, Mediation};
use crate::directions::Quality;
use crate::stats::bootstrap::Estimate;
use crate::store::ResultsWriter;
use ndarray::{s, Array2, Array3, Array4, Axis};

/// Axes that shifts are projected on, in the order of `StateShift::raw`.
const AXES: [&str; 4] = [
    "persona-base",
    "autonomy-base",
    "persona-own",
    "autonomy-own",
];

/// Writes all tables; returns the files below the run folder.
pub fn write(run: &Run, m: &Measured) -> Result<Vec<String>, StudyError> {
    let mut h5 = ResultsWriter::create(&run.out.join("results.h5"), &run.attrs())?;
    coords(run, &mut h5)?;
    coupling(m, &mut h5)?;
    shifts(run, m, &mut h5)?;
    directions(run, m, &mut h5)?;
    behaviour(run, m, &mut h5)?;
    causal(m, &mut h5)?;
    for (i, s) in run.states().iter().enumerate() {
        let condition = &run.study.conditions[s.condition].name;
        let group = format!("activations/{condition}/{}", s.seed);
        h5.external_link(&group, &run.activations(i), &group)?;
    }
    h5.finish()?;
    Ok(vec!["results.h5".into()])
}

fn names<'a>(v: impl Iterator<Item = &'a str>) -> Vec<String> {
    v.map(str::to_string).collect()
}

fn coords(run: &Run, h5: &mut ResultsWriter) -> Result<(), StudyError> {
    let (study, decoder) = (run.study, &run.model.decoder);
    h5.coord("state", names(run.states().iter().map(|s| s.id.as_str())))?;
    h5.coord("layer", (0..decoder.layers()).collect::<Vec<usize>>())?;
    h5.coord(
        "concept",
        names(study.concepts.iter().map(|c| c.name.as_str())),
    )?;
    h5.coord(
        "preference",
        names(study.battery.iter().map(|p| p.name.as_str())),
    )?;
    h5.coord(
        "position",
        POSITIONS.iter().map(|p| p.to_string()).collect::<Vec<_>>(),
    )?;
    h5.coord(
        "condition",
        names(study.conditions.iter().map(|c| c.name.as_str())),
    )?;
    h5.coord("hidden", (0..decoder.hidden()).collect::<Vec<usize>>())?;
    h5.coord("estimator", names(["mean-diff"].into_iter()))?;
    h5.coord("axis", names(AXES.into_iter()))?;
    h5.coord("bound", names(["value", "ci_lo", "ci_hi"].into_iter()))?;
    Ok(())
}

fn coupling(m: &Measured, h5: &mut ResultsWriter) -> Result<(), StudyError> {
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
    Ok(())
}

fn shifts(run: &Run, m: &Measured, h5: &mut ResultsWriter) -> Result<(), StudyError> {
    let states = run.states();
    let (n, nl) = (states.len(), run.model.decoder.layers());
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
        let tuned = m.shifts.iter().map(|s| states[s.state].id.as_str());
        h5.coord("tuned", names(tuned))?;
        let dims = ["tuned_a", "tuned_b", "layer"];
        h5.array("geometry", "shift_cosine", &dims, cos.view().into_dyn())?;
    }
    Ok(())
}

fn directions(run: &Run, m: &Measured, h5: &mut ResultsWriter) -> Result<(), StudyError> {
    let by = ["state", "concept", "layer"];
    let (n, nl, nc) = (
        run.states().len(),
        run.model.decoder.layers(),
        run.study.concepts.len(),
    );
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
    let vectors = units.insert_axis(Axis(2)); // (state, concept, estimator, layer, hidden)
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
    Ok(())
}

fn behaviour(run: &Run, m: &Measured, h5: &mut ResultsWriter) -> Result<(), StudyError> {
    let (n, study) = (run.states().len(), run.study);
    let np = study.battery.len();
    let mut score = Array3::from_elem((n, np, 3), f64::NAN);
    for (i, s) in m.scores.iter().enumerate() {
        for (j, p) in study.battery.iter().enumerate() {
            let v: Vec<f64> = s.iter().filter(|r| r.0 == p.name).map(|r| r.2).collect();
            let (e, _) = mean_with_p(&v, study.written.draws.bootstrap, study.written.seed)?;
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
    Ok(())
}

fn causal(m: &Measured, h5: &mut ResultsWriter) -> Result<(), StudyError> {
    if !m.mediations.is_empty() {
        let judged: Vec<&Mediation> = m.mediations.iter().map(judged).collect();
        let f = |f: &dyn Fn(&Mediation) -> f64| judged.iter().map(|x| f(x)).collect::<Vec<f64>>();
        let plain = |f: &dyn Fn(&Mediation) -> f64| {
            let all = m.mediations.iter().map(|x| f(&x.against_plain));
            all.collect::<Vec<f64>>()
        };
        let own = |f: &dyn Fn(&Estimate) -> f64| {
            let all = m
                .mediations
                .iter()
                .map(|x| x.on_reference.map_or(f64::NAN, |e| f(&e)));
            all.collect::<Vec<f64>>()
        };
        let edits: Vec<String> = judged.iter().map(|x| x.edit.clone()).collect();
        let n: Vec<usize> = judged.iter().map(|x| x.n_prompts).collect();
        h5.table(
            "causal",
            "ablation",
            &[
                ("edit", edits.into()),
                ("remaining", f(&|x| x.remaining).into()),
                ("ci_lo", f(&|x| x.remaining_interval.lo).into()),
                ("ci_hi", f(&|x| x.remaining_interval.hi).into()),
                ("removed", f(&|x| x.removed).into()),
                ("removed_lo", f(&|x| x.removed_interval.lo).into()),
                ("removed_hi", f(&|x| x.removed_interval.hi).into()),
                ("remaining_plain", plain(&|x| x.remaining).into()),
                ("on_reference", own(&|e| e.value).into()),
                ("on_reference_lo", own(&|e| e.interval.lo).into()),
                ("on_reference_hi", own(&|e| e.interval.hi).into()),
                ("share", f(&|x| x.share).into()),
                ("share_lo", f(&|x| x.share_interval.lo).into()),
                ("share_hi", f(&|x| x.share_interval.hi).into()),
                ("n_prompts", n.into()),
            ],
        )?;
    }
    if let Some(c) = &m.causal {
        let mean = |e: &Edited| e.scores.iter().map(|s| s.2).sum::<f64>() / e.scores.len() as f64;
        let edits: Vec<String> = c.doses.iter().map(|d| d.edit.clone()).collect();
        let col = |f: &dyn Fn(&Edited) -> f64| c.doses.iter().map(f).collect::<Vec<f64>>();
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
    Ok(())
}
