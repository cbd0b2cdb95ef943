use std::net::{IpAddr, Ipv4Addr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::places::Places;
use super::super::session::{Incoming, Presented, Sessions};
use super::*;
use crate::serve::auth::Identity;

fn frame(text: &str) -> Vec<u8> {
    let frame = Frame::message(text.to_owned(), OpCode::Data(Data::Text), true);
    let mut bytes = Vec::new();
    frame.format(&mut bytes).unwrap();
    bytes
}

#[test]
fn events_are_counted_wherever_the_bytes_break() {
    let texts = [
        String::new(),
        "2".to_owned(),
        "4".to_owned(),
        "42".to_owned(),
        "43[]".to_owned(),
        "442".to_owned(),
        format!("42{}", "x".repeat(200)),
        format!("42{}", "x".repeat(70_000)),
        "24".to_owned(),
        r#"42["a",1]"#.to_owned(),
    ];
    let bytes: Vec<u8> = texts.iter().flat_map(|text| frame(text)).collect();
    for step in [1, 2, 3, 7, 1000, bytes.len()] {
        let mut counter = EventCounter::default();
        let events: usize = bytes.chunks(step).map(|chunk| counter.count(chunk)).sum();
        assert_eq!(events, 4, "in steps of {step}");
    }
}

#[test]
fn events_are_counted_in_answers_to_polling_requests() {
    assert_eq!(events_in(b""), 0);
    assert_eq!(events_in(b"2"), 0);
    assert_eq!(events_in(b"42[\"a\"]\x1e2\x1e43[]\x1e42[\"b\"]"), 2);
}

/// A connection as the library gets it, and the client's end of it.
async fn pair() -> (Transport, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (io, _) = listener.accept().await.unwrap();
    let (peer, cut) = (IpAddr::V4(Ipv4Addr::LOCALHOST), CancellationToken::new());
    let held = (Places::new().take().unwrap(), None);
    let session = Arc::new(Sessions::default()).begin(peer, Presented::Nothing, held, cut);
    let holding = Holding { session, place: None, tracked: TaskTracker::new().token() };
    (Transport::new(io, Bytes::from_static(&[0x81, 0x01, b'2']), holding), client)
}

/// It was as much as the kernel gives by itself, up to four megabytes for each slow client.
#[tokio::test]
async fn the_kernel_keeps_little_of_a_websocket() {
    let (transport, _client) = pair().await;
    let bytes = sockopt::socket_send_buffer_size(&transport.io).unwrap();
    assert_eq!(bytes, 2 * LIVE_BYTES, "the kernel doubles it");
}

#[tokio::test]
async fn what_is_refused_is_read_and_dropped_until_the_cut() {
    let (mut transport, mut client) = pair().await;
    let session = transport.session.clone();
    let (_says, heard) = mpsc::channel(1);
    let gone = CancellationToken::new();
    session.is_admitted(Incoming { identity: Identity::Trusted, heard, gone });
    let taken = frame("42[\"a\"]");
    client.write_all(&[&taken[..], &frame(&"x".repeat(70_000))[..]].concat()).await.unwrap();
    let library = TaskTracker::new().spawn(async move {
        let mut read = Vec::new();
        transport.read_to_end(&mut read).await.map(|_| (read, transport))
    });
    session.refused.cancelled().await;
    assert!(!session.cut.is_cancelled(), "it is told first");
    assert!(session.refusal().unwrap().said.contains("70000 bytes"));
    // More than the kernels hold: somebody takes it.
    client.write_all(&vec![0; 32 << 20]).await.unwrap();
    session.cut.cancel();
    let (read, _transport) = library.await.unwrap().unwrap();
    let mut expected = vec![0x81, 0x01, b'2'];
    expected.extend_from_slice(&taken);
    assert!(read.starts_with(&expected) && read.len() < expected.len() + 14, "{}", read.len());
}

#[tokio::test]
async fn who_is_refused_before_it_is_let_in_is_cut_off() {
    let (mut transport, mut client) = pair().await;
    client.write_all(&frame(&"x".repeat(70_000))).await.unwrap();
    let mut read = Vec::new();
    transport.read_to_end(&mut read).await.unwrap();
    assert!(read.len() < 3 + 14, "{}", read.len());
}
