//! What waits for a client that does not read is exactly what its queue holds, then one reading of
//! each series; the rest is counted.

use super::*;
use crate::serve::live::member::Room;

/// Everything a client takes, with the counts of what was replaced.
fn take(hub: &mut Hub, id: ClientId, waiting: &[Frame], now: u64) -> Vec<Action> {
    let mut actions = Vec::new();
    let bytes = waiting.iter().map(Frame::len).sum();
    hub.sent(id, (waiting.len(), bytes), ms(now), &mut actions);
    actions
}

fn readings(frames: &[Frame]) -> (usize, u64) {
    let (mut readings, mut conflated) = (0, 0);
    for frame in frames {
        let data: serde_json::Value = serde_json::from_str(frame.data()).unwrap();
        readings += data["readings"].as_array().map_or(0, Vec::len);
        conflated += data["conflated"].as_u64().unwrap_or(0);
    }
    (readings, conflated)
}

#[test]
fn a_client_that_never_reads_holds_its_queue_and_one_reading_per_series() {
    const SERIES: usize = 20;
    const ROUNDS: usize = 400;
    let mut hub = hub(&[]);
    hub.join(A);
    hub.subscribe(A, &addition(&["*"], hz(10.0), true)).unwrap();
    let mut queue = Vec::new();
    for round in 0..ROUNDS {
        let now = round as u64 * 100;
        let values: Vec<_> =
            (0..SERIES).map(|n| observed(&format!("s{n:02}"), now as i64, 0.0)).collect();
        queue.extend(frames(&tick(&mut hub, now.min(9_000)), A));
        queue.extend(frames(&come(&mut hub, &values, now.min(9_000)), A));
    }
    let bytes: usize = queue.iter().map(Frame::len).sum();
    assert!(bytes >= Room::CONFLATED.bytes);
    assert!(bytes - queue.last().unwrap().len() < Room::CONFLATED.bytes, "and one frame");
    let (before, _) = readings(&queue);
    let rest = frames(&take(&mut hub, A, &queue, 9_000), A);
    let (after, conflated) = readings(&rest);
    assert_eq!(after, SERIES, "of each series the latest");
    let waits = frames(&tick(&mut hub, 9_999_999), A);
    let (last, conflated_last) = readings(&waits);
    assert_eq!(before + after + last + (conflated + conflated_last) as usize, SERIES * ROUNDS);
}

#[test]
fn a_client_that_wants_every_reading_holds_so_many_and_is_told_how_many_were_replaced() {
    let mut hub = hub(&[]);
    hub.join(A);
    hub.subscribe(A, &addition(&["s"], Pace::Every, false)).unwrap();
    let mut queue = Vec::new();
    for n in 0..Room::EVERY.frames + 1000 {
        queue.extend(frames(&come(&mut hub, &[observed("s", n as i64, n as f64)], 0), A));
    }
    assert_eq!(queue.len(), Room::EVERY.frames);
    assert_eq!(hub.counts().behind, 1);
    let newest = format!("s={}", Room::EVERY.frames + 999);
    let rest = take(&mut hub, A, &queue, 1);
    assert_eq!(told(&rest, A), [newest, "behind 999".to_owned()]);
    // It has caught up: the next one comes by itself.
    assert_eq!(told(&come(&mut hub, &[observed("s", 99_999, 1.0)], 2), A), ["s=1"]);
}

#[test]
fn the_queue_of_single_readings_is_bounded_by_frames() {
    let mut hub = hub(&[A]);
    let all: Vec<_> =
        (0..Room::CONFLATED.frames + 500).map(|n| observed(&format!("s{n}"), 1, 1.0)).collect();
    let queue = frames(&come(&mut hub, &all, 0), A);
    assert_eq!(queue.len(), Room::CONFLATED.frames);
    // As many go in as went out, in order; none is lost, as each is another series.
    let some = frames(&take(&mut hub, A, &queue[..100], 1), A);
    assert_eq!((some.len(), said(&some[0])), (100, "s1024=1".to_owned()));
    let rest = frames(&take(&mut hub, A, &queue[100..], 2), A);
    assert_eq!((rest.len(), said(&rest[399])), (400, "s1523=1".to_owned()));
}

#[test]
fn those_who_are_behind_share_what_they_missed() {
    let ids: Vec<ClientId> = (0..500).map(ClientId).collect();
    let mut hub = hub(&ids);
    let all: Vec<_> = (0..2000).map(|n| observed(&format!("s{n}"), 1, 1.0)).collect();
    come(&mut hub, &all, 0);
    assert_eq!(hub.counts().behind, 500);
    let kept: usize = hub.groups.iter_mut().map(|(_, group)| group.kept()).sum();
    assert_eq!(kept, 2000 - Room::CONFLATED.frames);
}

#[test]
fn a_queue_that_stands_still_is_closed_and_one_that_moves_is_not() {
    let mut hub = hub(&[A, B]);
    let all: Vec<_> = (0..2000).map(|n| observed(&format!("s{n}"), 1, 1.0)).collect();
    let queue = frames(&come(&mut hub, &all, 0), B);
    assert!(tick(&mut hub, 9_000).is_empty());
    // B takes little, but something.
    take(&mut hub, B, &queue[..1], 9_500);
    assert_eq!(tick(&mut hub, 10_000), [Action::CloseSlow(A)]);
    assert_eq!(tick(&mut hub, 19_499), []);
    assert_eq!(tick(&mut hub, 19_500), [Action::CloseSlow(B)]);
    assert_eq!(hub.counts().slow, 2);
    assert!(hub.is_empty());
}

#[test]
fn who_asks_for_more_while_behind_misses_nothing_of_what_it_still_wants() {
    let mut hub = hub(&[]);
    hub.join(A);
    hub.subscribe(A, &addition(&["*"], hz(10.0), false)).unwrap();
    let all: Vec<_> = (0..1030).map(|n| observed(&format!("s{n}"), 1, 1.0)).collect();
    let queue = frames(&come(&mut hub, &all, 0), A);
    hub.subscribe(A, &addition(&["x"], Pace::Every, false)).unwrap();
    let rest = take(&mut hub, A, &queue, 1);
    let expected: Vec<String> = (1024..1030).map(|n| format!("s{n}=1")).collect();
    assert_eq!(told(&rest, A), expected);
}

/// Once, who was held and then had no room was never looked at again.
#[test]
fn who_takes_nothing_after_it_was_held_is_closed_too() {
    let mut hub = hub(&[]);
    for id in [A, B] {
        hub.join(id);
        hub.enter(id, ms(0));
    }
    let all: Vec<_> = (0..2000).map(|n| observed(&format!("s{n}"), 1, 1.0)).collect();
    assert!(come(&mut hub, &all, 1).is_empty());
    let released = tick(&mut hub, 500);
    let queue = frames(&released, B);
    assert_eq!(queue.len(), Room::CONFLATED.frames);
    assert_eq!(hub.counts().behind, 2);
    take(&mut hub, B, &queue, 600);
    assert_eq!(tick(&mut hub, 10_499), []);
    assert_eq!(tick(&mut hub, 10_500), [Action::CloseSlow(A)]);
    assert_eq!(tick(&mut hub, 30_000), [], "it has caught up");
}
