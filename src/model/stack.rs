//! A stack that is used up parks its thread instead of ending the process.
//!
//! Below the stack lies a page that nobody may touch. Whoever does gets a signal, on a stack of its own
//! that the standard library gave every thread; from there the thread does not come back. Faults
//! of other threads and places go to the handler that was there before.

use std::sync::atomic::AtomicU8;

/// What lies below a stack and is a sign of one that is used up.
#[cfg(unix)]
const BELOW: usize = 1 << 20;

#[cfg(unix)]
mod signal {
    use super::BELOW;
    use std::cell::Cell;
    use std::mem::zeroed;
    use std::ptr::null_mut;
    use std::sync::atomic::{AtomicU8, Ordering};
    use std::sync::OnceLock;

    #[derive(Clone, Copy)]
    pub struct Watched {
        pub top: usize,
        pub size: usize,
        pub lost: &'static AtomicU8,
        pub how: u8,
    }

    thread_local! {
        pub static WATCHED: Cell<Option<Watched>> = const { Cell::new(None) };
    }

    const SIGNALS: [libc::c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];
    static BEFORE: OnceLock<[libc::sigaction; 2]> = OnceLock::new();

    extern "C" fn fault(signal: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
        // SAFETY: the system fills `info` for a handler that asked for it.
        let at = unsafe { (*info).si_addr() } as usize;
        if let Some(w) = WATCHED.get() {
            if at < w.top && at >= w.top.saturating_sub(w.size + BELOW) {
                w.lost.store(w.how, Ordering::Release);
                loop {
                    // SAFETY: a handler may call it.
                    unsafe { libc::pause() };
                }
            }
        }
        // The fault is repeated under the handler that was there before.
        let before = BEFORE.get().and_then(|all| {
            let i = SIGNALS.iter().position(|s| *s == signal)?;
            all.get(i)
        });
        if let Some(before) = before {
            // SAFETY: a handler may call it; `before` came from the same call.
            unsafe { libc::sigaction(signal, before, null_mut()) };
        }
    }

    pub fn install() {
        BEFORE.get_or_init(|| {
            SIGNALS.map(|signal| {
                // SAFETY: all zeros is an empty action; the handler has the signature that SA_SIGINFO
                // asks for, and calls only what a handler may.
                unsafe {
                    let (mut ours, mut before): (libc::sigaction, libc::sigaction) =
                        (zeroed(), zeroed());
                    let handler: extern "C" fn(
                        libc::c_int,
                        *mut libc::siginfo_t,
                        *mut libc::c_void,
                    ) = fault;
                    ours.sa_sigaction = handler as libc::sighandler_t;
                    ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
                    libc::sigaction(signal, &ours, &mut before);
                    before
                }
            })
        });
    }
}

/// From here on this thread, which has a stack of `size` bytes, sets `lost` to `how` and stops when
/// its stack is used up.
#[cfg(unix)]
pub(super) fn watch(size: usize, lost: &'static AtomicU8, how: u8) {
    signal::install();
    let here = 0u8;
    let top = std::ptr::from_ref(&here) as usize;
    signal::WATCHED.set(Some(signal::Watched { top, size, lost, how }));
}

/// Elsewhere the process ends.
#[cfg(not(unix))]
pub(super) fn watch(_: usize, _: &'static AtomicU8, _: u8) {}
