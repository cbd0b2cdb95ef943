//! Socket.IO over raw HTTP: what a hostile client may send. What a good one finds is proven with
//! the real clients (`tests/socketio/`).

use std::io::{Read, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::stage::{Plan, Reply, Stage, TOKEN};
use serde_json::Value;

pub const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Panics of all threads since the first test: the library's tasks are nobody's to ask.
static PANICS: AtomicUsize = AtomicUsize::new(0);
static WATCH: Once = Once::new();

pub fn start() -> Stage {
    start_with(Plan::default())
}

pub fn start_with(plan: Plan) -> Stage {
    WATCH.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let at = panic.location().map(std::panic::Location::file).unwrap_or_default();
            // A failed assertion of a test is no panic of the server.
            if !at.starts_with("tests/") {
                PANICS.fetch_add(1, Ordering::Relaxed);
            }
            before(panic);
        }));
    });
    Stage::with(plan)
}

/// The server lives, and none of its tasks panicked.
pub fn is_well(stage: &Stage) {
    assert_eq!(stage.get("/livez").status, 200);
    assert_eq!(PANICS.load(Ordering::Relaxed), 0, "a task panicked");
}

/// A session that polls; its id.
pub fn open(stage: &Stage) -> String {
    let reply = stage.ask("GET", POLLING, &[], "");
    assert_eq!(reply.status, 200, "{}", reply.text());
    let packet: Value = serde_json::from_str(&reply.text()[1..]).unwrap();
    assert_eq!(packet["maxPayload"], 16 << 10);
    packet["sid"].as_str().unwrap().to_owned()
}

pub fn say(stage: &Stage, id: &str, packets: &str) -> Reply {
    stage.ask("POST", &format!("{POLLING}&sid={id}"), &[], packets)
}

pub fn hear(stage: &Stage, id: &str) -> Reply {
    stage.ask("GET", &format!("{POLLING}&sid={id}"), &[], "")
}

/// What comes until it contains this.
pub fn hear_until(stage: &Stage, id: &str, wanted: &str) -> String {
    let until = Instant::now() + DEADLINE;
    let mut heard = String::new();
    while !heard.contains(wanted) {
        assert!(Instant::now() < until, "{wanted}: {heard}");
        let reply = hear(stage, id);
        assert_eq!(reply.status, 200, "{wanted}: {heard} {}", reply.text());
        heard += &reply.text();
        heard.push('\u{1e}');
    }
    heard
}

/// A session that is let in and has got its status.
pub fn connect(stage: &Stage) -> String {
    let id = open(stage);
    assert_eq!(say(stage, &id, &format!("40{{\"token\":\"{TOKEN}\"}}")).text(), "ok");
    hear_until(stage, &id, "\"status\"");
    id
}

/// Waits until the session is not known any more.
fn ends(stage: &Stage, id: &str) {
    let until = Instant::now() + DEADLINE;
    while hear(stage, id).status == 200 {
        assert!(Instant::now() < until, "the session does not end");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

#[test]
fn handshakes_that_make_no_sense_are_refused() {
    let stage = start();
    let known = open(&stage);
    for (method, query, said) in [
        ("GET", "", "EIO"),
        ("GET", "?EIO=3&transport=polling", "version 4"),
        ("GET", "?EIO=4", "transport"),
        ("GET", "?EIO=4&transport=pigeon", "transport"),
        ("GET", "?EIO=4&EIO=4&transport=polling", "twice"),
        ("GET", "?EIO=4&transport=polling&sid=x", "not known"),
        ("GET", "?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAA", "not known"),
        ("GET", "?EIO=4&transport=polling&sid=%00%ff", "UTF-8"),
        ("POST", "?EIO=4&transport=polling", "polls"),
        ("POST", "?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAA", "not known"),
        ("POST", &format!("?EIO=4&transport=websocket&sid={known}"), "polls"),
    ] {
        let reply = stage.ask(method, &format!("/socket.io/{query}"), &[], "");
        assert_eq!(reply.status, 400, "{method} {query}: {}", reply.text());
        assert!(reply.text().contains(said), "{method} {query}: {}", reply.text());
    }
    let websocket = "/socket.io/?EIO=4&transport=websocket";
    assert_eq!(stage.ask("GET", websocket, &[], "").status, 426);
    assert_eq!(stage.ask("HEAD", POLLING, &[], "").status, 405);
    assert_eq!(stage.ask("PUT", POLLING, &[], "x").status, 405);
    assert_eq!(stage.ask("GET", "/socket.io", &[], "").status, 404);
    is_well(&stage);
}

#[test]
fn foreign_hosts_and_pages_are_refused() {
    let stage = start();
    let id = open(&stage);
    for method in ["GET", "POST"] {
        let path = format!("{POLLING}&sid={id}");
        let reply = |header| stage.ask(method, &path, &[header], "x").status;
        assert_eq!(reply(("Host", "evil.example")), 421);
        assert_eq!(reply(("Origin", "http://evil.example")), 403);
        assert_eq!(reply(("Origin", "null")), 403);
    }
    assert_eq!(stage.ask("GET", POLLING, &[("Origin", "http://evil.example")], "").status, 403);
}

#[test]
fn below_the_public_prefix_it_is_the_same() {
    let public_url = Some("https://gauge.example/x".to_owned());
    let stage = start_with(Plan { public_url, ..Plan::default() });
    let reply = stage.ask("GET", &format!("/x{POLLING}"), &[("Host", "gauge.example")], "");
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[test]
fn packets_that_make_no_sense_end_their_session_and_nothing_else() {
    let stage = start();
    let watcher = connect(&stage);
    for garbage in [
        "x",
        "\u{1e}",
        "\u{1e}\u{1e}\u{1e}",
        "7",
        "9",
        "0",
        "0{}",
        "5",
        "6",
        "4",
        "4x",
        "47",
        "44",
        "45",
        "451-",
        "45999999999999999999999-[]",
        "451-[\"a\",{\"_placeholder\":true,\"num\":0}]",
        "43",
        "430[]",
        "4399999999999999999999[]",
        "46",
        "460-[]",
        "42",
        "42[",
        "42[]",
        "42{}",
        "42[1]",
        "42[null,{}]",
        "42\"a\"",
        "4299999999999999999999[\"a\"]",
        "bAAAA",
        "b",
        "b!!!",
        "4é",
        "42é[\"a\"]",
        "40/",
        "40/é,",
        "42/,[\"a\"]",
        "41",
        "41/x,",
        "40[",
        "2probe",
        "3probe",
        "\u{0}",
        "4\u{0}",
        "40{\"token\":",
        "42[\"request_all_stats\"",
    ] {
        for id in [open(&stage), connect(&stage)] {
            let status = say(&stage, &id, garbage).status;
            assert!([200, 400].contains(&status), "{garbage:?}: {status}");
        }
        is_well(&stage);
    }
    // Nobody else noticed.
    say(&stage, &watcher, "42[\"request_all_stats\"]");
    hear_until(&stage, &watcher, "\"sensor_stats\"");
    is_well(&stage);
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let stage = start();
    let raw = |body: &[u8]| {
        let id = open(&stage);
        let head = format!(
            "POST {POLLING}&sid={id} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = stage.connect();
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    };
    raw(b"4\xff\xfe");
    raw(&[0xff; 16 << 10]);
    is_well(&stage);
}

#[test]
fn bodies_are_bounded_and_have_a_length() {
    let stage = start();
    let id = connect(&stage);
    assert_eq!(say(&stage, &id, &"x".repeat((16 << 10) + 1)).status, 413);
    let chunked = [("Transfer-Encoding", "chunked")];
    let reply = stage.ask("POST", &format!("{POLLING}&sid={id}"), &chunked, "");
    assert_eq!(reply.status, 400, "{}", reply.text());
    let id = connect(&stage);
    // As many packets as fit are more events than may be sent.
    let packets = vec!["42[\"x\"]"; 2000].join("\u{1e}");
    assert_eq!(say(&stage, &id, &packets).status, 200);
    ends(&stage, &id);
    is_well(&stage);
}

#[test]
fn whoever_is_not_let_in_is_put_out() {
    let stage = start();
    let silent = open(&stage);
    let wrong = open(&stage);
    say(&stage, &wrong, "40{\"token\":\"wrong\"}");
    hear_until(&stage, &wrong, "44{\"message\":\"pass the API token");
    // Events of somebody who is not there are nobody's.
    let early = open(&stage);
    say(&stage, &early, "42[\"request_all_stats\"]");
    let started = Instant::now();
    for id in [&early, &wrong, &silent] {
        ends(&stage, id);
    }
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
}

#[test]
fn wrong_tokens_are_held_back_wherever_they_are_shown() {
    let stage = start();
    for n in 0..50 {
        let query = format!("{POLLING}&token=wrong{n}");
        assert_eq!(stage.ask("GET", &query, &[], "").status, 200, "told when it connects");
    }
    let id = open(&stage);
    say(&stage, &id, &format!("40{{\"token\":\"{TOKEN}\"}}"));
    hear_until(&stage, &id, "too many wrong credentials");
    assert_eq!(stage.get("/api/stats").status, 429, "one throttle for all doors");
}

#[test]
fn a_session_that_signed_out_is_put_out() {
    let stage = start();
    let cookie = stage.cookie();
    let opened = stage.ask("GET", POLLING, &[("Cookie", &cookie)], "");
    let packet: Value = serde_json::from_str(&opened.text()[1..]).unwrap();
    let id = packet["sid"].as_str().unwrap();
    say(&stage, id, "40");
    hear_until(&stage, id, "\"status\"");
    stage.redis(redis::cmd("DEL").arg("sg:auth"));
    let until = Instant::now() + Duration::from_secs(40);
    let mut heard = String::new();
    while !heard.contains("signed_out") {
        assert!(Instant::now() < until, "{heard}");
        heard += &hear(&stage, id).text();
        // Without an answer to the ping the session would end for another reason.
        say(&stage, id, "3");
    }
}
