//! A geometry in `results.h5`: what it found, and beside every array how it was found.
//!
//! The geometry room knows no files and the store no maths; this room stands between them and is
//! called by whoever has a geometry to keep, a command or a study. The caller has given the
//! coordinates `state`, `concept` and `layer`. Arrays over concepts keep their dimensions; what
//! has rows of its own (changes, projections, transfers, overlaps, regions, null states) is a table.
//! Each gets the attributes of its [`Note`]: what it is, its estimator, interval, null and source,
//! so that a file explains itself to any reader.

pub mod beside;
pub mod notes;
pub mod rows;

pub use beside::{beside, shifts, Names};
pub use notes::{note, Note};
pub use rows::{against, changes, Rows};

use crate::geometry::{Coupling, CouplingOptions};
use crate::store::{ResultsWriter, StoreError, Values};
use ndarray::{Array1, Array2, Array3, Array4};

/// Group of all arrays and tables of a geometry.
pub const GROUP: &str = "geometry";

/// How the activations behind a coupling were read.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Names of the concepts, in the order of the coupling.
    pub concepts: &'a [String],
    /// Estimator of the directions.
    pub estimator: &'a str,
    /// Position that was read.
    pub position: &'a str,
    /// Neutral texts behind covariances.
    pub n_neutral: usize,
}

/// Writes a coupling: arrays `[state, concept_a, concept_b, layer]`, `[state, concept, layer]`,
/// `[state, layer]` and `[concept]`, the attributes that say how they were drawn, and
/// `csv/coupling.csv`.
///
/// # Errors
/// As [`ResultsWriter::array`].
pub fn write_coupling(
    w: &mut ResultsWriter,
    c: &Coupling,
    options: &CouplingOptions,
    source: &Source,
) -> Result<(), StoreError> {
    let pairs = pair_arrays(c);
    for (name, array) in &pairs {
        let dims = ["state", "concept_a", "concept_b", "layer"];
        w.array(GROUP, name, &dims, array.view().into_dyn())?;
    }
    let concepts: [(&str, &Array3<f64>); 4] = [
        ("reliability", &c.reliability),
        ("effective_rank", &c.effective_rank),
        ("null_random_lo", &c.random_lo),
        ("null_random_hi", &c.random_hi),
    ];
    for (name, array) in concepts {
        let dims = ["state", "concept", "layer"];
        w.array(GROUP, name, &dims, array.view().into_dyn())?;
    }
    let layers: [(&str, &Array2<f64>); 6] = [
        ("p_flip_max", &c.p_flip_max),
        ("p_random_max", &c.p_random_max),
        ("p_placebo", &c.p_placebo),
        ("p_placebo_max", &c.p_placebo_max),
        ("null_placebo_lo", &c.placebo_lo),
        ("null_placebo_hi", &c.placebo_hi),
    ];
    for (name, array) in layers {
        w.array(GROUP, name, &["state", "layer"], array.view().into_dyn())?;
    }
    for (name, counts) in [("n_pairs", &c.n_pairs), ("n_prompts", &c.n_clusters)] {
        let counts: Array1<i64> = counts.iter().map(|&n| n as i64).collect();
        w.array(GROUP, name, &["concept"], counts.view().into_dyn())?;
    }
    let named = |list: &[usize]| -> Vec<String> {
        list.iter()
            .filter_map(|&i| source.concepts.get(i).cloned())
            .collect()
    };
    for (name, list) in [
        ("pair", &[options.pair.0, options.pair.1][..]),
        ("nuisances", &options.nuisances),
        ("placebos", &options.placebos),
    ] {
        // HDF5 keeps no empty list.
        if !list.is_empty() {
            w.attr(GROUP, name, named(list))?;
        }
    }
    w.attr(GROUP, "estimator", source.estimator)?;
    w.attr(GROUP, "position", source.position)?;
    for (name, n) in [
        ("draws", options.draws),
        ("flips", options.flips),
        ("random", options.random),
        ("n_neutral", source.n_neutral),
    ] {
        w.attr(GROUP, name, n as i64)?;
    }
    w.attr(GROUP, "level", options.level)?;
    w.attr(GROUP, "isotropic", c.isotropic)?;
    w.attr(GROUP, "isotropic_hi", c.isotropic_hi)?;
    let written = (pairs.iter().map(|p| p.0))
        .chain(concepts.iter().map(|p| p.0))
        .chain(layers.iter().map(|p| p.0));
    for name in written {
        annotate(w, &format!("{GROUP}/{name}"))?;
    }
    let names: Vec<&str> = pairs.iter().map(|p| p.0).collect();
    w.csv(GROUP, "coupling", &names)
}

fn pair_arrays(c: &Coupling) -> [(&'static str, &Array4<f64>); 25] {
    [
        ("cosine", &c.raw.value),
        ("ci_lo", &c.raw.lo),
        ("ci_hi", &c.raw.hi),
        ("relative", &c.raw.relative),
        ("relative_lo", &c.raw.relative_lo),
        ("relative_hi", &c.raw.relative_hi),
        ("cleaned", &c.cleaned.value),
        ("cleaned_lo", &c.cleaned.lo),
        ("cleaned_hi", &c.cleaned.hi),
        ("cleaned_relative", &c.cleaned.relative),
        ("cleaned_relative_lo", &c.cleaned.relative_lo),
        ("cleaned_relative_hi", &c.cleaned.relative_hi),
        ("whitened", &c.whitened.value),
        ("whitened_lo", &c.whitened.lo),
        ("whitened_hi", &c.whitened.hi),
        ("whitened_relative", &c.whitened.relative),
        ("whitened_relative_lo", &c.whitened.relative_lo),
        ("whitened_relative_hi", &c.whitened.relative_hi),
        ("null_flip_lo", &c.flip_lo),
        ("null_flip_hi", &c.flip_hi),
        ("p_flip", &c.p_flip),
        ("q_flip", &c.q_flip),
        ("p_flip_one", &c.p_flip_one),
        ("p_random", &c.p_random),
        ("q_random", &c.q_random),
    ]
}

/// Writes rows as the table `geometry/<name>` with its note and its CSV.
///
/// # Errors
/// As [`ResultsWriter::table`].
pub fn write_rows(w: &mut ResultsWriter, name: &str, rows: Rows) -> Result<(), StoreError> {
    let columns: Vec<(&str, Values)> = rows.into_columns();
    w.table(GROUP, name, &columns)?;
    annotate(w, &format!("{GROUP}/{name}"))
}

/// Gives the array or table `path` the attributes of its note, if there is one.
///
/// # Errors
/// As [`ResultsWriter::attr`].
pub fn annotate(w: &mut ResultsWriter, path: &str) -> Result<(), StoreError> {
    let Some(note) = note(path) else {
        return Ok(());
    };
    for (name, text) in note.attributes() {
        if !text.is_empty() {
            w.attr(path, name, text)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{coupling, CouplingInput};
    use crate::stats::rng::{fill_normal, stream};
    use crate::store::{AttrValue, ResultsReader, RootAttrs};
    use ndarray::Array3;

    fn noise(n: usize, seed: u64) -> Array3<f32> {
        let mut x = Array3::zeros((n, 2, 6));
        fill_normal(&mut stream(seed, "tables", 0), x.as_slice_mut().unwrap());
        x
    }

    #[test]
    fn a_coupling_is_written_with_what_explains_it() {
        let differences = vec![vec![noise(8, 1), noise(9, 2), noise(7, 3)]];
        let clusters: Vec<Vec<usize>> = [8, 9, 7].iter().map(|&n| (0..n).collect()).collect();
        let background = vec![noise(10, 4)];
        let input = CouplingInput {
            differences: &differences,
            clusters: &clusters,
            background: &background,
        };
        let options = CouplingOptions {
            placebos: vec![2],
            draws: 30,
            flips: 30,
            random: 30,
            ..CouplingOptions::for_pair(0, 1)
        };
        let found = coupling(input, &options).unwrap();
        let names: Vec<String> = ["persona", "autonomy", "toaster"]
            .map(String::from)
            .to_vec();
        let source = Source {
            concepts: &names,
            estimator: "mean-diff",
            position: "response-mean",
            n_neutral: 10,
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.h5");
        let attrs = RootAttrs::new("test", serde_json::json!({}), 0);
        let mut w = ResultsWriter::create(&path, &attrs).unwrap();
        w.coord("state", vec!["base"]).unwrap();
        w.coord("concept", names.clone()).unwrap();
        w.coord("layer", vec![3usize, 7]).unwrap();
        write_coupling(&mut w, &found, &options, &source).unwrap();
        let ranked = crate::geometry::nulls::against(
            &[0.1, 0.2],
            ndarray::array![[0.1, 0.3], [0.2, 0.1]].view(),
            0.95,
        )
        .unwrap();
        let rows = against(
            &[("conscious", "random-adapter", "persona", &ranked)],
            &[3, 7],
        );
        write_rows(&mut w, "null_states", rows).unwrap();
        w.finish().unwrap();

        let r = ResultsReader::open(&path).unwrap();
        let cosine = r.array("geometry/cosine").unwrap();
        assert_eq!(cosine.data[[0, 0, 1, 1]], found.raw.value[[0, 0, 1, 1]]);
        assert_eq!(r.array("geometry/n_prompts").unwrap().data[[1]], 9.0);
        let text = |path: &str, name: &str| match r.attr(path, name).unwrap() {
            AttrValue::Text(t) => t,
            other => panic!("{other:?}"),
        };
        assert!(text("geometry/cosine", "interval").starts_with("95 %"));
        assert!(text("geometry/null_states", "is").contains("null state"));
        assert_eq!(r.attr("geometry", "draws").unwrap(), AttrValue::Int(30));
        assert_eq!(
            r.attr("geometry", "placebos").unwrap(),
            AttrValue::Texts(vec!["toaster".into()])
        );
        assert!(dir.path().join("csv/coupling.csv").is_file());
        assert!(dir.path().join("csv/geometry.null_states.csv").is_file());
    }
}
