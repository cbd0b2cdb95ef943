//! Live readings over WebSockets.
//!
//! In: entries, read along with the aggregation; events of clients. Out: frames, encoded once and
//! shared, to every client that wants the series.
//! Refused: events that are not known, too large or too many; clients that do not keep up.
//! Knows nothing of: HTTP before the upgrade; credentials; how readings are counted.
//!
//! [`hub`], [`conflate`] and [`follow`] are state machines without runtime, clock or I/O; [`live`],
//! [`listen`] and [`client`] connect them to the world.

mod answers;
mod backlog;
mod client;
mod conflate;
mod ending;
mod event;
mod follow;
mod hub;
mod listen;
mod live;
mod patterns;
mod places;

pub(super) use client::talk;
pub(super) use ending::Ending;
pub(super) use hub::Counts;
pub(super) use live::{Door, run};
