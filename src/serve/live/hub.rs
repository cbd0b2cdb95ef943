//! The hub: where one reading becomes many frames. A state machine: what happens goes in with the
//! time, what is to be done comes out; it has no runtime, no clock and no I/O.
//!
//! Every series has a slot with its latest reading. Clients with one subscription are a
//! [`Group`](super::group::Group), and every slot knows which groups want it: a reading costs as
//! much as there are different subscriptions, whatever the number of clients. A frame is encoded
//! once, and every client of the group gets the same bytes.
//!
//! When a client's queue is full it is told the latest when there is room again; one whose queue
//! stands still is closed. So one slow client costs neither the others nor the ingest.
//!
//! When a sensor is deleted, its slots are given up and what waits of it is dropped; the word of
//! it is never conflated away, and no reading of before comes after it.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::time::Duration;

use super::frame::Frame;
use super::group::Telling;
use super::groups::Groups;
use super::load::Load;
use super::member::Member;
use super::slots::Slots;

mod moving;
mod statistics;
mod telling;

pub(super) use telling::Notice;

/// A client whose queue stood still for so long is closed. A guess: a phone that changes cells
/// recovers.
const STILL_MAX: Duration = Duration::from_secs(10);

/// A client that comes may say what it wants before it is told everything: what is told meanwhile
/// it is told then. Longer than most need to ask, and short for one that never does. A guess.
pub(super) const HOLD: Duration = Duration::from_millis(500);
/// How far apart readings are read when nobody wants any: as often as most clients want them.
const APART_MAX: Duration = Duration::from_millis(100);

/// A client of the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ClientId(pub(super) u64);

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Into the client's queue.
    Send(ClientId, Frame),
    /// It did not keep up.
    CloseSlow(ClientId),
}

/// All clients and all series that are shown.
#[derive(Debug, Default)]
pub(super) struct Hub {
    /// Each client's group, and its place there.
    clients: HashMap<ClientId, (u32, usize)>,
    groups: Groups,
    slots: Slots,
    /// When a group's lane has something to do; a lane stands here once at most.
    alarms: BinaryHeap<Reverse<(Duration, LaneId)>>,
    /// Lanes that have something to tell when the round is over.
    ready: Vec<LaneId>,
    /// Clients that fell behind, in the order of when to look at them; some have recovered since.
    watched: VecDeque<(Duration, ClientId)>,
    /// Clients that are held, in the order of their release; some said what they want since.
    held: VecDeque<(Duration, ClientId)>,
    load: Load,
    counts: Counts,
}

/// A lane of a group; of one that has gone since when the group of that number was born later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LaneId {
    group: u32,
    lane: u8,
    born: u64,
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::serve) struct Counts {
    /// Readings that were replaced by a later one, or older than one told; once per different
    /// subscription.
    pub(in crate::serve) conflated: u64,
    /// Readings of series that found no slot.
    pub(in crate::serve) without_slot: u64,
    /// Times that a client fell behind.
    pub(in crate::serve) behind: u64,
    /// Times that a client fell behind only because all queues together held too much.
    pub(in crate::serve) crowded: u64,
    /// Clients closed because their queue stood still, or because what they brought from one
    /// subscription to the next was too much.
    pub(in crate::serve) slow: u64,
    /// Wishes refused because there are too many series × different subscriptions.
    pub(in crate::serve) refused: u64,
}

impl Hub {
    /// Whether there is anybody.
    pub(super) fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// What happened so far.
    pub(super) const fn counts(&self) -> Counts {
        self.counts
    }

    /// What is held for all clients together.
    pub(super) const fn load(&self) -> Load {
        self.load
    }

    /// Entries of which some client wants every reading.
    pub(super) fn every(&self) -> BTreeSet<Box<str>> {
        self.groups.every()
    }

    /// The least that readings of one series are told apart.
    pub(super) fn apart(&self) -> Duration {
        self.groups.apart().unwrap_or(APART_MAX)
    }

    /// Another number when [`Hub::every`] may be different.
    pub(super) const fn every_changes(&self) -> u64 {
        self.groups.every_changes()
    }

    /// Frames of a client have left its queue.
    pub(super) fn sent(
        &mut self,
        id: ClientId,
        frames_bytes: (usize, usize),
        now: Duration,
        actions: &mut Vec<Action>,
    ) {
        self.telling(now, actions, |hub, telling| {
            if let Some((group, place)) = hub.clients.get(&id) {
                hub.groups[*group].sent(*place, frames_bytes, telling);
            }
        });
    }

    /// When [`Hub::tick`] has something to do.
    pub(super) fn next_tick(&self) -> Option<Duration> {
        let alarm = self.alarms.peek().map(|Reverse((at, _))| *at);
        let watched = self.watched.front().map(|(at, _)| *at);
        let held = self.held.front().map(|(at, _)| *at);
        alarm.into_iter().chain(watched).chain(held).min()
    }

    /// Tells what has waited long enough, and closes whose queue stood still.
    pub(super) fn tick(&mut self, now: Duration, actions: &mut Vec<Action>) {
        self.ring(now, actions);
        while let Some((_, id)) = self.held.pop_front_if(|(at, _)| *at <= now) {
            let Some(member) = self.member(id).filter(|it| it.is_held) else { continue };
            member.is_held = false;
            if let Some(behind) = &mut member.behind {
                behind.progress_at = now;
            }
            self.sent(id, (0, 0), now, actions);
            // More than fits: from here on it is as slow as anybody.
            let is_behind = self.member(id).is_some_and(|it| it.behind.is_some());
            self.watch(is_behind.then_some(id).into_iter().collect(), now);
        }
        while let Some((_, id)) = self.watched.pop_front_if(|(at, _)| *at <= now) {
            let Some(member) = self.member(id) else { continue };
            member.is_watched = false;
            let Some(behind) = &member.behind else { continue };
            let end = behind.progress_at + STILL_MAX;
            if end <= now || behind.is_given_up {
                self.counts.slow += 1;
                self.leave(id);
                actions.push(Action::CloseSlow(id));
            } else {
                member.is_watched = true;
                // A little out of order is a little late.
                self.watched.push_back((end, id));
            }
        }
    }

    fn member(&mut self, id: ClientId) -> Option<&mut Member> {
        let (group, place) = self.clients.get(&id)?;
        self.groups[*group].members.get_mut(*place)
    }

    /// Notes who fell behind.
    fn watch(&mut self, fell_behind: Vec<ClientId>, now: Duration) {
        self.counts.behind += fell_behind.len() as u64;
        for id in fell_behind {
            let Some(member) = self.member(id) else { continue };
            if !std::mem::replace(&mut member.is_watched, true) {
                self.watched.push_back((now + STILL_MAX, id));
            }
        }
    }

    /// Lets `tell` tell the groups, then notes who fell behind.
    fn telling(
        &mut self,
        now: Duration,
        actions: &mut Vec<Action>,
        tell: impl FnOnce(&mut Self, &mut Telling<'_>),
    ) {
        let mut fell_behind = Vec::new();
        let mut load = self.load;
        let mut telling =
            Telling { now, actions, fell_behind: &mut fell_behind, load: &mut load, crowded: 0 };
        tell(self, &mut telling);
        self.counts.crowded += telling.crowded;
        self.load = load;
        self.watch(fell_behind, now);
    }
}

#[cfg(test)]
mod tests;
