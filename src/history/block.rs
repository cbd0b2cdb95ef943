//! Blocks: one series' readings of one span, in order of arrival.
//!
//! A span is an hour of `measured_at`. A reading takes 16 bytes: milliseconds since 1970 as an
//! `i64`, then the value as an `f64`, both little-endian. A block only ever grows at its recorded
//! end, so bytes before a recorded length never change, and a reader that knows the length needs
//! no lock.

use std::time::Duration;

use crate::reading::UnixMillis;
use crate::stream::Position;

/// How long a span is: one hour. Small enough to expire soon, large enough that a reading a second
/// shares its key with 3,599 others.
pub const SPAN_MS: i64 = 3_600_000;

/// What one reading takes.
pub const POINT_BYTES: usize = 16;

/// A block is not written beyond this; what comes after is dropped from history and counted.
/// Half of what a Redis string may hold, and 4,660 readings a second of one series.
pub const BLOCK_BYTES_MAX: u32 = 256 << 20;

/// The newest history block of a series: a reader takes it only up to the length recorded here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenBlock {
    /// Its span (see [`span_of`]).
    pub span: i64,
    /// How many bytes of it are valid; 0 when the series has no block yet.
    pub bytes: u32,
}

/// What a reader of history needs of a series' state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newest {
    /// The number that stands for the series in key names.
    pub number: u64,
    /// The last message folded in.
    pub applied: Position,
    /// The newest block.
    pub open: OpenBlock,
}

/// The span that a time belongs to: hours since 1970, rounded down, negative before.
#[must_use]
pub const fn span_of(measured_at: UnixMillis) -> i64 {
    measured_at.0.div_euclid(SPAN_MS)
}

/// When a span begins.
#[must_use]
pub const fn span_start(span: i64) -> UnixMillis {
    UnixMillis(span.saturating_mul(SPAN_MS))
}

/// When a span has ended: the first millisecond after it.
#[must_use]
pub const fn span_end(span: i64) -> UnixMillis {
    span_start(span.saturating_add(1))
}

/// When a block that is written `now` expires: `retention` after that, and never before its span
/// has ended and `retention` has passed. Old readings that arrive today are kept as long as new.
#[must_use]
pub fn expires_at(span: i64, now: UnixMillis, retention: Duration) -> UnixMillis {
    let retention = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
    UnixMillis(span_end(span).max(now).0.saturating_add(retention))
}

/// Appends one reading to the bytes of a block.
pub fn write_point(measured_at: UnixMillis, value: f64, block: &mut Vec<u8>) {
    block.extend_from_slice(&measured_at.0.to_le_bytes());
    block.extend_from_slice(&value.to_le_bytes());
}

/// The readings in the bytes of a block, in order of arrival. A torn last one is ignored.
pub fn points(block: &[u8]) -> impl ExactSizeIterator<Item = (UnixMillis, f64)> + '_ {
    let (points, _torn) = block.as_chunks::<POINT_BYTES>();
    points.iter().map(|point| {
        let (halves, _none) = point.as_chunks::<8>();
        (UnixMillis(i64::from_le_bytes(halves[0])), f64::from_le_bytes(halves[1]))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_time_belongs_to_the_hour_it_lies_in() {
        let check = |ms, span| {
            assert_eq!(span_of(UnixMillis(ms)), span, "{ms}");
            assert!(span_start(span) <= UnixMillis(ms) && UnixMillis(ms) <= span_end(span), "{ms}");
        };
        check(0, 0);
        check(SPAN_MS - 1, 0);
        check(SPAN_MS, 1);
        check(-1, -1);
        check(-SPAN_MS, -1);
        check(-SPAN_MS - 1, -2);
        check(i64::MAX, i64::MAX / SPAN_MS);
        check(i64::MIN, i64::MIN / SPAN_MS - 1);
    }

    #[test]
    fn a_block_expires_a_retention_after_writing_and_after_its_span() {
        let retention = Duration::from_secs(60);
        let check = |span, now, expected| {
            assert_eq!(expires_at(span, UnixMillis(now), retention), UnixMillis(expected));
        };
        check(0, 5, SPAN_MS + 60_000);
        check(0, SPAN_MS + 7, SPAN_MS + 60_007);
        check(i64::MAX, 0, i64::MAX);
        let forever = expires_at(0, UnixMillis(0), Duration::MAX);
        assert_eq!(forever, UnixMillis(i64::MAX));
    }

    proptest! {
        #[test]
        fn readings_survive_a_block_and_a_torn_tail(
            readings in prop::collection::vec((any::<i64>(), -1e300..1e300f64), 0..40),
            torn in 0..POINT_BYTES,
        ) {
            let mut block = Vec::new();
            for &(at, value) in &readings {
                write_point(UnixMillis(at), value, &mut block);
            }
            prop_assert_eq!(block.len(), readings.len() * POINT_BYTES);
            block.extend_from_slice(&[7; POINT_BYTES][..torn]);
            let back: Vec<_> = points(&block).map(|(at, value)| (at.0, value)).collect();
            prop_assert_eq!(back, readings);
        }
    }
}
