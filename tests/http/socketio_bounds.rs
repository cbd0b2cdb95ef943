//! What one client of Socket.IO may take from others: places, memory. What it is told when it asks
//! for more.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;
use streamgauge::serve::{AuthMode, Patience};

use crate::socketio::{
    DEADLINE, POLLING, connect, hear_until, is_well, open, say, start, start_with,
};
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

#[test]
fn what_may_not_be_posted_is_told_before_the_session_ends() {
    let stage = start();
    let large = format!("42[\"x\",\"{}\"]", "x".repeat(17 << 10));
    for (packets, status, said) in [
        (&*large, 413, "a request has 17418 bytes as it is sent; allowed: 16384"),
        ("451-[\"x\",{\"_placeholder\":true,\"num\":0}]", 400, "allowed: JSON without attachments"),
        ("bAAAA", 400, "an attachment in binary"),
    ] {
        let id = connect(&stage);
        let heard = std::thread::scope(|scope| {
            let listener = scope.spawn(|| hear_until(&stage, &id, "\u{1e}41"));
            let reply = say(&stage, &id, packets);
            assert_eq!(reply.status, status, "{said}: {}", reply.text());
            listener.join().unwrap()
        });
        assert!(heard.contains("42[\"error\",{\"message\":\""), "{heard}");
        assert!(heard.contains(said), "{heard}");
        assert_eq!(say(&stage, &id, "42[\"dance\"]").status, 400, "nothing more is taken");
    }
    // Who was not let in has nobody to tell it.
    let id = open(&stage);
    assert_eq!(say(&stage, &id, &large).status, 413);
    is_well(&stage);
}

/// What is polled has left the window, so the kernel took answer after answer of a client that
/// does not read, each over another connection.
#[test]
fn a_polling_client_that_takes_nothing_loses_its_connection() {
    let patience = Patience { still_max: Duration::from_millis(500), ..Patience::default() };
    let stage = start_with(Plan { patience, ..Plan::default() });
    let id = connect(&stage);
    say(&stage, &id, "42[\"subscribe\",{\"sensors\":[\"*\"],\"every\":true}]");
    hear_until(&stage, &id, "\"subscribed\"");
    // A reading takes about four kilobytes, and an answer as many as the window holds.
    let large = json!({"value": 1.0, "metadata": {"text": "x".repeat(4000)}}).to_string();
    let mut silent = stage.connect();
    rustix::net::sockopt::set_socket_recv_buffer_size(&silent, 4 << 10).unwrap();
    let ask = format!("GET {POLLING}&sid={id} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    // More than are answered before one is larger than what the kernels take.
    silent.write_all(ask.repeat(50).as_bytes()).unwrap();
    let until = Instant::now() + DEADLINE;
    // The one that asks is a connection too.
    let connections = || stage.get("/api/stats").json()["connections"].as_u64();
    for number in 1.. {
        stage.append(0, number, &[("s/a/t", &*large); 100]);
        if connections() == Some(1) {
            break;
        }
        assert!(Instant::now() < until, "{:?}", connections());
        std::thread::park_timeout(Duration::from_millis(50));
    }
    let mut rest = Vec::new();
    assert!(silent.read_to_end(&mut rest).is_err(), "{} bytes, then an end", rest.len());
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
