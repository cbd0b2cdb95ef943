//! The task that connects the intake, the producer and Redis.
//!
//! One pipeline is on its way at a time. While it is, messages gather in the intake, so the next
//! pipeline is as large as the last one took long: natural batching, and one fsync for all
//! shards.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::streams::StreamRangeReply;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::connection::Server;
use super::entry::{Header, ProducerId};
use super::error::Error;
use super::keys::ShardKeys;
use super::metrics::ProducerMetrics;
use super::producer::Producer;
use super::random::random_u64;
use crate::backoff::Backoff;
use crate::ingest::Intake;
use crate::shard::ShardId;

/// How many of the newest entries are searched for our own before the committed number is asked:
/// other producers' entries may stand behind it.
const SURVIVORS_SEARCHED: usize = 8;
/// How long to wait after Redis refused a write (full, loading, read-only). A guess.
const REFUSED_WAIT: Duration = Duration::from_millis(200);

/// Writes what the intake holds.
pub struct Writer {
    server: Server,
    intake: Arc<Intake>,
    producer: Producer,
    started: Instant,
    /// Whether Redis refused something the last time: so that it is said once per episode.
    is_refused: bool,
    metrics: ProducerMetrics,
}

impl Writer {
    /// One that has written nothing yet.
    #[must_use]
    pub fn new(server: Server, intake: Arc<Intake>, keys: Vec<ShardKeys>) -> Self {
        Self {
            server,
            intake,
            producer: Producer::new(keys, fresh_id),
            started: Instant::now(),
            is_refused: false,
            metrics: ProducerMetrics::new(),
        }
    }

    /// Writes until `stop` is said and everything offered before is safe. The doors must have
    /// closed before `stop` is said. While Redis is away it goes on trying.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Server::backoff();
        while !self.is_done(&stop) {
            let error = match self.connected(&stop, &mut backoff).await {
                Ok(()) => return,
                Err(error) => error,
            };
            if backoff.is_fresh() {
                tracing::warn!(%error, "cannot write to Redis; trying again");
            }
            sleep(backoff.next_wait()).await;
        }
    }

    fn is_done(&self, stop: &CancellationToken) -> bool {
        stop.is_cancelled() && self.producer.is_settled() && self.intake.waiting_messages() == 0
    }

    async fn connected(
        &mut self,
        stop: &CancellationToken,
        backoff: &mut Backoff,
    ) -> Result<(), Error> {
        let mut connection = self.server.connect().await?;
        self.ask_what_survived(&mut connection).await?;
        loop {
            self.freeze_what_waits();
            if self.producer.is_settled() {
                if stop.is_cancelled() {
                    return Ok(());
                }
                tokio::select! {
                    () = self.intake.filled() => {}
                    () = stop.cancelled() => {}
                }
                continue;
            }
            if self.send(&mut connection).await? {
                backoff.reset();
            } else {
                sleep(REFUSED_WAIT).await;
            }
        }
    }

    fn freeze_what_waits(&mut self) {
        let now = self.started.elapsed();
        let idle: Vec<ShardId> = self.producer.idle().collect();
        for shard in idle {
            if let Some(lot) = self.intake.take(shard) {
                self.producer.freeze(shard, lot, fresh_id(), now);
            }
        }
    }

    /// Sends everything unsettled; `false` when some of it was refused and has to wait.
    async fn send(&mut self, connection: &mut MultiplexedConnection) -> Result<bool, Error> {
        let mut pipeline = redis::pipe();
        let mut shards = Vec::new();
        for (shard, xadd) in self.producer.unsettled() {
            pipeline.add_command(xadd.clone());
            shards.push(shard);
        }
        pipeline.ignore_errors();
        let replies: Vec<redis::RedisResult<redis::Value>> =
            pipeline.query_async(connection).await?;
        let mut all_taken = true;
        for (shard, reply) in shards.into_iter().zip(replies) {
            match reply {
                Ok(_) => self.settle(shard),
                Err(error) => {
                    if !std::mem::replace(&mut self.is_refused, true) {
                        tracing::warn!(%error, "Redis refused to store messages; trying again");
                    }
                    self.metrics.refused.increment(1);
                    all_taken = false;
                }
            }
        }
        if all_taken && std::mem::take(&mut self.is_refused) {
            tracing::info!("Redis stores messages again");
        }
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a double")]
        self.metrics.waiting.set(self.intake.waiting_messages() as f64);
        Ok(all_taken)
    }

    fn settle(&mut self, shard: ShardId) {
        if let Some(lot) = self.producer.settled(shard) {
            self.metrics.entries.increment(1);
            self.metrics.messages.increment(lot.len() as u64);
            self.intake.settle(shard, lot);
        }
    }

    async fn ask_what_survived(
        &mut self,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), Error> {
        for (keys, id) in self.producer.unknown() {
            let number = match newest_in_stream(connection, &keys, id).await? {
                Some(number) => number,
                None => newest_committed(connection, &keys, id).await?,
            };
            let now = self.started.elapsed();
            if let Some(lot) = self.producer.survived(keys.shard, number, fresh_id(), now) {
                self.metrics.entries.increment(1);
                self.metrics.messages.increment(lot.len() as u64);
                self.intake.settle(keys.shard, lot);
            } else {
                self.metrics.resent.increment(1);
            }
        }
        Ok(())
    }
}

fn fresh_id() -> ProducerId {
    ProducerId(random_u64())
}

/// The number of the newest entry of a producer among the newest of the stream.
async fn newest_in_stream(
    connection: &mut MultiplexedConnection,
    keys: &ShardKeys,
    id: ProducerId,
) -> Result<Option<u64>, Error> {
    let newest: StreamRangeReply = redis::cmd("XREVRANGE")
        .arg(&keys.stream)
        .arg("+")
        .arg("-")
        .arg("COUNT")
        .arg(SURVIVORS_SEARCHED)
        .query_async(connection)
        .await?;
    let header = |entry: &redis::streams::StreamId| match entry.map.get("@") {
        Some(redis::Value::BulkString(header)) => Header::parse(header),
        Some(_) | None => None,
    };
    let ours = newest.ids.iter().filter_map(header).find(|header| header.producer == id);
    Ok(ours.map(|header| header.number))
}

/// The last number of a producer that was committed; 0 when none was.
async fn newest_committed(
    connection: &mut MultiplexedConnection,
    keys: &ShardKeys,
    id: ProducerId,
) -> Result<u64, Error> {
    let mark: Option<String> =
        redis::cmd("HGET").arg(&keys.meta).arg(format!("p:{id}")).query_async(connection).await?;
    let number = mark.as_deref().and_then(|mark| mark.split(' ').next()?.parse().ok());
    Ok(number.unwrap_or(0))
}
