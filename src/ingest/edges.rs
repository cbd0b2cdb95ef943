//! What the edges of this room hold while nobody stores anything, in messages of one size: after
//! so many the doors take no more. Told in one place, from the constants that bound the edges, so
//! that whoever proves it has no numbers of his own (`tests/e2e/backpressure.rs`).
//!
//! What a socket has delivered and nobody has looked at is not among them: 64 KiB at most in a
//! connection's inbox, and what the kernel keeps for the socket.
//!
//! `bytes` are those of topic and payload, at least one.

use super::ack::{UNACKNOWLEDGED_BYTES_MAX, UNACKNOWLEDGED_MESSAGES_MAX};
use super::intake::{INTAKE_LIMITS, LOT_BYTES_MAX, LOT_MESSAGES_MAX};

/// Messages of QoS 1 that one connection may have unacknowledged. The one that passes the limit of
/// bytes is still taken.
#[must_use]
pub fn unacknowledged(bytes: usize) -> usize {
    UNACKNOWLEDGED_MESSAGES_MAX.min(UNACKNOWLEDGED_BYTES_MAX.div_ceil(bytes))
}

/// Messages that wait in the queue of a shard.
#[must_use]
pub fn waiting(bytes: usize) -> usize {
    INTAKE_LIMITS.messages.min(INTAKE_LIMITS.bytes / bytes).max(1)
}

/// Messages of a full lot, and so of the one entry per shard that is on its way to Redis.
#[must_use]
pub fn on_the_way(bytes: usize) -> usize {
    LOT_MESSAGES_MAX.min(LOT_BYTES_MAX / bytes).max(1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Notify;

    use super::*;
    use crate::ingest::Intake;
    use crate::message::{Flags, Message};
    use crate::reading::UnixMillis;
    use crate::shard::{ShardCount, ShardId};

    /// An intake that nobody empties takes `waiting`; one lot of it is `on_the_way`.
    #[test]
    fn edges_hold_what_is_told_of_them() {
        for bytes in [9, 300, 511, 513, 2048, 60_000, 1 << 20, 9 << 20] {
            let payload = vec![b'1'; bytes - 1];
            let message = Message {
                topic: "a",
                payload: &payload,
                flags: Flags::NONE,
                received_at: UnixMillis(0),
                refused: None,
            };
            let intake = Intake::new(ShardCount::new(1).unwrap(), INTAKE_LIMITS);
            let nobody = Arc::new(Notify::new());
            let mut taken = 0;
            while intake.offer(&message, &nobody).is_ok() {
                taken += 1;
            }
            assert_eq!(taken, waiting(bytes), "{bytes} bytes");
            let lot = intake.take(ShardId(0)).unwrap();
            assert_eq!(lot.len(), on_the_way(bytes), "{bytes} bytes");
        }
        assert_eq!(unacknowledged(1), UNACKNOWLEDGED_MESSAGES_MAX);
        assert_eq!(unacknowledged(UNACKNOWLEDGED_BYTES_MAX), 1);
        assert_eq!(unacknowledged(UNACKNOWLEDGED_BYTES_MAX - 1), 2);
    }
}
