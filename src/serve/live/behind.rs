//! A member that is behind: where it stands in what its group missed, what it brought from the
//! groups before, and how many readings it was never told. A state machine's part: no runtime, no
//! clock, no I/O.
//!
//! A client that changes what it wants while it is behind takes along what it missed. That is its
//! own: the members of the group that it comes to were told of it, or never wanted it.

use std::sync::Arc;
use std::time::Duration;

use super::frame::Frame;
use super::group::READINGS_PER_FRAME;
use super::missed::{Item, Key, Missed};
use super::shown::Shown;
use super::subscription::Subscription;

/// What a member that is behind still is to be told.
#[derive(Debug)]
pub(super) struct Behind {
    /// From which item of the group's [`Missed`] on.
    since: u64,
    /// How many readings its group had told, with those that they replaced, when it fell behind or
    /// came. What the group told later came to it too.
    from: u64,
    /// How many readings of the groups before it was not told, with those in `kept`.
    owed: u64,
    /// How many it was told since, and how many it was told that were replaced; of those that came.
    known: u64,
    /// What it brought from the groups before, and nobody else is told.
    kept: Missed,
    /// It is told how many readings were replaced.
    pub(super) counts: bool,
    /// What it brought was too much: it is told nothing more, and closed.
    pub(super) is_given_up: bool,
    /// When frames left its queue last.
    pub(super) progress_at: Duration,
}

/// What a member is told next.
pub(super) enum Next {
    /// An event, or one reading by itself.
    Event(Frame),
    /// Readings together.
    Readings(Vec<Arc<Shown>>),
}

impl Behind {
    /// From here on in what its group misses and tells.
    pub(super) fn new(missed: &Missed, told: u64, counts: bool, now: Duration) -> Self {
        Self {
            since: missed.next(),
            from: told,
            owed: 0,
            known: 0,
            kept: Missed::default(),
            counts,
            is_given_up: false,
            progress_at: now,
        }
    }

    /// How many readings came that it was neither told nor told of, when its group has told so
    /// many. What it is told is always one of those that came: its group counts a reading before
    /// it is kept, and what it brought was counted where it was kept.
    pub(super) fn lost(&self, told: u64) -> u64 {
        let came = self.owed + (told - self.from);
        debug_assert!(self.known <= came, "{} known of {came}", self.known);
        came.saturating_sub(self.known)
    }

    /// It was told that so many were replaced.
    pub(super) const fn tell_lost(&mut self, lost: u64) {
        self.known += lost;
    }

    /// It leaves its group for another subscription: what it still wants of what it missed goes
    /// along.
    pub(super) fn pack(&mut self, missed: &Missed, told: u64, wanted: &Subscription) {
        (self.owed, self.known) = (self.lost(told), 0);
        self.kept.retain(|key, item| item.is_wanted(key, wanted));
        for (_, key, item) in missed.since(self.since) {
            if item.is_wanted(key, wanted) {
                self.kept.put(key.clone(), item.clone());
            }
        }
    }

    /// It comes to another group.
    pub(super) fn unpack(&mut self, missed: &Missed, told: u64, counts: bool) {
        (self.since, self.from) = (missed.next(), told);
        self.counts |= counts;
    }

    /// How many items it brought.
    pub(super) fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Forgets what it brought of a slot that is of no series any more; how many items that are.
    pub(super) fn forget_slot(&mut self, slot: u32) -> usize {
        let before = self.kept.len();
        self.kept.remove(&Key::Reading(slot));
        before - self.kept.len()
    }

    /// Forgets all readings that it brought; how many items that are.
    pub(super) fn forget_readings(&mut self) -> usize {
        let before = self.kept.len();
        self.kept.clear_readings();
        before - self.kept.len()
    }

    /// What it brought is too much; how many items that are.
    pub(super) fn give_up(&mut self) -> usize {
        self.is_given_up = true;
        std::mem::take(&mut self.kept).len()
    }

    /// Whether it has been told everything.
    pub(super) fn is_over(&self, missed: &Missed) -> bool {
        self.kept.is_empty() && missed.since(self.since).next().is_none()
    }

    /// What comes next; it counts as told. What it brought comes first, without what its group has
    /// replaced since.
    pub(super) fn next(&mut self, missed: &Missed, batch: bool) -> Option<Next> {
        let mut readings = Vec::new();
        while readings.len() < READINGS_PER_FRAME {
            self.kept.drop_replaced(missed, self.since);
            let first = self.kept.since(0).next().or_else(|| missed.since(self.since).next());
            let Some((number, key, item)) = first else { break };
            let (key, item) = (key.clone(), item.clone());
            if matches!(item, Item::Event(_)) && !readings.is_empty() {
                break;
            }
            if self.kept.is_empty() {
                self.since = number + 1;
            } else {
                self.kept.remove(&key);
            }
            match item {
                Item::Event(frame) => return Some(Next::Event(frame)),
                Item::Reading(shown) => {
                    self.known += 1;
                    if !batch {
                        return Some(Next::Event(shown.frame().clone()));
                    }
                    readings.push(shown);
                }
            }
        }
        (!readings.is_empty()).then_some(Next::Readings(readings))
    }
}
