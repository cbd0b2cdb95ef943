//! The edge between the doors and the producer: per shard, lots of messages that wait to be
//! written.
//!
//! A message is copied once, into the lot that is being filled for its shard. A lot is what one
//! stream entry will carry, so the producer takes whole lots. Whoever offers a message gets a
//! ticket; when the producer says that the lot is safe, everybody with a message in it is woken
//! and asks for the ticket. Rejected: a channel per shard (an allocation and a wake-up for every
//! message), and one wake-up list per shard (a thousand connections woken for one message).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::message::{Flags, Message, REFUSED_PAYLOAD_BYTES_MAX};
use crate::reading::UnixMillis;
use crate::refusal::Refusal;
use crate::shard::{ShardCount, ShardId};

/// Messages in one lot, and so in one stream entry (design §2.3).
pub const LOT_MESSAGES_MAX: usize = 512;
/// Bytes of topics and payloads in one lot; a single larger message has a lot of its own.
pub(super) const LOT_BYTES_MAX: usize = 1 << 20;
/// Emptied lots kept for reuse per shard: one in flight, one being filled, two to spare.
const SPARE_LOTS_MAX: usize = 4;

/// How much may wait in each shard's queue.
#[derive(Clone, Copy, Debug)]
pub struct IntakeLimits {
    /// Messages waiting per shard.
    pub messages: usize,
    /// Bytes of topics and payloads waiting per shard.
    pub bytes: usize,
}

/// The limits of the product: 32 entries a shard, and 8 MiB, so that eight shards hold 64 MiB.
/// Both are guesses: at 250,000 messages a second they hold half a second.
pub const INTAKE_LIMITS: IntakeLimits =
    IntakeLimits { messages: 32 * LOT_MESSAGES_MAX, bytes: 8 << 20 };

/// The queue of a shard has no room for a message; nothing was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// Whose queue.
    pub shard: ShardId,
    /// How many bytes of topic and payload found no room.
    pub bytes: usize,
}

/// The place of a message in its shard's order, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Which shard's order.
    pub shard: ShardId,
    /// Its place.
    pub number: u64,
}

/// Messages that will share one stream entry.
#[derive(Debug, Default)]
pub struct Lot {
    /// Topics and payloads back to back.
    bytes: Vec<u8>,
    slots: Vec<Slot>,
    /// Who waits for one of these messages to be safe.
    waiters: Vec<Arc<Notify>>,
    /// The ticket number of the last message.
    last: u64,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Where the payload ends; it starts behind the topic, which starts where the one before ends.
    end: u32,
    topic_bytes: u16,
    flags: Flags,
    refused: Option<Refusal>,
    received_at: UnixMillis,
}

impl Lot {
    /// The messages, in order of receipt.
    pub fn messages(&self) -> impl ExactSizeIterator<Item = Message<'_>> {
        let mut start = 0;
        self.slots.iter().map(move |slot| {
            let payload = start + usize::from(slot.topic_bytes);
            let end = slot.end as usize;
            let topic = std::str::from_utf8(&self.bytes[start..payload]).unwrap_or_default();
            start = end;
            Message {
                topic,
                payload: &self.bytes[payload..end],
                flags: slot.flags,
                received_at: slot.received_at,
                refused: slot.refused,
            }
        })
    }

    /// How many messages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is no message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Bytes of topics and payloads.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        self.bytes.len()
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.slots.is_empty()
            || (self.slots.len() < LOT_MESSAGES_MAX && self.bytes.len() + bytes <= LOT_BYTES_MAX)
    }

    fn push(&mut self, message: &Message<'_>, payload: &[u8], waiter: &Arc<Notify>, number: u64) {
        self.bytes.extend_from_slice(message.topic.as_bytes());
        self.bytes.extend_from_slice(payload);
        #[expect(clippy::cast_possible_truncation, reason = "topics ≤ 65,535, lots ≤ 257 MiB")]
        self.slots.push(Slot {
            end: self.bytes.len() as u32,
            topic_bytes: message.topic.len() as u16,
            flags: message.flags,
            refused: message.refused,
            received_at: message.received_at,
        });
        self.last = number;
        // Most offers come in runs from one connection, so looking at the last one is enough to
        // keep the list short; waking somebody twice is harmless.
        if self.waiters.last().is_none_or(|last| !Arc::ptr_eq(last, waiter)) {
            self.waiters.push(Arc::clone(waiter));
        }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.slots.clear();
        self.waiters.clear();
        // One huge message must not keep its memory for ever.
        self.bytes.shrink_to(LOT_BYTES_MAX);
    }
}

/// The queues of all shards. Held by every door and by the producer.
#[derive(Debug)]
pub struct Intake {
    count: ShardCount,
    limits: IntakeLimits,
    queues: Box<[Queue]>,
    /// Woken when a queue that was empty is not any more.
    filled: Notify,
}

#[derive(Debug)]
struct Queue {
    /// Guards the order of the shard: a ticket is given out under it.
    waiting: Mutex<Waiting>,
    /// All tickets up to this number are safe.
    settled: AtomicU64,
    /// Woken when lots were taken.
    room: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    lots: VecDeque<Lot>,
    spare: Vec<Lot>,
    messages: usize,
    bytes: usize,
    /// Tickets given out.
    offered: u64,
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // A panic under this lock can only come from a failed allocation; the counters are
        // changed after the message is in.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intake {
    /// Empty queues for every shard.
    #[must_use]
    pub fn new(count: ShardCount, limits: IntakeLimits) -> Self {
        let queue = |_| Queue {
            waiting: Mutex::default(),
            settled: AtomicU64::new(0),
            room: Notify::new(),
        };
        Self { count, limits, queues: count.ids().map(queue).collect(), filled: Notify::new() }
    }

    /// How many shards there are.
    #[must_use]
    pub const fn shard_count(&self) -> ShardCount {
        self.count
    }

    /// Takes a message in; `waiter` is woken once it is safe (and perhaps at other times).
    ///
    /// A refused message's payload is cut to 512 bytes.
    ///
    /// # Errors
    /// [`Full`]: nothing was taken; wait for [`Intake::room`] and offer again, or shed.
    pub fn offer(&self, message: &Message<'_>, waiter: &Arc<Notify>) -> Result<Ticket, Full> {
        let shard = self.count.shard_of(message.topic);
        let payload = match message.refused {
            Some(_) => &message.payload[..message.payload.len().min(REFUSED_PAYLOAD_BYTES_MAX)],
            None => message.payload,
        };
        let bytes = message.topic.len() + payload.len();
        let mut waiting = self.queues[shard.index()].waiting();
        if !waiting.has_room(bytes, self.limits) {
            return Err(Full { shard, bytes });
        }
        let was_empty = waiting.lots.is_empty();
        if waiting.lots.back().is_none_or(|lot| !lot.has_room(bytes)) {
            let lot = waiting.spare.pop().unwrap_or_default();
            waiting.lots.push_back(lot);
        }
        let number = waiting.offered + 1;
        if let Some(lot) = waiting.lots.back_mut() {
            lot.push(message, payload, waiter, number);
        }
        waiting.offered = number;
        waiting.messages += 1;
        waiting.bytes += bytes;
        drop(waiting);
        if was_empty {
            self.filled.notify_one();
        }
        Ok(Ticket { shard, number })
    }

    /// Waits until the queue has room for the message that found none. Another door may be
    /// quicker: offer again in a loop.
    ///
    /// # Cancel safety
    /// Cancel safe: it takes nothing.
    pub async fn room(&self, full: Full) {
        let queue = &self.queues[full.shard.index()];
        loop {
            let mut taken = std::pin::pin!(queue.room.notified());
            taken.as_mut().enable();
            if queue.waiting().has_room(full.bytes, self.limits) {
                return;
            }
            taken.await;
        }
    }

    /// Whether the message behind a ticket is safe under the configured durability.
    #[must_use]
    pub fn is_settled(&self, ticket: Ticket) -> bool {
        self.queues[ticket.shard.index()].settled.load(Ordering::Acquire) >= ticket.number
    }

    /// Waits until some queue that was empty has a message. May also return for nothing.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Takes the oldest lot of a shard; `None` when nothing waits.
    #[must_use]
    pub fn take(&self, shard: ShardId) -> Option<Lot> {
        let queue = &self.queues[shard.index()];
        let mut waiting = queue.waiting();
        let lot = waiting.lots.pop_front()?;
        waiting.messages -= lot.len();
        waiting.bytes -= lot.payload_bytes();
        drop(waiting);
        queue.room.notify_waiters();
        Some(lot)
    }

    /// Says that a lot, and with it everything older in its shard, is safe: wakes who waits.
    pub fn settle(&self, shard: ShardId, mut lot: Lot) {
        let queue = &self.queues[shard.index()];
        queue.settled.fetch_max(lot.last, Ordering::Release);
        for waiter in &lot.waiters {
            waiter.notify_one();
        }
        lot.clear();
        let mut waiting = queue.waiting();
        if waiting.spare.len() < SPARE_LOTS_MAX {
            waiting.spare.push(lot);
        }
    }

    /// Messages that wait in all queues, for the gauge.
    #[must_use]
    pub fn waiting_messages(&self) -> usize {
        self.queues.iter().map(|queue| queue.waiting().messages).sum()
    }
}

impl Waiting {
    fn has_room(&self, bytes: usize, limits: IntakeLimits) -> bool {
        self.messages == 0
            || (self.messages < limits.messages && self.bytes + bytes <= limits.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message<'a>(topic: &'a str, payload: &'a [u8]) -> Message<'a> {
        Message { topic, payload, flags: Flags::NONE, received_at: UnixMillis(7), refused: None }
    }

    fn one_shard(messages: usize) -> Intake {
        let count = ShardCount::new(1).unwrap();
        Intake::new(count, IntakeLimits { messages, bytes: 1 << 20 })
    }

    #[test]
    fn a_lot_gives_back_what_was_offered_in_order() {
        let intake = one_shard(10);
        let waiter = Arc::new(Notify::new());
        let refused = Message {
            refused: Some(Refusal::TooLarge),
            flags: Flags::DUP,
            ..message("c", &[9; 600])
        };
        for offered in [message("a/b", b"1"), message("b", b""), refused] {
            intake.offer(&offered, &waiter).unwrap();
        }
        let lot = intake.take(ShardId(0)).unwrap();
        let taken: Vec<_> = lot.messages().collect();
        assert_eq!(taken[0], message("a/b", b"1"));
        assert_eq!(taken[1], message("b", b""));
        assert_eq!(taken[2].payload.len(), REFUSED_PAYLOAD_BYTES_MAX);
        assert_eq!(taken[2].refused, Some(Refusal::TooLarge));
        assert_eq!(lot.waiters.len(), 1);
        assert!(intake.take(ShardId(0)).is_none());
    }

    #[test]
    fn a_lot_never_holds_more_than_an_entry_may() {
        let intake = one_shard(2 * LOT_MESSAGES_MAX);
        let waiter = Arc::new(Notify::new());
        for _ in 0..=LOT_MESSAGES_MAX {
            intake.offer(&message("a", b"1"), &waiter).unwrap();
        }
        assert_eq!(intake.take(ShardId(0)).unwrap().len(), LOT_MESSAGES_MAX);
        assert_eq!(intake.take(ShardId(0)).unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_full_queue_takes_nothing_until_a_lot_is_taken() {
        let intake = one_shard(2);
        let waiter = Arc::new(Notify::new());
        intake.offer(&message("a", b"1"), &waiter).unwrap();
        intake.offer(&message("a", b"2"), &waiter).unwrap();
        let full = Full { shard: ShardId(0), bytes: 2 };
        assert_eq!(intake.offer(&message("a", b"3"), &waiter), Err(full));
        assert_eq!(intake.waiting_messages(), 2);
        let (lot, ()) = tokio::join!(async { intake.take(ShardId(0)) }, intake.room(full));
        assert_eq!(lot.unwrap().len(), 2);
        assert_eq!(intake.offer(&message("a", b"3"), &waiter).unwrap().number, 3);
    }

    #[tokio::test]
    async fn settling_a_lot_wakes_those_who_wait_for_it() {
        let intake = one_shard(10);
        let waiter = Arc::new(Notify::new());
        let first = intake.offer(&message("a", b"1"), &waiter).unwrap();
        let lot = intake.take(ShardId(0)).unwrap();
        let second = intake.offer(&message("a", b"2"), &waiter).unwrap();
        assert!(!intake.is_settled(first));
        intake.settle(ShardId(0), lot);
        waiter.notified().await;
        assert!(intake.is_settled(first));
        assert!(!intake.is_settled(second));
    }
}
