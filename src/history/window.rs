//! A window: what a series did in one minute or hour. No I/O, no clock.

use crate::reading::UnixMillis;
use crate::statistic::{Statistic, Statistics};

/// The statistics of a series' readings in `[start, start + length)` of `measured_at`. The length
/// is that of the [`Resolution`](super::Resolution) it is kept under; it is not repeated here.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Its first millisecond, as [`Resolution::start_of`](super::Resolution::start_of) gives it.
    pub start: UnixMillis,
    /// The numbers. A window that is kept has at least one reading.
    pub statistics: Statistics,
    /// The version of unit, location and metadata of the latest reading; 0 stands for the newest.
    /// Versions count per shard: of a window merged over shards it is the version in the shard of
    /// the latest reading.
    pub attributes: u32,
}

impl Window {
    /// A window without readings.
    #[must_use]
    pub fn new(start: UnixMillis) -> Self {
        Self { start, statistics: Statistics::default(), attributes: 0 }
    }

    /// Takes one reading in: a finite value, measured within the window. Its version of the
    /// attributes is kept unless a later reading is known; of several readings at one time the
    /// last to come decides.
    pub fn fold(&mut self, value: f64, measured_at: UnixMillis, attributes: u32) {
        if measured_at >= self.statistics.ends.last_at {
            self.attributes = attributes;
        }
        self.statistics.fold(value, measured_at);
    }

    /// Takes in the same window as folded elsewhere: in another shard, or from other readings.
    /// Shards are merged in ascending order, parts of one shard in order of arrival.
    ///
    /// # Panics
    /// The other window has another start.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!(self.start, other.start, "only parts of one window can be merged");
        let is_empty = other.statistics.moments.count == 0;
        if !is_empty && other.statistics.ends.last_at >= self.statistics.ends.last_at {
            self.attributes = other.attributes;
        }
        self.statistics.merge(&other.statistics);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: UnixMillis = UnixMillis(60_000);

    fn of(readings: &[(f64, i64, u32)]) -> Window {
        let mut window = Window::new(START);
        for &(value, at, attributes) in readings {
            window.fold(value, UnixMillis(at), attributes);
        }
        window
    }

    #[test]
    fn attributes_are_those_of_the_latest_reading() {
        assert_eq!(of(&[]).attributes, 0);
        assert_eq!(of(&[(1.0, 60_010, 1), (2.0, 60_005, 2)]).attributes, 1);
        assert_eq!(of(&[(1.0, 60_010, 2), (2.0, 60_010, 1)]).attributes, 1);
    }

    #[test]
    fn a_later_shard_decides_a_tie_and_an_empty_one_decides_nothing() {
        let mut window = of(&[(1.0, 60_010, 1)]);
        window.merge(&of(&[(3.0, 60_009, 3)]));
        assert_eq!(window.attributes, 1);
        window.merge(&of(&[(2.0, 60_010, 2)]));
        assert_eq!(window.attributes, 2);
        let before = window.clone();
        window.merge(&of(&[]));
        assert_eq!(window, before);
    }

    #[test]
    #[should_panic(expected = "parts of one window")]
    fn another_window_is_not_merged() {
        of(&[]).merge(&Window::new(UnixMillis(0)));
    }

    proptest! {
        #[test]
        fn merging_parts_keeps_the_attributes_of_the_whole(
            all in prop::collection::vec((-1e3..1e3, 60_000i64..60_004, 1u32..9), 0..20),
            cut in 0usize..20,
        ) {
            let (left, right) = all.split_at(cut.min(all.len()));
            let mut merged = of(left);
            merged.merge(&of(right));
            prop_assert_eq!(merged.attributes, of(&all).attributes);
        }
    }
}
