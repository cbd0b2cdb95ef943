//! Deleting a sensor: what goes, what stays, and what comes back.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

use crate::support::device::Device;
use crate::support::http;
use crate::support::stage::Stage;
use crate::support::streamgauge::Streamgauge;
use crate::support::{seconds, within};

/// A page that is open.
struct Browser(WebSocket<TcpStream>);

impl Browser {
    fn connect(streamgauge: &Streamgauge) -> Self {
        let stream = TcpStream::connect(streamgauge.stage.http.address()).unwrap();
        let (socket, _) = client(streamgauge.url("/ws").replace("http", "ws"), stream).unwrap();
        Self(socket)
    }

    /// The next event and its data.
    fn hear(&mut self) -> (String, Value) {
        loop {
            if let Message::Text(text) = self.0.read().unwrap() {
                let json: Value = serde_json::from_str(text.as_str()).unwrap();
                return (json["event"].as_str().unwrap().to_owned(), json["data"].clone());
            }
        }
    }
}

fn delete(streamgauge: &Streamgauge, id: &str) {
    let answer = http::delete(&streamgauge.url(&format!("/api/sensors/{id}"))).unwrap();
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(answer.json(), json!({"sensor_id": id, "deleted": true}));
}

fn wait_gone(streamgauge: &Streamgauge, id: &str) {
    within(seconds(10), "the sensor is gone", || {
        let answer = streamgauge.try_get(&format!("/api/sensors/{id}"))?;
        (answer.status == 404).then_some(())
    });
    for path in
        [format!("/api/sensors/{id}/readings"), format!("/api/sensors/{id}/readings?type=t")]
    {
        assert_eq!(streamgauge.try_get(&path).unwrap().status, 404, "{path}");
    }
}

/// The totals, once nothing is on its way: every message that was received became something.
fn totals(streamgauge: &Streamgauge) -> Value {
    within(seconds(10), "totals without lag", || {
        let totals = streamgauge.json("/api/stats")["totals"].clone();
        let number = |name: &str| totals[name].as_u64().unwrap_or_else(|| panic!("{name}"));
        let outcomes = ["decoded", "retained", "overflow", "control", "dead_lettered", "lag"];
        let folded: u64 = outcomes.into_iter().map(number).sum();
        (number("lag") == 0 && number("received") == folded).then_some(totals)
    })
}

#[test]
fn deleting_a_sensor_takes_all_of_it_along_and_leaves_the_totals() {
    let mut streamgauge = Stage::new().start();
    let mut device = Device::connect(streamgauge.mqtt(), "kitchen");
    for value in 1..=3 {
        device.publish("sensors/kitchen/temperature", format!(r#"{{"value":{value}}}"#));
    }
    // The same sensor through another shard.
    let named = json!({"sensor_id": "kitchen", "type": "humidity", "value": 50});
    device.publish("sensors/gateway/x", named.to_string());
    device.publish("sensors/cellar/temperature", r#"{"value":9}"#);
    streamgauge.wait_count("kitchen", "temperature", 3);
    streamgauge.wait_count("kitchen", "humidity", 1);
    streamgauge.wait_count("cellar", "temperature", 1);
    let mut browser = Browser::connect(&streamgauge);
    assert_eq!(browser.hear().0, "status");

    delete(&streamgauge, "kitchen");
    assert_eq!(browser.hear(), ("sensor_removed".to_owned(), json!({"sensor_id": "kitchen"})));
    wait_gone(&streamgauge, "kitchen");
    let all = streamgauge.json("/api/sensors");
    let [row] = &all["sensors"].as_array().unwrap()[..] else { panic!("{all}") };
    assert_eq!((&row["sensor_id"], &row["count"]), (&json!("cellar"), &json!(1)));
    let after = totals(&streamgauge);
    assert_eq!((&after["readings"], &after["control"]), (&json!(5), &json!(8)), "{after}");
    assert_eq!((&after["lost"], &after["dead_lettered"]), (&json!(0), &json!(0)));

    device.publish("sensors/kitchen/temperature", r#"{"value":7,"unit":"K"}"#);
    let (event, reading) = browser.hear();
    assert_eq!((event.as_str(), &reading["value"]), ("sensor_update", &json!(7.0)));
    let row = streamgauge.wait_count("kitchen", "temperature", 1);
    assert_eq!((&row["min_value"], &row["max_value"]), (&json!(7.0), &json!(7.0)));
    assert_eq!((&row["unit"], &row["stddev"]), (&json!("K"), &json!(null)));
    assert!(streamgauge.row("kitchen", "humidity").is_none());
    let history = streamgauge.json("/api/sensors/kitchen/readings");
    let values: Vec<_> =
        history["readings"].as_array().unwrap().iter().map(|it| &it["value"]).collect();
    assert_eq!(values, [7.0]);
    assert_eq!(http::delete(&streamgauge.url("/api/sensors/nobody")).unwrap().status, 404);

    // What was answered with 202 survives a kill, and is not applied twice.
    delete(&streamgauge, "cellar");
    streamgauge.kill();
    streamgauge.respawn();
    streamgauge.wait_ready(seconds(30));
    wait_gone(&streamgauge, "cellar");
    streamgauge.wait_count("kitchen", "temperature", 1);
    let after = totals(&streamgauge);
    assert_eq!((&after["readings"], &after["control"]), (&json!(6), &json!(16)), "{after}");
}

#[test]
fn a_sensor_that_sends_on_has_exactly_what_it_sent_since_its_deletion() {
    let streamgauge = Stage::new().start();
    let mut device = Device::connect(streamgauge.mqtt(), "river");
    // The last value that was sent, and whether that is enough.
    let (sent, enough) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let sending = thread::spawn({
        let (sent, enough) = (sent.clone(), enough.clone());
        move || {
            for value in 1.. {
                device.publish("sensors/river/level", format!(r#"{{"value":{value}}}"#));
                sent.store(value, Ordering::Relaxed);
                if enough.load(Ordering::Relaxed) {
                    break;
                }
            }
        }
    });
    within(seconds(20), "some readings", || {
        let count = streamgauge.row("river", "level")?["count"].as_u64()?;
        (count > 1).then_some(())
    });
    delete(&streamgauge, "river");
    let before = sent.load(Ordering::Relaxed);
    within(seconds(20), "more readings", || {
        (sent.load(Ordering::Relaxed) > before + 100).then_some(())
    });
    enough.store(true, Ordering::Relaxed);
    sending.join().unwrap();
    let last = sent.load(Ordering::Relaxed);
    assert_eq!(totals(&streamgauge)["readings"], last);
    let row = within(seconds(10), "the last reading", || {
        streamgauge.row("river", "level").filter(|row| row["last_value"] == last as f64)
    });
    let first = row["min_value"].as_f64().unwrap() as u64;
    assert!(first > 2, "it was deleted: {row}");
    assert_eq!(row["count"], last - first + 1, "{row}");
    let history = streamgauge.json("/api/sensors/river/readings");
    let readings = history["readings"].as_array().unwrap();
    let values: Vec<f64> = readings.iter().map(|it| it["value"].as_f64().unwrap()).collect();
    let expected: Vec<f64> = (first..=last).map(|value| value as f64).collect();
    assert_eq!(values, expected);
}
