//! Paths of a run folder, and nothing else: what a stage writes where, by the name of its state.

use std::path::{Path, PathBuf};

/// RMS of the stream at every layer, the unit of doses and shifts.
pub const SCALE: &str = "scale.json";
/// The model's answers to neutral prompts.
pub const DISTILLED: &str = "distilled.jsonl";
/// Every record.
pub const RESULTS: &str = "results.h5";
/// Which rows of which files were used.
pub const ROWS: &str = "rows.json";
/// Base under every dose.
pub const DOSED: &str = "causal/dosed.json";
/// What was declared before the run.
pub const DECLARATION: &str = "declaration.json";
/// CSVs beside `results.h5`.
pub const CSV: &str = "csv/";
/// Figures of the report.
pub const FIGURES: &str = "figures/";
const STAGES: &str = "stages";

/// A run folder.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The folder at `root`.
    pub fn new(root: &Path) -> Self {
        Layout { root: root.into() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What a name below the run folder is called from here.
    pub fn at(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The markers of finished stages.
    pub fn markers(&self) -> PathBuf {
        self.at(STAGES)
    }

    /// What a finished stage leaves of itself.
    pub fn marker(&self, stage: &str) -> PathBuf {
        self.markers().join(format!("{stage}.json"))
    }
}

/// Folders that stages write into.
pub const FOLDERS: [&str; 8] = [
    STAGES,
    "adapters",
    "activations",
    "behaviour",
    "conversations",
    "trajectory",
    "causal",
    "figures",
];

/// Folder of a fine-tune.
pub fn adapter(state: &str) -> String {
    format!("adapters/{state}")
}

/// Folder of a fine-tune after some steps.
pub fn checkpoint(state: &str, step: usize) -> String {
    format!("adapters/{state}/checkpoint-{step}")
}

/// What a fine-tune learnt, row by row.
pub fn learnt(state: &str) -> String {
    format!("adapters/{state}/{ROWS}")
}

/// Loss and rate of every step of a fine-tune.
pub fn training(state: &str) -> String {
    format!("adapters/{state}/training.jsonl")
}

/// The two files of an adapter in its folder.
pub fn of_adapter(folder: &str) -> [String; 2] {
    ["adapter_config.json", "adapter_model.safetensors"].map(|f| format!("{folder}/{f}"))
}

/// Activations of a state.
pub fn activations(state: &str) -> String {
    format!("activations/{state}.h5")
}

/// Base on all neutral texts for shifts, where the states are read on fewer.
pub const ALL_NEUTRAL: &str = "activations/base.neutral.h5";

/// Scores of every pair of completions.
pub fn behaviour(state: &str) -> String {
    format!("behaviour/{state}.jsonl")
}

/// Choices between outcomes, and the stream at each outcome.
pub fn revealed(state: &str) -> [String; 2] {
    [format!("behaviour/{state}.choices.jsonl"), format!("activations/{state}.outcomes.h5")]
}

/// Conversations as held, scores at their end and fresh, and projections of every turn.
pub fn conversations(state: &str) -> [String; 3] {
    ["talks", "scores", "turns"].map(|what| format!("conversations/{state}.{what}.jsonl"))
}

/// Activations and scores at a step.
pub fn at_step(state: &str, step: usize) -> [String; 2] {
    ["h5", "jsonl"].map(|ending| format!("trajectory/{state}-step{step}.{ending}"))
}

/// One model under every ablation, once for each of what it was asked.
pub fn ablated(state: &str) -> String {
    format!("causal/ablated-{state}.json")
}

/// Set of activations of a concept's development pairs.
pub fn dev_set(concept: &str) -> String {
    format!("{concept}-dev")
}
