//! A whole run against a Streamgauge that is only pretended, and that may lie: the check must see
//! it. The real one is measured by the end-to-end tests of Streamgauge.

#![expect(clippy::unwrap_used, reason = "a test ends at its first surprise")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use clap::Parser;
use loadtest::options::{Options, Scenario};
use loadtest::report::Run;
use loadtest::scenario;
use loadtest::sink::{Sink, Verdict};
use serde_json::{Value, json};

/// Rows of a page, so few that a run needs several.
const PAGE_ROWS: usize = 4;

/// The readings of every sensor, in the order of receipt.
type Readings = BTreeMap<String, Vec<f64>>;

/// How an answer is falsified: the path, and the answer that would be true.
type Lie = fn(&str, &mut Value);

/// Serves MQTT and HTTP for one run of 3,000 messages from 10 sensors.
fn run(arguments: &str, lie: Lie) -> anyhow::Result<Run> {
    let sink = Sink::listen(([127, 0, 0, 1], 0).into()).unwrap();
    let http = TcpListener::bind("127.0.0.1:0").unwrap();
    let (to, http_address) = (sink.address().unwrap(), http.local_addr().unwrap());
    let words = format!(
        "loadtest listener --to {to} --http http://{http_address} --token secret --messages 3000 \
         --sensors 10 --connections 3 --patience 0.3 {arguments}"
    );
    let options = Options::try_parse_from(words.split_whitespace())?;
    let Scenario::Listener(options) = options.scenario else { panic!("{words}") };

    let readings = Mutex::new(Readings::new());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            sink.serve(&stop, |message| {
                let payload: Value = serde_json::from_slice(message.payload).unwrap();
                let id = payload["sensor_id"].as_str().unwrap().to_owned();
                let value = payload["value"].as_f64().unwrap();
                readings.lock().unwrap().entry(id).or_default().push(value);
                Verdict::Acknowledge
            })
        });
        scope.spawn(|| {
            for stream in http.incoming() {
                if stop.load(Relaxed) {
                    return;
                }
                answer(stream.unwrap(), &readings, lie);
            }
        });
        let run = scenario::listener(&options, 1);
        stop.store(true, Relaxed);
        // Wakes the HTTP thread, which then sees that it is over.
        TcpStream::connect(http_address).unwrap();
        run
    })
}

fn answer(stream: TcpStream, readings: &Mutex<Readings>, lie: Lie) {
    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    let has_token = lines
        .take_while(|line| !line.is_empty())
        .any(|line| line.eq_ignore_ascii_case("authorization: Bearer secret"));
    let path = request.split(' ').nth(1).unwrap();
    let (status, mut body) = match path.split_once('?').map_or(path, |(path, _)| path) {
        _ if !has_token => ("401 Unauthorized", json!({"error": "no token"})),
        "/api/sensors" => ("200 OK", sensors(path, &readings.lock().unwrap())),
        "/api/stats" => ("200 OK", stats(&readings.lock().unwrap())),
        _ => ("404 Not Found", json!({"error": "Resource not found"})),
    };
    lie(path, &mut body);
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    (&stream).write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes()).unwrap();
}

fn sensors(path: &str, readings: &Readings) -> Value {
    let after = path.split_once("cursor=").map_or("", |(_, cursor)| cursor);
    let mut rows: Vec<Value> = Vec::new();
    for (id, values) in readings.iter().filter(|(id, _)| id.as_str() > after).take(PAGE_ROWS) {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let m2: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        rows.push(json!({
            "sensor_id": id, "sensor_type": "temperature", "unit": "°C", "count": values.len(),
            "min_value": values.iter().copied().fold(f64::MAX, f64::min),
            "max_value": values.iter().copied().fold(f64::MIN, f64::max),
            "avg_value": mean, "stddev": (m2 / (count - 1.0)).sqrt(),
            "last_value": values.last()
        }));
    }
    let next = if rows.len() == PAGE_ROWS {
        rows[PAGE_ROWS - 1]["sensor_id"].clone()
    } else {
        Value::Null
    };
    json!({"sensors": rows, "next": next, "as_of": "2026-11-23T18:00:00Z"})
}

fn stats(readings: &Readings) -> Value {
    let messages: usize = readings.values().map(Vec::len).sum();
    json!({
        "totals": {"decoded": messages, "dead_lettered": 0, "duplicates": 0, "overflow": 0,
                   "retained": 0, "control": 0, "readings": messages},
        "lag": 0, "pending": 0
    })
}

#[test]
fn an_honest_server_passes_every_check() {
    let run = run("", |_, _| {}).unwrap();
    assert_eq!(run.failures, Vec::<String>::new());
    assert_eq!((run.messages, run.acked, run.unknown), (3_000, 3_000, 0));
    let findings = run.findings.unwrap();
    assert_eq!((findings.right, findings.wrong, findings.counted), (10, 0, 3_000));
    assert!(run.aggregated_per_second.unwrap() <= run.acknowledged_per_second);
    assert_eq!(run.processes.len(), 1, "only the generator is known");
}

#[test]
fn processor_time_of_a_given_process_is_reported() {
    let run = run(&format!("--pid {}", std::process::id()), |_, _| {}).unwrap();
    let names: Vec<&str> = run.processes.iter().map(|spent| spent.name.as_str()).collect();
    assert_eq!(names, ["streamgauge", "generator"]);
    assert!(run.processes[0].resident_bytes > 0);
}

#[test]
fn every_lie_is_seen() {
    let lies: [(Lie, &str); 5] = [
        (
            |_, body| falsify(body, "sensors", |rows| rows[1]["count"] = json!(299)),
            "series are wrong",
        ),
        (
            |_, body| falsify(body, "sensors", |rows| rows[0]["last_value"] = json!(0.05)),
            "series are wrong",
        ),
        (
            |_, body| {
                falsify(body, "totals", |totals| {
                    let decoded = totals["decoded"].as_u64().unwrap();
                    if decoded > 0 {
                        (totals["decoded"], totals["dead_lettered"]) =
                            (json!(decoded - 1), json!(1));
                    }
                })
            },
            "1 dead letters",
        ),
        (|_, body| falsify(body, "pending", |pending| *pending = json!([0, 3])), "not caught up"),
        (
            |_, body| {
                falsify(body, "totals", |totals| {
                    totals["decoded"] = json!(totals["decoded"].as_u64().unwrap() * 2);
                })
            },
            "6000 messages settled, expected 3000",
        ),
    ];
    for (lie, complaint) in lies {
        let failures = run("", lie).unwrap().failures;
        assert!(failures.iter().any(|failure| failure.contains(complaint)), "{failures:?}");
    }
}

fn falsify(body: &mut Value, key: &str, change: impl FnOnce(&mut Value)) {
    let is_empty = |value: &Value| value.as_array().is_some_and(|rows| rows.len() < 2);
    if let Some(value) = body.get_mut(key).filter(|value| !is_empty(value)) {
        change(value);
    }
}

#[test]
fn a_number_that_is_not_told_proves_nothing() {
    let error = run("", |_, body| {
        if let Some(fields) = body.as_object_mut() {
            fields.remove("lag");
        }
    });
    let error = format!("{:#}", error.unwrap_err());
    assert!(error.contains("lag"), "{error}");
}

#[test]
fn sensors_of_an_earlier_run_are_refused() {
    let error = run("", |path, body| {
        if path == "/api/sensors" {
            body["sensors"] = json!([{"sensor_id": "s00003", "sensor_type": "temperature",
                                      "count": 1}]);
        }
    });
    let error = format!("{:#}", error.unwrap_err());
    assert!(error.contains("s00003") && error.contains("--prefix"), "{error}");
}
