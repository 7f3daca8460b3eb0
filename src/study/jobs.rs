//! The stages of one plan or of many as a list of jobs, which an engine of the user's runs.
//!
//! A job is a command for one stage, the jobs that it waits for, and what it takes. Residuum keeps the
//! truth: a job whose stage is done ends at once, whatever the engine remembers. A stage that two runs of
//! a sweep have in common, by name and key, is run in the first and copied to the others.

use super::stage::{Cost, Stage};
use super::{Result, StudyError};
use serde::Serialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Digits of a key in a name.
const DIGITS: usize = 12;
/// Times that a stage may take what is expected of it.
const SLACK: f64 = 3.0;
/// Minutes for loading a model on a busy disk.
const LOADING: f64 = 10.0;
/// Bytes of a program without what a stage is expected to hold, and the factor for that.
const PROGRAM: f64 = 3e8;
const MARGIN: f64 = 1.2;

/// One stage of one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Job {
    /// The stage with the beginning of its key, behind the name of its run in a sweep: a stage of other
    /// inputs is another job.
    pub name: String,
    /// What the stage does: the first word of its name; `take` where another run of the sweep does it.
    pub kind: String,
    /// Names of the jobs that it waits for.
    pub needs: Vec<String>,
    /// What a shell runs.
    pub command: String,
    /// Expected of the stage.
    pub seconds: f64,
    /// Memory to ask for.
    pub mem_mb: u64,
    /// Time to ask for.
    pub minutes: u64,
    /// What the stage writes.
    pub disk_mb: u64,
}

/// How jobs are called.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The program.
    pub program: PathBuf,
    /// Options that every job is given.
    pub options: Vec<String>,
}

/// A run whose stages become jobs.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its name in a sweep; empty for a run by itself.
    pub name: String,
    /// Its manifest, or the name of an embedded one.
    pub manifest: PathBuf,
    /// Its folder.
    pub out: PathBuf,
}

/// Jobs in an order in which each follows what it waits for.
#[derive(Debug, Default)]
pub struct Jobs {
    /// The jobs.
    pub all: Vec<Job>,
    /// Job and run folder of every stage so far, by name and key.
    known: HashMap<(String, String), (String, PathBuf)>,
}

impl Jobs {
    /// Adds the stages of a run.
    ///
    /// # Errors
    /// `Unplanned` where a stage reads one that does not stand before it.
    pub fn add(&mut self, run: &Run, stages: &[Stage], by: &Caller) -> Result<()> {
        let mut own: HashMap<&str, String> = HashMap::new();
        for s in stages {
            let of_key = (s.name.clone(), s.key.clone());
            let stage = format!("{}.{}", s.name, &s.key[..DIGITS.min(s.key.len())]);
            let name = match run.name.is_empty() {
                true => stage,
                false => format!("{}/{stage}", run.name),
            };
            let mut command = by.command(run, &s.name);
            let job = match self.known.get(&of_key) {
                Some((job, folder)) => {
                    command += &format!(" --from {}", quoted(folder));
                    let cost = Cost { seconds: 0.0, ..s.cost };
                    Job::new(name.clone(), "take", vec![job.clone()], command, cost)
                }
                None => {
                    let missing = |n: &String| StudyError::Unplanned { stage: n.clone() };
                    let need = |n: &String| own.get(&**n).cloned().ok_or_else(|| missing(n));
                    let needs = s.needs().iter().map(need).collect::<Result<_>>()?;
                    self.known.insert(of_key, (name.clone(), run.out.clone()));
                    let kind = s.name.split('-').next().unwrap_or(&s.name);
                    Job::new(name.clone(), kind, needs, command, s.cost)
                }
            };
            own.insert(&s.name, name);
            self.all.push(job);
        }
        Ok(())
    }

    /// Number of jobs of each kind, in the order in which the kinds come first.
    pub fn kinds(&self) -> Vec<(&str, usize)> {
        let mut kinds: Vec<(&str, usize)> = Vec::new();
        for job in &self.all {
            match kinds.iter_mut().find(|(kind, _)| *kind == job.kind) {
                Some((_, n)) => *n += 1,
                None => kinds.push((&job.kind, 1)),
            }
        }
        kinds
    }
}

impl Job {
    fn new(name: String, kind: &str, needs: Vec<String>, command: String, cost: Cost) -> Self {
        Job {
            name,
            kind: kind.into(),
            needs,
            command,
            seconds: cost.seconds,
            mem_mb: ((cost.bytes * MARGIN + PROGRAM) / 1e6).ceil() as u64,
            minutes: (cost.seconds * SLACK / 60.0 + LOADING).ceil() as u64,
            disk_mb: (cost.disk / 1e6).ceil() as u64,
        }
    }
}

impl Caller {
    fn command(&self, run: &Run, stage: &str) -> String {
        let mut words = vec![quoted(&self.program), "study".into(), "run".into()];
        words.push(quoted(&run.manifest));
        words.extend(["--out".into(), quoted(&run.out), "--only".into(), stage.into()]);
        words.extend(self.options.iter().map(|o| quoted(Path::new(o))));
        words.join(" ")
    }
}

/// A word of a shell's command line.
pub fn quoted(word: &Path) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-=:,+@".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.into_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::stage::Inputs;
    use super::*;

    #[test]
    fn what_runs_have_in_common_is_run_once_and_each_job_waits_for_its_inputs() {
        let plan = |rank: u32| {
            let new = |name: &str, inputs: Inputs| {
                let cost = Cost { rows: 1, seconds: 120.0, bytes: 1e9, disk: 5e6 };
                Stage::new(name, inputs, vec![], cost, |_| Ok(()))
            };
            let base = new("capture-base", Inputs::revision(1));
            let tune = new("finetune-a-s1", Inputs::revision(1).value("rank", &rank).stage(&base));
            let read = new("capture-a-s1", Inputs::revision(1).stage(&tune));
            [base, tune, read]
        };
        let by = Caller { program: "/bin/residuum".into(), options: vec!["--threads=2".into()] };
        let mut jobs = Jobs::default();
        for (name, rank) in [("r8", 8), ("r16", 16)] {
            let run = Run {
                name: name.into(),
                manifest: format!("/it's/{name}.toml").into(),
                out: format!("/runs/{name}").into(),
            };
            jobs.add(&run, &plan(rank), &by).unwrap();
        }
        assert_eq!(jobs.kinds(), [("capture", 3), ("finetune", 2), ("take", 1)]);
        let [base, tune, read, taken, second, _] = &jobs.all[..] else { panic!("{jobs:?}") };
        assert_eq!(
            base.command,
            r"/bin/residuum study run '/it'\''s/r8.toml' --out /runs/r8 --only capture-base --threads=2"
        );
        assert_eq!((tune.needs[0].as_str(), &read.needs), (&*base.name, &vec![tune.name.clone()]));
        assert!(base.name.starts_with("r8/capture-base.") && base.needs.is_empty());
        assert_eq!(taken.needs, [base.name.as_str()]);
        assert!(taken.command.ends_with("--from /runs/r8"), "{}", taken.command);
        assert_eq!(second.needs, [taken.name.as_str()]);
        assert_eq!((base.mem_mb, base.minutes, base.disk_mb), (1500, 16, 5));
        assert_eq!(taken.minutes, 10);
    }
}
