//! What a producer knows: which entries are frozen, sent, and safe. No I/O, no clock.
//!
//! Per shard exactly one entry is on its way. It is frozen when first sent, so that a resend is
//! byte for byte the same, and nothing newer is sent before it is safe: Redis refuses one XADD
//! and takes the next, so two on their way can be stored out of order, and the reader would skip
//! the older one as already passed. A reply that did not come means *unknown*; after a new
//! connection the task asks Redis which number survived, and says so with
//! [`Producer::survived`].

use std::time::Duration;

use redis::Cmd;

use super::entry::{self, Header, ProducerId};
use super::keys::ShardKeys;
use crate::ingest::Lot;
use crate::message::Flags;
use crate::shard::ShardId;

/// A producer that wrote nothing for so long takes a new id, and an entry that could not be
/// settled for so long goes out under one, with DUP set: readers forget a producer after an hour.
const ID_LIFETIME: Duration = Duration::from_secs(30 * 60);

/// The producer's side of all shards.
#[derive(Debug)]
pub struct Producer {
    shards: Vec<Shard>,
}

#[derive(Debug)]
struct Shard {
    keys: ShardKeys,
    id: ProducerId,
    /// The number of the newest entry that was frozen.
    number: u64,
    /// Messages in all entries up to that one.
    total: u64,
    /// When this shard last had something to do, by the monotonic clock.
    active: Duration,
    frozen: Option<Frozen>,
}

#[derive(Debug)]
struct Frozen {
    xadd: Cmd,
    lot: Lot,
    frozen_at: Duration,
}

impl Producer {
    /// One that has written nothing. `id` makes fresh random ids.
    #[must_use]
    pub fn new(keys: Vec<ShardKeys>, mut id: impl FnMut() -> ProducerId) -> Self {
        let shard = |keys| Shard {
            keys,
            id: id(),
            number: 0,
            total: 0,
            active: Duration::ZERO,
            frozen: None,
        };
        Self { shards: keys.into_iter().map(shard).collect() }
    }

    /// The shards that have nothing on its way, and so can take a lot.
    pub fn idle(&self) -> impl Iterator<Item = ShardId> + '_ {
        self.shards.iter().filter(|shard| shard.frozen.is_none()).map(|shard| shard.keys.shard)
    }

    /// Whether nothing is on its way.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.shards.iter().all(|shard| shard.frozen.is_none())
    }

    /// Makes an entry of a lot; the shard must be idle and the lot not empty. `fresh` is a random
    /// id, taken when the shard was silent for too long; `now` is the monotonic clock.
    ///
    /// # Panics
    /// When the shard has an entry on its way: two at once lose data.
    pub fn freeze(&mut self, shard: ShardId, lot: Lot, fresh: ProducerId, now: Duration) {
        let shard = &mut self.shards[shard.index()];
        assert!(shard.frozen.is_none(), "one entry per shard at a time");
        if now.saturating_sub(shard.active) > ID_LIFETIME {
            shard.begin_again(fresh);
        }
        shard.active = now;
        let xadd = shard.entry(&lot, Flags::NONE);
        shard.frozen = Some(Frozen { xadd, lot, frozen_at: now });
    }

    /// What has to be sent (again), oldest first within a shard, with the shard it belongs to.
    pub fn unsettled(&self) -> impl Iterator<Item = (ShardId, &Cmd)> + '_ {
        self.shards
            .iter()
            .filter_map(|shard| shard.frozen.as_ref().map(|it| (shard.keys.shard, &it.xadd)))
    }

    /// Redis took the entry of a shard: gives back its lot, which is safe now.
    pub fn settled(&mut self, shard: ShardId) -> Option<Lot> {
        self.shards[shard.index()].frozen.take().map(|frozen| frozen.lot)
    }

    /// The shards that must be asked on a new connection what survived, and under which id.
    pub fn unknown(&self) -> Vec<(ShardKeys, ProducerId)> {
        let unknown = |shard: &&Shard| shard.frozen.is_some();
        self.shards.iter().filter(unknown).map(|shard| (shard.keys.clone(), shard.id)).collect()
    }

    /// On a new connection Redis has entries of ours up to `number` (0: none). Gives back the lot
    /// when its entry is among them; else the entry is sent again, under a new id when it is too
    /// old for readers to remember the present one.
    pub fn survived(
        &mut self,
        shard: ShardId,
        number: u64,
        fresh: ProducerId,
        now: Duration,
    ) -> Option<Lot> {
        let shard = &mut self.shards[shard.index()];
        let frozen = shard.frozen.take()?;
        if number >= shard.number {
            return Some(frozen.lot);
        }
        if now.saturating_sub(frozen.frozen_at) > ID_LIFETIME {
            shard.begin_again(fresh);
            let xadd = shard.entry(&frozen.lot, Flags::DUP);
            shard.frozen = Some(Frozen { xadd, lot: frozen.lot, frozen_at: now });
        } else {
            shard.frozen = Some(frozen);
        }
        None
    }
}

impl Shard {
    fn begin_again(&mut self, fresh: ProducerId) {
        self.id = fresh;
        self.number = 0;
        self.total = 0;
    }

    fn entry(&mut self, lot: &Lot, extra: Flags) -> Cmd {
        self.number += 1;
        self.total += lot.len() as u64;
        let received_at = lot.messages().next().map(|first| first.received_at);
        let header = Header {
            producer: self.id,
            number: self.number,
            messages: lot.len() as u64,
            received_at: received_at.unwrap_or_default(),
            total: self.total,
        };
        entry::write(&self.keys.stream, &header, lot, extra)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Notify;

    use super::*;
    use crate::ingest::{INTAKE_LIMITS, Intake};
    use crate::message::Message;
    use crate::reading::UnixMillis;
    use crate::shard::ShardCount;

    const SHARD: ShardId = ShardId(0);
    const FRESH: ProducerId = ProducerId(2);

    fn producer() -> Producer {
        Producer::new(vec![ShardKeys::new(SHARD)], || ProducerId(1))
    }

    fn lot() -> Lot {
        let intake = Intake::new(ShardCount::new(1).unwrap(), INTAKE_LIMITS);
        let message = Message {
            topic: "a/b/c",
            payload: b"1",
            flags: Flags::NONE,
            received_at: UnixMillis(5),
            refused: None,
        };
        intake.offer(&message, &Arc::new(Notify::new())).unwrap();
        intake.take(SHARD).unwrap()
    }

    fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(60 * minutes)
    }

    fn sent(producer: &Producer) -> String {
        let (_, xadd) = producer.unsettled().next().unwrap();
        String::from_utf8(xadd.get_packed_command()).unwrap()
    }

    #[test]
    fn numbers_and_totals_count_up_from_one() {
        let mut producer = producer();
        producer.freeze(SHARD, lot(), FRESH, minutes(0));
        assert!(sent(&producer).contains("1 0000000000000001 1 1 5 1"));
        assert!(producer.settled(SHARD).is_some());
        producer.freeze(SHARD, lot(), FRESH, minutes(1));
        assert!(sent(&producer).contains("1 0000000000000001 2 1 5 2"));
    }

    #[test]
    fn an_entry_that_did_not_survive_is_sent_again_byte_for_byte() {
        let mut producer = producer();
        producer.freeze(SHARD, lot(), FRESH, minutes(0));
        let before = sent(&producer);
        assert!(producer.survived(SHARD, 0, FRESH, minutes(1)).is_none());
        assert_eq!(sent(&producer), before);
        assert!(producer.idle().next().is_none());
    }

    #[test]
    fn an_entry_that_survived_is_not_sent_again() {
        let mut producer = producer();
        producer.freeze(SHARD, lot(), FRESH, minutes(0));
        assert!(producer.survived(SHARD, 1, FRESH, minutes(1)).is_some());
        assert!(producer.is_settled());
    }

    #[test]
    fn an_entry_unsettled_for_too_long_goes_out_as_a_possible_duplicate() {
        let mut producer = producer();
        producer.freeze(SHARD, lot(), FRESH, minutes(0));
        assert!(producer.survived(SHARD, 0, FRESH, minutes(31)).is_none());
        let again = sent(&producer);
        assert!(again.contains("1 0000000000000002 1 1 5 1"), "{again}");
        assert!(again.contains("\0\u{1}\0a/b/c"), "{again}");
    }

    #[test]
    fn a_producer_long_silent_takes_a_new_id() {
        let mut producer = producer();
        producer.freeze(SHARD, lot(), FRESH, minutes(0));
        producer.settled(SHARD);
        producer.freeze(SHARD, lot(), FRESH, minutes(31));
        assert!(sent(&producer).contains("1 0000000000000002 1 1 5 1"));
    }

    #[test]
    #[should_panic(expected = "one entry per shard")]
    fn two_entries_of_a_shard_are_never_on_their_way() {
        let mut producer = producer();
        producer.freeze(SHARD, lot(), FRESH, minutes(0));
        producer.freeze(SHARD, lot(), FRESH, minutes(0));
    }
}
