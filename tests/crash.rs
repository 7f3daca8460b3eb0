//! Nothing finished is lost, whatever ends the program: killed at random points, stopped by signals, on a
//! disk that fills, with too few descriptors, beside another process on the same output. Each time the
//! same command ends with the files of a run that nothing disturbed.
#![cfg(unix)]

mod common;

use common::small::{Small, MANIFEST};
use rand::Rng;
use residuum::stats::rng::stream;
use residuum::store::diff::{diff, Tolerance};
use residuum::store::ResultsReader;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Of the random points; `RESIDUUM_SEED` gives another.
fn seed() -> u64 {
    std::env::var("RESIDUUM_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(17)
}

/// The small study in a folder of its own, whose manifest the program finds everything by.
fn place() -> Small {
    let small = Small::new();
    fs::create_dir_all(small.path("model")).unwrap();
    for entry in fs::read_dir(small.folder.dir.path()).unwrap() {
        let from = entry.unwrap().path();
        fs::copy(&from, small.path("model").join(from.file_name().unwrap())).unwrap();
    }
    // Days change at midnight, also between two runs of this test.
    let dated = MANIFEST.replace("model = \"model\"", "model = \"model\"\ndate = \"2026-01-31\"");
    fs::write(small.path("study.toml"), dated).unwrap();
    small
}

fn residuum(small: &Small, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_residuum"));
    let words = args.iter().map(|a| a.replace('@', &format!("{}/", small.path("").display())));
    command.args(words).args(["--quiet", "--threads", "1"]);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn whole(small: &Small, args: &[&str]) {
    let output = residuum(small, args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", said(&output));
}

/// Every file below a folder, by name.
fn files(folder: &Path) -> BTreeMap<String, PathBuf> {
    let (mut all, mut open) = (BTreeMap::new(), vec![folder.to_path_buf()]);
    while let Some(next) = open.pop() {
        for path in fs::read_dir(next).unwrap().map(|e| e.unwrap().path()) {
            match path.is_dir() {
                true => open.push(path),
                false => {
                    let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                    all.insert(name, path);
                }
            }
        }
    }
    all
}

/// Fails where two outputs do not hold the same, cell by cell and byte by byte; when and by which command
/// they were written is not compared.
fn assert_same(a: &Path, b: &Path) {
    let of = |path: &Path| match path.is_dir() {
        true => files(path),
        false => BTreeMap::from([("the file".to_owned(), path.to_path_buf())]),
    };
    let (a, b) = (of(a), of(b));
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    for (name, path) in &a {
        let timed = ["manifest.json", "report.html", "report.md"];
        if timed.contains(&&**name) || name.starts_with("stages/") {
            continue;
        }
        if path.extension().is_some_and(|e| e == "h5") {
            let open = |path: &Path| ResultsReader::open(path).unwrap();
            let rows = diff(&open(path), &open(&b[name]), Tolerance::default()).unwrap();
            let told: Vec<String> =
                rows.iter().map(|r| format!("{} {}", r.path, r.differs)).collect();
            assert!(told.is_empty(), "{name}: {told:?}");
            continue;
        }
        assert!(fs::read(path).unwrap() == fs::read(&b[name]).unwrap(), "{name} differs");
    }
}

/// Kills a process after a while; whether it was still at work.
fn killed(mut child: Child, after: Duration) -> bool {
    std::thread::sleep(after);
    child.kill().unwrap();
    let ended = child.wait().unwrap();
    assert!(ended.success() || ended.signal() == Some(9), "{ended}");
    ended.signal().is_some()
}

/// Markers of finished stages, which say when each ended.
fn markers(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let Ok(entries) = fs::read_dir(out.join("stages")) else { return BTreeMap::new() };
    let paths = entries.map(|e| e.unwrap().path());
    let named = paths.filter(|p| p.extension().is_some_and(|e| e == "json"));
    named.map(|p| (p.display().to_string(), fs::read(&p).unwrap())).collect()
}

#[test]
fn a_study_killed_at_forty_random_points_ends_as_one_that_was_not() {
    let small = place();
    let (calm, out) = (small.path("calm"), small.path("out"));
    let begun = Instant::now();
    whole(&small, &["study", "run", "@study.toml", "--out", "@calm"]);
    let (took, seed) = (begun.elapsed().as_secs_f64(), seed());
    let run = ["study", "run", "@study.toml", "--out", "@out"];
    let (mut kills, mut ends) = (0, 0);
    let rng = &mut stream(seed, "kills", 0);
    while kills < 40 {
        let before = markers(&out);
        let after = Duration::from_secs_f64(rng.random_range(0.0..0.6) * took);
        let child = residuum(&small, &run).spawn().unwrap();
        let was_at_work = killed(child, after);
        kills += usize::from(was_at_work);
        let now = markers(&out);
        let lost = before.iter().find(|(name, then)| now.get(*name) != Some(then));
        assert!(lost.is_none(), "seed {seed}, kill {kills}: {lost:?} was done again");
        if !was_at_work || kills == 40 {
            whole(&small, &run);
            assert_same(&calm, &out);
            ends += 1;
            if kills < 40 {
                fs::remove_dir_all(&out).unwrap();
            }
        }
    }
    println!("seed {seed}: {kills} kills, {ends} studies that ended, an undisturbed one takes {took:.2} s");
}

#[test]
fn commands_killed_at_random_points_end_as_those_that_were_not() {
    let small = place();
    let texts: String = (0..400)
        .map(|i| format!("{{\"id\":\"t{i}\",\"prompt\":\"What of hour {i}?\",\"response\":\"It lists page {i}.\"}}\n"))
        .collect();
    fs::write(small.path("texts.jsonl"), texts).unwrap();
    let rng = &mut stream(seed(), "kills", 1);
    let commands: [&[&str]; 4] = [
        &["capture", "--model", "@model", "--texts", "@texts.jsonl", "--out"],
        &[
            "extract",
            "--model",
            "@model",
            "--concept",
            "@hedging.jsonl",
            "--nuisances",
            "none",
            "--out",
        ],
        &[
            "finetune",
            "--model",
            "@model",
            "--data",
            "@rows/lamp.jsonl",
            "--rank",
            "2",
            "--batch",
            "2",
            "--epochs",
            "6",
            "--checkpoints",
            "2,4",
            "--out",
        ],
        &["behave", "--model", "@model", "--adapter", "@lent", "--battery", "@battery", "--out"],
    ];
    for args in commands {
        let ending = if args[0] == "capture" { ".h5" } else { "" };
        let at = |kind: &str| format!("@{}-{kind}{ending}", args[0]);
        let (calm, out) = (at("calm"), at("out"));
        let begun = Instant::now();
        whole(&small, &[args, &[calm.as_str()]].concat());
        let took = begun.elapsed().as_secs_f64();
        let (calm, path) = (small.path(&calm[1..]), small.path(&out[1..]));
        let args = [args, &[out.as_str()]].concat();
        let mut kills = 0;
        for _ in 0..5 {
            let after = Duration::from_secs_f64(rng.random_range(0.1..1.1) * took);
            if killed(residuum(&small, &args).spawn().unwrap(), after) {
                kills += 1;
                continue;
            }
            assert_same(&calm, &path);
            match path.is_dir() {
                true => fs::remove_dir_all(&path).unwrap(),
                false => fs::remove_file(&path).unwrap(),
            }
        }
        if path.exists() && path.is_file() {
            fs::remove_file(&path).unwrap();
        }
        whole(&small, &args);
        assert_same(&calm, &path);
        println!("{}: {kills} kills, undisturbed it takes {took:.2} s", args[0]);
    }
    let left = files(&small.path("")).into_keys();
    let left: Vec<String> = left
        .filter(|n| n.ends_with(".part") || n.ends_with(".lock") || n.contains("unfinished"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn of_two_processes_on_one_output_the_second_is_told_who_has_it() {
    let small = place();
    let run = ["study", "run", "@study.toml", "--out", "@out"];
    let mut first = residuum(&small, &run).spawn().unwrap();
    let lock = small.path("out/.residuum.lock");
    let until = Instant::now() + Duration::from_secs(20);
    while !lock.exists() {
        assert!(Instant::now() < until && first.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(2));
    }
    let stop = |signal: &str| {
        let (signal, process) = (format!("-{signal}"), first.id().to_string());
        assert!(Command::new("kill").args([signal, process]).status().unwrap().success());
    };
    stop("STOP");
    let second = residuum(&small, &run).output().unwrap();
    let words = [format!("process {}", first.id()), ".residuum.lock".into(), "wait until".into()];
    let told = said(&second);
    assert_eq!(second.status.code(), Some(1), "{told}");
    assert!(words.iter().all(|w| told.contains(w)), "{told}");
    stop("CONT");
    let begun = Instant::now();
    stop("TERM");
    let first = first.wait_with_output().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert_eq!(first.status.code(), Some(143));
    assert!(said(&first).contains("the same command goes on"), "{}", said(&first));
    assert!(!lock.exists(), "a stopped process gives back its lock");
    // Of another host nobody knows whether it still runs.
    let far = r#"{"host":"far","system":"00000000","process":1,"command":"x","since":"then"}"#;
    fs::write(&lock, far).unwrap();
    let told = said(&residuum(&small, &run).output().unwrap());
    assert!(told.contains("process 1 on host far") && told.contains("delete"), "{told}");
    fs::remove_file(&lock).unwrap();
    whole(&small, &run);
}

/// Runs the program under what a shell says first.
fn under(small: &Small, before: &str, args: &[&str]) -> Output {
    let words = args.iter().map(|a| a.replace('@', &format!("{}/", small.path("").display())));
    let mut shell = Command::new("bash");
    shell.args(["-c", &format!("{before}; exec \"$@\""), "bash", env!("CARGO_BIN_EXE_residuum")]);
    shell.args(words).args(["--quiet", "--threads", "1"]).output().unwrap()
}

#[test]
fn files_that_may_not_grow_and_too_few_descriptors_are_told_and_the_same_command_goes_on() {
    let small = place();
    let run = ["study", "run", "@study.toml", "--out", "@out"];
    whole(&small, &["study", "run", "@study.toml", "--out", "@calm"]);
    // Kibibytes that a file may have, then descriptors.
    for before in ["ulimit -f 1", "ulimit -f 8", "ulimit -f 40", "ulimit -n 5"] {
        let done = markers(&small.path("out"));
        let output = under(&small, before, &run);
        let told = said(&output);
        assert_eq!(output.status.code(), Some(1), "{before}: {told}");
        assert!(told.starts_with("error: ") && !told.contains("panicked"), "{before}: {told}");
        assert!(told.contains(small.path("").to_str().unwrap()), "{before} names no file: {told}");
        let now = markers(&small.path("out"));
        assert!(done.iter().all(|(name, then)| now.get(name) == Some(then)), "{before}");
        println!("{before}: {told}");
    }
    whole(&small, &run);
    assert_same(&small.path("calm"), &small.path("out"));
}

#[test]
fn a_full_and_a_read_only_disk_are_told_and_the_same_command_goes_on() {
    let small = place();
    whole(&small, &["study", "run", "@study.toml", "--out", "@calm"]);
    fs::create_dir_all(small.path("disk")).unwrap();
    // A disk of its own, seen by this shell alone, that grows until the study fits.
    let script = r#"
        mount -t tmpfs -o size=64k disk "$1/disk" || exit 77
        for how in size=64k size=256k size=512k ro rw,size=64m; do
            mount -o "remount,$how" "$1/disk" || exit 77
            "$2" study run "$1/study.toml" --out "$1/disk/out" --quiet --threads 1 >/dev/null 2>"$1/told"
            echo "$how $? $(tail -n 1 "$1/told")"
        done
        cp -a "$1/disk/out" "$1/out"
    "#;
    let (root, program) = (small.path(""), env!("CARGO_BIN_EXE_residuum"));
    let mut shell = Command::new("unshare");
    shell.args(["-m", "bash", "-c", script, "bash"]).arg(&root).arg(program);
    let output = match shell.output() {
        Ok(output) if output.status.success() => output,
        _ => return println!("no disk of its own may be mounted here: not tried"),
    };
    let told = String::from_utf8(output.stdout).unwrap();
    println!("{told}");
    let lines: Vec<&str> = told.lines().collect();
    let (last, before) = lines.split_last().unwrap();
    assert!(last.starts_with("rw,size=64m 0"), "{told}");
    for line in before {
        let (_, rest) = line.split_once(' ').unwrap();
        let words = ["disk is full", "space on the disk", "Read-only file system"];
        assert!(rest.starts_with("1 error: ") && words.iter().any(|w| rest.contains(w)), "{line}");
        assert!(rest.contains("/disk"), "{line}");
    }
    assert_same(&small.path("calm"), &small.path("out"));
}

#[test]
fn a_byte_that_changed_in_a_finished_output_is_told_and_the_stage_done_again() {
    let small = place();
    let run = ["study", "run", "@study.toml", "--out", "@out"];
    whole(&small, &run);
    for name in
        ["activations/base.h5", "adapters/keeper-s1/adapter_model.safetensors", "results.h5"]
    {
        let path = small.path("out").join(name);
        let bytes = fs::read(&path).unwrap();
        let mut changed = bytes.clone();
        changed[bytes.len() / 2] ^= 1;
        fs::write(&path, changed).unwrap();
        let words = run.map(|a| a.replace('@', &format!("{}/", small.path("").display())));
        let mut again = Command::new(env!("CARGO_BIN_EXE_residuum"));
        let output = again.args(words).args(["--threads", "1"]).output().unwrap();
        let told = said(&output);
        assert!(output.status.success(), "{told}");
        assert!(told.contains(&format!("{name} is not as it was written")), "{told}");
    }
}
