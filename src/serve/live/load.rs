//! What the hub holds for all clients together, and how much that may be. A state machine's part:
//! no runtime, no clock, no I/O.

use super::member::Room;

/// Series × different subscriptions. A listener, with its place in its group, took 44 bytes where
/// 100 subscriptions wanted each of 100,000 series (measured): 220 MB in all.
const LISTENERS_MAX: usize = 5_000_000;
/// What all queues together may hold before queues are [`Room::SHORT`]. Frames that clients share
/// count for each of them, so that what is held is less. With 12,000 clients that take nothing it
/// is 896 MiB and a frame each, instead of 47 GiB. A guess.
const QUEUED_BYTES_MAX: usize = 512 << 20;
/// Items that clients who are behind brought from one subscription to the next: about 150 bytes
/// each, 150 MB in all. A guess.
const KEPT_MAX: usize = 1_000_000;

/// What may be held.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) listeners: usize,
    pub(super) queued_bytes: usize,
    pub(super) kept: usize,
}

/// What is held for all clients together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    pub(super) limits: Limits,
    /// Series that each group wants, of those that were heard; a listener is made when the series
    /// is heard next.
    pub(super) listeners: usize,
    /// In the queues of all clients.
    pub(super) queued_bytes: usize,
    /// Items that clients brought from other subscriptions.
    pub(super) kept: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { listeners: LISTENERS_MAX, queued_bytes: QUEUED_BYTES_MAX, kept: KEPT_MAX }
    }
}

impl Load {
    /// What one client may have waiting now.
    pub(super) fn room(&self, room: Room) -> Room {
        if self.is_crowded() { room.min(Room::SHORT) } else { room }
    }

    /// Whether all queues together hold too much.
    pub(super) const fn is_crowded(&self) -> bool {
        self.queued_bytes >= self.limits.queued_bytes
    }

    /// Whether what clients brought is too much.
    pub(super) const fn keeps_too_much(&self) -> bool {
        self.kept > self.limits.kept
    }

    /// Whether so many more listeners fit, when so many others go.
    pub(super) const fn has_room_for(&self, listeners: usize, instead_of: usize) -> bool {
        self.listeners - instead_of + listeners <= self.limits.listeners
    }
}
