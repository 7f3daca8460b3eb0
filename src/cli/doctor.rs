//! `residuum doctor`: what this program and this machine are, and what to do about what is wrong with them.
//!
//! Each fact is a check with what was found and, where that is not well, what to do. Paths and the words of errors
//! may be private: they are printed for the user and left out of `--json`, which is for reports of bugs.

use super::Console;
use crate::figures::{claims, claims::ClaimsData, Estimate, Format, Output};
use crate::model::{catalogue, hub, resolve, Place, Placement};
use crate::ops::{matmul, simd::Simd};
use crate::record;
use crate::store::build::Build;
use crate::store::hardware::{nvidia_driver, Hardware};
use crate::store::manifest::hdf5_version;
use crate::store::{atomic::Pending, room, ActivationReader, ActivationSpec, ActivationWriter};
use crate::store::{Frame, Precision, ResultsReader, ResultsWriter, RootAttrs, Sample};
use anyhow::{ensure, Result};
use clap::Args;
use ndarray::Array2;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

/// Layout of what `--json` prints.
const SCHEMA: &str = "residuum-doctor/1";
/// Memory that the default model's study needs, about, in bytes.
const MEMORY: u64 = 2_000_000_000;
/// Disk that a study of the default model needs, about, in bytes.
const DISK: u64 = 1_000_000_000;
/// Deviation of a product that is no rounding any more, in units of its RMS.
const DEVIATION: f64 = 1e-5;
/// A hub that is silent for longer is not there.
const PATIENCE: Duration = Duration::from_secs(10);
/// Variables that change what the program does; of those that are set, the names are reported.
const VARIABLES: [&str; 18] = [
    "RESIDUUM_CACHE",
    "RESIDUUM_KERNELS",
    "RESIDUUM_MODELS",
    "RESIDUUM_PYTHON",
    "RAYON_NUM_THREADS",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_ENDPOINT",
    "HF_HUB_OFFLINE",
    "HF_TOKEN",
    "HF_TOKEN_PATH",
    "HTTPS_PROXY",
    "https_proxy",
    "HDF5_USE_FILE_LOCKING",
    "HDF5_PLUGIN_PATH",
    "CUDA_VISIBLE_DEVICES",
];

/// Check this program and this machine, and say what to do about what is wrong.
///
/// It looks at the build, processor and kernels, threads, memory, disk, the digests of fetched models, the hub,
/// HDF5, figures and GPU. With --json it prints an object for reports of bugs, which holds no paths, addresses or
/// keys. Exit 1 where a check failed; warnings are none.
///
/// Example: residuum doctor --json
#[derive(Args)]
#[command(about = "Check this program and this machine, and say what to do")]
pub struct DoctorArgs {
    /// Leave the hub alone
    #[arg(long)]
    offline: bool,
}

record! {
    /// What `residuum doctor` looked at.
    #[table("doctor/checks")]
    pub struct CheckRow {
        /// What was looked at.
        pub check: String,
        /// `ok`, `warning` or `failed`.
        pub state: String,
        /// What was found, without paths, addresses and keys.
        pub found: String,
        /// What to do; empty where the state is `ok`.
        pub advice: String,
    }
}

/// Checks in their order, and of each what may be private.
#[derive(Default)]
struct Checks {
    rows: Vec<CheckRow>,
    private: Vec<String>,
}

impl Checks {
    fn add(&mut self, check: &str, state: &str, found: String, advice: &str, private: String) {
        let text = String::from;
        let (check, state, advice) = (text(check), text(state), text(advice));
        self.rows.push(CheckRow { check, state, found, advice });
        self.private.push(private);
    }

    /// Well, or a doubt with what to do.
    fn doubt(&mut self, check: &str, found: String, wrong: bool, advice: &str) {
        match wrong {
            true => self.add(check, "warning", found, advice, String::new()),
            false => self.add(check, "ok", found, "", String::new()),
        }
    }

    /// Well, or failed: `bad` in words for everybody, with the error for the user alone.
    fn held<T>(&mut self, check: &str, good: String, bad: &str, advice: &str, is: Result<T>) {
        match is {
            Ok(_) => self.add(check, "ok", good, "", String::new()),
            Err(e) => self.add(check, "failed", bad.into(), advice, super::sentences(&e)),
        }
    }

    fn count(&self, state: &str) -> usize {
        self.rows.iter().filter(|r| r.state == state).count()
    }

    fn text(&self) -> String {
        let line = |(row, private): (&CheckRow, &String)| {
            let CheckRow { check, state, found, advice } = row;
            let private = if private.is_empty() { String::new() } else { format!(" ({private})") };
            let advice =
                if advice.is_empty() { String::new() } else { format!("\n{:23}{advice}", "") };
            format!("{state:<8} {check:<13} {found}{private}{advice}")
        };
        let lines: Vec<String> = self.rows.iter().zip(&self.private).map(line).collect();
        let (failed, doubts) = (self.count("failed"), self.count("warning"));
        format!("{}\n{failed} failed, {doubts} warnings", lines.join("\n"))
    }
}

/// What `--version` prints behind the name; `-V` prints the first line's number alone.
pub fn version() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let b = Build::here();
        let available: Vec<&str> = Simd::available().iter().map(|s| s.name()).collect();
        format!(
            "{}\ncommit    {}\nbuilt     {}, {}, {}\nfeatures  {}\nkernels   {} (of {})",
            b.version,
            b.commit_or_unknown(),
            b.target,
            b.profile,
            b.rustc,
            b.features.join(", "),
            Simd::here().name(),
            available.join(", "),
        )
    });
    &TEXT
}

pub fn run(args: &DoctorArgs, out: &Console) -> Result<()> {
    let (build, machine) = (Build::here(), Hardware::probe());
    let mut checks = Checks::default();
    this_build(&build, &mut checks);
    kernels(&machine, &mut checks);
    let threads = rayon::current_num_threads();
    checks.doubt(
        "threads",
        format!("{threads} on {} cores", machine.cores),
        threads > machine.cores,
        "more threads than cores wait for each other: give --threads, or unset RAYON_NUM_THREADS",
    );
    memory(&machine, &mut checks);
    let scratch = std::env::temp_dir();
    place("temporary", &scratch, "set TMPDIR to a folder of yours with space", &mut checks);
    let cache = resolve::cache_dir();
    place("cache", &cache, "set RESIDUUM_CACHE to a folder of yours with space", &mut checks);
    place("here", Path::new("."), "give an --out that has space and takes files", &mut checks);
    models(out, &mut checks)?;
    the_hub(args.offline, &mut checks);
    let scratch = scratch.join(format!("residuum-doctor-{}", std::process::id()));
    files(&scratch, &mut checks);
    // What was tried there is done with; a folder that could not be made is none to remove.
    let _ = std::fs::remove_dir_all(&scratch);
    gpu(&mut checks);

    let set = |name: &&str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    let available: Vec<&str> = Simd::available().iter().map(|s| s.name()).collect();
    let json = json!({
        "schema": SCHEMA, "build": build, "machine": machine, "threads": threads,
        "kernels": {"used": Simd::here().name(), "available": available},
        "extensions": Simd::extensions(), "memory_bytes": room::memory(), "hdf5": hdf5_version(),
        "variables": VARIABLES.iter().filter(|n| set(n)).collect::<Vec<_>>(),
        "checks": Frame::of(&checks.rows).json(),
    });
    out.result(&json, || checks.text())?;
    let failed: Vec<&str> =
        checks.rows.iter().filter(|r| r.state == "failed").map(|r| r.check.as_str()).collect();
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

fn this_build(b: &Build, checks: &mut Checks) {
    let (commit, features) = (b.commit_or_unknown(), b.features.join(" "));
    checks.doubt(
        "build",
        format!("residuum {}, commit {commit}, {}, {}, {features}", b.version, b.rustc, b.target),
        b.profile != "release",
        "a debug build is many times slower: build with `make build` or `cargo install --path .`",
    );
}

fn kernels(machine: &Hardware, checks: &mut Checks) {
    let (here, best) = (Simd::here(), Simd::available().last().copied());
    checks.doubt(
        "kernels",
        format!("{} on {} ({})", here.name(), machine.cpu, Simd::extensions().join(" ")),
        best.is_some_and(|best| best > here),
        "RESIDUUM_KERNELS names slower kernels than this machine has: unset it",
    );
    let off = matmul::deviation();
    checks.held(
        "arithmetic",
        format!("a matrix product is within {off:.0e} of its RMS of f64"),
        &format!("a matrix product is off by {off:.1e} of its RMS"),
        "numbers of this program cannot be trusted here: try RESIDUUM_KERNELS=portable, and report it",
        match off < DEVIATION {
            true => Ok(()),
            false => Err(anyhow::anyhow!("{DEVIATION:.0e} is allowed")),
        },
    );
}

fn memory(machine: &Hardware, checks: &mut Checks) {
    let installed = machine.memory_bytes as f64 / 1e9;
    let (found, wrong) = match room::memory() {
        Some(m) => {
            (format!("{:.1} GB for this process of {installed:.1}", m as f64 / 1e9), m < MEMORY)
        }
        None => ("the system does not tell".into(), false),
    };
    let advice = "the default model's study takes about 2 GB: close what takes memory, or raise the limit of this process or its container";
    checks.doubt("memory", found, wrong, advice);
}

/// A folder that files are written to, or will be made in.
fn place(check: &str, folder: &Path, advice: &str, checks: &mut Checks) {
    let full = std::path::absolute(folder).unwrap_or_else(|_| folder.into());
    let there = full.ancestors().find(|p| p.exists()).unwrap_or(&full);
    let free = room::disk(there);
    let found =
        free.map_or("free space unknown".into(), |f| format!("{:.1} GB free", f as f64 / 1e9));
    let shown = full.display().to_string();
    // Made and dropped again: whether the folder takes files.
    match Pending::new(&there.join("residuum-doctor")) {
        Err(e) => checks.add(check, "warning", "takes no files".into(), advice, e.to_string()),
        Ok(_) if free.is_some_and(|f| f < DISK) => {
            checks.add(check, "warning", found, advice, shown)
        }
        Ok(_) => checks.add(check, "ok", found, "", shown),
    }
}

/// Models of the catalogue that were fetched, each by its digest.
fn models(out: &Console, checks: &mut Checks) -> Result<()> {
    let mut fetched = 0;
    for (name, entry) in catalogue::entries()? {
        let path = resolve::cached_path(&name, &entry);
        if path.exists() {
            out.log(&format!("reading {name}"));
            fetched += 1;
            let advice = "the file is cut or another: `residuum model pull` fetches it again";
            let is = resolve::check(&path, &entry).map_err(anyhow::Error::from);
            let good = format!("{name} has its digest");
            checks.held("model", good, &format!("{name} is not what is pinned"), advice, is);
        }
    }
    if fetched == 0 {
        let advice = "`residuum model pull` fetches the default model (98 MB)";
        checks.doubt("model", "none of the catalogue is fetched".into(), true, advice);
    }
    Ok(())
}

fn the_hub(offline: bool, checks: &mut Checks) {
    let settings = hub::Settings::from_env();
    let own = settings.endpoint == "https://huggingface.co";
    let what = if own { "huggingface.co" } else { "the hub of HF_ENDPOINT" };
    if offline || settings.offline {
        let why = if offline { "--offline" } else { "HF_HUB_OFFLINE is set" };
        return checks.add("hub", "ok", format!("not asked: {why}"), "", String::new());
    }
    let (state, found, advice, private) = match hub::answers(&settings, PATIENCE) {
        Ok(hub::Answers::Answers) => ("ok", format!("{what} answers"), "", String::new()),
        Ok(hub::Answers::TakesToken) => {
            ("ok", format!("{what} answers and takes the token"), "", String::new())
        }
        Ok(hub::Answers::RefusesToken) => (
            "warning",
            format!("{what} answers and refuses the token"),
            "set HF_TOKEN anew, or unset it: models that are public need none",
            String::new(),
        ),
        Err(why) => (
            "warning",
            format!("{what} does not answer"),
            "give models as folders or .gguf files, set HF_ENDPOINT to a mirror or HTTPS_PROXY to a proxy, or HF_HUB_OFFLINE=1 to use the cache alone; the default model comes from PyPI",
            why,
        ),
    };
    checks.add("hub", state, found, advice, private);
}

/// HDF5 files and figures, written into a folder and read back.
fn files(scratch: &Path, checks: &mut Checks) {
    let made = std::fs::create_dir(scratch).map_err(anyhow::Error::from);
    let is = made.and_then(|()| hdf5(scratch, &checks.rows));
    let advice = "set TMPDIR to a local folder with space; if it fails there too, report it";
    let good = format!("{}: results and activations come back as written", hdf5_version());
    checks.held("HDF5", good, "files do not come back as written", advice, is);
    let is = drawing(scratch);
    let advice = "set TMPDIR to a folder with space; if it fails there too, build again with assets/fonts intact";
    let good = "text is drawn as SVG, PNG and PDF in the embedded fonts".to_string();
    checks.held("figures", good, "text cannot be drawn", advice, is);
}

fn hdf5(scratch: &Path, rows: &[CheckRow]) -> Result<()> {
    let attrs = RootAttrs::new("residuum doctor", json!({}), 0);
    let path = scratch.join("results.h5");
    let mut writer = ResultsWriter::create(&path, &attrs)?;
    writer.records(rows)?;
    writer.finish()?;
    ensure!(ResultsReader::open(&path)?.records::<CheckRow>()? == rows, "records differ");

    let path = scratch.join("activations.h5");
    let at = "all-mean";
    let spec = ActivationSpec {
        condition: "base".into(),
        seed: 0,
        step: None,
        layers: vec![0, 1],
        hidden: 8,
        positions: vec![at.into()],
        precision: Precision::F16,
    };
    let values = Array2::from_shape_fn((2, 8), |(l, d)| l as f32 - 0.25 * d as f32);
    let mut writer = ActivationWriter::create(&path, &attrs, spec)?;
    writer.append(Sample {
        set: "texts".into(),
        prompt_id: "a".into(),
        label: String::new(),
        role: "text".into(),
        n_tokens: 1,
        rows: vec![(0, values.clone())],
    })?;
    writer.finish()?;
    let read = ActivationReader::open(&path)?.read("texts", at)?;
    ensure!(read.index_axis(ndarray::Axis(0), 0) == values, "activations differ");
    Ok(())
}

fn drawing(scratch: &Path) -> Result<Vec<PathBuf>> {
    let text = String::from;
    let data = ClaimsData {
        name: text("doctor"),
        title: text("Doctor"),
        caption: text("Whether text can be drawn."),
        value_label: text("log-odds"),
        conditions: vec![text("condition")],
        claims: vec![text("claim")],
        own: vec![Some(0)],
        score: vec![vec![Estimate::new(1.0, 0.5, 1.5)]],
    };
    let all = Output { formats: Format::ALL.to_vec(), ..Output::to(scratch) };
    Ok(claims::draw(&data, &all)?.files)
}

fn gpu(checks: &mut Checks) {
    let driver = nvidia_driver();
    let found = match &driver {
        None => "no NVIDIA driver".to_string(),
        Some(version) => format!("NVIDIA driver {version}"),
    };
    if !cfg!(feature = "cuda") {
        let advice = "this program was built without GPU support: `make cuda` builds it with";
        return checks.doubt("GPU", found, driver.is_some(), advice);
    }
    let opened = Placement::new(Place::Cuda(0), false).device();
    match (opened, driver) {
        (Err(_), None) => checks.doubt("GPU", found, false, ""),
        (opened, _) => {
            let (good, bad) =
                (format!("{found}, cuda:0 opens"), format!("{found}, cuda:0 cannot be used"));
            let advice = "the driver must be as new as CUDA 13.0 (580 or later), and the GPU visible (CUDA_VISIBLE_DEVICES, the container's options)";
            checks.held("GPU", good, &bad, advice, opened.map_err(anyhow::Error::from));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_private_is_printed_and_not_in_the_records() {
        let mut checks = Checks::default();
        let gone = Err::<(), _>(anyhow::anyhow!("/home/me: permission denied"));
        checks.held("cache", "ok".into(), "takes no files", "set RESIDUUM_CACHE", gone);
        checks.doubt("threads", "2 on 2 cores".into(), false, "give --threads");
        let text = checks.text();
        assert!(text.contains("takes no files (/home/me: permission denied)\n"), "{text}");
        assert!(text.ends_with("1 failed, 0 warnings"), "{text}");
        let json = Frame::of(&checks.rows).json();
        assert!(!json.to_string().contains("/home/me"), "{json}");
        assert_eq!([&json[0]["state"], &json[1]["advice"]], ["failed", ""]);
    }

    #[test]
    fn a_folder_that_is_not_there_yet_is_not_made_and_one_that_takes_no_files_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let mut checks = Checks::default();
        place("cache", &dir.path().join("not/yet"), "choose another", &mut checks);
        assert!(
            checks.rows[0].found.ends_with("free") || checks.rows[0].found.ends_with("unknown")
        );
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        place("cache", &file, "choose another", &mut checks);
        assert_eq!(
            (checks.rows[1].state.as_str(), checks.private[1].contains("file")),
            ("warning", true)
        );
    }
}
