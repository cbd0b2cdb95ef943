//! Keeps the table like Redis: looks each second which shards committed, scans those, and tells who
//! fell silent or was heard again.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::effort::measured;
use super::live::Stats;
use super::readiness;
use super::service::Service;
use super::table::{Part, Rows};
use super::view::Attributes;
use crate::aggregate::state::State;
use crate::reading::SeriesKey;
use crate::shard::ShardId;
use crate::stream::catalogue::{self, ShardVersion};
use crate::stream::waiting::Waiting;
use crate::stream::{Error, ShardKeys};

/// The table is looked after at most so often, and at most one part in twenty of the time
/// (design §7).
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_PARTS: u32 = 19;
/// For every second that we spend on a scan, Redis spends about one too. A guess: it walks and
/// copies what we parse and sort in.
const SPENDERS: u32 = 2;

/// Series judged at a time, during which nobody looks at the table: about a millisecond. A guess.
const JUDGED_MAX: usize = 10_000;

/// Looks after the table until the room stops.
pub(super) async fn keep_fresh(service: Arc<Service>, part: readiness::Part) {
    let mut refresher = Refresher {
        service: service.clone(),
        known: Vec::new(),
        scan: 0,
        stats: Stats::default(),
        told: Duration::ZERO,
    };
    let mut shards = service.deps.shards.clone();
    loop {
        let keys = shards.borrow_and_update().clone();
        if keys.is_empty() {
            tokio::select! {
                () = service.stop.cancelled() => return,
                changed = shards.changed() => if changed.is_err() { return },
            }
            continue;
        }
        let (refreshed, spent) = tokio::select! {
            () = service.stop.cancelled() => return,
            refreshed = measured(refresher.refresh(&keys)) => refreshed,
        };
        // Redis has no part in telling.
        let spent = spent + std::mem::take(&mut refresher.told) / SPENDERS;
        match refreshed {
            Ok(()) => part.ready(),
            Err(error) => {
                service.rates.forget();
                part.not_ready(error.to_string());
            }
        }
        tokio::select! {
            () = service.stop.cancelled() => return,
            () = sleep(pause_after(spent)) => {}
        }
    }
}

/// How long nothing is looked at after a look that took so much processor time. Time spent
/// waiting does not count: a busy machine or a hanging Redis must not make the table stale.
fn pause_after(spent: Duration) -> Duration {
    (spent * SPENDERS * PAUSE_PARTS).max(PAUSE_MIN)
}

/// As of when each shard is known: now, when nothing waits there to be folded; else as of the last
/// entry that was.
fn clocks(keys: &[ShardKeys], waiting: &Waiting, versions: &[ShardVersion]) -> Vec<(ShardId, u64)> {
    let shards = keys.iter().zip(&waiting.shards).zip(versions);
    let until = |is_waiting: bool, version: &ShardVersion| {
        if is_waiting { version.position.ms } else { waiting.now_ms }
    };
    shards.map(|((keys, waits), version)| (keys.shard, until(*waits, version))).collect()
}

struct Refresher {
    service: Arc<Service>,
    /// What the shards said when they were scanned last.
    known: Vec<ShardVersion>,
    /// Number of the current scan.
    scan: u64,
    /// Tells who wants to know what changed.
    stats: Stats,
    /// The processor time which that took in the last look.
    told: Duration,
}

impl Refresher {
    async fn refresh(&mut self, keys: &[ShardKeys]) -> Result<(), Error> {
        let now = self.service.deps.clock.now();
        // Asked first, so that what was folded by then is in the states that are read below.
        let waiting = Waiting::look(&self.service.deps.link, keys).await?;
        let versions = catalogue::versions(&self.service.deps.link, keys).await?;
        let readings = versions.iter().map(|version| version.readings).sum();
        self.service.rates.count(readings);
        self.notice_new_generation(&versions).await;
        let clocks = clocks(keys, &waiting, &versions);
        self.known.resize(keys.len(), ShardVersion::default());
        for (place, (keys, version)) in keys.iter().zip(versions).enumerate() {
            if self.known[place].version != version.version {
                self.scan(keys).await?;
                self.known[place] = version;
            }
        }
        self.judge(&clocks).await;
        self.service.table.change(|rows| rows.complete(now)).await;
        self.service.metrics.statuses(self.service.table.read().statuses());
        self.told = self.stats.tell(&self.service).await;
        Ok(())
    }

    /// Judges who is quiet as of this look. What the first one finds is how things are, and not
    /// news.
    async fn judge(&self, clocks: &[(ShardId, u64)]) {
        let advance = |rows: &mut Rows| {
            clocks.iter().for_each(|(shard, ms)| rows.advance(*shard, *ms));
        };
        self.service.table.change(advance).await;
        let is_first = self.service.table.read().as_of.is_none();
        let mut is_done = false;
        while !is_done {
            let turned;
            (turned, is_done) = self.service.table.change(|rows| rows.judge(JUDGED_MAX)).await;
            if !is_first && !turned.is_empty() {
                self.service.door.turned(turned).await;
            }
        }
    }

    /// A data set that was lost and began anew has other series under the same numbers.
    async fn notice_new_generation(&mut self, versions: &[ShardVersion]) {
        self.service.generation.learn(versions);
        let another = |(known, now): (&ShardVersion, &ShardVersion)| {
            !known.generation.is_empty() && known.generation != now.generation
        };
        if self.known.iter().zip(versions).any(another) {
            tracing::warn!("the data set in Redis is another one; what was known is forgotten");
            self.known.clear();
            self.service.table.change(Rows::clear).await;
            self.service.door.reset().await;
        }
    }

    async fn scan(&mut self, keys: &ShardKeys) -> Result<(), Error> {
        self.scan += 1;
        let (mut cursor, mut met, mut unreadable) = (0, 0, None);
        loop {
            let page;
            (cursor, page) = catalogue::states(&self.service.deps.link, keys, cursor).await?;
            let mut changed = Vec::with_capacity(page.len());
            for (field, packed) in page {
                let Some(series) = SeriesKey::from_field(&field) else { continue };
                match State::unpack(&packed) {
                    Ok(state) => changed.push((series, state)),
                    Err(error) => unreadable = Some(error),
                }
            }
            met += self.take(keys, changed).await?;
            if cursor == 0 {
                break;
            }
        }
        if let Some(error) = unreadable {
            tracing::warn!(shard = keys.shard.0, %error, "a series is left out of the table");
        }
        self.service.table.change(|rows| rows.sweep(keys.shard, self.scan, met)).await;
        Ok(())
    }

    /// Takes a page in, with the attributes of those whose attributes changed. Gives how many
    /// series this scan had not met before.
    async fn take(
        &self,
        keys: &ShardKeys,
        states: Vec<(SeriesKey, State)>,
    ) -> Result<usize, Error> {
        let (shard, scan): (ShardId, u64) = (keys.shard, self.scan);
        let others: Vec<u64> = {
            let rows = self.service.table.read();
            let is_other = |(series, state): &&(SeriesKey, State)| {
                state.attributes != 0
                    && rows.part(series, shard).is_none_or(|part| {
                        part.attributes.is_none()
                            || part.state.attributes != state.attributes
                            || part.state.number != state.number
                    })
            };
            states.iter().filter(is_other).map(|(_, state)| state.number).collect()
        };
        let read = catalogue::attributes(&self.service.deps.link, keys, &others).await?;
        let mut read: std::collections::HashMap<u64, Arc<Attributes>> = others
            .into_iter()
            .zip(read)
            .filter_map(|(number, json)| {
                Some((number, Arc::new(Attributes::parse(json.as_deref()?)?)))
            })
            .collect();
        let change = |rows: &mut Rows| {
            let mut met = 0;
            for (series, state) in states {
                let attributes = read.remove(&state.number);
                let is_first = rows.put(series, Part { shard, seen: scan, state, attributes });
                met += usize::from(is_first);
            }
            met
        };
        Ok(self.service.table.change(change).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_take_one_part_in_twenty_and_leave_a_second() {
        let check = |spent, pause| {
            let pause_is = pause_after(Duration::from_millis(spent));
            assert_eq!(pause_is, Duration::from_millis(pause), "{spent}");
        };
        check(0, 1000);
        check(20, 1000);
        // With as much again in Redis, 2 s of 40 s.
        check(1000, 38_000);
    }
}
