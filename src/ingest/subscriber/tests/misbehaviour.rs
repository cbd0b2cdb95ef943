//! With a broker that follows a script.

use std::time::Duration;

use bytes::BytesMut;
use rumqttc::mqttbytes::v4::Packet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::{Running, config};
use crate::ingest::testing::client::publish;
use crate::ingest::testing::{PATIENCE, Settler, Taken};
use crate::ingest::{INTAKE_LIMITS, IntakeLimits, SubscriberConfig};
use crate::message::Flags;
use crate::refusal::Refusal;

const GRANTED: [u8; 5] = [0x90, 3, 0, 1, 1];

/// A socket that says what a broker might.
struct Script {
    socket: TcpListener,
}

/// What a subscriber looks like from there.
struct Peer {
    stream: TcpStream,
    read: BytesMut,
}

impl Script {
    async fn open() -> (Self, SubscriberConfig) {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        (Self { socket }, config((address.ip().to_string(), address.port())))
    }

    /// The next connection, after its CONNECT was answered and its SUBSCRIBE read.
    async fn next(&self) -> Peer {
        let (stream, _) = self.socket.accept().await.unwrap();
        let mut peer = Peer { stream, read: BytesMut::new() };
        assert!(matches!(peer.packet().await, Packet::Connect(_)));
        peer.say(&[0x20, 2, 0, 0]).await;
        assert!(matches!(peer.packet().await, Packet::Subscribe(_)));
        peer
    }
}

impl Peer {
    async fn say(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    async fn packet(&mut self) -> Packet {
        loop {
            if let Ok(packet) = Packet::read(&mut self.read, 1 << 20) {
                return packet;
            }
            let read = self.stream.read_buf(&mut self.read);
            assert!(tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap() > 0);
        }
    }

    /// The next packet that is not a ping; pings are answered.
    async fn expect_puback(&mut self, id: u16) {
        loop {
            match self.packet().await {
                Packet::PingReq => self.say(&[0xD0, 0]).await,
                Packet::PubAck(ack) => return assert_eq!(ack.pkid, id),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Nothing is there to read, after everybody had a chance to write.
    async fn expect_nothing(&mut self) {
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        let read = self.stream.try_read(&mut [0]);
        assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }
}

/// A message of the first connection became safe after the second had used its packet id for
/// another message: acknowledging it would have lost that one.
#[tokio::test]
async fn an_acknowledgement_never_crosses_to_another_connection() {
    let (script, config) = Script::open().await;
    let settler = Settler::start(1, INTAKE_LIMITS);
    settler.set_settling(false);
    let mut running = Running::start(config, &settler);
    let mut first = script.next().await;
    first.say(&GRANTED).await;
    running.ready().await;
    first.say(&publish("sensors/t1/x", 1, b"first")).await;
    settler.taken(1).await;
    drop(first);
    let mut second = script.next().await;
    second.say(&[&GRANTED[..], &publish("sensors/t1/x", 1, b"second")].concat()).await;
    let taken = settler.taken(2).await;
    assert_eq!(taken[1], Taken::plain("sensors/t1/x", b"second"));
    settler.settle_one();
    second.expect_nothing().await;
    settler.settle_one();
    second.expect_puback(1).await;
    second.expect_nothing().await;
}

#[tokio::test]
async fn qos_0_that_was_read_before_the_connection_broke_is_not_lost() {
    let (script, config) = Script::open().await;
    let settler = Settler::start(1, INTAKE_LIMITS);
    let _running = Running::start(config, &settler);
    let mut peer = script.next().await;
    let garbage = [0xFF; 8];
    let message = publish("sensors/t1/x", 0, b"1");
    peer.say(&[&GRANTED[..], &message, &message, &garbage].concat()).await;
    settler.taken(2).await;
    script.next().await;
}

#[tokio::test]
async fn a_refused_filter_is_named_and_tried_again() {
    let (script, config) = Script::open().await;
    let settler = Settler::start(1, INTAKE_LIMITS);
    let mut running = Running::start(config, &settler);
    // One that closes at once, one that answers nonsense, and one that says what was not asked.
    script.next().await.say(&[0x90, 3, 0, 1, 0x80]).await;
    running.lost("refuses the filter sensors/+/+").await;
    let mut peer = script.next().await;
    peer.say(&[0x90, 4, 0, 1, 1, 1]).await;
    running.lost("answers 2 of 1 filters").await;
    peer = script.next().await;
    peer.say(&[0x34, 6, 0, 1, b'a', 0, 1, b'1']).await;
    running.lost("sends QoS 2").await;
    peer = script.next().await;
    peer.say(&GRANTED).await;
    running.ready().await;
    running.stop().await;
    assert_eq!(peer.packet().await, Packet::Disconnect);
}

#[tokio::test]
async fn what_a_remembered_session_delivers_beyond_the_filters_is_refused() {
    let (script, config) = Script::open().await;
    let settler = Settler::start(1, INTAKE_LIMITS);
    let _running = Running::start(config, &settler);
    let mut peer = script.next().await;
    peer.say(&[&GRANTED[..], &publish("elsewhere", 1, b"1"), &publish("a\0b", 2, b"")].concat())
        .await;
    peer.expect_puback(1).await;
    peer.expect_puback(2).await;
    let refused = Some(Refusal::TopicNotAccepted);
    let expected = Taken { refused, ..Taken::plain("elsewhere", b"1") };
    assert_eq!(settler.taken(1).await, [expected]);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_falls_silent_is_left() {
    let (script, config) = Script::open().await;
    let settler = Settler::start(1, INTAKE_LIMITS);
    let mut running = Running::start(config, &settler);
    let mut peer = script.next().await;
    peer.say(&GRANTED).await;
    running.ready().await;
    let silent_since = Instant::now();
    running.lost("silent").await;
    assert!(silent_since.elapsed() < Duration::from_secs(23));
    let _silent = script.next().await;
    let silent_since = Instant::now();
    running.lost("does not answer SUBSCRIBE").await;
    assert!(silent_since.elapsed() < Duration::from_secs(11));
    let mut peer = script.next().await;
    peer.say(&GRANTED).await;
    running.ready().await;
}

#[tokio::test(start_paused = true)]
async fn a_long_wait_for_room_does_not_lose_the_connection() {
    let (script, config) = Script::open().await;
    let settler = Settler::start(1, IntakeLimits { messages: 1, bytes: 1 << 20 });
    settler.set_taking(false);
    let mut running = Running::start(config, &settler);
    let mut peer = script.next().await;
    peer.say(&GRANTED).await;
    running.ready().await;
    let mut again = publish("sensors/t1/x", 8, b"8");
    again[0] |= 8;
    peer.say(&[publish("sensors/t1/x", 7, b"7"), again].concat()).await;
    for _ in 0..20 {
        assert_eq!(peer.packet().await, Packet::PingReq);
        peer.say(&[0xD0, 0]).await;
    }
    settler.set_taking(true);
    peer.expect_puback(7).await;
    peer.expect_puback(8).await;
    let taken = settler.taken(2).await;
    assert_eq!(taken[1], Taken { flags: Flags::DUP, ..Taken::plain("sensors/t1/x", b"8") });
    // rumqttc's own pings go on.
    assert_eq!(peer.packet().await, Packet::PingReq);
    assert!(running.status.borrow().is_ready());
}

#[tokio::test(start_paused = true)]
async fn qos_0_that_finds_no_room_is_shed() {
    let (script, config) = Script::open().await;
    let settler = Settler::start(1, IntakeLimits { messages: 1, bytes: 1 << 20 });
    settler.set_taking(false);
    let _running = Running::start(config, &settler);
    let mut peer = script.next().await;
    let shed = publish("sensors/t1/x", 0, b"shed");
    let first = publish("sensors/t1/x", 1, b"1");
    let second = publish("sensors/t1/x", 2, b"2");
    peer.say(&[&GRANTED[..], &first, &shed, &second].concat()).await;
    // It pings while the second one waits for room; the one between is gone by then.
    assert_eq!(peer.packet().await, Packet::PingReq);
    settler.set_taking(true);
    peer.expect_puback(1).await;
    peer.expect_puback(2).await;
    let expected = [b"1", b"2"].map(|payload| Taken::plain("sensors/t1/x", payload));
    assert_eq!(settler.kept(), expected);
}
