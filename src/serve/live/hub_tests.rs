//! The hub as a state machine: what it promises whatever happens.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::backlog::QUEUE_BYTES_MAX;
use super::*;
use crate::stream::EntryId;

#[path = "hub_removal_tests.rs"]
mod removal;

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
    }
}

/// A hub with clients that have begun.
fn hub(clients: &[ClientId]) -> Hub {
    let mut hub = Hub::default();
    for id in clients {
        hub.join(*id);
        hub.begin(*id, ms(0), &mut Vec::new());
    }
    hub
}

/// Sensor id and value of each frame for a client.
fn shown(actions: &[Action], client: ClientId) -> Vec<(String, f64)> {
    let mut shown = Vec::new();
    for action in actions {
        if let Action::Send(id, frame) = action
            && *id == client
        {
            let json: serde_json::Value = serde_json::from_str(frame.text()).unwrap();
            let data = &json["data"];
            shown.push((
                data["sensor_id"].as_str().unwrap().to_owned(),
                data["value"].as_f64().unwrap(),
            ));
        }
    }
    shown
}

fn row(id: &str, value: f64) -> (String, f64) {
    (id.to_owned(), value)
}

fn patterns(entries: &[&str]) -> Patterns {
    Patterns::parse(&entries.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>()).unwrap()
}

#[test]
fn the_first_change_goes_out_at_once_and_the_next_after_a_tenth_of_a_second() {
    let (mut hub, mut actions) = (hub(&[A]), Vec::new());
    hub.observe(observed("s", 1, 1.0), ms(0), &mut actions);
    assert_eq!(shown(&actions, A), [row("s", 1.0)]);
    actions.clear();
    hub.observe(observed("s", 2, 2.0), ms(10), &mut actions);
    hub.observe(observed("s", 3, 3.0), ms(20), &mut actions);
    assert!(actions.is_empty());
    assert_eq!(hub.next_tick(), Some(ms(100)));
    hub.tick(ms(100), &mut actions);
    assert_eq!(shown(&actions, A), [row("s", 3.0)]);
    assert_eq!(hub.counts().conflated, 1);
    actions.clear();
    hub.tick(ms(200), &mut actions);
    assert!(actions.is_empty());
    assert_eq!(hub.next_tick(), None);
    hub.observe(observed("s", 4, 4.0), ms(500), &mut actions);
    assert_eq!(shown(&actions, A), [row("s", 4.0)]);
}

#[test]
fn what_is_older_than_what_is_shown_stays_away() {
    let (mut hub, mut actions) = (hub(&[A]), Vec::new());
    hub.observe(observed("s", 10, 1.0), ms(0), &mut actions);
    hub.observe(observed("s", 9, 2.0), ms(500), &mut actions);
    hub.tick(ms(1000), &mut actions);
    assert_eq!(shown(&actions, A), [row("s", 1.0)]);
    hub.observe(observed("s", 10, 3.0), ms(1500), &mut actions);
    assert_eq!(shown(&actions, A), [row("s", 1.0), row("s", 3.0)]);
}

#[test]
fn one_encoding_is_shared_by_all() {
    let (mut hub, mut actions) = (hub(&[A, B]), Vec::new());
    hub.observe(observed("s", 1, 1.0), ms(0), &mut actions);
    let frames: Vec<_> = actions
        .iter()
        .map(|action| match action {
            Action::Send(_, frame) => frame.text().as_ptr(),
            Action::CloseSlow(_) => panic!("nobody is slow"),
        })
        .collect();
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[0], frames[1]);
}

#[test]
fn clients_get_what_they_subscribed_to() {
    let (mut hub, mut actions) = (hub(&[A, B]), Vec::new());
    hub.subscribe(A, &patterns(&["a", "room/*"])).unwrap();
    hub.begin(A, ms(0), &mut actions);
    for id in ["a", "b", "room/1"] {
        hub.observe(observed(id, 1, 1.0), ms(0), &mut actions);
    }
    assert_eq!(shown(&actions, A), [row("a", 1.0), row("room/1", 1.0)]);
    assert_eq!(shown(&actions, B).len(), 3);
    actions.clear();
    hub.unsubscribe(A, &patterns(&["a", "room/*"]));
    hub.tick(ms(500), &mut actions);
    hub.observe(observed("a", 2, 2.0), ms(500), &mut actions);
    assert_eq!((shown(&actions, A).len(), shown(&actions, B).len()), (0, 1));
}

#[test]
fn a_joining_client_gets_its_past_before_what_is_live() {
    let (mut hub, mut actions) = (hub(&[]), Vec::new());
    hub.join(A);
    hub.observe(observed("s", 5, 5.0), ms(0), &mut actions);
    hub.missed(A, &Change::Reading(observed("s", 3, 3.0)));
    hub.missed(A, &Change::Reading(observed("only before", 1, 1.0)));
    assert!(actions.is_empty());
    hub.begin(A, ms(10), &mut actions);
    assert_eq!(shown(&actions, A), [row("s", 5.0), row("only before", 1.0)]);
}

#[test]
fn a_slow_client_gets_the_latest_and_is_closed_when_it_stays_behind() {
    let (mut hub, mut actions) = (hub(&[A, B]), Vec::new());
    let mut now = 0;
    // A never takes anything out of its queue; B always does.
    let mut value = 0.0;
    while !matches!(actions.last(), Some(Action::CloseSlow(_))) {
        actions.clear();
        value += 1.0;
        for id in 0..200 {
            hub.observe(observed(&format!("s{id}"), now, value), ms(now as u64), &mut actions);
        }
        let of_b = shown(&actions, B);
        let bytes = actions.iter().map(|action| match action {
            Action::Send(B, frame) => frame.len(),
            Action::Send(..) | Action::CloseSlow(_) => 0,
        });
        let (frames, bytes) = (of_b.len(), bytes.sum());
        assert!(hub.sent(B, frames, bytes).is_empty(), "nothing is held for B");
        now += 150;
        hub.tick(ms(now as u64), &mut actions);
        assert!(now < 60_000, "A was never closed");
    }
    assert_eq!(actions.last(), Some(&Action::CloseSlow(A)));
    assert_eq!(hub.counts().slow, 1);
    assert!(hub.counts().held_replaced > 0);
    actions.clear();
    hub.observe(observed("s0", now + 1000, 1.0), ms(now as u64 + 1000), &mut actions);
    assert_eq!((shown(&actions, A).len(), shown(&actions, B).len()), (0, 1));
}

fn remove(hub: &mut Hub, id: &str, now: u64, actions: &mut Vec<Action>) {
    hub.change(Change::Removed { sensor_id: id.into() }, ms(now), actions);
}

#[test]
fn notices_reach_everybody_in_order() {
    let (mut hub, mut actions) = (hub(&[A]), Vec::new());
    hub.join(B);
    hub.announce(&event::gap(ShardId(1)), &mut actions);
    assert_eq!(actions, [Action::Send(A, event::gap(ShardId(1)))]);
    hub.begin(B, ms(0), &mut actions);
    assert_eq!(actions.last(), Some(&Action::Send(B, event::gap(ShardId(1)))));
}

#[test]
fn a_forgotten_data_set_may_begin_earlier() {
    let (mut hub, mut actions) = (hub(&[A]), Vec::new());
    hub.observe(observed("s", 100, 1.0), ms(0), &mut actions);
    hub.forget();
    hub.tick(ms(500), &mut actions);
    hub.observe(observed("s", 1, 2.0), ms(500), &mut actions);
    assert_eq!(shown(&actions, A), [row("s", 1.0), row("s", 2.0)]);
}

#[test]
fn the_last_client_takes_all_slots_with_it() {
    let (mut hub, mut actions) = (hub(&[A]), Vec::new());
    hub.observe(observed("s", 1, 1.0), ms(0), &mut actions);
    hub.leave(A);
    assert!(hub.is_empty() && hub.next_tick().is_none());
    actions.clear();
    hub.observe(observed("s", 2, 2.0), ms(1), &mut actions);
    assert!(actions.is_empty());
}

#[derive(Clone, Debug)]
enum Step {
    Observe { sensor: u8, at: i64 },
    Take { client: u8, frames: usize },
    Join(u8),
    Begin(u8),
    Leave(u8),
    Remove(u8),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0u8..4, 0i64..50).prop_map(|(sensor, at)| Step::Observe { sensor, at }),
        4 => (0u8..3, 0usize..5).prop_map(|(client, frames)| Step::Take { client, frames }),
        1 => (0u8..3).prop_map(Step::Join),
        2 => (0u8..3).prop_map(Step::Begin),
        1 => (0u8..3).prop_map(Step::Leave),
        1 => (0u8..4).prop_map(Step::Remove),
        4 => (0u64..300).prop_map(Step::Wait),
    ]
}

/// What the tasks around the hub know.
#[derive(Default)]
struct World {
    /// Frames in each client's queue.
    queues: BTreeMap<ClientId, VecDeque<Frame>>,
    /// When each client was last shown each sensor, and what it was.
    last: BTreeMap<(ClientId, String), (u64, i64)>,
    /// The step in which each sensor was deleted last.
    removed: BTreeMap<String, u64>,
}

impl World {
    fn apply(&mut self, actions: &[Action], now: u64) -> Result<(), TestCaseError> {
        for action in actions {
            let Action::Send(id, frame) = action else { continue };
            let queue = self.queues.get_mut(id);
            prop_assert!(queue.is_some(), "a frame for somebody who is not there");
            let Some(queue) = queue else { continue };
            queue.push_back(frame.clone());
            let bytes: usize = queue.iter().map(Frame::len).sum();
            prop_assert!(bytes <= QUEUE_BYTES_MAX || queue.len() == 1);
            let json: serde_json::Value = serde_json::from_str(frame.text()).unwrap();
            let sensor = json["data"]["sensor_id"].as_str().unwrap().to_owned();
            if json["event"] == "sensor_removed" {
                self.last.remove(&(*id, sensor));
                continue;
            }
            let step = json["data"]["position"].as_str().unwrap()[2..].split('-').next();
            let step: u64 = step.unwrap().parse().unwrap();
            let removed = self.removed.get(&sensor).copied().unwrap_or(0);
            prop_assert!(step >= removed, "a reading of before a removal");
            let at = json["data"]["value"].as_f64().unwrap() as i64;
            if let Some((_, before)) = self.last.insert((*id, sensor), (now, at)) {
                prop_assert!(before <= at, "went backwards");
            }
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn nobody_sees_time_go_backwards_or_gets_more_than_fits(
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let (mut hub, mut world, mut now) = (Hub::default(), World::default(), 0);
        for (number, step) in (0..).zip(steps) {
            let mut actions = Vec::new();
            match step {
                Step::Observe { sensor, at } => {
                    let mut reading = observed(&format!("s{sensor}"), at, at as f64);
                    reading.position.entry.ms = number;
                    hub.observe(reading, ms(now), &mut actions);
                }
                Step::Remove(sensor) => {
                    let id = format!("s{sensor}");
                    remove(&mut hub, &id, now, &mut actions);
                    world.removed.insert(id, number);
                }
                Step::Take { client, frames } => {
                    let id = ClientId(client.into());
                    if let Some(queue) = world.queues.get_mut(&id) {
                        let taken: Vec<_> = queue.drain(..frames.min(queue.len())).collect();
                        let bytes = taken.iter().map(Frame::len).sum();
                        actions = hub.sent(id, taken.len(), bytes);
                    }
                }
                Step::Join(client) => {
                    let id = ClientId(client.into());
                    if world.queues.insert(id, VecDeque::new()).is_some() {
                        hub.leave(id);
                    }
                    world.last.retain(|(of, _), _| *of != id);
                    hub.join(id);
                }
                Step::Begin(client) => {
                    hub.begin(ClientId(client.into()), ms(now), &mut actions);
                }
                Step::Leave(client) => {
                    let id = ClientId(client.into());
                    hub.leave(id);
                    world.queues.remove(&id);
                    if hub.is_empty() {
                        world.last.clear();
                    }
                }
                Step::Wait(wait) => {
                    now += wait;
                    hub.tick(ms(now), &mut actions);
                }
            }
            world.apply(&actions, now)?;
        }
    }
}
