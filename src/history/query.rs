//! Reading history: all shards asked, merged by time, bounded in memory.
//!
//! Position, state and the list of blocks are read in one transaction per shard. Everything up to
//! the lengths they record never changes, so the blocks themselves are read afterwards, in slices,
//! and still show exactly what had been committed at that position (see `gather`).

use std::collections::BTreeMap;

use super::block::{Newest, span_end, span_start};
use super::error::Error;
use super::gather::{Block, collect};
use super::spans::Spans;
use crate::reading::{SeriesKey, UnixMillis};
use crate::shard::ShardId;
use crate::stream::{EntryId, Link, Position, ShardKeys};

/// How many readings an answer has at most unless told (design §7).
pub const LIMIT_DEFAULT: usize = 100_000;
/// How often a series that is deleted and comes back is read again before giving up.
const TRIES: u32 = 5;

/// Where a reading stands in the order of an answer: by time, then shard, then place in its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The reading's time.
    pub measured_at: UnixMillis,
    /// The shard it came through.
    pub shard: ShardId,
    /// Its place in its block, from 0, in order of arrival.
    pub offset: u64,
}

/// One reading at rest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The sensor's clock, or the time of receipt.
    pub measured_at: UnixMillis,
    /// Always finite.
    pub value: f64,
    /// The shard it came through.
    pub shard: ShardId,
    /// Its place in its block, from 0, in order of arrival.
    pub offset: u64,
}

impl Point {
    /// Where the reading stands in the order of an answer.
    #[must_use]
    pub const fn cursor(&self) -> Cursor {
        Cursor { measured_at: self.measured_at, shard: self.shard, offset: self.offset }
    }
}

/// Which readings are wanted: `from` ≤ `measured_at` < `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first millisecond wanted.
    pub from: UnixMillis,
    /// The first millisecond not wanted any more.
    pub to: UnixMillis,
    /// Only what stands behind this, where the previous answer ended.
    pub after: Option<Cursor>,
    /// At most this many, the oldest.
    pub limit: usize,
}

impl Range {
    /// From the beginning of `from`, at most [`LIMIT_DEFAULT`].
    #[must_use]
    pub const fn new(from: UnixMillis, to: UnixMillis) -> Self {
        Self { from, to, after: None, limit: LIMIT_DEFAULT }
    }

    /// The first millisecond that can have something wanted.
    fn begin(&self) -> UnixMillis {
        self.after.map_or(self.from, |after| after.measured_at.max(self.from))
    }

    fn wants_span(&self, span: i64) -> bool {
        span_end(span) > self.begin() && span_start(span) < self.to
    }

    pub(super) fn wants(&self, point: &Point) -> bool {
        (self.from..self.to).contains(&point.measured_at)
            && self.after.is_none_or(|after| point.cursor() > after)
    }
}

/// What was found of a series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeriesReadings {
    /// Ascending by (`measured_at`, shard, offset).
    pub readings: Vec<Point>,
    /// Per shard that knows the series: up to where its readings are in this answer, the higher
    /// of the last committed entry (whose index then is `u32::MAX`) and the series' `applied`.
    /// Empty when no shard knows the series.
    pub position: Vec<(ShardId, Position)>,
    /// There was more than the limit; ask again after the last reading.
    pub more: bool,
    /// States, blocks and readings that could not be understood, and were left out.
    pub faults: u64,
}

/// The readings of `series` within `range`, over all shards.
///
/// Blocks that are gone (expired, evicted) are skipped. `unpack` reads what is needed of a packed
/// state; where it answers `None` the shard is left out and counted as a fault. Holds at most
/// twice the limit of readings and a slice of 1 MiB.
///
/// # Errors
/// [`Error::Stream`] when Redis does not answer; [`Error::Unsettled`] when the series is deleted
/// and comes back over and over. Either may be tried again.
pub async fn read(
    link: &Link,
    keys: &[ShardKeys],
    series: &SeriesKey,
    range: Range,
    unpack: fn(&[u8]) -> Option<Newest>,
) -> Result<SeriesReadings, Error> {
    let field = series.field();
    let mut found = SeriesReadings::default();
    let mut blocks = Vec::new();
    for (shard, packed) in keys.iter().zip(states(link, keys, &field).await?) {
        let Some(packed) = packed else { continue };
        match (Lookup { link, keys: shard, field: &field, unpack }).settle(packed).await? {
            Found::Settled(snapshot) => {
                found.position.push((shard.shard, snapshot.position));
                found.faults += snapshot.spans.faults();
                blocks.extend(snapshot.blocks(shard, &range));
            }
            Found::Gone => {}
            Found::Unreadable => found.faults += 1,
        }
    }
    blocks.sort_by_key(|block| (block.span, block.shard));
    collect(link, &blocks, &range, &mut found).await?;
    Ok(found)
}

/// The packed state of a series in every shard.
async fn states(
    link: &Link,
    keys: &[ShardKeys],
    field: &[u8],
) -> Result<Vec<Option<Vec<u8>>>, Error> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut ask = redis::Pipeline::with_capacity(keys.len());
    for shard in keys {
        ask.cmd("HGET").arg(&shard.states).arg(field);
    }
    Ok(link.run_all(&ask).await?)
}

/// Asks one shard about one series.
struct Lookup<'a> {
    link: &'a Link,
    keys: &'a ShardKeys,
    field: &'a [u8],
    unpack: fn(&[u8]) -> Option<Newest>,
}

enum Found {
    Settled(Snapshot),
    Gone,
    Unreadable,
}

/// What belongs together, read in one transaction.
struct Snapshot {
    newest: Newest,
    position: Position,
    spans: Spans,
}

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

impl Lookup<'_> {
    /// The list of blocks is under the series' number, which is in its state: so the state is
    /// read again together with the list, until both speak of one number.
    async fn settle(&self, packed: Vec<u8>) -> Result<Found, Error> {
        let Some(mut before) = (self.unpack)(&packed) else { return Ok(Found::Unreadable) };
        for _ in 0..TRIES {
            let mut ask = redis::pipe();
            ask.atomic().cmd("HGET").arg(&self.keys.meta).arg("pos");
            ask.cmd("HGET").arg(&self.keys.states).arg(self.field);
            ask.cmd("HGETALL").arg(self.keys.spans(before.number));
            let (pos, state, fields): (Option<Vec<u8>>, Option<Vec<u8>>, Fields) =
                self.link.run_all(&ask).await?;
            let Some(state) = state else { return Ok(Found::Gone) };
            let Some(newest) = (self.unpack)(&state) else { return Ok(Found::Unreadable) };
            if newest.number == before.number {
                let committed = pos.as_deref().and_then(EntryId::parse);
                let committed = committed.map(|entry| Position { entry, index: u32::MAX });
                let position = committed.unwrap_or_default().max(newest.applied);
                let spans = Spans::from_fields(fields);
                return Ok(Found::Settled(Snapshot { newest, position, spans }));
            }
            before = newest;
        }
        Err(Error::Unsettled(TRIES))
    }
}

impl Snapshot {
    fn blocks(&self, keys: &ShardKeys, range: &Range) -> Vec<Block> {
        let mut lengths: BTreeMap<i64, u32> =
            self.spans.iter().map(|(span, kept)| (span, kept.bytes)).collect();
        if self.newest.open.bytes > 0 {
            lengths.insert(self.newest.open.span, self.newest.open.bytes);
        }
        let wanted = |(span, bytes): &(i64, u32)| *bytes > 0 && range.wants_span(*span);
        let block = |(span, bytes)| Block {
            span,
            shard: keys.shard,
            key: keys.block(self.newest.number, span),
            bytes,
        };
        lengths.into_iter().filter(wanted).map(block).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::block::{OpenBlock, SPAN_MS, write_point};
    use super::super::spans::Kept;
    use super::*;
    use crate::stream::testing::RedisServer;

    /// A packed state for these tests: number, applied (entry ms, index), open span, open bytes.
    fn unpack(packed: &[u8]) -> Option<Newest> {
        let text = std::str::from_utf8(packed).ok()?;
        let parts: Vec<i64> = text.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?;
        let &[number, ms, index, span, bytes] = parts.as_slice() else { return None };
        Some(Newest {
            number: number.try_into().ok()?,
            applied: Position {
                entry: EntryId { ms: ms.try_into().ok()?, seq: 0 },
                index: index.try_into().ok()?,
            },
            open: OpenBlock { span, bytes: bytes.try_into().ok()? },
        })
    }

    fn series() -> SeriesKey {
        SeriesKey { sensor_id: "t1".into(), sensor_type: "temperature".into() }
    }

    fn keys(shards: u16) -> Vec<ShardKeys> {
        (0..shards).map(|shard| ShardKeys::new(ShardId(shard))).collect()
    }

    struct Stage {
        redis: RedisServer,
        link: Link,
    }

    impl Stage {
        async fn new() -> Self {
            let redis = RedisServer::start(&[]).await;
            Self { link: redis.link(), redis }
        }

        async fn set(&self, arguments: &[&[u8]]) {
            self.redis.run(arguments).await;
        }

        async fn block(&self, keys: &ShardKeys, span: i64, readings: &[(i64, f64)]) -> u32 {
            let mut block = Vec::new();
            for &(at, value) in readings {
                write_point(UnixMillis(at), value, &mut block);
            }
            self.set(&[b"SET", keys.block(7, span).as_bytes(), &block]).await;
            u32::try_from(block.len()).unwrap()
        }

        async fn closed(&self, keys: &ShardKeys, span: i64, readings: &[(i64, f64)]) {
            let bytes = self.block(keys, span, readings).await;
            let kept = Kept { bytes, expires_at: UnixMillis(i64::MAX) }.to_string();
            let (field, hash) = (super::super::span_field(span), keys.spans(7));
            self.set(&[b"HSET", hash.as_bytes(), field.as_bytes(), kept.as_bytes()]).await;
        }

        async fn state(&self, keys: &ShardKeys, state: &str) {
            let field = series().field();
            self.set(&[b"HSET", keys.states.as_bytes(), &field, state.as_bytes()]).await;
        }

        async fn pos(&self, keys: &ShardKeys, pos: &str) {
            self.set(&[b"HSET", keys.meta.as_bytes(), b"pos", pos.as_bytes()]).await;
        }

        async fn read(&self, range: Range) -> SeriesReadings {
            read(&self.link, &keys(3), &series(), range, unpack).await.unwrap()
        }
    }

    fn all() -> Range {
        Range::new(UnixMillis(i64::MIN), UnixMillis(i64::MAX))
    }

    fn times(found: &SeriesReadings) -> Vec<(i64, u16)> {
        found.readings.iter().map(|point| (point.measured_at.0, point.shard.0)).collect()
    }

    #[tokio::test]
    async fn shards_and_blocks_merge_by_time_with_their_positions() {
        let stage = Stage::new().await;
        let keys = keys(3);
        let late = SPAN_MS + 5;
        stage.closed(&keys[0], 0, &[(20, 2.0), (10, 1.0)]).await;
        stage.closed(&keys[0], -1, &[(-5, 0.5)]).await;
        let open = stage.block(&keys[0], 1, &[(late, 3.0), (late + 9, 9.0)]).await;
        // Of the open block only one reading is committed.
        stage.state(&keys[0], &format!("7 100 3 1 {}", open - 16)).await;
        stage.pos(&keys[0], "90-0").await;
        let open = stage.block(&keys[2], 0, &[(10, 1.5), (30, 4.0)]).await;
        stage.state(&keys[2], &format!("7 50 2 0 {open}")).await;
        stage.pos(&keys[2], "60-4").await;

        let found = stage.read(all()).await;
        assert_eq!(times(&found), [(-5, 0), (10, 0), (10, 2), (20, 0), (30, 2), (late, 0)]);
        assert_eq!(found.readings[1].offset, 1);
        let position = |ms, seq, index| Position { entry: EntryId { ms, seq }, index };
        assert_eq!(
            found.position,
            [(ShardId(0), position(100, 0, 3)), (ShardId(2), position(60, 4, u32::MAX))]
        );
        assert_eq!((found.more, found.faults), (false, 0));

        let found = stage.read(Range::new(UnixMillis(10), UnixMillis(30))).await;
        assert_eq!(times(&found), [(10, 0), (10, 2), (20, 0)]);
    }

    #[tokio::test]
    async fn a_limit_keeps_the_oldest_and_a_cursor_goes_on_from_there() {
        let stage = Stage::new().await;
        let keys = keys(3);
        // More than a slice, the newest first.
        let many: Vec<_> = (0..200_000).rev().map(|n| (n, 1.0)).collect();
        let open = stage.block(&keys[1], 0, &many).await;
        stage.state(&keys[1], &format!("7 1 0 0 {open}")).await;

        let range = Range { limit: 1_000, ..all() };
        let found = stage.read(range).await;
        assert!(found.more);
        assert_eq!(times(&found), (0..1_000).map(|n| (n, 1)).collect::<Vec<_>>());
        let after = found.readings.last().map(Point::cursor);
        let found = stage.read(Range { after, ..range }).await;
        assert_eq!(times(&found), (1_000..2_000).map(|n| (n, 1)).collect::<Vec<_>>());
        let found = stage.read(Range { limit: 200_000, ..range }).await;
        assert_eq!((found.readings.len(), found.more), (200_000, false));
        let found = stage.read(Range { limit: 0, ..range }).await;
        assert_eq!((found.readings.len(), found.more), (0, true));
    }

    #[tokio::test]
    async fn what_is_gone_is_skipped_and_what_is_wrong_is_counted() {
        let stage = Stage::new().await;
        let keys = keys(3);
        let hash = keys[0].spans(7);
        stage.set(&[b"HSET", hash.as_bytes(), b"5", b"160 1", b"x", b"?"]).await;
        stage.closed(&keys[0], 0, &[(1, 1.0), (SPAN_MS, 2.0), (3, f64::NAN)]).await;
        stage.state(&keys[0], "7 1 0 9 64").await;
        stage.state(&keys[1], "not a state").await;
        let found = stage.read(all()).await;
        assert_eq!(times(&found), [(1, 0)]);
        assert_eq!(found.faults, 4);
        assert_eq!(found.position.len(), 1);
    }

    #[tokio::test]
    async fn nobody_knows_the_series() {
        let stage = Stage::new().await;
        assert_eq!(stage.read(all()).await, SeriesReadings::default());
        let none = read(&stage.link, &[], &series(), all(), unpack).await.unwrap();
        assert_eq!(none, SeriesReadings::default());
    }

    /// The number in the first answer is an old one: the list of blocks must be that of the new.
    #[tokio::test]
    async fn a_series_that_came_back_is_read_under_its_new_number() {
        let stage = Stage::new().await;
        let keys = keys(1);
        let open = stage.block(&keys[0], 0, &[(1, 1.0)]).await;
        stage.state(&keys[0], &format!("7 1 0 0 {open}")).await;
        let field = series().field();
        let lookup = Lookup { link: &stage.link, keys: &keys[0], field: &field, unpack };
        let Found::Settled(snapshot) = lookup.settle(b"3 1 0 0 999".to_vec()).await.unwrap() else {
            panic!("not settled");
        };
        assert_eq!(snapshot.newest.number, 7);
        assert_eq!(snapshot.blocks(&keys[0], &all()).len(), 1);
    }
}
