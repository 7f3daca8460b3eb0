//! Many studies from one file: manifests x models x recipes x seeds, each a manifest of its own.
//!
//! A study of a sweep is a study like any other: its manifest is written out, with the folder that its
//! paths are relative to and the day that all of them share, and its run folder is read by every command.

use super::manifest::Study;
use super::text::Text;
use super::{Result, StudyError};
use crate::model::Date;
use serde::Deserialize;
use std::path::{absolute, Path, PathBuf};
use toml::{Table, Value};

/// A file of a sweep as it is written. What it leaves out is as each manifest has it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// Manifests, relative to the file, or embedded ones by name.
    manifests: Vec<PathBuf>,
    #[serde(default)]
    models: Vec<String>,
    #[serde(default)]
    seeds: Vec<u64>,
    /// A name, and the keys of `[recipe]` that differ from the manifest's.
    #[serde(default, rename = "recipe")]
    recipes: Vec<Table>,
}

/// One study of a sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Name of the study, and of its run folder: letters, digits, - and _.
    pub name: String,
    /// Its manifest.
    pub manifest: String,
}

/// Reads the file of a sweep; its studies with all of one model one after the other.
///
/// # Errors
/// `Read`; `Toml` where it has other keys, names nothing to vary over, or gives two studies one name;
/// what a manifest is refused for.
pub fn read(path: &Path, day: Date) -> Result<Vec<Point>> {
    let bad = |why: String| StudyError::Toml { path: path.into(), why };
    let folder = path.parent().unwrap_or(Path::new("."));
    let text = std::fs::read_to_string(path)
        .map_err(|source| StudyError::Read { path: path.into(), source })?;
    let sweep: Written = toml::from_str(&text).map_err(|e| bad(e.to_string()))?;
    if sweep.manifests.is_empty() {
        return Err(bad("manifests is empty; name one or more".into()));
    }
    let mut points: Vec<Point> = Vec::new();
    for model in optional(&sweep.models) {
        for manifest in &sweep.manifests {
            for recipe in optional(&sweep.recipes) {
                for seed in optional(&sweep.seeds) {
                    let vary = Vary { model: model.map(|m| beside(m, folder)), recipe, seed };
                    let point = vary.point(manifest, folder, day).map_err(|why| match why {
                        Fault::Study(e) => e,
                        Fault::Sweep(why) => bad(why),
                    })?;
                    if points.iter().any(|p| p.name == point.name) {
                        return Err(bad(format!("gives two studies the name `{}`; name recipes, manifests and models differently", point.name)));
                    }
                    points.push(point);
                }
            }
        }
    }
    Ok(points)
}

/// Each of a list, or none once.
fn optional<T>(all: &[T]) -> Vec<Option<&T>> {
    match all.is_empty() {
        true => vec![None],
        false => all.iter().map(Some).collect(),
    }
}

/// A path relative to the sweep's file, or a name.
fn beside(name: &str, folder: &Path) -> String {
    let there = Some(folder.join(name)).filter(|p| p.exists());
    there.and_then(|p| absolute(p).ok()).map_or(name.into(), |p| p.to_string_lossy().into_owned())
}

/// What is wrong, in the sweep's file or in a manifest.
enum Fault {
    Sweep(String),
    Study(StudyError),
}

impl From<StudyError> for Fault {
    fn from(e: StudyError) -> Self {
        Fault::Study(e)
    }
}

/// What one study has otherwise than its manifest.
struct Vary<'a> {
    model: Option<String>,
    recipe: Option<&'a Table>,
    seed: Option<&'a u64>,
}

impl Vary<'_> {
    fn point(&self, manifest: &Path, folder: &Path, day: Date) -> Result<Point, Fault> {
        let file = Some(folder.join(manifest)).filter(|p| p.exists());
        let text = Text::read(Some(file.as_deref().unwrap_or(manifest)))?;
        let mut table = text.table()?;
        let from = manifest.file_stem().unwrap_or_default().to_string_lossy();
        let mut parts = vec![plain(&from)];
        if let Some(model) = &self.model {
            let last = Path::new(model).file_stem().unwrap_or_default().to_string_lossy();
            parts.push(plain(&last));
            table.insert("model".into(), Value::String(model.clone()));
        }
        if let Some(recipe) = self.recipe {
            let Some(name) = recipe.get("name").and_then(Value::as_str) else {
                return Err(Fault::Sweep("a [[recipe]] has no name; give each one".into()));
            };
            parts.push(plain(name));
            let keys = recipe.iter().filter(|(key, _)| *key != "name");
            let own = table.entry("recipe").or_insert(Value::Table(Table::new()));
            if let Value::Table(own) = own {
                own.extend(keys.map(|(k, v)| (k.clone(), v.clone())));
            }
        }
        if let Some(seed) = self.seed {
            let held = i64::try_from(*seed)
                .map_err(|_| Fault::Sweep(format!("the seed {seed} is too large")))?;
            parts.push(format!("s{seed}"));
            table.insert("seed".into(), Value::Integer(held));
        }
        let name = parts.join("-");
        table.insert("name".into(), Value::String(name.clone()));
        if file.is_some() {
            let at = absolute(&text.folder)
                .map_err(|source| StudyError::Read { path: text.folder.clone(), source })?;
            let own = table.get("folder").and_then(Value::as_str).unwrap_or_default();
            let at = at.join(own).to_string_lossy().into_owned();
            table.insert("folder".into(), Value::String(at));
        }
        table.entry("date").or_insert(Value::String(day.to_string()));
        let manifest = toml::to_string(&table).map_err(|e| Fault::Sweep(e.to_string()))?;
        // Whatever is wrong with it is said now, not by its first job.
        Study::of(Text::of(manifest.clone(), Path::new(&format!("{name}.toml"))))?;
        Ok(Point { name, manifest })
    }
}

/// A name as files may have it.
fn plain(name: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    name.chars().map(keep).collect()
}
