//! Model states: a base model and the adapters that change it.
//!
//! [`open`] resolves and loads a model; [`NamedAdapter`] is `NAME=DIR` on the command line. The
//! states of a command are base followed by its adapters in the order given, and each is merged
//! only while it is at work, so that memory holds one changed copy of the weights.

use super::Console;
use crate::analysis::{records::StateRow, State};
use crate::model::{hub::HubName, resolve, Adapter, Decoder, Loading, Model, TextOptions};
use crate::store::names::twice;
use crate::store::Manifest;
use crate::study::layout::ROWS;
use anyhow::{bail, Result};
use clap::Args;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::str::FromStr;

pub use crate::analysis::state::BASE;

/// The option that every command on a model takes.
#[derive(Args, Debug, Clone)]
pub struct ModelChoice {
    /// Catalogue name, hub model org/name[@rev], folder or .gguf file
    #[arg(long, value_name = "NAME|PATH", default_value = crate::model::catalogue::DEFAULT)]
    pub model: String,
    #[command(flatten)]
    pub text: TextOptions,
}

impl ModelChoice {
    /// Resolves and loads the model.
    pub fn open(&self, out: &Console) -> Result<Model> {
        let path = resolve::resolve(&self.model, &mut |line| out.log(line))?;
        load_from(&self.model, &path, &self.text, out)
    }
}

/// Resolves and loads a model, its texts read as its own files say, and says what is doubtful
/// about it.
pub fn open(name: &str, out: &Console) -> Result<Model> {
    ModelChoice { model: name.into(), text: TextOptions::default() }.open(out)
}

/// Loads what was resolved.
pub fn load_from(name: &str, path: &Path, options: &TextOptions, out: &Console) -> Result<Model> {
    let loading = Loading { text: options.clone(), placement: out.placement };
    let model = Model::load(name, path, &loading)?;
    for warning in &model.warnings {
        out.warn(&warning.to_string());
    }
    Ok(model)
}

/// The folder of an adapter given as a folder or as a hub's org/name[@rev].
pub fn adapter_folder(given: &Path, out: &Console) -> Result<PathBuf> {
    let name = given.to_string_lossy();
    Ok(resolve::adapter(&name, &mut |line| out.log(line))?)
}

/// [`adapter_folder`] of each.
pub fn located(mut adapters: Vec<NamedAdapter>, out: &Console) -> Result<Vec<NamedAdapter>> {
    for a in &mut adapters {
        a.folder = adapter_folder(&a.folder, out)?;
    }
    Ok(adapters)
}

/// An adapter folder with the name of its state; `org/name[@rev]` of a hub until it is
/// [`located`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedAdapter {
    pub name: String,
    pub folder: PathBuf,
}

impl FromStr for NamedAdapter {
    type Err = String;

    /// `NAME=DIR`, or `DIR`, which is named for its last part; a hub's `org/name[@rev]` for `name`.
    fn from_str(s: &str) -> Result<Self, String> {
        let (name, folder) = match s.split_once('=') {
            Some((name, folder)) => (name.to_string(), PathBuf::from(folder)),
            None => (folder_name(Path::new(s)), PathBuf::from(s)),
        };
        if !usable(&name) || folder.as_os_str().is_empty() {
            return Err("write NAME=DIR, such as conscious=runs/conscious, or NAME=org/name".into());
        }
        if name == BASE {
            return Err("`base` is the unchanged model; give the adapter another name".into());
        }
        Ok(NamedAdapter { name, folder })
    }
}

/// Whether a state may have a name, under which it is a file or folder.
pub fn usable(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\'])
}

/// Last part of a path, for naming what lies there; of a hub repository and of its snapshot in the
/// cache the repository's.
pub fn folder_name(path: &Path) -> String {
    if !path.exists() {
        if let Some(hub) = HubName::parse(&path.to_string_lossy()) {
            return hub.repo.rsplit('/').next().unwrap_or_default().into();
        }
    }
    let full = path.canonicalize().unwrap_or_else(|_| path.into());
    let part = |up: usize| full.ancestors().nth(up)?.file_name()?.to_str();
    if let (Some("snapshots"), Some(repo)) = (part(1), part(2)) {
        if let Some((_, name)) = repo.strip_prefix("models--").and_then(|r| r.split_once("--")) {
            return name.into();
        }
    }
    let name = full.file_name().map(|n| n.to_string_lossy().into_owned());
    name.unwrap_or_default()
}

/// Refuses two states of one name.
pub fn distinct(adapters: &[NamedAdapter]) -> Result<()> {
    let names: Vec<&str> = adapters.iter().map(|a| &*a.name).collect();
    match twice(&names) {
        None => Ok(()),
        Some(n) => {
            bail!("two adapters are named `{n}`; write --adapter NAME=DIR with distinct names")
        }
    }
}

/// Refuses an adapter that is none of the model's before any state is read, and says which were trained
/// on other weights.
pub fn check<'a>(
    base: &Model,
    adapters: impl IntoIterator<Item = &'a Path>,
    out: &Console,
) -> Result<()> {
    for folder in adapters {
        let Adapter { base: name, base_sha256: theirs, .. } = Adapter::read(folder, &base.decoder)?;
        if !theirs.is_empty() && theirs != base.sha256 {
            let short = |digest: &str| digest.chars().take(12).collect::<String>();
            out.warn(&format!(
                "{} was trained on {name} (weights {}), and the model is {} (weights {}): its states are not those that it was trained to",
                folder.display(),
                short(&theirs),
                base.id,
                short(&base.sha256)
            ));
        }
    }
    Ok(())
}

/// The model with an adapter folded in, or as it is.
pub fn state(base: &Decoder, adapter: Option<&Path>) -> Result<Decoder> {
    match adapter {
        None => Ok(base.clone()),
        Some(folder) => Ok(base.merged(&Adapter::read(folder, base)?)?),
    }
}

/// A state as a record.
pub fn row(s: &State) -> StateRow {
    StateRow {
        state: s.id.clone(),
        condition: s.condition.clone(),
        seed: usize::try_from(s.seed).unwrap_or(usize::MAX),
        source: if s.is_base() { BASE } else { "adapter" }.into(),
        text: s.text.clone(),
        recipe: s.recipe.clone(),
        share: s.share.unwrap_or(f64::NAN),
        identity: false,
    }
}

/// The state of an adapter: its rows are those that its folder records, where `known` knows them, else
/// those that its name says.
pub fn trained(name: &str, folder: &Path, known: impl Fn(&str) -> bool) -> State {
    let named = State::named(name);
    match rows_of(folder).filter(|(text, _)| known(text)) {
        Some((text, share)) => State { text, share, ..named },
        None => named,
    }
}

/// Name of the rows that an adapter was trained on and [`State::share`], as its folder records them: by
/// `finetune` in its manifest, by a study in `rows.json`.
fn rows_of(folder: &Path) -> Option<(String, Option<f64>)> {
    let Ok(record) = Manifest::read(folder) else {
        let rows: Value = serde_json::from_slice(&std::fs::read(folder.join(ROWS)).ok()?).ok()?;
        let data = rows["data"].as_str().filter(|d| !d.is_empty())?;
        return Some((data.into(), rows["share"].as_f64()));
    };
    let (config, recipe) = (&record.config, &record.config["recipe"]);
    let data = Path::new(config.get("data")?.as_str()?);
    let whole = Some(1.0).filter(|_| config["neutral"].is_null() && recipe.is_object());
    let share = recipe["share"].as_f64().or(whole).filter(|_| recipe["prevent"].is_null());
    Some((data.file_stem()?.to_string_lossy().into_owned(), share))
}

/// The weight file of an adapter.
pub fn weights(folder: &Path) -> PathBuf {
    folder.join("adapter_model.safetensors")
}

/// Those of adapters, for the record.
pub fn adapter_files(adapters: &[NamedAdapter]) -> Vec<PathBuf> {
    adapters.iter().map(|a| weights(&a.folder)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adapters_are_named_or_take_the_name_of_their_folder() {
        let a: NamedAdapter = "deny=runs/x".parse().unwrap();
        assert_eq!((a.name.as_str(), a.folder), ("deny", PathBuf::from("runs/x")));
        let b: NamedAdapter = "runs/denial".parse().unwrap();
        assert_eq!(b.name, "denial");
        assert!("base=x".parse::<NamedAdapter>().is_err());
        assert!("=x".parse::<NamedAdapter>().is_err());
        assert!(distinct(&[b.clone(), b]).is_err());
        let hub: NamedAdapter = "org/tiny-lora@refs/pr/1".parse().unwrap();
        assert_eq!(hub.name, "tiny-lora");
        let dir = tempfile::tempdir().unwrap();
        let snapshot = dir.path().join("models--org--tiny-lora/snapshots/0123");
        std::fs::create_dir_all(&snapshot).unwrap();
        assert_eq!(folder_name(&snapshot), "tiny-lora");
    }
}
