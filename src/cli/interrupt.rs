//! Ctrl-C and SIGTERM: the program ends with 130 or 143 and says how to go on.
//!
//! The sentence is made when a command begins, since a signal handler may neither allocate nor lock; it
//! only writes what is there, gives back the locks of outputs (a cluster may go on with the work on
//! another host, where nobody knows that this process has ended) and ends the process. Files are written
//! whole or not at all, so that stopping anywhere leaves none half written.

use super::Command;
#[cfg(unix)]
use crate::store::lock::HELD;
#[cfg(unix)]
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// What to do after a command was stopped.
fn next(command: &Command) -> &'static str {
    match command {
        Command::Study(_) => "finished stages are kept; the same command goes on behind them",
        Command::Behave(_) => "answers and verdicts are kept; the same command goes on behind them",
        Command::Distill(_) => "answers are kept; the same command goes on behind them",
        Command::Finetune(_) => "checkpoints that were reached are whole; the same command begins anew, and `--init-adapter CHECKPOINT` goes on from one",
        _ => "no file is half written; the same command begins anew",
    }
}

#[cfg(unix)]
static TEXT: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
#[cfg(unix)]
static LENGTH: AtomicUsize = AtomicUsize::new(0);

/// Ends the process: the sentence on stderr, exit code 128 and the number of the signal.
#[cfg(unix)]
extern "C" fn stopped(signal: libc::c_int) {
    let text = TEXT.load(Ordering::Acquire);
    // SAFETY: write, unlink and _exit may be called in a handler; the texts are never freed.
    unsafe {
        for lock in HELD.iter().map(|slot| slot.load(Ordering::Acquire)) {
            if !lock.is_null() {
                libc::unlink(lock);
            }
        }
        if !text.is_null() {
            libc::write(2, text.cast_const().cast(), LENGTH.load(Ordering::Acquire));
        }
        libc::_exit(128 + signal);
    }
}

/// From here on Ctrl-C and SIGTERM say how to go on with the command.
#[cfg(unix)]
pub fn on(command: &Command) {
    let text = format!("\nstopped: {}\n", next(command));
    let text: &'static mut str = Box::leak(text.into_boxed_str());
    LENGTH.store(text.len(), Ordering::Release);
    TEXT.store(text.as_mut_ptr(), Ordering::Release);
    let handler: extern "C" fn(libc::c_int) = stopped;
    // SAFETY: a handler of the signature that the call takes, which only calls what a handler may.
    unsafe {
        libc::signal(libc::SIGINT, handler as libc::sighandler_t);
        libc::signal(libc::SIGTERM, handler as libc::sighandler_t);
        // A file beyond the user's limit is then an error that is told.
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}

/// Elsewhere the system ends the process without a word.
#[cfg(not(unix))]
pub fn on(_: &Command) {}
