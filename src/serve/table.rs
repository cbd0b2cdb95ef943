//! The table of all series: what Redis knows, kept in memory so that lists need no Redis.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use tokio::sync::Semaphore;

use super::quiet::Status;
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
    series: BTreeMap<SeriesKey, Vec<Part>>,
    /// How many different sensor ids the series have.
    sensors: usize,
    /// Parts per shard.
    parts: BTreeMap<ShardId, usize>,
    /// When every shard had been compared; `None` until the first load is complete.
    pub(super) as_of: Option<UnixMillis>,
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
    /// `None` until it can be judged.
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
        change(&mut self.rows.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Default for Table {
    fn default() -> Self {
        let long_looks = Arc::new(Semaphore::new(LONG_LOOKS_MAX as usize));
        Self { rows: RwLock::default(), long_looks }
    }
}

impl Rows {
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
        self.of_sensor(id).map(|(series, parts)| merge(series, parts))
    }

    fn of_sensor<'a>(
        &'a self,
        id: &'a str,
    ) -> impl Iterator<Item = (&'a SeriesKey, &'a Vec<Part>)> {
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
            .map(|(series, parts)| merge(series, parts))
    }

    /// When a series was last measured; `None` when it is not known.
    pub(super) fn last_at(&self, series: &SeriesKey) -> Option<UnixMillis> {
        let parts = self.series.get(series)?;
        parts.iter().map(|part| part.state.statistics.ends.last_at).max()
    }

    /// The last of the shards that a sensor has sent through; `None` when it is not known.
    pub(super) fn last_shard(&self, id: &str) -> Option<ShardId> {
        let parts = self.of_sensor(id).flat_map(|(_, parts)| parts);
        parts.map(|part| part.shard).max()
    }

    /// What is shown with a series' readings.
    pub(super) fn attributes(&self, series: &SeriesKey) -> &Attributes {
        let merged = self.series.get_key_value(series).map(|(series, parts)| merge(series, parts));
        merged.and_then(|merged| merged.attributes).unwrap_or(&NO_ATTRIBUTES)
    }

    /// What one shard knows of a series.
    pub(super) fn part(&self, series: &SeriesKey, shard: ShardId) -> Option<&Part> {
        self.series.get(series)?.iter().find(|part| part.shard == shard)
    }

    /// Takes in what a shard knows of a series; without attributes the ones known stay, unless the
    /// series was deleted meanwhile and came back under another number. Says whether this scan
    /// meets it for the first time: a scan may meet one twice.
    pub(super) fn put(&mut self, series: SeriesKey, part: Part) -> bool {
        if !self.series.contains_key(&series) && self.sensor(&series.sensor_id).next().is_none() {
            self.sensors += 1;
        }
        let parts = self.series.entry(series).or_default();
        match parts.binary_search_by_key(&part.shard, |part| part.shard) {
            Ok(place) => {
                let known = &mut parts[place];
                let is_first = known.seen != part.seen;
                let is_same = known.state.number == part.state.number;
                let attributes = part.attributes.or(known.attributes.take().filter(|_| is_same));
                *known = Part { attributes, ..part };
                is_first
            }
            Err(place) => {
                *self.parts.entry(part.shard).or_default() += 1;
                parts.reserve_exact(1);
                parts.insert(place, part);
                true
            }
        }
    }

    /// Removes what the scan `seen` of a shard, now complete, did not meet.
    pub(super) fn sweep(&mut self, shard: ShardId, seen: u64, met: usize) {
        let parts = self.parts.entry(shard).or_default();
        if *parts <= met {
            return;
        }
        self.series.retain(|_, all| {
            let before = all.len();
            all.retain(|part| part.shard != shard || part.seen == seen);
            *parts -= before - all.len();
            !all.is_empty()
        });
        // The series lie in the order of their ids.
        let mut before = None;
        let ids = self.series.keys().map(|series| &series.sensor_id);
        self.sensors = ids.filter(|id| before.replace(*id) != Some(*id)).count();
    }

    /// Forgets everything: the data set began anew.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn merge<'a>(series: &'a SeriesKey, parts: &'a [Part]) -> Merged<'a> {
    let mut statistics = Statistics::default();
    let mut latest: Option<&Part> = None;
    // Parts lie in the order of their shards: of two latest readings the later shard's counts.
    for part in parts {
        statistics.merge(&part.state.statistics);
        let at = |part: &Part| part.state.statistics.ends.last_at;
        if latest.is_none_or(|latest| at(part) >= at(latest)) {
            latest = Some(part);
        }
    }
    let attributes = latest.and_then(|part| part.attributes.as_deref());
    Merged { series, statistics, attributes, status: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str, kind: &str) -> SeriesKey {
        SeriesKey { sensor_id: id.into(), sensor_type: kind.into() }
    }

    #[tokio::test]
    async fn a_change_waits_for_a_long_look_without_holding_a_thread() {
        let table = Arc::new(Table::default());
        let (go_on, wait) = std::sync::mpsc::sync_channel::<()>(1);
        let look = table.at_length(move |table| {
            let rows = table.read();
            // Until the change has been asked for, and this thread was free to say so.
            wait.recv().map(|()| rows.len())
        });
        let change = async {
            tokio::join!(
                table.change(|rows| rows.put(key("a", "t"), part(0, 1, 1.0, 1, ""))),
                async {
                    go_on.send(()).unwrap();
                }
            )
        };
        let (seen, (is_first, ())) = tokio::join!(look, change);
        assert_eq!((seen, is_first, table.read().len()), (Ok(0), true, 1));
    }

    fn part(shard: u16, seen: u64, value: f64, at: i64, unit: &str) -> Part {
        let mut state = State::default();
        state.statistics.fold(value, UnixMillis(at));
        let attributes = Attributes { unit: unit.into(), ..Attributes::default() };
        Part { shard: ShardId(shard), seen, state, attributes: Some(Arc::new(attributes)) }
    }

    #[test]
    fn a_series_in_two_shards_is_one_row() {
        let mut rows = Rows::default();
        rows.put(key("a", "t"), part(3, 1, 1.0, 10, "new"));
        rows.put(key("a", "t"), part(1, 1, 5.0, 5, "old"));
        rows.put(key("b", "t"), part(1, 1, 7.0, 5, "b"));
        let all: Vec<_> = rows.after(None).collect();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].statistics.moments.count, 2);
        assert_eq!(all[0].statistics.ends.last_value.to_bits(), 1.0f64.to_bits());
        assert_eq!(&*all[0].attributes.unwrap().unit, "new");
        assert_eq!((rows.len(), rows.sensors()), (2, 2));
        assert_eq!(rows.last_at(&key("a", "t")), Some(UnixMillis(10)));
    }

    #[test]
    fn what_a_scan_did_not_meet_is_gone() {
        let mut rows = Rows::default();
        rows.put(key("a", "t"), part(0, 1, 1.0, 1, ""));
        rows.put(key("b", "t"), part(0, 1, 1.0, 1, ""));
        rows.put(key("b", "t"), part(1, 1, 1.0, 1, ""));
        rows.put(key("a", "t"), part(0, 2, 1.0, 1, ""));
        rows.sweep(ShardId(0), 2, 1);
        assert_eq!(rows.after(None).count(), 2);
        assert!(rows.part(&key("b", "t"), ShardId(0)).is_none());
        assert!(rows.part(&key("b", "t"), ShardId(1)).is_some());
        rows.sweep(ShardId(1), 2, 0);
        assert_eq!(rows.len(), 1);
    }

    #[test]
    fn a_sensor_has_all_its_types_and_no_others() {
        let mut rows = Rows::default();
        for (id, kind) in [("a", "t"), ("a", "h"), ("ab", "t"), ("A", "t")] {
            rows.put(key(id, kind), part(0, 1, 1.0, 1, ""));
        }
        let types: Vec<_> = rows.sensor("a").map(|row| &*row.series.sensor_type).collect();
        assert_eq!(types, ["h", "t"]);
        assert_eq!((rows.len(), rows.sensors()), (4, 3));
        rows.put(key("a", "t"), part(4, 1, 1.0, 1, ""));
        assert_eq!(rows.last_shard("a"), Some(ShardId(4)));
        assert_eq!((rows.last_shard("ab"), rows.last_shard("b")), (Some(ShardId(0)), None));
        let rest: Vec<_> = rows.after(Some(&key("a", "t"))).map(|row| row.series).collect();
        assert_eq!(rest, [&key("ab", "t")]);
    }

    #[test]
    fn known_attributes_stay_until_others_come() {
        let mut rows = Rows::default();
        rows.put(key("a", "t"), part(0, 1, 1.0, 1, "°C"));
        rows.put(key("a", "t"), Part { attributes: None, ..part(0, 2, 2.0, 2, "") });
        assert_eq!(&*rows.after(None).next().unwrap().attributes.unwrap().unit, "°C");
        let mut back = Part { attributes: None, ..part(0, 3, 2.0, 2, "") };
        back.state.number = 7;
        rows.put(key("a", "t"), back);
        assert!(rows.after(None).next().unwrap().attributes.is_none(), "another series by now");
    }
}
