//! MQTT in, messages out: the two doors, and the queue behind them.
//!
//! In: MQTT from devices (the listener) and from a broker (the subscriber). Out: messages in the
//! [`Intake`], in order within a shard; a PUBACK for each once it is settled.
//! Refused: topics outside the filters and payloads over the limit; they travel on as refused.
//! Knows nothing of: Redis, payload formats, statistics, browsers.

mod ack;
mod credentials;
pub mod edges;
mod error;
mod filter;
mod intake;
mod listener;
mod metrics;
mod occasionally;
mod probe;
mod subscriber;

#[cfg(test)]
mod testing;

pub use credentials::Credentials;
pub use error::Error;
pub use filter::{FilterError, TopicFilters};
pub use intake::{Full, INTAKE_LIMITS, Intake, IntakeLimits, LOT_MESSAGES_MAX, Lot, Ticket};
pub use listener::{Listener, ListenerConfig};
pub use probe::{Probe, probe};
pub use subscriber::{
    ConnectionState, ConnectionStatus, Subscriber, SubscriberConfig, SubscriberStatus,
};
