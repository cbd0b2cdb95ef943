//! Entries in, statistics out: each message folded exactly once.
//!
//! In: entries of the shards this process owns. Out: commits of states, readings, dead letters.
//! Refused: nothing; what cannot be decoded is a dead letter.
//! Knows nothing of: MQTT, HTTP, browsers.

pub mod state;
pub mod statistic;
