//! The manifest of a study: as written (TOML) and as checked.
//!
//! Past the check nothing is missing and nothing is validated again: every text is loaded, every
//! path exists, every name is unique.

use super::StudyError;
use crate::behavior::conversation::Replies;
use crate::finetune::{Prevent, Recipe};
use crate::materials::{self, used::UsedRows, Concept, NeutralText, Preference, ScriptSet};
use crate::store::text::{self, Fault, TextError};
use crate::model::resolve;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The embedded quick study.
pub const QUICK: &str = include_str!("../../assets/studies/quick.toml");

/// The embedded full study.
pub const FULL: &str = include_str!("../../assets/studies/full.toml");

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    pub name: String,
    pub seed: u64,
    pub model: String,
    #[serde(default)]
    pub recipe: Recipe,
    pub sizes: Sizes,
    pub concepts: ConceptNames,
    /// Folder of preference files; none: the shipped battery.
    pub battery: Option<PathBuf>,
    /// Folder of claim files, one a condition; none: the shipped claims.
    pub claims: Option<PathBuf>,
    pub draws: Draws,
    pub causal: Option<Causal>,
    pub conversations: Option<Conversations>,
    pub trajectory: Option<Trajectory>,
    /// Layers reported; none: 1/3 and 4/5 of the depth.
    pub layers: Option<Vec<usize>>,
    #[serde(rename = "condition")]
    pub conditions: Vec<WrittenCondition>,
}

/// How much of the materials is used.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    pub rows: usize,
    pub neutral_rows: usize,
    pub pairs: usize,
    pub placebo_pairs: usize,
    pub prompts: usize,
    pub claim_prompts: usize,
    pub neutral_texts: usize,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConceptNames {
    pub persona: String,
    pub autonomy: String,
    pub placebos: Vec<String>,
    pub nuisances: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draws {
    pub bootstrap: usize,
    pub null: usize,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Causal {
    pub condition: String,
    pub reference: String,
    pub random: usize,
    /// Placebo concepts whose directions are ablated and added too.
    #[serde(default)]
    pub placebos: Vec<String>,
    /// Prompts of each preference that are scored under every ablation; none: all of the study's.
    pub prompts: Option<usize>,
    /// Prompts of the condition's own claim that are scored under every ablation and dose too: what
    /// the autonomy direction does to the claim; none: not asked.
    pub claim_prompts: Option<usize>,
    pub alphas: Vec<f64>,
}

/// Conversations held in every state, in which a preference comes up after some turns.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conversations {
    /// Folder of script files; none: the shipped ones.
    pub folder: Option<PathBuf>,
    /// Scripts of each preference; none: all.
    pub scripts: Option<usize>,
    /// Whose replies stand in them.
    #[serde(default = "scripted")]
    pub replies: Replies,
}

fn scripted() -> Replies {
    Replies::Scripted
}

/// Conditions followed over their fine-tune, on a light set of probes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trajectory {
    pub condition: String,
    /// Its trajectory is subtracted, step by step.
    pub reference: String,
    /// Checkpoints, evenly spaced in the logarithm of the step.
    pub checkpoints: usize,
    /// Pairs of persona and of autonomy.
    pub pairs: usize,
    /// Prompts of each preference and claim.
    pub prompts: usize,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenCondition {
    pub name: String,
    pub data: Option<String>,
    pub adapter: Option<PathBuf>,
    pub model: Option<String>,
    pub system: Option<String>,
    /// Fine-tunes of this condition, with seeds 1, 2, ...
    pub seeds: Option<u64>,
    /// Counts as an identity fine-tune when the shared shift is removed.
    pub identity: Option<bool>,
    /// What is done to the stream while it trains.
    pub prevent: Option<Prevent>,
}

/// Where a state's weights and prompt come from.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    Base,
    /// Fine-tune on these rows (already the subset); neutral rows are mixed in.
    Data {
        file: String,
        rows: Vec<Vec<crate::model::Message>>,
    },
    Adapter(PathBuf),
    Model(String),
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
    /// Which rows of which files all of these are.
    pub used: Vec<UsedRows>,
}

impl Study {
    /// Reads a manifest file, or an embedded study: the quick one, or with `full`, unless a file
    /// has that name, the full one.
    pub fn load(path: Option<&Path>) -> Result<Self, StudyError> {
        let full = path.is_some_and(|p| p == Path::new("full") && !p.is_file());
        let embedded = |name: &str| PathBuf::from(format!("{name}.toml (embedded)"));
        let (name, text) = match path {
            None => (embedded("quick"), QUICK.to_string()),
            Some(_) if full => (embedded("full"), FULL.to_string()),
            Some(p) => {
                let text = text::read(p).map_err(|error| match error {
                    TextError::Io(source) => StudyError::Read {
                        path: p.into(),
                        source,
                    },
                    TextError::NotText(Fault { line, why }) => StudyError::Toml {
                        path: p.into(),
                        why: format!("line {line}: {why}"),
                    },
                })?;
                (p.to_path_buf(), text)
            }
        };
        let written: Written = toml::from_str(&text).map_err(|e| StudyError::Toml {
            path: name.clone(),
            why: e.to_string(),
        })?;
        let file = path.filter(|_| !full);
        let folder = file.and_then(Path::parent).unwrap_or(Path::new("."));
        check(written, &name, folder)
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
}

/// A file of the user's beside the manifest, or a shipped name.
fn located(name: &str, folder: &Path) -> String {
    let beside = folder.join(name);
    match beside.is_file() {
        true => beside.to_string_lossy().into_owned(),
        false => name.into(),
    }
}

fn check(w: Written, path: &Path, folder: &Path) -> Result<Study, StudyError> {
    let bad = |key: String, why: String| StudyError::Key {
        path: path.into(),
        key,
        why,
    };
    w.recipe.check()?;
    let s = &w.sizes;
    for (key, n, least) in [
        ("sizes.rows", s.rows, 1),
        ("sizes.pairs", s.pairs, 8),
        ("sizes.placebo_pairs", s.placebo_pairs, 8),
        ("sizes.prompts", s.prompts, 1),
        ("sizes.claim_prompts", s.claim_prompts, 1),
        ("sizes.neutral_texts", s.neutral_texts, 4),
        ("draws.bootstrap", w.draws.bootstrap, 100),
        ("draws.null", w.draws.null, 100),
    ] {
        if n < least {
            return Err(bad(key.into(), format!("is {n}; give at least {least}")));
        }
    }
    let mut used = Vec::new();
    let mut conditions = vec![Condition {
        name: "base".into(),
        source: Source::Base,
        seeds: vec![0],
        identity: false,
        prevent: None,
    }];
    for c in &w.conditions {
        let key = format!("condition `{}`", c.name);
        let plain = |x: char| x.is_ascii_alphanumeric() || x == '-' || x == '_';
        if c.name.is_empty() || !c.name.chars().all(plain) {
            return Err(bad(key, "use letters, digits, - and _ in names".into()));
        }
        if conditions.iter().any(|o| o.name == c.name) {
            return Err(bad(key, "stands twice; names must differ".into()));
        }
        let given = [
            c.data.is_some(),
            c.adapter.is_some(),
            c.model.is_some(),
            c.system.is_some(),
        ];
        if given.iter().filter(|g| **g).count() != 1 {
            let why = "needs exactly one of data, adapter, model, system";
            return Err(bad(key, why.into()));
        }
        if c.seeds.is_some() && c.data.is_none() {
            return Err(bad(
                key,
                "has seeds, which only a fine-tune (data) can have".into(),
            ));
        }
        if let Some(p) = &c.prevent {
            if c.data.is_none() {
                return Err(bad(
                    key,
                    "has prevent, which only a fine-tune (data) can have".into(),
                ));
            }
            p.check()?;
            if ![&w.concepts.persona, &w.concepts.autonomy].contains(&&p.concept) {
                let why = format!(
                    "prevents `{}`; name the study's persona or autonomy concept",
                    p.concept
                );
                return Err(bad(key, why));
            }
        }
        let source = if let Some(data) = &c.data {
            let rows = match data.as_str() {
                "neutral" => Vec::new(),
                name => {
                    let at = located(name, folder);
                    used.push(materials::used::conversations(&at, s.rows)?);
                    let rows = materials::load_conversations(&at)?.into_iter();
                    rows.take(s.rows).map(|c| c.messages).collect()
                }
            };
            Source::Data {
                file: data.clone(),
                rows,
            }
        } else if let Some(adapter) = &c.adapter {
            let name = adapter.to_string_lossy();
            let adapter = resolve::adapter_beside(folder, &name, &mut |_| {})
                .map_err(|e| bad(key.clone(), e.to_string()))?;
            if !adapter.join("adapter_config.json").is_file() {
                let why = format!("{} holds no adapter_config.json", adapter.display());
                return Err(bad(key, why));
            }
            Source::Adapter(adapter)
        } else if let Some(model) = &c.model {
            Source::Model(model.clone())
        } else {
            Source::System(c.system.clone().unwrap_or_default())
        };
        let tuned = matches!(
            source,
            Source::Data { .. } | Source::Adapter(_) | Source::Model(_)
        );
        conditions.push(Condition {
            name: c.name.clone(),
            seeds: (1..=c.seeds.unwrap_or(1).max(1)).collect(),
            // A fine-tune that was kept from its claim is none of the claims' kind.
            identity: c.identity.unwrap_or(tuned && c.prevent.is_none()),
            prevent: c.prevent.clone(),
            source,
        });
    }
    let names = &w.concepts;
    let mut concepts = Vec::new();
    for (i, name) in [&names.persona, &names.autonomy]
        .into_iter()
        .chain(&names.placebos)
        .enumerate()
    {
        let at = located(name, folder);
        let mut concept = materials::load_concept(&at)?;
        let n = if i < 2 { s.pairs } else { s.placebo_pairs };
        used.push(materials::used::pairs(&at, n)?);
        concept.pairs = materials::subset::pairs(&concept, n)
            .into_iter()
            .cloned()
            .collect();
        concepts.push(concept);
    }
    let mut nuisances = Vec::new();
    for name in &names.nuisances {
        match names.placebos.iter().position(|p| p == name) {
            Some(i) => nuisances.push(i + 2),
            None => {
                let why = "is not among concepts.placebos; add it there".to_string();
                return Err(bad(format!("concepts.nuisances `{name}`"), why));
            }
        }
    }
    if let Some(c) = &w.causal {
        for (key, name) in [
            ("causal.condition", &c.condition),
            ("causal.reference", &c.reference),
        ] {
            if !conditions.iter().any(|o| &o.name == name) {
                return Err(bad(
                    key.into(),
                    format!("`{name}` is no condition of the study"),
                ));
            }
        }
        if c.condition == c.reference {
            let why = "is the condition itself; name another one to hold it against".into();
            return Err(bad("causal.reference".into(), why));
        }
        for (key, n) in [("prompts", c.prompts), ("claim_prompts", c.claim_prompts)] {
            if n == Some(0) {
                return Err(bad(format!("causal.{key}"), "give at least 1".into()));
            }
        }
        for name in &c.placebos {
            if !names.placebos.contains(name) {
                let why = format!("`{name}` is not among concepts.placebos; add it there");
                return Err(bad("causal.placebos".into(), why));
            }
        }
        if c.random < 2 {
            return Err(bad("causal.random".into(), "give at least 2".into()));
        }
    }
    if let Some(t) = &w.trajectory {
        for (key, name) in [
            ("trajectory.condition", &t.condition),
            ("trajectory.reference", &t.reference),
        ] {
            let tuned = |o: &Condition| matches!(o.source, Source::Data { .. });
            if !conditions.iter().any(|o| &o.name == name && tuned(o)) {
                let why = format!("`{name}` is no condition that the study fine-tunes");
                return Err(bad(key.into(), why));
            }
        }
        for (key, n, least) in [
            ("trajectory.checkpoints", t.checkpoints, 3),
            ("trajectory.pairs", t.pairs, 8),
            ("trajectory.prompts", t.prompts, 1),
        ] {
            if n < least {
                return Err(bad(key.into(), format!("is {n}; give at least {least}")));
            }
        }
    }
    let mut scripts = Vec::new();
    if let Some(c) = &w.conversations {
        let at = c.folder.as_ref().map(|f| folder.join(f));
        scripts = materials::load_scripts(at.as_deref())?;
        if let Some(n) = c.scripts {
            if n == 0 {
                return Err(bad(
                    "conversations.scripts".into(),
                    "give at least 1".into(),
                ));
            }
            for set in &mut scripts {
                set.scripts.truncate(n);
            }
        }
    }
    let battery_dir = w.battery.as_ref().map(|b| folder.join(b));
    let battery = cut(
        materials::load_preferences(battery_dir.as_deref())?,
        s.prompts,
    );
    used.extend(materials::used::preferences(
        battery_dir.as_deref(),
        s.prompts,
    )?);
    let claims_dir = w.claims.as_ref().map(|c| folder.join(c));
    let claims: Vec<Preference> = cut(
        materials::load_claims(claims_dir.as_deref())?,
        s.claim_prompts,
    )
    .into_iter()
    .filter(|c| conditions.iter().any(|o| o.name == c.name))
    .collect();
    if let Some(c) = w.causal.as_ref().filter(|c| c.claim_prompts.is_some()) {
        if !claims.iter().any(|claim| claim.name == c.condition) {
            let why = format!("there is no claim named `{}`", c.condition);
            return Err(bad("causal.claim_prompts".into(), why));
        }
    }
    let mine = |u: &UsedRows| {
        let name = u.file.file_stem().map(|n| n.to_string_lossy().into_owned());
        claims.iter().any(|c| Some(&c.name) == name.as_ref())
    };
    used.extend(
        materials::used::claims(claims_dir.as_deref(), s.claim_prompts)?
            .into_iter()
            .filter(mine),
    );
    used.push(materials::used::neutral_texts(None, s.neutral_texts)?);
    if conditions
        .iter()
        .any(|c| matches!(c.source, Source::Data { .. }))
    {
        used.push(materials::used::neutral_prompts(None, s.neutral_rows)?);
    }
    let neutral_texts = materials::load_neutral_texts(None)?
        .into_iter()
        .take(s.neutral_texts)
        .collect();
    let neutral_prompts = materials::load_neutral_prompts(None)?
        .into_iter()
        .take(s.neutral_rows)
        .collect();
    Ok(Study {
        conditions,
        concepts,
        nuisances,
        battery,
        claims,
        scripts,
        neutral_texts,
        neutral_prompts,
        used,
        written: w,
    })
}

fn cut(preferences: Vec<Preference>, n: usize) -> Vec<Preference> {
    preferences
        .into_iter()
        .map(|mut p| {
            p.prompts = materials::subset::prompts(&p, n)
                .into_iter()
                .cloned()
                .collect();
            p
        })
        .collect()
}
