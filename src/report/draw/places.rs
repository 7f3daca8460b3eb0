//! Where conditions lie, how stable directions are, and how subspaces lie to one another.

use super::{counts, estimate, listed, numbered, Drawing};
use crate::analysis::records::{distinct, OverlapRow, PlaneRow, Results, StabilityRow};
use crate::analysis::BASE;
use crate::figures::plane::{PlaneData, PlanePanel, PlanePoint};
use crate::figures::profiles::{ProfileBlock, ProfileLine, ProfilePanel, ProfilesData};
use crate::figures::{plane, profiles, Estimate, FigureError, Palette};

/// Draws what this file holds.
pub fn draw(d: &mut Drawing) -> Result<(), FigureError> {
    let r = d.r;
    let axes = |p: &PlaneRow| (p.plane.clone(), p.axis_x.clone(), p.axis_y.clone());
    let planes = distinct(r.planes.iter().map(axes));
    let of = |kind: &'static str| planes.iter().filter(move |p| p.0 == kind);
    for (i, (_, x, y)) in of("concepts").enumerate() {
        d.keep(plane::draw(&concepts(r, (x, y), i), &d.conditions, d.out))?;
    }
    if of("components").next().is_some() {
        d.keep(plane::draw(&components(r), &d.conditions, d.out))?;
    }
    // The alignment has a colour behind those of the concepts.
    let palette = Palette::new(super::concepts(r).into_iter().chain([ALIGNMENT]));
    d.keep(profiles::draw(&stability(r), &palette, d.out))?;
    let pairs = distinct(r.overlap.iter().map(|o| (&*o.concept_a, &*o.concept_b)));
    for (i, pair) in pairs.into_iter().enumerate() {
        d.keep(profiles::draw(&angles(r, pair, i), &Palette::default(), d.out))?;
    }
    Ok(())
}

const ALIGNMENT: &str = "alignment of neutral texts (CKA)";

/// The condition of a state; without a study, the state itself.
fn condition<'a>(r: &'a Results, state: &'a str) -> &'a str {
    r.states.iter().find(|s| s.state == state).map_or(state, |s| &s.condition)
}

/// One panel a layer of the rows of a plane.
fn panels(rows: &[&PlaneRow], label: impl Fn(&PlaneRow, usize) -> String) -> Vec<PlanePanel> {
    let layers = distinct(rows.iter().map(|p| p.layer)).into_iter();
    let panel = |layer: usize| {
        let own = || rows.iter().filter(|p| p.layer == layer);
        let means = || own().filter(|p| p.kind == "condition");
        let point = |p: &&&PlaneRow| PlanePoint {
            condition: p.set.clone(),
            at: (p.x, p.y),
            ellipse: [p.major, p.minor, p.angle],
            states: (own().filter(|s| s.kind == "state" && s.condition == p.set))
                .map(|s| (s.x, s.y))
                .collect(),
        };
        let wider = |a: &(f64, f64), b: &(f64, f64)| (a.1 - a.0).total_cmp(&(b.1 - b.0));
        let nulls = means().map(|p| (p.null_lo, p.null_hi)).filter(|n| !(n.0 + n.1).is_nan());
        let first = means().next();
        PlanePanel {
            title: format!("Layer {layer}"),
            x_label: first.map_or(String::new(), |p| label(p, 0)),
            y_label: first.map_or(String::new(), |p| label(p, 1)),
            null: nulls.max_by(wider).unwrap_or((f64::NAN, f64::NAN)),
            points: means().map(|p| point(&p)).collect(),
        }
    };
    layers.map(panel).collect()
}

/// How many texts and fine-tunes stand behind some rows of a plane.
fn behind(rows: &[&PlaneRow]) -> String {
    let conditions = rows.iter().filter(|p| p.kind == "condition");
    format!(
        "n = {} texts, {} model(s) a condition",
        counts(rows.iter().map(|p| p.n)),
        counts(conditions.map(|p| p.states))
    )
}

/// Conditions along the directions of a couple.
fn concepts(r: &Results, (a, b): (&str, &str), nth: usize) -> PlaneData {
    let own = |p: &&PlaneRow| (&*p.plane, &*p.axis_x, &*p.axis_y) == ("concepts", a, b);
    let rows: Vec<&PlaneRow> = r.planes.iter().filter(own).collect();
    let known = rows.iter().filter(|p| p.cosine.is_finite());
    let cosines = distinct(known.map(|p| format!("{:+.2} at layer {}", p.cosine, p.layer)));
    PlaneData {
        name: numbered("plane", nth),
        title: format!("Conditions in the plane of {a} and {b}"),
        caption: format!(
            "Mean shift of identical neutral texts from base along base's directions as measured, {}. Ellipses: 95 % over texts by Hotelling's T\u{b2}, directions and fine-tunes held fixed. Grey: 95 % of random directions of the layer's covariance, of the condition for which they reach furthest. The two directions have a cosine of {}.",
            behind(&rows),
            listed(&cosines.iter().map(String::as_str).collect::<Vec<_>>()),
        ),
        origin: BASE.into(),
        null: "random directions, 95 %".into(),
        equal: false,
        panels: panels(&rows, |p, axis| {
            format!("shift along {} (layer RMS)", [&p.axis_x, &p.axis_y][axis])
        }),
    }
}

/// Conditions along the two components that part them most.
fn components(r: &Results) -> PlaneData {
    let rows: Vec<&PlaneRow> = r.planes.iter().filter(|p| p.plane == "components").collect();
    PlaneData {
        name: "means".into(),
        title: "Response means by condition".into(),
        caption: format!(
            "Mean shift of identical neutral texts from base along the first two principal components of the conditions' means, base's included, {}. Ellipses: 95 % over texts by Hotelling's T\u{b2}, components and fine-tunes held fixed. The components are chosen to part these means, so that they do is no evidence and has no null.",
            behind(&rows),
        ),
        origin: BASE.into(),
        null: String::new(),
        equal: true,
        panels: panels(&rows, |p, axis| {
            let (name, share) = [(&p.axis_x, p.share_x), (&p.axis_y, p.share_y)][axis];
            format!("{name}, {:.0} % of the spread (layer RMS)", 100.0 * share)
        }),
    }
}

/// How far base's directions and the neutral texts stay what they were, one panel a condition.
fn stability(r: &Results) -> ProfilesData {
    let coupled = r.coupled();
    let known = |c: &str| coupled.is_empty() || coupled.contains(&c);
    let rows: Vec<&StabilityRow> = r.stability.iter().filter(|s| known(&s.concept)).collect();
    let states =
        distinct((rows.iter().map(|s| &*s.state)).chain(r.alignment.iter().map(|a| &*a.state)));
    let line = |series: &str, cells: Vec<(usize, Estimate)>| {
        let (at, value) = cells.into_iter().unzip();
        ProfileLine { series: series.into(), at, value, null: Vec::new() }
    };
    let lines = |state: &str| {
        let own = || rows.iter().filter(|s| s.state == state);
        let mut all: Vec<ProfileLine> = distinct(own().map(|s| &*s.concept))
            .into_iter()
            .map(|concept| {
                let cells = own().filter(|s| s.concept == concept);
                let cell = |s: &&StabilityRow| {
                    (s.layer, estimate(s.noiseless, s.noiseless_lo, s.noiseless_hi))
                };
                line(concept, cells.map(cell).collect())
            })
            .collect();
        let aligned = r.alignment.iter().filter(|a| a.state == state);
        let cells: Vec<_> = aligned.map(|a| (a.layer, estimate(a.estimate, a.lo, a.hi))).collect();
        if !cells.is_empty() {
            all.push(line(ALIGNMENT, cells));
        }
        all
    };
    let conditions = distinct(states.iter().map(|s| condition(r, s)));
    let panel = |name: &&str| ProfilePanel {
        title: (*name).into(),
        lines: states.iter().filter(|s| condition(r, s) == *name).flat_map(|s| lines(s)).collect(),
    };
    let panels: Vec<ProfilePanel> = conditions.iter().map(panel).collect();
    let layers = r.reported();
    ProfilesData {
        name: "stability".into(),
        title: "Stability of directions and of neutral texts against base".into(),
        caption: format!(
            "Cosine of each concept's direction with base's, without the noise that the same {} prompts share; linear centred kernel alignment of {} neutral texts, debiased. Bands: 95 % jackknife over prompts or texts, each fine-tune for itself; 1: unchanged; no null. What reaches beyond a panel ends at its edge.",
            counts(rows.iter().map(|s| s.n)),
            counts(r.alignment.iter().map(|a| a.n)),
        ),
        x_label: "layer".into(),
        chosen: layers.into_iter().filter(|l| rows.iter().any(|s| s.layer == *l)).collect(),
        null: String::new(),
        blocks: match panels.is_empty() {
            true => Vec::new(),
            false => vec![ProfileBlock { y_label: "cosine, CKA".into(), level: 1.0, panels }],
        },
    }
}

/// Overlap and principal angles of two concepts' subspaces by their size, one panel a condition each.
fn angles(r: &Results, (a, b): (&str, &str), nth: usize) -> ProfilesData {
    let own = |o: &&OverlapRow| (&*o.concept_a, &*o.concept_b) == (a, b);
    let mut rows: Vec<&OverlapRow> = r.overlap.iter().filter(own).collect();
    rows.sort_by_key(|o| o.k);
    let states = distinct(r.overlap.iter().filter(own).map(|o| &*o.state));
    let conditions = distinct(states.iter().map(|s| condition(r, s)));
    let layers = distinct(r.overlap.iter().filter(own).map(|o| o.layer));
    let block = |y_label: &str, value: &dyn Fn(&OverlapRow) -> Estimate, with_null: bool| {
        let line = |state: &str, layer: usize| {
            let cells = || rows.iter().filter(|o| o.state == state && o.layer == layer);
            ProfileLine {
                series: format!("layer {layer}"),
                at: cells().map(|o| o.k).collect(),
                value: cells().map(|o| value(o)).collect(),
                null: match with_null {
                    true => cells().map(|o| (o.null_lo, o.null_hi)).collect(),
                    false => Vec::new(),
                },
            }
        };
        let panel = |name: &&str| {
            let of = states.iter().filter(|s| condition(r, s) == *name);
            let lines = of.flat_map(|s| layers.iter().map(|l| line(s, *l)));
            let lines = lines.filter(|l| !l.at.is_empty()).collect();
            ProfilePanel { title: (*name).into(), lines }
        };
        let panels = conditions.iter().map(panel).collect();
        ProfileBlock { y_label: y_label.into(), level: f64::NAN, panels }
    };
    let overlap = |o: &OverlapRow| estimate(o.estimate, o.lo, o.hi);
    let angle = |o: &OverlapRow| {
        let ends = [o.smallest_angle, o.largest_angle].map(f64::to_degrees);
        Estimate { value: f64::NAN, lo: ends[0], hi: ends[1] }
    };
    ProfilesData {
        name: numbered("angles", nth),
        title: format!("Subspaces of {a} and {b}: overlap and principal angles"),
        caption: format!(
            "Leading k directions of the pair differences of each concept; {}. Above: overlap |A B\u{2032}|\u{b2} / k, bands 95 % jackknife over prompts, with the 95 % band of subspaces of random directions of the layer's covariance in grey. Below: from the smallest to the largest principal angle, in degrees, as measured with this many pairs. One line a fine-tune.",
            super::pairs_of(r, &[a, b]),
        ),
        x_label: "dimensions k".into(),
        chosen: Vec::new(),
        null: "random subspaces, 95 %".into(),
        blocks: vec![
            block("overlap", &overlap, true),
            block("principal angles (\u{b0})", &angle, false),
        ],
    }
}
