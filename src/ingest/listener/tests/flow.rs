//! What becomes of messages: taken in, acknowledged in order, held back, thrown away.

use super::{PAYLOAD_BYTES_MAX, Stage};
use crate::ingest::IntakeLimits;
use crate::ingest::ack::UNACKNOWLEDGED_MESSAGES_MAX;
use crate::ingest::testing::client::{puback, publish};
use crate::ingest::testing::{Taken, until};
use crate::message::Flags;
use crate::refusal::Refusal;

#[tokio::test]
async fn a_message_is_acknowledged_when_it_is_safe_and_not_before() {
    let stage = Stage::open();
    stage.settler.set_settling(false);
    let mut client = stage.client("c1").await;
    client.send(&publish("sensors/t1/temperature", 9, b"21.5")).await;
    let taken = stage.settler.taken(1).await;
    assert_eq!(taken, [Taken::plain("sensors/t1/temperature", b"21.5")]);
    // The connection goes on meanwhile.
    client.send(&[0xC0, 0]).await;
    client.expect(&[0xD0, 0]).await;
    client.expect_nothing();
    stage.settler.set_settling(true);
    client.expect(&puback(9)).await;
}

#[tokio::test]
async fn acknowledgements_keep_the_order_of_receipt_across_shards() {
    let stage = Stage::open();
    let mut client = stage.client("c1").await;
    let mut sent = Vec::new();
    let mut expected = Vec::new();
    for id in 1..=2000 {
        sent.extend(publish(&format!("sensors/t{id}/x"), id, b"{\"value\":1}"));
        expected.extend(puback(id));
        if id % 7 == 0 {
            sent.extend(publish(&format!("sensors/t{id}/x"), 0, b"unacknowledged"));
        }
    }
    client.send(&sent).await;
    client.expect(&expected).await;
    stage.settler.taken(2000 + 2000 / 7).await;
    client.expect_nothing();
}

#[tokio::test]
async fn a_message_may_come_byte_by_byte() {
    let stage = Stage::open();
    let mut client = stage.client("c1").await;
    for byte in publish("sensors/t1/x", 300, b"12") {
        client.send(&[byte]).await;
        tokio::task::yield_now().await;
    }
    client.expect(&puback(300)).await;
    assert_eq!(stage.settler.taken(1).await, [Taken::plain("sensors/t1/x", b"12")]);
}

#[tokio::test]
async fn what_is_refused_travels_on_and_is_acknowledged() {
    let stage = Stage::open();
    let mut client = stage.client("c1").await;
    let large = [b'7'; PAYLOAD_BYTES_MAX + 1];
    let mut again = publish("sensors/t1/x", 4, b"again");
    again[0] |= 0b1001;
    let all = [
        publish("elsewhere", 1, b"1"),
        publish("sensors/t1/x", 2, &large),
        publish("sensors/t1/x", 3, &large[1..]),
        again,
        publish("sensors/t1/x", 0, &large),
    ];
    client.send(&all.concat()).await;
    client.expect(&[1, 2, 3, 4].map(puback).concat()).await;
    let mut taken = stage.settler.taken(5).await;
    taken.sort_by_key(|message| message.topic.clone());
    let too_large = || Taken {
        refused: Some(Refusal::TooLarge),
        ..Taken::plain("sensors/t1/x", &large[..512])
    };
    let expected = [
        Taken { refused: Some(Refusal::TopicNotAccepted), ..Taken::plain("elsewhere", b"1") },
        too_large(),
        Taken::plain("sensors/t1/x", &large[1..]),
        Taken { flags: Flags::DUP, ..Taken::plain("sensors/t1/x", b"again") },
        too_large(),
    ];
    assert_eq!(taken, expected);
}

#[tokio::test]
async fn a_huge_message_is_thrown_away_as_it_comes() {
    let stage = Stage::open();
    let mut client = stage.client("c1").await;
    let huge = vec![b'x'; 20 << 20];
    client.send(&publish("sensors/t1/x", 5, &huge)).await;
    client.send(&publish("sensors/t1/x", 6, b"1")).await;
    client.expect(&[puback(5), puback(6)].concat()).await;
    let taken = stage.settler.taken(2).await;
    assert_eq!(taken[0].refused, Some(Refusal::TooLarge));
    assert_eq!(taken[0].payload, huge[..512]);
    assert_eq!(taken[1], Taken::plain("sensors/t1/x", b"1"));
}

#[tokio::test]
async fn an_empty_message_with_retain_goes_nowhere_and_waits_its_turn() {
    let stage = Stage::open();
    stage.settler.set_settling(false);
    let mut client = stage.client("c1").await;
    client.send(&publish("sensors/t1/x", 1, b"1")).await;
    let mut clear = publish("sensors/t1/x", 2, b"");
    clear[0] |= 1;
    client.send(&clear).await;
    client.send(&publish("sensors/t1/x", 3, b"")).await;
    assert_eq!(stage.settler.taken(2).await[1], Taken::plain("sensors/t1/x", b""));
    client.expect_nothing();
    stage.settler.set_settling(true);
    client.expect(&[1, 2, 3].map(puback).concat()).await;
}

#[tokio::test]
async fn a_full_queue_stops_the_reading_and_loses_nothing() {
    let stage = Stage::with(None, IntakeLimits { messages: 3, bytes: 1 << 20 });
    stage.settler.set_taking(false);
    let mut client = stage.client("c1").await;
    let ids = 1..=20;
    for id in ids.clone() {
        client.send(&publish("sensors/t1/x", id, id.to_string().as_bytes())).await;
    }
    until(|| stage.settler.intake.waiting_messages() == 3).await;
    client.expect_nothing();
    stage.settler.set_taking(true);
    client.expect(&ids.clone().map(puback).collect::<Vec<_>>().concat()).await;
    let payloads: Vec<_> =
        stage.settler.taken(20).await.into_iter().map(|taken| taken.payload).collect();
    assert_eq!(payloads, ids.map(|id| id.to_string().into_bytes()).collect::<Vec<_>>());
}

#[tokio::test]
async fn who_owes_too_much_is_not_read() {
    let stage = Stage::open();
    stage.settler.set_settling(false);
    let mut client = stage.client("c1").await;
    let message = publish("sensors/t1/x", 1, b"1");
    client.send(&message.repeat(UNACKNOWLEDGED_MESSAGES_MAX + 10)).await;
    stage.settler.taken(UNACKNOWLEDGED_MESSAGES_MAX).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(stage.settler.count(), UNACKNOWLEDGED_MESSAGES_MAX);
    stage.settler.set_settling(true);
    client.expect(&puback(1).repeat(UNACKNOWLEDGED_MESSAGES_MAX + 10)).await;
}

#[tokio::test]
async fn who_stops_acknowledges_what_was_taken_in_and_then_closes() {
    let stage = Stage::open();
    stage.settler.set_settling(false);
    let mut busy = stage.client("busy").await;
    let mut idle = stage.client("idle").await;
    busy.send(&[1, 2, 3].map(|id| publish("sensors/t1/x", id, b"1")).concat()).await;
    stage.settler.taken(3).await;
    stage.stop.cancel();
    idle.expect_end().await;
    busy.send(&publish("sensors/t1/x", 4, b"too late")).await;
    assert!(!stage.served.is_finished());
    stage.settler.set_settling(true);
    busy.expect(&[1, 2, 3].map(puback).concat()).await;
    busy.expect_end().await;
    drop((busy, idle));
    stage.served.await.unwrap();
    assert_eq!(stage.settler.count(), 3);
    assert!(tokio::net::TcpStream::connect(stage.address).await.is_err());
}

#[tokio::test]
async fn a_listener_that_is_dropped_closes_everything() {
    let stage = Stage::open();
    stage.settler.set_settling(false);
    let mut client = stage.client("c1").await;
    client.send(&publish("sensors/t1/x", 1, b"1")).await;
    stage.settler.taken(1).await;
    stage.served.abort();
    client.expect_end().await;
}
