//! One client in its group: how much waits for it, and since when it is behind. A state machine's
//! part: no runtime, no clock, no I/O.

use std::time::Duration;

use super::behind::Behind;
use super::frame::Frame;
use super::hub::{Action, ClientId};
use super::load::Load;

/// What waits for one client, at most, and one frame, or the statistics of one look, more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) bytes: usize,
    pub(super) frames: usize,
}

impl Room {
    /// Of a client whose readings may be replaced by newer ones: half a second of 1,000 series,
    /// three times a second. What waits here is not replaced any more, so it is not to be more. A
    /// guess.
    pub(super) const CONFLATED: Self = Self { bytes: 256 << 10, frames: 1024 };
    /// Of a client that wants every reading: a second of 10,000 of them. A guess.
    pub(super) const EVERY: Self = Self { bytes: 4 << 20, frames: 8192 };
    /// Of any client when all queues together hold too much: what a socket takes at once, so that
    /// who reads notices nothing. A guess.
    pub(super) const SHORT: Self = Self { bytes: 32 << 10, frames: 1024 };

    /// The less of both.
    pub(super) fn min(self, other: Self) -> Self {
        Self { bytes: self.bytes.min(other.bytes), frames: self.frames.min(other.frames) }
    }
}

/// Which statistics a member is told, if its group wants any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stats {
    /// Everything, as soon as that begins: it has just come, or it had no room.
    Whole,
    /// Everything, which has begun, and what changes meanwhile.
    Coming,
    /// What changes.
    Changes,
}

/// One client in its group.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: ClientId,
    /// It said what it wants; until then it is shown everything.
    pub(super) has_subscribed: bool,
    pub(super) room: Room,
    queued_bytes: usize,
    queued_frames: usize,
    /// Frames that ever went into its queue.
    pub(super) frames_ever: u64,
    /// It has just come, and may say what it wants before it is told everything.
    pub(super) is_held: bool,
    pub(super) behind: Option<Behind>,
    pub(super) stats: Stats,
    /// It stands in the hub's list of those to be looked at.
    pub(super) is_watched: bool,
}

impl Member {
    pub(super) const fn new(id: ClientId) -> Self {
        Self {
            id,
            has_subscribed: false,
            room: Room::CONFLATED,
            queued_bytes: 0,
            queued_frames: 0,
            frames_ever: 0,
            is_held: false,
            behind: None,
            stats: Stats::Whole,
            is_watched: false,
        }
    }

    /// Whether a frame may go into its queue.
    pub(super) fn has_room(&self, load: &Load) -> bool {
        !self.is_held && self.has_room_for(1, load)
    }

    /// Whether so many frames that belong together may go into its queue, which then has more bytes
    /// than it should by all of them at most.
    pub(super) fn has_room_for(&self, frames: usize, load: &Load) -> bool {
        let room = load.room(self.room);
        self.queued_bytes < room.bytes && self.queued_frames + frames <= room.frames
    }

    /// What waits for it.
    pub(super) const fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// Puts a frame into its queue.
    pub(super) fn send(&mut self, frame: Frame, actions: &mut Vec<Action>, load: &mut Load) {
        self.queued_bytes += frame.len();
        load.queued_bytes += frame.len();
        self.queued_frames += 1;
        self.frames_ever += 1;
        actions.push(Action::Send(self.id, frame));
    }

    /// Frames have left its queue.
    pub(super) fn sent(&mut self, (frames, bytes): (usize, usize), now: Duration, load: &mut Load) {
        let bytes = bytes.min(self.queued_bytes);
        self.queued_frames = self.queued_frames.saturating_sub(frames);
        self.queued_bytes -= bytes;
        load.queued_bytes -= bytes;
        if let Some(behind) = self.behind.as_mut().filter(|_| frames > 0) {
            behind.progress_at = now;
        }
    }
}
