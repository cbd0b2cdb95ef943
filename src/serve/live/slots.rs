//! One slot per series: its latest reading, and who wants it. A state machine's part: no runtime,
//! no clock, no I/O.

use std::sync::Arc;

use super::lane::Listener;
use super::places::Places;
use super::shown::Shown;
use super::subscription::Subscription;
use crate::reading::SeriesKey;

/// Series with a slot: the default of `STREAMGAUGE_MAX_SENSORS`. Others are not shown live.
const SLOTS_MAX: usize = 1_000_000;

/// What is known of a series that was heard of while somebody listened.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// The reading measured last.
    pub(super) latest: Option<Arc<Shown>>,
    /// Which groups, of all that there ever were, have been asked whether they want it.
    pub(super) asked: u64,
    /// The groups that want it, of those that were asked.
    pub(super) audience: Vec<Listener>,
}

/// All slots.
#[derive(Debug, Default)]
pub(super) struct Slots {
    all: Vec<Slot>,
    places: Places,
    /// Slots of no series any more, to be given out again.
    free: Vec<u32>,
}

impl Slots {
    /// The slot of a series, if it has one. One that nobody wants has a slot too.
    pub(super) fn find(&self, series: &SeriesKey) -> Option<u32> {
        self.places.find(series)
    }

    /// Gives a slot to a series that has none; `None` when there are too many.
    pub(super) fn give(&mut self, series: &SeriesKey) -> Option<u32> {
        let place = match self.free.pop() {
            Some(place) => place,
            None if self.all.len() >= SLOTS_MAX => return None,
            None => {
                self.all.push(Slot::default());
                u32::try_from(self.all.len() - 1).unwrap_or(u32::MAX)
            }
        };
        self.places.insert(series, place);
        Some(place)
    }

    /// How many series a subscription wants of those that have a slot.
    pub(super) fn wanted(&self, subscription: &Subscription) -> usize {
        let spans = subscription.spans();
        match &*spans {
            [("", true)] => self.all.len() - self.free.len(),
            names if names.iter().all(|(_, is_prefix)| !is_prefix) => {
                names.iter().map(|(id, _)| self.places.of(id).len()).sum()
            }
            spans => {
                let wanted = self.places.iter().filter(|(id, _)| is_within(spans, id));
                wanted.map(|(_, slots)| slots.count()).sum()
            }
        }
    }

    /// Every slot.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.all.iter_mut()
    }

    /// Gives up the slots of a sensor; gives them with who wanted them.
    pub(super) fn remove(&mut self, sensor_id: &str) -> Vec<(u32, Vec<Listener>)> {
        let places = self.places.remove(sensor_id);
        let take = |place: u32| {
            let slot = std::mem::take(&mut self.all[place as usize]);
            self.free.push(place);
            (place, slot.audience)
        };
        places.into_iter().map(take).collect()
    }

    /// A slot that was given out.
    pub(super) fn get_mut(&mut self, place: u32) -> &mut Slot {
        &mut self.all[place as usize]
    }
}

/// Whether an id lies in one of [`Subscription::spans`]: then it does in the last that does not
/// begin after it.
fn is_within(spans: &[(&str, bool)], id: &str) -> bool {
    let after = spans.partition_point(|(name, _)| *name <= id);
    let last = after.checked_sub(1).and_then(|at| spans.get(at));
    last.is_some_and(
        |(name, is_prefix)| if *is_prefix { id.starts_with(name) } else { id == *name },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::live::subscription::{Addition, Entries, Pace};

    #[test]
    fn the_series_that_a_subscription_wants_are_those_that_fit_an_entry() {
        let mut slots = Slots::default();
        let ids = ["a", "a1", "a!", "b", "b1", "c", "", "ab/1", "ü"];
        for id in ids {
            for kind in ["t", "h"] {
                let series = SeriesKey { sensor_id: id.into(), sensor_type: kind.into() };
                assert!(slots.give(&series).is_some());
            }
        }
        slots.remove("c");
        let check = |list: &[&str]| {
            let entries = Entries::parse(list.iter().map(|it| (*it).to_owned()).collect()).unwrap();
            let addition = Addition { entries, pace: Pace::Every, batch: None, stats: None };
            let subscription = Subscription::default().with(&addition).unwrap();
            let fitting = ids.iter().filter(|id| **id != "c" && subscription.wants(id)).count();
            assert_eq!(slots.wanted(&subscription), 2 * fitting, "{list:?}");
        };
        for list in [
            &["*"][..],
            &["a"],
            &["a", "b", "x"],
            &["a*"],
            &["a!*", "a1", "b"],
            &["a*", "a1", "b1*"],
            &["ab*", "a", "c*", "ü*"],
            &["*", "a"],
            &[],
        ] {
            check(list);
        }
    }
}
