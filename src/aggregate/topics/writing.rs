//! When and what of the topics is written to Redis. No I/O, no clock.

use std::time::Duration;

use super::{LeftOut, Topics};
use crate::aggregate::owner::Owner;
use crate::stream::commit::HashWrite;

/// Records that one write takes at most: a fraction of a millisecond of Redis.
pub(super) const RECORDS_PER_WRITE_MAX: usize = 500;
/// How long after a write the next one may come at the earliest, so that who looks at a topic that
/// sends seldom sees its message soon.
const WRITE_EVERY_MIN: Duration = Duration::from_secs(2);
/// How much longer for every record that has to be written: 100 records a second at most.
const WRITE_EVERY_RECORD: Duration = Duration::from_millis(10);

/// How long it is waited for a moment between two batches. A guess: under load batches end ten
/// times a second, but mostly with more that waits.
const BETWEEN_BATCHES_WITHIN: Duration = Duration::from_secs(5);

impl Owner {
    /// What it knows of the shard's topics.
    pub(in crate::aggregate) const fn topics(&mut self) -> &mut Topics {
        self.fold.topics()
    }

    /// What is to be written of it now, if anything (see [`Topics::write_due`]). Better between two
    /// batches: what is not committed may come again, and would be counted again.
    pub(in crate::aggregate) fn topics_due(&mut self, now: Duration) -> Option<HashWrite> {
        let patience = match self.fold.uncommitted().is_empty() {
            true => Duration::ZERO,
            false => BETWEEN_BATCHES_WITHIN,
        };
        self.topics().write_due(now.checked_sub(patience)?)
    }
}

impl Topics {
    /// What is to be written now, if anything; answer [`Topics::written`] or [`Topics::failed`].
    /// `now` is the monotonic clock.
    pub fn write_due(&mut self, now: Duration) -> Option<HashWrite> {
        if now < self.next_write {
            return None;
        }
        let write = self.write()?;
        let records = u32::try_from(write.set.len() + write.drop.len()).unwrap_or(u32::MAX);
        self.next_write = now + WRITE_EVERY_MIN.max(WRITE_EVERY_RECORD.saturating_mul(records));
        Some(write)
    }

    /// What is to be written as soon as possible; a part of it where it is much.
    pub fn write(&mut self) -> Option<HashWrite> {
        let has_some =
            self.is_left_out_changed || !self.changed.is_empty() || !self.gone.is_empty();
        if !self.is_loaded || !has_some {
            return None;
        }
        let mut write = HashWrite::default();
        let gone = self.gone.len().min(RECORDS_PER_WRITE_MAX);
        for topic in &self.gone[..gone] {
            write.drop(topic.as_bytes());
        }
        let count = self.changed.len().min(RECORDS_PER_WRITE_MAX);
        self.writing = self.changed.drain(..count).collect();
        for place in &self.writing {
            let seen = &mut self.seen[*place as usize];
            seen.is_changed = false;
            write.set(seen.topic.as_bytes(), seen.record.write());
        }
        if self.is_left_out_changed {
            write.set(LeftOut::FIELD, self.left_out.write());
        }
        Some(write)
    }

    /// What was to be written last is written.
    pub fn written(&mut self, write: &HashWrite) {
        self.gone.drain(..write.drop.len());
        self.is_left_out_changed = false;
        for place in std::mem::take(&mut self.writing) {
            self.seen[place as usize].is_stored = true;
        }
    }

    /// It may be written or not: it is written again.
    pub fn failed(&mut self) {
        for place in std::mem::take(&mut self.writing) {
            // Where Redis got it, it has to go from there when the topic gives way.
            self.seen[place as usize].is_stored = true;
            self.change(place as usize);
        }
    }
}
