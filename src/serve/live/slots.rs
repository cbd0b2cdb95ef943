//! One slot per series: its latest reading, and who wants it. A state machine's part: no runtime,
//! no clock, no I/O.

use std::sync::Arc;

use super::lane::Listener;
use super::places::Places;
use super::shown::Shown;
use crate::reading::SeriesKey;

/// Series with a slot: the default of `STREAMGAUGE_MAX_SENSORS`. Others are not shown live.
const SLOTS_MAX: usize = 1_000_000;

/// What is known of a series that was heard of while somebody listened.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// The reading measured last.
    pub(super) latest: Option<Arc<Shown>>,
    /// The groups that want it.
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

/// Where a series is.
pub(super) enum Place {
    Known(u32),
    New(u32),
    /// There are too many.
    None,
}

impl Slots {
    /// The slot of a series, given out if it had none. One that nobody wants has a slot too.
    pub(super) fn place(&mut self, series: &SeriesKey) -> Place {
        if let Some(known) = self.places.find(series) {
            return Place::Known(known);
        }
        let place = match self.free.pop() {
            Some(place) => place,
            None if self.all.len() >= SLOTS_MAX => return Place::None,
            None => {
                self.all.push(Slot::default());
                u32::try_from(self.all.len() - 1).unwrap_or(u32::MAX)
            }
        };
        self.places.insert(series, place);
        Place::New(place)
    }

    /// The slots of one sensor.
    pub(super) fn of(&self, sensor_id: &str) -> Vec<u32> {
        self.places.of(sensor_id)
    }

    /// Every sensor with its slots.
    pub(super) fn sensors(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = u32>)> {
        self.places.iter()
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
