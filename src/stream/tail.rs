//! Reading all streams along, beside the consumer group: for those who show what comes in.
//!
//! Nothing is acknowledged and nothing is pending: a tail that dies leaves nothing behind.

use std::time::Duration;

use redis::{Cmd, Value};

use super::blocking::Blocking;
use super::connection::{Link, Server};
use super::entry::Entry;
use super::error::Error;
use super::keys::ShardKeys;
use super::position::EntryId;
use super::reply::{Reply, Unreadable};
use crate::shard::ShardId;

/// Entries read of one shard at a time: 16,384 messages, about 2 MiB of the usual ones.
const ENTRIES_PER_READ: usize = 32;
/// Entries read at a time of all shards, of 1 MiB at most unless one message is larger.
const ENTRIES_PER_REPLY: usize = 256;
/// A read that finds nothing ends after this.
const BLOCK: Duration = Duration::from_millis(500);

/// Entries of one shard that were read together; the number is its place in the keys.
pub type Read = (usize, ShardId, Vec<Entry>);

/// Follows all shards on a connection of its own.
pub struct Tail {
    server: Server,
    keys: Vec<ShardKeys>,
    /// The last entry read of each shard.
    reached: Vec<EntryId>,
    connection: Option<Blocking>,
    /// Entries asked for of each shard: fewer after a read that failed, because what is too much
    /// for one reply would be too much again.
    count: usize,
    is_behind: bool,
}

impl Tail {
    /// Follows `keys` from behind the entries `from`.
    #[must_use]
    pub fn new(server: Server, keys: Vec<ShardKeys>, from: Vec<EntryId>) -> Self {
        let count = Self::count_max(keys.len());
        Self { server, keys, reached: from, connection: None, count, is_behind: false }
    }

    fn count_max(shards: usize) -> usize {
        (ENTRIES_PER_REPLY / shards.max(1)).clamp(1, ENTRIES_PER_READ)
    }

    /// The last entry read of each shard.
    #[must_use]
    pub fn reached(&self) -> &[EntryId] {
        &self.reached
    }

    /// The shards, by their places, and the last entry read of each.
    pub fn places(&self) -> impl Iterator<Item = (usize, ShardId, EntryId)> {
        let shards = self.keys.iter().zip(&self.reached).enumerate();
        shards.map(|(place, (keys, reached))| (place, keys.shard, *reached))
    }

    /// Whether the last read brought as much of a shard as it asked for, so that more may wait.
    #[must_use]
    pub const fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// What came since the last read; nothing after half a second without any.
    ///
    /// # Errors
    /// [`Error`]: nothing was skipped; read again.
    ///
    /// # Cancel safety
    /// Safe: what was read by a dropped future is read again.
    pub async fn read(&mut self) -> Result<Vec<Read>, Error> {
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(self.count);
        command.arg("BLOCK").arg(u64::try_from(BLOCK.as_millis()).unwrap_or(u64::MAX));
        command.arg("STREAMS");
        for keys in &self.keys {
            command.arg(&keys.stream);
        }
        for reached in &self.reached {
            command.arg(reached.to_string());
        }
        let count = self.count;
        self.count = (count / 2).max(1);
        let mut reply = self.ask(&command).await?;
        self.count = Self::count_max(self.keys.len()).min(2 * count);
        let reads = self.take(&mut reply).map_err(|cause| foreign("", cause))?;
        self.is_behind = reads.iter().any(|(_, _, entries)| entries.len() >= count);
        for (place, _, entries) in &reads {
            if let Some(last) = entries.last() {
                self.reached[*place] = last.id;
            }
        }
        Ok(reads)
    }

    fn take(&self, reply: &mut Reply) -> Result<Vec<Read>, Unreadable> {
        let mut reads = Vec::new();
        for _ in 0..reply.array()?.unwrap_or(0) {
            let name = reply.stream()?;
            let place = self.keys.iter().position(|keys| keys.stream.as_bytes() == name);
            let place = place.ok_or(Unreadable::Shape)?;
            reads.push((place, self.keys[place].shard, reply.entries()?));
        }
        Ok(reads)
    }

    async fn ask(&mut self, command: &Cmd) -> Result<Reply, Error> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Blocking::connect(&self.server, BLOCK).await?,
        };
        // Only a connection that answered is used again.
        let reply = connection.ask(command).await?;
        self.connection = Some(connection);
        Ok(reply)
    }
}

/// The newest `count` entries of a shard behind `after`, in the stream's order; of those before
/// `before`, where that is given.
///
/// # Errors
/// [`Error::Redis`] when there is no answer.
pub async fn newest(
    link: &Link,
    keys: &ShardKeys,
    after: EntryId,
    before: Option<EntryId>,
    count: usize,
) -> Result<Vec<Entry>, Error> {
    let mut command = redis::cmd("XREVRANGE");
    let end = before.map_or_else(|| "+".to_owned(), |id| format!("({id}"));
    command.arg(&keys.stream).arg(end).arg(format!("({after}")).arg("COUNT").arg(count);
    let mut entries = take_entries(link.run(&command).await?, keys)?;
    entries.reverse();
    Ok(entries)
}

fn take_entries(list: Value, keys: &ShardKeys) -> Result<Vec<Entry>, Error> {
    let entries = match list {
        Value::Array(list) => list.into_iter().map(take_entry).collect(),
        _ => None,
    };
    entries.ok_or_else(|| foreign(&keys.stream, Unreadable::Shape))
}

fn take_entry(value: Value) -> Option<Entry> {
    let Value::Array(parts) = value else { return None };
    let [Value::BulkString(id), Value::Array(values)] = <[Value; 2]>::try_from(parts).ok()? else {
        return None;
    };
    let mut pairs = Vec::with_capacity(values.len() / 2);
    let mut values = values.into_iter();
    while let Some(field) = values.next() {
        let (Value::BulkString(field), Some(Value::BulkString(payload))) = (field, values.next())
        else {
            return None;
        };
        pairs.push((field, payload));
    }
    Some(Entry::new(EntryId::parse(&id)?, pairs))
}

fn foreign(key: &str, cause: Unreadable) -> Error {
    Error::Foreign { key: key.to_owned(), what: cause.to_string() }
}
