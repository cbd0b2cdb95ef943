//! Why connections end, and who hears of it.

use std::net::SocketAddr;

use metrics::{Counter, counter, describe_counter};
use thiserror::Error;
use tracing::{debug, info, warn};

use super::greeting::Refused;
use super::inbox::FillError;
use super::scan::Violation;
use crate::ingest::occasionally::Occasionally;

/// Why a connection ended.
#[derive(Debug, Error)]
pub(super) enum End {
    #[error("the client left")]
    Left,
    #[error("the connection broke: {0}")]
    Broken(#[from] std::io::Error),
    #[error("the client sent what it may not send: {0}")]
    Violated(#[from] Violation),
    #[error("the client was refused: {0:?}")]
    Refused(Refused),
    #[error("no CONNECT came in time")]
    NeverConnected,
    #[error("the client was silent for longer than one and a half keep-alives")]
    Silent,
    #[error("another connection has taken the client id")]
    TakenOver,
    #[error("{0}")]
    NoMemory(FillError),
    #[error("the service stops")]
    Stopped,
}

impl From<FillError> for End {
    fn from(error: FillError) -> Self {
        match error {
            FillError::Io(error) => Self::Broken(error),
            FillError::NoMemory { .. } => Self::NoMemory(error),
        }
    }
}

/// The labels of the counter, in the order of [`End::index`].
const REASONS: [&str; 9] = [
    "left",
    "broken",
    "violated",
    "refused",
    "never_connected",
    "silent",
    "taken_over",
    "no_memory",
    "stopped",
];

impl End {
    const fn index(&self) -> usize {
        match self {
            Self::Left => 0,
            Self::Broken(_) => 1,
            Self::Violated(_) => 2,
            Self::Refused(_) => 3,
            Self::NeverConnected => 4,
            Self::Silent => 5,
            Self::TakenOver => 6,
            Self::NoMemory(_) => 7,
            Self::Stopped => 8,
        }
    }

    /// Whether something was written that the peer should get to read before the socket closes.
    pub const fn has_last_words(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Stopped)
    }
}

/// Counts ends and writes the lines that somebody should see. Held by all connections.
pub(super) struct Ends {
    counters: [Counter; REASONS.len()],
    violations: Occasionally,
    qos_two: Occasionally,
    refusals: Occasionally,
    no_memory: Occasionally,
    subscribers: Occasionally,
}

impl Ends {
    pub fn new() -> Self {
        const NAME: &str = "streamgauge_ingest_connections_closed_total";
        describe_counter!(NAME, "Listener connections that ended, by reason");
        Self {
            counters: REASONS.map(|reason| counter!(NAME, "reason" => reason)),
            violations: Occasionally::default(),
            qos_two: Occasionally::default(),
            refusals: Occasionally::default(),
            no_memory: Occasionally::default(),
            subscribers: Occasionally::default(),
        }
    }

    /// A connection has ended.
    pub fn record(&self, end: &End, peer: SocketAddr) {
        self.counters[end.index()].increment(1);
        match end {
            End::Violated(Violation::QosTwo) => {
                if let Some(left_out) = self.qos_two.pass() {
                    warn!(%peer, left_out, "a device publishes with QoS 2: only 0 and 1 are taken");
                }
            }
            End::Violated(violation) => {
                if let Some(left_out) = self.violations.pass() {
                    warn!(%peer, left_out, %violation, "a device breaks the rules of MQTT");
                }
            }
            End::Refused(code) => {
                if let Some(left_out) = self.refusals.pass() {
                    warn!(%peer, left_out, ?code, "a device was refused");
                }
            }
            End::NoMemory(error) => {
                if let Some(left_out) = self.no_memory.pass() {
                    warn!(%peer, left_out, %error, "a device was disconnected");
                }
            }
            End::Left
            | End::Broken(_)
            | End::NeverConnected
            | End::Silent
            | End::TakenOver
            | End::Stopped => debug!(%peer, %end, "a device is gone"),
        }
    }

    /// A client has tried to subscribe.
    pub fn record_subscribe(&self) {
        if let Some(left_out) = self.subscribers.pass() {
            info!(left_out, "a client subscribes: this is no broker, every filter is refused");
        }
    }
}
