//! The `residuum` program: parse, dispatch, exit code.
//!
//! Exit 0 when the command did what it was asked, 1 when it failed, 2 when the command line is
//! wrong. A reader that closes the pipe has seen enough, which is no error.

use residuum::cli;
use residuum::model::sandbox::Budgeted;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: Budgeted<mimalloc::MiMalloc> = Budgeted(mimalloc::MiMalloc);

/// `mi_option_purge_delay` of mimalloc.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

fn main() -> ExitCode {
    // Freed memory is kept for the next tensor: giving pages back and clearing them again takes a
    // tenth of a capture.
    // SAFETY: called once, before any thread starts.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) };
    let parsed = cli::parse();
    set_threads(parsed.global.threads);
    match cli::run(parsed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if cli::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", cli::sentences(&error));
            ExitCode::from(1)
        }
    }
}

/// What candle and the matrix products read of the environment; nothing has started yet.
///
/// candle's own elementwise loops stay on the calling thread, unless the user has said otherwise:
/// its second pool of threads waits by spinning, which takes the cores from ours, 43 % of a training
/// step on two cores.
fn set_threads(chosen: Option<u16>) {
    if std::env::var_os("CANDLE_NUM_THREADS").is_none() {
        std::env::set_var("CANDLE_NUM_THREADS", "1");
    }
    if let Some(n) = chosen {
        std::env::set_var("RAYON_NUM_THREADS", n.to_string());
    }
}
