//! Names that are wrong: the one that was meant, and the one that stands twice.

/// The candidate with the least edit distance to `name`, the first of equal ones.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    let near = candidates.min_by_key(|c| edit_distance(name, c));
    near.map(str::to_owned)
}

/// The first value that stands twice.
pub fn twice<T: PartialEq>(values: &[T]) -> Option<&T> {
    let again = |(i, v): &(usize, &T)| values[..*i].contains(*v);
    values.iter().enumerate().find(again).map(|(_, v)| v)
}

/// Levenshtein distance in characters.
pub fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_is_levenshteins() {
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("übel", "übel"), 0);
    }

    #[test]
    fn the_nearest_name_takes_the_fewest_edits() {
        let names = ["q_proj", "k_proj", "gate_proj"];
        assert_eq!(nearest("gat_proj", names.into_iter()), Some("gate_proj".into()));
    }
}
