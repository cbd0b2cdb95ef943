//! The task that connects an owner to Redis and the clocks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::fold::FoldConfig;
use super::load::load;
use super::metrics::{EvictionMetrics, OwnerMetrics, TopicMetrics};
use super::owner::{Action, BLOCK_MAX, Ended, Event, Owner};
use super::state::Unreadable;
use super::topics::Topics;
use crate::clock::Clock;
use crate::history::{Cut, Inventory, codec};
use crate::stream::commit::HashWrite;
use crate::stream::{Consumer, Error, Ledger, Server, ShardKeys, random_hex};

/// What every owner of a process needs.
#[derive(Clone, Debug)]
pub struct OwnerContext {
    /// Where Redis is.
    pub server: Server,
    /// The wall clock, for expiry.
    pub clock: Clock,
    /// What folding has to know.
    pub fold: FoldConfig,
    /// How long committed entries stay in the stream.
    pub stream_retention: Duration,
    /// Which spans of history must go for the sake of the budget.
    pub cut: watch::Receiver<Cut>,
    /// Topics that a shard remembers.
    pub topics_max: usize,
}

/// Why an owner cannot go on for now.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    Stream(#[from] Error),
    #[error(transparent)]
    State(#[from] Unreadable),
    #[error(transparent)]
    Block(#[from] codec::Unreadable),
}

struct Task {
    consumer: Consumer,
    ledger: Ledger,
    metrics: OwnerMetrics,
    evictions: EvictionMetrics,
    topics: TopicMetrics,
}

/// Owns a shard under `fence` until somebody else does or `stop` is said. While Redis is away it
/// goes on trying; when it is also asked to stop then, it ends, and what is not committed stays
/// pending for whoever comes next.
pub async fn own(
    context: Arc<OwnerContext>,
    keys: ShardKeys,
    fence: String,
    stop: CancellationToken,
) -> Ended {
    let started = Instant::now();
    let shard = keys.shard.0;
    let mut owner =
        Owner::new(fence.clone(), context.fold.clone(), context.stream_retention, random_hex);
    owner.topics().limit(context.topics_max);
    let mut task = Task {
        consumer: Consumer::new(context.server.clone(), keys.clone(), fence.clone(), BLOCK_MAX),
        ledger: Ledger::new(context.server.clone(), keys, fence),
        metrics: OwnerMetrics::new(),
        evictions: EvictionMetrics::new(),
        topics: TopicMetrics::new(),
    };
    let mut backoff = Server::backoff();
    let mut action = Action::ReadMeta;
    let mut is_stopping = false;
    let cut = context.cut.clone();
    loop {
        owner.cut(*cut.borrow());
        for evicted in owner.take_evicted() {
            task.evictions.evicted(evicted.share, evicted.cause, 1, evicted.bytes);
        }
        if stop.is_cancelled() && !is_stopping {
            is_stopping = true;
            owner.stop(started.elapsed());
        }
        if let Some(write) = owner.topics_due(started.elapsed()) {
            task.write_topics(owner.topics(), &write).await;
        }
        let event = match task.act(action, &mut owner).await {
            Ok(Step::Event(event)) => {
                // Reading `m` and claiming go well again and again where loading a state does not.
                if matches!(event, Event::Read(_) | Event::Verdict(_)) {
                    backoff.reset();
                }
                event
            }
            Ok(Step::End(ended)) => {
                if ended == Ended::Stopped {
                    task.write_all_topics(owner.topics()).await;
                }
                return ended;
            }
            Err(Trouble::Stream(error)) if error.is_group_missing() => {
                tracing::error!(shard, %error, "the shard's stream was removed; beginning anew");
                return Ended::Fenced;
            }
            Err(trouble) => {
                // Once per episode, not once per attempt and shard.
                if backoff.is_fresh() {
                    tracing::warn!(shard, error = %trouble, "cannot aggregate; trying again");
                }
                let wait = backoff.next_wait();
                if tokio::time::timeout(wait, stop.cancelled()).await.is_ok() {
                    return Ended::Fenced;
                }
                Event::Failed
            }
        };
        action = owner.next(event, started.elapsed(), context.clock.now());
    }
}

enum Step {
    Event(Event),
    End(Ended),
}

impl Task {
    async fn act(&mut self, action: Action, owner: &mut Owner) -> Result<Step, Trouble> {
        let event = match action {
            Action::ReadMeta => {
                if !owner.topics().is_loaded() {
                    owner.topics().load(self.ledger.topics().await?);
                    self.topics.begin(owner.topics().left_out());
                }
                let (meta, inventory) = self.ledger.begin().await?;
                Event::Meta(Box::new(meta), Inventory::parse(inventory))
            }
            Action::Claim => {
                let entries = self.consumer.claim_everything().await?;
                self.metrics.claimed.increment(entries.len() as u64);
                Event::Claimed(entries)
            }
            Action::Load(needs) => Event::Loaded(load(&mut self.ledger, &needs).await?),
            Action::Read { count, patience } => {
                let entries = self.consumer.read(count, patience).await?;
                self.metrics.entries.increment(entries.len() as u64);
                Event::Read(entries)
            }
            Action::Rest => {
                tokio::task::yield_now().await;
                Event::Rested
            }
            Action::LookForStrays => Event::Strays(self.ledger.pending().await?),
            Action::Commit => match owner.call() {
                Some(call) => {
                    let before = Instant::now();
                    let verdict = self.ledger.commit(call).await?;
                    self.metrics.answered(verdict, call, before.elapsed());
                    Event::Verdict(verdict)
                }
                None => Event::Failed,
            },
            Action::Refuse(error) => return Err(error.into()),
            Action::End(ended) => return Ok(Step::End(ended)),
        };
        Ok(Step::Event(event))
    }

    /// What is seen of topics is not worth anything else's waiting: where it cannot be written, it
    /// is tried again some time. Whoever watches Redis says that it is away or full.
    async fn write_topics(&mut self, topics: &mut Topics, write: &HashWrite) -> bool {
        self.topics.left_out(topics.left_out());
        let is_written = match self.ledger.write_topics(write).await {
            // The next commit will say that the shard is somebody else's.
            Ok(is_mine) => is_mine,
            Err(error) => {
                tracing::debug!(%error, "what was seen of topics was not written");
                false
            }
        };
        match is_written {
            true => topics.written(write),
            false => topics.failed(),
        }
        is_written
    }

    async fn write_all_topics(&mut self, topics: &mut Topics) {
        while let Some(write) = topics.write() {
            if !self.write_topics(topics, &write).await {
                return;
            }
        }
    }
}
