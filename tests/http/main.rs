//! The HTTP and WebSocket side against a real Redis: one server and one Redis per test.

#![expect(clippy::unwrap_used, reason = "a stage that cannot be set has failed")]

mod access;
mod aggregator;
mod dead_letters;
mod deletion;
mod endings;
mod explain;
mod feed;
mod hosts;
mod kept;
mod live;
mod live_outage;
mod live_stats;
mod pages;
mod quiet;
mod readings;
mod refusals;
mod resources;
#[cfg(feature = "socketio")]
mod socketio;
#[cfg(feature = "socketio")]
mod socketio_bounds;
#[cfg(feature = "socketio")]
mod socketio_frames;
mod stage;
mod stream;
mod topics;
mod wire;
