//! Shell completions and manual pages, made from the command line's own definition.

use super::{output::Outputs, Cli, Console};
use anyhow::{Context, Result};
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use std::{io::Write, path::PathBuf};

/// Print a completion script for a shell.
///
/// Example: residuum completions bash > ~/.local/share/bash-completion/completions/residuum
#[derive(Args)]
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

pub fn completions(args: CompletionsArgs, _out: &Console) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "residuum", &mut script);
    print(&script)
}

pub fn man(args: ManArgs, out: &Console) -> Result<()> {
    if let Some(folder) = args.out {
        Outputs::default().folder("--out", &folder, &[]).check(true)?;
        super::kept::make_folder(&folder)?;
        clap_mangen::generate_to(Cli::command(), &folder)
            .with_context(|| format!("{} cannot be written", folder.display()))?;
        out.log(&format!("manual pages in {}", folder.display()));
        return Ok(());
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page)?;
    print(&page)
}

fn print(bytes: &[u8]) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()?;
    Ok(())
}
