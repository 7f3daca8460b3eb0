//! Jobs as the input of an engine that sites have: a Snakefile with its profile, or one script of `sbatch`
//! arrays. Neither checkpoints, groups nor retries: a list of jobs, each a command that may be given again.

use super::jobs::{quoted, Job};
use super::{Result, StudyError};
use crate::store::atomic;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

const SNAKEFILE: &str = include_str!("../../assets/engines/Snakefile");
const RULE: &str = include_str!("../../assets/engines/rule");
const PROFILE: &str = include_str!("../../assets/engines/profile.yaml");
const SUBMIT: &str = include_str!("../../assets/engines/submit.sh");

/// Jobs of an array: sites take 1,000 if nobody changed that.
const ARRAY: usize = 1000;

/// What runs jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Engine {
    /// A Snakefile with a profile
    Snakemake,
    /// One script that submits arrays to SLURM
    Sbatch,
}

impl Engine {
    /// Its name, and that of the folder that is written for it.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Snakemake => "snakemake",
            Engine::Sbatch => "sbatch",
        }
    }

    /// Files that are written.
    pub fn files(self) -> &'static [&'static str] {
        match self {
            Engine::Snakemake => &["Snakefile", "jobs.json", "profile/config.yaml"],
            Engine::Sbatch => &["submit.sh", "commands"],
        }
    }

    /// Writes them into a folder, for jobs of so many threads.
    ///
    /// # Errors
    /// A command of two lines; the store's.
    pub fn write(self, jobs: &[Job], threads: usize, folder: &Path) -> Result<()> {
        if let Some(job) = jobs.iter().find(|j| j.command.contains('\n')) {
            let why = format!("the path of a folder has a line break ({:?})", job.command);
            return Err(StudyError::Stage { path: folder.into(), why });
        }
        let texts = match self {
            Engine::Snakemake => snakemake(jobs, threads, folder)?,
            Engine::Sbatch => sbatch(jobs, threads, folder),
        };
        for (name, text) in self.files().iter().zip(texts) {
            atomic::write(&folder.join(name), text.as_bytes())?;
        }
        Ok(())
    }
}

fn snakemake(jobs: &[Job], threads: usize, folder: &Path) -> Result<Vec<String>> {
    let kinds: BTreeSet<&str> = jobs.iter().map(|j| &*j.kind).collect();
    let threads = threads.to_string();
    let rule = |kind: &&str| RULE.replace("KIND", kind).replace("THREADS", &threads);
    let rules = kinds.iter().map(rule).collect::<String>();
    let list = serde_json::to_string_pretty(jobs)
        .map_err(|e| StudyError::Stage { path: folder.into(), why: e.to_string() })?;
    let dir = quoted(folder);
    Ok(vec![SNAKEFILE.replace("DIR", &dir) + &rules, list, PROFILE.into()])
}

/// Jobs that may run at one time and are of one kind, in the order of their steps.
fn arrays(jobs: &[Job]) -> BTreeMap<(usize, String), Vec<usize>> {
    let mut steps: HashMap<&str, usize> = HashMap::new();
    let mut arrays: BTreeMap<(usize, String), Vec<usize>> = BTreeMap::new();
    for (i, job) in jobs.iter().enumerate() {
        let before = job.needs.iter().filter_map(|n| steps.get(&**n));
        let step = before.max().map_or(0, |s| s + 1);
        steps.insert(&job.name, step);
        arrays.entry((step, job.kind.clone())).or_default().push(i);
    }
    arrays
}

fn sbatch(jobs: &[Job], threads: usize, folder: &Path) -> Vec<String> {
    let mut commands = String::new();
    let mut script = SUBMIT.replace("HERE", &quoted(folder)).replace("DIR", &quoted(folder));
    let mut array_of: HashMap<&str, String> = HashMap::new();
    let mut first = 1;
    for ((step, kind), of_kind) in &arrays(jobs) {
        for (part, some) in of_kind.chunks(ARRAY).enumerate() {
            let part = if part == 0 { String::new() } else { format!("-{part}") };
            let name = format!("{kind}-{step}{part}");
            let largest = |of: fn(&Job) -> u64| some.iter().map(|&i| of(&jobs[i])).max();
            let (mb, minutes) = (largest(|j| j.mem_mb), largest(|j| j.minutes));
            let needs = some.iter().flat_map(|&i| &jobs[i].needs);
            let behind: BTreeSet<&str> =
                needs.filter_map(|n| array_of.get(&**n)).map(String::as_str).collect();
            let behind = behind.iter().map(|n| format!(" {n}")).collect::<String>();
            let (mb, minutes, n) = (mb.unwrap_or(0), minutes.unwrap_or(0), some.len());
            script += &format!("array {name} {first} {n} {mb} {minutes} {threads}{behind}\n");
            for &i in some {
                commands += &format!("{}\n", jobs[i].command);
                array_of.insert(&jobs[i].name, name.clone());
            }
            first += n;
        }
    }
    vec![script, commands]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(name: &str, needs: &[&str]) -> Job {
        let kind = name.split('-').next().unwrap().to_string();
        let needs = needs.iter().map(|n| n.to_string()).collect();
        let (name, command) = (name.to_string(), format!("run {name}"));
        Job { name, kind, needs, command, seconds: 1.0, mem_mb: 7, minutes: 9, disk_mb: 1 }
    }

    #[test]
    fn arrays_follow_what_they_wait_for() {
        let mut jobs = vec![job("capture-base", &[]), job("distil", &[])];
        jobs.extend((0..1500).map(|i| job(&format!("finetune-{i}"), &["capture-base", "distil"])));
        jobs.push(job("report", &["finetune-1499"]));
        let [script, commands] = &sbatch(&jobs, 4, Path::new("/runs/a b"))[..] else { panic!() };
        let calls: Vec<&str> = script.lines().filter(|l| l.starts_with("array ")).collect();
        assert_eq!(
            calls,
            [
                "array capture-0 1 1 7 9 4",
                "array distil-0 2 1 7 9 4",
                "array finetune-1 3 1000 7 9 4 capture-0 distil-0",
                "array finetune-1-1 1003 500 7 9 4 capture-0 distil-0",
                "array report-2 1503 1 7 9 4 finetune-1-1",
            ]
        );
        assert!(script.contains("here='/runs/a b'\n"));
        assert_eq!(commands.lines().nth(1502), Some("run report"));
    }

    #[test]
    fn a_snakefile_has_one_rule_a_kind() {
        let jobs = [job("finetune-a", &[]), job("finetune-b", &[]), job("measure", &[])];
        let dir = tempfile::tempdir().unwrap();
        Engine::Snakemake.write(&jobs, 2, dir.path()).unwrap();
        let text = std::fs::read_to_string(dir.path().join("Snakefile")).unwrap();
        let rules: Vec<&str> = text.lines().filter(|l| l.starts_with("rule ")).collect();
        assert_eq!(rules, ["rule all:", "rule finetune:", "rule measure:"]);
        assert!(text.contains("threads: 2") && !text.contains("KIND"), "{text}");
        let broken = Job { command: "a\nb".into(), ..jobs[0].clone() };
        assert!(Engine::Sbatch.write(&[broken], 1, dir.path()).is_err());
    }
}
