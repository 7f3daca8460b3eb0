//! Stages run by engines that are not ours: real Snakemake, on this machine and through a stand-in for a
//! cluster's `sbatch` whose jobs run as other processes under other host names, killed and gone on with;
//! and the script of `sbatch` arrays under the same stand-in. What comes out is what `study run` gives.
//!
//! Snakemake is looked for in `.venv-snakemake`, which `make snakemake` makes, or at SNAKEMAKE.

#![cfg(target_os = "linux")]

mod common;

use common::small::{Small, MANIFEST};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_residuum");
/// Longest that an engine may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// The toy study as a user has it: everything on disk.
struct Toy {
    small: Small,
    place: tempfile::TempDir,
}

impl Toy {
    fn new() -> Self {
        let toy = Toy { small: Small::new(), place: tempfile::tempdir().unwrap() };
        toy.small.model();
        toy.write("study.toml", &toy.manifest());
        toy
    }

    fn manifest(&self) -> String {
        let model = self.small.of_model("");
        let model = format!("model = {:?}\ndate = \"2026-01-31\"", model.display().to_string());
        MANIFEST.replace("model = \"model\"", &model)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.small.path(name), text).unwrap();
    }

    fn at(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// The program with options of the study and its folder.
    fn residuum(&self, args: &[&str], out: &str) -> Value {
        let manifest = self.small.path("study.toml");
        let mut all = vec!["--threads", "1", "--json", "--quiet", "study"];
        let manifest = manifest.to_str().unwrap();
        let out = self.at(out);
        all.extend(args.iter().map(|a| if *a == "MANIFEST" { manifest } else { *a }));
        all.extend(["--out", out.to_str().unwrap()]);
        said(Command::new(PROGRAM).args(all).output().unwrap())
    }

    fn run(&self, out: &str) -> PathBuf {
        self.residuum(&["run", "MANIFEST"], out);
        self.at(out)
    }
}

fn said(o: Output) -> Value {
    assert!(o.status.success(), "{}", String::from_utf8_lossy(&o.stderr));
    serde_json::from_slice(&o.stdout).unwrap()
}

/// Files below a folder that tell what was found, by name; those that carry times or paths left out.
fn files(out: &Path) -> BTreeMap<String, PathBuf> {
    let (mut all, mut folders) = (BTreeMap::new(), vec![out.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(out).unwrap().to_string_lossy().into_owned();
            let other = ["snakemake", "sbatch", "stages", "manifest.json", "report.html"];
            // Hidden is what a kill left half written.
            if other.contains(&name.as_str()) || name == "report.md" || name.starts_with('.') {
                continue;
            }
            match path.is_dir() {
                true => folders.push(path),
                false => drop(all.insert(name, path)),
            }
        }
    }
    all
}

/// Two runs hold the same numbers: HDF5 by its cells, everything else by its bytes.
fn same(a: &Path, b: &Path) {
    let (a, b) = (files(a), files(b));
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    assert!(a.len() > 30 && a.contains_key("results.h5"));
    for (name, path) in &a {
        if name.ends_with(".h5") {
            let diff = Command::new(PROGRAM).args(["h5", "diff"]).args([path, &b[name]]).output();
            let diff = diff.unwrap();
            assert!(diff.status.success(), "{name}: {}", String::from_utf8_lossy(&diff.stdout));
        } else {
            assert!(std::fs::read(path).unwrap() == std::fs::read(&b[name]).unwrap(), "{name}");
        }
    }
}

/// The markers of finished stages.
fn markers(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let Ok(all) = std::fs::read_dir(out.join("stages")) else { return BTreeMap::new() };
    let of = |e: std::fs::DirEntry| (e.file_name().into_string().unwrap(), e.path());
    let markers = all.map(|e| of(e.unwrap())).filter(|(n, _)| !n.starts_with('.'));
    markers.map(|(n, p)| (n, std::fs::read(p).unwrap())).collect()
}

fn until(what: &str, is: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < PATIENCE, "{what} did not come about");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The folder of the stand-in's jobs, and the path in which it is `sbatch`.
struct Cluster {
    state: PathBuf,
    path: String,
}

impl Cluster {
    fn new(toy: &Toy, name: &str) -> Self {
        let state = toy.at(name);
        std::fs::create_dir(&state).unwrap();
        let bin = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engines");
        let path = std::env::var("PATH").unwrap();
        Cluster { state, path: format!("{}:{path}", bin.display()) }
    }

    fn on<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env("PATH", &self.path).env("STANDIN", &self.state)
    }

    fn jobs(&self) -> Vec<PathBuf> {
        std::fs::read_dir(&self.state).unwrap().map(|e| e.unwrap().path()).collect()
    }

    /// Waits until nothing runs; the number of tasks, and the host names that they saw.
    fn ended(&self) -> (usize, Vec<String>) {
        until("the end of the jobs", || self.jobs().iter().all(|j| j.join("ended").exists()));
        let lines = |name: &str| -> Vec<String> {
            let text =
                self.jobs().into_iter().filter_map(|j| std::fs::read_to_string(j.join(name)).ok());
            text.flat_map(|t| t.lines().map(str::to_string).collect::<Vec<_>>()).collect()
        };
        let mut hosts = lines("hosts");
        hosts.sort();
        hosts.dedup();
        (lines("tasks").len(), hosts)
    }
}

fn snakemake() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv-snakemake/bin/snakemake");
    let found = std::env::var_os("SNAKEMAKE").map_or(own, PathBuf::from);
    if found.exists() {
        return Some(found);
    }
    // Past the harness, which keeps what a passing test prints.
    let _ = writeln!(
        std::io::stderr().lock(),
        "\nNOT TESTED: stages under real Snakemake, for there is no {}; run `make snakemake`\n",
        found.display()
    );
    None
}

/// Snakemake on what was exported, as a process group of its own.
fn engine(snakemake: &Path, out: &Path, options: &[&str]) -> Command {
    let dir = out.join("snakemake");
    let mut command = Command::new(snakemake);
    command.arg("--snakefile").arg(dir.join("Snakefile")).arg("--profile").arg(dir.join("profile"));
    command.args(options).stdin(Stdio::null()).process_group(0);
    // Its caches go nowhere else.
    command.env("XDG_CACHE_HOME", out.join("../cache")).current_dir(&dir);
    command
}

fn kill(group: u32, whole: bool) {
    let target = if whole { format!("-{group}") } else { group.to_string() };
    let kill = format!("kill -9 -- {target}");
    assert!(Command::new("bash").args(["-c", &kill]).status().unwrap().success());
}

/// Jobs that Snakemake says it ran.
fn ran(o: &Output) -> usize {
    let log = String::from_utf8_lossy(&o.stderr).into_owned() + &String::from_utf8_lossy(&o.stdout);
    assert!(o.status.success(), "{log}");
    let stages = |l: &&str| l.starts_with("Finished jobid") && !l.contains("Rule: all");
    log.lines().filter(stages).count()
}

fn count(what: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{what}");
}

#[test]
fn the_script_of_arrays_gives_what_the_study_gives_and_ends_at_once_where_it_is_done() {
    let toy = Toy::new();
    let whole = toy.run("whole");
    let out = toy.at("arrays");
    let exported = toy.residuum(&["export", "sbatch", "MANIFEST"], "arrays");
    let jobs = exported["jobs"].as_array().unwrap().len();
    assert_eq!(jobs, markers(&whole).len());
    let cluster = Cluster::new(&toy, "cluster");
    let submit = || {
        let script = out.join("sbatch/submit.sh");
        let o =
            cluster.on(Command::new("bash").arg(script).arg("--partition=any")).output().unwrap();
        assert!(o.status.success(), "{}", String::from_utf8_lossy(&o.stderr));
        cluster.ended()
    };
    let (tasks, hosts) = submit();
    assert_eq!(tasks, jobs);
    same(&whole, &out);
    let done = markers(&out);
    assert_eq!(submit().0, 2 * jobs);
    assert_eq!(markers(&out), done, "a finished stage was run again");
    let again = toy.residuum(&["export", "sbatch", "MANIFEST"], "arrays");
    assert_eq!(again["jobs"], exported["jobs"]);
    count(&format!(
        "sbatch arrays: {jobs} jobs in {} arrays, hosts {hosts:?}",
        cluster.jobs().len() / 2
    ));
}

#[test]
fn snakemake_killed_and_gone_on_with_gives_what_the_study_gives() {
    let Some(snakemake) = snakemake() else { return };
    let toy = Toy::new();
    let whole = toy.run("whole");
    let jobs = markers(&whole).len();

    // On this machine, with all that it started killed twice.
    let out = toy.at("local");
    toy.residuum(&["export", "snakemake", "MANIFEST"], "local");
    let local = || engine(&snakemake, &out, &["--jobs", "2"]);
    let mut kept = BTreeMap::new();
    for stages in [3, jobs / 2] {
        let mut run = local().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until("some stages", || markers(&out).len() >= stages);
        kill(run.id(), true);
        run.wait().unwrap();
        let now = markers(&out);
        assert!(kept.iter().all(|(n, m)| now.get(n) == Some(m)), "a finished stage was run again");
        kept = now;
    }
    assert!(kept.len() < jobs);
    let last = ran(&local().output().unwrap());
    same(&whole, &out);
    let now = markers(&out);
    assert!(kept.iter().all(|(n, m)| now[n] == *m), "a finished stage was run again");
    assert_eq!(ran(&local().output().unwrap()), 0);
    count(&format!(
        "snakemake, local, 2 jobs: {jobs} stages, {} done at the second kill, {last} jobs then",
        kept.len()
    ));

    // Through `sbatch`: the master is killed, what it submitted runs on, as on a cluster.
    let out = toy.at("generic");
    toy.residuum(&["export", "snakemake", "MANIFEST"], "generic");
    let cluster = Cluster::new(&toy, "cluster");
    let submit = "sbatch --parsable --mem={resources.mem_mb}M --time={resources.runtime} --cpus-per-task={threads}";
    let options = [
        "--executor=cluster-generic",
        "--cluster-generic-submit-cmd",
        submit,
        "--jobs=4",
        "--seconds-between-status-checks=1",
    ];
    let generic = || {
        let mut command = engine(&snakemake, &out, &options);
        cluster.on(&mut command);
        command
    };
    let mut run = generic().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("some stages", || markers(&out).len() >= 5);
    kill(run.id(), false);
    run.wait().unwrap();
    let (before, _) = cluster.ended();
    let kept = markers(&out);
    assert!(kept.len() < jobs);
    let o = generic().output().unwrap();
    ran(&o);
    let (after, hosts) = cluster.ended();
    same(&whole, &out);
    let now = markers(&out);
    assert!(kept.iter().all(|(n, m)| now[n] == *m), "a finished stage was run again");
    count(&format!(
        "snakemake, cluster-generic, 4 jobs: {jobs} stages, {} done of {before} submitted at the kill, {} submitted then, hosts {hosts:?}",
        kept.len(), after - before
    ));
}

#[test]
fn a_sweep_runs_what_studies_have_in_common_once() {
    let toy = Toy::new();
    let grid = "manifests = [\"study.toml\"]\nseeds = [3]\n[[recipe]]\nname = \"r2\"\n[[recipe]]\nname = \"r4\"\nrank = 4\n";
    toy.write("grid.toml", grid);
    let file = toy.small.path("grid.toml");
    let swept = toy.residuum(&["sweep", file.to_str().unwrap(), "--engine", "sbatch"], "grid");
    let names: Vec<&str> =
        swept["studies"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["study-r2-s3", "study-r4-s3"]);
    let kinds = &swept["kinds"];
    // Base, its answers, the lent adapter and the other model are the same whatever the recipe.
    assert!(kinds["take"].as_u64().unwrap() >= 7, "{kinds}");
    assert_eq!((kinds["finetune"].as_u64(), kinds["measure"].as_u64()), (Some(4), Some(2)));
    let commands = toy.at("grid/sbatch/commands");
    let o = Command::new("sh").arg("-e").arg(commands).output().unwrap();
    assert!(o.status.success(), "{}", String::from_utf8_lossy(&o.stderr));
    // Each is what its manifest gives by itself; HDF5 of a stage that was taken names the study that ran it.
    for (name, what) in names.iter().zip([same as fn(&Path, &Path), same_texts]) {
        let alone = toy.at(&format!("alone-{name}"));
        let manifest = toy.at(&format!("grid/manifests/{name}.toml"));
        let mut run = Command::new(PROGRAM);
        run.args(["--threads", "1", "--json", "study", "run"]).arg(manifest).arg("--out");
        said(run.arg(&alone).output().unwrap());
        what(&alone, &toy.at("grid").join(name));
    }
    let taken = |run: &str| markers(&toy.at("grid").join(run))["capture-base.json"].clone();
    assert_eq!(taken(names[0]), taken(names[1]));
    count(&format!("sweep of 2 studies: {kinds}"));

    // Joined, they are one file of both; doses on base depend on the recipe, so that base is not one.
    let merged = toy.at("merged");
    let runs = [names[0], names[1]].map(|n| toy.at("grid").join(n));
    let merge = |out: &Path| {
        let mut merge = Command::new(PROGRAM);
        merge.args(["--json", "merge"]).args(&runs).arg("--out").arg(out).output().unwrap()
    };
    let joined = said(merge(&merged));
    assert_eq!((&joined["runs"], &joined["states"]), (&2.into(), &10.into()), "{joined}");
    for args in [vec!["show"], vec!["h5", "validate"]] {
        said(Command::new(PROGRAM).arg("--json").args(args).arg(&merged).output().unwrap());
    }
    let pair = [&runs[0], &merged];
    said(Command::new(PROGRAM).args(["--json", "compare"]).args(pair).output().unwrap());
    let csv = |folder: &Path| {
        std::fs::read_to_string(folder.join("csv/behaviour.contrasts.csv")).unwrap()
    };
    let of = |run: &Path| csv(run).lines().count() - 1;
    assert_eq!(of(&merged), of(&runs[0]) + of(&runs[1]));
    assert!(csv(&merged).contains("study-r4-s3/keeper,study-r4-s3/sailor"), "{}", csv(&merged));
}

/// As [`same`], of tables, scores, adapters and all else that is no HDF5.
fn same_texts(a: &Path, b: &Path) {
    let (a, b) = (files(a), files(b));
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    assert!(a.keys().any(|name| name.starts_with("csv/")));
    for name in a.keys().filter(|n| !n.ends_with(".h5")) {
        assert!(std::fs::read(&a[name]).unwrap() == std::fs::read(&b[name]).unwrap(), "{name}");
    }
}
