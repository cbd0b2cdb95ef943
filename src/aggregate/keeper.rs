//! The task that keeps history within its memory: looks at what all shards keep, and says what
//! must go.
//!
//! Each process that aggregates has one. It evicts nothing itself: only the owner of a shard
//! writes to it, so owners read the cut and do it, each for its own shard. All keepers see the
//! same inventories and so say the same.

use std::sync::Arc;
use std::time::Duration;

use humantime::format_duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::episodes::Episodes;
use super::metrics::KeeperMetrics;
use crate::history::{Budget, Coverage, Cut, Inventory, Share};
use crate::stream::inventory::inventories;
use crate::stream::{Error, Link, ShardKeys};

/// How often the keeper looks. In between history may outgrow its memory by what arrives: at
/// 500,000 readings a second 4 MB. A guess.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Where looking takes long, it takes a twentieth of the time at most.
const REST_PER_LOOK: u32 = 19;

/// Says what must go so that history fits its memory.
#[derive(Debug)]
pub struct Keeper {
    link: Arc<Link>,
    keys: Vec<ShardKeys>,
    budget: Budget,
    metrics: KeeperMetrics,
    episodes: Episodes,
    /// Read by the owners of this process.
    cut: watch::Sender<Cut>,
}

impl Keeper {
    /// Has not looked yet: nothing must go. `keys` are those of all shards.
    #[must_use]
    pub fn new(link: Arc<Link>, keys: Vec<ShardKeys>, budget: Budget) -> Self {
        let (metrics, episodes) = (KeeperMetrics::new(), Episodes::default());
        Self { link, keys, budget, metrics, episodes, cut: watch::Sender::default() }
    }

    /// What must go now, by the last look. Changes when a look says otherwise; once owners have
    /// done it, nothing must go any more.
    pub fn cut(&self) -> watch::Receiver<Cut> {
        self.cut.subscribe()
    }

    /// Looks at once and then again and again until `stop`. While Redis does not answer, what was
    /// said last stays: that goes in any case.
    ///
    /// # Cancel safety
    /// May be dropped anywhere: it changes nothing but what it says.
    pub async fn run(mut self, stop: CancellationToken) {
        let began = Instant::now();
        loop {
            let look_began = Instant::now();
            match stop.run_until_cancelled(self.look(began.elapsed())).await {
                None => return,
                Some(Ok(())) => {}
                // Whoever watches Redis says that it is away.
                Some(Err(error)) => tracing::debug!(%error, "history was not looked at"),
            }
            let rest = LOOK_EVERY.max(look_began.elapsed() * REST_PER_LOOK);
            if stop.run_until_cancelled(sleep(rest)).await.is_none() {
                return;
            }
        }
    }

    async fn look(&mut self, now: Duration) -> Result<(), Error> {
        let stored = inventories(&self.link, &self.keys).await?;
        let all: Vec<Inventory> = stored.into_iter().map(Inventory::parse).collect();
        let cut = self.budget.cut(&all);
        for share in Share::ALL {
            let coverage = Coverage::of(share, &all);
            self.metrics.kept(share, &coverage);
            if cut.before[share.index()].is_some() && self.episodes.begins(share, now) {
                self.say(share, &coverage, cut);
            }
        }
        self.metrics.budget(self.budget);
        self.cut.send_if_modified(|said| std::mem::replace(said, cut) != cut);
        Ok(())
    }

    /// The one line of an episode.
    fn say(&self, share: Share, coverage: &Coverage, cut: Cut) {
        let left =
            cut.before[share.index()].zip(coverage.between).map_or(0, |(cut, (from, to))| {
                u64::try_from(to.0.saturating_sub(cut.0.max(from.0))).unwrap_or(0)
            });
        tracing::warn!(
            share = share.name(),
            bytes = coverage.bytes,
            covered = %format_duration(Duration::from_millis(left)),
            budget_bytes = self.budget.bytes,
            "history has used up its memory: the oldest goes from now on; \
             STREAMGAUGE_HISTORY_BYTES gives it more",
        );
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::history::HOUR_MS;
    use crate::reading::UnixMillis;
    use crate::shard::ShardId;
    use crate::stream::testing::RedisServer;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn what_must_go_is_said_over_all_shards_until_it_is_gone() {
        let redis = RedisServer::start(&[]).await;
        redis.run(&[b"HSET", b"{sg:0}hs", b"h:h7", b"600000 5", b"h:h8", b"600000 5"]).await;
        redis.run(&[b"HSET", b"{sg:1}hs", b"h:h7", b"100000 5", b"broken", b"field"]).await;
        let keys: Vec<_> = (0..2).map(|shard| ShardKeys::new(ShardId(shard))).collect();
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let budget = Budget { bytes: 1 << 20 };
        let make = || Keeper::new(Arc::new(redis.link()), keys, budget);
        let keeper = metrics::with_local_recorder(&recorder, make);
        let mut cut = keeper.cut();
        let stop = CancellationToken::new();
        let running = TaskTracker::new();
        running.spawn(keeper.run(stop.clone()));

        timeout(PATIENCE, cut.changed()).await.unwrap().unwrap();
        assert_eq!(cut.borrow_and_update().before, [Some(UnixMillis(8 * HOUR_MS)), None, None]);

        redis.ask("HDEL {sg:0}hs h:h7").await;
        redis.ask("HDEL {sg:1}hs h:h7").await;
        timeout(PATIENCE, cut.changed()).await.unwrap().unwrap();
        assert_eq!(*cut.borrow(), Cut::default());
        let shown = recorder.handle().render();
        for line in [
            "streamgauge_history_budget_bytes 1048576",
            "streamgauge_history_bytes{share=\"readings\"} 600224",
            "streamgauge_history_bytes{share=\"hours\"} 0",
            "streamgauge_history_oldest_timestamp_seconds{share=\"readings\"} 28800",
        ] {
            assert!(shown.lines().any(|shown| shown == line), "{line} is not in\n{shown}");
        }
        stop.cancel();
        running.close();
        timeout(PATIENCE, running.wait()).await.unwrap();
    }
}
