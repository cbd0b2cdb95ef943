//! The first and the last time, and the last value, by the sensors' clocks.

use super::{Statistic, Unpack};
use crate::reading::UnixMillis;

/// First and last `measured_at`, and the value of the last. It never goes backwards: a late
/// reading changes `first_at` at most.
#[derive(Clone, Debug, PartialEq)]
pub struct Ends {
    /// Earliest time; the largest number without readings.
    pub first_at: UnixMillis,
    /// Latest time; the smallest number without readings.
    pub last_at: UnixMillis,
    /// The value measured at `last_at`; of several at that time the one that came last.
    pub last_value: f64,
}

impl Default for Ends {
    fn default() -> Self {
        Self { first_at: UnixMillis(i64::MAX), last_at: UnixMillis(i64::MIN), last_value: 0.0 }
    }
}

impl Statistic for Ends {
    const BYTES: usize = 24;

    fn fold(&mut self, value: f64, measured_at: UnixMillis) {
        self.first_at = self.first_at.min(measured_at);
        if measured_at >= self.last_at {
            self.last_at = measured_at;
            self.last_value = value;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.first_at = self.first_at.min(other.first_at);
        if other.last_at >= self.last_at && *other != Self::default() {
            self.last_at = other.last_at;
            self.last_value = other.last_value;
        }
    }

    fn write(&self, packed: &mut Vec<u8>) {
        packed.extend_from_slice(&self.first_at.0.to_le_bytes());
        packed.extend_from_slice(&self.last_at.0.to_le_bytes());
        packed.extend_from_slice(&self.last_value.to_le_bytes());
    }

    fn read(packed: &mut Unpack<'_>) -> Option<Self> {
        Some(Self {
            first_at: UnixMillis(packed.i64()?),
            last_at: UnixMillis(packed.i64()?),
            last_value: packed.f64()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_reading_does_not_become_the_last() {
        let mut ends = Ends::default();
        ends.fold(1.0, UnixMillis(100));
        ends.fold(2.0, UnixMillis(50));
        let expected = Ends { first_at: UnixMillis(50), last_at: UnixMillis(100), last_value: 1.0 };
        assert_eq!(ends, expected);
    }
}
