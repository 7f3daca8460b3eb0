//! The `residuum` program: parse, dispatch, exit code.
//!
//! Exit 0 when the command did what it was asked, 1 when it failed, 2 when the command line is
//! wrong. A reader that closes the pipe has seen enough, which is no error.

use clap::Parser;
use residuum::cli::{self, Cli};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let parsed = Cli::parse();
    match cli::run(parsed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if cli::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", cli::sentences(&error));
            ExitCode::from(1)
        }
    }
}
