//! Notes the commit that a build comes from, for the files that the build writes, and what it is built with and
//! for, for `--version` and `residuum doctor`.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=RESIDUUM_COMMIT={}", commit().unwrap_or_default());
    let var = |name: &str| std::env::var(name).unwrap_or_default();
    println!("cargo::rustc-env=RESIDUUM_TARGET={}", var("TARGET"));
    println!("cargo::rustc-env=RESIDUUM_PROFILE={}", var("PROFILE"));
    let rustc = output(&var("RUSTC"), &["--version"]).unwrap_or_default();
    println!("cargo::rustc-env=RESIDUUM_RUSTC={rustc}");
}

/// The commit checked out here, `-dirty` behind it where a tracked file differs; of a published
/// package the one that it was made from.
fn commit() -> Option<String> {
    const PACKAGED: &str = ".cargo_vcs_info.json";
    if Path::new(PACKAGED).exists() {
        println!("cargo::rerun-if-changed={PACKAGED}");
        let told = std::fs::read_to_string(PACKAGED).ok()?;
        let (_, rest) = told.split_once("\"sha1\"")?;
        return rest.split('"').nth(1).map(String::from);
    }
    // A folder that only lies inside somebody's repository has another top.
    let top = git(&["rev-parse", "--show-toplevel"])?;
    if Path::new(&top).canonicalize().ok()? != Path::new(".").canonicalize().ok()? {
        return None;
    }
    // The first tells of a new commit, the others of files that come to differ from it.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    let read = ["src", "probes", "assets", "Cargo.toml", "Cargo.lock"];
    for path in read.into_iter().chain([log.as_str()]).filter(|p| Path::new(p).exists()) {
        println!("cargo::rerun-if-changed={path}");
    }
    git(&["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"])
}

fn git(args: &[&str]) -> Option<String> {
    output("git", args)
}

/// What a program prints.
fn output(program: &str, args: &[&str]) -> Option<String> {
    let out = Command::new(program).args(args).output().ok().filter(|o| o.status.success())?;
    Some(String::from_utf8(out.stdout).ok()?.trim().to_owned())
}
