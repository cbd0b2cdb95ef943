//! Watches over series: who is due to be judged, and who turned. No I/O, no clock.
//!
//! A series stands in the calendar at the second in which its silence would make it late, or
//! offline. Being heard does not move it: when its second comes, it is judged by what is known
//! then, and stands at a later one. So a series costs nothing as long as it is neither heard nor
//! due, and being heard costs two numbers. A heap with one entry for each would do the same, in
//! four times the memory and with a walk through it for each series that is due; that a look
//! comes once a second makes a second fine enough.
//!
//! Of a series it takes 40 bytes, its name beside (some 32 with the allocation), and 4 to 8 in
//! the calendar, before what vectors keep in reserve. Measured with a million names of 25 bytes:
//! 99 MB resident, 101 MB after each was heard and due three times.

use std::collections::BTreeMap;

use super::clocks::{Clocks, Judge};
use super::status::Status;

/// Places that stand in the calendar without being due there any more, at least, before it is
/// made anew. A guess, so that small calendars are not made anew all the time.
const STALE_MIN: usize = 1024;
/// The second of a series that stands in no calendar: nothing can become of it by waiting.
const NEVER: u32 = u32::MAX;

/// Stands for a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::serve) struct Place(u32);

/// What was heard of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) struct Heard {
    /// When its last message arrived, in milliseconds of Redis's clock.
    pub(in crate::serve) at_ms: u64,
    /// How often messages come; 0 when it is not known.
    pub(in crate::serve) interval_ms: u32,
    /// By whose time it is judged.
    pub(in crate::serve) judge: Judge,
}

/// All series, and who of them is quiet.
#[derive(Debug, Default)]
pub(in crate::serve) struct Watch {
    /// By place.
    watched: Vec<Watched>,
    free: Vec<Place>,
    /// Who is to be judged in which second of which clock. A place whose `second` is another one
    /// by now is stale and means nothing.
    calendar: BTreeMap<(Judge, u32), Vec<Place>>,
    /// Places in the calendar, stale ones too.
    entries: usize,
    /// Taken out of the calendar and not judged yet, with where they stood.
    due: Vec<((Judge, u32), Vec<Place>)>,
    /// How many series have each status.
    counts: [usize; Status::ALL.len()],
}

#[derive(Debug)]
struct Watched {
    /// The field of the series; empty when the place is free.
    field: Box<[u8]>,
    heard: Heard,
    status: Status,
    /// Where it stands in the calendar, or [`NEVER`].
    second: u32,
}

impl Watch {
    /// Begins to watch over a series. It is online until it is judged.
    pub(in crate::serve) fn begin(&mut self, field: Vec<u8>, heard: Heard) -> Place {
        let field = field.into_boxed_slice();
        let fresh = Watched { field, heard, status: Status::Online, second: NEVER };
        let place = match self.free.pop() {
            Some(place) => {
                self.watched[place.0 as usize] = fresh;
                place
            }
            None => {
                self.watched.push(fresh);
                Place(u32::try_from(self.watched.len() - 1).unwrap_or(u32::MAX))
            }
        };
        self.counts[Status::Online as usize] += 1;
        self.schedule(place);
        place
    }

    /// Takes in what is known of a series now.
    pub(in crate::serve) fn heard(&mut self, place: Place, heard: Heard) {
        let watched = &mut self.watched[place.0 as usize];
        if watched.heard == heard {
            return;
        }
        let has_other_judge = watched.heard.judge != heard.judge;
        watched.heard = heard;
        if has_other_judge {
            watched.second = NEVER;
        }
        if watched.status != Status::Online {
            self.stand(place, 0);
        } else if watched.next_second() < watched.second {
            self.schedule(place);
        }
    }

    /// Forgets a series.
    pub(in crate::serve) fn end(&mut self, place: Place) {
        let watched = &mut self.watched[place.0 as usize];
        self.counts[watched.status as usize] -= 1;
        watched.field = Box::default();
        watched.second = NEVER;
        self.free.push(place);
    }

    /// What a series was last judged to be.
    pub(in crate::serve) fn status(&self, place: Place) -> Status {
        self.watched[place.0 as usize].status
    }

    /// How many series have each status, as in [`Status::ALL`].
    pub(in crate::serve) const fn counts(&self) -> [usize; Status::ALL.len()] {
        self.counts
    }

    /// Judges those who are due, at most so many at a time. Gives the fields of those who turned,
    /// in no order, and whether all were judged; if not, the next call goes on with the others.
    pub(in crate::serve) fn judge(
        &mut self,
        clocks: &Clocks,
        most: usize,
    ) -> (Vec<(&[u8], Status)>, bool) {
        if self.due.is_empty() {
            self.begin_round(clocks);
        }
        let (mut turned, mut left) = (Vec::new(), most);
        while left > 0
            && let Some((at, places)) = self.due.last_mut()
        {
            let (at, from) = (*at, places.len().saturating_sub(left));
            let now: Vec<Place> = places.drain(from..).collect();
            left -= now.len();
            if places.is_empty() {
                self.due.pop();
            }
            turned.extend(now.into_iter().filter(|place| self.judge_one(clocks, at, *place)));
        }
        let is_done = self.due.is_empty();
        let of = |place: Place| {
            let watched = &self.watched[place.0 as usize];
            (&*watched.field, watched.status)
        };
        (turned.into_iter().map(of).collect(), is_done)
    }

    /// Takes those out of the calendar whose second has come. They all are judged before the next
    /// round begins: one who is due later in this second stands in it again.
    fn begin_round(&mut self, clocks: &Clocks) {
        if self.entries > 2 * self.watched.len() + STALE_MIN {
            self.renew_calendar();
        }
        for judge in clocks.judges() {
            let now = clocks.of(judge).map_or(0, seconds);
            while let Some((&at, _)) = self.calendar.range((judge, 0)..=(judge, now)).next()
                && let Some(places) = self.calendar.remove(&at)
            {
                self.entries -= places.len();
                self.due.push((at, places));
            }
        }
    }

    /// Judges a series that stood there, unless it stands elsewhere by now; true when it turned.
    fn judge_one(&mut self, clocks: &Clocks, at: (Judge, u32), place: Place) -> bool {
        let watched = &mut self.watched[place.0 as usize];
        if (watched.heard.judge, watched.second) != at {
            return false;
        }
        // Without a clock it would not be due.
        let now = clocks.of(watched.heard.judge).unwrap_or_default();
        let silence = now.saturating_sub(watched.heard.at_ms);
        let status = Status::of(silence, watched.heard.interval_ms);
        let before = std::mem::replace(&mut watched.status, status);
        self.counts[before as usize] -= 1;
        self.counts[status as usize] += 1;
        watched.second = NEVER;
        self.schedule(place);
        status != before
    }

    /// Stands a series where its status may change next.
    fn schedule(&mut self, place: Place) {
        self.stand(place, self.watched[place.0 as usize].next_second());
    }

    fn stand(&mut self, place: Place, second: u32) {
        let watched = &mut self.watched[place.0 as usize];
        if watched.second == second {
            return;
        }
        watched.second = second;
        if second != NEVER {
            self.calendar.entry((watched.heard.judge, second)).or_default().push(place);
            self.entries += 1;
        }
    }

    /// Leaves the stale ones out.
    fn renew_calendar(&mut self) {
        self.calendar.clear();
        self.entries = 0;
        for (place, watched) in (0..).map(Place).zip(&self.watched) {
            if watched.second != NEVER {
                let at = (watched.heard.judge, watched.second);
                self.calendar.entry(at).or_default().push(place);
                self.entries += 1;
            }
        }
    }
}

impl Watched {
    fn next_second(&self) -> u32 {
        let next = match self.status {
            Status::Online => Status::Late,
            Status::Late => Status::Offline,
            Status::Offline => return NEVER,
        };
        seconds(self.heard.at_ms.saturating_add(next.after_ms(self.heard.interval_ms)))
    }
}

/// The second that a time lies in; the last but one for all that come after.
fn seconds(ms: u64) -> u32 {
    u32::try_from(ms / 1000).unwrap_or(NEVER).min(NEVER - 1)
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
