//! residuum: residual-stream activations, persona and autonomy directions, and their coupling.
//!
//! The rooms, from the command line down to the ground; data flows one way:
//! `cli` -> `study` -> `finetune`, `capture`, `directions`, `geometry`, `behavior`, `causal` ->
//! `geometry_tables`, `store`, `figures`, `report`, `export`; below all `model`, `ops`, `stats`, `materials`.

pub mod analysis;
pub mod behavior;
pub mod capture;
pub mod causal;
pub mod cli;
pub mod directions;
pub mod export;
pub mod figures;
pub mod finetune;
pub mod geometry;
pub mod geometry_tables;
pub mod materials;
pub mod model;
pub mod ops;
pub mod report;
pub mod speed;
pub mod stats;
pub mod store;
pub mod study; // REDESIGN
