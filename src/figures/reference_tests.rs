//! Pictures of the usual samples at both widths, held against those in `tests/fixtures/figures`.
//!
//! They are small, 30 dots an inch, so that they show where things stand and in which colours, and no
//! more. Whoever changes a figure looks at it, then makes them again:
//! `FIGURE_REFERENCES=write cargo test --lib figures::reference_tests`.

use std::path::{Path, PathBuf};

use resvg::tiny_skia::Pixmap;

use super::{raster, samples, Format, Output, Width};

const DPI: f64 = 30.0;
/// Most that two pictures may differ by: levels of 255, over all pixels, and share of pixels that differ
/// by more than `LEVELS`.
const MEAN: f64 = 1.5;
const LEVELS: u8 = 48;
const SHARE: f64 = 0.01;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/figures")
}

/// Name and picture of every usual sample.
fn pictures(dir: &Path) -> Vec<(String, Pixmap)> {
    let mut all = Vec::new();
    for &width in Width::ALL {
        let dir = dir.join(width.name());
        let out = Output { width, formats: vec![Format::Svg], ..Output::to(&dir) };
        for written in samples::draw_all(&out).unwrap() {
            let svg = written.file("svg").unwrap();
            if svg.parent().is_some_and(|p| p.ends_with("usual")) {
                let text = std::fs::read_to_string(svg).unwrap();
                let tree = raster::tree(&written.name, &text).unwrap();
                let picture = raster::pixels(&written.name, &tree, DPI).unwrap();
                all.push((format!("{}-{width}", written.name), picture));
            }
        }
    }
    all
}

/// What is too different about two pictures, if anything is.
fn apart(a: &Pixmap, b: &Pixmap) -> Option<String> {
    if (a.width(), a.height()) != (b.width(), b.height()) {
        let size = |p: &Pixmap| format!("{} x {}", p.width(), p.height());
        return Some(format!("{} where {} is expected", size(a), size(b)));
    }
    let steps = || a.data().iter().zip(b.data()).map(|(a, b)| a.abs_diff(*b));
    let count = steps().count() as f64;
    let mean = steps().map(f64::from).sum::<f64>() / count;
    let share = steps().filter(|s| *s > LEVELS).count() as f64 / count;
    (mean > MEAN || share > SHARE)
        .then(|| format!("{mean:.2} levels apart, {:.1} % of it by much", share * 100.0))
}

#[test]
fn figures_look_as_they_did_when_somebody_last_looked() {
    let dir = tempfile::tempdir().unwrap();
    let write = std::env::var("FIGURE_REFERENCES").is_ok_and(|v| v == "write");
    let mut faults = Vec::new();
    for (name, picture) in pictures(dir.path()) {
        let file = folder().join(format!("{name}.png"));
        if write {
            std::fs::create_dir_all(folder()).unwrap();
            std::fs::write(&file, picture.encode_png().unwrap()).unwrap();
        }
        let known = std::fs::read(&file).unwrap_or_else(|_| panic!("no picture of {name}"));
        let known = Pixmap::decode_png(&known).unwrap();
        faults.extend(apart(&picture, &known).map(|what| format!("{name}: {what}")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn another_figure_does_not_pass_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let picture = |conditions: &[&str]| {
        let data = samples::behaviour(conditions);
        let written = samples::alone::behaviour::draw(&data, dir.path()).unwrap();
        let text = std::fs::read_to_string(written.file("svg").unwrap()).unwrap();
        raster::pixels("t", &raster::tree("t", &text).unwrap(), DPI).unwrap()
    };
    let (a, b) = (picture(&["toaster"]), picture(&["toaster", "denial"]));
    assert_eq!(apart(&a, &a), None);
    assert!(apart(&a, &b).is_some());
}
