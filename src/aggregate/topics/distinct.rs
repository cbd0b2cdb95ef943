//! About how many different topics there were, in a kilobyte. No I/O, no clock.
//!
//! Linear counting (Whang, Vander-Zanden and Taylor, 1990): a topic sets one of *m* bits, by its
//! hash. When *z* of them are still zero, about −*m* ln(*z* ÷ *m*) different topics came. That is
//! exact, or one off, up to some hundred, a few per cent off at 20,000, and ends at 74,000.
//! Rejected: a set of hashes, which has no bound, and HyperLogLog, which is better only beyond.

use serde::{Deserialize, Serialize};

/// The *m* bits; a guess at how many topics a shard may have to leave out before "many" is enough.
const BITS: usize = 8192;

/// Which bits are set. Nothing, until one is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub struct Distinct(Vec<u8>);

impl Distinct {
    /// A topic came, perhaps once more; `hash` has 64 random bits.
    pub fn note(&mut self, hash: u64) {
        self.0.resize(BITS / 8, 0);
        // The highest bits say which.
        let bit = usize::try_from(hash >> (64 - BITS.ilog2())).unwrap_or_default();
        self.0[bit / 8] |= 1 << (bit % 8);
    }

    /// About how many came that were different.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 74,000"
    )]
    pub fn estimate(&self) -> u64 {
        let set: u32 = self.0.iter().map(|byte| byte.count_ones()).sum();
        let bits = BITS as f64;
        let zero = (bits - f64::from(set)).max(1.0);
        (bits * (bits / zero).ln()).round() as u64
    }
}

impl From<Distinct> for String {
    fn from(distinct: Distinct) -> Self {
        distinct.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What is nothing of ours counts as nothing.
impl From<String> for Distinct {
    fn from(text: String) -> Self {
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(byte).collect();
        Self(bytes.filter(|bytes| bytes.len() == BITS / 8).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use xxhash_rust::xxh3::xxh3_64;

    use super::*;

    fn after(topics: u64) -> Distinct {
        let mut distinct = Distinct::default();
        for topic in 0..topics {
            for _twice in 0..2 {
                distinct.note(xxh3_64(format!("sensors/{topic}/t").as_bytes()));
            }
        }
        distinct
    }

    #[test]
    fn different_topics_are_counted_once_each_and_about_right() {
        for (topics, off_max) in [(0, 0), (1, 0), (30, 1), (300, 10), (3000, 100), (20_000, 1000)] {
            let estimate = after(topics).estimate();
            assert!(estimate.abs_diff(topics) <= off_max, "{topics}: {estimate}");
        }
        assert_eq!(after(300_000).estimate(), 73_817);
    }

    #[test]
    fn it_survives_storing_and_anything_else_is_nothing() {
        for topics in [0, 1, 1000] {
            let text = String::from(after(topics));
            assert!(text.len() <= BITS / 4);
            assert_eq!(Distinct::from(text), after(topics));
        }
        for other in ["f", "zz", "ff", "°", &"+1".repeat(BITS / 8 + 1)] {
            assert_eq!(Distinct::from(other.to_owned()), Distinct::default(), "{other}");
        }
    }
}
