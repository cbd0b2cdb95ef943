//! What was published, per sensor: the oracle that Streamgauge is compared with.
//!
//! It is kept outside the product and grows with the sensors, not with the messages.

use crate::packet::digits;

/// What was published for one sensor. Values are tenths, so every sum is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Different readings published.
    pub published: u64,
    /// Sendings beyond the first, each of which may count once more when it has no identity.
    pub resent: u64,
    /// Readings published whose outcome is unknown: no PUBACK came.
    pub unknown: u64,
    sum: i64,
    squares: u64,
    min: i16,
    max: i16,
    last: i16,
}

impl Tally {
    const EMPTY: Self = Self {
        published: 0,
        resent: 0,
        unknown: 0,
        sum: 0,
        squares: 0,
        min: i16::MAX,
        max: i16::MIN,
        last: 0,
    };

    /// Readings that were acknowledged: these must be counted.
    #[must_use]
    pub fn acked(&self) -> u64 {
        self.published - self.unknown
    }

    /// Most readings that may be counted.
    #[must_use]
    pub fn attempts(&self) -> u64 {
        self.published + self.resent
    }

    /// Least value. Meaningless when nothing was published, as are all that follow.
    #[must_use]
    pub fn min(&self) -> f64 {
        f64::from(self.min) / 10.0
    }

    /// Greatest value.
    #[must_use]
    pub fn max(&self) -> f64 {
        f64::from(self.max) / 10.0
    }

    /// The value published last.
    #[must_use]
    pub fn last(&self) -> f64 {
        f64::from(self.last) / 10.0
    }

    /// The mean, rounded once: both operands are whole numbers below 2^53.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.sum as f64 / (10 * self.published) as f64
    }

    /// The sample deviation √(M2 ÷ (n − 1)), M2 computed in whole numbers; none below two.
    #[must_use]
    pub fn stddev(&self) -> Option<f64> {
        if self.published < 2 {
            return None;
        }
        let count = i128::from(self.published);
        let sum = i128::from(self.sum);
        let m2_times_count = i128::from(self.squares) * count - sum * sum;
        let divisor = 100 * count * (count - 1);
        Some((m2_times_count as f64 / divisor as f64).sqrt())
    }
}

/// All sensors of a run.
#[derive(Clone, Debug)]
pub struct Ledger {
    prefix: String,
    digits: usize,
    tallies: Vec<Tally>,
}

impl Ledger {
    /// An empty ledger for `sensors` sensors whose ids begin with `prefix`.
    #[must_use]
    pub fn new(prefix: &str, sensors: u32) -> Self {
        Self {
            prefix: prefix.to_owned(),
            digits: digits(sensors),
            tallies: vec![Tally::EMPTY; sensors as usize],
        }
    }

    /// A reading goes out for the first time.
    pub fn publish(&mut self, sensor: u32, tenths: i16) {
        let tally = &mut self.tallies[sensor as usize];
        tally.published += 1;
        tally.sum += i64::from(tenths);
        tally.squares += u64::from(tenths.unsigned_abs()).pow(2);
        tally.min = tally.min.min(tenths);
        tally.max = tally.max.max(tenths);
        tally.last = tenths;
    }

    /// A reading goes out once more.
    pub fn resend(&mut self, sensor: u32) {
        self.tallies[sensor as usize].resent += 1;
    }

    /// The run is over and no PUBACK for a published reading came.
    pub fn leave_unknown(&mut self, sensor: u32) {
        self.tallies[sensor as usize].unknown += 1;
    }

    /// The tallies by sensor index.
    #[must_use]
    pub fn tallies(&self) -> &[Tally] {
        &self.tallies
    }

    /// The sensor's id on the wire.
    #[must_use]
    pub fn sensor_id(&self, sensor: usize) -> String {
        format!("{}{sensor:0width$}", self.prefix, width = self.digits)
    }

    /// Which sensor of this run an id names, if any.
    #[must_use]
    pub fn sensor_of(&self, sensor_id: &str) -> Option<usize> {
        let digits = sensor_id.strip_prefix(&self.prefix)?;
        if digits.len() != self.digits || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        digits.parse().ok().filter(|sensor| *sensor < self.tallies.len())
    }

    /// The sum of one number over all sensors.
    #[must_use]
    pub fn total(&self, number: impl Fn(&Tally) -> u64) -> u64 {
        self.tallies.iter().map(number).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_equal_their_definition() {
        let mut ledger = Ledger::new("s", 2);
        for tenths in [215, -10, 333, 0, 215] {
            ledger.publish(1, tenths);
        }
        let tally = ledger.tallies()[1];
        let values = [21.5, -1.0, 33.3, 0.0, 21.5];
        let mean = values.iter().sum::<f64>() / 5.0;
        let m2: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        assert_eq!((tally.min(), tally.max(), tally.last()), (-1.0, 33.3, 21.5));
        assert!((tally.mean() - mean).abs() < 1e-13);
        assert!((tally.stddev().unwrap() - (m2 / 4.0).sqrt()).abs() < 1e-12);
        assert_eq!(ledger.tallies()[0].stddev(), None);
    }

    #[test]
    fn unknown_and_resent_widen_what_may_be_counted() {
        let mut ledger = Ledger::new("s", 1);
        ledger.publish(0, 1);
        ledger.publish(0, 2);
        ledger.resend(0);
        ledger.leave_unknown(0);
        let tally = ledger.tallies()[0];
        assert_eq!((tally.acked(), tally.published, tally.attempts()), (1, 2, 3));
        assert_eq!(ledger.total(Tally::attempts), 3);
    }

    #[test]
    fn ids_lead_back_to_their_sensor_and_others_to_none() {
        let ledger = Ledger::new("s", 100);
        assert_eq!(ledger.sensor_of(&ledger.sensor_id(42)), Some(42));
        for id in ["s00100", "s0042", "t00042", "s000042", "s+0042", ""] {
            assert_eq!(ledger.sensor_of(id), None, "{id}");
        }
    }
}
