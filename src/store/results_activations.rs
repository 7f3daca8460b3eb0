//! Activations in a results file: the arrays of each model state's own file, as virtual arrays.
//!
//! A set of texts is a group with its coordinates `sample`, `layer` and `hidden` and its columns, which the
//! results file holds itself: h5netcdf and netCDF find a dimension in its own file alone, and a copied file
//! still says which texts were read. Only the arrays stay where they are (see [`super::virtuals`]).

use std::path::Path;

use hdf5::Group;

use super::activation_reader::ActivationReader;
use super::activation_store::{COLUMNS, SAMPLE};
use super::digest;
use super::error::Result;
use super::results::{Attached, ResultsWriter};
use super::schema::{self, require_group};
use super::values::Values;
use super::{datasets, virtuals};

impl ResultsWriter {
    /// Adds the activations in `file`, which is relative to the folder of this file, under the same names:
    /// `/activations/<condition>/<seed>/<set>/<position>`, f32 (sample, layer, hidden), NaN where `file` is
    /// not there.
    ///
    /// # Errors
    /// As [`ActivationReader::open`], and those of [`ResultsWriter::array`].
    pub fn activations(&mut self, file: &str) -> Result<()> {
        let at = self.path.parent().unwrap_or(Path::new("")).join(file);
        let (held, digest) = (ActivationReader::open(&at)?, digest::of_file(&at)?);
        let group = held.spec().group();
        self.step(|w| {
            let state = require_group(&w.file, &w.path, &group)?;
            let sources = vec![virtuals::line(&digest, file)].into();
            let known = held.spec().attributes().into_iter();
            known.chain([(virtuals::SOURCES, sources)]).try_for_each(|(name, value)| {
                schema::write_attr(&state, &w.path, &group, name, &value)
            })
        })?;
        held.sets()?.iter().try_for_each(|set| self.set(&held, file, set))
    }

    fn set(&mut self, held: &ActivationReader, file: &str, set: &str) -> Result<()> {
        let (spec, group) = (held.spec(), format!("{}/{set}", held.spec().group()));
        let columns = held.columns(set)?;
        let samples: Vec<usize> = (0..columns.n_tokens.len()).collect();
        let hidden: Vec<usize> = (0..spec.hidden).collect();
        let dims: Attached = vec![
            (SAMPLE, self.own_coord(&group, SAMPLE, &samples.into())?),
            ("layer", self.coordinate(&group, "layer", &spec.layers.clone().into())?),
            ("hidden", self.coordinate(&group, "hidden", &hidden.into())?),
        ];
        let counts = columns.n_tokens.iter().map(|n| *n as usize).collect::<Vec<usize>>();
        let texts = [columns.prompt_id, columns.label, columns.role].map(Values::from);
        for (name, values) in COLUMNS.iter().zip(texts.into_iter().chain([counts.into()])) {
            let write = |at: &Group, path: &Path| datasets::write_values(at, path, name, &values);
            self.step(|w| w.put(&group, name, &dims[..1].to_vec(), write))?;
        }
        for position in held.positions(set)? {
            let of = held.dataset(set, &position)?;
            let write =
                |at: &Group, path: &Path| virtuals::create(at, path, &position, (file, &of));
            self.step(|w| w.put(&group, &position, &dims, write))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::store::{
        ActivationSpec, ActivationWriter, Precision, ResultsReader, ResultsWriter, RootAttrs,
        Sample, StoreError,
    };
    use ndarray::{s, Array2};
    use std::fs;
    use std::path::Path;

    const FILE: &str = "activations/conscious-3.h5";
    const MEAN: &str = "activations/conscious/3/persona/response-mean";

    fn attrs() -> RootAttrs {
        RootAttrs::new("test", serde_json::json!({}), 3)
    }

    /// Three samples of 2 layers and 4 units; the last has no second position.
    fn activations(folder: &Path, precision: Precision, plus: f32) {
        let spec = ActivationSpec {
            condition: "conscious".into(),
            seed: 3,
            step: None,
            layers: vec![2, 5],
            hidden: 4,
            positions: vec!["response-mean".into(), "prompt-last".into()],
            precision,
        };
        let mut w = ActivationWriter::create(&folder.join(FILE), &attrs(), spec).unwrap();
        for i in 0..3usize {
            let row = Array2::from_shape_fn((2, 4), |(l, h)| (100 * i + 10 * l + h) as f32 + plus);
            let rows = (0..2 - i / 2).map(|p| (p, row.clone())).collect();
            let (set, label, role) = ("persona".into(), "positive".into(), "response".into());
            let prompt_id = format!("p{i}-é");
            w.append(Sample { set, prompt_id, label, role, n_tokens: 7, rows }).unwrap();
        }
        w.finish().unwrap();
    }

    fn run(folder: &Path, precision: Precision) -> ResultsReader {
        activations(folder, precision, 0.0);
        let path = folder.join("results.h5");
        let mut w = ResultsWriter::create(&path, &attrs()).unwrap();
        w.coord("layer", vec![0usize, 2, 5]).unwrap();
        w.activations(FILE).unwrap();
        w.finish().unwrap();
        ResultsReader::open(&path).unwrap()
    }

    #[test]
    fn results_hold_the_activations_of_the_file_beside_them_with_their_own_dimensions() {
        for precision in [Precision::F32, Precision::F16] {
            let dir = tempfile::tempdir().unwrap();
            let r = run(dir.path(), precision);
            let mean = r.array(MEAN).unwrap();
            assert_eq!(mean.dims, ["sample", "layer", "hidden"]);
            assert_eq!(mean.coords[1], vec![2usize, 5].into());
            assert_eq!(mean.data[[2, 1, 3]], 213.0);
            let last = r.array("activations/conscious/3/persona/prompt-last").unwrap();
            assert!(last.data.slice(s![2, .., ..]).iter().all(|v| v.is_nan()));
            let ids = r.texts("activations/conscious/3/persona/prompt_id").unwrap();
            assert_eq!((ids.dims, ids.data[[1]].as_str()), (vec!["sample".into()], "p1-é"));
            // What every other reader of HDF5 sees.
            let raw = r.file.dataset(MEAN).unwrap().read_dyn::<f32>().unwrap();
            assert_eq!(raw[[2, 1, 3]], 213.0);
        }
    }

    #[test]
    fn a_source_that_is_missing_or_another_is_refused_and_never_read_as_fill() {
        let dir = tempfile::tempdir().unwrap();
        let r = run(dir.path(), Precision::F32);
        activations(dir.path(), Precision::F32, 1.0);
        let error = r.array(MEAN).unwrap_err();
        assert!(matches!(error, StoreError::OtherSource { .. }), "{error}");
        assert!(error.to_string().contains(FILE), "{error}");
        fs::remove_file(dir.path().join(FILE)).unwrap();
        let error = r.array(MEAN).unwrap_err();
        assert!(matches!(error, StoreError::NoSource { .. }), "{error}");
        let raw = r.file.dataset(MEAN).unwrap().read_dyn::<f32>().unwrap();
        assert!(raw.iter().all(|v| v.is_nan()));
        // The rest of a file that was copied alone stays readable.
        assert_eq!(r.coord("layer").unwrap(), vec![0usize, 2, 5].into());
        assert_eq!(r.array("activations/conscious/3/persona/n_tokens").unwrap().data[[0]], 7.0);
    }
}
