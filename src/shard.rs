//! Shards: the partition of topics over streams.
//!
//! A shard is chosen by the topic's sensor level, so that a sensor with all its types is normally
//! in one shard, and its readings keep their order.

use xxhash_rust::xxh3::xxh3_64;

/// The number of a shard, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

impl ShardId {
    /// As an index into a table with one place per shard.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// How many shards a data set has: 1–1,024, fixed when it is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardCount(u16);

impl ShardCount {
    /// What a data set gets when nobody says otherwise.
    pub const DEFAULT: Self = Self(8);
    /// A guess at more than anybody needs: 16 masters with 64 shards each.
    pub const MAX: u16 = 1024;

    /// `None` outside 1–1,024.
    #[must_use]
    pub fn new(count: u16) -> Option<Self> {
        (1..=Self::MAX).contains(&count).then_some(Self(count))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Every shard, in order.
    pub fn ids(self) -> impl ExactSizeIterator<Item = ShardId> + Clone {
        (0..self.0).map(ShardId)
    }

    /// The shard of a topic: XXH3-64 (seed 0) of its sensor level, modulo the number of shards.
    #[must_use]
    pub fn shard_of(self, topic: &str) -> ShardId {
        let hash = xxh3_64(sensor_level(topic).as_bytes());
        #[expect(clippy::cast_possible_truncation, reason = "a remainder of a u16 fits a u16")]
        ShardId((hash % u64::from(self.0)) as u16)
    }
}

/// What stands between the first and the second `/` (or the end); the whole topic when there is
/// no `/` or that part is empty.
#[must_use]
pub fn sensor_level(topic: &str) -> &str {
    match topic.split('/').nth(1) {
        Some(level) if !level.is_empty() => level,
        Some(_) | None => topic,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sensor_level_is_the_second_or_the_whole_topic() {
        let check = |topic, expected| assert_eq!(sensor_level(topic), expected, "{topic}");
        check("sensors/t1/temperature", "t1");
        check("sensors/t1", "t1");
        check("sensors//temperature", "sensors//temperature");
        check("sensors/", "sensors/");
        check("alone", "alone");
        check("/t1/x", "t1");
    }

    #[test]
    fn all_types_of_a_sensor_share_a_shard() {
        let count = ShardCount::DEFAULT;
        assert_eq!(count.shard_of("a/t1/temperature"), count.shard_of("b/t1/humidity"));
        let used: std::collections::HashSet<_> =
            (0..100).map(|n| count.shard_of(&format!("sensors/t{n}/x"))).collect();
        assert_eq!(used.len(), 8);
    }
}
