use super::*;
use crate::aggregate::interval::Interval;
use crate::stream::EntryId;

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
        tokio::join!(table.change(|rows| rows.put(key("a", "t"), part(0, 1, 1.0, 1, ""))), async {
            go_on.send(()).unwrap();
        })
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

/// A part that was heard then, each second.
fn heard_at(shard: u16, seen: u64, ms: u64) -> Part {
    let mut part = part(shard, seen, 1.0, 77, "");
    part.state.applied.entry = EntryId { ms, seq: 0 };
    part.state.interval = Interval::of_ms(1_000);
    part
}

fn status(rows: &Rows, id: &str) -> Option<&'static str> {
    rows.sensor(id).next().unwrap().status.map(Status::name)
}

#[test]
fn a_series_is_judged_by_the_shard_it_was_heard_last_in() {
    let mut rows = Rows::default();
    rows.put(key("a", "t"), heard_at(0, 1, 1_000));
    rows.put(key("b", "t"), heard_at(0, 1, 1_000));
    rows.put(key("b", "t"), heard_at(1, 1, 55_000));
    rows.advance(ShardId(0), 60_000);
    rows.advance(ShardId(1), 64_000);
    assert_eq!((rows.statuses(), status(&rows, "a")), (None, None), "not loaded yet");
    let (turned, is_done) = rows.judge(100);
    rows.as_of = Some(UnixMillis(5));
    let a = Turned { series: key("a", "t"), status: Status::Late, last_at: UnixMillis(77) };
    assert_eq!((turned, is_done), (vec![a], true));
    assert_eq!((status(&rows, "a"), status(&rows, "b")), (Some("late"), Some("online")));
    assert_eq!(rows.statuses(), Some([1, 1, 0]));
    // The part that was heard last is deleted.
    rows.sweep(ShardId(1), 2, 0);
    assert_eq!(rows.judge(100).0.len(), 1);
    assert_eq!((status(&rows, "b"), rows.statuses()), (Some("late"), Some([0, 2, 0])));
    rows.put(key("a", "t"), heard_at(0, 2, 60_000));
    rows.sweep(ShardId(0), 2, 1);
    assert_eq!(rows.judge(100).0[0].status, Status::Online);
    assert_eq!((rows.len(), rows.statuses()), (1, Some([1, 0, 0])));
    rows.clear();
    assert_eq!((rows.judge(100), rows.statuses()), ((vec![], true), None));
}
