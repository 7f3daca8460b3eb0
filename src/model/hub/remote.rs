//! What a hub says and sends, put into the cache.

use super::cache::Repo;
use super::client::{Client, Listing};
use super::fetch::Fetch;
use super::{HubName, Say, Settings, Want};
use crate::model::config::Config;
use crate::model::contents::{self, Verdict};
use crate::model::files::read_json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The folder of what is wanted as the hub has it now; what is in the cache where the hub cannot say.
pub(super) fn folder(
    repo: &Repo,
    name: &HubName,
    want: Want,
    cached: Verdict<PathBuf>,
    in_cache: &str,
    settings: &Settings,
    say: Say,
) -> Verdict<PathBuf> {
    let client = Client::new(settings)?;
    let listing = match (client.listing(name), cached) {
        (Ok(listing), _) => listing,
        (Err(why), Ok(folder)) => {
            say(&format!("{why}; taking {} from the cache", name.repo));
            return Ok(folder);
        }
        (Err(why), Err(_)) => return Err(format!("{why}; {in_cache}")),
    };
    let fetch = Fetch { client: &client, repo, name, commit: &listing.commit };
    fetch_all(&fetch, want, &listing, say)
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
    let mut files = match want {
        Want::File(file) => vec![file],
        Want::Adapter => {
            contents::adapter(&names)?;
            vec![contents::ADAPTER_CONFIG, contents::ADAPTER_WEIGHTS]
        }
        Want::Model => {
            contents::model(&names)?;
            contents::small_files(&names)
        }
    };
    let index = contents::INDEX;
    let sharded = names.contains(index);
    files.extend((want == Want::Model && !sharded).then_some(contents::WEIGHTS));
    for file in files {
        let blob = get(file)?;
        // Before the weights: what cannot be read is not fetched.
        if want == Want::Model && file == "config.json" {
            let json = read_json(&blob).map_err(|e| e.to_string())?;
            if json.get("model_type").is_some() {
                Config::from_json(&json, Path::new(file)).map_err(|e| e.to_string())?;
            }
        }
    }
    if want == Want::Model && sharded {
        let text = std::fs::read_to_string(get(index)?).map_err(|e| e.to_string())?;
        let shards = contents::shards(&text).map_err(|e| format!("{index}: {e}"))?;
        let shards: BTreeSet<String> = shards.into_values().collect();
        // Told before the first of them is fetched.
        if let Some(gone) = shards.iter().find(|s| !names.contains(*s)) {
            return Err(format!("{index} names {gone}, which the repository lacks"));
        }
        for shard in &shards {
            get(shard)?;
        }
        // The index makes the shards a model: it is linked behind them.
        links.sort_by_key(|(name, _)| name == index);
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
