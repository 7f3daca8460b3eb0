//! Which layers a command looks at.
//!
//! `all`, a list of block numbers, or `third`: the blocks at 1/3 and 4/5 of the depth, which are
//! fixed before any data is seen, so that nothing is chosen on what is reported.

use anyhow::{bail, Result};
use std::{collections::BTreeSet, str::FromStr};

/// A choice of layers, before the model's depth is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layers {
    All,
    Third,
    List(Vec<usize>),
}

impl FromStr for Layers {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let list =
            || s.split(',').map(|p| p.trim().parse()).collect::<Result<BTreeSet<usize>, _>>();
        match s {
            "all" => Ok(Layers::All),
            "third" => Ok(Layers::Third),
            _ => list()
                .map(|list| Layers::List(list.into_iter().collect()))
                .map_err(|_| "write `all`, `third` or block numbers such as 0,5,10".into()),
        }
    }
}

/// Blocks at which a direction acts: those of [`Layers`], or the one that was chosen for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acting {
    Chosen,
    At(Layers),
}

impl FromStr for Acting {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "chosen" => Ok(Acting::Chosen),
            _ => s.parse().map(Acting::At).map_err(|_| {
                "write `chosen`, `all`, `third` or block numbers such as 0,5,10".into()
            }),
        }
    }
}

/// The blocks at 1/3 and 4/5 of a depth.
pub fn reported(depth: usize) -> Vec<usize> {
    let last = depth.saturating_sub(1);
    let mut both = vec![(depth / 3).min(last), (depth * 4 / 5).min(last)];
    both.dedup();
    both
}

impl Layers {
    /// Block numbers for a model of `depth` blocks, increasing.
    ///
    /// # Errors
    /// A block that the model does not have.
    pub fn of(&self, depth: usize) -> Result<Vec<usize>> {
        match self {
            Layers::All => Ok((0..depth).collect()),
            Layers::Third => Ok(reported(depth)),
            Layers::List(list) => match list.iter().find(|l| **l >= depth) {
                None => Ok(list.clone()),
                Some(l) => {
                    let last = depth.saturating_sub(1);
                    bail!("layer {l} does not exist; the model has blocks 0 to {last}")
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirds_are_fixed_by_depth_and_lists_are_sorted() {
        assert_eq!(Layers::Third.of(30).unwrap(), [10, 24]);
        assert_eq!(Layers::Third.of(1).unwrap(), [0]);
        let list: Layers = "5,0,5".parse().unwrap();
        assert_eq!(list.of(6).unwrap(), [0, 5]);
        assert!(list.of(5).unwrap_err().to_string().contains("layer 5"));
        assert!("5,x".parse::<Layers>().is_err());
    }
}
