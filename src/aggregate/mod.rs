//! Entries in, statistics out: each message folded exactly once.
//!
//! In: entries of the shards this process owns. Out: commits of states, readings, dead letters.
//! Refused: nothing; what cannot be decoded is a dead letter.
//! Knows nothing of: MQTT, HTTP, browsers.

mod batch;
mod deletion;
mod episodes;
mod fold;
pub mod interval;
mod keeper;
mod load;
mod metrics;
mod needs;
mod owner;
mod ownership;
mod plan;
mod sealing;
mod series;
pub mod shares;
pub mod state;
mod task;
#[cfg(test)]
mod tests;
pub mod topics;
mod trail;
mod upkeep;

pub use fold::FoldConfig;
pub use keeper::Keeper;
pub use metrics::{Cause, EvictionMetrics};
pub use needs::{Footprint, Loaded, Needs, StoredAttributes};
pub use owner::{Action, BATCH_LIMITS, Ended, Event, Owner};
pub use ownership::{Member, Ownership, Pace};
pub use plan::BatchLimits;
pub use task::{OwnerContext, own};
pub use upkeep::Evicted;
