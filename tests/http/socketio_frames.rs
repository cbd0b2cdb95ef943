//! Socket.IO over WebSockets: garbage, and clients that do not read.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

use crate::socketio::{DEADLINE, is_well, start};
use crate::stage::{Stage, TOKEN};

fn websocket(stage: &Stage, more: &str) -> WebSocket<TcpStream> {
    let port = stage.address.port();
    let url = format!("ws://localhost:{port}/socket.io/?EIO=4&transport=websocket{more}");
    client(url.into_client_request().unwrap(), stage.connect()).unwrap().0
}

/// What comes on a WebSocket until it contains this, or it ends.
fn read_until(socket: &mut WebSocket<TcpStream>, wanted: &str) -> bool {
    let until = Instant::now() + DEADLINE;
    loop {
        assert!(Instant::now() < until, "{wanted} does not come");
        match socket.read() {
            Ok(Message::Text(text)) if text.as_str() == "2" => {
                // It may have ended.
                let _ended = socket.send(Message::text("3"));
            }
            Ok(Message::Text(text)) if text.as_str().contains(wanted) => return true,
            Ok(_) => {}
            Err(_ended) => return false,
        }
    }
}

#[test]
fn a_websocket_that_makes_no_sense_ends() {
    let stage = start();
    let token = format!("40{{\"token\":\"{TOKEN}\"}}");
    for garbage in [
        Message::text("x"),
        Message::text(""),
        Message::text("45999-"),
        Message::binary(vec![4, 50]),
        Message::text("4".repeat((16 << 10) + 1)),
        Message::text("1"),
    ] {
        let mut socket = websocket(&stage, "");
        socket.send(Message::text(token.clone())).unwrap();
        assert!(read_until(&mut socket, "\"status\""));
        socket.send(garbage.clone()).unwrap();
        assert!(!read_until(&mut socket, "never"), "{garbage:?}");
    }
    // One that begins and goes away, and one that goes on with what nobody began.
    drop(websocket(&stage, ""));
    let port = stage.address.port();
    let query = "EIO=4&transport=websocket&sid=AAAAAAAAAAAAAAAA";
    let url = format!("ws://localhost:{port}/socket.io/?{query}");
    let refused = client(url.into_client_request().unwrap(), stage.connect());
    assert!(refused.is_err());
    is_well(&stage);
}

#[test]
fn a_client_that_does_not_read_is_put_out_and_others_notice_nothing() {
    let stage = start();
    let token = format!("&token={TOKEN}");
    let mut slow = websocket(&stage, &token);
    let mut healthy = websocket(&stage, &token);
    for socket in [&mut slow, &mut healthy] {
        socket.send(Message::text("40")).unwrap();
        assert!(read_until(socket, "\"status\""));
    }
    let location = "x".repeat(200);
    let mut number = 0;
    let mut publish = || {
        number += 1;
        let topics: Vec<String> = (0..500).map(|n| format!("s/{n}/t")).collect();
        let payload = format!("{{\"value\":{number},\"location\":\"{location}\"}}");
        let messages: Vec<(&str, &str)> =
            topics.iter().map(|topic| (topic.as_str(), payload.as_str())).collect();
        stage.append(0, number, &messages);
        number
    };
    let metric = || stage.get("/metrics").text();
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let number = publish();
        assert!(read_until(&mut healthy, &format!("\"value\":{number}")));
        let clients = stage.get("/api/stats").json()["clients"].as_u64();
        if clients == Some(1) {
            break;
        }
        assert!(Instant::now() < until, "{clients:?} {}", metric());
    }
    is_well(&stage);
}

/// Thirty at a time are fewer than may wait, so what ends it is how many come in a second.
#[test]
fn more_events_than_may_be_sent_in_a_second_end_the_session() {
    let stage = start();
    let mut socket = websocket(&stage, &format!("&token={TOKEN}"));
    socket.send(Message::text("40")).unwrap();
    assert!(read_until(&mut socket, "\"status\""));
    let mut say = |events: usize| {
        for _ in 0..events {
            // It may have ended.
            let _ended = socket.send(Message::text("42[\"dance\"]"));
        }
        (0..events).take_while(|_| read_until(&mut socket, "\"error\",")).count()
    };
    assert_eq!(say(20), 20, "so many are taken");
    let until = Instant::now() + DEADLINE;
    while say(30) == 30 {
        assert!(Instant::now() < until, "nobody minds");
    }
    is_well(&stage);
}
