//! The papers of the repository: as long as they may be, true to the types, with links that lead
//! somewhere.

#[path = "../examples/format_doc.rs"]
mod format_doc;

use std::fs;
use std::path::{Path, PathBuf};

const README_WORDS: usize = 1000;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// All Markdown that a reader meets: at the top and in docs/.
fn papers() -> Vec<PathBuf> {
    let below = |folder: PathBuf| fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let all = below(root().into()).chain(below(root().join("docs")));
    all.filter(|p| p.extension().is_some_and(|e| e == "md")).collect()
}

/// Targets of `[text](target)`, code left out.
fn links(text: &str) -> Vec<String> {
    let mut fenced = false;
    let prose = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fence && !fenced
    });
    let prose: Vec<String> =
        prose.map(|line| line.split('`').step_by(2).collect::<Vec<_>>().join("x")).collect();
    let prose = prose.join("\n");
    let after = prose.split("](").skip(1);
    after.filter_map(|rest| Some(rest.split_once(')')?.0.to_string())).collect()
}

#[test]
fn the_readme_is_short() {
    let words = read("README.md").split_whitespace().count();
    assert!(words <= README_WORDS, "{words} words");
}

#[test]
fn the_format_is_documented_as_the_types_say() {
    let name = "docs/format.md";
    let text = read(name);
    let new = format_doc::replaced(&text).expect("the marks of the generated part");
    let differs = (text.lines().zip(new.lines())).find(|(a, b)| a != b);
    assert!(
        text == new,
        "{name} is not what the types give; run: {}\nfirst difference: {differs:?}",
        format_doc::MARKS[0]
    );
}

#[test]
fn every_link_leads_to_a_file() {
    for paper in papers() {
        let text = fs::read_to_string(&paper).unwrap();
        let folder = paper.parent().unwrap();
        for link in links(&text) {
            let target = link.split('#').next().unwrap_or_default();
            let elsewhere = target.is_empty() || target.contains(':');
            assert!(
                elsewhere || folder.join(target).exists(),
                "{}: nothing is at {link}",
                paper.display()
            );
        }
    }
}

#[test]
fn every_document_is_reached_from_the_readme() {
    let text = read("README.md");
    for paper in papers() {
        let name = paper.strip_prefix(root()).unwrap().display().to_string();
        let internal = ["README.md", "LOG.md"].contains(&name.as_str());
        assert!(internal || text.contains(&format!("]({name})")), "{name}");
    }
}
