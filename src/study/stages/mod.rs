//! The kinds of stages, one file each: what a stage needs, declares, costs, writes and does.

pub mod ablate;
mod about;
pub mod behave;
pub mod capture;
pub mod converse;
pub mod distil;
pub mod dose;
pub mod finetune;
pub mod measure;
mod measured;
pub mod report;
pub mod reveal;
pub mod trajectory;
