//! Models, adapters and single files of a hub, through the cache that `huggingface_hub` shares.
//!
//! What is in the cache and whole is used without asking anybody. Otherwise the hub's listing of the
//! revision says which files there are, the ones that are needed are fetched as blobs, and only when
//! all of them are there does the snapshot get its links, weights last, and the revision its note:
//! a snapshot is whole or it is not found. Everything that a hub sends is untrusted: names, commits
//! and digests are checked for their form before they become part of a path.

mod cache;
mod client;
mod fetch;
mod name;
pub(crate) mod part;
mod settings;

use self::cache::Repo;
use self::client::{Client, Listing};
use self::fetch::Fetch;
use super::contents::{self, Verdict};
use super::error::{ModelError, Result};
use super::plain::plain_name;
pub use name::HubName;
pub use settings::Settings;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Takes one line for each step that takes time.
pub(crate) type Say<'a> = &'a mut dyn FnMut(&str);

/// What is wanted of a repository.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Want<'a> {
    Model,
    Adapter,
    /// One file by its name.
    File(&'a str),
}

impl Want<'_> {
    fn check(self, folder: &Path) -> Verdict<()> {
        match self {
            Want::Model => contents::model_folder(folder),
            Want::Adapter => contents::adapter_folder(folder),
            Want::File(name) => match folder.join(name).is_file() {
                true => contents::not_a_pointer(&folder.join(name)),
                false => Err(format!("{name} is missing")),
            },
        }
    }
}

/// The folder of what is wanted, from the cache or from the hub. With `ask`, the hub is asked what
/// the revision is now and whether all of it is here, and the cache is the answer only if it cannot
/// say.
///
/// # Errors
/// `Hub` in words: not to be had, of another form, cut, or not to be trusted.
pub fn folder(
    name: &HubName,
    want: Want,
    ask: bool,
    settings: &Settings,
    say: Say,
) -> Result<PathBuf> {
    let bad = |why: String| ModelError::Hub {
        name: name.to_string(),
        why,
    };
    if let Want::File(file) = want {
        plain_name(file).ok_or_else(|| bad(format!("{file:?} is no plain file name")))?;
    }
    let repo = Repo::new(&settings.cache, name);
    let here = repo.commit(&name.revision).map(|c| repo.snapshot(&c));
    let cached = match &here {
        Some(folder) => want.check(folder).map(|()| folder.clone()),
        None => Err(absent(&repo, name)),
    };
    let in_cache = match (&here, &cached) {
        (Some(folder), Err(why)) => format!("in the cache, {}: {why}", folder.display()),
        (None, Err(why)) => why.clone(),
        (_, Ok(folder)) if !ask || settings.offline => return Ok(folder.clone()),
        _ => String::new(),
    };
    if settings.offline {
        let why =
            format!("HF_HUB_OFFLINE is set, and {in_cache}; unset it, or give a local folder");
        return Err(bad(why));
    }
    let client = Client::new(settings).map_err(bad)?;
    let listing = match (client.listing(name), cached) {
        (Ok(listing), _) => listing,
        (Err(why), Ok(folder)) => {
            say(&format!("{why}; taking {} from the cache", name.repo));
            return Ok(folder);
        }
        (Err(why), Err(_)) => return Err(bad(format!("{why}; {in_cache}"))),
    };
    let fetch = Fetch {
        client: &client,
        repo: &repo,
        name,
        commit: &listing.commit,
    };
    fetch_all(&fetch, want, &listing, say).map_err(bad)
}

fn absent(repo: &Repo, name: &HubName) -> String {
    let held = repo.commits();
    match held.is_empty() {
        true => format!("the cache has nothing of it ({})", repo.folder().display()),
        false => format!(
            "the cache has other commits of it ({}): write {}@COMMIT for one of them",
            held.join(", "),
            name.repo
        ),
    }
}

/// Blobs, then links, then the note of the revision.
fn fetch_all(fetch: &Fetch, want: Want, listing: &Listing, say: Say) -> Verdict<PathBuf> {
    let names: BTreeSet<String> = listing.files.keys().cloned().collect();
    let mut links: Vec<(String, String)> = Vec::new();
    let mut get = |file: &str| -> Verdict<PathBuf> {
        let listed = listing.files.get(file);
        let listed = listed.ok_or_else(|| format!("the repository has no file {file}"))?;
        let id = fetch.blob(file, listed, say)?;
        let blob = fetch.repo.blob(&id);
        links.push((file.into(), id));
        Ok(blob)
    };
    match want {
        Want::File(file) => {
            get(file)?;
        }
        Want::Adapter => {
            contents::adapter(&names)?;
            get(contents::ADAPTER_CONFIG)?;
            get(contents::ADAPTER_WEIGHTS)?;
        }
        Want::Model => {
            contents::model(&names)?;
            for file in contents::small_files(&names) {
                get(file)?;
            }
            match names.contains(contents::INDEX) {
                false => {
                    get(contents::WEIGHTS)?;
                }
                true => {
                    let index = get(contents::INDEX)?;
                    let text = std::fs::read_to_string(index).map_err(|e| e.to_string())?;
                    let shards = contents::shards(&text);
                    let shards = shards.map_err(|e| format!("{}: {e}", contents::INDEX))?;
                    // Told before the first of them is fetched.
                    if let Some(gone) = shards.iter().find(|s| !names.contains(*s)) {
                        let index = contents::INDEX;
                        return Err(format!("{index} names {gone}, which the repository lacks"));
                    }
                    for shard in &shards {
                        get(shard)?;
                    }
                    // The index makes the shards a model: it is linked behind them.
                    let at = links.iter().position(|(name, _)| name == contents::INDEX);
                    let index = at.map(|i| links.remove(i));
                    links.extend(index);
                }
            }
        }
    }
    let commit = fetch.commit;
    let disk = |e: std::io::Error| format!("{}: {e}", fetch.repo.folder().display());
    for (name, id) in &links {
        fetch.repo.link(commit, Path::new(name), id).map_err(disk)?;
    }
    let revision = &fetch.name.revision;
    // A snapshot of one file must not take the place of one that is whole.
    let noted = !matches!(want, Want::File(_));
    if noted && !revision.eq_ignore_ascii_case(commit) {
        fetch.repo.note(Path::new(revision), commit)?;
    }
    Ok(fetch.repo.snapshot(commit))
}
