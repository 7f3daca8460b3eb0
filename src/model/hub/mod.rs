//! Models, adapters and single files of a hub, through the cache that `huggingface_hub` shares.
//!
//! What is in the cache and whole is used without asking anybody. Otherwise the hub's listing of the
//! revision says which files there are, the ones that are needed are fetched as blobs, and only when
//! all of them are there does the snapshot get its links, weights last, and the revision its note:
//! a snapshot is whole or it is not found. Everything that a hub sends is untrusted: names, commits
//! and digests are checked for their form before they become part of a path. Without the feature
//! `hub` the cache is all there is.

mod cache;
#[cfg(feature = "hub")]
mod client;
#[cfg(feature = "hub")]
mod fetch;
mod name;
pub(crate) mod part;
#[cfg(feature = "hub")]
mod remote;
mod settings;

use self::cache::Repo;
use super::contents::{self, Verdict};
use super::error::{ModelError, Result};
use super::plain::plain_name;
pub use name::HubName;
pub use settings::{Settings, Token};
use std::path::{Path, PathBuf};

/// Takes one line for each step that takes time.
pub(crate) type Say<'a> = &'a mut dyn FnMut(&str);

/// What is wanted of a repository.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Want<'a> {
    /// Config, tokenizer and weights of a model.
    Model,
    /// A PEFT adapter.
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

/// Whether a hub answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// It does, to anybody.
    Answers,
    /// It knows the user's token.
    TakesToken,
    /// It does not know the user's token.
    RefusesToken,
}

/// Asks the endpoint whether it answers, and whether it takes the token if there is one.
///
/// # Errors
/// The words of what came instead of an answer `within` that time.
#[cfg(feature = "hub")]
pub fn answers(settings: &Settings, within: std::time::Duration) -> Verdict<Answers> {
    client::answers(settings, within)
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
    let bad = |why: String| ModelError::Hub { name: name.to_string(), why };
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
    #[cfg(feature = "hub")]
    let found = remote::folder(&repo, name, want, cached, &in_cache, settings, say);
    #[cfg(not(feature = "hub"))]
    let found = cached.map_err(|_| {
        let _ = say;
        format!("residuum was built without its feature `hub`, which fetches, and {in_cache}; give a local folder")
    });
    found.map_err(bad)
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
