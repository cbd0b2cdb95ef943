use super::*;
use crate::reading::{SeriesKey, UnixMillis};
use crate::serve::live::shown::Observed;
use crate::serve::live::subscription::{Addition, Entries, Pace};
use crate::serve::view::Attributes;

const fn id(ms: u64) -> EntryId {
    EntryId { ms, seq: 0 }
}

fn reading(sensor_id: &str, ms: u64, measured_at: i64) -> Change {
    let series = SeriesKey { sensor_id: sensor_id.into(), sensor_type: "t".into() };
    let observed = Observed {
        series,
        value: ms as f64,
        measured_at: UnixMillis(measured_at),
        attributes: Attributes::default(),
        shard: ShardId(0),
        position: Position { entry: id(ms), index: 0 },
        replaced: 0,
    };
    Change::Reading(observed)
}

/// One shard, committed up to 10.
fn recent(changes: Vec<Change>) -> Recent {
    let mut recent = Recent::default();
    let part = Part { shard: ShardId(0), committed: id(10), last: id(20), is_cut: false };
    recent.parts.push(part);
    recent.take(changes);
    recent
}

fn wanted(entries: &[&str], every: bool) -> Subscription {
    let entries = entries.iter().map(|entry| (*entry).to_owned()).collect();
    let addition = Addition {
        entries: Entries::parse(entries).unwrap(),
        pace: Pace::of(every, None).unwrap(),
        batch: None,
        stats: None,
    };
    Subscription::default().with(&addition).unwrap()
}

/// Names of events, and the values of readings.
fn told(recent: &Recent, reached: u64, wanted: &Subscription, batch: bool) -> Vec<String> {
    let (position, frames) = recent.tell(&[id(reached)], wanted, batch);
    assert_eq!(position, format!("0:10-0.{}", u32::MAX));
    let words = frames.iter().map(|frame| {
        let data: serde_json::Value = serde_json::from_str(frame.data()).unwrap();
        let readings = data["readings"].as_array().map(Vec::as_slice).unwrap_or_default();
        let values = readings.iter().chain([&data]).map(|it| &it["value"]);
        let values: Vec<String> =
            values.filter(|it| !it.is_null()).map(ToString::to_string).collect();
        format!("{} {}", frame.event(), values.join(","))
    });
    words.collect()
}

#[test]
fn what_is_told_is_what_was_wanted_and_the_hub_had_passed() {
    let changes = vec![reading("a", 11, 1), reading("b", 12, 1), reading("a", 13, 2)];
    let recent = recent([changes, vec![reading("a", 19, 3)]].concat());
    let every = |entries| told(&recent, 13, &wanted(entries, true), false);
    assert_eq!(every(&["a"]), ["sensor_update 11.0", "sensor_update 13.0"]);
    assert_eq!(every(&["b*"]), ["sensor_update 12.0"]);
    assert_eq!(every(&["c"]), [""; 0]);
    assert_eq!(every(&["*"]).len(), 3);
    let batch = told(&recent, 13, &wanted(&["*"], true), true);
    assert_eq!(batch, ["sensor_updates 11.0,12.0,13.0"]);
}

#[test]
fn of_a_series_that_is_not_told_every_reading_the_latest_is_told() {
    let changes = vec![reading("a", 11, 1), reading("a", 12, 9), reading("a", 13, 2)];
    let recent = recent(changes);
    let told = |batch| told(&recent, 20, &wanted(&["a"], false), batch);
    assert_eq!(told(false), ["sensor_update 12.0"]);
    assert_eq!(told(true), ["sensor_updates 12.0", "sensor_updates "], "and what it replaced");
}

#[test]
fn nothing_is_told_of_before_a_removal() {
    let removed = Change::Removed { sensor_id: "a".into() };
    let changes = vec![reading("a", 11, 1), reading("b", 12, 1), removed, reading("a", 14, 1)];
    let recent = recent(changes);
    let expected = ["sensor_update 12.0", "sensor_removed ", "sensor_update 14.0"];
    assert_eq!(told(&recent, 20, &wanted(&["*"], true), false), expected);
    assert_eq!(told(&recent, 20, &wanted(&["b"], true), false), expected[..1]);
}

#[test]
fn a_shard_that_was_not_read_whole_is_a_gap() {
    let mut recent = recent(vec![reading("a", 19, 1)]);
    recent.parts[0].is_cut = true;
    assert_eq!(told(&recent, 20, &wanted(&["a"], true), false), ["gap ", "sensor_update 19.0"]);
    assert!(recent.has(&[id(20)]) && !recent.has(&[id(21)]) && !recent.has(&[]));
}
