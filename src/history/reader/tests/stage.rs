//! A Redis, and a writer that fills it as an owner does, with small blocks.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::history::answer::{Point, Range, SeriesReadings};
use crate::history::codec::varint::Input;
use crate::history::codec::{readings, windows};
use crate::history::open::{Newest, OpenEnd};
use crate::history::reader::Reader;
use crate::history::span::{Resolution, Retentions, Shelf, Span, StoredReading};
use crate::history::window::Window;
use crate::reading::{SeriesKey, UnixMillis};
use crate::shard::ShardId;
use crate::stream::testing::RedisServer;
use crate::stream::{EntryId, Link, Position, ShardKeys};

const DAY: Duration = Duration::from_hours(24);

/// A packed state of these tests: number, entry, index, first reading, open end.
fn unpack(packed: &[u8]) -> Option<Newest> {
    let mut input = Input(packed);
    let number = input.unsigned()?;
    let entry = EntryId { ms: input.unsigned()?, seq: input.unsigned()? };
    let index = u32::try_from(input.unsigned()?).ok()?;
    let first_at = UnixMillis(input.signed()?);
    let open = OpenEnd::read(&mut input)?;
    Some(Newest { number, applied: Position { entry, index }, first_at, open })
}

fn pack(newest: &Newest) -> Vec<u8> {
    use crate::history::codec::varint::{write_signed, write_unsigned};
    let mut packed = Vec::new();
    let Position { entry, index } = newest.applied;
    for number in [newest.number, entry.ms, entry.seq, u64::from(index)] {
        write_unsigned(number, &mut packed);
    }
    write_signed(newest.first_at.0, &mut packed);
    newest.open.write(&mut packed);
    packed
}

pub(super) fn series() -> SeriesKey {
    SeriesKey { sensor_id: "t1".into(), sensor_type: "temperature".into() }
}

pub(super) fn all() -> Range {
    Range { limit: usize::MAX, ..Range::new(UnixMillis(i64::MIN), UnixMillis(i64::MAX)) }
}

pub(super) fn times(found: &SeriesReadings) -> Vec<(i64, u16)> {
    found.readings.iter().map(|point| (point.measured_at.0, point.shard.0)).collect()
}

pub(super) fn stored(at: i64, value: f64) -> StoredReading {
    StoredReading { measured_at: UnixMillis(at), value, attributes: 1 }
}

pub(super) fn encode(readings: &[StoredReading]) -> Vec<u8> {
    readings::encode(0, readings)
}

pub(super) struct Stage {
    redis: RedisServer,
    pub(super) link: Link,
    keys: Vec<ShardKeys>,
}

impl Stage {
    pub(super) async fn new(shards: u16) -> Self {
        let redis = RedisServer::start(&[]).await;
        let keys = (0..shards).map(|shard| ShardKeys::new(ShardId(shard))).collect();
        Self { link: redis.link(), redis, keys }
    }

    pub(super) async fn set(&self, arguments: &[&[u8]]) {
        self.redis.run(arguments).await;
    }

    pub(super) async fn pos(&self, shard: usize, pos: &str) {
        let meta = &self.keys[shard].meta;
        self.set(&[b"HSET", meta.as_bytes(), b"pos", pos.as_bytes()]).await;
    }

    /// It is 1970: nothing has expired.
    pub(super) fn reader(&self) -> Reader<'_> {
        let retentions = Retentions { readings: DAY, minutes: DAY, hours: DAY };
        Reader { link: &self.link, keys: &self.keys, unpack, now: UnixMillis(0), retentions }
    }

    pub(super) async fn read(&self, range: Range) -> SeriesReadings {
        self.reader().readings(&series(), range).await.unwrap()
    }

    /// Everything, in pages of so many.
    pub(super) async fn pages(&self, limit: usize) -> Vec<Point> {
        let mut readings: Vec<Point> = Vec::new();
        loop {
            let after = readings.last().map(Point::cursor);
            let found = self.read(Range { limit, after, ..all() }).await;
            assert_eq!(found.faults.last, None);
            assert!(found.readings.len() <= limit);
            readings.extend(found.readings);
            if !found.more {
                return readings;
            }
        }
    }
}

/// Writes what an owner would: blocks, inventory and state at once.
pub(super) struct Writer {
    link: Link,
    pub(super) keys: ShardKeys,
    pub(super) newest: Newest,
    pub(super) version: u32,
    /// How many readings make a full block.
    pub(super) block_readings: usize,
    /// Full blocks, and the readings of the newest.
    spans: BTreeMap<Span, (u32, Vec<StoredReading>)>,
    windows: BTreeMap<Span, Vec<Window>>,
    writes: Vec<(String, String, Vec<u8>)>,
}

impl Writer {
    pub(super) fn new(stage: &Stage, shard: u16) -> Self {
        Self {
            link: stage.redis.link(),
            keys: ShardKeys::new(ShardId(shard)),
            newest: Newest {
                number: 7,
                applied: Position::default(),
                first_at: UnixMillis(i64::MAX),
                open: OpenEnd::default(),
            },
            version: 1,
            block_readings: 4,
            spans: BTreeMap::new(),
            windows: BTreeMap::new(),
            writes: Vec::new(),
        }
    }

    /// Takes readings into the open end.
    pub(super) fn readings(&mut self, readings: &[(i64, f64)]) {
        for &(at, value) in readings {
            let measured_at = UnixMillis(at);
            let reading = StoredReading { measured_at, value, attributes: self.version };
            self.newest.first_at = self.newest.first_at.min(measured_at);
            self.newest.open.keep(reading, UnixMillis(0));
            for resolution in Resolution::ALL {
                self.newest.open.windows_mut(resolution).fold(resolution, &reading);
            }
        }
    }

    /// Moves the open end into blocks, readings to this shelf, and commits.
    pub(super) async fn seal(&mut self, shelf: Shelf) {
        self.seal_each(|_| shelf).await;
    }

    /// Moves the open end into blocks, each reading to the shelf of its time, and commits.
    pub(super) async fn seal_each(&mut self, shelf_of: impl Fn(UnixMillis) -> Shelf) {
        let open = std::mem::take(&mut self.newest.open);
        for reading in open.tail.readings() {
            let span = Span::of(shelf_of(reading.measured_at), reading.measured_at);
            self.spans.entry(span).or_default().1.push(reading);
        }
        let number = self.newest.number;
        for (span, (full, newest)) in &mut self.spans {
            newest.sort_by_key(|reading| reading.measured_at);
            let key = self.keys.history(span);
            while newest.len() > self.block_readings {
                let rest = newest.split_off(self.block_readings);
                let block = readings::encode(0, newest);
                self.writes.push((key.clone(), format!("{number}.{full}"), block));
                *newest = rest;
                *full += 1;
            }
            let block = readings::encode(*full, newest);
            self.writes.push((key, number.to_string(), block));
        }
        self.newest.open = OpenEnd { tail: Default::default(), ..open };
        for resolution in Resolution::ALL {
            self.seal_windows(resolution);
        }
        self.commit().await;
    }

    fn seal_windows(&mut self, resolution: Resolution) {
        let closed = self.newest.open.windows_mut(resolution).take_closed(resolution);
        for window in closed {
            let span = Span::of(resolution.shelf(), window.start);
            let kept = self.windows.entry(span).or_default();
            match kept.binary_search_by_key(&window.start, |it| it.start) {
                Ok(place) => kept[place].merge(&window),
                Err(place) => kept.insert(place, window),
            }
        }
        for (span, kept) in self.windows.iter().filter(|(span, _)| span.shelf == resolution.shelf())
        {
            let block = windows::encode(kept, resolution);
            self.writes.push((self.keys.history(span), self.newest.number.to_string(), block));
        }
    }

    /// Writes everything in one transaction.
    pub(super) async fn commit(&mut self) {
        let mut write = redis::pipe();
        write.atomic();
        for (key, field, block) in self.writes.drain(..) {
            write.cmd("HSET").arg(&key).arg(field).arg(block);
        }
        for span in self.spans.keys().chain(self.windows.keys()) {
            write.cmd("HSET").arg(&self.keys.inventory).arg(span.to_string()).arg("1 1");
        }
        write.cmd("HSET").arg(&self.keys.states).arg(series().field()).arg(pack(&self.newest));
        self.link.run_all::<redis::Value>(&write).await.unwrap();
    }
}
