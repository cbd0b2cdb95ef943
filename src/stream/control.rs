//! Control messages: what tells every owner to do something, in its place among the readings.
//!
//! Each goes into every shard, because a sensor may have sent through any of them. It has a
//! producer of its own, so that nothing is to be kept between two of them, and what is sent again
//! after an unknown outcome is byte for byte the same: readers skip it as resent.

use std::borrow::Cow;

use redis::{Pipeline, RedisResult, Value};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::connection::{Link, Server};
use super::entry::{Header, ProducerId, write_one};
use super::error::Error;
use super::keys::ShardKeys;
use super::random::random_u64;
use crate::message::{Control, Flags, Message};
use crate::reading::{ID_BYTES_MAX, UnixMillis};

/// How often it is sent while no answer comes: over a lost connection and once more.
const TRIES: usize = 3;

/// The payload: one JSON object with one key.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wire<'a> {
    Delete(#[serde(borrow)] Cow<'a, str>),
}

impl Control {
    /// Reads the payload of a control message, `{"delete":"<sensor_id>"}`; `None` when it is
    /// another one, or names what no sensor can be called.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let Wire::Delete(id) = serde_json::from_slice(payload).ok()?;
        let is_id = (1..=ID_BYTES_MAX).contains(&id.len()) && !id.chars().any(char::is_control);
        is_id.then(|| Self::Delete { sensor_id: id.into() })
    }

    #[expect(clippy::expect_used, reason = "a text can be written as JSON")]
    fn payload(&self) -> Vec<u8> {
        let wire = match self {
            Self::Delete { sensor_id } => Wire::Delete(Cow::Borrowed(sensor_id)),
        };
        serde_json::to_vec(&wire).expect("a control message can be written")
    }
}

impl Message<'_> {
    /// What a control message tells; `None` for every other message, and for a refused one.
    #[must_use]
    pub fn control(&self) -> Option<Control> {
        let is_control = self.flags.has(Flags::CONTROL) && self.refused.is_none();
        is_control.then(|| Control::parse(self.payload))?
    }
}

/// Writes a control message into every shard, with one pipeline. When this returns, all have it
/// under the durability of the data set.
///
/// # Errors
/// [`Error::Redis`] when no answer came: any shard may have it, or not. [`Error::Partly`] when
/// Redis refused it in some shards: the others have it. In both cases it may be told anew.
pub async fn tell_every_shard(
    link: &Link,
    keys: &[ShardKeys],
    control: &Control,
    now: UnixMillis,
) -> Result<(), Error> {
    let payload = control.payload();
    let message = Message {
        topic: "",
        payload: &payload,
        flags: Flags::CONTROL,
        received_at: now,
        refused: None,
    };
    let producer = ProducerId(random_u64());
    let header = Header { producer, number: 1, messages: 1, received_at: now, total: 1 };
    let mut pipeline = Pipeline::with_capacity(keys.len());
    for keys in keys {
        pipeline.add_command(write_one(&keys.stream, &header, &message));
    }
    pipeline.ignore_errors();
    let mut backoff = Server::backoff();
    for _ in 1..TRIES {
        match link.run_all(&pipeline).await {
            Ok(replies) => return judge(keys, replies),
            Err(error) => {
                tracing::debug!(%error, "a control message is sent again");
                sleep(backoff.next_wait()).await;
            }
        }
    }
    judge(keys, link.run_all(&pipeline).await?)
}

fn judge(keys: &[ShardKeys], replies: Vec<RedisResult<Value>>) -> Result<(), Error> {
    let mut refused = 0;
    let mut first = None;
    for (keys, reply) in keys.iter().zip(replies) {
        if let Err(cause) = reply {
            refused += 1;
            first.get_or_insert((keys.shard.0, cause));
        }
    }
    match first {
        None => Ok(()),
        Some((shard, cause)) => Err(Error::Partly { refused, all: keys.len(), shard, cause }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::position::EntryId;
    use super::super::tail::newest;
    use super::super::testing::RedisServer;
    use super::*;
    use crate::shard::{ShardCount, ShardId};

    #[test]
    fn only_what_could_be_a_sensor_can_be_deleted() {
        let check = |payload: &str, expected: Option<&str>| {
            let parsed = Control::parse(payload.as_bytes());
            let expected = expected.map(|id| Control::Delete { sensor_id: id.into() });
            assert_eq!(parsed, expected, "{payload}");
        };
        let longest = "x".repeat(ID_BYTES_MAX);
        check(r#"{"delete":"temp_01"}"#, Some("temp_01"));
        check(r#"{ "delete" : "a\"b\u00e9/*" }"#, Some("a\"b\u{e9}/*"));
        check(&format!(r#"{{"delete":"{longest}"}}"#), Some(&longest));
        check(&format!(r#"{{"delete":"{longest}x"}}"#), None);
        check(r#"{"delete":""}"#, None);
        check(r#"{"delete":"a\u0000b"}"#, None);
        check(r#"{"delete":7}"#, None);
        check(r#"{"delete":"a","also":"b"}"#, None);
        check(r#"{"forget":"a"}"#, None);
        check(r#"{"delete":"a"} x"#, None);
        check("", None);
    }

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn delete() -> Control {
        Control::Delete { sensor_id: "a\"b".into() }
    }

    fn keys() -> Vec<ShardKeys> {
        ShardCount::new(3).unwrap().ids().map(ShardKeys::new).collect()
    }

    /// Producer, number, running total and what is told, of every entry of a shard.
    async fn told(link: &Link, shard: u16) -> Vec<(ProducerId, u64, u64, Control)> {
        let keys = ShardKeys::new(ShardId(shard));
        let entries = newest(link, &keys, EntryId::ZERO, None, 9).await.unwrap();
        let told = entries.iter().map(|entry| {
            assert_eq!(entry.len(), 1);
            let message = entry.messages().next().unwrap();
            assert_eq!((message.topic, message.received_at), ("", NOW));
            let header = entry.header.unwrap();
            (header.producer, header.number, header.total, message.control().unwrap())
        });
        told.collect()
    }

    #[tokio::test]
    async fn every_shard_has_the_same_entry() {
        let redis = RedisServer::start(&[]).await;
        let link = redis.link();
        tell_every_shard(&link, &keys(), &delete(), NOW).await.unwrap();
        let first = told(&link, 0).await;
        assert_eq!(first.len(), 1);
        assert_eq!((first[0].1, first[0].2, &first[0].3), (1, 1, &delete()));
        assert_eq!((told(&link, 1).await, told(&link, 2).await), (first.clone(), first.clone()));
        tell_every_shard(&link, &keys(), &delete(), NOW).await.unwrap();
        let both = told(&link, 0).await;
        assert_eq!(both[0], first[0]);
        assert_ne!(both[1].0, first[0].0, "each has a producer of its own");
    }

    #[tokio::test]
    async fn after_a_lost_connection_it_is_sent_again() {
        let redis = RedisServer::start(&[]).await;
        let link = redis.link();
        link.run::<String>(&redis::cmd("PING")).await.unwrap();
        redis.run(&[b"CLIENT", b"KILL", b"TYPE", b"normal", b"SKIPME", b"yes"]).await;
        tell_every_shard(&link, &keys(), &delete(), NOW).await.unwrap();
        for shard in 0..3 {
            let all = told(&link, shard).await;
            assert!(all.iter().all(|one| *one == all[0]), "byte for byte the same");
        }
    }

    #[tokio::test]
    async fn what_redis_refuses_is_said() {
        let redis = RedisServer::start(&[]).await;
        let link = redis.link();
        redis.ask("ACL SETUSER default resetkeys ~{sg:0}*").await;
        let error = tell_every_shard(&link, &keys(), &delete(), NOW).await.unwrap_err();
        assert!(error.to_string().starts_with("2 of 3 shards refused it"), "{error}");
        assert!(error.to_string().contains("shard 1"), "{error}");
        assert!(!error.is_permanent());
        assert_eq!(told(&link, 0).await.len(), 1, "the others have it");
        redis.ask("ACL SETUSER default allkeys").await;
        redis.ask("CONFIG SET maxmemory 1").await;
        let error = tell_every_shard(&link, &keys(), &delete(), NOW).await.unwrap_err();
        assert!(error.to_string().starts_with("3 of 3"), "{error}");
        assert!(error.to_string().contains("OOM"), "{error}");
        redis.ask("CONFIG SET maxmemory 0").await;
        tell_every_shard(&link, &keys(), &delete(), NOW).await.unwrap();
        assert_eq!(told(&link, 2).await.len(), 1);
    }

    #[tokio::test]
    async fn without_redis_it_is_an_error() {
        let link = {
            let redis = RedisServer::start(&[]).await;
            redis.link()
        };
        let error = tell_every_shard(&link, &keys(), &delete(), NOW).await.unwrap_err();
        assert!(matches!(error, Error::Redis(_)), "{error}");
    }
}
