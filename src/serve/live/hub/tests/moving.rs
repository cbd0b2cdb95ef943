//! Who changes what it wants while it is behind: nobody else notices, and it misses nothing.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::always::{Step, World, calm, id};
use super::*;
use crate::serve::effort::thread_time;

/// The fast twin of a client.
const TWIN: u8 = 10;

/// Fills the queue of whoever wants sensor `of`, with statuses.
fn fill(hub: &mut Hub, of: &str) {
    let before = hub.counts().behind;
    let mut kind = 0;
    while hub.counts().behind == before {
        let mut turned = turned(of);
        turned.series.sensor_type = kind.to_string().into();
        let frame = event::sensor_status(&turned);
        hub.tell_of(&turned.series, &frame, ms(0), &mut Vec::new());
        kind += 1;
    }
}

/// A client takes all there is: what it is told then, without the statuses.
fn catch_up(hub: &mut Hub, id: ClientId) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let mut actions = Vec::new();
        hub.sent(id, (1_000_000, 1_000_000_000), ms(3), &mut actions);
        if actions.is_empty() {
            all.retain(|one| one != "sensor_status");
            return all;
        }
        all.extend(told(&actions, id));
    }
}

/// Once, what a client missed went into what all of its new group missed: others got readings a
/// second time, of sensors that they never wanted, and a count that had wrapped.
#[test]
fn what_a_client_brings_is_told_to_it_alone() {
    let mut hub = hub(&[]);
    for (id, list) in [(A, &["s", "q", "pad", "x"][..]), (B, &["s", "q", "pad"])] {
        hub.join(id);
        hub.subscribe(id, &addition(list, hz(10.0), true)).unwrap();
    }
    fill(&mut hub, "x");
    let round = [observed("s", 10, 1.0), observed("q", 10, 1.0), observed("x", 10, 1.0)];
    assert_eq!(told(&come(&mut hub, &round, 1), B), ["[s=1 q=1] 0"]);
    fill(&mut hub, "pad");
    hub.unsubscribe(A, &addition(&["x"], hz(10.0), true).entries).unwrap();
    assert!(catch_up(&mut hub, B).is_empty());
    assert_eq!(catch_up(&mut hub, A), ["[s=1 q=1] 0", "[] 1"], "x is not wanted");
    let kept: usize = hub.groups.iter_mut().map(|(_, group)| group.kept()).sum();
    assert_eq!(kept, 0);
}

#[test]
fn what_a_client_brings_gives_way_to_what_its_new_group_misses() {
    let mut hub = hub(&[]);
    hub.join(A);
    hub.subscribe(A, &addition(&["s", "q", "pad"], hz(10.0), true)).unwrap();
    fill(&mut hub, "pad");
    come(&mut hub, &[observed("s", 10, 1.0), observed("q", 10, 1.0)], 1);
    hub.subscribe(A, &addition(&["r"], hz(5.0), true)).unwrap();
    come(&mut hub, &[observed("s", 11, 2.0), observed("r", 11, 2.0)], 2);
    assert_eq!(catch_up(&mut hub, A), ["[q=1 s=2 r=2] 1"]);
}

#[test]
fn what_a_client_brings_of_a_deleted_sensor_goes_with_it() {
    let mut hub = hub(&[]);
    hub.join(A);
    hub.subscribe(A, &addition(&["s", "q", "pad"], hz(10.0), true)).unwrap();
    fill(&mut hub, "pad");
    come(&mut hub, &[observed("s", 10, 1.0), observed("q", 10, 1.0)], 1);
    hub.subscribe(A, &addition(&["r"], hz(5.0), true)).unwrap();
    hub.change(Change::Removed { sensor_id: "s".into() }, ms(2), &mut Vec::new());
    // Its slot is another's by now.
    come(&mut hub, &[observed("pad", 11, 2.0)], 2);
    assert_eq!(catch_up(&mut hub, A), ["[q=1] 0", "sensor_removed", "[pad=2] 1"]);
}

/// Once, the last to come was kept of each series, also of clients that want every reading.
#[test]
fn a_late_reading_does_not_hide_the_newest() {
    let mut hub = hub(&[]);
    hub.join(A);
    hub.subscribe(A, &addition(&["s", "pad"], Pace::Every, false)).unwrap();
    fill(&mut hub, "pad");
    for (at, value) in [(10, 1.0), (5, 2.0), (10, 3.0), (9, 4.0)] {
        come(&mut hub, &[observed("s", at, value)], 1);
    }
    assert_eq!(catch_up(&mut hub, A), ["s=3", "behind 3"]);
}

#[test]
fn who_moves_on_is_still_told_how_many_were_replaced() {
    let mut hub = hub(&[]);
    hub.join(A);
    hub.subscribe(A, &addition(&["s", "pad"], Pace::Every, false)).unwrap();
    fill(&mut hub, "pad");
    for at in 0..5 {
        come(&mut hub, &[observed("s", at, at as f64)], 1);
    }
    hub.subscribe(A, &addition(&["s", "pad"], hz(10.0), false)).unwrap();
    hub.subscribe(A, &addition(&["r"], hz(10.0), false)).unwrap();
    assert_eq!(catch_up(&mut hub, A), ["s=4", "behind 4"]);
}

/// Once, each client that said what it wants got a copy of all that was held back for it, which
/// was then dropped: seconds of the hub for those that come at once.
#[test]
fn who_says_what_it_wants_out_of_the_hold_costs_nothing_that_was_held_back() {
    const SERIES: usize = 10_000;
    let mut hub = hub(&[]);
    let ids: Vec<ClientId> = (0..500).map(ClientId).collect();
    for id in &ids {
        hub.join(*id);
        hub.enter(*id, ms(0));
    }
    let all: Vec<_> = (0..SERIES).map(|n| observed(&format!("s{n}"), 1, 1.0)).collect();
    come(&mut hub, &all, 1);
    let before = thread_time();
    let (some, others) = ids.split_at(250);
    for id in some {
        assert_eq!(hub.subscribe(*id, &addition(&["s1"], hz(10.0), true)), Ok(0));
    }
    others.iter().for_each(|id| hub.leave(*id));
    let spent = thread_time() - before;
    assert!(spent < ms(500), "{spent:?}; with copies it was seconds");
}

fn moving() -> impl Strategy<Value = Step> {
    // The first two always have `batch`, and so are always told how many were replaced.
    let wishes = (0u8..4, 0u8..6).prop_map(|(client, wish)| match (client, wish) {
        (0 | 1, wish) => (client, [0, 2, 4][usize::from(wish % 3)]),
        other => other,
    });
    let change = (wishes, any::<bool>()).prop_map(|((client, wish), adds)| match adds {
        true => Step::Subscribe { client, wish },
        false => Step::Unsubscribe { client, wish },
    });
    prop_oneof![
        8 => calm(),
        3 => change,
        1 => (0u8..4).prop_map(Step::Remove),
        1 => (0u8..4).prop_map(Step::Turn),
    ]
}

/// Does a step, and the same with the fast twin of its client; the twins read everything.
fn step(world: &mut World, step: &Step) -> Result<(), TestCaseError> {
    world.step(step)?;
    match *step {
        Step::Join(client) => world.step(&Step::Join(client + TWIN))?,
        Step::Subscribe { client, wish } => {
            world.step(&Step::Subscribe { client: client + TWIN, wish })?;
        }
        Step::Unsubscribe { client, wish } => {
            world.step(&Step::Unsubscribe { client: client + TWIN, wish })?;
        }
        _ => {}
    }
    for twin in TWIN..TWIN + 4 {
        world.step(&Step::Take { client: twin, frames: usize::MAX })?;
        let is_behind = world.hub.member(id(twin)).is_some_and(|it| it.behind.is_some());
        prop_assert!(!is_behind, "the twin of {}", twin - TWIN);
    }
    Ok(())
}

/// What holds for a client that was slow and its twin.
fn compare(world: &World, client: u8) -> Result<(), TestCaseError> {
    let (slow, fast) = (id(client), id(client + TWIN));
    let of = |id: ClientId| {
        let times = world.times.iter().filter(move |((of, _), _)| *of == id);
        times.map(|((_, step), times)| (*step, *times)).collect::<BTreeMap<u64, usize>>()
    };
    let of_fast = of(fast);
    for (step, times) in of(slow) {
        let most = of_fast.get(&step).copied().unwrap_or(0);
        prop_assert!(times <= most, "client {client} was told reading {step} {times} times");
    }
    let told = |id| world.told.get(&id).copied().unwrap_or_default();
    let ((told_slow, lost), (told_fast, replaced)) = (told(slow), told(fast));
    prop_assert!(told_slow + lost <= told_fast + replaced, "client {}", client);
    if client < 2 {
        prop_assert_eq!(told_slow + lost, told_fast + replaced, "client {}", client);
    }
    for (sensor, heard) in &world.heard {
        let latest = |id| world.latest.get(&(id, sensor.clone())).copied();
        if latest(fast) == Some(*heard) {
            prop_assert_eq!(latest(slow), Some(*heard), "client {}, {}", client, sensor);
        }
    }
    Ok(())
}

proptest! {
    /// The twin of a client has the same subscriptions at the same times, and is never behind.
    #[test]
    fn a_slow_client_is_told_a_part_of_what_its_fast_twin_is_and_how_many_there_were(
        steps in prop::collection::vec(moving(), 1..150),
    ) {
        let mut world = World::default();
        for client in 0..4 {
            step(&mut world, &Step::Join(client))?;
            step(&mut world, &Step::Subscribe { client, wish: [0, 2, 1, 3][usize::from(client)] })?;
        }
        for one in &steps {
            step(&mut world, one)?;
        }
        world.drain()?;
        for client in 0..4 {
            compare(&world, client)?;
        }
    }
}
