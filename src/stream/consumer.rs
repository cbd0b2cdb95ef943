//! Reading a shard's stream as the one consumer of its owner.

use std::time::Duration;

use redis::Cmd;

use super::blocking::Blocking;
use super::connection::Server;
use super::entry::Entry;
use super::error::Error;
use super::keys::{GROUP, ShardKeys};
use super::position::EntryId;
use super::reply::{Reply, Unreadable};

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
    connection: Option<Blocking>,
    /// Entries claimed at a time: fewer after a claim that failed, because what is too much for
    /// one reply would be too much again.
    claim_count: usize,
}

impl Consumer {
    /// Not connected yet. No read will block longer than `block_max`.
    #[must_use]
    pub const fn new(server: Server, keys: ShardKeys, name: String, block_max: Duration) -> Self {
        Self { server, keys, name, block_max, connection: None, claim_count: CLAIM_COUNT }
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
        let mut reply = self.ask(&command).await?;
        read(&mut reply).map_err(|cause| self.foreign(cause, "XREADGROUP"))
    }

    /// Takes over everything that is pending with anybody, in the order of ids.
    ///
    /// # Errors
    /// [`Error`]: what was claimed stays pending for this consumer; claim again.
    pub async fn claim_everything(&mut self) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::new();
        let mut cursor = EntryId::ZERO;
        loop {
            let count = self.claim_count;
            self.claim_count = (count / 2).max(1);
            let mut command = redis::cmd("XAUTOCLAIM");
            command.arg(&self.keys.stream).arg(GROUP).arg(&self.name).arg(0);
            command.arg(cursor.to_string()).arg("COUNT").arg(count);
            let mut reply = self.ask(&command).await?;
            self.claim_count = count;
            let claimed = claimed(&mut reply);
            let (next, claimed) = claimed.map_err(|cause| self.foreign(cause, "XAUTOCLAIM"))?;
            entries.extend(claimed);
            if next == EntryId::ZERO {
                self.claim_count = CLAIM_COUNT;
                return Ok(entries);
            }
            cursor = next;
        }
    }

    async fn ask(&mut self, command: &Cmd) -> Result<Reply, Error> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Blocking::connect(&self.server, self.block_max).await?,
        };
        // Only a connection that answered is used again: on one that timed out, or whose future
        // was dropped, the next reply would be the late one.
        let reply = connection.ask(command).await?;
        self.connection = Some(connection);
        Ok(reply)
    }

    fn foreign(&self, cause: Unreadable, command: &str) -> Error {
        Error::Foreign { key: self.keys.stream.clone(), what: format!("{command}: {cause}") }
    }
}

/// Entries of the one stream that was asked for; none when the wait was in vain.
fn read(reply: &mut Reply) -> Result<Vec<Entry>, Unreadable> {
    match reply.array()? {
        None | Some(0) => Ok(Vec::new()),
        Some(1) => {
            reply.stream()?;
            reply.entries()
        }
        Some(_) => Err(Unreadable::Shape),
    }
}

/// Where to go on, and what was claimed. What else is said, ids of entries that are deleted, says
/// nothing to us.
fn claimed(reply: &mut Reply) -> Result<(EntryId, Vec<Entry>), Unreadable> {
    if reply.array()?.is_none_or(|parts| parts < 2) {
        return Err(Unreadable::Shape);
    }
    let next = EntryId::parse(reply.string()?).ok_or(Unreadable::Shape)?;
    Ok((next, reply.entries()?))
}
