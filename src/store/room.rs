//! How much memory and disk there is for this process.
//!
//! Memory is what the system can give (with what this process has already, and swap), or the limit
//! of its control group or of its address space where that is lower. Free disk is asked of `df`,
//! which every POSIX system has. Where a system does not tell, the answer is none.

use super::hardware::kib;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that the user gives this process; as many as there are where it is all bits.
static GIVEN: AtomicU64 = AtomicU64::new(u64::MAX);

/// From here on [`memory`] is at most `bytes`.
pub fn give_memory(bytes: u64) {
    GIVEN.store(bytes, Ordering::Relaxed);
}

/// A number of bytes as it is written: `1500000000`, `1500MB` or `1.5GB`.
///
/// # Errors
/// Another form, with the forms there are.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let units = [("GB", 1e9), ("MB", 1e6), ("", 1.0)];
    let read =
        |(unit, of): &(&str, f64)| Some(text.strip_suffix(unit)?.trim().parse::<f64>().ok()? * of);
    let bytes = units.iter().find_map(read).filter(|b| (1.0..1e18).contains(b));
    bytes
        .map(|b| b as u64)
        .ok_or_else(|| format!("`{text}` is no size; write 8GB, 1500MB or a number of bytes"))
}

/// Bytes of memory that this process may come to have.
pub fn memory() -> Option<u64> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/meminfo");
    let status = read("/proc/self/status");
    let free = kib(&info, "MemAvailable");
    let whole = free.map(|f| {
        let own = kib(&status, "VmRSS").unwrap_or(0);
        f + own + kib(&info, "SwapFree").unwrap_or(0)
    });
    let groups = group_limits(&read("/proc/self/cgroup"), Path::new("/sys/fs/cgroup"));
    let address = address_limit(&read("/proc/self/limits"));
    let given = Some(GIVEN.load(Ordering::Relaxed)).filter(|g| *g < u64::MAX);
    whole.into_iter().chain(groups).chain(address).chain(given).min()
}

/// Bytes that are free on the file system of a path, or of the nearest folder above it that exists.
pub fn disk(path: &Path) -> Option<u64> {
    let path = std::path::absolute(path).ok()?;
    let there = path.ancestors().find(|p| p.exists())?;
    let told = std::process::Command::new("df")
        .arg("-Pk")
        .arg(there)
        .env("LC_ALL", "C")
        .stderr(std::process::Stdio::null())
        .output()
        .ok()?;
    available(&String::from_utf8_lossy(&told.stdout))
}

/// The fourth column of the last line of `df -Pk`, counted from the capacity, since the name of a
/// file system may hold blanks.
fn available(table: &str) -> Option<u64> {
    let row = table.lines().skip(1).last()?;
    let before = row.split('%').next()?;
    let kib: u64 = before.split_whitespace().rev().nth(1)?.parse().ok()?;
    kib.checked_mul(1024)
}

/// Memory limits of the control groups that the process is in, and of those around them.
fn group_limits(membership: &str, root: &Path) -> Vec<u64> {
    let mut files: Vec<PathBuf> = Vec::new();
    for line in membership.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
            continue;
        };
        let (top, file) = match controllers {
            "" => (root.to_path_buf(), "memory.max"),
            c if c.split(',').any(|c| c == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let own = Path::new(path.trim_start_matches('/'));
        files.extend(own.ancestors().map(|a| top.join(a).join(file)));
    }
    let limit = |f: &PathBuf| fs::read_to_string(f).ok()?.trim().parse().ok();
    files.iter().filter_map(limit).collect()
}

/// The limit of a process's address space, if there is one.
fn address_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|l| l.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_of_the_system_are_read() {
        let df = "Filesystem 1024-blocks Used Available Capacity Mounted on\n\
                  a share 264212084 13649200 81636688 15% /my disk\n";
        assert_eq!(available(df), Some(81_636_688 * 1024));
        assert_eq!(available("df: no such file\n"), None);
        assert_eq!(kib("MemFree: 3 kB\nMemAvailable:   2 kB\n", "MemAvailable"), Some(2048));
        let limits =
            "Limit  Soft Limit  Hard Limit  Units\nMax address space  unlimited unlimited bytes\n";
        assert_eq!(address_limit(limits), None);
        assert_eq!(address_limit(&limits.replace("unlimited", "77")), Some(77));
    }

    #[test]
    fn sizes_are_read_with_and_without_a_unit() {
        for (text, bytes) in [("7", 7), ("1500MB", 1_500_000_000), ("1.5 GB", 1_500_000_000)] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "GB", "-1GB", "8GiB", "0", "nanGB", "infMB"] {
            assert!(parse_bytes(text).unwrap_err().contains("1500MB"), "{text}");
        }
    }

    #[test]
    fn the_lowest_group_counts_in_both_layouts() {
        let dir = tempfile::tempdir().unwrap();
        let write = |at: &str, text: &str| {
            let path = dir.path().join(at);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("job/memory.max", "max\n");
        write("memory.max", "4000\n");
        write("memory/a/memory.limit_in_bytes", "3000\n");
        write("memory/a/b/memory.limit_in_bytes", "9000\n");
        let of = |text: &str| group_limits(text, dir.path());
        assert_eq!(of("0::/job\n"), [4000]);
        assert_eq!(of("4:cpu,memory:/a/b\n5:cpu:/a\n"), [9000, 3000]);
        assert!(of("").is_empty());
    }

    #[test]
    fn a_folder_that_is_not_there_yet_lies_on_the_disk_of_those_above_it() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("not/there/yet");
        assert!(disk(&deep).is_none_or(|free| free > 0));
        assert!(memory().is_none_or(|m| m > 0));
    }
}
