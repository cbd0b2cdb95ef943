//! What an owner keeps of readings: blocks, windows, attributes, against a real Redis.

use std::collections::BTreeMap;

use super::*;
use crate::history::codec::{readings, windows};
use crate::history::{
    Inventory, OpenEnd, Resolution, Shelf, Span, StoredReading, Versions, Window,
};
use crate::reading::UnixMillis;

/// Everything that is stored of a series.
struct Stored {
    readings: Vec<StoredReading>,
    minutes: Vec<Window>,
    hours: Vec<Window>,
    /// Newest blocks by span.
    blocks: BTreeMap<Span, Vec<u8>>,
}

impl Stage {
    async fn open_end(&self, field: &[u8]) -> OpenEnd {
        let packed = self.redis.run(&[b"HGET", self.keys.states.as_bytes(), field]).await;
        let redis::Value::BulkString(packed) = packed else { panic!("no state") };
        state::State::unpack_whole(&packed).unwrap().1
    }

    async fn inventory(&self) -> Inventory {
        let fields = self.run(&format!("HGETALL {}", self.keys.inventory)).await;
        let fields: Vec<(String, String)> =
            redis::FromRedisValue::from_redis_value(fields).unwrap();
        Inventory::parse(fields)
    }

    async fn field(&self, key: &str, field: &str) -> Option<Vec<u8>> {
        let value = self.redis.run(&[b"HGET", key.as_bytes(), field.as_bytes()]).await;
        redis::FromRedisValue::from_redis_value(value).unwrap()
    }

    async fn stored(&self, field: &[u8]) -> Stored {
        let number = self.state(field).await.number;
        let mut stored =
            Stored { readings: vec![], minutes: vec![], hours: vec![], blocks: BTreeMap::new() };
        for (span, _) in self.inventory().await.iter() {
            let key = self.keys.history(span);
            let Some(newest) = self.field(&key, &number.to_string()).await else { continue };
            match span.shelf {
                Shelf::MinutesByHour => {
                    windows::decode(&newest, Resolution::Minute, &mut stored.minutes).unwrap();
                }
                Shelf::HoursByDay => {
                    windows::decode(&newest, Resolution::Hour, &mut stored.hours).unwrap();
                }
                Shelf::ReadingsByHour | Shelf::ReadingsByDay => {
                    for full in 0..readings::full_blocks(&newest).unwrap() {
                        let full = self.field(&key, &format!("{number}.{full}")).await.unwrap();
                        readings::decode(&full, &mut stored.readings).unwrap();
                    }
                    readings::decode(&newest, &mut stored.readings).unwrap();
                }
            }
            stored.blocks.insert(span, newest);
        }
        let open = self.open_end(field).await;
        stored.readings.extend(open.tail.readings());
        stored.readings.sort_by_key(|reading| reading.measured_at);
        stored.minutes.extend(open.minutes.all(Resolution::Minute));
        stored.hours.extend(open.hours.all(Resolution::Hour));
        stored
    }
}

/// Of one second each from `from` on; in milliseconds.
fn payloads(times: impl Iterator<Item = i64>) -> Vec<String> {
    times.map(|at| format!(r#"{{"value":{},"timestamp":{at}}}"#, value_at(at))).collect()
}

fn value_at(at: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "small numbers of a test")]
    let value = (at / 1000 % 97) as f64 / 10.0;
    value
}

async fn publish_times(stage: &Stage, times: impl Iterator<Item = i64>) {
    let payloads = payloads(times);
    let payloads: Vec<&str> = payloads.iter().map(String::as_str).collect();
    stage.publish("s/a/t", &payloads, Flags::NONE).await;
}

/// The beginning of an hour some hours ago.
fn hours_ago(hours: i64) -> i64 {
    Resolution::Hour.start_of(Clock::system().now()).0 - hours * 3_600_000
}

fn check_windows(windows: &[Window], resolution: Resolution, times: &[i64]) {
    let mut expected: BTreeMap<UnixMillis, Window> = BTreeMap::new();
    for at in times {
        let at = UnixMillis(*at);
        let start = resolution.start_of(at);
        let window = expected.entry(start).or_insert_with(|| Window::new(start));
        window.fold(value_at(at.0), at, 1);
    }
    let mut merged: BTreeMap<UnixMillis, Window> = BTreeMap::new();
    for window in windows {
        let known = merged.entry(window.start).or_insert_with(|| Window::new(window.start));
        known.merge(window);
    }
    assert_eq!(merged.len(), expected.len());
    for (start, expected) in &expected {
        let (found, expected) = (&merged[start].statistics, &expected.statistics);
        assert_eq!(found.moments.count, expected.moments.count, "{start}");
        assert_eq!((&found.extent, &found.ends), (&expected.extent, &expected.ends), "{start}");
        assert!((found.moments.sum() - expected.moments.sum()).abs() < 1e-9, "{start}");
        assert!((found.moments.m2() - expected.moments.m2()).abs() < 1e-9, "{start}");
    }
}

#[tokio::test]
async fn readings_move_into_blocks_and_windows_and_each_is_there_once() {
    let stage = Stage::new().await;
    let begin = hours_ago(3);
    let mut times: Vec<i64> = (0..7_000).map(|second| begin + 1000 * second).collect();
    for part in times.chunks(500) {
        publish_times(&stage, part.iter().copied()).await;
        stage.fold_all("f1").await;
    }
    // Late ones: into the past hour, twice at one time, and long before.
    let late = [begin + 5, begin + 5, begin + 1_800_500, begin - 7_200_000];
    publish_times(&stage, late.into_iter()).await;
    times.extend(late);
    times.sort_unstable();
    stage.fold_all("f1").await;
    let stored = stage.stored(b"a\0t").await;
    let found: Vec<i64> = stored.readings.iter().map(|it| it.measured_at.0).collect();
    assert_eq!(found, times);
    assert!(stored.readings.iter().all(|it| it.value == value_at(it.measured_at.0)));
    check_windows(&stored.minutes, Resolution::Minute, &times);
    check_windows(&stored.hours, Resolution::Hour, &times);
    // Most of it is in blocks, and those of the first hour are full ones and a newest.
    assert!(stage.open_end(b"a\0t").await.tail.len() < 600);
    let first = Span::of(Shelf::ReadingsByHour, UnixMillis(begin));
    assert!(readings::full_blocks(&stored.blocks[&first]).unwrap() >= 3);
    let inventory = stage.inventory().await;
    assert!(inventory.iter().all(|(_, kept)| kept.bytes > 0));
    assert!(stored.blocks.keys().all(|span| inventory.get(*span).is_some()));
}

#[tokio::test]
async fn a_window_that_ended_longer_ago_than_it_is_kept_is_not_written() {
    let stage = Stage::new().await;
    // Minutes are kept for 7 days, hours for 400.
    let times = [hours_ago(24 * 8), hours_ago(24 * 401)];
    publish_times(&stage, times.into_iter()).await;
    let meta = stage.fold_all("f1").await;
    assert_eq!((meta.totals.decoded, meta.totals.late_beyond_windows), (2, 1));
    let stored = stage.stored(b"a\0t").await;
    assert_eq!((stored.readings.len(), stored.minutes.len(), stored.hours.len()), (2, 0, 1));
}

#[tokio::test]
async fn a_damaged_block_is_replaced_and_counted_and_one_of_a_newer_version_is_left_alone() {
    let stage = Stage::new().await;
    let begin = hours_ago(2);
    publish_times(&stage, (0..1_200).map(|second| begin + 1000 * second)).await;
    stage.fold_all("f1").await;
    let number = stage.state(b"a\0t").await.number.to_string();
    let key = stage.keys.history(Span::of(Shelf::ReadingsByHour, UnixMillis(begin)));
    let good = stage.field(&key, &number).await.unwrap();
    let mut torn = good.clone();
    torn.truncate(torn.len() / 2);
    stage.redis.run(&[b"HSET", key.as_bytes(), number.as_bytes(), &torn]).await;
    publish_times(&stage, (1_200..1_800).map(|second| begin + 1000 * second)).await;
    let meta = stage.fold_all("f1").await;
    assert_eq!((meta.totals.decoded, meta.totals.damaged), (1_800, 1));
    // What was before in full blocks and what came after is there.
    let stored = stage.stored(b"a\0t").await;
    assert!(stored.readings.len() >= 1_024 + 600, "{}", stored.readings.len());

    let mut newer = good;
    newer[0] = u8::MAX;
    stage.redis.run(&[b"HSET", key.as_bytes(), number.as_bytes(), &newer]).await;
    publish_times(&stage, (1_800..2_400).map(|second| begin + 1000 * second)).await;
    let (stop, owner) = stage.owner("f1", 100);
    stop.cancel();
    assert_eq!(timeout(Duration::from_secs(10), owner).await.unwrap(), Ended::Fenced);
    assert_eq!(stage.field(&key, &number).await.unwrap(), newer);
    assert_eq!(stage.meta().await.totals.decoded, 1_800);
}

#[tokio::test]
async fn each_reading_keeps_the_attributes_that_it_came_with() {
    let stage = Stage::new().await;
    let begin = hours_ago(1);
    let message = |at: i64, unit: &str| {
        format!(r#"{{"value":1,"unit":"{unit}","timestamp":{}}}"#, begin + 1000 * at)
    };
    let publish = async |messages: &[String]| {
        let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
        stage.publish("s/a/t", &messages, Flags::NONE).await;
        stage.fold_all("f1").await;
    };
    publish(&[message(10, "K")]).await;
    publish(&[message(20, "C"), message(30, "C"), message(15, "K")]).await;
    publish(&[message(40, "F"), message(50, "K")]).await;
    publish(&[message(5, "R")]).await;
    let stored = stage.stored(b"a\0t").await;
    let number = stage.state(b"a\0t").await.number;
    let key = &stage.keys.attributes;
    let newest = stage.field(key, &number.to_string()).await.unwrap();
    let list = stage.field(key, &format!("{number}:v")).await.unwrap();
    let list = Versions::parse(&list).unwrap();
    let unit = |version| {
        let json = list.attributes(version).map_or(&newest[..], str::as_bytes);
        let json: serde_json::Value = serde_json::from_slice(json).unwrap();
        json["unit"].as_str().unwrap().to_owned()
    };
    let units: Vec<String> = stored.readings.iter().map(|it| unit(it.attributes)).collect();
    assert_eq!(units, ["R", "K", "K", "C", "C", "F", "K"]);
    // Those shown are of the reading that is latest by its own clock.
    assert!(String::from_utf8(newest).unwrap().contains(r#""unit":"K""#));
}

#[tokio::test]
async fn a_span_goes_as_a_whole_when_it_has_expired_or_the_budget_says_so() {
    let stage = Stage::new().await;
    let (old, begin) = (hours_ago(40), hours_ago(3));
    for hour in [old, begin, begin + 3_600_000] {
        for part in 0..4 {
            let seconds = 400 * part..400 * (part + 1);
            publish_times(&stage, seconds.map(|second| hour + 1000 * second)).await;
            stage.fold_all("f1").await;
        }
    }
    let span = |at| Span::of(Shelf::ReadingsByHour, UnixMillis(at));
    // It ended 39 hours ago, but was written just now: it is kept.
    assert!(stage.inventory().await.get(span(old)).is_some());
    let key = stage.keys.history(span(old));
    let field = span(old).to_string();
    let long_ago = format!("1000 {}", hours_ago(30));
    stage.run(&format!("HSET {} {field} {}", stage.keys.inventory, "1000")).await;
    stage
        .redis
        .run(&[b"HSET", stage.keys.inventory.as_bytes(), field.as_bytes(), long_ago.as_bytes()])
        .await;
    publish_times(&stage, std::iter::once(begin + 9_000_000)).await;
    stage.fold_all("f1").await;
    assert_eq!(stage.run(&format!("EXISTS {key}")).await, redis::Value::Int(0));
    assert_eq!(stage.inventory().await.get(span(old)), None);
    let mut before = [None; 3];
    before[0] = Some(span(begin).end());
    stage.cut.send_replace(Cut { before });
    publish_times(&stage, std::iter::once(begin + 9_001_000)).await;
    stage.fold_all("f1").await;
    let inventory = stage.inventory().await;
    assert_eq!(inventory.get(span(begin)), None);
    assert!(inventory.get(span(begin + 3_600_000)).is_some());
    assert_eq!(inventory.evicted(crate::history::Share::Readings), Some(span(begin).end()));
    assert_eq!(inventory.evicted(crate::history::Share::Minutes), None);
}

#[tokio::test]
async fn a_deleted_sensor_leaves_nothing_but_the_totals_and_may_come_back() {
    let stage = Stage::new().await;
    let begin = hours_ago(2);
    for part in 0..6 {
        publish_times(&stage, (500 * part..500 * (part + 1)).map(|s| begin + 1000 * s)).await;
        stage.fold_all("f1").await;
    }
    stage.publish("s/a/h", &[r#"{"value":5}"#], Flags::NONE).await;
    stage.publish("s/b/t", &[r#"{"value":6}"#], Flags::NONE).await;
    stage.fold_all("f1").await;
    let delete = br#"{"delete":"a"}"#;
    let header = b"1 00000000000000cc 1 1 1700000000000 1";
    let stream = stage.keys.stream.as_bytes();
    // Something before it in the same batch, and something after it.
    stage.publish("s/a/u", &[r#"{"value":1}"#], Flags::NONE).await;
    stage.redis.run(&[b"XADD", stream, b"*", b"@", header, b"\0\x40\0", delete]).await;
    stage.publish("s/a/t", &[r#"{"value":7,"unit":"K"}"#], Flags::NONE).await;
    let before = stage.state(b"a\0t").await.number;
    let meta = stage.fold_all("f1").await;
    assert_eq!((meta.totals.decoded, meta.totals.control), (3_004, 1));
    assert_eq!(meta.totals.folded(), meta.committed_messages());
    let state = stage.state(b"a\0t").await;
    assert_eq!((state.statistics.moments.count, state.statistics.ends.last_value), (1, 7.0));
    assert!(state.number > before);
    assert_eq!(stage.run("HLEN {sg:0}st").await, redis::Value::Int(2));
    let types = stage.run("HGET {sg:0}ix a").await;
    assert_eq!(types, redis::Value::BulkString(b"t".to_vec()));
    assert_eq!(stage.run("HLEN {sg:0}at").await, redis::Value::Int(2));
    for (span, kept) in stage.inventory().await.iter() {
        let fields = stage.run(&format!("HLEN {}", stage.keys.history(span))).await;
        assert_eq!((fields, kept.bytes), (redis::Value::Int(0), 0), "{span}");
    }
    // Deleted once more, with nothing after it: it is gone altogether.
    let header = b"1 00000000000000cd 1 1 1700000000000 1";
    stage.redis.run(&[b"XADD", stream, b"*", b"@", header, b"\0\x40\0", delete]).await;
    let meta = stage.fold_all("f1").await;
    assert_eq!((meta.totals.control, meta.series), (2, 0));
    assert_eq!(stage.run("HLEN {sg:0}st").await, redis::Value::Int(1));
    assert_eq!(stage.run("HEXISTS {sg:0}ix a").await, redis::Value::Int(0));
}
