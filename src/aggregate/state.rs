//! The state of a series, and how it is packed into a hash field.
//!
//! The layout is little-endian: a version byte, then the fields of [`State`] in order and fixed in
//! width, then the open end of the series' history. A version that is not known is refused, never
//! guessed. Whoever shows all series reads the front only.

use super::interval::Interval;
use crate::history::codec::varint::Input;
use crate::history::{Newest, OpenEnd};
use crate::statistic::{Statistic, Statistics, Unpack};
use crate::stream::{EntryId, Position};

/// The layout's version.
const VERSION: u8 = 3;
/// The oldest one that is read: it has no interval. Whatever is written is of [`VERSION`].
const VERSION_MIN: u8 = 2;

/// Everything that is known of a series in one shard, but for its history.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// The number that stands for the series in hashes; from 1, unique within the shard, never
    /// used again.
    pub number: u64,
    /// The last message folded in. A message at or before it is not folded again.
    pub applied: Position,
    /// The numbers themselves.
    pub statistics: Statistics,
    /// XXH3-64 of the attributes shown, so that they are written only when they change; 0 when
    /// none were written.
    pub attributes: u64,
    /// The version of the attributes shown, from 1.
    pub version: u32,
    /// How often messages come; from the time of one entry to that of the next.
    pub interval: Interval,
}

/// A state cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Written by another version of the program. It stays as it is until somebody chooses.
    #[error(
        "a state of version {0}, and this Streamgauge reads versions {VERSION_MIN} to {VERSION} \
         only and leaves it as it is: run the {age} one that wrote it, or begin with an empty \
         data directory",
        age = if *.0 < VERSION { "older" } else { "newer" }
    )]
    Version(u8),
    /// Shorter or longer than its version says, or something else in it is wrong.
    #[error("a state of {0} bytes that is not one of version {VERSION}")]
    Damaged(usize),
}

impl State {
    /// The length of the front of a packed state.
    const BYTES: usize = 1 + 8 + 20 + Statistics::BYTES + 8 + 4 + 4;

    /// Packs the state and the open end of its history.
    #[must_use]
    pub fn pack(&self, open: &OpenEnd) -> Vec<u8> {
        let mut packed = Vec::with_capacity(Self::BYTES + open.bytes() + 64);
        packed.push(VERSION);
        packed.extend_from_slice(&self.number.to_le_bytes());
        packed.extend_from_slice(&self.applied.entry.ms.to_le_bytes());
        packed.extend_from_slice(&self.applied.entry.seq.to_le_bytes());
        packed.extend_from_slice(&self.applied.index.to_le_bytes());
        self.statistics.write(&mut packed);
        packed.extend_from_slice(&self.attributes.to_le_bytes());
        packed.extend_from_slice(&self.version.to_le_bytes());
        packed.extend_from_slice(&self.interval.ms().to_le_bytes());
        open.write(&mut packed);
        packed
    }

    /// Reads the front of a packed state.
    ///
    /// # Errors
    /// [`Unreadable`]: the state was written by another version, or by somebody else.
    pub fn unpack(packed: &[u8]) -> Result<Self, Unreadable> {
        Self::front(packed).map(|(state, _)| state)
    }

    /// Reads all of a packed state.
    ///
    /// # Errors
    /// [`Unreadable`]: the state was written by another version, or by somebody else.
    pub fn unpack_whole(packed: &[u8]) -> Result<(Self, OpenEnd), Unreadable> {
        let (state, rest) = Self::front(packed)?;
        let mut rest = Input(rest);
        match OpenEnd::read(&mut rest) {
            Some(open) if rest.0.is_empty() => Ok((state, open)),
            Some(_) | None => Err(Unreadable::Damaged(packed.len())),
        }
    }

    /// What reading history needs of a packed state; `None` when it cannot be read.
    #[must_use]
    pub fn newest(packed: &[u8]) -> Option<Newest> {
        // The reader counts what it cannot read, whatever the cause.
        let (Self { number, applied, statistics, .. }, open) = Self::unpack_whole(packed).ok()?;
        Some(Newest { number, applied, first_at: statistics.ends.first_at, open })
    }

    /// The front, and the bytes behind it.
    fn front(packed: &[u8]) -> Result<(Self, &[u8]), Unreadable> {
        match packed.split_first() {
            Some((version @ VERSION_MIN..=VERSION, fields)) => {
                let mut fields = Unpack(fields);
                let state = Self::fields(&mut fields, *version);
                Ok((state.ok_or(Unreadable::Damaged(packed.len()))?, fields.0))
            }
            None => Err(Unreadable::Damaged(0)),
            Some((version, _)) => Err(Unreadable::Version(*version)),
        }
    }

    fn fields(packed: &mut Unpack<'_>, version: u8) -> Option<Self> {
        Some(Self {
            number: packed.u64()?,
            applied: Position {
                entry: EntryId { ms: packed.u64()?, seq: packed.u64()? },
                index: packed.u32()?,
            },
            statistics: Statistics::read(packed)?,
            attributes: packed.u64()?,
            version: packed.u32()?,
            interval: match version {
                VERSION_MIN => Interval::default(),
                _ => Interval::of_ms(packed.u32()?),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Resolution, StoredReading};
    use crate::reading::UnixMillis;

    fn state() -> State {
        let mut state = State {
            number: 7,
            applied: Position { entry: EntryId { ms: 5, seq: 1 }, index: 3 },
            attributes: 99,
            version: 2,
            interval: Interval::of_ms(1_500),
            ..State::default()
        };
        state.statistics.fold(-0.0, UnixMillis(-5));
        state
    }

    fn open() -> OpenEnd {
        let mut open = OpenEnd::default();
        for (at, value) in [(120_000, 1.5), (180_000, 2.0), (5, 7.25)] {
            let reading = StoredReading { measured_at: UnixMillis(at), value, attributes: 2 };
            open.keep(reading, UnixMillis(77));
            for resolution in Resolution::ALL {
                open.windows_mut(resolution).fold(resolution, &reading);
            }
        }
        open
    }

    #[test]
    fn a_state_survives_packing() {
        let packed = state().pack(&open());
        assert_eq!(State::unpack(&packed), Ok(state()));
        let (back, end) = State::unpack_whole(&packed).unwrap();
        assert_eq!((back, end.since), (state(), UnixMillis(77)));
        assert!(end.tail.readings().eq(open().tail.readings()));
        for resolution in Resolution::ALL {
            let windows = |open: &OpenEnd| {
                let windows = open.windows(resolution).all(resolution);
                windows.iter().map(|it| (it.start, it.statistics.ends.clone())).collect::<Vec<_>>()
            };
            assert_eq!(windows(&end), windows(&open()));
        }
        // What is packed again has the same meaning, and the same length.
        assert_eq!(state().pack(&end).len(), packed.len());
        let newest = State::newest(&packed).unwrap();
        assert_eq!((newest.number, newest.first_at), (7, UnixMillis(-5)));
        assert_eq!(State::newest(b"else"), None);
    }

    /// The file holds what the last program of version 2 wrote of this state.
    #[test]
    fn a_state_of_version_2_is_read_without_an_interval_and_written_anew() {
        let stored = include_bytes!("testdata/state_of_version_2.bin");
        let (state, end) = State::unpack_whole(stored).unwrap();
        assert_eq!(state, State { interval: Interval::default(), ..self::state() });
        assert_eq!(State::unpack(stored), Ok(state.clone()));
        assert!(end.tail.readings().eq(open().tail.readings()));
        let anew = state.pack(&end);
        assert_eq!((anew[0], anew.len()), (VERSION, stored.len() + 4));
        assert_eq!(State::unpack(&anew), Ok(state));
        for length in 0..stored.len() {
            assert!(State::unpack_whole(&stored[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn a_state_of_another_version_says_what_can_be_done() {
        let said = |version| Unreadable::Version(version).to_string();
        assert!(said(VERSION_MIN - 1).contains("run the older one that wrote it"));
        assert!(said(VERSION + 1).contains("run the newer one that wrote it"));
    }

    #[test]
    fn a_newer_version_is_refused_not_guessed() {
        let mut packed = state().pack(&open());
        packed[0] = VERSION + 1;
        assert_eq!(State::unpack(&packed), Err(Unreadable::Version(VERSION + 1)));
        packed[0] = VERSION;
        for length in 0..packed.len() {
            assert!(State::unpack_whole(&packed[..length]).is_err(), "{length}");
        }
        packed.push(0);
        assert_eq!(State::unpack_whole(&packed), Err(Unreadable::Damaged(packed.len())));
        assert_eq!(State::unpack(&[]), Err(Unreadable::Damaged(0)));
    }
}
