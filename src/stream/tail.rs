//! Reading all streams along, beside the consumer group: for those who show what comes in.
//!
//! Nothing is acknowledged and nothing is pending: a tail that dies leaves nothing behind.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Value};

use super::connection::{Link, Server};
use super::consumer::{array, take_entry};
use super::entry::Entry;
use super::error::Error;
use super::keys::ShardKeys;
use super::position::EntryId;
use crate::shard::ShardId;

/// Entries read of one shard at a time: 16,384 messages, about 2 MiB of the usual ones.
const ENTRIES_PER_READ: usize = 32;
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
    connection: Option<MultiplexedConnection>,
}

impl Tail {
    /// Follows `keys` from behind the entries `from`.
    #[must_use]
    pub fn new(server: Server, keys: Vec<ShardKeys>, from: Vec<EntryId>) -> Self {
        Self { server, keys, reached: from, connection: None }
    }

    /// The last entry read of each shard.
    #[must_use]
    pub fn reached(&self) -> &[EntryId] {
        &self.reached
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
        command.arg("COUNT").arg(ENTRIES_PER_READ);
        command.arg("BLOCK").arg(u64::try_from(BLOCK.as_millis()).unwrap_or(u64::MAX));
        command.arg("STREAMS");
        for keys in &self.keys {
            command.arg(&keys.stream);
        }
        for reached in &self.reached {
            command.arg(reached.to_string());
        }
        let reply = self.ask(&command).await?;
        let mut reads = Vec::new();
        for stream in array(reply).unwrap_or_default() {
            let parts = array(stream).and_then(|parts| <[Value; 2]>::try_from(parts).ok());
            let Some([Value::BulkString(name), entries]) = parts else { return Err(foreign("")) };
            let place = self.keys.iter().position(|keys| keys.stream.as_bytes() == name);
            let Some(place) = place else { return Err(foreign("")) };
            let entries = take_entries(entries, &self.keys[place])?;
            if let Some(last) = entries.last() {
                self.reached[place] = last.id;
            }
            reads.push((place, self.keys[place].shard, entries));
        }
        Ok(reads)
    }

    async fn ask(&mut self, command: &Cmd) -> Result<Value, Error> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.server.connect_blocking(BLOCK).await?,
        };
        // Only a connection that answered is used again.
        let value: Value = command.query_async(&mut connection).await?;
        self.connection = Some(connection);
        Ok(value)
    }
}

/// Up to `count` entries of a shard behind `after`, not beyond `to`.
///
/// # Errors
/// [`Error::Redis`] when there is no answer.
pub async fn between(
    link: &Link,
    keys: &ShardKeys,
    after: EntryId,
    to: EntryId,
    count: usize,
) -> Result<Vec<Entry>, Error> {
    let mut command = redis::cmd("XRANGE");
    command.arg(&keys.stream).arg(format!("({after}")).arg(to.to_string());
    command.arg("COUNT").arg(count);
    take_entries(link.run(&command).await?, keys)
}

fn take_entries(list: Value, keys: &ShardKeys) -> Result<Vec<Entry>, Error> {
    let list = array(list).ok_or_else(|| foreign(&keys.stream))?;
    list.into_iter().map(|entry| take_entry(entry).ok_or_else(|| foreign(&keys.stream))).collect()
}

fn foreign(key: &str) -> Error {
    Error::Foreign { key: key.to_owned(), what: "entries of unknown shape".to_owned() }
}
