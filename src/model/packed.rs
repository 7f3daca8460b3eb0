//! Texts laid end to end as a forest of shared prefixes.
//!
//! A batch has one row for every distinct (prefix, token): texts that begin alike share the rows
//! of what they share, and each text is a path of row ranges from a root to its end. Attention
//! reads the same forest, so a prefix is computed once and no row is padding. A text's numbers do
//! not depend on what else is in the batch beyond rounding (tested to 1e-5). Texts given with the
//! roles of their tokens share a row only where the roles agree too.

use super::places::{extended, Places};
use super::tokenizer::{Role, Tokens};
use crate::ops::attention::{Forest, Segment};
use std::borrow::Borrow;
use std::ops::Range;
use std::sync::Arc;

/// One batch: its tokens and how the given texts run through them.
#[derive(Debug, Clone)]
pub struct Packed {
    /// Token of every row, `(N)`.
    pub tokens: Vec<u32>,
    /// Runs of rows, and which earlier rows each sees.
    pub forest: Arc<Forest>,
    /// Where every row stands.
    pub places: Arc<Places>,
    /// For each text the row ranges that spell it, in order.
    paths: Vec<Vec<Range<usize>>>,
}

impl Packed {
    /// Lays out bare ids; identical texts share all rows. Empty texts have no rows.
    pub fn new<T: AsRef<[u32]>>(texts: &[T]) -> Self {
        Self::laid(texts, |key| (key, None))
    }

    /// Lays out texts with the role of every token, for edits that are limited to roles. The rows
    /// are those of [`Packed::new`] where texts that begin alike have the same roles.
    pub fn of<T: Borrow<Tokens>>(texts: &[T]) -> Self {
        // The role in the low bits, so that the order of texts is that of their ids.
        let key = |(id, role): (&u32, &Role)| id << ROLE_BITS | *role as u32;
        let spelled = |t: &Tokens| t.ids.iter().zip(&t.roles).map(key).collect();
        let keys: Vec<Vec<u32>> = texts.iter().map(|t| spelled(t.borrow())).collect();
        let role = |key: u32| ROLES[key as usize % (1 << ROLE_BITS)];
        Self::laid(&keys, |key| (key >> ROLE_BITS, Some(role(key))))
    }

    fn laid<T: AsRef<[u32]>>(texts: &[T], of_key: impl Fn(u32) -> (u32, Option<Role>)) -> Self {
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by(|&a, &b| texts[a].as_ref().cmp(texts[b].as_ref()));
        let mut packed = Layout { paths: vec![Vec::new(); texts.len()], ..Layout::default() };
        let sorted: Vec<&[u32]> = order.iter().map(|&i| texts[i].as_ref()).collect();
        packed.grow(&sorted, &order, 0, &[]);
        let (tokens, roles): (Vec<u32>, Vec<Option<Role>>) =
            packed.keys.iter().map(|&k| of_key(k)).unzip();
        let mut prefixes = vec![0; tokens.len()];
        for s in &packed.segments {
            let mut prefix = s.context.last().map_or(0, |r| prefixes[r.end - 1]);
            for row in s.rows.clone() {
                prefix = extended(prefix, tokens[row]);
                prefixes[row] = prefix;
            }
        }
        let Layout { positions, segments, paths, .. } = packed;
        let roles = roles.into_iter().collect();
        let places = Arc::new(Places { positions: positions.clone(), roles, prefixes });
        Packed { tokens, places, paths, forest: Arc::new(Forest { segments, positions }) }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.tokens.len()
    }

    /// Number of texts.
    pub fn texts(&self) -> usize {
        self.paths.len()
    }

    /// Row of each token of text `i`.
    pub fn path(&self, i: usize) -> Vec<usize> {
        self.paths[i].iter().cloned().flatten().collect()
    }

    /// Row ranges of text `i`.
    pub fn ranges(&self, i: usize) -> &[Range<usize>] {
        &self.paths[i]
    }
}

/// Bits of a row's key that hold its role.
const ROLE_BITS: u32 = 3;

/// Roles by their place in a key.
const ROLES: [Role; 1 << ROLE_BITS] = {
    use Role::*;
    [Template, System, User, Assistant, Response, Text, Text, Text]
};

#[derive(Default)]
struct Layout {
    keys: Vec<u32>,
    positions: Vec<u32>,
    segments: Vec<Segment>,
    paths: Vec<Vec<Range<usize>>>,
}

impl Layout {
    /// Lays out the sorted texts from depth `at` on, below the rows `context`.
    fn grow(&mut self, texts: &[&[u32]], ids: &[usize], at: usize, context: &[Range<usize>]) {
        let mut from = texts.iter().take_while(|t| t.len() == at).count();
        while from < texts.len() {
            let head = texts[from][at];
            let to = from + texts[from..].iter().take_while(|t| t[at] == head).count();
            // Sorted, so what the first and the last share, all share.
            let (first, last) = (texts[from], texts[to - 1]);
            let shared = first[at..].iter().zip(&last[at..]).take_while(|(a, b)| a == b);
            let end = at + shared.count();
            let rows = self.keys.len()..self.keys.len() + end - at;
            self.keys.extend_from_slice(&first[at..end]);
            self.positions.extend((at..end).map(|p| p as u32));
            self.segments.push(Segment { rows: rows.clone(), context: context.to_vec() });
            for &id in &ids[from..to] {
                self.paths[id].push(rows.clone());
            }
            let mut below = context.to_vec();
            below.push(rows);
            self.grow(&texts[from..to], &ids[from..to], end, &below);
            from = to;
        }
    }
}

/// Texts in the batches of [`plan`]: which texts each has, and how it is laid out.
pub fn batches(texts: &[Tokens], budget: usize) -> impl Iterator<Item = (Vec<usize>, Packed)> + '_ {
    let ids: Vec<&[u32]> = texts.iter().map(|t| t.ids.as_slice()).collect();
    plan(&ids, budget).into_iter().map(|batch| {
        let packed = Packed::of(&batch.iter().map(|&i| &texts[i]).collect::<Vec<_>>());
        (batch, packed)
    })
}

/// Groups texts into batches of at most `budget` rows each (a longer text stands alone), in an
/// order that puts texts with a common beginning together. Returns indices into `texts`.
pub fn plan<T: AsRef<[u32]>>(texts: &[T], budget: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by(|&a, &b| texts[a].as_ref().cmp(texts[b].as_ref()));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let (mut batch, mut rows) = (Vec::new(), 0);
    let mut previous: &[u32] = &[];
    for i in order {
        let text = texts[i].as_ref();
        let shared = previous.iter().zip(text).take_while(|(a, b)| a == b).count();
        let fresh = text.len() - shared;
        if !batch.is_empty() && rows + fresh > budget {
            batches.push(std::mem::take(&mut batch));
            rows = 0;
        }
        rows += if batch.is_empty() { text.len() } else { fresh };
        batch.push(i);
        previous = text;
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts() -> impl Strategy<Value = Vec<Vec<u32>>> {
        prop::collection::vec(prop::collection::vec(0u32..3, 0..9), 0..20)
    }

    proptest! {
        #[test]
        fn every_path_spells_its_text_at_its_positions(texts in texts()) {
            let p = Packed::new(&texts);
            for (i, t) in texts.iter().enumerate() {
                let path = p.path(i);
                let spelled: Vec<u32> = path.iter().map(|&r| p.tokens[r]).collect();
                prop_assert_eq!(&spelled, t);
                for (at, &row) in path.iter().enumerate() {
                    prop_assert_eq!(p.forest.positions[row] as usize, at);
                }
            }
        }

        #[test]
        fn each_distinct_prefix_has_one_row(texts in texts()) {
            let p = Packed::new(&texts);
            let prefixes: std::collections::HashSet<&[u32]> = texts
                .iter()
                .flat_map(|t| (1..=t.len()).map(move |n| &t[..n]))
                .collect();
            prop_assert_eq!(p.rows(), prefixes.len());
        }

        #[test]
        fn roles_part_rows_only_where_they_differ(texts in texts(), cut in 0usize..6) {
            let ids: Vec<&Vec<u32>> = texts.iter().collect();
            let tokens = |cut: usize| -> Vec<Tokens> {
                let role = |i| if i < cut { Role::User } else { Role::Response };
                let of = |t: &Vec<u32>| Tokens::new(t.clone(), (0..t.len()).map(role).collect());
                texts.iter().map(of).collect()
            };
            let alike = tokens(cut);
            let (bare, with) = (Packed::new(&ids), Packed::of(&alike.iter().collect::<Vec<_>>()));
            prop_assert_eq!(&bare.tokens, &with.tokens);
            prop_assert_eq!(&bare.places.prefixes, &with.places.prefixes);
            prop_assert!(bare.places.roles.is_none() || bare.rows() == 0);
            let both: Vec<Tokens> = alike.iter().cloned().chain(tokens(cut + 1)).collect();
            let packed = Packed::of(&both.iter().collect::<Vec<_>>());
            for (i, t) in both.iter().enumerate() {
                let path = packed.path(i);
                let spelled: Vec<u32> = path.iter().map(|&r| packed.tokens[r]).collect();
                prop_assert_eq!(&spelled, &t.ids);
                for (at, &row) in path.iter().enumerate() {
                    let places = packed.places.select(&[row as u32]);
                    prop_assert_eq!(places.positions[0] as usize, at);
                    prop_assert_eq!(places.roles.unwrap()[0], t.roles[at]);
                    let prefix = t.ids[..=at].iter().fold(0, |p, &id| extended(p, id));
                    prop_assert_eq!(places.prefixes[0], prefix);
                }
            }
        }

        #[test]
        fn plans_hold_every_text_once_within_budget(texts in texts(), budget in 1usize..30) {
            let batches = plan(&texts, budget);
            let mut seen: Vec<usize> = batches.iter().flatten().copied().collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..texts.len()).collect::<Vec<_>>());
            for b in &batches {
                let held: Vec<&Vec<u32>> = b.iter().map(|&i| &texts[i]).collect();
                prop_assert!(b.len() == 1 || Packed::new(&held).rows() <= budget);
            }
        }
    }
}
