//! What holds after any history of readings, clients and removals.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::serve::live::behind::Behind;
use crate::serve::live::member::{Member, Room};

/// So large that some readings fill a queue.
const METADATA_BYTES: usize = 40_000;

#[derive(Clone, Debug)]
pub(super) enum Step {
    Observe { sensor: u8, at: i64, replaced: u32 },
    Settle,
    Take { client: u8, frames: usize },
    Join(u8),
    Enter(u8),
    Subscribe { client: u8, wish: u8 },
    Unsubscribe { client: u8, wish: u8 },
    Leave(u8),
    Remove(u8),
    Turn(u8),
    Reset,
    Wait(u64),
}

pub(super) fn calm() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (0u8..4, 0i64..50, 0u32..3)
            .prop_map(|(sensor, at, replaced)| Step::Observe { sensor, at, replaced }),
        4 => Just(Step::Settle),
        4 => (0u8..4, 0usize..9).prop_map(|(client, frames)| Step::Take { client, frames }),
        4 => (0u64..300).prop_map(Step::Wait),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => calm(),
        1 => (0u8..4).prop_map(Step::Join),
        1 => (0u8..4).prop_map(Step::Enter),
        1 => (0u8..4, 0u8..6).prop_map(|(client, wish)| Step::Subscribe { client, wish }),
        1 => (0u8..4, 0u8..6).prop_map(|(client, wish)| Step::Unsubscribe { client, wish }),
        1 => (0u8..4).prop_map(Step::Leave),
        1 => (0u8..4).prop_map(Step::Remove),
        1 => (0u8..4).prop_map(Step::Turn),
        1 => Just(Step::Reset),
    ]
}

pub(super) fn wish(number: u8) -> Addition {
    match number {
        0 => addition(&["*"], hz(10.0), true),
        1 => addition(&["*"], Pace::Every, false),
        2 => addition(&["s0", "s1*"], Pace::Every, true),
        3 => addition(&["s*"], hz(2.0), false),
        4 => addition(&["s1"], hz(60.0), true),
        _ => addition(&["s2", "s3"], hz(5.0), false),
    }
}

/// What the tasks around the hub, and the clients, know.
#[derive(Default)]
pub(super) struct World {
    pub(super) hub: Hub,
    now: u64,
    number: u64,
    queues: BTreeMap<ClientId, Vec<Frame>>,
    /// What each client was told of each sensor last: time of measurement and step.
    last: BTreeMap<(ClientId, String), (i64, u64)>,
    /// How many readings each client was told, and how many it was told that were replaced.
    pub(super) told: BTreeMap<ClientId, (u64, u64)>,
    /// How often each client was told the reading of a step.
    pub(super) times: BTreeMap<(ClientId, u64), usize>,
    /// The latest that each client was told of a sensor, as long as it wants it.
    pub(super) latest: BTreeMap<(ClientId, String), i64>,
    /// What was heard of each sensor, since it was deleted last.
    pub(super) heard: BTreeMap<String, i64>,
    /// What each client said that it wants; nothing as long as it said nothing.
    pub(super) wanted: BTreeMap<ClientId, Subscription>,
    /// The step in which each sensor was deleted last, or everything forgotten.
    removed: BTreeMap<String, u64>,
    /// Nobody wants every reading, so nobody is to see time go back.
    all_conflated: bool,
}

impl World {
    pub(super) fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        self.number += 1;
        let (now, mut actions) = (ms(self.now), Vec::new());
        match step {
            Step::Observe { sensor, at, replaced } => {
                let mut reading = observed(&format!("s{sensor}"), *at, *at as f64);
                reading.position.entry.ms = self.number;
                reading.replaced = *replaced;
                let metadata = format!(r#"{{"x":"{}"}}"#, "x".repeat(METADATA_BYTES));
                reading.attributes.metadata = RawValue::from_string(metadata).unwrap();
                let heard = self.heard.entry(format!("s{sensor}")).or_insert(*at);
                *heard = (*heard).max(*at);
                self.hub.change(Change::Reading(reading), now, &mut actions);
            }
            Step::Settle => self.hub.settle(now, &mut actions),
            Step::Take { client, frames } => actions = self.take(id(*client), *frames),
            Step::Join(client) => {
                self.leave(id(*client));
                self.hub.join(id(*client));
                self.queues.insert(id(*client), Vec::new());
            }
            Step::Enter(client) => self.hub.enter(id(*client), now),
            Step::Subscribe { client, wish: number } => {
                self.hub.subscribe(id(*client), &wish(*number)).unwrap();
                self.want(id(*client), |before| before.with(&wish(*number)).unwrap());
            }
            Step::Unsubscribe { client, wish: number } => {
                self.hub.unsubscribe(id(*client), &wish(*number).entries).unwrap();
                self.want(id(*client), |before| before.without(&wish(*number).entries));
            }
            Step::Leave(client) => self.leave(id(*client)),
            Step::Remove(sensor) => {
                let sensor_id: Box<str> = format!("s{sensor}").into();
                self.removed.insert(sensor_id.to_string(), self.number);
                self.heard.remove(&*sensor_id);
                self.latest.retain(|(_, sensor), _| **sensor != *sensor_id);
                self.hub.change(Change::Removed { sensor_id }, now, &mut actions);
            }
            Step::Turn(sensor) => {
                let turned = turned(&format!("s{sensor}"));
                let frame = event::sensor_status(&turned);
                self.hub.tell_of(&turned.series, &frame, now, &mut actions);
            }
            Step::Reset => {
                self.heard.clear();
                self.latest.clear();
                for sensor in 0..4 {
                    self.removed.insert(format!("s{sensor}"), self.number);
                }
                self.hub.announce(&Notice::Reset, now, &mut actions);
            }
            Step::Wait(wait) => {
                self.now += wait;
                self.hub.tick(ms(self.now), &mut actions);
            }
        }
        self.apply(actions)
    }

    /// A client that is there wants something else.
    fn want(&mut self, id: ClientId, change: impl Fn(&Subscription) -> Subscription) {
        if !self.queues.contains_key(&id) {
            return;
        }
        let wanted = self.wanted.entry(id).or_default();
        *wanted = change(wanted);
        self.latest.retain(|(of, sensor), _| *of != id || wanted.wants(sensor));
    }

    fn leave(&mut self, id: ClientId) {
        self.hub.leave(id);
        self.forget(id);
        self.queues.remove(&id);
        if self.hub.is_empty() {
            self.last.clear();
        }
    }

    fn forget(&mut self, id: ClientId) {
        self.last.retain(|(of, _), _| *of != id);
        self.latest.retain(|(of, _), _| *of != id);
        self.wanted.remove(&id);
    }

    fn take(&mut self, id: ClientId, frames: usize) -> Vec<Action> {
        let mut actions = Vec::new();
        if let Some(queue) = self.queues.get_mut(&id) {
            let taken: Vec<_> = queue.drain(..frames.min(queue.len())).collect();
            let bytes = taken.iter().map(Frame::len).sum();
            self.hub.sent(id, (taken.len(), bytes), ms(self.now), &mut actions);
        }
        actions
    }

    /// What the hub believes to hold is what it holds.
    fn check_load(&mut self) -> Result<(), TestCaseError> {
        let load = self.hub.load();
        let (mut series, mut bytes, mut kept) = (0, 0, 0);
        let mut believed = Vec::new();
        for (_, group) in self.hub.groups.iter_mut() {
            series += group.series;
            believed.push((group.subscription.clone(), group.series));
            bytes += group.members.iter().map(Member::queued_bytes).sum::<usize>();
            kept += group.members.iter().flat_map(|it| &it.behind).map(Behind::kept).sum::<usize>();
        }
        for (subscription, series) in believed {
            prop_assert_eq!(self.hub.slots.wanted(&subscription), series);
        }
        let queues = self.queues.values().flatten().map(Frame::len).sum::<usize>();
        prop_assert_eq!((load.listeners, load.queued_bytes, load.kept), (series, bytes, kept));
        prop_assert_eq!(queues, bytes);
        Ok(())
    }

    fn apply(&mut self, actions: Vec<Action>) -> Result<(), TestCaseError> {
        for action in actions {
            let (id, frame) = match action {
                Action::Send(id, frame) => (id, frame),
                Action::CloseSlow(id) => {
                    prop_assert!(self.queues.remove(&id).is_some());
                    self.forget(id);
                    continue;
                }
            };
            let queue = self.queues.get_mut(&id);
            prop_assert!(queue.is_some(), "a frame for somebody who is not there");
            let Some(queue) = queue else { continue };
            let waiting: usize = queue.iter().map(Frame::len).sum();
            prop_assert!(waiting < Room::EVERY.bytes && queue.len() < Room::EVERY.frames);
            self.read(id, &frame)?;
            if let Some(queue) = self.queues.get_mut(&id) {
                queue.push(frame);
            }
        }
        self.check_load()
    }

    /// Looks at what a client is told.
    fn read(&mut self, id: ClientId, frame: &Frame) -> Result<(), TestCaseError> {
        let data = frame.data();
        let told = self.told.entry(id).or_default();
        if let Some((_, conflated)) = data.rsplit_once(r#""conflated":"#) {
            told.1 += conflated.trim_end_matches('}').parse::<u64>().unwrap();
        }
        for reading in data.split(r#""sensor_id":""#).skip(1) {
            let sensor = reading[..2].to_owned();
            let wanted = self.wanted.get(&id);
            prop_assert!(wanted.is_none_or(|it| it.wants(&sensor)), "{sensor} is not wanted");
            match frame.event() {
                "sensor_removed" => {
                    self.last.remove(&(id, sensor));
                    continue;
                }
                "sensor_status" => continue,
                _ => told.0 += 1,
            }
            let between = |before: &str, after: char| {
                let (_, rest) = reading.split_once(before).unwrap();
                rest.split(after).next().unwrap()
            };
            let at = between(r#""value":"#, ',').parse::<f64>().unwrap() as i64;
            let step: u64 = between(r#""position":"0:"#, '-').parse().unwrap();
            let removed = self.removed.get(&sensor).copied().unwrap_or(0);
            prop_assert!(step > removed, "a reading of before a removal");
            *self.times.entry((id, step)).or_default() += 1;
            let latest = self.latest.entry((id, sensor.clone())).or_insert(at);
            *latest = (*latest).max(at);
            let before = self.last.insert((id, sensor), (at, step));
            // Who did not want the sensor when it was deleted was not told, and it began anew.
            let is_same =
                |(_, step_before): &(i64, u64)| self.all_conflated && *step_before > removed;
            if let Some((at_before, step_before)) = before.filter(is_same) {
                prop_assert!(at_before <= at, "{at_before}, then {at}");
                prop_assert!(step_before < step, "one reading twice");
            }
        }
        if frame.event() == "reset" {
            self.last.retain(|(of, _), _| *of != id);
        }
        Ok(())
    }

    /// Everybody reads everything, and every pace passes.
    pub(super) fn drain(&mut self) -> Result<(), TestCaseError> {
        self.step(&Step::Settle)?;
        for _ in 0..40 {
            for client in 0..4 {
                self.step(&Step::Take { client, frames: usize::MAX })?;
            }
            self.step(&Step::Wait(1000))?;
        }
        Ok(())
    }
}

pub(super) fn id(client: u8) -> ClientId {
    ClientId(client.into())
}

/// How many readings a client is to be told of, with those that are replaced, and the latest of
/// each sensor that it wants.
fn due(steps: &[Step], wish: &Addition) -> (u64, BTreeMap<String, i64>) {
    let wanted = Subscription::default().with(wish).unwrap();
    let (mut readings, mut latest) = (0, BTreeMap::new());
    for step in steps {
        let Step::Observe { sensor, at, replaced } = step else { continue };
        let sensor = format!("s{sensor}");
        if wanted.wants(&sensor) {
            let is_every = wish.pace == Pace::Every;
            readings += 1 + if is_every { 0 } else { u64::from(*replaced) };
            let known = latest.entry(sensor).or_insert(*at);
            *known = (*known).max(*at);
        }
    }
    (readings, latest)
}

proptest! {
    #[test]
    fn nobody_is_told_of_before_a_removal_or_more_than_fits(
        steps in prop::collection::vec(any_step(), 1..150),
    ) {
        let mut world = World::default();
        for step in steps {
            world.step(&step)?;
        }
        world.drain()?;
    }

    #[test]
    fn conflated_clients_never_see_time_go_backwards(
        steps in prop::collection::vec(any_step(), 1..150),
    ) {
        let mut world = World { all_conflated: true, ..World::default() };
        for step in steps {
            if !matches!(&step, Step::Subscribe { wish: 1 | 2, .. }) {
                world.step(&step)?;
            }
        }
        world.drain()?;
    }

    #[test]
    fn what_is_told_and_what_was_replaced_are_all_that_came(
        mut steps in prop::collection::vec(calm(), 1..150),
        late in prop::collection::vec((1u8..4, 0i64..50), 0..4),
    ) {
        // What was replaced by nothing later is said with the next reading.
        steps.extend((0..4).map(|sensor| Step::Observe { sensor, at: 50, replaced: 0 }));
        let late = late.into_iter();
        steps.extend(late.map(|(sensor, at)| Step::Observe { sensor, at, replaced: 0 }));
        let mut world = World::default();
        for client in 0..4 {
            world.step(&Step::Join(client))?;
            world.step(&Step::Subscribe { client, wish: client })?;
        }
        for step in &steps {
            world.step(step)?;
        }
        world.drain()?;
        for client in 0..4 {
            let wish = wish(client);
            let (readings, latest) = due(&steps, &wish);
            let (told, conflated) = world.told.get(&id(client)).copied().unwrap_or_default();
            // Only these say how many were replaced.
            if wish.batch == Some(true) || wish.pace == Pace::Every {
                prop_assert_eq!(told + conflated, readings, "client {}", client);
            }
            for (sensor, at) in latest {
                let key = (id(client), sensor.clone());
                prop_assert_eq!(world.latest.get(&key), Some(&at), "client {}, {}", client, sensor);
                let last = world.last.get(&key).map(|(at, _)| *at);
                if wish.pace != Pace::Every {
                    prop_assert_eq!(last, Some(at), "client {}, {}", client, sensor);
                }
            }
        }
    }
}
