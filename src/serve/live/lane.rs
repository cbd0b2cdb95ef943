//! The series of a group that go at one pace. A state machine's part: no runtime, no clock, no
//! I/O.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::shown::Shown;
use super::subscription::Pace;

/// That a slot is wanted by a group, and how far it is with it.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    pub(super) group: u32,
    pub(super) lane: u8,
    pub(super) mark: Mark,
}

/// How far a slot is in a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// The next reading is told at once.
    Idle,
    /// It was told, and is not told again before then.
    Cooling(Duration),
    /// The same, and there is something newer.
    Waiting(Duration),
    /// Its reading stands at this place of the lane's frame of this number.
    Pending { frame: u32, place: u32 },
}

/// The series of a group that go at one pace.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) pace: Pace,
    pub(super) shape: Shape,
}

/// How readings of a lane are told.
#[derive(Debug)]
pub(super) enum Shape {
    /// Each in an event of its own. With the slots that were told less than a pace ago, the
    /// longest ago first, each with its listener's likely place.
    Single { cooling: VecDeque<Cooling> },
    /// Those of a round, or of a pace, together.
    Batch(Pending),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Cooling {
    pub(super) until: Duration,
    pub(super) slot: u32,
    pub(super) hint: u32,
}

/// What goes into a lane's next frame.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// With their slots; `None` where a sensor was deleted meanwhile.
    readings: Vec<Option<(u32, Arc<Shown>)>>,
    /// How many came, with those that were replaced.
    pub(super) observed: u64,
    /// The number of the frame; wraps.
    pub(super) frame: u32,
    /// Told less than a pace ago.
    pub(super) is_cooling: bool,
    /// It stands in the hub's list of lanes to be told.
    pub(super) is_ready: bool,
}

/// A reading that comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coming<'a> {
    pub(super) slot: u32,
    pub(super) shown: &'a Arc<Shown>,
    /// A later one has been told, or waits.
    pub(super) is_late: bool,
}

/// What comes of a reading in a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// Tell it now.
    Now,
    /// Tell it now, and look at the slot again then.
    NowAndAt(Duration),
    /// The lane has something to tell when the round is over.
    Ready,
    /// It, or the one before it, is not told.
    Replaced,
    /// Later.
    Later,
}

impl Lane {
    pub(super) fn new(pace: Pace, batch: bool) -> Self {
        let shape = if batch {
            Shape::Batch(Pending::default())
        } else {
            Shape::Single { cooling: VecDeque::new() }
        };
        Self { pace, shape }
    }

    /// Takes a reading of a slot.
    pub(super) fn take(&mut self, mark: &mut Mark, coming: &Coming<'_>, now: Duration) -> Taken {
        let Coming { shown, is_late, .. } = *coming;
        match (&mut self.shape, self.pace) {
            (Shape::Single { .. }, Pace::Every) => Taken::Now,
            (Shape::Single { .. }, Pace::Apart(_)) if is_late => Taken::Replaced,
            (Shape::Single { .. }, Pace::Apart(apart)) => match *mark {
                Mark::Cooling(until) if until > now => {
                    *mark = Mark::Waiting(until);
                    Taken::Later
                }
                Mark::Waiting(_) => Taken::Replaced,
                Mark::Idle | Mark::Cooling(_) | Mark::Pending { .. } => {
                    *mark = Mark::Cooling(now + apart);
                    Taken::NowAndAt(now + apart)
                }
            },
            (Shape::Batch(pending), Pace::Every) => {
                pending.observed += 1;
                pending.push(coming);
                pending.ready()
            }
            (Shape::Batch(pending), Pace::Apart(_)) => {
                pending.observed += 1 + u64::from(shown.observed.replaced);
                if is_late { Taken::Replaced } else { pending.take(mark, coming) }
            }
        }
    }
}

impl Lane {
    /// A slot is of no series any more: what waits of it goes.
    pub(super) fn forget(&mut self, slot: u32) {
        if let Shape::Batch(pending) = &mut self.shape {
            for reading in &mut pending.readings {
                reading.take_if(|(of, _)| *of == slot);
            }
        }
    }

    /// All readings are of another data set.
    pub(super) fn forget_all(&mut self) {
        if let Shape::Batch(pending) = &mut self.shape {
            pending.readings.fill(None);
        }
    }
}

impl Pending {
    fn take(&mut self, mark: &mut Mark, coming: &Coming<'_>) -> Taken {
        if let Mark::Pending { frame, place } = *mark
            && frame == self.frame
            && let Some(older) = self.readings.get_mut(place as usize)
        {
            *older = Some((coming.slot, coming.shown.clone()));
            return Taken::Replaced;
        }
        let place = u32::try_from(self.readings.len()).unwrap_or(u32::MAX);
        *mark = Mark::Pending { frame: self.frame, place };
        self.push(coming);
        self.ready()
    }

    fn push(&mut self, coming: &Coming<'_>) {
        self.readings.push(Some((coming.slot, coming.shown.clone())));
    }

    fn ready(&mut self) -> Taken {
        if self.is_cooling || std::mem::replace(&mut self.is_ready, true) {
            return Taken::Later;
        }
        Taken::Ready
    }

    /// Gives what is to be told: the readings, and how many others they stand for.
    pub(super) fn flush(&mut self) -> (Vec<(u32, Arc<Shown>)>, u64) {
        self.frame = self.frame.wrapping_add(1);
        self.is_ready = false;
        let readings: Vec<_> = self.readings.drain(..).flatten().collect();
        self.observed -= readings.len() as u64;
        if readings.is_empty() {
            // What was replaced is said with the next reading.
            return (readings, 0);
        }
        (readings, std::mem::take(&mut self.observed))
    }

    /// Whether something waits.
    pub(super) fn is_empty(&self) -> bool {
        self.readings.is_empty()
    }
}
