//! One repository's folder in the hub cache, in the layout of `huggingface_hub`.
//!
//! `blobs/<id>` holds contents, `snapshots/<commit>/<name>` links to them, and `refs/<revision>` is
//! the commit that a branch or tag stood at. Names that make paths here were checked before: ids and
//! commits are hexadecimal, file names and revisions plain.

use super::name::{is_commit, HubName};
use crate::model::plain::plain_name;
#[cfg(feature = "hub")]
use crate::store::atomic;
use std::path::{Path, PathBuf};

/// `models--org--name`.
pub(super) struct Repo {
    folder: PathBuf,
}

impl Repo {
    pub fn new(cache: &Path, name: &HubName) -> Repo {
        let folder = format!("models--{}", name.repo.replace('/', "--"));
        Repo { folder: cache.join(folder) }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// The commit that a revision stands for here, if its snapshot is here: a commit is itself, in
    /// full or by a beginning that only one has; a branch, a tag or `refs/pr/N` is looked up.
    pub fn commit(&self, revision: &str) -> Option<String> {
        let here = |commit: &String| self.snapshot(commit).is_dir();
        let full = revision.to_ascii_lowercase();
        if is_commit(&full) {
            return Some(full).filter(here);
        }
        let file = self.folder.join("refs").join(plain_name(revision)?);
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let named = text.trim().to_ascii_lowercase();
        match is_commit(&named) {
            true => Some(named).filter(here),
            false => self.abbreviated(&full),
        }
    }

    /// The commits whose snapshots are here.
    pub fn commits(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.join("snapshots"));
        let names =
            entries.into_iter().flatten().filter_map(|e| e.ok()?.file_name().into_string().ok());
        names.filter(|n| is_commit(n)).collect()
    }

    fn abbreviated(&self, beginning: &str) -> Option<String> {
        let long_enough = beginning.len() >= 7 && beginning.bytes().all(|b| b.is_ascii_hexdigit());
        let mut all =
            self.commits().into_iter().filter(|c| long_enough && c.starts_with(beginning));
        all.next().filter(|_| all.next().is_none())
    }
}

/// What is put in.
#[cfg(feature = "hub")]
impl Repo {
    pub fn blob(&self, id: &str) -> PathBuf {
        self.folder.join("blobs").join(id)
    }

    /// Whether a blob is there, of this size where that is known.
    pub fn holds(&self, id: &str, size: Option<u64>) -> bool {
        let held = std::fs::metadata(self.blob(id));
        held.is_ok_and(|m| m.is_file() && size.is_none_or(|s| s == m.len()))
    }

    /// Puts a blob into a snapshot under its name, in place of what was there.
    pub fn link(&self, commit: &str, name: &Path, id: &str) -> std::io::Result<()> {
        let place = self.snapshot(commit).join(name);
        // A cache that others own may be one to read only.
        let blob = self.blob(id).canonicalize()?;
        if place.canonicalize().is_ok_and(|held| held == blob) {
            return Ok(());
        }
        let folder = place.parent().unwrap_or(&place);
        std::fs::create_dir_all(folder)?;
        let aside = folder.join(format!(".{id}.{}.link", std::process::id()));
        let _ = std::fs::remove_file(&aside);
        #[cfg(unix)]
        {
            let up = "../".repeat(1 + name.components().count());
            std::os::unix::fs::symlink(format!("{up}blobs/{id}"), &aside)?;
        }
        #[cfg(not(unix))]
        std::fs::copy(&blob, &aside)?;
        std::fs::rename(&aside, &place)
    }

    /// Notes the commit of a revision.
    pub fn note(&self, revision: &Path, commit: &str) -> Result<(), String> {
        let file = self.folder.join("refs").join(revision);
        if std::fs::read_to_string(&file).is_ok_and(|held| held.trim() == commit) {
            return Ok(());
        }
        atomic::write(&file, commit.as_bytes()).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cached_commit_is_found_by_every_name_it_has() {
        let dir = tempfile::tempdir().unwrap();
        let name = HubName::parse("org/tiny").unwrap();
        let repo = Repo::new(dir.path(), &name);
        let (one, two) = (
            "0123456789abcdef0123456789abcdef01234567",
            "01234567ffffffffffffffffffffffffffffffff",
        );
        for commit in [one, two] {
            std::fs::create_dir_all(repo.snapshot(commit)).unwrap();
        }
        let put = |name: &str, text: &str| {
            let file = repo.folder().join("refs").join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        put("main", &format!("{one}\n"));
        put("refs/pr/7", &format!("{two}\r\n"));
        put("v1.0", one);
        put("bad", "../../../elsewhere");
        put("gone", &"9".repeat(40));
        let found = |revision: &str| repo.commit(revision);
        for revision in [one, &one.to_uppercase(), "main", "v1.0", "012345678"] {
            assert_eq!(found(revision).as_deref(), Some(one), "{revision}");
        }
        assert_eq!(found("refs/pr/7").as_deref(), Some(two));
        // A beginning of both, one that is too short, and names that stand for nothing here.
        for revision in ["0123456", "01234", "bad", "gone", "other", "../main", &"8".repeat(40)] {
            assert_eq!(found(revision), None, "{revision}");
        }
    }
}
