//! One writer at a time for a file or a folder.
//!
//! A lock is a small file in the folder that is written to, `.residuum.lock` of a folder and
//! `.acts.h5.lock` of a file, which says who holds it. It appears with its content by a hard link, or
//! not at all, which holds on network disks too: so two processes, also of two hosts, never both
//! have it. A second process does not wait; it is told who holds the lock. The lock of a process that
//! was killed is taken over where it ran on this very system; what happens on another is not known
//! here, so such a lock stays until it is deleted by hand.

use super::atomic::{self, Pending};
use super::error::{from_io, Result, StoreError};
use super::host::{host, started};
use super::time;
use serde::{Deserialize, Serialize};
use std::ffi::{c_char, CString};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicPtr, Ordering};

/// The lock of a folder.
const FOLDER: &str = ".residuum.lock";
/// Locks of dead processes that may be taken over one after the other.
const TRIES: usize = 20;
/// Characters of a command line that are kept.
const LONGEST: usize = 200;

/// Paths of the locks that this process holds, for a handler of signals that ends it: it may not
/// allocate, and what is taken out of here is never freed.
pub static HELD: [AtomicPtr<c_char>; 16] = [const { AtomicPtr::new(std::ptr::null_mut()) }; 16];

/// Who holds a lock.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Holder {
    host: String,
    /// Tag of the running system.
    system: String,
    process: u32,
    /// When the process began, in ticks of its system.
    #[serde(default)]
    started: Option<u64>,
    command: String,
    /// UTC.
    since: String,
}

impl Holder {
    fn this() -> Self {
        let process = std::process::id();
        let words: Vec<String> =
            std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect();
        Holder {
            host: host().name.clone(),
            system: host().tag.clone(),
            process,
            started: started(process),
            command: words.join(" ").chars().take(LONGEST).collect(),
            since: time::utc_now(),
        }
    }

    fn is_here(&self) -> bool {
        self.system == host().tag
    }

    /// Whether it is known to run no more.
    fn is_gone(&self) -> bool {
        let known = host().tells && self.is_here() && self.started.is_some();
        known && started(self.process) != self.started
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let Holder { host, process, command, since, .. } = self;
        let here = if self.is_here() { "this host" } else { "host" };
        write!(f, "process {process} on {here} {host} since {since} ({command})")
    }
}

/// A file or folder that no other process writes to as long as this lives.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    text: Vec<u8>,
    /// Folders that were made for it, the deepest first.
    made: Vec<PathBuf>,
}

impl Lock {
    /// Of a folder, which is made where it is not there. What killed processes of this host left
    /// half written in it is removed.
    ///
    /// # Errors
    /// `InUse` where another process has it; `Unwritable`, `DiskFull`.
    pub fn folder(folder: &Path) -> Result<Self> {
        let lock = Self::take(folder.join(FOLDER), folder)?;
        // What cannot be removed is in nobody's way.
        let _ = atomic::clean_leftovers(folder, 1);
        Ok(lock)
    }

    /// Of a file, which need not be there; what a killed process, wherever it ran, left of it half
    /// written is removed.
    ///
    /// # Errors
    /// As [`Lock::folder`]; `BadName` where the path ends in no name.
    pub fn file(file: &Path) -> Result<Self> {
        let led = file.is_symlink().then(|| fs::canonicalize(file).ok()).flatten();
        let target = led.as_deref().unwrap_or(file);
        let name = target.file_name().and_then(|n| n.to_str());
        let named = || StoreError::BadName { what: "a file", name: target.display().to_string() };
        let name = name.ok_or_else(named)?;
        let lock = Self::take(target.with_file_name(format!(".{name}.lock")), file)?;
        let _ = atomic::clean_of(target);
        Ok(lock)
    }

    fn take(path: PathBuf, what: &Path) -> Result<Self> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let missing = folder.ancestors().take_while(|f| !f.as_os_str().is_empty() && !f.exists());
        let made: Vec<PathBuf> = missing.map(PathBuf::from).collect();
        let text = serde_json::to_vec(&Holder::this()).map_err(|e| from_io(&path, e.into()))?;
        for _ in 0..TRIES {
            if place(&path, &text)? {
                hold(&path);
                return Ok(Lock { path, text, made });
            }
            let held = match fs::read(&path) {
                Ok(held) => held,
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                Err(e) => return Err(from_io(&path, e)),
            };
            match serde_json::from_slice::<Holder>(&held) {
                Ok(holder) if holder.is_gone() => remove_if(&path, &held)?,
                holder => {
                    let by = holder.map_or("a process that left no name".into(), |h| h.to_string());
                    return Err(StoreError::InUse { path: what.into(), by, lock: path });
                }
            }
        }
        let by = "processes that take turns".into();
        Err(StoreError::InUse { path: what.into(), by, lock: path })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let own = self.path.as_os_str().as_encoded_bytes();
        for slot in &HELD {
            let held = slot.load(Ordering::Acquire);
            // SAFETY: what stands in a slot is a CString that is never freed.
            let is_own =
                !held.is_null() && unsafe { std::ffi::CStr::from_ptr(held) }.to_bytes() == own;
            if is_own {
                slot.store(std::ptr::null_mut(), Ordering::Release);
            }
        }
        // A lock that was deleted by hand may be another's by now.
        let _ = remove_if(&self.path, &self.text);
        // Those that hold something stay.
        self.made.iter().for_each(|folder| drop(fs::remove_dir(folder)));
    }
}

/// Makes a lock known to handlers of signals, as long as there is a free slot.
fn hold(path: &Path) {
    let Ok(text) = CString::new(path.as_os_str().as_encoded_bytes()) else { return };
    let text = text.into_raw();
    let null = std::ptr::null_mut();
    let order = (Ordering::AcqRel, Ordering::Acquire);
    let free =
        |slot: &AtomicPtr<c_char>| slot.compare_exchange(null, text, order.0, order.1).is_ok();
    if !HELD.iter().any(free) {
        // SAFETY: it came from `into_raw` and stands in no slot.
        drop(unsafe { CString::from_raw(text) });
    }
}

/// Makes the lock; false where there is one.
fn place(path: &Path, text: &[u8]) -> Result<bool> {
    let whole = Pending::new(path)?;
    fs::write(whole.path(), text).map_err(|e| from_io(path, e))?;
    match fs::hard_link(whole.path(), path) {
        Ok(()) => Ok(true),
        // On a network disk the link may have been made although the answer was lost.
        Err(_) if is_linked(whole.path()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
        // A file system without hard links: there it may be seen before its content.
        Err(_) => match OpenOptions::new().write(true).create_new(true).open(path) {
            Ok(mut file) => {
                file.write_all(text).map_err(|e| from_io(path, e))?;
                Ok(true)
            }
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(e) => Err(from_io(path, e)),
        },
    }
}

#[cfg(unix)]
fn is_linked(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).is_ok_and(|m| m.nlink() == 2)
}

#[cfg(not(unix))]
fn is_linked(_: &Path) -> bool {
    false
}

/// Removes a lock that holds `text`. Processes that find the same dead lock queue at it, so that the
/// second does not remove what the first has put in its place.
fn remove_if(path: &Path, text: &[u8]) -> Result<()> {
    let Ok(file) = File::open(path) else { return Ok(()) };
    // Without such locks the content alone decides.
    let _ = file.lock();
    match fs::read(path) {
        Ok(now) if now == text => fs::remove_file(path).map_err(|e| from_io(path, e)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leave(path: &Path, change: impl FnOnce(&mut Holder)) -> Vec<u8> {
        let mut holder = Holder::this();
        change(&mut holder);
        let text = serde_json::to_vec(&holder).unwrap();
        fs::write(path, &text).unwrap();
        text
    }

    #[test]
    fn a_second_writer_is_told_who_has_it_and_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("deep/run");
        let lock = Lock::folder(&folder).unwrap();
        let text = Lock::folder(&folder).unwrap_err().to_string();
        let own = format!("process {} on this host {}", std::process::id(), host().name);
        for part in [own.as_str(), "deep/run is in use", ".residuum.lock", "delete"] {
            assert!(text.contains(part), "{text}");
        }
        // A file within is another's business.
        let file = Lock::file(&folder.join("a.h5")).unwrap();
        assert!(Lock::file(&folder.join("a.h5")).is_err());
        drop((file, lock));
        assert!(!dir.path().join("deep").exists(), "what was made for the lock goes with it");
        drop(Lock::folder(&folder).unwrap());
    }

    #[test]
    fn the_dead_of_this_host_are_known_and_those_of_others_never_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FOLDER);
        let left = [".a.h5.4294967294-0.part", ".b.h5.4294967294-1.part"];
        left.iter().for_each(|f| fs::write(dir.path().join(f), "x").unwrap());
        if host().tells {
            // The number may have gone to another process since.
            for dead in [u32::MAX, 1] {
                leave(&path, |h| (h.process, h.started) = (dead, Some(u64::MAX)));
                drop(Lock::folder(dir.path()).unwrap());
                assert!(!path.exists());
            }
        }
        let text = leave(&path, |h| {
            (h.host, h.system, h.process) = ("far".into(), "0".into(), u32::MAX);
        });
        let error = Lock::folder(dir.path()).unwrap_err().to_string();
        assert!(error.contains("process 4294967295 on host far"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), text);
        fs::write(&path, "").unwrap();
        assert!(Lock::folder(dir.path()).unwrap_err().to_string().contains("left no name"));
        // Of a file that is locked, nobody else's half is of use.
        drop(Lock::file(&dir.path().join("a.h5")).unwrap());
        assert_eq!(left.map(|f| dir.path().join(f).exists()), [false, true]);
    }

    #[test]
    fn of_many_that_find_a_dead_lock_one_gets_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FOLDER);
        for _ in 0..20 {
            if host().tells {
                leave(&path, |h| h.started = Some(u64::MAX));
            }
            let all: Vec<Result<Lock>> = std::thread::scope(|s| {
                let each: Vec<_> = (0..4).map(|_| s.spawn(|| Lock::folder(dir.path()))).collect();
                each.into_iter().map(|t| t.join().unwrap()).collect()
            });
            assert_eq!(all.iter().filter(|l| l.is_ok()).count(), 1);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
