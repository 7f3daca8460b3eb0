//! The thread side of an activation file.
//!
//! Samples wait in one buffer per set until a chunk's height is reached, then go out
//! as one block per position; so memory is bounded by the channel and by one such
//! buffer per set. A chunk is many samples of one layer, because directions are read
//! a layer at a time. Datasets grow along the sample axis and their fill value is
//! NaN, which is how a position that first appears late gets its earlier samples.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;

use half::f16;
use hdf5::types::VarLenUnicode;
use hdf5::{Dataset, Extent, Group, H5Type};
use ndarray::{s, Array3, ArrayView3};

use super::error::{from_hdf5, Result, StoreError};
use super::new_file::NewFile;
use super::results::COORDS;
use super::sample::{ActivationSpec, Precision, Sample};
use super::scales::Scales;
use super::schema::{self, object, require_group, RootAttrs};
use super::values::{self, Values};

/// Deflate level: activations hardly compress, and the cores have other work.
const DEFLATE: u8 = 1;
/// Bytes of a chunk, about.
const CHUNK_BYTES: usize = 256 << 10;
/// Samples in a chunk at most.
const CHUNK_SAMPLES: usize = 64;
/// Rows in a chunk of a column.
const COLUMN_CHUNK: usize = 1024;
/// Name of the sample axis.
pub(crate) const SAMPLE: &str = "sample";
/// Columns beside the positions.
pub(crate) const COLUMNS: [&str; 4] = ["prompt_id", "label", "role", "n_tokens"];

/// What the thread is told.
pub(crate) enum Message {
    Sample(Sample),
    Finish,
}

/// What the thread owns.
pub(crate) struct Store {
    file: NewFile,
    path: PathBuf,
    spec: ActivationSpec,
    sets: BTreeMap<String, Set>,
    scales: Scales,
}

/// One set: its datasets and the samples not yet written.
struct Set {
    group: Group,
    /// By position, once a sample has had it.
    positions: Vec<Option<Dataset>>,
    columns: Vec<Dataset>,
    index: Dataset,
    written: usize,
    waiting: Vec<Sample>,
}

impl Store {
    /// Creates the file with its coordinates and an empty group for the state.
    pub(crate) fn create(path: &Path, attrs: &RootAttrs, spec: ActivationSpec) -> Result<Self> {
        let file = NewFile::create(path, attrs)?;
        let coords = require_group(&file, path, COORDS)?;
        let axes = [
            ("layer", Values::from(spec.layers.clone())),
            ("hidden", Values::from((0..spec.hidden).collect::<Vec<_>>())),
            ("position", Values::from(spec.positions.clone())),
        ];
        for (name, labels) in axes {
            Scales::write(&coords, path, name, &labels)?;
        }
        let state = require_group(&file, path, &spec.group())?;
        for (name, value) in spec.attributes() {
            schema::write_attr(&state, path, &spec.group(), name, &value)?;
        }
        schema::write_attr(&file, path, "/", "state", &spec.group().into())?;
        let (path, sets, scales) = (path.to_path_buf(), BTreeMap::new(), Scales::default());
        Ok(Self { file, path, spec, sets, scales })
    }

    /// Takes samples until told to finish; a closed channel means that nothing is kept.
    pub(crate) fn run(mut self, receiver: &Receiver<Message>) -> Result<()> {
        match self.work(receiver) {
            Ok(true) => {
                self.sets.clear();
                let Self { file, path, scales, .. } = self;
                scales.finish(&file, &path)?;
                file.finish(&path)
            }
            // Abandoned as the file is: closing a dataset would write to it.
            outcome => {
                std::mem::forget(std::mem::take(&mut self.sets));
                outcome.map(|_| ())
            }
        }
    }

    /// Whether all samples are written and the file can be finished.
    fn work(&mut self, receiver: &Receiver<Message>) -> Result<bool> {
        while let Ok(message) = receiver.recv() {
            match message {
                Message::Sample(sample) => self.take(sample)?,
                Message::Finish => return self.complete().map(|()| true),
            }
        }
        Ok(false)
    }

    fn take(&mut self, sample: Sample) -> Result<()> {
        let name = sample.set.clone();
        let mut set = match self.sets.remove(&name) {
            Some(set) => set,
            None => self.open_set(&name)?,
        };
        set.waiting.push(sample);
        let full = set.waiting.len() >= chunk_samples(self.spec.hidden);
        let outcome = if full { self.flush(&mut set) } else { Ok(()) };
        self.sets.insert(name, set);
        outcome
    }

    fn open_set(&mut self, name: &str) -> Result<Set> {
        let full = format!("{}/{name}", self.spec.group());
        let group = require_group(&self.file, &self.path, &full)?;
        let path = self.path.clone();
        let create = |name: &str| {
            let made = match name {
                SAMPLE | "n_tokens" => growing::<i64>(&group, &[COLUMN_CHUNK], None).create(name),
                _ => growing::<VarLenUnicode>(&group, &[COLUMN_CHUNK], None).create(name),
            };
            made.map_err(|e| from_hdf5(&path, &object(&group, name), &e))
        };
        let index = create(SAMPLE)?;
        Scales::mark(&index, &path, SAMPLE)?;
        let mut columns = Vec::with_capacity(COLUMNS.len());
        for column in COLUMNS {
            columns.push(create(column)?);
            self.attach(&group, column, &[SAMPLE])?;
        }
        let positions = vec![None; self.spec.positions.len()];
        Ok(Set { group, positions, columns, index, written: 0, waiting: Vec::new() })
    }

    fn attach(&mut self, group: &Group, name: &str, dims: &[&str]) -> Result<()> {
        let own = |d: &str| match d {
            SAMPLE => object(group, SAMPLE),
            other => format!("/{COORDS}/{other}"),
        };
        let dims: Vec<(&str, String)> = dims.iter().map(|d| (*d, own(d))).collect();
        self.scales.attach(&self.file, &self.path, group, name, &dims)
    }

    /// Writes the waiting samples of a set.
    fn flush(&mut self, set: &mut Set) -> Result<()> {
        let (layers, hidden) = (self.spec.layers.len(), self.spec.hidden);
        let batch = std::mem::take(&mut set.waiting);
        for (p, position) in self.spec.positions.clone().iter().enumerate() {
            let has = |sample: &Sample| sample.rows.iter().any(|(i, _)| *i == p);
            if set.positions[p].is_none() && batch.iter().any(has) {
                let chunk = [chunk_samples(self.spec.hidden), 1, hidden];
                let (group, inner, name) = (&set.group, Some((layers, hidden)), position.as_str());
                let made = match self.spec.precision {
                    Precision::F32 => {
                        growing::<f32>(group, &chunk, inner).fill_value(f32::NAN).create(name)
                    }
                    Precision::F16 => {
                        growing::<f16>(group, &chunk, inner).fill_value(f16::NAN).create(name)
                    }
                };
                let made = made.map_err(|e| from_hdf5(&self.path, &object(group, name), &e))?;
                set.positions[p] = Some(made);
                let group = set.group.clone();
                self.attach(&group, position, &[SAMPLE, "layer", "hidden"])?;
            }
            let Some(dataset) = &set.positions[p] else {
                continue;
            };
            let mut block = Array3::from_elem((batch.len(), layers, hidden), f32::NAN);
            for (mut cell, sample) in block.outer_iter_mut().zip(&batch) {
                if let Some((_, row)) = sample.rows.iter().find(|(i, _)| *i == p) {
                    cell.assign(row); // (layer, hidden)
                }
            }
            self.write_block(dataset, block.view(), set.written)?;
        }
        self.write_columns(set, &batch)?;
        set.written += batch.len();
        Ok(())
    }

    /// Appends `block`, (sample, layer, hidden), after `written` samples.
    fn write_block(
        &self,
        dataset: &Dataset,
        block: ArrayView3<'_, f32>,
        written: usize,
    ) -> Result<()> {
        let (n, layers, hidden) = block.dim();
        let range = s![written..written + n, .., ..];
        let resized = dataset.resize((written + n, layers, hidden));
        let outcome = match self.spec.precision {
            Precision::F32 => resized.and_then(|()| dataset.write_slice(block, range)),
            Precision::F16 => {
                let narrow = block.mapv(f16::from_f32);
                resized.and_then(|()| dataset.write_slice(&narrow, range))
            }
        };
        outcome.map_err(|e| from_hdf5(&self.path, &dataset.name(), &e))
    }

    fn write_columns(&self, set: &Set, batch: &[Sample]) -> Result<()> {
        let first = i64::try_from(set.written).unwrap_or(i64::MAX);
        let index: Vec<i64> = (first..).take(batch.len()).collect();
        self.extend(&set.index, set.written, &index)?;
        for (name, dataset) in COLUMNS.iter().zip(&set.columns) {
            let text = |sample: &Sample| match *name {
                "prompt_id" => values::to_hdf5(&sample.prompt_id),
                "label" => values::to_hdf5(&sample.label),
                _ => values::to_hdf5(&sample.role),
            };
            if *name == "n_tokens" {
                let counts: Vec<i64> = batch.iter().map(|s| i64::from(s.n_tokens)).collect();
                self.extend(dataset, set.written, &counts)?;
                continue;
            }
            let (path, object) = (self.path.clone(), dataset.name());
            let texts: Option<Vec<VarLenUnicode>> = batch.iter().map(text).collect();
            let texts = texts.ok_or(StoreError::NulInText { path, object })?;
            self.extend(dataset, set.written, &texts)?;
        }
        Ok(())
    }

    /// Appends to a column after `written` samples.
    fn extend<T: H5Type>(&self, dataset: &Dataset, written: usize, data: &[T]) -> Result<()> {
        let range = written..written + data.len();
        let resized = dataset.resize(range.end);
        resized
            .and_then(|()| dataset.write_slice(data, s![range]))
            .map_err(|e| from_hdf5(&self.path, &dataset.name(), &e))
    }

    /// Writes what waits and gives all datasets of a set the same length.
    fn complete(&mut self) -> Result<()> {
        let mut sets = std::mem::take(&mut self.sets);
        let outcome = sets.values_mut().try_for_each(|set| self.flush(set));
        self.sets = sets;
        outcome?;
        for set in self.sets.values() {
            for dataset in set.positions.iter().flatten() {
                let mut shape = dataset.shape();
                shape[0] = set.written;
                dataset.resize(shape).map_err(|e| from_hdf5(&self.path, &dataset.name(), &e))?;
            }
        }
        self.file.flush(&self.path)
    }
}

/// A dataset without samples yet, growing along its first axis.
fn growing<T: H5Type>(
    group: &Group,
    chunk: &[usize],
    inner: Option<(usize, usize)>,
) -> hdf5::DatasetBuilderEmptyShape {
    let mut extents = vec![Extent { dim: 0, max: None }];
    if let Some((layers, hidden)) = inner {
        extents.extend([Extent::from(layers), Extent::from(hidden)]);
    }
    group
        .new_dataset::<T>()
        .obj_track_times(false)
        .chunk(chunk.to_vec())
        .shuffle()
        .deflate(DEFLATE)
        .shape(extents)
}

fn chunk_samples(hidden: usize) -> usize {
    (CHUNK_BYTES / (4 * hidden.max(1))).clamp(1, CHUNK_SAMPLES)
}
