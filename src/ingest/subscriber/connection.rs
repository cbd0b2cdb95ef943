//! One connection to a broker, for as long as the service runs: connects, lives through a
//! session, waits, connects again.

use std::sync::Arc;
use std::time::Duration;

use rumqttc::{ConnectionError, EventLoop, MqttOptions};
use thiserror::Error;
use tokio::select;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::Shared;
use super::session::{self, Session};
use super::status::ConnectionState;
use crate::backoff::Backoff;

/// What we promise the broker, and how often rumqttc pings it.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long connecting, or a single write, may take. Guess.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// What MQTT can send at most (§2.2.3). Anything lower and one larger message would end every
/// connection, because the persistent session brings it back each time.
const PACKET_BYTES_MAX: usize = 268_435_455;
/// A session that lasted so long was a success: the next failure is the first again. Guess.
const STABLE_AFTER: Duration = Duration::from_secs(10);

/// Before the second attempt, at most. Guess.
const RETRY_FIRST: Duration = Duration::from_millis(250);
/// Between any two attempts, at most: a broker that comes back has us within 30 s.
const RETRY_LONGEST: Duration = Duration::from_secs(30);

/// Why a session ended, or never began.
#[derive(Debug, Error)]
pub(super) enum Lost {
    #[error("{0}")]
    Connection(#[from] Box<ConnectionError>),
    #[error("{0}")]
    Protocol(#[from] Box<rumqttc::StateError>),
    #[error("the broker refuses the filter {filter}")]
    FilterRefused { filter: String },
    #[error("the broker answers {answered} of {asked} filters")]
    SubackLength { answered: usize, asked: usize },
    #[error("the broker does not answer SUBSCRIBE")]
    NoSuback,
    #[error("the broker is silent for longer than one and a half keep-alives")]
    Silent,
    #[error("the broker does not take what we write")]
    WriteStalled,
    #[error("the broker sends QoS 2, though at most 1 was asked for")]
    QosTwo,
}

/// One of the connections of a [`super::Subscriber`].
pub(super) struct Connection {
    pub shared: Arc<Shared>,
    pub broker: usize,
    pub number: u16,
    address: String,
}

impl Connection {
    pub fn new(shared: Arc<Shared>, broker: usize, number: u16) -> Self {
        let (host, port) = &shared.config.brokers[broker];
        let address = format!("{host}:{port}");
        Self { shared, broker, number, address }
    }

    /// Connects again and again until `stop`.
    pub async fn live(self, stop: CancellationToken) {
        let mut eventloop = EventLoop::new(self.options(), 1);
        eventloop.network_options.set_tcp_nodelay(true);
        eventloop.network_options.set_connection_timeout(ANSWER_WITHIN.as_secs());
        let mut backoff = Backoff::between(RETRY_FIRST, RETRY_LONGEST);
        loop {
            let lost = match self.connect_and_subscribe(&mut eventloop, &mut backoff, &stop).await {
                Ok(()) => return,
                Err(lost) => lost,
            };
            let wait = backoff.next_wait();
            self.report(&lost, wait);
            select! {
                () = stop.cancelled() => return,
                () = sleep(wait) => {}
            }
        }
    }

    /// One attempt: `Ok` when it was ended by `stop`.
    async fn connect_and_subscribe(
        &self,
        eventloop: &mut EventLoop,
        backoff: &mut Backoff,
        stop: &CancellationToken,
    ) -> Result<(), Lost> {
        select! {
            () = stop.cancelled() => return Ok(()),
            // The only event before the network is there is its CONNACK.
            connected = eventloop.poll() => drop(connected.map_err(Box::new)?),
        }
        let started = Instant::now();
        let ended = Session::new(self, eventloop).live(stop).await;
        if started.elapsed() >= STABLE_AFTER {
            backoff.reset();
        }
        session::clear(eventloop);
        ended
    }

    /// Every filter is granted.
    pub fn report_subscribed(&self) {
        self.set_state(ConnectionState::Subscribed);
        info!(broker = %self.address, connection = self.number, "subscribed");
    }

    fn report(&self, lost: &Lost, wait: Duration) {
        let broker = &self.address;
        let wait_ms = wait.as_millis();
        // The same failure again is no news.
        if self.set_state(ConnectionState::Connecting { why: lost.to_string() }) {
            warn!(%broker, connection = self.number, %lost, wait_ms, "not subscribed");
        } else {
            debug!(%broker, connection = self.number, %lost, wait_ms, "still not subscribed");
        }
    }

    fn set_state(&self, state: ConnectionState) -> bool {
        let mut is_new = false;
        self.shared.status.send_if_modified(|status| {
            is_new = status.set(self.broker, self.number, state);
            is_new
        });
        let subscribed = self.shared.status.borrow().subscribed();
        self.shared.metrics.connections.set(subscribed);
        is_new
    }

    fn options(&self) -> MqttOptions {
        let config = &self.shared.config;
        let (host, port) = &config.brokers[self.broker];
        // rumqttc looks up `host:port`, so an IPv6 address needs its brackets.
        let host = match host.contains(':') && !host.starts_with('[') {
            true => format!("[{host}]"),
            false => host.clone(),
        };
        let client_id = format!("{}-{}-{}", config.client_id, self.broker, self.number);
        let mut options = MqttOptions::new(client_id, host, *port);
        options
            .set_keep_alive(KEEP_ALIVE)
            .set_clean_session(false)
            .set_manual_acks(true)
            .set_max_packet_size(PACKET_BYTES_MAX, PACKET_BYTES_MAX);
        if let Some(credentials) = &config.credentials {
            options.set_credentials(&credentials.username, &credentials.password);
        }
        options
    }

    /// The filters as this broker is asked for them.
    pub fn filters(&self) -> impl Iterator<Item = String> {
        let config = &self.shared.config;
        config.filters.iter().map(|filter| match &config.share {
            Some(group) => format!("$share/{group}/{filter}"),
            None => filter.to_owned(),
        })
    }
}
