//! The machine a run was made on.
//!
//! Read from `/proc` where there is one; elsewhere the fields say `unknown` or 0,
//! since a run must not fail over a label. Thread counts change the last bits of
//! a sum, so the number of cores belongs to the record of a run.

use std::fs;

use serde::{Deserialize, Serialize};

/// Processor, cores and memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hardware {
    /// Model name of the processor, as the system gives it.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Installed memory in bytes; 0 where unknown.
    pub memory_bytes: u64,
    /// Operating system and architecture, such as `linux-x86_64`.
    pub platform: String,
}

impl Hardware {
    /// Looks at this machine.
    pub fn probe() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self {
            cpu: cpu_model(&read("/proc/cpuinfo")),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: kib(&read("/proc/meminfo"), "MemTotal").unwrap_or(0),
            platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
        }
    }
}

/// `Intel Xeon, 2 cores, 8.0 GB, linux-x86_64`.
impl std::fmt::Display for Hardware {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}, {} cores, ", self.cpu, self.cores)?;
        if self.memory_bytes > 0 {
            write!(f, "{:.1} GB, ", self.memory_bytes as f64 / 1e9)?;
        }
        write!(f, "{}", self.platform)
    }
}

/// Version of NVIDIA's driver, as the system says it; none where there is no driver.
pub fn nvidia_driver() -> Option<String> {
    let text = fs::read_to_string("/proc/driver/nvidia/version").ok()?;
    let version = |w: &&str| w.contains('.') && w.starts_with(|c: char| c.is_ascii_digit());
    Some(text.split_whitespace().find(version).unwrap_or("unknown").to_owned())
}

/// Largest resident memory of this process so far, in bytes; 0 where the system does not tell.
pub fn peak_memory_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    kib(&status, "VmHWM").unwrap_or(0)
}

/// Starts [`peak_memory_bytes`] anew from what is resident now; on other systems than Linux, nothing.
pub fn reset_peak_memory() {
    // 5 asks for the peak alone to be reset (proc(5)); a system that refuses keeps the old peak.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim())
    })
}

fn cpu_model(cpuinfo: &str) -> String {
    // ARM kernels give no model name, only numbers of maker and part.
    ["model name", "Model", "Hardware", "CPU part"]
        .iter()
        .find_map(|key| field(cpuinfo, key))
        .unwrap_or("unknown")
        .to_owned()
}

/// A value of `/proc/meminfo` or a process's status, in bytes.
pub(super) fn kib(text: &str, key: &str) -> Option<u64> {
    let kib: u64 = field(text, key)?.split_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_files_are_read() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Some CPU: 3 GHz\nflags\t: avx2\n";
        assert_eq!(cpu_model(cpuinfo), "Some CPU: 3 GHz");
        assert_eq!(cpu_model("processor : 0\n"), "unknown");
        assert_eq!(kib("MemTotal:       2048 kB\nMemFree: 1 kB\n", "MemTotal"), Some(2_097_152));
        assert_eq!(kib("", "MemTotal"), None);
    }

    #[test]
    fn this_machine_has_a_core() {
        assert!(Hardware::probe().cores >= 1);
    }
}
