//! Up to which entry each shard is committed.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::awaited::Awaited;
use crate::serve::service::Service;
use crate::stream::{EntryId, catalogue};

/// How often it is asked for. A guess: commits are a tenth of a second apart under load, and a
/// thousandth when there is little to do.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// What is known of the shards' commits, by the places of the shards.
#[derive(Debug)]
pub(super) struct Committed(Awaited<Vec<EntryId>>);

impl Committed {
    pub(super) fn new() -> Self {
        Self(Awaited::new())
    }

    /// Waits until these entries are committed; false when they are not after so long.
    pub(super) async fn until(&self, reached: &[EntryId], patience: Duration) -> bool {
        let are_committed = |positions: &Vec<EntryId>| {
            positions.len() == reached.len()
                && positions.iter().zip(reached).all(|(at, it)| at >= it)
        };
        timeout(patience, self.0.until(are_committed)).await.is_ok()
    }

    /// Asks while somebody waits, until the room stops.
    pub(super) async fn keep(service: Arc<Service>) {
        let ask = async || {
            let keys = service.deps.shards.borrow().clone();
            let versions = catalogue::versions(&service.deps.link, &keys).await?;
            Ok(versions.into_iter().map(|version| version.position).collect())
        };
        service.door.committed.0.keep(&service.stop, ASK_EVERY, ask).await;
    }
}
