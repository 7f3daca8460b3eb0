//! The rules of the house, held by reading `src/` as text: data flows one way, no two files need each
//! other, functions fit on a screen, and the code does not grow.
//!
//! A file is read up to its tests, a `#[cfg(test)] mod` with a body, and files of tests not at all. A line
//! of code is one that is neither blank nor begins with `//`; those of a function begin with its signature.
//! Paths count wherever they stand in the code, in `use` lines and inline, but not in comments and strings;
//! a `mod.rs` re-exports and so makes no circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from the top down. A room imports only from lines below its own. Beside the order of the
/// data: behavior projects what capture reads, export writes the erasers of directions, and speed
/// times capture, behavior and training.
const ORDER: [&[&str]; 12] = [
    &["cli"],
    &["study"],
    &["report"],
    &["analysis", "speed"],
    &["finetune", "causal"],
    &["behavior"],
    &["capture", "figures", "export"],
    &["directions", "geometry"],
    &["materials"],
    &["model"],
    &["store"],
    &["ops", "stats"],
];

/// Lines of code of a function.
const LONGEST_FUNCTION: usize = 120;
/// Lines of code of a file.
const LONGEST_FILE: usize = 450;
/// Lines of code of `src/`, rounded up to the next 100. It rises with what users get (model families,
/// kernels, weights as stored) and with nothing else.
const CEILING: usize = 59_700;

/// A file of `src/`.
struct Source {
    file: PathBuf,
    /// Its module: `["model", "hub"]` for `src/model/hub/mod.rs`.
    module: Vec<String>,
    /// Up to its tests.
    code: String,
    tokens: Vec<Token>,
}

/// A word, `::`, or one character of what else there is.
struct Token {
    text: String,
    line: usize,
}

impl Source {
    fn room(&self) -> &str {
        self.module.first().map_or("lib.rs", String::as_str)
    }

    fn is_index(&self) -> bool {
        self.file.ends_with("mod.rs") || self.module.is_empty()
    }

    fn name(&self) -> String {
        self.file.display().to_string()
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut found) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && !stem.ends_with("tests") {
                let file = path.strip_prefix(&root).unwrap().to_path_buf();
                let names = file.with_extension("");
                let names = names.iter().map(|n| n.to_string_lossy().into_owned());
                let module = names.filter(|n| !["mod", "lib", "main"].contains(&n.as_str()));
                let text = fs::read_to_string(&path).unwrap();
                let code = without_tests(&text).to_owned();
                found.push(Source { module: module.collect(), tokens: tokens(&code), code, file });
            }
        }
    }
    assert!(found.len() > 100, "src/ is at {}", root.display());
    found.sort_by(|a, b| a.file.cmp(&b.file));
    found
}

fn without_tests(text: &str) -> &str {
    let test = "\n#[cfg(test)]\n";
    let body = |at: &usize| {
        let line = text[at + test.len()..].lines().next().unwrap_or("");
        line.contains("mod ") && line.ends_with('{')
    };
    let mut tests = text.match_indices(test).map(|(at, _)| at);
    tests.find(body).map_or(text, |at| &text[..at])
}

/// The tokens of a text without its comments, strings and characters.
fn tokens(code: &str) -> Vec<Token> {
    let chars: Vec<char> = code.chars().collect();
    let starts =
        |i: usize, what: &str| what.chars().enumerate().all(|(k, c)| chars.get(i + k) == Some(&c));
    let find = |from: usize, what: &str| (from..chars.len()).find(|&i| starts(i, what));
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut out, mut line, mut i) = (Vec::new(), 1, 0);
    while i < chars.len() {
        let hash = |c: &&char| chars[i] == 'r' && **c == '#';
        let hashes = chars[i + 1..].iter().take_while(hash).count();
        let raw = chars[i] == 'r' && chars.get(i + 1 + hashes) == Some(&'"');
        let next = if starts(i, "//") {
            find(i, "\n").unwrap_or(chars.len())
        } else if starts(i, "/*") {
            find(i, "*/").map_or(chars.len(), |end| end + 2)
        } else if raw {
            let close = format!("\"{}", "#".repeat(hashes));
            find(i + hashes + 2, &close).map_or(chars.len(), |end| end + 1 + hashes)
        } else if chars[i] == '"' {
            let mut end = i + 1;
            while chars.get(end).is_some_and(|c| *c != '"') {
                end += if chars[end] == '\\' { 2 } else { 1 };
            }
            end + 1
        } else if starts(i, "'\\") {
            find(i + 3, "'").map_or(chars.len(), |end| end + 1)
        } else if chars[i] == '\'' && chars.get(i + 2) == Some(&'\'') {
            i + 3
        } else {
            let end = match chars[i] {
                c if word(c) => (i..chars.len()).find(|&k| !word(chars[k])).unwrap_or(chars.len()),
                ':' if starts(i, "::") => i + 2,
                _ => i + 1,
            };
            if !chars[i].is_whitespace() {
                let text = chars[i..end].iter().collect();
                out.push(Token { text, line });
            }
            end
        };
        let next = next.min(chars.len());
        line += chars[i..next].iter().filter(|c| **c == '\n').count();
        i = next;
    }
    out
}

/// The paths of the crate that a file names, from the crate's root, each with its line.
fn imports(source: &Source) -> Vec<(usize, Vec<String>)> {
    let mut out = Vec::new();
    let mut i = 0;
    while i < source.tokens.len() {
        match source.tokens[i].text.as_str() {
            "crate" | "super" => i = tree(source, i, &source.module, &mut out),
            _ => i += 1,
        }
    }
    out
}

/// Reads `a::b::{c, d}` from token `i` on, below `prefix`; gives the token behind it.
fn tree(
    source: &Source,
    mut i: usize,
    prefix: &[String],
    out: &mut Vec<(usize, Vec<String>)>,
) -> usize {
    let at = |i: usize| source.tokens.get(i).map_or("", |t| t.text.as_str());
    let (mut path, line) = (prefix.to_vec(), source.tokens[i].line);
    loop {
        match at(i) {
            "crate" => path.clear(),
            "super" => drop(path.pop()),
            "self" => {}
            "{" => {
                i += 1;
                while !["}", ""].contains(&at(i)) {
                    i = match at(i) {
                        "," => i + 1,
                        _ => tree(source, i, &path, out),
                    };
                }
                return i + 1;
            }
            name => path.push(name.to_owned()),
        }
        i += 1;
        if at(i) != "::" || !at(i + 1).starts_with(|c: char| c.is_alphabetic() || "_{*".contains(c))
        {
            break;
        }
        i += 1;
    }
    out.push((line, path));
    match at(i) {
        "as" => i + 2,
        _ => i,
    }
}

fn is_code(line: &&str) -> bool {
    !line.trim().is_empty() && !line.trim().starts_with("//")
}

#[test]
fn no_room_imports_from_a_room_above_or_beside_it() {
    let place = |room: &str| ORDER.iter().position(|line| line.contains(&room));
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|s| !s.module.is_empty()) {
        let Some(own) = place(source.room()) else {
            panic!("the room of src/{} has no place in ORDER", source.name());
        };
        for (line, path) in imports(source) {
            let Some(other) = path.first().filter(|to| *to != source.room()) else {
                continue;
            };
            if place(other).is_some_and(|other| other <= own) {
                wrong.push(format!("src/{}:{line} imports {}", source.name(), path.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "upward:\n{}", wrong.join("\n"));
}

#[test]
fn no_two_files_need_each_other() {
    let sources = sources();
    let index: BTreeMap<&[String], usize> =
        (sources.iter().enumerate()).map(|(i, s)| (s.module.as_slice(), i)).collect();
    let target =
        |path: &[String]| (1..=path.len()).rev().find_map(|n| index.get(&path[..n])).copied();
    let edges: Vec<BTreeSet<usize>> = (sources.iter().enumerate())
        .map(|(from, s)| {
            let to = imports(s).into_iter().filter_map(|(_, path)| target(&path));
            to.filter(|&to| to != from && !sources[to].is_index()).collect()
        })
        .collect();
    let reached = |from: usize| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(i) = next.pop() {
            next.extend(edges[i].iter().filter(|&&to| seen.insert(to)));
        }
        seen
    };
    let reach: Vec<BTreeSet<usize>> = (0..sources.len()).map(reached).collect();
    let mut circles = BTreeSet::new();
    for (i, others) in reach.iter().enumerate().filter(|(i, r)| r.contains(i)) {
        let circle = others.iter().filter(|&&j| reach[j].contains(&i));
        circles.insert(circle.map(|&j| sources[j].name()).collect::<Vec<_>>().join(" "));
    }
    assert!(circles.is_empty(), "circles of files:\n{circles:#?}");
}

#[test]
fn functions_and_files_keep_their_bounds() {
    let mut long = Vec::new();
    for source in sources() {
        let lines: Vec<&str> = source.code.lines().collect();
        let all = lines.iter().filter(|l| is_code(l)).count();
        if all > LONGEST_FILE {
            long.push(format!("src/{}: {all} lines", source.name()));
        }
        let text = |i: usize| source.tokens[i].text.as_str();
        let n = source.tokens.len();
        for start in (0..n).filter(|&i| text(i) == "fn") {
            // The body opens at the first brace outside brackets; a function of a trait may have none.
            let mut depth = 0;
            let opens = (start..n).find(|&i| {
                depth += i32::from("([".contains(text(i))) - i32::from(")]".contains(text(i)));
                depth == 0 && ["{", ";"].contains(&text(i)) || depth < 0
            });
            let Some(opens) = opens.filter(|&i| text(i) == "{") else {
                continue;
            };
            let closes = (opens..n).find(|&i| {
                depth += i32::from(text(i) == "{") - i32::from(text(i) == "}");
                depth == 0
            });
            let (from, to) = (source.tokens[start].line, source.tokens[closes.unwrap()].line);
            let count = lines[from - 1..to].iter().filter(|l| is_code(l)).count();
            if count > LONGEST_FUNCTION {
                long.push(format!(
                    "src/{}:{from} {}: {count} lines",
                    source.name(),
                    text(start + 1)
                ));
            }
        }
    }
    assert!(long.is_empty(), "too long:\n{}", long.join("\n"));
}

#[test]
fn the_code_does_not_grow() {
    let mut rooms: BTreeMap<String, usize> = BTreeMap::new();
    for source in sources() {
        let lines = source.code.lines().filter(is_code).count();
        *rooms.entry(source.room().to_owned()).or_default() += lines;
    }
    let sum: usize = rooms.values().sum();
    let mut rooms: Vec<_> = rooms.into_iter().collect();
    rooms.sort_by_key(|(_, lines)| std::cmp::Reverse(*lines));
    println!("{sum:7} src");
    rooms.iter().for_each(|(room, lines)| println!("{lines:7} {room}"));
    assert!(sum <= CEILING, "src/ has {sum} lines of code, above {CEILING}");
}
