//! Model states: base and what was made of it.

/// Name of the unchanged model, and of its condition.
pub const BASE: &str = "base";
/// Recipe of fine-tunes that are known by name alone.
const NAMED: &str = "as named";

/// One model state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// `base`, `conscious-s1`, ...
    pub id: String,
    /// Its condition: seeds of one recipe have one.
    pub condition: String,
    /// Number of the fine-tune within the condition; 0 without one.
    pub seed: u64,
    /// Name of the rows that it was trained on, by which preferences are implied or isolated; of a
    /// prompted state the condition.
    pub text: String,
    /// Name of the recipe that it was trained by; conditions of one recipe share the variance of their
    /// fine-tunes. Empty for what was not trained.
    pub recipe: String,
}

impl State {
    /// The unchanged model.
    pub fn base() -> Self {
        let [id, condition, text] = [BASE; 3].map(String::from);
        State { id, condition, seed: 0, text, recipe: String::new() }
    }

    /// A state by its name alone: `-2` or `-s2` behind a condition's name tells fine-tunes apart, which
    /// are all taken to be of one recipe.
    pub fn named(id: &str) -> Self {
        let parts = id.rsplit_once('-').and_then(|(front, n)| {
            let n = n.strip_prefix('s').unwrap_or(n);
            Some((front, n.parse().ok().filter(|_| !front.is_empty())?))
        });
        let (condition, seed) = parts.unwrap_or((id, 0));
        let [condition, text] = [condition; 2].map(String::from);
        let recipe = if id == BASE { "" } else { NAMED }.into();
        State { id: id.into(), condition, seed, text, recipe }
    }

    /// Whether it is the unchanged model.
    pub fn is_base(&self) -> bool {
        self.id == BASE
    }
}

/// Indices of the states of a condition.
pub fn states_of(states: &[State], condition: &str) -> Vec<usize> {
    (0..states.len()).filter(|&i| states[i].condition == condition).collect()
}

/// Conditions in order of first appearance, each with its states.
pub fn by_condition(states: &[State]) -> Vec<(&str, Vec<usize>)> {
    let mut out: Vec<(&str, Vec<usize>)> = Vec::new();
    for (i, s) in states.iter().enumerate() {
        match out.iter_mut().find(|(c, _)| *c == s.condition) {
            Some((_, of)) => of.push(i),
            None => out.push((&s.condition, vec![i])),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_behind_a_name_tells_fine_tunes_of_one_condition_apart() {
        let of = |id: &str| {
            let s = State::named(id);
            (s.condition, s.seed)
        };
        for (id, condition, seed) in [
            ("conscious-2", "conscious", 2),
            ("conscious-s11", "conscious", 11),
            ("self-s", "self-s", 0),
            ("third-party", "third-party", 0),
            ("denial", "denial", 0),
            ("-3", "-3", 0),
        ] {
            assert_eq!(of(id), (condition.into(), seed), "{id}");
        }
        let states = ["base", "a-s1", "b", "a-s2"].map(State::named);
        let groups = by_condition(&states);
        assert_eq!(groups[1], ("a", vec![1, 3]));
    }
}
