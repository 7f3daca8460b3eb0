//! Model states: a base model and the adapters that change it.
//!
//! [`open`] resolves and loads a model; [`NamedAdapter`] is `NAME=DIR` on the command line. The
//! states of a command are base followed by its adapters in the order given, and each is merged
//! only while it is at work, so that memory holds one changed copy of the weights. [`attrs`] and
//! [`record`] say in every file that is written which model and command it came from.

use super::Console;
use crate::analysis::records::StateRow;
use crate::analysis::State;
use crate::model::{
    hub::HubName, resolve, warning, Adapter, Bos, Date, Decoder, Loading, Model, TextOptions,
};
use crate::store::{Manifest, RootAttrs};
use anyhow::{bail, Context, Result};
use clap::Args;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Name of the unchanged model among states.
pub const BASE: &str = "base";

/// The option that every command on a model takes.
#[derive(Args, Debug, Clone)]
pub struct ModelChoice {
    /// Catalogue name, hub model org/name[@rev], folder or .gguf file
    #[arg(long, value_name = "NAME|PATH", default_value = crate::model::catalogue::DEFAULT)]
    pub model: String,
    #[command(flatten)]
    pub text: TextChoice,
}

impl ModelChoice {
    /// Resolves and loads the model.
    pub fn open(&self, out: &Console) -> Result<Model> {
        load(&self.model, &self.text.options(), out)
    }
}

/// How texts become tokens.
#[derive(Args, Debug, Clone, Default)]
#[command(next_help_heading = "How texts become tokens")]
pub struct TextChoice {
    /// Whether a raw text begins with the beginning-of-text token: on, off, or as the model's
    /// tokenizer does
    #[arg(long, value_name = "on|off|model", default_value = "model")]
    pub bos: Bos,
    /// Chat template by name, where the model has several
    #[arg(long, value_name = "NAME")]
    pub template: Option<String>,
    /// Date for a chat template that asks for one [default: today]
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub date: Option<Date>,
}

impl TextChoice {
    pub fn options(&self) -> TextOptions {
        TextOptions { bos: self.bos, template: self.template.clone(), date: self.date }
    }
}

/// Resolves and loads a model, its texts read as its own files say, and says what is doubtful
/// about it.
pub fn open(name: &str, out: &Console) -> Result<Model> {
    load(name, &TextOptions::default(), out)
}

fn load(name: &str, options: &TextOptions, out: &Console) -> Result<Model> {
    let path = resolve::resolve(name, &mut |line| out.log(line))?;
    load_from(name, &path, options, out)
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
pub fn located(adapters: &[NamedAdapter], out: &Console) -> Result<Vec<NamedAdapter>> {
    let one = |a: &NamedAdapter| {
        Ok(NamedAdapter { name: a.name.clone(), folder: adapter_folder(&a.folder, out)? })
    };
    adapters.iter().map(one).collect()
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
        let usable = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\']);
        if !usable || folder.as_os_str().is_empty() {
            return Err("write NAME=DIR, such as conscious=runs/conscious, or NAME=org/name".into());
        }
        if name == BASE {
            return Err("`base` is the unchanged model; give the adapter another name".into());
        }
        Ok(NamedAdapter { name, folder })
    }
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
    for (i, a) in adapters.iter().enumerate() {
        if adapters[..i].iter().any(|b| b.name == a.name) {
            bail!(
                "two adapters are named `{}`; write --adapter NAME=DIR with distinct names",
                a.name
            );
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

/// Names and folders of all states, base first.
pub fn states(adapters: &[NamedAdapter]) -> Vec<(String, Option<PathBuf>)> {
    let base = (BASE.to_string(), None);
    let tuned = adapters.iter().map(|a| (a.name.clone(), Some(a.folder.clone())));
    std::iter::once(base).chain(tuned).collect()
}

/// A state as a record.
pub fn row(s: &State) -> StateRow {
    StateRow {
        state: s.id.clone(),
        condition: s.condition.clone(),
        seed: s.seed as usize,
        source: if s.is_base() { "base" } else { "adapter" }.into(),
        text: s.text.clone(),
        identity: false,
    }
}

/// Root attributes of an HDF5 file made by this command from `model`.
pub fn attrs(model: &Model, mut config: Value, seed: u64) -> RootAttrs {
    let command: Vec<String> = std::env::args().collect();
    config["tokenizer"] = model.tokenizer.record();
    let mut attrs = RootAttrs::new(&command.join(" "), config, seed);
    attrs.model_id = model.id.clone();
    attrs.model_sha256 = model.sha256.clone();
    attrs.chat_template_sha256 = model.template_sha256().unwrap_or_default();
    attrs.warnings = warning::texts(&model.warnings);
    let here = std::env::current_dir().ok();
    attrs.git = here.and_then(|d| crate::store::manifest::git_commit(&d)).unwrap_or_default();
    attrs
}

/// Writes `manifest.json` beside the outputs of a command.
pub fn record(
    folder: &Path,
    model: &Model,
    mut config: Value,
    seed: u64,
    inputs: &[PathBuf],
    outputs: &[String],
) -> Result<()> {
    if let Some(map) = config.as_object_mut() {
        map.insert("model".into(), model.id.clone().into());
        map.insert("model_sha256".into(), model.sha256.clone().into());
        map.insert("tokenizer".into(), model.tokenizer.record());
    }
    let mut manifest = Manifest::new(std::env::args().collect(), config);
    manifest.seeds.insert("run".into(), seed);
    manifest.warnings = warning::texts(&model.warnings);
    for input in inputs.iter().filter(|p| p.is_file()) {
        manifest.add_input(input)?;
    }
    for output in outputs {
        manifest.add_output(folder, output)?;
    }
    manifest.finished = Some(crate::store::time::utc_now());
    Ok(manifest.write(folder)?)
}

/// The weight files of adapters, for the record.
pub fn adapter_files(adapters: &[NamedAdapter]) -> Vec<PathBuf> {
    let file = |a: &NamedAdapter| a.folder.join("adapter_model.safetensors");
    adapters.iter().map(file).collect()
}

/// Makes an output folder.
pub fn make_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("{} cannot be made; check the path", folder.display()))
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
