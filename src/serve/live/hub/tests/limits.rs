//! What the hub holds for all clients together is bounded.

use super::*;
use crate::serve::live::member::Room;

fn many(series: usize, at: i64) -> Vec<Observed> {
    (0..series).map(|n| observed(&format!("s{n:04}"), at, 1.0)).collect()
}

#[test]
fn a_subscription_of_its_own_is_refused_when_there_are_too_many_series_of_all() {
    let mut hub = hub(&[A]);
    hub.load.limits.listeners = 250;
    come(&mut hub, &many(100, 1), 0);
    for id in [B, ClientId(3)] {
        hub.join(id);
    }
    hub.subscribe(B, &addition(&["s*"], hz(1.0), true)).unwrap();
    assert_eq!(hub.load().listeners, 200);
    let refused = hub.subscribe(ClientId(3), &addition(&["s00*", "s000*"], hz(2.0), true));
    let said = refused.unwrap_err();
    assert!(said.contains("to 100 series, beside 200; allowed: 250"), "{said}");
    assert_eq!(hub.counts().refused, 1);
    // What others have, and what is small, is not; and who leaves the last of a group gives room.
    let granted = hub.subscribe(ClientId(3), &addition(&["s*"], hz(1.0), true));
    assert!(granted.is_ok());
    assert!(hub.subscribe(ClientId(3), &addition(&["s0001"], hz(9.0), false)).is_err());
    assert!(hub.unsubscribe(ClientId(3), &addition(&["x"], hz(9.0), false).entries).is_ok());
    hub.leave(B);
    let granted = hub.subscribe(ClientId(3), &addition(&["s0001"], hz(9.0), false));
    assert!(granted.is_ok());
    assert!(hub.subscribe(A, &addition(&["s*"], hz(3.0), false)).is_ok());
    let twice = come(&mut hub, &[observed("s0001", 2, 2.0)], 1);
    assert_eq!(
        (told(&twice, A), told(&twice, ClientId(3))),
        (vec!["s0001=2".into()], vec!["s0001=2".into()])
    );
}

#[test]
fn a_refused_wish_leaves_the_shape_as_it_was() {
    let mut hub = hub(&[]);
    hub.join(A);
    hub.subscribe(A, &addition(&["a"], hz(1.0), false)).unwrap();
    let list: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let list: Vec<&str> = list.iter().map(String::as_str).collect();
    assert!(hub.subscribe(A, &addition(&list, hz(1.0), true)).is_err());
    assert_eq!(told(&come(&mut hub, &[observed("a", 1, 1.0)], 0), A), ["a=1"]);
}

#[test]
fn a_new_series_that_too_many_want_is_counted_and_not_shown() {
    let mut hub = hub(&[A]);
    hub.load.limits.listeners = 2;
    let told_of = told(&come(&mut hub, &many(3, 1), 0), A);
    assert_eq!(told_of, ["s0000=1", "s0001=1"]);
    assert_eq!((hub.counts().without_slot, hub.load().listeners), (1, 2));
    hub.change(Change::Removed { sensor_id: "s0000".into() }, ms(1), &mut Vec::new());
    assert_eq!(told(&come(&mut hub, &[observed("s0002", 2, 2.0)], 2), A), ["s0002=2"]);
    hub.leave(A);
    assert_eq!(hub.load().listeners, 0);
}

#[test]
fn a_subscription_costs_nothing_for_series_that_are_not_heard_again() {
    let mut hub = hub(&[A]);
    come(&mut hub, &many(1000, 1), 0);
    hub.join(B);
    hub.subscribe(B, &addition(&["*"], hz(1.0), false)).unwrap();
    let listeners =
        |hub: &mut Hub| -> usize { hub.slots.iter_mut().map(|slot| slot.audience.len()).sum() };
    assert_eq!(listeners(&mut hub), 1000);
    let actions = come(&mut hub, &many(10, 2), 200);
    assert_eq!((told(&actions, A).len(), told(&actions, B).len()), (10, 10));
    assert_eq!((listeners(&mut hub), hub.load().listeners), (1010, 2000));
    hub.leave(B);
    assert_eq!((listeners(&mut hub), hub.load().listeners), (1000, 1000));
}

#[test]
fn queues_are_short_when_all_together_hold_too_much() {
    let ids: Vec<ClientId> = (0..50).map(ClientId).collect();
    let mut hub = hub(&ids);
    hub.load.limits.queued_bytes = 1 << 20;
    let mut queues = 0;
    for round in 0..40 {
        let actions = come(&mut hub, &many(20, round), round as u64 * 1000);
        queues += ids.iter().flat_map(|id| frames(&actions, *id)).map(|it| it.len()).sum::<usize>();
        // One reads, and is told everything as if nothing were.
        let own = frames(&actions, ids[0]);
        assert_eq!(own.len(), 20, "round {round}");
        let bytes = own.iter().map(Frame::len).sum();
        hub.sent(ids[0], (own.len(), bytes), ms(0), &mut Vec::new());
        queues -= bytes;
    }
    assert_eq!(hub.load().queued_bytes, queues);
    assert!(queues < (1 << 20) + ids.len() * Room::SHORT.bytes, "{queues}");
    assert!(hub.counts().crowded >= 49, "{:?}", hub.counts());
    ids.iter().for_each(|id| hub.leave(*id));
    assert_eq!(hub.load().queued_bytes, 0);
}

#[test]
fn who_brings_more_than_may_be_kept_is_closed() {
    let mut hub = hub(&[]);
    hub.load.limits.kept = 1000;
    let held = many(1000, 1);
    for id in [A, B] {
        hub.join(id);
        hub.subscribe(id, &addition(&["*"], hz(10.0), false)).unwrap();
    }
    come(&mut hub, &[many(2000, 1), held].concat(), 0);
    hub.subscribe(A, &addition(&["x"], hz(1.0), false)).unwrap();
    assert_eq!(hub.load().kept, 2000 - Room::CONFLATED.frames);
    hub.unsubscribe(B, &addition(&["y"], hz(1.0), false).entries).unwrap();
    hub.subscribe(B, &addition(&["y"], hz(1.0), false)).unwrap();
    assert_eq!(hub.load().kept, 2000 - Room::CONFLATED.frames, "A's");
    let mut actions = Vec::new();
    hub.sent(B, (1024, 1 << 20), ms(1), &mut actions);
    assert_eq!(actions, []);
    assert_eq!(tick(&mut hub, 2), [Action::CloseSlow(B)]);
    hub.leave(A);
    assert_eq!(hub.load().kept, 0);
}
