//! Readings that move, arrive and change their number while they are read.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// Where the readings of these tests lie: over days enough for several groups, with equal times.
fn at(n: i64) -> i64 {
    (n * 7919 % 400) * HOUR_MS / 2
}

/// A day is on one shelf: what is measured at one time stays in the order of arrival only there.
fn shelf_of(at: UnixMillis) -> Shelf {
    if at.0 / DAY_MS % 2 == 0 { Shelf::ReadingsByHour } else { Shelf::ReadingsByDay }
}

/// A writer with 800 readings, whose value is its number.
async fn filled(stage: &Stage, shard: u16) -> Writer {
    let mut writer = Writer::new(stage, shard);
    for n in 0..800 {
        writer.readings(&[(at(n), n as f64)]);
        if n % 47 == 46 {
            writer.seal_each(shelf_of).await;
        }
    }
    writer.commit().await;
    writer
}

#[tokio::test]
async fn pages_neither_repeat_nor_skip_while_readings_move_and_arrive() {
    let stage = Stage::new(2).await;
    let mut writers = [filled(&stage, 0).await, filled(&stage, 1).await];
    let before = stage.read(all()).await.readings;
    assert_eq!(before.len(), 1600);

    let mut seen: Vec<Point> = Vec::new();
    let mut next = 800;
    loop {
        let after = seen.last().map(Point::cursor);
        let found = stage.read(Range { limit: 7, after, ..all() }).await;
        assert_eq!(found.faults.last, None);
        seen.extend(&found.readings);
        if !found.more {
            break;
        }
        if next < 1600 {
            // Some of them come behind the cursor, some before it, some at its very time.
            for writer in &mut writers {
                writer.readings(&[(at(next), next as f64)]);
                match next % 3 {
                    0 => writer.commit().await,
                    1 => writer.seal_each(shelf_of).await,
                    _ => {}
                }
            }
            next += 1;
        }
    }
    let keys: Vec<_> = seen.iter().map(|point| (point.shard, point.value as i64)).collect();
    let once: BTreeSet<_> = keys.iter().copied().collect();
    assert_eq!(once.len(), keys.len(), "repeated");
    let expected = before.iter().map(|point| (point.shard, point.value as i64));
    assert!(expected.collect::<BTreeSet<_>>().is_subset(&once), "skipped");
    assert!(seen.is_sorted_by_key(Point::cursor));
}

/// Everything is read over and over while a writer moves it: each answer is whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_moves_while_it_is_read_is_found_once() {
    let stage = Stage::new(1).await;
    let mut writer = Writer::new(&stage, 0);
    writer.commit().await;
    let is_read = Arc::new(AtomicBool::new(false));
    let until = is_read.clone();
    let write = async move {
        let mut n = 0;
        while !until.load(Ordering::SeqCst) {
            // Only ever forward, so that what is in an answer has all before it.
            writer.readings(&[((n % 40) * 9 * HOUR_MS, n as f64)]);
            n += 1;
            if n % 5 == 0 {
                writer.seal(Shelf::ReadingsByHour).await
            } else {
                writer.commit().await
            }
        }
        n
    };
    #[expect(clippy::disallowed_methods, reason = "it is awaited below")]
    let writing = tokio::spawn(write);
    let mut most = 0;
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while most < 300 && std::time::Instant::now() < deadline {
        let found = stage.read(all()).await;
        let mut values: Vec<i64> = found.readings.iter().map(|it| it.value as i64).collect();
        assert_eq!(found.faults.last, None);
        values.sort_unstable();
        values.dedup();
        assert_eq!(values.len(), found.readings.len(), "repeated");
        // The first group is the oldest snapshot: what was there then is all in the answer.
        let first = (0..).zip(&values).take_while(|(n, value)| *n == **value).count();
        assert!(first as i64 >= most, "skipped {first}");
        most = first as i64;
    }
    is_read.store(true, Ordering::SeqCst);
    assert!(writing.await.unwrap() >= most && most >= 300);
}

/// The list of spans is older than what is read with it.
#[tokio::test]
async fn a_span_that_appears_between_two_looks_is_read() {
    let stage = Stage::new(1).await;
    let mut writer = Writer::new(&stage, 0);
    writer.readings(&[(5, 1.0), (2 * DAY_MS, 2.0)]);
    writer.commit().await;
    let (reader, range) = (stage.reader(), all());
    let shelves = &[Shelf::ReadingsByHour, Shelf::ReadingsByDay];
    let mut walk = Walk::begin(&reader, series().field(), shelves, &range).await.unwrap();
    writer.seal(Shelf::ReadingsByDay).await;
    let found = readings::collect(&mut walk, &range).await.unwrap().unwrap();
    assert_eq!(times(&found), [(5, 0), (2 * DAY_MS, 0)]);
}

#[tokio::test]
async fn a_series_that_comes_back_is_read_under_its_new_number() {
    let stage = Stage::new(1).await;
    let mut writer = Writer::new(&stage, 0);
    writer.readings(&[(5, 1.0)]);
    writer.seal(Shelf::ReadingsByHour).await;
    let (reader, range) = (stage.reader(), all());
    let shelves = &[Shelf::ReadingsByHour, Shelf::ReadingsByDay];
    let mut walk = Walk::begin(&reader, series().field(), shelves, &range).await.unwrap();
    let mut other = Writer::new(&stage, 0);
    other.newest.number = 8;
    other.readings(&[(6, 2.0)]);
    other.seal(Shelf::ReadingsByHour).await;
    assert_eq!(readings::collect(&mut walk, &range).await.unwrap(), None);
    assert_eq!(times(&stage.read(range).await), [(6, 0)]);

    let mut walk = Walk::begin(&reader, series().field(), shelves, &range).await.unwrap();
    stage.set(&[b"DEL", b"{sg:0}st"]).await;
    assert_eq!(readings::collect(&mut walk, &range).await.unwrap(), None);
    assert_eq!(stage.read(range).await, SeriesReadings::default());
}

/// Full blocks are fetched after the rest; when their span went in between, that is no fault.
#[tokio::test]
async fn a_span_that_is_evicted_while_it_is_read_is_no_fault() {
    let stage = Stage::new(1).await;
    let mut writer = Writer::new(&stage, 0);
    writer.readings(&(0..10).map(|n| (n, 1.0)).collect::<Vec<_>>());
    writer.seal(Shelf::ReadingsByHour).await;
    let (reader, range) = (stage.reader(), all());
    let shelves = &[Shelf::ReadingsByHour];
    let mut walk = Walk::begin(&reader, series().field(), shelves, &range).await.unwrap();
    let group = walk.next().unwrap();
    let snapshots = walk.snapshots(group).await.unwrap().unwrap();
    stage.set(&[b"UNLINK", b"{sg:0}h:h0"]).await;
    let mut gathered = order::Gathered::new(&range);
    let mut faults = Faults::default();
    readings::take_group(&snapshots, group, &reader, &mut gathered, &mut faults).await.unwrap();
    assert_eq!(times(&gathered.finish()), [(8, 0), (9, 0)]);
    assert_eq!(faults, Faults::default());
}
