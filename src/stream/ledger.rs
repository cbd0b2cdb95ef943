//! What an owner asks of Redis beside entries: what is committed, and commits.
//!
//! A connection that failed once is not used again, and nothing is asked twice here: what to do
//! about an answer that did not come is the owner's decision.

use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, Pipeline};

use super::commit::{Call, Committer, Verdict};
use super::connection::Server;
use super::error::Error;
use super::keys::{GROUP, ShardKeys};
use super::meta::Meta;

/// Fields asked with one HMGET.
const FIELDS_PER_COMMAND: usize = 512;

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

    /// The `m` hash, with the number of series as it really is.
    ///
    /// # Errors
    /// [`Error`]: back off and ask again.
    pub async fn meta(&mut self) -> Result<Meta, Error> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("HGETALL").arg(&self.keys.meta).cmd("HLEN").arg(&self.keys.states);
        let (fields, series): (Vec<(String, String)>, u64) = self.ask(&pipeline).await?;
        Ok(Meta { series, ..Meta::parse(fields) })
    }

    /// Packed states by field, `None` where there is none.
    ///
    /// # Errors
    /// [`Error`]: back off and ask again.
    pub async fn states(&mut self, fields: &[Box<[u8]>]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let mut pipeline = redis::pipe();
        for fields in fields.chunks(FIELDS_PER_COMMAND) {
            let command = pipeline.cmd("HMGET").arg(&self.keys.states);
            for field in fields {
                command.arg(&field[..]);
            }
        }
        self.ask_lists(&pipeline).await
    }

    /// The indexes of spans of series, by number: pairs of field and value.
    ///
    /// # Errors
    /// [`Error`]: back off and ask again.
    pub async fn spans(&mut self, series: &[u64]) -> Result<Vec<Vec<(String, String)>>, Error> {
        let mut pipeline = redis::pipe();
        for number in series {
            pipeline.cmd("HGETALL").arg(self.keys.spans(*number));
        }
        self.ask_some(&pipeline).await
    }

    /// The lengths of blocks, by series number and span; 0 where there is none.
    ///
    /// # Errors
    /// [`Error`]: back off and ask again.
    pub async fn lengths(&mut self, blocks: &[(u64, i64)]) -> Result<Vec<u32>, Error> {
        let mut pipeline = redis::pipe();
        for (number, span) in blocks {
            pipeline.cmd("STRLEN").arg(self.keys.block(*number, *span));
        }
        self.ask_some(&pipeline).await
    }

    /// The types of sensors, joined by NUL; `None` for a sensor that is not known.
    ///
    /// # Errors
    /// [`Error`]: back off and ask again.
    pub async fn types(&mut self, sensors: &[Box<str>]) -> Result<Vec<Option<String>>, Error> {
        let mut pipeline = redis::pipe();
        for sensors in sensors.chunks(FIELDS_PER_COMMAND) {
            let command = pipeline.cmd("HMGET").arg(&self.keys.index);
            for sensor in sensors {
                command.arg(&sensor[..]);
            }
        }
        self.ask_lists(&pipeline).await
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

    async fn ask_some<T>(&mut self, pipeline: &Pipeline) -> Result<Vec<T>, Error>
    where
        T: FromRedisValue,
    {
        if pipeline.is_empty() { Ok(Vec::new()) } else { self.ask(pipeline).await }
    }

    async fn ask_lists<T>(&mut self, pipeline: &Pipeline) -> Result<Vec<T>, Error>
    where
        T: FromRedisValue,
    {
        let lists: Vec<Vec<T>> = self.ask_some(pipeline).await?;
        Ok(lists.into_iter().flatten().collect())
    }
}
