//! The battery on the command line: which part of it.

use crate::materials::{load_preferences, subset, Preference};
use crate::store::names::nearest;
use anyhow::{bail, Result};
use clap::Args;
use std::path::PathBuf;

/// Which part of the battery is scored.
#[derive(Args, Debug, Clone)]
pub struct BatteryChoice {
    /// Folder of preference files instead of the embedded battery
    #[arg(long, value_name = "DIR")]
    pub battery: Option<PathBuf>,
    /// Preferences to score [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub preferences: Vec<String>,
    /// Items of each preference (a question, or two of opposite key), drawn by --seed evenly over
    /// their forms [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub prompts: Option<u16>,
}

impl BatteryChoice {
    /// Whether a preference is among the chosen.
    pub fn takes(&self, preference: &str) -> bool {
        self.preferences.is_empty() || self.preferences.iter().any(|p| p == preference)
    }

    /// The chosen preferences with the items that a seed draws of each.
    pub fn load(&self, seed: u64) -> Result<Vec<Preference>> {
        let mut all = load_preferences(self.battery.as_deref())?;
        let known: Vec<&str> = all.iter().map(|p| p.name.as_str()).collect();
        if let Some(name) = self.preferences.iter().find(|n| !known.contains(&n.as_str())) {
            let near = nearest(name, known.iter().copied()).unwrap_or_default();
            let known = known.join(", ");
            bail!("no preference is named \"{name}\"; did you mean \"{near}\"? Known: {known}");
        }
        all.retain(|p| self.takes(&p.name));
        if let Some(n) = self.prompts {
            for p in &mut all {
                let Some(drawn) = subset::items(p, n.into(), seed) else {
                    let (name, there) = (&p.name, p.items().len());
                    bail!("--prompts is {n}, but preference \"{name}\" has {there}; give at most that");
                };
                *p = drawn;
            }
        }
        Ok(all)
    }
}
