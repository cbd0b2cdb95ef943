//! The clients with one and the same subscription: every frame is made once for all of them.
//!
//! A member whose queue is full is behind: it is told the latest of what it missed when there is
//! room again, and how many readings were replaced. A state machine's part: no runtime, no clock,
//! no I/O.

use std::sync::Arc;
use std::time::Duration;

use super::behind::{Behind, Next};
use super::event;
use super::frame::Frame;
use super::hub::{Action, ClientId};
use super::lane::Lane;
use super::load::Load;
use super::member::{Member, Room, Stats};
use super::missed::{Item, Key, Missed};
use super::shown::Shown;
use super::subscription::{Pace, Subscription};

/// Readings in one `sensor_updates`: about 60 KB. A guess that keeps a frame below what a client
/// may have waiting.
pub(super) const READINGS_PER_FRAME: usize = 256;

/// What comes of telling.
pub(super) struct Telling<'a> {
    pub(super) now: Duration,
    pub(super) actions: &'a mut Vec<Action>,
    /// Who fell behind.
    pub(super) fell_behind: &'a mut Vec<ClientId>,
    pub(super) load: &'a mut Load,
    /// How many of them had room, had all queues together not held too much.
    pub(super) crowded: u64,
}

/// The clients with one and the same subscription.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) subscription: Arc<Subscription>,
    /// Which group it is of all that ever had its number.
    pub(super) born: u64,
    pub(super) lanes: Vec<Lane>,
    pub(super) members: Vec<Member>,
    /// How many series it wants of those that were heard.
    pub(super) series: usize,
    /// The slots that have a listener of this group; some may have been given up since.
    pub(super) slots: Vec<u32>,
    missed: Missed,
    /// How many members are behind.
    behind: usize,
    /// Readings told so far, with those that they replaced.
    told: u64,
}

impl Group {
    pub(super) fn new(subscription: Arc<Subscription>, born: u64) -> Self {
        let mut paces: Vec<Pace> = subscription.entries().map(|(_, pace)| pace).collect();
        paces.sort_unstable();
        paces.dedup();
        let batch = subscription.batch;
        Self {
            lanes: paces.into_iter().map(|pace| Lane::new(pace, batch)).collect(),
            subscription,
            born,
            members: Vec::new(),
            series: 0,
            slots: Vec::new(),
            missed: Missed::default(),
            behind: 0,
            told: 0,
        }
    }

    /// Which lane a sensor goes in; `None` when it is not wanted.
    pub(super) fn lane_of(&self, sensor_id: &str) -> Option<u8> {
        let pace = self.subscription.pace(sensor_id)?;
        let place = self.lanes.iter().position(|lane| lane.pace == pace)?;
        u8::try_from(place).ok()
    }

    /// Whether a client of it wants every reading of something.
    pub(super) fn wants_every(&self) -> bool {
        self.lanes.first().is_some_and(|lane| lane.pace == Pace::Every)
    }

    /// Tells one reading by itself.
    pub(super) fn tell_one(&mut self, slot: u32, shown: &Arc<Shown>, telling: &mut Telling<'_>) {
        self.tell(shown.frame(), 1, telling);
        if self.behind > 0 {
            self.missed.put(Key::Reading(slot), Item::Reading(shown.clone()));
        }
    }

    /// Tells readings together, and how many others they stand for.
    pub(super) fn tell_batch(
        &mut self,
        readings: &[(u32, Arc<Shown>)],
        conflated: u64,
        telling: &mut Telling<'_>,
    ) {
        let mut chunks = readings.chunks(READINGS_PER_FRAME).peekable();
        while let Some(chunk) = chunks.next() {
            let conflated = if chunks.peek().is_none() { conflated } else { 0 };
            let frame = event::sensor_updates(chunk.iter().map(|(_, it)| &**it), conflated);
            self.tell(&frame, chunk.len() as u64 + conflated, telling);
            if self.behind == 0 {
                continue;
            }
            for (slot, shown) in chunk {
                self.missed.put(Key::Reading(*slot), Item::Reading(shown.clone()));
            }
        }
    }

    /// Tells something that is no reading.
    pub(super) fn tell_event(&mut self, key: Key, frame: &Frame, telling: &mut Telling<'_>) {
        self.tell(frame, 0, telling);
        if self.behind > 0 {
            self.missed.put(key, Item::Event(frame.clone()));
        }
    }

    /// Whether its members are told how many readings were replaced.
    fn counts(&self) -> bool {
        self.subscription.batch || self.wants_every()
    }

    fn tell(&mut self, frame: &Frame, readings: u64, telling: &mut Telling<'_>) {
        let counts = self.counts();
        for member in &mut self.members {
            if member.behind.is_some() {
                continue;
            }
            if member.has_room(telling.load) {
                member.send(frame.clone(), telling.actions, telling.load);
            } else {
                telling.crowded += u64::from(member.has_room(&Load::default()));
                member.behind = Some(Behind::new(&self.missed, self.told, counts, telling.now));
                self.behind += 1;
                telling.fell_behind.push(member.id);
            }
        }
        self.told += readings;
    }

    /// Frames have left a member's queue: it is told what it missed, as far as there is room.
    pub(super) fn sent(
        &mut self,
        member: usize,
        frames_bytes: (usize, usize),
        telling: &mut Telling<'_>,
    ) {
        let batch = self.subscription.batch;
        let member = &mut self.members[member];
        member.sent(frames_bytes, telling.now, telling.load);
        while member.has_room(telling.load)
            && let Some(behind) = member.behind.as_mut().filter(|it| !it.is_given_up)
        {
            let kept = behind.kept();
            let next = behind.next(&self.missed, batch);
            telling.load.kept -= kept - behind.kept();
            let lost = behind.lost(self.told);
            let frame = match next {
                Some(Next::Event(frame)) => Some(frame),
                Some(Next::Readings(readings)) => {
                    // Said once, with the last of them.
                    let conflated = if behind.is_over(&self.missed) { lost } else { 0 };
                    behind.tell_lost(conflated);
                    Some(event::sensor_updates(readings.iter().map(|it| &**it), conflated))
                }
                None => {
                    let is_told = behind.counts && lost > 0;
                    member.behind = None;
                    self.behind -= 1;
                    is_told.then(|| match batch {
                        true => event::sensor_updates(std::iter::empty(), lost),
                        false => event::behind(lost),
                    })
                }
            };
            if let Some(frame) = frame {
                member.send(frame, telling.actions, telling.load);
            }
        }
        self.forget_if_nobody_is_behind();
    }

    fn forget_if_nobody_is_behind(&mut self) {
        if self.behind == 0 {
            self.missed.clear();
        }
    }

    /// Tells a member nothing for now; what it misses, it is told at the end.
    pub(super) fn hold(&mut self, member: usize, now: Duration) {
        let counts = self.counts();
        let member = &mut self.members[member];
        if member.behind.is_none() {
            member.is_held = true;
            member.behind = Some(Behind::new(&self.missed, self.told, counts, now));
            self.behind += 1;
        }
    }

    /// Takes a member in, with what it missed in the groups that it comes from.
    pub(super) fn admit(&mut self, mut member: Member) {
        member.room = if self.wants_every() { Room::EVERY } else { Room::CONFLATED };
        member.stats = Stats::Whole;
        let counts = self.counts();
        if let Some(behind) = &mut member.behind {
            behind.unpack(&self.missed, self.told, counts);
            self.behind += 1;
        }
        self.members.push(member);
    }

    /// Lets a member go; what it missed is nothing to it any more.
    pub(super) fn dismiss(&mut self, member: usize, load: &mut Load) -> Member {
        let mut member = self.members.swap_remove(member);
        if let Some(behind) = member.behind.take() {
            load.kept -= behind.kept();
            self.behind -= 1;
            self.forget_if_nobody_is_behind();
        }
        member
    }

    /// Lets a member go to another subscription, with what it missed of what that wants.
    pub(super) fn send_off(&mut self, member: usize, to: &Subscription, load: &mut Load) -> Member {
        let mut member = self.members.swap_remove(member);
        if let Some(behind) = &mut member.behind {
            load.kept -= behind.kept();
            behind.pack(&self.missed, self.told, to);
            load.kept += behind.kept();
            self.behind -= 1;
            self.forget_if_nobody_is_behind();
        }
        member
    }

    /// A slot is of no series any more: what its members brought of it goes.
    pub(super) fn forget_kept(&mut self, slot: u32, load: &mut Load) {
        for behind in self.members.iter_mut().filter_map(|it| it.behind.as_mut()) {
            load.kept -= behind.forget_slot(slot);
        }
    }

    /// A slot is of no series any more, or of another.
    pub(super) fn forget_slot(&mut self, slot: u32, lane: u8) {
        self.missed.remove(&Key::Reading(slot));
        if let Some(lane) = self.lanes.get_mut(usize::from(lane)) {
            lane.forget(slot);
        }
    }

    /// All readings are of another data set.
    pub(super) fn forget(&mut self, load: &mut Load) {
        self.missed.clear_readings();
        for behind in self.members.iter_mut().filter_map(|it| it.behind.as_mut()) {
            load.kept -= behind.forget_readings();
        }
        for lane in &mut self.lanes {
            lane.forget_all();
        }
    }

    /// What is kept for those who are behind.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.missed.len()
    }
}
