//! What stands in the streams behind what is committed: read once for all who come while the
//! commits are too far behind to wait for them, and looked through for what each wants.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use super::awaited::Awaited;
use super::event;
use super::every::Every;
use super::follow::Follower;
use super::frame::Frame;
use super::listen::knowing;
use super::shown::{Change, Shown};
use super::subscription::Subscription;
use super::told::Told;
use crate::serve::history::token;
use crate::serve::service::Service;
use crate::shard::ShardId;
use crate::stream::{
    Entry, EntryId, Error, Link, Position, ShardKeys, catalogue, random_u64, tail,
};

/// Of each shard the newest entries are read until they carry so many messages, or bytes: some
/// milliseconds of decoding at a time. Who comes is told of a gap where there were more. Guesses.
const MESSAGES_MAX: usize = 4_096;
const BYTES_MAX: usize = 4 << 20;
/// So many entries at once, each of a MiB at most; more of small ones.
const PAGE_ENTRIES: usize = 8;
const PAGE_ENTRIES_MAX: usize = 128;
const PAGE_BYTES: usize = 256 << 10;
/// How long after one reading the next may begin. A guess: some times what it takes.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// What came since the commits.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// By the places of the shards.
    parts: Vec<Part>,
    items: Vec<Item>,
    /// Which items are of a sensor, in order.
    by_sensor: BTreeMap<Box<str>, Vec<usize>>,
}

/// What was read of one shard.
#[derive(Debug)]
struct Part {
    shard: ShardId,
    /// What is committed, and the last entry.
    committed: EntryId,
    last: EntryId,
    /// There were more entries than are read.
    is_cut: bool,
}

/// A change, and where it stands; a removal where what came before it stands.
#[derive(Debug)]
struct Item {
    place: usize,
    entry: EntryId,
    what: What,
}

/// What happened.
#[derive(Clone, Debug)]
pub(super) enum What {
    Reading(Arc<Shown>),
    Removed(Box<str>),
}

impl Recent {
    /// Reads it.
    async fn read(service: &Service) -> Result<Self, Error> {
        let keys = service.deps.shards.borrow().clone();
        let link = &service.deps.link;
        let metas = catalogue::metas(link, &keys).await?;
        let mut recent = Self::default();
        let mut follower = Follower::new(service.config.naive_time.clone(), random_u64());
        // No topic is known, so nothing would be left out of it anyway.
        follower.want_every(Every::new(["*".into()].into()));
        for (keys, meta) in keys.iter().zip(metas) {
            let committed = meta.pos;
            follower.begin(keys.shard, &meta);
            let (entries, is_cut) = newest(link, keys, committed).await?;
            let last = entries.last().map_or(committed, |entry| entry.id);
            recent.parts.push(Part { shard: keys.shard, committed, last, is_cut });
            let round = knowing(service, |known| follower.take(keys.shard, &entries, known));
            recent.take(round.changes);
        }
        Ok(recent)
    }

    /// Takes what came of the last part.
    fn take(&mut self, changes: Vec<Change>) {
        let place = self.parts.len() - 1;
        let mut entry = self.parts[place].committed;
        for change in changes {
            let (sensor_id, what) = match change {
                Change::Reading(observed) => {
                    entry = observed.position.entry;
                    let sensor_id = observed.series.sensor_id.clone();
                    (sensor_id, What::Reading(Arc::new(Shown::new(observed))))
                }
                Change::Removed { sensor_id } => (sensor_id.clone(), What::Removed(sensor_id)),
            };
            self.by_sensor.entry(sensor_id).or_default().push(self.items.len());
            self.items.push(Item { place, entry, what });
        }
    }

    /// Whether it reaches to these entries.
    fn has(&self, reached: &[EntryId]) -> bool {
        self.parts.len() == reached.len()
            && self.parts.iter().zip(reached).all(|(part, reached)| part.last >= *reached)
    }

    /// From where on a client is told, and the frames of what it wants up to `reached`: of a
    /// series every reading, or the latest.
    pub(super) fn tell(
        &self,
        reached: &[EntryId],
        wanted: &Subscription,
        batch: bool,
    ) -> (String, Vec<Frame>) {
        // The whole entry is committed, so every index of it is.
        let whole = |part: &Part| Position { entry: part.committed, index: u32::MAX };
        let positions: Vec<_> = self.parts.iter().map(|part| (part.shard, whole(part))).collect();
        let wants_any = wanted.entries().next().is_some();
        let cut = self.parts.iter().filter(|part| wants_any && part.is_cut);
        let mut frames: Vec<Frame> = cut.map(|part| event::gap(part.shard)).collect();
        let mut told = Told::default();
        for at in self.wanted(wanted) {
            let item = &self.items[at];
            if reached.get(item.place).is_some_and(|reached| item.entry <= *reached) {
                told.take(&item.what, wanted);
            }
        }
        frames.extend(told.frames(batch));
        (token(&positions), frames)
    }

    /// Items that are wanted, in order.
    fn wanted(&self, wanted: &Subscription) -> Vec<usize> {
        let mut found: Vec<usize> = Vec::new();
        for (name, is_prefix) in wanted.spans() {
            let from = (Bound::Included(name), Bound::Unbounded);
            let sensors = self.by_sensor.range::<str, _>(from);
            let of_it = sensors.take_while(|(sensor_id, _)| match is_prefix {
                true => sensor_id.starts_with(name),
                false => ***sensor_id == *name,
            });
            found.extend(of_it.flat_map(|(_, items)| items));
        }
        found.sort_unstable();
        found
    }
}

/// The newest entries of a shard behind `after`, and whether there are more than these.
async fn newest(
    link: &Link,
    keys: &ShardKeys,
    after: EntryId,
) -> Result<(Vec<Entry>, bool), Error> {
    let mut entries: VecDeque<Entry> = VecDeque::new();
    let (mut messages, mut bytes) = (0, 0);
    let mut count = PAGE_ENTRIES;
    loop {
        let before = entries.front().map(|entry| entry.id);
        let page = tail::newest(link, keys, after, before, count).await?;
        let (is_last, had) = (page.len() < count, bytes);
        for entry in page.into_iter().rev() {
            if messages >= MESSAGES_MAX || bytes >= BYTES_MAX {
                return Ok((entries.into(), true));
            }
            messages += entry.len();
            bytes += entry.bytes();
            entries.push_front(entry);
        }
        if is_last {
            return Ok((entries.into(), false));
        }
        if bytes - had < PAGE_BYTES {
            count = (count * 2).min(PAGE_ENTRIES_MAX);
        }
    }
}

/// What came since the commits, for all who wait for it.
#[derive(Debug)]
pub(super) struct Recently(Awaited<Recent>);

impl Recently {
    pub(super) fn new() -> Self {
        Self(Awaited::new())
    }

    /// Waits until it is read as far as these entries.
    pub(super) async fn until(&self, reached: &[EntryId]) -> Arc<Recent> {
        self.0.until(|recent| recent.has(reached)).await
    }

    /// Reads while somebody waits, until the room stops.
    pub(super) async fn keep(service: Arc<Service>) {
        let read = || Recent::read(&service);
        service.door.recently.0.keep(&service.stop, ASK_EVERY, read).await;
    }
}

#[cfg(test)]
#[path = "recent_tests.rs"]
mod tests;
