//! What one client of Socket.IO may take from others: places.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use streamgauge::serve::AuthMode;

use crate::socketio::{DEADLINE, POLLING, connect, is_well, start, start_with};
use crate::stage::{Plan, Stage, TOKEN};

/// Handshakes over one connection until one is answered otherwise than 200, or there are so many.
fn handshakes(stage: &Stage, most: usize) -> (usize, u16) {
    let mut stream = stage.connect();
    let ask = format!("GET {POLLING} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    for opened in 0..most {
        stream.write_all(ask.as_bytes()).unwrap();
        let status = status(&mut stream);
        if status != 200 {
            return (opened, status);
        }
    }
    (most, 200)
}

/// Whoever asked a thousand times had all the places of those who wait, and the token opened
/// nothing for ten seconds.
#[test]
fn who_shows_nothing_keeps_nobody_out_who_shows_the_token() {
    let stage = start();
    let (opened, status) = handshakes(&stage, 1000);
    assert_eq!(status, 503);
    assert!((64..200).contains(&opened), "{opened}: some end when this takes its time");
    let refused = stage.ask("GET", POLLING, &[], "");
    assert!(refused.text().contains("64 Socket.IO sessions of your network"), "{}", refused.text());
    assert_eq!(stage.ask("GET", &format!("{POLLING}&token=wrong"), &[], "").status, 503);
    let (cookie, bearer) = (stage.cookie(), format!("Bearer {TOKEN}"));
    for _ in 0..20 {
        let known = |header| stage.ask("GET", POLLING, &[header], "").status;
        assert_eq!(known(("Authorization", &bearer)), 200);
        assert_eq!(known(("Cookie", &cookie)), 200);
        assert_eq!(stage.ask("GET", &format!("{POLLING}&token={TOKEN}"), &[], "").status, 200);
    }
    let until = Instant::now() + DEADLINE;
    while stage.ask("GET", POLLING, &[], "").status != 200 {
        assert!(Instant::now() < until, "who waits too long makes room");
        std::thread::park_timeout(Duration::from_millis(50));
    }
    is_well(&stage);
}

#[test]
fn who_is_let_in_gives_the_waiting_place_back() {
    let stage = start();
    for _ in 0..100 {
        connect(&stage);
    }
    is_well(&stage);
}

#[test]
fn where_nobody_needs_a_token_nobody_waits() {
    let stage = start_with(Plan { auth: AuthMode::None, ..Plan::default() });
    assert_eq!(handshakes(&stage, 1200), (1200, 200));
}

/// The status of the next answer on a connection, which is read to its end.
fn status(stream: &mut TcpStream) -> u16 {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.split("content-length: ").nth(1).unwrap();
    let mut body = vec![0; length.split("\r\n").next().unwrap().parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    head[9..12].parse().unwrap()
}
