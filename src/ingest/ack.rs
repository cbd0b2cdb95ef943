//! What may be acknowledged on one connection, in the order of receipt.
//!
//! MQTT wants PUBACKs in the order of the PUBLISHes (§4.6), but messages become safe shard by
//! shard. So a connection keeps one queue of what it owes and pays from the front only. The queue
//! belongs to one connection and ends with it: packet ids mean nothing on the next one.

use std::collections::VecDeque;

use super::intake::{Intake, Ticket};
use crate::shard::ShardId;

/// Messages that one connection may have unacknowledged. Guess: 500,000 messages a second with an
/// answer after 30 ms; it costs 256 KiB of memory. Beyond it the door stops reading.
pub(super) const UNACKNOWLEDGED_MESSAGES_MAX: usize = 16_384;
/// Bytes of topics and payloads that one connection may have unacknowledged, so that one device
/// cannot fill the queues of all. Guess: half of a shard's queue. The message that passes the
/// limit is still taken.
pub(super) const UNACKNOWLEDGED_BYTES_MAX: usize = 4 << 20;

/// What an idle connection keeps: 64 places, 1 KiB.
const IDLE_CAPACITY_MAX: usize = 64;

/// The PUBACKs that one connection owes.
#[derive(Debug, Default)]
pub(super) struct Acks {
    owed: VecDeque<Owed>,
    bytes: usize,
}

/// 16 bytes: there may be 16,384 on each of many connections.
#[derive(Clone, Copy, Debug)]
struct Owed {
    /// The ticket's number; 0 when nothing has to be waited for (tickets count from 1).
    number: u64,
    bytes: u32,
    id: u16,
    shard: ShardId,
}

impl Acks {
    /// A PUBACK for `id` is owed once the message behind `ticket` is safe.
    pub fn owe(&mut self, id: u16, ticket: Ticket, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.push(Owed { number: ticket.number, bytes, id, shard: ticket.shard });
    }

    /// A PUBACK for `id` is owed as soon as all older ones are out: its message went nowhere.
    pub fn owe_at_once(&mut self, id: u16) {
        self.push(Owed { number: 0, bytes: 0, id, shard: ShardId(0) });
    }

    fn push(&mut self, owed: Owed) {
        self.bytes += owed.bytes as usize;
        self.owed.push_back(owed);
    }

    /// Whether another message may be taken in.
    pub fn has_room(&self) -> bool {
        self.owed.len() < UNACKNOWLEDGED_MESSAGES_MAX && self.bytes < UNACKNOWLEDGED_BYTES_MAX
    }

    /// Whether nothing is owed.
    pub fn is_empty(&self) -> bool {
        self.owed.is_empty()
    }

    /// The next packet id that may be acknowledged, taken off the queue.
    pub fn pay(&mut self, intake: &Intake) -> Option<u16> {
        let next = *self.owed.front()?;
        let ticket = Ticket { shard: next.shard, number: next.number };
        if next.number != 0 && !intake.is_settled(ticket) {
            return None;
        }
        self.owed.pop_front();
        self.bytes -= next.bytes as usize;
        if self.owed.is_empty() && self.owed.capacity() > IDLE_CAPACITY_MAX {
            self.owed = VecDeque::new();
        }
        Some(next.id)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Notify;

    use super::*;
    use crate::ingest::IntakeLimits;
    use crate::message::{Flags, Message};
    use crate::reading::UnixMillis;
    use crate::shard::ShardCount;

    #[test]
    fn a_safe_message_waits_for_the_older_one_in_another_shard() {
        let count = ShardCount::new(64).unwrap();
        let intake = Intake::new(count, IntakeLimits { messages: 9, bytes: 999 });
        let waiter = Arc::new(Notify::new());
        let mut acks = Acks::default();
        let mut offer = |topic, id| {
            let message = Message {
                topic,
                payload: b"1",
                flags: Flags::NONE,
                received_at: UnixMillis(0),
                refused: None,
            };
            let ticket = intake.offer(&message, &waiter).unwrap();
            acks.owe(id, ticket, 4);
            ticket.shard
        };
        let (first, second) = (offer("a/x", 7), offer("a/y", 8));
        assert_ne!(first, second);
        acks.owe_at_once(9);
        intake.settle(second, intake.take(second).unwrap());
        assert_eq!(acks.pay(&intake), None);
        intake.settle(first, intake.take(first).unwrap());
        let paid: Vec<_> = std::iter::from_fn(|| acks.pay(&intake)).collect();
        assert_eq!(paid, [7, 8, 9]);
        assert!(acks.is_empty() && acks.bytes == 0);
    }

    #[test]
    fn what_one_connection_owes_is_bounded() {
        let mut acks = Acks::default();
        let ticket = Ticket { shard: ShardId(0), number: 1 };
        for _ in 1..UNACKNOWLEDGED_MESSAGES_MAX {
            acks.owe(1, ticket, 1);
        }
        assert!(acks.has_room());
        acks.owe(1, ticket, 1);
        assert!(!acks.has_room());

        let mut acks = Acks::default();
        acks.owe(1, ticket, UNACKNOWLEDGED_BYTES_MAX);
        assert!(!acks.has_room());
    }
}
