//! An owner against a real Redis.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::clock::Clock;
use crate::history::{Cut, Retentions};
use crate::ingest::{INTAKE_LIMITS, Intake};
use crate::message::{Flags, Message};
use crate::payload::NaiveTime;

use crate::shard::{ShardCount, ShardId};
use crate::stream::testing::RedisServer;
use crate::stream::{Meta, ShardKeys, Writer};

mod history;
mod intervals;
mod simulation;
mod topics;

const DAY: Duration = Duration::from_secs(86_400);

struct Stage {
    redis: RedisServer,
    keys: ShardKeys,
    cut: watch::Sender<Cut>,
}

impl Stage {
    async fn new() -> Self {
        let redis = RedisServer::start(&[]).await;
        let keys = ShardKeys::new(ShardId(0));
        let stage = Self { redis, keys, cut: watch::Sender::default() };
        stage.run(&format!("XGROUP CREATE {} aggregate 0 MKSTREAM", stage.keys.stream)).await;
        stage.fence("f1").await;
        stage
    }

    async fn run(&self, command: &str) -> redis::Value {
        let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        self.redis.run(&words).await
    }

    async fn fence(&self, fence: &str) {
        self.run(&format!("HSET {} fence {fence}", self.keys.meta)).await;
    }

    /// Publishes payloads on one topic, one entry for all.
    async fn publish(&self, topic: &str, payloads: &[&str], flags: Flags) {
        let intake = Arc::new(Intake::new(ShardCount::new(1).unwrap(), INTAKE_LIMITS));
        for payload in payloads {
            let payload = payload.as_bytes();
            let message = Message {
                topic,
                payload,
                flags,
                received_at: Clock::system().now(),
                refused: None,
            };
            intake.offer(&message, &Arc::new(Notify::new())).unwrap();
        }
        let stop = CancellationToken::new();
        stop.cancel();
        Writer::new(self.redis.server(), intake, vec![self.keys.clone()]).run(stop).await;
    }

    fn owner(
        &self,
        fence: &str,
        series_max: u64,
    ) -> (CancellationToken, impl Future<Output = Ended> + use<>) {
        let context = OwnerContext {
            server: self.redis.server(),
            clock: Clock::system(),
            fold: FoldConfig {
                series_max,
                retentions: Retentions { readings: DAY, minutes: 7 * DAY, hours: 400 * DAY },
                naive_time: NaiveTime::Utc,
            },
            stream_retention: Duration::from_secs(2),
            cut: self.cut.subscribe(),
            topics_max: 100,
        };
        let stop = CancellationToken::new();
        let owner = own(Arc::new(context), self.keys.clone(), fence.to_owned(), stop.clone());
        (stop, owner)
    }

    /// Lets an owner fold everything there is, and end.
    async fn fold_all(&self, fence: &str) -> Meta {
        let (stop, owner) = self.owner(fence, 100);
        stop.cancel();
        let ended = timeout(Duration::from_secs(10), owner).await.unwrap();
        assert_eq!(ended, Ended::Stopped);
        self.meta().await
    }

    async fn meta(&self) -> Meta {
        let fields: Vec<(String, String)> = redis::FromRedisValue::from_redis_value(
            self.run(&format!("HGETALL {}", self.keys.meta)).await,
        )
        .unwrap();
        Meta::parse(fields)
    }

    async fn state(&self, field: &[u8]) -> state::State {
        let packed = self.redis.run(&[b"HGET", self.keys.states.as_bytes(), field]).await;
        let redis::Value::BulkString(packed) = packed else { panic!("no state") };
        state::State::unpack(&packed).unwrap()
    }

    async fn pending(&self) -> i64 {
        match self.run(&format!("XPENDING {} aggregate", self.keys.stream)).await {
            redis::Value::Array(summary) => match summary[0] {
                redis::Value::Int(count) => count,
                ref other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn each_message_is_counted_once_and_nothing_stays_pending() {
    let stage = Stage::new().await;
    stage.publish("s/a/t", &[r#"{"value":1}"#, r#"{"value":3}"#, "nonsense"], Flags::NONE).await;
    stage.publish("s/b/t", &[r#"{"value":7,"unit":"K"}"#], Flags::NONE).await;
    let meta = stage.fold_all("f1").await;
    assert_eq!((meta.totals.decoded, meta.totals.readings), (3, 3));
    assert_eq!(meta.totals.dead_lettered(), 1);
    assert_eq!(meta.totals.folded(), meta.committed_messages());
    assert_eq!(stage.pending().await, 0);
    let state = stage.state(b"a\0t").await;
    assert_eq!(state.statistics.moments.count, 2);
    assert_eq!(state.statistics.moments.average(), Some(2.0));
    assert_eq!((state.statistics.extent.min, state.statistics.extent.max), (1.0, 3.0));
    let again = stage.fold_all("f1").await;
    assert_eq!(again.totals, meta.totals);
}

#[tokio::test]
async fn an_entry_delivered_to_an_owner_that_is_gone_is_counted_once() {
    let stage = Stage::new().await;
    stage.publish("s/a/t", &[r#"{"value":1}"#], Flags::NONE).await;
    stage.fold_all("f1").await;
    stage.fence("f2").await;
    let (stop, owner) = stage.owner("f2", 100);
    let owner = tokio_util::task::TaskTracker::new().spawn(owner);
    // The old owner was blocked in its read, and Redis hands it what comes next.
    let zombie = format!("XREADGROUP GROUP aggregate f1 STREAMS {} >", stage.keys.stream);
    let mut taken = false;
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut published = 1;
    while !taken && Instant::now() < deadline {
        stage.publish("s/a/t", &[r#"{"value":1}"#], Flags::NONE).await;
        published += 1;
        taken = stage.run(&zombie).await != redis::Value::Nil;
    }
    while stage.meta().await.totals.decoded < published && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.cancel();
    assert_eq!(owner.await.unwrap(), Ended::Stopped);
    assert_eq!(stage.meta().await.totals.decoded, published);
    assert_eq!(stage.state(b"a\0t").await.statistics.moments.count, published);
    assert_eq!(stage.pending().await, 0);
}

#[tokio::test]
async fn an_owner_without_the_fence_writes_nothing() {
    let stage = Stage::new().await;
    stage.publish("s/a/t", &[r#"{"value":1}"#], Flags::NONE).await;
    let (_stop, owner) = stage.owner("another", 100);
    assert_eq!(timeout(Duration::from_secs(10), owner).await.unwrap(), Ended::Fenced);
    assert_eq!(stage.meta().await.totals.decoded, 0);
    assert_eq!(stage.fold_all("f1").await.totals.decoded, 1);
}

#[tokio::test]
async fn readings_beyond_the_limit_of_series_are_counted_as_overflow() {
    let stage = Stage::new().await;
    for sensor in ["a", "b", "c"] {
        stage.publish(&format!("s/{sensor}/t"), &[r#"{"value":1}"#], Flags::NONE).await;
    }
    let (stop, owner) = stage.owner("f1", 2);
    stop.cancel();
    timeout(Duration::from_secs(10), owner).await.unwrap();
    let totals = stage.meta().await.totals;
    assert_eq!((totals.decoded, totals.overflow), (2, 1));
    assert_eq!(stage.run("HLEN {sg:0}st").await, redis::Value::Int(2));
}

#[tokio::test]
async fn a_retained_replay_counts_only_when_it_is_news() {
    let stage = Stage::new().await;
    let old = r#"{"value":1,"timestamp":"2023-01-01T00:00:00Z"}"#;
    let new = r#"{"value":2,"timestamp":"2023-01-02T00:00:00Z"}"#;
    stage.publish("s/a/t", &[old], Flags::RETAINED).await;
    stage.publish("s/a/t", &[old, r#"{"value":9}"#, new], Flags::RETAINED).await;
    let totals = stage.fold_all("f1").await.totals;
    assert_eq!((totals.decoded, totals.retained), (2, 2));
    assert_eq!(stage.state(b"a\0t").await.statistics.ends.last_value, 2.0);
}

#[tokio::test]
async fn a_batch_of_many_series_takes_several_calls_and_loses_none() {
    let stage = Stage::new().await;
    let many: Vec<String> =
        (0..256).map(|n| format!(r#"{{"sensor_id":"s{n}","value":{n}}}"#)).collect();
    let array = format!("[{}]", many.join(","));
    for kind in ["t", "u", "v", "w", "x"] {
        stage.publish(&format!("s/a/{kind}"), &[&array], Flags::NONE).await;
    }
    let (stop, owner) = stage.owner("f1", 10_000);
    stop.cancel();
    timeout(Duration::from_secs(20), owner).await.unwrap();
    assert_eq!(stage.run("HLEN {sg:0}st").await, redis::Value::Int(1280));
    let meta = stage.meta().await;
    assert_eq!((meta.totals.decoded, meta.totals.readings), (5, 1280));
    assert!(meta.version >= 3, "{}", meta.version);
    let types = stage.run("HGET {sg:0}ix s7").await;
    assert_eq!(types, redis::Value::BulkString(b"t\0u\0v\0w\0x".to_vec()));
}

/// After FLUSHALL a producer goes on with its numbers. The sums over producers then told of more
/// messages than were ever counted.
#[tokio::test]
async fn what_a_producer_wrote_before_the_data_set_was_emptied_is_lost() {
    let stage = Stage::new().await;
    let header = b"1 00000000000000aa 5 1 1700000000000 9";
    let stream = stage.keys.stream.as_bytes();
    stage.redis.run(&[b"XADD", stream, b"*", b"@", header, b"s/a/t", br#"{"value":1}"#]).await;
    let meta = stage.fold_all("f1").await;
    assert_eq!((meta.totals.decoded, meta.totals.lost), (1, 8));
    assert_eq!(meta.totals.folded(), meta.committed_messages() - meta.totals.lost);
}
