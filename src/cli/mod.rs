//! The command line: one file a command, each parse -> resolve -> call -> print.
//!
//! Nothing is computed here that another room could compute. What commands share are the nouns
//! beside them: the [`console`] that owns both output streams, the model [`state`]s that a command
//! opens, the choice of [`layers`], the [`readings`] of concepts and neutral texts in those states, the
//! [`output`] places that are checked before work begins, and the results and record that are [`kept`].
//! `anyhow` is used in this room and nowhere else: a failure here has no caller that could do anything
//! but print it.

mod algebra;
mod behave;
mod bench;
mod capture;
mod compare;
pub mod console;
mod distill;
mod doctor;
mod edit;
mod extract;
mod finetune;
mod geometry;
mod h5;
mod help;
mod interrupt;
mod kept;
pub mod layers;
mod link;
mod materials;
mod merge;
mod model;
mod notebook;
mod output;
mod parts;
mod plot;
mod project;
mod reading;
mod readings;
mod report;
mod shell;
mod show;
pub mod state;
mod steer;
mod study;
mod study_jobs;
mod study_place;
mod template;
mod validate;
mod vectors;

pub use console::Console;

use crate::model::{Held, Place, Placement, RowOrder};
use crate::ops::simd::Simd;
use crate::record;
use crate::store::{room, Frame};
use anyhow::Context;
use clap::{Args, FromArgMatches, Parser, Subcommand, ValueEnum};

/// Residual-stream activations of language models, directions in them, and what fine-tuning does
/// to both.
#[derive(Parser)]
#[command(
    name = "residuum",
    version,
    long_version = doctor::version(),
    propagate_version = true,
    disable_help_subcommand = true,
    long_about = "Residual-stream activations of language models, directions in them, and what \
fine-tuning does to both.\n\n\
A first session: fetch the default model, see how strongly two concepts are coupled in it, then \
fine-tune it and look again:\n\n  \
residuum model pull smollm2-135m-instruct\n  \
residuum geometry --layers third --out runs/base\n  \
residuum finetune --data conscious --out runs/conscious\n  \
residuum geometry --adapter conscious=runs/conscious --out runs/geometry\n\n\
Layer l is the output of block l, counted from 0. Results go to stdout, progress to stderr."
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Args)]
#[command(next_help_heading = help::GLOBAL)]
pub struct Global {
    /// Print the result as one JSON object
    #[arg(long, global = true)]
    pub json: bool,
    /// No progress and no log lines
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Replace earlier outputs: without it nothing that is there already is written over
    #[arg(long, global = true)]
    pub force: bool,
    /// Threads to compute with [default: all cores]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// Memory that the program may take, such as 8GB: a study that needs more does not start [default:
    /// what there is]
    #[arg(
        long,
        global = true,
        value_name = "SIZE",
        value_parser = room::parse_bytes,
        hide_short_help = true
    )]
    pub max_memory: Option<u64>,
    /// Say at the end where the time went, by operation
    #[arg(long, global = true)]
    pub profile: bool,
    /// Where models compute: cpu, cuda or cuda:N; a GPU needs a build with `--features cuda`
    #[arg(long, global = true, value_name = "DEVICE", default_value = "cpu")]
    pub device: Place,
    /// Numbers that models compute in; bf16 on a CPU is that of products, the rest stays in f32
    #[arg(long, global = true, value_enum, default_value_t = Numbers::F32)]
    pub dtype: Numbers,
    /// How weights are held on a CPU: f32 (decoded when loaded), stored (as the file has them, decoded as
    /// they are read, to the same bits), or auto: f32 up to 1 GB of it
    #[arg(
        long,
        global = true,
        value_name = "HELD",
        default_value = "auto",
        hide_short_help = true
    )]
    pub weights_as: Held,
    /// How a GGUF file holds the rows of q and k: permuted (as converted from Hugging Face, if the family
    /// has them so), plain (as from Mistral's own format), or model: as its architecture has them.
    /// `residuum model check` says which is right
    #[arg(
        long,
        global = true,
        value_name = "ORDER",
        default_value = "model",
        hide_short_help = true
    )]
    pub gguf_order: RowOrder,
}

/// Types of a model's numbers.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Numbers {
    F32,
    /// Faster; results carry how far they are from f32
    Bf16,
}

#[derive(Subcommand)]
pub enum Command {
    Model(model::ModelArgs),
    Materials(materials::MaterialsArgs),
    Distill(distill::DistillArgs),
    Finetune(finetune::FinetuneArgs),
    Capture(capture::CaptureArgs),
    Project(project::ProjectArgs),
    Extract(extract::ExtractArgs),
    Validate(validate::ValidateArgs),
    Vectors(algebra::AlgebraArgs),
    Geometry(geometry::GeometryArgs),
    Behave(Box<behave::BehaveArgs>),
    Steer(steer::SteerArgs),
    Link(link::LinkArgs),
    Bench(bench::BenchArgs),
    Doctor(doctor::DoctorArgs),
    Report(report::ReportArgs),
    Plot(plot::PlotArgs),
    Show(show::ShowArgs),
    Compare(compare::CompareArgs),
    Merge(merge::MergeArgs),
    Notebook(notebook::NotebookArgs),
    H5(h5::H5Args),
    /// Run, plan, check or begin a whole study: fine-tunes, activations, directions, coupling,
    /// behaviour, causes, figures and a report from one manifest.
    ///
    /// Example: residuum study run --out runs/quick
    #[command(about = "Run, plan, check or begin a whole study")]
    Study(study::StudyArgs),
    Help(help::HelpArgs),
    Completions(shell::CompletionsArgs),
    Man(shell::ManArgs),
}

/// Parses the command line of this process, and ends it where it is wrong.
pub fn parse() -> Cli {
    shell::complete();
    let mut command = help::command();
    // Outputs name files in JSON and HDF5, which hold nothing else.
    if let Some(other) = std::env::args_os().find(|a| a.to_str().is_none()) {
        let why = format!("{} is not UTF-8; give the file another name", other.display());
        command.error(clap::error::ErrorKind::InvalidUtf8, why).exit();
    }
    let matches = command.get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|e| e.exit())
}

/// Starts the threads to compute with; where that waited for the first computation, it could only panic.
fn start_threads(chosen: Option<u16>) -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (n, most) = (chosen.map_or(0, usize::from), (4 * cores).max(64));
    if n > most {
        anyhow::bail!("--threads is {n}, but this machine has {cores} cores; give at most {most}");
    }
    let built = rayon::ThreadPoolBuilder::new().num_threads(n).build_global();
    built.context("the threads to compute with cannot be started; give --threads 1, or raise the limits of memory and processes (ulimit -v, ulimit -u)")
}

/// Runs one command.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    Simd::from_environment().map_err(anyhow::Error::msg)?;
    start_threads(cli.global.threads)?;
    let bf16 = cli.global.dtype == Numbers::Bf16;
    if bf16 && cli.global.device == Place::Cpu {
        Simd::bf16().map_err(anyhow::Error::msg)?;
    }
    let mut placement = Placement::new(cli.global.device, bf16);
    if cli.global.device == Place::Cpu {
        placement.held = cli.global.weights_as;
    }
    placement.order = cli.global.gguf_order;
    cli.global.max_memory.into_iter().for_each(room::give_memory);
    let out = Console::new(&cli.global, placement);
    interrupt::on(&cli.command);
    let begun = std::time::Instant::now();
    if cli.global.profile {
        crate::ops::clock::start();
    }
    let ended = dispatch(cli.command, &out);
    if cli.global.profile {
        out.asked(&profile(begun.elapsed().as_secs_f64()));
    }
    if ended.is_ok() {
        output::finished();
    }
    ended
}

record! {
    /// Where the time of a command went.
    #[table("profile/operations")]
    pub struct OperationRow {
        /// Operation.
        pub operation: String,
        /// Time in it.
        pub seconds: f64 in "s",
        /// Share of the total.
        pub percent: f64,
        /// Calls; 0 where they are not counted.
        pub calls: usize,
    }
}

/// Seconds and calls of every operation, and what is left of the total.
fn profile(total: f64) -> String {
    let row = |operation: &str, seconds: f64, calls: usize| {
        let (operation, percent) = (operation.into(), 100.0 * seconds / total);
        OperationRow { operation, seconds, percent, calls }
    };
    let spent = crate::ops::clock::spent();
    let known: f64 = spent.iter().map(|s| s.seconds).sum();
    let each = spent.iter().map(|s| row(s.name, s.seconds, s.calls as usize));
    let rest = [row("all else", total - known, 0), row("total", total, 0)];
    let rows: Vec<OperationRow> = each.chain(rest).collect();
    let mut frame = Frame::of(&rows);
    frame.decimals = 2;
    frame.text() + "\n"
}

fn dispatch(command: Command, out: &Console) -> anyhow::Result<()> {
    match command {
        Command::Model(args) => model::run(args, out),
        Command::Materials(args) => materials::run(args, out),
        Command::Distill(args) => distill::run(args, out),
        Command::Finetune(args) => finetune::run(args, out),
        Command::Capture(args) => capture::run(args, out),
        Command::Project(args) => project::run(args, out),
        Command::Extract(args) => extract::run(args, out),
        Command::Validate(args) => validate::run(args, out),
        Command::Vectors(args) => algebra::run(args, out),
        Command::Geometry(args) => geometry::run(args, out),
        Command::Behave(args) => behave::run(&args, out),
        Command::Steer(args) => steer::run(args, out),
        Command::Link(args) => link::run(args, out),
        Command::Bench(args) => bench::run(args, out),
        Command::Doctor(args) => doctor::run(&args, out),
        Command::Report(args) => report::run(args, out),
        Command::Plot(args) => plot::run(args, out),
        Command::Show(args) => show::run(args, out),
        Command::Compare(args) => compare::run(args, out),
        Command::Merge(args) => merge::run(&args, out),
        Command::Notebook(args) => notebook::run(args, out),
        Command::H5(args) => h5::run(args, out),
        Command::Study(args) => study::run(args, out),
        Command::Help(args) => help::run(&args, out),
        Command::Completions(args) => shell::completions(args, out),
        Command::Man(args) => shell::man(args, out),
    }
}

/// Whether the error is a reader that has closed the pipe.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let mut io = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    io.any(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}

/// An error and its causes as one chain of sentences; a cause that the sentence before it already
/// tells is left out.
pub fn sentences(error: &anyhow::Error) -> String {
    let mut told: Vec<String> = Vec::new();
    for cause in error.chain().map(|c| c.to_string()) {
        if !told.iter().any(|t| t.contains(&cause)) {
            told.push(cause);
        }
    }
    // What a file says may hold marks that steer a terminal.
    let plain = |c: char| if c.is_control() && c != '\n' { char::REPLACEMENT_CHARACTER } else { c };
    told.join(": ").chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        let help = Cli::command().render_long_help().to_string();
        assert!(help.contains("begin a whole study"), "{help}");
    }

    #[test]
    fn every_flag_has_a_help_line_and_every_command_an_example() {
        let top = Cli::command();
        for command in top.get_subcommands() {
            let nested = command.get_subcommands().next().is_some();
            let about = command.get_long_about().map(|a| a.to_string());
            let has_example = about.is_some_and(|a| a.contains("residuum "));
            assert!(has_example, "{} has no example", command.get_name());
            let all = command.get_subcommands().chain([command]);
            for arg in all.flat_map(|c| c.get_arguments()) {
                assert!(arg.get_help().is_some(), "{} {}", command.get_name(), arg.get_id());
            }
            assert!(nested || command.get_about().is_some());
        }
    }

    #[test]
    fn a_cause_is_told_once() {
        let io = std::io::Error::other("the disk is gone");
        let error = anyhow::Error::from(io)
            .context("a.txt cannot be read (the disk is gone)")
            .context("no texts");
        assert_eq!(sentences(&error), "no texts: a.txt cannot be read (the disk is gone)");
        let pipe = Err::<(), _>(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert!(is_broken_pipe(&pipe.context("printing").unwrap_err()));
    }
}
