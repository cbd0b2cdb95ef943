//! What owners saw of topics: a hash per shard, from topic to record.
//!
//! What a record means is the business of the aggregation; here it is bytes. It is written beside
//! commits, not with them, because it is not part of what is counted exactly once; but under the
//! same fence, so that an owner that was taken over does not write over its successor's.

use std::sync::LazyLock;

use redis::aio::MultiplexedConnection;

use super::commit::HashWrite;
use super::connection::Link;
use super::error::Error;
use super::inventory::{Fields, scan};
use super::keys::ShardKeys;

static WRITE: LazyLock<redis::Script> =
    LazyLock::new(|| redis::Script::new(include_str!("topics.lua")));

/// The records of every shard, in the order of `keys`. A field that is written or removed
/// meanwhile may be there or not; one may come twice.
///
/// # Errors
/// [`Error::Redis`] when there is no answer.
pub async fn records(link: &Link, keys: &[ShardKeys]) -> Result<Vec<Fields>, Error> {
    let names: Vec<&str> = keys.iter().map(|keys| keys.topics.as_str()).collect();
    scan(link, &names).await
}

/// Writes records if `fence` still holds the shard; false when it does not. At most 3,000 fields.
pub(super) async fn write(
    connection: &mut MultiplexedConnection,
    keys: &ShardKeys,
    fence: &str,
    write: &HashWrite,
) -> Result<bool, Error> {
    let mut call = WRITE.key(&keys.meta);
    call.key(&keys.topics).arg(fence).arg(write.drop.len());
    for field in &write.drop {
        call.arg(field);
    }
    for (field, value) in &write.set {
        call.arg(field).arg(value);
    }
    Ok(call.invoke_async(connection).await?)
}

#[cfg(test)]
mod tests {
    use super::super::Ledger;
    use super::super::testing::RedisServer;
    use super::*;
    use crate::shard::ShardId;

    fn ledger(redis: &RedisServer, fence: &str) -> Ledger {
        Ledger::new(redis.server(), ShardKeys::new(ShardId(1)), fence.to_owned())
    }

    #[tokio::test]
    async fn only_the_owner_writes_and_everybody_reads() {
        let redis = RedisServer::start(&[]).await;
        redis.ask("HSET {sg:1}m fence f2").await;
        let mut new = HashWrite::default();
        new.set("a/b", "1");
        new.set("", "2");
        assert!(!ledger(&redis, "f1").write_topics(&new).await.unwrap());
        let keys: Vec<_> = (0..2).map(|shard| ShardKeys::new(ShardId(shard))).collect();
        let read = records(&redis.link(), &keys).await.unwrap();
        assert_eq!(read, [Fields::new(), Fields::new()]);
        let mut owner = ledger(&redis, "f2");
        assert!(owner.write_topics(&new).await.unwrap());
        let mut other = HashWrite::default();
        other.drop("a/b");
        other.set("c", "3");
        assert!(owner.write_topics(&other).await.unwrap());
        let mut read = records(&redis.link(), &keys).await.unwrap().remove(1);
        read.sort();
        let field = |field: &[u8], value: &[u8]| (field.to_vec(), value.to_vec());
        assert_eq!(read, [field(b"", b"2"), field(b"c", b"3")]);
        let mut loaded = owner.topics().await.unwrap();
        loaded.sort();
        assert_eq!(loaded, read);
    }

    #[tokio::test]
    async fn where_redis_is_full_nothing_is_observed() {
        let redis = RedisServer::start(&[]).await;
        redis.ask("HSET {sg:1}m fence f").await;
        redis.ask("CONFIG SET maxmemory 1").await;
        let mut new = HashWrite::default();
        new.set("a/b", "1");
        assert!(ledger(&redis, "f").write_topics(&new).await.is_err());
        redis.ask("CONFIG SET maxmemory 0").await;
        assert!(ledger(&redis, "f").write_topics(&new).await.unwrap());
    }
}
