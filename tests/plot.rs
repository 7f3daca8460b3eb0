//! What `residuum plot` promises, on invented records: it draws from the file alone, only what is asked
//! for, in the colours of the whole, and says what there is where a name is wrong.

#[path = "common/records.rs"]
mod records;

use residuum::figures::{Format, Output, Width};
use residuum::report::plot::Plot;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn file(dir: &Path) -> PathBuf {
    let path = dir.join("results.h5");
    records::write(&records::whole(), &path);
    path
}

fn only(dir: &Path, names: &[&str]) -> Output {
    let figures = Some(names.iter().map(|n| (*n).to_owned()).collect());
    Output { figures, ..Output::to(dir) }
}

fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

/// Cells of a column of a figure's CSV.
fn cells(csv: &Path, column: &str) -> BTreeSet<String> {
    let mut reader = csv::Reader::from_path(csv).unwrap();
    let at = reader.headers().unwrap().iter().position(|h| h == column).unwrap();
    reader.records().map(|r| r.unwrap()[at].to_owned()).collect()
}

#[test]
fn what_is_asked_for_is_drawn_in_the_formats_that_are_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let plot = Plot::open(&file(dir.path())).unwrap();
    let to = dir.path().join("plots");
    let out = Output {
        width: Width::Single,
        formats: vec![Format::Svg, Format::Pdf],
        ..only(&to, &["coupling", "claims"])
    };
    assert_eq!(plot.names(&out).unwrap(), ["coupling", "claims"]);
    assert!(!to.exists());
    let made = plot.draw(&out).unwrap();
    let names: Vec<&str> = made.iter().map(|w| w.name.as_str()).collect();
    assert_eq!(names, ["coupling", "claims"]);
    assert!(made.iter().all(|w| !w.title.is_empty() && !w.caption.is_empty()));
    let mut files: Vec<String> = std::fs::read_dir(&to)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let want = ["claims.csv", "claims.pdf", "claims.svg"];
    let want: Vec<&str> =
        want.into_iter().chain(["coupling.csv", "coupling.pdf", "coupling.svg"]).collect();
    assert_eq!(files, want);
    let svg = std::fs::read_to_string(to.join("coupling.svg")).unwrap();
    let width = svg.split("width=\"").nth(1).and_then(|rest| rest.split("mm").next());
    let width: f64 = width.unwrap().parse().unwrap();
    assert!(svg.contains("<text") && (width - 89.0).abs() < 0.1, "{width}");
    // The caption is for the page that shows the figure.
    let words: Vec<&str> = made[0].caption.split(' ').take(6).collect();
    assert!(!svg.contains(&words.join(" ")));
}

#[test]
fn a_choice_of_states_and_layers_leaves_the_others_out_and_colours_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(dir.path());
    let colours = |svg: &Path| -> BTreeSet<String> {
        let text = std::fs::read_to_string(svg).unwrap();
        let all = text.split('"').filter(|w| w.len() == 7 && w.starts_with('#'));
        all.map(str::to_owned).collect()
    };
    let whole = Plot::open(&file).unwrap();
    let all = whole.draw(&only(&dir.path().join("all"), &["coupling"])).unwrap();
    let some = Plot::open(&file).unwrap().states(&texts(&["plain"])).unwrap();
    let some = some.layers(&[1, 2, 3, 4]).unwrap();
    let some = some.draw(&only(&dir.path().join("some"), &["coupling"])).unwrap();
    let csv = some[0].file("csv").unwrap();
    let series = cells(csv, "series");
    assert!(series.contains("base") && series.contains("plain"), "{series:?}");
    assert!(!series.contains("keeper") && !series.contains("kept"), "{series:?}");
    assert_eq!(cells(csv, "layer").len(), 4);
    let (before, after) =
        (colours(all[0].file("svg").unwrap()), colours(some[0].file("svg").unwrap()));
    assert!(after.is_subset(&before), "{after:?} of {before:?}");
    assert!(after.len() < before.len());
}

#[test]
fn a_wrong_name_lists_what_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(dir.path());
    let open = || Plot::open(&file).unwrap();
    let figure = open().names(&only(dir.path(), &["coupling", "couplings"]));
    let figure = figure.unwrap_err().to_string();
    assert!(figure.contains("`couplings`") && figure.contains("behaviour, claims"), "{figure}");
    let state = open().states(&texts(&["keper"])).err().unwrap().to_string();
    assert!(state.contains("`keper`") && state.contains("keeper, plain, kept"), "{state}");
    let layer = open().layers(&[99]).err().unwrap().to_string();
    assert!(layer.contains("`99`") && layer.contains("0, 1, 2, 3, 4, 5"), "{layer}");
    for words in [figure, state, layer] {
        assert!(words.contains("results.h5"), "{words}");
    }
}
