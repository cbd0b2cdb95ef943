//! What the hub tells its groups: readings at their pace, and what must be known beside them.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use super::{Action, Hub, LaneId};
use crate::reading::SeriesKey;
use crate::serve::live::event;
use crate::serve::live::frame::Frame;
use crate::serve::live::group::Telling;
use crate::serve::live::lane::{Coming, Cooling, Listener, Mark, Shape, Taken};
use crate::serve::live::missed::Key;
use crate::serve::live::shown::{Change, Observed, Shown};
use crate::serve::live::subscription::Pace;
use crate::shard::ShardId;

impl Hub {
    /// Something changed. What belongs together is told by [`Hub::settle`].
    pub(in crate::serve::live) fn change(
        &mut self,
        change: Change,
        now: Duration,
        actions: &mut Vec<Action>,
    ) {
        self.telling(now, actions, |hub, telling| match change {
            Change::Reading(observed) => hub.observe(observed, telling),
            Change::Removed { sensor_id } => hub.remove(&sensor_id, telling),
        });
    }

    /// A round of changes is over: tells what came together.
    pub(in crate::serve::live) fn settle(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let ready = std::mem::take(&mut self.ready);
        self.telling(now, actions, |hub, telling| {
            for lane in ready {
                hub.flush(lane, telling);
            }
        });
    }

    /// Something that everybody must know.
    pub(in crate::serve::live) fn announce(
        &mut self,
        notice: &Notice,
        now: Duration,
        actions: &mut Vec<Action>,
    ) {
        let (key, frame) = match notice {
            Notice::Gap(shard) => (Key::Gap(*shard), event::gap(*shard)),
            Notice::Reset => {
                self.forget();
                (Key::Reset, event::reset())
            }
        };
        self.telling(now, actions, |hub, telling| {
            for (_, group) in hub.groups.iter_mut() {
                group.tell_event(key.clone(), &frame, telling);
            }
        });
    }

    /// Something of one series, to everybody who wants its sensor; of two under one key the last
    /// is enough.
    pub(in crate::serve::live) fn tell_of(
        &mut self,
        series: &SeriesKey,
        frame: &Frame,
        now: Duration,
        actions: &mut Vec<Action>,
    ) {
        let SeriesKey { sensor_id, sensor_type } = series;
        let key = Key::Status(sensor_id.clone(), sensor_type.clone());
        self.telling(now, actions, |hub, telling| {
            for number in hub.groups.of(sensor_id) {
                hub.groups[number].tell_event(key.clone(), frame, telling);
            }
        });
    }

    /// What was told is of another data set.
    fn forget(&mut self) {
        for slot in self.slots.iter_mut() {
            slot.latest = None;
        }
        for (_, group) in self.groups.iter_mut() {
            group.forget(&mut self.load);
        }
    }

    fn remove(&mut self, sensor_id: &str, telling: &mut Telling<'_>) {
        let wanting = self.groups.of(sensor_id);
        for (slot, audience) in self.slots.remove(sensor_id) {
            for number in &wanting {
                let group = &mut self.groups[*number];
                group.forget_kept(slot, telling.load);
                group.series -= 1;
            }
            telling.load.listeners -= wanting.len();
            for Listener { group, lane, .. } in audience {
                self.groups[group].forget_slot(slot, lane);
            }
        }
        let frame = event::sensor_removed(sensor_id);
        for number in wanting {
            let key = Key::Removed(sensor_id.into());
            self.groups[number].tell_event(key, &frame, telling);
        }
    }

    /// A reading came.
    fn observe(&mut self, observed: Observed, telling: &mut Telling<'_>) {
        let Some(slot) = self.slot(&observed.series, telling) else {
            self.counts.without_slot += 1;
            return;
        };
        self.introduce(slot, &observed.series.sensor_id);
        let known = self.slots.get_mut(slot);
        let latest = known.latest.as_ref().map(|latest| latest.observed.measured_at);
        let is_late = latest.is_some_and(|latest| latest > observed.measured_at);
        let shown = Arc::new(Shown::new(observed));
        if !is_late {
            known.latest = Some(shown.clone());
        }
        let mut audience = std::mem::take(&mut known.audience);
        let coming = Coming { slot, shown: &shown, is_late };
        for (hint, listener) in (0u32..).zip(&mut audience) {
            self.take(listener, hint, &coming, telling);
        }
        self.slots.get_mut(slot).audience = audience;
    }

    /// The slot of a series. A new one is listened to by all groups that want it, or not shown.
    fn slot(&mut self, series: &SeriesKey, telling: &mut Telling<'_>) -> Option<u32> {
        if let Some(known) = self.slots.find(series) {
            return Some(known);
        }
        let wanting = self.groups.of(&series.sensor_id);
        if !telling.load.has_room_for(wanting.len(), 0) {
            return None;
        }
        let slot = self.slots.give(series)?;
        telling.load.listeners += wanting.len();
        for number in wanting {
            self.groups[number].series += 1;
        }
        Some(slot)
    }

    /// A series is heard: which of the groups that came since the last time want it?
    fn introduce(&mut self, slot: u32, sensor_id: &str) {
        let known = self.slots.get_mut(slot);
        let asked = std::mem::replace(&mut known.asked, self.groups.born());
        if asked == known.asked {
            return;
        }
        for number in self.groups.of(sensor_id) {
            let group = &mut self.groups[number];
            let Some(lane) = group.lane_of(sensor_id).filter(|_| group.born > asked) else {
                continue;
            };
            group.slots.push(slot);
            known.audience.push(Listener { group: number, lane, mark: Mark::Idle });
        }
    }

    fn take(
        &mut self,
        listener: &mut Listener,
        hint: u32,
        coming: &Coming<'_>,
        telling: &mut Telling<'_>,
    ) {
        let group = &mut self.groups[listener.group];
        let id = LaneId { group: listener.group, lane: listener.lane, born: group.born };
        let lane = &mut group.lanes[usize::from(listener.lane)];
        match lane.take(&mut listener.mark, coming, telling.now) {
            Taken::Now => group.tell_one(coming.slot, coming.shown, telling),
            Taken::NowAndAt(until) => {
                if let Shape::Single { cooling } = &mut lane.shape {
                    if cooling.is_empty() {
                        self.alarms.push(Reverse((until, id)));
                    }
                    cooling.push_back(Cooling { until, slot: coming.slot, hint });
                }
                group.tell_one(coming.slot, coming.shown, telling);
            }
            Taken::Ready => self.ready.push(id),
            Taken::Replaced => self.counts.conflated += 1,
            Taken::Later => {}
        }
    }

    /// Tells what stands in a lane's frame, unless it was told less than a pace ago.
    fn flush(&mut self, id: LaneId, telling: &mut Telling<'_>) {
        let Some(group) = self.groups.get_mut(id.group).filter(|it| it.born == id.born) else {
            return;
        };
        let Some(lane) = group.lanes.get_mut(usize::from(id.lane)) else { return };
        let Shape::Batch(pending) = &mut lane.shape else { return };
        if pending.is_cooling || pending.is_empty() {
            return;
        }
        let (readings, conflated) = pending.flush();
        if let Pace::Apart(apart) = lane.pace {
            pending.is_cooling = !readings.is_empty();
            if pending.is_cooling {
                self.alarms.push(Reverse((telling.now + apart, id)));
            }
        }
        group.tell_batch(&readings, conflated, telling);
    }

    /// Does what is due in all lanes.
    pub(super) fn ring(&mut self, now: Duration, actions: &mut Vec<Action>) {
        self.telling(now, actions, |hub, telling| {
            while let Some(Reverse((at, id))) = hub.alarms.peek().copied()
                && at <= now
            {
                hub.alarms.pop();
                let group = hub.groups.get_mut(id.group).filter(|it| it.born == id.born);
                let lane = group.and_then(|it| it.lanes.get_mut(usize::from(id.lane)));
                match lane.map(|lane| &mut lane.shape) {
                    Some(Shape::Batch(pending)) => {
                        pending.is_cooling = false;
                        hub.flush(id, telling);
                    }
                    Some(Shape::Single { .. }) => hub.warm(id, telling),
                    None => {}
                }
            }
        });
    }

    /// Tells of the slots of a lane that have cooled what came meanwhile.
    fn warm(&mut self, id: LaneId, telling: &mut Telling<'_>) {
        let group = &mut self.groups[id.group];
        let lane = &mut group.lanes[usize::from(id.lane)];
        let Pace::Apart(apart) = lane.pace else { return };
        loop {
            let Shape::Single { cooling } = &mut group.lanes[usize::from(id.lane)].shape else {
                return;
            };
            let Some(cooled) = cooling.pop_front_if(|it| it.until <= telling.now) else {
                if let Some(next) = cooling.front() {
                    self.alarms.push(Reverse((next.until, id)));
                }
                return;
            };
            let slot = self.slots.get_mut(cooled.slot);
            let Some((hint, listener)) = find(&mut slot.audience, id.group, cooled.hint) else {
                continue;
            };
            let until = telling.now + apart;
            match (listener.mark, &slot.latest) {
                (Mark::Waiting(at), Some(latest)) if at == cooled.until => {
                    listener.mark = Mark::Cooling(until);
                    cooling.push_back(Cooling { until, slot: cooled.slot, hint });
                    group.tell_one(cooled.slot, latest, telling);
                }
                (Mark::Cooling(at) | Mark::Waiting(at), _) if at == cooled.until => {
                    listener.mark = Mark::Idle;
                }
                // The slot is another series' by now.
                (Mark::Idle | Mark::Cooling(_) | Mark::Waiting(_) | Mark::Pending { .. }, _) => {}
            }
        }
    }
}

/// What everybody must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve::live) enum Notice {
    /// Readings of a shard are missing.
    Gap(ShardId),
    /// The data set, or the run of its server, is another one.
    Reset,
}

/// A group's listener, likely at `hint`.
fn find(audience: &mut [Listener], group: u32, hint: u32) -> Option<(u32, &mut Listener)> {
    let is_there = audience.get(hint as usize).is_some_and(|it| it.group == group);
    let place =
        if is_there { hint as usize } else { audience.iter().position(|it| it.group == group)? };
    Some((u32::try_from(place).ok()?, &mut audience[place]))
}
