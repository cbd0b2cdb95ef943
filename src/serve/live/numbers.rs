//! What the numbers of producers say of entries: which were sent twice, and where some are missing.
//!
//! What is committed says how far each producer had come (design §5), so the tail begins with
//! these numbers, and knows from its first entry on what was sent again, and what is lost. When it
//! could not read for a while, and what it missed was committed and trimmed, no later entry may
//! ever tell: then what is committed says how many there were.
//!
//! A state machine without runtime, clock or I/O.

use std::collections::HashMap;

use crate::shard::ShardId;
use crate::stream::{EntryId, Header, Meta, ProducerId};

/// Producers remembered; one process is one. Beyond it all are forgotten, and a resent entry is
/// shown again.
const PRODUCERS_MAX: usize = 10_000;

/// The number of each producer's last entry per shard.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    last: HashMap<(ShardId, ProducerId), u64>,
    /// What is yet to be read of each shard, since the tail could not read for a while.
    owed: HashMap<ShardId, Owed>,
}

/// What is committed of a shard, and was not read yet.
#[derive(Debug)]
struct Owed {
    up_to: EntryId,
    producers: Vec<(ProducerId, u64)>,
}

/// What a producer's number says of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    Next,
    Again,
    Gap,
}

impl Numbers {
    /// The shard is read from behind what is committed; what was known of it is void.
    pub(super) fn begin(&mut self, shard: ShardId, meta: &Meta) {
        self.last.retain(|(of, _), _| *of != shard);
        self.owed.remove(&shard);
        for (producer, mark) in &meta.producers {
            self.remember(shard, *producer, mark.number);
        }
    }

    /// The shard could not be read for a while, and is read on from behind `reached`: what is
    /// committed behind that must come, or is lost.
    pub(super) fn resume(&mut self, shard: ShardId, reached: EntryId, meta: &Meta) {
        let mut producers = Vec::new();
        for (producer, mark) in &meta.producers {
            let last = match self.last.get(&(shard, *producer)) {
                Some(last) => *last,
                // It began while nobody read.
                None if mark.seen_ms >= reached.ms => {
                    self.remember(shard, *producer, 0);
                    0
                }
                None => continue,
            };
            if last < mark.number {
                producers.push((*producer, mark.number));
            }
        }
        if !producers.is_empty() {
            self.owed.insert(shard, Owed { up_to: meta.pos, producers });
        }
    }

    /// What the number of an entry says. The first one of a producer is taken as it is.
    pub(super) fn judge(&mut self, shard: ShardId, header: &Header) -> Judgement {
        if self.last.len() >= PRODUCERS_MAX {
            self.last.clear();
        }
        let before = header.number.saturating_sub(1);
        let last = self.last.entry((shard, header.producer)).or_insert(before);
        if header.number <= *last {
            return Judgement::Again;
        }
        let is_next = header.number == *last + 1;
        *last = header.number;
        if is_next { Judgement::Next } else { Judgement::Gap }
    }

    /// Whether anything must come yet.
    pub(super) fn expects(&self) -> bool {
        !self.owed.is_empty()
    }

    /// Entries of the shard up to this one were read; `None`: there are none. Whether any that had
    /// to come did not.
    pub(super) fn settle(&mut self, shard: ShardId, reached: Option<EntryId>) -> bool {
        let is_due = |owed: &Owed| reached.is_none_or(|reached| reached >= owed.up_to);
        if !self.owed.get(&shard).is_some_and(is_due) {
            return false;
        }
        let owed = self.owed.remove(&shard);
        let mut is_short = false;
        for (producer, number) in owed.into_iter().flat_map(|owed| owed.producers) {
            let last = self.last.entry((shard, producer)).or_default();
            is_short |= *last < number;
            *last = number.max(*last);
        }
        is_short
    }

    fn remember(&mut self, shard: ShardId, producer: ProducerId, number: u64) {
        if self.last.len() < PRODUCERS_MAX {
            self.last.insert((shard, producer), number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::UnixMillis;
    use crate::stream::ProducerMark;

    const SHARD: ShardId = ShardId(3);

    fn at(ms: u64) -> EntryId {
        EntryId { ms, seq: 0 }
    }

    /// What is committed up to an entry: each producer, its number, and when it was seen.
    fn meta(pos: u64, producers: &[(u64, u64, u64)]) -> Meta {
        let mark = |(id, number, seen_ms): &(u64, u64, u64)| {
            (ProducerId(*id), ProducerMark { number: *number, total: 0, seen_ms: *seen_ms })
        };
        let producers = producers.iter().map(mark).collect();
        Meta { pos: at(pos), producers, ..Meta::default() }
    }

    fn judge(numbers: &mut Numbers, producer: u64, number: u64) -> Judgement {
        let producer = ProducerId(producer);
        let header =
            Header { producer, number, messages: 1, received_at: UnixMillis(1), total: number };
        numbers.judge(SHARD, &header)
    }

    #[test]
    fn what_is_committed_says_what_is_sent_again_and_what_is_missing() {
        let mut numbers = Numbers::default();
        assert_eq!(judge(&mut numbers, 1, 40), Judgement::Next, "nothing is known of it");
        numbers.begin(SHARD, &meta(9, &[(1, 7, 9), (2, 7, 9)]));
        assert_eq!(judge(&mut numbers, 1, 7), Judgement::Again);
        assert_eq!(judge(&mut numbers, 1, 8), Judgement::Next);
        assert_eq!(judge(&mut numbers, 2, 9), Judgement::Gap);
        // A server that came back with less: what it lost is sent again, and must be shown.
        numbers.begin(SHARD, &meta(5, &[(1, 6, 5)]));
        assert_eq!(judge(&mut numbers, 1, 7), Judgement::Next);
        assert_eq!(judge(&mut numbers, 2, 3), Judgement::Next, "and nothing is known of this one");
    }

    /// The tail could not read for longer than entries stay; meanwhile the producer was replaced.
    #[test]
    fn entries_of_a_producer_that_is_gone_are_missed() {
        let resumed = |committed: &Meta| {
            let mut numbers = Numbers::default();
            numbers.begin(SHARD, &meta(10, &[(1, 7, 10)]));
            numbers.resume(SHARD, at(10), committed);
            numbers
        };
        let mut numbers = resumed(&meta(20, &[(1, 9, 15), (2, 2, 20)]));
        assert!(numbers.expects());
        assert!(!numbers.settle(SHARD, Some(at(19))), "more may come");
        assert_eq!(judge(&mut numbers, 2, 2), Judgement::Gap, "the first one went");
        assert!(numbers.settle(SHARD, Some(at(20))));
        assert!(!numbers.settle(SHARD, None) && !numbers.expects(), "it is told once");
        assert_eq!(judge(&mut numbers, 1, 10), Judgement::Next);
        // Nobody writes any more, and all is trimmed.
        assert!(resumed(&meta(20, &[(1, 9, 20)])).settle(SHARD, None));
        // Everything came.
        let mut numbers = resumed(&meta(20, &[(1, 8, 15), (2, 1, 20)]));
        for producer in [(1, 8), (2, 1)] {
            assert_eq!(judge(&mut numbers, producer.0, producer.1), Judgement::Next);
        }
        assert!(!numbers.settle(SHARD, Some(at(21))));
        // Nothing was written, or no more than was read.
        for committed in [meta(10, &[(1, 7, 10)]), meta(8, &[(1, 6, 8)]), meta(10, &[(5, 4, 9)])] {
            assert!(!resumed(&committed).expects(), "{committed:?}");
        }
    }
}
