//! Which committed entries may be trimmed: those read longer ago than the retention, and those
//! beyond the bytes that a shard's stream may keep.
//!
//! Time is the owner's own monotonic clock: an entry's id is the server's time, and the two need
//! not agree.

use std::collections::VecDeque;
use std::time::Duration;

use crate::stream::EntryId;

/// Committed bytes that stay in a shard's stream (design §4).
const BYTES_MAX: usize = 8 << 20;

/// The committed batches that are still in the stream, oldest first.
#[derive(Debug)]
pub(super) struct Trail {
    retention: Duration,
    batches: VecDeque<Committed>,
    bytes: usize,
}

/// A committed batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Committed {
    /// Its last entry.
    pub last: EntryId,
    /// When its first entry was read.
    pub read_at: Duration,
    /// What its entries take in the stream.
    pub bytes: usize,
}

impl Trail {
    pub const fn new(retention: Duration) -> Self {
        Self { retention, batches: VecDeque::new(), bytes: 0 }
    }

    /// What Redis holds is committed up to `pos` and no further: a server that came back with
    /// less has entries pending again that were committed once, and they must not be trimmed.
    /// What others committed stays for as long as if it had been read `now`.
    pub fn begin(&mut self, pos: EntryId, now: Duration) {
        while let Some(reverted) = self.batches.pop_back_if(|newest| newest.last > pos) {
            self.bytes -= reverted.bytes;
        }
        self.add(Committed { last: pos, read_at: now, bytes: 0 });
    }

    /// A batch behind all others was committed.
    pub fn add(&mut self, batch: Committed) {
        self.bytes += batch.bytes;
        self.batches.push_back(batch);
    }

    /// The first entry that stays; `None` when nothing may go. What it lets go is forgotten.
    pub fn cut(&mut self, now: Duration) -> Option<EntryId> {
        let mut stays = None;
        while let Some(oldest) = self.batches.front() {
            if !self.may_go(oldest, now) {
                break;
            }
            // Ids are counted up, so the next possible one is the first that stays.
            stays = Some(EntryId { ms: oldest.last.ms, seq: oldest.last.seq + 1 });
            self.bytes -= oldest.bytes;
            self.batches.pop_front();
        }
        stays
    }

    fn may_go(&self, oldest: &Committed, now: Duration) -> bool {
        self.bytes > BYTES_MAX || now.saturating_sub(oldest.read_at) > self.retention
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committed(ms: u64, read_at: u64, bytes: usize) -> Committed {
        let last = EntryId { ms, seq: 0 };
        Committed { last, read_at: Duration::from_secs(read_at), bytes }
    }

    #[test]
    fn what_was_read_longer_ago_than_the_retention_goes() {
        let mut trail = Trail::new(Duration::from_secs(2));
        trail.add(committed(1, 10, 5));
        trail.add(committed(2, 11, 5));
        assert_eq!(trail.cut(Duration::from_secs(12)), None);
        assert_eq!(trail.cut(Duration::from_millis(12_500)), Some(EntryId { ms: 1, seq: 1 }));
        assert_eq!(trail.cut(Duration::from_secs(60)), Some(EntryId { ms: 2, seq: 1 }));
        assert_eq!(trail.cut(Duration::from_secs(60)), None);
    }

    #[test]
    fn beyond_the_bytes_the_oldest_goes_first() {
        let mut trail = Trail::new(Duration::from_secs(2));
        (1..=4).for_each(|n| trail.add(committed(n, 0, 3 << 20)));
        assert_eq!(trail.cut(Duration::ZERO), Some(EntryId { ms: 2, seq: 1 }));
    }

    #[test]
    fn what_a_server_came_back_without_is_never_trimmed_by() {
        let mut trail = Trail::new(Duration::from_secs(2));
        (1..=4).for_each(|n| trail.add(committed(n, 0, 3 << 20)));
        trail.begin(EntryId { ms: 2, seq: 0 }, Duration::from_secs(9));
        assert_eq!(trail.bytes, 6 << 20);
        let after_a_minute = trail.cut(Duration::from_secs(60));
        assert_eq!(after_a_minute, Some(EntryId { ms: 2, seq: 1 }));
    }
}
