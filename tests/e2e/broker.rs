//! The subscriber and its broker: who comes back finds the other, and nothing is lost in between.

use serde_json::json;

use crate::support::device::Device;
use crate::support::servers::Mosquitto;
use crate::support::stage::Stage;
use crate::support::{seconds, within};

const TOPIC: &str = "sensors/kitchen/temperature";

#[test]
fn a_broker_that_was_away_is_subscribed_to_again() {
    let mut mosquitto = Mosquitto::start();
    let mut streamgauge = Stage::new().subscribed_to(mosquitto.address()).start();
    Device::connect(mosquitto.address(), "a").publish(TOPIC, r#"{"value":1}"#);
    streamgauge.wait_count("kitchen", "temperature", 1);
    mosquitto.stop();
    within(seconds(10), "not ready without a broker", || (!streamgauge.is_ready()).then_some(()));
    let answer = streamgauge.json("/api/sensors");
    assert_eq!(answer["sensors"][0]["count"], 1, "what was stored is still served");
    mosquitto.run();
    // Back-off with jitter: at most half a minute.
    streamgauge.wait_ready(seconds(45));
    Device::connect(mosquitto.address(), "b").publish(TOPIC, r#"{"value":2}"#);
    streamgauge.wait_count("kitchen", "temperature", 2);
}

#[test]
fn what_a_broker_held_meanwhile_is_counted_once() {
    let mosquitto = Mosquitto::start();
    let mut streamgauge = Stage::new().subscribed_to(mosquitto.address()).start();
    let mut device = Device::connect(mosquitto.address(), "device");
    device.publish(TOPIC, r#"{"value":1}"#);
    streamgauge.wait_count("kitchen", "temperature", 1);
    assert!(streamgauge.stop().success());
    for value in 2..=50 {
        device.publish(TOPIC, format!(r#"{{"value":{value}}}"#));
    }
    streamgauge.respawn();
    streamgauge.wait_ready(seconds(20));
    let row = streamgauge.wait_count("kitchen", "temperature", 50);
    assert_eq!((&row["avg_value"], &row["last_value"]), (&json!(25.5), &json!(50.0)));
    // Acknowledged to the broker, too: the next life is not sent them again.
    device.publish(TOPIC, r#"{"value":51}"#);
    streamgauge.wait_count("kitchen", "temperature", 51);
    assert!(streamgauge.stop().success());
    streamgauge.respawn();
    streamgauge.wait_ready(seconds(20));
    device.publish(TOPIC, r#"{"value":52}"#);
    streamgauge.wait_count("kitchen", "temperature", 52);
}
