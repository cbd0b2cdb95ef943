//! Count, sum and spread.
//!
//! The sum is compensated (Neumaier 1974, "Rundungsfehleranalyse einiger Verfahren zur Summation
//! endlicher Summen"), because a plain sum of a million values is off by more than 1e-12. The
//! spread is kept as M2, the sum of squared distances from the mean, updated after Welford (1962)
//! and merged after Chan, Golub and LeVeque (1979): no cancellation of large squares.

use super::{Statistic, Unpack};
use crate::reading::UnixMillis;

/// Count, sum, mean and M2.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moments {
    /// How many readings.
    pub count: u64,
    sum: f64,
    /// What the rounding of `sum` lost so far.
    compensation: f64,
    /// Welford's running mean; it only serves `m2`.
    mean: f64,
    m2: f64,
}

impl Moments {
    /// What was kept of at least one reading: `count`, and what [`Moments::sum`] and
    /// [`Moments::m2`] gave. The mean is sum ÷ count, and nothing is left to be compensated: from
    /// here on both are as exact as one double. After a sum that overflowed the spread of what is
    /// folded or merged in is not known any more.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
    pub fn restored(count: u64, sum: f64, m2: f64) -> Self {
        Self { count, sum, compensation: 0.0, mean: sum / count as f64, m2 }
    }

    /// The sum; not finite when it overflowed.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.sum + self.compensation
    }

    /// The sum of squared distances from the mean; not finite when it overflowed.
    #[must_use]
    pub const fn m2(&self) -> f64 {
        self.m2
    }

    /// The average; `None` without readings or when the sum overflowed.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
    pub fn average(&self) -> Option<f64> {
        let average = self.sum() / self.count as f64;
        (self.count > 0 && average.is_finite()).then_some(average)
    }

    /// The sample deviation √(M2 ÷ (count − 1)); `None` below two readings or on overflow.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
    pub fn deviation(&self) -> Option<f64> {
        if self.count < 2 {
            return None;
        }
        let deviation = (self.m2 / (self.count - 1) as f64).sqrt();
        deviation.is_finite().then_some(deviation)
    }

    fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        self.compensation += if self.sum.abs() >= value.abs() {
            (self.sum - sum) + value
        } else {
            (value - sum) + self.sum
        };
        self.sum = sum;
    }
}

impl Statistic for Moments {
    const BYTES: usize = 40;

    #[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
    fn fold(&mut self, value: f64, _measured_at: UnixMillis) {
        self.count += 1;
        self.add(value);
        let distance = value - self.mean;
        self.mean += distance / self.count as f64;
        self.m2 += distance * (value - self.mean);
    }

    #[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
    fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = other.clone();
            return;
        }
        let (own, theirs) = (self.count as f64, other.count as f64);
        let distance = other.mean - self.mean;
        self.m2 += other.m2 + distance * distance * (own * theirs / (own + theirs));
        self.mean += distance * (theirs / (own + theirs));
        self.count += other.count;
        self.add(other.sum);
        self.compensation += other.compensation;
    }

    fn write(&self, packed: &mut Vec<u8>) {
        packed.extend_from_slice(&self.count.to_le_bytes());
        for number in [self.sum, self.compensation, self.mean, self.m2] {
            packed.extend_from_slice(&number.to_le_bytes());
        }
    }

    fn read(packed: &mut Unpack<'_>) -> Option<Self> {
        Some(Self {
            count: packed.u64()?,
            sum: packed.f64()?,
            compensation: packed.f64()?,
            mean: packed.f64()?,
            m2: packed.f64()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> Moments {
        let mut moments = Moments::default();
        for &value in values {
            moments.fold(value, UnixMillis(0));
        }
        moments
    }

    #[test]
    fn average_and_deviation_are_those_of_the_textbook() {
        let moments = of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        assert_eq!(moments.average(), Some(5.0));
        let deviation = moments.deviation().unwrap();
        assert!((deviation - (32.0f64 / 7.0).sqrt()).abs() < 1e-15);
    }

    #[test]
    fn one_reading_has_no_deviation_and_none_has_no_average() {
        assert_eq!(of(&[1.0]).deviation(), None);
        assert_eq!(of(&[]).average(), None);
    }

    #[test]
    fn small_values_survive_beside_large_ones() {
        assert_eq!(of(&[1.0, 1e100, 1.0, -1e100]).sum(), 2.0);
    }

    #[test]
    fn an_overflowing_sum_has_no_average() {
        assert_eq!(of(&[f64::MAX, f64::MAX]).average(), None);
    }

    #[test]
    fn what_is_restored_goes_on_as_it_would_have() {
        let values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        let before = of(&values[..5]);
        let mut moments = Moments::restored(before.count, before.sum(), before.m2());
        for &value in &values[5..] {
            moments.fold(value, UnixMillis(0));
        }
        assert_eq!((moments.count, moments.sum()), (8, 40.0));
        assert!((moments.m2() - 32.0).abs() < 1e-13);
    }

    #[test]
    fn the_average_of_a_million_readings_is_exact_to_1e_12() {
        let values: Vec<f64> = (0..1_000_000u32).map(|n| f64::from(n % 997) / 10.0).collect();
        let exact: u64 = (0..1_000_000u64).map(|n| n % 997).sum();
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let expected = exact as f64 / 1e7;
        let average = of(&values).average().unwrap();
        assert!((average - expected).abs() / expected < 1e-12);
    }
}
