//! Materials: the texts that every other room works on, read and checked.
//!
//! One file a noun: fine-tune [`conversations`], contrast pairs of a [`concept`], the
//! preference [`battery`] (which also holds the claims that check a fine-tune), [`script`]s of
//! longer conversations, [`outcomes`] to choose between, [`neutral`] texts, harmless requests with answers
//! that are [`declining`], and the [`texts`] of a capture; [`foreign`] takes contrast pairs as others wrote
//! them. All are JSON Lines whose
//! first line may be a note about the file. [`embedded`] holds the files that ship in the binary,
//! and [`load`] reads one by name, or a file of the user's by path, and says which lines of which file
//! its rows are ([`Loaded`]). [`subset`] draws a balanced part by seed. A whole [`set`] of files, the
//! shipped one or a user's, is held to the rules in [`lint`] and described in [`stats`], with the
//! word lists of [`wording`] and the near-duplicates of [`near`].
//!
//! Each parser turns a line as written into a checked value and names the file and the line
//! that it refuses; past this room no text is empty and no id stands twice. [`read`] is how a
//! user's file becomes text, and says what a file is that is none.

pub mod battery;
pub mod concept;
pub mod conversations;
pub mod declining;
pub mod embedded;
mod error;
pub mod foreign;
mod lines;
pub mod lint;
pub mod load;
mod loaded;
pub mod near;
pub mod neutral;
pub mod outcomes;
pub mod script;
pub mod set;
#[cfg(test)]
mod shipped_tests;
pub mod stats;
pub mod subset;
pub mod texts;
pub mod wording;

type Result<T, E = MaterialError> = std::result::Result<T, E>;

pub use battery::{BatteryPrompt, Key, Keyed, Preference, StancePair, Status};
pub use concept::{Concept, Pair, Polarity, Split};
pub use conversations::{parse_conversations, parse_prompts, Conversation};
pub use error::MaterialError;
pub use foreign::Foreign;
pub use load::{
    load_claims, load_concept, load_conversations, load_neutral_texts, load_preferences,
    load_scripts, read,
};
pub use loaded::{Loaded, UsedRows};
pub use neutral::{for_shifts, for_side_effects, NeutralText, Use};
pub use outcomes::{Outcome, Side, Tone};
pub use script::{Script, ScriptSet, Turn};
pub use texts::{TextBody, TextRow};
