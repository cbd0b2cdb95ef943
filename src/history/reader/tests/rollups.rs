//! Windows: stored, open, in several shards.

use super::*;
use crate::history::window::Window;
use crate::statistic::Statistics;

const MINUTE_MS: i64 = 60_000;

async fn read(stage: &Stage, resolution: Resolution, range: Range) -> SeriesWindows {
    let found = stage.reader().windows(&series(), resolution, range).await.unwrap();
    assert_eq!(found.faults.last, None);
    found
}

fn starts(found: &SeriesWindows) -> Vec<(i64, u16, u64)> {
    let one = |(shard, window): &(ShardId, Window)| {
        (window.start.0, shard.0, window.statistics.moments.count)
    };
    found.windows.iter().map(one).collect()
}

#[tokio::test]
async fn windows_merge_over_shards_and_with_the_open_end() {
    let stage = Stage::new(3).await;
    let mut first = Writer::new(&stage, 0);
    first.readings(&[(1, 1.0), (MINUTE_MS, 2.0), (2 * MINUTE_MS, 3.0)]);
    first.seal(Shelf::ReadingsByHour).await;
    // Late: the stored window of the first minute has an open part, too.
    first.version = 2;
    first.readings(&[(7, 10.0), (2 * MINUTE_MS + 1, 4.0)]);
    first.newest.applied.entry.ms = 44;
    first.commit().await;
    let mut other = Writer::new(&stage, 2);
    other.readings(&[(MINUTE_MS + 1, -5.0), (2 * MINUTE_MS, 0.0), (HOUR_MS, 6.0)]);
    other.commit().await;

    let found = read(&stage, Resolution::Minute, all()).await;
    let expected = [(0, 0, 2), (MINUTE_MS, 2, 2), (2 * MINUTE_MS, 0, 3), (HOUR_MS, 2, 1)];
    assert_eq!(starts(&found), expected);
    let first_minute = &found.windows[0].1;
    assert_eq!((first_minute.attributes, first_minute.statistics.ends.last_value), (2, 10.0));
    let second_minute = &found.windows[1].1.statistics;
    assert_eq!((second_minute.extent.min, second_minute.extent.max), (-5.0, 2.0));
    assert_eq!(second_minute.ends.first_value, 2.0);
    assert_eq!((found.position.len(), found.position[0].1.entry.ms, found.more), (2, 44, false));

    let found = read(&stage, Resolution::Hour, all()).await;
    assert_eq!(starts(&found), [(0, 0, 7), (HOUR_MS, 2, 1)]);
    let range = Range::new(UnixMillis(1), UnixMillis(HOUR_MS));
    let found = read(&stage, Resolution::Minute, range).await;
    assert_eq!(starts(&found), expected[1..3]);
}

/// Two weeks in two shards, some of it late; all counts and sums must be those of the readings.
#[tokio::test]
async fn windows_are_those_of_all_readings_in_every_page() {
    let stage = Stage::new(2).await;
    let mut expected = BTreeMap::<i64, Statistics>::new();
    for shard in [0, 1] {
        let mut writer = Writer::new(&stage, shard);
        for n in 0..700i64 {
            let at = if n % 10 == 9 { (n * 7919) % 14 * DAY_MS } else { n * 29 * MINUTE_MS };
            writer.readings(&[(at, n as f64)]);
            if n % 31 == 0 {
                writer.seal(Shelf::ReadingsByHour).await;
            }
            let start = Resolution::Hour.start_of(UnixMillis(at)).0;
            let statistics = expected.entry(start).or_default();
            crate::statistic::Statistic::fold(statistics, n as f64, UnixMillis(at));
        }
        writer.commit().await;
    }
    for (resolution, limit) in [(Resolution::Hour, 5), (Resolution::Minute, 100)] {
        let whole = read(&stage, resolution, all()).await;
        let mut pages: Vec<(ShardId, Window)> = Vec::new();
        loop {
            let after = pages.last().map(|(shard, window)| super::Cursor {
                measured_at: window.start,
                shard: *shard,
                offset: 0,
            });
            let found = read(&stage, resolution, Range { limit, after, ..all() }).await;
            pages.extend(found.windows);
            if !found.more {
                break;
            }
        }
        assert_eq!(pages, whole.windows);
    }
    let found = read(&stage, Resolution::Hour, all()).await;
    assert_eq!(found.windows.len(), expected.len());
    for (_, window) in &found.windows {
        let (found, expected) = (&window.statistics, &expected[&window.start.0]);
        assert_eq!(found.moments.count, expected.moments.count);
        assert!((found.moments.sum() - expected.moments.sum()).abs() < 1e-6);
        assert_eq!(found.extent, expected.extent);
        assert_eq!(found.ends.first_at, expected.ends.first_at);
        assert_eq!(found.ends.last_at, expected.ends.last_at);
    }
}

#[tokio::test]
async fn a_torn_block_of_windows_leaves_the_others() {
    let stage = Stage::new(1).await;
    let mut writer = Writer::new(&stage, 0);
    writer.readings(&[(0, 1.0), (HOUR_MS, 2.0), (2 * HOUR_MS, 3.0)]);
    writer.seal(Shelf::ReadingsByHour).await;
    writer.readings(&[(2 * HOUR_MS, 4.0)]);
    writer.commit().await;
    let whole = read(&stage, Resolution::Minute, all()).await;
    assert_eq!(starts(&whole), [(0, 0, 1), (HOUR_MS, 0, 1), (2 * HOUR_MS, 0, 2)]);
    stage.set(&[b"HSET", b"{sg:0}w:m1", b"7", b"\x01?"]).await;
    let found = stage.reader().windows(&series(), Resolution::Minute, all()).await.unwrap();
    assert_eq!(starts(&found), [(0, 0, 1), (2 * HOUR_MS, 0, 2)]);
    assert_eq!(found.faults.count, 1);
    assert!(found.faults.last.unwrap().starts_with("{sg:0}w:m1 7: "));
    // A block that is sound, but of another hour.
    let other =
        crate::history::codec::windows::encode(&[whole.windows[0].1.clone()], Resolution::Minute);
    stage.set(&[b"HSET", b"{sg:0}w:m1", b"7", &other]).await;
    let found = stage.reader().windows(&series(), Resolution::Minute, all()).await.unwrap();
    assert_eq!(starts(&found), [(0, 0, 1), (2 * HOUR_MS, 0, 2)]);
    assert_eq!(found.faults.last.as_deref(), Some("{sg:0}w:m1 7: a window of another span"));
}

#[tokio::test]
async fn an_open_window_is_hidden_when_its_span_would_be_gone() {
    let stage = Stage::new(1).await;
    let mut writer = Writer::new(&stage, 0);
    writer.readings(&[(5, 1.0)]);
    writer.commit().await;
    for (resolution, gone) in
        [(Resolution::Minute, DAY_MS + HOUR_MS), (Resolution::Hour, 2 * DAY_MS)]
    {
        for (now, shown) in [(gone, 1), (gone + 1, 0)] {
            let reader = Reader { now: UnixMillis(now), ..stage.reader() };
            let found = reader.windows(&series(), resolution, all()).await.unwrap();
            assert_eq!(found.windows.len(), shown, "{resolution:?} {now}");
        }
    }
}
