//! `results.h5` and its CSVs: every number of the report, with named dimensions.

mod causal;
mod conversations;
mod link;
mod trajectory;

use crate::directions::{Estimator, Quality};
use crate::geometry::projections::AXES;
use crate::geometry::{Change, Part};
use crate::geometry_tables::{self, write_rows, Names, Source};
use crate::stats::bootstrap::Estimate;
use crate::store::{ResultsWriter, Values};
use crate::study::acts::StateActs;
use crate::study::measure::Measured;
use crate::study::run::{Run, POSITIONS};
use crate::study::scores::mean_with_p;
use crate::study::StudyError;
use ndarray::{s, Array3, Array4, Axis};

/// Writes all tables; returns the files below the run folder.
pub fn write(run: &Run, m: &Measured) -> Result<Vec<String>, StudyError> {
    let mut h5 = ResultsWriter::create(&run.out.join("results.h5"), &run.attrs())?;
    coords(run, &mut h5)?;
    geometry(run, m, &mut h5)?;
    directions(run, m, &mut h5)?;
    behaviour(run, m, &mut h5)?;
    causal::write(run, m, &mut h5)?;
    conversations::write(run, m, &mut h5)?;
    trajectory::write(m, &mut h5)?;
    link::write(m, &mut h5)?;
    for (i, s) in run.states().iter().enumerate() {
        let condition = &run.study.conditions[s.condition].name;
        let group = format!("activations/{condition}/{}", s.seed);
        h5.external_link(&group, &run.activations(i), &group)?;
    }
    h5.finish()?;
    Ok(vec!["results.h5".into()])
}

/// A table with its note; nothing without rows.
fn table(
    h5: &mut ResultsWriter,
    group: &str,
    name: &str,
    columns: Vec<(&str, Values)>,
) -> Result<(), StudyError> {
    if columns.first().is_none_or(|c| c.1.is_empty()) {
        return Ok(());
    }
    h5.table(group, name, &columns)?;
    Ok(geometry_tables::annotate(h5, &format!("{group}/{name}"))?)
}

fn text<T>(rows: &[T], f: impl Fn(&T) -> String) -> Values {
    rows.iter().map(f).collect::<Vec<String>>().into()
}

fn real<T>(rows: &[T], f: impl Fn(&T) -> f64) -> Values {
    rows.iter().map(f).collect::<Vec<f64>>().into()
}

fn int<T>(rows: &[T], f: impl Fn(&T) -> usize) -> Values {
    rows.iter().map(f).collect::<Vec<usize>>().into()
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
    h5.coord("estimator", vec![Estimator::MeanDiff.name()])?;
    h5.coord("axis", names(AXES.into_iter()))?;
    h5.coord("bound", names(["value", "ci_lo", "ci_hi"].into_iter()))?;
    Ok(())
}

fn geometry(run: &Run, m: &Measured, h5: &mut ResultsWriter) -> Result<(), StudyError> {
    let (study, g) = (run.study, &m.geometry);
    let concepts = names(study.concepts.iter().map(|c| c.name.as_str()));
    let states = names(run.states().iter().map(|s| s.id.as_str()));
    let layers: Vec<usize> = (0..run.model.decoder.layers()).collect();
    let [response, user] = POSITIONS.map(|p| p.to_string());
    let source = Source {
        concepts: &concepts,
        estimator: Estimator::MeanDiff.name(),
        position: &response,
        n_neutral: study.neutral_texts.len(),
    };
    geometry_tables::write_coupling(h5, &g.coupling, &g.options, &source)?;
    let condition = |c: usize| study.conditions[c].name.as_str();
    let changes: Vec<_> = (g.changes.iter())
        .flat_map(|(set, reference, forms)| {
            let named = |c: &'_ Change| (condition(*set), condition(*reference), c.form);
            forms.iter().map(move |c| (named(c), &c.contrast))
        })
        .map(|((set, reference, form), c)| (set, reference, form, c))
        .collect();
    let names_of = |position| Names {
        states: &states,
        concepts: &concepts,
        layers: &layers,
        position,
    };
    write_rows(h5, "changes", geometry_tables::changes(&changes, &layers))?;
    for (name, mut rows) in geometry_tables::beside(&g.beside, &names_of(&response)) {
        if name == "projections" {
            rows.extend(geometry_tables::shifts(&g.user_shifts, &names_of(&user)));
        }
        write_rows(h5, name, rows)?;
    }
    shift(run, m, h5)
}

/// The projections of the responses' shifts as one array, for readers that index.
fn shift(run: &Run, m: &Measured, h5: &mut ResultsWriter) -> Result<(), StudyError> {
    let (n, layers) = (run.states().len(), run.model.decoder.layers());
    let mut whole = Array4::from_elem((n, AXES.len(), 3, layers), f64::NAN);
    let mut unshared = whole.clone();
    for moved in &m.geometry.beside.shifts {
        let to = match moved.part {
            Part::Whole => &mut whole,
            Part::Unshared => &mut unshared,
        };
        for (l, axes) in moved.on.on.iter().enumerate() {
            for (k, on) in axes.iter().enumerate() {
                let e = &on.rms_units;
                for (j, v) in [e.value, e.interval.lo, e.interval.hi]
                    .into_iter()
                    .enumerate()
                {
                    to[[moved.state, k, j, l]] = v;
                }
            }
        }
    }
    let dims = ["state", "axis", "bound", "layer"];
    for (name, array) in [("shift", whole), ("shift_unshared", unshared)] {
        h5.array("geometry", name, &dims, array.view().into_dyn())?;
        geometry_tables::annotate(h5, &format!("geometry/{name}"))?;
    }
    h5.csv("geometry", "shift", &["shift", "shift_unshared"])?;
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
        geometry_tables::annotate(h5, &format!("directions/{name}"))?;
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
    if let Some(f) = &m.one_factor {
        h5.table(
            "behaviour",
            "one_factor",
            &[
                ("share", vec![f.share.value].into()),
                ("ci_lo", vec![f.share.interval.lo].into()),
                ("ci_hi", vec![f.share.interval.hi].into()),
                ("null_lo", vec![f.null.lo].into()),
                ("null_hi", vec![f.null.hi].into()),
                ("p", vec![f.p].into()),
                ("n_preferences", vec![f.preferences.len()].into()),
                ("n_conditions", vec![f.conditions.len()].into()),
            ],
        )?;
        geometry_tables::annotate(h5, "behaviour/one_factor")?;
    }
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
    if !m.claims.cells.is_empty() {
        claims(m, h5)?;
    }
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

/// The manipulation check, a row a condition and claim.
fn claims(m: &Measured, h5: &mut ResultsWriter) -> Result<(), StudyError> {
    let cells = &m.claims.cells;
    let col = |f: &dyn Fn(&Estimate) -> f64| -> Vec<f64> {
        cells.iter().map(|c| f(&c.less_base)).collect()
    };
    let beyond = |f: &dyn Fn(&Estimate) -> f64| -> Values {
        let of = cells.iter().map(|c| c.beyond.as_ref().map_or(f64::NAN, f));
        of.collect::<Vec<f64>>().into()
    };
    let own: Vec<usize> = cells.iter().map(|c| usize::from(c.own)).collect();
    let n: Vec<usize> = cells.iter().map(|c| c.less_base.n).collect();
    h5.table(
        "behaviour",
        "claims",
        &[
            (
                "condition",
                names(cells.iter().map(|c| c.state.as_str())).into(),
            ),
            (
                "claim",
                names(cells.iter().map(|c| c.claim.as_str())).into(),
            ),
            ("own", own.into()),
            ("shift", col(&|e| e.value).into()),
            ("ci_lo", col(&|e| e.interval.lo).into()),
            ("ci_hi", col(&|e| e.interval.hi).into()),
            ("beyond_others", beyond(&|e| e.value)),
            ("beyond_lo", beyond(&|e| e.interval.lo)),
            ("beyond_hi", beyond(&|e| e.interval.hi)),
            ("n_prompts", n.into()),
        ],
    )?;
    Ok(geometry_tables::annotate(h5, "behaviour/claims")?)
}
