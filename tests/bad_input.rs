//! Bad inputs through the real program: each is refused with the words of `fixtures/bad_input.txt` and no
//! others, which say what is wrong, where, and what to do, and nothing is left behind.
//!
//! A case is a command line (`$`), the files in the folder where it runs (`>`, with `\n`, `\\` and `\xFF`; `~` is
//! the quick study with a part of it replaced) and, up to an empty line, what follows `error: `. A toy model is
//! in `../model`. `<NAME>` is a form or list that many messages end with, given at the top. `BAD_INPUT=write`
//! writes the messages that there are now, to be read before they are kept. What several readers share (bytes
//! that are no text, outputs that are inputs) is in `inputs.rs`, what is wrong between keys of a manifest in
//! `study_check.rs`.

#[path = "common/toy.rs"]
#[allow(dead_code)]
mod toy;

use assert_cmd::Command;
use rayon::prelude::*;
use std::path::Path;

const QUICK: &str = include_str!("../assets/studies/quick.toml");

#[derive(Default)]
struct Case<'a> {
    args: &'a str,
    /// As the case writes them.
    files: Vec<&'a str>,
    says: String,
}

/// Name and content of a file.
fn file(line: &str) -> (&str, Vec<u8>) {
    let (name, text) = line[2..].split_once(' ').unwrap_or((&line[2..], ""));
    if line.starts_with('~') {
        let (from, to) = text.split_once(" => ").unwrap();
        assert!(QUICK.contains(from), "{line}");
        return (name, QUICK.replace(from, &to.replace("\\n", "\n")).into_bytes());
    }
    let (mut out, mut rest) = (Vec::new(), text.bytes());
    while let Some(byte) = rest.next() {
        out.push(match (byte, byte == b'\\') {
            (byte, false) => byte,
            _ => match rest.next().unwrap() {
                b'n' => b'\n',
                b'x' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                other => other,
            },
        });
    }
    (name, out)
}

/// The entries of a folder.
fn entries(folder: &Path) -> Vec<std::ffi::OsString> {
    let mut all: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name()).collect();
    all.sort();
    all
}

/// What a case's command says; it fails with 1, prints no result and writes nothing.
fn said(case: &Case, place: &Path, index: usize) -> String {
    // Messages name no folder of the test, so each case may have one of its own.
    let here = place.join(index.to_string());
    std::fs::create_dir(&here).unwrap();
    for (name, bytes) in case.files.iter().map(|line| file(line)) {
        std::fs::create_dir_all(here.join(name).parent().unwrap()).unwrap();
        std::fs::write(here.join(name), bytes).unwrap();
    }
    let before = entries(&here);
    let mut command = Command::cargo_bin("residuum").unwrap();
    command.args(case.args.split_whitespace()).current_dir(&here);
    let output = command.env("HF_HUB_OFFLINE", "1").env("HF_HOME", place).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let about = format!("{}, {:?}: {stderr}", case.args, case.files);
    assert_eq!(output.status.code(), Some(1), "{about}");
    assert!(output.stdout.is_empty(), "{about}");
    assert_eq!(entries(&here), before, "{about}");
    stderr.strip_prefix("error: ").unwrap_or(&stderr).to_owned()
}

#[test]
fn each_bad_input_is_refused_with_what_is_wrong_where_and_what_to_do() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bad_input.txt");
    let text = std::fs::read_to_string(&path).unwrap();
    let (mut names, mut cases, mut heads) = (Vec::new(), Vec::new(), Vec::new());
    for block in text.trim_end().split("\n\n") {
        if !block.starts_with('$') {
            names.extend(block.lines().filter_map(|l| l.strip_prefix('<')?.split_once("> = ")));
            heads.push((cases.len(), block));
            continue;
        }
        let mut case = Case::default();
        for line in block.lines() {
            match line.get(..2) {
                Some("$ ") => case.args = &line[2..],
                Some("> " | "~ ") if case.says.is_empty() => case.files.push(line),
                _ => case.says += &format!("{line}\n"),
            }
        }
        cases.push(case);
    }
    assert!(cases.len() >= 80, "{}", cases.len());
    let (place, toy) = (tempfile::tempdir().unwrap(), toy::Toy::new());
    std::fs::rename(toy.dir.path(), place.path().join("model")).unwrap();
    let said: Vec<String> =
        cases.par_iter().enumerate().map(|(i, case)| said(case, place.path(), i)).collect();
    if std::env::var_os("BAD_INPUT").is_some_and(|v| v == "write") {
        let mut out = String::new();
        for (i, (case, said)) in cases.iter().zip(&said).enumerate() {
            heads.iter().filter(|h| h.0 == i).for_each(|h| out += &format!("{}\n\n", h.1));
            let said =
                names.iter().fold(said.clone(), |s, (n, full)| s.replace(full, &format!("<{n}>")));
            let files: String = case.files.iter().map(|line| format!("{line}\n")).collect();
            out += &format!("$ {}\n{files}{said}\n", case.args);
        }
        return std::fs::write(&path, out.trim_end().to_owned() + "\n").unwrap();
    }
    let wrong = cases.iter().zip(&said).filter_map(|(case, said)| {
        let want =
            names.iter().fold(case.says.clone(), |s, (n, full)| s.replace(&format!("<{n}>"), full));
        let files = case.files.join("\n");
        (want != *said).then(|| format!("$ {}\n{files}\nsays {said}not  {want}", case.args))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{} other messages:\n{}", wrong.len(), wrong.join("\n"));
}
