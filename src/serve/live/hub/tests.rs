//! The hub as a state machine: what it promises whatever happens.

use super::*;
use crate::reading::{SeriesKey, UnixMillis};
use crate::serve::live::event;
use crate::serve::live::shown::{Change, Observed};
use crate::serve::live::subscription::{Addition, Entries, Pace, Subscription};
use crate::serve::quiet::{Status, Turned};
use crate::serve::view::Attributes;
use crate::shard::ShardId;
use crate::stream::{EntryId, Position};

mod always;
mod backpressure;
mod limits;
mod moving;
mod removal;
mod statistics;

const A: ClientId = ClientId(1);
const B: ClientId = ClientId(2);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn observed(id: &str, measured_at: i64, value: f64) -> Observed {
    Observed {
        series: SeriesKey { sensor_id: id.into(), sensor_type: "t".into() },
        value,
        measured_at: UnixMillis(measured_at),
        attributes: Attributes::default(),
        shard: ShardId(0),
        position: Position { entry: EntryId { ms: 1, seq: 0 }, index: 0 },
        replaced: 0,
    }
}

fn addition(list: &[&str], pace: Pace, batch: bool) -> Addition {
    let entries = Entries::parse(list.iter().map(|one| (*one).to_owned()).collect()).unwrap();
    Addition { entries, pace, batch: Some(batch), stats: None }
}

fn hz(hz: f64) -> Pace {
    Pace::of(false, Some(hz)).unwrap()
}

fn turned(id: &str) -> Turned {
    let series = SeriesKey { sensor_id: id.into(), sensor_type: "t".into() };
    Turned { series, status: Status::Late, last_at: UnixMillis(1) }
}

/// A hub with clients that get everything, and have been there for long.
fn hub(clients: &[ClientId]) -> Hub {
    let mut hub = Hub::default();
    for id in clients {
        join(&mut hub, *id);
    }
    hub
}

fn join(hub: &mut Hub, id: ClientId) {
    hub.join(id);
    hub.enter(id, ms(0));
    hub.tick(HOLD, &mut Vec::new());
}

/// Readings that come in one round.
fn come(hub: &mut Hub, readings: &[Observed], now: u64) -> Vec<Action> {
    let mut actions = Vec::new();
    for reading in readings {
        hub.change(Change::Reading(reading.clone()), ms(now), &mut actions);
    }
    hub.settle(ms(now), &mut actions);
    actions
}

fn tick(hub: &mut Hub, now: u64) -> Vec<Action> {
    let mut actions = Vec::new();
    hub.tick(ms(now), &mut actions);
    actions
}

fn frames(actions: &[Action], of: ClientId) -> Vec<Frame> {
    let frames = actions.iter().filter_map(|action| match action {
        Action::Send(id, frame) if *id == of => Some(frame.clone()),
        Action::Send(..) | Action::CloseSlow(_) => None,
    });
    frames.collect()
}

/// Each event of a client: `id=value …` of its readings, and what was replaced, else its name.
fn told(actions: &[Action], of: ClientId) -> Vec<String> {
    frames(actions, of).iter().map(said).collect()
}

fn said(frame: &Frame) -> String {
    let data: serde_json::Value = serde_json::from_str(frame.data()).unwrap();
    let reading = |it: &serde_json::Value| {
        format!("{}={}", it["sensor_id"].as_str().unwrap(), it["value"].as_f64().unwrap())
    };
    match frame.event() {
        "sensor_update" => reading(&data),
        "sensor_updates" => {
            let readings = data["readings"].as_array().unwrap().iter().map(reading);
            format!("[{}] {}", readings.collect::<Vec<_>>().join(" "), data["conflated"])
        }
        "status" => format!("behind {}", data["conflated"]),
        other => other.to_owned(),
    }
}

#[test]
fn the_first_change_is_told_at_once_and_the_next_after_the_pace() {
    let mut hub = hub(&[A]);
    assert_eq!(told(&come(&mut hub, &[observed("s", 1, 1.0)], 0), A), ["s=1"]);
    for (at, value) in [(2, 2.0), (3, 3.0)] {
        assert!(come(&mut hub, &[observed("s", at, value)], 10).is_empty());
    }
    assert_eq!(hub.next_tick(), Some(ms(100)));
    assert!(tick(&mut hub, 99).is_empty());
    assert_eq!(told(&tick(&mut hub, 100), A), ["s=3"]);
    assert!(tick(&mut hub, 200).is_empty());
    assert_eq!(hub.next_tick(), None);
    assert_eq!(told(&come(&mut hub, &[observed("s", 4, 4.0)], 201), A), ["s=4"]);
    assert_eq!(hub.counts().conflated, 1);
}

#[test]
fn a_series_never_goes_backwards_unless_every_reading_is_wanted() {
    let mut hub = hub(&[A]);
    hub.join(B);
    hub.subscribe(B, &addition(&["s"], Pace::Every, false)).unwrap();
    come(&mut hub, &[observed("s", 5, 5.0)], 0);
    let late = come(&mut hub, &[observed("s", 4, 4.0)], 500);
    assert_eq!((told(&late, A), told(&late, B)), (vec![], vec!["s=4".to_owned()]));
    tick(&mut hub, 500);
    let same_time = come(&mut hub, &[observed("s", 5, 6.0)], 600);
    assert_eq!(told(&same_time, A), ["s=6"]);
}

#[test]
fn every_reading_comes_at_once_and_in_order_to_who_wants_it() {
    let mut hub = hub(&[]);
    hub.join(A);
    hub.subscribe(A, &addition(&["*"], Pace::Every, false)).unwrap();
    hub.join(B);
    hub.subscribe(B, &addition(&["*"], Pace::Every, true)).unwrap();
    let round = [observed("s", 1, 1.0), observed("r", 1, 7.0), observed("s", 2, 2.0)];
    let actions = come(&mut hub, &round, 0);
    assert_eq!(told(&actions, A), ["s=1", "r=7", "s=2"]);
    assert_eq!(told(&actions, B), ["[s=1 r=7 s=2] 0"]);
    assert_eq!(told(&come(&mut hub, &[observed("s", 3, 3.0)], 1), B), ["[s=3] 0"]);
}

#[test]
fn a_batch_is_one_frame_per_pace_and_says_what_it_replaced() {
    let mut hub = hub(&[]);
    hub.join(A);
    hub.subscribe(A, &addition(&["s*"], hz(5.0), true)).unwrap();
    let round = [observed("s1", 1, 1.0), observed("s2", 1, 1.0), observed("s1", 2, 2.0)];
    assert_eq!(told(&come(&mut hub, &round, 0), A), ["[s1=2 s2=1] 1"]);
    let more = Observed { replaced: 10, ..observed("s1", 3, 3.0) };
    assert!(come(&mut hub, &[more, observed("s1", 2, 0.0)], 50).is_empty());
    assert!(come(&mut hub, &[observed("s1", 4, 4.0), observed("x", 4, 4.0)], 100).is_empty());
    assert_eq!(told(&tick(&mut hub, 200), A), ["[s1=4] 12"]);
    assert!(tick(&mut hub, 400).is_empty());
    assert_eq!(told(&come(&mut hub, &[observed("s2", 5, 5.0)], 401), A), ["[s2=5] 0"]);
}

#[test]
fn entries_have_their_own_pace_and_the_most_generous_counts() {
    let mut hub = hub(&[]);
    hub.join(A);
    hub.subscribe(A, &addition(&["*"], hz(1.0), false)).unwrap();
    hub.subscribe(A, &addition(&["fast"], hz(10.0), false)).unwrap();
    let both = |at: i64| [observed("fast", at, at as f64), observed("slow", at, at as f64)];
    assert_eq!(told(&come(&mut hub, &both(1), 0), A), ["fast=1", "slow=1"]);
    assert!(come(&mut hub, &both(2), 50).is_empty());
    assert_eq!(told(&tick(&mut hub, 100), A), ["fast=2"]);
    assert_eq!(told(&tick(&mut hub, 1000), A), ["slow=2"]);
}

#[test]
fn one_encoding_is_shared_by_all_with_one_subscription() {
    let mut hub = hub(&[A, B]);
    let actions = come(&mut hub, &[observed("s", 1, 1.0)], 0);
    let (of_a, of_b) = (frames(&actions, A), frames(&actions, B));
    assert_eq!((of_a.len(), of_b.len()), (1, 1));
    assert_eq!(of_a[0].wire().as_ptr(), of_b[0].wire().as_ptr());
}

#[test]
fn clients_get_what_they_subscribed_to() {
    let mut hub = hub(&[A, B]);
    // Heard before anybody asks for it by name, and after.
    come(&mut hub, &[observed("a", 0, 0.0), observed("room/0", 0, 0.0)], 0);
    hub.subscribe(A, &addition(&["a", "room/*"], hz(10.0), false)).unwrap();
    let round: Vec<_> = ["a", "b", "room/0", "room/1"].map(|id| observed(id, 1, 1.0)).into();
    let actions = come(&mut hub, &round, 200);
    assert_eq!(told(&actions, A), ["a=1", "room/0=1", "room/1=1"]);
    hub.unsubscribe(A, &addition(&["a", "room/*"], hz(1.0), false).entries).unwrap();
    tick(&mut hub, 500);
    let actions = come(&mut hub, &[observed("a", 2, 2.0)], 500);
    assert_eq!((told(&actions, A).len(), told(&actions, B).len()), (0, 1));
    let refused = hub.subscribe(A, &addition(&["a"; 100], hz(1.0), false));
    assert!(refused.is_ok());
    let many: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(hub.subscribe(A, &addition(&many, hz(1.0), false)).is_err());
}

#[test]
fn what_of_all_is_wanted_is_known() {
    let mut hub = hub(&[A]);
    let before = hub.every_changes();
    assert_eq!((hub.every().len(), hub.apart()), (0, ms(100)));
    hub.subscribe(A, &addition(&["a*"], Pace::Every, false)).unwrap();
    assert_eq!(hub.every(), BTreeSet::from(["a*".into()]));
    assert_ne!(hub.every_changes(), before);
    hub.subscribe(A, &addition(&["b"], hz(50.0), false)).unwrap();
    assert_eq!(hub.apart(), ms(20));
    let before = hub.every_changes();
    hub.leave(A);
    assert!(hub.every().is_empty() && hub.every_changes() != before);
}

#[test]
fn notices_reach_everybody_and_turns_those_who_want_the_sensor() {
    let mut hub = hub(&[A]);
    hub.join(B);
    hub.subscribe(B, &addition(&["b"], hz(1.0), false)).unwrap();
    let mut actions = Vec::new();
    hub.announce(&Notice::Gap(ShardId(1)), ms(0), &mut actions);
    assert_eq!((told(&actions, A), told(&actions, B)), (vec!["gap".into()], vec!["gap".into()]));
    actions.clear();
    let series = |id: &str| SeriesKey { sensor_id: id.into(), sensor_type: "t".into() };
    for id in ["a", "b"] {
        hub.tell_of(&series(id), &event::error(id), ms(0), &mut actions);
    }
    assert_eq!((told(&actions, A).len(), told(&actions, B).len()), (2, 1));
}

#[test]
fn another_data_set_may_begin_earlier() {
    let mut hub = hub(&[A]);
    come(&mut hub, &[observed("s", 100, 1.0)], 0);
    come(&mut hub, &[observed("s", 101, 1.5)], 1);
    let mut actions = Vec::new();
    hub.announce(&Notice::Reset, ms(2), &mut actions);
    assert_eq!(told(&actions, A), ["reset"]);
    assert!(tick(&mut hub, 500).is_empty(), "what waited is of the other one");
    assert_eq!(told(&come(&mut hub, &[observed("s", 1, 2.0)], 500), A), ["s=2"]);
}

#[test]
fn the_last_client_takes_everything_with_it() {
    let mut hub = hub(&[A]);
    come(&mut hub, &[observed("s", 5, 1.0)], 0);
    hub.leave(A);
    assert!(hub.is_empty() && hub.next_tick().is_none());
    assert!(come(&mut hub, &[observed("s", 2, 2.0)], 1).is_empty());
    join(&mut hub, B);
    assert_eq!(told(&come(&mut hub, &[observed("s", 3, 3.0)], 2), B), ["s=3"]);
}

#[test]
fn groups_that_go_leave_the_others_as_they_are() {
    let mut hub = hub(&[A, B]);
    hub.subscribe(A, &addition(&["s"], hz(10.0), true)).unwrap();
    come(&mut hub, &[observed("s", 1, 1.0)], 0);
    come(&mut hub, &[observed("s", 2, 2.0)], 1);
    // Its group goes while its frame waits; another group gets its number.
    hub.leave(A);
    hub.join(A);
    hub.subscribe(A, &addition(&["r"], hz(10.0), true)).unwrap();
    let actions = tick(&mut hub, 1000);
    assert_eq!((told(&actions, A), told(&actions, B)), (vec![], vec!["s=2".to_owned()]));
}

#[test]
fn who_comes_may_say_what_it_wants_before_it_is_told_everything() {
    let mut hub = hub(&[]);
    for id in [A, B] {
        hub.join(id);
        hub.enter(id, ms(0));
    }
    let all = [observed("s", 1, 1.0), observed("r", 1, 1.0)];
    assert!(come(&mut hub, &all, 1).is_empty());
    assert_eq!(hub.subscribe(B, &addition(&["r"], hz(10.0), false)), Ok(0));
    assert_eq!(told(&come(&mut hub, &[observed("r", 2, 2.0)], 400), B), ["r=2"]);
    // What came meanwhile comes at the end, of each series the latest.
    assert!(told(&tick(&mut hub, 499), A).is_empty());
    let actions = tick(&mut hub, 500);
    assert_eq!((told(&actions, A), told(&actions, B)), (vec!["s=1".into(), "r=2".into()], vec![]));
    assert_eq!(hub.counts().behind, 0, "nobody was slow");
}

#[test]
fn who_first_says_what_it_does_not_want_is_told_at_once_what_it_wants_then() {
    let mut hub = hub(&[]);
    hub.join(A);
    hub.enter(A, ms(0));
    hub.unsubscribe(A, &addition(&["*"], hz(10.0), false).entries).unwrap();
    assert_eq!(hub.subscribe(A, &addition(&["s"], Pace::Every, false)), Ok(0));
    let readings = [observed("s", 1, 1.0), observed("s", 2, 2.0)];
    assert_eq!(told(&come(&mut hub, &readings, 1), A), ["s=1", "s=2"]);
}

#[test]
fn frames_of_before_the_first_subscription_are_counted_out() {
    let mut hub = hub(&[A]);
    let all: Vec<_> = (0..2000).map(|n| observed(&format!("s{n}"), 1, 1.0)).collect();
    let queue = frames(&come(&mut hub, &all, 0), A);
    assert_eq!(hub.subscribe(A, &addition(&["s1"], hz(10.0), false)), Ok(queue.len() as u64));
    let mut actions = Vec::new();
    hub.sent(A, (queue.len(), queue.iter().map(Frame::len).sum()), ms(1), &mut actions);
    assert!(actions.is_empty(), "what it missed was of before, too");
    assert_eq!(hub.subscribe(A, &addition(&["s2"], hz(10.0), false)), Ok(0));
}
