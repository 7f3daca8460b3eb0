//! Writing the activations of one model state, streamed.
//!
//! A file holds one group per set of texts, `/activations/<condition>/<seed>/<set>`
//! (`/step-<t>` after the seed for a state on the way). In it stand one dataset
//! `[sample, layer, hidden]` per position and the columns `prompt_id`, `label`, `role`
//! and `n_tokens`. A position appears with its first sample; a sample that lacks one
//! is NaN there.
//!
//! The file belongs to a thread of its own behind a bounded channel (see
//! `activation_store`), so compression overlaps the forward passes. What is wrong with
//! a sample is said at once; an error in the thread stops it, and the next
//! [`ActivationWriter::append`], or [`ActivationWriter::finish`], returns it.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{sync_channel, SyncSender};
use std::thread::JoinHandle;

use half::f16;
use ndarray::Array2;

use super::activation_store::{Message, Store, COLUMNS};
use super::error::{from_io, Result, StoreError};
use super::sample::{ActivationSpec, Precision, Sample};
use super::schema::{check_name, RootAttrs};

/// Bytes of samples waiting in the channel at most, about.
const CHANNEL_BYTES: usize = 16 << 20;

/// An activation file being written by its own thread.
#[derive(Debug)]
pub struct ActivationWriter {
    path: PathBuf,
    spec: ActivationSpec,
    sender: Option<SyncSender<Message>>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl ActivationWriter {
    /// Begins a file that will be at `path`.
    ///
    /// # Errors
    /// `Unwritable`, `DiskFull`, `BadName` or `Hdf5`.
    pub fn create(path: &Path, attrs: &RootAttrs, spec: ActivationSpec) -> Result<Self> {
        check_name("a condition", &spec.condition)?;
        for position in &spec.positions {
            check_name("a position", position)?;
            if COLUMNS.contains(&position.as_str()) {
                let (path, object) = (path.to_path_buf(), position.clone());
                return Err(StoreError::NameTaken { path, object });
            }
        }
        let store = Store::create(path, attrs, spec.clone())?;
        let row_bytes = 4 * spec.layers.len() * spec.hidden * spec.positions.len();
        let bound = (CHANNEL_BYTES / row_bytes.max(1)).clamp(1, 256);
        let (sender, receiver) = sync_channel(bound);
        let thread = std::thread::Builder::new()
            .name("activation-writer".to_owned())
            .spawn(move || store.run(&receiver))
            .map_err(|e| from_io(path, e))?;
        Ok(Self { path: path.to_path_buf(), spec, sender: Some(sender), thread: Some(thread) })
    }

    /// Hands one sample to the writer; waits while the channel is full.
    ///
    /// # Errors
    /// `Shape`, `BadName`, `NotFinite` or `F16Overflow` for this sample, which is then not written; or the error that
    /// stopped the thread.
    pub fn append(&mut self, sample: Sample) -> Result<()> {
        check_name("a set", &sample.set)?;
        let expected = [self.spec.layers.len(), self.spec.hidden];
        for (position, row) in &sample.rows {
            let known = self.spec.positions.get(*position);
            if row.shape() != expected || known.is_none() {
                let at = known.map_or("(no such position)", String::as_str);
                let object = format!("{}/{at} of `{}`", sample.set, sample.prompt_id);
                return Err(StoreError::shape(&self.path, object, &expected, row.shape()));
            }
            self.refuse_unstorable(&sample, *position, row)?;
        }
        if self.sender.as_ref().is_some_and(|s| s.send(Message::Sample(sample)).is_ok()) {
            return Ok(());
        }
        self.sender = None;
        self.join()
    }

    /// Refuses a row that would be NaN or infinite in the file, where NaN means no value.
    fn refuse_unstorable(&self, sample: &Sample, position: usize, row: &Array2<f32>) -> Result<()> {
        let narrow = self.spec.precision == Precision::F16;
        let held = |v: f32| v.is_finite() && !(narrow && f16::from_f32(v).is_infinite());
        let Some(((layer, _), &value)) = row.indexed_iter().find(|(_, v)| !held(**v)) else {
            return Ok(());
        };
        let path = self.path.clone();
        let object = format!(
            "text `{}` of set `{}` at `{}`, layer {},",
            sample.prompt_id, sample.set, self.spec.positions[position], self.spec.layers[layer]
        );
        Err(match value.is_finite() {
            true => StoreError::F16Overflow { path, object, value },
            false => StoreError::NotFinite { path, object, value },
        })
    }

    /// Writes what is left and makes the file appear.
    ///
    /// # Errors
    /// Whatever stopped the thread, `DiskFull` among them; nothing of the file is then kept.
    pub fn finish(mut self) -> Result<()> {
        if let Some(sender) = self.sender.take() {
            // A failed send means that the thread has stopped: join says why.
            let _ = sender.send(Message::Finish);
        }
        self.join()
    }

    fn join(&mut self) -> Result<()> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) | None => Err(StoreError::WriterStopped { path: self.path.clone() }),
        }
    }
}

impl Drop for ActivationWriter {
    fn drop(&mut self) {
        // Without the channel the thread ends, and without `Finish` it keeps nothing.
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(path: &Path, precision: Precision) -> ActivationWriter {
        let attrs = RootAttrs::new("test", serde_json::json!({}), 3);
        let spec = ActivationSpec {
            condition: "base".into(),
            seed: 0,
            step: None,
            layers: vec![0, 1, 2],
            hidden: 8,
            positions: vec!["response-mean".into()],
            precision,
        };
        ActivationWriter::create(path, &attrs, spec).unwrap()
    }

    fn sample(set: &str, i: usize) -> Sample {
        Sample {
            set: set.into(),
            prompt_id: format!("p{i}"),
            label: "positive".into(),
            role: "assistant".into(),
            n_tokens: 5,
            rows: vec![(0, Array2::from_elem((3, 8), i as f32))],
        }
    }

    #[test]
    fn an_error_of_the_thread_surfaces_and_nothing_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.h5");
        let mut w = create(&path, Precision::F32);
        let mut bad = sample("persona", 0);
        bad.label = "a\0".into();
        let mut outcome = w.append(bad);
        for i in 0..100_000 {
            if outcome.is_err() {
                break;
            }
            outcome = w.append(sample("persona", i));
        }
        let error = outcome.unwrap_err();
        assert!(matches!(error, StoreError::NulInText { .. }), "{error}");
        let error = w.finish().unwrap_err();
        assert!(matches!(error, StoreError::WriterStopped { .. }), "{error}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_would_be_nan_or_infinite_in_the_file_is_refused_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.h5");
        for (precision, value, taken) in [
            (Precision::F16, 70_000.0, false),
            (Precision::F16, -65_520.0, false),
            (Precision::F16, 65_519.0, true), // rounds to the greatest
            (Precision::F32, 70_000.0, true),
            (Precision::F32, f32::NAN, false),
            (Precision::F32, f32::INFINITY, false),
        ] {
            let mut w = create(&path, precision);
            let mut s = sample("persona", 7);
            s.rows[0].1[[1, 3]] = value;
            match w.append(s) {
                Ok(()) => assert!(taken, "{value}"),
                Err(e) => {
                    let text = e.to_string();
                    assert!(!taken, "{text}");
                    for part in ["`p7`", "layer 1", "response-mean"] {
                        assert!(text.contains(part), "{text}");
                    }
                    assert_eq!(text.contains("--store f32"), value.is_finite());
                }
            }
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_dropped_writer_and_a_wrong_row_leave_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.h5");
        let mut w = create(&path, Precision::F32);
        w.append(sample("persona", 0)).unwrap();
        let mut wide = sample("persona", 1);
        wide.rows[0].1 = Array2::zeros((3, 9));
        let error = w.append(wide).unwrap_err();
        assert!(matches!(error, StoreError::Shape { .. }), "{error}");
        drop(w);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
