//! A study held against its model before anything is computed.
//!
//! Layers, adapters and texts: whatever a stage would stumble over after hours is found here in
//! seconds. Models of `model =` conditions are loaded whole and last, since that costs the most.

use super::manifest::{Source, Study};
use super::renders::{self, Rendered};
use super::Result;
use crate::model::{Adapter, Model};

/// Refuses a study that does not fit the model. Returns what its texts come to.
///
/// # Errors
/// A layer or adapter that does not fit the model; a text as in [`renders::hold`].
pub fn hold(study: &Study, model: &Model) -> Result<Rendered> {
    layers(study, model)?;
    for c in &study.conditions {
        if let Source::Adapter(folder) = &c.source {
            Adapter::read(folder, &model.decoder)?;
        }
    }
    renders::hold(study, model)
}

/// Every layer that is named exists.
fn layers(study: &Study, model: &Model) -> Result<()> {
    let n = model.decoder.layers();
    let hold = |key: &str, layers: &[usize]| match layers.iter().find(|l| **l >= n) {
        None => Ok(()),
        Some(l) => {
            let (id, last) = (&model.id, n.saturating_sub(1));
            let why =
                format!("names layer {l}, but {id} has {n}, counted from 0; the last is {last}");
            Err(study.bad(key, why))
        }
    };
    hold("layers", study.written.layers.as_deref().unwrap_or_default())?;
    hold("declared.layers", &study.declared.layers)?;
    for c in &study.conditions {
        if let Some(p) = &c.prevent {
            hold(&format!("condition.{}.prevent.layers", c.name), &p.layers)?;
        }
    }
    Ok(())
}

/// Every model of a condition can stand in for the study's: same shape, and the same ids for its
/// texts, which are rendered and encoded once for all.
///
/// # Errors
/// A model that cannot be fetched or loaded; `Key` for one of another shape or tokenizer; a text
/// that a template refuses.
pub fn hold_models(study: &Study, model: &Model) -> Result<()> {
    for c in &study.conditions {
        let Source::Model { name, at } = &c.source else {
            continue;
        };
        let path = crate::model::resolve::resolve(at, &mut |_| ())?;
        let other = Model::load(name, &path, &model.loading())?;
        let key = format!("condition.{}.model", c.name);
        let (got, want) = (&other.decoder.config, &model.decoder.config);
        for (what, got, want) in [
            ("layers", got.layers, want.layers),
            ("dimensions", got.hidden, want.hidden),
            ("tokens of vocabulary", got.vocab, want.vocab),
        ] {
            // Rows of the embedding that no token has are often added.
            let fits = got == want || (got > want && what == "tokens of vocabulary");
            let why = format!("`{name}` has {got} {what}, {} has {want}; a condition must be of the study's model", model.id);
            study.hold(fits, &key, why)?;
        }
        if let Some(text) = renders::differing(study, model, &other)? {
            let why = format!("`{name}` encodes {text:?} into other tokens than {}; a condition must have the tokenizer of the study's model", model.id);
            return Err(study.bad(&key, why));
        }
    }
    Ok(())
}
