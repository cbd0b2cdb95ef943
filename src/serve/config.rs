//! What the room is given: settings, and what other rooms lend it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::watch;

use super::readiness::Readiness;
use crate::clock::Clock;
use crate::history::Budget;
use crate::history::Retentions;
use crate::ingest::TopicFilters;
use crate::payload::NaiveTime;
use crate::stream::{Link, ShardKeys};

/// Who may do what.
#[derive(Clone)]
pub enum AuthMode {
    /// `Authorization: Bearer`, or a session that was opened with the token.
    Token {
        /// The token, given or generated; never logged.
        token: String,
    },
    /// Everybody who reaches the port may do everything.
    None,
}

impl std::fmt::Debug for AuthMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Token { .. } => f.write_str("Token"),
            Self::None => f.write_str("None"),
        }
    }
}

/// The settings of the room.
#[derive(Clone)]
pub struct ServeConfig {
    /// Where to listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// The address people use, as `https://host[:port][/prefix]`; `None`: nobody said.
    pub public_url: Option<String>,
    /// Who may do what.
    pub auth: AuthMode,
    /// Keys the HMAC under which sessions are stored; the same in all `serve` processes.
    pub secret_key: Vec<u8>,
    /// The zone of timestamps that carry none.
    pub naive_time: NaiveTime,
    /// How long history is kept.
    pub retentions: Retentions,
    /// The topics that the doors take in, to say why one is not.
    pub topics: TopicFilters,
    /// Clients over WebSockets and server-sent events at a time; one more is answered 503.
    pub live_clients_max: u64,
    /// How long live clients are waited for.
    pub patience: Patience,
}

/// How long live clients are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// A socket that takes nothing for so long, while there is something for it, is given up.
    pub still_max: Duration,
    /// So often a silent stream says that it lives, and the session is asked for.
    pub check_every: Duration,
    /// So often a WebSocket is pinged, and its session asked for (reliability §5).
    pub ping_every: Duration,
}

impl Default for Patience {
    /// As long as the hub waits for a queue that stands still; and proxies close what is silent,
    /// often after a minute.
    fn default() -> Self {
        Self {
            still_max: Duration::from_secs(10),
            check_every: Duration::from_secs(15),
            ping_every: Duration::from_secs(20),
        }
    }
}

/// The 10,000 clients of design §10 and some; below the 12,288 connections of a process, so that
/// requests are answered however many listen.
pub const LIVE_CLIENTS_MAX: u64 = 12_000;

/// Where devices reach this process's listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerInfo {
    /// Its port.
    pub port: u16,
    /// The user name that devices must give, when they must give one.
    pub username: Option<String>,
}

/// What the other rooms lend.
#[derive(Clone)]
pub struct Deps {
    /// Shared with the rooms that speak short commands to Redis.
    pub link: Arc<Link>,
    /// The shards' keys in ascending order; empty until the data set's number of shards is known.
    pub shards: watch::Receiver<Arc<[ShardKeys]>>,
    /// What history may take; `None` until it is known from the memory of Redis.
    pub budget: watch::Receiver<Option<Budget>>,
    /// The listener of this process; `None` without one, or not bound yet.
    pub listener: watch::Receiver<Option<ListenerInfo>>,
    /// The wall clock.
    pub clock: Clock,
    /// What every part says of itself; the room adds `catalogue`.
    pub readiness: Readiness,
    /// Renders what all rooms measured.
    pub prometheus: PrometheusHandle,
}
