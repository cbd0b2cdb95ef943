//! Reading history from a real Redis that a small writer of these tests fills.

mod faults;
mod moving;
mod rollups;
mod stage;

use std::time::Duration;

use super::*;
use crate::history::Share;
use crate::history::answer::{Cursor, Point};
use crate::history::span::{DAY_MS, HOUR_MS};
use crate::stream::{EntryId, Position};
use stage::{Stage, Writer, all, series, times};

#[tokio::test]
async fn shards_spans_and_open_ends_merge_by_time_with_their_positions() {
    let stage = Stage::new(3).await;
    let mut first = Writer::new(&stage, 0);
    first.readings(&[(-5, 0.5), (20, 2.0), (10, 1.0), (HOUR_MS + 5, 3.0)]);
    first.seal(Shelf::ReadingsByHour).await;
    first.readings(&[(15, 1.5), (HOUR_MS + 9, 9.0)]);
    first.newest.applied = Position { entry: EntryId { ms: 100, seq: 0 }, index: 3 };
    first.commit().await;
    stage.pos(0, "90-0").await;
    let mut other = Writer::new(&stage, 2);
    other.readings(&[(10, 1.5), (30, 4.0)]);
    other.seal(Shelf::ReadingsByDay).await;
    other.readings(&[(HOUR_MS + 5, 3.5)]);
    other.newest.applied = Position { entry: EntryId { ms: 50, seq: 0 }, index: 2 };
    other.commit().await;
    stage.pos(2, "60-4").await;

    let found = stage.read(all()).await;
    let late = HOUR_MS + 5;
    let expected =
        [(-5, 0), (10, 0), (10, 2), (15, 0), (20, 0), (30, 2), (late, 0), (late, 2), (late + 4, 0)];
    assert_eq!(times(&found), expected);
    let position = |ms, seq, index| Position { entry: EntryId { ms, seq }, index };
    let positions = [(ShardId(0), position(100, 0, 3)), (ShardId(2), position(60, 4, u32::MAX))];
    assert_eq!(found.position, positions);
    assert_eq!((found.more, found.faults), (false, Faults::default()));

    let found = stage.read(Range::new(UnixMillis(10), UnixMillis(30))).await;
    assert_eq!(times(&found), [(10, 0), (10, 2), (15, 0), (20, 0)]);
    let found = stage.read(Range { limit: 2, ..Range::new(UnixMillis(10), UnixMillis(30)) }).await;
    assert_eq!((times(&found), found.more), (vec![(10, 0), (10, 2)], true));
    let found = stage.read(Range { limit: 0, ..all() }).await;
    assert_eq!((found.readings.len(), found.more), (0, true));
}

#[tokio::test]
async fn nobody_knows_the_series() {
    let stage = Stage::new(3).await;
    assert_eq!(stage.read(all()).await, SeriesReadings::default());
    let none = Reader { keys: &[], ..stage.reader() };
    assert_eq!(none.readings(&series(), all()).await.unwrap(), SeriesReadings::default());
    let windows = none.windows(&series(), Resolution::Minute, all()).await.unwrap();
    assert_eq!(windows, SeriesWindows::default());
    assert_eq!(none.reach(&series()).await.unwrap(), Reach::default());
}

/// More than one slice, in full blocks of one span.
#[tokio::test]
async fn a_limit_keeps_the_oldest_and_a_cursor_goes_on_from_there() {
    let stage = Stage::new(2).await;
    let mut writer = Writer::new(&stage, 1);
    writer.block_readings = 1024;
    let many: Vec<(i64, f64)> = (0..200_000).map(|n| (n, n as f64)).collect();
    writer.readings(&many);
    writer.seal(Shelf::ReadingsByHour).await;

    let range = Range { limit: 1_000, ..all() };
    let found = stage.read(range).await;
    assert!(found.more);
    assert_eq!(times(&found), (0..1_000).map(|n| (n, 1)).collect::<Vec<_>>());
    let after = found.readings.last().map(Point::cursor);
    let found = stage.read(Range { after, ..range }).await;
    assert_eq!(times(&found), (1_000..2_000).map(|n| (n, 1)).collect::<Vec<_>>());
    let found = stage.read(Range { limit: 200_000, ..range }).await;
    assert_eq!((found.readings.len(), found.more), (200_000, false));
    assert!(found.readings.iter().zip(0..).all(|(point, n)| point.measured_at.0 == n));
    let found = stage.read(Range { limit: 199_999, ..range }).await;
    assert_eq!((found.readings.len(), found.more), (199_999, true));
}

#[tokio::test]
async fn readings_of_one_time_keep_their_order_of_arrival_wherever_they_are() {
    let stage = Stage::new(2).await;
    let mut writer = Writer::new(&stage, 0);
    let mut expected = Vec::new();
    for round in 0..6 {
        let values: Vec<f64> = (0..7).map(|n| f64::from(round * 7 + n)).collect();
        writer.readings(&values.iter().map(|value| (500, *value)).collect::<Vec<_>>());
        expected.extend(values);
        writer.commit().await;
        let found = stage.read(all()).await;
        assert_eq!(values_of(&found), expected, "before sealing");
        assert!(found.readings.iter().zip(0..).all(|(point, offset)| point.offset == offset));
        // Blocks of four: of one time there are several full ones, a newest and a tail.
        writer.seal(Shelf::ReadingsByHour).await;
        assert_eq!(stage.read(all()).await, found, "after sealing");
    }
    for offset in [0, 3, 40, 41, u64::MAX] {
        let after = Some(Cursor { measured_at: UnixMillis(500), shard: ShardId(0), offset });
        let found = stage.read(Range { after, ..all() }).await;
        let skipped = usize::try_from(offset).unwrap().saturating_add(1).min(expected.len());
        assert_eq!(values_of(&found), expected[skipped..], "{offset}");
        assert!(found.readings.iter().zip(offset..).all(|(point, n)| point.offset == n + 1));
    }
}

/// Hours before days, whatever is read first.
#[tokio::test]
async fn spans_by_the_hour_and_by_the_day_of_one_time_are_joined() {
    let stage = Stage::new(2).await;
    let mut writer = Writer::new(&stage, 0);
    let at = |hour: i64| 3 * DAY_MS + hour * HOUR_MS;
    writer.readings(&(0..24).map(|hour| (at(hour), 2.0)).collect::<Vec<_>>());
    writer.seal(Shelf::ReadingsByDay).await;
    writer.readings(&(0..24).map(|hour| (at(hour), 1.0)).collect::<Vec<_>>());
    writer.seal(Shelf::ReadingsByHour).await;
    writer.readings(&[(at(5), 3.0), (at(24), 3.0)]);
    writer.commit().await;
    let found = stage.read(all()).await;
    assert_eq!(found.readings.len(), 50);
    assert_eq!(values_of(&found)[10..13], [1.0, 2.0, 3.0]);
    for limit in [1, 7, 49] {
        assert_eq!(stage.pages(limit).await, found.readings, "{limit}");
    }
}

#[tokio::test]
async fn many_days_are_read_group_by_group() {
    let stage = Stage::new(2).await;
    let mut expected = Vec::new();
    for shard in [0, 1] {
        let mut writer = Writer::new(&stage, shard);
        // 300 hours are 13 days, and some of the newest readings are of the first of them.
        for hour in 0..300 {
            let at = hour * HOUR_MS + i64::from(shard);
            writer.readings(&[(at, 1.0)]);
            expected.push((at, shard));
        }
        writer.seal(Shelf::ReadingsByHour).await;
        for day in 0..13 {
            let at = day * DAY_MS + 77;
            writer.readings(&[(at, 2.0)]);
            expected.push((at, shard));
        }
        writer.commit().await;
    }
    expected.sort_unstable();
    let found = stage.read(all()).await;
    assert_eq!(times(&found), expected);
    assert_eq!(stage.pages(50).await, found.readings);
    let part = Range::new(UnixMillis(26 * HOUR_MS + 1), UnixMillis(280 * HOUR_MS));
    expected.retain(|(at, _)| (part.from.0..part.to.0).contains(at));
    assert_eq!(times(&stage.read(part).await), expected);
}

#[tokio::test]
async fn versions_come_with_their_attributes() {
    let stage = Stage::new(2).await;
    let mut writer = Writer::new(&stage, 1);
    for version in [1, 2, 3] {
        writer.version = version;
        writer.readings(&[(i64::from(version), 1.0)]);
    }
    writer.commit().await;
    assert_eq!(stage.read(all()).await.attributes, []);

    let mut versions = Versions::begin(1, 1, r#"{"unit":"a"}"#);
    let keep = Duration::from_hours(1);
    versions.change(1, (2, r#"{"unit":"b"}"#), UnixMillis(1), keep);
    versions.change(2, (3, r#"{"unit":"c"}"#), UnixMillis(2), keep);
    let list = versions.to_json();
    stage.set(&[b"HSET", b"{sg:1}at", b"7:v", list.as_bytes()]).await;
    let expected = [(1, r#"{"unit":"a"}"#), (2, r#"{"unit":"b"}"#)];
    let expected = expected.map(|(version, text)| (ShardId(1), version, text.to_owned()));
    assert_eq!(stage.read(all()).await.attributes, expected);
    let found = stage.read(Range::new(UnixMillis(2), UnixMillis(9))).await;
    assert_eq!(found.attributes, expected[1..]);

    // What is in force in this shard is not what the series is sent with elsewhere.
    stage.set(&[b"HSET", b"{sg:1}at", b"7", br#"{"unit":"c"}"#]).await;
    let mut expected = expected.to_vec();
    expected.push((ShardId(1), 3, r#"{"unit":"c"}"#.to_owned()));
    assert_eq!(stage.read(all()).await.attributes, expected);

    stage.set(&[b"HDEL", b"{sg:1}at", b"7"]).await;
    stage.set(&[b"HSET", b"{sg:1}at", b"7:v", b"no list"]).await;
    let found = stage.read(all()).await;
    assert_eq!((found.readings.len(), found.attributes, found.faults.count), (3, vec![], 1));
    assert_eq!(found.faults.last.as_deref(), Some("{sg:1}at 7:v: not a list of versions"));
}

/// As long as it would be kept if it had been moved into a span; and no shorter.
#[tokio::test]
async fn the_open_end_is_hidden_when_its_span_would_be_gone() {
    let stage = Stage::new(1).await;
    let mut writer = Writer::new(&stage, 0);
    writer.readings(&[(5, 1.0), (3 * HOUR_MS, 2.0)]);
    writer.newest.applied.entry.ms = 2 * HOUR_MS as u64;
    writer.commit().await;
    let shown = async |now| {
        let reader = Reader { now: UnixMillis(now), ..stage.reader() };
        times(&reader.readings(&series(), all()).await.unwrap()).len()
    };
    // A day after it was written, and a day after its hour ended.
    assert_eq!(shown(DAY_MS + 2 * HOUR_MS).await, 2);
    assert_eq!(shown(DAY_MS + 2 * HOUR_MS + 1).await, 1);
    assert_eq!(shown(DAY_MS + 4 * HOUR_MS).await, 1);
    assert_eq!(shown(DAY_MS + 4 * HOUR_MS + 1).await, 0);
}

#[tokio::test]
async fn history_reaches_back_to_what_was_evicted_of_the_series() {
    let stage = Stage::new(3).await;
    for (shard, at) in [(0, 1_000), (2, 5_000)] {
        let mut writer = Writer::new(&stage, shard);
        writer.readings(&[(at, 1.0)]);
        writer.commit().await;
    }
    let reach = async || stage.reader().reach(&series()).await.unwrap();
    assert_eq!(reach().await, Reach::default());
    stage.set(&[b"HSET", b"{sg:0}hs", b"e:readings", b"2000", b"e:minutes", b"1000"]).await;
    stage.set(&[b"HSET", b"{sg:2}hs", b"e:readings", b"4000", b"e:hours", b"9000"]).await;
    // A shard that does not know the series may have lost what it likes.
    stage.set(&[b"HSET", b"{sg:1}hs", b"e:minutes", b"9999"]).await;
    let found = reach().await;
    assert_eq!(found.of(Share::Readings), Some(UnixMillis(2000)));
    assert_eq!(found.of(Share::Minutes), None);
    assert_eq!(found.of(Share::Hours), Some(UnixMillis(9000)));
}

fn values_of(found: &SeriesReadings) -> Vec<f64> {
    found.readings.iter().map(|point| point.value).collect()
}

/// A device sent what it had kept for a month. Nothing had ever been evicted, so minutes were
/// taken for complete, and a picture of that month showed its last week only.
#[tokio::test]
async fn windows_reach_back_no_further_than_they_are_taken_late() {
    let stage = Stage::new(1).await;
    let mut writer = Writer::new(&stage, 0);
    writer.readings(&[(-20 * DAY_MS, 1.0), (0, 2.0)]);
    writer.commit().await;
    let day = Duration::from_hours(24);
    let retentions = Retentions { readings: day, minutes: 7 * day, hours: 400 * day };
    let now = UnixMillis(HOUR_MS + 1);
    let reader = Reader { now, retentions, ..stage.reader() };
    let found = reader.reach(&series()).await.unwrap();
    // Whoever asks for seven days is still answered in minutes.
    assert_eq!(found.since, [None, Some(UnixMillis(HOUR_MS - 7 * DAY_MS)), None]);
}
