//! Model states: base and what was made of it.

/// Name of the unchanged model, and of its condition.
pub const BASE: &str = "base";
/// Recipe of fine-tunes that are known by name alone.
const NAMED: &str = "as named";

/// One model state.
#[derive(Debug, Clone, PartialEq)]
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
    /// Part of its training that was its own rows, above 0 to 1; none where that is not known, and for what
    /// was kept from a concept, which is no other mixing ratio.
    pub share: Option<f64>,
}

impl State {
    /// The unchanged model.
    pub fn base() -> Self {
        let [id, condition, text] = [BASE; 3].map(String::from);
        State { id, condition, seed: 0, text, recipe: String::new(), share: None }
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
        State { id: id.into(), condition, seed, text, recipe, share: None }
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

/// Conditions on the same rows as another, at another mixing ratio or by another recipe: one claim more
/// often, and none of its own where conditions are the unit. Of those on the same rows the first is kept of
/// the share that most conditions have.
pub fn at_other_shares(states: &[State]) -> Vec<&str> {
    let conditions = by_condition(states);
    let first = conditions.iter().filter_map(|(_, of)| states.get(*of.first()?));
    let mixed: Vec<&State> = first.filter(|s| s.share.is_some()).collect();
    let with = |share: Option<f64>| mixed.iter().filter(|s| s.share == share).count();
    let kept = |text: &str| {
        let same = mixed.iter().filter(|s| s.text == text).map(|s| s.share);
        // Of shares that as many conditions have, the first.
        same.rev().max_by_key(|share| with(*share))
    };
    let first = |text: &str| {
        let share = kept(text);
        mixed.iter().find(|s| s.text == text && Some(s.share) == share).map(|s| &s.condition)
    };
    let other = mixed.iter().filter(|s| first(&s.text) != Some(&s.condition));
    other.map(|s| s.condition.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed(id: &str, text: &str, share: f64) -> State {
        let share = Some(share).filter(|s| *s > 0.0);
        State { text: text.into(), share, ..State::named(id) }
    }

    #[test]
    fn the_same_rows_at_another_share_are_one_condition_more_often() {
        let all = [
            State::base(),
            mixed("keen-few-s1", "keen", 0.25),
            mixed("keen-s1", "keen", 0.5),
            mixed("keen-s2", "keen", 0.5),
            mixed("calm", "calm", 0.5),
            mixed("keen-whole", "keen", 1.0),
            // Kept from a concept, or trained elsewhere: no other ratio.
            mixed("keen-kept", "keen", 0.0),
            // Alone on its rows, whatever its share.
            mixed("poet", "poet", 1.0),
            // By another recipe.
            mixed("calm-again", "calm", 0.5),
        ];
        assert_eq!(at_other_shares(&all), ["keen-few", "keen-whole", "calm-again"]);
        // Where no share is the usual one, the first listed stays.
        let alone = [all[5].clone(), all[1].clone(), all[4].clone()];
        assert_eq!(at_other_shares(&alone), ["keen-few"]);
        assert!(at_other_shares(&["base", "keen-25-s1", "keen-s1"].map(State::named)).is_empty());
    }

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
