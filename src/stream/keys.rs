//! The names of all keys. Sensor text is never part of one.

use crate::shard::ShardId;

/// Data-set configuration: number of shards, generation.
pub const CONFIGURATION: &str = "sg:cfg";
/// Node → heartbeat counter.
pub const NODES: &str = "sg:nodes";
/// Hashed tokens and sessions.
pub const CREDENTIALS: &str = "sg:auth";
/// The consumer group of every shard's stream.
pub const GROUP: &str = "aggregate";

/// The keys of one shard; they share a hash tag, and so a cluster slot.
#[derive(Clone, Debug)]
pub struct ShardKeys {
    /// Whose keys.
    pub shard: ShardId,
    /// Stream of entries.
    pub stream: String,
    /// Hash: series → packed state.
    pub states: String,
    /// Hash: sensor id → its types.
    pub index: String,
    /// Hash: series number → attributes as JSON.
    pub attributes: String,
    /// Stream of dead letters.
    pub dead_letters: String,
    /// Hash: fence, token, positions, totals.
    pub meta: String,
    /// Hash: span of history → bytes and last write.
    pub inventory: String,
    /// Hash: topic → what its owners saw of it.
    pub topics: String,
}

impl ShardKeys {
    /// The names for a shard.
    #[must_use]
    pub fn new(shard: ShardId) -> Self {
        let key = |suffix: &str| format!("{{sg:{}}}{suffix}", shard.0);
        Self {
            shard,
            stream: key("in"),
            states: key("st"),
            index: key("ix"),
            attributes: key("at"),
            dead_letters: key("dl"),
            meta: key("m"),
            inventory: key("hs"),
            topics: key("tp"),
        }
    }

    /// Hash: series number → its newest block of a span of history, which is given as text.
    #[must_use]
    pub fn history(&self, span: impl std::fmt::Display) -> String {
        format!("{{sg:{}}}{span}", self.shard.0)
    }
}
