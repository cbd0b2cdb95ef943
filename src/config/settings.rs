//! The effective settings, as types.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::sources::Origin;
use crate::history::Retentions;
use crate::ingest::{Credentials, TopicFilters};
use crate::payload::NaiveTime;
use crate::shard::ShardCount;

/// Everything that was decided before the first socket opens. Only the application, which
/// builds the rooms from it, and the commands hold it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Brokers to subscribe to; empty when none was given (design §3 says what then happens).
    pub brokers: Vec<Broker>,
    /// For the brokers, and required from devices by the listener. The password is empty when a
    /// broker takes a name alone.
    pub mqtt_credentials: Option<Credentials>,
    /// Topics that the doors take in.
    pub topics: TopicFilters,
    /// `None`: a supervised child.
    pub redis: Option<RedisTarget>,
    /// `None`: generated and kept in the data directory.
    pub secret_key: Option<Secret>,
    /// HTTP port.
    pub port: u16,
    /// HTTP address.
    pub bind: IpAddr,
    /// The address people use.
    pub public_url: Option<PublicUrl>,
    /// The listener.
    pub mqtt_listen: MqttListen,
    /// Accept devices without credentials beyond loopback.
    pub mqtt_anonymous: bool,
    /// Where the supervised Redis and generated secrets live.
    pub data_dir: PathBuf,
    /// `maxmemory` of the supervised Redis.
    pub redis_memory: RedisMemory,
    /// What this process does.
    pub roles: Roles,
    /// `None` adopts the stored number.
    pub shards: Option<ShardCount>,
    /// `None`: disk when Redis can, else memory.
    pub durability: Option<Durability>,
    /// Parallel connections to each broker, at least one.
    pub mqtt_connections: u16,
    /// Group of a shared subscription.
    pub mqtt_share: Option<String>,
    /// Zone of timestamps that carry none.
    pub naive_time: NaiveTime,
    /// How long raw readings are kept.
    pub readings_retention: Duration,
    /// How long windows are kept.
    pub rollup_retention: RollupRetention,
    /// Memory for history in bytes; `None`: it follows from what Redis may use.
    pub history_bytes: Option<u64>,
    /// How long committed entries stay in the streams.
    pub stream_retention: Duration,
    /// Series beyond this are counted as overflow.
    pub max_sensors: u64,
    /// Larger payloads become dead letters; bytes.
    pub max_payload_bytes: usize,
    /// Who may use HTTP.
    pub auth: Auth,
    /// `None`: generated and kept in the data directory.
    pub api_token: Option<Secret>,
    /// Filter for `tracing`.
    pub log: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// How many sensors to simulate beside everything else.
    pub simulate: Option<u32>,
    /// What to say once the log is open: names that are ignored, values without effect.
    pub warnings: Vec<String>,
    /// Every variable as it took effect, for `streamgauge config`.
    pub effective: Vec<Effective>,
}

impl Settings {
    /// Whether anything is kept in the data directory. It stays untouched when Redis is another's
    /// and both generated secrets are given.
    #[must_use]
    pub fn uses_data_dir(&self) -> bool {
        self.redis.is_none() || self.secret_key.is_none() || self.api_token.is_none()
    }

    /// How long each share of history is kept.
    #[must_use]
    pub const fn retentions(&self) -> Retentions {
        let RollupRetention { minutes, hours } = self.rollup_retention;
        Retentions { readings: self.readings_retention, minutes, hours }
    }
}

/// One variable as it took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// The variable.
    pub name: &'static str,
    /// Its value; secrets are masked.
    pub value: String,
    /// Who said so.
    pub origin: Origin,
}

/// Where a broker is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Name or address, IPv6 without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Text that is never printed by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself: for comparing, keying, sending; never for a log.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A Redis that somebody else runs.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisTarget {
    url: String,
}

impl RedisTarget {
    pub(super) fn new(url: &str) -> Self {
        Self { url: url.to_owned() }
    }

    /// The address with its password: for connecting, never for a log.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// Without the password.
impl fmt::Display for RedisTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&super::error::shown(super::table::Kind::Private, &self.url))
    }
}

impl fmt::Debug for RedisTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The address people use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    /// Over TLS.
    pub https: bool,
    /// Lower case; IPv6 in brackets.
    pub host: String,
    /// `None`: that of the scheme.
    pub port: Option<u16>,
    /// Prefix of all paths: empty, or `/…` without a slash at its end.
    pub path: String,
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.https { "https" } else { "http" }, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(&self.path)
    }
}

/// Where devices connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MqttListen {
    /// Nobody said: design §3 decides at the start.
    Unset,
    /// Nowhere.
    Off,
    /// Here, or not at all.
    Address(SocketAddr),
}

/// How much memory the supervised Redis may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedisMemory {
    /// So many bytes.
    Bytes(u64),
    /// So much of the machine's or the cgroup's memory, 1–100.
    Percent(u8),
}

/// How long windows are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RollupRetention {
    /// Those of a minute.
    pub minutes: Duration,
    /// Those of an hour.
    pub hours: Duration,
}

impl Default for RollupRetention {
    /// A week of minutes, and 400 days of hours: a year and the month to compare with.
    fn default() -> Self {
        let days = |days: u64| Duration::from_hours(days * 24);
        Self { minutes: days(7), hours: days(400) }
    }
}

/// What a process does; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// Takes messages.
    pub ingest: bool,
    /// Folds entries.
    pub aggregate: bool,
    /// Answers HTTP.
    pub serve: bool,
}

impl Roles {
    /// Every role.
    pub const ALL: Self = Self { ingest: true, aggregate: true, serve: true };
}

/// What a PUBACK promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Redis replied.
    Memory,
    /// It is fsynced.
    Disk,
}

/// Who may use HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Who holds the token.
    Token,
    /// Everybody who can connect.
    None,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}
