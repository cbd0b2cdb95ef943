//! Changed statistics for whoever subscribed with `stats`: after each look at Redis, encoded once
//! per subscription, beside the runtime.
//!
//! A subscription has two laps over its series, in their order: one tells what changed since the
//! lap before began, the other tells everything to members that have just come or had no room.
//! A look takes a piece of each lap, so that what is told and what it costs are bounded, however
//! many series there are; what is left comes with the next looks, as it is then.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::door::Command;
use super::frame::Frame;
use super::subscription::Subscription;
use crate::reading::SeriesKey;
use crate::serve::effort::thread_time;
use crate::serve::service::Service;
use crate::serve::table::{Merged, Rows, Table};
use crate::serve::view::SensorList;

/// Rows in one frame: about 300 KB. A guess.
const ROWS_PER_FRAME: usize = 1000;
/// Frames of one lap in one look: a dashboard of 4,000 series is told of all of them each second.
/// A guess.
const FRAMES_MAX: usize = 4;
/// Series of one lap that are looked at in one look: some milliseconds. A guess.
const EXAMINED_MAX: usize = 200_000;
/// Processor time of one look for all subscriptions: one part in twenty of a second (design §7).
/// Who is not reached comes first at the next look.
const SPENT_MAX: Duration = Duration::from_millis(50);

/// A group of clients that want statistics.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Its number, and which group it is of all that had it.
    pub(super) group: (u32, u64),
    pub(super) subscription: Arc<Subscription>,
    /// Some member is told only what changed.
    pub(super) changes: bool,
    /// Some member needs everything.
    pub(super) whole: bool,
}

/// What a group is told.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) group: (u32, u64),
    /// Rows that changed.
    pub(super) changed: Vec<Frame>,
    /// A piece of everything.
    pub(super) whole: Vec<Frame>,
    /// `whole` is the first piece.
    pub(super) begins: bool,
    /// `whole` is the last piece.
    pub(super) ends: bool,
}

/// What is asked of the hub.
#[derive(Debug)]
pub(super) enum Asked {
    /// Who wants statistics?
    Wanted(oneshot::Sender<Vec<Wanted>>),
    /// They are to be told this.
    Tell(Vec<Told>),
}

/// How far a lap is.
#[derive(Clone, Debug)]
struct Lap {
    /// Told is what changed in later looks than this.
    since: u32,
    /// The last look when it began.
    began: u32,
    /// The last series that it came to; `None` before the first.
    after: Option<SeriesKey>,
}

impl Lap {
    const fn new(since: u32, began: u32) -> Self {
        Self { since, began, after: None }
    }

    /// The next piece; says whether the lap is over, after which it is a new one.
    fn go_on(&mut self, rows: &Rows, subscription: &Subscription) -> (Vec<Frame>, bool) {
        let (mut frames, mut page, mut examined) = (Vec::new(), Vec::new(), 0);
        let after = self.after.take();
        for (name, is_prefix) in subscription.spans() {
            for (series, changed) in rows.span(name, is_prefix, after.as_ref(), self.since) {
                page.extend(changed);
                examined += 1;
                if page.len() == ROWS_PER_FRAME {
                    frames.push(frame(rows, &page));
                    page.clear();
                }
                if frames.len() == FRAMES_MAX || examined == EXAMINED_MAX {
                    self.after = Some(series.clone());
                    break;
                }
            }
            if self.after.is_some() {
                break;
            }
        }
        if !page.is_empty() {
            frames.push(frame(rows, &page));
        }
        let is_over = self.after.is_none();
        if is_over {
            *self = Self::new(self.began, rows.looks());
        }
        (frames, is_over)
    }
}

fn frame(rows: &Rows, page: &[Merged<'_>]) -> Frame {
    Frame::new("sensor_stats", &SensorList::new(page, None, rows.as_of))
}

/// The laps of one group.
#[derive(Clone, Debug)]
struct Laps {
    changes: Lap,
    whole: Option<Lap>,
}

impl Laps {
    const fn new(looks: u32) -> Self {
        Self { changes: Lap::new(looks, looks), whole: None }
    }

    fn go_on(&mut self, rows: &Rows, wanted: &Wanted) -> Told {
        let (group, subscription) = (wanted.group, &*wanted.subscription);
        let mut told =
            Told { group, changed: Vec::new(), whole: Vec::new(), begins: false, ends: false };
        let looks = rows.looks();
        if wanted.changes {
            if self.changes.after.is_none() {
                self.changes.began = looks;
            }
            (told.changed, _) = self.changes.go_on(rows, subscription);
        } else {
            self.changes = Lap::new(looks, looks);
        }
        if wanted.whole {
            told.begins = self.whole.is_none();
            let lap = self.whole.get_or_insert_with(|| Lap::new(0, looks));
            (told.whole, told.ends) = lap.go_on(rows, subscription);
        }
        if told.ends || !wanted.whole {
            self.whole = None;
        }
        told
    }
}

/// Tells changed statistics after each look.
#[derive(Debug, Default)]
pub(in crate::serve) struct Stats {
    laps: HashMap<(u32, u64), Laps>,
    /// The group with which the next look begins.
    next: (u32, u64),
}

impl Stats {
    /// A look is complete: tells what changed to those who want it. Gives the processor time that
    /// it took beside the runtime.
    ///
    /// # Cancel safety
    /// Not safe: laps are forgotten, and begin anew with what changes later.
    pub(in crate::serve) async fn tell(&mut self, service: &Arc<Service>) -> Duration {
        let (reply, answer) = oneshot::channel();
        service.door.tell(Command::Stats(Asked::Wanted(reply))).await;
        // The hub ends with everything.
        let wanted = answer.await.unwrap_or_default();
        if wanted.is_empty() {
            self.laps.clear();
            return Duration::ZERO;
        }
        let mut stats = std::mem::take(self);
        let look = move |table: &Table| {
            let before = thread_time();
            let is_spent = || thread_time().saturating_sub(before) >= SPENT_MAX;
            let told = stats.encode(&table.read(), wanted, is_spent);
            (stats, told, thread_time().saturating_sub(before))
        };
        let (told, spent);
        (*self, told, spent) = service.table.at_length(look).await;
        if !told.is_empty() {
            service.door.tell(Command::Stats(Asked::Tell(told))).await;
        }
        spent
    }

    /// Goes on with every group's laps until too much is spent.
    fn encode(
        &mut self,
        rows: &Rows,
        mut wanted: Vec<Wanted>,
        is_spent: impl Fn() -> bool,
    ) -> Vec<Told> {
        let mut before = std::mem::take(&mut self.laps);
        for one in &wanted {
            let laps = before.remove(&one.group).unwrap_or_else(|| Laps::new(rows.looks()));
            self.laps.insert(one.group, laps);
        }
        wanted.sort_unstable_by_key(|one| (one.group < self.next, one.group));
        self.next = (0, 0);
        let mut all = Vec::new();
        for (place, one) in wanted.iter().enumerate() {
            if place > 0 && is_spent() {
                self.next = one.group;
                break;
            }
            let Some(laps) = self.laps.get_mut(&one.group) else { continue };
            let told = laps.go_on(rows, one);
            if told.begins || told.ends || !told.changed.is_empty() || !told.whole.is_empty() {
                all.push(told);
            }
        }
        all
    }
}

#[cfg(test)]
#[path = "stats_tests.rs"]
mod tests;
