//! Where something stands in a shard's stream.

use std::fmt;
use std::str::FromStr;

/// The id of a stream entry: `ms-seq`, ordered as Redis orders it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// Milliseconds of the server's clock, never going backwards within a stream.
    pub ms: u64,
    /// Number within the millisecond.
    pub seq: u64,
}

impl EntryId {
    /// Before every entry.
    pub const ZERO: Self = Self { ms: 0, seq: 0 };

    /// Reads `ms-seq`; `None` when it is not one.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        std::str::from_utf8(text).ok()?.parse().ok()
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

impl FromStr for EntryId {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (ms, seq) = text.split_once('-').ok_or(NotAPosition)?;
        let number = |part: &str| part.parse().map_err(|_: std::num::ParseIntError| NotAPosition);
        Ok(Self { ms: number(ms)?, seq: number(seq)? })
    }
}

/// The place of one message within its shard: entry and index. Written `ms-seq.index`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The entry that carries the message.
    pub entry: EntryId,
    /// Its place in the entry, from 0.
    pub index: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.entry, self.index)
    }
}

impl FromStr for Position {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (entry, index) = text.rsplit_once('.').ok_or(NotAPosition)?;
        let index = index.parse().map_err(|_: std::num::ParseIntError| NotAPosition)?;
        Ok(Self { entry: entry.parse()?, index })
    }
}

/// The text is not `ms-seq` or `ms-seq.index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a position: expected milliseconds-sequence, as in 1700000000000-0.0")]
pub struct NotAPosition;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_survive_their_text_and_order_as_numbers() {
        let early: Position = "9-10.3".parse().unwrap();
        let late: Position = "10-9.2".parse().unwrap();
        assert!(early < late);
        assert_eq!(late.to_string(), "10-9.2");
        for wrong in ["", "1", "1-2", "1-2.x", "a-2.1", "-2.1"] {
            assert_eq!(wrong.parse::<Position>(), Err(NotAPosition), "{wrong}");
        }
    }
}
