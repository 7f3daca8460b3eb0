//! Texts laid end to end as a forest of shared prefixes.
//!
//! A batch has one row for every distinct (prefix, token): texts that begin alike share the rows
//! of what they share, and each text is a path of row ranges from a root to its end. Attention
//! reads the same forest, so a prefix is computed once and no row is padding. A text's numbers do
//! not depend on what else is in the batch beyond rounding (tested to 1e-5).

use crate::ops::attention::{Forest, Segment};
use std::ops::Range;
use std::sync::Arc;

/// One batch: its tokens and how the given texts run through them.
#[derive(Debug, Clone)]
pub struct Packed {
    /// Token of every row, `(N)`.
    pub tokens: Vec<u32>,
    pub forest: Arc<Forest>,
    /// For each text the row ranges that spell it, in order.
    paths: Vec<Vec<Range<usize>>>,
}

impl Packed {
    /// Lays out texts; identical texts share all rows. Empty texts have no rows.
    pub fn new<T: AsRef<[u32]>>(texts: &[T]) -> Self {
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by(|&a, &b| texts[a].as_ref().cmp(texts[b].as_ref()));
        let mut packed = Layout {
            tokens: Vec::new(),
            positions: Vec::new(),
            segments: Vec::new(),
            paths: vec![Vec::new(); texts.len()],
        };
        let sorted: Vec<&[u32]> = order.iter().map(|&i| texts[i].as_ref()).collect();
        packed.grow(&sorted, &order, 0, &[]);
        Packed {
            tokens: packed.tokens,
            forest: Arc::new(Forest {
                segments: packed.segments,
                positions: packed.positions,
            }),
            paths: packed.paths,
        }
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

struct Layout {
    tokens: Vec<u32>,
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
            let shared = first[at..]
                .iter()
                .zip(&last[at..])
                .take_while(|(a, b)| a == b);
            let end = at + shared.count();
            let rows = self.tokens.len()..self.tokens.len() + end - at;
            self.tokens.extend_from_slice(&first[at..end]);
            self.positions.extend((at..end).map(|p| p as u32));
            self.segments.push(Segment {
                rows: rows.clone(),
                context: context.to_vec(),
            });
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
        let shared = previous
            .iter()
            .zip(text)
            .take_while(|(a, b)| a == b)
            .count();
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
