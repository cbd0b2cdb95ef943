//! Server-sent events against a real Redis.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use streamgauge::serve::Patience;

use crate::live::Browser;
use crate::stage::{Plan, Stage, TOKEN};

/// Somebody who listens.
struct Listener {
    head: String,
    stream: BufReader<TcpStream>,
    /// What came, without the chunks.
    text: String,
}

impl Listener {
    /// With a header that says who it is.
    fn connect(stage: &Stage, query: &str, credential: &str) -> Self {
        let mut stream = stage.connect();
        let port = stage.address.port();
        let request = format!(
            "GET /api/stream{query} HTTP/1.1\r\nHost: localhost:{port}\r\n\
             Accept-Encoding: gzip\r\n{credential}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let (mut stream, mut head) = (BufReader::new(stream), String::new());
        while !head.ends_with("\r\n\r\n") {
            assert!(stream.read_line(&mut head).unwrap() > 0, "no head: {head}");
        }
        Self { head, stream, text: String::new() }
    }

    /// One more chunk; false at the end.
    fn read(&mut self) -> bool {
        let mut size = String::new();
        self.stream.read_line(&mut size).unwrap();
        let size = usize::from_str_radix(size.trim(), 16).expect("the size of a chunk");
        let mut chunk = vec![0; size + 2];
        self.stream.read_exact(&mut chunk).unwrap();
        self.text += std::str::from_utf8(&chunk[..size]).unwrap();
        size > 0
    }

    /// The lines up to the next empty one.
    fn lines(&mut self) -> Vec<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let lines = block.lines().map(str::to_owned).collect();
                self.text = rest.to_owned();
                return lines;
            }
            assert!(self.read(), "it ended: {}", self.text);
        }
    }

    /// The data of the next event, put together as browsers do.
    fn expect(&mut self, event: &str) -> Value {
        let lines = self.lines();
        assert_eq!(lines[0], format!("event: {event}"), "{lines:?}");
        let data: Vec<&str> =
            lines[1..].iter().map(|line| line.strip_prefix("data: ").unwrap()).collect();
        serde_json::from_str(&data.join("\n")).unwrap()
    }

    fn begun(stage: &Stage, query: &str, message: &str) -> Self {
        let credential = format!("Authorization: Bearer {TOKEN}");
        Self::connect(stage, query, &credential).welcomed(message)
    }

    fn welcomed(self, message: &str) -> Self {
        let mut listener = self;
        assert!(listener.head.starts_with("HTTP/1.1 200 "), "{}", listener.head);
        assert_eq!(listener.lines(), ["retry: 3000"]);
        assert_eq!(listener.expect("status")["message"], message);
        listener
    }
}

fn value(value: f64) -> String {
    json!({ "value": value }).to_string()
}

fn clients(stage: &Stage, expected: u64) {
    stage.get_until("/api/stats", |reply| reply.json()["clients"] == expected);
}

#[test]
fn a_reading_is_pushed_as_an_event() {
    let stage = Stage::start();
    let mut listener = Listener::begun(&stage, "", "connected");
    let head = listener.head.to_lowercase();
    for line in [
        "content-type: text/event-stream",
        "cache-control: no-store",
        "x-accel-buffering: no",
        "transfer-encoding: chunked",
    ] {
        assert!(head.contains(&format!("{line}\r\n")), "{line} is missing in {head}");
    }
    assert!(!head.contains("content-encoding"), "{head}");
    let payload = "{\"value\":21.5,\"unit\":\"°C\",\"metadata\":{\"a\":\n1,\r\n\"b\":\"x\\ny\"}}";
    stage.append(1, 1, &[("sensors/kitchen/temperature", payload)]);
    let update = listener.expect("sensor_update");
    assert_eq!((&update["sensor_id"], &update["value"]), (&json!("kitchen"), &json!(21.5)));
    assert_eq!(update["metadata"], json!({"a": 1, "b": "x\ny"}));
    assert!(update["position"].as_str().unwrap().starts_with("1:"), "{update}");
}

#[test]
fn parameters_choose_what_is_told() {
    let stage = Stage::start();
    let mut every = Listener::begun(&stage, "?sensors=a,room/*&every", "subscribed");
    let mut batch = Listener::begun(&stage, "?sensors=b&batch=true&max_hz=2", "subscribed");
    let values: Vec<String> = (1..=100).map(|n| value(f64::from(n))).collect();
    let topics: Vec<_> = values.iter().flat_map(|it| [("s/b/t", &**it), ("s/a/t", it)]).collect();
    stage.append(0, 1, &topics);
    let shown: Vec<f64> =
        (1..=100).map(|_| every.expect("sensor_update")["value"].as_f64().unwrap()).collect();
    assert_eq!(shown, (1..=100).map(f64::from).collect::<Vec<_>>());
    let updates = batch.expect("sensor_updates");
    assert_eq!(
        (&updates["readings"][0]["value"], &updates["conflated"]),
        (&json!(100.0), &json!(99))
    );
}

#[test]
fn what_makes_no_sense_is_refused_before_it_begins() {
    let stage = Stage::start();
    for (query, said) in [
        ("max_hz=100", "`max_hz` is 100; allowed: 0.1 to 60"),
        ("max_hz=fast", "parameter `max_hz` is \"fast\"; allowed: a number"),
        ("every=1", "parameter `every` is \"1\"; allowed: true, false"),
        ("batch=1&batch=0", "parameter `batch` is given twice"),
        ("stats=yes", "parameter `stats` is \"yes\"; allowed: true, false"),
        ("sensors=a*b", "entry \"a*b\" of `sensors` has a * before its end; allowed: *, an id"),
        ("sensors=a,,b", "entry \"\" of `sensors` has 0 bytes; allowed: 1 to 129"),
        (&*format!("sensors={}", "x".repeat(130)), "130 bytes; allowed: 1 to 129"),
        (&*format!("sensors={}a", "a,".repeat(100)), "101 entries; allowed: 100"),
        ("sensor=a", "unknown parameter `sensor`; allowed: sensors, max_hz, every, batch, stats"),
    ] {
        let reply = stage.get(&format!("/api/stream?{query}"));
        assert_eq!(reply.status, 400, "{query}");
        let error = reply.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(said), "{query}: {error}");
    }
    assert_eq!(stage.ask("GET", "/api/stream", &[], "").status, 401);
    let token = format!("Bearer {TOKEN}");
    let foreign = [("Authorization", &*token), ("Origin", "http://elsewhere")];
    assert_eq!(stage.ask("GET", "/api/stream", &foreign, "").status, 403);
}

#[test]
fn only_the_head_takes_no_place() {
    let stage = Stage::start();
    let token = format!("Bearer {TOKEN}");
    let reply = stage.ask("HEAD", "/api/stream", &[("Authorization", &token)], "");
    assert_eq!((reply.status, &*reply.headers["content-type"]), (200, "text/event-stream"));
    assert_eq!(stage.get("/api/stats").json()["clients"], 0);
}

#[test]
fn who_leaves_gives_the_place_back() {
    let stage = Stage::start();
    let mut stays = Listener::begun(&stage, "", "connected");
    let leaves = Listener::begun(&stage, "", "connected");
    clients(&stage, 2);
    drop(leaves);
    clients(&stage, 1);
    stage.append(0, 1, &[("s/a/t", &value(1.0))]);
    assert_eq!(stays.expect("sensor_update")["value"], 1.0);
    drop(stays);
    clients(&stage, 0);
}

#[test]
fn the_end_is_told_with_its_reason() {
    let mut stage = Stage::start();
    let mut listener = Listener::begun(&stage, "", "connected");
    stage.stop();
    assert_eq!(listener.expect("end"), json!({"reason": "stopping"}));
    assert!(!listener.read(), "{}", listener.text);
}

#[test]
fn one_client_more_than_there_are_places_is_told_to_come_later() {
    let stage = Stage::with(Plan { live_clients_max: 2, ..Plan::default() });
    let mut browser = Browser::connect(&stage);
    assert_eq!(browser.expect("status")["message"], "connected");
    let listener = Listener::begun(&stage, "", "connected");
    let token = format!("Bearer {TOKEN}");
    let upgrade = [
        ("Authorization", &*token),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    for (path, headers) in [("/ws", &upgrade[..]), ("/api/stream", &upgrade[..1])] {
        let reply = stage.ask("GET", path, headers, "");
        assert_eq!((reply.status, &*reply.headers["retry-after"]), (503, "1"), "{path}");
        assert!(reply.json()["error"].as_str().unwrap().contains("live clients"), "{path}");
    }
    drop(listener);
    clients(&stage, 1);
    assert_eq!(Browser::connect(&stage).expect("status")["message"], "connected");
}

#[test]
fn an_id_may_have_a_comma_and_the_list_may_be_repeated() {
    let stage = Stage::start();
    let query = "?sensors=hall%2Cleft,a&sensors=b&every";
    let mut listener = Listener::begun(&stage, query, "subscribed");
    let one = value(1.0);
    let topics = ["s/hall/t", "s/left/t", "s/hall,left/t", "s/c/t", "s/b/t", "s/a/t"];
    stage.append(0, 1, &topics.map(|topic| (topic, &*one)));
    let shown = [(); 3].map(|()| listener.expect("sensor_update")["sensor_id"].clone());
    assert_eq!(shown, ["hall,left", "b", "a"]);
}

#[test]
fn statistics_are_pushed_to_who_asks_for_them() {
    let stage = Stage::start();
    for (number, id) in [(1, "a"), (2, "b")] {
        stage.put_series(0, number, (id, "t"), &[(1.0, 1000)]);
    }
    stage.get_until("/api/sensors/b", |reply| reply.status == 200);
    let mut without = Listener::begun(&stage, "?sensors=b&stats=false", "subscribed");
    let mut listener = Listener::begun(&stage, "?sensors=b&stats=true", "subscribed");
    let mut counted = |expected| {
        let stats = listener.expect("sensor_stats");
        let rows = stats["sensors"].as_array().unwrap();
        assert_eq!(rows.len(), 1, "{stats}");
        assert_eq!((&rows[0]["sensor_id"], &rows[0]["count"]), (&json!("b"), &json!(expected)));
    };
    counted(1);
    stage.put_series(0, 2, ("b", "t"), &[(1.0, 1000), (5.0, 2000)]);
    counted(2);
    stage.append(0, 1, &[("s/b/t", &value(7.0))]);
    assert_eq!(without.expect("sensor_update")["value"], 7.0);
}

fn checked_often() -> Stage {
    let patience = Patience { check_every: Duration::from_millis(100), ..Patience::default() };
    Stage::with(Plan { patience, ..Plan::default() })
}

#[test]
fn a_silent_stream_says_that_it_lives() {
    let stage = checked_often();
    let mut listener = Listener::begun(&stage, "?sensors=nobody", "subscribed");
    for _ in 0..3 {
        assert_eq!(listener.lines(), [":"]);
    }
    stage.append(0, 1, &[("s/nobody/t", &value(1.0))]);
    let next = loop {
        match &listener.lines()[..] {
            [comment] if comment == ":" => {}
            lines => break lines.to_vec(),
        }
    };
    assert_eq!(next[0], "event: sensor_update");
}

#[test]
fn a_session_that_ended_is_told_so() {
    let stage = checked_often();
    let cookie = format!("Cookie: {}", stage.cookie());
    let mut listener = Listener::connect(&stage, "", &cookie).welcomed("connected");
    let mut trusted = Listener::begun(&stage, "", "connected");
    stage.redis(redis::cmd("DEL").arg("sg:auth"));
    let end = loop {
        match &listener.lines()[..] {
            [comment] if comment == ":" => {}
            lines => break lines.to_vec(),
        }
    };
    assert_eq!(end, ["event: end", r#"data: {"reason":"signed_out"}"#]);
    assert!(!listener.read(), "{}", listener.text);
    // Whoever has the token itself has no session that could end.
    assert_eq!(trusted.lines(), [":"]);
}

/// A stream's client was gone for the hub after ten seconds (or, when the session was asked for
/// meanwhile, twenty-five), but hyper waited on for the socket, which the kernel gave up after
/// thirty: descriptor, buffers and the place of the connection were held for so long.
#[test]
fn a_reader_that_takes_nothing_loses_its_connection() {
    let patience = Patience { still_max: Duration::from_millis(500), ..Patience::default() };
    let stage = Stage::with(Plan { patience, ..Plan::default() });
    let mut silent = Listener::begun(&stage, "?every", "subscribed").stream;
    // A reading takes about four kilobytes.
    let large = json!({"value": 1.0, "metadata": {"text": "x".repeat(4000)}}).to_string();
    let (started, mut number) = (Instant::now(), 0);
    loop {
        number += 1;
        stage.append(0, number, &[("s/a/t", &*large); 100]);
        let stats = stage.get("/api/stats").json();
        // The one that asks is a connection too.
        if (&stats["clients"], &stats["connections"]) == (&json!(0), &json!(1)) {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(10), "{stats}");
    }
    // What the kernel had taken, and no end as of an answer that is whole.
    let mut rest = Vec::new();
    assert!(silent.read_to_end(&mut rest).is_err(), "{} bytes, then an end", rest.len());
}
