//! Reading history: all shards asked, stored and open ends joined, bounded in memory.
//!
//! A series' readings move: from the open end in its state into the newest block of a span, and
//! from there into full blocks, which never change any more. So everything that can move is read
//! in one transaction per shard and group of days (see `walk`), and only full blocks are fetched
//! afterwards, in slices, as far as they are needed (see `readings`).

mod order;
mod readings;
#[cfg(test)]
mod tests;
mod walk;
mod windows;

use std::collections::{BTreeMap, BTreeSet};

use super::answer::{Faults, Range, Reach, SeriesReadings, SeriesWindows};
use super::attributes::Versions;
use super::error::Error;
use super::inventory::horizon_field;
use super::open::Newest;
use super::span::{Resolution, Retentions, Share, Shelf, Span};
use crate::reading::{SeriesKey, UnixMillis};
use crate::shard::ShardId;
use crate::stream::{Link, ShardKeys};
use walk::Walk;

/// How often a series that is deleted and comes back is read again before giving up.
const TRIES: u32 = 5;

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

/// When a series began in a shard, and before when the shard evicted, by share.
type Horizons = (UnixMillis, [Option<UnixMillis>; 3]);

/// Versions that occur in an answer.
type Used = BTreeSet<(ShardId, u32)>;

impl Reader<'_> {
    /// The readings of `series` within `range`, over all shards.
    ///
    /// Spans that are gone (expired, evicted) are skipped. Holds at most about twice the limit of
    /// readings, and beside them some MiB of blocks.
    ///
    /// # Errors
    /// [`Error::Stream`] when Redis does not answer; [`Error::Unsettled`] when the series is
    /// deleted and comes back over and over. Either may be tried again.
    pub async fn readings(
        &self,
        series: &SeriesKey,
        range: Range,
    ) -> Result<SeriesReadings, Error> {
        let shelves = &[Shelf::ReadingsByHour, Shelf::ReadingsByDay];
        for _ in 0..TRIES {
            let mut walk = Walk::begin(self, series.field(), shelves, &range).await?;
            if let Some(mut found) = readings::collect(&mut walk, &range).await? {
                let used: Used =
                    found.readings.iter().map(|it| (it.shard, it.attributes)).collect();
                found.position.clone_from(&walk.position);
                found.numbers = walk.numbers();
                found.faults = std::mem::take(&mut walk.faults);
                found.attributes = self.attributes(&walk, &used, &mut found.faults).await?;
                return Ok(found);
            }
        }
        Err(Error::Unsettled(TRIES))
    }

    /// The windows of `series` that begin within `range`, merged over all shards.
    ///
    /// Spans that are gone (expired, evicted) are skipped. Holds at most the limit of windows, and
    /// beside them some MiB of blocks.
    ///
    /// # Errors
    /// As [`Reader::readings`].
    pub async fn windows(
        &self,
        series: &SeriesKey,
        resolution: Resolution,
        range: Range,
    ) -> Result<SeriesWindows, Error> {
        let shelves = &[resolution.shelf()];
        for _ in 0..TRIES {
            let mut walk = Walk::begin(self, series.field(), shelves, &range).await?;
            if let Some(mut found) = windows::collect(&mut walk, resolution, &range).await? {
                let used: Used =
                    found.windows.iter().map(|(shard, it)| (*shard, it.attributes)).collect();
                found.position.clone_from(&walk.position);
                found.numbers = walk.numbers();
                found.faults = std::mem::take(&mut walk.faults);
                found.attributes = self.attributes(&walk, &used, &mut found.faults).await?;
                return Ok(found);
            }
        }
        Err(Error::Unsettled(TRIES))
    }

    /// How far the history of `series` reaches back, by share.
    ///
    /// # Errors
    /// [`Error::Stream`] when Redis does not answer.
    pub async fn reach(&self, series: &SeriesKey) -> Result<Reach, Error> {
        let mut reach = Reach::default();
        for (first_at, horizons) in self.horizons(series).await? {
            for (share, horizon) in Share::ALL.into_iter().zip(horizons) {
                let horizon = horizon.max(self.taken_since(share));
                // What a shard evicted before the series' first reading there was not the series'.
                let horizon = horizon.filter(|horizon| *horizon > first_at);
                let since = &mut reach.since[share.index()];
                *since = (*since).max(horizon);
            }
        }
        Ok(reach)
    }

    /// Before when some of a share may be gone in a shard that knows `series`, because a span that
    /// ended there was evicted; `None`: nothing ever was. It only grows, unless a shard forgets
    /// the series.
    ///
    /// # Errors
    /// [`Error::Stream`] when Redis does not answer.
    pub async fn evicted(
        &self,
        series: &SeriesKey,
        share: Share,
    ) -> Result<Option<UnixMillis>, Error> {
        let all = self.horizons(series).await?;
        Ok(all.into_iter().filter_map(|(_, horizons)| horizons[share.index()]).max())
    }

    /// Of every shard that knows a series: its first reading there, and before when spans were
    /// evicted, by share.
    async fn horizons(&self, series: &SeriesKey) -> Result<Vec<Horizons>, Error> {
        let mut known = Vec::new();
        for (keys, packed) in self.keys.iter().zip(self.states(&series.field()).await?) {
            if let Some(newest) = packed.as_deref().and_then(self.unpack) {
                known.push((keys, newest.first_at));
            }
        }
        if known.is_empty() {
            return Ok(Vec::new());
        }
        let mut ask = redis::Pipeline::with_capacity(known.len());
        for (keys, _) in &known {
            ask.cmd("HMGET").arg(&keys.inventory).arg(&Share::ALL.map(horizon_field));
        }
        let horizons: Vec<[Option<i64>; 3]> = self.link.run_all(&ask).await?;
        let of_shards = known.into_iter().zip(horizons);
        Ok(of_shards
            .map(|((_, first_at), at)| (first_at, at.map(|at| at.map(UnixMillis))))
            .collect())
    }

    /// Since when a share has everything, if it has lost nothing: readings are kept whenever they
    /// arrive, windows only when their time is no longer past than they are kept. Spans are whole,
    /// so that those of all that arrived in time are there from a little earlier on.
    fn taken_since(&self, share: Share) -> Option<UnixMillis> {
        let shelf = match share {
            Share::Readings => return None,
            Share::Minutes => Resolution::Minute.shelf(),
            Share::Hours => Resolution::Hour.shelf(),
        };
        let retention = self.retentions.of(share).as_millis();
        let retention = i64::try_from(retention).unwrap_or(i64::MAX);
        Some(Span::of(shelf, UnixMillis(self.now.0.saturating_sub(retention))).start())
    }

    /// The packed state of a series in every shard.
    async fn states(&self, field: &[u8]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        if self.keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut ask = redis::Pipeline::with_capacity(self.keys.len());
        for shard in self.keys {
            ask.cmd("HGET").arg(&shard.states).arg(field);
        }
        Ok(self.link.run_all(&ask).await?)
    }

    /// The texts of versions: of one that has ended from the list, of any other the newest of
    /// its shard. Another shard may have had other attributes since.
    async fn attributes(
        &self,
        walk: &Walk<'_>,
        used: &Used,
        faults: &mut Faults,
    ) -> Result<Vec<(ShardId, u32, String)>, Error> {
        let mut by_shard = BTreeMap::<ShardId, Vec<u32>>::new();
        for (shard, version) in used {
            by_shard.entry(*shard).or_default().push(*version);
        }
        let asked: Vec<_> =
            walk.known().filter(|(keys, _)| by_shard.contains_key(&keys.shard)).collect();
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let mut ask = redis::Pipeline::with_capacity(asked.len());
        for (keys, number) in &asked {
            // With one command, so that no version is in force in one and ended in the other.
            ask.cmd("HMGET").arg(&keys.attributes).arg(number).arg(format!("{number}:v"));
        }
        let stored: Vec<[Option<Vec<u8>>; 2]> = self.link.run_all(&ask).await?;
        let mut texts = Vec::new();
        for ((keys, number), [newest, list]) in asked.iter().zip(stored) {
            let newest = newest.map(|text| String::from_utf8_lossy(&text).into_owned());
            let versions = list.as_deref().map(|list| {
                Versions::parse(list).unwrap_or_else(|| {
                    faults.add(&keys.attributes, &format!("{number}:v"), "not a list of versions");
                    Versions::default()
                })
            });
            for version in &by_shard[&keys.shard] {
                let ended = versions.as_ref().and_then(|versions| versions.attributes(*version));
                let text = ended.or(newest.as_deref());
                texts.extend(text.map(|text| (keys.shard, *version, text.to_owned())));
            }
        }
        Ok(texts)
    }
}
