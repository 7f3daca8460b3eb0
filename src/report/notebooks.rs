//! Notebooks for a results file: Jupyter's, with the Python reader that they import.
//!
//! Those of `notebooks-export/` are embedded as they are, without outputs. [`write`] puts the path of the
//! file into the first code cell of each, and leaves out a notebook whose records the file lacks: what it
//! computes again is not there. A file that lies in a folder above the notebooks is named relative to them,
//! so that a run folder can be moved whole; any other by its full path.

use super::ReportError;
use crate::store::{atomic, ResultsReader, StoreError};
use std::path::{Path, PathBuf};

/// A notebook, and the groups that it cannot do without.
struct Book {
    name: &'static str,
    text: &'static str,
    needs: &'static [&'static str],
}

macro_rules! book {
    ($name:literal: $($needs:literal),*) => {
        Book {
            name: concat!($name, ".ipynb"),
            text: include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"), "/notebooks-export/", $name, ".ipynb"
            )),
            needs: &[$($needs),*],
        }
    };
}

const BOOKS: [Book; 5] = [
    book!("1-tour":),
    book!("2-geometry": "study/states", "study/concepts", "study/layers", "geometry/coupling",
        "directions/vectors", "activations"),
    book!("3-behaviour-and-cause": "study/conditions", "study/preferences", "behaviour/scores",
        "behaviour/contrasts"),
    book!("4-statistics": "study/conditions", "study/preferences", "behaviour/scores",
        "behaviour/contrasts"),
    book!("5-figures": "study/states"),
];

/// What lies with them: the packages that they need, and the reader.
const WITH: [(&str, &str); 4] = [
    ("requirements.txt", include_str!("../../notebooks-export/requirements.txt")),
    ("residuum/__init__.py", include_str!("../../python/residuum/__init__.py")),
    ("residuum/colours.py", include_str!("../../python/residuum/colours.py")),
    ("residuum/reader.py", include_str!("../../python/residuum/reader.py")),
];

/// The line of a notebook, as its JSON has it, that says where the file is.
const RESULTS: &str = r#""RESULTS = \"results.h5\"\n""#;

/// What was written, and what was not.
#[derive(Debug, Clone)]
pub struct Notebooks {
    /// Files, notebooks first.
    pub files: Vec<PathBuf>,
    /// Each notebook that the file has too little for, and what it lacks.
    pub left_out: Vec<(&'static str, Vec<&'static str>)>,
}

/// Names of all files that [`write`] may write.
pub fn names() -> Vec<&'static str> {
    BOOKS.iter().map(|b| b.name).chain(WITH.iter().map(|w| w.0)).collect()
}

/// Writes the notebooks for a results file into the folder `out`, which is made if it is not there.
///
/// # Errors
/// A file that is no results file of this version, a path that is not UTF-8, a folder that cannot be
/// written.
pub fn write(results: &Path, out: &Path) -> Result<Notebooks, ReportError> {
    let held: Vec<String> =
        ResultsReader::open(results)?.objects()?.into_iter().map(|o| o.path).collect();
    let io = |path: &Path| {
        let path = path.to_path_buf();
        move |source| StoreError::Io { path, source }
    };
    std::fs::create_dir_all(out.join("residuum")).map_err(io(out))?;
    let line = format!(
        "RESULTS = {}\n",
        json(&place(
            &results.canonicalize().map_err(io(results))?,
            &out.canonicalize().map_err(io(out))?,
        )?)
    );
    let (mut files, mut left_out) = (Vec::new(), Vec::new());
    let mut keep = |name: &str, text: &str| {
        let path = out.join(name);
        atomic::write(&path, text.as_bytes())?;
        files.push(path);
        Ok::<(), StoreError>(())
    };
    for book in &BOOKS {
        let lacks = |n: &&&str| !held.iter().any(|h| h == **n);
        let lacking: Vec<&str> = book.needs.iter().filter(lacks).copied().collect();
        match lacking.is_empty() {
            true => keep(book.name, &book.text.replacen(RESULTS, &json(&line), 1))?,
            false => left_out.push((book.name, lacking)),
        }
    }
    WITH.iter().try_for_each(|(name, text)| keep(name, text))?;
    Ok(Notebooks { files, left_out })
}

/// The path of a file as notebooks in the folder `out` name it; both are full paths.
fn place(file: &Path, out: &Path) -> Result<String, ReportError> {
    let above = file.parent().and_then(|folder| out.strip_prefix(folder).ok());
    let path = match (above, file.file_name()) {
        (Some(below), Some(name)) => {
            below.components().map(|_| Path::new("..")).collect::<PathBuf>().join(name)
        }
        _ => file.to_path_buf(),
    };
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| ReportError::Path { path })
}

/// A text as JSON, which Python reads alike.
fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::theme::Palette;
    use plotters::style::RGBColor;

    #[test]
    fn notebooks_are_shipped_clean() {
        for book in &BOOKS {
            let all: serde_json::Value = serde_json::from_str(book.text).unwrap();
            assert_eq!((&all["nbformat"], &all["nbformat_minor"]), (&4.into(), &5.into()));
            let cells = all["cells"].as_array().unwrap();
            let code: Vec<_> = cells.iter().filter(|c| c["cell_type"] == "code").collect();
            assert!(code.iter().all(|c| c["outputs"] == serde_json::json!([])), "{}", book.name);
            assert!(code.iter().all(|c| c["execution_count"].is_null()), "{}", book.name);
            assert_eq!(book.text.matches(RESULTS).count(), 1, "{}", book.name);
            assert!(code[0]["source"].to_string().contains("RESULTS = "), "{}", book.name);
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let count = |name: &str| std::fs::read_dir(folder.join(name)).unwrap().count();
        assert_eq!(count("notebooks-export"), BOOKS.len() + 1);
        let python = std::fs::read_dir(folder.join("python/residuum")).unwrap();
        let modules = python.filter(|e| e.as_ref().unwrap().path().is_file()).count();
        assert_eq!(modules, WITH.len() - 1);
    }

    #[test]
    fn a_file_above_is_named_relative_to_the_notebooks() {
        let at = |file: &str, out: &str| place(Path::new(file), Path::new(out)).unwrap();
        assert_eq!(at("/runs/a/results.h5", "/runs/a/notebooks"), "../results.h5");
        assert_eq!(at("/runs/a/results.h5", "/runs/a/x/y"), "../../results.h5");
        assert_eq!(at("/runs/a/results.h5", "/runs/a"), "results.h5");
        assert_eq!(at("/runs/a/results.h5", "/runs/b"), "/runs/a/results.h5");
    }

    /// The palette of the Python package is that of the figures, past its end too.
    #[test]
    fn python_has_the_colours_of_the_figures() {
        let (_, text) = WITH[2];
        let listed =
            text.split("#").skip(1).filter_map(|t| u32::from_str_radix(t.get(..6)?, 16).ok());
        let listed: Vec<RGBColor> =
            listed.map(|x| RGBColor((x >> 16) as u8, (x >> 8) as u8, x as u8)).collect();
        let names: Vec<String> = (0..listed.len()).map(|i| format!("name{i}")).collect();
        let palette = Palette::new(names.iter().map(String::as_str));
        assert_eq!(listed.len(), 16);
        names.iter().zip(&listed).for_each(|(name, colour)| assert_eq!(palette.of(name), *colour));
        // Past the end by hue, as tests/python/test_reader.py has it.
        for (name, hex) in [("keeper", "#30A66D"), ("überdruß", "#30A63C")] {
            let RGBColor(r, g, b) = palette.of(name);
            assert_eq!(format!("#{r:02X}{g:02X}{b:02X}"), hex);
        }
    }
}
