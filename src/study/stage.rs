//! A stage is a value: its name, what it depends on, what it writes, what it costs, and how it runs.
//!
//! Its key is the digest of the [`Inputs`] that it declares: values and files by digest, the stages
//! that it needs by their keys, and the revision of its code. Whatever changes an output changes an
//! input, and so the key; a stage must not read what it does not declare. Outputs are names below the
//! run folder; one that ends in `/` is a folder whose files are all the stage's.

use super::files::Digests;
use super::layout::Layout;
use super::models::Models;
use super::Result;
use crate::store::{digest, RootAttrs};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// What a stage depends on, by digest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs {
    digests: BTreeMap<String, String>,
    needs: Vec<String>,
}

impl Inputs {
    /// Of a stage whose code has this revision; it rises when outputs would differ for the same
    /// inputs.
    pub fn revision(n: u32) -> Self {
        Inputs::default().value("revision", &n)
    }

    /// A value; of two of one name the later holds.
    pub fn value<T: Serialize + ?Sized>(mut self, name: &str, value: &T) -> Self {
        // What cannot be JSON is no input of ours: all are plain data with text keys.
        let value = json!(value);
        self.digests.insert(name.into(), digest::of_json(&value));
        self
    }

    /// The content of a file, wherever it lies.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn file(mut self, name: &str, path: &Path, digests: &Digests) -> Result<Self> {
        self.digests.insert(name.into(), digests.of(path)?);
        Ok(self)
    }

    /// A stage whose outputs are read.
    pub fn stage(mut self, stage: &Stage) -> Self {
        if !self.needs.contains(&stage.name) {
            self.needs.push(stage.name.clone());
        }
        let name = format!("stage {}", stage.name);
        self.digests.insert(name, stage.key.clone());
        self
    }

    /// Digest of everything declared.
    pub fn key(&self) -> String {
        digest::of_json(&json!(self.digests))
    }

    /// Name and digest of each.
    pub fn digests(&self) -> &BTreeMap<String, String> {
        &self.digests
    }

    /// Names of those that differ from what they were, and of those that came or went.
    pub fn changed(&self, before: &BTreeMap<String, String>) -> Vec<String> {
        let now = self.digests.iter();
        let new = now.filter(|(name, d)| before.get(*name) != Some(d));
        let gone = before.keys().filter(|name| !self.digests.contains_key(*name));
        new.map(|(name, _)| name).chain(gone).cloned().collect()
    }
}

/// What a stage is expected to take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Rows that it computes: tokens of texts, those that texts share counted once.
    pub rows: usize,
    /// Seconds that it takes.
    pub seconds: f64,
    /// Peak of memory.
    pub bytes: f64,
    /// Bytes that it writes.
    pub disk: f64,
}

/// What a stage runs with.
pub struct Work<'a, 'm> {
    /// The run folder.
    pub layout: &'a Layout,
    /// Base and the decoder used last.
    pub models: &'a mut Models<'m>,
    /// The command line, for the record.
    pub command: &'a str,
    /// Name and inputs of the stage, for the record.
    pub record: Value,
    /// The study's seed, for the record.
    pub seed: u64,
    /// Told a line about what is done.
    pub watch: &'a mut dyn FnMut(&str),
}

impl Work<'_, '_> {
    /// Attributes of an HDF5 file that the stage writes: what it depends on, or another record.
    pub fn attrs(&self, config: Option<Value>) -> RootAttrs {
        let model = self.models.base;
        let mut config = config.unwrap_or_else(|| self.record.clone());
        config["tokenizer"] = model.tokenizer.record();
        config["numbers"] = model.numbers();
        let mut a = RootAttrs::new(self.command, config, self.seed);
        a.model_id = model.id.clone();
        a.model_sha256 = model.sha256.clone();
        a.chat_template_sha256 = model.template_sha256().unwrap_or_default();
        a.warnings = model.doubts();
        a
    }
}

/// How a stage runs.
pub type Run<'a> = Box<dyn Fn(&mut Work) -> Result<()> + 'a>;

/// One stage of a plan.
pub struct Stage<'a> {
    /// Its name, which no other has.
    pub name: String,
    /// What it depends on.
    pub inputs: Inputs,
    /// Digest of the inputs.
    pub key: String,
    /// Names below the run folder; one that ends in `/` is a folder.
    pub outputs: Vec<String>,
    /// Files of other stages whose digests its outputs hold: where one was written anew, so are these.
    pub quoted: Vec<String>,
    /// What it is expected to take.
    pub cost: Cost,
    run: Run<'a>,
}

impl<'a> Stage<'a> {
    /// A stage that runs by `run`.
    pub fn new(
        name: impl Into<String>,
        inputs: Inputs,
        outputs: Vec<String>,
        cost: Cost,
        run: impl Fn(&mut Work) -> Result<()> + 'a,
    ) -> Self {
        let (name, key, quoted) = (name.into(), inputs.key(), Vec::new());
        Stage { name, key, inputs, outputs, quoted, cost, run: Box::new(run) }
    }

    /// The same, with outputs that hold the digests of these files.
    pub fn quoting(mut self, files: Vec<String>) -> Self {
        self.quoted = files;
        self
    }

    /// Names of the stages whose outputs it reads.
    pub fn needs(&self) -> &[String] {
        &self.inputs.needs
    }

    /// Runs it.
    ///
    /// # Errors
    /// What the stage does.
    pub fn run(&self, work: &mut Work) -> Result<()> {
        (self.run)(work)
    }

    /// What goes into the files that it writes.
    pub fn record(&self, study: &str) -> Value {
        json!({"study": study, "stage": self.name, "key": self.key, "inputs": self.inputs.digests()})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(inputs: Inputs) -> Stage<'static> {
        Stage::new("s", inputs, Vec::new(), Cost::default(), |_| Ok(()))
    }

    #[test]
    fn a_key_changes_with_every_input_and_with_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("weights");
        std::fs::write(&path, "one").unwrap();
        let digests = Digests::default();
        let first = stage(Inputs::revision(1));
        let of = |revision, value: &str, needed: &Stage| {
            let inputs = Inputs::revision(revision).value("name", value);
            inputs.file("weights", &path, &digests).unwrap().stage(needed)
        };
        let plain = of(1, "a", &first);
        assert_eq!(plain.key(), of(1, "a", &first).key());
        assert_ne!(plain.key(), of(2, "a", &first).key());
        assert_ne!(plain.key(), of(1, "b", &first).key());
        let second = stage(Inputs::revision(2));
        let after = of(1, "a", &second);
        assert_ne!(plain.key(), after.key());
        assert_eq!(after.changed(plain.digests()), ["stage s"]);
        std::fs::write(&path, "other").unwrap();
        let changed = of(1, "a", &first).changed(plain.digests());
        assert_eq!(changed, ["weights"]);
    }
}
