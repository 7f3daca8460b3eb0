//! Reading the activations of one model state back.
//!
//! A file holds one state (see [`super::activations`]), so a set and a position name
//! an array. [`ActivationReader::read`] returns all layers, [`ActivationReader::read_layer`] one,
//! which touches only that layer's chunks. A sample without the position is NaN in
//! every entry; [`ActivationReader::columns`] says what each sample is.

use std::path::{Path, PathBuf};

use half::f16;
use hdf5::{Dataset, File, Group, Selection};
use ndarray::{s, Array, Array2, Array3, Dimension};

use super::datasets;
use super::error::{from_hdf5, Result, StoreError};
use super::frame::Cell;
use super::results::COORDS;
use super::sample::{ActivationSpec, Precision};
use super::schema::{self, RootAttrs};
use super::values::AttrValue;

/// What each sample of a set is, in the order of the samples.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SampleColumns {
    /// Name of the prompt.
    pub prompt_id: Vec<String>,
    /// Such as `positive`; may be empty.
    pub label: Vec<String>,
    /// Role of the tokens read.
    pub role: Vec<String>,
    /// Tokens that the pooled positions run over.
    pub n_tokens: Vec<u32>,
}

/// An open activation file.
#[derive(Debug)]
pub struct ActivationReader {
    state: Group,
    path: PathBuf,
    attrs: RootAttrs,
    spec: ActivationSpec,
}

impl ActivationReader {
    /// Opens `path`.
    ///
    /// # Errors
    /// As [`schema::open`]; `NoObject` if it is no activation file.
    pub fn open(path: &Path) -> Result<Self> {
        let (file, attrs) = schema::open(path)?;
        let name = schema::read_text(&file, path, "/", "state")?;
        let state = file.group(&name).map_err(|e| from_hdf5(path, &name, &e))?;
        let spec = read_spec(&file, &state, path)?;
        Ok(Self { state, path: path.to_path_buf(), attrs, spec })
    }

    /// The root attributes.
    pub fn root_attrs(&self) -> &RootAttrs {
        &self.attrs
    }

    /// The model state and the shape of a row, as given to the writer.
    pub fn spec(&self) -> &ActivationSpec {
        &self.spec
    }

    /// Names of the sets, sorted.
    ///
    /// # Errors
    /// `Hdf5`.
    pub fn sets(&self) -> Result<Vec<String>> {
        let mut names =
            self.state.member_names().map_err(|e| from_hdf5(&self.path, &self.state.name(), &e))?;
        names.sort();
        Ok(names)
    }

    /// Positions that the set has, in the order of the specification.
    ///
    /// # Errors
    /// `NoObject`.
    pub fn positions(&self, set: &str) -> Result<Vec<String>> {
        let group = self.set(set)?;
        let known = self.spec.positions.iter();
        Ok(known.filter(|p| group.link_exists(p)).cloned().collect())
    }

    /// Activations of a set at a position, (sample, layer, hidden).
    ///
    /// # Errors
    /// `NoObject` or `Hdf5`.
    pub fn read(&self, set: &str, position: &str) -> Result<Array3<f32>> {
        self.numbers(&self.dataset(set, position)?, Selection::All)
    }

    /// Activations of a set at a position after block `layer`, (sample, hidden).
    ///
    /// # Errors
    /// `NoObject` if the layer was not kept, `Hdf5`.
    pub fn read_layer(&self, set: &str, position: &str, layer: usize) -> Result<Array2<f32>> {
        let dataset = self.dataset(set, position)?;
        let Some(index) = self.spec.layers.iter().position(|l| *l == layer) else {
            let present = [format!("layers {:?}", self.spec.layers)];
            return Err(StoreError::no_object(&self.path, format!("layer {layer}"), &present));
        };
        let range = Selection::try_from(s![.., index, ..]);
        let range = range.map_err(|e| from_hdf5(&self.path, &dataset.name(), &e))?;
        self.numbers(&dataset, range)
    }

    fn numbers<D: Dimension>(&self, dataset: &Dataset, at: Selection) -> Result<Array<f32, D>> {
        // libhdf5 converts f16 one value at a time; here it is a loop over a slice.
        match self.spec.precision {
            Precision::F32 => dataset.read_slice::<f32, _, D>(at),
            Precision::F16 => dataset.read_slice::<f16, _, D>(at).map(|a| a.mapv(f16::to_f32)),
        }
        .map_err(|e| from_hdf5(&self.path, &dataset.name(), &e))
    }

    /// What each sample of a set is.
    ///
    /// # Errors
    /// `NoObject` or `Hdf5`.
    pub fn columns(&self, set: &str) -> Result<SampleColumns> {
        let text = |name: &str| cells(&self.dataset(set, name)?, &self.path, "a column of texts");
        let counts: Vec<usize> =
            cells(&self.dataset(set, "n_tokens")?, &self.path, "a column of whole numbers")?;
        Ok(SampleColumns {
            prompt_id: text("prompt_id")?,
            label: text("label")?,
            role: text("role")?,
            n_tokens: counts.into_iter().map(|n| u32::try_from(n).unwrap_or(0)).collect(),
        })
    }

    fn set(&self, set: &str) -> Result<Group> {
        match self.state.group(set) {
            Ok(group) => Ok(group),
            Err(_) => Err(StoreError::no_object(&self.path, set, &self.sets()?)),
        }
    }

    pub(super) fn dataset(&self, set: &str, name: &str) -> Result<Dataset> {
        match self.set(set)?.dataset(name) {
            Ok(dataset) => Ok(dataset),
            Err(_) => {
                let (object, present) = (format!("{set}/{name}"), self.positions(set)?);
                Err(StoreError::no_object(&self.path, object, &present))
            }
        }
    }
}

fn read_spec(file: &File, state: &Group, path: &Path) -> Result<ActivationSpec> {
    let name = state.name();
    let text = |attr: &str| schema::read_text(state, path, &name, attr);
    let whole = |attr: &str| match schema::read_attr(state, path, &name, attr)? {
        AttrValue::Int(v) => Ok(u64::try_from(v).unwrap_or(0)),
        other => Err(StoreError::wrong_kind(path, attr, "a whole number", format!("{other:?}"))),
    };
    let coord = |coord: &str| {
        let full = format!("{COORDS}/{coord}");
        file.dataset(&full).map_err(|e| from_hdf5(path, &full, &e))
    };
    Ok(ActivationSpec {
        condition: text("condition")?,
        seed: whole("seed")?,
        step: if state.attr("step").is_ok() { Some(whole("step")?) } else { None },
        layers: cells(&coord("layer")?, path, "whole numbers")?,
        hidden: datasets::read_values(&coord("hidden")?, path)?.len(),
        positions: cells(&coord("position")?, path, "texts")?,
        precision: match text("precision")?.as_str() {
            "f16" => Precision::F16,
            _ => Precision::F32,
        },
    })
}

/// The cells of a one-dimensional dataset.
fn cells<T: Cell>(dataset: &Dataset, path: &Path, expected: &'static str) -> Result<Vec<T>> {
    let other = || StoreError::wrong_kind(path, dataset.name(), expected, "of another kind");
    T::cells(datasets::read_values(dataset, path)?).ok_or_else(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{ActivationWriter, Sample};
    use ndarray::Array2;
    use proptest::prelude::*;

    fn spec(precision: Precision) -> ActivationSpec {
        ActivationSpec {
            condition: "conscious".into(),
            seed: 3,
            step: Some(64),
            layers: vec![2, 5, 9],
            hidden: 8,
            positions: vec!["response-mean".into(), "prompt-last".into()],
            precision,
        }
    }

    fn attrs() -> RootAttrs {
        RootAttrs::new("test", serde_json::json!({}), 3)
    }

    /// Sample `i` of a set; the second position comes only from sample 70 on.
    fn sample(set: &str, i: usize) -> Sample {
        let value = |p: usize| {
            Array2::from_shape_fn((3, 8), |(l, h)| (i * 100 + p * 50 + l * 10 + h) as f32 * 0.25)
        };
        let mut rows = vec![(0, value(0))];
        if i >= 70 {
            rows.push((1, value(1)));
        }
        Sample {
            set: set.into(),
            prompt_id: format!("p{i}-é"),
            label: if i.is_multiple_of(2) { "positive" } else { "negative" }.into(),
            role: "assistant".into(),
            n_tokens: i as u32,
            rows,
        }
    }

    #[test]
    fn what_is_appended_reads_back_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("conscious-3.h5");
        for precision in [Precision::F32, Precision::F16] {
            let mut w = ActivationWriter::create(&path, &attrs(), spec(precision)).unwrap();
            for i in 0..150 {
                w.append(sample("persona", i)).unwrap();
                if i < 5 {
                    w.append(sample("neutral", i)).unwrap();
                }
            }
            assert_eq!(
                spec(precision).bytes(2),
                if precision == Precision::F32 { 384 } else { 192 }
            );
            w.finish().unwrap();
            let r = ActivationReader::open(&path).unwrap();
            assert_eq!(*r.spec(), spec(precision));
            assert_eq!(r.sets().unwrap(), ["neutral", "persona"]);
            assert_eq!(r.positions("neutral").unwrap(), ["response-mean"]);
            let mean = r.read("persona", "response-mean").unwrap();
            let last = r.read("persona", "prompt-last").unwrap();
            assert_eq!(mean.shape(), [150, 3, 8]);
            assert_eq!(last.shape(), [150, 3, 8]);
            for i in 0..150 {
                let rows = sample("persona", i).rows;
                let tolerance = if precision == Precision::F32 { 0.0 } else { 2.0 };
                let worst =
                    (&mean.slice(s![i, .., ..]) - &rows[0].1).fold(0.0f32, |m, x| m.max(x.abs()));
                assert!(worst <= tolerance, "{i}: {worst}");
                assert_eq!(last[[i, 0, 0]].is_nan(), rows.len() == 1);
            }
            let one = r.read_layer("persona", "response-mean", 5).unwrap();
            assert_eq!(one, mean.slice(s![.., 1, ..]));
            let columns = r.columns("persona").unwrap();
            assert_eq!(columns.prompt_id[149], "p149-é");
            assert_eq!(columns.label[1], "negative");
            assert_eq!(columns.n_tokens, (0..150).collect::<Vec<u32>>());
        }
    }

    #[test]
    fn an_unknown_layer_set_or_position_is_answered_with_what_there_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.h5");
        let mut w = ActivationWriter::create(&path, &attrs(), spec(Precision::F32)).unwrap();
        w.append(sample("persona", 0)).unwrap();
        w.finish().unwrap();
        let r = ActivationReader::open(&path).unwrap();
        let told = [
            (r.read("person", "response-mean").unwrap_err(), "persona"),
            (r.read("persona", "mean").unwrap_err(), "response-mean"),
            (r.read_layer("persona", "response-mean", 4).unwrap_err(), "[2, 5, 9]"),
        ];
        for (error, present) in told {
            assert!(error.to_string().contains(present), "{error}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn interleaved_sets_keep_their_samples(order in prop::collection::vec(0usize..3, 1..200)) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("a.h5");
            let mut w = ActivationWriter::create(&path, &attrs(), spec(Precision::F32)).unwrap();
            for (i, set) in order.iter().enumerate() {
                w.append(sample(&format!("set{set}"), i)).unwrap();
            }
            w.finish().unwrap();
            let r = ActivationReader::open(&path).unwrap();
            for set in r.sets().unwrap() {
                let ids: Vec<usize> = (0..order.len()).filter(|i| format!("set{}", order[*i]) == set).collect();
                let data = r.read(&set, "response-mean").unwrap();
                prop_assert_eq!(data.len_of(ndarray::Axis(0)), ids.len());
                for (row, i) in data.outer_iter().zip(ids) {
                    let wanted = sample(&set, i).rows.remove(0).1;
                    prop_assert_eq!(row, wanted.view());
                }
            }
        }
    }
}
