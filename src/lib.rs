//! Residual-stream activations of language models, directions in them, and what fine-tuning does to
//! both.
//!
//! # From a concept to a direction
//!
//! A [`Model`] is loaded from a file or a folder, a [`Concept`] is pairs of responses to one prompt, one
//! that shows it and one that does not. Both, with neutral texts for scale, are read into [`Readings`];
//! [`measure`](analysis::directions::measure) gives the [`Directions`] with their quality as records.
//!
//! ```no_run
//! use residuum::analysis::{directions, DirectionOptions};
//! use residuum::materials::{load_concept, load_neutral_texts};
//! use residuum::{Loading, Model, Position, Readings};
//! use std::path::Path;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let model = Model::load("mine", Path::new("models/mine"), &Loading::default())?;
//! let (concepts, neutral) = ([load_concept("sentiment")?], load_neutral_texts(None)?);
//! let readings = Readings::of_base(&model, &concepts, &neutral, &[10], Position::ResponseMean)?;
//! let found = directions::measure(&readings, &[], &[], &DirectionOptions::default(), &mut |_| ())?;
//! for row in &found.records.quality {
//!     println!("layer {}: AUROC {:.2} [{:.2}, {:.2}]", row.layer, row.estimate, row.lo, row.hi);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # From texts to activations
//!
//! Each part stands alone. Here a [`Decoder`] of random weights reads token ids, a direction is the
//! difference in means of two sides, and [`Interventions`] add it while the model reads again.
//!
//! ```
//! use ndarray::{s, Array2};
//! use residuum::directions::{estimate, Pairs};
//! use residuum::{capture, Config, Decoder, Estimator, Interventions, Position, Request, Role, Tokens};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config {
//!     vocab: 32, hidden: 16, layers: 2, heads: 2, kv_heads: 1, head_dim: 8, intermediate: 24, context: 64,
//!     ..Config::llama()
//! };
//! let model = Decoder::random(config, 7)?;
//! // Four prompts of two tokens, each with a response that holds token 5 or token 9.
//! let text = |prompt: u32, said: u32| {
//!     let roles = vec![Role::User, Role::User, Role::Response, Role::Response];
//!     Tokens::new(vec![1, prompt, said, said], roles)
//! };
//! let texts: Vec<Tokens> = [5, 9].iter().flat_map(|&said| (20..24).map(move |p| text(p, said))).collect();
//!
//! // (texts, D): the mean of each response at the output of block 1.
//! let request = Request::new(&[Position::ResponseMean], vec![1]);
//! let read = |edits: &Interventions| -> Result<Array2<f32>, Box<dyn std::error::Error>> {
//!     let mut rows = Array2::zeros((8, 16));
//!     capture(&model, &texts, &request, edits, &mut |text, _, layers| {
//!         rows.row_mut(text).assign(&layers.row(0));
//!         Ok(())
//!     })?;
//!     Ok(rows)
//! };
//! let plain = read(&Interventions::none())?;
//!
//! let pairs = Pairs {
//!     positive: plain.slice(s![..4, ..]).to_owned(),
//!     negative: plain.slice(s![4.., ..]).to_owned(),
//!     prompt: vec![0, 1, 2, 3],
//!     template: vec![0; 4],
//!     is_dev: vec![false; 4],
//! };
//! let direction = estimate(&pairs, Estimator::MeanDiff, 0)?;
//!
//! // Three units along the direction at the output of block 1: every text moves by them.
//! let unit = direction.unit.to_vec();
//! let steered = read(&Interventions::none().add(1, &unit, 3.0)?)?;
//! let moved = (&steered - &plain).dot(&direction.unit);
//! assert!(moved.iter().all(|m| (m - 3.0).abs() < 1e-3));
//! # Ok(())
//! # }
//! ```
//!
//! # The rooms
//!
//! From the command line down to the ground, data flowing one way: `cli` -> `study` -> [`report`] ->
//! [`analysis`], [`speed`] -> [`finetune`], [`causal`] -> [`behavior`] -> [`capture`](mod@capture),
//! [`figures`], [`export`] -> [`directions`], [`geometry`] -> [`materials`] -> [`model`] -> [`store`] ->
//! [`ops`], [`stats`]; no room imports from one before it or beside it.
//! A layer `l` is the output of block `l`, counted from 0; all activations are f32.
//!
//! # Features
//!
//! All are on by default. `hub` fetches models, `judge` asks a judge behind a URL, `figures` draws, and
//! `cli` is the program, which needs the others; `cuda` (off) computes on an NVIDIA GPU. Without `hub`
//! models are files, folders and what is in the caches.
//!
//! # Threads
//!
//! Work is parallel through rayon. candle has a second pool of threads of its own, which waits by
//! spinning: a program on this library runs faster, most of all while it trains, with
//! `CANDLE_NUM_THREADS=1` in its environment. The program `residuum` sets that for itself.

#![deny(missing_docs)]
// Who reads the source follows links to what is private; on the page they are plain names.
#![allow(rustdoc::private_intra_doc_links)]

pub mod analysis;
pub mod behavior;
pub mod capture;
pub mod causal;
#[cfg(feature = "cli")]
#[doc(hidden)]
#[allow(rustdoc::broken_intra_doc_links, rustdoc::invalid_html_tags)] // texts for the terminal
pub mod cli;
pub mod directions;
pub mod export;
#[cfg(feature = "figures")]
pub mod figures;
pub mod finetune;
pub mod geometry;
pub mod materials;
pub mod model;
pub mod ops;
#[cfg(feature = "figures")]
pub mod report;
pub mod speed;
pub mod stats;
pub mod store;
#[cfg(feature = "cli")]
pub mod study;

// Models and texts.
pub use materials::{Concept, NeutralText, Pair, Preference};
pub use model::config::Config;
pub use model::{Adapter, Decoder, Held, Loading, Message, Model, ModelError, Place, Placement};
pub use model::{Bos, Role, TextOptions, Tokenizer, Tokens};

// Activations, and what is done to them.
pub use capture::{capture, Position, Request};
pub use model::{HookPoint, Hooks, Interventions, Site};

// What is measured.
pub use analysis::{Directions, Draws, Readings, Roles, State};
pub use directions::{Direction, Estimator};

// Files.
pub use store::{Frame, Record, ResultsReader, ResultsWriter};

/// Tests hold models' own code to its budget of memory as the program does.
#[cfg(all(test, feature = "cli"))]
#[global_allocator]
static ALLOCATOR: model::sandbox::Budgeted<mimalloc::MiMalloc> =
    model::sandbox::Budgeted(mimalloc::MiMalloc);
