//! Reading a shard's stream as the one consumer of its owner.
//!
//! The reply is taken apart by moving its bytes out; the client's own reply type would copy every
//! topic and payload.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Value};

use super::connection::Server;
use super::entry::Entry;
use super::error::Error;
use super::keys::{GROUP, ShardKeys};
use super::position::EntryId;

/// Entries claimed with one XAUTOCLAIM.
const CLAIM_COUNT: usize = 64;

/// How a read waits when there is nothing new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// It does not.
    None,
    /// Up to this long. Never zero, which to Redis means for ever.
    UpTo(Duration),
}

/// The consumer of one shard, named after its owner's fence. It has a connection of its own,
/// because a blocking read stalls everybody on it.
pub struct Consumer {
    server: Server,
    keys: ShardKeys,
    name: String,
    block_max: Duration,
    connection: Option<MultiplexedConnection>,
}

impl Consumer {
    /// Not connected yet. No read will block longer than `block_max`.
    #[must_use]
    pub const fn new(server: Server, keys: ShardKeys, name: String, block_max: Duration) -> Self {
        Self { server, keys, name, block_max, connection: None }
    }

    /// Reads up to `count` new entries; they are pending for this consumer from then on.
    ///
    /// # Errors
    /// [`Error`]: what was delivered is unknown, so claim everything before reading on.
    ///
    /// # Cancel safety
    /// Not cancel safe: a dropped read may have been answered. Claim everything afterwards.
    pub async fn read(&mut self, count: usize, patience: Patience) -> Result<Vec<Entry>, Error> {
        let mut command = redis::cmd("XREADGROUP");
        command.arg("GROUP").arg(GROUP).arg(&self.name).arg("COUNT").arg(count);
        if let Patience::UpTo(wait) = patience {
            let wait = wait.min(self.block_max).as_millis();
            command.arg("BLOCK").arg(u64::try_from(wait).unwrap_or(u64::MAX).max(1));
        }
        command.arg("STREAMS").arg(&self.keys.stream).arg(">");
        match self.ask(&command).await? {
            Value::Nil => Ok(Vec::new()),
            Value::Array(streams) => {
                let mut entries = Vec::new();
                for stream in streams {
                    let parts = array(stream).and_then(|parts| <[Value; 2]>::try_from(parts).ok());
                    let [_, stream] = parts.ok_or_else(|| self.foreign("a reply of XREADGROUP"))?;
                    self.take_entries(stream, &mut entries)?;
                }
                Ok(entries)
            }
            _ => Err(self.foreign("a reply of XREADGROUP")),
        }
    }

    /// Takes over everything that is pending with anybody, in the order of ids.
    ///
    /// # Errors
    /// [`Error`]: what was claimed stays pending for this consumer; claim again.
    pub async fn claim_everything(&mut self) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::new();
        let mut cursor = b"0-0".to_vec();
        loop {
            let mut command = redis::cmd("XAUTOCLAIM");
            command.arg(&self.keys.stream).arg(GROUP).arg(&self.name).arg(0).arg(&cursor[..]);
            command.arg("COUNT").arg(CLAIM_COUNT);
            let reply = array(self.ask(&command).await?);
            let mut reply = reply.ok_or_else(|| self.foreign("a reply of XAUTOCLAIM"))?.into_iter();
            let (Some(Value::BulkString(next)), Some(claimed)) = (reply.next(), reply.next())
            else {
                return Err(self.foreign("a reply of XAUTOCLAIM"));
            };
            self.take_entries(claimed, &mut entries)?;
            if next == b"0-0" {
                return Ok(entries);
            }
            cursor = next;
        }
    }

    async fn ask(&mut self, command: &Cmd) -> Result<Value, Error> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.server.connect_blocking(self.block_max).await?,
        };
        // Only a connection that answered is used again: on one that timed out, or whose future
        // was dropped, the next reply would be the late one.
        let value: Value = command.query_async(&mut connection).await?;
        self.connection = Some(connection);
        Ok(value)
    }

    fn take_entries(&self, list: Value, entries: &mut Vec<Entry>) -> Result<(), Error> {
        let list = array(list).ok_or_else(|| self.foreign("entries"))?;
        entries.reserve(list.len());
        for entry in list {
            // A deleted entry that is still pending is answered as nil by old servers.
            if !matches!(entry, Value::Nil) {
                entries.push(take_entry(entry).ok_or_else(|| self.foreign("an entry"))?);
            }
        }
        Ok(())
    }

    fn foreign(&self, what: &str) -> Error {
        Error::Foreign { key: self.keys.stream.clone(), what: format!("{what} of unknown shape") }
    }
}

pub(super) fn array(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

pub(super) fn take_entry(value: Value) -> Option<Entry> {
    let [id, pairs] = <[Value; 2]>::try_from(array(value)?).ok()?;
    let Value::BulkString(id) = id else { return None };
    let mut values = match pairs {
        Value::Array(values) => values.into_iter(),
        Value::Nil => Vec::new().into_iter(),
        _ => return None,
    };
    let mut pairs = Vec::with_capacity(values.len() / 2);
    while let Some(field) = values.next() {
        let (Value::BulkString(field), Some(Value::BulkString(payload))) = (field, values.next())
        else {
            return None;
        };
        pairs.push((field, payload));
    }
    Some(Entry::new(EntryId::parse(&id)?, pairs))
}
