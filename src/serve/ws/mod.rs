//! Live readings over WebSockets (RFC 6455).
//!
//! In: an upgraded connection. Out: frames of its [`Seat`](super::live::Seat), pings, a close code.
//! Refused: frames that break the protocol, are too large, or too many.
//! Knows nothing of: HTTP before the upgrade; what the events mean.

mod client;
mod closing;
mod intake;
mod rest;

pub(super) use client::talk;
