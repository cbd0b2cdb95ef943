//! Who reads history: where it is kept, and what must be known beside.

use super::Newest;
use super::span::Retentions;
use crate::reading::UnixMillis;
use crate::stream::{Link, ShardKeys};

/// Reads history. It is made anew for each answer, because `now` passes.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    /// The Redis it is in.
    pub link: &'a Link,
    /// The keys of all shards, ascending.
    pub keys: &'a [ShardKeys],
    /// Reads what is needed of a packed state; where it answers `None` the shard is left out and
    /// counted as a fault.
    pub unpack: fn(&[u8]) -> Option<Newest>,
    /// The wall clock.
    pub now: UnixMillis,
    /// How long history is kept. What has not been moved into a span yet is shown no longer than
    /// it would be there.
    pub retentions: Retentions,
}
