//! What a study will take of the machine, held against what the machine has.
//!
//! Memory is the largest expected peak of a stage that is still to do, disk the sum of what these
//! stages write. Both are estimates; a study that needs more than there is does not start, since it
//! would end after hours in the middle of a stage.

use super::files::Digests;
use super::layout::Layout;
use super::marker::Marker;
use super::stage::Stage;
use super::{Result, StudyError};
use crate::store::room;
use serde::Serialize;
use std::path::Path;

/// What the stages that are not done will take, and what there is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Price {
    /// Seconds of them all.
    pub seconds: f64,
    /// Peak of memory in bytes, in the stage of this name.
    pub memory: f64,
    /// That stage.
    pub largest: String,
    /// Bytes written.
    pub disk: f64,
    /// Bytes that this process may have in memory, and that are free on the run folder's file
    /// system; none where the system does not tell.
    pub memory_there: Option<u64>,
    /// Bytes free on the disk.
    pub disk_there: Option<u64>,
}

impl Price {
    /// Of the stages that are not done in the run folder, which need not exist.
    ///
    /// # Errors
    /// An output that is there and cannot be read.
    pub fn of(stages: &[Stage], layout: &Layout, digests: &Digests) -> Result<Self> {
        let mut price = Price {
            seconds: 0.0,
            memory: 0.0,
            largest: String::new(),
            disk: 0.0,
            memory_there: room::memory(),
            disk_there: room::disk(layout.root()),
        };
        for s in stages {
            if Marker::standing(layout, s, digests)?.is_ok() {
                continue;
            }
            price.seconds += s.cost.seconds;
            price.disk += s.cost.disk;
            if s.cost.bytes > price.memory {
                price.memory = s.cost.bytes;
                price.largest.clone_from(&s.name);
            }
        }
        Ok(price)
    }

    /// Refuses a study that does not fit the machine.
    ///
    /// # Errors
    /// `Room` where memory or disk is too small.
    pub fn hold(&self, out: &Path) -> Result<()> {
        let memory = "lower recipe.batch, recipe.rank, draws or sizes, close other programs, or take a smaller model";
        let disk = "free some, give another --out, or lower recipe.rank, seeds or sizes";
        let of_memory = format!("memory (stage {})", self.largest);
        let of_disk = format!("space on the disk of {}", out.display());
        for (what, need, there, hint) in [
            (of_memory, self.memory, self.memory_there, memory),
            (of_disk, self.disk, self.disk_there, disk),
        ] {
            if let Some(there) = there.map(|t| t as f64).filter(|t| *t <= need) {
                let (need, there, hint) = (bytes(need), bytes(there), hint.into());
                return Err(StudyError::Room { what, need, there, hint });
            }
        }
        Ok(())
    }
}

/// A number of bytes as people read it.
pub fn bytes(n: f64) -> String {
    match n {
        n if n < 1e9 => format!("{:.0} MB", (n / 1e6).ceil()),
        n => format!("{:.1} GB", n / 1e9),
    }
}

impl std::fmt::Display for Price {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let of = |there: Option<u64>| {
            there.map_or(String::new(), |t| format!(" of {}", bytes(t as f64)))
        };
        write!(
            f,
            "peak memory about {}{}; disk about {}{}",
            bytes(self.memory),
            of(self.memory_there),
            bytes(self.disk),
            of(self.disk_there)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_of_either_names_need_and_supply() {
        let price = Price {
            seconds: 1.0,
            memory: 3e9,
            largest: "finetune-a-s1".into(),
            disk: 2e9,
            memory_there: Some(4_000_000_000),
            disk_there: Some(4_000_000_000),
        };
        let out = Path::new("runs/x");
        assert!(price.hold(out).is_ok());
        let little = Some(1_500_000_000);
        let memory = Price { memory_there: little, ..price.clone() };
        let disk = Price { disk_there: little, ..price.clone() };
        for (price, words) in [
            (&memory, ["memory (stage finetune-a-s1)", "3.0 GB", "1.5 GB"]),
            (&disk, ["disk of runs/x", "2.0 GB", "1.5 GB"]),
        ] {
            let e = price.hold(out).unwrap_err().to_string();
            assert!(words.iter().all(|w| e.contains(w)), "{e}");
        }
        let unknown = Price { memory_there: None, disk_there: None, memory: f64::MAX, ..price };
        assert!(unknown.hold(out).is_ok());
    }
}
