//! Shell completion and manual pages, made from the command line's own definition.
//!
//! A completion script asks this program at each press of the key, so that values are completed too:
//! names of what is shipped, and states and adapters of runs. The runs are those named on the line, or
//! all below `runs/`. What cannot be read completes nothing and says nothing.

use super::{help, kept, output::Outputs, Console};
use crate::analysis::records::StateRow;
use crate::directions::Estimator;
use crate::materials::embedded::{Shipped, CLAIMS, CONCEPTS, FINETUNE, OUTCOMES, PREFERENCES};
use crate::model::catalogue;
use crate::store::{Record, ResultsReader, Values};
use anyhow::{Context, Result};
use clap::{Arg, Args, Command, CommandFactory};
use clap_complete::engine::{
    ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter,
};
use clap_complete::{env::Shells, CompleteEnv, Shell};
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Print a script with which a shell completes commands, options and their values.
///
/// Completed are the names of concepts, preferences, claims, rows and models, and the states and
/// adapters of runs: those named on the line, or all below runs/.
///
/// Example: residuum completions bash > ~/.local/share/bash-completion/completions/residuum
#[derive(Args)]
#[command(about = "Print a completion script for a shell")]
pub struct CompletionsArgs {
    /// Shell to complete in
    shell: Shell,
}

/// Print the manual page, or write one page a command into a folder.
///
/// Example: residuum man --out ~/.local/share/man/man1
#[derive(Args)]
#[command(about = "Print the manual page")]
pub struct ManArgs {
    /// Folder for one page a command; without it the main page goes to stdout
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// By which a completion script tells this program what it wants.
const VARIABLE: &str = "RESIDUUM_COMPLETE";

pub fn completions(args: CompletionsArgs, _out: &Console) -> Result<()> {
    let (shells, name, mut script) = (Shells::builtins(), args.shell.to_string(), Vec::new());
    let shell = shells.completer(&name).with_context(|| format!("no completion for {name}"))?;
    shell.write_registration(VARIABLE, "residuum", "residuum", "residuum", &mut script)?;
    print(&script)
}

/// Answers a completion script and ends the process; without effect where none asks.
pub fn complete() {
    CompleteEnv::with_factory(|| with_values(help::command())).var(VARIABLE).complete();
}

/// The command line, with completion of values.
fn with_values(command: Command) -> Command {
    command
        .mut_args(|a| if a.is_global_set() { a } else { with_value(a) })
        .mut_subcommands(with_values)
}

fn with_value(arg: Arg) -> Arg {
    let named = arg.get_value_names().is_some_and(|all| all.iter().any(|n| n.contains("NAME=")));
    let names = match arg.get_long().unwrap_or_default() {
        "adapter" | "init-adapter" => Names::Adapters { named },
        "concept" | "nuisances" | "placebos" | "couple" => Names::Shipped(&CONCEPTS),
        "preferences" => Names::Shipped(&PREFERENCES),
        "claims" => Names::Shipped(&CLAIMS),
        "outcomes" => Names::Shipped(&OUTCOMES),
        "data" => Names::Shipped(&FINETUNE),
        "estimator" => Names::Estimators,
        "model" => Names::Models,
        "state" | "states" | "reference" | "focus" | "neutral" | "without" => Names::States,
        _ => return arg,
    };
    arg.add(ArgValueCompleter::new(names))
}

/// What the value of an option is one of.
enum Names {
    Shipped(&'static Shipped),
    Models,
    Estimators,
    /// States of runs, and their conditions.
    States,
    /// Folders of adapters; `named` those that are written NAME=DIR.
    Adapters {
        named: bool,
    },
}

impl ValueCompleter for Names {
    fn complete(&self, current: &OsStr) -> Vec<CompletionCandidate> {
        let Some(typed) = current.to_str() else { return Vec::new() };
        let all: Vec<String> = match self {
            Names::Shipped(set) => set.names().into_iter().map(str::to_owned).collect(),
            Names::Models => catalogue::entries().into_iter().flatten().map(|(n, _)| n).collect(),
            Names::Estimators => Estimator::ALL.iter().map(|e| e.name().to_owned()).collect(),
            Names::States => runs().iter().flat_map(|r| states(r)).collect(),
            Names::Adapters { named } => runs().iter().flat_map(|r| adapters(r, *named)).collect(),
        };
        // As in --couple A,B.
        let (before, last) = typed.rsplit_once(',').unwrap_or(("", typed));
        let before = if before.is_empty() { String::new() } else { format!("{before},") };
        let mut found: Vec<CompletionCandidate> = (all.into_iter())
            .filter(|n| n.starts_with(last))
            .map(|n| CompletionCandidate::new(before.clone() + &n))
            .collect();
        if !matches!(self, Names::States | Names::Estimators) {
            let (name, path) = match (self, typed.split_once('=')) {
                (Names::Adapters { named: true }, Some((name, path))) => (format!("{name}="), path),
                _ => (String::new(), typed),
            };
            let paths = PathCompleter::any().complete(OsStr::new(path));
            found.extend(paths.into_iter().map(|p| p.add_prefix(&name)));
        }
        found
    }
}

/// Folders of runs: those on the line, or all below `runs/`.
fn runs() -> Vec<PathBuf> {
    let is_run = |p: &PathBuf| kept::of_run(p).is_file() || p.join("adapters").is_dir();
    let line: Vec<PathBuf> =
        std::env::args_os().skip(1).map(PathBuf::from).filter(is_run).collect();
    if !line.is_empty() {
        return line;
    }
    let below = std::fs::read_dir("runs").into_iter().flatten().flatten().map(|e| e.path());
    let mut below: Vec<PathBuf> = below.filter(is_run).collect();
    below.sort();
    below
}

/// States of a run and their conditions.
fn states(run: &Path) -> Vec<String> {
    let table = ResultsReader::open(&kept::of_run(run)).and_then(|r| r.table(StateRow::META.path));
    let columns = table.into_iter().flatten();
    let named = columns.filter(|(name, _)| name == "state" || name == "condition");
    let mut all: Vec<String> = named
        .filter_map(|(_, values)| match values {
            Values::Text(v) => Some(v),
            _ => None,
        })
        .flatten()
        .filter(|n| !n.is_empty())
        .collect();
    all.sort();
    all.dedup();
    all
}

fn adapters(run: &Path, named: bool) -> Vec<String> {
    let folders = std::fs::read_dir(run.join("adapters")).into_iter().flatten().flatten();
    let mut all: Vec<String> = folders
        .map(|f| {
            let (name, path) = (f.file_name(), f.path());
            match named {
                true => format!("{}={}", name.to_string_lossy(), path.display()),
                false => path.display().to_string(),
            }
        })
        .collect();
    all.sort();
    all
}

pub fn man(args: ManArgs, out: &Console) -> Result<()> {
    if let Some(folder) = args.out {
        Outputs::default().folder("--out", &folder, &[]).check(true)?;
        super::kept::make_folder(&folder)?;
        clap_mangen::generate_to(super::Cli::command(), &folder)
            .with_context(|| format!("{} cannot be written", folder.display()))?;
        out.log(&format!("manual pages in {}", folder.display()));
        return Ok(());
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(super::Cli::command()).render(&mut page)?;
    print(&page)
}

fn print(bytes: &[u8]) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()?;
    Ok(())
}
