//! The task that follows the streams while somebody listens, and tells the hub what it heard.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::follow::{Follower, Known, Round};
use crate::backoff::Backoff;
use crate::reading::SeriesKey;
use crate::serve::service::Service;
use crate::shard::{ShardCount, ShardId};
use crate::stream::tail::{Read, Tail};
use crate::stream::{EntryId, Error, Server, catalogue, random_u64};

/// What the tail tells the hub.
pub(super) enum Heard {
    /// It begins behind these entries.
    Started(Vec<EntryId>),
    /// Redis was started anew: it begins behind these entries, and some before may be lost.
    Restarted(Vec<EntryId>),
    /// Readings of one shard, and up to which entry.
    Round { place: usize, shard: ShardId, round: Round, reached: EntryId },
}

/// Follows the streams until nobody listens any more.
pub(super) async fn follow(
    service: Arc<Service>,
    heard: mpsc::Sender<Heard>,
    stop: CancellationToken,
) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = follow_on(&service, &heard) => {}
    }
}

async fn follow_on(service: &Service, heard: &mpsc::Sender<Heard>) {
    let mut backoff = Server::backoff();
    let Some((mut run, mut tail)) = begin(service, &mut backoff).await else { return };
    if heard.send(Heard::Started(tail.reached().to_vec())).await.is_err() {
        return;
    }
    let mut follower = Follower::new(service.config.naive_time.clone(), random_u64());
    loop {
        let told = match tail.read().await {
            Ok(reads) => {
                backoff.reset();
                tell(service, &mut follower, reads, heard).await
            }
            Err(error) => {
                tracing::debug!(%error, "the streams cannot be followed");
                sleep(backoff.next_wait()).await;
                let Some((other_run, other)) = begin(service, &mut backoff).await else { return };
                if other_run == run {
                    // The same server: what was read so far is still there.
                    continue;
                }
                (run, tail) = (other_run, other);
                heard.send(Heard::Restarted(tail.reached().to_vec())).await.is_ok()
            }
        };
        if !told {
            return;
        }
    }
}

/// Tells the hub what was read; false when it does not listen any more.
async fn tell(
    service: &Service,
    follower: &mut Follower,
    reads: Vec<Read>,
    heard: &mpsc::Sender<Heard>,
) -> bool {
    for (place, shard, entries) in reads {
        let Some(last) = entries.last() else { continue };
        let reached = last.id;
        let left_out = follower.left_out();
        let round = knowing(service, |known| follower.take(shard, &entries, known));
        service.metrics.followed(entries.len(), follower.left_out() - left_out);
        if heard.send(Heard::Round { place, shard, round, reached }).await.is_err() {
            return false;
        }
    }
    true
}

/// Looks at entries with what the table knows of sensors.
pub(super) fn knowing<T>(service: &Service, look: impl FnOnce(&Known<'_>) -> T) -> T {
    let last_at = |series: &SeriesKey| service.table.read().last_at(series);
    let home = |sensor_id: &str| {
        let listed = service.table.read().last_shard(sensor_id);
        listed.unwrap_or_else(|| {
            let shards = u16::try_from(service.deps.shards.borrow().len());
            let count = shards.ok().and_then(ShardCount::new).unwrap_or(ShardCount::DEFAULT);
            // One whose topics name it: where all its types are.
            count.shard_of(sensor_id)
        })
    };
    look(&Known { last_at: &last_at, home: &home })
}

/// A tail behind what is committed now, and which run of Redis that is; tries until it answers.
async fn begin(service: &Service, backoff: &mut Backoff) -> Option<(String, Tail)> {
    let mut shards = service.deps.shards.clone();
    // An error means that nobody will ever say: the process is ending.
    let keys = shards.wait_for(|keys| !keys.is_empty()).await.ok()?.clone();
    let link = &service.deps.link;
    loop {
        let asked = async {
            let run = catalogue::run_id(link).await?;
            Ok::<_, Error>((run, catalogue::versions(link, &keys).await?))
        };
        match asked.await {
            Ok((run, versions)) => {
                let from = versions.into_iter().map(|version| version.position).collect();
                return Some((run, Tail::new(link.server().clone(), keys.to_vec(), from)));
            }
            Err(error) => {
                tracing::debug!(%error, "the streams cannot be followed yet");
                sleep(backoff.next_wait()).await;
            }
        }
    }
}
