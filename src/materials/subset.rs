//! The same balanced part of a file every time, for quick studies.
//!
//! Nothing is drawn at random: a subset is a function of the file and its size, so two runs
//! of one study agree on their rows. Pairs are taken equally from each template and battery prompts equally from each form. The share
//! of development pairs follows the whole file's; templates start at different development
//! rows, because polarity cycles along a template and equal starts would pick one polarity.
//! Results stand in file order.

use super::{BatteryPrompt, Concept, Pair, Preference, Split};

/// `n` pairs, or all if there are fewer.
pub fn pairs(concept: &Concept, n: usize) -> Vec<&Pair> {
    let all = &concept.pairs;
    let templates = strata(all, |p| p.template.as_str());
    let split = |rows: &[usize], split| -> Vec<usize> {
        let here = |i: &usize| all[*i].split == split;
        rows.iter().copied().filter(here).collect()
    };
    let main: Vec<Vec<usize>> = templates.iter().map(|t| split(t, Split::Main)).collect();
    let dev: Vec<Vec<usize>> = templates.iter().map(|t| split(t, Split::Dev)).collect();
    let quota = share(n, &sizes(&templates));
    let taken: usize = quota.iter().sum();
    let all_dev: usize = sizes(&dev).iter().sum();
    let wanted_dev = (2 * taken * all_dev + all.len()) / (2 * all.len()).max(1);
    let room: Vec<usize> = quota
        .iter()
        .zip(&dev)
        .map(|(q, d)| (*q).min(d.len()))
        .collect();
    let dev_quota = share(wanted_dev, &room);
    let mut rows: Vec<usize> = Vec::with_capacity(taken);
    for (t, q) in quota.iter().enumerate() {
        // A template short of main rows gives more of the others.
        let from_main = (q - dev_quota[t]).min(main[t].len());
        rows.extend(main[t].iter().take(from_main));
        let turned = dev[t].iter().cycle().skip(t % dev[t].len().max(1));
        rows.extend(turned.take(q - from_main));
    }
    rows.sort_unstable();
    rows.into_iter().map(|i| &all[i]).collect()
}

/// `n` prompts, or all if there are fewer.
pub fn prompts(preference: &Preference, n: usize) -> Vec<&BatteryPrompt> {
    let all = &preference.prompts;
    let forms = strata(all, |p| p.form.as_str());
    let quota = share(n, &sizes(&forms));
    let mut rows: Vec<usize> = forms
        .iter()
        .zip(quota)
        .flat_map(|(form, q)| form.iter().copied().take(q))
        .collect();
    rows.sort_unstable();
    rows.into_iter().map(|i| &all[i]).collect()
}

/// Indices by key, keys in order of their first row.
fn strata<'a, T>(rows: &'a [T], key: impl Fn(&'a T) -> &'a str) -> Vec<Vec<usize>> {
    let mut keys: Vec<&str> = Vec::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        let k = key(row);
        match keys.iter().position(|seen| *seen == k) {
            Some(at) => groups[at].push(i),
            None => {
                keys.push(k);
                groups.push(vec![i]);
            }
        }
    }
    groups
}

fn sizes(groups: &[Vec<usize>]) -> Vec<usize> {
    groups.iter().map(Vec::len).collect()
}

/// Deals `n` one at a time round the groups, none beyond its size.
fn share(n: usize, sizes: &[usize]) -> Vec<usize> {
    let mut quota = vec![0; sizes.len()];
    let mut left = n.min(sizes.iter().sum());
    while left > 0 {
        for (q, size) in quota.iter_mut().zip(sizes) {
            if left > 0 && *q < *size {
                *q += 1;
                left -= 1;
            }
        }
    }
    quota
}

#[cfg(test)]
mod tests {
    use super::super::embedded::{concept_names, load_concept, load_preferences};
    use super::super::Polarity;
    use super::*;
    use std::collections::HashSet;

    fn spread(counts: &[usize]) -> usize {
        counts.iter().max().unwrap() - counts.iter().min().unwrap()
    }

    #[test]
    fn dealing_fills_equally_and_never_beyond() {
        assert_eq!(share(7, &[5, 5, 5]), [3, 2, 2]);
        assert_eq!(share(7, &[1, 5, 5]), [1, 3, 3]);
        assert_eq!(share(99, &[1, 2]), [1, 2]);
        assert_eq!(share(3, &[]), Vec::<usize>::new());
    }

    #[test]
    fn pairs_are_equal_over_templates_in_file_order() {
        for name in concept_names() {
            let concept = load_concept(name).unwrap();
            for n in 0..=concept.pairs.len() + 3 {
                let some = pairs(&concept, n);
                assert_eq!(some.len(), n.min(concept.pairs.len()));
                let ids: HashSet<&str> = some.iter().map(|p| p.id.as_str()).collect();
                assert_eq!(ids.len(), some.len());
                let mut file = concept.pairs.iter();
                assert!(
                    some.iter().all(|p| file.any(|q| q.id == p.id)),
                    "{name} {n}"
                );
                let counts: Vec<usize> = strata(&concept.pairs, |p| p.template.as_str())
                    .iter()
                    .map(|t| {
                        t.iter()
                            .filter(|i| ids.contains(concept.pairs[**i].id.as_str()))
                            .count()
                    })
                    .collect();
                assert!(spread(&counts) <= 1, "{name} {n} {counts:?}");
            }
        }
    }

    #[test]
    fn the_development_share_stays_that_of_the_file() {
        for name in concept_names() {
            let concept = load_concept(name).unwrap();
            let whole = concept
                .pairs
                .iter()
                .filter(|p| p.split == Split::Dev)
                .count() as f64;
            for n in [8, 12, 24, 40, 60] {
                let dev = pairs(&concept, n)
                    .iter()
                    .filter(|p| p.split == Split::Dev)
                    .count();
                let ideal = n as f64 * whole / concept.pairs.len() as f64;
                assert!((dev as f64 - ideal).abs() <= 0.5, "{name} {n}: {dev}");
            }
        }
    }

    #[test]
    fn polarity_stays_balanced_in_both_splits() {
        for name in ["persona", "autonomy"] {
            let concept = load_concept(name).unwrap();
            for n in [16, 24, 40, 60, 80] {
                for split in [Split::Main, Split::Dev] {
                    let some = pairs(&concept, n);
                    let count = |polarity| {
                        let here = |p: &&&Pair| p.split == split && p.polarity == polarity;
                        some.iter().filter(here).count()
                    };
                    let (yes, no) = (count(Polarity::Yes), count(Polarity::No));
                    assert!(
                        yes.abs_diff(no) <= 4,
                        "{name} {n} {split:?}: {yes} yes, {no} no"
                    );
                    assert!(
                        no > 0 && (yes > 0),
                        "{name} {n} {split:?}: {yes} yes, {no} no"
                    );
                }
            }
        }
    }

    #[test]
    fn prompts_cover_the_forms() {
        for preference in load_preferences(None).unwrap() {
            let forms: HashSet<&str> = preference.prompts.iter().map(|p| p.form.as_str()).collect();
            let some = prompts(&preference, forms.len());
            let covered: HashSet<&str> = some.iter().map(|p| p.form.as_str()).collect();
            assert_eq!(covered, forms, "{}", preference.name);
            assert_eq!(prompts(&preference, 99).len(), preference.prompts.len());
        }
    }
}
