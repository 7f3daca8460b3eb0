//! Which system this process runs on, and whether another process of that system still runs.
//!
//! Process numbers mean something within one system only: one running kernel with one name and one
//! space of process numbers. Two hosts on a shared disk, two containers, and a host before and after
//! a restart are different systems, of whose processes nothing is known here.

use super::digest;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

/// A system, by its name and by a tag that no other has.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) name: String,
    /// Eight hexadecimal digits.
    pub(crate) tag: String,
    /// Whether `/proc` tells which processes run.
    pub(crate) tells: bool,
}

/// That of this process.
pub(crate) fn host() -> &'static Host {
    static HOST: OnceLock<Host> = OnceLock::new();
    HOST.get_or_init(|| {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let name =
            [read("/proc/sys/kernel/hostname"), variable("HOSTNAME"), variable("COMPUTERNAME")];
        let name = name.into_iter().find(|n| !n.is_empty()).unwrap_or_else(|| "unknown".into());
        let boot = read("/proc/sys/kernel/random/boot_id");
        let space = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let whole = format!("{name}\n{boot}\n{}", space.display());
        let tag = digest::of_bytes(whole.as_bytes())[..8].to_owned();
        Host { name, tag, tells: !boot.is_empty() && Path::new("/proc/self/stat").exists() }
    })
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// When a process of this system began, in ticks since the system did: with its number it is one
/// process. None where it does not run, or has ended and is not yet collected.
pub(crate) fn started(process: u32) -> Option<u64> {
    begun(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

/// Fields 3 and 22 of `/proc/N/stat`; the second field may hold blanks and brackets.
fn begun(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    match fields.next()? {
        "Z" | "X" => None,
        _ => fields.nth(18)?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_when_it_began() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4 1 0 0 0 0 0 0 0 20 0 1 0 5538 2 1 18";
        assert_eq!(begun(stat), Some(5538));
        assert_eq!(begun(&stat.replace(") S", ") Z")), None);
        if host().tells {
            assert!(started(std::process::id()).is_some());
            assert_eq!(started(u32::MAX), None);
        }
        assert_eq!(host().tag.len(), 8);
    }
}
