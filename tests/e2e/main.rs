//! Streamgauge end to end: the real binary with a real Redis, a real broker and a real browser.
//!
//! Nothing here knows the inside of the program: it is started with the environment variables of
//! its contract, spoken to over MQTT and HTTP, killed, and judged by what it then says. Only what
//! is left in Redis after kills is counted anew (`support/at_rest.rs`). Every test has servers and
//! ports of its own. One binary holds all topics, because linking is what costs.

#![expect(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod support;

mod backpressure;
mod bad_messages;
mod broker;
mod commands;
mod container;
mod crowd;
mod deletion;
mod doors;
mod endings;
mod first_reading;
mod history_at_rest;
mod history_budget;
mod history_kills;
mod history_pages;
mod history_peaks;
mod kills;
mod metrics;
mod page;
mod redis_away;
mod topics;
mod volume;
mod wrong_settings;
