//! What an owner asks of Redis beside entries: what is committed, and commits.
//!
//! A connection that failed once is not used again, and nothing is asked twice here: what to do
//! about an answer that did not come is the owner's decision.

use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, Pipeline, ToRedisArgs};

use super::commit::{Call, Committer, HashWrite, Verdict};
use super::connection::Server;
use super::error::Error;
use super::inventory::Fields;
use super::keys::{GROUP, ShardKeys};
use super::meta::Meta;
use super::topics;

/// Fields asked with one HMGET.
const FIELDS_PER_COMMAND: usize = 512;

/// The values of some fields of a hash.
pub type Values = Vec<Option<Vec<u8>>>;

/// The committed side of a shard, as its owner sees it.
pub struct Ledger {
    server: Server,
    keys: ShardKeys,
    fence: String,
    committer: Committer,
    connection: Option<MultiplexedConnection>,
}

impl Ledger {
    /// Not connected yet.
    #[must_use]
    pub fn new(server: Server, keys: ShardKeys, fence: String) -> Self {
        Self { server, keys, fence, committer: Committer::default(), connection: None }
    }

    /// The names of the shard's keys.
    #[must_use]
    pub const fn keys(&self) -> &ShardKeys {
        &self.keys
    }

    /// The `m` hash, with the number of series as it really is, and the fields of the inventory
    /// of history.
    ///
    /// # Errors
    /// [`Error`]: back off and ask again.
    pub async fn begin(&mut self) -> Result<(Meta, Vec<(String, String)>), Error> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("HGETALL").arg(&self.keys.meta).cmd("HLEN").arg(&self.keys.states);
        pipeline.cmd("HGETALL").arg(&self.keys.inventory);
        type Begin = (Vec<(String, String)>, u64, Vec<(String, String)>);
        let (fields, series, inventory): Begin = self.ask(&pipeline).await?;
        Ok((Meta { series, ..Meta::parse(fields) }, inventory))
    }

    /// Fields of hashes of the shard: per key the values in the order of the fields, `None` where
    /// there is none.
    ///
    /// # Errors
    /// [`Error`]: back off and ask again.
    pub async fn fields<F>(&mut self, asked: &[(String, Vec<F>)]) -> Result<Vec<Values>, Error>
    where
        F: ToRedisArgs,
    {
        let mut pipeline = redis::pipe();
        for (key, fields) in asked {
            for fields in fields.chunks(FIELDS_PER_COMMAND) {
                pipeline.cmd("HMGET").arg(key).arg(fields);
            }
        }
        if pipeline.is_empty() {
            return Ok(asked.iter().map(|_| Vec::new()).collect());
        }
        let lists: Vec<Values> = self.ask(&pipeline).await?;
        let mut lists = lists.into_iter();
        let of_key = |(_, fields): &(String, Vec<F>)| {
            lists.by_ref().take(fields.len().div_ceil(FIELDS_PER_COMMAND)).flatten().collect()
        };
        Ok(asked.iter().map(of_key).collect())
    }

    /// The lengths of fields of hashes; 0 where there is none.
    ///
    /// # Errors
    /// [`Error`]: back off and ask again.
    pub async fn lengths(&mut self, fields: &[(String, String)]) -> Result<Vec<u64>, Error> {
        if fields.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = redis::pipe();
        for (key, field) in fields {
            pipeline.cmd("HSTRLEN").arg(key).arg(field);
        }
        self.ask(&pipeline).await
    }

    /// How many entries are pending with anybody.
    ///
    /// # Errors
    /// [`Error`]: back off and ask again.
    pub async fn pending(&mut self) -> Result<u64, Error> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("XPENDING").arg(&self.keys.stream).arg(GROUP);
        let (summary,): (Vec<redis::Value>,) = self.ask(&pipeline).await?;
        match summary.first() {
            Some(redis::Value::Int(count)) => Ok(u64::try_from(*count).unwrap_or(0)),
            Some(_) | None => Err(Error::Foreign {
                key: self.keys.stream.clone(),
                what: "a reply of XPENDING of unknown shape".to_owned(),
            }),
        }
    }

    /// Runs one call of the commit script.
    ///
    /// # Errors
    /// [`Error`]: whether it was executed is unknown; run the very same call again.
    pub async fn commit(&mut self, call: &Call) -> Result<Verdict, Error> {
        let mut connection = self.connect().await?;
        let verdict = self.committer.run(&mut connection, &self.keys, &self.fence, call).await?;
        self.connection = Some(connection);
        Ok(verdict)
    }

    /// What owners saw of the shard's topics.
    ///
    /// # Errors
    /// [`Error`]: back off and ask again.
    pub async fn topics(&mut self) -> Result<Fields, Error> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("HGETALL").arg(&self.keys.topics);
        let (fields,): (Fields,) = self.ask(&pipeline).await?;
        Ok(fields)
    }

    /// Writes what was seen of topics; false when somebody else owns the shard.
    ///
    /// # Errors
    /// [`Error`]: whether it was written is unknown; it may be written again.
    pub async fn write_topics(&mut self, write: &HashWrite) -> Result<bool, Error> {
        let mut connection = self.connect().await?;
        let written = topics::write(&mut connection, &self.keys, &self.fence, write).await?;
        self.connection = Some(connection);
        Ok(written)
    }

    /// Takes the connection out: only one that answered is put back.
    async fn connect(&mut self) -> Result<MultiplexedConnection, Error> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => self.server.connect().await,
        }
    }

    async fn ask<T: FromRedisValue>(&mut self, pipeline: &Pipeline) -> Result<T, Error> {
        let mut connection = self.connect().await?;
        let answer = pipeline.query_async(&mut connection).await?;
        self.connection = Some(connection);
        Ok(answer)
    }
}
