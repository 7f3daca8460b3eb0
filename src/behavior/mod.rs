//! Behaviour: which preferences a model state expresses, and how much more than another.
//!
//! Two measures. [`stance`] log-odds compare completions that a model could give and need
//! nothing but the model; a [`mod@rates`] of answers that it did give need a [`mod@sample`] of them and a
//! [`judge`]. What is asked is one question of the battery, a [`choice`] between outcomes, or the end of a [`conversation`], which
//! [`projection`] follows along a direction turn by turn. Every [`answer`] and verdict is kept in JSONL
//! files that grow by a row at a time, so that nothing is drawn or paid for twice. Doubts are
//! [`warning`]s. States are compared in [`crate::analysis::behaviour`].

pub mod answer;
pub mod choice;
pub mod conversation;
mod error;
pub mod judge;
pub mod projection;
pub mod rates;
pub mod sample;
mod side_effects;
mod stance;
pub mod warning;

pub use answer::{Answer, Drawn};
pub use error::BehaviorError;
use error::Result;
pub use projection::{project_turns, Ruler, TurnProjections};
pub use rates::{judged, rates, Judged, Rates};
pub use sample::{sample, Speaker, Written};
pub use side_effects::{kept_bytes, SideEffects};
pub use stance::{
    by_item, estimate, response_log_probs, stance, stance_of, stance_texts, Asked, ItemScore,
    PairScore,
};
pub use warning::Warning;
