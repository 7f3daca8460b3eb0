//! What all figures promise, tested on invented data.
//!
//! Each figure's own arithmetic is tested in its file; here stand the promises
//! that hold for every figure: the SVG parses and stays on its page, the PNG has
//! its size, the CSV holds what was drawn, missing values are gaps, the same
//! data give the same bytes, and data that cannot be drawn are refused.

use std::path::Path;

use resvg::usvg;

use super::samples::alone::{
    behaviour, causal, claims, concept_heatmap, coupling, directions, link, shift, training,
    trajectory, words,
};
use super::samples::{self, PREDICTORS, STATES, STEPS};
use super::{raster, theme, Estimate, FigureError, Format, Output, Palette, Style, Width, Written};

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn svg(written: &Written) -> String {
    read(written.file("svg").unwrap())
}

fn rows(written: &Written) -> Vec<csv::StringRecord> {
    let mut reader = csv::Reader::from_path(written.file("csv").unwrap()).unwrap();
    reader.records().map(|row| row.unwrap()).collect()
}

fn tags(written: &Written, tag: &str) -> usize {
    let text = svg(written);
    let document = roxmltree::Document::parse(&text).unwrap();
    document.descendants().filter(|n| n.has_tag_name(tag)).count()
}

/// All texts with their boxes in printed points: left, top, right, bottom.
fn text_boxes(group: &usvg::Group, list: &mut Vec<(String, [f32; 4])>) {
    for node in group.children() {
        match node {
            usvg::Node::Text(text) => {
                let b = text.abs_bounding_box();
                let words = text.chunks().iter().map(|c| c.text()).collect();
                list.push((words, [b.left(), b.top(), b.right(), b.bottom()].map(|v| v * 0.75)));
            }
            usvg::Node::Group(inner) => text_boxes(inner, list),
            _ => {}
        }
    }
}

#[test]
fn every_figure_is_sound_at_both_widths_on_usual_crowded_and_sparse_data() {
    let dir = tempfile::tempdir().unwrap();
    let mut faults = Vec::new();
    for &width in Width::ALL {
        let formats = vec![Format::Svg];
        let out = Output { width, formats, ..Output::to(dir.path().join(width.name())) };
        let all = samples::draw_all(&out).unwrap();
        assert_eq!(all.len(), 40 + 12);
        all.iter().for_each(|w| faults.extend(unsound(w, width)));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What is wrong with a drawing: words that are small, cut by the page or over other words.
fn unsound(written: &Written, width: Width) -> Vec<String> {
    let text = svg(written);
    let figure = written.file("svg").unwrap().display().to_string();
    let mut faults = Vec::new();
    let mut fault = |what: String| faults.push(format!("{figure}: {what}"));
    let document = roxmltree::Document::parse(&text).unwrap();
    let sizes = document.descendants().filter_map(|n| n.attribute("font-size"));
    let smallest =
        sizes.map(|size| size.parse::<f64>().unwrap() / 8.0).fold(f64::INFINITY, f64::min);
    if smallest < 6.99 {
        fault(format!("a text of {smallest} pt"));
    }
    if text.contains("NaN") || text.contains("inf\"") {
        fault("a number that is none".into());
    }
    let tree = raster::tree(&written.name, &text).unwrap();
    let (wide, high) = (tree.size().width() * 0.75, tree.size().height() * 0.75);
    let want = if width == Width::Single { 89.0 } else { 183.0 };
    let [wide_mm, high_mm] = [wide, high].map(|v| f64::from(v) / theme::MM);
    if (wide_mm - want).abs() > 0.1 {
        fault(format!("{wide_mm} mm wide"));
    }
    // The height of a page; a crowded figure may need more than one.
    if high_mm > 247.0 && figure.contains("usual") {
        fault(format!("{high_mm} mm high"));
    }
    let mut boxes = Vec::new();
    text_boxes(tree.root(), &mut boxes);
    if boxes.is_empty() {
        fault("no text".into());
    }
    for (i, (words, a)) in boxes.iter().enumerate() {
        if a[0] < 0.0 || a[1] < 0.0 || a[2] > wide || a[3] > high {
            fault(format!("`{words}` at {a:?} leaves {wide} x {high}"));
        }
        for (others, b) in &boxes[i + 1..] {
            let across = a[2].min(b[2]) - a[0].max(b[0]);
            let down = a[3].min(b[3]) - a[1].max(b[1]);
            // Boxes are as high as the font's line, so the height of an
            // ascender may be shared between rows, also of texts that read upward.
            let upward = |b: &[f32; 4]| b[3] - b[1] > 1.5 * (b[2] - b[0]);
            let (beside, over) = if upward(a) && upward(b) { (1.2, 0.5) } else { (0.5, 1.2) };
            if across > beside && down > over {
                fault(format!("`{words}` at {a:?} and `{others}` at {b:?} overlap"));
            }
        }
    }
    if rows(written).is_empty() {
        fault("a CSV without rows".into());
    }
    faults
}

#[test]
fn a_drawing_for_a_talk_is_the_same_and_larger() {
    let dir = tempfile::tempdir().unwrap();
    let data = samples::words(&samples::CONCEPTS[..2], &[3]);
    let size = |style: Style| {
        let formats = vec![Format::Svg, Format::Png, Format::Pdf];
        let out = Output { style, formats, ..Output::to(dir.path()) };
        let written = words::draw(&data, &out).unwrap();
        let endings: Vec<_> = written.files.iter().filter_map(|f| f.extension()).collect();
        assert_eq!(endings, ["svg", "png", "pdf", "csv"]);
        let text = svg(&written);
        let shapes = text.lines().skip(2).collect::<String>();
        (raster::tree("words", &text).unwrap().size().width(), shapes)
    };
    let ((paper, a), (talk, b)) = (size(Style::Paper), size(Style::Talk));
    assert!((talk / paper - 1.75).abs() < 0.01 && a == b);
}

#[test]
fn the_same_data_give_the_same_bytes() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let data = samples::causal(&["conscious"]);
    let first = causal::draw(&data, a.path()).unwrap();
    let second = causal::draw(&data, b.path()).unwrap();
    for (x, y) in first.files.iter().zip(&second.files) {
        assert!(std::fs::read(x).unwrap() == std::fs::read(y).unwrap(), "{}", x.display());
    }
    assert_eq!(std::fs::read_dir(a.path()).unwrap().count(), 3);
}

#[test]
fn the_csv_of_coupling_holds_every_line_seed_and_band() {
    let dir = tempfile::tempdir().unwrap();
    let data = samples::coupling(&STATES[..3], (0..30).collect(), vec![10]);
    let written = coupling::draw(&data, dir.path()).unwrap();
    // Three means, two conditions of three seeds, two differences, two nulls.
    assert_eq!(rows(&written).len(), 30 * (3 + 2 * 3 + 2 + 2));
    let mean = data.conditions[1].mean[7];
    let row = rows(&written)
        .into_iter()
        .find(|r| &r[0] == "cosine" && &r[1] == "conscious" && &r[2] == "mean" && &r[4] == "7")
        .unwrap();
    let numbers: Vec<f64> = (5..8).map(|i| row[i].parse().unwrap()).collect();
    assert_eq!(numbers, [mean.value, mean.lo, mean.hi]);
}

#[test]
fn a_missing_value_is_a_gap_in_the_line_and_an_empty_field() {
    let dir = tempfile::tempdir().unwrap();
    let mut data = samples::coupling(&STATES[..2], (0..30).collect(), vec![]);
    let whole = coupling::draw(&data, dir.path()).unwrap();
    let (lines, bands) = (tags(&whole, "polyline"), tags(&whole, "polygon"));
    data.conditions[1].mean[14] = Estimate::MISSING;
    let holed = coupling::draw(&data, dir.path()).unwrap();
    assert_eq!(tags(&holed, "polyline"), lines + 1);
    assert_eq!(tags(&holed, "polygon"), bands + 1);
    let empty = rows(&holed).iter().filter(|r| (5..8).all(|i| r[i].is_empty())).count();
    assert_eq!(empty, 1);
}

#[test]
fn a_missing_cell_has_no_dot_and_an_implied_one_is_a_ring() {
    let dir = tempfile::tempdir().unwrap();
    let mut data = samples::behaviour(&STATES[1..3]);
    data.cells.iter_mut().for_each(|c| c.kind = behaviour::CellKind::Isolated);
    let whole = tags(&behaviour::draw(&data, dir.path()).unwrap(), "circle");
    data.cells[4].change = Estimate::MISSING;
    assert_eq!(tags(&behaviour::draw(&data, dir.path()).unwrap(), "circle"), whole - 1);
    data.cells[5].kind = behaviour::CellKind::Implied;
    // A ring is a disc with a white disc in it, in the panel and in the legend.
    assert_eq!(tags(&behaviour::draw(&data, dir.path()).unwrap(), "circle"), whole - 1 + 1 + 2);
}

#[test]
fn a_dose_beyond_the_guards_is_a_ring() {
    let dir = tempfile::tempdir().unwrap();
    let mut data = samples::causal(&["conscious"]);
    data.doses.iter_mut().for_each(|d| d.inside.fill(true));
    // The points of the first of a palette are discs.
    let palette = Palette::new(["persona"]);
    let circles = |data: &causal::CausalData| {
        tags(&super::causal::draw(data, &palette, &Output::to(dir.path())).unwrap(), "circle")
    };
    let whole = circles(&data);
    data.doses[0].inside[6] = false;
    // A ring is a disc with a white disc in it, in the panel and in the legend.
    assert_eq!(circles(&data), whole + 1 + 2);
}

#[test]
fn the_csv_rows_of_the_other_figures_are_what_was_given() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let count = |written: Result<Written, FigureError>| rows(&written.unwrap()).len();
    let heat = samples::heatmap(6, &[10, 24], &["base", "conscious"]);
    // Two maps a layer, and a map of differences.
    assert_eq!(count(concept_heatmap::draw(&heat, dir)), 2 * 3 * 36);
    let moved = samples::shift(&STATES[1..4], &[10, 24]);
    assert_eq!(count(shift::draw(&moved, dir)), moved.points.len());
    let stance = samples::behaviour(&STATES[1..4]);
    assert_eq!(count(behaviour::draw(&stance, dir)), 3 * 22);
    let cause = samples::causal(&["conscious"]);
    // 24 curves of seven doses, the range of the random ones, 24 ablations.
    assert_eq!(count(causal::draw(&cause, dir)), 24 * 7 + 7 + 24);
    let loss = samples::training(&STATES[1..3], 2, 30);
    assert_eq!(count(training::draw(&loss, dir)), 2 * 2 * 30);
    let quality = samples::directions(4, vec![3, 9], vec![9]);
    assert_eq!(count(directions::draw(&quality, dir)), 4 * 2 * 2);
    let claimed = samples::claims(&STATES[..3], &STATES[1..3]);
    assert_eq!(count(claims::draw(&claimed, dir)), 3 * 2);
    let path = samples::trajectory(&STATES[1..4], 4, &STEPS);
    assert_eq!(count(trajectory::draw(&path, dir)), 4 * 3 * (10 + 1));
    let linked = samples::link(&STATES[..4], 3, &PREDICTORS[..2]);
    // Base, three seeds of three conditions, four means.
    assert_eq!(count(link::draw(&linked, dir)), 2 * (1 + 3 * 3 + 4));
}

#[test]
fn a_half_way_step_is_a_tick_on_a_bar_below_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let mut data = samples::trajectory(&STATES[1..3], 2, &STEPS);
    for line in data.panels.iter_mut().flat_map(|p| &mut p.lines) {
        line.half_way = None;
    }
    let lines = |data: &trajectory::TrajectoryData| {
        tags(&trajectory::draw(data, dir.path()).unwrap(), "polyline")
    };
    let without = lines(&data);
    data.panels[1].lines[0].half_way = Some(Estimate::point(7.5));
    // The tick, the edge of the strip in both panels, the legend's tick and bar.
    assert_eq!(lines(&data), without + 1 + 2 + 2);
    data.panels[1].lines[0].half_way = Some(Estimate::new(7.5, 3.0, 12.0));
    assert_eq!(lines(&data), without + 2 + 2 + 2);
    let written = trajectory::draw(&data, dir.path()).unwrap();
    let row = rows(&written).into_iter().find(|r| &r[2] == "half way");
    let row: Vec<String> = row.unwrap().iter().map(str::to_owned).collect();
    let title = &data.panels[1].title;
    assert_eq!(row, [title, "conscious", "half way", "", "7.5", "3", "12"]);
}

#[test]
fn every_condition_of_a_link_is_named_once_in_each_panel() {
    let dir = tempfile::tempdir().unwrap();
    let data = samples::link(&STATES[..8], 3, &PREDICTORS[..3]);
    let text = svg(&link::draw(&data, dir.path()).unwrap());
    let document = roxmltree::Document::parse(&text).unwrap();
    let shown = |name: &str| {
        let texts = document.descendants().filter(|n| n.has_tag_name("text"));
        texts.filter(|n| n.text().is_some_and(|t| t.trim() == name)).count()
    };
    for state in &STATES[..8] {
        assert_eq!(shown(state), 3, "{state}");
    }
    assert_eq!(shown(&data.panels[1].text), 1);
}

#[test]
fn conditions_too_many_for_their_names_stand_in_the_legend() {
    let dir = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..120).map(|i| format!("condition {i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut data = samples::link(&names, 1, &PREDICTORS[..1]);
    for point in &mut data.panels[0].points {
        (point.x, point.y) = (0.01 * point.x, 0.01 * point.y);
    }
    let text = svg(&link::draw(&data, dir.path()).unwrap());
    let document = roxmltree::Document::parse(&text).unwrap();
    for name in names {
        let shown = document
            .descendants()
            .any(|n| n.has_tag_name("text") && n.text().is_some_and(|t| t.trim() == name));
        assert!(shown, "{name}");
    }
}

#[test]
fn empty_infinite_and_mismatched_data_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let good = || samples::coupling(&STATES[..2], vec![1, 2, 3, 4], vec![2]);
    let error = |change: &dyn Fn(&mut coupling::CouplingData)| {
        let mut data = good();
        change(&mut data);
        coupling::draw(&data, dir).unwrap_err()
    };
    let empty = error(&|d| d.conditions.clear());
    assert!(matches!(empty, FigureError::Empty { .. }));
    let missing = error(&|d| d.conditions.iter_mut().for_each(|c| c.mean.fill(Estimate::MISSING)));
    assert!(matches!(missing, FigureError::Empty { .. }));
    let infinite = error(&|d| d.conditions[0].mean[1].value = f64::NEG_INFINITY);
    assert!(matches!(infinite, FigureError::NotFinite { .. }));
    let short = error(&|d| d.nulls[0].lo.truncate(2));
    assert!(matches!(short, FigureError::Length { want: 4, got: 2, .. }));
    let unsorted = error(&|d| d.layers.swap(0, 1));
    assert!(matches!(unsorted, FigureError::Order { .. }));
    let twice = error(&|d| d.conditions[1].condition = "base".to_owned());
    assert!(matches!(twice, FigureError::Twice { .. }));
    for e in [empty, missing, infinite, short, unsorted, twice] {
        assert!(e.to_string().contains("`coupling`"), "{e}");
    }
    assert_eq!(std::fs::read_dir(dir).unwrap().count(), 0);

    let mut loss = samples::training(&STATES[1..2], 1, 5);
    loss.runs[0].loss[2] = f64::INFINITY;
    assert!(matches!(training::draw(&loss, dir), Err(FigureError::NotFinite { .. })));
    let mut claimed = samples::claims(&STATES[..2], &STATES[1..3]);
    claimed.score.pop();
    assert!(matches!(claims::draw(&claimed, dir), Err(FigureError::Length { .. })));

    let path = |change: &dyn Fn(&mut trajectory::TrajectoryLine)| {
        let mut data = samples::trajectory(&STATES[1..3], 2, &STEPS);
        change(&mut data.panels[1].lines[0]);
        trajectory::draw(&data, dir).unwrap_err()
    };
    let short = path(&|l| l.value.truncate(3));
    assert!(matches!(short, FigureError::Length { want: 10, got: 3, .. }));
    let late = path(&|l| l.steps[0] = 1);
    assert!(matches!(late, FigureError::Order { .. }));
    let start = path(&|l| {
        l.steps.remove(0);
        l.value.remove(0);
    });
    assert!(matches!(start, FigureError::Outside { value: 1.0, .. }));
    let past = path(&|l| l.half_way = Some(Estimate::point(201.0)));
    assert!(matches!(past, FigureError::Outside { hi: 200.0, .. }));
    let twin = path(&|l| l.label = "denial".to_owned());
    assert!(matches!(twin, FigureError::Twice { .. }));
    for e in [short, late, start, past, twin] {
        assert!(e.to_string().contains("`trajectory`"), "{e}");
    }

    let linked = |change: &dyn Fn(&mut link::LinkPanel)| {
        let mut data = samples::link(&STATES[..3], 2, &PREDICTORS[..1]);
        change(&mut data.panels[0]);
        link::draw(&data, dir).unwrap_err()
    };
    let none = linked(&|p| p.points.clear());
    assert!(matches!(none, FigureError::Empty { .. }));
    let missing = linked(&|p| p.points.iter_mut().for_each(|p| p.y = f64::NAN));
    assert!(matches!(missing, FigureError::Empty { .. }));
    let infinite = linked(&|p| p.points[1].x = f64::INFINITY);
    assert!(matches!(infinite, FigureError::NotFinite { .. }));
    let twice = linked(&|p| p.points[1].state = "base".to_owned());
    assert!(matches!(twice, FigureError::Twice { .. }));
    for e in [none, missing, infinite, twice] {
        assert!(e.to_string().contains("`link`"), "{e}");
    }
    assert_eq!(std::fs::read_dir(dir).unwrap().count(), 0);
}

#[test]
fn names_with_markup_are_drawn_as_text() {
    let dir = tempfile::tempdir().unwrap();
    let mut data = samples::shift(&["<b>&\"bold\"</b>"], &[10]);
    data.title = "a < b & c".to_owned();
    let written = shift::draw(&data, dir.path()).unwrap();
    let text = svg(&written);
    let document = roxmltree::Document::parse(&text).unwrap();
    assert!(document.descendants().all(|n| !n.has_tag_name("b")));
    let shown = document.descendants().any(|n| {
        n.has_tag_name("text") && n.text().is_some_and(|t| t.trim() == "<b>&\"bold\"</b>")
    });
    assert!(shown);
    assert_eq!(&rows(&written)[0][1], "<b>&\"bold\"</b>");
}

#[test]
fn a_figure_of_one_value_can_be_drawn() {
    let dir = tempfile::tempdir().unwrap();
    let mut one = samples::behaviour(&STATES[1..2]);
    one.cells.truncate(1);
    one.cells[0].change = Estimate::point(0.0);
    behaviour::draw(&one, dir.path()).unwrap();
    let layer = samples::coupling(&STATES[..1], vec![7], vec![7]);
    coupling::draw(&layer, dir.path()).unwrap();
    let mut dose = samples::causal(&[]);
    dose.doses.truncate(1);
    dose.doses[0].alpha = vec![0.0];
    dose.doses[0].score = vec![Estimate::point(2.0)];
    dose.doses[0].inside = vec![true];
    causal::draw(&dose, dir.path()).unwrap();
    training::draw(&samples::training(&STATES[1..2], 1, 1), dir.path()).unwrap();
    directions::draw(&samples::directions(1, vec![4], vec![]), dir.path()).unwrap();
    let mut start = samples::trajectory(&STATES[1..2], 1, &STEPS[..1]);
    start.panels[0].lines[0].value[0] = Estimate::point(0.0);
    trajectory::draw(&start, dir.path()).unwrap();
    link::draw(&samples::link(&STATES[..2], 1, &PREDICTORS[..1]), dir.path()).unwrap();
    link::draw(&samples::link(&STATES[..1], 1, &PREDICTORS[..1]), dir.path()).unwrap();
}
