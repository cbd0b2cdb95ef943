//! What a new user does first: publish one reading and look for it.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::device::{Device, mosquitto_pub};
use crate::support::stage::Stage;
use crate::support::{seconds, within};

/// The topic of the README.
const KITCHEN: &str = "sensors/kitchen/temperature";

#[test]
fn a_published_reading_is_a_row_and_in_its_history_within_two_seconds() {
    let streamgauge = Stage::new().start();
    let port = streamgauge.mqtt().port();
    let payload = r#"{"value":21.5,"unit":"°C"}"#;
    let sent = mosquitto_pub(port, &["-t", KITCHEN, "-m", payload]);
    let since = Instant::now();
    assert!(sent.status.success(), "{sent:?}");

    let left = || Duration::from_secs(2).saturating_sub(since.elapsed());
    let row = within(left(), "a row", || streamgauge.row("kitchen", "temperature"));
    let readings = within(left(), "a reading", || {
        let answer = streamgauge.try_get("/api/sensors/kitchen/readings")?.json();
        answer["readings"].as_array().filter(|it| !it.is_empty()).cloned()
    });
    assert_eq!(
        (&row["last_value"], &row["unit"], &row["count"]),
        (&json!(21.5), &json!("°C"), &json!(1))
    );
    assert_eq!((&row["stddev"], &row["status"]), (&json!(null), &json!("online")));
    assert_eq!(readings.len(), 1);
    assert_eq!(readings[0]["value"], 21.5);
    let all = streamgauge.json("/api/sensors");
    assert_eq!(all["sensors"].as_array().unwrap().len(), 1);
    assert_eq!(all["next"], json!(null));
    assert!(all["as_of"].as_str().unwrap().ends_with('Z'), "{all}");
}

/// The predecessor stored this very message, from its own documentation, and its history then
/// returned nothing, for it compared times with and without a zone.
#[test]
fn the_documented_message_is_stored_and_returned_as_it_was_sent() {
    let streamgauge = Stage::new().start();
    let message = json!({
        "sensor_id": "temp_01", "type": "temperature", "value": 23.5, "unit": "°C",
        "timestamp": "2024-01-01T12:00:00Z", "location": "Room A",
        "metadata": {"calibrated": true}
    });
    let mut device = Device::connect(streamgauge.mqtt(), "documented");
    device.publish("sensors/temp_01/temperature", message.to_string());

    let row = streamgauge.wait_count("temp_01", "temperature", 1);
    let expected = json!({
        "sensor_id": "temp_01", "sensor_type": "temperature", "unit": "°C",
        "location": "Room A", "metadata": {"calibrated": true}, "min_value": 23.5,
        "max_value": 23.5, "avg_value": 23.5, "stddev": null, "count": 1, "last_value": 23.5,
        "last_reading": row["last_reading"], "status": "online"
    });
    assert_eq!(row, expected);
    assert_eq!(instant(&row["last_reading"]), instant(&json!("2024-01-01T12:00:00Z")));

    let answer = streamgauge.json("/api/sensors/temp_01/readings?hours=200000");
    let readings = answer["readings"].as_array().unwrap();
    assert_eq!(readings.len(), 1, "{answer}");
    let mut reading = readings[0].clone();
    assert_eq!(instant(&reading["timestamp"]), instant(&json!("2024-01-01T12:00:00Z")));
    reading["timestamp"] = json!("then");
    let expected = json!({
        "sensor_id": "temp_01", "sensor_type": "temperature", "value": 23.5, "unit": "°C",
        "timestamp": "then", "location": "Room A", "metadata": {"calibrated": true}
    });
    assert_eq!(reading, expected);
    assert_eq!(answer["next"], json!(null));
    let lately = streamgauge.json("/api/sensors/temp_01/readings?hours=24");
    assert_eq!(lately["readings"], json!([]));
}

#[test]
fn statistics_and_history_outlive_an_orderly_restart() {
    let mut streamgauge = Stage::new().start();
    let mut device = Device::connect(streamgauge.mqtt(), "before");
    for value in [3, 1, 2] {
        device.publish(KITCHEN, format!(r#"{{"value":{value}}}"#));
    }
    streamgauge.wait_count("kitchen", "temperature", 3);
    assert!(streamgauge.stop().success());
    streamgauge.respawn();
    streamgauge.wait_ready(seconds(10));
    Device::connect(streamgauge.mqtt(), "after").publish(KITCHEN, r#"{"value":6}"#);
    let row = streamgauge.wait_count("kitchen", "temperature", 4);
    assert_eq!((&row["min_value"], &row["max_value"]), (&json!(1.0), &json!(6.0)));
    assert_eq!((&row["avg_value"], &row["last_value"]), (&json!(3.0), &json!(6.0)));
    let answer = streamgauge.json("/api/sensors/kitchen/readings");
    let values = answer["readings"].as_array().unwrap().iter().map(|it| it["value"].as_f64());
    assert_eq!(values.collect::<Option<Vec<_>>>().unwrap(), [3.0, 1.0, 2.0, 6.0]);
}

#[test]
fn simulated_sensors_appear_and_go_on() {
    let streamgauge = Stage::new().argument("--simulate").argument("12").start();
    let all = || streamgauge.json("/api/sensors")["sensors"].as_array().unwrap().clone();
    let total = |rows: &[serde_json::Value]| -> u64 {
        rows.iter().map(|row| row["count"].as_u64().unwrap()).sum()
    };
    let rows = within(seconds(15), "twelve simulated series", || {
        Some(all()).filter(|rows| rows.len() >= 12)
    });
    assert!(rows.iter().all(|row| row["unit"].is_string() && row["last_value"].is_f64()));
    let before = total(&rows);
    within(seconds(15), "further readings", || (total(&all()) > before).then_some(()));
    assert_eq!(streamgauge.json("/api/dead-letters")["dead_letters"], json!([]));
}

fn instant(text: &serde_json::Value) -> jiff::Timestamp {
    text.as_str().unwrap().parse().unwrap()
}
