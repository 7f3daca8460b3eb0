//! Everything between files and activations: config, weights, tokenizer and template, the decoder
//! with its hooks and adapters, generation, and where models come from.
//!
//! Part of the ground: knows nothing of concepts or studies. Read `decoder.rs` first.

pub mod adapter;
mod adapter_config;
mod adapter_keys;
mod adapter_targets;
pub mod agreement;
pub mod catalogue;
pub mod config;
pub(crate) mod contents;
#[cfg(test)]
mod damage_tests;
pub mod date;
pub mod decoder;
pub mod error;
pub(crate) mod families;
pub mod files;
pub mod folder;
pub mod generate;
mod gguf;
mod gguf_bpe;
pub(crate) mod gguf_header;
mod gguf_meta;
mod gguf_parts;
mod gguf_spm;
mod guard;
pub mod hooks;
pub mod hub;
pub mod intervention;
mod inventory;
pub mod load;
#[cfg(test)]
mod load_tests;
mod names;
pub mod null_states;
pub mod packed;
pub mod placement;
pub mod places;
pub mod plain;
mod random;
mod record;
pub mod recording;
pub mod resolve;
pub mod rope;
pub mod row_order;
pub mod sandbox;
mod special_tokens;
mod stack;
mod stored;
pub mod template;
pub mod thinking;
#[cfg(test)]
mod tiny;
pub mod tokenizer;
mod tokenizer_files;
pub mod turns;
pub mod verify;
pub mod warning;
pub mod weights;
#[cfg(feature = "hub")]
mod wheel;

pub use adapter::Adapter;
pub use date::Date;
pub use decoder::Decoder;
pub use error::{ModelError, Result};
pub use hooks::{HookPoint, Hooks, Site};
pub use intervention::{unit, Interventions};
pub use load::{Loading, Model};
pub use packed::Packed;
pub use placement::{Place, Placement};
pub use places::Places;
pub use recording::Recording;
pub use row_order::RowOrder;
pub use template::Message;
pub use thinking::Thinking;
pub use tokenizer::{Bos, Role, TextOptions, Tokenizer, Tokens};
pub use warning::ModelWarning;
pub use weights::Held;
