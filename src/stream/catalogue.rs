//! Pages of raw states, attributes and dead letters, for whoever shows them.
//!
//! What a state means is the business of the aggregation; here it is bytes.

use std::collections::{BTreeSet, HashMap};

use redis::{Pipeline, cmd};

use super::connection::Link;
use super::error::Error;
use super::keys::ShardKeys;
use super::meta::Meta;
use super::position::EntryId;
use crate::reading::UnixMillis;
use crate::shard::ShardId;

/// States asked for at a time: about 200 KB, a millisecond of Redis. A guess.
const PAGE: usize = 1000;

/// What a shard's `m` says of its commits, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardVersion {
    /// Another one after each commit; empty before the first.
    pub version: Vec<u8>,
    /// The last entry that was committed.
    pub position: EntryId,
    /// Another one when the data set was lost and began anew.
    pub generation: Vec<u8>,
    /// Readings counted so far.
    pub readings: u64,
}

/// One page of a shard's states: hash field and packed state.
pub type Page = Vec<(Vec<u8>, Vec<u8>)>;

/// What all shards say, in the order of `keys`.
///
/// # Errors
/// [`Error::Redis`] when there is no answer.
pub async fn versions(link: &Link, keys: &[ShardKeys]) -> Result<Vec<ShardVersion>, Error> {
    type Fields = (Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>, Option<u64>);
    let mut pipeline = Pipeline::with_capacity(keys.len());
    for keys in keys {
        let fields = ["version", "pos", "generation", "t:readings"];
        pipeline.cmd("HMGET").arg(&keys.meta).arg(&fields);
    }
    let answers: Vec<Fields> = link.run_all(&pipeline).await?;
    let read = |(version, position, generation, readings): Fields| ShardVersion {
        version: version.unwrap_or_default(),
        position: position.and_then(|text| EntryId::parse(&text)).unwrap_or_default(),
        generation: generation.unwrap_or_default(),
        readings: readings.unwrap_or(0),
    };
    Ok(answers.into_iter().map(read).collect())
}

/// Everything that the shards' `m` hashes say, each at one moment, in the order of `keys`.
///
/// # Errors
/// [`Error::Redis`] when there is no answer.
pub async fn metas(link: &Link, keys: &[ShardKeys]) -> Result<Vec<Meta>, Error> {
    let mut pipeline = Pipeline::with_capacity(keys.len());
    for keys in keys {
        pipeline.cmd("HGETALL").arg(&keys.meta);
    }
    let answers: Vec<HashMap<String, String>> = link.run_all(&pipeline).await?;
    Ok(answers.into_iter().map(Meta::parse).collect())
}

/// The name of this run of the Redis server: another one after each start.
///
/// # Errors
/// [`Error::Redis`] when there is no answer.
pub async fn run_id(link: &Link) -> Result<String, Error> {
    let info: String = link.run(cmd("INFO").arg("server")).await?;
    let run = info.lines().find_map(|line| line.strip_prefix("run_id:"));
    Ok(run.unwrap_or_default().to_owned())
}

/// One page of a shard's states, from `cursor` on (0 at first). The next cursor is 0 at the end.
/// A state that changes meanwhile may come twice; one that stays comes at least once.
///
/// # Errors
/// [`Error::Redis`] when there is no answer.
pub async fn states(link: &Link, keys: &ShardKeys, cursor: u64) -> Result<(u64, Page), Error> {
    link.run(cmd("HSCAN").arg(&keys.states).arg(cursor).arg("COUNT").arg(PAGE)).await
}

/// The states of some series; `None` where there is none.
///
/// # Errors
/// [`Error::Redis`] when there is no answer.
pub async fn states_of(
    link: &Link,
    keys: &ShardKeys,
    fields: &[Vec<u8>],
) -> Result<Vec<Option<Vec<u8>>>, Error> {
    if fields.is_empty() {
        return Ok(Vec::new());
    }
    link.run(cmd("HMGET").arg(&keys.states).arg(fields)).await
}

/// The attributes of some series by their numbers, as JSON; `None` where there are none.
///
/// # Errors
/// [`Error::Redis`] when there is no answer.
pub async fn attributes(
    link: &Link,
    keys: &ShardKeys,
    numbers: &[u64],
) -> Result<Vec<Option<Vec<u8>>>, Error> {
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    link.run(cmd("HMGET").arg(&keys.attributes).arg(numbers)).await
}

/// The types of a sensor, over all shards.
///
/// # Errors
/// [`Error::Redis`] when there is no answer.
pub async fn types(
    link: &Link,
    keys: &[ShardKeys],
    sensor_id: &str,
) -> Result<BTreeSet<String>, Error> {
    let mut pipeline = Pipeline::with_capacity(keys.len());
    for keys in keys {
        pipeline.cmd("HGET").arg(&keys.index).arg(sensor_id);
    }
    let answers: Vec<Option<String>> = link.run_all(&pipeline).await?;
    let joined = answers.into_iter().flatten();
    Ok(joined.flat_map(|types| types.split('\0').map(str::to_owned).collect::<Vec<_>>()).collect())
}

/// A message that was set aside, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredLetter {
    /// In which shard's list.
    pub shard: ShardId,
    /// Its place in that list; also the server's time of setting aside.
    pub id: EntryId,
    /// Name of the reason.
    pub reason: String,
    /// As received; bytes that are no UTF-8 are replaced.
    pub topic: String,
    /// As received, cut to 512 bytes.
    pub payload: Vec<u8>,
    /// When it was received.
    pub received_at: UnixMillis,
    /// Where it stood in the shard's stream.
    pub position: String,
}

/// Of each shard the newest dead letters that stand before an id (the newest of all for `None`), at
/// most `count`, in the order of `asked`; the newest first.
///
/// A letter may take 66 KB, for topics are kept whole.
///
/// # Errors
/// [`Error::Redis`] when there is no answer.
pub async fn dead_letters(
    link: &Link,
    asked: &[(&ShardKeys, Option<EntryId>)],
    count: usize,
) -> Result<Vec<Vec<StoredLetter>>, Error> {
    type Stored = Vec<(String, Vec<(String, Vec<u8>)>)>;
    let mut pipeline = Pipeline::with_capacity(asked.len());
    for (keys, before) in asked {
        let from = before.map_or_else(|| "+".to_owned(), |id| format!("({id}"));
        pipeline.cmd("XREVRANGE").arg(&keys.dead_letters).arg(from).arg("-");
        pipeline.arg("COUNT").arg(count);
    }
    let answers: Vec<Stored> = link.run_all(&pipeline).await?;
    let of_shard = |((keys, _), stored): (&(&ShardKeys, _), Stored)| {
        let read = |(id, fields): (String, _)| {
            Some(letter(keys.shard, EntryId::parse(id.as_bytes())?, fields))
        };
        stored.into_iter().filter_map(read).collect()
    };
    Ok(asked.iter().zip(answers).map(of_shard).collect())
}

fn letter(shard: ShardId, id: EntryId, fields: Vec<(String, Vec<u8>)>) -> StoredLetter {
    let mut letter = StoredLetter {
        shard,
        id,
        reason: String::new(),
        topic: String::new(),
        payload: Vec::new(),
        received_at: UnixMillis(i64::try_from(id.ms).unwrap_or(i64::MAX)),
        position: String::new(),
    };
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    for (field, value) in fields {
        match field.as_str() {
            "reason" => letter.reason = text(&value),
            "topic" => letter.topic = text(&value),
            "payload" => letter.payload = value,
            "received_at" => {
                letter.received_at = text(&value).parse().map_or(letter.received_at, UnixMillis);
            }
            "position" => letter.position = text(&value),
            // A field of a newer version is its own business.
            _ => {}
        }
    }
    letter
}
