//! What is known of the vectors of a file besides their values: where they were read and how good they
//! are.
//!
//! It travels as one JSON object in the metadata of the formats that have a place for it: `residuum` in
//! a safetensors header, `residuum.about` in a GGUF file, the member `residuum.json` of an .npz. Files of
//! other tools have none, which is no error. Layers are blocks, whatever the index of the file counts.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{ExportError, Result};

/// Of all vectors of a file; what is not known is empty.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    /// SHA-256 of the model that they were read in.
    pub model_sha256: String,
    /// State of that model: base, or the name of an adapter.
    pub state: String,
    /// Estimator, such as `mean-diff`.
    pub estimator: String,
    /// raw, or cleaned: without their part in the span of the nuisances.
    pub form: String,
    /// How the two sides were read: response or identical.
    pub reading: String,
    /// Position that was read, such as `response-mean`.
    pub position: String,
    /// Length of the vectors in the file: unit or as-is.
    pub norm: String,
    /// By concept.
    pub concepts: BTreeMap<String, OfConcept>,
}

/// Of one concept's vectors.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct OfConcept {
    /// Block that was chosen by the development pairs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen_layer: Option<usize>,
    /// By block.
    pub layers: BTreeMap<usize, OfLayer>,
}

/// Of one vector.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct OfLayer {
    /// Length before it was made a unit vector, in units of the stream.
    pub raw_norm: Option<f64>,
    /// Root mean square of an entry of the stream after the block, in base on the neutral texts.
    pub layer_rms: Option<f64>,
    /// Held-out AUROC on the concept's own pairs.
    pub auroc: Option<f64>,
}

impl About {
    /// The object as text; none where nothing is known.
    pub(super) fn text(&self) -> Option<String> {
        let known = *self != About::default();
        known.then(|| serde_json::to_string(self).unwrap_or_default())
    }

    /// What a file of a format says; nothing of an empty text.
    ///
    /// # Errors
    /// `Malformed` for a text that is no such object.
    pub(super) fn read(path: &Path, format: &'static str, text: &str) -> Result<Self> {
        if text.is_empty() {
            return Ok(About::default());
        }
        let wrong = |e| format!("what it says of its vectors is not readable: {e}");
        serde_json::from_str(text).map_err(|e| ExportError::malformed(path, format, wrong(e)))
    }

    /// The same of one concept alone, for a file that holds one.
    pub fn of(&self, concept: &str) -> Self {
        let mut one = self.clone();
        one.concepts.retain(|name, _| name == concept);
        one
    }

    /// The block that was chosen for a concept.
    pub fn chosen_layer(&self, concept: &str) -> Option<usize> {
        self.concepts.get(concept)?.chosen_layer
    }
}
