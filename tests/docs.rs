//! The papers of the repository: as long as they may be, true to the types, with links that lead
//! somewhere.

#[path = "../examples/format_doc.rs"]
mod format_doc;

use std::collections::{BTreeMap, BTreeSet};
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

/// The dependencies that are built in, by licence, as a table.
fn dependencies() -> String {
    let mut command = std::process::Command::new(env!("CARGO"));
    let command =
        command.current_dir(root()).args(["metadata", "--locked", "--format-version", "1"]);
    // As `deny.toml` has it: what `make build` builds.
    let output = command.args(["--filter-platform", "x86_64-unknown-linux-gnu"]).output().unwrap();
    let told = serde_json::from_slice::<serde_json::Value>(&output.stdout);
    let told = told.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let named =
        |of: &serde_json::Value, list: &str, key: &str| -> BTreeMap<String, serde_json::Value> {
            let all = of[list].as_array().unwrap().iter();
            all.map(|p| (p[key].as_str().unwrap().to_string(), p.clone())).collect()
        };
    let packages = named(&told, "packages", "id");
    let nodes = named(&told["resolve"], "nodes", "id");
    let own = told["resolve"]["root"].as_str().unwrap().to_string();
    let (mut seen, mut next) = (BTreeSet::new(), vec![own.clone()]);
    while let Some(id) = next.pop() {
        for dep in nodes[&id]["deps"].as_array().unwrap() {
            let kinds = dep["dep_kinds"].as_array().unwrap();
            let pkg = dep["pkg"].as_str().unwrap().to_string();
            if kinds.iter().any(|k| k["kind"] != "dev") && seen.insert(pkg.clone()) {
                next.push(pkg);
            }
        }
    }
    let mut by_licence: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in seen.iter().filter(|id| **id != own).map(|id| &packages[id]) {
        let word = |key: &str| package[key].as_str().unwrap_or_default().to_string();
        let licence = match word("license") {
            none if none.is_empty() => {
                format!("its own, {} (of HDF5: BSD-3-Clause)", word("license_file"))
            }
            some => some.replace('/', " OR ").replace("  ", " "),
        };
        by_licence.entry(licence).or_default().push(format!(
            "{} {}",
            word("name"),
            word("version")
        ));
    }
    let mut table = String::from("| licence | crates |\n|---|---|\n");
    for (licence, mut crates) in by_licence {
        crates.sort();
        table += &format!("| {licence} | {} |\n", crates.join(", "));
    }
    table
}

#[test]
fn the_licences_of_what_is_built_in_are_listed() {
    const BEGIN: &str = "<!-- made by: LICENCES=write cargo test --test docs licences -->\n";
    let path = root().join("docs/licences.md");
    let text = read("docs/licences.md");
    let (before, old) = text.split_once(BEGIN).expect("the mark of the generated part");
    let new = dependencies();
    if std::env::var("LICENCES").is_ok_and(|v| v == "write") {
        fs::write(&path, format!("{before}{BEGIN}{new}")).unwrap();
        return;
    }
    let gone = old.lines().find(|l| !new.contains(l));
    assert!(old == new, "docs/licences.md is not what Cargo.lock says; run {BEGIN}first: {gone:?}");
    for (name, entry) in residuum::model::catalogue::entries().unwrap() {
        assert!(before.contains(&format!("| {name} | {} |", entry.licence)), "{name}");
    }
    for font in fs::read_dir(root().join("assets/fonts")).unwrap() {
        let name = font.unwrap().file_name().into_string().unwrap();
        assert!(!name.ends_with(".ttf") || before.contains(&name), "{name}");
    }
}

#[test]
fn the_hosted_checks_are_those_of_this_repository_and_more() {
    let hosted = read(".github/workflows/ci.yml");
    let steps: Vec<&str> =
        hosted.lines().filter_map(|l| l.trim().strip_prefix("- run: ")).collect();
    assert!(steps.contains(&"bash .ci/run"), "{steps:?}");
    let manifest = read("Cargo.toml");
    let oldest = manifest.lines().find_map(|l| l.strip_prefix("rust-version = ")).unwrap();
    let checked = format!("cargo +{} check --locked --lib --bins", oldest.trim_matches('"'));
    assert!(steps.contains(&checked.as_str()), "{checked} is not among {steps:?}");
    assert!(read("README.md")
        .contains(&format!("rustc and cargo ({} or later)", oldest.trim_matches('"'))));
    // What a change must pass is what CONTRIBUTING says, and every target that is called is there.
    let (makefile, contributing) = (read("Makefile"), read("CONTRIBUTING.md"));
    let local = read(".ci/run");
    let called = |text: &str| -> Vec<String> {
        let all = text.lines().map(|l| l.trim().trim_start_matches("- run: "));
        all.filter_map(|l| l.strip_prefix("make ")).map(String::from).collect()
    };
    for target in called(&local) {
        assert!(contributing.contains(&format!("    make {target}")), "{target}");
    }
    for target in called(&local).into_iter().chain(called(&hosted)) {
        assert!(makefile.contains(&format!("\n{target}:")), "make {target}");
    }
    // Format, lints and tests are in `.ci/run`; the rest is here.
    let all = ["cargo doc", "cargo package", "cargo deny", "--no-default-features", "make wheel"];
    for what in all {
        assert!(steps.iter().any(|s| s.contains(what)), "{what}");
    }
}

/// Bytes of the published sources at most, unpacked.
const PACKAGE: u64 = 8_000_000;

#[test]
fn a_published_package_holds_what_a_build_reads_and_little_else() {
    let mut command = std::process::Command::new(env!("CARGO"));
    let args = ["package", "--list", "--allow-dirty", "--locked"];
    let output = command.current_dir(root()).args(args).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    // There is no page on the web to name.
    let doubts = stderr.lines().filter(|l| l.starts_with("warning"));
    let doubts = doubts.filter(|l| !l.contains("no documentation, homepage or repository"));
    assert!(output.status.success() && doubts.count() == 0, "{stderr}");
    let listed = String::from_utf8(output.stdout).unwrap();
    let size = |name: &str| fs::metadata(root().join(name)).map_or(0, |m| m.len());
    let bytes: u64 = listed.lines().map(size).sum();
    println!("{} files, {:.1} MB", listed.lines().count(), bytes as f64 / 1e6);
    assert!(bytes <= PACKAGE, "{bytes} bytes");
    for needed in [
        "Cargo.lock",
        "build.rs",
        "README.md",
        "CHANGELOG.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "assets/models.toml",
        "assets/fonts/OFL.txt",
        "docs/licences.md",
    ] {
        assert!(listed.lines().any(|l| l == needed), "{needed} is not shipped");
    }
    let internal =
        |l: &&str| [".github/", ".ci/", "tests/", "LOG.md"].iter().any(|p| l.starts_with(p));
    assert_eq!(listed.lines().find(internal), None);
}
