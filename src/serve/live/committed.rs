//! Up to which entry each shard is committed: asked for only while somebody waits for it, and once
//! for all who wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use crate::serve::service::Service;
use crate::stream::{EntryId, catalogue};

/// How often it is asked for. A guess: commits are a tenth of a second apart under load, and a
/// thousandth when there is little to do.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// What is known of the shards' commits.
#[derive(Debug)]
pub(super) struct Committed {
    /// By the places of the shards; empty until it was asked for.
    positions: watch::Sender<Arc<[EntryId]>>,
    waiting: AtomicUsize,
    wanted: Notify,
}

impl Committed {
    pub(super) fn new() -> Self {
        let (positions, _) = watch::channel(Arc::from([]));
        Self { positions, waiting: AtomicUsize::new(0), wanted: Notify::new() }
    }

    /// Waits until these entries are committed; false when they are not after so long.
    pub(super) async fn until(&self, reached: &[EntryId], patience: Duration) -> bool {
        let are_committed = |positions: &Arc<[EntryId]>| {
            positions.len() == reached.len()
                && positions.iter().zip(reached).all(|(at, it)| at >= it)
        };
        let _waiting = Waiting::new(self);
        let mut positions = self.positions.subscribe();
        timeout(patience, positions.wait_for(are_committed)).await.is_ok_and(|found| found.is_ok())
    }

    /// Asks while somebody waits, until the room stops.
    pub(super) async fn keep(service: Arc<Service>) {
        let committed = &service.door.committed;
        loop {
            let wanted = async {
                while committed.waiting.load(Ordering::Acquire) == 0 {
                    committed.wanted.notified().await;
                }
            };
            tokio::select! {
                () = service.stop.cancelled() => return,
                () = wanted => {}
            }
            let keys = service.deps.shards.borrow().clone();
            match catalogue::versions(&service.deps.link, &keys).await {
                Ok(versions) => {
                    let positions = versions.into_iter().map(|version| version.position);
                    committed.positions.send_replace(positions.collect());
                }
                // Whoever waits goes another way, and says so if that fails too.
                Err(error) => tracing::trace!(%error, "it is not known what is committed"),
            }
            sleep(ASK_EVERY).await;
        }
    }
}

/// One that waits, until it is dropped.
struct Waiting<'a>(&'a Committed);

impl<'a> Waiting<'a> {
    fn new(committed: &'a Committed) -> Self {
        committed.waiting.fetch_add(1, Ordering::AcqRel);
        committed.wanted.notify_one();
        Self(committed)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}
