//! Where a chat template runs: in a thread of its own, with a budget.
//!
//! A template is a program that came with a model. It may loop, recurse or grow a string until
//! nothing is left, so it has a budget of steps, depth, memory and time, and a bound on how deeply
//! its source nests. Steps and depth are the interpreter's own. Memory is counted by the program's
//! allocator ([`Budgeted`]): an allocation beyond the budget never returns; the thread stays
//! parked with what it holds, and whoever waits for it is told. (An allocator may neither fail
//! nor unwind without ending the process.) Under another allocator the bound on time remains.

use super::error::{ModelError, Result};
use super::guard::guarded;
use super::template_bounds;
use minijinja::{Environment, Error, Value};
use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{channel, sync_channel, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Instructions of one rendering; a long conversation takes some ten thousand.
const STEPS: u64 = 2_000_000;
/// Nested calls of macros.
const DEPTH: usize = 100;
/// Bytes that a template may hold beyond what it began with.
const MEMORY: isize = 256 << 20;
/// Time of one rendering.
const TIME: Duration = Duration::from_secs(10);
/// Stack of the thread: enough for what [`template_bounds`] lets nest.
const STACK: usize = 64 << 20;
/// Characters of an error that are kept.
const MESSAGE: usize = 400;
/// How often a waiting caller looks whether the budget is spent.
const LOOK: Duration = Duration::from_millis(20);

thread_local! {
    /// Bytes left to this thread, and the flag to raise when they are spent.
    static LEFT: Cell<isize> = const { Cell::new(0) };
    static SPENT: Cell<Option<&'static AtomicBool>> = const { Cell::new(None) };
}

/// An allocator that holds template threads to their budget of memory.
pub struct Budgeted<A>(pub A);

impl<A> Budgeted<A> {
    fn take(&self, bytes: usize) {
        let Some(flag) = SPENT.get() else { return };
        let left = LEFT.get().saturating_sub_unsigned(bytes);
        LEFT.set(left);
        if left < 0 {
            flag.store(true, Ordering::Release);
            loop {
                std::thread::sleep(Duration::from_secs(3600));
            }
        }
    }

    fn give(&self, bytes: usize) {
        if SPENT.get().is_some() {
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

type Outcome = std::result::Result<String, String>;

/// A compiled template, waiting in its thread for something to render.
pub(super) struct Sandbox {
    requests: Mutex<Sender<(Value, SyncSender<Outcome>)>>,
    /// Raised when the budget of memory is spent; the thread is then lost.
    spent: &'static AtomicBool,
}

impl Sandbox {
    /// Compiles `source` in the environment that `prepare` makes.
    ///
    /// # Errors
    /// A template that does not parse or nests too deeply; no thread to be had.
    pub fn new(
        source: &str,
        prepare: impl FnOnce() -> Environment<'static> + Send + 'static,
    ) -> Result<Self> {
        template_bounds::check(source).map_err(ModelError::Template)?;
        let source = source.to_owned();
        // One byte for each template that was ever loaded: a parked thread keeps the flag.
        let spent: &'static AtomicBool = Box::leak(Box::default());
        let (requests, waiting) = channel::<(Value, SyncSender<Outcome>)>();
        let (ready, compiled) = sync_channel::<Outcome>(1);
        let work = move || {
            let mut env = prepare();
            env.set_fuel(Some(STEPS));
            env.set_recursion_limit(DEPTH);
            LEFT.set(MEMORY);
            SPENT.set(Some(spent));
            let added = env.add_template_owned("chat", source);
            let fine = added.is_ok();
            let _ = ready.send(added.map(|()| String::new()).map_err(sentence));
            while let (true, Ok((context, reply))) = (fine, waiting.recv()) {
                LEFT.set(MEMORY);
                let render = || env.get_template("chat").and_then(|t| t.render(context));
                let panicked = || Err("makes the template library panic".to_owned());
                let rendered = guarded(render).map_or_else(panicked, |r| r.map_err(sentence));
                let _ = reply.send(rendered);
            }
        };
        std::thread::Builder::new()
            .name("template".into())
            .stack_size(STACK)
            .spawn(work)
            .map_err(|e| ModelError::Template(format!("no thread to run it in ({e})")))?;
        let sandbox = Sandbox { requests: Mutex::new(requests), spent };
        sandbox.wait(&compiled)?;
        Ok(sandbox)
    }

    /// The template's output for `context`.
    ///
    /// # Errors
    /// What the template raises; a budget that is spent, by name.
    pub fn render(&self, context: Value) -> Result<String> {
        let (reply, answer) = sync_channel(1);
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        // A thread that is gone answers nothing; the wait tells why.
        let _ = requests.send((context, reply));
        self.wait(&answer)
    }

    fn wait(&self, answer: &std::sync::mpsc::Receiver<Outcome>) -> Result<String> {
        let bad = |why: String| Err(ModelError::Template(why));
        let begun = Instant::now();
        loop {
            match answer.recv_timeout(LOOK) {
                Ok(outcome) => return outcome.or_else(bad),
                Err(_) if self.spent.load(Ordering::Acquire) => {
                    return bad(format!("takes more than {} MB of memory", MEMORY as usize >> 20));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return bad("its thread has ended".into());
                }
                Err(RecvTimeoutError::Timeout) if begun.elapsed() > TIME => {
                    return bad(format!("takes more than {} seconds", TIME.as_secs()));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

/// An error of the interpreter in one short sentence.
fn sentence(e: Error) -> String {
    let text = match e.kind() {
        minijinja::ErrorKind::OutOfFuel => format!("takes more than {STEPS} steps"),
        _ => format!("{e:#}"),
    };
    let first = text.lines().next().unwrap_or_default();
    shortened(first, MESSAGE)
}

/// At most `most` characters of a text, the rest as dots.
pub(super) fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}...", &text[..at]),
    }
}
