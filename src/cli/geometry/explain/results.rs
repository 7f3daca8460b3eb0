//! A results file as a reader asks of it: numbers by name, labels along coordinates, what is said
//! beside a number.

use crate::cli::layers::reported;
use crate::geometry_tables::{note, GROUP};
use crate::model::error::nearest;
use crate::store::{AttrValue, NamedArray, ResultsReader, Values};
use anyhow::{bail, Result};
use std::collections::BTreeMap;

/// A results file and what can be asked of it.
pub struct Results {
    pub reader: ResultsReader,
    /// Paths, and whether they are tables.
    pub numbers: BTreeMap<String, bool>,
}

impl Results {
    pub fn open(file: &std::path::Path) -> Result<Self> {
        let reader = ResultsReader::open(file)?;
        let mut numbers = BTreeMap::new();
        for path in reader.list()? {
            let parent = path.rsplit_once('/').map_or("", |(p, _)| p);
            match !parent.is_empty() && reader.attr(parent, "columns").is_ok() {
                true => numbers.insert(parent.to_string(), true),
                false => numbers.insert(path, false),
            };
        }
        Ok(Results { reader, numbers })
    }

    /// The path of a number given with or without its group.
    pub fn resolve(&self, name: &str) -> Result<String> {
        let name = name.trim_matches('/');
        if self.numbers.contains_key(name) {
            return Ok(name.to_string());
        }
        let ends = |path: &&String| path.rsplit('/').next() == Some(name);
        let found: Vec<&String> = self.numbers.keys().filter(ends).collect();
        match found[..] {
            [only] => Ok(only.clone()),
            [] => {
                let short = self
                    .numbers
                    .keys()
                    .map(|p| p.rsplit('/').next().unwrap_or(p));
                let near = nearest(name, short).unwrap_or_default();
                bail!("the file has no `{name}`; did you mean `{near}`? `--list` lists what it has")
            }
            _ => {
                let all: Vec<&str> = found.iter().map(|p| p.as_str()).collect();
                bail!(
                    "`{name}` could be {}; name it with its group",
                    all.join(" or ")
                )
            }
        }
    }

    /// An attribute as text; none where there is none.
    pub fn attr(&self, path: &str, name: &str) -> Option<String> {
        Some(match self.reader.attr(path, name).ok()? {
            AttrValue::Text(t) => t,
            AttrValue::Int(n) => n.to_string(),
            AttrValue::Real(v) => v.to_string(),
            AttrValue::Texts(list) => list.join(", "),
        })
    }

    /// What is said beside a number, or what a writer would say.
    pub fn said(&self, path: &str, name: &str) -> Option<String> {
        self.attr(path, name).or_else(|| {
            let attributes = note(path)?.attributes();
            let (_, text) = attributes
                .into_iter()
                .find(|(n, t)| *n == name && !t.is_empty())?;
            Some(text.to_string())
        })
    }

    /// The array `geometry/<name>`, if the file has it.
    pub fn geometry(&self, name: &str) -> Option<NamedArray<f64>> {
        self.reader.array(&format!("{GROUP}/{name}")).ok()
    }
}

/// Position of a label along a coordinate; the first label where none is asked for.
pub fn place(what: &str, labels: &Values, asked: Option<&str>) -> Result<usize> {
    let Some(asked) = asked else { return Ok(0) };
    let all: Vec<String> = (0..labels.len()).map(|i| labels.label(i)).collect();
    match all.iter().position(|l| l == asked) {
        Some(i) => Ok(i),
        None => {
            let near = nearest(asked, all.iter().map(String::as_str)).unwrap_or_default();
            bail!(
                "there is no {what} `{asked}`; did you mean `{near}`? There are: {}",
                all.join(", ")
            )
        }
    }
}

/// Position of the layer asked for, or of the one at 1/3 of the depth.
pub fn layer_place(labels: &Values, asked: Option<usize>) -> Result<usize> {
    if let Some(layer) = asked {
        return place("layer", labels, Some(&layer.to_string()));
    }
    let last = labels.len().checked_sub(1).map(|i| labels.label(i));
    let depth = last
        .and_then(|l| l.parse::<usize>().ok())
        .map_or(0, |l| l + 1);
    let third = reported(depth).first().copied().unwrap_or(0).to_string();
    Ok(place("layer", labels, Some(&third)).unwrap_or(0))
}

/// Row of a column of layers that holds the block at 1/3 of the depth, or the first.
pub fn third(values: &Values) -> usize {
    let layers: Vec<usize> = (0..values.len())
        .filter_map(|i| values.label(i).parse().ok())
        .collect();
    let depth = layers.iter().max().map_or(0, |l| l + 1);
    let wanted = reported(depth).first().copied().unwrap_or(0);
    layers.iter().position(|&l| l == wanted).unwrap_or(0)
}
