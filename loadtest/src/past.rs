//! Readings with times in the past: a random walk per series that can be walked again.
//!
//! Times have a fixed step and, if wanted, a jitter such as that of readings stamped on receipt.
//! Values are tenths of a degree; each differs from the one before by −0.2 to 0.2, all five as
//! likely: livelier than a thermometer, so that nothing packs better here than in a house.

use std::ops::RangeInclusive;

use anyhow::{Result, bail};

use crate::value::mixed;

/// One hour in milliseconds.
pub const HOUR_MS: i64 = 3_600_000;

/// In tenths: 10 to 35 °C.
const TENTHS: RangeInclusive<i16> = 100..=350;

/// What is published: so many series, all from the same time on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// What every sensor id begins with.
    pub prefix: String,
    /// How many.
    pub series: u32,
    /// Readings of each.
    pub readings: u64,
    /// Milliseconds since 1970 of the first reading of each.
    pub start_ms: i64,
    /// Milliseconds from one reading to the next, at least 1.
    pub step_ms: i64,
    /// How much later at most a reading may be than its step says; less than the step.
    pub jitter_ms: i64,
}

/// A reading that was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Milliseconds since 1970.
    pub measured_at: i64,
    /// Tenths of a degree.
    pub tenths: i16,
}

impl Reading {
    /// As Streamgauge must have it.
    #[must_use]
    pub fn value(self) -> f64 {
        f64::from(self.tenths) / 10.0
    }
}

impl Past {
    /// Checks what no type can.
    ///
    /// # Errors
    /// A number out of its range; the operator must change that option.
    pub fn validate(&self) -> Result<()> {
        if self.series == 0 {
            bail!("--series 0: at least 1");
        }
        if self.readings == 0 {
            bail!("--hours and --step: not even one reading");
        }
        if self.step_ms < 1 {
            bail!("--step: at least a millisecond");
        }
        if !(0..self.step_ms).contains(&self.jitter_ms) {
            bail!("--jitter-ms {}: from 0 to less than the step", self.jitter_ms);
        }
        Ok(())
    }

    /// The id of series number `series`, from 0.
    #[must_use]
    pub fn sensor_id(&self, series: u32) -> String {
        format!("{}{series:05}", self.prefix)
    }

    /// The readings of a series from its first one on; the same each time.
    #[must_use]
    pub fn walk(&self, series: u32) -> Walk {
        Walk {
            left: self.readings,
            measured_at: self.start_ms,
            step_ms: self.step_ms,
            jitter_ms: self.jitter_ms,
            chance: mixed(u64::from(series)),
            tenths: 215,
        }
    }

    /// All readings of all series.
    #[must_use]
    pub fn total(&self) -> u64 {
        u64::from(self.series) * self.readings
    }

    /// The first millisecond after the last reading.
    #[must_use]
    pub fn end_ms(&self) -> i64 {
        self.start_ms + self.step_ms * self.readings as i64
    }
}

/// A series' readings, ascending in time.
#[derive(Clone, Debug)]
pub struct Walk {
    left: u64,
    measured_at: i64,
    step_ms: i64,
    jitter_ms: i64,
    chance: u64,
    tenths: i16,
}

impl Iterator for Walk {
    type Item = Reading;

    fn next(&mut self) -> Option<Reading> {
        self.left = self.left.checked_sub(1)?;
        self.chance = mixed(self.chance);
        let step = (self.chance % 5) as i16 - 2;
        let next = self.tenths + step;
        self.tenths = if TENTHS.contains(&next) { next } else { self.tenths - step };
        let late = (self.chance >> 32) as i64 % (self.jitter_ms + 1);
        let measured_at = self.measured_at + late;
        self.measured_at += self.step_ms;
        Some(Reading { measured_at, tenths: self.tenths })
    }
}

/// What a window of some readings must say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Milliseconds since 1970.
    pub start: i64,
    /// Readings in it.
    pub count: u64,
    /// Their sum in tenths.
    pub sum_tenths: i64,
    /// The least, in tenths.
    pub min_tenths: i16,
    /// The greatest, in tenths.
    pub max_tenths: i16,
}

/// The windows of so many milliseconds that readings make, which ascend in time.
#[must_use]
pub fn windows(readings: impl Iterator<Item = Reading>, window_ms: i64) -> Vec<Window> {
    let mut windows: Vec<Window> = Vec::new();
    for Reading { measured_at, tenths } in readings {
        let start = measured_at - measured_at.rem_euclid(window_ms);
        match windows.last_mut() {
            Some(last) if last.start == start => {
                last.count += 1;
                last.sum_tenths += i64::from(tenths);
                last.min_tenths = last.min_tenths.min(tenths);
                last.max_tenths = last.max_tenths.max(tenths);
            }
            _ => windows.push(Window {
                start,
                count: 1,
                sum_tenths: i64::from(tenths),
                min_tenths: tenths,
                max_tenths: tenths,
            }),
        }
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past() -> Past {
        Past {
            prefix: "p".to_owned(),
            series: 2,
            readings: 5_000,
            start_ms: 1_795_437_297_000,
            step_ms: 1_000,
            jitter_ms: 8,
        }
    }

    #[test]
    fn a_walk_is_the_same_each_time_and_another_for_each_series() {
        let past = past();
        let [one, again, other] = [0, 0, 1].map(|series| past.walk(series).collect::<Vec<_>>());
        assert_eq!(one, again);
        assert_ne!(one, other);
        assert_eq!(one.len(), 5_000);
        assert!(one.iter().all(|reading| TENTHS.contains(&reading.tenths)));
        let steps = one.windows(2).map(|pair| pair[1].tenths - pair[0].tenths);
        assert!(steps.clone().all(|step| (-2..=2).contains(&step)));
        assert!((-2..=2).all(|step| steps.clone().any(|found| found == step)));
    }

    #[test]
    fn times_ascend_by_the_step_and_are_late_by_the_jitter_at_most() {
        let past = past();
        for (number, reading) in past.walk(1).enumerate() {
            let late = reading.measured_at - past.start_ms - 1_000 * number as i64;
            assert!((0..=8).contains(&late), "{late}");
        }
        assert!(past.walk(1).all(|reading| reading.measured_at < past.end_ms()));
    }

    #[test]
    fn windows_have_every_reading_once() {
        let readings: Vec<_> = past().walk(0).collect();
        let windows = windows(readings.iter().copied(), 60_000);
        assert_eq!(windows.iter().map(|window| window.count).sum::<u64>(), 5_000);
        let all: i64 = readings.iter().map(|reading| i64::from(reading.tenths)).sum();
        assert_eq!(windows.iter().map(|window| window.sum_tenths).sum::<i64>(), all);
        assert!(windows.windows(2).all(|pair| pair[1].start - pair[0].start == 60_000));
    }

    #[test]
    fn impossible_pasts_are_refused_by_name() {
        let refused = |change: fn(&mut Past)| {
            let mut past = past();
            change(&mut past);
            past.validate().unwrap_err().to_string()
        };
        assert!(refused(|past| past.series = 0).contains("--series"));
        assert!(refused(|past| past.readings = 0).contains("--hours"));
        assert!(refused(|past| past.step_ms = 0).contains("--step"));
        assert!(refused(|past| past.jitter_ms = 1_000).contains("--jitter-ms"));
        assert!(past().validate().is_ok());
    }
}
