//! How long PUBACKs and frames took: a histogram of fixed size.
//!
//! 64 buckets per power of two, so a quantile is right to 1.6 %, which is finer than what is to be
//! told apart; the idea is that of HdrHistogram (Gil Tene). Of PUBACKs one message per connection
//! at a time is timed, which costs the publisher next to nothing and does not favour fast answers:
//! the sample is taken before.

use std::time::Duration;

const STEP_BITS: usize = 6;
const STEPS: usize = 1 << STEP_BITS;
const BUCKETS: usize = 40 * STEPS;

/// Durations in microseconds.
#[derive(Clone, Debug)]
pub struct Latency {
    buckets: Vec<u64>,
    samples: u64,
    max_micros: u64,
}

impl Default for Latency {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS], samples: 0, max_micros: 0 }
    }
}

impl Latency {
    /// Adds one duration.
    pub fn add(&mut self, latency: Duration) {
        let micros = latency.as_micros() as u64;
        self.buckets[bucket(micros).min(BUCKETS - 1)] += 1;
        self.samples += 1;
        self.max_micros = self.max_micros.max(micros);
    }

    /// Adds all durations of another.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in self.buckets.iter_mut().zip(&other.buckets) {
            *bucket += count;
        }
        self.samples += other.samples;
        self.max_micros = self.max_micros.max(other.max_micros);
    }

    /// The longest, in milliseconds; none without samples.
    #[must_use]
    pub fn max_ms(&self) -> Option<f64> {
        (self.samples > 0).then_some(self.max_micros as f64 / 1e3)
    }

    /// How many durations were added.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// The upper edge of the bucket that holds the quantile (0 to 1), in milliseconds; none
    /// without samples.
    #[must_use]
    pub fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        let rank = ((self.samples as f64 * quantile).ceil() as u64).clamp(1, self.samples.max(1));
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                let edge = upper_edge(index).min(self.max_micros);
                return Some(edge as f64 / 1e3);
            }
        }
        None
    }
}

/// Below 64 every microsecond has a bucket; above, the six bits after the leading one count.
fn bucket(micros: u64) -> usize {
    if micros < STEPS as u64 {
        return micros as usize;
    }
    let power = micros.ilog2() as usize - STEP_BITS;
    STEPS + power * STEPS + (micros >> power) as usize - STEPS
}

fn upper_edge(index: usize) -> u64 {
    if index < STEPS {
        return index as u64;
    }
    let power = index / STEPS - 1;
    (((index % STEPS + STEPS + 1) as u64) << power) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_lies_under_the_edge_of_its_bucket() {
        for micros in (0..5_000).chain([65_535, 65_536, 1_000_000, 123_456_789]) {
            let index = bucket(micros);
            assert!(micros <= upper_edge(index), "{micros}");
            assert!(index == 0 || micros > upper_edge(index - 1), "{micros}");
        }
    }

    #[test]
    fn quantiles_are_right_to_a_64th() {
        let mut latency = Latency::default();
        assert_eq!(latency.quantile_ms(0.5), None);
        for micros in 1..=10_000 {
            latency.add(Duration::from_micros(micros));
        }
        for (quantile, exact) in [(0.5, 5.0), (0.99, 9.9), (1.0, 10.0)] {
            let found = latency.quantile_ms(quantile).unwrap();
            assert!(found >= exact && found <= exact * (1.0 + 1.0 / 64.0), "{quantile}: {found}");
        }
    }

    #[test]
    fn two_histograms_make_one() {
        let (mut even, mut odd) = (Latency::default(), Latency::default());
        for micros in 0..1_000 {
            let half = if micros % 2 == 0 { &mut even } else { &mut odd };
            half.add(Duration::from_micros(micros));
        }
        assert_eq!((odd.max_ms(), Latency::default().max_ms()), (Some(0.999), None));
        even.merge(&odd);
        assert_eq!((even.samples(), even.max_ms()), (1_000, Some(0.999)));
        assert!(even.quantile_ms(0.5).is_some_and(|half| (0.499..0.51).contains(&half)));
    }
}
