//! Whether entries wait to be folded, and what time it is: as of when the states are complete.

use std::collections::HashMap;

use redis::{Pipeline, RedisResult, Value, cmd};

use super::connection::Link;
use super::error::Error;
use super::keys::{GROUP, ShardKeys};

/// One look at all shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Milliseconds of Redis's clock, before any shard was asked.
    pub now_ms: u64,
    /// For each shard, whether entries were there that no commit has acknowledged. When there
    /// were none, states that are read after this know of all that arrived until `now_ms`.
    pub shards: Vec<bool>,
}

impl Waiting {
    /// Looks at all shards, in the order of `keys`.
    ///
    /// # Errors
    /// [`Error::Redis`] when there is no answer.
    pub async fn look(link: &Link, keys: &[ShardKeys]) -> Result<Self, Error> {
        let mut pipeline = Pipeline::with_capacity(keys.len() + 1);
        // A stream that nobody has written to is an error.
        pipeline.ignore_errors();
        pipeline.add_command(cmd("TIME"));
        for keys in keys {
            pipeline.cmd("XINFO").arg("GROUPS").arg(&keys.stream);
        }
        let answers: Vec<RedisResult<Value>> = link.run_all(&pipeline).await?;
        let mut answers = answers.into_iter();
        let time: Value = answers.next().unwrap_or(Ok(Value::Nil))?;
        let (seconds, micros): (u64, u64) =
            redis::from_redis_value(time).map_err(redis::RedisError::from)?;
        let shards = answers.map(|groups| groups.is_ok_and(is_waiting)).collect();
        Ok(Self { now_ms: seconds * 1000 + micros / 1000, shards })
    }
}

/// Whether a stream that is there has entries that were not acknowledged. One without our group
/// was never read. A lag that Redis cannot say, after somebody deleted entries, is taken for none.
fn is_waiting(groups: Value) -> bool {
    type Groups = Vec<HashMap<String, Value>>;
    let Ok(groups) = redis::from_redis_value::<Groups>(groups) else { return true };
    let ours = Value::BulkString(GROUP.as_bytes().to_vec());
    let Some(ours) = groups.iter().find(|group| group.get("name") == Some(&ours)) else {
        return true;
    };
    ["pending", "lag"].iter().any(|field| matches!(ours.get(*field), Some(Value::Int(1..))))
}

#[cfg(test)]
mod tests {
    use super::super::testing::RedisServer;
    use super::*;
    use crate::shard::ShardId;

    #[tokio::test]
    async fn entries_wait_until_they_are_acknowledged() {
        let redis = RedisServer::start(&[]).await;
        let link = redis.link();
        let keys: Vec<_> = (0..2).map(|shard| ShardKeys::new(ShardId(shard))).collect();
        let waiting = async || Waiting::look(&link, &keys).await.unwrap().shards;
        assert_eq!(waiting().await, [false, false], "there are no streams yet");
        redis.ask("XADD {sg:1}in 5-1 a b").await;
        assert_eq!(waiting().await, [false, true], "nobody reads it yet");
        redis.run(&[b"XGROUP", b"CREATE", b"{sg:1}in", GROUP.as_bytes(), b"0"]).await;
        assert_eq!(waiting().await, [false, true]);
        let group = GROUP.as_bytes();
        let read: &[&[u8]] =
            &[b"XREADGROUP", b"GROUP", group, b"me", b"STREAMS", b"{sg:1}in", b">"];
        redis.run(read).await;
        assert_eq!(waiting().await, [false, true], "read is not acknowledged");
        redis.run(&[b"XACK", b"{sg:1}in", group, b"5-1"]).await;
        assert_eq!(waiting().await, [false, false]);
        let now_ms = Waiting::look(&link, &keys).await.unwrap().now_ms;
        let later = Waiting::look(&link, &keys).await.unwrap().now_ms;
        assert!((1_700_000_000_000..=later).contains(&now_ms), "{now_ms} to {later}");
    }
}
