//! Cause: what adding a direction does, and what taking one away leaves.
//!
//! Left, sufficiency: mean battery score by dose for each direction, the dose in
//! units of the layer's residual RMS; random directions are thin grey lines
//! within the band that they span. Right, necessity: the shift that remains
//! under each edit of a fine-tuned model, one row an edit, grouped by battery or
//! condition; each random direction is a grey dot of its own. Either half may be
//! left out by giving it no data.

use std::path::Path;

use plotters::style::Color;

use super::axes::{self, Area, Frame};
use super::canvas::{Anchor, Canvas, Mark, Type};
use super::page::{self, Entry, Key, Page, Table};
use super::theme::{self, Palette, DOT, INK, LINE, RULE, SMALL, WIDE};
use super::values::Check;
use super::{Estimate, FigureError, Written};
use crate::store::values::distinct;

/// Dose response and ablation.
#[derive(Debug, Clone)]
pub struct CausalData {
    /// Stem of the file names.
    pub name: String,
    /// Title above the panels.
    pub title: String,
    /// Words below the panels: kinds of intervals and nulls, and n.
    pub caption: String,
    /// Label of the score axis on the left, with unit.
    pub score_label: String,
    /// Label of the axis on the right, with unit.
    pub remaining_label: String,
    /// Curves of the left panel.
    pub doses: Vec<DoseCurve>,
    /// Rows of the right panel.
    pub ablations: Vec<Ablation>,
}

/// The response to one direction.
#[derive(Debug, Clone)]
pub struct DoseCurve {
    /// Name of the direction.
    pub direction: String,
    /// Whether the direction is a random one.
    pub random: bool,
    /// Doses, increasing, in units of the layer's RMS.
    pub alpha: Vec<f64>,
    /// One entry a dose.
    pub score: Vec<Estimate>,
    /// Whether the model is within the guards at the dose; points beyond them are hollow.
    pub inside: Vec<bool>,
}

/// What one edit leaves of the shift.
#[derive(Debug, Clone)]
pub struct Ablation {
    /// Heading under which the row stands, such as a condition or battery.
    pub group: String,
    /// Such as `no edit`, `ablate persona`, `ablate random`. Random edits of one
    /// group share a name and a row.
    pub edit: String,
    /// Whether the direction is a random one.
    pub random: bool,
    /// Shift under the edit.
    pub remaining: Estimate,
}

const HEAD: f64 = 14.0;
const LEAST: f64 = 150.0;
/// Height at which the dose panel stops following a long list of edits.
const TALL: f64 = 230.0;
const GROUP: f64 = 14.0;
/// Least and largest height of an edit's row.
const ROW: f64 = 13.0;
const LARGEST: f64 = 26.0;
const BETWEEN: f64 = 16.0;
const LABEL: f64 = 95.0;

/// Draws the figure into `dir`.
///
/// # Errors
/// Data that cannot be drawn, or a folder that cannot be written.
pub fn draw(data: &CausalData, palette: &Palette, dir: &Path) -> Result<Written, FigureError> {
    check(data)?;
    page::register(&data.name)?;
    let words = (data.title.as_str(), data.caption.as_str());
    let named = data.doses.iter().filter(|d| !d.random).map(|d| d.direction.as_str());
    let colours = palette.colours(named.clone());
    let mut entries: Vec<Entry> =
        distinct(named).into_iter().map(|n| (Key::Line(colours[n]), n.to_owned())).collect();
    let random = data.doses.iter().filter(|d| d.random).count();
    if random > 0 {
        entries
            .push((Key::ThinLine(RULE), format!("random directions ({random}) and their range")));
    }
    let named = || data.doses.iter().filter(|d| !d.random);
    if named().any(|d| d.inside.contains(&false)) {
        let text = "a dose beyond the guards of side effects";
        entries.push((Key::Mark(theme::MUTED, Mark::Ring), text.to_owned()));
    }
    let rows = ablation_rows(data);
    let groups = distinct(rows.iter().map(|r| r.0));
    let list = groups.len() as f64 * GROUP + rows.len() as f64 * ROW + 4.0;
    let panel = list.max(LEAST);
    let page = Page::plan(&data.name, words, entries, (WIDE, HEAD + panel + axes::X_AXIS))?;
    let whole = page.body();
    let (top, bottom) = (whole.top + HEAD, whole.top + HEAD + panel);

    let both = !data.doses.is_empty() && !data.ablations.is_empty();
    let middle = if both { whole.left + whole.width() * 0.53 } else { whole.right };
    let svg = page.paint(&data.name, |canvas| {
        if !data.doses.is_empty() {
            let right = if both { middle - BETWEEN } else { whole.right - 6.0 };
            let area = Area::new((whole.left, right), (top, bottom.min(top + TALL)));
            doses(canvas, area, data, &colours);
        }
        if !data.ablations.is_empty() {
            let area = Area::new(
                (if both { middle } else { whole.left }, whole.right - 6.0),
                (top, bottom),
            );
            ablations(canvas, area, data, &rows, both);
        }
    })?;
    page::write(dir, &data.name, words, &svg, &table(data))
}

type Colours<'a> = std::collections::BTreeMap<&'a str, plotters::style::RGBColor>;

fn doses(canvas: &mut Canvas, outer: Area, data: &CausalData, colours: &Colours) {
    let alphas = axes::range_of(data.doses.iter().flat_map(|d| &d.alpha));
    let scores = data.doses.iter().flat_map(|d| &d.score);
    let numbers = scores.flat_map(|e| [&e.value, &e.lo, &e.hi]);
    let range = axes::padded(axes::range_of(numbers), 0.06);
    let y_ticks = axes::ticks(range, 7);
    let area = Area { left: outer.left + axes::y_axis_width(&y_ticks, true), ..outer };
    let across = axes::padded(alphas, 0.03);
    let x_ticks = axes::ticks(across, (area.width() / 30.0) as usize);
    let frame = Frame::new(
        area,
        (across, &x_ticks, "dose \u{3b1} (layer RMS)", true),
        (range, &y_ticks, &data.score_label, true),
    );
    frame.draw(canvas);
    frame.zero_x(canvas);
    frame.heading(canvas, "a  Adding a direction");
    let place = |alpha: &[f64]| -> Vec<f64> { alpha.iter().map(|&a| frame.x.at(a)).collect() };

    let (alpha, lo, hi) = span_of_random(data);
    let up = |list: &[f64]| -> Vec<f64> { list.iter().map(|&v| frame.y.at(v)).collect() };
    canvas.band(&place(&alpha), &up(&lo), &up(&hi), RULE.mix(0.2), 4.0);
    let (random, named): (Vec<_>, Vec<_>) = data.doses.iter().partition(|d| d.random);
    for curve in random {
        canvas.line(&points(&frame, curve), RULE.mix(0.7), 0.4);
    }
    for curve in &named {
        let colour = colours[curve.direction.as_str()];
        let lo: Vec<f64> = curve.score.iter().map(|e| e.lo).collect();
        let hi: Vec<f64> = curve.score.iter().map(|e| e.hi).collect();
        canvas.band(&place(&curve.alpha), &up(&lo), &up(&hi), colour.mix(0.15), 4.0);
    }
    for curve in &named {
        let colour = colours[curve.direction.as_str()];
        let line = points(&frame, curve);
        canvas.line(&line, colour.to_rgba(), LINE);
        for (p, inside) in line.into_iter().zip(&curve.inside) {
            let mark = if *inside { Mark::Dot } else { Mark::Ring };
            canvas.mark(p, DOT * 0.85, colour, mark);
        }
    }
}

fn points(frame: &Frame, curve: &DoseCurve) -> Vec<(f64, f64)> {
    let pairs = curve.alpha.iter().zip(&curve.score);
    pairs.map(|(a, e)| (frame.x.at(*a), frame.y.at(e.value))).collect()
}

/// The smallest and largest score of the random directions at each dose.
fn span_of_random(data: &CausalData) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let random = || data.doses.iter().filter(|d| d.random);
    let mut alpha: Vec<f64> = random().flat_map(|d| d.alpha.iter().copied()).collect();
    alpha.sort_by(f64::total_cmp);
    alpha.dedup();
    let ends = |a: f64| {
        let at = random().flat_map(|d| d.alpha.iter().zip(&d.score).filter(move |p| *p.0 == a));
        at.map(|p| p.1.value)
            .filter(|v| !v.is_nan())
            .fold((f64::NAN, f64::NAN), |(lo, hi), v| (v.min(lo), v.max(hi)))
    };
    let (lo, hi) = alpha.iter().map(|&a| ends(a)).unzip();
    (alpha, lo, hi)
}

/// The rows of the right panel: group, edit.
fn ablation_rows(data: &CausalData) -> Vec<(&str, &str)> {
    let groups = distinct(data.ablations.iter().map(|a| a.group.as_str()));
    let mut rows = Vec::new();
    for group in groups {
        let own = data.ablations.iter().filter(|a| a.group == group);
        rows.extend(distinct(own.map(|a| a.edit.as_str())).into_iter().map(|e| (group, e)));
    }
    rows
}

fn ablations(
    canvas: &mut Canvas,
    outer: Area,
    data: &CausalData,
    rows: &[(&str, &str)],
    second: bool,
) {
    let label = page::label_width(rows.iter().map(|r| r.1), LABEL) + 6.0;
    let area = Area { left: outer.left + label, ..outer };
    let numbers =
        data.ablations.iter().flat_map(|a| [&a.remaining.value, &a.remaining.lo, &a.remaining.hi]);
    let range = axes::padded(axes::range_of(numbers.chain([&0.0])), 0.06);
    let x_ticks = axes::ticks(range, (area.width() / 28.0) as usize);
    let frame = Frame::of_rows(area, (range, &x_ticks, &data.remaining_label, true));
    frame.draw(canvas);
    frame.zero_x(canvas);
    let title = if second { "b  Ablating a direction" } else { "Ablating a direction" };
    axes::heading(canvas, (outer.left, outer.top - 7.0), title, outer.width());
    let groups = distinct(rows.iter().map(|r| r.0)).len() as f64;
    let row = ((area.height() - groups * GROUP) / rows.len() as f64).min(LARGEST);
    let mut y = area.top;
    let mut group = None;
    for &(name, edit) in rows {
        if group != Some(name) {
            group = Some(name);
            axes::heading(canvas, (outer.left, y + GROUP * 0.55), name, label - 5.0);
            y += GROUP;
        }
        let middle = y + row / 2.0;
        y += row;
        let text = theme::shorten(edit, SMALL, false, label - 6.0);
        canvas.text((area.left - 4.0, middle), &text, Type::small(Anchor::Right));
        let own = data.ablations.iter().filter(|a| a.group == name && a.edit == edit);
        for (i, a) in own.enumerate() {
            let e = &a.remaining;
            // Random edits share a row, a little apart so that each is seen.
            let apart = [0.0, 2.2, -2.2, 4.2, -4.2];
            let at = middle + if a.random { apart[i % apart.len()] } else { 0.0 };
            let colour = if a.random { RULE } else { INK };
            if e.has_interval() {
                let ends = [(frame.x.at(e.lo), at), (frame.x.at(e.hi), at)];
                let width = if a.random { 0.4 } else { LINE * 0.8 };
                canvas.line(&ends, colour.to_rgba(), width);
            }
            let size = if a.random { DOT * 0.7 } else { DOT };
            canvas.mark((frame.x.at(e.value), at), size, colour, Mark::Dot);
        }
    }
}

fn check(data: &CausalData) -> Result<(), FigureError> {
    let check = Check::new(&data.name)?;
    check.not_empty(
        "neither doses nor ablations are given",
        data.doses.len() + data.ablations.len(),
    )?;
    for d in &data.doses {
        let what = format!("direction `{}`", d.direction);
        check.not_empty(&format!("{what} has no doses"), d.alpha.len())?;
        check.finite(&format!("a dose of {what}"), &d.alpha)?;
        check.increasing(&format!("the doses of {what}"), &d.alpha)?;
        check.series(&format!("the score of {what}"), d.alpha.len(), &d.score)?;
        check.length(&format!("the guards of {what}"), d.alpha.len(), d.inside.len())?;
    }
    check.distinct(
        |d| format!("direction `{d}`"),
        data.doses.iter().filter(|d| !d.random).map(|d| &d.direction),
    )?;
    for a in &data.ablations {
        check.estimates(&format!("{} of {}", a.edit, a.group), &[a.remaining])?;
    }
    check.distinct(
        |(group, edit)| format!("{edit} of {group}"),
        data.ablations.iter().filter(|a| !a.random).map(|a| (&a.group, &a.edit)),
    )?;
    let scores = data.doses.iter().flat_map(|d| &d.score);
    let all = scores.chain(data.ablations.iter().map(|a| &a.remaining));
    check.any_value("every value is missing", all.map(|e| &e.value))
}

fn table(data: &CausalData) -> Table {
    let mut table = Table::new("panel group series random inside alpha value lo hi");
    for d in &data.doses {
        for ((alpha, e), inside) in d.alpha.iter().zip(&d.score).zip(&d.inside) {
            let numbers = [*alpha, e.value, e.lo, e.hi];
            table.row(&[&"dose", &"", &d.direction, &d.random, inside], &numbers);
        }
    }
    let (alpha, lo, hi) = span_of_random(data);
    for (alpha, (lo, hi)) in alpha.iter().zip(lo.iter().zip(&hi)) {
        let numbers = [*alpha, f64::NAN, *lo, *hi];
        table.row(&[&"dose", &"", &"range of random", &true, &""], &numbers);
    }
    for a in &data.ablations {
        let e = &a.remaining;
        let numbers = [f64::NAN, e.value, e.lo, e.hi];
        table.row(&[&"ablation", &a.group, &a.edit, &a.random, &""], &numbers);
    }
    table
}
