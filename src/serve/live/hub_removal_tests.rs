//! The hub, when sensors are deleted.

use super::*;

/// Sensor id and value of each reading for a client, and `None` for a removal.
fn told(actions: &[Action], client: ClientId) -> Vec<(String, Option<f64>)> {
    let mut told = Vec::new();
    for action in actions {
        if let Action::Send(id, frame) = action
            && *id == client
        {
            let json: serde_json::Value = serde_json::from_str(frame.text()).unwrap();
            let is_removal = json["event"] == "sensor_removed";
            let data = &json["data"];
            assert_eq!(data["value"].is_null(), is_removal);
            told.push((data["sensor_id"].as_str().unwrap().to_owned(), data["value"].as_f64()));
        }
    }
    told
}

#[test]
fn a_removal_is_told_to_who_wants_the_sensor_and_it_may_begin_earlier() {
    let (mut hub, mut actions) = (hub(&[A, B]), Vec::new());
    hub.subscribe(B, &patterns(&["other*"])).unwrap();
    hub.begin(B, ms(0), &mut actions);
    hub.observe(observed("s", 100, 1.0), ms(0), &mut actions);
    hub.observe(observed("s", 200, 2.0), ms(10), &mut actions);
    remove(&mut hub, "s", 20, &mut actions);
    // What waited was of the sensor that is gone; what comes now is of another.
    hub.tick(ms(100), &mut actions);
    hub.observe(observed("s", 1, 3.0), ms(110), &mut actions);
    let row = |value| ("s".to_owned(), value);
    assert_eq!(told(&actions, A), [row(Some(1.0)), row(None), row(Some(3.0))]);
    assert!(told(&actions, B).is_empty());
    remove(&mut hub, "never seen", 120, &mut actions);
    assert_eq!(told(&actions, A)[3], ("never seen".to_owned(), None));
}

#[test]
fn slots_of_deleted_sensors_are_used_again() {
    let (mut hub, mut actions) = (hub(&[A]), Vec::new());
    for round in 0..100u64 {
        let id = format!("s{round}");
        hub.observe(observed(&id, 1, 1.0), ms(200 * round), &mut actions);
        remove(&mut hub, &id, 200 * round + 1, &mut actions);
        // The slot of the one before has cooled.
        hub.tick(ms(200 * round + 150), &mut actions);
    }
    assert_eq!((hub.slots.len(), hub.free.len()), (1, 1));
    assert_eq!(told(&actions, A).len(), 200);
}

#[test]
fn who_is_behind_gets_a_removal_before_what_came_after_it() {
    let (mut hub, mut actions) = (hub(&[A]), Vec::new());
    // Fills the queue, and then some is held of every sensor.
    let mut value = 0.0;
    while !hub.clients[&A].is_behind() {
        value += 1.0;
        for id in ["a", "b"] {
            let now = ms(value as u64 * 200);
            hub.tick(now, &mut actions);
            hub.observe(observed(id, value as i64, value), now, &mut actions);
        }
    }
    let now = value as u64 * 200 + 200;
    hub.tick(ms(now), &mut actions);
    hub.observe(observed("a", now as i64, 5.0), ms(now), &mut actions);
    actions.clear();
    remove(&mut hub, "a", now, &mut actions);
    remove(&mut hub, "a", now, &mut actions);
    hub.tick(ms(now + 150), &mut actions);
    hub.observe(observed("a", 1, 7.0), ms(now + 150), &mut actions);
    assert!(actions.is_empty(), "the queue is full");
    let late = hub.sent(A, 1000, QUEUE_BYTES_MAX);
    let of_a: Vec<_> = told(&late, A).into_iter().filter(|(id, _)| id == "a").collect();
    assert_eq!(of_a, [("a".to_owned(), None), ("a".to_owned(), Some(7.0))]);
    assert_eq!(hub.clients[&A].held_bytes, 0);
}

#[test]
fn a_joining_client_sees_no_reading_that_a_removal_took_along() {
    let missed = |value| Change::Reading(observed("s", 1, value));
    let gone = || Change::Removed { sensor_id: "s".into() };
    let row = |value| ("s".to_owned(), value);
    let check = |live: &[Change], past: &[Change], expected: &[(String, Option<f64>)]| {
        let (mut hub, mut actions) = (hub(&[]), Vec::new());
        hub.join(A);
        for change in live {
            hub.change(change.clone(), ms(0), &mut actions);
        }
        for change in past {
            hub.missed(A, change);
        }
        hub.begin(A, ms(10), &mut actions);
        assert_eq!(told(&actions, A), expected, "{live:?} {past:?}");
    };
    check(&[gone()], &[missed(1.0)], &[row(None)]);
    check(&[], &[missed(1.0), gone()], &[row(None)]);
    check(&[], &[missed(1.0), gone(), missed(2.0)], &[row(None), row(Some(2.0))]);
    check(&[missed(3.0)], &[missed(1.0), gone()], &[row(None), row(Some(3.0))]);
    check(&[gone(), missed(3.0)], &[missed(1.0), gone()], &[row(None), row(Some(3.0))]);
}
