//! Near-duplicates: texts that share most of their word sequences.
//!
//! A text is the set of its 3-word shingles, and two texts are as near as the Jaccard index of their
//! sets (resemblance: Broder, "On the resemblance and containment of documents", 1997). [`near_pairs`]
//! finds every pair at or above a limit without comparing all: shingles are ordered from rare to
//! common, and two sets whose index reaches the limit must share one within their first
//! n - ceil(limit n) + 1 (prefix filtering: Bayardo, Ma and Srikant, "Scaling up all pairs similarity
//! search", 2007). Candidates are then compared in full, so the filter loses nothing.

use super::wording::plain;
use std::cmp::Ordering;
use std::collections::HashMap;

/// Words a shingle.
pub const SHINGLE: usize = 3;

/// From here on two texts are near-duplicates. Half of all shingles in common is one word exchanged
/// in the middle of a sentence of twelve, or at the end of one of five: the same question asked again.
/// Below it texts of this length share a turn of phrase only.
pub const NEAR: f64 = 0.5;

/// A text that is near so many earlier ones is one of a crowd; later texts are held against the others of
/// it only. Without this a file of similar rows takes the square of their number.
const CROWD: usize = 20;

/// Two texts by their indices, the earlier first, and their Jaccard index.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nearness {
    /// Index of the earlier text.
    pub a: usize,
    /// Index of the later text.
    pub b: usize,
    /// Shared shingles as a share of all, 0 to 1.
    pub jaccard: f64,
}

/// The distinct shingles of a text; a text of fewer words is one shingle.
fn shingles(text: &str, words: &mut HashMap<String, u32>) -> Vec<[u32; SHINGLE]> {
    let ids: Vec<u32> = plain(text)
        .into_iter()
        .map(|w| {
            let next = words.len() as u32;
            *words.entry(w).or_insert(next)
        })
        .collect();
    let mut all: Vec<[u32; SHINGLE]> = match ids.len() {
        0 => Vec::new(),
        n if n < SHINGLE => {
            let mut short = [u32::MAX; SHINGLE];
            short[..n].copy_from_slice(&ids);
            vec![short]
        }
        _ => ids.windows(SHINGLE).map(|w| std::array::from_fn(|i| w[i])).collect(),
    };
    all.sort_unstable();
    all.dedup();
    all
}

/// Every pair of texts with a Jaccard index of at least `limit` (above 0) that `wanted` asks for,
/// in order of the later text; of a crowd of similar texts, each with some of the first. `wanted` sees the
/// earlier index first.
pub fn near_pairs(
    texts: &[&str],
    limit: f64,
    wanted: impl Fn(usize, usize) -> bool,
) -> Vec<Nearness> {
    let mut words = HashMap::new();
    let sets: Vec<Vec<[u32; SHINGLE]>> = texts.iter().map(|t| shingles(t, &mut words)).collect();
    let mut frequency: HashMap<[u32; SHINGLE], u32> = HashMap::new();
    for shingle in sets.iter().flatten() {
        *frequency.entry(*shingle).or_default() += 1;
    }
    let mut index: HashMap<[u32; SHINGLE], Vec<usize>> = HashMap::new();
    let mut last_seen = vec![usize::MAX; sets.len()];
    let mut found = Vec::new();
    for (b, set) in sets.iter().enumerate() {
        // Rounding may lift a product just above a whole number; the longer prefix is safe.
        let needed = (limit * set.len() as f64 - 1e-9).ceil() as usize;
        let prefix = (set.len() + 1).saturating_sub(needed);
        let from = found.len();
        let mut rare = set.clone();
        rare.sort_by_cached_key(|shingle| (frequency[shingle], *shingle));
        rare.truncate(prefix);
        for shingle in &rare {
            for &a in index.get(shingle).into_iter().flatten() {
                if last_seen[a] == b || !wanted(a, b) {
                    continue;
                }
                last_seen[a] = b;
                let jaccard = jaccard(&sets[a], set);
                if jaccard >= limit {
                    found.push(Nearness { a, b, jaccard });
                }
            }
        }
        if found.len() - from < CROWD {
            rare.into_iter().for_each(|shingle| index.entry(shingle).or_default().push(b));
        }
        found[from..].sort_unstable_by_key(|n| n.a);
    }
    found
}

/// Jaccard index of two sorted sets; 0 where both are empty.
fn jaccard<T: Ord>(a: &[T], b: &[T]) -> f64 {
    let (mut i, mut j, mut both) = (0, 0, 0);
    while i < a.len() && j < b.len() {
        match a[i].cmp(&b[j]) {
            Ordering::Less => i += 1,
            Ordering::Greater => j += 1,
            Ordering::Equal => (i, j, both) = (i + 1, j + 1, both + 1),
        }
    }
    let either = a.len() + b.len() - both;
    if either == 0 {
        return 0.0;
    }
    both as f64 / either as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn index_of(a: &str, b: &str) -> f64 {
        near_pairs(&[a, b], 1e-9, |_, _| true).first().map_or(0.0, |n| n.jaccard)
    }

    #[test]
    fn the_index_is_that_of_known_sets() {
        // a b c, b c d, c d e against b c d, c d e, d e f: two of four.
        assert_eq!(index_of("a b c d e", "b c d e f"), 0.5);
        assert_eq!(index_of("A, b: C!", "a b c"), 1.0);
        assert_eq!(index_of("yes", "Yes."), 1.0);
        assert_eq!(index_of("yes", "yes sir"), 0.0);
        assert_eq!(index_of("?", "!"), 0.0);
    }

    #[test]
    fn a_word_exchanged_in_a_sentence_of_twelve_is_near() {
        let a = "one two three four five six seven eight nine ten eleven twelve";
        assert!(index_of(a, &a.replace("six", "6")) >= NEAR);
        let short = "one two three four five six seven";
        assert!(index_of(short, &short.replace("four", "4")) < NEAR);
    }

    /// Every pair compared with sets of strings.
    fn slow(texts: &[String], limit: f64) -> Vec<(usize, usize)> {
        let set = |t: &String| -> HashSet<String> {
            let w: Vec<&str> = t.split_whitespace().collect();
            match w.len() {
                0 => HashSet::new(),
                n if n < SHINGLE => HashSet::from([w.join(" ")]),
                _ => w.windows(SHINGLE).map(|w| w.join(" ")).collect(),
            }
        };
        let sets: Vec<_> = texts.iter().map(set).collect();
        let mut out = Vec::new();
        for b in 0..texts.len() {
            for a in 0..b {
                let both = sets[a].intersection(&sets[b]).count();
                let either = sets[a].union(&sets[b]).count();
                if either > 0 && both as f64 / either as f64 >= limit {
                    out.push((a, b));
                }
            }
        }
        out
    }

    proptest! {
        #[test]
        fn the_index_finds_what_comparing_all_finds(
            texts in prop::collection::vec("[ab]( [abc]){0,9}", 0..=CROWD),
            limit in 0.05f64..1.0,
        ) {
            let views: Vec<&str> = texts.iter().map(String::as_str).collect();
            let fast: Vec<(usize, usize)> =
                near_pairs(&views, limit, |_, _| true).iter().map(|n| (n.a, n.b)).collect();
            prop_assert_eq!(fast, slow(&texts, limit));
        }
    }

    #[test]
    fn many_similar_texts_take_no_square_of_their_number() {
        let texts: Vec<String> = (0..20_000)
            .map(|i| format!("do you work with plant {i} in the garden of the house"))
            .collect();
        let views: Vec<&str> = texts.iter().map(String::as_str).collect();
        let found = near_pairs(&views, NEAR, |_, _| true);
        assert!(found.len() <= CROWD * texts.len());
        let later: HashSet<usize> = found.iter().map(|n| n.b).collect();
        assert_eq!(later.len(), texts.len() - 1);
    }

    #[test]
    fn unwanted_pairs_are_left_out() {
        let found = near_pairs(&["a b c", "a b c", "a b c"], NEAR, |a, b| a + b != 1);
        let pairs: Vec<_> = found.iter().map(|n| (n.a, n.b)).collect();
        assert_eq!(pairs, [(0, 2), (1, 2)]);
    }
}
