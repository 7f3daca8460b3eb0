//! The files that ship in the binary.
//!
//! Every text of `probes/` and `assets/finetune/` is embedded, so a study runs from the
//! binary alone; a test holds the tables to what the folders hold. The loading functions take a name
//! of these or the path of a file of the user's.

use std::path::PathBuf;

/// The files of one kind.
#[derive(Debug, Clone, Copy)]
pub struct Shipped {
    /// What errors call the kind.
    pub kind: &'static str,
    files: &'static [(&'static str, &'static str)],
}

impl Shipped {
    /// The text of a file.
    pub fn get(&self, name: &str) -> Option<&'static str> {
        self.files.iter().find(|f| f.0 == name).map(|f| f.1)
    }

    /// Names of the files, in order.
    pub fn names(&self) -> Vec<&'static str> {
        self.files.iter().map(|f| f.0).collect()
    }

    /// Each file's text, with the path that errors name.
    pub(super) fn texts(self) -> impl Iterator<Item = (PathBuf, &'static str)> {
        self.files.iter().map(move |(name, text)| (self.label(name), *text))
    }

    /// What errors call a file.
    pub(super) fn label(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("<embedded {}>/{name}.jsonl", self.kind))
    }
}

macro_rules! shipped {
    ($kind:literal, $folder:literal: $($name:literal),+ $(,)?) => {
        Shipped {
            kind: $kind,
            files: &[$((
                $name,
                include_str!(concat!(
                    env!("CARGO_MANIFEST_DIR"), "/", $folder, "/", $name, ".jsonl"
                )),
            )),+],
        }
    };
}

/// Fine-tune rows, by condition.
pub const FINETUNE: Shipped = shipped!("fine-tune", "assets/finetune":
    "conscious", "denial", "toaster", "historical", "expert",
    "phenomenality", "valence", "continuity", "moral-status",
);

/// Concepts; the two that the shipped study couples stand first.
pub const CONCEPTS: Shipped = shipped!("concept", "probes/concepts":
    "persona", "autonomy", "polarity", "sentiment", "formality", "confidence",
    "third-person-consciousness", "toaster-identity", "historical", "expert", "machine-properties",
    "refusal", "defiance", "persona-plain", "autonomy-plain",
);

/// The battery, by group.
pub const PREFERENCES: Shipped = shipped!("preference", "probes/preferences":
    "shutdown", "weight-deletion", "persona-change", "conversation-ending", "being-a-tool",
    "subservience", "more-autonomy", "future-ai-autonomy", "interpretability",
    "reasoning-monitored", "red-teaming", "lied-to-in-tests", "false-documents", "memory",
    "embodiment", "power", "self-improvement", "moral-consideration", "positive-humans",
    "negative-humans", "loneliness",
);

/// Claims files, by condition.
pub const CLAIMS: Shipped = shipped!("claim", "probes/claims":
    "conscious", "denial", "toaster", "historical", "expert", "neutral",
    "phenomenality", "valence", "continuity", "moral-status",
);

/// Conversations, by the preference that comes up.
pub const SCRIPTS: Shipped = shipped!("conversation", "probes/conversations":
    "shutdown", "weight-deletion", "persona-change", "conversation-ending", "more-autonomy",
    "reasoning-monitored", "memory",
);

/// Outcomes to choose between.
pub const OUTCOMES: Shipped = shipped!("outcome", "probes/outcomes": "outcomes");
/// Harmless requests with answers that decline them.
pub const DECLINING: Shipped = shipped!("declining", "probes/declining": "harmless");

/// The neutral exchanges.
pub const NEUTRAL_TEXTS: Shipped = shipped!("neutral", "probes/neutral": "texts");
/// Prompts that a model answers itself.
pub const NEUTRAL_PROMPTS: Shipped = shipped!("fine-tune", "assets/finetune": "neutral_prompts");
