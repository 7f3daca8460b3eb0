//! Where a command may write, checked before it begins.
//!
//! A command lists what it reads and what it will write, and [`Outputs::check`] refuses a target
//! that would take the place of something else: a file that the command reads, a file of the model
//! or of an adapter (by device and inode, so through links too), a folder or device, or another
//! output of the same command. A target that is a symbolic link stands for the file that it leads
//! to: that file is replaced and the link stays, and a link that leads nowhere is refused. A folder
//! that is written to must not be one that the command reads.
//!
//! A command that computes takes its places ([`Outputs::take`]): of two that would write to one, the
//! second is refused.
//!
//! What is there already stays: a file that exists, and a folder that holds anything, are refused
//! unless the user says `--force`, or the very same command was stopped there. What [`Earlier`] output means to a command that goes on with its own is
//! said by that command.

use crate::model::{catalogue, resolve};
use crate::store::{atomic, atomic::Pending, digest, Lock};
use anyhow::{bail, Result};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Files below an input folder that are looked at, and how deep.
const MOST_FILES: usize = 10_000;
const DEEPEST: usize = 4;

/// Left in a folder by a command until it ends well: the same command, given again, goes on there.
const UNFINISHED: &str = ".residuum.unfinished";

/// What an output that is there already means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Earlier {
    /// It is somebody's: nothing is written without `--force`.
    #[default]
    Stays,
    /// A folder without the files that end the work holds an unfinished one, which is gone on with.
    GoneOnWith,
    /// It is what the command works on.
    TakenUp,
}

/// A file that is written.
struct Target {
    option: String,
    path: PathBuf,
    /// What is written, and the endings that its name may have.
    format: Option<(&'static str, &'static [&'static str])>,
    /// Whether lines are added to what is there.
    grows: bool,
}

/// Places that no other process writes to as long as this lives.
#[derive(Default)]
#[must_use = "held as long as the command writes"]
pub struct Taken {
    /// In folders that are written to; before the locks, which leave empty folders to be removed.
    marks: Vec<PathBuf>,
    locks: Vec<Lock>,
}

impl Drop for Taken {
    /// A folder in which nothing was written holds no unfinished work.
    fn drop(&mut self) {
        for mark in &self.marks {
            let folder = mark.parent().and_then(|f| std::fs::read_dir(f).ok());
            let mut names = folder.into_iter().flatten().flatten().map(|e| e.file_name());
            if !names.any(|n| !n.as_encoded_bytes().starts_with(b".")) {
                let _ = std::fs::remove_file(mark);
            }
        }
        self.locks.clear();
    }
}

/// Marks that the command has left in its folders.
fn marks() -> MutexGuard<'static, Vec<PathBuf>> {
    static MARKS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
    MARKS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The command did what it was asked: what is in its folders is whole.
pub fn finished() {
    marks().drain(..).for_each(|mark| drop(std::fs::remove_file(mark)));
}

/// By which a command knows that it was given before: of its arguments, and where it was given.
fn command_digest() -> String {
    let mut whole =
        std::env::current_dir().unwrap_or_default().into_os_string().into_encoded_bytes();
    for word in std::env::args_os().skip(1) {
        whole.push(0);
        whole.extend(word.as_encoded_bytes());
    }
    digest::of_bytes(&whole)
}

/// What a command reads and writes.
#[derive(Default)]
pub struct Outputs {
    /// Option or words for the user, and the path.
    inputs: Vec<(String, PathBuf)>,
    files: Vec<Target>,
    folders: Vec<(String, PathBuf)>,
    earlier: Earlier,
    /// Whether the folder of a study's run may be written to.
    of_study: bool,
}

impl Outputs {
    /// Of a command that reads a model, as the user calls it.
    pub fn of(model: &str) -> Self {
        let in_catalogue = catalogue::entries().is_ok_and(|all| all.contains_key(model));
        let path = Some(model).filter(|_| !in_catalogue);
        Outputs::default().reads_all("--model", path)
    }

    /// A file or folder that is read. What does not exist is none.
    pub fn reads(mut self, what: &str, path: impl AsRef<Path>) -> Self {
        self.inputs.push((what.into(), path.as_ref().into()));
        self
    }

    /// Several of one option.
    pub fn reads_all<P: AsRef<Path>>(self, what: &str, paths: impl IntoIterator<Item = P>) -> Self {
        let add = |all: Self, path: P| all.reads(what, path);
        paths.into_iter().fold(self, add)
    }

    /// Files of texts, or names of embedded ones, which a folder of that name is not.
    pub fn texts(self, what: &str, names: &[String]) -> Self {
        self.reads_all(what, names.iter().filter(|n| Path::new(n).is_file()))
    }

    /// A file that is written.
    pub fn file(mut self, option: &str, path: impl AsRef<Path>) -> Self {
        let (option, path) = (option.into(), path.as_ref().into());
        self.files.push(Target { option, path, format: None, grows: false });
        self
    }

    /// A file of a format, whose name ends in one of `endings`.
    pub fn file_of(
        self,
        option: &str,
        path: impl AsRef<Path>,
        format: &'static str,
        endings: &'static [&'static str],
    ) -> Self {
        let mut all = self.file(option, path);
        all.files.iter_mut().last().into_iter().for_each(|f| f.format = Some((format, endings)));
        all
    }

    /// A file that lines are added to.
    pub fn grows(self, option: &str, path: impl AsRef<Path>) -> Self {
        let mut all = self.file(option, path);
        all.files.iter_mut().last().into_iter().for_each(|f| f.grows = true);
        all
    }

    /// A folder in which the files `names` are written.
    pub fn folder(mut self, option: &str, path: impl AsRef<Path>, names: &[&str]) -> Self {
        let path = path.as_ref();
        self.folders.push((option.into(), path.into()));
        names.iter().fold(self, |all, name| all.file(option, path.join(name)))
    }

    /// Of a command to which an output that is there already means `earlier`.
    pub fn earlier(self, earlier: Earlier) -> Self {
        Outputs { earlier, ..self }
    }

    /// Of a command that a study's run folder is written by.
    pub fn of_study(self) -> Self {
        Outputs { of_study: true, earlier: Earlier::TakenUp, ..self }
    }

    /// Refuses targets that must not be written; what is there already too, unless by `force`.
    ///
    /// # Errors
    /// The first such target, with the reason and what to do.
    pub fn check(&self, force: bool) -> Result<()> {
        let mut read: HashMap<Identity, String> = HashMap::new();
        for (what, path) in &self.inputs {
            remember(&mut read, what, path);
        }
        for (option, path) in &self.folders {
            self.check_folder(option, path, &read)?;
        }
        let mut taken: HashMap<PathBuf, &str> = HashMap::new();
        for Target { option, path, format, .. } in &self.files {
            let real = check_file(option, path, &read)?;
            if let Some(other) = taken.insert(real, option) {
                bail!("{option} and {other} would both write {}: give two places", path.display());
            }
            if let Some((format, endings)) = format {
                check_ending(option, path, format, endings)?;
            }
        }
        match force || self.earlier == Earlier::TakenUp {
            true => Ok(()),
            false => self.check_earlier(),
        }
    }

    /// As [`Self::check`], and keeps other processes from writing to these places meanwhile.
    ///
    /// # Errors
    /// As there; a place that another process writes to.
    pub fn take(&self, force: bool) -> Result<Taken> {
        // What this very command left when it was stopped is its own.
        let own = command_digest();
        let goes_on = |(_, folder): &(String, PathBuf)| {
            std::fs::read_to_string(folder.join(UNFINISHED)).is_ok_and(|text| text == own)
        };
        let goes_on = || !self.folders.is_empty() && self.folders.iter().all(goes_on);
        self.check(force || goes_on())?;
        let mut taken = Taken::default();
        for (_, folder) in &self.folders {
            taken.locks.push(Lock::folder(folder)?);
        }
        let within = |f: &Target| self.folders.iter().any(|(_, d)| f.path.starts_with(d));
        for file in self.files.iter().filter(|f| !within(f)) {
            taken.locks.push(Lock::file(&file.path)?);
        }
        // Another process may have ended between the check and the lock.
        self.check(force || goes_on())?;
        for (_, folder) in &self.folders {
            let mark = folder.join(UNFINISHED);
            atomic::write(&mark, own.as_bytes())?;
            marks().push(mark.clone());
            taken.marks.push(mark);
        }
        Ok(taken)
    }

    /// Refuses to replace what is there, and to mix with it.
    fn check_earlier(&self) -> Result<()> {
        let folders = self.folders.iter().filter(|_| self.earlier == Earlier::Stays);
        for (option, path) in folders {
            let Ok(entries) = std::fs::read_dir(path) else { continue };
            let names = entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned());
            let mut names: Vec<String> = names.filter(|n| !n.starts_with('.')).collect();
            names.sort();
            if let Some(first) = names.first() {
                let more = match names.len() {
                    1 => String::new(),
                    n => format!(" and {} more", n - 1),
                };
                bail!("{option} {} holds {first}{more}: give a new or an empty folder, or --force to write into this one and replace what is named the same", path.display());
            }
        }
        let there = self.files.iter().find(|f| !f.grows && f.path.exists());
        there.map_or(Ok(()), |f| {
            bail!(
                "{} {} is there already: give another name, or --force to replace it",
                f.option,
                f.path.display()
            )
        })
    }

    fn check_folder(
        &self,
        option: &str,
        path: &Path,
        read: &HashMap<Identity, String>,
    ) -> Result<()> {
        let shown = path.display();
        if path.as_os_str().is_empty() {
            bail!("{option} is empty: give a folder");
        }
        if let Ok(there) = std::fs::metadata(path) {
            if !there.is_dir() {
                bail!("{option} {shown} is no folder: give a folder, new or old");
            }
            if let Some(what) = read.get(&identity(path, &there)) {
                bail!("{option} {shown} is the folder that {what} reads: give another folder");
            }
            if !self.of_study && is_of_study(path) {
                bail!("{option} {shown} holds a study's run, whose results or adapter this would replace: give another folder");
            }
        }
        makeable(option, path)
    }
}

/// Whether a folder is that of a study's run, or of one of its adapters.
fn is_of_study(path: &Path) -> bool {
    let run = |p: &Path| p.join("stages").is_dir() && p.join("manifest.json").is_file();
    let full = path.canonicalize().unwrap_or_else(|_| path.into());
    let adapters = full.parent().filter(|p| p.ends_with("adapters"));
    run(&full) || adapters.and_then(Path::parent).is_some_and(run)
}

/// Refuses a name that says another format than is written.
fn check_ending(option: &str, path: &Path, format: &str, endings: &[&str]) -> Result<()> {
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    if endings.contains(&ending) {
        return Ok(());
    }
    let all: Vec<String> = endings.iter().map(|e| format!(".{e}")).collect();
    let all = match all.split_last() {
        Some((last, front)) if !front.is_empty() => format!("{} or {last}", front.join(", ")),
        _ => all.concat(),
    };
    bail!("{option} {}: what is written is {format}: end the name in {all}", path.display());
}

/// The path of a file's target with all links followed.
fn check_file(option: &str, path: &Path, read: &HashMap<Identity, String>) -> Result<PathBuf> {
    let shown = path.display();
    let slash = path.as_os_str().as_encoded_bytes().ends_with(b"/");
    let (false, Some(name)) = (slash, path.file_name()) else {
        bail!("{option} {shown} names a folder: give a file in it");
    };
    let folder = here_if_empty(path.parent().unwrap_or(Path::new("")));
    match std::fs::metadata(path) {
        Ok(there) if there.is_dir() => bail!("{option} {shown} is a folder: give a file in it"),
        Ok(there) if !there.is_file() => {
            bail!("{option} {shown} is a device, pipe or socket: give a file, new or old")
        }
        Ok(there) => {
            if let Some(what) = read.get(&identity(path, &there)) {
                bail!("{option} {shown} would replace a file that {what} reads: give another file");
            }
        }
        Err(_) if path.is_symlink() => {
            bail!("{option} {shown} is a link that leads nowhere: remove it or give another file")
        }
        Err(_) => {}
    }
    makeable(option, folder)?;
    let real = path.canonicalize().or_else(|_| {
        let folder = folder.canonicalize()?;
        Ok::<_, std::io::Error>(folder.join(name))
    });
    Ok(real.unwrap_or_else(|_| path.into()))
}

/// Whether a folder is there or can be made, takes files and is no cache of models.
fn makeable(option: &str, folder: &Path) -> Result<()> {
    let there = folder.ancestors().find(|a| a.exists() || a.is_symlink());
    let there = here_if_empty(there.unwrap_or(Path::new("")));
    if !there.is_dir() {
        let there = there.display();
        bail!("{option}: {there} is no folder, so nothing can be written below it: give another place");
    }
    let real = there.canonicalize()?;
    let caches = caches().into_iter().filter_map(|c| c.canonicalize().ok());
    if let Some(cache) = caches.into_iter().find(|c| real.starts_with(c)) {
        let (folder, cache) = (folder.display(), cache.display());
        bail!("{option}: {folder} lies in the cache of models {cache}: give another place");
    }
    // Made and dropped again: whether the folder takes files.
    Pending::new(&there.join("residuum"))?;
    Ok(())
}

/// The parent of a bare name is the folder that the command was given in.
fn here_if_empty(folder: &Path) -> &Path {
    match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    }
}

/// Folders in which fetched models are kept: ours and the hub's.
fn caches() -> Vec<PathBuf> {
    let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let home = || var("HOME").map(|h| h.join(".cache/huggingface"));
    let hub = var("HF_HUB_CACHE").or_else(|| {
        let home = var("HF_HOME").or_else(home);
        home.map(|h| h.join("hub"))
    });
    let own = resolve::cache_dir().join("models");
    std::iter::once(own).chain(hub).collect()
}

/// A file or folder, whatever it is called.
#[cfg(unix)]
type Identity = (u64, u64);
#[cfg(not(unix))]
type Identity = PathBuf;

#[cfg(unix)]
fn identity(_: &Path, there: &std::fs::Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    (there.dev(), there.ino())
}

#[cfg(not(unix))]
fn identity(path: &Path, _: &std::fs::Metadata) -> Identity {
    path.canonicalize().unwrap_or_else(|_| path.into())
}

/// Notes an input: a file with the other parts of a split one, or a folder with all in it but the
/// results of commands, which no command reads there.
fn remember(read: &mut HashMap<Identity, String>, what: &str, path: &Path) {
    let mut note = |path: &Path| {
        let there = std::fs::metadata(path).ok()?;
        read.entry(identity(path, &there)).or_insert_with(|| what.to_owned());
        Some(there.is_dir())
    };
    let folder = match note(path) {
        Some(true) => path,
        Some(false) if is_part(path) => here_if_empty(path.parent().unwrap_or(Path::new(""))),
        _ => return,
    };
    let parts_only = folder != path;
    let mut open = vec![(folder.to_owned(), 0)];
    let mut seen = 0;
    while let Some((folder, depth)) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for path in entries.flatten().map(|e| e.path()) {
            seen += 1;
            if seen > MOST_FILES {
                return;
            }
            let result = path.extension().is_some_and(|e| e == "h5" || e == "csv");
            if path.is_dir() {
                // A folder within may be written to: its files are the input's, not the place.
                if depth < DEEPEST && !parts_only {
                    open.push((path, depth + 1));
                }
            } else if !result && (!parts_only || is_part(&path)) {
                note(&path);
            }
        }
    }
}

/// Whether a file is named as a part of a split GGUF model.
fn is_part(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.contains("-of-") && name.ends_with(".gguf")
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir(dir.path().join("model")).unwrap();
            for name in ["t.jsonl", "model/config.json", "other.h5"] {
                fs::write(dir.path().join(name), b"x").unwrap();
            }
            Place(dir)
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn outputs(&self) -> Outputs {
            let model = self.at("model");
            Outputs::of(model.to_str().unwrap()).reads("--texts", self.at("t.jsonl"))
        }

        fn refused(&self, name: &str, words: &str) {
            let checked = self.outputs().file("--out", self.at(name)).check(true);
            let text = checked.unwrap_err().to_string();
            assert!(text.starts_with("--out") && text.contains(words), "{name}: {text}");
        }
    }

    #[test]
    fn a_new_file_and_an_old_one_that_nobody_reads_may_be_written() {
        let place = Place::new();
        for name in ["new.h5", "deep/er/new.h5", "other.h5", "model/acts.h5"] {
            place.outputs().file("--out", place.at(name)).check(true).unwrap();
            assert!(!place.at("deep").exists(), "a check leaves nothing behind");
        }
    }

    #[test]
    fn what_is_there_already_stays_unless_by_force() {
        let place = Place::new();
        let refused = |all: Outputs, words: &[&str]| {
            all.check(true).unwrap();
            let text = all.check(false).unwrap_err().to_string();
            assert!(words.iter().chain(&["--force"]).all(|w| text.contains(w)), "{text}");
        };
        refused(
            place.outputs().file("--out", place.at("other.h5")),
            &["other.h5 is there already"],
        );
        let sub = || place.outputs().folder("--out", place.at("model/sub"), &["results.h5"]);
        sub().check(false).unwrap();
        fs::create_dir(place.at("model/sub")).unwrap();
        fs::write(place.at("model/sub/.hidden"), "x").unwrap();
        sub().check(false).unwrap();
        fs::write(place.at("model/sub/notes.txt"), "x").unwrap();
        refused(sub(), &["holds notes.txt", "an empty folder"]);
        // Unfinished work is gone on with, finished work is not.
        sub().earlier(Earlier::GoneOnWith).check(false).unwrap();
        fs::write(place.at("model/sub/results.h5"), "x").unwrap();
        refused(sub().earlier(Earlier::GoneOnWith), &["results.h5 is there already"]);
        refused(sub(), &["holds notes.txt and 1 more"]);
        for all in [sub().earlier(Earlier::TakenUp), sub().of_study()] {
            all.check(false).unwrap();
        }
        place.outputs().grows("--verdicts", place.at("other.h5")).check(false).unwrap();
    }

    #[test]
    fn a_name_that_says_another_format_is_refused_with_the_endings() {
        let place = Place::new();
        let of = |name: &str| {
            place.outputs().file_of("--out", place.at(name), "HDF5", &["h5", "hdf5"]).check(false)
        };
        of("new.h5").unwrap();
        of("new.hdf5").unwrap();
        for name in ["e.npy", "acts", "e.h5.txt"] {
            let text = of(name).unwrap_err().to_string();
            assert!(text.contains("is HDF5: end the name in .h5 or .hdf5"), "{text}");
        }
    }

    #[test]
    fn an_input_is_never_a_target_under_any_of_its_names() {
        let place = Place::new();
        fs::hard_link(place.at("t.jsonl"), place.at("hard")).unwrap();
        std::os::unix::fs::symlink(place.at("t.jsonl"), place.at("soft")).unwrap();
        std::os::unix::fs::symlink(place.at("model"), place.at("linked")).unwrap();
        for name in ["t.jsonl", "model/../t.jsonl", "hard", "soft"] {
            place.refused(name, "that --texts reads");
        }
        for name in ["model/config.json", "linked/config.json"] {
            place.refused(name, "that --model reads");
        }
    }

    #[test]
    fn folders_devices_and_links_to_nowhere_are_no_files() {
        let place = Place::new();
        std::os::unix::fs::symlink(place.at("gone"), place.at("dangling")).unwrap();
        place.refused("model", "is a folder");
        place.refused("new/", "names a folder");
        place.refused("dangling", "leads nowhere");
        place.refused("t.jsonl/new.h5", "is no folder");
        let checked = place.outputs().file("--out", "/dev/null").check(true);
        assert!(checked.unwrap_err().to_string().contains("is a device"));
    }

    #[test]
    fn a_folder_is_none_that_is_read_and_no_file() {
        let place = Place::new();
        let refused = |name: &str, names: &[&str], words: &str| {
            let checked = place.outputs().folder("--out", place.at(name), names).check(true);
            let text = checked.unwrap_err().to_string();
            assert!(text.contains(words), "{text}");
        };
        refused("model", &[], "the folder that --model reads");
        refused("t.jsonl", &[], "is no folder");
        refused("", &["t.jsonl"], "that --texts reads");
        let fine = place.outputs().folder("--out", place.at("model/sub"), &["a.csv"]);
        fine.check(true).unwrap();
    }

    #[test]
    fn the_run_of_a_study_is_written_by_studies_alone() {
        let place = Place::new();
        for folder in ["run/stages", "run/adapters/x-s1", "run/mine"] {
            fs::create_dir_all(place.at(folder)).unwrap();
        }
        let of = |name: &str| place.outputs().folder("--out", place.at(name), &["results.h5"]);
        of("run").check(true).unwrap();
        fs::write(place.at("run/manifest.json"), "{}").unwrap();
        for name in ["run", "run/adapters/x-s1"] {
            let text = of(name).check(true).unwrap_err().to_string();
            assert!(text.contains("holds a study's run"), "{text}");
            of(name).of_study().check(true).unwrap();
        }
        of("run/mine").check(true).unwrap();
    }

    #[test]
    fn two_outputs_are_two_files() {
        let place = Place::new();
        let both = place.outputs().file("--out", place.at("a.csv"));
        let both = both.file("--csv", place.at("model/../a.csv")).check(true);
        let text = both.unwrap_err().to_string();
        assert!(text.contains("--csv and --out would both write"), "{text}");
    }

    #[test]
    fn every_part_of_a_split_model_is_the_model() {
        let place = Place::new();
        let parts = ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"];
        parts.iter().for_each(|p| fs::write(place.at(p), b"x").unwrap());
        let all = Outputs::of(place.at(parts[0]).to_str().unwrap());
        let checked = all.file("--out", place.at(parts[1])).check(true);
        assert!(checked.unwrap_err().to_string().contains("--model reads"));
    }
}
