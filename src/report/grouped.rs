//! Warnings by what they advise: one entry for many that differ in a state, a layer or a number.

use serde::Serialize;
use std::collections::HashMap;

/// Warnings of one kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WarningGroup {
    /// How many there are.
    pub n: usize,
    /// The first of them, as it is.
    pub first: String,
    /// What all of them say; empty for a single one.
    pub advice: String,
}

/// Groups in order of their size, equals in order of appearance. What a warning advises stands behind its
/// last colon; names and numbers stand before it.
pub fn grouped(warnings: &[String]) -> Vec<WarningGroup> {
    let mut groups: Vec<WarningGroup> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for warning in warnings {
        let advice = warning.rsplit_once(": ").map_or(warning.as_str(), |(_, advice)| advice);
        match places.get(advice) {
            Some(&at) => {
                groups[at].n += 1;
                groups[at].advice = advice.into();
            }
            None => {
                places.insert(advice, groups.len());
                let (first, advice) = (warning.clone(), String::new());
                groups.push(WarningGroup { n: 1, first, advice });
            }
        }
    }
    groups.sort_by_key(|g| std::cmp::Reverse(g.n));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_of_one_advice_are_counted_and_none_is_lost() {
        let all = ["base: alone", "a, layer 1: n is 2: add pairs", "b, layer 2: n is 3: add pairs"];
        let all: Vec<String> = all.map(str::to_owned).to_vec();
        let groups = grouped(&all);
        assert_eq!(groups.iter().map(|g| g.n).sum::<usize>(), all.len());
        assert_eq!((groups[0].n, &*groups[0].advice, &groups[0].first), (2, "add pairs", &all[1]));
        assert_eq!((groups[1].n, &*groups[1].advice), (1, ""));
    }
}
