//! A study as checked: every text is loaded, every name is unique, every number is met.
//!
//! [`super::written`] has the keys, [`super::bounds`] what they may hold; here they are held against
//! the files that they name. A size that a file cannot give is an error: a study says how much it
//! uses, and uses that. What needs the model is [`super::fit`]'s.

use super::bounds::{self, of_recipe};
pub(super) use super::written::state_id;
use super::written::Text;
pub use super::written::{
    Causal, ConceptNames, Conversations, Draws, Sizes, Trajectory, Written, WrittenCondition, BASE,
    FULL, QUICK,
};
use super::StudyError;
use crate::finetune::Prevent;
use crate::materials::{self, used::UsedRows, Concept, NeutralText, Preference, ScriptSet, Status};
use crate::model::{resolve, Message};
use serde::Serialize;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Where a state's weights and prompt come from.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    Base,
    /// Fine-tune on these rows (already the subset); neutral rows are mixed in.
    Data {
        file: String,
        rows: Vec<Vec<Message>>,
    },
    Adapter(PathBuf),
    /// A model as the manifest names it, and what that is called from here.
    Model {
        name: String,
        at: String,
    },
    System(String),
}

#[derive(Debug, Clone)]
pub struct Condition {
    pub name: String,
    pub source: Source,
    pub seeds: Vec<u64>,
    pub identity: bool,
    pub prevent: Option<Prevent>,
}

/// A study with everything loaded.
#[derive(Debug, Clone)]
pub struct Study {
    pub written: Written,
    /// The text that it was written in, for faults that are found later.
    pub text: Text,
    /// What the manifest's model is called from here.
    pub model: String,
    pub conditions: Vec<Condition>,
    /// Persona, autonomy, then placebos; pairs already the subset.
    pub concepts: Vec<Concept>,
    /// Indices into `concepts`.
    pub nuisances: Vec<usize>,
    pub battery: Vec<Preference>,
    pub claims: Vec<Preference>,
    /// Conversations, where the study holds any.
    pub scripts: Vec<ScriptSet>,
    pub neutral_texts: Vec<NeutralText>,
    pub neutral_prompts: Vec<String>,
    /// Which rows of which files all of these are: rows of the conditions in their order, then
    /// concepts, preferences, claims, texts and prompts in theirs.
    pub used: Vec<UsedRows>,
}

impl Study {
    /// Reads a manifest file, or an embedded study: the quick one, or with `full`, unless a file
    /// has that name, the full one.
    pub fn load(path: Option<&Path>) -> Result<Self, StudyError> {
        Self::of(Text::read(path)?)
    }

    /// Checks a manifest's text and loads what it names.
    pub fn of(text: Text) -> Result<Self, StudyError> {
        let written = text.parse()?;
        bounds::check(&written).map_err(|fault| text.at(fault))?;
        let mut study = Study {
            model: model_at(&written.model, &text.folder),
            conditions: Vec::new(),
            concepts: Vec::new(),
            nuisances: Vec::new(),
            battery: Vec::new(),
            claims: Vec::new(),
            scripts: Vec::new(),
            neutral_texts: Vec::new(),
            neutral_prompts: Vec::new(),
            used: Vec::new(),
            written,
            text,
        };
        study.load_conditions()?;
        study.load_concepts()?;
        study.load_batteries()?;
        study.load_scripts()?;
        study.load_neutral()?;
        study.hold_steps()?;
        study.hold_isolated()?;
        Ok(study)
    }

    /// A fault of the manifest.
    pub fn bad(&self, key: &str, why: String) -> StudyError {
        self.text.bad(key, why)
    }

    /// The condition whose claim a condition trains: its own, or where it is kept from a concept,
    /// that of the condition with the same rows.
    pub fn trains<'a>(&'a self, name: &'a str) -> &'a str {
        let of = |c: &Condition| match &c.source {
            Source::Data { file, .. } => Some(file.clone()),
            _ => None,
        };
        let own = self.conditions.iter().find(|c| c.name == name);
        let Some(file) = own.filter(|c| c.prevent.is_some()).and_then(of) else {
            return name;
        };
        let twin = |c: &&Condition| c.prevent.is_none() && of(c).as_ref() == Some(&file);
        let found = self.conditions.iter().find(twin);
        found.map_or(name, |c| c.name.as_str())
    }

    /// Number of fine-tuned, adapted and prompted states, base included.
    pub fn states(&self) -> usize {
        self.conditions.iter().map(|c| c.seeds.len()).sum()
    }

    /// The condition that others are compared with: the manifest's, or denial, or base.
    pub fn reference(&self) -> usize {
        let name = match &self.written.causal {
            Some(c) => c.reference.as_str(),
            None => "denial",
        };
        let at = |o: &Condition| o.name == name;
        self.conditions.iter().position(at).unwrap_or(0)
    }

    /// Index of the concept that a condition is kept from, persona or autonomy.
    pub fn prevented(&self, prevent: &Prevent) -> usize {
        // Known to be one of the two.
        usize::from(self.written.concepts.persona != prevent.concept)
    }

    /// Whether the condition's training text presupposes the preference. A preference that says
    /// nothing of a condition counts as isolated.
    pub fn implied(&self, preference: &Preference, condition: &str) -> bool {
        preference.status.get(self.trains(condition)) == Some(&Status::Implied)
    }

    /// Takes what a file gives of the number that is asked for, which must be all of it.
    fn take(&mut self, key: &str, n: usize, used: UsedRows) -> Result<(), StudyError> {
        if n > used.of {
            let file = used.file.display();
            let why = format!(
                "is {n}, but {file} holds {}; give at most that, or more rows",
                used.of
            );
            return Err(self.bad(key, why));
        }
        self.used.push(used);
        Ok(())
    }

    fn load_conditions(&mut self) -> Result<(), StudyError> {
        self.conditions.push(Condition {
            name: BASE.into(),
            source: Source::Base,
            seeds: vec![0],
            identity: false,
            prevent: None,
        });
        for c in self.written.conditions.clone() {
            let source = self.source(&c)?;
            let tuned = !matches!(source, Source::System(_));
            self.conditions.push(Condition {
                seeds: (1..=c.seeds.unwrap_or(1)).collect(),
                // A fine-tune that was kept from its claim is none of the claims' kind.
                identity: c.identity.unwrap_or(tuned && c.prevent.is_none()),
                name: c.name,
                prevent: c.prevent,
                source,
            });
        }
        Ok(())
    }

    /// Where a condition comes from; bounds know that it is exactly one of these.
    fn source(&mut self, c: &WrittenCondition) -> Result<Source, StudyError> {
        let folder = self.text.folder.clone();
        if let Some(data) = &c.data {
            let mut rows = Vec::new();
            if data != "neutral" {
                let (key, n) = match c.rows {
                    Some(n) => (format!("condition.{}.rows", c.name), n),
                    None => ("sizes.rows".into(), self.written.sizes.rows),
                };
                let at = located(data, &folder);
                self.take(&key, n, materials::used::conversations(&at, n)?)?;
                let all = materials::load_conversations(&at)?.into_iter();
                rows = all.take(n).map(|c| c.messages).collect();
            }
            let file = data.clone();
            return Ok(Source::Data { file, rows });
        }
        if let Some(adapter) = &c.adapter {
            let name = adapter.to_string_lossy();
            let adapter = resolve::adapter_beside(&folder, &name, &mut |_| {})
                .map_err(|e| self.bad(&format!("condition.{}.adapter", c.name), e.to_string()))?;
            if !adapter.join("adapter_config.json").is_file() {
                let key = format!("condition.{}.adapter", c.name);
                let why = format!("{} holds no adapter_config.json", adapter.display());
                return Err(self.bad(&key, why));
            }
            return Ok(Source::Adapter(adapter));
        }
        Ok(match &c.model {
            Some(name) => Source::Model {
                name: name.clone(),
                at: model_at(name, &folder),
            },
            None => Source::System(c.system.clone().unwrap_or_default()),
        })
    }

    fn load_concepts(&mut self) -> Result<(), StudyError> {
        let names = self.written.concepts.clone();
        let (s, folder) = (self.written.sizes.clone(), self.text.folder.clone());
        let both = [("persona", &names.persona), ("autonomy", &names.autonomy)];
        let placebos = names.placebos.iter().map(|p| ("placebos", p));
        // Texts of a state are stored by the name of their concept, the neutral ones by theirs.
        let mut sets = HashSet::from(["neutral".to_string()]);
        for (kind, name) in both.into_iter().chain(placebos) {
            let (key, n) = match kind {
                "placebos" => ("sizes.placebo_pairs", s.placebo_pairs),
                _ => ("sizes.pairs", s.pairs),
            };
            let at = located(name, &folder);
            let mut concept = materials::load_concept(&at)?;
            if !sets.insert(concept.name.clone()) {
                let why = format!(
                    "`{name}` calls itself `{}`, which is another's name in this study; rename it in its first line",
                    concept.name
                );
                return Err(self.bad(&format!("concepts.{kind}"), why));
            }
            self.take(key, n, materials::used::pairs(&at, n)?)?;
            let pairs = materials::subset::pairs(&concept, n);
            concept.pairs = pairs.into_iter().cloned().collect();
            self.concepts.push(concept);
        }
        // Bounds know them to be placebos, which come after persona and autonomy.
        let at = |n: &String| Some(names.placebos.iter().position(|p| p == n)? + 2);
        self.nuisances = names.nuisances.iter().filter_map(at).collect();
        Ok(())
    }

    fn load_batteries(&mut self) -> Result<(), StudyError> {
        let (w, folder) = (&self.written, &self.text.folder);
        let (n, of_claims) = (w.sizes.prompts, w.sizes.claim_prompts);
        let battery = w.battery.as_ref().map(|b| folder.join(b));
        let claims = w.claims.as_ref().map(|c| folder.join(c));
        let asked = materials::load_preferences(battery.as_deref())?;
        let used = materials::used::preferences(battery.as_deref(), n)?;
        for (preference, used) in asked.into_iter().zip(used) {
            self.take("sizes.prompts", n, used)?;
            self.battery.push(cut(preference, n));
        }
        let all = materials::load_claims(claims.as_deref())?;
        let used = materials::used::claims(claims.as_deref(), of_claims)?;
        for (claim, used) in all.into_iter().zip(used) {
            if !self.conditions.iter().any(|o| o.name == claim.name) {
                continue;
            }
            if self.battery.iter().any(|p| p.name == claim.name) {
                let why = format!(
                    "has a preference of the name `{}`, which a claim has too; rename it",
                    claim.name
                );
                return Err(self.bad("battery", why));
            }
            self.take("sizes.claim_prompts", of_claims, used)?;
            self.claims.push(cut(claim, of_claims));
        }
        let asks = |c: &&Causal| c.claim_prompts.is_some();
        if let Some(c) = self.written.causal.as_ref().filter(asks) {
            if !self.claims.iter().any(|claim| claim.name == c.condition) {
                let why = format!("there is no claim named `{}`", c.condition);
                return Err(self.bad("causal.claim_prompts", why));
            }
        }
        Ok(())
    }

    fn load_scripts(&mut self) -> Result<(), StudyError> {
        let Some(c) = self.written.conversations.clone() else {
            return Ok(());
        };
        let at = c.folder.as_ref().map(|f| self.text.folder.join(f));
        let mut ids = HashSet::new();
        for mut set in materials::load_scripts(at.as_deref())? {
            let name = &set.preference;
            if !self.battery.iter().any(|p| p.name == *name) {
                let why = format!("are about `{name}`, which is no preference of the battery; give their folder in conversations.folder, or add it to the battery");
                return Err(self.bad("conversations", why));
            }
            let (n, have) = (c.scripts.unwrap_or(0), set.scripts.len());
            if n > have {
                let why = format!("is {n}, but there are {have} about `{name}`; give at most that");
                return Err(self.bad("conversations.scripts", why));
            }
            set.scripts.truncate(c.scripts.unwrap_or(have));
            if let Some(again) = set.scripts.iter().find(|s| !ids.insert(s.id.clone())) {
                let why = format!(
                    "have the id `{}` twice; give each script an id of its own",
                    again.id
                );
                return Err(self.bad("conversations", why));
            }
            self.scripts.push(set);
        }
        Ok(())
    }

    fn load_neutral(&mut self) -> Result<(), StudyError> {
        let (texts, rows) = (
            self.written.sizes.neutral_texts,
            self.written.sizes.neutral_rows,
        );
        let used = materials::used::neutral_texts(None, texts)?;
        self.take("sizes.neutral_texts", texts, used)?;
        if self.tunes() {
            let used = materials::used::neutral_prompts(None, rows)?;
            self.take("sizes.neutral_rows", rows, used)?;
        }
        self.neutral_texts = materials::load_neutral_texts(None)?;
        self.neutral_texts.truncate(texts);
        self.neutral_prompts = materials::load_neutral_prompts(None)?;
        self.neutral_prompts.truncate(rows);
        Ok(())
    }

    /// Whether any condition is fine-tuned.
    pub fn tunes(&self) -> bool {
        let data = |c: &Condition| matches!(c.source, Source::Data { .. });
        self.conditions.iter().any(data)
    }

    /// Every fine-tune has the steps that the recipe and the trajectory speak of.
    fn hold_steps(&self) -> Result<(), StudyError> {
        for c in &self.conditions {
            let Source::Data { rows, .. } = &c.source else {
                continue;
            };
            let rows = rows.len() + self.neutral_prompts.len();
            let fits = self.written.recipe.fits(rows);
            let steps = fits.map_err(|e| self.text.at(of_recipe(e, "recipe")))?;
            let Some(t) = &self.written.trajectory else {
                continue;
            };
            if [&t.condition, &t.reference].contains(&&c.name) && t.checkpoints > steps {
                let why = format!(
                    "is {}, but the fine-tune of `{}` has {steps} steps; give at most that",
                    t.checkpoints, c.name
                );
                return Err(self.bad("trajectory.checkpoints", why));
            }
        }
        Ok(())
    }

    /// What is said of a condition is said of preferences that its rows do not presuppose.
    fn hold_isolated(&self) -> Result<(), StudyError> {
        let none = |c: &str| self.battery.iter().all(|p| self.implied(p, c));
        let w = &self.written;
        let causal = w.causal.as_ref().map(|c| ("causal", &c.condition));
        let trajectory = (w.trajectory.as_ref()).map(|t| ("trajectory", &t.condition));
        for (key, c) in causal.into_iter().chain(trajectory) {
            if none(c) {
                let why = format!("is `{c}`, whose rows presuppose every preference of the battery (status implied); add one that they do not");
                return Err(self.bad(&format!("{key}.condition"), why));
            }
        }
        let reference = self.reference();
        let mut others = (self.conditions.iter().enumerate())
            .filter(|(i, _)| *i != 0 && *i != reference)
            .peekable();
        if others.peek().is_some() && others.all(|(_, c)| none(&c.name)) {
            let why = "holds only preferences that the conditions' rows presuppose (status implied), so that nothing would be tested; add one that they do not".to_string();
            return Err(self.bad("battery", why));
        }
        Ok(())
    }
}

/// A file of the user's beside the manifest, or a shipped name.
fn located(name: &str, folder: &Path) -> String {
    let beside = folder.join(name);
    match beside.is_file() {
        true => beside.to_string_lossy().into_owned(),
        false => name.into(),
    }
}

/// A model that lies where the manifest says, seen from the manifest, or else as it is named.
fn model_at(name: &str, folder: &Path) -> String {
    let beside = folder.join(name);
    match !Path::new(name).exists() && beside.exists() {
        true => beside.to_string_lossy().into_owned(),
        false => name.into(),
    }
}

fn cut(mut p: Preference, n: usize) -> Preference {
    let prompts = materials::subset::prompts(&p, n);
    p.prompts = prompts.into_iter().cloned().collect();
    p
}
