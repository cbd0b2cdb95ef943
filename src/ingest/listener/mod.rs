//! The door for devices: a publish-only MQTT 3.1.1 endpoint that acknowledges when a message is
//! safe.
//!
//! A connection's way: [`accept`] seats it, [`connection`] runs it, [`inbox`] holds what it has
//! read, [`scan`] finds the packets, [`packets`] does what they ask, [`greeting`] judges its
//! CONNECT, [`outbox`] holds what it has to say, [`end`] records why it ended.

mod accept;
mod connection;
mod end;
mod greeting;
mod inbox;
mod outbox;
mod packets;
mod registry;
mod scan;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::Notify;

pub use accept::Listener;

use super::metrics::Metrics;
use super::{Credentials, Intake, TopicFilters};
use crate::clock::Clock;

/// What the listener needs to know.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// Where to listen; port 0 lets the system choose.
    pub address: SocketAddr,
    /// Topics that are taken in; any other is refused as `topic_not_accepted`.
    pub filters: TopicFilters,
    /// What devices must show; `None` lets everybody in.
    pub credentials: Option<Credentials>,
    /// A longer payload is refused as `too_large`; up to the 256 MiB of MQTT it is read and
    /// thrown away but for its first 512 bytes.
    pub payload_bytes_max: usize,
}

/// What all connections of a listener share.
struct Shared {
    filters: TopicFilters,
    credentials: Option<Credentials>,
    payload_bytes_max: usize,
    intake: Arc<Intake>,
    clock: Clock,
    metrics: Metrics,
    budget: Arc<inbox::Budget>,
    ends: end::Ends,
    /// Who is woken when QoS 0 messages are safe.
    nobody: Arc<Notify>,
}

impl Shared {
    fn new(config: ListenerConfig, intake: Arc<Intake>, clock: Clock, metrics: Metrics) -> Self {
        Self {
            filters: config.filters,
            credentials: config.credentials,
            payload_bytes_max: config.payload_bytes_max,
            intake,
            clock,
            metrics,
            budget: Arc::new(inbox::Budget::new(inbox::BUDGET_BYTES)),
            ends: end::Ends::new(),
            nobody: Arc::default(),
        }
    }
}
