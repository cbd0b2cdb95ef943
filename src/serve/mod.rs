//! Everything that a browser or another program sees: HTTP and WebSocket.
//!
//! In: requests, events of browsers; states, readings and totals from Redis; entries, read along
//! with the aggregation. Out: JSON, the page, metrics, live readings.
//! Refused: whoever has no credential, foreign hosts and origins, impossible parameters; each with
//! a status and a sentence that names the thing.
//! Knows nothing of: MQTT; how a reading came in; how it is committed.

mod accept;
mod answer;
mod assets;
mod auth;
mod block_faults;
mod body;
mod clients;
mod config;
mod effort;
mod error;
mod generation;
mod hex;
mod history;
mod host;
mod http;
mod listing;
mod live;
mod metrics;
mod moment;
mod openapi;
mod query;
mod quiet;
mod rates;
mod readiness;
mod refresh;
mod router;
mod service;
mod session;
mod socket;
#[cfg(feature = "socketio")]
mod socketio;
mod table;
mod throttle;
mod view;
mod ws;

pub use accept::Server;
pub use config::{AuthMode, Deps, LIVE_CLIENTS_MAX, ListenerInfo, Patience, ServeConfig};
pub use error::Error;
pub use readiness::{Health, Level, Part, Readiness};
