//! The state of a series, and how it is packed into a hash field.
//!
//! The layout is little-endian and fixed: a version byte, then the fields of [`State`] in order.
//! A version that is not known is refused, never guessed.

use crate::history::{Newest, OpenBlock};
use crate::statistic::{Statistic, Statistics, Unpack};
use crate::stream::{EntryId, Position};

/// The layout's version.
const VERSION: u8 = 2;

/// Everything that is known of a series in one shard.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// The number that stands for the series in key names; from 1, unique within the shard, never
    /// used again.
    pub number: u64,
    /// The last message folded in. A message at or before it is not folded again.
    pub applied: Position,
    /// The numbers themselves.
    pub statistics: Statistics,
    /// XXH3-64 of the attributes shown, so that they are written only when they change; 0 when
    /// none were written.
    pub attributes: u64,
    /// The newest history block.
    pub open: OpenBlock,
}

/// A state cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Written by a newer version of the program.
    #[error("a state of version {0}; this program knows version {VERSION}")]
    Version(u8),
    /// Shorter or longer than its version says.
    #[error("a state of {0} bytes; version {VERSION} has {expected}", expected = State::BYTES)]
    Length(usize),
}

impl State {
    /// The length of a packed state.
    pub const BYTES: usize = 1 + 8 + 20 + Statistics::BYTES + 8 + 12;

    /// Packs the state.
    #[must_use]
    pub fn pack(&self) -> Vec<u8> {
        let mut packed = Vec::with_capacity(Self::BYTES);
        packed.push(VERSION);
        packed.extend_from_slice(&self.number.to_le_bytes());
        packed.extend_from_slice(&self.applied.entry.ms.to_le_bytes());
        packed.extend_from_slice(&self.applied.entry.seq.to_le_bytes());
        packed.extend_from_slice(&self.applied.index.to_le_bytes());
        self.statistics.write(&mut packed);
        packed.extend_from_slice(&self.attributes.to_le_bytes());
        packed.extend_from_slice(&self.open.span.to_le_bytes());
        packed.extend_from_slice(&self.open.bytes.to_le_bytes());
        packed
    }

    /// Reads a packed state.
    ///
    /// # Errors
    /// [`Unreadable`]: the state was written by another version, or by somebody else.
    pub fn unpack(packed: &[u8]) -> Result<Self, Unreadable> {
        match packed.first() {
            Some(&VERSION) if packed.len() == Self::BYTES => {
                Self::fields(&mut Unpack(&packed[1..])).ok_or(Unreadable::Length(packed.len()))
            }
            Some(&VERSION) | None => Err(Unreadable::Length(packed.len())),
            Some(&version) => Err(Unreadable::Version(version)),
        }
    }

    /// What reading history needs of a packed state; `None` when it cannot be read.
    #[must_use]
    pub fn newest(packed: &[u8]) -> Option<Newest> {
        // The reader counts what it cannot read, whatever the cause.
        let Self { number, applied, open, .. } = Self::unpack(packed).ok()?;
        Some(Newest { number, applied, open })
    }

    fn fields(packed: &mut Unpack<'_>) -> Option<Self> {
        Some(Self {
            number: packed.u64()?,
            applied: Position {
                entry: EntryId { ms: packed.u64()?, seq: packed.u64()? },
                index: packed.u32()?,
            },
            statistics: Statistics::read(packed)?,
            attributes: packed.u64()?,
            open: OpenBlock { span: packed.i64()?, bytes: packed.u32()? },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::UnixMillis;

    fn state() -> State {
        let mut state = State {
            number: 7,
            applied: Position { entry: EntryId { ms: 5, seq: 1 }, index: 3 },
            attributes: 99,
            open: OpenBlock { span: -2, bytes: 32 },
            ..State::default()
        };
        state.statistics.fold(-0.0, UnixMillis(-5));
        state
    }

    #[test]
    fn a_state_survives_packing() {
        let packed = state().pack();
        assert_eq!(packed.len(), State::BYTES);
        assert_eq!(State::unpack(&packed), Ok(state()));
        let State { number, applied, open, .. } = state();
        assert_eq!(State::newest(&packed), Some(Newest { number, applied, open }));
        assert_eq!(State::newest(b"else"), None);
    }

    #[test]
    fn a_newer_version_is_refused_not_guessed() {
        let mut packed = state().pack();
        packed[0] = VERSION + 1;
        assert_eq!(State::unpack(&packed), Err(Unreadable::Version(VERSION + 1)));
        packed[0] = VERSION;
        packed.pop();
        assert_eq!(State::unpack(&packed), Err(Unreadable::Length(State::BYTES - 1)));
        assert_eq!(State::unpack(&[]), Err(Unreadable::Length(0)));
    }
}
