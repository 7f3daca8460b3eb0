//! How many tokens a judge may take for a reply.
//!
//! Three lines need few, but a judge that thinks first needs hundreds, and a reply that was cut by
//! its limit is no verdict. So a cut reply raises the level at which all further ones are asked
//! for, a bounded number of times. A server that refuses a raised level has its limit below: the
//! level goes back and stays there.

/// Tokens of a reply unless an option of the request says otherwise.
pub const FIRST: u64 = 64;
/// Growth from one level to the next, up to [`PLENTY`]; beyond that it doubles.
const GROWTH: u64 = 8;
/// Tokens that most thinking takes and most servers give.
const PLENTY: u64 = 4096;
/// Times that the room is raised.
const MOST: u32 = 2;

/// The tokens at a level, from those at level 0.
pub fn tokens(first: u64, level: u32) -> u64 {
    let grown = first.saturating_mul(GROWTH.saturating_pow(level));
    let doubled = first.saturating_mul(2u64.saturating_pow(level));
    grown.min(doubled.max(PLENTY)).max(first)
}

/// The level of the room, shared by all requests.
#[derive(Debug)]
pub struct Room {
    level: u32,
    most: u32,
}

impl Room {
    /// The level to ask at, from 0.
    pub fn level(&self) -> u32 {
        self.level
    }

    /// A reply asked for at `level` was cut.
    pub fn cut(&mut self, level: u32) {
        self.level = self.level.max((level + 1).min(self.most));
    }

    /// The server gives no more than `most`.
    pub fn limit(&mut self, most: u32) {
        self.most = self.most.min(most);
        self.level = self.level.min(self.most);
    }
}

impl Default for Room {
    fn default() -> Self {
        Room { level: 0, most: MOST }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_grows_by_bounded_steps_from_any_beginning() {
        let levels = |first| [0, 1, 2].map(|l| tokens(first, l));
        assert_eq!(levels(FIRST), [64, 512, 4096]);
        assert_eq!(levels(2000), [2000, 4096, 8000]);
        assert_eq!(levels(8000), [8000, 16_000, 32_000]);
        assert_eq!(tokens(u64::MAX, 9), u64::MAX);
    }

    #[test]
    fn a_refused_level_is_not_tried_again() {
        let mut room = Room::default();
        room.cut(0);
        room.cut(0);
        assert_eq!(room.level(), 1, "one level, however many were cut at it");
        room.cut(1);
        room.cut(2);
        assert_eq!(room.level(), 2);
        room.limit(u32::MAX);
        assert_eq!(room.level(), 2);
        room.limit(1);
        room.cut(1);
        assert_eq!(room.level(), 1);
    }
}
