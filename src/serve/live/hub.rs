//! The hub: where one reading becomes many frames. A state machine: what happens goes in with the
//! time, what is to be done comes out; it has no runtime, no clock and no I/O.
//!
//! Every series has a slot. Its first change is emitted at once, and the next no sooner than a
//! tenth of a second later; between them the latest `measured_at` wins, and what is older than
//! what was shown is not shown any more. A frame is encoded once, and every client gets the same
//! bytes. A client whose queue is full has its frames held, one per series, the latest wins; one
//! that stays behind is closed. So one slow client costs neither the others nor the ingest.
//!
//! When a sensor is deleted, its slots are given up and what is held of it is dropped; the word of
//! it is never conflated away, and no reading of before comes after it.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::backlog::{Client, Time};
use super::event;
use super::frame::Frame;
use super::patterns::Patterns;
use super::places::Places;
use crate::reading::{SeriesKey, UnixMillis};
use crate::serve::view::Attributes;
use crate::shard::ShardId;
use crate::stream::Position;

/// A series is shown ten times a second at most (design §8).
const INTERVAL: Duration = Duration::from_millis(100);
/// What is held for a client that is behind, counted as if it were not shared.
const HELD_BYTES_MAX: usize = 4 << 20;
/// A client that was behind for so long is closed. A guess: a phone that changes cells recovers.
const BEHIND_MAX: Duration = Duration::from_secs(10);
/// Series with a slot: the default of `STREAMGAUGE_MAX_SENSORS`. Others are not shown live.
const SLOTS_MAX: usize = 1_000_000;

/// A client of the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ClientId(pub(super) u64);

/// A reading on its way to the browsers.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    pub(super) series: SeriesKey,
    pub(super) value: f64,
    pub(super) measured_at: UnixMillis,
    pub(super) attributes: Attributes,
    pub(super) shard: ShardId,
    pub(super) position: Position,
}

/// What the streams say.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// A reading came.
    Reading(Observed),
    /// A sensor was deleted.
    Removed { sensor_id: Box<str> },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Into the client's queue.
    Send(ClientId, Frame),
    /// It fell behind for good.
    CloseSlow(ClientId),
}

/// All clients and all series that are shown.
#[derive(Debug, Default)]
pub(super) struct Hub {
    clients: HashMap<ClientId, Client>,
    slots: Vec<Slot>,
    /// Which slots are whose.
    places: Places,
    /// Slots of no series any more, to be given out again.
    free: Vec<usize>,
    /// Slots that were shown less than an interval ago, the longest ago first.
    cooling: VecDeque<(Duration, usize)>,
    /// Clients that fell behind, the longest ago first; some have recovered since.
    behind: VecDeque<(Duration, ClientId)>,
    /// Raised when somebody comes, goes, or wants something else.
    interests: u64,
    counts: Counts,
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::serve) struct Counts {
    /// Readings replaced by a later one, or older than what was shown.
    pub(in crate::serve) conflated: u64,
    /// Readings of series that found no slot.
    pub(in crate::serve) without_slot: u64,
    /// Frames replaced by a later one for a client that was behind.
    pub(in crate::serve) held_replaced: u64,
    /// Clients closed because they stayed behind.
    pub(in crate::serve) slow: u64,
}

#[derive(Debug, Default)]
struct Slot {
    /// When the reading shown last was measured.
    shown: Option<UnixMillis>,
    /// What will be shown when the slot has cooled.
    waiting: Option<Observed>,
    is_cooling: bool,
    /// Of no series any more; it is free when it has cooled.
    is_given_up: bool,
    audience: Vec<ClientId>,
    /// For which `interests` the audience was gathered.
    gathered: u64,
}

impl Hub {
    /// A client comes; it gets nothing before [`Hub::begin`].
    pub(super) fn join(&mut self, id: ClientId) {
        self.interests += 1;
        self.clients.insert(id, Client::new());
    }

    /// A client goes. One that is not there has been closed before.
    pub(super) fn leave(&mut self, id: ClientId) {
        self.interests += 1;
        self.clients.remove(&id);
        if self.clients.is_empty() {
            self.slots.clear();
            self.places.clear();
            self.free.clear();
            self.cooling.clear();
            self.behind.clear();
        }
    }

    /// Whether there is anybody.
    pub(super) fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// What happened so far.
    pub(super) const fn counts(&self) -> Counts {
        self.counts
    }

    /// A client adds entries and waits for its past again, until [`Hub::begin`].
    pub(super) fn subscribe(&mut self, id: ClientId, patterns: &Patterns) -> Result<(), String> {
        let Some(client) = self.clients.get_mut(&id) else { return Ok(()) };
        client.patterns.get_or_insert_default().add(patterns)?;
        client.is_joining = true;
        self.interests += 1;
        Ok(())
    }

    /// A client removes entries. With none left it gets nothing.
    pub(super) fn unsubscribe(&mut self, id: ClientId, patterns: &Patterns) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.patterns.get_or_insert_default().remove(patterns);
            self.interests += 1;
        }
    }

    /// Something that the common tail had passed before the client came; for this client only.
    pub(super) fn missed(&mut self, id: ClientId, change: &Change) {
        match change {
            Change::Reading(observed) => {
                let Some(place) = self.place(&observed.series) else { return };
                let Some(client) = self.clients.get_mut(&id) else { return };
                if client.wants(&observed.series.sensor_id) {
                    client.hold_past(place, observed, &mut self.counts);
                }
            }
            Change::Removed { sensor_id } => {
                let places = self.places.of(sensor_id);
                let Some(client) = self.clients.get_mut(&id) else { return };
                client.drop_held(&places, Time::Past);
                if client.wants(sensor_id) {
                    client.hold_removed(sensor_id, event::sensor_removed(sensor_id), Time::Past);
                }
            }
        }
    }

    /// A client's past is complete: what is held goes out.
    pub(super) fn begin(&mut self, id: ClientId, now: Duration, actions: &mut Vec<Action>) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        client.is_joining = false;
        client.release(id, actions);
        self.judge(id, now, actions);
    }

    /// Something changed.
    pub(super) fn change(&mut self, change: Change, now: Duration, actions: &mut Vec<Action>) {
        match change {
            Change::Reading(observed) => self.observe(observed, now, actions),
            Change::Removed { sensor_id } => self.remove(&sensor_id, now, actions),
        }
    }

    fn remove(&mut self, sensor_id: &str, now: Duration, actions: &mut Vec<Action>) {
        let places = self.places.remove(sensor_id);
        for place in &places {
            let slot = &mut self.slots[*place];
            (slot.shown, slot.waiting, slot.gathered) = (None, None, 0);
            slot.is_given_up = slot.is_cooling;
            if !slot.is_cooling {
                self.free.push(*place);
            }
        }
        let frame = event::sensor_removed(sensor_id);
        let mut late = Vec::new();
        for (id, client) in &mut self.clients {
            client.drop_held(&places, Time::Live);
            if !client.wants(sensor_id) {
                continue;
            }
            if client.takes(&frame) {
                client.send(*id, frame.clone(), actions);
            } else {
                client.hold_removed(sensor_id, frame.clone(), Time::Live);
                late.push(*id);
            }
        }
        for id in late {
            self.judge(id, now, actions);
        }
    }

    /// A reading came.
    fn observe(&mut self, observed: Observed, now: Duration, actions: &mut Vec<Action>) {
        let Some(place) = self.place(&observed.series) else {
            self.counts.without_slot += 1;
            return;
        };
        let slot = &mut self.slots[place];
        let later = |at: UnixMillis| at > observed.measured_at;
        if slot.shown.is_some_and(later)
            || slot.waiting.as_ref().is_some_and(|waiting| later(waiting.measured_at))
        {
            self.counts.conflated += 1;
            return;
        }
        if slot.is_cooling {
            self.counts.conflated += u64::from(slot.waiting.is_some());
            slot.waiting = Some(observed);
        } else {
            slot.is_cooling = true;
            self.cooling.push_back((now + INTERVAL, place));
            self.emit(place, &observed, now, actions);
        }
    }

    /// Frames of a client have left its queue.
    pub(super) fn sent(&mut self, id: ClientId, frames: usize, bytes: usize) -> Vec<Action> {
        let mut actions = Vec::new();
        if let Some(client) = self.clients.get_mut(&id) {
            client.queued_frames = client.queued_frames.saturating_sub(frames);
            client.queued_bytes = client.queued_bytes.saturating_sub(bytes);
            client.release(id, &mut actions);
        }
        actions
    }

    /// Something that everybody must know.
    pub(super) fn announce(&mut self, frame: &Frame, actions: &mut Vec<Action>) {
        for (id, client) in &mut self.clients {
            client.notice(frame);
            client.release(*id, actions);
        }
    }

    /// What was shown is of another data set.
    pub(super) fn forget(&mut self) {
        for slot in &mut self.slots {
            slot.shown = None;
            slot.waiting = None;
        }
    }

    /// When [`Hub::tick`] has something to do.
    pub(super) fn next_tick(&self) -> Option<Duration> {
        let cooled = self.cooling.front().map(|(at, _)| *at);
        let behind = self.behind.front().map(|(since, _)| *since + BEHIND_MAX);
        cooled.into_iter().chain(behind).min()
    }

    /// Shows what has waited long enough, and closes who has been behind too long.
    pub(super) fn tick(&mut self, now: Duration, actions: &mut Vec<Action>) {
        while let Some((_, place)) = self.cooling.pop_front_if(|(at, _)| *at <= now) {
            let slot = &mut self.slots[place];
            match slot.waiting.take() {
                Some(observed) => {
                    self.cooling.push_back((now + INTERVAL, place));
                    self.emit(place, &observed, now, actions);
                }
                None => {
                    slot.is_cooling = false;
                    if std::mem::take(&mut slot.is_given_up) {
                        self.free.push(place);
                    }
                }
            }
        }
        while let Some((since, id)) =
            self.behind.pop_front_if(|(since, _)| *since + BEHIND_MAX <= now)
        {
            if self.clients.get(&id).is_some_and(|client| client.behind_since == Some(since)) {
                self.close(id, actions);
            }
        }
    }

    /// The slot of a series; `None` when there are too many. One that nobody wants has a slot too,
    /// which remembers that nobody does.
    fn place(&mut self, series: &SeriesKey) -> Option<usize> {
        let known = self.places.find(series);
        if known.is_some() || self.clients.is_empty() {
            return known;
        }
        let place = match self.free.pop() {
            Some(place) => place,
            None if self.slots.len() >= SLOTS_MAX => return None,
            None => {
                self.slots.push(Slot::default());
                self.slots.len() - 1
            }
        };
        self.places.insert(series, place);
        Some(place)
    }

    fn emit(
        &mut self,
        place: usize,
        observed: &Observed,
        now: Duration,
        actions: &mut Vec<Action>,
    ) {
        let slot = &mut self.slots[place];
        slot.shown = Some(observed.measured_at);
        if slot.gathered != self.interests {
            slot.gathered = self.interests;
            let wants = |client: &Client| client.wants(&observed.series.sensor_id);
            let audience = self.clients.iter().filter(|(_, client)| wants(client));
            slot.audience = audience.map(|(id, _)| *id).collect();
        }
        if slot.audience.is_empty() {
            return;
        }
        let frame = event::sensor_update(observed);
        let audience = std::mem::take(&mut slot.audience);
        for id in &audience {
            let Some(client) = self.clients.get_mut(id) else { continue };
            if client.takes(&frame) {
                client.send(*id, frame.clone(), actions);
            } else {
                client.hold(place, observed.measured_at, frame.clone(), &mut self.counts);
                self.judge(*id, now, actions);
            }
        }
        // Closing the last client clears the slots.
        if let Some(slot) = self.slots.get_mut(place) {
            slot.audience = audience;
        }
    }

    /// Notes who fell behind, and closes who holds too much.
    fn judge(&mut self, id: ClientId, now: Duration, actions: &mut Vec<Action>) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        if client.held_bytes > HELD_BYTES_MAX {
            self.close(id, actions);
        } else if !client.is_joining && client.is_behind() && client.behind_since.is_none() {
            client.behind_since = Some(now);
            self.behind.push_back((now, id));
        }
    }

    fn close(&mut self, id: ClientId, actions: &mut Vec<Action>) {
        self.counts.slow += 1;
        self.leave(id);
        actions.push(Action::CloseSlow(id));
    }
}

#[cfg(test)]
#[path = "hub_tests.rs"]
mod tests;
