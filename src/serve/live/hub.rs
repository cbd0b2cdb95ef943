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
use super::group::{Group, Telling};
use super::groups::Groups;
use super::lane::{Listener, Mark};
use super::member::Member;
use super::slots::Slots;
use super::subscription::{Addition, Entries, Subscription};

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
    /// Clients closed because their queue stood still.
    pub(in crate::serve) slow: u64,
}

impl Hub {
    /// A client comes; it gets nothing before [`Hub::enter`] or [`Hub::subscribe`].
    pub(super) fn join(&mut self, id: ClientId) {
        self.settle_in(Member::new(id), Subscription::default());
    }

    /// A client that has not subscribed gets everything from now on, but nothing before `HOLD` is
    /// over.
    pub(super) fn enter(&mut self, id: ClientId, now: Duration) {
        if self.member(id).is_none_or(|member| member.has_subscribed) {
            return;
        }
        self.change_group(id, Subscription::everything());
        if let Some((group, place)) = self.clients.get(&id) {
            self.groups[*group].hold(*place, now);
            self.held.push_back((now + HOLD, id));
        }
    }

    /// A client goes. One that is not there has been closed before.
    pub(super) fn leave(&mut self, id: ClientId) {
        self.take_out(id, Group::dismiss);
        if self.clients.is_empty() {
            *self = Self { counts: self.counts, groups: self.groups.emptied(), ..Self::default() };
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

    /// A client adds entries. With the first ones it stops getting everything, so the first of its
    /// frames, up to the number that comes back, are not for it any more.
    pub(super) fn subscribe(&mut self, id: ClientId, addition: &Addition) -> Result<u64, String> {
        let Some((before, is_first)) = self.subscription(id) else { return Ok(0) };
        let subscription = before.with(addition)?;
        let taken = if is_first {
            self.take_out(id, Group::dismiss)
        } else {
            self.take_out(id, |group, place| group.send_off(place, &subscription))
        };
        let Some(mut member) = taken else { return Ok(0) };
        let obsolete = if is_first { member.frames_ever } else { 0 };
        member.has_subscribed = true;
        member.is_held &= !is_first;
        self.settle_in(member, subscription);
        Ok(obsolete)
    }

    /// A client removes entries. With none left it gets nothing.
    pub(super) fn unsubscribe(&mut self, id: ClientId, entries: &Entries) {
        if let Some((before, _)) = self.subscription(id) {
            self.change_group(id, before.without(entries));
            if let Some(member) = self.member(id) {
                member.has_subscribed = true;
            }
        }
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
        if let Some((group, place)) = self.clients.get(&id) {
            self.groups[*group].sent(*place, frames_bytes, now, actions);
        }
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
            if end <= now {
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

    /// What a client wants, nothing before it ever said so; and whether it never did.
    fn subscription(&mut self, id: ClientId) -> Option<(Subscription, bool)> {
        let had_subscribed = self.member(id)?.has_subscribed;
        let (group, _) = self.clients.get(&id)?;
        let subscription = &self.groups[*group].subscription;
        Some(if had_subscribed {
            ((**subscription).clone(), false)
        } else {
            (Subscription::default(), true)
        })
    }

    fn member(&mut self, id: ClientId) -> Option<&mut Member> {
        let (group, place) = self.clients.get(&id)?;
        self.groups[*group].members.get_mut(*place)
    }

    fn change_group(&mut self, id: ClientId, subscription: Subscription) {
        let taken = self.take_out(id, |group, place| group.send_off(place, &subscription));
        if let Some(member) = taken {
            self.settle_in(member, subscription);
        }
    }

    fn take_out(
        &mut self,
        id: ClientId,
        take: impl FnOnce(&mut Group, usize) -> Member,
    ) -> Option<Member> {
        let (number, place) = self.clients.remove(&id)?;
        let group = &mut self.groups[number];
        let taken = take(group, place);
        if let Some(moved) = group.members.get(place) {
            self.clients.insert(moved.id, (number, place));
        }
        if group.members.is_empty() {
            self.disband(number);
        }
        Some(taken)
    }

    fn settle_in(&mut self, member: Member, subscription: Subscription) {
        let number = match self.groups.find(&subscription) {
            Some(number) => number,
            None => self.found(subscription),
        };
        let id = member.id;
        let group = &mut self.groups[number];
        group.admit(member);
        self.clients.insert(id, (number, group.members.len() - 1));
    }

    /// Makes a group, and tells the slots that it wants them.
    fn found(&mut self, subscription: Subscription) -> u32 {
        let has_prefix = subscription.entries().any(|(entry, _)| entry.ends_with('*'));
        let number = self.groups.add(subscription);
        let group = &mut self.groups[number];
        let wanted: Vec<(u32, u8)> = if has_prefix {
            let fitting = self.slots.sensors().filter_map(|(id, slots)| {
                let lane = group.lane_of(id)?;
                Some(slots.map(move |slot| (slot, lane)))
            });
            fitting.flatten().collect()
        } else {
            let fitting = group.subscription.entries().filter_map(|(id, _)| {
                let lane = group.lane_of(id)?;
                Some(self.slots.of(id).into_iter().map(move |slot| (slot, lane)))
            });
            fitting.flatten().collect()
        };
        for (slot, lane) in wanted {
            group.slots.push(slot);
            let listener = Listener { group: number, lane, mark: Mark::Idle };
            self.slots.get_mut(slot).audience.push(listener);
        }
        number
    }

    /// Removes a group that nobody is in.
    fn disband(&mut self, number: u32) {
        let Some(group) = self.groups.remove(number) else { return };
        for slot in group.slots {
            self.slots.get_mut(slot).audience.retain(|listener| listener.group != number);
        }
    }

    /// Notes who fell behind.
    fn watch(&mut self, fell_behind: Vec<ClientId>, now: Duration) {
        for id in fell_behind {
            self.counts.behind += 1;
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
        let mut telling = Telling { now, actions, fell_behind: &mut fell_behind };
        tell(self, &mut telling);
        self.watch(fell_behind, now);
    }
}

#[cfg(test)]
mod tests;
