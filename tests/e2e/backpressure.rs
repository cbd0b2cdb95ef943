//! While Redis does not answer, exactly what the edges hold is taken in: the sum of their limits,
//! from the constants that bound them. What is counted is what the server says it took; what lies
//! in the kernel's buffers of a socket, or unread in a connection's inbox, it has not taken.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use loadtest::packet::Qos;
use rustix::process::Signal;
use serde_json::json;
use streamgauge::ingest::edges;
use streamgauge::shard::ShardCount;

use crate::support::device::Device;
use crate::support::flood::{Flood, Flow};
use crate::support::servers::{Mosquitto, Redis};
use crate::support::stage::Stage;
use crate::support::streamgauge::Streamgauge;
use crate::support::{seconds, within};

/// Where the limits of messages bind.
const SHORT: Size = Size { payload_bytes: 200, messages: 50_000 };
/// Where the limits of bytes bind.
const LONG: Size = Size { payload_bytes: 60_000, messages: 300 };
/// As long as a test looks at something that must not change.
const WATCHED: Duration = seconds(1);
/// As long as Redis is told to hold writes back; it is told otherwise before.
const PAUSE_MS: u64 = 600_000;

/// What each device sends: more than anything holds, and more than the kernel keeps for a socket.
#[derive(Clone, Copy, Debug)]
struct Size {
    payload_bytes: usize,
    messages: usize,
}

/// What a door has counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Door {
    messages: usize,
    acknowledged: usize,
    shed: usize,
}

impl Door {
    fn look(streamgauge: &Streamgauge, door: &str) -> Self {
        let metrics = streamgauge.try_get("/metrics").expect("it answers").text;
        let counter = |name: &str, labels: &str| -> usize {
            let head = format!("streamgauge_ingest_{name}_total{{door=\"{door}\"{labels}}} ");
            let line = metrics.lines().find_map(|line| line.strip_prefix(&head));
            line.unwrap_or_else(|| panic!("no {head}")).parse().unwrap()
        };
        Self {
            messages: counter("messages", ""),
            acknowledged: counter("acknowledged", ""),
            shed: counter("shed", ",reason=\"queue_full\""),
        }
    }
}

/// Waits until the listener has taken `messages`, and watches that it takes no more.
fn holds(streamgauge: &Streamgauge, before: Door, messages: usize) {
    door_holds(streamgauge, ("listener", before), messages);
}

fn door_holds(streamgauge: &Streamgauge, (door, before): (&str, Door), messages: usize) {
    let taken = || Door::look(streamgauge, door).messages - before.messages;
    let is_full = || (taken() >= messages).then_some(());
    within(seconds(60), "all is taken that the edges hold", is_full);
    let until = Instant::now() + WATCHED;
    while Instant::now() < until {
        let now = Door::look(streamgauge, door);
        assert_eq!(now.messages - before.messages, messages, "{now:?}");
        assert_eq!((now.acknowledged, now.shed), (before.acknowledged, before.shed));
    }
}

/// What so many messages may take: twice what they are, because what is on its way is there as a
/// command too and vectors grow by doubling, a place for each in its lot and among what its
/// connection owes, and 16 MiB for everything else.
fn may_take(messages: usize, bytes: usize) -> usize {
    messages * (2 * bytes + 128) + (16 << 20)
}

fn flow(sensor: &str, Size { payload_bytes, messages }: Size, qos: Qos) -> Flow {
    Flow { sensor: sensor.to_owned(), messages, payload_bytes, qos }
}

/// Resident memory, in bytes.
fn resident(streamgauge: &Streamgauge) -> usize {
    let status = format!("/proc/{}/status", streamgauge.pid());
    let status = std::fs::read_to_string(status).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse::<usize>().unwrap() << 10
}

/// Everything was sent, came into the door, and is counted once.
fn all_counted(streamgauge: &Streamgauge, floods: Vec<Flood>) {
    for flood in floods {
        let Flow { sensor, messages, .. } = flood.flow.clone();
        flood.finish();
        let count = messages as u64;
        let row = within(seconds(120), "everything is counted", || {
            streamgauge.row(&sensor, "level").filter(|row| row["count"] == count)
        });
        let expected = (json!(1.0), json!(count as f64), json!((count + 1) as f64 / 2.0));
        assert_eq!(
            (&row["min_value"], &row["max_value"], &row["avg_value"]),
            (&expected.0, &expected.1, &expected.2),
            "{sensor}"
        );
    }
}

#[test]
fn a_device_is_read_until_it_owes_what_one_connection_may() {
    let redis = Redis::start();
    let streamgauge = Stage::new().set("REDIS_URL", &redis.url()).start();
    for (name, size) in [("short", SHORT), ("long", LONG)] {
        let before = Door::look(&streamgauge, "listener");
        redis.signal(Signal::STOP);
        let flood = Flood::begin(streamgauge.mqtt(), flow(name, size, Qos::AtLeastOnce));
        holds(&streamgauge, before, edges::unacknowledged(flood.flow.message_bytes()));
        assert_eq!(flood.acknowledged(), 0);
        assert!(flood.sent() < flood.flow.messages, "{name}: it is not held back");
        redis.signal(Signal::CONT);
        all_counted(&streamgauge, vec![flood]);
        let Door { messages, acknowledged, shed } = Door::look(&streamgauge, "listener");
        assert_eq!(messages - before.messages, size.messages);
        assert_eq!((acknowledged - before.acknowledged, shed), (size.messages, 0));
    }
}

/// Redis reads, and writes nothing: what is written to it waits until it is let.
fn hold_writes(redis: &Redis) {
    let mut pause = redis::cmd("CLIENT");
    pause.arg("PAUSE").arg(PAUSE_MS).arg("WRITE").exec(&mut redis.connection()).unwrap();
}

fn let_write(redis: &Redis) {
    redis::cmd("CLIENT").arg("UNPAUSE").exec(&mut redis.connection()).unwrap();
}

/// The connection on which an entry is on its way to a Redis that writes nothing.
fn waiting_writer(redis: &Redis) -> Option<u64> {
    let mut list = redis::cmd("CLIENT");
    let list: String = list.arg("LIST").query(&mut redis.connection()).unwrap();
    let waits = |line: &&str| line.contains(" flags=b ") && line.contains(" cmd=xadd ");
    let line = list.lines().find(waits)?;
    line.split(' ').find_map(|field| field.strip_prefix("id="))?.parse().ok()
}

/// Publishes one message, waits until it is on its way to Redis, and stops Redis: what comes then
/// stays in the queues, whatever is tried.
fn stop_with_one_on_the_way(redis: &Redis, to: SocketAddr, topic: &str) {
    hold_writes(redis);
    Device::connect(to, "first").send_unacknowledged(topic, br#"{"value":0}"#);
    within(seconds(20), "an entry is on its way", || waiting_writer(redis).map(drop));
    redis.signal(Signal::STOP);
}

/// Devices of shard `shard` of two, as many as it takes to fill the shard.
fn devices(round: &str, shard: u16, size: Size, qos: Qos) -> Vec<Flow> {
    let shards = ShardCount::new(2).unwrap();
    let flows = (0..).map(|number| flow(&format!("{round}-{number:02}"), size, qos));
    let mut flows = flows.filter(|flow| shards.shard_of(&flow.topic()).0 == shard).peekable();
    let bytes = flows.peek().unwrap().message_bytes();
    let shard_holds = edges::waiting(bytes) + edges::on_the_way(bytes);
    let device_may = match qos {
        // Nothing is owed: one device may fill a shard.
        Qos::AtMostOnce => shard_holds + 1,
        Qos::AtLeastOnce => edges::unacknowledged(bytes),
    };
    flows.take(shard_holds / device_may + 1).collect()
}

/// One message of the first shard is on its way alone. Of the second shard a full lot follows as
/// soon as Redis listens again, which makes room in its queue once more.
fn fills_both_shards(redis: &Redis, streamgauge: &Streamgauge, round: (&str, Size, Qos)) {
    let (name, size, qos) = round;
    let (before, resident_before) = (Door::look(streamgauge, "listener"), resident(streamgauge));
    let flows = [0, 1].map(|shard| devices(name, shard, size, qos));
    let bytes = flows[0][0].message_bytes();
    let (waiting, lot) = (edges::waiting(bytes), edges::on_the_way(bytes));
    // Another series of the same sensor, and so in the same shard.
    let first = format!("sensors/{}/first", flows[0][0].sensor);
    stop_with_one_on_the_way(redis, streamgauge.mqtt(), &first);
    let floods = flows.into_iter().flatten();
    let floods: Vec<_> = floods.map(|flow| Flood::begin(streamgauge.mqtt(), flow)).collect();
    holds(streamgauge, before, 1 + 2 * waiting);

    redis.signal(Signal::CONT);
    if let Some(writer) = waiting_writer(redis) {
        let mut kill = redis::cmd("CLIENT");
        kill.arg("KILL").arg("ID").arg(writer).exec(&mut redis.connection()).unwrap();
    }
    let held = 1 + 2 * waiting + lot;
    holds(streamgauge, before, held);
    assert!(floods.iter().all(|flood| flood.acknowledged() == 0));
    assert!(floods.iter().any(|flood| flood.sent() < flood.flow.messages), "nobody is held back");
    let (more, most) =
        (resident(streamgauge).saturating_sub(resident_before), may_take(held, bytes));
    assert!(more <= most, "{name}: {more} bytes more, {most} at most");

    let_write(redis);
    let sent: usize = floods.iter().map(|flood| flood.flow.messages).sum();
    all_counted(streamgauge, floods);
    let after = Door::look(streamgauge, "listener");
    assert_eq!((after.messages - before.messages, after.shed), (1 + sent, 0));
    let acknowledged = if qos == Qos::AtLeastOnce { sent } else { 0 };
    assert_eq!(after.acknowledged - before.acknowledged, acknowledged);
}

#[test]
fn devices_are_read_until_the_queues_and_what_is_on_its_way_are_full() {
    let redis = Redis::start();
    let stage = Stage::new().set("REDIS_URL", &redis.url()).set("STREAMGAUGE_SHARDS", "2");
    let streamgauge = stage.start();
    fills_both_shards(&redis, &streamgauge, ("short", SHORT, Qos::AtLeastOnce));
    fills_both_shards(&redis, &streamgauge, ("long", LONG, Qos::AtLeastOnce));
}

#[test]
fn at_qos_0_devices_are_held_back_by_their_sockets_and_nothing_is_dropped() {
    let redis = Redis::start();
    let stage = Stage::new().set("REDIS_URL", &redis.url()).set("STREAMGAUGE_SHARDS", "2");
    let streamgauge = stage.start();
    fills_both_shards(&redis, &streamgauge, ("short", SHORT, Qos::AtMostOnce));
    fills_both_shards(&redis, &streamgauge, ("long", LONG, Qos::AtMostOnce));
}

/// At QoS 1 a broker keeps what we do not read, and what we do not acknowledge.
#[test]
fn a_broker_is_read_until_one_connection_owes_what_it_may() {
    let (redis, mosquitto) = (Redis::start(), Mosquitto::start_without_window());
    let stage = Stage::new().set("REDIS_URL", &redis.url());
    let streamgauge = stage.subscribed_to(mosquitto.address()).start();
    for (name, size) in [("short", SHORT), ("long", LONG)] {
        let before = Door::look(&streamgauge, "subscriber");
        redis.signal(Signal::STOP);
        let flow = flow(name, size, Qos::AtLeastOnce);
        let owed = edges::unacknowledged(flow.message_bytes());
        let flood = Flood::begin(mosquitto.address(), flow);
        door_holds(&streamgauge, ("subscriber", before), owed);
        redis.signal(Signal::CONT);
        // Acknowledged by the broker.
        all_counted(&streamgauge, vec![flood]);
        let after = within(seconds(20), "everything is acknowledged to the broker", || {
            let now = Door::look(&streamgauge, "subscriber");
            (now.acknowledged - before.acknowledged >= size.messages).then_some(now)
        });
        assert_eq!(after.messages - before.messages, size.messages);
        assert_eq!((after.acknowledged - before.acknowledged, after.shed), (size.messages, 0));
    }
}

/// A broker cannot be held back at QoS 0: it would end the connection, or drop what it likes.
#[test]
fn what_a_broker_sends_at_qos_0_beyond_the_queue_is_shed_and_counted() {
    let (redis, mosquitto) = (Redis::start(), Mosquitto::start());
    let stage = Stage::new().set("REDIS_URL", &redis.url()).set("STREAMGAUGE_SHARDS", "1");
    let streamgauge = stage.subscribed_to(mosquitto.address()).start();
    let flow = flow("flood", SHORT, Qos::AtMostOnce);
    let waiting = edges::waiting(flow.message_bytes());
    stop_with_one_on_the_way(&redis, mosquitto.address(), "sensors/first/level");
    let flood = Flood::begin(mosquitto.address(), flow.clone());
    flood.finish();
    let door = within(seconds(60), "all was received", || {
        Some(Door::look(&streamgauge, "subscriber")).filter(|it| it.messages > flow.messages)
    });
    let shed = flow.messages - waiting;
    assert_eq!(door, Door { messages: 1 + flow.messages, acknowledged: 0, shed });
    redis.signal(Signal::CONT);
    let_write(&redis);
    let count = waiting as u64;
    let row = within(seconds(60), "what found room is counted", || {
        streamgauge.row("flood", "level").filter(|row| row["count"] == count)
    });
    assert_eq!(row["max_value"], json!(count as f64), "those that came first");
    assert_eq!(streamgauge.row("first", "level").unwrap()["count"], 1);
    assert_eq!(Door::look(&streamgauge, "subscriber"), door, "accepted + shed = sent");
    let totals = &streamgauge.json("/api/stats")["totals"];
    assert_eq!((&totals["received"], &totals["lag"]), (&json!(1 + count), &json!(0)));
}
