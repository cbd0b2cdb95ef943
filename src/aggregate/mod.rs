//! Entries in, statistics out: each message folded exactly once.
//!
//! In: entries of the shards this process owns. Out: commits of states, readings, dead letters.
//! Refused: nothing; what cannot be decoded is a dead letter.
//! Knows nothing of: MQTT, HTTP, browsers.

mod batch;
mod episodes;
mod fold;
mod keeper;
mod metrics;
mod owner;
mod ownership;
mod plan;
mod series;
pub mod shares;
pub mod state;
mod task;
#[cfg(test)]
mod tests;
mod trail;

pub use fold::{FoldConfig, Loaded, Needs};
pub use keeper::Keeper;
pub use metrics::{Cause, EvictionMetrics};
pub use owner::{Action, BATCH_LIMITS, Ended, Event, Owner};
pub use ownership::{Member, Ownership, Pace};
pub use plan::BatchLimits;
pub use task::{OwnerContext, own};
