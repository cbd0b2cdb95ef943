//! WebSockets against a real Redis.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, client};

use crate::stage::{Stage, TOKEN};

pub struct Browser {
    socket: WebSocket<TcpStream>,
}

impl Browser {
    pub fn connect(stage: &Stage) -> Self {
        let url = format!("ws://localhost:{}/ws", stage.address.port());
        let mut request = url.into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("Authorization", format!("Bearer {TOKEN}").parse().unwrap());
        let stream = stage.connect();
        let (socket, _) = client(request, stream).unwrap();
        Self { socket }
    }

    pub fn say(&mut self, event: &str, data: Value) {
        let text = json!({"event": event, "data": data}).to_string();
        self.socket.send(Message::text(text)).unwrap();
    }

    /// The next event. Pings come for ever, so that reading alone never gives up.
    fn hear(&mut self) -> (String, Value) {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            assert!(Instant::now() < until, "nothing but pings");
            match self.socket.read().unwrap() {
                Message::Text(text) => {
                    let json: Value = serde_json::from_str(text.as_str()).unwrap();
                    return (json["event"].as_str().unwrap().to_owned(), json["data"].clone());
                }
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    pub fn expect(&mut self, event: &str) -> Value {
        let (heard, data) = self.hear();
        assert_eq!(heard, event, "{data}");
        data
    }

    /// The code and the reason with which it ends.
    fn ending(&mut self) -> (u16, String) {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            assert!(Instant::now() < until, "it does not end");
            match self.socket.read() {
                Ok(Message::Close(Some(frame))) => {
                    return (frame.code.into(), frame.reason.as_str().to_owned());
                }
                Ok(_) => {}
                Err(error) => panic!("ended without a code: {error}"),
            }
        }
    }
}

fn value(value: f64) -> String {
    json!({ "value": value }).to_string()
}

#[test]
fn a_reading_is_pushed_with_its_position() {
    let stage = Stage::start();
    let mut browser = Browser::connect(&stage);
    let status = browser.expect("status");
    assert_eq!(status["message"], "connected");
    assert_eq!(status["position"], "0:0-0.4294967295,1:0-0.4294967295");
    let payload = r#"{"value":21.5,"unit":"°C","timestamp":"2024-01-01T12:00:00Z","location":"A"}"#;
    stage.append(
        1,
        1,
        &[("sensors/other/t", "nonsense"), ("sensors/kitchen/temperature", payload)],
    );
    let update = browser.expect("sensor_update");
    let position = update["position"].as_str().unwrap();
    assert!(position.starts_with("1:") && position.ends_with(".1"), "{position}");
    let expected = json!({
        "sensor_id": "kitchen", "sensor_type": "temperature", "value": 21.5, "unit": "°C",
        "timestamp": "2024-01-01T12:00:00.000Z", "location": "A", "metadata": {},
        "position": position,
    });
    assert_eq!(update, expected);
}

#[test]
fn many_readings_of_a_series_are_conflated_and_the_last_is_shown() {
    let stage = Stage::start();
    let mut browser = Browser::connect(&stage);
    browser.expect("status");
    for number in 1..=200 {
        let last = value(number as f64);
        stage.append(0, number, &[("sensors/a/t", &last)]);
    }
    let mut shown = Vec::new();
    while shown.last() != Some(&200.0) {
        shown.push(browser.expect("sensor_update")["value"].as_f64().unwrap());
    }
    assert!(shown.is_sorted() && shown.len() < 150, "{shown:?}");
}

#[test]
fn what_is_not_committed_yet_is_pushed_to_who_subscribes_later() {
    let stage = Stage::start();
    // Somebody listens already, so that the common tail has passed the entry.
    let mut first = Browser::connect(&stage);
    let from = first.expect("status")["position"].clone();
    stage.append(0, 1, &[("sensors/a/t", &value(1.0))]);
    let passed = first.expect("sensor_update")["position"].clone();
    let mut second = Browser::connect(&stage);
    let connected = second.expect("status")["position"].clone();
    assert_ne!(connected, from, "who does not say what it wants is told what comes from here on");
    second.say("subscribe", json!({"sensors": ["a"], "every": true}));
    let status = second.expect("status");
    assert_eq!((&status["message"], &status["position"]), (&json!("subscribed"), &from));
    assert_eq!(second.expect("sensor_update")["position"], passed);
    // Who asks again may have forgotten what it was told, as after a `gap`.
    second.say("subscribe", json!({"sensors": ["a", "b"]}));
    assert_eq!(second.expect("status")["position"], from);
    assert_eq!(second.expect("sensor_update")["position"], passed);
    stage.append(0, 2, &[("sensors/a/t", &value(2.0))]);
    assert_eq!(second.expect("sensor_update")["value"], 2.0);
}

#[test]
fn subscriptions_choose_and_strangers_are_told_so() {
    let stage = Stage::start();
    let mut browser = Browser::connect(&stage);
    browser.expect("status");
    browser.say("subscribe", json!({"sensors": ["room/*", "b"]}));
    assert_eq!(browser.expect("status")["message"], "subscribed");
    let readings = value(2.0);
    stage.append(0, 1, &[("s/a/t", &readings), ("s/b/t", &readings)]);
    assert_eq!(browser.expect("sensor_update")["sensor_id"], "b");
    browser.say("unsubscribe", json!({"sensors": ["b"]}));
    assert_eq!(browser.expect("status")["message"], "unsubscribed");
    browser.say("dance", json!({}));
    let error = browser.expect("error");
    assert!(error["message"].as_str().unwrap().contains("unknown event \"dance\""), "{error}");
    for (wish, said) in [
        (json!({"sensors": ["a"], "max_hz": 100}), "`max_hz` is 100; allowed: 0.1 to 60"),
        (json!({"sensors": ["a"], "max_hz": "5"}), "`max_hz` is \"5\"; allowed: a number"),
        (json!({"sensors": ["a"], "maxhz": 5}), "unknown field `maxhz`; allowed: sensors, max_hz"),
        (json!({"sensors": "a"}), "`sensors` is \"a\"; allowed: a list of texts"),
        (json!([["a"], 5, true, false, false]), "`data` is [[\"a\"],5,true,false,false]; allowed"),
        (json!({"sensors": ["a*b"]}), "a * before its end"),
        (json!({"sensors": vec!["a"; 101]}), "101 entries; allowed: 100"),
        (json!({"sensors": ["x".repeat(130)]}), "130 bytes; allowed: 1 to 129"),
    ] {
        browser.say("subscribe", wish);
        let error = browser.expect("error");
        assert!(error["message"].as_str().unwrap().contains(said), "{error}");
    }
    browser.say("subscribe", json!({"sensors": ["a"]}));
    assert_eq!(browser.expect("status")["message"], "subscribed");
}

#[test]
fn every_reading_comes_to_who_wants_it_also_of_a_topic_that_was_conflated() {
    let stage = Stage::start();
    let mut conflated = Browser::connect(&stage);
    conflated.expect("status");
    let zero = value(0.0);
    for number in 1..=3 {
        stage.append(0, number, &[("s/a/t", zero.as_str()); 50]);
    }
    let mut browser = Browser::connect(&stage);
    browser.expect("status");
    browser.say("subscribe", json!({"sensors": ["a"], "every": true}));
    while browser.hear().0 != "status" {}
    let values: Vec<String> = (1..=100).map(|n| value(f64::from(n))).collect();
    let messages: Vec<(&str, &str)> = values.iter().map(|it| ("s/a/t", it.as_str())).collect();
    stage.append(0, 4, &messages);
    let mut shown = Vec::new();
    while shown.last() != Some(&100.0) {
        shown.push(browser.expect("sensor_update")["value"].as_f64().unwrap());
    }
    // Before it stands what is not committed yet.
    let from = shown.iter().position(|it| *it > 0.0).unwrap();
    assert_eq!(shown[from..], (1..=100).map(f64::from).collect::<Vec<_>>());
}

#[test]
fn a_batch_comes_in_one_frame_and_says_how_many_it_replaced() {
    let stage = Stage::start();
    let mut browser = Browser::connect(&stage);
    browser.expect("status");
    browser.say("subscribe", json!({"sensors": ["a", "b"], "batch": true, "max_hz": 2}));
    assert_eq!(browser.expect("status")["message"], "subscribed");
    let (one, two) = (value(1.0), value(2.0));
    stage.append(0, 1, &[("s/a/t", &one), ("s/b/t", &one), ("s/a/t", &two), ("s/c/t", &two)]);
    let updates = browser.expect("sensor_updates");
    let shown = updates["readings"].as_array().unwrap().iter();
    let shown: Vec<_> = shown.map(|it| (it["sensor_id"].clone(), it["value"].clone())).collect();
    assert_eq!(shown, [(json!("a"), json!(2.0)), (json!("b"), json!(1.0))]);
    assert_eq!(updates["conflated"], 1);
    assert_eq!(updates["readings"][0]["position"].as_str().unwrap().rsplit('.').next(), Some("2"));
}

#[test]
fn statistics_and_history_are_answered() {
    let stage = Stage::start();
    stage.put_series(0, 1, ("a", "t"), &[(1.0, 1000)]);
    stage.get_until("/api/sensors/a", |reply| reply.status == 200);
    let mut browser = Browser::connect(&stage);
    browser.expect("status");
    browser.say("request_all_stats", json!({}));
    let stats = browser.expect("sensor_stats");
    assert_eq!(stats["sensors"], stage.get("/api/sensors").json()["sensors"]);
    browser.say("request_sensor_data", json!({"sensor_id": "a", "hours": 1}));
    let history = browser.expect("sensor_history");
    assert_eq!((&history["sensor_id"], &history["readings"]), (&json!("a"), &json!([])));
    assert!(history["position"]["t"].is_string());
    browser.say("request_sensor_data", json!({"sensor_id": "nobody"}));
    let error = browser.expect("error");
    assert!(error["message"].as_str().unwrap().contains("\"nobody\" is not known"), "{error}");
}

#[test]
fn gaps_are_told_and_resent_entries_are_not_shown() {
    let stage = Stage::start();
    let mut browser = Browser::connect(&stage);
    browser.expect("status");
    stage.append(1, 1, &[("s/a/t", &value(1.0))]);
    assert_eq!(browser.expect("sensor_update")["value"], 1.0);
    stage.append(1, 1, &[("s/b/t", &value(2.0))]);
    stage.append(1, 3, &[("s/c/t", &value(3.0))]);
    assert_eq!(browser.expect("gap")["shard"], 1);
    assert_eq!(browser.expect("sensor_update")["value"], 3.0);
}

/// A data set of this name begins, or goes on under it.
fn begin_data_set(stage: &Stage, generation: &str) {
    stage.redis(redis::cmd("HSET").arg("{sg:0}m").arg("generation").arg(generation));
    stage.redis(redis::cmd("HINCRBY").arg("{sg:0}m").arg("version").arg(1));
}

#[test]
fn who_was_away_when_the_data_set_was_replaced_is_told_the_name_of_the_new_one() {
    let stage = Stage::start();
    begin_data_set(&stage, "one");
    stage.put_series(0, 1, ("a", "t"), &[(1.0, 1000)]);
    stage.get_until("/api/sensors/a", |reply| reply.status == 200);
    for _ in 0..2 {
        assert_eq!(Browser::connect(&stage).expect("status")["generation"], "one");
    }
    stage.redis(redis::cmd("FLUSHALL").arg("SYNC"));
    begin_data_set(&stage, "two");
    stage.get_until("/api/sensors/a", |reply| reply.status == 404);
    let mut browser = Browser::connect(&stage);
    assert_eq!(browser.expect("status")["generation"], "two");
    browser.say("subscribe", json!({"sensors": ["a"]}));
    // A reset that was just being told may stand before the answer.
    let mut heard = browser.hear();
    while heard.0 != "status" {
        heard = browser.hear();
    }
    assert_eq!(heard.1["message"], "subscribed");
    assert_eq!(heard.1["generation"], "two");
}

#[test]
fn another_data_set_is_told_as_a_reset() {
    let stage = Stage::start();
    let generation = |name| begin_data_set(&stage, name);
    generation("one");
    stage.put_series(0, 1, ("a", "t"), &[(1.0, 1000)]);
    stage.get_until("/api/sensors/a", |reply| reply.status == 200);
    let mut browser = Browser::connect(&stage);
    browser.expect("status");
    stage.redis(redis::cmd("FLUSHALL").arg("SYNC"));
    generation("two");
    browser.expect("reset");
    stage.get_until("/api/sensors/a", |reply| reply.status == 404);
    stage.append(0, 1, &[("s/a/t", &value(1.0))]);
    assert_eq!(browser.expect("sensor_update")["value"], 1.0);
}

#[test]
fn every_ending_has_its_code() {
    let mut stage = Stage::start();
    let check = |stage: &Stage, say: &dyn Fn(&mut Browser), code, reason: &str| {
        let mut browser = Browser::connect(stage);
        browser.expect("status");
        say(&mut browser);
        assert_eq!(browser.ending(), (code, reason.to_owned()));
    };
    check(&stage, &|it| it.socket.send(Message::binary(vec![1])).unwrap(), 1003, "not_text");
    let large = "x".repeat(17 << 10);
    check(
        &stage,
        &|it| it.socket.send(Message::text(large.clone())).unwrap(),
        1009,
        "event_too_large",
    );
    let flood = |it: &mut Browser| {
        for _ in 0..30 {
            // The server may have ended it already.
            match it.socket.send(Message::text("{}")) {
                Ok(()) => {}
                Err(Error::Io(_) | Error::ConnectionClosed | Error::AlreadyClosed) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    check(&stage, &flood, 1008, "too_many_events");
    let mut browser = Browser::connect(&stage);
    browser.expect("status");
    stage.stop();
    assert_eq!(browser.ending(), (1001, "stopping".to_owned()));
}
