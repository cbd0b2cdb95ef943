//! The task that follows the streams while somebody listens, and tells the hub what it heard.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::every::Every;
use super::follow::{Follower, Known, Round};
use crate::backoff::Backoff;
use crate::reading::SeriesKey;
use crate::serve::service::Service;
use crate::shard::{ShardCount, ShardId};
use crate::stream::tail::{Read, Tail};
use crate::stream::{Entry, EntryId, Error, Meta, Server, ShardKeys, catalogue, random_u64};

/// Messages a second above which rounds are read at the pace of the frames, where nobody wants
/// every reading: fewer wake-ups, and more messages that need not be parsed. Below it every entry
/// is looked at when it comes. A guess.
const CALM_PER_SECOND: f64 = 20_000.0;
/// No pause is longer, however seldom clients want to be told: what is committed leaves the
/// streams after 2 s, or when there are 8 MiB behind it in a shard, which at the highest rates is a
/// quarter of a second. And whoever comes meanwhile would wait for it.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// What is wanted of the tail.
#[derive(Clone, Debug)]
pub(super) struct Attention {
    /// Raised with each change.
    pub(super) number: u64,
    /// Entries of which every reading is wanted.
    pub(super) every: Every,
    /// No series is shown twice in less.
    pub(super) apart: Duration,
}

/// What the tail tells the hub.
pub(super) enum Heard {
    /// It begins behind these entries.
    Started(Vec<EntryId>),
    /// Redis was started anew: it begins behind these entries, and some before may be lost.
    Restarted(Vec<EntryId>),
    /// From here on it knows what is wanted, as of this number.
    Attentive(u64),
    /// What was read together, by shard.
    Read(Vec<ShardRound>),
    /// It ended though nobody stopped it; another one begins in a moment.
    Lost,
}

/// Readings of one shard, and up to which entry.
pub(super) struct ShardRound {
    pub(super) place: usize,
    pub(super) shard: ShardId,
    pub(super) round: Round,
    pub(super) reached: EntryId,
}

/// Follows the streams until nobody listens any more.
pub(super) async fn follow(
    service: Arc<Service>,
    heard: mpsc::Sender<Heard>,
    attention: watch::Receiver<Attention>,
    stop: CancellationToken,
) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = follow_on(&service, &heard, attention) => {}
    }
}

async fn follow_on(
    service: &Service,
    heard: &mpsc::Sender<Heard>,
    mut attention: watch::Receiver<Attention>,
) {
    let mut backoff = Server::backoff();
    let Some(begun) = begin(service, &mut backoff).await else { return };
    let mut follower = Follower::new(service.config.naive_time.clone(), random_u64());
    let mut tail = begun.tail(service, &mut follower);
    let mut run = begun.run;
    if heard.send(Heard::Started(tail.reached().to_vec())).await.is_err() {
        return;
    }
    attention.mark_changed();
    let mut ear = Ear { heard, attention, follower };
    let mut calm = Calm { read_at: Instant::now(), pause: Duration::ZERO };
    loop {
        if ear.rest(&calm).await.is_none() {
            return;
        }
        let Some(read) = ear.attend(tail.read()).await else { return };
        let told = match read {
            Ok(reads) => {
                backoff.reset();
                service.door.silence.end();
                calm.read(&reads, tail.is_behind(), &ear.attention.borrow());
                ear.tell(service, &tail, reads).await
            }
            Err(error) => {
                tracing::debug!(%error, "the streams cannot be followed");
                sleep(backoff.next_wait()).await;
                let Some(begun) = begin(service, &mut backoff).await else { return };
                if begun.run == run {
                    // The same server: what was read so far is still there, and what was not may
                    // have been trimmed meanwhile.
                    begun.resume(&tail, &mut ear.follower);
                    continue;
                }
                tail = begun.tail(service, &mut ear.follower);
                run = begun.run;
                heard.send(Heard::Restarted(tail.reached().to_vec())).await.is_ok()
            }
        };
        if !told {
            return;
        }
    }
}

/// What listens to the desk while it waits for the streams.
struct Ear<'a> {
    heard: &'a mpsc::Sender<Heard>,
    attention: watch::Receiver<Attention>,
    follower: Follower,
}

impl Ear<'_> {
    /// Waits until it is time to read, or something else is wanted: whoever came with that shall
    /// not wait for a pause that was made for others. `None` when nobody wants anything any more.
    async fn rest(&mut self, calm: &Calm) -> Option<()> {
        tokio::select! {
            biased;
            changed = self.attention.changed() => self.learn(changed.is_ok()).await,
            () = sleep_until(calm.read_at + calm.pause) => Some(()),
        }
    }

    /// Waits for what is read, and learns meanwhile what is wanted. The read goes on: one that was
    /// dropped would cost a connection. `None` when nobody wants anything any more.
    async fn attend<T>(&mut self, read: impl Future<Output = T>) -> Option<T> {
        let mut read = pin!(read);
        loop {
            tokio::select! {
                biased;
                changed = self.attention.changed() => self.learn(changed.is_ok()).await?,
                read = &mut read => return Some(read),
            }
        }
    }

    /// Tells the hub what was read; false when it does not listen any more.
    async fn tell(&mut self, service: &Service, tail: &Tail, reads: Vec<Read>) -> bool {
        let Self { follower, heard, .. } = self;
        let mut rounds = Vec::with_capacity(reads.len());
        for (place, shard, entries) in reads {
            let Some(last) = entries.last() else { continue };
            let reached = last.id;
            let left_out = follower.left_out();
            let round = knowing(service, |known| follower.take(shard, &entries, known));
            service.metrics.followed(entries.len(), follower.left_out() - left_out);
            rounds.push(ShardRound { place, shard, round, reached });
        }
        if follower.expects() {
            // A reply has all shards in which there is anything.
            for (place, shard, reached) in tail.places() {
                if rounds.iter().all(|it| it.shard != shard) && follower.misses(shard) {
                    let round = Round { changes: Vec::new(), has_gap: true };
                    rounds.push(ShardRound { place, shard, round, reached });
                }
            }
        }
        rounds.is_empty() || heard.send(Heard::Read(rounds)).await.is_ok()
    }

    async fn learn(&mut self, is_wanted: bool) -> Option<()> {
        let wanted = self.attention.borrow_and_update().clone();
        self.follower.want_every(wanted.every);
        let is_told = is_wanted && self.heard.send(Heard::Attentive(wanted.number)).await.is_ok();
        is_told.then_some(())
    }
}

/// When to read next.
struct Calm {
    read_at: Instant,
    pause: Duration,
}

impl Calm {
    /// After a read: at high rates half of what the fastest series are apart is waited for.
    fn read(&mut self, reads: &[Read], is_behind: bool, wanted: &Attention) {
        let now = Instant::now();
        let messages: usize =
            reads.iter().flat_map(|(_, _, entries)| entries).map(Entry::len).sum();
        let seconds = (now - self.read_at).as_secs_f64();
        let is_busy = messages as f64 > CALM_PER_SECOND * seconds;
        let may_wait = is_busy && !is_behind && wanted.every.is_empty();
        self.pause = if may_wait { (wanted.apart / 2).min(PAUSE_MAX) } else { Duration::ZERO };
        self.read_at = now;
    }
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

/// What is committed now, and in which run of Redis.
struct Begun {
    run: String,
    keys: Arc<[ShardKeys]>,
    /// By the places of the keys.
    metas: Vec<Meta>,
}

impl Begun {
    /// A tail behind what is committed.
    fn tail(&self, service: &Service, follower: &mut Follower) -> Tail {
        for (keys, meta) in self.keys.iter().zip(&self.metas) {
            follower.begin(keys.shard, meta);
        }
        let from = self.metas.iter().map(|meta| meta.pos).collect();
        Tail::new(service.deps.link.server().clone(), self.keys.to_vec(), from)
    }

    /// A tail goes on from where it was.
    fn resume(&self, tail: &Tail, follower: &mut Follower) {
        for ((_, shard, reached), meta) in tail.places().zip(&self.metas) {
            follower.resume(shard, reached, meta);
        }
    }
}

/// Asks what is committed; tries until Redis answers.
async fn begin(service: &Service, backoff: &mut Backoff) -> Option<Begun> {
    let mut shards = service.deps.shards.clone();
    // An error means that nobody will ever say: the process is ending.
    let keys = shards.wait_for(|keys| !keys.is_empty()).await.ok()?.clone();
    let link = &service.deps.link;
    loop {
        let asked = async {
            let run = catalogue::run_id(link).await?;
            Ok::<_, Error>((run, catalogue::metas(link, &keys).await?))
        };
        match asked.await {
            Ok((run, metas)) => {
                service.door.silence.end();
                return Some(Begun { run, keys, metas });
            }
            Err(error) => {
                tracing::debug!(%error, "the streams cannot be followed yet");
                sleep(backoff.next_wait()).await;
            }
        }
    }
}

#[cfg(test)]
#[path = "listen_tests.rs"]
mod tests;
