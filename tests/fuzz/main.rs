//! No input breaks a reader: no panic, no abort, no hang, no memory beyond a small multiple of the input,
//! no file outside the output folder.
//!
//! `FUZZ_SECONDS` (40), `FUZZ_SEED` (1) and `FUZZ_TARGET` (all but HDF5) say how long, from where, and what. Inputs
//! are determined by seed, target and number, so that a longer run goes on where a shorter one ended. An
//! input that fails is left in `target/tmp/fuzz-found`; where the process itself dies, the last input is in
//! the folder that is printed at the beginning. What was found and mended is in `tests/fixtures/fuzz`, as
//! TARGET.NAME, and is tried first. `FUZZ_CORPUS` names a folder that gets the seeds, for libFuzzer.

mod mutate;
mod seeds;
mod targets;
#[path = "../common/toy.rs"]
#[allow(dead_code)]
mod toy;

use rand::seq::IndexedRandom;
use residuum::model::sandbox::Budgeted;
use residuum::stats::rng::stream;
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicIsize, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use targets::{Place, Target, TARGETS};

/// Tried where they are named only: libhdf5 itself goes round without end in some damaged files.
const BY_NAME: [&str; 2] = ["results", "activations"];

/// Bytes that are held, and the most since somebody looked.
static HELD: AtomicIsize = AtomicIsize::new(0);
static MOST: AtomicIsize = AtomicIsize::new(0);

struct Counted;

#[global_allocator]
static ALLOCATOR: Budgeted<Counted> = Budgeted(Counted);

fn count(bytes: isize) {
    let held = HELD.fetch_add(bytes, Relaxed) + bytes;
    MOST.fetch_max(held, Relaxed);
}

// SAFETY: every call is handed to the system's allocator as it came; counting touches atomics alone.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        System.alloc(layout)
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        System.dealloc(ptr, layout);
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        System.alloc_zeroed(layout)
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new: usize) -> *mut u8 {
        count(new as isize - layout.size() as isize);
        System.realloc(ptr, layout, new)
    }
}

/// What an input of `len` bytes may take: working memory, and a multiple of it.
fn memory(target: &str, len: usize) -> isize {
    let own = match target {
        // A template's budget, which bounds it whatever it is.
        "template" | "gguf" | "tokenizer" => 300 << 20,
        _ => 48 << 20,
    };
    own + 64 * len as isize
}

/// Longest time of an input; templates have a bound of their own of 10 seconds.
const LONGEST: Duration = Duration::from_secs(12);
/// After this the process ends itself, since what hangs cannot be stopped.
const HANGS: Duration = Duration::from_secs(60);
/// Memory that templates beyond their budget keep, after which there is no going on with them.
const KEPT: isize = 2 << 30;

/// When the input at work began, in milliseconds since the start; none at 0.
static BEGAN: AtomicU64 = AtomicU64::new(0);

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|v| !v.is_empty())
}

fn say(text: &str) {
    // Past the test harness, which keeps what a process that dies has printed.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Tries one input; the reason if it fails, and whether it was taken.
fn tried(
    place: &Place,
    (name, target): (&str, Target),
    input: &[u8],
    start: Instant,
) -> Result<bool, String> {
    let held = HELD.load(Relaxed);
    MOST.store(held, Relaxed);
    let now = Instant::now();
    BEGAN.store(start.elapsed().as_millis() as u64 + 1, Relaxed);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let taken = target(place, input);
        place.settle();
        taken
    }));
    BEGAN.store(0, Relaxed);
    let most = MOST.load(Relaxed) - held;
    let took = now.elapsed();
    match outcome {
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            Err(format!("panics: {}", text.or(panic.downcast_ref().copied()).unwrap_or_default()))
        }
        Ok(_) if most > memory(name, input.len()) => {
            Err(format!("takes {most} bytes of memory for {} of input", input.len()))
        }
        Ok(_) if took > LONGEST => Err(format!("takes {took:?}")),
        Ok(taken) => Ok(taken),
    }
}

/// Ends the process where one input does not end.
fn watch(start: Instant, root: PathBuf) {
    std::thread::spawn(move || loop {
        std::thread::sleep(Duration::from_millis(500));
        let began = BEGAN.load(Relaxed);
        let now = start.elapsed().as_millis() as u64;
        if began > 0 && now.saturating_sub(began) > HANGS.as_millis() as u64 {
            say(&format!("an input hangs; it is in {}", root.display()));
            std::process::abort();
        }
    });
}

#[test]
fn no_input_breaks_a_reader() {
    let seconds: f64 = variable("FUZZ_SECONDS").map_or(40.0, |s| s.parse().unwrap());
    let seed: u64 = variable("FUZZ_SEED").map_or(1, |s| s.parse().unwrap());
    let only = variable("FUZZ_TARGET");
    let memory_disk = Path::new("/dev/shm");
    let folder = if memory_disk.is_dir() { memory_disk.into() } else { std::env::temp_dir() };
    let root = folder.join(format!("residuum-fuzz-{}", std::process::id()));
    let found = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz-found");
    let (place, start) = (Place::new(&root), Instant::now());
    watch(start, root.clone());
    say(&format!("fuzz: inputs in {}", root.display()));
    let chosen = TARGETS.iter().filter(|t| match &only {
        Some(name) => name == t.0,
        None => !BY_NAME.contains(&t.0),
    });
    let chosen: Vec<&(&str, Target)> = chosen.collect();
    assert!(!chosen.is_empty(), "no such target; there are {:?}", TARGETS.map(|t| t.0));
    let share = Duration::from_secs_f64(seconds / chosen.len() as f64);
    let mut failed = Vec::new();
    for &&(name, target) in &chosen {
        let (form, good) = seeds::of(name, &place);
        if let Some(corpus) = variable("FUZZ_CORPUS") {
            let corpus = Path::new(&corpus).join(name);
            std::fs::create_dir_all(&corpus).unwrap();
            for (i, input) in good.iter().enumerate() {
                std::fs::write(corpus.join(format!("seed-{i}")), input).unwrap();
            }
        }
        for (i, input) in good.iter().enumerate() {
            // A page of rows is of one kind, so the other parsers refuse it.
            let taken = tried(&place, (name, target), input, start);
            if taken != Ok(true) && !["pickle", "jsonl", "judge", "hub"].contains(&name) {
                failed.push(format!("seed {i} of {name}: {taken:?}"));
            }
        }
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fuzz");
        let earlier = std::fs::read_dir(fixtures).into_iter().flatten().map(|e| e.unwrap().path());
        let of_this =
            |p: &PathBuf| p.file_name().unwrap().to_string_lossy().starts_with(&format!("{name}."));
        for path in earlier.filter(of_this) {
            let outcome = tried(&place, (name, target), &std::fs::read(&path).unwrap(), start);
            assert!(outcome.is_ok(), "{}: {outcome:?}", path.display());
        }
        let (begun, before) = (Instant::now(), HELD.load(Relaxed));
        let (mut runs, mut taken) = (0u64, 0u64);
        while begun.elapsed() < share && HELD.load(Relaxed) - before < KEPT {
            let mut rng = stream(seed, name, runs);
            let input = mutate::mutated(form, good.choose(&mut rng).unwrap(), &mut rng);
            match tried(&place, (name, target), &input, start) {
                Ok(was) => taken += u64::from(was),
                Err(why) => {
                    let path = found.join(format!("{name}.{seed}-{runs}"));
                    std::fs::create_dir_all(&found).unwrap();
                    std::fs::write(&path, input).unwrap();
                    say(&format!("fuzz: {} {why}", path.display()));
                    failed.push(format!("{}: {why}", path.display()));
                    let _ = std::fs::create_dir(root.join("a/b/out"));
                }
            }
            runs += 1;
        }
        let took = begun.elapsed().as_secs_f64();
        say(&format!("fuzz: {name:15} {runs:9} executions, {taken:8} taken, {took:6.1} s"));
        assert!(runs > 0, "{name}: no execution");
    }
    let _ = std::fs::remove_dir_all(&root);
    assert!(failed.is_empty(), "{} inputs fail:\n{}", failed.len(), failed.join("\n"));
}
