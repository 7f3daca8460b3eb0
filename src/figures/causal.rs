//! Cause: what adding a direction does, and what taking one away leaves.
//!
//! Left, sufficiency: mean battery score by dose for each direction, the dose in
//! units of the layer's residual RMS; random directions are thin grey lines
//! within the band that they span. Right, necessity: the shift that remains
//! under each edit of a fine-tuned model, one row an edit, grouped by battery or
//! condition; each random direction is a grey dot of its own. Either half may be
//! left out by giving it no data.

use plotters::style::Color;

use super::axes::{self, Area, Frame};
use super::canvas::{Canvas, Mark};
use super::page::{self, Entry, Key, Page, Table};
use super::rows::Rows;
use super::theme::{Colours, Palette, DOT, INK, LINE, MUTED, RULE};
use super::values::Check;
use super::{Estimate, Output, Result, Written};

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
    /// Whether the direction is a control, drawn at random.
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
    /// Such as `no edit`, `ablate persona`, `ablate random`. Controls of one kind and
    /// group share a name and a row.
    pub edit: String,
    /// Whether the direction is a control, drawn at random.
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

/// Draws the figure.
///
/// # Errors
/// Data that cannot be drawn, or a folder that cannot be written.
pub fn draw(data: &CausalData, palette: &Palette, out: &Output) -> Result<Written> {
    check(data)?;
    let colours = palette.colours(named(data).map(|d| d.direction.as_str()));
    let pairs: Vec<_> = data.ablations.iter().map(|a| (&*a.group, &*a.edit)).collect();
    let listed = Rows::new(&pairs, GROUP, ROW).height + 4.0;
    let both = !data.doses.is_empty() && !data.ablations.is_empty();
    // Narrow figures have one half above the other.
    let stacked = both && out.narrow();
    let above = if stacked { HEAD + LEAST + axes::X_AXIS + BETWEEN } else { 0.0 };
    let panel = if stacked { listed } else { listed.max(LEAST) };
    let size = (out.points(), above + HEAD + panel + axes::X_AXIS);
    let given = [&data.name, &data.title, &data.caption];
    let page = Page::plan(given, legend(data, &colours, palette), size);
    let whole = page.body;
    let (top, bottom) = (whole.top + HEAD, whole.top + above + HEAD + panel);
    let (left, right) = (whole.left, whole.right - 6.0);
    let middle = whole.left + whole.width() * 0.53;
    let beside = both && !stacked;
    page.draw(out, &table(data), |canvas| {
        if !data.doses.is_empty() {
            let right = if beside { middle - BETWEEN } else { right };
            let bottom = if stacked { top + LEAST } else { bottom.min(top + TALL) };
            let area = Area::new((left, right), (top, bottom));
            doses(canvas, area, data, &colours, palette);
        }
        if !data.ablations.is_empty() {
            let left = if beside { middle } else { left };
            let area = Area::new((left, right), (top + above, bottom));
            ablations(canvas, area, data, &pairs, both, out.name());
        }
    })
}

/// The curves of directions that are not random.
fn named(data: &CausalData) -> impl Iterator<Item = &DoseCurve> {
    data.doses.iter().filter(|d| !d.random)
}

fn legend(data: &CausalData, colours: &Colours, palette: &Palette) -> Vec<Entry> {
    let line = |d: &DoseCurve| {
        let key = Key::Series(colours[&*d.direction], palette.mark(&d.direction));
        (key, d.direction.clone())
    };
    let mut entries: Vec<Entry> = named(data).map(line).collect();
    let random = data.doses.iter().filter(|d| d.random).count();
    if random > 0 {
        let text = format!("control directions ({random}) and their range");
        entries.push((Key::ThinLine(RULE), text));
    }
    if named(data).any(|d| d.inside.contains(&false)) {
        let text = "a dose beyond the guards of side effects";
        entries.push((Key::Mark(MUTED, Mark::Ring), text.into()));
    }
    entries
}

fn doses(
    canvas: &mut Canvas,
    outer: Area,
    data: &CausalData,
    colours: &Colours,
    palette: &Palette,
) {
    let alphas = axes::range_of(data.doses.iter().flat_map(|d| d.alpha.iter().copied()));
    let range = axes::range_of_all(data.doses.iter().flat_map(|d| &d.score));
    let range = axes::padded(range, 0.06);
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

    let (alpha, span) = span_of_random(data);
    frame.ribbon(canvas, &place(&alpha), &span, RULE.mix(0.2), 4.0);
    for curve in data.doses.iter().filter(|d| d.random) {
        canvas.line(&frame.points(&place(&curve.alpha), &curve.score), RULE.mix(0.7), 0.4);
    }
    for curve in named(data) {
        let shade = colours[&*curve.direction].mix(0.15);
        frame.ribbon(canvas, &place(&curve.alpha), &curve.score, shade, 4.0);
    }
    for curve in named(data) {
        let colour = colours[&*curve.direction];
        let line = frame.points(&place(&curve.alpha), &curve.score);
        canvas.line(&line, colour, LINE);
        for (p, inside) in line.into_iter().zip(&curve.inside) {
            let mark = if *inside { palette.mark(&curve.direction) } else { Mark::Ring };
            canvas.mark(p, DOT * 0.85, colour, mark);
        }
    }
}

/// The doses of the random directions, and at each their smallest and largest score.
fn span_of_random(data: &CausalData) -> (Vec<f64>, Vec<Estimate>) {
    let random = data.doses.iter().filter(|d| d.random);
    let cells: Vec<_> = random.flat_map(|d| d.alpha.iter().copied().zip(&d.score)).collect();
    let mut alpha: Vec<f64> = cells.iter().map(|c| c.0).collect();
    alpha.sort_by(f64::total_cmp);
    alpha.dedup();
    let span = |a: &f64| {
        let own = cells.iter().filter(|c| c.0 == *a).map(|c| c.1.value);
        own.fold(Estimate::MISSING, |e, v| Estimate { lo: v.min(e.lo), hi: v.max(e.hi), ..e })
    };
    let spans = alpha.iter().map(span).collect();
    (alpha, spans)
}

fn ablations(
    canvas: &mut Canvas,
    outer: Area,
    data: &CausalData,
    pairs: &[(&str, &str)],
    second: bool,
    most: f64,
) {
    let label = page::label_width(pairs.iter().map(|r| r.1), most) + 6.0;
    let area = Area { left: outer.left + label, ..outer };
    let remaining = data.ablations.iter().map(|a| &a.remaining);
    let range = axes::padded(axes::range_with_zero(remaining), 0.06);
    let x_ticks = axes::ticks(range, (area.width() / 28.0) as usize);
    let frame = Frame::of_rows(area, (range, &x_ticks, &data.remaining_label, true));
    frame.draw(canvas);
    frame.zero_x(canvas);
    let title = if second { "b  Ablating a direction" } else { "Ablating a direction" };
    axes::heading(canvas, (outer.left, outer.top - 7.0), title, outer.width());
    let least = Rows::new(pairs, GROUP, ROW);
    let room = area.height() - least.groups.len() as f64 * GROUP;
    let rows = Rows::new(pairs, GROUP, (room / least.rows.len() as f64).min(LARGEST));
    rows.names(canvas, (outer.left, area.left - 4.0), area.top);
    for (y, group, edit) in &rows.rows {
        let own = data.ablations.iter().filter(|a| a.group == *group && a.edit == *edit);
        for (i, a) in own.enumerate() {
            // Random edits share a row, a little apart so that each is seen.
            let (colour, look, apart) = match a.random {
                true => (RULE, (Mark::Dot, DOT * 0.7, 0.4), [0.0, 2.2, -2.2, 4.2, -4.2][i % 5]),
                false => (INK, (Mark::Dot, DOT, LINE * 0.8), 0.0),
            };
            frame.on_row(canvas, &a.remaining, area.top + y + apart, colour, look);
        }
    }
}

fn check(data: &CausalData) -> Result<()> {
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
    check.distinct(|d| format!("direction `{d}`"), named(data).map(|d| &d.direction))?;
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
    let (alpha, spans) = span_of_random(data);
    for (alpha, e) in alpha.into_iter().zip(spans) {
        let numbers = [alpha, e.value, e.lo, e.hi];
        table.row(&[&"dose", &"", &"range of random", &true, &""], &numbers);
    }
    for a in &data.ablations {
        let e = &a.remaining;
        let numbers = [f64::NAN, e.value, e.lo, e.hi];
        table.row(&[&"ablation", &a.group, &a.edit, &a.random, &""], &numbers);
    }
    table
}
