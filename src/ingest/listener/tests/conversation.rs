//! Who is let in, what is answered, and what ends a conversation.

use std::sync::Arc;

use proptest::prelude::*;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant};
use tokio_util::task::TaskTracker;

use super::{Listener, ListenerConfig, Stage, config};
use crate::clock::Clock;
use crate::ingest::listener::Shared;
use crate::ingest::listener::connection::{CONNECT_WITHIN, converse};
use crate::ingest::listener::registry::Registry;
use crate::ingest::metrics::{Door, Metrics};
use crate::ingest::testing::Settler;
use crate::ingest::testing::client::{Client, connect, connect_with, puback, publish};
use crate::ingest::{Credentials, Error, INTAKE_LIMITS};

const WELCOME: [u8; 4] = [0x20, 2, 0, 0];

#[tokio::test]
async fn a_client_without_the_right_credentials_is_refused() {
    let wanted = Credentials { username: "device".into(), password: "s3cret".into() };
    let stage = Stage::with(Some(wanted), INTAKE_LIMITS);
    for (username, password, code) in
        [("", "", 5), ("device", "wrong", 4), ("other", "s3cret", 4), ("device", "s3cret", 0)]
    {
        let mut client = Client::open(stage.address).await;
        let hello = connect_with("c1", |connect| _ = connect.set_login(username, password));
        // What comes on the heels of the CONNECT must not destroy the answer.
        client.send(&[hello, publish("sensors/a/b", 7, b"1")].concat()).await;
        client.expect(&[0x20, 2, 0, code]).await;
        if code == 0 {
            client.expect(&puback(7)).await;
        } else {
            client.expect_end().await;
        }
    }
    assert_eq!(stage.settler.taken(1).await.len(), 1);
}

#[tokio::test]
async fn another_protocol_level_is_told_so() {
    let stage = Stage::open();
    let mut client = Client::open(stage.address).await;
    client.send(&[0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 60, 0, 0, 0]).await;
    client.expect(&[0x20, 2, 0, 1]).await;
    client.expect_end().await;
}

#[tokio::test]
async fn whoever_takes_a_client_id_ends_the_older_connection() {
    let stage = Stage::open();
    let mut older = stage.client("c1").await;
    let mut other = stage.client("c2").await;
    let mut newer = stage.client("c1").await;
    older.expect_end().await;
    newer.send(&publish("sensors/a/b", 1, b"1")).await;
    newer.expect(&puback(1)).await;
    other.send(&publish("sensors/a/b", 2, b"1")).await;
    other.expect(&puback(2)).await;
    // Clients without an id are all different.
    let (mut one, _two) = (stage.client("").await, stage.client("").await);
    one.send(&[0xC0, 0]).await;
    one.expect(&[0xD0, 0]).await;
}

#[tokio::test]
async fn the_rarer_packets_are_answered() {
    let stage = Stage::open();
    let mut client = stage.client("c1").await;
    client.send(&[0xC0, 0]).await;
    client.expect(&[0xD0, 0]).await;
    let two_filters = [0x82, 10, 1, 9, 0, 1, b'#', 1, 0, 1, b'a', 0];
    client.send(&two_filters).await;
    client.expect(&[0x90, 4, 1, 9, 0x80, 0x80]).await;
    client.send(&[0xA2, 5, 1, 8, 0, 1, b'#']).await;
    client.expect(&[0xB0, 2, 1, 8]).await;
    client.send(&puback(77)).await;
    client.send(&publish("sensors/a/b", 3, b"1")).await;
    client.expect(&puback(3)).await;
    client.send(&[0xE0, 0]).await;
    client.expect_end().await;
}

#[tokio::test]
async fn what_a_client_may_not_send_ends_the_conversation() {
    let stage = Stage::open();
    let check = async |bytes: &[u8]| {
        let mut client = stage.client("").await;
        client.send(bytes).await;
        client.expect_end().await;
    };
    check(&[0x34, 9, 0, 3, b'a', b'/', b'b', 0, 1, b'1', b'2']).await;
    check(&[0x36, 9]).await;
    check(&connect("again", 60)).await;
    check(&publish("sensors/+/b", 1, b"1")).await;
    check(&publish("", 1, b"1")).await;
    check(&publish("a\0", 0, b"1")).await;
    check(&[0x82, 2, 0, 1]).await;
    check(&[0x82, 6, 0, 1, 0, 9, b'a', 0]).await;
    check(&[0xC0, 1, 0]).await;
    check(&[0x62, 2, 0, 1]).await;
    check(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 1]).await;
    let mut stranger = Client::open(stage.address).await;
    stranger.send(&publish("sensors/a/b", 1, b"1")).await;
    stranger.expect_end().await;
    let mut browser = Client::open(stage.address).await;
    browser.send(b"GET / HTTP/1.1\r\n\r\n").await;
    browser.expect_end().await;
    assert_eq!(stage.settler.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_given_one_and_a_half_keep_alives() {
    let stage = Stage::open();
    let mut client = Client::open(stage.address).await;
    client.send(&connect("c1", 10)).await;
    client.expect(&WELCOME).await;
    let heard = Instant::now();
    tokio::time::sleep(Duration::from_secs(14)).await;
    client.send(&[0xC0, 0]).await;
    client.expect(&[0xD0, 0]).await;
    client.expect_end().await;
    let silent = heard.elapsed().as_millis();
    assert!((29_000..29_100).contains(&silent), "{silent}");
}

#[tokio::test(start_paused = true)]
async fn a_client_with_keep_alive_0_may_be_silent() {
    let stage = Stage::open();
    let mut client = Client::open(stage.address).await;
    client.send(&connect("c1", 0)).await;
    client.expect(&WELCOME).await;
    tokio::time::sleep(Duration::from_secs(100_000)).await;
    client.send(&[0xC0, 0]).await;
    client.expect(&[0xD0, 0]).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_says_nothing_or_only_half_is_sent_away() {
    let stage = Stage::open();
    for half in [&[][..], &[0x10, 13, 0, 4]] {
        let mut client = Client::open(stage.address).await;
        client.send(half).await;
        let started = Instant::now();
        client.expect_end().await;
        assert!(started.elapsed() <= CONNECT_WITHIN);
    }
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let stage = Stage::open();
    let config = ListenerConfig { address: stage.address, ..config() };
    let error = Listener::bind(&config).unwrap_err();
    assert!(matches!(error, Error::AddressInUse { address } if address == stage.address));
    assert!(error.to_string().contains(&stage.address.to_string()));
    let elsewhere = ListenerConfig { address: ([192, 0, 2, 1], 0).into(), ..config };
    assert!(matches!(Listener::bind(&elsewhere), Err(Error::Bind { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_in_any_splits_make_a_connection_panic(
        welcome in any::<bool>(),
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 1..6),
        kind in prop::sample::select(vec![0x10u8, 0x30, 0x32, 0x3B, 0x82, 0xA2, 0xC0, 0xE0]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut noisy, conversation) = one_conversation().await;
            if welcome {
                noisy.send(&connect("noisy", 60)).await;
                noisy.expect(&WELCOME).await;
            }
            noisy.send_what_fits(&[kind]);
            for piece in pieces {
                noisy.send_what_fits(&piece);
                tokio::task::yield_now().await;
            }
            drop(noisy);
            conversation.await.expect("no panic");
        });
    }
}

/// A connection outside any listener, whose task tells when it panicked.
async fn one_conversation() -> (Client, JoinHandle<()>) {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::open(socket.local_addr().unwrap()).await;
    let (stream, peer) = socket.accept().await.unwrap();
    let metrics = Metrics::new(Door::Listener);
    let seat = Arc::new(Registry::new(metrics.clone())).seat();
    let intake = Settler::start(4, INTAKE_LIMITS).intake;
    let shared = Arc::new(Shared::new(config(), intake, Clock::system(), metrics));
    (client, TaskTracker::new().spawn(converse(stream, peer, seat, shared)))
}
