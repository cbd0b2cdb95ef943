//! Which blocks a series has: a hash per series, from span to length and expiry.
//!
//! Field: the span in decimal. Value: `<bytes> <expires_at ms>`. The commit writes a field when it
//! writes a block that is not the state's open one, when a newer span closes the open block (its
//! final length), and when an open block is begun. The open block's length is only in the state,
//! so that a commit which only adds to it does not write here; its field may lag behind.

use std::collections::BTreeMap;
use std::fmt;

use crate::reading::UnixMillis;

/// What is recorded of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// How many bytes are valid.
    pub bytes: u32,
    /// When Redis drops it, by the clock of who wrote it.
    pub expires_at: UnixMillis,
}

impl Kept {
    /// Reads a value of the hash; `None` when it is not one.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (bytes, expires_at) = std::str::from_utf8(value).ok()?.split_once(' ')?;
        Some(Self { bytes: bytes.parse().ok()?, expires_at: UnixMillis(expires_at.parse().ok()?) })
    }
}

/// Writes the value of the hash.
impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.bytes, self.expires_at)
    }
}

/// The field of a span in the hash.
#[must_use]
pub fn span_field(span: i64) -> String {
    span.to_string()
}

/// The blocks of one series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spans {
    kept: BTreeMap<i64, Kept>,
    faults: u64,
}

impl Spans {
    /// Takes the hash as Redis returns it; a pair that cannot be read is counted and left out.
    pub fn from_fields<F: AsRef<[u8]>>(fields: impl IntoIterator<Item = (F, F)>) -> Self {
        let mut spans = Self::default();
        for (field, value) in fields {
            let span = std::str::from_utf8(field.as_ref()).ok().and_then(|text| text.parse().ok());
            match (span, Kept::parse(value.as_ref())) {
                (Some(span), Some(kept)) => spans.set(span, kept),
                (None, _) | (_, None) => spans.faults += 1,
            }
        }
        spans
    }

    /// Records a block, or what became of it.
    pub fn set(&mut self, span: i64, kept: Kept) {
        self.kept.insert(span, kept);
    }

    /// Where the next reading of a block goes: its length, or 0 when it is not known or has
    /// expired by `now`, and so begins anew.
    #[must_use]
    pub fn end_of(&self, span: i64, now: UnixMillis) -> u32 {
        self.kept.get(&span).filter(|kept| kept.expires_at > now).map_or(0, |kept| kept.bytes)
    }

    /// Takes out what has expired by `now` and returns the spans, for an HDEL. The open block's
    /// field is left alone: its expiry moves with every commit and is not recorded here.
    pub fn prune(&mut self, now: UnixMillis, open: i64) -> Vec<i64> {
        let expired = |span: &i64, kept: &Kept| *span != open && kept.expires_at <= now;
        self.kept.extract_if(.., |span, kept| expired(span, kept)).map(|(span, _)| span).collect()
    }

    /// Spans and what is recorded of them, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (i64, Kept)> + '_ {
        self.kept.iter().map(|(span, kept)| (*span, *kept))
    }

    /// How many pairs could not be read.
    #[must_use]
    pub const fn faults(&self) -> u64 {
        self.faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(bytes: u32, expires_at: i64) -> Kept {
        Kept { bytes, expires_at: UnixMillis(expires_at) }
    }

    #[test]
    fn a_value_survives_its_text() {
        for value in [kept(0, -5), kept(u32::MAX, i64::MAX)] {
            assert_eq!(Kept::parse(value.to_string().as_bytes()), Some(value));
        }
        for wrong in ["", "1", "1 ", " 1", "-1 1", "1 1 1", "4294967296 1", "a 1", "1  1"] {
            assert_eq!(Kept::parse(wrong.as_bytes()), None, "{wrong:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_counted_and_left_out() {
        let spans = Spans::from_fields([("-3", "16 9"), ("x", "16 9"), ("4", "?"), ("2", "32 7")]);
        assert_eq!(spans.faults(), 2);
        assert_eq!(spans.iter().collect::<Vec<_>>(), [(-3, kept(16, 9)), (2, kept(32, 7))]);
    }

    #[test]
    fn an_expired_block_begins_anew() {
        let spans = Spans::from_fields([("1", "160 1000")]);
        assert_eq!(spans.end_of(1, UnixMillis(999)), 160);
        assert_eq!(spans.end_of(1, UnixMillis(1000)), 0);
        assert_eq!(spans.end_of(2, UnixMillis(0)), 0);
    }

    #[test]
    fn pruning_takes_what_expired_but_never_the_open_block() {
        let mut spans = Spans::from_fields([("1", "16 10"), ("2", "16 20"), ("3", "16 10")]);
        assert_eq!(spans.prune(UnixMillis(15), 3), [1]);
        assert_eq!(spans.iter().map(|(span, _)| span).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(spans.prune(UnixMillis(15), 3), [0_i64; 0]);
    }
}
