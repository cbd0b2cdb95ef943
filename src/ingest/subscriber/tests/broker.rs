//! With a real mosquitto.

use super::{PAYLOAD_BYTES_MAX, Running, config};
use crate::ingest::testing::client::{Client, puback, publish};
use crate::ingest::testing::mosquitto::Mosquitto;
use crate::ingest::testing::{Settler, Taken, until};
use crate::ingest::{INTAKE_LIMITS, IntakeLimits, SubscriberConfig};
use crate::message::Flags;
use crate::refusal::Refusal;

/// Publishes with QoS 1 and waits for the broker.
async fn publish_all(client: &mut Client, payloads: impl Iterator<Item = u16>) {
    for id in payloads {
        client.send(&publish("sensors/t1/x", id, id.to_string().as_bytes())).await;
        client.expect(&puback(id)).await;
    }
}

fn payloads(taken: &[Taken]) -> Vec<String> {
    taken.iter().map(|taken| String::from_utf8_lossy(&taken.payload).into_owned()).collect()
}

fn numbers(range: std::ops::RangeInclusive<u16>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[tokio::test]
async fn what_is_acknowledged_does_not_come_again() {
    let broker = Mosquitto::start().await;
    let settler = Settler::start(4, INTAKE_LIMITS);
    let mut running = Running::start(config(broker.host_and_port()), &settler);
    running.ready().await;
    let mut client = broker.client("publisher").await;
    publish_all(&mut client, 1..=500).await;
    assert_eq!(payloads(&settler.taken(500).await), numbers(1..=500));
    running.stop().await;

    // The broker keeps for the session what comes while nobody is there, and only that.
    publish_all(&mut client, 501..=502).await;
    let _running = Running::start(config(broker.host_and_port()), &settler);
    assert_eq!(payloads(&settler.taken(502).await), numbers(1..=502));
}

#[tokio::test]
async fn what_was_not_safe_comes_again() {
    let broker = Mosquitto::start().await;
    let settler = Settler::start(1, INTAKE_LIMITS);
    settler.set_settling(false);
    let mut running = Running::start(config(broker.host_and_port()), &settler);
    running.ready().await;
    let mut client = broker.client("publisher").await;
    publish_all(&mut client, 1..=3).await;
    settler.taken(3).await;
    running.crash().await;

    let settler = Settler::start(1, INTAKE_LIMITS);
    let _running = Running::start(config(broker.host_and_port()), &settler);
    let taken = settler.taken(3).await;
    assert_eq!(payloads(&taken), numbers(1..=3));
    assert!(taken.iter().all(|taken| taken.flags == Flags::DUP));
}

#[tokio::test]
async fn who_stops_waits_for_what_was_taken_in() {
    let broker = Mosquitto::start().await;
    let settler = Settler::start(1, INTAKE_LIMITS);
    settler.set_settling(false);
    let mut running = Running::start(config(broker.host_and_port()), &settler);
    running.ready().await;
    let mut client = broker.client("publisher").await;
    publish_all(&mut client, 1..=3).await;
    settler.taken(3).await;
    running.stop.cancel();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!running.run.is_finished());
    settler.set_settling(true);
    running.stop().await;

    let settler = Settler::start(1, INTAKE_LIMITS);
    let _running = Running::start(config(broker.host_and_port()), &settler);
    publish_all(&mut client, 4..=4).await;
    assert_eq!(payloads(&settler.taken(1).await), numbers(4..=4));
}

#[tokio::test]
async fn a_broker_that_died_is_subscribed_to_again() {
    let mut broker = Mosquitto::start().await;
    let settler = Settler::start(1, INTAKE_LIMITS);
    let mut running = Running::start(config(broker.host_and_port()), &settler);
    running.ready().await;
    broker.kill().await;
    running.lost("").await;
    running.lost("refused").await;
    broker.start_again().await;
    running.ready().await;
    let mut client = broker.client("publisher").await;
    publish_all(&mut client, 1..=3).await;
    assert_eq!(payloads(&settler.taken(3).await), numbers(1..=3));
    running.stop().await;
}

#[tokio::test]
async fn a_stored_message_and_one_too_large_are_told_apart() {
    let broker = Mosquitto::start().await;
    let mut client = broker.client("publisher").await;
    let mut stored = publish("sensors/t1/x", 1, b"stored");
    stored[0] |= 1;
    client.send(&stored).await;
    client.expect(&puback(1)).await;
    let settler = Settler::start(1, INTAKE_LIMITS);
    let mut running = Running::start(config(broker.host_and_port()), &settler);
    running.ready().await;
    let large = vec![b'7'; 1 << 20];
    for payload in [&large[..], &large[..PAYLOAD_BYTES_MAX + 1], &large[..PAYLOAD_BYTES_MAX]] {
        client.send(&publish("sensors/t1/x", 2, payload)).await;
        client.expect(&puback(2)).await;
    }
    let too_large =
        Taken { refused: Some(Refusal::TooLarge), ..Taken::plain("sensors/t1/x", &large[..512]) };
    let expected = [
        Taken { flags: Flags::RETAINED, ..Taken::plain("sensors/t1/x", b"stored") },
        too_large.clone(),
        too_large,
        Taken::plain("sensors/t1/x", &large[..PAYLOAD_BYTES_MAX]),
    ];
    assert_eq!(settler.taken(4).await, expected);
}

#[tokio::test]
async fn a_full_queue_holds_qos_1_back_and_sheds_qos_0() {
    let broker = Mosquitto::start().await;
    let settler = Settler::start(1, IntakeLimits { messages: 3, bytes: 1 << 20 });
    settler.set_taking(false);
    let mut running = Running::start(config(broker.host_and_port()), &settler);
    running.ready().await;
    let mut client = broker.client("publisher").await;
    publish_all(&mut client, 1..=3).await;
    until(|| settler.intake.waiting_messages() == 3).await;
    for _ in 0..5 {
        client.send(&publish("sensors/t1/x", 0, b"shed")).await;
    }
    publish_all(&mut client, 4..=60).await;
    settler.set_taking(true);
    // Some of QoS 0 may have found room; QoS 1 is all there, in order.
    until(|| settler.kept().last().is_some_and(|taken| taken.payload == b"60")).await;
    let kept: Vec<_> = payloads(&settler.kept()).into_iter().filter(|p| p != "shed").collect();
    assert_eq!(kept, numbers(1..=60));
    running.stop().await;
}

#[tokio::test]
async fn several_connections_share_the_messages() {
    let broker = Mosquitto::start().await;
    let settler = Settler::start(4, INTAKE_LIMITS);
    let config = SubscriberConfig { connections: 3, ..config(broker.host_and_port()) };
    let mut running = Running::start(config, &settler);
    running.ready().await;
    assert_eq!(running.status.borrow().connections.len(), 3);
    let mut client = broker.client("publisher").await;
    publish_all(&mut client, 1..=300).await;
    let mut taken = payloads(&settler.taken(300).await);
    taken.sort_by_key(|payload| payload.parse::<u16>().unwrap());
    assert_eq!(taken, numbers(1..=300));
    running.stop().await;
}
