//! Profiles: quantities over layers or other whole numbers, in small multiples.
//!
//! Panels come in blocks of one scale, such as one panel a condition. A line has a series, which gives its
//! colour, and an interval as a ribbon; several lines of one series in a panel are its repeats. A value
//! that is missing between two ends leaves a ribbon with its edges. The null of a line is a grey band with
//! edges of the line's colour. With three places or fewer, lines would claim values in between, so the
//! lines stand side by side at each place.

use plotters::style::{Color, RGBColor};

use super::axes::{self, Frame};
use super::canvas::{Canvas, Mark};
use super::page::{self, Entry, Grid, Key, Page, Table};
use super::theme::{Colours, Palette, DOT, HAIR, LINE, NULLS};
use super::values::Check;
use super::{Estimate, Output, Result, Written};
use crate::store::values::distinct;

/// Blocks of panels over common places.
#[derive(Debug, Clone)]
pub struct ProfilesData {
    /// Stem of the file names.
    pub name: String,
    /// Title, for the page that shows the figure.
    pub title: String,
    /// Words, for the page that shows the figure: kinds of intervals and nulls, and n.
    pub caption: String,
    /// What the places are, such as `layer`.
    pub x_label: String,
    /// Places that are marked, such as chosen layers.
    pub chosen: Vec<usize>,
    /// What the grey bands are; empty for none.
    pub null: String,
    /// From top to bottom.
    pub blocks: Vec<ProfileBlock>,
}

/// Panels of one scale.
#[derive(Debug, Clone)]
pub struct ProfileBlock {
    /// Label of the scale, with unit.
    pub y_label: String,
    /// A value that is marked, such as chance; NaN for none.
    pub level: f64,
    /// In the order in which they are read.
    pub panels: Vec<ProfilePanel>,
}

/// One panel.
#[derive(Debug, Clone)]
pub struct ProfilePanel {
    /// Above it.
    pub title: String,
    /// What it shows.
    pub lines: Vec<ProfileLine>,
}

/// One line; each list has one entry a place.
#[derive(Debug, Clone)]
pub struct ProfileLine {
    /// Name in the legend, and whose colour it takes.
    pub series: String,
    /// Places, increasing.
    pub at: Vec<usize>,
    /// Values with their intervals.
    pub value: Vec<Estimate>,
    /// Ends of the band of a null; empty for none.
    pub null: Vec<(f64, f64)>,
}

const HEAD: f64 = 14.0;
const PANEL: f64 = 76.0;
const GAP_X: f64 = 10.0;
const BETWEEN: f64 = 8.0;
/// Least width of a panel.
const LEAST: f64 = 98.0;
/// Most places whose values are marked.
const MARKED: usize = 12;
/// Most places at which lines stand side by side.
const FEW: usize = 3;

/// Draws the figure; `palette` is that of the series.
///
/// # Errors
/// Data that cannot be drawn, or a folder that cannot be written.
pub fn draw(data: &ProfilesData, palette: &Palette, out: &Output) -> Result<Written> {
    check(data)?;
    let colours = palette.colours(distinct(lines(data).map(|l| l.series.as_str())));
    let mut places = distinct(lines(data).flat_map(|l| l.at.iter().copied()));
    places.sort_unstable();
    let ranges: Vec<(f64, f64)> = data.blocks.iter().map(range).collect();
    let ticks: Vec<_> = ranges.iter().map(|r| axes::ticks(*r, 6)).collect();
    let margin = ticks.iter().map(|t| axes::y_axis_width(t, true)).fold(0.0, f64::max);
    let left = page::MARGIN + margin;
    let room = out.points() - page::MARGIN - left - 6.0;
    let most = data.blocks.iter().map(|b| b.panels.len()).max().unwrap_or(1);
    let across = (((room + GAP_X) / (LEAST + GAP_X)) as usize).clamp(1, most);
    let columns = page::columns(left, room, across, GAP_X);
    let grids: Vec<Grid> = (data.blocks.iter())
        .map(|b| Grid::new(b.panels.len(), columns.clone(), [HEAD, PANEL, BETWEEN]))
        .collect();
    let height = |g: &Grid| g.height() + axes::X_AXIS;
    let body = grids.iter().map(height).sum::<f64>() + BETWEEN * (grids.len() as f64 - 1.0);
    let given = [&data.name, &data.title, &data.caption];
    let page = Page::plan(given, legend(data, &colours), (out.points(), body));
    let (first, last) = (places[0] as f64, places[places.len() - 1] as f64);
    let few = places.len() <= FEW;
    let across_x = match few {
        true => (first - 0.5 * (last - first).max(1.0), last + 0.5 * (last - first).max(1.0)),
        false => axes::padded((first, last), 0.03),
    };
    let x_ticks = axes::layer_ticks(&places, grids[0].wide());

    page.draw(out, &table(data), |canvas| {
        let mut top = page.body.top;
        for (b, block) in data.blocks.iter().enumerate() {
            let body = axes::Area { top, ..page.body };
            for (i, panel) in block.panels.iter().enumerate() {
                let (lowest, leftmost) = grids[b].at_edge(i);
                let frame = Frame::new(
                    grids[b].area(i, &body),
                    (across_x, &x_ticks, &data.x_label, lowest),
                    (ranges[b], &ticks[b], &block.y_label, leftmost),
                );
                frame.draw(canvas);
                frame.heading(canvas, &panel.title);
                frame.level(canvas, block.level);
                if by_layer(data) {
                    frame.chosen(canvas, &data.chosen);
                }
                lines_of(canvas, &frame, panel, &colours, few.then_some(places.len()));
            }
            top += height(&grids[b]) + BETWEEN;
        }
    })
}

fn lines(data: &ProfilesData) -> impl Iterator<Item = &ProfileLine> {
    data.blocks.iter().flat_map(|b| &b.panels).flat_map(|p| &p.lines)
}

/// The scale of a block: all values, and of intervals and nulls what reaches no further beyond these than
/// they reach from one another.
fn range(block: &ProfileBlock) -> (f64, f64) {
    let lines = || block.panels.iter().flat_map(|p| &p.lines);
    let values = || lines().flat_map(|l| &l.value).map(|e| e.value);
    let ends = lines().flat_map(|l| {
        let nulls = l.null.iter().flat_map(|n| [n.0, n.1]);
        l.value.iter().flat_map(|e| [e.lo, e.hi]).chain(nulls)
    });
    let level = [block.level];
    if values().all(f64::is_nan) {
        return axes::padded(axes::range_of(ends.chain(level)), 0.05);
    }
    let (lo, hi) = axes::range_of(values().chain(level));
    let reach = (hi - lo).max(0.05 * hi.abs().max(lo.abs()));
    let kept = ends.map(|v| v.clamp(lo - reach, hi + reach));
    axes::padded(axes::range_of(kept.chain([lo, hi])), 0.05)
}

/// Whether the places are layers, which a page can mark.
fn by_layer(data: &ProfilesData) -> bool {
    data.x_label.starts_with("layer")
}

fn lines_of(
    canvas: &mut Canvas,
    frame: &Frame,
    panel: &ProfilePanel,
    colours: &Colours,
    few: Option<usize>,
) {
    const WIDEST: f64 = 9.0;
    let count = panel.lines.len() as f64;
    let step =
        few.map_or(0.0, |n| (frame.area.width() / (n as f64 + 1.0) * 0.8 / count).min(WIDEST));
    // What lies beyond the scale ends at its edge.
    let cut = |v: f64| v.clamp(frame.y.lo, frame.y.hi);
    let within = |e: &Estimate| Estimate { value: e.value, lo: cut(e.lo), hi: cut(e.hi) };
    let placed: Vec<(&ProfileLine, Vec<f64>, Vec<Estimate>, RGBColor)> = (panel.lines.iter())
        .enumerate()
        .map(|(i, line)| {
            let apart = (i as f64 - (count - 1.0) / 2.0) * step;
            let x = line.at.iter().map(|&at| frame.x.at(at as f64) + apart).collect();
            let value = line.value.iter().map(within).collect();
            (line, x, value, colours[line.series.as_str()])
        })
        .collect();
    for (line, x, _, colour) in &placed {
        let ends: Vec<Estimate> =
            line.null.iter().map(|n| within(&Estimate::new(f64::NAN, n.0, n.1))).collect();
        frame.ribbon(canvas, &x[..ends.len()], &ends, NULLS[0].mix(0.7), step.max(5.0));
        edges(canvas, frame, &x[..ends.len()], &ends, *colour);
    }
    for (_, x, value, colour) in &placed {
        match few {
            None => {
                // Bands without a line are wide, and lie over one another.
                let bare = value.iter().all(Estimate::is_missing);
                frame.ribbon(canvas, x, value, colour.mix(if bare { 0.07 } else { 0.18 }), 3.0);
            }
            Some(_) => {
                for (x, e) in x.iter().zip(value).filter(|(_, e)| e.has_interval()) {
                    canvas.line(&[(*x, frame.y.at(e.lo)), (*x, frame.y.at(e.hi))], *colour, LINE);
                }
            }
        }
    }
    for (line, x, value, colour) in &placed {
        if value.iter().all(Estimate::is_missing) && few.is_none() {
            edges(canvas, frame, x, value, *colour);
        }
        let points = frame.points(x, value);
        if few.is_none() {
            canvas.line(&points, *colour, LINE * 0.8);
        }
        let marks = points.into_iter().zip(line.at.iter().zip(&line.value));
        for (p, (at, e)) in marks.filter(|_| x.len() <= MARKED) {
            canvas.mark(p, DOT * 0.8, *colour, Mark::Dot);
            canvas.hover(p, DOT, &format!("{}, {at}: {e}", line.series));
        }
    }
}

/// The ends of bands as thin lines.
fn edges(canvas: &mut Canvas, frame: &Frame, x: &[f64], bands: &[Estimate], colour: RGBColor) {
    for end in [|e: &Estimate| e.lo, |e: &Estimate| e.hi] {
        let points: Vec<_> = x.iter().copied().zip(frame.up(bands.iter().map(end))).collect();
        canvas.line(&points, colour.mix(0.7), HAIR);
    }
}

fn legend(data: &ProfilesData, colours: &Colours) -> Vec<Entry> {
    let series = distinct(lines(data).map(|l| l.series.as_str()));
    let mut entries: Vec<Entry> =
        series.into_iter().map(|s| (Key::Line(colours[s]), s.to_owned())).collect();
    if !data.null.is_empty() && lines(data).any(|l| !l.null.is_empty()) {
        entries.push((Key::Band(NULLS[0], 1.0), data.null.clone()));
    }
    entries.extend(page::layers_chosen(&data.chosen));
    entries
}

fn check(data: &ProfilesData) -> Result<()> {
    let check = Check::new(&data.name)?;
    check.not_empty("no panels are given", data.blocks.iter().map(|b| b.panels.len()).sum())?;
    for block in &data.blocks {
        check.not_empty(&format!("block `{}` has no panels", block.y_label), block.panels.len())?;
        check.finite(&format!("the level of block `{}`", block.y_label), &[block.level])?;
        check.distinct(|t| format!("panel `{t}`"), block.panels.iter().map(|p| &p.title))?;
        for panel in &block.panels {
            for line in &panel.lines {
                let what = format!("a line of {} in panel `{}`", line.series, panel.title);
                check.increasing(&format!("the places of {what}"), &line.at)?;
                check.series(&what, line.at.len(), &line.value)?;
                if !line.null.is_empty() {
                    let ends = line.null.iter().map(|n| Estimate::new(f64::NAN, n.0, n.1));
                    let ends: Vec<Estimate> = ends.collect();
                    check.series(&format!("the null of {what}"), line.at.len(), &ends)?;
                }
            }
        }
    }
    let shown = lines(data).flat_map(|l| &l.value).flat_map(|e| [&e.value, &e.lo]);
    check.any_value("every value is missing", shown)
}

fn table(data: &ProfilesData) -> Table {
    let mut table = Table::new(match by_layer(data) {
        true => "quantity panel series repeat kind layer value lo hi",
        false => "quantity panel series repeat kind at value lo hi",
    });
    for block in &data.blocks {
        for panel in &block.panels {
            for (i, line) in panel.lines.iter().enumerate() {
                let before = panel.lines[..i].iter().filter(|l| l.series == line.series).count();
                let words = (&block.y_label, &panel.title, &line.series, before);
                let mut add = |kind: &str, at: &usize, numbers: [f64; 3]| {
                    table.row(&[words.0, words.1, words.2, &words.3, &kind, at], &numbers);
                };
                for (at, e) in line.at.iter().zip(&line.value) {
                    add("value", at, e.numbers());
                }
                for (at, null) in line.at.iter().zip(&line.null) {
                    add("null", at, [f64::NAN, null.0, null.1]);
                }
            }
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::samples::sets;
    use super::*;

    #[test]
    fn an_interval_far_beyond_the_values_does_not_flatten_them() {
        let mut data = sets::profiles(&["a"], &["x"], 1, &[0, 1, 2, 3]);
        let before = range(&data.blocks[0]);
        data.blocks[0].panels[0].lines[0].value[1].lo = -100.0;
        let after = range(&data.blocks[0]);
        assert!(after.0 > -2.0 && after.1 - after.0 < 4.0 * (before.1 - before.0));
        // Its true end is in the CSV all the same.
        let dir = tempfile::tempdir().unwrap();
        let written = draw(&data, &Palette::default(), &Output::to(dir.path())).unwrap();
        let text = std::fs::read_to_string(written.file("csv").unwrap()).unwrap();
        assert!(text.contains(",-100,"), "{text}");
    }

    #[test]
    fn lines_of_one_series_are_its_repeats() {
        let dir = tempfile::tempdir().unwrap();
        let data = sets::profiles(&["a", "b"], &["x", "y"], 3, &[0, 1, 2, 3]);
        let written = draw(&data, &Palette::default(), &Output::to(dir.path())).unwrap();
        let mut reader = csv::Reader::from_path(written.file("csv").unwrap()).unwrap();
        let rows: Vec<csv::StringRecord> = reader.records().map(|r| r.unwrap()).collect();
        // Two blocks of two panels of two series of three repeats at four places; one block has nulls.
        assert_eq!(rows.len(), 3 * 2 * 2 * 3 * 4);
        assert_eq!(rows.iter().filter(|r| &r[3] == "2" && &r[4] == "value").count(), 2 * 2 * 2 * 4);
    }
}
