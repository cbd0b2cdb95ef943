//! What is at rest in the supervised Redis, counted anew: messages of a shard, bytes of history.

use std::collections::{BTreeMap, HashMap, HashSet};

use streamgauge::history::{Inventory, Share, field_cost};
use streamgauge::shard::{ShardCount, ShardId};
use streamgauge::stream::{Meta, ShardKeys};

use super::stage::Stage;
use super::{seconds, within};

/// What all fields of history are, over all shards.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Spans by the beginning of their text, which names the shelf.
    pub spans: BTreeMap<String, u64>,
    /// Blocks that will not change any more.
    pub full_blocks: u64,
    /// Series whose attributes have changed.
    pub versioned: u64,
}

/// The keys of all shards.
pub fn shards() -> impl Iterator<Item = ShardKeys> {
    ShardCount::DEFAULT.ids().map(ShardKeys::new)
}

/// The shard of a topic.
pub fn shard_of(topic: &str) -> ShardId {
    ShardCount::DEFAULT.shard_of(topic)
}

/// A connection to the Redis that Streamgauge supervises.
pub fn connection(stage: &Stage) -> redis::Connection {
    let socket = stage.data_dir().join("redis/redis.sock");
    let url = format!("unix://{}", socket.display());
    redis::Client::open(url).unwrap().get_connection().unwrap()
}

/// What a shard says of its messages; nothing may be pending, and each message that was written
/// must have been folded under one heading.
pub fn settled_meta(redis: &mut redis::Connection, keys: &ShardKeys) -> Meta {
    let fields: HashMap<String, String> = query(redis, "HGETALL", &keys.meta);
    let meta = Meta::parse(fields);
    assert_eq!(meta.totals.folded(), meta.committed_messages(), "{meta:?}");
    let pending: redis::RedisResult<(u64, redis::Value, redis::Value, redis::Value)> =
        redis::cmd("XPENDING").arg(&keys.stream).arg("aggregate").query(redis);
    assert!(pending.is_ok_and(|summary| summary.0 == 0), "{} has pending entries", keys.stream);
    meta
}

/// From when on (ms since 1970) everything of a share is kept, in every shard.
pub fn complete_from(redis: &mut redis::Connection, share: Share) -> i64 {
    let evicted =
        |keys: ShardKeys| Inventory::parse(&inventory(redis, &keys)).evicted(share).map(|at| at.0);
    shards().filter_map(evicted).max().unwrap_or(i64::MIN)
}

/// Counts every field of every span, which must be what the inventories say, to the byte, and
/// there must be no span beside these.
pub fn recount(redis: &mut redis::Connection) -> Kept {
    let mut kept = Kept::default();
    for keys in shards() {
        // Spans may still be evicted.
        let look = || {
            let stored = inventory(redis, &keys);
            let parsed = Inventory::parse(&stored);
            let spans = parsed.iter().map(|(span, _)| keys.history(span));
            let fields = spans.map(|name| query(redis, "HGETALL", &name)).collect();
            let names: HashSet<String> = query(redis, "KEYS", &keys.history("[hw]:*"));
            (stored == inventory(redis, &keys)).then_some((stored, fields, names))
        };
        let (stored, fields, names): (_, Vec<HashMap<String, Vec<u8>>>, _) =
            within(seconds(10), "an inventory that stands still", look);
        let inventory = Inventory::parse(&stored);
        assert_eq!(inventory.faults(), 0, "{inventory:?}");
        for ((span, recorded), fields) in inventory.iter().zip(&fields) {
            let cost = |(field, value): (&String, &Vec<u8>)| field_cost(field.len(), value.len());
            let bytes: u64 = fields.iter().map(cost).sum();
            let name = keys.history(span);
            assert_eq!(recorded.bytes, bytes, "{name}: recorded, and counted");
            kept.full_blocks += fields.keys().filter(|field| field.contains('.')).count() as u64;
            let shelf = span.to_string()[..3].to_owned();
            *kept.spans.entry(shelf).or_default() += 1;
        }
        let recorded: HashSet<String> =
            inventory.iter().map(|(span, _)| keys.history(span)).collect();
        assert_eq!(names, recorded, "spans there are, and spans recorded");
        let attributes: Vec<String> = query(redis, "HKEYS", &keys.attributes);
        kept.versioned += attributes.iter().filter(|field| field.ends_with(":v")).count() as u64;
    }
    kept
}

fn inventory(redis: &mut redis::Connection, keys: &ShardKeys) -> BTreeMap<String, String> {
    query(redis, "HGETALL", &keys.inventory)
}

fn query<T: redis::FromRedisValue>(redis: &mut redis::Connection, name: &str, key: &str) -> T {
    redis::cmd(name).arg(key).query(redis).unwrap()
}
