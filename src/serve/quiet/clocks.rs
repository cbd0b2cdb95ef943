//! As of when each shard's states are known. No I/O, no clock.

use std::collections::BTreeMap;

use crate::shard::ShardId;

/// By whose time a series is judged: that of its only shard, or `None` for the slowest of all,
/// when it has come through several and any of them may know more of it.
pub(in crate::serve) type Judge = Option<ShardId>;

/// For each shard: everything that arrived there until then was looked at, in milliseconds of
/// Redis's clock. Nobody is called silent for the time that nobody looked.
#[derive(Debug, Default)]
pub(in crate::serve) struct Clocks(BTreeMap<ShardId, u64>);

impl Clocks {
    /// A shard is known as of then. What was known once stays known.
    pub(in crate::serve) fn advance(&mut self, shard: ShardId, ms: u64) {
        let known = self.0.entry(shard).or_default();
        *known = ms.max(*known);
    }

    /// The time to judge by; `None` while there is none.
    pub(super) fn of(&self, judge: Judge) -> Option<u64> {
        match judge {
            Some(shard) => self.0.get(&shard).copied(),
            None => self.0.values().min().copied(),
        }
    }

    /// Everybody who can judge.
    pub(super) fn judges(&self) -> impl Iterator<Item = Judge> {
        std::iter::once(None).chain(self.0.keys().copied().map(Some))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_shard_judges_what_came_through_several() {
        let mut clocks = Clocks::default();
        assert_eq!((clocks.of(None), clocks.of(Some(ShardId(0)))), (None, None));
        clocks.advance(ShardId(0), 5_000);
        clocks.advance(ShardId(1), 3_000);
        clocks.advance(ShardId(0), 4_000);
        assert_eq!((clocks.of(Some(ShardId(0))), clocks.of(None)), (Some(5_000), Some(3_000)));
        assert_eq!(clocks.judges().count(), 3);
    }
}
