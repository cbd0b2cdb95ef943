//! What waits for one client: its queue, and what is held while the queue is full.
//!
//! Part of the hub's state machine: no runtime, no clock, no I/O.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::event;
use super::frame::Frame;
use super::hub::{Action, ClientId, Counts, Observed};
use super::patterns::Patterns;
use crate::reading::UnixMillis;

/// A client's queue: about two seconds of 500 series at 10 Hz would be more, a slow link is not
/// to be further behind than that. A guess.
pub(super) const QUEUE_BYTES_MAX: usize = 256 << 10;
/// The channel behind the queue never has more.
pub(super) const QUEUE_FRAMES_MAX: usize = 1024;
/// Notices (`gap`, `reset`) kept for a client that is behind: more say nothing new.
const NOTICES_MAX: usize = 16;

/// Where something stands: in the past that is read for a client that joins, or behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Time {
    Past,
    Live,
}

#[derive(Debug)]
struct Held {
    at: UnixMillis,
    frame: Frame,
    time: Time,
}

#[derive(Debug)]
struct Removed {
    sensor_id: Box<str>,
    frame: Frame,
    time: Time,
}

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
    held: HashMap<usize, Held>,
    /// The held slots in the order of their first frame.
    order: VecDeque<usize>,
    /// Sensors that were deleted, each once: they go out before what is held, which came after.
    removed: VecDeque<Removed>,
    /// Of what is held and removed.
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
            removed: VecDeque::new(),
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
        !self.is_joining && !self.is_behind() && self.notices.is_empty() && self.has_room(frame)
    }

    /// Whether readings or removals wait for room in the queue.
    pub(super) fn is_behind(&self) -> bool {
        !self.held.is_empty() || !self.removed.is_empty()
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

    /// Keeps the frame of a live reading; of one slot the latest.
    pub(super) fn hold(&mut self, place: usize, at: UnixMillis, frame: Frame, counts: &mut Counts) {
        self.hold_one(place, Held { at, frame, time: Time::Live }, counts);
    }

    /// The same for a reading of the past, unless its sensor has been deleted since.
    pub(super) fn hold_past(&mut self, place: usize, observed: &Observed, counts: &mut Counts) {
        let sensor_id = &observed.series.sensor_id;
        let is_gone = |it: &Removed| it.time == Time::Live && it.sensor_id == *sensor_id;
        if !self.removed.iter().any(is_gone) {
            let frame = event::sensor_update(observed);
            let one = Held { at: observed.measured_at, frame, time: Time::Past };
            self.hold_one(place, one, counts);
        }
    }

    fn hold_one(&mut self, place: usize, one: Held, counts: &mut Counts) {
        match self.held.get_mut(&place) {
            None => {
                self.held_bytes += one.frame.len();
                self.order.push_back(place);
                self.held.insert(place, one);
            }
            Some(held) => {
                counts.held_replaced += 1;
                // Of two of one time the live one came later.
                let is_earlier = held.time == Time::Live && one.time == Time::Past;
                if held.at < one.at || (held.at == one.at && !is_earlier) {
                    self.held_bytes = self.held_bytes + one.frame.len() - held.frame.len();
                    *held = one;
                }
            }
        }
    }

    /// A sensor was deleted at that time: what is held of its slots from before goes, and nothing
    /// of it comes back.
    pub(super) fn drop_held(&mut self, places: &[usize], time: Time) {
        let before = self.held.len();
        for place in places {
            let is_before = |held: &Held| time == Time::Live || held.time == Time::Past;
            if self.held.get(place).is_some_and(is_before)
                && let Some(held) = self.held.remove(place)
            {
                self.held_bytes -= held.frame.len();
            }
        }
        if self.held.len() < before {
            self.order.retain(|place| self.held.contains_key(place));
        }
    }

    /// Keeps the word that a sensor was deleted, once.
    pub(super) fn hold_removed(&mut self, sensor_id: &str, frame: Frame, time: Time) {
        match self.removed.iter_mut().find(|it| *it.sensor_id == *sensor_id) {
            Some(known) if time == Time::Live => known.time = Time::Live,
            Some(_) => {}
            None => {
                self.held_bytes += frame.len();
                self.removed.push_back(Removed { sensor_id: sensor_id.into(), frame, time });
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
        while let Some(removed) = self.removed.front() {
            if !self.has_room(&removed.frame) {
                return;
            }
            if let Some(Removed { frame, .. }) = self.removed.pop_front() {
                self.held_bytes -= frame.len();
                self.send(id, frame, actions);
            }
        }
        while let Some(place) = self.order.front() {
            let Some(held) = self.held.get(place) else { break };
            if !self.has_room(&held.frame) {
                return;
            }
            let place = *place;
            self.order.pop_front();
            if let Some(Held { frame, .. }) = self.held.remove(&place) {
                self.held_bytes -= frame.len();
                self.send(id, frame, actions);
            }
        }
        self.behind_since = None;
    }
}
