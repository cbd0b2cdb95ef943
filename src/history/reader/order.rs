//! Readings in the order of an answer, and only so many. No I/O, no clock.
//!
//! Readings come as they arrived, which is nearly in order, and all sorting is stable: so of one
//! time and shard a reading has the same offset in every answer, whatever else is in it.

use crate::history::answer::{Point, Range, SeriesReadings};
use crate::history::span::StoredReading;
use crate::reading::UnixMillis;
use crate::shard::ShardId;

/// Readings of the open ends that belong to a group, by shard, each in order of arrival.
pub(super) type Tails = Vec<(ShardId, Vec<StoredReading>)>;

/// Readings on their way into an answer.
pub(super) struct Gathered<'a> {
    range: &'a Range,
    found: SeriesReadings,
    /// So many of the found are in their final order and have their offsets. The others are in no
    /// order, but never more than twice what may still be taken.
    settled: usize,
    /// How many readings at the cursor's time came, of its shard.
    passed: u64,
}

impl<'a> Gathered<'a> {
    pub(super) fn new(range: &'a Range) -> Self {
        Self { range, found: SeriesReadings::default(), settled: 0, passed: 0 }
    }

    /// Takes readings of a shard, those of one time in order of arrival.
    pub(super) fn take(&mut self, shard: ShardId, readings: &[StoredReading]) {
        let (from, to) = (self.range.begin(), self.range.to);
        for reading in readings {
            if (from..to).contains(&reading.measured_at) && self.is_behind(shard, reading) {
                let StoredReading { measured_at, value, attributes } = *reading;
                self.found.readings.push(Point {
                    measured_at,
                    value,
                    shard,
                    offset: 0,
                    attributes,
                });
            }
        }
        // One more than may be taken stays, to know that there is more.
        let keep = self.room().saturating_add(1);
        if (self.found.readings.len() - self.settled) / 2 > keep {
            self.sort();
            self.found.readings.truncate(self.settled + keep);
        }
    }

    /// Whether a reading stands behind the cursor.
    fn is_behind(&mut self, shard: ShardId, reading: &StoredReading) -> bool {
        let Some(after) = self.range.after else { return true };
        if reading.measured_at != after.measured_at || shard != after.shard {
            return (reading.measured_at, shard) > (after.measured_at, after.shard);
        }
        self.passed += 1;
        self.passed - 1 > after.offset
    }

    /// All readings before `boundary` that are stored have come.
    pub(super) fn settle(&mut self, boundary: UnixMillis, tails: &mut Tails) {
        for (shard, tail) in tails {
            let due: Vec<_> = tail.extract_if(.., |it| it.measured_at < boundary).collect();
            self.take(*shard, &due);
        }
        self.sort();
        let open = &mut self.found.readings[self.settled..];
        let settled = open.partition_point(|point| point.measured_at < boundary);
        // Those of one time and shard are settled at once.
        let mut last = None;
        for point in &mut open[..settled] {
            let place = (point.measured_at, point.shard);
            let offset = match last {
                Some((before, offset)) if before == place => offset + 1,
                Some(_) | None => self.range.after.map_or(0, |after| {
                    let is_split = (after.measured_at, after.shard) == place;
                    if is_split { after.offset.saturating_add(1) } else { 0 }
                }),
            };
            point.offset = offset;
            last = Some((place, offset));
        }
        self.settled += settled;
    }

    fn sort(&mut self) {
        self.found.readings[self.settled..].sort_by_key(|point| (point.measured_at, point.shard));
    }

    /// Whether more is settled than may be taken.
    pub(super) const fn is_full(&self) -> bool {
        self.settled > self.range.limit
    }

    pub(super) fn room(&self) -> usize {
        self.range.limit.saturating_sub(self.settled)
    }

    pub(super) fn finish(mut self) -> SeriesReadings {
        self.found.more = self.is_full();
        self.found.readings.truncate(self.range.limit);
        self.found
    }
}
