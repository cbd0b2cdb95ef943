//! One call of the commit script: what is written together, and what the script answers.
//!
//! A batch may take several calls. Each carries whole series, so that a series' history and its
//! state never part; only the last carries positions, totals and acknowledgements.

use std::borrow::Cow;
use std::collections::BTreeMap;

use redis::Cmd;
use redis::aio::MultiplexedConnection;

use super::error::Error;
use super::keys::ShardKeys;
use super::position::{EntryId, Position};
use crate::reading::UnixMillis;

/// The script; `commit.lua` says what its arguments are.
const SCRIPT: &str = include_str!("commit.lua");
/// Series in one call (design §5: the script blocks Redis for some microseconds per series).
pub const SERIES_PER_CALL_MAX: usize = 500;
/// Entries acknowledged by one call, and so entries in a batch (design §5).
pub const ENTRIES_PER_BATCH_MAX: usize = 1000;
/// Dead letters of a batch that are kept; the rest are only counted (design §5).
pub const DEAD_LETTERS_PER_BATCH_MAX: usize = 100;
/// Dead letters that stay in a shard (design §5).
const DEAD_LETTERS_KEPT: usize = 1000;

/// What the script answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All of the call is written.
    Written,
    /// It was written before; the reply was lost.
    Done,
    /// Somebody else owns the shard: stop.
    Fenced,
    /// The call before is not the one expected: drop the state, claim everything, fold again.
    Conflict,
    /// Entries lie with others, or before the batch: claim everything, fold again.
    Pending,
}

/// What is written into one hash. What is dropped goes first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HashWrite {
    /// Fields to remove.
    pub drop: Vec<Vec<u8>>,
    /// Fields and their values.
    pub set: Vec<(Vec<u8>, Vec<u8>)>,
}

impl HashWrite {
    /// Sets a field.
    pub fn set(&mut self, field: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.set.push((field.into(), value.into()));
    }

    /// Removes a field.
    pub fn drop(&mut self, field: impl Into<Vec<u8>>) {
        self.drop.push(field.into());
    }

    /// Whether nothing is written.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.set.is_empty() && self.drop.is_empty()
    }
}

/// A dead letter.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// Name of the reason.
    pub reason: &'static str,
    /// As received.
    pub topic: String,
    /// As received, cut to 512 bytes.
    pub payload: Vec<u8>,
    /// When it was received.
    pub received_at: UnixMillis,
    /// Where it stood.
    pub position: Position,
}

/// One call of the script.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Call {
    /// Of this call; unique.
    pub token: String,
    /// Of the call before; empty before the first.
    pub before: String,
    /// The first entry of the batch; `None` for a call that only trims.
    pub oldest: Option<EntryId>,
    /// Spans of history that go as a whole, as text.
    pub evict: Vec<String>,
    /// Blocks of history, by the text of their span.
    pub blocks: BTreeMap<String, HashWrite>,
    /// What the inventory of spans says then.
    pub inventory: HashWrite,
    /// Attributes by series number.
    pub attributes: HashWrite,
    /// The types of sensors.
    pub index: HashWrite,
    /// The states of at most [`SERIES_PER_CALL_MAX`] series. Everything else of a series is
    /// written before its state, in the same call.
    pub states: HashWrite,
    /// Fields of the shard's `m`.
    pub meta: Vec<(String, String)>,
    /// Fields of the shard's `m` to remove.
    pub meta_drop: Vec<String>,
    /// Dead letters, oldest first.
    pub dead: Vec<DeadLetter>,
    /// Entries to acknowledge.
    pub acknowledge: Vec<EntryId>,
    /// Entries before this one go.
    pub trim_before: Option<EntryId>,
}

impl Call {
    /// How many series it writes.
    #[must_use]
    pub const fn series(&self) -> usize {
        self.states.set.len() + self.states.drop.len()
    }

    /// The command for a shard whose owner holds `fence`.
    #[must_use]
    pub fn command(&self, keys: &ShardKeys, fence: &str, sha: &str) -> Cmd {
        let hashes = self.hashes(keys);
        let mut command = redis::cmd("EVALSHA");
        command.arg(sha).arg(3 + hashes.len() + self.evict.len());
        command.arg(&keys.meta).arg(&keys.stream).arg(&keys.dead_letters);
        for (key, _) in &hashes {
            command.arg(&**key);
        }
        for span in &self.evict {
            command.arg(keys.history(span));
        }
        command.arg(fence).arg(&self.token).arg(&self.before).arg(text(self.oldest));
        command.arg(hashes.len());
        command.arg(self.meta_drop.len()).arg(2 * self.meta.len());
        command.arg(10 * self.dead.len()).arg(self.acknowledge.len());
        command.arg(text(self.trim_before)).arg(DEAD_LETTERS_KEPT);
        for (_, hash) in &hashes {
            command.arg(hash.drop.len()).arg(2 * hash.set.len());
            for field in &hash.drop {
                command.arg(field);
            }
            for (field, value) in &hash.set {
                command.arg(field).arg(value);
            }
        }
        self.write_rest(&mut command);
        command
    }

    /// The hashes that change, in the order of writing: the states last.
    fn hashes<'a>(&'a self, keys: &'a ShardKeys) -> Vec<(Cow<'a, str>, &'a HashWrite)> {
        let blocks = self.blocks.iter().map(|(span, hash)| (Cow::Owned(keys.history(span)), hash));
        let others = [
            (&keys.inventory, &self.inventory),
            (&keys.attributes, &self.attributes),
            (&keys.index, &self.index),
            (&keys.states, &self.states),
        ];
        let others = others.into_iter().map(|(key, hash)| (Cow::Borrowed(key.as_str()), hash));
        blocks.chain(others).filter(|(_, hash)| !hash.is_empty()).collect()
    }

    fn write_rest(&self, command: &mut Cmd) {
        for field in &self.meta_drop {
            command.arg(field);
        }
        for (field, value) in &self.meta {
            command.arg(field).arg(value);
        }
        for letter in &self.dead {
            command.arg("reason").arg(letter.reason).arg("topic").arg(&letter.topic);
            command.arg("payload").arg(&letter.payload);
            command.arg("received_at").arg(letter.received_at.0);
            command.arg("position").arg(letter.position.to_string());
        }
        for id in &self.acknowledge {
            command.arg(id.to_string());
        }
    }
}

fn text(id: Option<EntryId>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

/// Runs commit calls. Knows the script's digest, and loads it where it is missing.
#[derive(Debug)]
pub struct Committer {
    script: redis::Script,
}

impl Default for Committer {
    fn default() -> Self {
        Self { script: redis::Script::new(SCRIPT) }
    }
}

impl Committer {
    /// Runs one call.
    ///
    /// # Errors
    /// [`Error::Redis`]: whether the call was executed is unknown; run the very same call again.
    pub async fn run(
        &self,
        connection: &mut MultiplexedConnection,
        keys: &ShardKeys,
        fence: &str,
        call: &Call,
    ) -> Result<Verdict, Error> {
        let command = call.command(keys, fence, self.script.get_hash());
        let mut answer: redis::RedisResult<String> = command.query_async(connection).await;
        if answer.as_ref().is_err_and(is_script_missing) {
            redis::cmd("SCRIPT").arg("LOAD").arg(SCRIPT).query_async::<()>(connection).await?;
            answer = command.query_async(connection).await;
        }
        match answer?.as_str() {
            "written" => Ok(Verdict::Written),
            "done" => Ok(Verdict::Done),
            "fenced" => Ok(Verdict::Fenced),
            "conflict" => Ok(Verdict::Conflict),
            "pending" => Ok(Verdict::Pending),
            other => Err(Error::Foreign {
                key: keys.meta.clone(),
                what: format!("the commit script answered {other}"),
            }),
        }
    }
}

fn is_script_missing(error: &redis::RedisError) -> bool {
    error.kind() == redis::ErrorKind::Server(redis::ServerErrorKind::NoScript)
}
