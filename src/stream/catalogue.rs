//! Pages of raw states and attributes, for whoever shows them.
//!
//! What a state means is the business of the aggregation; here it is bytes.

use redis::{Pipeline, cmd};

use super::connection::Link;
use super::error::Error;
use super::keys::ShardKeys;
use super::position::EntryId;

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
