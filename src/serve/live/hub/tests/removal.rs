//! What happens to a sensor that is deleted.

use super::*;

fn remove(hub: &mut Hub, id: &str, now: u64) -> Vec<Action> {
    let mut actions = Vec::new();
    hub.change(Change::Removed { sensor_id: id.into() }, ms(now), &mut actions);
    actions
}

#[test]
fn a_removal_is_told_at_once_and_nothing_of_before_comes_after_it() {
    let mut hub = hub(&[A]);
    hub.join(B);
    hub.subscribe(B, &addition(&["*"], hz(10.0), true)).unwrap();
    come(&mut hub, &[observed("s", 5, 5.0), observed("r", 5, 5.0)], 0);
    come(&mut hub, &[observed("s", 6, 6.0), observed("r", 6, 6.0)], 1);
    let actions = remove(&mut hub, "s", 2);
    assert_eq!(
        (told(&actions, A), told(&actions, B)),
        (vec!["sensor_removed".to_owned()], vec!["sensor_removed".to_owned()])
    );
    let actions = tick(&mut hub, 100);
    assert_eq!(
        (told(&actions, A), told(&actions, B)),
        (vec!["r=6".to_owned()], vec!["[r=6] 1".to_owned()])
    );
    // It comes back, and may begin earlier.
    assert_eq!(told(&come(&mut hub, &[observed("s", 1, 1.0)], 101), A), ["s=1"]);
}

#[test]
fn who_is_behind_is_told_of_the_removal_but_not_of_what_was_before() {
    let mut hub = hub(&[A]);
    let all: Vec<_> = (0..1030).map(|n| observed(&format!("s{n}"), 1, 1.0)).collect();
    let queue = frames(&come(&mut hub, &all, 0), A);
    remove(&mut hub, "s1024", 1);
    come(&mut hub, &[observed("s1024", 0, 7.0)], 2);
    remove(&mut hub, "s1025", 3);
    let mut actions = Vec::new();
    hub.sent(A, (queue.len(), queue.iter().map(Frame::len).sum()), ms(4), &mut actions);
    let expected = ["s1026=1", "s1027=1", "s1028=1", "s1029=1", "sensor_removed", "s1024=7"];
    assert_eq!(told(&actions, A)[..6], expected);
    assert_eq!(told(&actions, A)[6..], ["sensor_removed"]);
}

#[test]
fn slots_of_deleted_sensors_are_given_out_again() {
    let mut hub = hub(&[A]);
    for n in 0..400 {
        let id = format!("s{n}");
        come(&mut hub, &[observed(&id, 1, 1.0)], n);
        remove(&mut hub, &id, n);
    }
    assert_eq!(hub.slots.iter_mut().count(), 1);
    assert_eq!(told(&come(&mut hub, &[observed("x", 1, 1.0)], 2000), A), ["x=1"]);
}
