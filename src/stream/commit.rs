//! One call of the commit script: what is written together, and what the script answers.
//!
//! A batch may take several calls. Each carries whole series, so that a series' history and its
//! state never part; only the last carries positions, totals and acknowledgements.

use std::collections::{BTreeMap, BTreeSet};

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
    /// A history block is shorter than recorded: load the state again, fold again.
    Reload,
}

/// Bytes to be written into a history block.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockWrite {
    /// Which span of the series.
    pub span: i64,
    /// Where they go: what the block is long before.
    pub offset: u32,
    /// Whole readings.
    pub bytes: Vec<u8>,
    /// When the block may go; `None` when that was said before and has not changed.
    pub expires_at: Option<UnixMillis>,
}

/// Changes to the index of a series' spans.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpansWrite {
    /// Span and what the index says of it.
    pub set: BTreeMap<i64, String>,
    /// Spans whose blocks have expired.
    pub drop: BTreeSet<i64>,
    /// When the whole index may go.
    pub expires_at: UnixMillis,
}

impl SpansWrite {
    /// Records what the index is to say of a span, also of one that was to be dropped.
    pub fn note(&mut self, span: i64, value: String, expires_at: UnixMillis) {
        self.drop.remove(&span);
        self.set.insert(span, value);
        self.expires_at = self.expires_at.max(expires_at);
    }
}

/// Everything that is written of a series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeriesWrite {
    /// The series' number.
    pub number: u64,
    /// Its field in the states.
    pub field: Vec<u8>,
    /// Its packed state.
    pub state: Vec<u8>,
    /// New readings.
    pub blocks: Vec<BlockWrite>,
    /// Set when the index changes.
    pub spans: Option<SpansWrite>,
    /// Set when they change: JSON.
    pub attributes: Option<String>,
    /// Set for the last new series of a sensor in a call: sensor id and all its types, joined by
    /// NUL.
    pub index: Option<(Box<str>, String)>,
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
    /// Series, at most [`SERIES_PER_CALL_MAX`].
    pub series: Vec<SeriesWrite>,
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
    /// The command for a shard whose owner holds `fence`.
    #[must_use]
    pub fn command(&self, keys: &ShardKeys, fence: &str, sha: &str) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        let blocks = || self.series.iter().flat_map(|it| it.blocks.iter().map(move |b| (it, b)));
        let spans = || self.series.iter().filter_map(|it| it.spans.as_ref().map(|s| (it, s)));
        command.arg(sha).arg(6 + blocks().count() + spans().count());
        for key in [
            &keys.meta,
            &keys.stream,
            &keys.states,
            &keys.index,
            &keys.attributes,
            &keys.dead_letters,
        ] {
            command.arg(key);
        }
        for (series, block) in blocks() {
            command.arg(keys.block(series.number, block.span));
        }
        for (series, _) in spans() {
            command.arg(keys.spans(series.number));
        }
        command.arg(fence).arg(&self.token).arg(&self.before).arg(text(self.oldest));
        command.arg(blocks().count()).arg(spans().count());
        self.write_counts(&mut command);
        for (_, block) in blocks() {
            command.arg(block.offset).arg(&block.bytes);
            command.arg(block.expires_at.map(|at| at.0.to_string()).unwrap_or_default());
        }
        for (_, index) in spans() {
            command.arg(index.expires_at.0).arg(2 * index.set.len()).arg(index.drop.len());
            for (span, value) in &index.set {
                command.arg(*span).arg(value);
            }
            for span in &index.drop {
                command.arg(*span);
            }
        }
        self.write_values(&mut command);
        command
    }

    fn write_counts(&self, command: &mut Cmd) {
        let count = |has: fn(&SeriesWrite) -> bool| self.series.iter().filter(|it| has(it)).count();
        command.arg(2 * self.series.len());
        command.arg(2 * count(|it| it.index.is_some()));
        command.arg(2 * count(|it| it.attributes.is_some()));
        command.arg(2 * self.meta.len()).arg(self.meta_drop.len());
        command.arg(10 * self.dead.len()).arg(self.acknowledge.len());
        command.arg(text(self.trim_before)).arg(DEAD_LETTERS_KEPT);
    }

    fn write_values(&self, command: &mut Cmd) {
        for series in &self.series {
            command.arg(&series.field).arg(&series.state);
        }
        for (id, types) in self.series.iter().filter_map(|it| it.index.as_ref()) {
            command.arg(id.as_bytes()).arg(types);
        }
        for series in &self.series {
            if let Some(attributes) = &series.attributes {
                command.arg(series.number).arg(attributes);
            }
        }
        for (field, value) in &self.meta {
            command.arg(field).arg(value);
        }
        for field in &self.meta_drop {
            command.arg(field);
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
            "reload" => Ok(Verdict::Reload),
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
