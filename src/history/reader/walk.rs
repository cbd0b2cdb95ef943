//! A series over all its shards, one group of days after the other.
//!
//! Groups are cut at midnight (UTC), so that spans by the hour and by the day of one time are in
//! one group, and they divide the whole range between them: what moves from the open end into a
//! span between two groups belongs to the same group before and after, and so is found once.

use std::collections::{BTreeMap, BTreeSet};

use redis::FromRedisValue;

use super::{Reader, TRIES};
use crate::history::answer::{Faults, Range};
use crate::history::error::Error;
use crate::history::open::OpenEnd;
use crate::history::span::{DAY_MS, Shelf, Span, after};
use crate::reading::UnixMillis;
use crate::shard::ShardId;
use crate::stream::{EntryId, Position, ShardKeys};

/// How many spans a group has at most, unless a single day has more. A guess: their newest blocks
/// are below 1 MiB together, nearly always.
const SPANS_PER_GROUP: usize = 64;

/// The way through a series' history.
pub(super) struct Walk<'a> {
    reader: &'a Reader<'a>,
    field: Vec<u8>,
    shelves: &'a [Shelf],
    range: &'a Range,
    known: Vec<Known<'a>>,
    /// Where the next group begins.
    next: UnixMillis,
    /// By shard, up to where the answer reaches: that of the first group.
    pub(super) position: Vec<(ShardId, Position)>,
    /// What could not be understood so far.
    pub(super) faults: Faults,
}

/// A shard that knows the series.
struct Known<'a> {
    keys: &'a ShardKeys,
    number: u64,
    /// Spans of the shard within the range, whether or not they have a block of the series.
    spans: BTreeSet<Span>,
}

/// A stretch of the range: `[from, to)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    pub(super) from: UnixMillis,
    pub(super) to: UnixMillis,
}

/// What a shard has of the series in a group, all of one moment.
pub(super) struct Snapshot<'a> {
    pub(super) keys: &'a ShardKeys,
    pub(super) number: u64,
    /// When the last entry came that is folded in.
    pub(super) written_at: UnixMillis,
    pub(super) open: OpenEnd,
    /// The newest block of every span that has one.
    pub(super) blocks: Vec<(Span, Vec<u8>)>,
}

impl<'a> Walk<'a> {
    /// Asks all shards about the series and the spans they have.
    pub(super) async fn begin(
        reader: &'a Reader<'a>,
        field: Vec<u8>,
        shelves: &'a [Shelf],
        range: &'a Range,
    ) -> Result<Self, Error> {
        let (known, position, faults) = (Vec::new(), Vec::new(), Faults::default());
        let next = range.begin();
        let mut walk = Self { reader, field, shelves, range, known, next, position, faults };
        for (keys, packed) in reader.keys.iter().zip(reader.states(&walk.field).await?) {
            let Some(packed) = packed else { continue };
            match (reader.unpack)(&packed) {
                Some(newest) => {
                    let (number, spans) = (newest.number, BTreeSet::new());
                    walk.known.push(Known { keys, number, spans });
                }
                None => {
                    let series = String::from_utf8_lossy(&walk.field).replace('\0', " ");
                    walk.faults.add(&keys.states, &series, "not a state");
                }
            }
        }
        if !walk.known.is_empty() {
            let mut ask = redis::Pipeline::with_capacity(walk.known.len());
            for known in &walk.known {
                ask.cmd("HKEYS").arg(&known.keys.inventory);
            }
            let lists: Vec<Vec<Vec<u8>>> = reader.link.run_all(&ask).await?;
            for (place, list) in lists.iter().enumerate() {
                walk.known[place].spans = walk.wanted(list);
            }
        }
        Ok(walk)
    }

    /// The shards that know the series, and its number there.
    pub(super) fn known(&self) -> impl Iterator<Item = (&'a ShardKeys, u64)> {
        self.known.iter().map(|known| (known.keys, known.number))
    }

    /// By shard, the number of the series there.
    pub(super) fn numbers(&self) -> Vec<(ShardId, u64)> {
        self.known().map(|(keys, number)| (keys.shard, number)).collect()
    }

    /// Who asks Redis.
    pub(super) const fn reader(&self) -> &'a Reader<'a> {
        self.reader
    }

    /// The next group; `None` at the end of the range.
    pub(super) fn next(&mut self) -> Option<Group> {
        let from = self.next;
        if self.known.is_empty() || from >= self.range.to {
            return None;
        }
        let mut days = BTreeMap::<i64, usize>::new();
        let spans = self.known.iter().flat_map(|known| &known.spans);
        for span in spans.filter(|span| span.end() > from) {
            *days.entry(span.start().0.div_euclid(DAY_MS)).or_default() += 1;
        }
        let mut count = 0;
        let is_too_much = |(_, spans): &(&i64, &usize)| {
            count += **spans;
            count > SPANS_PER_GROUP && count > **spans
        };
        let too_much = days.iter().find(is_too_much);
        let cut = too_much.map(|(day, _)| UnixMillis(day.saturating_mul(DAY_MS)));
        let to = cut.map_or(self.range.to, |cut| cut.min(self.range.to));
        self.next = to;
        Some(Group { from, to })
    }

    /// What all shards have in a group, ascending; `None` when the series is another than when
    /// the walk began.
    pub(super) async fn snapshots(
        &mut self,
        group: Group,
    ) -> Result<Option<Vec<Snapshot<'a>>>, Error> {
        let is_first = self.position.is_empty();
        let mut snapshots = Vec::with_capacity(self.known.len());
        for place in 0..self.known.len() {
            let Some((snapshot, position)) = self.snapshot(place, group).await? else {
                return Ok(None);
            };
            if is_first {
                self.position.push((snapshot.keys.shard, position));
            }
            snapshots.push(snapshot);
        }
        Ok(Some(snapshots))
    }

    async fn snapshot(
        &mut self,
        place: usize,
        group: Group,
    ) -> Result<Option<(Snapshot<'a>, Position)>, Error> {
        let Known { keys, number, .. } = self.known[place];
        for _ in 0..TRIES {
            let asked: Vec<Span> = self.spans(place, group).collect();
            let ask = self.question(place, &asked);
            let answer: Vec<redis::Value> = self.reader.link.run_all(&ask).await?;
            let mut answer = answer.into_iter();
            let pos: Option<Vec<u8>> = next(&mut answer)?;
            let state: Option<Vec<u8>> = next(&mut answer)?;
            let newest = state.as_deref().and_then(self.reader.unpack);
            let Some(newest) = newest.filter(|newest| newest.number == number) else {
                return Ok(None);
            };
            // A span that began to exist since it was asked about may have what the open end had.
            let list: Vec<Vec<u8>> = next(&mut answer)?;
            self.known[place].spans = self.wanted(&list);
            if self.spans(place, group).any(|span| !asked.contains(&span)) {
                continue;
            }
            let mut blocks = Vec::with_capacity(asked.len());
            for span in asked {
                let block: Option<Vec<u8>> = next(&mut answer)?;
                blocks.extend(block.map(|block| (span, block)));
            }
            let committed = pos.as_deref().and_then(EntryId::parse);
            let committed = committed.map(|entry| Position { entry, index: u32::MAX });
            let position = committed.unwrap_or_default().max(newest.applied);
            let written_at = newest.applied.entry.ms.try_into().unwrap_or(i64::MAX);
            let written_at = UnixMillis(written_at);
            let open = newest.open;
            return Ok(Some((Snapshot { keys, number, written_at, open, blocks }, position)));
        }
        Err(Error::Unsettled(TRIES))
    }

    fn question(&self, place: usize, spans: &[Span]) -> redis::Pipeline {
        let Known { keys, number, .. } = &self.known[place];
        let mut ask = redis::Pipeline::with_capacity(spans.len() + 3);
        ask.atomic().cmd("HGET").arg(&keys.meta).arg("pos");
        ask.cmd("HGET").arg(&keys.states).arg(&self.field);
        ask.cmd("HKEYS").arg(&keys.inventory);
        for span in spans {
            ask.cmd("HGET").arg(keys.history(span)).arg(number);
        }
        ask
    }

    /// The spans of an inventory that may have something wanted.
    fn wanted(&self, list: &[Vec<u8>]) -> BTreeSet<Span> {
        let spans = list.iter().filter_map(|field| Span::parse(std::str::from_utf8(field).ok()?));
        spans
            .filter(|span| self.shelves.contains(&span.shelf))
            .filter(|span| span.end() > self.range.begin() && span.start() < self.range.to)
            .collect()
    }

    fn spans(&self, place: usize, group: Group) -> impl Iterator<Item = Span> {
        let spans = self.known[place].spans.iter().copied();
        spans.filter(move |span| span.end() > group.from && span.start() < group.to)
    }
}

impl Snapshot<'_> {
    /// Whether what was measured at this time and still is in the open end would be gone, had it
    /// been moved into its span of this shelf.
    pub(super) fn has_expired(&self, shelf: Shelf, at: UnixMillis, reader: &Reader<'_>) -> bool {
        let retention = reader.retentions.of(shelf.share());
        after(self.written_at.max(Span::of(shelf, at).end()), retention) < reader.now
    }
}

impl Group {
    pub(super) fn contains(&self, at: UnixMillis) -> bool {
        (self.from..self.to).contains(&at)
    }
}

/// The next reply of a transaction.
fn next<T: FromRedisValue>(answer: &mut impl Iterator<Item = redis::Value>) -> Result<T, Error> {
    let value = answer.next().unwrap_or(redis::Value::Nil);
    let parsed = T::from_redis_value(value).map_err(redis::RedisError::from);
    Ok(parsed.map_err(crate::stream::Error::from)?)
}
