//! The subscriber against a real mosquitto, and against a broker that misbehaves.

mod broker;
mod misbehaviour;
mod probing;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{ConnectionState, Subscriber, SubscriberConfig, SubscriberStatus};
use crate::clock::Clock;
use crate::ingest::TopicFilters;
use crate::ingest::testing::Settler;

const PAYLOAD_BYTES_MAX: usize = 1000;

fn config(broker: (String, u16)) -> SubscriberConfig {
    SubscriberConfig {
        brokers: vec![broker],
        credentials: None,
        filters: TopicFilters::parse("sensors/+/+").unwrap(),
        connections: 1,
        share: None,
        client_id: "streamgauge-test".into(),
        payload_bytes_max: PAYLOAD_BYTES_MAX,
    }
}

/// A subscriber that runs.
struct Running {
    status: watch::Receiver<SubscriberStatus>,
    stop: CancellationToken,
    run: JoinHandle<()>,
}

impl Running {
    fn start(config: SubscriberConfig, settler: &Settler) -> Self {
        let subscriber = Subscriber::new(config);
        let status = subscriber.status();
        let stop = CancellationToken::new();
        let run = subscriber.run(Arc::clone(&settler.intake), Clock::system(), stop.clone());
        Self { status, stop, run: TaskTracker::new().spawn(run) }
    }

    /// Waits until every connection is subscribed.
    async fn ready(&mut self) {
        self.until(SubscriberStatus::is_ready).await;
    }

    /// Waits until the first connection is not subscribed, for a reason with these words.
    async fn lost(&mut self, words: &str) {
        self.until(|status| match &status.connections[0].state {
            ConnectionState::Connecting { why } => why.contains(words),
            ConnectionState::Subscribed => false,
        })
        .await;
    }

    async fn until(&mut self, so: impl FnMut(&SubscriberStatus) -> bool) {
        // Long, because with paused time nothing is waited for in earnest.
        let waited = tokio::time::timeout(Duration::from_secs(100), self.status.wait_for(so)).await;
        waited.expect("a change of status in time").expect("a subscriber that runs");
    }

    /// Stops it in order.
    async fn stop(self) {
        self.stop.cancel();
        self.run.await.unwrap();
    }

    /// Ends it at once, as a crash would.
    async fn crash(self) {
        self.run.abort();
        assert!(self.run.await.unwrap_err().is_cancelled());
    }
}
