//! Messages in, entries out: the durable backbone, made of Redis Streams.
//!
//! In: lots of messages from [`crate::ingest`]. Out: entries, in order within a shard, each once
//! per commit; commits of what came of them.
//! Refused: nothing; what the doors refused travels as a flag.
//! Knows nothing of: payload formats, statistics, browsers.

mod blocking;
pub mod catalogue;
pub mod commit;
mod connection;
mod consumer;
pub mod control;
pub mod credentials;
mod dataset;
pub mod entry;
mod error;
pub mod inventory;
pub mod keys;
pub mod lag;
mod ledger;
mod meta;
mod metrics;
pub mod nodes;
pub mod ownership;
mod position;
pub mod producer;
mod random;
pub mod reply;
pub mod tail;
#[cfg(test)]
pub(crate) mod testing;
pub mod topics;
pub mod waiting;
mod writer;

pub use connection::{Link, Server};
pub use consumer::{Consumer, Patience};
pub use dataset::{Dataset, Durability};
pub use entry::{Entry, Header, ProducerId};
pub use error::Error;
pub use keys::ShardKeys;
pub use ledger::Ledger;
pub use meta::{Meta, ProducerMark, Totals};
pub use nodes::{Liveness, NodeId};
pub use ownership::{Fence, Holder};
pub use position::{EntryId, NotAPosition, Position};
pub use random::{random_hex, random_u64};
pub use writer::Writer;
