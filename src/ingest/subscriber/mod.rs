//! The door to a broker: subscribes with QoS 1 and acknowledges when a message is safe.
//!
//! Every broker has a set of connections of its own. A connection's way: [`connection`] keeps it
//! alive over failures with a back-off, [`session`] is the time between one CONNACK and the end
//! of that connection, [`delivery`] takes in what the broker delivers. [`status`] says how each is
//! doing.

mod connection;
mod delivery;
mod session;
mod status;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::select;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;

use self::connection::Connection;
pub use self::status::{ConnectionState, ConnectionStatus, SubscriberStatus};
use super::metrics::{Door, Metrics};
use super::{Credentials, Intake, TopicFilters};
use crate::clock::Clock;

/// The `$share` group of several connections when none is named: without a group each of them
/// would be sent every message.
const SHARE_DEFAULT: &str = "streamgauge";

/// What the subscriber needs to know.
#[derive(Clone, Debug)]
pub struct SubscriberConfig {
    /// Host and port of each broker; each gets its own connections.
    pub brokers: Vec<(String, u16)>,
    /// What the brokers are shown; `None` for nothing.
    pub credentials: Option<Credentials>,
    /// What is subscribed to.
    pub filters: TopicFilters,
    /// Parallel connections to each broker, at least 1. Several share the messages among
    /// themselves in a `$share` group.
    pub connections: u16,
    /// The `$share` group; `None` for none, or `streamgauge` with several connections.
    pub share: Option<String>,
    /// The stable beginning of the client ids: under them the broker keeps what it could not
    /// deliver. Unique among all clients of the broker.
    pub client_id: String,
    /// A longer payload is refused as `too_large`.
    pub payload_bytes_max: usize,
}

/// The connections to the brokers, not made yet.
#[derive(Debug)]
pub struct Subscriber {
    config: SubscriberConfig,
    status: watch::Sender<SubscriberStatus>,
}

/// What all connections share.
struct Shared {
    config: SubscriberConfig,
    intake: Arc<Intake>,
    clock: Clock,
    metrics: Metrics,
    status: watch::Sender<SubscriberStatus>,
}

impl Subscriber {
    /// Prepares the connections.
    #[must_use]
    pub fn new(mut config: SubscriberConfig) -> Self {
        config.connections = config.connections.max(1);
        if config.connections > 1 && config.share.is_none() {
            config.share = Some(SHARE_DEFAULT.to_owned());
        }
        let brokers = config.brokers.iter().map(|(host, port)| format!("{host}:{port}"));
        let status = SubscriberStatus::connecting(brokers, config.connections);
        Self { config, status: watch::Sender::new(status) }
    }

    /// How the connections are doing, now and whenever that changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<SubscriberStatus> {
        self.status.subscribe()
    }

    /// Connects, subscribes and takes in until `stop`; a broker that is down is tried again for
    /// ever. On `stop` it reads no more, waits until everything that was taken in is settled,
    /// acknowledges it, and disconnects; the broker keeps the sessions.
    ///
    /// # Cancel safety
    /// Dropped, it ends the connections without waiting: for a caller with a deadline.
    pub async fn run(self, intake: Arc<Intake>, clock: Clock, stop: CancellationToken) {
        let Self { config, status } = self;
        let metrics = Metrics::new(Door::Subscriber);
        metrics.connections.set(0.0);
        announce(&config);
        let shared = Arc::new(Shared { config, intake, clock, metrics, status });
        let abort = CancellationToken::new();
        let abort_on_drop = abort.clone().drop_guard();
        let tracker = TaskTracker::new();
        for broker in 0..shared.config.brokers.len() {
            for number in 0..shared.config.connections {
                let connection = Connection::new(Arc::clone(&shared), broker, number);
                let (stop, abort) = (stop.clone(), abort.clone());
                tracker.spawn(async move {
                    select! {
                        () = abort.cancelled() => {}
                        () = connection.live(stop) => {}
                    }
                });
            }
        }
        tracker.close();
        tracker.wait().await;
        drop(abort_on_drop);
    }
}

fn announce(config: &SubscriberConfig) {
    let connections = config.connections;
    let share = config.share.as_deref().unwrap_or("none");
    info!(filters = %config.filters, connections, share, "subscribing");
    // mosquitto sends 20 messages ahead of the acknowledgements; with one fsync of 5 ms before
    // each of them that is 4,000 a second.
    let ceiling = u32::from(connections) * 20 * 200;
    info!(
        "a broker's in-flight window limits QoS 1: with mosquitto's default \
         (max_inflight_messages 20) and 5 ms to disk to about {ceiling} messages/s; \
         raise it there, or use more connections"
    );
}
