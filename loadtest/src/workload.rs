//! What series of sensors look like: times and values, for measuring how small they pack and how
//! fast. Always the same, so that a number that was written down stays true.

use std::fmt;

/// A kind of series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// A thermometer that says tenths of a degree at every full second: it wanders for minutes
    /// and flickers between neighbours.
    Temperature,
    /// The same, stamped on receipt: each up to 8 ms late.
    Received,
    /// A random walk ten times a second, in all digits that a double has.
    Walk,
    /// Events, half a minute apart on average; each says some watts in tenths.
    Events,
    /// The same value at every full second.
    Constant,
}

impl Workload {
    /// All.
    pub const ALL: [Self; 5] =
        [Self::Temperature, Self::Received, Self::Walk, Self::Events, Self::Constant];

    /// As benchmarks and tables call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Temperature => "temperature",
            Self::Received => "received",
            Self::Walk => "walk",
            Self::Events => "events",
            Self::Constant => "constant",
        }
    }

    /// The first readings of such a series: milliseconds since 1970, ascending, and value.
    #[must_use]
    pub fn readings(self, count: usize) -> Vec<(i64, f64)> {
        const START_MS: i64 = 1_795_437_297_000;
        let mut chance = Chance(self as u64);
        let (mut at, mut wandering) = (START_MS, 0.0);
        (0..count)
            .map(|_| match self {
                Self::Temperature | Self::Received => {
                    wandering += 0.02 * chance.normal() - 0.002 * wandering;
                    at += 1_000;
                    let late = if self == Self::Received { chance.below(8.0) as i64 } else { 0 };
                    (at + late, rounded(21.0 + wandering + 0.03 * chance.normal()))
                }
                Self::Walk => {
                    at += 100;
                    wandering += 0.1 * chance.normal();
                    (at, 20.0 + wandering)
                }
                Self::Events => {
                    at += (-30_000.0 * (1.0 - chance.below(1.0)).ln()) as i64;
                    (at, rounded(40.0 + 15.0 * chance.normal().abs()))
                }
                Self::Constant => {
                    at += 1_000;
                    (at, 230.5)
                }
            })
            .collect()
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// To tenths.
fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
struct Chance(u64);

impl Chance {
    /// From 0 to less than this.
    fn below(&mut self, end: f64) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64 * end
    }

    /// About a standard normal: the sum of twelve numbers from 0 to 1, less six.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.below(1.0)).sum::<f64>() - 6.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_ascend_and_are_finite() {
        for workload in Workload::ALL {
            let readings = workload.readings(5_000);
            assert!(readings.is_sorted_by_key(|&(at, _)| at), "{workload}");
            assert!(readings.iter().all(|(_, value)| value.is_finite()), "{workload}");
        }
    }
}
