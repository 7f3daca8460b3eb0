//! Figures of a results file, some of them, of some of its states and layers, at a chosen size.
//!
//! They are those of the report, made by the same functions from the same records. A choice of states and
//! layers leaves out rows and computes nothing anew: a mean over conditions stays what it is.

use super::opened::Opened;
use super::{draw, ReportError};
use crate::analysis::records::{distinct, Results};
use crate::analysis::BASE;
use crate::figures::{Output, Written};
use crate::store::Values;
use std::path::{Path, PathBuf};

/// Most layers that are named for figures which show one layer a panel.
const FEW: usize = 4;

/// What is to be drawn of a results file.
pub struct Plot {
    path: PathBuf,
    records: Results,
    /// Of the whole file, so that a choice changes no colour.
    palettes: draw::Palettes,
}

impl Plot {
    /// All that a file holds.
    ///
    /// # Errors
    /// A file that is no results file of this version.
    pub fn open(path: &Path) -> Result<Self, ReportError> {
        let records = Opened::at(path)?.results;
        let palettes = draw::Palettes::of(&records);
        Ok(Plot { path: path.into(), records, palettes })
    }

    /// Keeps the rows of base and of some conditions, or of single states of them.
    ///
    /// # Errors
    /// A name that the file lacks.
    pub fn states(mut self, names: &[String]) -> Result<Self, ReportError> {
        let r = &self.records;
        let mut known = distinct(
            (r.conditions.iter().map(|c| c.condition.clone()))
                .chain(r.tuned().into_iter().map(str::to_owned))
                .chain(r.states.iter().map(|s| s.state.clone()))
                .chain(r.quality.iter().map(|q| q.state.clone())),
        );
        known.retain(|name| name != BASE);
        self.all_known("state", names, &known)?;
        let mut wanted: Vec<String> = names.to_vec();
        wanted.push(BASE.into());
        let of_wanted = r.states.iter().filter(|s| names.contains(&s.condition));
        let states: Vec<String> =
            of_wanted.map(|s| s.state.clone()).chain(wanted.clone()).collect();
        let one_of = |list: &[String], cells: &Values, i: usize| match cells {
            Values::Text(all) => all[i].is_empty() || list.contains(&all[i]),
            _ => true,
        };
        // The condition of a single state stays known by its own rows alone.
        let whole: Vec<String> = (r.states.iter().filter(|s| wanted.contains(&s.state)))
            .map(|s| s.condition.clone())
            .chain(wanted.clone())
            .collect();
        self.records.keep("state", |cells, i| one_of(&states, cells, i));
        // Roles stay what they are.
        let conditions = std::mem::take(&mut self.records.conditions);
        self.records.keep("condition", |cells, i| one_of(&whole, cells, i));
        self.records.keep("set", |cells, i| one_of(&wanted, cells, i));
        self.records.conditions = conditions;
        Ok(self)
    }

    /// Keeps the rows of some layers; a few become those that figures of one layer a panel show.
    ///
    /// # Errors
    /// A layer that the file lacks.
    pub fn layers(mut self, layers: &[usize]) -> Result<Self, ReportError> {
        let as_text = |l: &usize| l.to_string();
        let known: Vec<String> = self.records.all_layers().iter().map(as_text).collect();
        let names: Vec<String> = layers.iter().map(as_text).collect();
        self.all_known("layer", &names, &known)?;
        self.records.keep("layer", |cells, i| match cells {
            Values::Int(all) => layers.iter().any(|l| *l as i64 == all[i]),
            Values::Real(all) => all[i].is_nan() || layers.iter().any(|l| *l as f64 == all[i]),
            Values::Text(_) => true,
        });
        if layers.len() <= FEW {
            self.records.layers.iter_mut().for_each(|l| l.reported = true);
        }
        Ok(self)
    }

    /// Names of the figures that can be drawn, of those that are wanted.
    ///
    /// # Errors
    /// A name that is no figure of the file; records that cannot be drawn.
    pub fn names(&self, out: &Output) -> Result<Vec<String>, ReportError> {
        let none = Output { figures: Some(Vec::new()), ..out.clone() };
        let all = draw::all(&self.records, &self.palettes, &none)?.into_iter().map(|w| w.name);
        let all: Vec<String> = all.collect();
        for name in out.figures.iter().flatten() {
            let alone = Output { figures: Some(vec![name.clone()]), ..out.clone() };
            if !all.iter().any(|n| alone.wants(n)) {
                return Err(self.unknown("figure", name, &all));
            }
        }
        Ok(all.into_iter().filter(|n| out.wants(n)).collect())
    }

    /// Draws what is wanted.
    ///
    /// # Errors
    /// Records that cannot be drawn, a folder that cannot be written.
    pub fn draw(&self, out: &Output) -> Result<Vec<Written>, ReportError> {
        let mut made = draw::all(&self.records, &self.palettes, out)?;
        made.retain(|w| !w.files.is_empty());
        Ok(made)
    }

    fn all_known(
        &self,
        what: &'static str,
        names: &[String],
        known: &[String],
    ) -> Result<(), ReportError> {
        let missing = names.iter().find(|n| !known.contains(n));
        missing.map_or(Ok(()), |name| Err(self.unknown(what, name, known)))
    }

    fn unknown(&self, what: &'static str, name: &str, known: &[String]) -> ReportError {
        let known = match known.is_empty() {
            true => "none".into(),
            false => known.join(", "),
        };
        ReportError::Unknown { path: self.path.clone(), what, name: name.into(), known }
    }
}
