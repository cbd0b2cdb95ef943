//! The publisher against a sink: what goes over the wire is what the ledger says.

#![expect(clippy::unwrap_used, reason = "a test ends at its first surprise")]

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use loadtest::ledger::Tally;
use loadtest::packet::Qos;
use loadtest::plan::{Length, Plan};
use loadtest::publisher::{Progress, Published, publish};
use loadtest::sink::{Message, Sink, Verdict};

/// Publishes into a sink that shows every message to `judge`.
fn run(
    change: impl FnOnce(&mut Plan),
    judge: impl FnMut(Message<'_>) -> Verdict + Send,
) -> anyhow::Result<Published> {
    let sink = Sink::listen(([127, 0, 0, 1], 0).into()).unwrap();
    let mut plan = Plan::new(sink.address().unwrap());
    (plan.connections, plan.sensors) = (5, 23);
    plan.length = Length::Messages(10_007);
    change(&mut plan);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let serving = scope.spawn(|| sink.serve(&stop, judge));
        let published = publish(&plan, &Progress::default());
        // A sink of QoS 0 may still be reading; it is asked to stop by whoever counts.
        stop.store(true, Relaxed);
        serving.join().unwrap().unwrap();
        published
    })
}

#[derive(Default)]
struct Seen {
    values: HashMap<String, Vec<f64>>,
    duplicates: u64,
}

impl Seen {
    fn enter(&mut self, message: Message<'_>) {
        let payload: serde_json::Value = serde_json::from_slice(message.payload).unwrap();
        let id = payload["sensor_id"].as_str().unwrap();
        let topic = format!("sensors/{id}/temperature");
        assert_eq!(topic.as_bytes(), message.topic);
        assert_eq!(message.payload.len(), 128);
        self.duplicates += u64::from(message.duplicate);
        let value = payload["value"].as_f64().unwrap();
        self.values.entry(id.to_owned()).or_default().push(value);
    }

    fn equals(&self, published: &Published) {
        for (sensor, tally) in published.ledger.tallies().iter().enumerate() {
            let values = &self.values[&published.ledger.sensor_id(sensor)];
            assert_eq!(values.len() as u64, tally.published);
            let sum: f64 = values.iter().sum();
            assert!((sum / values.len() as f64 - tally.mean()).abs() < 1e-9);
            assert_eq!(values.last().copied(), Some(tally.last()));
            assert_eq!(values.iter().copied().fold(f64::MAX, f64::min), tally.min());
            assert_eq!(values.iter().copied().fold(f64::MIN, f64::max), tally.max());
        }
    }
}

#[test]
fn every_message_of_the_ledger_arrives_once_and_is_acknowledged() {
    let seen = Mutex::new(Seen::default());
    let published = run(
        |_| {},
        |message| {
            seen.lock().unwrap().enter(message);
            Verdict::Acknowledge
        },
    )
    .unwrap();
    assert_eq!(published.cut_short, None);
    assert_eq!(published.ledger.total(Tally::acked), 10_007);
    assert!(published.latency.samples() > 0);
    let seen = seen.into_inner().unwrap();
    assert_eq!(seen.duplicates, 0);
    seen.equals(&published);
}

#[test]
fn the_order_still_holds_when_packet_ids_begin_anew() {
    let published = run(
        |plan| {
            (plan.connections, plan.window) = (1, 10_000);
            plan.length = Length::Messages(150_000);
        },
        |_| Verdict::Acknowledge,
    )
    .unwrap();
    assert_eq!(published.ledger.total(Tally::acked), 150_000);
}

#[test]
fn timestamps_leave_the_length_and_never_go_back() {
    let mut last: HashMap<Vec<u8>, jiff::Timestamp> = HashMap::new();
    let last = Mutex::new(&mut last);
    run(
        |plan| plan.timestamps = true,
        |message| {
            let payload: serde_json::Value = serde_json::from_slice(message.payload).unwrap();
            let time: jiff::Timestamp = payload["timestamp"].as_str().unwrap().parse().unwrap();
            assert_eq!(message.payload.len(), 128);
            let before = last.lock().unwrap().insert(message.topic.to_vec(), time);
            assert!(before.is_none_or(|before| before <= time));
            Verdict::Acknowledge
        },
    )
    .unwrap();
}

#[test]
fn a_cut_connection_ends_the_run_unless_it_may_reconnect() {
    let mut count = 0;
    let cut_once = move |_: Message<'_>| {
        count += 1;
        if count == 5_000 { Verdict::Cut } else { Verdict::Acknowledge }
    };
    let error = run(|_| {}, cut_once).unwrap_err().to_string();
    assert!(error.contains("lost"), "{error}");

    let seen = Mutex::new((Seen::default(), 0));
    let published = run(
        |plan| plan.reconnect = true,
        |message| {
            let (seen, count) = &mut *seen.lock().unwrap();
            *count += 1;
            if *count % 1_000 == 0 {
                return Verdict::Cut;
            }
            seen.enter(message);
            Verdict::Acknowledge
        },
    )
    .unwrap();
    let (seen, _) = seen.into_inner().unwrap();
    assert!(published.reconnects >= 10, "{}", published.reconnects);
    assert_eq!(published.ledger.total(Tally::acked), 10_007);
    assert!(seen.duplicates > 0);
    assert!(published.ledger.total(|tally| tally.resent) >= seen.duplicates);
    for (sensor, tally) in published.ledger.tallies().iter().enumerate() {
        let counted = seen.values[&published.ledger.sensor_id(sensor)].len() as u64;
        assert!((tally.acked()..=tally.attempts()).contains(&counted));
    }
}

#[test]
fn a_server_that_falls_silent_leaves_the_rest_unknown() {
    let mut count = 0;
    let sink_stalls = move |_: Message<'_>| {
        count += 1;
        if count > 3_000 { Verdict::Silence } else { Verdict::Acknowledge }
    };
    let published =
        run(|plan| (plan.stall, plan.connections) = (Duration::from_millis(200), 1), sink_stalls)
            .unwrap();
    assert!(published.cut_short.is_some());
    let unknown = published.ledger.total(|tally| tally.unknown);
    assert!((1..=50).contains(&unknown), "{unknown}");
}

#[test]
fn a_server_that_never_comes_back_is_named_at_the_end() {
    let sink = Sink::listen(([127, 0, 0, 1], 0).into()).unwrap();
    let mut plan = Plan::new(sink.address().unwrap());
    (plan.reconnect, plan.stall) = (true, Duration::from_millis(200));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // The listener ends with this thread, and so does every later attempt.
            let gone = |_: Message<'_>| {
                stop.store(true, Relaxed);
                Verdict::Cut
            };
            sink.serve(&stop, gone).unwrap();
        });
        let published = publish(&plan, &Progress::default()).unwrap();
        let reason = published.cut_short.unwrap();
        assert!(reason.contains("refused"), "{reason}");
        assert!(published.ledger.total(|tally| tally.unknown) > 0);
    });
}

#[test]
fn a_rate_holds_and_time_ends_the_run() {
    let published = run(
        |plan| {
            plan.rate = Some(20_000.0);
            plan.length = Length::Lasting(Duration::from_millis(300));
        },
        |_| Verdict::Acknowledge,
    )
    .unwrap();
    let sent = published.ledger.total(|tally| tally.published) as f64;
    let due = published.elapsed.as_secs_f64() * 20_000.0;
    assert!(sent <= due && sent >= 0.5 * 6_000.0, "{sent} of {due}");
}

#[test]
fn qos_0_needs_no_answer() {
    let counted = Mutex::new(0_u64);
    let sink = Sink::listen(([127, 0, 0, 1], 0).into()).unwrap();
    let mut plan = Plan::new(sink.address().unwrap());
    (plan.qos, plan.connections, plan.sensors) = (Qos::AtMostOnce, 3, 3);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            sink.serve(&stop, |_| {
                let mut counted = counted.lock().unwrap();
                *counted += 1;
                stop.store(*counted == 100_000, Relaxed);
                Verdict::Acknowledge
            })
            .unwrap();
        });
        let published = publish(&plan, &Progress::default()).unwrap();
        assert_eq!(published.ledger.total(|tally| tally.published), 100_000);
    });
    assert_eq!(*counted.lock().unwrap(), 100_000);
}

#[test]
fn a_refused_connection_names_the_address() {
    let free = Sink::listen(([127, 0, 0, 1], 0).into()).unwrap().address().unwrap();
    let error = publish(&Plan::new(free), &Progress::default()).unwrap_err();
    assert!(format!("{error:#}").contains(&free.to_string()), "{error:#}");
}
