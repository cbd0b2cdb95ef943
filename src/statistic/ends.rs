//! The first and the last reading, by the sensors' clocks.

use super::{Statistic, Unpack};
use crate::reading::UnixMillis;

/// Time and value of the earliest and of the latest reading by `measured_at`. The latest never
/// goes backwards: a late reading changes the earliest at most.
#[derive(Clone, Debug, PartialEq)]
pub struct Ends {
    /// Earliest time; the largest number without readings.
    pub first_at: UnixMillis,
    /// The value measured at `first_at`; of several at that time the one that came first.
    pub first_value: f64,
    /// Latest time; the smallest number without readings.
    pub last_at: UnixMillis,
    /// The value measured at `last_at`; of several at that time the one that came last.
    pub last_value: f64,
}

impl Ends {
    const fn is_empty(&self) -> bool {
        self.first_at.0 > self.last_at.0
    }
}

impl Default for Ends {
    fn default() -> Self {
        Self {
            first_at: UnixMillis(i64::MAX),
            first_value: 0.0,
            last_at: UnixMillis(i64::MIN),
            last_value: 0.0,
        }
    }
}

impl Statistic for Ends {
    const BYTES: usize = 32;

    fn fold(&mut self, value: f64, measured_at: UnixMillis) {
        if measured_at < self.first_at || self.is_empty() {
            self.first_at = measured_at;
            self.first_value = value;
        }
        if measured_at >= self.last_at {
            self.last_at = measured_at;
            self.last_value = value;
        }
    }

    fn merge(&mut self, other: &Self) {
        if other.is_empty() {
            return;
        }
        if other.first_at < self.first_at || self.is_empty() {
            self.first_at = other.first_at;
            self.first_value = other.first_value;
        }
        if other.last_at >= self.last_at {
            self.last_at = other.last_at;
            self.last_value = other.last_value;
        }
    }

    fn write(&self, packed: &mut Vec<u8>) {
        packed.extend_from_slice(&self.first_at.0.to_le_bytes());
        packed.extend_from_slice(&self.first_value.to_le_bytes());
        packed.extend_from_slice(&self.last_at.0.to_le_bytes());
        packed.extend_from_slice(&self.last_value.to_le_bytes());
    }

    fn read(packed: &mut Unpack<'_>) -> Option<Self> {
        Some(Self {
            first_at: UnixMillis(packed.i64()?),
            first_value: packed.f64()?,
            last_at: UnixMillis(packed.i64()?),
            last_value: packed.f64()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(first: (i64, f64), last: (i64, f64)) -> Ends {
        Ends {
            first_at: UnixMillis(first.0),
            first_value: first.1,
            last_at: UnixMillis(last.0),
            last_value: last.1,
        }
    }

    fn of(readings: &[(i64, f64)]) -> Ends {
        let mut ends = Ends::default();
        for &(at, value) in readings {
            ends.fold(value, UnixMillis(at));
        }
        ends
    }

    #[test]
    fn a_late_reading_does_not_become_the_last() {
        assert_eq!(of(&[(100, 1.0), (50, 2.0)]), ends((50, 2.0), (100, 1.0)));
    }

    #[test]
    fn of_readings_at_one_time_the_first_to_come_is_first_and_the_last_is_last() {
        let mut all = of(&[(7, 1.0), (7, 2.0)]);
        assert_eq!(all, ends((7, 1.0), (7, 2.0)));
        all.merge(&of(&[(7, 3.0), (7, 4.0)]));
        assert_eq!(all, ends((7, 1.0), (7, 4.0)));
    }

    #[test]
    fn a_reading_at_the_edge_of_time_counts() {
        for edge in [i64::MIN, i64::MAX] {
            let only = of(&[(edge, 5.0)]);
            assert_eq!(only, ends((edge, 5.0), (edge, 5.0)));
            let mut merged = Ends::default();
            merged.merge(&only);
            merged.merge(&Ends::default());
            assert_eq!(merged, only);
        }
    }
}
