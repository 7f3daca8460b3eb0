//! Every kind of result, one record each: the contract between what measures and what reports.
//!
//! An analysis returns these rows, a command prints them, a study stores them in `results.h5`, and
//! the report, the figures and `residuum geometry explain` read them back from there. A name in them
//! has one formula and one unit whoever wrote it; the doc comments are the definitions that the file
//! carries. `estimate` with `lo` and `hi` is the quantity that the record is about, `n` counts its
//! unit of replication.

mod behaviour;
mod cause;
mod compare;
mod directions;
mod findings;
mod geometry;
mod results;
mod shifts;
mod study;

pub use behaviour::*;
pub use cause::*;
pub use compare::*;
pub use directions::*;
pub use findings::*;
pub use geometry::*;
pub use results::{all, distinct, frame, present, same_pair, Results};
pub use shifts::*;
pub use study::*;

const ITEMS: &str = "95 % percentile bootstrap over items, widened for few items";
/// Of a contrast of conditions.
const CONTRAST: &str = "95 %, estimate +- sqrt(t^2 W + t_df^2 V): W the variance of the mean over items, fine-tunes held fixed, t with one degree of freedom less than items; V = s^2 (1/n_c + 1/n_k), s^2 the variance of fine-tunes within conditions, pooled over those of one recipe, what was not trained adding nothing; within_lo and within_hi without V; df 0: within only";
const TEXTS: &str = "95 % percentile bootstrap over texts, widened for few texts";
const BOOTSTRAP_T: &str = "95 % symmetric bootstrap-t over prompts on Fisher's scale, widened for few prompts: each draw's distance from the estimate over the standard error made in that draw";
const JACKKNIFE: &str = "95 % jackknife over prompts or texts, Student's";
const READOUT: &str =
    "95 % on Fisher's scale: r less the ends of the band that it has where utilities are permuted";
const P: &str = "p = (1 + b) / (1 + n), two-sided, b the null draws at least as far from 0";

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_record_has_a_place_of_its_own_and_says_what_it_is() {
        let metas = all();
        let paths: BTreeSet<&str> = metas.iter().map(|m| m.path).collect();
        assert_eq!(paths.len(), metas.len());
        for m in metas {
            assert!(!m.is.trim().is_empty(), "{}", m.path);
            assert!(m.dims.iter().all(|d| m.fields.iter().any(|f| f.name == *d)), "{}", m.path);
            let mut names = BTreeSet::new();
            for f in m.fields {
                assert!(names.insert(f.name) && !f.is.trim().is_empty(), "{} {}", m.path, f.name);
            }
            let has = |n: &str| names.contains(n);
            assert_eq!(has("lo"), has("hi"), "{}", m.path);
            assert!(!has("lo") || has("estimate"), "{}", m.path);
        }
    }
}
