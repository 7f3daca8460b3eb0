//! What is on disk: atomic files, content hashes, the run record and the HDF5 schema.
//!
//! This room is ground: it imports nothing of the crate but itself and knows no
//! maths. Every file is written to a temporary name in its own folder and renamed
//! when complete, so a reader sees a whole file or none. HDF5 files carry the root
//! attributes of schema `residuum/2` and real dimension scales, so that h5py and
//! xarray see named dimensions without a reader of ours.
//!
//! `results.h5` (see [`results`]) stays small; the activations of one model state
//! have a file of their own (see [`activations`]) whose arrays `results.h5` shows as
//! virtual ones.

pub mod activation_reader;
mod activation_store;
pub mod activations;
pub mod atomic;
pub mod build;
mod columns;
pub mod csv;
mod datasets;
pub mod diff;
pub mod digest;
pub mod error;
pub mod frame;
pub mod hardware;
mod host;
pub mod journal;
pub mod lock;
pub mod manifest;
pub mod names;
mod new_file;
pub mod results;
mod results_activations;
pub mod results_reader;
mod results_records;
pub mod room;
mod sample;
mod scales;
pub mod schema;
pub mod tensors;
pub mod text;
pub mod time;
pub mod tree;
pub mod validate;
pub mod values;
mod virtuals;

pub use activation_reader::{ActivationReader, SampleColumns};
pub use activations::ActivationWriter;
pub use columns::Columns;
pub use error::StoreError;
pub use frame::{Cell, Field, Frame, Meta, Record};
pub use journal::Journal;
pub use lock::Lock;
pub use manifest::Manifest;
pub use results::ResultsWriter;
pub use results_reader::{Kind, NamedArray, Object, ResultsReader};
pub use sample::{ActivationSpec, Precision, Sample};
pub use schema::RootAttrs;
pub use values::{AttrValue, Number, Values};
