//! What a shard keeps of history: spans, their bytes, their last write. No I/O, no clock.
//!
//! It is a hash per shard. Field: the text of a [`Span`]; value: `<bytes> <last write ms>`. A
//! commit writes the fields of the spans it wrote to. Fields `e:readings`, `e:minutes`, `e:hours`
//! hold milliseconds: everything of that share before this time may be incomplete, because a span
//! that ended there was evicted. They only grow, and are absent until something was evicted.
//!
//! Bytes are what Redis needs in memory, reckoned by [`field_cost`] for each field of a span's
//! hash; asking Redis itself would cost it a walk over every field.

use std::collections::BTreeMap;
use std::fmt;

use super::budget::Cut;
use super::span::{Retentions, Share, Span, after};
use crate::reading::UnixMillis;

/// What a span takes beside its fields: 128 bytes for the empty hash and its key, which is what
/// MEMORY USAGE says, a slot in the table of keys, and its own field in the inventory.
pub const SPAN_BYTES: u64 = 224;

/// A dictEntry of Redis 7.0: pointers to key, value and next, as MEMORY USAGE reckons it.
const ENTRY_BYTES: u64 = 24;
/// The slots of a hash table are pointers; their number is the power of two that is not below the
/// number of fields, so that a field takes 8 to 16 bytes of them. The middle is 4 % off at most
/// where fields are as small as they get.
const SLOTS_BYTES: u64 = 12;

/// What one field of a hash takes in Redis, in bytes: its entry, its share of the table, and both
/// strings (sds) rounded up to the size classes of jemalloc.
///
/// It holds for hashes that are tables, which those with more than 128 fields or with a value
/// over 64 bytes are. Smaller ones take less. Newer servers keep the field within its entry and
/// take a few bytes less.
#[must_use]
pub const fn field_cost(field_bytes: usize, value_bytes: usize) -> u64 {
    ENTRY_BYTES + SLOTS_BYTES + string_cost(field_bytes) + string_cost(value_bytes)
}

/// An sds: a header that grows with the text, the text, a zero byte.
const fn string_cost(bytes: usize) -> u64 {
    let header = match bytes {
        // Redis takes the next larger header for an empty text; both round up to the same.
        0..32 => 1,
        32..256 => 3,
        256..65_536 => 5,
        _ => 9,
    };
    size_class(header + bytes as u64 + 1)
}

/// What jemalloc hands out when asked for `bytes`: 8, then multiples of 16 up to 128, then four
/// classes to each power of two (jemalloc(3), "Size classes").
const fn size_class(bytes: u64) -> u64 {
    let step = match bytes {
        0..=8 => 8,
        9..=128 => 16,
        _ => 1 << ((bytes - 1).ilog2() - 2),
    };
    bytes.next_multiple_of(step)
}

/// What is recorded of one span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// What its fields take in Redis, as [`field_cost`] reckons.
    pub bytes: u64,
    /// When something was last written to it, by the clock of who wrote.
    pub last_write: UnixMillis,
}

impl Kept {
    /// Reads a value of the hash; `None` when it is not one.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (bytes, last_write) = std::str::from_utf8(value).ok()?.split_once(' ')?;
        Some(Self { bytes: bytes.parse().ok()?, last_write: UnixMillis(last_write.parse().ok()?) })
    }
}

/// Writes the value of the hash.
impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.bytes, self.last_write)
    }
}

/// The field that says up to where a share may be incomplete; its value is the decimal text of
/// the milliseconds.
#[must_use]
pub fn horizon_field(share: Share) -> String {
    format!("e:{}", share.name())
}

/// What one shard keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    spans: BTreeMap<Span, Kept>,
    evicted: [Option<UnixMillis>; 3],
    faults: u64,
}

impl Inventory {
    /// Takes the hash as Redis returns it; a pair that cannot be read is counted and left out.
    pub fn parse<F: AsRef<[u8]>>(fields: impl IntoIterator<Item = (F, F)>) -> Self {
        let mut inventory = Self::default();
        for (field, value) in fields {
            if inventory.take(field.as_ref(), value.as_ref()).is_none() {
                inventory.faults += 1;
            }
        }
        inventory
    }

    fn take(&mut self, field: &[u8], value: &[u8]) -> Option<()> {
        let field = std::str::from_utf8(field).ok()?;
        if let Some(name) = field.strip_prefix("e:") {
            let share = Share::ALL.into_iter().find(|share| share.name() == name)?;
            let horizon = std::str::from_utf8(value).ok()?.parse().ok()?;
            self.evicted[share.index()] = Some(UnixMillis(horizon));
        } else {
            self.spans.insert(Span::parse(field)?, Kept::parse(value)?);
        }
        Some(())
    }

    /// Records a write `now` to a span, which made its fields take so many bytes more, or less.
    /// Gives what the span's field in the hash is after it.
    pub fn add(&mut self, span: Span, bytes_delta: i64, now: UnixMillis) -> Kept {
        let kept = self.spans.entry(span).or_insert(Kept { bytes: 0, last_write: now });
        kept.bytes = kept.bytes.saturating_add_signed(bytes_delta);
        kept.last_write = kept.last_write.max(now);
        *kept
    }

    /// Records that fields of a span were removed, which took so many bytes. That is no write: what
    /// is left is kept no longer for it.
    pub fn lessen(&mut self, span: Span, bytes: u64) {
        if let Some(kept) = self.spans.get_mut(&span) {
            kept.bytes = kept.bytes.saturating_sub(bytes);
        }
    }

    /// Records that a span was evicted: its share may be incomplete up to the span's end. `None`
    /// when it was not there, which changes nothing.
    pub fn remove(&mut self, span: Span) -> Option<Kept> {
        let kept = self.spans.remove(&span)?;
        let evicted = &mut self.evicted[span.shelf.share().index()];
        *evicted = (*evicted).max(Some(span.end()));
        Some(kept)
    }

    /// What is recorded of a span.
    #[must_use]
    pub fn get(&self, span: Span) -> Option<Kept> {
        self.spans.get(&span).copied()
    }

    /// All spans and what is recorded of them, by shelf and time.
    pub fn iter(&self) -> impl Iterator<Item = (Span, Kept)> + '_ {
        self.spans.iter().map(|(span, kept)| (*span, *kept))
    }

    /// Before when a share may be incomplete; `None`: nothing of it was ever evicted.
    #[must_use]
    pub const fn evicted(&self, share: Share) -> Option<UnixMillis> {
        self.evicted[share.index()]
    }

    /// How many pairs could not be read.
    #[must_use]
    pub const fn faults(&self) -> u64 {
        self.faults
    }

    /// What each share takes, with [`SPAN_BYTES`] for each of its spans; by [`Share::index`].
    #[must_use]
    pub fn totals(&self) -> [u64; 3] {
        let mut totals = [0; 3];
        for (span, kept) in self.iter() {
            totals[span.shelf.share().index()] += kept.bytes + SPAN_BYTES;
        }
        totals
    }

    /// The span of a share that ends first.
    #[must_use]
    pub fn oldest(&self, share: Share) -> Option<Span> {
        self.of(share).min_by_key(|span| span.end())
    }

    /// The span of a share that ends last.
    #[must_use]
    pub fn newest(&self, share: Share) -> Option<Span> {
        self.of(share).max_by_key(|span| span.end())
    }

    fn of(&self, share: Share) -> impl Iterator<Item = Span> {
        self.spans.keys().copied().filter(move |span| span.shelf.share() == share)
    }

    /// The spans that are kept no longer: a retention has passed since they ended, and since the
    /// last write. Old readings that arrive today are kept as long as new ones, and the rest of
    /// their span with them.
    #[must_use]
    pub fn expired(&self, now: UnixMillis, retentions: &Retentions) -> Vec<Span> {
        let is_over = |(span, kept): &(Span, Kept)| {
            let retention = retentions.of(span.shelf.share());
            after(span.end().max(kept.last_write), retention) <= now
        };
        self.iter().filter(is_over).map(|(span, _)| span).collect()
    }

    /// The spans that must go to fit the budget.
    #[must_use]
    pub fn before(&self, cut: &Cut) -> Vec<Span> {
        self.spans.keys().copied().filter(|span| cut.takes(*span)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::history::{HOUR_MS, Shelf};
    use crate::stream::testing::RedisServer;

    const MINUTE: Duration = Duration::from_secs(60);

    fn span(shelf: Shelf, index: i64) -> Span {
        Span { shelf, index }
    }

    fn hour(index: i64) -> Span {
        span(Shelf::ReadingsByHour, index)
    }

    #[test]
    fn a_value_survives_its_text() {
        for (bytes, last_write) in [(0, -5), (u64::MAX, i64::MAX)] {
            let kept = Kept { bytes, last_write: UnixMillis(last_write) };
            assert_eq!(Kept::parse(kept.to_string().as_bytes()), Some(kept));
        }
        for wrong in ["", "1", "1 ", " 1", "-1 1", "1 1 1", "18446744073709551616 1", "1  1"] {
            assert_eq!(Kept::parse(wrong.as_bytes()), None, "{wrong:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_counted_and_left_out() {
        let inventory = Inventory::parse([
            ("h:h3", "160 9"),
            ("w:h1", "20 7"),
            ("e:minutes", "55"),
            ("e:weeks", "55"),
            ("e:hours", "soon"),
            ("h:x3", "160 9"),
            ("h:d3", "160"),
        ]);
        assert_eq!(inventory.faults(), 4);
        let spans: Vec<_> = inventory.iter().map(|(span, kept)| (span, kept.bytes)).collect();
        assert_eq!(spans, [(hour(3), 160), (span(Shelf::HoursByDay, 1), 20)]);
        assert_eq!(inventory.evicted(Share::Minutes), Some(UnixMillis(55)));
        assert_eq!(inventory.evicted(Share::Hours), None);
        assert_eq!(inventory.totals(), [160 + SPAN_BYTES, 0, 20 + SPAN_BYTES]);
    }

    #[test]
    fn writes_add_up_and_the_last_one_never_goes_back() {
        let mut inventory = Inventory::default();
        inventory.add(hour(1), 100, UnixMillis(50));
        inventory.add(hour(1), -30, UnixMillis(40));
        assert_eq!(inventory.get(hour(1)), Some(Kept { bytes: 70, last_write: UnixMillis(50) }));
        let kept = inventory.add(hour(1), -1000, UnixMillis(60));
        assert_eq!(kept.to_string(), "0 60");
    }

    /// Each deletion of a sensor once kept the spans that it had been in for another retention.
    #[test]
    fn what_is_deleted_from_a_span_does_not_keep_the_rest_longer() {
        let mut inventory = Inventory::default();
        inventory.add(hour(1), 100, UnixMillis(50));
        inventory.lessen(hour(1), 30);
        assert_eq!(inventory.get(hour(1)), Some(Kept { bytes: 70, last_write: UnixMillis(50) }));
        inventory.lessen(hour(1), 1_000);
        inventory.lessen(hour(2), 1);
        assert_eq!(inventory.get(hour(1)).map(|kept| kept.bytes), Some(0));
        assert_eq!(inventory.get(hour(2)), None);
    }

    #[test]
    fn evicting_raises_the_horizon_of_its_share_and_never_lowers_it() {
        let mut inventory = Inventory::default();
        for index in [1, 2, 3] {
            inventory.add(hour(index), 1, UnixMillis(0));
        }
        assert_eq!(inventory.remove(hour(2)).map(|kept| kept.bytes), Some(1));
        assert_eq!(inventory.remove(hour(1)).map(|kept| kept.bytes), Some(1));
        assert_eq!(inventory.remove(hour(9)), None);
        assert_eq!(inventory.evicted(Share::Readings), Some(UnixMillis(3 * HOUR_MS)));
        assert_eq!(inventory.evicted(Share::Minutes), None);
    }

    #[test]
    fn the_oldest_and_newest_are_found_over_both_shelves_of_readings() {
        let mut inventory = Inventory::default();
        for it in [hour(30), span(Shelf::ReadingsByDay, 0), span(Shelf::ReadingsByDay, 1)] {
            inventory.add(it, 1, UnixMillis(0));
        }
        assert_eq!(inventory.oldest(Share::Readings), Some(span(Shelf::ReadingsByDay, 0)));
        assert_eq!(inventory.newest(Share::Readings), Some(span(Shelf::ReadingsByDay, 1)));
        assert_eq!(inventory.oldest(Share::Hours), None);
    }

    #[test]
    fn a_span_expires_a_retention_after_its_end_and_its_last_write() {
        let mut inventory = Inventory::default();
        inventory.add(hour(0), 1, UnixMillis(5));
        inventory.add(hour(1), 1, UnixMillis(5));
        inventory.add(span(Shelf::MinutesByHour, 0), 1, UnixMillis(2 * HOUR_MS));
        let retentions = Retentions { readings: MINUTE, minutes: 2 * MINUTE, hours: Duration::MAX };
        let at = |now| inventory.expired(UnixMillis(now), &retentions);
        assert_eq!(at(HOUR_MS + 59_999), []);
        assert_eq!(at(HOUR_MS + 60_000), [hour(0)]);
        assert_eq!(at(2 * HOUR_MS + 60_000), [hour(0), hour(1)]);
        let minutes = span(Shelf::MinutesByHour, 0);
        assert_eq!(at(2 * HOUR_MS + 120_000), [hour(0), hour(1), minutes]);
        inventory.add(span(Shelf::HoursByDay, 0), 1, UnixMillis(0));
        let long_after = inventory.expired(UnixMillis(i64::MAX - 1), &retentions);
        assert!(!long_after.contains(&span(Shelf::HoursByDay, 0)));
    }

    #[test]
    fn what_ended_at_or_before_the_cut_must_go() {
        let mut inventory = Inventory::default();
        for it in [hour(0), hour(1), hour(2), span(Shelf::MinutesByHour, 0)] {
            inventory.add(it, 1, UnixMillis(0));
        }
        let cut = Cut { before: [Some(UnixMillis(2 * HOUR_MS)), None, None] };
        assert_eq!(inventory.before(&cut), [hour(0), hour(1)]);
        assert_eq!(inventory.before(&Cut::default()), []);
    }

    #[test]
    fn sizes_are_rounded_up_as_jemalloc_does() {
        let asked = [1, 8, 9, 64, 65, 128, 129, 160, 161, 257, 1025, 16_385];
        let given = [8, 8, 16, 64, 80, 128, 160, 160, 192, 320, 1280, 20_480];
        assert_eq!(asked.map(size_class), given);
    }

    /// Fills a hash, and finds things in it until its table has stopped growing.
    const FILL: &str = "redis.call('DEL', KEYS[1]) \
        local value = string.rep('x', tonumber(ARGV[2])) \
        for i = 1, tonumber(ARGV[1]) do redis.call('HSET', KEYS[1], i + 100, value) end \
        for i = 1, 2 * tonumber(ARGV[1]) do redis.call('HGET', KEYS[1], i) end";

    #[tokio::test]
    async fn what_a_field_costs_is_what_redis_says() {
        let redis = RedisServer::start(&[]).await;
        let key = b"{sg:3}h:h475000".as_slice();
        for fields in [1_000_u32, 1_024, 1_500, 3_000, 10_000, 20_000] {
            for value_bytes in [50_usize, 61, 124, 125, 300, 1_000, 2_000] {
                let (count, length) = (fields.to_string(), value_bytes.to_string());
                let fill = [b"EVAL", FILL.as_bytes(), b"1", key, count.as_bytes()];
                redis.run(&[&fill[..], &[length.as_bytes()]].concat()).await;
                let usage = redis.run(&[b"MEMORY", b"USAGE", key, b"SAMPLES", b"0"]).await;
                let redis::Value::Int(said) = usage else { panic!("{usage:?}") };
                let names = (1..=fields).map(|i| (i + 100).to_string().len());
                let reckoned: u64 = names.map(|name| field_cost(name, value_bytes)).sum();
                let off = (reckoned + SPAN_BYTES) as f64 / said as f64 - 1.0;
                assert!(off.abs() < 0.05, "{fields} × {value_bytes}: {reckoned} for {said}");
            }
        }
    }
}
