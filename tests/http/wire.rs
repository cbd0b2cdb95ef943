//! What arrives as bytes: limits, and requests that try to be two.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::stage::{Stage, TOKEN};

/// The statuses of all answers to what was sent on one connection.
fn statuses(stage: &Stage, request: &str) -> Vec<String> {
    let answer = stage.raw(request);
    let heads = answer.split("HTTP/1.1 ").skip(1);
    heads.map(|head| head.split(' ').next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn ambiguous_requests_get_one_refusal_and_the_connection_ends() {
    let stage = Stage::start();
    let smuggled = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for (name, head, body) in [
        ("both lengths", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ("both, turned", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
        ("chunked alone", "Transfer-Encoding: chunked\r\nConnection: close\r\n", "0\r\n\r\n"),
        ("another coding", "Transfer-Encoding: xchunked\r\n", ""),
        ("coding twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", ""),
        ("two lengths", "Content-Length: 0\r\nContent-Length: 5\r\n", ""),
        ("length list", "Content-Length: 0, 5\r\n", ""),
        ("negative length", "Content-Length: -1\r\n", ""),
        ("signed length", "Content-Length: +0\r\n", ""),
        ("space before colon", "Content-Length : 0\r\n", ""),
        ("folded header", "X-A: b\r\n c\r\n", ""),
        ("bare name", "X-A\r\n", ""),
        ("zero byte", "X-A: \0\r\n", ""),
    ] {
        let request = format!("POST /signin HTTP/1.1\r\nHost: localhost\r\n{head}\r\n{body}");
        assert_eq!(statuses(&stage, &format!("{request}{smuggled}")), ["400"], "{name}");
    }
}

#[test]
fn hosts_must_be_one_and_clear() {
    let stage = Stage::start();
    for (name, request) in [
        ("no host", "GET / HTTP/1.1\r\nConnection: close\r\n\r\n"),
        (
            "two hosts",
            "GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        ),
        (
            "another in the address",
            "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        ),
    ] {
        assert_eq!(statuses(&stage, request), ["400"], "{name}");
    }
}

#[test]
fn limits_have_their_statuses() {
    let stage = Stage::start();
    let long = "x".repeat(5000);
    assert_eq!(stage.ask("GET", &format!("/{long}"), &[], "").status, 414);
    assert_eq!(stage.ask("GET", &format!("/livez?{long}"), &[], "").status, 414);
    let headers: Vec<(String, String)> =
        (0..65).map(|n| (format!("x-{n}"), n.to_string())).collect();
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(stage.ask("GET", "/livez", &headers, "").status, 431);
    let large = "x".repeat(20_000);
    assert_eq!(stage.ask("GET", "/livez", &[("x-large", &large)], "").status, 431);
    let body = format!("token={}", "x".repeat(70_000));
    assert_eq!(stage.ask("POST", "/signin", &[], &body).status, 413);
}

#[test]
fn other_methods_are_told_what_is_allowed() {
    let stage = Stage::start();
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "NONSENSE"] {
        let reply = stage.ask(method, "/signin", &[], "");
        assert_eq!(
            (reply.status, &reply.headers["allow"][..]),
            (405, "GET, HEAD, POST"),
            "{method}"
        );
    }
}

#[test]
fn two_requests_on_one_connection_get_two_answers_in_order() {
    let stage = Stage::start();
    let request = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n\
                   GET /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(statuses(&stage, request), ["200", "404"]);
}

#[test]
fn a_websocket_begins_with_a_get_and_without_a_body() {
    let stage = Stage::start();
    let status = |line: &str, more: &str| {
        let request = format!(
            "{line}\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\
             Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}"
        );
        let mut stream = stage.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).unwrap();
        String::from_utf8_lossy(&first[9..]).into_owned()
    };
    assert_eq!(status("GET /ws HTTP/1.1", "\r\n"), "101");
    assert_eq!(status("HEAD /ws HTTP/1.1", "\r\n"), "426");
    assert_eq!(status("POST /ws HTTP/1.1", "Content-Length: 0\r\n\r\n"), "405");
    assert_eq!(status("GET /ws HTTP/1.0", "\r\n"), "426");
    assert_eq!(status("GET /ws HTTP/1.1", "Content-Length: 3\r\n\r\nabc"), "400");
}

#[test]
fn a_stop_lets_idle_connections_go_at_once() {
    let mut stage = Stage::start();
    let mut idle = stage.connect();
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    let started = Instant::now();
    stage.stop();
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}
