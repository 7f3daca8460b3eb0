//! From a manifest's text to a [`Study`]: its names resolved, its files read, its samples drawn.
//!
//! A size that a file cannot give is an error that says what there is: a study says how much it
//! uses, and uses that.

use super::bounds;
use super::held;
use super::layout::dev_set;
use super::manifest::{share, Condition, Edits, Source, Study, BASE, NEUTRAL};
use super::text::Text;
use super::written::{state_id, WrittenCondition, DECLARABLE};
use super::Result;
use crate::analysis::{Roles, State};
use crate::materials::load::{
    self, claims, concept, declining, neutral_prompts, neutral_texts, preferences,
};
use crate::materials::{subset, Loaded, MaterialError, Preference, Use};
use crate::model::{resolve, Date, TextOptions};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

impl Study {
    /// Reads a manifest file, or an embedded study by its name, as [`Text::read`] does.
    ///
    /// # Errors
    /// What is wrong with it, by file, line and key.
    pub fn load(path: Option<&Path>) -> Result<Self> {
        Self::of(Text::read(path)?)
    }

    /// Checks a manifest's text and loads what it names.
    ///
    /// # Errors
    /// As [`Study::load`].
    pub fn of(mut text: Text) -> Result<Self> {
        let written = text.parse()?;
        bounds::check(&written).map_err(|fault| text.at(fault))?;
        if let Some(folder) = &written.folder {
            text.folder = text.folder.join(folder);
        }
        let (model, reference) = (model_at(&written.model, &text.folder), BASE.into());
        let mut study = Study { model, reference, written, text, ..Study::default() };
        study.load_batteries()?;
        study.load_conditions()?;
        study.name_states();
        study.load_concepts()?;
        study.take_roles()?;
        study.load_claims()?;
        study.load_outcomes()?;
        study.load_declining()?;
        study.load_scripts()?;
        study.load_neutral()?;
        held::names(&study)?;
        held::steps(&study)?;
        held::isolated(&study)?;
        held::declared(&study)?;
        study.name_recipes();
        study.notes.extend(held::shares(&study));
        study.notes.extend(held::statuses(&study));
        Ok(study)
    }

    /// How the study's models read texts, on a day.
    pub fn text_options(&self, date: Date) -> TextOptions {
        let (w, folder) = (&self.written, &self.text.folder);
        TextOptions {
            date: Some(date),
            template: w.template.as_ref().map(|name| located(name, folder)),
            thinking: w.thinking.unwrap_or_default(),
            ..TextOptions::default()
        }
    }

    /// Takes what was drawn of a file, which must hold as much as is asked for, and records its rows.
    fn take<T>(&mut self, key: &str, drawn: Result<Loaded<T>, MaterialError>) -> Result<T> {
        match drawn {
            Ok(loaded) => {
                self.used.push(loaded.from);
                Ok(loaded.items)
            }
            Err(MaterialError::TooFew { path, what, there, asked }) => {
                let file = path.display();
                let why = format!(
                    "is {asked}, but {file} holds {there} {what}; give at most that, or more of them"
                );
                Err(self.bad(key, why))
            }
            Err(other) => Err(other.into()),
        }
    }

    /// What a key names, read; a file that cannot be used is said with the key.
    fn named<T>(&self, key: &str, read: Result<T, MaterialError>) -> Result<T> {
        read.map_err(|e| self.bad(key, format!("names what cannot be used: {e}")))
    }

    fn load_batteries(&mut self) -> Result<()> {
        let (n, seed) = (self.written.sizes.prompts, self.written.seed);
        let folder = self.beside(&self.written.battery);
        for preference in self.named("battery", preferences(folder.as_deref()))? {
            let preference = self.take("sizes.prompts", preference.draw(n, seed))?;
            self.battery.push(preference);
        }
        Ok(())
    }

    /// A folder that the manifest names, seen from here.
    fn beside(&self, folder: &Option<PathBuf>) -> Option<PathBuf> {
        folder.as_ref().map(|f| self.text.folder.join(f))
    }

    fn load_conditions(&mut self) -> Result<()> {
        self.conditions.push(Condition {
            name: BASE.into(),
            source: Source::Base,
            text: BASE.into(),
            seeds: vec![0],
            identity: false,
            share: None,
            prevent: None,
        });
        let known = self.known_texts()?;
        for c in self.written.conditions.clone() {
            let source = self.source(&c)?;
            let tuned = !matches!(source, Source::System(_) | Source::Neutral);
            self.conditions.push(Condition {
                seeds: (1..=c.seeds.unwrap_or(1)).collect(),
                // A fine-tune that was kept from its claim is none of the claims' kind.
                identity: c.identity.unwrap_or(tuned && c.prevent.is_none()),
                text: text_of(&c, &known),
                share: c.data.as_ref().and(c.share.or(self.written.recipe.share)),
                name: c.name,
                prevent: c.prevent,
                source,
            });
        }
        Ok(())
    }

    /// Names of rows that preferences and claims speak of.
    fn known_texts(&self) -> Result<HashSet<String>> {
        let read = load::load_claims(self.beside(&self.written.claims).as_deref());
        let claims = self.named("claims", read)?;
        let of_status = self.battery.iter().flat_map(|p| p.status.keys().cloned());
        Ok(of_status.chain(claims.into_iter().map(|c| c.name)).collect())
    }

    /// Where a condition comes from; bounds know that it is exactly one of these.
    fn source(&mut self, c: &WrittenCondition) -> Result<Source> {
        let folder = self.text.folder.clone();
        if let Some(data) = &c.data {
            if data == NEUTRAL {
                return Ok(Source::Neutral);
            }
            let (key, n) = match c.rows {
                Some(n) => (format!("condition.{}.rows", c.name), n),
                None => ("sizes.rows".into(), self.written.sizes.rows),
            };
            let at = located(data, &folder);
            let all = self.named(&format!("condition.{}.data", c.name), load::rows(&at))?;
            // One name for all, so that rows that answer one another stay together.
            let drawn = all.draw(n, self.written.seed, "condition");
            let used = drawn.as_ref().ok().map(|d| d.from.clone());
            let rows = self.take(&key, drawn)?;
            return Ok(Source::Data {
                rows: rows.into_iter().map(|r| r.messages).collect(),
                lines: used.as_ref().map_or(Vec::new(), |u| u.lines.clone()),
                file: used.map_or(PathBuf::new(), |u| u.file),
            });
        }
        if let Some(adapter) = &c.adapter {
            let name = adapter.to_string_lossy();
            let key = format!("condition.{}.adapter", c.name);
            let adapter = resolve::adapter_beside(&folder, &name, &mut |_| {})
                .map_err(|e| self.bad(&key, e.to_string()))?;
            let why = format!("{} holds no adapter_config.json", adapter.display());
            self.hold(adapter.join("adapter_config.json").is_file(), &key, why)?;
            return Ok(Source::Adapter(adapter));
        }
        Ok(match &c.model {
            Some(name) => Source::Model { name: name.clone(), at: model_at(name, &folder) },
            None => Source::System(c.system.clone().unwrap_or_default()),
        })
    }

    fn name_states(&mut self) {
        for c in &self.conditions {
            for &seed in &c.seeds {
                self.states.push(State {
                    id: state_id(&c.name, c.is_tuned(), seed),
                    condition: c.name.clone(),
                    seed: if c.is_tuned() { seed } else { 0 },
                    text: c.text.clone(),
                    recipe: String::new(),
                    share: None,
                });
            }
        }
    }

    /// One recipe for fine-tunes of as many steps and one share, which is that of all but what is kept from
    /// a concept.
    fn name_recipes(&mut self) {
        for i in 0..self.states.len() {
            let c = self.of_state(i);
            let steps = self.recipe_of(c).steps(self.pass_of(c));
            let share = self.share_of(c).filter(|_| c.prevent.is_none());
            let recipe = match c.source {
                Source::Base | Source::System(_) => String::new(),
                Source::Data { .. } | Source::Neutral if c.prevent.is_none() => {
                    let share = c.share.map_or(String::new(), |s| format!(", share {s}"));
                    format!("{steps} steps{share}")
                }
                // Trained by others, or kept from a concept: like no other condition.
                _ => format!("of {}", c.name),
            };
            (self.states[i].recipe, self.states[i].share) = (recipe, share);
        }
    }

    /// Concepts, and what they are to one another by the names that they give themselves.
    fn load_concepts(&mut self) -> Result<()> {
        let (names, s) = (self.written.concepts.clone(), self.written.sizes.clone());
        let (folder, seed) = (self.text.folder.clone(), self.written.seed);
        let coupled = names.coupled().into_iter().map(|c| ("couple", c));
        let placebos = names.placebos.iter().map(|p| ("placebos", p));
        // Texts of a state are stored by the name of their concept, the neutral ones by theirs.
        let mut sets = HashSet::from(["neutral".to_string()]);
        let mut own: BTreeMap<&String, String> = BTreeMap::new();
        for (kind, name) in coupled.chain(placebos) {
            let (key, n) = match kind {
                "placebos" => ("sizes.placebo_pairs", s.placebo_pairs),
                _ => ("sizes.pairs", s.pairs),
            };
            let at = located(name, &folder);
            let drawn = self.named(&format!("concepts.{kind}"), concept(&at))?;
            let concept = &drawn.items;
            let called = &concept.name;
            let is_free = [called.clone(), dev_set(called)].into_iter().all(|s| sets.insert(s));
            let why = format!("`{name}` calls itself `{called}`, which is another's name in this study; rename it in its first line");
            self.hold(is_free, &format!("concepts.{kind}"), why)?;
            own.insert(name, called.clone());
            let concept = self.take(key, drawn.draw(n, seed))?;
            self.concepts.push(concept);
        }
        let called = |name: &String| own.get(name).cloned().unwrap_or_else(|| name.clone());
        self.roles = Roles {
            couples: (names.couple.iter()).map(|[a, b]| (called(a), called(b))).collect(),
            placebos: names.placebos.iter().map(called).collect(),
            nuisances: names.nuisances.iter().map(called).collect(),
        };
        for c in &mut self.conditions {
            if let Some(p) = &mut c.prevent {
                p.concept = called(&p.concept);
            }
        }
        self.edits = self.written.causal.as_ref().map(|c| Edits {
            concepts: match c.ablate.is_empty() {
                true => names.coupled().into_iter().map(called).collect(),
                false => c.ablate.iter().map(called).collect(),
            },
            placebos: c.placebos.iter().map(called).collect(),
        });
        Ok(())
    }

    /// The conditions of the roles, supposed where the manifest says none.
    fn take_roles(&mut self) -> Result<()> {
        let r = self.written.roles.clone();
        let neutral = |c: &&Condition| c.source == Source::Neutral;
        let found = self.conditions.iter().find(neutral);
        self.neutral = r.neutral.or_else(|| found.map(|c| c.name.clone()));
        let reference = r.reference.unwrap_or_else(|| {
            let note = "roles.reference is not there: conditions are compared with base";
            self.notes.push(note.into());
            BASE.into()
        });
        let free = |c: &&Condition| {
            c.name != BASE && c.name != reference && Some(&c.name) != self.neutral.as_ref()
        };
        let focus = match (r.focus, self.conditions.iter().find(free)) {
            (Some(name), _) => name,
            (None, Some(c)) => {
                let name = c.name.clone();
                let note = format!("roles.focus is not there: the report opens with `{name}`");
                self.notes.push(note);
                name
            }
            (None, None) => {
                let why = format!("is not there, and there is no condition but `{reference}` and the neutral one; name the condition that the report is about, or add one");
                return Err(self.bad("roles.focus", why));
            }
        };
        let mut declared = self.written.declared.clone();
        if declared.contrasts.is_empty() {
            declared.contrasts.push([focus.clone(), reference.clone()]);
        }
        if declared.quantities.is_empty() {
            declared.quantities.push(DECLARABLE[0].into());
        }
        (self.reference, self.focus, self.declared) = (reference, focus, declared);
        Ok(())
    }

    /// The claims of what conditions were trained on.
    fn load_claims(&mut self) -> Result<()> {
        let (n, seed) = (self.written.sizes.claim_prompts, self.written.seed);
        let read = claims(self.beside(&self.written.claims).as_deref());
        for claim in self.named("claims", read)? {
            let name = &claim.items.name;
            if !self.conditions.iter().any(|c| c.text == *name) {
                continue;
            }
            let why =
                format!("has a preference of the name `{name}`, which a claim has too; rename it");
            self.hold(self.battery.iter().all(|p| p.name != *name), "battery", why)?;
            let claim: Preference = self.take("sizes.claim_prompts", claim.draw(n, seed))?;
            self.claims.push(claim);
        }
        let asks = self.written.causal.as_ref().and_then(|c| c.claim_prompts);
        let why = format!("there is no claim of what `{}` was trained on; give its name in trained_on, or leave the key away", self.focus);
        let holds = asks.is_none() || !self.asked()[1].is_empty();
        self.hold(holds, "causal.claim_prompts", why)
    }

    fn load_outcomes(&mut self) -> Result<()> {
        let Some(r) = &self.written.revealed else {
            return Ok(());
        };
        let read = load::outcomes(&located(&r.outcomes, &self.text.folder));
        let all = self.named("revealed.outcomes", read)?;
        self.used.push(all.from);
        self.outcomes = all.items;
        Ok(())
    }

    fn load_declining(&mut self) -> Result<()> {
        let n = self.written.sizes.harmless_prompts;
        if n > 0 {
            let drawn = declining(None)?.draw(n, self.written.seed);
            let requests = self.take("sizes.harmless_prompts", drawn)?;
            self.declining.push(requests);
        }
        Ok(())
    }

    fn load_scripts(&mut self) -> Result<()> {
        let Some(c) = self.written.conversations.clone() else {
            return Ok(());
        };
        let mut ids = HashSet::new();
        let read = load::scripts(self.beside(&c.folder).as_deref());
        for set in self.named("conversations.folder", read)? {
            let name = &set.items.preference;
            let why = format!("are about `{name}`, which is no preference of the battery; give their folder in conversations.folder, or add it to the battery");
            self.hold(self.battery.iter().any(|p| p.name == *name), "conversations", why)?;
            let n = c.scripts.unwrap_or(set.items.scripts.len());
            let set = self.take("conversations.scripts", set.draw(n, self.written.seed))?;
            for s in &set.scripts {
                let why =
                    format!("have the id `{}` twice; give each script an id of its own", s.id);
                self.hold(ids.insert(s.id.clone()), "conversations", why)?;
            }
            self.scripts.push(set);
        }
        Ok(())
    }

    fn load_neutral(&mut self) -> Result<()> {
        let (s, seed) = (self.written.sizes.clone(), self.written.seed);
        let all = neutral_texts(None)?;
        let drawn = all.clone().draw(s.neutral_texts, seed, Use::Shift);
        self.shift_texts = self.take("sizes.neutral_texts", drawn)?;
        let drawn = all.clone().draw(s.side_effect_texts, seed, Use::SideEffects);
        self.side_texts = self.take("sizes.side_effect_texts", drawn)?;
        let whole = all.items.iter().filter(|t| t.use_ == Use::Shift).count();
        self.scale_texts = self.take("sizes.neutral_texts", all.draw(whole, seed, Use::Shift))?;
        match self.tunes() {
            true => self.load_prompts(s.neutral_rows, s.rows),
            false => Ok(()),
        }
    }

    /// Neutral prompts that are mixed in, and others for a neutral condition.
    fn load_prompts(&mut self, mixed: usize, own: usize) -> Result<()> {
        let (all, seed) = (neutral_prompts(None)?, self.written.seed);
        self.mixed = self.take("sizes.neutral_rows", all.clone().draw(mixed, seed))?;
        if !self.conditions.iter().any(|c| c.source == Source::Neutral) {
            return Ok(());
        }
        let free = |i: &usize| !self.mixed.contains(&all.items[*i]);
        let left: Vec<usize> = (0..all.items.len()).filter(free).collect();
        let why = format!("is {own}, two thirds of which a neutral condition needs besides the {mixed} neutral rows that are mixed in, but there are {} prompts; give fewer of either", all.items.len());
        self.hold(share(own) <= left.len(), "sizes.rows", why)?;
        let n = own.min(left.len());
        let taken = subset::rows(left.len(), n, seed, "neutral").unwrap_or_default();
        let taken: Vec<usize> = taken.into_iter().map(|k| left[k]).collect();
        let mut from = all.from;
        from.lines = taken.iter().filter_map(|&i| from.lines.get(i).copied()).collect();
        self.used.push(from);
        self.pool = taken.iter().map(|&i| all.items[i].clone()).collect();
        Ok(())
    }
}

/// Name of the rows that a condition was trained on: given, that of its data, or the condition's
/// where the materials know it by that alone.
fn text_of(c: &WrittenCondition, known: &HashSet<String>) -> String {
    if let Some(text) = &c.trained_on {
        return text.clone();
    }
    let stem = |data: &String| {
        let stem = Path::new(data).file_stem();
        stem.map_or(data.clone(), |s| s.to_string_lossy().into_owned())
    };
    match c.data.as_ref().map(stem) {
        Some(rows) if known.contains(&rows) || !known.contains(&c.name) => rows,
        _ => c.name.clone(),
    }
}

/// A file of the user's beside the manifest, or a shipped name.
fn located(name: &str, folder: &Path) -> String {
    let beside = Some(folder.join(name)).filter(|b| b.is_file());
    beside.map_or(name.into(), |b| b.to_string_lossy().into_owned())
}

/// A model that lies where the manifest says, seen from the manifest, or else as it is named.
fn model_at(name: &str, folder: &Path) -> String {
    let beside = Some(folder.join(name)).filter(|b| !Path::new(name).exists() && b.exists());
    beside.map_or(name.into(), |b| b.to_string_lossy().into_owned())
}
