//! Where code that came with a model runs: chat templates, which are programs, and the library of
//! tokenizers, which does what a file says.
//!
//! Either may loop, recurse or grow a string until nothing is left, so it runs in a thread of its
//! own with a budget of memory, stack and time. Memory is counted by the program's allocator
//! ([`Budgeted`]): an allocation beyond the budget never returns; the thread stays parked with what
//! it holds, and whoever waits for it is told. (An allocator may neither fail nor unwind without
//! ending the process.) A stack that is used up parks it alike ([`super::stack`]). Under another
//! allocator, or another system, the bound on time remains. Panics are errors.

use super::guard::guarded;
use super::stack;
use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{channel, sync_channel, RecvTimeoutError, Sender};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bytes that a piece of work may hold beyond what it began with, and for each byte of its input.
const MEMORY: isize = 256 << 20;
const MEMORY_BYTE: usize = 512;
/// Time that may be used at once, for each byte of the input, and what a piece of work earns for
/// those after it: many that are slow are as bad as one without end.
const TIME: Duration = Duration::from_secs(10);
const TIME_BYTE: Duration = Duration::from_micros(4);
const EARNED: Duration = Duration::from_millis(100);
/// Stack of the thread.
const STACK: usize = 16 << 20;
/// How often a waiting caller looks whether a budget is spent.
const LOOK: Duration = Duration::from_millis(20);

/// How a thread was lost.
const MEMORY_SPENT: u8 = 1;
const STACK_SPENT: u8 = 2;
const TIME_SPENT: u8 = 3;

thread_local! {
    /// Bytes left to this thread, and what to set when they are spent.
    static LEFT: Cell<isize> = const { Cell::new(0) };
    static LOST: Cell<Option<&'static AtomicU8>> = const { Cell::new(None) };
}

/// An allocator that holds sandboxes to their budget of memory.
pub struct Budgeted<A>(pub A);

impl<A> Budgeted<A> {
    fn take(&self, bytes: usize) {
        let Some(lost) = LOST.get() else { return };
        let left = LEFT.get().saturating_sub_unsigned(bytes);
        LEFT.set(left);
        if left < 0 {
            lost.store(MEMORY_SPENT, Ordering::Release);
            loop {
                std::thread::sleep(Duration::from_secs(3600));
            }
        }
    }

    fn give(&self, bytes: usize) {
        if LOST.get().is_some() {
            LEFT.set(LEFT.get().saturating_add_unsigned(bytes));
        }
    }
}

// SAFETY: every call is handed to the inner allocator as it came; counting touches no memory but
// thread-local cells without destructors.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Budgeted<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.take(layout.size());
        self.0.alloc(layout)
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        self.give(layout.size());
        self.0.dealloc(ptr, layout);
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.take(layout.size());
        self.0.alloc_zeroed(layout)
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new: usize) -> *mut u8 {
        self.take(new);
        self.give(layout.size());
        self.0.realloc(ptr, layout, new)
    }
}

type Work = Box<dyn FnOnce() + Send>;

/// A thread that does one piece of work after another; it ends with this.
pub(super) struct Sandbox {
    queue: Mutex<Queue>,
    /// How the thread was lost, 0 while it is not.
    lost: &'static AtomicU8,
}

struct Queue {
    work: Sender<Work>,
    /// Time that may be used.
    left: Duration,
}

impl Sandbox {
    /// # Errors
    /// No thread to be had, in words.
    pub fn new() -> Result<Self, String> {
        // One byte for each sandbox that ever was: a parked thread keeps it.
        let lost: &'static AtomicU8 = Box::leak(Box::default());
        let (work, waiting) = channel::<Work>();
        let thread = move || {
            stack::watch(STACK, lost, STACK_SPENT);
            // What waiting takes counts for nothing: a thread that is parked there would hold the queue.
            LEFT.set(isize::MAX);
            LOST.set(Some(lost));
            while let Ok(work) = waiting.recv() {
                work();
            }
        };
        let named = std::thread::Builder::new().name("sandbox".into()).stack_size(STACK);
        named.spawn(thread).map_err(|e| format!("there is no thread to run it in ({e})"))?;
        Ok(Sandbox { queue: Mutex::new(Queue { work, left: TIME }), lost })
    }

    /// What `work` gives, which reads `input` bytes.
    ///
    /// # Errors
    /// The budget that it spent, in words, and again from then on; a panic.
    pub fn run<T: Send + 'static>(
        &self,
        input: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        let (reply, answer) = sync_channel(1);
        let memory = MEMORY.saturating_add_unsigned(input.saturating_mul(MEMORY_BYTE));
        let job = move || {
            LEFT.set(memory);
            let outcome = guarded(work);
            // The answer is not its own: parked in the middle of it, it would hold who waits.
            LEFT.set(isize::MAX);
            let _ = reply.send(outcome);
        };
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let more = TIME_BYTE.saturating_mul(input.try_into().unwrap_or(u32::MAX));
        let (begun, most) = (Instant::now(), queue.left + more);
        // A thread that is gone answers nothing; the wait tells why.
        let _ = queue.work.send(Box::new(job));
        let outcome = loop {
            match (answer.recv_timeout(LOOK), self.lost.load(Ordering::Acquire)) {
                (Ok(outcome), _) => break outcome,
                (Err(_), MEMORY_SPENT) => {
                    let megabytes = memory as usize >> 20;
                    return Err(format!("takes more than {megabytes} MB of memory"));
                }
                (Err(_), STACK_SPENT) => {
                    return Err("nests or recurses too deeply".into());
                }
                (Err(_), TIME_SPENT) => {
                    return Err(format!("takes more than {} seconds", TIME.as_secs()));
                }
                (Err(RecvTimeoutError::Disconnected), _) => {
                    return Err("its thread has ended".into());
                }
                (Err(RecvTimeoutError::Timeout), _) if begun.elapsed() > most => {
                    self.lost.store(TIME_SPENT, Ordering::Release);
                }
                (Err(RecvTimeoutError::Timeout), _) => {}
            }
        };
        queue.left = TIME.min(most.saturating_sub(begun.elapsed()) + EARNED);
        outcome.ok_or_else(|| "makes its library panic".into())
    }
}

/// At most `most` characters of a text, the rest as dots.
pub(super) fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}...", &text[..at]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(work: impl FnOnce() + Send + 'static) -> String {
        let sandbox = Sandbox::new().unwrap();
        let why = sandbox.run(0, work).unwrap_err();
        // What panics may be used again; what is parked may not.
        assert_eq!(sandbox.run(0, || ()).is_ok(), why.contains("panic"), "{why}");
        why
    }

    fn deeper(n: u64) -> u64 {
        std::hint::black_box(n) + if n > 0 { deeper(n + 1) } else { 0 }
    }

    #[test]
    fn work_that_takes_too_much_is_stopped_and_the_process_goes_on() {
        assert!(said(|| drop(std::hint::black_box(vec![1u8; 300 << 20]))).contains("256 MB"));
        assert!(said(|| _ = std::hint::black_box(deeper(1))).contains("too deeply"));
        assert!(said(|| panic!("damaged")).contains("panic"));
        assert!(said(|| std::thread::sleep(Duration::from_secs(60))).contains("10 seconds"));
        let held = Sandbox::new().unwrap();
        assert_eq!(held.run(1 << 20, || vec![1u8; 300 << 20].len()), Ok(300 << 20));
    }
}
