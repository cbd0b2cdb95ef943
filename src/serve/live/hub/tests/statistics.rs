//! Who is told which statistics.

use super::*;
use crate::serve::live::member::Room;
use crate::serve::live::stats::{Asked, Told, Wanted};

fn wanted(hub: &mut Hub) -> Vec<Wanted> {
    let (reply, mut answer) = tokio::sync::oneshot::channel();
    hub.stats(Asked::Wanted(reply), &mut Vec::new());
    answer.try_recv().unwrap()
}

fn needs(hub: &mut Hub) -> (bool, bool) {
    let wanted = wanted(hub);
    assert_eq!(wanted.len(), 1);
    (wanted[0].changes, wanted[0].whole)
}

fn some(text: &str) -> Vec<Frame> {
    vec![Frame::new("sensor_stats", text)]
}

fn whole(begins: bool, ends: bool) -> Told {
    Told { group: (0, 0), changed: some("changed"), whole: some("whole"), begins, ends }
}

fn tell(hub: &mut Hub, told: Told) -> Vec<Action> {
    let mut actions = Vec::new();
    let group = wanted(hub)[0].group;
    hub.stats(Asked::Tell(vec![Told { group, ..told }]), &mut actions);
    actions
}

fn data(actions: &[Action], of: ClientId) -> Vec<String> {
    frames(actions, of).iter().map(|frame| frame.data().trim_matches('"').to_owned()).collect()
}

fn subscribe(hub: &mut Hub, id: ClientId) {
    let addition = Addition { stats: Some(true), ..addition(&["*"], hz(10.0), false) };
    hub.subscribe(id, &addition).unwrap();
}

#[test]
fn who_comes_is_told_everything_once_and_then_what_changes() {
    let mut hub = hub(&[A, B]);
    assert!(wanted(&mut hub).is_empty(), "nobody asked for any");
    subscribe(&mut hub, A);
    assert_eq!(needs(&mut hub), (false, true));
    assert_eq!(data(&tell(&mut hub, whole(true, false)), A), ["whole"]);
    // The next comes in the midst of it, and needs another lap.
    subscribe(&mut hub, B);
    let actions = tell(&mut hub, whole(false, true));
    assert_eq!(
        (data(&actions, A), data(&actions, B)),
        (some_of(&["changed", "whole"]), some_of(&["whole"]))
    );
    assert_eq!(needs(&mut hub), (true, true));
    let actions = tell(&mut hub, whole(true, true));
    assert_eq!(
        (data(&actions, A), data(&actions, B)),
        (some_of(&["changed"]), some_of(&["whole"]))
    );
    assert_eq!(needs(&mut hub), (true, false));
    let none = Told { whole: Vec::new(), ..whole(false, false) };
    assert_eq!(data(&tell(&mut hub, none), B), ["changed"]);
}

fn some_of(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn who_has_no_room_is_told_everything_later() {
    let mut hub = hub(&[A]);
    subscribe(&mut hub, A);
    tell(&mut hub, whole(true, true));
    let large = || vec![Frame::new("sensor_stats", &"x".repeat(Room::CONFLATED.bytes))];
    let sent = tell(&mut hub, Told { changed: large(), whole: Vec::new(), ..whole(false, false) });
    assert_eq!(frames(&sent, A).len(), 1);
    let missed = tell(&mut hub, Told { whole: Vec::new(), ..whole(false, false) });
    assert!(missed.is_empty());
    assert_eq!(needs(&mut hub), (false, true));
    let bytes = frames(&sent, A)[0].len();
    hub.sent(A, (1, bytes), ms(1), &mut Vec::new());
    assert_eq!(data(&tell(&mut hub, whole(true, true)), A), ["whole"]);
    assert_eq!(needs(&mut hub), (true, false));
}
