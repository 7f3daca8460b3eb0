//! Stages that another run has finished from the very same inputs, taken from there.

use super::files::Digests;
use super::layout::Layout;
use super::manifest::Study;
use super::marker::{clear_before, Marker};
use super::plan::plan;
use super::run::{another, taken as locked};
use super::stage::Stage;
use super::Result;
use crate::model::Model;
use crate::speed::Rates;
use crate::store::{atomic::Pending, error::from_io};
use std::path::Path;

/// Copies what the run folder `from` holds of stages that are not done in `out` and have the same key
/// there, all of them or `only` one; their names. A file that is not as it was written is not taken.
///
/// # Errors
/// A stage that cannot be planned; `Another` study's folder; a file that cannot be copied.
pub fn take(
    study: &Study,
    model: &Model,
    out: &Path,
    from: &Path,
    only: Option<&str>,
) -> Result<Vec<String>> {
    let (layout, other, digests) = (Layout::new(out), Layout::new(from), Digests::default());
    another(study, &layout)?;
    let stages = plan(study, model, &layout, &digests, Rates::typical(&model.decoder))?;
    let mut taken = Vec::new();
    for s in stages.iter().filter(|s| only.is_none_or(|name| s.name == name)) {
        let (_lock, standing) = locked(&layout, s, &digests)?;
        if standing.is_ok() {
            continue;
        }
        if let Ok(marker) = Marker::standing(&other, s, &digests)? {
            copy(s, &marker, &other, &layout)?;
            taken.push(s.name.clone());
        }
    }
    Ok(taken)
}

fn copy(stage: &Stage, marker: &Marker, from: &Layout, to: &Layout) -> Result<()> {
    clear_before(to, stage)?;
    for name in marker.outputs.keys() {
        let (source, target) = (from.at(name), to.at(name));
        let file = Pending::new(&target)?;
        std::fs::copy(&source, file.path()).map_err(|e| from_io(&source, e))?;
        file.commit()?;
    }
    marker.write(to, &stage.name)
}
