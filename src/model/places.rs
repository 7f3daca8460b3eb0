//! Where each row of a pass stands in its text: position, part of the chat, and what precedes it.
//!
//! Hooks are given this beside the activations, so that an edit can be limited to the tokens of a
//! role, and a swap can find the activation that another state had at the same token after the
//! same beginning.

use super::tokenizer::Role;

/// One entry a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// Index of the row's token in its text.
    pub positions: Vec<u32>,
    /// Part of the chat that the token belongs to; none where a batch was packed from bare ids.
    pub roles: Option<Vec<Role>>,
    /// Digest of the text up to and including the row's token.
    pub prefixes: Vec<u64>,
}

impl Places {
    /// The places of chosen rows.
    pub fn select(&self, rows: &[u32]) -> Places {
        let at = |r: &u32| *r as usize;
        Places {
            positions: rows.iter().map(|r| self.positions[at(r)]).collect(),
            roles: self.roles.as_ref().map(|all| rows.iter().map(|r| all[at(r)]).collect()),
            prefixes: rows.iter().map(|r| self.prefixes[at(r)]).collect(),
        }
    }
}

/// Digest of a text one token longer; that of no token is 0. Two of a million different beginnings
/// share one with a chance of 3e-8 (64 bits, birthday bound).
pub fn extended(prefix: u64, token: u32) -> u64 {
    let mut z = (prefix ^ (u64::from(token) + 1)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
