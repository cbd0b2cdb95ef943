//! What waits for one client: its queue, and what is held while the queue is full.
//!
//! Part of the hub's state machine: no runtime, no clock, no I/O.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::event::Frame;
use super::hub::{Action, ClientId, Counts};
use super::patterns::Patterns;
use crate::reading::UnixMillis;

/// A client's queue: about two seconds of 500 series at 10 Hz would be more, a slow link is not
/// to be further behind than that. A guess.
pub(super) const QUEUE_BYTES_MAX: usize = 256 << 10;
/// The channel behind the queue never has more.
pub(super) const QUEUE_FRAMES_MAX: usize = 1024;
/// Notices (`gap`, `reset`) kept for a client that is behind: more say nothing new.
const NOTICES_MAX: usize = 16;

/// One client of the hub.
#[derive(Debug)]
pub(super) struct Client {
    /// `None`: it never subscribed, and gets everything.
    pub(super) patterns: Option<Patterns>,
    /// Its past is being read: what is live waits.
    pub(super) is_joining: bool,
    pub(super) queued_bytes: usize,
    pub(super) queued_frames: usize,
    /// By slot.
    pub(super) held: HashMap<usize, (UnixMillis, Frame)>,
    /// The held slots in the order of their first frame.
    order: VecDeque<usize>,
    pub(super) held_bytes: usize,
    notices: VecDeque<Frame>,
    pub(super) behind_since: Option<Duration>,
}

impl Client {
    pub(super) fn new() -> Self {
        Self {
            patterns: None,
            is_joining: true,
            queued_bytes: 0,
            queued_frames: 0,
            held: HashMap::new(),
            order: VecDeque::new(),
            held_bytes: 0,
            notices: VecDeque::new(),
            behind_since: None,
        }
    }

    pub(super) fn wants(&self, sensor_id: &str) -> bool {
        self.patterns.as_ref().is_none_or(|patterns| patterns.fit(sensor_id))
    }

    /// Whether a frame can go into the queue now, behind everything before it.
    pub(super) fn takes(&self, frame: &Frame) -> bool {
        !self.is_joining && self.held.is_empty() && self.notices.is_empty() && self.has_room(frame)
    }

    /// One frame is let in however large it is, when it is alone.
    fn has_room(&self, frame: &Frame) -> bool {
        self.queued_frames == 0
            || (self.queued_bytes + frame.len() <= QUEUE_BYTES_MAX
                && self.queued_frames < QUEUE_FRAMES_MAX)
    }

    pub(super) fn send(&mut self, id: ClientId, frame: Frame, actions: &mut Vec<Action>) {
        self.queued_bytes += frame.len();
        self.queued_frames += 1;
        actions.push(Action::Send(id, frame));
    }

    pub(super) fn hold(&mut self, place: usize, at: UnixMillis, frame: Frame, counts: &mut Counts) {
        match self.held.get_mut(&place) {
            None => {
                self.held_bytes += frame.len();
                self.order.push_back(place);
                self.held.insert(place, (at, frame));
            }
            Some((held_at, held)) => {
                counts.held_replaced += 1;
                if *held_at <= at {
                    self.held_bytes = self.held_bytes + frame.len() - held.len();
                    (*held_at, *held) = (at, frame);
                }
            }
        }
    }

    /// Adds something that everybody must know.
    pub(super) fn notice(&mut self, frame: &Frame) {
        if self.notices.len() < NOTICES_MAX {
            self.notices.push_back(frame.clone());
        }
    }

    /// Moves what is held into the queue, as far as there is room.
    pub(super) fn release(&mut self, id: ClientId, actions: &mut Vec<Action>) {
        if self.is_joining {
            return;
        }
        while let Some(frame) = self.notices.front() {
            if !self.has_room(frame) {
                return;
            }
            if let Some(frame) = self.notices.pop_front() {
                self.send(id, frame, actions);
            }
        }
        while let Some(place) = self.order.front() {
            let Some((_, frame)) = self.held.get(place) else { break };
            if !self.has_room(frame) {
                return;
            }
            let place = *place;
            self.order.pop_front();
            if let Some((_, frame)) = self.held.remove(&place) {
                self.held_bytes -= frame.len();
                self.send(id, frame, actions);
            }
        }
        self.behind_since = None;
    }
}
