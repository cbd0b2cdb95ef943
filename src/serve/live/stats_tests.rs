use super::*;
use crate::aggregate::state::State;
use crate::reading::UnixMillis;
use crate::serve::live::subscription::{Addition, Entries, Pace};
use crate::serve::table::Part;
use crate::shard::ShardId;
use crate::statistic::Statistic;

fn put(rows: &mut Rows, id: &str, value: f64) {
    let mut state = State::default();
    state.statistics.fold(value, UnixMillis(1));
    let series = SeriesKey { sensor_id: id.into(), sensor_type: "t".into() };
    rows.put(series, Part { shard: ShardId(0), seen: 1, state, attributes: None });
}

fn wanted(number: u32, entries: &[&str], (changes, whole): (bool, bool)) -> Wanted {
    let entries = Entries::parse(entries.iter().map(|one| (*one).to_owned()).collect()).unwrap();
    let addition = Addition { entries, pace: Pace::Every, batch: None, stats: Some(true) };
    let subscription = Arc::new(Subscription::default().with(&addition).unwrap());
    Wanted { group: (number, 1), subscription, changes, whole }
}

fn ids(frames: &[Frame]) -> Vec<String> {
    let of = |frame: &Frame| {
        let data: serde_json::Value = serde_json::from_str(frame.data()).unwrap();
        let rows = data["sensors"].as_array().unwrap().clone();
        rows.into_iter().map(|row| row["sensor_id"].as_str().unwrap().to_owned())
    };
    frames.iter().flat_map(of).collect()
}

#[test]
fn first_comes_everything_that_is_wanted_then_what_changed() {
    let (mut rows, mut stats) = (Rows::default(), Stats::default());
    let one = |how| vec![wanted(0, &["a", "b*"], how)];
    for id in ["a", "b1", "b2", "c"] {
        put(&mut rows, id, 1.0);
    }
    rows.complete(UnixMillis(1));
    let told = stats.encode(&rows, one((false, true)), || false);
    assert_eq!((told[0].begins, told[0].ends), (true, true));
    assert_eq!(ids(&told[0].whole), ["a", "b1", "b2"]);
    rows.complete(UnixMillis(2));
    assert!(stats.encode(&rows, one((true, false)), || false).is_empty(), "nothing changed");
    for (id, value) in [("a", 1.0), ("b2", 2.0), ("c", 2.0)] {
        put(&mut rows, id, value);
    }
    rows.complete(UnixMillis(3));
    let told = stats.encode(&rows, one((true, false)), || false);
    assert_eq!((ids(&told[0].changed), told[0].whole.len()), (vec!["b2".to_owned()], 0));
    // Another data set.
    rows.clear();
    put(&mut rows, "a", 1.0);
    rows.complete(UnixMillis(4));
    let told = stats.encode(&rows, one((true, false)), || false);
    assert_eq!(ids(&told[0].changed), ["a"]);
}

#[test]
fn a_look_tells_a_piece_and_what_changes_meanwhile_comes_later() {
    const SERIES: usize = ROWS_PER_FRAME * FRAMES_MAX + 500;
    let (mut rows, mut stats) = (Rows::default(), Stats::default());
    let ids_all: Vec<String> = (0..SERIES).map(|n| format!("s{n:05}")).collect();
    ids_all.iter().for_each(|id| put(&mut rows, id, 1.0));
    rows.complete(UnixMillis(1));
    let first = stats.encode(&rows, vec![wanted(0, &["*"], (false, true))], || false);
    assert_eq!((first[0].begins, first[0].ends, first[0].whole.len()), (true, false, FRAMES_MAX));
    let first = ids(&first[0].whole);
    // All of them, as what was told has changed too.
    ids_all.iter().for_each(|id| put(&mut rows, id, 2.0));
    rows.complete(UnixMillis(2));
    let second = stats.encode(&rows, vec![wanted(0, &["*"], (true, true))], || false);
    assert_eq!((second[0].begins, second[0].ends), (false, true));
    assert_eq!([first, ids(&second[0].whole)].concat(), ids_all);
    // One changes again before the lap comes to it, one after.
    put(&mut rows, "s00000", 3.0);
    put(&mut rows, "s04400", 3.0);
    rows.complete(UnixMillis(3));
    let third = stats.encode(&rows, vec![wanted(0, &["*"], (true, false))], || false);
    assert_eq!([ids(&second[0].changed), ids(&third[0].changed)].concat(), ids_all);
    rows.complete(UnixMillis(4));
    let fourth = stats.encode(&rows, vec![wanted(0, &["*"], (true, false))], || false);
    assert_eq!(ids(&fourth[0].changed).first().map(String::as_str), Some("s00000"));
}

#[test]
fn who_is_not_reached_in_time_comes_first_at_the_next_look() {
    let (mut rows, mut stats) = (Rows::default(), Stats::default());
    put(&mut rows, "a", 1.0);
    rows.complete(UnixMillis(1));
    let all = || (0..3).map(|number| wanted(number, &["a"], (false, true))).collect::<Vec<_>>();
    let mut reached = Vec::new();
    for _ in 0..4 {
        let told = stats.encode(&rows, all(), || true);
        reached.extend(told.iter().map(|told| told.group.0));
    }
    assert_eq!(reached, [0, 1, 2, 0]);
}
