//! Clients come, change what they want, and go; their groups come and go with them.

use std::time::Duration;

use super::{ClientId, HOLD, Hub};
use crate::serve::live::group::Group;
use crate::serve::live::load::Load;
use crate::serve::live::member::Member;
use crate::serve::live::subscription::{Addition, Entries, Subscription};

impl Hub {
    /// A client comes; it gets nothing before [`Hub::enter`] or [`Hub::subscribe`].
    pub(in crate::serve::live) fn join(&mut self, id: ClientId) {
        let number = self.find_or_found(Subscription::default());
        self.settle_in(Member::new(id), number);
    }

    /// A client that has not subscribed gets everything from now on, but nothing before `HOLD` is
    /// over. That is one subscription for all who want it, and never refused.
    pub(in crate::serve::live) fn enter(&mut self, id: ClientId, now: Duration) {
        if self.member(id).is_none_or(|member| member.has_subscribed) {
            return;
        }
        let number = self.find_or_found(Subscription::everything());
        self.change_group(id, number, Group::send_off);
        if let Some((group, place)) = self.clients.get(&id) {
            self.groups[*group].hold(*place, now);
            self.held.push_back((now + HOLD, id));
        }
    }

    /// A client goes. One that is not there has been closed before.
    pub(in crate::serve::live) fn leave(&mut self, id: ClientId) {
        let Some((number, member)) = self.take_out(id, Group::dismiss) else { return };
        self.load.queued_bytes -= member.queued_bytes();
        self.disband_if_empty(number);
        if self.clients.is_empty() {
            let (counts, groups, load) = (self.counts, self.groups.emptied(), self.load);
            *self = Self { counts, groups, load, ..Self::default() };
        }
    }

    /// A client adds entries. With the first ones it stops getting everything, so the first of its
    /// frames, up to the number that comes back, are not for it any more.
    ///
    /// # Errors
    /// The sentence that the client is answered with; nothing has changed.
    pub(in crate::serve::live) fn subscribe(
        &mut self,
        id: ClientId,
        addition: &Addition,
    ) -> Result<u64, String> {
        let Some((before, is_first)) = self.subscription(id) else { return Ok(0) };
        let number = self.admission(id, before.with(addition)?)?;
        self.change_group(id, number, if is_first { dismissed } else { Group::send_off });
        let mut obsolete = 0;
        if let Some(member) = self.member(id) {
            member.has_subscribed = true;
            if is_first {
                (member.is_held, obsolete) = (false, member.frames_ever);
            }
        }
        Ok(obsolete)
    }

    /// A client removes entries. With none left it gets nothing.
    ///
    /// # Errors
    /// The sentence that the client is answered with; nothing has changed.
    pub(in crate::serve::live) fn unsubscribe(
        &mut self,
        id: ClientId,
        entries: &Entries,
    ) -> Result<(), String> {
        let Some((before, is_first)) = self.subscription(id) else { return Ok(()) };
        let number = self.admission(id, before.without(entries))?;
        self.change_group(id, number, if is_first { dismissed } else { Group::send_off });
        if let Some(member) = self.member(id) {
            // It has said what it wants, so nothing is held back of what it will want.
            (member.has_subscribed, member.is_held) = (true, false);
        }
        Ok(())
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

    /// The group of a subscription that a client is to have, unless that would be too much.
    fn admission(&mut self, id: ClientId, subscription: Subscription) -> Result<u32, String> {
        if let Some(number) = self.groups.find(&subscription) {
            return Ok(number);
        }
        let series = self.slots.wanted(&subscription);
        let left = self.clients.get(&id).map(|(number, _)| &self.groups[*number]);
        let freed = left.filter(|it| it.members.len() == 1).map_or(0, |it| it.series);
        if !self.load.has_room_for(series, freed) {
            self.counts.refused += 1;
            let (others, most) = (self.load.listeners - freed, self.load.limits.listeners);
            return Err(format!(
                "a subscription that nobody else has, to {series} series, beside {others}; \
                 allowed: {most} in all, the series of each different subscription"
            ));
        }
        Ok(self.found(subscription, series))
    }

    fn find_or_found(&mut self, subscription: Subscription) -> u32 {
        self.groups.find(&subscription).unwrap_or_else(|| {
            let series = self.slots.wanted(&subscription);
            self.found(subscription, series)
        })
    }

    /// Makes a group. Its listeners are made when the series are heard next.
    fn found(&mut self, subscription: Subscription, series: usize) -> u32 {
        let number = self.groups.add(subscription);
        self.groups[number].series = series;
        self.load.listeners += series;
        number
    }

    fn disband_if_empty(&mut self, number: u32) {
        if !self.groups[number].members.is_empty() {
            return;
        }
        let Some(group) = self.groups.remove(number) else { return };
        self.load.listeners -= group.series;
        for slot in group.slots {
            self.slots.get_mut(slot).audience.retain(|listener| listener.group != number);
        }
    }

    fn change_group(&mut self, id: ClientId, to: u32, take: Take) {
        let wanted = self.groups[to].subscription.clone();
        let taken = self.take_out(id, |group, place, load| take(group, place, &wanted, load));
        if let Some((from, member)) = taken {
            self.settle_in(member, to);
            self.disband_if_empty(from);
        }
    }

    fn take_out(
        &mut self,
        id: ClientId,
        take: impl FnOnce(&mut Group, usize, &mut Load) -> Member,
    ) -> Option<(u32, Member)> {
        let (number, place) = self.clients.remove(&id)?;
        let group = &mut self.groups[number];
        let taken = take(group, place, &mut self.load);
        if let Some(moved) = group.members.get(place) {
            self.clients.insert(moved.id, (number, place));
        }
        Some((number, taken))
    }

    fn settle_in(&mut self, mut member: Member, number: u32) {
        let id = member.id;
        if self.load.keeps_too_much()
            && let Some(behind) = &mut member.behind
        {
            self.load.kept -= behind.give_up();
            // Closed at the next tick.
            self.watched.push_front((Duration::ZERO, id));
        }
        let group = &mut self.groups[number];
        group.admit(member);
        self.clients.insert(id, (number, group.members.len() - 1));
    }
}

/// How a client is taken out of its group, for another subscription.
type Take = fn(&mut Group, usize, &Subscription, &mut Load) -> Member;

fn dismissed(group: &mut Group, place: usize, _to: &Subscription, load: &mut Load) -> Member {
    group.dismiss(place, load)
}
