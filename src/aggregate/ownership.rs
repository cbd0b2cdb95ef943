//! The task that keeps this process among the living, and its shards owned.
//!
//! About once a second it raises its counter, looks at everybody's, and does what
//! [`super::shares`] plans. Nothing here is needed for safety: whoever is wrong about who lives
//! finds the fence changed when it commits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::owner::Ended;
use super::shares::{Held, Step, View, plan};
use crate::shard::ShardId;
use crate::stream::nodes::{BEAT, DEAD_AFTER, Nodes, beat, leave};
use crate::stream::ownership::{Claim, claim, holders, release};
use crate::stream::{Dataset, Error, Fence, Holder, Link, Liveness, NodeId, ShardKeys};

/// How long giving a shard back may take while stopping. A guess: Redis answers in milliseconds,
/// and a shard that is not given back is taken over three seconds later.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// Who this process is.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name, the same after a restart in the same data directory.
    pub node: NodeId,
    /// Its roles as a comma list, `aggregate` among them.
    pub roles: String,
}

/// How fast the living are told from the dead.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Between two beats.
    pub beat: Duration,
    /// How long a counter stands still before its node is dead.
    pub dead_after: Duration,
}

impl Default for Pace {
    /// As design §5 says.
    fn default() -> Self {
        Self { beat: BEAT, dead_after: DEAD_AFTER }
    }
}

/// Owns shards for this process. `O` starts the owner of one shard: it folds until the token is
/// cancelled or the fence is lost.
#[derive(Debug)]
pub struct Ownership<O> {
    link: Arc<Link>,
    member: Member,
    dataset: Dataset,
    keys: Vec<ShardKeys>,
    pace: Pace,
    owner: O,
    /// Read by whoever answers whether the process is ready.
    all_owned: watch::Sender<bool>,
    liveness: Liveness,
    counter: u64,
    held: BTreeMap<ShardId, Owning>,
    tasks: JoinSet<Ended>,
    /// The last round got its answers; so that a failure is logged once.
    answered: bool,
}

/// A running owner.
#[derive(Debug)]
struct Owning {
    held: Held,
    stop: CancellationToken,
    task: Id,
}

impl Owning {
    fn end(&mut self) {
        self.held.is_leaving = true;
        self.stop.cancel();
    }
}

impl<O, F> Ownership<O>
where
    O: Fn(ShardKeys, Fence, CancellationToken) -> F,
    F: Future<Output = Ended> + Send + 'static,
{
    /// Owns nothing yet.
    pub fn new(link: Arc<Link>, member: Member, dataset: Dataset, owner: O) -> Self {
        let keys = dataset.shards.ids().map(ShardKeys::new).collect();
        let pace = Pace::default();
        Self {
            link,
            member,
            dataset,
            keys,
            pace,
            owner,
            all_owned: watch::Sender::new(false),
            liveness: Liveness::new(pace.dead_after),
            counter: 0,
            held: BTreeMap::new(),
            tasks: JoinSet::new(),
            answered: true,
        }
    }

    /// Another pace than the product's.
    #[must_use]
    pub fn with_pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self.liveness = Liveness::new(pace.dead_after);
        self
    }

    /// Whether every shard has an owner that is not known to be dead, here or elsewhere; false
    /// while Redis does not answer.
    pub fn all_owned(&self) -> watch::Receiver<bool> {
        self.all_owned.subscribe()
    }

    /// Owns shards until `stop`; then ends their owners, gives the shards back and takes this
    /// node off the list. The first claims are made at once.
    ///
    /// # Cancel safety
    /// Dropping it ends the owners where they are, and gives nothing back: as a crash does.
    pub async fn run(mut self, stop: CancellationToken) {
        let began = Instant::now();
        let mut ticks = interval(self.pace.beat);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = self.tasks.join_next_with_id() => {
                    // What is not given back shows as this node's in the next round.
                    self.settle(ended).await;
                }
                _ = ticks.tick() => {
                    let round = self.round(began.elapsed());
                    if stop.run_until_cancelled(round).await.is_none() {
                        break;
                    }
                }
            }
        }
        self.drain().await;
    }

    async fn round(&mut self, now: Duration) {
        let done = self.try_round(now).await;
        match &done {
            Ok(()) if !self.answered => tracing::info!("redis answers again; shards are kept"),
            Err(error) if self.answered => {
                tracing::warn!(%error, "cannot see who owns the shards; trying every second");
            }
            Ok(()) | Err(_) => {}
        }
        self.answered = done.is_ok();
        if !self.answered {
            self.all_owned.send_replace(false);
        }
    }

    /// Whatever fails here is seen again in the next round: also a claim whose reply was lost
    /// then shows this node as the owner of a shard it does not fold, and is made again.
    async fn try_round(&mut self, now: Duration) -> Result<(), Error> {
        self.counter += 1;
        let Member { node, roles } = &self.member;
        let nodes = beat(&self.link, node, self.counter, roles).await?;
        let mut holders = holders(&self.link, &self.keys).await?;
        self.liveness.observe(now, &nodes, holders.iter().flatten().map(|it| &it.owner));
        // A shard without an owner may be all that is left of a data set that was there.
        if holders.iter().any(Option::is_none) && self.dataset.renew(&self.link).await? {
            let generation = &self.dataset.generation;
            tracing::error!(generation, "the data set in redis was lost; going on with a new one");
        }
        let steps = plan(&View {
            node: &self.member.node,
            holders: &holders,
            held: self.held.iter().map(|(shard, owning)| (*shard, &owning.held)).collect(),
            aggregators: self.liveness.aggregators(),
            dead: self.liveness.dead().collect(),
        });
        for step in steps {
            self.take(step, &mut holders).await?;
        }
        self.forget(&nodes, &holders).await?;
        let lives = |holder: &Holder| !self.liveness.is_dead(&holder.owner);
        let all_owned = holders.iter().all(|holder| holder.as_ref().is_some_and(lives));
        self.all_owned.send_replace(all_owned);
        Ok(())
    }

    async fn take(&mut self, step: Step, holders: &mut [Option<Holder>]) -> Result<(), Error> {
        match step {
            Step::Abandon(shard) | Step::HandOver(shard) => {
                tracing::info!(shard = shard.0, ?step, "ending the owner of a shard");
                if let Some(owning) = self.held.get_mut(&shard) {
                    owning.end();
                }
            }
            Step::Claim(shard, seen) => {
                let (keys, fence) = (&self.keys[shard.index()], Fence::random());
                let said = Claim {
                    seen: seen.as_ref(),
                    new: &fence,
                    node: &self.member.node,
                    generation: &self.dataset.generation,
                };
                if claim(&self.link, keys, said).await? {
                    tracing::info!(shard = shard.0, "owns a shard");
                    let owner = self.member.node.clone();
                    holders[shard.index()] = Some(Holder { fence: fence.clone(), owner });
                    self.start(shard, fence);
                }
            }
        }
        Ok(())
    }

    fn start(&mut self, shard: ShardId, fence: Fence) {
        let stop = CancellationToken::new();
        let keys = self.keys[shard.index()].clone();
        let task = self.tasks.spawn((self.owner)(keys, fence.clone(), stop.clone())).id();
        self.held.insert(shard, Owning { held: Held { fence, is_leaving: false }, stop, task });
        self.count();
    }

    /// Dead nodes that own nothing any more go from the list.
    async fn forget(&self, nodes: &Nodes, holders: &[Option<Holder>]) -> Result<(), Error> {
        let owners: BTreeSet<_> = holders.iter().flatten().map(|holder| &holder.owner).collect();
        for dead in self.liveness.dead() {
            if nodes.contains_key(dead) && !owners.contains(dead) {
                tracing::info!(node = %dead, "a node is dead and owns nothing; forgetting it");
                leave(&self.link, dead).await?;
            }
        }
        Ok(())
    }

    /// An owner has ended; gives its shard back when it may be, and says whether Redis answered.
    async fn settle(&mut self, ended: Result<(Id, Ended), JoinError>) -> bool {
        let (task, ended) = match ended {
            Ok((task, ended)) => (task, Some(ended)),
            Err(error) => {
                tracing::error!(%error, "an owner of a shard failed; the shard is claimed anew");
                (error.id(), None)
            }
        };
        let found = self.held.iter().find(|(_, owning)| owning.task == task);
        let Some(shard) = found.map(|(shard, _)| *shard) else { return true };
        let Some(Owning { held, .. }) = self.held.remove(&shard) else { return true };
        self.count();
        match ended {
            Some(Ended::Stopped) => self.give_back(shard, &held.fence).await,
            Some(Ended::Fenced) | None => true,
        }
    }

    async fn give_back(&self, shard: ShardId, fence: &Fence) -> bool {
        let releasing = release(&self.link, &self.keys[shard.index()], fence);
        match timeout(RELEASE_TIMEOUT, releasing).await {
            Ok(Ok(released)) => {
                tracing::info!(shard = shard.0, released, "the owner of a shard has ended");
                true
            }
            Ok(Err(error)) => {
                tracing::warn!(shard = shard.0, %error, "could not give a shard back");
                false
            }
            Err(_elapsed) => {
                tracing::warn!(shard = shard.0, "could not give a shard back in time");
                false
            }
        }
    }

    /// Ends every owner. Once Redis does not answer any more, the rest is left to be taken over.
    async fn drain(mut self) {
        self.all_owned.send_replace(false);
        for owning in self.held.values_mut() {
            owning.end();
        }
        let mut answers = true;
        while let Some(ended) = self.tasks.join_next_with_id().await {
            if answers {
                answers = self.settle(ended).await;
            }
        }
        if answers {
            let leaving = timeout(RELEASE_TIMEOUT, leave(&self.link, &self.member.node));
            if !matches!(leaving.await, Ok(Ok(()))) {
                tracing::warn!("could not take this node off the list of nodes");
            }
        }
    }

    fn count(&self) {
        #[expect(clippy::cast_precision_loss, reason = "at most 1,024 shards")]
        metrics::gauge!("streamgauge_shards_owned").set(self.held.len() as f64);
    }
}

#[cfg(test)]
mod tests;
