//! The table of all series: what Redis knows, kept in memory so that lists need no Redis.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use tokio::sync::Semaphore;

use super::quiet::{Clocks, Heard, Place, Status, Turned, Watch};
use super::view::{Attributes, NO_ATTRIBUTES};
use crate::aggregate::state::State;
use crate::reading::{SeriesKey, UnixMillis};
use crate::shard::ShardId;
use crate::statistic::{Statistic, Statistics};

/// Long looks at a time; others wait. A guess: as many as small machines have cores, so that
/// answers of 10,000 rows take neither all memory nor all threads.
const LONG_LOOKS_MAX: u32 = 4;

/// All series, in the order of sensor id and type.
#[derive(Debug)]
pub(super) struct Table {
    /// Guards the rows; held for moments on the runtime's threads, and for long looks beside them.
    rows: RwLock<Rows>,
    /// A long look takes one, a change takes all: it waits for long looks without blocking a
    /// thread, and they cannot keep it waiting for ever, because the semaphore is fair.
    long_looks: Arc<Semaphore>,
}

/// What the table holds.
#[derive(Debug, Default)]
pub(super) struct Rows {
    series: BTreeMap<SeriesKey, Row>,
    /// How many different sensor ids the series have.
    sensors: usize,
    /// Parts per shard.
    parts: BTreeMap<ShardId, usize>,
    /// When every shard had been compared; `None` until the first load is complete.
    pub(super) as_of: Option<UnixMillis>,
    /// How often the table was changed.
    changes: u64,
    /// How many looks at Redis were completed.
    looks: u32,
    /// Who is quiet.
    watch: Watch,
    clocks: Clocks,
}

/// One series.
#[derive(Debug)]
struct Row {
    /// By shard, at least one.
    parts: Vec<Part>,
    /// Stands for it in the watch.
    place: Place,
    /// In which look it changed last.
    changed: u32,
}

/// What one shard knows of a series; mostly the only one.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) shard: ShardId,
    /// In which scan of its shard it was seen last.
    pub(super) seen: u64,
    pub(super) state: State,
    /// Read when the hash in the state changed; absent until then.
    pub(super) attributes: Option<Arc<Attributes>>,
}

/// One series over all its shards.
#[derive(Debug)]
pub(super) struct Merged<'a> {
    pub(super) series: &'a SeriesKey,
    pub(super) statistics: Statistics,
    /// Of the part with the latest reading.
    pub(super) attributes: Option<&'a Attributes>,
    /// `None` until the first load is complete.
    pub(super) status: Option<Status>,
}

impl Table {
    /// A short look at the rows. Not to be held across an await.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, Rows> {
        self.rows.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// A long look, beside the runtime.
    ///
    /// # Cancel safety
    /// A look that has begun goes on to its end.
    pub(super) async fn at_length<T, F>(self: &Arc<Self>, look: F) -> T
    where
        T: Send + 'static,
        F: FnOnce(&Self) -> T + Send + 'static,
    {
        // Nobody closes the semaphore.
        let place = self.long_looks.clone().acquire_owned().await;
        let table = self.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let _place = place;
            look(&table)
        });
        match looked.await {
            Ok(seen) => seen,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }

    /// Changes the rows.
    pub(super) async fn change<T>(&self, change: impl FnOnce(&mut Rows) -> T) -> T {
        // Nobody closes the semaphore.
        let _alone = self.long_looks.acquire_many(LONG_LOOKS_MAX).await;
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        let changes = rows.changes + 1;
        let changed = change(&mut rows);
        rows.changes = changes;
        changed
    }
}

impl Default for Table {
    fn default() -> Self {
        let long_looks = Arc::new(Semaphore::new(LONG_LOOKS_MAX as usize));
        Self { rows: RwLock::default(), long_looks }
    }
}

impl Rows {
    /// Another number, and a higher one, after every change of the table.
    pub(super) const fn changes(&self) -> u64 {
        self.changes
    }

    /// How many series there are.
    pub(super) fn len(&self) -> usize {
        self.series.len()
    }

    /// How many sensors there are.
    pub(super) const fn sensors(&self) -> usize {
        self.sensors
    }

    /// The series of one sensor, by type.
    pub(super) fn sensor<'a>(&'a self, id: &'a str) -> impl Iterator<Item = Merged<'a>> {
        self.of_sensor(id).map(|(series, row)| self.merge(series, row))
    }

    /// When a series was heard, and how often it uses to be.
    pub(super) fn heard(&self, series: &SeriesKey) -> Option<Heard> {
        self.series.get(series).map(|row| heard(&row.parts))
    }

    fn of_sensor<'a>(&'a self, id: &'a str) -> impl Iterator<Item = (&'a SeriesKey, &'a Row)> {
        let from = SeriesKey { sensor_id: id.into(), sensor_type: "".into() };
        self.series
            .range((Bound::Included(from), Bound::Unbounded))
            .take_while(move |(series, _)| &*series.sensor_id == id)
    }

    /// Every series after `after`, in order.
    pub(super) fn after(&self, after: Option<&SeriesKey>) -> impl Iterator<Item = Merged<'_>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.series
            .range::<SeriesKey, _>((from, Bound::Unbounded))
            .map(|(series, row)| self.merge(series, row))
    }

    /// The sensor of a name, or those whose id begins with it: every series after `after`, in
    /// order, and how it is if it changed in a later look than `since`.
    pub(super) fn span<'a>(
        &'a self,
        name: &'a str,
        is_prefix: bool,
        after: Option<&SeriesKey>,
        since: u32,
    ) -> impl Iterator<Item = (&'a SeriesKey, Option<Merged<'a>>)> {
        let first = SeriesKey { sensor_id: name.into(), sensor_type: "".into() };
        let from = match after.filter(|after| **after >= first) {
            Some(after) => Bound::Excluded(after.clone()),
            None => Bound::Included(first),
        };
        let fits = move |id: &str| if is_prefix { id.starts_with(name) } else { id == name };
        self.series
            .range((from, Bound::Unbounded))
            .take_while(move |(series, _)| fits(&series.sensor_id))
            .map(move |(series, row)| {
                (series, (row.changed > since).then(|| self.merge(series, row)))
            })
    }

    /// How many looks at Redis were completed.
    pub(super) const fn looks(&self) -> u32 {
        self.looks
    }

    /// A look is complete: everything is as it was then.
    pub(super) fn complete(&mut self, now: UnixMillis) {
        self.as_of = Some(now);
        self.looks += 1;
    }

    /// When a series was last measured; `None` when it is not known.
    pub(super) fn last_at(&self, series: &SeriesKey) -> Option<UnixMillis> {
        last_at(&self.series.get(series)?.parts)
    }

    /// The last of the shards that a sensor has sent through; `None` when it is not known.
    pub(super) fn last_shard(&self, id: &str) -> Option<ShardId> {
        let parts = self.of_sensor(id).flat_map(|(_, row)| &row.parts);
        parts.map(|part| part.shard).max()
    }

    /// What is shown with a series' readings.
    pub(super) fn attributes(&self, series: &SeriesKey) -> &Attributes {
        let found = self.series.get_key_value(series);
        let merged = found.map(|(series, row)| self.merge(series, row));
        merged.and_then(|merged| merged.attributes).unwrap_or(&NO_ATTRIBUTES)
    }

    /// What one shard knows of a series.
    pub(super) fn part(&self, series: &SeriesKey, shard: ShardId) -> Option<&Part> {
        self.series.get(series)?.parts.iter().find(|part| part.shard == shard)
    }

    /// Takes in what a shard knows of a series; without attributes the ones known stay, unless the
    /// series was deleted meanwhile and came back under another number. Says whether this scan
    /// meets it for the first time: a scan may meet one twice.
    pub(super) fn put(&mut self, series: SeriesKey, part: Part) -> bool {
        if !self.series.contains_key(&series) && self.sensor(&series.sensor_id).next().is_none() {
            self.sensors += 1;
        }
        let look = self.looks + 1;
        let row = self.series.entry(series).or_insert_with_key(|series| Row {
            parts: Vec::new(),
            place: self.watch.begin(series.field(), heard(std::slice::from_ref(&part))),
            changed: look,
        });
        let parts = &mut row.parts;
        let is_first = match parts.binary_search_by_key(&part.shard, |part| part.shard) {
            Ok(place) => {
                let known = &mut parts[place];
                let is_first = known.seen != part.seen;
                if known.state != part.state || part.attributes.is_some() {
                    row.changed = look;
                }
                let is_same = known.state.number == part.state.number;
                let attributes = part.attributes.or(known.attributes.take().filter(|_| is_same));
                *known = Part { attributes, ..part };
                is_first
            }
            Err(place) => {
                *self.parts.entry(part.shard).or_default() += 1;
                parts.reserve_exact(1);
                parts.insert(place, part);
                row.changed = look;
                true
            }
        };
        self.watch.heard(row.place, heard(parts));
        is_first
    }

    /// Removes what the scan `seen` of a shard, now complete, did not meet.
    pub(super) fn sweep(&mut self, shard: ShardId, seen: u64, met: usize) {
        let parts = self.parts.entry(shard).or_default();
        if *parts <= met {
            return;
        }
        let (watch, look) = (&mut self.watch, self.looks + 1);
        self.series.retain(|_, row| {
            let before = row.parts.len();
            row.parts.retain(|part| part.shard != shard || part.seen == seen);
            *parts -= before - row.parts.len();
            if row.parts.is_empty() {
                watch.end(row.place);
            } else if row.parts.len() < before {
                watch.heard(row.place, heard(&row.parts));
                row.changed = look;
            }
            !row.parts.is_empty()
        });
        // The series lie in the order of their ids.
        let mut before = None;
        let ids = self.series.keys().map(|series| &series.sensor_id);
        self.sensors = ids.filter(|id| before.replace(*id) != Some(*id)).count();
    }

    /// A shard's states are complete until then, by Redis's clock.
    pub(super) fn advance(&mut self, shard: ShardId, ms: u64) {
        self.clocks.advance(shard, ms);
    }

    /// Judges at most so many of those whose silence has become too long, or has ended; gives
    /// those that turned, and whether nobody is left to be judged.
    pub(super) fn judge(&mut self, most: usize) -> (Vec<Turned>, bool) {
        let (turned, is_done) = self.watch.judge(&self.clocks, most);
        let (known, look) = (&mut self.series, self.looks + 1);
        let turned = turned.into_iter().filter_map(|(field, status)| {
            let series = SeriesKey::from_field(field)?;
            let row = known.get_mut(&series)?;
            row.changed = look;
            let last_at = last_at(&row.parts)?;
            Some(Turned { series, status, last_at })
        });
        (turned.collect(), is_done)
    }

    /// How many series have each status, as in [`Status::ALL`]; `None` until the first load is
    /// complete.
    pub(super) fn statuses(&self) -> Option<[usize; Status::ALL.len()]> {
        self.as_of.map(|_| self.watch.counts())
    }

    fn merge<'a>(&'a self, series: &'a SeriesKey, row: &'a Row) -> Merged<'a> {
        let mut statistics = Statistics::default();
        let mut latest: Option<&Part> = None;
        // Parts lie in the order of their shards: of two latest readings the later shard's counts.
        for part in &row.parts {
            statistics.merge(&part.state.statistics);
            let at = |part: &Part| part.state.statistics.ends.last_at;
            if latest.is_none_or(|latest| at(part) >= at(latest)) {
                latest = Some(part);
            }
        }
        let attributes = latest.and_then(|part| part.attributes.as_deref());
        let status = self.as_of.map(|_| self.watch.status(row.place));
        Merged { series, statistics, attributes, status }
    }

    /// Forgets everything but how many looks there were: the data set began anew.
    pub(super) fn clear(&mut self) {
        *self = Self { looks: self.looks, ..Self::default() };
    }
}

/// When a series was last measured.
fn last_at(parts: &[Part]) -> Option<UnixMillis> {
    parts.iter().map(|part| part.state.statistics.ends.last_at).max()
}

/// What was heard of a series; the part that was heard last has its interval.
fn heard(parts: &[Part]) -> Heard {
    let latest = parts.iter().map(|part| &part.state).max_by_key(|state| state.applied.entry);
    let (at_ms, interval_ms) =
        latest.map_or((0, 0), |state| (state.applied.entry.ms, state.interval.ms()));
    let judge = match parts {
        [part] => Some(part.shard),
        _ => None,
    };
    Heard { at_ms, interval_ms, judge }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
