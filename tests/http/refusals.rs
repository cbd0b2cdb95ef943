//! History that cannot be answered as it was asked for: what is said, and with which status.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;
use streamgauge::clock::Clock;

use crate::feed::Measured;
use crate::kept::{Kept, rows};
use crate::stage::TOKEN;

const HOUR: i64 = 3_600_000;

/// Readings a second apart, some hours ago.
fn seconds(count: i64) -> Vec<Measured> {
    let from = Clock::system().now().0 - 5 * HOUR;
    (0..count).map(|n| (from + n * 1000, n as f64)).collect()
}

/// A block of random bytes was left out, and the percentiles of the rest were called exact.
#[test]
fn percentiles_over_a_damaged_block_are_refused() {
    let mut kept = Kept::new();
    let readings = seconds(3 * 3600);
    kept.put(0, ("a", "t"), &readings);
    kept.settle("a", readings.len() as u64);
    let asked = "/api/sensors/a/readings?percentiles=50";
    kept.json(asked);
    let state: Vec<u8> = kept.stage.ask_redis(redis::cmd("HGET").arg("{sg:0}st").arg("a\0t"));
    let number = streamgauge::aggregate::state::State::newest(&state).unwrap().number;
    let span = format!("{{sg:0}}h:h{}", (readings[0].0 / HOUR) + 1);
    let there: bool = kept.stage.ask_redis(redis::cmd("HEXISTS").arg(&span).arg(number));
    assert!(there, "{span} {number}");
    kept.stage.redis(redis::cmd("HSET").arg(&span).arg(number).arg("junk"));
    let reply = kept.stage.get(asked);
    assert_eq!(reply.status, 500, "{}", reply.text());
    assert!(reply.text().contains("cannot be read"), "{}", reply.text());
    assert!(kept.json("/api/stats")["history"].to_string().contains(&span));
    // Without percentiles the rest is shown, and outside of it they are exact.
    assert!(rows(&kept.json("/api/sensors/a/readings")).len() > 3600);
    let before = format!("{asked}&hours=24&to={}", readings[0].0 + 1000);
    assert_eq!(kept.json(&before)["percentiles"]["t"]["50"], 0.0);
}

/// Each file that nobody takes held some MB, and there was no limit to how many.
#[test]
fn more_files_than_may_be_sent_at_a_time_are_refused() {
    let mut kept = Kept::new();
    let many: Vec<Measured> = seconds(60_000).iter().map(|(at, v)| (at - 15 * HOUR, *v)).collect();
    // More than what sockets hold.
    kept.put_with(0, ("a", "t"), &many, &json!({"location": "x".repeat(250)}));
    kept.settle("a", 60_000);
    let path = "/api/sensors/a/readings?format=ndjson";
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
    let begin = |_| {
        let mut stream = kept.stage.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = [0; 15];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 OK");
        stream
    };
    let mut held: Vec<TcpStream> = (0..16).map(begin).collect();
    let refused = kept.stage.get(path);
    assert_eq!((refused.status, &refused.headers["retry-after"][..]), (503, "1"));
    assert!(refused.text().contains("as many files are being sent"), "{}", refused.text());
    // Pages and pictures hold nothing while they are sent.
    assert_eq!(kept.stage.get("/api/sensors/a/readings?limit=10").status, 200);
    assert_eq!(kept.stage.get(&format!("{path}&points=10")).status, 200);
    held.pop();
    let whole = kept.stage.get_until(path, |reply| reply.status == 200);
    assert!(whole.is_whole);
}

#[test]
fn a_sensor_without_the_type_is_told_from_a_sensor_that_is_not_known() {
    let mut kept = Kept::new();
    kept.put(0, ("week", "temperature"), &seconds(1));
    kept.put(1, ("week", "humidity"), &seconds(1));
    kept.settle("week", 2);
    let has = r#"sensor "week" has no type "nope"; it has humidity, temperature"#;
    for more in ["", "&points=9", "&percentiles=50", "&format=csv", "&resolution=auto"] {
        let reply = kept.stage.get(&format!("/api/sensors/week/readings?type=nope{more}"));
        assert_eq!((reply.status, reply.json()["error"].as_str()), (404, Some(has)), "{more}");
    }
    let reply = kept.stage.get("/api/sensors/month/readings?type=nope");
    assert_eq!(reply.json()["error"], r#"sensor "month" is not known"#);
}

#[test]
fn a_cursor_that_was_tampered_with_is_refused_and_one_of_this_query_is_not() {
    let mut kept = Kept::new();
    kept.put(0, ("a", "t"), &seconds(20));
    kept.settle("a", 20);
    let path = "/api/sensors/a/readings?limit=10";
    let first = kept.json(path);
    let next = first["next"].as_str().unwrap();
    let page = kept.stage.get(&format!("{path}&resolution=raw&hours=24&cursor={next}"));
    assert_eq!((page.status, rows(&page.json()).len()), (200, 10), "{}", page.text());
    assert_eq!(page.headers["vary"], "Accept, Accept-Encoding");
    let csv = kept.stage.get("/api/sensors/a/readings?format=csv");
    assert_eq!(csv.headers["vary"], "Accept, Accept-Encoding");
    let bytes: Vec<u8> = (0..next.len()).step_by(2).map(|at| byte(&next[at..at + 2])).collect();
    let parts: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let (from, to) = (&parts[2], &parts[3]);
    let least = i64::MIN.into();
    let greatest = i64::MAX.into();
    for (place, value) in [(2, to), (3, from), (3, &least), (4, &greatest)] {
        let mut parts = parts.clone();
        parts[place] = value.clone();
        let json = parts.to_string();
        let cursor: String = json.bytes().map(|byte| format!("{byte:02x}")).collect();
        let reply = kept.stage.get(&format!("{path}&cursor={cursor}"));
        assert_eq!(reply.status, 400, "{json}: {}", reply.text());
        assert!(reply.text().contains("parameter `cursor` is"), "{}", reply.text());
    }
}

fn byte(hex: &str) -> u8 {
    u8::from_str_radix(hex, 16).unwrap()
}

/// What the document says of a parameter was written in prose only.
#[test]
fn parameters_are_bounded_as_the_document_says() {
    let stage = crate::stage::Stage::start();
    let document = stage.get("/api/openapi.json").json();
    let status = |path: &str, name: &str, value: &str| {
        let path = path.replace("{id}", "a");
        stage.get(&format!("{path}?{name}={value}")).status
    };
    let mut bounds = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for parameter in methods["get"]["parameters"].as_array().into_iter().flatten() {
            let (name, schema) = (parameter["name"].as_str().unwrap(), &parameter["schema"]);
            if let Some((from, to)) = schema["minimum"].as_i64().zip(schema["maximum"].as_i64()) {
                bounds += 1;
                for (value, is_taken) in
                    [(from - 1, false), (from, true), (to, true), (to + 1, false)]
                {
                    let is_refused = status(path, name, &value.to_string()) == 400;
                    assert_eq!(is_refused, !is_taken, "{path} {name} {value}");
                }
            }
            for word in schema["enum"].as_array().into_iter().flatten() {
                bounds += 1;
                let word = word.as_str().unwrap();
                assert_ne!(status(path, name, word), 400, "{path} {name} {word}");
                assert_eq!(status(path, name, &format!("{word}x")), 400, "{path} {name} {word}");
            }
        }
    }
    // Six numbers, and the words of four lists.
    assert_eq!(bounds, 6 + (4 + 3 + 3 + 2));
}
