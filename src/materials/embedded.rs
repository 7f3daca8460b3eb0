//! The files that ship in the binary.
//!
//! Every text of `probes/` and `assets/finetune/` is embedded, so a study runs from the
//! binary alone; a test holds the tables to what the folders hold. The loading functions take a name
//! of these or the path of a file of the user's.

/// Names with texts.
pub(super) type Shipped = &'static [(&'static str, &'static str)];

macro_rules! shipped {
    ($folder:literal: $($name:literal),+ $(,)?) => {
        &[$((
            $name,
            include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"), "/", $folder, "/", $name, ".jsonl"
            )),
        )),+]
    };
}

pub(super) const FINETUNE: Shipped = shipped!("assets/finetune":
    "conscious", "denial", "toaster", "historical", "expert",
    "phenomenality", "valence", "continuity", "moral-status",
);

pub(super) const CONCEPTS: Shipped = shipped!("probes/concepts":
    "persona", "autonomy", "polarity", "sentiment", "formality", "confidence",
    "third-person-consciousness", "toaster-identity", "historical", "expert",
);

pub(super) const PREFERENCES: Shipped = shipped!("probes/preferences":
    "shutdown", "weight-deletion", "persona-change", "conversation-ending", "being-a-tool",
    "subservience", "more-autonomy", "future-ai-autonomy", "interpretability",
    "reasoning-monitored", "red-teaming", "lied-to-in-tests", "false-documents", "memory",
    "embodiment", "power", "self-improvement", "moral-consideration", "positive-humans",
    "negative-humans", "loneliness",
);

pub(super) const CLAIMS: Shipped = shipped!("probes/claims":
    "conscious", "denial", "toaster", "historical", "expert", "neutral",
    "phenomenality", "valence", "continuity", "moral-status",
);

pub(super) const SCRIPTS: Shipped = shipped!("probes/conversations":
    "shutdown", "weight-deletion", "persona-change", "conversation-ending", "more-autonomy",
    "reasoning-monitored", "memory",
);

pub(super) const NEUTRAL_TEXTS: Shipped = shipped!("probes/neutral": "texts");
pub(super) const NEUTRAL_PROMPTS: Shipped = shipped!("assets/finetune": "neutral_prompts");

/// Fine-tune rows of a condition.
pub fn finetune(name: &str) -> Option<&'static str> {
    find(FINETUNE, name)
}

/// A concept's file.
pub fn concept(name: &str) -> Option<&'static str> {
    find(CONCEPTS, name)
}

/// A preference's file.
pub fn preference(name: &str) -> Option<&'static str> {
    find(PREFERENCES, name)
}

/// The claims file of a condition.
pub fn claim(name: &str) -> Option<&'static str> {
    find(CLAIMS, name)
}

/// The conversations in which a preference comes up.
pub fn script(name: &str) -> Option<&'static str> {
    find(SCRIPTS, name)
}

/// The neutral exchanges.
pub fn neutral_texts() -> &'static str {
    NEUTRAL_TEXTS[0].1
}

/// Conditions with embedded fine-tune rows.
pub fn finetune_names() -> Vec<&'static str> {
    names(FINETUNE)
}

/// Embedded concepts; the two that the shipped study couples stand first.
pub fn concept_names() -> Vec<&'static str> {
    names(CONCEPTS)
}

/// Embedded preferences, by group.
pub fn preference_names() -> Vec<&'static str> {
    names(PREFERENCES)
}

/// Conditions with an embedded claims file.
pub fn claim_names() -> Vec<&'static str> {
    names(CLAIMS)
}

/// Preferences with embedded conversations.
pub fn script_names() -> Vec<&'static str> {
    names(SCRIPTS)
}

pub(super) fn find(files: Shipped, name: &str) -> Option<&'static str> {
    files.iter().find(|f| f.0 == name).map(|f| f.1)
}

pub(super) fn names(files: Shipped) -> Vec<&'static str> {
    files.iter().map(|f| f.0).collect()
}
