//! How many events of a client the library may hold.
//!
//! Its buffer counts packets, and when it is full a ping does not fit and ends the session. So
//! fewer events than it has places are put in, and their way out is watched where they leave: in
//! the bytes of the WebSocket, and in the answers to polling requests.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Events at a time. What waits in here cannot be replaced by newer readings any more, and one
/// answer to a polling client carries them all.
pub(super) const EVENTS_MAX: usize = 64;
/// Bytes at a time, unless a single event is larger.
const BYTES_MAX: usize = 256 << 10;

/// The events that the library holds.
#[derive(Default)]
pub(super) struct Window {
    held: Mutex<HeldEvents>,
    /// Something has left.
    moved: Notify,
}

#[derive(Default)]
struct HeldEvents {
    sizes: VecDeque<usize>,
    bytes: usize,
}

impl Window {
    /// An event goes in.
    pub(super) fn put(&self, bytes: usize) {
        let mut held = self.lock();
        held.sizes.push_back(bytes);
        held.bytes += bytes;
    }

    /// The oldest events have left.
    pub(super) fn left(&self, events: usize) {
        if events == 0 {
            return;
        }
        let mut held = self.lock();
        let gone = events.min(held.sizes.len());
        let bytes: usize = held.sizes.drain(..gone).sum();
        held.bytes -= bytes;
        drop(held);
        self.moved.notify_one();
    }

    pub(super) fn has_room(&self) -> bool {
        let held = self.lock();
        held.sizes.len() < EVENTS_MAX && held.bytes < BYTES_MAX
    }

    /// Waits until one more event may go in. One task at a time waits.
    pub(super) async fn room(&self) {
        while !self.has_room() {
            self.moved.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HeldEvents> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn there_is_room_until_events_or_bytes_are_used_up() {
        let window = Window::default();
        for _ in 0..EVENTS_MAX {
            window.room().await;
            window.put(10);
        }
        assert!(!window.has_room());
        window.left(1);
        window.room().await;
        window.put(BYTES_MAX);
        window.left(EVENTS_MAX - 1);
        assert!(!window.has_room());
        // More than went in: what the client provoked by itself is not ours.
        window.left(5);
        assert!(window.has_room());
    }
}
