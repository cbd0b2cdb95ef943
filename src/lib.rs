//! Streamgauge carries readings from MQTT to a browser.
//!
//! ```text
//! device ──MQTT──▶ listener ─┐                                              ┌─▶ states, readings
//!                            ├─▶ shard ─▶ XADD (packed) ─▶ stream ─▶ group ─┤
//! broker ◀─MQTT── subscriber ┘                              │               └─▶ dead letters
//!                                                           └─ XREAD tail ─▶ hub ─▶ WebSocket
//! ```
//!
//! The rooms stand in the order of that way. A room knows the rooms before it, never one after.

pub mod backoff;
pub mod clock;
pub mod message;
pub mod reading;
pub mod refusal;
pub mod shard;

pub mod ingest;
pub mod stream;

pub mod payload;

pub mod statistic;

pub mod history;

pub mod aggregate;

pub mod serve;

pub mod embedded;

pub mod config;

pub mod commands;

pub mod app;
